"""What the stand-in of SFTP servers remembers: servers with their users and keys, workflows and what they do now, and
the functions that they call. Snapshots pickle it."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

ONLINE, OFFLINE = "ONLINE", "OFFLINE"
IN_PROGRESS, HANDLING_EXCEPTION = "IN_PROGRESS", "HANDLING_EXCEPTION"


def new_id(prefix: str) -> str:
    """17 hexadecimal digits behind a prefix, as most names in Transfer Family are."""
    return f"{prefix}-{secrets.token_hex(9)[:17]}"


@dataclass
class PublicKey:
    """``body`` is as it was imported."""

    body: str
    imported: datetime
    id: str = field(default_factory=lambda: new_id("key"))

    @property
    def bare(self) -> str:
        """Type and base64."""
        return " ".join(self.body.split()[:2])


@dataclass
class User:
    """``asked`` has the members of CreateUser, as UpdateUser changed them."""

    name: str
    arn: str
    asked: dict[str, Any]
    keys: list[PublicKey] = field(default_factory=list)


@dataclass
class Server:
    """``asked`` has the members of CreateServer, as UpdateServer changed them. ``host_key`` is a private key in PEM.
    ``port`` is where it listens, 0 while it never has."""

    id: str
    arn: str
    asked: dict[str, Any]
    host_key: str = field(repr=False)
    state: str = ONLINE
    port: int = 0
    users: dict[str, User] = field(default_factory=dict)

    @property
    def protocol(self) -> dict[str, Any]:
        return dict(self.asked.get("ProtocolDetails", {}))

    def workflow(self, occasion: str) -> dict[str, str] | None:
        """The workflow, with its role, for ``OnUpload`` or ``OnPartialUpload``."""
        found = self.asked.get("WorkflowDetails", {}).get(occasion)
        return dict(found[0]) if found else None


@dataclass
class Workflow:
    """``asked`` has the members of CreateWorkflow."""

    id: str
    arn: str
    asked: dict[str, Any]


@dataclass(frozen=True)
class FileLocation:
    """An object as it was when somebody last looked; ``etag`` is without quotes."""

    bucket: str
    key: str
    etag: str
    version: str | None = None


@dataclass
class Execution:
    """A workflow that runs for one file. ``steps`` and ``exceptions`` are those of the workflow when it began, and
    ``results`` of the steps that have ended, ``handled`` of those that handle an exception. ``token`` is what a custom
    step answers with while one is awaited, and ``answer`` what it said."""

    workflow: str
    server: str
    user: str
    session: str
    role: str
    started: datetime
    original: FileLocation
    previous: FileLocation
    steps: list[dict[str, Any]]
    exceptions: list[dict[str, Any]]
    id: str = field(default_factory=lambda: str(uuid4()))
    status: str = IN_PROGRESS
    results: list[dict[str, Any]] = field(default_factory=list)
    handled: list[dict[str, Any]] = field(default_factory=list)
    token: str = ""
    answer: str = ""


@dataclass
class Bucket:
    """A token bucket: how many executions may begin at once, and since when it fills up again."""

    tokens: float
    since: datetime


@dataclass(frozen=True)
class Function:
    """A Lambda function. ``handler`` is ``module:name``, ``timeout`` in seconds."""

    arn: str
    handler: str
    environment: tuple[tuple[str, str], ...] = ()
    timeout: float = 60.0
