"""Changes of rows merged into a keyed table, bucket by bucket, in bounded memory.

A table is kept as one Parquet file of rows and one of tombstones for each bucket of its key. A change applies when its
sequence is greater than that of the row or tombstone that is there; order is the sequence alone, never a time. A delete
leaves a tombstone with the last values, so that what comes late cannot bring the row back. Merging the same changes
again, in any order, changes nothing.

Only where a value's absence means that it did not change (``unchanged``) the guard is not enough: an older change that
comes late may hold the value. Its keys are named as ``late``, to be merged again from all their changes (``anew``).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adplatform.contracts.changes import CHANGED_AT, OP, SEQUENCE
from adplatform.failures import PermanentFailure
from adplatform.platform.heeding import heeding
from adplatform.platform.late import Late
from adplatform.transform.exhaustion import is_of_disk, ran_out
from adplatform.transform.rules import identifier, literal, sql_type
from adplatform.transform.values import OutputColumn

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")

SYSTEM = (SEQUENCE, CHANGED_AT)
"""Columns of rows and tombstones beside their own."""
VALID_TO, CLOSED_BY = "_valid_to", "_closed_by"
"""Columns of closed versions: when the next change was committed, and its sequence."""
LOAD, INSERT, UPDATE, DELETE = "L", "I", "U", "D"
_ROW, _TOMBSTONE = "B", "T"
_GROUP_ROWS = 122_880


@dataclass(frozen=True)
class KeyedTable:
    """A table by its key. ``columns`` are all of its own, the key included; of those in ``unchanged`` an update without
    a value means that the value stayed. ``buckets`` never changes while the table has rows. Where
    a row ``repeats``, it comes again whenever it is read: with the same values it is the same version, and one that
    comes late is superseded without a trace in the history."""

    key: tuple[str, ...]
    columns: tuple[str, ...]
    buckets: int
    unchanged: frozenset[str] = frozenset()
    repeats: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if name not in self.key)


@dataclass(frozen=True)
class Bucket:
    """The files of one bucket: its rows, and its tombstones. Either may be None, where there are none."""

    number: int
    rows: Path | None = None
    tombstones: Path | None = None


@dataclass(frozen=True)
class Merged:
    """What merging came to: ``changes == applied + superseded``, where a change is superseded by a later one of its
    row, or by what was merged before. ``late`` is a Parquet file with the keys to be merged ``anew``, None without."""

    buckets: tuple[Bucket, ...]
    changes: int
    applied: int
    superseded: int
    rows: int
    tombstones: int
    closed: Path | None = None
    late: Path | None = None


@dataclass(frozen=True)
class _Job:
    """What holds for every bucket of a merge. No change is older than ``oldest``; ``swept`` when rows below the last of
    the ``floors`` may be there."""

    table: KeyedTable
    history: bool
    anew: bool
    floors: tuple[str, ...]
    swept: bool
    oldest: str

    @property
    def floor(self) -> str:
        return self.floors[-1] if self.floors else ""

    @property
    def exact(self) -> bool:
        """Whether every change counts, not only the last one of its row."""
        return self.history or bool(self.table.unchanged)

    @property
    def fresh(self) -> str:
        """Of keys that are made anew nothing counts that was there."""
        return f"anti join again using ({names(self.table.key)})" if self.anew else ""


@contextmanager
def merging(work: Path, memory_limit: str, threads: int) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A connection for :func:`merge`, which spills below ``work``.

    Raises:
        TransientFailure: the machine ran out of memory.
        EnvironmentFailure: the disk has no room.
        PermanentFailure: DuckDB cannot do it.
    """
    settings = {
        "memory_limit": memory_limit,
        "threads": threads,
        "temp_directory": str(work),
        "autoinstall_known_extensions": False,
        "preserve_insertion_order": False,
    }
    with duckdb.connect(config=settings) as con:
        try:
            con.execute("set TimeZone = 'UTC'")
            with heeding(con) as heedful:
                yield heedful
        except (duckdb.OutOfMemoryException, duckdb.IOException) as e:
            raise ran_out(f"a merge under a limit of {memory_limit}", e, work) from e
        except duckdb.Error as e:
            if is_of_disk(e):
                raise ran_out(f"a merge under a limit of {memory_limit}", e, work) from None
            # Without "from e": DuckDB quotes the offending value, which may be personal.
            raise PermanentFailure(f"rows and changes do not fit together: DuckDB says {type(e).__name__}") from None


