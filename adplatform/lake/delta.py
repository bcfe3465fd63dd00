"""Small batches of changes beside a keyed table, instead of in it: a file for each batch, and a view over both.

A merge writes every bucket that a change falls into, for a thousand keys as much as for a million. What a batch leaves
of each key is a file at once, without a look at the table, and is merged later, when it pays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.changes import OP, SEQUENCE
from adplatform.lake.keyed import (
    DELETE,
    INSERT,
    LOAD,
    SYSTEM,
    UPDATE,
    KeyedTable,
    names,
    read_changes,
    write_parquet,
)
from adplatform.transform.rules import identifier

if TYPE_CHECKING:
    import duckdb

_OP, _SEQ = identifier(OP), identifier(SEQUENCE)
_WHOLE = f"('{LOAD}', '{INSERT}')"
_PLACE, _LAST, _SINCE = map(identifier, ("_place", "_last", "_since"))
_THERE, _NEWER, _LATEST, _BEGUN, _CARRIED = map(identifier, ("_there", "_newer", "_latest", "_begun", "_carried"))


@dataclass(frozen=True)
class Delta:
    """How many changes a batch had, and how many rows its file has: one of each key."""

    changes: int
    keys: int


def delta(con: "duckdb.DuckDBPyConnection", table: KeyedTable, changes: Sequence[Path], target: Path) -> Delta:
    """Write the Parquet file ``target`` with the latest change of each key in a batch: the table's columns, ``OP``,
    ``SEQUENCE`` and ``CHANGED_AT``; of a delete only the key counts. The connection and ``changes`` are as for
    :func:`adplatform.lake.keyed.merge`.

    A value that is not in the batch because it did not change stays NULL. A row that was inserted in the batch lacks
    nothing, and its operation is ``INSERT`` even when an update came last.

    Raises:
        PermanentFailure: two changes of one row have the same sequence and differ, or a change has no key or sequence.
    """
    total, _ = read_changes(con, table, changes, every=bool(table.unchanged))
    latest = f"with {_latest(table, 'changes')} select * from {_LATEST}"
    return Delta(total, write_parquet(con, latest, target))


def current_sql(table: KeyedTable, rows: str, tombstones: str | None, changes: str) -> str:
    """A query for the table as it is with the changes that were not merged yet: its own columns, ``SEQUENCE`` and
    ``CHANGED_AT``. DuckDB, Trino and Athena take it. A key may be both among ``rows`` and ``tombstones`` while a merge
    shows its versions; that with the greater sequence counts.

    ``rows``, ``tombstones`` and ``changes`` are relations in the SQL of the engine, such as the name of a table, with
    all columns. ``changes`` has what :func:`delta` wrote of any batches, or the changes themselves; what is merged
    already may still be among it.

    Without ``unchanged`` columns the result is what merging comes to, whatever the order of the changes. With them it
    is so for all keys but two kinds, whose values in such columns may differ until they are merged ``anew``: those with
    a change older than what was merged, which a merge names as ``late``; and those with files of two batches, one of
    which has changes both before and after a change of the other.
    """
    kept, own, key = _kept(table), (*table.columns, *SYSTEM), names(table.key)
    base = (*table.key, SEQUENCE, *kept)
    there = " union all ".join(
        f"select {_of('b', base)} from {relation} as b"
        f" join (select distinct {key} from {changes} as a) as c on {_same(table, 'b', 'c')}"
        for relation in (rows, tombstones)
        if relation is not None
    )
    if tombstones is not None:
        there = (
            f"select {names(base)} from (select {names(base)}, row_number() over (partition by {key}"
            f" order by {_SEQ} desc) as {_PLACE} from ({there}) as a) as a where {_PLACE} = 1"
        )
    ended = (
        f" and not exists (select 1 from {tombstones} as c where {_same(table, 'b', 'c')} and c.{_SEQ} > b.{_SEQ})"
        if tombstones is not None
        else ""
    )
    newer = (
        f"select {_of('c', (*table.columns, OP, *SYSTEM))} from {changes} as c"
        f" left join {_THERE} as b on {_same(table, 'b', 'c')} where b.{_SEQ} is null or c.{_SEQ} > b.{_SEQ}"
    )
    values = {name: f"c.{identifier(name)}" for name in own}
    for name in kept:
        whole, before = values[name], f"b.{identifier(name)}"
        values[name] = f"case when c.{_OP} in {_WHOLE} then {whole} else coalesce({whole}, {before}) end"
    return (
        f"with {_THERE} as ({there}), {_NEWER} as ({newer}), {_latest(table, _NEWER)}"
        f" select {_of('b', own)} from {rows} as b"
        f" where not exists (select 1 from {_LATEST} as c where {_same(table, 'b', 'c')}){ended}"
        f" union all select {_named(values)} from {_LATEST} as c left join {_THERE} as b on {_same(table, 'b', 'c')}"
        f" where c.{_OP} <> '{DELETE}'"
    )


def _latest(table: KeyedTable, states: str) -> str:
    """Named queries in any engine's SQL, ``_LATEST`` the last of them: the last change of each key in ``states``, with
    the values that it lacks from those before, back to where the row was whole."""
    kept, own, key = _kept(table), (*table.columns, OP, *SYSTEM), names(table.key)
    placed = (
        f"select {names(own)}, row_number() over (partition by {key} order by {_SEQ} desc) as {_PLACE}"
        f" from {states} as a"
    )
    if not kept:
        return f"{_LATEST} as (select {names(own)} from ({placed}) as a where {_PLACE} = 1)"
    begun = f"select {key}, max({_SEQ}) filter (where {_OP} in {_WHOLE}) as {_SINCE} from {states} as a group by {key}"
    present = {
        name: f"max_by(a.{quoted}, a.{_SEQ}) filter (where a.{quoted} is not null)"
        for name, quoted in ((name, identifier(name)) for name in kept)
    }
    carried = (
        f"select {_of('a', table.key)}, {_named(present)} from {states} as a join {_BEGUN} as b"
        f" on {_same(table, 'a', 'b')} where a.{_OP} <> '{DELETE}' and (b.{_SINCE} is null or a.{_SEQ} >= b.{_SINCE})"
        f" group by {_of('a', table.key)}"
    )
    values = {name: f"{'c' if name in kept else 'a'}.{identifier(name)}" for name in own}
    values[OP] = f"case when a.{_OP} = '{UPDATE}' and b.{_SINCE} is not null then '{INSERT}' else a.{_OP} end"
    latest = (
        f"select {_named(values)} from ({placed}) as a join {_BEGUN} as b on {_same(table, 'a', 'b')}"
        f" left join {_CARRIED} as c on {_same(table, 'a', 'c')} where a.{_PLACE} = 1"
    )
    return f"{_BEGUN} as ({begun}), {_CARRIED} as ({carried}), {_LATEST} as ({latest})"


def _kept(table: KeyedTable) -> tuple[str, ...]:
    return tuple(name for name in table.values if name in table.unchanged)


def _same(table: KeyedTable, one: str, other: str) -> str:
    return " and ".join(f"{one}.{name} = {other}.{name}" for name in map(identifier, table.key))


def _of(relation: str, columns: Iterable[str]) -> str:
    return ", ".join(f"{relation}.{identifier(name)}" for name in columns)


def _named(values: Mapping[str, str]) -> str:
    return ", ".join(f"{value} as {identifier(name)}" for name, value in values.items())
