"""Every interleaving of an engine's life with ours: kills at any call, lost answers, late records, strangers."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from adplatform.files.landing import noise
from adplatform.flow.arrivals import Arrivals
from adplatform.ledger.engine_run import PURSUED, WROTE, RunState
from adplatform_tests.engines.world import Brought
from adplatform_tests.flow.world import Crash

ENDS = (RunState.SUCCEEDED, RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED, RunState.CANCELLED)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.brought = Brought.make()
        self.files = 0

    @rule(killed_at=st.one_of(st.none(), st.integers(0, 25)), forgets=st.booleans())
    def looks(self, killed_at: int | None, forgets: bool) -> None:
        """The sensor's tick, which may be killed at any call, and whose cursor may be lost."""
        if forgets:
            self.brought.newest = {}
        self._killable(killed_at, self.brought.look)

    @rule(killed_at=st.one_of(st.none(), st.integers(0, 25)))
    def settles(self, killed_at: int | None) -> None:
        self._killable(killed_at, self.brought.settle)

    @rule(minutes=st.sampled_from([1, 10, 61, 600]))
    def time_passes(self, minutes: int) -> None:
        self.brought.later(minutes=minutes)

    @rule()
    def somebody_starts_a_run(self) -> None:
        if not self.brought.engine.going:
            self.brought.engine.begin()

    @rule()
    def somebody_lists_the_landing_zone(self) -> None:
        Arrivals(self.brought.source, self.brought.base.s3, self.brought.ledger).reconcile()

    @rule(seed=st.integers(0, 9))
    def a_run_writes(self, seed: int) -> None:
        if going := self.brought.engine.going:
            self.files += 1
            self.brought.engine.write(going[seed % len(going)], f"{self.files}.json")

    @rule(seed=st.integers(0, 9), name=st.sampled_from(["_SUCCESS", "half.json.tmp"]))
    def a_run_writes_what_is_no_data(self, seed: int, name: str) -> None:
        if going := self.brought.engine.going:
            self.brought.engine.write(going[seed % len(going)], name)

    @rule(seed=st.integers(0, 9), state=st.sampled_from(ENDS))
    def a_run_ends(self, seed: int, state: RunState) -> None:
        if going := self.brought.engine.going:
            self.brought.engine.end(going[seed % len(going)], state)

    @rule(minutes=st.sampled_from([0, 5, 30]))
    def records_lag(self, minutes: int) -> None:

        self.brought.engine.lag = timedelta(minutes=minutes)

    @rule()
    def an_answer_gets_lost(self) -> None:
        self.brought.engine.lose_answers = 1

    @invariant()
    def nothing_of_a_run_that_brought_nothing_is_delivered(self) -> None:
        engine = self.brought.engine
        bad = {key for e in engine.executions.values() if e.run.state not in WROTE for key in e.keys}
        for day in {e.day for e in engine.executions.values()}:
            assert not bad & set(self.brought.delivered(day))

    def teardown(self) -> None:
        """Once everything has ended and is looked at, each object of a run that wrote is delivered, once."""
        brought, engine = self.brought, self.brought.engine
        engine.lose_answers = 0
        brought.every = None
        for _ in range(40):
            for run_id in engine.going:
                engine.end(run_id)
            brought.later(minutes=20)
            brought.newest = {}
            brought.look()
            brought.settle()
        wanted: dict[Any, list[str]] = {}
        objects = dict.fromkeys(engine.executions, 0)
        for run_id, execution in engine.executions.items():
            if execution.run.state in WROTE:
                data = [key for key in execution.keys if not noise(key)]
                wanted.setdefault(execution.day, []).extend(data)
                objects[run_id] = len(data)
        for day, keys in wanted.items():
            assert brought.delivered(day) == sorted(keys), day
        rows = brought.runs()
        assert {row.run_id: row.objects for row in rows} == objects
        assert {row.state for row in rows if objects[row.run_id]} <= WROTE
        assert all(row.ended for row in rows)
        assert not [i for i in brought.intentions() if i.state in PURSUED]
        assert brought.ledger.engine_runs.active("crm") == []

    def _killable(self, at: int | None, work: Any) -> None:
        fuse = self.brought.base.fuse
        fuse.left = -1 if at is None else at
        try:
            work()
        except Crash:
            pass
        finally:
            fuse.left = -1


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )


def test_every_object_of_a_run_that_wrote_is_delivered_once_whatever_happens() -> None:

    run_state_machine_as_test(Machine, settings=_settings(75))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_interleavings_conserve_every_object() -> None:

    run_state_machine_as_test(Machine, settings=_settings(10_000))
