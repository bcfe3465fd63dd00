"""Ready-made snapshots of the Selling Partner API: inventory, listings and fees as they are when they are asked for.

Names of columns are those of Amazon's documentation (SP-API, Inventory reports attributes, FBA inventory reports
attributes), which says that a marketplace may have more or fewer; further ones, of the fee preview above all, are those
of documents that sellers have published. Amazon documents no types: what is no count and no amount is text, dates of
listings too, which every marketplace spells in its own way.

Amazon makes a report of FBA that is near real-time once every 30 minutes for a seller, whoever asks, and answers
earlier orders by FATAL or CANCELLED; the fee preview once a day (SP-API, FBA reports).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from adplatform.amazon.definitions import Dataset, ReportDefinition, snake_case
from adplatform.amazon.restatement import SNAPSHOT
from adplatform.amazon.selling_partner.analytics import MONEY
from adplatform.contracts.column import Column

LISTING_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "custom": ("true", "false"),
    "preferredReportDocumentLocale": (),
}
"""Options of reports of listings, with the values that Amazon takes; none for any."""
_NOT_KNOWN = ("--",)
"""What stands where Amazon knows no number, as published documents of inventory and fees have it."""
_SPELLED = re.compile(r" *\(.*\)")


def _columns(kind: str, names: Iterable[str], also: Mapping[str, str] | None = None) -> Iterator[Column]:
    """Columns of one type; ``also`` maps names to the ones that they have in documents in Japanese."""
    for name in names:
        other = (also or {}).get(name)
        yield Column(
            name=snake_case(_SPELLED.sub("", name)),
            field=(name, other) if other else name,
            type=kind,
            null_values=() if kind == "string" else _NOT_KNOWN,
        )


def _key(name: str, also: Mapping[str, str] | None = None) -> Column:
    [column] = _columns("string", [name], also)
    return column.model_copy(update={"required": True})


def _snapshot(
    name: str,
    report_type: str,
    columns: Iterable[Column],
    description: str,
    options: Mapping[str, str] | None = None,
    looks_back: timedelta = timedelta(0),
) -> ReportDefinition:
    dataset = Dataset(
        feed=name, columns=tuple(columns), description=description, schema_policy="evolve", localized=True
    )
    return ReportDefinition(
        name=name,
        api="selling_partner",
        report_type=report_type,
        layout="tsv",
        configuration=options or {},
        datasets=(dataset,),
        policy=SNAPSHOT,
        looks_back=looks_back,
    )


_FBA_INVENTORY = _snapshot(
    "fba_inventory",
    "GET_FBA_MYI_UNSUPPRESSED_INVENTORY_DATA",
    (
        _key("sku"),
        *_columns("string", ("fnsku", "asin", "product-name", "condition")),
        *_columns(MONEY, ("your-price",)),
        *_columns("string", ("mfn-listing-exists", "afn-listing-exists")),
        *_columns(
            "bigint",
            (
                *("mfn-fulfillable-quantity", "afn-warehouse-quantity", "afn-fulfillable-quantity"),
                *("afn-unsellable-quantity", "afn-reserved-quantity", "afn-total-quantity"),
                *("afn-inbound-working-quantity", "afn-inbound-shipped-quantity", "afn-inbound-receiving-quantity"),
                *("afn-researching-quantity", "afn-reserved-future-supply", "afn-future-supply-buyable"),
                *("afn-fulfillable-quantity-local", "afn-fulfillable-quantity-remote"),
                *("afn-fc-transfer-quantity", "afn-onhand-buyable-quantity"),
            ),
        ),
        *_columns(MONEY, ("per-unit-volume",)),
        *_columns("string", ("store",)),
    ),
    "Inventory in Amazon's fulfilment centres and on its way there, by SKU, on the day on which it was asked for.",
)
_BY_COUNTRY = _snapshot(
    "fba_inventory_by_country",
    "GET_AFN_INVENTORY_DATA_BY_COUNTRY",
    (
        _key("seller-sku"),
        _key("country"),
        *_columns("string", ("fulfillment-channel-sku", "asin", "condition-type")),
        *_columns("bigint", ("quantity-for-local-fulfillment",)),
    ),
    "Inventory by SKU and country of the fulfilment centre (Europe), on the day on which it was asked for.",
)

_IN_JAPANESE: Mapping[str, str] = {
    **{"item-name": "商品名", "listing-id": "出品ID", "seller-sku": "出品者SKU", "price": "価格", "quantity": "数量"},
    **{"open-date": "出品日", "product-id-type": "商品IDタイプ", "product-id": "商品ID", "status": "ステータス"},
    **{"item-note": "コンディション説明", "item-condition": "コンディション", "pending-quantity": "在庫数"},
    **{"will-ship-internationally": "国外へ配送可", "expedited-shipping": "迅速な配送"},
    **{"fulfillment-channel": "フルフィルメント・チャンネル"},
}
"""As a published reader of documents of Amazon.co.jp has them; not confirmed by Amazon. Headers in English are asked
for, but a document that somebody had made in Japanese within six hours is answered with (SP-API, Inventory reports)."""
_LISTINGS = (
    _key("seller-sku", _IN_JAPANESE),
    *_columns(
        "string",
        (
            *("item-name", "item-description", "listing-id", "open-date", "image-url", "item-is-marketplace"),
            *("product-id-type", "zshop-shipping-fee", "item-note", "item-condition", "zshop-category1"),
            *("zshop-browse-path", "zshop-storefront-feature", "asin1", "asin2", "asin3"),
            *("will-ship-internationally", "expedited-shipping", "zshop-boldface", "product-id"),
            *("bid-for-featured-placement", "add-delete", "fulfillment-channel", "merchant-shipping-group"),
        ),
        _IN_JAPANESE,
    ),
    *_columns(MONEY, ("price",), _IN_JAPANESE),
    *_columns("bigint", ("quantity", "pending-quantity"), _IN_JAPANESE),
)
_IN_ENGLISH = {"preferredReportDocumentLocale": "en_US"}
_ALL_LISTINGS = _snapshot(
    "all_listings",
    "GET_MERCHANT_LISTINGS_ALL_DATA",
    (*_LISTINGS, *_columns("string", ("status",), _IN_JAPANESE)),
    "The seller's listings with their state, price and quantity, on the day on which they were asked for.",
    _IN_ENGLISH,
)
_ACTIVE_LISTINGS = _snapshot(
    "active_listings",
    "GET_MERCHANT_LISTINGS_DATA",
    _LISTINGS,
    "The listings that are active, with price and quantity, on the day on which they were asked for.",
    _IN_ENGLISH,
)

_FBA_FEES = _snapshot(
    "fba_fees",
    "GET_FBA_ESTIMATED_FBA_FEES_TXT_DATA",
    (
        _key("sku"),
        *_columns(
            "string",
            (
                *("fnsku", "asin", "amazon-store", "product-name", "product-group", "brand", "fulfilled-by"),
                *("has-local-inventory", "unit-of-dimension", "unit-of-weight", "product-size-tier"),
                *("product-size-weight-band", "currency"),
            ),
        ),
        *_columns(
            MONEY,
            (
                *("your-price", "sales-price", "longest-side", "median-side", "shortest-side", "length-and-girth"),
                *("item-package-weight", "estimated-fee-total", "estimated-referral-fee-per-unit"),
                *("estimated-variable-closing-fee", "estimated-order-handling-fee-per-order"),
                *("estimated-pick-pack-fee-per-unit", "estimated-weight-handling-fee-per-unit"),
                *("expected-fulfillment-fee-per-unit", "expected-domestic-fulfilment-fee-per-unit"),
                *(
                    f"expected-efn-fulfilment-fee-per-unit-{country}"
                    for country in ("uk", "de", "fr", "it", "es", "se")
                ),
                "estimated-future-fee (Current Selling on Amazon + Future Fulfillment fees)",
                *("estimated-future-order-handling-fee-per-order", "estimated-future-pick-pack-fee-per-unit"),
                *("estimated-future-weight-handling-fee-per-unit", "expected-future-fulfillment-fee-per-unit"),
            ),
        ),
    ),
    "What Amazon estimates that it will charge for each SKU in its fulfilment centres. It makes the report once a day "
    "for a seller, so a source has it for one marketplace.",
    # At least 72 hours before now (SP-API, FBA reports); its clock is not ours.
    looks_back=timedelta(hours=73),
)

SNAPSHOTS = (_FBA_INVENTORY, _BY_COUNTRY, _ALL_LISTINGS, _ACTIVE_LISTINGS, _FBA_FEES)
