"""Files of which some records end with a line feed and others with a carriage return before it, as where files of two
systems are put together: read from a copy in which all end with a line feed.

DuckDB takes the end of the first line for that of all: it stops at another, rejects its record or makes one of two.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from adplatform.contracts.file_format import FileFormat
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile, surveyed
from adplatform.files.record_lines import Dialect, delimiters, opens_fields, outside_quotes
from adplatform.transform.copies import Copies

_BLOCK = 1 << 20
_LONGEST = 4 << 20
"""Bytes of an open quote behind which lines are looked at one by one."""


def with_one_line_end(fmt: FileFormat, files: Iterable[InputFile], directory: Path) -> Copies:
    """Copy files whose records do not all end alike to ``directory``. Line ends within quotes are no ends of records,
    and stay."""
    copied = {}
    for file in files:
        if surveyed(file, fmt).mixed and _may_differ(file.path, fmt):
            directory.mkdir(parents=True, exist_ok=True)
            target = directory / f"{file.ordinal}-one-end"
            if _copy(file.path, target, fmt):
                copied[file.ordinal] = file, replace(file, path=target)
            else:
                target.unlink()
    return Copies(copied)


def stray_return(file: InputFile, fmt: FileFormat) -> BadFile:
    """The refusal of a file in which a carriage return stands outside of quotes."""
    line = _stray_return(file, fmt)
    return BadFile(
        file.origin,
        Reason.LAYOUT,
        f"a carriage return stands outside quotes{f' in line {line}' if line else ''} and no line feed behind it, so "
        "nobody knows whether a record ends there; ask for the value in quotes, or without it",
    )


def _stray_return(file: InputFile, fmt: FileFormat) -> int | None:
    """The first line, as the delivered file counts them, with a carriage return that neither ends it nor is within
    quotes; None where there is none."""
    dialect, inside = Dialect.of(fmt), False
    with file.path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            begun = inside
            _, inside = delimiters(line, dialect, inside)
            body = line.removesuffix(b"\n").removesuffix(b"\r")
            if not begun and not inside and b"\r" in outside_quotes(body, dialect.quote)[0]:
                return file.delivered_line(number)
    return None


def _may_differ(path: Path, fmt: FileFormat) -> bool:
    """Whether line ends outside of quotes differ, or quotes stand where they are more than that: a glance that is cheap
    for texts with line ends in their values, whose records mostly end alike."""
    dialect = Dialect.of(fmt)
    if not dialect.quote or fmt.escape not in ("", fmt.quote):
        return True
    held = b""
    with path.open("rb") as stream:
        ends = {_end(line) for line in islice(stream, dialect.skip)}
        while block := _lines(stream):
            outside, held = outside_quotes(held + block, dialect.quote)
            feeds, returns = outside.count(b"\n"), outside.count(b"\r\n")
            ends |= {end for end, found in ((b"\n", feeds > returns), (b"\r\n", returns > 0)) if found}
            if len(ends) > 1 or len(held) > _LONGEST or not opens_fields(outside, dialect):
                return True
    return bool(held)


def _lines(stream: BinaryIO) -> bytes:
    block = stream.read(_BLOCK)
    return block + stream.readline() if block else b""


def _copy(path: Path, target: Path, fmt: FileFormat) -> bool:
    """Whether any end is another in the copy than in the file, while others are as they were."""
    dialect, inside, ends = Dialect.of(fmt), False, set[bytes]()
    with path.open("rb") as source, target.open("wb") as out:
        for number, line in enumerate(source):
            if number >= dialect.skip:
                _, inside = delimiters(line, dialect, inside)
            if not inside:
                ends.add(_end(line))
            out.write(line if inside or not line.endswith(b"\r\n") else line[:-2] + b"\n")
    return {b"\n", b"\r\n"} <= ends


def _end(line: bytes) -> bytes:
    return b"\r\n" if line.endswith(b"\r\n") else line[-1:]
