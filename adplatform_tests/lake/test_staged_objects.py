"""Files that an engine staged in the raw bucket are audited and published as those on this disk are."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.failures import EnvironmentFailure, TransientFailure
from adplatform.lake.attempt import Result
from adplatform.lake.audit import audit
from adplatform.lake.filled import filled
from adplatform.lake.lake import Lake
from adplatform.lake.parts import add
from adplatform.lake.publish import publish
from adplatform.lake.staged_object import StagedObject
from adplatform.transform.values import FileCount, Staged, StagedFile
from adplatform_tests.lake.support import columns, contract, read_with_duckdb, source_name, spec_of, staged

TYPES = {"id": "bigint", "cost": "decimal(12,2)", "at": "timestamp", "name": "string"}
DAY = date(2026, 3, 1)


def row(number: int, name: str = "a") -> dict[str, object]:
    return {"id": number, "cost": None, "at": None, "name": name}


def by_an_engine(lake: Lake, local: Staged, prefix: str = "prepared/spark/x/1/clean/") -> Staged:
    """The same files as objects of the raw bucket."""
    files = []
    for file in local.files:
        with file.on_disk(Path()) as path:
            lake.store.upload(path, lake.store.zones.raw_bucket, f"{prefix}{path.name}")
            files.append(
                StagedObject(lake.store, f"{prefix}{path.name}", path.stat().st_size, file.partition, file.rows)
            )
            path.unlink()
    return replace(local, files=tuple(files))


@pytest.mark.parametrize("table_format", ["parquet", "iceberg"])
@pytest.mark.parametrize("by_column", [False, True], ids=["by date", "by column"])
def test_objects_are_published_as_files_are(lake: Lake, temp: Path, table_format: str, by_column: bool) -> None:
    types = TYPES | {"region": "string"} if by_column else TYPES
    more = {"partition_by": "region"} if by_column else {}
    spec = spec_of(contract(types, table_format=table_format, **more), source=source_name())
    parts = {"north": [row(1), row(2)], "a/b": [row(3)]} if by_column else {"": [row(1), row(2), row(3)]}
    local = staged(spec, temp, parts, files_per_part=1 if by_column else 2)
    done = publish(lake, spec, DAY, 1, by_an_engine(lake, local), run_id="r", temp=temp)
    assert (done.result, done.rows) == (Result.PUBLISHED, 3)
    rows = read_with_duckdb(lake, spec, temp)
    assert sorted(r["id"] for r in rows) == [1, 2, 3]
    if by_column:
        assert {r["id"]: r["region"] for r in rows} == {1: "north", 2: "north", 3: "a/b"}
    assert not [path for path in temp.rglob("*.parquet") if "numbered" in path.name]


@pytest.mark.parametrize("table_format", ["parquet", "iceberg"])
def test_a_delivery_without_rows_is_published(lake: Lake, temp: Path, table_format: str) -> None:
    spec = spec_of(contract(TYPES, table_format=table_format), source=source_name())
    done = publish(lake, spec, DAY, 1, by_an_engine(lake, staged(spec, temp, {})), run_id="r", temp=temp)
    assert (done.result, done.rows) == (Result.PUBLISHED, 0)
    assert read_with_duckdb(lake, spec, temp) == []


def test_a_file_that_is_not_what_was_said_is_not_shown(lake: Lake, temp: Path) -> None:
    spec = spec_of(contract(TYPES), source=source_name())
    [file] = by_an_engine(lake, staged(spec, temp, {"": [row(1)]})).files
    lying = replace(staged(spec, temp, {"": [row(1)]}), files=(replace(file, size=file.size + 1),))
    with pytest.raises(TransientFailure, match="not complete"):
        publish(lake, spec, DAY, 1, lying, run_id="r", temp=temp)
    assert lake.catalog.table(spec) is None or not lake.catalog.partitions(spec)


def test_an_iceberg_file_that_the_disk_has_no_room_for_is_not_fetched(lake: Lake, temp: Path) -> None:
    spec = spec_of(contract(TYPES, table_format="iceberg"), source=source_name())
    remote = by_an_engine(lake, staged(spec, temp, {"": [row(1)]}))
    [file] = remote.files
    huge = replace(remote, files=(replace(file, size=2**60),))
    with pytest.raises(EnvironmentFailure, match="too few for this file"):
        publish(lake, spec, DAY, 1, huge, run_id="r", temp=temp)


RULES = Contract.model_validate(
    {
        "columns": {
            "id": "bigint",
            "email": {"pii": {"kind": "email", "treatment": ["lake", "mask"]}},
            "note": "string",
        }
    }
)
COLUMNS = columns({"id": "bigint", "email_lake": "string", "email_masked": "string", "note": "string"})
GOOD: dict[str, list[Any]] = {
    "id": [1, 2],
    "email_lake": ["0a" * 32, None],
    "email_masked": ["***@example.com", None],
    "note": ["call back", None],
}


@pytest.mark.parametrize(
    ("changed", "options", "wrong"),
    [
        ({}, {}, set()),
        ({"email_lake": ["0a" * 32, "ann@example.com"]}, {}, {"no_personal_data_in_clear"}),
        ({"email_masked": ["ann@example.com", None]}, {}, {"no_personal_data_in_clear"}),
        ({"note": ["ann@example.com", None]}, {}, {"suspected_personal_data"}),
        ({}, {"compression": "gzip"}, {"schema"}),
        ({"id": [1], "email_lake": [None], "email_masked": [None], "note": [None]}, {}, {"row_conservation"}),
    ],
    ids=["good", "clear digest", "clear mask", "suspicious", "codec", "a row lost"],
)
def test_the_audit_finds_in_objects_what_it_finds_in_files(
    lake: Lake, temp: Path, changed: dict[str, list[Any]], options: dict[str, str], wrong: set[str]
) -> None:
    files = []
    for number, content in enumerate((GOOD, GOOD | changed)):
        path = temp / f"{number}.parquet"
        schema = pa.schema([(n, pa.int64() if n == "id" else pa.string()) for n in content])
        pq.write_table(pa.table(content, schema), path, **{"compression": "snappy", **options})
        files.append(StagedFile(path, "", 2))
    local = Staged(COLUMNS, tuple(files), None, (FileCount("f", 4, 4, 0, 0),), {})
    here, counted = audit(local, RULES), filled(local)
    there = by_an_engine(lake, local)
    found = audit(there, RULES)
    assert {each.name for each in found if not each.passed} == wrong
    assert [(f.name, f.passed, f.metrics) for f in found] == [(f.name, f.passed, f.metrics) for f in here]
    assert filled(there) == counted


def test_of_objects_that_were_searched_personal_columns_alone_are_read_to_the_last_row(lake: Lake, temp: Path) -> None:
    rows, path = 400_000, temp / "large.parquet"
    digests = [f"{number:064x}" for number in range(rows)]
    digests[-1] = "ann@example.com"
    noise = [f"{number * 2654435761 % 2**64:0100d}" for number in range(rows)]
    table = pa.table({"id": range(rows), "email_lake": digests, "email_masked": ["***"] * rows, "note": noise})
    pq.write_table(table, path, compression="snappy", row_group_size=50_000, use_dictionary=False)
    notes = pq.read_metadata(path).row_group(1).column(3).total_compressed_size * 8
    size, asked = path.stat().st_size, 0
    local = Staged(COLUMNS, (StagedFile(path, "", rows),), None, (FileCount("f", rows, rows, 0, 0),), {})
    remote = by_an_engine(lake, local)
    searched = replace(remote, files=tuple(replace(file, addresses={"note": 7}) for file in remote.files))

    def count(parsed: dict[str, Any], **_: object) -> None:
        nonlocal asked
        asked += parsed["ContentLength"]

    lake.store.s3.meta.events.register("after-call.s3.GetObject", count)
    try:
        findings = {each.name: each for each in audit(searched, RULES)}
    finally:
        lake.store.s3.meta.events.unregister("after-call.s3.GetObject", count)
    assert findings["no_personal_data_in_clear"].metrics == {"columns": 1, "rows": 1}
    assert findings["suspected_personal_data"].metrics["rows"] == 7
    assert asked < size - notes // 2


def test_objects_join_the_files_that_readers_see(lake: Lake, temp: Path) -> None:
    spec = spec_of(contract(TYPES, key=["id"], latest_by=["at"]), source=source_name())
    spec = replace(spec, columns=(*spec.columns, *columns({"_source_file": "string"})))
    first = [row(1) | {"_source_file": "a"}, row(2) | {"_source_file": "a"}]
    base = publish(lake, spec, DAY, 1, staged(spec, temp, {"": first}), run_id="r", temp=temp)
    more = [row(2, "b") | {"_source_file": "b"}, row(3) | {"_source_file": "b"}]
    new = by_an_engine(lake, staged(spec, temp, {"": more}))
    work = temp / "part"
    work.mkdir()
    names = [column.name for column in spec.columns]
    location = base.locations[0]
    added = add(lake, location, 2, {}, new.files, names, key=["id"], latest_by=["at"], work=work)
    assert added.superseded == {"a": 1}
    assert sum(file.rows for file in added.files) + sum(file.rows for file in added.carried) == 3
