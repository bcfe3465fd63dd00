"""What may happen to a delivery, step by step: what each changes, whom it refuses, and who was faster."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from adplatform.failures import PermanentFailure
from adplatform.ledger.deliveries import Deliveries
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.engine_run import Intention
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Unsent
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import IllegalStep
from adplatform_tests.flow.fakes import FakeDynamo
from adplatform_tests.support.ledger_rows import put_delivery

SOURCE, FEED = "acme", "acme/orders"
DAY = date(2026, 3, 14)
NOW = datetime(2026, 3, 14, 9, tzinfo=UTC)
EARLIER, LATER = NOW - timedelta(hours=1), NOW + timedelta(minutes=7)
MESSAGE = Unsent.of(None, "delivery_failed", "acme/orders is stuck", {})
OPEN, SETTLED, RUNNING, TRANSFORMING, PUBLISHED, FAILED = DeliveryState
INTENTION = Intention(SOURCE, "transform-orders", f"{FEED}/{DAY}/v2/a1")
Step = Callable[[Deliveries, Delivery], Delivery | None]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(FakeDynamo(), "ledger", lambda: NOW)


def at(ledger: Ledger, state: DeliveryState, **more: Any) -> Delivery:
    """A delivery of two arrivals whose second version is as far as ``state``."""
    published = 2 if state is PUBLISHED else 1
    run_id = "run" if state is RUNNING else ""
    usual = {"arrivals": 2, "settled_arrivals": 2, "version": 2, "published": published, "attempt": 1, "launches": 1}
    return put_delivery(ledger, FEED, Delivery(DAY), **{**usual, "state": state, "run_id": run_id, **more})


def minutes(times: int) -> timedelta:
    return timedelta(minutes=7 * times)


def never(_: int) -> timedelta:
    return timedelta(0)


def changed(before: Delivery, after: Delivery | None) -> dict[str, Any]:
    assert after is not None
    assert (after.revision, after.changed_at) == (before.revision + 1, NOW)
    return {
        name: value
        for name, value in vars(after).items()
        if value != getattr(before, name) and name not in ("revision", "changed_at")
    }


def settle(deliveries: Deliveries, seen: Delivery, **more: Any) -> Delivery | None:
    return deliveries.settle(FEED, seen, **{"objects": 1, "manifest_key": "m3", "because": "quiet", **more})


def restore(deliveries: Deliveries, seen: Delivery, **more: Any) -> Delivery | None:
    usual: dict[str, Any] = {"version": 3, "published": 2, "arrivals": 4, "settled_arrivals": 3, "manifest_key": "m2"}
    return deliveries.restore(FEED, seen, **{**usual, "settled_at": EARLIER, "settled_because": "quiet", **more})


SEEN: dict[str, tuple[Step, set[DeliveryState]]] = {
    "settle": (settle, {OPEN, PUBLISHED, FAILED}),
    "same_again": (lambda d, seen: d.same_again(FEED, seen), {PUBLISHED}),
    "stuck": (lambda d, seen: d.stuck(FEED, seen, "bad", MESSAGE), {OPEN, PUBLISHED, FAILED}),
    "restore": (restore, {OPEN, SETTLED, PUBLISHED, FAILED}),
    "handed_back": (lambda d, seen: d.handed_back(FEED, seen), {TRANSFORMING}),
    "free": (lambda d, seen: d.free(FEED, seen), {RUNNING}),
    "stopped": (lambda d, seen: d.stopped(FEED, seen, "stopped", visible=False), {SETTLED, RUNNING}),
    "hindered": (lambda d, seen: d.hindered(FEED, seen, "full", minutes, visible=False), {SETTLED, RUNNING}),
    "died": (lambda d, seen: d.died(FEED, seen, "dead", never, visible=False), {SETTLED, RUNNING}),
    "give_up": (lambda d, seen: d.give_up(FEED, seen, "dead", MESSAGE), {SETTLED, RUNNING}),
    "launch_again": (lambda d, seen: d.launch_again(FEED, seen), {FAILED}),
    "retry": (lambda d, seen: d.retry(FEED, seen), {FAILED}),
    "readmit": (lambda d, seen: d.readmit(FEED, seen), {FAILED}),
}


@pytest.mark.parametrize("state", DeliveryState)
@pytest.mark.parametrize("name", SEEN)
def test_a_step_is_taken_only_from_a_state_it_is_for(ledger: Ledger, name: str, state: DeliveryState) -> None:
    step, states = SEEN[name]
    seen = at(ledger, state)
    if state in states:
        assert step(ledger.deliveries, seen) is not None
        return
    with pytest.raises(IllegalStep, match=f"acme/orders 2026-03-14 is {state} with version 2 and cannot be "):
        step(ledger.deliveries, seen)
    assert ledger.deliveries.get(FEED, DAY) == seen
    assert ledger.messages.unsent(SOURCE) == []


@pytest.mark.parametrize("name", SEEN)
def test_of_two_that_saw_the_same_one_is_too_late_and_writes_nothing(ledger: Ledger, name: str) -> None:
    step, states = SEEN[name]
    seen = at(ledger, next(state for state in DeliveryState if state in states))
    moved = put_delivery(ledger, FEED, seen, arrivals=9)
    assert step(ledger.deliveries, seen) is None
    assert ledger.deliveries.get(FEED, DAY) == moved
    assert (ledger.messages.unsent(SOURCE), ledger.publications.of_feed(FEED)) == ([], [])


def test_settling_writes_the_version_and_its_publication(ledger: Ledger) -> None:
    seen = at(ledger, FAILED, arrivals=5, permanent=True, error="bad", deaths=2, hindered=3, not_before=LATER)
    assert changed(seen, settle(ledger.deliveries, seen, settled_arrivals=4)) == {
        "state": SETTLED,
        "version": 3,
        "settled_arrivals": 4,
        "deaths": 0,
        "hindered": 0,
        "not_before": None,
        "manifest_key": "m3",
        "settled_at": NOW,
        "settled_because": "quiet",
        "error": "",
        "permanent": False,
    }
    assert ledger.publications.of_feed(FEED) == [Publication(DAY, 3, 1, "m3", NOW, "quiet")]


@pytest.mark.parametrize("more", [{"version": 2}, {"version": 1}, {"settled_arrivals": 3}])
def test_no_version_settles_twice_nor_arrivals_that_were_not(ledger: Ledger, more: dict[str, Any]) -> None:
    with pytest.raises(IllegalStep, match="cannot be settled"):
        settle(ledger.deliveries, at(ledger, PUBLISHED), **more)


def test_what_came_again_is_pending_no_more(ledger: Ledger) -> None:
    seen = at(ledger, PUBLISHED, arrivals=4)
    assert changed(seen, ledger.deliveries.same_again(FEED, seen)) == {"settled_arrivals": 4}
    with pytest.raises(IllegalStep):
        ledger.deliveries.same_again(FEED, at(ledger, PUBLISHED, published=1))


@pytest.mark.parametrize(
    ("state", "permanent", "stays"), [(OPEN, False, True), (FAILED, False, False), (FAILED, True, True)]
)
def test_what_cannot_settle_is_stuck_with_its_message(
    ledger: Ledger, state: DeliveryState, permanent: bool, stays: bool
) -> None:
    stuck = ledger.deliveries.stuck(FEED, at(ledger, state, permanent=permanent), "bad", MESSAGE)
    assert stuck is not None
    assert (stuck.state, stuck.permanent, stuck.error) == (FAILED, stays, "bad")
    assert ledger.messages.unsent(SOURCE) == [MESSAGE]


def test_what_is_mended_is_published_or_open_again(ledger: Ledger) -> None:
    seen = at(ledger, FAILED, permanent=True, error="bad", published=2)
    mended = changed(seen, ledger.deliveries.no_longer_stuck(FEED, seen, closed=True))
    assert mended == {"state": PUBLISHED, "permanent": False, "error": ""}
    seen = at(ledger, FAILED, permanent=True, error="bad", version=0, published=0)
    assert changed(seen, ledger.deliveries.no_longer_stuck(FEED, seen, closed=False))["state"] is OPEN


@pytest.mark.parametrize(
    ("more", "closed"),
    [({"permanent": False}, True), ({"published": 1}, True), ({"published": 2}, False), ({"state": OPEN}, False)],
)
def test_only_what_is_stuck_without_an_unclosed_version_is_mended(
    ledger: Ledger, more: dict[str, Any], closed: bool
) -> None:
    seen = put_delivery(ledger, FEED, at(ledger, FAILED, permanent=True, published=2), **more)
    with pytest.raises(IllegalStep, match="cannot be mended"):
        ledger.deliveries.no_longer_stuck(FEED, seen, closed=closed)


def test_what_the_ledger_forgot_is_restored(ledger: Ledger) -> None:
    restored = restore(ledger.deliveries, at(ledger, FAILED, permanent=True, error="bad"))
    assert restored is not None
    assert (restored.state, restored.version, restored.published, restored.pending) == (PUBLISHED, 3, 2, 1)
    assert (restored.manifest_key, restored.settled_at, restored.attempt) == ("m2", EARLIER, 0)
    assert (restored.permanent, restored.error) == (False, "")


@pytest.mark.parametrize("more", [{"version": 1, "published": 1}, {"published": 4}, {"settled_arrivals": 5}])
def test_nothing_is_restored_that_contradicts_the_ledger_or_itself(ledger: Ledger, more: dict[str, int]) -> None:
    with pytest.raises(IllegalStep, match="cannot be restored"):
        restore(ledger.deliveries, at(ledger, FAILED), **more)


def test_a_delivery_is_reopened_whatever_happens_to_it(ledger: Ledger) -> None:
    for state in DeliveryState:
        seen = at(ledger, state)
        assert changed(seen, ledger.deliveries.reopen(FEED, DAY)) == {"arrivals": 3}


def test_a_claim_takes_what_no_run_has_and_forgets_its_failure(ledger: Ledger) -> None:
    seen = at(ledger, FAILED, permanent=True, error="bad", not_before=LATER)
    taken, claimed = ledger.deliveries.claim(FEED, DAY, "mine")
    assert taken
    assert changed(seen, claimed) == {
        "state": RUNNING,
        "run_id": "mine",
        "not_before": None,
        "error": "",
        "permanent": False,
    }
    assert ledger.deliveries.get(FEED, DAY) == claimed
    assert ledger.deliveries.claim(FEED, DAY, "other") == (False, claimed)
    assert ledger.deliveries.claim(FEED, DAY, "mine") == (False, claimed)


def test_nothing_is_claimed_of_which_nothing_has_settled(ledger: Ledger) -> None:
    with pytest.raises(PermanentFailure, match="no delivery has settled; `adplatform ledger acme/orders 2026-03-14`"):
        ledger.deliveries.claim(FEED, DAY, "run")


RUNS: dict[str, tuple[Callable[[Deliveries, str], Delivery | None], dict[str, Any]]] = {
    "close": (
        lambda d, run: d.close(FEED, DAY, run, 2),
        {"state": PUBLISHED, "published": 2, "deaths": 0, "hindered": 0},
    ),
    "release": (
        lambda d, run: d.release(FEED, DAY, run, closed=True),
        {"state": SETTLED, "run_id": "", "launches": 2},
    ),
    "fail_for_good": (
        lambda d, run: d.fail_for_good(FEED, DAY, run, "bad", visible=False),
        {"state": FAILED, "error": "bad", "permanent": True, "hindered": 0},
    ),
    "fail_attempt": (
        lambda d, run: d.fail_attempt(FEED, DAY, run, "slow", minutes, visible=False),
        {"state": FAILED, "error": "slow", "attempt": 2, "hindered": 0, "not_before": NOW + minutes(1)},
    ),
    "fail_hindered": (
        lambda d, run: d.fail_hindered(FEED, DAY, run, "full", minutes, visible=True),
        {"state": FAILED, "error": "full", "hindered": 3, "published": 2, "not_before": NOW + minutes(3)},
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_ends_what_it_holds(ledger: Ledger, name: str) -> None:
    step, expected = RUNS[name]
    seen = at(ledger, RUNNING, deaths=1, hindered=2)
    assert changed(seen, step(ledger.deliveries, "run")) == expected


@pytest.mark.parametrize("state", DeliveryState)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_lost_the_delivery_changes_nothing(ledger: Ledger, name: str, state: DeliveryState) -> None:
    seen = at(ledger, state, run_id="thief" if state is RUNNING else "run")
    assert RUNS[name][0](ledger.deliveries, "run") is None
    assert ledger.deliveries.get(FEED, DAY) == seen


def test_a_run_that_lets_go_of_what_is_published_and_closed_leaves_it_so(ledger: Ledger) -> None:
    at(ledger, RUNNING, published=2)
    released = ledger.deliveries.release(FEED, DAY, "run", closed=True)
    assert released is not None
    assert released.state is PUBLISHED
    at(ledger, RUNNING, published=2)
    released = ledger.deliveries.release(FEED, DAY, "run", closed=False)
    assert released is not None
    assert released.state is SETTLED


def test_a_run_closes_no_version_but_the_one_it_holds(ledger: Ledger) -> None:
    at(ledger, RUNNING)
    with pytest.raises(IllegalStep, match="is running with version 2 and cannot be closed as version 1"):
        ledger.deliveries.close(FEED, DAY, "run", 1)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda d, s: d.free(FEED, s), {"state": SETTLED, "run_id": ""}),
        (
            lambda d, s: d.stopped(FEED, s, "stopped", visible=True),
            {"state": SETTLED, "run_id": "", "launches": 2, "error": "stopped", "published": 2},
        ),
        (
            lambda d, s: d.hindered(FEED, s, "full", minutes, visible=False),
            {"state": FAILED, "run_id": "", "error": "full", "hindered": 2, "not_before": NOW + minutes(2)},
        ),
        (
            lambda d, s: d.died(FEED, s, "dead", never, visible=False),
            {"state": SETTLED, "run_id": "", "error": "dead", "deaths": 5, "hindered": 0, "launches": 2},
        ),
        (
            lambda d, s: d.died(FEED, s, "dead", minutes, visible=True),
            {
                "state": FAILED,
                "run_id": "",
                "error": "dead",
                "deaths": 5,
                "hindered": 0,
                "not_before": NOW + minutes(5),
                "published": 2,
            },
        ),
        (
            lambda d, s: d.give_up(FEED, s, "dead", MESSAGE),
            {"state": FAILED, "run_id": "", "error": "dead", "deaths": 5, "hindered": 0},
        ),
    ],
    ids=["freed", "stopped", "hindered", "died", "died again", "given up"],
)
def test_what_a_run_that_is_over_leaves(ledger: Ledger, step: Step, expected: dict[str, Any]) -> None:
    seen = at(ledger, RUNNING, deaths=4, hindered=1)
    assert changed(seen, step(ledger.deliveries, seen)) == expected


def test_who_is_given_up_has_a_message_in_the_same_transaction(ledger: Ledger) -> None:
    assert ledger.deliveries.give_up(FEED, at(ledger, SETTLED), "dead", MESSAGE)
    assert ledger.messages.unsent(SOURCE) == [MESSAGE]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda d, s: d.launch_again(FEED, s), {"state": SETTLED, "launches": 2, "not_before": None}),
        (
            lambda d, s: d.retry(FEED, s),
            {"state": SETTLED, "launches": 2, "not_before": None, "attempt": 1, "deaths": 0},
        ),
        (
            lambda d, s: d.readmit(FEED, s),
            {"state": SETTLED, "launches": 2, "not_before": None, "attempt": 1, "deaths": 0, "error": ""},
        ),
    ],
    ids=["launched again", "retried", "readmitted"],
)
def test_what_has_failed_is_due_again(ledger: Ledger, step: Step, expected: dict[str, Any]) -> None:
    seen = at(ledger, FAILED, attempt=4, deaths=2, error="slow", not_before=LATER)
    assert changed(seen, step(ledger.deliveries, seen)) == expected


@pytest.mark.parametrize("more", [{"permanent": True}, {"version": 0}])
def test_what_the_same_version_cannot_mend_is_not_tried_again(ledger: Ledger, more: dict[str, Any]) -> None:
    with pytest.raises(IllegalStep, match="cannot be tried again"):
        ledger.deliveries.retry(FEED, at(ledger, FAILED, **more))


def test_a_step_of_a_run_is_repeated_when_an_object_arrives_meanwhile(ledger: Ledger) -> None:
    at(ledger, RUNNING)

    class Busy(FakeDynamo):
        left = 2

        def transact_write_items(self, *, TransactItems: list[dict[str, Any]]) -> None:
            if self.left:
                self.left -= 1
                ledger.deliveries.reopen(FEED, DAY)
            ledger.client.transact_write_items(TransactItems=TransactItems)

        def get_item(self, **what: Any) -> dict[str, Any]:
            answer: dict[str, Any] = ledger.client.get_item(**what)
            return answer

    closed = replace(ledger, client=Busy()).deliveries.close(FEED, DAY, "run", 2)
    assert closed is not None
    assert (closed.state, closed.arrivals, closed.pending) == (PUBLISHED, 4, 2)


def test_a_run_gives_its_delivery_to_an_engine_with_what_it_wants_of_it(ledger: Ledger) -> None:
    seen = at(ledger, RUNNING, deaths=1, hindered=2)
    given = ledger.deliveries.hand_over(FEED, DAY, "run", INTENTION)
    assert changed(seen, given) == {
        "state": TRANSFORMING,
        "run_id": "",
        "transform": INTENTION.key,
        "launches": 2,
        "hindered": 0,
    }
    assert [(each.key, each.revision) for each in ledger.engine_runs.pursued(SOURCE)] == [(INTENTION.key, 1)]
    assert [(name, each.day) for name, each in ledger.deliveries.active(SOURCE)] == [(FEED, DAY)]


def test_only_the_run_that_has_it_gives_a_delivery_to_an_engine(ledger: Ledger) -> None:
    at(ledger, RUNNING)
    assert ledger.deliveries.hand_over(FEED, DAY, "another", INTENTION) is None
    assert ledger.engine_runs.pursued(SOURCE) == []


def test_what_arrives_while_a_delivery_is_given_to_an_engine_stays_pending(ledger: Ledger) -> None:
    at(ledger, RUNNING)
    reads, get = 0, ledger.deliveries.table.client.get_item

    def once(**given: Any) -> Any:
        nonlocal reads
        answer, reads = get(**given), reads + 1
        if reads == 1:
            ledger.deliveries.table.client.get_item = get
            ledger.deliveries.reopen(FEED, DAY)
        return answer

    ledger.deliveries.table.client.get_item = once
    given = ledger.deliveries.hand_over(FEED, DAY, "run", INTENTION)
    assert given is not None
    assert (given.state, given.pending) == (TRANSFORMING, 1)
    assert len(ledger.engine_runs.pursued(SOURCE)) == 1


def test_a_delivery_that_was_taken_from_its_engine_is_given_back_to_the_same_run_of_it(ledger: Ledger) -> None:
    at(ledger, RUNNING)
    ledger.deliveries.hand_over(FEED, DAY, "run", INTENTION)
    [intention] = ledger.engine_runs.pursued(SOURCE)
    begun = ledger.engine_runs.begin(intention)
    _, taken = ledger.deliveries.claim(FEED, DAY, "person")
    assert (taken.state, taken.transform) == (RUNNING, INTENTION.key)
    assert ledger.deliveries.hand_over(FEED, DAY, "person", INTENTION) is not None
    assert ledger.engine_runs.pursued(SOURCE) == [begun]


def test_a_delivery_whose_engine_has_ended_is_due_and_knows_what_was_wanted(ledger: Ledger) -> None:
    at(ledger, RUNNING)
    given = ledger.deliveries.hand_over(FEED, DAY, "run", INTENTION)
    assert given is not None
    assert changed(given, ledger.deliveries.handed_back(FEED, given)) == {"state": SETTLED}


@pytest.mark.parametrize("state", [SETTLED, RUNNING, TRANSFORMING])
def test_what_an_engine_made_of_a_version_is_nothing_to_the_next(ledger: Ledger, state: DeliveryState) -> None:
    seen = at(ledger, state, transform=INTENTION.key)
    with pytest.raises(IllegalStep):
        settle(ledger.deliveries, seen)
    failed = put_delivery(ledger, FEED, seen, state=FAILED)
    for step in (settle, lambda d, s: d.retry(FEED, s), lambda d, s: d.readmit(FEED, s), restore):
        moved = step(ledger.deliveries, failed)
        assert moved is not None
        assert moved.transform == ""
        failed = put_delivery(ledger, FEED, moved, state=FAILED, transform=INTENTION.key, version=2, published=1)
