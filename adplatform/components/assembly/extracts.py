"""Readings by our own workers in Dagster: the job that does one, asked for by the sensor of its source."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.components.assembly.automation import Automation, Extended, Looking, Tick
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import (
    FEED_TAG,
    NOTIFIED_TAG,
    SOURCE_TAG,
    at_work,
    runs_of,
    say_of,
    work_ended,
)
from adplatform.contracts.database import DatabaseSource
from adplatform.extract.due import extracts_due
from adplatform.extract.extraction import extract
from adplatform.extract.table import Table
from adplatform.failures import ClaimLost, PermanentFailure, TransientFailure, unnamed
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.tried import failed
from adplatform.ledger.extracts import Extract
from adplatform.resources.named import LedgerResource, MachineResource, services_of

EXTRACT_TAG = "adplatform/extract"


@dataclass(frozen=True)
class Readings:
    """What workers of this platform read of a source. ``read`` does what a row wants, given the row, the one of its
    target that succeeded last, and an empty folder. ``pattern`` is that of the declaration, ``kind`` is
    what one brings, such as "table"; ``how`` says for people how that comes."""

    source: str
    pattern: str
    targets: Collection[str]
    kind: str
    how: str
    read: Callable[[Services, Extract, Extract | None, Path], Extract]

    @property
    def job(self) -> str:
        """The job that reads."""
        return f"{self.source}_extract"


def table_readings(declared: DatabaseSource) -> Readings:
    """Those of a database."""
    feeds = {feed.name: feed for feed in declared.feeds}

    def read(services: Services, row: Extract, last: Extract | None, folder: Path) -> Extract:
        return extract(services, Table(declared, feeds[row.target]), row, last, folder)

    return Readings(declared.source, declared.pattern, feeds, "table", "in chunks of one view of the database", read)


def with_extracts(automation: Automation, readings: Readings) -> Automation:
    """The automation of a source, with the runs that read it."""
    return Extended(automation, partial(_look, readings))


def _look(
    readings: Readings, automation: Automation, services: Services, instance: dg.DagsterInstance, how: Looking
) -> Tick:
    tick = automation.look(services, instance, how)
    due = extracts_due(services.ledger, readings.source, readings.targets, runs_of(services.ledger, instance))
    return replace(tick, requests=(*(_request(readings, row) for row in due), *tick.requests))


def _request(readings: Readings, row: Extract) -> dg.RunRequest:
    tags = {EXTRACT_TAG: f"{row.target}/{row.id}", FEED_TAG: row.name}
    return dg.RunRequest(job_name=readings.job, run_key=row.run_key, tags=tags)


def extract_job(readings: Readings) -> dg.JobDefinition:
    """Reads what a run is wanted of into the raw zone."""

    @dg.op(name=f"{readings.source}_read_{readings.kind}", pool=f"extract_{readings.source}")
    @step_of(readings.pattern)
    def read(
        context: dg.OpExecutionContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        ledger: LedgerResource,
        machine: MachineResource,
    ) -> None:
        services = services_of(s3, secrets, ledger, machine)
        with at_work(context, services.ledger, context.op.name):
            _read(context, services, readings)
            work_ended(context, services.ledger, context.op.name)

    @dg.job(
        name=readings.job,
        description=f"Reads a {readings.kind} of {readings.source} into the raw zone, {readings.how}.",
        tags={SOURCE_TAG: readings.source},
    )
    def extract_all() -> None:
        read()

    return extract_all


def _read(context: dg.OpExecutionContext, services: Services, readings: Readings) -> None:
    target, _, id = context.run.tags.get(EXTRACT_TAG, "").partition("/")
    extracts = services.ledger.extracts
    row = extracts.get(readings.source, target, id) if target in readings.targets else None
    if row is None:
        raise dg.Failure(
            "no reading is wanted of this run: `adplatform engines start` wants one, and its run follows",
            allow_retries=False,
        )
    claimed = None if row.ended or row.run_id else extracts.claim(row, context.run.run_id)
    if claimed is None:
        context.log.info("%s: another run has the reading, or has ended it", row.name)
        return
    last = extracts.last(row.source, row.target)
    try:
        with private_directory(services.settings.temp, context.run.run_id) as folder:
            done = readings.read(services, claimed, last, folder)
    except (PermanentFailure, TransientFailure) as e:
        after = failed(extracts, extracts.get(row.source, row.target, row.id) or claimed, e, services.ledger.now())
        if after is None:
            raise ClaimLost(f"{row.name}: another run has the reading; this one stops") from None
        # People hear of it by the engine's run, whose state this is.
        say_of(context.instance, context.run.run_id, {NOTIFIED_TAG: "by the ledger"})
        # Dagster shows causes, too, and they name files where the text does: the ledger has all of it.
        said = unnamed(str(e))
        raise dg.Failure(f"{row.name}: {said}{_next(after)}", allow_retries=False) from (e if said == str(e) else None)
    context.log.info("%s: %s rows in %s files, %s bytes", done.name, done.rows, done.files, done.bytes)


def _next(after: Extract) -> str:
    if after.ended:
        return ""
    return f"; tried again from {after.not_before:%Y-%m-%d %H:%M} UTC" if after.not_before else "; tried again"
