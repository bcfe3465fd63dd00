"""Avro as Parquet: each value as the type that its schema says, so that Avro is read as Parquet is.

Logical types are taken from the numbers that they stand for, not by way of Python's own dates, which end in 9999 and at
microseconds.
"""

import io
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn
from uuid import UUID

from adplatform.files.avro_blocks import Block, Header, damaged, read_blocks, read_header
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import Budget
from adplatform.files.parquet_size import VALUE
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import fastavro
    import fastavro.schema
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    fastavro = Late("fastavro")
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_DEEPEST = 64
_BATCH_ROWS, _BATCH_BYTES = 20_000, 8 << 20
_WIDEST_DECIMAL = 76
_UNREADABLE = (EOFError, LookupError, ValueError, TypeError, OverflowError, struct.error)

Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Shape:
    """A type of a schema: ``plain`` is the same without logical types, ``arrow`` what it becomes, ``convert`` makes
    that of a value as it is read, None where it is that already. ``least`` bytes are of one value at least, ``leaves``
    how many values stand in it at least; ``logical`` says whether a logical type is in it."""

    plain: Any
    arrow: Any
    convert: Convert | None = None
    least: int = 1
    leaves: int = 1
    logical: bool = False


def avro_to_parquet(file: IO[bytes], target: Path, origin: str, budget: Budget, disk: Path) -> None:
    """Write to ``target``, on ``disk``, the Parquet that an Avro container file comes to; nothing for one without rows
    and columns. Values count as those of Parquet.

    Raises:
        BadFile: it is no Avro, damaged, above a limit, or has types that no table has.
    """
    header = read_header(file, origin)
    shape = shape_of(header, origin)

    def take(rows: int, size: int) -> None:
        budget.add_rows(rows)
        budget.take(rows * shape.leaves * VALUE + size, disk)

    schema = pa.schema(list(shape.arrow))
    try:
        with pq.ParquetWriter(target, schema) as writer:
            for rows in _batches(read_blocks(file, header, origin, take), shape, origin):
                columns = [
                    pa.array([row[name] for row in rows], kind)
                    for name, kind in zip(schema.names, schema.types, strict=True)
                ]
                writer.write_batch(pa.record_batch(columns, schema=schema))
    except pa.ArrowException as e:
        raise BadFile(
            origin, Reason.LAYOUT, "has values that their types in its schema do not take, or types that no table has"
        ) from e


def shape_of(header: Header, origin: str) -> Shape:
    """
    Raises:
        BadFile: the schema is none of records, or has types that no table has.
    """
    shape = _Shapes(origin).of(header.schema)
    if not isinstance(shape.arrow, pa.StructType):
        raise BadFile(origin, Reason.LAYOUT, "is Avro of something else than records; ask for one record per row")
    return shape


def records(block: Block, plain: Any, origin: str) -> Iterator[tuple[Any, bytes]]:
    """Each record of a block as it is read by ``plain``, which :func:`parsed` gave, and as it was written.

    Raises:
        BadFile: damaged.
    """
    stream, place = io.BytesIO(block.content), 0
    read = fastavro.schemaless_reader
    try:
        for _ in range(block.count):
            value = read(stream, plain, None)
            end = stream.tell()
            yield value, block.content[place:end]
            place = end
    except _UNREADABLE as e:
        raise damaged(origin) from e
    if place != len(block.content):
        raise damaged(origin)


def parsed(plain: Any, origin: str) -> Any:
    """
    Raises:
        BadFile: it is no schema of Avro.
    """
    import fastavro.schema  # noqa: PLC0415

    try:
        return fastavro.schema.parse_schema(plain)
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType, *_UNREADABLE, RecursionError) as e:
        raise damaged(origin) from e


def _batches(blocks: Iterable[Block], shape: Shape, origin: str) -> Iterator[list[Any]]:
    plain, rows, size = parsed(shape.plain, origin), list[Any](), 0
    for block in blocks:
        for value, written in records(block, plain, origin):
            rows.append(_converted(shape, value, origin))
            size += len(written)
            if len(rows) >= _BATCH_ROWS or size >= _BATCH_BYTES:
                yield rows
                rows, size = [], 0
    if rows:
        yield rows


