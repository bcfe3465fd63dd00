import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.failures import TransientFailure
from adplatform.lake.catalog import Partition
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.retention import Collected, collect
from adplatform.lake.table import TableSpec, table_name
from adplatform.ledger.leases import Lease
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import contract, make_lake, read_with_duckdb, source_name, spec_of, staged

DAY, KEEP = date(2026, 3, 1), timedelta(days=3)
START = datetime.now(UTC)


def daily(source: str = "", feed: str = "report") -> TableSpec:
    return spec_of(contract({"id": "bigint"}), source=source or source_name(), feed=feed)


def put(lake: Lake, spec: TableSpec, temp: Path, version: int, *, day: date = DAY) -> str:
    delivery = staged(spec, temp, {"": [{"id": version}]})
    return publish(lake, spec, day, version, delivery, run_id="r", temp=temp).locations[0]


def sweep(lake: Lake, spec: TableSpec, after: timedelta, **changes: Any) -> Collected:
    return collect(lake, spec.feed, table_name(spec.feed), keep=KEEP, now=START + after, run_id="sweep", **changes)


def keys(lake: Lake) -> set[str]:
    return {o.key for o in lake.store.listing(lake.store.zones.clean_bucket, "")}


def test_a_replaced_version_goes_only_after_it_was_seen_idle_for_the_whole_time(lake: Lake, temp: Path) -> None:
    spec = daily()
    old, new = put(lake, spec, temp, 1), put(lake, spec, temp, 2)
    for days in (1, 2, 3):
        assert sweep(lake, spec, timedelta(days=days)) == Collected(waiting=(old,))
    gone = sweep(lake, spec, timedelta(days=4))
    assert (gone.removed, gone.objects) == ((old,), 1)
    assert gone.bytes > 0
    assert sweep(lake, spec, timedelta(days=9)) == Collected()
    assert [row["id"] for row in read_with_duckdb(lake, spec, temp)] == [2]
    assert {f"{new}part-00000.parquet"} == {lake.store.zones.clean_uri(k) for k in keys(lake) if "table-versions/" in k}


def test_an_old_object_that_was_replaced_just_now_stays(lake: Lake, temp: Path) -> None:
    spec = daily()
    old = put(lake, spec, temp, 1)
    assert sweep(lake, spec, timedelta(days=400)) == Collected()
    put(lake, spec, temp, 2)
    assert sweep(lake, spec, timedelta(days=401)) == Collected(waiting=(old,))


def test_a_location_that_came_into_use_is_no_longer_counted_as_idle(lake: Lake, temp: Path) -> None:
    spec = daily()
    put(lake, spec, temp, 1)
    started = [put(lake, spec, temp, 2)]
    shown = lake.catalog.partition(spec, str(DAY))
    table = lake.catalog.table(spec)
    assert shown is not None
    assert table is not None
    old = replace(shown, location=sweep(lake, spec, timedelta(days=1)).waiting[0])

    def lead_to(partition: Partition) -> None:
        placement = lake.ledger.placements.get(spec.feed, DAY)
        assert placement is not None
        lake.catalog.put_partition(spec, table, partition)
        lake.ledger.placements.put(spec.feed, replace(placement, location=partition.location))

    lead_to(old)
    assert sweep(lake, spec, timedelta(days=2)).waiting == tuple(started)
    lead_to(shown)
    copy = lake.store.zones.clean_uri(f"{spec.feed}/dt={DAY}/")
    assert sweep(lake, spec, timedelta(days=4.5)) == Collected(waiting=(old.location,), repaired=(copy,))


def test_a_dry_run_names_what_would_go_and_changes_nothing(lake: Lake, temp: Path) -> None:
    spec = daily()
    old = put(lake, spec, temp, 1)
    put(lake, spec, temp, 2)
    assert sweep(lake, spec, timedelta(), dry_run=True) == Collected(waiting=(old,))
    assert lake.ledger.placements.retired(spec.feed) == []
    sweep(lake, spec, timedelta())
    before = keys(lake)
    assert sweep(lake, spec, timedelta(days=4), dry_run=True).removed == (old,)
    assert keys(lake) == before