def merge(
    con: "duckdb.DuckDBPyConnection",
    table: KeyedTable,
    base: Sequence[Bucket],
    changes: Sequence[Path],
    target: Path,
    *,
    history: bool = False,
    anew: Path | None = None,
    floors: Iterable[str] = (),
    swept: bool = True,
) -> Merged:
    """Merge the ``changes`` into the ``base``, which stays as it is: every bucket that changed is written below
    ``target``, an empty directory, the others are returned as they were.

    ``changes`` are Parquet files with the table's columns and ``OP``, ``SEQUENCE`` and ``CHANGED_AT``; a delete needs
    no more than the key. With ``history`` the versions that were closed are written, too. Rows with keys in the file
    ``anew`` are made of the changes alone, which have to be all there are of them. ``floors`` are the sequences with
    which loads began that are complete, and the sequences of their rows begin with them: a row whose sequence is below
    one, and that no change has made since, is not in that load and becomes a tombstone of the sequence before it, which
    a row of the load replaces that comes later, such as one that was mended. Where the table has none below the last of
    them any more, it need not be ``swept``, and only the changes are looked at. Versions that were closed before a
    floor was known may go beyond it: :func:`beyond` names their keys, to be merged ``anew``.

    Raises:
        PermanentFailure: two changes of one row have the same sequence and differ, or a change has no key or sequence.
    """
    begun = tuple(sorted(floors))
    if changes:
        exact, floor = history or bool(table.unchanged), begun[-1] if begun else ""
        total, oldest = read_changes(con, table, changes, every=exact, floor=floor)
    elif (there := next((file for each in base for file in (each.rows, each.tombstones) if file), None)) is not None:
        total, oldest = _no_changes(con, table, there)
    else:
        return Merged(tuple(base), 0, 0, 0, 0, 0)
    job = _Job(table, history, anew is not None, begun, bool(begun) and swept, oldest)
    key = names(table.key)
    con.execute(f"create or replace temp table again as {_keys_of(table, anew)}")
    known = {bucket.number: bucket for bucket in base}
    touched = {number for (number,) in con.execute("select distinct _bucket from changes").fetchall()}
    if anew is not None:
        touched |= {number for (number,) in con.execute(f"select distinct {bucket_sql(table)} from again").fetchall()}
    if job.swept:
        touched |= known.keys()
    con.execute(f"create or replace temp table late as select {key} from again where false")
    if history:
        con.execute(_no_versions(table))
    applied = 0
    for n in sorted(touched):
        before = known.get(n, Bucket(n))
        made, bare = _decide(con, job, before)
        if made or job.anew or job.swept:
            known[n] = _write(con, job, before, target, bare=bare)
        applied += made
    buckets = tuple(bucket for _, bucket in sorted(known.items()))
    return Merged(
        buckets=buckets,
        changes=total,
        applied=applied,
        superseded=total - applied,
        rows=_rows_in(con, (bucket.rows for bucket in buckets)),
        tombstones=_rows_in(con, (bucket.tombstones for bucket in buckets)),
        closed=_written(con, "select * from versions", target / "closed.parquet") if history else None,
        late=_written(con, "select distinct * from late", target / "late.parquet"),
    )


def buckets_of(con: "duckdb.DuckDBPyConnection", table: KeyedTable, changes: Sequence[Path]) -> set[int]:
    """The buckets into which ``changes`` fall, files as :func:`merge` takes them."""
    if not changes:
        return set()
    query = f"select distinct {bucket_sql(table)} from {rows_of(changes)}"
    return {number for (number,) in con.execute(query).fetchall()}


