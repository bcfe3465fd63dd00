"""What the Ads reports say: pure functions of a seed, a profile, a date and the instant of asking.

Everything is summed from atoms, the clicks on one ad for one target and search term in one placement, so that all
report types of one ad product add up. Amazon restates: traffic is corrected for three days after the date; purchases
are booked on the date of the click, come up to 30 days later, and are restated 1, 7 and 28 days after the purchase.
A date is final for columns of up to 14 days at an age of 42 days, for 30-day columns at 58
(Amazon Ads documentation, reporting version 3, FAQ).
"""

import functools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from adplatform.local.world.amazon.accounts import Profile
from adplatform.local.world.amazon.atoms import Ad, AdGroup, Atom, Campaign, Live, Purchase, Target
from adplatform.local.world.amazon.demand_side import DIMENSIONS, place_of
from adplatform.local.world.amazon.products import Product, minor_units, products
from adplatform.local.world.draws import draw, number

Row = dict[str, Any]
FOREVER = 10_000
"""An age in days at which every date is final."""

_SHAPES = {"sp": (4, 2, 4), "sb": (3, 2, 4), "sd": (3, 2, 4), "st": (2, 1, 2), "dsp": (3, 2, 2)}
"""Campaigns, ad groups of each, targets of each of those."""
_CONVERSION_PATHS = "conversionPath"
_ATOMS_PER_TARGET = 3
_ADS_PER_GROUP = 3
_PLACEMENTS = ("Top of Search on-Amazon", "Detail Page on-Amazon", "Other on-Amazon", "Off Amazon")
_ACTIVITY = (1.0, 0.9, 0.6, 0.08)
_WEEKDAY = (1.0, 0.95, 0.95, 1.0, 1.1, 1.3, 1.25)
_CAMPAIGN_NAMES = ("Sommer – Zelte", "Brand | evergreen", "キャンプ 2026", "Été “clearance”")
_KEYWORDS = ("tent", "camping stove", "schlafsack", "head lamp", "テント", "sac à dos", "trekking poles", "isomatte")


@dataclass(frozen=True)
class Query:
    """Which rows of a report: the parts of a report's configuration that decide on its content."""

    report_type: str
    group_by: tuple[str, ...]
    columns: tuple[str, ...]
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    time_unit: str = "DAILY"


def age(profile: Profile, day: date, as_of: datetime) -> int:
    """Days from a date to the profile's own date at ``as_of``."""
    return (as_of.astimezone(ZoneInfo(profile.timezone)).date() - day).days


def rows(query: Query, profile: Profile, day: date, as_of: datetime, seed: int) -> list[Row]:
    """The rows that a daily report, asked for at ``as_of``, has for one date."""
    return _table(query, profile, _live(query, profile, day, age(profile, day, as_of), seed), {"date": day.isoformat()})


def summary(query: Query, profile: Profile, start: date, end: date, as_of: datetime, seed: int) -> list[Row]:
    """The rows of a report with time unit SUMMARY over the dates from ``start`` to ``end``."""
    days = (start + timedelta(days=n) for n in range((end - start).days + 1))
    lives = [live for day in days for live in _live(query, profile, day, age(profile, day, as_of), seed)]
    return _table(query, profile, lives, {"startDate": start.isoformat(), "endDate": end.isoformat()})


def truth(query: Query, profile: Profile, day: date, seed: int) -> list[Row]:
    """The rows that a date has once nothing changes any more."""
    return _table(query, profile, _live(query, profile, day, FOREVER, seed), {"date": day.isoformat()})


def summed(columns: Sequence[str], by: Sequence[str], lives: Sequence[Live], profile: Profile, label: str) -> list[Row]:
    """The columns of atoms as they stand, summed by some of them; ``label`` names the rows in draws."""
    grouped: dict[tuple[object, ...], list[Live]] = defaultdict(list)
    for live in lives:
        grouped[tuple(_DIMENSIONS[name](live, profile) for name in by)].append(live)
    cells = (
        _Cell(found, [p for live in found for p in live.purchases], profile, f"{label}|{key}")
        for key, found in grouped.items()
    )
    return [{column: _column(column)(cell) for column in columns} for cell in cells]


