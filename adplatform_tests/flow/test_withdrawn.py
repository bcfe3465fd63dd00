"""Files that their sender deletes before the delivery settles, on S3 as the embedded AWS serves it."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.feed import Arrival
from adplatform.flow import lifecycle
from adplatform.flow.close import close
from adplatform.flow.services import Services
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.objects import ObjectState
from adplatform_tests.flow.world import Crash, Fuse, NoRuns, World, crash, real_world

ARRIVALS: dict[str, dict[str, Any]] = {
    "kept": {"complete_when": "done_file"},
    "done": {"complete_when": "done_file", "withdrawn": "leave_out"},
    "count": {"complete_when": "count", "expected_files": 2, "withdrawn": "leave_out"},
    "listed": {"complete_when": "manifest", "withdrawn": "leave_out"},
    "quiet": {"complete_when": "quiet", "withdrawn": "leave_out"},
}


@pytest.fixture
def world(services: Services) -> World:
    return real_world(services.aws, services.settings, ARRIVALS)


def day() -> date:
    return datetime.now(UTC).date()


def delete(world: World, feed: str, *files: str, version: str = "") -> None:
    for file in files:
        named = {"VersionId": version} if version else {}
        world.bare_s3.delete_object(Bucket=world.source.bucket, Key=world.key(feed, day(), file), **named)


def deliver(world: World, feed: str, *files: str, body: bytes = b"1") -> list[str]:
    versions = [world.put(world.key(feed, day(), file), body) for file in files]
    world.settler.arrivals.receive()
    return versions


def look(world: World) -> None:
    world.tick(NoRuns())
    world.settler.arrivals.reconcile()
    world.tick(NoRuns())


def delivery(world: World, feed: str) -> Delivery:
    return world.ledger.deliveries.get(world.flow(feed).name, day())


def states(world: World, feed: str) -> dict[str, str]:
    objects = world.ledger.objects.of_day(world.flow(feed).name, day())
    return {o.key.rsplit("/", 1)[-1]: str(o.state) for o in objects}


def settled(world: World, feed: str) -> set[str]:
    """The files of the latest version."""
    body = world.body(world.zones.raw_bucket, delivery(world, feed).manifest_key) or b""
    return {entry["key"].rsplit("/", 1)[-1] for entry in json.loads(body)["objects"]}


def publish(world: World, feed: str) -> None:
    close(world, world.flow(feed), lifecycle.claim(world.ledger, world.flow(feed), day(), "run"), 1.0)


def test_a_deleted_file_is_published_unless_the_feed_leaves_it_out(world: World) -> None:
    for feed in ("kept", "done"):
        deliver(world, feed, "a.csv", "b.csv")
        delete(world, feed, "a.csv")
        deliver(world, feed, "_SUCCESS")
    look(world)
    assert settled(world, "kept") == {"a.csv", "b.csv"}
    assert settled(world, "done") == {"b.csv"}
    assert states(world, "done") == {"a.csv": "withdrawn", "b.csv": "arrived", "_SUCCESS": "arrived"}


def test_no_earlier_version_takes_the_place_of_a_deleted_one(world: World) -> None:
    deliver(world, "done", "a.csv", body=b"old")
    deliver(world, "done", "a.csv", "b.csv", body=b"new")
    delete(world, "done", "a.csv")
    deliver(world, "done", "_SUCCESS")
    look(world)
    assert settled(world, "done") == {"b.csv"}


def test_a_date_of_which_all_files_are_deleted_settles_empty_by_its_done_file(world: World) -> None:
    deliver(world, "done", "a.csv")
    delete(world, "done", "a.csv")
    deliver(world, "done", "_SUCCESS")
    look(world)
    assert (delivery(world, "done").version, settled(world, "done")) == (1, set())


def test_a_quiet_date_of_which_nothing_is_left_waits(world: World) -> None:
    deliver(world, "quiet", "a.csv")
    delete(world, "quiet", "a.csv")
    world.clock.pass_by(timedelta(minutes=6))
    look(world)
    assert (delivery(world, "quiet").version, delivery(world, "quiet").waiting) == (
        0,
        "nothing is left of what arrived",
    )


@pytest.mark.parametrize("by_marker", [True, False])
def test_a_count_waits_for_a_deleted_file_until_it_is_back(world: World, by_marker: bool) -> None:
    deliver(world, "count", "a.csv", "b.csv")
    delete(world, "count", "a.csv")
    look(world)
    assert (delivery(world, "count").version, delivery(world, "count").waiting) == (0, "1 of 2 files")
    assert world.settler.arrivals.reconcile() == 0  # the version that the bucket keeps is not the file come back
    if by_marker:
        key = world.key("count", day(), "a.csv")
        found = world.bare_s3.list_object_versions(Bucket=world.source.bucket, Prefix=key)["DeleteMarkers"]
        delete(world, "count", "a.csv", version=found[0]["VersionId"])
    else:
        deliver(world, "count", "a.csv")
    look(world)
    assert settled(world, "count") == {"a.csv", "b.csv"}
    assert delivery(world, "count").pending == 0


def test_the_same_bytes_come_back_to_a_bucket_without_versions(world: World) -> None:
    suspended = {"Status": "Suspended"}
    world.bare_s3.put_bucket_versioning(Bucket=world.source.bucket, VersioningConfiguration=suspended)
    for file in ("a.csv", "b.csv"):
        world.bare_s3.put_object(Bucket=world.source.bucket, Key=world.key("count", day(), file), Body=b"1")
    world.settler.arrivals.receive()
    delete(world, "count", "a.csv")
    look(world)
    assert states(world, "count") == {"a.csv": "withdrawn", "b.csv": "arrived"}
    world.bare_s3.put_object(Bucket=world.source.bucket, Key=world.key("count", day(), "a.csv"), Body=b"1")
    look(world)
    assert settled(world, "count") == {"a.csv", "b.csv"}


def test_a_manifest_waits_for_a_deleted_file_that_it_lists(world: World) -> None:
    deliver(world, "listed", "a.csv", "b.csv")
    delete(world, "listed", "a.csv")
    deliver(world, "listed", "manifest.json", body=b'{"files": [{"name": "a.csv"}, {"name": "b.csv"}]}')
    look(world)
    assert "1 of 2 listed files are missing, the first is number 1" in delivery(world, "listed").waiting


def test_what_is_published_stays_whoever_moves_or_deletes_it(world: World) -> None:
    deliver(world, "done", "a.csv", "b.csv", "_SUCCESS")
    look(world)
    publish(world, "done")  # the archive takes the originals away
    deliver(world, "done", "late.csv", "gone.csv")
    delete(world, "done", "gone.csv")
    deliver(world, "done", "_SUCCESS", body=b"2")
    look(world)
    assert settled(world, "done") == {"a.csv", "b.csv", "late.csv"}


def test_readers_keep_a_file_that_is_deleted_from_a_feed_without_an_archive(world: World) -> None:
    deliver(world, "done", "a.csv", "b.csv", "_SUCCESS")
    look(world)
    flow = replace(world.flow("done"), archive="")
    close(world, flow, lifecycle.claim(world.ledger, flow, day(), "run"), 1.0)
    delete(world, "done", "a.csv")
    deliver(world, "done", "late.csv", "_SUCCESS", body=b"2")
    look(world)
    assert settled(world, "done") == {"a.csv", "b.csv", "late.csv"}


def test_a_late_file_that_is_deleted_leaves_the_published_version(world: World) -> None:
    deliver(world, "quiet", "a.csv")
    world.clock.pass_by(timedelta(minutes=6))
    look(world)
    publish(world, "quiet")
    deliver(world, "quiet", "late.csv")
    delete(world, "quiet", "late.csv")
    world.clock.pass_by(timedelta(minutes=6))
    look(world)
    now = delivery(world, "quiet")
    assert (now.version, now.pending, now.state) == (1, 0, DeliveryState.PUBLISHED)


@pytest.mark.parametrize("marked", [0, 1])
def test_a_kill_between_two_marks_leaves_the_rest_to_the_next_look(world: World, marked: int) -> None:
    deliver(world, "done", "a.csv", "b.csv", "c.csv")
    delete(world, "done", "a.csv", "b.csv")
    deliver(world, "done", "_SUCCESS")

    def states_now() -> list[str]:
        return [state for state in states(world, "done").values() if state == ObjectState.WITHDRAWN]

    for calls in range(200):
        world.fuse = Fuse(calls, crash)
        try:
            world.settler.due(NoRuns())
        except Crash:
            world.fuse = Fuse()
            if len(states_now()) > marked:
                break
    assert len(states_now()) == marked + 1
    look(world)
    assert settled(world, "done") == {"c.csv"}


def test_the_files_of_an_engine_are_not_withdrawn() -> None:
    with pytest.raises(ValidationError, match="an engine's runs say what counts"):
        Arrival(complete_when="engine", withdrawn="leave_out")