def beyond(
    con: "duckdb.DuckDBPyConnection",
    table: KeyedTable,
    closed: Sequence[Path],
    floors: Iterable[str],
    late: Path | None,
    target: Path,
) -> Path | None:
    """The file ``target`` with the keys of ``closed`` versions that began before one of the ``floors`` and were closed
    after it, and those in ``late``; None, and no file, without any."""
    key = names(table.key)
    crossed = " or ".join(
        f"{SEQUENCE} < {floor} and {CLOSED_BY} > {floor} and not starts_with({CLOSED_BY}, {floor})"
        for floor in map(literal, floors)
    )
    queries = [f"select {key} from {rows_of(closed)} where {crossed}"] if closed and crossed else []
    queries += [f"select {key} from {rows_of([late])}"] if late is not None else []
    return _written(con, f"select distinct {key} from ({' union all '.join(queries)})", target) if queries else None


def revived(
    con: "duckdb.DuckDBPyConnection",
    table: KeyedTable,
    columns: Iterable[OutputColumn],
    tombstones: Sequence[Path],
    rows: Sequence[Path],
    target: Path,
) -> int:
    """Write to ``target`` the ``tombstones`` of which there are ``rows`` again, with all ``columns``, and return how
    many they are; no file without any. Tombstones without a column of the key are of none of the rows."""
    scan, present = rows_of(tombstones), _present(con, tombstones)
    if not present.issuperset(table.key):
        return 0
    own = [
        identifier(c.name) if c.name in present else f"cast(null as {sql_type(c.type)}) as {identifier(c.name)}"
        for c in columns
    ]
    found = write_parquet(
        con,
        f"select {', '.join(own)} from {scan} as t semi join {rows_of(rows)} as r using ({names(table.key)})",
        target,
    )
    if not found:
        target.unlink()
    return found


def read_changes(
    con: "duckdb.DuckDBPyConnection", table: KeyedTable, changes: Sequence[Path], *, every: bool, floor: str = ""
) -> tuple[int, str]:
    """``changes``, each once, with its bucket; how many came, and the first sequence. Two of one row and sequence are
    the same change where one lacks values of the other, or differs in its time alone.

    Unless ``every`` change counts, only the last one of each key is there, and the last one with values. What came
    before the sequence ``floor`` may contradict itself, because no row is made of it.
    """
    scan, present = rows_of(changes), _present(con, changes)
    own = [identifier(n) if n in present else f"null as {identifier(n)}" for n in table.columns]
    key = names(table.key)
    absent = " or ".join(f"{identifier(n)} is null" for n in (*table.key, SEQUENCE, OP))
    if broken := _count(con, f"select count(*) from {scan} where {absent}"):
        raise PermanentFailure(f"{broken} changes have no key, operation or sequence: they belong into quarantine")
    each = f"select {', '.join([*own, OP, SEQUENCE, CHANGED_AT])} from {scan}"
    several = f"select count(*) from (select 1 from ({each}) group by {key}, {SEQUENCE} having count(*) > 1)"
    if _count(con, several):
        said = [identifier(name) for name in (*table.values, OP)]
        differs = " or ".join(f"count(distinct {name}) > 1" for name in said)
        query = (
            f"select min({SEQUENCE}), count(*) from (select {SEQUENCE} from ({each})"
            f" where {SEQUENCE} >= {literal(floor)} group by {key}, {SEQUENCE} having {differs})"
        )
        first, twice = _first(con, query)
        if twice:
            raise _contradiction(twice, first)
        values = ", ".join(f"max({name}) as {name}" for name in (*said, CHANGED_AT))
        each = f"select {key}, {SEQUENCE}, {values} from ({each}) group by {key}, {SEQUENCE}"
    if not every:
        each = (
            f"select * from ({each}) qualify {SEQUENCE} = max({SEQUENCE}) over (partition by {key})"
            f" or {SEQUENCE} = max({SEQUENCE}) filter ({OP} <> '{DELETE}') over (partition by {key})"
        )
    # In order of their buckets, so that a bucket's are found without looking through all.
    numbered = f"select *, {bucket_sql(table)} as _bucket from ({each})"
    con.execute(f"create or replace temp table changes as {numbered} order by _bucket")
    total, oldest = _first(con, f"select count(*), coalesce(min({SEQUENCE}), '') from {scan}")
    return int(total), str(oldest)


def _contradiction(rows: int, sequence: str) -> PermanentFailure:
    return PermanentFailure(
        f"{rows} rows have two different changes of one sequence, the first {sequence}: their order cannot be known; "
        "reload the table"
    )


