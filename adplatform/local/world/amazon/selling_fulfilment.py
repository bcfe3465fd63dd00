"""Returns, reimbursements and the inventory ledger of the demo's seller, from the same orders as the order report.

A return is inspected for three days, and some are entered two days late. The ledger corrects itself until a date is two
days old: what was lost is found.
"""

from calendar import month_abbr
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from adplatform.local.world.amazon.products import minor_units, products
from adplatform.local.world.amazon.selling import Order, local_date, orders, table
from adplatform.local.world.amazon.selling_served import Asked, Row, Served, shipped
from adplatform.local.world.draws import draw, number

CUSTOMER_RETURNS = "GET_FBA_FULFILLMENT_CUSTOMER_RETURNS_DATA"
REIMBURSEMENTS = "GET_FBA_REIMBURSEMENTS_DATA"
SELLER_RETURNS = "GET_FLAT_FILE_RETURNS_DATA_BY_RETURN_DATE"
XML_RETURNS = "GET_XML_RETURNS_DATA_BY_RETURN_DATE"
LEDGER_SUMMARY = "GET_LEDGER_SUMMARY_VIEW_DATA"
LEDGER_DETAIL = "GET_LEDGER_DETAIL_VIEW_DATA"

_AFTER = (9, 12, 15)
"""Days from an order to the return of it."""
_REASONS = ("UNWANTED_ITEM", "DEFECTIVE", "APPAREL_TOO_SMALL", "NOT_AS_DESCRIBED")
_COMMENTS = ("", "Call me: +49 30 901820, Erika", "too small", "it's “not” what I ordered")
_COMMA = ("DE",)


class Return(NamedTuple):
    """An order that came back at ``at``, is inspected until ``settled``, and is entered by ``entered``."""

    order: Order
    at: datetime
    settled: datetime
    entered: datetime


def returns(asked: Asked, day: date) -> Iterator[Return]:
    """What came back on a date of the marketplace."""
    for after in _AFTER:
        for order in shipped(asked, day - timedelta(days=after)):
            u = draw(asked.seed, "return", order.id)
            if _AFTER[int(u[0] * len(_AFTER))] == after and u[1] < 0.3:
                at = asked.midnight(day) + timedelta(seconds=int(u[2] * 82_800))
                late = timedelta(days=2) if u[3] < 0.15 else timedelta(hours=1)
                yield Return(order, at, at + timedelta(days=3), at + late)


def _entered(asked: Asked) -> list[Return]:
    found = (each for day in asked.days for each in returns(asked, day))
    return [each for each in found if asked.has(each.at) and each.entered <= asked.as_of]


def _customer_returns(asked: Asked) -> list[Row]:
    return [
        {
            "return-date": _instant(each.at),
            "order-id": each.order.id,
            "sku": each.order.product.sku,
            "asin": each.order.product.asin,
            "fnsku": _fnsku(each.order.product.sku),
            "product-name": each.order.product.name,
            "quantity": str(each.order.quantity),
            "fulfillment-center-id": _center(each.order.id),
            "detailed-disposition": "SELLABLE" if number(each.order.id, below=3) else "CUSTOMER_DAMAGED",
            "reason": _REASONS[number(each.order.id, "reason", below=4)],
            "status": "Unit returned to inventory" if each.settled <= asked.as_of else "Repackaged Successfully",
            "license-plate-number": f"LPN{number(each.order.id, 'lpn', below=10**10):010}",
            "customer-comments": _COMMENTS[number(each.order.id, "comment", below=4)],
        }
        for each in _entered(asked)
    ]


def _seller_returns(asked: Asked) -> list[Row]:
    """Dates with the names of months, amounts as the country writes them."""
    return [
        {
            "Order ID": each.order.id,
            "Order date": _named_month(asked, each.order.purchased),
            "Return request date": _named_month(asked, each.at),
            "Return request status": "Completed" if each.settled <= asked.as_of else "Approved",
            "Amazon RMA ID": f"D{number(each.order.id, 'rma', below=10**9):09}RRMA",
            "Label type": "AmazonUnPaidLabel",
            "Label cost": _amount(asked, 0),
            "Currency code": asked.marketplace.currency,
            "Return carrier": "DHL",
            "Label to be paid by": "Customer",
            "A-to-Z Claim": "N",
            "Is prime": "N",
            "ASIN": each.order.product.asin,
            "Merchant SKU": each.order.product.sku,
            "Item Name": each.order.product.name,
            "Return quantity": str(each.order.quantity),
            "Return Reason": f"CR-{_REASONS[number(each.order.id, 'reason', below=4)]}",
            "In policy": "Y",
            "Return type": "C-Returns",
            "Resolution": "StandardRefund",
            "Order Amount": _amount(asked, each.order.price),
            "Order quantity": str(each.order.quantity),
            "Refunded Amount": _amount(asked, each.order.price if each.settled <= asked.as_of else 0),
        }
        for each in _entered(asked)
    ]


