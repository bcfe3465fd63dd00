"""Ready-made reports of the Selling Partner API (Reports API 2021-06-30), and what becomes of their options."""

from collections.abc import Mapping
from dataclasses import replace

from adplatform.amazon.definitions import Dataset, ReportDefinition, columns_of, snake_case
from adplatform.amazon.moving_dates import check_places
from adplatform.amazon.restatement import Period, RestatementPolicy
from adplatform.amazon.selling_partner.analytics import ANALYTICS, MONEY
from adplatform.amazon.selling_partner.fulfilment import FULFILMENT
from adplatform.amazon.selling_partner.inventory import LISTING_OPTIONS, SNAPSHOTS
from adplatform.amazon.selling_partner.promotions import PROMOTIONS
from adplatform.amazon.selling_partner.vendor import VENDOR
from adplatform.contracts.column import Column
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.pii import Pii, PiiKind
from adplatform.failures import wrapped

_ORDER_TEXTS = (
    *("amazon-order-id", "merchant-order-id"),
    *("order-status", "fulfillment-channel", "sales-channel", "order-channel", "ship-service-level"),
    *("product-name", "sku", "asin", "item-status", "currency", "ship-country", "promotion-ids"),
    *("is-business-order", "purchase-order-number", "price-designation"),
)
_ORDER_MONEY = (
    *("item-price", "item-tax", "shipping-price", "shipping-tax", "gift-wrap-price", "gift-wrap-tax"),
    *("item-promotion-discount", "ship-promotion-discount"),
)


def _place(source: str, kind: PiiKind) -> Column:
    return Column(name=snake_case(source), field=source, pii=Pii(kind=kind, country_column="ship_country"))


_ORDER_COLUMNS = (
    *columns_of([(name, "string") for name in _ORDER_TEXTS], required=("amazon-order-id",)),
    *columns_of([("purchase-date", "timestamp")], required=("purchase-date",)),
    *columns_of([("last-updated-date", "timestamp"), ("quantity", "int")]),
    *columns_of([(name, MONEY) for name in _ORDER_MONEY]),
    _place("ship-city", PiiKind.CITY),
    _place("ship-state", PiiKind.STATE),
    _place("ship-postal-code", PiiKind.POSTAL_CODE),
)


def _orders(name: str, report_type: str, by: str, description: str, policy: RestatementPolicy) -> ReportDefinition:
    """A report of order items, a date of which is that of the column ``by`` (UTC)."""
    dataset = Dataset(
        feed=name,
        date_field=by,
        description=description,
        plotted=("quantity", "item-price"),
        schema_policy="evolve",
        columns=_ORDER_COLUMNS,
    )
    return ReportDefinition(
        name=name,
        api="selling_partner",
        report_type=report_type,
        layout="tsv",
        configuration={},
        datasets=(dataset,),
        dates_in="utc",
        policy=policy,
    )


_ORDERS_POLICY = RestatementPolicy(
    daily=tuple(range(1, 8)),
    waves=(14, 21, 30, 60),
    max_range_days=30,
    retention_days=730,
    backfill_per_day=6,
    closes=False,
)
_ALL_ORDERS = _orders(
    "all_orders",
    "GET_FLAT_FILE_ALL_ORDERS_DATA_BY_ORDER_DATE_GENERAL",
    "purchase-date",
    "Order items by date of purchase (UTC), with the state the order has by now.",
    _ORDERS_POLICY,
)
# Each date is complete when it is over. An order that changes again moves to the date of that change, so older dates
# are not asked for again but to find what was late.
_UPDATED_ORDERS = _orders(
    "updated_orders",
    "GET_FLAT_FILE_ALL_ORDERS_DATA_BY_LAST_UPDATE_GENERAL",
    "last-updated-date",
    "Order items by date of their last change (UTC), as they were then.",
    replace(_ORDERS_POLICY, daily=(1, 2), waves=()),
)

