"""What users declare of the Selling Partner API: ready-made reports with other options, and reports of their own."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from adplatform.amazon.declared import Restatement, ready_made
from adplatform.amazon.definitions import STAMPS, Dataset, ReportDefinition, feed, snake_case
from adplatform.amazon.restatement import SNAPSHOT, Period, RestatementPolicy
from adplatform.amazon.selling_partner.definitions import (
    READY_MADE,
    check_options,
    option_of_period,
    period_of,
    with_options,
)
from adplatform.contracts.column import IDENTIFIER, Column, ColumnSettings, require_one_name
from adplatform.contracts.columns import Columns
from adplatform.contracts.feed import NAME
from adplatform.contracts.strict import Strict
from adplatform.failures import wrapped

_RESERVED = {*(c.name for c in STAMPS), "marketplace_id"}
_PERSONAL = re.compile(
    r"e-?mail|phone|((buyer|customer|recipient|ship|shipping|bill|billing)[-_ ]?(to)?[-_ ]?"
    r"(name|address|city|state|county|postal|zip|company|comment))",
    re.IGNORECASE,
)
"""Names that Amazon's reports give to columns with personal data."""
_LISTED = 90
"""Days for which Amazon lists the reports that it made."""
_LONGEST_RANGE, _KEPT = 29, 60
"""Days asked for at once, and for which Amazon keeps data, where nothing is said: few report types have less. Amazon
makes flat files of 30 days at most, and where clocks go back a range is an hour longer than its days."""


def _as_reported(value: Any) -> Any:
    """A column that is named as in the report, ``purchase-date`` or ``salesByAsin.unitsOrdered``, gets a name that
    tables can have."""
    if not isinstance(value, dict):
        return value
    named: dict[Any, Any] = {}
    for reported, given in value.items():
        name, settings = _named(reported, given)
        if name in named:
            raise ValueError(f"{reported} and another column are both called {name}: name one and give its field")
        named[name] = settings
    return named


def _named(name: Any, settings: Any) -> tuple[Any, Any]:
    if not isinstance(name, str) or IDENTIFIER.fullmatch(name):
        return name, settings
    if settings is None or isinstance(settings, str):
        return snake_case(name), {"type": settings or "string", "field": name}
    if isinstance(settings, dict) and not {"field", "source"} & settings.keys():
        return snake_case(name), {**settings, "field": name}
    return name, settings


ReportColumns = Annotated[
    Columns, BeforeValidator(_as_reported, json_schema_input_type=dict[str, ColumnSettings | str | None])
]


class Table(Strict):
    """One table of a report."""

    records: str | None = None
    """For json: the dotted path of the table's array; the document itself when absent. For xml: the dotted path of its
    elements, from the root on."""
    each: str | None = None
    """For json and xml: the dotted path, in a record, of an array (or of a repeated element). Each element is then a
    row, which has the record's other members that columns name, too; a column of the element is ``<each>.<member>``.
    A table of the records themselves leaves the array out."""
    date_field: str | None = None
    """The column with the date of each row, or the last one of its period; without one every row belongs to the only
    date or period that a report is for, or to the day on which a ``snapshot`` was asked for."""
    columns: ReportColumns = Field(default_factory=tuple)
    """The columns, as a mapping of each name as the report spells it to a type or to settings."""
    plotted: tuple[str, ...] = ()
    """Columns with the numbers that the restatement watch follows."""
    description: str = ""
    """What the table holds, in a sentence; the asset and the table show it."""

    def dataset(self, name: str, schema_policy: Literal["freeze", "evolve"], *, localized: bool) -> Dataset:
        """Raises:
        ValueError: ``date_field`` or ``plotted`` name no column that can be one.
        """
        if not self.columns:
            raise ValueError(f"{name}: declare at least one column")
        dates = ("date", "timestamp", "string")
        return Dataset(
            feed=name,
            columns=self.columns,
            records=self.records,
            each=self.each or "",
            date_field=_header(name, self.columns, "date_field", self.date_field, dates) if self.date_field else None,
            plotted=tuple(
                _header(name, self.columns, "plotted", metric, ("int", "bigint", "decimal", "double"))
                for metric in self.plotted
            ),
            description=self.description,
            schema_policy=schema_policy,
            localized=localized,
        )


