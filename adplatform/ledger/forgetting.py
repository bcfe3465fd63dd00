"""Which rows of a target's intentions, runs and readings are forgotten: those of long ago that nothing refers to.

A target that runs often would otherwise fill the ledger with rows of runs that brought nothing, and whatever reads the
runs of a target would read ever more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from adplatform.ledger.engine_run import PURSUED, EngineRun, Intention, IntentState, owner_of
from adplatform.ledger.extracts import Chunk, Extract, LastExtract, chunks_of
from adplatform.ledger.table import Table

EMPTY_KEPT = timedelta(days=14)
"""How long a run is remembered that brought nothing."""
BROUGHT_KEPT = timedelta(days=400)
"""How long one is that brought something: a year can be compared with the one before."""
NEWEST_KEPT = 100
"""Runs, and intentions, of a target that are remembered however old they are."""
_FAILED = (IntentState.GIVEN_UP, IntentState.LOST)
_R = TypeVar("_R", Intention, EngineRun)


@dataclass(frozen=True)
class Forgetting:
    """What is forgotten of all sources."""

    table: Table

    def forget(self, source: str, target: str, shown: timedelta = timedelta(0)) -> int:
        """How many rows were deleted. ``shown`` is for how long after its end the engine shows a run by itself, which
        would be taken for a new one if it were forgotten.

        What may be asked for again stays: what is pursued or has not landed, windows that failed, the first run that
        brought something, the reading that succeeded last, and those of database views, whose moment counts for what
        they brought. It may be broken off anywhere, and done again.
        """
        owner, now = owner_of(source, target), self.table.now()
        runs = list(self.table.query(EngineRun, owner, "run#"))
        first = min((run for run in runs if run.objects), key=lambda run: _moment(run.found_at, now), default=None)
        newest = _newest(runs, lambda run: _moment(run.landed_at, now))
        lately = {run.run_id for run in runs if now - _moment(run.landed_at, now) <= max(_life(run), shown)}
        kept = lately | {run.run_id for run in newest} | ({first.run_id} if first else set())
        gone = [run for run in runs if run.run_id not in kept]
        rows = [*self._readings(owner, kept, now), *gone, *self._intentions(owner, kept, now)]
        for row in rows:
            self.table.delete(owner, row.sort_key)
        return len(rows)

    def _intentions(self, owner: str, kept: set[str], now: datetime) -> Iterator[Intention]:
        every = list(self.table.query(Intention, owner, "intent#"))
        newest = {each.key for each in _newest(every, lambda each: _moment(each.intended_at, now))}
        for each in every:
            failed = each.window_start is not None and each.state in _FAILED
            if each.state in PURSUED or failed or each.key in newest or each.run_id in kept:
                continue
            if now - _moment(each.changed_at, now) > EMPTY_KEPT:
                yield each

    def _readings(self, owner: str, kept: set[str], now: datetime) -> Iterator[Extract | Chunk]:
        """Those of runs that are forgotten, or of none, with their chunks."""
        every = list(self.table.query(Extract, owner, "extract#"))
        last = self.table.get(LastExtract, owner, LastExtract("").sort_key) if every else None
        for each in every:
            is_last = last is None or each.id == last.id
            is_view = each.files > 0 and each.day is not None
            if is_last or is_view or each.ended_at is None or each.id in kept or now - each.ended_at <= EMPTY_KEPT:
                continue
            yield from self.table.query(Chunk, owner, chunks_of(each.id))
            yield each


def _life(run: EngineRun) -> timedelta:
    return BROUGHT_KEPT if run.objects else EMPTY_KEPT


def _moment(noted: datetime | None, now: datetime) -> datetime:
    return noted or now


def _newest(rows: list[_R], at: Callable[[_R], datetime]) -> list[_R]:
    return sorted(rows, key=at, reverse=True)[:NEWEST_KEPT]
