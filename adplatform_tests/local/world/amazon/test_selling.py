"""Properties of the made-up sales: restatement and agreement of the reports."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, Marketplace
from adplatform.local.world.amazon.selling import Json, order_rows, sales_and_traffic

SEED = 7
DAY = date(2026, 9, 1)


def at_age(marketplace: Marketplace, day: date, days: int) -> Json:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(marketplace.timezone))
    as_of = (noon + timedelta(days=days)).astimezone(UTC)
    return sales_and_traffic(SEED, marketplace, day, day, {"asinGranularity": "CHILD"}, as_of)


@pytest.mark.parametrize("marketplace", DEMO_ACCOUNTS.marketplaces, ids=lambda m: m.country)
def test_sales_are_corrected_for_three_days(marketplace: Marketplace) -> None:
    changed = set()
    for n in range(20):
        day = DAY + timedelta(days=n)
        states = [at_age(marketplace, day, days) for days in range(1, 8)]
        units = [s["salesAndTrafficByDate"][0]["salesByDate"]["unitsOrdered"] for s in states]
        changed |= {
            days
            for days in range(2, 8)
            if states[days - 1]["salesAndTrafficByAsin"] != states[days - 2]["salesAndTrafficByAsin"]
        }
        assert units == sorted(units)
    assert changed <= {2, 3, 4}
    assert {2, 3} <= changed


def test_units_of_a_date_agree_with_the_orders() -> None:
    marketplace = DEMO_ACCOUNTS.marketplaces[0]
    start = datetime(2026, 9, 1, 7, tzinfo=UTC)  # midnight in Los Angeles
    later = start + timedelta(days=30)
    placed = order_rows(SEED, marketplace, start, start + timedelta(hours=24), later)
    day = sales_and_traffic(SEED, marketplace, DAY, DAY, {}, later)["salesAndTrafficByDate"][0]["salesByDate"]
    assert day["totalOrderItems"] == len(placed)


def test_orders_are_the_same_however_the_range_is_cut() -> None:
    marketplace = DEMO_ACCOUNTS.marketplaces[3]
    start, later = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
    second = timedelta(seconds=1)
    whole = order_rows(SEED, marketplace, start, start + timedelta(days=3) - second, later)
    parts = [
        row
        for n in range(3)
        for row in order_rows(
            SEED, marketplace, start + timedelta(days=n), start + timedelta(days=n + 1) - second, later
        )
    ]
    assert whole == parts
