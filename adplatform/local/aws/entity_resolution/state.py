"""What Entity Resolution keeps: schema mappings, matching workflows and their jobs. Snapshots pickle it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core.base_backend import BaseBackend

from adplatform.local.aws.managed import CONTROL

RUNNING = "RUNNING"


@dataclass
class Job:
    """``asked`` is what the workflow was when the job began."""

    id: str
    asked: dict[str, Any]
    started: datetime
    status: str = RUNNING
    ended: datetime | None = None
    metrics: dict[str, int] = field(default_factory=dict)
    error: str = ""

    @property
    def has_ended(self) -> bool:
        return self.status != RUNNING

    def end(self, status: str, error: str = "") -> None:
        self.status, self.error, self.ended = status, error, CONTROL.now()

    @property
    def summary(self) -> dict[str, Any]:
        return {"jobId": self.id, "status": self.status, "startTime": self.started, "endTime": self.ended}

    @property
    def described(self) -> dict[str, Any]:
        output = self.asked["outputSourceConfig"][0]
        kept = {name: output[name] for name in ("outputS3Path", "KMSArn") if name in output}
        return {
            **self.summary,
            "metrics": self.metrics or None,
            "errorDetails": {"errorMessage": self.error} if self.error else None,
            "outputSourceConfig": [{"roleArn": self.asked["roleArn"], **kept}],
        }


@dataclass
class Schema:
    """``asked`` is what CreateSchemaMapping or the last UpdateSchemaMapping said, without tags."""

    arn: str
    asked: dict[str, Any]
    created: datetime
    updated: datetime

    @property
    def fields(self) -> list[dict[str, Any]]:
        return list(self.asked["mappedInputFields"])


@dataclass
class Workflow:
    """``asked`` is what CreateMatchingWorkflow or the last UpdateMatchingWorkflow said, without tags."""

    arn: str
    asked: dict[str, Any]
    created: datetime
    updated: datetime
    jobs: dict[str, Job] = field(default_factory=dict)

    @property
    def schemas(self) -> set[str]:
        return {each["schemaName"] for each in self.asked["inputSourceConfig"]}


class EntityResolutionBackend(BaseBackend):
    """Of one account and region. ``tags`` are by ARN."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.schemas: dict[str, Schema] = {}
        self.workflows: dict[str, Workflow] = {}
        self.tags: dict[str, dict[str, str]] = {}

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:entityresolution:{self.region_name}:{self.account_id}:{kind}/{name}"

    def uses(self, schema: str) -> bool:
        return any(schema in workflow.schemas for workflow in self.workflows.values())
