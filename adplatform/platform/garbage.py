"""How often commands and code locations look for garbage: nearly all that they make is imported or declared, has
circles, and stays to the end."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLD = 500_000
"""New objects between two collections, in place of 700; a command that only looks makes fewer."""


@contextmanager
def collected_rarely() -> Iterator[None]:
    """Also, the process then ends without a last search through all that it imported."""
    before = gc.get_threshold()
    gc.set_threshold(_THRESHOLD, *before[1:])
    atexit.register(_leave_to_the_system)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _leave_to_the_system() -> None:
    if "duckdb" not in sys.modules:  # whose binding reports as leaked what it finds frozen
        gc.freeze()
