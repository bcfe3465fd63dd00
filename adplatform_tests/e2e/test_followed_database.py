"""A PostgreSQL database under writes, followed by DMS: the table equals the source at every point that is caught up,
and its history equals what the log says, whatever happens to files, tasks and merges on the way."""

import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adplatform.engines.changes import keep_running, look_at_tables, reload
from adplatform.flow.services import Services
from adplatform.platform.aws import Aws
from adplatform_tests.support.changes import Changes, followed_source
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import DmsTask, dms_task
from adplatform_tests.support.waiting import next_second

CUSTOMERS: dict[str, Any] = {
    "name": "customers",
    "table": "public.customers",
    "start_date": "2026-01-01",
    "outputs": ["current", "history"],
    "unchanged": ["bio"],
    "buckets": 2,
    "columns": {
        "id": {"type": "bigint", "required": True},
        "name": "string",
        "amount": "decimal(12,2)",
        "active": "boolean",
        "seen_at": "timestamp",
        "bio": "string",
    },
    "key": "id",
}
TABLE = (
    "CREATE TABLE customers (id bigint PRIMARY KEY, name text, amount numeric(12,2), active boolean,"
    " seen_at timestamptz, bio text)",
    # So large that PostgreSQL keeps it apart, and leaves it out of changes that do not touch it.
    "ALTER TABLE customers ALTER bio SET STORAGE EXTERNAL",
    "INSERT INTO customers SELECT n, 'c' || n, n / 4.0, n % 2 = 0, '2026-11-01+00'::timestamptz + n * interval '1 s',"
    " repeat('b', 3000) FROM generate_series(1, 12) n",
)
COLUMNS = "id, name, amount, active, seen_at, bio"
WRITTEN = {"DataFormat": "parquet", "CompressionType": "gzip", "CdcMaxBatchInterval": 3600}


@pytest.fixture
def database(shop: Database) -> Database:
    shop.execute(*TABLE)
    return shop


@pytest.fixture
def followed(aws: Aws, services: Services, database: Database) -> Iterator[tuple[Changes, DmsTask]]:
    source = f"shop{random.getrandbits(32):08x}"
    with dms_task(
        aws, database, "public.customers", bucket=_bucket(services), folder=f"landing/{source}", s3=WRITTEN
    ) as task:
        yield followed_source(services, [CUSTOMERS], source=source, task=task.arn, driven=True), task


def _bucket(services: Services) -> str:
    services.s3.create_bucket(Bucket=services.zones.raw_bucket)
    return services.zones.raw_bucket


def truth(database: Database) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in database.query(f"SELECT {COLUMNS} FROM customers ORDER BY id")]


def caught_up(shop: Changes, task: DmsTask) -> None:
    """Everything that is committed is in the table."""
    task.wait_until_caught_up()
    look_at_tables(shop.services, shop.pattern)
    shop.process()
    look_at_tables(shop.services, shop.pattern)
    shop.fold()


def started(shop: Changes, task: DmsTask) -> None:
    """The source itself starts its task."""
    watch = shop.pattern.watch(shop.services)
    keep_running(shop.services, shop.pattern, watch)
    watch.look()
    task.wait_for("running")


def work(database: Database, draw: random.Random) -> None:
    with database.server.connect(database.name) as connection:
        for _ in range(draw.randint(1, 4)):
            connection.execute("BEGIN")
            for _ in range(draw.randint(1, 4)):
                connection.execute("SAVEPOINT s")
                connection.execute(_statement(draw))
                connection.execute("ROLLBACK TO s" if draw.random() < 0.2 else "RELEASE s")
            connection.execute("ROLLBACK" if draw.random() < 0.15 else "COMMIT")


def _statement(draw: random.Random) -> str:
    id = draw.randint(1, 15)
    name = draw.choice(["''", "NULL", "'q\"q'", "E'l\\nl'", "'ü'", "'NULL'"])
    return draw.choice(
        [
            f"DELETE FROM customers WHERE id = {id}",
            f"UPDATE customers SET name = {name} WHERE id = {id}",
            f"UPDATE customers SET amount = amount + 0.25, bio = repeat('n', {draw.choice([1, 3000])}) WHERE id = {id}",
            f"INSERT INTO customers VALUES ({id}, {name}, {draw.randint(0, 99)}, true, now(), repeat('i', 3000))"
            " ON CONFLICT (id) DO UPDATE SET active = NOT customers.active",
        ]
    )