def _live(query: Query, profile: Profile, day: date, days_old: int, seed: int) -> list[Live]:
    product = _product(query.report_type)
    alive = (as_it_stands(atom, days_old) for atom in atoms(seed, profile, product, day))
    kept = [live for live in alive if live is not None and _passes(query.filters, live, profile)]
    return [live for live in kept if live.clicks] if query.report_type.endswith("SearchTerm") else kept


def _product(report_type: str) -> str:
    if report_type == _CONVERSION_PATHS:
        return "dsp"
    return next(product for product in _SHAPES if report_type.startswith(product))


def as_it_stands(atom: Atom, days_old: int) -> Live | None:
    """An atom at some age; None where it does not count then."""
    if days_old < atom.appears or days_old >= atom.vanishes:
        return None
    _, impressions, clicks, cost = [step for step in atom.traffic if step[0] <= days_old][-1]
    reported = ([p for since, p in steps if since <= days_old] for steps in atom.purchases)
    return Live(atom, impressions, clicks, cost, tuple(p[-1] for p in reported if p))


def _passes(filters: Mapping[str, tuple[str, ...]], live: Live, profile: Profile) -> bool:
    return all(
        _DIMENSIONS[name](live, profile) in values if name in _DIMENSIONS else True for name, values in filters.items()
    )


@functools.lru_cache(maxsize=64)
def targets_of(seed: int, profile: Profile, product: str) -> tuple[tuple[Target, tuple[Ad, ...]], ...]:
    """The targets of a profile's ad product, with the ads of their ad group."""
    campaigns, groups, targets = _SHAPES[product]
    sold = products(profile.country, profile.currency)
    unit = 100.0 if profile.currency == "JPY" else 1.0
    found = []
    for c in range(campaigns):
        status = ("ENABLED", "ENABLED", "PAUSED", "ARCHIVED")[c]
        name = f"{product.upper()} {_CAMPAIGN_NAMES[c]}"
        budget = round((25 + 30 * c) * unit, 2)
        campaign = Campaign(
            c, _id(seed, profile, product, c), name, status, budget, _id(seed, profile, "portfolio", c % 2)
        )
        for g in range(groups):
            group = AdGroup(campaign, _id(seed, profile, product, c, g), f"{name} / {g + 1}", "ENABLED")
            ads = tuple(
                Ad(_id(seed, profile, product, c, g, "ad", a), sold[(3 * c + 2 * g + a) % len(sold)])
                for a in range(_ADS_PER_GROUP)
            )
            for t in range(targets):
                match = ("EXACT", "PHRASE", "BROAD", "TARGETING_EXPRESSION")[t]
                if product == "sd":
                    match = "TARGETING_EXPRESSION"
                asin = sold[(c + g + t) % len(sold)].asin
                text = f'asin="{asin}"' if match == "TARGETING_EXPRESSION" else _KEYWORDS[(2 * c + g + 3 * t) % 8]
                bid = round((0.4 + 0.15 * t) * unit, 2)
                target = Target(group, _id(seed, profile, product, c, g, t), text, match, bid, "ENABLED")
                found.append((target, ads))
    return tuple(found)


def _id(*parts: object) -> int:
    """An id beyond 2**53, which a float cannot hold."""
    named = (p.id if isinstance(p, Profile) else p for p in parts)
    return 100_000_000_000_000_001 + number("id", *named, below=400_000_000_000_000_000)


@dataclass(frozen=True)
class _Restatement:
    """What happens to all numbers of one profile, ad product and date: kept to a few ages, as it is at Amazon."""

    lag: int
    late_lag: int
    third_day: bool
    steps: Mapping[tuple[int, int], bool]

    @classmethod
    def of(cls, seed: int, profile: Profile, product: str, day: date) -> "_Restatement":
        u = draw(seed, "restated", profile.id, product, day)
        lag, late = 1 + int(u[0] * 14), 15 + int(u[1] * 16)
        steps = {
            (lag_of, after): u[4 + 3 * i + j] < 0.6 for i, lag_of in enumerate((0, lag, late)) for j, after in _AFTER
        }
        return cls(lag, late, u[2] < 0.7, steps)


_AFTER = tuple(enumerate((1, 7, 28)))


@functools.lru_cache(maxsize=512)
def atoms(seed: int, profile: Profile, product: str, day: date) -> tuple[Atom, ...]:
    """What happened on a date, with all that changes of it later."""
    restated = _Restatement.of(seed, profile, product, day)
    return tuple(
        atom
        for target, ads in targets_of(seed, profile, product)
        for atom in _atoms_of(seed, profile, product, day, target, ads, restated)
    )


