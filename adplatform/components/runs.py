"""What the ledger's decisions need to know of Dagster's runs."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

RUN_KEY_TAG = "dagster/run_key"
WORKER_TAG = "adplatform/worker"
"""``host:pid`` of the process that works on a run."""


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
