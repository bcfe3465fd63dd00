"""What is certain of columns of Parquet by their bytes. A regular expression over each value costs three times as much,
and to compile one for DuckDB more than a small file takes in all."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.platform.at_once import at_once
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_ROWS = 2_048
_BUFFER = 1 << 20
_AT_ONCE = 2


def certain(
    parquet: Sequence[Path | RawIOBase],
    columns: Collection[str],
    is_so: "Callable[[pa.Array], bool]",
    *,
    sample: bool = False,
    rows: int = _ROWS,
) -> set[str]:
    """Those of the columns of which ``is_so`` says yes for each batch of values, in each file that has them; for a
    ``sample`` by the first rows of files that are not on this disk. Of others nothing is said. A batch has so many
    ``rows``: few where a value may be long."""
    left = set(columns)
    for path in parquet:
        with _opened(path) as file:
            there = sorted(left.intersection(file.schema_arrow.names))
            groups = list(range(file.num_row_groups))
            if not isinstance(path, Path):
                left -= _others(file, there, groups[:1] if sample else groups, rows, is_so)
                continue
        shares = [share for first in range(_AT_ONCE) if (share := groups[first::_AT_ONCE])]
        for others in at_once(partial(_others_of_share, path, there, rows=rows, is_so=is_so), shares):
            left -= others
    return left


def _opened(path: Path | RawIOBase) -> "pq.ParquetFile":
    # Otherwise pyarrow holds whole columns, or maps the file.
    return pq.ParquetFile(path, pre_buffer=False, memory_map=False, buffer_size=_BUFFER)


def _others_of_share(
    path: Path, columns: Sequence[str], groups: Sequence[int], *, rows: int, is_so: "Callable[[pa.Array], bool]"
) -> set[str]:
    with _opened(path) as file:
        return _others(file, columns, groups, rows, is_so)


def _others(
    file: "pq.ParquetFile",
    columns: Sequence[str],
    groups: Sequence[int],
    rows: int,
    is_so: "Callable[[pa.Array], bool]",
) -> set[str]:
    """Those of the columns that are not so somewhere in these row groups."""
    left = set(columns)
    if left and groups:
        for batch in file.iter_batches(rows, row_groups=list(groups), columns=list(columns), use_threads=False):
            left -= {name for name in left if not is_so(batch.column(name))}
    return set(columns) - left


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
