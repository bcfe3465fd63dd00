"""Records that could not be split into columns, with their place in the file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, BinaryIO

from adplatform.contracts.file_format import FileFormat
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile
from adplatform.files.record_lines import Dialect, line_feeds, lines_from
from adplatform.platform.late import Late
from adplatform.transform.joined import JoinedFile

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")

UNTERMINATED = "unterminated_quote"
_REASONS = {
    "MISSING COLUMNS": "column_count",
    "TOO MANY COLUMNS": "column_count",
    "UNQUOTED VALUE": UNTERMINATED,
    "LINE SIZE OVER MAXIMUM": "line_too_long",
    "INVALID ENCODING": "invalid_encoding",
}


SWALLOWED = "swallowed_line"
"""The reason of each line of a reject but its first: it is likely to be a record that a stray quote made part of it."""


@dataclass(frozen=True)
class Reject:
    """``file`` is the ordinal of the file; ``line`` counts from 1, ``byte_position`` from 0. A record of several lines
    is one reject, with all of its text, and one more for each line after its first."""

    file: int
    line: int
    byte_position: int
    reasons: tuple[str, ...]
    raw: str


def stored_rejects(
    con: "duckdb.DuckDBPyConnection", files: Iterable[InputFile], fmt: FileFormat, joined: Iterable[JoinedFile] = ()
) -> list[Reject]:
    """What the CSV scans of this connection rejected, by file and position.

    DuckDB keeps one row per error, and per scan; its files are the links of :func:`adplatform.transform.readers.link`.

    Raises:
        BadFile: a record has more lines than the format allows; names its first.
    """
    by_file = _stored(con, joined)
    of = {file.ordinal: file for file in files}
    return [reject for ordinal in sorted(of.keys() & by_file) for reject in _placed(of[ordinal], by_file[ordinal], fmt)]


def with_broken_quotes(con: "duckdb.DuckDBPyConnection", joined: Iterable[JoinedFile]) -> set[int]:
    """The files, by ordinal, with a record of which DuckDB does not know where it ends: near it rows are lost, or made
    of parts of several, without a word."""
    if not con.execute("select 1 from duckdb_tables() where table_name = 'reject_errors'").fetchall():
        return set()
    found = _stored(con, joined).items()
    return {ordinal for ordinal, entries in found if any("UNQUOTED VALUE" in errors for *_, errors in entries)}


def _stored(
    con: "duckdb.DuckDBPyConnection", joined: Iterable[JoinedFile]
) -> dict[int, list[tuple[int, str, list[str]]]]:
    """Of each file, by ordinal, where records begin, their texts, and what is wrong with each, in order."""
    found = con.execute(
        "select cast(parse_filename(file_path) as integer) as file, line_byte_position - 1 as position,"
        " coalesce(any_value(csv_line), ''), list(distinct error_type) from reject_errors"
        " join (select distinct scan_id, file_id, file_path from reject_scans) using (scan_id, file_id)"
        " group by file, position order by file, position"
    ).fetchall()
    by_file: dict[int, list[tuple[int, str, list[str]]]] = {}
    for ordinal, position, text, errors in found:
        by_file.setdefault(ordinal, []).append((position, text, errors))
    for each in joined:
        entries = by_file.pop(each.file.ordinal, [])
        written = each.as_written((position, text) for position, text, _ in entries)
        for (ordinal, position, text), (_, _, errors) in zip(written, entries, strict=True):
            by_file.setdefault(ordinal, []).append((position, text, errors))
    return by_file


def _placed(file: InputFile, entries: list[tuple[int, str, list[str]]], fmt: FileFormat) -> Iterator[Reject]:
    """Give each record its physical line, and its lines: DuckDB counts records, starts one at the blank lines before
    it, and cuts the text of a long one."""
    line, at, dialect = 1, 0, Dialect.of(fmt)
    ends = [position for position, _, _ in entries[1:]]
    with file.path.open("rb") as stream:
        for (position, text, errors), end in zip_longest(entries, ends):
            body = text.lstrip("\r\n")
            start = position + len(text) - len(body)
            line += _line_ends(stream, start - at)
            at = start
            has_quotes = bool(dialect.quote) and fmt.quote in body
            lines = lines_from(stream, dialect, fmt.max_record_lines + 1) if has_quotes else [stream.readline()]
            # Quotes with blanks between them are one to DuckDB.
            lines += [stream.readline() for _ in range(body.rstrip("\r\n").count("\n") + 1 - len(lines))]
            if len(lines) > fmt.max_record_lines:
                raise too_many_lines(file.origin, file.delivered_line(line), fmt)
            yield _reject(file, line, start, _reasons(errors), shown(b"".join(lines)).rstrip("\r\n"))
            yield from _swallowed(file, line, start, lines, end)
            stream.seek(start)


def _swallowed(file: InputFile, line: int, at: int, lines: list[bytes], end: int | None) -> Iterator[Reject]:
    """The lines after the first of a record, which is in ``line`` and begins ``at`` that place; another reject begins
    at ``end``."""
    for number, (before, text) in enumerate(pairwise(lines), start=line + 1):
        at += len(before)
        if end is None or at < end:
            raw = text.decode("utf-8", "replace").rstrip("\r\n")
            yield _reject(file, number, at, (SWALLOWED,), raw)


def shown(written: bytes) -> str:
    """Text with a question mark for each byte that is not UTF-8."""
    shown, at = [], 0
    while True:
        try:
            shown.append(written[at:].decode())
        except UnicodeDecodeError as e:
            shown += [written[at : at + e.start].decode(), "?" * (e.end - e.start)]
            at += e.end
        else:
            return "".join(shown)


def _reject(file: InputFile, line: int, at: int, reasons: tuple[str, ...], raw: str) -> Reject:
    """With the place that the record has in the file as it was delivered."""
    return Reject(file.ordinal, file.delivered_line(line), file.delivered_at(line, at), reasons, raw)


def too_many_lines(origin: str, line: int | None, fmt: FileFormat) -> BadFile:
    """The refusal of a file with a record that goes on for too long, in ``line`` if that is known."""
    return BadFile(
        origin,
        Reason.LAYOUT,
        f"{f'the record in line {line}' if line else 'a record'} has more than {fmt.max_record_lines} lines, as when a "
        "quote is missing or stray: have quotes within values doubled, or raise format.max_record_lines",
    )


def _reasons(errors: list[str]) -> tuple[str, ...]:
    """Broken quoting or encoding also moves the columns, so the column count then says nothing."""
    reasons = {_REASONS.get(error, "column_count") for error in errors}
    return tuple(sorted(reasons - {"column_count"})) or ("column_count",)


def _line_ends(stream: BinaryIO, size: int) -> int:
    count = 0
    while size > 0 and (chunk := stream.read(min(size, 1 << 20))):
        count += line_feeds(chunk)
        size -= len(chunk)
    return count
