from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.contracts.durations import parse_duration, write_duration


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30s", timedelta(seconds=30)),
        ("1.5 h", timedelta(minutes=90)),
        (" 2d ", timedelta(days=2)),
        ("0s", timedelta()),
        (timedelta(minutes=1), timedelta(minutes=1)),
    ],
)
def test_durations_have_a_unit(written: Any, meant: timedelta) -> None:
    assert parse_duration(written) == meant


@pytest.mark.parametrize("written", [30, 1.5, True, "", "30", "5 min", "-1h", "PT5M", "1h30m", ["1h"], "١h"])
def test_what_is_no_duration_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration: write 30s, 15m, 2h or 3d"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["10001d", "9" * 400 + "d"])
def test_a_duration_beyond_all_calendars_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is too long for a duration"):
        parse_duration(written)


@pytest.mark.parametrize("spelled", ["0s", "90s", "5m", "36h", "2d", "1.5s"])
def test_a_duration_is_written_in_its_largest_whole_unit(spelled: str) -> None:
    assert write_duration(parse_duration(spelled)) == spelled


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=10_000)))
def test_what_is_written_is_read_back_as_it_was(duration: timedelta) -> None:
    assert parse_duration(write_duration(duration)) == duration
