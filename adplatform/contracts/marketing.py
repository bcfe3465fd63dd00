"""The daily marketing fact across sources, as YAML declares it: which tables it is taken from, and at which rates."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from adplatform.contracts.consumers import NO_CONSUMERS, DeclaredConsumers
from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import NAME
from adplatform.contracts.model import TableFormat
from adplatform.contracts.orchestration import FreshWithin, Owner, TagKey, TagValue
from adplatform.contracts.source import PLATFORM_TOPICS, RETENTION, Retention, Topics
from adplatform.contracts.strict import Strict

CURRENCY = "[A-Z]{3}"
"""A code of ISO 4217."""
Described = Literal["channel", "account", "campaign", "campaign_name", "currency"]
"""What says of which campaign a row is."""
Measured = Literal["impressions", "clicks", "cost", "conversions", "sales"]
"""What is added up. ``cost`` and ``sales`` are amounts of money."""
Mapped = Described | Measured

ADS_DAILY: Mapping[Mapped, str] = {
    "channel": "ad_product",
    "account": "profile_id",
    "campaign": "campaign_id",
    "campaign_name": "campaign_name",
    "currency": "currency_code",
    "impressions": "impressions",
    "clicks": "clicks",
    "cost": "cost",
    "conversions": "purchases",
    "sales": "sales",
}
"""The columns of the daily fact of an Ads account, which needs no others (``adplatform.pull.fact``)."""
ADS_TABLE = "ads_daily"
"""What the daily fact of an Ads account is called."""

_Table = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}/[a-z][a-z0-9_]{0,62}$", examples=["acme/campaign_daily"])]
_Currency = Annotated[str, Field(pattern=rf"^{CURRENCY}$", examples=["EUR"])]


class FactTable(Strict):
    """A table that the fact is taken from, partitioned by date."""

    table: _Table
    """The table, as ``source/feed``."""
    columns: Mapping[Mapped, str] = Field(default_factory=dict)
    """Which column of the table is which of the fact: ``channel``, ``account``, ``campaign``, ``campaign_name``,
    ``currency``, ``impressions``, ``clicks``, ``cost``, ``conversions``, ``sales``. The daily fact of an Ads account
    (``.../ads_daily``) needs none."""
    values: Mapping[Described, str] = Field(default_factory=dict)
    """What is the same in all rows, such as ``{channel: display, currency: EUR}``."""
    days_back: int = Field(default=0, ge=0, le=31)
    """By how many days its rows are older than the date of their partition: 1 where a partner delivers today, as a
    delivery of today, what happened yesterday."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_account(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or given.get("columns") or not isinstance(given.get("table"), str):
            return given
        if given["table"].endswith(f"/{ADS_TABLE}"):
            fixed = given.get("values") or {}
            return {**given, "columns": {name: own for name, own in ADS_DAILY.items() if name not in fixed}}
        return given

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for name in sorted(self.columns.keys() & self.values.keys()):
            raise ValueError(f"{self.table}: {name} is in columns and in values; leave one of them out")
        for name in ("channel", "campaign"):
            if name not in self.columns and name not in self.values:
                raise ValueError(f"{self.table}: say which column is the {name}, or give its value under values")
        if not self.measures:
            raise ValueError(f"{self.table}: map a measure at least: impressions, clicks, cost, conversions or sales")
        if {"cost", "sales"} & self.columns.keys() and "currency" not in {*self.columns, *self.values}:
            raise ValueError(f"{self.table}: cost and sales are of a currency: map its column, or give it under values")
        currency = self.values.get("currency", "EUR")
        if len(currency) != 3 or not currency.isascii() or not currency.isupper():
            raise ValueError(f"{self.table}: currency {currency!r} is none: three capital letters, such as EUR")
        return self

    @property
    def measures(self) -> Mapping[Measured, str]:
        """The column of each measure that is mapped."""
        named: tuple[Measured, ...] = ("impressions", "clicks", "cost", "conversions", "sales")
        return {name: self.columns[name] for name in named if name in self.columns}


