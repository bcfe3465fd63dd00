"""The Parquet side of column types: what the files of a clean table must say in their footers."""

from collections.abc import Iterable
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.types import DataType, TypeName
from adplatform.platform.late import Late
from adplatform.transform.values import OutputColumn

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_ROWS = 10_000
"""Rows of a group of those that are copied: they may be long, as what cannot be read is kept whole."""


@cache
def _arrow_types() -> "dict[TypeName, pa.DataType]":
    return {
        "string": pa.string(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }


def arrow_type(data_type: DataType) -> "pa.DataType":
    if data_type.name == "decimal":
        return pa.decimal128(data_type.precision, data_type.scale)
    return _arrow_types()[data_type.name]


def append(first: Path, second: Path, target: Path) -> None:
    """The rows of two files with the same columns as one, of which few are in memory at once."""
    with (
        pq.ParquetFile(first) as one,
        pq.ParquetFile(second) as other,
        pq.ParquetWriter(target, one.schema_arrow, compression="snappy") as writer,
    ):
        group: list[pa.RecordBatch] = []
        for batch in chain(one.iter_batches(_ROWS), other.iter_batches(_ROWS)):
            group.append(batch)
            if sum(each.num_rows for each in group) >= _ROWS:
                writer.write_table(pa.Table.from_batches(group))
                group = []
        if group:
            writer.write_table(pa.Table.from_batches(group))


def write_empty(columns: Iterable[OutputColumn], path: Path) -> None:
    """A file without rows: readers that look for the schema in a file find it."""
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in columns])
    pq.write_table(schema.empty_table(), path, compression="snappy")
