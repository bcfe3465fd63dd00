"""An engine for transforms whose runs are carried out here: what a run is given and what it leaves are as those of
Spark, the bytes are moved, and what is known of runs is in the raw bucket, so that it outlives a process."""

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.engines.engine import Busy, Claim, Finding, Limits, Run, Started
from adplatform.engines.spark_work import SparkLook, look_at_spark
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile
from adplatform.files.input_file import InputFile
from adplatform.files.unpack import unpack
from adplatform.flow.delivery import judge, land, publish, working
from adplatform.flow.engine_work import Given, output_prefix, plan_key
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.transforms import by_engine
from adplatform.flow.verdicts import require_no_bad_file
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.ledger.publications import Publication
from adplatform.platform.aws import Aws
from adplatform.platform.settings import Settings
from adplatform.privacy.keys import fetch_key
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.job_plan import OUTPUT, PLAN, RESULT, JobPlan, JobResult, ReportedFile, WrittenFile
from adplatform.transform.values import OutputColumn, StagedFile

_RUNS = "test-engine/"
Job = Callable[[Services, str, str], None]
"""Carries out the plan of that key and writes below that prefix."""


@dataclass(frozen=True)
class JobEngine:
    """The runs of one target. ``starts`` is what becomes of calls, which may fail."""

    services: Services
    source: str
    target: str
    starts: Callable[[], None] = field(default=lambda: None)

    limits = Limits(called="jobs", token=32, token_life=timedelta(days=1))

    @property
    def _prefix(self) -> str:
        return f"{_RUNS}{self.source}/{self.target}/"

    def check(self) -> Sequence[Finding]:
        return []

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        run_id = f"run-{intention.token(8)}"
        known = run_id in self.observe([run_id])
        if not known:
            self.write(
                {
                    "id": run_id,
                    "state": "running",
                    "plan": plan_key(intention),
                    "output": output_prefix(intention),
                    "started": self.services.now().isoformat(),
                }
            )
        self.starts()
        return Started(run_id, adopted=known)

    def write(self, row: Mapping[str, str]) -> None:
        self.services.s3.put_object(
            Bucket=self.services.zones.raw_bucket, Key=f"{self._prefix}{row['id']}.json", Body=json.dumps(row).encode()
        )

    def rows(self) -> list[dict[str, str]]:
        raw, s3 = self.services.zones.raw_bucket, self.services.s3
        found = [each.key for each in self.services.store.listing(raw, self._prefix)]
        return [json.loads(s3.get_object(Bucket=raw, Key=key)["Body"].read()) for key in found]

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        return {row["id"]: self._run(row) for row in self.rows() if row["id"] in run_ids}

    def recent(self, since: datetime) -> Iterator[Run]:
        return (run for run in map(self._run, self.rows()) if run.started_at and run.started_at > since)

    def claims(self, run: Run) -> Iterator[Claim]:
        return iter(())

    def cancel(self, run_id: str) -> bool:
        row = next(row for row in self.rows() if row["id"] == run_id)
        if row["state"] != "running":
            return False
        self.write({**row, "state": "cancelled", "ended": self.services.now().isoformat()})
        return True

    def _run(self, row: Mapping[str, str]) -> Run:
        ended = datetime.fromisoformat(row["ended"]) if "ended" in row else None
        return Run(
            row["id"],
            RunState(row["state"]),
            row["state"].upper(),
            row.get("message", ""),
            final=ended is not None,
            started_at=datetime.fromisoformat(row["started"]),
            ended_at=ended,
            usage={"dpu_hours": Decimal("1.25")} if ended else {},
            link=f"https://console.example.com/{row['id']}",
        )


def carry_out(services: Services, source: str, target: str, job: Job | None = None, *, fails: str = "") -> int:
    """Carry out the runs that were started and not ended; how many. ``fails`` is what they say instead."""
    engine, done = JobEngine(services, source, target), 0
    for row in engine.rows():
        if row["state"] == "running":
            if not fails:
                (job or by_duckdb)(services, row["plan"], row["output"])
            state = {"state": "failed", "message": fails} if fails else {"state": "succeeded"}
            engine.write({**row, **state, "ended": (services.now() + timedelta(minutes=3)).isoformat()})
            done += 1
    return done


def look(services: Services, source: Source, starts: Callable[[], None] = lambda: None) -> SparkLook:
    def engine_of(services: Services, name: str, target: str) -> JobEngine:
        return JobEngine(services, name, target, starts)

    return look_at_spark(services, source, engine_of=engine_of)


