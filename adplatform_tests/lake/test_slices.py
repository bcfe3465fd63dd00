"""Tables by a data column: partitions made of several deliveries, whatever the order in which they were published."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.lake import formats
from adplatform.lake.attempt import Result
from adplatform.lake.catalog import Partition
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.table import TableSpec, table_spec
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import (
    columns,
    contract,
    read_root_with_duckdb,
    read_with_duckdb,
    source_name,
    spec_of,
    staged,
)
from adplatform_tests.lake.wrangler import read_with_wrangler
from adplatform_tests.support.examples import examples

FORMATS = pytest.mark.parametrize("table_format", ["parquet", "iceberg"])
TYPES = {"place": "string", "id": "bigint", "seen": "bigint", "value": "string"}
FIRST = date(2026, 3, 1)
Parts = Mapping[str, list[dict[str, Any]]]


def keyed(**changes: Any) -> TableSpec:
    rules = contract(TYPES, partition_by="place", key=("place", "id"), latest_by=("seen",), **changes)
    return spec_of(rules, source=source_name())


def plain(**changes: Any) -> TableSpec:
    return spec_of(contract(TYPES, partition_by="place", **changes), source=source_name())


def shown_partitions(lake: Lake, spec: TableSpec) -> list[Partition]:
    table = formats.table(lake, spec)
    return sorted(formats.partitions(lake, spec, table), key=lambda each: each.value) if table else []


def row(number: int, seen: int | None, value: str) -> dict[str, Any]:
    return {"id": number, "seen": seen, "value": value}


def put(lake: Lake, spec: TableSpec, temp: Path, day: int, version: int, parts: Parts) -> Result:
    delivery = staged(spec, temp, parts)
    return publish(lake, spec, FIRST + timedelta(days=day), version, delivery, run_id="r", temp=temp).result


def values(lake: Lake, spec: TableSpec, temp: Path) -> list[tuple[str, str]]:
    return sorted((r["place"], r["value"]) for r in read_with_duckdb(lake, spec, temp))


def test_the_latest_row_of_a_key_wins_across_deliveries(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = keyed()
    put(lake, spec, temp, 0, 1, {"de": [row(1, 5, "old but later"), row(2, 1, "older")], "fr": [row(1, 1, "other")]})
    put(lake, spec, temp, 1, 1, {"de": [row(1, 4, "new but earlier"), row(2, 2, "newer"), row(3, None, "alone")]})
    assert values(lake, spec, temp) == [("de", "alone"), ("de", "newer"), ("de", "old but later"), ("fr", "other")]
    assert sorted(r["value"] for r in read_with_wrangler(aws, spec)) == ["alone", "newer", "old but later", "other"]


@FORMATS
def test_null_is_the_smallest_and_the_later_delivery_wins_a_tie(lake: Lake, temp: Path, table_format: str) -> None:
    spec = keyed(table_format=table_format)
    put(lake, spec, temp, 1, 1, {"de": [row(1, None, "null"), row(2, 7, "later day")]})
    put(lake, spec, temp, 0, 1, {"de": [row(1, -9, "smaller than all but null"), row(2, 7, "earlier day")]})
    assert values(lake, spec, temp) == [("de", "later day"), ("de", "smaller than all but null")]


def test_without_a_key_a_partition_holds_the_rows_of_all_deliveries(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = plain()
    put(lake, spec, temp, 0, 1, {"de": [row(1, 1, "a")]})
    put(lake, spec, temp, 1, 1, {"de": [row(1, 1, "a"), row(1, 1, "b")]})
    assert values(lake, spec, temp) == [("de", "a"), ("de", "a"), ("de", "b")]
    assert len(read_with_wrangler(aws, spec)) == 3


@pytest.mark.parametrize("table_format", ["parquet", pytest.param("iceberg", marks=pytest.mark.slow)])
def test_a_new_version_takes_back_what_its_predecessor_gave(lake: Lake, temp: Path, table_format: str) -> None:
    spec = keyed(table_format=table_format)
    put(lake, spec, temp, 0, 1, {"de": [row(1, 1, "day 0")], "fr": [row(1, 1, "only in version 1")]})
    put(lake, spec, temp, 1, 1, {"de": [row(1, 2, "day 1")], "it": [row(1, 1, "stays")]})
    put(lake, spec, temp, 1, 2, {"it": [row(1, 1, "stays")]})
    put(lake, spec, temp, 0, 2, {"de": [row(1, 1, "day 0 again")]})
    assert values(lake, spec, temp) == [("de", "day 0 again"), ("it", "stays")]
    assert [p.value for p in shown_partitions(lake, spec)] == ["de", "it"]


@FORMATS
def test_repeated_and_older_versions_change_nothing(lake: Lake, temp: Path, table_format: str) -> None:
    spec = keyed(table_format=table_format)
    put(lake, spec, temp, 0, 2, {"de": [row(1, 1, "version 2")]})
    before = shown_partitions(lake, spec)
    assert put(lake, spec, temp, 0, 1, {"de": [row(1, 9, "version 1")]}) is Result.SUPERSEDED
    assert put(lake, spec, temp, 0, 2, {"de": [row(1, 1, "version 2")]}) is Result.ALREADY
    assert put(lake, spec, temp, 1, 1, {}) is Result.PUBLISHED
    assert put(lake, spec, temp, 1, 1, {}) is Result.ALREADY
    assert shown_partitions(lake, spec) == before


def test_partition_values_that_paths_cannot_hold_are_kept_apart(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = plain()
    odd = ["a/b", "a b", "ä=1", "100%", "a:b", "x/../y"]
    put(lake, spec, temp, 0, 1, {value: [row(1, 1, value)] for value in odd})
    put(lake, spec, temp, 1, 1, {value: [row(2, 1, value)] for value in odd})
    assert values(lake, spec, temp) == sorted((value, value) for value in odd for _ in range(2))
    assert {unquote(r["place"]): r["value"] for r in read_with_wrangler(aws, spec)} == {value: value for value in odd}


@FORMATS
def test_a_column_that_came_later_is_empty_in_older_rows(lake: Lake, temp: Path, table_format: str) -> None:
    spec = keyed(table_format=table_format)
    put(lake, spec, temp, 0, 1, {"de": [row(1, 1, "old")]})
    wider = replace(spec, columns=columns({"extra": "string"}) + spec.columns)
    put(lake, wider, temp, 1, 1, {"de": [{**row(2, 1, "new"), "extra": "x"}]})
    assert {r["value"]: r["extra"] for r in read_with_duckdb(lake, spec, temp)} == {"old": None, "new": "x"}
    table = lake.catalog.table(spec)
    assert table is not None
    assert [name for name, _ in table.columns] == ["id", "seen", "value", "extra"]


def test_a_personal_key_is_compared_by_its_keyed_digest(lake: Lake, temp: Path) -> None:
    rules = Contract(
        columns={
            "place": {"type": "string", "required": True},
            "email": {"pii": {"kind": "email", "treatment": ["meta", "lake"]}, "required": True},
            "seen": "bigint",
        },
        key=("place", "email"),
        latest_by=("seen",),
        partition_by="place",
    )
    stored = columns({"email_lake": "string", "email_meta": "string", "seen": "bigint"})
    spec = table_spec(f"{source_name()}/people", rules, stored)
    assert spec.key == ("place", "email_lake")
    put(lake, spec, temp, 0, 1, {"de": [{"email_lake": "d1", "email_meta": "m", "seen": 1}]})
    unusable = {"email_lake": None, "email_meta": None, "seen": 1}
    put(lake, spec, temp, 1, 1, {"de": [{"email_lake": "d1", "email_meta": "m", "seen": 2}, unusable, unusable]})
    seen = sorted((str(r["email_lake"]), r["seen"]) for r in read_with_duckdb(lake, spec, temp))
    assert seen == [("None", 1), ("None", 1), ("d1", 2)]


def test_a_table_whose_key_is_not_stored_is_refused() -> None:
    rules = contract(TYPES, partition_by="place", key=("place", "id"))
    with pytest.raises(PermanentFailure, match="id"):
        table_spec("s/f", rules, columns({"value": "string"}))


def test_a_slice_that_vanished_stops_the_merge_and_names_the_delivery(lake: Lake, temp: Path) -> None:
    spec = keyed()
    put(lake, spec, temp, 0, 1, {"de": [row(1, 1, "a")]})
    bucket = lake.store.zones.clean_bucket
    lake.store.delete(bucket, [o.key for o in lake.store.listing(bucket, "")])
    with pytest.raises(PermanentFailure, match="2026-03-01"):
        put(lake, spec, temp, 1, 1, {"de": [row(2, 1, "b")]})


places = st.sampled_from(["de", "fr", "it"])
rows = st.dictionaries(st.integers(0, 2), st.tuples(st.one_of(st.none(), st.integers(0, 2))), max_size=3)
deliveries = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 2), st.dictionaries(places, rows, max_size=2)),
    min_size=1,
    max_size=5,
    unique_by=lambda d: d[:2],
)


def model(published: list[tuple[int, int, dict[str, dict[int, tuple[int | None]]]]], keys: bool) -> list[Any]:
    """The highest version of each day; of the rows of one key the greatest (seen, day), NULL first."""
    newest = {day: (version, parts) for day, version, parts in sorted(published, key=lambda d: d[:2])}
    found: list[tuple[str, int, int | None, int]] = [
        (place, number, seen, day)
        for day, (_, parts) in newest.items()
        for place, numbers in parts.items()
        for number, (seen,) in numbers.items()
    ]
    if not keys:
        return sorted(((p, n, s, d) for p, n, s, d in found), key=str)
    best: dict[tuple[str, int], tuple[str, int, int | None, int]] = {}
    for candidate in sorted(found, key=lambda r: (-1 if r[2] is None else r[2], r[3])):
        best[candidate[:2]] = candidate
    return sorted(best.values(), key=str)


@FORMATS
@settings(max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=deliveries, keys=st.booleans())
def test_the_table_is_what_its_deliveries_say_in_any_order(
    lake: Lake, temp: Path, deliveries: Any, keys: bool, table_format: str
) -> None:
    spec = (keyed if keys else plain)(table_format=table_format)
    for day, version, parts in deliveries:
        put(
            lake,
            spec,
            temp,
            day,
            version,
            {p: [row(n, seen, str(day)) for n, (seen,) in numbers.items()] for p, numbers in parts.items() if numbers},
        )
    by_catalog, by_path = read_with_duckdb(lake, spec, temp), read_root_with_duckdb(lake, spec, temp)
    assert by_path == ([] if spec.is_iceberg else by_catalog)
    shown = [(r["place"], r["id"], r["seen"], int(r["value"])) for r in by_catalog]
    assert sorted(shown, key=str) == model(deliveries, keys)
    assert len(shown_partitions(lake, spec)) == len({place for place, *_ in shown})
