"""The archive, and the life of a run: nothing leaves the landing zone before its copy is safe and remembered."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow import close as closing
from adplatform.flow import lifecycle
from adplatform.flow.close import archive, close
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.objects import ObjectState, RawObject
from adplatform_tests.flow.world import TODAY, Crash, NoRuns, World, crash, fake_world, real_world
from adplatform_tests.support.ledger_rows import put_delivery

FEED = "acme/count"
CALLS_OF_CLOSING = 7


@pytest.fixture
def world() -> World:
    """A count feed whose first version, of two files, has settled."""
    world = fake_world()
    for file in ("a.csv", "b.csv"):
        world.deliver("count", file)
    assert world.tick(NoRuns()) == [f"acme/count:{TODAY}:v1:a1"]
    return world


def flow(world: World) -> FeedFlow:
    return world.flow("count")


def claim(world: World, run_id: str = "run") -> Delivery:
    return lifecycle.claim(world.ledger, flow(world), TODAY, run_id)


def objects(world: World) -> list[RawObject]:
    return world.ledger.objects.of_day(FEED, TODAY)


def places(world: World, obj: RawObject) -> tuple[bytes | None, bytes | None]:
    """The object's bytes in the landing zone and in the archive."""
    kept = world.body(world.zones.raw_bucket, obj.archived_key) if obj.archived_key else None
    return world.body(obj.bucket, obj.key, obj.version), kept


def late_arrival(world: World) -> Callable[[], object]:
    def arrive() -> None:
        world.deliver("count", "late.csv", b"late")
        world.settler.arrivals.receive()

    return arrive


def test_settled_objects_move_to_the_archive(world: World) -> None:
    done = close(world, flow(world), claim(world), 1.2345)
    assert [places(world, o) for o in objects(world)] == [(None, b"1"), (None, b"1")]
    assert len({o.archived_key for o in objects(world)}) == 2
    assert (str(done.seconds), done.finished_at) == ("1.234", world.clock())
    delivery = world.ledger.deliveries.get(FEED, TODAY)
    assert (delivery.state, delivery.published) == (DeliveryState.PUBLISHED, 1)


def test_more_objects_than_are_deleted_together_are_each_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = fake_world()
    monkeypatch.setattr(closing, "_MOST_DELETED", 3)
    monkeypatch.setattr(closing, "MOST_ARCHIVED", 2)
    for number in range(5):
        world.deliver("count", f"{number}.csv", b"1")
    world.tick(NoRuns())
    close(world, flow(world), claim(world), 1.0)
    assert [places(world, o) for o in objects(world)] == [(None, b"1")] * 5


def test_what_arrived_after_the_version_settled_stays_in_the_landing_zone(world: World) -> None:
    claimed = claim(world)
    late_arrival(world)()
    world.deliver("count", "a.csv", b"overwritten")
    world.settler.arrivals.receive()
    close(world, flow(world), claimed, 1.0)
    assert [places(world, o) for o in objects(world)] == [
        (None, b"1"),
        (None, b"1"),
        (b"late", None),
        (b"overwritten", None),
    ]


def test_an_excluded_object_is_archived_with_the_others(world: World) -> None:
    world.ledger.objects.exclude(FEED, objects(world)[0], "dropped")
    close(world, flow(world), claim(world), 1.0)
    assert places(world, objects(world)[0]) == (None, b"1")


def test_the_calls_of_closing_are_counted_right(world: World) -> None:
    claimed = claim(world)
    world.fuse.left = CALLS_OF_CLOSING
    close(world, flow(world), claimed, 1.0)
    assert world.fuse.left == 0


@pytest.mark.parametrize("calls", range(CALLS_OF_CLOSING))
def test_a_crash_at_any_call_of_closing_loses_nothing_and_closing_again_ends_it(world: World, calls: int) -> None:
    claimed = claim(world)
    world.fuse.happens, world.fuse.left = crash, calls
    with pytest.raises(Crash):
        close(world, flow(world), claimed, 1.0)
    world.fuse.left = -1
    assert all(b"1" in places(world, o) for o in objects(world))
    close(world, flow(world), claim(world), 1.0)
    assert [places(world, o) for o in objects(world)] == [(None, b"1"), (None, b"1")]
    assert world.ledger.deliveries.get(FEED, TODAY).state is DeliveryState.PUBLISHED


def test_what_readers_see_is_noted_with_the_first_objects_that_are_archived(world: World) -> None:
    claimed, row, told = claim(world), world.ledger.publications.get(FEED, TODAY, 1), list[str]()
    assert row is not None
    row = replace(row, note="shown")
    world.fuse.happens, world.fuse.left = crash, 4  # behind a look, two copies and the write
    with pytest.raises(Crash):
        close(world, flow(world), claimed, 1.0, row=row, noted=lambda: told.append("once"))
    world.fuse.left = -1
    assert (world.ledger.publications.get(FEED, TODAY, 1), told) == (row, ["once"])
    assert all(all(places(world, o)) for o in objects(world))
    assert close(world, flow(world), claim(world), 1.0).note == "shown"


