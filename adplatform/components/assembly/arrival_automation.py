"""What starts runs: the arrivals sensor of a source, the processing schedule and the deadline schedule of a feed."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Literal

import dagster as dg
from pydantic import AwareDatetime, BaseModel, ConfigDict

from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.delivery_assets import DEADLINE_TAG, TOPIC_TAG, clean_key, raw_key
from adplatform.components.assembly.ownership import automated
from adplatform.components.assembly.runs import FEED_TAG, RUN_KEY_TAG, at_work, runs_of, work_ended
from adplatform.contracts.source import Topics
from adplatform.flow.budget import Budget
from adplatform.flow.collection import collect_source, compare_recent
from adplatform.flow.hindrances import begin_hindrance, end_hindrances
from adplatform.flow.listing import Position, Round
from adplatform.flow.looks import LIST_EVERY, Progress, look_at
from adplatform.flow.private_directory import remove_left
from adplatform.flow.provision import open_settler
from adplatform.flow.services import Services
from adplatform.flow.settling import Due, Look, Mark, Problem, Waiting
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.untold import tell_untold
from adplatform.ledger.rows import digest

log = logging.getLogger(__name__)

ARRIVALS = "arrivals"
"""The kind of work that is hindered when deliveries cannot be judged."""
_REFUSED_EVERY = timedelta(hours=1)
_DEADLINES = 3
"""Dates whose deadline a tick asks about: the tick of an earlier one may have been skipped, or failed."""
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


def arrivals_sensor(
    source: Source,
    assets: Sequence[dg.AssetsDefinition],
    seconds: int,
    status: dg.DefaultSensorStatus,
    clock: Callable[[], float] = time.monotonic,
) -> dg.SensorDefinition:
    """Object events into the ledger, settled deliveries into runs. Feeds with a schedule wait for it.

    The ledger remembers everything, so a tick that dies at any point is repeated by the next, and the cursor holds
    nothing but where to go on.
    """

    @dg.sensor(
        name=f"{source.name}_arrivals",
        target=assets,
        minimum_interval_seconds=seconds,
        default_status=status,
        description=f"Settles what {source.name} delivers and starts its runs.",
    )
    @automated
    def arrivals(context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]) -> dg.SensorResult:
        budget = Budget.of(services.settings.tick_seconds, clock)
        before = read_progress(context.cursor, source)
        found, progress = look_at_source(services, source, context.instance, budget, before)
        requests = [request(d) for d in found.due if d.flow.feed.schedule is None]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else standing(found, progress),
            cursor=write_progress(progress, source, services.ledger.now()),
        )

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
    @automated
    def processing(context: dg.ScheduleEvaluationContext, services: dg.ResourceParam[Services]) -> list[dg.RunRequest]:
        return [request(d) for d in due_of_feed(services, source, flow, context.instance)]

    return processing


def deadline_schedule(
    source: Source, flow: FeedFlow, assets: Sequence[dg.AssetsDefinition], status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """Runs a date that was not delivered in time: its ``delivered`` check fails, and the run says so once a date."""
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
    @automated
    def missed(
        context: dg.ScheduleEvaluationContext, services: dg.ResourceParam[Services]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        last = due_date(context.scheduled_execution_time, deadline)
        days = [last - timedelta(days=n) for n in reversed(range(_DEADLINES))]
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
        return asked or dg.SkipReason(f"every date up to {last} was delivered or is known to be missed")

    return missed


def _was_judged(context: dg.ScheduleEvaluationContext, run_key: str) -> bool:
    """Whether a run of that key did not fail. Dagster looks for one of the same tick only."""
    if context.instance_ref is None:  # evaluated by hand
        return False
    runs = context.instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY_TAG: run_key}))
    return any(run.status is not dg.DagsterRunStatus.FAILURE for run in runs)


def collection_schedule(source: Source, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Removes replaced versions of the source's tables once a day, and mends their path copies."""

    def collect_versions(services: Services, run_id: str) -> None:
        for flow, collected in collect_source(services, source, run_id):
            log.info("%s: removed %s, repaired %s", flow.table, collected.removed, collected.repaired)
            if collected.compared.unclear:
                log.error("%s: nothing was removed: %s", flow.table, "; ".join(collected.compared.unclear))

    job = _job(source, "collect", collect_versions, f"Removes replaced versions of the tables of {source.name}.")
    return _schedule(job, "daily", "17 3 * * *", status)


