"""Records of delimited text and the lines that they have. A line end within quotes is part of a value, so one stray
quote makes a single record, or a single reject, of all lines up to the next.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from adplatform.contracts.file_format import FileFormat

_WINDOW = 4 << 20


def line_feeds(text: bytes) -> int:
    """How many there are. ``count`` takes four times as long before Python 3.13, which compares each byte in a loop."""
    return len(text) - len(text.replace(b"\n", b""))


@dataclass(frozen=True)
class Dialect:
    """Of csv; of lines of JSON, which are records as they stand, delimiter and quote are empty."""

    delimiter: bytes
    quote: bytes
    escape: bytes
    """What makes a quote within quotes part of the text."""
    opening: "re.Pattern[bytes]"
    """A quote at the beginning of a field, or behind one blank there, as DuckDB takes it."""
    quotes: "re.Pattern[bytes]"
    """A quote within quotes, with what makes it part of the text."""
    skip: int
    """Lines before the first record."""

    @classmethod
    def of(cls, fmt: FileFormat) -> "Dialect":
        written = (fmt.delimiter, fmt.quote, fmt.escape or fmt.quote) if fmt.prepared == "csv" else ("", "", "")
        delimiter, quote, escape = (text.encode() for text in written)
        opening = rb"(?:^|%b) ?%b" % (re.escape(delimiter), re.escape(quote))
        quotes = rb"%b%b|%b" % (re.escape(escape), re.escape(quote), re.escape(quote))
        return cls(delimiter, quote, escape, re.compile(opening), re.compile(quotes), fmt.skip_lines)


def whole_lines(fmt: FileFormat) -> "re.Pattern[bytes]":
    """What text matches, if it begins outside of quotes, whose lines are certainly a record each; other text may be
    so, too."""
    quote, delimiter = (re.escape(text.encode()) for text in (fmt.quote, fmt.delimiter))
    if fmt.prepared != "csv" or not quote:
        return re.compile(rb"(?s).*+")
    if fmt.escape not in ("", fmt.quote) or len(fmt.delimiter.encode()) > 1 or len(fmt.quote.encode()) > 1:
        return re.compile(rb"[^%b]*+" % quote)
    field = rb"(?:%b|[^%b%b\n]*+)" % (doubled_quotes(quote, rb"\n"), quote, delimiter)
    line = rb"%b(?:%b%b)*" % (field, delimiter, field)
    return re.compile(rb"(?:%b\r?\n)*%b" % (line, line))


def doubled_quotes(quote: bytes, without: bytes) -> bytes:
    """The pattern of a text within quotes, of which those that are part of it are doubled, ``without`` some bytes.

    Python gets possessive groups, ``(?:...)*+``, wrong before 3.11.5 (python/cpython issue 106052), so what follows a
    closing quote says that it is none of two.
    """
    plain = rb"[^%b%b]*+" % (quote, without)
    return rb"%b%b(?:%b%b%b)*%b(?!%b)" % (quote, plain, quote, quote, plain, quote, quote)


def outside_quotes(text: bytes, quote: bytes) -> tuple[bytes, bytes]:
    """What of a text that begins outside of quotes is not within them, a quote in the place of what is; and what is
    behind one that is not closed, with it. A doubled quote ends quotes and begins others."""
    if not quote or quote not in text:
        return text, b""
    parts = text.split(quote)
    opened = quote + parts[-1] if len(parts) % 2 == 0 else b""
    return quote.join(parts[::2]) + (quote if opened else b""), opened


def opens_fields(outside: bytes, dialect: Dialect) -> bool:
    """Whether each quote, or run of them, of such a text stands at the beginning of a field."""
    single = _single(outside, dialect.quote)
    begun = single.count(dialect.delimiter + dialect.quote) + single.count(b"\n" + dialect.quote)
    return single.count(dialect.quote) == begun + single.startswith(dialect.quote)


def closes_fields(outside: bytes, dialect: Dialect) -> bool:
    """Whether each, but for one that opens the last field and does not close it, stands at the end of one."""
    single = _single(outside, dialect.quote)
    ended = (single.count(dialect.quote + end) for end in (dialect.delimiter, b"\n", b"\r\n"))
    return single.count(dialect.quote) == sum(ended) + single.endswith(dialect.quote)


def _single(outside: bytes, quote: bytes) -> bytes:
    """With one quote in the place of several."""
    while quote * 2 in outside:
        outside = outside.replace(quote * 2, quote)
    return outside


def pieces(stream: BinaryIO) -> Iterator[bytes]:
    """Lines, in pieces that fit in memory: one that does not end with a line end is not the last of its line."""
    return iter(lambda: stream.readline(_WINDOW), b"")


def delimiters(line: bytes, dialect: Dialect, inside: bool) -> tuple[int, bool]:
    """How many stand outside quotes, and whether the line ends within them; ``inside`` is whether it begins so."""
    if not dialect.quote or dialect.quote not in line:
        return (0, True) if inside else (line.count(dialect.delimiter), False)
    opening, quotes, found, at = dialect.opening, dialect.quotes, 0, 0
    while True:
        if inside:
            closed = next((each.end() for each in quotes.finditer(line, at) if each[0] == dialect.quote), None)
            if closed is None:
                return found, True
            inside, at = False, closed
        opened = opening.search(line, at)
        found += line.count(dialect.delimiter, at, opened.end() if opened else len(line))
        if opened is None:
            return found, False
        inside, at = True, opened.end()


def lines_from(stream: BinaryIO, dialect: Dialect, most: int) -> list[bytes]:
    """The lines of the record that begins where ``stream`` is, with their ends, at most ``most`` of them."""
    lines, inside = [b""], False
    for piece in pieces(stream):
        lines[-1] += piece
        _, inside = delimiters(piece, dialect, inside)
        if piece.endswith(b"\n"):
            if not inside or len(lines) == most:
                break
            lines.append(b"")
    return lines if lines[-1] else lines[:-1]


def longest_record(path: Path, dialect: Dialect, most: int) -> int | None:
    """The first line of the first record that has more than ``most`` lines, counted from 1; None where none has."""
    first, number, inside = 1, 1, False
    with path.open("rb") as stream:
        for piece in pieces(stream):
            if number > dialect.skip:
                _, inside = delimiters(piece, dialect, inside)
            if not piece.endswith(b"\n"):
                continue
            number += 1
            if not inside:
                first = number
            elif number - first >= most:
                return first
    return None


def empty_lines(path: Path, start: int, dialect: Dialect) -> int:
    """How many of the lines behind ``start`` bytes, where no quotes are open, hold nothing and are in no value."""
    found, inside = 0, False
    with path.open("rb") as stream:
        stream.seek(start)
        for line in pieces(stream):
            found += not inside and not line.strip(b"\r\n")
            _, inside = delimiters(line, dialect, inside)
    return found
