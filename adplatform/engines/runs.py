"""The life of a managed engine's runs, one look at a time: intended, started, watched and landed. Nothing here waits.

The intention is in the ledger before the engine is asked. Whatever can be lost (an answer, an event, this process) is
found again in the engine's own records; no event is needed.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from adplatform.contracts.source import PLATFORM_TOPICS, Topics
from adplatform.engines.engine import BroughtNothing, Busy, Doubtful, Engine, Limits, Postponed, Run
from adplatform.engines.landing import land
from adplatform.engines.notices import Notices, failing_of, troubles_of, what_is_left
from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.flow.budget import UNLIMITED, Budget
from adplatform.flow.cost_guard import held, used_writes
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.flow.telemetry import run_key
from adplatform.ledger.engine_run import WROTE, EngineRun, Intention, IntentState, RunState
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.table import Write
from adplatform.platform import metrics
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.traces import Span, send

log = logging.getLogger(__name__)

MOST_RUNS = 3
"""Runs that are started for one intention before it is given up."""
BUSY_FOR = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)
_OVERLAP = timedelta(days=1)
"""How long before the newest known run one may have started that is not known yet."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = tuple(each.name for each in fields(Run))


@dataclass(frozen=True)
class Target:
    """What runs for a source: a flow, a task. It is started ``every`` so often, ``offset`` after midnight UTC or full
    multiples; without, it runs by itself or when somebody asks.

    Where runs bring no objects, ``judge`` is given each that has succeeded, and says what is to be kept with it; None
    when that cannot be said yet. It may be asked about a run more than once, and raise ``BroughtNothing``: then the run
    has failed.

    Where something is made for an intention alone, ``release`` removes it before that ends, and is False while it
    cannot. Runs of the target ``kin`` fulfil what is wanted of this one, too.

    Where runs are many and what fails is tried again anyhow, people are notified ``once``: not of each run, but when
    one that is wanted is given up, and not again for the same reason before a run has succeeded. ``what_next`` says
    then what becomes of what was wanted. People are notified of nothing that runs came to where it is ``silent``,
    because they hear of that elsewhere.

    Nobody else starts runs of one that is ``only_wanted``: it is looked at while something is wanted of it.

    Whether it is fit to be started is looked at before each start, or only where that is ``doubtful``.

    Where of all that is wanted ``alike`` a run for the newest does, one run of the target goes on at a time, and what
    an earlier one was wanted for before it began is superseded."""

    name: str
    engine: Engine
    every: timedelta | None = None
    offset: timedelta = timedelta(0)
    judge: Callable[[EngineRun], str | None] | None = None
    release: Callable[[Intention], bool] | None = None
    kin: str = ""
    once: bool = False
    what_next: str = ""
    silent: bool = False
    only_wanted: bool = False
    doubtful: Callable[[], bool] = lambda: True
    alike: Callable[[Intention], str] | None = None


@dataclass(frozen=True)
class Look:
    """What one look found. ``changed`` are the runs that moved on, ``active`` those that have not landed."""

    changed: tuple[EngineRun, ...] = ()
    active: int = 0
    newest: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class _Seen:
    """What a look found at one target. ``unfit`` is why it must not be started, where that was asked."""

    changed: tuple[EngineRun, ...]
    newest: datetime | None
    unfit: str = ""


