"""Rows of a report to slices: the rows of each date apart, stamped, counted and digested."""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

from isal import igzip

from adplatform.amazon.definitions import Dataset
from adplatform.amazon.documents import MISFIT, Layout, Number, Row, rows
from adplatform.contracts.types import DataType
from adplatform.failures import PermanentFailure

_MODULUS = 1 << 256
_WIDE = Context(prec=100)
_LONGEST = 40
"""Digits before or after the point of what counts as a number; a campaign may be called 1e999999999."""


@dataclass(frozen=True)
class SliceFile:
    """The rows of one table and date as gzip NDJSON. ``content`` is a digest that ignores the order of rows, of members
    in a row, the spelling of numbers, and the stamps; ``totals`` are sums of the followed metrics."""

    feed: str
    day: date
    path: Path
    rows: int
    content: str
    totals: Mapping[str, Decimal]


@dataclass(frozen=True)
class Split:
    """What a document came to: a slice for every table and date of the range, also those without rows, and the rows
    that belong to none of them. ``rows == sum(slice rows) + outside_rows``."""

    slices: tuple[SliceFile, ...]
    rows: int
    outside: Path
    outside_rows: int


def split(
    document: Path,
    datasets: Sequence[Dataset],
    layout: Layout,
    *,
    start: date,
    end: date,
    stamp: Callable[[date], Mapping[str, str | int]],
    charset: str,
    country: str,
    origin: str,
    work: Path,
) -> Split:
    """Write the slices of a document to the new directory ``work``.

    A value of a decimal column loses the noise that binary fractions leave beyond its scale, so that 58.989999999999995
    is the 58.99 that was meant; the document itself stays as it came.

    Raises:
        TransientFailure, PermanentFailure: as :func:`adplatform.amazon.documents.rows`.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    found: list[SliceFile] = []
    outside_path, outside_rows, total = work / "outside.json.gz", 0, 0
    with igzip.open(outside_path, "wt", encoding="utf-8") as outside:
        for dataset in datasets:
            if dataset.date_field is None and start != end:
                raise PermanentFailure(
                    f"{origin}: rows of {dataset.feed} have no date, so one day can be asked for at once"
                )
            exact = {c.header: c.data_type for c in dataset.columns if c.data_type.name in ("decimal", "bigint", "int")}
            needed = [c.header for c in dataset.columns if c.required]
            placed = read = 0
            with ExitStack() as files:
                days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
                slices = {day.isoformat(): _Slice.open(work / f"{dataset.feed}-{day}.json.gz", files) for day in days}
                for row in rows(
                    document, layout, dataset.records, needed, charset=charset, country=country, origin=origin
                ):
                    read += 1
                    text = start.isoformat() if dataset.date_field is None else _member(row, dataset.date_field)
                    place = slices.get(text[:10]) if isinstance(text, str) and MISFIT not in row else None
                    if place is None:
                        outside_rows += 1
                        outside.write(json.dumps(row) + "\n")
                        continue
                    placed += 1
                    _settle_numbers(row, exact)
                    place.add(row, stamp(date.fromisoformat(text[:10])), dataset.plotted)
            if read and not placed:
                raise PermanentFailure(
                    f"{origin}: none of its {read} rows has a {dataset.date_field} of {start} to {end}; nothing changed"
                )
            total += read
            found += [slices[day.isoformat()].finished(dataset.feed, day) for day in days]
    return Split(tuple(found), total, outside_path, outside_rows)


@dataclass
class _Slice:
    """A slice while it is written."""

    path: Path
    file: IO[str]
    rows: int = 0
    digest: int = 0
    totals: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    @classmethod
    def open(cls, path: Path, files: ExitStack) -> "_Slice":
        return cls(path, files.enter_context(igzip.open(path, "wt", encoding="utf-8")))

    def add(self, row: Row, stamp: Mapping[str, str | int], followed: Iterable[str]) -> None:
        self.rows += 1
        self.digest = (self.digest + _digest(row)) % _MODULUS
        for metric in followed:
            value = _number(_member(row, metric))
            if value is not None:
                self.totals[metric] += value
        self.file.write(json.dumps({**row, **stamp}) + "\n")

    def finished(self, feed: str, day: date) -> SliceFile:
        content = f"{self.digest:064x}" if self.rows else ""
        return SliceFile(feed, day, self.path, self.rows, content, dict(self.totals))


def _member(row: Row, path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _settle_numbers(row: Row, exact: Mapping[str, DataType]) -> None:
    """Numbers of exact columns in the spelling that the contract takes, where that loses nothing but noise."""
    for path, kind in exact.items():
        *parents, name = [path] if path in row else path.split(".")
        holder: Any = row
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and isinstance(holder.get(name), str):
            holder[name] = _exactly(holder[name], kind)


def _exactly(text: str, kind: DataType) -> str:
    value = _number(text)
    if value is None:
        return text
    if kind.name == "decimal":
        return f"{value.quantize(Decimal(1).scaleb(-kind.scale), ROUND_HALF_EVEN, context=_WIDE):f}"
    return str(int(value)) if value == value.to_integral_value() else text


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < _LONGEST else None


def _digest(row: Row) -> int:
    canonical = json.dumps(_canonical(row), sort_keys=True)
    return int.from_bytes(blake2b(canonical.encode(), digest_size=32).digest(), "big")


def _canonical(value: Any) -> Any:
    """Numbers by their value, texts as they are: "007" is no 7."""
    if isinstance(value, dict):
        return {name: _canonical(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_canonical(member) for member in value]
    number = _number(value) if isinstance(value, Number) else None
    return (
        str(value) if number is None and isinstance(value, Number) else value if number is None else _shortest(number)
    )


def _shortest(number: Decimal) -> list[str]:
    return [format(number.normalize(_WIDE), "f")]
