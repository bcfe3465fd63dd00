"""Ready-made reports of promotions and coupons: JSON about those that began within a range.

Columns and options are those of Amazon's own schemas (``promotionReport``, ``sellerCouponReport``,
``vendorCouponReport``), which also say that promotions of the last two years can be had and that instants are in UTC.
Of how many days of beginnings one report may be is not written down: 30 are asked for. What a promotion brought is
summed until the moment of asking, so dates are asked for again for as long as promotions go on.
"""

from collections.abc import Iterable

from adplatform.amazon.definitions import Dataset, ReportDefinition, columns_of, with_metrics
from adplatform.amazon.restatement import RestatementPolicy
from adplatform.amazon.selling_partner.analytics import MONEY, Fields
from adplatform.contracts.column import Column

_POLICY = RestatementPolicy(
    daily=tuple(range(1, 31)),
    waves=(37, 45, 60, 75, 90, 105),
    max_range_days=30,
    retention_days=730,
    backfill_per_day=4,
    closes=False,
)
"""Deals last for hours or days, coupons for up to 90 days, and orders are returned for some weeks more."""


def _fields(kind: str, names: Iterable[str], prefix: str = "") -> list[tuple[str, str]]:
    return [(f"{prefix}{name}", kind) for name in names]


def _report(name: str, report_type: str, began: str, datasets: Iterable[Dataset]) -> ReportDefinition:
    """A report whose options ``<began>From`` and ``<began>To`` are the range."""
    return ReportDefinition(
        name=name,
        api="selling_partner",
        report_type=report_type,
        layout="json",
        configuration={f"{began}From": "{start}", f"{began}To": "{end}"},
        datasets=tuple(datasets),
        dates_in="utc",
        policy=_POLICY,
    )


def _dataset(
    feed: str,
    records: str,
    began: str,
    keys: tuple[str, ...],
    fields: Fields,
    description: str,
    plotted: tuple[str, ...],
    each: str = "",
) -> Dataset:
    """A table by the date ``began``, of rows that lack none of the ``keys``. Tables have a marketplace as it is."""
    return Dataset(
        feed=feed,
        records=records,
        each=each,
        date_field=began,
        description=description,
        plotted=plotted,
        schema_policy="evolve",
        columns=(
            *with_metrics(columns_of([*_fields("string", keys), (began, "timestamp"), *fields], (*keys, began))),
            Column(name="reported_marketplace_id", field="marketplaceId", drop=True),
        ),
    )


_PROMOTIONS = _report(
    "promotion_performance",
    "GET_PROMOTION_PERFORMANCE_REPORT",
    "promotionStartDate",
    [
        _dataset(
            "promotion_performance",
            "promotions",
            "startDateTime",
            ("promotionId",),
            [
                *_fields("string", ("promotionName", "type", "status", "creationChannel")),
                *_fields("string", ("vendorCode", "merchantId", "fundingAgreementId")),
                *_fields("timestamp", ("endDateTime", "createdDateTime", "lastUpdatedDateTime")),
                *_fields("bigint", ("unitsSold", "glanceViews")),
                *_fields(MONEY, ("amountSpent", "revenue")),
                *_fields("string", ("amountSpentCurrencyCode", "revenueCurrencyCode")),
            ],
            "Best deals, lightning deals and price discounts, by the date (UTC) on which they began.",
            ("unitsSold", "revenue"),
        ),
        _dataset(
            "promotion_performance_products",
            "promotions",
            "startDateTime",
            ("promotionId", "includedProducts.asin"),
            [
                ("includedProducts.productName", "string"),
                *_fields("bigint", ("productGlanceViews", "productUnitsSold"), "includedProducts."),
                *_fields(MONEY, ("productAmountSpent", "productRevenue"), "includedProducts."),
                *_fields(
                    "string", ("productAmountSpentCurrencyCode", "productRevenueCurrencyCode"), "includedProducts."
                ),
            ],
            "What each product sold in a promotion, by the date (UTC) on which the promotion began.",
            ("includedProducts.productUnitsSold", "includedProducts.productRevenue"),
            each="includedProducts",
        ),
    ],
)

_COUPON_TEXTS = ("name", "websiteMessage", "customerSegment")
_COUPON_COUNTS = ("clips", "redemptions")
_COUPON_MONEY = ("budget", "totalDiscount", "budgetSpent", "budgetRemaining")
_COUPONS = _report(
    "coupon_performance",
    "GET_COUPON_PERFORMANCE_REPORT",
    "couponStartDate",
    [
        _dataset(
            "coupon_performance",
            "coupons",
            "startDateTime",
            ("couponId",),
            [
                *_fields("string", (*_COUPON_TEXTS, "merchantId", "currencyCode", "discountType")),
                ("endDateTime", "timestamp"),
                *_fields("bigint", _COUPON_COUNTS),
                *_fields(MONEY, ("discountAmount", *_COUPON_MONEY, "sales")),
                ("budgetPercentageUsed", "double"),
            ],
            "A seller's coupons, by the date (UTC) on which they began.",
            ("clips", "redemptions", "sales"),
        ),
        _dataset(
            "coupon_performance_asins",
            "coupons",
            "startDateTime",
            ("couponId", "asins.asin"),
            (),
            "The products of a seller's coupons, by the date (UTC) on which the coupon began.",
            (),
            each="asins",
        ),
    ],
)
_VENDOR_COUPONS = _report(
    "vendor_coupon_performance",
    "GET_COUPON_PERFORMANCE_REPORT",
    "campaignStartDate",
    [
        _dataset(
            "vendor_coupon_performance",
            "campaigns",
            "coupons.startDateTime",
            ("campaignId", "coupons.couponId"),
            [
                *_fields("string", ("campaignName", "vendorCode", "budgetType", "currencyCode")),
                *_fields("timestamp", ("creationDateTime", "lastUpdatedDateTime", "coupons.endDateTime")),
                *_fields("boolean", ("isSubscribeAndSave", "coupons.isOncePerCustomer")),
                *_fields("bigint", ("totalClips", "totalRedemptions")),
                *_fields(MONEY, ("totalBudget", "totalBudgetSpent", "totalBudgetRemaining")),
                *_fields("string", _COUPON_TEXTS, "coupons."),
                *_fields("bigint", _COUPON_COUNTS, "coupons."),
                *_fields(MONEY, _COUPON_MONEY, "coupons."),
                ("coupons.budgetPercentageUsed", "double"),
            ],
            "A vendor's coupons with their campaigns, by the date (UTC) on which the coupon began.",
            ("coupons.clips", "coupons.redemptions"),
            each="coupons",
        ),
        _dataset(
            "vendor_coupon_performance_asins",
            "campaigns",
            "coupons.startDateTime",
            ("campaignId", "coupons.couponId", "coupons.asins.asin"),
            [("coupons.asins.discountType", "string"), ("coupons.asins.discountAmount", MONEY)],
            "The products of a vendor's coupons, by the date (UTC) on which the coupon began.",
            (),
            each="coupons.asins",
        ),
    ],
)

PROMOTIONS = (_PROMOTIONS, _COUPONS, _VENDOR_COUPONS)
