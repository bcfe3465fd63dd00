"""Many small files of text that have one layout, read as one.

DuckDB takes more than a millisecond to open a file and to set up its scan, ten times what 20 kB of rows take. So the
rows of small files are put behind each other, each behind the ordinal of its file as a field of its own. Files of which
it is not certain where a record ends are read by themselves: those with broken quotes or quotes within a field, with
empty lines, or with carriage returns that end no line.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from adplatform.files.input_file import InputFile
from adplatform.files.record_lines import Dialect, closes_fields, line_feeds, opens_fields, outside_quotes
from adplatform.files.survey import Survey
from adplatform.transform.layouts import Layout, Lines

_SMALL = 200_000
"""Bytes of a file that is joined with others."""
_FEWEST = 16
_MOST = 1 << 30
"""Bytes of all that are joined: they are on the disk twice."""
_LINE_FEED = re.compile(rb"\n")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class JoinedFile:
    """``layout`` is that of one file without a header, whose ordinal is none of the delivery's. The rows of
    ``parts[n]``, which are behind ``headers[n]`` bytes there, begin at ``starts[n]``."""

    layout: Layout
    parts: Sequence[InputFile]
    headers: "array[int]"
    starts: "array[int]"
    dialect: Dialect

    @property
    def file(self) -> InputFile:
        [file] = self.layout.files
        return file

    def as_written(self, records: Iterable[tuple[int, str]]) -> Iterator[tuple[int, int, str]]:
        """Of records, each with the place where it begins here, in ascending order: the ordinal of its file, the place
        there, and the text there."""
        part, prefix, begun = -1, b"", array("q")
        for place, text in records:
            if (found := bisect_right(self.starts, place) - 1) != part:
                part, prefix = found, _prefix(self.parts[found], self.dialect)
                rows = self.parts[part].path.read_bytes()[self.headers[part] :]
                begins = _record_starts(rows, self.dialect.quote)
                begun = array("q", (self.starts[part] + n * len(prefix) + at for n, at in enumerate(begins)))
            before = bisect_left(begun, place) * len(prefix)
            there = self.headers[part] + place - self.starts[part] - before
            yield self.parts[part].ordinal, there, text.removeprefix(prefix.decode())


@dataclass(frozen=True)
class Joined:
    """``layouts`` are those of the files that are read by themselves."""

    files: tuple[JoinedFile, ...] = ()
    layouts: tuple[Layout, ...] = ()

    @property
    def opened(self) -> list[InputFile]:
        """What the engine reads."""
        return [*(each.file for each in self.files), *(file for layout in self.layouts for file in layout.files)]


def join_small_files(
    layouts: Sequence[Layout], dialect: Dialect, directory: Path, *, header: bool, longest: int
) -> Joined:
    """Join what can be, into files of ``directory``; those of a ``dialect`` without quotes have a record in each line.
    A record may have ``longest`` bytes, and no file is joined that might have a longer one."""
    ordinals = count(1 + max((file.ordinal for layout in layouts for file in layout.files), default=0))
    joined: list[JoinedFile] = []
    left: list[Layout] = []
    room = _MOST
    for layout in layouts:
        alike: dict[bytes, list[tuple[InputFile, int]]] = {}
        for file in layout.files if len(layout.files) >= _FEWEST and not layout.lines.newline else ():
            size = file.path.stat().st_size
            if size > min(_SMALL, longest // 2, room):
                continue
            text = file.path.read_bytes()
            start = _behind_lines(text, layout.lines.skip + header)
            if start is not None and (end := _end_of_records(text[start:], dialect)):
                alike.setdefault(end, []).append((file, start))
                room -= size
        made = [
            _join(layout, parts, dialect, end, next(ordinals), directory)
            for end, parts in alike.items()
            if len(parts) >= _FEWEST
        ]
        joined += made
        taken = {file.ordinal for each in made for file in each.parts}
        if alone := tuple(file for file in layout.files if file.ordinal not in taken):
            left.append(replace(layout, files=alone))
    return Joined(tuple(joined), tuple(left))


def _behind_lines(text: bytes, lines: int) -> int | None:
    """Where the line behind so many begins; None where one of these has no end."""
    start = 0
    for _ in range(lines):
        if not (start := text.find(b"\n", start) + 1):
            return None
    return start


def _end_of_records(rows: bytes, dialect: Dialect) -> bytes | None:
    """How all records end, where it is certain where each does; else None."""
    end = b"\r\n" if b"\r" in rows else b"\n"
    if end == b"\r\n" and not rows.count(b"\r") == rows.count(end) == line_feeds(rows):
        return None
    if b"\0" in rows or rows.startswith(_BOM) or (dialect.escape != dialect.quote and dialect.escape in rows):
        return None
    outside, opened = outside_quotes(rows, dialect.quote)
    if opened or outside.startswith(end) or end * 2 in outside:
        return None
    well_quoted = outside is rows or (opens_fields(outside, dialect) and closes_fields(outside, dialect))
    return end if well_quoted else None


def _join(
    layout: Layout, parts: Sequence[tuple[InputFile, int]], dialect: Dialect, end: bytes, ordinal: int, directory: Path
) -> JoinedFile:
    directory.mkdir(parents=True, exist_ok=True)
    target, starts, lines = directory / f"{ordinal}-joined", array("q"), 0
    with target.open("wb") as out:
        for file, start in parts:
            starts.append(out.tell())
            if rows := file.path.read_bytes()[start:].removesuffix(end):
                prefix = _prefix(file, dialect)
                out.write(prefix + _replaced_outside(rows, dialect.quote, end, end + prefix) + end)
                lines += line_feeds(rows) + 1
    read = InputFile(target, "", ordinal, survey=Survey(lines, suspect=False))
    return JoinedFile(
        replace(layout, files=(read,), lines=Lines(unnamed=layout.lines.unnamed)),
        [file for file, _ in parts],
        array("q", (start for _, start in parts)),
        starts,
        dialect,
    )


def _prefix(file: InputFile, dialect: Dialect) -> bytes:
    return str(file.ordinal).encode() + dialect.delimiter


def _replaced_outside(rows: bytes, quote: bytes, old: bytes, new: bytes) -> bytes:
    if not quote or quote not in rows:
        return rows.replace(old, new)
    parts = rows.split(quote)
    parts[::2] = [part.replace(old, new) for part in parts[::2]]
    return quote.join(parts)


def _record_starts(rows: bytes, quote: bytes) -> Iterator[int]:
    yield 0
    at = 0
    for n, part in enumerate(rows.split(quote) if quote else [rows]):
        if n % 2 == 0:
            yield from (at + each.end() for each in _LINE_FEED.finditer(part))
        at += len(part) + len(quote)
