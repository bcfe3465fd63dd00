"""Readings of database tables in Dagster: the job that reads one, asked for by the sensor of its source."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.components.assembly.automation import Automation, Extended, Looking, Tick
from adplatform.components.assembly.runs import FEED_TAG, NOTIFIED_TAG, at_work, runs_of, say_of, work_ended
from adplatform.contracts.database import DatabaseSource
from adplatform.extract.due import extracts_due
from adplatform.extract.extraction import extract
from adplatform.extract.table import Table
from adplatform.failures import ClaimLost, PermanentFailure, TransientFailure
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.tried import failed
from adplatform.ledger.engine_run import RunState
from adplatform.ledger.extracts import Extract
from adplatform.resources.named import LedgerResource, MachineResource, services_of

EXTRACT_TAG = "adplatform/extract"


def _extracts_name(source: str) -> str:
    return f"{source}_extract"


def _tables_name(source: str) -> str:
    return f"{source}_tables"


def with_extracts(automation: Automation, declared: DatabaseSource) -> Automation:
    """The automation of a database's tables, with the runs that read them."""
    return Extended(automation, partial(_look, declared))


def _look(
    declared: DatabaseSource, automation: Automation, services: Services, instance: dg.DagsterInstance, how: Looking
) -> Tick:
    tick = automation.look(services, instance, how)
    tables = {feed.name for feed in declared.feeds}
    due = extracts_due(services.ledger, declared.source, tables, runs_of(services.ledger, instance))
    deliveries = (each.with_replaced_attrs(job_name=_tables_name(declared.source)) for each in tick.requests)
    return replace(tick, requests=(*map(_request, due), *deliveries))


def _request(row: Extract) -> dg.RunRequest:
    tags = {EXTRACT_TAG: f"{row.target}/{row.id}", FEED_TAG: row.name}
    return dg.RunRequest(job_name=_extracts_name(row.source), run_key=row.run_key, tags=tags)


def database_jobs(declared: DatabaseSource, assets: Sequence[dg.AssetsDefinition]) -> list[Any]:
    """What the sensor of a database starts: readings of its tables, and what becomes of them."""
    return [extract_job(declared), dg.define_asset_job(_tables_name(declared.source), selection=list(assets))]


def extract_job(declared: DatabaseSource) -> dg.JobDefinition:
    """Reads one table that a run is wanted of into the raw zone."""

    @dg.op(name=f"{declared.source}_read_table", pool=f"extract_{declared.source}")
    def read_table(
        context: dg.OpExecutionContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        ledger: LedgerResource,
        machine: MachineResource,
    ) -> None:
        services = services_of(s3, secrets, ledger, machine)
        with at_work(context, services.ledger, context.op.name):
            _read(context, services, declared)
            work_ended(context, services.ledger, context.op.name)

    @dg.job(
        name=_extracts_name(declared.source),
        description=f"Reads a table of {declared.source} into the raw zone, in chunks of one view of the database.",
        tags={"adplatform/source": declared.source},
    )
    def extract_tables() -> None:
        read_table()

    return extract_tables


def _read(context: dg.OpExecutionContext, services: Services, declared: DatabaseSource) -> None:
    target, _, id = context.run.tags.get(EXTRACT_TAG, "").partition("/")
    feed = next((feed for feed in declared.feeds if feed.name == target), None)
    extracts = services.ledger.extracts
    row = extracts.get(declared.source, target, id) if feed else None
    if feed is None or row is None:
        raise dg.Failure(
            "no reading is wanted of this run: `adplatform engines start` wants one, and its run follows",
            allow_retries=False,
        )
    claimed = None if row.ended or row.run_id else extracts.claim(row, context.run.run_id)
    if claimed is None:
        context.log.info("%s: another run has the reading, or has ended it", row.name)
        return
    last = next((e for e in extracts.known(row.source, row.target) if e.state is RunState.SUCCEEDED), None)
    try:
        with private_directory(services.settings.temp, context.run.run_id) as folder:
            done = extract(services, Table(declared, feed), claimed, last, folder)
    except (PermanentFailure, TransientFailure) as e:
        after = failed(extracts, extracts.get(row.source, row.target, row.id) or claimed, e, services.ledger.now())
        if after is None:
            raise ClaimLost(f"{row.name}: another run has the reading; this one stops") from e
        # People hear of it by the engine's run, whose state this is.
        say_of(context.instance, context.run.run_id, {NOTIFIED_TAG: "by the ledger"})
        raise dg.Failure(f"{row.name}: {e}{_next(after)}", allow_retries=False) from e
    context.log.info("%s: %s rows in %s files of view %s", done.name, done.rows, done.files, done.snapshot or "-")


def _next(after: Extract) -> str:
    if after.ended:
        return ""
    return f"; tried again from {after.not_before:%Y-%m-%d %H:%M} UTC" if after.not_before else "; tried again"
