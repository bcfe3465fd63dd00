"""An Ads account as Dagster runs it: one run per report, one materialization per date that changed."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from adplatform.amazon.ads.unified.client import UnifiedReports
from adplatform.amazon.reports import ReportStatus
from adplatform.amazon.sources import AdsSource, SellingPartnerSource
from adplatform.components import AmazonAdsReports
from adplatform.components.assembly import report_assets
from adplatform.components.assembly.metadata import report_metadata
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.report import ReportState
from adplatform.ledger.scopes import Scope
from adplatform.pull.account import account_of
from adplatform.pull.land import published
from adplatform.resources.report_apis import open_api
from adplatform_tests.support.platforms import resources_with
from adplatform_tests.support.report_api import MemoryReports

NOON = datetime(2026, 6, 10, 20, tzinfo=UTC)


def rows(scope: str, day: Any, as_of: datetime) -> list[dict[str, Any]]:
    age = (as_of.date() - day).days
    named = {"campaignId": 2**60 + 1, "campaignName": "us_search"}
    return [{"date": str(day), **named, "clicks": 100 - min(age, 3), "sales14d": 12.5}]


DECLARED = AdsSource.model_validate(
    {
        "source": "ads",
        "naming": {"campaign_name": "{market}_{channel}"},
        "credentials": "ads/secret",
        "start_date": "2026-06-05",
        "spread": "0s",
        "profiles": [111],
        "consumers": ["quicksight"],
        "usual_volume": True,
        "reports": [
            {
                "name": "sp_small",
                "report_type": "spCampaigns",
                "group_by": ["campaign"],
                "columns": ["date", "campaignId", "campaignName", "clicks", "sales14d"],
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


def definitions(services: Services, api: MemoryReports, declared: AdsSource = DECLARED) -> dg.Definitions:
    return dg.Definitions.merge(
        dg.component_defs(component=AmazonAdsReports(declared, lambda *_: api)),
        dg.Definitions(resources=resources_with(services), executor=dg.in_process_executor),
    )


def evaluate(defs: dg.Definitions, services: Services, instance: dg.DagsterInstance) -> SensorExecutionData:
    context = dg.build_sensor_context(instance=instance, definitions=defs, resources=resources_with(services))
    return defs.resolve_sensor_def("ads_reports").evaluate_tick(context)


def tick(defs: dg.Definitions, services: Services, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    return list(evaluate(defs, services, instance).run_requests or ())


def reported(events: Iterable[Any]) -> list[str]:
    """The descriptions of the observations among events."""
    return [str(event.description) for event in events if isinstance(event, dg.AssetObservation)]


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
    assert {c.check_name for c in checks} >= {
        "row_conservation",
        "schema",
        "bounds",
        "usual_volume",
        "fit_for_quicksight",
    }
    assert all(c.passed for c in checks)
    assert {c.metadata["campaign_name_rows"].value for c in checks if c.check_name == "naming"} == {1}
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
    report = timed.ledger.reports.get(feed, key)
    assert report is not None
    timed.ledger.reports.claim(report, "a-run-that-nobody-knows")
    (again,) = tick(defs, timed, instance)
    assert again.run_key != download.run_key
    assert again.tags[report_assets.REPORT_TAG] == download.tags[report_assets.REPORT_TAG]


def test_the_ui_tells_where_a_report_stands_from_its_order_to_its_end(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    api = MemoryReports(lambda: at[0], rows, takes=timedelta(hours=5), outcomes=[ReportStatus.FAILED])
    defs = definitions(timed, api)
    ordered = defs.resolve_job_def("ads_orders").execute_in_process(instance=instance)
    assert [
        e.event_specific_data.asset_observation.description
        for e in ordered.all_events
        if e.event_type_value == "ASSET_OBSERVATION"
    ] == ["111 2026-06-05 to 2026-06-09: requested"]
    at[0] += timedelta(hours=1)
    waiting = evaluate(defs, timed, instance)
    assert reported(waiting.asset_events) == [], "nothing happened"
    assert str(waiting.skip_message).startswith("nothing to start; reports on their way: 1 requested; the next is")
    at[0] += timedelta(hours=3)
    late = evaluate(defs, timed, instance)
    assert reported(late.asset_events) == ["111 2026-06-05 to 2026-06-09: requested, overdue"]
    assert "1 requested, overdue" in str(late.skip_message)
    at[0] += timedelta(hours=1)
    ended = evaluate(defs, timed, instance)
    assert reported(ended.asset_events) == ["111 2026-06-05 to 2026-06-09: failed"]
    (event,) = ended.asset_events
    assert event.metadata["adplatform/note"].value == "internal error"
    assert event.metadata["adplatform/polls"].value == 3
    assert "adplatform reports ads/sp_small/111 report-00001" in str(event.metadata["adplatform/ledger"].value)
    at[0] += timedelta(hours=1)
    defs.resolve_job_def("ads_orders").execute_in_process(instance=instance)
    at[0] += timedelta(hours=6)
    assert reported(evaluate(defs, timed, instance).asset_events) == ["111 2026-06-05 to 2026-06-09: ready"]


def test_a_run_that_fails_says_which_report_and_what_becomes_of_it(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    api = MemoryReports(lambda: at[0], rows, broken_downloads=1)
    defs = definitions(timed, api)
    defs.resolve_job_def("ads_orders").execute_in_process(instance=instance)
    at[0] += timedelta(minutes=20)
    (download,) = tick(defs, timed, instance)
    result = dg.materialize(
        [defs.resolve_assets_def(dg.AssetKey(["raw", "ads", "sp_small"]))],
        instance=instance,
        tags=download.tags,
        raise_on_error=False,
    )
    failure = result.failure_data_for_node("report__ads__sp_small")
    assert failure is not None
    assert failure.user_failure_data is not None
    text = str(failure.user_failure_data.description)
    assert text.startswith("ads/sp_small/111 2026-06-05 to 2026-06-09, report report-00001: ")
    assert text.endswith("; it is tried again from 2026-06-10 20:25:00 UTC")


def test_a_report_of_which_nothing_was_published_is_not_done_and_nobody_is_to_send_anything(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    api = MemoryReports(lambda: at[0], lambda _, day, __: [{"date": str(day), "campaignId": "x", "clicks": "many"}])
    defs = definitions(timed, api)
    defs.resolve_job_def("ads_orders").execute_in_process(instance=instance)
    at[0] += timedelta(minutes=20)
    (download,) = tick(defs, timed, instance)
    pull = defs.resolve_assets_def(dg.AssetKey(["raw", "ads", "sp_small"]))
    assert not dg.materialize([pull], instance=instance, tags=download.tags, raise_on_error=False).success
    (report,) = timed.ledger.reports.of_feed("ads/sp_small/111")
    assert (report.state, report.rows) == (ReportState.UNPUBLISHED, 5)
    assert "bounds" in report.error
    assert not re.search("send|partner", report.error)
    assert report.error.count("ads/sp_small/111 2026-06-05") == 1
    assert report_metadata(replace(report, doubt="garbled"))["adplatform/warning"] == "garbled"
    orders = len(api.placed)
    defs.resolve_job_def("ads_orders").execute_in_process(instance=instance)
    assert len(api.placed) == orders, "it is not ordered again"
    account = account_of(DECLARED)
    (definition,) = account.definitions
    flow = account.flow(definition.datasets[0], "111")
    published(timed.ledger, account, definition, flow, report.days[0])
    assert [r.state for r in timed.ledger.reports.of_feed("ads/sp_small/111")] == [ReportState.DONE]


def test_dates_show_which_report_brought_them_as_of_when_and_at_which_age(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    defs = definitions(timed, MemoryReports(lambda: at[0], rows))
    defs.resolve_job_def("ads_orders").execute_in_process(instance=instance)
    at[0] += timedelta(minutes=20)
    (download,) = tick(defs, timed, instance)
    assets = [defs.resolve_assets_def(dg.AssetKey(["raw", "ads", "sp_small"]))]
    result = dg.materialize(assets, instance=instance, tags=download.tags)
    for zone, instant in (("raw", "adplatform/asked_at"), ("clean", "adplatform/as_of")):
        (event,) = [
            e.materialization
            for e in result.get_asset_materialization_events()
            if e.materialization.asset_key.path[0] == zone and e.partition == "2026-06-07|111"
        ]
        assert event.metadata["adplatform/age"].value == 3
        assert event.metadata["adplatform/wave"].value == 3
        assert event.metadata["adplatform/report_id"].value == "report-00001"
        assert event.metadata[instant].value == NOON.timestamp()


def test_raw_assets_show_the_columns_of_the_documents_and_when_dates_are_asked_for(timed: Services) -> None:
    raw = definitions(timed, MemoryReports(lambda: NOON, rows)).resolve_assets_def(
        dg.AssetKey(["raw", "ads", "sp_small"])
    )
    specs = {spec.key.path[0]: spec for spec in raw.specs}
    columns = [column.name for column in specs["raw"].metadata["dagster/column_schema"].columns]
    assert columns == ["date", "campaignId", "campaignName", "clicks", "sales14d"]
    assert str(specs["raw"].description).endswith(
        "asked for at the ages of 1 to 14, 21, 28, 35, 42, 63 days, in ranges of up to 31 days; Amazon keeps 95 days."
    )
    lineage = specs["clean"].metadata["dagster/column_lineage"].deps_by_column
    assert {"campaign_id", "as_of"} & set(lineage) == {"campaign_id"}, "stamps are of no document"
    blocking = {check.name for check in raw.check_specs if check.blocking}
    assert blocking == {"row_conservation", "schema", "bounds", "no_personal_data_in_clear"}
    assert "metrics_of_their_type" in {check.name for check in raw.check_specs}


def test_a_raw_asset_of_several_tables_shows_the_columns_of_all() -> None:
    declared = {"source": "shop", "credentials": "s", "start_date": "2026-01-01", "reports": ["sales_and_traffic"]}
    account = account_of(SellingPartnerSource.model_validate(declared))
    (definition,) = account.definitions
    step = report_assets.report_assets(account, definition, [flow for _, flow in account.tables()], [], {})
    (raw,) = [spec for spec in step.specs if spec.key.path[0] == "raw"]
    assert {"date", "childAsin"} <= {column.name for column in raw.metadata["dagster/column_schema"].columns}


def test_profiles_that_are_discovered_become_partitions_while_the_sensor_runs(
    timed: Services, at: list[datetime], instance: dg.DagsterInstance
) -> None:
    discovering = AdsSource.model_validate(
        DECLARED.model_dump(exclude_unset=True) | {"profiles": {"countries": ["US"]}}
    )
    api = MemoryReports(lambda: at[0], rows)
    defs = definitions(timed, api, discovering)
    assert not evaluate(defs, timed, instance).dynamic_partitions_requests, "nobody is known yet"
    for known, added in ((1, ["111"]), (2, ["222"])):
        api.profiles = tuple(Scope(f"{n}{n}{n}", "America/Los_Angeles", "US", "USD") for n in range(1, known + 1))
        assert defs.resolve_job_def("ads_orders").execute_in_process(instance=instance).success
        (request,) = evaluate(defs, timed, instance).dynamic_partitions_requests or ()
        assert (request.partitions_def_name, request.partition_keys) == ("ads_profiles", added)
        instance.add_dynamic_partitions("ads_profiles", added)


def test_a_source_of_the_ads_api_v1_is_partitioned_by_advertiser_account_and_asks_that_api(services: Services) -> None:
    declared = AdsSource.model_validate(
        {"source": "all", "api": "v1", "credentials": "a", "start_date": "2026-06-05", "reports": ["unified_campaigns"]}
    )
    assert isinstance(open_api(services, account_of(declared)), UnifiedReports)
    defs = definitions(services, MemoryReports(lambda: NOON, rows), declared)
    partitions = defs.resolve_assets_def(dg.AssetKey(["clean", "all", "unified_campaigns"])).partitions_def
    assert isinstance(partitions, dg.MultiPartitionsDefinition)
    assert "ads_account" in {each.name for each in partitions.partitions_defs}
