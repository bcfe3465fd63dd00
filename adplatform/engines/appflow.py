"""Amazon AppFlow as an engine: a flow that writes into the landing zone, with the execution id in its folders.

Facts: AppFlow API reference and user guide.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adplatform.engines.declared_flows import drift
from adplatform.engines.engine import Busy, Claim, Doubtful, Finding, Limits, Run, Started
from adplatform.failures import PermanentFailure, clipped
from adplatform.ledger.engine_run import WROTE, Intention, RunState
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.clock import utc_now

_STOPPING = "CancelStarted"
_STATES = {
    "InProgress": RunState.RUNNING,
    _STOPPING: RunState.RUNNING,
    "Successful": RunState.SUCCEEDED,
    "Error": RunState.FAILED,
    "Canceled": RunState.CANCELLED,
}
_ENDED = frozenset({RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED, RunState.CANCELLED})
_IN_FOLDERS = ("PATH", "PATH_AND_FILENAME")
_WITH_DAYS = ("DAY", "HOUR", "MINUTE")
_PAGE = 100
_LONGEST = 500
"""Characters of what the application says that a run keeps."""
_CLOCKS = timedelta(minutes=5)
"""By how much the clocks of AWS and of the ledger may differ."""


class NoFlow(PermanentFailure):
    """There is no flow of that name."""


@dataclass(frozen=True)
class AppFlow:
    """One flow. ``prefix`` is where in ``bucket`` it has to write, ``declared`` the request that makes it, where YAML
    has that. ``client`` and ``s3`` are boto3 clients."""

    client: Any
    s3: Any
    flow: str
    bucket: str
    prefix: str
    now: Callable[[], datetime] = utc_now
    declared: Mapping[str, Any] | None = None

    limits = Limits(
        called="appflow",
        token=64,
        token_life=timedelta(hours=8),
        history=timedelta(days=30),
        patience={RunState.UNSEEN: timedelta(minutes=15), RunState.RUNNING: timedelta(hours=48)},
    )

    def check(self) -> Sequence[Finding]:
        described = self.describe()
        found = []
        if described["flowStatus"] != "Active":
            said = described.get("flowStatusMessage") or "no reason is given"
            found.append(Finding(f"flow {self.flow} is {described['flowStatus']} ({said}); activate it in AppFlow"))
        for target in described["destinationFlowConfigList"]:
            s3 = target["destinationConnectorProperties"].get("S3")
            if s3 is None:
                found.append(
                    Finding(f"flow {self.flow} writes to {target['connectorType']}; give it S3 as destination")
                )
                continue
            where = f"s3://{s3['bucketName']}/{s3.get('bucketPrefix', '')}"
            wanted = f"s3://{self.bucket}/{self.prefix.rstrip('/')}"
            if where.rstrip("/") != wanted:
                found.append(
                    Finding(f"flow {self.flow} writes to {where}: make one that writes to {wanted} (AppFlow keeps it)")
                )
            prefixes = _prefix_config(s3)
            if "EXECUTION_ID" not in prefixes.get("pathPrefixHierarchy", []):
                found.append(Finding(f"flow {self.flow}: add EXECUTION_ID to pathPrefixHierarchy of its S3 output"))
            if prefixes.get("prefixType") not in _IN_FOLDERS or prefixes.get("prefixFormat") not in _WITH_DAYS:
                found.append(
                    Finding(
                        f"flow {self.flow}: set prefixType PATH and prefixFormat DAY for its S3 output, so that its "
                        "files lie in folders of their dates"
                    )
                )
        if self.declared is not None:
            found += [Finding(f"flow {self.flow}: {each}", fatal=False) for each in drift(self.declared, described)]
        return found

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        again = intention.begun > 1
        begun_at = intention.begun_at or self.now()
        if again and self.now() - begun_at > self.limits.token_life:
            lost = [run for run in self.recent(begun_at - _CLOCKS) if run.run_id not in others]
            if len(lost) == 1:
                return Started(lost[0].run_id, adopted=True)
            raise Doubtful(
                f"flow {self.flow}: a start of {begun_at:%Y-%m-%d %H:%M} UTC had no answer and {len(lost)} runs since "
                "could be it"
            )
        trigger = self.describe()["triggerConfig"]["triggerType"]
        if trigger != "OnDemand":
            raise PermanentFailure(
                f"flow {self.flow} runs by its own {trigger.lower()} trigger, and starting it only activates that: "
                "leave out `every`"
            )
        with self._failures():
            try:
                token = intention.token(self.limits.token)
                answer = self.client.start_flow(flowName=self.flow, clientToken=token)
            except self.client.exceptions.ConflictException:
                going = next((r for r in self._records() if r["executionStatus"] == "InProgress"), None)
                return Busy(going["executionId"] if going else "")
        return Started(answer["executionId"], adopted=again)

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        found: dict[str, Run] = {}
        for record in self._records():
            if record["executionId"] in run_ids:
                found[record["executionId"]] = _run(record)
                if len(found) == len(run_ids):
                    break
        return found

    def recent(self, since: datetime) -> Iterator[Run]:
        for record in self._records():
            if "startedAt" not in record or record["startedAt"] >= since:
                yield _run(record)

    def claims(self, run: Run) -> Iterator[Claim]:
        """What lies in folders of the run's days and of its own id; the date folders come before the execution id, so
        that a day is listed with its other runs."""
        with self._failures():
            for prefix in self._folders(run):
                for found in self._listed(prefix):
                    if f"/{run.run_id}/" in found["Key"]:
                        yield Claim(found["Key"], size=found["Size"])

    def _folders(self, run: Run) -> Iterator[str]:
        """Prefixes below which the run can have written, none below another. Its days are UTC as far as AWS says, so
        the days around them count, too."""
        flow = f"{self.prefix.rstrip('/')}/{self.flow}/"
        versions = [
            each["Prefix"]
            for page in self._pages(flow, Delimiter="/")
            for each in page.get("CommonPrefixes", ())
            if each["Prefix"].startswith(f"{flow}schemaVersion_")
        ]
        first, last = run.started_at or self.now(), run.ended_at or self.now()
        days = [(first + timedelta(days=n)).date() for n in range(-1, (last - first).days + 3)]
        for above in (flow, *versions):
            yield f"{above}{run.run_id}/"
            yield from (f"{above}{day:%Y/%m/%d}/" for day in days)

    def _listed(self, prefix: str) -> Iterator[dict[str, Any]]:
        return (found for page in self._pages(prefix) for found in page.get("Contents", ()))

    def _pages(self, prefix: str, **more: str) -> Iterator[dict[str, Any]]:
        pages: Iterator[dict[str, Any]] = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, **more
        )
        return pages

    def cancel(self, run_id: str) -> bool:
        with self._failures():
            answer = self.client.cancel_flow_executions(flowName=self.flow, executionIds=[run_id])
        if run_id not in answer.get("invalidExecutions", ()):
            return True
        run = self.observe([run_id]).get(run_id)
        if run is None or not (run.final or run.said == _STOPPING):
            raise PermanentFailure(f"flow {self.flow}: AppFlow does not stop run {run_id}, which it calls invalid")
        return not run.final

    def describe(self) -> dict[str, Any]:
        """As DescribeFlow answers."""
        with self._failures():
            described: dict[str, Any] = self.client.describe_flow(flowName=self.flow)
        return described

    def _records(self) -> Iterator[dict[str, Any]]:
        """All of them: AWS promises no order."""
        page: dict[str, Any] = {}
        with self._failures():
            while True:
                answer = self.client.describe_flow_execution_records(flowName=self.flow, maxResults=_PAGE, **page)
                yield from answer.get("flowExecutions", ())
                if not answer.get("nextToken"):
                    return
                page = {"nextToken": answer["nextToken"]}

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """
        Raises:
            NoFlow: there is no such flow; otherwise as ``aws_failures``.
        """
        with aws_failures(f"flow {self.flow}"):
            try:
                yield
            except self.client.exceptions.ResourceNotFoundException as e:
                region = self.client.meta.region_name
                raise NoFlow(f"there is no flow {self.flow} in {region}: make it, or correct `flow`") from e


def _prefix_config(s3: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = (s3.get("s3OutputFormatConfig") or {}).get("prefixConfig") or {}
    return config


def _run(record: Mapping[str, Any]) -> Run:
    said = record["executionStatus"]
    result = record.get("executionResult") or {}
    error = result.get("errorInfo") or {}
    failed = error.get("putFailuresCount") or 0
    state = _STATES.get(said, RunState.RUNNING)
    if state is RunState.SUCCEEDED and failed:
        state = RunState.PARTIAL
    return Run(
        run_id=record["executionId"],
        state=state,
        said=said,
        message=clipped(error.get("executionMessage", ""), _LONGEST),
        final=state in _ENDED,
        started_at=record.get("startedAt"),
        ended_at=record.get("lastUpdatedAt") if state in _ENDED else None,
        window_start=record.get("dataPullStartTime"),
        window_end=record.get("dataPullEndTime"),
        records=result.get("recordsProcessed") if state in WROTE else None,
        bytes=result.get("bytesWritten"),
        failed=failed,
    )
