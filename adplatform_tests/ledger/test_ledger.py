"""The ledger on DynamoDB as the embedded AWS runs it: what concurrent writers may and may not do to each other."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from string import ascii_letters
from typing import Any

import pytest

from adplatform.failures import TransientFailure
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.leases import Lease
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Unsent
from adplatform.ledger.objects import ObjectState, RawObject
from adplatform.ledger.placements import Retired
from adplatform.ledger.publications import FileOutcome, Outcome, Publication, part_rows
from adplatform.ledger.table import table_definition
from adplatform.platform.aws import Aws
from adplatform.platform.batches import FIRST_PAUSE

SOURCE, FEED = "acme", "acme/orders"
DAY = date(2026, 3, 14)
NOW = datetime(2026, 3, 14, 9, tzinfo=UTC)


@pytest.fixture
def ledger(aws: Aws) -> Ledger:
    client, table = aws.client("dynamodb"), f"ledger-{uuid.uuid4().hex}"
    client.create_table(**table_definition(table))
    return Ledger(client, table, lambda: NOW)


def obj(name: str, version: str = "v1", **more: Any) -> RawObject:
    return RawObject(DAY, "raw", f"landing/acme/orders/{name}", version, 5, "etag", NOW, **more)


def settle(ledger: Ledger, seen: Delivery) -> Delivery | None:
    return ledger.deliveries.settle(FEED, seen, objects=1, manifest_key="manifests/1", because="quiet")


class Meanwhile:
    """A client that lets somebody else act before the n-th write of a kind."""

    def __init__(self, client: Any, call: str, act: Callable[[], object], after: int = 0) -> None:
        self._client, self._call, self._act, self._left = client, call, act, after

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            self._left -= 1
            if self._left == -1:
                self._act()
        return getattr(self._client, name)


def test_an_object_is_recorded_once_and_opens_its_delivery(ledger: Ledger) -> None:
    assert ledger.objects.record(FEED, obj("a"))
    assert not ledger.objects.record(FEED, obj("a"))
    assert ledger.objects.record(FEED, obj("a", "v2"))
    delivery = ledger.deliveries.get(FEED, DAY)
    assert (delivery.arrivals, delivery.pending, delivery.state) == (2, 2, DeliveryState.OPEN)
    assert [(o.version, o.number, o.seen_at) for o in ledger.objects.of_day(FEED, DAY)] == [
        ("v1", 1, NOW),
        ("v2", 2, NOW),
    ]
    assert [(feed, d.day) for feed, d in ledger.deliveries.active(SOURCE)] == [(FEED, DAY)]


def test_an_ignored_object_is_remembered_and_opens_nothing(ledger: Ledger) -> None:
    noise = obj("a.tmp", state=ObjectState.IGNORED, reason="unfinished")
    assert ledger.objects.record(FEED, noise)
    assert not ledger.objects.record(FEED, noise)
    assert ledger.deliveries.active(SOURCE) == []
    assert [o.number for o in ledger.objects.of_day(FEED, DAY)] == [0]


def test_eight_threads_with_different_objects_leave_no_gap(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda n: ledger.objects.record(FEED, obj(f"f{n}")), range(24)))
    assert new == [True] * 24
    assert [o.number for o in ledger.objects.of_day(FEED, DAY)] == list(range(1, 25))
    assert ledger.deliveries.get(FEED, DAY).arrivals == 24


def test_eight_threads_with_the_same_objects_record_each_once(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda n: ledger.objects.record(FEED, obj(f"f{n % 3}")), range(24)))
    assert sum(new) == 3
    assert [o.number for o in ledger.objects.of_day(FEED, DAY)] == [1, 2, 3]
    assert ledger.deliveries.get(FEED, DAY).arrivals == 3


def test_an_arrival_between_decision_and_settling_wins(ledger: Ledger) -> None:
    ledger.objects.record(FEED, obj("a"))
    seen = ledger.deliveries.get(FEED, DAY)
    rival = Meanwhile(ledger.client, "transact_write_items", lambda: ledger.objects.record(FEED, obj("b")))
    assert settle(replace(ledger, client=rival), seen) is None
    assert ledger.publications.of_feed(FEED) == []
    assert ledger.deliveries.get(FEED, DAY).pending == 2


def test_settling_numbers_versions_and_forgets_the_last_failure(ledger: Ledger) -> None:
    ledger.objects.record(FEED, obj("a"))
    first = settle(ledger, ledger.deliveries.get(FEED, DAY))
    assert first is not None
    assert (first.version, first.pending, first.attempt) == (1, 0, 1)
    ledger.deliveries.claim(FEED, DAY, "r")
    ledger.deliveries.fail_for_good(FEED, DAY, "r", "bad", visible=False)
    second = settle(ledger, ledger.deliveries.reopen(FEED, DAY))
    assert second is not None
    assert (second.version, second.error, second.permanent, second.run_id) == (2, "", False, "")
    assert [p.version for p in ledger.publications.of_feed(FEED, DAY)] == [1, 2]


def test_of_two_that_settle_one_does(ledger: Ledger) -> None:
    ledger.objects.record(FEED, obj("a"))
    seen = ledger.deliveries.get(FEED, DAY)
    with ThreadPoolExecutor(8) as pool:
        settled = list(pool.map(lambda _: settle(ledger, seen), range(8)))
    assert len([s for s in settled if s]) == 1
    assert len(ledger.publications.of_feed(FEED, DAY)) == 1


def test_a_change_of_what_somebody_else_changed_is_refused(ledger: Ledger) -> None:
    ledger.objects.record(FEED, obj("a"))
    seen = ledger.deliveries.get(FEED, DAY)
    first, second = (Unsent.of(None, "stuck", error, {}) for error in ("first", "second"))
    assert ledger.deliveries.stuck(FEED, seen, "first", first) is not None
    assert ledger.deliveries.stuck(FEED, seen, "second", second) is None
    assert ledger.deliveries.get(FEED, DAY).error == "first"


def test_a_step_of_a_run_applies_to_what_arrived_meanwhile(ledger: Ledger) -> None:
    ledger.objects.record(FEED, obj("a"))
    settle(ledger, ledger.deliveries.get(FEED, DAY))
    ledger.deliveries.claim(FEED, DAY, "run")
    rival = Meanwhile(ledger.client, "transact_write_items", lambda: ledger.objects.record(FEED, obj("b")))
    moved = replace(ledger, client=rival).deliveries.close(FEED, DAY, "run", 1)
    assert moved is not None
    assert (moved.arrivals, moved.pending, moved.state) == (2, 1, DeliveryState.PUBLISHED)


def test_a_step_of_a_run_that_does_not_hold_the_delivery_writes_nothing(ledger: Ledger) -> None:
    ledger.objects.record(FEED, obj("a"))
    revision = ledger.deliveries.get(FEED, DAY).revision
    assert ledger.deliveries.close(FEED, DAY, "run", 1) is None
    assert ledger.deliveries.get(FEED, DAY).revision == revision


def test_concurrent_requests_for_a_new_version_all_count(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ledger.deliveries.reopen(FEED, DAY), range(8)))
    assert ledger.deliveries.get(FEED, DAY).arrivals == 8


def test_a_change_of_an_object_leaves_its_other_attributes(ledger: Ledger) -> None:
    ledger.objects.record(FEED, obj("a"))
    stale = ledger.objects.of_day(FEED, DAY)[0]
    ledger.objects.archived(FEED, {"archive/a": stale})
    ledger.objects.exclude(FEED, stale, "dropped")
    ledger.objects.place(FEED, stale, 2)
    found = ledger.objects.of_day(FEED, DAY)[0]
    assert (found.archived_key, found.state, found.reason, found.place) == ("archive/a", "excluded", "dropped", 2)


def test_changing_an_object_that_was_never_recorded_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(ledger.client.exceptions.ConditionalCheckFailedException):
        ledger.objects.archived_each(FEED, DAY, {"archive/a": obj("a")})


def test_feeds_and_dates_that_begin_alike_are_kept_apart(ledger: Ledger) -> None:
    ledger.objects.record("acme/orders", obj("a"))
    ledger.objects.record("acme/orders2", obj("b"))
    ledger.objects.record("acme/orders", replace(obj("c"), day=date(2026, 3, 15)))
    assert [o.key[-1] for o in ledger.objects.of_day("acme/orders", DAY)] == ["a"]
    assert [d.day for d in ledger.deliveries.of_feed("acme/orders2")] == [DAY]
    assert [feed for feed, _ in ledger.deliveries.active("acme")] == ["acme/orders", "acme/orders", "acme/orders2"]
    assert ledger.deliveries.active("acm") == []


def test_results_of_more_than_one_page_are_whole(ledger: Ledger) -> None:
    large = "x" * 300_000
    row = Publication(DAY, 1, 1, "m", NOW, "quiet", run_id=large)
    for version in range(1, 6):
        ledger.publications.put(FEED, replace(row, version=version))
    pages = ledger.client.get_paginator("query").paginate(
        TableName=ledger.table,
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": {"S": f"feed#{FEED}"}},
    )
    assert len(list(pages)) > 1
    assert [p.version for p in ledger.publications.of_feed(FEED)] == [1, 2, 3, 4, 5]


def test_a_deleted_row_is_gone(ledger: Ledger) -> None:
    row = Retired("s3://clean/a/", NOW)
    ledger.placements.put_retired(FEED, [row])
    assert ledger.placements.retired(FEED) == [row]
    ledger.placements.delete(FEED, row)
    assert ledger.placements.retired(FEED) == []


def test_a_throttled_transaction_is_transient(ledger: Ledger) -> None:
    class Throttled:
        exceptions = ledger.client.exceptions

        def __getattr__(self, name: str) -> Any:
            return getattr(ledger.client, name)

        def transact_write_items(self, **_: Any) -> None:
            answer: Any = {"Error": {"Code": "x"}, "CancellationReasons": [{"Code": "ThrottlingError"}]}
            raise self.exceptions.TransactionCanceledException(answer, "TransactWriteItems")

    with pytest.raises(TransientFailure, match=r"the ledger refused a write: \['ThrottlingError'\]"):
        replace(ledger, client=Throttled()).deliveries.reopen(FEED, DAY)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


TTL, WAIT = timedelta(seconds=60), timedelta(seconds=5)


def test_a_lease_has_one_holder_at_a_time(ledger: Ledger) -> None:
    clock = Clock()
    timed = replace(ledger, now=clock)
    with timed.lease("publish", "one", ttl=TTL, wait=WAIT, sleep=clock.sleep) as held:
        with (
            pytest.raises(TransientFailure, match="lease publish is held by another run"),
            timed.lease("publish", "two", ttl=TTL, wait=WAIT, sleep=clock.sleep),
        ):
            pass
        held.check()
    with timed.lease("publish", "two", ttl=TTL, wait=timedelta(), sleep=clock.sleep):
        pass


def test_a_lease_that_ran_out_goes_to_another_and_the_first_holder_notices(ledger: Ledger) -> None:
    clock = Clock()
    timed = replace(ledger, now=clock)
    with timed.lease("publish", "one", ttl=TTL, wait=WAIT, sleep=clock.sleep) as first:
        clock.sleep(61)
        with timed.lease("publish", "two", ttl=TTL, wait=WAIT, sleep=clock.sleep) as second:
            with pytest.raises(TransientFailure, match="lease publish was lost to another run"):
                first.check()
            second.check()
        with pytest.raises(TransientFailure, match="lease publish was lost to another run"):
            first.check()


def test_the_end_of_a_lost_lease_leaves_its_new_holder_alone(ledger: Ledger) -> None:
    clock = Clock()
    timed = replace(ledger, now=clock)
    with timed.lease("publish", "one", ttl=TTL, wait=WAIT, sleep=clock.sleep):
        clock.sleep(61)
        taken = timed.lease("publish", "two", ttl=TTL, wait=WAIT, sleep=clock.sleep)
        second = taken.__enter__()
    second.check()
    taken.__exit__(None, None, None)


def test_a_lease_is_kept_by_checking_it(ledger: Ledger) -> None:
    clock = Clock()
    timed = replace(ledger, now=clock)
    with timed.lease("publish", "one", ttl=TTL, wait=WAIT, sleep=clock.sleep) as held:
        for _ in range(3):
            clock.sleep(50)
            held.check()
        with (
            pytest.raises(TransientFailure),
            timed.lease("publish", "two", ttl=TTL, wait=timedelta(), sleep=clock.sleep),
        ):
            pass


@pytest.mark.parametrize(("after", "needs", "written"), [(0, 50, 0), (9, 50, 0), (11, 50, 1), (9, 52, 1), (-1, 0, 1)])
def test_a_lease_that_was_just_written_is_believed_while_it_lasts_for_what_a_step_needs(
    ledger: Ledger, after: int, needs: int, written: int
) -> None:
    clock = Clock()
    calls: list[str] = []
    with replace(ledger, now=clock).lease("publish", "one", ttl=TTL, wait=WAIT, sleep=clock.sleep) as held:
        client = ledger.client
        client.meta.events.register("before-call", lambda model, **_: calls.append(model.name), "noted")
        clock.sleep(after)
        held.check(timedelta(seconds=needs))
        client.meta.events.unregister("before-call", unique_id="noted")
    assert calls == ["PutItem"] * written


def test_of_many_that_want_a_lease_one_gets_it(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda n: Lease(ledger.access, "publish", str(n), TTL).take(), range(8))) == 1


IGNORED = {"state": ObjectState.IGNORED, "reason": "too late"}


def everything(ledger: Ledger) -> list[str]:
    pages = ledger.client.get_paginator("scan").paginate(TableName=ledger.table)
    return sorted(f"{i['pk']['S']} {i['sk']['S'].split('#')[0]}" for page in pages for i in page["Items"])


def test_an_ignored_object_arrives_once_when_its_declaration_takes_it(ledger: Ledger) -> None:
    assert ledger.objects.record(FEED, obj("a", **IGNORED), "lengthen accept_late")
    assert everything(ledger) == ["feed#acme ignored", "feed#acme refused", "feed#acme/orders object"]
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda _: ledger.objects.record(FEED, obj("a", seen_by="listing")), range(8)))
    assert sum(new) == 1
    [taken] = ledger.objects.of_day(FEED, DAY)
    assert (taken.state, taken.reason, taken.number, taken.seen_by) == (ObjectState.ARRIVED, "", 1, "listing")
    left = ["feed#acme arrived", "feed#acme refused", "feed#acme/orders delivery", "feed#acme/orders object"]
    assert everything(ledger) == left
    assert not ledger.objects.record(FEED, obj("a", **IGNORED))
    assert ledger.objects.of_day(FEED, DAY) == [taken]


@pytest.mark.parametrize("old_release", [False, True])
def test_an_object_that_fitted_no_feed_moves_to_the_feed_it_fits(ledger: Ledger, old_release: bool) -> None:
    stray = obj("a", **IGNORED)
    ledger.objects.record("acme/_unplaced", stray)
    if old_release:
        ledger.client.delete_item(
            TableName=ledger.table, Key={"pk": {"S": "feed#acme"}, "sk": {"S": f"ignored#{stray.identity}"}}
        )
    other = replace(stray, day=date(2026, 3, 1), reason="too early")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ledger.objects.record(FEED, other), range(8)))
    assert everything(ledger) == ["feed#acme ignored", "feed#acme/orders object"]
    assert [(o.day, o.reason) for o in ledger.objects.ignored_of_feed(FEED)] == [(date(2026, 3, 1), "too early")]
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda _: ledger.objects.record("acme/members", obj("a")), range(8)))
    assert sum(new) == 1
    assert everything(ledger) == ["feed#acme arrived", "feed#acme/members delivery", "feed#acme/members object"]


def test_refusals_are_counted_by_many_at_once_and_cleared_by_one(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ledger.objects.record(FEED, obj(f"f{n % 12}", **IGNORED), "do something"), range(24)))
    [refused] = ledger.objects.refused(SOURCE)
    assert (refused.feed, refused.reason, refused.objects, refused.action) == (FEED, "too late", 12, "do something")
    assert refused.first in {obj(f"f{n}").file_id for n in range(12)}
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: ledger.objects.clear_refused(SOURCE, refused), range(8))) == 1
    assert ledger.objects.refused(SOURCE) == []


def test_an_object_is_refused_once(ledger: Ledger) -> None:
    ledger.objects.record(FEED, obj("manifest.json"))
    [manifest] = ledger.objects.of_day(FEED, DAY)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: ledger.objects.refuse(FEED, manifest, "broken", "send it again"), range(8))) == 1
    assert not ledger.objects.refuse(FEED, manifest, "broken")
    assert [(o.state, o.reason, o.number) for o in ledger.objects.of_day(FEED, DAY)] == [
        (ObjectState.ARRIVED, "broken", 1)
    ]
    assert [r.objects for r in ledger.objects.refused(SOURCE)] == [1]
    assert not ledger.objects.refuse(FEED, obj("unknown"), "broken")


def test_what_a_delivery_waits_for_is_no_change_of_it(ledger: Ledger) -> None:
    ledger.objects.record(FEED, obj("a"))
    seen = ledger.deliveries.get(FEED, DAY)
    ledger.deliveries.note_waiting(FEED, seen, "1 of 2 files", NOW, "1/0/x")
    noted = ledger.deliveries.get(FEED, DAY)
    assert noted == replace(seen, waiting="1 of 2 files", waiting_until=NOW, waiting_as="1/0/x")
    ledger.deliveries.note_waiting(FEED, seen, "no manifest", None, "1/0/y")
    assert ledger.deliveries.get(FEED, DAY) == replace(seen, waiting="no manifest", waiting_as="1/0/y")
    ledger.objects.record(FEED, obj("b"))
    ledger.deliveries.note_waiting(FEED, seen, "late", None, "late")
    assert ledger.deliveries.get(FEED, DAY).waiting == "no manifest"


def test_a_write_whose_answer_is_lost_is_not_taken_for_somebody_elses(ledger: Ledger) -> None:
    ledger.objects.record(FEED, obj("a"))
    ledger.objects.refuse(FEED, obj("a"), "bad", "send it again")
    stale, [refused] = ledger.derived.mark(FEED, DAY), ledger.objects.refused(SOURCE)
    ledger.client.meta.events.register("needs-retry.dynamodb", lambda attempts, **_: 0 if attempts == 1 else None)
    assert ledger.messages.begin_trouble(SOURCE, "hindrance", "no key")
    assert not ledger.messages.begin_trouble(SOURCE, "hindrance", "no key")
    assert ledger.messages.note_notified(FEED, "deadline")
    assert ledger.objects.clear_refused(SOURCE, refused)
    assert ledger.derived.clear(FEED, stale)
    assert not ledger.derived.clear(FEED, stale)


def test_whoever_notes_a_version_late_changes_nothing_of_one_that_is_published(ledger: Ledger) -> None:
    row = Publication(DAY, 1, 1, "m", NOW, "quiet")
    for noted in (row, replace(row, clean=3)):
        ledger.publications.note(FEED, noted)
        assert ledger.publications.of_feed(FEED) == [noted]
    done = replace(row, clean=3, state=DeliveryState.PUBLISHED, finished_at=NOW)
    ledger.publications.put(FEED, done)
    ledger.publications.note(FEED, replace(row, clean=4))
    assert ledger.publications.of_feed(FEED) == [done]


def test_known_objects_are_found_by_the_hundred(ledger: Ledger) -> None:
    known = [obj(f"f{n}") for n in range(130)]
    ledger.access.put(FEED, known)
    asked = [(FEED, each) for each in [*known, *known, obj("unknown")]]
    assert ledger.objects.known(asked) == {(FEED, o.sort_key): o for o in known}
    assert ledger.objects.known([]) == {}


def test_what_a_batch_leaves_unread_is_asked_for_again(ledger: Ledger) -> None:
    class Busy:
        calls = 0

        def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
            self.calls += 1
            [(table, wanted)] = RequestItems.items()
            keys = wanted["Keys"]
            some = {table: {**wanted, "Keys": keys[:1]}}
            answer: dict[str, Any] = ledger.client.batch_get_item(RequestItems=some)
            return {**answer, "UnprocessedKeys": {table: {**wanted, "Keys": keys[1:]}} if keys[1:] else {}}

    known = [obj(f"f{n}") for n in range(5)]
    ledger.access.put(FEED, known)
    busy, pauses = Busy(), list[float]()
    found = replace(ledger, client=busy, sleep=pauses.append).objects.known((FEED, each) for each in known)
    assert (len(found), busy.calls, pauses) == (5, 5, [FIRST_PAUSE] * 4)


def test_many_rows_are_written_by_few_calls_and_what_one_leaves_out_is_written_again(ledger: Ledger) -> None:
    class Busy:
        calls = 0

        def batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
            self.calls += 1
            [(table, requests)] = RequestItems.items()
            ledger.client.batch_write_item(RequestItems={table: requests[:20]})
            return {"UnprocessedItems": {table: requests[20:]} if requests[20:] else {}}

    wanted = [obj(f"f{n}") for n in range(60)]
    busy, pauses = Busy(), list[float]()
    replace(ledger, client=busy, sleep=pauses.append).access.put(FEED, wanted)
    assert {each.key for each in ledger.objects.of_day(FEED, DAY)} == {each.key for each in wanted}
    assert (busy.calls, len(pauses)) == (3, 2)


def test_of_two_rows_with_one_key_the_latter_stays(ledger: Ledger) -> None:
    ledger.access.put(FEED, [obj("a"), replace(obj("a"), reason="newer")])
    assert [each.reason for each in ledger.objects.of_day(FEED, DAY)] == ["newer"]
    ledger.access.put(FEED, [])


def outcome(number: int, reason: str = "", rows: int = 1) -> FileOutcome:
    return FileOutcome(DAY, 2, f"s3://raw/{number:05d}", Outcome.LOADED, reason, rows_in=rows, clean=rows)


def test_outcomes_that_are_taken_over_share_rows_and_are_read_like_all_others(ledger: Ledger) -> None:
    texts = Random(1)
    taken = [outcome(n, "".join(texts.choices(ascii_letters, k=900))) for n in range(700)]
    new = outcome(9999)
    origins = {each.origin for each in taken}
    publications = ledger.publications
    publications.put_file_outcomes(FEED, part_rows([*taken, new], origins, publications.recorded(FEED, DAY, 2)))
    rows = [sk for sk in everything(ledger) if sk.endswith(" file")]
    assert 2 < len(rows) < 10
    assert sorted(publications.file_outcomes(FEED, DAY, 2), key=lambda o: o.origin) == [*taken, new]
    recorded = publications.recorded(FEED, DAY, 2)
    assert (recorded.own.keys(), recorded.taken_over.keys()) == ({new.origin}, origins)


def test_a_file_that_was_read_keeps_its_row_and_what_an_attempt_before_took_over_is_forgotten(ledger: Ledger) -> None:
    publications = ledger.publications
    many = [outcome(n, "x" * 900) for n in range(700)]
    publications.put_file_outcomes(FEED, part_rows(many, {o.origin for o in many}, publications.recorded(FEED, DAY, 2)))
    publications.put_file_outcomes(FEED, [outcome(0, rows=0), outcome(1, rows=0)])
    few = [outcome(0, rows=5), outcome(2, rows=6)]
    publications.put_file_outcomes(FEED, part_rows(few, {o.origin for o in few}, publications.recorded(FEED, DAY, 2)))
    found = {o.origin: o.rows_in for o in publications.file_outcomes(FEED, DAY, 2)}
    assert found == {"s3://raw/00000": 5, "s3://raw/00001": 0, "s3://raw/00002": 6}
