"""Executions of DataSync tasks: they wait for their turn, copy in the background, send events and write reports."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.datasync import locations
from adplatform.local.aws.datasync.copying import Job, Outcome, manifest_lines, prepare, transfer, verify
from adplatform.local.aws.datasync.ends import end, report
from adplatform.local.aws.datasync.faults import OF_EXECUTIONS
from adplatform.local.aws.datasync.progress import MOVED, Cancelled, move, phase, stay, tell, wait
from adplatform.local.aws.datasync.state import (
    ENDED,
    DataSyncBackend,
    Execution,
    InvalidRequestException,
    Task,
)
from adplatform.local.aws.managed import CONTROL, own_s3
from adplatform.local.aws.state import LOCK

log = logging.getLogger(__name__)

_CANCELLED = ("Cancelled", "the task execution was cancelled")
_FORCED = ("SockTlsHandshakeFailure", "the connection to the source was lost")
_INTERRUPTED = ("InternalError", "the embedded AWS ended during the execution")


class _Failed(Exception):
    """A fault ends the execution."""


def start(backend: DataSyncBackend, task: Task, settings: Mapping[str, Any]) -> Execution:
    """Begins an execution in the background, or puts it behind the one that goes on. Callers hold the lock.

    Raises:
        InvalidRequestException: the agent is offline, or another execution goes on and ``TaskQueueing`` is DISABLED.
    """
    if backend.is_offline(task):
        raise InvalidRequestException(f"Task {task.arn} is UNAVAILABLE: its agent is offline.", "TaskUnavailable")
    before = backend.going_on(task.arn)
    if before and settings["Options"]["TaskQueueing"] == "DISABLED":
        raise InvalidRequestException(f"Task {task.arn} is running: {before[-1].arn}", "TaskRunning")
    taken = {name: CONTROL.take("datasync", name, task.arn) for name in OF_EXECUTIONS}
    faults = {name: fault for name, fault in taken.items() if fault is not None}
    execution = Execution(
        backend.new_arn(f"task/{task.id}/execution", "exec"),
        task.arn,
        task.mode,
        dict(settings),
        "QUEUED" if before or "stuck_queued" in faults else "LAUNCHING",
        CONTROL.now(),
        faults=faults,
        report={"Status": "PENDING"} if settings.get("TaskReportConfig") else None,
    )
    backend.executions[execution.arn] = execution
    managed.behind("datasync", partial(_follow, backend, execution))
    return execution


def cancel(execution: Execution) -> None:
    """Callers hold the lock.

    Raises:
        InvalidRequestException: it has ended.
    """
    if execution.status in ENDED:
        raise InvalidRequestException(f"Task execution {execution.arn} has ended with {execution.status}.")
    execution.cancelled = True
    execution.status = "CANCELLING"
    MOVED.notify_all()


def resume(backend: DataSyncBackend) -> None:
    """Takes up what waited when the embedded AWS ended, and ends what was copying. Callers hold the lock."""
    for execution in backend.executions.values():
        if execution.status in {"QUEUED", "LAUNCHING"}:
            managed.behind("datasync", partial(_follow, backend, execution))
        elif execution.status not in ENDED:
            error = _CANCELLED if execution.cancelled else _INTERRUPTED
            managed.behind("datasync", partial(end, backend, execution, error))
        elif execution.report == {"Status": "PENDING"}:
            managed.behind("datasync", partial(report, backend, execution))


def _follow(backend: DataSyncBackend, execution: Execution) -> None:
    try:
        _await_turn(backend, execution)
        error = _run(backend, execution)
    except Cancelled:
        tell(backend, execution, "CANCELLING")
        error = _CANCELLED
    except Exception as e:
        # Nobody waits for this thread: an execution that does not end would block its task for good.
        log.exception("%s", execution.arn)
        error = ("InternalError", f"{type(e).__name__}: {e}")
    end(backend, execution, error)


def _await_turn(backend: DataSyncBackend, execution: Execution) -> None:
    tell(backend, execution, execution.status)
    wait(execution, lambda: backend.going_on(execution.task)[0] is execution)
    stay(execution, "stuck_queued")
    if execution.status == "QUEUED":
        move(backend, execution, "LAUNCHING")
    with LOCK:
        execution.launched = CONTROL.now()
    stay(execution, "stuck_launching")


def _run(backend: DataSyncBackend, execution: Execution) -> tuple[str, str] | None:
    """The error that the execution ends with; None for success."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        with phase(backend, execution, "Prepare", "PREPARING"):
            job = _job(backend, execution)
            plan = prepare(job)
        with phase(backend, execution, "Transfer", "TRANSFERRING"):
            copied = transfer(job, plan)
        if job.options["VerifyMode"] != "NONE":
            with phase(backend, execution, "Verify", "VERIFYING"):
                verify(job, plan, copied)
    except _Failed:
        return _FORCED
    except ClientError as e:
        return e.response["Error"]["Code"], e.response["Error"].get("Message", "")
    except InvalidRequestException as e:
        return e.errorCode, e.message
    except (BotoCoreError, OSError) as e:
        return type(e).__name__, str(e)
    if execution.mode == "BASIC" and not {"transfer_failures", "verify_failures"} & execution.faults.keys():
        return _first_failure(execution)
    return None


def _first_failure(execution: Execution) -> tuple[str, str] | None:
    """In BASIC mode an execution with failed files is an error, as is each of its phases that had any."""
    with LOCK:
        failed = [outcome for outcome in execution.outcomes if outcome.error]
        for outcome in failed:
            execution.phases["Verify" if outcome.kind == "Verified" else "Transfer"] = "ERROR"
    return failed[0].error if failed else None


def _job(backend: DataSyncBackend, execution: Execution) -> Job:
    with LOCK:
        task = backend.tasks[execution.task]
        source, destination = backend.locations[task.source], backend.locations[task.destination]
    counters, settings = execution.counters, execution.settings

    def count(name: str, by: int) -> None:
        with LOCK:
            counters[name] += by

    def note(outcome: Outcome) -> None:
        with LOCK:
            execution.outcomes.append(replace(outcome, at=CONTROL.now()))

    def go_on(size: int) -> None:
        fails = execution.faults.get("run_fails")
        if fails and counters["FilesTransferred"] >= fails.count:
            raise _Failed
        pace = settings["Options"]["BytesPerSecond"]
        until = CONTROL.now() + timedelta(seconds=size / pace if pace > 0 else 0)
        wait(execution, lambda: CONTROL.now() >= until)

    return Job(
        source=locations.source(source),
        destination=locations.destination(destination),
        options=settings["Options"],
        includes="|".join(rule["Value"] for rule in settings.get("Includes", ())),
        excludes="|".join(rule["Value"] for rule in settings.get("Excludes", ())),
        manifest=_manifest(settings.get("ManifestConfig", {})),
        enhanced=execution.mode == "ENHANCED",
        count=count,
        note=note,
        go_on=go_on,
        forced={
            phase: execution.faults[name].count
            for phase, name in (("Transfer", "transfer_failures"), ("Verify", "verify_failures"))
            if name in execution.faults
        },
    )


def _manifest(config: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    place = config.get("Source", {}).get("S3")
    if place is None:
        return None
    version = {"VersionId": place["ManifestObjectVersionId"]} if "ManifestObjectVersionId" in place else {}
    bucket = locations.bucket_name(place["S3BucketArn"])
    s3 = own_s3()
    found = s3.get_object(Bucket=bucket, Key=place["ManifestObjectPath"].lstrip("/"), **version)
    return manifest_lines(found["Body"].read().decode())
