"""The campaigns, ad groups, ads and targets of a profile as they stand on a date, in the form of the Exports API: pure
functions of a seed, a profile and a date.

They are those that the reports speak of. Names, states, budgets and bids change every few days, each on days of its
own; a fourth of the ads come and go, and the fourth campaign of Sponsored Products is archived. Members that do not go
with an ad product are left out, as Amazon does, and some that may have no value have none.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from adplatform.local.world.amazon.accounts import Profile
from adplatform.local.world.amazon.advertising import targets_of
from adplatform.local.world.amazon.atoms import Ad, AdGroup, Campaign, Target
from adplatform.local.world.draws import number

Entity = dict[str, Any]
PRODUCTS: Mapping[str, str] = {"SPONSORED_PRODUCTS": "sp", "SPONSORED_BRANDS": "sb", "SPONSORED_DISPLAY": "sd"}
"""The ad products that are exported, by the names that the Exports API has for them."""
_AD_TYPES = {"sp": "PRODUCT_AD", "sb": "PRODUCT_COLLECTION", "sd": "IMAGE"}
_BID_STRATEGIES = ("SALES_DOWN_ONLY", "SALES", "RULE_BASED")


def entities(kind: str, product: str, profile: Profile, day: date, seed: int) -> list[Entity]:
    """All of one kind (``campaigns``, ``adGroups``, ``ads`` or ``targets``) and ad product on a date, whatever their
    state is."""
    short = PRODUCTS[product]
    found = targets_of(seed, profile, short)
    groups = {target.group.id: target.group for target, _ in found}
    common = {"adProduct": product}
    match kind:
        case "campaigns":
            every = {group.campaign.id: group.campaign for group in groups.values()}
            return [_campaign(each, short, profile, day) | common for each in every.values()]
        case "adGroups":
            return [_ad_group(each, short, profile, day) | common for each in groups.values()]
        case "ads":
            by_group = {target.group.id: ads for target, ads in found}
            return [
                _ad(ad, groups[name], short, day) | common
                for name, ads in by_group.items()
                for ad in ads
                if ad.id % 4 or _revision(ad.id, day, "there") % 3
            ]
        case _:
            positive = [_target(target, profile, day) | common for target, _ in found]
            return [*positive, *(each | common for each in _negatives(groups, short, day))]


def _campaign(campaign: Campaign, short: str, profile: Profile, day: date) -> Entity:
    relaunched = _revision(campaign.id, day, "name") % 2
    money: Entity = {
        "currencyCode": profile.currency,
        "amount": campaign.budget + 5 * (_revision(campaign.id, day, "budget") % 3),
    }
    if campaign.index == 0:
        money["ruleAmount"] = None
    state = campaign.status
    if state == "PAUSED" and _revision(campaign.id, day, "state") % 2:
        state = "ENABLED"
    strategy = _BID_STRATEGIES[_revision(campaign.id, day, "bids") % 3]
    own: Mapping[str, Entity] = {
        "sp": {
            "targetingSettings": "MANUAL",
            "optimization": {
                "bidStrategy": strategy,
                "placementBidAdjustments": [{"placement": "PLACEMENT_TOP", "percentage": 15}],
            },
        },
        "sb": {
            "costType": "CPC",
            "brandEntityId": profile.entity,
            "optimization": {"bidStrategy": "NEW_TO_BRAND", "shopperSegmentBidAdjustment": []},
        },
        "sd": {"costType": "VCPM", "targetingSettings": "T00020"},
    }
    return {
        "campaignId": str(campaign.id),
        **({"portfolioId": str(campaign.portfolio)} if campaign.index % 2 else {}),
        "name": campaign.name + (" – relaunch" if relaunched else ""),
        "startDate": "2025-03-01",
        **({"endDate": None} if campaign.index else {"endDate": "2030-12-31"}),
        "state": state,
        "tags": [{"key": "season", "value": "été"}] if campaign.index == 1 else [],
        "budgetCaps": {
            "recurrenceTimePeriod": "DAILY",
            "budgetType": "MONETARY",
            "budgetValue": {"monetaryBudget": money},
        },
        **own[short],
        **_delivery(campaign.id, state, day),
    }


def _ad_group(group: AdGroup, short: str, profile: Profile, day: date) -> Entity:
    bid = {
        "defaultBid": _bid(0.75, group.id, profile, day),
        "currencyCode": profile.currency,
    }
    goal = {"goalSettings": {"goalType": "CONSIDERATION", "goalKpi": "CLICKS"}}
    return {
        "adGroupId": str(group.id),
        "campaignId": str(group.campaign.id),
        "name": group.name,
        "state": group.status,
        **({"bid": bid} if short != "sb" else {}),
        **({"creativeType": "IMAGE", "optimization": goal} if short == "sd" else {}),
        **_delivery(group.id, group.status, day),
    }


def _ad(ad: Ad, group: AdGroup, short: str, day: date) -> Entity:
    by_sku = short == "sp"
    product = {"productIdType": "SKU" if by_sku else "ASIN", "productId": ad.product.sku if by_sku else ad.product.asin}
    creative: Entity = {"products": [product]}
    if short == "sb":
        creative |= {
            "headline": f"{ad.product.name} {_revision(ad.id, day, 'headline') % 2 + 1}",
            "brandName": "Northwind",
            "landingPage": {"landingPageType": "PRODUCT_LIST", "landingPageUrl": None},
        }
    return {
        "adId": str(ad.id),
        "adGroupId": str(group.id),
        **({"name": f"{group.name} / {ad.product.name}"} if short != "sp" else {}),
        "adType": _AD_TYPES[short],
        "state": "ENABLED",
        "creative": creative,
        **_delivery(ad.id, "ENABLED", day),
    }


def _target(target: Target, profile: Profile, day: date) -> Entity:
    if target.match == "TARGETING_EXPRESSION":
        asin = target.text.removeprefix('asin="').removesuffix('"')
        what: Entity = {"targetType": "PRODUCT", "targetDetails": {"matchType": "PRODUCT_EXACT", "asin": asin}}
    else:
        what = {"targetType": "KEYWORD", "targetDetails": {"matchType": target.match, "keyword": target.text}}
    return {
        "targetId": str(target.id),
        "adGroupId": str(target.group.id),
        "targetLevel": "AD_GROUP",
        "state": target.status,
        "negative": False,
        "bid": {"bid": _bid(target.bid, target.id, profile, day), "currencyCode": profile.currency},
        **what,
        **_delivery(target.id, target.status, day),
    }


def _negatives(groups: Mapping[int, AdGroup], short: str, day: date) -> Iterator[Entity]:
    """A word that a whole campaign is not shown for, of Sponsored Products alone; it has no bid and no ad group."""
    if short != "sp":
        return
    for campaign in {group.campaign.id: group.campaign for group in groups.values()}.values():
        name = 1 + number("negative", campaign.id, below=10**15)
        yield {
            "targetId": str(name),
            "campaignId": str(campaign.id),
            "targetLevel": "CAMPAIGN",
            "state": "ENABLED",
            "negative": True,
            "targetType": "KEYWORD",
            "targetDetails": {"matchType": "EXACT", "keyword": "gebraucht"},
            **_delivery(name, "ENABLED", day),
        }


def _delivery(name: int, state: str, day: date) -> Entity:
    """What Amazon adds to every entity."""
    runs = state == "ENABLED"
    return {
        "deliveryStatus": "DELIVERING" if runs else "NOT_DELIVERING",
        **({} if runs else {"deliveryReasons": [f"CAMPAIGN_{state}"]}),
        "creationDateTime": "2025-02-27T09:15:00.123Z",
        "lastUpdatedDateTime": f"{day.isoformat()}T00:10:00.{name % 1000:03d}Z",
    }


def _bid(amount: float, name: int, profile: Profile, day: date) -> float:
    unit = 100.0 if profile.currency == "JPY" else 1.0
    return round(amount + 0.05 * unit * (_revision(name, day, "bid") % 4), 2)


def _revision(name: int, day: date, what: str) -> int:
    """How often something of an entity has changed until a date: every five to thirteen days."""
    every = 5 + number("every", name, what, below=9)
    return (day.toordinal() + number("from", name, what, below=every)) // every