def comparison_schedule(source: Source, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Compares the catalog with what the ledger says was published lately, and repairs what a late write changed."""

    def compare_catalog(services: Services, run_id: str) -> None:
        for flow, compared in compare_recent(services, source, run_id):
            log.info("%s: repaired %s, to look at %s", flow.table, compared.repaired, compared.to_report)

    job = _job(source, "compare", compare_catalog, f"Repairs what a late write made of the tables of {source.name}.")
    return _schedule(job, "hourly", "41 * * * *", status)


def _job(source: Source, name: str, work: Callable[[Services, str], None], description: str) -> dg.JobDefinition:
    """A job of one op that does ``work`` with the services and its run's id."""

    @dg.op(name=f"{source.name}_{work.__name__}")
    def step(context: dg.OpExecutionContext, services: dg.ResourceParam[Services]) -> None:
        with at_work(context, services, context.op.name):
            work(services, context.run.run_id)
        work_ended(context, services, context.op.name)

    @dg.job(name=f"{source.name}_{name}", description=description)
    def whole() -> None:
        step()

    return whole


def _schedule(job: dg.JobDefinition, often: str, cron: str, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{job.name}_{often}",
        job=job,
        cron_schedule=cron,
        description=job.description,
        execution_timezone="UTC",
        default_status=status,
    )
    @automated
    def run(context: dg.ScheduleEvaluationContext, services: dg.ResourceParam[Services]) -> dg.RunRequest:
        return dg.RunRequest()

    return run


def look_at_source(
    services: Services,
    source: Source,
    instance: dg.DagsterInstance,
    budget: Budget,
    before: Progress,
    every: timedelta = LIST_EVERY,
) -> tuple[Look, Progress]:
    """One look at a source; those who hear of failures are notified of what newly cannot settle or is refused."""
    runs = runs_of(services, instance)
    runs.sweep()
    remove_left(services.settings.temp)
    found, progress = look_at(open_settler(services, source), runs, budget, before, every)
    tell_stuck(services, source.name, found.problems)
    tell_hindered(services, source, found)
    notify_refused(services, source)
    return found, progress


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
    settler.reconcile(flow.layout.prefix, budget.share(0.5))
    runs = runs_of(services, instance)
    runs.sweep()
    found = settler.look(runs, budget, only=flow.name)
    tell_stuck(services, source.name, found.problems)
    tell_hindered(services, source, found)
    notify_refused(services, source)
    return list(found.due)


def standing(found: Look, progress: Progress) -> str:
    """What a source waits for, in a sentence."""
    more = "" if progress.at_end else "; more is to be looked at by the next tick"
    if not found.waiting:
        return f"nothing to start{more}"
    shown = [f"{each.flow.name} {each.day}: {_waits(each)}" for each in found.waiting[:MOST_SHOWN]]
    left = len(found.waiting) - len(shown)
    return f"nothing to start; {len(found.waiting)} deliveries wait: {'; '.join(shown)}" + (
        f"; and {left} more{more}" if left else more
    )


def _waits(waiting: Waiting) -> str:
    until = f" (until {waiting.wait.until:%Y-%m-%d %H:%M} UTC)" if waiting.wait.until else ""
    return f"{waiting.wait.because}{until}"


def notify_refused(services: Services, source: Source) -> None:
    """Notify of objects that are ignored though somebody meant to deliver them, each once and those of one reason in a
    message an hour; again with the next look when the message cannot be sent."""
    topics: Mapping[str, Topics] = {flow.name: flow.topics for flow in source.feeds}
    ledger = services.ledger
    for refused in ledger.objects.refused(source.name):
        told = ledger.messages.told(source.name, refused.sort_key)
        if told is not None and ledger.now() - told.at < _REFUSED_EVERY:
            continue
        count = f"{refused.objects} objects" if refused.objects != 1 else "an object"
        log.warning("%s: %s refused, first %s: %s", refused.feed, count, refused.first, refused.reason)
        sent = services.notifier(topics.get(refused.feed, source.feeds[0].topics)).failure(
            "objects_refused",
            f"{refused.feed}: {count} refused",
            {
                "feed": refused.feed,
                "objects": refused.objects,
                "first": refused.first,
                "reason": refused.reason,
                "action": refused.action,
            },
        )
        if sent:
            ledger.messages.put_told(source.name, refused.sort_key)
            ledger.objects.clear_refused(source.name, refused)


def tell_stuck(services: Services, source: str, problems: Iterable[Problem]) -> None:
    """Tell of deliveries that cannot settle, and whatever else of the source is still to be told."""
    for problem in problems:
        log.error("%s %s: %s", problem.flow.name, problem.day, problem.error)
    tell_untold(services, source)


def tell_hindered(services: Services, source: Source, found: Look) -> None:
    """Tell of what keeps deliveries from being judged where the platform runs, when it begins."""
    for hindrance in found.hindrances:
        facts = {"source": source.name, "error": str(hindrance)}
        subject = f"{source.name}: deliveries cannot be judged where the platform runs"
        tell = partial(services.notifier(source.feeds[0].topics).failure, "arrivals_hindered", subject, facts)
        begin_hindrance(services, source.name, ARRIVALS, hindrance, tell)
    if found.mark is None and not found.hindrances:
        end_hindrances(services, source.name, ARRIVALS)


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