class Rates(Strict):
    """A table of rates of exchange: with a row for each date and currency, or a row for each date and a column for each
    currency."""

    table: _Table
    """The table, as ``source/feed``; partitioned by date, or not at all."""
    date: str = "dt"
    """The column of the date of a rate; by default the one that partitions the table by delivery date."""
    currency: str = "currency"
    """The column of the currency (ISO 4217, three letters)."""
    rate: str = "rate"
    """The column of the rate."""
    currencies: tuple[_Currency, ...] = ()
    """Currencies whose rates stand in a column each, called by the code in small letters (``usd``), as in the files of
    the European Central Bank; in place of ``currency`` and ``rate``."""
    base: _Currency | None = None
    """The currency that the table quotes all others against; by default that of the fact. Others are converted through
    it, at rates of one date."""
    is_of: Literal["currency", "fact"] = "currency"
    """Of what the rate is the price: ``currency`` (default), what one unit of the currency is worth in the currency of
    the fact, or in ``base``; ``fact``, how many units of the currency one of the fact's, or of ``base``, is worth, as
    the European Central Bank quotes the euro."""
    at_most: Duration = timedelta(days=10)
    """For how long the last known rate counts where a date has none, as on weekends and holidays; in whole days. Older
    ones do not."""
    missing: Literal["hold", "publish"] = "hold"
    """What becomes of a date with amounts that have no rate: ``hold`` (default) keeps it from being published;
    ``publish`` shows it with NULL for what they are worth, and builds it again when a rate comes. The check
    ``rates_known`` fails either way."""

    @field_validator("at_most")
    @classmethod
    def _whole_days(cls, at_most: timedelta) -> timedelta:
        if at_most % timedelta(days=1):
            raise ValueError("give whole days, such as 7d: rates are of dates")
        return at_most

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.currencies and (named := sorted({"currency", "rate"} & self.model_fields_set)):
            raise ValueError(f"{' and '.join(named)} and currencies exclude each other: a rate has one place")
        if (self.currencies or self.base) and "is_of" not in self.model_fields_set:
            raise ValueError(
                "say what the rates are the price of: is_of: fact as the European Central Bank quotes, or currency"
            )
        return self

    @property
    def columns_of_rates(self) -> Mapping[str, str]:
        """The column of the rates of each currency that has one of its own."""
        return {code: code.lower() for code in self.currencies}


class MarketingSource(Strict):
    """A daily fact over tables of any source, as YAML declares it."""

    pattern: ClassVar[str] = "facts"
    """The way in which its data comes."""

    source: Annotated[str, Field(pattern=NAME)]
    """The source's name: lower-case letters, digits and ``_``; in asset keys, in the database and in S3 prefixes."""
    name: Annotated[str, Field(pattern=NAME)] = "marketing_daily"
    """The name of the table."""
    start_date: date
    """The first date of the fact."""
    currency: _Currency
    """The currency (ISO 4217) of ``cost`` and ``sales``."""
    inputs: list[FactTable] = Field(min_length=1)
    """The tables that it is taken from."""
    rates: Rates | None = None
    """Where rates are; needed where a table has amounts in another currency."""
    description: str = ""
    """What the table holds, in a sentence; the asset and the table show it."""
    owners: list[Owner] = Field(default_factory=list)
    """Owners of the asset: e-mail addresses, or ``team:<name>``."""
    tags: dict[TagKey, TagValue] = Field(default_factory=dict)
    """Tags of the asset."""
    check_every: int = Field(default=300, ge=1)
    """Seconds between two looks at what the tables show."""
    topics: Topics = PLATFORM_TOPICS
    """SNS topics for the source's messages; by default the platform's."""
    archive: Annotated[str, Field(pattern=r"^archive/([A-Za-z0-9._=-]+/)*$", max_length=256)] = "archive/"
    """The prefix below which files that were published are kept."""
    retention: Retention = RETENTION
    """For how long quarantined rows and archived originals are kept."""
    consumers: DeclaredConsumers = NO_CONSUMERS
    """Services that are to read the table, and what each may have of it."""
    table_format: TableFormat = "parquet"
    """How the table is kept: ``parquet`` or ``iceberg``."""
    fresh_within: FreshWithin | None = timedelta(hours=36)
    """How old the newest materialization may be; null for any age."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        names = [each.table for each in self.inputs]
        for name in sorted({each for each in names if names.count(each) > 1}):
            raise ValueError(f"{name} is listed twice under inputs")
        own = f"{self.source}/{self.name}"
        if own in names or (self.rates and self.rates.table == own):
            raise ValueError(f"{own} is the fact itself, and cannot be made of itself")
        through = self.rates and self.rates.currencies and self.rates.base not in (None, self.currency)
        if self.rates and through and self.currency not in self.rates.currencies:
            raise ValueError(
                f"add {self.currency} to currencies of rates: amounts come to it through {self.rates.base}"
            )
        for each in self.inputs:
            fixed = each.values.get("currency", self.currency)
            if self.rates is None and (fixed != self.currency or "currency" in each.columns) and _has_money(each):
                raise ValueError(
                    f"{each.table}: amounts may be in other currencies than {self.currency}; say under rates which "
                    "table has rates"
                )
        return self

    @property
    def tables(self) -> tuple[str, ...]:
        """All that it is made of, as ``source/feed``."""
        return (*(each.table for each in self.inputs), *([self.rates.table] if self.rates else []))


def _has_money(table: FactTable) -> bool:
    return bool({"cost", "sales"} & table.columns.keys())
