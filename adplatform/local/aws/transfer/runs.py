"""The lives of operations: they begin with a call, go on behind its answer, and again after the end of the process."""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

from adplatform.local.aws import managed
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK
from adplatform.local.aws.transfer import listings, remote, transfers
from adplatform.local.aws.transfer.faults import OF_LISTINGS, OF_OPERATIONS, OF_TRANSFERS
from adplatform.local.aws.transfer.state import ENDED, FAILED, IN_PROGRESS, ConnectorBackend, Kind, Operation

_WORK: Mapping[Kind, Callable[[ConnectorBackend, Operation], None]] = {
    "RETRIEVE": transfers.carry_out,
    "SEND": transfers.carry_out,
    "LIST": listings.carry_out,
    "MOVE": remote.move,
    "DELETE": remote.delete,
}
_ENDS: dict[str, threading.Event] = {}
_LONGEST_ANSWER = 60.0  # seconds of the real clock


def begin(backend: ConnectorBackend, operation: Operation) -> None:
    """Its work goes on behind the answer. Callers hold the lock."""
    names = {*OF_OPERATIONS, *(OF_TRANSFERS if operation.files else OF_LISTINGS if operation.kind == "LIST" else ())}
    taken = {name: CONTROL.take("transfer", name, operation.connector) for name in names}
    operation.faults = {name: fault for name, fault in taken.items() if fault is not None}
    backend.operations[operation.id] = operation
    _follow(backend, operation)


def wait(operation: str) -> None:
    """Until it has ended and its events are sent. Callers do not hold the lock."""
    end = _ENDS.get(operation)
    if end is not None:
        end.wait(_LONGEST_ANSWER)


def resume(backend: ConnectorBackend) -> None:
    """Takes up what had not ended when the embedded AWS did. Callers hold the lock."""
    for operation in backend.operations.values():
        if not operation.has_ended:
            _follow(backend, operation)


def _follow(backend: ConnectorBackend, operation: Operation) -> None:
    _ENDS[operation.id] = threading.Event()
    managed.behind("transfer", partial(_carry_out, backend, operation))


def _carry_out(backend: ConnectorBackend, operation: Operation) -> None:
    late, stuck = operation.faults.get("late"), operation.faults.get("stuck")
    due = operation.started + timedelta(seconds=late.seconds if late else 0)
    if late is not None:
        managed.wait_until(due)
    if stuck is not None:
        with LOCK:
            for file in operation.files[:1]:
                file.status = IN_PROGRESS
            managed.changed("transfer")
        if not stuck.seconds:
            return
        managed.wait_until(due + timedelta(seconds=stuck.seconds))
    try:
        _WORK[operation.kind](backend, operation)
    except Exception:
        # Nobody waits for this thread: an operation that does not end would be taken up at every start.
        managed.log.exception("%s %s", operation.connector, operation.id)
    _end(backend, operation)


def _end(backend: ConnectorBackend, operation: Operation) -> None:
    with LOCK:
        for file in operation.files:
            if file.status not in ENDED:
                file.status, file.failure = FAILED, ("INTERNAL_ERROR", "An internal error occurred.")
        if not operation.files:
            backend.operations.pop(operation.id, None)
        managed.changed("transfer")
    _ENDS.pop(operation.id).set()
