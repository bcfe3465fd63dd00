"""Each version that readers see is one event on the bus that a setting names, whatever is killed in between."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from adplatform.contracts.feed import Feed
from adplatform.flow.outbox import send_unsent
from adplatform.flow.provision import provision
from adplatform.flow.publication_events import DETAIL_TYPE
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform.ledger.messages import Unsent
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.event_buses import Bus
from adplatform_tests.support.plainly import killed_at, process
from adplatform_tests.support.platforms import YESTERDAY

DECLARED: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {"order_id": "int", "email": {"pii": "email"}},
}


@pytest.fixture
def bus(services: Services) -> Bus:
    return Bus.of(services)


def delivered(services: Services, body: bytes = b"order_id,email\n1,ann@example.com\n") -> Source:
    source = make_source("shop", services.zones.raw_bucket, [Feed.model_validate(DECLARED)])
    provision(services, [source])
    key = f"{source.prefix}orders/dt={YESTERDAY}/orders.csv"
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
    return source


def ids(bus: Bus) -> list[str]:
    return [event["detail"]["id"] for event in bus.read()]


def calls_of(services: Services) -> list[str]:
    aws = CountedAws(services.aws.region, services.aws.endpoint_url)
    source = delivered(services)
    process(replace(services, aws=aws), source, "run")
    return aws.names


def test_a_publication_is_one_event_by_one_call_with_facts_and_no_values(services: Services, bus: Bus) -> None:
    bus.made()
    assert [calls_of(each).count("PutEvents") for each in (bus.services, services)] == [1, 0]
    [event] = bus.read()
    run_id = event["detail"].pop("run_id")
    assert (event["source"], event["detail-type"], run_id) == ("adplatform", "Delivery Published", "run-1")
    assert event["detail"] == {
        "id": f"shop/orders/{YESTERDAY}/v1",
        "source": "shop",
        "feed": "orders",
        "scope": None,
        "database": f"{services.settings.database_prefix}shop",
        "table": "orders",
        "date": str(YESTERDAY),
        "version": 1,
        "rows": 1,
    }


def test_a_version_that_takes_the_place_of_another_is_an_event_of_its_own(bus: Bus) -> None:
    bus.made()
    for body in (b"order_id,email\n1,a@example.com\n", b"order_id,email\n2,b@example.com\n"):
        source = delivered(bus.services, body=body)
        for _ in range(2):  # what is published already is no news
            process(bus.services, source, "run")
    assert ids(bus) == [f"shop/orders/{YESTERDAY}/v1", f"shop/orders/{YESTERDAY}/v2"]


@pytest.mark.parametrize(("when", "times"), [("before-call", 1), ("after-call", 2)])
def test_a_run_that_is_killed_has_the_event_put_by_the_next_under_the_same_id(bus: Bus, when: str, times: int) -> None:
    bus.made()
    source = delivered(bus.services)
    work = partial(process, source=source, run_id="killed")
    assert killed_at(bus.services, work, 1, ("PutEvents",), when)[0] < 0
    process(bus.services, source, "next")
    assert ids(bus) == [f"shop/orders/{YESTERDAY}/v1"] * times


def test_what_the_bus_did_not_take_is_put_by_the_next_look_and_holds_up_nothing(bus: Bus) -> None:
    source = delivered(bus.services)
    assert process(bus.services, source, "run") == 1
    assert bus.services.ledger.deliveries.get("shop/orders", YESTERDAY).published == 1
    others = [f"shop/orders/{YESTERDAY}/v{version}" for version in (2, 3)]
    for id in others:
        bus.services.ledger.messages.put_unsent("shop", Unsent.of_bus(bus.name, DETAIL_TYPE, {"id": id}))
    aws = CountedAws(bus.services.aws.region, bus.services.aws.endpoint_url)
    send_unsent(replace(bus.services, aws=aws), "shop")
    assert aws.names.count("PutEvents") == 1
    bus.made()
    for _ in range(2):
        send_unsent(bus.services, "shop")
    assert sorted(ids(bus)) == [f"shop/orders/{YESTERDAY}/v1", *others]