@dataclass(frozen=True)
class Watch:
    """The runs of one source. ``source`` is where they land, without a queue: what counts is what runs have written."""

    services: Services
    source: Source
    targets: Sequence[Target]
    topics: Topics = PLATFORM_TOPICS

    @property
    def ledger(self) -> Ledger:
        return self.services.ledger

    @property
    def _notices(self) -> Notices:
        return Notices(self.services, self.source.name, self.topics)

    def look(self, newest: Mapping[str, datetime] | None = None, budget: Budget = UNLIMITED) -> Look:
        """Start what is due, watch what runs, land what has ended. ``newest`` is what an earlier look returned: when
        the newest known run of each target started; without it all that engines remember is looked through. What the
        ``budget`` leaves no time for, a later look goes on with. Of a source that is paused, or has used what it may,
        nothing is started.

        One target that fails holds up no other: those that failed at the look before are looked at last, and no more
        of them once the budget is spent.
        """
        paused = self.ledger.pauses.of(self.source.name) is not None
        paused = paused or bool(held(self.services, self.source.name, self.source.budget, self.topics))
        changed: list[EngineRun] = []
        newest = dict(newest or {})
        active = self.ledger.engine_runs.active(self.source.name)
        troubles = self.ledger.messages.troubles(self.source.name)
        pursued = self.ledger.engine_runs.pursued(self.source.name)
        for target in sorted(self.targets, key=lambda each: not troubles.keys().isdisjoint(troubles_of(each.name))):
            runs = [run for run in active if run.target == target.name]
            wanted = [each for each in pursued if each.target == target.name]
            known = {what: each for what, each in troubles.items() if what in troubles_of(target.name)}
            try:
                with aws_failures(f"{self.source.name}/{target.name}"):
                    seen = self._look_at(
                        target, runs, wanted, newest.get(target.name), budget, ask=bool(known), paused=paused
                    )
            except (PermanentFailure, TransientFailure) as e:
                self._notices.troubled(target.name, e, known)
                if budget.spent:
                    break
                continue
            changed += seen.changed
            newest |= {target.name: seen.newest} if seen.newest else {}
            if seen.unfit:
                self._notices.troubled(target.name, PermanentFailure(seen.unfit), known)
            else:
                for what in known:
                    self.ledger.messages.clear_trouble(self.source.name, what)
            if (failing := failing_of(target.name)) in troubles and any(map(_succeeded, seen.changed)):
                self.ledger.messages.clear_trouble(self.source.name, failing)
        names = {target.name for target in self.targets}
        left = [run for run in self.ledger.engine_runs.active(self.source.name) if run.target in names]
        return Look(tuple(changed), len(left), newest)

    def intend(self, target: Target, key: str, start: datetime | None = None, end: datetime | None = None) -> bool:
        """Want a run of the target, for a window where it is to be one; False when that is known already."""
        wanted = Intention(self.source.name, target.name, key, window_start=start, window_end=end)
        return self.ledger.engine_runs.intend(wanted)

    def forget(self) -> int:
        """Forget runs of long ago, and what wanted them; how many rows of the ledger that were."""
        ledger, count = self.ledger, 0
        for target in self.targets:
            limits = target.engine.limits
            shown = timedelta(0) if limits.alone else limits.history + _OVERLAP
            count += ledger.forgetting.forget(self.source.name, target.name, shown)
        return count

    def cancel(self, target: Target, run: EngineRun) -> None:
        """Stop exactly this run, which is not wanted again. The wish is in the ledger before the engine is asked, so
        that a look asks again where the answer, or this process, is lost.

        Raises:
            PermanentFailure: it has ended, or the engine refuses.
            TransientFailure: the engine does not answer at present; a later look asks it again.
        """
        runs = self.ledger.engine_runs
        latest = runs.run(run.source, run.target, run.run_id) or run
        said = latest.said or latest.state
        if not latest.final:
            if self._stopped(target, self._changed(latest, runs.unwant)).cancelled:
                return
            shown = target.engine.observe([run.run_id]).get(run.run_id)
            said = shown.said if shown else said
        raise PermanentFailure(f"run {run.run_id} has ended: it was {said}")

    def _stopped(self, target: Target, row: EngineRun) -> EngineRun:
        """Have the engine stop a run that is not wanted; not ``cancelled`` when it has ended.

        Raises: as :meth:`cancel`.
        """
        runs = self.ledger.engine_runs
        try:
            stopped = target.engine.cancel(row.run_id)
        except PermanentFailure:
            self._changed(row, partial(runs.unwant, unwanted=False))
            raise
        if row.cancelled and not stopped:
            return row
        return self._changed(row, runs.cancelled if stopped else partial(runs.unwant, unwanted=False))

    def _changed(self, row: EngineRun, step: Callable[[EngineRun], EngineRun | None]) -> EngineRun:
        """The run after a step that is taken whatever others write meanwhile, unless it lands."""
        while not row.ended:
            if (changed := step(row)) is not None:
                return changed
            row = self.ledger.engine_runs.run(row.source, row.target, row.run_id) or row
        return row

    def _look_at(
        self,
        target: Target,
        active: Sequence[EngineRun],
        pursued: Sequence[Intention],
        newest: datetime | None,
        budget: Budget,
        *,
        ask: bool,
        paused: bool,
    ) -> _Seen:
        now, engine = self.ledger.now(), target.engine
        if (target.only_wanted or target.release is not None) and not active and not pursued:
            return _Seen((), newest)
        newest = newest if newest and newest <= now else None
        since = max(now - engine.limits.history, newest - _OVERLAP if newest else _EPOCH)
        shown = {run.run_id: run for run in engine.recent(since)}
        strangers = self._strangers(target, shown.values())
        changed: list[EngineRun] = []
        for stranger in strangers:
            changed.append(self._entered(target, stranger))
            if budget.spent:
                break
        whole = len(changed) == len(strangers)
        rows = {run.run_id: run for run in [*active, *changed]}
        unseen = [run_id for run_id in rows if run_id not in shown]
        shown |= engine.observe(unseen) if unseen else {}
        for row in rows.values():
            moved = self._observed(target, row, shown.get(row.run_id))
            if moved.final and not moved.ended:
                moved = self._landed(target, moved)
            if moved != row:
                changed.append(moved)
            if moved.ended and budget.spent:
                break
        latest = rows | {run.run_id: run for run in changed}
        own = [left for each in pursued if (left := self._pursued(target, each, latest))]
        if not paused:
            own += self._planned(target, [each for each in own if not _overdue(each, latest)])
        if target.alike is not None and not paused:
            own = self._newest(target, target.alike, own, latest)
        timely = [] if paused else [each for each in own if _is_due(each, now)]
        due = [each for each in timely if not self._fulfilled(target, each, latest)]
        # One that others start is looked at when they did.
        wanted = due or ask or (strangers and target.every is None)
        unfit = _unfit(engine) if wanted and target.doubtful() else ""
        for intention in due if not unfit else ():
            self._start(target, intention, latest)
            if budget.spent:
                break
        started = [run.started_at for run in shown.values() if run.started_at and whole]
        at = max([*started, *([newest] if newest else [])], default=None)
        return _Seen(tuple(changed), at, unfit)

    def _planned(self, target: Target, pursued: Sequence[Intention]) -> list[Intention]:
        """The newest slot of the target's schedule, unless an earlier one is still pursued: runs do not pile up."""
        if target.every is None or pursued:
            return []
        slot = slot_before(self.ledger.now(), target.every, target.offset)
        key = f"slot/{slot:%Y-%m-%dT%H:%M:%SZ}"
        known = self.ledger.engine_runs.intention(self.source.name, target.name, key)
        if known is not None or not self.intend(target, key, end=slot):
            return []
        planned = self.ledger.engine_runs.intention(self.source.name, target.name, key)
        return [planned] if planned else []

    def _newest(
        self,
        target: Target,
        alike: Callable[[Intention], str],
        own: Sequence[Intention],
        latest: Mapping[str, EngineRun],
    ) -> list[Intention]:
        """What may be started: of what is wanted alike the newest, one at a time. Of what has ``begun`` a call may have
        reached the engine, and nothing is superseded before that is known."""
        newest: dict[str, Intention] = {}
        for each in sorted(own, key=lambda i: (i.intended_at or _EPOCH, i.key)):
            if each.state is not IntentState.INTENDED or each.begun:
                continue
            if (before := newest.get(alike(each))) is not None:
                self._ended(target, before, IntentState.SUPERSEDED, latest)
            newest[alike(each)] = each
        going = any(not run.ended and not run.overdue for run in latest.values())
        if going or any(each.state is IntentState.STARTED and not _overdue(each, latest) for each in own):
            return []
        begun = [each for each in own if each.state is IntentState.INTENDED and each.begun]
        return (begun or [each for each in newest.values() if _is_due(each, self.ledger.now())])[:1]

    def _start(self, target: Target, intention: Intention, latest: Mapping[str, EngineRun]) -> None:
        runs = self.ledger.engine_runs
        begun = runs.begin(intention)
        if begun is None:
            return
        try:
            looks = begun.begun > 1 and not target.engine.limits.alone
            known = runs.runs(self.source.name, target.name) if looks else []
            others = [run.run_id for run in known if run.intent not in ("", begun.key)]
            answer = target.engine.start(begun, others=others)
        except Doubtful as e:
            if self._ended(target, begun, IntentState.LOST, latest, str(e)) is not None:
                runs.rest(begun, str(e), self.ledger.now() + _pause(begun.begun))
            return
        except Postponed as e:
            runs.rest(begun, str(e), self.ledger.now() + e.rest, refused=True)
            return
        except TransientFailure as e:
            hindered = isinstance(e, EnvironmentFailure)
            runs.rest(begun, str(e), self.ledger.now() + _pause(begun.begun), refused=hindered)
            if hindered:
                raise
            return
        except PermanentFailure as e:
            if self._ended(target, begun, IntentState.GIVEN_UP, latest, str(e)) is not None:
                runs.rest(begun, str(e), self.ledger.now() + _pause(begun.begun))
            return
        if isinstance(answer, Busy):
            why = f"another run is going on: {answer.run_id or 'unknown'}"
            runs.rest(begun, why, self.ledger.now() + BUSY_FOR, refused=True)
        else:
            runs.started(begun, answer.run_id, adopted=answer.adopted)

    def _pursued(self, target: Target, intention: Intention, latest: Mapping[str, EngineRun]) -> Intention | None:
        """The intention, if there is still something to do about it. ``latest`` are runs as this look leaves them."""
        runs = self.ledger.engine_runs
        if not intention.run_id:
            run = next((run for run in latest.values() if _fulfils(run, intention)), None)
            if run is None:
                return intention
            return self._ended(target, intention, IntentState.FULFILLED, latest, run_id=run.run_id)
        own = latest.get(intention.run_id)
        own = own or runs.run(intention.source, intention.target, intention.run_id)
        if own is None or not own.ended:
            return intention
        if own.state in WROTE:
            return self._ended(target, intention, IntentState.FULFILLED, latest)
        why = own.error or own.message or own.said
        if own.unwanted or own.state is RunState.CANCELLED or intention.attempt >= MOST_RUNS:
            return self._ended(target, intention, IntentState.GIVEN_UP, latest, why)
        return runs.again(intention, why, self.ledger.now() + _pause(intention.attempt))

    def _ended(
        self,
        target: Target,
        intention: Intention,
        state: IntentState,
        latest: Mapping[str, EngineRun],
        why: str = "",
        run_id: str = "",
    ) -> Intention | None:
        """End it, once what was made for it alone is gone; the intention while it is not, to be looked at again."""
        window = (intention.window_start, intention.window_end)
        going = any(not run.ended and (run.window_start, run.window_end) == window for run in latest.values())
        if target.release is not None and (going or not target.release(intention)):
            return intention
        ended = self.ledger.engine_runs.end(intention, state, why, run_id)
        if ended is not None and state in (IntentState.LOST, IntentState.GIVEN_UP):
            self.services.metrics.failed(self.source.name, "permanent", target=target.name, intention=intention.key)
        if target.silent:
            return None
        if state is IntentState.LOST:
            self._notices.gave_up(ended, "start a run yourself if none is going on")
        elif state is IntentState.GIVEN_UP and target.once:
            self._notices.keeps_failing(ended, target.what_next)
        elif state is IntentState.GIVEN_UP:
            retry = f"`adplatform retry {self.source.name}/{target.name}` wants it again"
            self._notices.gave_up(ended, "the next slot tries again" if target.every else retry)
        return None

    def _fulfilled(self, target: Target, intention: Intention, latest: Mapping[str, EngineRun]) -> bool:
        """Whether a run has pulled all that is wanted before, so that none need be started: every known run is asked,
        once a start, where others start some, too."""
        if intention.window_end is None or target.engine.limits.alone:
            return False
        names = filter(None, (intention.target, target.kin))
        known = (run for name in names for run in self.ledger.engine_runs.runs(intention.source, name))
        found = next((run for run in known if _fulfils(run, intention)), None)
        if found is not None:
            self._ended(target, intention, IntentState.FULFILLED, latest, run_id=found.run_id)
        return found is not None

    def _strangers(self, target: Target, shown: Iterable[Run]) -> list[Run]:
        """Runs of which the ledger knows nothing: somebody else started them, or the answer to our start was lost."""
        found = {run.run_id: run for run in shown}
        known = self.ledger.engine_runs.known(self.source.name, target.name, found)
        return [run for run_id, run in found.items() if run_id not in known]

    def _entered(self, target: Target, run: Run) -> EngineRun:
        row = EngineRun(self.source.name, target.name, run.run_id)
        self.ledger.engine_runs.found(row)
        return self.ledger.engine_runs.run(self.source.name, target.name, run.run_id) or row

    def _observed(self, target: Target, row: EngineRun, shown: Run | None) -> EngineRun:
        runs, now = self.ledger.engine_runs, self.ledger.now()
        if shown is not None and not row.final:
            if row.unwanted and not row.cancelled and not shown.final:
                row = self._asked_again(target, row)
            said = _said(row, shown, target.engine.limits)
            if said != row:
                row = runs.observed(row, said) or row
        since = row.state_since or now
        if shown is None and not row.final and now - since > target.engine.limits.history:
            why = f"the engine has shown nothing of it for {target.engine.limits.history}"
            return runs.lose(row, why) or row
        patience = target.engine.limits.patience.get(row.state)
        if patience and not row.final and not row.overdue and now - since > patience:
            why = f"it is {row.said or row.state} since {since:%Y-%m-%d %H:%M} UTC, longer than {patience}"
            self._notices.overdue(row, why)
            row = self._overdue(target, row, why)
        return row

    def _asked_again(self, target: Target, row: EngineRun) -> EngineRun:
        """Whoever wanted it stopped has had no answer, or died over it."""
        try:
            return self._stopped(target, row)
        except PermanentFailure as e:
            self._notices.goes_on(row, str(e))
        except TransientFailure as e:
            log.warning("%s %s is still to be stopped: %s", row.owner, row.run_id, e)
        return self.ledger.engine_runs.run(row.source, row.target, row.run_id) or row

    def _landed(self, target: Target, seen: EngineRun) -> EngineRun:
        """Give what the run wrote to its deliveries. Of one that did not succeed that counts only where the engine
        proves it for each file."""
        runs = self.ledger.engine_runs
        # What lists the active runs may lag behind.
        row = runs.run(seen.source, seen.target, seen.run_id) or seen
        if row.ended:
            return row
        if target.judge is not None:
            return self._judged(target, target.judge, row)
        counts = row.state in WROTE or target.engine.limits.proves_files
        try:
            claims = list(target.engine.claims(_as_run(row))) if counts else []
        except PermanentFailure as e:
            # It may be mended, and what was written would be lost without it; other runs go on.
            if not row.overdue:
                self._notices.overdue(row, str(e))
            return row if row.overdue else self._overdue(target, row, str(e))
        landing = land(self.services, self.source, row, claims, replaces=target.engine.limits.replaces)
        row = landing.run
        silent = row.state is RunState.SUCCEEDED and not claims and not row.objects
        nowhere = silent and bool(row.records or row.bytes)
        why = what_is_left(landing, nowhere=nowhere)
        if why and not target.once:
            self._notices.ended(row, why, failed=row.state not in WROTE or nowhere)
        return self._counted(target, runs.landed(row, why, *self._used(row), failed=nowhere)) or row

    def _judged(self, target: Target, judge: Callable[[EngineRun], str | None], row: EngineRun) -> EngineRun:
        """Keep what a run found that brings no objects."""
        found: str | None = row.message or f"it ended as {row.said}"
        failed = row.state not in WROTE
        if not failed:
            try:
                found = judge(row)
            except BroughtNothing as e:
                found, failed = str(e), True
        if found is None:
            return row
        if failed and not (target.once or target.silent):
            self._notices.ended(row, found, failed=True)
        failed = failed and row.state in WROTE
        landed = self.ledger.engine_runs.landed(row, found, *self._used(row), failed=failed)
        return self._counted(target, landed) or row

    def _used(self, run: EngineRun) -> list[Write]:
        return used_writes(self.services, self.source.name, self.source.budget, run.usage)

    def _overdue(self, target: Target, row: EngineRun, why: str) -> EngineRun:
        """Note that the run stays in a state for too long."""
        noted = self.ledger.engine_runs.overdue(row, why)
        if noted is not None:
            self.services.metrics.put({metrics.ENGINE_RUNS_OVERDUE: 1}, self._of(target), target=target.name)
        return noted or row

    def _counted(self, target: Target, landed: EngineRun | None) -> EngineRun | None:
        """The run as it landed, which only the look that has noted it counts."""
        if landed is None:
            return None
        run, lasted = landed, None
        if run.started_at and run.ended_at:
            lasted = (run.ended_at - run.started_at).total_seconds()
        failed = run.state not in WROTE
        counts = {
            metrics.ENGINE_RUNS: 1,
            metrics.ENGINE_RUNS_FAILED: int(failed),
            metrics.ENGINE_RUN_SECONDS: lasted,
            metrics.ENGINE_RECORDS: run.records,
            metrics.ENGINE_FAILED_RECORDS: run.failed,
        }
        self.services.metrics.put(counts, self._of(target), target=target.name, run=run.run_id)
        if self.services.settings.traces and run.started_at and run.ended_at:
            facts = {"source": run.source, "target": run.target, "run": run.run_id, "state": str(run.state)}
            whole = Span(
                target.engine.limits.called, "", run.started_at, run.ended_at, facts, run.said if failed else ""
            )
            send(run_key(run.source, run.run_id), [whole])
        if failed and not run.cancelled:
            self.services.metrics.failed(self.source.name, "transient", target=target.name, run=run.run_id)
        return landed

    def _of(self, target: Target) -> dict[str, str]:
        return {metrics.SOURCE: self.source.name, metrics.ENGINE: target.engine.limits.called}


