"""Formats of dates and times: strptime patterns of a short list of directives, each read in one way only."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache, cached_property
from itertools import groupby, pairwise

from adplatform.contracts.months import Language, month_names
from adplatform.failures import wrapped

YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
"""Four digits, but for 0000, a year that is in no calendar and that neither Python nor PostgreSQL has; MySQL writes it
for no date."""
EPOCHS = {"epoch_seconds": ("-?[0-9]{1,11}", 1_000_000), "epoch_millis": ("-?[0-9]{1,14}", 1_000)}
"""What is no pattern: the texts, and how many microseconds one of it has."""
DIRECTIVES = {
    "%Y": "year, four digits",
    "%y": "year, two digits: 69 to 99 are of the last century",
    "%m": "month, 1 to 12",
    "%b": "month by its name, in full or shortened",
    "%B": "month by its name, in full or shortened",
    "%d": "day, 1 to 31",
    "%H": "hour, 0 to 23",
    "%I": "hour, 1 to 12, with %p",
    "%p": "AM or PM",
    "%M": "minute, two digits",
    "%S": "second, two digits",
    "%f": "fraction of a second, 1 to 6 digits",
    "%z": "offset at the end: Z, UTC, GMT, -08, +0530 or +05:30",
}
NAMES = ("%b", "%B", "%p")
"""Directives of which the text is no number."""
_DAY = ("%Y", "%y", "%m", "%b", "%B", "%d")
_TIME = ("%H", "%I", "%p", "%M", "%S", "%f", "%z")
_ISO = {
    "date": ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"),
    "timestamp": ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f"),
}
"""Spellings that are always read, some of those in ISO 8601."""
_FREE = {
    "%Y": YEAR,
    "%y": "[0-9]{2}",
    "%m": "(?:0?[1-9]|1[0-2])",
    "%d": "(?:0?[1-9]|[12][0-9]|3[01])",
    "%H": "(?:[01]?[0-9]|2[0-3])",
    "%I": "(?:0?[1-9]|1[0-2])",
    "%p": "[aApP][mM]",
    "%M": "[0-5][0-9]",
    "%S": "[0-5][0-9]",
    "%f": "[0-9]{1,6}",
    "%z": "(?:Z|UTC|GMT|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)",
}
_MIDNIGHT = {"%H": "0?0", "%I": "12", "%p": "[aA][mM]", "%M": "00", "%S": "00", "%f": "0{1,6}"}


@dataclass(frozen=True)
class Piece:
    """A directive, or the ``text`` between two. ``fixed``: its number has all its digits, since others are beside it
    with nothing between them."""

    text: str
    directive: bool
    fixed: bool = False


@dataclass(frozen=True)
class DateFormat:
    """A format, by its pieces. ``months`` is the language of names."""

    text: str
    pieces: tuple[Piece, ...]
    months: Language

    @property
    def directives(self) -> tuple[str, ...]:
        return tuple(piece.text for piece in self.pieces if piece.directive)

    @property
    def named(self) -> bool:
        """Whether it has names: the case of letters does not count then."""
        return not {*NAMES}.isdisjoint(self.directives)

    @property
    def timed(self) -> bool:
        return not {*_TIME}.isdisjoint(self.directives)

    @property
    def zoned(self) -> bool:
        """Whether its texts say themselves how far they are from UTC."""
        return "%z" in self.directives or (self.timed and self.text.endswith("Z"))

    def pattern(self, *, midnight: bool = False, part: str = "") -> str:
        """The regular expression of its texts, in the syntax that engines share; with ``midnight`` of those without a
        time of day. ``part`` is the directive of which the text is a group."""
        return "".join(self._of(place, midnight, part) for place in range(len(self.pieces)))

    def _of(self, place: int, midnight: bool, part: str) -> str:
        piece = self.pieces[place]
        if not piece.directive:
            return "".join(map(_any_case if self.named else _literally, piece.text))
        dot = ""
        if piece.text in ("%b", "%B"):
            names = sorted(month_names(self.months), key=lambda name: (-len(name), name))
            letters = "".join(sorted({c for letter in set("".join(names)) for c in _any_case(letter) if c.isalpha()}))
            # Of a text that has the pattern, letters do.
            found = f"[{letters}]+" if part else f"(?:{'|'.join(''.join(map(_any_case, name)) for name in names)})"
            following = self.pieces[place + 1 : place + 2]
            dot = "" if following and following[0].text.startswith(".") else "[.]?"
        else:
            found = _MIDNIGHT.get(piece.text, _FREE[piece.text]) if midnight else _FREE[piece.text]
            if piece.fixed:
                found = found.replace("0?", "0").replace("[01]?", "[01]")
        return f"({found}){dot}" if part == piece.text else found + dot

    @cached_property
    def _whole(self) -> "re.Pattern[str]":
        return re.compile(self.pattern())

    def read(self, text: str) -> datetime | None:
        """What a text means, in UTC where it has no offset; None for one of another form."""
        if not self._whole.fullmatch(text):
            return None
        given = {part: _group(self, part, text) for part in self.directives}
        year = int(given.get("%Y") or ("19" if given["%y"] >= "69" else "20") + given["%y"])
        name = given.get("%b") or given.get("%B")
        month = month_names(self.months)[name.replace("İ", "i").lower()] if name else int(given["%m"])
        hour = int(given.get("%H") or given.get("%I") or 0)
        if "%p" in given:
            hour = hour % 12 + (12 if given["%p"].lower() == "pm" else 0)
        clock = (hour, int(given.get("%M", 0)), int(given.get("%S", 0)), int(f"{given.get('%f', ''):0<6}"))
        try:
            return datetime(year, month, int(given["%d"]), *clock, tzinfo=_zone(given.get("%z", "Z")))
        except ValueError:
            return None


def _group(of: DateFormat, part: str, text: str) -> str:
    found = re.fullmatch(of.pattern(part=part), text)
    return found[1] if found else ""


@cache
def date_format(text: str, months: Language = "en") -> DateFormat:
    """A format by its text.

    Raises:
        ValueError: what may not stand in it, or is missing, with what to write.
    """
    pieces = _pieces(text)
    found = DateFormat(text, pieces, months)
    if problem := _problem(found):
        raise ValueError(f"format {text!r} {problem}")
    return found


def calendar_format(text: str) -> DateFormat:
    """A format of a day, or of a year, a month or both. Numbers have all of their digits.

    Raises:
        ValueError: as :func:`date_format`.
    """
    pieces = tuple(replace(piece, fixed=piece.directive and piece.text not in NAMES) for piece in _pieces(text))
    found = DateFormat(text, pieces, "en")
    kinds = [kind for kind in (("%Y", "%y"), ("%m", "%b", "%B"), ("%d",)) for each in found.directives if each in kind]
    if not kinds or len(kinds) < len(found.directives):
        raise ValueError(f"format {text!r} needs some of {', '.join(_DAY)}, and nothing of a time of day")
    if problem := next((f"has two of {', '.join(kind)}" for kind in kinds if kinds.count(kind) > 1), ""):
        raise ValueError(f"format {text!r} {problem}")
    if problem := _unseparated(pieces):
        raise ValueError(f"format {text!r} {problem}")
    return found


def fits(text: str, type_name: str) -> bool:
    """Whether a format that stands for all columns is meant for those of a type: with a time of day for timestamps,
    without for dates."""
    timed = text in EPOCHS or not {*_TIME}.isdisjoint(re.findall("%.", text))
    return type_name == ("timestamp" if timed else "date")


@cache
def ambiguity(formats: tuple[str, ...], months: Language, type_name: str) -> str:
    """Why no text could tell which of the formats, or those that are always read, it has; "" where each could."""
    every = list(dict.fromkeys((*_ISO[type_name], *formats)))
    for at, first in enumerate(every):
        for second in (each for each in every[at + 1 :] if each not in _ISO[type_name]):
            for text in _spelled(first, months):
                one, other = (read_date(each, months, text) for each in (first, second))
                if one is not None and other is not None and one != other:
                    iso = " (ISO 8601, which is always read)" if first in _ISO[type_name] else ""
                    return (
                        f"formats {first!r}{iso} and {second!r} read {text!r} as different times; "
                        "keep the one that the files have"
                    )
    return ""


def read_date(text: str, months: Language, given: str) -> datetime | None:
    """What ``given`` means in the format ``text``, in UTC where it has no offset; None for one of another form."""
    if text in EPOCHS:
        pattern, unit = EPOCHS[text]
        begin = datetime(1970, 1, 1, tzinfo=UTC)
        return begin + timedelta(microseconds=int(given) * unit) if re.fullmatch(pattern, given) else None
    return date_format(text, months).read(given)


_PROBES = (datetime(2001, 2, 3, 4, 5, 6, 700_000, UTC), datetime(2011, 12, 10, 10, 11, 12, 130_000, UTC))


def _spelled(text: str, months: Language) -> Iterator[str]:
    """Some texts of a format: those of a few moments, with numbers of one digit and of two."""
    for probe in _PROBES:
        if text in EPOCHS:
            yield str(int(probe.timestamp() * 1_000_000) // EPOCHS[text][1])
            continue
        found = date_format(text, months)
        name = next(name for name, number in month_names(months).items() if number == probe.month)
        given = {"%b": name, "%B": name, "%p": "am", "%f": f"{probe:%f}", "%z": "Z"}
        for short in (False, True):
            yield "".join(
                piece.text
                if not piece.directive
                else given.get(piece.text) or (probe.strftime(piece.text).lstrip("0") or "0")
                if short and not piece.fixed and piece.text in ("%m", "%d", "%H", "%I")
                else given.get(piece.text) or f"{probe.strftime(piece.text):0>{4 if piece.text == '%Y' else 2}}"
                for piece in found.pieces
            )


def _zone(offset: str) -> timezone:
    if offset[0] not in "+-":
        return UTC
    digits = offset[1:].replace(":", "").ljust(4, "0")
    moved = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-moved if offset[0] == "-" else moved)


def _pieces(text: str) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for directive, parts in groupby(re.findall(r"%.?|[^%]+", text, re.DOTALL), lambda part: part.startswith("%")):
        run = list(parts)
        several = sum(part not in (*NAMES, "%z") for part in run) > 1
        pieces += (Piece(part, directive, directive and several and part not in NAMES) for part in run)
    return tuple(pieces)


def _problem(found: DateFormat) -> str:
    directives = found.directives
    for directive in directives:
        if directive not in DIRECTIVES:
            return f"has {directive}; known are " + wrapped(f"{d} ({said})" for d, said in DIRECTIVES.items())
        if directives.count(directive) > 1:
            return f"has {directive} twice"
    for needed in (("%Y", "%y"), ("%m", "%b", "%B"), ("%d",)):
        if len({*needed} & {*directives}) != 1:
            return f"needs one of {', '.join(needed)}" if len(needed) > 1 else f"needs {needed[0]}"
    for directive, above in (("%M", ("%H", "%I")), ("%S", ("%M",)), ("%f", ("%S",)), ("%z", ("%H", "%I"))):
        if directive in directives and {*above}.isdisjoint(directives):
            return f"has {directive} without {' or '.join(above)}"
    if "%H" in directives and "%I" in directives:
        return "has both %H and %I"
    if ("%I" in directives) != ("%p" in directives):
        return "has one of %I and %p: the hour of a half day needs the other"
    if "%z" in directives and not found.text.endswith("%z"):
        return "has %z before its end"
    return _unseparated(found.pieces)


def _unseparated(pieces: Sequence[Piece]) -> str:
    for before, after in pairwise(pieces):
        if before.directive and after.directive and "%f" in (before.text, after.text) and after.text != "%z":
            return "needs something between %f and what is beside it"
    if any(c.isdigit() for piece in pieces if not piece.directive for c in piece.text):
        return "has a digit that is part of no number"
    return ""


def _any_case(character: str) -> str:
    """The regular expression of a letter in either case; engines differ in what else they take for the same."""
    cases = {character.lower(), character.upper(), *("İ" if character == "i" else "")}
    return (
        f"[{''.join(sorted(cases))}]"
        if character.isalpha() and all(len(c) == 1 for c in cases)
        else _literally(character)
    )


def _literally(character: str) -> str:
    if character.isalnum() or character.isspace():
        return character
    return "\\^" if character == "^" else f"[{_BACKSLASHED.get(character, character)}]"


_BACKSLASHED = {"\\": "\\\\", "]": "\\]", "[": "\\["}
