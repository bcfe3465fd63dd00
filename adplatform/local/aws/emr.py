"""EMR Serverless: applications that start for a run and stop when they are idle, and runs that run their scripts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.emrserverless import urls
from moto.emrserverless.exceptions import ResourceNotFoundException, ValidationException
from moto.emrserverless.models import JOB_RUN_ARN_TEMPLATE, emrserverless_backends
from moto.emrserverless.responses import EMRServerlessResponse
from moto.emrserverless.utils import random_job_id

from adplatform.local.aws import emr_runs, managed, scripts
from adplatform.local.aws.emr_runs import SAVED_AS, SERVICE, LocalRun
from adplatform.local.aws.managed import CONTROL

_PAGE = 10
"""Runs of a page that nobody asked to be of another size."""
_RUNS = ("CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED")
_AUTO_START, _AUTO_STOP = "auto_start_configuration", "auto_stop_configuration"


class _Refused(JsonRESTError):
    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(code, message)
        self.code = status


class LocalEmrResponse(EMRServerlessResponse):
    def create_application(self) -> Any:
        """moto starts it at once, and forgets for which processor it is."""
        answer = super().create_application()
        application = self._application(answer.result["applicationId"])
        application.state, application.architecture = "CREATED", self._asked.get("architecture", "X86_64")
        return answer

    def get_application(self) -> Any:
        self._stop_when_idle(self._unthrottled())
        return super().get_application()

    def stop_application(self) -> Any:
        application = self._unthrottled()
        if any(not run.ended for run in self._runs(application)):
            raise ValidationException(f"Application {application.id} has runs that go on.")
        return super().stop_application()

    def start_job_run(self) -> Any:
        """moto forgets tokens, and takes whatever an application is."""
        application, asked = self._unthrottled(), self._asked
        again = next((run for run in self._runs(application) if run.asked["clientToken"] == asked["clientToken"]), None)
        if again is not None:
            if again.asked != asked:
                raise _Refused("ConflictException", "The client token was used with other parameters.", 409)
            return self._started(again)
        if CONTROL.take(SERVICE, "quota", application.id):
            raise _Refused("ServiceQuotaExceededException", "The account has no more vCPUs for this.", 402)
        self._check(application, asked)
        if application.state in ("CREATED", "STOPPED"):
            application.state = "STARTING"
        id = random_job_id()
        arn = JOB_RUN_ARN_TEMPLATE.format(
            partition="aws",
            account_id=self.current_account,
            application_id=application.id,
            region=self.region,
            job_run_id=id,
        )
        run = LocalRun(id, arn, application, asked, CONTROL.now())
        self._runs(application).append(run)
        emr_runs.begin(run, self.region, _changed)
        if CONTROL.take(SERVICE, "answer_lost", application.id):
            raise _Refused("InternalServerException", "An internal error occurred.", 500)
        return self._started(run)

    def get_job_run(self) -> Any:
        application = self._unthrottled()
        self._expire(application)
        if CONTROL.take(SERVICE, "no_records", application.id):
            raise ResourceNotFoundException(self._asked["jobRunId"], "JobRun")
        return ActionResult({"jobRun": self._run(application).described})

    def list_job_runs(self) -> Any:
        """moto has no pages."""
        application, asked = self._unthrottled(), self._asked
        self._expire(application)
        if CONTROL.take(SERVICE, "no_records", application.id):
            return ActionResult({"jobRuns": []})
        begin = asked.get("nextToken")
        if begin is None and CONTROL.take(SERVICE, "on_page_2", application.id):
            return ActionResult({"jobRuns": [], "nextToken": "0"})
        since, until = (_aware(asked.get(name)) for name in ("createdAtAfter", "createdAtBefore"))
        found = [
            run
            for run in reversed(self._runs(application))
            if (since is None or run.created > since)
            and (until is None or run.created < until)
            and run.status in (asked.get("states") or [run.status])
        ]
        first, most = int(begin or 0), int(asked.get("maxResults") or _PAGE)
        more = {"nextToken": str(first + most)} if len(found) > first + most else {}
        return ActionResult({"jobRuns": [run.summary for run in found[first : first + most]], **more})

    def cancel_job_run(self) -> Any:
        application = self._unthrottled()
        run = self._run(application)
        if run.ended:
            raise ValidationException(f"Job run {run.id} is in the terminal state {run.status}.")
        run.status = "CANCELLING"
        return ActionResult({"applicationId": application.id, "jobRunId": run.id})

    def delete_application(self) -> Any:
        self._unthrottled()
        super().delete_application()
        return EmptyResult()

    @property
    def _asked(self) -> dict[str, Any]:
        """The members of the request, those of its path among them."""
        return {**self.uri_match, **self.params}

    def _check(self, application: Any, asked: dict[str, Any]) -> None:
        """
        Raises:
            ValidationException: no run can be started so.
        """
        if application.state not in _RUNS:
            raise ValidationException(f"Application {application.id} is {application.state}.")
        starts = (getattr(application, _AUTO_START) or {}).get("enabled", True)
        if application.state in ("CREATED", "STOPPED") and not starts:
            raise ValidationException(f"Application {application.id} is {application.state} and does not auto-start.")
        if 0 < int(asked.get("executionTimeoutMinutes", 720)) < 5:
            raise ValidationException("RunTimeout must be at least 5 minutes.")
        if "sparkSubmit" not in (asked.get("jobDriver") or {}):
            raise ValidationException("jobDriver needs sparkSubmit.")

    def _started(self, run: LocalRun) -> ActionResult:
        return ActionResult({"applicationId": run.application.id, "jobRunId": run.id, "arn": run.arn})

    def _application(self, id: str) -> Any:
        return self.emrserverless_backend.get_application(id)

    def _runs(self, application: Any) -> list[LocalRun]:
        """The oldest first."""
        return self.emrserverless_backend.job_runs.setdefault(application.id, [])  # type: ignore[no-any-return]

    def _run(self, application: Any) -> LocalRun:
        id = self._asked["jobRunId"]
        found = next((run for run in self._runs(application) if run.id == id), None)
        if found is None:
            raise ResourceNotFoundException(id, "JobRun")
        return found

    def _expire(self, application: Any) -> None:
        if CONTROL.take(SERVICE, "history_expired", application.id):
            runs = self._runs(application)
            runs[:] = [run for run in runs if not run.ended]

    def _stop_when_idle(self, application: Any) -> None:
        runs, stops = self._runs(application), getattr(application, _AUTO_STOP) or {}
        if application.state != "STARTED" or not stops.get("enabled", True) or any(not run.ended for run in runs):
            return
        ends = [run.end for run in runs if run.end]
        idle = timedelta(minutes=stops.get("idleTimeoutMinutes", 15))
        if ends and CONTROL.now() - max(ends) > idle:
            application.state = "STOPPED"
            managed.changed(SAVED_AS)

    def _unthrottled(self) -> Any:
        """The application that is asked for."""
        id = self._asked["applicationId"]
        if CONTROL.take(SERVICE, "throttled", id):
            raise _Refused("ThrottlingException", "Rate exceeded", 429)
        return self._application(id)


def _aware(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value
    return datetime.fromisoformat(str(value))


_changed: Callable[[], None]


def install(changed: Callable[[], None]) -> None:
    """``changed`` is called when something changed outside of a request."""
    global _changed  # noqa: PLW0603 - moto itself creates the responses
    _changed = changed
    CONTROL.known[SERVICE] = emr_runs.FAULTS
    CONTROL.answers[SERVICE] = scripts.kill
    for path in urls.url_paths:
        urls.url_paths[path] = LocalEmrResponse.dispatch


def after_load() -> None:
    """Fails the runs that the end of the previous child interrupted."""
    for _, _, backend in emrserverless_backends.iter_backends():
        for runs in backend.job_runs.values():
            for run in runs:
                if not run.ended:
                    run.finish("FAILED", "the embedded AWS ended during the run")
