"""How the changes of a table are merged, wherever that is done: on the machine of a run, or by executors of Spark. All
files are on the machine that works on them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.changes import CHANGED_AT, OP, SEQUENCE
from adplatform.contracts.types import parse_type
from adplatform.lake.keyed import DELETE, Bucket, KeyedTable, names, rows_of, write_parquet
from adplatform.transform.rules import identifier, literal, sql_type
from adplatform.transform.values import OutputColumn

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Complete:
    """A complete reading of a table: a row that was read before the sequence ``floor``, ``since`` which the reading's
    view was taken, and that it lacks, is gone."""

    floor: str
    since: datetime


@dataclass(frozen=True)
class Merging:
    """A merge. ``columns`` are (name, type) of the rows by now; where the table has ``grown``, files from before have
    to be written again, and of each ``added`` column older rows have the value that is declared. ``floors`` and
    ``swept`` are as of :func:`adplatform.lake.keyed.merge`."""

    table: KeyedTable
    columns: tuple[tuple[str, str], ...]
    grown: bool = False
    added: tuple[tuple[str, str | None], ...] = ()
    sequence_field: str = ""
    history: bool = False
    floors: tuple[str, ...] = ()
    swept: bool = False
    complete: Complete | None = None

    @property
    def outputs(self) -> tuple[OutputColumn, ...]:
        return tuple(OutputColumn(name, parse_type(kind)) for name, kind in self.columns)


def grow(con: "duckdb.DuckDBPyConnection", merging: Merging, path: Path) -> None:
    """Give a file from before the columns that the table has got since."""
    defaults, values = dict(merging.added), []
    for column in merging.outputs:
        default = defaults.get(column.name)
        value = "null" if default is None else literal(default)
        added = f"cast({value} as {sql_type(column.type)}) as {identifier(column.name)}"
        values.append(added if column.name in defaults else identifier(column.name))
    target = path.with_suffix(".grown")
    con.execute(
        f"copy (select {', '.join(values)} from read_parquet({literal(str(path))}, hive_partitioning = false))"
        f" to {literal(str(target))} (format parquet)"
    )
    target.rename(path)


def deletions(
    con: "duckdb.DuckDBPyConnection",
    merging: Merging,
    complete: Complete,
    base: Sequence[Bucket],
    changes: Sequence[Path],
    present: Sequence[Path],
    target: Path,
) -> int:
    """Write to ``target`` a deletion of each row, of the ``base`` or among the ``changes``, that was read before the
    ``complete`` reading, whose keys are in the files ``present``, and is not in it; how many they are."""
    table, floor, key = merging.table, complete.floor, names(merging.table.key)
    there = [bucket.rows for bucket in base if bucket.rows is not None] + list(changes)
    before = (
        f"select distinct {key} from {rows_of(there)} where {SEQUENCE} < {literal(floor)}"
        if there
        else f"select {_nothing(merging.outputs, table.key)} where false"
    )
    lacking = f" anti join (select {key} from {rows_of(present)}) as p using ({key})" if present else ""
    values = _nothing(merging.outputs, table.values)
    return write_parquet(
        con,
        f"select {key}{', ' if values else ''}{values}, '{DELETE}' as {OP}, {literal(floor)} as {SEQUENCE},"
        f" timestamptz {literal(complete.since.isoformat())} as {CHANGED_AT} from ({before}) as b{lacking}",
        target,
    )


def remaining(
    con: "duckdb.DuckDBPyConnection", table: KeyedTable, files: Sequence[Path], late: Path, target: Path
) -> Path | None:
    """The versions in files of rows that are not ``late``; None, and no file, when none is left."""
    query = (
        f"select * from (from {rows_of(files)}) as v anti join (from {rows_of([late])}) as l using ({names(table.key)})"
    )
    if write_parquet(con, query, target):
        return target
    target.unlink()
    return None


def _nothing(columns: Iterable[OutputColumn], wanted: Iterable[str]) -> str:
    """Columns without values, of their types."""
    types = {column.name: column.type for column in columns}
    return ", ".join(f"cast(null as {sql_type(types[name])}) as {identifier(name)}" for name in wanted)
