"""The daily fact of an Ads account, as a table: traffic, cost and attributed sales per campaign and ad group, all ad
products. ``adplatform.pull.build`` makes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adplatform.amazon.definitions import ReportDefinition
from adplatform.contracts.column import Column
from adplatform.contracts.feed import Arrival, Feed
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Bounds
from adplatform.failures import PermanentFailure
from adplatform.files.landing import layout_of
from adplatform.flow.source import FeedFlow
from adplatform.pull.account import Account

NAME = "ads_daily"
_LEVELS: tuple[tuple[str, frozenset[str]], ...] = (
    ("spCampaigns", frozenset({"campaign", "adGroup"})),
    ("sbAdGroup", frozenset({"adGroup"})),
    ("sdAdGroup", frozenset({"adGroup"})),
    ("stCampaigns", frozenset({"campaign", "adGroup"})),
    ("spCampaigns", frozenset({"campaign"})),
    ("sbCampaigns", frozenset({"campaign"})),
    ("sdCampaigns", frozenset({"campaign"})),
    ("stCampaigns", frozenset({"campaign"})),
)
"""What each ad product may be taken from, the most detailed first. Each holds every campaign with an impression."""
_ATTRIBUTED = "within 14 days of a click; except for Sponsored Products also of a view"
PROFILE = (
    Column(name="profile_name", comment="Name of the advertiser's account when this date was built."),
    Column(name="country_code", comment="Country of the profile's marketplace."),
)
COLUMNS = (
    *PROFILE,
    Column(name="ad_product", required=True, comment="SPONSORED_PRODUCTS, _BRANDS, _DISPLAY or _TELEVISION."),
    Column(name="campaign_id", type="bigint", required=True),
    Column(name="campaign_name"),
    Column(name="ad_group_id", type="bigint", comment="NULL where the product is pulled by campaign only."),
    Column(name="ad_group_name"),
    Column(name="currency_code", comment="Currency of cost and sales, the profile's."),
    Column(name="impressions", type="bigint"),
    Column(name="clicks", type="bigint"),
    Column(name="cost", type="decimal(38,6)"),
    Column(name="purchases", type="bigint", comment=f"Orders {_ATTRIBUTED}."),
    Column(name="units", type="bigint", comment=f"Units sold {_ATTRIBUTED}."),
    Column(name="sales", type="decimal(38,6)", comment=f"Sales {_ATTRIBUTED}."),
    Column(name="as_of", type="timestamp", required=True, comment="When these values were asked for."),
)
HEADERS: Mapping[str, tuple[str, ...]] = {
    "campaign_id": ("campaignId",),
    "campaign_name": ("campaignName",),
    "ad_group_id": ("adGroupId",),
    "ad_group_name": ("adGroupName",),
    "currency_code": ("_currency",),
    "impressions": ("impressions",),
    "clicks": ("clicks",),
    "cost": ("cost", "spend"),
    "purchases": ("purchases14d", "purchases"),
    "units": ("unitsSoldClicks14d", "unitsSold"),
    "sales": ("sales14d", "sales"),
    "as_of": ("_as_of",),
}
"""What each column is called in reports. Amazon attributes Sponsored Brands and Display over 14 days without saying so
in the name, and Television too; sales within another number of days are no stand-in."""
MEASURES = ("impressions", "clicks", "cost", "purchases", "units", "sales")


@dataclass(frozen=True)
class FactInput:
    """A table that an ad product is taken from. ``columns`` maps columns of the fact to its own; it may lack some.
    ``members`` maps measures of which every value is exact to what the reports call them."""

    product: str
    table: FeedFlow
    columns: Mapping[str, str]
    members: Mapping[str, str]


@dataclass(frozen=True)
class Fact:
    """The fact of an account. ``table`` is its feed for all profiles together."""

    account: Account
    inputs: tuple[FactInput, ...]
    table: FeedFlow

    def flow(self, scope: str) -> FeedFlow:
        return self.account.scoped(self.table, scope)

    def takes(self, flow: FeedFlow) -> bool:
        return any(each.table.table == flow.table for each in self.inputs)

    @property
    def tables(self) -> tuple[FeedFlow, ...]:
        """Those that it is made of."""
        return tuple(each.table for each in self.inputs)

    @property
    def lineage(self) -> Mapping[str, list[tuple[FeedFlow, str]]]:
        """Which columns of them each column is made of."""
        own = {c.name: [(i.table, i.columns[c.name]) for i in self.inputs if c.name in i.columns] for c in COLUMNS}
        return {name: found for name, found in own.items() if found}


def fact_of(account: Account) -> Fact | None:
    """The fact of an account; None when none of its reports has campaigns or ad groups of a whole ad product.

    Raises:
        PermanentFailure: a report of the account has the fact's name.
    """
    tables = account.tables() if account.api == "ads" else []
    inputs = _inputs(tables)
    if not inputs:
        return None
    if any(table.feed.name == NAME for _, table in tables):
        raise PermanentFailure(f"{account.source}: {NAME} is the name of its daily fact; call the report otherwise")
    declared = Feed(
        name=NAME,
        description="Impressions, clicks, cost and attributed sales by profile, campaign, ad group and day.",
        start_date=account.start_date,
        landing=account.landing,
        table_format=account.table_format,
        consumers=account.consumers,
        columns=COLUMNS,
        format=FileFormat(kind="parquet"),
        arrival=Arrival(complete_when="count", expected_files=1, accept_early=None),
        bounds=Bounds(min_rows=0, max_quarantined=0),
        fresh_within=account.fresh_within,
    )
    layout = layout_of(account.slices, declared.model_copy(update={"landing": account.landing.replace("{scope}", "*")}))
    return Fact(
        account,
        inputs,
        FeedFlow(
            account.source,
            declared,
            layout,
            account.topics,
            account.archive,
            retention=account.retention,
            made_of=tuple(dict.fromkeys(each.table.table for each in inputs)),
            compacted=account.layout == "compacted",
        ),
    )


def _inputs(tables: Sequence[tuple[ReportDefinition, FeedFlow]]) -> tuple[FactInput, ...]:
    """The best table of each ad product: the most detailed, and of equals the one with the most columns."""
    best: dict[str, FactInput] = {}
    for report_type, group_by in _LEVELS:
        fitting = [
            _input(definition, table)
            for definition, table in tables
            if definition.report_type == report_type and _is_whole(definition, table, group_by)
        ]
        if fitting:
            richest = max(fitting, key=lambda each: len(each.columns))
            best.setdefault(richest.product, richest)
    return tuple(best.values())


def _is_whole(definition: ReportDefinition, table: FeedFlow, group_by: frozenset[str]) -> bool:
    """Whether it has every row of the product at that level, under its ids."""
    asked = definition.configuration
    ids = {"campaignId", *({"adGroupId"} if "adGroup" in group_by else ())}
    whole_numbers = {c.field_name for c in table.feed.columns if c.type == "bigint"}
    return frozenset(asked["groupBy"]) == group_by and not asked.get("filters") and ids <= whole_numbers


def _input(definition: ReportDefinition, table: FeedFlow) -> FactInput:
    known = {c.field_name: c for c in table.feed.columns}
    columns, members = {}, {}
    for name, headers in HEADERS.items():
        found = [known[h] for h in headers if h in known]
        if found and (name not in MEASURES or found[0].data_type.is_number):
            columns[name] = found[0].name
            if name in MEASURES and found[0].data_type.name != "double":
                members[name] = found[0].field_name
    return FactInput(definition.configuration["adProduct"], table, columns, members)