def _atoms_of(
    seed: int, profile: Profile, product: str, day: date, target: Target, ads: Sequence[Ad], restated: _Restatement
) -> Iterable[Atom]:
    whole = draw(seed, profile.id, product, day, target.id)
    # Invalid traffic takes a few targets away altogether, and a few are counted late.
    vanishes = 2 if whole[0] < 0.015 else 3 if whole[0] < 0.03 and restated.third_day else FOREVER + 1
    appears = 2 if whole[1] < 0.02 else 3 if whole[1] < 0.03 and restated.third_day else 0
    for k in range(_ATOMS_PER_TARGET):
        u = draw(seed, profile.id, product, day, target.id, k)
        if u[0] >= _ACTIVITY[target.group.campaign.index]:
            continue
        impressions = 5 + int(profile.scale * _WEEKDAY[day.weekday()] * 900 * u[1] ** 3)
        clicks = int(impressions * (0.004 + 0.02 * u[2]) + u[3])
        cost = round(clicks * target.bid * (0.5 + 0.5 * u[4]) * minor_units(profile.currency))
        ad = ads[k % len(ads)]
        bought = tuple(
            _purchase(seed, profile, product, day, target, k, n, ad.product, restated)
            for n in range(min(clicks, int(clicks * 0.25 * u[6] + u[7] * 0.5)))
        )
        yield Atom(
            target=target,
            ad=ad,
            term=_term(target, k),
            matched=products(profile.country, profile.currency)[int(u[8] * 8)].asin,
            placement=_PLACEMENTS[int(u[9] * 4)],
            appears=appears,
            vanishes=vanishes,
            traffic=_traffic(impressions, clicks, cost, u[5], bool(bought), restated.third_day),
            purchases=bought,
        )


def _term(target: Target, k: int) -> str:
    if target.match == "TARGETING_EXPRESSION":
        return ("*", target.text[6:-1].lower(), "camping gear")[k]
    return (target.text, f"{target.text} für 2", f"best {target.text} – lightweight")[k]


