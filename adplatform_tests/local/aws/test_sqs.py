"""A queue of the embedded AWS in which many messages wait."""

from typing import Any

import pytest
from moto.sqs import models

from adplatform.local.aws import sqs

MANY = 1000
Clock = list[float]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The milliseconds, and behind them each look at the clock."""
    looks: Clock = [1_000_000.0]

    def now(*_: Any) -> float:
        looks.append(looks[0])
        return looks[0]

    for module in (models, sqs):
        monkeypatch.setattr(module, "unix_time_millis", now)
    return looks


@pytest.fixture
def backend(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> models.SQSBackend:
    monkeypatch.setattr(models, "Queue", sqs.LocalQueue)
    monkeypatch.setattr(models.SQSBackend, "is_message_valid_based_on_retention_period", sqs._is_retained)
    backend = models.SQSBackend("us-east-1", "123456789012")
    backend.create_queue("q", None)
    return backend


def attributes(backend: models.SQSBackend) -> tuple[int, int, int]:
    found = backend.queues["q"].attributes
    names = ("", "NotVisible", "Delayed")
    waiting, invisible, delayed = (found[f"ApproximateNumberOfMessages{name}"] for name in names)
    return waiting, invisible, delayed


def test_the_messages_of_a_queue_are_counted_right(backend: models.SQSBackend, clock: Clock) -> None:
    for delay in (0, 0, 0, 60):
        backend.send_message("q", "m", delay_seconds=delay)
    first, second = backend.receive_message("q", 2, 0, 30)
    assert attributes(backend) == (1, 2, 1)
    backend.delete_message("q", str(first.receipt_handle))
    backend.delete_message("q", str(first.receipt_handle))
    assert attributes(backend) == (1, 1, 1)
    clock[0] += 31_000
    assert attributes(backend) == (2, 0, 1)
    [again, _] = backend.receive_message("q", 10, 0, 30)
    assert again.id == second.id
    backend.delete_message("q", str(second.receipt_handle))
    clock[0] += 31_000
    assert attributes(backend) == (2, 0, 0)


def test_a_message_is_handed_out_for_as_long_as_the_queue_keeps_it(backend: models.SQSBackend, clock: Clock) -> None:
    backend.send_message("q", "m")
    backend.queues["q"]._set_attributes({"MessageRetentionPeriod": "60"})
    clock[0] += 61_000
    assert backend.receive_message("q", 10, 0, 30) == []


def test_the_clock_is_not_read_for_each_message_that_waits(backend: models.SQSBackend, clock: Clock) -> None:
    for _ in range(MANY):
        backend.send_message("q", "m")
    del clock[1:]
    backend.send_message("q", "m")
    received = backend.receive_message("q", 10, 0, 30)
    for each in received:
        backend.delete_message("q", str(each.receipt_handle))
    assert len(received) == 10
    assert len(clock) - 1 < MANY / 10
