"""Parquet read by Arrow, to the texts that DuckDB makes of it: see ``transform.parquet``."""

import inspect
import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from adplatform.contracts.column import Column
from adplatform.failures import clipped
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import opened
from adplatform.transform.parquet import first_without_text, no_utf8_in, rows_before
from adplatform.transform.spark_json import of_double, quoted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
else:
    np = Late("numpy")
    pa = Late("pyarrow")
    pc = Late("pyarrow.compute")
    pq = Late("pyarrow.parquet")

_UNREADABLE = "is not a readable Parquet file"
_ROWS = 20_000
_WIDEST = 9_223_372_036_854_775_807
_DIGITS = 38
_MAGIC, _TAIL = b"PAR1", 8
_ARROW_SCHEMA = b"ARROW:schema"
_AS_DOUBLE = 15
"""Digits up to which DuckDB makes doubles of decimals in JSON."""


def columns_of(path: Path, origin: str) -> tuple[str, ...]:
    """The names of the columns of a Parquet file.

    Raises:
        BadFile: it is none that can be read, or has decimals that cannot be.
    """
    try:
        with _as_declared(path) as file:
            schema, uuids = file.schema_arrow, _uuids(file)
    except (pa.ArrowException, OSError) as e:
        if _is_of_machine(e):
            raise
        raise BadFile(origin, Reason.LAYOUT, _UNREADABLE) from e
    for field in schema:
        if field.type.num_fields and _has_wide(field.type):
            raise BadFile(
                origin,
                Reason.LAYOUT,
                f"column {clipped(field.name, 100)!r} has decimals of more than {_DIGITS} digits within its values, "
                "which cannot be read exactly; have them written as text",
            )
        if field.type.num_fields and not _extensions() and any(name.startswith(f"{field.name}.") for name in uuids):
            raise BadFile(
                origin,
                Reason.LAYOUT,
                f"column {clipped(field.name, 100)!r} has UUIDs within its values, which Arrow {pa.__version__} of "
                "this Spark does not tell from bytes; have them written as text, or the feed transformed by DuckDB",
            )
    return tuple(schema.names)


def bytes_of(path: Path, names: Sequence[str], columns: "Sequence[Column | None]") -> tuple[str, ...]:
    """Which of the columns that are read hold bytes of which the contract says that they are text."""
    with _as_declared(path) as file:
        kinds = file.schema_arrow.types
    return tuple(
        name
        for name, kind, column in zip(names, kinds, columns, strict=True)
        if column is not None and column.bytes == "text" and _holds_bytes(kind)
    )


class BadRows(BadFile):
    """A file that was found to be bad while its rows were read, at the place of this ``column`` if a text is not UTF-8:
    what stands in the first of such columns is said."""

    def __init__(self, origin: str, message: str, column: int = 0) -> None:
        super().__init__(origin, Reason.LAYOUT, message)
        self.column = column


@dataclass(frozen=True)
class Texts:
    """Some rows of a file, the first of them with this ``number`` in it, from 1. ``columns`` are their texts, None of
    those that are not read, and ``without`` has of each row the names of the columns with bytes that are no text; it is
    None where none has."""

    number: int
    rows: int
    columns: "Sequence[pa.Array | None]"
    without: Sequence[Sequence[str] | None] | None


def texts_of(
    file: InputFile, columns: "Sequence[Column | None]", of_bytes: Collection[str], groups: Sequence[int] | None = None
) -> Iterator[Texts]:
    """The texts of all rows, or of those of row groups, in pieces. ``columns`` has for each of the file the one that it
    is in the contract; those of None are not read. Those among ``of_bytes`` may have bytes that are no text.

    Raises:
        BadRows: it is damaged, or a text is not UTF-8.
    """
    try:
        with _as_declared(file.path) as source:
            names, uuids = source.schema_arrow.names, _uuids(source)
            for run in _runs(range(source.num_row_groups) if groups is None else groups):
                number = rows_before(source.metadata, run[0]) + 1
                for batch in source.iter_batches(batch_size=_ROWS, row_groups=run):
                    texts = [
                        None if column is None else _text(_told_as_uuids(values) if name in uuids else values, column)
                        for name, values, column in zip(names, batch.columns, columns, strict=True)
                    ]
                    yield Texts(number, batch.num_rows, texts, _without_text(batch, of_bytes))
                    number += batch.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        if _is_of_machine(e):
            raise
        if isinstance(e, UnicodeDecodeError) or "UTF8" in str(e):
            place, where = first_without_text(file.path, groups) or (0, "a column")
            raise BadRows(file.origin, no_utf8_in(where), place) from e
        raise BadRows(file.origin, _UNREADABLE) from e


def _is_of_machine(error: Exception) -> bool:
    """Arrow has errors of the system without a number for what it cannot decompress."""
    return isinstance(error, OSError) and error.errno is not None


def _extensions() -> dict[str, bool]:
    """What has Arrow tell UUIDs from other bytes: not before its 21, and Glue 5 has 17."""
    name = "arrow_extensions_enabled"
    return {name: True} if name in inspect.signature(pq.ParquetFile).parameters else {}


