"""Which columns may hold personal data, by their names and by their values, with the reason."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adplatform.contracts.personal_names import PLACES, guessed_kind
from adplatform.contracts.pii import PiiKind
from adplatform.drafting import dates

EMAIL = re.compile(r"[0-9A-Za-z.!#$%&'*+/=?^_`{|}~-]+@[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*\.[A-Za-z]{2,24}")
_PHONE = re.compile(r"(\+|00|\()?[0-9][0-9 ()./-]{5,22}")
_IP = re.compile(r"([0-9]{1,3}\.){3}[0-9]{1,3}|([0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}( ?[0-9A-Z]{4}){3,7}( ?[0-9A-Z]{1,4})?")
_PSEUDONYM = re.compile(r"(.*_)?(user|customer|member|client|person|contact|subscriber|visitor|profile_person)_?id")
_COUNTRY = re.compile(r"(.*_)?(country|land|pays|pais)(_?(code|iso))?")
MOST = 0.8
"""The share of values from which on a column holds what they look like."""
SOME = 0.5
"""The same of e-mail addresses, which nothing else looks like."""


@dataclass(frozen=True)
class Guess:
    """``kind`` is None for a column that is to be dropped, as values of many kinds cannot be hashed."""

    kind: PiiKind | None
    reason: str


def personal(name: str, texts: Sequence[str]) -> Guess | None:
    """What a column holds of a person by its name and its values (which are not empty)."""
    kind = guessed_kind(name)
    share = {each: _share(pattern, texts) for each, pattern in _BY_VALUE.items()}
    if share[PiiKind.EMAIL] >= SOME:
        return Guess(PiiKind.EMAIL, f"{share[PiiKind.EMAIL]:.0%} of its values are e-mail addresses")
    if kind is not None:
        return Guess(kind, "personal by its name")
    phones = sum(map(_is_phone, texts)) / max(1, len(texts))
    if phones >= MOST:
        return Guess(PiiKind.PHONE, f"{phones:.0%} of its values look like phone numbers")
    if _share(_IP, texts) >= MOST:
        return Guess(PiiKind.GENERIC_ID, f"{_share(_IP, texts):.0%} of its values look like IP addresses")
    if _share(_IBAN, texts) >= MOST:
        return Guess(PiiKind.GENERIC_ID, f"{_share(_IBAN, texts):.0%} of its values look like bank accounts (IBAN)")
    within = sum(bool(EMAIL.search(text)) for text in texts if "@" in text)
    if within:
        return Guess(None, f"{within:,} of {len(texts):,} values hold an e-mail address, which is nothing to hash")
    return None


def remark(name: str, texts: Sequence[str]) -> str:
    """What is worth a look without being a guess; "" for nothing."""
    if _PSEUDONYM.fullmatch(name):
        return "REVIEW: pii: generic_id if this tells persons apart"
    if texts and _share(_DIGEST, texts) >= MOST:
        return "looks like digests; REVIEW: pii: email or phone if they are of persons"
    if texts and _share(_UUID, texts) >= MOST and re.search("device|ad_?id|idfa|gaid|cookie", name):
        return "REVIEW: pii: device_id if this tells devices apart"
    return ""


def country_of(columns: Mapping[str, Sequence[str]]) -> str | None:
    """The column that says the country of each row by two letters."""
    return next(
        (
            name
            for name, texts in columns.items()
            if _COUNTRY.fullmatch(name) and texts and all(re.fullmatch("[A-Z]{2}", text) for text in texts)
        ),
        None,
    )


def is_place(guess: Guess) -> bool:
    return guess.kind in PLACES


_BY_VALUE = {PiiKind.EMAIL: EMAIL}


def _share(pattern: "re.Pattern[str]", texts: Sequence[str]) -> float:
    return sum(bool(pattern.fullmatch(text.strip())) for text in texts) / max(1, len(texts))


def _is_phone(text: str) -> bool:
    """With a plus, two zeros or a bracket before it, or with separators as phone numbers have them; no date, no IP
    address, no amount."""
    text = text.strip()
    if not _PHONE.fullmatch(text) or _IP.fullmatch(text) or dates.spellings(text):
        return False
    digits = sum(each.isdecimal() for each in text)
    groups = len(re.findall("[0-9]+", text))
    international = text.startswith(("+", "(")) or (text.startswith("00") and len(text) > 9)
    return 7 <= digits <= 15 and (
        international
        or (groups >= 2 and text.startswith("0") and "." not in text)
        or bool(re.fullmatch(r"[0-9]{3}[-. ][0-9]{3}[-. ][0-9]{4}", text))
    )
