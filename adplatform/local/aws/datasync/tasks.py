"""Tasks of the stand-in of DataSync: what may be configured, and how they and their executions are described."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from adplatform.local.aws.datasync.schedule import schedule
from adplatform.local.aws.datasync.state import (
    DEFAULTS,
    VERIFY_MODE,
    DataSyncBackend,
    Execution,
    InvalidRequestException,
    Task,
)
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.schedule_expressions import shortest_gap

_SETTINGS = ("Name", "CloudWatchLogGroupArn", "Includes", "Excludes", "ManifestConfig", "TaskReportConfig", "Schedule")
_OVERRIDDEN = ("Includes", "Excludes", "ManifestConfig", "TaskReportConfig")
_MOST_OFTEN = timedelta(hours=1)


def create(backend: DataSyncBackend, request: Mapping[str, Any]) -> Task:
    """
    Raises:
        InvalidRequestException: a location does not exist or cannot be used so, or the configuration contradicts
            itself or the mode.
    """
    source = backend.location(request["SourceLocationArn"])
    destination = backend.location(request["DestinationLocationArn"])
    mode = request.get("TaskMode", "BASIC")
    if destination.kind not in {"S3", "OBJECT_STORAGE"}:
        raise InvalidRequestException("This stand-in of DataSync writes to S3 and to object storage only.")
    for location in (source, destination):
        if mode == "BASIC" and location.kind in {"OBJECT_STORAGE", "AZURE_BLOB"} and not location.agents:
            raise InvalidRequestException(f"Location {location.uri} has no agent: TaskMode must be ENHANCED.")
    settings = {name: request[name] for name in _SETTINGS if name in request}
    settings["Options"] = options(mode, {**DEFAULTS, "VerifyMode": VERIFY_MODE[mode]}, request.get("Options", {}))
    _require_consistent(settings)
    arn = backend.new_arn("task", "task")
    task = Task(arn, mode, source.arn, destination.arn, settings, CONTROL.now())
    if "Schedule" in settings:
        schedule(task, settings["Schedule"])
    backend.tasks[arn] = task
    return task


def update(backend: DataSyncBackend, request: Mapping[str, Any]) -> None:
    """
    Raises: as :func:`create`.
    """
    task = backend.task(request["TaskArn"])
    settings = {**task.settings, **{name: request[name] for name in _SETTINGS if name in request}}
    settings["Options"] = options(task.mode, task.settings["Options"], request.get("Options", {}))
    for emptied in ("ManifestConfig", "TaskReportConfig"):
        if not settings.get(emptied, True):
            del settings[emptied]
    _require_consistent(settings)
    task.settings = settings
    if "Schedule" in request:
        schedule(task, request["Schedule"])


def delete(backend: DataSyncBackend, arn: str) -> None:
    """
    Raises:
        InvalidRequestException: there is no such task, or an execution or a report of it goes on.
    """
    task = backend.task(arn)
    executions = backend.executions_of(task.arn)
    if backend.going_on(task.arn) or any(execution.report == {"Status": "PENDING"} for execution in executions):
        raise InvalidRequestException(f"Task {arn} is running.", "TaskRunning")
    backend.drop([execution.arn for execution in executions])
    backend.tags.pop(arn, None)
    del backend.tasks[arn]


def options(mode: str, base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        InvalidRequestException: a value does not go with another or with the mode.
    """
    merged = {**base, **given}
    if merged["PreserveDeletedFiles"] == "REMOVE" and merged["TransferMode"] == "ALL":
        raise InvalidRequestException("PreserveDeletedFiles REMOVE cannot be used with TransferMode ALL.")
    if mode == "BASIC":
        if (merged["Atime"] == "BEST_EFFORT") != (merged["Mtime"] == "PRESERVE"):
            raise InvalidRequestException("Atime BEST_EFFORT goes with Mtime PRESERVE, and NONE with NONE.")
        return merged
    for name, refused in (
        ("VerifyMode", merged["VerifyMode"] == "POINT_IN_TIME_CONSISTENT"),
        ("BytesPerSecond", merged["BytesPerSecond"] != -1),
        ("Mtime", merged["Mtime"] == "NONE"),
    ):
        if refused:
            raise InvalidRequestException(f"{name} {merged[name]} is not supported with TaskMode ENHANCED.")
    return merged


