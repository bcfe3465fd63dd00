"""Ready-made and own reports of the Selling Partner API from order to table, with documents of made data."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adplatform.failures import PermanentFailure
from adplatform.ledger.report import ReportState
from adplatform_tests.pull.conftest import Open
from adplatform_tests.pull.made_amazon import MadeAmazon, Order
from adplatform_tests.pull.seller import GERMANY, MORNING, declared

SATURDAY = date(2026, 9, 19)


def days(order: Order) -> tuple[str, str]:
    return order["dataStartTime"][:10], order["dataEndTime"][:10]


def analytics(**tables: Callable[[str, str], list[dict[str, Any]]]) -> Callable[[Order], bytes]:
    """A document whose tables are made from the first and the last date that were asked for."""

    def made(order: Order) -> bytes:
        options = order.get("reportOptions")
        body = {"reportSpecification": {"reportOptions": options}, **{n: t(*days(order)) for n, t in tables.items()}}
        return gzip.compress(json.dumps(body).encode())

    return made


def money(amount: float) -> dict[str, Any]:
    return {"amount": amount, "currencyCode": "EUR"}


def period(start: str, end: str, **more: Any) -> list[dict[str, Any]]:
    return [{"startDate": start, "endDate": end, **more}]


def query_step(name: str, count: int) -> dict[str, Any]:
    return {
        f"total{name}Count": count,
        f"asin{name}Count": count // 10,
        f"total{name}Rate": 0.25,
        f"asin{name}Share": 0.1,
        f"totalMedian{name}Price": money(19.99),
        f"total{'Same'}DayShipping{name}Count": 3,
    }


@dataclass(frozen=True)
class Case:
    """A ready-made report, what Amazon is made to say, the columns to look at and the row of each date."""

    declared: Any
    report_type: str
    document: Callable[[Order], bytes]
    table: str
    columns: str
    row: tuple[Any, ...]
    weekly: bool = False
    partner: str = "seller"


CASES = [
    Case(
        "market_basket",
        "GET_BRAND_ANALYTICS_MARKET_BASKET_REPORT",
        analytics(
            dataByAsin=lambda s, e: period(
                s, e, asin="B1", purchasedWithAsin="B2", purchasedWithRank=1, combinationPct=0.5
            )
        ),
        "market_basket",
        "asin, purchased_with_asin, purchased_with_rank, combination_pct",
        ("B1", "B2", 1, 0.5),
    ),
    Case(
        "repeat_purchase",
        "GET_BRAND_ANALYTICS_REPEAT_PURCHASE_REPORT",
        analytics(
            dataByAsin=lambda s, e: period(
                s, e, asin="B1", orders=12, uniqueCustomers=11, repeatPurchaseRevenue=money(2246.13)
            )
        ),
        "repeat_purchase",
        "asin, orders, unique_customers, repeat_purchase_revenue_amount, repeat_purchase_revenue_currency_code",
        ("B1", 12, 11, Decimal("2246.13"), "EUR"),
        weekly=True,
    ),
    Case(
        {"name": "search_query_performance", "options": {"asin": "B000000001 B000000002"}},
        "GET_BRAND_ANALYTICS_SEARCH_QUERY_PERFORMANCE_REPORT",
        analytics(
            dataByAsin=lambda s, e: period(
                *(s, e),
                asin="B000000001",
                searchQueryData={"searchQuery": "grüner tee", "searchQueryScore": 1, "searchQueryVolume": 900},
                impressionData={"totalQueryImpressionCount": 100, "asinImpressionCount": 10},
                clickData=query_step("Click", 50),
                cartAddData=query_step("CartAdd", 20),
                purchaseData=query_step("Purchase", 10),
            )
        ),
        "search_query_performance",
        """search_query_data_search_query, click_data_total_click_count, cart_add_data_asin_cart_add_count,
        purchase_data_total_median_purchase_price_amount, click_data_total_same_day_shipping_click_count""",
        ("grüner tee", 50, 2, Decimal("19.99"), 3),
        weekly=True,
    ),
    Case(
        "search_catalog_performance",
        "GET_BRAND_ANALYTICS_SEARCH_CATALOG_PERFORMANCE_REPORT",
        analytics(
            dataByAsin=lambda s, e: period(
                *(s, e),
                asin="B1",
                impressionData={"impressionCount": 100, "impressionMedianPrice": money(5.5)},
                clickData={"clickCount": 9, "clickRate": 0.09},
                purchaseData={"purchaseCount": 2, "searchTrafficSales": money(11)},
            )
        ),
        "search_catalog_performance",
        """asin, impression_data_impression_count, click_data_click_rate,
        purchase_data_search_traffic_sales_amount, cart_add_data_cart_add_count""",
        ("B1", 100, 0.09, Decimal(11), None),
        weekly=True,
    ),
    Case(
        "vendor_sales",
        "GET_VENDOR_SALES_REPORT",
        analytics(
            salesAggregate=lambda s, e: period(s, e, shippedUnits=7, shippedRevenue=money(70.1), shippedCogs=money(50)),
            salesByAsin=lambda s, e: period(s, e, asin="B1", shippedUnits=7, shippedRevenue=money(70.1)),
        ),
        "vendor_sales_total",
        "shipped_units, shipped_revenue_amount, shipped_cogs_amount, ordered_units",
        (7, Decimal("70.1"), Decimal(50), None),
        partner="vendor",
    ),
    Case(
        {"name": "vendor_traffic", "options": {"reportPeriod": "WEEK"}},
        "GET_VENDOR_TRAFFIC_REPORT",
        analytics(
            trafficAggregate=lambda s, e: period(s, e, glanceViews=350),
            trafficByAsin=lambda s, e: period(s, e, asin="B1", glanceViews=350),
        ),
        "vendor_traffic_by_asin",
        "asin, glance_views",
        ("B1", 350),
        weekly=True,
        partner="vendor",
    ),
    Case(
        "vendor_inventory",
        "GET_VENDOR_INVENTORY_REPORT",
        analytics(
            inventoryAggregate=lambda s, e: period(s, e, uft=0.19, sellableOnHandInventoryUnits=5490),
            inventoryByAsin=lambda s, e: period(
                s, e, asin="B1", sellThroughRate=-0.5, aged90PlusDaysSellableInventoryCost=money(123.5)
            ),
        ),
        "vendor_inventory_by_asin",
        "asin, sell_through_rate, aged90_plus_days_sellable_inventory_cost_amount",
        ("B1", -0.5, Decimal("123.5")),
        partner="vendor",
    ),
]


@pytest.mark.parametrize(
    ("partner", "most"),
    [("seller", 2), *(pytest.param(partner, None, marks=pytest.mark.slow) for partner in ("seller", "vendor"))],
)
def test_ready_made_reports_come_by_whole_periods_and_are_what_amazon_says(
    opened: Open, partner: str, most: int | None
) -> None:
    cases = [case for case in CASES if case.partner == partner][:most]
    vendor = {"partner": "vendor", "marketplaces": [GERMANY.id]} if partner == "vendor" else {}
    documents = {case.report_type: case.document for case in cases}
    amazon = MadeAmazon(documents, {} if vendor else {GERMANY.id: "DE"})
    seller = opened(amazon, *(case.declared for case in cases), start_date=SATURDAY, history="9d", **vendor)
    seller.day()
    for case in cases:
        ends = [SATURDAY] if case.weekly else [SATURDAY, SATURDAY + timedelta(days=1)]
        asked = [(end - timedelta(days=6 if case.weekly else 0), end) for end in ends]
        wanted = [(f"{first}T00:00:00Z", f"{last}T23:59:59Z") for first, last in asked]
        assert amazon.ranges(case.report_type) == wanted
        assert seller.table(case.table, f"{case.columns}, dt") == [(*case.row, end) for end in ends]
        assert {r.state for r in seller.reports(_name(case.declared))} == {ReportState.DONE}


def _name(report: Any) -> str:
    return report if isinstance(report, str) else str(report["name"])


ORDERS = """amazon-order-id\tpurchase-date\tlast-updated-date\torder-status\tquantity\titem-price\tship-city\tcountry
1\t2026-09-10T08:00:00+00:00\t2026-09-20T08:00:00+00:00\tPending\t1\t10.00\tKöln\tDE
2\t2026-09-21T08:00:00+00:00\t2026-09-21T08:00:00+00:00\tShipped\t2\t5.50\tKöln\tDE
"""


def test_an_order_that_changes_again_moves_to_the_date_of_that_change(opened: Open) -> None:
    text = [ORDERS]
    kind = "GET_FLAT_FILE_ALL_ORDERS_DATA_BY_LAST_UPDATE_GENERAL"
    amazon = MadeAmazon({kind: lambda _: text[0].encode()}, charset="utf-8")
    seller = opened(amazon, "updated_orders", history="2d")
    seller.day()
    found = "amazon_order_id, order_status, item_price, dt"
    assert amazon.ranges() == [("2026-09-20T00:00:00Z", "2026-09-21T23:59:59Z")]
    assert seller.table("updated_orders", found) == [
        ("1", "Pending", Decimal(10), date(2026, 9, 20)),
        ("2", "Shipped", Decimal("5.5"), date(2026, 9, 21)),
    ]
    lines = ORDERS.splitlines(keepends=True)
    text[0] = lines[0] + lines[1].replace("2026-09-20", "2026-09-22").replace("Pending", "Shipped") + lines[2]
    seller.later(days=1)
    seller.day()
    assert seller.table("updated_orders", found)[0] == ("1", "Pending", Decimal(10), date(2026, 9, 20))
    assert seller.table("updated_orders", found)[-2:] == [
        ("1", "Shipped", Decimal(10), date(2026, 9, 22)),
        ("2", "Shipped", Decimal("5.5"), date(2026, 9, 21)),
    ]


SHIPPING_TYPE = "GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING"
SHIPPING = {
    "name": "shipping_orders",
    "report_type": SHIPPING_TYPE,
    "format": "tsv",
    "restricted": True,
    "date_field": "purchase-date",
    "retention_days": 30,
    "description": "Orders to ship.",
    "columns": {
        "order-id": {"required": True},
        "purchase-date": "timestamp",
        "buyer-email": {"pii": "email"},
        "recipient-name": {"drop": True},
        "ship-city": {"pii": {"kind": "city", "country_column": "ship_country"}},
        "ship-country": "string",
        "quantity-purchased": "int",
    },
    "plotted": ["quantity-purchased"],
}
SHIPPED = (
    "order-id\tpurchase-date\tbuyer-email\trecipient-name\tship-city\tship-country\tquantity-purchased\n"
    "1\t2026-09-20T00:26:44+02:00\tann@example.com\tAnn Müller\tKöln\tDE\t1\n"
    "2\t2026-09-20T22:30:00+00:00\tbob@example.com\tBob Groß\tGießen\tDE\t2\n"
)


def test_a_restricted_report_is_read_with_its_token_and_its_personal_columns_are_hashed(opened: Open) -> None:
    amazon = MadeAmazon({SHIPPING_TYPE: lambda _: SHIPPED.encode("cp1252")}, restricted=frozenset({SHIPPING_TYPE}))
    seller = opened(amazon, SHIPPING, history="2d")
    seller.day()
    assert amazon.ranges() == [("2026-09-19T22:00:00Z", "2026-09-21T21:59:59Z")], "whole days of the marketplace"
    assert list(amazon.tokens.values()) == ["/reports/2021-06-30/documents/1"]
    assert seller.table("shipping_orders", "order_id, quantity_purchased, dt") == [
        ("1", 1, date(2026, 9, 20)),
        ("2", 2, date(2026, 9, 21)),
    ]
    columns = seller.columns("shipping_orders")
    assert {"buyer_email_lake", "ship_city_lake"} <= set(columns)
    assert not {"buyer_email", "recipient_name", "ship_city"} & set(columns)
    stored = str(seller.table("shipping_orders"))
    assert not any(text in stored for text in ("ann@", "Ann", "Köln", "Groß"))


@pytest.mark.parametrize(
    "document",
    [
        SHIPPED.replace("\t", ","),
        SHIPPED.replace("order-id", "id"),
        SHIPPED.replace("ship-city", "Ann Müller").replace("recipient-name", "Ann Müller"),
        json.dumps([{"buyer": "Ann Müller"}], ensure_ascii=False),
        "Ann Müller, Köln",
    ],
    ids=["no table", "another table", "columns twice", "json", "text"],
)
def test_what_is_no_restricted_report_is_refused_without_a_word_of_it(
    opened: Open, document: str, caplog: pytest.LogCaptureFixture
) -> None:
    amazon = MadeAmazon({SHIPPING_TYPE: lambda _: document.encode()}, restricted=frozenset({SHIPPING_TYPE}))
    seller = opened(amazon, SHIPPING, history="2d")
    seller.day()
    [report] = seller.reports("shipping_orders")
    assert report.state is ReportState.FAILED
    assert report.error
    assert not any(text in report.error + caplog.text for text in ("Ann", "Müller", "Köln", "ann@"))


def test_a_column_that_nobody_declared_never_reaches_the_table_of_a_restricted_report(opened: Open) -> None:
    first, *rest = SHIPPED.splitlines()
    document = "\n".join([f"{first}\tgift-message", *(f"{line}\tfor Ann Müller" for line in rest)])
    amazon = MadeAmazon({SHIPPING_TYPE: lambda _: document.encode()}, restricted=frozenset({SHIPPING_TYPE}))
    seller = opened(amazon, SHIPPING, history="1d")
    with pytest.raises(PermanentFailure, match="not declared in the contract: 'gift-message'") as refused:
        seller.day()
    assert "Ann" not in str(refused.value)
    assert not seller.services.ledger.deliveries.get(
        f"seller/shipping_orders/{GERMANY.id}", date(2026, 9, 21)
    ).published


def test_an_own_report_may_be_several_tables(opened: Open) -> None:
    kind = "GET_PROMOTION_PERFORMANCE_REPORT"
    document = analytics(
        promotions=lambda s, e: [{"promotionId": "p", "day": s, "revenue": 10.123456789, "status": "ACTIVE"}],
        products=lambda s, e: [{"asin": "B1", "day": s, "units": {"sold": 4}, "new": "x"}],
    )
    own = {
        "name": "promotions",
        "report_type": kind,
        "format": "json",
        "schema_policy": "evolve",
        "max_range_days": 7,
        "dates_in": "utc",
        "options": {"promotionStartDateFrom": "2026-01-01T00:00:00Z"},
        "restatement": {"daily": [1], "waves": [3]},
        "tables": [
            {
                "name": "promotions",
                "records": "promotions",
                "date_field": "day",
                "columns": {"promotionId": {"required": True}, "day": "date", "revenue": "decimal(12,2)"},
                "plotted": ["revenue"],
            },
            {
                "name": "promoted_products",
                "records": "products",
                "date_field": "day",
                "columns": {"asin": None, "day": "date", "units.sold": "int"},
                "plotted": ["units_sold"],
            },
        ],
    }
    amazon = MadeAmazon({kind: document})
    seller = opened(amazon, own, history="2d")
    seller.day()
    assert amazon.orders[0]["reportOptions"] == own["options"]
    assert amazon.ranges() == [("2026-09-20T00:00:00Z", "2026-09-21T23:59:59Z")]
    first = date(2026, 9, 20)
    assert seller.table("promotions", "promotion_id, revenue, status, dt") == [("p", Decimal("10.12"), "ACTIVE", first)]
    assert seller.table("promoted_products", "asin, units_sold, new, dt") == [("B1", 4, "x", first)]
    assert [
        o.totals for o in seller.services.ledger.observations.of_day(f"seller/promoted_products/{GERMANY.id}", first)
    ] == [{"units.sold": Decimal(4)}]


@pytest.mark.slow
def test_a_ready_made_report_with_other_options_has_tables_of_its_own(opened: Open) -> None:
    kind = "GET_SALES_AND_TRAFFIC_REPORT"

    def document(order: Order) -> bytes:
        level = {"sku": "S1"} if order["reportOptions"]["asinGranularity"] == "SKU" else {}
        return analytics(
            salesAndTrafficByDate=lambda s, e: [{"date": s, "salesByDate": {"unitsOrdered": 3, "unitsOrderedB2B": 1}}],
            salesAndTrafficByAsin=lambda s, e: [{"parentAsin": "B1", **level, "salesByAsin": {"unitsOrdered": 3}}],
        )(order)

    amazon = MadeAmazon({kind: document})
    weekly = {
        "name": "weekly_sales",
        "extends": "sales_and_traffic",
        "options": {"dateGranularity": "WEEK", "asinGranularity": "SKU"},
        "tables": [{"name": "sales_and_traffic_by_asin", "columns": {"salesByAsin.unitsRefunded": "bigint"}}],
        "description": "By week and SKU.",
    }
    seller = opened(amazon, "sales_and_traffic", weekly, history="9d", start_date=SATURDAY)
    seller.day()
    assert ("2026-09-13T00:00:00Z", "2026-09-19T23:59:59Z") in amazon.ranges()
    assert seller.table("sales_and_traffic_by_asin", "sku, dt") == [(None, date(2026, 9, n)) for n in (19, 20)]
    units = "sales_by_date_units_ordered, sales_by_date_units_ordered_b2b, dt"
    assert seller.table("weekly_sales_by_date", units) == [(3, 1, SATURDAY)]
    assert seller.table("weekly_sales_by_asin", "sku, sales_by_asin_units_refunded, dt") == [("S1", None, SATURDAY)]


def test_a_week_that_amazon_mixed_up_changes_nothing(opened: Open) -> None:
    kind = "GET_BRAND_ANALYTICS_REPEAT_PURCHASE_REPORT"
    document = analytics(dataByAsin=lambda s, e: period("2026-09-06", "2026-09-12", asin="B1", orders=1))
    seller = opened(MadeAmazon({kind: document}), "repeat_purchase", history="9d")
    seller.day()
    [report] = seller.reports("repeat_purchase")
    assert report.state is ReportState.FAILED
    assert "endDate of 2026-09-19" in report.error


SETTLEMENT = "GET_V2_SETTLEMENT_REPORT_DATA_FLAT_FILE_V2"
SETTLED = "settlement-id\tcurrency\ttotal-amount\tamount\n7\tEUR\t1.234,50\n7\t\t\t1.234,50\n"


@pytest.mark.slow
def test_a_settlement_of_several_marketplaces_is_entered_once(opened: Open) -> None:
    france = "A13V1IB3VIYZZH"
    both = [GERMANY.id, france]
    reported = {
        "reportId": "s1",
        "reportType": SETTLEMENT,
        "reportDocumentId": "sd1",
        "processingStatus": "DONE",
        "marketplaceIds": both,
        "createdTime": (MORNING - timedelta(days=1)).isoformat(),
        "dataStartTime": (MORNING - timedelta(days=15)).isoformat(),
        "dataEndTime": (MORNING - timedelta(days=2)).isoformat(),
    }
    amazon = MadeAmazon(
        {SETTLEMENT: lambda _: SETTLED.encode()}, {GERMANY.id: "DE", france: "FR"}, discovered=[reported]
    )
    seller = opened(amazon, "settlements", history="14d", marketplaces=[GERMANY.id])
    seller.day()
    seller.account = declared("settlements", history="14d", spread="2h")
    for _ in range(6):
        seller.later(hours=5)
        reported["marketplaceIds"] = reported["marketplaceIds"][::-1]
        seller.day()
    entered = {s: seller.services.ledger.reports.of_feed(f"seller/settlements/{s}") for s in both}
    assert [len(found) for found in entered.values()] == [1, 0]
    assert seller.table("settlements", "sum(amount), max(total_amount)") == [(Decimal("1234.5"), Decimal("1234.5"))]


def test_a_type_that_amazon_makes_by_itself_can_be_declared(opened: Open) -> None:
    reported = {
        "reportId": "v1",
        "reportType": "GET_V2_SETTLEMENT_REPORT_DATA_FLAT_FILE",
        "reportDocumentId": "d1",
        "processingStatus": "DONE",
        "marketplaceIds": [GERMANY.id],
        "createdTime": MORNING.isoformat(),
        "dataStartTime": "2026-09-01T00:00:00+00:00",
        "dataEndTime": "2026-09-15T00:00:00+00:00",
    }
    own = {
        "name": "old_settlements",
        "report_type": reported["reportType"],
        "format": "tsv",
        "discovered": True,
        "localized": True,
        "dates_in": "utc",
        "columns": {"settlement-id": {"required": True}, "currency": None, "total-amount": "decimal(18,2)"},
        "schema_policy": "evolve",
    }
    amazon = MadeAmazon({str(reported["reportType"]): lambda _: SETTLED.encode()}, discovered=[reported])
    seller = opened(amazon, own, history="14d")
    seller.day()
    assert amazon.orders == []
    found = seller.table("old_settlements", "settlement_id, total_amount, amount, dt")
    assert found == [("7", Decimal("1234.5"), "", date(2026, 9, 15)), ("7", None, "1.234,50", date(2026, 9, 15))]


def test_dates_are_whole_where_clocks_change(opened: Open) -> None:
    own = {**SHIPPING, "name": "late", "restatement": {"daily": [1], "waves": []}, "max_range_days": 1}
    amazon = MadeAmazon({SHIPPING_TYPE: lambda _: SHIPPED.replace("2026-09-2", "2026-10-2").encode()})
    seller = opened(amazon, own, history="1d")
    seller.later(days=(datetime(2026, 10, 26, tzinfo=MORNING.tzinfo) - MORNING).days + 1)
    seller.orders()
    assert amazon.ranges() == [("2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z")], "25 hours"


@pytest.mark.slow
def test_a_report_of_other_options_that_was_adopted_changes_nothing(opened: Open) -> None:
    kind = "GET_BRAND_ANALYTICS_SEARCH_QUERY_PERFORMANCE_REPORT"

    def document(order: Order) -> bytes:
        asins = order["reportOptions"]["asin"].split()
        return analytics(dataByAsin=lambda s, e: [row for a in asins for row in period(s, e, asin=a)])(order)

    first, second = (
        {"name": name, "extends": "search_query_performance", "options": {"asin": asin}}
        for name, asin in (("first", "B000000001 B000000002"), ("second", "B000000003"))
    )
    amazon = MadeAmazon({kind: document}, lose=2)
    seller = opened(amazon, first, second, history="9d")
    seller.orders()
    for _ in range(3):
        seller.later(minutes=10)
        seller.day()
    reports = [*seller.reports("first"), *seller.reports("second")]
    assert all(report.adopted for report in reports)
    assert len(amazon.orders) == 2
    mixed_up = [report for report in reports if report.state is ReportState.FAILED]
    assert len(mixed_up) == 2, "each took the other's"
    assert "asin B000000003 instead of B000000001 B000000002" in mixed_up[0].error
    seller.later(days=1)
    amazon.created = MORNING + timedelta(days=1)
    seller.day()
    assert seller.table("first", "asin") == [("B000000001",), ("B000000002",)]
    assert seller.table("second", "asin") == [("B000000003",)]
