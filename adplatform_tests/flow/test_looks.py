"""What a look costs and how long it takes, however much has arrived: it stops in time, and the next goes on."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adplatform.flow.budget import UNLIMITED, Budget, in_turns
from adplatform.flow.listing import Position, Round, new_round
from adplatform.flow.looks import LIST_EVERY, Progress, look_at
from adplatform.flow.settling import MOST_STARTED, Look
from adplatform.flow.source import make_source
from adplatform.ledger.delivery import DeliveryState
from adplatform_tests.flow.test_settling import Alive
from adplatform_tests.flow.world import TODAY, Fuse, NoRuns, World, fake_world, feeds
from adplatform_tests.support.examples import examples

NOBODY = NoRuns()
SECONDS = 25.0
PAUSE = timedelta(seconds=30)


@dataclass
class Meter(Fuse):
    """Every call to a service takes ``each`` seconds, of the world's clock and of the budget's."""

    each: float = 0.01
    calls: int = 0
    elapsed: float = 0
    pass_by: Callable[[timedelta], None] = field(default=lambda _: None)

    def burn(self) -> None:
        self.calls += 1
        self.elapsed += self.each
        self.pass_by(timedelta(seconds=self.each))


def metered(arrivals: dict[str, dict[str, Any]], each: float = 0.01) -> tuple[World, Meter]:
    world = fake_world(arrivals)
    meter = Meter(each=each, pass_by=world.clock.pass_by)
    return replace(world, fuse=meter), meter


def look(
    world: World, meter: Meter, before: Progress, seconds: float = SECONDS, runs: Any = NOBODY
) -> tuple[Look, Progress]:
    """One tick, and the pause after it."""
    began = meter.elapsed
    found = look_at(world.settler, runs, Budget.of(seconds, lambda: meter.elapsed), before)
    assert meter.elapsed - began <= seconds + 40 * meter.each, "it stops in time but for what has begun"
    world.clock.pass_by(PAUSE)
    return found


def unmetered(world: World, work: Callable[[World], object]) -> None:
    world.dynamo.lagging = True
    work(replace(world, fuse=Fuse()))
    world.dynamo.lagging = False
    world.dynamo.catch_up()


def dates(number: int, last: date = TODAY) -> list[date]:
    return [last - timedelta(days=n) for n in range(number)]


# -- calls


@pytest.mark.parametrize(
    "rule",
    [
        {"complete_when": "done_file"},
        *(
            pytest.param(rule, marks=pytest.mark.slow)
            for rule in ({"complete_when": "manifest"}, {"quiet_period": "30d"})
        ),
    ],
)
@pytest.mark.parametrize("number", [500, pytest.param(2000, marks=pytest.mark.slow)])
def test_many_deliveries_that_wait_cost_nothing_once_they_are_judged(rule: dict[str, Any], number: int) -> None:
    world, meter = metered({"many": rule})
    world = replace(world, source=make_source("acme", "raw", [replace_start(f) for f in feeds({"many": rule})]))
    for day in dates(number):
        world.deliver("many", "a.csv", day=day)
    unmetered(world, lambda bare: bare.settler.arrivals.reconcile())
    world.bare_sqs.waiting.clear()
    progress, looks = Progress(), 0
    while not progress.at_end:
        found, progress = look(world, meter, progress)
        looks += 1
    assert looks <= 6
    assert found.due == ()
    before = meter.calls
    found, progress = look(world, meter, progress)
    assert meter.calls - before <= 3, "a receive and a query of the index"
    assert len(found.waiting) == number
    assert progress.at_end


def replace_start(feed: Any) -> Any:
    return feed.model_copy(update={"start_date": date(2019, 1, 1)})


def test_an_arrival_and_a_changed_rule_are_reasons_to_judge_again() -> None:
    world, meter = metered({"count": {"complete_when": "count", "expected_files": 3}})
    world.deliver("count", "a.csv")
    found, progress = look(world, meter, Progress())
    assert [w.wait.because for w in found.waiting] == ["1 of 3 files"]
    world.deliver("count", "b.csv")
    found, progress = look(world, meter, progress)
    assert [w.wait.because for w in found.waiting] == ["2 of 3 files"]
    easier = replace(
        world, source=make_source("acme", "raw", feeds({"count": {"complete_when": "count", "expected_files": 2}}))
    )
    found, _ = look(easier, meter, progress)
    assert [d.run_key for d in found.due] == [f"acme/count:{TODAY}:v1:a1"]


def test_dates_that_have_not_begun_cost_nothing() -> None:
    world, meter = metered({"quiet": {"accept_early": None}})
    for n in range(1, 300):
        world.deliver("quiet", "a.csv", day=TODAY + timedelta(days=n))
    unmetered(world, lambda bare: bare.settler.arrivals.reconcile())
    world.bare_sqs.waiting.clear()
    _, progress = look(world, meter, Progress())
    before = meter.calls
    found, _ = look(world, meter, progress)
    assert (meter.calls - before, len(found.waiting)) == (2, 299)
    world.clock.pass_by(timedelta(days=2))
    found, _ = look(world, meter, progress)
    assert [d.day for d in found.due] == [TODAY + timedelta(1), TODAY + timedelta(2)]


@pytest.mark.parametrize("number", [1000, pytest.param(5000, marks=pytest.mark.slow)])
def test_a_listing_asks_for_known_objects_by_the_hundred_whatever_their_dates(number: int) -> None:
    world, meter = metered({"quiet": {}})
    for n in range(number):
        world.deliver("quiet", "a.csv", day=TODAY + timedelta(days=100 + n))
    unmetered(world, lambda bare: bare.settler.arrivals.reconcile())
    before = meter.calls
    assert world.settler.arrivals.reconcile() == 0
    assert meter.calls - before <= number / 1000 + number / 100 + 10


def test_dates_without_a_prefix_of_their_own_are_listed_once_for_all() -> None:
    world, meter = metered({"flat": {"quiet_period": "1m"}})
    [feed] = feeds({"flat": {"quiet_period": "1m"}})
    flat = feed.model_copy(update={"landing": "{feed}/{file}_{date}.csv"})
    world = replace(world, source=make_source("acme", "raw", [flat]))
    for day in dates(60):
        world.put(f"{world.source.prefix}flat/a_{day}.csv", b"1")
    _, progress = look(world, meter, Progress())
    listings = 0
    real = world.bare_s3.list_object_versions

    def counted(**arguments: Any) -> dict[str, Any]:
        nonlocal listings
        listings += 1
        answer: dict[str, Any] = real(**arguments)
        return answer

    world.bare_s3.list_object_versions = counted
    world.clock.pass_by(timedelta(minutes=2))
    found, _ = look(world, meter, progress)
    assert (len(found.due), listings) == (60, 1)


# -- time, and turns


def flooded(each: float, number: int) -> tuple[World, Meter]:
    """Objects of the far future, whose feed comes first in every order, beside a punctual one."""
    world, meter = metered({"a_flood": {}, "punctual": {"quiet_period": "1m"}}, each)
    for n in range(number):
        world.deliver("a_flood", "a.csv", day=TODAY + timedelta(days=100 + n))
    world.deliver("punctual", "a.csv")
    return world, meter


@pytest.mark.parametrize(("each", "number"), [pytest.param(0.01, 5000, marks=pytest.mark.slow), (0.1, 1000)])
def test_a_flood_of_one_feed_delays_no_other(each: float, number: int) -> None:
    world, meter = flooded(each, number)
    progress = Progress()
    for _ in range(5):
        found, progress = look(world, meter, progress)
        if found.due:
            break
    assert [d.run_key for d in found.due] == [f"acme/punctual:{TODAY}:v1:a1"]


@pytest.mark.parametrize("number", [1000, pytest.param(5000, marks=pytest.mark.slow)])
def test_a_flood_is_refused_within_its_time_and_then_costs_a_listing_in_five_minutes(number: int) -> None:
    world, meter = flooded(25 / number, number)
    progress, looks = Progress(), 0
    while not progress.at_end or world.bare_sqs.waiting:
        _, progress = look(world, meter, progress)
        looks += 1
        assert looks < 40
    assert [(r.feed, r.objects) for r in world.ledger.objects.refused("acme")] == [("acme/a_flood", number)]
    costs = []
    for _ in range(20):
        before = meter.calls
        _, progress = look(world, meter, progress)
        costs.append(meter.calls - before)
    assert sorted(costs)[len(costs) // 2] <= 5
    assert max(costs) <= number / 1000 + number / 100 + 20
    assert sum(cost > 10 for cost in costs) <= 20 * PAUSE / LIST_EVERY + 2


def test_many_deliveries_that_complete_at_once_delay_no_other_feed() -> None:
    rules = {"a_flood": {"quiet_period": "1m"}, "count": {"complete_when": "count", "expected_files": 1}}
    world, meter = metered(rules, 0.1)
    for day in dates(70):
        world.deliver("a_flood", "a.csv", day=day)
    unmetered(world, lambda bare: bare.settler.arrivals.reconcile())
    world.clock.pass_by(timedelta(minutes=2))
    world.deliver("count", "a.csv")
    progress, due = Progress(), set()
    for n in itertools.count():
        found, progress = look(world, meter, progress)
        due |= {d.run_key for d in found.due}
        if n == 0:
            assert f"acme/count:{TODAY}:v1:a1" in due
            assert not progress.at_end
        if len(due) == 71:
            break
        assert n < 30


def test_the_runs_that_one_look_asks_for_are_bounded_and_every_date_has_its_turn() -> None:
    world, meter = metered(
        {"a_flood": {"quiet_period": "1m"}, "count": {"complete_when": "count", "expected_files": 1}}, 0
    )
    many = [f.model_copy(update={"start_date": date(2025, 1, 1)}) for f in (flow.feed for flow in world.source.feeds)]
    world = replace(world, source=make_source("acme", "raw", many))
    for day in dates(MOST_STARTED + 50):
        world.deliver("a_flood", "a.csv", day=day)
    for day in dates(5):
        world.deliver("count", "a.csv", day=day)
    unmetered(world, lambda bare: bare.settler.arrivals.reconcile())
    world.clock.pass_by(timedelta(minutes=2))
    first, progress = look(world, meter, Progress())
    assert len(first.due) == MOST_STARTED
    assert len([d for d in first.due if d.flow.feed.name == "count"]) == 5
    second, progress = look(world, meter, progress)
    keys = [{d.run_key for d in found.due} for found in (first, second)]
    assert len(keys[0] | keys[1]) == MOST_STARTED + 55
    third, _ = look(world, meter, progress)
    assert {d.run_key for d in third.due} <= keys[0] | keys[1], "asked for under the same keys until they run"


@pytest.mark.parametrize(
    "seconds", [0.0, 0.02, pytest.param(0.3, marks=pytest.mark.slow), pytest.param(2.0, marks=pytest.mark.slow)]
)
def test_whatever_the_time_everything_settles_in_the_end(seconds: float) -> None:
    world, meter = metered({"quiet": {"quiet_period": "1m"}, "done": {"complete_when": "done_file"}})
    for day in dates(6):
        for file in ("a.csv", "b.csv"):
            world.deliver("quiet", file, day=day)
            world.deliver("done", file, day=day)
        world.deliver("done", "_SUCCESS", day=day)
    due, progress = set(), Progress()
    for _ in range(400):
        found, progress = look(world, meter, progress, seconds)
        due |= {d.run_key for d in found.due}
        world.bare_sqs.time_out()
    assert due == {f"acme/{feed}:{day}:v1:a1" for feed in ("quiet", "done") for day in dates(6)}
    for feed in ("quiet", "done"):
        for delivery in world.ledger.deliveries.of_feed(f"acme/{feed}"):
            assert (delivery.state, delivery.version, delivery.pending) == (DeliveryState.SETTLED, 1, 0)
            body = world.body("raw", delivery.manifest_key) or b""
            assert sorted(e["key"][-5:] for e in json.loads(body)["objects"]) == ["a.csv", "b.csv"]


def test_a_date_whose_listing_takes_more_than_one_look_settles_by_a_round_of_listing() -> None:
    world, meter = metered({"quiet": {"quiet_period": "1m"}}, 0.01)
    world.bare_s3.page = 5
    for n in range(250):
        world.deliver("quiet", f"{n:03}.csv")
    unmetered(world, lambda bare: bare.settler.arrivals.reconcile())
    world.bare_sqs.waiting.clear()
    progress = Progress()
    for _ in range(40):
        found, progress = look(world, meter, progress, seconds=0.5)
        if found.due:
            break
    assert [(d.version, d.flow.feed.name) for d in found.due] == [(1, "quiet")]


def test_a_listing_of_some_minutes_ago_does_not_stand_for_the_one_before_settling() -> None:
    world, meter = metered({"quiet": {"quiet_period": "6m"}})
    world.deliver("quiet", "a.csv")
    progress = Progress()
    for _ in range(11):
        _, progress = look(world, meter, progress)
    assert progress.listing is not None
    assert progress.listing.started > world.ledger.objects.of_day("acme/quiet", TODAY)[0].seen_at  # type: ignore[operator]
    world.deliver("quiet", "b.csv")
    world.messages(lambda _: [])
    world.clock.pass_by(timedelta(seconds=90))
    found, progress = look(world, meter, progress)
    assert found.due == ()
    assert len(world.ledger.objects.of_day("acme/quiet", TODAY)) == 2


# -- listing in parts

LANES = ["quiet/dt=2026-03-14/", "done/dt=2026-03-14/", "nowhere/", "quiet/", "zzz/"]
KEYS = st.lists(st.tuples(st.sampled_from(LANES), st.sampled_from("abcd"), st.integers(1, 4)), max_size=12)


def test_a_steady_stream_into_a_prefix_that_no_look_can_list_settles_when_its_longest_wait_is_over() -> None:
    world = fake_world({"stream": {"complete_when": "quiet", "quiet_period": "5m", "max_wait": "30m"}})
    world.bare_s3.page = 1
    for minute in range(34):
        world.deliver("stream", f"{minute}.csv")
        world.settler.arrivals.receive()
        world.clock.pass_by(timedelta(minutes=1))
        if minute == 31:
            listing = Round(world.clock(), {})
    spent = Budget(lambda: 1.0, 0.0)
    early = Round(listing.started - timedelta(minutes=3), {})
    assert world.settler.look(NOBODY, spent, listing=early).due == ()
    [due] = world.settler.look(NOBODY, spent, listing=listing).due
    assert due.flow.name == "acme/stream"


def test_a_round_that_begins_with_a_look_covers_what_its_events_brought() -> None:
    world, meter = metered({"count": {"complete_when": "count", "expected_files": 1}})
    unmetered(world, lambda bare: bare.deliver("count", "a.csv"))
    _, progress = look(world, meter, Progress())
    [obj] = world.ledger.objects.of_day("acme/count", TODAY)
    assert progress.listing is not None
    assert obj.seen_at is not None
    assert progress.listing.started > obj.seen_at


@settings(max_examples=examples(20), deadline=None)
@example(keys=[(LANES[0], "a", 2)], page=1, budgets=[0, 2], gone=1)
@given(keys=KEYS, page=st.integers(1, 5), budgets=st.lists(st.integers(0, 9), max_size=20), gone=st.integers(0, 40))
def test_a_round_in_parts_brings_every_object_once(
    keys: list[tuple[str, str, int]], page: int, budgets: list[int], gone: int
) -> None:
    """Also when versions vanish between its parts, as they do into the archive."""
    world, meter = metered({"quiet": {}, "done": {"complete_when": "done_file"}})
    world.bare_s3.page = page
    written = [
        (f"{world.source.prefix}{lane}{name}.csv", world.put(f"{world.source.prefix}{lane}{name}.csv", b"1"))
        for lane, name, versions in keys
        for _ in range(versions)
    ]
    listing, new = new_round(world.clock(), world.source.lanes), 0
    for n, seconds in enumerate([*budgets, *[10**6] * 3]):
        before = set(listing.left)
        count, listing = world.settler.arrivals.go_on(listing, Budget.of(seconds / 100, lambda: meter.elapsed))
        assert set(listing.left) <= before
        new += count
        if n == gone and written:
            key, version = written.pop(gone % len(written))
            world.bare_s3.delete_object(Bucket="raw", Key=key, VersionId=version)
    assert listing.left == {}
    known = {(o.key, o.version) for feed in ("quiet", "done", "_unplaced") for o in all_objects(world, f"acme/{feed}")}
    assert known >= set(written)
    assert len(written) <= new <= len(written) + 1


def all_objects(world: World, feed: str) -> list[Any]:
    days = {key[1].split("#")[1] for key in world.dynamo.items if key[0] == f"feed#{feed}" and "object#" in key[1]}
    return [o for day in days for o in world.ledger.objects.of_day(feed, date.fromisoformat(day))]


def test_a_round_goes_on_though_the_version_it_stopped_at_is_gone() -> None:
    world, _ = metered({"quiet": {}})
    lane = world.source.feeds[0].layout.prefix
    world.deliver("quiet", "a.csv")
    world.deliver("quiet", "b.csv")
    at = {lane: Position(world.key("quiet", TODAY, "a.csv"), "archived"), world.source.prefix: Position()}
    listing = replace(new_round(world.clock(), []), left=at)
    count, listing = world.settler.arrivals.go_on(listing, UNLIMITED)
    assert (count, listing.left) == (2, {})


def test_a_round_that_has_not_begun_by_the_clock_is_none() -> None:
    """Else nothing would be listed until then."""
    world, meter = metered({"quiet": {}})
    world.deliver("quiet", "a.csv")
    world.messages(lambda _: [])
    _, progress = look(world, meter, Progress(new_round(world.clock() + timedelta(days=300), [])))
    assert progress.listing is not None
    assert progress.listing.started < world.clock()
    assert world.ledger.deliveries.get("acme/quiet", TODAY).pending == 1


def test_turns_are_taken_until_all_are_through() -> None:
    assert list(in_turns(["abc", "", "d", "ef"])) == ["a", "d", "e", "b", "f", "c"]


def test_a_live_run_is_left_alone() -> None:
    world, meter = metered({"count": {"complete_when": "count", "expected_files": 1}})
    world.deliver("count", "a.csv")
    found, progress = look(world, meter, Progress(), runs=Alive())
    assert len(found.due) == 1
    found, _ = look(world, meter, progress, runs=Alive())
    assert len(found.due) == 1
