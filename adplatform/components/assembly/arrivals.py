"""What starts runs: the arrivals sensor of a source, the processing schedule and the deadline schedule of a feed."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource
from pydantic import AwareDatetime, BaseModel, ConfigDict

from adplatform.components.assembly.automation import Automation, Looking, Tick, source_sensor, unless_paused
from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.delivery_assets import DEADLINE_TAG, TOPIC_TAG, clean_key, raw_key
from adplatform.components.assembly.delivery_jobs import delivery_jobs, in_jobs
from adplatform.components.assembly.metadata import DATA_VERSION_TAG, clean_metadata
from adplatform.components.assembly.ownership import automated
from adplatform.components.assembly.runs import FEED_TAG, RUN_KEY_TAG, SOURCE_TAG, runs_of
from adplatform.components.assembly.transforms import with_engines
from adplatform.flow.automation_names import deadline_name, processing_name
from adplatform.flow.budget import Budget
from adplatform.flow.listing import Position, Round
from adplatform.flow.looks import Progress, look_at
from adplatform.flow.measures import due_dates
from adplatform.flow.notices import notify_hindered, notify_refused, notify_stuck
from adplatform.flow.private_directory import remove_left
from adplatform.flow.provision import open_settler
from adplatform.flow.services import Services
from adplatform.flow.settling import Due, Look, Mark, Waiting
from adplatform.flow.source import FeedFlow, Source
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import digest
from adplatform.resources.named import (
    LedgerResource,
    MachineResource,
    NotificationsResource,
    QueuesResource,
    services_of,
)
from adplatform.transform.values import OutputColumn

log = logging.getLogger(__name__)

MOST_SHOWN = 5
"""Waiting deliveries that a tick names."""


class ArrivalsCursor(BaseModel):
    """Where the last tick stopped. ``lanes`` names the prefixes that its round of listing is about, ``left`` those not
    at their end, with the key and version behind which each goes on; ``days`` are of each feed the last looked at."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    version: Literal[2] = 2
    lanes: str
    listed: AwareDatetime
    left: dict[str, tuple[str, str]] = {}
    feed: str = ""
    days: dict[str, date] = {}


def read_progress(cursor: str | None, source: Source) -> Progress:
    """What an earlier tick left to do; of a cursor that fits no lanes of the source, nothing."""
    read = read_cursor(cursor, ArrivalsCursor)
    if read is None:
        return Progress()
    left = {lane: Position(*at) for lane, at in read.left.items() if at[0].startswith(lane) or at == ("", "")}
    listing = Round(read.listed, left) if read.lanes == _lanes(source) and set(left) == set(read.left) else None
    return Progress(listing, Mark(read.feed, read.days) if read.feed else None)


def write_progress(progress: Progress, source: Source, now: datetime) -> str:
    listing, mark = progress.listing or Round(now), progress.mark or Mark()
    return ArrivalsCursor(
        lanes=_lanes(source),
        listed=listing.started,
        left={lane: (at.key, at.version) for lane, at in listing.left.items()},
        feed=mark.feed,
        days=dict(mark.days),
    ).model_dump_json()


def _lanes(source: Source) -> str:
    return digest(*source.lanes)


@dataclass(frozen=True)
class Arrivals:
    """The runs of a source whose deliveries settle in its landing zone; as
    ``adplatform.components.assembly.automation.Automation``."""

    landing: Source

    @property
    def source(self) -> str:
        return self.landing.name

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        """Object events into the ledger, settled deliveries into runs. Feeds with a schedule wait for it."""
        before = read_progress(how.cursor, self.landing)
        runs = runs_of(services.ledger, instance)
        runs.sweep()
        remove_left(services.settings.temp)
        found, progress = look_at(open_settler(services, self.landing), runs, how.budget, before, how.list_every)
        _notify(services, self.landing, found)
        due = (d for d in found.due if how.everything or d.flow.feed.schedule is None)
        return Tick(
            tuple(request(d.flow, d.day, d.run_key) for d in due),
            standing(found, progress),
            waits=bool(found.waiting),
            cursor=write_progress(progress, self.landing, services.ledger.now()),
            at_end=progress.at_end,
        )

    def new_partitions(self, services: Services, instance: dg.DagsterInstance) -> list[dg.AddDynamicPartitionsRequest]:
        return []

    def request(self, flow: FeedFlow, day: date) -> dg.RunRequest:
        return request(flow, day)

    def materialization(
        self, services: Services, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
    ) -> dg.AssetMaterialization:
        return dg.AssetMaterialization(
            clean_key(flow),
            partition=publication.day.isoformat(),
            metadata=clean_metadata(services.zones, flow, publication, columns),
            tags={DATA_VERSION_TAG: f"{publication.day}/{publication.version}"},
        )


def arrivals_automation(source: Source) -> Automation:
    """What starts the runs of a source that delivers into its landing zone."""
    return in_jobs(with_engines(Arrivals(source), source), source)


def arrivals_sensor(
    source: Source,
    assets: Sequence[dg.AssetsDefinition],
    seconds: int,
    status: dg.DefaultSensorStatus,
    clock: Callable[[], float] = time.monotonic,
) -> dg.SensorDefinition:
    description = (
        f"Takes in events of objects (S3, EventBridge, SQS), settles what {source.name} delivers and starts its runs."
    )
    return source_sensor(
        arrivals_automation(source),
        f"{source.name}_arrivals",
        description,
        seconds,
        status,
        clock,
        jobs=delivery_jobs(source).declared(assets),
        kinds=("s3", "eventbridge", "sqs"),
    )


