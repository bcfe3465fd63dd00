"""The restatement watch as Dagster runs it: plots, changes and checks of each report table."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest
from dagster_shared.serdes import serialize_value

from adplatform.amazon.sources import AdsSource, ReportSource, SellingPartnerSource
from adplatform.components import AmazonAdsReports
from adplatform.components.assembly.report_account import account_definitions
from adplatform.components.assembly.report_watch import SHOWN_CHANGES, SHOWN_PLOTS, watch_definitions
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.observations import Observation
from adplatform.ledger.scopes import Planned, Scope
from adplatform.operations.svg import SHOWN_AT_ONCE
from adplatform.pull.account import account_of
from adplatform.resources.report_apis import open_api
from adplatform_tests.support.ledger_rows import put_delivery
from adplatform_tests.support.platforms import resources_with
from adplatform_tests.support.report_api import MemoryReports

NOON = datetime(2026, 6, 10, 19, tzinfo=UTC)
TODAY = date(2026, 6, 10)
KEY = dg.AssetKey(["restatement", "ads", "sp_small"])
CHECKS = {"usual_restatement", "fresh_by_data_date", "within_retention"}
SMALL = {
    "name": "sp_small",
    "report_type": "spCampaigns",
    "group_by": ["campaign"],
    "columns": ["date", "campaignId", "clicks", "sales14d"],
}


def declare(**changes: Any) -> AdsSource:
    declared = {"source": "ads", "credentials": "ads/secret", "start_date": "2026-01-01", "reports": [SMALL]}
    return AdsSource.model_validate(declared | changes)


@pytest.fixture
def timed(services: Services) -> Services:
    moved = replace(services, now=lambda: NOON)
    provision(moved, [])
    return moved


def definitions(services: Any, defs: dg.Definitions) -> dg.Definitions:
    resources = resources_with(services)
    return dg.Definitions.merge(defs, dg.Definitions(resources=resources, executor=dg.in_process_executor))


def audit(declared: ReportSource) -> dg.Definitions:
    return watch_definitions(account_of(declared), declared.owners, declared.tags, dg.DefaultScheduleStatus.STOPPED)


def audits(declared: ReportSource) -> dg.Definitions:
    return definitions(None, audit(declared))


def run(
    services: Services, instance: dg.DagsterInstance
) -> tuple[dg.ExecuteInProcessResult, dict[str, dg.AssetCheckEvaluation]]:
    defs = definitions(services, audit(declare()))
    result = dg.materialize([defs.resolve_assets_def(KEY)], instance=instance)
    return result, {check.check_name: check for check in result.get_asset_check_evaluations()}


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    assert event.partition is None
    return dict(event.materialization.metadata)


def observe(services: Services, scope: str, day: date, age: int, clicks: int) -> None:
    as_of = datetime(day.year, day.month, day.day, 19, tzinfo=UTC) + timedelta(days=age)
    totals = {"clicks": Decimal(clicks), "sales14d": Decimal("58.989999999999995")}
    seen = Observation(day, as_of, age, age, f"r{day}{age}", rows=5, content="c", totals=totals)
    services.ledger.observations.put(f"ads/sp_small/{scope}", seen)


def fill(services: Services, scopes: int, odd: dict[str, int] | None = None) -> None:
    """Dates of three weeks for each scope, fresh; clicks of those in ``odd`` double at age 9 that many days ago."""
    ids = [f"{100 + n}" for n in range(scopes)]
    services.ledger.scopes.put("ads", [Scope(i, "America/Los_Angeles", "US", seen_at=NOON) for i in ids])
    for scope in ids:
        put_delivery(services.ledger, f"ads/sp_small/{scope}", Delivery(date(2026, 6, 9)), version=1, published=1)
        for back in range(1, 20, 3):
            day = TODAY - timedelta(days=back)
            for age in (a for a in (1, 2, 3, 9) if a <= back):
                observe(services, scope, day, age, 1000 - 10 * min(age, 3) - back)
        if scope in (odd or {}):
            day = TODAY - timedelta(days=9 + (odd or {})[scope])
            observe(services, scope, day, 4, 500)
            observe(services, scope, day, 9, 1000)


def test_an_account_without_any_data_has_passing_checks(timed: Services, instance: dg.DagsterInstance) -> None:
    result, checks = run(timed, instance)
    assert result.success
    assert {name: check.passed for name, check in checks.items()} == dict.fromkeys(CHECKS, True)
    assert checks["fresh_by_data_date"].description == "no scope is known yet"
    shown = metadata(result)
    assert (shown["scopes"].value, shown["plotted scopes"].value, shown["changed values"].value) == (0, 0, 0)


def test_scopes_without_data_yet_pass_and_are_counted(timed: Services, instance: dg.DagsterInstance) -> None:
    fill(timed, 1)
    timed.ledger.scopes.put("ads", [Scope("222", "Asia/Tokyo", seen_at=NOON)])
    _, checks = run(timed, instance)
    assert checks["fresh_by_data_date"].passed
    assert checks["fresh_by_data_date"].description == "1 scopes are fresh, 1 have no data yet"


def test_a_table_has_a_plot_per_scope_and_its_newest_changes(timed: Services, instance: dg.DagsterInstance) -> None:
    fill(timed, 2)
    result, checks = run(timed, instance)
    assert all(check.passed for check in checks.values())
    assert set(checks) == CHECKS
    shown = metadata(result)
    assert [name for name in shown if name[0].isdigit()] == ["100 clicks", "101 clicks"]
    assert shown["100 clicks"].value.startswith("![picture](<data:image/svg+xml,")
    records = [record.data for record in shown["changes"].value.records if record.data["scope"] == "100"]
    assert records[0] == {
        "scope": "100",
        "date": "2026-06-06",
        "metric": "clicks",
        "from age": 2,
        "to age": 3,
        "before": "976",
        "after": "966",
        "change": "-1.0%",
        "unusual": False,
    }


def test_checks_warn_of_recent_unusual_changes_stale_scopes_and_dates_at_risk(
    timed: Services, instance: dg.DagsterInstance
) -> None:
    fill(timed, 2, odd={"100": 1, "101": 8})
    timed.ledger.scopes.put("ads", [Scope("333", "America/Los_Angeles", seen_at=NOON)])
    put_delivery(timed.ledger, "ads/sp_small/333", Delivery(date(2026, 6, 7)), version=1, published=1)
    timed.ledger.scopes.put_planned("ads", Planned("sp_small", "333", TODAY, "hash", at_risk=3))
    result, checks = run(timed, instance)
    assert result.success
    assert {(c.passed, c.severity) for c in checks.values()} == {(False, dg.AssetCheckSeverity.WARN)}
    reported = str(checks["usual_restatement"].description)
    assert reported.startswith("100: 2026-05-31: clicks changed from 500 to 1000 (+100.0%) between ages 4 and 9")
    assert "101:" not in reported, "what was seen 8 days ago is no news"
    assert checks["fresh_by_data_date"].description == (
        "333: newest date 2026-06-07 ended 60 hours ago, 36 are allowed"
    )
    assert checks["within_retention"].description == (
        "333: 3 dates will soon be older than Amazon keeps and are not read yet: the requests of a day are not enough; "
        "materialize them by hand to ask for them now"
    )
    shown = metadata(result)
    assert (shown["unusual changes"].value, shown["recent unusual changes"].value) == (2, 1)


def test_of_very_many_scopes_those_with_the_newest_unusual_changes_are_plotted(
    timed: Services, instance: dg.DagsterInstance
) -> None:
    fill(timed, 9, odd={"108": 1, "104": 8})
    result, _ = run(timed, instance)
    shown = metadata(result)
    plots = [name for name in shown if name[0].isdigit()]
    assert len(plots) == SHOWN_PLOTS == shown["plotted scopes"].value
    assert plots[:2] == ["108 clicks", "104 clicks"]
    assert shown["scopes"].value == 9
    assert len(shown["changes"].value.records) == SHOWN_CHANGES
    assert shown["changed values"].value > SHOWN_CHANGES
    assert all(len(shown[name].value) <= SHOWN_AT_ONCE for name in plots)
    (event,) = result.get_asset_materialization_events()
    assert len(serialize_value(event)) < 60_000


def test_the_audit_reads_the_clean_table_of_all_partitions_and_has_none_itself(timed: Services) -> None:
    api = MemoryReports(lambda: NOON, lambda *_: [])
    defs = definitions(timed, dg.component_defs(component=AmazonAdsReports(declare(), lambda *_: api)))
    watch = defs.resolve_assets_def(KEY)
    (spec,) = watch.specs
    assert spec.partitions_def is None
    assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey(["clean", "ads", "sp_small"])]
    assert {check.name for check in watch.check_specs} == CHECKS


def test_the_component_audits_every_table_in_one_schedule(timed: Services, instance: dg.DagsterInstance) -> None:
    fill(timed, 1)
    api = MemoryReports(lambda: NOON, lambda *_: [])
    component = AmazonAdsReports(declare(reports=[SMALL, "sb_campaigns"]), lambda *_: api)
    defs = definitions(timed, dg.component_defs(component=component))
    schedule = defs.resolve_schedule_def("ads_restatement_audit")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("40 */6 * * *", "UTC")
    tick = schedule.evaluate_tick(
        dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=NOON,
            repository_def=defs.get_repository_def(),
            resources=resources_with(timed),
        )
    )
    (request,) = tick.run_requests or ()
    assert request.tags["source"] == "ads"
    assert request.partition_key is None
    result = defs.resolve_job_def(schedule.job_name).execute_in_process(instance=instance)
    assert result.success
    done = {event.materialization.asset_key for event in result.get_asset_materialization_events()}
    assert done == {KEY, dg.AssetKey(["restatement", "ads", "sb_campaigns"])}


@pytest.mark.parametrize(
    ("automation", "status"), [("on", dg.DefaultScheduleStatus.RUNNING), ("off", dg.DefaultScheduleStatus.STOPPED)]
)
def test_the_schedule_is_on_only_with_automation(
    monkeypatch: pytest.MonkeyPatch, automation: str, status: dg.DefaultScheduleStatus
) -> None:
    monkeypatch.setenv("ADPLATFORM_AUTOMATION", automation)
    schedule = definitions(None, account_definitions(declare(), open_api)).resolve_schedule_def("ads_restatement_audit")
    assert schedule.default_status is status


def test_without_a_limit_of_freshness_nothing_is_checked_for_it() -> None:
    watch = audits(declare(fresh_within=None)).resolve_assets_def(KEY)
    assert {check.name for check in watch.check_specs} == CHECKS - {"fresh_by_data_date"}


def test_reports_that_amazon_makes_by_itself_are_not_audited() -> None:
    def keys(declared: ReportSource) -> set[str]:
        return {key.path[-1] for key in audits(declared).resolve_all_asset_keys() if key.path[0] != "clean"}

    declared = {"source": "shop", "credentials": "s", "start_date": "2026-01-01"}
    both = SellingPartnerSource.model_validate(declared | {"reports": ["all_orders", "settlements"]})
    none = SellingPartnerSource.model_validate(declared | {"reports": ["settlements"]})
    assert keys(both) == {"all_orders"}
    assert keys(none) == set()
    assert list(audit(none).schedules or ()) == []
