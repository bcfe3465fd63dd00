"""What the ledger's decisions need to know of Dagster's runs: who works on them, and which of them are dead."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile

import dagster as dg
from dagster import DagsterEventType

from adplatform.failures import EnvironmentFailure
from adplatform.flow.settling import Ending
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.workers import WorkerIdentity, Workers, identity_of, started_at, this_worker
from adplatform.platform import names
from adplatform.platform.json_logs import about_this_process

RUN_KEY_TAG = "dagster/run_key"
BACKFILL_TAG = "dagster/backfill"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
WORKER_TAG = "adplatform/worker"
"""The identity of the process of a run: from its creation where this process runs it, else from its first step."""
FEED_TAG, SOURCE_TAG = names.FEED_TAG, names.SOURCE_TAG
AHEAD = {"dagster/priority": "1"}
"""Tags of runs that are short and show what others have brought: they do not wait behind deliveries in Dagster's queue,
where these have 0 and backfills less."""
NOTIFIED_TAG = "adplatform/told"
"""On a failed run of which people need not be notified, and why not."""
FAILURE_TAG = "adplatform/failure"
"""On a failed run: the kind of its failure."""
AGAIN_AFTER, LONGEST_PAUSE = timedelta(minutes=10), timedelta(hours=2)
"""The wait after a failed run before one alike; doubled with each that fails, up to the longest."""
BEGINS_WITHIN = timedelta(minutes=2)
"""How long a run that has started may take to show who works on it."""
_REMEMBERED = 6
# Dagster 1.13: dagster/_grpc/impl.py and _cli/api.py report the process of a launched run, DefaultRunLauncher tags the
# run with its code server, and an interruption that nobody asked Dagster for is a failure of this reason.
_LAUNCHED = re.compile(r"Started process for run \(pid: (\d+)\)")
_SERVER_TAG = "dagster/grpc_info"
_REASON_TAG, _INTERRUPTED = "dagster/failure_reason", "UNEXPECTED_TERMINATION"
# dagster/_daemon/monitoring/run_monitoring.py
_TOO_LONG = "exceeding maximum runtime"
_CLOCKS_DIFFER = 10.0
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_WHOSE = ": "


def returns(source: str) -> str:
    """What to know before one terminates a run of a source."""
    return f"A run that is terminated comes back by itself; `adplatform pause {source}` keeps the source still."


def say_of(instance: dg.DagsterInstance, run_id: str, tags: Mapping[str, str]) -> None:
    """Tag a run with what is true of itself: whoever executes it again in Dagster's UI gets a copy of its tags."""
    instance.add_run_tags(run_id, {tag: f"{run_id}{_WHOSE}{said}" for tag, said in tags.items()})


def said_of(run: dg.DagsterRun, tag: str) -> str:
    """What a tag says of this run; "" where it has none, or only a copy of another run's. One that names no run was
    given to the run that was created with it."""
    whose, named, said = run.tags.get(tag, "").partition(_WHOSE)
    if named:
        return said if whose == run.run_id else ""
    return whose if run.parent_run_id is None else ""


@contextmanager
def at_work(context: dg.AssetExecutionContext | dg.OpExecutionContext, ledger: Ledger, work: str) -> Iterator[None]:
    """A step of this process works on the run, which everybody can see as long as it does. ``work`` names what it is
    about. To be entered before anything is claimed, and to be followed by
    :func:`work_ended` when nothing is left to do."""
    runner = _runner(context.instance, context.run)
    say_of(context.instance, context.run.run_id, {WORKER_TAG: str(runner)})
    feed = context.run.tags.get(FEED_TAG, "")
    source = feed.partition("/")[0]
    if feed:
        context.log.info(returns(source))
    facts = {"source": source, **({"feed": feed} if feed != source else {})} if feed else {}
    with (
        about_this_process(run_id=context.run.run_id, **facts),
        Workers(ledger).beating(context.run.run_id, work, runner),
    ):
        yield


def work_ended(context: dg.AssetExecutionContext | dg.OpExecutionContext, ledger: Ledger, work: str) -> None:
    Workers(ledger).end(context.run.run_id, work)


def _runner(instance: dg.DagsterInstance, run: dg.DagsterRun) -> WorkerIdentity:
    """The process of the whole run, which may have started this one for a single step."""
    launched = _launched(instance, run.run_id)
    found = identity_of(launched[0]) if launched else None
    return found if found is not None and launched is not None and _is_launched(launched) else this_worker()


