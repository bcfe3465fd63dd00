"""Tasks of DataSync that YAML declares: what they are made with, and how what AWS has differs from it.

What is there is never changed: a task's mode and locations cannot be, nor a location's agents (DataSync API reference).
What differs is a finding for people.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from adplatform.contracts.replication import SIMULATED_SERVER, ReplicatedSource, Transfer
from adplatform.contracts.stores import AnyStore, AzureBlob, GoogleCloudStorage, ObjectStorage, S3Store
from adplatform.engines.task_locations import same_place
from adplatform.platform.names import OWNER_TAG

SOURCE, END = OWNER_TAG, "adplatform:end"
"""Tags of locations and tasks: the source in YAML, and which end of its task a location is."""
_MODES = {"changed": "CHANGED", "all": "ALL"}
_VERIFIED = {"transferred": "ONLY_FILES_TRANSFERRED", "all": "POINT_IN_TIME_CONSISTENT", "none": "NONE"}


@dataclass(frozen=True)
class DeclaredTask:
    """A task from ``store`` into ``bucket`` below ``prefix``, with reports below ``reports`` there. ``name`` is what it
    is called, ``role`` (a name or an ARN) that with which it writes. Where it is ``simulated``, the embedded AWS stands
    for the store.
    """

    source: str
    name: str
    store: AnyStore
    transfer: Transfer
    bucket: str
    prefix: str
    reports: str
    role: str
    simulated: bool = False

    @property
    def uri(self) -> str:
        """As DataSync writes that of the store's location."""
        store = self.store
        if isinstance(store, S3Store):
            return f"s3://{store.bucket}/{store.prefix}"
        if isinstance(store, (ObjectStorage, GoogleCloudStorage)):
            return f"object-storage://{urlsplit(self.server).hostname}/{store.bucket}/{store.prefix}"
        if isinstance(store, AzureBlob):
            return f"azure-blob://{store.container.removeprefix('https://')}/{store.prefix}"
        return f"{store.kind}://{store.server}{store.path}"

    @property
    def store_bucket(self) -> str:
        """The bucket of a store that speaks S3; empty for another."""
        return self.store.bucket if isinstance(self.store, (S3Store, ObjectStorage, GoogleCloudStorage)) else ""

    @property
    def store_prefix(self) -> str:
        """Below what keys of such a bucket are read: empty, or with a slash at its end."""
        inner = (
            self.store.prefix.strip("/") if isinstance(self.store, (S3Store, ObjectStorage, GoogleCloudStorage)) else ""
        )
        return f"{inner}/" if inner else ""

    def at_source(self, key: str) -> str:
        """The key in such a bucket that the task copies to a key of the landing zone."""
        return self.store_prefix + key.removeprefix(self.prefix)

    @property
    def server(self) -> str:
        """The URL of a store that speaks S3 and is not Amazon's; empty for another."""
        if not isinstance(self.store, (ObjectStorage, GoogleCloudStorage)):
            return ""
        return SIMULATED_SERVER if self.simulated else self.store.server


def declared_task(declared: ReplicatedSource, bucket: str, prefix: str, reports: str) -> DeclaredTask | None:
    """The task that is to be made of a source; None where it must be there."""
    if declared.from_ is None:
        return None
    return DeclaredTask(
        declared.source,
        declared.task_name,
        declared.from_,
        declared.transfer,
        bucket,
        prefix,
        reports,
        declared.role_name,
        declared.simulated,
    )


