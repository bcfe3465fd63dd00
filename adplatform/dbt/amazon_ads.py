"""Models of dbt that show an Ads account in the shape that the dbt package ``fivetran/amazon_ads`` reads.

Names and columns are those that version 1.2.0 of the package looks for (its macros ``get_*_columns``); it knows
Sponsored Products alone, and a 30-day window. A column that it does not find, it replaces by NULL, and a table by an
empty one. Here what it makes sums and joins of has to be there. Each model is one SELECT that DuckDB and Athena
understand alike.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adplatform.amazon.ads.metadata import ENTITIES
from adplatform.amazon.ads.report_types import column_type, report_type
from adplatform.amazon.definitions import ReportDefinition
from adplatform.described.documents import yaml_of
from adplatform.failures import PermanentFailure, listed
from adplatform.flow.source import FeedFlow
from adplatform.pull.account import Account
from adplatform.pull.fact import fact_of
from adplatform.transform.rules import literal

PRODUCT = "SPONSORED_PRODUCTS"
SCHEMA = "amazon_ads"
"""The package's name for the source that it reads, and by default of its schema."""
FOLDER = "amazon_ads"
_SYNCED = "_fivetran_synced"
_MEASURES: Mapping[str, str] = {
    "impressions": "impressions",
    "clicks": "clicks",
    "cost": "cost",
    "purchases_30_d": "purchases30d",
    "sales_30_d": "sales30d",
}
_BUDGET: Mapping[str, str] = {
    "campaign_budget_amount": "campaignBudgetAmount",
    "campaign_budget_currency_code": "campaignBudgetCurrencyCode",
    "campaign_budget_type": "campaignBudgetType",
}
_SQL_TYPES: Mapping[str, str] = {"string": "varchar", "int": "integer"}


@dataclass(frozen=True)
class ReportModel:
    """A table of reports. ``ids`` and ``more`` map its columns to those of Amazon's report: those by which rows are
    joined, and those without which it only says less. ``entities`` are what it is joined with, as the API calls them,
    and ``ready_made`` is a report that has what is needed."""

    name: str
    report_type: str
    group_by: frozenset[str]
    ready_made: str
    ids: Mapping[str, str]
    more: Mapping[str, str]
    entities: tuple[str, ...]

    @property
    def needed(self) -> Mapping[str, str]:
        return {"date": "date", **self.ids, **_MEASURES}


@dataclass(frozen=True)
class HistoryModel:
    """A table of what campaigns and the like were called and set to. ``columns`` are SQL over the columns of a
    snapshot; of those that are ``unknown`` here there is the type."""

    name: str
    entity: str
    columns: Mapping[str, str]
    unknown: Mapping[str, str] = field(default_factory=dict)
    where: str = ""


