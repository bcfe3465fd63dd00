"""In which line of its file a record begins. Only files of which rows are quarantined are looked at for that."""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from adplatform.contracts.file_format import FileFormat
from adplatform.files.input_file import InputFile, surveyed
from adplatform.files.record_lines import Dialect, delimiters, line_feeds, whole_lines
from adplatform.transform.layouts import first_record
from adplatform.transform.rejects import Reject

if TYPE_CHECKING:
    import duckdb

_BLOCK = 1 << 16
_ROWS = 100_000


@dataclass(frozen=True)
class Asked:
    """Records of a file, ``wanted`` in ascending order, each by its place among all ``records`` that the engine read of
    the file, from 1. ``ends``, where they are known, are the line ends within values of what precedes each, and last
    those of all records."""

    wanted: "array[int]"
    records: int
    ends: "array[int] | None" = None


@dataclass(frozen=True)
class Aside:
    """What of a file is in no record: ``lines`` as the delivered file counts them, in ascending order, and empty ones,
    unless these are records."""

    lines: "array[int]"
    empty_are_records: bool = False


def integers(result: "duckdb.DuckDBPyConnection") -> "array[int]":
    """The rows of a query for one bigint."""
    found = array("q")
    while rows := result.fetchmany(_ROWS):
        found.extend(number for (number,) in rows)
    return found


def of_rejects(rejects: Iterable[Reject], *, empty_are_records: bool) -> Aside:
    """What is aside by the rejects of one file."""
    return Aside(array("q", sorted(reject.line for reject in rejects)), empty_are_records)


def lines_of_records(file: InputFile, fmt: FileFormat, asked: Asked, aside: Aside) -> "array[int]":
    """The line of the delivered file, from 1, in which each of the wanted records begins, in their order; 0 of those
    that are not found. No quote of the file is broken."""
    if not asked.wanted:
        return array("q")
    with file.path.open("rb") as stream:
        before = _skip_header(file, fmt, stream)
        if (counted := _by_count(file, fmt, asked, aside, before)) is not None:
            return counted
        found = _walk(stream, fmt, asked.wanted, aside, file, before)
    found.extend(0 for _ in range(len(asked.wanted) - len(found)))
    return array("q", (file.delivered_line(line) if line else 0 for line in found))


def _skip_header(file: InputFile, fmt: FileFormat, stream: BinaryIO) -> int:
    """How many lines stand before the first record, behind which the stream is then."""
    if fmt.prepared != "csv":
        return 0
    header = first_record(file, fmt) if fmt.has_header else None
    if header is not None:
        return stream.read(header.size).count(b"\n")
    return sum(1 for _ in zip(range(fmt.skip_lines), stream, strict=False))


def _by_count(file: InputFile, fmt: FileFormat, asked: Asked, aside: Aside, header: int) -> "array[int] | None":
    """The lines, where each of the file is in a record, aside or in the header, and none has to be read; else None."""
    if asked.ends is None or file.left_out.lines:
        return None
    if surveyed(file, fmt).lines != header + asked.records + asked.ends[-1] + len(aside.lines):
        return None
    ahead = array("q", (line - place for place, line in enumerate(aside.lines)))
    alone = (header + record + ends for record, ends in zip(asked.wanted, asked.ends, strict=False))
    return array("q", (line + bisect_right(ahead, line) for line in alone))


def _walk(
    stream: BinaryIO, fmt: FileFormat, wanted: "array[int]", aside: Aside, file: InputFile, number: int
) -> "array[int]":
    """The lines as this file counts them."""
    dialect, plain = Dialect.of(fmt), whole_lines(fmt)
    found, record, inside = array("q"), 0, False
    while len(found) < len(wanted) and (block := stream.read(_BLOCK)):
        block += stream.readline()
        lines = line_feeds(block) + (not block.endswith(b"\n"))
        if not inside and _is_plain(block, plain, aside, file, number, lines):
            until = bisect_right(wanted, record + lines, len(found))
            found.extend(number + each - record for each in wanted[len(found) : until])
            record, number = record + lines, number + lines
            continue
        for line in BytesIO(block):
            number += 1
            if _has_any(aside.lines, file.delivered_line(number), 1):
                inside = False
                continue
            if not inside:
                if not aside.empty_are_records and not line.strip(b"\r\n"):
                    continue
                record += 1
                if len(found) < len(wanted) and wanted[len(found)] == record:
                    found.append(number)
            _, inside = delimiters(line, dialect, inside)
    return found


def _is_plain(block: bytes, plain: "re.Pattern[bytes]", aside: Aside, file: InputFile, number: int, lines: int) -> bool:
    """Whether each line of a block, which begins behind so many others, is a record."""
    first, last = file.delivered_line(number + 1), file.delivered_line(number + lines)
    if _has_any(aside.lines, first, last - first + 1):
        return False
    blank = block.startswith((b"\n", b"\r\n")) or b"\n\n" in block or b"\n\r\n" in block
    return (aside.empty_are_records or not blank) and plain.fullmatch(block) is not None


def _has_any(lines: "array[int]", first: int, count: int) -> bool:
    """Whether ``lines``, in ascending order, have one of ``count`` from the ``first`` on."""
    place = bisect_left(lines, first)
    return place < len(lines) and lines[place] < first + count
