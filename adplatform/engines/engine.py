"""What every engine that AWS runs for us offers: it is declared, started and watched here, and writes by itself.

The run is the unit, an intention only its reason: whatever run has ended is landed once, whoever started it. What makes
landing safe is the identity of the objects, so a start that happened twice costs a run and never doubles a row.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.ledger.engine_run import Intention, RunState


@dataclass(frozen=True)
class Limits:
    """What an engine is ``called`` in metrics, and what it allows. ``token`` is the length of the token with which it
    takes repeated starts for one, 0 where it has none, and ``token_life`` how long it remembers that. A run is shown
    for ``history`` after its end. ``patience`` says how long a run may stay in a state. One that ``proves_files`` says
    of each file whether it was written, whatever became of the run. One that ``tells_cancelled`` calls a run that was
    stopped otherwise than one that failed. Where a run brings everything each time, what it writes ``replaces`` what
    earlier runs brought to the same date. One that is ``alone`` shows no runs that others start."""

    called: str
    token: int = 0
    token_life: timedelta = timedelta(0)
    history: timedelta = timedelta(days=30)
    patience: Mapping[RunState, timedelta] = field(default_factory=dict)
    proves_files: bool = False
    tells_cancelled: bool = True
    replaces: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Finding:
    """Something about a target that differs from what it must or should be. A ``fatal`` one keeps it from being
    started."""

    text: str
    fatal: bool = True


@dataclass(frozen=True)
class Started:
    """The run that an intention has; ``adopted`` when an earlier call had started it."""

    run_id: str
    adopted: bool = False


@dataclass(frozen=True)
class Busy:
    """Another run is going on, with its id where the engine says it."""

    run_id: str = ""


@dataclass(frozen=True)
class Run:
    """What an engine says of a run. ``final`` when nothing of it changes any more, its report included. ``usage`` is
    what it is charged by, where the engine says it: ``dpu_hours``, or ``vcpu_hours`` and ``memory_gb_hours``. ``link``
    is its page in the console."""

    run_id: str
    state: RunState
    said: str
    message: str = ""
    final: bool = False
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


@dataclass(frozen=True)
class Claim:
    """A raw object that a run wrote; ``version``, ``size`` (bytes) and ``rows`` where the engine says them. What has a
    ``fault`` is not delivered, and people are notified: "failed their verification" for example."""

    key: str
    version: str = ""
    size: int | None = None
    fault: str = ""
    rows: int | None = None


class Doubtful(PermanentFailure):
    """Whether a start reached the engine cannot be known any more."""


class BroughtNothing(PermanentFailure):
    """A run says that it has succeeded, and what it was to leave is not there."""


class Postponed(TransientFailure):
    """Nothing was started; it may be after ``rest``."""

    def __init__(self, message: str, rest: timedelta) -> None:
        super().__init__(message)
        self.rest = rest


class Engine(Protocol):
    """One target of an engine: a flow, a task. Its calls raise the failures of ``adplatform.failures``."""

    @property
    def limits(self) -> Limits: ...

    def check(self) -> Sequence[Finding]:
        """Whether the target is fit to be started and writes where it should."""

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        """Start a run. Where the intention has ``begun`` before, one that an earlier call may have started is looked
        for first, among runs that are not ``others``.

        Raises:
            Doubtful: it cannot be known whether there is one.
            Postponed: it is certain that none was started, and that one may be later.
        """

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        """The runs, by id. One that is missing was not seen yet, or is not remembered any more."""

    def recent(self, since: datetime) -> Iterator[Run]:
        """Runs that started after ``since``, whoever started them."""

    def claims(self, run: Run) -> Iterator[Claim]:
        """What an ended run wrote into the raw zone."""

    def cancel(self, run_id: str) -> bool:
        """Stop exactly this run, or find that it is being stopped; False when it has ended.

        Raises:
            PermanentFailure: the engine refuses.
        """
