"""Waiting for what happens behind an answer."""

import time
from collections.abc import Callable
from typing import Any


def eventually(check: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What ``check`` comes to, once it is something.

    Raises:
        AssertionError: it is nothing after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"nothing came within {seconds:g} s"
        time.sleep(0.03)
    return found