def _uuids(file: "pq.ParquetFile") -> set[str]:
    """The columns that are UUIDs, and by their paths those within others."""
    columns = (file.schema.column(number) for number in range(len(file.schema)))
    return {column.path for column in columns if column.logical_type.type == "UUID"}


def _told_as_uuids(values: "pa.Array") -> "pa.Array":
    if isinstance(values.type, pa.BaseExtensionType):
        return values
    return pa.array([None if each is None else str(UUID(bytes=each)) for each in values.to_pylist()], pa.string())


def _runs(groups: Iterable[int]) -> list[list[int]]:
    """Row groups that follow each other, together."""
    runs: list[list[int]] = []
    for group in groups:
        if not runs or runs[-1][-1] + 1 != group:
            runs.append([])
        runs[-1].append(group)
    return runs


def _as_declared(path: Path) -> "pq.ParquetFile":
    """With the types that Parquet has, as DuckDB reads them, and not those that Arrow noted beside for itself."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END) - _TAIL
        file.seek(max(0, end))
        size = int.from_bytes(file.read(_TAIL - len(_MAGIC)), "little")
        file.seek(max(0, end - size))
        footer = file.read()
    plain = pa.BufferReader(_MAGIC + footer.replace(_ARROW_SCHEMA, _ARROW_SCHEMA.lower()))
    return opened(
        path,
        metadata=pq.read_metadata(plain),
        coerce_int96_timestamp_unit="us",
        **_extensions(),
    )


def _without_text(batch: "pa.RecordBatch", of_bytes: Collection[str]) -> list[list[str] | None] | None:
    rows: dict[int, list[str]] = {}
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        if name in of_bytes:
            for row, value in enumerate(_listed(values)):
                if _has_no_text(value):
                    rows.setdefault(row, []).append(name)
    return [rows.get(row) for row in range(batch.num_rows)] if rows else None


def _has_no_text(value: Any) -> bool:
    if isinstance(value, bytes):
        return not _is_text(value)
    if isinstance(value, dict):
        return any(map(_has_no_text, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_no_text, value))


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _holds_bytes(kind: "pa.DataType") -> bool:
    return _is_bytes(kind) or any(_holds_bytes(kind.field(n).type) for n in range(kind.num_fields))


def _has_wide(kind: "pa.DataType") -> bool:
    below = (kind.field(n).type for n in range(kind.num_fields))
    return pa.types.is_decimal256(kind) or any(map(_has_wide, below))


def _text(values: "pa.Array", column: Column) -> "pa.Array":
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        return _mapped(values, str)
    if pa.types.is_string(kind):
        values.validate(full=True)
        return values
    if pa.types.is_integer(kind):
        return values.cast(pa.string())
    if kind.num_fields:
        texts = pa.array(_json(values), pa.string())
        return pc.if_else(values.is_valid(), texts, None)
    found = _mapped(values, _spelling(kind, column))
    is_number = pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return pc.replace_substring(found, ".", ",") if column.decimal_mark == "," and is_number else found


def _mapped(values: "pa.Array", spell: Callable[[Any], str]) -> "pa.Array":
    return pa.array([None if value is None else spell(value) for value in _listed(values)], pa.string())


def _listed(values: "pa.Array") -> list[Any]:
    """Python's values; times as integers, since Python has none of nanoseconds."""
    if pa.types.is_timestamp(values.type) or pa.types.is_time(values.type):
        width = pa.int32() if values.type.bit_width == 32 else pa.int64()
        return list(values.view(width).to_pylist())
    return list(values.to_pylist())


def _spelling(kind: "pa.DataType", column: Column) -> Callable[[Any], str]:
    declared = column.data_type
    if pa.types.is_boolean(kind):
        return lambda value: column.true_values[0] if value else column.false_values[0]
    if pa.types.is_floating(kind):
        plain = _plain(kind)
        if declared.name == "decimal":
            return lambda value: _rounded(value, declared.precision, declared.scale) or plain(value)
        if declared.name in ("int", "bigint"):
            return lambda value: str(int(value)) if _is_whole(value) else plain(value)
    if pa.types.is_date(kind):
        behind = " 00:00:00" if declared.name == "timestamp" else ""
        return lambda value: f"{value.isoformat()}{behind}"
    if pa.types.is_timestamp(kind) and kind.tz and kind.unit != "ns":
        behind = "Z" if column.timezone else ""
        return lambda value: f"{_instant(value, _PER_SECOND[kind.unit])}{behind}"
    return _plain(kind)


def _plain(kind: "pa.DataType") -> Callable[[Any], str]:
    """How a value that consists of no others is written as text, whatever its column is."""
    if pa.types.is_boolean(kind):
        return lambda value: "true" if value else "false"
    if pa.types.is_floating(kind):
        return _float if kind.bit_width == 64 else _short_float
    if pa.types.is_decimal(kind):
        return lambda value: f"{value:f}"
    if pa.types.is_timestamp(kind):
        behind = "+00" if kind.tz else ""
        return lambda value: f"{_instant(value, _PER_SECOND[kind.unit])}{behind}"
    if pa.types.is_time(kind):
        return lambda value: _clock(value, _PER_SECOND[kind.unit])
    return _of_bytes if _is_bytes(kind) else str


