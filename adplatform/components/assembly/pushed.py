"""The assets of a source whose sender puts files into the landing zone, and what starts their runs."""

import dagster as dg

from adplatform.components.assembly.arrivals import arrivals_sensor, deadline_schedule, processing_schedule
from adplatform.components.assembly.care import care_schedules
from adplatform.components.assembly.delivery_assets import clean_asset, raw_asset
from adplatform.components.assembly.exports import export_assets
from adplatform.components.assembly.origins import Origin, origin_asset, origin_key
from adplatform.components.assembly.specs import AssetSpecHook, tags_of, unchanged, with_hook
from adplatform.components.assembly.workloads import brought_by, workload_assets
from adplatform.contracts.source import FileSource
from adplatform.flow.source import Source
from adplatform.platform.settings import read_settings


def pushed_definitions(
    source: Source, declared: FileSource, kinds: set[str], origin: Origin, hook: AssetSpecHook = unchanged
) -> dg.Definitions:
    """The assets of every feed, their care, and the sensor of arrivals. ``kinds`` are those of the raw assets, whose
    files come from ``origin`` where they are no results of a service."""
    settings = read_settings()
    sensor_status = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED
    schedule_status = dg.DefaultScheduleStatus.RUNNING if settings.automation else dg.DefaultScheduleStatus.STOPPED
    owners, tags = declared.owners, tags_of(declared)
    assets: list[dg.AssetsDefinition] = []
    schedules = care_schedules(source, schedule_status)
    for flow in source.feeds:
        own = kinds | {"pgp"} if flow.feed.pgp else kinds
        made_of = brought_by(flow, source) or [origin_key(source.name)]
        raw = raw_asset(flow, owners, own, tags, made_of=made_of)
        pair = with_hook([raw, clean_asset(flow, owners, tags)], hook)
        assets += with_hook(export_assets(flow, owners, tags), hook)
        if flow.feed.schedule:
            schedules.append(processing_schedule(source, flow, pair, flow.feed.schedule, schedule_status))
        if flow.feed.arrival.deadline is not None:
            schedules.append(deadline_schedule(source, flow, pair, schedule_status))
        assets += pair
    sensor = arrivals_sensor(source, assets, declared.check_every, sensor_status)
    assets += workload_assets(source, owners, tags, hook)
    outside = origin_asset(source.name, origin, owners, tags, hook)
    return dg.Definitions(assets=[outside, *assets], sensors=[sensor], schedules=schedules)
