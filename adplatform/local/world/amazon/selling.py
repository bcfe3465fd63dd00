"""What the Selling Partner reports say: pure functions of a seed, a marketplace, a range and the instant of asking.

Sales come from the same orders as the order report. Sales and traffic are corrected until a date is three days old;
orders change their state for about two days. Settlements come by themselves, one for every 14 days.
"""

import functools
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from adplatform.local.world.amazon.accounts import Marketplace
from adplatform.local.world.amazon.products import Product, minor_units, products
from adplatform.local.world.draws import draw, number

Json = dict[str, Any]
SALES_AND_TRAFFIC = "GET_SALES_AND_TRAFFIC_REPORT"
ALL_ORDERS = "GET_FLAT_FILE_ALL_ORDERS_DATA_BY_ORDER_DATE_GENERAL"
SEARCH_TERMS = "GET_BRAND_ANALYTICS_SEARCH_TERMS_REPORT"
SETTLEMENT = "GET_V2_SETTLEMENT_REPORT_DATA_FLAT_FILE_V2"
REPORT_TYPES = (SALES_AND_TRAFFIC, ALL_ORDERS, SEARCH_TERMS, SETTLEMENT)

NOT_YET = (
    "The report data for the requested date range is not yet available. Try submitting this createReport request at a "
    "later time."
)
CLIENT_ERROR = (
    "A client error occurred. Please double check that your parameters are valid and try submitting this createReport "
    "request again."
)
NOT_ONE_DAY = "dataStartTime must be the same day as dataEndTime when reportPeriod=DAY"
NOT_WHOLE = (
    "dataStartTime and dataEndTime must be the first and last day of one period when reportPeriod={}"  # our words
)
TOO_LONG = "Date range exceeded. Report can be requested only upto 30 days"

_SETTLEMENT_START = datetime(2020, 1, 6, tzinfo=UTC)
_SETTLEMENT_DAYS = 14
_PLACES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "US": (("SEATTLE", "WA", "98101-2307"), ("San José", "CA", "95112"), ("O’Fallon", "MO", "63366")),
    "CA": (("Montréal", "QC", "H2Y 1C6"), ("Toronto", "ON", "M5V 2T6"), ("Trois-Rivières", "QC", "G9A 1A1")),
    "DE": (("Köln", "Nordrhein-Westfalen", "50667"), ("München", "Bayern", "80331"), ("Gießen", "Hessen", "35390")),
    "JP": (("渋谷区", "東京都", "150-0002"), ("大阪市", "大阪府", "530-0001"), ("横浜市", "神奈川県", "220-0012")),
}


class Ending(NamedTuple):
    """How a report ends. ``error`` is the text of the document that comes in the place of a report."""

    status: Literal["DONE", "CANCELLED", "FATAL"]
    error: str = ""


@dataclass(frozen=True)
class Order:
    """One order of one product, and when it changes: it is pending until ``confirmed``, then shipped or cancelled."""

    id: str
    purchased: datetime
    confirmed: datetime
    closed: datetime
    cancelled: bool
    product: Product
    quantity: int
    place: tuple[str, str, str]
    late: int
    promotion: str

    @property
    def price(self) -> int:
        """In minor units."""
        return self.quantity * self.product.price

    def state(self, as_of: datetime) -> tuple[str, datetime]:
        """The status that the order has, and since when."""
        if as_of >= self.closed:
            return ("Cancelled" if self.cancelled else "Shipped"), self.closed
        return ("Unshipped", self.confirmed) if as_of >= self.confirmed else ("Pending", self.purchased)


def local_date(marketplace: Marketplace, instant: datetime) -> date:
    return instant.astimezone(ZoneInfo(marketplace.timezone)).date()


