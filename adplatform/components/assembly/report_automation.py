"""What starts the runs of a report account: its sensor, and the job that places orders.

Asking, waiting and downloading are separate, so that no run is held while Amazon makes a report.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from adplatform.amazon.http import PATIENCE
from adplatform.components.assembly.arrival_automation import tell_stuck
from adplatform.components.assembly.delivery_assets import TOPIC_TAG
from adplatform.components.assembly.fact_assets import FACT_TAG, fact_runs
from adplatform.components.assembly.metadata import report_metadata
from adplatform.components.assembly.ownership import automated
from adplatform.components.assembly.report_assets import (
    REPORT_TAG,
    clean_key,
    partition_key,
    raw_key,
    scopes_definition,
)
from adplatform.components.assembly.runs import FEED_TAG, at_work, may_start, note_failure, runs_of, work_ended
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.services import Services
from adplatform.flow.settling import Due
from adplatform.ledger.derived import Stale
from adplatform.ledger.report import Report
from adplatform.ledger.scopes import Scope
from adplatform.platform.aws_errors import aws_failures
from adplatform.pull.account import Account
from adplatform.pull.connect import Connect, open_api
from adplatform.pull.due import (
    POLL_PATIENCE,
    ReportDue,
    deliveries_due,
    orders_are_due,
    place_orders,
    poll_reports,
    reports_due,
)
from adplatform.pull.fact import NAME, fact_of, facts_due

log = logging.getLogger(__name__)

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class Tick:
    """What one look at an account found to do. ``news`` are reports that turned out ready, failed or overdue."""

    orders: bool
    reports: tuple[ReportDue, ...]
    deliveries: tuple[Due, ...]
    facts: tuple[Stale, ...] = ()
    news: tuple[Report, ...] = ()


def look(services: Services, account: Account, instance: dg.DagsterInstance, connect: Connect = open_api) -> Tick:
    """Poll what is on its way, then say what needs a run. A failure of Amazon's is in the ledger and the log."""
    runs = runs_of(services, instance)
    runs.sweep()
    orders = orders_are_due(services, account)
    before = {(r.feed, r.key): (r.state, r.overdue) for r in services.ledger.reports.active(account.source)}
    polled: list[Report] = []
    try:
        polled = poll_reports(services, account, lambda: connect(services, account, POLL_PATIENCE))
    except (PermanentFailure, TransientFailure) as e:
        log.error("%s: reports cannot be polled: %s", account.source, e)
    deliveries, problems = deliveries_due(services, account, runs)
    facts, unbuilt = facts_due(services, fact_of(account), runs)
    tell_stuck(services, account.source, [*problems, *unbuilt])
    news = tuple(r for r in polled if before.get((r.feed, r.key)) != (r.state, r.overdue))
    return Tick(orders, tuple(reports_due(services, account, runs)), tuple(deliveries), tuple(facts), news)


def standing(services: Services, account: Account) -> str:
    """What an account waits for, in a sentence."""
    active = services.ledger.reports.active(account.source)
    if not active:
        return "nothing is due, and no report is on its way"
    counts = Counter(f"{r.state}, overdue" if r.overdue else str(r.state) for r in active)
    told = "; ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    rests = [r.not_before for r in active if r.not_before and r.not_before > services.ledger.now()]
    soonest = f"; the next is looked at from {min(rests):%Y-%m-%d %H:%M:%S} UTC" if rests else ""
    return f"nothing to start; reports on their way: {told}{soonest}"


def report_event(account: Account, report: Report, scope: Scope | None) -> dg.AssetObservation:
    """Where a report stands, among the events of its raw asset. Its dates are many, so it has no partition."""
    what = report_metadata(report, scope)
    return dg.AssetObservation(
        raw_key(account, report.name),
        description=f"{report.scope} {report.start} to {report.end}: {what['adplatform/state']}",
        metadata=what,
    )


def report_events(services: Services, account: Account, reports: Sequence[Report]) -> list[dg.AssetObservation]:
    scopes = {scope.id: scope for scope in services.ledger.scopes.of_source(account.source)} if reports else {}
    known = {definition.name for definition in account.definitions}
    return [report_event(account, r, scopes.get(r.scope)) for r in reports if r.name in known]


def orders_job(account: Account, connect: Connect = open_api) -> dg.JobDefinition:
    """Plans what is due and asks Amazon for it; it never waits for a report."""

    @dg.op(name=f"{account.source}_ask_for_reports", pool=f"orders_{account.source}")
    def ask_for_reports(context: dg.OpExecutionContext, services: dg.ResourceParam[Services]) -> None:
        try:
            with aws_failures(account.source), at_work(context, services, context.op.name):
                asked = place_orders(services, account, connect(services, account, PATIENCE))
                work_ended(context, services, context.op.name)
        except (PermanentFailure, TransientFailure) as e:
            note_failure(context.instance, context.run, _orders_runs(account), e)
            raise dg.Failure(str(e), allow_retries=False) from e
        for report in asked:
            context.log.info(f"{report.feed} {report.key}: {report.state} {report.report_id} {report.error}".rstrip())
        for event in report_events(services, account, asked):
            context.log_event(event)

    @dg.job(
        name=_orders_name(account),
        description=f"Asks Amazon for the reports of {account.source} that are due; it never waits for one.",
        tags=run_tags(account, account.source),
    )
    def orders() -> None:
        ask_for_reports()

    return orders


