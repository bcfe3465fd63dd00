"""What the state machine meets only by luck: each way to lose, double or block an arrival, on purpose."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.flow import lifecycle
from adplatform.flow.close import close
from adplatform.flow.failed import FailedDelivery
from adplatform.flow.notices import notify_hindered
from adplatform.flow.settling import MAX_MANIFEST, Due, Ending, Look, Problem, Runs
from adplatform.flow.source import UNPLACED, make_source
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.keys import RotationState, TableRotation
from adplatform.ledger.objects import ObjectState, RawObject
from adplatform.ledger.placements import Placement
from adplatform.ledger.publications import Publication
from adplatform_tests.flow.fakes import client_error
from adplatform_tests.flow.world import ARRIVALS, TODAY, Crash, NoRuns, World, crash, fake_world, feeds

NOBODY = NoRuns()
CALLS_OF_RECEIVING = 8
"""Two files: messages, until there are none, each file, what the ledger knows, their rows, and the messages' end."""


@pytest.fixture
def world() -> World:
    return fake_world()


class Ended:
    """Every run has ended, and every run key that was asked for launched one."""

    def alive(self, run_id: str) -> bool:
        return False

    def spent(self, run_key: str) -> bool:
        return True

    def ending(self, run: str) -> Ending:
        return Ending.DIED


class Alive:
    def alive(self, run_id: str) -> bool:
        return True

    def spent(self, run_key: str) -> bool:
        return False

    def ending(self, run: str) -> Ending:
        return Ending.DIED


def minutes(world: World, number: float) -> None:
    world.clock.pass_by(timedelta(minutes=number))


def delivery(world: World, feed: str = "quiet", day: date = TODAY) -> Delivery:
    return world.ledger.deliveries.get(f"acme/{feed}", day)


def objects(world: World, feed: str = "quiet", day: date = TODAY) -> list[RawObject]:
    return world.ledger.objects.of_day(f"acme/{feed}", day)


def contents(world: World, feed: str = "quiet", day: date = TODAY) -> dict[str, bytes]:
    """The files of the latest version and their bytes, as its manifest names them."""
    body = world.body("raw", delivery(world, feed, day).manifest_key) or b""
    known = {(o.key, o.version): o for o in objects(world, feed, day)}
    found = {}
    for entry in json.loads(body)["objects"]:
        obj = known[entry["key"], entry["version"]]
        where = ("raw", obj.archived_key) if obj.archived_key else (obj.bucket, obj.key, obj.version)
        found[entry["key"].rsplit("/", 1)[-1]] = world.body(*where) or b"GONE"
    return found


def settled(world: World, feed: str = "quiet") -> Delivery:
    """A delivery of two files, settled as version 1."""
    for file in ("a.csv", "b.csv"):
        world.deliver(feed, file)
    world.tick(NOBODY)
    minutes(world, 6)
    assert world.tick(NOBODY) == [f"acme/{feed}:{TODAY}:v1:a1"]
    return delivery(world, feed)


def published(world: World, feed: str = "quiet") -> Delivery:
    settled(world, feed)
    run(world, feed)
    return delivery(world, feed)


def run(world: World, feed: str = "quiet", run_id: str = "run") -> None:
    close(world, world.flow(feed), lifecycle.claim(world.ledger, world.flow(feed), TODAY, run_id), 1.0)


# -- events


def test_a_message_leaves_the_queue_only_when_the_ledger_has_its_object(world: World) -> None:
    world.deliver("quiet", "a.csv")
    world.fuse.left = 2
    with pytest.raises(Crash):
        world.settler.arrivals.receive()
    assert len(world.bare_sqs.in_flight) == 1
    world.bare_sqs.time_out()
    assert world.settler.arrivals.receive() == 1
    assert world.bare_sqs.in_flight == {}
    assert [o.seen_by for o in objects(world)] == ["event"]


def test_the_calls_of_receiving_are_counted_right(world: World) -> None:
    for file in ("a.csv", "b.csv"):
        world.deliver("quiet", file)
    world.settler.arrivals.receive()
    assert world.fuse.burned == CALLS_OF_RECEIVING


@pytest.mark.parametrize("calls", range(CALLS_OF_RECEIVING))
def test_a_crash_at_any_call_of_receiving_loses_and_doubles_nothing(world: World, calls: int) -> None:
    for file in ("a.csv", "b.csv"):
        world.deliver("quiet", file)
    world.fuse.happens, world.fuse.left = crash, calls
    with pytest.raises(Crash):
        world.settler.arrivals.receive()
    world.bare_sqs.time_out()
    world.settler.arrivals.receive()
    assert [o.number for o in objects(world)] == [1, 2]
    assert delivery(world).arrivals == 2


def test_an_event_about_an_archived_object_is_no_arrival(world: World) -> None:
    world.deliver("quiet", "a.csv")
    events = list(world.bare_sqs.waiting)
    published(world)
    for event in events:
        world.bare_sqs.send_message(QueueUrl="q", MessageBody=event)
    assert world.settler.arrivals.receive() == 0
    assert world.bare_sqs.in_flight == {}
    assert delivery(world).pending == 0


def test_an_object_that_s3_does_not_describe_blocks_nobody_and_is_found_by_the_listing(world: World) -> None:
    world.deliver("quiet", "secret.csv")
    world.deliver("quiet", "a.csv")
    world.bare_s3.forbidden.add(world.key("quiet", TODAY, "secret.csv"))
    assert world.settler.arrivals.receive() == 1
    assert len(world.bare_sqs.in_flight) == 1
    assert world.settler.arrivals.reconcile() == 1
    assert [o.seen_by for o in objects(world)] == ["event", "listing"]


@pytest.mark.parametrize("version", ["garbage", None])
def test_a_message_about_an_object_that_s3_never_describes_leaves_when_the_listing_has_it(
    world: World, version: str | None
) -> None:
    world.deliver("quiet", "secret.csv")
    key = world.key("quiet", TODAY, "secret.csv")
    world.bare_s3.forbidden.add(key)
    thing = {"key": key, **({"version-id": version} if version else {})}
    event = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": "raw"}, "object": thing},
    }
    world.messages(lambda bodies: [*bodies, json.dumps(event)])
    world.settler.arrivals.receive()
    assert len(world.bare_sqs.in_flight) == (1 if version else 2)
    world.settler.arrivals.reconcile()
    world.bare_sqs.time_out()
    assert world.settler.arrivals.receive() == 0
    assert world.bare_sqs.in_flight == {}
    assert len(objects(world)) == 1