@functools.lru_cache(maxsize=1024)
def orders(seed: int, marketplace: Marketplace, day: date) -> tuple[Order, ...]:
    """The orders placed on one date of the marketplace, in the order of their placing."""
    u = draw(seed, "orders", marketplace.id, day)
    sold = products(marketplace.country, marketplace.currency)
    midnight = datetime.combine(day, time(), ZoneInfo(marketplace.timezone)).astimezone(UTC)
    made = []
    for n in range(int(marketplace.scale * (14 + 14 * u[0]))):
        v = draw(seed, "order", marketplace.id, day, n)
        purchased = midnight + timedelta(seconds=int(v[0] * 82_800))
        digits = f"{number(seed, marketplace.id, day, n, below=10**14):014}"
        made.append(
            Order(
                id=f"{111 + n % 3}-{digits[:7]}-{digits[7:]}",
                purchased=purchased,
                confirmed=purchased + timedelta(minutes=30),
                closed=purchased + timedelta(seconds=int(3_600 + v[1] * 165_600)),
                cancelled=v[2] < 0.05,
                product=sold[int(v[3] ** 2 * len(sold))],
                quantity=1 + (v[4] < 0.12),
                place=_PLACES[marketplace.country][int(v[5] * 3)],
                late=2 if v[6] < 0.05 else 3 if v[6] < 0.08 else 0,
                promotion="Free shipping – “Prime”" if v[7] < 0.2 else "",
            )
        )
    return tuple(sorted(made, key=lambda order: (order.purchased, order.id)))


# Sales and traffic


def sales_and_traffic(
    seed: int, marketplace: Marketplace, start: date, end: date, options: Mapping[str, str], as_of: datetime
) -> Json:
    """The document of GET_SALES_AND_TRAFFIC_REPORT. Weeks (from Sunday) and months are taken whole."""
    granularity = options.get("dateGranularity", "DAY")
    level = options.get("asinGranularity", "PARENT")
    start, end = _whole(granularity, start)[0], _whole(granularity, end)[1]
    last = min(end, local_date(marketplace, as_of))
    days = [start + timedelta(days=n) for n in range((last - start).days + 1)]
    periods: dict[date, list[date]] = defaultdict(list)
    for day in days:
        periods[_whole(granularity, day)[0]].append(day)
    return {
        "reportSpecification": {
            "reportType": SALES_AND_TRAFFIC,
            "reportOptions": {"dateGranularity": granularity, "asinGranularity": level},
            "dataStartTime": start.isoformat(),
            "dataEndTime": end.isoformat(),
            "marketplaceIds": [marketplace.id],
        },
        "salesAndTrafficByDate": [_by_date(seed, marketplace, first, of, as_of) for first, of in periods.items()],
        "salesAndTrafficByAsin": _by_asin(seed, marketplace, days, level, as_of),
    }


def _whole(granularity: str, day: date) -> tuple[date, date]:
    if granularity == "WEEK":
        first = day - timedelta(days=(day.weekday() + 1) % 7)
        return first, first + timedelta(days=6)
    if granularity in ("MONTH", "QUARTER"):
        months = 3 if granularity == "QUARTER" else 1
        first = day.replace(month=day.month - (day.month - 1) % months, day=1)
        return first, (first + timedelta(days=31 * months)).replace(day=1) - timedelta(days=1)
    return day, day


def _counted(seed: int, marketplace: Marketplace, day: date, as_of: datetime) -> list[Order]:
    days_old = (local_date(marketplace, as_of) - day).days
    return [o for o in orders(seed, marketplace, day) if o.purchased <= as_of and days_old >= o.late]


