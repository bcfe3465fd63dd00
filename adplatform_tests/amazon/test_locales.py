"""How marketplaces spell numbers and instants."""

from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.amazon.locales import _LANGUAGES, plain_date, plain_instant, plain_number, plain_timestamp
from adplatform.contracts.months import month_names


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
        ("12,34,567.89", "IN", "1234567.89"),
        ("\u22121\u00a0234,56", "SE", "-1234.56"),
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


def test_a_name_means_one_month_in_all_languages_of_a_country() -> None:
    for languages in _LANGUAGES.values():
        for names in combinations((*languages, "en"), 2):
            first, second = (month_names(language) for language in names)
            assert all(first[name] == second[name] for name in first.keys() & second.keys())


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
        ("2026/09/07 8:05:00 JST", "JP", "2026-09-07 08:05:00+09:00"),
        ("2026-09-07 07:35:42 PDT", "US", "2026-09-07 07:35:42-07:00"),
        ("07/09/2026 09:46:25 MEST", "FR", "2026-09-07 09:46:25+02:00"),
        ("7.9.26", "DE", "2026-09-07"),
        ("9/7/26", "US", "2026-09-07"),
        ("26/9/7", "JP", "2026-09-07"),
        ("21-Sep-2026", "US", "2026-09-21"),
        ("21-SEP-26", "IN", "2026-09-21"),
        ("Sep 1, 2026 12:03:22 AM PDT", "US", "2026-09-01 00:03:22-07:00"),
        ("Sep. 21, 2026, 1:05 p.m.", "CA", "2026-09-21 13:05:00"),
        ("21 September 2026 10:00:00 UTC", "GB", "2026-09-21 10:00:00+00:00"),
        ("1. März 2026", "DE", "2026-03-01"),
        ("21 sept. 2026 à 10:00", "FR", "2026-09-21 à 10:00"),
        ("21 août 2026", "BE", "2026-08-21"),
        ("21 mrt. 2026", "NL", "2026-03-21"),
        ("21 set 2026 09:46:25 UTC", "IT", "2026-09-21 09:46:25+00:00"),
        ("21 de septiembre de 2026", "MX", "2026-09-21"),
        ("21 de set. de 2026", "BR", "2026-09-21"),
        ("21 Eylül 2026", "TR", "2026-09-21"),
        ("21 ŞUB 2026", "TR", "2026-02-21"),
        ("21 września 2026", "PL", "2026-09-21"),
        ("21 maj 2026", "SE", "2026-05-21"),
        ("2026-Sep-21", "JP", "2026-09-21"),
        ("2026年9月1日 9:05:00 JST", "JP", "2026-09-01 09:05:00+09:00"),
        ("9/21/2026 3:05:00 PM", "US", "2026-09-21 15:05:00"),
        ("21 Sze 2026", "DE", "21 Sze 2026"),
        ("21 mars 2026", "DE", "21 mars 2026"),
        ("1.2.345", "DE", "1.2.345"),
        ("2026-09-07 09:46:25 XYZ", "DE", "2026-09-07 09:46:25 XYZ"),
        ("soon", "DE", "soon"),
        ("", "DE", ""),
    ],
)
def test_an_instant_is_read_as_its_marketplace_writes_it(text: str, country: str, instant: str) -> None:
    assert plain_instant(text, country) == instant


@pytest.mark.parametrize(
    ("text", "day", "timestamp"),
    [
        ("17.03.2026", "2026-03-17", "2026-03-17 00:00:00+00:00"),
        ("2026-03-17", "2026-03-17", "2026-03-17 00:00:00+00:00"),
        ("17.03.2026 10:00:00 UTC", "2026-03-17", "2026-03-17 10:00:00+00:00"),
        ("2026-03-17T10:00:00+00:00", "2026-03-17", "2026-03-17T10:00:00+00:00"),
        ("2026-03-171", "2026-03-171", "2026-03-171"),
        ("", "", ""),
    ],
)
def test_a_column_of_dates_has_no_time_and_one_of_instants_has_one(text: str, day: str, timestamp: str) -> None:
    assert (plain_date(text, "DE"), plain_timestamp(text, "DE")) == (day, timestamp)
