"""What Meta does to a value before SHA-256 (Marketing API, customer information parameters).

Everything in lower case; UTF-8 is kept, so nothing is transliterated. Same signature as ``canonical``.
"""

import unicodedata

from adplatform.privacy import canonical, text
from adplatform.privacy.places import state_codes


def email(value: str, country: str = "") -> str:
    return value.lower() if canonical.EMAIL.fullmatch(value) else ""


def phone(value: str, country: str = "") -> str:
    """Country code and number, digits only, no leading zeros."""
    return canonical.phone(value, country).lstrip("+")


def name(value: str, country: str = "") -> str:
    """No punctuation; blanks between names stay, as one space."""
    return text.single_spaced(_without_punctuation(value.lower())).strip()


def city(value: str, country: str = "") -> str:
    return text.without_blanks(_without_punctuation(value.lower()))


def state(value: str, country: str = "") -> str:
    """The two-letter code in the US and Canada, elsewhere the name without blanks and punctuation."""
    plain = city(value)
    return state_codes(country).get(plain.upper(), plain).lower() if country in ("US", "CA") else plain


def postal_code(value: str, country: str = "") -> str:
    """No blanks, no dash; the first five digits in the US."""
    plain = canonical.postal_code(value).lower()
    return plain[:5] if country == "US" else plain


def country(value: str, country: str = "") -> str:
    return canonical.country(value).lower()


def _without_punctuation(value: str) -> str:
    return "".join(c for c in value if unicodedata.category(c)[0] not in "PS")