def _views(seed: int, marketplace: Marketplace, day: date, product: Product, as_of: datetime) -> Json:
    """Page views and sessions of one product on one date; a little is missing until the third day."""
    u = draw(seed, "views", marketplace.id, day, product.asin)
    days_old = (local_date(marketplace, as_of) - day).days
    share = 0.4 if days_old < 1 else 0.97 if days_old < 2 and u[3] < 0.4 else 0.99 if days_old < 3 and u[4] < 0.4 else 1
    sessions = int((20 + 180 * u[0]) * marketplace.scale * share)
    views = sessions + int(sessions * 0.6 * u[1])
    mobile, mobile_sessions = int(views * 0.6), int(sessions * 0.6)
    return {
        "browserSessions": sessions - mobile_sessions,
        "mobileAppSessions": mobile_sessions,
        "sessions": sessions,
        "browserPageViews": views - mobile,
        "mobileAppPageViews": mobile,
        "pageViews": views,
    }


def _sum_views(views: Iterable[Json]) -> Json:
    totals: dict[str, int] = defaultdict(int)
    for one in views:
        for name, count in one.items():
            totals[name] += count
    return dict(totals)


def _by_date(seed: int, marketplace: Marketplace, first: date, days: Sequence[date], as_of: datetime) -> Json:
    sold = products(marketplace.country, marketplace.currency)
    placed = [o for day in days for o in _counted(seed, marketplace, day, as_of)]
    shipped = [o for o in placed if o.state(as_of)[0] == "Shipped"]
    views = _sum_views(_views(seed, marketplace, day, product, as_of) for day in days for product in sold)
    units = sum(o.quantity for o in placed)
    refunded = sum(o.quantity for o in shipped if number(o.id, below=20) == 0)

    def money(minor: float) -> Json:
        return _money(marketplace, minor)

    return {
        "date": first.isoformat(),
        "salesByDate": {
            "orderedProductSales": money(sum(o.price for o in placed)),
            "unitsOrdered": units,
            "totalOrderItems": len(placed),
            "averageSalesPerOrderItem": money(_mean(sum(o.price for o in placed), len(placed))),
            "averageUnitsPerOrderItem": round(_mean(units, len(placed)), 2),
            "averageSellingPrice": money(_mean(sum(o.price for o in placed), units)),
            "unitsRefunded": refunded,
            "refundRate": round(100 * _mean(refunded, units), 2),
            "claimsGranted": 0,
            "claimsAmount": money(0),
            "shippedProductSales": money(sum(o.price for o in shipped)),
            "unitsShipped": sum(o.quantity for o in shipped),
            "ordersShipped": len(shipped),
        },
        "trafficByDate": {
            **views,
            "buyBoxPercentage": round(85 + 10 * draw(seed, marketplace.id, first, "buy box")[0], 2),
            "orderItemSessionPercentage": round(100 * _mean(len(placed), views["sessions"]), 2),
            "unitSessionPercentage": round(100 * _mean(units, views["sessions"]), 2),
            "averageOfferCount": len(sold),
            "averageParentItems": len({p.parent for p in sold}),
            "feedbackReceived": number(seed, marketplace.id, first, "feedback", below=4),
            "negativeFeedbackReceived": 0,
            "receivedNegativeFeedbackRate": 0.0,
        },
    }


def _by_asin(seed: int, marketplace: Marketplace, days: Sequence[date], level: str, as_of: datetime) -> list[Json]:
    sold = products(marketplace.country, marketplace.currency)
    placed = [o for day in days for o in _counted(seed, marketplace, day, as_of)]
    groups: dict[str, list[Product]] = defaultdict(list)
    for product in sold:
        groups[product.parent if level == "PARENT" else product.asin].append(product)
    views = {
        key: _sum_views(_views(seed, marketplace, day, product, as_of) for day in days for product in of)
        for key, of in groups.items()
    }
    totals = _sum_views(views.values())
    made = []
    for key, of in groups.items():
        own = [o for o in placed if o.product in of]
        units = sum(o.quantity for o in own)
        names = {"parentAsin": of[0].parent}
        if level in ("CHILD", "SKU"):
            names["childAsin"] = of[0].asin
        if level == "SKU":
            names["sku"] = of[0].sku
        traffic: Json = {}
        for name, count in views[key].items():
            share = name.replace("Sessions", "Session").replace("sessions", "session") + "Percentage"
            traffic |= {name: count, share: round(100 * _mean(count, totals[name]), 2)}
        if not own and not views[key].get("pageViews"):
            continue
        made.append(
            {
                **names,
                "salesByAsin": {
                    "unitsOrdered": units,
                    "orderedProductSales": _money(marketplace, sum(o.price for o in own)),
                    "totalOrderItems": len(own),
                },
                "trafficByAsin": {
                    **traffic,
                    "buyBoxPercentage": round(85 + 10 * draw(seed, marketplace.id, key, "buy box")[0], 2),
                    "unitSessionPercentage": round(100 * _mean(units, views[key]["sessions"]), 2),
                },
            }
        )
    return made