def _no_changes(con: "duckdb.DuckDBPyConnection", table: KeyedTable, there: Path) -> tuple[int, str]:
    """As :func:`read_changes` where none has come: they would have the types of what is ``there``."""
    con.execute(
        f"create or replace temp table changes as select {names(table.columns)}, '' as {OP}, {names(SYSTEM)},"
        f" 0::integer as _bucket from {_there(table, there)} where false"
    )
    return 0, ""


def _decide(con: "duckdb.DuckDBPyConnection", job: _Job, before: Bucket) -> tuple[int, bool]:
    """``final``: what a bucket's changes make of its rows, how many, and whether any is ``_bare``, deleted by changes
    without values. Closed versions and what came late are added to ``versions`` and ``late``."""
    table, n = job.table, before.number
    key, own = names(table.key), names(table.columns)
    rows, tombstones = _there(table, before.rows), _there(table, before.tombstones)
    # What is older than all changes supersedes none, and Parquet's statistics say so of whole groups of rows.
    known = (
        f"semi join (select {key} from changes where _bucket = {n}) using ({key}) {job.fresh}"
        f" where {SEQUENCE} >= {literal(job.oldest)}"
    )
    con.execute(
        f"create or replace temp table known as select {key}, {SEQUENCE} from {rows} {known}"
        f" union all select {key}, {SEQUENCE} from {tombstones} {known}"
    )
    if job.exact and not table.repeats:
        con.execute(
            f"insert into late select {key} from changes join known using ({key})"
            f" where _bucket = {n} and changes.{SEQUENCE} < known.{SEQUENCE}"
        )
    if not table.repeats:
        _refuse_contradictions(con, job, rows, tombstones)
    con.execute(
        f"create or replace temp table newer as select changes.* exclude (_bucket) from changes left join known"
        f" using ({key}) where _bucket = {n} and (known.{SEQUENCE} is null or changes.{SEQUENCE} > known.{SEQUENCE})"
    )
    if job.exact:
        wanted = f"semi join newer using ({key}) {job.fresh}"
        con.execute(
            f"create or replace temp table states as select * from newer union all by name"
            f" select {own}, {names(SYSTEM)}, '{_ROW}' as {OP} from {rows} {wanted} union all by name"
            f" select {own}, {names(SYSTEM)}, '{_TOMBSTONE}' as {OP} from {tombstones} {wanted}"
        )
    if job.exact and table.repeats:
        con.execute(f"create or replace temp table states as {_changing(table)}")
    if job.exact and job.floors:
        con.execute(f"insert into states by name {_ends(job)}")
    if job.history:
        con.execute(f"insert into versions {_closed(job)}")
    con.execute(f"create or replace temp table final as {_last_state(table) if job.exact else _last_change(table)}")
    if job.history and job.floor:
        con.execute(f"insert into versions {_ended_by_load(job, rows)}")
    made, bare = _first(con, "select count(*), count(*) filter (_bare) from final")
    return int(made), bool(bare)


def _refuse_contradictions(con: "duckdb.DuckDBPyConnection", job: _Job, rows: str, tombstones: str) -> None:
    """Rows of a load are no changes: those of one that nobody knows of yet have the sequence of the one before.

    Raises:
        PermanentFailure: a change has the sequence of a row or tombstone that is there, and other values.
    """
    table, key = job.table, names((*job.table.key, SEQUENCE))
    same = (
        f"(select * from changes semi join known using ({key})"
        f" where {SEQUENCE} >= {literal(job.floor)} and {OP} <> '{LOAD}')"
    )
    if not _count(con, f"select count(*) from {same}"):
        return
    values = map(identifier, table.values)
    differs = " or ".join(
        [f"c.{OP} = '{DELETE}'", *(f"c.{name} is not null and c.{name} is distinct from t.{name}" for name in values)]
    )
    first, found = _first(
        con,
        f"select min({SEQUENCE}), count(*) from ("
        f"select {SEQUENCE} from {same} as c join {rows} as t using ({key}) where {differs} union all"
        f" select {SEQUENCE} from {same} as c join {tombstones} as t using ({key}) where c.{OP} <> '{DELETE}')",
    )
    if found:
        raise _contradiction(found, first)


