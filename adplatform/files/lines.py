"""What each line of a csv file is: a record, or one of those that a feed leaves out on purpose.

Titles, footers and Excel's ``sep=`` know no quotes. Behind the header a line that begins within quotes is part of a
value, whatever it looks like.
"""

import io
import re
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from enum import Enum, auto
from itertools import chain, islice

from adplatform.contracts.file_format import FileFormat, LineStart
from adplatform.failures import listed
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.record_lines import Dialect, delimiters, whole_lines

MARK = "\ufeff".encode()
_LONGEST = 16 << 20
"""Bytes of one line, and of those that are held until it is known whether they are a footer."""
_OVERHEAD = 100
"""Bytes that a line takes in memory beside its own."""
_NEAR, _AROUND = 1000, ' \t"\ufeff\xa0'
"""So much of a line is looked at, without these before it, for whether it was meant as the header."""
_SEPARATOR = re.compile(r'("?)sep=([^\w"]{1,4})\1', re.IGNORECASE)


class Place(Enum):
    """What a line is. ``SKIPPED`` are those of ``skip_lines``, for whoever reads the file to skip; ``TOTALS`` is the
    line with whose text a footer begins."""

    SKIPPED = auto()
    SEPARATOR = auto()
    PREAMBLE = auto()
    HEADER = auto()
    REPEATED = auto()
    COMMENT = auto()
    RECORD = auto()
    TOTALS = auto()
    FOOTER = auto()


LEFT_OUT = frozenset(Place) - {Place.SKIPPED, Place.HEADER, Place.RECORD}
Placed = tuple[Place, bytes]


def lines_of(chunks: Iterable[bytes], origin: str) -> Iterator[bytes]:
    """The lines of a text, with their ends.

    Raises:
        BadFile: one is longer than can be held.
    """
    rest, number = b"", 1
    for chunk in chunks:
        lines = io.BytesIO(rest + chunk).readlines()
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        yield from lines
        number += len(lines)
        if len(rest) > _LONGEST:
            what = f"line {number} has more than {_LONGEST >> 20} MiB, which is more than can be read"
            raise BadFile(origin, Reason.LAYOUT, f"{what}; have it written in several, with line ends")
    if rest:
        yield rest


def is_empty(line: bytes) -> bool:
    return not line.strip(b"\r\n")


