"""Large plain text cut where records begin, so that several tasks read it.

Where a record begins, only what stands before tells: a line end may be within quotes. So tasks look at ranges of bytes
first, each as if it began outside of quotes and as if it began within them, and what they found, put together, tells
where records begin. A file is cut only if each quote in it opens a field, ends one or is doubled, and all lines end
alike. A part is the header with the records behind a cut: a file without the lines between.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.files.bad_file import BadFile
from adplatform.files.input_file import InputFile
from adplatform.files.line_ends import SAMPLE
from adplatform.files.magic import Compression, compression_of
from adplatform.files.tar import is_tar
from adplatform.files.text import is_utf8
from adplatform.files.unpack import is_ready
from adplatform.platform.late import Late
from adplatform.transform.job_plan import PlannedFile
from adplatform.transform.layouts import first_record
from adplatform.transform.spark_objects import Objects

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
else:
    np = Late("numpy")
    pa = Late("pyarrow")

_HEAD = 1 << 20
"""Bytes within which a header has to end."""
_FEED, _RETURN = b"\n", b"\r"
COLUMNS = "range binary"
"""What :class:`Looker` gives Spark: a :class:`Range` in each row."""


@dataclass(frozen=True)
class Cut:
    """A part of a file: the bytes from ``first`` up to, and without, ``behind``, with so many ``lines`` before them,
    the first ``head_lines`` of which are its header and take ``head`` bytes."""

    head: int
    head_lines: int
    first: int
    behind: int
    lines: int


@dataclass
class Range:
    """What stands in a range of a file. Each pair is for one that begins outside of quotes, and for one that begins
    within them: whether all quotes are ``orderly``, where the first line that begins outside of quotes ``ends`` the one
    before, and which of the ``lines`` of the range that one is, from 1. Of the first range ``head`` has the bytes and
    the lines of the header."""

    place: int
    number: int
    feeds: int = 0
    returns: int = 0
    pairs: int = 0
    quotes: int = 0
    orderly: list[bool] = field(default_factory=lambda: [True, True])
    ends: list[int | None] = field(default_factory=lambda: [None, None])
    lines: list[int] = field(default_factory=lambda: [0, 0])
    head: tuple[int, int] | None = None

    def take(self, text: bytes, at: int, fmt: FileFormat, header: int) -> None:
        """Look at all bytes of a ``text`` but its first and last one, which stands from byte ``at`` on."""
        view = np.frombuffer(text, np.uint8)
        feeds, returns = (1 + np.flatnonzero(view[1:-1] == mark[0]) for mark in (_FEED, _RETURN))
        self.returns += len(returns)
        self.pairs += int((view[returns + 1] == _FEED[0]).sum())
        quotes = feeds[:0]
        if fmt.prepared == "csv" and fmt.quote:
            quote, delimiter = fmt.quote.encode()[0], fmt.delimiter.encode()[0]
            quotes = 1 + np.flatnonzero(view[1:-1] == quote)
            quotes = quotes[quotes + at >= header]
            opens = np.isin(view[quotes - 1], (delimiter, _FEED[0], quote))
            closes = np.isin(view[quotes + 1], (delimiter, _FEED[0], _RETURN[0], quote))
            opening = (self.quotes + np.arange(len(quotes))) % 2 == 0
            for within, opened in enumerate((opening, ~opening)):
                self.orderly[within] &= bool(np.where(opened, opens, closes).all())
        for within in (0, 1):
            if self.ends[within] is None:
                outside = np.flatnonzero((self.quotes + within + np.searchsorted(quotes, feeds)) % 2 == 0)
                if len(outside):
                    self.ends[within] = at + int(feeds[outside[0]]) + 1
                    self.lines[within] = self.feeds + int(outside[0]) + 1
        self.quotes += len(quotes)
        self.feeds += len(feeds)


def may_be_cut(contract: Contract) -> bool:
    """Whether files of a feed can be told apart into records without reading them from their beginning."""
    fmt = contract.format
    if fmt.compression not in ("auto", "none") or not is_utf8(fmt.encoding) or fmt.leaves_out_lines:
        return False
    if fmt.kind == "ndjson":
        return contract.schema_policy != "evolve"
    if fmt.kind != "csv" or not fmt.has_header:
        return False
    return not fmt.quote or (
        fmt.escape in ("", fmt.quote) and len(fmt.quote.encode()) == 1 and len(fmt.delimiter.encode()) == 1
    )


@dataclass(frozen=True)
class Looker:
    """Looks at a range of a file in a worker, for each number that it is given. ``files`` are those that may be cut, by
    their places, each with the number of its parts."""

    fmt: FileFormat
    region: str
    files: tuple[tuple[int, PlannedFile, int], ...]

    @property
    def tasks(self) -> list[tuple[int, PlannedFile, int, int]]:
        return [(*file, number) for file in self.files for number in range(file[-1])]

    def __call__(self, numbers: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        tasks = self.tasks
        for batch in numbers:
            for number in batch.column(0).to_pylist():
                content = TypeAdapter(Range).dump_json(self._look(*tasks[number]))
                yield pa.RecordBatch.from_pydict({"range": pa.array([content], pa.binary())})

    def _look(self, place: int, file: PlannedFile, parts: int, number: int) -> Range:
        objects, found = Objects(self.region), Range(place, number)
        first, behind = (file.size * n // parts for n in (number, number + 1))
        if not number:
            found.head = _header(objects, file, self.fmt)
            if found.head is None or found.head[0] > behind:
                return Range(place, number)
        begin, end = max(0, first - 1), min(file.size, behind + 1)
        before, after = [_FEED] * (first == 0), [_FEED] * (behind == file.size)
        held, at = b"", first - 1
        for chunk in chain(before, objects.chunks(file.uri, file.version, begin, end), after):
            text = held + chunk
            if len(text) > 2:
                found.take(text, at, self.fmt, found.head[0] if found.head else 0)
                at += len(text) - 2
                text = text[-2:]
            held = text
        return found


def _header(objects: Objects, file: PlannedFile, fmt: FileFormat) -> tuple[int, int] | None:
    """The bytes and lines of the header; None where the file cannot be read as it is, or has none."""
    head = b"".join(objects.chunks(file.uri, file.version, 0, min(_HEAD, file.size)))
    if compression_of(head) is not Compression.NONE or is_tar(head) or not is_ready(head[:SAMPLE], fmt):
        return None
    if fmt.prepared != "csv":
        return 0, 0
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(head)
        copy.flush()
        try:
            record = first_record(InputFile(Path(copy.name), file.origin, 0), fmt)
        except BadFile:
            return None  # it is told of by who reads all of the file
    if record is None or record.size >= len(head):
        return None
    return record.size, head.count(_FEED, 0, record.size)


def loaded_range(content: bytes) -> Range:
    found: Range = TypeAdapter(Range).validate_json(content)
    return found


def cuts(looker: Looker, ranges: Iterable[Range], most_rows: int) -> Mapping[int, Sequence[Cut]]:
    """The parts of each file that can be cut, by its place."""
    found: dict[int, dict[int, Range]] = {}
    for each in ranges:
        found.setdefault(each.place, {})[each.number] = each
    ordered = {place: [each[number] for number in sorted(each)] for place, each in found.items()}
    parts = {place: _cuts(file, ordered[place], most_rows) for place, file, _ in looker.files}
    return {place: each for place, each in parts.items() if each}


def _cuts(file: PlannedFile, ranges: Sequence[Range], most_rows: int) -> list[Cut]:
    head, (feeds, returns) = ranges[0].head, (sum(r.feeds for r in ranges), sum(r.returns for r in ranges))
    if head is None or feeds > most_rows or returns not in (0, feeds) or returns != sum(r.pairs for r in ranges):
        return []
    starts, lines, quotes = [head[0]], [head[1]], 0
    before = 0
    for each in ranges:
        within = quotes % 2
        end = each.ends[within]
        if end is None or not each.orderly[within]:
            return []
        if each.number:
            starts.append(end)
            lines.append(before + each.lines[within])
        quotes += each.quotes
        before += each.feeds
    return [
        Cut(*head, first, behind, before)
        for first, behind, before in zip(starts, [*starts[1:], file.size], lines, strict=True)
    ]
