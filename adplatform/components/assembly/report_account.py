"""What an account whose reports are pulled consists of in Dagster, the same for every API."""

import dagster as dg

from adplatform.amazon.sources import ReportSource
from adplatform.components.assembly.care import care_schedules
from adplatform.components.assembly.fact_assets import fact_asset
from adplatform.components.assembly.origins import Origin, origin_asset
from adplatform.components.assembly.report_assets import report_assets
from adplatform.components.assembly.report_watch import watch_definitions
from adplatform.components.assembly.reports import orders_job, reports_sensor
from adplatform.components.assembly.specs import AssetSpecHook, tags_of, unchanged, with_hook
from adplatform.components.assembly.stream import stream_assets
from adplatform.components.assembly.workloads import workload_assets
from adplatform.platform.settings import read_settings
from adplatform.pull.account import account_of
from adplatform.pull.connect import Connect
from adplatform.pull.derived import derived_of
from adplatform.pull.pattern import account_source
from adplatform.pull.stream.tables import stream_of


def account_definitions(declared: ReportSource, connect: Connect, hook: AssetSpecHook = unchanged) -> dg.Definitions:
    """Assets of every report, the job that asks for them, the sensor that follows them, and the restatement watch."""
    settings, account = read_settings(), account_of(declared)
    status = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED
    schedule_status = dg.DefaultScheduleStatus.RUNNING if settings.automation else dg.DefaultScheduleStatus.STOPPED
    tags = tags_of(declared)
    assets = [
        report_assets(
            account,
            definition,
            [t for d, t in account.tables() if d is definition],
            declared.owners,
            tags,
            connect,
        )
        for definition in account.definitions
    ]
    assets += [fact_asset(each, declared.owners, tags) for each in derived_of(account)]
    assets = with_hook(assets, hook)
    orders = orders_job(account, connect)
    stream = stream_of(account)
    streamed = with_hook([stream_assets(stream, declared.owners, tags)] if stream else [], hook)
    sensor = reports_sensor(account, assets, orders, declared.check_every, status, connect, streamed)
    assets += streamed
    source = account_source(account, settings.raw_bucket)
    care = care_schedules(source, schedule_status)
    assets += workload_assets(source, declared.owners, tags, hook)
    origin = Origin(f"The account at Amazon whose {account.dimension}s are read", "amazon")
    outside = origin_asset(account.source, origin, declared.owners, tags, hook)
    pulled = dg.Definitions(assets=[outside, *assets], jobs=[orders], sensors=[sensor], schedules=care)
    return dg.Definitions.merge(pulled, watch_definitions(account, declared.owners, tags, schedule_status, hook))
