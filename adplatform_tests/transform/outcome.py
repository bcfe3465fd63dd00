"""What an engine wrote, in the shape of the oracle's truth."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from adplatform.transform.values import FileCount, Staged


def clean_rows(staged: Staged, partition_by: str | None) -> list[dict[str, Any]]:
    rows = []
    for file in staged.files:
        for row in pq.ParquetFile(file.path).read().to_pylist():
            if partition_by not in (None, "dt"):
                row[partition_by] = date.fromisoformat(file.partition) if partition_by == "day" else file.partition
            rows.append(row)
    return rows


def quarantine_rows(paths: Iterable[Path]) -> list[dict[str, Any]]:
    return [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]


def bad_values(rows: Iterable[Mapping[str, Any]]) -> Counter[Any]:
    """Rows with value errors as (file, reasons, raw fields); a NULL field counts as absent, as Spark's JSON has it."""
    return Counter(
        (r["source_file"], frozenset(r["reasons"]), given(json.loads(r["fields"])))
        for r in rows
        if r["fields"] is not None
    )


def given(fields: Mapping[str, str | None]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in fields.items() if value is not None)


def comparable(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Rows as text, so that NULL, '', 1 and Decimal('1.00') all differ."""
    return Counter(repr(sorted((name, _instant(value)) for name, value in row.items())) for row in rows)


def _instant(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def counted(counts: Iterable[FileCount]) -> dict[str, tuple[int, int, int, int]]:
    return {c.origin: (c.rows_in, c.clean, c.superseded, c.quarantined) for c in counts}
