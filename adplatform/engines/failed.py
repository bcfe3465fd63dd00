"""Runs that were wanted and given up, and those whose start cannot be known."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from adplatform.engines.runs import again, asked
from adplatform.flow.retried import Retried
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import WROTE, Intention, IntentState
from adplatform.ledger.ledger import Ledger

_FAILED = (IntentState.GIVEN_UP, IntentState.LOST)


@dataclass(frozen=True)
class FailedRun:
    """As ``adplatform.flow.pattern.Failed``."""

    intention: Intention
    counts: bool = True

    @property
    def name(self) -> str:
        return f"{self.intention.source}/{self.intention.target}"

    def retry(self, services: Services) -> Retried:
        """Want another run now."""
        i = self.intention
        wanted = Intention(i.source, i.target, _key(i, services), window_start=i.window_start, window_end=i.window_end)
        changed = services.ledger.engine_runs.intend(wanted)
        what = "another run is wanted" if changed else "another run is wanted already"
        return Retried(f"{self.name}: {what}", changed)

    def __str__(self) -> str:
        i = self.intention
        return f"{self.name} {i.key}: {i.state}: {i.error}; mend it, then `adplatform retry {self.name}`"


def failed_runs(ledger: Ledger, source: str, targets: Iterable[str]) -> list[FailedRun]:
    """Of each target the last intention that failed, and of its windows each, unless another run has brought data since
    or is on its way."""
    found: list[FailedRun] = []
    for target in targets:
        intentions = sorted(
            ledger.engine_runs.intentions(source, target), key=lambda i: i.intended_at or ledger.now(), reverse=True
        )
        if any(each.window_start for each in intentions):
            found += _failed_windows(intentions)
            continue
        if not intentions or intentions[0].state not in _FAILED:
            continue
        last = intentions[0]
        runs = (run for run in ledger.engine_runs.runs(source, target) if run.state in WROTE and run.landed_at)
        if not any(last.changed_at and run.landed_at and run.landed_at > last.changed_at for run in runs):
            found.append(FailedRun(last))
    return found


def _failed_windows(intentions: Iterable[Intention]) -> Iterator[FailedRun]:
    """Those of windows, the newest first, that nobody has wanted again."""
    seen = set[tuple[datetime | None, datetime | None]]()
    for each in intentions:
        window = (each.window_start, each.window_end)
        if window not in seen and each.state in _FAILED:
            yield FailedRun(each)
        seen.add(window)


def _key(intention: Intention, services: Services) -> str:
    """Of what is wanted again; windows and publications are told apart by their own."""
    now = services.ledger.now()
    return asked(now) if intention.key.startswith(("slot/", "asked/")) else again(intention.key, now)
