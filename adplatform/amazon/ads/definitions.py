"""Ready-made reports of the Ads API, and what a report of the user's own becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adplatform.amazon.ads.report_types import AdsReportType, check, column_type, report_type
from adplatform.amazon.definitions import Dataset, ReportDefinition, columns_of, with_metrics
from adplatform.amazon.restatement import ads_policy, single_day_policy

SHORT_ATTRIBUTION, LONG_ATTRIBUTION = 14, 30
_REQUIRED = ("date", "campaignId", "adGroupId")
_WITHOUT_AD_GROUPS = "SPONSORED_BRANDS"
"""Campaigns of the older kind have none."""
_PLOTTED = (
    *("impressions", "clicks", "cost", "purchases14d", "sales14d", "purchases", "sales"),
    *("orders14d", "conversionsBrandHalo", "salesBrandHalo"),
)
_OF_THE_FACT = ("spend", "unitsSoldClicks14d", "unitsSold")
"""What the daily fact takes beside."""

_TRAFFIC = ("impressions", "clicks", "cost")
_SP_SALES = tuple(f"{metric}{days}d" for metric in ("purchases", "sales", "unitsSoldClicks") for days in (1, 7, 14, 30))
_SALES = ("purchases", "purchasesClicks", "sales", "salesClicks", "unitsSold", "unitsSoldClicks")
_SB_SALES = ("purchases", "purchasesClicks", "sales", "salesClicks", "unitsSold")
_NEW = ("newToBrandPurchases", "newToBrandSales", "newToBrandUnitsSold")
_CAMPAIGN = ("campaignId", "campaignName", "campaignStatus", "campaignBudgetAmount", "campaignBudgetType")
_BUDGET = ("campaignBudgetCurrencyCode",)
_AD_GROUP = ("adGroupId", "adGroupName")
_OF_CAMPAIGN = ("campaignId", "campaignName")


@dataclass(frozen=True)
class AdsReport:
    """What is asked of the Ads API: a report type, its grouping, columns and filters."""

    report_type: str
    group_by: tuple[str, ...]
    columns: tuple[str, ...]
    description: str = ""
    filters: Mapping[str, tuple[str, ...]] | None = None


def _sp(kind: str, group: str, columns: Sequence[str], description: str, *more: str) -> AdsReport:
    return AdsReport(kind, (group, *more), ("date", *columns, *_TRAFFIC, *_SP_SALES), description)


def _sb_sd(kind: str, group: str, columns: Sequence[str], description: str) -> AdsReport:
    return AdsReport(kind, (group,), ("date", *columns, *_TRAFFIC, *_SALES), description)


READY_MADE: Mapping[str, AdsReport] = {
    "sp_campaigns": _sp("spCampaigns", "campaign", (*_CAMPAIGN, *_BUDGET), "Sponsored Products by campaign and day."),
    "sp_ad_groups": AdsReport(
        "spCampaigns",
        ("campaign", "adGroup"),
        ("date", *_OF_CAMPAIGN, "campaignStatus", *_BUDGET, *_AD_GROUP, *_TRAFFIC, *_SP_SALES),
        "Sponsored Products by campaign, ad group and day.",
    ),
    "sp_placements": AdsReport(
        "spCampaigns",
        ("campaign", "campaignPlacement"),
        ("date", *_OF_CAMPAIGN, "placementClassification", *_TRAFFIC, *_SP_SALES),
        "Sponsored Products by campaign, placement and day.",
    ),
    "sp_targeting": _sp(
        "spTargeting",
        "targeting",
        (*_OF_CAMPAIGN, *_AD_GROUP, "keywordId", "keyword", "keywordType", "matchType", "targeting", "adKeywordStatus"),
        "Sponsored Products by keyword or target and day.",
    ),
    "sp_search_terms": _sp(
        "spSearchTerm",
        "searchTerm",
        (*_OF_CAMPAIGN, *_AD_GROUP, "keywordId", "keyword", "keywordType", "matchType", "targeting", "searchTerm"),
        "Sponsored Products by search term and day; only terms with a click.",
    ),
    "sp_advertised_products": _sp(
        "spAdvertisedProduct",
        "advertiser",
        (*_OF_CAMPAIGN, *_AD_GROUP, "adId", "advertisedAsin", "advertisedSku"),
        "Sponsored Products by advertised product and day.",
    ),
    "sp_purchased_products": AdsReport(
        "spPurchasedProduct",
        ("asin",),
        (
            *("date", *_OF_CAMPAIGN, *_AD_GROUP, "keywordId", "keyword", "keywordType", "matchType"),
            *("advertisedAsin", "advertisedSku", "purchasedAsin"),
            *(f"{m}{d}d" for m in ("purchases", "sales", "unitsSoldClicks") for d in (1, 7, 14, 30)),
        ),
        "What was bought after a click on Sponsored Products, by day of the click.",
    ),
    "sb_campaigns": _sb_sd(
        "sbCampaigns", "campaign", (*_CAMPAIGN, *_BUDGET, *_NEW), "Sponsored Brands by campaign and day."
    ),
    "sb_placements": _sb_sd(
        "sbCampaignPlacement",
        "campaignPlacement",
        (*_OF_CAMPAIGN, "placementClassification"),
        "Sponsored Brands by campaign, placement and day.",
    ),
    "sb_ad_groups": _sb_sd(
        "sbAdGroup", "adGroup", (*_OF_CAMPAIGN, *_AD_GROUP), "Sponsored Brands by campaign, ad group and day."
    ),
    "sb_targeting": AdsReport(
        "sbTargeting",
        ("targeting",),
        (
            *("date", *_OF_CAMPAIGN, *_AD_GROUP, "keywordId", "keywordText", "keywordType", "matchType"),
            *("targetingId", "targetingText", *_TRAFFIC, *_SB_SALES),
        ),
        "Sponsored Brands by keyword or target and day.",
    ),
    "sb_search_terms": AdsReport(
        "sbSearchTerm",
        ("searchTerm",),
        (
            *("date", *_OF_CAMPAIGN, *_AD_GROUP, "keywordId", "keywordText", "matchType", "searchTerm"),
            *(*_TRAFFIC, *_SB_SALES),
        ),
        "Sponsored Brands by search term and day.",
    ),
    "sb_ads": _sb_sd("sbAds", "ads", (*_OF_CAMPAIGN, *_AD_GROUP, "adId"), "Sponsored Brands by ad and day."),
    "sb_purchased_products": AdsReport(
        "sbPurchasedProduct",
        ("purchasedAsin",),
        ("date", *_OF_CAMPAIGN, *_AD_GROUP, "purchasedAsin", "productName", "orders14d", "sales14d", "unitsSold14d"),
        "What was bought after a click on Sponsored Brands, by day of the click.",
    ),
    "sd_campaigns": _sb_sd(
        "sdCampaigns",
        "campaign",
        ("campaignId", "campaignName", "campaignStatus", "campaignBudgetAmount", *_BUDGET, *_NEW),
        "Sponsored Display by campaign and day.",
    ),
    "sd_ad_groups": _sb_sd(
        "sdAdGroup", "adGroup", (*_OF_CAMPAIGN, *_AD_GROUP), "Sponsored Display by campaign, ad group and day."
    ),
    "sd_targeting": _sb_sd(
        "sdTargeting",
        "targeting",
        (*_OF_CAMPAIGN, *_AD_GROUP, "targetingId", "targetingText", "targetingExpression"),
        "Sponsored Display by target and day.",
    ),
    "sd_advertised_products": _sb_sd(
        "sdAdvertisedProduct",
        "advertiser",
        (*_OF_CAMPAIGN, *_AD_GROUP, "adId", "promotedAsin", "promotedSku"),
        "Sponsored Display by advertised product and day.",
    ),
    "sd_purchased_products": AdsReport(
        "sdPurchasedProduct",
        ("asin",),
        (
            *("date", *_OF_CAMPAIGN, *_AD_GROUP, "promotedAsin", "promotedSku", "asinBrandHalo"),
            *("conversionsBrandHalo", "salesBrandHalo", "unitsSoldBrandHalo"),
        ),
        "What was bought after a click on Sponsored Display, by day of the click.",
    ),
}


def ads_definition(name: str, report: AdsReport, unchecked: Mapping[str, str] | None = None) -> ReportDefinition:
    """A definition of the Ads API, checked against its report type. ``unchecked`` maps further columns to their types.

    A report type that only knows summaries is asked for one date at a time, so that its rows have a date, too.

    Raises:
        ValueError: the report type does not take a grouping, column or filter; or rows would have no date.
    """
    kind = report_type(report.report_type)
    own = dict(unchecked or {})
    daily = "DAILY" in kind.time_units
    unit = "DAILY" if daily else "SUMMARY"
    check(kind, report.group_by, unit, [c for c in report.columns if c not in own], report.filters or {})
    if daily and "date" not in report.columns:
        raise ValueError(f"{name}: columns lack date, by which rows are placed")
    columns = tuple(dict.fromkeys((*report.columns, *own)))
    attribution = LONG_ATTRIBUTION if any(c.endswith("30d") for c in columns) else SHORT_ATTRIBUTION
    required = [c for c in _REQUIRED if c != "adGroupId" or kind.product != _WITHOUT_AD_GROUPS]
    dataset = Dataset(
        feed=name,
        columns=with_metrics(columns_of(((c, own.get(c) or column_type(c).type) for c in columns), required)),
        date_field="date",
        plotted=tuple(c for c in _PLOTTED if c in columns),
        summed=tuple(c for c in _OF_THE_FACT if c in columns),
        description=report.description or f"{report.report_type} by {', '.join(report.group_by)} and day.",
        schema_policy="evolve",
    )
    definition = ReportDefinition(
        name=name,
        api="ads",
        report_type=report.report_type,
        layout="json",
        configuration=_configuration(kind, report, columns),
        datasets=(dataset,),
        policy=ads_policy(attribution, kind.retention_days, kind.max_range_days),
        attribution_days=attribution,
    )
    return definition if daily else _one_date_at_a_time(definition)


def _one_date_at_a_time(definition: ReportDefinition) -> ReportDefinition:
    return replace(
        definition,
        configuration={**definition.configuration, "timeUnit": "SUMMARY"},
        datasets=tuple(replace(dataset, date_field=None) for dataset in definition.datasets),
        policy=single_day_policy(definition.attribution_days, definition.policy.retention_days),
    )


def _configuration(kind: AdsReportType, report: AdsReport, columns: Sequence[str]) -> dict[str, Any]:
    filters = [{"field": f, "values": list(values)} for f, values in sorted((report.filters or {}).items())]
    return {
        "adProduct": kind.product,
        "groupBy": list(report.group_by),
        "columns": list(columns),
        "reportTypeId": kind.id,
        "timeUnit": "DAILY",
        "format": "GZIP_JSON",
        **({"filters": filters} if filters else {}),
    }


def with_columns(report: AdsReport, add: Sequence[str], remove: Sequence[str]) -> AdsReport:
    """The report with columns added and removed.

    Raises:
        ValueError: a column to remove is not there.
    """
    unknown = sorted(set(remove) - set(report.columns))
    if unknown:
        raise ValueError(f"{', '.join(unknown)} cannot be removed: the report has {', '.join(report.columns)}")
    kept = (c for c in report.columns if c not in remove)
    return replace(report, columns=tuple(dict.fromkeys((*kept, *add))))