_CAMPAIGN, _GROUP, _KEYWORD = (
    {f"{name}_id": f"{member}Id"}
    for name, member in (("campaign", "campaign"), ("ad_group", "adGroup"), ("keyword", "keyword"))
)
REPORTS: tuple[ReportModel, ...] = (
    ReportModel(
        name="campaign_level_report",
        report_type="spCampaigns",
        group_by=frozenset({"campaign"}),
        ready_made="sp_campaigns",
        ids=_CAMPAIGN,
        more={
            **_BUDGET,
            "campaign_bidding_strategy": "campaignBiddingStrategy",
            "campaign_applicable_budget_rule_id": "campaignApplicableBudgetRuleId",
            "campaign_applicable_budget_rule_name": "campaignApplicableBudgetRuleName",
            "campaign_rule_based_budget_amount": "campaignRuleBasedBudgetAmount",
        },
        entities=("campaigns",),
    ),
    ReportModel(
        name="ad_group_level_report",
        report_type="spCampaigns",
        group_by=frozenset({"campaign", "adGroup"}),
        ready_made="sp_ad_groups",
        ids=_GROUP,
        more={"campaign_bidding_strategy": "campaignBiddingStrategy"},
        entities=("campaigns", "adGroups"),
    ),
    ReportModel(
        name="advertised_product_report",
        report_type="spAdvertisedProduct",
        group_by=frozenset({"advertiser"}),
        ready_made="sp_advertised_products",
        ids={**_CAMPAIGN, **_GROUP, "ad_id": "adId"},
        more={**_BUDGET, "advertised_asin": "advertisedAsin", "advertised_sku": "advertisedSku"},
        entities=("campaigns", "adGroups", "ads"),
    ),
    ReportModel(
        name="targeting_keyword_report",
        report_type="spTargeting",
        group_by=frozenset({"targeting"}),
        ready_made="sp_targeting",
        ids={**_CAMPAIGN, **_GROUP, **_KEYWORD},
        more={
            **_BUDGET,
            "ad_keyword_status": "adKeywordStatus",
            "keyword_bid": "keywordBid",
            "keyword_type": "keywordType",
            "match_type": "matchType",
            "targeting": "targeting",
        },
        entities=("campaigns", "adGroups", "targets"),
    ),
    ReportModel(
        name="search_term_ad_keyword_report",
        report_type="spSearchTerm",
        group_by=frozenset({"searchTerm"}),
        ready_made="sp_search_terms",
        ids={**_CAMPAIGN, **_GROUP, **_KEYWORD, "search_term": "searchTerm"},
        more={
            **_BUDGET,
            "ad_keyword_status": "adKeywordStatus",
            "keyword_bid": "keywordBid",
            "targeting": "targeting",
        },
        entities=("campaigns", "adGroups", "targets"),
    ),
)
_COMMON = {
    "state": "state",
    "serving_status": "delivery_status",
    "creation_date": "creation_date_time",
    "last_updated_date": "last_updated",
}
HISTORIES: tuple[HistoryModel, ...] = (
    HistoryModel(
        "campaign_history",
        "campaigns",
        {
            "id": "campaign_id",
            "name": "campaign_name",
            "profile_id": "profile_id",
            "portfolio_id": "portfolio_id",
            "start_date": "start_date",
            "end_date": "end_date",
            "targeting_type": "targeting_settings",
            "bidding_strategy": "bid_strategy",
            "budget": "budget_amount",
            "budget_type": "budget_recurrence",
            "effective_budget": "budget_rule_amount",
            **_COMMON,
        },
    ),
    HistoryModel(
        "ad_group_history",
        "adGroups",
        {
            "id": "ad_group_id",
            "name": "ad_group_name",
            "campaign_id": "campaign_id",
            "default_bid": "default_bid",
            **_COMMON,
        },
    ),
    HistoryModel(
        "product_ad_history",
        "ads",
        {
            "id": "ad_id",
            "ad_group_id": "ad_group_id",
            "asin": "case when product_id_type = 'ASIN' then product_id end",
            "sku": "case when product_id_type = 'SKU' then product_id end",
            **_COMMON,
        },
        unknown={"campaign_id": "bigint"},
    ),
    HistoryModel(
        "keyword_history",
        "targets",
        {
            "id": "target_id",
            "ad_group_id": "ad_group_id",
            "campaign_id": "campaign_id",
            "bid": "bid",
            "keyword_text": "keyword",
            "match_type": "match_type",
            "native_language_keyword": "native_language_keyword",
            "native_language_locale": "native_language_locale",
            **_COMMON,
        },
        where="target_type = 'KEYWORD' and not coalesce(negative, false)",
    ),
)
_PROFILE: Mapping[str, str] = {
    "id": "profile_id",
    "account_id": "profile_id",
    "account_name": "profile_name",
    "country_code": "country_code",
    "currency_code": "currency_code",
    "_fivetran_deleted": "false",
}
_UNKNOWN_OF_PROFILES: Mapping[str, str] = {
    "account_marketplace_string_id": "varchar",
    "account_sub_type": "varchar",
    "account_type": "varchar",
    "account_valid_payment_method": "boolean",
    "daily_budget": "bigint",
    "timezone": "varchar",
}
_SAID = (
    "have dbt build these models before the package, which does not know that it reads them",
    f"the package's table portfolio_history is not made, as Amazon exports no portfolios: set its variable "
    f"{SCHEMA}__portfolio_history_enabled to false",
    "account_id of the table profile is the profile's id: reports name no other account",
    "campaign_id of the table product_ad_history is NULL: exports of ads name their ad group alone",
)


