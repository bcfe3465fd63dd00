"""Readers of paths: what lies below a table's root follows what the catalog shows."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import awswrangler as wr
import pytest

from adplatform.failures import TransientFailure
from adplatform.flow.services import Services
from adplatform.lake.agreement import Compared
from adplatform.lake.attempt import Published, Result
from adplatform.lake.catalog import Partition
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.retention import Collected, collect
from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws
from adplatform.platform.settings import read_settings
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
FIRST = date(2026, 3, 1)
KEEP = timedelta(days=3)
Parts = Mapping[str, list[int]]


def daily(source: str = "", feed: str = "report") -> TableSpec:
    return spec_of(contract(TYPES), source=source or source_name(), feed=feed)


def placed(**rules: Any) -> TableSpec:
    return spec_of(contract(TYPES, partition_by="place", **rules), source=source_name())


def put(lake: Lake, spec: TableSpec, temp: Path, day: int, version: int, parts: Parts) -> Published:
    delivery = staged(spec, temp, {place: [{"id": i} for i in ids] for place, ids in parts.items()})
    return publish(lake, spec, FIRST + timedelta(days=day), version, delivery, run_id="r", temp=temp)


def sweep(lake: Lake, spec: TableSpec, **changes: Any) -> Collected:
    return collect(lake, spec.feed, spec, keep=KEEP, now=lake.ledger.now(), run_id="sweep", **changes)


def below(lake: Lake, prefix: str) -> list[str]:
    return [o.key.removeprefix(prefix) for o in lake.store.listing(lake.store.zones.clean_bucket, prefix)]


def seen(lake: Lake, aws: Aws, spec: TableSpec, temp: Path) -> list[tuple[str, int]]:
    """(partition, id) of every row, on which all readers agree."""
    assert spec.partition is not None
    name = spec.partition.name
    by_catalog, by_path, by_wrangler = (
        sorted((str(row[name]), int(row["id"])) for row in rows)
        for rows in (
            read_with_duckdb(lake, spec, temp),
            read_root_with_duckdb(lake, spec, temp),
            read_with_wrangler(aws, spec),
        )
    )
    assert by_path == by_catalog
    assert by_wrangler == by_catalog
    return by_catalog


def test_readers_of_paths_see_a_day_as_it_was_published_last(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = daily()
    put(lake, spec, temp, 0, 1, {"": [1, 2]})
    assert seen(lake, aws, spec, temp) == [("2026-03-01", 1), ("2026-03-01", 2)]
    put(lake, spec, temp, 1, 1, {"": [3]})
    put(lake, spec, temp, 0, 2, {"": [4]})
    assert seen(lake, aws, spec, temp) == [("2026-03-01", 4), ("2026-03-02", 3)]


@pytest.mark.parametrize("rules", [{}, {"key": ("place", "id")}], ids=["all rows", "latest rows"])
def test_readers_of_paths_see_merged_partitions_and_none_that_vanished(
    lake: Lake, aws: Aws, temp: Path, rules: dict[str, Any]
) -> None:
    spec = placed(**rules)
    put(lake, spec, temp, 0, 1, {"de": [1], "fr": [2]})
    assert seen(lake, aws, spec, temp) == [("de", 1), ("fr", 2)]
    put(lake, spec, temp, 1, 1, {"de": [3]})
    assert seen(lake, aws, spec, temp) == [("de", 1), ("de", 3), ("fr", 2)]
    put(lake, spec, temp, 0, 2, {"de": [4]})
    assert seen(lake, aws, spec, temp) == [("de", 3), ("de", 4)]
    assert below(lake, f"{spec.feed}/place=fr/") == []


def test_a_copy_is_named_after_its_attempt_and_encrypted_like_the_original(lake: Lake, temp: Path) -> None:
    spec, zones = daily(), lake.store.zones
    token = put(lake, spec, temp, 0, 1, {"": [1]}).token
    assert below(lake, zones.versions(spec.feed)) == [f"{token}/dt=2026-03-01/part-00000.parquet"]
    assert below(lake, zones.clean(spec.feed)) == [f"dt=2026-03-01/{token}-part-00000.parquet"]
    head = lake.store.s3.head_object(
        Bucket=zones.clean_bucket, Key=f"{spec.feed}/dt=2026-03-01/{token}-part-00000.parquet"
    )
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/lake")


def test_the_table_lies_at_the_root_and_its_partitions_at_their_versions(lake: Lake, temp: Path) -> None:
    spec, zones = daily(), lake.store.zones
    token = put(lake, spec, temp, 0, 1, {"": [1]}).token
    table = lake.catalog.table(spec)
    assert table is not None
    assert table.location == zones.clean_uri(zones.clean(spec.feed))
    [partition] = lake.catalog.partitions(spec)
    assert partition.location == zones.clean_uri(f"table-versions/{spec.feed}/{token}/dt=2026-03-01/")


def test_a_table_without_partitions_needs_no_copy(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = spec_of(contract(TYPES, partition_by=None), source=source_name())
    for version in (1, 2):
        put(lake, spec, temp, 0, version, {"": [version]})
    assert below(lake, f"{spec.feed}/") == []
    assert [row["id"] for row in read_with_wrangler(aws, spec)] == [2]
    assert sweep(lake, spec).repaired == ()


def test_awswrangler_filters_the_partitions_of_the_root(lake: Lake, aws: Aws, temp: Path) -> None:
    """Through the catalog it cannot: it refuses partitions that do not lie below the table's location."""
    spec = daily()
    for day in (0, 1):
        put(lake, spec, temp, day, 1, {"": [day]})
    session = wrangler_session(aws)
    options: dict[str, Any] = {"partition_filter": lambda p: p["dt"] == "2026-03-02", "boto3_session": session}
    root = lake.store.zones.clean_uri(lake.store.zones.clean(spec.feed))
    assert list(wr.s3.read_parquet(root, dataset=True, **options)["id"]) == [1]
    with pytest.raises(Exception, match="not under the root path"):
        wr.s3.read_parquet_table(table=spec.name, database=spec.database, **options)


