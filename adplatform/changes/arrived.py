"""Changes as they have arrived in the table of changes, made into files that can be merged: each with its sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.changes import CHANGED_AT, OP, SEQUENCE
from adplatform.failures import PermanentFailure
from adplatform.lake.keyed import LOAD, KeyedTable
from adplatform.lake.store import Stored
from adplatform.transform.rules import identifier, literal

if TYPE_CHECKING:
    import duckdb

_LOADED, _READ_AT, _REPLACED, _PLACED = map(identifier, ("of load", "read at", "replaced by a load", "has a place"))
"""No column of a table can have a blank in its name."""


@dataclass(frozen=True)
class Origin:
    """An object, what its rows say that it is, and the sequence and time of its rows, where they have none themselves.
    ``replaced`` when a load that is complete began after it was written, so that what has no sequence in it is older
    than that."""

    uri: str
    file_id: str
    sequence: str | None
    at: datetime | None = None
    replaced: bool = False


@dataclass(frozen=True)
class Change:
    """The objects of one date whose rows are to be merged, the files in which they are, and how many ``rows`` the
    ledger says that they have; of the rows that were ``read`` from the objects the others were ``set_aside``.
    ``version`` is that of the delivery whose files these are."""

    day: str
    version: int
    origins: tuple[Origin, ...]
    files: tuple[Stored, ...]
    rows: int
    read: int
    set_aside: int


def write_changes(
    con: "duckdb.DuckDBPyConnection",
    table: KeyedTable,
    sequence_field: str,
    change: Change,
    files: Sequence[Path],
    target: Path,
    keys: Path | None = None,
) -> int:
    """Write the changes in ``files``, which are files of ``change`` on this machine, to ``target``, as
    :func:`adplatform.lake.keyed.merge` takes them; only those of some ``keys``, where they are given. Returns how many
    were left out: they have no key that can be stored, or no sequence and are older than a load.

    Raises:
        PermanentFailure: a change has no sequence.
    """
    con.execute(
        f"create or replace temp table origins (_source_file varchar, {_LOADED} varchar, {_READ_AT} timestamptz,"
        f" {_REPLACED} boolean)"
    )
    con.executemany(
        "insert into origins values (?, ?, ?, ?)",
        # Tables that an earlier release has written have the URI.
        [
            [called, each.sequence, each.at, each.replaced]
            for each in change.origins
            for called in (each.file_id, each.uri)
        ],
    )
    scan = (
        f"read_parquet([{', '.join(literal(str(f)) for f in files)}], union_by_name = true, hive_partitioning = false)"
    )
    present = {name for name, *_ in con.execute(f"describe select * from {scan}").fetchall()}
    own = ", ".join(identifier(name) for name in table.columns if name in present)
    op, sequence, at = (name if name in present else "null" for name in (OP, SEQUENCE, CHANGED_AT))
    sequence = f"coalesce({_LOADED}, nullif({sequence}, ''))"
    placed = [f"{identifier(name)} is not null" for name in table.key]
    placed.append(f"({sequence} is not null or not {_REPLACED})")
    con.execute(
        f"create or replace temp view arrived as select {own}, case when {_LOADED} is not null then '{LOAD}' else {op}"
        f" end as {OP}, {sequence} as {SEQUENCE}, coalesce({_READ_AT}, {at}) as {CHANGED_AT}, _source_file,"
        f" {' and '.join(placed)} as {_PLACED} from {scan} join origins using (_source_file)"
    )
    lacking = con.execute(
        f"select min(_source_file), count(*) from arrived where {SEQUENCE} is null and {_PLACED}"
    ).fetchone()
    if lacking and lacking[1]:
        raise PermanentFailure(
            f"{lacking[0]}: {lacking[1]} changes have no sequence, so their order cannot be known; add "
            f"$AR_H_CHANGE_SEQ to the table mappings as {sequence_field} (`adplatform dms check` prints the rule), "
            "then reload the table"
        )
    key = ", ".join(map(identifier, table.key))
    only = f" semi join (from read_parquet({literal(str(keys))})) as k using ({key})" if keys is not None else ""
    con.execute(
        f"copy (select * exclude (_source_file, {_PLACED}) from arrived as a{only} where {_PLACED})"
        f" to {literal(str(target))} (format parquet)"
    )
    unplaced = con.execute(f"select count(*) from arrived where not {_PLACED}").fetchone()
    return int(unplaced[0]) if unplaced else 0
