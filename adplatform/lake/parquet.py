"""The Parquet side of column types: what the files of a clean table must say in their footers."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.types import DataType, TypeName
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import batches, row_groups
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


def append(first: Path, second: Path, target: Path) -> None:
    """The rows of two files with the same columns as one, of which few are in memory at once."""
    with pq.ParquetWriter(target, pq.read_schema(first), compression="snappy") as writer:
        for group in row_groups(chain(batches(first), batches(second))):
            writer.write_table(group)


def joined(files: Iterable[AbstractContextManager[Path]], target: Path) -> None:
    """The rows of files with the same columns as one, each of which is there for as long as it is read."""
    with ExitStack() as open_:
        writer: pq.ParquetWriter | None = None
        for file in files:
            with file as path:
                if writer is None:
                    writer = open_.enter_context(pq.ParquetWriter(target, pq.read_schema(path), compression="snappy"))
                for group in row_groups(batches(path)):
                    writer.write_table(group)


def selected(path: Path, columns: Sequence[str], target: Path) -> None:
    """These columns of a file, as a file."""
    fields = pq.read_schema(path)
    with pq.ParquetWriter(target, pa.schema([fields.field(name) for name in columns]), compression="snappy") as writer:
        for group in row_groups(batches(path, columns)):
            writer.write_table(group.select(columns))


def write_empty(columns: Iterable[OutputColumn], path: Path) -> None:
    """A file without rows: readers that look for the schema in a file find it."""
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in columns])
    pq.write_table(schema.empty_table(), path, compression="snappy")
