"""Rows of a report to slices: the rows of each date apart, stamped, counted and digested."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from isal import igzip

from adplatform.amazon.definitions import Dataset
from adplatform.amazon.documents import MISFIT, Layout, Number, Row, rows
from adplatform.amazon.locales import plain_date, plain_number, plain_timestamp
from adplatform.contracts.model import Column
from adplatform.failures import PermanentFailure

_MODULUS = 1 << 256
_WIDE = Context(prec=200)
_KEPT = 1 << 16
"""Numbers of a scale that are kept, so that most are worked out once."""
_ORDERS_KEPT = 1 << 10
_WRITTEN, _LARGEST, _SMALLEST = 80, 40, -400
"""What counts as a number: its characters, and the powers of ten it lies between. Amazon may send 1e999999999."""
_AS_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WHOLE = -1
"""In place of a scale: the column is of whole numbers."""
_WAITING = 8 << 20
"""Characters of lines that wait in memory until they are written."""
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?!\d)", re.ASCII)
_OFFSET = re.compile(r"\d(Z|[+-]\d\d:?\d\d)\s*$", re.ASCII)
_SEPARATOR = "\x1f"
_ESCAPE = re.compile(r"\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(ud[89a-f][0-9a-f]{2})|.)")
"""An escape of a JSON text; the group is half of a pair of surrogates, which is no character."""
_encode = json.JSONEncoder().encode
_encode_sorted = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


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
    zone: tzinfo | None = None,
    private: bool = False,
) -> Split:
    """Write the slices of a document to the new directory ``work``.

    An instant with an offset counts for its date in ``zone``, without a zone for the date that is written.

    A value of a decimal column loses the noise that binary fractions leave beyond its scale, so that 58.989999999999995
    is the 58.99 that was meant, and half a character becomes U+FFFD; the document itself stays as it came.

    Raises:
        TransientFailure, PermanentFailure: as :func:`adplatform.amazon.documents.rows`.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    files = _Files()
    outside = files.open(work / "outside.json.gz")
    found: list[SliceFile] = []
    outside_rows = total = 0
    for dataset in datasets:
        if dataset.date_field is None and start != end:
            raise PermanentFailure(
                f"{origin}: rows of {dataset.feed} have no date, so one day can be asked for at once"
            )
        members = _Members(dataset)
        spelled = _spellings(dataset, country)
        needed = [c.header for c in dataset.columns if c.required and c.header != dataset.date_field]
        needed += [dataset.date_field] if dataset.date_field else []
        days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
        slices = {
            day.isoformat(): _Slice(files, files.open(work / f"{dataset.feed}-{day}.json.gz"), stamp(day))
            for day in days
        }
        placed = read = 0
        for row in rows(
            *(document, layout, dataset.records, needed),
            charset=charset,
            country=country,
            origin=origin,
            private=private,
        ):
            read += 1
            for name, plain in spelled:
                if isinstance(text := row.get(name), str):
                    row[name] = plain(text, country)
            day = start.isoformat() if dataset.date_field is None else _day(_member(row, dataset.date_field), zone)
            place = slices.get(day) if MISFIT not in row else None
            try:
                if place is None:
                    files.write(outside, _encode(row) + "\n")
                else:
                    placed += 1
                    place.add(row, members)
            except RecursionError as e:
                raise PermanentFailure(f"{origin}: row {read} is nested too deeply") from e
        if read and not placed:
            wanted = f"has a {dataset.date_field} of {start} to {end}" if dataset.date_field else "fits the header"
            raise PermanentFailure(f"{origin}: none of its {read} rows {wanted}; nothing changed")
        total += read
        outside_rows += read - placed
        found += [slices[day.isoformat()].finished(dataset.feed, day) for day in days]
    files.close()
    return Split(tuple(found), total, outside, outside_rows)


