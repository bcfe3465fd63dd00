"""The landing layout of a feed: which keys are its data, which are markers, and to which date each belongs."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from adplatform.contracts.feed import LOAD, Arrival, Feed
from adplatform.failures import PermanentFailure

UNFINISHED = (".tmp", ".part", ".filepart", ".partial", ".crdownload", ".inprogress", "_$folder$")
"""Endings that uploading clients use until a file is complete, and Hadoop's for a folder."""
HIDDEN = (".", "~", "_")

WINDOW_MARK = ".window-"
"""What follows the name of a flow in that of a copy of it, whose files are the same feed's."""
WINDOW = "{window}"
"""Where the names of such copies differ in a template that the platform has made."""

_FIELD = re.compile(r"\{date(?::([^}]+))?\}|\{file\}|\{load\}|\{window\}|\*")
_LOAD = r"(?P<load>[0-9]{9,10}\.[0-9]{1,9})"
"""Seconds since 1970 with a fraction, as text."""
_DATE_PARTS = {"%Y": "[0-9]{4}", "%m": "[0-9]{2}", "%d": "[0-9]{2}", "%y": "[0-9]{2}", "%j": "[0-9]{3}"}
_ISO = "%Y-%m-%d"


class Part(StrEnum):
    """What a key is to its feed."""

    DATA = "data"
    MARKER = "marker"
    NOISE = "noise"


@dataclass(frozen=True)
class Place:
    """Where a key belongs. ``reason`` says why noise is noise."""

    day: date
    part: Part
    file: str
    reason: str = ""


@dataclass(frozen=True)
class Layout:
    """A compiled ``landing`` template. ``prefix`` is its fixed beginning, for listings."""

    prefix: str
    template: str
    pattern: re.Pattern[str]
    date_format: str
    arrival: Arrival
    load_marker: re.Pattern[str] | None = None
    """What the key of a load's marker looks like, which may be that of other feeds, too."""

    def place(self, key: str, last_modified: datetime) -> Place | None:
        """None when the key is not this feed's. Without a date or load in the template the object's own UTC date
        counts."""
        if load := self.marked_load(key):
            return Place(_day_of(load), Part.MARKER, key.rsplit("/", 1)[-1])
        match = self.pattern.fullmatch(key)
        if match is None:
            return None
        groups = match.groupdict()
        if "load" in groups:
            day: date | None = _day_of(groups["load"])
        else:
            day = _parse_day(groups["date"], self.date_format) if "date" in groups else last_modified.date()
        if day is None:
            return None
        # What stands for {file} may begin in the middle of a name.
        begins = match.start("file") if "file" in groups else len(key)
        named = key[key.rfind("/", 0, begins) + 1 :]
        file = groups.get("file") or named
        part, reason = self._part(file, named)
        return Place(day, part, file, reason)

    def day_prefix(self, day: date) -> str:
        """The longest fixed prefix of that date's keys."""
        return _fixed_beginning(self.dated(day))

    def dated(self, day: date) -> str:
        """The template with that date in it."""
        return re.sub(r"\{date(?::[^}]+)?\}", lambda _: day.strftime(self.date_format), self.template)

    def key(self, day: date, file: str) -> str:
        """The key under which a file of that date is delivered.

        Raises:
            PermanentFailure: the template leaves parts of the key to the sender.
        """
        dated = self.dated(day)
        key = dated.replace("{file}", file)
        if "*" in dated or not self.pattern.fullmatch(key):
            raise PermanentFailure(
                f"landing {self.template!r} does not say where {file!r} goes; upload it with an S3 client"
            )
        return key

    def load_of(self, key: str) -> str:
        """The load of a data file; "" where the template has none."""
        match = self.pattern.fullmatch(key)
        return (match.groupdict().get("load") if match else None) or ""

    def marked_load(self, key: str) -> str:
        """The load whose marker a key is; "" of any other key."""
        match = self.load_marker.fullmatch(key) if self.load_marker else None
        return match["load"] if match else ""

    def _part(self, file: str, named: str) -> tuple[Part, str]:
        """What a ``file`` is that is ``named`` so."""
        if self._marks(file):
            return Part.MARKER, ""
        reason = noise(named)
        return (Part.NOISE, reason) if reason else (Part.DATA, "")

    def is_marker(self, key: str) -> bool:
        """Whether a key of this feed is a marker, by what stands for ``{file}``, or of a load."""
        if self.marked_load(key):
            return True
        match = self.pattern.fullmatch(key)
        return self._marks((match.groupdict().get("file") if match else None) or key)

    def _marks(self, file: str) -> bool:
        marker = {"done_file": self.arrival.done_file, "manifest": self.arrival.manifest}.get(
            self.arrival.complete_when
        )
        last = file.rsplit("/", 1)[-1]
        return marker is not None and bool(last) and fnmatchcase(last, marker)


