"""Schedule expressions of AWS, ``rate(...)`` and ``cron(...)`` in UTC (EventBridge user guide, "Schedule types")."""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((.+)\)")
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
_YEARS_AHEAD = 8
"""The 29th of February comes again within them."""


@dataclass(frozen=True)
class _Cron:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """1 is Sunday."""
    years: frozenset[int]

    def after(self, moment: datetime) -> Iterator[datetime]:
        start = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for ahead in range(366 * _YEARS_AHEAD):
            day = start.date() + timedelta(days=ahead)
            fits = day.day in self.days and day.isoweekday() % 7 + 1 in self.weekdays
            if not fits or day.month not in self.months or day.year not in self.years:
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    found = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    if found >= start:
                        yield found


def next_run(expression: str, after: datetime) -> datetime | None:
    """The first moment after another at which a schedule is due; None if it never is again. A rate counts from there.

    Raises:
        ValueError: the expression is none, or uses what is not known here: ``L``, ``W`` and ``#``.
    """
    rate = _rate(expression)
    return after + rate if rate else next(_cron(expression).after(after), None)


def shortest_gap(expression: str, after: datetime) -> timedelta | None:
    """How soon one run follows another at least, of the next hundred; None if there are no two.

    Raises: as :func:`next_run`.
    """
    if rate := _rate(expression):
        return rate
    runs = list(islice(_cron(expression).after(after), 100))
    return min((later - earlier for earlier, later in pairwise(runs)), default=None)


def _rate(expression: str) -> timedelta | None:
    found = _RATE.fullmatch(expression)
    if found is None:
        return None
    if not int(found[1]):
        raise ValueError(f"{expression} has no length")
    return timedelta(**{f"{found[2]}s": int(found[1])})


def _cron(expression: str) -> _Cron:
    found = _CRON.fullmatch(expression)
    fields = found[1].upper().split() if found else []
    if len(fields) != 6:
        raise ValueError(f"{expression!r} is neither rate(value unit) nor cron() with six fields")
    minutes, hours, days, months, weekdays, years = fields
    if "?" not in (days, weekdays):
        raise ValueError(f"{expression}: the day of the month or the day of the week must be ?")
    return _Cron(
        _numbers(minutes, 0, 59),
        _numbers(hours, 0, 23),
        _numbers(days, 1, 31),
        _numbers(months, 1, 12, _MONTHS),
        _numbers(weekdays, 1, 7, _DAYS),
        _numbers(years, 1970, 2199),
    )


def _numbers(field: str, lowest: int, highest: int, names: dict[str, int] | None = None) -> frozenset[int]:
    def number(text: str) -> int:
        found = (names or {}).get(text, int(text) if text.isdecimal() else -1)
        if not lowest <= found <= highest:
            raise ValueError(f"{text!r} is no value from {lowest} to {highest}")
        return found

    chosen: set[int] = set()
    for part in field.split(","):
        bounds, _, step = part.partition("/")
        if bounds in ("*", "?"):
            first, last = lowest, highest
        else:
            begin, dash, end = bounds.partition("-")
            first = number(begin)
            last = number(end) if dash else highest if step else first
        chosen.update(range(first, last + 1, int(step) if step else 1))
    return frozenset(chosen)
