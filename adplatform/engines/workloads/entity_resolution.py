"""Matching jobs of AWS Entity Resolution: one for the newest publication.

Facts: Entity Resolution API reference, StartMatchingJob, which takes no token, GetMatchingJob, ListMatchingJobs. No
call stops a job.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adplatform.engines.engine import BroughtNothing, Busy, Doubtful, Finding, Limits, Postponed, Run
from adplatform.engines.runs import BUSY_FOR
from adplatform.engines.workloads.engine import SEEN_SOON
from adplatform.engines.workloads.match_results import MatchResults
from adplatform.failures import PermanentFailure, clipped
from adplatform.ledger.engine_run import EngineRun, Intention, RunState
from adplatform.platform.aws_errors import aws_failures

_STATES = {
    "QUEUED": RunState.WAITING,
    "RUNNING": RunState.RUNNING,
    "SUCCEEDED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
}
_LONGEST = 500
"""Characters of what the service says of a job that are kept."""
_CLOCKS = timedelta(minutes=1)
"""By how much the service's clock and ours may differ."""


@dataclass(frozen=True)
class MatchingJob:
    """Of the workflow ``workflow``; ``client`` is one of Entity Resolution that repeats no call by itself. What a job
    found is landed as ``results`` where these are a feed."""

    client: Any
    workflow: str
    results: MatchResults | None = None

    limits = Limits(
        called="entity_resolution",
        history=timedelta(days=90),
        patience=SEEN_SOON | {RunState.WAITING: timedelta(hours=2), RunState.RUNNING: timedelta(hours=24)},
    )

    def check(self) -> Sequence[Finding]:
        with self._failures():
            try:
                self.client.get_matching_workflow(workflowName=self.workflow)
            except self.client.exceptions.ResourceNotFoundException:
                text = f"there is no matching workflow {self.workflow}: `adplatform consumers apply` makes it"
                return [Finding(text)]
        return []

    def start(self, intention: Intention, others: Collection[str]) -> str | Busy:
        """Where an earlier call may have started one, it is the only job since then that is none of ``others``."""
        if intention.begun > 1 and intention.begun_at is not None:
            found = [job for job in self._jobs(intention.begun_at - _CLOCKS) if job["jobId"] not in others]
            if len(found) > 1:
                raise Doubtful(f"{len(found)} jobs of the workflow {self.workflow} could be the one that was started")
            if found:
                return str(found[0]["jobId"])
        with self._failures():
            try:
                return str(self.client.start_matching_job(workflowName=self.workflow)["jobId"])
            except self.client.exceptions.ConflictException:
                newest = next(self._jobs(), None)
                return Busy(str(newest["jobId"]) if newest else "")
            except self.client.exceptions.ExceedsLimitException as e:
                raise Postponed("as many jobs of Entity Resolution go on as may be", BUSY_FOR) from e

    def look(self, run_id: str) -> Run | None:
        with self._failures():
            try:
                told = self.client.get_matching_job(workflowName=self.workflow, jobId=run_id)
            except self.client.exceptions.ResourceNotFoundException:
                return None
        metrics, state = told.get("metrics", {}), _STATES.get(told["status"], RunState.RUNNING)
        return Run(
            run_id=run_id,
            state=state,
            said=told["status"],
            message=clipped(told.get("errorDetails", {}).get("errorMessage", ""), _LONGEST),
            final=state in (RunState.SUCCEEDED, RunState.FAILED),
            started_at=told.get("startTime"),
            ended_at=told.get("endTime"),
            records=metrics.get("inputRecords"),
            files=metrics.get("matchIDs"),
            failed=metrics.get("recordsNotProcessed"),
        )

    def cancel(self, run_id: str) -> None:
        raise PermanentFailure(f"Entity Resolution has no call that stops job {run_id}; it ends by itself")

    def result(self, run: EngineRun) -> str:
        if run.failed:
            raise BroughtNothing(
                f"{run.failed} of {run.records} records were not processed; the job's folder `error` says why"
            )
        if not run.records:
            raise BroughtNothing("the job read no records: can its role read the table and its files?")
        if self.results is not None:
            with self._failures():
                self.results.land(run)
        return f"{run.records} records, {run.files} match ids"

    def _jobs(self, since: datetime | None = None) -> Iterator[dict[str, Any]]:
        """The newest first; those that began ``since``."""
        page: dict[str, str] = {}
        with self._failures():
            while True:
                answer = self.client.list_matching_jobs(workflowName=self.workflow, **page)
                for job in answer["jobs"]:
                    if since is not None and job["startTime"] < since:
                        return
                    yield job
                if not answer.get("nextToken"):
                    return
                page = {"nextToken": answer["nextToken"]}

    def _failures(self) -> Any:
        return aws_failures(f"the matching workflow {self.workflow}")
