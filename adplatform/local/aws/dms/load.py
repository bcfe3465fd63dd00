"""The full load: every row that a snapshot of the source shows, in files ``LOAD00000001`` and so on.

The counter in the names is hexadecimal. A table without rows has no file.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.dms import control, objects, source
from adplatform.local.aws.dms.files import Field
from adplatform.local.aws.dms.mappings import Added, Header
from adplatform.local.aws.dms.pgoutput import Column
from adplatform.local.aws.dms.state import COMPLETED, ERRED, LOADING, RELOADING, Table
from adplatform.local.aws.dms.values import BOOL
from adplatform.local.aws.dms.work import Fatal, Work
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK

_LOADED_AT = "%Y-%m-%d %H:%M:%S.%f"


def load(work: Work, database: Any, tables: Sequence[Table], *, again: bool = False) -> None:
    """Loads tables under one snapshot, which is taken now: changes since the slot was made are in it already.

    Raises:
        Stopped: the run is to end.
        Fatal: a fault says so, or a value is too long.
        ClientError: S3 refuses an object.
    """
    work.stay(work.take("load_late"))
    database.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        for table in tables:
            source.keep_columns(database, table.schema, table.name)
        database.execute("SELECT")  # takes the snapshot
        for table in tables:
            _load(work, database, table, again=again)
    finally:
        database.execute("ROLLBACK")


def _load(work: Work, database: Any, table: Table, *, again: bool) -> None:
    with LOCK:
        table.state = RELOADING if again else LOADING
        table.load_started, table.load_ended, table.reloaded = CONTROL.now(), None, again
        table.counts["FullLoadRows"] = table.files = 0
        table.safe = False
        managed.changed("dms")
    if work.options.deletes_before_load:
        objects.delete_below(work.target.bucket, work.folder(table))
    found = source.columns(database, table.schema, table.name)
    if work.take("table_error", table) or not found:
        _end(table, ERRED, found)
        control.suspended(work, table)
        return
    added = work.mappings.added(table.schema, table.name)
    failing = work.take("load_fails", table)

    def after(number: int) -> None:
        work.check()
        if failing is not None and number >= failing.count:
            raise Fatal(f"the load of {table.schema}.{table.name} failed")

    _write_files(work, database, table, found, added, after)
    _end(table, COMPLETED, found)
    control.history(work, "FULL LOAD", table.counts["FullLoadRows"])


def _end(table: Table, state: str, found: Sequence[Column]) -> None:
    with LOCK:
        table.state = state
        table.load_ended, table.loaded = CONTROL.now(), time.monotonic()
        table.columns = tuple(column.name for column in found)
        managed.changed("dms")


def _write_files(
    work: Work,
    database: Any,
    table: Table,
    found: Sequence[Column],
    added: Sequence[Added],
    after: Callable[[int], None],
) -> None:
    """Writes file after file, and tells the number of each."""
    of_file = fields(work, found, added, with_op=work.target.op_in_load)
    began = work.replication.started if work.target.one_load_time else None
    numbers = count(1)
    waiting: list[list[str | None]] = []
    size = 0
    with source.rows(database, table.schema, table.name, found) as rows:
        for row in rows:
            written = _row(work, table, found, row, (began or CONTROL.now()).strftime(_LOADED_AT), added)
            waiting.append(written)
            size += sum(len(value) + 1 for value in written if value is not None)
            if size >= work.target.most_bytes:
                after(_write(work, table, next(numbers), of_file, waiting))
                waiting, size = [], 0
    if waiting:
        after(_write(work, table, next(numbers), of_file, waiting))


def _write(work: Work, table: Table, number: int, fields: Sequence[Field], rows: list[list[str | None]]) -> int:
    work.put_rows(f"{work.folder(table)}LOAD{number:08X}{work.target.suffix}", fields, rows)
    with LOCK:
        table.counts["FullLoadRows"] += len(rows)
        table.files = number
        managed.changed("dms")
    return number


def _row(
    work: Work,
    table: Table,
    found: Sequence[Column],
    row: Sequence[str | None],
    at: str,
    added: Sequence[Added],
) -> list[str | None]:
    front = ["I"] if work.target.op_in_load else []
    front += [at] if work.target.timestamp else []
    values = (None if value is None else work.written(column, value) for column, value in zip(found, row, strict=True))
    header = Header("I", table.schema, table.name, at)
    return [*front, *values, *(each.value(header) for each in added)]


def fields(work: Work, found: Sequence[Column], added: Sequence[Added], *, with_op: bool) -> list[Field]:
    """The columns of a file: the operation and the time first, added ones last. Booleans are texts unless the source
    endpoint maps them."""
    front = [Field("Op")] if with_op else []
    front += [Field(work.target.timestamp)] if work.target.timestamp else []
    texts = () if work.source.maps_booleans else (BOOL,)
    inner = (Field(column.name, None if column.type_oid in texts else column) for column in found)
    return [*front, *inner, *(Field(each.name) for each in added)]


def note_safe(tables: Iterable[Table]) -> bool:
    """Notes of the loads that are done which ones the end of the process cannot lose any more; whether that is all.
    Callers hold the lock."""
    done = [table for table in tables if table.state == COMPLETED and not table.safe]
    for table in done:
        table.safe = CONTROL.saved("s3", table.loaded)
    if any(table.safe for table in done):
        managed.changed("dms")
    return all(table.safe for table in done)


def lost(tables: Iterable[Table], there: Callable[[Table], int]) -> list[Table]:
    """The tables whose load an earlier process had done, but not saved: fewer of its files are ``there``."""
    return [table for table in tables if table.state == COMPLETED and not table.safe and there(table) < table.files]
