"""The history of campaigns as Dagster makes it: exports are asked for after reports, and a run of its own makes what
became due with a snapshot."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from adplatform.components.assembly.fact_assets import FACT_TAG
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform_tests.components.assembly.test_fact_assets import DECLARED, definitions, run, tick
from adplatform_tests.support.report_api import MemoryReports

NOON = datetime(2026, 6, 10, 20, tzinfo=UTC)
CHANGES = dg.AssetKey(["clean", "ads", "campaigns_changes"])


def rows(scope: str, day: date, as_of: datetime) -> list[dict[str, Any]]:
    return [{"date": str(day), "campaignId": 7, "clicks": 1, "cost": 1.5, "name": "Tents", "state": "PAUSED"}]


def test_a_run_makes_the_history_of_what_a_snapshot_brought(services: Services, instance: dg.DagsterInstance) -> None:
    at = [NOON]
    timed = replace(services, now=lambda: at[0])
    provision(timed, [])
    api = MemoryReports(lambda: at[0], rows)
    declared = {"start_date": "2026-06-09", "reports": ["campaigns_metadata", *DECLARED["reports"]]}
    defs = definitions(timed, api, **declared)
    (orders,) = tick(defs, timed, instance)
    assert defs.resolve_job_def(str(orders.job_name)).execute_in_process(instance=instance).success
    asked = [placed.order for placed in api.placed.values()]
    assert [(o.report_type, o.start) for o in asked] == [
        ("spCampaigns", date(2026, 6, 9)),
        ("campaigns", date(2026, 6, 10)),
    ]
    at[0] += timedelta(minutes=20)
    for download in tick(defs, timed, instance):
        assert run(defs, download, instance).success
    requests = {request.tags[FACT_TAG]: request for request in tick(defs, timed, instance)}
    assert set(requests) == {"ads/ads_daily", "ads/campaigns_changes"}
    result = run(defs, requests["ads/campaigns_changes"], instance)
    assert result.success
    assert instance.get_materialized_partitions(CHANGES) == {"2026-06-10|111"}
    checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert checks["equals_snapshot"]
    assert all(checks.values())
    prefix = timed.settings.database_prefix
    columns = "profile_id, campaign_id, campaign_name, state, valid_from, valid_to, is_current"
    sql = f"select {columns} from {prefix}ads.campaigns_versions"
    assert run_query(timed.aws, timed.glue, prefix, sql, 9)[1] == [
        ("111", 7, "Tents", "PAUSED", date(2026, 6, 10), None, True)
    ]
    assert [request.tags[FACT_TAG] for request in tick(defs, timed, instance)] == ["ads/ads_daily"]
