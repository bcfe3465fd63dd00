"""What is known of the values of columns in Parquet: by the footers, and where those do not say by one query."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adplatform.lake.limited import limited
from adplatform.platform.at_once import at_once
from adplatform.platform.late import Late
from adplatform.transform.rules import identifier

if TYPE_CHECKING:
    import pyarrow.parquet as pq
else:
    pq = Late("pyarrow.parquet")

_FILES = "read_parquet(?, union_by_name = true, hive_partitioning = false)"


@dataclass(frozen=True)
class Values:
    """Of a column in all files: how many rows have a value, as far as that is known, and how many have none, the least
    and the greatest value, the length of the longest text, and how many values more than one row has. None is what
    nobody knows. A bound may be a value of somebody, and is not shown."""

    filled: int = 0
    nulls: int | None = None
    low: Any = field(default=None, repr=False)
    high: Any = field(default=None, repr=False)
    characters: int | None = None
    bytes: int | None = None
    repeated: int | None = None


@dataclass(frozen=True)
class Asked:
    """What has to be known beyond the footers: of which columns the ``lengths``, where a text might be longer than so
    many bytes, and in which values may be ``repeated``."""

    lengths: Mapping[str, int] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()

    def __or__(self, other: "Asked") -> "Asked":
        names = self.lengths.keys() | other.lengths.keys()
        least = {name: min(each.lengths[name] for each in (self, other) if name in each.lengths) for name in names}
        return Asked(least, self.repeated | other.repeated)


def values_of(
    parquet: Sequence[Path | RawIOBase], asked: Asked, work: Path, memory_limit: str, threads: int
) -> dict[str, Values]:
    """What is known of each column. Files that are not on this disk are open, and judged by their footers alone.
    ``work`` takes what does not fit into memory.

    Raises:
        TransientFailure: memory or the disk ran out.
    """
    footers = at_once(pq.read_metadata, parquet)
    found = _by_footers(footers)
    local = [str(file) for file in parquet if isinstance(file, Path)]
    if not local or len(local) < len(parquet):
        return found
    longer = [name for name, limit in asked.lengths.items() if name in found and _may_exceed(footers, name, limit)]
    repeated = [name for name in asked.repeated if name in found]
    if longer or repeated:
        with limited(memory_limit, threads, work) as con:
            found = _counted(con, local, found, longer, repeated)
    return found


def _by_footers(footers: Iterable["pq.FileMetaData"]) -> dict[str, Values]:
    chunks: dict[str, list[Any]] = {}
    for footer in footers:
        for group in (footer.row_group(number) for number in range(footer.num_row_groups)):
            for chunk in (group.column(number) for number in range(group.num_columns)):
                chunks.setdefault(chunk.path_in_schema, []).append(chunk)
    return {name: _values(each) for name, each in chunks.items()}


def _values(chunks: Sequence[Any]) -> Values:
    statistics = [chunk.statistics for chunk in chunks]
    if any(each is None or not each.has_null_count for each in statistics):
        return Values()
    nulls, values = (sum(getattr(each, name) for each in statistics) for name in ("null_count", "num_values"))
    filled = [each for each in statistics if each.num_values]
    if not filled or any(not each.has_min_max for each in filled):
        return Values(values, nulls)
    return Values(values, nulls, min(each.min for each in filled), max(each.max for each in filled))


def _may_exceed(footers: Iterable["pq.FileMetaData"], name: str, limit: int) -> bool:
    """Whether a text may have more bytes: all that a part of a column comes to bounds each of its values."""
    return any(
        chunk.path_in_schema == name and chunk.total_uncompressed_size > limit
        for footer in footers
        for group in (footer.row_group(number) for number in range(footer.num_row_groups))
        for chunk in (group.column(number) for number in range(group.num_columns))
    )


def _counted(
    con: Any, files: list[str], found: Mapping[str, Values], longer: Collection[str], repeated: Collection[str]
) -> dict[str, Values]:
    known = dict(found)
    if longer:
        asked = ", ".join(f"max(length({identifier(n)})), max(strlen({identifier(n)}))" for n in longer)
        row = con.execute(f"select {asked} from {_FILES}", [files]).fetchone()
        for place, name in enumerate(longer):
            known[name] = replace(known[name], characters=row[2 * place] or 0, bytes=row[2 * place + 1] or 0)
    for name in repeated:
        [count] = con.execute(
            f"select count(*) from (select 1 from {_FILES} where {identifier(name)} is not null"
            f" group by {identifier(name)} having count(*) > 1)",
            [files],
        ).fetchone()
        known[name] = replace(known[name], repeated=count)
    return known
