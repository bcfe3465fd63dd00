"""Intentions and runs of managed engines and everything that may happen to one, each step by its name.

A step is given the row as it was ``seen``, writes only if nobody has written it since, and returns None otherwise:
somebody else was faster. A step that the row is not in a state for raises ``IllegalStep``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TypeVar

from adplatform.ledger.engine_run import (
    PURSUED,
    EngineRun,
    Intention,
    IntentState,
    Landed,
    RunState,
    active_intentions,
    active_runs,
    intended,
    landed_key,
    owner_of,
)
from adplatform.ledger.rows import IllegalStep, from_item
from adplatform.ledger.table import NEW, Table, Write

_R = TypeVar("_R", Intention, EngineRun)


@dataclass(frozen=True)
class EngineRuns:
    """The intentions and runs of all sources."""

    table: Table

    def intention(self, source: str, target: str, key: str) -> Intention | None:
        return self.table.get(Intention, owner_of(source, target), f"intent#{key}")

    def intentions(self, source: str, target: str) -> list[Intention]:
        """All of them, by key."""
        return list(self.table.query(Intention, owner_of(source, target), "intent#"))

    def scheduled(self, source: str, target: str, most: int) -> list[Intention]:
        """The newest intentions of its schedule, newest first; one call, however many there are."""
        owner = owner_of(source, target)
        return list(self.table.range(Intention, owner, "intent#slot/", "intent#slot/~", forward=False, most=most))

    def pursued(self, source: str) -> list[Intention]:
        """Intentions that have not ended. The index is eventually consistent: a later look sees what one misses."""
        return [from_item(Intention, item) for item in self.table.active(active_intentions(source))]

    def run(self, source: str, target: str, run_id: str) -> EngineRun | None:
        return self.table.get(EngineRun, owner_of(source, target), f"run#{run_id}")

    def runs(self, source: str, target: str) -> list[EngineRun]:
        """Every run that is known, the one that was found first first."""
        found = self.table.query(EngineRun, owner_of(source, target), "run#")
        return sorted(found, key=lambda run: (run.started_at or run.found_at or self.table.now(), run.run_id))

    def active(self, source: str) -> list[EngineRun]:
        """Runs that have not landed; as :meth:`pursued`."""
        return [from_item(EngineRun, item) for item in self.table.active(active_runs(source))]

    def known(self, source: str, target: str, run_ids: Iterable[str]) -> dict[str, EngineRun]:
        """Those of these runs of which there are rows, by id."""
        found = self.table.get_many((owner_of(source, target), f"run#{run_id}") for run_id in run_ids)
        runs = (from_item(EngineRun, item) for item in found.values())
        return {run.run_id: run for run in runs}

    def landed_on(self, feed: str, day: date) -> list[Landed]:
        """What runs brought to a delivery."""
        return list(self.table.query(Landed, feed, f"landed#{day}#"))

    def landed_of(self, feed: str, day: date, run_id: str) -> Landed | None:
        """What the run brought to a delivery."""
        return self.table.get(Landed, feed, landed_key(day, run_id))

    def intend(self, intention: Intention) -> bool:
        """Remember that a run is wanted; False when that was known already.

        Raises:
            IllegalStep: it is no new intention.
        """
        _require(intention.state is IntentState.INTENDED and not intention.begun, intention, "intended")
        return self.table.transact([intended(self.table, intention)])

    def intend_write(self, intention: Intention) -> Write:
        """The same for a transaction, which takes the place of what wanted the same before."""
        now = self.table.now()
        return self.table.put_write(intention.owner, replace(intention, intended_at=now, revision=1, changed_at=now))

    def begin(self, seen: Intention) -> Intention | None:
        """The engine is asked now, which may reach it even if nobody hears of it.

        Raises:
            IllegalStep: it has a run, or has ended.
        """
        _require(seen.state is IntentState.INTENDED, seen, "begun")
        begun_at = seen.begun_at or self.table.now()
        return self._move(seen, replace(seen, begun=seen.begun + 1, begun_at=begun_at))

    def started(self, seen: Intention, run_id: str, *, adopted: bool) -> Intention | None:
        """The engine has a run for it; ``adopted`` when an earlier call had started that.

        Raises:
            IllegalStep: nobody began to ask, or the run has no id.
        """
        _require(seen.state is IntentState.INTENDED and seen.begun > 0 and run_id != "", seen, "started")
        moved = replace(seen, state=IntentState.STARTED, run_id=run_id, not_before=None, error="")
        known = self.run(seen.source, seen.target, run_id)
        if known is None:
            now = self.table.now()
            run = EngineRun(seen.source, seen.target, run_id, intent=seen.key, adopted=adopted, found_at=now)
            row, write = self._written(seen, moved)
            return row if self.table.transact([write, self._first(replace(run, state_since=now))]) else None
        row, write = self._written(seen, moved)
        owned = self._written(known, replace(known, intent=known.intent or seen.key, adopted=adopted))[1]
        return row if self.table.transact([write, owned]) else None

    def rest(self, seen: Intention, why: str, until: datetime, *, refused: bool = False) -> Intention | None:
        """Leave it for a while. With ``refused`` the last call is known to have started nothing.

        Raises:
            IllegalStep: it has ended, or was refused though nobody asked.
        """
        _require(seen.state in PURSUED and (seen.begun > 0 or not refused), seen, "left to rest")
        begun = seen.begun - refused
        left = replace(seen, begun=begun, begun_at=seen.begun_at if begun else None)
        return self._move(seen, replace(left, error=why, not_before=until))

    def again(self, seen: Intention, why: str, until: datetime) -> Intention | None:
        """Its run brought nothing: another one is wanted, with another token.

        Raises:
            IllegalStep: it has no run.
        """
        _require(seen.state is IntentState.STARTED, seen, "wanted again")
        anew = replace(seen, state=IntentState.INTENDED, attempt=seen.attempt + 1, begun=0, begun_at=None, run_id="")
        return self._move(seen, replace(anew, error=why, not_before=until))

    def end(self, seen: Intention, state: IntentState, why: str = "", run_id: str = "") -> Intention | None:
        """It is fulfilled, by ``run_id`` where that is another than its own, or nothing more is done about it.

        Raises:
            IllegalStep: it has ended, or ``state`` is no end.
        """
        _require(seen.state in PURSUED and state not in PURSUED, seen, str(state))
        return self._move(seen, replace(seen, state=state, error=why, run_id=run_id or seen.run_id, not_before=None))

    def found(self, run: EngineRun) -> bool:
        """Remember a run that somebody else started; False when it is known."""
        now = self.table.now()
        return self.table.transact([self._first(replace(run, found_at=now, state_since=now))])

    def observed(self, seen: EngineRun, said: EngineRun) -> EngineRun | None:
        """What the engine says of it by now, which ``said`` has; the rest of the row stays.

        Raises:
            IllegalStep: it is final.
        """
        _require(not seen.final and said.state is not RunState.UNSEEN, seen, "observed")
        since = seen.state_since if (seen.state, seen.said) == (said.state, said.said) else self.table.now()
        kept = replace(
            said,
            intent=seen.intent,
            adopted=seen.adopted,
            found_at=seen.found_at,
            state_since=since,
            overdue=seen.overdue and since == seen.state_since,
            error=seen.error,
        )
        return self._move(seen, kept)

    def overdue(self, seen: EngineRun, why: str) -> EngineRun | None:
        """It stays in its state for longer than it may.

        Raises:
            IllegalStep: it has landed.
        """
        _require(not seen.ended, seen, "overdue")
        return self._move(seen, replace(seen, overdue=True, error=why))

    def unwant(self, seen: EngineRun, *, unwanted: bool = True) -> EngineRun | None:
        """Somebody wants it stopped, or with ``unwanted=False`` that was refused.

        Raises:
            IllegalStep: it has landed.
        """
        _require(not seen.ended, seen, "stopped")
        return self._move(seen, replace(seen, unwanted=unwanted))

    def cancelled(self, seen: EngineRun) -> EngineRun | None:
        """Its engine has agreed to stop it.

        Raises:
            IllegalStep: nobody wanted that, or it has landed.
        """
        _require(seen.unwanted and not seen.ended, seen, "cancelled")
        return self._move(seen, replace(seen, cancelled=True))

    def lose(self, seen: EngineRun, why: str) -> EngineRun | None:
        """The engine does not know it any more and will say nothing of it.

        Raises:
            IllegalStep: it has landed.
        """
        _require(not seen.ended, seen, "lost")
        lost = replace(seen, state=RunState.FAILED, final=True, error=why, landed_at=self.table.now())
        return self._move(seen, lost)

    def bring(self, feed: str, landed: Landed) -> None:
        """What a run wrote belongs to the delivery from now on. Repeating it changes nothing."""
        self.table.put(feed, [landed])

    def lands(self, seen: EngineRun, objects: int, only: str) -> EngineRun | None:
        """So many of its objects are being given to their deliveries, or to the ``only`` one.

        Raises:
            IllegalStep: something of it may still change, or it has landed.
        """
        _require(seen.final and not seen.ended and objects > 0, seen, "landing")
        return self._move(seen, replace(seen, objects=objects, only=only))

    def landed(self, seen: EngineRun, why: str = "", *others: Write, failed: bool = False) -> EngineRun | None:
        """Everything that it wrote is with its deliveries, or was left out for the reason ``why``. One that ``failed``
        brought nothing of what it says that it did. ``others`` are written with it, or neither is.

        Raises:
            IllegalStep: something of it may still change, or it has landed.
        """
        _require(seen.final and not seen.ended, seen, "landed")
        state = RunState.FAILED if failed else seen.state
        return self._move(seen, replace(seen, state=state, landed_at=self.table.now(), error=why), *others)

    def _first(self, row: EngineRun) -> Write:
        return self.table.put_write(row.owner, replace(row, revision=1, changed_at=self.table.now()), NEW)

    def _written(self, seen: _R, new: _R) -> tuple[_R, Write]:
        row = replace(new, revision=seen.revision + 1, changed_at=self.table.now())
        return row, self.table.put_write(seen.owner, row, "revision = :r", {":r": seen.revision})

    def _move(self, seen: _R, new: _R, *others: Write) -> _R | None:
        row, write = self._written(seen, new)
        return row if self.table.transact([write, *others]) else None


def _require(allowed: bool, seen: Intention | EngineRun, done: str) -> None:
    if not allowed:
        raise IllegalStep(f"{seen.owner} {seen.sort_key} is {seen.state} and cannot be {done}")