@pytest.mark.parametrize("calls", range(CALLS_OF_CLOSING))
def test_an_arrival_at_any_call_of_closing_fails_nothing_and_stays_pending(world: World, calls: int) -> None:
    claimed = claim(world)
    world.fuse.happens, world.fuse.left = late_arrival(world), calls
    close(world, flow(world), claimed, 1.0)
    delivery = world.ledger.deliveries.get(FEED, TODAY)
    assert (delivery.state, delivery.published, delivery.pending) == (DeliveryState.PUBLISHED, 1, 1)
    assert places(world, objects(world)[-1]) == (b"late", None)


def test_an_original_that_is_gone_before_it_was_archived_is_a_failure_not_a_success(world: World) -> None:
    obj = objects(world)[0]
    world.bare_s3.delete_object(Bucket=obj.bucket, Key=obj.key, VersionId=obj.version)
    with pytest.raises(TransientFailure, match=f"{obj.file_id} is not in the landing zone any more"):
        close(world, flow(world), claim(world), 1.0)
    assert objects(world)[0].archived_key == ""


def test_objects_are_copied_at_once(world: World) -> None:
    both_copy = Barrier(2)

    def copied(body: bytes) -> bytes:
        both_copy.wait(timeout=30)
        return body

    world.bare_s3.copied = copied
    assert archive(world, flow(world), TODAY, 2) == 2
    assert [places(world, o) for o in objects(world)] == [(None, b"1"), (None, b"1")]


def test_what_was_copied_before_one_fails_is_remembered(world: World) -> None:
    _, second = objects(world)
    world.bare_s3.delete_object(Bucket=second.bucket, Key=second.key, VersionId=second.version)
    with pytest.raises(TransientFailure, match=f"{second.file_id} is not in the landing zone any more"):
        archive(world, flow(world), TODAY, 2)
    assert [bool(obj.archived_key) for obj in objects(world)] == [True, False]
    assert places(world, objects(world)[0]) == (b"1", b"1")


def test_a_copy_of_the_wrong_size_leaves_the_original(world: World) -> None:
    world.bare_s3.copied = lambda body: body[1:]
    with pytest.raises(TransientFailure, match="its archive copy has 0 of 1 bytes"):
        archive(world, flow(world), TODAY, 2)
    assert places(world, objects(world)[0]) == (b"1", None)


def test_archiving_keeps_what_an_operator_said_of_the_object_meanwhile(world: World) -> None:
    def drop() -> None:
        world.ledger.objects.exclude(FEED, objects(world)[0], "dropped")

    claimed = claim(world)
    world.fuse.happens, world.fuse.left = drop, 4
    close(world, flow(world), claimed, 1.0)
    assert (objects(world)[0].state, places(world, objects(world)[0])) == (ObjectState.EXCLUDED, (None, b"1"))


def test_a_run_that_was_thought_dead_closes_nothing(world: World) -> None:
    zombie = claim(world, "zombie")
    world.tick(NoRuns())
    world.clock.pass_by(timedelta(minutes=3))
    assert world.tick(NoRuns()) == [f"acme/count:{TODAY}:v1:a2"]
    claim(world, "successor")
    row = world.ledger.publications.get(FEED, TODAY, 1)
    assert row is not None
    with pytest.raises(TransientFailure, match="is held by run successor; this one stops"):
        close(world, flow(world), zombie, 1.0, row=replace(row, note="the zombie's"))
    assert all(places(world, o) == (b"1", None) for o in objects(world))
    assert world.ledger.publications.get(FEED, TODAY, 1) == row
    lifecycle.fail(world, flow(world), TODAY, "zombie", TransientFailure("held"))
    assert world.ledger.deliveries.get(FEED, TODAY).state is DeliveryState.RUNNING


# -- claims and failures


def test_claiming_twice_in_one_run_is_no_harm(world: World) -> None:
    assert claim(world) == claim(world)


def test_a_delivery_that_a_run_has_is_not_taken_by_another(world: World) -> None:
    claim(world, "one")
    with pytest.raises(TransientFailure, match=f"{FEED} {TODAY} is held by run one; this one stops"):
        claim(world, "two")


def test_a_delivery_that_never_settled_cannot_be_claimed(world: World) -> None:
    with pytest.raises(PermanentFailure, match="no delivery has settled; `adplatform ledger acme/count"):
        lifecycle.claim(world.ledger, flow(world), TODAY - timedelta(days=1), "run")