def _money(marketplace: Marketplace, minor: float) -> Json:
    return {"amount": round(minor / minor_units(marketplace.currency), 2), "currencyCode": marketplace.currency}


def _mean(value: float, count: float) -> float:
    return value / count if count else 0.0


# Orders

_ORDER_COLUMNS = (
    *("amazon-order-id", "merchant-order-id", "purchase-date", "last-updated-date", "order-status"),
    *("fulfillment-channel", "sales-channel", "order-channel", "ship-service-level", "product-name", "sku", "asin"),
    *("item-status", "quantity", "currency", "item-price", "item-tax", "shipping-price", "shipping-tax"),
    *("gift-wrap-price", "gift-wrap-tax", "item-promotion-discount", "ship-promotion-discount", "ship-city"),
    *("ship-state", "ship-postal-code", "ship-country", "promotion-ids", "is-business-order"),
    *("purchase-order-number", "price-designation"),
)


def order_rows(
    seed: int, marketplace: Marketplace, start: datetime, end: datetime, as_of: datetime
) -> list[dict[str, str]]:
    """The items ordered from ``start`` to ``end``, both included, as they stand at ``as_of``."""
    first, last = local_date(marketplace, start), local_date(marketplace, min(end, as_of))
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [
        _order_row(marketplace, order, as_of)
        for day in days
        for order in orders(seed, marketplace, day)
        if start <= order.purchased <= min(end, as_of)
    ]