def _converted(shape: Shape, value: Any, origin: str) -> Any:
    try:
        return shape.convert(value) if shape.convert else value
    except (ValueError, OverflowError, struct.error, ArithmeticError) as e:
        raise damaged(origin) from e


@dataclass
class _Shapes:
    """Shapes of the types of one schema; ``_named`` are those that have a name, None while they are being declared."""

    origin: str
    _named: dict[str, Shape | None] = field(default_factory=dict)

    def of(self, schema: Any, space: str = "", depth: int = 0) -> Shape:
        if depth > _DEEPEST:
            self._refuse(f"has a schema of more than {_DEEPEST} levels")
        if isinstance(schema, str):
            return self._primitive(schema) or self._reference(schema, space)
        if isinstance(schema, list):
            return self._union(schema, space, depth)
        if not isinstance(schema, dict) or "type" not in schema:
            raise damaged(self.origin)
        kind = schema["type"]
        if isinstance(kind, dict | list):
            return self.of(kind, space, depth + 1)
        match kind:
            case "record" | "error":
                return self._record(schema, space, depth)
            case "array":
                return self._array(schema, space, depth)
            case "map":
                return self._map(schema, space, depth)
            case "enum" | "fixed":
                return self._simple(kind, schema, space)
        shape = self._primitive(kind)
        return _logical(schema, shape) if shape else self._reference(kind, space)

    def _primitive(self, name: Any) -> Shape | None:
        found = {
            "null": pa.null(), "boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(),
            "double": pa.float64(), "bytes": pa.binary(), "string": pa.string(),
        }  # fmt: skip
        if name not in found:
            return None
        return Shape(name, found[name], least={"null": 0, "float": 4, "double": 8}.get(name, 1))

    def _reference(self, name: Any, space: str) -> Shape:
        if not isinstance(name, str):
            raise damaged(self.origin)
        full = name if "." in name or not space or f"{space}.{name}" not in self._named else f"{space}.{name}"
        if full not in self._named:
            raise damaged(self.origin)
        shape = self._named[full]
        if shape is None:
            self._refuse("has a type that holds itself, which no table can")
        return Shape(full, shape.arrow, shape.convert, shape.least, shape.leaves, shape.logical)

    def _record(self, schema: dict[str, Any], space: str, depth: int) -> Shape:
        full, inner = self._declared(schema, space)
        fields = schema.get("fields")
        if not isinstance(fields, list) or not all(isinstance(each, dict) and "type" in each for each in fields):
            raise damaged(self.origin)
        names = [str(each.get("name", "")) for each in fields]
        if len(set(names)) < len(names):  # of which a row could have one alone (Avro 1.12, Records: names are unique)
            raise damaged(self.origin)
        shapes = [self.of(each["type"], inner, depth + 1) for each in fields]
        converts = [(name, shape.convert) for name, shape in zip(names, shapes, strict=True) if shape.convert]
        shape = Shape(
            {
                "type": "record",
                "name": full,
                "fields": [{"name": name, "type": each.plain} for name, each in zip(names, shapes, strict=True)],
            },
            pa.struct([pa.field(name, each.arrow) for name, each in zip(names, shapes, strict=True)]),
            _in_members(converts) if converts else None,
            sum(each.least for each in shapes),
            sum(each.leaves for each in shapes),
            any(each.logical for each in shapes),
        )
        self._named[full] = shape
        return shape

    def _array(self, schema: dict[str, Any], space: str, depth: int) -> Shape:
        items = self.of(schema.get("items"), space, depth + 1)
        if not items.least:
            self._refuse("has lists of values that take no room, of which a few bytes may stand for any number")
        convert = _in_list(items.convert) if items.convert else None
        return Shape({"type": "array", "items": items.plain}, pa.list_(items.arrow), convert, logical=items.logical)

    def _map(self, schema: dict[str, Any], space: str, depth: int) -> Shape:
        values = self.of(schema.get("values"), space, depth + 1)
        kind = pa.map_(pa.string(), values.arrow)
        return Shape({"type": "map", "values": values.plain}, kind, _in_map(values.convert), logical=values.logical)

    def _simple(self, kind: str, schema: dict[str, Any], space: str) -> Shape:
        full, _ = self._declared(schema, space)
        if kind == "enum":
            shape = Shape({"type": "enum", "name": full, "symbols": schema.get("symbols", [])}, pa.string())
        else:
            size = schema.get("size")
            if not isinstance(size, int) or size < 0:
                raise damaged(self.origin)
            fixed = Shape({"type": "fixed", "name": full, "size": size}, pa.binary(), least=size)
            shape = _logical(schema, fixed)
        self._named[full] = shape
        return shape

    def _union(self, branches: list[Any], space: str, depth: int) -> Shape:
        shapes = [self.of(each, space, depth + 1) for each in branches]
        plain = [shape.plain for shape in shapes]
        some = [shape for shape in shapes if shape.plain != "null"]
        if len(some) < 2:
            one = some[0] if some else Shape("null", pa.null())
            return Shape(plain, one.arrow, _unless_none(one.convert), 1, one.leaves, one.logical)
        if any(shape.logical for shape in some):
            self._refuse("has a union of several types with a date, time or decimal among them; ask for one type")
        return Shape(plain, pa.string(), _as_text)

    def _declared(self, schema: dict[str, Any], space: str) -> tuple[str, str]:
        """The full name of a type that has one, and the space of names within it."""
        name = schema.get("name")
        if not isinstance(name, str) or not name:
            raise damaged(self.origin)
        inner = name.rpartition(".")[0] if "." in name else str(schema.get("namespace", space) or "")
        full = name if "." in name or not inner else f"{inner}.{name}"
        if full in self._named:
            raise damaged(self.origin)
        self._named[full] = None
        return full, inner

    def _refuse(self, message: str) -> NoReturn:
        raise BadFile(self.origin, Reason.UNSUPPORTED, message)


