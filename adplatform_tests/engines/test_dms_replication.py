"""A replication of DMS as an engine: what it says becomes states, and a start goes on where the last run stopped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from adplatform.engines.declared_replications import DeclaredReplication, provide, target_request
from adplatform.engines.dms import RESUME, START, Dms, Replication, Serverless, TableStatistics, Task
from adplatform.engines.dms_replication import DmsReplication, run_id
from adplatform.engines.engine import Busy, Started
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.platform.aws import Aws
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import DmsTask, dms_task, endpoint_of

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
READY = Replication("arn", "live", "ready", "full-load-and-cdc")
RUNNING = replace(READY, status="running", begun=AT)
WANTED = Intention("shop", "replication", "kept/first", begun=1, begun_at=AT)


@dataclass
class Scripted:
    """A replication that says what a test wants; ``answers`` are what starts of it come to."""

    said: Replication
    answers: list[bool] = field(default_factory=lambda: [True])
    started: list[str] = field(default_factory=list)
    shows: bool = True
    named: str = "live"

    def described(self) -> Replication:
        return self.said

    def start(self, kind: str) -> bool:
        self.started.append(kind)
        if self.answers[0] and self.shows:
            self.said = replace(self.said, status="starting", begun=AT + timedelta(hours=len(self.started)))
        return self.answers.pop(0)

    def stop(self) -> bool:
        return True

    def statistics(self) -> list[TableStatistics]:
        return []

    def reload(self, tables: Sequence[tuple[str, str]]) -> bool:
        return True


def engine(dms: Dms, opened: list[str] | None = None) -> DmsReplication:
    return DmsReplication(dms, (opened if opened is not None else []).append)


@pytest.mark.parametrize(
    ("said", "state", "message"),
    [
        (RUNNING, RunState.RUNNING, ""),
        (replace(RUNNING, errored=2), RunState.RUNNING, "2 tables are in error"),
        (replace(RUNNING, status="starting"), RunState.WAITING, ""),
        (replace(RUNNING, status="provisioning_capacity"), RunState.WAITING, ""),
        (
            replace(RUNNING, status="stopped", stop_reason="Stop Reason FULL_LOAD_ONLY_FINISHED"),
            RunState.SUCCEEDED,
            "FULL_LOAD_ONLY_FINISHED",
        ),
        (replace(RUNNING, status="stopped", stop_reason="Stop Reason NORMAL"), RunState.CANCELLED, "NORMAL"),
        (replace(RUNNING, status="stopped", stop_reason="Stop Reason FATAL_ERROR"), RunState.FAILED, "FATAL_ERROR"),
        (replace(RUNNING, status="failed", message="the slot is lost"), RunState.FAILED, "the slot is lost"),
    ],
)
def test_what_dms_says_is_a_state_with_its_reason(said: Replication, state: RunState, message: str) -> None:
    [run] = engine(Scripted(said)).recent(AT - timedelta(days=1))
    assert (run.state, run.final) == (state, state not in (RunState.WAITING, RunState.RUNNING))
    assert message in run.message


def test_the_first_start_opens_a_load_and_a_later_one_goes_on() -> None:
    opened: list[str] = []
    first = Scripted(READY)
    assert engine(first, opened).start(WANTED) == Started(run_id(first.said))
    assert (first.started, len(opened)) == ([START], 1)
    failed = Scripted(replace(RUNNING, status="failed"))
    assert isinstance(engine(failed, opened).start(WANTED), Started)
    assert (failed.started, len(opened)) == ([RESUME], 1)


def test_one_that_runs_is_not_started_and_a_start_whose_answer_was_lost_is_found_again() -> None:
    running = Scripted(RUNNING)
    assert engine(running).start(WANTED) == Busy(run_id(RUNNING))
    assert engine(running).start(replace(WANTED, begun=2)) == Started(run_id(RUNNING), adopted=True)
    assert running.started == []


def test_a_start_that_dms_refuses_for_now_is_tried_later() -> None:
    assert engine(Scripted(READY, answers=[False])).start(WANTED) == Busy()
    with pytest.raises(TransientFailure, match="does not show it yet"):
        engine(Scripted(READY, shows=False)).start(WANTED)


def test_a_full_load_that_is_done_is_not_resumed() -> None:
    done = replace(RUNNING, status="stopped", migration="full-load")
    with pytest.raises(PermanentFailure, match="adplatform reload"):
        engine(Scripted(done)).start(WANTED)


def test_a_run_that_was_followed_by_another_has_ended() -> None:
    later = replace(RUNNING, begun=AT + timedelta(hours=1))
    found = engine(Scripted(later)).observe([run_id(RUNNING), run_id(later)])
    assert {each: run.final for each, run in found.items()} == {run_id(RUNNING): True, run_id(later): False}


@pytest.fixture
def task(aws: Aws, shop: Database) -> Iterator[DmsTask]:
    shop.execute("CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (1), (2)")
    with dms_task(aws, shop, "public.orders") as made:
        yield made


def test_a_task_is_known_by_its_identifier_and_its_arn(aws: Aws, task: DmsTask) -> None:
    dms = aws.client("dms")
    by_arn = Task(dms, task.arn).described()
    assert Task(dms, by_arn.name).described() == by_arn
    with pytest.raises(PermanentFailure, match="0 tasks called 'nobody'"):
        Task(dms, "nobody").described()


def test_a_task_is_started_watched_loaded_again_and_stopped(aws: Aws, task: DmsTask) -> None:
    dms = Task(aws.client("dms"), task.arn)
    assert not dms.stop()
    assert not dms.reload([("public", "orders")])
    assert dms.start(START)
    task.wait_for("running")
    assert not dms.start(RESUME)
    task.wait_until_caught_up()
    [table] = dms.statistics()
    assert (table.name, table.state, table.loaded, table.changes) == ("public.orders", "Table completed", 2, 0)
    assert dms.reload([("public", "orders")])
    task.wait_until_caught_up()
    [again] = dms.statistics()
    assert again.load_begun and table.load_ended and again.load_begun > table.load_ended
    assert engine(dms).cancel(run_id(dms.described()))
    task.wait_for("stopped")
    assert not engine(dms).cancel(run_id(dms.described()))


def test_a_replication_of_dms_serverless_is_made_once_and_started(aws: Aws, shop: Database) -> None:
    shop.execute("CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
    aws.client("s3").create_bucket(Bucket=f"lake-{shop.name.replace('_', '-')}")
    declared = DeclaredReplication(
        "shop",
        f"c-{shop.name.replace('_', '-')}",
        serverless=True,
        tables=(("public", "orders"),),
        bucket=f"lake-{shop.name.replace('_', '-')}",
        folder="landing/shop",
    )
    client, server = aws.client("dms"), endpoint_of(shop.server, shop.name)
    target = target_request(declared)
    assert [provide(client, declared, server, target) for _ in range(2)] == [True, False]
    dms = Serverless(client, declared.name)
    assert dms.described().begun is None
    started = engine(dms).start(WANTED)
    assert isinstance(started, Started)
    while dms.described().status != "running":
        assert dms.described().status != "failed"
    [run] = engine(dms).recent(AT - timedelta(days=1))
    assert run.run_id == started.run_id
    assert engine(dms).cancel(run.run_id)
    while dms.described().status != "stopped":
        assert dms.described().status != "failed"
    client.delete_replication_config(ReplicationConfigArn=dms.described().arn)
