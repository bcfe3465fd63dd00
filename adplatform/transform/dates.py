"""Dates and times in formats of a contract, and times of day in a time zone, as SQL that engines compute alike.

A format is a regular expression, which decides, and the ISO 8601 text into which the groups of it are put.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from adplatform.contracts.date_formats import EPOCHS, YEAR, DateFormat, date_format
from adplatform.contracts.months import month_names
from adplatform.contracts.spelling import Spelling
from adplatform.transform.rules import identifier, literal, matches

DAY = f"{YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_OFFSET = "(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?"
_MIDNIGHT = "[T ]00:00:00([.]0{1,9})?(Z|[+]00(:?00)?)?"
_DAY_LONG = 86_400_000_000
"""In microseconds."""
_YEAR_ONE = -62_135_596_800_000_000
"""Its begin, in microseconds since 1970."""


@dataclass(frozen=True)
class Spelled:
    """A spelling: whether a text has it, and what it is then cast to. ``zoned``: whether it says how far it is from
    UTC."""

    matches: str
    cast: str
    zoned: bool = True


def dates(spelling: Spelling, text: str) -> Iterator[Spelled]:
    yield Spelled(matches(text, DAY), f"try_cast({text} as date)")
    yield Spelled(matches(text, f"{DAY}{_MIDNIGHT}"), f"try_cast(substr({text}, 1, 10) as date)")
    for each in spelling.formats:
        found = date_format(each, spelling.months)
        yield Spelled(matches(text, found.pattern(midnight=True)), f"try_cast({day(found, text)} as date)")


def instant_pattern(fraction: str) -> str:
    """The regular expression of a timestamp in ISO 8601; ``fraction`` is that of the part of a second."""
    return f"{_clock_pattern(fraction)}{_OFFSET}"


def is_naive(text: str) -> bool:
    """Whether a timestamp in ISO 8601 does not say how far it is from UTC."""
    return re.fullmatch(_clock_pattern("[.][0-9]{1,9}"), text) is not None


def in_utc(text: str, zone: str) -> str:
    """A timestamp of a zone, in UTC; see :func:`instant` for one that clocks show twice."""
    shown, _, fraction = text.partition(".")
    moment = datetime.fromisoformat(shown).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return f"{moment.replace(tzinfo=None).isoformat()}{'.' if fraction else ''}{fraction}Z"


def _clock_pattern(fraction: str) -> str:
    return f"{DAY}[T ]{_TIME}({fraction})?"


def timestamps(spelling: Spelling, text: str, fraction: str) -> Iterator[Spelled]:
    """``fraction`` is the regular expression of the part of a second in ISO 8601."""
    if spelling.timezone:
        yield Spelled(
            matches(text, _clock_pattern(fraction)), f"try_cast(concat({text}, 'Z') as timestamptz)", zoned=False
        )
    yield Spelled(matches(text, instant_pattern(fraction)), f"try_cast({_colon_in_offset(text)} as timestamptz)")
    for each in spelling.formats:
        if each in EPOCHS:
            pattern, unit = EPOCHS[each]
            moment = f"try_cast({text} as bigint) * {unit}"
            yield Spelled(f"({matches(text, pattern)} and {moment} >= {_YEAR_ONE})", f"make_timestamptz({moment})")
            continue
        found = date_format(each, spelling.months)
        iso = f"concat({day(found, text)}, 'T', {_clock(found, text)}, {_offset(found, text)})"
        yield Spelled(matches(text, found.pattern()), f"try_cast({iso} as timestamptz)", found.zoned)


def in_zone(spelled: tuple[Spelled, ...], column: str, zone: str) -> tuple[dict[str, str], ...]:
    """Levels of SQL, each over the one before, for what is spelled without an offset: the microseconds of its clock,
    as if it were UTC, and those of the instants that it may be, by the offset of a day before and of a day after.
    :func:`instant` takes the first of the two at which clocks of the zone show it."""
    clock, before, after = (_step(column, n) for n in range(3))
    branches = " ".join(
        f"when {each.matches} then {'null' if each.zoned else f'epoch_us({each.cast})'}" for each in spelled
    )
    moved = {
        name: f"{clock} - ({_shown(f'{clock} {sign} {_DAY_LONG}', zone)} - ({clock} {sign} {_DAY_LONG}))"
        for name, sign in ((before, "-"), (after, "+"))
    }
    return {clock: f"case {branches} end"}, moved


def instant(column: str, zone: str) -> str:
    """The value of a time of day in a zone; NULL for one that its clocks skip, and where there is none."""
    clock, before, after = (_step(column, n) for n in range(3))
    branches = (f"when {_shown(at, zone)} = {clock} then make_timestamptz({at})" for at in (before, after))
    return f"case {' '.join(branches)} end"


def clock(column: str) -> str:
    return _step(column, 0)


def _step(column: str, number: int) -> str:
    return identifier(f"{column}:{('clock', 'before', 'after')[number]}")


def _shown(microseconds: str, zone: str) -> str:
    """What clocks of a zone show at an instant, in microseconds as if it were UTC."""
    return f"epoch_us(timezone({literal(zone)}, make_timestamptz({microseconds})))"


def _part(found: DateFormat, part: str, text: str) -> str:
    """The text of a directive."""
    pattern = literal(rf"(?s)\A{found.pattern(part=part)}\z")
    return f"regexp_extract({text}, {pattern}, 1)"


def day(found: DateFormat, text: str) -> str:
    """The day that a text of a format means, in ISO 8601."""
    parts = {part: _part(found, part, text) for part in found.directives}
    year = parts.get("%Y") or f"concat(case when {parts['%y']} >= '69' then '19' else '20' end, {parts['%y']})"
    month = _two(parts["%m"]) if "%m" in parts else _month(found, parts.get("%b") or parts["%B"])
    return f"concat({year}, '-', {month}, '-', {_two(parts['%d'])})"


def _month(found: DateFormat, name: str) -> str:
    dotless = f"replace({name}, 'İ', 'i')" if found.months == "tr" else name
    numbers = "".join(f" when {literal(each)} then '{number:02}'" for each, number in month_names(found.months).items())
    return f"case lower({dotless}){numbers} end"


def _clock(found: DateFormat, text: str) -> str:
    parts = {part: _part(found, part, text) for part in found.directives}
    if "%p" in parts:
        half = f"case when {parts['%p']} in ('pm', 'PM', 'pM', 'Pm') then 12 else 0 end"
        hour = f"cast(cast({parts['%I']} as int) % 12 + {half} as varchar)"
    else:
        hour = parts.get("%H", "'0'")
    minute, second = (parts.get(part, "'00'") for part in ("%M", "%S"))
    fraction = f", '.', {parts['%f']}" if "%f" in parts else ""
    return f"concat({_two(hour)}, ':', {minute}, ':', {second}{fraction})"


def _offset(found: DateFormat, text: str) -> str:
    if "%z" not in found.directives:
        return "'Z'"
    offset = _part(found, "%z", text)
    minutes = f"case when length({offset}) = 3 then '00' else substr({offset}, -2, 2) end"
    return (
        f"case when substr({offset}, 1, 1) in ('+', '-') then concat(substr({offset}, 1, 3), ':', {minutes})"
        " else 'Z' end"
    )


def _two(number: str) -> str:
    return f"lpad({number}, 2, '0')"


def _colon_in_offset(text: str) -> str:
    """Salesforce writes ``+0000`` and PostgreSQL ``+00``, which not every engine reads."""
    return (
        f"case when substr({text}, -5, 1) in ('+', '-')"
        f" then concat(substr({text}, 1, length({text}) - 2), ':', substr({text}, -2, 2))"
        f" when substr({text}, -3, 1) in ('+', '-') then concat({text}, ':00') else {text} end"
    )
