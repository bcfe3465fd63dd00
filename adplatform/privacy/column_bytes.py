"""What is certain of columns of Parquet by their bytes. A regular expression over each value costs three times as much,
and to compile one for DuckDB more than a small file takes in all."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from adplatform.platform.at_once import at_once
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import opened

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

T = TypeVar("T")

_ROWS = 2_048
_AT_ONCE = 2


def certain(
    parquet: Sequence[Path | RawIOBase],
    columns: Collection[str],
    is_so: "Callable[[pa.Array], bool]",
    *,
    rows: int = _ROWS,
) -> set[str]:
    """Those of the columns of which ``is_so`` says yes for each batch of values, in each file that has them. Of others
    nothing is said. A batch has so many ``rows``: few where a value may be long."""
    left = set(columns)
    for path in parquet:
        for others in _by_share(path, left, partial(_others, rows=rows, is_so=is_so)):
            left -= others
    return left


def summed(
    parquet: Iterable[Path | RawIOBase], columns: Collection[str], count: "Callable[[pa.Array], int]"
) -> Counter[str]:
    """What ``count`` comes to over all batches of values, by column."""
    found = Counter[str]()
    for path in parquet:
        for counted in _by_share(path, columns, partial(_summed, count=count)):
            found.update(counted)
    return found


def _by_share(
    path: Path | RawIOBase, columns: Collection[str], work: "Callable[[pq.ParquetFile, list[str], list[int]], T]"
) -> list[T]:
    """What ``work`` makes of the columns that are there in some row groups each, in several threads of a file on this
    disk."""
    with opened(path) as file:
        there = sorted(set(columns).intersection(file.schema_arrow.names))
        groups = list(range(file.num_row_groups))
        if not there or not groups:
            return []
        if not isinstance(path, Path):
            return [work(file, there, groups)]
    shares = [share for first in range(_AT_ONCE) if (share := groups[first::_AT_ONCE])]
    return at_once(partial(_of_share, path, there, work), shares)


def _of_share(
    path: Path,
    columns: list[str],
    work: "Callable[[pq.ParquetFile, list[str], list[int]], T]",
    groups: list[int],
) -> T:
    with opened(path) as file:
        return work(file, columns, groups)


def _summed(
    file: "pq.ParquetFile", columns: list[str], groups: list[int], *, count: "Callable[[pa.Array], int]"
) -> Counter[str]:
    found = Counter[str]()
    for batch in file.iter_batches(_ROWS, row_groups=groups, columns=columns, use_threads=False):
        found.update({name: more for name in columns if (more := count(batch.column(name)))})
    return found


def _others(
    file: "pq.ParquetFile", columns: list[str], groups: list[int], *, rows: int, is_so: "Callable[[pa.Array], bool]"
) -> set[str]:
    """Those of the columns that are not so somewhere in these row groups."""
    left = set(columns)
    for batch in file.iter_batches(rows, row_groups=groups, columns=columns, use_threads=False):
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
