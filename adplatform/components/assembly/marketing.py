"""The asset of a marketing fact, and what starts its runs. A run of the sensor builds every date that is due; a run
that somebody starts builds its partitions."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.components.assembly.arrivals import run_tags
from adplatform.components.assembly.automation import Automation, Looking, Tick, source_sensor
from adplatform.components.assembly.care import care_schedules
from adplatform.components.assembly.crawls import with_crawls
from adplatform.components.assembly.delivery_assets import (
    AUDITS,
    SUSPICION,
    audit_evaluation,
    clean_key,
    consumer_checks,
    delivery_partitions,
    note_hindrance,
    shown_findings,
)
from adplatform.components.assembly.fact_assets import FACT_TAG, MOST_OF_A_RUN
from adplatform.components.assembly.metadata import DATA_VERSION_TAG, clean_metadata, declared_table, topic_metadata
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import (
    AHEAD,
    RANGE_END,
    RANGE_START,
    SOURCE_TAG,
    at_work,
    may_start,
    note_failure,
    returns,
    runs_of,
    work_ended,
)
from adplatform.components.assembly.specs import AssetSpecHook, tags_of, unchanged, with_hook
from adplatform.components.assembly.workloads import with_workloads, workload_assets
from adplatform.contracts.marketing import FactTable, MarketingSource
from adplatform.failures import ClaimLost, PermanentFailure, TransientFailure, clipped, listed
from adplatform.flow.automation_names import step_name
from adplatform.flow.notices import notify_stuck
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.leases import LeaseHeld
from adplatform.ledger.publications import Publication
from adplatform.marketing.build import EQUALS_INPUTS, INPUTS_PRESENT, RATES_KNOWN, Due, build, built, due
from adplatform.marketing.fact import Fact, worth_of
from adplatform.marketing.inputs import Inputs, look_at_inputs
from adplatform.marketing.pattern import MadeOfOthers
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.settings import read_settings
from adplatform.resources.named import (
    CatalogResource,
    LedgerResource,
    MachineResource,
    NotificationsResource,
    services_of,
)
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn

log = logging.getLogger(__name__)

_AUDITS = {
    EQUALS_INPUTS: "Of every table and currency the sums and rows are those of the table, in its own currency.",
    RATES_KNOWN: "Every amount has a rate: that of its first publication, of its date, or the last one before.",
    **{name: AUDITS[name] for name in ("row_conservation", "schema", "bounds")},
}
_SUSPICION = {INPUTS_PRESENT: "Every table has something of the date.", **SUSPICION}
_SHOWN = 5


@dataclass(frozen=True)
class Builds:
    """The runs of a marketing fact; as ``adplatform.components.assembly.automation.Automation``."""

    fact: Fact

    @property
    def source(self) -> str:
        return self.fact.flow.source

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        """Compare what the tables show with what the fact was made of; one run builds all dates that are due."""
        runs = runs_of(services.ledger, instance)
        runs.sweep()
        found = due(services, self.fact, runs)
        notify_stuck(services, self.source, found.problems)
        starts = found.days and may_start(runs, _runs_of(self.fact), time.time(), how.since)
        requests = (_request_days(self.fact, found.days),) if starts else ()
        return Tick(requests, _standing(found), waits=bool(found.days))

    def new_partitions(self, services: Services, instance: dg.DagsterInstance) -> list[dg.AddDynamicPartitionsRequest]:
        return []

    def request(self, flow: FeedFlow, day: date) -> dg.RunRequest:
        return dg.RunRequest(
            job_name=_job_name(self.fact),
            partition_key=day.isoformat(),
            asset_selection=[clean_key(flow)],
            tags=run_tags(flow),
        )

    def materialization(
        self, services: Services, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
    ) -> dg.AssetMaterialization:
        return _materialization(services, flow, publication, columns)


def _materialization(
    services: Services, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        clean_key(flow),
        partition=publication.day.isoformat(),
        metadata=clean_metadata(services.zones, flow, publication, columns),
        tags={DATA_VERSION_TAG: f"{publication.day}/{publication.version}"},
    )


def _standing(found: Due) -> str:
    """Where the fact stands, in a sentence."""
    stuck = [f"{day}: {why}" for day, why in sorted(found.stuck.items())]
    waits = f"; cannot be built of what there is: {listed(stuck, _SHOWN, '; ')}" if stuck else ""
    return (f"{len(found.days)} dates are due" if found.days else "every date is as its tables are") + waits


def _job_name(fact: Fact) -> str:
    return f"{fact.flow.source}_fact"


def _runs_of(fact: Fact) -> dg.RunsFilter:
    """The runs that build what is due."""
    return dg.RunsFilter(tags={FACT_TAG: fact.flow.name})


def _request_days(fact: Fact, days: Sequence[date]) -> dg.RunRequest:
    """One run for all dates that are due. It builds what is due when it begins."""
    return dg.RunRequest(
        job_name=_job_name(fact),
        asset_selection=[clean_key(fact.flow)],
        tags={
            **run_tags(fact.flow),
            FACT_TAG: fact.flow.name,
            **AHEAD,
            RANGE_START: days[0].isoformat(),
            RANGE_END: days[-1].isoformat(),
        },
    )


def marketing_automation(pattern: MadeOfOthers) -> Automation:
    """What starts the runs of a fact, the crawls of its table, and what services do with that."""
    return with_workloads(with_crawls(Builds(pattern.fact), pattern.source), pattern.source)


def marketing_definitions(pattern: MadeOfOthers, hook: AssetSpecHook = unchanged) -> dg.Definitions:
    """The asset of the fact, the sensor that follows its tables, and the care of its own."""
    settings, fact = read_settings(), pattern.fact
    status = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED
    schedule_status = dg.DefaultScheduleStatus.RUNNING if settings.automation else dg.DefaultScheduleStatus.STOPPED
    assets = with_hook([marketing_asset(fact)], hook)
    source = fact.flow.source
    sensor = source_sensor(
        marketing_automation(pattern),
        f"{source}_builds",
        f"Compares what the tables of {fact.flow.name} show with what it was made of, and starts a run for the dates "
        "that changed.",
        fact.declared.check_every,
        status,
        jobs=[
            dg.define_asset_job(
                _job_name(fact), selection=assets, description=returns(source), tags={SOURCE_TAG: source}
            )
        ],
    )
    assets += workload_assets(pattern.source, fact.declared.owners, tags_of(fact.declared), hook)
    return dg.Definitions(assets=assets, sensors=[sensor], schedules=care_schedules(pattern.source, schedule_status))


def _table_key(table: str) -> dg.AssetKey:
    return dg.AssetKey(["clean", *table.split("/")])


def marketing_asset(fact: Fact) -> dg.AssetsDefinition:
    """The fact, which depends on the tables that it is taken from."""
    declared, flow = fact.declared, fact.flow
    partitions = delivery_partitions(flow)
    fresh = declared.fresh_within
    spec = dg.AssetSpec(
        clean_key(flow),
        # Dates of the fact may be of other dates of its tables: of rates of the days before, for example.
        deps=[dg.AssetDep(_table_key(table), partition_mapping=dg.AllPartitionMapping()) for table in declared.tables],
        description=f"{flow.feed.description} {returns(flow.source)}",
        partitions_def=partitions,
        group_name=flow.source,
        owners=declared.owners,
        kinds={"parquet", "glue", "duckdb"},
        tags=tags_of(declared) | {"zone": "clean"},
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh) if fresh else None,
        metadata={
            **declared_table(flow.table, output_columns(flow.feed.contract)),
            "dagster/column_lineage": _lineage(declared),
            **topic_metadata(flow.topics),
        },
    )
    checks = [
        dg.AssetCheckSpec(name, asset=spec.key, blocking=name in _AUDITS, partitions_def=partitions, description=text)
        for name, text in (_AUDITS | _SUSPICION).items()
    ]

    @dg.multi_asset(
        name=step_name("fact", flow),
        specs=[spec],
        check_specs=[*checks, *consumer_checks(flow.feed.consumers, spec.key, partitions)],
        # What is due is known when the run begins, so no partition is promised before.
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=MOST_OF_A_RUN),
        pool=f"fact_{flow.source}",
    )
    @step_of(MarketingSource.pattern)
    def build_fact(
        context: dg.AssetExecutionContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        catalog: CatalogResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        machine: MachineResource,
    ) -> Iterator[dg.MaterializeResult[None]]:
        services = services_of(s3, secrets, catalog, ledger, notifications, machine)
        run_id, of_sensor = context.run.run_id, FACT_TAG in context.run.tags
        try:
            with (
                aws_failures(flow.name),
                at_work(context, services.ledger, flow.name),
                private_directory(services.settings.temp, run_id) as work,
            ):
                problems = _Step(context, services, fact, work).build_all(of_sensor=of_sensor)
                work_ended(context, services.ledger, flow.name)
        except (PermanentFailure, TransientFailure) as e:
            note_hindrance(context, e, flow.name)
            raise dg.Failure(str(e), allow_retries=False) from e
        if problems:
            message = listed(problems, separator="; ")
            if of_sensor:
                note_failure(context.instance, context.run, _runs_of(fact), PermanentFailure(message))
            raise dg.Failure(clipped(message), allow_retries=False)
        yield from ()

    return build_fact


def _lineage(declared: MarketingSource) -> dg.TableColumnLineage:
    """Which columns of the tables each column of the fact is made of."""
    rates = declared.rates
    found: dict[str, list[dg.TableColumnDep]] = {}

    def note(made: str, table: FactTable, own: str) -> None:
        found.setdefault(made, []).append(dg.TableColumnDep(_table_key(table.table), own))

    for table in declared.inputs:
        for name, own in table.columns.items():
            note(name, table, own)
            if name in ("cost", "sales"):
                note(f"{name}_original", table, own)
                note(worth_of(name, declared.currency), table, own)
    if rates:
        key = _table_key(rates.table)
        of_rates = [dg.TableColumnDep(key, name) for name in rates.columns_of_rates.values() or (rates.rate,)]
        of_dates = [dg.TableColumnDep(key, rates.date)]
        found |= {"rate": of_rates, "fx_rate": of_rates, "rate_date": of_dates, "fx_date": of_dates}
    return dg.TableColumnLineage(found)


@dataclass(frozen=True)
class _Step:
    """One run of the step. What is logged is recorded at once, and only then what a date was made of."""

    context: dg.AssetExecutionContext
    services: Services
    fact: Fact
    work: Path

    def build_all(self, *, of_sensor: bool) -> list[str]:
        """Build what is due, or the run's partitions whether or not a table changed; the problems."""
        if of_sensor:
            found = due(self.services, self.fact, runs_of(self.services.ledger, self.context.instance))
            inputs, days = found.inputs, list(found.days)
        else:
            prefix = self.services.settings.database_prefix
            inputs = look_at_inputs(self.services.lake, self.fact, prefix)
            days = [date.fromisoformat(key) for key in self.context.partition_keys]
        return [problem for day in days if (problem := self._build(inputs, day))]

    def _build(self, inputs: Inputs, day: date) -> str:
        """Build one date; the problem if there is one."""
        flow, run_id = self.fact.flow, self.context.run.run_id
        shown = {**_AUDITS, **_SUSPICION}

        def log_checks(findings: Iterable[AuditFinding]) -> None:
            for finding in shown_findings(findings, shown, flow):
                self.context.log_event(audit_evaluation(clean_key(flow), finding, day.isoformat()))

        try:
            with aws_failures(f"{flow.name} {day}"):
                made = build(self.services, inputs, day, run_id, self.work, log_checks)
                columns = output_columns(flow.feed.contract)
                self.context.log_event(_materialization(self.services, flow, made.publication, columns))
                built(self.services, inputs, made)
        except (ClaimLost, LeaseHeld) as e:
            log.info("%s %s: %s; a later run builds it", flow.name, day, e)
        except (PermanentFailure, TransientFailure) as e:
            return f"{day}: {e}"
        return ""
