"""The plan covers every wave of every date, within Amazon's limits and at little cost.

What must be asked for is written down here once more, as lists of ages, and the plan is held against it.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.amazon.ads.definitions import AdsReport, ads_definition
from adplatform.amazon.ads.report_types import report_type
from adplatform.amazon.restatement import Period, RestatementPolicy, Window, ads_policy, plan
from adplatform_tests.support.examples import examples

START = date(2026, 1, 1)
SP = ads_policy(14, retention_days=95, max_range_days=31)
SP_30 = ads_policy(30, retention_days=95, max_range_days=31)
SB = ads_policy(14, retention_days=60, max_range_days=31)
SD = ads_policy(14, retention_days=65, max_range_days=31)
SALES = RestatementPolicy(daily=(2, 3, 4, 7), waves=(14, 30), max_range_days=1, retention_days=730, requests_per_day=8)
POLICIES = (SP, SP_30, SB, SD, SALES)
DAILY, WEEKLY = [*range(1, 15)], [21, 28, 35, 42]
WAVES = {SP: [*DAILY, *WEEKLY], SP_30: [*DAILY, *WEEKLY, 58], SB: [*DAILY, *WEEKLY], SD: [*DAILY, *WEEKLY]}
"""The ages at which a date is to be asked for, but for the closing wave."""
CLOSING = {SP: range(43, 92), SP_30: range(59, 92), SB: range(43, 57), SD: range(43, 62)}
"""When a date is final, and Amazon keeps it for some days yet."""
CLOSING_WAVE = {SP: 63, SP_30: 65, SB: 49, SD: 49}


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
    """The closing wave may be a day late, when that day's requests are for younger dates."""
    days = 160
    ages: dict[date, list[int]] = {}
    for today, window in simulate(policy, START, days):
        for day in dates(window):
            ages.setdefault(day, []).append((today - day).days)
    for n in range(days - policy.last_age if policy.last_age < days else days - 40):
        day = START + timedelta(days=n)
        for wave, deadline in policy.deadlines.items():
            late = wave == CLOSING_WAVE.get(policy)
            if n + deadline + late <= days:
                assert any(wave <= age <= deadline + late for age in ages[day]), (day, wave, ages[day])


@pytest.mark.parametrize("policy", POLICIES)
def test_no_date_is_asked_for_twice_a_day_and_each_wave_is_named_once(policy: RestatementPolicy) -> None:
    named: Counter[tuple[date, int]] = Counter()
    seen: Counter[tuple[date, date]] = Counter()
    for today, window in simulate(policy, START, 150):
        named.update(window.waves.items())
        seen.update((today, day) for day in dates(window))
    assert max(named.values()) == 1
    assert max(seen.values()) == 1


@pytest.mark.parametrize("policy", WAVES, ids=["sp", "sp_30", "sb", "sd"])
def test_every_wave_of_every_date_is_asked_for_exactly_once_where_nothing_fails(policy: RestatementPolicy) -> None:
    days = 200
    named: dict[date, Counter[int]] = {}
    ages: dict[date, list[int]] = {}
    for today, window in simulate(policy, START, days):
        for day in dates(window):
            ages.setdefault(day, []).append((today - day).days)
        for day, wave in window.waves.items():
            named.setdefault(day, Counter())[wave] += 1
    for n in range(days - CLOSING[policy][-1]):
        day = START + timedelta(days=n)
        (closing,) = named[day].keys() - set(WAVES[policy])
        assert named[day] == Counter([*WAVES[policy], closing]), day
        assert closing in CLOSING[policy]
        assert [age for age in ages[day] if age <= 14] == DAILY
        assert ages[day][-1] in CLOSING[policy], "a date is asked for once more when nothing changes any more"


