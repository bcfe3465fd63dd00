"""Waiting for what a service does behind its answer, seconds as a rule."""

import time
from collections.abc import Callable
from typing import TypeVar

_Found = TypeVar("_Found")
_FIRST, _LONGEST, _ALL = 0.05, 2.0, 120.0
"""Seconds of pauses, which become longer; a workgroup of Redshift that has slept needs a minute to wake."""


def awaited(look: Callable[[], _Found | None], sleep: Callable[[float], None] = time.sleep) -> _Found | None:
    """What ``look`` comes to, once it is something; None where it is nothing for too long."""
    pause, waited = _FIRST, 0.0
    while (found := look()) is None and waited < _ALL:
        sleep(pause)
        waited, pause = waited + pause, min(2 * pause, _LONGEST)
    return found
