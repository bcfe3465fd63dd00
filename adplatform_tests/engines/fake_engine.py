"""An engine in memory that behaves as AWS's do: records that lag, answers that get lost, runs that others start."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from adplatform.engines.engine import Busy, Claim, Doubtful, Finding, Limits, Postponed, Run, Started
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.ledger.engine_run import WROTE, Intention, RunState

LIMITS = Limits(
    called="fake",
    token=64,
    token_life=timedelta(hours=8),
    history=timedelta(days=30),
    patience={RunState.UNSEEN: timedelta(minutes=15), RunState.RUNNING: timedelta(hours=5)},
)


@dataclass
class Execution:
    """A run as the engine keeps it. ``visible_at`` is when its record begins to be shown; what it wrote are ``keys``
    below its own folder, and other ``claims``."""

    run: Run
    visible_at: datetime
    day: date
    keys: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    damaged: bool = False


@dataclass
class FakeEngine:
    """``put`` writes an object, given key and body, which ``exists`` as long as nobody takes it away. ``call`` happens
    at each call, and may raise."""

    clock: Callable[[], datetime]
    put: Callable[[str, bytes], object]
    exists: Callable[[str], bool]
    prefix: str
    call: Callable[[], object] = lambda: None
    limits: Limits = LIMITS
    executions: dict[str, Execution] = field(default_factory=dict)
    tokens: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    lose_answers: int = 0
    refuses_to_cancel: bool = False
    lag: timedelta = timedelta(0)
    postpones: timedelta | None = None
    starts: int = 0

    def check(self) -> Sequence[Finding]:
        self.call()
        return self.findings

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        self.call()
        if self.postpones is not None:
            raise Postponed("not now", self.postpones)
        again, begun_at = intention.begun > 1, intention.begun_at or self.clock()
        if again and self.clock() - begun_at > self.limits.token_life:
            lost = [run for run in self.recent(begun_at - timedelta(minutes=5)) if run.run_id not in others]
            if len(lost) == 1:
                return Started(lost[0].run_id, adopted=True)
            raise Doubtful(f"{len(lost)} runs could be it")
        token = intention.token(64)
        known = self.tokens.get(token)
        if known and self.clock() - known[1] <= self.limits.token_life:
            return Started(known[0], adopted=again)
        going = next((run_id for run_id, e in self.executions.items() if not e.run.final), None)
        if going:
            return Busy(going)
        run_id = self.begin()
        self.tokens[token] = (run_id, self.clock())
        if self.lose_answers:
            self.lose_answers -= 1
            raise TransientFailure("no answer")
        return Started(run_id)

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        self.call()
        return {run.run_id: run for run in self._shown() if run.run_id in run_ids}

    def recent(self, since: datetime) -> Iterator[Run]:
        self.call()
        return iter([run for run in self._shown() if run.started_at and run.started_at >= since])

    def claims(self, run: Run) -> Iterator[Claim]:
        self.call()
        """Of its own folder what a listing finds, of others what its report says."""
        execution = self.executions[run.run_id]
        if execution.damaged:
            raise PermanentFailure(f"the report of {run.run_id} is damaged")
        there = [key for key in execution.keys if self.exists(key)]
        return iter([*(Claim(key, size=1) for key in there), *execution.claims])

    def cancel(self, run_id: str) -> bool:
        self.call()
        if self.refuses_to_cancel:
            raise PermanentFailure("not allowed")
        if self.executions[run_id].run.final:
            return False
        self.end(run_id, RunState.CANCELLED if self.limits.tells_cancelled else RunState.FAILED)
        if self.lose_answers:
            self.lose_answers -= 1
            raise TransientFailure("no answer")
        return True

    def begin(self) -> str:
        """Somebody starts a run."""
        self.starts += 1
        run_id, now = f"run-{self.starts:04d}", self.clock()
        run = Run(run_id, RunState.RUNNING, "InProgress", started_at=now, window_start=now, window_end=now)
        self.executions[run_id] = Execution(run, now + self.lag, now.date())
        return run_id

    def write(self, run_id: str, file: str, body: bytes = b"1") -> str:
        execution = self.executions[run_id]
        key = f"{self.prefix}{execution.day:%Y/%m/%d}/{run_id}/{file}"
        self.put(key, body)
        execution.keys.append(key)
        return key

    def end(self, run_id: str, state: RunState = RunState.SUCCEEDED, **said: Any) -> None:
        execution = self.executions[run_id]
        records = len(execution.keys) + len(execution.claims) if state in WROTE else None
        failed = 1 if state is RunState.PARTIAL else 0
        changes = {"ended_at": self.clock(), "records": records, "failed": failed, **said}
        execution.run = replace(execution.run, state=state, said=str(state), final=True, **changes)

    def forget(self, run_id: str) -> None:
        """The history of the run is over."""
        del self.executions[run_id]

    @property
    def going(self) -> list[str]:
        return [run_id for run_id, execution in self.executions.items() if not execution.run.final]

    def _shown(self) -> list[Run]:
        """The oldest first: nobody promises the order that one would like."""
        return [e.run for e in self.executions.values() if self.clock() >= e.visible_at]