@dataclass(frozen=True)
class Models:
    """Files by their paths, and ``said``: what they lack, in sentences."""

    files: Mapping[str, str]
    said: tuple[str, ...]


def models_of(account: Account, place_of: Callable[[str], str]) -> Models:
    """The models of an account. ``place_of`` says where a report is declared.

    Raises:
        PermanentFailure: a report lacks a column of which the package makes sums or joins, or what the package joins it
            with is not pulled; says so of every report.
    """
    tables = account.tables()
    found = [(model, _best(model, tables)) for model in REPORTS]
    pulled = [(model, *chosen) for model, chosen in found if chosen is not None]
    snapshots = {each.report_type: table for each, table in tables if each.report_type in ENTITIES}
    fact = fact_of(account)
    if fact is None or not pulled:
        wanted = listed(each.ready_made for each in REPORTS)
        raise PermanentFailure(
            f"{account.source} pulls none of the reports of Sponsored Products that fivetran/amazon_ads reads: declare "
            f"{wanted}, or those of them that you need, sp_campaigns or sp_ad_groups among them"
        )
    problems = [p for each in pulled for p in _problems(*each, snapshots, place_of)]
    if problems:
        raise PermanentFailure("nothing is written:\n" + "\n".join(problems))
    joined = {entity for model, *_ in pulled for entity in model.entities}
    selects = {model.name: _report(account, model, table) for model, _, table in pulled}
    selects |= {each.name: _history(each, snapshots) for each in HISTORIES if each.entity in joined}
    selects["profile"] = _profile(account, fact.table)
    files = {
        f"{FOLDER}/{_named(account.source, model)}.sql": _sql(model, select)
        for model, select in sorted(selects.items())
    }
    files[f"{FOLDER}/models.yml"] = _described(account.source, sorted(selects))
    lacking = [text for each in pulled for text in _lacking(*each)]
    empty = [_empty(account, model) for model, chosen in found if chosen is None]
    return Models(files, (*empty, *lacking, *_SAID))


def _named(source: str, model: str) -> str:
    """What a model is called in dbt, where names of models of all sources differ."""
    return f"{source}__{model}"


def _best(
    model: ReportModel, tables: Iterable[tuple[ReportDefinition, FeedFlow]]
) -> tuple[ReportDefinition, FeedFlow] | None:
    """The report that has every row of a table, of several the one with the most of its columns."""
    wanted = {*model.needed.values(), *model.more.values()}
    whole = [
        (definition, table)
        for definition, table in tables
        if definition.report_type == model.report_type
        and frozenset(definition.configuration["groupBy"]) == model.group_by
        and not definition.configuration.get("filters")
    ]
    return max(whole, key=lambda each: len(wanted & _members(each[1]).keys()), default=None)


def _members(table: FeedFlow) -> dict[str, str]:
    """Columns of the table, by what the report calls them."""
    return {member: column.name for column in table.feed.columns for member in column.field_names}


def _problems(
    model: ReportModel,
    definition: ReportDefinition,
    table: FeedFlow,
    snapshots: Mapping[str, FeedFlow],
    place_of: Callable[[str], str],
) -> Iterator[str]:
    """Why the package would show NULL without a word."""
    where, has = f"{place_of(definition.name)}: report {definition.name}", _members(table)
    if lacking := {column: member for column, member in model.needed.items() if member not in has}:
        yield (
            f"{where} lacks {listed(lacking.values())}, which fivetran/amazon_ads reads as {listed(lacking)} of "
            f"{model.name}: it would show NULL. Add {'it' if len(lacking) == 1 else 'them'} to the report's columns, "
            f"or {model.ready_made} to the reports of the account"
        )
    if missing := [ENTITIES[entity].report for entity in model.entities if entity not in snapshots]:
        yield (
            f"{where}: fivetran/amazon_ads joins {model.name} with what {listed(missing)} "
            f"{'has' if len(missing) == 1 else 'have'}, and names, accounts and states would be NULL. Add "
            f"{listed(missing)} to the reports of the account"
        )