def for_execution(task: Task, request: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an execution: those of its task as StartTaskExecution overrides them.

    Raises:
        InvalidRequestException: they contradict each other or the mode.
    """
    given = {**task.settings, **request}
    settings = {name: given[name] for name in _OVERRIDDEN if name in given}
    settings["Options"] = options(task.mode, task.settings["Options"], request.get("OverrideOptions", {}))
    _require_consistent(settings)
    return settings


def describe(backend: DataSyncBackend, task: Task) -> dict[str, Any]:
    executions = backend.executions_of(task.arn)
    described = {
        "TaskArn": task.arn,
        "Status": backend.status(task),
        "SourceLocationArn": task.source,
        "DestinationLocationArn": task.destination,
        "CreationTime": task.created,
        "TaskMode": task.mode,
        **task.settings,
    }
    if executions:
        described["CurrentTaskExecutionArn"] = executions[-1].arn
    if task.schedule_details:
        described["ScheduleDetails"] = task.schedule_details
    if described["Status"] == "UNAVAILABLE":
        described |= {"ErrorCode": "AgentOffline", "ErrorDetail": "The agent of the task is offline."}
    return described


def describe_execution(execution: Execution) -> dict[str, Any]:
    enhanced = execution.mode == "ENHANCED"
    described: dict[str, Any] = {
        "TaskExecutionArn": execution.arn,
        "Status": execution.status,
        "StartTime": execution.requested,
        "TaskMode": execution.mode,
        **execution.settings,
    }
    for name, moment in (("LaunchTime", execution.launched), ("EndTime", execution.ended)):
        if moment is not None:
            described[name] = moment
    if execution.report is not None:
        described["ReportResult"] = execution.report
    for name in (*_COUNTERS, *(_OF_ENHANCED if enhanced else ())):
        outer, _, inner = name.partition(".")
        if inner:
            described.setdefault(outer, {})[inner] = execution.counters.get(name, 0)
        else:
            described[outer] = execution.counters.get(name, 0)
    result: dict[str, Any] = {"TotalDuration": execution.durations.get("TotalDuration", 0)}
    for phase in ("Prepare", "Transfer", "Verify"):
        result[f"{phase}Status"] = execution.phases.get(phase, "PENDING")
        result[f"{phase}Duration"] = 0 if enhanced else execution.durations.get(f"{phase}Duration", 0)
    if execution.error:
        result["ErrorCode"], result["ErrorDetail"] = execution.error
    return {**described, "Result": result}


def _require_consistent(settings: Mapping[str, Any]) -> None:
    if settings.get("ManifestConfig") and (settings.get("Includes") or settings.get("Excludes")):
        raise InvalidRequestException("A manifest cannot be used with filters.")
    if settings.get("ManifestConfig") and settings["Options"]["PreserveDeletedFiles"] == "REMOVE":
        raise InvalidRequestException("A manifest cannot be used with PreserveDeletedFiles REMOVE.")
    report = settings.get("TaskReportConfig")
    if report and not report.get("Destination", {}).get("S3"):
        raise InvalidRequestException("TaskReportConfig lacks Destination.S3.")
    expression = settings.get("Schedule", {}).get("ScheduleExpression", "")
    if not expression:
        return
    try:
        gap = shortest_gap(expression, CONTROL.now())
    except ValueError as e:
        raise InvalidRequestException(f"Invalid ScheduleExpression: {e}") from e
    if gap is not None and gap < _MOST_OFTEN:
        raise InvalidRequestException(f"ScheduleExpression {expression} runs more often than once an hour.")


_COUNTERS = (
    "EstimatedFilesToTransfer",
    "EstimatedBytesToTransfer",
    "EstimatedFilesToDelete",
    "FilesTransferred",
    "FilesSkipped",
    "FilesVerified",
    "FilesDeleted",
    "BytesTransferred",
    "BytesWritten",
    "BytesCompressed",
)
_OF_ENHANCED = (
    "FilesPrepared",
    "FilesListed.AtSource",
    "FilesListed.AtDestinationForDelete",
    "FilesFailed.Prepare",
    "FilesFailed.Transfer",
    "FilesFailed.Verify",
    "FilesFailed.Delete",
    "EstimatedFoldersToTransfer",
    "EstimatedFoldersToDelete",
    "FoldersPrepared",
    "FoldersTransferred",
    "FoldersSkipped",
    "FoldersVerified",
    "FoldersDeleted",
    "FoldersListed.AtSource",
    "FoldersListed.AtDestinationForDelete",
    "FoldersFailed.Prepare",
    "FoldersFailed.Transfer",
    "FoldersFailed.Verify",
    "FoldersFailed.Delete",
)
"""What applies to tasks in ENHANCED mode only (service model, DescribeTaskExecution)."""