@given(
    policy=st.sampled_from([*WAVES]),
    outages=st.lists(st.tuples(st.integers(1, 120), st.integers(1, 20)), max_size=4),
    fails=st.integers(0, 2**32),
)
@settings(max_examples=examples(8), deadline=None)
def test_after_outages_and_failures_no_wave_is_left_out_or_covered_twice(
    policy: RestatementPolicy, outages: list[tuple[int, int]], fails: int
) -> None:
    """The end is quiet for long enough to catch up; what a date's request is for follows from what came before it."""
    days, quiet = 150, 12
    down = {START + timedelta(days=begin + n) for begin, length in outages for n in range(length)}
    end = START + timedelta(days=days)
    works = {START + timedelta(days=n): n >= days - quiet or (fails >> n % 32) & 1 == 0 for n in range(days + 1)}
    last: dict[date, int] = {}
    pulled: dict[date, date] = {}
    for today in (START + timedelta(days=n) for n in range(1, days + 1)):
        if today in down and today <= end - timedelta(days=quiet):
            continue
        windows = plan(policy, today, START, pulled).windows
        assert len(windows) <= 2
        for window in windows:
            assert (window.end - window.start).days < 31
            assert window.start >= max(START, today - timedelta(days=policy.retention_days - 2))
            assert window.end < today
            assert {window.start, window.end} <= window.waves.keys() <= set(dates(window))
            for day in dates(window):
                age = (today - day).days
                due = [w for w in [*WAVES[policy], CLOSING_WAVE[policy]] if last.get(day, 0) < w <= age]
                assert window.waves.get(day) == (due[-1] if due else None)
                if works[today]:
                    last[day], pulled[day] = age, today
    for age in range(1, policy.retention_days - 2):
        waves = [w for w in WAVES[policy] if w + 6 <= age or w == age <= 14]
        assert last[end - timedelta(days=age)] >= max(waves, default=0), age


@given(
    policy=st.sampled_from([*WAVES]),
    read=st.dictionaries(st.integers(1, 100), st.integers(0, 60)),
    spent=st.integers(0, 3),
)
@settings(max_examples=examples(40), deadline=None)
def test_every_date_that_can_be_lost_is_at_risk_and_no_other(
    policy: RestatementPolicy, read: dict[int, int], spent: int
) -> None:
    today, oldest = date(2026, 6, 1), policy.retention_days - 2
    pulled = {today - timedelta(days=age): today - timedelta(days=max(age - since, 0)) for age, since in read.items()}
    planned = plan(policy, today, date(2025, 1, 1), pulled, spent=spent)
    asked = {day for window in planned.windows for day in dates(window)}
    leaving = [today - timedelta(days=age) for age in (oldest, oldest - 1, oldest - 2)]
    final = [*WAVES[policy], CLOSING_WAVE[policy]]
    missed = [d for d in leaving if d not in pulled or any((pulled[d] - d).days < w <= (today - d).days for w in final)]
    assert planned.at_risk == tuple(d for d in missed if d not in asked)


LIMITS = {
    **dict.fromkeys(["spCampaigns", "spTargeting", "spSearchTerm", "spAdvertisedProduct"], (31, 95)),
    **dict.fromkeys(["spPurchasedProduct", "spAudiences", "sbAudiences"], (31, 95)),
    **dict.fromkeys(["sbCampaigns", "sbCampaignPlacement", "sbAdGroup", "sbAds"], (31, 60)),
    **dict.fromkeys(["sbTargeting", "sbSearchTerm"], (31, 60)),
    "sbPurchasedProduct": (731, 731),
    **dict.fromkeys(["sdCampaigns", "sdAdGroup", "sdTargeting", "sdAdvertisedProduct"], (31, 65)),
    "sdPurchasedProduct": (31, 65),
    **dict.fromkeys(["stCampaigns", "stTargeting"], (31, 95)),
    **dict.fromkeys(["spGrossAndInvalids", "sbGrossAndInvalids", "sdGrossAndInvalids"], (365, 365)),
    **dict.fromkeys(["dspCampaign", "dspInventory", "dspProduct", "dspGeo", "dspTech"], (31, 95)),
    **dict.fromkeys(["dspAudience", "dspReachFrequency"], (31, 95)),
    "dspBidAdjustment": (31, 395),
    "conversionPath": (1, 95),
    "dspAudioAndVideo": (1, 395),
}
"""The greatest range and the retention of every report type; those that only sum up are asked for one date alone."""


@pytest.mark.parametrize(("name", "limits"), LIMITS.items())
def test_every_report_type_is_asked_for_until_it_is_final_and_within_its_limits(
    name: str, limits: tuple[int, int]
) -> None:
    kind = report_type(name)
    group = next(iter(kind.groups))
    period = {"date", "startDate", "endDate", "intervalStart", "intervalEnd"}
    columns = sorted(kind.allowed([group]) - period)
    summary = limits[0] == 1
    definition = ads_definition("own", AdsReport(name, (group,), tuple(columns if summary else ["date", *columns])))
    policy = definition.policy
    assert (policy.max_range_days, policy.retention_days) == limits
    assert definition.configuration["timeUnit"] == ("SUMMARY" if summary else "DAILY")
    assert definition.datasets[0].date_field == (None if summary else "date")
    final = 58 if any(column.endswith("30d") for column in columns) else 42
    asked = [*policy.deadlines]
    assert final in asked
    assert policy.deadlines[asked[-1]] <= limits[1] - 2 - 3
    if not summary:
        assert asked[:-1] == [*DAILY, *WEEKLY, *([58] if final == 58 else [])]
        assert final < asked[-1] <= 65, "also what came late on its last day"


