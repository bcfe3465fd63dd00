"""What an ended run wrote lands with its deliveries: exactly that, once, and nothing holds up the rest."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from adplatform.engines.engine import Claim
from adplatform.engines.landing import Landing
from adplatform.engines.notices import what_is_left
from adplatform.failures import MAX_TEXT, named
from adplatform.ledger.engine_run import EngineRun, RunState
from adplatform_tests.engines.fake_engine import LIMITS
from adplatform_tests.engines.world import Brought, settled_entries
from adplatform_tests.flow.world import Crash


@pytest.fixture
def watched() -> Brought:
    return Brought.make(every=None)


@pytest.fixture
def replicated() -> Brought:
    """Its runs write the same keys again and again, and say of each file which version they wrote."""
    return Brought.make(every=None, landing="exports/{date}/{file}")


def run_with(brought: Brought, *files: str, state: RunState = RunState.SUCCEEDED) -> list[str]:
    run_id = brought.engine.begin()
    keys = [brought.engine.write(run_id, file) for file in files]
    brought.engine.end(run_id, state)
    return keys


def replicate(brought: Brought, files: dict[str, bytes], state: RunState = RunState.SUCCEEDED) -> str:
    """A run that wrote these files of today's folder; its id."""
    run_id, day = brought.engine.begin(), brought.base.clock().date()
    for name, body in files.items():
        key = f"{brought.source.prefix}exports/{day}/{name}"
        version = brought.base.put(key, body)
        brought.engine.executions[run_id].claims.append(Claim(key, version, len(body)))
    brought.engine.end(run_id, state)
    return run_id


@pytest.mark.parametrize("noise", ["_SUCCESS", ".hidden", "b.json.tmp"])
def test_files_that_are_never_data_hold_up_no_date(watched: Brought, noise: str) -> None:
    [key, _] = run_with(watched, "a.json", noise)
    watched.look()
    watched.settle()
    assert watched.delivered(watched.base.clock().date()) == [key]
    assert ([run.objects for run in watched.runs()], watched.messages) == ([1], [])


def test_files_that_come_too_late_for_their_date_hold_up_no_date(watched: Brought) -> None:
    late = Brought.make(every=None, arrival={"accept_late": "1d"})
    day = late.base.clock().date()
    run_id = late.engine.begin()
    late.engine.end(run_id)
    late.later(days=5)
    late.engine.write(run_id, "a.json")
    late.look()
    again = late.engine.begin()
    key = late.engine.write(again, "b.json")
    late.engine.end(again)
    late.look()
    late.settle()
    assert late.delivered(day) == []
    assert late.delivered(late.base.clock().date()) == [key]
    assert late.ledger.objects.refused("crm") != []


def test_a_file_that_an_operator_excludes_holds_up_no_later_run(watched: Brought) -> None:
    day = watched.base.clock().date()
    [bad, good] = run_with(watched, "bad.json", "good.json")
    watched.look()
    watched.settle()
    [obj] = [o for o in watched.ledger.objects.of_day(watched.flow.name, day) if o.key == bad]
    watched.ledger.objects.exclude(watched.flow.name, obj, "broken")
    [more] = run_with(watched, "more.json")
    watched.look()
    watched.settle()
    assert watched.delivered(day) == sorted([good, more])


def test_a_file_that_its_run_reports_and_nobody_finds_is_an_outcome_and_holds_up_nothing(replicated: Brought) -> None:
    day = replicated.base.clock().date()
    run_id = replicate(replicated, {"a.csv": b"a"})
    gone = f"{replicated.source.prefix}exports/{day}/gone.csv"
    replicated.engine.executions[run_id].claims.append(Claim(gone, size=3))
    replicated.look()
    replicated.settle()
    assert [key.rpartition("/")[2] for key in replicated.delivered(day)] == ["a.csv"]
    assert replicated.run(run_id).error == f"1 objects that it reports are not there: {named(gone)}"
    assert [message[0] for message in replicated.messages] == ["run_incomplete"]


def test_a_file_of_another_size_than_reported_is_an_outcome_and_not_delivered(replicated: Brought) -> None:
    run_id = replicate(replicated, {"a.csv": b"a", "cut.csv": b"cut"})
    claims = replicated.engine.executions[run_id].claims
    claims[1] = replace(claims[1], size=300)
    replicated.look()
    replicated.settle()
    assert [key.rpartition("/")[2] for key in replicated.delivered(replicated.base.clock().date())] == ["a.csv"]
    assert replicated.run(run_id).error.startswith("1 objects have another size than it reports:")


def test_a_file_with_a_fault_is_an_outcome_and_not_delivered(replicated: Brought) -> None:
    run_id = replicate(replicated, {"a.csv": b"a", "bad.csv": b"bad"})
    claims = replicated.engine.executions[run_id].claims
    claims[1] = replace(claims[1], fault="failed their verification")
    replicated.look()
    replicated.settle()
    assert [key.rpartition("/")[2] for key in replicated.delivered(replicated.base.clock().date())] == ["a.csv"]
    assert replicated.run(run_id).error.startswith("1 objects failed their verification:")