def slot_before(now: datetime, every: timedelta, offset: timedelta) -> datetime:
    """The slot of a schedule that began last."""
    return _EPOCH + offset + (now - _EPOCH - offset) // every * every


def asked(now: datetime) -> str:
    """The key of an intention that somebody has at this moment."""
    return f"asked/{now:%Y-%m-%dT%H:%M:%SZ}"


def again(key: str, now: datetime) -> str:
    """The key of an intention that somebody has once more at this moment."""
    return f"{key.partition(' ')[0]} {asked(now)}"


def _unfit(engine: Engine) -> str:
    return "; ".join(each.text for each in engine.check() if each.fatal)


def _is_due(intention: Intention, now: datetime) -> bool:
    rests = intention.not_before is not None and intention.not_before > now
    return intention.state is IntentState.INTENDED and not rests


def _overdue(intention: Intention, latest: Mapping[str, EngineRun]) -> bool:
    """Whether its run stays in a state for too long, so that nobody need wait for it: if it goes on after all, its
    engine starts no other."""
    run = latest.get(intention.run_id)
    return run is not None and run.overdue


def _fulfils(run: EngineRun, intention: Intention) -> bool:
    return run.ended and run.state in WROTE and _covers(run, intention)


def _succeeded(run: EngineRun) -> bool:
    return run.ended and run.state is RunState.SUCCEEDED


def _covers(run: EngineRun, intention: Intention) -> bool:
    """Whether the run pulled all that is wanted."""
    end = run.window_end or run.started_at
    if end is None or intention.window_end is None or end < intention.window_end:
        return False
    return intention.window_start is None or (
        run.window_start is not None and run.window_start <= intention.window_start
    )


def _pause(tried: int) -> timedelta:
    minutes: int = 2 ** min(tried - 1, 10)
    return min(timedelta(minutes=minutes), LONGEST_REST)


def _said(row: EngineRun, shown: Run, limits: Limits) -> EngineRun:
    """The row with what the engine says by now. Where it calls both a failure, a run that it agreed to stop is a
    cancelled one."""
    said = replace(row, **{name: getattr(shown, name) for name in _SHOWN})
    cancelled = row.cancelled and said.state is RunState.FAILED and not limits.tells_cancelled
    return replace(said, state=RunState.CANCELLED) if cancelled else said


def _as_run(row: EngineRun) -> Run:
    """What the engine said last."""
    return Run(**{name: getattr(row, name) for name in _SHOWN})