def test_long_retention_is_read_back_as_far_as_it_goes_though_its_dates_are_closed_early() -> None:
    policy = ads_policy(14, retention_days=731, max_range_days=731)
    (window,) = plan(policy, date(2026, 6, 1), date(2020, 1, 1), {}).windows
    assert window.start == date(2026, 6, 1) - timedelta(days=729)
    assert (
        plan(policy, date(2026, 6, 1), date(2020, 1, 1), dict.fromkeys(dates(window), date(2026, 6, 1))).windows == ()
    )


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
        assert len(windows) <= 2
        wanted += [day for window in windows for day in dates(window)]
        pulled |= {day: today for window in windows for day in dates(window)}
        today += timedelta(days=1)
    assert {date(2026, 6, 1) - timedelta(days=n) for n in range(1, SP.last_age + 1)} <= set(wanted)


def test_the_dates_that_leave_retention_come_first_and_are_reported_when_the_budget_is_spent() -> None:
    today = date(2026, 6, 1)
    planned = plan(SP, today, date(2025, 1, 1), {})
    assert planned.windows[0].start == today - timedelta(days=SP.last_age)
    spent = plan(SP, today, date(2025, 1, 1), {}, spent=SP.backfill_per_day)
    assert spent.windows == ()
    assert spent.postponed == SP.last_age
    assert spent.at_risk == tuple(today - timedelta(days=SP.last_age - n) for n in range(3))


@pytest.mark.parametrize(
    "zone",
    [
        "America/Los_Angeles",
        "Australia/Lord_Howe",
        *(pytest.param(zone, marks=pytest.mark.slow) for zone in ("Europe/Berlin", "Asia/Tokyo")),
    ],
)
@pytest.mark.parametrize("policy", [SP, SB, SD], ids=["sp", "sb", "sd"])
@pytest.mark.parametrize("every", [17, pytest.param(7, marks=pytest.mark.slow)], ids=["every 17 h", "every 7 h"])
def test_nothing_is_asked_for_that_retention_excludes_at_any_moment_of_the_next_day(
    policy: RestatementPolicy, zone: str, every: int
) -> None:
    """The plan is made at one instant, Amazon judges up to a day later, across midnight and changes of the clocks."""
    for hours in range(0, 24 * 400, every):
        planned_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
        today = planned_at.astimezone(ZoneInfo(zone)).date()
        oldest = today - timedelta(days=policy.last_age)
        judged_on = (planned_at + timedelta(hours=24)).astimezone(ZoneInfo(zone)).date()
        assert oldest >= judged_on - timedelta(days=policy.retention_days)
        for window in plan(policy, today, date(2025, 1, 1), {}).windows:
            assert window.start >= oldest
            assert window.end < today


BY_WEEK = RestatementPolicy(
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
    for today, window in simulate(BY_WEEK, START, 150):
        assert window.start == window.end
        ages.setdefault(window.end, []).append((today - window.end).days)
    saturdays = [START + timedelta(days=n) for n in range(150) if (START + timedelta(days=n)).weekday() == 5]
    assert [day for day in saturdays if (START + timedelta(days=150) - day).days >= 2] == sorted(ages)
    settled = [found for day, found in ages.items() if (START + timedelta(days=150) - day).days > 13]
    assert all(found[:2] == [2, 3] and len(found) == 3 for found in settled)


def test_no_period_that_began_before_retention_is_asked_for() -> None:
    today = date(2026, 7, 1)
    held = plan(BY_WEEK, today, date(2020, 1, 1), {}).windows
    oldest = min(d for n in range(400) if BY_WEEK.can_be_had(d := today - timedelta(days=n), today))
    assert Period.WEEK.first_date(oldest) >= today - timedelta(days=BY_WEEK.retention_days - 2)
    assert all(BY_WEEK.can_be_had(w.end, today) for w in held)
    assert not BY_WEEK.can_be_had(date(2026, 6, 28), today), "a Sunday"


def test_a_policy_that_can_ask_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="first asked for at an age of 60 days, but may be at 58"):
        RestatementPolicy(daily=(60,), retention_days=60)
    with pytest.raises(ValueError, match="a request is for one WEEK: set 1"):
        RestatementPolicy(period=Period.WEEK)
