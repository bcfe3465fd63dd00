"""The report types of the Ads API that the test server knows: columns, groupings, filters and limits.

Facts from Amazon's documentation of reporting version 3 (guides/reporting/v3/report-types, September 2025).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Group:
    """What one groupBy value adds: columns, and filters with the values they take."""

    columns: tuple[str, ...] = ()
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportType:
    """One report type; ``columns`` are those of every grouping, limits are in days."""

    id: str
    product: str
    max_range_days: int
    retention_days: int
    columns: tuple[str, ...]
    groups: Mapping[str, Group]

    def allowed(self, group_by: Sequence[str]) -> tuple[str, ...]:
        """The columns that a report grouped so takes, each once."""
        return tuple(dict.fromkeys((*self.columns, *(c for g in group_by for c in self.groups[g].columns))))


WINDOWS = (1, 7, 14, 30)
"""Attribution windows in days, as they stand in column names."""

_STATES = ("ENABLED", "PAUSED", "ARCHIVED")
_KEYWORD_TYPES = ("BROAD", "PHRASE", "EXACT", "TARGETING_EXPRESSION", "TARGETING_EXPRESSION_PREDEFINED")


def _names(text: str) -> tuple[str, ...]:
    """The words of a text; ``sales*d`` stands for that column with each of the windows."""
    words = ([word.replace("*", str(w)) for w in WINDOWS] if "*" in word else [word] for word in text.split())
    return tuple(name for names in words for name in names)


_SP = _names("""
    impressions addToList qualifiedBorrows royaltyQualifiedBorrows clicks cost purchases*d purchasesSameSku*d
    unitsSoldClicks*d sales*d attributedSalesSameSku*d unitsSoldSameSku*d kindleEditionNormalizedPagesRead14d
    kindleEditionNormalizedPagesRoyalties14d date startDate endDate costPerClick clickThroughRate
""")
_SP_TARGET = _names("""
    salesOtherSku7d unitsSoldOtherSku7d acosClicks7d acosClicks14d roasClicks7d roasClicks14d keywordId keyword
    campaignBudgetCurrencyCode portfolioId campaignName campaignId campaignBudgetType campaignBudgetAmount
    campaignStatus keywordBid adGroupName adGroupId keywordType matchType targeting
""")
_SB = _names("""
    addToCart addToCartClicks addToCartRate addToList addToListFromClicks qualifiedBorrows
    qualifiedBorrowsFromClicks royaltyQualifiedBorrows royaltyQualifiedBorrowsFromClicks brandedSearches
    brandedSearchesClicks campaignBudgetAmount campaignBudgetCurrencyCode campaignBudgetType campaignId
    campaignName campaignStatus clicks cost costType date detailPageViews detailPageViewsClicks eCPAddToCart
    endDate impressions newToBrandDetailPageViewRate newToBrandDetailPageViews newToBrandDetailPageViewsClicks
    newToBrandECPDetailPageView newToBrandPurchases newToBrandPurchasesClicks newToBrandPurchasesPercentage
    newToBrandPurchasesRate newToBrandSales newToBrandSalesClicks newToBrandSalesPercentage newToBrandUnitsSold
    newToBrandUnitsSoldClicks newToBrandUnitsSoldPercentage purchases purchasesClicks purchasesPromoted sales
    salesClicks salesPromoted startDate unitsSold
""")
_VIDEO = _names("""
    kindleEditionNormalizedPagesRead14d kindleEditionNormalizedPagesRoyalties14d video5SecondViewRate
    video5SecondViews videoCompleteViews videoFirstQuartileViews videoMidpointViews videoThirdQuartileViews
    videoUnmutes viewabilityRate
""")
_SD = _names("""
    addToCart addToCartClicks addToCartRate addToCartViews addToList addToListFromClicks addToListFromViews
    qualifiedBorrows qualifiedBorrowsFromClicks qualifiedBorrowsFromViews royaltyQualifiedBorrows
    royaltyQualifiedBorrowsFromClicks royaltyQualifiedBorrowsFromViews brandedSearches brandedSearchesClicks
    brandedSearchesViews brandedSearchRate campaignBudgetCurrencyCode campaignId campaignName clicks cost date
    detailPageViews detailPageViewsClicks eCPAddToCart eCPBrandSearch endDate impressions impressionsViews
    newToBrandPurchases newToBrandPurchasesClicks newToBrandSalesClicks newToBrandUnitsSold
    newToBrandUnitsSoldClicks purchases purchasesClicks purchasesPromotedClicks sales salesClicks
    salesPromotedClicks startDate unitsSold unitsSoldClicks videoCompleteViews videoFirstQuartileViews
    videoMidpointViews videoThirdQuartileViews videoUnmutes viewabilityRate viewClickThroughRate
