"""Promotions and coupons of the demo's seller, and of a vendor's campaigns. What they brought grows for as long as they
go on, and a little longer, by orders that came late."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from adplatform.local.world.amazon.products import Product, minor_units, products
from adplatform.local.world.amazon.selling import CLIENT_ERROR, Ending, local_date
from adplatform.local.world.amazon.selling_served import Asked, Row, Served
from adplatform.local.world.draws import draw, number

PROMOTIONS = "GET_PROMOTION_PERFORMANCE_REPORT"
COUPONS = "GET_COUPON_PERFORMANCE_REPORT"

_KINDS = ("BEST_DEAL", "LIGHTNING_DEAL", "PRICE_DISCOUNT")
_LONGEST = timedelta(days=730)


def _range(asked: Asked, began: str) -> tuple[datetime, datetime] | None:
    """The range of beginnings, which is in the options, and in nothing else."""
    try:
        first, last = (datetime.fromisoformat(asked.options[f"{began}StartDate{edge}"]) for edge in ("From", "To"))
    except (KeyError, ValueError):
        return None
    return (first, last) if first.tzinfo and last.tzinfo and first <= last else None


def _refused(*begins: str) -> Callable[[Asked], Ending | None]:
    def ends(asked: Asked) -> Ending | None:
        ranges = [found for began in begins if (found := _range(asked, began))]
        if len(ranges) != 1:
            texts = " and ".join(f"{begins[0]}StartDate{edge}" for edge in ("From", "To"))
            return Ending(
                "FATAL",
                f"Please provide report options {texts} in the standard ISO-8601 zoned date and time format. For "
                'example: "2011-12-03T10:15:30Z".',
            )
        return Ending("FATAL", CLIENT_ERROR) if asked.as_of - ranges[0][0] > _LONGEST else Ending("DONE")

    return ends


def _began(asked: Asked, what: str, began: str) -> Iterator[tuple[str, datetime, float, Product]]:
    """What began in the range: its id, when, how much of it is over, and its first product."""
    found = _range(asked, began)
    if found is None:
        return
    first, last = found
    sold = products(asked.marketplace.country, asked.marketplace.currency)
    for n in range((last.date() - first.date()).days + 1):
        day = first.date() + timedelta(days=n)
        for k in range(2):
            u = draw(asked.seed, what, asked.marketplace.id, day, k)
            at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=int(u[0] * 86_399))
            if first <= at <= min(last, asked.as_of):
                name = str(number(what, asked.marketplace.id, day, k, below=10**11))
                yield name, at, min((asked.as_of - at) / _lasts(name), 1.0), sold[int(u[1] * (len(sold) - 1))]


def _lasts(name: str) -> timedelta:
    return timedelta(days=1 + number("lasts", name, below=20))


def _promotions(asked: Asked) -> list[Row]:
    rows: list[Row] = []
    sold = products(asked.marketplace.country, asked.marketplace.currency)
    for name, at, over, product in _began(asked, "promotion", "promotion"):
        included = [p for p in sold if p.parent == product.parent]
        units = [int(over * (5 + number(name, p.asin, below=40))) for p in included]
        rows.append(
            {
                "promotionId": name,
                "promotionName": f"Save on {product.name}",
                "merchantId": "A1DEMOSELLER",
                "unitsSold": sum(units),
                "revenue": _money(asked, sum(n * p.price for n, p in zip(units, included, strict=True))),
                "revenueCurrencyCode": asked.marketplace.currency,
                "startDateTime": _instant(at),
                "endDateTime": _instant(at + _lasts(name)),
                "type": _KINDS[number(name, "kind", below=3)],
                "status": "APPROVED",
                "creationChannel": "SELF-SERVICE",
                "marketplaceId": asked.marketplace.id,
                "glanceViews": sum(units) * 30,
                "createdDateTime": _instant(at - timedelta(days=20)),
                "lastUpdatedDateTime": _instant(at - timedelta(days=20)),
                "includedProducts": [
                    {
                        "asin": p.asin,
                        "productName": p.name,
                        "productGlanceViews": n * 30,
                        "productUnitsSold": n,
                        "productRevenue": _money(asked, n * p.price),
                        "productRevenueCurrencyCode": asked.marketplace.currency,
                    }
                    for n, p in zip(units, included, strict=True)
                ],
            }
        )
    return rows


def _coupons(asked: Asked) -> list[Row]:
    """A seller's; or where a vendor's options are given, campaigns of one coupon each."""
    if _range(asked, "campaign"):
        return [_campaign(asked, *each) for each in _began(asked, "coupon", "campaign")]
    return [
        {
            **_coupon(asked, *each),
            "merchantId": "A1DEMOSELLER",
            "marketplaceId": asked.marketplace.id,
            "currencyCode": asked.marketplace.currency,
            "discountType": "PERCENT_OFF_LIST_PRICE",
            "discountAmount": 10,
            "sales": _money(asked, _redeemed(each[0], each[2]) * each[3].price * 9 / 10),
            "asins": [{"asin": each[3].asin}],
        }
        for each in _began(asked, "coupon", "coupon")
    ]


def _redeemed(name: str, over: float) -> int:
    return int(over * (2 + number(name, "redeemed", below=30)))


def _coupon(asked: Asked, name: str, at: datetime, over: float, product: Product) -> dict[str, Any]:
    redeemed, budget = _redeemed(name, over), 100_000
    spent = redeemed * product.price / 10 + redeemed * 60
    return {
        "couponId": name,
        "name": f"{product.name} 10% Off",
        "websiteMessage": f"Save on {product.name}",
        "startDateTime": _instant(at),
        "endDateTime": _instant(at + _lasts(name)),
        "customerSegment": "All (Default)",
        "clips": redeemed * 3,
        "redemptions": redeemed,
        "budget": _money(asked, budget),
        "totalDiscount": _money(asked, redeemed * product.price / 10),
        "budgetSpent": _money(asked, spent),
        "budgetRemaining": _money(asked, budget - spent),
        "budgetPercentageUsed": round(100 * spent / budget, 2),
    }


def _campaign(asked: Asked, name: str, at: datetime, over: float, product: Product) -> dict[str, Any]:
    coupon = _coupon(asked, name, at, over, product)
    asin = {"asin": product.asin, "discountType": "PERCENT_OFF_LIST_PRICE", "discountAmount": 10}
    return {
        "campaignId": f"C{name}",
        "campaignName": f"Campaign of {local_date(asked.marketplace, at)}",
        "vendorCode": "NORTH",
        "marketplaceId": asked.marketplace.id,
        "creationDateTime": _instant(at - timedelta(days=9)),
        "lastUpdatedDateTime": _instant(asked.as_of),
        "isSubscribeAndSave": False,
        "budgetType": "PER_INDIVIDUAL_COUPON",
        "totalClips": coupon["clips"],
        "totalRedemptions": coupon["redemptions"],
        "currencyCode": asked.marketplace.currency,
        "coupons": [{**coupon, "isOncePerCustomer": True, "asins": [asin]}],
    }


def _instant(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _money(asked: Asked, minor: float) -> float:
    return round(minor / minor_units(asked.marketplace.currency), 2)


def _specified(report_type: str, records: Callable[[Asked], str]) -> Callable[[Asked, list[Row]], bytes]:
    def written(asked: Asked, rows: list[Row]) -> bytes:
        specification = {
            "reportType": report_type,
            "reportOptions": dict(asked.options),
            "marketplaceIds": [m.id for m in asked.marketplaces],
        }
        body = {"reportSpecification": specification, records(asked): rows}
        return json.dumps(body, ensure_ascii=False).encode()

    return written


SERVED: Mapping[str, Served] = {
    PROMOTIONS: Served(_promotions, _specified(PROMOTIONS, lambda _: "promotions"), "json", ends=_refused("promotion")),
    COUPONS: Served(
        _coupons,
        _specified(COUPONS, lambda asked: "campaigns" if _range(asked, "campaign") else "coupons"),
        "json",
        ends=_refused("coupon", "campaign"),
    ),
}
