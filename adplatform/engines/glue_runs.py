"""The runs of a job of AWS Glue: started, listed, described and stopped, whatever its script does.

Facts: Glue API reference, StartJobRun, GetJobRuns, BatchStopJobRun; developer guide, "Glue job run statuses".
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adplatform.engines.engine import Busy, Started
from adplatform.failures import PermanentFailure, clipped
from adplatform.ledger.engine_run import RunState
from adplatform.platform.aws_errors import aws_failures

STATES = {
    "STARTING": RunState.WAITING,
    "WAITING": RunState.WAITING,
    "RUNNING": RunState.RUNNING,
    "STOPPING": RunState.RUNNING,
    "SUCCEEDED": RunState.SUCCEEDED,
    "STOPPED": RunState.CANCELLED,
    "FAILED": RunState.FAILED,
    "ERROR": RunState.FAILED,
    "TIMEOUT": RunState.FAILED,
    "EXPIRED": RunState.FAILED,
}
GOING = frozenset({RunState.WAITING, RunState.RUNNING})
LONGEST_RUN = timedelta(days=8)
"""No run is older that goes on: a job's time-out is seven days at most."""
HISTORY = timedelta(days=90)
LONGEST = 500
"""Characters of what Glue says of a run that are kept."""
_STOPPING = "STOPPING"
_PAGE = 200
"""The most runs of a page (GetJobRuns)."""


@dataclass(frozen=True)
class GlueRuns:
    """The runs of ``job``; ``client`` is one of Glue, ``client_once`` makes one that repeats no call by itself.
    ``remedy`` says what helps where there is no such job."""

    job: str
    client: Any
    client_once: Callable[[], Any]
    remedy: str

    def described_job(self) -> dict[str, Any]:
        with self.failures():
            job: dict[str, Any] = self.client.get_job(JobName=self.job)["Job"]
        return job

    def start(self, arguments: Mapping[str, str], worker_type: str, workers: int, longest: timedelta) -> Started | Busy:
        """Start a run that may take as long as ``longest``; busy where as many go on as the job lets."""
        with self.failures():
            try:
                answer = self.client_once().start_job_run(
                    JobName=self.job,
                    Arguments=dict(arguments),
                    WorkerType=worker_type,
                    NumberOfWorkers=workers,
                    Timeout=-(-longest // timedelta(minutes=1)),
                )
            except self.client.exceptions.ConcurrentRunsExceededException:
                return Busy()
        return Started(answer["JobRunId"])

    def since(self, since: datetime) -> Iterator[dict[str, Any]]:
        """Those that started after ``since``. Glue lists the newest first, years of them: a whole page of earlier ones
        is the last that is asked for."""
        page: dict[str, Any] = {}
        while True:
            with self.failures():
                answer = self.client.get_job_runs(JobName=self.job, MaxResults=_PAGE, **page)
            listed = answer.get("JobRuns", ())
            fresh = [each for each in listed if each["StartedOn"] >= since]
            yield from fresh
            if not answer.get("NextToken") or (listed and not fresh):
                return
            page = {"NextToken": answer["NextToken"]}

    def described(self, run_id: str) -> dict[str, Any] | None:
        """None where Glue shows none."""
        with aws_failures(f"job {self.job}"):
            try:
                said: dict[str, Any] = self.client.get_job_run(JobName=self.job, RunId=run_id)["JobRun"]
            except self.client.exceptions.EntityNotFoundException:
                said = {}
        if not said:
            self.described_job()
        return said or None

    def stop(self, said: Mapping[str, Any]) -> bool:
        """Stop a run that was described so, or find that it is being stopped; False when it has ended.

        Raises:
            PermanentFailure: Glue refuses.
        """
        run_id = said["Id"]
        if not goes_on(said) or said["JobRunState"] == _STOPPING:
            return bool(said["JobRunState"] == _STOPPING)
        with self.failures():
            errors = self.client.batch_stop_job_run(JobName=self.job, JobRunIds=[run_id]).get("Errors")
        after = self.described(run_id) if errors else None
        if after is not None and goes_on(after):
            why = clipped(str((errors[0].get("ErrorDetail") or {}).get("ErrorMessage", "")), LONGEST)
            raise PermanentFailure(f"job {self.job}: run {run_id} cannot be stopped: {why}")
        return not errors

    @contextmanager
    def failures(self) -> Iterator[None]:
        """
        Raises:
            PermanentFailure: there is no such job; otherwise as ``aws_failures``.
        """
        with aws_failures(f"job {self.job}"):
            try:
                yield
            except self.client.exceptions.EntityNotFoundException as e:
                raise PermanentFailure(f"there is no job {self.job}: {self.remedy}") from e


def state_of(said: Mapping[str, Any]) -> RunState:
    return STATES.get(said["JobRunState"], RunState.RUNNING)


def goes_on(said: Mapping[str, Any]) -> bool:
    return state_of(said) in GOING


def argument(said: Mapping[str, Any], name: str) -> str:
    """Of a run; empty where it has none of that name."""
    return str((said.get("Arguments") or {}).get(name, ""))


def earliest(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of runs with the same plan, the one to be followed: the first that has not failed."""
    return min(runs, key=lambda each: (state_of(each) is RunState.FAILED, each["StartedOn"]))
