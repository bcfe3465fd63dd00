"""AWS Glue 5 reads what is published as Iceberg tables: Spark 3.5, Iceberg 1.9 and the Glue catalogue."""

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adplatform.flow.services import Services
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.retention import collect
from adplatform.lake.table import TableSpec, table_name
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import contract, read_with_duckdb, source_name, spec_of, staged
from adplatform_tests.support.changes import ORDERS, SCHEMA, followed_as, followed_source

DAY, NEXT = date(2026, 3, 1), date(2026, 3, 2)
NARROW = {"n": "int", "small": "decimal(4,2)", "large": "decimal(12,2)"}
WIDE = {"n": "bigint", "small": "decimal(12,2)", "large": "decimal(30,2)", "note": "string"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def python() -> str:
    found = os.environ.get("SPARK35_PYTHON", ".venv-spark35/bin/python")
    if not Path(found).exists():
        pytest.skip("needs what `make spark35` installs, or SPARK35_PYTHON")
    return found


def read(python: str, aws: Aws, *queries: str) -> list[list[list[Any]]]:
    """The rows of each query as text, read by Glue 5's engine."""
    reader = Path(__file__).with_name("glue5_reader.py")
    command = [python, str(reader), str(aws.endpoint_url), *queries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def iceberg(types: dict[str, str], source: str, **settings: Any) -> TableSpec:
    return spec_of(contract(types, table_format="iceberg", **settings), source=source)


def put(
    lake: Lake, spec: TableSpec, temp: Path, day: date, version: int, rows: Sequence[dict[str, Any]], files: int = 1
) -> None:
    delivery = staged(spec, temp, {"": rows}, files_per_part=files)
    publish(lake, spec, day, version, delivery, run_id="r", temp=temp)


def test_published_rows_are_read_before_and_after_their_columns_became_wider(
    python: str, lake: Lake, aws: Aws, temp: Path
) -> None:
    source, dates = source_name(), [DAY + timedelta(days=days) for days in range(3)]
    narrow, wide = iceberg(NARROW, source), iceberg(WIDE, source)
    before = {"n": -(2**31), "small": Decimal("-99.99"), "large": Decimal("9999999999.99")}
    after = {"n": 2**60, "small": Decimal("9999999999.99"), "large": Decimal(10) ** 27, "note": "ö"}
    put(lake, narrow, temp, dates[0], 1, [before, {"n": None}])
    put(lake, narrow, temp, dates[1], 1, [{"n": number} for number in range(20)], files=10)
    put(lake, wide, temp, dates[2], 1, [after])
    put(lake, wide, temp, dates[0], 2, [before])
    later = datetime.now(UTC) + timedelta(days=2)
    swept = collect(lake, wide.feed, table_name(wide.feed), keep=timedelta(days=3), now=later, run_id="s")
    assert len(swept.compacted) == 1
    other = source_name()
    values = {"t": "timestamp", "d": "date", "b": "boolean", "f": "double", "s": "string"}
    kinds = iceberg(values, other)
    put(lake, kinds, temp, DAY, 1, [
        {"t": datetime(2026, 3, 1, 1, 2, 3, 456789, UTC), "d": DAY, "b": True, "f": 0.1, "s": "a\n"},
        {"t": datetime(1, 1, 1, tzinfo=UTC), "d": date(9999, 12, 31), "b": None, "f": float("inf"), "s": ""},
    ])  # fmt: skip
    by_place = iceberg({"place": "string", "id": "int"}, source_name(), partition_by="place")
    publish(
        lake, by_place, DAY, 1, staged(by_place, temp, {"de": [{"id": 1}], "ö/=": [{"id": 2}]}), run_id="r", temp=temp
    )
    listed = ("n", "small", "large", "note", "dt")
    rows, of_kinds, of_places, found = read(
        python,
        aws,
        f"select {', '.join(listed)} from glue.{wide.qualified}",
        f"select t, d, b, f, s from glue.{kinds.qualified} order by t",
        f"select place, id from glue.{by_place.qualified} order by id",
        f"select dt from glue.{wide.qualified} where n > {2**40} and small > 100 and large > 100",
    )
    expected = [[_text(row[name]) for name in listed] for row in read_with_duckdb(lake, wide, temp)]
    assert len(rows) == 22
    assert sorted(map(str, rows)) == sorted(map(str, expected))
    assert found == [[dates[2].isoformat()]]
    assert of_kinds == [
        ["0001-01-01 00:00:00", "9999-12-31", None, "Infinity", ""],
        ["2026-03-01 01:02:03.456789", "2026-03-01", "true", "0.1", "a\n"],
    ]
    assert of_places == [["de", "1"], ["ö/=", "2"]]


def test_tables_of_changes_are_read_before_and_after_a_column_became_wider(
    python: str, services: Services, aws: Aws
) -> None:
    feed = {**ORDERS, "table_format": "iceberg", "outputs": ["current", "history"], "buckets": 4}
    columns, schema = ORDERS["columns"], SCHEMA.append(pa.field("number", pa.int32()))
    shop = followed_source(services, [{**feed, "columns": {**columns, "number": "int"}}])
    shop.file(*(shop.change("I", id=n, status="a", amount=Decimal("1.50"), number=n) for n in range(20)), schema=schema)
    shop.merge()
    shop.file(shop.change("U", id=1, status="b", number=-(2**31)), shop.change("D", id=2), schema=schema)
    shop.merge()
    wider = followed_as(shop, [{**feed, "columns": {**columns, "number": "bigint", "amount": "decimal(20,2)"}}])
    of_wider = schema.set(4, pa.field("amount", pa.decimal128(20, 2))).set(6, pa.field("number", pa.int64()))
    wider.file(wider.change("U", id=3, status="b", amount=Decimal(10) ** 15, number=2**60), schema=of_wider)
    wider.merge()
    select, order = "select id, status, amount, number from glue.", "order by id"
    rows, deleted, history = read(
        python,
        aws,
        f"{select}{wider.table()} {order}",
        f"{select}{wider.table('_deleted')} {order}",
        f"select id, status, amount, number from glue.{wider.table('_history')} {order}",
    )
    for found, ending in ((rows, ""), (deleted, "_deleted"), (history, "_history")):
        assert found
        assert found == [[_text(v) for v in row] for row in wider.rows(ending, "id, status, amount, number")]
    assert len(rows) == 19


def _text(value: object) -> str | None:
    return None if value is None else str(value)