def by_nothing(services: Services, plan: str, output: str) -> None:
    """A job that ends well and leaves nothing."""


def by_duckdb(services: Services, plan: str, output: str) -> None:
    """What the Spark job does, by the embedded engine."""
    raw, s3 = services.zones.raw_bucket, services.s3
    given = JobPlan.model_validate_json(s3.get_object(Bucket=raw, Key=plan)["Body"].read())
    with TemporaryDirectory() as folder:
        result = _result(services, given, output, Path(folder))
    s3.put_object(Bucket=raw, Key=f"{output}{RESULT}", Body=result.model_dump_json().encode())


def _result(services: Services, plan: JobPlan, output: str, work: Path) -> JobResult:
    digests: dict[str, str] = {}
    bad: list[ReportedFile] = []
    files: list[InputFile] = []
    (work / "received").mkdir()
    for planned in plan.files:
        local = work / "received" / f"{planned.ordinal}.file"
        bucket, _, key = planned.uri.removeprefix("s3://").partition("/")
        version = {"VersionId": planned.version} if planned.version else {}
        body = services.s3.get_object(Bucket=bucket, Key=key, **version)["Body"].read()
        assert len(body) == planned.size
        local.write_bytes(body)
        digests[planned.origin] = sha256(body).hexdigest()
        try:
            files += unpack(
                local, planned.origin, plan.contract.format, local.parent, len(files), plan.limits, planned.received
            )
        except BadFile as e:
            bad.append(ReportedFile(origin=e.origin, reason=e.reason, message=e.message))
    if bad and plan.bad_file == "refuse":
        return JobResult(contract=plan.contract, bad=tuple(bad), sha256=digests)
    key = fetch_key(services.secrets, plan.key_secret) if plan.key_secret else None
    if key is not None and key.id != plan.key_id:
        return JobResult(contract=plan.contract, failure="the hashing key was replaced", sha256=digests)
    try:
        made = transform(plan.contract, files, plan.day, key, work / "made", EngineLimits(), reserved=plan.reserved)
    except BadFile as e:
        told = ReportedFile(origin=e.origin, reason=e.reason, message=e.message)
        return JobResult(contract=plan.contract, bad=(told,), sha256=digests)
    except PermanentFailure as e:
        return JobResult(contract=plan.contract, failure=str(e), sha256=digests)
    written = []
    for number, file in enumerate(made.files):
        assert isinstance(file, StagedFile)
        written.append(_written(services, file, f"{output}clean/{number}.parquet"))
    aside = []
    if made.quarantine is not None:
        rows = StagedFile(made.quarantine, "", made.quarantined)
        aside = [_written(services, rows, f"{output}quarantine/0.parquet")]
    return JobResult(
        contract=plan.contract,
        clean=tuple(written),
        quarantine=tuple(aside),
        counts=made.counts,
        reasons=made.reasons,
        refused=made.refused,
        bad=tuple(bad),
        line_breaks=made.line_breaks,
        withheld=made.withheld,
        evolved=made.evolved,
        lacking=made.lacking,
        sha256=digests,
        skipped={},
    )


def _written(services: Services, file: StagedFile, key: str) -> WrittenFile:
    services.s3.upload_file(str(file.path), services.zones.raw_bucket, key)
    return WrittenFile(uri=services.zones.raw_uri(key), size=file.size, rows=file.rows, partition=file.partition)


def with_spark(services: Services) -> Services:
    """The same services where the platform has a Spark."""
    return replace(services, settings=replace(services.settings, spark="glue"))


SCRIPT = b"from adplatform_tests.support.transform_jobs import main\n\nmain()\n"
"""What a run of an engine of the embedded AWS executes in the place of Spark's job."""


def main() -> None:
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    bucket, _, plan = given[PLAN].removeprefix("s3://").partition("/")
    settings = Settings(env="aws", home=Path(), raw_bucket=bucket)
    by_duckdb(Services(settings, Aws(given["--region"])), plan, given[OUTPUT].removeprefix(f"s3://{bucket}/"))


def transform_or_give(
    services: Services, flow: FeedFlow, day: date, run_id: str, temp: Path
) -> tuple[Publication, tuple[OutputColumn, ...]] | Given:
    """What both steps of a run of the delivery do, with a directory of its own below ``temp``."""
    with working(services, flow, day, run_id, TemporaryDirectory(dir=temp)) as begun:
        require_no_bad_file(flow, land(begun))
        made = by_engine(begun)
        if isinstance(made, Given):
            return made
        return publish(begun, judge(begun, made=made), made)