def test_without_copies_the_root_stays_empty_and_switching_them_off_empties_it(
    lake: Lake, aws: Aws, temp: Path
) -> None:
    spec, without = daily(), replace(lake, path_copies=False)
    put(without, spec, temp, 0, 1, {"": [1]})
    assert below(lake, f"{spec.feed}/") == []
    assert sweep(without, spec).repaired == ()
    assert put(lake, spec, temp, 0, 1, {"": [1]}).result is Result.ALREADY
    assert seen(lake, aws, spec, temp) == [("2026-03-01", 1)]
    assert sweep(without, spec).repaired == (lake.store.zones.clean_uri(f"{spec.feed}/dt=2026-03-01/"),)
    assert below(lake, f"{spec.feed}/") == []


def test_a_collection_repairs_folders_that_differ_and_a_dry_run_only_names_them(
    lake: Lake, aws: Aws, temp: Path
) -> None:
    spec, zones = placed(), lake.store.zones
    put(lake, spec, temp, 0, 1, {"de": [1], "fr": [2], "a/b": [3]})
    [part] = below(lake, f"{spec.feed}/place=de/")
    lake.store.copy(zones.clean_bucket, f"{spec.feed}/place=de/{part}", f"{spec.feed}/place=it/gone.parquet")
    lake.store.copy(zones.clean_bucket, f"{spec.feed}/place=de/{part}", f"{spec.feed}/place=fr/deeper/old.parquet")
    lake.store.delete(zones.clean_bucket, [f"{spec.feed}/place=de/{part}"])
    broken = tuple(zones.clean_uri(f"{spec.feed}/place={place}/") for place in ("de", "fr", "it"))
    before = below(lake, "")
    assert sweep(lake, spec, dry_run=True).repaired == broken
    assert below(lake, "") == before
    assert sweep(lake, spec).repaired == broken
    assert sweep(lake, spec) == Collected()
    assert [row["id"] for row in read_root_with_duckdb(lake, spec, temp)] == [
        row["id"] for row in read_with_duckdb(lake, spec, temp)
    ]


