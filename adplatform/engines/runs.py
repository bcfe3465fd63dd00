"""The life of a managed engine's runs, one look at a time: intended, started, watched and landed. Nothing here waits.

The intention is in the ledger before the engine is asked. Whatever can be lost (an answer, an event, this process) is
found again in the engine's own records; no event is needed.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath

from adplatform.contracts.source import PLATFORM_TOPICS, Topics
from adplatform.engines.engine import Busy, Claim, Doubtful, Engine, Run
from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure, listed
from adplatform.flow.arrivals import Arrivals
from adplatform.flow.budget import UNLIMITED, Budget
from adplatform.flow.outbox import notify
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.ledger.engine_run import WROTE, EngineRun, Intention, IntentState, Landed, RunState
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Trouble, Unsent
from adplatform.ledger.rows import digest

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
    multiples; without, it runs by itself or when somebody asks."""

    name: str
    engine: Engine
    every: timedelta | None = None
    offset: timedelta = timedelta(0)


@dataclass(frozen=True)
class Look:
    """What one look found. ``changed`` are the runs that moved on, ``active`` those that have not landed."""

    changed: tuple[EngineRun, ...] = ()
    active: int = 0
    newest: Mapping[str, datetime] = field(default_factory=dict)


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

    def look(self, newest: Mapping[str, datetime] | None = None, budget: Budget = UNLIMITED) -> Look:
        """Start what is due, watch what runs, land what has ended. ``newest`` is what an earlier look returned: when
        the newest known run of each target started; without it all that engines remember is looked through. What the
        ``budget`` leaves no time for, a later look goes on with.

        One target that fails holds up no other.
        """
        changed: list[EngineRun] = []
        newest = dict(newest or {})
        active = self.ledger.engine_runs.active(self.source.name)
        troubles = self.ledger.messages.troubles(self.source.name)
        pursued = self.ledger.engine_runs.pursued(self.source.name)
        for target in self.targets:
            own = [run for run in active if run.target == target.name]
            try:
                moved, at = self._look_at(target, own, pursued, newest.get(target.name), budget)
            except (PermanentFailure, TransientFailure) as e:
                self._troubled(target, e, troubles)
                continue
            if _trouble(target) in troubles:
                self.ledger.messages.clear_trouble(self.source.name, _trouble(target))
            changed += moved
            newest |= {target.name: at} if at else {}
        left = self.ledger.engine_runs.active(self.source.name)
        return Look(tuple(changed), len(left), newest)

    def intend(self, target: Target, key: str, start: datetime | None = None, end: datetime | None = None) -> bool:
        """Want a run of the target, for a window where it is to be one; False when that is known already."""
        wanted = Intention(self.source.name, target.name, key, window_start=start, window_end=end)
        return self.ledger.engine_runs.intend(wanted)

    def cancel(self, target: Target, run: EngineRun) -> None:
        """Stop exactly this run, which is not wanted again: some engines call that a failure like any other."""
        self.ledger.engine_runs.cancel(run)
        target.engine.cancel(run.run_id)

    def _look_at(
        self,
        target: Target,
        active: list[EngineRun],
        pursued: Iterable[Intention],
        newest: datetime | None,
        budget: Budget,
    ) -> tuple[list[EngineRun], datetime | None]:
        now, engine = self.ledger.now(), target.engine
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
        own = [each for each in pursued if each.target == target.name]
        own = [left for each in own if (left := self._pursued(target, each))]
        own += self._planned(target, own)
        for intention in own:
            if intention.state is IntentState.INTENDED and not (intention.not_before and intention.not_before > now):
                self._start(target, intention)
        started = [run.started_at for run in shown.values() if run.started_at and whole]
        return changed, max([*started, *([newest] if newest else [])], default=None)

    def _planned(self, target: Target, pursued: Sequence[Intention]) -> list[Intention]:
        """The newest slot of the target's schedule, unless an earlier one is still pursued: runs do not pile up."""
        if target.every is None or pursued:
            return []
        now = self.ledger.now()
        slots = (now - _EPOCH - target.offset) // target.every
        slot = _EPOCH + target.offset + slots * target.every
        key = f"slot/{slot:%Y-%m-%dT%H:%M:%SZ}"
        known = self.ledger.engine_runs.intention(self.source.name, target.name, key)
        if known is not None or not self.intend(target, key, end=slot):
            return []
        planned = self.ledger.engine_runs.intention(self.source.name, target.name, key)
        return [planned] if planned else []

    def _start(self, target: Target, intention: Intention) -> None:
        runs = self.ledger.engine_runs
        if fatal := [each.text for each in target.engine.check() if each.fatal]:
            raise PermanentFailure("; ".join(fatal))
        begun = runs.begin(intention)
        if begun is None:
            return
        try:
            known = runs.runs(self.source.name, target.name) if begun.begun > 1 else []
            others = [run.run_id for run in known if run.intent not in ("", begun.key)]
            answer = target.engine.start(begun, others=others)
        except Doubtful as e:
            self._ended(runs.end(begun, IntentState.LOST, str(e)), "start a run yourself if none is going on")
            return
        except TransientFailure as e:
            runs.rest(begun, str(e), self.ledger.now() + _pause(begun.begun))
            if isinstance(e, EnvironmentFailure):
                raise
            return
        except PermanentFailure as e:
            self._ended(runs.end(begun, IntentState.GIVEN_UP, str(e)), "the next slot tries again")
            return
        if isinstance(answer, Busy):
            runs.rest(begun, f"another run is going on: {answer.run_id or 'unknown'}", self.ledger.now() + BUSY_FOR)
        else:
            runs.started(begun, answer.run_id, adopted=answer.adopted)

    def _pursued(self, target: Target, intention: Intention) -> Intention | None:
        """The intention, if there is still something to do about it."""
        runs = self.ledger.engine_runs
        own = runs.run(self.source.name, target.name, intention.run_id) if intention.run_id else None
        if own is not None and own.ended:
            if own.state in WROTE:
                runs.end(intention, IntentState.FULFILLED)
                return None
            why = own.error or own.message or own.said
            if own.state is RunState.CANCELLED or intention.attempt >= MOST_RUNS:
                self._ended(runs.end(intention, IntentState.GIVEN_UP, why), "the next slot tries again")
                return None
            return runs.again(intention, why, self.ledger.now() + _pause(intention.attempt))
        if intention.state is IntentState.INTENDED and intention.window_end is not None:
            for run in runs.runs(self.source.name, target.name):
                if run.ended and run.state in WROTE and _covers(run, intention):
                    runs.end(intention, IntentState.FULFILLED, run_id=run.run_id)
                    return None
        return intention

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
            said = _said(row, shown)
            if said != row:
                row = runs.observed(row, said) or row
        since = row.state_since or now
        if shown is None and not row.final and now - since > target.engine.limits.history:
            why = f"the engine has shown nothing of it for {target.engine.limits.history}"
            return runs.lose(row, why) or row
        patience = target.engine.limits.patience.get(row.state)
        if patience and not row.final and not row.overdue and now - since > patience:
            why = f"it is {row.said or row.state} since {since:%Y-%m-%d %H:%M} UTC, longer than {patience}"
            self._notify("run_overdue", row, f"{row.owner}: a run is overdue", why)
            row = runs.overdue(row, why) or row
        return row

    def _landed(self, target: Target, row: EngineRun) -> EngineRun:
        """Give what the run wrote to its deliveries. After a crash it is done again, which may make a version more."""
        runs = self.ledger.engine_runs
        if row.state not in WROTE:
            why = row.message or f"it ended as {row.said}"
            self._notify("run_failed", row, f"{row.owner}: a run {row.state}", why)
            return runs.landed(row, 0, why) or row
        claims = list(target.engine.claims(_as_run(row)))
        placed, strange = self._placed(claims)
        for (flow, day), own in placed.items():
            records = row.records if len(placed) == 1 else None
            key = self._written(flow, day, row, own)
            runs.bring(flow.name, Landed(day, row.run_id, key, len(own), self.ledger.now(), records))
            self._record(flow, day, own)
        why = f"{row.failed} of its writes failed: {row.message}".rstrip(": ") if row.state is RunState.PARTIAL else ""
        if strange:
            why = f"{why}; {len(strange)} objects fit no feed: {listed(strange)}".removeprefix("; ")
        if why:
            self._notify("run_incomplete", row, f"{row.owner}: a run brought not everything", why)
        return runs.landed(row, len(claims) - len(strange), why) or row

    def _placed(self, claims: Iterable[Claim]) -> tuple[dict[tuple[FeedFlow, date], list[Claim]], list[str]]:
        placed: dict[tuple[FeedFlow, date], list[Claim]] = defaultdict(list)
        strange: list[str] = []
        for claim in claims:
            found = self.source.place(claim.key, self.ledger.now())
            if found is None:
                strange.append(claim.key)
            else:
                placed[found[0], found[1].day].append(claim)
        return dict(placed), strange

    def _record(self, flow: FeedFlow, day: date, claims: Iterable[Claim]) -> None:
        """Record the objects as S3 has them, after it is known that they count: what has arrived and does not count is
        not looked at again when a version settles. Where a listing of somebody's brought one before, the delivery is
        opened again."""
        arrivals = Arrivals(self.source, self.services.s3, self.ledger)
        keys = {claim.key for claim in claims}
        before = {obj.key for obj in self.ledger.objects.of_day(flow.name, day)}
        for folder in sorted({str(PurePosixPath(key).parent) for key in keys}):
            arrivals.record_listing(f"{folder}/", only=keys)
        if keys & before:
            self.ledger.deliveries.reopen(flow.name, day)

    def _written(self, flow: FeedFlow, day: date, row: EngineRun, claims: Iterable[Claim]) -> str:
        """The object that lists what the run brought to the delivery."""
        zones = self.services.zones
        key = f"{zones.claims(flow.name, day)}{digest(row.run_id)}.json"
        files = [{"key": c.key, "version": c.version, "bytes": c.size} for c in claims]
        body = json.dumps({"run": row.run_id, "files": files}, indent=1).encode()
        self.services.s3.put_object(Bucket=zones.raw_bucket, Key=key, Body=body, **zones.put_arguments)
        return key

    def _ended(self, intention: Intention | None, what_next: str) -> None:
        if intention is None:
            return
        facts = {"source": self.source.name, "target": intention.target, "intention": intention.key}
        subject = f"{intention.owner}: a run is {intention.state}"
        message = Unsent.of(self.topics.failure, "run_given_up", subject, {**facts, "error": intention.error})
        log.error("%s %s: %s; %s", intention.owner, intention.key, intention.error, what_next)
        notify(self.services, self.source.name, message)

    def _notify(self, event: str, row: EngineRun, subject: str, error: str) -> None:
        facts = {"source": row.source, "target": row.target, "run": row.run_id, "error": error}
        log.warning("%s %s: %s", row.owner, row.run_id, error)
        notify(self.services, self.source.name, Unsent.of(self.topics.failure, event, subject, facts))

    def _troubled(self, target: Target, error: Exception, troubles: Mapping[str, Trouble]) -> None:
        """Notify once of what keeps a target from being looked at or started."""
        log.error("%s/%s: %s", self.source.name, target.name, error)
        what = _trouble(target)
        known = troubles.get(what)
        if known is not None and known.error == str(error):
            return
        self.ledger.messages.note_trouble(self.source.name, what, str(error))
        facts = {"source": self.source.name, "target": target.name, "error": str(error)}
        subject = f"{self.source.name}: {target.name} cannot be run"
        notify(self.services, self.source.name, Unsent.of(self.topics.failure, "target_refused", subject, facts))


def asked(now: datetime) -> str:
    """The key of an intention that somebody has at this moment."""
    return f"asked/{now:%Y-%m-%dT%H:%M:%SZ}"


def _trouble(target: Target) -> str:
    return f"target/{target.name}"


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


def _said(row: EngineRun, shown: Run) -> EngineRun:
    """The row with what the engine says by now."""
    said = replace(row, **{name: getattr(shown, name) for name in _SHOWN})
    return replace(said, state=RunState.CANCELLED) if row.cancelled and said.state is RunState.FAILED else said


def _as_run(row: EngineRun) -> Run:
    """What the engine said last."""
    return Run(**{name: getattr(row, name) for name in _SHOWN})
