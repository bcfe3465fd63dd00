"""Tables with a second partition column, whose values are delivered apart: advertising profiles, marketplaces."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import awswrangler as wr
import pytest

from adplatform.failures import PermanentFailure
from adplatform.lake.attempt import Published, Result
from adplatform.lake.crawler import CrawlSettings, compare_with_crawler
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.query import run_query
from adplatform.lake.retention import Collected, collect
from adplatform.lake.table import TableSpec, table_name
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import (
    contract,
    make_lake,
    read_root_with_duckdb,
    read_with_duckdb,
    source_name,
    spec_of,
    staged,
)
from adplatform_tests.lake.wrangler import read_with_wrangler, wrangler_session

TYPES = {"id": "bigint", "place": "string"}
DAY, KEEP = date(2026, 3, 1), timedelta(days=3)
Seen = list[tuple[str, str, int]]


def scoped(source: str = "", table_format: str = "parquet") -> TableSpec:
    rules = contract(TYPES, table_format=table_format)
    return spec_of(rules, source=source or source_name(), scope="profile_id")


def put(
    lake: Lake, spec: TableSpec, temp: Path, scope: str, version: int, ids: list[int], *, day: date = DAY
) -> Published:
    delivery = staged(spec, temp, {"": [{"id": i} for i in ids]} if ids else {})
    return publish(lake, spec, day, version, delivery, run_id="r", temp=temp, scope=scope)


def below(lake: Lake, prefix: str) -> list[str]:
    return [o.key.removeprefix(prefix) for o in lake.store.listing(lake.store.zones.clean_bucket, prefix)]


def places(rows: list[dict[str, Any]]) -> Seen:
    return sorted((str(row["dt"]), str(row["profile_id"]), int(row["id"])) for row in rows)


def queried(aws: Aws, lake: Lake, spec: TableSpec, where: str = "true") -> Seen:
    """Through the platform's own reader of the catalog. The prefix is the whole name of the database."""
    sql = f"select dt, profile_id, id from {spec.qualified} where {where}"
    names, rows = run_query(aws, lake.catalog.glue, spec.database, sql, 100)
    return places([dict(zip(names, row, strict=True)) for row in rows])


def seen(aws: Aws, lake: Lake, spec: TableSpec, temp: Path) -> Seen:
    """(date, scope, id) of every row, on which all readers agree."""
    by_catalog = places(read_with_duckdb(lake, spec, temp))
    assert queried(aws, lake, spec) == by_catalog
    if spec.is_iceberg:
        return by_catalog
    assert places(read_root_with_duckdb(lake, spec, temp)) == by_catalog
    assert places(read_with_wrangler(aws, spec)) == by_catalog
    return by_catalog


@pytest.mark.parametrize("table_format", ["parquet", pytest.param("iceberg", marks=pytest.mark.slow)])
def test_scopes_of_one_date_are_published_and_restated_apart(
    lake: Lake, aws: Aws, temp: Path, table_format: str
) -> None:
    spec = scoped(table_format=table_format)
    put(lake, spec, temp, "007", 1, [1, 2])
    put(lake, spec, temp, "ENTITY_a-b", 2, [3])
    put(lake, spec, temp, "007", 1, [4], day=date(2026, 3, 2))
    first = [("2026-03-01", "007", 1), ("2026-03-01", "007", 2)]
    others = [("2026-03-01", "ENTITY_a-b", 3), ("2026-03-02", "007", 4)]
    assert seen(aws, lake, spec, temp) == [*first, *others]
    assert put(lake, spec, temp, "007", 2, [5]).result is Result.PUBLISHED
    restated = [("2026-03-01", "007", 5), *others]
    assert seen(aws, lake, spec, temp) == restated
    assert put(lake, spec, temp, "ENTITY_a-b", 2, [3]).result is Result.ALREADY
    late = put(lake, spec, temp, "ENTITY_a-b", 1, [9])
    assert (late.result, late.note) == (Result.SUPERSEDED, f"readers see version 2 of the delivery of {DAY}")
    assert seen(aws, lake, spec, temp) == restated


@pytest.mark.parametrize("table_format", ["parquet", "iceberg"])
def test_a_scope_without_rows_empties_its_own_partition_only(
    lake: Lake, aws: Aws, temp: Path, table_format: str
) -> None:
    spec = scoped(table_format=table_format)
    put(lake, spec, temp, "1", 1, [1])
    put(lake, spec, temp, "2", 1, [2])
    assert put(lake, spec, temp, "1", 2, []).rows == 0
    assert seen(aws, lake, spec, temp) == [("2026-03-01", "2", 2)]


