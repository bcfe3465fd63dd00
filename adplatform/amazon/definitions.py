"""Report definitions: what is asked for, how the document is read, and the contract of each table it brings."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal

from adplatform.amazon.restatement import RestatementPolicy
from adplatform.contracts.column import Column
from adplatform.contracts.feed import Feed
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.undeclared_names import mark_of

STAMPS = (
    Column(name="currency_code", field="_currency", comment="Currency of the account; the report names none itself."),
    Column(name="as_of", type="timestamp", field="_as_of", required=True, comment="When these values were asked for."),
    Column(name="wave", type="int", field="_wave", comment="Age of the date, in days, for which it was asked."),
    Column(name="report_id", field="_report_id", comment="Amazon's id of the report that brought the row."),
)
"""What the platform adds to every row."""


@dataclass(frozen=True)
class Dataset:
    """One table of a report.

    ``records`` is the dotted path of its array in a JSON document, None for the document itself; in XML that of the
    elements, from the root on. ``each`` is the dotted path, in a record, of an array whose elements are the rows, ""
    where the records are. ``date_field`` holds the date of a row in its first ten characters; without one all rows
    belong to the report's only date. ``plotted`` names the metrics, as the report calls them, that the restatement
    watch follows, ``summed`` further ones of which the sums over what a report says of a date are kept. The numbers and
    dates of a ``localized`` table are spelled as in its marketplace's country.
    """

    feed: str
    columns: tuple[Column, ...]
    records: str | None = None
    date_field: str | None = None
    plotted: tuple[str, ...] = ()
    summed: tuple[str, ...] = ()
    description: str = ""
    schema_policy: Literal["freeze", "evolve"] = "freeze"
    localized: bool = False
    each: str = ""


@dataclass(frozen=True)
class ReportDefinition:
    """One report to pull, again and again. ``configuration`` is the definition's part of the request body.

    A ``snapshot`` shows what is so when it is asked for. Its date is the scope's day (or UTC's) on which Amazon took
    the order, however much later it makes the report. A table of it has every date, or where ``keep`` is ``newest``
    the newest of each scope alone. Amazon is told no range, or one that ``looks_back`` so far from now.

    ``discovered`` reports are made by Amazon on its own schedule and only found; ``restricted`` ones hold personal data
    and need a restricted data token. ``dates_in`` says whose days the report's dates are: the scope's, or UTC's.
    ``attribution_days`` is for how long after an ad interaction a conversion counts for it.
    """

    name: str
    api: Literal["ads", "selling_partner"]
    report_type: str
    layout: Literal["json", "tsv", "csv", "xml"]
    configuration: Mapping[str, Any]
    datasets: tuple[Dataset, ...]
    policy: RestatementPolicy
    attribution_days: int = 14
    discovered: bool = False
    restricted: bool = False
    dates_in: Literal["scope", "utc"] = "scope"
    keep: Literal["daily", "newest"] = "daily"
    looks_back: timedelta = timedelta(0)

    @property
    def snapshot(self) -> bool:
        return self.policy.snapshot

    @cached_property
    def definition_hash(self) -> str:
        """Changes when what is asked of Amazon changes."""
        asked: dict[str, Any] = {"type": self.report_type, "configuration": self.configuration}
        if self.takes_instants and self.dates_in == "scope":
            asked["dates_in"] = self.dates_in
        if self.snapshot:
            asked["snapshot"] = self.looks_back.total_seconds()
        return sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def takes_instants(self) -> bool:
        """Whether a range is asked for from midnight to midnight where its dates are; the time of day of a range is
        ignored for reports in JSON (SP-API, Analytics reports) but those by the hour, so the others get dates alone."""
        return self.api == "selling_partner" and (self.layout != "json" or self.policy.hours is not None)

    def dataset(self, feed: str) -> Dataset:
        return next(d for d in self.datasets if d.feed == feed)


def feed(dataset: Dataset, start_date: date, landing: str) -> Feed:
    """The feed whose files are the slices of a dataset. It has no key: Amazon may send equal rows, and all count."""
    own = {c.name for c in dataset.columns}
    return Feed(
        name=dataset.feed,
        description=dataset.description,
        start_date=start_date,
        landing=landing,
        columns=(*dataset.columns, *(c for c in STAMPS if c.name not in own)),
        format=FileFormat(kind="ndjson", compression="gzip"),
        schema_policy=dataset.schema_policy,
        duplicate_content="allow",
    )


def snake_case(name: str) -> str:
    """``campaignId`` to ``campaign_id``, ``purchases14d`` to ``purchases_14d``, ``amazon-order-id`` to
    ``amazon_order_id``, ``unitsOrderedB2B`` to ``units_ordered_b2b``; a name that begins with a digit gets a leading
    underscore."""
    text = re.sub(r"[^A-Za-z0-9]+", "_", name.replace("B2B", "B2b"))
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    text = re.sub(r"(?<=[A-Za-z])(?=[0-9]+d$)", "_", text).lower().strip("_")
    return f"_{text}" if text[:1].isdigit() else text


def with_metrics(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns with those lenient that count or measure: a number that Amazon documents as whole and sends with a
    fraction, or text in its place, takes no row out of the table. Ids, and what a row must have, are what it is about.
    """
    return tuple(c.model_copy(update={"lenient": True}) if _is_metric(c) else c for c in columns)


def _is_metric(column: Column) -> bool:
    return column.data_type.is_number and not column.required and not column.field_name.endswith("Id")


def columns_of(
    fields: Iterable[tuple[str, str]], required: Sequence[str] = (), names: Mapping[str, str] | None = None
) -> tuple[Column, ...]:
    """Columns for report fields given as (name in the report, type). ``names`` are those in the table, by default in
    snake case."""
    named = names or {}
    return tuple(
        Column(name=named.get(source) or snake_case(source), field=source, type=kind, required=source in required)
        for source, kind in fields
    )


def table_names(fields: Iterable[str]) -> dict[str, str]:
    """The names in the table of fields whose names may come to one: the first has it, and others are marked by letters
    that follow from the field alone."""
    names: dict[str, str] = {}
    for field in fields:
        name = snake_case(field)
        names[field] = f"{name}_{mark_of(field)}" if name in names.values() else name
    return names
