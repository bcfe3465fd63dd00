"""Many events at once: what their objects are is asked by the page, and comes to the same as asking for each."""

import json
from dataclasses import replace
from typing import Any

from adplatform.files.events import ObjectCreated
from adplatform.flow.announced import WORTH_A_PAGE, describe
from adplatform.flow.budget import UNLIMITED, Budget
from adplatform.flow.listing import Round
from adplatform.flow.looks import LIST_FLOODED_EVERY, Progress, look_at
from adplatform_tests.flow.test_looks import metered
from adplatform_tests.flow.world import TODAY, NoRuns, World, fake_world

MANY = 3 * WORTH_A_PAGE


def event_of(key: str, **thing: Any) -> str:
    detail = {"bucket": {"name": "raw"}, "object": {"key": key, **thing}}
    return json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})


def eventful() -> World:
    """Files with all that may have become of one until its event is read."""
    world = fake_world()
    for n in range(MANY):
        world.deliver("quiet", f"{n:03d}.csv", str(n).encode())
    world.deliver("quiet", "001.csv", b"written over")
    gone = world.deliver("quiet", "gone.csv")
    world.bare_s3.delete_object(Bucket="raw", Key=world.key("quiet", TODAY, "gone.csv"), VersionId=gone)
    world.deliver("count", "other.csv")
    world.deliver("quiet", "unfinished.part")
    world.put("landing/acme/nowhere.csv", b"1")
    unnamed = [event_of(world.key("quiet", TODAY, name)) for name in ("002.csv", "gone.csv")]
    unknown = event_of(world.key("quiet", TODAY, "003.csv"), **{"version-id": "another"})
    world.messages(lambda bodies: [*bodies, *unnamed, unknown, "no event", *bodies[:5]])
    return world


def recorded(world: World) -> list[tuple[Any, ...]]:
    every = [each for feed in ("acme/quiet", "acme/count") for each in world.ledger.objects.of_day(feed, TODAY)]
    return sorted((o.key, o.version, o.size, o.etag, str(o.state), o.last_modified) for o in every)


def test_many_events_come_to_what_each_of_them_comes_to() -> None:
    together, each = eventful(), eventful()
    new = together.settler.arrivals.receive()
    while each.bare_sqs.waiting:
        each.settler.arrivals.receive(limit=1)
    assert recorded(together) == recorded(each)
    assert len(recorded(together)) == new - 1 == MANY + 3
    assert (together.bare_sqs.in_flight, each.bare_sqs.in_flight) == ({}, {})
    delivery = together.ledger.deliveries.get("acme/quiet", TODAY)
    numbers = [o.number for o in together.ledger.objects.of_day("acme/quiet", TODAY) if o.number]
    assert numbers == list(range(1, delivery.arrivals + 1))


def test_what_pages_of_events_show_beside_is_recorded_with_it() -> None:
    world = fake_world()
    for n in range(MANY):
        world.deliver("quiet", f"{n:03d}.csv")
    world.messages(lambda bodies: bodies[:WORTH_A_PAGE])
    assert world.settler.arrivals.receive() == MANY
    seen = [o.seen_by for o in world.ledger.objects.of_day("acme/quiet", TODAY)]
    assert seen.count("event") == WORTH_A_PAGE
    assert seen.count("listing") == MANY - WORTH_A_PAGE


def described(world: World, keys: list[str], budget: Budget = UNLIMITED) -> tuple[set[str], int]:
    """The keys that were found, and how many calls that took."""
    events = [ObjectCreated("raw", key, world.bare_s3.keys[key][-1].version_id, "1") for key in keys]
    before = world.fuse.burned
    announced = describe(world.s3, world.source.prefix, events, budget)
    assert all(found is not None for found in announced.found.values())
    return {event.key for event in announced.found}, world.fuse.burned - before


def far_apart(number: int) -> tuple[World, list[str]]:
    world = fake_world()
    world.bare_s3.page = 100
    for n in range(number):
        for file in range(50):
            world.deliver("quiet", f"{n:03d}/{file}.csv")
    return world, [world.key("quiet", TODAY, f"{n:03d}/7.csv") for n in range(number)]


def test_objects_that_lie_far_apart_cost_one_page_more_than_asking_for_each() -> None:
    world, keys = far_apart(30)
    found, calls = described(world, keys)
    assert found == set(keys)
    assert len(keys) - 3 <= calls <= len(keys) + 1


def test_objects_that_lie_together_cost_a_page() -> None:
    world, _ = far_apart(2)
    keys = sorted(world.bare_s3.keys)
    assert described(world, keys) == (set(keys), 1)


def test_what_there_is_no_time_for_is_left() -> None:
    world, keys = far_apart(WORTH_A_PAGE - 1)
    found, calls = described(world, keys, Budget(lambda: 1, 0))
    assert 0 < len(found) == calls < len(keys)


def test_messages_that_there_is_no_time_for_stay() -> None:
    world, keys = far_apart(WORTH_A_PAGE - 1)
    world.messages(lambda bodies: [body for body in bodies if json.loads(body)["detail"]["object"]["key"] in keys])
    ticks = iter(range(10**6))
    new = world.settler.arrivals.receive(budget=Budget(lambda: next(ticks), 5))
    left = len(world.bare_sqs.waiting) + len(world.bare_sqs.in_flight)
    assert 0 < new < len(keys)
    assert new + left == len(keys)
    world.bare_sqs.time_out()
    assert world.settler.arrivals.receive() == left


def test_events_of_many_files_of_one_feed_delay_no_event_of_another() -> None:
    world, meter = metered({"flood": {}, "count": {"complete_when": "count", "expected_files": 1}}, 0.1)
    listed = Progress(Round(world.clock()))
    for n in range(800):
        world.deliver("flood", f"{n:04d}.csv")
    world.deliver("count", "a.csv")
    world.clock.pass_by(LIST_FLOODED_EVERY)
    found, _ = look_at(world.settler, NoRuns(), Budget.of(25, lambda: meter.elapsed), listed)
    assert [due.run_key for due in found.due] == [f"acme/count:{TODAY}:v1:a1"]
    assert world.bare_sqs.waiting, "its event has not come yet"


def test_an_object_that_s3_does_not_describe_keeps_no_other_message() -> None:
    world, keys = far_apart(WORTH_A_PAGE - 1)
    world.messages(lambda bodies: [body for body in bodies if json.loads(body)["detail"]["object"]["key"] in keys])
    world.bare_s3.forbidden.add(keys[3])
    assert world.settler.arrivals.receive() == len(keys) - 1
    [left] = world.bare_sqs.in_flight.values()
    assert json.loads(left)["detail"]["object"]["key"] == keys[3]


def test_an_object_that_the_ledger_has_is_not_asked_for_again() -> None:
    world = fake_world()
    for n in range(MANY):
        world.deliver("quiet", f"{n:03d}.csv")
    again = list(world.bare_sqs.waiting)
    world.settler.arrivals.receive()
    world.messages(lambda _: again)

    class Unasked:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"S3 was asked: {name}")

    assert replace(world.arrivals, s3=Unasked()).receive() == 0
    assert (world.bare_sqs.waiting, world.bare_sqs.in_flight) == ([], {})
    assert len(world.ledger.objects.of_day("acme/quiet", TODAY)) == MANY