def _spellings(dataset: Dataset, country: str) -> list[tuple[str, Callable[[str, str], str]]]:
    """Members of a flat file that each marketplace spells in its own way, with what makes them plain."""
    if not dataset.localized:
        return []
    kinds = {"decimal": plain_number, "date": plain_date, "timestamp": plain_timestamp}
    return [(c.header, kinds[c.data_type.name]) for c in dataset.columns if c.data_type.name in kinds]


class _Files:
    """Gzip files that are written side by side, as many as there are dates. None is open: lines wait in memory and are
    appended as a gzip member each time there are enough of them. Equal lines make equal files."""

    def __init__(self) -> None:
        self._waiting: dict[Path, list[str]] = {}
        self._size = 0

    def open(self, path: Path) -> Path:
        self._waiting[path] = []
        return path

    def write(self, path: Path, line: str) -> None:
        self._waiting[path].append(line)
        self._size += len(line)
        if self._size > _WAITING:
            self._append()

    def close(self) -> None:
        self._append()
        for path in self._waiting:
            if not path.exists():
                path.write_bytes(igzip.compress(b"", mtime=0))

    def _append(self) -> None:
        for path, lines in self._waiting.items():
            if lines:
                with path.open("ab") as file:
                    file.write(igzip.compress("".join(lines).encode(), mtime=0))
                lines.clear()
        self._size = 0


@dataclass
class _Slice:
    """A slice while it is written."""

    files: _Files
    path: Path
    stamp: Mapping[str, str | int]
    rows: int = 0
    digest: int = 0
    totals: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, row: Row, members: "_Members") -> None:
        self.rows += 1
        canonical = members.settle(row)
        self.digest += int.from_bytes(blake2b(canonical, digest_size=32).digest(), "big")
        for metric, amount in members.amounts(row):
            self.totals[metric] = _WIDE.add(self.totals[metric], amount)
        self.files.write(self.path, self._line(row))

    def _line(self, row: Row) -> str:
        if row and self.stamp and self.stamp.keys().isdisjoint(row):
            return f"{_characters(_encode(row))[:-1]}, {self._stamp_members}}}\n"
        return _characters(_encode({**row, **self.stamp})) + "\n"

    @cached_property
    def _stamp_members(self) -> str:
        return _encode(dict(self.stamp))[1:-1]

    def finished(self, feed: str, day: date) -> SliceFile:
        content = f"{self.digest % _MODULUS:064x}" if self.rows else ""
        return SliceFile(feed, day, self.path, self.rows, content, dict(self.totals))


def _characters(line: str) -> str:
    """A line without what is no character, as a name has it that was cut in the middle of one."""
    return _ESCAPE.sub(lambda found: "\\ufffd" if found[1] else found[0], line) if "\\ud" in line else line


def _scale(column: Column) -> int | None:
    kind = column.data_type
    return kind.scale if kind.name == "decimal" else _WHOLE if kind.name in ("bigint", "int") else None


def _day(value: Any, zone: tzinfo | None) -> str:
    """The date that a text begins with, "" for none; of an instant with an offset its date in the zone."""
    found = _DAY.match(value) if isinstance(value, str) else None
    if found is None:
        return ""
    if zone is None or not _OFFSET.search(value):
        return found[1]
    try:
        return datetime.fromisoformat(value.strip()).astimezone(zone).date().isoformat()
    except (ValueError, OverflowError):
        return found[1]