def _lacking(model: ReportModel, definition: ReportDefinition, table: FeedFlow) -> Iterator[str]:
    has = _members(table)
    if lacking := [member for member in model.more.values() if member not in has]:
        columns = [column for column, member in model.more.items() if member not in has]
        yield (
            f"{model.name}: NULL is {listed(columns)}, because the report {definition.name} does not ask for "
            f"{listed(lacking)}"
        )


def _empty(account: Account, model: ReportModel) -> str:
    product = report_type(model.report_type).id
    return (
        f"{model.name} is not made, and the package shows an empty one: {account.source} pulls no report of {product} "
        f"by {' and '.join(sorted(model.group_by))} without filters, such as {model.ready_made}"
    )


def _source(table: FeedFlow) -> str:
    return f"{{{{ source({literal(table.source)}, {literal(table.feed.name)}) }}}}"


def _sql(model: str, select: str) -> str:
    return f"{{{{ config(materialized='view', alias={literal(model)}) }}}}\n\n{select}\n"


def _null(kind: str) -> str:
    return f"cast(null as {_SQL_TYPES.get(kind, kind)})"


def _select(columns: Mapping[str, str], source: str, where: str = "") -> str:
    shown = ",\n".join(f"    {sql}" if sql == name else f"    {sql} as {name}" for name, sql in columns.items())
    return f"select\n{shown}\nfrom {source}{f'{chr(10)}where {where}' if where else ''}"


def _report(account: Account, model: ReportModel, table: FeedFlow) -> str:
    has = _members(table)
    columns = {
        name: has[member] if member in has else _null(column_type(member).type)
        for name, member in {**model.needed, **model.more}.items()
    }
    return _select({**columns, account.scope_column: account.scope_column, _SYNCED: "as_of"}, _source(table))


def _history(model: HistoryModel, snapshots: Mapping[str, FeedFlow]) -> str:
    """A row for each change that Amazon dates, as the newest snapshot has it."""
    conditions = [f"ad_product = {literal(PRODUCT)}", *([model.where] if model.where else [])]
    dated = "coalesce(last_updated_date_time, cast(dt as timestamp)) as last_updated"
    source = f"(select *, {dated} from {_source(snapshots[model.entity])}) as dated"
    columns = {**model.columns, **{name: _null(kind) for name, kind in model.unknown.items()}, _SYNCED: "as_of"}
    by = (ENTITIES[model.entity].key, "last_updated")
    return _newest(source, by, "dt desc", columns, " and ".join(conditions))


def _profile(account: Account, fact: FeedFlow) -> str:
    columns = {**_PROFILE, **{name: _null(kind) for name, kind in _UNKNOWN_OF_PROFILES.items()}, _SYNCED: "as_of"}
    return _newest(_source(fact), (account.scope_column,), "dt desc, as_of desc", columns)


def _newest(source: str, by: Sequence[str], order: str, columns: Mapping[str, str], where: str = "") -> str:
    """The columns of the first row, in this order, of those that are alike in ``by``."""
    number = f"row_number() over (partition by {', '.join(by)} order by {order}) as place"
    counted = f"    select *, {number}\n    from {source}{f'{chr(10)}    where {where}' if where else ''}"
    return f"with counted as (\n{counted}\n)\n\n{_select(columns, 'counted', 'place = 1')}"


def _described(source: str, models: Sequence[str]) -> str:
    described: list[dict[str, Any]] = [
        {
            "name": _named(source, model),
            "description": f"The table {model} of {SCHEMA}, of Sponsored Products, as fivetran/amazon_ads reads it.",
        }
        for model in models
    ]
    return yaml_of({"version": 2, "models": described})
