"""What is certain of columns of Parquet by their bytes. A regular expression over each value costs three times as much,
and to compile one for DuckDB more than a small file takes in all."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from adplatform.platform.late import Late

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_ROWS = 2_048
_BUFFER = 1 << 20


def certain(
    parquet: Sequence[Path | BinaryIO],
    columns: Collection[str],
    is_so: "Callable[[pa.Array], bool]",
    *,
    sample: bool = False,
) -> set[str]:
    """Those of the columns of which ``is_so`` says yes for each batch of values, in each file that has them; for a
    ``sample`` by the first rows of files that are not on this disk. Of others nothing is said."""
    left = set(columns)
    for path in parquet:
        # Otherwise pyarrow holds whole columns, or maps the file.
        with pq.ParquetFile(path, pre_buffer=False, memory_map=False, buffer_size=_BUFFER) as file:
            there = sorted(left.intersection(file.schema_arrow.names))
            groups = range(
                min(1, file.num_row_groups) if sample and not isinstance(path, Path) else file.num_row_groups
            )
            read = file.iter_batches(_ROWS, row_groups=list(groups), columns=there, use_threads=False)
            batches = read if there and groups else ()
            for batch in batches:
                left -= {name for name in there if not is_so(batch.column(name))}
    return left


def content(values: "pa.Array") -> bytes:
    """The bytes of all values of type ``string``, one after the other."""
    _, offsets, content = values.buffers()
    if content is None:
        return b""
    ends = memoryview(offsets).cast("i")
    return memoryview(content)[ends[values.offset] : ends[values.offset + len(values)]].tobytes()


def may_have_text(kind: "pa.DataType") -> bool:
    """Whether values of a type, or what they consist of, may be texts."""
    if pa.types.is_nested(kind):
        return any(may_have_text(kind.field(place).type) for place in range(kind.num_fields))
    other = (pa.types.is_primitive, pa.types.is_decimal, pa.types.is_null, pa.types.is_binary)
    return not any(is_other(kind) for is_other in other)
