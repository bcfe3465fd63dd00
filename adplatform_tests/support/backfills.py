"""Backfills of a code location in this process: Dagster's own evaluation of them and of its queue, without a daemon."""

import asyncio
import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.execution.asset_backfill import execute_asset_backfill_iteration
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import CodeLocationOrigin, InProcessCodeLocationOrigin
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_backfill_id
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._time import get_current_timestamp

from adplatform.components.assembly.held_runs import FOLLOW_TAG
from adplatform.local.dagster_home import CONFIG, prepare_dagster_home

_MODULE = "adplatform_tests.support.given_location"
RUNS_WITHIN = 60.0
_EVENTS = """\
event_log_storage:
  module: dagster._core.storage.event_log
  class: ConsolidatedSqliteEventLogStorage
  config: {{base_dir: {folder}}}
"""
"""One database of events for all runs: to make one for each takes as long as a short run."""
_LOG = logging.getLogger("backfills")


@dataclass(frozen=True)
class _Given(WorkspaceLoadTarget):
    def create_origins(self) -> Sequence[CodeLocationOrigin]:
        return [InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=_MODULE, attribute="defs"))]


@dataclass
class Backfills:
    """Definitions on an instance that queues runs as on a laptop."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    context: WorkspaceProcessContext
    queue: QueuedRunCoordinatorDaemon = field(default_factory=lambda: QueuedRunCoordinatorDaemon(interval_seconds=1))

    def launch(self, keys: Iterable[dg.AssetKey], partitions: Iterable[str]) -> str:
        """As the UI does; its id."""
        graph = self.context.create_request_context().asset_graph
        backfill = PartitionBackfill.from_asset_partitions(
            backfill_id=make_new_backfill_id(),
            asset_graph=graph,
            partition_names=sorted(partitions),
            asset_selection=list(keys),
            backfill_timestamp=get_current_timestamp(),
            tags={},
            dynamic_partitions_store=self.instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
        self.instance.add_backfill(backfill)
        return backfill.backfill_id

    def evaluate(self, backfill_id: str) -> BulkActionStatus:
        """One look of Dagster's backfill daemon."""
        backfill = self.instance.get_backfill(backfill_id)
        assert backfill is not None
        if backfill.status in (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING):
            asyncio.run(execute_asset_backfill_iteration(backfill, _LOG, self.context, self.instance))
        after = self.instance.get_backfill(backfill_id)
        assert after is not None
        return after.status

    def cancel(self, backfill_id: str) -> None:
        backfill = self.instance.get_backfill(backfill_id)
        assert backfill is not None
        self.instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELING))

    def submit(self, requests: Iterable[dg.RunRequest]) -> None:
        """Runs of a sensor, one for each run key, into the queue."""
        for request in requests:
            tags = dict(request.tags)
            if request.run_key:
                tags["dagster/run_key"] = request.run_key
                if self.instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": request.run_key})):
                    continue
            if request.partition_key:
                tags["dagster/partition"] = request.partition_key
            selected = frozenset(request.asset_selection or ())
            job = self.definitions.resolve_job_def(str(request.job_name))
            self.instance.create_run_for_job(
                job_def=job.get_subset(asset_selection=selected) if selected else job,
                asset_selection=selected or None,
                tags=tags,
                status=dg.DagsterRunStatus.QUEUED,
                remote_job_origin=self._repository().get_full_job(job.name).get_remote_origin(),
            )

    def _repository(self) -> RemoteRepository:
        [location] = self.context.create_request_context().code_locations
        [repository] = location.get_repositories().values()
        return repository

    def begin(self, tick: Callable[[], object]) -> None:
        """Run what Dagster takes from its queue, one after the other; while one waits to be followed the sensor ticks.
        Two runs at once in a process lock each other out: each configures Python's logging."""
        config = self.instance.get_concurrency_config()
        for run in self.queue._get_runs_to_dequeue(self.instance, config, None):
            self.instance.run_storage.handle_run_event(run.run_id, _starting(run))
            thread = threading.Thread(target=self._execute, args=(self._now(run),), daemon=True)
            thread.start()
            until = time.monotonic() + RUNS_WITHIN
            while thread.is_alive():
                if time.monotonic() > until:
                    faulthandler.dump_traceback()
                    raise AssertionError(f"{run.job_name} goes on: what each thread does is above")
                if FOLLOW_TAG in self._now(run).tags:
                    tick()
                thread.join(0.4)

    def _now(self, run: dg.DagsterRun) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found

    def _execute(self, run: dg.DagsterRun) -> None:
        selected = run.asset_selection
        job = (
            self.definitions.resolve_implicit_global_asset_job_def()
            if run.job_name.startswith("__ASSET_JOB")
            else self.definitions.resolve_job_def(run.job_name)
        )
        subset = job.get_subset(asset_selection=selected) if selected else job
        execute_run(InMemoryJob(subset), run, self.instance, raise_on_error=False)


def _starting(run: dg.DagsterRun) -> dg.DagsterEvent:
    return dg.DagsterEvent(event_type_value="PIPELINE_STARTING", job_name=run.job_name)


@contextmanager
def backfilling(definitions: dg.Definitions, home: Path) -> Iterator[Backfills]:
    given = ModuleType(_MODULE)
    given.defs = definitions  # type: ignore[attr-defined]  # made here
    sys.modules[_MODULE] = given
    folder = prepare_dagster_home(home)
    (folder / "dagster.yaml").write_text(CONFIG + _EVENTS.format(folder=folder / "events"), encoding="utf-8")
    try:
        with (
            dg.DagsterInstance.from_config(str(folder)) as instance,
            WorkspaceProcessContext(instance, _Given()) as context,
        ):
            yield Backfills(definitions, instance, context)
    finally:
        del sys.modules[_MODULE]
