"""A vendor's reports: by the hour, of margins, and forecasts, as if he had sold what the demo's seller did.

An order that is cancelled leaves the hour in which it was placed. What was asked for too early is FATAL, as are
inventories of more than 24 hours or older than 168.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

from adplatform.local.world.amazon.products import minor_units, products
from adplatform.local.world.amazon.selling import CLIENT_ERROR, NOT_YET, Ending, orders
from adplatform.local.world.amazon.selling_served import Asked, Row, Served
from adplatform.local.world.draws import draw, number

HOURLY = {what: f"GET_VENDOR_REAL_TIME_{what}_REPORT" for what in ("SALES", "TRAFFIC", "INVENTORY")}
MARGIN = "GET_VENDOR_NET_PURE_PRODUCT_MARGIN_REPORT"
FORECAST = "GET_VENDOR_FORECASTING_REPORT"

_HOUR = timedelta(hours=1)
_PERIODS = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")


def _hours(asked: Asked) -> Iterator[datetime]:
    """The whole hours within the range."""
    hour = asked.start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hour += _HOUR if hour < asked.start else timedelta(0)
    while hour + _HOUR <= asked.end:
        yield hour
        hour += _HOUR


def _row(hour: datetime, asin: str, **values: float) -> Row:
    return {"startTime": _instant(hour), "endTime": _instant(hour + _HOUR), "asin": asin, **values}


def _sales(asked: Asked) -> list[Row]:
    sold: dict[tuple[datetime, str], list[int]] = defaultdict(lambda: [0, 0])
    hours = set(_hours(asked))
    for day in asked.days:
        for order in orders(asked.seed, asked.marketplace, day):
            hour = order.purchased.replace(minute=0, second=0, microsecond=0)
            if hour in hours and order.state(asked.as_of)[0] != "Cancelled":
                units, minor = sold[hour, order.product.asin]
                sold[hour, order.product.asin] = [units + order.quantity, minor + order.price]
    unit = minor_units(asked.marketplace.currency)
    return [
        _row(hour, asin, orderedUnits=units, orderedRevenue=round(minor / unit, 2))
        for (hour, asin), (units, minor) in sorted(sold.items())
    ]


def _drawn(name: str, least: int, most: int) -> Callable[[Asked], list[Row]]:
    """A number for each hour and product."""

    def rows(asked: Asked) -> list[Row]:
        sold = products(asked.marketplace.country, asked.marketplace.currency)
        return [
            _row(hour, p.asin, **{name: least + number(name, asked.seed, hour, p.asin, below=most - least)})
            for hour in _hours(asked)
            for p in sold
        ]

    return rows


def _too_early(delay: timedelta) -> Callable[[Asked], Ending | None]:
    return lambda asked: Ending("FATAL", NOT_YET) if asked.as_of - asked.end < delay else None


def _inventory_ends(asked: Asked) -> Ending | None:
    if asked.end - asked.start > timedelta(hours=24) or asked.as_of - asked.start > timedelta(hours=168):
        return Ending("FATAL", CLIENT_ERROR)
    return _too_early(_HOUR)(asked)


def _margins(asked: Asked) -> list[Row]:
    """The last row is of the whole catalog."""
    sold = products(asked.marketplace.country, asked.marketplace.currency)
    margins = [round(0.1 + 0.3 * draw("margin", p.asin, asked.start.date())[0], 4) for p in sold]
    period = {"startDate": str(asked.start.date()), "endDate": str(asked.end.date())}
    by_asin = [{**period, "asin": p.asin, "netPureProductMargin": m} for p, m in zip(sold, margins, strict=True)]
    return [*by_asin, {**period, "netPureProductMargin": round(sum(margins) / len(margins), 4)}]


def _margin_ends(asked: Asked) -> Ending | None:
    if asked.options.get("reportPeriod") not in _PERIODS:
        return Ending("FATAL", CLIENT_ERROR)
    return Ending("FATAL", NOT_YET) if asked.age(asked.end.date()) < 4 else None


def _margin_document(asked: Asked, rows: list[Row]) -> bytes:
    tables = {
        "netPureProductMarginAggregate": [row for row in rows if "asin" not in row],
        "netPureProductMarginByAsin": [row for row in rows if "asin" in row],
    }
    return _document(MARGIN, asked, tables)


def _forecasts(asked: Asked) -> list[Row]:
    """Of eight weeks from the next Sunday on, as of the day of asking."""
    today = asked.as_of.date()
    sunday = today + timedelta(days=6 - today.weekday())
    sold = products(asked.marketplace.country, asked.marketplace.currency)
    return [_forecast(today, p.asin, sunday + timedelta(weeks=week)) for p in sold for week in range(8)]


def _forecast(today: date, asin: str, start: date) -> Row:
    mean = 5 + 30 * draw("forecast", today, asin, start)[0]
    return {
        "forecastGenerationDate": str(today),
        "asin": asin,
        "startDate": str(start),
        "endDate": str(start + timedelta(days=6)),
        "meanForecastUnits": round(mean, 1),
        "p70ForecastUnits": round(mean * 1.2, 1),
        "p80ForecastUnits": round(mean * 1.4, 1),
        "p90ForecastUnits": round(mean * 1.8, 1),
    }


def _document(report_type: str, asked: Asked, tables: Mapping[str, list[Row]]) -> bytes:
    specification = {
        "reportType": report_type,
        "reportOptions": dict(asked.options),
        "dataStartTime": _instant(asked.start),
        "dataEndTime": _instant(asked.end),
        "marketplaceIds": [asked.marketplace.id],
    }
    return json.dumps({"reportSpecification": specification, **tables}).encode()


def _one_table(report_type: str, records: str) -> Callable[[Asked, list[Row]], bytes]:
    return lambda asked, rows: _document(report_type, asked, {records: rows})


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hourly(what: str, rows: Callable[[Asked], list[Row]], ends: Callable[[Asked], Ending | None]) -> dict[str, Served]:
    return {HOURLY[what]: Served(rows, _one_table(HOURLY[what], "reportData"), "json", ends=ends)}


SERVED: Mapping[str, Served] = {
    **_hourly("SALES", _sales, _too_early(_HOUR)),
    **_hourly("TRAFFIC", _drawn("glanceViews", 0, 60), _too_early(timedelta(hours=4))),
    **_hourly("INVENTORY", _drawn("highlyAvailableInventory", 100, 400), _inventory_ends),
    MARGIN: Served(_margins, _margin_document, "json", ends=_margin_ends),
    FORECAST: Served(
        _forecasts, _one_table(FORECAST, "forecastByAsin"), "json", options={"sellingProgram": ("RETAIL", "FRESH")}
    ),
}