_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EPOCH = date(1970, 1, 1)
_DAY = 86_400
_NULL = "null"
_FIRST_SHOWN, _LAST_SHOWN, _ESCAPED = 32, 126, b"\\'\""


def _is_bytes(kind: "pa.DataType") -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _of_bytes(value: bytes) -> str:
    return value.decode() if _is_text(value) else value.hex()


def _is_whole(value: float) -> bool:
    return abs(value) < _WIDEST and value == int(value)


def _rounded(value: float, precision: int, scale: int) -> str | None:
    """A double as a decimal of so many digits; None where it is none."""
    if not math.isfinite(value):
        return None
    try:
        found = Decimal(value * 10**scale).quantize(Decimal(1), ROUND_HALF_UP).scaleb(-scale)
    except InvalidOperation:
        return None
    if abs(found) >= 10 ** (precision - scale):
        return None
    return f"{found:.{scale}f}" if scale else f"{found:f}"


def _float(value: float) -> str:
    """A double in the fewest digits, as DuckDB and Python write it."""
    return repr(value)


def _short_float(value: float) -> str:
    """The same of a float of 32 bits."""
    if not math.isfinite(value):
        return _float(value)
    return _float(float(str(np.float32(value))))


def _clock(ticks: int, per_second: int) -> str:
    seconds, fraction = divmod(ticks, per_second)
    hours, rest = divmod(seconds, 3600)
    shown = f"{hours:02}:{rest // 60:02}:{rest % 60:02}"
    if not fraction:
        return shown
    return f"{shown}.{fraction:0{len(str(per_second)) - 1}}".rstrip("0")


def _instant(ticks: int, per_second: int) -> str:
    days, rest = divmod(ticks, _DAY * per_second)
    return f"{(_EPOCH + timedelta(days=days)).isoformat()} {_clock(rest, per_second)}"


def _json(values: "pa.Array") -> list[str]:
    """What DuckDB writes of values, of which others are parts, or of these."""
    kind = values.type
    if pa.types.is_map(kind):
        names, items = _member_names(values.keys), _json(values.items)
        return _by_row(values, lambda first, behind: _object(names(first, behind), items[first:behind]))
    if pa.types.is_list(kind):
        every = _json(values.values)
        return _by_row(values, lambda first, behind: f"[{','.join(every[first:behind])}]")
    if pa.types.is_struct(kind):
        members = _told_apart(kind.field(n).name for n in range(kind.num_fields))
        rows = zip(*map(_json, values.flatten()), strict=True)
        found = [_object(members, row) for row in rows]
        return [
            text if is_there else _NULL for text, is_there in zip(found, values.is_valid().to_pylist(), strict=True)
        ]
    spell = _scalar(kind)
    return [_NULL if value is None else spell(value) for value in _listed(values)]


def _by_row(values: "pa.Array", write: Callable[[int, int], str]) -> list[str]:
    bounds, are_there = values.offsets.to_pylist(), values.is_valid().to_pylist()
    return [
        write(first, behind) if is_there else _NULL
        for (first, behind), is_there in zip(pairwise(bounds), are_there, strict=True)
    ]


def _scalar(kind: "pa.DataType") -> Callable[[Any], str]:
    if pa.types.is_floating(kind):
        return lambda value: of_double(value) if math.isfinite(value) else json.dumps(value)
    if pa.types.is_decimal(kind) and kind.precision <= _AS_DOUBLE:
        return lambda value: of_double(float(value))
    plain = _plain(kind)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        return plain
    return lambda value: quoted(plain(value))


def _object(names: Iterable[str], values: Iterable[str]) -> str:
    return "{" + ",".join(f"{quoted(name)}:{value}" for name, value in zip(names, values, strict=True)) + "}"


def _member_names(keys: "pa.Array") -> Callable[[int, int], list[str]]:
    """The keys of a map as text; bytes with escapes where two of one map would come to one text."""
    plain = _json(keys) if keys.type.num_fields else list(map(_plain(keys.type), _listed(keys)))
    if not _is_bytes(keys.type):
        return lambda first, behind: plain[first:behind]

    def names(first: int, behind: int) -> list[str]:
        found = plain[first:behind]
        if len(set(found)) == len(found):
            return found
        return ["".join(map(_escaped, key.as_py())) for key in keys[first:behind]]

    return names


def _escaped(byte: int) -> str:
    return chr(byte) if _FIRST_SHOWN <= byte <= _LAST_SHOWN and byte not in _ESCAPED else f"\\x{byte:02X}"


def _told_apart(names: Iterable[str]) -> list[str]:
    """The names of the members of a structure, of which DuckDB renames those that differ from others in case only."""
    known: dict[str, int] = {}
    told = []
    for given in names:
        name, low = given, given.lower()
        if low in known:
            while (name := f"{given}_{known[low]}").lower() in known:
                known[low] += 1
        known[name.lower()] = 1
        told.append(name)
    return told
