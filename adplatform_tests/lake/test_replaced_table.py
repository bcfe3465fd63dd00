"""Tables without partitions: each delivery replaces the whole table."""

from datetime import date
from pathlib import Path

from adplatform.lake.attempt import Result
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import (
    contract,
    read_with_duckdb,
    source_name,
    spec_of,
    staged,
)
from adplatform_tests.lake.wrangler import read_with_wrangler

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


def whole() -> TableSpec:
    return spec_of(contract({"id": "bigint"}, partition_by=None), source=source_name())


def put(lake: Lake, spec: TableSpec, temp: Path, day: date, version: int, ids: list[int]) -> Result:
    delivery = staged(spec, temp, {"": [{"id": i} for i in ids]}, files_per_part=2)
    return publish(lake, spec, day, version, delivery, run_id="r", temp=temp).result


def shown(lake: Lake, spec: TableSpec, temp: Path) -> list[int]:
    return [row["id"] for row in read_with_duckdb(lake, spec, temp)]


def test_each_delivery_replaces_the_table(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = whole()
    put(lake, spec, temp, MONDAY, 1, [1, 2, 3])
    put(lake, spec, temp, TUESDAY, 1, [4])
    assert shown(lake, spec, temp) == [4]
    assert [row["id"] for row in read_with_wrangler(aws, spec)] == [4]


def test_a_delivery_of_an_older_date_is_not_shown(lake: Lake, temp: Path) -> None:
    spec = whole()
    assert put(lake, spec, temp, TUESDAY, 1, [2]) is Result.PUBLISHED
    assert put(lake, spec, temp, MONDAY, 7, [1]) is Result.SUPERSEDED
    assert shown(lake, spec, temp) == [2]


def test_a_newer_version_of_the_shown_date_replaces_it_and_an_equal_one_does_not(lake: Lake, temp: Path) -> None:
    spec = whole()
    put(lake, spec, temp, MONDAY, 1, [1])
    assert put(lake, spec, temp, MONDAY, 1, [9]) is Result.ALREADY
    assert put(lake, spec, temp, MONDAY, 2, [2]) is Result.PUBLISHED
    assert shown(lake, spec, temp) == [2]


def test_an_empty_delivery_empties_the_table(lake: Lake, temp: Path) -> None:
    spec = whole()
    put(lake, spec, temp, MONDAY, 1, [1])
    publish(lake, spec, TUESDAY, 1, staged(spec, temp, {}), run_id="r", temp=temp)
    assert shown(lake, spec, temp) == []
