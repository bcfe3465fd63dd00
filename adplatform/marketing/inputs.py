"""What the tables that a fact is taken from show, as the catalog has it: which files are of which date.

Locations name what readers see: a version never changes its files, so a date is as it was when its locations are.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.marketing import FactTable, Rates
from adplatform.failures import PermanentFailure
from adplatform.lake import formats
from adplatform.lake.catalog import Partition, Table
from adplatform.lake.lake import Lake
from adplatform.lake.table import table_name
from adplatform.lake.zones import JOINT, partition_values
from adplatform.ledger.rows import digest
from adplatform.marketing.fact import Fact

_NUMBER = re.compile(r"(tinyint|smallint|int|bigint|float|double|decimal)(\(.*\))?")
"""The types of numbers in the catalog."""
_DATE = re.compile(r"date|timestamp")


@dataclass(frozen=True)
class Shown:
    """A table as readers see it. ``by_day`` has the partitions of each date of the fact; of a table without partitions
    ``whole`` is all of it. ``columns`` are those that partition it."""

    name: str
    columns: tuple[str, ...] = ()
    by_day: Mapping[date, tuple[Partition, ...]] = field(default_factory=dict)
    whole: Partition | None = None

    def of(self, first: date, last: date) -> tuple[Partition, ...]:
        """The partitions of these dates, and what has none."""
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        found = (part for day in days for part in self.by_day.get(day, ()))
        return (*found, *([self.whole] if self.whole else []))

    def values_of(self, part: Partition) -> Mapping[str, str]:
        """The value of each column that is in no file."""
        values = partition_values(part.value, len(self.columns)) if self.columns else []
        return dict(zip(self.columns, values, strict=True))


@dataclass(frozen=True)
class Inputs:
    """What all tables of a fact show at one moment."""

    fact: Fact
    tables: tuple[tuple[FactTable, Shown], ...]
    rates: Shown | None

    @property
    def days(self) -> set[date]:
        return {day for _, shown in self.tables for day in shown.by_day}

    def rates_of(self, day: date) -> tuple[Partition, ...]:
        """What may have a rate that counts on a date."""
        declared = self.fact.declared.rates
        return self.rates.of(day - declared.at_most, day) if self.rates and declared else ()

    def named(self, day: date, *, with_rates: bool = False) -> str:
        """Names all that a date is made of, and how: also the rates there are, where it lacks some. It keeps those
        that it has."""
        parts = [(shown.name, part) for _, shown in self.tables for part in shown.of(day, day)]
        rules = [self.fact.rules]
        if with_rates:
            parts += [("rates", part) for part in self.rates_of(day)]
            rules.append(self.fact.declared.model_dump_json(include={"rates"}))
        return digest(*rules, *sorted(f"{name} {part.value} {part.location}" for name, part in parts))


def look_at_inputs(lake: Lake, fact: Fact, database_prefix: str) -> Inputs:
    """What the tables show now; one that nothing was published of yet shows nothing.

    Raises:
        PermanentFailure: a table has not what is mapped, or it is personal.
    """
    tables = tuple((each, _input(lake, each, database_prefix)) for each in fact.declared.inputs)
    rates = fact.declared.rates
    return Inputs(fact, tables, _rates(lake, rates, database_prefix) if rates else None)


def _input(lake: Lake, declared: FactTable, prefix: str) -> Shown:
    named = table_name(declared.table, prefix)
    table = formats.table(lake, named)
    if table is None:
        return Shown(declared.table)
    require_columns(declared.table, table, declared.columns.values(), numbers=declared.measures.values())
    if not table.partitions:
        raise PermanentFailure(
            f"{declared.table} has no partitions, so nobody can tell which rows are of which date: partition it by dt, "
            "or by a column that is a date"
        )
    back = timedelta(days=declared.days_back)
    return _by_day(declared.table, table, formats.partitions(lake, named, table), lambda day: day - back)


def _rates(lake: Lake, declared: Rates, prefix: str) -> Shown:
    named = table_name(declared.table, prefix)
    table = formats.table(lake, named)
    if table is None:
        return Shown(declared.table)
    own = tuple(declared.columns_of_rates.values())
    rates, named_columns = own or (declared.rate,), own or (declared.currency, declared.rate)
    require_columns(declared.table, table, (declared.date, *named_columns), numbers=rates, dates=(declared.date,))
    if not table.partitions:
        return Shown(declared.table, whole=Partition("", table.location, table.parameters))
    if declared.date not in table.partitions:
        raise PermanentFailure(
            f"{declared.table} is partitioned by {table.partitions[0]}, and rates are looked for by {declared.date}: "
            "partition it by that, or not at all"
        )
    return _by_day(declared.table, table, formats.partitions(lake, named, table), lambda day: day)


def _by_day(name: str, table: Table, parts: Iterable[Partition], of: Callable[[date], date]) -> Shown:
    found: dict[date, list[Partition]] = defaultdict(list)
    for part in parts:
        value = part.value.partition(JOINT)[0]
        try:
            day = date.fromisoformat(value)
        except ValueError as e:
            raise PermanentFailure(
                f"{name}: its partition {table.partitions[0]}={value} is no date, and the fact is taken by date: "
                "partition it by dt, or by a column that is a date"
            ) from e
        found[of(day)].append(part)
    return Shown(name, table.partitions, {day: tuple(every) for day, every in found.items()})


def require_columns(
    name: str, table: Table, columns: Iterable[str], numbers: Iterable[str], dates: Iterable[str] = ()
) -> None:
    """
    Raises:
        PermanentFailure: the table lacks one of the columns, or it is personal, or one of ``numbers`` or ``dates`` is
            none.
    """
    types = dict(table.columns)
    for column in columns:
        if column not in types and column not in table.partitions:
            near = did_you_mean(column, (*types, *table.partitions))
            raise PermanentFailure(f"{name}: the table has no column {column}{near}; correct what is mapped to it")
        if column in table.personal:
            raise PermanentFailure(
                f"{name}: column {column} is personal, and a fact of campaigns has nothing of persons; map another"
            )
    for column in numbers:
        if column in types and not _NUMBER.fullmatch(types[column]):
            raise PermanentFailure(f"{name}: column {column} is {types[column]}, and what is added up is a number")
    for column in dates:
        if column in types and not _DATE.fullmatch(types[column]):
            raise PermanentFailure(f"{name}: column {column} is {types[column]}, and rates are of dates")
