"""Which readings of tables need a run, which runs that had one are dead, and what follows when one has failed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.flow.patience import MAX_ATTEMPTS, MAX_DEATHS, after_death, after_failure, after_hindrance
from adplatform.flow.settling import Ending, Runs
from adplatform.ledger.engine_run import RunState
from adplatform.ledger.extracts import Extract
from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class ExtractDue:
    """A reading that needs a run."""

    extract: Extract

    @property
    def run_key(self) -> str:
        row = self.extract
        return f"{row.name} {row.id} {row.attempt}.{row.returned}"


def extracts_due(ledger: Ledger, source: str, tables: Collection[str], runs: Runs) -> list[ExtractDue]:
    """Readings that nobody works on, the one that was wanted first first. One whose table is not declared any more has
    failed."""
    now, found = ledger.now(), []
    for row in sorted(ledger.extracts.active(source), key=lambda e: e.requested_at or now):
        if row.target not in tables:
            ledger.extracts.fail(row, "its table is not declared any more")
            continue
        if (row.not_before and row.not_before > now) or (row.run_id and runs.alive(row.run_id)):
            continue
        if row.stopping:
            ledger.extracts.fail(row, "somebody stopped it")
            continue
        freed = _freed(ledger, row, runs)
        if freed is not None:
            found.append(ExtractDue(freed))
    return found


def _freed(ledger: Ledger, row: Extract, runs: Runs) -> Extract | None:
    """The reading if it may begin now, taken from a run that died: at once the first time, then after growing pauses.

    A run that died before it could claim the reading leaves its run key spent, and a run key launches only one run."""
    key = ExtractDue(row).run_key
    if row.state is RunState.WAITING and not row.run_id and not runs.spent(key):
        return row
    how = runs.ending(row.run_id or key)
    if how is not Ending.DIED:
        pause = after_hindrance(row.returned + 1) if how is Ending.HINDERED else timedelta(0)
        freed = ledger.extracts.give_back(row, "", _until(ledger, pause), failed=False)
        return None if pause else freed
    if row.attempt + 1 > MAX_DEATHS:
        ledger.extracts.fail(row, f"its run died {row.attempt + 1} times")
        return None
    pause = after_death(row.attempt + 1)
    freed = ledger.extracts.give_back(row, "its run died", _until(ledger, pause), failed=True)
    return None if pause else freed


def failed(ledger: Ledger, row: Extract, error: PermanentFailure | TransientFailure) -> Extract | None:
    """The reading after a run of it failed: it is tried again after a pause where that may help. None when another run
    has it."""
    if isinstance(error, EnvironmentFailure):
        until = ledger.now() + after_hindrance(row.returned + 1)
        return ledger.extracts.give_back(row, str(error), until, failed=False)
    if isinstance(error, PermanentFailure) or row.attempt + 1 >= MAX_ATTEMPTS:
        return ledger.extracts.fail(row, str(error))
    until = ledger.now() + after_failure(row.attempt + 1)
    return ledger.extracts.give_back(row, str(error), until, failed=True)


def _until(ledger: Ledger, pause: timedelta) -> datetime | None:
    return ledger.now() + pause if pause else None
