"""Tables whose scopes share the partition of a date."""

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adplatform.lake.agreement import Compared, compare
from adplatform.lake.attempt import Published, Result
from adplatform.lake.catalog import Partition
from adplatform.lake.compacted import Base, Part, Plan, planned, read_parts
from adplatform.lake.lake import Lake
from adplatform.lake.query import run_query
from adplatform.lake.retention import collect
from adplatform.lake.shared_dates import Share, publish_shares
from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import (
    contract,
    download,
    make_lake,
    read_root_with_duckdb,
    read_with_duckdb,
    source_name,
    spec_of,
    staged,
)
from adplatform_tests.lake.wrangler import read_with_wrangler

DAY = date(2026, 3, 1)
Seen = dict[str, list[int]]


def table(**types: str) -> TableSpec:
    rules = contract({"id": "bigint", **types})
    return spec_of(rules, source=source_name(), scope="profile_id", compacted=True)


def put(lake: Lake, spec: TableSpec, temp: Path, version: int, **ids: list[int]) -> list[Published]:
    """Publish what scopes bring together; ``p7`` is the scope 7."""
    shares = [
        Share(spec, scope[1:], version, staged(spec, temp, {"": [{"id": i} for i in own]} if own else {}))
        for scope, own in ids.items()
    ]
    return publish_shares(lake, DAY, shares, run_id="r", temp=temp)


def shown(lake: Lake, spec: TableSpec) -> Partition:
    [partition] = lake.catalog.partitions(spec)
    return partition


def by_scope(rows: list[dict[str, Any]]) -> Seen:
    found: Seen = {}
    for row in rows:
        assert str(row["dt"]) == str(DAY)
        found.setdefault(str(row["profile_id"]), []).append(int(row["id"]))
    return {scope: sorted(ids) for scope, ids in sorted(found.items())}


def seen(aws: Aws, lake: Lake, spec: TableSpec, temp: Path) -> Seen:
    """On which all readers agree."""
    found = by_scope(read_with_duckdb(lake, spec, temp))
    names, rows = run_query(aws, lake.catalog.glue, spec.database, f"select * from {spec.qualified}", 100)
    assert by_scope([dict(zip(names, row, strict=True)) for row in rows]) == found
    assert by_scope(read_root_with_duckdb(lake, spec, temp)) == found
    assert by_scope(read_with_wrangler(aws, spec)) == found
    return found


