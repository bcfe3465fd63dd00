"""What services do with tables as an engine: started by a publication, watched, and judged by what it came to."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from adplatform.engines.engine import Busy, Claim, Doubtful, Finding, Limits, Run, Started
from adplatform.ledger.engine_run import EngineRun, Intention, RunState
from adplatform.ledger.rows import digest

SEEN_SOON = {RunState.UNSEEN: timedelta(minutes=15)}
"""For how long a run that its service does not show keeps others waiting: its data set may be another by now."""


def token_of(intention: Intention) -> str:
    """What makes a service take repeated calls for one: 32 characters. Services know it for the whole account, where
    another platform may have a source of the same name, and for longer than a ledger may last: when the run was wanted
    is part of it."""
    at = intention.intended_at.isoformat() if intention.intended_at else ""
    return digest(intention.token(32), at)


class Service(Protocol):
    """What one service does with one table. Its calls raise the failures of ``adplatform.failures``."""

    @property
    def limits(self) -> Limits: ...

    def check(self) -> Sequence[Finding]:
        """Whether what is to be run is there."""

    def start(self, intention: Intention, others: Collection[str]) -> str | Busy:
        """The id of the run of the intention, which an earlier call may have started. Where the service takes no
        token, ``others`` are runs that are not its own."""

    def look(self, run_id: str) -> Run | None:
        """Where the run stands; None where the service does not show it yet."""

    def cancel(self, run_id: str) -> None:
        """Stop the run; one that has ended meanwhile is no error."""

    def result(self, run: EngineRun) -> str:
        """What a run came to that has succeeded.

        Raises:
            BroughtNothing: it left nothing, or not everything.
        """


@dataclass(frozen=True)
class WorkloadEngine:
    """As ``adplatform.engines.engine.Engine``. Runs that others start are none of its business."""

    service: Service
    now: Callable[[], datetime]

    @property
    def limits(self) -> Limits:
        return self.service.limits

    def check(self) -> Sequence[Finding]:
        return self.service.check()

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        limits, begun_at = self.limits, intention.begun_at or self.now()
        if limits.token and intention.begun > 1 and self.now() - begun_at > limits.token_life:
            raise Doubtful(f"whether it was started cannot be known any more: {limits.called} forgets a call's token")
        started = self.service.start(intention, others)
        return started if isinstance(started, Busy) else Started(started, adopted=intention.begun > 1)

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        found = ((run_id, self.service.look(run_id)) for run_id in run_ids)
        return {run_id: run for run_id, run in found if run is not None}

    def recent(self, since: object) -> Iterator[Run]:
        return iter(())

    def claims(self, run: Run) -> Iterator[Claim]:
        return iter(())

    def cancel(self, run_id: str) -> bool:
        run = self.service.look(run_id)
        if run is not None and run.final:
            return False
        self.service.cancel(run_id)
        return True
