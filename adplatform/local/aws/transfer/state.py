"""What the stand-in of SFTP connectors remembers: connectors, and what they do; servers are beside. Snapshots pickle
it."""

import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from moto.transfer.models import TransferBackend

from adplatform.local.aws.managed import CONTROL, Fault
from adplatform.local.aws.transfer.errors import ResourceNotFoundException
from adplatform.local.aws.transfer.server_state import Bucket, Execution, Function, Server, User, Workflow

Kind = Literal["RETRIEVE", "SEND", "LIST", "MOVE", "DELETE"]

QUEUED, IN_PROGRESS, COMPLETED, FAILED = "QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED"
ENDED = frozenset({COMPLETED, FAILED})
KEPT = timedelta(days=7)
"""How long AWS keeps the results of a transfer, from its request on."""
LISTINGS_A_SECOND = 3


@dataclass
class Connector:
    """``asked`` has the members of CreateConnector, as UpdateConnector changed them. ``condition`` is a status other
    than ACTIVE and when it ends."""

    id: str
    arn: str
    asked: dict[str, Any]
    condition: tuple[str, datetime] | None = None

    @property
    def status(self) -> str:
        return self.condition[0] if self.condition and CONTROL.now() < self.condition[1] else "ACTIVE"

    @property
    def sftp(self) -> dict[str, Any]:
        return dict(self.asked["SftpConfig"])

    @property
    def connections(self) -> int:
        return int(self.sftp.get("MaxConcurrentConnections", 1))


@dataclass
class File:
    """One file of a transfer. ``failure`` is a code and what it means."""

    path: str
    id: str = field(default_factory=lambda: str(uuid4()))
    status: str = QUEUED
    failure: tuple[str, str] | None = None


@dataclass
class Operation:
    """What one call started. ``asked`` is its request; ``faults`` are those that were ordered by then. Only transfers
    have ``files``, and are kept when they have ended."""

    kind: Kind
    connector: str
    asked: dict[str, Any]
    started: datetime
    files: list[File] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def has_ended(self) -> bool:
        """Of a transfer."""
        return bool(self.files) and all(file.status in ENDED for file in self.files)


class ConnectorBackend(TransferBackend):
    """Of one account and region. ``listed`` is when the last listings of each connector began, ``starts`` how many
    executions may begin, ``dropped`` how many did not."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.connectors: dict[str, Connector] = {}
        self.operations: dict[str, Operation] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.listed: dict[str, deque[datetime]] = {}
        self.listings_limited_until: dict[str, datetime] = {}
        self.sftp_servers: dict[str, Server] = {}
        self.workflows: dict[str, Workflow] = {}
        self.executions: dict[str, Execution] = {}
        self.starts: Bucket | None = None
        self.dropped = 0
        self.functions: dict[str, Function] = {}

    def new_connector(self, asked: dict[str, Any]) -> Connector:
        name = f"c-{secrets.token_hex(9)[:17]}"
        arn = f"arn:aws:transfer:{self.region_name}:{self.account_id}:connector/{name}"
        self.connectors[name] = Connector(name, arn, asked)
        return self.connectors[name]

    def connector(self, name: str) -> Connector:
        """
        Raises:
            ResourceNotFoundException: there is no such connector.
        """
        if name not in self.connectors:
            raise ResourceNotFoundException("Connector", name)
        return self.connectors[name]

    def server(self, name: str) -> Server:
        """
        Raises:
            ResourceNotFoundException: there is no such server.
        """
        if name not in self.sftp_servers:
            raise ResourceNotFoundException("Server", name)
        return self.sftp_servers[name]

    def user(self, server: str, name: str) -> User:
        """
        Raises:
            ResourceNotFoundException: there is no such server, or it has no such user.
        """
        found = self.server(server).users.get(name)
        if found is None:
            raise ResourceNotFoundException("User", name)
        return found

    def workflow(self, name: str) -> Workflow:
        """
        Raises:
            ResourceNotFoundException: there is no such workflow.
        """
        if name not in self.workflows:
            raise ResourceNotFoundException("Workflow", name)
        return self.workflows[name]

    def transfer(self, connector: str, name: str) -> Operation:
        """
        Raises:
            ResourceNotFoundException: the connector has no such transfer, or it was asked for too long ago.
        """
        self.forget()
        found = self.operations.get(name)
        if found is None or found.connector != connector or not found.files:
            raise ResourceNotFoundException("Transfer", name)
        return found

    def forget(self) -> None:
        """Drops what AWS keeps no longer."""
        since = CONTROL.now() - KEPT
        self.operations = {name: each for name, each in self.operations.items() if each.started > since}
