"""An Ads account as Dagster runs it: one run per report, one materialization per date that changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.amazon.sources import AdsSource
from adplatform.components import AmazonAdsReports, report_assets
from adplatform.flow.provision import provision
from adplatform.flow.reports.account import account_of
from adplatform.flow.services import Services
from adplatform_tests.support.report_api import MemoryReports

NOON = datetime(2026, 6, 10, 20, tzinfo=UTC)


def rows(scope: str, day: Any, as_of: datetime) -> list[dict[str, Any]]:
    age = (as_of.date() - day).days
    return [{"date": str(day), "campaignId": 2**60 + 1, "clicks": 100 - min(age, 3), "sales14d": 12.5}]


DECLARED = AdsSource.model_validate(
    {
        "source": "ads",
        "credentials": "ads/secret",
        "start_date": "2026-06-05",
        "spread": "0s",
        "profiles": [111],
        "reports": [
            {
                "name": "sp_small",
                "report_type": "spCampaigns",
                "group_by": ["campaign"],
                "columns": ["date", "campaignId", "clicks", "sales14d"],
            }
        ],
    }
)


@pytest.fixture
def at() -> list[datetime]:
    return [NOON]


@pytest.fixture
def timed(services: Services, at: list[datetime]) -> Services:
    moved = replace(services, now=lambda: at[0])
    provision(moved, [])
    return moved


def definitions(services: Services, api: MemoryReports) -> dg.Definitions:
    return dg.Definitions.merge(
        dg.component_defs(component=AmazonAdsReports(DECLARED, lambda *_: api)),
        dg.Definitions(
            resources={"services": dg.ResourceDefinition.hardcoded_resource(services)}, executor=dg.in_process_executor
        ),
    )


def tick(defs: dg.Definitions, services: Services, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    context = dg.build_sensor_context(instance=instance, definitions=defs, resources={"services": services})
    return list(defs.resolve_sensor_def("ads_reports").evaluate_tick(context).run_requests or ())


def test_the_sensor_orders_polls_and_downloads_and_dates_are_materialized_by_profile(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    api = MemoryReports(lambda: at[0], rows)
    defs = definitions(timed, api)
    (orders,) = tick(defs, timed, instance)
    assert orders.job_name == "ads_orders"
    assert defs.resolve_job_def("ads_orders").execute_in_process(instance=instance).success
    assert tick(defs, timed, instance) == [], "the report is not ready, and no run waits for it"
    at[0] += timedelta(minutes=20)
    (download,) = tick(defs, timed, instance)
    assert download.tags["dagster/asset_partition_range_start"] == "2026-06-05|111"
    result = dg.materialize(
        [defs.resolve_assets_def(dg.AssetKey(["raw", "ads", "sp_small"]))],
        instance=instance,
        tags={**download.tags, "dagster/run_key": str(download.run_key)},
    )
    assert result.success
    keys = {f"2026-06-{day:02d}|111" for day in range(5, 10)}
    assert instance.get_materialized_partitions(dg.AssetKey(["raw", "ads", "sp_small"])) == keys
    assert instance.get_materialized_partitions(dg.AssetKey(["clean", "ads", "sp_small"])) == keys
    assert [r.tags["adplatform/feed"] for r in tick(defs, timed, instance)] == ["ads/ads_daily"]
    checks = [
        e.asset_check_evaluation_data for e in result.all_events if e.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    assert {c.check_name for c in checks} >= {"row_conservation", "schema", "bounds"}
    assert all(c.passed for c in checks)
    assert account_of(DECLARED).dimension == "profile"


def test_a_report_whose_run_was_killed_is_run_again_at_once(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    api = MemoryReports(lambda: at[0], rows)
    defs = definitions(timed, api)
    defs.resolve_job_def("ads_orders").execute_in_process(instance=instance)
    at[0] += timedelta(minutes=20)
    (download,) = tick(defs, timed, instance)
    feed, key = download.tags[report_assets.REPORT_TAG].split(" ")
    report = timed.ledger.report(feed, key)
    assert report is not None
    timed.ledger.change_report(report, run_id="a-run-that-nobody-knows", attempt=1)
    (again,) = tick(defs, timed, instance)
    assert again.run_key != download.run_key
    assert again.tags[report_assets.REPORT_TAG] == download.tags[report_assets.REPORT_TAG]
