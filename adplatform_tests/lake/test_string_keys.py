"""What readers see of tables whose keys are strings, of those that were made with dates, and of those that changed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adplatform.cli.string_keys import change
from adplatform.contracts.types import parse_type
from adplatform.failures import PermanentFailure
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.query import run_query
from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws
from adplatform.transform.values import OutputColumn
from adplatform_tests.lake.support import (
    contract,
    make_keys_dates,
    read_root_with_duckdb,
    read_with_duckdb,
    source_name,
    spec_of,
    staged,
)
from adplatform_tests.lake.wrangler import read_with_wrangler

OCTOBER, NOVEMBER = date(2026, 10, 31), date(2026, 11, 1)
ALL, LATE = [("2026-10-31", 1), ("2026-11-01", 2)], "dt >= '2026-11-01'"


def put(lake: Lake, spec: TableSpec, temp: Path, day: date, number: int, version: int = 1) -> None:
    delivery = staged(spec, temp, {"": [{"id": number}]})
    publish(lake, spec, day, version, delivery, run_id="r", temp=temp)


def seen(aws: Aws, lake: Lake, spec: TableSpec, temp: Path) -> list[tuple[str, int]]:
    """Date and number of each row, on which readers of the catalog and of paths agree."""
    wrangled = places(read_with_wrangler(aws, spec))
    assert places(read_with_duckdb(lake, spec, temp)) == wrangled
    assert places(read_root_with_duckdb(lake, spec, temp)) == wrangled
    assert queried(aws, lake, spec) == wrangled
    assert queried(aws, lake, spec, LATE) == [row for row in wrangled if row[0] >= "2026-11-01"]
    return wrangled


def places(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return sorted((str(row["dt"]), int(row["id"])) for row in rows)


def queried(aws: Aws, lake: Lake, spec: TableSpec, where: str = "true") -> list[tuple[str, int]]:
    sql = f"select dt, id from {spec.qualified} where {where}"
    _, rows = run_query(aws, lake.catalog.glue, spec.database, sql, 100)
    return places([{"dt": day, "id": number} for day, number in rows])


def nothing(lake: Lake, spec: TableSpec) -> None:
    return


def back_and_forth(lake: Lake, spec: TableSpec) -> None:
    make_keys_dates(lake, spec)
    lake.catalog.make_keys_strings(spec)


@pytest.mark.parametrize(
    ("became", "kind"), [(nothing, "string"), (make_keys_dates, "date"), (back_and_forth, "string")]
)
def test_readers_see_the_same_whatever_the_keys_were_made_as(
    lake: Lake, aws: Aws, temp: Path, became: Callable[[Lake, TableSpec], None], kind: str
) -> None:
    """Partitions that come and change after a change of the keys, too."""
    spec = spec_of(contract({"id": "bigint"}), source=source_name())
    put(lake, spec, temp, OCTOBER, 0)
    became(lake, spec)
    put(lake, spec, temp, OCTOBER, 1, version=2)
    put(lake, spec, temp, NOVEMBER, 2)
    table = lake.catalog.glue.get_table(DatabaseName=spec.database, Name=spec.name)["Table"]
    assert [key["Type"] for key in table["PartitionKeys"]] == [kind]
    assert seen(aws, lake, spec, temp) == ALL


@pytest.mark.parametrize("expression", [LATE, "dt between '2026-11-01' and '2026-12-31'", "dt in ('2026-11-01')"])
def test_the_catalog_filters_by_such_keys(lake: Lake, temp: Path, expression: str) -> None:
    """As Athena and Spark ask it."""
    spec = spec_of(contract({"id": "bigint"}), source=source_name())
    for number, day in enumerate((OCTOBER, NOVEMBER)):
        put(lake, spec, temp, day, number)
    found = lake.catalog.glue.get_partitions(DatabaseName=spec.database, TableName=spec.name, Expression=expression)[
        "Partitions"
    ]
    assert [partition["Values"] for partition in found] == [["2026-11-01"]]


def test_a_table_by_another_date_and_one_by_scope_have_such_keys(lake: Lake) -> None:
    by_day = spec_of(contract({"id": "bigint", "day": "date"}, partition_by="day"), source=source_name())
    scoped = replace(
        spec_of(contract({"id": "bigint"}), source=source_name()),
        scope=OutputColumn("profile_id", parse_type("string")),
    )
    by_number = spec_of(contract({"id": "bigint", "n": "int"}, partition_by="n"), source=source_name())
    for spec, types in ((by_day, ["string"]), (scoped, ["string", "string"]), (by_number, ["int"])):
        lake.catalog.ensure(spec, "s3://clean/x/")
        keys = lake.catalog.glue.get_table(DatabaseName=spec.database, Name=spec.name)["Table"]["PartitionKeys"]
        assert [key["Type"] for key in keys] == types


def test_an_iceberg_table_keeps_its_date(lake: Lake, aws: Aws, temp: Path) -> None:
    spec = spec_of(contract({"id": "bigint"}, table_format="iceberg"), source=source_name())
    put(lake, spec, temp, NOVEMBER, 2)
    assert lake.catalog.make_keys_strings(spec) == ()
    assert queried(aws, lake, spec, "dt = date '2026-11-01'") == [("2026-11-01", 2)]


def test_the_command_says_what_it_would_do_and_does_it(
    lake: Lake, temp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = source_name()
    old, other, new = (spec_of(contract({"id": "bigint"}), source=source, feed=feed) for feed in ("a", "b", "c"))
    for spec in (old, other, new):
        lake.catalog.ensure(spec, "s3://clean/x/")
    for spec in (old, other):
        make_keys_dates(lake, spec)
    theirs = {"Name": "theirs", "PartitionKeys": [{"Name": "dt", "Type": "date"}]}
    lake.catalog.glue.create_table(DatabaseName=old.database, TableInput=theirs)

    def said(*wanted: str, dry_run: bool = False) -> list[str]:
        change(lake.catalog, old.database, wanted, dry_run=dry_run)
        return capsys.readouterr().out.splitlines()

    assert said(dry_run=True) == [f"{spec.qualified}: dt would be a string" for spec in (old, other)]
    with pytest.raises(PermanentFailure, match=f"{new.qualified}: no such table .*{old.qualified}, {other.qualified}"):
        said(new.qualified)
    assert said(other.qualified) == [f"{other.qualified}: dt is a string now"]
    assert said() == [f"{old.qualified}: dt is a string now"]
    assert said() == ["no table has a date as a key"]
