"""Changes: what a look into the slot found, as rows of files, in the order of their commits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from adplatform.local.aws.dms import source
from adplatform.local.aws.dms.mappings import Header
from adplatform.local.aws.dms.pgoutput import UNCHANGED, Begin, Change, Column, Commit, Relation, Value, messages
from adplatform.local.aws.dms.state import COMPLETED, ERRED, Table
from adplatform.local.aws.dms.state import Sequence as Counter
from adplatform.local.aws.dms.work import Work

PLACES = 1_000_000
"""Counters of one transaction; transactions with more take those of LSNs at which none can end."""


@dataclass(frozen=True)
class Row:
    """One row of a file: its operation, and all its values as in CSV but for the operation."""

    op: str
    values: list[str | None]


@dataclass
class Group:
    """Rows of one table with the same columns and the same folder."""

    table: Table
    columns: tuple[Column, ...]
    dates: str
    rows: list[Row] = field(default_factory=list)


@dataclass
class Batch:
    """``end`` is the LSN after the last commit, 0 of none. ``mixed`` has the rows of all tables in their order, each
    with its table, where whole transactions are written."""

    end: int = 0
    last: int = 0
    stamp: str = ""
    groups: dict[Any, Group] = field(default_factory=dict)
    mixed: list[tuple[Table, Row]] = field(default_factory=list)


@dataclass(frozen=True)
class Stamped:
    """A change with what orders it."""

    change: Change
    at: datetime
    lsn: str
    counter: int
    stamp: str


def collect(work: Work, database: Any, sent: Sequence[tuple[str, bytes]]) -> Batch:
    """The rows that what was sent makes.

    Raises:
        Fatal: a large object is too long, and the source endpoint wants the task to fail then.
    """
    known: Counter = work.replication.sequence
    batch = Batch(last=known.last, stamp=known.stamp)

    @cache
    def keys(relation: Relation) -> tuple[str, ...]:
        """The names of the key's columns; where all are of the identity, the catalogue knows."""
        found = (
            relation.columns if relation.identity != "f" else source.columns(database, relation.schema, relation.name)
        )
        return tuple(column.name for column in found if column.is_key)

    begun, places = Begin(0, datetime.min.replace(tzinfo=UTC)), count()
    for lsn, message in messages(sent):
        if isinstance(message, Begin):
            begun, places = message, count()
            batch.stamp = max(batch.stamp, f"{begun.at:%Y%m%d%H%M%S}{begun.at.microsecond // 10_000:02}")
        elif isinstance(message, Commit):
            batch.end = message.end
        elif isinstance(message, Change):
            for op, values in _entries(message, keys(message.relation), splits=work.source.splits_key_updates):
                counter = known.offset + begun.lsn * PLACES + next(places)
                batch.last = counter
                _note(work, batch, op, values, Stamped(message, begun.at, lsn, counter, batch.stamp))
    return batch


def _entries(change: Change, keys: Sequence[str], *, splits: bool) -> Iterator[tuple[str, Sequence[Value]]]:
    """A change as DMS sends it. An update of the key is not captured, or comes as a delete and an insert."""
    old = change.old or (None,) * len(change.new)
    if change.op != "U":
        yield change.op, change.new if change.op == "I" else change.old
        return
    new = [before if value is UNCHANGED else value for value, before in zip(change.new, old, strict=True)]
    moved = change.old and any(
        before != value
        for column, before, value in zip(change.relation.columns, old, new, strict=True)
        if column.name in keys
    )
    if not moved:
        yield "U", new
    elif splits:
        yield "D", change.old
        yield "I", new


def _note(work: Work, batch: Batch, op: str, values: Sequence[Value], of: Stamped) -> None:
    relation = of.change.relation
    table = _table(work, relation)
    if table is None or table.state == ERRED or op not in work.target.operations:
        return
    kept = [
        (column, value)
        for column, value in zip(relation.columns, values, strict=True)
        if work.options.follows_new_columns or not table.columns or column.name in table.columns
    ]
    sequence = f"{of.stamp}{of.counter:019}"
    header = Header(op, table.schema, table.name, of.at, sequence, of.lsn)
    front = [f"{of.at:%Y-%m-%d %H:%M:%S.%f}"] if work.target.timestamp else []
    inner = (work.written(column, value) if isinstance(value, str) else None for column, value in kept)
    added = (each.value(header) for each in work.mappings.added(table.schema, table.name))
    row = Row(op, [*front, *inner, *added])
    if work.target.transactions is not None:
        batch.mixed.append((table, row))
        return
    columns = tuple(column for column, _ in kept)
    dates = of.at.astimezone(ZoneInfo(work.target.zone)).strftime(work.target.dates) if work.target.dates else ""
    shape = tuple((column.name, column.type_oid, column.modifier) for column in columns)
    group = batch.groups.setdefault((table.schema, table.name, shape, dates), Group(table, columns, dates))
    group.rows.append(row)


def _table(work: Work, relation: Relation) -> Table | None:
    """Of a table that was renamed after the start, another one, if the task takes that."""
    tables = work.replication.tables
    name = (relation.schema, relation.name)
    if name not in tables and work.mappings.selects(*name):
        tables[name] = Table(*name, state=COMPLETED)
    return tables.get(name)
