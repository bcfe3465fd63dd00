"""Waiting for what a service does behind its answer, seconds as a rule."""

import time
from collections.abc import Callable
from typing import TypeVar

_Found = TypeVar("_Found")
_LOOK_EVERY, _LOOKS = 0.5, 240
"""Seconds, and how often: a workgroup of Redshift that has slept needs a minute to wake."""


def awaited(look: Callable[[], _Found | None], sleep: Callable[[float], None] = time.sleep) -> _Found | None:
    """What ``look`` comes to, once it is something; None where it is nothing for too long."""
    for _ in range(_LOOKS):
        if (found := look()) is not None:
            return found
        sleep(_LOOK_EVERY)
    return None