def _logical(schema: dict[str, Any], shape: Shape) -> Shape:
    """The type with its logical type, which counts for nothing where it does not fit (Avro 1.12, Logical Types)."""
    base, name = schema["type"], schema.get("logicalType")
    units = {"millis": "ms", "micros": "us", "nanos": "ns"}
    what, _, unit = str(name).rpartition("-")
    convert: Convert | None = None
    match base, name:
        case "int", "date":
            kind = pa.date32()
        case "int", "time-millis":
            kind = pa.time32("ms")
        case "long", "time-micros":
            kind = pa.time64("us")
        case (("bytes" | "fixed"), "decimal"):
            precision, scale = _digits(schema)
            if not precision:
                return shape
            kind = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
            convert = _decimal_of(scale)
        case "fixed", "uuid" if schema.get("size") == 16:
            kind, convert = pa.string(), lambda value: str(UUID(bytes=value))
        case "fixed", "duration" if schema.get("size") == 12:
            kind, convert = pa.string(), _duration
        case "long", _ if unit in units and what in ("timestamp", "local-timestamp"):
            kind = pa.timestamp(units[unit], "UTC" if what == "timestamp" else None)
        case _:
            return shape
    return Shape(shape.plain, kind, convert, shape.least, logical=True)


def _digits(schema: dict[str, Any]) -> tuple[int, int]:
    """Of a decimal how many digits it has, and how many of them behind the point; none where it is not valid."""
    match schema.get("precision"), schema.get("scale", 0):
        case int(precision), int(scale) if 0 < precision <= _WIDEST_DECIMAL and 0 <= scale <= precision:
            return precision, scale
    return 0, 0


def _decimal_of(scale: int) -> Convert:
    context = Context(prec=1000)
    return lambda value: Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale, context)


def _duration(value: bytes) -> str:
    months, days, millis = struct.unpack("<III", value)
    return f"P{months}M{days}DT{Decimal(millis) / 1000}S"


def _in_members(converts: Sequence[tuple[str, Convert]]) -> Convert:
    def convert(value: dict[str, Any]) -> dict[str, Any]:
        for name, each in converts:
            value[name] = each(value[name])
        return value

    return convert


def _in_list(convert: Convert) -> Convert:
    return lambda values: [convert(value) for value in values]


def _in_map(convert: Convert | None) -> Convert:
    if convert is None:
        return lambda values: list(values.items())
    return lambda values: [(key, convert(value)) for key, value in values.items()]


def _unless_none(convert: Convert | None) -> Convert | None:
    return None if convert is None else lambda value: None if value is None else convert(value)


def _as_text(value: Any) -> str | None:
    """A value that may be of several types: a text as it is, others as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return _text_of(value)
    return json.dumps(value, ensure_ascii=False, default=_text_of)


def _text_of(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()
