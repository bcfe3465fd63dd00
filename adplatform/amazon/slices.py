"""Rows of a report to slices: the rows of each date apart, stamped, counted and digested."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta, tzinfo
from decimal import Decimal
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path

from isal import igzip

from adplatform.amazon.definitions import Dataset
from adplatform.amazon.documents import MISFIT, Layout, Number, Row, rows
from adplatform.amazon.locales import plain_date, plain_number, plain_timestamp
from adplatform.amazon.nested import shaped
from adplatform.amazon.row_dates import RowDates, Strays
from adplatform.amazon.row_values import WIDE, RowValues
from adplatform.failures import PermanentFailure

_MODULUS = 1 << 256
_NUMBERS = ("decimal", "double", "bigint", "int")
_WAITING = 8 << 20
"""Characters of lines that wait in memory until they are written."""
_ESCAPE = re.compile(r"\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(ud[89a-f][0-9a-f]{2})|.)")
"""An escape of a JSON text; the group is half of a pair of surrogates, which is no character."""
_encode = json.JSONEncoder().encode


Spelled = Callable[[Dataset, Collection[str]], Mapping[str, str]]
"""Of the members that rows of a table have, those that are to be called otherwise, with what they are called then."""


@dataclass(frozen=True)
class SliceFile:
    """The rows of one table and date as gzip NDJSON. ``content`` is a digest that ignores the order of rows, of members
    in a row, the spelling of numbers, and the stamps; ``totals`` are sums of the followed metrics as the document was
    read, whatever became of its rows then."""

    feed: str
    day: date
    path: Path
    rows: int
    content: str
    totals: Mapping[str, Decimal]


@dataclass(frozen=True)
class Split:
    """What a document came to: a slice for every table and date of the range, also those without rows, and the rows
    that belong to none of them. ``rows == sum(slice rows) + outside_rows``. ``doubt`` is why people should look at it,
    "" for no reason."""

    slices: tuple[SliceFile, ...]
    rows: int
    outside: Path
    outside_rows: int
    doubt: str = ""


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
    spelled: Spelled = lambda *_: {},
) -> Split:
    """Write the slices of a document to the new directory ``work``.

    An instant with an offset counts for its date in ``zone``, without a zone for the date that is written.

    A value of a decimal column loses the noise that binary fractions leave beyond its scale, so that 58.989999999999995
    is the 58.99 that was meant, and half a character becomes U+FFFD; the document itself stays as it came. Members
    that ``spelled`` has called otherwise, in tables that take what nobody declared, are so in the slices alone.

    Raises:
        TransientFailure, PermanentFailure: as :func:`adplatform.amazon.documents.rows`.
    """
    written = partial(
        _written,
        document,
        datasets,
        layout,
        (start, end),
        stamp,
        work,
        zone,
        charset=charset,
        country=country,
        origin=origin,
        private=private,
    )
    made, names = written({})
    evolving = (dataset for dataset in datasets if dataset.schema_policy == "evolve")
    others = {d.feed: other for d in evolving if (other := spelled(d, names[d.feed]))}
    # Whether two names stand in each other's way is known when all have been seen; it is rare.
    return written(others)[0] if others else made


def _written(
    document: Path,
    datasets: Sequence[Dataset],
    layout: Layout,
    period: tuple[date, date],
    stamp: Callable[[date], Mapping[str, str | int]],
    work: Path,
    zone: tzinfo | None,
    others: Mapping[str, Mapping[str, str]],
    *,
    charset: str,
    country: str,
    origin: str,
    private: bool,
) -> tuple[Split, Mapping[str, Collection[str]]]:
    """The slices, with ``others`` for the names of members by table, and all members that each table's rows had."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    files = _Files()
    start, end = period
    names: dict[str, Collection[str]] = {}
    outside = files.open(work / "outside.json.gz")
    found: list[SliceFile] = []
    doubts: list[str] = []
    outside_rows = total = 0
    for dataset in datasets:
        if dataset.date_field is None and start != end:
            raise PermanentFailure(
                f"{origin}: rows of {dataset.feed} have no date, so one day can be asked for at once"
            )
        values, dates = RowValues(dataset), RowDates(dataset, country, zone)
        names[dataset.feed] = values.names
        spellings = _spellings(dataset, layout)
        needed, translated = _needed(dataset, layout)
        days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
        slices = {
            day.isoformat(): _Slice(
                files,
                files.open(work / f"{dataset.feed}-{day}.json.gz"),
                stamp(day),
                others.get(dataset.feed, {}),
            )
            for day in days
        }
        strays = Strays(dates, layout, slices.keys(), private)
        placed = read = 0
        records = rows(
            *(document, layout, dataset.records, needed),
            charset=charset,
            country=country,
            origin=origin,
            private=private,
            doubted=doubts.append,
            apart=dataset.schema_policy == "evolve",
        )
        for row in shaped(_with_columns(records, translated, origin), dataset, datasets):
            read += 1
            day = start.isoformat() if dataset.date_field is None else dates.of(row)
            place = slices.get(day) if MISFIT not in row else None
            if place is None and MISFIT not in row:
                strays.add(row, day)
            for name, plain in spellings:
                if isinstance(text := row.get(name), str):
                    row[name] = plain(text, country)
            if place is not None:
                place.count(values.amounts(row))
            try:
                if place is None:
                    files.write(outside, _encode(row) + "\n")
                else:
                    placed += 1
                    place.add(row, values)
            except RecursionError as e:
                raise PermanentFailure(f"{origin}: row {read} is nested too deeply") from e
        if read and not placed:
            wanted = f"has a {dataset.date_field} of {start} to {end}" if dataset.date_field else "fits the header"
            first = f": the first has {strays.first}" if strays.first else ""
            raise PermanentFailure(f"{origin}: none of its {read} rows {wanted}{first}; nothing changed")
        doubts += filter(None, [strays.doubt])
        total += read
        outside_rows += read - placed
        found += [slices[day.isoformat()].finished(dataset.feed, day) for day in days]
    files.close()
    return Split(tuple(found), total, outside, outside_rows, "; ".join(dict.fromkeys(doubts))), names


