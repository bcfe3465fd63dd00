"""What a task writes: the load, the changes after it, and their order."""

import re
from collections.abc import Iterator

import pytest

from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.dms.source_tables import ORDERS, at_source, eventually
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import CSV, DmsTask, dms_task

SEQUENCE = "ar_h_change_seq"


@pytest.fixture
def orders(shop: Database) -> Database:
    shop.execute(ORDERS, "INSERT INTO orders SELECT n, 'first', n FROM generate_series(1, 3) n")
    return shop


@pytest.fixture
def task(aws: Aws, orders: Database) -> Iterator[DmsTask]:
    with dms_task(aws, orders, "public.orders") as made:
        yield made


def test_rows_that_are_there_are_loaded_and_what_changes_follows(orders: Database, task: DmsTask) -> None:
    task.start()
    task.wait_until_caught_up()
    orders.execute(
        "INSERT INTO orders VALUES (4, 'new', 1.5)",
        "UPDATE orders SET name = 'changed' WHERE id = 1",
        "DELETE FROM orders WHERE id = 2",
    )
    task.wait_until_caught_up()
    assert [(r["Op"], r["id"], r["name"], r[SEQUENCE]) for r in task.loaded("public.orders")] == [
        ("I", "1", "first", ""),
        ("I", "2", "first", ""),
        ("I", "3", "first", ""),
    ]
    assert [(r["Op"], r["id"], r["name"], r["amount"]) for r in task.changes("public.orders")] == [
        ("I", "4", "new", "1.50"),
        ("U", "1", "changed", "1.00"),
        ("D", "2", None, None),
    ]
    first, second = task.keys("public/")
    assert second == "public/orders/LOAD00000001.csv"
    assert re.fullmatch(r"public/orders/\d{8}-\d{9}\.csv", first)


def test_a_change_between_slot_and_snapshot_is_in_the_load_and_comes_again(orders: Database, task: DmsTask) -> None:
    task.fault("load_late", seconds=1)
    task.start()
    orders.execute("UPDATE orders SET name = 'between' WHERE id = 1")
    task.wait_until_caught_up()
    assert {r["id"]: r["name"] for r in task.loaded("public.orders")} == {"1": "between", "2": "first", "3": "first"}
    assert [(r["Op"], r["id"]) for r in task.changes("public.orders")] == [("U", "1")]


def test_the_sequence_orders_changes_of_one_key_in_one_transaction(orders: Database, task: DmsTask) -> None:
    task.start()
    with at_source(orders) as connection, connection.transaction():
        for statement in (
            "INSERT INTO orders VALUES (9, 'a', 1)",
            "UPDATE orders SET name = 'b' WHERE id = 9",
            "DELETE FROM orders WHERE id = 9",
            "INSERT INTO orders VALUES (9, 'c', 2)",
        ):
            connection.execute(statement)
    task.wait_until_caught_up()
    rows = task.changes("public.orders")
    assert [row["Op"] for row in rows] == ["I", "U", "D", "I"]
    assert len({row["dms_ts"] for row in rows}) == 1
    sequences = [str(row[SEQUENCE]) for row in rows]
    assert all(re.fullmatch(r"\d{35}", each) for each in sequences)
    counters = [int(each[16:]) for each in sequences]
    assert [after - counters[0] for after in counters] == [0, 1, 2, 3]
    moment = re.sub(r"\D", "", str(rows[0]["dms_ts"]))
    assert {each[:16] for each in sequences} == {moment[:16]}


def test_transactions_come_in_the_order_of_their_commits(orders: Database, task: DmsTask) -> None:
    task.start()
    with at_source(orders) as early, at_source(orders) as late, early.transaction():
        early.execute("UPDATE orders SET name = 'committed last' WHERE id = 1")
        late.execute("UPDATE orders SET name = 'committed first' WHERE id = 2")
    task.wait_until_caught_up()
    rows = task.changes("public.orders")
    assert [row["name"] for row in rows] == ["committed first", "committed last"]
    assert str(rows[0][SEQUENCE]) < str(rows[1][SEQUENCE])