def test_what_is_said_of_a_run_fits_into_the_ledger_however_many_reasons_there_are() -> None:
    run = EngineRun("acme", "files", "1", state=RunState.SUCCEEDED)
    left = {f"could not be fetched (reason {number}, {'x' * 200})": [f"/out/{number}"] for number in range(5_000)}
    assert len(what_is_left(Landing(run, left), nowhere=False)) <= MAX_TEXT


def test_a_run_of_which_it_cannot_be_read_what_it_wrote_waits_and_holds_up_no_other(watched: Brought) -> None:
    damaged = watched.engine.begin()
    keys = [watched.engine.write(damaged, "a.json")]
    watched.engine.end(damaged)
    watched.engine.executions[damaged].damaged = True
    keys += run_with(watched, "b.json")
    for _ in range(2):
        watched.look()
        watched.settle()
    assert watched.delivered(watched.base.clock().date()) == keys[1:]
    assert [message[0] for message in watched.messages] == ["run_overdue"]
    watched.engine.executions[damaged].damaged = False
    watched.look()
    watched.settle()
    assert watched.delivered(watched.base.clock().date()) == sorted(keys)


def test_a_run_of_many_files_is_listed_in_an_object_alone(watched: Brought) -> None:
    keys = run_with(watched, *(f"{number}.json" for number in range(200)))
    watched.look()
    watched.settle()
    day = watched.base.clock().date()
    assert watched.delivered(day) == sorted(keys)
    [landed] = watched.ledger.engine_runs.landed_on(watched.flow.name, day)
    assert (landed.objects, landed.files) == (200, "")


def test_a_run_that_moved_records_of_which_none_is_found_has_failed(watched: Brought) -> None:
    run_id = watched.engine.begin()
    watched.engine.end(run_id, records=12)
    watched.look()
    run = watched.run(run_id)
    assert (run.state, run.error) == (
        RunState.FAILED,
        "it moved 12 records, and none is where it should be; `adplatform engines check` says where it writes",
    )
    assert [message[0] for message in watched.messages] == ["run_failed"]


def test_what_a_failed_run_is_proven_to_have_written_is_delivered(replicated: Brought) -> None:
    replicated.engine.limits = replace(LIMITS, proves_files=True)
    run_id = replicate(replicated, {"a.csv": b"a"}, RunState.FAILED)
    replicated.look()
    replicated.settle()
    assert [key.rpartition("/")[2] for key in replicated.delivered(replicated.base.clock().date())] == ["a.csv"]
    run = replicated.run(run_id)
    assert (run.state, run.objects) == (RunState.FAILED, 1)
    assert run.error == "it ended as failed; the 1 objects that it brought are delivered"


def test_the_version_that_an_ended_run_wrote_is_delivered_and_not_what_the_next_is_writing(
    replicated: Brought,
) -> None:
    day = replicated.base.clock().date()
    first = replicate(replicated, {"a.csv": b"first"})
    second = replicated.engine.begin()
    key = f"{replicated.source.prefix}exports/{day}/a.csv"
    newer = replicated.base.put(key, b"second, longer")
    replicated.look()
    replicated.settle()
    [entry] = settled_entries(replicated, day)
    assert entry["version"] == replicated.engine.executions[first].claims[0].version
    replicated.engine.executions[second].claims.append(Claim(key, newer, len(b"second, longer")))
    replicated.engine.end(second)
    replicated.look()
    replicated.settle()
    [entry] = settled_entries(replicated, day)
    assert entry["version"] == newer


def test_of_a_key_that_two_runs_wrote_the_one_that_ended_last_counts_in_whatever_order_they_land(
    replicated: Brought,
) -> None:
    day = replicated.base.clock().date()
    first = replicate(replicated, {"a.csv": b"first", "b.csv": b"b"})
    replicated.later(minutes=1)
    second = replicate(replicated, {"a.csv": b"second"})
    hidden = replicated.engine.executions[first]
    hidden.visible_at = replicated.base.clock() + timedelta(minutes=5)
    replicated.look()
    replicated.settle()
    replicated.later(minutes=6)
    replicated.look()
    replicated.settle()
    entries = {entry["key"].rpartition("/")[2]: entry["version"] for entry in settled_entries(replicated, day)}
    assert entries == {
        "a.csv": replicated.engine.executions[second].claims[0].version,
        "b.csv": hidden.claims[1].version,
    }


def test_without_a_date_in_its_key_a_file_is_of_the_day_it_was_written() -> None:
    brought = Brought.make(every=None, landing="exports/{file}")
    day, run_id = brought.base.clock().date(), brought.engine.begin()
    key = f"{brought.source.prefix}exports/a.csv"
    brought.base.put(key, b"a")
    brought.engine.executions[run_id].claims.append(Claim(key, size=1))
    brought.later(days=1)
    brought.engine.end(run_id)
    brought.look()
    brought.settle()
    assert brought.delivered(day) == [key]


