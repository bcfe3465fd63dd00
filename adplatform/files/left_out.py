"""Lines that a feed leaves out on purpose, taken out of text on its way to the disk."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from adplatform.contracts.file_format import FileFormat
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.delimited import records
from adplatform.files.input_file import Footer, LeftOut
from adplatform.files.lines import LEFT_OUT, Place, footer_starts, is_empty, lines_of, placed, require_same, separator

_BATCH = 1 << 20
_LONGEST_SEPARATOR = 64
"""Bytes, with room to spare."""


def begins_with_separator(head: bytes, fmt: FileFormat) -> bool:
    """Whether the first line of csv says what stands between fields, and nobody skips it."""
    return fmt.kind == "csv" and not fmt.skip_lines and separator(head.partition(b"\n")[0]) is not None


def without_left_out(chunks: Iterable[bytes], fmt: FileFormat, origin: str, left_out: LeftOut) -> Iterator[bytes]:
    """The same UTF-8 without the lines that are left out, which are noted. Where no setting leaves any out, only the
    first line is looked at.

    Raises:
        BadFile: as :func:`adplatform.files.lines.placed`, the file names another delimiter than the feed, or it is not
            clear where a line ends.
    """
    if fmt.leaves_out_lines:
        return _kept(chunks, fmt, origin, left_out)
    return _behind_separator(iter(chunks), fmt, origin, left_out) if fmt.kind == "csv" else iter(chunks)


def _behind_separator(chunks: Iterator[bytes], fmt: FileFormat, origin: str, left_out: LeftOut) -> Iterator[bytes]:
    head = b""
    while len(head) < _LONGEST_SEPARATOR and (chunk := next(chunks, b"")):
        head += chunk
    if begins_with_separator(head, fmt):
        first, end, head = head.partition(b"\n")
        require_same(first, fmt, origin)
        left_out.add(0, first + end)
    return chain([head], chunks) if head else chunks


def _kept(chunks: Iterable[bytes], fmt: FileFormat, origin: str, left_out: LeftOut) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = lines = 0
    rows = _Rows(fmt)
    for place, text in placed(lines_of(chunks, origin), fmt, origin):
        if place in LEFT_OUT:
            if place is Place.SEPARATOR:
                require_same(text, fmt, origin)
            if place is not Place.REPEATED and b"\r" in text.rstrip(b"\r\n"):
                raise _unclear(origin, _delivered(left_out, lines))
            if place is Place.TOTALS:
                left_out.footer = Footer(_delivered(left_out, lines))
            elif place is Place.FOOTER and left_out.footer and not is_empty(text):
                left_out.footer.behind += 1
                left_out.footer.like_rows = left_out.footer.like_rows or rows.is_one(text)
            left_out.add(lines, text)
            continue
        if not rows.fields and not is_empty(text):
            rows.fields = len(_fields(text, fmt))
        batch.append(text)
        size += len(text)
        lines += text.count(b"\n") if place is Place.HEADER else 1
        if size >= _BATCH:
            yield b"".join(batch)
            batch, size = [], 0
    yield from filter(None, [b"".join(batch)])


def _delivered(left_out: LeftOut, kept: int) -> int:
    """The line of the delivered file that comes next, so many lines before it being kept."""
    return kept + left_out.before(kept + 1)[0] + 1


@dataclass
class _Rows:
    """What a row looks like in a table whose header, or first row, has so many ``fields``."""

    fmt: FileFormat
    fields: int = 0

    def is_one(self, line: bytes) -> bool:
        """Whether a line has as many, of which half at least have a value: notes that Excel saved are filled up with
        empty ones. One of a table of one column, or of a further line of totals, says nothing."""
        if self.fields < 2 or line.startswith(footer_starts(self.fmt)):
            return False
        found = _fields(line, self.fmt)
        return len(found) == self.fields and 2 * sum(bool(each.strip()) for each in found) >= self.fields


def _fields(text: bytes, fmt: FileFormat) -> list[str]:
    return next(records(io.StringIO(text.decode("utf-8", "replace"), newline=""), fmt), [])


def _unclear(origin: str, line: int) -> BadFile:
    return BadFile(
        origin,
        Reason.LAYOUT,
        f"line {line} is to be left out and has a carriage return within, so it is not clear where it ends; have the "
        "file written with line ends of one kind, which are line feeds or both, never carriage returns alone",
    )
