"""DuckDB readers: the files of a delivery as one relation ``raw`` of text columns.

Nothing is sniffed: columns, dialect and header come from the contract, so a reader cannot guess differently tomorrow.
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.column import Column
from adplatform.contracts.file_format import USUAL_RECORD, FileFormat
from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile, surveyed
from adplatform.files.record_lines import Dialect
from adplatform.platform.late import Late
from adplatform.transform.compile import no_text
from adplatform.transform.joined import Joined, JoinedFile, join_small_files
from adplatform.transform.layouts import UNNAMED, Accepted, Layout, accept_delimited, empty_texts
from adplatform.transform.one_line_end import with_one_line_end
from adplatform.transform.padding import pad_rows
from adplatform.transform.record_places import Asked, lines_of_records, of_rejects
from adplatform.transform.rejects import Reject, stored_rejects
from adplatform.transform.rules import identifier, literal
from adplatform.transform.split_files import SplitFile, fields_of, split_file

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")


_USUAL_BUFFER = 32_000_000
"""Bytes, where a record may have the usual size."""
_LARGEST_BUFFER = 64_000_000
_ROW_GROUP_ROWS = 130_000
"""A little more than the 122,880 of a row group of DuckDB's tables."""


def no_lines(file: InputFile, asked: Asked, rejects: Sequence[Reject]) -> "array[int]":
    """Of a file whose rows are in no line."""
    return array("q", bytes(8 * len(asked.wanted)))


def nothing_anew(files: Collection[int]) -> Mapping[int, int]:
    """Of a way to read that needs no other."""
    return {}


@dataclass(frozen=True)
class Reading:
    """``raw`` is defined, as scans of ``scanned``; ``rejects`` lists what is in the files but not in ``raw``, once that
    has been read. ``anew`` makes ``raw`` that of some files alone, given by their ordinals, read in a way that loses
    nothing, and has the line ends within their values; ``rejects`` has theirs then. ``lines``, given the rejects, says
    in which lines of a file some of its rows begin, 0 where it is in none or not certain. ``of_bytes`` are the columns
    that ``raw`` says of whether a value is no text."""

    accepted: Accepted
    scanned: Joined
    rejects: Callable[[], list[Reject]]
    lines: Callable[[InputFile, Asked, Sequence[Reject]], "array[int]"] = no_lines
    of_bytes: frozenset[str] = frozenset()
    anew: Callable[[Collection[int]], Mapping[int, int]] = nothing_anew


def read_delimited(
    con: "duckdb.DuckDBPyConnection",
    contract: Contract,
    files: Sequence[InputFile],
    links: Path,
    reserved: Iterable[str] = (),
) -> Reading:
    """``raw`` over CSV files.

    Raises:
        PermanentFailure: a header that breaks the contract.
    """
    alike = with_one_line_end(contract.format, files, links)
    accepted = accept_delimited(contract, alike.instead(files), reserved)
    padded = pad_rows(contract.format, accepted.layouts, links)
    layouts = [replace(layout, files=padded.instead(layout.files)) for layout in accepted.layouts]
    fmt = contract.format
    joined = join_small_files(layouts, Dialect.of(fmt), links, header=fmt.has_header, longest=fmt.max_record)
    scans = [
        *(_joined_scan(accepted.contract, each, links) for each in joined.files),
        *(_csv_scan(accepted.contract, layout, links) for layout in joined.layouts),
    ]
    define_raw(con, accepted.contract, scans)
    again: dict[int, SplitFile] = {}

    def anew(ordinals: Collection[int]) -> Mapping[int, int]:
        for layout in accepted.layouts:
            for file in layout.files:
                if file.ordinal in ordinals:
                    [delivered] = (each for each in files if each.ordinal == file.ordinal)
                    again[file.ordinal] = split_file(file, delivered, contract.format, layout, links)
        split = {ordinal: again[ordinal] for ordinal in ordinals}
        define_raw(con, accepted.contract, [_split_scan(accepted.contract, each) for each in split.values()])
        return {ordinal: each.breaks for ordinal, each in split.items()}

    def rejects() -> list[Reject]:
        copies = [file for file in alike.instead(files) if file.ordinal not in again]
        found = padded.as_written(stored_rejects(con, padded.instead(copies), contract.format, joined.files))
        return alike.as_written([*found, *(reject for each in again.values() for reject in each.rejects)])

    def lines(file: InputFile, asked: Asked, rejects: Sequence[Reject]) -> "array[int]":
        if file.ordinal in again:
            return again[file.ordinal].lines(asked.wanted)
        [read] = alike.instead([file])
        single = any(len(layout.columns) == 1 and read in layout.files for layout in accepted.layouts)
        own = [reject for reject in rejects if reject.file == file.ordinal]
        return lines_of_records(file, fmt, asked, of_rejects(own, empty_are_records=single))

    return Reading(accepted, joined, rejects if layouts else list, lines, anew=anew)


def define_raw(
    con: "duckdb.DuckDBPyConnection", contract: Contract, scans: Sequence[str], of_bytes: Iterable[str] = ()
) -> None:
    texts = [f"null::varchar as {identifier(c.name)}" for c in contract.read_columns]
    columns = ", ".join((*texts, *(f"null::boolean as {identifier(no_text(name))}" for name in of_bytes)))
    nothing = f"select {columns}, 0 as _file where false"
    con.execute(f"create or replace temp view raw as {' union all by name '.join(scans) or nothing}")


