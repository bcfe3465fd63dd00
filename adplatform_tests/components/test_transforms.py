"""Deliveries that an engine transforms, in Dagster: the run that gives one away, the looks, the run that publishes."""

from collections import Counter
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from adplatform.cli.headless import process
from adplatform.components.assembly.arrivals import Arrivals, arrivals_automation
from adplatform.components.assembly.automation import Looking, look_at
from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.transforms import TransformsCursor, with_engines
from adplatform.flow.budget import UNLIMITED
from adplatform.flow.services import Services
from adplatform.ledger.delivery import DeliveryState
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.platforms import YESTERDAY, make_platform, resources_with
from adplatform_tests.support.spark_runs import emr_runs, make_application, on_emr, put_entry_point, wait_for_emr_run
from adplatform_tests.support.transform_jobs import SCRIPT

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "engine": "spark",
    "arrival": {"complete_when": "done_file"},
    "columns": {"order_id": {"type": "bigint", "required": True}, "email": {"pii": "email"}},
}
BODY = b"order_id,email\n1,ann@example.com\n2,bob@example.com\n"
CLEAN = dg.AssetKey(["clean", "acme", "orders"])


class Acme:
    """A platform whose orders an application of EMR Serverless transforms, and the sensor of its source."""

    def __init__(self, services: Services, instance: dg.DagsterInstance) -> None:
        self.application = make_application(services.aws)
        self.platform = make_platform(
            on_emr(services, self.application), {"source": "acme", "feeds": [ORDERS]}, instance
        )
        self.services = self.platform.services
        self.cursor: str | None = None
        put_entry_point(self.services, SCRIPT)

    def deliver(self) -> None:
        self.platform.put(f"orders/dt={YESTERDAY}/orders.csv", BODY)
        self.platform.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"x")

    def tick(self) -> tuple[list[Any], list[dg.ExecuteInProcessResult]]:
        """What one look says of assets, and the runs that it starts."""
        sensor = self.platform.definitions.resolve_sensor_def("acme_arrivals")
        context = dg.build_sensor_context(
            instance=self.platform.instance,
            definitions=self.platform.definitions,
            resources=resources_with(self.services),
            cursor=self.cursor,
        )
        tick: Any = sensor.evaluate_tick(context)
        self.cursor = tick.cursor
        return list(tick.asset_events), [self.platform.run(each) for each in tick.run_requests or ()]

    def wait(self) -> None:
        [run] = emr_runs(self.services.aws, self.application)
        assert wait_for_emr_run(self.services.aws, self.application, run["id"])["state"] == "SUCCESS", run


@pytest.fixture
def acme(services: Services, instance: dg.DagsterInstance) -> Acme:
    return Acme(services, instance)


def clean_of(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    found = [event.materialization for event in result.get_asset_materialization_events()]
    return [each for each in found if each.asset_key == CLEAN]


def test_a_delivery_goes_to_the_engine_and_a_run_of_its_own_publishes_it(acme: Acme) -> None:
    acme.deliver()
    _, [giving] = acme.tick()
    assert giving.success
    assert clean_of(giving) == []
    [observed] = [e for e in giving.all_events if e.event_type_value == "ASSET_OBSERVATION"]
    metadata = observed.asset_observation_data.asset_observation.metadata
    assert metadata["adplatform/engine"].value == "emr-serverless"
    assert metadata["adplatform/plan"].value.endswith("/plan.json")
    assert acme.platform.delivery("orders").state is DeliveryState.TRANSFORMING
    seen, runs = acme.tick()
    assert runs == []
    acme.wait()
    seen, [publishing] = acme.tick()
    assert [event.asset_key for event in seen] == [CLEAN]
    assert publishing.success
    [clean] = clean_of(publishing)
    shown = {name.removeprefix("adplatform/"): value.value for name, value in clean.metadata.items()}
    [run] = emr_runs(acme.services.aws, acme.application)
    assert (shown["engine"], shown["engine_run"]) == ("emr-serverless", run["id"])
    assert shown["engine_seconds"] >= 0
    assert {"engine_vcpu_hours", "engine_memory_gb_hours", "engine_link"} <= shown.keys()
    assert acme.platform.delivery("orders").state is DeliveryState.PUBLISHED
    assert acme.platform.query("select order_id from {orders} order by 1") == [(1,), (2,)]
    assert acme.tick() == ([], [])


def test_a_look_costs_nothing_more_where_there_is_no_spark(services: Services, instance: dg.DagsterInstance) -> None:
    feed = {**ORDERS, "engine": "auto"}
    source = make_platform(services, {"source": "acme", "feeds": [feed]}, instance).source
    counted = CountedAws(services.aws.region, services.aws.endpoint_url)
    asking = replace(services, aws=counted)
    look_at(Arrivals(source), asking, instance, Looking(UNLIMITED))
    asked = []
    for automation in (Arrivals(source), with_engines(Arrivals(source), source)):
        counted.names.clear()
        tick = look_at(automation, asking, instance, Looking(UNLIMITED))
        asked.append((read_cursor(tick.cursor, TransformsCursor), Counter(counted.names)))
    assert asked[0] == asked[1]


def test_a_process_without_a_daemon_says_that_an_engine_has_a_delivery(acme: Acme) -> None:
    acme.deliver()
    automation = arrivals_automation(acme.platform.source)
    said: list[str] = []
    ended = list(
        process(
            acme.services,
            acme.platform.instance,
            [automation],
            patience=0,
            watch=lambda _: None,
            stands=said.append,
            loaded=acme.platform.definitions,
        )
    )
    assert [(each.success, each.given) for each in ended] == [(True, True)]
    assert "an engine transforms 1 deliveries" in said[0]
