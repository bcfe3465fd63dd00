"""The form of files: what each setting of the target, the source and the task makes of values, columns and names."""

import gzip
import io
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
import pytest

from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.dms.source_tables import ORDERS
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import CSV, DmsTask, dms_task

TYPES = """CREATE TABLE types (id int PRIMARY KEY, b boolean, t text, n numeric(12,2), u numeric, f double precision,
    z timestamptz, s timestamp, d date, y bytea, j jsonb, c char(5), a int[])"""
VALUES = r"""(1, true, E'ü, "q"\nzwei', 1234567890.1, 'NaN', 'Infinity', '2024-05-01 12:00:00.5+02',
    '2024-05-01 12:00', '2024-05-01', '\x00ff', '{"a": 1.10}', 'DE', '{1,2}'),
    (2, false, '', 'NaN', 0.000000000000000000000000000001, 'NaN', 'infinity', '-infinity', 'infinity', '', '[]', '',
    '{}'), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, true, 'NULL', -1, 1, 1e300, '294276-01-01 00:00+00', '0044-03-15 00:00 BC', '0044-03-15 BC', 'a', 'null', 'x',
    NULL)"""
WRITTEN = [
    'true|ü, "q"\nzwei|1234567890.10|NaN|Infinity|2024-05-01 10:00:00.500000|2024-05-01 12:00:00.000000|2024-05-01|'
    '00ff|{"a": 1.10}|DE|{1,2}',
    "false||NaN|0.000000000000000000000000000001|NaN|infinity|-infinity|infinity||[]||{}",
    "|".join(["-"] * 12),
    "true|NULL|-1.00|1|1e+300|294276-01-01 00:00:00.000000|0044-03-15 00:00:00.000000 BC|0044-03-15 BC|61|null|x|-",
]


@pytest.fixture
def orders(shop: Database) -> Database:
    shop.execute(ORDERS, "INSERT INTO orders VALUES (1, 'loaded', 1)")
    return shop


def written(task: DmsTask, database: Database, *statements: str) -> None:
    """The load, and after it what the statements change."""
    task.start()
    task.wait_until_caught_up()
    database.execute(*statements)
    task.wait_until_caught_up()


def one_change(task: DmsTask) -> str:
    [key] = [key for key in task.keys("public/") if "LOAD" not in key]
    return key


def test_values_are_the_same_in_a_load_and_in_changes_and_exact(aws: Aws, shop: Database) -> None:
    shop.execute(TYPES, f"INSERT INTO types VALUES {VALUES}", "ALTER TABLE types REPLICA IDENTITY FULL")
    with dms_task(aws, shop, "public.types") as task:
        written(task, shop, "UPDATE types SET b = b", "DELETE FROM types")
        loaded = [list(row.values())[3:-1] for row in task.loaded("public.types")]
        changes = [list(row.values())[3:-1] for row in task.changes("public.types")]
    assert ["|".join("-" if value is None else value for value in row) for row in loaded] == WRITTEN
    assert changes == loaded * 2


def test_parquet_has_the_types_of_the_source(aws: Aws, shop: Database) -> None:
    shop.execute(TYPES, f"INSERT INTO types VALUES {VALUES}")
    mapped = {"PostgreSQLSettings": {"MapBooleanAsBoolean": True}}
    with dms_task(aws, shop, "public.types", s3={"CdcMaxBatchInterval": 3600}, source=mapped) as task:
        written(task, shop, "INSERT INTO types (id, n, z) VALUES (5, 2.5, '2024-01-01 00:00:00.123456+00')")
        [load] = [key for key in task.keys("public/") if key.endswith("LOAD00000001.parquet")]
        table = pq.read_table(io.BytesIO(task.body(load)))
        changed = pq.read_table(io.BytesIO(task.body(one_change(task)))).to_pylist()
    assert {field.name: str(field.type) for field in table.schema} == {
        "Op": "string",
        "dms_ts": "string",
        "id": "int32",
        "b": "bool",
        "t": "string",
        "n": "decimal128(12, 2)",
        "u": "decimal128(28, 6)",
        "f": "double",
        "z": "timestamp[us]",
        "s": "timestamp[us]",
        "d": "date32[day]",
        "y": "binary",
        "j": "string",
        "c": "string",
        "a": "string",
        "ar_h_change_seq": "string",
    }
    rows = table.to_pylist()
    assert rows[0]["n"] == Decimal("1234567890.10")
    assert rows[0]["z"] == datetime(2024, 5, 1, 10, 0, 0, 500_000)  # noqa: DTZ001 - as Parquet has it
    assert (rows[0]["d"], rows[0]["y"], rows[0]["b"]) == (date(2024, 5, 1), b"\x00\xff", True)
    assert (rows[1]["n"], rows[1]["z"], rows[1]["u"], rows[1]["t"]) == (None, None, Decimal("0.000000"), "")
    assert (rows[2]["t"], rows[3]["d"], rows[3]["s"]) == (None, None, None)
    assert (changed[0]["Op"], changed[0]["n"], changed[0]["z"].microsecond) == ("I", Decimal("2.50"), 123_456)


def test_booleans_are_texts_in_parquet_unless_they_are_mapped(aws: Aws, shop: Database) -> None:
    shop.execute("CREATE TABLE flags (id int PRIMARY KEY, b boolean)", "INSERT INTO flags VALUES (1, true)")
    with dms_task(aws, shop, "public.flags", s3={}, kind="full-load") as task:
        task.start(until=["stopped"])
        table = pq.read_table(io.BytesIO(task.body("public/flags/LOAD00000001.parquet")))
    assert table["b"].to_pylist() == ["true"]


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


