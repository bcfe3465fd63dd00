"""What the stand-in of DataSync remembers: agents, locations, tasks and their executions. All of it is in snapshots."""

import secrets
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from moto.core.base_backend import BaseBackend
from moto.core.exceptions import ServiceException

from adplatform.local.aws.datasync.copying import Outcome
from adplatform.local.aws.managed import CONTROL, Fault

_Known = TypeVar("_Known")

ENDED = frozenset({"SUCCESS", "ERROR"})
KEPT = timedelta(days=30)
"""How long AWS keeps the history of executions."""
DEFAULTS: dict[str, Any] = {
    "OverwriteMode": "ALWAYS",
    "Atime": "BEST_EFFORT",
    "Mtime": "PRESERVE",
    "Uid": "INT_VALUE",
    "Gid": "INT_VALUE",
    "PreserveDeletedFiles": "PRESERVE",
    "PreserveDevices": "NONE",
    "PosixPermissions": "PRESERVE",
    "BytesPerSecond": -1,
    "TaskQueueing": "ENABLED",
    "LogLevel": "OFF",
    "TransferMode": "CHANGED",
    "SecurityDescriptorCopyFlags": "NONE",
    "ObjectTags": "PRESERVE",
    "ObjectMetadata": "PRESERVE",
}
VERIFY_MODE = {"BASIC": "POINT_IN_TIME_CONSISTENT", "ENHANCED": "ONLY_FILES_TRANSFERRED"}


class InvalidRequestException(ServiceException):
    """``error_code`` is what clients find in the members ``errorCode`` and ``datasyncErrorCode``."""

    code = "InvalidRequestException"

    def __init__(self, message: str, error_code: str = "InvalidParameter") -> None:
        super().__init__(message)
        self.errorCode = self.datasyncErrorCode = error_code


class InternalException(ServiceException):
    code = "InternalException"

    def __init__(self, message: str = "An internal error occurred.") -> None:
        super().__init__(message)
        self.errorCode = "InternalError"


@dataclass
class Agent:
    """Offline until ``offline_until``, if that is not over."""

    arn: str
    name: str
    endpoint: str
    created: datetime
    offline_until: datetime | None = None


@dataclass
class Location:
    """``kind`` is S3, OBJECT_STORAGE, AZURE_BLOB, NFS or SMB; ``request`` is what created it, secrets included."""

    arn: str
    kind: str
    uri: str
    request: dict[str, Any]
    created: datetime

    @property
    def agents(self) -> list[str]:
        config = self.request.get("OnPremConfig", self.request)
        return list(config.get("AgentArns") or ())


@dataclass
class Task:
    """``settings`` has the members of CreateTask that UpdateTask changes, ``Options`` completed by the defaults."""

    arn: str
    mode: str
    source: str
    destination: str
    settings: dict[str, Any]
    created: datetime
    schedule_details: dict[str, Any] = field(default_factory=dict)
    next_run: datetime | None = None
    unavailable_until: datetime | None = None

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]


@dataclass
class Execution:
    """``counters`` are named as in DescribeTaskExecution, members of members with a dot. ``outcomes`` wait for the
    report and are dropped once it is written. ``faults`` are those that were ordered when it started; ``announced`` is
    whether the event of its end was sent."""

    arn: str
    task: str
    mode: str
    settings: dict[str, Any]
    status: str
    requested: datetime
    launched: datetime | None = None
    ended: datetime | None = None
    cancelled: bool = False
    error: tuple[str, str] | None = None
    counters: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    phases: dict[str, str] = field(default_factory=dict)
    durations: dict[str, int] = field(default_factory=dict)
    report: dict[str, str] | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    announced: bool = False

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]


class DataSyncBackend(BaseBackend):
    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.agents: dict[str, Agent] = {}
        self.locations: dict[str, Location] = {}
        self.tasks: dict[str, Task] = {}
        self.executions: dict[str, Execution] = {}
        self.tags: dict[str, dict[str, str]] = {}

    def new_arn(self, kind: str, prefix: str) -> str:
        return f"arn:aws:datasync:{self.region_name}:{self.account_id}:{kind}/{prefix}-0{secrets.token_hex(8)}"

    def agent(self, arn: str) -> Agent:
        return _known(self.agents, arn, "Agent")

    def location(self, arn: str, kind: str = "") -> Location:
        found = _known(self.locations, arn, "Location")
        if kind not in ("", found.kind):
            raise InvalidRequestException(f"Location {arn} is of type {found.kind}.")
        return found

    def task(self, arn: str) -> Task:
        return _known(self.tasks, arn, "Task")

    def execution(self, arn: str) -> Execution:
        self.forget()
        return _known(self.executions, arn, "Task execution")

    def executions_of(self, task: str) -> list[Execution]:
        """The oldest first."""
        self.forget()
        return [execution for execution in self.executions.values() if execution.task == task]

    def going_on(self, task: str) -> list[Execution]:
        return [execution for execution in self.executions_of(task) if execution.status not in ENDED]

    def agents_of(self, task: Task) -> Iterator[Agent]:
        for location in (task.source, task.destination):
            yield from (self.agents[arn] for arn in self.locations[location].agents if arn in self.agents)

    def status(self, task: Task) -> str:
        if self.is_offline(task):
            return "UNAVAILABLE"
        statuses = {execution.status for execution in self.going_on(task.arn)}
        return "AVAILABLE" if not statuses else "QUEUED" if statuses == {"QUEUED"} else "RUNNING"

    def is_offline(self, task: Task) -> bool:
        until = (task.unavailable_until, *(agent.offline_until for agent in self.agents_of(task)))
        return any(moment is not None and moment > CONTROL.now() for moment in until)

    def forget(self) -> None:
        """Drops what AWS keeps no longer."""
        since = CONTROL.now() - KEPT
        self.drop([e.arn for e in self.executions.values() if e.ended is not None and e.ended < since])

    def drop(self, executions: list[str]) -> None:
        for arn in executions:
            del self.executions[arn]
            self.tags.pop(arn, None)


def _known(known: dict[str, _Known], arn: str, what: str) -> _Known:
    found = known.get(arn)
    if found is None:
        raise InvalidRequestException(f"{what} {arn} is not found.")
    return found
