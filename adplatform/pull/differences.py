"""How a snapshot differs from the one before it, as a Parquet file: a date of a history (``adplatform.pull.history``).

The snapshot before is that of the newest earlier date that has one: a day without a snapshot ends nothing and begins
nothing. What a snapshot with rows in quarantine lacks may be among those rows, so it is not taken for removed: it is
noted as unread, and the next snapshot is compared with it, too. A date is made of nothing but its snapshot, the one
before, and what was unread in that; where one of these changes it is made anew, and so are those after it.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.lake.limited import limited
from adplatform.ledger.placements import Placement
from adplatform.platform.late import Late
from adplatform.pull.history import BEGAN, CHANGE, CHANGED, KINDS, REMOVED, UNREAD, History
from adplatform.pull.shown import download
from adplatform.transform.rules import identifier, literal, sql_type

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")

EQUALS_SNAPSHOT = "equals_snapshot"
"""The audit that applies the changes to the snapshot before and compares what comes of it with this one."""
_UPDATED, _AS_OF = "last_updated_date_time", "as_of"


def write(services: Services, history: History, scope: str, day: date, folder: Path, target: Path) -> AuditFinding:
    """Write the changes of one date and profile to ``target``; none where the date has no snapshot. To be called before
    they are published: the next date that has a snapshot is compared with this one, and is marked to be made anew.

    Raises:
        TransientFailure: files were removed between looking and reading.
        PermanentFailure: the tables cannot be read as declared.
    """
    flow, placements = history.account.scoped(history.snapshots, scope), services.ledger.placements
    there = placements.get(flow.name, day)
    before = placements.latest(flow.name, day - timedelta(days=1)) if there else None
    following = placements.following(flow.name, day) if there else None
    if following is not None:
        services.ledger.derived.mark(history.table.table, following.day, scope)
    publication = services.ledger.publications.get(flow.name, day, there.version) if there else None
    missing = UNREAD if publication is not None and publication.quarantined else REMOVED
    now = _files(services, flow, there, folder / "now")
    with limited(services.settings.memory_limit, services.settings.threads, folder) as con:
        try:
            own = entities(con, history, "now", now)
            of_before = entities(con, history, "before", _files(services, flow, before, folder / "before"))
            _add_unread(con, history, _files(services, history.flow(scope), before, folder / "unread"))
            compared = [name for name in history.columns if name in own and name in of_before]
            names = ", ".join(identifier(column.name) for column in history.table.feed.columns)
            con.execute(
                f"copy (select {names} from ({differences(history, compared, missing)})"
                f" order by {', '.join(map(identifier, history.key))})"
                f" to {literal(str(target))} (format parquet, compression snappy)"
            )
            con.execute(f"create view written as select * from read_parquet({literal(str(target))})")
            return compare(con, history, compared, missing, now)
        except (duckdb.DataError, duckdb.ProgrammingError) as e:
            raise PermanentFailure(f"{history.table.name} {day} cannot be made: {str(e).splitlines()[0]}") from e


def _files(services: Services, flow: FeedFlow, shown: Placement | None, folder: Path) -> list[Path]:
    return (download(services, flow, shown.day, folder) or []) if shown else []


def _scan(files: Sequence[Path]) -> str:
    listed = ", ".join(literal(str(file)) for file in files)
    return f"read_parquet([{listed}], union_by_name=true, hive_partitioning=false)"


def _typed(con: "duckdb.DuckDBPyConnection", history: History, files: Sequence[Path]) -> tuple[str, set[str]]:
    """The columns of files that a history has, and when an entity was changed, as a select list; and which of them the
    files have, which may be older than some."""
    types = {column.name: sql_type(column.data_type) for column in history.table.feed.columns if column.name != CHANGE}
    types |= {_UPDATED: "timestamp"}
    present: set[str] = set(types)
    if files:
        present = {name for name, *_ in con.execute(f"describe select * from {_scan(files)}").fetchall()}
    values = (
        f"cast({identifier(name) if files and name in present else 'null'} as {kind}) as {identifier(name)}"
        for name, kind in types.items()
    )
    return ", ".join(values), present


def entities(con: "duckdb.DuckDBPyConnection", history: History, name: str, files: Sequence[Path]) -> set[str]:
    """Make a table of a snapshot, one row for each entity: of several the one that was changed last. The columns that
    it has are returned, all where it has no rows."""
    values, present = _typed(con, history, files)
    order = ", ".join(map(identifier, history.columns))
    rows = f"select {values} from {_scan(files) if files else '(select 1) where false'}"
    con.execute(
        f"create table {name} as select * from ({rows}) qualify row_number() over (partition by"
        f" {', '.join(map(identifier, history.key))} order by {_UPDATED} desc nulls last, {order}) = 1"
    )
    return present


def _add_unread(con: "duckdb.DuckDBPyConnection", history: History, files: Sequence[Path]) -> None:
    """What nothing was known of on the date before stands as it stood then."""
    if files:
        values, _ = _typed(con, history, files)
        con.execute(f"insert into before select {values} from {_scan(files)} where {CHANGE} = {literal(UNREAD)}")


def _same(history: History, one: str, other: str) -> str:
    """Whether two rows are of one entity."""
    product, name = map(identifier, history.key)
    return f"{one}.{name} = {other}.{name} and {one}.{product} is not distinct from {other}.{product}"


def differences(history: History, compared: Sequence[str], missing: str) -> str:
    """A query of the changes from the snapshot ``before`` to ``now``, tables that :func:`entities` made. ``compared``
    are the columns that both have, and ``missing`` is what became of those that ``now`` has not."""
    name = identifier(history.entity.key)
    values = (f"case when n.{name} is null then b.{c} else n.{c} end as {c}" for c in map(identifier, history.columns))
    differs = (f"n.{c} is distinct from b.{c}" for c in map(identifier, compared))
    return (
        f"select {', '.join(values)}, case when b.{name} is null then {literal(BEGAN)} when n.{name} is null then"
        f" {literal(missing)} else {literal(CHANGED)} end as {CHANGE},"
        f" coalesce(n.{_AS_OF}, (select max({_AS_OF}) from now)) as {_AS_OF}"
        f" from now n full join before b on {_same(history, 'n', 'b')}"
        f" where b.{name} is null or n.{name} is null or {' or '.join(differs)}"
    )


def compare(
    con: "duckdb.DuckDBPyConnection", history: History, compared: Sequence[str], missing: str, files: Sequence[Path]
) -> AuditFinding:
    """Whether what is in ``written``, applied to the snapshot ``before``, gives the snapshot ``now`` and what of the
    one before was unread. ``files`` are those of the snapshot."""
    own = ", ".join(map(identifier, compared))
    left = (
        f"select {own}, {{1}} from before b where not exists (select 1 from {{0}} o where {_same(history, 'o', 'b')})"
    )
    applied = (
        f"{left.format('written', 'false')} union all"
        f" select {own}, {CHANGE} = {literal(UNREAD)} from written where {CHANGE} <> {literal(REMOVED)}"
    )
    snapshot = f"select {own}, false from now"
    if missing == UNREAD:
        snapshot += f" union all {left.format('now', 'true')}"
    (differ,) = con.execute(
        f"select count(*) from ((({applied}) except all ({snapshot})) union all (({snapshot}) except all ({applied})))"
    ).fetchone() or (0,)
    counts = dict(con.execute(f"select {CHANGE}, count(*) from written group by 1").fetchall())
    (entities,) = con.execute("select count(*) from now").fetchone() or (0,)
    (rows,) = (con.execute(f"select count(*) from {_scan(files)}").fetchone() if files else None) or (0,)
    good = "applied to the snapshot before, the changes give this one"
    text = f"{differ} rows are not what comes of the snapshot before and the changes" if differ else good
    described = {"entities": entities, "repeated": rows - entities, **{name: counts.get(name, 0) for name in KINDS}}
    return AuditFinding(EQUALS_SNAPSHOT, not differ, True, text, described)
