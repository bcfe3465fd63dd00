"""A random workload: whatever happened at the source and to files, applying them by the sequence gives the table."""

import random
from collections.abc import Iterator

import pytest

from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.dms.source_tables import at_source
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import CSV, DmsTask, dms_task

TABLES = ("public.orders", "public.lines")
Row = dict[str, str | None]


@pytest.fixture
def source(shop: Database) -> Database:
    for table in TABLES:
        shop.execute(
            f"CREATE TABLE {table} (id int PRIMARY KEY, name text, amount numeric(20,4), far text)",
            f"ALTER TABLE {table} ALTER far SET STORAGE EXTERNAL, REPLICA IDENTITY FULL",
            f"INSERT INTO {table} SELECT n, 'loaded', n, repeat('x', 3000) FROM generate_series(1, 20) n",
        )
    return shop


def statements(draw: random.Random) -> Iterator[str]:
    """Changes of few keys, so that many meet."""
    table, number = draw.choice(TABLES), draw.randint(1, 30)
    name = draw.choice(["a", "", "NULL", 'q"q', "c,c", "l\nl", "ü\\N", " s "])
    amount = draw.choice(["NULL", "NaN", "0.0001", "-7", str(draw.random())])
    value = "NULL" if amount == "NULL" else f"'{amount}'"
    if draw.random() < 0.25:
        yield f"DELETE FROM {table} WHERE id = {number}"
    elif draw.random() < 0.5:
        yield f"UPDATE {table} SET name = '{name}', amount = {value} WHERE id % 7 = {number % 7}"
    else:
        yield (
            f"INSERT INTO {table} VALUES ({number}, '{name}', {value}, repeat('y', {draw.choice([0, 3000])})) "
            "ON CONFLICT (id) DO UPDATE SET amount = excluded.amount"
        )


def work(database: Database, draw: random.Random) -> None:
    """Transactions, some of them rolled back as a whole or in part."""
    with at_source(database) as connection:
        for _ in range(draw.randint(1, 6)):
            connection.execute("BEGIN")
            for _ in range(draw.randint(1, 6)):
                undone = draw.random() < 0.2
                connection.execute("SAVEPOINT s")
                for statement in statements(draw):
                    connection.execute(statement)
                connection.execute("ROLLBACK TO s" if undone else "RELEASE s")
            connection.execute("ROLLBACK" if draw.random() < 0.2 else "COMMIT")


def applied(task: DmsTask, table: str, draw: random.Random) -> dict[str, Row]:
    """The rows of all files, in whatever order they are read: those of the load first, then by the sequence."""
    rows = [row for key in task.keys(table.replace(".", "/") + "/") for row in task.rows(key)]
    draw.shuffle(rows)
    current: dict[str, Row] = {}
    for row in sorted(rows, key=lambda each: str(each["ar_h_change_seq"])):
        inner = {name: row[name] for name in ("id", "name", "amount", "far")}
        current.pop(str(row["id"]), None)
        if row["Op"] != "D":
            current[str(row["id"])] = inner
    return current


def truth(database: Database, table: str) -> dict[str, Row]:
    rows = database.query(f"SELECT id::text, name, amount::text, far FROM {table}")
    return {row[0]: dict(zip(("id", "name", "amount", "far"), row, strict=True)) for row in rows}


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_files_applied_by_the_sequence_are_the_table(aws: Aws, source: Database, seed: int) -> None:
    draw = random.Random(seed)
    with dms_task(aws, source, *TABLES, s3={**CSV, "CsvNullValue": r"\N"}) as task:
        task.fault("load_late", seconds=0.2)
        task.start()
        work(source, draw)
        for _ in range(8):
            fault = draw.choice(["", "late_file", "duplicate_objects", "split_files", "fails_unconfirmed", "stop"])
            if fault == "stop":
                task.stop()
            elif fault:
                task.fault(fault, count=draw.randint(1, 3))
            work(source, draw)
            if fault == "fails_unconfirmed":
                # Of the work nothing may be left to write, and then nothing fails.
                source.execute("INSERT INTO orders VALUES (99) ON CONFLICT (id) DO UPDATE SET name = 'again'")
                task.flush()
                task.wait_for("failed")
            if fault in ("stop", "fails_unconfirmed"):
                task.start("resume-processing")
            task.wait_until_caught_up()
        task.stop()
        for table in TABLES:
            assert applied(task, table, draw) == truth(source, table)


def test_statistics_are_what_is_written(aws: Aws, source: Database) -> None:
    draw = random.Random(7)
    with dms_task(aws, source, *TABLES) as task:
        task.start()
        task.wait_until_caught_up()
        for _ in range(3):
            work(source, draw)
            task.wait_until_caught_up()
        for table, said in task.statistics().items():
            operations = [row["Op"] for row in task.changes(table)]
            counted = [said["Inserts"], said["Updates"], said["Deletes"], said["FullLoadRows"]]
            assert counted == [*(operations.count(op) for op in "IUD"), len(task.loaded(table))]
