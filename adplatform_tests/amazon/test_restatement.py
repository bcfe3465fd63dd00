"""The plan covers every wave of every date, within Amazon's limits and at little cost."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.amazon.restatement import Period, RestatementPolicy, Window, ads_policy, plan

START = date(2026, 1, 1)
SP = ads_policy(14, retention_days=95, max_range_days=31)
SP_30 = ads_policy(30, retention_days=95, max_range_days=31)
SB = ads_policy(14, retention_days=60, max_range_days=31)
SD = ads_policy(14, retention_days=65, max_range_days=31)
SALES = RestatementPolicy(daily=(2, 3, 4, 7), waves=(14, 30), max_range_days=1, retention_days=730, requests_per_day=8)
POLICIES = (SP, SP_30, SB, SD, SALES)


def simulate(
    policy: RestatementPolicy,
    first: date,
    days: int,
    up: Callable[[date], bool] = lambda _: True,
    succeeds: Callable[[Window], bool] = lambda _: True,
) -> list[tuple[date, Window]]:
    """The requests of ``days`` days from the day after ``first``; a request that fails covers nothing."""
    pulled: dict[date, date] = {}
    asked = []
    for n in range(1, days + 1):
        today = first + timedelta(days=n)
        if not up(today):
            continue
        for window in plan(policy, today, first, pulled).windows:
            asked.append((today, window))
            if succeeds(window):
                pulled |= dict.fromkeys(dates(window), today)
    return asked


def dates(window: Window) -> list[date]:
    return [window.start + timedelta(days=n) for n in range((window.end - window.start).days + 1)]


@pytest.mark.parametrize("policy", [SP, SB, SD], ids=["sp", "sb", "sd"])
def test_steady_state_costs_less_than_60_percent_of_reading_42_days_every_day(policy: RestatementPolicy) -> None:
    asked = [today for today, _ in simulate(policy, START, 300) if today > START + timedelta(days=100)]
    assert len(asked) / 200 < 0.6 * 2


@pytest.mark.parametrize("policy", POLICIES)
def test_every_wave_of_every_date_is_asked_for_by_its_deadline(policy: RestatementPolicy) -> None:
    days = 160
    ages: dict[date, list[int]] = {}
    for today, window in simulate(policy, START, days):
        for day in dates(window):
            ages.setdefault(day, []).append((today - day).days)
    for n in range(days - policy.last_age if policy.last_age < days else days - 40):
        day = START + timedelta(days=n)
        for wave, deadline in policy.deadlines.items():
            if n + deadline <= days:
                assert any(wave <= age <= deadline for age in ages[day]), (day, wave, ages[day])


@pytest.mark.parametrize("policy", POLICIES)
def test_no_date_is_asked_for_twice_a_day_and_each_wave_is_named_once(policy: RestatementPolicy) -> None:
    named: Counter[tuple[date, int]] = Counter()
    seen: Counter[tuple[date, date]] = Counter()
    for today, window in simulate(policy, START, 150):
        named.update(window.waves.items())
        seen.update((today, day) for day in dates(window))
    assert max(named.values()) == 1
    assert max(seen.values()) == 1


@given(
    policy=st.sampled_from(POLICIES),
    outages=st.lists(st.tuples(st.integers(1, 120), st.integers(1, 20)), max_size=4),
    fails=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_limits_hold_and_gaps_are_caught_up_after_outages_and_failures(
    policy: RestatementPolicy, outages: list[tuple[int, int]], fails: int
) -> None:
    down = {START + timedelta(days=begin + n) for begin, length in outages for n in range(length)}
    days = 150
    asked = simulate(
        policy,
        START,
        days,
        up=lambda today: today not in down or today > START + timedelta(days=days - 12),
        succeeds=lambda window: bool((fails >> (window.end.toordinal() % 32)) & 1 == 0),
    )
    per_day = Counter(today for today, _ in asked)
    assert max(per_day.values()) <= max(policy.requests_per_day, policy.backfill_per_day)
    for today, window in asked:
        assert (window.end - window.start).days < policy.max_range_days
        assert all(policy.can_be_had(day, today) and day >= START for day in dates(window))
        assert window.waves
        assert {window.start, window.end} <= window.waves.keys()
        assert set(window.waves) <= set(dates(window))


def test_a_platform_that_was_down_catches_up_with_one_request_per_date() -> None:
    today = START + timedelta(days=30)
    pulled = {START + timedelta(days=n): START + timedelta(days=max(n + 1, 20)) for n in range(20)}
    planned = plan(SP, today, START, pulled)
    assert [(w.start, w.end) for w in planned.windows] == [(START, today - timedelta(days=1))]


def test_a_changed_definition_is_asked_for_as_far_back_as_amazon_keeps() -> None:
    today, first = date(2026, 6, 1), date(2025, 1, 1)
    wanted, pulled = [], {}
    for _ in range(3):
        windows = plan(SP, today, first, pulled).windows
        wanted += [day for window in windows for day in dates(window)]
        pulled |= {day: today for window in windows for day in dates(window)}
        today += timedelta(days=1)
    assert {date(2026, 6, 1) - timedelta(days=n) for n in range(1, SP.last_age + 1)} <= set(wanted)


def test_the_dates_that_leave_retention_come_first_and_are_told_when_the_budget_is_spent() -> None:
    today = date(2026, 6, 1)
    planned = plan(SP, today, date(2025, 1, 1), {})
    assert planned.windows[0].start == today - timedelta(days=SP.last_age)
    spent = plan(SP, today, date(2025, 1, 1), {}, spent=SP.backfill_per_day)
    assert spent.windows == ()
    assert spent.postponed == SP.last_age
    assert spent.at_risk == tuple(today - timedelta(days=SP.last_age - n) for n in range(3))


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Europe/Berlin", "Asia/Tokyo", "Australia/Lord_Howe"])
@pytest.mark.parametrize("policy", [SP, SB, SD], ids=["sp", "sb", "sd"])
def test_nothing_is_asked_for_that_retention_excludes_at_any_moment_of_the_next_day(
    policy: RestatementPolicy, zone: str
) -> None:
    """The plan is made at one instant, Amazon judges up to a day later, across midnight and changes of the clocks."""
    for hours in range(0, 24 * 400, 7):
        planned_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
        today = planned_at.astimezone(ZoneInfo(zone)).date()
        oldest = today - timedelta(days=policy.last_age)
        judged_on = (planned_at + timedelta(hours=24)).astimezone(ZoneInfo(zone)).date()
        assert oldest >= judged_on - timedelta(days=policy.retention_days)
        midnight = datetime.combine(today, time(), ZoneInfo(zone))
        assert midnight.date() == today
        for window in plan(policy, today, date(2025, 1, 1), {}).windows:
            assert window.start >= oldest
            assert window.end < today


WEEKLY = RestatementPolicy(
    daily=(2, 3), waves=(7,), max_range_days=1, retention_days=200, requests_per_day=3, closes=False, period=Period.WEEK
)


@given(st.dates(date(2020, 1, 1), date(2035, 12, 31)), st.sampled_from(Period))
def test_every_date_is_in_one_period_that_begins_and_ends(day: date, period: Period) -> None:
    first = period.first_date(day)
    last = next(d for n in range(period.longest) if period.ends_on(d := day + timedelta(days=n)))
    inside = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    assert day in inside
    assert len(inside) <= period.longest
    assert {period.first_date(d) for d in inside} == {first}
    assert [d for d in inside if period.ends_on(d)] == [last]
    assert period.first_date(last + timedelta(days=1)) == last + timedelta(days=1)


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        (Period.DAY, date(2026, 2, 28), date(2026, 2, 28)),
        (Period.WEEK, date(2026, 2, 22), date(2026, 2, 28)),
        (Period.MONTH, date(2026, 2, 1), date(2026, 2, 28)),
        (Period.QUARTER, date(2026, 1, 1), date(2026, 3, 31)),
        (Period.YEAR, date(2026, 1, 1), date(2026, 12, 31)),
    ],
)
def test_weeks_begin_on_sunday_and_the_rest_with_their_first_date(period: Period, first: date, last: date) -> None:
    assert period.first_date(date(2026, 2, 28)) == first
    assert period.ends_on(last)


def test_only_ends_of_periods_are_asked_for_each_with_all_its_waves() -> None:
    ages: dict[date, list[int]] = {}
    for today, window in simulate(WEEKLY, START, 150):
        assert window.start == window.end
        ages.setdefault(window.end, []).append((today - window.end).days)
    saturdays = [START + timedelta(days=n) for n in range(150) if (START + timedelta(days=n)).weekday() == 5]
    assert [day for day in saturdays if (START + timedelta(days=150) - day).days >= 2] == sorted(ages)
    settled = [found for day, found in ages.items() if (START + timedelta(days=150) - day).days > 13]
    assert all(found[:2] == [2, 3] and len(found) == 3 for found in settled)


def test_no_period_that_began_before_retention_is_asked_for() -> None:
    today = date(2026, 7, 1)
    held = plan(WEEKLY, today, date(2020, 1, 1), {}).windows
    oldest = min(d for n in range(400) if WEEKLY.can_be_had(d := today - timedelta(days=n), today))
    assert Period.WEEK.first_date(oldest) >= today - timedelta(days=WEEKLY.retention_days - 2)
    assert all(WEEKLY.can_be_had(w.end, today) for w in held)
    assert not WEEKLY.can_be_had(date(2026, 6, 28), today), "a Sunday"


def test_a_policy_that_can_ask_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="first asked for at an age of 60 days, but may be at 58"):
        RestatementPolicy(daily=(60,), retention_days=60)
    with pytest.raises(ValueError, match="a request is for one WEEK: set 1"):
        RestatementPolicy(period=Period.WEEK)