def csv_options(**options: str) -> str:
    """Options every CSV scan shares: no sniffing, unquoted emptiness is NULL, bad records are kept aside.

    ``new_line`` is not among them: given a wrong one, DuckDB 2.0 reads nothing and reports nothing.
    """
    fixed = {
        "auto_detect": "false",
        "nullstr": "''",
        "allow_quoted_nulls": "false",
        "store_rejects": "true",
        "rejects_limit": "0",
    }
    return ", ".join(f"{name}={value}" for name, value in (fixed | options).items())


def record_size(file_format: FileFormat) -> dict[str, str]:
    """The option for how long a record may be; none where it is as long as DuckDB takes anyhow."""
    return {} if file_format.max_record == USUAL_RECORD else {"max_line_size": str(file_format.max_record)}


def _buffer_size(layout: Layout, file_format: FileFormat) -> dict[str, str]:
    """The option for how much of a file is read at once. DuckDB keeps the order of rows by copying all that come from
    buffers with fewer than one of its row groups has; of files smaller than a buffer, and of long rows, it does."""
    size = sum(file.path.stat().st_size for file in layout.files)
    lines = sum(surveyed(file, file_format).lines for file in layout.files)
    enough = size * _ROW_GROUP_ROWS // max(lines, 1)
    fits = _USUAL_BUFFER < enough <= _LARGEST_BUFFER and size > _USUAL_BUFFER * len(layout.files)
    return {"buffer_size": str(enough)} if fits and file_format.max_record == USUAL_RECORD else {}


def scanned_files(files: Sequence[InputFile], links: Path) -> tuple[str, str]:
    """The files as a SQL list of paths, and the SQL that gives the ordinal of the file a row came from."""
    paths = ", ".join(literal(str(link(links, file))) for file in files)
    ordinals = ", ".join(str(file.ordinal) for file in files)
    return f"[{paths}]", f"[{ordinals}][cast(file_index as bigint) + 1]"


def link(links: Path, file: InputFile) -> Path:
    """A path to the file that is free of glob characters and tells which file it is."""
    path = links / str(file.ordinal)
    if not path.is_symlink():
        links.mkdir(parents=True, exist_ok=True)
        path.symlink_to(file.path.absolute())
    return path


def _csv_scan(contract: Contract, layout: Layout, links: Path) -> str:
    fmt = contract.format
    paths, ordinal = scanned_files(layout.files, links)
    options = {"header": str(fmt.has_header).lower(), "skip": str(layout.lines.skip)}
    if layout.lines.newline:
        options["new_line"] = literal(layout.lines.newline.encode("unicode_escape").decode())
    return _scan(contract, layout, _read_csv(fmt, layout, paths, {}, **options), f", {ordinal} as _file")


def _joined_scan(contract: Contract, joined: JoinedFile, links: Path) -> str:
    paths, _ = scanned_files(joined.layout.files, links)
    return _scan(
        contract, joined.layout, _read_csv(contract.format, joined.layout, paths, {"_file": "INTEGER"}, header="false")
    )


def _read_csv(fmt: FileFormat, layout: Layout, paths: str, first: dict[str, str], **options: str) -> str:
    """The table function that reads files of a layout, in whose rows the fields ``first`` stand before others."""
    types = first | dict.fromkeys(fields_of(layout), "VARCHAR")
    options |= {
        "columns": "{" + ", ".join(f"{literal(name)}: '{kind}'" for name, kind in types.items()) + "}",
        "delim": literal(fmt.delimiter),
        "quote": literal(fmt.quote),
        "escape": literal(fmt.escape if fmt.quote else ""),
    }
    return f"read_csv({paths}, {csv_options(**options, **record_size(fmt), **_buffer_size(layout, fmt))})"


def _split_scan(contract: Contract, split: SplitFile) -> str:
    fields = ", ".join(f"c{place} as {identifier(name)}" for place, name in enumerate(fields_of(split.layout)))
    rows = f"(select {fields} from read_parquet({literal(str(split.rows))}))"
    return _scan(contract, split.layout, rows, f", {split.file.ordinal} as _file")


def _scan(contract: Contract, layout: Layout, relation: str, file: str = "") -> str:
    """The columns of the contract, of a relation with the fields of a layout, and those of ``file``, if it has no such
    column yet."""
    unnamed = fields_of(layout)[len(layout.columns) :]
    lacking = [c for c in contract.read_columns if c.name not in layout.columns and not (c.name == UNNAMED and unnamed)]
    added = "".join(f", {absent(column)} as {identifier(column.name)}" for column in lacking)
    texts = [
        f"coalesce({identifier(name)}, '') as {identifier(name)}" for name in empty_texts(contract, layout.columns)
    ]
    own = "*"
    if unnamed:
        own += f" exclude ({', '.join(map(identifier, unnamed))})"
        added += f", concat({', '.join(map(identifier, unnamed))}) as {identifier(UNNAMED)}"
    if texts:
        own += f" replace ({', '.join(texts)})"
    return f"select {own}{added}{file} from {relation}"


def absent(column: Column) -> str:
    """The text of a column that a file lacks."""
    return f"{'null' if column.default is None else literal(column.default)}::varchar"