def test_an_outage_of_s3_fails_the_tick_and_keeps_the_message(world: World) -> None:
    class Down:
        def head_object(self, **_: Any) -> None:
            raise client_error("InternalError", 500)

    world.deliver("quiet", "a.csv")
    with pytest.raises(ClientError):
        replace(world.arrivals, s3=Down()).receive()
    assert len(world.bare_sqs.in_flight) == 1


@pytest.mark.parametrize(
    "body", ["", "not JSON", "[]", '{"Records": 5}', '{"source": "aws.s3", "detail-type": "Object Created"}']
)
def test_a_message_that_is_none_is_dropped(world: World, body: str) -> None:
    world.bare_sqs.send_message(QueueUrl="q", MessageBody=body)
    world.deliver("quiet", "a.csv")
    assert world.settler.arrivals.receive() == 1
    assert world.bare_sqs.in_flight == {}


def test_an_event_of_another_bucket_or_source_is_not_ours(world: World) -> None:
    world.put("landing/acme2/quiet/dt=2026-03-14/a.csv", b"1")
    for bucket, key in (("other", world.key("quiet", TODAY, "a.csv")), ("raw", "landing/acme2/quiet/a.csv")):
        detail = {"bucket": {"name": bucket}, "object": {"key": key}}
        event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
        world.bare_sqs.send_message(QueueUrl="q", MessageBody=json.dumps(event))
    assert world.settler.arrivals.receive() == 0
    assert world.settler.arrivals.reconcile() == 0


def test_an_event_without_a_version_records_the_version_that_is_there(world: World) -> None:
    version = world.deliver("quiet", "a.csv")
    detail = {"bucket": {"name": "raw"}, "object": {"key": world.key("quiet", TODAY, "a.csv")}}
    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
    world.messages(lambda _: [json.dumps(event), json.dumps(event)])
    assert world.settler.arrivals.receive() == 1
    assert world.settler.arrivals.reconcile() == 0
    assert [o.version for o in objects(world)] == [version]


# -- listings


def test_a_listing_records_every_version_oldest_first_and_only_once(world: World) -> None:
    for body in (b"1", b"2"):
        world.deliver("quiet", "b.csv", body)
    minutes(world, 1)
    world.deliver("quiet", "a.csv")
    world.messages(lambda _: [])
    assert world.settler.arrivals.reconcile() == 3
    assert [(o.key[-5:], o.version) for o in objects(world)] == [
        ("b.csv", "id-1"),
        ("b.csv", "id-2"),
        ("a.csv", "id-3"),
    ]
    minutes(world, 60 * 24)
    assert world.settler.arrivals.reconcile() == 0


def test_objects_that_fit_no_feed_are_remembered_once_for_all_days(world: World) -> None:
    world.put(world.source.prefix + "nowhere/a.csv", b"1")
    assert world.settler.arrivals.reconcile() == 1
    minutes(world, 60 * 24 * 3)
    assert world.settler.arrivals.reconcile() == 0
    assert world.settler.arrivals.receive() == 0
    (found,) = world.ledger.objects.of_day(f"acme/{UNPLACED}", TODAY)
    assert (found.state, found.reason) == (
        ObjectState.IGNORED,
        "it fits no feed's landing layout, or the date in its key is none",
    )


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        (date(2025, 12, 31), "its date is before the feed's start_date 2026-01-01"),
        (date(2026, 3, 3), "its date is older than accept_late 10 days, 0:00:00 allows"),
        (date(2026, 3, 4), ""),
    ],
)
def test_a_date_that_the_feed_does_not_accept_is_ignored_with_its_reason(day: date, reason: str) -> None:
    world = fake_world({"quiet": {"accept_late": "10d"}})
    world.deliver("quiet", "a.csv", day=day)
    assert world.settler.arrivals.receive() == 1
    assert [(o.state is ObjectState.IGNORED, o.reason) for o in objects(world, day=day)] == [(bool(reason), reason)]
    assert bool(world.ledger.deliveries.active("acme")) is not bool(reason)


def test_an_object_whose_event_never_came_is_in_the_version_that_settles(world: World) -> None:
    world.deliver("quiet", "a.csv")
    world.tick(NOBODY)
    minutes(world, 6)
    world.deliver("quiet", "b.csv")
    world.messages(lambda _: [])
    assert world.tick(NOBODY) == []
    assert [o.seen_by for o in objects(world)] == ["event", "listing"]
    minutes(world, 6)
    assert world.tick(NOBODY) == [f"acme/quiet:{TODAY}:v1:a1"]
    assert contents(world) == {"a.csv": b"1", "b.csv": b"1"}


# -- which version of a key counts


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_of_versions_of_one_second_the_last_written_counts_whatever_order_events_come_in(
    world: World, order: tuple[int, ...]
) -> None:
    for body in (b"1", b"2", b"3"):
        world.deliver("quiet", "a.csv", body)
    world.messages(lambda bodies: [bodies[n] for n in order])
    world.tick(NOBODY)
    minutes(world, 6)
    world.tick(NOBODY)
    assert contents(world) == {"a.csv": b"3"}


def test_a_write_in_the_second_of_an_archived_one_is_newer(world: World) -> None:
    world.clock.now = world.clock.now.replace(microsecond=0)
    world.deliver("count", "a.csv", b"1")
    world.deliver("count", "b.csv", b"1")
    world.tick(NOBODY)
    run(world, "count")
    world.deliver("count", "a.csv", b"0")
    assert world.tick(NOBODY) == [f"acme/count:{TODAY}:v2:a1"]
    assert contents(world, "count") == {"a.csv": b"0", "b.csv": b"1"}
    assert [o.place for o in objects(world, "count") if o.key.endswith("a.csv")] == [1, 2]


