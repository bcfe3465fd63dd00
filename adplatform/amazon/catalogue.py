"""What can be asked of Amazon's reporting APIs: report types with their columns, limits and ready-made reports."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from adplatform.amazon.ads import definitions as ads
from adplatform.amazon.ads.report_types import AdsReportType, column_type, report_types
from adplatform.amazon.ads.unified import definitions as unified
from adplatform.amazon.ads.unified.fields import Field, fields
from adplatform.amazon.definitions import ReportDefinition, snake_case
from adplatform.amazon.selling_partner import definitions as selling_partner
from adplatform.contracts.hints import did_you_mean

Api = Literal["ads", "selling_partner"]
_WINDOW = re.compile(r"(\d+)d$")


@dataclass(frozen=True)
class CatalogueColumn:
    """A column as the report calls it, its name in the table, and its type with where that is known from. ``needs`` are
    the groupings of which it takes one, any where there are none; of the Ads API v1 the fields that it takes, all."""

    name: str
    column: str
    type: str
    source: str
    reason: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class CatalogueTable:
    """One table that a report brings; ``name`` is "" where every report of the type calls it as it likes."""

    name: str
    columns: tuple[CatalogueColumn, ...]


@dataclass(frozen=True)
class CatalogueEntry:
    """One report type. Days are those of a range, and for how long Amazon keeps a date; ``attribution_days`` are the
    windows after an ad interaction in which a conversion counts. ``options`` are filters (of the Ads API by grouping)
    or report options with the values that they take, none for any."""

    api: Api
    type: str
    product: str
    longest_range_days: int
    retention_days: int
    tables: tuple[CatalogueTable, ...]
    attribution_days: tuple[int, ...] = ()
    time_units: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    ready_made: Mapping[str, str] = field(default_factory=dict)
    """What each ready-made report of the type holds, by its name."""


def catalogue(api: Api | None = None) -> list[CatalogueEntry]:
    """Every report type that is known, of one API or of both. The Ads API's are all that were documented, and the one
    of its version 1; of the Selling Partner API, which has more and takes any, those that have ready-made reports."""
    found = [*(_ads(kind) for kind in report_types().values()), _unified()] if api != "selling_partner" else []
    if api != "ads":
        of_type: dict[str, list[ReportDefinition]] = {}
        for definition in selling_partner.READY_MADE.values():
            of_type.setdefault(definition.report_type, []).append(definition)
        found += [_selling_partner(definitions) for definitions in of_type.values()]
    return found


def entry_of(name: str, api: Api | None = None) -> CatalogueEntry:
    """The report type of this name, or that of the ready-made report of this name.

    Raises:
        ValueError: there is neither; names the nearest.
    """
    entries = catalogue(api)
    names = {each.type: each for each in entries} | {made: each for each in entries for made in each.ready_made}
    if name not in names:
        raise ValueError(
            f"{name!r} is no report type and no ready-made report that is known{did_you_mean(name, names)}; "
            "`adplatform amazon catalogue` lists them"
        )
    return names[name]


def readme_table(api: Api) -> list[str]:
    """The ready-made reports of an API as a table in Markdown, in which README shows them."""
    entries = {name: each for each in catalogue(api) for name in each.ready_made}
    lines = ["| report | Amazon's report type | what it holds | days kept | days a request |", "|---|---|---|---|---|"]
    return lines + [
        f"| `{name}` | `{each.type}` | {each.ready_made[name]} | {each.retention_days} | {_days_a_request(each)} |"
        for name in ((*ads.READY_MADE, *unified.READY_MADE) if api == "ads" else selling_partner.READY_MADE)
        for each in [entries[name]]
    ]


def _days_a_request(entry: CatalogueEntry) -> int:
    """Of a type that only sums over its range, one, so that its rows have a date."""
    return 1 if entry.time_units and "DAILY" not in entry.time_units else entry.longest_range_days


def _ads(kind: AdsReportType) -> CatalogueEntry:
    names = sorted(kind.allowed(kind.groups), key=str.casefold)
    windows = {int(found[1]) for name in names if (found := _WINDOW.search(name))}
    return CatalogueEntry(
        api="ads",
        type=kind.id,
        product=kind.product,
        longest_range_days=kind.max_range_days,
        retention_days=kind.retention_days,
        tables=(CatalogueTable("", tuple(_ads_column(kind, name) for name in names)),),
        attribution_days=tuple(sorted(windows)) or (ads.SHORT_ATTRIBUTION,),
        time_units=kind.time_units,
        group_by=tuple(kind.groups),
        options={group: added.filters for group, added in kind.groups.items() if added.filters},
        ready_made={n: each.description for n, each in ads.READY_MADE.items() if each.report_type == kind.id},
    )


def _ads_column(kind: AdsReportType, name: str) -> CatalogueColumn:
    known = column_type(name)
    needs = () if name in kind.columns else tuple(g for g, added in kind.groups.items() if name in added.columns)
    return CatalogueColumn(name, snake_case(name), known.type, known.source, known.reason, needs)


def _unified() -> CatalogueEntry:
    return CatalogueEntry(
        api="ads",
        type=unified.UNIFIED,
        product="all, by the Ads API v1: `api: v1` on the source",
        longest_range_days=unified.LONGEST_RANGE,
        retention_days=unified.RETENTION,
        tables=(CatalogueTable("", tuple(map(_unified_column, fields().values()))),),
        attribution_days=(unified.ATTRIBUTION,),
        ready_made={name: each.description for name, each in unified.READY_MADE.items()},
    )


def _unified_column(of: Field) -> CatalogueColumn:
    return CatalogueColumn(of.name, unified.column_of(of.name), of.type.type, of.type.source, of.type.reason, of.needs)


def _selling_partner(definitions: Iterable[ReportDefinition]) -> CatalogueEntry:
    first, *_ = every = list(definitions)
    tables = {
        dataset.feed: tuple(CatalogueColumn(c.field_name, c.name, c.type, "documentation") for c in dataset.columns)
        for definition in every
        for dataset in definition.datasets
    }
    options = selling_partner.options_of(first.report_type)
    return CatalogueEntry(
        api="selling_partner",
        type=first.report_type,
        product="json" if first.layout == "json" else "flat file",
        longest_range_days=first.policy.max_range_days,
        retention_days=first.policy.retention_days,
        tables=tuple(CatalogueTable(name, columns) for name, columns in tables.items()),
        options={"": options} if options else {},
        ready_made={d.name: " ".join(each.description for each in d.datasets) for d in every},
    )
