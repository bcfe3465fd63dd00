"""Slices belong to a version: what was never placed counts for nobody, what is placed stays until it is replaced."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from adplatform.failures import EnvironmentFailure, PermanentFailure
from adplatform.lake.attempt import Result
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.table import TableSpec
from adplatform.ledger.keys import LakeKey, RotationState, TableRotation
from adplatform.ledger.placements import Slice
from adplatform_tests.lake.support import contract, read_with_duckdb, source_name, spec_of, staged

DAY, OTHER_DAY = date(2026, 3, 1), date(2026, 3, 2)
Parts = Mapping[str, list[int]]


def table() -> TableSpec:
    return spec_of(contract({"id": "bigint", "place": "string"}, partition_by="place"), source=source_name())


def put(lake: Lake, spec: TableSpec, temp: Path, day: date, version: int, parts: Parts, key_id: str = "") -> Result:
    delivery = staged(spec, temp, {place: [{"id": i} for i in ids] for place, ids in parts.items()})
    return publish(lake, spec, day, version, delivery, run_id="r", temp=temp, key_id=key_id).result


def shown(lake: Lake, spec: TableSpec, temp: Path) -> list[tuple[str, int]]:
    return sorted((row["place"], row["id"]) for row in read_with_duckdb(lake, spec, temp))


def refuse(lake: Lake, operation: str, place: str) -> Any:
    """Glue does not allow one operation on one partition, until the handler that is returned is unregistered."""
    answer = {"Error": {"Code": "AccessDeniedException", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}

    def handle(params: dict[str, Any], **_: Any) -> Any:
        return (AWSResponse("", 400, {}, None), answer) if f'"{place}"' in str(params["body"]) else None

    lake.catalog.glue.meta.events.register(f"before-call.glue.{operation}", handle)
    return handle


@pytest.mark.parametrize("before", [{}, {"de": [1], "fr": [2]}], ids=["first version", "second version"])
def test_a_version_that_failed_between_two_partitions_is_not_shown_with_the_next_delivery(
    lake: Lake, temp: Path, before: Parts
) -> None:
    spec = table()
    if before:
        put(lake, spec, temp, DAY, 1, before)
    operation = "UpdatePartition" if before else "CreatePartition"
    refusal = refuse(lake, operation, "fr")
    with pytest.raises(EnvironmentFailure, match="AccessDenied"):
        put(lake, spec, temp, DAY, 2, {"de": [11], "fr": [12], "it": [13]})
    put(lake, spec, temp, OTHER_DAY, 1, {"de": [100], "it": [101]})
    mine = [(place, i) for place, ids in before.items() for i in ids]
    assert shown(lake, spec, temp) == sorted([*mine, ("de", 100), ("it", 101)])
    lake.catalog.glue.meta.events.unregister(f"before-call.glue.{operation}", refusal)
    assert put(lake, spec, temp, DAY, 2, {"de": [11], "it": [13]}) is Result.PUBLISHED
    assert shown(lake, spec, temp) == [("de", 11), ("de", 100), ("it", 13), ("it", 101)]
    assert {s.version for s in lake.ledger.placements.slices_of_day(spec.feed, DAY)} == {2}


def test_a_partition_that_cannot_be_made_leaves_all_as_they_were(lake: Lake, temp: Path) -> None:
    spec = table()
    put(lake, spec, temp, DAY, 1, {"de": [1], "fr": [2]})
    bucket = lake.store.zones.clean_bucket
    (gone,) = lake.ledger.placements.slices(spec.feed, "fr")
    lake.store.delete(bucket, [o.key for o in lake.store.listing(bucket, lake.store.zones.clean_key(gone.location))])
    before = list(lake.catalog.partitions(spec))
    with pytest.raises(PermanentFailure, match="gone"):
        put(lake, spec, temp, OTHER_DAY, 1, {"de": [100], "fr": [101]})
    assert list(lake.catalog.partitions(spec)) == before


def test_keys_of_slices_are_bounded_whatever_the_value(lake: Lake, temp: Path) -> None:
    spec = table()
    lake.ledger.placements.put_slices(
        spec.feed, [Slice(value, DAY, 1, "s3://x/") for value in ("é" * 400, "#" * 2000, "a#b")]
    )
    rows = lake.ledger.client.scan(TableName=lake.ledger.table)["Items"]
    assert max(len(row["sk"]["S"].encode()) for row in rows) < 64
    assert [s.partition for s in lake.ledger.placements.slices(spec.feed, "é" * 400)] == ["é" * 400]
    assert lake.ledger.placements.earlier_slices(spec.feed) == []
    assert lake.ledger.placements.earlier_slices(spec.feed, "#" * 2000) == []


def test_slices_of_two_hashing_keys_never_meet_in_a_partition(lake: Lake, temp: Path) -> None:
    spec = table()
    put(lake, spec, temp, DAY, 1, {"de": [1]}, "key-2025")
    with pytest.raises(PermanentFailure, match=f"{spec.qualified}.*key-2025 and key-2026.*adplatform keys rotate"):
        put(lake, spec, temp, OTHER_DAY, 1, {"de": [2]}, "key-2026")
    assert shown(lake, spec, temp) == [("de", 1)]
    assert put(lake, spec, temp, OTHER_DAY, 2, {"fr": [2]}, "key-2026") is Result.PUBLISHED
    assert put(lake, spec, temp, DAY, 2, {"de": [1]}, "key-2026") is Result.PUBLISHED
    placement = lake.ledger.placements.get(spec.feed, DAY)
    assert placement is not None
    assert (placement.version, placement.rows, placement.key_id) == (2, 1, "key-2026")


def test_slices_whose_hashing_key_nobody_recorded_count_as_of_the_lake_and_of_no_other(lake: Lake, temp: Path) -> None:
    spec = table()
    lake.ledger.keys.begin("key-2025")
    put(lake, spec, temp, DAY, 1, {"de": [1]})
    with pytest.raises(PermanentFailure, match="key-2026 and an unknown one"):
        put(lake, spec, temp, OTHER_DAY, 1, {"de": [2]}, "key-2026")
    assert put(lake, spec, temp, OTHER_DAY, 2, {"de": [2]}, "key-2025") is Result.PUBLISHED
    lake.ledger.keys.put(LakeKey("key-2026", lake.ledger.now(), "key-2025", rotating=True))
    with pytest.raises(PermanentFailure, match="an unknown one"):
        put(lake, spec, temp, date(2026, 3, 3), 1, {"de": [3]}, "key-2025")
    kept = TableRotation(spec.feed, "key-2025", "key-2026", RotationState.KEPT, lake.ledger.now())
    lake.ledger.keys.put_rotation(kept)
    assert put(lake, spec, temp, date(2026, 3, 3), 2, {"de": [3]}, "key-2025") is Result.PUBLISHED


@pytest.mark.parametrize("place", ["de", "a/b#c", "0" * 32])
def test_slices_whose_keys_have_the_earlier_form_stop_their_partition_only(lake: Lake, temp: Path, place: str) -> None:
    spec = table()
    put(lake, spec, temp, DAY, 1, {place: [1], "other": [1]})
    (part,) = lake.ledger.placements.slices(spec.feed, place)
    _as_earlier(lake, spec, part)
    with pytest.raises(PermanentFailure, match=r"adplatform doctor --repair"):
        put(lake, spec, temp, OTHER_DAY, 1, {place: [2]})
    assert put(lake, spec, temp, date(2026, 3, 3), 1, {"other": [2]}) is Result.PUBLISHED
    (earlier,) = lake.ledger.placements.earlier_slices(spec.feed)
    lake.ledger.placements.upgrade_slice(spec.feed, earlier)
    assert part in lake.ledger.placements.slices(spec.feed, place)
    assert lake.ledger.placements.earlier_slices(spec.feed) == []
    put(lake, spec, temp, OTHER_DAY, 2, {place: [2]})
    assert (place, 1) in shown(lake, spec, temp)
    assert (place, 2) in shown(lake, spec, temp)


def _as_earlier(lake: Lake, spec: TableSpec, part: Slice) -> None:
    client, name, key = lake.ledger.client, lake.ledger.table, {"pk": {"S": f"feed#{spec.feed}"}}
    item = client.get_item(TableName=name, Key={**key, "sk": {"S": part.sort_key}})["Item"]
    quoted = part.partition.replace("/", "%2F").replace("#", "%23")
    client.put_item(TableName=name, Item={**item, "sk": {"S": f"slice#{quoted}#{part.day}"}})
    lake.ledger.placements.delete(spec.feed, part)
