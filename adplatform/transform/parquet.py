"""Parquet on DuckDB: every value as the text that the contract's rules read back without loss."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.column import Column
from adplatform.contracts.model import Contract
from adplatform.failures import clipped
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import batches_of, opened, row_groups
from adplatform.transform.bytes_as_text import decoded, has_no_text, holds_bytes
from adplatform.transform.compile import no_text
from adplatform.transform.joined import Joined
from adplatform.transform.layouts import Lines, accept
from adplatform.transform.readers import Reading, absent, define_raw, link
from adplatform.transform.rules import identifier, literal, sql_type

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq
    from duckdb.sqltypes import DuckDBPyType
else:
    duckdb = Late("duckdb")
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_NESTED = ("STRUCT", "MAP", "UNION")
_FRACTIONS = ("FLOAT", "DOUBLE", "DECIMAL")
_AT = re.compile(r"string index (\d+)")
_DIGITS = 38
"""Of the widest decimal that DuckDB has."""


@dataclass(frozen=True)
class _Field:
    """A column: what the file calls it, what DuckDB calls it, which renames what differs in case only, and its type.
    One that is ``spelled`` has decimals as text."""

    header: str
    name: str
    type: "DuckDBPyType"
    spelled: bool = False

    @property
    def kind(self) -> str:
        return str(self.type)


def read_parquet(
    con: "duckdb.DuckDBPyConnection",
    contract: Contract,
    files: Sequence[InputFile],
    links: Path,
    reserved: Iterable[str] = (),
) -> Reading:
    """``raw`` over Parquet files. There are no rejects: a file either reads or is damaged.

    Raises:
        PermanentFailure: a damaged file, or columns that break the contract.
    """
    exact = [_exact(con, file, links) for file in files]
    files = [file for file, _ in exact]
    fields = {file.ordinal: _fields(con, file, links, spelled) for file, spelled in exact}
    headers = [(file, tuple(field.header for field in fields[file.ordinal]), Lines()) for file in files]

    def types(file: InputFile) -> dict[str, str]:
        return {field.header: _declarable(field) for field in fields[file.ordinal]}

    accepted = accept(contract, headers, reserved, types)
    columns = {file: layout.columns for layout in accepted.layouts for file in layout.files}
    scans, of_bytes = [], dict[str, None]()
    for file in sorted(columns, key=lambda f: f.ordinal):
        found = dict(zip(columns[file], fields[file.ordinal], strict=True))
        values = [
            f"{_text(c, found[c.name]) if c.name in found else absent(c)} as {identifier(c.name)}"
            for c in accepted.contract.read_columns
        ]
        for name, each in found.items():
            if accepted.contract.column(name).bytes == "text" and holds_bytes(each.type):
                values.append(f"{has_no_text(identifier(each.name), each.type)} as {identifier(no_text(name))}")
                of_bytes[name] = None
        scans.append(f"select {', '.join(values)}, {file.ordinal} as _file from {_scan(file, links)}")
    define_raw(con, accepted.contract, scans, of_bytes)
    return Reading(accepted, Joined(layouts=accepted.layouts), list, of_bytes=frozenset(of_bytes))


_DECLARABLE = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT"), "int"),
    **dict.fromkeys(("BIGINT", "UINTEGER"), "bigint"),
    **dict.fromkeys(("UBIGINT", "HUGEINT"), "decimal(38,0)"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "double"),
    "BOOLEAN": "boolean",
    "DATE": "date",
    "VARCHAR": "string",
}


def _declarable(field: _Field) -> str:
    """The type of a column as a contract declares it; text for what no contract has."""
    if field.kind.startswith("DECIMAL"):
        return field.kind.lower()
    return "timestamp" if field.kind.startswith("TIMESTAMP") else _DECLARABLE.get(field.kind, "string")


def _scan(file: InputFile, links: Path) -> str:
    return f"read_parquet({literal(str(link(links, file)))}, hive_partitioning=false)"


def _exact(con: "duckdb.DuckDBPyConnection", file: InputFile, links: Path) -> tuple[InputFile, list[bool]]:
    """The file, or where it has decimals of more than 38 digits, which DuckDB makes doubles of, a copy of it with text
    in their place; and of such a copy which columns these are."""
    if not any(precision and precision > _DIGITS for *_, precision in _schema(con, file, links)):
        return file, []
    link(links, file).unlink()
    target = links / f"{file.ordinal}-exact"
    try:
        with opened(file.path, coerce_int96_timestamp_unit="us") as source:
            declared = source.schema_arrow
            if deep := [field.name for field in declared if _has_wide(field.type) and field.type.num_fields]:
                raise BadFile(
                    file.origin,
                    Reason.LAYOUT,
                    f"column {clipped(deep[0], 100)!r} has decimals of more than 38 digits within its values, which "
                    "cannot be read exactly; have them written as text",
                )
            wide = [_has_wide(kind) for kind in declared.types]
            fields = [pa.field(f.name, pa.string()) if w else f for f, w in zip(declared, wide, strict=True)]
            with pq.ParquetWriter(target, pa.schema(fields)) as sink:
                for group in row_groups(_with_text(batch, wide, sink.schema) for batch in batches_of(source)):
                    sink.write_table(group)
    except pa.ArrowException as e:
        raise _unreadable(file) from e
    return replace(file, path=target), wide


def _with_text(batch: "pa.RecordBatch", wide: Sequence[bool], schema: "pa.Schema") -> "pa.RecordBatch":
    columns = [_spelled(c) if w else c for c, w in zip(batch.columns, wide, strict=True)]
    return pa.record_batch(columns, schema=schema)


def _has_wide(kind: "pa.DataType") -> bool:
    below = (kind.field(n).type for n in range(kind.num_fields))
    return pa.types.is_decimal256(kind) or any(map(_has_wide, below))


def _spelled(decimals: "pa.Array") -> "pa.Array":
    """Decimals as text without an exponent."""
    return pa.array([None if value is None else f"{value:f}" for value in decimals.to_pylist()], pa.string())


def _fields(con: "duckdb.DuckDBPyConnection", file: InputFile, links: Path, spelled: Sequence[bool]) -> list[_Field]:
    """The columns in the order of the file, in which DuckDB has them too, though not always under their names."""
    try:
        described = con.execute(f"select * from {_scan(file, links)} limit 0").description
    except duckdb.Error as e:
        raise _unreadable(file) from e
    headers = _top_level(_schema(con, file, links))
    known = zip(headers, described, spelled or [False] * len(described), strict=True)
    return [_Field(header, name, kind, is_spelled) for header, (name, kind, *_), is_spelled in known]


def _schema(con: "duckdb.DuckDBPyConnection", file: InputFile, links: Path) -> list[tuple[str, int, int | None]]:
    """Each name, depth first from the root; how many names are right below it; and of a decimal its digits."""
    query = f"select name, coalesce(num_children, 0), precision from parquet_schema({literal(str(link(links, file)))})"
    try:
        found: list[tuple[str, int, int | None]] = con.execute(query).fetchall()
    except duckdb.Error as e:
        raise _unreadable(file) from e
    return found


def _unreadable(file: InputFile) -> BadFile:
    return BadFile(file.origin, Reason.LAYOUT, "is not a readable Parquet file")


def no_utf8(paths: Iterable[Path]) -> str:
    """What to say of files with a text that is none."""
    found = next(filter(None, map(first_without_text, paths)), None)
    return no_utf8_in(found[1] if found else "a column")


def no_utf8_in(column: str) -> str:
    """What to say of a file of which that ``column`` has a text that is none."""
    return (
        f"{column} has bytes that are not UTF-8 and says that it is text; have it written in UTF-8, or as binary, "
        "where each row is judged (bytes)"
    )


def first_without_text(path: Path, groups: Iterable[int] | None = None) -> tuple[int, str] | None:
    """What of a file, or of some of its row groups, holds bytes that are no UTF-8 where text is declared: the place of
    the first column, and its name with, unless it is nested, the row, from 1, in the file."""
    with opened(path) as file:
        for place, field in enumerate(file.schema_arrow):
            if (row := _no_text(file, field.name, groups)) is not None:
                where = f", row {row}," if pa.types.is_string(field.type) else ""
                return place, f"column {clipped(field.name, 100)!r}{where}"
    return None


def _no_text(file: "pq.ParquetFile", column: str, groups: Iterable[int] | None) -> int | None:
    """The first row, from 1, of a column whose text is not UTF-8; None where all is."""
    for group in range(file.num_row_groups) if groups is None else groups:
        before = rows_before(file.metadata, group)
        for batch in batches_of(file, [column], [group]):
            try:
                batch.validate(full=True)
            except pa.ArrowInvalid as e:
                found = _AT.search(str(e))
                return before + int(found[1]) + 1 if found else before + 1
            before += batch.num_rows
    return None


def rows_before(metadata: "pq.FileMetaData", group: int) -> int:
    """How many rows of a file stand before those of a row group."""
    return sum(metadata.row_group(number).num_rows for number in range(group))


def _top_level(schema: Sequence[tuple[str, int, int | None]]) -> Iterator[str]:
    """The names right below the root."""
    open_levels = 0
    for name, below, _ in schema[1:]:
        if not open_levels:
            yield name
        open_levels += below - (1 if open_levels else 0)


def _text(column: Column, field: _Field) -> str:
    """A binary double has no exact decimal: it is rounded to the declared scale. Naive timestamps are of the column's
    time zone. Bytes are text where they are UTF-8, as of writers that do not say which of the two a column has."""
    value, found, declared = identifier(field.name), field.kind, column.data_type
    if holds_bytes(field.type):
        text = decoded(value, field.type)
        return text if found == "BLOB" else f"cast(to_json({text}) as varchar)"
    text = f"cast({value} as varchar)"
    if found == "BOOLEAN":
        spelled = literal(column.true_values[0]), literal(column.false_values[0])
        return f"case when {value} then {spelled[0]} when not {value} then {spelled[1]} end"
    if found in ("FLOAT", "DOUBLE") and declared.name == "decimal":
        text = f"coalesce(cast(try_cast({value} as {sql_type(declared)}) as varchar), {text})"
    if found in ("FLOAT", "DOUBLE") and declared.name in ("int", "bigint"):
        whole = f"try_cast({value} as bigint)"
        text = f"case when {whole} = {value} then cast({whole} as varchar) else {text} end"
    if found == "TIMESTAMP WITH TIME ZONE":
        shown = f"cast({value} at time zone 'UTC' as varchar)"
        return f"{shown} || 'Z'" if column.timezone else shown
    if found == "DATE" and declared.name == "timestamp":
        return f"cast(cast({value} as timestamp) as varchar)"
    if found.endswith("[]") or found.startswith(_NESTED):
        return f"cast(to_json({value}) as varchar)"
    is_number = field.spelled or found.startswith(_FRACTIONS)
    return f"replace({text}, '.', ',')" if column.decimal_mark == "," and is_number else text
