"""Executions of managed workflows: whether one begins, its steps one after the other, and what handles an exception.

More than may begin at once are dropped, not queued (quotas of Transfer Family). They go on where they were when the
process has ended meanwhile, so that a step may run twice.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from adplatform.local.aws import managed
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK
from adplatform.local.aws.transfer import functions, steps
from adplatform.local.aws.transfer.server_state import HANDLING_EXCEPTION, IN_PROGRESS, Bucket, Execution, FileLocation

if TYPE_CHECKING:
    from adplatform.local.aws.transfer.state import ConnectorBackend

_BURST, _A_SECOND = 100, 1.0
"""New executions of an account (AWS General Reference, quotas of Transfer Family)."""
_AT_ONCE = 32
_TIMEOUT = 60
"""Seconds of a custom step that does not say."""
_LOOK_AGAIN_SECONDS = 0.2
_ANSWERED = threading.Condition(LOCK)


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="workflow")


def offer(backend: "ConnectorBackend", server: str, user: str, session: str, occasion: str, file: FileLocation) -> None:
    """Begins the workflow that the server has for the occasion, if there is one and not too many have begun. Callers
    hold the lock."""
    found = backend.sftp_servers.get(server)
    details = found.workflow(occasion) if found else None
    workflow = backend.workflows.get(details["WorkflowId"]) if details else None
    if details is None or workflow is None:
        return
    if CONTROL.take("transfer", "workflow_dropped", server) or not _may_begin(backend):
        backend.dropped += 1
        return
    execution = Execution(
        workflow.id,
        server,
        user,
        session,
        details["ExecutionRole"],
        CONTROL.now(),
        file,
        file,
        list(workflow.asked["Steps"]),
        list(workflow.asked.get("OnExceptionSteps", ())),
    )
    backend.executions[execution.id] = execution
    _follow(backend, execution)


def resume(backend: "ConnectorBackend") -> None:
    """Callers hold the lock."""
    for execution in list(backend.executions.values()):
        _follow(backend, execution)


def answer(execution: Execution, status: str) -> None:
    """What a custom step says. Callers hold the lock."""
    execution.answer = status
    _ANSWERED.notify_all()


def taken(bucket: Bucket | None, now: datetime) -> tuple[Bucket, bool]:
    """The bucket once somebody has asked for a token, and whether there was one. A new one is full."""
    before = bucket or Bucket(_BURST, now)
    filled = min(_BURST, before.tokens + (now - before.since).total_seconds() * _A_SECOND)
    return Bucket(filled - 1 if filled >= 1 else filled, now), filled >= 1


def _may_begin(backend: "ConnectorBackend") -> bool:
    backend.starts, begins = taken(backend.starts, CONTROL.now())
    return begins


def _follow(backend: "ConnectorBackend", execution: Execution) -> None:
    _workers().submit(_guarded, lambda: _carry_out(backend, execution), execution)


def _guarded(work: Callable[[], None], execution: Execution) -> None:
    try:
        work()
    except Exception:
        # Nobody waits for this thread.
        managed.log.exception("%s %s", execution.workflow, execution.id)


def _carry_out(backend: "ConnectorBackend", execution: Execution) -> None:
    """Callers do not hold the lock."""
    if execution.status == IN_PROGRESS and not _run(execution, execution.steps, execution.results, True):
        with LOCK:
            execution.status = HANDLING_EXCEPTION
            managed.changed("transfer")
    if execution.status == HANDLING_EXCEPTION:
        _run(execution, execution.exceptions, execution.handled, False)
    with LOCK:
        backend.executions.pop(execution.id, None)
        managed.changed("transfer")


def _run(execution: Execution, planned: list[dict[str, Any]], done: list[dict[str, Any]], nominal: bool) -> bool:
    """Runs the steps that are left; whether none failed."""
    for step in planned[len(done) :]:
        failure = _failure(execution, step, nominal)
        with LOCK:
            error = {"Error": {"Type": failure.kind, "Message": failure.message}} if failure else {}
            done.append({"StepType": step["Type"], **error})
            managed.changed("transfer")
        if failure:
            return False
    return True


def _failure(execution: Execution, step: dict[str, Any], nominal: bool) -> "steps.StepFailed | None":
    """Runs one step; why it failed."""
    try:
        if step["Type"] == "CUSTOM":
            _custom(execution, step["CustomStepDetails"], nominal)
        else:
            written = steps.carry_out(execution, step)
            with LOCK:
                execution.previous = written
    except steps.StepFailed as e:
        return e
    return None


def _custom(execution: Execution, details: dict[str, Any], nominal: bool) -> None:
    """Calls the function and awaits its answer. One that handles an exception is called for a file that was replaced,
    too.

    Raises:
        StepFailed: it answered with FAILURE, or in time with nothing, or the file is another by now.
    """
    source = steps.source(execution, details)
    if nominal:
        steps.require_unchanged(source)
    with LOCK:
        execution.token, execution.answer = uuid4().hex, ""
        token = execution.token
        managed.changed("transfer")
    functions.invoke(details["Target"], _event(execution, source, token))
    due = CONTROL.now() + timedelta(seconds=details.get("TimeoutSeconds", _TIMEOUT))
    with LOCK:
        while not execution.answer and CONTROL.now() < due:
            _ANSWERED.wait(_LOOK_AGAIN_SECONDS)
        said, execution.token = execution.answer, ""
    if not said:
        raise steps.StepFailed("TIMEOUT", "The custom step was not answered in time.")
    if said != "SUCCESS":
        raise steps.StepFailed("CUSTOM_STEP_FAILED", "The custom step answered with FAILURE.")


def _event(execution: Execution, file: FileLocation, token: str) -> dict[str, Any]:
    return {
        "token": token,
        "serviceMetadata": {
            "executionDetails": {"workflowId": execution.workflow, "executionId": execution.id},
            "transferDetails": {
                "sessionId": execution.session,
                "userName": execution.user,
                "serverId": execution.server,
            },
        },
        "fileLocation": {
            "domain": "S3",
            "bucket": file.bucket,
            "key": file.key,
            "eTag": file.etag,
            "versionId": file.version,
        },
    }
