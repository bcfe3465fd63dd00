"""Values as DMS writes them, from the text that PostgreSQL's output functions make of them.

Booleans are ``true`` and ``false``; times have six digits of a second and no zone, which is UTC; bytes are hexadecimal
digits. What no type of DMS can hold (NaN, infinity, years beyond 9999) is written in CSV as PostgreSQL writes it, and
is null in Parquet. That and the bytes are decisions of this stand-in: AWS documents neither.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Any

from adplatform.local.aws.dms.pgoutput import Column

BOOL, BYTEA, INT8, INT2, INT4, TEXT, JSON, XML = 16, 17, 20, 21, 23, 25, 114, 142
FLOAT4, FLOAT8, BPCHAR, DATE, TIMESTAMP, TIMESTAMPTZ, NUMERIC, JSONB = 700, 701, 1042, 1082, 1114, 1184, 1700, 3802
"""Types of PostgreSQL by their object identifiers (pg_type.dat)."""
LOBS = frozenset({BYTEA, TEXT, JSON, XML, JSONB})
_TIME = re.compile(r"(\d+-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d+))?(?:\+00)?( BC)?")
_UNLIMITED = (28, 6)
"""Precision and scale of a number without any (DMS user guide, "Using a PostgreSQL database as a source")."""


class Truncated(Exception):
    """A large object is longer than the limit; the message names its column."""


def written(column: Column, text: str, *, trims: bool, lob_bytes: int, refuses: bool) -> str | None:
    """A value as in CSV. Of a large object only ``lob_bytes`` are left, nothing of 0.

    Raises:
        Truncated: a large object is longer, and the caller ``refuses`` that.
    """
    kind = column.type_oid
    if kind == BOOL:
        return {"t": "true", "f": "false"}.get(text, text)
    if kind in (TIMESTAMP, TIMESTAMPTZ):
        found = _TIME.fullmatch(text)
        return f"{found[1]}.{(found[2] or ''):0<6}{found[3] or ''}" if found else text
    if kind == BPCHAR and trims:
        return text.rstrip(" ")
    if kind not in LOBS:
        return text
    if not lob_bytes:
        return None
    whole = bytes.fromhex(text.removeprefix(r"\x")) if kind == BYTEA else text.encode()
    if len(whole) > lob_bytes and refuses:
        raise Truncated(f"a value of {column.name} has {len(whole)} bytes, LobMaxSize allows {lob_bytes}")
    return whole[:lob_bytes].hex() if kind == BYTEA else whole[:lob_bytes].decode(errors="ignore")


def arrow(column: Column | None, *, milliseconds: bool) -> tuple[Any, Callable[[str], Any]]:
    """The Arrow type of a column, of None that of texts, and what makes a value of it from what is written in CSV; it
    gives None for what the type does not hold."""
    import pyarrow as pa  # noqa: PLC0415 - a third of a second that only Parquet needs

    kind = column.type_oid if column else TEXT
    simple: dict[int, tuple[Any, Callable[[str], Any]]] = {
        BOOL: (pa.bool_(), lambda text: text == "true"),
        INT2: (pa.int16(), int),
        INT4: (pa.int32(), int),
        INT8: (pa.int64(), int),
        FLOAT4: (pa.float32(), float),
        FLOAT8: (pa.float64(), float),
        BYTEA: (pa.binary(), bytes.fromhex),
        DATE: (pa.date32(), _or_none(date.fromisoformat)),
    }
    if kind in simple:
        return simple[kind]
    if kind in (TIMESTAMP, TIMESTAMPTZ):
        return pa.timestamp("ms" if milliseconds else "us"), _or_none(lambda text: _moment(text, milliseconds))
    if column is not None and kind == NUMERIC:
        precision, scale = _precision(column.modifier)
        if precision <= 38:
            return pa.decimal128(precision, scale), _or_none(lambda text: _number(text, precision, scale))
    return pa.string(), str


def _precision(modifier: int) -> tuple[int, int]:
    """Of a numeric column: as PostgreSQL packs them into the modifier (numeric.c, make_numeric_typmod)."""
    if modifier < 0:
        return _UNLIMITED
    packed = modifier - 4
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024


def _number(text: str, precision: int, scale: int) -> Decimal:
    with localcontext() as context:
        context.prec = 80
        found = Decimal(text).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
    if not found.is_finite() or found.adjusted() >= precision - scale:
        raise ValueError(text)
    return found


def _moment(text: str, milliseconds: bool) -> datetime:
    found = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return found.replace(
        microsecond=found.microsecond // 1000 * 1000 if milliseconds else found.microsecond, tzinfo=None
    )


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def reads(text: str) -> Any:
        with suppress(ValueError, InvalidOperation):
            return read(text)
        return None

    return reads
