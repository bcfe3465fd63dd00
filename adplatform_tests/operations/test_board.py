"""The numbers of the board, for a history that was made."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adplatform.contracts.replication import ReplicatedSource
from adplatform.contracts.source import PushedSource
from adplatform.engines.pattern import replicated_files
from adplatform.flow.provision import provision
from adplatform.flow.pushed import PushedFiles, pushed_files
from adplatform.flow.services import Services
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.engine_run import EngineRun, Intention, IntentState, RunState
from adplatform.ledger.publications import Publication
from adplatform.operations.board import DAYS, RUNS, Board, Counts, look_over
from adplatform.operations.sections import sections
from adplatform_tests.operations.history import FEED, NOON, TODAY, acme, days_before, fail, publish
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.ledger_rows import put_delivery


@pytest.fixture
def timed(services: Services) -> Services:
    moved = replace(services, now=lambda: NOON)
    provision(moved, [])
    return moved


def test_a_history_comes_to_its_numbers(timed: Services) -> None:
    early, late = datetime(2026, 6, 9, 8, tzinfo=UTC), datetime(2026, 6, 10, 10, 30, tzinfo=UTC)
    counts = {"rows_in": 100, "clean": 88, "superseded": 2, "quarantined": 9, "left_out": 10, "bytes": 5_000}
    publish(timed, "acme/orders", days_before(2), early, **counts, seconds=Decimal("1.5"))
    publish(timed, "acme/orders", days_before(1), late, **counts, seconds=Decimal("2.5"))
    put_delivery(timed.ledger, "acme/orders", Delivery(TODAY, arrivals=1, waiting="1 of 2 files"))
    fail(timed, "acme/orders", days_before(3))
    board = look_over(timed, [acme(timed)])
    [table] = board.tables
    assert (table.published_at, table.newest, table.stale, table.age_seconds) == (late, days_before(1), False, 5_400)
    assert table.counts == Counts(4, 10_000, 200, 176, 4, 18, 20, 4.0)
    assert table.counts.quarantined_share == 0.1
    assert [(each.day, each.counts.rows_in) for each in board.days[-3:]] == [
        (days_before(2), 100),
        (days_before(1), 100),
        (TODAY, 0),
    ]
    [waiting] = board.waiting
    assert (waiting.name, waiting.day, waiting.next) == ("acme/orders", TODAY, "waits: 1 of 2 files")
    [failed] = board.failed
    assert failed.text.startswith(f"acme/orders {days_before(3)}: *** is damaged; mend it, then")
    assert [(each.day, each.late_seconds / 3600) for each in board.arrivals if each.day >= days_before(2)] == [
        (days_before(2), pytest.approx(-1, abs=0.02)),
        (days_before(1), pytest.approx(1.5, abs=0.02)),
    ]
    assert board.troubles == (failed.text,)


def test_what_does_not_come_is_overdue_and_a_table_that_nothing_is_published_to_is_stale(timed: Services) -> None:
    publish(timed, "acme/orders", days_before(3), datetime(2026, 6, 8, 8, tzinfo=UTC))
    board = look_over(timed, [acme(timed)])
    assert [each.day for each in board.arrivals if each.overdue] == [days_before(2), days_before(1)]
    assert board.troubles == (
        "acme/orders is stale: nothing was published since 2026-06-08 08:00 UTC",
        f"acme/orders {days_before(2)} was due 2026-06-09 09:00 UTC",
        f"acme/orders {days_before(1)} was due 2026-06-10 09:00 UTC",
    )


def test_a_feed_that_has_just_begun_and_one_that_is_never_stale_are_no_trouble(timed: Services) -> None:
    begun = {**FEED, "start_date": str(TODAY)}
    rare = {**FEED, "name": "rare", "fresh_within": None, "arrival": {"complete_when": "quiet"}}
    board = look_over(timed, [acme(timed, begun, rare)])
    assert [(each.table, each.published_at, each.age_seconds) for each in board.tables] == [
        ("acme/orders", None, None),
        ("acme/rare", None, None),
    ]
    assert (board.troubles, board.waiting, board.arrivals) == ((), (), ())


def test_an_empty_platform_has_a_board(timed: Services) -> None:
    board = look_over(timed, [])
    assert (board.tables, board.troubles, len(board.days)) == ((), (), DAYS)


def test_runs_of_engines_are_seen_while_they_last_and_one_that_lasts_too_long_is_trouble(timed: Services) -> None:
    row = EngineRun("acme", "task", "exec-1", RunState.RUNNING, said="TRANSFERRING", found_at=NOON, overdue=True)
    timed.ledger.access.put("acme/@task", [row, replace(row, run_id="exec-0", landed_at=NOON, final=True)])
    board = look_over(timed, [acme(timed, {**FEED, "start_date": str(TODAY)})])
    [run] = board.runs
    assert (run.name, run.run_id, run.state) == ("acme/task", "exec-1", "TRANSFERRING")
    assert board.troubles == ("run exec-1 of acme/task is overdue",)


def test_what_an_engine_is_charged_by_is_summed_over_the_newest_runs_of_its_schedule(timed: Services) -> None:
    declared = ReplicatedSource.model_validate(
        {"source": "cloud", "task": "conversions", "every": "1h", "feeds": [{**FEED, "arrival": {"deadline": "9h"}}]}
    )
    for n in range(RUNS + 3):
        slot, began = f"slot/2026-06-09T{n:02d}:00:00Z", NOON - timedelta(hours=30 - n)
        wanted = Intention("cloud", "task", slot, IntentState.FULFILLED, run_id=f"exec-{n}")
        ended = {"ended_at": began + timedelta(minutes=1), "usage": {"dpu_hours": Decimal("0.5")}, "bytes": 7}
        run = EngineRun("cloud", "task", f"exec-{n}", RunState.SUCCEEDED, final=True, started_at=began, landed_at=NOON)
        timed.ledger.access.put("cloud/@task", [wanted, replace(run, **ended)])  # type: ignore[arg-type]
    [used] = look_over(timed, [replicated_files(declared, timed.settings)]).engines
    assert (used.name, used.runs, used.seconds, used.bytes) == ("cloud/task", RUNS, RUNS * 60, RUNS * 7)
    assert used.usage == {"dpu_hours": RUNS / 2}


def test_what_sources_have_used_of_their_budgets_is_on_it_those_at_a_limit_first(timed: Services) -> None:
    begun = {**FEED, "start_date": str(TODAY)}
    declared = acme(timed, begun, budget={"day": {"requests": 1_000}, "month": {"gigabytes": 2}})
    timed.ledger.spendings.add("acme", {"requests": 500, "bytes": 2 * 10**9})
    board = look_over(timed, [declared, free(timed)])
    day, month = board.budgets
    assert (day.source, day.period, day.used, day.limit, day.forecast) == ("acme", "day", 500, 1_000, 1_000)
    assert (month.period, month.over, month.used) == ("month", True, 2 * 10**9)
    [section] = [each for each in sections(board) if each.title == "budgets"]
    assert section.rows == (
        ("acme", "month", "2 GB", "2 GB", "84 GB, reached"),
        ("acme", "day", "500 requests", "1,000 requests", "1,000 requests"),
    )
    assert board.troubles == (), "the cost guard tells people by itself"
    by_default = replace(timed, settings=replace(timed.settings, budget='{"day": {"requests": 10}}'))
    assert [each.source for each in look_over(by_default, [declared, free(timed)]).budgets] == ["acme", "acme", "free"]


def free(services: Services) -> PushedFiles:
    """A source that declares no budget."""
    feeds = [{**FEED, "start_date": str(TODAY)}]
    return pushed_files(PushedSource.model_validate({"source": "free", "feeds": feeds}), services.settings)


def asked(services: Services, *feeds: dict[str, Any]) -> tuple[Board, list[str]]:
    counted = CountedAws(services.aws.region, services.aws.endpoint_url)
    board = look_over(replace(services, aws=counted), [acme(services, *feeds)])
    return board, counted.names


def test_the_calls_grow_with_the_feeds_and_not_with_what_they_have_delivered(timed: Services) -> None:
    _, before = asked(timed)
    for n in range(60):
        publish(timed, "acme/orders", days_before(n), NOON - timedelta(days=n), rows_in=7, bytes=1)
        waiting = Delivery(days_before(n), state=DeliveryState.PUBLISHED, version=2, published=2, arrivals=n)
        for version in range(2, 6):
            timed.ledger.publications.put("acme/orders", Publication(days_before(n), version, 1, "m", NOON, "count"))
        put_delivery(timed.ledger, "acme/orders", replace(waiting, settled_arrivals=n))
    board, after = asked(timed)
    assert board.tables[0].newest == TODAY
    assert len(after) == len(before) + 1, "what readers see of the dates is one call more"
    _, of_more = asked(timed, FEED, *({**FEED, "name": f"orders_{n}"} for n in range(10)))
    assert len(of_more) <= len(after) + 10
