"""The runs of replications: their start, what they do from the slot to the last batch, and their end."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.dms import control, source
from adplatform.local.aws.dms.batches import checkpoint, release, write_changes
from adplatform.local.aws.dms.load import load
from adplatform.local.aws.dms.state import (
    BEFORE,
    CHANGES,
    COMPLETED,
    ERRED,
    FAILED,
    FINISHED,
    FULL_LOAD,
    STOPPED,
    DmsBackend,
    Replication,
    Table,
)
from adplatform.local.aws.dms.work import WOKEN, Fatal, Stopped, Work, work_of
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK

_ATTEMPTS, _PAUSE = 50, 0.2
"""How often in a row a source may be unreachable, and the seconds in between."""
_LOOK = 1.0  # seconds of the real clock, between looks at how much the slot has
_NO_TABLES = "No tables were found at task initialization: the selection matches none"

log = logging.getLogger(__name__)


class _Recoverable(Exception):
    """The source cannot be reached."""


def begin(backend: DmsBackend, replication: Replication, started_with: Mapping[str, Any], *, fresh: bool) -> None:
    """Starts a replication behind the answer, from its first row if it is ``fresh``. Callers hold the lock."""
    now = CONTROL.now()
    if fresh:
        replication.fresh(now)
    replication.started_with = dict(started_with)
    replication.first_started = replication.first_started or now
    replication.started, replication.ended = now, None
    replication.stop_reason = replication.failure = ""
    replication.status = "starting"
    _follow_behind(backend, replication)


def stop(replication: Replication) -> None:
    """Callers hold the lock."""
    replication.status, replication.stop_asked = "stopping", True
    WOKEN.notify_all()


def remove(backend: DmsBackend, replication: Replication) -> None:
    """Forgets a replication that does not run, and what it has at the source. Callers hold the lock."""
    replication.status = "deleting"
    managed.behind("dms", partial(_remove, backend, replication))


def resume(backend: DmsBackend) -> None:
    """Goes on where the process before ended. Callers hold the lock."""
    for replication in backend.replications.values():
        if replication.is_running:
            _follow_behind(backend, replication)
        elif replication.status == "deleting":
            remove(backend, replication)


def _follow_behind(backend: DmsBackend, replication: Replication) -> None:
    replication.run += 1
    replication.stop_asked = replication.status == "stopping"
    managed.behind("dms", partial(_follow, backend, replication, replication.run))


def _follow(backend: DmsBackend, replication: Replication, run: int) -> None:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    work = None
    status, failure = FAILED, ""
    try:
        work = work_of(backend, replication, run)
        work.stay(work.take("start_hangs"))
        reason = _patiently(work)
        status = STOPPED
    except Stopped:
        status, reason = STOPPED, "Stop Reason NORMAL"
    except _Recoverable as e:
        reason, failure = "Stop Reason RECOVERABLE_ERROR", str(e)
    except (Fatal, ClientError, BotoCoreError) as e:
        reason, failure = "Stop Reason FATAL_ERROR", str(e)
    except Exception as e:
        # Nobody waits for this thread: a task that does not end would be running for good.
        log.exception("%s", replication.arn)
        reason, failure = "Stop Reason FATAL_ERROR", f"{type(e).__name__}: {e}"
    if replication.run != run:
        return
    if work is not None:
        with suppress(ClientError, BotoCoreError):  # what made it end may do so again
            _last_words(work, status)
    with LOCK:
        replication.status, replication.stop_reason, replication.failure = status, reason, failure
        replication.ended = CONTROL.now()
        managed.changed("dms")
        WOKEN.notify_all()


def _last_words(work: Work, status: str) -> None:
    if status == STOPPED:
        for held in list(work.replication.held):
            release(work, held)
    control.status(work, status)


def _patiently(work: Work) -> str:
    """Why the run has ended.

    Raises:
        Stopped: somebody wants it to end.
        Fatal: it cannot go on.
        _Recoverable: the source is not reached any more.
    """
    import psycopg  # noqa: PLC0415 - takes longer than much that needs none

    failures = 0
    while True:
        began = time.monotonic()
        try:
            with source.opened(work.address()) as database:
                return _replicate(work, database)
        except psycopg.errors.ObjectNotInPrerequisiteState as e:
            raise Fatal(f"the replication slot cannot be used any more: {e}") from e
        except (psycopg.OperationalError, OSError) as e:
            failures = 1 if time.monotonic() - began > _ATTEMPTS * _PAUSE else failures + 1
            if failures > _ATTEMPTS:
                raise _Recoverable(f"the source cannot be reached: {e}") from e
        except psycopg.Error as e:
            raise Fatal(f"the source refuses: {e}") from e
        again = time.monotonic() + _PAUSE
        work.wait(lambda again=again: time.monotonic() >= again)  # type: ignore[misc]


def _replicate(work: Work, database: Any) -> str:
    replication = work.replication
    if not replication.prepared:
        _prepare(work, database)
    work.check()
    with LOCK:
        replication.status = "running"
        managed.changed("dms")
        WOKEN.notify_all()
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
        begins = source.make_slot(database, replication.slot, found)
    with LOCK:
        replication.sequence.begin(begins)
        state = COMPLETED if replication.kind == CHANGES else BEFORE
        replication.tables = {(each.schema, each.name): Table(each.schema, each.name, state) for each in found}
        replication.checkpoint = checkpoint(replication.sequence.last, begins)
        replication.prepared = True
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
        return asked or now >= since + interval or (until is not None and now >= until) or time.monotonic() >= look_at

    while True:
        work.wait(due)
        with LOCK:
            flush, reloads, now = replication.flushes, list(replication.reloads), CONTROL.now()
        ends = until is not None and now >= until
        wanted = flush > replication.flushed or bool(reloads) or ends or now >= since + interval
        if wanted or source.pending(database, replication.slot) >= work.target.least_bytes:
            write_changes(work, database)
            since = CONTROL.now()
        if reloads:
            _reload(work, database, reloads)
        look_at = time.monotonic() + _LOOK
        with LOCK:
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


def _remove(backend: DmsBackend, replication: Replication) -> None:
    try:
        if replication.prepared and replication.kind != FULL_LOAD:
            with source.opened(work_of(backend, replication, replication.run).address()) as database:
                source.drop_slot(database, replication.slot)
    finally:
        with LOCK:
            backend.replications.pop(replication.arn, None)
            managed.changed("dms")