def _launched(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """The process id that Dagster noted for a run that it launched, and when."""
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
        if found := _LAUNCHED.match(entry.dagster_event.message or "" if entry.dagster_event else ""):
            return int(found[1]), entry.timestamp
    return None


def _is_launched(launched: tuple[int, float]) -> bool:
    """Whether the process is the one that was noted, and not another that got its id later."""
    pid, noted = launched
    begun = started_at(pid)
    return begun is not None and begun <= noted + _CLOCKS_DIFFER


@dataclass(frozen=True)
class InstanceRuns:
    """The runs of a Dagster instance and those of others, as ``adplatform.flow.settling.Runs``.

    Dagster does not notice when a process on this machine is killed: its run stays started for ever and holds its pool.
    A worker on another machine is Dagster's to watch where its launcher can (run monitoring of the ECS launcher).
    """

    instance: dg.DagsterInstance
    workers: Workers
    clock: Callable[[], float] = time.time

    def alive(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        if run is None:
            return bool(self.workers.live(run_id))
        if run.is_finished:
            self.workers.forget(run_id)
        return not self._ended(run)

    def spent(self, run_key: str) -> bool:
        runs = self._launched_as(run_key)
        return bool(runs) and all(self._ended(run) for run in runs)

    def ending(self, run: str) -> Ending:
        found = self.instance.get_run_by_id(run)
        last = [found] if found else self._launched_as(run)[:1]
        for each in last:
            if was_stopped(each) and not took_too_long(self.instance, each):
                return Ending.STOPPED
            if said_of(each, FAILURE_TAG) == EnvironmentFailure.__name__:
                return Ending.HINDERED
        return Ending.DIED

    def sweep(self) -> None:
        """End every run of this instance whose process is gone, so that its pool is free."""
        for run in self.instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)):
            self._ended(run)

    def _launched_as(self, run_key: str) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY_TAG: run_key})))

    def _ended(self, run: dg.DagsterRun) -> bool:
        """Whether the run has ended; one that is dead is ended in Dagster, too."""
        if run.is_finished:
            return True
        why = self._death(run) if run.status in _UNFINISHED else ""
        if not why:
            return False
        now = self.instance.get_run_by_id(run.run_id)
        if now is not None and not now.is_finished:
            canceling = now.status is dg.DagsterRunStatus.CANCELING
            end = self.instance.report_run_canceled if canceling else self.instance.report_run_failed
            end(now, why)
        self.workers.forget(run.run_id)
        return True

    def _death(self, run: dg.DagsterRun) -> str:
        """Why the run is dead, "" while it may live."""
        seen = self.workers.live(run.run_id)
        if seen:
            return ""
        tagged = WorkerIdentity.parse(said_of(run, WORKER_TAG))
        if tagged is not None and tagged.is_here:
            return "" if tagged.exists else f"its process {tagged.pid} on {tagged.host} is gone"
        watched = self.instance.run_launcher.supports_check_run_worker_health
        if seen is False:
            return "" if watched else "its process has shown no sign of life for minutes"
        if tagged is None and _is_launched_here(run):
            launched = _launched(self.instance, run.run_id)
            return "" if launched is None or _is_launched(launched) else f"its process {launched[0]} is gone"
        return self._never_began(run) if tagged is None and not watched else ""

    def _never_began(self, run: dg.DagsterRun) -> str:
        """Why a run is dead whose process nobody has ever seen. The runs of others are none of our business."""
        if run.status is not dg.DagsterRunStatus.STARTED or FEED_TAG not in run.tags:
            return ""
        record = self.instance.get_run_record_by_id(run.run_id)
        began = record.start_time if record else None
        waited = self.clock() - began if began else 0.0
        return "nobody has begun to work on it" if waited > BEGINS_WITHIN.total_seconds() else ""


def was_stopped(run: dg.DagsterRun) -> bool:
    """Whether somebody outside ended the run: in the UI, by a signal, with the machine."""
    canceled = run.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING)
    return canceled or run.tags.get(_REASON_TAG) == _INTERRUPTED


def took_too_long(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether Dagster ended the run because it had lasted for as long as a run may."""
    entries = instance.all_logs(run.run_id, of_type=DagsterEventType.PIPELINE_CANCELING)
    return any(entry.dagster_event and _TOO_LONG in (entry.dagster_event.message or "") for entry in entries)


def _is_launched_here(run: dg.DagsterRun) -> bool:
    """Whether a code server of this machine has started the run's process."""
    server = json.loads(run.tags.get(_SERVER_TAG, "{}"))
    return "socket" in server or server.get("host") in ("localhost", "127.0.0.1")


def runs_of(ledger: Ledger, instance: dg.DagsterInstance) -> InstanceRuns:
    return InstanceRuns(instance, Workers(ledger))


def may_start(runs: InstanceRuns, alike: dg.RunsFilter, now: float, since: float = 0.0) -> bool:
    """Whether none alike is at work, and none failed a moment ago: what is broken for long should not make a run a
    minute. What failed before ``since``, in seconds since 1970 as ``now``, does not count."""
    records = runs.instance.get_run_records(filters=alike, limit=_REMEMBERED)
    if not records:
        return True
    if runs.alive(records[0].dagster_run.run_id):
        return False
    recent = takewhile(lambda r: float(r.end_time or 0) >= since, records)
    failures = len(list(takewhile(lambda r: r.dagster_run.status is dg.DagsterRunStatus.FAILURE, recent)))
    if not failures:
        return True
    pause = min(AGAIN_AFTER * float(2 ** (failures - 1)), LONGEST_PAUSE)
    ended = float(records[0].end_time or 0)
    return now - ended > pause.total_seconds()


def note_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, alike: dg.RunsFilter, error: Exception) -> None:
    """Mark a run that is about to fail. People need not be notified when the one before failed in the same way."""
    kind = type(error).__name__
    before = [r for r in instance.get_runs(filters=alike, limit=2) if r.run_id != run.run_id][:1]
    known = any(r.status is dg.DagsterRunStatus.FAILURE and said_of(r, FAILURE_TAG) == kind for r in before)
    notified = {NOTIFIED_TAG: "the run before failed, too"} if known else {}
    say_of(instance, run.run_id, {FAILURE_TAG: kind, **notified})
