"""The rows of managed engines: intentions, runs, and what a run brought to a delivery; what may happen to them is in
``adplatform.ledger.engine_runs``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from adplatform.ledger.rows import digest
from adplatform.ledger.table import NEW, Table, Write


class IntentState(StrEnum):
    """Where an intention stands. FULFILLED: a run that pulled its window has landed. LOST: whether its start reached
    the engine cannot be known any more, so it is never started blindly. SUPERSEDED: a later one wants all that it
    wanted."""

    INTENDED = "intended"
    STARTED = "started"
    FULFILLED = "fulfilled"
    GIVEN_UP = "given up"
    LOST = "lost"
    SUPERSEDED = "superseded"


class RunState(StrEnum):
    """What an engine says of a run. UNSEEN: it was started, and the engine does not show it yet."""

    UNSEEN = "unseen"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


WROTE = frozenset({RunState.SUCCEEDED, RunState.PARTIAL})
"""States of ended runs whose objects count."""
SEVERAL = "several"
PURSUED = frozenset({IntentState.INTENDED, IntentState.STARTED})


@dataclass(frozen=True)
class Intention:
    """Why a run is wanted, written before the engine is asked. ``target`` is the declared name of what runs, a flow or
    a task; ``key`` names the reason among those of one target, for example the slot of a schedule.

    ``attempt`` counts the runs that were wanted for it, from 1, and with it the token changes; ``begun`` counts the
    calls that asked for the present one, any of which may have reached the engine. The window is what a run has to pull
    at least, where it matters. ``revision`` counts the writes of the row.
    """

    source: str
    target: str
    key: str
    state: IntentState = IntentState.INTENDED
    attempt: int = 1
    begun: int = 0
    window_start: datetime | None = None
    window_end: datetime | None = None
    intended_at: datetime | None = None
    begun_at: datetime | None = None
    not_before: datetime | None = None
    run_id: str = ""
    error: str = ""
    revision: int = 0
    changed_at: datetime | None = None

    @property
    def owner(self) -> str:
        return owner_of(self.source, self.target)

    @property
    def sort_key(self) -> str:
        return f"intent#{self.key}"

    def token(self, longest: int) -> str:
        """What makes the engine take repeated calls for one."""
        return digest(self.owner, self.key, str(self.attempt))[:longest]

    def index_name(self, feed: str) -> str:
        return active_intentions(self.source) if self.state in PURSUED else ""


def intended(table: Table, intention: Intention) -> Write:
    """Remember that a run is wanted, of which nothing is known yet."""
    now = table.now()
    return table.put_write(intention.owner, replace(intention, intended_at=now, revision=1, changed_at=now), NEW)


@dataclass(frozen=True)
class EngineRun:
    """One run of a target, whoever started it. ``said`` is its state in the engine's own word.

    ``final`` once nothing of it changes any more, its report included; ``landed_at`` once everything that it wrote is
    with its deliveries, or was left out because it failed. ``records``, ``files`` and ``bytes`` are what the engine
    says it moved, ``objects`` is how many landed, ``only`` the only delivery they are with, or ``SEVERAL``. ``overdue``
    once it stays in a state for longer than it may, ``unwanted`` once somebody wants it stopped, ``cancelled`` once the
    engine has agreed to stop it for that. ``usage`` is what it is charged by, by name (``dpu_hours``), and ``link``
    where people see it in the engine's console.
    """

    source: str
    target: str
    run_id: str
    state: RunState = RunState.UNSEEN
    said: str = ""
    message: str = ""
    final: bool = False
    intent: str = ""
    adopted: bool = False
    found_at: datetime | None = None
    state_since: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    window_start: datetime | None = None
    window_end: datetime | None = None
    records: int | None = None
    files: int | None = None
    bytes: int | None = None
    failed: int | None = None
    usage: Mapping[str, Decimal] = field(default_factory=dict)
    link: str = ""
    overdue: bool = False
    unwanted: bool = False
    cancelled: bool = False
    objects: int = 0
    only: str = ""
    landed_at: datetime | None = None
    error: str = ""
    revision: int = 0
    changed_at: datetime | None = None

    @property
    def owner(self) -> str:
        return owner_of(self.source, self.target)

    @property
    def sort_key(self) -> str:
        return f"run#{self.run_id}"

    @property
    def ended(self) -> bool:
        return self.landed_at is not None

    def index_name(self, feed: str) -> str:
        return "" if self.ended else active_runs(self.source)


@dataclass(frozen=True)
class Landed:
    """What one run brought to one delivery: the object ``claims_key`` lists the raw objects. ``records`` is what the
    engine says it moved, where all of them belong to this delivery; ``files`` is the list itself, as JSON, where it is
    short. With ``replaces`` nothing counts that an earlier run brought."""

    day: date
    run_id: str
    claims_key: str
    objects: int
    landed_at: datetime
    records: int | None = None
    ended_at: datetime | None = None
    files: str = ""
    replaces: bool = False

    @property
    def sort_key(self) -> str:
        return landed_key(self.day, self.run_id)


def owner_of(source: str, target: str) -> str:
    """Under which name the rows of a target are."""
    return f"{source}/@{target}"


def landed_key(day: date, run_id: str) -> str:
    return f"landed#{day}#{digest(run_id)}"


def active_runs(source: str) -> str:
    """Under which name the index lists the runs of a source that have not landed."""
    return f"engine runs#{source}"


def active_intentions(source: str) -> str:
    """Under which name the index lists the intentions of a source that are pursued."""
    return f"intentions#{source}"
