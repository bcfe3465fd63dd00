"""A document of Amazon's through a report's definition and the contracts of its tables, without an account."""

from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from adplatform.amazon.definitions import ReportDefinition, feed
from adplatform.amazon.selling_partner.marketplaces import MARKETPLACES
from adplatform.amazon.slices import split
from adplatform.drafting.trial import try_contract

ZONES = {m.country: ZoneInfo(m.timezone) for m in MARKETPLACES.values()}


def read(
    definition: ReportDefinition, document: bytes, start: date, end: date, work: Path, *, country: str = "DE"
) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, with ``dt``; fails where a row is of no date of the range or breaks its contract."""
    path = work / "document"
    path.write_bytes(document)
    parts = split(
        path,
        definition.datasets,
        definition.layout,
        start=start,
        end=end,
        stamp=lambda day: {"_as_of": "2026-09-22T09:00:00+00:00", "_report_id": day.isoformat()},
        charset="",
        country=country,
        origin="document",
        work=work / "slices",
        zone=ZoneInfo("UTC") if definition.dates_in == "utc" else ZONES[country],
    )
    assert parts.outside_rows == 0, parts.outside.read_bytes()
    found: dict[str, list[dict[str, Any]]] = {}
    for dataset in definition.datasets:
        slices = [part.path.read_bytes() for part in parts.slices if part.feed == dataset.feed and part.rows]
        together = work / f"{dataset.feed}.json.gz"
        together.write_bytes(b"".join(slices))
        contract = feed(dataset, start, "{feed}/dt={date}/{file}").contract
        trial = try_contract(contract, together, work / dataset.feed) if slices else None
        assert trial is None or not trial.rows, trial.rows[:3]
        staged = trial.staged.files if trial else ()
        rows = [row for file in staged for row in pq.read_table(file.opened()).to_pylist()]
        found[dataset.feed] = [{**row, "dt": date.fromisoformat(row["report_id"])} for row in rows]
    return found
