"""Reports of the Selling Partner API that show a present state: stock, listings and fees at the instant of asking.

Stock falls with the orders of the marketplace and is filled up every ten days, so every day has another number.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

from adplatform.local.world.amazon.accounts import Marketplace
from adplatform.local.world.amazon.products import Product, minor_units, products
from adplatform.local.world.amazon.selling import Ending, local_date, orders, table
from adplatform.local.world.draws import draw, number

FBA_INVENTORY = "GET_FBA_MYI_UNSUPPRESSED_INVENTORY_DATA"
BY_COUNTRY = "GET_AFN_INVENTORY_DATA_BY_COUNTRY"
ALL_LISTINGS = "GET_MERCHANT_LISTINGS_ALL_DATA"
ACTIVE_LISTINGS = "GET_MERCHANT_LISTINGS_DATA"
FBA_FEES = "GET_FBA_ESTIMATED_FBA_FEES_TXT_DATA"
REPORT_TYPES = (FBA_INVENTORY, BY_COUNTRY, ALL_LISTINGS, ACTIVE_LISTINGS, FBA_FEES)

_FILLED_EVERY = 10
_MADE_AGAIN = {FBA_INVENTORY: timedelta(minutes=30), BY_COUNTRY: timedelta(minutes=30), FBA_FEES: timedelta(hours=4)}
"""For how long Amazon makes no other report of a type."""
_FEES_LOOK_BACK = timedelta(hours=72)
_COUNTRIES = ("DE", "FR", "PL")

_INVENTORY_COLUMNS = (
    *("sku", "fnsku", "asin", "product-name", "condition", "your-price", "mfn-listing-exists"),
    *("mfn-fulfillable-quantity", "afn-listing-exists", "afn-warehouse-quantity", "afn-fulfillable-quantity"),
    *("afn-unsellable-quantity", "afn-reserved-quantity", "afn-total-quantity", "per-unit-volume"),
    *("afn-inbound-working-quantity", "afn-inbound-shipped-quantity", "afn-inbound-receiving-quantity"),
    *("afn-researching-quantity", "afn-reserved-future-supply", "afn-future-supply-buyable"),
    *("afn-fc-transfer-quantity", "afn-onhand-buyable-quantity", "store"),
)
_COUNTRY_COLUMNS = (
    *("seller-sku", "fulfillment-channel-sku", "asin", "condition-type", "country", "quantity-for-local-fulfillment"),
)
_LISTING_COLUMNS = (
    *("item-name", "item-description", "listing-id", "seller-sku", "price", "quantity", "open-date", "image-url"),
    *("item-is-marketplace", "product-id-type", "zshop-shipping-fee", "item-note", "item-condition"),
    *("zshop-category1", "zshop-browse-path", "zshop-storefront-feature", "asin1", "asin2", "asin3"),
    *("will-ship-internationally", "expedited-shipping", "zshop-boldface", "product-id"),
    *("bid-for-featured-placement", "add-delete", "pending-quantity", "fulfillment-channel"),
    "merchant-shipping-group",
)
_JAPANESE_COLUMNS = {
    "商品名": "item-name",
    "出品ID": "listing-id",
    "出品者SKU": "seller-sku",
    "価格": "price",
    "数量": "quantity",
    "出品日": "open-date",
    "商品IDタイプ": "product-id-type",
    "コンディション": "item-condition",
    "商品ID": "product-id",
    "フルフィルメント・チャンネル": "fulfillment-channel",
    "merchant-shipping-group": "merchant-shipping-group",
    "ステータス": "status",
}
"""The header of Amazon.co.jp, which has fewer columns."""
_FEE_COLUMNS = (
    *("sku", "fnsku", "asin", "amazon-store", "product-name", "product-group", "brand", "fulfilled-by", "your-price"),
    *("sales-price", "longest-side", "median-side", "shortest-side", "length-and-girth", "unit-of-dimension"),
    *("item-package-weight", "unit-of-weight", "product-size-tier", "currency", "estimated-fee-total"),
    *("estimated-referral-fee-per-unit", "estimated-variable-closing-fee", "estimated-order-handling-fee-per-order"),
    *("estimated-pick-pack-fee-per-unit", "estimated-weight-handling-fee-per-unit"),
    "expected-fulfillment-fee-per-unit",
    "estimated-future-fee (Current Selling on Amazon + Future Fulfillment fees)",
    *("estimated-future-order-handling-fee-per-order", "estimated-future-pick-pack-fee-per-unit"),
    *("estimated-future-weight-handling-fee-per-unit", "expected-future-fulfillment-fee-per-unit"),
)


def ending(report_type: str, start: datetime, asked: datetime, others: Iterable[datetime]) -> Ending:
    """What becomes of a report asked for at ``asked``, where ``others`` of its type and marketplace were made."""
    again = _MADE_AGAIN.get(report_type, timedelta(0))
    if any(timedelta(0) <= asked - other < again for other in others):
        return Ending("FATAL")
    if report_type == FBA_FEES and asked - start < _FEES_LOOK_BACK:
        return Ending("FATAL")
    return Ending("DONE")


def fulfillable(seed: int, marketplace: Marketplace, product: Product, as_of: datetime) -> int:
    """How many units can be sold: what was there when stock was filled up, without what was ordered since."""
    today = local_date(marketplace, as_of)
    since = (today - date(2020, 1, 1)).days % _FILLED_EVERY
    days = (today - timedelta(days=age) for age in range(since + 1))
    sold = sum(
        order.quantity
        for day in days
        for order in orders(seed, marketplace, day)
        if order.product == product and order.purchased <= as_of
    )
    return 400 + number(seed, marketplace.id, product.sku, "stock", below=100) - sold


def document(
    report_type: str, seed: int, marketplace: Marketplace, options: Mapping[str, str], as_of: datetime, fate: str
) -> bytes:
    """The flat file of a report that was asked for at ``as_of``."""
    sold = products(marketplace.country, marketplace.currency)
    made = {
        FBA_INVENTORY: (_inventory, _INVENTORY_COLUMNS),
        BY_COUNTRY: (_by_country, _COUNTRY_COLUMNS),
        ALL_LISTINGS: (_listing, (*_LISTING_COLUMNS, "status")),
        ACTIVE_LISTINGS: (_listing, _LISTING_COLUMNS),
        FBA_FEES: (_fees, _FEE_COLUMNS),
    }
    rows_of, columns = made[report_type]
    rows = [row for product in sold for row in rows_of(seed, marketplace, product, as_of)] if fate != "empty" else []
    if report_type == ACTIVE_LISTINGS:
        rows = [row for row in rows if row["status"] == "Active"]
    if report_type in (ALL_LISTINGS, ACTIVE_LISTINGS) and marketplace.country == "JP":
        locale = options.get("preferredReportDocumentLocale", marketplace.language)
        if locale == marketplace.language or fate == "other_locale":
            names = [n for n, name in _JAPANESE_COLUMNS.items() if name in columns]
            return table([{n: row.get(_JAPANESE_COLUMNS[n], "") for n in names} for row in rows], names, "cp932")
    return table(rows, columns, marketplace.charset)


def _inventory(seed: int, marketplace: Marketplace, product: Product, as_of: datetime) -> list[dict[str, str]]:
    free = fulfillable(seed, marketplace, product, as_of)
    reserved, broken = number(product.sku, as_of.date(), below=6), number(product.sku, "unsellable", below=3)
    return [
        {
            "sku": product.sku,
            "fnsku": _fnsku(product),
            "asin": product.asin,
            "product-name": product.name,
            "condition": "New",
            "your-price": _amount(marketplace, product.price),
            "mfn-listing-exists": "No",
            "mfn-fulfillable-quantity": "--",
            "afn-listing-exists": "Yes",
            "afn-warehouse-quantity": str(free + reserved + broken),
            "afn-fulfillable-quantity": str(free),
            "afn-unsellable-quantity": str(broken),
            "afn-reserved-quantity": str(reserved),
            "afn-total-quantity": str(free + reserved + broken),
            "per-unit-volume": "0.0015",
            **dict.fromkeys(_INVENTORY_COLUMNS[15:22], "0"),
            "afn-onhand-buyable-quantity": str(free),
        }
    ]


def _by_country(seed: int, marketplace: Marketplace, product: Product, as_of: datetime) -> list[dict[str, str]]:
    free = fulfillable(seed, marketplace, product, as_of)
    shares = (free // 2, free // 3, free - free // 2 - free // 3)
    return [
        {
            "seller-sku": product.sku,
            "fulfillment-channel-sku": _fnsku(product),
            "asin": product.asin,
            "condition-type": "NewItem",
            "country": country,
            "quantity-for-local-fulfillment": str(share),
        }
        for country, share in zip(_COUNTRIES, shares, strict=True)
    ]


def _listing(seed: int, marketplace: Marketplace, product: Product, as_of: datetime) -> list[dict[str, str]]:
    """One product in eight is inactive for a few days of each month."""
    active = draw(product.sku, as_of.month)[0] > 0.125 or as_of.day > 5
    return [
        {
            "item-name": product.name,
            "listing-id": f"{number(product.sku, 'listing', below=10**10):010}",
            "seller-sku": product.sku,
            "price": _amount(marketplace, product.price),
            "quantity": "",
            "open-date": datetime(2021, 8, 15, 20, 35, 17, tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            "item-is-marketplace": "y",
            "product-id-type": "1",
            "item-condition": "11",
            "asin1": product.asin,
            "product-id": product.asin,
            "pending-quantity": "0",
            "fulfillment-channel": f"AMAZON_{marketplace.region.upper()}",
            "merchant-shipping-group": "Migrated Template",
            "status": "Active" if active else "Inactive",
        }
    ]


def _fees(seed: int, marketplace: Marketplace, product: Product, as_of: datetime) -> list[dict[str, str]]:
    referral, fulfilment = product.price * 15 // 100, 450
    amounts = {
        "your-price": product.price,
        "sales-price": product.price,
        "estimated-fee-total": referral + fulfilment,
        "estimated-referral-fee-per-unit": referral,
        "estimated-variable-closing-fee": 0,
        "expected-fulfillment-fee-per-unit": fulfilment,
    }
    return [
        {
            **dict.fromkeys(_FEE_COLUMNS, "--"),
            "sku": product.sku,
            "fnsku": _fnsku(product),
            "asin": product.asin,
            "amazon-store": marketplace.country,
            "product-name": product.name,
            "product-group": product.category,
            "brand": "Northwind",
            "fulfilled-by": "Amazon",
            "longest-side": "7.72",
            "median-side": "6.54",
            "shortest-side": "1.22",
            "length-and-girth": "23.24",
            "unit-of-dimension": "inches",
            "item-package-weight": "0.18",
            "unit-of-weight": "pounds",
            "product-size-tier": "UsLargeStandardSize",
            "currency": marketplace.currency,
            **{name: _amount(marketplace, minor) for name, minor in amounts.items()},
        }
    ]


def _fnsku(product: Product) -> str:
    return f"X00{number(product.sku, 'fnsku', below=10**7):07}"


def _amount(marketplace: Marketplace, minor: int) -> str:
    unit = minor_units(marketplace.currency)
    return f"{minor / unit:.2f}" if unit > 1 else str(minor)
