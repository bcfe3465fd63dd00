"""An application of EMR Serverless that transforms deliveries and merges changes, as an engine.

It takes repeated starts with one token for one, and is asked for runs of the intention first all the same: how long a
token counts is not documented. A run has its mark and its token in its name, which lists of runs show.

Facts: EMR Serverless API reference, StartJobRun, GetJobRun, ListJobRuns, CancelJobRun; user guide, "Job run states",
"Application states".
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from adplatform.engines.declared_spark import SCRIPT_KEY, script_findings
from adplatform.engines.emr_application import STARTS, application_named, drift, forget_applications
from adplatform.engines.engine import Busy, Claim, Finding, Limits, Run, Started
from adplatform.engines.spark_environment import environment_findings, submit_parameters
from adplatform.engines.spark_runs import LONGEST_RUN, arguments
from adplatform.failures import PermanentFailure, clipped
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.names import SPARK_APPLICATION

_CANCELLING = "CANCELLING"
_STATES = {
    "SUBMITTED": RunState.WAITING,
    "PENDING": RunState.WAITING,
    "SCHEDULED": RunState.WAITING,
    "QUEUED": RunState.WAITING,
    "RUNNING": RunState.RUNNING,
    _CANCELLING: RunState.RUNNING,
    "SUCCESS": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "CANCELLED": RunState.CANCELLED,
}
_GOING = frozenset({RunState.WAITING, RunState.RUNNING})
_TOKEN = 64
_PAGE = 50
"""The most runs of a page (ListJobRuns)."""
_LONGEST = 500
"""Characters of what is said of a run that are kept."""
_CLOCKS = timedelta(minutes=5)
"""By how much the clocks of AWS and of the ledger may differ."""


@dataclass(frozen=True)
class SparkOnEmr:
    """The runs of the application that are ``mark``'s: what makes a table. ``client`` is one of EMR Serverless,
    ``client_once`` makes one that repeats no call by itself."""

    services: Services
    mark: str
    client: Any
    client_once: Callable[[], Any]

    limits = Limits(
        called="emr-serverless",
        token=_TOKEN,
        history=timedelta(days=30),
        patience={
            RunState.UNSEEN: timedelta(minutes=15),
            RunState.WAITING: timedelta(hours=1),
            RunState.RUNNING: LONGEST_RUN + timedelta(minutes=15),
        },
    )

    @property
    def application(self) -> str:
        """Its id.

        Raises:
            PermanentFailure: settings name none, and none is found by its name.
        """
        return self.services.settings.spark_application or application_named(self.services.aws, SPARK_APPLICATION)

    def check(self) -> Sequence[Finding]:
        there = self._described_application()
        named = f"application {self.application}"
        return [
            *drift(there, named, self.services.settings.spark_workers),
            *script_findings(self.services, named),
            *environment_findings(self.services, named),
        ]

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        token, settings = intention.token(_TOKEN), self.services.settings
        name = f"{self.mark} {token}"
        if intention.begun > 1:
            since = (intention.intended_at or intention.begun_at or self.services.now()) - _CLOCKS
            own = [each for each in self._listed(since) if each.get("name") == name and each["id"] not in others]
            if own:
                return Started(own[0]["id"], adopted=True)
        given = arguments(self.services, intention, self.mark)
        submitted = {
            "entryPoint": self.services.zones.raw_uri(SCRIPT_KEY),
            "entryPointArguments": [part for pair in given.items() for part in pair],
            "sparkSubmitParameters": submit_parameters(settings, self.services.zones),
        }
        with self._failures():
            client = self.client_once()
            try:
                answer = client.start_job_run(
                    applicationId=self.application,
                    clientToken=token,
                    executionRoleArn=settings.spark_role,
                    jobDriver={"sparkSubmit": submitted},
                    executionTimeoutMinutes=LONGEST_RUN // timedelta(minutes=1),
                    name=name,
                )
            except client.exceptions.ServiceQuotaExceededException:
                return Busy()
        return Started(answer["jobRunId"])

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        described = (self._described(run_id) for run_id in run_ids)
        return {said["jobRunId"]: self._run(said) for said in described if said is not None}

    def recent(self, since: datetime) -> Iterator[Run]:
        """Each is asked for by itself, too: lists do not say what a run was given, nor what it is charged by."""
        for each in self._listed(since):
            if each.get("name", "").rpartition(" ")[0] == self.mark and (said := self._described(each["id"])):
                yield self._run(said)

    def claims(self, run: Run) -> Iterator[Claim]:
        """None: what a run stages is published, and not delivered."""
        return iter(())

    def cancel(self, run_id: str) -> bool:
        said = self._described(run_id)
        if said is None or _state(said) not in _GOING:
            return False
        if said["state"] == _CANCELLING:
            return True
        with self._failures():
            try:
                self.client.cancel_job_run(applicationId=self.application, jobRunId=run_id)
            except self.client.exceptions.ValidationException as e:
                after = self._described(run_id)
                if after is not None and _state(after) in _GOING:
                    why = clipped(e.response["Error"].get("Message", ""), _LONGEST)
                    raise PermanentFailure(f"run {run_id} cannot be cancelled: {why}") from e
                return False
        return True

    def _described_application(self) -> dict[str, Any]:
        with self._failures():
            there: dict[str, Any] = self.client.get_application(applicationId=self.application)["application"]
        if there["state"] not in STARTS:
            forget_applications()
            raise PermanentFailure(f"application {there['applicationId']} takes no runs: it is {there['state']}")
        return there

    def _described(self, run_id: str) -> dict[str, Any] | None:
        """None where there is no such run, or none any more."""
        with aws_failures(f"application {self.application}"):
            try:
                answer = self.client.get_job_run(applicationId=self.application, jobRunId=run_id)
                found: dict[str, Any] = answer["jobRun"]
            except self.client.exceptions.ResourceNotFoundException:
                found = {}
        if not found:
            self._described_application()
        return found or None

    def _listed(self, since: datetime) -> Iterator[dict[str, Any]]:
        """Those that were made after ``since``."""
        page: dict[str, Any] = {}
        while True:
            with self._failures():
                answer = self.client.list_job_runs(
                    applicationId=self.application, createdAtAfter=since, maxResults=_PAGE, **page
                )
            yield from answer["jobRuns"]
            if not answer.get("nextToken"):
                return
            page = {"nextToken": answer["nextToken"]}

    def _run(self, said: Mapping[str, Any]) -> Run:
        state, region = _state(said), self.services.aws.region
        return Run(
            run_id=said["jobRunId"],
            state=state,
            said=said["state"],
            message=clipped(said.get("stateDetails") or "", _LONGEST) if state is not RunState.SUCCEEDED else "",
            final=state not in _GOING,
            started_at=said.get("startedAt") or said["createdAt"],
            ended_at=(said.get("endedAt") or said["updatedAt"]) if state not in _GOING else None,
            usage=_usage(said.get("billedResourceUtilization") or {}) if state not in _GOING else {},
            link=f"https://{region}.console.aws.amazon.com/emr/home?region={region}#/serverless",
        )

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """
        Raises:
            PermanentFailure: there is no such application; otherwise as ``aws_failures``.
        """
        with aws_failures(f"application {self.application}"):
            try:
                yield
            except self.client.exceptions.ResourceNotFoundException as e:
                gone = self.application
                forget_applications()
                raise PermanentFailure(
                    f"there is no application {gone} of EMR Serverless: make it, or correct "
                    "ADPLATFORM_SPARK_APPLICATION"
                ) from e


def _state(said: Mapping[str, Any]) -> RunState:
    return _STATES.get(said["state"], RunState.RUNNING)


def _usage(billed: Mapping[str, float]) -> dict[str, Decimal]:
    names = {"vcpu_hours": "vCPUHour", "memory_gb_hours": "memoryGBHour"}
    return {ours: round(Decimal(str(billed[theirs])), 4) for ours, theirs in names.items() if theirs in billed}
