"""How dates and times of a column are spelled, as strptime patterns."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?!\d)")
_DAY_NAME = re.compile(r"(\d{1,2})(\.?[-/ ]|\. |-)([^\W\d_]{3,12}\.?)([-/ ,]{1,2})(\d{4}|\d{2})(?!\d)")
_NAME_DAY = re.compile(r"([^\W\d_]{3,12}\.?)([-/ ])(\d{1,2})(,? )(\d{4})(?!\d)")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?!\d)")
_COMPACT_TIME = re.compile(r"(\d{14})|(\d{8})T(\d{6})(Z?)")
_TIME = re.compile(
    r"(,? |T)(\d{1,2}):(\d{2})(:\d{2})?(\.\d{1,9})?(?:( ?)([AaPp][Mm]))?(?:( ?)(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?"
)
ISO = "%Y-%m-%d"


@dataclass(frozen=True)
class Spelling:
    """``pattern`` is a strptime pattern; "" for what is read without one. ``zone`` is how the offset stands behind the
    time, "" without one."""

    pattern: str
    has_time: bool = False
    zone: str = ""
    names: bool = False
    """Whether months have names."""
    midnight: bool = True
    """Whether there is no time but midnight."""


def spellings(text: str) -> list[Spelling]:
    """Every way in which a text is a date or a time, most likely first."""
    found = []
    for day, pattern, rest in _days(text):
        if not rest:
            found.append(Spelling("" if pattern == ISO else pattern, names="%b" in pattern or "%B" in pattern))
        elif (clock := _TIME.fullmatch(rest)) and (time := _clock(clock)) is not None:
            found.append(_with_time(pattern, clock, time, day))
    if compact := _COMPACT_TIME.fullmatch(text):
        pattern = "%Y%m%d%H%M%S" if compact[1] else f"%Y%m%dT%H%M%S{'Z' if compact[4] else ''}"
        if _is_time(re.sub(r"\D", "", text)):
            found.append(Spelling(pattern, has_time=True, zone="Z" if compact[4] else "", midnight=False))
    return found


def _with_time(pattern: str, clock: "re.Match[str]", time: str, day: date) -> Spelling:
    joint, zone = clock[1], f"{clock[8]}%z" if clock[9] else ""
    plain = pattern == ISO and joint in " T" and clock[4] and not clock[7] and len(clock[2]) == 2
    return Spelling(
        "" if plain else f"{pattern}{joint}{time}{zone}",
        has_time=True,
        zone=clock[9] or "",
        names="%b" in pattern or "%B" in pattern,
        midnight=not int(clock[2]) and not int(clock[3]) and not int((clock[4] or ":0")[1:]) and not clock[7],
    )


def _clock(found: "re.Match[str]") -> str | None:
    """The pattern of a time; None where it is none."""
    hour, minute, second, half = int(found[2]), int(found[3]), int((found[4] or ":0")[1:]), found[7]
    if minute > 59 or second > 59 or (hour > 23 if not half else not 1 <= hour <= 12):
        return None
    seconds = (":%S" if found[4] else "") + (".%f" if found[5] else "")
    return f"{'%I' if half else '%H'}:%M{seconds}" + (f"{found[6]}%p" if half else "")


def _days(text: str) -> Iterable[tuple[date, str, str]]:
    """The day that a text begins with, the pattern of that, and the rest of the text."""
    if found := _YEAR_FIRST.match(text):
        sep = found[2]
        yield from _day(found[1], found[3], found[4], f"%Y{sep}%m{sep}%d", text[found.end() :])
    if found := _YEAR_LAST.match(text):
        sep, year = found[2], found[4]
        y = "%Y" if len(year) == 4 else "%y"
        yield from _day(year, found[3], found[1], f"%d{sep}%m{sep}{y}", text[found.end() :])
        if sep != ".":
            yield from _day(year, found[1], found[3], f"%m{sep}%d{sep}{y}", text[found.end() :])
    if found := _DAY_NAME.match(text):
        y = "%Y" if len(found[5]) == 4 else "%y"
        for name in _names(found[3]):
            pattern = f"%d{found[2]}{name}{found[4]}{y}"
            yield from _day(found[5], "1", found[1], pattern, text[found.end() :])
    if found := _NAME_DAY.match(text):
        for name in _names(found[1]):
            pattern = f"{name}{found[2]}%d{found[4]}%Y"
            yield from _day(found[5], "1", found[3], pattern, text[found.end() :])
    if found := _COMPACT.match(text):
        yield from _day(found[1], found[2], found[3], "%Y%m%d", text[found.end() :])


def _names(word: str) -> tuple[str, ...]:
    return ("%b", "%B") if len(word.rstrip(".")) <= 5 else ("%B",)


def _day(year: str, month: str, day: str, pattern: str, rest: str) -> Iterable[tuple[date, str, str]]:
    number = int(year) + (0 if len(year) == 4 else 1900 if int(year) > 68 else 2000)
    try:
        found = date(number, int(month), int(day))
    except ValueError:
        return
    if 1900 <= found.year <= 2100:
        yield found, pattern, rest


def _is_time(digits: str) -> bool:
    try:
        datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - only whether it is one
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Days:
    """``patterns`` are the formats to declare, none for what is read without. With ``either`` each of those two reads
    every text, with day and month exchanged: only the sender knows which is meant."""

    is_date: bool
    patterns: tuple[str, ...] = ()
    either: tuple[str, str] | None = None
    zoned: bool = True
    """Whether every time says its offset."""
    names: bool = False


def days(texts: Sequence[str]) -> Days | None:
    """What all texts have in common if they are dates or times, else None: spellings that each text has one of, none of
    which takes day for month in another."""
    every = [spellings(text) for text in texts]
    if not every or not all(every):
        return None
    timed = [any(each.has_time for each in found) for found in every]
    is_date = not any(timed) or (
        all(each.midnight for found in every for each in found)
        and not any(each.zone for found in every for each in found)
    )
    zoned = all(found[0].zone or not found[0].has_time for found in every) and any(timed)
    names = any(found[0].names for found in every)
    chosen: list[str] = []
    left = [{each.pattern for each in found} for found in every]
    while left:
        counted: dict[str, int] = {}
        for found in every:
            for each in found:
                counted.setdefault(each.pattern, 0)
        for patterns in left:
            for pattern in patterns:
                counted[pattern] += 1
        most = max(counted.values())
        best = [pattern for pattern, count in counted.items() if count == most]
        chosen.append(best[0])
        other = _exchanged(best[0])
        if other != best[0] and all((other in each) == (best[0] in each) for each in left):
            return Days(is_date, tuple(filter(None, chosen)), (best[0], other), zoned, names)
        if other != best[0] and other in chosen:
            return None
        left = [patterns for patterns in left if best[0] not in patterns]
        if len(chosen) > _MOST:
            return None
    return Days(is_date, tuple(filter(None, chosen)), None, zoned, names)


_MOST = 3
"""Formats of one column: more are a mixture that nobody meant."""


def _exchanged(pattern: str) -> str:
    """The pattern with day and month in each other's place."""
    return pattern.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
