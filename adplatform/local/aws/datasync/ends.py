"""How executions of DataSync tasks end: the last state, its event, and then, as a step of its own, the report."""

from datetime import datetime, timedelta
from functools import partial

from adplatform.local.aws import managed
from adplatform.local.aws.datasync import locations, reports
from adplatform.local.aws.datasync.progress import MOVED, milliseconds, tell
from adplatform.local.aws.datasync.state import DataSyncBackend, Execution
from adplatform.local.aws.managed import CONTROL, own_s3, wait_until
from adplatform.local.aws.state import LOCK

_LONGEST_ANSWER = 60.0  # seconds of the real clock


def wait_for_announcement(execution: Execution) -> None:
    """Callers hold the lock once or more; it is free meanwhile."""
    MOVED.wait_for(lambda: execution.announced, _LONGEST_ANSWER)


def end(backend: DataSyncBackend, execution: Execution, error: tuple[str, str] | None) -> None:
    with LOCK:
        execution.error = error
        execution.ended = CONTROL.now()
        execution.durations["TotalDuration"] = milliseconds(execution.launched or execution.ended, execution.ended)
        execution.status = "ERROR" if error else "SUCCESS"
        managed.changed("datasync")
        MOVED.notify_all()
    late = execution.faults.get("event_late")
    if late is None:
        _announce_end(backend, execution)
    else:
        due = execution.ended + timedelta(seconds=late.seconds)
        managed.behind("datasync", partial(_announce_end, backend, execution, due))
    if execution.report is not None:
        report(backend, execution)


def _announce_end(backend: DataSyncBackend, execution: Execution, due: datetime | None = None) -> None:
    if due is not None:
        wait_until(due)
    times = 0 if "event_lost" in execution.faults else 2 if "event_twice" in execution.faults else 1
    for _ in range(times):
        tell(backend, execution, execution.status)
    with LOCK:
        execution.announced = True
        MOVED.notify_all()


def report(backend: DataSyncBackend, execution: Execution) -> None:
    if late := execution.faults.get("report_late"):
        wait_until((execution.ended or CONTROL.now()) + timedelta(seconds=late.seconds))
    failure = _written(backend, execution)
    with LOCK:
        execution.report = {"Status": "SUCCESS"}
        if failure is not None:
            execution.report = {"Status": "ERROR", "ErrorCode": failure[0], "ErrorDetail": failure[1]}
        execution.outcomes.clear()
        managed.changed("datasync")


def _written(backend: DataSyncBackend, execution: Execution) -> tuple[str, str] | None:
    """Code and text of why the report could not be written."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    if "report_fails" in execution.faults:
        return "AccessDenied", "the role of the report may not write to its bucket"
    with LOCK:
        files = reports.files(backend, backend.tasks[execution.task], execution, CONTROL.now())
    bucket = locations.bucket_name(execution.settings["TaskReportConfig"]["Destination"]["S3"]["S3BucketArn"])
    s3 = own_s3()
    try:
        for key, body in files.items():
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    except ClientError as e:
        return e.response["Error"]["Code"], e.response["Error"].get("Message", "")
    except BotoCoreError as e:
        return type(e).__name__, str(e)
    return None
