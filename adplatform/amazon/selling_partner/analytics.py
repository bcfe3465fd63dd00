"""Ready-made analytics reports of the Selling Partner API: JSON about whole days, weeks or longer periods.

Columns, options and periods are those of Amazon's own schemas of the report types.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from adplatform.amazon.definitions import Dataset, ReportDefinition, columns_of, with_metrics
from adplatform.amazon.restatement import Period, RestatementPolicy
from adplatform.contracts.column import Column

Fields = Iterable[tuple[str, str]]
MONEY = "decimal(18,6)"
_PERIOD: Fields = (("startDate", "date"), ("endDate", "date"))


def _fields(prefix: str, kind: str, names: Iterable[str]) -> list[tuple[str, str]]:
    return [(f"{prefix}{name}", kind) for name in names]


def _amounts(prefix: str, names: Iterable[str]) -> list[tuple[str, str]]:
    return [
        field
        for name in names
        for field in ((f"{prefix}{name}.amount", MONEY), (f"{prefix}{name}.currencyCode", "string"))
    ]


def _b2b(names: Iterable[str]) -> list[str]:
    """Each metric, and the part of it that business customers have."""
    return [each for name in names for each in (name, f"{name}B2B")]


def _by_period(
    name: str,
    report_type: str,
    datasets: Iterable[Dataset],
    period: Period = Period.DAY,
    options: Mapping[str, str] | None = None,
) -> ReportDefinition:
    """A report that is asked for one period at a time, and that Amazon completes within days."""
    return ReportDefinition(
        name=name,
        api="selling_partner",
        report_type=report_type,
        layout="json",
        configuration={"reportPeriod": str(period), **(options or {})},
        datasets=tuple(datasets),
        policy=RestatementPolicy(
            daily=(2, 3),
            waves=(7,),
            max_range_days=1,
            retention_days=730,
            requests_per_day=4,
            backfill_per_day=10,
            closes=False,
            period=period,
        ),
    )


def _columns(fields: Iterable[tuple[str, str]], required: Sequence[str]) -> tuple[Column, ...]:
    return with_metrics(columns_of(fields, required))


def _rows(
    feed: str, records: str, fields: Fields, description: str, plotted: tuple[str, ...] = (), keys: tuple[str, ...] = ()
) -> Dataset:
    """A table whose rows name their period; ``keys`` are further columns that no row lacks."""
    return Dataset(
        feed=feed,
        records=records,
        date_field="endDate",
        description=description,
        plotted=plotted,
        schema_policy="evolve",
        columns=_columns([*_PERIOD, *((key, "string") for key in keys), *fields], required=("endDate", *keys)),
    )


_VIEWS = ("browserPageViews", "mobileAppPageViews", "pageViews", "browserSessions", "mobileAppSessions", "sessions")
_VIEW_SHARES = (
    *("browserPageViewsPercentage", "mobileAppPageViewsPercentage", "pageViewsPercentage"),
    *("browserSessionPercentage", "mobileAppSessionPercentage", "sessionPercentage"),
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
            columns=_columns(
                [
                    ("date", "date"),
                    *_amounts("salesByDate.", _b2b(("orderedProductSales", "averageSellingPrice"))),
                    *_amounts("salesByDate.", ("claimsAmount", "shippedProductSales")),
                    *_amounts("salesByDate.", _b2b(("averageSalesPerOrderItem",))),
                    *_fields("salesByDate.", "bigint", (*_b2b(("unitsOrdered", "totalOrderItems")), "unitsRefunded")),
                    *_fields("salesByDate.", "bigint", ("claimsGranted", "unitsShipped", "ordersShipped")),
                    *_fields("salesByDate.", "double", (*_b2b(("averageUnitsPerOrderItem",)), "refundRate")),
                    *_fields("trafficByDate.", "bigint", _b2b(_VIEWS)),
                    *_fields("trafficByDate.", "bigint", ("feedbackReceived", "negativeFeedbackReceived")),
                    *_fields("trafficByDate.", "double", _b2b(("buyBoxPercentage", "orderItemSessionPercentage"))),
                    *_fields("trafficByDate.", "double", (*_b2b(("unitSessionPercentage",)), "averageOfferCount")),
                    *_fields("trafficByDate.", "double", ("averageParentItems", "receivedNegativeFeedbackRate")),
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
            columns=_columns(
                [
                    ("parentAsin", "string"),
                    ("childAsin", "string"),
                    ("sku", "string"),
                    *_fields("salesByAsin.", "bigint", _b2b(("unitsOrdered", "totalOrderItems"))),
                    *_amounts("salesByAsin.", _b2b(("orderedProductSales",))),
                    *_fields("trafficByAsin.", "bigint", _b2b(_VIEWS)),
                    *_fields("trafficByAsin.", "double", _b2b(_VIEW_SHARES)),
                    *_fields("trafficByAsin.", "double", _b2b(("buyBoxPercentage", "unitSessionPercentage"))),
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

_SEARCH_TERMS = _by_period(
    "search_terms",
    "GET_BRAND_ANALYTICS_SEARCH_TERMS_REPORT",
    [
        Dataset(
            feed="search_terms",
            records="dataByDepartmentAndSearchTerm",
            description="Brand Analytics: what shoppers searched for and clicked, by day.",
            schema_policy="evolve",
            columns=_columns(
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
        )
    ],
)

_MARKET_BASKET = _by_period(
    "market_basket",
    "GET_BRAND_ANALYTICS_MARKET_BASKET_REPORT",
    [
        _rows(
            "market_basket",
            "dataByAsin",
            [("purchasedWithAsin", "string"), ("purchasedWithRank", "int"), ("combinationPct", "double")],
            "Brand Analytics: what is bought together with each of the seller's products, by day.",
            keys=("asin",),
        )
    ],
)

_REPEAT_PURCHASE = _by_period(
    "repeat_purchase",
    "GET_BRAND_ANALYTICS_REPEAT_PURCHASE_REPORT",
    [
        _rows(
            "repeat_purchase",
            "dataByAsin",
            [
                *(("orders", "bigint"), ("uniqueCustomers", "bigint"), ("repeatCustomersPctTotal", "double")),
                *_amounts("", ("repeatPurchaseRevenue",)),
                ("repeatPurchaseRevenuePctTotal", "double"),
            ],
            "Brand Analytics: repeated purchases by product and week; the date is the week's last, a Saturday.",
            plotted=("orders", "uniqueCustomers", "repeatPurchaseRevenue.amount"),
            keys=("asin",),
        )
    ],
    Period.WEEK,
)


def _query_step(group: str, name: str, count: str) -> list[tuple[str, str]]:
    """What a query's shoppers did in one step of the funnel, in all and with the product."""
    prefix = f"{group}."
    return [
        *_fields(prefix, "bigint", (f"total{count}Count", f"asin{count}Count")),
        *_fields(prefix, "double", (f"total{count}Rate", f"asin{count}Share")),
        *_amounts(prefix, (f"totalMedian{name}Price", f"asinMedian{name}Price")),
        *_fields(prefix, "bigint", (f"total{days}DayShipping{count}Count" for days in ("Same", "One", "Two"))),
    ]