""")
_SD_NEW = _names("""
    newToBrandDetailPageViewClicks newToBrandDetailPageViewRate newToBrandDetailPageViewViews
    newToBrandDetailPageViews newToBrandECPDetailPageView
""")
_BUDGET = _names("""
    campaignName campaignId campaignStatus campaignBudgetAmount campaignBudgetType campaignRuleBasedBudgetAmount
    campaignApplicableBudgetRuleId campaignApplicableBudgetRuleName campaignBudgetCurrencyCode
    topOfSearchImpressionShare
""")
_TYPES = (
    ReportType(
        "spCampaigns",
        "SPONSORED_PRODUCTS",
        31,
        95,
        (*_SP, *_names("campaignBiddingStrategy spend")),
        {
            "adGroup": Group(_names("adGroupName adGroupId adStatus"), {"adStatus": _STATES}),
            "campaign": Group(_BUDGET, {"campaignStatus": _STATES}),
            "campaignPlacement": Group(
                (*_BUDGET, *_names("placementClassification")), {"campaignSite": ("AmazonBusiness",)}
            ),
        },
    ),
    ReportType(
        "spTargeting",
        "SPONSORED_PRODUCTS",
        31,
        95,
        (*_SP, *_SP_TARGET, *_names("topOfSearchImpressionShare")),
        {
            "targeting": Group(
                (*_names("adKeywordStatus"),), {"adKeywordStatus": _STATES, "keywordType": _KEYWORD_TYPES}
            ),
        },
    ),
    ReportType(
        "spSearchTerm",
        "SPONSORED_PRODUCTS",
        31,
        95,
        (*_SP, *_SP_TARGET, *_names("searchTerm adKeywordStatus")),
        {
            "searchTerm": Group(_names("adKeywordStatus"), {"keywordType": _KEYWORD_TYPES}),
        },
    ),
    ReportType(
        "spAdvertisedProduct",
        "SPONSORED_PRODUCTS",
        31,
        95,
        (
            *_SP,
            *_names("""
                campaignName campaignId adGroupName adGroupId adId portfolioId spend campaignBudgetCurrencyCode
                campaignBudgetAmount campaignBudgetType campaignStatus advertisedAsin advertisedSku salesOtherSku7d
                unitsSoldOtherSku7d acosClicks7d acosClicks14d roasClicks7d roasClicks14d
            """),
        ),
        {
            "advertiser": Group((), {"adCreativeStatus": _STATES}),
        },
    ),
    ReportType(
        "spPurchasedProduct",
        "SPONSORED_PRODUCTS",
        31,
        95,
        (
            *_names("""
                date startDate endDate addToList addToListFromClicks qualifiedBorrows qualifiedBorrowsFromClicks
                royaltyQualifiedBorrows royaltyQualifiedBorrowsFromClicks portfolioId campaignName campaignId
                adGroupName adGroupId keywordId keyword keywordType advertisedAsin purchasedAsin advertisedSku
                campaignBudgetCurrencyCode matchType unitsSoldClicks*d sales*d purchases*d unitsSoldOtherSku*d
                salesOtherSku*d purchasesOtherSku*d kindleEditionNormalizedPagesRead14d
                kindleEditionNormalizedPagesRoyalties14d
            """),
        ),
        {
            "asin": Group(),
        },
    ),
    ReportType(
        "sbCampaigns",
        "SPONSORED_BRANDS",
        31,
        60,
        (*_SB, *_VIDEO, *_names("topOfSearchImpressionShare unitsSoldClicks viewableImpressions viewClickThroughRate")),
        {
            "campaign": Group(
                _names("""
                    campaignBudgetAmount campaignBudgetCurrencyCode campaignBudgetType topOfSearchImpressionShare
                    longTermSales longTermROAS
                """),
                {"campaignStatus": _STATES},
            ),
        },
    ),
    ReportType(
        "sbCampaignPlacement",
        "SPONSORED_BRANDS",
        31,
        60,
        (*_SB, *_VIDEO, *_names("unitsSoldClicks viewableImpressions viewClickThroughRate")),
        {
            "campaign": Group(),
            "campaignPlacement": Group(_names("placementClassification")),
        },
    ),
    ReportType(
        "sbAdGroup",
        "SPONSORED_BRANDS",
        31,
        60,
        (*_SB, *_VIDEO, *_names("adGroupId adGroupName adStatus unitsSoldClicks")),
        {
            "adGroup": Group((), {"adStatus": _STATES}),
            "campaign": Group(),
        },
    ),
    ReportType(
        "sbAds",
        "SPONSORED_BRANDS",
        31,
        60,
        (*_SB, *_VIDEO, *_names("adGroupId adGroupName adId unitsSoldClicks viewableImpressions")),
        {
            "ads": Group((), {"adStatus": _STATES}),
        },
    ),
    ReportType(
        "sbTargeting",
        "SPONSORED_BRANDS",
        31,
        60,
        (
            *_SB,
            *_names("""
                adGroupId adGroupName keywordBid keywordId adKeywordStatus keywordText keywordType matchType
                targetingExpression targetingId targetingText targetingType topOfSearchImpressionShare
            """),
        ),
        {
            "targeting": Group((), {"adKeywordStatus": _STATES, "keywordType": (*_KEYWORD_TYPES, "THEME")}),
        },
    ),
    ReportType(
        "sbSearchTerm",
        "SPONSORED_BRANDS",
        31,
        60,
        (
            *_VIDEO,
            *_names("""
                adGroupId adGroupName addToList addToListFromClicks qualifiedBorrows qualifiedBorrowsFromClicks
                royaltyQualifiedBorrows royaltyQualifiedBorrowsFromClicks campaignBudgetAmount
                campaignBudgetCurrencyCode campaignBudgetType campaignId campaignName campaignStatus clicks cost
                costType date endDate impressions keywordBid keywordId keywordText matchType purchases purchasesClicks
                sales salesClicks searchTerm startDate unitsSold viewableImpressions viewClickThroughRate
            """),
        ),
        {
            "searchTerm": Group(_names("adKeywordStatus"), {"keywordType": _KEYWORD_TYPES}),
        },
    ),
    ReportType(
        "sbPurchasedProduct",
        "SPONSORED_BRANDS",
        731,
        731,
        (
            *_names("""
                campaignId adGroupId date startDate endDate campaignBudgetCurrencyCode campaignName
                campaignPriceTypeCode adGroupName attributionType purchasedAsin ordersClicks14d productName
                productCategory sales14d salesClicks14d orders14d unitsSold14d newToBrandSales14d
                newToBrandPurchases14d newToBrandUnitsSold14d newToBrandSalesPercentage14d
                newToBrandPurchasesPercentage14d newToBrandUnitsSoldPercentage14d unitsSoldClicks14d
                kindleEditionNormalizedPagesRead14d kindleEditionNormalizedPagesRoyalties14d
            """),
        ),
        {
            "purchasedAsin": Group(),
        },
    ),
    ReportType(
        "sdCampaigns",
        "SPONSORED_DISPLAY",
        31,
        65,
        (*_SD,),
        {
            "campaign": Group(
                (
                    *_SD_NEW,
                    *_names("""
                campaignBudgetAmount campaignStatus costType cumulativeReach impressionsFrequencyAverage longTermSales
                longTermROAS newToBrandSales
            """),
                ),
                {},
            ),
            "matchedTarget": Group(_names("matchedTargetAsin")),
        },
    ),
    ReportType(
        "sdAdGroup",
        "SPONSORED_DISPLAY",
        31,
        65,
        (*_SD, *_names("adGroupId adGroupName bidOptimization cumulativeReach newToBrandSales")),
        {
            "adGroup": Group((*_SD_NEW, *_names("cumulativeReach impressionsFrequencyAverage"))),
            "matchedTarget": Group(_names("matchedTargetAsin")),
        },
    ),
    ReportType(
        "sdTargeting",
        "SPONSORED_DISPLAY",
        31,
        65,
        (*_SD, *_names("adGroupId adGroupName newToBrandSales targetingExpression targetingId targetingText")),
        {
            "matchedTarget": Group(_names("matchedTargetAsin")),
            "targeting": Group((*_SD_NEW, *_names("adKeywordStatus"))),
        },
    ),
    ReportType(
        "sdAdvertisedProduct",
        "SPONSORED_DISPLAY",
        31,
        65,
        (
            *_SD,
            *_SD_NEW,
            *_names("""
                adGroupId adGroupName adId bidOptimization cumulativeReach impressionsFrequencyAverage newToBrandSales
                promotedAsin promotedSku
            """),
        ),
        {
            "advertiser": Group((), {"adCreativeStatus": _STATES}),
        },
    ),
    ReportType(
        "sdPurchasedProduct",
        "SPONSORED_DISPLAY",
        31,
        65,
        (
            *_names("""
                adGroupId adGroupName asinBrandHalo addToList addToListFromClicks qualifiedBorrowsFromClicks
                royaltyQualifiedBorrowsFromClicks addToListFromViews qualifiedBorrows qualifiedBorrowsFromViews
                royaltyQualifiedBorrows royaltyQualifiedBorrowsFromViews campaignBudgetCurrencyCode campaignId
                campaignName conversionsBrandHalo conversionsBrandHaloClicks date endDate promotedAsin promotedSku
                salesBrandHalo salesBrandHaloClicks startDate unitsSoldBrandHalo unitsSoldBrandHaloClicks
            """),
        ),
        {
            "asin": Group(),
        },
    ),
)

REPORT_TYPES: Mapping[str, ReportType] = {t.id: t for t in _TYPES}
