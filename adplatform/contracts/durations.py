"""Lengths of time as people write them: ``30s``, ``15m``, ``2h``, ``3d``."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

# One spelling for the parser and the JSON Schema, whose regular expressions are ECMAScript's.
PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*(s|m|h|d)\s*$"
_DURATION = re.compile(PATTERN)
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
MAX_SECONDS = 10_000 * 86_400


def parse_duration(value: Any) -> Any:
    """``"30s"``, ``"15m"``, ``"2h"`` or ``"3d"`` to a timedelta; a timedelta and None stay what they are.

    Raises:
        ValueError: anything else, also a bare number, whose unit nobody can see, and more than 10,000 days.
    """
    if value is None or isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.match(value):
        raise ValueError(f"{value!r} is not a duration: write 30s, 15m, 2h or 3d")
    spelled = value.strip()
    seconds = float(spelled[:-1]) * _SECONDS[spelled[-1]]
    if seconds > MAX_SECONDS:
        raise ValueError(f"{value!r} is too long for a duration")
    return timedelta(seconds=seconds)


def write_duration(value: timedelta) -> str:
    """The shortest spelling that :func:`parse_duration` takes back, in the largest unit that leaves no fraction."""
    for unit, seconds in _SECONDS.items():
        if value and not value % timedelta(seconds=seconds):
            return f"{value // timedelta(seconds=seconds)}{unit}"
    return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


Duration = Annotated[
    timedelta,
    BeforeValidator(
        parse_duration,
        json_schema_input_type=Annotated[str, Field(pattern=PATTERN, examples=["30s", "15m", "2h", "3d"])],
    ),
]
