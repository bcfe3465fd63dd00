"""Task reports of DataSync: a summary, and detailed reports of what was transferred, skipped, verified and deleted.

The details of transferred files have the form that AWS documents (DataSync user guide, "Monitoring your transfers with
task reports"), one for each mode; the members of the others and of the summary follow the same pattern, but are not
documented. File names are as reports of AWS have them: ``exec-….files-transferred-v1-00001-….json``.
"""

import json
import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, get_args

from adplatform.local.aws.datasync.copying import Kind, Outcome
from adplatform.local.aws.datasync.state import DataSyncBackend, Execution, Task
from adplatform.local.aws.datasync.stores import About, Item

LARGEST = 5_000_000
"""Bytes of one report file; DataSync splits what is larger."""

_VERBS: dict[Kind, str] = {"Transferred": "Transfer", "Skipped": "Skip", "Verified": "Verify", "Deleted": "Delete"}


def files(backend: DataSyncBackend, task: Task, execution: Execution, now: datetime) -> dict[str, bytes]:
    """Keys below the report's bucket and what is in them. Callers hold the lock."""
    config = execution.settings["TaskReportConfig"]
    folder = "/".join(
        part.strip("/") for part in (config["Destination"]["S3"].get("Subdirectory", ""), task.settings.get("Name", ""))
    ).strip("/")
    root = f"{folder}/" if folder else ""
    place = f"{task.id}/{execution.id}"
    summary = json.dumps(_summary(backend, task, execution)).encode()
    written = {f"{root}Summary-Reports/{place}/{execution.id}.json": summary}
    if config.get("OutputType", "STANDARD") == "SUMMARY_ONLY":
        return written
    with_versions = config.get("ObjectVersionIds") == "INCLUDE"
    for kind in get_args(Kind):
        level = config.get("Overrides", {}).get(kind, {}).get("ReportLevel", config.get("ReportLevel", "ERRORS_ONLY"))
        told = [o for o in execution.outcomes if o.kind == kind and (o.error or level == "SUCCESSES_AND_ERRORS")]
        form = _enhanced if execution.mode == "ENHANCED" else _basic
        entries = (form(outcome, now, with_versions=with_versions) for outcome in told)
        for number, part in enumerate(split(entries, LARGEST), start=1):
            name = f"{execution.id}.files-{kind.lower()}-v1-{number:05}-0{secrets.token_hex(8)}.json"
            body = {"TaskExecutionId": execution.id, kind: part}
            written[f"{root}Detailed-Reports/{place}/{name}"] = json.dumps(body).encode()
    return written


def split(entries: Iterable[dict[str, Any]], largest: int) -> Iterator[list[dict[str, Any]]]:
    """The entries in order, in parts whose JSON has at most ``largest`` bytes, or one entry."""
    part: list[dict[str, Any]] = []
    size = around = len('{"TaskExecutionId": "exec-", "Transferred": []}') + 17
    for entry in entries:
        length = len(json.dumps(entry)) + 2
        if part and size + length > largest:
            yield part
            part, size = [], around
        part.append(entry)
        size += length
    if part:
        yield part


def _enhanced(outcome: Outcome, now: datetime, *, with_versions: bool) -> dict[str, Any]:
    verb = _VERBS[outcome.kind]
    entry: dict[str, Any] = {"RelativePath": outcome.item.path}
    if outcome.kind != "Deleted":
        entry["SourceMetadata"] = _metadata(outcome.item, outcome.about)
    if outcome.kind == "Verified" and outcome.found is not None:
        entry["DestinationMetadata"] = _metadata(outcome.found, outcome.about)
    entry |= _of_transfer(outcome, with_versions=with_versions)
    entry |= {
        f"{verb}Timestamp": (outcome.at or now).strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
        **({"TransferType": "CONTENT_AND_METADATA"} if outcome.kind == "Transferred" else {}),
        f"{verb}Status": "FAILED" if outcome.error else "SUCCESS",
    }
    if outcome.error:
        entry["ErrorCode"], entry["ErrorDetail"] = outcome.error
    return entry


def _basic(outcome: Outcome, now: datetime, *, with_versions: bool) -> dict[str, Any]:
    verb = _VERBS[outcome.kind]
    entry: dict[str, Any] = {"RelativePath": f"/{outcome.item.path.rstrip('/')}"}
    if outcome.kind != "Deleted":
        entry["SrcMetadata"] = _posix(outcome.item, outcome.about)
    if outcome.kind == "Verified" and outcome.found is not None:
        entry["DstMetadata"] = _posix(outcome.found, outcome.about)
    entry |= _of_transfer(outcome, with_versions=with_versions)
    entry |= {
        f"{verb}Timestamp": _seconds(outcome.at or now),
        **({"TransferType": "CONTENT_AND_METADATA"} if outcome.kind == "Transferred" else {}),
        f"{verb}Status": "FAILED" if outcome.error else "SUCCESS",
    }
    if outcome.error:
        # A number of AWS's own, of which no list is published.
        entry |= {"FailureReason": ": ".join(outcome.error), "FailureCode": 40974}
    return entry


def _of_transfer(outcome: Outcome, *, with_versions: bool) -> dict[str, Any]:
    if outcome.kind != "Transferred":
        return {}
    version = {"DstS3VersionId": outcome.version} if outcome.version and with_versions else {}
    return {"Overwrite": str(outcome.overwrite), **version}


def _metadata(item: Item, about: About) -> dict[str, Any]:
    return {
        "Type": "Directory" if item.is_folder else "Object",
        "ContentSize": item.size,
        "LastModified": _seconds(item.modified),
        "SystemMetadata": {
            "ContentType": about.system.get("ContentType", "binary/octet-stream"),
            "ETag": f'"{about.etag or item.etag}"',
            "ServerSideEncryption": "AES256",
        },
        "UserMetadata": dict(about.metadata),
        "Tags": [{"Key": key, "Value": value} for key, value in about.tags.items()],
    }


def _posix(item: Item, about: About) -> dict[str, Any]:
    return {
        "Type": "Directory" if item.is_folder else "Regular",
        "ContentSize": item.size,
        "Mtime": _seconds(item.modified),
        "Atime": _seconds(item.modified),
        "Uid": about.metadata.get("file-owner", "0"),
        "Gid": about.metadata.get("file-group", "0"),
        "Mode": about.metadata.get("file-permissions", "0755" if item.is_folder else "0644"),
    }


def _summary(backend: DataSyncBackend, task: Task, execution: Execution) -> dict[str, Any]:
    result = {"Status": execution.status}
    if execution.error:
        result["ErrorCode"], result["ErrorDetail"] = execution.error
    return {
        "TaskExecutionId": execution.id,
        "TaskId": task.id,
        "TaskName": task.settings.get("Name", ""),
        "AccountId": backend.account_id,
        "SourceLocation": {"LocationArn": task.source, "LocationUri": backend.locations[task.source].uri},
        "DestinationLocation": {
            "LocationArn": task.destination,
            "LocationUri": backend.locations[task.destination].uri,
        },
        "StartTime": _seconds(execution.requested),
        "EndTime": _seconds(execution.ended) if execution.ended else None,
        "TotalDuration": execution.durations.get("TotalDuration", 0),
        "Result": result,
        "Counters": dict(execution.counters),
        "Options": execution.settings["Options"],
        "TaskMode": execution.mode,
    }


def _seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
