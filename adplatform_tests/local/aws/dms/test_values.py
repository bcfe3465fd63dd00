"""Values as they are written: exact in CSV, with the types of the source in Parquet, cut where they are large."""

import io
from datetime import date, datetime
from decimal import Decimal

import pyarrow.parquet as pq

from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.dms.source_tables import one_change, written
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import dms_task

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
