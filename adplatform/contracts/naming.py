"""Naming conventions: what names that people give, of campaigns for example, are made of."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from string import ascii_lowercase, ascii_uppercase
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from adplatform.contracts.column import IDENTIFIER, RESERVED, Column
from adplatform.contracts.date_formats import DateFormat, calendar_format
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.percent import WRITTEN, share
from adplatform.contracts.strict import Names, Strict
from adplatform.failures import clipped

ROWS = "rows"
SPEND = ("cost", "spend")
"""What the columns are called of what was paid, as in the daily facts."""
_CASE = str.maketrans(ascii_uppercase, ascii_lowercase)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_FIELD = re.compile(r"([a-z][a-z0-9_]{0,62})(?::([^?*]+))?([?*]?)")
_TOKEN, _TOKENS = re.compile("yyyy|yy|mm|dd"), re.compile("(?:yyyy|yy|mm|dd)+")
_DIRECTIVE = re.compile("%.")
_DIRECTIVES = {"yyyy": "%Y", "yy": "%y", "mm": "%m", "dd": "%d"}
_SHOWN = 100
"""Characters of a pattern in the description of a column, of which the catalog of Glue takes 255."""


@dataclass(frozen=True)
class Part:
    """A field of a pattern. ``date`` is the form of one that is checked as a date. ``ends`` is what others cannot hold
    where they stand last, "" of one that takes all that is left."""

    name: str
    ends: str = ""
    date: DateFormat | None = None


@dataclass(frozen=True)
class Shape:
    """What a name looks like: its ``parts``, what stands ``before`` the first and ``after`` the last, and one
    separator less than there are parts."""

    before: str
    parts: tuple[Part, ...]
    separators: tuple[str, ...]
    after: str


@cache
def shapes(pattern: str) -> tuple[Shape, ...]:
    """What names of a pattern look like: with all of the fields that may be missing first, without any last.

    Raises:
        ValueError: the pattern is none, or does not say where a field ends.
    """
    if problem := _problem(pattern):
        raise ValueError(f"pattern {pattern!r} {problem}")
    before, *rest = _PLACEHOLDER.split(pattern)
    fields, literals = [_field(text) for text in rest[::2]], rest[1::2]
    separators, after = literals[:-1], literals[-1]
    ends = [*separators, *separators[-1:]] if separators else [""]
    parts = [
        Part(name, "" if mark == "*" else end, _date(name, given))
        for (name, given, mark), end in zip(fields, ends, strict=True)
    ]
    least = sum(mark != "?" for *_, mark in fields)
    return tuple(
        Shape(before, tuple(parts[:count]), tuple(separators[: count - 1]), after)
        for count in range(len(parts), least - 1, -1)
    )


def _field(text: str) -> tuple[str, str, str]:
    """The name, format and mark of a field; "" for what it has not."""
    found = _FIELD.fullmatch(text)
    return (found[1], found[2] or "", found[3]) if found else ("", "", "")


def _date(name: str, given: str) -> DateFormat | None:
    return calendar_format(form) if (form := given or _form(name)) else None


def _form(name: str) -> str:
    """The format of a date that a field is called by; "" of other names."""
    tokens = _TOKEN.findall(name) if _TOKENS.fullmatch(name) else []
    letters = {token[0] for token in tokens}
    return "".join(_DIRECTIVES[token] for token in tokens) if len(letters) == len(tokens) else ""


def _problem(pattern: str) -> str:
    """Why a pattern cannot be used, and what to do; "" where it can."""
    before, *rest = _PLACEHOLDER.split(pattern)
    texts, literals = rest[::2], rest[1::2]
    if not texts:
        return "has no field: write names of fields in braces, as in {market}_{channel}_{yyyymm}"
    if any(brace in literal for literal in (before, *literals) for brace in "{}"):
        return "has a brace that belongs to no field; a name with braces cannot be described"
    fields = [_field(text) for text in texts]
    for text, (name, given, _) in zip(texts, fields, strict=True):
        if not name:
            return (
                f"has the field {{{text}}}: write a name of small letters, digits and _, a date as {{start:%Y%m%d}}, "
                "and at the end {name?} for one that may be missing or {name*} for all that is left"
            )
        if given:
            try:
                calendar_format(given)
            except ValueError as e:
                return f"has the field {{{text}}}, whose {e}"
    names = [name for name, *_ in fields]
    for name in names:
        if names.count(name) > 1:
            return f"has {{{name}}} twice"
    return _unclear(texts, fields, literals)


def _unclear(texts: list[str], fields: list[tuple[str, str, str]], literals: list[str]) -> str:
    for place, literal in enumerate(literals[:-1]):
        if not literal:
            return (
                f"has {{{texts[place]}}} and {{{texts[place + 1]}}} side by side, so that nothing says where the first "
                "ends: put what separates them between"
            )
        name, given, mark = fields[place]
        if mark == "*":
            return f"has {{{name}*}} before its end: it is all that is left, so put it last"
        if mark == "?" and any(each[2] != "?" for each in fields[place + 1 :]):
            return f"has {{{name}?}} before a field that is always there: put those that may be missing last"
        form = given or _form(name)
        if form and literal in _DIRECTIVE.sub(literal if literal.isdigit() else "\0", form):
            return (
                f"has {{{texts[place]}}} before {literal!r}, which its dates may hold, too; choose another of the two"
            )
    if fields[0][2] == "?":
        return f"begins with {{{texts[0]}}}: a name has its first field always"
    return ""


Share = Annotated[
    float,
    Field(ge=0, le=1),
    BeforeValidator(share, json_schema_input_type=Annotated[float, Field(ge=0, le=1)] | WRITTEN),
]


class ColumnNaming(Strict):
    """The convention by which the names in a column are made."""

    patterns: Names = Field(min_length=1)
    """What a name is made of: fields in braces and what separates them. Of several the first counts that a name
    has, with all of its fields as they may be; put older conventions behind newer ones."""
    prefix: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] | None = None
    """What names of the columns of fields begin with, before ``_``; by default the column's own."""

    @field_validator("patterns")
    @classmethod
    def _clear(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            shapes(pattern)
        return patterns

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What names look like, in the order in which one is held against them."""
        return tuple(shape for pattern in self.patterns for shape in shapes(pattern))

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.name for shape in self.shapes for part in shape.parts))


def _patterns_alone(value: Any) -> Any:
    return {"patterns": value} if isinstance(value, str | list | tuple) else value


def _may_be_convention(value: Any) -> bool:
    match value:
        case str():
            return "{" in value
        case list() | tuple():
            return any("{" in str(each) for each in value)
        case Mapping():
            return "patterns" in value
    return isinstance(value, ColumnNaming)


_Convention = Annotated[
    ColumnNaming, BeforeValidator(_patterns_alone, json_schema_input_type=ColumnNaming | str | list[str])
]


class Naming(Strict):
    """Naming conventions by the columns whose names are made so, and what the fields of all of them may be."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, _Convention] = Field(init=False)

    allowed: dict[str, Names] = Field(default_factory=dict)
    """By field the only values that it may have, as they are stored; by default any."""
    aliases: dict[str, dict[str, str]] = Field(default_factory=dict)
    """By field what is also written for a value: ``{channel: {srch: search}}``."""
    ignore_case: bool = True
    """Whether A to Z and a to z are alike in what patterns, ``allowed`` and ``aliases`` say (default); values are then
    stored as ``allowed`` or ``aliases`` spell them."""
    at_least: Share = 1.0
    """The least share that has to conform, such as ``95%``; with less the check ``naming`` warns. By default all."""
    by: str | None = None
    """What the share is of: the column with what was paid, or ``rows``; by default of a column ``cost`` or ``spend``,
    where there is one."""

    @model_validator(mode="before")
    @classmethod
    def _with_conventions(cls, given: Any) -> Any:
        for name, value in given.items() if isinstance(given, Mapping) else ():
            hint = "" if name in cls.model_fields else did_you_mean(str(name), cls.model_fields)
            if hint and not _may_be_convention(value):
                raise ValueError(f"{name!r} is no setting{hint}, and no column with a pattern of its names")
        return given

    @field_validator("allowed", "aliases", mode="before")
    @classmethod
    def _texts(cls, fields: Any) -> Any:
        for name, values in fields.items() if isinstance(fields, Mapping) else ():
            given = [*values, *values.values()] if isinstance(values, Mapping) else values
            for value in given if isinstance(given, list | tuple) else [given]:
                if not isinstance(value, str) or not value:
                    raise ValueError(
                        f"{name}: {value!r} is not text in YAML: put it in quotes (NO, ON and 1 lose their spelling)"
                    )
        return fields

    @model_validator(mode="after")
    def _of_its_fields(self) -> Self:
        if not self.columns:
            raise ValueError('name a column with the pattern of its names: campaign_name: "{market}_{channel}"')
        known = [name for each in self.columns.values() for name in each.fields]
        for setting, fields in (("allowed", self.allowed), ("aliases", self.aliases)):
            for name in fields:
                if name not in known:
                    raise ValueError(f"{setting} names field {name!r}, which no pattern has{did_you_mean(name, known)}")
                if any(shape.parts[place].date for shape, place in self._places(name)):
                    raise ValueError(f"{setting} names field {name!r}, which is a date; leave it out")
        for name, values in self.allowed.items():
            self._check_values(name, values)
        for name in self.aliases:
            self._check_aliases(name)
        return self

    def _check_values(self, name: str, values: Collection[str]) -> None:
        compared = [self.compared(value) for value in values]
        for value in values:
            if compared.count(self.compared(value)) > 1:
                raise ValueError(f"allowed: {name} has {value!r} twice, as names are compared")
            if (end := self._never(name, value)) and value not in self.aliases.get(name, {}).values():
                raise ValueError(
                    f"allowed: no name has the {name} {value!r}, since {end!r} ends that field; write in aliases what "
                    "stands for it in names"
                )

    def _check_aliases(self, name: str) -> None:
        written, allowed = self.aliases[name], self.allowed.get(name, ())
        compared = [self.compared(value) for value in written]
        for value, meant in written.items():
            if compared.count(self.compared(value)) > 1:
                raise ValueError(f"aliases: {name} has {value!r} twice, as names are compared")
            if end := self._never(name, value):
                raise ValueError(f"aliases: no name has the {name} {value!r}, since {end!r} ends that field")
            if allowed and meant not in allowed:
                raise ValueError(f"aliases: {value!r} stands for {meant!r}, which {name} may not be; add it to allowed")

    def _never(self, name: str, value: str) -> str:
        """What ends the field before it could have the value, in every pattern; "" where it can."""
        ends = [shape.separators[place : place + 1] for shape, place in self._places(name)]
        held = self.compared(value)
        return ends[0][0] if all(end and self.compared(end[0]) in held for end in ends) else ""

    def _places(self, name: str) -> list[tuple[Shape, int]]:
        """Where a field stands."""
        return [
            (shape, place)
            for convention in self.columns.values()
            for shape in convention.shapes
            for place, part in enumerate(shape.parts)
            if part.name == name
        ]

    @property
    def columns(self) -> Mapping[str, ColumnNaming]:
        """The conventions by column."""
        return self.__pydantic_extra__

    def compared(self, text: str) -> str:
        """A text as it is compared."""
        return text.translate(_CASE) if self.ignore_case else text

    def meant(self, field: str) -> Mapping[str, str]:
        """What is stored of the texts that a field may be, as they are compared; nothing where it may be any."""
        allowed = {self.compared(value): value for value in self.allowed.get(field, ())}
        return allowed | {self.compared(text): value for text, value in self.aliases.get(field, {}).items()}

    def of(self, names: Collection[str]) -> "Naming | None":
        """What a table with columns of these names has of conventions for several, None where it has none."""
        own = {name: each for name, each in self.columns.items() if name in names}
        if not own:
            return None
        settings = {name: getattr(self, name) for name in self.model_fields_set - self.columns.keys()}
        if self.by != ROWS and self.by not in names:
            settings.pop("by", None)
        return Naming.model_construct(None, **settings, **own)

    def spend(self, columns: Iterable[Column]) -> str | None:
        """The column with what was paid, None where there is none."""
        numbers = {c.name for c in columns if c.data_type.is_number and not (c.pii or c.drop)}
        wanted = SPEND if self.by in (None, ROWS) else (str(self.by), *SPEND)
        return next((name for name in wanted if name in numbers), None)

    def problem(self, columns: Iterable[Column]) -> str:
        """Why a table with these columns cannot have the conventions, and what to do; "" where it can."""
        declared = {column.name: column for column in columns}
        for name in self.columns:
            if name not in declared:
                return f"naming: column {name!r} is not declared{did_you_mean(name, declared)}"
            if problem := _no_names(declared[name]):
                return f"naming: {problem}"
        if self.by not in (None, ROWS) and self.spend(declared.values()) != self.by:
            return f"naming: by names {self.by!r}, which is no column of numbers that the table has, nor {ROWS!r}"
        owners = dict.fromkeys(declared, "a declared column")
        for each in named_columns(self):
            if each.name in owners or each.name in RESERVED or not IDENTIFIER.fullmatch(each.name):
                taken = owners.get(each.name, "no name that a column may have")
                return f"naming: {each.column}: {each.name} is {taken}: choose another prefix, or name of the field"
            owners[each.name] = f"what naming makes of {each.column}"
        return ""


def _no_names(column: Column) -> str:
    if column.data_type.name != "string":
        return f"column {column.name} is of type {column.type}: only text is made by a convention"
    if column.pii:
        return f"column {column.name} is personal data, of which no part is stored; leave its naming out"
    return f"column {column.name} is dropped, and so are its parts; leave its naming out" if column.drop else ""


@dataclass(frozen=True)
class NamedColumn:
    """A column of the table that is made of the names in ``column``: a ``field`` of them, one of those ``allowed``
    where there are any; with the field "" whether a name conforms."""

    name: str
    column: str
    field: str
    allowed: tuple[str, ...] = ()
    comment: str = ""


def named_columns(naming: Naming | None) -> Iterator[NamedColumn]:
    """The columns that conventions give a table, in order."""
    if naming is None:
        return
    for column, convention in naming.columns.items():
        for field in convention.fields:
            comment = f"{field} of {column}, by its naming convention."
            name = f"{convention.prefix or column}_{field}"
            yield NamedColumn(name, column, field, naming.allowed.get(field, ()), comment)
        pattern = clipped(convention.patterns[0], _SHOWN)
        yield NamedColumn(f"{column}_conforms", column, "", (), f"Whether {column} is named as {pattern}")
