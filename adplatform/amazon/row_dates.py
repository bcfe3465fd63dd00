"""The date of a row: how it is read, and what an error may say of one that was not."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from adplatform.amazon.definitions import Dataset
from adplatform.amazon.documents import Layout, Row
from adplatform.amazon.locales import ZONES, plain_date, plain_instant
from adplatform.amazon.row_values import member
from adplatform.contracts.date_formats import EPOCHS, date_format, read_date
from adplatform.contracts.months import LANGUAGES, month_names

_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?!\d)", re.ASCII)
_OFFSET = re.compile(r"\d(Z|[+-]\d\d:?\d\d)\s*$", re.ASCII)
_SEPARATED = r"(?:[ ./,-]|\. |, | de ){1,2}"
_NAME, _YEAR = r"(?P<name{}>[^\W\d_]{{1,12}})", r"(?:(?:19|20)\d\d)"
_CLOCK = r"(?:(?:,? |T)\d{1,2}:\d\d(?::\d\d(?:\.\d{1,9})?)?(?: ?[AaPp]\.? ?[Mm]\.?)?)?"
_TIME = _CLOCK + rf"(?: ?(?:Z|{'|'.join(ZONES)}|[+-]\d\d:?\d\d))?"
_SHAPE = re.compile(
    "(?:"
    + "|".join(
        (
            rf"{_YEAR}(?:[-./年]\d{{1,2}}[-./月]\d{{1,2}}日?|[01]\d[0-3]\d)",
            rf"\d{{1,2}}[-./]\d{{1,2}}[-./](?:{_YEAR}|\d\d)",
            rf"\d{{1,2}}{_SEPARATED}{_NAME.format(1)}{_SEPARATED}(?:{_YEAR}|\d\d)",
            rf"{_NAME.format(2)}{_SEPARATED}\d{{1,2}}{_SEPARATED}{_YEAR}",
            rf"{_YEAR}{_SEPARATED}{_NAME.format(3)}{_SEPARATED}\d{{1,2}}",
        )
    )
    + rf"){_TIME}"
)
"""What is shown of a value: all of a date as people write one, with the name of a month and no other word."""
_SHOWN = 40


@dataclass(frozen=True)
class RowDates:
    """The dates of a dataset's rows, ISO 8601. An instant with an offset counts for its date in ``zone``, without a
    zone for the date that is written.

    Beyond ISO 8601 a localized table has those of its marketplace's ``country``, and a column those of its ``formats``.
    """

    dataset: Dataset
    country: str
    zone: tzinfo | None

    def of(self, row: Row) -> str:
        """The date of a row, "" for none."""
        value = self._value(row)
        if not isinstance(value, str):
            return ""
        text = plain_instant(value, self.country) if self.dataset.localized else value
        return _day(text, self.zone) or self._by_format(value.strip())

    def found(self, row: Row, layout: Layout, days: Collection[str], *, private: bool) -> str:
        """What a row has in the place of its date, in words, and how it would be read as one of the ``days``."""
        value = self._value(row)
        if value in (None, ""):
            return "none"
        text = str(value)
        if private or len(text) > _SHOWN or not _is_date(text):
            return f"what looks like {_masked(text)!r}"
        if layout != "tsv" or self.of(row):
            return repr(text)
        if not self.dataset.localized and plain_date(text, self.country) in days:
            return f"{text!r}, which `localized: true` reads"
        return f"{text!r}, which `formats` of that column can read"

    def _value(self, row: Row) -> Any:
        return member(row, self.dataset.date_field or "")

    def _by_format(self, text: str) -> str:
        for column in (c for c in self.dataset.columns if c.field_name == self.dataset.date_field):
            for given in column.formats:
                read = read_date(given, column.months, text)
                if read is not None:
                    instant = given in EPOCHS or date_format(given, column.months).zoned
                    return (read.astimezone(self.zone) if instant and self.zone else read).date().isoformat()
        return ""


@dataclass
class Strays:
    """Rows of a document that are of none of the ``days``. Nothing of ``private`` ones is shown."""

    dates: RowDates
    layout: Layout
    days: Collection[str]
    private: bool
    rows: int = 0
    unread: int = 0
    _first: Row | None = None
    _first_unread: Row | None = None

    def add(self, row: Row, day: str) -> None:
        """``day`` is the date that the row has, "" for none that can be read."""
        self.rows += 1
        self._first = self._first or row
        if not day:
            self.unread += 1
            self._first_unread = self._first_unread or row

    @property
    def first(self) -> str:
        """What the first of them has in the place of its date; "" where there are none."""
        return self._found(self._first)

    @property
    def doubt(self) -> str:
        """Why people should look at them: some have no date; "" where all have."""
        if self._first_unread is None:
            return ""
        field = self.dates.dataset.date_field
        return f"the {field} of {self.unread:,} rows is no date: the first has {self._found(self._first_unread)}"

    def _found(self, row: Row | None) -> str:
        return self.dates.found(row, self.layout, self.days, private=self.private) if row is not None else ""


def _day(text: str, zone: tzinfo | None) -> str:
    """The date that a text begins with, "" for none."""
    found = _DAY.match(text)
    if found is None:
        return ""
    if zone is None or not _OFFSET.search(text):
        return found[1]
    try:
        return datetime.fromisoformat(text.strip()).astimezone(zone).date().isoformat()
    except (ValueError, OverflowError):
        return found[1]


def _is_date(text: str) -> bool:
    """Whether it is a date and nothing else, so that it is nobody's name, number or address."""
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        return False
    names = [name for name in found.groupdict().values() if name]
    return all(any(name.lower() in month_names(language) for language in LANGUAGES) for name in names)


def _masked(text: str) -> str:
    """Its letters as ``a``, its digits as ``9``."""
    shown = re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text[:_SHOWN]))
    return re.sub(r"[^a9 .,:/_-]", "?", shown)
