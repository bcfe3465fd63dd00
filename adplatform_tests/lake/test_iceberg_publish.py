"""Iceberg tables by delivery date: what readers see after one, several and repeated publications."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.types import parse_type
from adplatform.failures import PermanentFailure
from adplatform.lake.attempt import Result
from adplatform.lake.lake import Lake
from adplatform.lake.numbered import FIELD_ID, numbered, write_numbered
from adplatform.lake.publish import publish
from adplatform.lake.query import run_query
from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws
from adplatform.transform.values import OutputColumn
from adplatform_tests.lake.iceberg_reader import open_with_pyiceberg
from adplatform_tests.lake.support import arrow_pool, contract, download, read_with_duckdb, source_name, spec_of, staged

TYPES = {"id": "bigint", "cost": "decimal(12,2)", "at": "timestamp", "name": "string"}
DAY = date(2026, 3, 1)


def daily(**settings: object) -> TableSpec:
    return spec_of(contract(TYPES, table_format="iceberg", **settings), source=source_name())


def row(number: int, name: str = "a") -> dict[str, object]:
    return {"id": number, "cost": None, "at": None, "name": name}


def test_a_version_replaces_its_own_date_in_one_snapshot(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = daily()
    done = publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1), row(2)]}), run_id="r", temp=temp)
    assert (done.result, done.rows) == (Result.PUBLISHED, 2)
    publish(lake, spec, date(2026, 3, 2), 1, staged(spec, temp, {"": [row(3)]}), run_id="r", temp=temp)
    publish(lake, spec, DAY, 2, staged(spec, temp, {"": [row(4)]}), run_id="r", temp=temp)
    assert [(r["id"], r["dt"]) for r in read_with_duckdb(lake, spec, temp)] == [(4, "2026-03-01"), (3, "2026-03-02")]
    table = open_with_pyiceberg(str(aws.endpoint_url), spec)
    assert len(table.snapshots()) == 3
    shown = table.current_snapshot()
    assert shown is not None
    assert shown.summary is not None
    assert (shown.summary["adplatform.day"], shown.summary["adplatform.version"]) == ("2026-03-01", "2")


def test_publishing_the_same_version_again_changes_nothing(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = daily()
    first = publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1)]}), run_id="r1", temp=temp)
    before = list(lake.store.listing(lake.store.zones.clean_bucket, ""))
    again = publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1)]}), run_id="r2", temp=temp)
    assert (again.result, again.locations) == (Result.ALREADY, first.locations)
    assert list(lake.store.listing(lake.store.zones.clean_bucket, "")) == before
    publish(lake, spec, DAY, 3, staged(spec, temp, {"": [row(3)]}), run_id="r3", temp=temp)
    late = publish(lake, spec, DAY, 2, staged(spec, temp, {"": [row(2)]}), run_id="r1", temp=temp)
    assert late.result is Result.SUPERSEDED
    assert [r["id"] for r in read_with_duckdb(lake, spec, temp)] == [3]


@pytest.mark.parametrize("before", [[], [row(1)]])
def test_a_version_without_rows_shows_none(lake: Lake, aws: Aws, temp: Path, before: list[dict[str, object]]) -> None:
    spec = daily()
    if before:
        publish(lake, spec, DAY, 1, staged(spec, temp, {"": before}), run_id="r", temp=temp)
    done = publish(lake, spec, DAY, 2, staged(spec, temp, {}), run_id="r", temp=temp)
    assert (done.result, done.rows) == (Result.PUBLISHED, 0)
    assert read_with_duckdb(lake, spec, temp) == []


def test_a_table_without_partitions_shows_the_newest_delivery(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = daily(partition_by=None)
    for day in (2, 3, 1):
        publish(lake, spec, date(2026, 3, day), 1, staged(spec, temp, {"": [row(day)]}), run_id="r", temp=temp)
    assert [r["id"] for r in read_with_duckdb(lake, spec, temp)] == [3]


def test_the_query_command_reads_the_table(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = daily()
    publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1), row(2)]}), run_id="r", temp=temp)
    sql = f"select a.dt, a.id from {spec.qualified} a join {spec.qualified} b using (id) order by id"
    names, rows = run_query(aws, lake.catalog.glue, spec.database, sql, 10)
    assert (names, rows) == (["dt", "id"], [(DAY, 1), (DAY, 2)])


@pytest.mark.parametrize(
    ("kind", "wider", "value"), [("int", "bigint", 2**40), ("decimal(12,2)", "decimal(20,2)", Decimal(10) ** 12)]
)
def test_a_column_becomes_wider_and_others_come_but_none_becomes_narrower(
    lake: Lake, aws: Aws, temp: Path, kind: str, wider: str, value: object
) -> None:
    source = source_name()
    narrow, wide = (
        spec_of(contract(types, table_format="iceberg"), source=source)
        for types in ({"n": kind}, {"n": wider, "note": "string"})
    )
    publish(lake, narrow, DAY, 1, staged(narrow, temp, {"": [{"n": 1}]}), run_id="r", temp=temp)
    later = date(2026, 3, 2)
    publish(lake, wide, later, 1, staged(wide, temp, {"": [{"n": value, "note": "x"}]}), run_id="r", temp=temp)
    rows = [(r["n"], r["note"]) for r in read_with_duckdb(lake, wide, temp)]
    assert rows == [(1, None), (value, "x")]
    assert run_query(aws, lake.catalog.glue, wide.database, f"select n, note from {wide.qualified} order by n", 9) == (
        ["n", "note"],
        rows,
    )
    with pytest.raises(PermanentFailure, match="older files cannot be read as another type"):
        publish(lake, narrow, DAY, 2, staged(narrow, temp, {"": [{"n": 1}]}), run_id="r", temp=temp)


def test_a_table_keeps_the_format_that_it_has(lake: Lake, temp: Path) -> None:
    source = source_name()
    parquet, iceberg = (
        spec_of(contract(TYPES, table_format=table_format), source=source) for table_format in ("parquet", "iceberg")
    )
    publish(lake, parquet, DAY, 1, staged(parquet, temp, {"": [row(1)]}), run_id="r", temp=temp)
    with pytest.raises(PermanentFailure, match="is no Iceberg table"):
        publish(lake, iceberg, DAY, 2, staged(iceberg, temp, {"": [row(1)]}), run_id="r", temp=temp)
    other = daily()
    publish(lake, other, DAY, 1, staged(other, temp, {"": [row(1)]}), run_id="r", temp=temp)
    plain = replace(other, table_format="parquet")
    with pytest.raises(PermanentFailure, match="is an Iceberg table"):
        publish(lake, plain, DAY, 2, staged(plain, temp, {"": [row(1)]}), run_id="r", temp=temp)


def test_files_carry_field_ids_and_metadata_is_encrypted_like_all_else(lake: Lake, temp: Path) -> None:
    spec = daily()
    (location,) = publish(lake, spec, DAY, 1, staged(spec, temp, {"": [row(1)]}), run_id="r", temp=temp).locations
    bucket = lake.store.zones.clean_bucket
    for stored in lake.store.listing(bucket, ""):
        head = lake.store.s3.head_object(Bucket=bucket, Key=stored.key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/lake")
    (file,) = download(lake.store.s3, location, temp).iterdir()
    ids = {column.name: column.metadata[b"PARQUET:field_id"] for column in pq.read_schema(file)}
    assert ids == {"id": b"1", "cost": b"2", "at": b"3", "name": b"4", "dt": b"5"}
    assert pq.read_metadata(file).row_group(0).column(0).compression == "SNAPPY"


def test_glue_shows_comments_and_what_the_platform_notes_of_columns(lake: Lake, temp: Path) -> None:
    column = OutputColumn("id", parse_type("bigint"), "The order.", {"pii": "generic_id"}, ("order_id",))
    spec = replace(spec_of(contract({"id": "bigint"}, table_format="iceberg"), source=source_name()), columns=(column,))
    for version in (1, 2):
        publish(lake, spec, DAY, version, staged(spec, temp, {"": [{"id": 1}]}), run_id="r", temp=temp)
        found = lake.catalog.glue.get_table(DatabaseName=spec.database, Name=spec.name)["Table"]
        shown = found["StorageDescriptor"]["Columns"][0]
        assert (shown["Comment"], shown["Parameters"]["pii"]) == ("The order.", "generic_id")
        assert shown["Parameters"]["adplatform.sources"] == "order_id"
        assert found["Parameters"]["adplatform.feed"] == spec.feed


def test_files_are_written_within_the_memory_of_a_few_rows(temp: Path) -> None:
    spec = spec_of(contract({"key": "string"}, table_format="iceberg"), source=source_name())
    rows = 400_000
    path = temp / "large.parquet"
    pq.write_table(pa.table({"key": [f"{number:0100d}" for number in range(rows)]}), path, use_dictionary=False)
    with arrow_pool() as pool:
        numbered(spec, "2026-03-01", {"key": 1, "dt": 2}, path, temp / "numbered.parquet")
    assert pool.max_memory() < rows * 100
    footer = pq.read_metadata(temp / "numbered.parquet")
    assert (footer.num_rows, footer.num_row_groups) == (rows, 4)


def test_whole_numbers_are_written_so_that_they_can_become_wider(temp: Path) -> None:
    """Iceberg before 1.10 fails on a wider column whose files say that numbers have 32 bits, as those of DuckDB do."""
    spec = spec_of(contract({"n": "int", "cost": "decimal(4,2)"}, table_format="iceberg"), source=source_name())
    path = temp / "by_duckdb.parquet"
    with duckdb.connect() as con:
        con.execute(f"copy (select 1::integer as n, 1.5::decimal(4,2) as cost) to '{path}'")
    numbered(spec, "2026-03-01", {"n": 1, "cost": 2, "dt": 3}, path, temp / "numbered.parquet")
    columns = [pq.ParquetFile(temp / "numbered.parquet").schema.column(place) for place in range(3)]
    assert [(c.physical_type, c.logical_type.type) for c in columns] == [
        ("INT32", "NONE"),
        ("INT32", "DECIMAL"),
        ("INT32", "DATE"),
    ]


def test_small_files_become_one_with_large_groups_of_rows_and_the_widest_types(temp: Path) -> None:
    kinds = (pa.int32(), pa.int64())
    for number in range(50):
        pq.write_table(pa.table({"n": pa.array([number], kinds[number % 2])}), temp / f"{number:02}.parquet")
    schema = pa.schema([pa.field("n", pa.int64(), metadata={FIELD_ID: "1"}), pa.field("late", pa.string())])
    write_numbered(sorted(temp.glob("*.parquet")), schema, temp / "one")
    found = pq.read_table(temp / "one")
    assert (found["n"].to_pylist(), set(found["late"].to_pylist())) == (list(range(50)), {None})
    assert pq.read_metadata(temp / "one").num_row_groups == 1


def test_readers_of_paths_fail_rather_than_read_files_of_several_versions(lake: Lake, aws: Aws, temp: Path) -> None:
    """awswrangler reads Iceberg tables by Athena only; its calls for Parquet list a table's location, where only
    metadata is."""
    from adplatform_tests.lake.wrangler import read_with_wrangler  # noqa: PLC0415 - takes seconds to import

    spec = daily()
    for version in (1, 2):
        publish(lake, spec, DAY, version, staged(spec, temp, {"": [row(version)]}), run_id="r", temp=temp)
    with pytest.raises(pa.ArrowInvalid, match="Parquet magic bytes not found"):
        read_with_wrangler(aws, spec)
