"""The rules for e-mail, phone and generic ids once more, written without the code under test."""

import hashlib
import hmac
import re
import unicodedata

import phonenumbers

SPACES = "".join(map(chr, [*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, 0x180E, *range(0x2000, 0x200E)]))
SPACES += "\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"


def clean(value: str) -> str:
    return unicodedata.normalize("NFC", value).strip(SPACES)


def lake_plain(kind: str, value: str, country: str = "") -> str | None:
    text = clean(value)
    if re.fullmatch("[0-9A-Fa-f]{64}", text):
        return text.lower()
    if kind == "email":
        halves = text.split("@")
        good = len(halves) == 2 and all(halves) and not set(text) & set(SPACES)
        return re.sub("[A-Z]", lambda m: chr(ord(m[0]) + 32), text) if good else None
    if kind == "phone":
        return e164(text, country)
    return text or None


def e164(text: str, country: str) -> str | None:
    if text[:1] in ("+", "＋"):
        spelled, region = text, None
    elif country:
        spelled, region = text, country
    else:
        spelled, region = "+" + text, None
    try:
        number = phonenumbers.parse(spelled, region)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(number) != 0:
        return None
    return phonenumbers.format_number(number, 0)


def amazon_email(value: str) -> str | None:
    text = clean(value)
    if re.fullmatch("[0-9A-Fa-f]{64}", text):
        return text.lower()
    kept = "".join(c for c in text.lower() if re.match(r"[\w.@-]", c))
    halves = kept.split("@")
    return kept if len(halves) == 2 and all(halves) else None


def keyed(secret: bytes, plain: str | None) -> str | None:
    return None if plain is None else hmac.new(secret, plain.encode(), hashlib.sha256).hexdigest()


def unkeyed(plain: str | None) -> str | None:
    if plain is None or re.fullmatch("[0-9a-f]{64}", plain):
        return plain
    return hashlib.sha256(plain.encode()).hexdigest()
