"""The Parquet side of column types: what the files of a clean table must say in their footers."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
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

_BATCH_ROWS, _GROUP_ROWS = 10_000, 122_880
_BATCH_BYTES = 2**20
_KEPT_BYTES = 4 * 2**20
"""Rows may be long, as what cannot be read is kept whole."""


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
        for group in row_groups(chain(batches(first), batches(second)), _KEPT_BYTES):
            writer.write_table(group)


def joined(files: Iterable[AbstractContextManager[Path]], target: Path) -> None:
    """The rows of files with the same columns as one, each of which is there for as long as it is read."""
    with ExitStack() as open_:
        writer: pq.ParquetWriter | None = None
        for file in files:
            with file as path:
                if writer is None:
                    writer = open_.enter_context(pq.ParquetWriter(target, pq.read_schema(path), compression="snappy"))
                for group in row_groups(batches(path), _KEPT_BYTES):
                    writer.write_table(group)


def batches(path: Path) -> "Iterator[pa.RecordBatch]":
    """The rows of a file in order, few at a time: fewer still where the footer says that they are long."""
    with pq.ParquetFile(path, buffer_size=2**20) as file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        longest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
        yield from file.iter_batches(max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(longest, 1))), use_threads=False)


def row_groups(batches: "Iterable[pa.RecordBatch]", size: int) -> "Iterator[pa.Table]":
    """Rows of one schema in groups of at most about ``size`` bytes in memory, and as many rows as readers like."""
    group: list[pa.RecordBatch] = []
    rows = bytes_ = 0
    for batch in batches:
        group.append(batch)
        rows, bytes_ = rows + batch.num_rows, bytes_ + batch.nbytes
        if rows >= _GROUP_ROWS or bytes_ >= size:
            yield pa.Table.from_batches(group)
            group, rows, bytes_ = [], 0, 0
    if group:
        yield pa.Table.from_batches(group)


def write_empty(columns: Iterable[OutputColumn], path: Path) -> None:
    """A file without rows: readers that look for the schema in a file find it."""
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in columns])
    pq.write_table(schema.empty_table(), path, compression="snappy")