def _traffic(
    impressions: int, clicks: int, cost: int, chance: float, has_purchases: bool, third_day: bool
) -> tuple[tuple[int, int, int, int], ...]:
    """Half of a date is counted during it; some of the rest is found invalid on the second or third day."""
    first = (0, math.ceil(impressions / 2), math.ceil(clicks / 2), math.ceil(cost / 2))
    steps = (first, (1, impressions, clicks, cost))
    when = 2 if chance < 0.06 else 3 if chance < 0.12 and third_day else None
    if when is None:
        return steps
    left = max(clicks - 1, 1 if has_purchases else 0)
    return (*steps, (when, math.ceil(impressions * 0.9), left, cost * left // clicks if clicks else 0))


def _purchase(
    seed: int,
    profile: Profile,
    product: str,
    day: date,
    target: Target,
    k: int,
    n: int,
    advertised: Product,
    restated: _Restatement,
) -> tuple[tuple[int, Purchase], ...]:
    u = draw(seed, profile.id, product, day, target.id, k, n)
    lag = 0 if u[0] < 0.6 else restated.lag if u[0] < 0.88 else restated.late_lag
    promoted = u[1] < 0.6
    bought = advertised if promoted else products(profile.country, profile.currency)[int(u[2] * 8)]
    units = 1 + (u[3] < 0.15)
    reported = Purchase(
        lag, bought, bought == advertised, product == "sd" and u[4] < 0.3, u[5] < 0.4, 1, units, units * bought.price
    )
    steps = [(lag, reported)]
    if restated.steps[lag, 1] and u[6] < 0.35:
        steps.append((lag + 1, reported := reported._replace(sales=round(reported.sales * (0.9 + 0.08 * u[7])))))
    if restated.steps[lag, 7] and u[8] < 0.25:
        left = reported.units - 1
        reported = reported._replace(purchases=min(1, left), units=left, sales=reported.sales * left // reported.units)
        steps.append((lag + 7, reported))
    if restated.steps[lag, 28] and u[9] < 0.25 and reported.units:
        steps.append((lag + 28, reported._replace(purchases=0, units=0, sales=0)))
    return tuple(steps)


@dataclass(frozen=True)
class _Cell:
    """What one row is summed from."""

    lives: Sequence[Live]
    purchases: Sequence[Purchase]
    profile: Profile
    name: str
    """Names the row in draws."""

    def money(self, amounts: Iterable[int]) -> float:
        """A sum in whole units, with the noise that binary fractions leave in Amazon's own sums."""
        return sum((amount / minor_units(self.profile.currency) for amount in amounts), 0.0)


def _table(query: Query, profile: Profile, lives: Sequence[Live], period: Mapping[str, str]) -> list[Row]:
    days = sorted(period.values())
    known = {**period, "intervalStart": days[0], "intervalEnd": days[-1]}
    metrics = {column: _column_of(query.report_type, column) for column in query.columns if column not in known}
    made = []
    for key, cell in _cells(query, profile, lives, period).items():
        if cell.lives:
            row = {c: known[c] if c in known else metrics[c](cell) for c in query.columns}
            made.append((key, row))
    return [row for _, row in sorted(made, key=lambda pair: str(pair[0]))]


def _cells(
    query: Query, profile: Profile, lives: Sequence[Live], period: Mapping[str, str]
) -> Mapping[tuple[object, ...], _Cell]:
    by_key: dict[tuple[object, ...], list[Live]] = defaultdict(list)
    bought: dict[tuple[object, ...], list[Purchase]] = defaultdict(list)
    by_product = query.report_type.endswith("PurchasedProduct")
    grain = _grain(query)
    horizon = max((int(m[1]) for c in query.columns if (m := _WINDOW.search(c))), default=14)
    for live in lives:
        if not by_product:
            by_key[grain(live)].append(live)
            bought[grain(live)].extend(live.purchases)
            continue
        for purchase in live.purchases:
            if (
                purchase.purchases
                and purchase.lag <= horizon
                and not (query.report_type.startswith("sd") and purchase.promoted)
            ):
                key = (*grain(live), purchase.product.asin)
                by_key[key].append(live)
                bought[key].append(purchase)
    label = "/".join(period.values())
    return {key: _Cell(found, bought[key], profile, f"{label}|{key}") for key, found in by_key.items()}


_WINDOW = re.compile(r"(1|7|14|30)d$")
_GRAINS: Mapping[str, Callable[[Live], tuple[object, ...]]] = {
    "campaign": lambda live: (live.atom.target.group.campaign.id,),
    "adGroup": lambda live: (live.atom.target.group.id,),
    "campaignPlacement": lambda live: (live.atom.target.group.campaign.id, live.atom.placement),
    "targeting": lambda live: (live.atom.target.id,),
    "searchTerm": lambda live: (live.atom.target.id, live.atom.term),
    "advertiser": lambda live: (live.atom.ad.id,),
    "ads": lambda live: (live.atom.ad.id,),
    "matchedTarget": lambda live: (live.atom.matched,),
    "order": lambda live: (live.atom.target.group.campaign.id,),
    "lineItem": lambda live: (live.atom.target.group.id,),
    "ad": lambda live: (live.atom.target.group.id,),
    "creative": lambda live: (live.atom.ad.id,),
    "product": lambda live: (live.atom.ad.product.asin,),
    "place": lambda live: (place_of(live),),
    "profile": lambda _: (),
}
_OWN_GRAINS: Mapping[str, tuple[str, ...]] = {
    "spPurchasedProduct": ("targeting", "advertiser"),
    "sbPurchasedProduct": ("adGroup",),
    "sdPurchasedProduct": ("advertiser",),
    "sbAdGroup": ("adGroup",),
    "sdCampaigns": ("campaign",),
    "sdAdGroup": ("adGroup",),
    "sdTargeting": ("targeting",),
    "dspProduct": ("product",),
    "dspAudience": ("place",),
    "dspBidAdjustment": ("lineItem", "place"),
    _CONVERSION_PATHS: ("place",),
}
"""What rows are by whatever the grouping is."""


def _grain(query: Query) -> Callable[[Live], tuple[object, ...]]:
    groups = [_grouping(query.report_type, group) for group in query.group_by]
    named = (*_OWN_GRAINS.get(query.report_type, ()), *(g for g in groups if g in _GRAINS))
    parts = [_GRAINS[name] for name in dict.fromkeys(named)]
    return lambda live: tuple(value for part in parts for value in part(live))


def _grouping(report_type: str, group: str) -> str:
    """Groupings of the demand-side platform that are of no thing of their own divide by where an ad was shown."""
    if not report_type.startswith("dsp"):
        return group
    return "profile" if group == "advertiser" else group if group in _GRAINS else "place"


_DIMENSIONS: Mapping[str, Callable[[Live, Profile], Any]] = {
    "campaignId": lambda live, _: live.atom.target.group.campaign.id,
    "campaignName": lambda live, _: live.atom.target.group.campaign.name,
    "campaignStatus": lambda live, _: live.atom.target.group.campaign.status,
    "campaignBudgetAmount": lambda live, _: live.atom.target.group.campaign.budget,
    "campaignBudgetType": lambda *_: "DAILY_BUDGET",
    "campaignBudgetCurrencyCode": lambda _, profile: profile.currency,
    "campaignRuleBasedBudgetAmount": lambda *_: None,
    "campaignApplicableBudgetRuleId": lambda *_: None,
    "campaignApplicableBudgetRuleName": lambda *_: None,
    "campaignBiddingStrategy": lambda *_: "optimizeForSales",
    "campaignPriceTypeCode": lambda *_: "CPC",
    "marketplaceId": lambda _, profile: profile.marketplace,
    "segmentClassCode": lambda *_: "AUDIENCE",
    "segmentName": lambda *_: "Purchased brand’s product",
    "costType": lambda *_: "CPC",
    "bidOptimization": lambda *_: "clicks",
    "portfolioId": lambda live, _: live.atom.target.group.campaign.portfolio,
    "adGroupId": lambda live, _: live.atom.target.group.id,
    "adGroupName": lambda live, _: live.atom.target.group.name,
    "adStatus": lambda live, _: live.atom.target.group.status,
    "adCreativeStatus": lambda live, _: live.atom.target.group.status,
    "keywordId": lambda live, _: live.atom.target.id,
    "targetingId": lambda live, _: live.atom.target.id,
    "keyword": lambda live, _: live.atom.target.text,
    "keywordText": lambda live, _: live.atom.target.text,
    "targeting": lambda live, _: live.atom.target.text,
    "targetingText": lambda live, _: live.atom.target.text,
    "targetingExpression": lambda live, _: live.atom.target.text,
    "keywordType": lambda live, _: live.atom.target.match,
    "matchType": lambda live, _: live.atom.target.match,
    "targetingType": lambda live, _: live.atom.target.match,
    "keywordBid": lambda live, _: live.atom.target.bid,
    "adKeywordStatus": lambda live, _: live.atom.target.status,
    "searchTerm": lambda live, _: live.atom.term,
    "matchedTargetAsin": lambda live, _: live.atom.matched,
    "placementClassification": lambda live, _: live.atom.placement,
    "adId": lambda live, _: live.atom.ad.id,
    "advertisedAsin": lambda live, _: live.atom.ad.product.asin,
    "promotedAsin": lambda live, _: live.atom.ad.product.asin,
    "advertisedSku": lambda live, _: live.atom.ad.product.sku,
    "promotedSku": lambda live, _: live.atom.ad.product.sku,
}
_OF_PURCHASE: Mapping[str, Callable[[Purchase], Any]] = {
    "purchasedAsin": lambda purchase: purchase.product.asin,
    "asinBrandHalo": lambda purchase: purchase.product.asin,
    "productName": lambda purchase: purchase.product.name,
    "productCategory": lambda purchase: purchase.product.category,
    "attributionType": lambda purchase: "Promoted" if purchase.promoted else "Brand Halo",
}
_COUNT = re.compile(
    r"(newToBrand)?([pP]urchases|orders|conversions|[sS]ales|attributedSales|[uU]nitsSold)"
    r"(SameSku|OtherSku|PromotedClicks|Promoted|BrandHaloClicks|BrandHalo|Clicks|Views)?(?:(1|7|14|30)d)?"
)
_RATE = re.compile(r".*(Rate|Percentage|ROAS|Share|Average)(14d)?|(newToBrand)?[eE]CP\w+")
_RATIO = re.compile(r"(acos|roas)Clicks(7|14)d")
_SHARE = re.compile(r"(kindle|qualified|royalty)\w+")


def is_metric(column: str) -> bool:
    """Whether a column counts or measures, rather than names what its row is about."""
    texts = (*_DIMENSIONS, *DIMENSIONS, *_OF_PURCHASE, "date", "startDate", "endDate", "intervalStart", "intervalEnd")
    return column not in texts


def _column_of(report_type: str, column: str) -> Callable[[_Cell], Any]:
    if _product(report_type) == "dsp" and column in DIMENSIONS:
        return lambda cell: DIMENSIONS[column](cell.lives[0], cell.profile)
    return _column(column)


@functools.cache
def _column(column: str) -> Callable[[_Cell], Any]:
    """How a column is made from a cell."""
    if column in _DIMENSIONS:
        return lambda cell: _DIMENSIONS[column](cell.lives[0], cell.profile)
    if column in _OF_PURCHASE:
        return lambda cell: _OF_PURCHASE[column](cell.purchases[0])
    if column in _TRAFFIC:
        return _TRAFFIC[column]
    if column in _TOTALS:
        return _column(_TOTALS[column])
    if count := _COUNT.fullmatch(column):
        return _count(count)
    if ratio := _RATIO.fullmatch(column):
        sales = _column(f"sales{ratio[2]}d")
        return lambda cell: _acos(cell, sales(cell)) if ratio[1] == "acos" else _roas(cell, sales(cell))
    if column.startswith("longTerm"):
        return lambda _: None
    if _RATE.fullmatch(column):
        return lambda cell: _seldom(cell, column, 0.1, round(draw(cell.name, column)[1], 4))
    if _SHARE.fullmatch(column):
        return lambda _: 0.0 if "Royalties" in column else 0
    thousandth = number(column, below=60)
    return lambda cell: _seldom(cell, column, 0.02, sum(a.impressions * thousandth // 1000 for a in cell.lives))


_TRAFFIC: Mapping[str, Callable[[_Cell], Any]] = {
    "impressions": lambda cell: sum(live.impressions for live in cell.lives),
    "clicks": lambda cell: sum(live.clicks for live in cell.lives),
    "cost": lambda cell: cell.money(live.cost for live in cell.lives),
    "spend": lambda cell: cell.money(live.cost for live in cell.lives),
    "costPerClick": lambda cell: _over(_TRAFFIC["cost"](cell), _TRAFFIC["clicks"](cell)),
    "grossImpressions": lambda cell: _gross(cell, "impressions", "invalidImpressions"),
    "grossClickThroughs": lambda cell: _gross(cell, "clicks", "invalidClickThroughs"),
    "clickThroughRate": lambda cell: _over(100 * _TRAFFIC["clicks"](cell), _TRAFFIC["impressions"](cell)),
}


_TOTALS = {
    "totalCost": "cost",
    "supplyCost": "cost",
    "totalPurchases": "purchases",
    "totalSales": "sales",
    "totalUnitsSold": "unitsSold",
}
"""Columns that come to the same as others."""


def _count(match: re.Match[str]) -> Callable[[_Cell], Any]:
    new, what, which, window = match.groups()
    within, which, what = int(window or 14), which or "", what.lower()

    def chosen(cell: _Cell) -> Iterable[Purchase]:
        for p in cell.purchases:
            if p.lag > within or (new and not p.new_to_brand):
                continue
            if which.startswith(("SameSku", "Promoted")) and not p.promoted:
                continue
            if which.startswith(("OtherSku", "BrandHalo")) and p.promoted:
                continue
            if (which.endswith("Clicks") and p.by_view) or (which == "Views" and not p.by_view):
                continue
            yield p

    if what in ("sales", "attributedsales"):
        return lambda cell: cell.money(p.sales for p in chosen(cell))
    if what == "unitssold":
        return lambda cell: sum(p.units for p in chosen(cell))
    return lambda cell: sum(p.purchases for p in chosen(cell))


def _gross(cell: _Cell, valid: str, invalid: str) -> int:
    return int(_TRAFFIC[valid](cell) + (_column(invalid)(cell) or 0))


def _acos(cell: _Cell, sales: float) -> float | None:
    return _over(100 * _TRAFFIC["cost"](cell), sales)


def _roas(cell: _Cell, sales: float) -> float | None:
    return _over(sales, _TRAFFIC["cost"](cell))


def _over(value: float, divisor: float) -> float | None:
    return round(value / divisor, 6) if divisor else None


def _seldom(cell: _Cell, column: str, chance: float, value: float) -> float | None:
    """The value, and null here and there."""
    return None if draw(cell.name, column)[0] < chance else value
