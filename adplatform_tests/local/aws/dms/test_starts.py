"""How a task is started again, reloaded and stopped."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adplatform.engines.dms_settings.recommended import table_mappings
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.dms.source_tables import ORDERS, eventually
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import DmsTask, dms_task


@pytest.fixture
def orders(shop: Database) -> Database:
    shop.execute(ORDERS, "INSERT INTO orders SELECT n, 'loaded', n FROM generate_series(1, 3) n")
    return shop


@pytest.fixture
def task(aws: Aws, orders: Database) -> Iterator[DmsTask]:
    with dms_task(aws, orders, "public.orders") as made:
        yield made


@pytest.fixture(scope="module")
def dms(aws: Aws) -> Any:
    return aws.client("dms")


def test_a_stopped_task_goes_on_where_it_was(orders: Database, task: DmsTask) -> None:
    task.start()
    task.wait_until_caught_up()
    task.stop()
    before = task.described()["ReplicationTaskStats"]
    orders.execute("INSERT INTO orders VALUES (4, 'while it stands', 1)")
    task.start("resume-processing")
    task.wait_until_caught_up()
    assert [row["id"] for row in task.changes("public.orders")] == ["4"]
    after = task.described()["ReplicationTaskStats"]
    assert after["FreshStartDate"] == before["FreshStartDate"] == before["StartDate"] < after["StartDate"]
    assert "StopDate" not in after
    assert "RecoveryCheckpoint" in task.described()


@pytest.mark.parametrize(("mode", "left"), [("DO_NOTHING", True), ("DROP_AND_CREATE", False)])
def test_a_target_that_is_reloaded_has_its_load_under_the_same_names(
    aws: Aws, orders: Database, mode: str, left: bool
) -> None:
    settings = {"FullLoadSettings": {"TargetTablePrepMode": mode}}
    with dms_task(aws, orders, "public.orders", settings=settings) as task:
        task.start()
        task.wait_until_caught_up()
        orders.execute("DELETE FROM orders WHERE id > 1")
        task.wait_until_caught_up()
        [earlier] = [key for key in task.keys("public/") if "LOAD" not in key]
        task.stop()
        fresh = task.described()["ReplicationTaskStats"]["FreshStartDate"]
        task.start("reload-target")
        task.wait_until_caught_up()
        assert (earlier in task.keys("public/")) == left
        assert [key for key in task.keys("public/") if "LOAD" in key] == ["public/orders/LOAD00000001.csv"]
        assert [row["id"] for row in task.loaded("public.orders")] == ["1"]
        counts = task.statistics()["public.orders"]
        assert (counts["FullLoadRows"], counts["Deletes"], counts["FullLoadReloaded"]) == (1, 0, False)
        assert task.described()["ReplicationTaskStats"]["FreshStartDate"] > fresh
        orders.execute("INSERT INTO orders VALUES (9, 'after', 1)")
        task.wait_until_caught_up()
        assert task.changes("public.orders")[-1]["id"] == "9"


def test_a_table_that_is_reloaded_says_so_and_its_changes_go_on(orders: Database, task: DmsTask) -> None:
    task.start()
    task.wait_until_caught_up()
    orders.execute("DELETE FROM orders WHERE id > 1")
    task.wait_until_caught_up()
    task.fault("load_late", seconds=1)
    task.reload("public.orders")
    assert task.statistics()["public.orders"]["TableState"] == "Table is being reloaded"
    assert task.described()["Status"] == "running"
    orders.execute("INSERT INTO orders VALUES (4, 'meanwhile', 1)")
    task.wait_until_caught_up()
    counts = task.statistics()["public.orders"]
    assert (counts["TableState"], counts["FullLoadReloaded"]) == ("Table completed", True)
    assert counts["FullLoadStartTime"] <= counts["FullLoadEndTime"]
    task.wait_until_caught_up()
    assert [row["id"] for row in task.loaded("public.orders")] == ["1", "4"]
    assert [row["Op"] for row in task.changes("public.orders")] == ["D", "D", "I"]


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("StopTaskCachedChangesNotApplied", "Stop Reason STOPPED_AFTER_FULL_LOAD"),
        ("StopTaskCachedChangesApplied", "Stop Reason STOPPED_AFTER_CACHED_EVENTS"),
    ],
)
def test_a_task_can_stop_after_its_load(aws: Aws, orders: Database, setting: str, reason: str) -> None:
    with dms_task(aws, orders, "public.orders", settings={"FullLoadSettings": {setting: True}}) as task:
        task.fault("load_late", seconds=0.5)
        task.start()
        orders.execute("INSERT INTO orders VALUES (4, 'between', 1)")
        assert task.wait_for("stopped")["StopReason"] == reason
        assert len(task.loaded("public.orders")) == 4
        assert len(task.changes("public.orders")) == (setting == "StopTaskCachedChangesApplied")


def test_a_task_stops_at_a_time_of_the_server(dms: Any, orders: Database, task: DmsTask) -> None:
    until = datetime.now(UTC) + timedelta(seconds=1.5)
    dms.start_replication_task(
        ReplicationTaskArn=task.arn,
        StartReplicationTaskType="start-replication",
        CdcStopPosition=f"server_time:{until:%Y-%m-%dT%H:%M:%S.%f}",
    )
    task.wait_for("running")
    assert task.wait_for("stopped")["StopReason"] == "Stop Reason STOPPED_AT_SERVER_TIME"
    assert datetime.now(UTC) >= until


def test_a_start_position_is_refused_and_not_passed_over(dms: Any, task: DmsTask) -> None:
    dms.start_replication_task(
        ReplicationTaskArn=task.arn, StartReplicationTaskType="start-replication", CdcStartPosition="0/1"
    )
    eventually(lambda: task.described()["Status"] == "failed")
    said = task.described()
    assert (said["CdcStartPosition"], "start position" in said["LastFailureMessage"]) == ("0/1", True)


def test_a_table_that_the_mappings_select_later_is_loaded_at_the_next_start(
    dms: Any, orders: Database, task: DmsTask
) -> None:
    task.start()
    task.wait_until_caught_up()
    task.stop()
    orders.execute("CREATE TABLE lines (id int PRIMARY KEY)", "INSERT INTO lines VALUES (1)")
    mappings = json.dumps(table_mappings([("public", "orders"), ("public", "lines")]))
    dms.modify_replication_task(ReplicationTaskArn=task.arn, TableMappings=mappings)
    orders.execute("UPDATE orders SET name = 'changed' WHERE id = 1")
    task.start("resume-processing")
    task.wait_until_caught_up()
    orders.execute("INSERT INTO lines VALUES (2)")
    task.wait_until_caught_up()
    assert [row["id"] for row in task.loaded("public.lines")] == ["1"]
    assert [row["id"] for row in task.changes("public.lines")] == ["2"]
    assert [row["Op"] for row in task.changes("public.orders")] == ["U"]
    assert task.statistics()["public.orders"]["FullLoadRows"] == 3