def noise(file: str) -> str:
    """Why a path is no file that anybody means to deliver; empty when it may be one."""
    name = file.rsplit("/", 1)[-1]
    if not name:
        return "a folder, not a file"
    if name.lower().endswith(UNFINISHED):
        return f"{name!r} is the name of an unfinished file"
    hidden = next((part for part in file.split("/") if part.startswith(HIDDEN)), None)
    return f"{hidden!r} is the name of a hidden file or folder" if hidden is not None else ""


def layout_of(source_prefix: str, feed: Feed, setting: str = "landing") -> Layout:
    """Compile the feed's landing template below ``source_prefix``, which ends with "/". ``setting`` is what people call
    the template.

    Raises:
        PermanentFailure: the template is not one, or its date cannot be read back.
    """
    template = source_prefix + feed.landing.replace("{feed}", feed.name)
    pattern, date_format = _compiled(template, f"feed {feed.name}: {setting}")
    groups = [f"(?P<{name}>" for name in ("date", "file", "load")]
    dated = pattern.count(groups[0]) + pattern.count(groups[2])
    if re.search(r"[{}]", _FIELD.sub("", template)) or dated > 1 or pattern.count(groups[1]) > 1:
        raise PermanentFailure(
            f"feed {feed.name}: {setting} {feed.landing!r} may hold {{feed}}, {{date}} (or {{date:%Y%m%d}}) or {LOAD}, "
            "{file} and *; date, load and file once"
        )
    marker = _marker_of(source_prefix, feed)
    return Layout(
        _fixed_beginning(template), template, re.compile(pattern, re.DOTALL), date_format, feed.arrival, marker
    )


def _compiled(template: str, whose: str) -> tuple[str, str]:
    """The pattern of a template's keys, and the format of its dates."""
    pattern, date_format, position = "", _ISO, 0
    for found in _FIELD.finditer(template):
        pattern += re.escape(template[position : found.start()])
        position = found.end()
        if found[0] == "*":
            pattern += "[^/]*"
        elif found[0] == WINDOW:
            pattern += f"(?:{re.escape(WINDOW_MARK)}[^/]*)?"
        elif found[0] == "{file}":
            pattern += "(?P<file>.*)"
        elif found[0] == LOAD:
            pattern += _LOAD
        else:
            date_format = found[1] or _ISO
            pattern += f"(?P<date>{_date_pattern(date_format, whose)})"
    return pattern + re.escape(template[position:]), date_format


def _marker_of(source_prefix: str, feed: Feed) -> re.Pattern[str] | None:
    """
    Raises:
        PermanentFailure: its template holds something else than a load.
    """
    if feed.arrival.complete_when != "load_marker":
        return None
    template = feed.arrival.load_marker
    if re.search(r"[{}]", template.replace(LOAD, "")):
        raise PermanentFailure(f"feed {feed.name}: load_marker {template!r} may hold {LOAD} and *")
    return re.compile(_compiled(source_prefix + template, "")[0], re.DOTALL)


def _day_of(load: str) -> date:
    return datetime.fromtimestamp(int(load.partition(".")[0]), UTC).date()


def _date_pattern(date_format: str, whose: str) -> str:
    used = re.findall("%.?", date_format)
    unknown = sorted({d for d in used if d not in _DATE_PARTS or used.count(d) > 1})
    if unknown:
        known = ", ".join(_DATE_PARTS)
        raise PermanentFailure(
            f"{whose} date {date_format!r} holds {', '.join(unknown)}; it may hold {known}, each once"
        )
    given = set(used)
    given |= {"%Y"} if "%y" in used else set()
    given |= {"%m", "%d"} if "%j" in used else set()
    lacking = sorted({"%Y", "%m", "%d"} - given)
    if lacking:
        raise PermanentFailure(f"{whose} date {date_format!r} lacks {', '.join(lacking)}")
    pattern = re.escape(date_format)
    for directive, digits in _DATE_PARTS.items():
        pattern = pattern.replace(directive, digits)
    return pattern


def _fixed_beginning(template: str) -> str:
    return re.split(r"[{*]", template, maxsplit=1)[0]


def _parse_day(text: str, date_format: str) -> date | None:
    try:
        return datetime.strptime(text, date_format).date()  # noqa: DTZ007 - only its date is used
    except ValueError:
        return None
