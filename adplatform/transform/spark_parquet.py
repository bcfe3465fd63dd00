"""Parquet read by Arrow, to the texts that DuckDB makes of it: see ``transform.parquet``."""

import inspect
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from adplatform.contracts.column import Column
from adplatform.failures import clipped
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile
from adplatform.platform.late import Late
from adplatform.transform.parquet import first_without_text, no_utf8_in, rows_before
from adplatform.transform.spark_json import of_double

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
_BUFFER = 1 << 20
"""Bytes of each column that are read at once; otherwise all of a row group are."""
_WIDEST = 9_223_372_036_854_775_807
_DIGITS = 38


def columns_of(path: Path, origin: str) -> tuple[str, ...]:
    """The names of the columns of a Parquet file.

    Raises:
        BadFile: it is none that can be read, or has decimals that cannot be.
    """
    try:
        with pq.ParquetFile(path) as file:
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
    with pq.ParquetFile(path) as file:
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
        with pq.ParquetFile(
            file.path, coerce_int96_timestamp_unit="us", buffer_size=_BUFFER, **_extensions()
        ) as source:
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
    if pa.types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    return _is_bytes(kind) or any(_holds_bytes(kind.field(n).type) for n in range(kind.num_fields))


def _has_wide(kind: "pa.DataType") -> bool:
    below = (kind.field(n).type for n in range(kind.num_fields))
    return pa.types.is_decimal256(kind) or any(map(_has_wide, below))


def _text(values: "pa.Array", column: Column) -> "pa.Array":
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if isinstance(kind, pa.BaseExtensionType):
        return _mapped(values, str)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        values.validate(full=True)
        return values.cast(pa.string())
    if pa.types.is_integer(kind):
        return values.cast(pa.string())
    spell = _spelling(kind, column)
    found = _mapped(values, spell)
    nested = kind.num_fields or pa.types.is_boolean(kind) or _is_bytes(kind)
    return pc.replace_substring(found, ".", ",") if column.decimal_mark == "," and not nested else found


def _mapped(values: "pa.Array", spell: Callable[[Any], str]) -> "pa.Array":
    return pa.array([None if value is None else spell(value) for value in _listed(values)], pa.string())


def _listed(values: "pa.Array") -> list[Any]:
    """Python's values; times of nanoseconds as integers, which Python has no other for."""
    if pa.types.is_timestamp(values.type) or pa.types.is_time(values.type):
        width = pa.int32() if values.type.bit_width == 32 else pa.int64()
        return list(values.view(width).to_pylist())
    return list(values.to_pylist())


def _spelling(kind: "pa.DataType", column: Column) -> Callable[[Any], str]:
    declared = column.data_type
    if pa.types.is_boolean(kind):
        return lambda value: column.true_values[0] if value else column.false_values[0]
    if pa.types.is_floating(kind):
        plain = _float if kind.bit_width == 64 else _short_float
        if declared.name == "decimal":
            return lambda value: _rounded(value, declared.precision, declared.scale) or plain(value)
        if declared.name in ("int", "bigint"):
            return lambda value: str(int(value)) if _is_whole(value) else plain(value)
        return plain
    if pa.types.is_decimal(kind):
        return lambda value: f"{value:f}"
    if pa.types.is_date(kind):
        behind = " 00:00:00" if declared.name == "timestamp" else ""
        return lambda value: f"{_day(value)}{behind}"
    if pa.types.is_timestamp(kind):
        # DuckDB has another type for those of nanoseconds, which it shows with their zone.
        behind = "+00" if kind.tz and kind.unit == "ns" else "Z" if kind.tz and column.timezone else ""
        per_second = _PER_SECOND[kind.unit]
        return lambda value: f"{_instant(value, per_second)}{behind}"
    if pa.types.is_time(kind):
        per_second = _PER_SECOND[kind.unit]
        return lambda value: _clock(value, per_second)
    if _is_bytes(kind):
        return _of_bytes
    return lambda value: _json(value, kind)


_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EPOCH = date(1970, 1, 1)
_DAY = 86_400


def _is_bytes(kind: "pa.DataType") -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


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


def _day(value: date) -> str:
    return value.isoformat()


def _clock(ticks: int, per_second: int) -> str:
    seconds, fraction = divmod(ticks, per_second)
    hours, rest = divmod(seconds, 3600)
    shown = f"{hours:02}:{rest // 60:02}:{rest % 60:02}"
    if not fraction:
        return shown
    return f"{shown}.{fraction:0{len(str(per_second)) - 1}}".rstrip("0")


def _instant(ticks: int, per_second: int) -> str:
    days, rest = divmod(ticks, _DAY * per_second)
    return f"{_day(_EPOCH + timedelta(days=days))} {_clock(rest, per_second)}"


def _json(value: Any, kind: "pa.DataType") -> str:
    return _written(_of_json(value, kind))


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(k), ensure_ascii=False)}:{_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, float):
        return of_double(value) if math.isfinite(value) else f'"{_float(value)}"'
    if isinstance(value, Decimal):
        return of_double(float(value))
    return json.dumps(value, ensure_ascii=False)


def _of_json(value: Any, kind: "pa.DataType") -> Any:
    if value is None:
        return None
    if pa.types.is_map(kind):
        return {_key(key): _of_json(each, kind.item_type) for key, each in value}
    if pa.types.is_struct(kind):
        return {
            kind.field(n).name: _of_json(value[kind.field(n).name], kind.field(n).type) for n in range(kind.num_fields)
        }
    if isinstance(value, list):
        return [_of_json(each, kind.value_type) for each in value]
    if isinstance(value, bytes):
        return _of_bytes(value)
    if isinstance(value, datetime):
        naive = value.replace(tzinfo=None).isoformat(sep=" ")
        return f"{naive.rstrip('0') if value.microsecond else naive}{'+00' if value.tzinfo else ''}"
    if isinstance(value, date | time):
        return value.isoformat()
    if pa.types.is_floating(kind) and kind.bit_width == 32:
        return float(str(np.float32(value)))
    return value if isinstance(value, bool | int | float | str | Decimal) else str(value)


def _key(key: Any) -> str:
    return _of_bytes(key) if isinstance(key, bytes) else str(key)
