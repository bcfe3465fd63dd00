"""The public marketplaces of the Selling Partner API."""

from collections.abc import Mapping
from typing import NamedTuple


class Marketplace(NamedTuple):
    """``country`` as ISO 3166 has it; ``timezone`` where its days begin, which is Seattle for North America."""

    country: str
    currency: str
    timezone: str


MARKETPLACES: Mapping[str, Marketplace] = {
    "ATVPDKIKX0DER": Marketplace("US", "USD", "America/Los_Angeles"),
    "A2EUQ1WTGCTBG2": Marketplace("CA", "CAD", "America/Los_Angeles"),
    "A1AM78C64UM0Y8": Marketplace("MX", "MXN", "America/Los_Angeles"),
    "A2Q3Y263D00KWC": Marketplace("BR", "BRL", "America/Sao_Paulo"),
    "A28R8C7NBKEWEA": Marketplace("IE", "EUR", "Europe/Dublin"),
    "A1RKKUPIHCS9HS": Marketplace("ES", "EUR", "Europe/Madrid"),
    "A1F83G8C2ARO7P": Marketplace("GB", "GBP", "Europe/London"),
    "A13V1IB3VIYZZH": Marketplace("FR", "EUR", "Europe/Paris"),
    "AMEN7PMS3EDWL": Marketplace("BE", "EUR", "Europe/Brussels"),
    "A1805IZSGTT6HS": Marketplace("NL", "EUR", "Europe/Amsterdam"),
    "A1PA6795UKMFR9": Marketplace("DE", "EUR", "Europe/Berlin"),
    "APJ6JRA9NG5V4": Marketplace("IT", "EUR", "Europe/Rome"),
    "A2NODRKZP88ZB9": Marketplace("SE", "SEK", "Europe/Stockholm"),
    "AE08WJ6YKNBMC": Marketplace("ZA", "ZAR", "Africa/Johannesburg"),
    "A1C3SOZRARQ6R3": Marketplace("PL", "PLN", "Europe/Warsaw"),
    "ARBP9OOSHTCHU": Marketplace("EG", "EGP", "Africa/Cairo"),
    "A33AVAJ2PDY3EV": Marketplace("TR", "TRY", "Europe/Istanbul"),
    "A17E79C6D8DWNP": Marketplace("SA", "SAR", "Asia/Riyadh"),
    "A2VIGQ35RCS4UG": Marketplace("AE", "AED", "Asia/Dubai"),
    "A21TJRUUN4KGV": Marketplace("IN", "INR", "Asia/Kolkata"),
    "A19VAU5U5O7RUS": Marketplace("SG", "SGD", "Asia/Singapore"),
    "A39IBJ37TRP1C6": Marketplace("AU", "AUD", "Australia/Sydney"),
    "A1VC38T7YXB528": Marketplace("JP", "JPY", "Asia/Tokyo"),
}
"""By id (SP-API, Marketplace IDs)."""
