"""What can be made to go wrong with a task."""

import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.dms.source_tables import ORDERS, eventually
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import CSV, DmsTask, dms_task


@pytest.fixture
def orders(shop: Database) -> Database:
    shop.execute(ORDERS, "INSERT INTO orders VALUES (1, 'loaded', 1)", "CREATE TABLE lines (id int PRIMARY KEY)")
    return shop


@pytest.fixture
def task(aws: Aws, orders: Database) -> Iterator[DmsTask]:
    """One that runs, and has loaded."""
    with dms_task(aws, orders, "public.orders", "public.lines") as made:
        made.start()
        made.wait_until_caught_up()
        yield made


def changed(task: DmsTask, database: Database, *ids: int) -> None:
    database.execute(*(f"INSERT INTO orders VALUES ({number}, 'n', 1)" for number in ids))
    task.wait_until_caught_up()


def files(task: DmsTask) -> list[list[str | None]]:
    """The ids in each file of changes, in the order of their names."""
    keys = [key for key in task.keys("public/orders/") if "LOAD" not in key]
    return [[row["id"] for row in task.rows(key)] for key in keys]


def test_a_slot_that_is_lost_fails_the_task_until_it_loads_again(orders: Database, task: DmsTask) -> None:
    task.fault("slot_lost")
    task.flush()
    said = task.wait_for("failed")
    assert said["StopReason"] == "Stop Reason FATAL_ERROR"
    assert "does not exist" in said["LastFailureMessage"]
    task.start("resume-processing", until=["failed"])
    orders.execute("INSERT INTO orders VALUES (2, 'n', 1)")
    task.start("reload-target")
    changed(task, orders, 3)
    assert [row["id"] for row in task.loaded("public.orders")] == ["1", "2"]
    assert files(task) == [["3"]]


def test_after_a_failure_before_the_word_to_the_source_changes_come_again_under_new_names(
    orders: Database, task: DmsTask
) -> None:
    task.fault("fails_unconfirmed")
    orders.execute("INSERT INTO orders VALUES (2, 'n', 1)", "UPDATE orders SET name = 'x' WHERE id = 1")
    task.flush()
    task.wait_for("failed")
    assert files(task) == [["2", "1"]]
    task.start("resume-processing")
    changed(task, orders, 3)
    assert [id for file in files(task) for id in file] == ["2", "1", "2", "1", "3"]
    sequences = [row["ar_h_change_seq"] for row in task.changes("public.orders")]
    assert sequences[:2] == sequences[2:4]
    assert task.statistics()["public.orders"]["Inserts"] == 3


def test_a_late_file_comes_after_the_next_under_its_earlier_name(orders: Database, task: DmsTask) -> None:
    task.fault("late_file", table="public.orders")
    changed(task, orders, 2)
    assert files(task) == []
    changed(task, orders, 3)
    assert files(task) == [["2"], ["3"]]
    late, next_one = [key for key in task.keys("public/orders/") if "LOAD" not in key]
    s3 = task.aws.client("s3")
    written = [s3.head_object(Bucket=task.bucket, Key=f"{task.folder}/{key}") for key in (late, next_one)]
    assert written[0]["LastModified"] >= written[1]["LastModified"]


def test_a_late_file_is_written_when_the_task_is_stopped(orders: Database, task: DmsTask) -> None:
    task.fault("late_file")
    changed(task, orders, 2)
    task.stop()
    assert files(task) == [["2"]]


def test_a_table_in_error_stays_behind_while_the_task_goes_on_until_it_is_loaded_again(
    orders: Database, task: DmsTask
) -> None:
    task.fault("table_error", table="public.orders")
    orders.execute("INSERT INTO lines VALUES (1)")
    changed(task, orders, 2)
    said = task.described()
    assert (said["Status"], said["ReplicationTaskStats"]["TablesErrored"]) == ("running", 1)
    assert task.statistics()["public.orders"]["TableState"] == "Table error"
    assert files(task) == []
    assert [row["id"] for row in task.changes("public.lines")] == ["1"]
    task.reload("public.orders")
    task.wait_until_caught_up()
    changed(task, orders, 3)
    assert [row["id"] for row in task.loaded("public.orders")] == ["1", "2"]
    assert files(task) == [["3"]]
    assert task.described()["ReplicationTaskStats"]["TablesErrored"] == 0


