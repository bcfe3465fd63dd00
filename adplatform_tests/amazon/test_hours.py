"""Hours of a date: which can be had by now, and how often they were to be asked for."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from adplatform.amazon.hours import Hours

DAY = date(2026, 10, 25)
"""Clocks go back in Berlin."""
BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 10, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "now", "had"),
    [
        (BERLIN, at(24, 22, 30), (at(24, 22), at(24, 22))),
        (BERLIN, at(25, 0, 59), (at(24, 22), at(24, 23))),
        (BERLIN, at(25, 9, 59), (at(24, 22), at(25, 8))),
        (BERLIN, at(27, 0), (at(24, 22), at(25, 23))),
        (KOLKATA, at(27, 0), (at(24, 19), at(25, 19))),
    ],
)
def test_whole_hours_of_a_date_can_be_had_some_time_after_they_ended(
    zone: ZoneInfo, now: datetime, had: tuple[datetime, datetime]
) -> None:
    assert Hours(timedelta(hours=3), timedelta(hours=1)).had(DAY, DAY, zone, now) == had


def test_every_hour_is_of_one_date() -> None:
    for zone in (BERLIN, KOLKATA, ZoneInfo("Africa/Cairo"), ZoneInfo("America/Los_Angeles")):
        hours = Hours(timedelta(hours=3), timedelta(hours=1))
        ends = [hours.had(DAY + timedelta(days=n), DAY + timedelta(days=n), zone, at(31, 0)) for n in range(4)]
        assert all(before[1] == after[0] for before, after in pairwise(ends))


def test_the_first_turn_of_a_date_has_all_of_the_date_before() -> None:
    hours = Hours(timedelta(hours=3), timedelta(hours=4))
    turns = {now: hours.turns(DAY, BERLIN, now) for now in (at(25, 1, 59), at(25, 2), at(25, 4, 59), at(25, 5))}
    assert list(turns.values()) == [0, 1, 1, 2]
    yesterday = DAY - timedelta(days=1)
    assert hours.had(yesterday, yesterday, BERLIN, at(25, 2)) == (at(23, 22), at(24, 22))


@pytest.mark.parametrize("now", [at(24, 22, 30), at(25, 2), at(25, 4, 59), at(25, 23, 30)])
def test_before_its_next_turn_nothing_more_of_a_date_is_asked_for(now: datetime) -> None:
    hours = Hours(timedelta(hours=3), timedelta(hours=4))
    opens = hours.next_turn(DAY, BERLIN, now)
    before = hours.turns(DAY, BERLIN, now)
    assert opens > now
    assert hours.turns(DAY, BERLIN, opens - timedelta(microseconds=1)) == before
    tomorrow = DAY + timedelta(days=1)
    assert hours.turns(DAY, BERLIN, opens) > before or hours.turns(tomorrow, BERLIN, opens) > 0
