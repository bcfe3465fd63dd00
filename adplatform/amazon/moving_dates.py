"""Options of a report that hold the dates which it is asked for.

``{start}`` and ``{end}`` are the first and the last second of the range, in UTC as ``2026-09-01T00:00:00Z``, and
``{start:date}`` and ``{end:date}`` its first and last date.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_PLACE = re.compile(r"\{([^{}]*)\}")
_MEANT = ("start", "end", "start:date", "end:date")


def check_places(option: str, text: str) -> None:
    """
    Raises:
        ValueError: there is something else in braces.
    """
    for place in _PLACE.findall(text):
        if place not in _MEANT:
            known = ", ".join(f"{{{each}}}" for each in _MEANT)
            raise ValueError(f"option {option} has {{{place}}}; what is replaced is {known}")


def filled(options: Mapping[str, str], start: date, end: date, zone: tzinfo) -> dict[str, str]:
    """The options for the dates from ``start`` to ``end``, both included, of a time zone."""
    first, last = seconds(start, end, zone)
    values = {"start": utc_text(first), "end": utc_text(last), "start:date": f"{start}", "end:date": f"{end}"}
    return {option: _PLACE.sub(lambda found: values[found[1]], text) for option, text in options.items()}


def seconds(start: date, end: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first and the last second of dates in a time zone."""
    midnight = time(0, tzinfo=zone)
    # By the next midnight: where clocks change at midnight, as in Cairo, 23:59:59 can be there twice.
    after = datetime.combine(end + timedelta(days=1), midnight)
    return datetime.combine(start, midnight).astimezone(UTC), after.astimezone(UTC) - timedelta(seconds=1)


def utc_text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
