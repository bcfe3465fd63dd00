"""Rows as AppFlow writes them, typed or all text, JSON lines or Parquet, fit the contracts of ready-made feeds."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.column import Column
from adplatform.contracts.ready_made import connectors, ready_made_of
from adplatform.contracts.saas import FlowFeed, SaasSource
from adplatform.files.input_file import InputFile
from adplatform.privacy.keys import HashKey
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.values import Staged

TYPED: dict[str, Any] = {
    **{"string": "some text", "int": 12, "bigint": 12_000_000_000, "double": 0.25, "decimal": 19.9, "boolean": True},
    **{"date": "2026-05-01", "timestamp": "2026-05-01T10:00:00.000Z"},
}
TEXTS = {"email": "Ann@Example.com", "phone": "+1 202-555-0100", "country": "US", "postal_code": "00000"}
STAMPS = ("2026-05-01T10:00:00.000Z", "2026-05-01T10:00:00Z", "2026-05-01T12:00:00+0200", "2026-05-01T10:00:00.000")
"""As Salesforce and HubSpot, as Marketo, as the Marketing API, and as Marketing Cloud write one instant."""
FEEDS = [(name, feed) for name in connectors() for feed in (ready_made_of(name) or pytest.fail(name)).feeds]


def made(connector: str, name: str, **changes: Any) -> FlowFeed:
    common = {"source": "app", "connector": connector, "connection": "app", "account": "1", "start_date": "2026-01-01"}
    return SaasSource.model_validate({**common, "feeds": [{"extends": name, **changes}]}).feeds[0]


def with_new_kinds() -> Iterator[Any]:
    """Each feed with a column of a kind that those before have not; the others are for the slow suite."""
    known: set[tuple[Any, ...]] = set()
    for connector, name in FEEDS:
        if name != "ad_analytics":
            columns = made(connector, name).contract.read_columns
            kinds = {(c.data_type.name, c.pii.kind if c.pii else "", tuple(c.formats)) for c in columns}
            yield pytest.param(connector, name, marks=() if kinds - known else pytest.mark.slow)
            known |= kinds


def row(feed: FlowFeed, stamp: str = STAMPS[0]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column in feed.contract.read_columns:
        *above, last = column.field_name.split(".")
        place = found
        for name in above:
            if not isinstance(place.get(name), dict):
                place[name] = {}
            place = place[name]
        place.setdefault(last, _value(column, stamp))
    return found


def _value(column: Column, stamp: str) -> Any:
    if column.pii:
        return TEXTS.get(column.pii.kind, "Some Text")
    if "%Y%m%d" in column.formats:
        return "20260501"
    return stamp if column.data_type.name == "timestamp" else TYPED[column.data_type.name]


def as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_text(each) for name, each in value.items()}
    return value if isinstance(value, str) else json.dumps(value)


def staged(feed: FlowFeed, file: Path) -> Staged:
    files, key = [InputFile(file, "s3://raw/file", 0)], HashKey("trial", bytes(range(32)))
    return transform(feed.contract, files, date(2026, 5, 2), key, file.parent / "work", EngineLimits("512MB"))


def lines(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    file = tmp_path / "file"
    file.write_text("\n".join(json.dumps(each) for each in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize(("connector", "name"), FEEDS)
def test_json_lines_with_numbers_and_booleans_are_taken(tmp_path: Path, connector: str, name: str) -> None:
    feed = made(connector, name)
    came = staged(feed, lines(tmp_path, row(feed)))
    assert (came.rows_in, came.clean, came.reasons) == (1, 1, {})


@pytest.mark.parametrize(("connector", "name"), [*with_new_kinds()])
def test_parquet_that_is_all_text_is_taken(tmp_path: Path, connector: str, name: str) -> None:
    feed = made(connector, name, format={"kind": "parquet"})
    pq.write_table(pa.Table.from_pylist([as_text(row(feed))]), tmp_path / "file")
    came = staged(feed, tmp_path / "file")
    assert (came.rows_in, came.clean, came.reasons) == (1, 1, {})


@pytest.mark.parametrize("stamp", STAMPS)
def test_instants_are_taken_as_applications_write_them(tmp_path: Path, stamp: str) -> None:
    feed = made("Salesforce", "campaigns")
    [file] = staged(feed, lines(tmp_path, row(feed, stamp))).files
    [found] = pq.ParquetFile(file.path).read(["changed_at"]).to_pylist()
    assert found["changed_at"].astimezone(UTC) == datetime(2026, 5, 1, 10, tzinfo=UTC)


def test_epochs_are_taken_of_hubspot(tmp_path: Path) -> None:
    feed = made("HubSpot", "deals")
    came = staged(feed, lines(tmp_path, {**row(feed), "createdate": 1470145367594, "closedate": "1470145673504"}))
    assert (came.clean, [file.partition for file in came.files]) == (1, ["2016"])


def test_of_two_rows_of_a_key_the_one_that_changed_last_is_kept(tmp_path: Path) -> None:
    feed = made("Marketo", "leads")
    older = {**row(feed), "updatedAt": "2026-04-30T10:00:00Z", "leadScore": 1}
    came = staged(feed, lines(tmp_path, {**row(feed), "leadScore": 2}, older))
    assert (came.clean, came.superseded) == (1, 1)
    [kept] = pq.ParquetFile(came.files[0].path).read(["lead_score"]).to_pylist()
    assert kept == {"lead_score": 2}
