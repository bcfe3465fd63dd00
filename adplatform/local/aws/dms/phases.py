"""What a run does: it prepares the source, loads, and follows the changes until it is to end."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.dms import control, objects, source
from adplatform.local.aws.dms.batches import checkpoint, confirm, is_safe, write_changes
from adplatform.local.aws.dms.events import report
from adplatform.local.aws.dms.load import load, lost, note_safe
from adplatform.local.aws.dms.state import BEFORE, CHANGES, COMPLETED, ERRED, FINISHED, FULL_LOAD, Replication, Table
from adplatform.local.aws.dms.work import WOKEN, Fatal, Work
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK

_LOOK = 1.0  # seconds of the real clock, between looks at how much the slot has
_NO_TABLES = "No tables were found at task initialization: the selection matches none"


def replicate(work: Work, database: Any) -> str:
    """Why the run has ended by itself.

    Raises:
        Stopped: somebody wants it to end.
        Fatal: it cannot go on.
        ClientError: S3 refuses an object.
        psycopg.Error: the source does.
    """
    replication = work.replication
    if replication.prepared:
        _distrust(work)
        _extend(work, database)
    else:
        _prepare(work, database)
    work.check()
    with LOCK:
        replication.status = "running"
        managed.changed("dms")
        WOKEN.notify_all()
    report(work.backend, replication, "STARTED")
    control.status(work, "running")
    if not replication.loaded:
        _load(work, database)
    if replication.kind == FULL_LOAD:
        return FINISHED
    if replication.kind != CHANGES and work.options.stops_after_load:
        return "Stop Reason STOPPED_AFTER_FULL_LOAD"
    if replication.kind != CHANGES and work.options.stops_after_cached:
        write_changes(work, database)
        return "Stop Reason STOPPED_AFTER_CACHED_EVENTS"
    return _changes(work, database)


def _prepare(work: Work, database: Any) -> None:
    replication = work.replication
    found = [each for each in source.tables(database) if work.mappings.selects(each.schema, each.name)]
    if not found and work.options.fails_without_tables:
        raise Fatal(_NO_TABLES)
    begins = 0
    if replication.kind != FULL_LOAD:
        begins = source.make_slot(database, replication.slot, found, truncations=work.source.counts_truncations)
    with LOCK:
        replication.sequence.begin(begins)
        state = COMPLETED if replication.kind == CHANGES else BEFORE
        replication.tables = {(each.schema, each.name): Table(each.schema, each.name, state) for each in found}
        replication.checkpoint = checkpoint(replication.sequence.last, begins)
        replication.prepared = True
        managed.changed("dms")


def _distrust(work: Work) -> None:
    """Has the loads made again that a killed process took along."""
    tables = work.replication.tables.values()
    missing = lost(tables, lambda table: objects.count_below(work.target.bucket, f"{work.folder(table)}LOAD"))
    with LOCK:
        for table in missing:
            table.state = BEFORE
        work.replication.loaded = work.replication.loaded and not missing


def _extend(work: Work, database: Any) -> None:
    """Takes tables that the mappings select now and did not before; they are loaded like those that are not yet."""
    replication = work.replication
    selected = (each for each in source.tables(database) if work.mappings.selects(each.schema, each.name))
    found = [each for each in selected if (each.schema, each.name) not in replication.tables]
    if not found:
        return
    if replication.kind != FULL_LOAD:
        source.extend(database, replication.slot, found)
    with LOCK:
        for each in found:
            state = COMPLETED if replication.kind == CHANGES else BEFORE
            replication.tables[each.schema, each.name] = Table(each.schema, each.name, state)
        replication.loaded = False
        managed.changed("dms")


def _load(work: Work, database: Any) -> None:
    """The tables that are not loaded yet."""
    replication = work.replication
    left = [table for table in replication.tables.values() if table.state not in (COMPLETED, ERRED)]
    if replication.kind != CHANGES:
        with LOCK:
            replication.load_started = replication.load_started or CONTROL.now()
        load(work, database, left)
    with LOCK:
        replication.loaded = True
        replication.load_ended = CONTROL.now() if replication.kind != CHANGES else None
        managed.changed("dms")


def _changes(work: Work, database: Any) -> str:
    """Batch after batch, until the run is to end."""
    replication = work.replication
    until = _stop_time(replication)
    interval = timedelta(seconds=work.target.interval)
    since, look_at = CONTROL.now(), time.monotonic()

    def due() -> bool:
        now = CONTROL.now()
        asked = replication.flushes > replication.flushed or bool(replication.reloads)
        asked = asked or any(map(is_safe, replication.unconfirmed))
        return asked or now >= since + interval or (until is not None and now >= until) or time.monotonic() >= look_at

    while True:
        work.wait(due)
        with LOCK:
            flush, reloads, now = replication.flushes, list(replication.reloads), CONTROL.now()
        ends = until is not None and now >= until
        confirm(work, database)
        wanted = flush > replication.flushed or bool(reloads) or ends or now >= since + interval
        if wanted or source.pending(database, replication.slot, replication.written) >= work.target.least_bytes:
            write_changes(work, database)
            since = CONTROL.now()
        if reloads:
            _reload(work, database, reloads)
        look_at = time.monotonic() + _LOOK
        with LOCK:
            note_safe(replication.tables.values())
            replication.flushed = max(replication.flushed, flush)
            WOKEN.notify_all()
        if ends:
            return "Stop Reason STOPPED_AT_SERVER_TIME"


def _reload(work: Work, database: Any, names: Sequence[tuple[str, str]]) -> None:
    load(work, database, [work.replication.tables[name] for name in names], again=True)
    with LOCK:
        work.replication.reloads = [name for name in work.replication.reloads if name not in names]
        managed.changed("dms")


def _stop_time(replication: Replication) -> datetime | None:
    """
    Raises:
        Fatal: the position is none of the server's time.
    """
    text = replication.started_with.get("CdcStopPosition") or replication.asked.get("CdcStopPosition") or ""
    kind, _, moment = text.partition(":")
    if not text:
        return None
    if kind != "server_time":
        raise Fatal(f"the embedded AWS knows no stop position but server_time:, not {text!r}")
    found = datetime.fromisoformat(moment)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
