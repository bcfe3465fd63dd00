"""The products of the demo brand, as each marketplace lists them."""

import functools
from dataclasses import dataclass

from adplatform.local.world.draws import number

MINOR_UNITS = {"JPY": 1}
"""Of one unit of a currency, where it is not 100."""

_NAMES = {
    "DE": (
        *("Zelt für zwei", "Schlafsack “Süd” 3°", "Gaskocher groß", "Stirnlampe", "Isomatte breit"),
        *("Trinkflasche ½ l", "Wanderstöcke", "Rucksack 40 l"),
    ),
    "JP": (
        *("二人用テント", "寝袋 ３シーズン", "ガスコンロ", "ヘッドライト", "スリーピングマット"),
        *("水筒 500ml", "トレッキングポール", "リュック 40L"),
    ),
}
_ENGLISH = (
    *("Two-person tent – “Summit”", "Men’s sleeping bag", "Gas stove", 'Head lamp 2" strap', "Sleeping mat"),
    *("Café press bottle", "Trekking poles", "Backpack 40 l"),
)
_PRICES = (189.0, 79.9, 34.5, 24.99, 45.0, 19.95, 59.0, 99.5)


@dataclass(frozen=True)
class Product:
    """One product; ``price`` is in minor units of the marketplace's currency."""

    asin: str
    parent: str
    sku: str
    name: str
    category: str
    price: int


def minor_units(currency: str) -> int:
    return MINOR_UNITS.get(currency, 100)


@functools.cache
def products(country: str, currency: str) -> tuple[Product, ...]:
    """The eight products of a marketplace; two of them share one parent."""
    factor = 150 if currency == "JPY" else minor_units(currency)
    return tuple(
        Product(
            asin=f"B0{_base36(number('asin', i, below=36**8)):0>8}",
            parent=f"B0{_base36(number('parent', i // 2, below=36**8)):0>8}",
            sku=f"NW-{country}-{i:03}",
            name=name,
            category="Sports & Outdoors",
            price=round(_PRICES[i] * factor),
        )
        for i, name in enumerate(_NAMES.get(country, _ENGLISH))
    )


def _base36(value: int) -> str:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    text = ""
    while value:
        value, rest = divmod(value, 36)
        text = digits[rest] + text
    return text
