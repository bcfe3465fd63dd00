"""What the stand-in of DMS remembers beside moto's instances, endpoints and tags: tasks, and configurations of DMS
Serverless, which are one thing here: replications. All of it is in snapshots."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from moto.dms.models import DatabaseMigrationServiceBackend

from adplatform.local.aws.dms.errors import ResourceNotFoundFault

RUNNING = frozenset({"starting", "running", "stopping"})
FAILED, STOPPED = "failed", "stopped"
BEFORE, LOADING, RELOADING = "Before load", "Full load", "Table is being reloaded"
COMPLETED, ERRED = "Table completed", "Table error"
FULL_LOAD, CHANGES = "full-load", "cdc"
FINISHED = "Stop Reason FULL_LOAD_ONLY_FINISHED"
_COUNTED = {"I": "Inserts", "U": "Updates", "D": "Deletes"}


@dataclass
class Table:
    """What a task knows of a table. ``columns`` are the names that its last file had; ``counts`` has the members of
    DescribeTableStatistics that are numbers. The ``files`` of its load are ``safe`` once the end of the process cannot
    lose them; they were whole at ``loaded``, a moment of the monotonic clock."""

    schema: str
    name: str
    state: str = BEFORE
    counts: Counter[str] = field(default_factory=Counter)
    columns: tuple[str, ...] = ()
    load_started: datetime | None = None
    load_ended: datetime | None = None
    reloaded: bool = False
    files: int = 0
    loaded: float = 0.0
    safe: bool = False
    updated: datetime | None = None

    def count(self, op: str, now: datetime) -> None:
        self.counts[_COUNTED[op]] += 1
        self.updated = now


@dataclass(frozen=True)
class Held:
    """A file that is written late."""

    schema: str
    table: str
    key: str
    body: bytes


@dataclass(frozen=True)
class Written:
    """Changes that are written, in so many messages of the source, up to the LSN ``end``, at a moment of the monotonic
    clock."""

    end: int
    messages: int
    moment: float


@dataclass
class Sequence:
    """Where the sequence of changes is. The counter of a change is ``offset`` plus a million times the LSN of its
    commit plus its place in there, so that the same change has the same counter whenever it is read again; ``offset``
    is for slots whose LSNs are lower than those of the slot before."""

    offset: int = 0
    last: int = 0
    stamp: str = ""

    def begin(self, lsn: int) -> None:
        """A slot begins at an LSN."""
        if self.offset + lsn * 1_000_000 <= self.last:
            self.offset = self.last + 1 - lsn * 1_000_000


@dataclass
class Replication:
    """``asked`` is the request that created it, with later changes; ``started_with`` what started it. ``run`` counts
    the starts, so that work of one before can end; ``loaded`` says that the load is done and changes come.

    ``unconfirmed`` is what is written but not confirmed to the source, the oldest first: the source keeps it until
    nothing of it can be lost. It is of one process; the next one writes it again.

    A flush has the number ``flushes``; once ``flushed`` has come to it, all that had been committed before it is
    written."""

    arn: str
    name: str
    serverless: bool
    asked: dict[str, Any]
    created: datetime
    changed: datetime
    status: str
    started_with: dict[str, Any] = field(default_factory=dict)
    run: int = 0
    stop_asked: bool = False
    loaded: bool = False
    prepared: bool = False
    first_started: datetime | None = None
    started: datetime | None = None
    freshly_started: datetime | None = None
    ended: datetime | None = None
    load_started: datetime | None = None
    load_ended: datetime | None = None
    stop_reason: str = ""
    failure: str = ""
    checkpoint: str = ""
    tables: dict[tuple[str, str], Table] = field(default_factory=dict)
    reloads: list[tuple[str, str]] = field(default_factory=list)
    sequence: Sequence = field(default_factory=Sequence)
    last_name: int = 0
    held: list[Held] = field(default_factory=list)
    unconfirmed: list[Written] = field(default_factory=list)
    flushes: int = 0
    flushed: int = 0

    @property
    def kind(self) -> str:
        """full-load, cdc or full-load-and-cdc."""
        return str(self.asked["ReplicationType" if self.serverless else "MigrationType"])

    @property
    def settings(self) -> str:
        return str(self.asked.get("ReplicationSettings" if self.serverless else "ReplicationTaskSettings") or "{}")

    @property
    def slot(self) -> str:
        """The name of its slot and its publications at the source."""
        return f"dms_{sha256(self.arn.encode()).hexdigest()[:24]}"

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING

    @property
    def written(self) -> int:
        """The LSN up to which changes that the source still keeps are written, 0 for none."""
        return self.unconfirmed[-1].end if self.unconfirmed else 0

    def fresh(self, now: datetime) -> None:
        """Nothing is loaded, and no change read."""
        self.loaded = self.prepared = False
        self.freshly_started, self.load_started, self.load_ended = now, None, None
        self.tables, self.reloads, self.held, self.unconfirmed, self.checkpoint = {}, [], [], [], ""


@dataclass(frozen=True)
class Certificate:
    """Certificates of who signs those of servers. The stand-in reads databases of this machine only, and asks none of
    them who it is."""

    arn: str
    name: str
    pem: str
    created: datetime


class DmsBackend(DatabaseMigrationServiceBackend):
    """Of one account and region."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.replications: dict[str, Replication] = {}
        self.certificates: dict[str, Certificate] = {}

    def replication(self, arn: str, *, serverless: bool) -> Replication:
        """
        Raises:
            ResourceNotFoundFault: there is none.
        """
        found = self.replications.get(arn)
        if found is None or found.serverless != serverless:
            what = "Replication config" if serverless else "Replication task"
            raise ResourceNotFoundFault(f"{what} {arn} could not be found.")
        return found

    def endpoint(self, arn: str) -> Any:
        """
        Raises:
            ResourceNotFoundFault: there is none.
        """
        found = next((each for each in self.endpoints.values() if each.endpoint_arn == arn), None)
        if found is None:
            raise ResourceNotFoundFault(f"Endpoint {arn} could not be found.")
        return found
