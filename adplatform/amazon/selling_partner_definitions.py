"""Ready-made reports of the Selling Partner API (Reports API 2021-06-30)."""

from collections.abc import Mapping
from dataclasses import replace

from adplatform.amazon.definitions import Dataset, ReportDefinition, columns_of, snake_case
from adplatform.amazon.restatement import RestatementPolicy
from adplatform.contracts.model import Column, Pii, PiiKind

_MONEY = "decimal(18,6)"


def _amounts(prefix: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [
        field
        for name in names
        for field in ((f"{prefix}.{name}.amount", _MONEY), (f"{prefix}.{name}.currencyCode", "string"))
    ]


def _fields(prefix: str, kind: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(f"{prefix}.{name}", kind) for name in names]


_VIEWS = ("browserPageViews", "mobileAppPageViews", "pageViews", "browserSessions", "mobileAppSessions", "sessions")
_VIEW_SHARES = (
    "browserPageViewsPercentage",
    "mobileAppPageViewsPercentage",
    "pageViewsPercentage",
    "browserSessionPercentage",
    "mobileAppSessionPercentage",
    "sessionPercentage",
)
_SALES_AND_TRAFFIC = ReportDefinition(
    name="sales_and_traffic",
    api="selling_partner",
    report_type="GET_SALES_AND_TRAFFIC_REPORT",
    layout="json",
    configuration={"dateGranularity": "DAY", "asinGranularity": "CHILD"},
    datasets=(
        Dataset(
            feed="sales_and_traffic_by_date",
            records="salesAndTrafficByDate",
            date_field="date",
            description="Sales and traffic of a marketplace by day.",
            plotted=("salesByDate.orderedProductSales.amount", "salesByDate.unitsOrdered", "trafficByDate.sessions"),
            schema_policy="evolve",
            columns=columns_of(
                [
                    ("date", "date"),
                    *_amounts("salesByDate", ("orderedProductSales", "averageSellingPrice", "claimsAmount")),
                    *_amounts("salesByDate", ("shippedProductSales", "averageSalesPerOrderItem")),
                    *_fields("salesByDate", "bigint", ("unitsOrdered", "totalOrderItems", "unitsRefunded")),
                    *_fields("salesByDate", "bigint", ("claimsGranted", "unitsShipped", "ordersShipped")),
                    *_fields("salesByDate", "double", ("averageUnitsPerOrderItem", "refundRate")),
                    *_fields("trafficByDate", "bigint", (*_VIEWS, "feedbackReceived", "negativeFeedbackReceived")),
                    *_fields("trafficByDate", "double", ("buyBoxPercentage", "orderItemSessionPercentage")),
                    *_fields("trafficByDate", "double", ("unitSessionPercentage", "averageOfferCount")),
                    *_fields("trafficByDate", "double", ("averageParentItems", "receivedNegativeFeedbackRate")),
                ],
                required=("date",),
            ),
        ),
        Dataset(
            feed="sales_and_traffic_by_asin",
            records="salesAndTrafficByAsin",
            description="Sales and traffic of a marketplace by day and child product.",
            plotted=("salesByAsin.orderedProductSales.amount", "salesByAsin.unitsOrdered", "trafficByAsin.sessions"),
            schema_policy="evolve",
            columns=columns_of(
                [
                    ("parentAsin", "string"),
                    ("childAsin", "string"),
                    ("sku", "string"),
                    *_fields("salesByAsin", "bigint", ("unitsOrdered", "totalOrderItems")),
                    *_amounts("salesByAsin", ("orderedProductSales",)),
                    *_fields("trafficByAsin", "bigint", _VIEWS),
                    *_fields("trafficByAsin", "double", (*_VIEW_SHARES, "buyBoxPercentage", "unitSessionPercentage")),
                ],
                required=("parentAsin",),
            ),
        ),
    ),
    # byAsin is summed over the whole range, so every day is a request of its own; Amazon corrects it for about 3 days.
    policy=RestatementPolicy(
        daily=(2, 3, 4, 7),
        waves=(14, 30),
        max_range_days=1,
        retention_days=730,
        requests_per_day=8,
        backfill_per_day=30,
        closes=False,
    ),
)

_ORDER_TEXTS = (
    *("amazon-order-id", "merchant-order-id"),
    *("order-status", "fulfillment-channel", "sales-channel", "order-channel", "ship-service-level"),
    *("product-name", "sku", "asin", "item-status", "currency", "ship-country", "promotion-ids"),
    *("is-business-order", "purchase-order-number", "price-designation"),
)
_ORDER_MONEY = (
    *("item-price", "item-tax", "shipping-price", "shipping-tax", "gift-wrap-price", "gift-wrap-tax"),
    *("item-promotion-discount", "ship-promotion-discount"),
)


def _place(source: str, kind: PiiKind) -> Column:
    return Column(name=snake_case(source), source=source, pii=Pii(kind=kind, country_column="ship_country"))


_ALL_ORDERS = ReportDefinition(
    name="all_orders",
    api="selling_partner",
    report_type="GET_FLAT_FILE_ALL_ORDERS_DATA_BY_ORDER_DATE_GENERAL",
    layout="tsv",
    configuration={},
    datasets=(
        Dataset(
            feed="all_orders",
            date_field="purchase-date",
            description="Order items by date of purchase (UTC), with the state the order has by now.",
            plotted=("quantity", "item-price"),
            schema_policy="evolve",
            columns=(
                *columns_of([(name, "string") for name in _ORDER_TEXTS], required=("amazon-order-id",)),
                *columns_of([("purchase-date", "timestamp")], required=("purchase-date",)),
                *columns_of([("last-updated-date", "timestamp"), ("quantity", "int")]),
                *columns_of([(name, _MONEY) for name in _ORDER_MONEY]),
                _place("ship-city", PiiKind.CITY),
                _place("ship-state", PiiKind.STATE),
                _place("ship-postal-code", PiiKind.POSTAL_CODE),
            ),
        ),
    ),
    dates_in="utc",
    policy=RestatementPolicy(
        daily=tuple(range(1, 8)),
        waves=(14, 21, 30, 60),
        max_range_days=30,
        retention_days=730,
        backfill_per_day=6,
        closes=False,
    ),
)

_SEARCH_TERMS = ReportDefinition(
    name="search_terms",
    api="selling_partner",
    report_type="GET_BRAND_ANALYTICS_SEARCH_TERMS_REPORT",
    layout="json",
    configuration={"reportPeriod": "DAY"},
    datasets=(
        Dataset(
            feed="search_terms",
            records="dataByDepartmentAndSearchTerm",
            description="Brand Analytics: what shoppers searched for and clicked, by day.",
            schema_policy="evolve",
            columns=columns_of(
                [
                    ("departmentName", "string"),
                    ("searchTerm", "string"),
                    ("searchFrequencyRank", "bigint"),
                    ("clickedAsin", "string"),
                    ("clickedItemName", "string"),
                    ("clickShareRank", "int"),
                    ("clickShare", "double"),
                    ("conversionShare", "double"),
                ],
                required=("searchTerm",),
            ),
        ),
    ),
    policy=RestatementPolicy(
        daily=(2, 3),
        waves=(7,),
        max_range_days=1,
        retention_days=730,
        requests_per_day=4,
        backfill_per_day=10,
        closes=False,
    ),
)

_SETTLEMENT_TEXTS = (
    *("currency", "transaction-type", "order-id", "merchant-order-id", "adjustment-id", "shipment-id"),
    *("marketplace-name", "amount-type", "amount-description", "fulfillment-id"),
    *("order-item-code", "merchant-order-item-id", "merchant-adjustment-item-id", "sku", "promotion-id"),
)
_SETTLEMENTS = ReportDefinition(
    name="settlements",
    api="selling_partner",
    report_type="GET_V2_SETTLEMENT_REPORT_DATA_FLAT_FILE_V2",
    layout="tsv",
    configuration={},
    datasets=(
        Dataset(
            feed="settlements",
            localized=True,
            description="Payments to the seller, by the last date of their period: the total, then its parts.",
            schema_policy="evolve",
            columns=(
                *columns_of([("settlement-id", "string")], required=("settlement-id",)),
                *columns_of([(f"settlement-{edge}-date", "timestamp") for edge in ("start", "end")]),
                *columns_of([("deposit-date", "timestamp"), ("total-amount", _MONEY)]),
                *columns_of([(name, "string") for name in _SETTLEMENT_TEXTS]),
                *columns_of([("amount", _MONEY), ("quantity-purchased", "int")]),
                *columns_of([("posted-date", "date"), ("posted-date-time", "timestamp")]),
            ),
        ),
    ),
    policy=RestatementPolicy(daily=(1,), waves=(), retention_days=90, closes=False),
    discovered=True,
    dates_in="utc",
)

READY_MADE: Mapping[str, ReportDefinition] = {
    d.name: d for d in (_SALES_AND_TRAFFIC, _ALL_ORDERS, _SEARCH_TERMS, _SETTLEMENTS)
}


def with_options(definition: ReportDefinition, options: Mapping[str, str]) -> ReportDefinition:
    """The definition with other ``reportOptions``."""
    return replace(definition, configuration={**definition.configuration, **options})
