"""Glue jobs that run: the script that a job names, as a child process of this machine.

moto's runs do nothing and succeed when they are looked at for the second time.

Glue has a pgJDBC, and this machine the one that ``POSTGRES_JDBC_JAR`` names. Where neither it nor the job has one, a
run that reads a table is told to let the driver read, which needs none.
"""

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from moto.glue import models
from moto.glue.exceptions import ConcurrentRunsExceededException

from adplatform.local.aws import scripts
from adplatform.local.aws.managed import CONTROL, Fault
from adplatform.local.aws.reported_state import ReportedState
from adplatform.local.aws.scripts import Script, Work
from adplatform.local.aws.state import LOCK
from adplatform.transform.job_plan import OUTPUT, PLAN

FAULTS = {
    "answer_lost": "StartJobRun starts a run, and answers with an internal error",
    "history_expired": "runs of the job that have ended are gone from the next look on",
    "no_records": "the next GetJobRun or GetJobRuns shows none",
    "on_page_2": "the first page of the next GetJobRuns is empty",
    "run_errs": "the next run ends in ERROR before its script begins, as one of a job that was deleted meanwhile",
    "run_expires": "the next run waits for resources too long, and ends in EXPIRED",
    "run_fails": "the next run fails before its script begins",
    "run_times_out": "the time-out of the next run is over once its script has run for `seconds`",
    "stuck": "the next run does not begin its script, for ever or for `seconds`",
    "writes_nothing": "the next run succeeds without running its script",
    "throttled": "the next call about the job is refused as one too many",
    "too_many_runs": "the next StartJobRun is refused, because too many runs go on",
}
_BEFORE_THE_SCRIPT: Mapping[str, tuple[str, str | None]] = {
    "run_fails": ("FAILED", "the job's role is not authorized to perform s3:GetObject"),
    "run_errs": ("ERROR", "the job was deleted"),
    "run_expires": ("EXPIRED", "no resources were found for the run"),
    "writes_nothing": ("SUCCEEDED", None),
}
"""By the fault, how a run ends whose script never begins."""
_ENDED = frozenset({"STOPPED", "SUCCEEDED", "FAILED", "TIMEOUT", "ERROR", "EXPIRED"})
_DPUS = {"G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8}


class LocalJobRun(ReportedState, models.FakeJobRun):
    @property
    def ended(self) -> bool:
        return self.status in _ENDED

    def as_dict(self) -> dict[str, Any]:
        described: dict[str, Any] = {**super().as_dict(), **self.told}
        del described["CompletedOn"], described["ExecutionTime"]
        if self.end_time is None:
            return described
        seconds = max(0, round((self.end_time - self.started_on).total_seconds()))
        dpus = capacity(self.worker_type, self.number_of_workers)
        ended = {"CompletedOn": self.end_time, "ExecutionTime": seconds, "DPUSeconds": seconds * dpus}
        return described | ended


def capacity(worker_type: str | None, workers: int | None) -> float:
    """In DPUs."""
    return float(_DPUS.get(worker_type or "", 1) * (workers or 1))


def overwrite(job: Any, given: Mapping[str, Any]) -> None:
    """Make the job what UpdateJob is given, and nothing that it was. Callers hold the lock."""
    kept = {name: getattr(job, name) for name in ("name", "arn", "backend", "created_on", "job_runs")}
    members = list(signature(models.FakeJob.__init__).parameters)[1:]
    wanted = {name: given.get(_member(name)) for name in members}
    models.FakeJob.__init__(job, **{**wanted, "name": job.name, "backend": job.backend, "tags": {}})
    vars(job).update(kept)


def _member(parameter: str) -> str:
    """Of the API, by the name of moto's parameter."""
    return parameter.title().replace("_", "")


def check_room(job: Any) -> None:
    """Callers hold the lock. moto does not count runs that are being stopped.

    Raises:
        ConcurrentRunsExceededException: as many of its runs go on as may.
    """
    going = sum(not run.ended for run in job.job_runs)
    if going >= job.execution_property.get("MaxConcurrentRuns", 1) or CONTROL.take("glue", "too_many_runs", job.name):
        raise ConcurrentRunsExceededException(f"Concurrent runs exceeded for {job.name}")


def begin(job: Any, run_id: str, changed: Callable[[], None]) -> None:
    """Run the job's script behind the answer, and call ``changed``, under the lock, when the run's state is another.
    Callers hold the lock."""
    run = job.get_job_run(run_id)

    def script(folder: Path, cut: Fault | None) -> tuple[str, str | None]:
        return _script(job, run, folder, changed, cut)

    scripts.begin(Work("glue", job.name, run, _BEFORE_THE_SCRIPT, "FAILED", script, changed))


def stop(job: Any, run_ids: list[str]) -> dict[str, Any]:
    """The answer of BatchStopJobRun. Callers hold the lock."""
    stopped, errors = [], []
    runs = {run.job_run_id: run for run in job.job_runs}
    for run_id in run_ids:
        run = runs.get(run_id)
        if run is None or run.ended:
            said = "is not there" if run is None else f"is in the terminal state {run.status}"
            detail = {"ErrorCode": "InvalidJobRunStateTransition", "ErrorMessage": f"job run {run_id} {said}"}
            errors.append({"JobName": job.name, "JobRunId": run_id, "ErrorDetail": detail})
            continue
        run.status = "STOPPING"
        stopped.append({"JobName": job.name, "JobRunId": run_id})
    return {"SuccessfulSubmissions": stopped, "Errors": errors}


def _script(job: Any, run: Any, folder: Path, changed: Callable[[], None], cut: Fault | None) -> tuple[str, str | None]:
    """Run the script to its end, or to where it is ``cut``; the run's last state, and what went wrong."""
    given = {**(run.arguments or {}), "--JOB_NAME": job.name, "--JOB_RUN_ID": run.job_run_id}
    script = _prepared(job, given, folder)
    with LOCK:
        if run.status == "STOPPING":
            return "STOPPED", None
        run.status = "RUNNING"
        changed()
    over = partial(_timed_out, run, scripts.cut_at(cut))
    ended = scripts.carry_out(run.job_run_id, script, folder, lambda: run.status != "STOPPING" and not over())
    if run.status == "STOPPING":
        return "STOPPED", None
    if ended.status == 0:
        return "SUCCEEDED", None
    if over():
        return "TIMEOUT", f"Job run exceeded its timeout of {run.timeout} minutes."
    return "FAILED", ended.said


def _prepared(job: Any, given: Mapping[str, str], folder: Path) -> Script:
    """One that transforms a delivery has a Spark of its own, one that reads a table the one with a pgJDBC, or none."""
    place, region = job.command["ScriptLocation"], job.backend.region_name
    arguments = [part for pair in given.items() for part in pair]
    if OUTPUT in given:
        return scripts.with_spark(Script(place, arguments, region), folder)
    jars = _jars(given.get("--extra-jars", ""), folder)
    if PLAN in given and not jars and "--reader" not in given:
        arguments += ["--reader", "driver"]
    submitted = " ".join((*(["--jars", ",".join(jars)] if jars else []), "pyspark-shell"))
    return Script(place, arguments, region, {"PYSPARK_SUBMIT_ARGS": submitted})


def _jars(places: str, folder: Path) -> list[str]:
    """Files of this machine: the jars at these places, ``s3://`` and separated by commas; its pgJDBC where there are
    none."""
    files = []
    for place in filter(None, places.split(",")):
        files.append(folder / place.rpartition("/")[2])
        scripts.fetch(place, files[-1])
    return [*map(str, files)] or [*filter(None, [os.environ.get("POSTGRES_JDBC_JAR")])]


def _timed_out(run: Any, cut: float) -> bool:
    """``cut`` is a moment of the monotonic clock."""
    minutes = (CONTROL.now().replace(tzinfo=None) - run.started_on).total_seconds() / 60
    return time.monotonic() >= cut or (bool(run.timeout) and minutes > run.timeout)


def install() -> None:
    models.FakeJobRun = LocalJobRun
    CONTROL.answers["glue"] = scripts.kill


def after_load() -> None:
    """Fails the runs that the end of the previous child interrupted."""
    for _, _, backend in models.glue_backends.iter_backends():
        for job in backend.jobs.values():
            for run in job.job_runs:
                if not run.ended:
                    run.finish("FAILED", "the embedded AWS ended during the run")