class NamedTable(Table):
    """One of several tables of a report."""

    name: Annotated[str, Field(pattern=NAME)]
    """The table's name: lower-case letters, digits and ``_``."""


class OwnSellingPartnerReport(Table):
    """A report of the user's own; or a ready-made one with other options, more columns, or another restatement
    policy."""

    name: Annotated[str, Field(pattern=NAME)]
    """The report's name, and the beginning of its tables' names: lower-case letters, digits and ``_``."""
    extends: str | None = None
    """The ready-made report that this one is made of; by default the one of the same name."""
    report_type: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    """Amazon's ``reportType``, for a report that is not ready-made; goes with ``format``, not with ``extends``."""
    format: Literal["json", "tsv", "xml"] | None = None
    """How the document is written."""
    options: dict[str, str] = Field(default_factory=dict)
    """Amazon's ``reportOptions``. ``{start}`` and ``{end}`` in a value are the first and the last second of the dates
    that are asked for, as ``2026-09-01T00:00:00Z``; ``{start:date}`` and ``{end:date}`` their first and last date."""
    restricted: bool = False
    """Whether Amazon gives the report only for a restricted data token, because it holds personal data; columns that
    look personal must then say what becomes of them."""
    discovered: bool = False
    """Whether Amazon makes the report on its own schedule, so that it is looked for and not asked for; it counts for
    the last date of its range."""
    snapshot: bool = False
    """Whether the report shows what is so when it is asked for (listings, inventory, fees). It is asked for once a day,
    its rows are of the day on which it was, and neither are earlier dates asked for nor that one again."""
    keep: Literal["daily", "newest"] | None = None
    """For a snapshot: whether its tables have every date (``daily``, the default) or of each marketplace the newest
    alone."""
    period: Literal["day", "week", "month", "quarter", "year"] | None = None
    """What one report is about, where its rows name no date and no option says so: the date, week (from Sunday), month,
    quarter or year that is asked for."""
    localized: bool = False
    """Whether numbers and dates are spelled as in the marketplace's country."""
    dates_in: Literal["marketplace", "utc"] = "marketplace"
    """Whose days the report's dates are: the marketplace's (default), or those of UTC."""
    schema_policy: Literal["freeze", "evolve"] = "freeze"
    """What a column that nobody declared does: ``freeze`` (default) refuses the report, ``evolve`` adds the column to
    the table as text."""
    max_range_days: int | None = Field(default=None, ge=1)
    """The most days of one request; by default 29, and 1 where a table has no ``date_field``."""
    retention_days: int | None = Field(default=None, ge=4)
    """How many days Amazon keeps the data; by default 60."""
    tables: tuple[NamedTable, ...] = ()
    """The tables, where a report has several; of a ready-made report, those to which columns are added."""
    restatement: Restatement = Restatement()
    """When its dates are asked for again, where that is to differ from the report's own policy."""

    @model_validator(mode="after")
    def _accepted(self) -> Self:
        self.definition()
        return self

    def definition(self) -> ReportDefinition:
        """Raises:
        ValueError: what is declared does not fit together.
        """
        definition = self._own() if self.report_type else self._extended()
        if self.keep and not definition.snapshot:
            raise ValueError(f"{self.name}: keep goes with snapshot: true")
        for dataset in definition.datasets:
            feed(dataset, date.min, "{feed}/dt={date}/{file}")  # a table must be a good contract
        return self.restatement.applied(definition)

    def _own(self) -> ReportDefinition:
        if self.extends:
            raise ValueError(f"{self.name}: give report_type or extends, not both")
        if self.format is None:
            raise ValueError(f"{self.name}: give the format of {self.report_type}: json, tsv or xml")
        check_options(self.name, str(self.report_type), self.options)
        tables = self._tables()
        for name, table in tables:
            self._check_columns(name, table.columns)
            if self.format == "tsv" and (table.records or table.each or len(tables) > 1):
                raise ValueError(f"{name}: a tsv report is one table, without records and each")
            if self.format == "xml" and not table.records:
                raise ValueError(f"{name}: give records, the path from the root to the elements that are rows")
        undated = [name for name, table in tables if table.date_field is None]
        self._check_dates(undated, dated=[name for name, table in tables if table.date_field])
        if self.discovered and (self.options or any(table.date_field for _, table in tables)):
            raise ValueError(f"{self.name}: a discovered report has its own range: give no options and no date_field")
        if self.restricted and self.schema_policy == "evolve":
            raise ValueError(
                f"{self.name}: a column that nobody declared may be personal, so a restricted report needs"
                f" schema_policy: freeze"
            )
        if self.restricted and not any(c.pii or c.drop for _, table in tables for c in table.columns):
            raise ValueError(
                f"{self.name}: a restricted report holds personal data: give its columns pii, or drop: true"
            )
        return ReportDefinition(
            name=self.name,
            api="selling_partner",
            report_type=str(self.report_type),
            layout=self.format,
            configuration=self.options,
            datasets=tuple(
                replace(table, description=table.description or f"{self.report_type} by day.")
                for table in (t.dataset(n, self.schema_policy, localized=self.localized) for n, t in tables)
            ),
            policy=self._policy(undated),
            discovered=self.discovered,
            restricted=self.restricted,
            dates_in="utc" if self.dates_in == "utc" else "scope",
            keep=self.keep or "daily",
        )

    def _check_dates(self, undated: list[str], dated: list[str]) -> None:
        """Whether somebody says which date the rows are of."""
        if self.snapshot:
            others = {"discovered", "period", "max_range_days", "retention_days"}
            if given := sorted(others & self.model_fields_set):
                raise ValueError(f"{self.name}: a snapshot is asked for once a day: leave {', '.join(given)} out")
            if dated:
                raise ValueError(
                    f"{dated[0]}: rows of a snapshot are of the day on which it is asked for: leave date_field out; the"
                    " column stays one"
                )
            return
        said = option_of_period(self.options)
        if self.period and (said or self.discovered):
            raise ValueError(
                f"{self.name}: leave period out: " + (f"option {said} says it" if said else "Amazon makes it by itself")
            )
        if undated and not (self.discovered or said or self.period):
            raise ValueError(
                f"{undated[0]} has no date_field, so nothing says which date its rows are of. Write `snapshot: true` if"
                " it shows what is so when it is asked for, as listings, inventory and fees do; `date_field: <column>`"
                " if its rows name their date; or `period: day` (or week, month, quarter, year) if Amazon makes it of"
                " the one date or period that is asked for"
            )

    def _tables(self) -> list[tuple[str, Table]]:
        if not self.tables:
            return [(self.name, self)]
        if beside := sorted({"records", "each", "date_field", "columns", "plotted"} & self.model_fields_set):
            raise ValueError(f"{self.name}: {', '.join(beside)} stand in each of its tables, or there are no tables")
        return [(table.name, table) for table in self.tables]

    def _check_columns(self, name: str, columns: tuple[Column, ...]) -> None:
        require_one_name(columns, "a report")
        for column in columns:
            if column.name in _RESERVED:
                raise ValueError(f"{name}: the platform adds {column.name} itself; call the column otherwise")
            if _looks_personal(column):
                raise ValueError(
                    f"{name}: column {column.field_name} looks personal: give it pii, or drop: true; where it is not,"
                    f" pii: {{kind: generic_id, treatment: clear}}"
                )

    def _policy(self, undated: list[str]) -> RestatementPolicy:
        """Data that is restated a little is the rule: the next days, and twice again in the month after."""
        if self.snapshot:
            return SNAPSHOT
        period = Period[self.period.upper()] if self.period else period_of(self.options)
        single = period is not Period.DAY or bool(undated)
        if single and (self.max_range_days or 1) > 1:
            why = f"a report is about one {period}" if period is not Period.DAY else f"{undated[0]} has no date_field"
            raise ValueError(f"{self.name}: max_range_days must be 1, as {why}")
        daily, waves = ((2, 3, 7) if self.format == "json" else (1, 2, 3, 7)), (14, 30)
        if self.discovered:
            return RestatementPolicy(daily=(1,), waves=(), retention_days=_LISTED, closes=False)
        longest = 1 if single else self.max_range_days or _LONGEST_RANGE
        return RestatementPolicy(
            daily=daily,
            waves=waves,
            max_range_days=longest,
            retention_days=self.retention_days or _KEPT + period.longest - 1,
            requests_per_day=2 if longest > 1 else len(daily) + len(waves),
            backfill_per_day=4 if longest > 1 else 10,
            closes=False,
            period=period,
        )

    def _extended(self) -> ReportDefinition:
        """A ready-made report, under its own name or another one, which its tables then bear too."""
        if self.extends is None and self.name not in READY_MADE and self.columns:
            raise ValueError(f"{self.name}: give report_type and format, or extends")
        base = ready_made(self.extends or self.name, READY_MADE)
        mine = {"name", "extends", "options", "columns", "tables", "description", "localized", "restatement", "keep"}
        if others := sorted(self.model_fields_set - mine):
            raise ValueError(f"{self.name}: {', '.join(others)} go with report_type; {base.name} has its own")
        definition = with_options(replace(base, name=self.name), self.options)
        added = self._added(base)
        return replace(
            definition,
            keep=self.keep or base.keep,
            datasets=tuple(
                replace(
                    dataset,
                    feed=dataset.feed.replace(base.name, self.name, 1),
                    columns=_with(dataset.columns, added.get(dataset.feed, ())),
                    description=self.description or dataset.description,
                    localized=self.localized or dataset.localized,
                )
                for dataset in definition.datasets
            ),
        )

    def _added(self, base: ReportDefinition) -> Mapping[str, tuple[Column, ...]]:
        """Columns that are added to each table of the base."""
        feeds = [dataset.feed for dataset in base.datasets]
        if self.columns and len(feeds) > 1:
            raise ValueError(f"{self.name}: add columns to one of its tables: {', '.join(feeds)}")
        added = {table.name: table.columns for table in self.tables} | (
            {feeds[0]: self.columns} if self.columns else {}
        )
        if unknown := sorted(added.keys() - set(feeds)):
            raise ValueError(f"{self.name}: {base.name} has no table {', '.join(unknown)}; it has {wrapped(feeds)}")
        if others := sorted({name for table in self.tables for name in table.model_fields_set - {"name", "columns"}}):
            raise ValueError(f"{self.name}: tables of {base.name} take columns, not {', '.join(others)}")
        for name, columns in added.items():
            self._check_columns(name, columns)
        return added