_SETTLEMENT_TEXTS = (
    *("currency", "transaction-type", "order-id", "merchant-order-id", "adjustment-id", "shipment-id"),
    *("marketplace-name", "amount-type", "amount-description", "fulfillment-id"),
    *("order-item-code", "merchant-order-item-id", "merchant-adjustment-item-id", "sku", "promotion-id"),
)
_SETTLEMENTS = ReportDefinition(
    name="settlements",
    api="selling_partner",
    report_type="GET_V2_SETTLEMENT_REPORT_DATA_FLAT_FILE_V2",
    layout="tsv",
    configuration={},
    datasets=(
        Dataset(
            feed="settlements",
            localized=True,
            description="Payments to the seller, by the last date of their period: the total, then its parts.",
            schema_policy="evolve",
            columns=(
                *columns_of([("settlement-id", "string")], required=("settlement-id",)),
                *columns_of([(f"settlement-{edge}-date", "timestamp") for edge in ("start", "end")]),
                *columns_of([("deposit-date", "timestamp"), ("total-amount", MONEY)]),
                *columns_of([(name, "string") for name in _SETTLEMENT_TEXTS]),
                *columns_of([("amount", MONEY), ("quantity-purchased", "int")]),
                *columns_of([("posted-date", "date"), ("posted-date-time", "timestamp")]),
            ),
        ),
    ),
    policy=RestatementPolicy(daily=(1,), waves=(), retention_days=90, closes=False),
    discovered=True,
    dates_in="utc",
)

READY_MADE: Mapping[str, ReportDefinition] = {
    d.name: d
    for d in (
        *(ANALYTICS[0], _ALL_ORDERS, _UPDATED_ORDERS, _SETTLEMENTS, *FULFILMENT, *PROMOTIONS),
        *(*ANALYTICS[1:], *SNAPSHOTS, *VENDOR),
    )
}

_FROM_WEEK = ("WEEK", "MONTH", "QUARTER")
_FROM_DAY = ("DAY", *_FROM_WEEK)
_VENDOR = {"reportPeriod": (*_FROM_DAY, "YEAR")}
_VIEWS = {"distributorView": ("MANUFACTURING", "SOURCING")}
_ANY: tuple[str, ...] = ()
_OPTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "GET_SALES_AND_TRAFFIC_REPORT": {
        "dateGranularity": ("DAY", "WEEK", "MONTH"),
        "asinGranularity": ("PARENT", "CHILD", "SKU"),
    },
    "GET_BRAND_ANALYTICS_SEARCH_TERMS_REPORT": {"reportPeriod": _FROM_DAY},
    "GET_BRAND_ANALYTICS_MARKET_BASKET_REPORT": {"reportPeriod": _FROM_DAY},
    "GET_BRAND_ANALYTICS_REPEAT_PURCHASE_REPORT": {"reportPeriod": _FROM_WEEK},
    "GET_BRAND_ANALYTICS_SEARCH_QUERY_PERFORMANCE_REPORT": {"reportPeriod": _FROM_WEEK, "asin": _ANY},
    "GET_BRAND_ANALYTICS_SEARCH_CATALOG_PERFORMANCE_REPORT": {"reportPeriod": _FROM_WEEK, "asins": _ANY},
    "GET_PROMOTION_PERFORMANCE_REPORT": {f"promotionStartDate{edge}": _ANY for edge in ("From", "To")},
    "GET_COUPON_PERFORMANCE_REPORT": {
        f"{began}StartDate{edge}": _ANY for began in ("coupon", "campaign") for edge in ("From", "To")
    },
    "GET_LEDGER_SUMMARY_VIEW_DATA": {
        "aggregateByLocation": ("COUNTRY", "FC"),
        "aggregatedByTimePeriod": ("DAILY", "WEEKLY", "MONTHLY"),
    },
    "GET_VENDOR_SALES_REPORT": {**_VENDOR, **_VIEWS, "sellingProgram": ("RETAIL", "BUSINESS", "FRESH")},
    "GET_VENDOR_TRAFFIC_REPORT": _VENDOR,
    "GET_MERCHANT_LISTINGS_ALL_DATA": LISTING_OPTIONS,
    "GET_MERCHANT_LISTINGS_DATA": LISTING_OPTIONS,
    "GET_VENDOR_NET_PURE_PRODUCT_MARGIN_REPORT": _VENDOR,
    "GET_VENDOR_FORECASTING_REPORT": {"sellingProgram": ("RETAIL", "FRESH")},
    "GET_VENDOR_REAL_TIME_SALES_REPORT": {"currencyCode": _ANY},
    "GET_VENDOR_INVENTORY_REPORT": {**_VENDOR, **_VIEWS, "sellingProgram": ("RETAIL", "FRESH")},
}
"""The options of report types and the values that Amazon takes; it ignores what it does not know."""
_REQUIRED = ("reportPeriod", "asin", "distributorView", "sellingProgram")
_PERIODS = ("reportPeriod", "dateGranularity", "aggregatedByTimePeriod")
_ADVERBS = {"DAILY": Period.DAY, "WEEKLY": Period.WEEK, "MONTHLY": Period.MONTH}
_LONGEST_LIST = 200
"""Characters of a list of ASINs."""