def test_files_lie_in_a_folder_per_date_and_scope_and_follow_a_restatement(lake: Lake, temp: Path) -> None:
    spec, zones = scoped(), lake.store.zones
    old, other = put(lake, spec, temp, "1", 1, [1]), put(lake, spec, temp, "2", 1, [2])
    new = put(lake, spec, temp, "1", 2, [3])
    assert new.locations == (zones.clean_uri(f"table-versions/{spec.feed}/{new.token}/dt=2026-03-01/profile_id=1/"),)
    assert below(lake, zones.versions(spec.feed)) == [
        f"{attempt.token}/dt=2026-03-01/profile_id={scope}/part-00000.parquet"
        for attempt, scope in sorted(((old, 1), (other, 2), (new, 1)), key=lambda pair: pair[0].token)
    ]
    assert below(lake, zones.clean(spec.feed)) == [
        f"dt=2026-03-01/profile_id=1/{new.token}-part-00000.parquet",
        f"dt=2026-03-01/profile_id=2/{other.token}-part-00000.parquet",
    ]


def test_readers_may_ask_for_one_scope_only(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = scoped()
    for scope, number in (("1", 1), ("2", 2), ("12", 3)):
        put(lake, spec, temp, scope, 1, [number])
    expected = [("2026-03-01", "2", 2)]
    root = lake.store.zones.clean_uri(lake.store.zones.clean(spec.feed))
    session = wrangler_session(aws)
    frame = wr.s3.read_parquet(
        root, dataset=True, partition_filter=lambda p: p["profile_id"] == "2", boto3_session=session
    )
    assert places(list(frame.to_dict(orient="records"))) == expected
    assert queried(aws, lake, spec, "profile_id = '2'") == expected
    assert queried(aws, lake, spec, "profile_id = '2' and dt = '2026-03-02'") == []
    glue = lake.catalog.glue
    found = glue.get_partitions(DatabaseName=spec.database, TableName=spec.name, Expression="profile_id = '2'")
    assert [p["Values"] for p in found["Partitions"]] == [["2026-03-01", "2"]]


def test_a_replaced_version_of_one_scope_goes_and_what_is_in_use_stays(lake: Lake, aws: Aws, temp: Path) -> None:
    spec, start = scoped(), lake.ledger.now()
    old = put(lake, spec, temp, "1", 1, [1]).locations[0]
    put(lake, spec, temp, "2", 1, [2])
    put(lake, spec, temp, "1", 2, [3])
    before = seen(aws, lake, spec, temp)

    def sweep(days: int) -> Collected:
        now = start + timedelta(days=days)
        return collect(lake, spec.feed, table_name(spec.feed), keep=KEEP, now=now, run_id="sweep")

    assert sweep(1) == Collected(waiting=(old,))
    gone = sweep(5)
    assert (gone.removed, gone.objects, gone.repaired) == ((old,), 1, ())
    assert sweep(9) == Collected()
    assert len(below(lake, lake.store.zones.versions(spec.feed))) == 2
    assert seen(aws, lake, spec, temp) == before


def test_a_collection_repairs_folders_of_scopes_and_what_lies_between_them(lake: Lake, aws: Aws, temp: Path) -> None:
    spec, zones = scoped(), lake.store.zones
    bucket, day = zones.clean_bucket, f"{spec.feed}/dt=2026-03-01/"
    for scope in ("1", "2", "3"):
        put(lake, spec, temp, scope, 1, [int(scope)])
    before = below(lake, "")
    [part] = below(lake, f"{day}profile_id=1/")
    lake.store.copy(bucket, f"{day}profile_id=1/{part}", f"{day}profile_id=9/gone.parquet")
    lake.store.copy(bucket, f"{day}profile_id=1/{part}", f"{day}profile_id=2/deeper/old.parquet")
    lake.store.copy(bucket, f"{day}profile_id=1/{part}", f"{day}of-a-table-without-scopes.parquet")
    lake.store.s3.put_object(Bucket=bucket, Key=f"{spec.feed}/note.txt", Body=b"somebody's")
    lake.store.delete(bucket, [f"{day}profile_id=1/{part}"])
    broken = tuple(zones.clean_uri(day + folder) for folder in ("", *(f"profile_id={n}/" for n in (1, 2, 9))))

    def sweep(*, dry_run: bool = False) -> Collected:
        return collect(lake, spec.feed, spec, keep=KEEP, now=lake.ledger.now(), run_id="sweep", dry_run=dry_run)

    assert sweep(dry_run=True).repaired == broken
    assert sweep().repaired == broken
    assert sweep() == Collected()
    assert below(lake, "") == sorted([*before, f"{spec.feed}/note.txt"])
    lake.store.delete(bucket, [f"{spec.feed}/note.txt"])
    assert len(seen(aws, lake, spec, temp)) == 3


def test_a_crawler_agrees_with_what_was_registered(lake: Lake, temp: Path) -> None:
    spec = scoped()
    for scope, version in (("1", 1), ("2", 1), ("1", 2)):
        put(lake, spec, temp, scope, version, [version])
    role, database = "arn:aws:iam::123456789012:role/crawler", f"crawled_{spec.database}"
    settings = CrawlSettings(role, database, timedelta(seconds=0.1), timedelta(seconds=20))
    names = [column.name for column in spec.columns]
    assert compare_with_crawler(lake, spec.feed, spec, settings, declared=names, sleep=time.sleep) == ()


def test_publishers_of_two_scopes_at_once_are_both_seen(aws: Aws, lake: Lake, temp: Path) -> None:
    spec, name = scoped(), lake.ledger.table.removeprefix("ledger-")
    work = [(scope, version) for version in (1, 2) for scope in ("1", "2")]
    # boto3 clients are thread-safe, the session that makes them is not.
    lakes = [make_lake(aws, name=name) for _ in work]

    def one(own: Lake, scope: str, version: int) -> Result:
        return put(own, spec, temp, scope, version, [version]).result

    with ThreadPoolExecutor(len(work)) as pool:
        futures = [pool.submit(one, own, *task) for own, task in zip(lakes, work, strict=True)]
        results = [future.result() for future in futures]
    assert results[2:] == [Result.PUBLISHED, Result.PUBLISHED]
    assert seen(aws, lake, spec, temp) == [("2026-03-01", "1", 2), ("2026-03-01", "2", 2)]


@pytest.mark.parametrize("first", [None, "profile_id", "marketplace"])
def test_a_table_that_exists_with_other_partitions_refuses(lake: Lake, temp: Path, first: str | None) -> None:
    source = source_name()
    there = spec_of(contract(TYPES), source=source, scope=first)
    put(lake, there, temp, "1" if first else "", 1, [1])
    before = below(lake, "")
    for scope in {None, "profile_id", "marketplace"} - {first}:
        other = spec_of(contract(TYPES), source=source, scope=scope)
        with pytest.raises(PermanentFailure, match="partitioned differently"):
            put(lake, other, temp, "1" if scope else "", 2, [2])
    assert below(lake, "") == before
    assert [row["id"] for row in read_with_duckdb(lake, there, temp)] == [1]


@pytest.mark.parametrize(
    ("partition_by", "scope"), [("place", "profile_id"), (None, "profile_id"), ("dt", "id"), ("dt", "dt")]
)
def test_a_scope_stands_beside_the_delivery_date_only_and_is_no_column(partition_by: str | None, scope: str) -> None:
    with pytest.raises(PermanentFailure, match=f"{scope} can only be a partition beside dt"):
        spec_of(contract(TYPES, partition_by=partition_by), source="s", scope=scope)


@pytest.mark.parametrize(("column", "scope"), [("profile_id", ""), (None, "1")])
def test_a_delivery_names_a_scope_exactly_where_its_table_has_one(
    lake: Lake, temp: Path, column: str | None, scope: str
) -> None:
    spec = spec_of(contract(TYPES), source=source_name(), scope=column)
    with pytest.raises(PermanentFailure, match="scope"):
        put(lake, spec, temp, scope, 1, [1])
    assert lake.catalog.table(spec) is None
    assert below(lake, "") == []


def test_a_partition_by_a_column_may_hold_any_character(lake: Lake, temp: Path) -> None:
    spec = spec_of(contract(TYPES, partition_by="place"), source=source_name())
    for version, value in enumerate(("a\x1fb", "a\tb"), 1):
        publish(lake, spec, DAY, version, staged(spec, temp, {value: [{"id": version}]}), run_id="r", temp=temp)
    assert [(row["place"], row["id"]) for row in read_with_duckdb(lake, spec, temp)] == [("a\tb", 2)]
