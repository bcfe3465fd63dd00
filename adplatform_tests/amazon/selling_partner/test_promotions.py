"""Promotions and coupons: arrays within their records, and options that hold the dates of the order."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adplatform.amazon.moving_dates import filled
from adplatform.amazon.selling_partner.definitions import READY_MADE, check_options
from adplatform.amazon.selling_partner.promotions import PROMOTIONS
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.selling_promotions import SERVED
from adplatform.local.world.amazon.selling_served import Asked
from adplatform_tests.amazon.selling_partner.contract import read

FIRST, LAST = date(2026, 9, 1), date(2026, 9, 9)
COUPON: dict[str, Any] = {
    "couponId": "A2NW32V27GZS2T",
    "name": "40 Off",
    "startDateTime": "2026-09-02T23:59:59Z",
    "endDateTime": "2026-09-29T23:59:59Z",
    "isOncePerCustomer": True,
    "customerSegment": "All (Default)",
    "clips": 13,
    "redemptions": 1,
    "totalDiscount": 40.0,
    "budgetSpent": 42.29,
    "budgetPercentageUsed": 0.4,
}


def document(records: str, *rows: dict[str, Any]) -> bytes:
    return json.dumps({"reportSpecification": {"reportOptions": {}}, records: list(rows)}).encode()


def test_every_product_of_a_promotion_is_a_row_that_says_of_which(tmp_path: Path) -> None:
    products = [
        {"asin": f"B{n}", "productName": "Zelt", "productUnitsSold": n, "productRevenue": 16371.85} for n in (1, 2)
    ]
    one = {
        "promotionId": "16913551269",
        "unitsSold": 3,
        "revenue": 32917.01,
        "startDateTime": "2026-09-03T12:34:56Z",
        "endDateTime": "2026-09-04T12:34:56Z",
        "glanceViews": 41084,
        "includedProducts": products,
    }
    other = {**one, "promotionId": "2", "includedProducts": []}
    found = read(READY_MADE["promotion_performance"], document("promotions", one, other), FIRST, LAST, tmp_path)
    assert [(r["promotion_id"], r["units_sold"], r["revenue"]) for r in found["promotion_performance"]] == [
        ("16913551269", 3, Decimal("32917.01")),
        ("2", 3, Decimal("32917.01")),
    ]
    assert not [name for name in found["promotion_performance"][0] if "included" in name], "they are in the other table"
    assert [
        (r["promotion_id"], r["included_products_asin"], r["included_products_product_units_sold"], r["dt"])
        for r in found["promotion_performance_products"]
    ] == [("16913551269", f"B{n}", n, date(2026, 9, 3)) for n in (1, 2)]
    assert "revenue" not in found["promotion_performance_products"][0], "it would be counted once for each product"


def test_a_vendors_coupons_are_rows_of_their_campaigns_and_their_products_of_them(tmp_path: Path) -> None:
    asins = [{"asin": f"B{n}", "discountType": "AMOUNT_OFF_LIST_PRICE", "discountAmount": 4.99} for n in (1, 2)]
    campaign = {
        "campaignId": "AMZ",
        "campaignName": "Thanksgiving",
        "totalClips": 26,
        "isSubscribeAndSave": False,
        "coupons": [{**COUPON, "asins": asins}, {**COUPON, "couponId": "B", "asins": []}],
    }
    found = read(READY_MADE["vendor_coupon_performance"], document("campaigns", campaign), FIRST, LAST, tmp_path)
    assert [
        (r["campaign_id"], r["coupons_coupon_id"], r["total_clips"], r["coupons_clips"], r["coupons_budget_spent"])
        for r in found["vendor_coupon_performance"]
    ] == [("AMZ", "A2NW32V27GZS2T", 26, 13, Decimal("42.29")), ("AMZ", "B", 26, 13, Decimal("42.29"))]
    assert [
        (r["coupons_coupon_id"], r["coupons_asins_asin"], r["coupons_asins_discount_amount"], r["dt"])
        for r in found["vendor_coupon_performance_asins"]
    ] == [("A2NW32V27GZS2T", f"B{n}", Decimal("4.99"), date(2026, 9, 2)) for n in (1, 2)]


def test_a_sellers_coupons_are_what_the_simulated_amazon_says(tmp_path: Path) -> None:
    for definition in PROMOTIONS:
        work = tmp_path / definition.name
        work.mkdir()
        options = filled(definition.configuration, FIRST, LAST, ZoneInfo("UTC"))
        start, end = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (FIRST, LAST))
        order = Asked(7, [DEMO_ACCOUNTS.marketplaces[2]], start, end, options, datetime(2026, 9, 20, tzinfo=UTC))
        served = SERVED[definition.report_type]
        assert served.ending(order).status == "DONE"
        found = read(definition, served.document(order, empty=False), FIRST, LAST, work)
        own, parts = found.values()
        assert len(own) == len(served.rows(order)) == 18
        assert len(parts) >= len(own)


def test_dates_in_options_are_those_of_the_order_where_its_days_are() -> None:
    options = {"from": "{start}", "to": "{end}", "days": "{start:date}/{end:date}", "plain": "x"}
    assert filled(options, FIRST, LAST, ZoneInfo("America/Los_Angeles")) == {
        "from": "2026-09-01T07:00:00Z",
        "to": "2026-09-10T06:59:59Z",
        "days": "2026-09-01/2026-09-09",
        "plain": "x",
    }
    with pytest.raises(ValueError, match=r"option from has {begin}; what is replaced is {start}, {end}, {start:date}"):
        check_options("mine", "GET_ANY", {"from": "{begin}"})
