"""Changes: what a look into the slot found, as rows of files, in the order of their commits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from adplatform.local.aws.dms import source
from adplatform.local.aws.dms.mappings import Added, Header
from adplatform.local.aws.dms.pgoutput import (
    UNCHANGED,
    Begin,
    Change,
    Column,
    Commit,
    Relation,
    Truncate,
    Value,
    messages,
)
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
    """``end`` is the LSN after the last commit of it, 0 of none. ``mixed`` has the rows of all tables in their order,
    each with its table, where whole transactions are written. ``truncated`` are tables, once for each time."""

    end: int = 0
    last: int = 0
    stamp: str = ""
    groups: dict[Any, Group] = field(default_factory=dict)
    mixed: list[tuple[Table, Row]] = field(default_factory=list)
    truncated: list[Table] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    """What becomes of the changes of one relation. ``kept`` are the places of its columns that are written."""

    table: Table
    kept: tuple[int, ...]
    columns: tuple[Column, ...]
    shape: tuple[Any, ...]
    keys: frozenset[str]
    added: tuple[Added, ...]


def collect(work: Work, database: Any, sent: Sequence[tuple[str, bytes]]) -> Batch:
    """The rows that what was sent makes, without transactions that are written already.

    Raises:
        Fatal: a large object is too long, and the source endpoint wants the task to fail then.
    """
    known: Counter = work.replication.sequence
    batch = Batch(last=known.last, stamp=known.stamp)
    plans: dict[Relation, _Plan | None] = {}
    commit, at, dates, places = 0, "", "", count()
    written = work.replication.written
    for lsn, message in messages(sent):
        if isinstance(message, Begin):
            commit, at, places = message.lsn, f"{message.at:%Y-%m-%d %H:%M:%S.%f}", count()
            dates = _dates(work, message.at)
            batch.stamp = max(batch.stamp, f"{message.at:%Y%m%d%H%M%S}{message.at.microsecond // 10_000:02}")
        elif commit < written:
            continue
        elif isinstance(message, Commit):
            batch.end = message.end
        elif isinstance(message, Truncate):
            batch.truncated += filter(None, (_table(work, relation) for relation in message.relations))
        elif isinstance(message, Change):
            if message.relation not in plans:
                plans[message.relation] = _plan(work, database, message.relation)
            plan = plans[message.relation]
            if plan is None:
                next(places)
                continue
            for op, values in _entries(message, plan.keys, splits=work.source.splits_key_updates):
                batch.last = known.offset + commit * PLACES + next(places)
                sequence = f"{batch.stamp}{batch.last:019}"
                header = Header(op, plan.table.schema, plan.table.name, at, sequence, lsn)
                _note(work, batch, plan, values, header, dates)
    return batch


def _plan(work: Work, database: Any, relation: Relation) -> _Plan | None:
    """None for a relation that is not written."""
    table = _table(work, relation)
    if table is None or table.state == ERRED:
        return None
    # Where the whole row is the identity, the catalogue knows the key.
    keys = relation.columns if relation.identity != "f" else source.columns(database, relation.schema, relation.name)
    kept = tuple(
        place
        for place, column in enumerate(relation.columns)
        if work.options.follows_new_columns or not table.columns or column.name in table.columns
    )
    columns = tuple(relation.columns[place] for place in kept)
    return _Plan(
        table,
        kept,
        columns,
        tuple((column.name, column.type_oid, column.modifier) for column in columns),
        frozenset(column.name for column in keys if column.is_key),
        work.mappings.added(table.schema, table.name),
    )


def _entries(change: Change, keys: frozenset[str], *, splits: bool) -> Iterator[tuple[str, Sequence[Value]]]:
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


def _dates(work: Work, at: datetime) -> str:
    """The folder of a commit's date."""
    if not work.target.dates:
        return ""
    return at.astimezone(ZoneInfo(work.target.zone)).strftime(work.target.dates)


def _note(work: Work, batch: Batch, plan: _Plan, values: Sequence[Value], header: Header, dates: str) -> None:
    if header.operation not in work.target.operations:
        return
    front = [header.at] if work.target.timestamp else []
    kept = zip(plan.columns, (values[place] for place in plan.kept), strict=True)
    inner = (work.written(column, value) if isinstance(value, str) else None for column, value in kept)
    row = Row(header.operation, [*front, *inner, *(each.value(header) for each in plan.added)])
    if work.target.transactions is not None:
        batch.mixed.append((plan.table, row))
        return
    key = (plan.table.schema, plan.table.name, plan.shape, dates)
    if key not in batch.groups:
        batch.groups[key] = Group(plan.table, plan.columns, dates)
    batch.groups[key].rows.append(row)


def _table(work: Work, relation: Relation) -> Table | None:
    """Of a table that was renamed after the start, another one, if the task takes that."""
    tables = work.replication.tables
    name = (relation.schema, relation.name)
    if name not in tables and work.mappings.selects(*name):
        tables[name] = Table(*name, state=COMPLETED)
    return tables.get(name)
