"""Objects that a declaration refuses: judged by their own time, reported once, taken when the declaration changes."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from adplatform.flow.notices import notify_refused
from adplatform.flow.source import UNPLACED, make_source
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.objects import Ignored, ObjectState, RawObject, Refused
from adplatform_tests.flow.test_settling import contents, delivery, minutes, run
from adplatform_tests.flow.world import TODAY, Crash, NoRuns, World, fake_world

NOBODY = NoRuns()
OLD = TODAY - timedelta(days=20)


def declared(world: World, feed: str = "quiet", landing: str | None = None, **changes: Any) -> World:
    """The same world after somebody edited the YAML of its feed."""
    [present] = [flow.feed for flow in world.source.feeds if flow.feed.name == feed]
    arrival = present.arrival.model_copy(update={k: v for k, v in changes.items() if k != "start_date"})
    update = {"arrival": arrival, **({"start_date": changes["start_date"]} if "start_date" in changes else {})}
    update |= {"landing": landing} if landing else {}
    others = [flow.feed for flow in world.source.feeds if flow.feed.name != feed]
    return replace(world, source=make_source("acme", "raw", [present.model_copy(update=update), *others]))


def rows(world: World) -> list[RawObject]:
    """All rows of objects, wherever they are."""
    items = [key for key in world.dynamo.items if key[1].startswith("object#")]
    return [
        o for pk in {pk for pk, _ in items} for o in world.ledger.objects.ignored_of_feed(pk.removeprefix("feed#"))
    ] + [
        o
        for flow in world.source.feeds
        for d in world.ledger.deliveries.of_feed(flow.name)
        for o in world.ledger.objects.of_day(flow.name, d.day)
        if o.state is ObjectState.ARRIVED
    ]


# -- when the platform was late, not the partner


@pytest.mark.parametrize("found_by", ["event", "listing"])
def test_a_punctual_delivery_is_taken_however_late_the_platform_looks(found_by: str) -> None:
    world = fake_world({"done": {"complete_when": "done_file", "accept_late": "1d"}})
    for file in ("a.csv", "_SUCCESS"):
        world.deliver("done", file, b"1")
    if found_by == "listing":
        world.messages(lambda _: [])
    minutes(world, 60 * 24 * 4)
    world.settler.arrivals.reconcile()
    assert world.tick(NOBODY) == [f"acme/done:{TODAY}:v1:a1"]


def test_a_half_seen_delivery_settles_after_the_platform_was_down() -> None:
    world = fake_world({"done": {"complete_when": "done_file", "accept_late": "1d"}})
    world.deliver("done", "a.csv")
    assert world.tick(NOBODY) == []
    world.deliver("done", "_SUCCESS", b"")
    minutes(world, 60 * 24 * 4)
    assert world.tick(NOBODY) == [f"acme/done:{TODAY}:v1:a1"]


def test_a_correction_that_came_in_time_is_in_the_next_version_though_it_is_seen_late() -> None:
    world = fake_world({"done": {"complete_when": "done_file", "accept_late": "1d"}})
    for file in ("a.csv", "_SUCCESS"):
        world.deliver("done", file, b"1")
    world.tick(NOBODY)
    run(world, "done")
    for file in ("a.csv", "_SUCCESS"):
        world.deliver("done", file, b"corrected")
    minutes(world, 60 * 24 * 9)
    assert world.tick(NOBODY) == [f"acme/done:{TODAY}:v2:a1"]
    assert contents(world, "done") == {"a.csv": b"corrected"}


@pytest.mark.parametrize(
    ("late", "hours_after_its_end", "taken"),
    [
        ("1d", 23.9, True),
        ("1d", 24, False),
        ("36h", 35.9, True),
        ("36h", 36, False),
        ("0s", -0.1, True),
        ("0s", 0, False),
    ],
)
def test_how_late_an_object_is_counts_from_the_end_of_its_date_to_its_own_time(
    late: str, hours_after_its_end: float, taken: bool
) -> None:
    world = fake_world({"quiet": {"accept_late": late}})
    world.clock.now = world.clock.now.replace(hour=0) + timedelta(hours=24 + hours_after_its_end)
    world.deliver("quiet", "a.csv")
    assert world.settler.arrivals.receive() == 1
    assert bool(delivery(world).pending) is taken


@pytest.mark.parametrize(
    ("early", "days_ahead", "taken"), [(None, 900, True), ("2d", 2, True), ("2d", 3, False), ("10d", 10, True)]
)
def test_a_date_too_far_ahead_is_refused(early: str | None, days_ahead: int, taken: bool) -> None:
    world = fake_world({"quiet": {"accept_early": early}})
    day = TODAY + timedelta(days=days_ahead)
    world.deliver("quiet", "a.csv", day=day)
    world.settler.arrivals.receive()
    assert bool(delivery(world, day=day).pending) is taken
    assert bool(world.ledger.objects.refused("acme")) is not taken


# -- somebody is notified once


def test_refused_objects_are_counted_by_feed_and_reason_until_somebody_was_notified() -> None:
    world = fake_world({"quiet": {"accept_late": "1d"}, "count": {"complete_when": "count", "expected_files": 2}})
    for n in range(3):
        world.deliver("quiet", f"{n}.csv", day=OLD)
    world.deliver("count", "a.csv", day=date(2025, 1, 1))
    world.put(world.source.prefix + "nowhere/a.csv", b"1")
    for noise in ("nowhere/", ".DS_Store", "a.csv.part", f"quiet/dt={TODAY}/_temporary/0", f"quiet/dt={TODAY}/a.tmp"):
        world.put(world.source.prefix + noise, b"")
    world.settler.arrivals.receive()
    world.settler.arrivals.reconcile()
    found = {(r.feed, r.objects, name_of(world, r.first), r.reason) for r in world.ledger.objects.refused("acme")}
    assert found == {
        ("acme/quiet", 3, "0.csv", "its date is older than accept_late 1 day, 0:00:00 allows"),
        ("acme/count", 1, "a.csv", "its date is before the feed's start_date 2026-01-01"),
        (f"acme/{UNPLACED}", 1, "a.csv", "it fits no feed's landing layout, or the date in its key is none"),
    }
    assert all(r.action for r in world.ledger.objects.refused("acme"))
    for refused in world.ledger.objects.refused("acme"):
        assert world.ledger.objects.clear_refused("acme", refused)
    minutes(world, 10)
    world.settler.arrivals.reconcile()
    assert world.ledger.objects.refused("acme") == []


def name_of(world: World, called: str) -> str:
    """The name that the ledger has of a file which messages call so."""
    found = world.ledger.objects.named_by("acme", called)
    assert found is not None
    return found[1].key.rsplit("/", 1)[-1]


def test_what_is_refused_while_somebody_is_notified_is_reported_with_the_next_message() -> None:
    world = fake_world({"quiet": {"accept_late": "1d"}})
    world.deliver("quiet", "a.csv", day=OLD)
    world.settler.arrivals.receive()
    [first] = world.ledger.objects.refused("acme")
    world.deliver("quiet", "b.csv", day=OLD)
    world.settler.arrivals.receive()
    assert not world.ledger.objects.clear_refused("acme", first)
    [left] = world.ledger.objects.refused("acme")
    assert left == Refused(first.feed, first.reason, 1, first.first, first.since, first.action)


def test_a_flood_of_refused_objects_is_a_message_an_hour_and_each_object_is_in_one() -> None:
    world = fake_world({"quiet": {"accept_late": "1d"}})
    counts: list[int] = []
    world.reported = lambda _event, _subject, facts: counts.append(facts["objects"])
    for tick in range(61):
        world.deliver("quiet", f"{tick}.csv", day=OLD)
        world.settler.arrivals.receive()
        notify_refused(world, world.source)
        minutes(world, 1)
    assert counts == [1, 60]


@pytest.mark.parametrize("calls", range(1, 12))
def test_a_refusal_outlives_a_crash_at_any_call(calls: int) -> None:
    world = fake_world({"quiet": {"accept_late": "1d"}})
    for file in ("a.csv", "b.csv"):
        world.deliver("quiet", file, day=OLD)
    world.fuse.left = calls
    with suppress(Crash):
        world.settler.arrivals.receive()
    world.fuse.left = -1
    world.bare_sqs.time_out()
    world.settler.arrivals.receive()
    assert [r.objects for r in world.ledger.objects.refused("acme")] == [2]


# -- a changed declaration

CHANGES: dict[str, tuple[dict[str, Any], str, Callable[[World], World]]] = {
    "start_date is lowered": (
        {},
        "quiet/dt=2025-12-01/a.csv",
        lambda world: declared(world, start_date=date(2025, 11, 1)),
    ),
    "accept_late is lifted": (
        {"accept_late": "1d"},
        f"quiet/dt={OLD}/a.csv",
        lambda world: declared(world, accept_late=None),
    ),
    "accept_early is lengthened": (
        {},
        f"quiet/dt={TODAY + timedelta(9)}/a.csv",
        lambda world: declared(world, accept_early=timedelta(days=9)),
    ),
    "landing is corrected": (
        {},
        f"inbound/{OLD:%Y%m%d}/a.csv",
        lambda world: declared(world, landing="inbound/{date:%Y%m%d}/{file}"),
    ),
    "the date's format is corrected": (
        {"accept_early": "1d"},
        "quiet/12.03.26/a.csv",
        lambda world: declared(world, landing="quiet/{date:%d.%m.%y}/{file}"),
    ),
}


def before_the_change(change: str) -> World:
    arrival, key, _ = CHANGES[change]
    world = fake_world({"quiet": {"quiet_period": "5m", **arrival}})
    if "format" in change:
        world = declared(world, landing="quiet/{date:%m.%d.%y}/{file}")
    world.put(world.source.prefix + key, b"1")
    world.settler.arrivals.receive()
    assert world.ledger.deliveries.active("acme") == []
    return world


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("by", ["listing", "event"])
def test_an_ignored_object_that_the_declaration_takes_by_now_is_delivered(change: str, by: str) -> None:
    world = before_the_change(change)
    [ignored] = rows(world)
    assert ignored.state is ObjectState.IGNORED
    changed = CHANGES[change][2](world)
    minutes(changed, 60)
    if by == "listing":
        assert changed.settler.arrivals.reconcile() == 1
    else:
        detail = {"bucket": {"name": "raw"}, "object": {"key": ignored.key, "version-id": ignored.version}}
        world.bare_sqs.send_message(
            QueueUrl="q",
            MessageBody=json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail}),
        )
        assert changed.settler.arrivals.receive() == 1
    [taken] = rows(changed)
    assert (taken.state, taken.number, taken.reason, taken.seen_by) == (ObjectState.ARRIVED, 1, "", by)
    assert changed.ledger.objects.ignored("acme") == []
    assert changed.settler.arrivals.reconcile() == changed.settler.arrivals.receive() == 0
    minutes(changed, 60 * 24 * 10)
    assert changed.tick(NOBODY) == [f"acme/quiet:{taken.day}:v1:a1"]
    run_of = changed.ledger.deliveries.get("acme/quiet", taken.day)
    assert (run_of.arrivals, run_of.state) == (1, DeliveryState.SETTLED)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("calls", range(8))
def test_of_two_processes_that_take_an_ignored_object_one_does(change: str, calls: int) -> None:
    world = before_the_change(change)
    changed = CHANGES[change][2](world)
    rival = replace(changed)
    changed.fuse.happens, changed.fuse.left = rival.settler.arrivals.reconcile, calls
    changed.settler.arrivals.reconcile()
    changed.fuse.left = -1
    changed.settler.arrivals.reconcile()
    [taken] = rows(changed)
    assert changed.ledger.deliveries.get("acme/quiet", taken.day).arrivals == taken.number == 1


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("calls", range(6))
def test_a_crash_while_an_ignored_object_is_taken_leaves_it_ignored_or_taken(change: str, calls: int) -> None:
    world = before_the_change(change)
    changed = CHANGES[change][2](world)
    changed.fuse.left = calls
    with suppress(Crash):
        changed.settler.arrivals.reconcile()
    changed.fuse.left = -1
    assert len(rows(changed)) == 1
    changed.settler.arrivals.reconcile()
    [taken] = rows(changed)
    assert (taken.state, taken.number) == (ObjectState.ARRIVED, 1)


def test_an_ignored_object_that_is_gone_is_left_alone() -> None:
    world = before_the_change("accept_late is lifted")
    [ignored] = rows(world)
    world.bare_s3.delete_object(Bucket="raw", Key=ignored.key, VersionId=ignored.version)
    changed = CHANGES["accept_late is lifted"][2](world)
    assert changed.settler.arrivals.reconcile() == 0
    assert rows(changed) == [ignored]


def test_an_object_that_stays_ignored_for_another_reason_says_so_and_is_not_reported_again() -> None:
    world = fake_world({"quiet": {}})
    world.put(world.source.prefix + "inbound/20250101/a.csv", b"1")
    world.settler.arrivals.receive()
    [refused] = world.ledger.objects.refused("acme")
    world.ledger.objects.clear_refused("acme", refused)
    changed = declared(world, landing="inbound/{date:%Y%m%d}/{file}")
    assert changed.settler.arrivals.reconcile() == 0
    [found] = rows(changed)
    assert (found.day, found.reason) == (date(2025, 1, 1), "its date is before the feed's start_date 2026-01-01")
    assert changed.ledger.objects.refused("acme") == []
    assert changed.ledger.objects.ignored("acme") == [Ignored(found.identity, "acme/quiet", found.day)]
    later = declared(changed, start_date=date(2025, 1, 1), landing="inbound/{date:%Y%m%d}/{file}")
    assert later.settler.arrivals.reconcile() == 1


@pytest.mark.parametrize("change", ["start_date is lowered", "accept_late is lifted", "landing is corrected"])
def test_an_object_that_an_older_release_ignored_is_taken_too(change: str) -> None:
    world = before_the_change(change)
    for key in [key for key in world.dynamo.items if key[1].startswith("ignored#")]:
        del world.dynamo.items[key]
    changed = CHANGES[change][2](world)
    assert changed.settler.arrivals.reconcile() == 1
    [taken] = rows(changed)
    assert taken.state is ObjectState.ARRIVED


@pytest.mark.parametrize("settled", [False, True])
def test_an_object_that_arrived_under_one_date_does_not_arrive_again_under_another(settled: bool) -> None:
    world = declared(fake_world({"quiet": {"quiet_period": "5m"}}), landing="quiet/{date:%d.%m.%y}/{file}")
    world.put(world.source.prefix + "quiet/12.03.26/a.csv", b"1")
    world.settler.arrivals.receive()
    if settled:
        minutes(world, 10)
        assert world.tick(NOBODY) == ["acme/quiet:2026-03-12:v1:a1"]
    corrected = declared(world, landing="quiet/{date:%y.%m.%d}/{file}")
    assert corrected.settler.arrivals.reconcile() == 0
    assert [(o.day, o.state) for o in rows(corrected)] == [(date(2026, 3, 12), ObjectState.ARRIVED)]
    assert corrected.ledger.deliveries.get("acme/quiet", date(2012, 3, 26)).arrivals == 0
    world.put(world.source.prefix + "quiet/26.03.12/a.csv", b"1")
    assert corrected.settler.arrivals.reconcile() == 1


def test_an_object_that_arrived_stays_whatever_the_declaration_says_later() -> None:
    world = fake_world({"quiet": {}})
    world.deliver("quiet", "a.csv")
    world.settler.arrivals.receive()
    changed = declared(world, accept_late=timedelta(0), start_date=date(2027, 1, 1))
    assert changed.settler.arrivals.reconcile() == 0
    assert [o.state for o in changed.ledger.objects.of_day("acme/quiet", TODAY)] == [ObjectState.ARRIVED]
