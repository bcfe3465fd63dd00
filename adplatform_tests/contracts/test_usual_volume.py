"""Which dates are like others, by weekday, month and public holiday."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.feed import Feed
from adplatform.contracts.usual_volume import UsualVolume

FEED: dict[str, Any] = {"name": "orders", "start_date": "2026-01-01", "columns": {"order_id": "int"}}


def declared(usual: Any, **settings: Any) -> Feed:
    return Feed.model_validate({**FEED, **settings, "usual_volume": usual})


def test_it_is_declared_by_true_or_by_settings_and_changes_no_contract() -> None:
    assert declared(True).usual_volume == UsualVolume()
    assert declared(False).usual_volume is declared(None).usual_volume is Feed.model_validate(FEED).usual_volume is None
    said = {"within": "30%", "weekdays": 4, "holidays": ["DE", "US-CA"], "closed": ["2026-12-24"]}
    usual = declared(said).usual_volume
    assert usual is not None and (usual.within, usual.closed) == (0.3, (date(2026, 12, 24),))
    assert declared({"within": 0.3}).usual_volume == declared({"within": "30 %"}).usual_volume
    assert declared(said).contract.rows_digest == Feed.model_validate(FEED).contract.rows_digest


@pytest.mark.parametrize(
    ("usual", "says"),
    [
        ({"within": 50}, "50 is 5000% of the usual number of rows: write 50% or 0.5"),
        ({"holidays": "XX"}, "no holidays are known of 'XX'"),
        ({"holidays": ["US-QQ"]}, "no holidays are known of 'US-QQ'; of US there are US-AK, US-AL"),
        ({"weekdays": 2}, "greater than or equal to 3"),
        ({"months": 6, "holidays": ["DE"]}, "leave weekdays and holidays out"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(usual: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        declared(usual)


def test_a_feed_that_comes_once_a_month_is_compared_by_months() -> None:
    with pytest.raises(ValidationError, match=r"write usual_volume: \{months: 6\}"):
        declared(True, schedule="0 6 1 * *")
    assert declared({"months": 6}, schedule="0 6 1 * *").usual_volume
    assert declared(True, schedule="0 6 * * mon").usual_volume


def test_holidays_of_a_country_and_its_parts_and_closed_dates_are_left_out() -> None:
    thanksgiving, day_after, unity = date(2026, 11, 26), date(2026, 11, 27), date(2026, 10, 3)
    german = UsualVolume(holidays=("DE",), closed=(date(2026, 12, 24),))
    assert german.set_apart(unity) == "is German Unity Day (DE)"
    assert unity not in german.comparable(date(2026, 10, 10))
    assert german.set_apart(date(2026, 12, 24)) == "is one of the dates that are closed"
    assert german.comparable(date(2026, 12, 31))[0] == date(2026, 12, 17)
    assert (german.set_apart(thanksgiving), UsualVolume(holidays=("US",)).set_apart(day_after)) == ("", "")
    californian = UsualVolume(holidays=("US-CA",))
    assert californian.set_apart(thanksgiving) and californian.set_apart(day_after)
    assert californian.comparable(thanksgiving) == ()


def test_months_are_compared_by_the_same_day_or_their_last() -> None:
    by_months = UsualVolume(weekdays=3, within=0.2).by_months()
    assert by_months == UsualVolume(months=3, within=0.2)
    ends = [date(2026, 2, 28), date(2026, 1, 31), date(2025, 12, 31)]
    assert list(by_months.comparable(date(2026, 3, 31))[:3]) == ends
    assert list(by_months.comparable(date(2026, 3, 30))[:3]) == [ends[0], date(2026, 1, 30), date(2025, 12, 30)]