def _order_row(marketplace: Marketplace, order: Order, as_of: datetime) -> dict[str, str]:
    status, since = order.state(as_of)
    priced = status != "Pending"
    amount = _plain(marketplace, order.price) if priced else ""
    city, state, postal_code = order.place
    values = {
        "amazon-order-id": order.id,
        "purchase-date": _iso(order.purchased),
        "last-updated-date": _iso(since),
        "order-status": status,
        "fulfillment-channel": "Amazon",
        "sales-channel": marketplace.name,
        "ship-service-level": "Expedited",
        "product-name": order.product.name,
        "sku": order.product.sku,
        "asin": order.product.asin,
        "item-status": status,
        "quantity": "0" if status == "Cancelled" else str(order.quantity),
        "currency": marketplace.currency if priced else "",
        "item-price": amount,
        "item-tax": _plain(marketplace, order.price // 12) if priced else "",
        "ship-city": city,
        "ship-state": state,
        "ship-postal-code": postal_code,
        "ship-country": marketplace.country,
        "promotion-ids": order.promotion if marketplace.country != "JP" else "",
        "is-business-order": "false",
    }
    return {name: values.get(name, "") for name in _ORDER_COLUMNS}


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")


def _plain(marketplace: Marketplace, minor: int) -> str:
    unit = minor_units(marketplace.currency)
    return f"{minor / unit:.2f}" if unit > 1 else str(minor)


def table(rows: Sequence[Mapping[str, str]], columns: Sequence[str], charset: str) -> bytes:
    """A flat file: fields apart by tabs, nothing quoted, lines that end as on Windows."""
    lines = ["\t".join(columns), *("\t".join(row.get(column, "") for column in columns) for row in rows)]
    return "".join(f"{line}\r\n" for line in lines).encode(charset, "replace")


def order_table(rows: Sequence[Mapping[str, str]], charset: str) -> bytes:
    return table(rows, _ORDER_COLUMNS, charset)


# Brand Analytics

_FIRST = (
    "best",
    "cheap",
    "ultralight",
    "kids",
    "women’s",
    "günstig",
    "大きい",
    "large",
    "small",
    "4 person",
    "kompakt",
)
_SECOND = (
    "camping",
    "hiking",
    "outdoor",
    "festival",
    "wandern",
    "family",
    "winter",
    "beach",
    "キャンプ",
    "backpacking",
)
_THIRD = ("tent", "stove", "lamp", "chair", "schlafsack", "テント", "mattress", "rucksack", "cooler", "water bottle")


def search_terms(
    seed: int, marketplace: Marketplace, start: date, end: date, period: str, terms: int
) -> Iterator[bytes]:
    """The document of GET_BRAND_ANALYTICS_SEARCH_TERMS_REPORT, piece by piece: one line, three rows for each term."""
    sold = products(marketplace.country, marketplace.currency)
    items = [(p.asin, json.dumps(p.name, ensure_ascii=False)) for p in sold]
    specification = {
        "reportType": SEARCH_TERMS,
        "reportOptions": {"reportPeriod": period},
        "dataStartTime": start.isoformat(),
        "dataEndTime": end.isoformat(),
        "marketplaceIds": [marketplace.id],
    }
    yield f'{{"reportSpecification":{json.dumps(specification)},"dataByDepartmentAndSearchTerm":['.encode()
    shuffled = random.Random(f"{seed}|{marketplace.id}|{start}").getrandbits  # noqa: S311
    for first in range(1, terms + 1, 5_000):
        ranks = range(first, min(first + 5_000, terms + 1))
        text = ",".join(_term_rows(marketplace.name, rank, shuffled(32), items) for rank in ranks)
        yield (text if first == 1 else f",{text}").encode()
    yield b"]}"


def _term_rows(department: str, rank: int, bits: int, items: Sequence[tuple[str, str]]) -> str:
    term = f"{_FIRST[bits % 11]} {_SECOND[bits // 11 % 10]} {_THIRD[bits // 110 % 10]}"
    if rank > 500:
        term = f"{term} {rank}"
    parts = []
    for place in (1, 2, 3):
        asin, name = items[(bits + 3 * place) % len(items)]
        click = (bits >> place) % 2500 / 10_000 / place
        parts.append(
            f'{{"departmentName":"{department}","searchTerm":"{term}","searchFrequencyRank":{rank},'
            f'"clickedAsin":"{asin}","clickedItemName":{name},"clickShareRank":{place},'
            f'"clickShare":{click:.4f},"conversionShare":{click / 2:.4f}}}'
        )
    return ",".join(parts)


# Settlements

_SETTLEMENT_COLUMNS = (
    *("settlement-id", "settlement-start-date", "settlement-end-date", "deposit-date", "total-amount", "currency"),
    *("transaction-type", "order-id", "merchant-order-id", "adjustment-id", "shipment-id", "marketplace-name"),
    *("amount-type", "amount-description", "amount", "fulfillment-id", "posted-date", "posted-date-time"),
    *("order-item-code", "merchant-order-item-id", "merchant-adjustment-item-id", "sku", "quantity-purchased"),
    "promotion-id",
)


class Settlement(NamedTuple):
    """One settlement period of one marketplace, from ``start`` to ``end``, when the report comes."""

    number: int
    marketplace: Marketplace
    start: datetime
    end: datetime


def settlements(marketplaces: Sequence[Marketplace], since: datetime, until: datetime) -> list[Settlement]:
    """The settlements that ended after ``since`` and by ``until``."""
    length = timedelta(days=_SETTLEMENT_DAYS)
    found = []
    k = max(1, (since - _SETTLEMENT_START) // length)
    while (end := _SETTLEMENT_START + k * length) <= until:
        if end > since:
            found += [
                Settlement(number("settlement", m.id, k, below=10**11), m, end - length, end) for m in marketplaces
            ]
        k += 1
    return found


def settlement_table(seed: int, settlement: Settlement) -> bytes:
    """The flat file of a settlement: a row for the whole, then what it is made of. Numbers are as the country has."""
    marketplace = settlement.marketplace
    days = (local_date(marketplace, settlement.start) + timedelta(days=n) for n in range(_SETTLEMENT_DAYS))
    rows, total = [], 0
    for order in (o for day in days for o in orders(seed, marketplace, day) if not o.cancelled):
        for kind, description, amount in (
            ("ItemPrice", "Principal", order.price),
            ("ItemFees", "Commission", -order.price * 15 // 100),
        ):
            total += amount
            rows.append(
                {
                    "settlement-id": str(settlement.number),
                    "transaction-type": "Order",
                    "order-id": order.id,
                    "marketplace-name": marketplace.name,
                    "amount-type": kind,
                    "amount-description": description,
                    "amount": _settled(marketplace, amount),
                    "fulfillment-id": "AFN",
                    "posted-date": order.closed.strftime("%Y-%m-%d"),
                    "posted-date-time": order.closed.strftime("%Y-%m-%d %H:%M:%S UTC"),
                    "sku": order.product.sku,
                    "quantity-purchased": str(order.quantity),
                }
            )
    whole = {
        "settlement-id": str(settlement.number),
        "settlement-start-date": settlement.start.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "settlement-end-date": settlement.end.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "deposit-date": (settlement.end + timedelta(days=2)).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "total-amount": _settled(marketplace, total),
        "currency": marketplace.currency,
    }
    return table([whole, *rows], _SETTLEMENT_COLUMNS, marketplace.charset)


def _settled(marketplace: Marketplace, minor: int) -> str:
    text = f"{minor / minor_units(marketplace.currency):.2f}"
    return text.replace(".", ",") if marketplace.country == "DE" else text


# How a report ends

_OPTIONS = {
    "dateGranularity": ("DAY", "WEEK", "MONTH"),
    "asinGranularity": ("PARENT", "CHILD", "SKU"),
    "reportPeriod": ("DAY", "WEEK", "MONTH", "QUARTER"),
}
"""Options of analytical reports, which are of one marketplace each."""


def ending(
    report_type: str,
    marketplaces: Sequence[Marketplace],
    start: datetime,
    end: datetime,
    options: Mapping[str, str],
    asked: datetime,
    ready_days: int,
) -> Ending:
    """What becomes of a report asked for at ``asked``; dates younger than ``ready_days`` are not ready."""
    today = local_date(marketplaces[0], asked)
    if start > end:
        return Ending("FATAL", CLIENT_ERROR)
    if report_type == ALL_ORDERS:
        if end - start > timedelta(days=30, seconds=1):
            return Ending("DONE", TOO_LONG)
        return Ending("CANCELLED") if start > asked else Ending("DONE")
    if len(marketplaces) > 1 or any(options.get(name, values[0]) not in values for name, values in _OPTIONS.items()):
        return Ending("FATAL", CLIENT_ERROR)
    if report_type == SEARCH_TERMS:
        period = options.get("reportPeriod", "")
        if not period:
            return Ending("FATAL", CLIENT_ERROR)
        if _whole(period, start.date()) != (start.date(), end.date()):
            return Ending("FATAL", NOT_ONE_DAY if period == "DAY" else NOT_WHOLE.format(period))
    if (today - end.date()).days < ready_days:
        return Ending("FATAL", NOT_YET)
    return Ending("CANCELLED") if (today - end.date()).days > 730 else Ending("DONE")