def _xml_returns(asked: Asked) -> list[Row]:
    """A return of several units has an element for each."""
    return [
        {
            "item_details": [
                {
                    "item_name": each.order.product.name,
                    "asin": each.order.product.asin,
                    "return_reason_code": f"CR-{_REASONS[number(each.order.id, 'reason', below=4)]}",
                    "merchant_sku": each.order.product.sku,
                    "in_policy": "Y",
                    "return_quantity": "1",
                    "resolution": "StandardRefund",
                    "category": each.order.product.category,
                    "refund_amount": _point(asked, each.order.product.price if each.settled <= asked.as_of else 0),
                }
                for _ in range(each.order.quantity)
            ],
            "order_id": each.order.id,
            "order_date": _zulu(each.order.purchased),
            "amazon_rma_id": f"D{number(each.order.id, 'rma', below=10**9):09}RRMA",
            "return_request_date": _zulu(each.at),
            "return_request_status": "Completed" if each.settled <= asked.as_of else "Approved",
            "a_to_z_claim": "false",
            "is_prime": "N",
            "label_details": {
                "currency_code": asked.marketplace.currency,
                "label_cost": "0.0",
                "label_type": "AmazonUnPaidLabel",
            },
            "label_to_be_paid_by": "Customer",
            "return_type": "C-Returns",
            "order_amount": _point(asked, each.order.price),
            "order_quantity": str(each.order.quantity),
        }
        for each in _entered(asked)
    ]


def _envelope(_: Asked, rows: list[Row]) -> bytes:
    """An envelope as of MWS, with one message of all returns."""
    root = Element("AmazonEnvelope", {"xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"})
    SubElement(SubElement(root, "Header"), "DocumentVersion").text = "1.00"
    SubElement(root, "MessageType").text = "Returns-Report"
    message = SubElement(root, "Message")
    for row in rows:
        _element(message, "return_details", row)
    return bytes(tostring(root, encoding="UTF-8", xml_declaration=True))


def _element(parent: Element, name: str, value: Any) -> None:
    if isinstance(value, list):
        for each in value:
            _element(parent, name, each)
        return
    element = SubElement(parent, name)
    if isinstance(value, Mapping):
        for member, inner in value.items():
            _element(element, member, inner)
    else:
        element.text = value


def _reimbursements(asked: Asked) -> list[Row]:
    """Every seventh return is paid for, eight days after it came."""
    rows: list[Row] = []
    for day in asked.days:
        for each in returns(asked, day - timedelta(days=8)):
            order, at = each.order, each.at + timedelta(days=8)
            if number(order.id, "reimbursed", below=7) == 0 and asked.has(at):
                rows.append(
                    {
                        "approval-date": _instant(at),
                        "reimbursement-id": str(number(order.id, "reimbursement", below=10**10)),
                        "amazon-order-id": order.id,
                        "reason": "CustomerReturn",
                        "sku": order.product.sku,
                        "fnsku": _fnsku(order.product.sku),
                        "asin": order.product.asin,
                        "product-name": order.product.name,
                        "condition": "NewItem",
                        "currency-unit": asked.marketplace.currency,
                        "amount-per-unit": _amount(asked, order.product.price),
                        "amount-total": _amount(asked, order.price),
                        "quantity-reimbursed-cash": str(order.quantity),
                        "quantity-reimbursed-inventory": "0",
                        "quantity-reimbursed-total": str(order.quantity),
                    }
                )
    return rows


class _Event(NamedTuple):
    day: date
    sku: str
    kind: str
    reference: str
    quantity: int
    center: str
    disposition: str = "SELLABLE"
    reason: str = ""


