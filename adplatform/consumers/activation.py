"""Which columns of a table an ad platform gets, and what keeps it from getting them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from adplatform.consumers.destinations import DESTINATIONS, Destination
from adplatform.consumers.finding import Finding
from adplatform.consumers.table import HASHED, Column, Table
from adplatform.contracts.activation import Activation, DestinationName
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.pii import PiiKind
from adplatform.failures import PermanentFailure, listed


@dataclass(frozen=True)
class Given:
    """The columns of the table that a destination gets, by what they hold, of rows whose columns of ``consent`` have
    one of these texts. A ``country`` is that of all rows."""

    destination: Destination
    columns: Mapping[PiiKind, str]
    country: str = ""
    consent: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def headers(self) -> list[str]:
        """The columns of its files."""
        return [header for kind, header in self.destination.headers.items() if self.has(kind)]

    def has(self, kind: PiiKind) -> bool:
        return kind in self.columns or (kind is PiiKind.COUNTRY and bool(self.country))


def unfit(table: Table, name: DestinationName, settings: Activation) -> list[Finding]:
    """What keeps files for a destination from being made of the table."""
    return list(_findings(table, DESTINATIONS[name], settings))


def given(table: Table, name: DestinationName, settings: Activation) -> Given:
    """What a destination gets.

    Raises:
        PermanentFailure: something keeps it from getting that.
    """
    if found := [each for each in unfit(table, name, settings) if each.level == "error"]:
        raise PermanentFailure(f"activations.{name}: {listed(map(str, found), separator='; ')}")
    destination = DESTINATIONS[name]
    columns: dict[PiiKind, str] = {}
    for kind in destination.headers:
        if chosen := _stored(table, destination, settings, kind):
            columns[kind] = chosen[0].name
    country = settings.country or ""
    if PiiKind.COUNTRY in destination.in_clear and settings.country_column:
        columns[PiiKind.COUNTRY] = settings.country_column
    elif country and PiiKind.COUNTRY in destination.in_clear:
        columns.pop(PiiKind.COUNTRY, None)
    consent = {column: tuple(map(_written, allowed)) for column, allowed in settings.consent.items()}
    return Given(destination, columns, country if PiiKind.COUNTRY in destination.in_clear else "", consent)


def _written(value: bool | int | str) -> str:
    """The value as a cast to text has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _stored(table: Table, destination: Destination, settings: Activation, kind: PiiKind) -> list[Column]:
    """The columns of that kind in the form that the destination takes."""
    forms = ("normalised",) if kind in destination.in_clear else HASHED[:1]
    return [
        column
        for column in table.columns
        if column.kind == kind
        and column.treatment == destination.treatment
        and column.form in forms
        and not column.added
        and settings.columns.get(kind, column.declared) == column.declared
    ]


def _findings(table: Table, destination: Destination, settings: Activation) -> Iterator[Finding]:
    treatment = destination.treatment
    for kind, named in settings.columns.items():
        if kind not in destination.headers:
            yield Finding("error", f"it takes no {kind}; leave it out", named, f"columns.{kind}")
        elif not _stored(table, destination, settings, kind):
            yield Finding("error", _lacks(table, named, kind, destination), named, f"columns.{kind}")
    for kind in destination.headers:
        found = _stored(table, destination, settings, kind)
        if len(found) > 1:
            names = ", ".join(column.declared for column in found)
            yield Finding("error", f"{names} are all {kind}; say under columns which one is meant", "", "columns")
    has = {kind for kind in destination.headers if _stored(table, destination, settings, kind)}
    yield from _country(table, destination, settings)
    if settings.country or settings.country_column:
        has.add(PiiKind.COUNTRY)
    if not any(each <= has for each in destination.identifiers):
        wanted = " or ".join(" with ".join(sorted(each)) for each in destination.identifiers)
        yield Finding(
            "error",
            f"no row could be matched: the table has no {wanted} with treatment {treatment}; give it to the columns "
            "that have them",
        )
    yield from _consent(table, settings)


def _lacks(table: Table, named: str, kind: PiiKind, destination: Destination) -> str:
    of_column = [column for column in table.columns if column.declared == named]
    if not of_column:
        return f"the table has no such column{did_you_mean(named, {c.declared for c in table.columns if c.kind})}"
    if {column.form for column in of_column} == {"clear"}:
        return f"it is stored in clear and is not handed over; give it treatment {destination.treatment}"
    return f"it is not stored as {kind} with treatment {destination.treatment}; add that treatment"


_VALUES: Mapping[str, tuple[type, str]] = {
    "string": (str, "texts, in quotes"),
    "boolean": (bool, "true or false"),
    "bigint": (int, "whole numbers"),
    "int": (int, "whole numbers"),
}
"""Types of columns that may say consent, by their names in contracts, and what values are written as."""


def _consent(table: Table, settings: Activation) -> Iterator[Finding]:
    if not settings.consent:
        yield Finding(
            "warning",
            "nothing says who has consented, so every row is handed over: name columns and values",
            "",
            "consent",
        )
    for name, allowed in settings.consent.items():
        column, said = table.get(name), f"consent.{name}"
        if column is None:
            near = did_you_mean(name, (each.name for each in table.columns if not each.kind))
            yield Finding("error", f"the table has no such column{near}", name, said)
        elif column.kind:
            yield Finding("error", "it is personal; consent is of a column that is not", name, said)
        elif column.type.name not in _VALUES:
            yield Finding(
                "error", f"it is {column.type.hive}; consent is a text, a boolean or a whole number", name, said
            )
        elif any(type(value) is not _VALUES[column.type.name][0] for value in allowed):
            yield Finding("error", f"it is {column.type.hive}: write {_VALUES[column.type.name][1]}", name, said)


def _country(table: Table, destination: Destination, settings: Activation) -> Iterator[Finding]:
    said = "country_column" if settings.country_column else "country"
    if not (settings.country or settings.country_column):
        return
    if PiiKind.COUNTRY not in destination.in_clear:
        yield Finding("error", "it takes no country in clear: leave it out, and hash a column of countries", "", said)
        return
    if settings.country_column:
        column = table.get(settings.country_column)
        if column is None:
            near = did_you_mean(settings.country_column, (each.name for each in table.columns))
            yield Finding("error", f"the table has no such column{near}", settings.country_column, said)
        elif column.kind:
            yield Finding("error", "it is personal; a country in clear is of a column that is not", column.name, said)
        elif column.type.name != "string":
            yield Finding("error", f"it is {column.type.hive}, and a country is two letters", column.name, said)