def test_large_objects_are_cut_without_a_word_or_end_the_task(aws: Aws, shop: Database) -> None:
    shop.execute(
        "CREATE TABLE large (id int PRIMARY KEY, t text, y bytea, v varchar(5000))",
        "INSERT INTO large VALUES (1, repeat('ü', 1500), decode(repeat('ab', 3000), 'hex'), repeat('v', 3000))",
    )
    settings = {"TargetMetadata": {"LobMaxSize": 2}}
    silent = {"PostgreSQLSettings": {"FailTasksOnLobTruncation": False}}
    with dms_task(aws, shop, "public.large", settings=settings, source=silent) as task:
        written(task, shop, "UPDATE large SET id = id")
        [row], [change] = task.loaded("public.large"), task.changes("public.large")
        assert (row["t"], row["y"], row["v"]) == ("ü" * 1024, "ab" * 2048, "v" * 3000)
        assert (change["t"], change["y"], change["v"]) == (row["t"], row["y"], row["v"])
        assert task.statistics()["public.large"]["FullLoadErrorRows"] == 0
    with dms_task(aws, shop, "public.large", settings=settings) as task:
        task.start(until=["failed"])
        assert "LobMaxSize" in task.described()["LastFailureMessage"]


def test_columns_can_be_added_with_what_is_known_of_a_change(aws: Aws, orders: Database) -> None:
    def rule(number: int, name: str, expression: str, length: int = 50) -> dict[str, Any]:
        return {
            "rule-type": "transformation",
            "rule-id": str(number),
            "rule-name": str(number),
            "rule-target": "column",
            "object-locator": {"schema-name": "%", "table-name": "%"},
            "rule-action": "add-column",
            "value": name,
            "expression": expression,
            "data-type": {"type": "string", "length": length},
        }

    locator = {"schema-name": "public", "table-name": "orders"}
    selected = {"rule-type": "selection", "rule-id": "1", "rule-name": "1", "object-locator": locator}
    rules = [
        {**selected, "rule-action": "explicit", "filters": []},
        rule(2, "at", "$AR_H_STREAM_POSITION"),
        rule(3, "short", "$AR_H_CHANGE_SEQ", 20),
        rule(4, "source", "$AR_M_SOURCE_TABLE_NAME"),
    ]
    with dms_task(aws, orders, mappings={"rules": rules}) as task:
        written(task, orders, "UPDATE orders SET name = 'b'")
        [row], [change] = task.loaded("public.orders"), task.changes("public.orders")
    assert (row["at"], row["short"], row["source"]) == ("", "", "orders")
    assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", str(change["at"]))
    assert re.fullmatch(r"\d{20}", str(change["short"]))


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


@pytest.mark.parametrize(
    ("rules", "taken"),
    [
        ([("include", "public", "%")], ["public.order_lines", "public.orders", "public.returns"]),
        ([("include", "%", "order%")], ["public.order_lines", "public.orders", "sales.orders"]),
        ([("include", "%", "%"), ("exclude", "public", "%")], ["sales.orders"]),
        ([("include", "public", "order_")], ["public.orders"]),
        ([("include", "public", "[or]e%"), ("explicit", "public", "order_lines")], None),
        ([("explicit", "%", "orders")], []),
    ],
)
def test_rules_select_tables(
    aws: Aws, orders: Database, rules: list[tuple[str, str, str]], taken: list[str] | None
) -> None:
    orders.execute(
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.orders (id int PRIMARY KEY)",
        "CREATE TABLE order_lines (id int PRIMARY KEY)",
        "CREATE TABLE returns (id int PRIMARY KEY)",
    )
    mappings = {
        "rules": [
            {
                "rule-type": "selection",
                "rule-id": str(number),
                "rule-name": str(number),
                "object-locator": {"schema-name": schema, "table-name": table},
                "rule-action": action,
            }
            for number, (action, schema, table) in enumerate(rules, start=1)
        ]
    }
    with dms_task(aws, orders, mappings=mappings, kind="full-load") as task:
        if taken == []:
            task.start(until=["failed"])
            assert "No tables were found" in task.described()["LastFailureMessage"]
        else:
            task.start(until=["stopped"])
            assert sorted(task.statistics()) == (taken or ["public.order_lines", "public.returns"])


def test_what_is_not_known_ends_the_task_with_the_reason(aws: Aws, orders: Database) -> None:
    locator = {"schema-name": "public", "table-name": "orders"}
    base = {"rule-id": "1", "rule-name": "1", "object-locator": locator}
    include = {**base, "rule-type": "selection", "rule-action": "include"}
    rename = {**base, "rule-type": "transformation", "rule-action": "rename", "rule-target": "table", "value": "x"}
    with dms_task(aws, orders, mappings={"rules": [include, rename]}) as task:
        task.start(until=["failed"])
        said = task.described()
        assert "transformation rename" in said["LastFailureMessage"]
        assert said["StopReason"] == "Stop Reason FATAL_ERROR"
        assert json.loads(said["TableMappings"])["rules"][1] == rename


def test_a_new_column_can_be_left_out(aws: Aws, orders: Database) -> None:
    settings = {"ChangeProcessingDdlHandlingPolicy": {"HandleSourceTableAltered": False}}
    with dms_task(aws, orders, "public.orders", settings=settings) as task:
        task.start()
        task.wait_until_caught_up()
        orders.execute("ALTER TABLE orders ADD vip boolean", "INSERT INTO orders VALUES (2, 'a', 1, true)")
        task.wait_until_caught_up()
        [row] = task.changes("public.orders")
    assert list(row) == ["Op", "dms_ts", "id", "name", "amount", "ar_h_change_seq"]