def _write(con: "duckdb.DuckDBPyConnection", job: _Job, before: Bucket, target: Path, *, bare: bool) -> Bucket:
    """The files of a bucket: what was there and stays, and ``final``."""
    table, floor, n = job.table, job.floor, before.number
    key, own = names(table.key), names(table.columns)
    rows, tombstones = _there(table, before.rows), _there(table, before.tombstones)
    stay = f"anti join final using ({key}) {job.fresh}"
    alive = f"select {own}, {names(SYSTEM)} from {rows} {stay} union all by name"
    alive += f" select {own}, {names(SYSTEM)} from final where not _deleted"
    dead = f"select {own}, {names(SYSTEM)} from {tombstones} {stay} union all by name"
    dead += f" select {own}, {names(SYSTEM)} from final where _deleted and not _bare"
    if bare:
        # Reading the values of what was there costs as much for no rows as for many.
        there = f"(select {own} from {rows} {job.fresh} union all by name select {own} from {tombstones} {job.fresh})"
        dead += (
            f" union all by name select {own}, {names(SYSTEM)} from {there} right join"
            f" (select {names((*table.key, *SYSTEM))} from final where _bare) using ({key})"
        )
    if floor:
        alive = f"select * from ({alive}) where {SEQUENCE} >= {literal(floor)}"
        dead += (
            f" union all by name select {own}, {_before_floor(job)} as {SEQUENCE}, {_begun_above(job)} as {CHANGED_AT}"
            f" from ({_not_loaded(job, rows)})"
        )
    return Bucket(
        n,
        _written(con, alive, target / f"rows-{n:05}.parquet"),
        _written(con, dead, target / f"tombstones-{n:05}.parquet"),
    )


def _not_loaded(job: _Job, rows: str) -> str:
    """The rows that a load has ended, as they were: those that stay, and those in ``final``."""
    own, below = names((*job.table.columns, *SYSTEM)), f"{SEQUENCE} < {literal(job.floor)}"
    stay = f"anti join final using ({names(job.table.key)}) {job.fresh}"
    made = f"select {own} from final where not _deleted and {below}"
    return f"select {own} from {rows} {stay} where {below} union all by name {made}" if job.swept else made


def _ended_by_load(job: _Job, rows: str) -> str:
    """The last versions of rows that a load has ended, which was when it began."""
    return (
        f"select {names((*job.table.columns, *SYSTEM))}, {_begun_above(job)} as {VALID_TO},"
        f" {_floor_above(job)} as {CLOSED_BY} from ({_not_loaded(job, rows)})"
    )


def _ends(job: _Job) -> str:
    """Deletions that loads stand for: of each of the ``states`` that is no deletion, where the next one of its key is
    later than a load that it is not in."""
    key, following = names(job.table.key), f"over (partition by {names(job.table.key)} order by {SEQUENCE})"
    after = f"select {key}, {OP}, {SEQUENCE}, lead({SEQUENCE}) {following} as after from states"
    return (
        f"select {key}, '{DELETE}' as {OP}, {_before_floor(job)} as {SEQUENCE}, {_begun_above(job)} as {CHANGED_AT}"
        f" from ({after}) where {OP} not in ('{DELETE}', '{_TOMBSTONE}')"
        f" and (after is null and {SEQUENCE} < {literal(job.floor)}"
        f" or {_floor_above(job)} < after and not starts_with(after, {_floor_above(job)}))"
    )


def _floor_above(job: _Job) -> str:
    """The first floor above the sequence of a row, null without one."""
    cases = " ".join(f"when {SEQUENCE} < {literal(floor)} then {literal(floor)}" for floor in job.floors)
    return f"case {cases} end"


def _before_floor(job: _Job) -> str:
    """The sequence before that floor."""
    cases = " ".join(f"when {SEQUENCE} < {literal(f)} then {literal(_sequence_before(f))}" for f in job.floors)
    return f"case {cases} end"


def _sequence_before(floor: str) -> str:
    return f"{int(floor) - 1:0{len(floor)}}"


def _begun_above(job: _Job) -> str:
    """When the load of that floor began."""
    begun = {f: datetime.strptime(f"{f[:16]}+0000", "%Y%m%d%H%M%S%f%z").isoformat(" ") for f in job.floors}
    cases = " ".join(f"when {SEQUENCE} < {literal(f)} then timestamptz {literal(at)}" for f, at in begun.items())
    return f"case {cases} end"


