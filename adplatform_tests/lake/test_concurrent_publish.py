"""Publishers that meet each other, and readers that look all the time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from adplatform.failures import TransientFailure
from adplatform.lake.attempt import Published, Result
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.table import TableSpec
from adplatform.ledger.leases import Lease
from adplatform.ledger.ledger import Ledger
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import (
    contract,
    make_lake,
    read_location,
    read_root_with_duckdb,
    read_with_duckdb,
    source_name,
    spec_of,
    staged,
)

TYPES = {"place": "string", "id": "bigint", "version": "bigint"}
DAY = date(2026, 3, 1)


def table(partition_by: str | None) -> TableSpec:
    key: dict[str, Any] = {"key": ("place", "id")} if partition_by == "place" else {}
    return spec_of(contract(TYPES, partition_by=partition_by, **key), source=source_name())


def put(lake: Lake, spec: TableSpec, temp: Path, version: int, *, day: date = DAY) -> Published:
    """As many rows as the version's number, each with that number, in two files."""
    by_column = spec.partition is not None and spec.partition.name == "place"
    row = {"version": version} if by_column else {"version": version, "place": "de"}
    parts = {"de" if by_column else "": [{"id": i, **row} for i in range(version)]}
    return publish(lake, spec, day, version, staged(spec, temp, parts, files_per_part=2), run_id="same", temp=temp)


def location(lake: Lake, spec: TableSpec, value: str) -> str | None:
    shown = lake.catalog.partition(spec, value) if spec.partition else lake.catalog.table(spec)
    return shown.location if shown else None


@pytest.mark.parametrize(
    ("partition_by", "value"),
    [
        pytest.param("dt", "2026-03-01", marks=pytest.mark.slow),
        ("place", "de"),
        pytest.param(None, "", marks=pytest.mark.slow),
    ],
)
def test_publishers_at_once_end_with_the_highest_version_and_readers_see_whole_versions_only(
    aws: Aws, lake: Lake, temp: Path, partition_by: str | None, value: str
) -> None:
    spec, name = table(partition_by), lake.ledger.table.removeprefix("ledger-")
    put(lake, spec, temp, 1)
    done = threading.Event()
    # boto3 clients are thread-safe, the session that makes them is not.
    reader, *writers = [make_lake(aws, name=name) for _ in range(5)]

    def read() -> list[int]:
        versions = []
        while not done.wait(0.005):
            found = location(reader, spec, value)
            assert found is not None
            rows = read_location(reader.store.s3, found, temp)
            versions.append(len(rows))
            assert {row["version"] for row in rows} == {len(rows)}
        return versions

    with ThreadPoolExecutor(5) as pool:
        reading = pool.submit(read)
        turns = zip(writers, (4, 2, 5, 3), strict=True)
        others = [pool.submit(put, writer, spec, temp, version) for writer, version in turns]
        try:
            results = [other.result().result for other in others]
        finally:
            done.set()
        versions = reading.result()
    assert results[2] is Result.PUBLISHED
    assert versions == sorted(versions)
    rows = read_with_duckdb(lake, spec, temp)
    assert len(rows) == 5
    assert read_root_with_duckdb(lake, spec, temp) == (rows if partition_by else [])


def test_deliveries_of_different_days_that_meet_in_a_partition_are_all_there(aws: Aws, lake: Lake, temp: Path) -> None:
    spec = spec_of(contract(TYPES, partition_by="place"), source=source_name())
    name = lake.ledger.table.removeprefix("ledger-")
    lakes = [make_lake(aws, name=name) for _ in range(6)]

    def one(day: int) -> None:
        rows = {"de": [{"id": day, "version": 1}], "fr": [{"id": day, "version": 1}]}
        publish(lakes[day - 1], spec, date(2026, 3, day), 1, staged(spec, temp, rows), run_id="r", temp=temp)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(1, 7)))
    rows = read_with_duckdb(lake, spec, temp)
    assert sorted((r["place"], r["id"]) for r in rows) == [(p, d) for p in ("de", "fr") for d in range(1, 7)]
    assert read_root_with_duckdb(lake, spec, temp) == rows


def test_a_publisher_that_lost_its_lease_stops_before_it_overwrites_newer_work(
    aws: Aws, lake: Lake, temp: Path
) -> None:
    spec, name = table("dt"), lake.ledger.table.removeprefix("ledger-")
    put(lake, spec, temp, 1)
    slow, fast = make_lake(aws, name=name), make_lake(aws, name=name)
    looks, passed = count(1), [0]
    slow, fast = (
        replace(each, ledger=replace(each.ledger, now=lambda: datetime.now(UTC) + timedelta(seconds=passed[0])))
        for each in (slow, fast)
    )

    def overtake(**_: Any) -> None:
        if next(looks) == 2:  # the first is before the lease
            passed[0] = 61
            put(fast, spec, temp, 3)

    slow.catalog.glue.meta.events.register("before-call.glue.GetTable", overtake)
    with pytest.raises(TransientFailure, match="lost to another run"):
        put(slow, spec, temp, 2)
    assert {row["version"] for row in read_with_duckdb(lake, spec, temp)} == {3}


def test_a_publisher_that_waits_too_long_says_so(aws: Aws, lake: Lake, temp: Path) -> None:
    spec = table("dt")
    impatient = replace(lake, lease_wait=timedelta(0))
    with lake.alone(spec.feed, "somebody"), pytest.raises(TransientFailure, match="held by another run"):
        put(impatient, spec, temp, 1)
    assert put(impatient, spec, temp, 1).result is Result.PUBLISHED


def test_files_that_were_cleaned_up_meanwhile_are_not_shown(lake: Lake, temp: Path) -> None:
    spec = table("dt")
    bucket = lake.store.zones.clean_bucket

    def clean_up(**_: Any) -> None:
        lake.store.delete(bucket, [o.key for o in lake.store.listing(bucket, "")][:1])

    lake.ledger.client.meta.events.register("before-call.dynamodb.PutItem", clean_up)
    with pytest.raises(TransientFailure, match="not complete"):
        put(lake, spec, temp, 3)
    assert lake.catalog.table(spec) is None


def test_a_long_step_keeps_the_lease_however_often_its_time_runs_out(aws: Aws, lake: Lake) -> None:
    clock = [datetime(2026, 3, 1, tzinfo=UTC)]
    ttl = timedelta(seconds=0.1)
    timed = replace(lake, lease_ttl=ttl, ledger=replace(lake.ledger, now=lambda: clock[0]))
    extended = threading.Event()
    lake.ledger.client.meta.events.register("after-call.dynamodb.PutItem", lambda **_: extended.set())
    rival = Ledger(make_lake(aws, name=lake.ledger.table.removeprefix("ledger-")).ledger.client, lake.ledger.table)
    with timed.alone("s/f", "holder") as lease, lease.kept():
        for _ in range(5):
            clock[0] += ttl * 0.9
            extended.clear()
            assert extended.wait(30)
            extended.clear()
            assert extended.wait(30)
            other = Lease(replace(rival, now=lambda: clock[0] + ttl * 0.5).access, "publish/s/f", "rival", ttl)
            assert not other.take()