def _needed(dataset: Dataset, layout: Layout) -> tuple[list[str], list[tuple[str, ...]]]:
    """The columns that a table has to have, and those of which it has to have one by any of its names. One in CSV has
    all: they were asked for by name, and what is missing would be no value in every row."""
    if layout == "csv":
        return [column.field_name for column in dataset.columns], []
    required = [c.field_names for c in dataset.columns if c.required and c.field_name != dataset.date_field]
    needed = [each[0] for each in required if len(each) == 1]
    needed += [dataset.date_field] if dataset.date_field else []
    return needed, [each for each in required if len(each) > 1]


def _with_columns(found: Iterator[Row], wanted: Sequence[Sequence[str]], origin: str) -> Iterator[Row]:
    """The rows, of which the first whole one has to have a column of each of the ``wanted`` sets of names.

    Raises:
        PermanentFailure: it lacks one.
    """
    left = wanted
    for row in found:
        if left and MISFIT not in row:
            if lacking := [names[0] for names in left if row.keys().isdisjoint(names)]:
                raise PermanentFailure(
                    f"{origin}: not the table that was asked for: its header lacks {', '.join(lacking)}"
                )
            left = ()
        yield row


def _spellings(dataset: Dataset, layout: Layout) -> list[tuple[str, Callable[[str, str], str]]]:
    """Members that are texts in a document, with what makes them what they are: numbers in CSV, and in a localized flat
    file what each marketplace spells in its own way."""
    if layout != "csv" and not dataset.localized:
        return []
    numbers = dict.fromkeys(_NUMBERS, plain_number if dataset.localized else _number)
    kinds = {**numbers, **({"date": plain_date, "timestamp": plain_timestamp} if dataset.localized else {})}
    return [
        (name, kinds[c.data_type.name]) for c in dataset.columns if c.data_type.name in kinds for name in c.field_names
    ]


def _number(text: str, _country: str) -> str:
    return Number(text)


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
    others: Mapping[str, str]
    rows: int = 0
    digest: int = 0
    totals: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, row: Row, values: RowValues) -> None:
        self.rows += 1
        canonical = values.settle(row)
        self.digest += int.from_bytes(blake2b(canonical, digest_size=32).digest(), "big")
        for path, other in self.others.items():
            _call(row, path, other)
        self.files.write(self.path, self._line(row))

    def count(self, amounts: Iterable[tuple[str, Decimal]]) -> None:
        """Before anything is done with the row that says so."""
        for metric, amount in amounts:
            self.totals[metric] = WIDE.add(self.totals[metric], amount)

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


def _call(row: Row, path: str, other: str) -> None:
    """Have a member of a row called otherwise, where it has it; ``path`` is as of :func:`member`."""
    holder, name = row, path
    while name not in holder and "." in name:
        above, _, name = name.partition(".")
        holder = holder.get(above)  # type: ignore[assignment]
        if not isinstance(holder, dict):
            return
    if name in holder:
        holder[other] = holder.pop(name)


def _characters(line: str) -> str:
    """A line without what is no character, as a name has it that was cut in the middle of one."""
    return _ESCAPE.sub(lambda found: "\\ufffd" if found[1] else found[0], line) if "\\ud" in line else line