def _last_change(table: KeyedTable) -> str:
    """The last state of each key in ``newer``, which has of each its last change and the last one with values."""
    key = names(table.key)
    values = "".join(f", valued.{identifier(name)}" for name in table.values)
    return (
        f"select {names((*table.columns, *SYSTEM))}, false as _deleted, false as _bare from newer"
        f" anti join (select {key} from newer where {OP} = '{DELETE}') using ({key}) where {OP} <> '{DELETE}'"
        f" union all by name select {key}{values}, gone.{SEQUENCE}, gone.{CHANGED_AT}, true as _deleted,"
        f" valued.{SEQUENCE} is null as _bare from (from newer where {OP} = '{DELETE}') gone"
        f" left join (from newer where {OP} <> '{DELETE}') valued using ({key})"
    )


def _last_state(table: KeyedTable) -> str:
    """The last state of each key in ``states``: the values of the last that is no delete, and of a value that an update
    lacks because it did not change, the last one since the row was whole."""
    key = names(table.key)
    whole = ", ".join(literal(op) for op in (LOAD, INSERT, _ROW, _TOMBSTONE))
    kept = [name for name in table.values if name in table.unchanged]
    plain = [name for name in table.values if name not in table.unchanged]
    tables = {
        "places": f"select {key}, max({SEQUENCE}) as _last, max_by({OP}, {SEQUENCE}) as _last_op,"
        f" max_by({CHANGED_AT}, {SEQUENCE}) as _at, max({SEQUENCE}) filter ({OP} <> '{DELETE}') as _valued,"
        f" max({SEQUENCE}) filter ({OP} in ({whole})) as _whole from states group by {key}",
        "valued": f"select {names((*table.key, *plain))} from states join places using ({key})"
        f" where {SEQUENCE} = _valued",
    }
    if kept:
        last = ", ".join(
            f"max_by({identifier(n)}, {SEQUENCE}) filter ({identifier(n)} is not null) as {identifier(n)}" for n in kept
        )
        tables["carried"] = (
            f"select {key}, {last} from states join places using ({key})"
            f" where {SEQUENCE} >= coalesce(_whole, '') and {OP} <> '{DELETE}' group by {key}"
        )
    joins = " ".join(f"left join {name} using ({key})" for name in tables if name != "places")
    return (
        f"with {', '.join(f'{name} as ({query})' for name, query in tables.items())} select {names(table.columns)},"
        f" _last as {SEQUENCE}, _at as {CHANGED_AT}, _last_op in ('{DELETE}', '{_TOMBSTONE}') as _deleted,"
        f" false as _bare"
        f" from places {joins}"
    )


def _changing(table: KeyedTable) -> str:
    """``states`` without those that are as the one before: of each that stays so the last, with the time of the first
    and the sequence of the last."""
    following = f"over (partition by {names(table.key)} order by {SEQUENCE})"
    values = f"row({', '.join([*map(identifier, table.columns), '_ended'])})"
    ended = f"select *, {OP} in ('{DELETE}', '{_TOMBSTONE}') as _ended from states"
    begins = f"select *, {values} is distinct from lag({values}) {following} as _begins from ({ended})"
    # In the history a version has the sequence of what read it last.
    runs = f"select *, sum(_begins::int) {following} as _run from ({begins})"
    each = f"partition by {names(table.key)}, _run"
    first = f"min({CHANGED_AT}) over ({each}) as {CHANGED_AT}"
    return (
        f"select * exclude (_begins, _run, _ended) replace ({first}) from ({runs})"
        f" qualify {SEQUENCE} = max({SEQUENCE}) over ({each})"
    )


