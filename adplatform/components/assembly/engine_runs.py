"""What starts the runs of a source that a managed engine brings, and shows where the engine's own runs stand."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import dagster as dg
from pydantic import AwareDatetime, BaseModel, ConfigDict

from adplatform.components.assembly.arrivals import Arrivals, deadline_schedule, request, standing
from adplatform.components.assembly.automation import Automation, Looking, Tick, source_sensor
from adplatform.components.assembly.care import care_schedules
from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.delivery_assets import clean_asset, raw_asset, raw_key
from adplatform.components.assembly.delivery_jobs import delivery_jobs, in_jobs
from adplatform.components.assembly.exports import export_assets
from adplatform.components.assembly.metadata import engine_run_metadata
from adplatform.components.assembly.origins import Origin, origin_asset, origin_key
from adplatform.components.assembly.runs import runs_of
from adplatform.components.assembly.specs import AssetSpecHook, tags_of, unchanged, with_hook
from adplatform.components.assembly.transforms import with_engines
from adplatform.components.assembly.workloads import workload_assets
from adplatform.contracts.source import FileSource
from adplatform.engines.events import woken
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.window_flows import feed_name
from adplatform.flow.arrivals import Arrivals as Objects
from adplatform.flow.listing import new_round
from adplatform.flow.looks import Progress
from adplatform.flow.notices import notify_hindered, notify_refused, notify_stuck
from adplatform.flow.private_directory import remove_left
from adplatform.flow.services import Services
from adplatform.flow.settling import MOST_STARTED, Mark, Settler
from adplatform.flow.source import FeedFlow
from adplatform.ledger.engine_run import EngineRun
from adplatform.ledger.publications import Publication
from adplatform.platform.settings import read_settings
from adplatform.transform.values import OutputColumn


class EnginesCursor(BaseModel):
    """Where the last tick stopped: when the newest known run of each target started, when the engines were asked, and
    of the deliveries the feed and dates that were looked at last."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    version: Literal[1] = 1
    newest: dict[str, AwareDatetime] = {}
    looked_at: AwareDatetime | None = None
    feed: str = ""
    days: dict[str, date] = {}


@dataclass(frozen=True)
class EngineRuns:
    """The runs of a source whose files a managed engine writes; as
    ``adplatform.components.assembly.automation.Automation``."""

    pattern: EngineFiles
    every: timedelta = timedelta(0)
    """How long the engines may go unasked while no event comes."""

    @property
    def source(self) -> str:
        return self.pattern.source.name

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        """Start, watch and land the engine's runs; deliveries that are complete by them become runs here."""
        before, now = read_cursor(how.cursor, EnginesCursor) or EnginesCursor(), services.ledger.now()
        asked = before.looked_at
        came = bool(self.pattern.events) and woken(services, self.pattern.reported_to)
        if not came and not how.everything and asked and now - asked < self.every:
            return Tick((), f"no engine has reported anything since {asked:%H:%M:%S} UTC", cursor=how.cursor)
        watch = self.pattern.watch(services)
        source = watch.source
        runs = runs_of(services.ledger, instance)
        runs.sweep()
        remove_left(services.settings.temp)
        engine = watch.look(before.newest, how.budget.share(0.5))
        settler = Settler(Objects(source, services.s3, services.ledger), services.zones)
        mark = Mark(before.feed, before.days) if before.feed else None
        found = settler.look(runs, how.budget, mark, most=MOST_STARTED)
        notify_stuck(services, source.name, found.problems)
        notify_refused(services, source)
        notify_hindered(services, source, found)
        left = found.mark or Mark()
        # What a look left undone is gone on with at the next tick.
        at = EnginesCursor(
            newest=dict(engine.newest),
            looked_at=now if found.mark is None else None,
            feed=left.feed,
            days=dict(left.days),
        )
        going = f"; {engine.active} runs of the engine have not landed" if engine.active else ""
        return Tick(
            tuple(request(due.flow, due.day, due.run_key) for due in found.due),
            standing(found, Progress(new_round(services.ledger.now(), ()), found.mark)) + going,
            waits=bool(found.waiting) or engine.active > 0,
            cursor=at.model_dump_json(),
            at_end=found.mark is None,
            events=tuple(self._event(run) for run in engine.changed),
        )

    def new_partitions(self, services: Services, instance: dg.DagsterInstance) -> list[dg.AddDynamicPartitionsRequest]:
        return []

    def request(self, flow: FeedFlow, day: date) -> dg.RunRequest:
        return request(flow, day)

    def materialization(
        self, services: Services, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
    ) -> dg.AssetMaterialization:
        return Arrivals(self.pattern.source).materialization(services, flow, publication, columns)

    def _event(self, run: EngineRun) -> dg.AssetObservation:
        """Where a run stands, among the events of the raw asset that it brings."""
        flow = next((each for each in self.pattern.source.feeds if each.feed.name == feed_name(run.target)), None)
        key = raw_key(flow or self.pattern.source.feeds[0])
        return dg.AssetObservation(key, description=f"run {run.run_id}: {run.state}", metadata=engine_run_metadata(run))


