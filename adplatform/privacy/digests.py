"""Columns of Parquet that certainly hold nothing but digests, by their bytes: a regular expression over each value
costs three times as much."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.platform.late import Late

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pc = Late("pyarrow.compute")
    pq = Late("pyarrow.parquet")

_HEXADECIMAL = b"0123456789abcdef"
_CHARACTERS = 64
_ROWS = 16_384
_BUFFER = 1 << 20


def certain_digests(parquet: Sequence[Path], columns: Collection[str]) -> set[str]:
    """Those of the columns that have NULL and 64 lower-case hexadecimal digits alone, in each file that has them. Of
    others nothing is said."""
    certain = set(columns)
    for path in parquet:
        # Otherwise pyarrow holds whole columns, or maps the file.
        with pq.ParquetFile(path, pre_buffer=False, memory_map=False, buffer_size=_BUFFER) as file:
            there = sorted(certain.intersection(file.schema_arrow.names))
            batches = file.iter_batches(batch_size=_ROWS, columns=there, use_threads=False) if there else ()
            for batch in batches:
                certain -= {name for name in there if not _are_digests(batch.column(name))}
    return certain


def _are_digests(values: "pa.Array") -> bool:
    if not pa.types.is_string(values.type):
        return False
    if values.null_count == len(values):
        return True
    lengths = pc.min_max(pc.binary_length(values)).as_py()
    if set(lengths.values()) != {_CHARACTERS}:
        return False
    _, offsets, content = values.buffers()
    ends = memoryview(offsets).cast("i")
    first, last = ends[values.offset], ends[values.offset + len(values)]
    return not memoryview(content)[first:last].tobytes().translate(None, _HEXADECIMAL)
