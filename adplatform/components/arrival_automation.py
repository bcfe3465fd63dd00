"""What starts runs: the arrivals sensor of a source, the processing schedule and the deadline schedule of a feed."""

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from adplatform.components.delivery_assets import DEADLINE_TAG, FEED_TAG, TOPIC_TAG, clean_key, raw_key
from adplatform.components.runs import InstanceRuns
from adplatform.flow.collection import collect_source, compare_recent
from adplatform.flow.provision import open_settler
from adplatform.flow.services import Services
from adplatform.flow.settling import Due, Problem, Settler
from adplatform.flow.source import FeedFlow, Source
from adplatform.ledger.rows import DeliveryState

log = logging.getLogger(__name__)

LIST_EVERY = timedelta(minutes=5)
"""How often the landing zone is listed for objects whose events were lost."""


def arrivals_sensor(
    source: Source, assets: Sequence[dg.AssetsDefinition], seconds: int, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Object events into the ledger, settled deliveries into runs. Feeds with a schedule wait for it.

    The ledger remembers everything, so a tick that dies at any point is repeated by the next, and the cursor holds
    nothing but the time of the last listing.
    """

    @dg.sensor(
        name=f"{source.name}_arrivals",
        target=assets,
        minimum_interval_seconds=seconds,
        default_status=status,
        description=f"Settles what {source.name} delivers and starts its runs.",
    )
    def arrivals(context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]) -> dg.SensorResult:
        settler = open_settler(services, source)
        now = services.ledger.now()
        listed = json.loads(context.cursor)["listed"] if context.cursor else None
        found = settler.receive()
        if listed is None or now - datetime.fromisoformat(listed) >= LIST_EVERY:
            found += settler.reconcile()
            listed = now.isoformat()
        due = due_deliveries(services, settler, context.instance)
        if found:
            log.info("%d new objects", found)
        requests = [request(d) for d in due if d.flow.feed.schedule is None]
        return dg.SensorResult(run_requests=requests, cursor=json.dumps({"version": 1, "listed": listed}))

    return arrivals


def processing_schedule(
    source: Source, flow: FeedFlow, assets: Sequence[dg.AssetsDefinition], cron: str, status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """Runs whatever has settled at the given times; what settles later waits for the next."""

    @dg.schedule(
        name=f"{source.name}_{flow.feed.name}_processing",
        target=assets,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=status,
    )
    def processing(context: dg.ScheduleEvaluationContext, services: dg.ResourceParam[Services]) -> list[dg.RunRequest]:
        due = due_now(services, source, context.instance)
        return [request(d) for d in due if d.flow.name == flow.name]

    return processing


def deadline_schedule(
    source: Source, flow: FeedFlow, assets: Sequence[dg.AssetsDefinition], status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """Runs a date that was not delivered in time: its failing ``delivered`` check is the alert."""
    deadline = flow.feed.arrival.deadline or timedelta()
    minutes = int(deadline.total_seconds() // 60)

    @dg.schedule(
        name=f"{source.name}_{flow.feed.name}_deadline",
        target=assets,
        cron_schedule=f"{minutes % 60} {minutes // 60 % 24} * * *",
        execution_timezone="UTC",
        default_status=status,
        description=f"Checks that each date of {flow.name} is there {deadline} after its end.",
    )
    def missed(
        context: dg.ScheduleEvaluationContext, services: dg.ResourceParam[Services]
    ) -> dg.RunRequest | dg.SkipReason:
        day = due_date(context.scheduled_execution_time, deadline)
        if day < flow.feed.start_date:
            return dg.SkipReason(f"{day} is before the feed's start_date")
        delivery = services.ledger.delivery(flow.name, day)
        if delivery.version > 0 or delivery.state is not DeliveryState.OPEN:
            return dg.SkipReason(f"{day} was delivered")
        tags = {**run_tags(flow), DEADLINE_TAG: "missed"}
        return dg.RunRequest(
            run_key=f"deadline:{flow.name}:{day}",
            partition_key=day.isoformat(),
            tags=tags,
            asset_selection=[raw_key(flow)],
        )

    return missed


def collection_schedule(source: Source, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Removes replaced versions of the source's tables once a day, and mends their path copies."""

    @dg.op(name=f"{source.name}_collect_versions")
    def collect_versions(context: dg.OpExecutionContext, services: dg.ResourceParam[Services]) -> None:
        for flow, collected in collect_source(services, source, context.run.run_id):
            log.info("%s: removed %s, repaired %s", flow.table, collected.removed, collected.repaired)
            if collected.compared.unclear:
                log.error("%s: nothing was removed: %s", flow.table, "; ".join(collected.compared.unclear))

    @dg.job(name=f"{source.name}_collect", description=f"Removes replaced versions of the tables of {source.name}.")
    def collection() -> None:
        collect_versions()

    return dg.ScheduleDefinition(
        name=f"{source.name}_collect_daily",
        job=collection,
        cron_schedule="17 3 * * *",
        description=f"Removes replaced versions of the tables of {source.name} whose time is over.",
        execution_timezone="UTC",
        default_status=status,
    )


def comparison_schedule(source: Source, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Compares the catalog with what the ledger says was published lately, and repairs what a late write changed."""

    @dg.op(name=f"{source.name}_compare_catalog")
    def compare_catalog(context: dg.OpExecutionContext, services: dg.ResourceParam[Services]) -> None:
        for flow, compared in compare_recent(services, source, context.run.run_id):
            log.info("%s: repaired %s, to look at %s", flow.table, compared.repaired, compared.to_report)

    @dg.job(name=f"{source.name}_compare", description=f"Compares the catalog of {source.name} with the ledger.")
    def comparison() -> None:
        compare_catalog()

    return dg.ScheduleDefinition(
        name=f"{source.name}_compare_hourly",
        job=comparison,
        cron_schedule="41 * * * *",
        description=f"Repairs what a late write made of the tables of {source.name}.",
        execution_timezone="UTC",
        default_status=status,
    )


def due_now(services: Services, source: Source, instance: dg.DagsterInstance) -> list[Due]:
    """What needs a run once all events and the whole landing zone were looked at."""
    settler = open_settler(services, source)
    settler.receive()
    settler.reconcile()
    return due_deliveries(services, settler, instance)


def due_deliveries(services: Services, settler: Settler, instance: dg.DagsterInstance) -> list[Due]:
    """What needs a run; what newly cannot settle is told to those who hear of failures."""
    due, problems = settler.due(InstanceRuns(instance))
    tell_stuck(services, problems)
    return due


def tell_stuck(services: Services, problems: Iterable[Problem]) -> None:
    """Tell of deliveries that cannot settle."""
    for problem in problems:
        log.error("%s %s: %s", problem.flow.name, problem.day, problem.error)
        services.notifier(problem.flow.topics).failure("delivery_stuck", problem.subject, problem.facts)


def due_date(at: datetime, deadline: timedelta) -> date:
    """The date whose deadline passes at ``at``: it ended ``deadline`` before."""
    return (at.astimezone(UTC) - deadline).date() - timedelta(days=1)


def run_tags(flow: FeedFlow) -> dict[str, str]:
    """What a run carries for concurrency limits, and for those who are told when it fails."""
    topic = {TOPIC_TAG: flow.topics.failure} if flow.topics.failure else {}
    return {FEED_TAG: flow.name, "source": flow.source, **topic}


def request(due: Due) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=due.run_key,
        partition_key=due.day.isoformat(),
        asset_selection=[raw_key(due.flow), clean_key(due.flow)],
        tags=run_tags(due.flow),
    )
