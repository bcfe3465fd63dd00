"""What is done beside the work: it fails nothing, holds up nothing, and does not grow."""

import logging
import subprocess
import sys
from threading import Event

import pytest

from adplatform.platform.beside import Beside


def test_what_is_given_is_done_in_its_order_before_the_process_ends() -> None:
    done: list[int] = []
    beside = Beside("a receiver")
    for n in range(100):
        beside.give(lambda n=n: done.append(n))
    assert beside.end()
    assert done == list(range(100))
    beside.give(lambda: done.append(100))
    assert beside.end()
    assert done[-1] == 100


def test_a_receiver_that_never_answers_is_not_waited_for_and_what_is_too_much_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers, done = Event(), list[int]()
    beside = Beside("a receiver", most=3, seconds=0.01)
    beside.give(answers.wait)
    for n in range(100):
        beside.give(lambda n=n: done.append(n))
    assert not beside.end()
    assert [record.message for record in caplog.records] == [
        "a receiver: not everything is sent: more waits than it may"
    ]
    answers.set()


def test_failures_are_said_once_until_it_works_again_and_without_their_text(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ConnectionError("ann" + "@example.com")

    beside = Beside("a receiver")
    with caplog.at_level(logging.WARNING):
        for task in (fail, fail, lambda: None, fail):
            beside.give(task)
        assert beside.end()
    assert [record.message for record in caplog.records] == [
        "a receiver: not everything is sent: ConnectionError",
        "a receiver: not everything is sent: ConnectionError",
    ]


ENDS = """
from threading import Event
from adplatform.platform.beside import Beside
beside = Beside("a receiver", seconds=0.2)
beside.give(lambda: print("sent", flush=True))
beside.give(Event().wait)
"""


def test_a_process_that_ends_sends_what_it_can_and_ends() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("sent\n", "")
