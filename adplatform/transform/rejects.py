"""Records that could not be split into columns, with their place in the file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from adplatform.files.input_file import InputFile
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")

_REASONS = {
    "MISSING COLUMNS": "column_count",
    "TOO MANY COLUMNS": "column_count",
    "UNQUOTED VALUE": "unterminated_quote",
    "LINE SIZE OVER MAXIMUM": "line_too_long",
    "INVALID ENCODING": "invalid_encoding",
}


@dataclass(frozen=True)
class Reject:
    """``file`` is the ordinal of the file; ``line`` counts from 1, ``byte_position`` from 0."""

    file: int
    line: int
    byte_position: int
    reasons: tuple[str, ...]
    raw: str


def stored_rejects(con: "duckdb.DuckDBPyConnection", files: Iterable[InputFile]) -> list[Reject]:
    """What the CSV scans of this connection rejected, one per record, by file and position.

    DuckDB keeps one row per error, and per scan; its files are the links of :func:`adplatform.transform.readers.link`.
    """
    found = con.execute(
        "select cast(parse_filename(file_path) as integer) as file, line_byte_position - 1 as position,"
        " any_value(csv_line), list(distinct error_type) from reject_errors"
        " join (select distinct scan_id, file_id, file_path from reject_scans) using (scan_id, file_id)"
        " group by file, position order by file, position"
    ).fetchall()
    by_file: dict[int, list[tuple[int, str, list[str]]]] = {}
    for ordinal, position, text, errors in found:
        by_file.setdefault(ordinal, []).append((position, text or "", errors))
    paths = {file.ordinal: file.path for file in files}
    return [reject for ordinal, entries in by_file.items() for reject in _placed(ordinal, paths[ordinal], entries)]


def _placed(ordinal: int, path: Path, entries: list[tuple[int, str, list[str]]]) -> Iterator[Reject]:
    """Give each record its physical line: DuckDB counts records, and starts one at the blank lines before it."""
    line, at = 1, 0
    with path.open("rb") as stream:
        for position, text, errors in entries:
            body = text.lstrip("\r\n")
            start = position + len(text) - len(body)
            line += _line_ends(stream, start - at)
            at = start
            yield Reject(ordinal, line, start, _reasons(errors), body.rstrip("\r\n"))


def _reasons(errors: list[str]) -> tuple[str, ...]:
    """Broken quoting or encoding also moves the columns, so the column count then says nothing."""
    reasons = {_REASONS.get(error, "column_count") for error in errors}
    return tuple(sorted(reasons - {"column_count"})) or ("column_count",)


def _line_ends(stream: BinaryIO, size: int) -> int:
    count = 0
    while size > 0 and (chunk := stream.read(min(size, 1 << 20))):
        count += chunk.count(b"\n")
        size -= len(chunk)
    return count
