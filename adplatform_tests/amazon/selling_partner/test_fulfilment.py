"""Returns, reimbursements and the ledger as Amazon writes them, and as the simulated Amazon does."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from adplatform.amazon.selling_partner.definitions import READY_MADE, with_options
from adplatform.amazon.selling_partner.fulfilment import FULFILMENT
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, Marketplace
from adplatform.local.world.amazon.selling_fulfilment import SERVED
from adplatform.local.world.amazon.selling_served import Asked
from adplatform_tests.amazon.selling_partner.contract import ZONES, read

GERMANY = next(m for m in DEMO_ACCOUNTS.marketplaces if m.country == "DE")
EVERYWHERE = [
    m if m is GERMANY else pytest.param(m, marks=pytest.mark.slow, id=m.country) for m in DEMO_ACCOUNTS.marketplaces
]
FIRST, LAST = date(2026, 9, 18), date(2026, 9, 20)


def asked(marketplace: Marketplace, *, days_later: float, **options: str) -> Asked:
    midnight = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=ZONES[marketplace.country]).astimezone(UTC)
    end = midnight + timedelta(days=3, seconds=-1)
    return Asked(7, [marketplace], midnight, end, options, end + timedelta(days=days_later))


@pytest.mark.parametrize("marketplace", EVERYWHERE, ids=lambda m: m.country)
def test_every_row_that_the_simulated_amazon_writes_is_in_the_table(marketplace: Marketplace, tmp_path: Path) -> None:
    for definition in FULFILMENT:
        order = asked(marketplace, days_later=30, **dict(definition.configuration))
        served = SERVED[definition.report_type]
        work = tmp_path / definition.name
        work.mkdir()
        tables = read(definition, served.document(order, empty=False), FIRST, LAST, work, country=marketplace.country)
        rows = tables[definition.name]
        assert len(rows) == len(served.rows(order)) > 0


def test_what_buyers_write_is_not_kept(tmp_path: Path) -> None:
    document = (
        "return-date\torder-id\tsku\tquantity\tstatus\tcustomer-comments\n"
        "2026-09-20T23:30:00+00:00\t302-1\tSKU-1\t1\tUnit returned to inventory\tcall Erika, +49 30 901820\n"
    )
    [row] = read(READY_MADE["customer_returns"], document.encode(), FIRST, date(2026, 9, 21), tmp_path)[
        "customer_returns"
    ]
    assert (row["order_id"], row["quantity"], row["status"]) == ("302-1", 1, "Unit returned to inventory")
    assert row["dt"] == date(2026, 9, 21), "it came back after midnight in Berlin"
    assert not [value for value in row.values() if "Erika" in str(value)]


def test_reimbursements_have_amounts_as_the_country_writes_them(tmp_path: Path) -> None:
    document = (
        "approval-date\treimbursement-id\tcase-id\tamazon-order-id\treason\tcurrency-unit\tamount-per-unit\tamount-total"
        "\tquantity-reimbursed-cash\tquantity-reimbursed-inventory\tquantity-reimbursed-total\n"
        "2026-09-18T10:00:00+00:00\t111\t\t\tLost_Warehouse\tEUR\t4,10\t1.004,20\t2\t0\t2\n"
    )
    [row] = read(READY_MADE["reimbursements"], document.encode(), FIRST, LAST, tmp_path)["reimbursements"]
    assert (row["amount_per_unit"], row["amount_total"]) == (Decimal("4.1"), Decimal("1004.2"))
    assert (row["quantity_reimbursed_cash"], row["reason"]) == (2, "Lost_Warehouse")


LEDGER = (
    '"Date"\t"FNSKU"\t"ASIN"\t"MSKU"\t"Title"\t"Event Type"\t"Reference ID"\t"Quantity"\t"Fulfillment Center"'
    '\t"Disposition"\t"Reason"\t"Country"\t"Reconciled Quantity"\t"Unreconciled Quantity"\t"Date and Time"\t"Store"\n'
    + '"09/20/2026"\t"X1"\t"B1"\t"SKU"\t"Zelt ""2"""\t"Shipments"\t""\t"-1"\t"DTM2"\t"SELLABLE"\t""\t"DE"\t""\t""'
    '\t"2026-09-20T00:00:00-0700"\t""\n' * 2
)


