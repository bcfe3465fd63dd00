"""AWS DataSync as an engine: a task that copies another store's files into the landing zone, and reports each file.

Facts: DataSync API reference and user guide ("Task reports").
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from adplatform.engines.declared_tasks import DeclaredTask, drift
from adplatform.engines.engine import Busy, Claim, Finding, Limits, Run, Started
from adplatform.engines.task_locations import agent_findings, agents_of, location_uris
from adplatform.engines.task_reports import TaskReport
from adplatform.failures import PermanentFailure, clipped
from adplatform.ledger.engine_run import WROTE, Intention, RunState
from adplatform.platform.aws_errors import aws_failures

MARK = "adplatform:intention"
"""The tag of an execution that names its intention: DataSync takes no client token."""
_STOPPING = "CANCELLING"
_STATES = {
    "QUEUED": RunState.WAITING,
    "LAUNCHING": RunState.WAITING,
    "PREPARING": RunState.RUNNING,
    "TRANSFERRING": RunState.RUNNING,
    "VERIFYING": RunState.RUNNING,
    _STOPPING: RunState.RUNNING,
    "SUCCESS": RunState.SUCCEEDED,
    "ERROR": RunState.FAILED,
}
_ENDED = frozenset({"SUCCESS", "ERROR"})
_LONGEST_MARK = 32
_CLOCKS = timedelta(seconds=10)
"""By how much the clocks of DataSync and of S3 may differ."""
LONGEST_MESSAGE = 500
"""Characters of what AWS says of an execution that are kept."""


def remembers_nothing(_: Collection[str]) -> Mapping[str, Run]:
    return {}


@dataclass(frozen=True)
class DataSync:
    """One task, by its ARN or its name. ``prefix`` is where in ``bucket`` it has to write, ``declared`` what makes
    it, where YAML has that. ``client`` and ``s3`` are boto3 clients, and ``client_once`` makes one that asks once: what
    a client repeats by itself because an answer was lost would queue another execution.

    AWS lists executions with no more than their state, in no order that it promises, and describes them one by one.
    ``remembered`` gives those of the ended ones that somebody has kept, and ``final`` keeps all of them.
    """

    client: Any
    s3: Any
    named: str
    bucket: str
    prefix: str
    final: dict[str, Run] = field(default_factory=dict)
    remembered: Callable[[Collection[str]], Mapping[str, Run]] = remembers_nothing
    declared: DeclaredTask | None = None
    client_once: Callable[[], Any] | None = None

    limits = Limits(
        called="datasync",
        history=timedelta(days=30),
        patience={
            RunState.UNSEEN: timedelta(minutes=15),
            RunState.WAITING: timedelta(hours=1),
            RunState.RUNNING: timedelta(hours=48),
            # It has ended, and its report is to come.
            **dict.fromkeys((RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED), timedelta(hours=2)),
        },
        proves_files=True,
        tells_cancelled=False,
    )

    @cached_property
    def task(self) -> str:
        """Its ARN.

        Raises:
            PermanentFailure: no task has the name, or several have.
        """
        if self.named.startswith("arn:"):
            return self.named
        with aws_failures(f"task {self.named}"):
            pages = self.client.get_paginator("list_tasks").paginate()
            found = [str(t["TaskArn"]) for page in pages for t in page["Tasks"] if t.get("Name") == self.named]
        if len(found) != 1:
            raise PermanentFailure(
                self._missing
                if not found
                else f"{len(found)} tasks are called {self.named}: give the ARN of one as `task`"
            )
        return found[0]

    def check(self) -> Sequence[Finding]:
        task = self._task()
        found = []
        if task["Status"] == "UNAVAILABLE":
            why = task.get("ErrorDetail", "is its agent offline?")
            found.append(Finding(f"task {self.named} is unavailable ({clipped(why, LONGEST_MESSAGE)})"))
        schedule = task.get("ScheduleDetails") or {}
        if schedule.get("DisabledBy") == "SERVICE":
            reason = clipped(schedule.get("DisabledReason", "no reason is given"), LONGEST_MESSAGE)
            text = f"task {self.named}: DataSync disabled its schedule ({reason}); enable it"
            found.append(Finding(text, fatal=False))
        with self._failures():
            uris, source = location_uris(self.client), task["SourceLocationArn"]
            agents = agents_of(self.client, source, uris.get(source, ""))
            found += agent_findings(self.client, self.named, agents)
        destination = task["DestinationLocationArn"]
        where, wanted = uris.get(destination, destination), f"s3://{self.bucket}/{self.prefix}"
        if where.rstrip("/") != wanted.rstrip("/"):
            found.append(Finding(f"task {self.named} writes to {where}: make one that writes to {wanted}"))
        if (task.get("Options") or {}).get("PreserveDeletedFiles") == "REMOVE":
            found.append(
                Finding(f"task {self.named} would delete in the landing zone: set PreserveDeletedFiles to PRESERVE")
            )
        report = task.get("TaskReportConfig") or {}
        if (report.get("OutputType"), report.get("ReportLevel")) != ("STANDARD", "SUCCESSES_AND_ERRORS"):
            found.append(Finding(f"task {self.named}: let it write a standard report of successes and errors"))
        elif report.get("ObjectVersionIds") != "INCLUDE":
            found.append(Finding(f"task {self.named}: let its report include version ids", fatal=False))
        if self.declared is not None:
            differences = drift(self.declared, task, uris, agents)
            found += [Finding(f"task {self.named}: {each}", fatal=False) for each in differences]
        return found

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        mark = intention.token(_LONGEST_MARK)
        with self._failures():
            for execution in self._executions():
                arn = execution["TaskExecutionArn"]
                if intention.begun > 1 and arn not in others and self._mark(arn) == mark:
                    return Started(arn, adopted=True)
                if execution["Status"] not in _ENDED:
                    return Busy(arn)
            once = self.client_once() if self.client_once else self.client
            answer = once.start_task_execution(TaskArn=self.task, Tags=[{"Key": MARK, "Value": mark}])
        return Started(answer["TaskExecutionArn"])

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        with self._failures():
            there = {execution["TaskExecutionArn"] for execution in self._executions()}
            return {run_id: self._run(run_id) for run_id in run_ids if run_id in there}

    def recent(self, since: datetime) -> Iterator[Run]:
        with self._failures():
            listed = list(self._executions())
        ended = {each["TaskExecutionArn"] for each in listed if each["Status"] in _ENDED}
        if unknown := ended - self.final.keys():
            self.final.update(self.remembered(unknown))
        for execution in listed:
            with self._failures():
                run = self._run(execution["TaskExecutionArn"])
            if run.started_at is None or run.started_at >= since:
                yield run

    def claims(self, run: Run) -> Iterator[Claim]:
        """What the report says was transferred, of a failed execution, too: the exact version of each object where it
        has that, and whether it failed its verification. Where a success has no report, whatever was written while the
        execution went on; what a failed one without a report wrote cannot be told from what it began to write."""
        files = list(self.report(run.run_id).files("Transferred", "Verified"))
        reported = [file for file in files if file.kind == "Transferred"]
        damaged = {file.path for file in files if file.kind == "Verified" and not file.succeeded}
        if not reported and run.files and run.started_at and run.state in WROTE:
            yield from self._written_between(run.started_at, run.ended_at)
        for file in reported:
            if file.succeeded:
                fault = "failed their verification" if file.path in damaged else ""
                yield Claim(f"{self.prefix}{file.path}", file.version, file.size, fault)

    def report(self, run_id: str) -> TaskReport:
        """The report of an execution, at the place that its start said."""
        task = self._task()
        with self._failures():
            said = self.client.describe_task_execution(TaskExecutionArn=run_id)
        return TaskReport(self.s3, said.get("TaskReportConfig") or {}, task.get("Name", ""), run_id)

    def cancel(self, run_id: str) -> bool:
        with self._failures():
            run = self._run(run_id)
            if run.said in _ENDED or run.said == _STOPPING:
                return run.said == _STOPPING
            try:
                self.client.cancel_task_execution(TaskExecutionArn=run_id)
            except self.client.exceptions.InvalidRequestException:
                if self._described(run_id).said not in _ENDED:
                    raise
                return False
        return True

    def _written_between(self, start: datetime, end: datetime | None) -> Iterator[Claim]:
        with self._failures():
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
            for found in (each for page in pages for each in page.get("Contents", ())):
                written = found["LastModified"]
                if written >= start - _CLOCKS and (end is None or written <= end + _CLOCKS):
                    yield Claim(found["Key"], size=found["Size"])

    def _task(self) -> dict[str, Any]:
        with self._failures():
            described: dict[str, Any] = self.client.describe_task(TaskArn=self.task)
        return described

    def _executions(self) -> Iterator[dict[str, Any]]:
        for page in self.client.get_paginator("list_task_executions").paginate(TaskArn=self.task):
            yield from page["TaskExecutions"]

    def _mark(self, execution: str) -> str:
        pages = self.client.get_paginator("list_tags_for_resource").paginate(ResourceArn=execution)
        return next((tag["Value"] for page in pages for tag in page["Tags"] if tag["Key"] == MARK), "")

    def _run(self, run_id: str) -> Run:
        if run_id not in self.final:
            run = self._described(run_id)
            if not run.final:
                return run
            self.final[run_id] = run
        return self.final[run_id]

    def _described(self, run_id: str) -> Run:
        said = self.client.describe_task_execution(TaskExecutionArn=run_id)
        result, report = said.get("Result") or {}, said.get("ReportResult") or {}
        state, ended = _STATES.get(said["Status"], RunState.RUNNING), said["Status"] in _ENDED
        failed = sum((said.get("FilesFailed") or {}).values())
        if state is RunState.SUCCEEDED and (failed or report.get("Status") == "ERROR"):
            state = RunState.PARTIAL
        reasons = (result.get("ErrorCode"), result.get("ErrorDetail"), report.get("ErrorDetail"))
        return Run(
            run_id=run_id,
            state=state,
            said=said["Status"],
            message=clipped(" ".join(filter(None, reasons)), LONGEST_MESSAGE),
            # The report is written after the end, and says what was transferred.
            final=ended and report.get("Status") != "PENDING",
            started_at=said.get("StartTime"),
            ended_at=said.get("EndTime") if ended else None,
            files=said.get("FilesTransferred"),
            bytes=said.get("BytesTransferred"),
            failed=failed,
        )

    @property
    def _missing(self) -> str:
        how = "make it, or correct `task`" if self.declared is None else "`adplatform provision` makes it"
        return f"there is no task {self.named}: {how}"

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """
        Raises:
            PermanentFailure: there is no such task; otherwise as ``aws_failures``.
        """
        with aws_failures(f"task {self.named}"):
            try:
                yield
            except self.client.exceptions.InvalidRequestException as e:
                said = str(e.response["Error"].get("Message", ""))
                if "not found" in said.lower() or "does not exist" in said.lower():
                    raise PermanentFailure(f"{self._missing} ({said})") from e
                raise
