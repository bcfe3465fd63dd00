"""How marketplaces spell numbers and instants."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.amazon.locales import plain_instant, plain_number


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("12,34", "DE", "12.34"),
        ("-1.234,56", "DE", "-1234.56"),
        ("1.234.567,8", "IT", "1234567.8"),
        ("1\u00a0234,56", "FR", "1234.56"),
        ("1 234,56", "PL", "1234.56"),
        ("1,234.56", "US", "1234.56"),
        ("1,234,567", "JP", "1234567"),
        ("1,234", "JP", "1234"),
        ("1.234", "DE", "1.234".replace(".", "")),
        ("1.234", "US", "1.234"),
        ("12.34", "DE", "12.34"),
        ("0", "DE", "0"),
        ("-5", "US", "-5"),
    ],
)
def test_a_number_is_read_as_its_marketplace_writes_it(text: str, country: str, number: str) -> None:
    assert plain_number(text, country) == number


@pytest.mark.parametrize("text", ["", "n/a", "1,2,3", "12,34 EUR", "--1", "1.2.3,4,5", "B01,2"])
def test_what_is_no_number_stays_as_it_is(text: str) -> None:
    assert plain_number(text, "DE") == text
    assert plain_number(text, "US") == text


@given(st.decimals(-(10**9), 10**9, places=2), st.sampled_from(["DE", "US", "JP", "FR", "GB"]))
def test_an_amount_written_by_any_country_comes_back_exactly(amount: Decimal, country: str) -> None:
    text = f"{amount:,.2f}"
    if country in ("DE", "FR"):
        text = text.translate(str.maketrans(",.", ".," if country == "DE" else "\u00a0,"))
    assert Decimal(plain_number(text, country)) == amount


@pytest.mark.parametrize(
    ("text", "country", "instant"),
    [
        ("07.09.2026 09:46:25 UTC", "DE", "2026-09-07 09:46:25+00:00"),
        ("07/09/2026 09:46:25 UTC", "GB", "2026-09-07 09:46:25+00:00"),
        ("9/7/2026", "US", "2026-09-07"),
        ("2026/09/07 09:46:25 UTC", "JP", "2026-09-07 09:46:25+00:00"),
        ("2026-09-07 09:46:25 UTC", "US", "2026-09-07 09:46:25+00:00"),
        ("2026-09-07", "DE", "2026-09-07"),
        ("2026-09-07T09:46:25+00:00", "DE", "2026-09-07T09:46:25+00:00"),
        ("soon", "DE", "soon"),
        ("", "DE", ""),
    ],
)
def test_an_instant_is_read_as_its_marketplace_writes_it(text: str, country: str, instant: str) -> None:
    assert plain_instant(text, country) == instant
