"""Feeds of one source begin on dates of their own: all loads, and each has runs of its own dates."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform import components
from adplatform.components.assembly.delivery_jobs import DeliveryJobs
from adplatform.flow.services import Services
from adplatform.patterns import KINDS
from adplatform.platform.settings import read_settings
from adplatform.resources.named import resources_of
from adplatform_tests.support.platforms import TODAY, YESTERDAY, make_platform

COLUMNS = {"id": {"type": "bigint", "required": True}}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
SOURCES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "PartnerPush": ({}, ""),
    "SaasFlows": ({}, ""),
    "ReplicatedFiles": ({"from": {"kind": "gcs", "bucket": "exports", "secret": "key"}}, ""),
    "DatabaseTables": ({"connection": "shop/database"}, ""),
    "DatabaseChanges": ({"task": "shop"}, "table"),
    "SftpFiles": (
        {"from": {"kind": "client", "host": "sftp.example.com", "secret": "sftp", "host_keys": [HOST_KEY]}},
        "remote",
    ),
}
"""What a source of each pattern has beside its feeds, and what each of them has to name."""
WHOLE = {"AmazonAdsReports", "SellingPartnerReports", "MarketingFact"}
"""Those of which all begins on one date."""


def feed(pattern: str, name: str, start: date, **also: Any) -> dict[str, Any]:
    named = {"table": {"table": f"public.{name}", "key": "id"}, "remote": {"remote": f"/out/{name}_{{date}}.csv"}}
    return {"name": name, "start_date": start, "columns": COLUMNS, **named.get(SOURCES[pattern][1], {}), **also}


def test_every_pattern_is_tried_or_has_one_date_for_all() -> None:
    assert SOURCES.keys() | WHOLE == KINDS.keys()


@pytest.mark.parametrize("pattern", SOURCES)
def test_a_feed_that_begins_later_is_added_to_a_source_and_all_still_loads(pattern: str) -> None:
    feeds = [feed(pattern, "old", date(2026, 1, 1)), feed(pattern, "later", date(2026, 3, 1))]
    kind = getattr(components, pattern)
    component = kind(kind.get_model_cls().model_validate({"source": "shop", **SOURCES[pattern][0], "feeds": feeds}))
    loaded = dg.Definitions.merge(
        dg.component_defs(component=component), dg.Definitions(resources=resources_of(read_settings()))
    )
    dg.Definitions.validate_loadable(loaded)
    starts = {spec.partitions_def.start for spec in loaded.resolve_all_asset_specs() if _daily(spec)}
    assert {start.date() for start in starts} == {date(2026, 1, 1), date(2026, 3, 1)}


def _daily(spec: dg.AssetSpec) -> bool:
    return isinstance(spec.partitions_def, dg.DailyPartitionsDefinition)


def test_one_sensor_starts_the_runs_of_feeds_that_begin_on_different_dates(
    services: Services, instance: dg.DagsterInstance
) -> None:
    done = {"arrival": {"complete_when": "done_file"}}
    feeds = [feed("PartnerPush", "old", date(2026, 1, 1), **done), feed("PartnerPush", "new", YESTERDAY, **done)]
    platform = make_platform(services, {"source": "acme", "feeds": feeds}, instance)
    for name in ("old", "new"):
        platform.put(f"{name}/dt={YESTERDAY}/a.csv", b"id\n1\n")
        platform.put(f"{name}/dt={YESTERDAY}/_SUCCESS", b"")
    assert [result.success for result in platform.process()] == [True, True]
    assert platform.query("select (select count(*) from {old}), (select count(*) from {new})") == [(1, 1)]


def test_what_feeds_bring_is_processed_by_a_job_of_their_source_and_their_first_date() -> None:
    def asset(name: str, start: date | None) -> dg.AssetsDefinition:
        days = dg.DailyPartitionsDefinition(start.isoformat()) if start else None

        @dg.asset(key=["raw", "shop", name], partitions_def=days)
        def made() -> None:
            """Does nothing."""

        return made

    starts = {"orders": date(2026, 1, 1), "customers": date(2026, 1, 1), "refunds": TODAY - timedelta(days=9)}
    jobs = DeliveryJobs("shop", starts)
    assets = [asset("rows", None), *(asset(name, start) for name, start in starts.items())]
    loaded = dg.Definitions(assets=assets, jobs=jobs.declared(assets))
    for name in starts:
        layer = loaded.resolve_job_def(jobs.of_feed(name)).asset_layer
        assert dg.AssetKey(["raw", "shop", name]) in layer.selected_asset_keys
    assert jobs.of_feed("orders") == jobs.name == "shop_deliveries"
    selected = loaded.resolve_job_def("shop_deliveries").asset_layer.selected_asset_keys
    assert dg.AssetKey(["raw", "shop", "rows"]) in selected