Wrapped = Callable[[Automation], Automation]


def unwrapped(automation: Automation) -> Automation:
    return automation


TICKS = 10
"""Seconds between two ticks, at most: one that no event wakes costs a call or two."""


def engine_sensor(
    pattern: EngineFiles,
    assets: Sequence[dg.AssetsDefinition],
    seconds: int,
    status: dg.DefaultSensorStatus,
    wrap: Wrapped = unwrapped,
    jobs: Sequence[dg.JobDefinition] = (),
) -> dg.SensorDefinition:
    """``jobs`` are those of other runs that a look starts, beside those of ``assets``."""

    automation = EngineRuns(pattern, timedelta(seconds=seconds))
    return source_sensor(
        in_jobs(wrap(with_engines(automation, pattern.source)), pattern.source),
        f"{pattern.source.name}_runs",
        f"Starts and watches the engine's runs of {pattern.source.name} and processes what they brought.",
        min(seconds, TICKS),
        status,
        jobs=[*jobs, *delivery_jobs(pattern.source).declared(assets)],
    )


def engine_definitions(
    pattern: EngineFiles,
    declared: FileSource,
    kinds: set[str],
    origin: Origin,
    hook: AssetSpecHook = unchanged,
    wrap: Wrapped = unwrapped,
    jobs: Sequence[dg.JobDefinition] = (),
    made: Sequence[dg.AssetsDefinition] = (),
) -> dg.Definitions:
    """The assets of every feed, their care, and the sensor that follows the engine's runs. ``kinds`` are those of the
    raw assets, ``origin`` is what the engine reads; ``jobs`` are of what a look starts beside runs of the assets, which
    ``wrap`` adds. ``made`` are assets of tables that are made of those of the feeds."""
    settings, source = read_settings(), pattern.source
    sensor_status = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED
    schedule_status = dg.DefaultScheduleStatus.RUNNING if settings.automation else dg.DefaultScheduleStatus.STOPPED
    owners, tags = declared.owners, tags_of(declared)
    assets: list[dg.AssetsDefinition] = []
    schedules = care_schedules(source, schedule_status, pattern.watch)
    for flow in source.feeds:
        pair = with_hook(
            [raw_asset(flow, owners, kinds, tags, made_of=[origin_key(source.name)]), clean_asset(flow, owners, tags)],
            hook,
        )
        assets += with_hook(export_assets(flow, owners, tags), hook)
        if flow.feed.arrival.deadline is not None:
            schedules.append(deadline_schedule(source, flow, pair, schedule_status))
        assets += pair
    assets += made
    sensor = engine_sensor(pattern, assets, declared.check_every, sensor_status, wrap, jobs)
    assets += workload_assets(source, owners, tags, hook)
    outside = origin_asset(source.name, origin, owners, tags, hook)
    return dg.Definitions(assets=[outside, *assets], sensors=[sensor], schedules=schedules)
