"""Runs of EMR Serverless that run: the script that each is given, as a child process of this machine.

moto's runs do nothing and have succeeded when they are started.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from adplatform.local.aws import scripts
from adplatform.local.aws.emr_environment import with_archive
from adplatform.local.aws.managed import CONTROL, Fault
from adplatform.local.aws.reported_state import ReportedState
from adplatform.local.aws.scripts import Script, Work
from adplatform.local.aws.state import LOCK

SERVICE = "emr-serverless"
SAVED_AS = "emrserverless"
"""What moto calls it when it is asked for something, and so the snapshot with its state."""
FAULTS = {
    "answer_lost": "StartJobRun starts a run, and answers with an internal error",
    "history_expired": "runs of the application that have ended are gone from the next look on",
    "no_records": "the next GetJobRun or ListJobRuns shows none",
    "on_page_2": "the first page of the next ListJobRuns is empty",
    "quota": "the next StartJobRun is refused, because the account has no more capacity",
    "run_fails": "the next run fails before its script begins",
    "run_times_out": "the time-out of the next run is over once its script has run for `seconds`",
    "stuck": "the next run stays SUBMITTED, for ever or for `seconds`",
    "throttled": "the next call about the application is refused as one too many",
    "writes_nothing": "the next run succeeds without running its script",
}
_BEFORE_THE_SCRIPT: Mapping[str, tuple[str, str | None]] = {
    "run_fails": ("FAILED", "Job failed, please check complete logs. The role may not read the entry point."),
    "writes_nothing": ("SUCCESS", None),
}
"""By the fault, how a run ends whose script never begins."""
_ENDED = frozenset({"SUCCESS", "FAILED", "CANCELLED"})
_TOLD = ("jobDriver", "configurationOverrides", "tags")
"""What a description repeats of the request."""
_DRIVER_CPUS, _EXECUTOR_CPUS, _GB_OF_CPU = 4, 4, 4
"""What a worker has where a run says nothing else."""
_EXECUTORS = re.compile(r"spark\.dynamicAllocation\.maxExecutors=(\d+)")


@dataclass(eq=False)
class LocalRun(ReportedState):
    """A run of an application. ``asked`` is the request that has made it, ``began`` when its script did."""

    id: str
    arn: str
    application: Any
    asked: Mapping[str, Any]
    created: datetime
    began: datetime | None = None
    _status: str | None = "SUBMITTED"

    @property
    def ended(self) -> bool:
        return self.status in _ENDED

    @property
    def end(self) -> datetime | None:
        return self.end_time.replace(tzinfo=UTC) if self.end_time else None

    @property
    def minutes(self) -> int:
        """Of its time-out; 0 where it has none (API reference, StartJobRun)."""
        return int(self.asked.get("executionTimeoutMinutes", 720))

    @property
    def summary(self) -> dict[str, Any]:
        """In a list."""
        return {
            "applicationId": self.application.id,
            "id": self.id,
            "name": self.asked.get("name"),
            "mode": "BATCH",
            "arn": self.arn,
            "createdBy": f"arn:aws:iam::{self.arn.split(':')[4]}:user/local",
            "createdAt": self.created,
            "updatedAt": self.end or self.began or self.created,
            "executionRole": self.asked["executionRoleArn"],
            "state": self.status,
            "stateDetails": self.error or f"The run is {self.status}.",
            "releaseLabel": self.application.release_label,
            "type": "SPARK",
        }

    @property
    def described(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.summary.items() if name not in ("id", "type")}
        asked = {
            name: self.asked[name] for name in ("jobDriver", "configurationOverrides", "tags") if name in self.asked
        }
        times = {name: at for name, at in (("startedAt", self.began), ("endedAt", self.end)) if at}
        return {**kept, "jobRunId": self.id, "executionTimeoutMinutes": self.minutes, **asked, **times, **self._billed}

    @property
    def _billed(self) -> dict[str, Any]:
        """Once it has ended; a run whose script never began is not charged."""
        if self.end is None or self.began is None:
            return {}
        hours = max(timedelta(0), self.end - self.began) / timedelta(hours=1)
        named = _EXECUTORS.search(self._parameters)
        cpus = _DRIVER_CPUS + _EXECUTOR_CPUS * int(named[1] if named else 2)
        used = {"vCPUHour": hours * cpus, "memoryGBHour": hours * cpus * _GB_OF_CPU, "storageGBHour": 0.0}
        seconds = round(hours * 3600)
        return {
            "billedResourceUtilization": used,
            "totalResourceUtilization": used,
            "totalExecutionDurationSeconds": seconds,
        }

    @property
    def _submitted(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.asked["jobDriver"]["sparkSubmit"]
        return found

    @property
    def _parameters(self) -> str:
        return str(self._submitted.get("sparkSubmitParameters", ""))

    def finish(self, status: str, error: str | None = None) -> None:
        """By the clock of the engines, as everything else of a run."""
        super().finish(status, error)
        self.end_time = CONTROL.now().replace(tzinfo=None)

    def script(self, region: str, folder: Path) -> Script:
        given = list(self._submitted.get("entryPointArguments", ()))
        script = Script(self._submitted["entryPoint"], given, region)
        return scripts.with_spark(with_archive(script, self._parameters, folder), folder)


def begin(run: LocalRun, region: str, changed: Callable[[], None]) -> None:
    """Run its script behind the answer, and call ``changed``, under the lock, when its state is another. Callers hold
    the lock."""

    def script(folder: Path, cut: Fault | None) -> tuple[str, str | None]:
        return _script(run, region, folder, changed, cut)

    scripts.begin(Work(SERVICE, run.application.id, run, _BEFORE_THE_SCRIPT, "FAILED", script, changed))


def _script(
    run: LocalRun, region: str, folder: Path, changed: Callable[[], None], cut: Fault | None
) -> tuple[str, str | None]:
    for state in ("PENDING", "SCHEDULED", "RUNNING"):
        with LOCK:
            if run.status == "CANCELLING":
                return "CANCELLED", None
            run.status = state
            run.application.state = "STARTED"
            if state == "RUNNING":
                run.began = CONTROL.now()
            changed()
    over = partial(_timed_out, run, scripts.cut_at(cut))
    going = partial(_goes_on, run, over)
    ended = scripts.carry_out(run.id, run.script(region, folder), folder, going)
    if run.status == "CANCELLING":
        return "CANCELLED", None
    if ended.status == 0:
        return "SUCCESS", None
    if over():
        return "FAILED", f"Job execution timeout of {run.minutes} minutes exceeded."
    return "FAILED", f"Job failed, please check complete logs in configured logging destination. {ended.said}"[:256]


def _goes_on(run: LocalRun, over: Callable[[], bool]) -> bool:
    return run.status != "CANCELLING" and not over()


def _timed_out(run: LocalRun, cut: float) -> bool:
    """``cut`` is a moment of the monotonic clock."""
    if monotonic() >= cut:
        return True
    return bool(run.minutes and run.began and CONTROL.now() - run.began > timedelta(minutes=run.minutes))
