"""Work of the ledger's that is tried until it is done: who may begin now, and what follows when a try has failed."""

from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.flow.patience import MAX_ATTEMPTS, MAX_DEATHS, after_death, after_failure, after_hindrance
from adplatform.flow.settling import Ending, Runs


class Tried(Protocol):
    """A row of work. ``attempt`` counts the tries of which something failed, ``returned`` those that were stopped or
    hindered. ``run_key`` is another for each try, because a key launches only one run."""

    @property
    def run_id(self) -> str: ...

    @property
    def run_key(self) -> str: ...

    @property
    def attempt(self) -> int: ...

    @property
    def returned(self) -> int: ...

    @property
    def not_before(self) -> datetime | None: ...


R = TypeVar("R", bound=Tried)


class Rows(Protocol[R]):
    """What may happen to such rows in the ledger; None when another run has written the row since it was ``seen``."""

    def give_back(self, seen: R, why: str, until: datetime | None, *, failed: bool) -> R | None: ...

    def fail(self, seen: R, why: str) -> R | None: ...


def free(rows: Rows[R], row: R, runs: Runs, now: datetime) -> R | None:
    """The work if it may begin now, taken from a run that died: at once the first time, then after growing pauses. A
    run that died before it could claim the work leaves its run key spent."""
    if (row.not_before and row.not_before > now) or (row.run_id and runs.alive(row.run_id)):
        return None
    if not row.run_id and not runs.spent(row.run_key):
        return row
    how = runs.ending(row.run_id or row.run_key)
    died = how is Ending.DIED
    if died and row.attempt + 1 > MAX_DEATHS:
        rows.fail(row, f"its run died {row.attempt + 1} times")
        return None
    hindered = after_hindrance(row.returned + 1) if how is Ending.HINDERED else timedelta(0)
    pause = after_death(row.attempt + 1) if died else hindered
    freed = rows.give_back(row, "its run died" if died else "", now + pause if pause else None, failed=died)
    return None if pause else freed


def failed(rows: Rows[R], row: R, error: PermanentFailure | TransientFailure, now: datetime) -> R | None:
    """The work after a try failed: it is tried again after a pause where that may help. None when another run has
    it."""
    if isinstance(error, EnvironmentFailure):
        return rows.give_back(row, str(error), now + after_hindrance(row.returned + 1), failed=False)
    if isinstance(error, PermanentFailure) or row.attempt + 1 >= MAX_ATTEMPTS:
        return rows.fail(row, str(error))
    return rows.give_back(row, str(error), now + after_failure(row.attempt + 1), failed=True)