def test_files_of_a_feed_that_was_renamed_hold_up_nothing(watched: Brought) -> None:
    day = watched.base.clock().date()
    run_with(watched, "a.json")
    watched.look()
    watched.settle()
    renamed = watched.renamed("people")
    [key] = run_with(renamed, "b.json")
    renamed.look()
    renamed.settle()
    assert renamed.delivered(day) == [key]


def test_a_landing_that_is_repeated_after_a_kill_makes_no_version_more() -> None:
    for call in range(200):
        brought = Brought.make(every=None)
        day = brought.base.clock().date()
        keys = run_with(brought, "a.json", "b.json")
        cut = killed(brought, brought.look, call)
        brought.settle()
        for _ in range(3):
            brought.look()
            brought.settle()
        more = run_with(brought, "c.json")
        brought.look()
        brought.settle()
        assert brought.delivered(day) == sorted([*keys, *more]), call
        assert [(run.state, run.objects) for run in brought.runs()] == [
            (RunState.SUCCEEDED, 2),
            (RunState.SUCCEEDED, 1),
        ], call
        assert brought.ledger.deliveries.get(brought.flow.name, day).version == 2, call
        if not cut:
            break
    assert call > 15


def test_a_landing_that_is_repeated_while_its_version_is_being_archived_forgets_no_object() -> None:
    last = calls_of_a_look()
    for call in range(200):
        brought = Brought.make(every=None)
        day = brought.base.clock().date()
        keys = run_with(brought, "a.json", "b.json", "c.json")
        assert killed(brought, brought.look, last - 1)
        whole = not killed(brought, brought.settle, call)
        brought.look()
        more = run_with(brought, "d.json")
        for _ in range(3):
            brought.look()
            brought.settle()
        assert brought.delivered(day) == sorted([*keys, *more]), call
        if whole:
            break
    assert call > 15


def test_a_file_that_only_a_repeated_landing_finds_is_delivered_with_those_before() -> None:
    for call in range(calls_of_a_look()):
        for settles in (False, True):
            brought = Brought.make(every=None)
            day = brought.base.clock().date()
            keys = run_with(brought, "a.json", "b.json", "c.json")
            assert killed(brought, brought.look, call)
            if settles:
                brought.settle()
            keys.append(brought.engine.write("run-0001", "late.json"))
            for _ in range(2):
                brought.look()
                brought.settle()
            assert brought.delivered(day) == sorted(keys), (call, settles)
            [landed] = brought.ledger.engine_runs.landed_on(brought.flow.name, day)
            assert (landed.objects, brought.run("run-0001").objects) == (4, 4), (call, settles)
    assert call > 10


def test_what_a_run_over_midnight_moved_is_told_of_no_date_alone_however_often_its_landing_is_repeated() -> None:
    for call in range(200):
        brought = Brought.make(every=None)
        first = brought.base.clock().date()
        run_id = brought.engine.begin()
        keys = [brought.engine.write(run_id, "a.json")]
        brought.later(days=1)
        second = brought.base.clock().date()
        brought.engine.executions[run_id].day = second
        keys.append(brought.engine.write(run_id, "b.json"))
        brought.engine.end(run_id)
        cut = killed(brought, brought.look, call)
        brought.settle()
        brought.look()
        brought.settle()
        assert brought.delivered(first) + brought.delivered(second) == keys, call
        rows = [row for day in (first, second) for row in brought.ledger.engine_runs.landed_on(brought.flow.name, day)]
        assert [row.records for row in rows] == [None, None], call
        assert brought.run(run_id).objects == 2, call
        if not cut:
            break
    assert call > 15


def test_what_a_run_of_one_date_moved_is_told_of_it_however_often_its_landing_is_repeated() -> None:
    for call in range(200):
        brought = Brought.make(every=None)
        day = brought.base.clock().date()
        run_with(brought, "a.json", "b.json")
        cut = killed(brought, brought.look, call)
        brought.settle()
        brought.look()
        brought.settle()
        [row] = brought.ledger.engine_runs.landed_on(brought.flow.name, day)
        assert row.records == 2, call
        if not cut:
            break
    assert call > 15


def killed(brought: Brought, work: Callable[[], object], call: int) -> bool:
    """Do the work up to that call; False when it has fewer."""
    brought.base.fuse.left = call
    try:
        work()
    except Crash:
        return True
    finally:
        brought.base.fuse.left = -1
    return False


def calls_of_a_look() -> int:
    """How many calls it takes to land a run of three objects, up to the one that makes it landed."""
    for call in range(200):
        trial = Brought.make(every=None)
        run_with(trial, "a.json", "b.json", "c.json")
        killed(trial, trial.look, call)
        if trial.runs() and trial.runs()[0].ended:
            return call
    raise AssertionError("a look lands nothing")
