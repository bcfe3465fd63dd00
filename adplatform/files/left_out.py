"""Lines that a feed leaves out on purpose, taken out of text on its way to the disk."""

from collections.abc import Iterable, Iterator
from itertools import chain

from adplatform.contracts.file_format import FileFormat
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import LeftOut
from adplatform.files.lines import LEFT_OUT, Place, lines_of, placed, require_same, separator

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
    for place, text in placed(lines_of(chunks, origin), fmt, origin):
        if place in LEFT_OUT:
            if place is Place.SEPARATOR:
                require_same(text, fmt, origin)
            if place is not Place.REPEATED and b"\r" in text.rstrip(b"\r\n"):
                raise _unclear(origin, lines + left_out.before(lines + 1)[0] + 1)
            left_out.add(lines, text)
            continue
        batch.append(text)
        size += len(text)
        lines += text.count(b"\n") if place is Place.HEADER else 1
        if size >= _BATCH:
            yield b"".join(batch)
            batch, size = [], 0
    yield from filter(None, [b"".join(batch)])


def _unclear(origin: str, line: int) -> BadFile:
    return BadFile(
        origin,
        Reason.LAYOUT,
        f"line {line} is to be left out and has a carriage return within, so it is not clear where it ends; have the "
        "file written with line ends of one kind, which are line feeds or both, never carriage returns alone",
    )
