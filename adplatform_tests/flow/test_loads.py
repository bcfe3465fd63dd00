"""Loads whose markers several feeds wait for: each feed has them, and they stay where they are."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adplatform.contracts.feed import Feed
from adplatform.flow import lifecycle
from adplatform.flow.close import close
from adplatform.flow.source import UNPLACED, make_source
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.objects import RawObject
from adplatform_tests.flow.world import TODAY, NoRuns, World, fake_world

LOAD = f"{datetime(2026, 3, 14, 8, tzinfo=UTC).timestamp():.0f}.25"
LATER = f"{datetime(2026, 3, 14, 8, 30, tzinfo=UTC).timestamp():.0f}.5"
FEEDS = ("orders", "orders__items", "visits")


def feed(name: str, **settings: Any) -> Feed:
    shape = {"name": name, "start_date": "2026-01-01", "columns": {"id": None}, "landing": "shop/{feed}/{load}.{file}"}
    return Feed.model_validate({**shape, "format": {"preset": "dlt"}, **settings})


@pytest.fixture
def world() -> World:
    made = fake_world()
    return replace(made, source=make_source("acme", "raw", [feed(name) for name in FEEDS]))


def put(world: World, *keys: str) -> None:
    for key in keys:
        world.put(f"landing/acme/shop/{key}", key.encode())


def mark(world: World, load: str = LOAD) -> None:
    put(world, f"_dlt_loads/crm__{load}.jsonl")


def look(world: World) -> list[str]:
    return [key.removeprefix("acme/").partition(":")[0] for key in world.tick(NoRuns())]


def delivery(world: World, name: str) -> Delivery:
    return world.ledger.deliveries.get(f"acme/{name}", TODAY)


def objects(world: World, name: str) -> list[RawObject]:
    return world.ledger.objects.of_day(f"acme/{name}", TODAY)


def settled(world: World, name: str) -> list[str]:
    body = world.body("raw", delivery(world, name).manifest_key) or b""
    return [entry["key"].removeprefix("landing/acme/shop/") for entry in json.loads(body)["objects"]]


def publish(world: World) -> None:
    for name in FEEDS:
        flow = world.flow(name)
        close(world, flow, lifecycle.claim(world.ledger, flow, TODAY, f"run of {name}"), 1.0)


def test_a_marker_completes_the_load_in_all_feeds_and_stays_in_the_landing_zone(world: World) -> None:
    put(world, "init", f"orders/{LOAD}.a.parquet", f"orders__items/{LOAD}.b.parquet")
    assert look(world) == []
    assert delivery(world, "orders").waiting == "no marker of its load yet"
    mark(world)
    assert look(world) == [*FEEDS]
    assert {name: settled(world, name) for name in FEEDS} == {
        "orders": [f"orders/{LOAD}.a.parquet"],
        "orders__items": [f"orders__items/{LOAD}.b.parquet"],
        "visits": [],
    }
    publish(world)
    assert not world.exists(f"landing/acme/shop/orders/{LOAD}.a.parquet")
    assert world.exists(f"landing/acme/shop/_dlt_loads/crm__{LOAD}.jsonl")
    world.arrivals.reconcile()
    assert look(world) == []
    assert len({each.identity for name in FEEDS for each in objects(world, name)}) == 5


def test_a_marker_that_is_heard_of_before_the_files_does_not_leave_them_out(world: World) -> None:
    put(world, f"orders/{LOAD}.a.parquet")
    mark(world)
    world.messages(lambda bodies: bodies[-1:])
    assert "orders" in look(world)
    assert settled(world, "orders") == [f"orders/{LOAD}.a.parquet"]


def test_a_marker_that_only_some_feeds_know_comes_to_the_others_by_a_listing(world: World) -> None:
    put(world, f"orders/{LOAD}.a.parquet", f"visits/{LOAD}.b.parquet")
    mark(world)
    whole, world.source = world.source, make_source("acme", "raw", [feed("orders")])
    world.messages(lambda bodies: [bodies[0], bodies[2]])
    assert look(world) == ["orders"]
    world.source = whole
    world.arrivals.reconcile()
    assert "visits" in look(world)
    assert settled(world, "visits") == [f"visits/{LOAD}.b.parquet"]


def test_files_of_a_load_that_goes_on_are_left_to_a_later_version(world: World) -> None:
    put(world, f"orders/{LATER}.b.parquet", f"orders/{LOAD}.a.parquet")
    mark(world)
    look(world)
    assert settled(world, "orders") == [f"orders/{LOAD}.a.parquet"]
    publish(world)
    put(world, f"orders/{LATER}.c.parquet")
    assert look(world) == []
    mark(world, LATER)
    look(world)
    assert set(settled(world, "orders")) == {
        f"orders/{LOAD}.a.parquet",
        f"orders/{LATER}.b.parquet",
        f"orders/{LATER}.c.parquet",
    }


@pytest.mark.parametrize(
    ("key", "told"),
    [("init", False), (f"_dlt_version/crm__{LOAD}__4ac9.jsonl", False), (f"customers/{LOAD}.a.parquet", True)],
)
def test_what_a_loader_writes_for_itself_is_told_to_nobody(world: World, key: str, told: bool) -> None:
    put(world, key)
    world.arrivals.receive()
    refused: Mapping[str, str] = {each.feed: each.action for each in world.ledger.objects.refused("acme")}
    assert (f"acme/{UNPLACED}" in refused) == told


def test_a_marker_of_before_a_feed_begins_is_told_to_nobody(world: World) -> None:
    world.source = make_source("acme", "raw", [feed("orders", start_date="2026-06-01")])
    mark(world)
    world.arrivals.receive()
    assert world.ledger.objects.refused("acme") == []
    put(world, f"orders/{LOAD}.a.parquet")
    world.arrivals.receive()
    assert [each.action for each in world.ledger.objects.refused("acme")] == ["lower start_date to take it"]
