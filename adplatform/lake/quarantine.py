"""Rows and files that broke the contract, kept with reason and origin, readable without seeing personal data.

What is shown without ``reveal`` are values of columns that are declared clear: declared, neither personal nor dropped,
and of a type that is no free text (numbers, dates, booleans, and text of which the contract lists what is ``allowed``).
Of a value that is not what its column takes only the shape is shown: it may belong to another column.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TextIO

from adplatform.contracts.column import Column
from adplatform.contracts.model import Contract
from adplatform.lake.store import Store
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import is_file_id
from adplatform.ledger.publications import FileOutcome, Outcome
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.parquet_files import batches

MASK = "***"


@dataclass(frozen=True)
class QuarantinedRow:
    """One row. ``source_file`` is what the ledger calls the file. ``line`` is where it begins in the file, as
    far as that is known. ``byte_position`` places a structural reject, whose text is ``raw``; ``fields`` are the raw
    values of a row that could be read but not accepted."""

    source_file: str
    line: int | None
    byte_position: int | None
    reasons: tuple[str, ...]
    raw: str | None
    fields: Mapping[str, str | None] | None


@dataclass(frozen=True)
class Entry:
    """What one delivery version left in the quarantine. ``key`` is "" without rows; ``files`` were put aside whole.

    ``reasons`` are the most frequent of ``reason_count``.
    """

    day: date
    version: int
    key: str
    rows: int
    reasons: Mapping[str, int]
    files: tuple[FileOutcome, ...]
    reason_count: int = 0
    at: datetime | None = None
    """When the version was published, or ended otherwise."""


def store_rows(store: Store, feed: str, day: date, version: int, rows: Path) -> str:
    """Keep a version's quarantined rows, a Parquet file, in the raw bucket; returns the key. Twice is harmless.

    Raises:
        PermanentFailure: not allowed. TransientFailure: S3 did not answer, or does not hold the file afterwards.
    """
    key = f"{store.zones.quarantine(feed, day)}rows-{version:04d}.parquet"
    with aws_failures(f"s3://{store.zones.raw_bucket}/{key}"):
        store.upload(rows, store.zones.raw_bucket, key)
    return key


def entries(ledger: Ledger, feed: str, day: date | None = None) -> list[Entry]:
    """Versions with something in the quarantine, oldest first."""
    found = []
    for publication in ledger.publications.of_feed(feed, day):
        outcomes = ledger.publications.file_outcomes(feed, publication.day, publication.version)
        files = tuple(o for o in outcomes if o.outcome in (Outcome.REFUSED, Outcome.QUARANTINED))
        if publication.quarantine_key or files:
            found.append(
                Entry(
                    publication.day,
                    publication.version,
                    publication.quarantine_key,
                    publication.quarantined,
                    publication.reasons,
                    files,
                    publication.reason_count,
                    publication.finished_at or publication.settled_at,
                )
            )
    return found


def latest_entries(ledger: Ledger, feed: str) -> list[Entry]:
    """The quarantine of the latest version of each date; earlier versions are history."""
    versions = {p.day: p.version for p in ledger.publications.of_feed(feed)}
    return [e for e in entries(ledger, feed) if e.version == versions[e.day]]


def read_rows(
    store: Store, key: str, contract: Contract, *, offset: int = 0, limit: int | None = None, reveal: bool = False
) -> Iterator[QuarantinedRow]:
    """The rows stored under ``key``, in stored order.

    Unless ``reveal``, all is masked but what is declared clear: values of other columns, names of columns that nobody
    declared, and the text of structural rejects.

    Raises:
        PermanentFailure: not there, or not allowed. TransientFailure: S3 did not answer.
    """
    with TemporaryDirectory() as directory:
        path = Path(directory) / "rows.parquet"
        with aws_failures(f"s3://{store.zones.raw_bucket}/{key}"):
            store.download(store.zones.raw_bucket, key, path)
        end = None if limit is None else offset + limit
        yield from islice(stored_rows(path, contract, reveal=reveal), offset, end)


def stored_rows(path: Path, contract: Contract, *, reveal: bool = False) -> Iterator[QuarantinedRow]:
    """The rows of a file that a transform wrote, masked as by :func:`read_rows`."""
    for row in _rows(path):
        yield row if reveal else _masked(row, contract)


def export(rows: Iterable[QuarantinedRow], form: Literal["csv", "ndjson"], out: TextIO) -> int:
    """Write the rows as CSV (reasons joined by ``;``, fields as JSON) or one JSON object per line; returns how many."""
    count = 0
    writer = csv.writer(out, lineterminator="\n")
    if form == "csv":
        writer.writerow(f.name for f in fields(QuarantinedRow))
    for row in rows:
        count += 1
        if form == "ndjson":
            out.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
        else:
            values = None if row.fields is None else json.dumps(dict(row.fields), ensure_ascii=False)
            writer.writerow([row.source_file, row.line, row.byte_position, ";".join(row.reasons), row.raw, values])
    return count


def _rows(path: Path) -> Iterator[QuarantinedRow]:
    for batch in batches(path):
        for found in batch.to_pylist():
            values = found["fields"]
            yield QuarantinedRow(
                source_file=found["source_file"],
                line=found["line"],
                byte_position=found["byte_position"],
                reasons=tuple(found["reasons"]),
                raw=found["raw"],
                fields=None if values is None else json.loads(values),
            )


_UNFIT = frozenset({"not_allowed", "pattern"})
"""Reasons for which a value is not what its column takes, beside ``bad_<type>``."""


def _masked(row: QuarantinedRow, contract: Contract) -> QuarantinedRow:
    columns = {column.name: column for column in contract.columns}
    unfit = {
        column
        for reason, _, column in (each.partition(":") for each in row.reasons)
        if reason in _UNFIT or reason.startswith("bad_")
    }
    fields = row.fields and {
        name if name in columns else f"column {place}": _shown(columns.get(name), value, name in unfit)
        for place, (name, value) in enumerate(row.fields.items(), start=1)
    }
    file = row.source_file if is_file_id(row.source_file) else MASK
    return replace(row, source_file=file, raw=None if row.raw is None else MASK, fields=fields)


def _shown(column: Column | None, value: str | None, unfit: bool) -> str | None:
    if value is None or value == "":
        return value
    if column is None or not is_declared_clear(column):
        return MASK
    return shape(value) if unfit else value


def is_declared_clear(column: Column) -> bool:
    """Whether anybody may see the values of a column, by the contract."""
    free_text = column.data_type.name == "string" and not column.allowed
    return not (column.pii or column.drop or free_text)


def shape(value: str) -> str:
    """A value without what it says: digits are ``9``, letters ``a`` and ``A``, other than ASCII ``x``; dots, blanks and
    the like stay."""
    return _NOT_ASCII.sub("x", _UPPER.sub("A", _LOWER.sub("a", _DIGIT.sub("9", value))))


_DIGIT, _LOWER, _UPPER, _NOT_ASCII = map(re.compile, ("[0-9]", "[a-z]", "[A-Z]", "[^\x20-\x7e]"))
