"""The form of files: what each setting of the target and the task makes of columns and names."""

import gzip
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.dms.source_tables import ORDERS, one_change, written
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import CSV, dms_task


@pytest.fixture
def orders(shop: Database) -> Database:
    shop.execute(ORDERS, "INSERT INTO orders VALUES (1, 'loaded', 1)")
    return shop


def test_by_default_files_have_no_header_and_null_is_a_word(aws: Aws, orders: Database) -> None:
    s3 = {
        "DataFormat": "csv",
        "CompressionType": "none",
        "TimestampColumnName": "",
        "IncludeOpForFullLoad": False,
        "CdcMaxBatchInterval": 3600,
    }
    with dms_task(aws, orders, "public.orders", s3=s3) as task:
        written(task, orders, "INSERT INTO orders VALUES (2, 'a \"b\", c', NULL), (3, 'NULL', 0), (4, '', 1)")
        assert task.body("public/orders/LOAD00000001.csv") == b"1,loaded,1.00,\n"
        lines = task.body(one_change(task)).decode().splitlines()
    assert [line.rpartition(",")[0] for line in lines] == ['I,2,"a ""b"", c",NULL', "I,3,NULL,0.00", "I,4,,1.00"]


def test_delimiters_quoting_and_compression_are_the_targets(aws: Aws, orders: Database) -> None:
    s3 = {**CSV, "Rfc4180": False, "CsvDelimiter": "|", "CsvRowDelimiter": r"\r\n", "CompressionType": "gzip"}
    with dms_task(aws, orders, "public.orders", s3=s3) as task:
        written(task, orders, "INSERT INTO orders VALUES (2, 'a|\"b\"', 1)")
        key = one_change(task)
        raw = aws.client("s3").get_object(Bucket=task.bucket, Key=f"{task.folder}/{key}")["Body"].read()
    assert key.endswith(".csv.gz")
    header, row, end = gzip.decompress(raw).decode().split("\r\n")
    assert header == "Op|dms_ts|id|name|amount|ar_h_change_seq"
    assert row.split("|")[2:6] == ["2", "a", '"b"', "1.00"]
    assert end == ""


def test_the_time_of_a_load_is_its_own_or_the_starts_and_of_a_change_its_commits(aws: Aws, orders: Database) -> None:
    for whole in (True, False):
        s3 = {**CSV, "UseTaskStartTimeForFullLoadTimestamp": whole}
        with dms_task(aws, orders, "public.orders", s3=s3) as task:
            task.fault("load_late", seconds=0.3)
            written(task, orders, "UPDATE orders SET amount = 2")
            [row], [change] = task.loaded("public.orders"), task.changes("public.orders")
            started = task.described()["ReplicationTaskStats"]["StartDate"]
        at = datetime.fromisoformat(str(row["dms_ts"])).replace(tzinfo=UTC)
        assert ((at - started).total_seconds() < 0.2) == whole
        assert abs((datetime.fromisoformat(str(change["dms_ts"])).replace(tzinfo=UTC) - started).total_seconds()) < 60


def test_folders_by_date_are_those_of_the_commit(aws: Aws, orders: Database) -> None:
    now = datetime.now(UTC)
    for more, folder in (
        ({}, f"{now:%Y/%m/%d}"),
        ({"DatePartitionSequence": "MMYYYYDD", "DatePartitionDelimiter": "DASH"}, f"{now:%m-%Y-%d}"),
        ({"DatePartitionSequence": "YYYYMMDDHH", "DatePartitionDelimiter": "NONE"}, f"{now:%Y%m%d}"),
    ):
        s3 = {**CSV, "DatePartitionEnabled": True, **more}
        with dms_task(aws, orders, "public.orders", s3=s3) as task:
            written(task, orders, "UPDATE orders SET amount = amount + 1")
            assert one_change(task).startswith(f"public/orders/{folder}")


def test_whole_transactions_are_in_one_file_in_the_order_of_commits(aws: Aws, orders: Database) -> None:
    orders.execute("CREATE TABLE lines (id int PRIMARY KEY, note text)")
    s3 = {**CSV, "AddColumnName": False, "TimestampColumnName": "", "PreserveTransactions": True, "CdcPath": "moves"}
    with dms_task(aws, orders, "public.orders", "public.lines", s3=s3) as task:
        written(
            task,
            orders,
            "INSERT INTO orders VALUES (2, 'a', 1)",
            "INSERT INTO lines VALUES (1, 'x,y')",
            "DELETE FROM orders WHERE id = 2",
        )
        [key] = task.keys("moves/")
        lines = task.body(key).decode().splitlines()
        assert not [each for each in task.keys("public/") if "LOAD" not in each]
    assert re.fullmatch(r"moves/CDC_TXN-\d{17}\.csv", key)
    assert [line.rpartition(",")[0] for line in lines] == [
        "I,orders,public,2,a,1.00",
        'I,lines,public,1,"x,y"',
        r"D,orders,public,2,\N,\N",
    ]


@pytest.mark.parametrize(
    ("s3", "operations"),
    [
        ({"CdcInsertsOnly": True}, ["I"]),
        ({"CdcInsertsAndUpdates": True}, ["I", "U"]),
        ({"CdcInsertsOnly": True, "IncludeOpForFullLoad": False}, [None]),
        ({"IncludeOpForFullLoad": False}, ["I", "U", "D"]),
    ],
)
def test_operations_can_be_left_out_and_their_column_with_them(
    aws: Aws, orders: Database, s3: dict[str, Any], operations: list[str | None]
) -> None:
    with dms_task(aws, orders, "public.orders", s3={**CSV, **s3}) as task:
        written(task, orders, "INSERT INTO orders VALUES (2)", "UPDATE orders SET name = 'b'", "DELETE FROM orders")
        found = [row.get("Op") for row in task.changes("public.orders")]
        assert list(dict.fromkeys(found)) == operations
        counts = task.statistics()["public.orders"]
        assert counts["Inserts"] + counts["Updates"] + counts["Deletes"] == len(found)
        assert ("Op" in task.loaded("public.orders")[0]) == s3.get("IncludeOpForFullLoad", True)


def test_control_tables_lie_beside_the_schemas(aws: Aws, orders: Database) -> None:
    with dms_task(aws, orders, "public.orders") as task:
        written(task, orders, "UPDATE orders SET name = 'b'")
        task.fault("table_error", table="public.orders")
        orders.execute("UPDATE orders SET name = 'c'")
        task.wait_until_caught_up()
        task.stop()
        assert [row["task_status"] for key in task.keys("awsdms_status/") for row in task.rows(key)] == [
            "RUNNING",
            "STOPPED",
        ]
        [row] = [row for key in task.keys("awsdms_suspended_tables/") for row in task.rows(key)]
        assert (row["table_owner"], row["table_name"]) == ("public", "orders")
    off = {"ControlTablesSettings": {"StatusTableEnabled": False}}
    with dms_task(aws, orders, "public.orders", settings=off) as task:
        task.start()
        assert task.keys("awsdms") == []


def test_a_new_column_can_be_left_out(aws: Aws, orders: Database) -> None:
    settings = {"ChangeProcessingDdlHandlingPolicy": {"HandleSourceTableAltered": False}}
    with dms_task(aws, orders, "public.orders", settings=settings) as task:
        task.start()
        task.wait_until_caught_up()
        orders.execute("ALTER TABLE orders ADD vip boolean", "INSERT INTO orders VALUES (2, 'a', 1, true)")
        task.wait_until_caught_up()
        [row] = task.changes("public.orders")
    assert list(row) == ["Op", "dms_ts", "id", "name", "amount", "ar_h_change_seq"]