@pytest.mark.parametrize("calls", range(1, 30, 2))
def test_a_crash_half_way_through_archiving_does_not_bring_an_older_version_back(world: World, calls: int) -> None:
    for body in (b"1", b"2", b"3"):
        world.deliver("quiet", "a.csv", body)
    world.messages(lambda bodies: [bodies[2], bodies[0], bodies[1]])
    world.tick(NOBODY)
    minutes(world, 6)
    world.tick(NOBODY)
    claimed = lifecycle.claim(world.ledger, world.flow("quiet"), TODAY, "run")
    world.fuse.left = calls
    with suppress(Crash):
        close(world, world.flow("quiet"), claimed, 1.0)
    world.fuse.left = -1
    lifecycle.fail(world, world.flow("quiet"), TODAY, "run", PermanentFailure("the archive is full"))
    world.deliver("quiet", "late.csv")
    world.tick(NOBODY)
    minutes(world, 6)
    world.tick(NOBODY)
    assert (delivery(world).version, contents(world)) == (2, {"a.csv": b"3", "late.csv": b"1"})


def test_a_file_restored_after_a_mistake_is_what_counts(world: World) -> None:
    """A, settled; then B over it; then A again: comparing with the ledger's last would drop the second A."""
    published(world)
    world.deliver("quiet", "a.csv", b"wrong")
    minutes(world, 1)
    world.deliver("quiet", "a.csv", b"1")
    world.messages(lambda bodies: bodies[::-1])
    world.tick(NOBODY)
    minutes(world, 6)
    world.tick(NOBODY)
    assert contents(world)["a.csv"] == b"1"
    assert delivery(world).pending == 0


# -- repeats


def test_the_same_bytes_again_are_no_new_version(world: World) -> None:
    published(world)
    world.deliver("quiet", "a.csv")
    world.tick(NOBODY)
    minutes(world, 6)
    assert world.tick(NOBODY) == []
    assert (delivery(world).version, delivery(world).pending, delivery(world).state) == (1, 0, DeliveryState.PUBLISHED)
    minutes(world, 60)
    assert world.tick(NOBODY) == []


def test_a_repeated_done_file_takes_the_corrections_before_it_at_once(world: World) -> None:
    for file in ("a.csv", "_SUCCESS"):
        world.deliver("done", file, b"1")
    world.tick(NOBODY)
    run(world, "done")
    for file, body in (("a.csv", b"corrected"), ("_SUCCESS", b"1")):
        world.deliver("done", file, body)
    assert world.tick(NOBODY) == [f"acme/done:{TODAY}:v2:a1"]
    assert contents(world, "done") == {"a.csv": b"corrected"}


def test_the_same_bytes_after_a_failure_are_tried_again(world: World) -> None:
    settled(world)
    lifecycle.claim(world.ledger, world.flow("quiet"), TODAY, "run")
    lifecycle.fail(world, world.flow("quiet"), TODAY, "run", PermanentFailure("no key"))
    world.deliver("quiet", "a.csv")
    world.tick(NOBODY)
    minutes(world, 6)
    assert world.tick(NOBODY) == [f"acme/quiet:{TODAY}:v2:a1"]


def test_a_request_for_a_new_version_is_met_though_the_same_bytes_came_again(world: World) -> None:
    published(world)
    world.deliver("quiet", "a.csv")
    world.tick(NOBODY)
    world.ledger.deliveries.reopen("acme/quiet", TODAY)
    minutes(world, 6)
    assert world.tick(NOBODY) == [f"acme/quiet:{TODAY}:v2:a1"]


# -- one version at a time


def test_while_a_version_has_a_run_no_other_settles(world: World) -> None:
    before = settled(world)
    lifecycle.claim(world.ledger, world.flow("quiet"), TODAY, "run")
    world.deliver("quiet", "late.csv")
    world.settler.arrivals.receive()
    minutes(world, 60)
    assert world.tick(Alive()) == []
    assert world.settler.settle(world.flow("quiet"), delivery(world), anyway=True) is None
    assert delivery(world).version == before.version
    close(world, world.flow("quiet"), delivery(world), 1.0)
    assert world.tick(Alive()) == [f"acme/quiet:{TODAY}:v2:a1"]


def test_a_settled_version_is_asked_for_under_one_key_until_it_runs(world: World) -> None:
    settled(world)
    keys = {key for _ in range(3) for key in world.tick(NOBODY)}
    assert keys == {f"acme/quiet:{TODAY}:v1:a1"}


def test_a_version_settles_above_those_that_the_delivery_does_not_know_of(world: World) -> None:
    """As a doctor leaves it that is killed before it changes the delivery."""
    for version in (1, 2):
        restored = Publication(TODAY, version, 1, f"manifests/{version}", world.clock(), "quiet")
        world.ledger.publications.put("acme/quiet", restored)
    world.deliver("quiet", "a.csv")
    world.tick(NOBODY)
    minutes(world, 6)
    assert world.tick(NOBODY) == [f"acme/quiet:{TODAY}:v3:a1"]


@pytest.mark.parametrize("calls", range(7))
def test_an_object_that_arrives_while_a_version_settles_is_in_it_or_pending(world: World, calls: int) -> None:
    def late() -> None:
        world.deliver("quiet", "late.csv")
        world.settler.arrivals.receive()

    world.deliver("quiet", "a.csv")
    world.tick(NOBODY)
    minutes(world, 6)
    world.fuse.happens, world.fuse.left = late, calls
    done = world.settler.settle(world.flow("quiet"), delivery(world))
    assert len(objects(world)) == 2
    inside = set(contents(world)) if done else set()
    pending = {o.key[-8:] for o in objects(world) if o.number > delivery(world).settled_arrivals}
    assert ("late.csv" in inside) is not ("late.csv" in pending)


# -- runs that end badly


def test_a_run_that_died_is_tried_again_at_once_under_a_new_key(world: World) -> None:
    settled(world)
    lifecycle.claim(world.ledger, world.flow("quiet"), TODAY, "run")
    assert world.tick(Ended()) == [f"acme/quiet:{TODAY}:v1:a2"]
    assert (delivery(world).state, delivery(world).error) == ("settled", "run run ended without a result")