def _with(columns: tuple[Column, ...], added: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns of a ready-made table and those that are added. One that it drops may be declared anew."""
    anew = {column.field_name for column in added}
    return (*(c for c in columns if not (c.drop and c.field_name in anew)), *added)


def _looks_personal(column: Column) -> bool:
    """Whether its name is one of personal data, and nothing says what becomes of that."""
    said = column.pii or column.drop or column.expression or column.data_type.name != "string"
    return not said and _PERSONAL.search(column.field_name) is not None


def _header(table: str, columns: tuple[Column, ...], setting: str, name: str, kinds: tuple[str, ...]) -> str:
    """What the report calls a column that is given by either of its names."""
    column = next((c for c in columns if name in (c.field_name, c.name)), None)
    if column is None:
        raise ValueError(f"{table}: {setting} names {name}, which is no column; there are {wrapped(_names(columns))}")
    if column.data_type.name not in kinds or column.pii or column.expression:
        raise ValueError(
            f"{table}: {setting} names {name}, a column of type {column.type}; it takes {', '.join(kinds)}"
        )
    return column.field_name


def _names(columns: tuple[Column, ...]) -> Iterator[str]:
    return (column.field_name for column in columns)


def selling_partner_definition(report: str | OwnSellingPartnerReport) -> ReportDefinition:
    """The definition of a declared report.

    Raises:
        ValueError: there is no ready-made report of this name, or it needs options.
    """
    if isinstance(report, OwnSellingPartnerReport):
        return report.definition()
    return with_options(ready_made(report, READY_MADE), {})