def test_the_ledger_has_the_month_first_everywhere_and_equal_movements_are_several(tmp_path: Path) -> None:
    rows = read(READY_MADE["ledger_detail"], LEDGER.encode(), FIRST, LAST, tmp_path)["ledger_detail"]
    assert [(r["dt"], r["date"], r["quantity"], r["title"]) for r in rows] == [(LAST, LAST, -1, 'Zelt "2"')] * 2
    assert {r["date_and_time"] for r in rows} == {datetime(2026, 9, 20, 7, tzinfo=UTC)}


def test_a_month_of_the_ledger_is_of_its_last_date(tmp_path: Path) -> None:
    monthly = with_options(READY_MADE["ledger_summary"], {"aggregatedByTimePeriod": "MONTHLY"})
    end = date(2026, 9, 30)
    assert (monthly.policy.max_range_days, monthly.policy.period.first_date(end)) == (1, date(2026, 9, 1))
    order = asked(GERMANY, days_later=30, **dict(monthly.configuration))
    document = SERVED[monthly.report_type].document(order, empty=False)
    rows = read(monthly, document, end, end, tmp_path)["ledger_summary"]
    assert {(r["dt"], r["date"]) for r in rows} == {(end, "09/2026")}
    assert all(
        r["starting_warehouse_balance"] + r["customer_shipments"] + r["customer_returns"] + r["receipts"] + r["found"]
        + r["lost"] == r["ending_warehouse_balance"]
        for r in rows
    )  # fmt: skip


RETURNS = (
    '<AmazonEnvelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Header><DocumentVersion>1.00'
    "</DocumentVersion></Header><MessageType>Returns-Report</MessageType><Message><return_details>{0}{0}"
    "<order_id>408-9386448-4007569</order_id><order_date>2026-09-03T17:08:47Z</order_date>"
    "<return_request_date>2026-09-19T22:44:17Z</return_request_date><a_to_z_claim>false</a_to_z_claim>"
    "<label_details><currency_code>EUR</currency_code><label_cost>0.0</label_cost></label_details>"
    "<order_amount>119.8</order_amount><order_quantity>2</order_quantity></return_details></Message></AmazonEnvelope>"
)
ITEM = (
    "<item_details><item_name>Camisa (Tamaño: XL)</item_name><asin>B07</asin><return_quantity>1</return_quantity>"
    "<category/><refund_amount>59.9</refund_amount></item_details>"
)


def test_returns_in_xml_are_rows_and_their_items_are(tmp_path: Path) -> None:
    tables = read(READY_MADE["seller_returns_with_items"], RETURNS.format(ITEM).encode(), FIRST, LAST, tmp_path)
    [whole] = tables["seller_returns_with_items"]
    assert (whole["order_amount"], whole["label_details_label_cost"]) == (Decimal("119.8"), Decimal(0))
    assert whole["dt"] == LAST, "it is after midnight in Berlin"
    assert not [name for name in whole if "item" in name]
    items = tables["seller_returns_with_items_items"]
    assert [(i["order_id"], i["item_details_item_name"], i["item_details_refund_amount"]) for i in items] == [
        ("408-9386448-4007569", "Camisa (Tamaño: XL)", Decimal("59.9"))
    ] * 2
    assert {i["item_details_category"] for i in items} == {None}


def test_returns_are_restated_until_they_are_settled() -> None:
    for name in ("customer_returns", "seller_returns", "ledger_detail"):
        served = SERVED[READY_MADE[name].report_type]
        states = [served.document(asked(GERMANY, days_later=days), empty=False) for days in (0, 1, 8, 9)]
        assert states[0] != states[1] != states[2] == states[3]