def _member(row: Row, path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


class _Read(NamedTuple):
    """A number: as the slice spells it, as the digest does, and its value."""

    written: Number
    canonical: str
    value: Decimal | None


class _Numbers(dict[str, _Read]):
    """What numbers are in a column of this scale, worked out when one is first looked up."""

    def __init__(self, scale: int | None) -> None:
        super().__init__()
        self._scale = scale

    def __missing__(self, text: str) -> _Read:
        if len(text) > _WRITTEN:
            return _Read(Number(text), f"#{text}", None)
        if len(self) >= _KEPT:
            self.clear()
        self[text] = read = _read(Number(text), self._scale)
        return read


_Order = tuple[str, tuple[tuple[str, _Numbers], ...]]


class _Members:
    """The members of a dataset's rows: how their numbers are written, compared and summed."""

    def __init__(self, dataset: Dataset) -> None:
        scales = {c.header: _scale(c) for c in dataset.columns}
        by_scale = {scale: _Numbers(scale) for scale in {None, *scales.values()}}
        self._any = by_scale[None]
        self._numbers = {path: by_scale[scale] for path, scale in scales.items()}
        self._followed = [(metric, self._numbers.get(metric, self._any)) for metric in dataset.plotted]
        self._orders: dict[tuple[str, ...], _Order] = {}

    def settle(self, row: Row) -> bytes:
        """Give the numbers of exact columns, in the row itself, the spelling that the contract takes, where that loses
        nothing but noise.

        Returns what the row is by value, for its digest: the order of members and the spelling of numbers do not
        matter, and "007" is no 7.
        """
        names = tuple(row)
        spelled, order = self._orders.get(names) or self._order(names)
        parts = [spelled]
        for name, numbers in order:
            value = row[name]
            kind = type(value)
            if kind is Number:
                row[name], canonical, _ = numbers[value]
                parts.append(canonical)
            elif kind is str:
                parts.append("'" + value)
            else:
                parts.append(_encode_sorted(self._canonical(value, name)))
        text = _SEPARATOR.join(parts)
        if text.count(_SEPARATOR) != len(parts) - 1:
            text = _encode_sorted(parts)
        return text.encode("utf-8", "surrogatepass")

    def amounts(self, row: Row) -> list[tuple[str, Decimal]]:
        """The followed metrics of a settled row that are numbers."""
        found = []
        for metric, numbers in self._followed:
            value = row[metric] if metric in row else _member(row, metric)
            if isinstance(value, str):
                amount = (numbers if type(value) is Number else self._any)[value].value
                if amount is not None:
                    found.append((metric, amount))
        return found

    def _order(self, names: tuple[str, ...]) -> _Order:
        """The names as one text, and each with its numbers, sorted."""
        if len(self._orders) >= _ORDERS_KEPT:
            self._orders.clear()
        ordered = sorted(names)
        order = tuple((name, self._numbers.get(name, self._any)) for name in ordered)
        self._orders[names] = _encode(ordered), order
        return self._orders[names]

    def _canonical(self, value: Any, path: str) -> Any:
        """A member of a row, settled: texts and numbers so that they differ."""
        match value:
            case Number():
                return self._any[value].canonical
            case str():
                return "'" + value
            case list():
                return [self._canonical(each, path) for each in value]
            case dict():
                return {name: self._nested(value, name, f"{path}.{name}") for name in value}
            case _:
                return value

    def _nested(self, holder: dict[str, Any], name: str, path: str) -> Any:
        value = holder[name]
        if isinstance(value, Number):
            holder[name], canonical, _ = self._numbers.get(path, self._any)[value]
            return canonical
        return self._canonical(value, path)


def _read(text: Number, scale: int | None) -> _Read:
    value = _number(text)
    if value is None:
        return _Read(text, f"#{text}", None)
    written = text
    if scale == _WHOLE:
        if not text.isdigit() and value == value.to_integral_value():
            value = Decimal(int(value))
            written = Number(value)
    elif scale is not None and ("e" in text.lower() or len(text.partition(".")[2]) > scale):
        value = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_EVEN, context=_WIDE)
        written = Number(f"{value:f}")
    return _Read(written, f"#{value.normalize(_WIDE) if value else 0:f}", value)


def _number(text: str) -> Decimal | None:
    if not _AS_NUMBER.fullmatch(text):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value:
        return Decimal(0)
    return value if _SMALLEST < value.adjusted() < _LARGEST else None
