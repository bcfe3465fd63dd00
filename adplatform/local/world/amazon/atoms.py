"""What the Ads reports are summed from: the clicks on one ad for one target and search term in one placement."""

from dataclasses import dataclass
from typing import NamedTuple

from adplatform.local.world.amazon.products import Product


@dataclass(frozen=True)
class Campaign:
    index: int
    id: int
    name: str
    status: str
    budget: float
    portfolio: int


@dataclass(frozen=True)
class AdGroup:
    campaign: Campaign
    id: int
    name: str
    status: str


@dataclass(frozen=True)
class Target:
    group: AdGroup
    id: int
    text: str
    match: str
    bid: float
    status: str


@dataclass(frozen=True)
class Ad:
    id: int
    product: Product


class Purchase(NamedTuple):
    """What one purchase counts for at some age; ``sales`` in minor units."""

    lag: int
    product: Product
    promoted: bool
    by_view: bool
    new_to_brand: bool
    purchases: int
    units: int
    sales: int


@dataclass(frozen=True)
class Atom:
    """``traffic`` and ``purchases`` list what counts from which age in days on; ``cost`` is in minor units."""

    target: Target
    ad: Ad
    term: str
    matched: str
    placement: str
    appears: int
    vanishes: int
    traffic: tuple[tuple[int, int, int, int], ...]
    purchases: tuple[tuple[tuple[int, Purchase], ...], ...]


class Live(NamedTuple):
    """An atom as it stands at some age."""

    atom: Atom
    impressions: int
    clicks: int
    cost: int
    purchases: tuple[Purchase, ...]
