"""The Parquet side of column types: what the files of a clean table must say in their footers."""

from collections.abc import Iterable
from functools import cache
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


def write_empty(columns: Iterable[OutputColumn], path: Path) -> None:
    """A file without rows: readers that look for the schema in a file find it."""
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in columns])
    pq.write_table(schema.empty_table(), path, compression="snappy")