def task_request(
    declared: DeclaredTask, source: str, destination: str, role: str, log_group: str | None = None
) -> dict[str, Any]:
    """What CreateTask is asked for, given the ARNs of locations and role, and of a log group that hears of failures.
    Owners and modes of files are not kept: only contents count."""
    transfer = declared.transfer
    report = {
        "S3BucketArn": f"arn:aws:s3:::{declared.bucket}",
        "Subdirectory": declared.reports.rstrip("/"),
        "BucketAccessRoleArn": role,
    }
    request: dict[str, Any] = {
        "Name": declared.name,
        "SourceLocationArn": source,
        "DestinationLocationArn": destination,
        "TaskMode": declared.store.mode,
        "Options": {
            **_options(declared),
            "Uid": "NONE",
            "Gid": "NONE",
            "PosixPermissions": "NONE",
            **({"LogLevel": "BASIC"} if log_group else {}),
        },
        "TaskReportConfig": {
            "Destination": {"S3": report},
            "OutputType": "STANDARD",
            "ReportLevel": "SUCCESSES_AND_ERRORS",
            "ObjectVersionIds": "INCLUDE",
        },
        "Tags": tags_of(declared),
    }
    for name, patterns in (("Includes", transfer.includes), ("Excludes", transfer.excludes)):
        if patterns:
            request[name] = [{"FilterType": "SIMPLE_PATTERN", "Value": "|".join(patterns)}]
    if log_group:
        request["CloudWatchLogGroupArn"] = log_group
    if transfer.schedule:
        request["Schedule"] = {"ScheduleExpression": transfer.schedule, "Status": "ENABLED"}
    return request


def drift(
    declared: DeclaredTask, described: Mapping[str, Any], uris: Mapping[str, str], agents: Sequence[str]
) -> Iterator[str]:
    """How a task differs from its declaration, a sentence each; ``uris`` are those of locations, ``agents`` those of
    its source. The order of patterns, and what DataSync adds by itself, make no difference."""
    there = uris.get(described["SourceLocationArn"], described["SourceLocationArn"])
    if not same_place(there, declared.uri):
        yield _differs("the source", there, declared.uri)
    options = described.get("Options") or {}
    compared: list[tuple[str, Any, Any]] = [
        (name, options.get(name), value) for name, value in _options(declared).items()
    ]
    compared.append(("the mode", described.get("TaskMode", "BASIC"), declared.store.mode))
    compared.append(("the set of agents", sorted(agents), sorted(declared.store.agents)))
    for name, patterns in (("Includes", declared.transfer.includes), ("Excludes", declared.transfer.excludes)):
        compared.append((name, _patterns(described.get(name)), sorted(patterns)))
    schedule = described.get("Schedule") or {}
    expression = " ".join(schedule.get("ScheduleExpression", "").split())
    compared.append(("the schedule", expression, declared.transfer.schedule or ""))
    for what, has, wanted in compared:
        if has != wanted:
            yield _differs(what, has, wanted)
    disabled = (described.get("ScheduleDetails") or schedule).get("Status") == "DISABLED"
    if expression and disabled and (described.get("ScheduleDetails") or {}).get("DisabledBy") != "SERVICE":
        yield "the schedule is disabled in DataSync, and declared as enabled"


def _options(declared: DeclaredTask) -> dict[str, str]:
    """Those that a declaration decides."""
    return {
        "TransferMode": _MODES[declared.transfer.mode],
        "VerifyMode": _VERIFIED[declared.transfer.verify],
        "ObjectTags": "PRESERVE" if declared.transfer.object_tags else "NONE",
        "OverwriteMode": "ALWAYS",
        "PreserveDeletedFiles": "PRESERVE",
    }


def tags_of(declared: DeclaredTask, end: str = "") -> list[dict[str, str]]:
    """The tags of the task, or of the location at one of its ends: they name the source."""
    tags = {"Name": f"{declared.name}-{end}".rstrip("-"), SOURCE: declared.source, **({END: end} if end else {})}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _patterns(filters: Any) -> list[str]:
    return sorted(part for rule in filters or () for part in _split(rule.get("Value", "")))


def _split(text: str) -> list[str]:
    parts = text.replace(r"\|", "\0").split("|")
    return [part.replace("\0", r"\|") for part in parts if part]


def _differs(what: str, has: Any, wanted: Any) -> str:
    return f"{what} is {_shown(has)} in DataSync, and declared as {_shown(wanted)}"


def _shown(value: Any) -> str:
    return (", ".join(value) if isinstance(value, list) else str(value or "")) or "none"