def _events(asked: Asked, day: date) -> Iterator[_Event]:
    """What moved on a date. What is lost on the first day was found by the third."""
    for sold in shipped_on(asked, day):
        yield _Event(day, sold.product.sku, "Shipments", sold.id, -sold.quantity, _center(sold.id))
    for each in returns(asked, day):
        if each.entered <= asked.as_of:
            order = each.order
            disposition = "SELLABLE" if number(order.id, below=3) else "CUSTOMER_DAMAGED"
            yield _Event(
                day, order.product.sku, "CustomerReturns", order.id, order.quantity, _center(order.id), disposition
            )
    for product in products(asked.marketplace.country, asked.marketplace.currency):
        u = draw(asked.seed, "ledger", asked.marketplace.id, day, product.sku)
        reference = str(number(product.sku, day, "event", below=10**10))
        if u[0] < 0.2:
            yield _Event(day, product.sku, "Receipts", f"FBA{reference}", 20, _center(product.sku))
        if u[1] < 0.15:
            yield _Event(day, product.sku, "Adjustments", reference, -1, _center(product.sku), reason="M")
            if asked.age(day) >= 2:
                yield _Event(day, product.sku, "Adjustments", reference, 1, _center(product.sku), reason="F")


def shipped_on(asked: Asked, day: date) -> Iterator[Order]:
    """The orders that left on a date, by now."""
    for before in range(3):
        for order in orders(asked.seed, asked.marketplace, day - timedelta(days=before)):
            left = asked.midnight(day) <= order.closed < asked.midnight(day + timedelta(days=1))
            if left and not order.cancelled and order.closed <= asked.as_of:
                yield order


def _named(asked: Asked) -> Mapping[str, tuple[str, str]]:
    sold = products(asked.marketplace.country, asked.marketplace.currency)
    return {product.sku: (product.asin, product.name) for product in sold}


def _ledger_detail(asked: Asked) -> list[Row]:
    named = _named(asked)
    return [
        {
            "Date": event.day.strftime("%m/%d/%Y"),
            "FNSKU": _fnsku(event.sku),
            "ASIN": named[event.sku][0],
            "MSKU": event.sku,
            "Title": named[event.sku][1],
            "Event Type": event.kind,
            "Reference ID": event.reference,
            "Quantity": str(event.quantity),
            "Fulfillment Center": event.center,
            "Disposition": event.disposition,
            "Reason": event.reason,
            "Country": asked.marketplace.country,
            "Reconciled Quantity": "1" if event.reason == "F" else "",
            "Unreconciled Quantity": "",
            "Date and Time": asked.midnight(event.day).strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "Store": "",
        }
        for day in asked.days
        for event in _events(asked, day)
    ]


_COLUMN_OF = {
    "Shipments": "Customer Shipments",
    "CustomerReturns": "Customer Returns",
    "Receipts": "Receipts",
    "M": "Lost",
    "F": "Found",
}
_SUMMED = (
    *("Starting Warehouse Balance", "In Transit Between Warehouses", "Receipts", "Customer Shipments"),
    *("Customer Returns", "Vendor Returns", "Warehouse Transfer In/Out", "Found", "Lost", "Damaged", "Disposed"),
    *("Other Events", "Ending Warehouse Balance", "Unknown Events"),
)