def test_the_table_is_the_database_after_a_load_and_live_changes(
    followed: tuple[Changes, DmsTask], database: Database
) -> None:
    shop, task = followed
    started(shop, task)
    caught_up(shop, task)
    assert shop.rows(columns=COLUMNS) == truth(database)
    [load] = shop.services.ledger.folds.generations(shop.pattern.source.name, "customers")
    assert (load.number, load.rows) == (1, 12)
    database.execute("UPDATE customers SET name = 'x' WHERE id < 4", "DELETE FROM customers WHERE id = 5")
    caught_up(shop, task)
    assert shop.rows(columns=COLUMNS) == truth(database)
    assert shop.rows("_deleted", "id, name") == [(5, "c5")]
    assert shop.rows("_history", "id, name, length(bio)") == [(n, f"c{n}", 3000) for n in (1, 2, 3, 5)]


@pytest.mark.slow
def test_a_reload_brings_what_was_lost_and_ends_what_is_gone(
    followed: tuple[Changes, DmsTask], database: Database
) -> None:
    shop, task = followed
    started(shop, task)
    caught_up(shop, task)
    # A change that the log never tells of, as after a lost slot.
    published(database, "")
    database.execute("UPDATE customers SET name = 'unseen' WHERE id = 1", "DELETE FROM customers WHERE id = 2")
    published(database, "insert, update, delete")
    caught_up(shop, task)
    assert shop.rows(columns=COLUMNS) != truth(database)
    time.sleep(1)  # what is written in the second in which a load begins may be of either
    generation = reload(shop.services, shop.pattern, shop.followed, "a test")
    assert generation.number == 2
    caught_up(shop, task)
    database.execute("UPDATE customers SET name = 'after' WHERE id = 3")
    caught_up(shop, task)
    assert shop.rows(columns=COLUMNS) == truth(database)
    assert shop.rows("_deleted", "id, name") == [(2, "c2")]


def published(database: Database, what: str) -> None:
    """Which changes the log tells of from now on."""
    for [name] in database.query("SELECT pubname FROM pg_publication"):
        database.execute(f"ALTER PUBLICATION {name} SET (publish = '{what}')")


def test_a_table_in_error_is_a_problem_while_the_task_runs(
    followed: tuple[Changes, DmsTask], database: Database
) -> None:
    shop, task = followed
    started(shop, task)
    caught_up(shop, task)
    task.fault("table_error", table="public.customers")
    database.execute("UPDATE customers SET name = 'x'")
    task.flush()
    for _ in range(200):
        [verdict] = look_at_tables(shop.services, shop.pattern)
        if verdict.problem:
            break
    assert "adplatform reload" in verdict.problem


@pytest.mark.slow
def test_a_task_that_failed_is_resumed_and_what_it_writes_again_changes_nothing(
    followed: tuple[Changes, DmsTask], database: Database
) -> None:
    shop, task = followed
    started(shop, task)
    caught_up(shop, task)
    task.fault("fails_unconfirmed")
    database.execute("UPDATE customers SET name = 'x' WHERE id < 4")
    task.flush()
    task.wait_for("failed")
    services = shop.services
    for hours in range(2):
        later = replace(services, now=lambda hours=hours: services.now() + timedelta(hours=hours))
        watch = shop.pattern.watch(later)
        watch.look()
        keep_running(later, shop.pattern, watch)
        watch.look()
    task.wait_for("running")
    caught_up(shop, task)
    assert shop.rows(columns=COLUMNS) == truth(database)


SEEDS = [(0, 3), *(pytest.param(seed, 5, marks=pytest.mark.slow) for seed in range(20))]


@pytest.mark.parametrize(("seed", "rounds"), SEEDS)
def test_any_workload_with_any_fault_comes_to_the_database(
    followed: tuple[Changes, DmsTask], database: Database, seed: int, rounds: int
) -> None:
    draw = random.Random(seed)
    shop, task = followed
    task.fault("load_late", seconds=0.3)
    started(shop, task)
    work(database, draw)
    late = False
    for _ in range(rounds):
        fault = draw.choice(["", "late_file", "duplicate_objects", "split_files", "stop", "reload"])
        if fault == "stop":
            task.stop()
        elif fault == "reload":
            task.wait_until_caught_up()  # before its first load is done DMS begins no other
            next_second()  # files of the second in which one load ended and another began may be of either
            reload(shop.services, shop.pattern, shop.followed, "a test")
        elif fault:
            task.fault(fault, count=draw.randint(1, 2))
        work(database, draw)
        if fault == "stop":
            task.start("resume-processing")
        caught_up(shop, task)
        late |= fault == "late_file"
        if not late:
            assert shop.rows(columns=COLUMNS) == truth(database), fault
    for _ in range(3):  # a file that is late comes after a later one
        database.execute("INSERT INTO customers VALUES (99) ON CONFLICT (id) DO UPDATE SET active = false")
        caught_up(shop, task)
    assert shop.rows(columns=COLUMNS) == truth(database)
    # An unbroken chain: each version ends where the next one of its row begins.
    versions = shop.rows("_versions", "id, _seq, _closed_by")
    for (id, _, ended), (next_id, began, _) in itertools.pairwise(versions):
        assert id != next_id or (ended is not None and ended <= began)