def test_a_run_that_never_claimed_its_delivery_is_tried_again_under_a_new_key(world: World) -> None:
    settled(world)
    assert world.tick(Ended()) == [f"acme/quiet:{TODAY}:v1:a2"]
    assert delivery(world).error == "the run ended before it began its work"


def test_a_run_that_says_why_it_failed_is_tried_again_after_a_wait(world: World) -> None:
    settled(world)
    lifecycle.claim(world.ledger, world.flow("quiet"), TODAY, "run")
    lifecycle.fail(world, world.flow("quiet"), TODAY, "run", TransientFailure("slow"))
    minutes(world, 1)
    assert world.tick(Ended()) == []
    minutes(world, 1)
    assert world.tick(NOBODY) == [f"acme/quiet:{TODAY}:v1:a2"]


def fails(world: World, error: Exception, feed: str = "quiet", run_id: str = "run") -> None:
    lifecycle.claim(world.ledger, world.flow(feed), TODAY, run_id)
    assert lifecycle.fail(world, world.flow(feed), TODAY, run_id, error)


def launches(world: World, runs: Runs, hours: int, end: Callable[[], object]) -> list[tuple[int, str]]:
    """Minutes after which runs were asked for, and the number in their keys, when ``end`` ends each."""
    began, asked = world.clock(), []
    for _ in range(hours * 60):
        for key in world.tick(NOBODY):
            asked.append((int((world.clock() - began).total_seconds() // 60), key.rpartition(":a")[2]))
            end()
        world.settler.due(runs)
        minutes(world, 1)
    return asked


def test_attempts_are_counted_and_end(world: World) -> None:
    settled(world)
    asked = launches(world, Ended(), 24, lambda: fails(world, TransientFailure("slow")))
    assert asked == [(0, "1"), (2, "2"), (6, "3")]
    assert (delivery(world).state, delivery(world).error) == (DeliveryState.FAILED, "slow")


def test_a_delivery_that_rests_or_is_given_up_costs_a_look_no_call(world: World) -> None:
    settled(world)
    for attempt in range(1, 4):
        fails(world, TransientFailure("slow"))
        before = world.fuse.burned
        assert world.settler.due(NOBODY) == ([], [])
        assert world.fuse.burned - before == 1, "the query for what is active"
        minutes(world, 60)
        assert len(world.tick(NOBODY)) == (attempt < 3)
    before = world.fuse.burned
    assert world.settler.due(NOBODY) == ([], [])
    assert world.fuse.burned - before == 1


def test_runs_that_die_are_no_attempts_but_they_end_too_and_people_hear_of_it(world: World) -> None:
    settled(world)
    reported = []

    class Tells(Ended):
        def ending(self, run: str) -> Ending:
            return Ending.DIED

    asked = []
    for _ in range(24 * 60):
        asked += world.tick(NOBODY)
        reported += world.settler.due(Tells())[1]
        minutes(world, 1)
    assert list(dict.fromkeys(asked)) == [f"acme/quiet:{TODAY}:v1:a{n}" for n in range(1, 8)]
    assert (delivery(world).state, delivery(world).attempt, delivery(world).deaths) == (DeliveryState.FAILED, 1, 7)
    assert [p.subject for p in reported] == [f"acme/quiet {TODAY}: is given up"]
    assert "its runs died 7 times. `adplatform retry acme/quiet" in reported[0].error


def test_the_pauses_between_deaths_grow(world: World) -> None:
    settled(world)
    asked = launches(world, Ended(), 24, lambda: lifecycle.claim(world.ledger, world.flow("quiet"), TODAY, "run"))
    assert asked == [(0, "1"), (1, "2"), (6, "3"), (16, "4"), (36, "5"), (76, "6"), (156, "7")]


class Stopped(Ended):
    def ending(self, run: str) -> Ending:
        return Ending.STOPPED


@pytest.mark.parametrize("claims", [True, False])
def test_a_run_that_is_stopped_from_outside_is_no_attempt_however_often(world: World, claims: bool) -> None:
    settled(world)
    for number in range(1, 20):
        assert world.tick(NOBODY) == [f"acme/quiet:{TODAY}:v1:a{number}"]
        if claims:
            lifecycle.claim(world.ledger, world.flow("quiet"), TODAY, "run")
        assert [d.launch for d in world.settler.due(Stopped())[0]] == [number + 1]
    run(world)
    assert (delivery(world).attempt, delivery(world).deaths) == (1, 0)


def test_a_run_that_lets_go_is_no_attempt_and_the_next_has_a_key_of_its_own(world: World) -> None:
    settled(world)
    lifecycle.claim(world.ledger, world.flow("quiet"), TODAY, "run")
    lifecycle.release(world, world.flow("quiet"), TODAY, "run")
    assert world.tick(NOBODY) == [f"acme/quiet:{TODAY}:v1:a2"]
    assert (delivery(world).attempt, delivery(world).deaths) == (1, 0)


def test_what_hinders_is_no_attempt_is_tried_ever_less_often_and_reported_once_for_all_of_a_source(
    world: World,
) -> None:
    reported: list[str] = []
    world.reported = lambda event, *_: reported.append(event)
    settled(world)
    asked = launches(world, Ended(), 12, lambda: fails(world, EnvironmentFailure("no key")))
    assert [minute for minute, _ in asked] == [0, 5, 15, 35, 75, 155, 275, 395, 515, 635]
    for file in ("a.csv", "b.csv"):
        world.deliver("count", file)
    world.tick(NOBODY)
    fails(world, EnvironmentFailure("no key"), "count")
    assert reported == ["delivery_hindered"]
    assert (delivery(world).attempt, delivery(world).permanent) == (1, False)
    minutes(world, 120)
    for feed in ("count", "quiet"):
        world.tick(NOBODY)
        run(world, feed)
        assert (delivery(world, feed).state, delivery(world, feed).hindered) == (DeliveryState.PUBLISHED, 0)
    world.deliver("quiet", "c.csv")
    world.tick(NOBODY)
    minutes(world, 6)
    world.tick(NOBODY)
    fails(world, EnvironmentFailure("the disk is full"))
    assert reported == ["delivery_hindered"] * 2


def test_what_hinders_is_reported_with_the_next_delivery_when_it_could_not_be_sent(world: World) -> None:
    sent = [False, True, True]
    world.reported = lambda *_: sent.pop(0)
    for file in ("a.csv", "b.csv", "_SUCCESS"):
        world.deliver("count", file)
        world.deliver("done", file)
        world.deliver("quiet", file)
    world.tick(NOBODY)
    minutes(world, 6)
    world.tick(NOBODY)
    for feed in ("quiet", "count", "done"):
        fails(world, EnvironmentFailure("disk full"), feed)
    assert sent == [True]


@pytest.mark.parametrize("ends", [PermanentFailure("a bad file"), TransientFailure("S3 does not answer")])
def test_a_delivery_that_fails_for_itself_does_not_keep_a_later_hindrance_silent(world: World, ends: Exception) -> None:
    reported: list[str] = []
    world.reported = lambda event, *_: reported.append(event)
    settled(world)
    fails(world, EnvironmentFailure("no key"))
    minutes(world, 5)
    world.tick(NOBODY)
    fails(world, ends)
    for file in ("a.csv", "b.csv"):
        world.deliver("count", file)
    world.tick(NOBODY)
    fails(world, EnvironmentFailure("no key"), "count")
    assert reported == ["delivery_hindered"] * 2
    assert delivery(world).hindered == 0


def test_each_cause_of_a_hindrance_is_reported_and_again_when_the_message_was_not_sent(world: World) -> None:
    reported: list[str] = []
    answers = [False, True, True]
    world.reported = lambda _event, _subject, facts: reported.append(facts["error"]) or answers[len(reported) - 1]
    settled(world)
    full = EnvironmentFailure("quiet: the disk is full", cause="disk")
    for error in (
        full,
        full,
        full,
        EnvironmentFailure("no key"),
        EnvironmentFailure("count: the disk is full", cause="disk"),
    ):
        fails(world, error)
        minutes(world, 120)
        world.tick(NOBODY)
    assert reported == ["quiet: the disk is full"] * 2 + ["no key"]


def test_a_feed_that_was_removed_while_it_was_hindered_keeps_nobody_silent(world: World) -> None:
    reported: list[str] = []
    world.reported = lambda event, *_: reported.append(event)
    settled(world)
    fails(world, EnvironmentFailure("no key"))
    minutes(world, 60 * 25)
    for file in ("a.csv", "b.csv"):
        world.deliver("count", file)
    world.settler.arrivals.receive()
    world.settler.look(NOBODY, only="acme/count")
    fails(world, EnvironmentFailure("no key"), "count")
    assert reported == ["delivery_hindered"] * 2


def test_a_run_that_was_hindered_before_it_could_claim_rests_too(world: World) -> None:
    class Hindered(Ended):
        def ending(self, run: str) -> Ending:
            return Ending.HINDERED

    settled(world)
    assert world.settler.due(Hindered()) == ([], [])
    assert (delivery(world).hindered, delivery(world).attempt, delivery(world).deaths) == (1, 1, 0)
    minutes(world, 5)
    assert world.tick(NOBODY) == [f"acme/quiet:{TODAY}:v1:a2"]


def test_a_version_that_readers_see_is_never_left_failed_and_hidden(world: World) -> None:
    settled(world)
    world.ledger.placements.put("acme/quiet", Placement(TODAY, 1))
    for _ in range(5):
        fails(world, TransientFailure("the archive does not answer"))
    assert (delivery(world).published, world.ledger.publications.of_feed("acme/quiet")[0].state) == (
        1,
        DeliveryState.SETTLED,
    )
    minutes(world, 120)
    assert world.tick(NOBODY) == [f"acme/quiet:{TODAY}:v1:a2"]
    run(world)
    assert delivery(world).state is DeliveryState.PUBLISHED


def test_a_version_that_readers_see_is_closed_however_many_runs_died(world: World) -> None:
    settled(world)
    world.ledger.placements.put("acme/quiet", Placement(TODAY, 1))
    for death in range(1, 10):
        lifecycle.claim(world.ledger, world.flow("quiet"), TODAY, "run")
        assert world.settler.due(Ended())[1] == []
        minutes(world, 120)
        assert (delivery(world).published, delivery(world).deaths) == (1, death)
        assert len(world.tick(NOBODY)) == 1
    run(world)
    assert delivery(world).state is DeliveryState.PUBLISHED


def test_a_failed_version_is_tried_again_though_something_waits_that_never_completes(world: World) -> None:
    world.deliver("listed", "a.csv")
    world.deliver("listed", "manifest.json", b'{"files": [{"name": "a.csv"}]}')
    assert world.tick(NOBODY) == [f"acme/listed:{TODAY}:v1:a1"]
    lifecycle.claim(world.ledger, world.flow("listed"), TODAY, "run")
    world.deliver("listed", "stray.csv")
    world.tick(Ended())
    minutes(world, 2)
    assert world.tick(NOBODY) == [f"acme/listed:{TODAY}:v1:a2"]


def test_a_permanent_failure_waits_for_an_object_or_an_operator(world: World) -> None:
    settled(world)
    lifecycle.claim(world.ledger, world.flow("quiet"), TODAY, "run")
    lifecycle.fail(world, world.flow("quiet"), TODAY, "run", PermanentFailure("bad file"))
    minutes(world, 60 * 24)
    assert world.tick(Ended()) == []
    world.ledger.deliveries.reopen("acme/quiet", TODAY)
    assert world.tick(Ended()) == [f"acme/quiet:{TODAY}:v2:a1"]


# -- partners' manifests


def called(world: World, file: str) -> str:
    """What messages call a file of today."""
    [found] = [o for o in objects(world, "listed") if o.key == world.key("listed", TODAY, file)]
    return found.file_id


def test_a_broken_manifest_is_reported_once_and_holds_up_no_other_feed(world: World) -> None:
    world.deliver("listed", "manifest.json", b"{")
    settled(world)
    flow = world.flow("listed")
    error = delivery(world, "listed").error
    assert error.startswith(f"{called(world, 'manifest.json')}: not a manifest")
    assert Problem(flow, TODAY, error).facts == {"feed": "acme/listed", "date": str(TODAY), "error": error}
    assert Problem(flow, TODAY, error).subject == f"acme/listed {TODAY}: cannot settle"
    due, problems = world.settler.due(NOBODY)
    assert [d.flow.name for d in due] == ["acme/quiet"]
    assert problems == []


def test_a_manifest_that_is_mended_settles_what_was_stuck(world: World) -> None:
    world.deliver("listed", "a.csv")
    world.deliver("listed", "manifest.json", b"{")
    world.settler.arrivals.receive()
    assert [p.flow.name for p in world.settler.due(NOBODY)[1]] == ["acme/listed"]
    minutes(world, 1)
    world.deliver("listed", "manifest.json", b'{"files": [{"name": "a.csv"}]}')
    assert world.tick(NOBODY) == [f"acme/listed:{TODAY}:v1:a1"]
    assert delivery(world, "listed").error == ""


def test_a_manifest_that_is_gone_is_a_problem_of_its_feed_only(world: World) -> None:
    key = world.key("listed", TODAY, "manifest.json")
    world.deliver("listed", "manifest.json", b'{"files": []}')
    world.settler.arrivals.receive()
    world.bare_s3.keys[key].clear()
    settled(world)
    assert f"{called(world, 'manifest.json')}: the manifest cannot be read" in delivery(world, "listed").error


def test_manifests_that_are_denied_hinder_the_source_and_are_no_problem_of_their_dates(world: World) -> None:
    days = [TODAY, TODAY - timedelta(days=1)]
    for day in days:
        world.deliver("listed", "manifest.json", b'{"files": []}', day)
        world.bare_s3.forbidden.add(world.key("listed", day, "manifest.json"))
    world.settler.arrivals.reconcile()
    found = world.settler.look(NOBODY)
    assert (found.problems, len(found.waiting)) == ((), 2)
    assert {hindrance.cause for hindrance in found.hindrances} == {"HeadObject: 403"}
    assert [delivery(world, "listed", day).state for day in days] == [DeliveryState.OPEN] * 2
    assert world.settler.settle(world.flow("listed"), delivery(world, "listed"), anyway=True) is not None


def test_a_denial_of_many_dates_is_one_message_until_it_is_over(world: World) -> None:
    reported: list[str] = []
    world.reported = lambda event, *_: reported.append(event)
    denied = EnvironmentFailure("manifest.json: GetObject is not allowed", cause="GetObject")
    for hindrances in ((denied, denied), (denied,), (), (denied,)):
        notify_hindered(world, world.source, Look((), (), (), None, hindrances))
    assert reported == ["arrivals_hindered"] * 2


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "denied"])
def test_a_date_whose_settlement_cannot_be_read_holds_up_no_other(world: World, gone: bool) -> None:
    first = published(world, "count")
    minutes(world, 1)
    world.deliver("count", "a.csv", b"2")
    if gone:
        world.bare_s3.keys[first.manifest_key].clear()
    else:
        world.bare_s3.forbidden.add(first.manifest_key)
    world.deliver("done", "_SUCCESS")
    world.deliver("done", "a.csv")
    world.settler.arrivals.receive()
    found = world.settler.look(NOBODY)
    assert [due.flow.name for due in found.due] == ["acme/done"]
    assert (len(found.problems), len(found.hindrances)) == ((1, 0) if gone else (0, 1))


@pytest.mark.parametrize("was_published", [False, True])
def test_a_stuck_date_whose_manifest_is_mended_waits_like_any_other(world: World, was_published: bool) -> None:
    if was_published:
        world.deliver("listed", "manifest.json", b'{"files": []}')
        world.tick(NOBODY)
        run(world, "listed")
        world.bare_s3.keys[delivery(world, "listed").manifest_key].clear()
        minutes(world, 1)
    world.deliver("listed", "manifest.json", b'{"files": []}' if was_published else b"{")
    world.tick(NOBODY)
    assert delivery(world, "listed").state is DeliveryState.FAILED
    minutes(world, 1)
    world.deliver("listed", "manifest.json", b'{"files": [{"name": "a.csv"}]}')
    for _ in range(2):
        assert world.tick(NOBODY) == []
    found = delivery(world, "listed")
    expected = DeliveryState.PUBLISHED if was_published else DeliveryState.OPEN
    assert (found.state, found.permanent, found.error) == (expected, False, "")


def test_a_data_file_named_like_a_manifest_is_not_read_into_memory(world: World) -> None:
    world.deliver("listed", "manifest.json", b"x" * (MAX_MANIFEST + 1))
    world.settler.arrivals.receive()
    (problem,) = world.settler.due(NOBODY)[1]
    assert "bytes are too many for a manifest" in problem.error


def test_an_operator_can_settle_past_a_broken_manifest(world: World) -> None:
    world.deliver("listed", "a.csv")
    world.deliver("listed", "manifest.json", b"{")
    world.settler.arrivals.receive()
    done = world.settler.settle(world.flow("listed"), delivery(world, "listed"), anyway=True)
    assert done is not None
    assert done.settled_because.startswith("an operator did not wait (file:")
    assert contents(world, "listed") == {"a.csv": b"1"}


def test_what_a_manifest_promises_goes_with_exactly_that_file(world: World) -> None:
    """One listed name may be the end of another's path."""
    listed = [{"name": "a.csv", "rows": 1, "sha256": "a" * 64}, {"name": "sub/a.csv", "rows": 2}]
    for file, body in (("sub/a.csv", b"1"), ("a.csv", b"2"), ("manifest.json", json.dumps({"files": listed}).encode())):
        world.deliver("listed", file, body)
    world.tick(NOBODY)
    entries = json.loads(world.body("raw", delivery(world, "listed").manifest_key) or b"")["objects"]
    assert {e["key"].split(f"dt={TODAY}/")[1]: (e["rows"], e["sha256"]) for e in entries} == {
        "a.csv": (1, "a" * 64),
        "sub/a.csv": (2, None),
    }


def test_every_manifest_of_a_date_must_be_met(world: World) -> None:
    for hour in ("00", "01"):
        world.deliver("listed", f"{hour}/manifest.json", b'{"files": [{"name": "a.csv"}]}')
    world.deliver("listed", "00/a.csv")
    assert world.tick(NOBODY) == []
    world.deliver("listed", "01/a.csv")
    assert world.tick(NOBODY) == [f"acme/listed:{TODAY}:v1:a1"]
    assert delivery(world, "listed").settled_because == "all 2 listed files are there"


IMPOSSIBLE = {
    "../a.csv": "leads out of the manifest's folder",
    "/a.csv": "is an address",
    "manifest.json": "is a manifest itself",
    "sub/manifest.json": "is a manifest itself",
    "_tmp/a.csv": "never counts as a file: '_tmp' is the name of a hidden file or folder",
    "a.csv.part": "never counts as a file: 'a.csv.part' is the name of an unfinished file",
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_manifest_that_can_never_be_met_is_reported_once_with_its_reason(world: World, name: str) -> None:
    world.deliver("listed", "a.csv")
    world.deliver("listed", "manifest.json", json.dumps({"files": [{"name": name}]}).encode())
    world.settler.arrivals.receive()
    (problem,) = world.settler.due(NOBODY)[1]
    assert IMPOSSIBLE[name] in problem.error
    assert (delivery(world, "listed").state, delivery(world, "listed").error) == ("failed", problem.error)
    [manifest] = [o for o in objects(world, "listed") if o.key.endswith("manifest.json")]
    assert (manifest.state, manifest.reason) == (ObjectState.ARRIVED, problem.error)
    minutes(world, 60)
    assert world.settler.due(NOBODY) == ([], [])
    assert world.ledger.objects.refused("acme") == []
    world.deliver("listed", "manifest.json", b'{"files": [{"name": "a.csv"}]}')
    assert world.tick(NOBODY) == [f"acme/listed:{TODAY}:v1:a1"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("2026-03-13_a.csv", "which belongs to 2026-03-13"),
        ("other_2026-03-14_a.csv", "which belongs to acme/other"),
        ("a.csv", "which fits no feed's landing layout"),
        ("2026-03-14_a.csv", ""),
    ],
)
def test_a_manifest_lists_only_files_of_its_own_feed_and_date(name: str, reason: str) -> None:
    """And it is found where dates stand in the names of files."""
    world = fake_world({"listed": {"complete_when": "manifest"}, "other": {}})
    landings = ("in/{date}_{file}", "in/other_{date}_{file}")
    moved = [f.feed.model_copy(update={"landing": to}) for f, to in zip(world.source.feeds, landings, strict=True)]
    world = replace(world, source=make_source("acme", "raw", moved))
    for file, body in (
        ("2026-03-14_a.csv", b"1"),
        ("2026-03-14_manifest.json", json.dumps({"files": [{"name": name}]}).encode()),
    ):
        world.put(f"{world.source.prefix}in/{file}", body)
    world.settler.arrivals.receive()
    due, problems = world.settler.due(NOBODY)
    if reason:
        assert [reason in problem.error for problem in problems] == [True]
    else:
        assert [d.run_key for d in due] == [f"acme/listed:{TODAY}:v1:a1"]


def test_a_broken_manifest_beside_good_ones_is_reported_once_and_does_not_hold_them_up(world: World) -> None:
    world.deliver("listed", "00/manifest.json", b'{"files": [{"name": "a.csv"}]}')
    world.deliver("listed", "00/a.csv")
    world.deliver("listed", "01/manifest.json", b"{")
    assert world.tick(NOBODY) == [f"acme/listed:{TODAY}:v1:a1"]
    assert list(contents(world, "listed")) == ["a.csv"]
    [refused] = world.ledger.objects.refused("acme")
    assert (refused.feed, refused.objects, refused.first) == (
        "acme/listed",
        1,
        called(world, "01/manifest.json"),
    )
    assert "not a manifest" in refused.reason
    assert "ask the sender to send a correct manifest" in refused.action
    assert world.ledger.objects.clear_refused("acme", refused)
    run(world, "listed")
    world.deliver("listed", "00/stray.csv")
    world.tick(NOBODY)
    assert world.ledger.objects.refused("acme") == []
    minutes(world, 1)
    world.deliver("listed", "01/manifest.json", b'{"files": [{"name": "b.csv"}]}')
    world.deliver("listed", "01/b.csv")
    assert world.tick(NOBODY) == [f"acme/listed:{TODAY}:v2:a1"]
    assert sorted(contents(world, "listed")) == ["a.csv", "b.csv"]


def test_of_a_manifest_that_was_sent_again_broken_the_good_one_counts_and_keeps_its_files_expected(
    world: World,
) -> None:
    world.deliver("listed", "manifest.json", b'{"files": [{"name": "a.csv"}, {"name": "b.csv"}]}')
    minutes(world, 1)
    world.deliver("listed", "manifest.json", b'{"files": "all"}')
    world.deliver("listed", "a.csv")
    assert world.tick(NOBODY) == []
    assert delivery(world, "listed").waiting == "1 of 2 listed files are missing, the first is number 2"
    assert [r.objects for r in world.ledger.objects.refused("acme")] == [1]
    world.deliver("listed", "b.csv")
    assert world.tick(NOBODY) == [f"acme/listed:{TODAY}:v1:a1"]
    assert sorted(contents(world, "listed")) == ["a.csv", "b.csv"]


def test_all_broken_manifests_of_a_date_are_reported_each_once(world: World) -> None:
    for hour in ("00", "01", "02"):
        world.deliver("listed", f"{hour}/manifest.json", b"{")
    world.settler.arrivals.receive()
    assert len(world.settler.due(NOBODY)[1]) == 1
    assert len(world.ledger.objects.refused("acme")) == 2
    assert world.settler.due(NOBODY)[1] == []
    assert len(world.ledger.objects.refused("acme")) == 2


def test_a_manifest_that_s3_hands_out_again_settles_what_was_stuck(world: World) -> None:
    """Permission is no property of the manifest, so it is asked for again."""
    key = world.key("listed", TODAY, "manifest.json")
    for file, body in (("a.csv", b"1"), ("manifest.json", b'{"files": [{"name": "a.csv"}]}')):
        world.deliver("listed", file, body)
    world.settler.arrivals.receive()
    world.bare_s3.forbidden.add(key)
    assert len(world.settler.look(NOBODY).hindrances) == 1
    world.bare_s3.forbidden.clear()
    assert world.tick(NOBODY) == [f"acme/listed:{TODAY}:v1:a1"]
    assert [o.reason for o in objects(world, "listed")] == ["", ""]


# -- what a delivery waits for


def test_what_a_delivery_waits_for_is_said_without_changing_anything(world: World) -> None:
    world.deliver("quiet", "a.csv")
    world.deliver("listed", "a.csv")
    world.deliver("count", "a.csv")
    world.settler.arrivals.receive()
    before = dict(world.dynamo.items)

    def waits(feed: str) -> str:
        wait = world.settler.waits(world.flow(feed), delivery(world, feed))
        return f"{wait.because} {wait.until}" if wait else ""

    reported = {feed: waits(feed) for feed in ("quiet", "listed", "count", "done")}
    assert reported == {
        "quiet": f"objects may still come {world.clock() + timedelta(minutes=5)}",
        "listed": "no manifest.json yet None",
        "count": "1 of 2 files None",
        "done": "",
    }
    assert world.dynamo.items == before
    world.deliver("count", "b.csv")
    world.settler.arrivals.receive()
    assert waits("count") == "complete, 2 of 2 files: the next look takes it None"


# -- operators


@pytest.mark.parametrize("feed", sorted(ARRIVALS))
def test_an_operator_settles_what_is_there(world: World, feed: str) -> None:
    world.deliver(feed, "a.csv")
    world.settler.arrivals.receive()
    done = world.settler.settle(world.flow(feed), delivery(world, feed), anyway=True)
    assert done is not None
    assert done.settled_because.startswith("an operator did not wait (")
    assert contents(world, feed) == {"a.csv": b"1"}


def test_settling_before_it_is_complete_does_nothing(world: World) -> None:
    world.deliver("quiet", "a.csv")
    world.settler.arrivals.receive()
    assert world.settler.settle(world.flow("quiet"), delivery(world)) is None
    assert delivery(world).version == 0


def test_a_stray_file_does_not_keep_an_operators_request_waiting(world: World) -> None:
    world.deliver("listed", "a.csv")
    world.deliver("listed", "manifest.json", b'{"files": [{"name": "a.csv"}]}')
    world.tick(NOBODY)
    lifecycle.claim(world.ledger, world.flow("listed"), TODAY, "run")
    lifecycle.fail(world, world.flow("listed"), TODAY, "run", PermanentFailure("no key"))
    world.deliver("listed", "stray.csv")
    world.ledger.deliveries.reopen("acme/listed", TODAY)
    assert world.tick(Ended()) == [f"acme/listed:{TODAY}:v2:a1"]
    assert contents(world, "listed") == {"a.csv": b"1"}


# -- the index


def test_a_delivery_that_the_index_does_not_show_yet_is_found_by_a_later_tick(world: World) -> None:
    world.deliver("count", "a.csv")
    world.deliver("count", "b.csv")
    world.dynamo.lagging = True
    assert world.tick(NOBODY) == []
    world.dynamo.catch_up()
    assert world.tick(NOBODY) == [f"acme/count:{TODAY}:v1:a1"]


def test_a_delivery_that_the_index_still_shows_is_not_run_again(world: World) -> None:
    settled(world)
    world.dynamo.catch_up()
    world.dynamo.lagging = True
    run(world)
    assert world.tick(NOBODY) == []
    assert delivery(world).state is DeliveryState.PUBLISHED


def test_a_run_key_names_feed_date_version_and_attempt() -> None:
    (feed,) = feeds({"quiet": {}})
    flow = make_source("acme", "raw", [feed]).feeds[0]
    keys = {Due(flow, day, v, a).run_key for day in (TODAY, TODAY + timedelta(1)) for v in (1, 11) for a in (1, 11)}
    assert len(keys) == 8


def test_a_table_on_its_way_to_another_hashing_key_waits_for_it_only_while_its_contract_needs_one(world: World) -> None:
    world.ledger.keys.put_rotation(TableRotation("acme/quiet", "k1", "k2", RotationState.RUNNING, world.clock()))
    assert settled(world).version == 1


def test_a_retry_that_changed_nothing_does_not_count(world: World) -> None:
    flow = world.flow("quiet")
    settled(world)
    lifecycle.claim(world.ledger, flow, TODAY, "run")
    lifecycle.fail(world, flow, TODAY, "run", TransientFailure("later"))
    failed = FailedDelivery(flow, delivery(world))
    assert failed.retry(world).changed
    again = failed.retry(world)
    assert (again.changed, "changed meanwhile" in again.sentence) == (False, True)


# -- dates of which there can be no run


@pytest.mark.parametrize("days", [1, 400])
def test_a_date_that_has_not_begun_is_not_settled_by_an_operator_either(world: World, days: int) -> None:
    ahead = TODAY + timedelta(days=days)
    row = replace(delivery(world, day=ahead), arrivals=1)
    with pytest.raises(PermanentFailure, match=f"acme/quiet {ahead}: the date has not begun"):
        world.settler.settle(world.flow("quiet"), row, anyway=True)


def test_a_date_before_the_feeds_start_is_not_settled_by_an_operator_either(world: World) -> None:
    early = world.flow("quiet").feed.start_date - timedelta(days=1)
    row = replace(delivery(world, day=early), arrivals=1)
    with pytest.raises(PermanentFailure, match=f"acme/quiet {early}: the date is before the feed's start_date"):
        world.settler.settle(world.flow("quiet"), row, anyway=True)


def test_a_settled_date_that_has_not_begun_waits_for_it_and_holds_up_no_other(world: World) -> None:
    settled(world)
    world.clock.pass_by(timedelta(days=-1))
    look = world.settler.look(NOBODY)
    assert (look.due, [each.wait.because for each in look.waiting]) == ((), ["its date has not begun"])
    world.clock.pass_by(timedelta(days=1))
    assert world.tick(NOBODY) == [f"acme/quiet:{TODAY}:v1:a1"]
