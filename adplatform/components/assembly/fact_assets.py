"""The assets of what is made of an account's tables: the daily fact, and histories. A run of the sensor builds every
date that is due; a run that somebody starts builds its partitions."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.amazon.sources import ReportSource
from adplatform.components.assembly.delivery_assets import (
    AUDITS,
    SUSPICION,
    audit_evaluation,
    consumer_checks,
    note_hindrance,
    shown_findings,
)
from adplatform.components.assembly.metadata import declared_table, topic_metadata
from adplatform.components.assembly.report_assets import (
    DATE,
    audit_checks,
    clean_key,
    clean_materialization,
    partition_key,
    report_partitions,
)
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import BACKFILL_TAG, at_work, note_failure, runs_of, work_ended
from adplatform.failures import ClaimLost, PermanentFailure, TransientFailure, clipped, listed
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.derived import Stale
from adplatform.ledger.leases import LeaseHeld
from adplatform.platform.aws_errors import aws_failures
from adplatform.pull.build import EQUALS_DOCUMENTS, EQUALS_INPUTS, build, built, facts_due
from adplatform.pull.derived import Derived
from adplatform.pull.differences import EQUALS_SNAPSHOT
from adplatform.pull.fact import Fact
from adplatform.resources.named import (
    CatalogResource,
    LedgerResource,
    MachineResource,
    NotificationsResource,
    services_of,
)
from adplatform.transform.compile import output_columns

log = logging.getLogger(__name__)

FACT_TAG = "adplatform/fact"
"""The table of which a run builds what is due. A run without it builds its own partitions."""
MOST_OF_A_RUN = 1000
"""Partitions that one run of a backfill builds, dates times scopes."""
_AUDITS = {name: AUDITS[name] for name in ("row_conservation", "schema", "bounds")}


def _suspicion(fact: Derived) -> dict[str, str]:
    """The checks of a table that keep nothing from being published, each in a sentence."""
    if isinstance(fact, Fact):
        return {
            EQUALS_DOCUMENTS: "Every sum of an ad product is that of the report's document, as it was read.",
            **SUSPICION,
        }
    return SUSPICION


def _audits(fact: Derived) -> dict[str, str]:
    """The blocking checks of a table, each in a sentence."""
    if isinstance(fact, Fact):
        return {EQUALS_INPUTS: "Every sum of an ad product is that of the table it is taken from.", **_AUDITS}
    return {EQUALS_SNAPSHOT: "Applied to the snapshot before, the changes give the snapshot of the date.", **_AUDITS}


def fact_runs(fact: Derived) -> dg.RunsFilter:
    """The runs that build what is due of a table."""
    return dg.RunsFilter(tags={FACT_TAG: fact.table.table})


def fact_key(fact: Derived) -> dg.AssetKey:
    return clean_key(fact.account, fact.table.feed.name)


def fact_asset(fact: Derived, owners: Sequence[str], tags: dict[str, str]) -> dg.AssetsDefinition:
    """The fact or a history, which depends on the tables that it is made of and has their partitions."""
    account, table = fact.account, fact.table
    partitions, fresh = report_partitions(account), account.fresh_within
    spec = dg.AssetSpec(
        fact_key(fact),
        deps=[clean_key(account, each.feed.name) for each in fact.tables],
        description=table.feed.description,
        partitions_def=partitions,
        group_name=account.source,
        owners=owners,
        kinds={"parquet", "glue", "duckdb"},
        tags=tags | {"zone": "clean"},
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh) if fresh else None,
        metadata={
            **declared_table(table.table, output_columns(table.feed.contract)),
            "dagster/column_lineage": _lineage(fact),
            **topic_metadata(account.topics),
        },
    )
    checks = audit_checks(spec.key, _audits(fact), partitions, blocking=True)
    checks += audit_checks(spec.key, _suspicion(fact), partitions, blocking=False)
    checks += consumer_checks(table.feed.consumers, spec.key, partitions)

    @dg.multi_asset(
        name=f"fact__{account.source}__{table.feed.name}",
        specs=[spec],
        check_specs=checks,
        # What is due is known when the run begins, so no partition is promised before.
        can_subset=True,
        # In a backfill Dagster makes one run of assets of the same policy, and a step whose inputs yield nothing is
        # skipped: under a policy of its own the fact has runs of its own, which begin when its tables are there.
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=MOST_OF_A_RUN),
        pool=f"fact_{account.source}",
    )
    @step_of(ReportSource.pattern)
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
        run_id, name = context.run.run_id, table.table
        try:
            with (
                aws_failures(table.name),
                at_work(context, services.ledger, name),
                private_directory(services.settings.temp, run_id) as work,
            ):
                step, runs = _Step(context, services, fact, work), runs_of(services.ledger, context.instance)
                wanted = facts_due(services, fact, runs)[0] if FACT_TAG in context.run.tags else step.marked()
                problems = [problem for each in wanted if (problem := step.build(each))]
                work_ended(context, services.ledger, name)
        except (PermanentFailure, TransientFailure) as e:
            note_hindrance(context, e, name)
            raise dg.Failure(str(e), allow_retries=False) from e
        if problems:
            message = listed(problems, separator="; ")
            if FACT_TAG in context.run.tags:
                failure = PermanentFailure(message)
                note_failure(context.instance, context.run, fact_runs(fact), failure)
            raise dg.Failure(clipped(message), allow_retries=False)
        yield from ()

    return build_fact


def _lineage(fact: Derived) -> dg.TableColumnLineage:
    """Which columns of the tables each column is made of."""
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(clean_key(fact.account, table.feed.name), own) for table, own in found]
            for name, found in fact.lineage.items()
        }
    )


@dataclass(frozen=True)
class _Step:
    """One run of the step. What is logged is recorded at once, and only then the mark of a date is taken away."""

    context: dg.AssetExecutionContext
    services: Services
    fact: Derived
    work: Path

    def marked(self) -> list[Stale]:
        """The run's partitions, all to be built whether or not a table changed."""
        partitions = report_partitions(self.fact.account)
        found = []
        for key in self.context.partition_keys:
            parts = partitions.get_partition_key_from_str(key).keys_by_dimension
            day, scope = date.fromisoformat(parts[DATE]), parts[self.fact.account.dimension]
            found.append(self.services.ledger.derived.mark(self.fact.table.table, day, scope))
        return found

    def _later(self, partition: str, why: str) -> str:
        """The date is built by a later run, which is no problem but to a backfill that wants it now."""
        log.info("%s %s: %s; a later run builds it", self.fact.table.name, partition, why)
        return f"{partition}: {why}; a later run builds it" if BACKFILL_TAG in self.context.run.tags else ""

    def build(self, marked: Stale) -> str:
        """Build one date of one profile; the problem if there is one."""
        key, run_id = fact_key(self.fact), self.context.run.run_id
        partition = partition_key(self.fact.account, marked.day, marked.scope)

        def log_checks(findings: Iterable[AuditFinding]) -> None:
            for finding in shown_findings(findings, {**_audits(self.fact), **_suspicion(self.fact)}, self.fact.table):
                self.context.log_event(audit_evaluation(key, finding, partition))

        try:
            with aws_failures(f"{self.fact.table.name} {partition}"):
                done = build(self.services, self.fact, marked.scope, marked.day, run_id, self.work, log_checks)
                if done is None:
                    return self._later(partition, "a table is being published")
                columns = output_columns(done.flow.feed.contract)
                account, publication = self.fact.account, done.publication
                self.context.log_event(
                    clean_materialization(self.services.zones, account, done.flow, publication, columns)
                )
                built(self.services.ledger, self.fact, done)
        except (ClaimLost, LeaseHeld) as e:
            return self._later(partition, str(e))
        except (PermanentFailure, TransientFailure) as e:
            return f"{partition}: {e}"
        return ""
