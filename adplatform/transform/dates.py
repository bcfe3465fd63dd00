"""Dates and times in formats of a contract, and times of day in a time zone, as SQL that engines compute alike.

A format is a regular expression, which decides, and the ISO 8601 text that its texts are put into: the parts between
separators by their number, parts with nothing between them by their digits.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from adplatform.contracts.date_formats import EPOCHS, OFFSET, DateFormat, Piece, date_format, lowered
from adplatform.contracts.months import LOWER, month_names
from adplatform.contracts.spelling import Spelling
from adplatform.transform.rules import identifier, literal, matches

DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_OFFSET = "(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?"
_MIDNIGHT = "[T ]00:00:00([.]0{1,9})?(Z|[+]00(:?00)?)?"
_HALF_DAYS = "".join(
    f"|{hour:02}{half}={hour % 12 + 12 * (half == 'pm'):02}" for half in ("am", "pm") for hour in range(1, 13)
)
_DAY_LONG = 86_400_000_000
"""In microseconds."""
_MARK = "|"


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
        base = _base(found, text)
        yield Spelled(matches(base, found.pattern(midnight=True)), f"try_cast({_day(_parts(found, base))} as date)")


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
            yield Spelled(matches(text, pattern), f"make_timestamptz(try_cast({text} as bigint) * {unit})")
            continue
        found = date_format(each, spelling.months)
        base = _base(found, text)
        parts = _parts(found, base)
        iso = f"concat({_day(parts)}, 'T', {_clock(parts)}, {_offset(found, base)})"
        yield Spelled(matches(base, found.pattern()), f"try_cast({iso} as timestamptz)", found.zoned)


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


def _base(found: DateFormat, text: str) -> str:
    return f"translate({text}, {literal(LOWER[0])}, {literal(LOWER[1])})" if found.named else text


def _parts(found: DateFormat, base: str) -> Mapping[str, str]:
    """The text of each directive."""
    separators = found.separators
    text = f"substr({base}, 1, length({base}) - length({_offset_text(found, base)}))" if "%z" in found.text else base
    mark = separators if len(separators) == 1 else _MARK
    if len(separators) > 1:
        text = f"translate({text}, {literal(separators)}, {literal(_MARK * len(separators))})"
    parts: dict[str, str] = {}
    passed, dotted = 0, False
    total = sum(c in separators for piece in found.pieces if not piece.directive for c in piece.text)
    for directive, group in groupby(enumerate(found.pieces), lambda each: each[1].directive):
        run = [(place, piece) for place, piece in group if piece.text != "%z"]
        if not directive:
            passed += sum(c in separators for _, piece in run for c in piece.text)
            continue
        # A dot behind a name that may be there or not makes the number of parts before the next one uncertain.
        number = passed - total - 1 if dotted else passed + 1
        part = f"split_part({text}, {literal(mark)}, {number})" if separators else text
        parts.update(_of_run(found, [piece for _, piece in run], part))
        dotted = dotted or ("." in separators and any(found.has_dot(place) for place, _ in run))
    return {**parts, "month": _month(found, parts)}


def _month(found: DateFormat, parts: Mapping[str, str]) -> str:
    name = parts.get("%b") or parts.get("%B")
    if name is None:
        return _two(parts["%m"])
    numbers = "".join(f"|{each}={number:02}" for each, number in month_names(found.months).items())
    return f"substr('{numbers}', strpos('{numbers}', concat('|', {name}, '=')) + length({name}) + 2, 2)"


def _of_run(found: DateFormat, run: list[Piece], part: str) -> Iterator[tuple[str, str]]:
    names = [piece for piece in run if piece.text in ("%b", "%B", "%p")]
    numbers = [piece for piece in run if piece not in names]
    letters = "apm" if names and names[0].text == "%p" else "".join(sorted(set("".join(month_names(found.months)))))
    for place, piece in enumerate(run):
        if piece in names:
            yield piece.text, f"translate({part}, '0123456789.', '')"
        elif len(run) == 1:
            yield piece.text, part
        elif len(numbers) == 1:
            yield piece.text, f"translate({part}, {literal(letters + '.')}, '')"
        else:
            before, width = run[:place], _width(piece)
            behind = names and names[0] in before
            start = -sum(map(_width, run[place:])) if behind else 1 + sum(map(_width, before))
            yield piece.text, f"substr({part}, {start}, {width})"


def _width(piece: Piece) -> int:
    return 4 if piece.text == "%Y" else 2


def _day(parts: Mapping[str, str]) -> str:
    year = parts.get("%Y") or f"concat(case when {parts['%y']} >= '69' then '19' else '20' end, {parts['%y']})"
    return f"concat({year}, '-', {parts['month']}, '-', {_two(parts['%d'])})"


def _clock(parts: Mapping[str, str]) -> str:
    hour = _two(parts.get("%H") or parts.get("%I") or "'00'")
    if "%p" in parts:
        hour = f"substr('{_HALF_DAYS}', strpos('{_HALF_DAYS}', concat('|', {hour}, {parts['%p']}, '=')) + 6, 2)"
    fraction = f", '.', {parts['%f']}" if "%f" in parts else ""
    return f"concat({hour}, ':', {parts.get('%M', repr('00'))}, ':', {parts.get('%S', repr('00'))}{fraction})"


def _two(number: str) -> str:
    return f"lpad({number}, 2, '0')"


def _offset_text(found: DateFormat, base: str) -> str:
    offset = lowered(OFFSET) if found.named else OFFSET
    ending = literal(rf"({offset})\z")
    return f"regexp_extract({base}, {ending}, 1)"


def _offset(found: DateFormat, base: str) -> str:
    if "%z" not in found.text:
        return "'Z'"
    offset = _offset_text(found, base)
    minutes = f"case when length({offset}) = 3 then '00' else substr({offset}, -2, 2) end"
    return (
        f"case when substr({offset}, 1, 1) in ('+', '-') then concat(substr({offset}, 1, 3), ':', {minutes})"
        " else 'Z' end"
    )


def _colon_in_offset(text: str) -> str:
    """Salesforce writes ``+0000`` and PostgreSQL ``+00``, which not every engine reads."""
    return (
        f"case when substr({text}, -5, 1) in ('+', '-')"
        f" then concat(substr({text}, 1, length({text}) - 2), ':', substr({text}, -2, 2))"
        f" when substr({text}, -3, 1) in ('+', '-') then concat({text}, ':00') else {text} end"
    )