def processing_schedule(
    source: Source, flow: FeedFlow, assets: Sequence[dg.AssetsDefinition], cron: str, status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """Runs whatever has settled at the given times; what settles later waits for the next."""
    name = processing_name(flow)
    description = f"Publishes what has settled of {flow.name}; what settles later waits for the next time."

    @dg.schedule(
        name=name,
        job=dg.define_asset_job(name, selection=list(assets), description=description, tags={SOURCE_TAG: flow.source}),
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=status,
        description=description,
    )
    @automated
    @unless_paused(source.name)
    def processing(
        context: dg.ScheduleEvaluationContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        queues: QueuesResource,
        machine: MachineResource,
    ) -> list[dg.RunRequest]:
        services = services_of(s3, secrets, ledger, notifications, queues, machine)
        return [request(d.flow, d.day, d.run_key) for d in due_of_feed(services, source, flow, context.instance)]

    return processing


def deadline_schedule(
    source: Source, flow: FeedFlow, assets: Sequence[dg.AssetsDefinition], status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """Runs a date that was not delivered in time: its ``delivered`` check fails, and the run says so once a date."""
    deadline = flow.feed.arrival.deadline or timedelta()
    minutes = int(deadline.total_seconds() // 60)
    name = deadline_name(flow)
    description = f"Checks that each date of {flow.name} is there {deadline} after its end."

    @dg.schedule(
        name=name,
        job=dg.define_asset_job(name, selection=list(assets), description=description, tags={SOURCE_TAG: flow.source}),
        cron_schedule=f"{minutes % 60} {minutes // 60 % 24} * * *",
        execution_timezone="UTC",
        default_status=status,
        description=description,
    )
    @automated
    @unless_paused(source.name)
    def missed(context: dg.ScheduleEvaluationContext, ledger: LedgerResource) -> list[dg.RunRequest] | dg.SkipReason:
        services = services_of(ledger)
        days = due_dates(context.scheduled_execution_time, deadline)
        asked = [
            dg.RunRequest(
                run_key=key,
                partition_key=day.isoformat(),
                tags={**run_tags(flow), DEADLINE_TAG: "missed"},
                asset_selection=[raw_key(flow)],
            )
            for day, key in ((day, f"deadline:{flow.name}:{day}") for day in days)
            if day >= flow.feed.start_date
            and not services.ledger.deliveries.get(flow.name, day).version
            and not _was_judged(context, key)
        ]
        return asked or dg.SkipReason(f"every date up to {days[-1]} was delivered or is known to be missed")

    return missed


def _was_judged(context: dg.ScheduleEvaluationContext, run_key: str) -> bool:
    """Whether a run of that key did not fail. Dagster looks for one of the same tick only."""
    if context.instance_ref is None:  # evaluated by hand
        return False
    runs = context.instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY_TAG: run_key}))
    return any(run.status is not dg.DagsterRunStatus.FAILURE for run in runs)


def due_of_feed(
    services: Services,
    source: Source,
    flow: FeedFlow,
    instance: dg.DagsterInstance,
    clock: Callable[[], float] = time.monotonic,
) -> list[Due]:
    """What needs a run of one feed, once its landing zone was looked at."""
    budget = Budget.of(services.settings.tick_seconds, clock)
    settler = open_settler(services, source)
    settler.arrivals.reconcile(flow.layout.prefix, budget.share(0.5))
    runs = runs_of(services.ledger, instance)
    runs.sweep()
    found = settler.look(runs, budget, only=flow.name)
    _notify(services, source, found)
    return list(found.due)


def _notify(services: Services, source: Source, found: Look) -> None:
    noted = services.ledger.messages.noted(source.name)
    notify_stuck(services, source.name, found.problems, noted)
    notify_hindered(services, source, found, noted)
    notify_refused(services, source, noted)


def standing(found: Look, progress: Progress) -> str:
    """What a source waits for, in a sentence."""
    more = "" if progress.at_end else "; more is to be looked at by the next tick"
    if not found.waiting:
        return f"nothing to start{more}"
    shown = [f"{each.flow.name} {each.day}: {_waits(each)}" for each in found.waiting[:MOST_SHOWN]]
    left = len(found.waiting) - len(shown)
    counted = "1 delivery waits" if len(found.waiting) == 1 else f"{len(found.waiting)} deliveries wait"
    return f"nothing to start; {counted}: {'; '.join(shown)}" + (f"; and {left} more{more}" if left else more)


def _waits(waiting: Waiting) -> str:
    until = f" (until {waiting.wait.until:%Y-%m-%d %H:%M} UTC)" if waiting.wait.until else ""
    return f"{waiting.wait.because}{until}"


def run_tags(flow: FeedFlow) -> dict[str, str]:
    """What a run carries for concurrency limits, and for those who are notified when it fails."""
    topic = {TOPIC_TAG: flow.topics.failure} if flow.topics.failure else {}
    return {FEED_TAG: flow.name, "source": flow.source, **topic}


def request(flow: FeedFlow, day: date, run_key: str | None = None) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=run_key,
        partition_key=day.isoformat(),
        asset_selection=[raw_key(flow), clean_key(flow)],
        tags=run_tags(flow),
    )
