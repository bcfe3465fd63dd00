"""How the values of columns are written: settings of one column, or of all columns of a feed that they fit."""

import re
import unicodedata
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator

from adplatform.contracts.date_formats import EPOCHS, ambiguity, date_format, fits
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.months import Language
from adplatform.contracts.strict import Names, Strict, one_or_many
from adplatform.contracts.types import DataType

Thousands = Literal[",", ".", " ", "'"]
Negative = Literal["parentheses", "trailing_minus"]
Bytes = Literal["text", "hex"]
Plain = Annotated[
    str | None,
    BeforeValidator(
        lambda v: v if v is None or isinstance(v, bool) else str(v), json_schema_input_type=str | float | None
    ),
]
"""A value as it is written plainly; YAML may have it as a number."""
_NUMBER = re.compile(r"[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,2})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Spelling(Strict):
    """How values are written, where that differs from the plain form."""

    decimal_comma: bool = False
    """Whether numbers are written with a decimal comma, as ``9,90``; a point is then no decimal mark."""
    thousands: Thousands | None = None
    """What may stand between groups of three digits, as in ``1,234``: a comma, a point (with ``decimal_comma``, or for
    whole numbers), a blank (also one that does not break) or an apostrophe. ``1,23`` is then no number."""
    percent: Literal["points", "fraction"] | None = None
    """Numbers with ``%``: ``12.5%`` is 12.5 as ``points``, where the sign may be absent, and 0.125 as ``fraction``,
    where it must be there."""
    currency: Names = ()
    """Spellings of the currency, such as ``EUR`` or ``["€", "EUR"]``, that may stand before or behind a number, with
    blanks between or without."""
    negative: Annotated[
        tuple[Negative, ...],
        BeforeValidator(one_or_many, json_schema_input_type=Negative | list[Negative]),
    ] = ()
    """How negative numbers may be written beside ``-5``: ``parentheses`` as ``(5)``, ``trailing_minus`` as ``5-``."""
    trim: bool = False
    """Whether blanks, tabs and blanks that do not break are taken away around values. What is then empty is no value,
    or with ``format.empty: text`` the empty text in columns of text."""
    special: dict[str, Plain] = Field(default_factory=dict)
    """Whole texts that stand for a value, as files write it plainly, or for none: ``{"--": null, "< 10%": "0.05"}``.
    The value is neither grouped nor scaled by other settings. Those of ``defaults`` go for a column that names
    others."""
    null_values: tuple[str, ...] = ()
    """Spellings that mean no value, beside those of ``format``."""
    formats: tuple[str, ...] = ()
    """Spellings of dates and timestamps beyond ISO 8601, as strptime patterns of %Y %y %m %b %B %d %H %I %p %M %S %f
    %z, such as ``%d.%m.%Y`` or ``%b %d, %Y %I:%M %p``. A timestamp may be ``epoch_seconds`` or ``epoch_millis``; a date
    with a time of day must have midnight."""
    bytes: Bytes = "text"
    """Of Parquet and Avro, values that are bytes: ``text`` (default) takes those that are UTF-8, and quarantines a row
    with others, as of a text in another encoding; ``hex`` reads those as hexadecimal digits, as of a column that holds
    no text."""
    months: Language = "en"
    """The language of the names that ``%b`` and ``%B`` stand for, in full or shortened, in any case, with a dot or
    without."""
    timezone: str | None = None
    """For timestamps: the IANA name of the zone of those that do not say theirs, such as ``Europe/Berlin``; UTC by
    default. A time that clocks skip is a bad value, and one that they show twice is the earlier."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError) as e:
                raise ValueError(f"timezone {name!r} is not an IANA name{_near_zone(name)}") from e
        return name

    @field_validator("currency")
    @classmethod
    def _separable(cls, spellings: tuple[str, ...]) -> tuple[str, ...]:
        for spelling in spellings:
            kinds = {unicodedata.category(character)[0] for character in spelling.replace(".", "").replace(" ", "")}
            symbols = all(c.isalpha() or c in ". " or unicodedata.category(c) == "Sc" for c in spelling)
            if not kinds or not symbols or spelling[0] in ". " or spelling.endswith(" "):
                raise ValueError(
                    f"currency {spelling!r} must be a symbol or a word, such as € or EUR, without digits, signs and "
                    "blanks around it"
                )
        return spellings

    @property
    def grouped_numbers(self) -> bool:
        """Whether numbers are written in ways that the plain form has not."""
        return bool(self.thousands or self.percent or self.currency or self.negative)

    @property
    def decimal_mark(self) -> str:
        return "," if self.decimal_comma or self.thousands == "." else "."

    def written(self) -> set[str]:
        """The settings by which values are written otherwise than plainly."""
        fields = Spelling.model_fields.items()
        return {name for name, field in fields if getattr(self, name) != field.get_default(call_default_factory=True)}

    def problem(self, data_type: DataType) -> str:
        """Why a column of a type cannot be written so; "" where it can."""
        numeric = {
            "decimal_comma": self.decimal_comma,
            "thousands": self.thousands,
            "percent": self.percent,
            "currency": self.currency,
            "negative": self.negative,
        }
        if not data_type.is_number and (given := [name for name, value in numeric.items() if value]):
            return f"{given[0]} is for numbers"
        if self.thousands == "," and self.decimal_comma:
            return "thousands and decimal_comma are both a comma; choose one"
        if self.thousands == "." and not self.decimal_comma and data_type.name in ("decimal", "double"):
            return "thousands is '.', which is also the decimal point; set decimal_comma: true, too"
        if self.percent == "fraction" and data_type.name not in ("decimal", "double"):
            return f"percent: fraction makes fractions, which {data_type.hive} cannot hold; use a decimal"
        if data_type.name not in ("date", "timestamp"):
            known = "for dates and timestamps"
            return (
                f"formats are {known}"
                if self.formats
                else f"months is {known}"
                if self.months != "en"
                else self._zone()
            )
        return self._date_problem(data_type.name)

    def _zone(self) -> str:
        return "timezone is for timestamps" if self.timezone else ""

    def _date_problem(self, type_name: str) -> str:
        for text in self.formats:
            if text in EPOCHS:
                if type_name == "date":
                    return f"format {text!r} is for timestamps"
                continue
            try:
                date_format(text, self.months)
            except ValueError as e:
                return str(e)
        if type_name == "date" and self.timezone:
            return self._zone()
        return ambiguity(self.formats, self.months, type_name)


class ColumnDefaults(Spelling):
    """How the values of all columns of a feed are written that do not say otherwise; each setting counts for columns
    of the types that it fits."""

    @field_validator("percent")
    @classmethod
    def _not_for_every_number(cls, percent: str | None) -> str | None:
        if percent == "fraction":
            raise ValueError("percent: fraction asks for % in every number; set it at the columns that have it")
        return percent

    def fitting(self, data_type: DataType) -> dict[str, object]:
        """The settings that columns of a type take."""
        numeric = ("decimal_comma", "thousands", "percent", "currency", "negative") if data_type.is_number else ()
        dated = ("months",) if data_type.name in ("date", "timestamp") else ()
        zoned = ("timezone",) if data_type.name == "timestamp" else ()
        taken: dict[str, object] = {
            name: getattr(self, name)
            for name in (*numeric, *dated, *zoned, "trim", "bytes", "null_values")
            if name in self.model_fields_set
        }
        formats = tuple(text for text in self.formats if fits(text, data_type.name))
        special = self.special_of(data_type)
        return taken | ({"formats": formats} if formats else {}) | ({"special": special} if special else {})

    def special_of(self, data_type: DataType) -> dict[str, str | None]:
        """The special texts whose values are of a type."""
        return {text: value for text, value in self.special.items() if _is_of(value, data_type)}


def _is_of(value: str | None, data_type: DataType) -> bool:
    if value is None:
        return True
    form = _NUMBER if data_type.is_number else _DAY if data_type.name == "date" else None
    return form is not None and form.fullmatch(value) is not None


def _near_zone(name: str) -> str:
    from zoneinfo import available_timezones  # noqa: PLC0415 - reads a folder of files

    return did_you_mean(name, available_timezones())
