"""Records that no engine can be given: so long that DuckDB loses them unseen or never ends, or so wide that it keeps a
copy of them for every column that nobody declared.

DuckDB 2.0 reads in buffers of 32 MB. A line that does not fit into one is left out without a word, quotes that stay
open for as long keep it from ending, and a row of 100,000 columns too many is 100,000 rows of errors with the text of
the row in each. Nearly all files are known from their survey to hold no such record.
"""

import re
from collections.abc import Iterable
from os import SEEK_CUR
from typing import BinaryIO

from adplatform.contracts.file_format import LONGEST_RECORD
from adplatform.contracts.model import Contract
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile, surveyed
from adplatform.files.record_lines import Dialect, delimiters, doubled_quotes, line_feeds, pieces

MOST_UNDECLARED = 1_000
"""Columns that a record, a header or all JSON documents of a file may have beyond those that are declared."""
_WINDOW = 1 << 18
_WALKED = 1 << 16
"""Bytes that are walked over before it is tried again to pass many records at once."""


def refuse_long_records(contract: Contract, files: Iterable[InputFile]) -> None:
    """
    Raises:
        BadFile: a record is longer or wider than what can be read; names its first line.
    """
    if contract.format.prepared == "parquet":
        return
    dialect = Dialect.of(contract.format)
    most = len(contract.read_columns) + MOST_UNDECLARED
    for file in files:
        if surveyed(file, contract.format).suspect:
            _require_short(file, dialect, most)


def _require_short(file: InputFile, dialect: Dialect, most: int) -> None:
    ordinary = _ordinary_records(dialect, most)
    with file.path.open("rb") as stream:
        skipped = 0
        while skipped < dialect.skip and (piece := stream.readline(_WINDOW)):
            skipped += piece.endswith(b"\n")
        while text := stream.read(_WINDOW):
            size = _of_unquoted_records(text, dialect, most)
            if not size:
                found = ordinary.match(text) if ordinary else None
                size = found.end() if found else 0
            stream.seek(size - len(text), SEEK_CUR)
            if size < _WINDOW // 2:
                _walk(file, stream, dialect, most)


def _of_unquoted_records(text: bytes, dialect: Dialect, most: int) -> int:
    """How many bytes of a text are whole lines of at most ``most`` columns, where it has no quotes; else 0."""
    size = text.rfind(b"\n") + 1
    if not size or not dialect.delimiter or (dialect.quote and dialect.quote in text):
        return 0
    columns = max(line.count(dialect.delimiter) for line in text[:size].split(b"\n"))
    return size if columns < most else 0


def _ordinary_records(dialect: Dialect, most: int) -> "re.Pattern[bytes] | None":
    """What matches records that end, of at most ``most`` columns, with the same ends that :func:`delimiters` finds;
    None where marks are written so that it might find others."""
    marks = [dialect.delimiter, dialect.quote, dialect.escape]
    if not dialect.delimiter:
        return re.compile(rb"(?:[^\n]*+\n)*")
    if dialect.delimiter == b" " or any(len(mark) > 1 for mark in marks):
        return None
    delimiter, quote, escape = map(re.escape, marks)
    rest = rb"[^%b\n]*+" % delimiter
    field = rest
    if quote:
        quoted = doubled_quotes(quote, b"") if escape == quote else _escaped_quotes(quote, escape)
        field = rb"(?: ?%b|(?! ?%b))%b" % (quoted, quote, rest)
    return re.compile(rb"(?:%b(?:%b%b){0,%d}\n)*" % (field, delimiter, field, most - 1))


def _escaped_quotes(quote: bytes, escape: bytes) -> bytes:
    plain = rb"[^%b%b]*+" % (quote, escape)
    return rb"%b%b(?:%b%b?+%b)*%b" % (quote, plain, escape, quote, plain, quote)


def _walk(file: InputFile, stream: BinaryIO, dialect: Dialect, most: int) -> None:
    """Over records line by line, from the beginning of one to the end of one that is at least ``_WALKED`` bytes on, or
    to that of the file."""
    size, columns, inside, first, walked = 0, 1, False, stream.tell(), 0
    for line in pieces(stream):
        size += len(line)
        walked += len(line)
        if size > LONGEST_RECORD:
            raise _refused(file, first, f"has more than {LONGEST_RECORD >> 20} MiB", " or close its quotes")
        if dialect.delimiter:
            found, inside = delimiters(line, dialect, inside)
            columns += found
            if columns > most:
                what = f"has more than {most} columns, {MOST_UNDECLARED} beyond the declared ones"
                raise _refused(file, first, what)
        if line.endswith(b"\n") and not inside:
            if walked >= _WALKED:
                return
            size, columns, first = 0, 1, first + size


def _refused(file: InputFile, at: int, what: str, remedy: str = "") -> BadFile:
    """Of a record that begins behind ``at`` bytes."""
    with file.path.open("rb") as stream:
        line = 1 + sum(line_feeds(stream.read(min(_WINDOW, at - start))) for start in range(0, at, _WINDOW))
    return BadFile(
        file.origin,
        Reason.LAYOUT,
        f"the record in line {file.delivered_line(line)} {what}, which is more than can be read; have it written in "
        f"several{remedy}",
    )
