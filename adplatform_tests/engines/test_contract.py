"""What every managed engine owes the life of its runs, before a stand-in that really moves data."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adplatform.engines.engine import Busy, Started
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.local.world.saas.server import serving
from adplatform.platform.aws import Aws
from adplatform_tests.engines.benches import (
    Bench,
    appflow_bench,
    connector_bench,
    crawler_bench,
    datasync_bench,
    glue_bench,
    spark_emr_bench,
    spark_glue_bench,
)
from adplatform_tests.local.aws.appflow_world import new_world

ENGINES = ("appflow", "connector", "crawler", "datasync", "glue", "spark_emr", "spark_glue")
of_one = pytest.mark.parametrize(
    "bench", [pytest.param(n, marks=() if n == "appflow" else pytest.mark.slow) for n in ENGINES], indirect=True
)
"""What engines do alike is asked of one in every run of the tests: the others differ in how runs start, end and fail,
and in what they have written."""


@pytest.fixture(params=ENGINES)
def bench(request: pytest.FixtureRequest, aws: Aws, aws_endpoint: str) -> Iterator[Bench]:
    alone = {"crawler": crawler_bench, "datasync": datasync_bench}
    if request.param in alone:
        yield alone[request.param](aws, aws_endpoint)
        return
    if request.param == "glue":
        yield glue_bench(request.getfixturevalue("services"), request.getfixturevalue("shop"))
        return
    transforms = {"spark_emr": spark_emr_bench, "spark_glue": spark_glue_bench}
    if request.param in transforms:
        yield transforms[request.param](request.getfixturevalue("services"))
        return
    if request.param == "connector":
        yield connector_bench(request.getfixturevalue("services"), request.getfixturevalue("sftp_host"))
        return
    with serving(new_world()) as saas:
        yield appflow_bench(aws, aws_endpoint, saas)


def order(bench: Bench, fault: str, **more: Any) -> None:
    if fault in bench.lacks:
        pytest.skip(f"this engine cannot have {fault}")
    bench.order(fault, **more)


def shown(bench: Bench) -> None:
    """For what an engine owes that shows its runs to whoever asks, and takes a repeated start for one."""
    if bench.engine.limits.alone:
        pytest.skip("nobody is shown the runs of this engine, and no start is repeated")


def wanted(key: str = "slot/1", begun: int = 1) -> Intention:
    return Intention("crm", "contacts", key, begun=begun, begun_at=datetime.now(UTC))


def started(bench: Bench, intention: Intention | None = None) -> str:
    answer = bench.engine.start(intention or wanted())
    assert isinstance(answer, Started)
    return answer.run_id


def test_a_target_that_is_fit_has_no_findings(bench: Bench) -> None:
    assert list(bench.checks[0].check()) == []


def test_a_target_that_is_not_there_is_named(bench: Bench) -> None:
    for call in (
        bench.checks[1].check,
        lambda: bench.nowhere.start(wanted()),
        lambda: bench.nowhere.observe(["x"]),
    ):
        with pytest.raises(PermanentFailure, match=r"there is no .*nobody[-_]"):
            call()


def test_asked_twice_for_one_intention_it_starts_one_run(bench: Bench) -> None:
    shown(bench)
    first = started(bench)
    assert bench.engine.start(wanted(begun=2)) == Started(first, adopted=True)
    bench.wait(first)
    assert bench.engine.start(wanted(begun=3)) == Started(first, adopted=True)
    assert bench.runs() == 1


@of_one
def test_another_attempt_is_another_run(bench: Bench) -> None:
    first = started(bench)
    bench.wait(first)
    assert started(bench, replace(wanted(), attempt=2)) != first


def test_while_a_run_goes_on_another_is_not_started(bench: Bench) -> None:
    shown(bench)
    if bench.beside:
        pytest.skip("runs of this engine go on beside each other")
    order(bench, "stuck")
    going = bench.foreign()
    assert bench.engine.start(wanted()) == Busy(going)
    assert bench.runs() == 1


def test_a_start_whose_answer_was_lost_is_found_again(bench: Bench) -> None:
    order(bench, "answer_lost")
    with pytest.raises(TransientFailure):
        bench.engine.start(wanted())
    again = bench.engine.start(wanted(begun=2))
    assert isinstance(again, Started)
    assert again.adopted
    assert bench.runs() == 1


@of_one
def test_a_run_that_is_not_shown_yet_is_missing_and_no_error(bench: Bench) -> None:
    run = started(bench)
    order(bench, "no_records", times=2)
    assert bench.engine.observe([run]) == {}
    assert list(bench.engine.recent(datetime.now(UTC) - timedelta(hours=1))) == []
    assert run in bench.engine.observe([run])


@of_one
def test_a_run_is_found_wherever_the_list_has_it(bench: Bench) -> None:
    runs = []
    if "run_fails" not in bench.lacks:
        bench.order("run_fails", count=0, times=2)  # what the first two bring matters nothing here
    for number in range(3):
        runs.append(started(bench, wanted(f"slot/{number}")))
        bench.wait(runs[-1])
    order(bench, "on_page_2", times=2)
    assert bench.engine.observe([runs[-1]]).keys() == {runs[-1]}
    assert set(runs) <= {run.run_id for run in bench.engine.recent(datetime.now(UTC) - timedelta(hours=1))}


def test_a_run_is_final_once_it_has_ended(bench: Bench) -> None:
    order(bench, "stuck", seconds=0.5)
    run = started(bench)
    going = bench.engine.observe([run])[run]
    assert going.state in (RunState.WAITING, RunState.RUNNING)
    assert not going.final
    bench.wait(run)
    ended = bench.engine.observe([run])[run]
    assert (ended.state, ended.final) == (RunState.SUCCEEDED, True)
    assert not ended.failed
    assert bool(ended.records or ended.files) is bench.brings
    assert ended.started_at
    assert ended.ended_at
    assert ended.started_at <= ended.ended_at


def test_runs_of_others_are_seen_from_their_start_on(bench: Bench) -> None:
    shown(bench)
    before = datetime.now(UTC) - timedelta(seconds=1)
    run = bench.foreign()
    assert [each.run_id for each in bench.engine.recent(before)] == [run]
    assert list(bench.engine.recent(datetime.now(UTC) + timedelta(minutes=1))) == []


def test_a_run_claims_what_it_wrote_and_nothing_else(bench: Bench) -> None:
    runs = []
    for _ in range(2):
        runs.append(bench.foreign())
        bench.wait(runs[-1])
    for run_id, run in bench.engine.observe(runs).items():
        claims = list(bench.engine.claims(run))
        assert {claim.key for claim in claims} == bench.written(run_id)
        assert bool(claims) is bench.brings
        assert all(claim.size for claim in claims)


def test_a_success_with_failures_is_partial(bench: Bench) -> None:
    order(bench, "put_failures", count=1)
    run = bench.foreign()
    bench.wait(run)
    seen = bench.engine.observe([run])[run]
    assert (seen.state, seen.failed, seen.final) == (RunState.PARTIAL, 1, True)
    assert {claim.key for claim in bench.engine.claims(seen)} == bench.written(run)


def test_a_failed_run_says_why(bench: Bench) -> None:
    order(bench, "run_fails", count=0)
    run = bench.foreign()
    bench.wait(run)
    seen = bench.engine.observe([run])[run]
    assert (seen.state, seen.final) == (RunState.FAILED, True)
    assert seen.message


def test_a_run_whose_connection_expired_has_failed(bench: Bench) -> None:
    order(bench, "connection_expired")
    run = bench.foreign()
    bench.wait(run)
    assert bench.engine.observe([run])[run].state is RunState.FAILED


def test_exactly_one_run_is_cancelled_and_an_ended_one_is_no_error(bench: Bench) -> None:
    if not bench.stops:
        with pytest.raises(PermanentFailure, match="ends by itself"):
            bench.engine.cancel(bench.foreign())
        return
    ended = bench.foreign()
    bench.wait(ended)
    order(bench, "stuck")
    going = bench.foreign()
    assert bench.engine.cancel(going)
    bench.wait(going)
    assert not bench.engine.cancel(ended)
    seen = bench.engine.observe([ended, going])
    assert seen[ended].state is RunState.SUCCEEDED
    assert seen[going].state is (RunState.CANCELLED if bench.engine.limits.tells_cancelled else RunState.FAILED)


@of_one
def test_a_run_that_is_forgotten_is_missing(bench: Bench) -> None:
    run = bench.foreign()
    bench.wait(run)
    order(bench, "history_expired", seconds=0)
    assert bench.engine.observe([run]) == {}


@of_one
def test_a_throttled_call_may_pass_later(bench: Bench) -> None:
    for call in (bench.checks[0].check, lambda: bench.engine.start(wanted()), lambda: bench.engine.observe(["x"])):
        order(bench, "throttled")
        with pytest.raises(TransientFailure):
            call()
    assert isinstance(bench.engine.start(wanted()), Started)
