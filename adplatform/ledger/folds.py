"""Tables that are made of changes: how far the changes of each are merged, and the loads that they began with.

A step is given the row as it was ``seen``, writes only if nobody has written it since, and returns None otherwise. A
step that the row is not in a state for raises ``IllegalStep``.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum

from adplatform.ledger.engine_run import Intention, intended
from adplatform.ledger.rows import IllegalStep, from_item, plain
from adplatform.ledger.table import NEW, Table, Write

_FOLD = "fold"


class FoldState(StrEnum):
    """WITH_ENGINE: an engine makes the merge; no run of ours has it, and one is asked for when the engine is done."""

    WAITING = "waiting"
    RUNNING = "running"
    WITH_ENGINE = "with an engine"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Reached:
    """How far changes are taken, by date: the version of its delivery, up to which arrival of it, how many objects that
    is, and how many rows of changes. ``basis`` is what they were read by, ``key_id`` names the key of their digests,
    ``generation`` is the load that rows from before do not outlive, one of those ``loads`` that are complete, and
    ``shape`` what the table was made by. Files were told from each other by the first ``opened`` loads. ``complete`` is
    the complete reading, as ``date/version``, whose missing rows are gone."""

    versions: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    objects: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    basis: str = ""
    key_id: str = ""
    generation: int = 0
    shape: str = ""
    opened: int = 0
    complete: str = ""
    loads: Sequence[int] = ()


@dataclass(frozen=True)
class Plan:
    """What a merge takes: up to where, of which dates ``whole`` once more, and whether the table is made ``anew`` from
    all changes. ``day`` is that of the versions that it closes."""

    reached: Reached
    day: date
    whole: tuple[str, ...] = ()
    anew: bool = False

    def days_after(self, merged: Reached) -> list[str]:
        """The dates of which it takes changes, where it begins with what was ``merged``."""
        return [
            day
            for day, last in sorted(self.reached.numbers.items())
            if self.anew or day in self.whole or merged.numbers.get(day, 0) < last
        ]


@dataclass(frozen=True)
class Fold:
    """How far the changes of a table are merged, and the merge that comes next, where one is planned.

    ``number`` counts the merges that readers see, which began on the date ``since``; ``manifest_key`` and ``day`` say
    what the last of them came to, ``locations`` where its files lie by table, and ``reached`` what it took. ``plan`` is
    the next one's, which is not planned otherwise until readers see it. Both are JSON, "" for none. ``attempt`` counts
    the tries of which something failed, ``returned`` those that were stopped or hindered, or gave the merge to an
    engine; ``job`` is the key of the last intention for which one did. Counts are of the last merge, but for ``rows``
    and ``deleted``, which are those of the table.
    """

    source: str
    target: str
    state: FoldState = FoldState.SUCCEEDED
    number: int = 0
    manifest_key: str = ""
    locations: Mapping[str, str] = field(default_factory=dict)
    since: date | None = None
    day: date | None = None
    reached: str = ""
    plan: str = ""
    planned_at: datetime | None = None
    run_id: str = ""
    job: str = ""
    attempt: int = 0
    returned: int = 0
    not_before: datetime | None = None
    error: str = ""
    folded_at: datetime | None = None
    rows: int = 0
    deleted: int = 0
    changes: int = 0
    applied: int = 0
    superseded: int = 0
    revision: int = 0
    changed_at: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.source}/{self.target}"

    @property
    def sort_key(self) -> str:
        return _FOLD

    @property
    def next(self) -> int:
        return self.number + 1

    @property
    def merged(self) -> Reached:
        """What the last merge took; nothing before the first."""
        return Reached(**json.loads(self.reached)) if self.reached else Reached()

    @property
    def next_plan(self) -> Plan:
        """
        Raises:
            IllegalStep: none is planned.
        """
        _require(bool(self.plan), self, "asked for its plan")
        found = json.loads(self.plan)
        reached, day = Reached(**found["reached"]), date.fromisoformat(found["day"])
        return Plan(reached, day, tuple(found["whole"]), found["anew"])

    @property
    def run_key(self) -> str:
        """The same however often a run is asked for, and another for each try."""
        return f"{self.name} fold {self.next} {self.attempt}.{self.returned}"


@dataclass(frozen=True)
class Generation:
    """A load of a table. What was committed before ``sequence`` is in the load or is not any more, whenever it arrives;
    its files are those that were written from ``opened_at`` on. ``loaded_at`` once all of them are there. ``begun`` is
    when DMS says that it began, and ``ended`` when it ended, by its own clock; one that is ``awaited`` was intended,
    and DMS does not show it yet. From ``ask_at`` on DMS is to be asked for it; None where it has taken the request, or
    needs none."""

    number: int
    sequence: str
    opened_at: datetime
    reason: str
    loaded_at: datetime | None = None
    rows: int | None = None
    begun: datetime | None = None
    awaited: bool = False
    ask_at: datetime | None = None
    ended: datetime | None = None

    @property
    def sort_key(self) -> str:
        return f"generation#{self.number:06}"


@dataclass(frozen=True)
class Folds:
    """The tables of all sources that are made of changes."""

    table: Table

    def get(self, source: str, target: str) -> Fold:
        """A table of which nothing is known has merged nothing."""
        return self.table.get(Fold, f"{source}/{target}", _FOLD) or Fold(source, target)

    def known(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Fold]:
        """Those of these tables, by source and name, of which something is merged or planned, by few calls."""
        keys = {(f"{source}/{target}", _FOLD): (source, target) for source, target in wanted}
        found = self.table.get_many(keys)
        return {each: from_item(Fold, found[key]) for key, each in keys.items() if key in found}

    def generations(self, source: str, target: str) -> list[Generation]:
        """In order of their numbers; without one that is awaited, of which it is not known yet when it began."""
        return [each for each in self.all_generations(source, target) if not each.awaited]

    def all_generations(self, source: str, target: str) -> list[Generation]:
        """The same with one that is awaited, the last."""
        return list(self.table.query(Generation, f"{source}/{target}", "generation#"))

    def begin(self, source: str, target: str, generation: Generation) -> None:
        """One that was awaited has begun."""
        self.table.put(f"{source}/{target}", [generation])

    def open(self, source: str, target: str, generation: Generation) -> bool:
        """A load begins; False when one of its number is known."""
        return self.table.transact([self.table.put_write(f"{source}/{target}", generation, NEW)])

    def asked(self, source: str, target: str, seen: Generation, ask_at: datetime | None) -> Generation | None:
        """DMS is to be asked for an awaited load at another time, or not any more; None when somebody has written the
        load since it was ``seen``."""
        row = replace(seen, ask_at=ask_at)
        condition = "awaited = :yes AND " + ("ask_at = :seen" if seen.ask_at else "attribute_not_exists(ask_at)")
        values = {":yes": True, **({":seen": plain(seen.ask_at)} if seen.ask_at else {})}
        write = self.table.put_write(f"{source}/{target}", row, condition, values)
        return row if self.table.transact([write]) else None

    def loaded(
        self, source: str, target: str, generation: Generation, rows: int | None, ended: datetime | None = None
    ) -> None:
        """All files of a load are there, with as many rows and by when it ``ended`` where that is known."""
        done = replace(generation, loaded_at=self.table.now(), rows=rows, ended=ended)
        self.table.put(f"{source}/{target}", [done])

    def plan(self, seen: Fold, plan: Plan) -> Fold | None:
        """What the next merge takes.

        Raises:
            IllegalStep: one is planned.
        """
        _require(not seen.plan, seen, "planned")
        planned = replace(_untried(seen), state=FoldState.WAITING, plan=_written(plan), planned_at=self.table.now())
        return self._move(seen, planned)

    def replan(self, seen: Fold, plan: Plan) -> Fold | None:
        """The next merge takes something else than was planned, before a run has it. What an engine makes by the plan
        before is not wanted any more.

        Raises:
            IllegalStep: nothing is planned, or a run has it.
        """
        free = seen.state in (FoldState.WAITING, FoldState.WITH_ENGINE) and not seen.run_id
        _require(bool(seen.plan) and free, seen, "planned anew")
        planned = replace(seen, state=FoldState.WAITING, job="", plan=_written(plan), planned_at=self.table.now())
        return self._move(seen, planned)

    def hand_over(self, seen: Fold, intention: Intention) -> Fold | None:
        """The run gives the merge to an engine, for an intention that is remembered with it unless it is known already.

        Raises:
            IllegalStep: no run has it.
        """
        _require(seen.state is FoldState.RUNNING, seen, "given to an engine")
        known = self.table.get(Intention, intention.owner, intention.sort_key) is not None
        given = replace(seen, state=FoldState.WITH_ENGINE, run_id="", job=intention.key, returned=seen.returned + 1)
        others = [] if known else [intended(self.table, intention)]
        return self._move(seen, replace(given, error="", not_before=None), *others)

    def handed_back(self, seen: Fold) -> Fold | None:
        """The engine is done with it: a run may go on.

        Raises:
            IllegalStep: no engine has it.
        """
        _require(seen.state is FoldState.WITH_ENGINE, seen, "due again")
        return self._move(seen, replace(seen, state=FoldState.WAITING))

    def look(self, seen: Fold, reached: Reached) -> Fold | None:
        """There is nothing to merge up to there.

        Raises:
            IllegalStep: something is planned.
        """
        _require(not seen.plan, seen, "moved on")
        return self._move(seen, replace(seen, reached=_written(reached)))

    def claim(self, seen: Fold, run_id: str) -> Fold | None:
        """A run merges from now on.

        Raises:
            IllegalStep: nothing is planned, or another run has it.
        """
        allowed = seen.state in (FoldState.WAITING, FoldState.RUNNING) and seen.run_id in ("", run_id)
        _require(allowed, seen, "claimed")
        return self._move(seen, replace(seen, state=FoldState.RUNNING, run_id=run_id))

    def succeed(self, seen: Fold, done: Fold, *others: Write) -> Fold | None:
        """Readers see what was planned; ``done`` has the counts, the manifest, and the plan. ``others`` are written in
        the same transaction, or neither is.

        Raises:
            IllegalStep: no run has it.
        """
        _require(seen.state is FoldState.RUNNING, seen, "finished")
        plan = done.next_plan
        merged = replace(
            _untried(done), state=FoldState.SUCCEEDED, number=seen.next, plan="", folded_at=self.table.now()
        )
        after = replace(merged, since=seen.since or plan.day, day=plan.day, reached=_written(plan.reached))
        return self._move(seen, after, *others)

    def fail(self, seen: Fold, why: str) -> Fold | None:
        """Nothing more is done about it until somebody wants it tried again.

        Raises:
            IllegalStep: nothing is planned.
        """
        _require(bool(seen.plan), seen, "failed")
        return self._move(seen, replace(seen, state=FoldState.FAILED, run_id="", error=why, not_before=None))

    def retry(self, seen: Fold) -> Fold | None:
        """It is tried again now, with all its attempts.

        Raises:
            IllegalStep: it has not failed.
        """
        _require(seen.state is FoldState.FAILED, seen, "tried again")
        # A run key launches only one run, so the tries go on being counted.
        again = replace(
            seen, state=FoldState.WAITING, attempt=0, returned=seen.returned + seen.attempt + 1, not_before=None
        )
        return self._move(seen, replace(again, run_id="", job="", error=""))

    def give_back(self, seen: Fold, why: str, until: datetime | None, *, failed: bool) -> Fold | None:
        """Another run may go on with it; ``failed`` when something of this one did.

        Raises:
            IllegalStep: nothing is planned.
        """
        _require(bool(seen.plan), seen, "given back")
        counted = replace(seen, attempt=seen.attempt + failed, returned=seen.returned + (not failed))
        return self._move(seen, replace(counted, state=FoldState.WAITING, run_id="", error=why, not_before=until))

    def _move(self, seen: Fold, new: Fold, *others: Write) -> Fold | None:
        row = replace(new, revision=seen.revision + 1, changed_at=self.table.now())
        condition = (NEW, None) if seen.revision == 0 else ("revision = :r", {":r": seen.revision})
        write = self.table.put_write(seen.name, row, *condition)
        return row if self.table.transact([write, *others]) else None


def _untried(row: Fold) -> Fold:
    return replace(row, run_id="", job="", attempt=0, returned=0, not_before=None, error="")


def _written(value: Plan | Reached) -> str:
    return json.dumps(asdict(value), default=str, separators=(",", ":"))


def _require(allowed: bool, seen: Fold, done: str) -> None:
    if not allowed:
        raise IllegalStep(f"the merge of {seen.name} is {seen.state} and cannot be {done}")
