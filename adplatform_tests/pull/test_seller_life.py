"""A seller's reports from order to table, against the simulated Selling Partner API."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.reports import Discovered, Document, Progress, ReportOrder
from adplatform.failures import TransientFailure
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice
from adplatform.ledger.report import ReportState
from adplatform.ledger.scopes import Planned
from adplatform.local.world.amazon import inventory
from adplatform.local.world.amazon.products import products
from adplatform.local.world.amazon.selling import order_rows, sales_and_traffic, settlement_table, settlements
from adplatform.local.world.amazon.selling_served import Asked
from adplatform.local.world.amazon.selling_vendor import HOURLY, SERVED
from adplatform.pull.due import reports_due
from adplatform.pull.plan import plan_turns, turns
from adplatform_tests.pull.seller import GERMANY, MORNING, Simulated, declared, simulated_seller
from adplatform_tests.support.ledger_rows import put_report
from adplatform_tests.support.runs import Nobody


@pytest.fixture
def seller(services: Services, tmp_path: Path) -> Iterator[Simulated]:
    with simulated_seller(services, tmp_path) as made:
        yield made


@pytest.mark.slow
def test_sales_come_one_day_at_a_time_and_are_what_the_report_says(seller: Simulated) -> None:
    seller.account = declared("sales_and_traffic")
    seller.day()
    asked = [(r.start, r.end, r.state) for r in seller.reports("sales_and_traffic")]
    days = [date(2026, 9, 18) + timedelta(days=n) for n in range(3)]
    assert asked == [(day, day, ReportState.DONE) for day in days]
    prefix = seller.services.settings.database_prefix
    found = seller.query(
        f"""select cast(dt as date) as dt, sales_by_date_units_ordered, sales_by_date_ordered_product_sales_amount
            from {prefix}seller.sales_and_traffic_by_date order by dt"""
    )
    expected = []
    for day in days:
        document = sales_and_traffic(seller.world.settings.seed, GERMANY, day, day, {}, MORNING)
        said = document["salesAndTrafficByDate"][0]["salesByDate"]
        expected.append((day, said["unitsOrdered"], round(float(said["orderedProductSales"]["amount"]), 2)))
    assert [(d, u, float(a)) for d, u, a in found] == expected


def test_orders_of_a_date_are_all_there_with_places_hashed(seller: Simulated) -> None:
    seller.account = declared("all_orders")
    seller.day()
    prefix = seller.services.settings.database_prefix
    found = seller.query(f"select amazon_order_id, cast(dt as date) from {prefix}seller.all_orders")
    start = datetime(2026, 9, 18, tzinfo=UTC)
    seed = seller.world.settings.seed
    end = start + timedelta(days=4) - timedelta(seconds=1)
    truth = [r["amazon-order-id"] for r in order_rows(seed, GERMANY, start, end, MORNING)]
    assert sorted(i for i, _ in found) == sorted(truth)
    assert {d for _, d in found} == {start.date() + timedelta(days=n) for n in range(4)}
    columns = {c for (c,) in seller.query(f"select column_name from (describe {prefix}seller.all_orders)")}
    assert "ship_city" not in columns
    assert "ship_city_lake" in columns


@pytest.mark.slow
def test_settlements_are_found_by_themselves_and_read_in_german_spelling(seller: Simulated) -> None:
    [due] = settlements([GERMANY], MORNING - timedelta(days=14), MORNING)
    seller.account = declared("settlements", history="14d")
    seller.day()
    [report] = seller.reports("settlements")
    assert (report.state, report.adopted, report.start) == (ReportState.DONE, True, due.end.date())
    prefix = seller.services.settings.database_prefix
    lines = settlement_table(seller.world.settings.seed, due).decode("cp1252").splitlines()
    header, total = (line.split("\t") for line in lines[:2])
    said = Decimal(total[header.index("total-amount")].replace(".", "").replace(",", "."))
    [(rows, amount, total_amount)] = seller.query(
        f"select count(*), sum(amount), max(total_amount) from {prefix}seller.settlements"
    )
    assert rows == len(lines) - 1
    assert Decimal(total_amount) == said
    assert Decimal(amount) == said, "the parts add up to the total"
    seller.later(days=1)
    seller.day()
    assert len(seller.reports("settlements")) == 1, "a report that is known is not found again"


@pytest.mark.slow
def test_stock_listings_and_fees_are_those_of_the_day_on_which_they_were_asked_for(seller: Simulated) -> None:
    snapshots = ("fba_inventory", "all_listings", "active_listings", "fba_fees", "fba_inventory_by_country")
    seller.account = declared(*snapshots)
    seller.day()
    assert {r.state for name in snapshots for r in seller.reports(name)} == {ReportState.DONE}
    made, day = seller.world.settings.seed, MORNING.date()
    stock = {p.sku: inventory.fulfillable(made, GERMANY, p, MORNING) for p in products("DE", "EUR")}
    rows = seller.table("fba_inventory", "dt, sku, afn_fulfillable_quantity, mfn_fulfillable_quantity")
    assert rows == [(day, sku, units, None) for sku, units in sorted(stock.items())], "-- is no number"
    assert (
        dict(
            seller.table(
                "fba_inventory_by_country",
                "seller_sku, sum(quantity_for_local_fulfillment) over (partition by seller_sku)",
            )
        )
        == stock
    )
    prices = {p.sku: Decimal(p.price) / 100 for p in products("DE", "EUR")}
    assert dict(seller.table("all_listings", "seller_sku, price")) == prices
    assert ("NW-DE-000", "Zelt für zwei", "Active") in seller.table("all_listings", "seller_sku, item_name, status")
    assert dict(seller.table("active_listings", "seller_sku, price")).items() <= prices.items()
    fees = seller.table("fba_fees", "sku, your_price, estimated_fee_total, estimated_future_fee")
    assert {(sku, price, future) for sku, price, _, future in fees} == {(s, p, None) for s, p in prices.items()}
    assert all(fee > 4 for _, _, fee, _ in fees)


TABLE = "settlement-id\tcurrency\tamount\ttotal-amount\n{0}\tEUR\t\t{1}\n{0}\t\t{1}\t\n"


@dataclass
class TwoOnOneDate:
    """An API that has made two settlement reports whose periods end on the same date."""

    made: tuple[Discovered, ...]

    def scopes(self) -> list[Any]:
        return []

    def discover(self, report_type: str, since: datetime) -> list[Discovered]:
        return list(self.made)

    def fetch(self, order: ReportOrder, progress: Progress, target: Path) -> Document:
        body = TABLE.format(progress.report_id, "1.234,50").encode()
        target.write_bytes(body)
        return Document(target, len(body), sha256(body).hexdigest())


def test_a_settlement_that_was_made_during_an_outage_is_found_however_short_history_is(seller: Simulated) -> None:
    seller.account = declared("settlements", history="4d")
    seller.orders()
    before = Discovered("old", "d0", (GERMANY.id,), *[MORNING - timedelta(days=30)] * 2)
    during = Discovered("new", "d1", (GERMANY.id,), *[MORNING + timedelta(days=2)] * 2)
    seller.api = TwoOnOneDate((before, during))  # type: ignore[assignment]
    seller.later(days=20)
    seller.orders()
    assert {"new", "old"} & {r.report_id for r in seller.reports("settlements")} == {"new"}


def test_no_worker_waits_for_the_pace_of_orders_and_the_newest_dates_are_asked_for_first(seller: Simulated) -> None:
    seller.account = declared("sales_and_traffic", history="25d")
    began = seller.at[0]
    asked = seller.orders()
    assert seller.at[0] - began < timedelta(minutes=1)
    left = [r for r in seller.reports("sales_and_traffic") if r.state is ReportState.INTENDED]
    assert len(asked) == 15, "what Amazon takes at once"
    assert max(r.start for r in left) < min(r.start for r in asked)
    assert {r.attempt for r in left} == {0}
    seller.later(minutes=6)
    assert len(seller.orders()) == 6
    assert len(seller.world.sp_reports) == 21


def test_a_settlement_is_not_given_up_however_often_its_run_dies(seller: Simulated) -> None:
    seller.account = declared("settlements", history="14d")
    seller.orders()
    for died in range(9):
        for report in seller.reports("settlements"):
            seller.services.ledger.reports.claim(report, f"killed-{died}")
        seller.later(hours=4)
        reports_due(seller.services, seller.account, Nobody())
    seller.later(hours=4)
    due = reports_due(seller.services, seller.account, Nobody())
    assert {d.report.state for d in due} == {ReportState.READY}
    assert len(due) == len(seller.reports("settlements")) > 0


@pytest.mark.slow
def test_two_settlements_that_end_on_one_date_add_up(seller: Simulated) -> None:
    seller.account = declared("settlements", history="14d")
    seller.orders()
    for report in seller.services.ledger.reports.active("seller"):
        put_report(seller.services.ledger, report, state=ReportState.EMPTY)
    end, created = MORNING - timedelta(days=2), MORNING - timedelta(hours=3)
    made = tuple(Discovered(f"s{n}", f"d{n}", (GERMANY.id,), end, created) for n in (1, 2))
    seller.api = TwoOnOneDate(made)  # type: ignore[assignment]
    seller.later(days=1)
    seller.day()
    prefix = seller.services.settings.database_prefix
    found = seller.query(f"select settlement_id, sum(amount) from {prefix}seller.settlements group by all order by 1")
    assert [(i, Decimal(a)) for i, a in found] == [("s1", Decimal("1234.5")), ("s2", Decimal("1234.5"))]
    assert seller.query(f"select distinct cast(dt as date) from {prefix}seller.settlements") == [(end.date(),)]


def test_a_message_that_a_report_is_finished_brings_its_poll_forward(seller: Simulated) -> None:
    queue = seller.services.sqs.create_queue(QueueName=f"{seller.services.settings.queue_prefix}finished")["QueueUrl"]
    seller.account = declared("all_orders", finished_queue=queue, poll_every="10m")
    [report] = [r for r in seller.orders() if r.state is ReportState.REQUESTED]
    seller.later(minutes=3)
    assert seller.poll() == [], "its first poll is later"

    def tell(body: Any) -> None:
        seller.services.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(body))

    def finished(report_id: str) -> dict[str, Any]:
        reported = {"reportId": report_id, "reportType": report.report_type, "processingStatus": "DONE"}
        payload = {"reportProcessingFinishedNotification": reported}
        return {"notificationType": "REPORT_PROCESSING_FINISHED", "payload": payload}

    tell(finished("somebody-else's"))
    tell("no notification at all")
    tell({"TopicArn": "arn:aws:sns:x", "Message": json.dumps(finished(report.report_id))})
    [polled] = seller.poll()
    assert (polled.report_id, polled.state) == (report.report_id, ReportState.READY)
    counts = seller.services.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    left = int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"])
    assert left == 1, "what nobody understands stays for the dead-letter rule"


def test_a_queue_that_is_not_there_stops_no_poll(seller: Simulated) -> None:
    seller.account = declared("all_orders", finished_queue="missing")
    seller.orders()
    seller.later(minutes=20)
    assert [r.state for r in seller.poll()] == [ReportState.READY]


def test_data_that_is_not_there_yet_is_asked_for_again(seller: Simulated) -> None:
    seller.account = declared("sales_and_traffic", history="2d")
    seller.world.fault("sp_create", "fatal_document")
    seller.orders()
    seller.later(minutes=20)
    seller.poll()
    states = [(r.sequence, r.state) for r in seller.reports("sales_and_traffic")]
    assert states == [(1, ReportState.FAILED), (2, ReportState.INTENDED)]
    seller.later(minutes=60)
    seller.day()
    assert seller.reports("sales_and_traffic")[-1].state is ReportState.DONE


def brought(seller: Simulated) -> None:
    """What was asked for has come, and nobody has published it."""
    seller.orders()
    seller.later(minutes=20)
    seller.poll()
    seller.run_ready(publish=False)


@pytest.mark.slow
def test_a_report_of_fba_is_asked_for_again_when_amazon_makes_a_newer_one(seller: Simulated) -> None:
    seller.account = declared("customer_returns", history="2d")
    brought(seller)
    seller.later(days=1)
    seller.world.fault("sp_create", "cancel")
    brought(seller)
    *_, doubted = seller.reports("customer_returns")
    assert (doubted.sequence, doubted.state) == (2, ReportState.INTENDED)
    assert doubted.not_before is not None
    assert doubted.not_before - seller.at[0] >= timedelta(hours=4) - timedelta(minutes=1)
    seller.later(hours=5)
    brought(seller)
    first, *_, last = seller.reports("customer_returns")
    assert last.state is ReportState.DONE
    assert last.rows > first.rows > 0, "some were entered late, and a date was added"


def test_promotions_are_asked_for_by_the_dates_on_which_they_began(seller: Simulated) -> None:
    seller.account = declared("promotion_performance", history="1d")
    seller.world.fault("sp_create", "reset")
    seller.orders()
    [asked] = seller.world.sp_reports.values()
    assert asked.options == {
        "promotionStartDateFrom": "2026-09-21T00:00:00Z",
        "promotionStartDateTo": "2026-09-21T23:59:59Z",
    }
    seller.later(minutes=10)
    brought(seller)
    [report] = seller.reports("promotion_performance")
    assert (report.adopted, report.state) == (True, ReportState.DONE), "by the dates in its options"
    feeds = ("promotion_performance", "promotion_performance_products")
    day = date(2026, 9, 21)
    seen = [seller.services.ledger.observations.of_day(f"seller/{f}/{GERMANY.id}", day)[-1] for f in feeds]
    sold = [seen[0].totals["unitsSold"], seen[1].totals["includedProducts.productUnitsSold"]]
    assert sold[0] == sold[1] > 0


def test_the_hours_of_today_come_while_it_lasts_and_a_turn_that_fails_is_made_good_by_the_next(
    seller: Simulated,
) -> None:
    seller.account = declared("vendor_real_time_sales", partner="vendor", marketplaces=[GERMANY.id], history="1d")
    ledger, feed, today = seller.services.ledger, f"seller/vendor_real_time_sales/{GERMANY.id}", date(2026, 9, 22)

    def asked() -> list[tuple[str, str]]:
        """From when to when the latest reports are, in days and hours of UTC."""
        return [(r.start[8:13], r.end[8:13]) for r in seller.world.sp_reports.values()]

    brought(seller)
    assert asked() == [("20T22", "22T08")], "yesterday and, at 11:00 in Berlin, the hours that ended by 10:00"
    assert seller.orders() == [], "until its next turn"
    seller.later(hours=3)
    seller.world.fault("sp_create", "cancel")
    [turn] = turns(ledger, seller.account)
    list(plan_turns(ledger, seller.account, [turn]))
    ledger.scopes.put_planned(
        "seller", Planned(turn.definition.name, GERMANY.id, turn.day, turn.definition.definition_hash)
    )
    brought(seller)
    assert asked()[1:] == [("21T22", "22T11")], "once, though a worker died before the turn was noted"
    failed = seller.reports("vendor_real_time_sales")[-1]
    assert (failed.state, failed.permanent) == (ReportState.FAILED, False)
    assert ledger.reports.active("seller") == []
    before = ledger.observations.of_day(feed, today)
    assert [o.rows > 0 for o in before] == [True], "what Amazon takes for no data takes no hours away"
    seller.later(hours=3)
    brought(seller)
    assert asked()[2:] == [("21T22", "22T14")]
    seller.at[0] = datetime(2026, 9, 22, 23, 5, tzinfo=UTC)
    seller.moved(seller.at[0])
    brought(seller)
    assert asked()[3:] == [("20T22", "22T22")], "at 1:05 the day before can be had whole, and of today nothing"
    hours = Asked(
        1, [GERMANY], datetime(2026, 9, 21, 22, tzinfo=UTC), datetime(2026, 9, 22, 22, tzinfo=UTC), {}, seller.at[0]
    )
    told = SERVED[HOURLY["SALES"]].rows(replace(hours, seed=seller.world.settings.seed))
    *_, last = ledger.observations.of_day(feed, today)
    assert (last.rows, last.totals["orderedUnits"]) == (len(told), sum(row["orderedUnits"] for row in told))
    assert last.rows > before[0].rows


def test_a_report_in_xml_comes_into_its_tables(seller: Simulated) -> None:
    seller.account = declared("seller_returns_with_items", history="1d")
    seller.world.fault("download", "truncate")
    seller.day()
    seller.later(minutes=10)
    seller.run_ready()
    returns = seller.table("seller_returns_with_items", "order_id, order_quantity, order_amount")
    items = seller.table("seller_returns_with_items_items", "order_id, item_details_return_quantity")
    assert len(returns) > 3
    assert sum(quantity for _, quantity, _ in returns) == sum(quantity for _, quantity in items)
    assert {order for order, _, _ in returns} == {order for order, _ in items}


def test_a_widened_range_is_refused_and_reported(seller: Simulated) -> None:
    seller.account = declared("all_orders", history="2d")
    seller.world.fault("sp_create", "bigger_range")
    seller.day()
    [report] = seller.reports("all_orders")
    assert report.state is ReportState.FAILED
    assert "2026-09-19" in report.error


def test_a_lost_answer_makes_no_second_report(seller: Simulated) -> None:
    seller.account = declared("all_orders", history="2d")
    seller.world.fault("sp_create", "reset")
    seller.orders()
    for _ in range(3):
        seller.later(minutes=10)
        seller.orders()
        seller.poll()
    seller.run_ready()
    [report] = seller.reports("all_orders")
    assert (report.state, report.adopted) == (ReportState.DONE, True)
    assert len(seller.world.sp_reports) == 1


FAULTS = (
    *(("sp_create", f) for f in ("cancel", "fatal_document", "throttle", "reset", "fatal", "server_error")),
    *(("sp_get", f) for f in ("unauthorized", "bad_gateway", "throttle")),
    *(("sp_document", f) for f in ("throttle", "expired_url")),
    *(("download", f) for f in ("truncate", "corrupt_gzip", "reset")),
    ("token", "server_error"),
)


@pytest.mark.slow
def test_every_date_of_a_seller_is_the_truth_after_days_of_faults(seller: Simulated) -> None:
    """Five days with three faults each and two without; sales and orders change until a date is three days old.

    Amazon says first that it has no data of the oldest date, and is asked again when that is 7 days old.
    """
    seller.account = declared("sales_and_traffic", "all_orders")
    for day in range(7):
        for fault in FAULTS[3 * day : 3 * day + 3]:
            seller.world.fault(*fault)
        for _ in range(4):
            with suppress(TransientFailure):
                seller.orders()
            seller.later(minutes=20)
            seller.poll()
            seller.run_ready(publish=False)
            seller.later(minutes=70)
        seller.later(hours=18)
    assert seller.world.faults.pending() == [], "every fault struck"
    reports = [*seller.reports("sales_and_traffic"), *seller.reports("all_orders")]
    assert {ReportState.DONE, ReportState.EMPTY, ReportState.FAILED} == {r.state for r in reports}
    [cancelled] = [r for r in reports if r.state is ReportState.EMPTY]
    first, seed, later = date(2026, 9, 18), seller.world.settings.seed, seller.at[0] + timedelta(days=30)
    assert cancelled.start == first
    days = [first + timedelta(days=n) for n in range(7)]
    for definition, table in seller.account.tables():
        flow = seller.account.scoped(table, GERMANY.id)
        for day in days if "asin" not in flow.feed.name else ():
            publish_slice(seller.services, flow, day, f"{definition.name}-{day}", seller.work)
    prefix = seller.services.settings.database_prefix
    sales = seller.query(
        f"""select cast(dt as date) as dt, sales_by_date_units_ordered, sales_by_date_orders_shipped,
            traffic_by_date_sessions from {prefix}seller.sales_and_traffic_by_date order by dt"""
    )
    true_sales = []
    for day in days:
        [said] = sales_and_traffic(seed, GERMANY, day, day, {}, later)["salesAndTrafficByDate"]
        reported, seen = said["salesByDate"], said["trafficByDate"]
        true_sales.append((day, reported["unitsOrdered"], reported["ordersShipped"], seen["sessions"]))
    assert sales == true_sales
    orders = seller.query(f"select amazon_order_id, order_status, quantity from {prefix}seller.all_orders order by all")
    start = datetime(2026, 9, 18, tzinfo=UTC)
    true_orders = order_rows(seed, GERMANY, start, start + timedelta(days=7, seconds=-1), later)
    assert orders == sorted((r["amazon-order-id"], r["order-status"], int(r["quantity"])) for r in true_orders)