def test_slices_and_merged_partitions_in_use_stay(lake: Lake, temp: Path) -> None:
    rules = contract({"place": "string", "id": "bigint"}, partition_by="place", key=("place", "id"))
    spec = spec_of(rules, source=source_name())
    for day in (1, 2, 3):
        delivery = staged(spec, temp, {"de": [{"id": day}], "fr": [{"id": 1}]})
        publish(lake, spec, date(2026, 3, day), 1, delivery, run_id="r", temp=temp)
    before = read_with_duckdb(lake, spec, temp)
    sweep(lake, spec, timedelta(days=1))
    gone = sweep(lake, spec, timedelta(days=9))
    assert len(gone.removed) == 2
    assert all("-merged/" in location for location in gone.removed)
    assert read_with_duckdb(lake, spec, temp) == before
    delivery = staged(spec, temp, {"de": [{"id": 4}]})
    publish(lake, spec, date(2026, 3, 4), 1, delivery, run_id="r", temp=temp)
    assert sorted(r["id"] for r in read_with_duckdb(lake, spec, temp) if r["place"] == "de") == [1, 2, 3, 4]


def test_a_collection_keeps_its_lease_while_it_only_reads(aws: Aws, lake: Lake, temp: Path) -> None:
    spec = daily()
    put(lake, spec, temp, 1)
    reading = replace(make_lake(aws, name=lake.ledger.table.removeprefix("ledger-")), lease_ttl=timedelta(seconds=0.6))
    taken = []

    def read_slowly(**_: Any) -> None:
        reading.catalog.glue.meta.events.unregister("before-call.glue.GetPartitions", read_slowly)
        time.sleep(0.8)
        taken.append(Lease(lake.ledger.access, f"publish/{spec.feed}", "another", lake.lease_ttl).take())

    reading.catalog.glue.meta.events.register("before-call.glue.GetPartitions", read_slowly)
    assert sweep(reading, spec, timedelta()) == Collected()
    assert taken == [False]


def test_another_feed_whose_name_starts_alike_is_left_alone(lake: Lake, temp: Path) -> None:
    source = source_name()
    short, long = daily(source, "report"), daily(source, "report_2")
    for spec in (short, long):
        put(lake, spec, temp, 1)
        put(lake, spec, temp, 2)
    sweep(lake, short, timedelta())
    sweep(lake, short, timedelta(days=9))
    assert sum(key.startswith(f"table-versions/{source}/report/") for key in keys(lake)) == 1
    assert sum(key.startswith(f"table-versions/{source}/report_2/") for key in keys(lake)) == 2
    assert sum(key.startswith(f"{source}/report_2/") for key in keys(lake)) == 1


def test_nothing_is_removed_when_the_table_is_gone_and_that_is_said(lake: Lake, temp: Path) -> None:
    spec = daily()
    put(lake, spec, temp, 1)
    lake.catalog.glue.delete_table(DatabaseName=spec.database, Name=spec.name)
    before = keys(lake)
    for days in (0, 9):
        swept = sweep(lake, spec, timedelta(days=days))
        [missing] = swept.compared.to_report
        assert "the catalog does not have the table" in missing
        assert swept == Collected(compared=swept.compared)
    assert keys(lake) == before


def test_an_attempt_that_slept_through_two_collections_refuses_to_show_what_is_gone(
    aws: Aws, lake: Lake, temp: Path
) -> None:
    spec = daily()
    put(lake, spec, temp, 1)
    slow = make_lake(aws, name=lake.ledger.table.removeprefix("ledger-"))

    def collect_meanwhile(**_: Any) -> None:
        slow.ledger.client.meta.events.unregister("before-call.dynamodb.PutItem", collect_meanwhile)
        sweep(lake, spec, timedelta())
        sweep(lake, spec, timedelta(days=9))

    slow.ledger.client.meta.events.register("before-call.dynamodb.PutItem", collect_meanwhile)
    with pytest.raises(TransientFailure, match="not complete"):
        put(slow, spec, temp, 2)
    assert [row["id"] for row in read_with_duckdb(lake, spec, temp)] == [1]
    put(slow, spec, temp, 2)
    assert [row["id"] for row in read_with_duckdb(lake, spec, temp)] == [2]
