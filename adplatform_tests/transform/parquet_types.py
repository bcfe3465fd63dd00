"""One column of each type that Parquet files have, by itself and within others, with its values that are written in
more than one way."""

import io
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NAN, INFINITE = float("nan"), float("inf")
at = datetime.fromisoformat
INSTANT = 1_700_000_000_000_000_500
"""Nanoseconds."""


def _ticks(kind: "pa.DataType", *values: int) -> "pa.Array":
    return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)


def _map(rows: list[Any], key: "pa.DataType", item: "pa.DataType") -> "pa.Array":
    return pa.array(rows, pa.map_(key, item))


def _lists(values: "pa.Array") -> "pa.Array":
    """All values as one list, and an empty one."""
    return pa.ListArray.from_arrays(pa.array([0, len(values), len(values)], pa.int32()), values)


PLAIN: Mapping[str, pa.Array] = {
    "bool": pa.array([True, False]),
    "int8": pa.array([-1, 2], pa.int8()),
    "uint64": pa.array([2**64 - 1, 0], pa.uint64()),
    "double": pa.array([0.1, 1e16, 1e22, NAN, -INFINITE, -0.0, 1e-7, 123456789.123, 5.0]),
    "float": pa.array([0.1, 3e38, 1e-10, 16777217.0, NAN], pa.float32()),
    "half": pa.array([1.5, 65504.0], pa.float16()),
    "decimal": pa.array([Decimal("-0.01"), Decimal("0.00")], pa.decimal128(9, 2)),
    "long_decimal": pa.array([Decimal("12345678901234567.89")], pa.decimal128(19, 2)),
    "date": pa.array([date(1, 1, 1), date(9999, 12, 31)]),
    "date64": pa.array([date(2026, 1, 2)], pa.date64()),
    "time": pa.array([time(1, 2, 3, 400)]),
    "time32": pa.array([time(1, 2, 3)], pa.time32("s")),
    "time_ns": _ticks(pa.time64("ns"), 1, 86_399_000_000_500),
    "seconds": pa.array([at("1900-01-01")], pa.timestamp("s")),
    "naive": pa.array([at("0001-01-01T01:00"), at("9999-12-31T23:59:59.999999")]),
    "zoned": pa.array([at("2026-01-02T03:04:05.12+00:00")], pa.timestamp("us", "Europe/Berlin")),
    "naive_ns": _ticks(pa.timestamp("ns"), INSTANT, -1),
    "zoned_ns": _ticks(pa.timestamp("ns", "UTC"), INSTANT, -1),
    "duration": _ticks(pa.duration("ms"), 1, 2),
    "text": pa.array(['é"\\\n\x01\x1f\x7f\u2028', "/", ""]),
    "large_text": pa.array(["a"], pa.large_string()),
    "texts": pa.array(["a", "b", "a"]).dictionary_encode(),
    "bytes": pa.array([b"a", b"\xff"]),
    "of_bytes": pa.array([b"a", b"\xfe"]).dictionary_encode(),
    "fixed_bytes": pa.array([b"ab", b"\xff\xfe"], pa.binary(2)),
    "nothing": pa.nulls(1),
}
WIDE = pa.array([Decimal("1.5"), None], pa.decimal256(60, 4))
"""Of more digits than DuckDB has."""
DEEP: Mapping[str, pa.Array] = {
    "fixed_list": pa.array([[1, 2], [3, 4]], pa.list_(pa.int32(), 2)),
    "no_fixed_list": pa.array([[1, 2], None], pa.list_(pa.int32(), 2)),
    "large_list": pa.array([["a"], None], pa.large_list(pa.large_string())),
    "lists": pa.array([[[1], [], None], [[2]]], pa.list_(pa.list_(pa.int8()))),
    "structure": pa.array(
        [{"Op": "x", "op": [1], "OP": None}],
        pa.struct({"Op": pa.string(), "op": pa.list_(pa.int8()), "OP": pa.string()}),
    ),
    "structures": pa.array([[{"a": 1, "b": {"c": Decimal("1.00")}}], []]),
    "escaped_name": pa.array([{'é"': True}]),
    "bytes_within": pa.array([{"a": b"x", "b": [b"\xff"]}]),
    "twice": _map([[("a", 1), ("a", 2)]], pa.string(), pa.int64()),
    "twice_as_text": _map(
        [[(b"\xff", b"x"), (b"ff", b"y")], [(b"a'\"\\\x00", b"z"), (b"b", None)]], pa.binary(), pa.binary()
    ),
    "of_decimals": _map([[(1, Decimal("1.50"))], []], pa.int32(), pa.decimal128(9, 2)),
    "of_wide_decimals": pa.array([[Decimal("1.50"), Decimal("12345678901234.56")]], pa.list_(pa.decimal128(16, 2))),
    "of_doubles": _map([[(NAN, -INFINITE), (1e300, 1.0)]], pa.float64(), pa.float64()),
    "of_floats": _map([[(0.1, 0.1)]], pa.float32(), pa.float32()),
    "of_bools": _map([[(True, False)]], pa.bool_(), pa.bool_()),
    "of_dates": _map([[(date(2026, 1, 2), date(2026, 1, 3))]], pa.date32(), pa.date32()),
    "of_moments": _map([[(at("2026-01-02T03:04:05.6"), at("2026-01-03"))]], pa.timestamp("us"), pa.timestamp("us")),
    "of_maps": _map([[("k", [("x", None)])]], pa.string(), pa.map_(pa.string(), pa.date32())),
}


def table(columns: Mapping[str, pa.Array]) -> bytes:
    """Columns of different lengths, filled with no value."""
    rows = max(map(len, columns.values()))
    filled = {
        name: pa.concat_arrays([values, pa.nulls(rows - len(values), values.type)]) for name, values in columns.items()
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(filled), sink)
    return sink.getvalue()


def nested() -> dict[str, pa.Array]:
    """Types that consist of others, with lists of each that does not."""
    return {**DEEP, **{f"list_of_{name}": _lists(values) for name, values in PLAIN.items() if name != "nothing"}}