def separator(line: bytes) -> str | None:
    """What stands between fields by the line ``sep=`` with which files for Excel may begin; None for any other line."""
    found = _SEPARATOR.fullmatch(line.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n"))
    return found[2] if found else None


def footer_starts(fmt: FileFormat) -> tuple[bytes, ...]:
    """With what lines begin that may be the first of a footer; empty where none is looked for by its text."""
    footer = fmt.skip_footer
    return _beginnings(footer.starts_with, fmt.quote.encode()) if isinstance(footer, LineStart) else ()


def placed(lines: Iterable[bytes], fmt: FileFormat, origin: str) -> Iterator[Placed]:
    """Each line with what it is; a header of several lines, and its repetition, as one.

    Raises:
        BadFile: there is no line that could be the header, or fewer lines than the footer has.
    """
    rest, above = iter(lines), fmt.skip_lines
    for line in islice(rest, fmt.skip_lines):
        yield Place.SKIPPED, line
    first = None if fmt.skip_lines else next(rest, None)
    if first is not None and separator(first) is not None:
        above = 1
        yield Place.SEPARATOR, first
    elif first is not None:
        rest = chain([first], rest)
    body = _table(rest, fmt, above, origin)
    yield from _without_last(body, fmt.skip_footer, origin) if isinstance(fmt.skip_footer, int) else body


def require_same(line: bytes, fmt: FileFormat, origin: str) -> None:
    """
    Raises:
        BadFile: the line ``sep=`` names another delimiter than the feed.
    """
    if (found := separator(line)) != fmt.delimiter:
        why = f"begins with Excel's line sep={found}, and the feed says {fmt.delimiter!r}"
        raise BadFile(origin, Reason.LAYOUT, f"{why}; set format.delimiter: {found!r}, or have it written as declared")


def _table(lines: Iterator[bytes], fmt: FileFormat, above: int, origin: str) -> Iterator[Placed]:
    """``above`` is how many lines came before."""
    comment = _beginnings(fmt.comment)
    if isinstance(fmt.header, LineStart):
        first = yield from _up_to_header(lines, fmt.header, fmt.quote.encode(), comment, above, origin)
        lines = chain([first], lines) if first else lines
    names = (yield from _header(lines, fmt, comment)) if fmt.has_header else []
    again = _beginnings((_text(names[0]).decode("utf-8", "surrogateescape"),)) if names else ()
    yield from _body(lines, fmt, comment, names, again if fmt.repeated_header == "leave_out" else ())


def _header(
    lines: Iterator[bytes], fmt: FileFormat, comment: tuple[bytes, ...]
) -> Generator[Placed, None, list[bytes]]:
    """The lines of the first record that is no comment; one whose quotes stay open ends where no record goes on."""
    dialect, names, inside = Dialect.of(fmt), list[bytes](), False
    for line in lines:
        if not names and comment and line.startswith(comment):
            yield Place.COMMENT, line
        elif not names and is_empty(line):
            yield Place.RECORD, line
        else:
            names.append(line)
            _, inside = delimiters(line, dialect, inside)
            if not inside or len(names) == fmt.max_record_lines:
                break
    if names:
        yield Place.HEADER, b"".join(names)
    return names


def _body(
    lines: Iterator[bytes], fmt: FileFormat, comment: tuple[bytes, ...], names: list[bytes], again: tuple[bytes, ...]
) -> Iterator[Placed]:
    """What is behind the header, of which the lines are ``names``; ``again`` is with what its repetition begins."""
    dialect, ends_outside = Dialect.of(fmt), whole_lines(fmt).fullmatch
    quote = dialect.quote
    footer = footer_starts(fmt)
    if not (comment or footer or again):
        yield from ((Place.RECORD, line) for line in lines)
        return
    inside = False
    held: list[bytes] = []
    for line in lines:
        begins = not inside and not held
        if begins and comment and line.startswith(comment):
            yield Place.COMMENT, line
            continue
        if begins and footer and line.startswith(footer):
            yield Place.TOTALS, line
            yield from ((Place.FOOTER, each) for each in lines)
            return
        if quote and (inside or (quote in line and not ends_outside(line))):
            _, inside = delimiters(line, dialect, inside)
        if not held and not (begins and again and line.startswith(again)):
            yield Place.RECORD, line
            continue
        held.append(line)
        same = _text(line) == _text(names[len(held) - 1])
        if same and len(held) < len(names):
            continue
        yield from [(Place.REPEATED, b"".join(held))] if same else ((Place.RECORD, each) for each in held)
        held = []
    yield from ((Place.RECORD, each) for each in held)


def _beginnings(texts: Iterable[str], quote: bytes = b"") -> tuple[bytes, ...]:
    """With what a line begins that begins so: also behind a byte order mark, and in quotes."""
    found = [text.encode("utf-8", "surrogateescape") for text in texts]
    return tuple(mark + opening + text for text in found for opening in {b"", quote} for mark in (b"", MARK))


def _text(line: bytes) -> bytes:
    return line.rstrip(b"\r\n").removeprefix(MARK)


def _up_to_header(
    lines: Iterator[bytes], start: LineStart, quote: bytes, comment: tuple[bytes, ...], above: int, origin: str
) -> Generator[Placed, None, bytes | None]:
    """The first line of the header; None where there are none but empty lines."""
    wanted, near = _beginnings(start.starts_with, quote), tuple(text.lower() for text in start.starts_with)
    number, nearest, filled = above, 0, False
    for number, line in enumerate(lines, above + 1):
        if comment and line.startswith(comment):
            yield Place.COMMENT, line
            continue
        if line.startswith(wanted):
            return line
        yield Place.PREAMBLE, line
        filled = filled or not is_empty(line)
        if not nearest and line[:_NEAR].decode("utf-8", "replace").lstrip(_AROUND).lower().startswith(near):
            nearest = number
    if not filled:
        return None
    wanted_ones = listed(map(repr, start.starts_with), separator=" or ")
    why = f"none of its lines, which are {number}, begins with {wanted_ones} (header.starts_with)"
    if nearest:
        why += f", but line {nearest} would without blanks before it, in other upper and lower case"
    raise BadFile(origin, Reason.LAYOUT, f"has no header: {why}; correct header.starts_with, or ask for the whole file")


def _without_last(places: Iterable[Placed], most: int, origin: str) -> Iterator[Placed]:
    """The last lines that are not empty as a footer, as many as ``most``."""
    held: deque[Placed] = deque()
    size = filled = 0
    any_line = False
    for place, line in places:
        any_line = any_line or not is_empty(line)
        if not most or (place is not Place.RECORD and not held):
            yield place, line
            continue
        held.append((place, line))
        size += len(line) + _OVERHEAD
        filled += _counts(place, line)
        while filled > most:
            before = held.popleft()
            size -= len(before[1]) + _OVERHEAD
            filled -= _counts(*before)
            yield before
        if size > _LONGEST:
            why = f"the last {most} lines, which skip_footer leaves out, have more than {_LONGEST >> 20} MiB with what"
            raise BadFile(origin, Reason.LAYOUT, f"{why} stands between them, which is more than can be read")
    if any_line and filled < most:
        why = f"has fewer lines behind its header than the last ones that skip_footer leaves out ({filled} of {most})"
        raise BadFile(origin, Reason.LAYOUT, f"{why}; ask for the whole file, or correct skip_footer")
    yield from ((Place.FOOTER if place is Place.RECORD else place, line) for place, line in held)


def _counts(place: Place, line: bytes) -> bool:
    return place is Place.RECORD and not is_empty(line)
