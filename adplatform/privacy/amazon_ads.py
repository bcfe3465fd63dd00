"""What Amazon Ads, DSP and AMC do to a value before SHA-256, so that our digests equal theirs.

Source: the audience normalisation of the Amazon Ads SDK and of the AMC Uploader. Differences, both on purpose: values
are brought to NFC first, so that an accent typed as a separate character does not change the digest, and a value with
nothing left is not hashed. All functions take a trimmed value and an upper-case country, and return "" for nothing.
"""

import re
from collections.abc import Callable

from adplatform.privacy.places import ADDRESS_COUNTRIES, address_words, state_codes

_EMAIL = re.compile(r"[\w.-]+@[\w.-]+")
_NOT_EMAIL = re.compile(r"[^\w.@-]")
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]")
_NOT_LETTER = re.compile(r"[^A-Z]")
_NAME_SPELLINGS = str.maketrans({"ß": "ss", "ä": "ae", "ö": "oe", "ü": "ue", "ø": "o", "æ": "ae"})

_TOKEN_ENDS = re.compile(r"\bC/O\b|[\s,!.()\[\]{}]+")
_NUMBER_SIGN = re.compile(r"([A-Z]*)#([0-9A-Z/-]*)")

_POSTAL_SHAPES = {
    "CA": re.compile(r"([A-Za-z][0-9]){3}"),
    "GB": re.compile(r"[A-Za-z]{1,2}([0-9]{2,3}|[0-9][A-Za-z][0-9])[A-Za-z]{2}"),
}
_POSTAL_LENGTHS = {"CA": 6, "GB": 7, "JP": 7, "IN": 6, "US": 5, "DE": 5, "FR": 5, "IT": 5, "ES": 5}


def email(value: str, country: str = "") -> str:
    """Lower case; everything but letters, digits and ``_ . @ -`` deleted: the plus sign goes, the tag stays."""
    kept = _NOT_EMAIL.sub("", value.lower())
    return kept if _EMAIL.fullmatch(kept) else ""


def name(value: str, country: str = "") -> str:
    """Lower case, German and Danish letters spelled out, everything but a-z and 0-9 deleted."""
    return _NOT_ALPHANUMERIC.sub("", value.lower().translate(_NAME_SPELLINGS))


def city(value: str, country: str = "") -> str:
    """As :func:`name` but nothing is spelled out: Köln is kln."""
    return _NOT_ALPHANUMERIC.sub("", value.lower())


def state(value: str, country: str) -> str:
    """The code of a state known by name, else its first two letters; lower case."""
    letters = _NOT_LETTER.sub("", value.upper())
    return state_codes(country).get(letters, letters[:2]).lower()


def postal_code(value: str, country: str) -> str:
    """The significant part, "" if it has not the country's form. Case is kept, as Amazon keeps it."""
    length = _POSTAL_LENGTHS.get(country)
    if length is None:
        return ""
    shape = _POSTAL_SHAPES.get(country)
    if shape is None:
        digits = re.sub(r"[^0-9]", "", value)[:length]
        return digits if len(digits) == length else ""
    kept = re.sub(r"[^0-9A-Za-z]", "", value)[:length]
    return kept if shape.fullmatch(kept) else ""


def street_address(value: str, country: str) -> str:
    """The street line, its words shortened and joined: ``8 Bluestem Terrace`` is 8bluestemter in the US.

    Without city, state and postal code. "" for a country Amazon has no words for.
    """
    if country not in ADDRESS_COUNTRIES:
        return ""
    tokens = [token for token in _TOKEN_ENDS.split(value.upper()) if token]
    _split_each(tokens, _at_dash)
    _split_each(tokens, _at_number_sign)
    words = address_words(country)
    return "".join(words.get(token, token) for token in tokens).lower()


def _split_each(tokens: list[str], split: Callable[[str], list[str]]) -> None:
    # Goes as many steps as there were tokens, so after a split the last ones are not looked at: the reference does so.
    for i in range(len(tokens)):
        tokens[i : i + 1] = split(tokens[i])


def _at_dash(token: str) -> list[str]:
    """12-B is two words; 12-14 and UPPER-HILL are one."""
    first, _, second = token.rpartition("-")
    return [first, second] if first.isnumeric() and second and not second.isnumeric() else [token]


def _at_number_sign(token: str) -> list[str]:
    """APT#4B is APT, # and 4B. As in the reference, digits before a sign and what stands between two signs are lost."""
    parts = [token]
    for before, after in _NUMBER_SIGN.findall(token):
        if before or after:
            parts[-1:] = [part for part in (before, "#", after) if part]
    return parts
