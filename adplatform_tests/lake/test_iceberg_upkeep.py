"""What the daily collection does to Iceberg tables."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from adplatform.lake.agreement import Compared
from adplatform.lake.attempt import Published
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.retention import Collected, collect
from adplatform.lake.table import TableSpec, table_name
from adplatform.platform.aws import Aws
from adplatform_tests.lake.iceberg_reader import open_with_pyiceberg
from adplatform_tests.lake.support import contract, read_with_duckdb, source_name, spec_of, staged

DAY, KEEP = date(2026, 3, 1), timedelta(days=3)
START = datetime.now(UTC)


def daily(**settings: object) -> TableSpec:
    types = {"place": "string", "id": "bigint"}
    return spec_of(contract(types, table_format="iceberg", **settings), source=source_name())


def put(lake: Lake, spec: TableSpec, temp: Path, version: int, *, day: date = DAY, files: int = 1) -> Published:
    own = "de" if spec.by_column else ""
    rows = [{"id": version + number, **({} if own else {"place": "de"})} for number in range(files)]
    delivery = staged(spec, temp, {own: rows}, files_per_part=files)
    return publish(lake, spec, day, version, delivery, run_id="r", temp=temp)


def sweep(lake: Lake, spec: TableSpec, days: float, *, dry_run: bool = False) -> Collected:
    named = spec if spec.by_column else table_name(spec.feed)
    now = START + timedelta(days=days)
    return collect(lake, spec.feed, named, keep=KEEP, now=now, run_id="sweep", dry_run=dry_run)


def test_a_replaced_version_can_be_read_for_the_whole_time_and_then_goes_with_its_snapshot(
    lake: Lake, aws: Aws, temp: Path
) -> None:
    spec = daily()
    (old,) = put(lake, spec, temp, 1).locations
    put(lake, spec, temp, 2)
    first = open_with_pyiceberg(str(aws.endpoint_url), spec).snapshots()[0].snapshot_id
    for days in (0.5, 3):
        assert old in sweep(lake, spec, days).waiting
        table = open_with_pyiceberg(str(aws.endpoint_url), spec)
        assert [row["id"] for row in table.scan(snapshot_id=first).to_arrow().to_pylist()] == [1]
    assert sweep(lake, spec, 4, dry_run=True).removed == (old,)
    gone = sweep(lake, spec, 4)
    assert gone.removed == (old,)
    assert gone.objects > 2  # its manifests and its list of entries, too
    assert [s.snapshot_id for s in open_with_pyiceberg(str(aws.endpoint_url), spec).snapshots()] != [first]
    assert [row["id"] for row in read_with_duckdb(lake, spec, temp)] == [2]
    for days in (5, 14):
        sweep(lake, spec, days)
        assert [row["id"] for row in read_with_duckdb(lake, spec, temp)] == [2]
    put(lake, spec, temp, 3)
    assert [row["id"] for row in read_with_duckdb(lake, spec, temp)] == [3]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"partition_by": None}, marks=pytest.mark.slow),
        pytest.param({"partition_by": "place"}, marks=pytest.mark.slow),
    ],
)
def test_many_small_files_of_a_quiet_partition_become_one_and_the_ledger_agrees(
    lake: Lake, aws: Aws, temp: Path, settings: dict[str, object]
) -> None:
    spec = daily(**settings)
    put(lake, spec, temp, 1, files=9)
    rows = read_with_duckdb(lake, spec, temp)
    assert sweep(lake, spec, 0.5).compacted == ()
    assert len(sweep(lake, spec, 2).compacted) == 1
    assert read_with_duckdb(lake, spec, temp) == rows
    assert len(list(open_with_pyiceberg(str(aws.endpoint_url), spec).scan().plan_files())) == 1
    after = sweep(lake, spec, 2.5)
    assert (after.compacted, after.compared) == ((), Compared())
    for days in (6, 12):
        sweep(lake, spec, days)
    assert read_with_duckdb(lake, spec, temp) == rows
    put(lake, spec, temp, 20)
    assert [row["id"] for row in read_with_duckdb(lake, spec, temp)] == [20]


def test_a_partition_to_which_another_engine_has_added_rows_is_left_as_it_is(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = daily()
    put(lake, spec, temp, 1, files=9)
    rows = pa.table({"place": ["fr"], "id": pa.array([99], pa.int64()), "dt": pa.array([DAY], pa.date32())})
    open_with_pyiceberg(str(aws.endpoint_url), spec).append(rows)
    assert sweep(lake, spec, 2).compacted == ()
    assert sorted(row["id"] for row in read_with_duckdb(lake, spec, temp)) == [*range(1, 10), 99]


def test_manifests_do_not_grow_without_end(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = daily()
    put(lake, spec, temp, 1)
    table = open_with_pyiceberg(str(aws.endpoint_url), spec)
    table.transaction().set_properties({"commit.manifest.min-count-to-merge": "4"}).commit_transaction()
    for version in (2, 3, 4):
        put(lake, spec, temp, version)
    sweep(lake, spec, 1)
    now = open_with_pyiceberg(str(aws.endpoint_url), spec)
    snapshot = now.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(now.io)) == 1
    assert [row["id"] for row in read_with_duckdb(lake, spec, temp)] == [4]