def test_a_collection_copies_a_partition_that_it_has_just_made_anew(lake: Lake, temp: Path) -> None:
    spec = placed()
    put(lake, spec, temp, 0, 1, {"de": [1]})
    alone = lake.catalog.partition(spec, "de")
    put(lake, spec, temp, 1, 1, {"de": [2]})
    table = lake.catalog.table(spec)
    assert alone is not None
    assert table is not None
    lake.catalog.put_partition(spec, table, alone)
    assert len(sweep(lake, spec).compared.repaired) == 1
    rows = read_with_duckdb(lake, spec, temp)
    assert [row["id"] for row in rows] == [1, 2]
    assert read_root_with_duckdb(lake, spec, temp) == rows


def test_what_others_keep_at_the_root_or_beside_it_stays(lake: Lake, temp: Path) -> None:
    source = source_name()
    spec, other, zones = daily(source), daily(source, "report_2"), lake.store.zones
    for table in (spec, other):
        put(lake, table, temp, 0, 1, {"": [1]})
    theirs = [f"{spec.feed}/README.md", f"{spec.feed}/notes/dt=2026-03-01/x", f"{spec.feed}/dt=2026-03-09/x"]
    for key in theirs:
        lake.store.s3.put_object(Bucket=zones.clean_bucket, Key=key, Body=b"x")
    shown = lake.catalog.table(spec)
    assert shown is not None
    own_folder = Partition("2026-03-09", zones.clean_uri(f"{spec.feed}/dt=2026-03-09/"))
    lake.catalog.put_partition(spec, shown, own_folder)
    before = below(lake, "")
    collected = sweep(lake, spec)
    [said] = collected.compared.foreign
    assert own_folder.location in said
    assert collected == Collected(compared=Compared(foreign=(said,)))
    assert below(lake, "") == before
    put(lake, spec, temp, 0, 2, {"": [2]})
    assert set(theirs) < set(below(lake, ""))
    root = f"{other.feed}/"
    assert below(lake, root) == [key.removeprefix(root) for key in before if key.startswith(root)]


def test_a_publisher_that_was_overtaken_while_it_copied_deletes_nothing_newer(lake: Lake, aws: Aws, temp: Path) -> None:
    spec, name = daily(), lake.ledger.table.removeprefix("ledger-")
    put(lake, spec, temp, 0, 1, {"": [1]})
    passed = [0]
    slow, fast = (
        replace(each, ledger=replace(each.ledger, now=lambda: datetime.now(UTC) + timedelta(seconds=passed[0])))
        for each in (make_lake(aws, name=name), make_lake(aws, name=name))
    )

    def overtake(**_: Any) -> None:
        slow.store.s3.meta.events.unregister("before-call.s3.CopyObject", overtake)
        passed[0] = 61
        put(fast, spec, temp, 0, 3, {"": [3]})

    slow.store.s3.meta.events.register("before-call.s3.CopyObject", overtake)
    with pytest.raises(TransientFailure, match="lost to another run"):
        put(slow, spec, temp, 0, 2, {"": [2]})
    assert {row["id"] for row in read_root_with_duckdb(lake, spec, temp)} == {2, 3}
    assert put(slow, spec, temp, 0, 2, {"": [2]}).result is Result.SUPERSEDED
    assert seen(lake, aws, spec, temp) == [("2026-03-01", 3)]


@pytest.mark.parametrize(("said", "copies"), [({}, True), ({"ADPLATFORM_PATH_COPIES": "off"}, False)])
def test_copies_are_made_unless_the_settings_say_off(aws: Aws, said: dict[str, str], copies: bool) -> None:
    assert Services(read_settings(said), aws).lake.path_copies is copies
