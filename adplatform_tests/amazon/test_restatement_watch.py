"""What counts as an unusual restatement."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.amazon import restatement_watch as watch
from adplatform.amazon.ads.definitions import READY_MADE, ads_definition
from adplatform.amazon.restatement import plan
from adplatform.amazon.restatement_watch import Finding, Observation
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.advertising import Query, rows
from adplatform_tests.support.examples import examples

DAY = date(2026, 6, 1)
AGES = (1, 2, 3, 4, 7, 14, 28, 42, 58)


def seen(day: date, age: int, rows: int = 3, **totals: object) -> Observation:
    as_of = datetime(day.year, day.month, day.day, 20, tzinfo=UTC) + timedelta(days=age)
    return Observation(day, as_of, age, {name: Decimal(str(value)) for name, value in totals.items()}, rows)


def unusual(observations: Sequence[Observation], attribution_days: int | None = 14) -> list[Finding]:
    return watch.unusual(watch.changes(observations), observations, attribution_days=attribution_days)


def usual_dates(metric: str, ages: tuple[int, int], count: int = 20, size: int = 400) -> list[Observation]:
    """Dates before DAY whose metric moves by 2 to 21 % between two ages."""
    found = []
    for n in range(count):
        day = DAY - timedelta(days=n + 1)
        before, after = size, size + size * (n + 2) // 100
        found += [seen(day, ages[0], **{metric: before}), seen(day, ages[1], **{metric: after})]
    return found


def test_changes_tell_what_differs_between_observations_that_follow_each_other() -> None:
    observations = [
        seen(DAY, 1, clicks=10, sales14d=5),
        seen(DAY, 2, clicks=8, sales14d=5),
        seen(DAY, 3, rows=4, clicks=8, sales14d=6),
    ]
    reported = [(c.metric, c.age_before, c.age, c.before, c.after, c.relative) for c in watch.changes(observations)]
    assert reported == [
        ("clicks", 1, 2, Decimal(10), Decimal(8), Decimal("-0.2")),
        ("rows", 2, 3, Decimal(3), Decimal(4), Decimal(1) / 3),
        ("sales14d", 2, 3, Decimal(5), Decimal(6), Decimal("0.2")),
    ]


def test_totals_without_rows_are_zero_and_growth_from_zero_has_no_share() -> None:
    (clicks, rows) = watch.changes([seen(DAY, 1, rows=0), seen(DAY, 2, rows=1, clicks=4)])
    assert (clicks.metric, clicks.before, clicks.after, clicks.relative) == ("clicks", 0, 4, None)
    assert (rows.metric, rows.relative) == ("rows", None)


def test_a_metric_that_was_not_observed_before_did_not_change() -> None:
    assert watch.changes([seen(DAY, 1, clicks=4), seen(DAY, 2, clicks=4, cost=9)]) == []


def test_totals_are_compared_exactly() -> None:
    exact = "123456789012345678901234567890.000000000000000001"
    assert watch.changes([seen(DAY, 1, cost=exact), seen(DAY, 2, cost=exact)]) == []
    (change,) = watch.changes([seen(DAY, 1, cost=exact), seen(DAY, 2, cost=exact[:-1] + "2")])
    assert (change.before, change.after) == (Decimal(exact), Decimal(exact[:-1] + "2"))


@pytest.mark.parametrize(
    ("metric", "attribution", "final"),
    [("sales14d", 30, 42), ("purchases30d", 14, 58), ("purchases", 14, 42), ("salesClicks7d", 14, 35)],
)
def test_the_final_age_follows_from_the_attribution_window(metric: str, attribution: int, final: int) -> None:
    assert watch.final_age(metric, attribution) == final


def test_rows_that_all_vanish_are_unusual_and_reported_once() -> None:
    (finding,) = unusual([seen(DAY, 2, clicks=50, sales14d=10), seen(DAY, 3, rows=0)])
    assert str(finding) == "2026-06-01: all 3 rows vanished at age 3"


def test_some_rows_that_vanish_are_not() -> None:
    assert unusual([seen(DAY, 2, rows=3, clicks=5), seen(DAY, 3, rows=2, clicks=4)]) == []


@pytest.mark.parametrize(("before", "reported"), [(42, True), (41, False)])
def test_a_conversion_may_change_until_its_final_age(before: int, reported: bool) -> None:
    findings = unusual([seen(DAY, before, sales14d=100), seen(DAY, before + 20, sales14d=101)])
    assert ["final from age 42" in str(f) for f in findings] == [True] * reported


def test_accounts_without_attribution_have_no_final_age() -> None:
    observations = [seen(DAY, 60, quantity=100), seen(DAY, 90, quantity=101)]
    assert unusual(observations)
    assert unusual(observations, attribution_days=None) == []


@pytest.mark.parametrize("metric", ["impressions", "clicks", "cost", "spend"])
@pytest.mark.parametrize(("before", "reported"), [(4, True), (3, False)])
def test_traffic_changes_only_while_it_is_corrected(metric: str, before: int, reported: bool) -> None:
    observations = [seen(DAY, before, **{metric: 1000}), seen(DAY, before + 1, **{metric: 999})]
    assert ["invalid traffic" in str(f) for f in unusual(observations)] == [True] * reported


def test_a_difference_in_the_last_digits_of_a_sum_is_never_reported() -> None:
    noise = [seen(DAY, 60, cost="58.989999999999995"), seen(DAY, 64, cost="58.99")]
    assert len(watch.changes(noise)) == 1
    assert unusual(noise) == []
    assert unusual([seen(DAY, 60, cost="58.98"), seen(DAY, 64, cost="58.99")])


@pytest.mark.parametrize(("after", "reported"), [(1200, True), (100, True), (480, False), (400, False)])
def test_a_change_by_far_more_than_other_dates_is_unusual(after: int, reported: bool) -> None:
    observations = [
        *usual_dates("purchases14d", (7, 14)),
        seen(DAY, 7, purchases14d=400),
        seen(DAY, 14, purchases14d=after),
    ]
    assert [f.change.day for f in unusual(observations)] == [DAY] * reported


def test_a_change_where_no_other_date_changed_is_unusual_also_from_zero() -> None:
    others = [seen(DAY - timedelta(days=n), age, purchases14d=200) for n in range(1, 21) for age in (7, 14)]
    for before in (0, 100):
        (finding,) = unusual([*others, seen(DAY, 7, purchases14d=before), seen(DAY, 14, purchases14d=250)])
        assert "no other date changed at that age" in str(finding)


def test_few_dates_are_no_measure_and_small_values_are_not_judged() -> None:
    jump = [seen(DAY, 7, purchases14d=400), seen(DAY, 14, purchases14d=4000)]
    assert unusual([*usual_dates("purchases14d", (7, 14), count=19), *jump]) == []
    assert unusual([*usual_dates("purchases14d", (7, 14), count=20), *jump]) != []
    small = [seen(DAY, 7, purchases14d=4), seen(DAY, 14, purchases14d=40)]
    assert unusual([*usual_dates("purchases14d", (7, 14)), *small]) == []


def test_a_date_of_few_orders_may_swing_farther_than_one_of_many() -> None:
    """A swing by chance is about the square root of the value: half again is much for 100,000 and little for 100."""
    others = usual_dates("sales14d", (7, 14), size=10_000)
    few = [seen(DAY, 7, sales14d=100), seen(DAY, 14, sales14d=150)]
    many = [seen(DAY, 7, sales14d=100_000), seen(DAY, 14, sales14d=150_000)]
    assert unusual([*others, *few]) == []
    assert len(unusual([*others, *many])) == 1


# -- an account as Amazon restates it


def restated(name: str) -> tuple[date, list[Observation]]:
    """The last of 130 dates of a simulated account, and all that its ready-made report said of them when asked for as
    planned."""
    definition = ads_definition(name, READY_MADE[name])
    metrics = definition.datasets[0].plotted
    query = Query(definition.report_type, ("campaign",), ("date", "campaignId", *metrics))
    profile = next(p for p in DEMO_ACCOUNTS.profiles if p.country == "US")
    first, read, found = DAY - timedelta(days=30), {}, []
    for today in (DAY + timedelta(days=n) for n in range(100)):
        for window in plan(definition.policy, today, first, read).windows:
            for n in range((window.end - window.start).days + 1):
                day = window.start + timedelta(days=n)
                read[day] = today
                as_of = datetime(today.year, today.month, today.day, 20, tzinfo=UTC)
                said = rows(query, profile, day, as_of, seed=7)
                sums = {m: sum((Decimal(str(row[m] or 0)) for row in said), Decimal(0)) for m in metrics}
                found.append(Observation(day, as_of, (today - day).days, sums, len(said)))
    return max(read), found


@pytest.mark.parametrize(
    "name", ["sp_campaigns", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sb_campaigns", "sd_campaigns"))]
)
def test_what_amazon_restates_as_usual_is_hardly_ever_reported(name: str) -> None:
    _, observations = restated(name)
    steps = watch.changes(observations)
    assert len(steps) > 1000
    assert len(unusual(observations)) <= 4


def test_a_halved_metric_a_lost_day_and_a_change_after_the_last_wave_are_reported() -> None:
    last, observations = restated("sp_campaigns")
    usual = unusual(observations)

    def reported(day: date, age: int, metric: str, factor: str, rows: int | None = None) -> str:
        wrong = [
            replace(
                o, totals={**o.totals, metric: o.totals[metric] * Decimal(factor)}, rows=o.rows if rows is None else 0
            )
            if o.day == day and o.age >= age
            else o
            for o in observations
        ]
        return " / ".join(str(f) for f in unusual(wrong) if f.change.day == day and f not in usual)

    recent, old = last - timedelta(days=40), last - timedelta(days=80)
    assert "impressions changed" in reported(recent, 2, "impressions", "0.5")
    assert "invalid traffic is corrected before age 4" in reported(recent, 9, "clicks", "0.5")
    assert "sales14d changed" in reported(recent, 30, "sales14d", "0.3")
    assert "rows vanished at age 5" in reported(recent, 5, "clicks", "0", rows=0)
    assert "should be final from age 42" in reported(old, 60, "sales14d", "1.01")


totals = st.decimals(0, 10**9, places=2)
series = st.dictionaries(
    st.tuples(st.integers(0, 12), st.sampled_from(AGES)), st.tuples(totals, totals, st.integers(0, 5)), max_size=40
)


@given(series)
@settings(max_examples=examples(15), deadline=None)
def test_values_that_stay_the_same_are_never_reported(
    values: dict[tuple[int, int], tuple[Decimal, Decimal, int]],
) -> None:
    observations = [seen(DAY - timedelta(days=n), age, clicks=n, sales14d=7 * n) for n, age in values]
    assert watch.changes(observations) == []
    assert unusual(observations) == []


@given(series, st.randoms(use_true_random=False))
@settings(max_examples=examples(15), deadline=None)
def test_the_order_of_the_observations_does_not_matter(
    values: dict[tuple[int, int], tuple[Decimal, Decimal, int]], random: Random
) -> None:
    observations = [
        seen(DAY - timedelta(days=n), age, rows=rows, clicks=clicks, sales14d=sales)
        for (n, age), (clicks, sales, rows) in values.items()
    ]
    shuffled = random.sample(observations, len(observations))
    assert watch.changes(shuffled) == watch.changes(observations)
    assert unusual(shuffled) == unusual(observations)


@given(series)
@settings(max_examples=examples(15), deadline=None)
def test_the_changes_of_a_date_add_up_exactly(
    values: dict[tuple[int, int], tuple[Decimal, Decimal, int]],
) -> None:
    observations = [seen(DAY - timedelta(days=n), age, clicks=clicks) for (n, age), (clicks, _, _) in values.items()]
    for day in {o.day for o in observations}:
        own = sorted((o for o in observations if o.day == day), key=lambda o: o.age)
        steps = [c for c in watch.changes(observations) if c.day == day and c.metric == "clicks"]
        difference = sum((c.after - c.before for c in steps), Decimal(0))
        assert difference == own[-1].totals["clicks"] - own[0].totals["clicks"]
