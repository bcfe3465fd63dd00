"""How files of Parquet are read and written of which few rows are in memory at a time."""

from collections.abc import Iterable, Iterator, Sequence
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adplatform.platform.late import Late

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_BUFFER = 1 << 20
"""Bytes of each column that are read at once; otherwise all of a row group are."""
_BATCH_ROWS, _GROUP_ROWS = 10_000, 122_880
_BATCH_BYTES, _GROUP_BYTES = 1 << 20, 4 << 20
"""Rows may be long, as what cannot be read is kept whole."""


def opened(source: Path | RawIOBase, **options: Any) -> "pq.ParquetFile":
    """A file of which no more is in memory than one read of each column and the rows that were asked for. ``options``
    are those of ``ParquetFile``.

    Raises:
        pa.ArrowException, OSError: it is no Parquet, or cannot be read.
    """
    # By default pyarrow begins to read all that will be asked for, and keeps it until the file is closed.
    return pq.ParquetFile(source, pre_buffer=False, memory_map=False, buffer_size=_BUFFER, **options)


def batches(path: Path, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
    """The rows of a file in order, or these columns of them, as :func:`batches_of` has them."""
    with opened(path) as file:
        yield from batches_of(file, columns)


def batches_of(
    file: "pq.ParquetFile", columns: Sequence[str] | None = None, groups: Sequence[int] | None = None
) -> "Iterator[pa.RecordBatch]":
    """The rows of a file, or of some of its row groups, in order, few at a time: fewer still where the footer says that
    they are long."""
    numbers = range(file.num_row_groups) if groups is None else groups
    found = [file.metadata.row_group(number) for number in numbers]
    longest = max((group.total_byte_size // max(group.num_rows, 1) for group in found), default=0)
    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(longest, 1)))
    yield from file.iter_batches(rows, row_groups=groups, columns=columns, use_threads=False)


def row_groups(batches: "Iterable[pa.RecordBatch]", size: int = _GROUP_BYTES) -> "Iterator[pa.Table]":
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
