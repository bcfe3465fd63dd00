"""The states of an execution of a DataSync task: moving on, waiting, and the events that say so."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from adplatform.local.aws import managed
from adplatform.local.aws.datasync.state import DataSyncBackend, Execution
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK

MOVED = threading.Condition(LOCK)
"""Notified of whatever another thread may wait for; waiting frees the lock."""
_POLL = 0.05  # seconds of the real clock, between looks at the one that can be moved


class Cancelled(Exception):
    """Somebody cancelled the execution."""


def stay(execution: Execution, name: str) -> None:
    if fault := execution.faults.get(name):
        until = CONTROL.now() + timedelta(seconds=fault.seconds)
        wait(execution, lambda: fault.seconds > 0 and CONTROL.now() >= until)


def wait(execution: Execution, over: Callable[[], bool]) -> None:
    """Until it is over; the lock is free meanwhile.

    Raises:
        Cancelled: the execution was cancelled.
    """
    with LOCK:
        while True:
            if execution.cancelled:
                raise Cancelled
            if over():
                return
            MOVED.wait(_POLL)


@contextmanager
def phase(backend: DataSyncBackend, execution: Execution, name: str, status: str) -> Iterator[None]:
    move(backend, execution, status)
    began, result = CONTROL.now(), "ERROR"
    try:
        yield
        result = "SUCCESS"
    finally:
        with LOCK:
            execution.phases[name] = result
            execution.durations[f"{name}Duration"] = milliseconds(began, CONTROL.now())


def move(backend: DataSyncBackend, execution: Execution, status: str) -> None:
    with LOCK:
        if execution.cancelled:
            raise Cancelled
        execution.status = status
        managed.changed("datasync")
        MOVED.notify_all()
    tell(backend, execution, status)


def tell(backend: DataSyncBackend, execution: Execution, status: str) -> None:
    """As AWS words it: the state is in ``State``, and the ARN is not in the detail."""
    managed.publish(
        "datasync",
        backend.account_id,
        backend.region_name,
        "DataSync Task Execution State Change",
        [execution.arn],
        {"State": status},
    )


def milliseconds(since: datetime, until: datetime) -> int:
    return round((until - since).total_seconds() * 1000)
