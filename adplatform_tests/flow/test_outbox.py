"""Messages that cannot be sent when there is something to tell: a later look sends them, once."""

from typing import Any

import pytest

from adplatform.flow.outbox import send_unsent
from adplatform.flow.patience import MAX_DEATHS
from adplatform.flow.undelivered import notify_undelivered
from adplatform_tests.flow.test_settling import Ended, minutes, settled
from adplatform_tests.flow.world import TODAY, World, fake_world


@pytest.fixture
def world() -> World:
    return fake_world()


def reported(world: World) -> list[tuple[Any, ...]]:
    """What people hear once messages can be sent."""
    heard: list[tuple[Any, ...]] = []
    world.reported = lambda *_: False
    send_unsent(world, "acme")
    world.reported = lambda *message: heard.append(message)
    for _ in range(2):
        send_unsent(world, "acme")
    return heard


def test_a_delivery_that_cannot_settle_is_reported_by_whoever_looks_next(world: World) -> None:
    world.deliver("listed", "manifest.json", b"{")
    world.settler.arrivals.receive()
    [problem] = world.settler.due(Ended())[1]
    assert reported(world) == [("delivery_stuck", problem.subject, problem.facts)]


def test_a_delivery_that_is_given_up_is_reported_by_whoever_looks_next(world: World) -> None:
    settled(world)
    for _ in range(MAX_DEATHS + 1):
        world.settler.due(Ended())
        minutes(world, 120)
        world.settler.due(Ended())
    [(event, subject, facts)] = reported(world)
    assert (event, subject) == ("delivery_stuck", f"acme/quiet {TODAY}: is given up")
    assert "adplatform retry acme/quiet" in facts["error"]


def test_a_missed_deadline_whose_message_was_not_sent_is_reported_though_no_other_run_asks(world: World) -> None:
    world.reported = lambda *_: False
    for _ in range(2):
        notify_undelivered(world, world.flow("quiet"), TODAY, "nothing came", "run", missed=True)
    assert [event for event, *_ in reported(world)] == ["delivery_missed"]
