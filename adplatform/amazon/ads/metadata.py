"""Ready-made exports of the Ads API: what campaigns, ad groups, ads and targets are called, cost and do, as they stand
on the day of asking, of all ad products and states.

Members are those of Amazon's common models (Amazon Ads API guides, "Campaigns", "Ad groups", "Ads" and "Targets" under
common models), which an export writes one of in each row. A guide shows ``optimization`` of a campaign as an array in
one example and as an object in the others; it is read as an object. Ads, and targets of Sponsored Brands and Display,
have no campaign of their own: it is that of their ad group. Where a member is a list, its column is JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adplatform.amazon.definitions import Dataset, ReportDefinition
from adplatform.amazon.restatement import SNAPSHOT
from adplatform.contracts.column import Column

PRODUCTS = ("SPONSORED_PRODUCTS", "SPONSORED_BRANDS", "SPONSORED_DISPLAY")
"""The ad products that can be exported."""
_STATES = ("ENABLED", "PAUSED", "ARCHIVED")
"""All of them: Amazon leaves archived ones out where nobody asks for them, and past dates of reports speak of them."""
_ID, _MONEY, _WHEN = "bigint", "decimal(18,6)", "timestamp"


@dataclass(frozen=True)
class Entity:
    """One kind of what is exported. ``report_type`` is what the API calls it, ``name`` what tables do, and ``key`` the
    column of its id, which is unique within an ad product."""

    report_type: str
    name: str
    key: str
    columns: tuple[Column, ...]
    description: str

    @property
    def report(self) -> str:
        """The ready-made report."""
        return f"{self.name}_metadata"


UNTRACKED = ("delivery_status", "delivery_reasons", "last_updated_date_time")
"""Columns that say nothing of what somebody has set: Amazon changes them by itself, several times a day."""


def _columns(key: str, fields: Sequence[tuple[str, str, str]]) -> tuple[Column, ...]:
    """Columns given as (name, member, type), and those that every entity has."""
    product = ("ad_product", "adProduct", "string")
    common = (
        ("state", "state", "string"),
        ("delivery_status", "deliveryStatus", "string"),
        ("delivery_reasons", "deliveryReasons", "string"),
        ("creation_date_time", "creationDateTime", _WHEN),
        ("last_updated_date_time", "lastUpdatedDateTime", _WHEN),
    )
    return tuple(Column(name=n, field=f, type=t, required=n == key) for n, f, t in (product, *fields, *common))


_BUDGET = "budgetCaps.budgetValue.monetaryBudget"
_DETAILS = (
    ("match_type", "matchType", "string"),
    ("keyword", "keyword", "string"),
    ("native_language_keyword", "nativeLanguageKeyword", "string"),
    ("native_language_locale", "nativeLanguageLocale", "string"),
    ("asin", "asin", "string"),
    ("product_category_id", "productCategoryId", "string"),
    ("product_category_resolved", "productCategoryResolved", "string"),
    ("product_brand", "productBrand", "string"),
    ("product_brand_resolved", "productBrandResolved", "string"),
    ("product_genre", "productGenre", "string"),
    ("product_genre_resolved", "productGenreResolved", "string"),
    ("product_price_less_than", "productPriceLessThan", "string"),
    ("product_price_greater_than", "productPriceGreaterThan", "string"),
    ("product_rating_less_than", "productRatingLessThan", "string"),
    ("product_rating_greater_than", "productRatingGreaterThan", "string"),
    ("product_age_range", "productAgeRange", "string"),
    ("product_age_range_resolved", "productAgeRangeResolved", "string"),
    ("product_prime_shipping_eligible", "productPrimeShippingEligible", "string"),
    ("audience_id", "audienceId", "string"),
    ("event", "event", "string"),
    ("lookback", "lookback", "string"),
)
ENTITIES: Mapping[str, Entity] = {
    each.report_type: each
    for each in (
        Entity(
            "campaigns",
            "campaigns",
            "campaign_id",
            _columns(
                "campaign_id",
                (
                    ("campaign_id", "campaignId", _ID),
                    ("campaign_name", "name", "string"),
                    ("portfolio_id", "portfolioId", _ID),
                    ("start_date", "startDate", "date"),
                    ("end_date", "endDate", "date"),
                    ("targeting_settings", "targetingSettings", "string"),
                    ("cost_type", "costType", "string"),
                    ("brand_entity_id", "brandEntityId", "string"),
                    ("budget_type", "budgetCaps.budgetType", "string"),
                    ("budget_recurrence", "budgetCaps.recurrenceTimePeriod", "string"),
                    ("budget_amount", f"{_BUDGET}.amount", _MONEY),
                    ("budget_rule_amount", f"{_BUDGET}.ruleAmount", _MONEY),
                    ("budget_currency_code", f"{_BUDGET}.currencyCode", "string"),
                    ("bid_strategy", "optimization.bidStrategy", "string"),
                    ("placement_bid_adjustments", "optimization.placementBidAdjustments", "string"),
                    ("shopper_segment_bid_adjustment", "optimization.shopperSegmentBidAdjustment", "string"),
                    ("shopper_cohort_bid_adjustment", "optimization.shopperCohortBidAdjustment", "string"),
                    ("tags", "tags", "string"),
                ),
            ),
            "Campaigns as they stood on the date: names, states, budgets, bid strategies.",
        ),
        Entity(
            "adGroups",
            "ad_groups",
            "ad_group_id",
            _columns(
                "ad_group_id",
                (
                    ("ad_group_id", "adGroupId", _ID),
                    ("campaign_id", "campaignId", _ID),
                    ("ad_group_name", "name", "string"),
                    ("default_bid", "bid.defaultBid", _MONEY),
                    ("bid_currency_code", "bid.currencyCode", "string"),
                    ("creative_type", "creativeType", "string"),
                    ("goal_type", "optimization.goalSettings.goalType", "string"),
                    ("goal_kpi", "optimization.goalSettings.goalKpi", "string"),
                ),
            ),
            "Ad groups as they stood on the date: names, states, default bids.",
        ),
        Entity(
            "ads",
            "ads",
            "ad_id",
            _columns(
                "ad_id",
                (
                    ("ad_id", "adId", _ID),
                    ("ad_group_id", "adGroupId", _ID),
                    ("ad_name", "name", "string"),
                    ("ad_type", "adType", "string"),
                    ("product_id_type", "creative.products.0.productIdType", "string"),
                    ("product_id", "creative.products.0.productId", "string"),
                    ("products", "creative.products", "string"),
                    ("headline", "creative.headline", "string"),
                    ("brand_name", "creative.brandName", "string"),
                    ("brand_logo", "creative.brandLogo", "string"),
                    ("custom_images", "creative.customImages", "string"),
                    ("videos", "creative.videos", "string"),
                    ("cards", "creative.cards", "string"),
                    ("landing_page_type", "creative.landingPage.landingPageType", "string"),
                    ("landing_page_url", "creative.landingPage.landingPageUrl", "string"),
                    ("ad_version_id", "adVersionId", "string"),
                ),
            ),
            "Ads as they stood on the date: types, states, advertised products, creatives.",
        ),
        Entity(
            "targets",
            "targets",
            "target_id",
            _columns(
                "target_id",
                (
                    ("target_id", "targetId", _ID),
                    ("ad_group_id", "adGroupId", _ID),
                    ("campaign_id", "campaignId", _ID),
                    ("target_type", "targetType", "string"),
                    ("target_level", "targetLevel", "string"),
                    ("negative", "negative", "boolean"),
                    ("bid", "bid.bid", _MONEY),
                    ("bid_currency_code", "bid.currencyCode", "string"),
                    *((name, f"targetDetails.{member}", kind) for name, member, kind in _DETAILS),
                ),
            ),
            "Keywords and other targets as they stood on the date: texts, match types, states, bids.",
        ),
    )
}
"""By what the API calls them."""


def _definition(entity: Entity) -> ReportDefinition:
    return ReportDefinition(
        name=entity.report,
        api="ads",
        report_type=entity.report_type,
        layout="json",
        configuration={"adProductFilter": list(PRODUCTS), "stateFilter": list(_STATES)},
        datasets=(
            Dataset(
                feed=entity.report,
                columns=entity.columns,
                description=entity.description,
                schema_policy="evolve",
            ),
        ),
        policy=SNAPSHOT,
    )


READY_MADE: Mapping[str, ReportDefinition] = {each.report: _definition(each) for each in ENTITIES.values()}
