"""Reports of a present state: each date has what was so on it, and nothing that was so on another."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adplatform.cli.report_history import judged
from adplatform.flow.slices import publish_slice
from adplatform.ledger.report import ReportState
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.inventory import ALL_LISTINGS, document
from adplatform.pull.awaited import awaited
from adplatform.pull.due import reports_due
from adplatform.pull.ends import anew
from adplatform.pull.land import Landed, claim, land
from adplatform.pull.plan import intend_days
from adplatform.pull.watch import Gap, freshness, gaps
from adplatform_tests.pull.conftest import Open
from adplatform_tests.pull.made_amazon import MadeAmazon, Order
from adplatform_tests.pull.seller import GERMANY, MORNING, Seller, declared
from adplatform_tests.support.platforms import Inbox
from adplatform_tests.support.runs import Nobody

TODAY = MORNING.date()
STOCK: dict[str, Any] = {
    "name": "stock",
    "report_type": "GET_FBA_MYI_ALL_INVENTORY_DATA",
    "format": "tsv",
    "snapshot": True,
    "columns": {"sku": {"required": True}, "quantity": "int"},
}
JAPAN = next(m for m in DEMO_ACCOUNTS.marketplaces if m.country == "JP")
FEED = f"seller/stock/{GERMANY.id}"
MIDNIGHT = MORNING.replace(hour=22)
"""In Germany, when the 23rd begins."""

Stocked = Callable[..., tuple[Seller, MadeAmazon]]


@pytest.fixture
def stocked(opened: Open) -> Stocked:
    """Opens a seller whose stock is day and hour (UTC) at which Amazon gives the document."""

    def open_one(table_format: str = "parquet", **changes: Any) -> tuple[Seller, MadeAmazon]:
        amazon = MadeAmazon({STOCK["report_type"]: lambda _: f"sku\tquantity\nA\t{seller.at[0]:%d%H}\n".encode()})
        seller = opened(amazon, STOCK | changes, history="90d", table_format=table_format)
        return seller, amazon

    return open_one


def stock(seller: Seller) -> list[tuple[date, int]]:
    return seller.table("stock", "dt, quantity")


def days_after(seller: Seller, *days: int) -> None:
    for day in days:
        seller.at[0] = MORNING + timedelta(days=day)
        seller.day()


def told(inbox: Inbox) -> list[tuple[str, str]]:
    """Of messages about reports that did not come: the event, and the first date."""
    return [(m["event"], m.get("first") or m["start"]) for m in inbox.read() if m["event"].startswith("report_")]


@pytest.mark.parametrize("days", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_each_day_is_a_date_of_its_own_and_none_is_asked_for_or_written_again(stocked: Stocked, days: int) -> None:
    seller, amazon = stocked()
    days_after(seller, *range(days))
    dates = [TODAY + timedelta(days=n) for n in range(days)]
    assert stock(seller) == [(day, day.day * 100 + 9) for day in dates]
    asked = [(r.asked_on, r.start, r.end, r.state) for r in seller.reports("stock")]
    assert asked == [(day, day, day, ReportState.DONE) for day in dates], "a start long ago asks for nothing older"
    assert not any({"dataStartTime", "dataEndTime"} & order.keys() for order in amazon.orders), "now is no range"
    assert {seller.services.ledger.deliveries.get(FEED, day).version for day in dates} == {1}


@pytest.mark.parametrize("arrived", [True, False], ids=["it arrived", "it did not"])
def test_an_order_of_before_midnight_is_of_its_day_whenever_it_is_made_and_not_placed_after_it(
    stocked: Stocked, arrived: bool
) -> None:
    seller, amazon = stocked()
    inbox = Inbox.subscribe(seller.services)
    seller.at[0] = MIDNIGHT - timedelta(seconds=30)
    amazon.created, amazon.lose = seller.at[0], 1
    seller.orders()
    if not arrived:
        amazon.orders.clear()
    seller.at[0] = MIDNIGHT + timedelta(minutes=6)
    seller.day()
    if arrived:
        assert seller.table("stock", "dt, wave") == [(TODAY, 0)]
        assert told(inbox) == []
    else:
        [report] = seller.reports("stock")
        assert (report.state, report.error) == (
            ReportState.FAILED,
            "2026-09-22 was over before Amazon took the order, and a snapshot cannot be asked for afterwards",
        )
        assert told(inbox) == [("report_failed", str(TODAY))]
    seller.at[0] = MORNING + timedelta(days=1)
    seller.orders()
    assert len(amazon.orders) == (2 if arrived else 1), "the next day has an order of its own"


def test_what_somebody_ordered_the_day_before_is_not_taken_for_todays(stocked: Stocked) -> None:
    seller, amazon = stocked()
    seller.account = declared(STOCK, request_at="00:00")
    others = {"reportId": "other", "reportType": STOCK["report_type"], "marketplaceIds": [GERMANY.id]}
    amazon.discovered = [others | {"processingStatus": "DONE", "createdTime": str(MIDNIGHT - timedelta(minutes=5))}]
    seller.at[0], amazon.created, amazon.lose = MIDNIGHT + timedelta(minutes=1), MIDNIGHT, 1
    seller.orders()
    amazon.orders.clear()
    seller.later(minutes=6)
    seller.orders()
    assert [(r.report_id, r.adopted) for r in seller.reports("stock")] == [("1", False)]


def test_a_day_that_passed_stays_a_gap_that_is_told_once_and_shown(stocked: Stocked) -> None:
    seller, amazon = stocked()
    inbox = Inbox.subscribe(seller.services)
    days_after(seller, 0, 3)
    assert told(inbox) == [("report_dates_lost", "2026-09-23")]
    seller.later(days=1)
    seller.orders()
    assert told(inbox) == []
    passed = [TODAY + timedelta(days=n) for n in (1, 2)]
    assert {day for day, _ in stock(seller)} == {TODAY, TODAY + timedelta(days=3)}
    ledger, [definition] = seller.services.ledger, seller.account.definitions
    assert gaps(ledger, seller.account, definition) == [Gap(GERMANY.id, tuple(passed))]
    assert intend_days(ledger, seller.account, definition, GERMANY.id, {*passed, TODAY + timedelta(days=5)}) == []
    stands = awaited(ledger, seller.account, definition, GERMANY.id, passed)
    why = "it is a snapshot, which shows what is so when it is asked for: it cannot be asked for a date that is over"
    assert stands.missing == dict.fromkeys(passed, f"{why}, in Europe/Berlin")
    assert len(amazon.orders) == 3
    [age] = freshness(ledger, seller.account, definition, "stock", timedelta(hours=36))
    assert not age.overdue
    seller.at[0] = MIDNIGHT + timedelta(days=3, hours=13)
    [age] = freshness(ledger, seller.account, definition, "stock", timedelta(hours=36))
    assert age.overdue, "at the hour at which a daily report would be, while today's can still be asked for"


def test_a_second_document_of_a_date_is_not_published_over_the_first(stocked: Stocked) -> None:
    seller, _ = stocked()
    days_after(seller, 0)
    [first] = seller.reports("stock")
    seller.services.ledger.reports.intend(anew(first, sequence=2))
    seller.later(hours=2)
    seller.day()
    assert [r.state for r in seller.reports("stock")] == [ReportState.DONE] * 2
    assert stock(seller) == [(TODAY, 2209)]
    said = judged(seller.services.ledger.observations.of_day(FEED, TODAY))
    assert [brought for _, brought in said] == ["the first rows", "nothing: a date keeps its first snapshot"]


def begun(seller: Seller) -> list[Landed]:
    """What landed in a run that dies then."""
    seller.orders()
    seller.later(minutes=20)
    seller.poll()
    [due] = reports_due(seller.services, seller.account, Nobody())
    work = seller.work / f"dead {seller.at[0]:%d}"
    work.mkdir()
    claimed = claim(seller.services.ledger, due.report, "dead")
    return land(seller.services, seller.account, lambda: seller.api, claimed, work, sleep=lambda _: None)[1]


def test_a_run_that_dies_after_landing_publishes_what_it_landed(stocked: Stocked) -> None:
    seller, _ = stocked()
    begun(seller)
    assert seller.services.ledger.deliveries.get(FEED, TODAY).published == 0
    seller.later(hours=3)
    seller.run_ready()
    assert stock(seller) == [(TODAY, 2209)], "the document is stored: nothing is asked for again"
    assert seller.services.ledger.deliveries.get(FEED, TODAY).version == 1


@pytest.mark.parametrize("table_format", ["parquet", pytest.param("iceberg", marks=pytest.mark.slow)])
def test_where_the_newest_is_kept_readers_see_one_date_or_two_and_never_none(
    stocked: Stocked, table_format: str
) -> None:
    seller, _ = stocked(table_format, keep="newest")
    days_after(seller, 0)
    assert stock(seller) == [(TODAY, 2209)]
    seller.at[0] = MORNING + timedelta(days=1)
    [landed] = begun(seller)
    assert stock(seller) == [(TODAY, 2209)]
    tomorrow = TODAY + timedelta(days=1)
    assert publish_slice(seller.services, landed.flow, landed.day, "dead", seller.work)
    assert stock(seller) == [(TODAY, 2209), (tomorrow, 2309)], "its run died before it took the older rows away"
    seller.run_ready()
    assert stock(seller) == [(tomorrow, 2309)]


def test_an_empty_answer_after_days_with_rows_is_believed_the_second_time(stocked: Stocked) -> None:
    seller, amazon = stocked()
    days_after(seller, 0)
    amazon.documents = {STOCK["report_type"]: lambda _: b"sku\tquantity\n"}
    days_after(seller, 1)
    assert [r.state for r in seller.reports("stock")[1:]] == [ReportState.FAILED, ReportState.INTENDED]
    seller.later(minutes=31)
    seller.day()
    assert [r.state for r in seller.reports("stock")[1:]] == [ReportState.FAILED, ReportState.EMPTY]
    assert stock(seller) == [(TODAY, 2209)]


@pytest.mark.slow
def test_listings_with_a_header_in_japanese_are_the_same_table(opened: Open) -> None:
    def listings(options: Mapping[str, str]) -> Mapping[str, Callable[[Order], bytes]]:
        return {ALL_LISTINGS: lambda _: document(ALL_LISTINGS, 7, JAPAN, options, MORNING, "")}

    amazon = MadeAmazon(listings({"preferredReportDocumentLocale": "en_US"}), {JAPAN.id: "JP"})
    seller = opened(amazon, "all_listings")
    days_after(seller, 0)
    assert {order["reportOptions"]["preferredReportDocumentLocale"] for order in amazon.orders} == {"en_US"}
    amazon.documents = listings({})
    days_after(seller, 1)
    rows = seller.table("all_listings", "dt, seller_sku, item_name, price, status, product_id")
    english, japanese = ([row for day, *row in rows if day == TODAY + timedelta(days=n)] for n in (0, 1))
    assert japanese == english
    assert ["NW-JP-001", "寝袋 ３シーズン", Decimal(11985), "Active"] in [row[:4] for row in japanese]


def test_listings_without_a_known_name_of_their_key_are_no_listings(opened: Open) -> None:
    amazon = MadeAmazon({ALL_LISTINGS: lambda _: "卖家 SKU\t价格\nA\t1\n".encode()}, {JAPAN.id: "JP"})
    seller = opened(amazon, "all_listings")
    seller.day()
    [report] = seller.services.ledger.reports.of_feed(f"seller/all_listings/{JAPAN.id}")
    assert (report.state, "its header lacks seller-sku" in report.error) == (ReportState.FAILED, True)


@pytest.mark.slow
def test_a_snapshot_that_fails_is_ordered_again_for_as_long_as_its_day_lasts(stocked: Stocked) -> None:
    seller, amazon = stocked()
    inbox = Inbox.subscribe(seller.services)
    amazon.status = "FATAL"
    seller.orders()
    while seller.at[0] < MIDNIGHT + timedelta(hours=4):
        seller.later(minutes=10)
        seller.poll()
        seller.orders()
    asked = [(r.asked_on, r.sequence, r.state) for r in seller.reports("stock")]
    assert asked == [(TODAY, n, ReportState.FAILED) for n in range(1, 7)]
    assert len(amazon.orders) == 5, "what was due after midnight was not asked for"
    assert told(inbox) == [("report_failed", str(TODAY))]


def test_a_declaration_that_changed_asks_anew_for_what_is_not_there_yet_and_for_nothing_else(stocked: Stocked) -> None:
    seller, amazon = stocked()
    seller.orders()
    seller.account = declared(STOCK | {"options": {"custom": "true"}})
    seller.day()
    assert [r.state for r in seller.reports("stock")] == [ReportState.FAILED, ReportState.DONE]
    seller.account = declared(STOCK | {"options": {"custom": "false"}})
    seller.day()
    assert [order.get("reportOptions") for order in amazon.orders] == [None, {"custom": "true"}]
    assert stock(seller) == [(TODAY, 2209)]
