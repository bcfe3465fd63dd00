"""What sources may use, over a ledger and an engine in memory: counted once whatever fails, and kept to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adplatform.contracts.cost import CostBudget
from adplatform.failures import PermanentFailure
from adplatform.flow.cost_guard import GUARD, allow, budget_of, guard, standings
from adplatform.ledger.engine_run import RunState
from adplatform.resources.request_meter import LONGEST, MOST, RequestMeter
from adplatform_tests.engines.world import Brought
from adplatform_tests.flow.world import Crash

HOURS = {"dpu_hours": Decimal("1.5")}


def limited(budget: dict[str, Any]) -> Brought:
    """A source with that budget, at 9 o'clock."""
    brought = Brought.make()
    declared = CostBudget.model_validate(budget)
    feeds = tuple(replace(flow, budget=declared) for flow in brought.source.feeds)
    brought.base.source = replace(brought.source, feeds=feeds, budget=declared)
    return brought


def ended(brought: Brought, usage: dict[str, Decimal] | None = None) -> None:
    """The run that is going on ends, and a look lands it."""
    [run_id] = brought.engine.going
    brought.engine.end(run_id, RunState.SUCCEEDED, usage=usage or HOURS)
    brought.look()


def used(brought: Brought, unit: str = "dpu_hours") -> Decimal:
    days = brought.ledger.spendings.since("crm", brought.base.clock().date())
    return sum((each.used(unit) for each in days), Decimal(0))


def test_at_its_limit_no_run_begins_until_somebody_allows_more_and_people_hear_of_it_once() -> None:
    brought = limited({"day": {"dpu_hours": 3}})
    brought.look()
    for n in range(2):
        ended(brought)
        assert used(brought) == (n + 1) * HOURS["dpu_hours"]
        brought.later(hours=1)
        brought.look()
    assert (brought.engine.starts, brought.engine.going) == (2, [])
    for _ in range(3):
        brought.later(hours=1)
        brought.look()
    [message] = brought.messages
    assert message[:2] == ("budget_reached", "crm: 3 of 3 DPU-hours of this day")
    assert "adplatform budget allow crm" in message[2]["error"]
    services: Any = brought.base
    [after] = allow(services, brought.source, {"dpu_hours": Decimal(1)}, "ann", "a late report")
    assert (after.used, after.limit, after.over) == (3, 4, False)
    brought.look()
    assert brought.engine.starts == 3
    ended(brought)
    brought.later(hours=1)
    brought.look()
    assert (brought.engine.going, len(brought.messages)) == ([], 2), "the next limit is another"


def test_the_next_day_is_another_and_a_month_is_one() -> None:
    brought = limited({"day": {"dpu_hours": 1}, "month": {"dpu_hours": 4}})
    starts = []
    for _ in range(5):
        brought.look()
        if brought.engine.going:
            ended(brought)
        brought.later(hours=1)
        brought.look()
        starts.append(brought.engine.starts)
        brought.base.clock.now = brought.base.clock.now.replace(hour=9) + timedelta(days=1)
    assert starts == [1, 2, 3, 3, 3]
    brought.base.clock.now = datetime(2026, 4, 1, 9, tzinfo=UTC)
    brought.look()
    assert brought.engine.starts == 4


@pytest.mark.parametrize("calls", range(40))
def test_what_a_run_has_used_counts_once_wherever_the_process_dies(calls: int) -> None:
    brought = limited({"day": {"dpu_hours": 100}})
    brought.look()
    [run_id] = brought.engine.going
    brought.engine.write(run_id, "a.csv")
    brought.engine.end(run_id, RunState.SUCCEEDED, usage=HOURS)
    brought.base.fuse.left = calls
    try:
        brought.look()
        brought.settle()
    except Crash:
        pass
    brought.base.fuse.left = -1
    for _ in range(2):
        brought.look()
        brought.settle()
    assert used(brought) == HOURS["dpu_hours"]


def test_without_a_budget_nothing_is_counted() -> None:
    brought = Brought.make()
    brought.look()
    ended(brought)
    assert brought.ledger.spendings.since("crm", brought.base.clock().date()) == []


def test_a_forecast_goes_by_the_days_before_or_by_the_present_one() -> None:
    brought = limited({"day": {"gigabytes": 10}, "month": {"gigabytes": 100}})
    spendings, clock = brought.ledger.spendings, brought.base.clock
    clock.now = datetime(2026, 3, 14, 12, tzinfo=UTC)
    spendings.add("crm", {"bytes": 2 * 10**9})
    day, month = standings(brought.ledger, "crm", brought.source.budget)
    assert (day.used, day.forecast, str(day)) == (2 * 10**9, 4 * 10**9, "2 of 10 GB of this day")
    assert month.forecast == (2 + 4 * Decimal("17.5")) * 10**9
    clock.now += timedelta(days=1)
    day, month = standings(brought.ledger, "crm", brought.source.budget)
    assert (day.used, day.forecast) == (0, 10**9), "half of yesterday"
    assert month.forecast == (2 + 2 * Decimal("16.5")) * 10**9


def test_a_source_whose_deliveries_wait_is_paused_until_it_may_use_more_and_no_pause_of_somebody_ends() -> None:
    brought = limited({"day": {"requests": 5}, "deliveries": "wait"})
    services: Any = brought.base
    pauses = brought.ledger.pauses
    guard(services, [brought.source])
    assert pauses.of("crm") is None
    brought.ledger.spendings.add("crm", {"requests": 5})
    guard(services, [brought.source])
    pause = pauses.of("crm")
    assert pause is not None
    assert (pause.by, "5 of 5 requests of this day" in pause.why) == (GUARD, True)
    allow(services, brought.source, {}, "ann", "")
    assert pauses.of("crm") is None
    pauses.begin("crm", "ann")
    brought.later(days=1)
    guard(services, [brought.source])
    assert pauses.of("crm") is not None


def test_only_what_is_limited_can_be_allowed() -> None:
    services: Any = (brought := limited({"day": {"requests": 5}})).base
    with pytest.raises(PermanentFailure, match=r"crm has no limit of DPU-hours; it has some of requests"):
        allow(services, brought.source, {"dpu_hours": Decimal(1)}, "ann", "")
    with pytest.raises(PermanentFailure, match="crm has no budget"):
        allow(services, replace(brought.source, budget=None), {}, "ann", "")


def test_the_platforms_default_counts_where_a_source_says_nothing_and_names_its_mistakes() -> None:
    settings = replace(Brought.make().base.settings, budget='{"day": {"gigabytes": 1.5}}')
    assert budget_of(settings, None) == CostBudget.model_validate({"day": {"gigabytes": "1.5"}})
    own = CostBudget.model_validate({"month": {"requests": 9}})
    assert budget_of(settings, own) is own
    with pytest.raises(PermanentFailure, match=r"ADPLATFORM_BUDGET is no budget: day\.gigabytes: .*greater than 0"):
        budget_of(replace(settings, budget='{"day": {"gigabytes": 0}}'), None)


def test_requests_are_counted_some_at_a_time_and_all_when_the_process_ends() -> None:
    brought, meter = limited({"day": {"requests": 10**6}}), RequestMeter()
    for _ in range(MOST + 3):
        meter.count(brought.ledger, "crm")
    assert used(brought, "requests") == MOST
    brought.base.clock.pass_by(LONGEST)
    meter.count(brought.ledger, "crm")
    assert used(brought, "requests") == MOST + 4
    meter.count(brought.ledger, "crm")
    meter.flush()
    meter.flush()
    assert used(brought, "requests") == MOST + 5
