"""Guesses of what is personal, by names and values."""

import pytest

from adplatform.contracts.pii import PiiKind
from adplatform.drafting.personal import country_of, personal, remark


@pytest.mark.parametrize(
    ("name", "texts", "kind"),
    [
        ("login", ["a@example.com", "b@example.org", "none"], PiiKind.EMAIL),
        ("contact", ["+49 30 1234567", "(030) 765 43 21"], PiiKind.PHONE),
        ("contact", ["555-123-4567", "555-765-4321"], PiiKind.PHONE),
        ("source", ["192.0.2.1", "198.51.100.7"], PiiKind.GENERIC_ID),
        ("account", ["DE89370400440532013000"], PiiKind.GENERIC_ID),
        ("vorname", ["x"], PiiKind.FIRST_NAME),
        ("Telefon", [], PiiKind.PHONE),
    ],
)
def test_kinds_are_told_by_name_or_value(name: str, texts: list[str], kind: PiiKind) -> None:
    found = personal(name, texts)
    assert found
    assert found.kind is kind
    assert not any(text in found.reason for text in texts)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("day", ["2026-01-31", "2026-02-01"]),
        ("day", ["01-02-2026"]),
        ("amount", ["1 234,50", "12 345,00"]),
        ("order_id", ["1234567", "7654321"]),
        ("range", ["100-200"]),
        ("campaign_name", ["Brand", "Other"]),
        ("version", ["1.2.3"]),
    ],
)
def test_dates_ids_and_amounts_are_nobodys(name: str, texts: list[str]) -> None:
    assert personal(name, texts) is None


def test_a_text_with_an_address_in_it_is_dropped() -> None:
    found = personal("note", ["call ann@example.com", "fine", "fine", "fine"])
    assert found
    assert found.kind is None
    assert "1 of 4" in found.reason


def test_what_may_be_of_persons_is_remarked() -> None:
    assert "generic_id" in remark("customer_id", ["1"])
    assert "digests" in remark("hem", ["a" * 64])
    assert remark("campaign_id", ["1"]) == ""


def test_a_country_is_told_by_two_letters() -> None:
    assert country_of({"region": ["EU"], "ship_country": ["DE", "FR"]}) == "ship_country"
    assert country_of({"country": ["Germany"]}) is None
