"""What starts the runs of a report account: its sensor, and the job that places orders."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.amazon.definitions import ReportDefinition
from adplatform.amazon.http import PATIENCE
from adplatform.amazon.sources import ReportSource
from adplatform.components.assembly.automation import Automation, Looking, Tick, source_sensor
from adplatform.components.assembly.crawls import with_crawls
from adplatform.components.assembly.delivery_assets import TOPIC_TAG
from adplatform.components.assembly.fact_assets import FACT_TAG, fact_key, fact_runs
from adplatform.components.assembly.held_runs import followers, let_go
from adplatform.components.assembly.metadata import report_metadata
from adplatform.components.assembly.report_assets import (
    APART,
    BY_HAND,
    DATE,
    REPORT_TAG,
    clean_key,
    clean_materialization,
    partition_key,
    raw_key,
    report_partitions,
    scopes_definition,
)
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import (
    AHEAD,
    FEED_TAG,
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
from adplatform.components.assembly.stream import Streamed, job_name
from adplatform.components.assembly.workloads import with_workloads
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.cost_guard import held
from adplatform.flow.notices import notify_stuck
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.derived import Stale
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.publications import Publication
from adplatform.ledger.report import Report
from adplatform.ledger.reports import Turn
from adplatform.ledger.scopes import Scope
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.settings import read_settings
from adplatform.pull.account import Account
from adplatform.pull.awaited import awaited, may_come
from adplatform.pull.build import facts_due
from adplatform.pull.connect import Connect
from adplatform.pull.derived import Derived, derived_of
from adplatform.pull.due import (
    POLL_PATIENCE,
    ReportDue,
    deliveries_due,
    orders_are_due,
    place_orders,
    poll_reports,
    reports_due,
    together,
)
from adplatform.pull.pattern import account_source
from adplatform.pull.stream.tables import stream_of
from adplatform.resources.named import LedgerResource, MachineResource, NotificationsResource, services_of
from adplatform.resources.report_apis import open_api
from adplatform.transform.values import OutputColumn

log = logging.getLogger(__name__)

_MOST_COUNTED = 200
"""Reports that rest of which a look counts how many stand where."""


@dataclass(frozen=True)
class Reports:
    """The runs of a report account; as ``adplatform.components.assembly.automation.Automation``. Asking, waiting and
    downloading are separate, so that no run is held while a report is made."""

    account: Account
    connect: Connect = open_api

    @property
    def source(self) -> str:
        return self.account.source

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        """Poll what is on its way, then say what needs a run: orders, each report that is ready, each slice that waits,
        and each table that is made of others. A failure of the API's is in the ledger and the log."""
        account, runs = self.account, runs_of(services.ledger, instance)
        runs.sweep()
        awake = services.ledger.reports.due(account.source)
        orders = orders_are_due(services.ledger, account, awake)
        over = held(services, account.source, account.budget, account.topics)
        before = {(r.feed, r.key): (r.state, r.overdue) for r in awake}
        polled: list[Report] = []
        try:
            polled = poll_reports(services, account, lambda: self.connect(services, account, POLL_PATIENCE), awake)
        except (PermanentFailure, TransientFailure) as e:
            log.error("%s: reports cannot be polled: %s", account.source, e)
        deliveries, problems = deliveries_due(services, account, runs)
        builds = [(each, *facts_due(services, each, runs)) for each in derived_of(account)]
        unbuilt = [problem for _, _, found in builds for problem in found]
        notify_stuck(services, account.source, [*problems, *unbuilt])
        left = let_go(instance, account.source, lambda run: bool(over) or _waits(services, account, instance, run))
        requests = followers(instance, account.source, _pull_name(account), run_tags(account, account.source))
        awake = services.ledger.reports.due(account.source) if awake else []
        ready = reports_due(services, account, runs, awake)
        order = scope_keys(account, instance) if len(ready) > 1 else ()
        requests += [request_reports(account, group, order) for group in together(ready, order)]
        requests += [request_delivery(account, due.flow, due.day, due.run_key) for due in deliveries]
        if orders and not over and may_start(runs, _orders_runs(account), time.time(), how.since):
            requests.append(dg.RunRequest(job_name=_orders_name(account), tags=run_tags(account, account.source)))
        for each, marked, _ in builds:
            if marked and may_start(runs, fact_runs(each), time.time(), how.since):
                requests += request_facts(each, marked, scope_keys(account, instance))
        news = [r for r in polled if before.get((r.feed, r.key)) != (r.state, r.overdue)]
        resting = [] if requests else services.ledger.reports.resting(account.source, _MOST_COUNTED)
        awake = [] if requests else [report for report in awake if not report.ended]
        return Tick(
            tuple(requests),
            standing(awake, resting, left) + (f"; {over}" if over else ""),
            waits=bool(awake or resting),
            events=tuple(report_events(services.ledger, account, news)),
        )

    def new_partitions(self, services: Services, instance: dg.DagsterInstance) -> list[dg.AddDynamicPartitionsRequest]:
        """The scopes that were discovered since."""
        definition = scopes_definition(self.account)
        if not isinstance(definition, dg.DynamicPartitionsDefinition):
            return []
        known = set(instance.get_dynamic_partitions(str(definition.name)))
        scopes = services.ledger.scopes.of_source(self.account.source)
        new = sorted({scope.id for scope in scopes if self.account.wants(scope)} - known)
        return [definition.build_add_request(new)] if new else []

    def request(self, flow: FeedFlow, day: date) -> dg.RunRequest:
        return request_delivery(self.account, flow, day)

    def materialization(
        self, services: Services, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
    ) -> dg.AssetMaterialization:
        return clean_materialization(services.zones, self.account, flow, publication, columns)