def test_scopes_of_a_date_are_one_file_in_their_order_and_are_restated_apart(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = table()
    first = put(lake, spec, temp, 1, p9=[3], p7=[1, 2], p8=[])
    assert [(each.result, each.rows) for each in first] == [(Result.PUBLISHED, n) for n in (1, 2, 0)]
    assert seen(aws, lake, spec, temp) == {"7": [1, 2], "9": [3]}
    [file] = download(lake.store.s3, shown(lake, spec).location, temp).iterdir()
    assert pq.read_table(file).to_pydict() == {"id": [1, 2, 3], "profile_id": ["7", "7", "9"]}
    put(lake, spec, temp, 2, p7=[5], p8=[6])
    assert seen(aws, lake, spec, temp) == {"7": [5], "8": [6], "9": [3]}
    late = put(lake, spec, temp, 1, p7=[1, 2], p9=[3], p10=[4])
    assert [each.result for each in late] == [Result.SUPERSEDED, Result.ALREADY, Result.PUBLISHED]
    assert seen(aws, lake, spec, temp) == {"10": [4], "7": [5], "8": [6], "9": [3]}
    put(lake, spec, temp, 3, p10=[], p7=[], p8=[], p9=[])
    assert seen(aws, lake, spec, temp) == {}


def test_a_file_without_a_scope_that_changed_is_copied_as_it_is(lake: Lake, temp: Path) -> None:
    spec, one_each = table(), replace(lake, file_size=1)
    put(one_each, spec, temp, 1, p1=[1], p2=[2], p3=[3])

    def files() -> Mapping[str, bytes]:
        parts = read_parts(lake.store, shown(lake, spec))
        folder = download(lake.store.s3, shown(lake, spec).location, temp)
        assert parts is not None
        return {scope: (folder / part.file).read_bytes() for scope, part in parts.items()}

    before = files()
    put(one_each, spec, temp, 2, p2=[5])
    after = files()
    assert {scope for scope in before if before[scope] != after[scope]} == {"2"}
    put(lake, spec, temp, 1, p4=[4])
    assert len(set(files().values())) == 1


def test_publishers_of_scopes_of_one_date_at_once_lose_nothing(aws: Aws, lake: Lake, temp: Path) -> None:
    spec, name = table(), lake.ledger.table.removeprefix("ledger-")
    work = [{"p1": [1], "p2": [2]}, {"p3": [3]}, {"p4": [4], "p5": [5]}]
    lakes = [make_lake(aws, name=name) for _ in work]
    with ThreadPoolExecutor(len(work)) as pool:
        futures = [pool.submit(put, own, spec, temp, 1, **ids) for own, ids in zip(lakes, work, strict=True)]
        assert {each.result for future in futures for each in future.result()} == {Result.PUBLISHED}
    assert seen(aws, lake, spec, temp) == {str(n): [n] for n in range(1, 6)}


def test_rows_of_a_file_written_before_a_column_have_none_of_it(lake: Lake, temp: Path) -> None:
    before = table()
    put(lake, before, temp, 1, p1=[1], p2=[2])
    wider = contract({"id": "bigint", "note": "string"})
    after = spec_of(wider, source=before.feed.partition("/")[0], scope="profile_id", compacted=True)
    share = Share(after, "2", 2, staged(after, temp, {"": [{"id": 5, "note": "n"}]}))
    publish_shares(lake, DAY, [share], run_id="r", temp=temp)
    [file] = download(lake.store.s3, shown(lake, after).location, temp).iterdir()
    assert pq.read_table(file).to_pylist() == [
        {"id": 1, "profile_id": "1", "note": None},
        {"id": 5, "profile_id": "2", "note": "n"},
    ]
    found = lake.catalog.table(after)
    assert found is not None
    assert [name for name, _ in found.columns] == ["id", "profile_id", "note"]


def test_a_date_of_which_somebody_changed_a_file_is_made_of_what_scopes_brought(
    lake: Lake, aws: Aws, temp: Path
) -> None:
    spec = table()
    put(lake, spec, temp, 1, p1=[1], p2=[2], p3=[3])
    parts, entry = read_parts(lake.store, shown(lake, spec)), shown(lake, spec)
    assert parts is not None
    other, bucket = temp / f"{uuid.uuid4()}.parquet", lake.store.zones.clean_bucket
    pq.write_table(pa.table({"id": [9, 9, 9], "profile_id": ["1", "1", "2"]}), other)
    key = lake.store.zones.clean_key(entry.location) + parts["1"].file
    lake.store.s3.put_object(Bucket=bucket, Key=key, Body=other.read_bytes())
    put(lake, spec, temp, 2, p2=[4])
    assert seen(aws, lake, spec, temp) == {"1": [1], "2": [4], "3": [3]}
    key = lake.store.zones.clean_key(parts["1"].location) + "part-00000.parquet"
    lake.store.s3.put_object(Bucket=bucket, Key=key, Body=other.read_bytes())
    lake.catalog.delete_partition(spec, str(DAY))
    with lake.alone(spec.feed, "c") as lease:
        compared = compare(lake, lease, spec.feed, spec, run_id="c", temp=temp, scopes=("1", "2", "3"))
    assert "do not hold as many rows as were published" in str(compared.unclear)
    assert list(lake.catalog.partitions(spec)) == []


def test_a_partition_that_is_gone_or_lost_a_scope_is_made_anew_of_what_scopes_brought(
    lake: Lake, aws: Aws, temp: Path
) -> None:
    spec = table()
    put(lake, spec, temp, 1, p1=[1])
    old, catalog = shown(lake, spec), lake.catalog.table(spec)
    put(lake, spec, temp, 1, p2=[2])
    assert catalog is not None

    def repaired() -> Compared:
        with lake.alone(spec.feed, "c") as lease:
            return compare(lake, lease, spec.feed, spec, run_id="c", temp=temp, scopes=("1", "2"))

    assert repaired() == Compared()
    lake.catalog.put_partition(spec, catalog, old)
    assert len(repaired().repaired) == 1
    assert seen(aws, lake, spec, temp) == {"1": [1], "2": [2]}
    bucket, zones = lake.store.zones.clean_bucket, lake.store.zones
    lake.store.delete(bucket, [o.key for o in lake.store.listing(bucket, zones.slice_lists(spec.feed))])
    assert "Drop the partition" in str(repaired().unclear)
    lake.catalog.delete_partition(spec, str(DAY))
    assert len(repaired().repaired) == 1
    assert seen(aws, lake, spec, temp) == {"1": [1], "2": [2]}
    assert repaired() == Compared()
    prefix = lake.store.zones.clean_key(shown(lake, spec).location)
    lake.store.delete(
        lake.store.zones.clean_bucket, [o.key for o in lake.store.listing(lake.store.zones.clean_bucket, prefix)]
    )
    put(lake, spec, temp, 2, p1=[7])
    assert seen(aws, lake, spec, temp) == {"1": [7], "2": [2]}


def test_a_collection_leaves_what_partitions_are_made_of(lake: Lake, aws: Aws, temp: Path) -> None:
    spec, start = table(), lake.ledger.now()
    put(lake, spec, temp, 1, p1=[1], p2=[2])
    put(lake, spec, temp, 2, p1=[3])
    for days in (0, 5):
        now = start + timedelta(days=days)
        swept = collect(lake, spec.feed, spec, keep=timedelta(days=3), now=now, run_id="s", temp=temp)
    assert len(swept.removed) == 2  # the partition before, and what scope 1 brought first
    lake.catalog.delete_partition(spec, str(DAY))
    collect(lake, spec.feed, spec, keep=timedelta(days=3), now=start, run_id="s", temp=temp)
    assert seen(aws, lake, spec, temp) == {"1": [3], "2": [2]}


def part(scope: str, at: str, rows: int, file: str = "") -> Part:
    return Part(scope, 1, "", at, rows, file=file)


def test_files_that_stay_are_those_of_scopes_that_did_not_change_unless_they_are_small() -> None:
    there = [part("1", "a", 5, "x"), part("2", "b", 5, "x"), part("3", "c", 9, "y"), part("4", "d", 1, "z")]
    base = Base(None, {each.scope: each for each in there}, {"x": 100, "y": 100, "z": 9})
    wanted = {**base.parts, "2": part("2", "B", 7), "5": part("5", "e", 1)}
    plan = planned(base, wanted, {"2": 60, "5": 5}, full=100)
    assert plan == Plan(("y",), ("x", "z"), (("1", "2"), ("4", "5")))
    assert planned(Base(), wanted, {}, full=100) == Plan((), (), ())
