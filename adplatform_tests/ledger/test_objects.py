"""What may become of a recorded object, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import Objects, ObjectState, RawObject
from adplatform.ledger.rows import IllegalStep
from adplatform_tests.flow.fakes import FakeDynamo

FEED = "acme/orders"
NOW = datetime(2026, 3, 14, 9, tzinfo=UTC)
OBJECT = RawObject(date(2026, 3, 14), "raw", "landing/acme/orders/a.csv", "v1", 5, "etag", NOW, number=1, seen_at=NOW)
ARRIVED, IGNORED, EXCLUDED, WITHDRAWN = ObjectState
STEPS: dict[str, tuple[Callable[[Objects, RawObject], None], set[ObjectState], dict[str, Any]]] = {
    "archived": (
        lambda o, obj: o.archived(FEED, {"archive/a": obj}),
        {ARRIVED, EXCLUDED},
        {"archived_key": "archive/a"},
    ),
    "exclude": (
        lambda o, obj: o.exclude(FEED, obj, "dropped"),
        {ARRIVED, EXCLUDED, WITHDRAWN},
        {"state": EXCLUDED, "reason": "dropped"},
    ),
    "place": (lambda o, obj: o.place(FEED, obj, 2), set(ObjectState), {"place": 2}),
    "accept": (lambda o, obj: o.accept(FEED, obj), {ARRIVED}, {"reason": ""}),
}


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(FakeDynamo(), "ledger", lambda: NOW)


@pytest.mark.parametrize("state", ObjectState)
@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_taken_only_from_a_state_it_is_for(ledger: Ledger, name: str, state: ObjectState) -> None:
    step, states, changes = STEPS[name]
    obj = replace(OBJECT, state=state, reason="broken")
    ledger.objects.put(FEED, [obj])
    if state in states:
        step(ledger.objects, obj)
        assert ledger.objects.of_day(FEED, obj.day) == [replace(obj, **changes)]
        return
    with pytest.raises(IllegalStep, match=f"a.csv: the object is {state} and cannot be "):
        step(ledger.objects, obj)
    assert ledger.objects.of_day(FEED, obj.day) == [obj]


@pytest.mark.parametrize(
    "step",
    [
        lambda o: o.archived(FEED, {"": OBJECT}),
        lambda o: o.place(FEED, OBJECT, 0),
        lambda o: o.place(FEED, replace(OBJECT, place=1), 2),
    ],
    ids=["no key", "no place", "another place"],
)
def test_a_step_that_contradicts_the_row_is_refused(ledger: Ledger, step: Callable[[Objects], None]) -> None:
    ledger.objects.put(FEED, [OBJECT])
    with pytest.raises(IllegalStep):
        step(ledger.objects)
    assert ledger.objects.of_day(FEED, OBJECT.day) == [OBJECT]


def test_objects_whose_places_cannot_be_noted_together_are_noted_each_for_itself(ledger: Ledger) -> None:
    strange = replace(OBJECT, version="v2")
    ledger.objects.put(FEED, [OBJECT])
    copied = {"archive/a": OBJECT, "archive/b": strange}
    assert not ledger.objects.archived(FEED, copied)
    with pytest.raises(ledger.client.exceptions.ConditionalCheckFailedException):
        ledger.objects.archived_each(FEED, OBJECT.day, copied)
    assert [obj.archived_key for obj in ledger.objects.of_day(FEED, OBJECT.day)] == ["archive/a"]


def test_the_place_of_an_object_that_somebody_else_has_put_away_stays(ledger: Ledger) -> None:
    ledger.objects.put(FEED, [OBJECT])
    ledger.objects.edit(FEED, OBJECT, "archive/less", 1, "an erasure")
    assert not ledger.objects.archived(FEED, {"archive/a": OBJECT})
    ledger.objects.archived_each(FEED, OBJECT.day, {"archive/a": OBJECT})
    assert [obj.archived_key for obj in ledger.objects.of_day(FEED, OBJECT.day)] == ["archive/less"]
