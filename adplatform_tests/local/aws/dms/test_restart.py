"""The end of the endpoint's process: running tasks go on by themselves, and what was not confirmed comes again."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from adplatform.local.endpoint import HEALTH_PATH, Endpoint, ensure
from adplatform.platform.aws import local_aws
from adplatform_tests.local.aws.dms.source_tables import ORDERS, eventually
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import CSV, DmsTask, endpoint_of, make_task, remove


@pytest.fixture
def orders(shop: Database) -> Iterator[Database]:
    shop.execute(ORDERS, "INSERT INTO orders VALUES (1, 'loaded', 1)")
    yield shop
    dropped = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"
    shop.query(dropped)


def killed(endpoint: Endpoint) -> None:
    """Once its state is saved."""

    def saved() -> bool:
        with urllib.request.urlopen(endpoint.url + HEALTH_PATH, timeout=30) as response:
            return bool(json.load(response) == {"unsaved": []})

    eventually(saved)
    assert endpoint.process is not None
    endpoint.process.kill()
    endpoint.process.wait()


def again(task: DmsTask, endpoint: Endpoint) -> DmsTask:
    """The task as the next process has it."""
    return DmsTask(local_aws(endpoint.url), task.arn, task.source, task.target, task.bucket, task.folder)


@pytest.mark.slow
def test_a_killed_endpoint_goes_on_and_writes_again_what_it_had_not_confirmed(tmp_path: Path, orders: Database) -> None:
    endpoint = ensure(tmp_path)
    task = make_task(local_aws(endpoint.url), endpoint_of(orders.server, orders.name), "public.orders", s3=CSV)
    task.start()
    task.wait_until_caught_up()
    orders.execute("INSERT INTO orders VALUES (2, 'confirmed', 1)")
    task.wait_until_caught_up()
    task.wait_until_confirmed()
    task.fault("unconfirmed")
    orders.execute("INSERT INTO orders VALUES (3, 'unconfirmed', 1)")
    task.flush()
    eventually(lambda: len(task.changes("public.orders")) == 2)
    killed(endpoint)
    orders.execute("INSERT INTO orders VALUES (4, 'meanwhile', 1)")
    with ensure(tmp_path) as endpoint:
        task = again(task, endpoint)
        assert task.wait_for("running")["ReplicationTaskStats"]["TablesLoaded"] == 1
        task.wait_until_caught_up()
        rows = task.changes("public.orders")
        assert [row["id"] for row in rows] == ["2", "3", "3", "4"]
        assert rows[1]["ar_h_change_seq"] == rows[2]["ar_h_change_seq"]
        assert [row["id"] for row in task.loaded("public.orders")] == ["1"]
        task.wait_until_confirmed()
        task.stop()
    with ensure(tmp_path) as endpoint:
        task = again(task, endpoint)
        assert task.described()["StopReason"] == "Stop Reason NORMAL"
        orders.execute("INSERT INTO orders VALUES (5, 'stopped', 1)")
        task.start("resume-processing")
        task.wait_until_caught_up()
        assert task.changes("public.orders")[-1]["id"] == "5"
        assert task.statistics()["public.orders"]["Inserts"] == 5
        remove(task)
        assert orders.query("SELECT FROM pg_replication_slots WHERE database = current_database()") == []


@pytest.mark.slow
def test_a_load_that_was_killed_begins_again_with_the_slot_that_it_had(tmp_path: Path, orders: Database) -> None:
    endpoint = ensure(tmp_path)
    task = make_task(local_aws(endpoint.url), endpoint_of(orders.server, orders.name), "public.orders", s3=CSV)
    task.fault("load_late", seconds=3600)
    task.start()
    orders.execute("INSERT INTO orders VALUES (2, 'between', 1)")
    killed(endpoint)
    with ensure(tmp_path) as endpoint:
        task = again(task, endpoint)
        task.wait_for("running")
        task.wait_until_caught_up()
        assert [row["id"] for row in task.loaded("public.orders")] == ["1", "2"]
        assert [row["id"] for row in task.changes("public.orders")] == ["2"]
        remove(task)


def test_whenever_the_endpoint_is_killed_no_change_is_lost(tmp_path: Path, orders: Database) -> None:
    endpoint = ensure(tmp_path)
    task = make_task(local_aws(endpoint.url), endpoint_of(orders.server, orders.name), "public.orders", s3=CSV)
    task.start()
    task.wait_until_caught_up()
    killed(endpoint)
    for number in range(10, 14):
        endpoint = ensure(tmp_path)
        task = again(task, endpoint)
        task.wait_for("running")
        orders.execute(f"INSERT INTO orders VALUES ({number}, 'n', 1)")
        task.wait_until_caught_up()
        assert endpoint.process is not None
        endpoint.process.kill()
        endpoint.process.wait()
    with ensure(tmp_path) as endpoint:
        task = again(task, endpoint)
        task.wait_for("running")
        task.wait_until_caught_up()
        assert {row["id"] for row in task.changes("public.orders")} == {"10", "11", "12", "13"}
        task.wait_until_confirmed()
        remove(task)


@pytest.mark.slow
def test_a_finished_load_survives_a_kill_right_after_it(tmp_path: Path, orders: Database) -> None:
    endpoint = ensure(tmp_path)
    end = endpoint_of(orders.server, orders.name)
    task = make_task(local_aws(endpoint.url), end, "public.orders", s3=CSV, kind="full-load")
    task.fault("load_late", seconds=1)
    task.start()
    before = task.wait_for("stopped")
    assert endpoint.process is not None
    endpoint.process.kill()
    endpoint.process.wait()
    with ensure(tmp_path) as endpoint:
        task = again(task, endpoint)
        assert task.wait_for("stopped")["StopReason"] == before["StopReason"]
        assert [row["id"] for row in task.loaded("public.orders")] == ["1"]
        remove(task)
