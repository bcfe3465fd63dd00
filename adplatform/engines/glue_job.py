"""A job of AWS Glue as an engine: each of its runs reads one table, as the object that its argument names says."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from adplatform.engines.declared_glue_jobs import PLAN, drift, script_findings
from adplatform.engines.engine import Busy, Claim, Finding, Limits, Run, Started
from adplatform.engines.extractor import Extractor
from adplatform.engines.glue_runs import (
    GOING,
    HISTORY,
    LONGEST,
    LONGEST_RUN,
    GlueRuns,
    argument,
    earliest,
    goes_on,
    state_of,
)
from adplatform.extract.connection import read_credentials
from adplatform.extract.plan import plan_of
from adplatform.extract.table import Table
from adplatform.failures import EnvironmentFailure, clipped
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.ledger.extracts import Extract
from adplatform.platform.aws_errors import aws_failures

_MARK = 32
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True)
class GlueJobEngine:
    """The runs of a job that read one table; ``client`` is one of Glue, ``client_once`` makes one that repeats no call
    by itself. A reading does not begin while one of ``kin`` goes on, targets that read the same table. ``embedded``
    knows the readings from before the job was declared. The job has ``targets`` tables.

    Glue takes no token. A run is known by the plan that its arguments name, which belongs to one intention, and of the
    runs that have the same plan only the first one reads. The manifest of a run is its record of what it wrote.
    """

    services: Services
    table: Table
    client: Any
    client_once: Callable[[], Any]
    embedded: Extractor
    kin: tuple[str, ...] = ()
    targets: int = 1

    @cached_property
    def limits(self) -> Limits:
        return Limits(
            called="glue",
            history=HISTORY,
            patience={
                RunState.UNSEEN: timedelta(minutes=15),
                RunState.WAITING: timedelta(hours=1),
                RunState.RUNNING: timedelta(hours=1),
            },
            replaces=self.table.feed.incremental is None,
        )

    @property
    def job(self) -> str:
        return self.table.declared.job_name

    @property
    def runs(self) -> GlueRuns:
        made = self.table.declared.glue.role
        remedy = "`adplatform provision` makes it" if made else "make it, or correct glue.job"
        return GlueRuns(self.job, self.client, self.client_once, remedy)

    def check(self) -> Sequence[Finding]:
        """Whether the job is there and fit. The table is not looked at: only the job need reach the database, and where
        ``dialect`` is declared only the job need read its secret."""
        declared = self.table.declared
        job = self.runs.described_job()
        found = [*drift(declared, job, self.services.zones, self.targets), *self._connection_findings()]
        found += script_findings(self.services, declared)
        if "?" in _QUOTED.sub("", self.table.feed.where or ""):
            text = f"{self.table.name}: `where` has a ?, which JDBC takes for a parameter: write a function for it"
            found.append(Finding(text))
        return [*found, *self._kind_findings()]

    def _kind_findings(self) -> list[Finding]:
        declared = self.table.declared
        if declared.dialect is not None:
            return []
        try:
            engine = read_credentials(self.services.secrets, declared.connection).engine
        except EnvironmentFailure as e:
            text = f"{e}. Where only the job is to read it, declare `dialect: postgres`"
            return [Finding(text, fatal=False)]
        if engine == "postgres":
            return []
        text = f"the secret {declared.connection} is of {engine}, and Glue reads PostgreSQL: leave `engine` out"
        return [Finding(f"{text}, and workers of this platform read {declared.source}")]

    def _connection_findings(self) -> list[Finding]:
        name = self.table.declared.glue.connection
        if name is None:
            return []
        with aws_failures(f"connection {name}"):
            try:
                self.client.get_connection(Name=name, HidePassword=True)
            except self.client.exceptions.EntityNotFoundException:
                text = f"job {self.job}: there is no connection {name}: make it, or correct glue.connection"
                return [Finding(text)]
        return []

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        key = f"{self._plans}{intention.token(_MARK)}.json"
        plan, runs = self._uri(key), list(self.runs.since(self.services.now() - LONGEST_RUN))
        own = [each for each in runs if _plan(each) == plan and each["Id"] not in others]
        if intention.begun > 1 and own:
            # Of two with the same plan, the later one fails.
            return Started(earliest(own)["Id"], adopted=True)
        watched = tuple(self._uri(self._plans_of(name)) for name in (self.table.feed.name, *self.kin))
        going = next((each for each in runs if goes_on(each) and _plan(each).startswith(watched)), None)
        if going is not None:
            return Busy(going["Id"])
        for each in runs:
            self._noted(each)
        self._put_plan(key)
        declared = self.table.declared
        arguments = {PLAN: plan, "--region": self.client.meta.region_name}
        return self.runs.start(arguments, declared.glue.worker_type, declared.glue.workers, declared.snapshot_max_age)

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        found = dict(self.embedded.observe(run_ids))
        for run_id in run_ids:
            if run_id not in found and (said := self.runs.described(run_id)) is not None:
                found[run_id] = self._run(said)
        return found

    def recent(self, since: datetime) -> Iterator[Run]:
        mine = self._uri(self._plans)
        for said in self.runs.since(since):
            if _plan(said).startswith(mine):
                yield self._run(said)

    def claims(self, run: Run) -> Iterator[Claim]:
        """By the manifest, whoever wrote it; raises as that of ``Extractor``."""
        return self.embedded.claims(run)

    def cancel(self, run_id: str) -> bool:
        said = self.runs.described(run_id)
        if said is None:
            return self.embedded.cancel(run_id)
        return self.runs.stop(said)

    @property
    def _plans(self) -> str:
        return self._plans_of(self.table.feed.name)

    def _plans_of(self, target: str) -> str:
        return self.services.zones.extract_plans(self.table.declared.source, target)

    def _uri(self, key: str) -> str:
        return self.services.zones.raw_uri(key)

    def _put_plan(self, key: str) -> None:
        last = self.services.ledger.extracts.last(self.table.declared.source, self.table.feed.name)
        plan, zones = plan_of(self.table, self.services.zones, last.until if last else ""), self.services.zones
        with aws_failures(key):
            self.services.s3.put_object(
                Bucket=zones.raw_bucket, Key=key, Body=plan.model_dump_json().encode(), **zones.put_arguments
            )

    def _run(self, said: Mapping[str, Any]) -> Run:
        state, row = state_of(said), self._noted(said)
        message = said.get("ErrorMessage") or ""
        if state is RunState.SUCCEEDED and row is None:
            state, message = RunState.FAILED, "it ended without a manifest: is its script adplatform.jobs.read_table?"
        elif state is RunState.SUCCEEDED and said.get("DPUSeconds"):
            message = f"{said['DPUSeconds']:.0f} DPU seconds"
        return Run(
            run_id=said["Id"],
            state=state,
            said=said["JobRunState"],
            message=clipped(message, LONGEST),
            final=state not in GOING,
            started_at=said["StartedOn"],
            ended_at=said.get("CompletedOn") if state not in GOING else None,
            records=row.rows if row else None,
            files=row.files if row else None,
            bytes=row.bytes if row else None,
        )

    def _noted(self, said: Mapping[str, Any]) -> Extract | None:
        """The reading of a run that succeeded, in the ledger from now on; None where it has no manifest.

        The next reading begins where it stopped, and merges ask when it was.
        """
        source, target, id = self.table.declared.source, self.table.feed.name, said["Id"]
        if said["JobRunState"] != "SUCCEEDED" or not _plan(said).startswith(self._uri(self._plans)):
            return None
        extracts, key = (
            self.services.ledger.extracts,
            f"{self.services.zones.extract_manifests(source, target)}{id}.json",
        )
        if (known := extracts.get(source, target, id)) is not None:
            return known
        s3 = self.services.s3
        with aws_failures(key):
            try:
                body = s3.get_object(Bucket=self.services.zones.raw_bucket, Key=key)["Body"].read()
            except s3.exceptions.NoSuchKey:
                return None
        manifest = json.loads(body)
        files = manifest["files"]
        return extracts.note(
            Extract(
                source,
                target,
                id,
                state=RunState.SUCCEEDED,
                day=date.fromisoformat(manifest["day"]),
                generation=1,
                snapshot=manifest["snapshot"],
                seen_from=datetime.fromisoformat(manifest["seen_from"]),
                seen_at=datetime.fromisoformat(manifest["seen_at"]),
                after=manifest["after"],
                until=manifest["until"],
                run_id=id,
                requested_at=said["StartedOn"].astimezone(UTC),
                started_at=said["StartedOn"].astimezone(UTC),
                ended_at=said["CompletedOn"].astimezone(UTC),
                rows=sum(each["rows"] for each in files),
                files=len(files),
                bytes=sum(each["bytes"] for each in files),
                manifest_key=key,
            )
        )


def _plan(said: Mapping[str, Any]) -> str:
    return argument(said, PLAN)