_SEARCH_QUERY_PERFORMANCE = _by_period(
    "search_query_performance",
    "GET_BRAND_ANALYTICS_SEARCH_QUERY_PERFORMANCE_REPORT",
    [
        _rows(
            "search_query_performance",
            "dataByAsin",
            [
                ("searchQueryData.searchQuery", "string"),
                *_fields("searchQueryData.", "bigint", ("searchQueryScore", "searchQueryVolume")),
                *_fields("impressionData.", "bigint", ("totalQueryImpressionCount", "asinImpressionCount")),
                ("impressionData.asinImpressionShare", "double"),
                *_query_step("clickData", "Click", "Click"),
                *_query_step("cartAddData", "CartAdd", "CartAdd"),
                *_query_step("purchaseData", "Purchase", "Purchase"),
            ],
            "Brand Analytics: the funnel of search queries for chosen products, by week; the date is the week's last.",
            plotted=("impressionData.asinImpressionCount", "clickData.asinClickCount"),
            keys=("asin",),
        )
    ],
    Period.WEEK,
)

_DAYS_OF_SHIPPING = ("sameDay", "oneDay", "twoDay")
_SEARCH_CATALOG_PERFORMANCE = _by_period(
    "search_catalog_performance",
    "GET_BRAND_ANALYTICS_SEARCH_CATALOG_PERFORMANCE_REPORT",
    [
        _rows(
            "search_catalog_performance",
            "dataByAsin",
            [
                ("impressionData.impressionCount", "bigint"),
                *_amounts("impressionData.", ("impressionMedianPrice",)),
                *_fields("impressionData.", "bigint", (f"{d}ShippingImpressionCount" for d in _DAYS_OF_SHIPPING)),
                ("clickData.clickCount", "bigint"),
                ("clickData.clickRate", "double"),
                *_amounts("clickData.", ("clickedMedianPrice",)),
                *_fields("clickData.", "bigint", (f"{d}ShippingClickCount" for d in _DAYS_OF_SHIPPING)),
                ("cartAddData.cartAddCount", "bigint"),
                *_amounts("cartAddData.", ("cartAddedMedianPrice",)),
                *_fields("cartAddData.", "bigint", (f"{d}ShippingCartAddCount" for d in _DAYS_OF_SHIPPING)),
                ("purchaseData.purchaseCount", "bigint"),
                ("purchaseData.conversionRate", "double"),
                *_amounts("purchaseData.", ("searchTrafficSales", "purchaseMedianPrice")),
                *_fields("purchaseData.", "bigint", (f"{d}ShippingPurchaseCount" for d in _DAYS_OF_SHIPPING)),
            ],
            "Brand Analytics: the search funnel of each of the brand's products, by week; the date is the week's last.",
            plotted=("impressionData.impressionCount", "clickData.clickCount", "purchaseData.purchaseCount"),
            keys=("asin",),
        )
    ],
    Period.WEEK,
)


