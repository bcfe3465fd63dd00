"""No item of the ledger outgrows DynamoDB, and one that would is refused before anything depends on it."""

import uuid
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from adplatform.failures import MAX_TEXT, PermanentFailure, TransientFailure, clipped, listed
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.item_size import MAX_ITEM, item_size
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Trouble
from adplatform.ledger.objects import RawObject
from adplatform.ledger.placements import Slice
from adplatform.ledger.publications import FileOutcome, Outcome, Publication
from adplatform.ledger.report import Report
from adplatform.ledger.rows import to_item
from adplatform.ledger.table import table_definition
from adplatform.platform.aws import Aws

DAY, NOW = date(2026, 3, 14), datetime(2026, 3, 14, 9, tzinfo=UTC)
ENDLESS = "é" * 300_000
ROWS: list[Any] = [
    RawObject(DAY, "raw", "k", "v", 1, "e", NOW, reason=ENDLESS),
    Delivery(DAY, error=ENDLESS, settled_because=ENDLESS),
    Publication(DAY, 1, 1, "m", NOW, ENDLESS, error=ENDLESS),
    FileOutcome(DAY, 1, "s3://raw/k", Outcome.REFUSED, ENDLESS),
    Report("ads", "sp", "1", DAY, DAY, DAY, 1, "spCampaigns", "d", error=ENDLESS),
    Trouble("profile/1", ENDLESS, NOW),
]


@pytest.fixture
def ledger(aws: Aws) -> Ledger:
    client, table = aws.client("dynamodb"), f"ledger-{uuid.uuid4().hex}"
    client.create_table(**table_definition(table))
    return Ledger(client, table, lambda: NOW)


def test_an_item_is_measured_as_dynamodb_documents_it() -> None:
    assert item_size({"name": "é", "flag": True, "none": None}) == (4 + 2) + (4 + 1) + (4 + 1)
    assert item_size({"n": Decimal("1234.5")}) == 1 + 5
    assert item_size({"l": ["ab", "c"]}) == 1 + 3 + (1 + 2) + (1 + 1)
    assert item_size({"m": {"a": "b"}}) == 1 + 3 + (1 + 1 + 1)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_texts_of_any_length_fit_into_every_kind_of_row(ledger: Ledger, row: Any) -> None:
    item = to_item("acme/orders", row)
    assert item_size(item) < MAX_ITEM / 4
    ledger.access.put("acme/orders", [row])
    for name in ("error", "reason", "settled_because"):
        if name in item and getattr(row, name) == ENDLESS:
            assert item[name].endswith("more characters")


def test_every_text_for_people_has_a_limit() -> None:
    """A new row that names one differently would escape it."""
    texts = {
        f.name
        for kind in map(type, ROWS)
        for f in fields(kind)
        if f.name in ("error", "reason", "note", "because", "waiting")
    }
    assert texts == {"error", "note", "reason", "waiting"}


def test_an_object_that_is_put_aside_later_has_its_reason_cut_too(ledger: Ledger) -> None:
    obj = RawObject(DAY, "raw", "k", "v", 1, "e", NOW)
    ledger.objects.record("acme/orders", obj)
    ledger.objects.exclude("acme/orders", obj, ENDLESS)
    [found] = ledger.objects.of_day("acme/orders", DAY)
    assert len(found.reason) <= MAX_TEXT


def test_an_item_that_dynamodb_would_refuse_is_refused_by_name_and_size(ledger: Ledger) -> None:
    row = Publication(DAY, 1, 1, "m", NOW, "quiet", locations=tuple(f"s3://clean/{n}/{'x' * 900}" for n in range(500)))
    with pytest.raises(PermanentFailure, match=r"version#2026-03-14#0001 has 4..,... bytes .* attribute locations"):
        ledger.publications.put("acme/orders", row)
    ledger.publications.put("acme/orders", replace(row, locations=row.locations[:100]))


def test_a_sort_key_that_dynamodb_would_refuse_is_refused_before_anything_is_written(ledger: Ledger) -> None:
    with pytest.raises(PermanentFailure, match="sort key has more than the 1,024 bytes"):
        ledger.access.put("acme/orders", [Trouble("x" * 1100, "", NOW)])
    assert ledger.placements.slices("acme/orders", "x") == []
    assert Slice("x", DAY, 1).sort_key


@pytest.mark.parametrize("kind", [PermanentFailure, TransientFailure])
def test_the_text_of_a_failure_has_a_limit_and_is_cut_once(kind: type[Exception]) -> None:
    text = str(kind(ENDLESS))
    assert len(text) <= MAX_TEXT
    assert text.endswith(" and 292,040 more characters")
    assert clipped(text) == str(kind(text)) == text
    assert str(kind("short")) == "short"


def test_many_names_are_counted() -> None:
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(20_000)), 3) == "0, 1, 2, and 19,997 more"
    assert listed([]) == ""