def test_what_is_rolled_back_and_truncations_are_not_written(orders: Database, task: DmsTask) -> None:
    task.start()
    with at_source(orders) as connection, connection.transaction():
        connection.execute("INSERT INTO orders VALUES (7, 'stays', 1)")
        connection.execute("SAVEPOINT s")
        connection.execute("INSERT INTO orders VALUES (8, 'goes', 1)")
        connection.execute("ROLLBACK TO s")
    orders.execute("TRUNCATE orders")
    task.wait_until_caught_up()
    assert [row["id"] for row in task.changes("public.orders")] == ["7"]


def test_columns_that_come_and_go_begin_another_file(orders: Database, task: DmsTask) -> None:
    task.start()
    task.wait_until_caught_up()
    orders.execute(
        "INSERT INTO orders VALUES (4, 'a', 1)",
        "ALTER TABLE orders ADD vip boolean DEFAULT true",
        "INSERT INTO orders VALUES (5, 'b', 1)",
        "ALTER TABLE orders DROP name",
        "INSERT INTO orders VALUES (6, 1, false)",
    )
    task.wait_until_caught_up()
    keys = [key for key in task.keys("public/orders/") if "LOAD" not in key]
    inner = [[name for name in task.rows(key)[0] if name not in ("Op", "dms_ts", SEQUENCE)] for key in keys]
    assert inner == [["id", "name", "amount"], ["id", "name", "amount", "vip"], ["id", "amount", "vip"]]
    assert list(task.rows(keys[0])[0]) == ["Op", "dms_ts", "id", "name", "amount", SEQUENCE]
    assert task.statistics()["public.orders"]["Ddls"] == 2


def test_a_load_has_the_columns_that_are_there_when_it_reads(orders: Database, task: DmsTask) -> None:
    task.start()
    task.wait_until_caught_up()
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass"
    with at_source(orders) as connection, connection.transaction():
        connection.execute("ALTER TABLE orders DROP name")
        task.reload("public.orders")
        eventually(lambda: connection.execute(waits).fetchone() == (1,))
    task.wait_until_caught_up()
    assert {tuple(row) for row in task.loaded("public.orders")} == {("Op", "dms_ts", "id", "amount", SEQUENCE)}


def test_an_update_leaves_out_a_large_value_that_it_does_not_touch(aws: Aws, shop: Database) -> None:
    for table in ("thin", "whole"):
        shop.execute(
            f"CREATE TABLE {table} (id int PRIMARY KEY, name text, far text)",
            f"ALTER TABLE {table} ALTER far SET STORAGE EXTERNAL",
            f"INSERT INTO {table} VALUES (1, 'a', repeat('x', 4000))",
        )
    shop.execute("ALTER TABLE whole REPLICA IDENTITY FULL")
    with dms_task(aws, shop, "public.thin", "public.whole") as task:
        task.start()
        for table in ("thin", "whole"):
            shop.execute(f"UPDATE {table} SET name = 'b'", f"DELETE FROM {table}")
        task.wait_until_caught_up()
        thin, whole = (
            [(r["Op"], r["name"], r["far"]) for r in task.changes(f"public.{table}")] for table in ("thin", "whole")
        )
    far = "x" * 4000
    assert thin == [("U", "b", None), ("D", None, None)]
    assert whole == [("U", "b", far), ("D", "b", far)]


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_an_update_of_the_key_is_not_captured(orders: Database, task: DmsTask, identity: str) -> None:
    orders.execute(f"ALTER TABLE orders REPLICA IDENTITY {identity}")
    task.start()
    orders.execute("UPDATE orders SET id = 40 WHERE id = 1", "UPDATE orders SET name = 'b' WHERE id = 2")
    task.wait_until_caught_up()
    assert [(row["Op"], row["id"]) for row in task.changes("public.orders")] == [("U", "2")]


def test_an_update_of_the_key_can_come_as_delete_and_insert(aws: Aws, orders: Database) -> None:
    attributes = {"ExtraConnectionAttributes": "simulatedKeyUpdates=split"}
    with dms_task(aws, orders, "public.orders", source=attributes) as task:
        task.start()
        orders.execute("UPDATE orders SET id = 40 WHERE id = 1")
        task.wait_until_caught_up()
        rows = task.changes("public.orders")
    assert [(row["Op"], row["id"], row["name"]) for row in rows] == [("D", "1", None), ("I", "40", "first")]
    assert str(rows[0][SEQUENCE]) < str(rows[1][SEQUENCE])


