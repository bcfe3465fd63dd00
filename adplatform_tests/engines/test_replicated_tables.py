"""Tables that DMS follows: what it counts and has not come, statements about the tables themselves, and how often it is
asked."""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from adplatform.changes.counted import COME_WITHIN
from adplatform.engines.changes import ASKED_AGAIN, keep_running, look_at_tables, reload
from adplatform.engines.dms import OfOneLook, Serverless, Task
from adplatform.failures import TransientFailure
from adplatform.flow.services import Services
from adplatform.platform.aws import Aws
from adplatform.platform.clock import utc_now
from adplatform_tests.support.changes import ORDERS, Changes, followed_as, followed_source
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import DmsTask, dms_task
from adplatform_tests.support.waiting import next_second

WRITTEN = {"DataFormat": "parquet", "CdcMaxBatchInterval": 3600}


@pytest.fixture
def followed(aws: Aws, services: Services, shop: Database) -> Iterator[tuple[Changes, DmsTask]]:
    """A table of two rows that is loaded, of a source that counts what is truncated."""
    shop.execute("CREATE TABLE orders (id bigint PRIMARY KEY, status text, amount numeric(10,2))")
    shop.execute("INSERT INTO orders VALUES (1, 'a', 1), (2, 'a', 2)")
    services.s3.create_bucket(Bucket=services.zones.raw_bucket)
    source = f"shop{uuid.uuid4().hex[:8]}"
    counts = {"ExtraConnectionAttributes": "simulatedTruncations=count"}
    with dms_task(
        aws,
        shop,
        "public.orders",
        bucket=services.zones.raw_bucket,
        folder=f"landing/{source}",
        s3=WRITTEN,
        source=counts,
    ) as task:
        made = followed_source(services, [ORDERS], source=source, task=task.arn, driven=True)
        watch = made.pattern.watch(services)
        keep_running(services, made.pattern, watch)
        watch.look()
        task.wait_for("running")
        caught_up(made, task)
        next_second()  # a load that begins in the second in which this one ended has files that may be of either
        yield made, task


def caught_up(shop: Changes, task: DmsTask) -> None:
    task.wait_until_caught_up()
    look_at_tables(shop.services, shop.pattern)
    shop.process()
    look_at_tables(shop.services, shop.pattern)
    shop.fold()


def looked(shop: Changes, after: timedelta = timedelta(0)) -> tuple[str, str]:
    """The problem, and what is missing."""
    now = shop.services.now()
    [verdict] = look_at_tables(replace(shop.services, now=lambda: now + after), shop.pattern)
    return verdict.problem, verdict.missing


def test_a_file_that_never_comes_is_missing_after_an_hour_and_what_comes_twice_is_not(
    followed: tuple[Changes, DmsTask], shop: Database
) -> None:
    table, task = followed
    task.fault("duplicate_objects")
    shop.execute("UPDATE orders SET status = 'b'")
    caught_up(table, task)
    assert looked(table, COME_WITHIN) == ("", "")
    task.fault("file_lost", table="public.orders")
    shop.execute(
        "UPDATE orders SET status = 'c' WHERE id = 1", "INSERT INTO orders SELECT n FROM generate_series(3, 9) n"
    )
    caught_up(table, task)
    assert looked(table) == ("", "")
    looked(table, COME_WITHIN)  # what was due before has come
    problem, missing = looked(table, 2 * COME_WITHIN)
    assert problem == ""
    assert "of 10 changes that DMS has counted, 6 have not been read" in missing
    task.reload("public.orders")
    caught_up(table, task)
    assert looked(table, 3 * COME_WITHIN)[1] == ""


@pytest.mark.slow
def test_a_table_that_is_truncated_is_a_problem_until_it_is_loaded_again(
    followed: tuple[Changes, DmsTask], shop: Database
) -> None:
    table, task = followed
    shop.execute("TRUNCATE orders")
    caught_up(table, task)
    problem, _ = looked(table)
    assert "1 statements about public.orders itself" in problem
    assert f"adplatform reload {table.followed.name}" in problem
    assert table.rows(columns="id") == [(1,), (2,)]
    task.reload("public.orders")
    caught_up(table, task)
    assert looked(table)[0] == ""
    assert table.rows(columns="id") == []


def test_a_table_that_is_truncated_is_loaded_again_once_where_that_is_declared(
    followed: tuple[Changes, DmsTask], shop: Database
) -> None:
    table, task = followed
    reloading = declared(table, altered="reload")
    shop.execute("TRUNCATE orders", "INSERT INTO orders VALUES (3, 'c', 3)")
    caught_up(reloading, task)
    caught_up(reloading, task)
    assert looked(reloading)[0] == ""
    assert reloading.rows(columns="id") == [(3,)]
    loads = table.services.ledger.folds.generations(table.pattern.source.name, "orders")
    assert [each.reason for each in loads][1:] == ["1 statements about the table itself"]


class Counting(OfOneLook):
    """One that counts how often a load is asked for."""

    asked: ClassVar[Counter[str]] = Counter()

    def reload(self, tables: Sequence[tuple[str, str]]) -> bool:
        self.asked[self.named] += 1
        return super().reload(tables)


