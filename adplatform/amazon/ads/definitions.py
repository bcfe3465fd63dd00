"""Ready-made reports of the Ads API, and what a report of the user's own becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adplatform.amazon.ads.report_types import AdsReportType, check, column_type, report_type
from adplatform.amazon.definitions import Dataset, ReportDefinition, columns_of, table_names, with_metrics
from adplatform.amazon.restatement import ads_policy, single_day_policy

SHORT_ATTRIBUTION, LONG_ATTRIBUTION = 14, 30
_REQUIRED = ("date", "campaignId", "adGroupId")
_WITHOUT_AD_GROUPS = "SPONSORED_BRANDS"
"""Campaigns of the older kind have none."""
_PLOTTED = (
    *("impressions", "clicks", "cost", "purchases14d", "sales14d", "purchases", "sales"),
    *("orders14d", "conversionsBrandHalo", "salesBrandHalo", "totalCost", "totalPurchases", "totalSales"),
    *("grossImpressions", "invalidImpressions", "grossClickThroughs", "invalidClickThroughs", "reach", "bids"),
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
_INVALID = (
    *("grossImpressions", "invalidImpressions", "invalidImpressionRate", "impressions"),
    *("grossClickThroughs", "invalidClickThroughs", "invalidClickThroughRate", "clicks"),
)
_TELEVISION = (
    *(*_TRAFFIC, "addToCart", "brandedSearches", "detailPageViews", "purchases", "sales", "unitsSold"),
    *("newToBrandPurchases", "newToBrandSales", "videoCompleteViews", "videoFirstQuartileViews"),
    *("videoMidpointViews", "videoThirdQuartileViews"),
)
_ADVERTISER = ("advertiserId", "advertiserName")
_ORDER = ("orderId", "orderName")
_LINE_ITEM = ("lineItemId", "lineItemName")
_DEMAND_SIDE = ("impressions", "clicks", "totalCost", "detailPageViews", "addToCart", "purchases")
_DEMAND_SIDE_SALES = ("sales", "unitsSold", "totalPurchases", "totalSales", "totalUnitsSold")
"""Of promoted products, and of all of the brand's (``total``). That groupings of Amazon DSP go together is documented
by an example for dspAudience and by the list for dspReachFrequency and dspBidAdjustment; for its other report types it
could not be confirmed. A refusal names what is taken, and ``group_by`` of a report of one's own is free to differ."""


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
    "sp_audiences": AdsReport(
        "spAudiences",
        ("campaign_bid_boost_segment",),
        ("date", *_OF_CAMPAIGN, "segmentName", "segmentClassCode", *_TRAFFIC, *_SP_SALES),
        "Sponsored Products by campaign, audience with a bid adjustment, and day.",
    ),
    "sb_audiences": AdsReport(
        "sbAudiences",
        ("campaign_bid_boost_segment",),
        ("date", *_OF_CAMPAIGN, "segmentName", "segmentClassCode", *_TRAFFIC, "purchases", "sales", "unitsSold"),
        "Sponsored Brands by campaign, audience with a bid adjustment, and day.",
    ),
    **{
        f"{short}_gross_and_invalid_traffic": AdsReport(
            f"{short}GrossAndInvalids",
            ("campaign",),
            ("date", "campaignName", "campaignStatus", *_INVALID),
            f"{product} by campaign and day: all traffic, and what of it was found invalid and is not charged.",
        )
        for short, product in (("sp", "Sponsored Products"), ("sb", "Sponsored Brands"), ("sd", "Sponsored Display"))
    },
    "st_campaigns": AdsReport(
        "stCampaigns",
        ("campaign",),
        ("date", *_CAMPAIGN, *_BUDGET, *_TELEVISION),
        "Sponsored Television by campaign and day.",
    ),
    "st_ad_groups": AdsReport(
        "stCampaigns",
        ("campaign", "adGroup"),
        ("date", *_OF_CAMPAIGN, *_AD_GROUP, *_TELEVISION),
        "Sponsored Television by campaign, ad group and day.",
    ),
    "st_targeting": AdsReport(
        "stTargeting",
        ("campaign", "adGroup", "targeting"),
        ("date", *_OF_CAMPAIGN, *_AD_GROUP, "keywordId", "keyword", "keywordType", "targetingText", *_TELEVISION),
        "Sponsored Television by target and day.",
    ),
    "dsp_orders": AdsReport(
        "dspCampaign",
        ("campaign",),
        (
            *("date", *_ADVERTISER, *_ORDER, "orderCurrency", *_DEMAND_SIDE, *_DEMAND_SIDE_SALES),
            *("supplyCost", "totalFee", "viewableImpressions", "measurableImpressions"),
        ),
        "Amazon DSP by order and day.",
    ),
    "dsp_line_items": AdsReport(
        "dspCampaign",
        ("campaign", "ad"),
        (
            *("date", *_ADVERTISER, *_ORDER, "orderCurrency", *_LINE_ITEM, "lineItemType", "lineItemStatus"),
            *(*_DEMAND_SIDE, *_DEMAND_SIDE_SALES, "supplyCost", "totalFee", "viewableImpressions"),
        ),
        "Amazon DSP by order, line item and day.",
    ),
    "dsp_creatives": AdsReport(
        "dspCampaign",
        ("campaign", "ad", "creative"),
        (
            *("date", *_ADVERTISER, *_ORDER, "orderCurrency", *_LINE_ITEM, "creativeId", "creativeName"),
            *("creativeType", "creativeSize", *_DEMAND_SIDE, *_DEMAND_SIDE_SALES),
        ),
        "Amazon DSP by order, line item, creative and day.",
    ),
    "dsp_audiences": AdsReport(
        "dspAudience",
        ("order", "lineItem"),
        (
            *("date", *_ADVERTISER, *_ORDER, "orderCurrency", *_LINE_ITEM, "segmentId", "segmentName", "segmentType"),
            *("segmentClassCode", "segmentSource", "targetingMethod", *_DEMAND_SIDE),
        ),
        "Amazon DSP by order, line item, audience segment and day.",
    ),
    "dsp_inventory": AdsReport(
        "dspInventory",
        ("campaign", "supplySource", "site"),
        (
            *("date", *_ADVERTISER, *_ORDER, "orderCurrency", "supplySource", "site", *_DEMAND_SIDE),
            *(*_DEMAND_SIDE_SALES, "viewableImpressions", "measurableImpressions"),
        ),
        "Amazon DSP by order, supply source, site and day.",
    ),
    "dsp_products": AdsReport(
        "dspProduct",
        ("order", "lineItem"),
        (
            *("date", *_ADVERTISER, *_ORDER, "orderCurrency", *_LINE_ITEM, "asin", "parentAsin", "productName"),
            *("brandName", "conversionType", "detailPageViews", "addToCart", "purchases", *_DEMAND_SIDE_SALES),
        ),
        "What people did about products after an ad of Amazon DSP, by order, line item, product and day.",
    ),
    "dsp_geography": AdsReport(
        "dspGeo",
        ("order", "country", "region"),
        (
            *("date", *_ADVERTISER, *_ORDER, "orderCurrency", "country", "region", *_DEMAND_SIDE),
            *_DEMAND_SIDE_SALES,
        ),
        "Amazon DSP by order, region and day.",
    ),
    "dsp_technology": AdsReport(
        "dspTech",
        ("order", "deviceType", "environmentType"),
        (
            *("date", *_ADVERTISER, *_ORDER, "orderCurrency", "deviceName", "environmentName", *_DEMAND_SIDE),
            *("sales", "unitsSold", "totalSales"),
        ),
        "Amazon DSP by order, kind of device, environment and day.",
    ),
    "dsp_reach_and_frequency": AdsReport(
        "dspReachFrequency",
        ("advertiser",),
        ("date", *_ADVERTISER, "reach", "frequencyAverage"),
        "How many people ads of Amazon DSP reached, by advertiser and day.",
    ),
    "dsp_bid_adjustments": AdsReport(
        "dspBidAdjustment",
        ("bidAdjustmentRule", "bidAdjustmentMatchedTerms"),
        (
            *("date", *_ADVERTISER, *_ORDER, *_LINE_ITEM, "bidAdjustmentRuleId", "bidAdjustmentRule"),
            *("bidAdjustmentMatchedTermIds", "bidAdjustmentMatchedTerms", "bidAdjustment", "matchRate", "bids"),
        ),
        "Bids of Amazon DSP by line item, rule that adjusts them, matched terms and day.",
    ),
    "dsp_audio_and_video": AdsReport(
        "dspAudioAndVideo",
        ("campaign",),
        ("intervalStart", "intervalEnd", *_ADVERTISER, *_ORDER, "impressions"),
        "Audio and video ads of Amazon DSP by order and day.",
    ),
    "conversion_paths": AdsReport(
        "conversionPath",
        ("brandConversionPath",),
        (
            *("startDate", "endDate", "brandName", "simplifiedPath", "purchases", "sales"),
            *("newToBrandPurchases", "newToBrandSales"),
        ),
        "Through which ad products people came to a purchase, by brand, path and day.",
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
    names = table_names([*sorted(c for c in columns if c not in own), *sorted(own)])
    required = [c for c in _REQUIRED if c != "adGroupId" or kind.product != _WITHOUT_AD_GROUPS]
    dataset = Dataset(
        feed=name,
        columns=with_metrics(columns_of(((c, own.get(c) or column_type(c).type) for c in columns), required, names)),
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
