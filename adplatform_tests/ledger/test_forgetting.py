"""Runs of long ago are forgotten, so that what reads those of a target does not read ever more."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adplatform.engines.failed import failed_runs
from adplatform.ledger.engine_run import EngineRun, Intention, IntentState, RunState
from adplatform.ledger.extracts import Chunk, Extract, LastExtract
from adplatform.ledger.forgetting import BROUGHT_KEPT, EMPTY_KEPT, NEWEST_KEPT
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.rows import Row
from adplatform_tests.engines.fake_engine import LIMITS
from adplatform_tests.engines.world import Brought
from adplatform_tests.flow.fakes import FakeDynamo

NOW = datetime(2026, 3, 14, 9, tzinfo=UTC)
OWNER = "acme/@files"
LONG_AGO = max(EMPTY_KEPT, BROUGHT_KEPT) + timedelta(days=1)


class CountingDynamo(FakeDynamo):
    """Counts the items that it reads."""

    read = 0

    def query(self, **wanted: Any) -> dict[str, Any]:
        answer = super().query(**wanted)
        self.read += answer["Count"]
        return answer

    def get_item(self, **wanted: Any) -> dict[str, Any]:
        self.read += 1
        return super().get_item(**wanted)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(FakeDynamo(), "ledger", lambda: NOW)


def put(ledger: Ledger, *rows: Row) -> None:
    for row in rows:
        ledger.access.put(OWNER, [row])


def kept(ledger: Ledger) -> list[str]:
    found = ledger.access.items(OWNER, "")
    return sorted(item["sk"] for item in found if not item["sk"].startswith(("run#new", "intent#new")))


def newer(ledger: Ledger) -> None:
    """As many runs as are always remembered, after all others."""
    for number in range(NEWEST_KEPT):
        put(ledger, *run_rows(f"new{number:03}", timedelta(0)))


def run_rows(id: str, ago: timedelta, objects: int = 0, **intention: Any) -> tuple[EngineRun, Intention]:
    at = NOW - ago
    run = EngineRun("acme", "files", id, RunState.SUCCEEDED, intent=id, found_at=at, landed_at=at, objects=objects)
    return run, replace(
        Intention("acme", "files", id, IntentState.FULFILLED, run_id=id, intended_at=at, changed_at=at), **intention
    )


def test_runs_that_brought_nothing_are_forgotten_before_those_that_brought_something(ledger: Ledger) -> None:
    newer(ledger)
    put(ledger, *run_rows("first", LONG_AGO, objects=1))
    put(ledger, *run_rows("brought", EMPTY_KEPT * 2, objects=1))
    put(ledger, *run_rows("lately", EMPTY_KEPT - timedelta(hours=1)))
    put(ledger, *run_rows("empty", EMPTY_KEPT + timedelta(hours=1)))
    put(ledger, *run_rows("old", LONG_AGO - timedelta(hours=1), objects=1))
    assert ledger.forgetting.forget("acme", "files") == 4
    assert kept(ledger) == sorted(f"{kind}#{id}" for kind in ("run", "intent") for id in ("first", "brought", "lately"))
    assert ledger.forgetting.forget("acme", "files") == 0


def test_the_newest_are_remembered_however_old_they_are(ledger: Ledger) -> None:
    put(ledger, *run_rows("only", LONG_AGO))
    assert ledger.forgetting.forget("acme", "files") == 0


def test_what_may_be_asked_for_again_is_not_forgotten(ledger: Ledger) -> None:
    newer(ledger)
    going, pursued = run_rows("going", LONG_AGO, state=IntentState.STARTED)
    failed = {"state": IntentState.GIVEN_UP, "window_start": NOW - LONG_AGO, "run_id": ""}
    window = run_rows("window", LONG_AGO, **failed)[1]
    put(ledger, replace(going, landed_at=None), pursued, window)
    assert ledger.forgetting.forget("acme", "files") == 0


def test_readings_go_with_their_runs_and_chunks_but_for_the_last_and_those_of_views(ledger: Ledger) -> None:
    newer(ledger)
    at = NOW - LONG_AGO
    for id, more in (
        ("pass", {"files": 1}),
        ("empty", {"day": at.date()}),
        ("view", {"day": at.date(), "files": 1}),
        ("last", {"files": 1}),
    ):
        row = Extract("acme", "files", id, RunState.SUCCEEDED, ended_at=at)
        put(ledger, replace(row, **more), Chunk(id, 0, 0, "key", "version", 1, at))
    put(ledger, LastExtract("last"))
    ledger.forgetting.forget("acme", "files")
    left = [f"{kind}#{id}" for id in ("last", "view") for kind in ("chunk", "extract")]
    assert [sk.partition("#0000")[0] for sk in kept(ledger)] == sorted([*left, "last-extract"])


def test_a_pass_every_quarter_of_an_hour_leaves_a_bounded_number_of_rows_to_read() -> None:
    brought = Brought.make(every=timedelta(minutes=15))
    brought.engine.limits = replace(LIMITS, alone=True)
    ledger, clock, dynamo = brought.ledger, brought.base.clock, CountingDynamo()
    ledger, brought.base = replace(ledger, client=dynamo), replace(brought.base, dynamo=dynamo)
    quarter, weeks = timedelta(minutes=15), timedelta(weeks=2)
    looked, listed, there = [], [], []
    for fortnight in range(3):
        for number in range(weeks // quarter):
            clock.pass_by(quarter)
            at = clock()
            run = EngineRun("crm", "contacts", f"{fortnight}-{number}", RunState.SUCCEEDED, final=True, landed_at=at)
            slot = Intention("crm", "contacts", f"slot/{at:%Y-%m-%dT%H:%M:%SZ}", IntentState.FULFILLED)
            rows = replace(run, found_at=at), replace(slot, intended_at=at, changed_at=at, run_id=run.run_id)
            ledger.access.put(run.owner, rows)
        brought.watch.forget()
        before = dynamo.read
        brought.look()
        looked.append(dynamo.read - before)
        failed_runs(ledger, "crm", ["contacts"])
        listed.append(dynamo.read - before)
        there.append(len(dynamo.items))
    assert max(looked) < 10
    assert max(listed) < 1.01 * listed[0]
    assert max(there) < 1.01 * there[0]


def test_a_run_that_its_engine_still_shows_is_not_forgotten_and_so_not_landed_again() -> None:
    brought = Brought.make(every=None)
    for _ in range(NEWEST_KEPT + 1):
        run_id = brought.engine.begin()
        brought.engine.end(run_id)
        brought.look()
        brought.later(minutes=1)
    brought.later(days=20)
    assert brought.watch.forget() == 0
    brought.later(days=20)
    assert brought.watch.forget() == 1
    brought.newest = {}
    brought.look()
    assert len(brought.runs()) == NEWEST_KEPT
