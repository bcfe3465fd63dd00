"""The daily fact as Dagster runs it: one run for all dates that are due, one materialization for each."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.amazon.sources import AdsSource
from adplatform.components import AmazonAdsReports
from adplatform.components.assembly.fact_assets import FACT_TAG
from adplatform.components.assembly.reports import RANGE_END, RANGE_START, request_facts
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.derived import Stale
from adplatform.pull.account import account_of
from adplatform.pull.derived import derived_of
from adplatform_tests.support.ledger_rows import put_delivery
from adplatform_tests.support.platforms import resources_with
from adplatform_tests.support.report_api import MemoryReports

NOON = datetime(2026, 6, 10, 20, tzinfo=UTC)
FACT = dg.AssetKey(["clean", "ads", "ads_daily"])
INPUT = dg.AssetKey(["clean", "ads", "sp_small"])
DECLARED = {
    "source": "ads",
    "credentials": "ads/secret",
    "start_date": "2026-06-08",
    "spread": "0s",
    "profiles": [111],
    "owners": ["team:media"],
    "consumers": ["athena"],
    "reports": [
        {
            "name": "sp_small",
            "report_type": "spCampaigns",
            "group_by": ["campaign"],
            "columns": ["date", "campaignId", "clicks", "cost"],
        }
    ],
}


def rows(scope: str, day: Any, as_of: datetime) -> list[dict[str, Any]]:
    return [{"date": str(day), "campaignId": 2**60 + 1, "clicks": 100, "cost": 12.5}]


@pytest.fixture
def at() -> list[datetime]:
    return [NOON]


@pytest.fixture
def timed(services: Services, at: list[datetime]) -> Services:
    moved = replace(services, now=lambda: at[0])
    provision(moved, [])
    return moved


def definitions(services: Services, api: MemoryReports, **changes: Any) -> dg.Definitions:
    declared = AdsSource.model_validate({**DECLARED, **changes})
    return dg.Definitions.merge(
        dg.component_defs(component=AmazonAdsReports(declared, lambda *_: api)),
        dg.Definitions(resources=resources_with(services), executor=dg.in_process_executor),
    )


def tick(defs: dg.Definitions, services: Services, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    context = dg.build_sensor_context(instance=instance, definitions=defs, resources=resources_with(services))
    return list(defs.resolve_sensor_def("ads_reports").evaluate_tick(context).run_requests or ())


def run(defs: dg.Definitions, request: dg.RunRequest, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [defs.resolve_assets_def(key) for key in (request.asset_selection or ())[:1]],
        instance=instance,
        tags=dict(request.tags),
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def pulled(
    services: Services, at: list[datetime], instance: dg.DagsterInstance, **changes: Any
) -> tuple[dg.Definitions, dg.RunRequest]:
    """Orders placed, reports published; the definitions and the request for the fact."""
    defs = definitions(services, MemoryReports(lambda: at[0], rows), **changes)
    (orders,) = tick(defs, services, instance)
    assert defs.resolve_job_def(str(orders.job_name)).execute_in_process(instance=instance).success
    at[0] += timedelta(minutes=20)
    (download,) = tick(defs, services, instance)
    assert run(defs, download, instance).success
    (request,) = tick(defs, services, instance)
    return defs, request


def clicks(services: Services) -> list[tuple[Any, ...]]:
    prefix = services.settings.database_prefix
    sql = f"select cast(dt as date), profile_id, campaign_id, clicks, purchases from {prefix}ads.ads_daily order by all"
    return run_query(services.aws, services.glue, prefix, sql, 100)[1]


@pytest.mark.parametrize(
    "profiles", [[111], pytest.param({"countries": ["US"]}, marks=pytest.mark.slow)], ids=["declared", "discovered"]
)
def test_one_run_builds_every_date_that_is_due(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance, profiles: Any
) -> None:
    instance.add_dynamic_partitions("ads_profiles", ["111"])  # what the daemon does with the sensor's result
    defs, request = pulled(timed, at, instance, profiles=profiles)
    assert request.tags[FACT_TAG] == "ads/ads_daily"
    assert request.tags[RANGE_START] == "2026-06-08|111"
    assert request.tags[RANGE_END] == "2026-06-09|111"
    result = run(defs, request, instance)
    assert result.success
    days = [date(2026, 6, 8), date(2026, 6, 9)]
    assert instance.get_materialized_partitions(FACT) == {f"{day}|111" for day in days}
    assert clicks(timed) == [(day, "111", 2**60 + 1, 100, None) for day in days]
    checks = [
        e.asset_check_evaluation_data for e in result.all_events if e.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    assert {(c.check_name, c.partition) for c in checks} >= {
        ("equals_inputs", "2026-06-08|111"),
        ("equals_documents", "2026-06-08|111"),
        ("bounds", "2026-06-09|111"),
        ("fit_for_athena", "2026-06-09|111"),
    }
    assert all(c.passed for c in checks)
    assert tick(defs, timed, instance) == []


def test_a_second_run_waits_for_the_first_and_for_a_while_after_it_failed(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    defs, request = pulled(timed, at, instance)
    timed.ledger.derived.mark("ads/ads_daily", date(2026, 6, 9), "111")
    waiting = instance.create_run_for_job(
        defs.resolve_job_def(str(request.job_name)), tags=dict(request.tags), asset_selection=frozenset({FACT})
    )
    assert tick(defs, timed, instance) == []
    instance.report_run_failed(waiting)
    assert tick(defs, timed, instance) == []


def test_what_a_killed_run_held_is_freed_and_built(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    defs, request = pulled(timed, at, instance)
    assert run(defs, request, instance).success
    name, day = "ads/ads_daily/111", date(2026, 6, 9)
    timed.ledger.deliveries.reopen(name, day)
    put_delivery(
        timed.ledger, name, timed.ledger.deliveries.get(name, day), state=DeliveryState.RUNNING, run_id="killed"
    )
    timed.ledger.derived.mark("ads/ads_daily", day, "111")
    (again,) = tick(defs, timed, instance)
    assert run(defs, again, instance).success
    assert timed.ledger.deliveries.get(name, day).state is DeliveryState.PUBLISHED
    assert timed.ledger.derived.stale("ads/ads_daily") == []


@pytest.mark.slow
def test_somebody_may_build_partitions_whether_or_not_they_are_due(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    defs, _ = pulled(timed, at, instance)
    for stale in timed.ledger.derived.stale("ads/ads_daily"):
        timed.ledger.derived.clear("ads/ads_daily", stale)
    result = dg.materialize([defs.resolve_assets_def(FACT)], instance=instance, partition_key="2026-06-09|111")
    assert result.success
    versions = [timed.ledger.deliveries.get("ads/ads_daily/111", date(2026, 6, day)).published for day in (8, 9)]
    assert versions == [0, 1]
    assert timed.ledger.derived.stale("ads/ads_daily") == []


def test_the_asset_depends_on_its_tables_with_columns_lineage_checks_and_owner(timed: Services) -> None:
    api = MemoryReports(lambda: NOON, rows)
    defs = definitions(timed, api, reports=["sp_ad_groups", "sp_search_terms", "sb_campaigns"])
    (spec,) = [s for s in defs.resolve_all_asset_specs() if s.key == FACT]
    deps = {d.asset_key.path[-1] for d in spec.deps}
    assert (deps, list(spec.owners), spec.tags["zone"]) == ({"sp_ad_groups", "sb_campaigns"}, ["team:media"], "clean")
    schema = {c.name: c.type for c in spec.metadata["dagster/column_schema"].columns}
    assert schema["cost"] == "decimal(38,6)"
    lineage = spec.metadata["dagster/column_lineage"].deps_by_column
    assert {(d.asset_key.path[-1], d.column_name) for d in lineage["units"]} == {
        ("sp_ad_groups", "units_sold_clicks_14d"),
        ("sb_campaigns", "units_sold"),
    }
    assert [(d.asset_key.path[-1], d.column_name) for d in lineage["ad_group_id"]] == [("sp_ad_groups", "ad_group_id")]


def test_the_range_of_a_run_follows_the_order_of_the_partitions() -> None:
    (fact,) = derived_of(account_of(AdsSource.model_validate(DECLARED)))
    due = [Stale(date(2026, 6, day), 1, NOON, scope) for day, scope in ((9, "111"), (8, "222"), (1, "gone"))]
    (request,) = request_facts(fact, due, ["222", "111"])
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2026-06-08|222", "2026-06-09|111")
    assert request_facts(fact, due[2:], ["222", "111"]) == []


def test_an_account_without_campaigns_has_no_fact(timed: Services) -> None:
    defs = definitions(timed, MemoryReports(lambda: NOON, rows), reports=["sp_search_terms"])
    assert FACT not in {s.key for s in defs.resolve_all_asset_specs()}