@pytest.mark.parametrize("write", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)])
def test_of_two_looks_at_once_one_asks_for_the_load(
    followed: tuple[Changes, DmsTask], shop: Database, write: int
) -> None:
    """The second looks just before the first writes to the ledger for the so-many-th time."""
    table, task = followed
    reloading = declared(table, altered="reload")
    shop.execute("TRUNCATE orders", "INSERT INTO orders VALUES (3, 'c', 3)")
    task.wait_until_caught_up()
    services, writes = reloading.services, 0

    def look() -> None:
        look_at_tables(services, reloading.pattern, Counting(Task(services.aws.client("dms"), task.arn)))

    def another(model: Any, **_: Any) -> None:
        nonlocal writes
        if model.name.startswith(("Put", "Transact", "Update")):
            writes += 1
            if writes == write:
                look()

    events = services.ledger.client.meta.events
    events.register("before-call.dynamodb", another)
    look()
    events.unregister("before-call.dynamodb", another)
    look()
    assert (writes >= write, Counting.asked[task.arn]) == (True, 1)
    caught_up(reloading, task)
    assert reloading.rows(columns="id") == [(3,)]


def test_a_load_whose_request_was_lost_is_asked_for_again_and_one_that_dms_has_taken_is_not(
    followed: tuple[Changes, DmsTask], shop: Database
) -> None:
    table, task = followed
    reloading = declared(table, altered="reload")
    shop.execute("TRUNCATE orders", "INSERT INTO orders VALUES (3, 'c', 3)")
    task.wait_until_caught_up()
    services = reloading.services

    class Lost(Counting):
        def reload(self, tables: Sequence[tuple[str, str]]) -> bool:
            raise TransientFailure("no answer")

    def look(kind: type[OfOneLook], after: timedelta) -> None:
        later = replace(services, now=lambda: utc_now() + after)
        look_at_tables(later, reloading.pattern, kind(Task(services.aws.client("dms"), task.arn)))

    with pytest.raises(TransientFailure):
        look(Lost, timedelta(0))
    look(Counting, ASKED_AGAIN - timedelta(minutes=1))
    assert Counting.asked[task.arn] == 0
    look(Counting, ASKED_AGAIN)
    assert Counting.asked[task.arn] == 1
    look(Counting, 3 * ASKED_AGAIN)
    assert Counting.asked[task.arn] == 1


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [timedelta(minutes=5), pytest.param(-timedelta(minutes=5), marks=pytest.mark.slow)])
def test_changes_after_a_load_count_where_our_clock_is_minutes_off(
    followed: tuple[Changes, DmsTask], shop: Database, ahead: timedelta
) -> None:
    table, task = followed
    now = table.services.now
    off = replace(table, services=replace(table.services, now=lambda: now() + ahead))
    reload(off.services, off.pattern, off.followed, "a test")
    caught_up(off, task)
    shop.execute("UPDATE orders SET status = 'after' WHERE id = 1")
    caught_up(off, task)
    assert off.rows(columns="id, status") == [(1, "after"), (2, "a")]
    assert off.services.ledger.folds.get(off.pattern.source.name, "orders").merged.generation == 2


@pytest.mark.slow
def test_statements_about_a_table_that_nobody_truncates_are_none_of_our_business(
    followed: tuple[Changes, DmsTask], shop: Database
) -> None:
    table, task = followed
    shop.execute("TRUNCATE orders")
    caught_up(table, task)
    assert looked(declared(table, altered="ignore"))[0] == ""


def declared(table: Changes, **feed: Any) -> Changes:
    found = followed_as(table, [{**ORDERS, **feed}])
    named = found.declared.model_copy(update={"task": table.declared.task, "driven": True})
    return replace(found, pattern=replace(table.pattern, followed=found.pattern.followed), declared=named)


class Counted:
    """A client that counts the calls to DMS."""

    def __init__(self, client: Any) -> None:
        self.client, self.calls = client, Counter[str]()
        self.exceptions = client.exceptions

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.client, name)


@pytest.mark.slow
def test_one_look_asks_dms_to_describe_a_task_once(followed: tuple[Changes, DmsTask]) -> None:
    table, task = followed
    for named in (task.arn, task.described()["ReplicationTaskIdentifier"]):
        client = Counted(table.services.aws.client("dms"))
        dms = OfOneLook(Task(client, named))
        watch = table.pattern.watch_of(table.services, table.pattern.targets_of(table.services, dms))
        watch.look()
        look_at_tables(table.services, table.pattern, dms)
        assert client.calls == {"describe_replication_tasks": 1, "describe_table_statistics": 1}


def test_one_look_asks_dms_once_of_a_configuration_and_again_after_a_start(aws: Aws, shop: Database) -> None:
    client = aws.client("dms")
    with dms_task(aws, shop, "public.orders") as task:
        made = client.create_replication_config(
            ReplicationConfigIdentifier=f"c{uuid.uuid4().hex[:8]}",
            ReplicationType="full-load-and-cdc",
            ComputeConfig={"MaxCapacityUnits": 1},
            TableMappings=task.described()["TableMappings"],
            ReplicationSettings="{}",
            SourceEndpointArn=task.source,
            TargetEndpointArn=task.target,
        )["ReplicationConfig"]
        counting = Counted(client)
        dms = OfOneLook(Serverless(counting, made["ReplicationConfigIdentifier"]))
        assert dms.described() == dms.described()
        assert counting.calls == {"describe_replication_configs": 1, "describe_replications": 1}
        dms.start("start-replication")
        assert dms.described().begun is not None
        while Serverless(client, dms.named).described().status not in ("running", "failed", "stopped"):
            pass
        Serverless(client, dms.named).stop()
        while Serverless(client, dms.named).described().status not in ("failed", "stopped"):
            pass
        client.delete_replication_config(ReplicationConfigArn=made["ReplicationConfigArn"])
