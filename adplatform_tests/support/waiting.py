"""Waiting for what happens behind an answer."""

import time
from collections.abc import Callable, Iterator
from typing import Any


def turns(seconds: float) -> Iterator[None]:
    """Turns for so long, after pauses that become longer, up to a quarter of a second: looks cost the processor that
    what is awaited needs."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
        pause = min(1.5 * pause, 0.25)


def eventually(check: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What ``check`` comes to, once it is something.

    Raises:
        AssertionError: it is nothing after so many seconds.
    """
    for _ in turns(seconds):
        if found := check():
            return found
    raise AssertionError(f"nothing came within {seconds:g} s")


def next_second() -> None:
    """Waits until another second has begun: S3 says to the second when an object was written."""
    time.sleep(1.001 - time.time() % 1.0)