def test_a_table_can_end_in_error_in_its_load(aws: Aws, orders: Database) -> None:
    with dms_task(aws, orders, "public.orders", "public.lines") as task:
        task.fault("table_error", table="public.orders")
        task.start()
        task.wait_until_caught_up()
        assert task.described()["ReplicationTaskStats"]["TablesLoaded"] == 1
        assert task.statistics()["public.orders"]["TableState"] == "Table error"
        assert task.loaded("public.orders") == []


def test_objects_can_come_twice(orders: Database, task: DmsTask) -> None:
    task.fault("duplicate_objects")
    changed(task, orders, 2)
    changed(task, orders, 3)
    assert files(task) == [["2"], ["2"], ["3"]]


def test_files_can_be_split(orders: Database, task: DmsTask) -> None:
    task.fault("split_files", count=3)
    changed(task, orders, 2, 3, 4, 5)
    assert files(task) == [["2", "3"], ["4", "5"]]
    task.fault("split_files")
    changed(task, orders, 6, 7, 8)
    assert files(task)[2:] == [["6", "7"], ["8"]]


def test_a_load_that_fails_goes_on_with_the_tables_that_it_lacks(aws: Aws, orders: Database) -> None:
    orders.execute("INSERT INTO orders SELECT n, repeat('n', 100), 1 FROM generate_series(2, 100) n")
    orders.execute("INSERT INTO lines VALUES (1)")
    with dms_task(aws, orders, "public.orders", "public.lines", s3={**CSV, "MaxFileSize": 1}) as task:
        task.fault("load_fails", table="public.orders", count=2)
        task.start(until=["failed"])
        assert [key[-5:] for key in task.keys("public/orders/")] == ["1.csv", "2.csv"]
        assert task.statistics()["public.lines"]["TableState"] == "Table completed"
        orders.execute("DELETE FROM lines", "INSERT INTO orders VALUES (101, 'n', 1)")
        task.start("resume-processing")
        task.wait_until_caught_up()
        assert len(task.loaded("public.orders")) == 101
        assert [row["Op"] for row in task.changes("public.lines")] == ["D"]


def test_a_start_hangs_for_its_time_or_until_it_is_stopped(aws: Aws, orders: Database) -> None:
    with dms_task(aws, orders, "public.orders") as task:
        task.fault("start_hangs")
        task.start(until=["starting"])
        time.sleep(0.3)
        assert task.described()["Status"] == "starting"
        task.stop()
        task.fault("start_hangs", seconds=0.3)
        task.start("resume-processing")
        changed(task, orders, 2)
        assert [row["id"] for row in task.loaded("public.orders")] == ["1"]
        assert files(task) == [["2"]]


def test_a_throttled_call_is_refused_once(aws: Aws, task: DmsTask) -> None:
    impatient = aws.client_once("dms")
    task.fault("throttled")
    with pytest.raises(ClientError) as refused:
        impatient.describe_table_statistics(ReplicationTaskArn=task.arn)
    assert refused.value.response["Error"]["Code"] == "ThrottlingException"
    assert impatient.describe_table_statistics(ReplicationTaskArn=task.arn)["TableStatistics"]


def test_a_source_that_is_away_for_a_while_is_waited_for(orders: Database, task: DmsTask) -> None:
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dms' AND datname = "
    orders.query(ended + "current_database()")
    changed(task, orders, 2)
    assert files(task) == [["2"]]


def test_a_bucket_that_is_gone_fails_the_task(aws: Aws, orders: Database, task: DmsTask) -> None:
    s3 = aws.client("s3")
    for key in [*task.keys()]:
        s3.delete_object(Bucket=task.bucket, Key=f"{task.folder}/{key}")
    s3.delete_bucket(Bucket=task.bucket)
    orders.execute("INSERT INTO orders VALUES (2)")
    task.flush()
    assert "bucket" in task.wait_for("failed")["LastFailureMessage"]
    s3.create_bucket(Bucket=task.bucket)
    task.start("resume-processing")
    changed(task, orders, 3)
    assert [id for file in files(task) for id in file] == ["2", "3"]


def test_an_open_batch_can_be_stopped_before_the_word_to_the_source(orders: Database, task: DmsTask) -> None:
    task.fault("unconfirmed")
    orders.execute("INSERT INTO orders VALUES (2)")
    task.flush()
    eventually(lambda: files(task))
    task.stop()
    task.start("resume-processing")
    task.wait_until_caught_up()
    assert files(task) == [["2"], ["2"]]
