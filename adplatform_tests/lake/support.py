"""Staged deliveries as a transform leaves them, and readers that know nothing of the platform."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from adplatform.contracts.model import Contract
from adplatform.contracts.types import parse_type
from adplatform.lake.catalog import Catalog
from adplatform.lake.lake import Lake
from adplatform.lake.parquet import arrow_type
from adplatform.lake.store import Store
from adplatform.lake.table import TableSpec, table_spec
from adplatform.lake.zones import Zones
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.table import table_definition
from adplatform.platform.aws import Aws
from adplatform.transform.values import FileCount, OutputColumn, Staged, StagedFile
from adplatform_tests.lake.iceberg_reader import read_with_pyiceberg

Rows = Sequence[Mapping[str, Any]]


def make_lake(aws: Aws, *, name: str = "") -> Lake:
    """A lake of its own, so that tests never meet; the same name gives the same lake."""
    unique = name or uuid.uuid4().hex[:12]
    zones = Zones(f"raw-{unique}", f"clean-{unique}", kms_key_id="alias/lake")
    s3, dynamodb = aws.client("s3"), aws.client("dynamodb")
    if not name:
        for bucket in (zones.raw_bucket, zones.clean_bucket):
            s3.create_bucket(Bucket=bucket)
        dynamodb.create_table(**table_definition(f"ledger-{unique}"))
    return Lake(
        Store(s3, zones),
        Catalog(aws.client("glue")),
        Ledger(dynamodb, f"ledger-{unique}"),
        lease_wait=timedelta(seconds=60),
    )


def columns(types: Mapping[str, str]) -> tuple[OutputColumn, ...]:
    return tuple(OutputColumn(name, parse_type(spelled)) for name, spelled in types.items())


def contract(types: Mapping[str, str], **settings: Any) -> Contract:
    """Keys and partition columns are required, as the contract demands."""
    settings.setdefault("partition_by", "dt")
    needed = {*settings.get("key", ()), settings["partition_by"]}
    declared = {name: {"type": spelled, "required": name in needed} for name, spelled in types.items()}
    return Contract(columns=declared, **settings)


def spec_of(
    rules: Contract, *, source: str, feed: str = "report", scope: str | None = None, compacted: bool = False
) -> TableSpec:
    stored = {c.name: c.type for c in rules.columns if c.name != rules.partition_by}
    return table_spec(
        f"{source}/{feed}", rules, columns(stored), database_prefix="clean_", scope=scope, compacted=compacted
    )


def source_name() -> str:
    return f"s{uuid.uuid4().hex[:10]}"


def staged(spec: TableSpec, directory: Path, parts: Mapping[str, Rows], *, files_per_part: int = 1) -> Staged:
    """``parts`` maps partition values to rows without the partition column."""
    directory = directory / uuid.uuid4().hex
    directory.mkdir(parents=True)
    schema = pa.schema([(c.name, arrow_type(c.type)) for c in spec.columns if c.name != spec.shared_by])
    files = []
    for partition, rows in parts.items():
        for number in range(files_per_part):
            path = directory / f"{len(files):05d}.parquet"
            own = list(rows[number::files_per_part])
            pq.write_table(pa.Table.from_pylist(own, schema=schema), path, compression="snappy")
            files.append(StagedFile(path, partition, len(own)))
    total = sum(f.rows for f in files)
    return Staged(spec.columns, tuple(files), None, (FileCount("s3://raw/file", total, total, 0, 0),), {})


def make_keys_dates(lake: Lake, spec: TableSpec) -> None:
    """Have a table the partition columns that tables by date were made with once."""
    table = lake.catalog.glue.get_table(DatabaseName=spec.database, Name=spec.name)["Table"]
    kept = ("Name", "StorageDescriptor", "TableType", "Parameters")
    keys = [{**key, "Type": "date"} if key["Name"] in ("dt", "day") else key for key in table["PartitionKeys"]]
    given = {**{name: table[name] for name in kept}, "PartitionKeys": keys}
    lake.catalog.glue.update_table(DatabaseName=spec.database, TableInput=given, SkipArchive=True)


def read_with_duckdb(lake: Lake, spec: TableSpec, directory: Path) -> list[dict[str, Any]]:
    """Every row that the catalog leads to, through DuckDB on downloaded files, in an order of its own; of an Iceberg
    table through PyIceberg."""
    if spec.is_iceberg:
        return ordered(read_with_pyiceberg(lake.store.s3.meta.endpoint_url, spec))
    glue, s3 = lake.catalog.glue, lake.store.s3
    table = glue.get_table(DatabaseName=spec.database, Name=spec.name)["Table"]
    if table.get("PartitionKeys"):
        found = glue.get_paginator("get_partitions").paginate(DatabaseName=spec.database, TableName=spec.name)
        names = [key["Name"] for key in table["PartitionKeys"]]
        places = [
            (dict(zip(names, p["Values"], strict=True)), p["StorageDescriptor"]["Location"])
            for page in found
            for p in page["Partitions"]
        ]
    else:
        places = [({}, table["StorageDescriptor"]["Location"])]
    rows = []
    for values, location in places:
        rows += [{**row, **values} for row in read_location(s3, location, directory)]
    return ordered(rows)


def read_location(s3: Any, location: str, directory: Path) -> list[dict[str, Any]]:
    return _rows(download(s3, location, directory), "hive_partitioning = false")


def read_root_with_duckdb(lake: Lake, spec: TableSpec, directory: Path) -> list[dict[str, Any]]:
    """Every row of a glob over the table's root, as someone reads it who asks no catalog; in an order of its own."""
    zones = lake.store.zones
    root = download(lake.store.s3, zones.clean_uri(zones.clean(spec.feed)), directory)
    return ordered(_rows(root, "hive_partitioning = true, hive_types_autocast = false"))


def download(s3: Any, location: str, directory: Path) -> Path:
    """The objects below ``location`` in a new folder, under the same names."""
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    target = directory / uuid.uuid4().hex
    target.mkdir(parents=True)
    for entry in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ()):
        path = target / entry["Key"].removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
    return target


def _rows(directory: Path, options: str) -> list[dict[str, Any]]:
    if not any(directory.rglob("*.parquet")):
        return []
    query = f"SELECT * FROM read_parquet('{directory}/**/*.parquet', union_by_name = true, {options})"
    relation = _connection().cursor().sql(query)
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(sorted(row.items(), key=str)))


@contextmanager
def arrow_pool() -> Iterator[pa.MemoryPool]:
    """What Arrow takes meanwhile, and nothing of before."""
    before, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    try:
        yield pool
    finally:
        pa.set_memory_pool(before)
