"""The life of an engine's runs: wanted before it is asked for, landed once, whoever started it and whatever is lost."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adplatform.engines.engine import Finding
from adplatform.engines.failed import failed_runs
from adplatform.engines.runs import Target, Watch
from adplatform.failures import PermanentFailure, TransientFailure, named
from adplatform.flow.arrivals import Arrivals
from adplatform.flow.budget import Budget
from adplatform.ledger.engine_run import IntentState, RunState
from adplatform.platform.metrics import Metrics
from adplatform_tests.engines.fake_engine import LIMITS
from adplatform_tests.engines.world import Brought
from adplatform_tests.flow.fakes import client_error
from adplatform_tests.flow.world import Crash
from adplatform_tests.support.measured import Value, values_of


@pytest.fixture
def brought() -> Brought:
    return Brought.make()


@pytest.fixture
def watched() -> Brought:
    """Its runs are started by others only."""
    return Brought.make(every=None)


def test_a_slot_is_intended_started_watched_and_landed(brought: Brought) -> None:
    brought.look()
    [intention] = brought.intentions()
    assert (intention.key, intention.state) == ("slot/2026-03-14T09:00:00Z", IntentState.STARTED)
    key = brought.engine.write(intention.run_id, "a.json")
    brought.look()
    assert brought.run(intention.run_id).state is RunState.RUNNING
    brought.settle()
    assert brought.delivered(brought.base.clock().date()) == []
    brought.engine.end(intention.run_id)
    brought.look()
    run = brought.run(intention.run_id)
    assert (run.state, run.objects, run.records, run.ended) == (RunState.SUCCEEDED, 1, 1, True)
    brought.settle()
    assert brought.delivered(brought.base.clock().date()) == [key]
    brought.look()
    assert brought.intentions()[0].state is IntentState.FULFILLED


def test_a_run_of_somebody_else_is_landed_as_ours_are(watched: Brought) -> None:
    run_id = watched.engine.begin()
    key = watched.engine.write(run_id, "a.json")
    watched.engine.end(run_id)
    watched.look()
    watched.settle()
    assert watched.run(run_id).intent == ""
    assert watched.delivered(watched.base.clock().date()) == [key]


def test_a_run_of_somebody_else_fulfils_what_was_wanted(brought: Brought) -> None:
    foreign = brought.engine.begin()
    brought.look()
    [intention] = brought.intentions()
    assert (intention.state, intention.error) == (IntentState.INTENDED, f"another run is going on: {foreign}")
    brought.engine.end(foreign)
    brought.look()
    brought.look()
    assert [(i.state, i.run_id) for i in brought.intentions()] == [(IntentState.FULFILLED, foreign)]
    assert brought.engine.starts == 1


def test_a_lost_answer_starts_nothing_twice(brought: Brought) -> None:
    brought.engine.lose_answers = 1
    brought.look()
    [intention] = brought.intentions()
    assert (intention.state, intention.begun) == (IntentState.INTENDED, 1)
    brought.later(minutes=2)
    brought.look()
    [intention] = brought.intentions()
    assert (intention.state, intention.begun) == (IntentState.STARTED, 2)
    assert brought.engine.starts == 1
    assert [run.intent for run in brought.runs()] == [intention.key]


def test_a_run_whose_token_expired_is_adopted_when_it_alone_can_be_ours(brought: Brought) -> None:
    brought.engine.lose_answers, brought.engine.lag = 1, timedelta(hours=9)
    brought.look()
    brought.later(hours=9)
    brought.look()
    [intention, *_] = brought.intentions()
    assert (intention.state, intention.run_id, brought.engine.starts) == (IntentState.STARTED, "run-0001", 1)


def test_a_start_about_which_nothing_can_be_known_is_never_repeated_blindly(brought: Brought) -> None:
    brought.engine.lose_answers = 1
    brought.look()
    lost = brought.engine.going[0]
    brought.engine.forget(lost)
    brought.later(hours=9)
    brought.look()
    [intention, *_] = brought.intentions()
    assert (intention.state, brought.engine.starts) == (IntentState.LOST, 1)
    assert any(message[0] == "run_given_up" for message in brought.messages)


def test_an_empty_list_right_after_a_start_is_not_yet_and_never_none(brought: Brought) -> None:
    brought.engine.lag = timedelta(minutes=3)
    brought.look()
    brought.look()
    [run] = brought.runs()
    assert (run.state, brought.engine.starts) == (RunState.UNSEEN, 1)
    brought.later(minutes=4)
    brought.look()
    assert brought.run(run.run_id).state is RunState.RUNNING


def test_what_a_failed_or_cancelled_run_wrote_is_in_no_delivery(watched: Brought) -> None:
    day = watched.base.clock().date()
    for state in (RunState.FAILED, RunState.CANCELLED):
        run_id = watched.engine.begin()
        watched.engine.write(run_id, "a.json")
        watched.engine.end(run_id, state, message="the source was in the way")
    whole = watched.engine.begin()
    key = watched.engine.write(whole, "a.json")
    watched.engine.end(whole)
    watched.look()
    watched.settle()
    assert watched.delivered(day) == [key]
    assert [message[0] for message in watched.messages] == ["run_failed", "run_failed"]


def test_a_partial_success_lands_what_succeeded_and_says_what_did_not(watched: Brought) -> None:
    run_id = watched.engine.begin()
    key = watched.engine.write(run_id, "a.json")
    watched.engine.end(run_id, RunState.PARTIAL, message="2 files could not be put", failed=2)
    watched.look()
    watched.settle()
    assert watched.delivered(watched.base.clock().date()) == [key]
    assert watched.run(run_id).error == "2 of its writes failed: 2 files could not be put"
    assert [message[0] for message in watched.messages] == ["run_incomplete"]


def test_a_failed_run_is_wanted_again_ever_later_and_given_up_in_the_end(brought: Brought) -> None:
    for _ in range(20):
        brought.look()
        for run_id in brought.engine.going:
            brought.engine.end(run_id, RunState.FAILED, message="quota used up")
        brought.later(minutes=2)
    [intention] = brought.intentions()
    assert (intention.state, intention.attempt, intention.error) == (IntentState.GIVEN_UP, 3, "quota used up")
    assert brought.engine.starts == 3


def test_slots_do_not_pile_up_behind_a_run_that_takes_longer(brought: Brought) -> None:
    brought.look()
    for _ in range(4):
        brought.later(hours=1)
        brought.look()
    assert len(brought.intentions()) == 1
    brought.engine.end(brought.engine.going[0])
    brought.look()
    brought.look()
    assert [i.key[-10:] for i in brought.intentions()] == ["T09:00:00Z", "T13:00:00Z"]


def test_a_run_that_stays_too_long_in_a_state_is_overdue_and_reported_once(brought: Brought) -> None:
    brought.look()
    brought.look()
    brought.later(hours=6)
    brought.look()
    brought.look()
    [run] = brought.runs()
    assert run.overdue
    assert [message[0] for message in brought.messages] == ["run_overdue"]
    brought.engine.end(run.run_id)
    brought.look()
    assert brought.run(run.run_id).ended


def test_a_run_that_its_engine_forgot_ends_as_failed(brought: Brought) -> None:
    brought.look()
    [run] = brought.runs()
    brought.engine.forget(run.run_id)
    brought.later(days=31)
    brought.look()
    assert (brought.run(run.run_id).state, brought.run(run.run_id).ended) == (RunState.FAILED, True)


def test_a_target_that_is_not_fit_is_not_started_and_reported_once(brought: Brought) -> None:
    brought.engine.findings = [Finding("flow f is Suspended; activate it")]
    for _ in range(3):
        brought.look()
        brought.later(minutes=5)
    assert brought.engine.starts == 0
    assert [message[0] for message in brought.messages] == ["target_refused"]
    brought.engine.findings = []
    brought.look()
    assert brought.engine.starts == 1
    assert brought.ledger.messages.troubles("crm") == {}


def test_objects_that_fit_no_feed_are_named_and_the_others_land(watched: Brought) -> None:
    run_id = watched.engine.begin()
    key = watched.engine.write(run_id, "a.json")
    watched.base.put(strange := f"{watched.source.prefix}elsewhere/{run_id}/b.json", b"1")
    watched.engine.executions[run_id].keys.append(strange)
    watched.engine.end(run_id)
    watched.look()
    watched.settle()
    assert watched.delivered(watched.base.clock().date()) == [key]
    assert watched.run(run_id).error == f"1 objects fit no feed: {named(strange)}"


def test_another_run_of_the_same_date_adds_to_its_delivery(watched: Brought) -> None:
    keys = []
    for _ in range(3):
        run_id = watched.engine.begin()
        keys.append(watched.engine.write(run_id, "a.json"))
        watched.engine.end(run_id)
        watched.look()
        watched.settle()
        watched.later(minutes=30)
    assert watched.delivered(watched.base.clock().date()) == sorted(keys)


def test_nothing_is_asked_twice_of_runs_that_have_landed(watched: Brought) -> None:
    for _ in range(30):
        run_id = watched.engine.begin()
        watched.engine.write(run_id, "a.json")
        watched.engine.end(run_id)
    watched.look()
    before = watched.base.fuse.burned
    watched.look()
    assert watched.base.fuse.burned - before < 10


def killed_at(brought: Brought, call: int) -> bool:
    """A look that is killed at that call of it; False when it has fewer."""
    brought.base.fuse.left = call
    try:
        brought.look()
    except Crash:
        return True
    finally:
        brought.base.fuse.left = -1
    return False


def test_a_kill_at_any_call_of_a_look_that_lands_loses_nothing_and_doubles_nothing() -> None:
    for call in range(200):
        brought = Brought.make(every=None)
        keys = []
        for _ in range(2):
            run_id = brought.engine.begin()
            keys.append(brought.engine.write(run_id, "a.json"))
            brought.engine.end(run_id)
        killed = killed_at(brought, call)
        brought.settle()
        brought.look()
        brought.settle()
        assert brought.delivered(brought.base.clock().date()) == sorted(keys), call
        assert [run.objects for run in brought.runs()] == [1, 1], call
        if not killed:
            break
    assert call > 20


def test_a_kill_at_any_call_of_a_look_that_starts_leads_to_one_run() -> None:
    for call in range(100):
        brought = Brought.make()
        killed = killed_at(brought, call)
        brought.later(minutes=2)
        brought.look()
        assert brought.engine.starts == 1, call
        assert [i.state for i in brought.intentions()] == [IntentState.STARTED], call
        brought.engine.end(brought.engine.going[0])
        brought.look()
        brought.look()
        assert [i.state for i in brought.intentions()] == [IntentState.FULFILLED], call
        if not killed:
            break
    assert call > 5


def test_what_a_listing_brought_before_its_run_had_ended_is_delivered_with_it(watched: Brought) -> None:
    first, second = watched.engine.begin(), watched.engine.begin()
    keys = [watched.engine.write(first, "a.json"), watched.engine.write(second, "b.json")]
    Arrivals(watched.source, watched.base.s3, watched.ledger).reconcile()
    for run_id in (first, second):
        watched.engine.end(run_id)
        watched.look()
        watched.settle()
    assert watched.delivered(watched.base.clock().date()) == sorted(keys)


def test_a_memory_of_runs_in_the_future_is_no_memory(watched: Brought) -> None:
    run_id = watched.engine.begin()
    watched.engine.end(run_id)
    watched.newest = {"contacts": watched.base.clock() + timedelta(days=400)}
    watched.look()
    assert watched.run(run_id).ended


def test_a_look_without_time_goes_on_where_the_last_one_stopped(watched: Brought) -> None:
    keys = []
    for _ in range(5):
        run_id = watched.engine.begin()
        keys.append(watched.engine.write(run_id, "a.json"))
        watched.engine.end(run_id)
        watched.later(minutes=1)
    for _ in range(5):
        found = watched.watch.look(watched.newest, Budget.of(0, lambda: 0.0))
        watched.newest = dict(found.newest)
    assert len([run for run in watched.runs() if run.ended]) == 5
    watched.settle()
    assert watched.delivered(watched.base.clock().date()) == sorted(keys)


def test_a_run_that_somebody_stops_is_not_started_again_though_its_engine_calls_it_failed(brought: Brought) -> None:
    brought.engine.limits = replace(LIMITS, tells_cancelled=False)
    brought.look()
    [run] = brought.runs()
    brought.watch.cancel(brought.target, run)
    assert brought.engine.executions[run.run_id].run.state is RunState.FAILED
    for _ in range(3):
        brought.look()
        brought.later(minutes=5)
    assert brought.run(run.run_id).state is RunState.CANCELLED
    assert [i.state for i in brought.intentions()] == [IntentState.GIVEN_UP]
    assert brought.engine.starts == 1


@pytest.mark.parametrize("tells", [True, False])
def test_a_run_that_fails_before_its_engine_is_asked_to_stop_it_has_failed(brought: Brought, tells: bool) -> None:
    brought.engine.limits = replace(LIMITS, tells_cancelled=tells)
    brought.look()
    [run] = brought.runs()
    assert stop_killed_at(brought, 2)
    assert brought.run(run.run_id).unwanted
    brought.engine.end(run.run_id, RunState.FAILED, message="quota used up")
    for _ in range(3):
        brought.look()
        brought.later(minutes=5)
    assert (brought.run(run.run_id).state, brought.engine.starts) == (RunState.FAILED, 1)
    assert [(i.state, i.error) for i in brought.intentions()] == [(IntentState.GIVEN_UP, "quota used up")]


def stop_killed_at(brought: Brought, call: int) -> bool:
    """A wish to stop the only run that is killed at that call; False when it has fewer."""
    [run] = brought.runs()
    brought.base.fuse.left = call
    try:
        brought.watch.cancel(brought.target, run)
    except Crash:
        return True
    finally:
        brought.base.fuse.left = -1
    return False


@pytest.mark.parametrize("tells", [True, False])
def test_a_wish_to_stop_a_run_survives_a_kill_at_any_call(tells: bool) -> None:
    for call in range(20):
        brought = Brought.make()
        brought.engine.limits = replace(LIMITS, tells_cancelled=tells)
        brought.look()
        [run] = brought.runs()
        killed = stop_killed_at(brought, call)
        wanted = not brought.run(run.run_id).unwanted
        for _ in range(2):
            brought.look()
        row = brought.run(run.run_id)
        if wanted:
            assert row.state is RunState.RUNNING, call
        else:
            assert row.state is RunState.CANCELLED or (not tells and row.state is RunState.FAILED), call
            brought.later(minutes=30)
            brought.look()
            assert brought.engine.starts == 1, call
        if not killed:
            break
    assert call > 3


def test_a_wish_to_stop_a_run_whose_answer_is_lost_is_repeated_by_a_look(brought: Brought) -> None:
    brought.look()
    [run] = brought.runs()
    brought.engine.lose_answers = 1
    with pytest.raises(TransientFailure):
        brought.watch.cancel(brought.target, run)
    brought.look()
    brought.look()
    assert brought.run(run.run_id).state is RunState.CANCELLED
    assert [i.state for i in brought.intentions()] == [IntentState.GIVEN_UP]


def test_a_run_that_ended_before_its_engine_is_asked_is_not_called_cancelled(brought: Brought) -> None:
    brought.engine.limits = replace(LIMITS, tells_cancelled=False)
    brought.look()
    [run] = brought.runs()
    brought.engine.end(run.run_id, RunState.FAILED, message="quota used up")
    with pytest.raises(PermanentFailure, match="has ended: it was failed"):
        brought.watch.cancel(brought.target, run)
    brought.look()
    brought.look()
    assert brought.run(run.run_id).state is RunState.FAILED
    brought.later(minutes=5)
    brought.look()
    assert brought.engine.starts == 2


def test_a_run_that_is_stopped_twice_stays_cancelled(brought: Brought) -> None:
    brought.engine.limits = replace(LIMITS, tells_cancelled=False)
    brought.look()
    [run] = brought.runs()
    for _ in range(2):
        brought.watch.cancel(brought.target, run)
    brought.look()
    row = brought.run(run.run_id)
    assert (row.state, row.unwanted, row.cancelled) == (RunState.CANCELLED, True, True)


def test_a_refusal_that_nobody_waited_for_is_told(brought: Brought) -> None:
    brought.look()
    [run] = brought.runs()
    assert stop_killed_at(brought, 2)
    brought.engine.refuses_to_cancel = True
    brought.look()
    assert not brought.run(run.run_id).unwanted
    assert [message[0] for message in brought.messages] == ["run_not_stopped"]


def test_what_was_given_up_has_failed_until_a_run_brings_data_and_can_be_retried(brought: Brought) -> None:
    for _ in range(20):
        brought.look()
        for run_id in brought.engine.going:
            brought.engine.end(run_id, RunState.FAILED, message="quota used up")
        brought.later(minutes=2)
    [failed] = failed_runs(brought.ledger, "crm", ["contacts"])
    assert str(failed).startswith("crm/contacts slot/2026-03-14T09:00:00Z: given up: quota used up; mend it")
    services: Any = brought.base
    assert failed.retry(services).changed
    assert failed_runs(brought.ledger, "crm", ["contacts"]) == []
    brought.look()
    assert brought.engine.starts == 4


def test_a_refused_start_started_nothing_so_that_no_later_run_is_taken_for_it(brought: Brought) -> None:
    foreign = brought.engine.begin()
    for _ in range(10):
        brought.look()
        brought.later(hours=1)
    [intention] = brought.intentions()
    assert (intention.begun, intention.begun_at) == (0, None)
    brought.engine.end(foreign, RunState.FAILED)
    brought.look()
    brought.look()
    assert [(i.state, i.run_id) for i in brought.intentions()] == [(IntentState.STARTED, "run-0002")]


def test_an_overdue_run_holds_up_no_later_slot(brought: Brought) -> None:
    brought.look()
    [lost] = brought.runs()
    brought.engine.forget(lost.run_id)
    brought.look()
    for _ in range(3):
        brought.later(hours=1)
        brought.look()
    assert [i.key[-10:] for i in brought.intentions()] == ["T09:00:00Z", "T10:00:00Z"]
    assert [message[0] for message in brought.messages] == ["run_overdue"]


def test_what_may_pass_is_reported_when_it_does_not(brought: Brought) -> None:
    asked: list[str] = []

    def throttled() -> None:
        asked.append("asked")
        raise client_error("ThrottlingException", 400)

    brought.engine.call = throttled
    for _ in range(14):
        brought.look()
        brought.later(minutes=1)
    assert (len(asked), brought.messages) == (14, [])
    for _ in range(4):
        brought.look()
        brought.later(minutes=1)
    assert [message[0] for message in brought.messages] == ["target_refused"]
    brought.engine.call = lambda: None
    brought.look()
    assert brought.ledger.messages.troubles("crm") == {}


def test_a_target_that_does_not_answer_takes_the_time_of_no_other(brought: Brought) -> None:
    asked: list[str] = []
    budget = Budget(lambda: len(asked), 1)

    def silent(name: str) -> Target:
        def call() -> None:
            asked.append(name)
            raise client_error("ThrottlingException", 400)

        return Target(name, replace(brought.engine, call=call), brought.every)

    services: Any = brought.base
    watch = Watch(services, brought.source, [silent("first"), silent("second"), brought.target])
    watch.look(budget=budget)
    assert (asked, brought.engine.starts) == (["first"], 0)
    asked.clear()
    watch.look(budget=budget)
    assert (asked, brought.engine.starts) == (["second"], 0)
    asked.clear()
    watch.look(budget=budget)
    assert (asked, brought.engine.starts) == (["first"], 1)


def test_a_target_that_others_start_is_looked_at_when_they_did(watched: Brought) -> None:
    watched.engine.findings = [Finding("flow f writes elsewhere")]
    watched.look()
    assert watched.messages == []
    key = watched.engine.write(run_id := watched.engine.begin(), "a.json")
    watched.engine.end(run_id)
    watched.look()
    watched.settle()
    assert watched.delivered(watched.base.clock().date()) == [key]
    assert [message[0] for message in watched.messages] == ["target_refused"]
    watched.look()
    assert len(watched.messages) == 1
    watched.engine.findings = []
    watched.look()
    assert watched.ledger.messages.troubles("crm") == {}


def test_runs_of_a_target_that_is_declared_no_more_are_waited_for_no_more(brought: Brought) -> None:
    brought.look()
    assert brought.look().active == 1
    brought.engine.forget("run-0001")
    brought.every = None
    assert brought.renamed("people").look().active == 0


def test_a_run_that_its_engine_does_not_stop_is_no_cancelled_one(brought: Brought) -> None:
    brought.look()
    [run] = brought.runs()
    brought.engine.refuses_to_cancel = True
    with pytest.raises(PermanentFailure, match="not allowed"):
        brought.watch.cancel(brought.target, run)
    assert not brought.run(run.run_id).unwanted


def test_a_run_is_stopped_though_it_moved_on_meanwhile_and_one_that_has_ended_is_not(brought: Brought) -> None:
    brought.look()
    [seen] = brought.runs()
    brought.look()
    assert brought.run(seen.run_id).revision > seen.revision
    brought.watch.cancel(brought.target, seen)
    assert brought.run(seen.run_id).cancelled
    brought.look()
    with pytest.raises(PermanentFailure, match="has ended: it was cancelled"):
        brought.watch.cancel(brought.target, seen)


def test_a_look_reads_no_old_runs_while_what_is_wanted_rests(brought: Brought) -> None:
    def calls(runs: int) -> int:
        world = Brought.make()
        world.every = None
        for _ in range(runs):
            world.engine.end(world.engine.begin())
            world.look()
            world.later(minutes=1)
        world.every = timedelta(hours=1)
        world.engine.begin()
        world.later(hours=1)
        world.look()
        [intention] = [i for i in world.intentions() if i.state is IntentState.INTENDED]
        assert intention.not_before
        before = world.base.fuse.burned
        world.look()
        return world.base.fuse.burned - before

    assert calls(30) == calls(2)


def test_a_start_that_is_postponed_rests_as_long_as_it_says_and_counts_as_none(brought: Brought) -> None:
    brought.engine.postpones = timedelta(minutes=7)
    brought.look()
    [intention] = brought.intentions()
    assert (intention.begun, intention.error) == (0, "not now")
    assert intention.not_before == brought.base.clock() + timedelta(minutes=7)
    brought.engine.postpones = None
    brought.later(minutes=6)
    brought.look()
    assert brought.engine.starts == 0
    brought.later(minutes=1)
    brought.look()
    assert (brought.engine.starts, brought.intentions()[0].begun) == (1, 1)


def fail_for_good(brought: Brought, message: str) -> None:
    for _ in range(3):
        brought.later(minutes=10)
        brought.look()
        for run_id in brought.engine.going:
            brought.engine.end(run_id, RunState.FAILED, message=message)
        brought.look()
    brought.look()


def test_of_a_target_that_tells_once_people_know_when_it_is_given_up_and_not_again_until_it_succeeds(
    brought: Brought,
) -> None:
    brought.once = True
    told: list[str] = []
    for message in ("down", "down", "refused"):
        fail_for_good(brought, message)
        brought.later(hours=1)
        told += [f"{each[0]}: {each[2]['error']}" for each in brought.messages]
        brought.messages.clear()
    assert told == ["run_given_up: down", "run_given_up: refused"]
    brought.look()
    [going] = brought.engine.going
    brought.engine.write(going, "a.json")
    brought.engine.end(going)
    brought.look()
    assert brought.ledger.messages.troubles("crm") == {}
    brought.later(hours=1)
    fail_for_good(brought, "refused")
    assert [each[0] for each in brought.messages] == ["run_given_up"]


def test_where_nobody_else_starts_runs_the_known_ones_are_not_looked_through(brought: Brought) -> None:
    def calls_of_a_slot() -> int:
        brought.later(hours=1)
        before = brought.base.fuse.burned
        brought.look()
        return brought.base.fuse.burned - before

    for alone in (False, True):
        brought.engine.limits = replace(LIMITS, alone=alone)
        brought.look()
        for run_id in brought.engine.going:
            brought.engine.end(run_id)
        brought.look()
        if not alone:
            every = calls_of_a_slot()
        else:
            assert calls_of_a_slot() == every - 1


def test_whether_a_target_is_fit_is_looked_at_where_that_is_doubtful(brought: Brought) -> None:
    brought.engine.findings = [Finding("it is not there")]
    doubts: list[bool] = [False, True]
    services: Any = brought.base
    for _ in range(2):
        target = replace(brought.target, doubtful=doubts.pop)
        Watch(services, brought.source, [target]).look()
        brought.later(hours=1)
    assert (doubts, brought.engine.starts) == ([], 1)
    [message] = brought.messages
    assert message[0] == "target_refused"


@pytest.fixture
def lines(brought: Brought) -> list[str]:
    """What the platform writes as metrics."""
    written: list[str] = []
    brought.base.metrics = Metrics(True, brought.base.clock, written.append)
    return written


def counted(lines: list[str]) -> list[tuple[str, float]]:
    """Values by name, that of failures with its kind."""
    values = values_of("".join(lines))
    assert {dict(each.dimensions)["source"] for each in values} <= {"crm"}
    assert {dict(each.dimensions).get("engine", "fake") for each in values} <= {"fake"}
    return [(_called(each), each.value) for each in values]


def _called(value: Value) -> str:
    return f"{value.name} {value['kind']}" if value.name == "failures" else value.name


def test_a_run_that_has_landed_counts_once(brought: Brought, lines: list[str]) -> None:
    brought.look()
    run_id = brought.intentions()[0].run_id
    brought.engine.write(run_id, "a.json")
    brought.later(minutes=7)
    brought.engine.end(run_id)
    assert lines == []
    brought.look()
    assert dict(counted(lines)) == {
        "engine_runs": 1,
        "engine_runs_failed": 0,
        "engine_run_seconds": 420,
        "engine_records": 1,
        "engine_failed_records": 0,
    }
    brought.look()
    assert len(lines) == 1


def test_runs_that_fail_until_they_are_given_up_count_as_failures_for_somebody(
    brought: Brought, lines: list[str]
) -> None:
    for _ in range(20):
        brought.look()
        for run_id, each in brought.engine.executions.items():
            if not each.run.final:
                brought.engine.end(run_id, RunState.FAILED, message="quota used up")
        brought.later(minutes=2)
        if brought.intentions()[0].state is IntentState.GIVEN_UP:
            break
    found = counted(lines)
    assert found.count(("failures transient", 1)) == found.count(("engine_runs_failed", 1)) == 3
    assert found.count(("failures permanent", 1)) == 1


def test_a_run_past_its_deadline_counts_when_that_is_noted(brought: Brought, lines: list[str]) -> None:
    brought.look()
    brought.later(hours=6)
    for _ in range(3):
        brought.look()
    brought.later(hours=6)
    for _ in range(3):
        brought.look()
    assert counted(lines).count(("engine_runs_overdue", 1)) == 1
