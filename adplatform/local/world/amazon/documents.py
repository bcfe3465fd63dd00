"""The bytes of finished reports and exports, made anew from the data whenever they are asked for."""

import gzip
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from isal import isal_zlib

from adplatform.local.world.amazon import inventory, selling, unified_rows
from adplatform.local.world.amazon.advertising import Query, Row, is_metric, rows, summary
from adplatform.local.world.amazon.entities import PRODUCTS, entities
from adplatform.local.world.amazon.selling import ALL_ORDERS, SALES_AND_TRAFFIC, SEARCH_TERMS, SETTLEMENT, Settlement
from adplatform.local.world.amazon.selling_catalogue import SERVED
from adplatform.local.world.amazon.selling_served import Asked
from adplatform.local.world.amazon.world import REPORT_DAYS, AdsExport, AdsReport, SpReport, World

_FILTERED = {"adProductFilter": "adProduct", "stateFilter": "state", "negativeFilter": "negative"}
"""Filters of exports, with the member that each is about."""


class SpDocument(NamedTuple):
    """A document of the Selling Partner API: pieces of its text, its media type, and whether it is stored as gzip."""

    pieces: Iterator[bytes]
    content_type: str
    zipped: bool


def query_of(configuration: dict[str, object]) -> Query:
    """The part of an Ads report's configuration that decides on its rows."""
    filters = configuration.get("filters") or []
    return Query(
        report_type=str(configuration["reportTypeId"]),
        group_by=tuple(configuration["groupBy"]),  # type: ignore[arg-type]
        columns=tuple(dict.fromkeys(configuration["columns"])),  # type: ignore[call-overload]
        filters={f["field"]: tuple(f["values"]) for f in filters},  # type: ignore[attr-defined]
        time_unit=str(configuration["timeUnit"]),
    )


def ads_document(world: World, report: AdsReport) -> bytes:
    """Gzip of one JSON array of objects whose members are in no order; of the Ads API v1 a table in CSV."""
    if report.id not in world.bodies and report.configuration["reportTypeId"] == unified_rows.UNIFIED:
        world.keep_body(report.id, unified_rows.document(world, report))
    elif report.id not in world.bodies:
        shuffled = random.Random(report.id)  # noqa: S311
        text = json.dumps(
            [_shuffled(row, shuffled) for row in _ads_rows(world, report)], ensure_ascii=False, separators=(",", ":")
        )
        world.keep_body(report.id, gzip.compress(text.encode(), mtime=0))
    return world.bodies[report.id]


def _ads_rows(world: World, report: AdsReport) -> list[Row]:
    profile = world.accounts.profile(report.scope)
    query, seed = query_of(report.configuration), world.settings.seed
    start, end = date.fromisoformat(report.start), date.fromisoformat(report.end)
    as_of = datetime.fromtimestamp(report.created, UTC)
    if query.time_unit == "SUMMARY":
        found = summary(query, profile, start, end, as_of, seed)
    else:
        days = (start + timedelta(days=n) for n in range((end - start).days + 1))
        found = [row for day in days for row in rows(query, profile, day, as_of, seed)]
    if report.fate == "empty":
        return []
    if report.fate == "duplicate_row":
        return [*found, *found[-1:]]
    if report.fate == "null_metrics" and found:
        return [{c: None if is_metric(c) else value for c, value in found[0].items()}, *found[1:]]
    return found


def export_document(world: World, export: AdsExport) -> bytes:
    """Gzip of one JSON array, as the entities stood in the profile's time zone when the export was asked for."""
    if export.id not in world.bodies:
        profile = world.accounts.profile(export.scope)
        day = datetime.fromtimestamp(export.created, UTC).astimezone(ZoneInfo(profile.timezone)).date()
        found = [
            entity
            for product in PRODUCTS
            for entity in entities(export.kind, product, profile, day, world.settings.seed)
            if _is_asked(entity, export.filters)
        ]
        if export.fate == "empty":
            found = []
        if export.fate == "duplicate_row":
            found += found[-1:]
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        world.keep_body(export.id, gzip.compress(text.encode(), mtime=0))
    return world.bodies[export.id]


def _is_asked(entity: Mapping[str, Any], filters: Mapping[str, Sequence[Any]]) -> bool:
    fits = all(entity[member] in filters[name] for name, member in _FILTERED.items() if name in filters)
    return fits and entity.get("targetLevel", "AD_GROUP") in filters.get("targetLevelFilter", ("AD_GROUP",))


def _shuffled(row: Row, order: random.Random) -> Row:
    names = list(row)
    order.shuffle(names)
    return {name: row[name] for name in names}


