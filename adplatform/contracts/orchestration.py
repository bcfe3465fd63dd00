"""What a declaration says to Dagster in Dagster's own forms, checked here by its rules, so that what is valid loads.

The rules are those of Dagster 1.13: ``dagster/_core/definitions/utils.py`` of owners,
``dagster/_utils/tags.py``, ``dagster/_utils/schedules.py``, and ``FreshnessPolicy.time_window``.
"""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from adplatform.contracts.durations import PATTERN, parse_duration

_OWNER = re.compile(r"team:.+|[A-Za-z0-9_][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")
_TAG_KEY = re.compile(r"([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")
_MACROS = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_PART = re.compile(r"(?:(?P<all>[*?])|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[0-9]{1,4}))?")
_NTH = re.compile(r"[0-7]#[1-5]")
_LAST = re.compile(r"l[0-6]")
_NEVER = {("30", "2"), ("31", "2")}


def is_owner(text: str) -> bool:
    return _OWNER.fullmatch(text) is not None


def _owner(text: str) -> str:
    if not is_owner(text):
        raise ValueError(f"{text!r} is no owner: give an e-mail address, or team: and a name, such as team:crm")
    return text


def _tag_key(text: str) -> str:
    if not _TAG_KEY.fullmatch(text):
        raise ValueError(
            f"{text!r} is no name of a tag: letters, digits, _, - and ., at most 63 of them, with one / between two "
            "such parts"
        )
    return text


def _tag_value(text: str) -> str:
    if not _TAG_VALUE.fullmatch(text):
        raise ValueError(f"{text!r} is no value of a tag: letters, digits, _, - and ., at most 63 of them")
    return text


def _cron(line: str) -> str:
    if line.lower() in _MACROS:
        return line
    fields = line.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{line!r} is no cron line: give minute, hour, day of the month, month and day of the week, such as "
            "30 6 * * mon-fri"
        )
    for text, (name, least, most) in zip(fields, _FIELDS, strict=True):
        if not _is_field(text, name, least, most):
            raise ValueError(f"{line!r} is no cron line: {text!r} is no {name} ({least} to {most})")
    day, month = fields[2].lstrip("0"), fields[3].lstrip("0")
    if (day, "2" if month == "feb" else month) in _NEVER:
        raise ValueError(f"{line!r} never comes: February has no day {day}")
    return line


def _is_field(text: str, name: str, least: int, most: int) -> bool:
    if name == "day of the month" and text == "l":
        return True
    if name == "day of the week" and (_NTH.fullmatch(text) or _LAST.fullmatch(text)):
        return True
    return all(_is_part(part, name, least, most) for part in text.split(","))


def _is_part(text: str, name: str, least: int, most: int) -> bool:
    found = _PART.fullmatch(text)
    if found is None or (found["step"] and not int(found["step"])):
        return False
    if found["all"]:
        return found["all"] == "*" or name.startswith("day")
    names = _MONTHS if name == "month" else _DAYS if name == "day of the week" else ()
    ends = [end for end in (found["first"], found["last"]) if end is not None]
    return all(end in names or (end.isascii() and end.isdecimal() and least <= int(end) <= most) for end in ends)


def _fresh(within: timedelta) -> timedelta:
    if within and within < timedelta(minutes=1):
        raise ValueError("give 1m at least: Dagster looks once a minute; or null")
    return within


Owner = Annotated[str, AfterValidator(_owner)]
"""An e-mail address, or ``team:`` and a name."""
TagKey = Annotated[str, AfterValidator(_tag_key)]
TagValue = Annotated[str, AfterValidator(_tag_value)]
Cron = Annotated[str, AfterValidator(_cron)]
"""Minute, hour, day of the month, month, day of the week; or ``@daily`` and the like."""
FreshWithin = Annotated[
    timedelta,
    BeforeValidator(
        parse_duration, json_schema_input_type=Annotated[str, Field(pattern=PATTERN, examples=["90m", "36h", "3d"])]
    ),
    AfterValidator(_fresh),
]
