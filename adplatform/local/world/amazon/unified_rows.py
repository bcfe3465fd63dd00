"""What reports of the Ads API v1 say: the same atoms as those of version 3, of all profiles of an advertiser account
and all ad products, summed by whatever dimensions are asked for."""

import csv
import functools
import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from typing import Any

from adplatform.local.world.amazon.accounts import AdvertiserAccount, Profile
from adplatform.local.world.amazon.advertising import age, as_it_stands, atoms, summed
from adplatform.local.world.amazon.products import minor_units
from adplatform.local.world.amazon.world import AdsReport, World
from adplatform.platform.packaged_yaml import packaged_yaml

UNIFIED = "unified"
"""What faults and lists call these reports, which have no types."""
PRODUCTS: Mapping[str, tuple[str, str]] = {
    "sp": ("SPONSORED_PRODUCTS", "Sponsored Products"),
    "sb": ("SPONSORED_BRANDS", "Sponsored Brands"),
    "sd": ("SPONSORED_DISPLAY", "Sponsored Display"),
}
"""The ad products: what filters call them, and what rows do."""


@dataclass(frozen=True)
class Served:
    """A field that is served. ``column`` is what version 3 calls its values, "" where they are made here."""

    column: str
    needs: tuple[str, ...]
    is_metric: bool


@dataclass(frozen=True)
class Catalogue:
    """The fields that are served; ``apart`` are those that do not go with some of them."""

    served: Mapping[str, Served]
    apart: Mapping[str, tuple[str, ...]]


@functools.cache
def catalogue() -> Catalogue:
    document = packaged_yaml(resources.files(__package__) / "unified_catalogue.yaml")
    served = {
        name: Served(spec.get("column", ""), tuple(spec.get("needs", ())), part == "metrics")
        for part in ("dimensions", "metrics")
        for name, spec in document[part].items()
    }
    return Catalogue(served, {name: tuple(others) for name, others in document["apart"].items()})


@dataclass(frozen=True)
class _Row:
    """What the fields without a column are about."""

    account: AdvertiserAccount
    profile: Profile
    product: str
    day: date


_MADE: Mapping[str, Callable[[_Row], Any]] = {
    "date.value": lambda row: row.day.isoformat(),
    "day.value": lambda row: row.day.day,
    "week.value": lambda row: row.day.isocalendar().week,
    "month.value": lambda row: row.day.month,
    "year.value": lambda row: row.day.year,
    "adProduct.value": lambda row: PRODUCTS[row.product][1],
    "advertiserAccount.id": lambda row: row.account.id,
    "advertiserAccount.name": lambda row: row.account.name,
    "budgetCurrency.value": lambda row: row.profile.currency,
    "campaign.country": lambda row: row.profile.country,
    "timeZone.value": lambda row: row.profile.timezone,
}


def document(world: World, report: AdsReport) -> bytes:
    """A table in CSV whose header has the fields as they were asked for, all in quotes, and whose rows are in no
    order."""
    fields: Sequence[str] = report.configuration["fields"]
    found = [] if report.fate == "empty" else list(_rows(world, report, fields))
    random.Random(report.id).shuffle(found)  # noqa: S311
    if report.fate == "duplicate_row":
        found += found[-1:]
    if report.fate == "null_metrics" and found:
        found[0] = ["" if catalogue().served[f].is_metric else value for f, value in zip(fields, found[0], strict=True)]
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([fields, *found])
    return out.getvalue().encode()


def _rows(world: World, report: AdsReport, fields: Sequence[str]) -> Iterator[list[str]]:
    account = world.accounts.advertiser(report.scope)
    start, end = date.fromisoformat(report.start), date.fromisoformat(report.end)
    as_of = datetime.fromtimestamp(report.created, UTC)
    wanted: Mapping[str, Sequence[str]] = report.configuration.get("filters") or {}
    served = {name: catalogue().served[name] for name in dict.fromkeys((*fields, *wanted))}
    columns = tuple(dict.fromkeys(each.column for each in served.values() if each.column))
    by = tuple(dict.fromkeys(each.column for each in served.values() if each.column and not each.is_metric))
    if account is None:
        return
    for profile in account.profiles:
        for product in PRODUCTS:
            for day in (start + timedelta(days=n) for n in range((end - start).days + 1)):
                about = _Row(account, profile, product, day)
                days_old = age(profile, day, as_of)
                alive = (as_it_stands(atom, days_old) for atom in atoms(world.settings.seed, profile, product, day))
                lives = [live for live in alive if live is not None]
                for row in summed(columns, by, lives, profile, day.isoformat()):
                    values = {n: row[each.column] if each.column else _MADE[n](about) for n, each in served.items()}
                    if all(_is_wanted(name, values[name], texts) for name, texts in wanted.items()):
                        yield [_written(values[name], profile) for name in fields]


def _is_wanted(name: str, value: Any, texts: Sequence[str]) -> bool:
    if name == "adProduct.value":
        return next(code for code, shown in PRODUCTS.values() if shown == value) in texts
    return str(value) in texts


def _written(value: Any, profile: Profile) -> str:
    """Money with the decimals of its currency, as far as a number with a fraction is money; nothing for no value."""
    if isinstance(value, float):
        return f"{value:.2f}" if minor_units(profile.currency) > 1 else f"{value:.0f}"
    return "" if value is None else str(value)