def _waits(services: Services, account: Account, instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether dates of a run that is held are still on their way; of a paused source nothing begins."""
    if services.ledger.pauses.of(account.source) is not None:
        return True
    partitions = report_partitions(account)
    asked = dg.PartitionKeyRange(run.tags[RANGE_START], run.tags[RANGE_END])
    days: dict[str, set[date]] = {}
    for key in partitions.get_partition_keys_in_range(asked, dynamic_partitions_store=instance):
        parts = partitions.get_partition_key_from_str(key).keys_by_dimension
        days.setdefault(parts[account.dimension], set()).add(date.fromisoformat(parts[DATE]))
    selected = run.asset_selection or frozenset()
    definitions = [each for each in account.definitions if not selected.isdisjoint(report_keys(account, each))]
    every = set().union(*days.values())
    if may_come(services.ledger, account, [each.name for each in definitions], days, every):
        return True
    return any(
        awaited(services.ledger, account, each, scope, asked_for).by_themselves
        for each in definitions
        for scope, asked_for in days.items()
    )


def standing(awake: Sequence[Report], resting: Sequence[Turn], held: int = 0) -> str:
    """What an account without anything to start waits for, in a sentence: reports that do not rest, and those that do,
    which ``_MOST_COUNTED`` are more than. So many runs of backfills are ``held``."""
    waits = f"; {held} runs of backfills wait in the queue for their dates" if held else ""
    if not awake and not resting:
        return f"nothing is due, and no report is on its way{waits}"
    every: list[Report | Turn] = [*awake, *resting]
    counts = Counter(f"{r.state}, overdue" if r.overdue else str(r.state) for r in every)
    shown = "; ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    more = ", and more" if len(resting) == _MOST_COUNTED else ""
    soonest = f"; the next is looked at from {resting[0].at:%Y-%m-%d %H:%M:%S} UTC" if resting else ""
    return f"nothing to start; reports on their way: {shown}{more}{soonest}{waits}"


def report_event(account: Account, report: Report, scope: Scope | None) -> dg.AssetObservation:
    """Where a report stands, among the events of its raw asset. Its dates are many, so it has no partition."""
    what = report_metadata(report, scope)
    return dg.AssetObservation(
        raw_key(account, report.name),
        description=f"{report.scope} {report.start} to {report.end}: {what['adplatform/state']}",
        metadata=what,
    )


def report_events(ledger: Ledger, account: Account, reports: Sequence[Report]) -> list[dg.AssetObservation]:
    scopes = {scope.id: scope for scope in ledger.scopes.of_source(account.source)} if reports else {}
    known = {definition.name for definition in account.definitions}
    return [report_event(account, r, scopes.get(r.scope)) for r in reports if r.name in known]


def orders_job(account: Account, connect: Connect = open_api) -> dg.JobDefinition:
    """Plans what is due and asks Amazon for it; it never waits for a report."""

    @dg.op(name=f"{account.source}_ask_for_reports", pool=f"orders_{account.source}")
    @step_of(ReportSource.pattern)
    def ask_for_reports(
        context: dg.OpExecutionContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        machine: MachineResource,
    ) -> None:
        services = services_of(s3, secrets, ledger, notifications, machine)
        try:
            with aws_failures(account.source), at_work(context, services.ledger, context.op.name):
                asked = place_orders(services, account, connect(services, account, PATIENCE))
                work_ended(context, services.ledger, context.op.name)
        except (PermanentFailure, TransientFailure) as e:
            note_failure(context.instance, context.run, _orders_runs(account), e)
            raise dg.Failure(str(e), allow_retries=False) from e
        for report in asked:
            context.log.info(f"{report.feed} {report.key}: {report.state} {report.report_id} {report.error}".rstrip())
        for event in report_events(services.ledger, account, asked):
            context.log_event(event)

    @dg.job(
        name=_orders_name(account),
        description=f"Asks Amazon for the reports of {account.source} that are due; it never waits for one.",
        tags=run_tags(account, account.source),
    )
    def orders() -> None:
        ask_for_reports()

    return orders


def _pull_name(account: Account) -> str:
    return f"{account.source}_reports"


def _fact_name(account: Account) -> str:
    return f"{account.source}_fact"


def _orders_name(account: Account) -> str:
    return f"{account.source}_orders"


def _orders_runs(account: Account) -> dg.RunsFilter:
    return dg.RunsFilter(job_name=_orders_name(account))


def account_automation(account: Account, connect: Connect = open_api) -> Automation:
    """What starts the runs of an account, the crawls of its tables, and what services do with them."""
    source = account_source(account, read_settings().raw_bucket)
    stream, reports = stream_of(account), Reports(account, connect)
    automation = Streamed(reports, stream) if stream else reports
    return with_workloads(with_crawls(automation, source), source)


def reports_sensor(
    account: Account,
    assets: Sequence[dg.AssetsDefinition],
    orders: dg.JobDefinition,
    seconds: int,
    status: dg.DefaultSensorStatus,
    connect: Connect = open_api,
    streamed: Sequence[dg.AssetsDefinition] = (),
) -> dg.SensorDefinition:
    """Polls reports, and starts a run for orders, each report that is ready, each slice that waits, each table that is
    made of others, and what is ``streamed``."""
    made = {fact_key(each) for each in derived_of(account)}
    facts = [each for each in assets if not made.isdisjoint(each.keys)]
    pulled = [each for each in assets if each not in facts]
    source, told = account.source, f"{BY_HAND} {returns(account.source)}"
    of_account = {SOURCE_TAG: account.source}
    return source_sensor(
        account_automation(account, connect),
        f"{account.source}_reports",
        f"Follows the reports of {account.source} from order to table: polls them, and starts a run for orders, for "
        "each report that is ready, for dates that wait, and for each table that is made of others.",
        seconds,
        status,
        jobs=[
            orders,
            dg.define_asset_job(_pull_name(account), selection=pulled, description=told, tags=of_account),
            *(
                [dg.define_asset_job(_fact_name(account), selection=facts, description=told, tags=of_account)]
                if facts
                else []
            ),
            *(
                [
                    dg.define_asset_job(
                        job_name(source), selection=list(streamed), description=returns(source), tags=of_account
                    )
                ]
                if streamed
                else []
            ),
        ],
    )


def request_reports(account: Account, group: Sequence[ReportDue], order: Sequence[str] = ()) -> dg.RunRequest:
    """One run for reports of one table; its range of partitions is the smallest that holds their dates and scopes,
    where these are in that ``order``."""
    reports = [each.report for each in group]
    first = reports[0]
    definition = account.definition(first.name)
    keys = report_keys(account, definition) if definition else [raw_key(account, first.name)]
    scopes = sorted({report.scope for report in reports}, key=list(order).index) if len(group) > 1 else [first.scope]
    return dg.RunRequest(
        run_key=group[0].run_key,
        job_name=_pull_name(account),
        asset_selection=keys,
        tags={
            **run_tags(account, first.feed if len(group) == 1 else f"{account.source}/{first.name}"),
            REPORT_TAG: APART.join(f"{report.feed} {report.key}" for report in reports),
            RANGE_START: partition_key(account, min(report.start for report in reports), scopes[0]),
            RANGE_END: partition_key(account, max(report.end for report in reports), scopes[-1]),
        },
    )


def report_keys(account: Account, definition: ReportDefinition) -> list[dg.AssetKey]:
    """The raw asset of a report and the clean ones of its tables."""
    return [raw_key(account, definition.name), *(clean_key(account, each.feed) for each in definition.datasets)]


def request_delivery(account: Account, flow: FeedFlow, day: date, run_key: str | None = None) -> dg.RunRequest:
    """A run for a slice that an earlier run left unpublished."""
    return dg.RunRequest(
        run_key=run_key,
        job_name=_pull_name(account),
        partition_key=partition_key(account, day, flow.scope.value if flow.scope else ""),
        asset_selection=[clean_key(account, flow.feed.name)],
        tags=run_tags(account, flow.name),
    )


def request_facts(derived: Derived, due: Sequence[Stale], scopes: Sequence[str]) -> list[dg.RunRequest]:
    """One run for all dates and scopes of a table that are due, of those ``scopes`` that are partitions. It builds
    what is due when it begins; its range of partitions is the smallest that holds them."""
    wanted = [stale for stale in due if stale.scope in scopes]
    if not wanted:
        return []
    account, name = derived.account, derived.table.table
    among = sorted({stale.scope for stale in wanted}, key=scopes.index)
    days = [stale.day for stale in wanted]
    return [
        dg.RunRequest(
            job_name=_fact_name(account),
            asset_selection=[fact_key(derived)],
            tags={
                **run_tags(account, name),
                FACT_TAG: name,
                **AHEAD,
                RANGE_START: partition_key(account, min(days), among[0]),
                RANGE_END: partition_key(account, max(days), among[-1]),
            },
        )
    ]


def run_tags(account: Account, feed: str) -> Mapping[str, str]:
    topic = {TOPIC_TAG: account.topics.failure} if account.topics.failure else {}
    return {FEED_TAG: feed, "source": account.source, **topic}


def scope_keys(account: Account, instance: dg.DagsterInstance) -> Sequence[str]:
    """The scopes that are partitions, in the order of their definition."""
    return scopes_definition(account).get_partition_keys(dynamic_partitions_store=instance)
