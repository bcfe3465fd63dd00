"""The care of a source's tables: jobs that collect replaced versions and compare the catalog with the ledger."""

import logging
from collections.abc import Callable

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.components.assembly.automation import unless_paused
from adplatform.components.assembly.ownership import automated
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import SOURCE_TAG, at_work, work_ended
from adplatform.engines.runs import Watch
from adplatform.engines.watches import engine_watches
from adplatform.flow.collection import collect_source, compare_recent
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.resources.named import (
    CatalogResource,
    EnginesResource,
    LedgerResource,
    MachineResource,
    NotificationsResource,
    services_of,
)

log = logging.getLogger(__name__)


Watching = Callable[[Services], Watch]


def care_schedules(
    source: Source, status: dg.DefaultScheduleStatus, watch: Watching | None = None
) -> list[dg.ScheduleDefinition]:
    """What every source has for its tables, and for the runs of engines that ``watch`` follows, if there are any."""
    return [collection_schedule(source, status, watch), comparison_schedule(source, status)]


def collection_schedule(
    source: Source, status: dg.DefaultScheduleStatus, watch: Watching | None = None
) -> dg.ScheduleDefinition:
    """Removes replaced versions of the source's tables once a day, mends their path copies, and forgets old runs."""

    def collect_versions(services: Services, run_id: str) -> None:
        for flow, collected in collect_source(services, source, run_id):
            log.info("%s: removed %s, repaired %s", flow.table, collected.removed, collected.repaired)
            if collected.originals:
                log.info("%s: removed %s originals that are merged", flow.table, collected.originals)
            if collected.compared.unclear:
                log.error("%s: nothing was removed: %s", flow.table, "; ".join(collected.compared.unclear))
        for followed in (
            *engine_watches(services, source),
            *([watch(services)] if watch else []),
        ):
            if rows := followed.forget():
                log.info("%s: forgot %s rows of runs of long ago", source.name, rows)

    job = _job(source, "collect", collect_versions, f"Removes replaced versions of the tables of {source.name}.")
    return _schedule(source, job, "daily", "17 3 * * *", status)


def comparison_schedule(source: Source, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Compares the catalog with what the ledger says was published lately, and repairs what a late write changed."""

    def compare_catalog(services: Services, run_id: str) -> None:
        for flow, compared in compare_recent(services, source, run_id):
            log.info("%s: repaired %s, to look at %s", flow.table, compared.repaired, compared.to_report)

    job = _job(source, "compare", compare_catalog, f"Repairs what a late write made of the tables of {source.name}.")
    return _schedule(source, job, "hourly", "41 * * * *", status)


def _job(source: Source, name: str, work: Callable[[Services, str], None], description: str) -> dg.JobDefinition:
    """A job of one op that does ``work`` with the services and its run's id."""

    @dg.op(name=f"{source.name}_{work.__name__}")
    @step_of(source.pattern)
    def step(
        context: dg.OpExecutionContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        catalog: CatalogResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        engines: EnginesResource,
        machine: MachineResource,
    ) -> None:
        services = services_of(s3, secrets, catalog, ledger, notifications, engines, machine)
        with at_work(context, services.ledger, context.op.name):
            work(services, context.run.run_id)
        work_ended(context, services.ledger, context.op.name)

    @dg.job(name=f"{source.name}_{name}", description=description, tags={SOURCE_TAG: source.name})
    def whole() -> None:
        step()

    return whole


def _schedule(
    source: Source, job: dg.JobDefinition, often: str, cron: str, status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{job.name}_{often}",
        job=job,
        cron_schedule=cron,
        description=job.description,
        execution_timezone="UTC",
        default_status=status,
    )
    @automated
    @unless_paused(source.name)
    def run(context: dg.ScheduleEvaluationContext, ledger: LedgerResource) -> dg.RunRequest:
        return dg.RunRequest()

    return run
