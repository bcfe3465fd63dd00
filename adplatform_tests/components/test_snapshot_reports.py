"""Snapshots as Dagster shows them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.amazon.sources import SellingPartnerSource
from adplatform.components import SellingPartnerReports
from adplatform.components.assembly.report_assets import report_partitions
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.scopes import Scope
from adplatform.pull.account import account_of
from adplatform_tests.support.platforms import resources_with
from adplatform_tests.support.report_api import MemoryReports

JAPAN = Scope("A1VC38T7YXB528", "Asia/Tokyo", "JP", "JPY")
MORNING = datetime(2026, 6, 9, 22, tzinfo=UTC)
"""07:00 on the 10th in Japan, where no date by UTC is over."""
DECLARED = SellingPartnerSource.model_validate(
    {
        "source": "shop",
        "credentials": "shop/secret",
        "start_date": "2026-06-01",
        "spread": "0s",
        "marketplaces": [JAPAN.id],
        "reports": [
            {
                "name": "stock",
                "report_type": "GET_STOCK",
                "format": "json",
                "snapshot": True,
                "keep": "newest",
                "columns": {"sku": {"required": True}, "quantity": "int"},
            }
        ],
    }
)


def test_the_date_of_a_snapshot_is_a_partition_where_it_has_not_begun_by_utc() -> None:
    [days] = [part for part in report_partitions(account_of(DECLARED)).partitions_defs if part.name == "date"]
    assert days.partitions_def.has_partition_key("2026-06-10")
    keys = days.partitions_def.get_partition_keys(current_time=MORNING)
    assert keys[-1] == "2026-06-10"


@pytest.mark.slow
def test_dates_are_materialized_on_their_day_and_emptied_by_the_next_and_those_that_passed_are_refused(
    services: Services, instance: dg.DagsterInstance
) -> None:
    at = [MORNING]
    timed = replace(services, now=lambda: at[0])
    provision(timed, [])

    def rows(scope: str, day: Any, as_of: datetime) -> list[dict[str, Any]]:
        return [{"sku": "A", "quantity": as_of.day}]

    api = MemoryReports(lambda: at[0], rows, profiles=(JAPAN,))
    defs = dg.Definitions.merge(
        dg.component_defs(component=SellingPartnerReports(DECLARED, lambda *_: api)),
        dg.Definitions(resources=resources_with(timed), executor=dg.in_process_executor),
    )
    asset = defs.resolve_assets_def(dg.AssetKey(["clean", "shop", "stock"]))

    def day() -> list[tuple[str | None, Any]]:
        """What became of the partitions of the table in the run of one day."""
        context = dg.build_sensor_context(instance=instance, definitions=defs, resources=resources_with(timed))
        sensor = defs.resolve_sensor_def("shop_reports")
        defs.resolve_job_def("shop_orders").execute_in_process(instance=instance)
        at[0] += timedelta(minutes=20)
        [download] = [r for r in sensor.evaluate_tick(context).run_requests or () if "adplatform/report" in r.tags]
        result = dg.materialize([asset], instance=instance, tags=download.tags)
        events = [e.materialization for e in result.get_asset_materialization_events()]
        return [
            (m.partition, m.metadata["dagster/partition_row_count"].value)
            for m in events
            if m.asset_key.path[0] == "clean"
        ]

    assert day() == [(f"2026-06-10|{JAPAN.id}", 1)]
    at[0] += timedelta(days=2)
    assert day() == [(f"2026-06-12|{JAPAN.id}", 1), (f"2026-06-10|{JAPAN.id}", 0)]
    asked = dg.materialize([asset], instance=instance, partition_key=f"2026-06-11|{JAPAN.id}", raise_on_error=False)
    failure = asked.failure_data_for_node("report__shop__stock")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert "it cannot be asked for a date that is over, in Asia/Tokyo" in str(failure.user_failure_data.description)
    watch = defs.resolve_assets_def(dg.AssetKey(["restatement", "shop", "stock"]))
    checks = dg.materialize([watch], instance=instance).get_asset_check_evaluations()
    said = {check.check_name: (check.passed, check.description) for check in checks}
    assert said.keys() == {"within_retention", "fresh_by_data_date"}
    assert said["within_retention"] == (
        False,
        f"{JAPAN.id}: nothing was had of 2026-06-11, and a snapshot cannot be asked for a date that is over",
    )
