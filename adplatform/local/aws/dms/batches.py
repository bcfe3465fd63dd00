"""Batches of changes: written as files named by the time, and confirmed to the source once they are safe."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.dms import control, source
from adplatform.local.aws.dms.changes import Batch, Group, Row, collect
from adplatform.local.aws.dms.files import compressed, encoded, line
from adplatform.local.aws.dms.load import fields
from adplatform.local.aws.dms.state import ERRED, Held, Table, Written
from adplatform.local.aws.dms.work import Fatal, Work
from adplatform.local.aws.managed import CONTROL, Fault
from adplatform.local.aws.state import LOCK


def write_changes(work: Work, database: Any) -> None:
    """Writes all that is committed at the source, as one batch or, of very much, several.

    Raises:
        Stopped: the run is to end.
        Fatal: a fault says so, or a value is too long.
        ClientError: S3 refuses an object.
        psycopg.Error: the source does.
    """
    more = True
    while more:
        work.check()
        more = _one(work, database)


def _one(work: Work, database: Any) -> bool:
    replication = work.replication
    if work.take("slot_lost"):
        source.lose_slot(database, replication.slot)
    confirm(work, database)
    until = source.position(database)
    most = source.MOST_CHANGES + sum(each.messages for each in replication.unconfirmed)
    sent = source.peek(database, replication.slot, most)
    batch = collect(work, database, sent)
    if batch.end:
        _write(work, batch)
        _note(work, batch, len(sent))
        confirm(work, database)
    elif work.source.heartbeat and not replication.unconfirmed:
        # Nothing before it is of this slot.
        source.advance(database, replication.slot, until)
    return len(sent) >= most


def _note(work: Work, batch: Batch, messages: int) -> None:
    if batch.groups or batch.mixed:
        work.stay(work.take("unconfirmed"))
        if work.take("fails_unconfirmed"):
            raise Fatal("the task ended before the source was told what is written")
    replication = work.replication
    with LOCK:
        before = sum(each.messages for each in replication.unconfirmed)
        replication.unconfirmed.append(Written(batch.end, messages - before, time.monotonic()))
        replication.sequence.last, replication.sequence.stamp = batch.last, batch.stamp
        replication.checkpoint = checkpoint(batch.last, batch.end)
        managed.changed("dms")


def is_safe(written: Written) -> bool:
    """Whether the end of this process would lose nothing of it. Callers hold the lock."""
    return CONTROL.saved("s3", written.moment) and CONTROL.saved("dms", written.moment)


def confirm(work: Work, database: Any) -> None:
    """Tells the source what is written and safe, so that it keeps that no longer."""
    replication = work.replication
    with LOCK:
        safe = [each for each in replication.unconfirmed if is_safe(each)]
    if safe:
        source.advance(database, replication.slot, safe[-1].end)
        with LOCK:
            replication.unconfirmed = [each for each in replication.unconfirmed if each.end > safe[-1].end]


def checkpoint(last: int, lsn: int) -> str:
    """Where a task is: its last counter, and the LSN up to which all is written."""
    return f"checkpoint:V1#{last}#{source.text_of(lsn)}#*#0#0"


def _write(work: Work, batch: Batch) -> None:
    with LOCK:
        for table in batch.truncated:
            table.counts["Ddls"] += 1
    twice = bool(batch.groups) and work.take("duplicate_objects") is not None
    split = work.take("split_files") if batch.groups else None
    for group in batch.groups.values():
        if group.table.state != ERRED and work.take("table_error", group.table):
            with LOCK:
                group.table.state = ERRED
            control.suspended(work, group.table)
        if group.table.state != ERRED:
            _write_group(work, group, twice=twice, split=split)
    if batch.mixed:
        _write_transactions(work, batch.mixed)


def _write_group(work: Work, group: Group, *, twice: bool, split: Fault | None) -> None:
    table, replication = group.table, work.replication
    of_table = work.mappings.added(table.schema, table.name)
    of_file = fields(work, group.columns, of_table, with_op=work.target.op_in_changes)
    names = tuple(column.name for column in group.columns)
    before = [held for held in replication.held if (held.schema, held.table) == (table.schema, table.name)]
    for part in _parts(group.rows, split):
        rows = [[row.op, *row.values] if work.target.op_in_changes else row.values for row in part]
        body = encoded(work.target, of_file, rows)
        for _ in range(2 if twice else 1):
            key = f"{work.folder(table)}{group.dates}{work.next_name()}{work.target.suffix}"
            if work.take("file_lost", table):
                continue
            if not before and work.take("late_file", table):
                with LOCK:
                    replication.held.append(Held(table.schema, table.name, key, body))
            else:
                work.put(key, body)
        _counted(table, part, names)
    for held in before:
        release(work, held)


def release(work: Work, held: Held) -> None:
    """Writes a late file."""
    work.put(held.key, held.body)
    with LOCK:
        work.replication.held.remove(held)
        managed.changed("dms")


def _write_transactions(work: Work, mixed: Sequence[tuple[Table, Row]]) -> None:
    """CSV without a header: the operation, the table, its schema, and the values of the row."""
    target = work.target
    text = "".join(line(target, [row.op, table.name, table.schema, *row.values]) for table, row in mixed)
    name = work.next_name().replace("-", "")
    suffix = ".csv.gz" if target.gzip else ".csv"
    work.put(f"{target.folder}{target.transactions}CDC_TXN-{name}{suffix}", compressed(target, text))
    for table, row in mixed:
        _counted(table, [row], table.columns)


def _counted(table: Table, rows: Sequence[Row], names: tuple[str, ...]) -> None:
    now: datetime = CONTROL.now()
    with LOCK:
        table.counts["Ddls"] += bool(table.columns) and names != table.columns
        table.columns = names
        for row in rows:
            table.count(row.op, now)
        managed.changed("dms")


def _parts(rows: Sequence[Row], split: Fault | None) -> Iterator[Sequence[Row]]:
    wanted = 1 if split is None else max(split.count, 2)
    size = -(-len(rows) // wanted)
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]