def sp_document(world: World, report: SpReport) -> SpDocument:
    """The document of a finished report; that of a FATAL one says only why."""
    if report.status == "FATAL":
        return SpDocument(iter([json.dumps({"errorDetails": report.error}).encode()]), "application/json", True)
    marketplace = world.accounts.marketplace(report.marketplaces[0])
    seed = world.settings.seed
    start, end = datetime.fromisoformat(report.start), datetime.fromisoformat(report.end)
    as_of = datetime.fromtimestamp(report.created, UTC)
    if report.type == SALES_AND_TRAFFIC:
        body = selling.sales_and_traffic(seed, marketplace, start.date(), end.date(), report.options, as_of)
        if report.fate == "empty":
            body |= {"salesAndTrafficByDate": [], "salesAndTrafficByAsin": []}
        if report.fate == "other_option":
            body["reportSpecification"]["reportOptions"]["asinGranularity"] = "SKU"
        return SpDocument(iter([json.dumps(body, ensure_ascii=False).encode()]), "application/json", True)
    if report.type == SEARCH_TERMS:
        period = report.options["reportPeriod"]
        terms = 0 if report.fate == "empty" else world.settings.search_terms
        return SpDocument(
            selling.search_terms(seed, marketplace, start.date(), end.date(), period, terms), "application/json", True
        )
    if report.type in SERVED and SERVED[report.type].media != "tsv":
        return _served(world, report, f"application/{SERVED[report.type].media}", zipped=True)
    zipped, says_charset = int(report.id) % 2 == 0, int(report.id) % 4 < 2
    charset = "Windows-31J" if marketplace.charset == "cp932" else marketplace.charset
    content_type = f"text/plain; charset={charset}" if says_charset else "text/plain"
    if report.fate == "lying_charset":
        content_type = "text/plain; charset=ISO-8859-1"
    if report.error:
        return SpDocument(iter([report.error.encode()]), content_type, zipped)
    if report.type in inventory.REPORT_TYPES:
        shown = inventory.document(report.type, seed, marketplace, report.options, as_of, report.fate)
        return SpDocument(iter([shown]), content_type, zipped)
    if report.type in SERVED:
        return _served(world, report, content_type, zipped=zipped)
    if report.type == ALL_ORDERS:
        places = map(world.accounts.marketplace, report.marketplaces)
        orders = [row for place in places for row in selling.order_rows(seed, place, start, end, as_of)]
        if report.fate == "utf8_bom":
            return SpDocument(iter([selling.order_table(orders, "utf-8-sig")]), "text/plain; charset=UTF-8", zipped)
        table = selling.order_table(_faulty(orders, report.fate), marketplace.charset)
        return SpDocument(iter([table]), content_type, zipped)
    found = next(s for s in known_settlements(world, report.region) if str(s.number) == report.id)
    return SpDocument(iter([selling.settlement_table(seed, found)]), content_type, zipped)


def _served(world: World, report: SpReport, content_type: str, *, zipped: bool) -> SpDocument:
    asked = Asked(
        world.settings.seed,
        [world.accounts.marketplace(name) for name in report.marketplaces],
        datetime.fromisoformat(report.start),
        datetime.fromisoformat(report.end),
        report.options,
        datetime.fromtimestamp(report.created, UTC),
    )
    body = SERVED[report.type].document(asked, empty=report.fate == "empty")
    return SpDocument(iter([body]), content_type, zipped)


def _faulty(orders: list[dict[str, str]], fate: str) -> list[dict[str, str]]:
    """The rows as a fault has them."""
    if fate == "empty":
        return []
    if fate == "carriage_return":
        return [{**row, "product-name": row["product-name"].replace(" ", "\r", 1)} for row in orders]
    if fate == "grouped_thousands":
        return [{**row, "item-price": f"{Decimal(row['item-price']):,}" if row["item-price"] else ""} for row in orders]
    return orders


def known_settlements(world: World, region: str) -> list[Settlement]:
    """The settlements of a region that Amazon still has at the server's clock."""
    now = world.now()
    own = [m for m in world.accounts.marketplaces if m.region == region]
    return selling.settlements(own, now - timedelta(days=REPORT_DAYS), now)


def settlement_report(settlement: Settlement) -> SpReport:
    """A settlement as a report that nobody asked for."""
    return SpReport(
        id=str(settlement.number),
        region=settlement.marketplace.region,
        type=SETTLEMENT,
        marketplaces=[settlement.marketplace.id],
        start=settlement.start.isoformat(),
        end=settlement.end.isoformat(),
        options={},
        created=settlement.end.timestamp(),
        status="DONE",
    )


def zipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Gzip of the pieces, itself in pieces."""
    compressor = isal_zlib.compressobj(wbits=31)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()
