"""Who exists in the test server: apps with their credentials, Ads profiles, and one seller with its marketplaces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Api = Literal["ads", "selling_partner"]
REGIONS = ("na", "eu", "fe")
_ACCOUNT = "amzn1.ads-account.g."
"""How the ids of advertiser accounts begin."""


@dataclass(frozen=True)
class App:
    """One application registered with Login with Amazon, and the account that authorised it."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True)
class Profile:
    """One advertising profile. Its report dates are in ``timezone``; ``scale`` is the size of its traffic.

    ``access`` is what the account may do with its campaigns: one with "view" is not listed to those who want to edit.
    With ``demand_side`` it is an advertiser of the demand-side platform, too.
    """

    id: int
    region: str
    country: str
    currency: str
    timezone: str
    marketplace: str
    kind: Literal["seller", "vendor"]
    name: str
    entity: str
    scale: float = 1.0
    access: Literal["view", "edit"] = "edit"
    demand_side: bool = False


@dataclass(frozen=True)
class AdvertiserAccount:
    """What the Ads API v1 reports on: one advertiser in all of its countries, or where it is not global in one."""

    id: str
    name: str
    profiles: tuple[Profile, ...]
    is_global: bool


@dataclass(frozen=True)
class Marketplace:
    """One marketplace in which the seller takes part. ``charset`` is the encoding of its flat files."""

    id: str
    region: str
    country: str
    name: str
    currency: str
    language: str
    domain: str
    timezone: str
    charset: str = "cp1252"
    scale: float = 1.0


@dataclass(frozen=True)
class Accounts:
    """Everybody whom a test server knows, at its start."""

    apps: Mapping[Api, App]
    profiles: tuple[Profile, ...]
    marketplaces: tuple[Marketplace, ...]
    seller: str
    store: str

    def find_profile(self, scope: str) -> Profile | None:
        return next((p for p in self.profiles if str(p.id) == scope), None)

    def profile(self, scope: str) -> Profile:
        """Raises: ValueError: there is none."""
        profile = self.find_profile(scope)
        if profile is None:
            raise ValueError(f"there is no profile {scope!r}; known are {', '.join(str(p.id) for p in self.profiles)}")
        return profile

    @property
    def advertisers(self) -> tuple[AdvertiserAccount, ...]:
        """A global account of all profiles, of whatever region, and one of each by itself."""
        alone = (AdvertiserAccount(f"{_ACCOUNT}{p.id}", p.name, (p,), is_global=False) for p in self.profiles)
        name = f"{_ACCOUNT}{self.store.lower().replace(' ', '')}"
        return (AdvertiserAccount(name, self.store, self.profiles, is_global=True), *alone)

    def advertiser(self, scope: str) -> AdvertiserAccount | None:
        return next((a for a in self.advertisers if a.id == scope), None)

    def marketplace(self, name: str) -> Marketplace:
        """Raises: ValueError: there is none."""
        known = {m.id: m for m in self.marketplaces}
        if name not in known:
            raise ValueError(f"there is no marketplace {name!r}; known are {', '.join(known)}")
        return known[name]


DEMO_CREDENTIALS: Mapping[Api, App] = {
    "ads": App(
        "amzn1.application-oa2-client.demo-ads", "demo-secret-of-the-ads-app", "Atzr|demo-refresh-token-of-the-ads-app"
    ),
    "selling_partner": App(
        "amzn1.application-oa2-client.demo-selling-partner",
        "demo-secret-of-the-selling-partner-app",
        "Atzr|demo-refresh-token-of-the-selling-partner-app",
    ),
}
"""What clients of the default test server log in with. They open nothing but that server."""

_PROFILES = (
    Profile(
        *(3184075526400117, "na", "US", "USD", "America/Los_Angeles", "ATVPDKIKX0DER"),
        *("seller", "Northwind Outdoor", "ENTITY1DEMOUS"),
    ),
    Profile(
        *(1460298317755031, "na", "CA", "CAD", "America/Toronto", "A2EUQ1WTGCTBG2"),
        *("vendor", "Northwind Outdoor Canada – Québec", "ENTITY2DEMOCA", 0.5, "view", True),
    ),
    Profile(
        *(4027711963358820, "eu", "DE", "EUR", "Europe/Berlin", "A1PA6795UKMFR9"),
        *("seller", "Nordwind Außenküche", "ENTITY3DEMODE", 0.7),
    ),
    Profile(
        *(2519046680173349, "fe", "JP", "JPY", "Asia/Tokyo", "A1VC38T7YXB528"),
        *("seller", "ノースウィンド", "ENTITY4DEMOJP", 0.6),
    ),
)
_MARKETPLACES = (
    Marketplace(
        "ATVPDKIKX0DER", "na", "US", "Amazon.com", "USD", "en_US", "www.amazon.com", "America/Los_Angeles", scale=1.5
    ),
    Marketplace(
        "A2EUQ1WTGCTBG2", "na", "CA", "Amazon.ca", "CAD", "en_CA", "www.amazon.ca", "America/Los_Angeles", scale=0.5
    ),
    Marketplace("A1PA6795UKMFR9", "eu", "DE", "Amazon.de", "EUR", "de_DE", "www.amazon.de", "Europe/Berlin"),
    Marketplace(
        "A1VC38T7YXB528", "fe", "JP", "Amazon.co.jp", "JPY", "ja_JP", "www.amazon.co.jp", "Asia/Tokyo", "cp932", 0.8
    ),
)
DEMO_ACCOUNTS = Accounts(DEMO_CREDENTIALS, _PROFILES, _MARKETPLACES, "A1DEMOSELLER", "Northwind Outdoor")