def _ledger_summary(asked: Asked) -> list[Row]:
    """A row for each period, place, product and condition. A period of a month is written ``09/2026``."""
    by_center = asked.options.get("aggregateByLocation") == "FC"
    period = {"DAILY": "%m/%d/%Y", "WEEKLY": "%m/%d/%Y", "MONTHLY": "%m/%Y"}[
        asked.options.get("aggregatedByTimePeriod", "MONTHLY")
    ]
    sums: dict[tuple[str, str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for day in asked.days:
        first = asked.days[0] if asked.options.get("aggregatedByTimePeriod") == "WEEKLY" else day
        for event in _events(asked, day):
            place = event.center if by_center else asked.marketplace.country
            row = sums[first.strftime(period), event.sku, event.disposition, place]
            row[_COLUMN_OF[event.reason or event.kind]] += event.quantity
            row["Ending Warehouse Balance"] += event.quantity
    named = _named(asked)
    return [
        {
            "Date": when,
            "FNSKU": _fnsku(sku),
            "ASIN": named[sku][0],
            "MSKU": sku,
            "Title": named[sku][1],
            "Disposition": disposition,
            **{
                name: str(
                    row[name] + (500 if name in ("Starting Warehouse Balance", "Ending Warehouse Balance") else 0)
                )
                for name in _SUMMED
            },
            "Location": place,
            "Store": "",
        }
        for (when, sku, disposition, place), row in sums.items()
    ]


def _fnsku(sku: str) -> str:
    return f"X00{number('fnsku', sku, below=10**7):07}"


def _center(name: str) -> str:
    return f"FC{number('center', name, below=3) + 1}"


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")


def _named_month(asked: Asked, instant: datetime) -> str:
    """``07-Sep-2026``, in English everywhere."""
    day = local_date(asked.marketplace, instant)
    return f"{day.day:02}-{month_abbr[day.month]}-{day.year}"


def _amount(asked: Asked, minor: int) -> str:
    text = _point(asked, minor)
    return text.replace(".", ",") if asked.marketplace.country in _COMMA else text


def _point(asked: Asked, minor: int) -> str:
    unit = minor_units(asked.marketplace.currency)
    return f"{minor / unit:.2f}" if unit > 1 else str(minor)


def _zulu(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _flat(*columns: str, quoted: bool = False) -> Callable[[Asked, list[Row]], bytes]:
    """What writes a flat file. Those of the ledger have every field in quotes."""

    def written(asked: Asked, rows: list[Row]) -> bytes:
        if quoted:
            named = {name: _quoted(name) for name in columns}
            rows = [{named[name]: _quoted(str(row.get(name, ""))) for name in columns} for row in rows]
            return table(rows, tuple(named.values()), asked.marketplace.charset)
        return table(rows, columns, asked.marketplace.charset)

    return written


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


SERVED: Mapping[str, Served] = {
    CUSTOMER_RETURNS: Served(
        _customer_returns,
        _flat(
            *("return-date", "order-id", "sku", "asin", "fnsku", "product-name", "quantity", "fulfillment-center-id"),
            *("detailed-disposition", "reason", "status", "license-plate-number", "customer-comments"),
        ),
        "tsv",
    ),
    REIMBURSEMENTS: Served(
        _reimbursements,
        _flat(
            *("approval-date", "reimbursement-id", "case-id", "amazon-order-id", "reason", "sku", "fnsku", "asin"),
            *("product-name", "condition", "currency-unit", "amount-per-unit", "amount-total"),
            *("quantity-reimbursed-cash", "quantity-reimbursed-inventory", "quantity-reimbursed-total"),
            *("original-reimbursement-id", "original-reimbursement-type"),
        ),
        "tsv",
    ),
    SELLER_RETURNS: Served(
        _seller_returns,
        _flat(
            *("Order ID", "Order date", "Return request date", "Return request status", "Amazon RMA ID"),
            *("Merchant RMA ID", "Label type", "Label cost", "Currency code", "Return carrier", "Tracking ID"),
            *("Label to be paid by", "A-to-Z Claim", "Is prime", "ASIN", "Merchant SKU", "Item Name"),
            *("Return quantity", "Return Reason", "In policy", "Return type", "Resolution", "Invoice number"),
            *("Return delivery date", "Order Amount", "Order quantity", "SafeT Action reason", "SafeT claim id"),
            *("SafeT claim state", "SafeT claim creation time", "SafeT claim reimbursement amount"),
            "Refunded Amount",
        ),
        "tsv",
        longest=60,
    ),
    XML_RETURNS: Served(_xml_returns, _envelope, "xml", longest=60),
    LEDGER_SUMMARY: Served(
        _ledger_summary,
        _flat("Date", "FNSKU", "ASIN", "MSKU", "Title", "Disposition", *_SUMMED, "Location", "Store", quoted=True),
        "tsv",
        longest=540,
        options={
            "aggregateByLocation": ("COUNTRY", "FC"),
            "aggregatedByTimePeriod": ("MONTHLY", "WEEKLY", "DAILY"),
        },
    ),
    LEDGER_DETAIL: Served(
        _ledger_detail,
        _flat(
            *("Date", "FNSKU", "ASIN", "MSKU", "Title", "Event Type", "Reference ID", "Quantity"),
            *("Fulfillment Center", "Disposition", "Reason", "Country", "Reconciled Quantity"),
            *("Unreconciled Quantity", "Date and Time", "Store"),
            quoted=True,
        ),
        "tsv",
        longest=540,
    ),
}
