"""The daily marketing fact across sources, as a table: traffic, cost and results by channel, account and campaign.
``adplatform.marketing.build`` makes it."""

from dataclasses import dataclass

from adplatform.contracts.column import Column
from adplatform.contracts.feed import Arrival, Feed
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.marketing import MarketingSource
from adplatform.contracts.model import Bounds
from adplatform.files.landing import layout_of
from adplatform.flow.source import FeedFlow
from adplatform.lake.zones import Zones
from adplatform.ledger.rows import digest

_LANDING = "{feed}/date={date}/{file}"


OWN_SOURCE = "base"
"""What ``fx_source`` says of amounts in the currency of the fact."""


def worth_of(amount: str, currency: str) -> str:
    """The column of what ``cost`` or ``sales`` is worth in a currency: a table whose currency is changed has another,
    so that no sum is of two."""
    return f"{amount}_{currency.lower()}"


def columns_of(currency: str) -> tuple[Column, ...]:
    """The columns of a fact whose amounts are in that currency. ``dt``, which partitions it, is the date."""
    return (
        Column(name="input", required=True, comment="The table that the row is taken from."),
        Column(name="channel"),
        Column(name="account"),
        Column(name="campaign", comment="Id of the campaign."),
        Column(name="campaign_name"),
        Column(name="impressions", type="bigint"),
        Column(name="clicks", type="bigint"),
        Column(name="cost", type="decimal(38,6)", comment=f"In {currency}, as {worth_of('cost', currency)}."),
        Column(name="conversions", type="decimal(38,6)", comment="As the source counts them."),
        Column(name="sales", type="decimal(38,6)", comment=f"In {currency}, as {worth_of('sales', currency)}."),
        Column(name="currency", comment="Currency of cost_original and sales_original."),
        Column(name="cost_original", type="decimal(38,6)", comment="In the currency of the source."),
        Column(name="sales_original", type="decimal(38,6)", comment="In the currency of the source."),
        Column(name="rate", type="decimal(38,18)", comment="As fx_rate."),
        Column(name="rate_date", type="date", comment="As fx_date."),
        Column(name=worth_of("cost", currency), type="decimal(38,6)", comment="cost_original at fx_rate."),
        Column(name=worth_of("sales", currency), type="decimal(38,6)", comment="sales_original at fx_rate."),
        Column(name="fx_rate", type="decimal(38,18)", comment=f"What one unit of currency is worth in {currency}."),
        Column(name="fx_date", type="date", comment="The date of the rate, the last one known when it was first used."),
        Column(
            name="fx_source", comment=f"The table that the rate is from; {OWN_SOURCE} where it is {currency} itself."
        ),
        Column(name="source_rows", type="bigint", required=True, comment="Rows of the input that it is the sum of."),
    )


@dataclass(frozen=True)
class Fact:
    """A declared fact and its table."""

    declared: MarketingSource
    flow: FeedFlow

    @property
    def rules(self) -> str:
        """Names how rows become rows of the fact; another name makes every date anew."""
        ruling = self.declared.model_dump_json(include={"currency", "inputs"})
        return digest(ruling, *(f"{column.name} {column.type}" for column in self.flow.feed.columns))


def fact_of(declared: MarketingSource) -> Fact:
    """The fact that YAML declares."""
    feed = Feed(
        name=declared.name,
        description=declared.description or "Impressions, clicks, cost and results by channel, account and campaign.",
        start_date=declared.start_date,
        landing=_LANDING,
        table_format=declared.table_format,
        consumers=declared.consumers,
        columns=columns_of(declared.currency),
        format=FileFormat(kind="parquet"),
        arrival=Arrival(complete_when="count", expected_files=1, accept_early=None),
        bounds=Bounds(min_rows=0, max_quarantined=0),
        fresh_within=declared.fresh_within,
    )
    flow = FeedFlow(
        declared.source,
        feed,
        layout_of(Zones.slices(declared.source), feed),
        declared.topics,
        declared.archive,
        retention=declared.retention,
        pattern=MarketingSource.pattern,
        made_of=declared.tables,
    )
    return Fact(declared, flow)