@pytest.mark.parametrize("state", [DeliveryState.SETTLED, DeliveryState.FAILED, DeliveryState.PUBLISHED])
def test_a_run_may_take_a_delivery_that_nobody_has(world: World, state: DeliveryState) -> None:
    put_delivery(world.ledger, FEED, world.ledger.deliveries.get(FEED, TODAY), state=state, permanent=True, error="old")
    taken = claim(world)
    assert (taken.state, taken.run_id, taken.error, taken.permanent) == (DeliveryState.RUNNING, "run", "", False)


def test_an_arrival_does_not_spoil_a_claim(world: World) -> None:
    world.fuse.happens, world.fuse.left = late_arrival(world), 0
    assert (claim(world).version, claim(world).pending) == (1, 1)


@pytest.mark.parametrize("calls", range(6))
def test_an_arrival_does_not_hide_a_failure(world: World, calls: int) -> None:
    claim(world)
    world.fuse.happens, world.fuse.left = late_arrival(world), calls
    lifecycle.fail(world, flow(world), TODAY, "run", PermanentFailure("the key is unknown"))
    delivery = world.ledger.deliveries.get(FEED, TODAY)
    assert (delivery.state, delivery.permanent, delivery.error) == (DeliveryState.FAILED, True, "the key is unknown")
    (publication,) = world.ledger.publications.of_feed(FEED)
    assert (publication.state, publication.error, publication.run_id) == (
        DeliveryState.FAILED,
        "the key is unknown",
        "run",
    )


def test_a_transient_failure_is_remembered_as_one(world: World) -> None:
    claim(world)
    lifecycle.fail(world, flow(world), TODAY, "run", TransientFailure("slow"))
    assert not world.ledger.deliveries.get(FEED, TODAY).permanent


# -- on S3 as the embedded AWS serves it


def test_archiving_on_s3_takes_exactly_the_settled_versions(services: Services) -> None:
    world = real_world(services.aws, services.settings)
    today: date = datetime.now(UTC).date()
    keys = [world.key("count", today, name) for name in ("a b+c.csv", "é/b.csv")]
    for key in keys:
        world.put(key, b"old")
        world.put(key, b"settled")
    asked = world.tick(NoRuns())
    assert asked == [f"{flow(world).name}:{today}:v1:a1"]
    claimed = lifecycle.claim(world.ledger, flow(world), today, "run")
    world.put(keys[0], b"later")
    close(world, flow(world), claimed, 1.0)
    found = world.ledger.objects.of_day(flow(world).name, today)
    assert sorted(map(str, (places(world, o) for o in found))) == [
        "(None, b'old')",
        "(None, b'old')",
        "(None, b'settled')",
        "(None, b'settled')",
    ]
    assert world.body(world.source.bucket, keys[0]) == b"later"
    assert _encryption(world, found[0].archived_key) == "aws:kms"
    world.settler.arrivals.receive()
    assert world.ledger.deliveries.get(flow(world).name, today).pending == 1


def test_a_bucket_without_versions_keeps_an_object_that_was_overwritten_meanwhile(services: Services) -> None:
    world = real_world(services.aws, services.settings)
    today: date = datetime.now(UTC).date()
    suspended = {"Status": "Suspended"}
    world.bare_s3.put_bucket_versioning(Bucket=world.source.bucket, VersioningConfiguration=suspended)
    for name in ("a.csv", "b.csv"):
        world.bare_s3.put_object(Bucket=world.source.bucket, Key=world.key("count", today, name), Body=b"1")
    world.tick(NoRuns())
    world.settler.arrivals.reconcile()
    name = flow(world).name
    assert [(o.number, o.version_id) for o in world.ledger.objects.of_day(name, today)] == [(1, None), (2, None)]
    claimed = lifecycle.claim(world.ledger, flow(world), today, "run")
    close(world, flow(world), claimed, 1.0)
    world.bare_s3.put_object(Bucket=world.source.bucket, Key=world.key("count", today, "a.csv"), Body=b"22")
    archive(world, flow(world), today, 2)
    assert world.body(world.source.bucket, world.key("count", today, "a.csv")) == b"22"
    assert world.body(world.source.bucket, world.key("count", today, "b.csv")) is None


def _encryption(world: World, key: str) -> Any:
    return world.bare_s3.head_object(Bucket=world.zones.raw_bucket, Key=key)["ServerSideEncryption"]


@pytest.mark.parametrize("calls", range(5))
def test_a_failure_that_is_reported_late_leaves_a_published_version_as_it_is(world: World, calls: int) -> None:
    delivery = claim(world)
    world.fuse.happens, world.fuse.left = lambda: close(world, flow(world), delivery, 1.0), calls
    lifecycle.fail(world, flow(world), TODAY, "run", TransientFailure("slow"))
    row = world.ledger.publications.get(FEED, TODAY, 1)
    assert row is not None
    assert (row.state, row.error, row.finished_at is not None) == (DeliveryState.PUBLISHED, "", True)