_VIEWED = {"distributorView": "MANUFACTURING", "sellingProgram": "RETAIL"}


def _of_vendor(
    name: str,
    report_type: str,
    kind: str,
    fields: Fields,
    only_aggregate: Fields,
    plotted: tuple[str, ...],
    what: str,
    *,
    views: Mapping[str, str] = _VIEWED,
) -> ReportDefinition:
    """A vendor's report with the whole catalog's totals and the same by product."""
    total, by_asin = f"{kind}Aggregate", f"{kind}ByAsin"
    every = [*fields]
    return _by_period(
        name,
        report_type,
        [
            _rows(f"{name}_total", total, [*every, *only_aggregate], f"{what} of a vendor's whole catalog.", plotted),
            _rows(f"{name}_by_asin", by_asin, every, f"{what} of a vendor by product.", plotted, ("asin",)),
        ],
        options=views,
    )


_VENDOR_SALES = _of_vendor(
    "vendor_sales",
    "GET_VENDOR_SALES_REPORT",
    "sales",
    [
        *_fields("", "bigint", ("customerReturns", "orderedUnits", "shippedUnits")),
        *_amounts("", ("orderedRevenue", "shippedCogs", "shippedRevenue")),
    ],
    (),
    ("orderedUnits", "shippedUnits", "shippedRevenue.amount"),
    "Sales",
)
_VENDOR_TRAFFIC = _of_vendor(
    "vendor_traffic",
    "GET_VENDOR_TRAFFIC_REPORT",
    "traffic",
    [("glanceViews", "bigint")],
    (),
    ("glanceViews",),
    "Views of the detail pages",
    views={},
)
_MARGIN = _of_vendor(
    "vendor_net_pure_margin",
    "GET_VENDOR_NET_PURE_PRODUCT_MARGIN_REPORT",
    "netPureProductMargin",
    [("netPureProductMargin", "double")],
    (),
    (),
    "Amazon's margin, as a fraction of the revenue after costs and marketing funds,",
    views={},
)
# Amazon has it four days after a date, which is later than the others.
_VENDOR_NET_PURE_MARGIN = replace(_MARGIN, policy=replace(_MARGIN.policy, daily=(4, 5), waves=(7, 14)))
_VENDOR_INVENTORY = _of_vendor(
    "vendor_inventory",
    "GET_VENDOR_INVENTORY_REPORT",
    "inventory",
    [
        *_fields("", "double", ("vendorConfirmationRate", "averageVendorLeadTimeDays", "sellThroughRate")),
        *_fields("", "bigint", ("netReceivedInventoryUnits", "openPurchaseOrderUnits", "unfilledCustomerOrderedUnits")),
        *_fields("", "bigint", ("sellableOnHandInventoryUnits", "unsellableOnHandInventoryUnits")),
        *_fields("", "bigint", ("aged90PlusDaysSellableInventoryUnits", "unhealthyInventoryUnits")),
        *_amounts("", ("netReceivedInventoryCost", "sellableOnHandInventoryCost", "unsellableOnHandInventoryCost")),
        *_amounts("", ("aged90PlusDaysSellableInventoryCost", "unhealthyInventoryCost")),
    ],
    _fields("", "double", ("procurableProductOutOfStockRate", "uft", "receiveFillRate")),
    ("sellableOnHandInventoryUnits", "openPurchaseOrderUnits"),
    "Inventory",
)

ANALYTICS = (
    *(_SALES_AND_TRAFFIC, _SEARCH_TERMS, _MARKET_BASKET, _REPEAT_PURCHASE),
    *(_SEARCH_QUERY_PERFORMANCE, _SEARCH_CATALOG_PERFORMANCE),
    *(_VENDOR_SALES, _VENDOR_TRAFFIC, _VENDOR_INVENTORY, _VENDOR_NET_PURE_MARGIN),
)
