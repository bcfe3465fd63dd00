"""The runs of replications: their start, their patience with a source that is away, and their end."""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.dms import control, source
from adplatform.local.aws.dms.batches import release
from adplatform.local.aws.dms.events import report
from adplatform.local.aws.dms.load import note_safe
from adplatform.local.aws.dms.phases import replicate
from adplatform.local.aws.dms.state import COMPLETED, FAILED, FINISHED, FULL_LOAD, STOPPED, DmsBackend, Replication
from adplatform.local.aws.dms.work import WOKEN, Fatal, Stopped, Work, work_of
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK

_ATTEMPTS, _PAUSE = 50, 0.2
"""How often in a row a source may be unreachable, and the seconds in between."""

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
        replication.unconfirmed.clear()
        loaded = (table for table in replication.tables.values() if table.state == COMPLETED)
        unsafe = replication.stop_reason == FINISHED and not all(table.safe for table in loaded)
        if unsafe:
            replication.status = "starting"  # it has not ended before its load is looked for
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
    report(backend, replication, status.upper())
    _watch(replication, run)


def _watch(replication: Replication, run: int) -> None:
    """Until the loads of a run that has ended are safe, or it goes on."""
    while True:
        with LOCK:
            if replication.run != run or note_safe(replication.tables.values()):
                return
        time.sleep(_PAUSE)


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
                return replicate(work, database)
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


def _remove(backend: DmsBackend, replication: Replication) -> None:
    try:
        if replication.prepared and replication.kind != FULL_LOAD:
            with source.opened(work_of(backend, replication, replication.run).address()) as database:
                source.drop_slot(database, replication.slot)
    finally:
        with LOCK:
            backend.replications.pop(replication.arn, None)
            managed.changed("dms")