def options_of(report_type: str) -> Mapping[str, tuple[str, ...]]:
    """The options that Amazon takes for a report type, with their values, none for any; nothing where it is unknown."""
    return _OPTIONS.get(report_type, {})


def check_options(name: str, report_type: str, options: Mapping[str, str]) -> None:
    """Refuse options that Amazon would ignore or answer with a FATAL report; types that are not listed take any.

    Raises:
        ValueError: with what may stand there.
    """
    known = options_of(report_type)
    for option, value in options.items():
        check_places(option, value)
        if known and option not in known:
            hint = did_you_mean(option, known)
            raise ValueError(f"{name}: {report_type} has no option {option}{hint}; it has {wrapped(known)}")
        if (choices := known.get(option)) and value not in choices:
            raise ValueError(f"{name}: option {option} is {value!r}; Amazon takes {wrapped(choices)}")
        if option in ("asin", "asins") and len(value) > _LONGEST_LIST:
            raise ValueError(
                f"{name}: option {option} has {len(value)} characters, and Amazon takes {_LONGEST_LIST}: declare a"
                f" further report for the rest"
            )
    if missing := [option for option in known if option in _REQUIRED and not options.get(option)]:
        raise ValueError(f"{name}: {report_type} needs the options {', '.join(missing)}")


def option_of_period(options: Mapping[str, str]) -> str:
    """The option that says which period one report is about, "" for none."""
    return next((option for option in _PERIODS if option in options), "")


def period_of(options: Mapping[str, str]) -> Period:
    """The period that one report with these options is about.

    Raises:
        ValueError: there is no such period.
    """
    asked = options.get(option_of_period(options), Period.DAY)
    asked = _ADVERBS.get(asked, asked)
    if asked not in set(Period):
        raise ValueError(f"{asked!r} is no period; there are {wrapped(Period)}")
    return Period(asked)


def with_options(definition: ReportDefinition, options: Mapping[str, str]) -> ReportDefinition:
    """The definition with other ``reportOptions``. Where they make its period another, one period is asked for at a
    time, and all rows belong to it that do not name the end of theirs.

    Raises:
        ValueError: as :func:`check_options`.
    """
    asked = {**definition.configuration, **options}
    check_options(definition.name, definition.report_type, asked)
    period = period_of(asked)
    if period is definition.policy.period:
        return replace(definition, configuration=asked)
    dated = (d if d.date_field in (None, "endDate") else _of_a_period(d) for d in definition.datasets)
    policy = replace(definition.policy, period=period, max_range_days=1)
    return replace(definition, configuration=asked, policy=policy, datasets=tuple(dated))


def _of_a_period(dataset: Dataset) -> Dataset:
    """The dataset whose rows belong to the period that was asked for. What flat files then have in the place of a date,
    such as 09/2026, is none."""
    columns = (
        c.model_copy(update={"type": "string", "formats": ()})
        if c.field_name == dataset.date_field and c.formats
        else c
        for c in dataset.columns
    )
    return replace(dataset, date_field=None, columns=tuple(columns))