def test_of_a_table_without_a_key_only_inserts_are_captured_and_it_can_be_written(aws: Aws, shop: Database) -> None:
    shop.execute("CREATE TABLE log (id int)", "INSERT INTO log VALUES (1)")
    with dms_task(aws, shop, "public.log") as task:
        task.start()
        shop.execute("INSERT INTO log VALUES (2)", "UPDATE log SET id = 3 WHERE id = 1", "DELETE FROM log WHERE id = 2")
        task.wait_until_caught_up()
        assert [(row["Op"], row["id"]) for row in task.changes("public.log")] == [("I", "2")]


def test_changes_alone_begin_with_the_start(aws: Aws, orders: Database) -> None:
    with dms_task(aws, orders, "public.orders", kind="cdc") as task:
        task.start()
        orders.execute("INSERT INTO orders VALUES (4, 'new', 1)")
        task.wait_until_caught_up()
        assert task.loaded("public.orders") == []
        assert [row["id"] for row in task.changes("public.orders")] == ["4"]


def test_a_load_alone_ends_by_itself(aws: Aws, orders: Database) -> None:
    with dms_task(aws, orders, "public.orders", kind="full-load") as task:
        task.start(until=["stopped"])
        said = task.described()
        assert said["StopReason"] == "Stop Reason FULL_LOAD_ONLY_FINISHED"
        stats = said["ReplicationTaskStats"]
        assert (stats["TablesLoaded"], stats["FullLoadProgressPercent"]) == (1, 100)
        assert stats["FreshStartDate"] == stats["StartDate"] <= stats["FullLoadFinishDate"] <= stats["StopDate"]
        assert len(task.loaded("public.orders")) == 3
        assert "LastFailureMessage" not in said


def test_an_empty_table_has_no_files_and_many_rows_have_many(aws: Aws, orders: Database) -> None:
    orders.execute(
        "CREATE TABLE nobody (id int PRIMARY KEY)",
        "INSERT INTO orders SELECT n, repeat('n', 50), 1 FROM generate_series(10, 500) n",
    )
    with dms_task(aws, orders, "public.orders", "public.nobody", s3={**CSV, "MaxFileSize": 2}) as task:
        task.start()
        task.wait_until_caught_up()
        keys = task.keys("public/")
        assert keys == [f"public/orders/LOAD{number:08X}.csv" for number in range(1, len(keys) + 1)]
        assert len(keys) > 16
        assert [int(str(row["id"])) for row in task.loaded("public.orders")] == [1, 2, 3, *range(10, 501)]
        statistics = task.statistics()
        assert statistics["public.orders"]["FullLoadRows"] == 494
        assert statistics["public.nobody"]["TableState"] == "Table completed"


def test_after_the_interval_changes_are_written_without_being_asked_for(aws: Aws, orders: Database) -> None:
    with dms_task(aws, orders, "public.orders", s3={**CSV, "CdcMaxBatchInterval": 1}) as task:
        task.start()
        orders.execute("INSERT INTO orders VALUES (4, 'new', 1)")
        eventually(lambda: task.changes("public.orders"))


def test_many_changes_are_written_before_the_interval_is_over(aws: Aws, orders: Database) -> None:
    with dms_task(aws, orders, "public.orders", s3={**CSV, "CdcMinFileSize": 100}) as task:
        task.start()
        orders.execute("INSERT INTO orders SELECT n, repeat('n', 100), 1 FROM generate_series(10, 1500) n")
        eventually(lambda: len(task.changes("public.orders")) == 1491)


def test_two_tasks_of_one_database_do_not_disturb_each_other(aws: Aws, orders: Database) -> None:
    with dms_task(aws, orders, "public.orders") as one, dms_task(aws, orders, "public.orders") as other:
        one.start()
        other.start()
        orders.execute("INSERT INTO orders VALUES (4, 'new', 1)")
        for task in (one, other):
            task.wait_until_caught_up()
            assert [row["id"] for row in task.changes("public.orders")] == ["4"]


def test_a_deleted_task_leaves_nothing_at_the_source(aws: Aws, orders: Database) -> None:
    left = "SELECT slot_name::text FROM pg_replication_slots WHERE database = current_database() UNION ALL "
    left += "SELECT pubname FROM pg_publication"
    with dms_task(aws, orders, "public.orders") as task:
        task.start()
        assert len(orders.query(left)) == 3
    assert orders.query(left) == []