def _closed(job: _Job) -> str:
    """The versions of rows that a later change, or a load, has ended, with the values that the row had then."""
    table = job.table
    key, own = names(table.key), list[str]()
    for name in table.columns:
        quoted = identifier(name)
        if name in table.unchanged:
            own.append(
                f"last_value({quoted} ignore nulls) over (partition by {key}, _part order by {SEQUENCE}"
                f" rows unbounded preceding) as {quoted}"
            )
        else:
            own.append(quoted)
    whole = ", ".join(literal(op) for op in (LOAD, INSERT, _ROW, _TOMBSTONE))
    parts = (
        f"select *, count(*) filter ({OP} in ({whole})) over (partition by {key} order by {SEQUENCE}"
        f" rows unbounded preceding) as _part from states"
    )
    following = f"over (partition by {key} order by {SEQUENCE})"
    versions = (
        f"select {', '.join(own)}, {SEQUENCE}, {CHANGED_AT}, lead({CHANGED_AT}) {following} as {VALID_TO},"
        f" lead({SEQUENCE}) {following} as {CLOSED_BY}, {OP} from ({parts})"
    )
    loads = " ".join(f"when {literal(_sequence_before(floor))} then {literal(floor)}" for floor in job.floors)
    by = f"case {CLOSED_BY} {loads} else {CLOSED_BY} end as {CLOSED_BY}" if loads else CLOSED_BY
    return (
        f"select {names(table.columns)}, {SEQUENCE}, {CHANGED_AT}, {VALID_TO}, {by} from ({versions}) as v"
        f" where v.{CLOSED_BY} is not null and {OP} not in ('{DELETE}', '{_TOMBSTONE}')"
    )


def _no_versions(table: KeyedTable) -> str:
    return (
        f"create or replace temp table versions as select {names(table.columns)}, {SEQUENCE}, {CHANGED_AT},"
        f" {CHANGED_AT} as {VALID_TO}, {SEQUENCE} as {CLOSED_BY} from changes where false"
    )


def _there(table: KeyedTable, path: Path | None) -> str:
    """The rows of a file, as a relation."""
    if path is not None:
        return f"read_parquet({literal(str(path))}, hive_partitioning = false)"
    return f"(select {names(table.columns)}, {names(SYSTEM)} from changes where false)"


def _keys_of(table: KeyedTable, anew: Path | None) -> str:
    key = names(table.key)
    if anew is None:
        return f"select {key} from changes where false"
    return f"select distinct {key} from read_parquet({literal(str(anew))}, hive_partitioning = false)"


def bucket_sql(table: KeyedTable) -> str:
    """The bucket of a key, the same with every engine and version: by the first 32 bits of MD5 of its text."""
    text = ", ".join(f"coalesce(cast({identifier(name)} as varchar), '')" for name in table.key)
    return f"cast(('0x' || substr(md5(concat_ws(chr(31), {text})), 1, 8))::bigint % {table.buckets} as integer)"


def rows_of(files: Sequence[Path]) -> str:
    """The rows of files, as a relation; a column that one lacks has no value in its rows."""
    listed = ", ".join(literal(str(path)) for path in files)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def _present(con: "duckdb.DuckDBPyConnection", files: Sequence[Path]) -> set[str]:
    """The columns of files."""
    return {name for name, *_ in con.execute(f"describe select * from {rows_of(files)}").fetchall()}


def _written(con: "duckdb.DuckDBPyConnection", query: str, path: Path) -> Path | None:
    """The file with the rows of a query; None, and no file, without any."""
    if write_parquet(con, query, path):
        return path
    path.unlink()
    return None


def write_parquet(con: "duckdb.DuckDBPyConnection", query: str, path: Path) -> int:
    """Write the rows of a query; how many there are."""
    options = f"format parquet, compression snappy, row_group_size {_GROUP_ROWS}"
    return _count(con, f"copy ({query}) to {literal(str(path))} ({options})")


def _rows_in(con: "duckdb.DuckDBPyConnection", files: Iterable[Path | None]) -> int:
    listed = ", ".join(literal(str(path)) for path in files if path is not None)
    return _count(con, f"select coalesce(sum(num_rows), 0) from parquet_file_metadata([{listed}])") if listed else 0


def _count(con: "duckdb.DuckDBPyConnection", query: str) -> int:
    return int(_first(con, query)[0])


def _first(con: "duckdb.DuckDBPyConnection", query: str) -> tuple[Any, ...]:
    """The only row of a query."""
    row: tuple[Any, ...] = con.execute(query).fetchall()[0]
    return row


def names(names: Iterable[str]) -> str:
    return ", ".join(map(identifier, names))
