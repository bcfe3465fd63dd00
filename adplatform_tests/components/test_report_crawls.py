"""Tables of a report account that a crawler reads: two partition columns, deliveries by profile."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.amazon.sources import AdsSource
from adplatform.components import AmazonAdsReports
from adplatform.engines.crawls import crawler_of, provide_crawlers
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.pull.account import account_of
from adplatform.pull.pattern import account_source
from adplatform_tests.support.crawls import wait_for_crawl
from adplatform_tests.support.platforms import resources_with
from adplatform_tests.support.report_api import MemoryReports

DECLARED = AdsSource.model_validate(
    {
        "source": "ads",
        "credentials": "ads/secret",
        "start_date": "2026-06-08",
        "spread": "0s",
        "profiles": [111],
        "crawl": True,
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


def rows(scope: str, day: Any, as_of: datetime) -> list[dict[str, Any]]:
    return [{"date": str(day), "campaignId": 2**60 + 1, "clicks": 100, "sales14d": 12.5}]


@pytest.mark.parametrize("layout", [pytest.param("per_scope", marks=pytest.mark.slow), "compacted"])
def test_the_tables_of_an_account_are_crawled_with_all_their_profiles(
    services: Services, instance: dg.DagsterInstance, layout: str
) -> None:
    declared = DECLARED.model_copy(update={"layout": layout})
    at = [datetime(2026, 6, 10, 20, tzinfo=UTC)]
    timed = replace(services, now=lambda: at[0])
    source = account_source(account_of(declared), timed.zones.raw_bucket)
    provision(timed, [])
    provide_crawlers(timed, source)
    api = MemoryReports(lambda: at[0], rows)
    defs = dg.Definitions.merge(
        dg.component_defs(component=AmazonAdsReports(declared, lambda *_: api)),
        dg.Definitions(resources=resources_with(timed), executor=dg.in_process_executor),
    )
    cursor: str | None = None

    def tick() -> Any:
        nonlocal cursor
        context = dg.build_sensor_context(
            instance=instance, definitions=defs, resources=resources_with(timed), cursor=cursor
        )
        found = defs.resolve_sensor_def("ads_reports").evaluate_tick(context)
        cursor = found.cursor
        return found

    assert defs.resolve_job_def("ads_orders").execute_in_process(instance=instance).success
    at[0] += timedelta(minutes=20)
    [download] = tick().run_requests
    asset = defs.resolve_assets_def(dg.AssetKey(["raw", "ads", "sp_small"]))
    tags = {**download.tags, "dagster/run_key": str(download.run_key)}
    assert dg.materialize([asset], instance=instance, tags=tags).success
    tick()
    [flow] = [each for each in source.feeds if each.feed.crawl]
    wait_for_crawl(timed.aws, crawler_of(timed, flow).name)
    [verdict] = [event for event in tick().asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    assert verdict.asset_key == dg.AssetKey(["clean", "ads", "sp_small"])
    assert verdict.passed, verdict.description
    [intention] = timed.ledger.engine_runs.intentions("ads", "crawl-sp_small")
    assert intention.key.startswith("ads/sp_small/111/2026-06-0")
