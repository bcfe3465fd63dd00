"""What AppFlow keeps: flows, their runs and connector profiles. Snapshots pickle it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.base_backend import BaseBackend

TOKENS_LIVE = timedelta(hours=8)
IN_PROGRESS, CANCEL_STARTED = "InProgress", "CancelStarted"
SUCCESSFUL, ERROR, CANCELED = "Successful", "Error", "Canceled"
FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass
class Run:
    """One execution. ``scheduled`` is when its schedule asked for it; ``held``, until when it does nothing."""

    id: str
    started: datetime
    updated: datetime
    status: str = IN_PROGRESS
    scheduled: datetime | None = None
    held: datetime | None = None
    pull_start: datetime | None = None
    pull_end: datetime | None = None
    records: int = 0
    filtered: int = 0
    bytes_processed: int = 0
    bytes_written: int = 0
    failed: int = 0
    message: str = ""

    @property
    def going_on(self) -> bool:
        return self.status in (IN_PROGRESS, CANCEL_STARTED)

    def described(self) -> dict[str, Any]:
        """As DescribeFlowExecutionRecords shows it."""
        result: dict[str, Any] = {
            "bytesProcessed": self.bytes_processed,
            "bytesWritten": self.bytes_written,
            "recordsProcessed": self.records,
        }
        if self.failed or self.message:
            error = {"putFailuresCount": self.failed, "executionMessage": self.message or None}
            result["errorInfo"] = {name: value for name, value in error.items() if value is not None}
        return {
            "executionId": self.id,
            "executionStatus": self.status,
            "executionResult": {} if self.status == IN_PROGRESS else result,
            "startedAt": self.started,
            "lastUpdatedAt": self.updated,
            "dataPullStartTime": self.pull_start,
            "dataPullEndTime": self.pull_end,
        }


@dataclass
class Flow:
    """``asked`` is what CreateFlow or the last UpdateFlow said, ``coming`` what an UpdateFlow said that is not applied
    yet, and when it will be. ``pulled_until`` is where the next incremental run begins."""

    name: str
    arn: str
    asked: dict[str, Any]
    status: str
    created: datetime
    updated: datetime
    tags: dict[str, str] = field(default_factory=dict)
    message: str = ""
    schema_version: int = 1
    next_run: datetime | None = None
    pulled_until: datetime | None = None
    failures: int = 0
    coming: tuple[datetime, dict[str, Any]] | None = None
    runs: dict[str, Run] = field(default_factory=dict)

    @property
    def trigger(self) -> str:
        return str(self.asked["triggerConfig"]["triggerType"])

    @property
    def schedule(self) -> dict[str, Any]:
        return dict(self.asked["triggerConfig"].get("triggerProperties", {}).get("Scheduled", {}))

    @property
    def source(self) -> dict[str, Any]:
        return dict(self.asked["sourceFlowConfig"])

    @property
    def source_object(self) -> str:
        properties = self.source["sourceConnectorProperties"]
        return str(next(p.get("object") or p.get("entityName") for p in properties.values()))

    @property
    def destination(self) -> dict[str, Any]:
        """The properties of its S3 destination."""
        return dict(self.asked["destinationFlowConfigList"][0]["destinationConnectorProperties"]["S3"])

    def change(self, asked: dict[str, Any]) -> None:
        """Applies an update. Other mappings are another schema version; another trigger is to be activated anew."""
        self.schema_version += _mapping(self.asked) != _mapping(asked)
        if self.trigger != asked["triggerConfig"]["triggerType"]:
            self.status, self.next_run = first_status(asked), None
        self.asked = asked

    def running(self) -> Run | None:
        return next((run for run in self.runs.values() if run.going_on), None)

    def last(self) -> Run | None:
        return max(self.runs.values(), key=lambda run: run.started, default=None)


def first_status(asked: dict[str, Any]) -> str:
    """Flows with a schedule are to be activated by StartFlow."""
    return "Active" if asked["triggerConfig"]["triggerType"] == "OnDemand" else "Draft"


def _mapping(asked: dict[str, Any]) -> list[dict[str, Any]]:
    return [task for task in asked["tasks"] if task["taskType"] != "Filter"]


@dataclass
class Profile:
    """A connection. ``token`` is the access token that is good until the application says that it is not."""

    name: str
    arn: str
    asked: dict[str, Any]
    created: datetime
    updated: datetime
    token: str = ""

    @property
    def connector(self) -> str:
        return str(self.asked["connectorType"])


class AppflowBackend(BaseBackend):
    """Of one account and region. ``tokens`` has the answers that client tokens stand for, and when they were given."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.flows: dict[str, Flow] = {}
        self.profiles: dict[str, Profile] = {}
        self.tokens: dict[tuple[str, str], tuple[dict[str, Any], datetime]] = {}

    def answered(self, of: str, token: str | None, now: datetime) -> dict[str, Any] | None:
        """What the call with this token was answered within the last eight hours."""
        self.tokens = {key: kept for key, kept in self.tokens.items() if kept[1] + TOKENS_LIVE > now}
        kept = self.tokens.get((of, token or ""))
        return None if kept is None else kept[0]

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:appflow:{self.region_name}:{self.account_id}:{kind}/{name}"
