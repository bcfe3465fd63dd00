"""What the ledger's decisions need to know of Dagster's runs."""

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from pathlib import Path

import dagster as dg

RUN_KEY_TAG = "dagster/run_key"
WORKER_TAG = "adplatform/worker"
"""``host:pid`` of the process that works on a run."""


TOLD_TAG = "adplatform/told"
"""On a failed run of which people need not be told, and why not."""
FAILURE_TAG = "adplatform/failure"
"""On a failed run: the kind of its failure."""
AGAIN_AFTER, LONGEST_PAUSE = timedelta(minutes=10), timedelta(hours=2)
"""The wait after a failed run before one alike; doubled with each that fails, up to the longest."""
_REMEMBERED = 6


def worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True)
class InstanceRuns:
    """The runs of a Dagster instance, as ``adplatform.flow.settling.Runs``.

    Dagster does not notice when a process on this machine is killed: its run stays started for ever. A worker on
    another host is Dagster's to watch (run monitoring of the ECS launcher).
    """

    instance: dg.DagsterInstance

    def alive(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        return run is not None and not self._ended(run)

    def spent(self, run_key: str) -> bool:
        runs = self.instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY_TAG: run_key}))
        return bool(runs) and all(self._ended(run) for run in runs)

    def _ended(self, run: dg.DagsterRun) -> bool:
        if run.is_finished:
            return True
        host, _, pid = run.tags.get(WORKER_TAG, "").rpartition(":")
        if host != socket.gethostname() or _exists(int(pid)):
            return False
        self.instance.report_run_failed(run, f"its process {pid} on {host} is gone")
        return True


def may_start(instance: dg.DagsterInstance, alike: dg.RunsFilter, now: float) -> bool:
    """Whether none alike is at work, and none failed a moment ago: what is broken for long should not make a run a
    minute."""
    records = instance.get_run_records(filters=alike, limit=_REMEMBERED)
    if not records:
        return True
    if InstanceRuns(instance).alive(records[0].dagster_run.run_id):
        return False
    failures = len(list(takewhile(lambda r: r.dagster_run.status is dg.DagsterRunStatus.FAILURE, records)))
    if not failures:
        return True
    pause = min(AGAIN_AFTER * float(2 ** (failures - 1)), LONGEST_PAUSE)
    ended = float(records[0].end_time or 0)
    return now - ended > pause.total_seconds()


def note_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, alike: dg.RunsFilter, error: Exception) -> None:
    """Mark a run that is about to fail. People need not be told when the one before failed in the same way."""
    kind = type(error).__name__
    before = [r for r in instance.get_runs(filters=alike, limit=2) if r.run_id != run.run_id][:1]
    known = any(r.status is dg.DagsterRunStatus.FAILURE and r.tags.get(FAILURE_TAG) == kind for r in before)
    told = {TOLD_TAG: "the run before failed, too"} if known else {}
    instance.add_run_tags(run.run_id, {FAILURE_TAG: kind, **told})


def _exists(pid: int) -> bool:
    if Path("/proc").is_dir():
        return Path(f"/proc/{pid}").exists()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