def _orders_name(account: Account) -> str:
    return f"{account.source}_orders"


def _orders_runs(account: Account) -> dg.RunsFilter:
    return dg.RunsFilter(job_name=_orders_name(account))


def reports_sensor(
    account: Account,
    assets: Sequence[dg.AssetsDefinition],
    orders: dg.JobDefinition,
    seconds: int,
    status: dg.DefaultSensorStatus,
    connect: Connect = open_api,
) -> dg.SensorDefinition:
    """Polls reports, and starts a run for orders, each report that is ready, each slice that waits, and the fact."""
    pull = dg.define_asset_job(f"{account.source}_reports", selection=list(assets))

    @dg.sensor(
        name=f"{account.source}_reports",
        jobs=[orders, pull],
        minimum_interval_seconds=seconds,
        default_status=status,
        description=f"Follows the reports of {account.source} from order to table: polls them, and starts a run for "
        "orders, for each report that is ready, for dates that wait, and for the daily fact.",
    )
    @automated
    def reports(context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]) -> dg.SensorResult:
        found = look(services, account, context.instance, connect)
        requests = [request_report(account, due, pull.name) for due in found.reports]
        requests += [request_delivery(account, due, pull.name) for due in found.deliveries]
        if found.orders and may_start(runs_of(services, context.instance), _orders_runs(account), time.time()):
            requests.append(dg.RunRequest(job_name=orders.name, tags=run_tags(account, account.source)))
        if found.facts and may_start(runs_of(services, context.instance), fact_runs(account.source), time.time()):
            requests += request_facts(account, found.facts, scope_keys(account, context.instance), pull.name)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else standing(services, account),
            dynamic_partitions_requests=_new_partitions(services, account, context.instance),
            asset_events=report_events(services, account, found.news),
        )

    return reports


def request_report(account: Account, due: ReportDue, job: str | None = None) -> dg.RunRequest:
    """One run for one report; its partitions are the dates of the report's range."""
    report = due.report
    definition = account.definition(report.name)
    datasets = definition.datasets if definition else ()
    keys = [raw_key(account, report.name), *(clean_key(account, d.feed) for d in datasets)]
    return dg.RunRequest(
        run_key=due.run_key,
        job_name=job,
        asset_selection=keys,
        tags={
            **run_tags(account, report.feed),
            REPORT_TAG: f"{report.feed} {report.key}",
            RANGE_START: partition_key(account, report.start, report.scope),
            RANGE_END: partition_key(account, report.end, report.scope),
        },
    )


def request_delivery(account: Account, due: Due, job: str | None = None) -> dg.RunRequest:
    """A run for a slice that an earlier run left unpublished."""
    scope = due.flow.scope.value if due.flow.scope else ""
    return dg.RunRequest(
        run_key=due.run_key,
        job_name=job,
        partition_key=partition_key(account, due.day, scope),
        asset_selection=[clean_key(account, due.flow.feed.name)],
        tags=run_tags(account, due.flow.name),
    )


def request_facts(
    account: Account, due: Sequence[Stale], scopes: Sequence[str], job: str | None = None
) -> list[dg.RunRequest]:
    """One run for all dates and scopes of the fact that are due, of those ``scopes`` that are partitions. It builds
    what is due when it begins; its range of partitions is the smallest that holds them."""
    wanted = [stale for stale in due if stale.scope in scopes]
    if not wanted:
        return []
    among = sorted({stale.scope for stale in wanted}, key=scopes.index)
    days = [stale.day for stale in wanted]
    name = f"{account.source}/{NAME}"
    return [
        dg.RunRequest(
            job_name=job,
            asset_selection=[clean_key(account, NAME)],
            tags={
                **run_tags(account, name),
                FACT_TAG: name,
                RANGE_START: partition_key(account, min(days), among[0]),
                RANGE_END: partition_key(account, max(days), among[-1]),
            },
        )
    ]


def run_tags(account: Account, feed: str) -> Mapping[str, str]:
    topic = {TOPIC_TAG: account.topics.failure} if account.topics.failure else {}
    return {FEED_TAG: feed, "source": account.source, **topic}


def _new_partitions(
    services: Services, account: Account, instance: dg.DagsterInstance
) -> list[dg.AddDynamicPartitionsRequest]:
    definition = scopes_definition(account)
    if not isinstance(definition, dg.DynamicPartitionsDefinition):
        return []
    new = _new_scopes(services, account, instance, str(definition.name))
    return [definition.build_add_request(new)] if new else []


def scope_keys(account: Account, instance: dg.DagsterInstance) -> Sequence[str]:
    """The scopes that are partitions, in the order of their definition."""
    return scopes_definition(account).get_partition_keys(dynamic_partitions_store=instance)


def add_partitions(services: Services, account: Account, instance: dg.DagsterInstance) -> None:
    """Profiles that were discovered since become partitions, where no sensor does it."""
    definition = scopes_definition(account)
    if isinstance(definition, dg.DynamicPartitionsDefinition):
        name = str(definition.name)
        instance.add_dynamic_partitions(name, _new_scopes(services, account, instance, name))


def _new_scopes(services: Services, account: Account, instance: dg.DagsterInstance, name: str) -> list[str]:
    known = set(instance.get_dynamic_partitions(name))
    return sorted({s.id for s in services.ledger.scopes.of_source(account.source) if account.wants(s)} - known)
