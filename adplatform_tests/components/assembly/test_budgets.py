"""What sources may use, through Dagster's own sensors and steps on the embedded AWS."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.amazon.sources import AdsSource
from adplatform.components.assembly.measures import measures_sensor
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.lifecycle import claim
from adplatform.flow.provision import provision
from adplatform.flow.pushed import PushedFiles
from adplatform.flow.services import Services
from adplatform.ledger.delivery import DeliveryState
from adplatform_tests.components.test_amazon_ads_reports import DECLARED, NOON, definitions, evaluate, rows
from adplatform_tests.support.platforms import TODAY, YESTERDAY, Platform, make_platform, resources_with
from adplatform_tests.support.report_api import MemoryReports

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {"order_id": "bigint"},
}
BODY = b"order_id\n1\n2\n"


@pytest.fixture
def acme(services: Services, instance: dg.DagsterInstance) -> Platform:
    budget = {"day": {"gigabytes": len(BODY) * 1e-9}}
    return make_platform(services, {"source": "acme", "budget": budget, "feeds": [ORDERS]}, instance)


def deliver(platform: Platform, body: bytes = BODY) -> None:
    platform.put(f"orders/dt={YESTERDAY}/a.csv", body)
    platform.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"")


def used(services: Services, source: str = "acme") -> list[tuple[int, int]]:
    return [(int(each.bytes), int(each.requests)) for each in services.ledger.spendings.since(source, TODAY)]


def test_a_delivery_counts_once_and_goes_on_at_the_limit_where_a_backfill_does_not(acme: Platform) -> None:
    inbox = acme.messages
    deliver(acme)
    acme.process()
    assert used(acme.services) == [(len(BODY), 0)]
    claim(acme.services.ledger, acme.flow("orders"), YESTERDAY, "again")
    publish_delivery(acme.services, acme.flow("orders"), YESTERDAY, "again", acme.services.settings.temp)
    assert used(acme.services) == [(len(BODY), 0)], "closing it again has used nothing"
    keys = [dg.AssetKey(["raw", "acme", "orders"]), dg.AssetKey(["clean", "acme", "orders"])]
    backfill = dg.RunRequest(
        partition_key=YESTERDAY.isoformat(), asset_selection=keys, tags={"dagster/backfill": "abcdefgh"}
    )
    result = acme.run(backfill)
    assert not result.success
    assert "adplatform budget allow acme" in str(
        result.failure_data_for_node("raw__acme__orders").user_failure_data.description
    )
    [message] = [each for each in inbox.read() if each["event"] == "budget_reached"]
    assert (message["source"], message["unit"]) == ("acme", "GB")
    deliver(acme, b"order_id\n3\n")
    acme.process()
    delivery = acme.delivery("orders")
    assert (delivery.state, delivery.published) == (DeliveryState.PUBLISHED, 2)
    acme.services.ledger.spendings.allow("acme", {"bytes": 1000}, "ann", "")
    assert acme.run(backfill).success


def test_reports_are_asked_for_within_the_budget_only(services: Services, instance: dg.DagsterInstance) -> None:
    at = [NOON]
    timed = replace(services, now=lambda: at[0])
    provision(timed, [])
    declared = AdsSource.model_validate({**DECLARED.model_dump(exclude_unset=True), "budget": {"day": {"requests": 9}}})
    defs = definitions(timed, MemoryReports(lambda: at[0], rows), declared)
    timed.ledger.spendings.add("ads", {"requests": 9})
    over = evaluate(defs, timed, instance)
    assert not over.run_requests
    assert "ads has used 9 of 9 requests of this day (UTC)" in str(over.skip_message)
    at[0] += timedelta(days=1)
    [order] = evaluate(defs, timed, instance).run_requests
    assert order.job_name == "ads_orders"


def test_the_sensor_that_measures_keeps_sources_within_their_budgets(
    services: Services, instance: dg.DagsterInstance
) -> None:
    budget = {"day": {"gigabytes": 1e-9}, "deliveries": "wait"}
    acme = make_platform(services, {"source": "acme", "budget": budget, "feeds": [ORDERS]}, instance)
    deliver(acme)
    acme.process()
    sensor = measures_sensor(lambda: [PushedFiles(acme.source)], dg.DefaultSensorStatus.RUNNING)
    resources = resources_with(services)
    sensor.evaluate_tick(dg.build_sensor_context(instance=instance, resources=resources))
    deliver(acme, b"order_id\n3\n")
    assert acme.process() == []
    assert f"{len(BODY) * 1e-9:.9f} of 0.000000001 GB of this day" in str(acme.look().skip_message)
    services.ledger.spendings.allow("acme", {"bytes": 1000}, "ann", "")
    sensor.evaluate_tick(dg.build_sensor_context(instance=instance, resources=resources))
    acme.process()
    assert acme.delivery("orders").published == 2
