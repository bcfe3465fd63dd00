"""Which rule applies to a kind of personal value under a treatment, and what is then done with the normalised value."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.privacy import amazon_ads, canonical, google, masks, meta, text, uid2

Form = Literal["digest", "short digest", "base64 digest", "normalised", "masked", "clear"]
"""What an output holds: 64 hexadecimal digits, the first 32 of them, the 32 bytes of a digest in Base64, a normalised
value in clear, a masked value, or the value itself."""
WHOLE_DIGESTS: tuple[Form, ...] = ("digest", "base64 digest")
"""Forms that tell one normalised value from any other."""
Normalise = Callable[[str, str], str]
"""Trimmed value and upper-case country ("" when unknown) to the normalised value, "" for an invalid one."""


@dataclass(frozen=True)
class Rule:
    normalise: Normalise
    form: Form = "digest"
    takes_country: bool = False
    needs_country: bool = False


_K = PiiKind
_WORDS = (_K.FIRST_NAME, _K.LAST_NAME, _K.STREET_ADDRESS, _K.CITY, _K.STATE)

RULES: Mapping[tuple[Treatment, PiiKind], Rule] = {
    (Treatment.LAKE, _K.EMAIL): Rule(canonical.email),
    (Treatment.LAKE, _K.PHONE): Rule(canonical.phone, takes_country=True),
    **{(Treatment.LAKE, kind): Rule(canonical.words) for kind in _WORDS},
    (Treatment.LAKE, _K.POSTAL_CODE): Rule(canonical.postal_code),
    (Treatment.LAKE, _K.COUNTRY): Rule(canonical.country),
    (Treatment.LAKE, _K.DEVICE_ID): Rule(canonical.device_id),
    (Treatment.LAKE, _K.GENERIC_ID): Rule(canonical.generic_id),
    (Treatment.AMAZON_ADS, _K.EMAIL): Rule(amazon_ads.email),
    (Treatment.AMAZON_ADS, _K.PHONE): Rule(meta.phone, takes_country=True),
    (Treatment.AMAZON_ADS, _K.FIRST_NAME): Rule(amazon_ads.name),
    (Treatment.AMAZON_ADS, _K.LAST_NAME): Rule(amazon_ads.name),
    (Treatment.AMAZON_ADS, _K.STREET_ADDRESS): Rule(amazon_ads.street_address, takes_country=True, needs_country=True),
    (Treatment.AMAZON_ADS, _K.CITY): Rule(amazon_ads.city),
    (Treatment.AMAZON_ADS, _K.STATE): Rule(amazon_ads.state, takes_country=True, needs_country=True),
    (Treatment.AMAZON_ADS, _K.POSTAL_CODE): Rule(amazon_ads.postal_code, takes_country=True, needs_country=True),
    (Treatment.AMAZON_ADS, _K.COUNTRY): Rule(canonical.country, form="normalised"),
    (Treatment.AMAZON_ADS, _K.GENERIC_ID): Rule(canonical.generic_id),
    (Treatment.META, _K.EMAIL): Rule(meta.email),
    (Treatment.META, _K.PHONE): Rule(meta.phone, takes_country=True),
    (Treatment.META, _K.FIRST_NAME): Rule(meta.name),
    (Treatment.META, _K.LAST_NAME): Rule(meta.name),
    (Treatment.META, _K.CITY): Rule(meta.city),
    (Treatment.META, _K.STATE): Rule(meta.state, takes_country=True),
    (Treatment.META, _K.POSTAL_CODE): Rule(meta.postal_code, takes_country=True),
    (Treatment.META, _K.COUNTRY): Rule(meta.country),
    (Treatment.META, _K.GENERIC_ID): Rule(canonical.generic_id),
    (Treatment.GOOGLE, _K.EMAIL): Rule(google.email),
    (Treatment.GOOGLE, _K.PHONE): Rule(canonical.phone, takes_country=True),
    (Treatment.GOOGLE, _K.FIRST_NAME): Rule(google.words),
    (Treatment.GOOGLE, _K.LAST_NAME): Rule(google.words),
    (Treatment.GOOGLE, _K.STREET_ADDRESS): Rule(google.words),
    (Treatment.GOOGLE, _K.CITY): Rule(google.words, form="normalised"),
    (Treatment.GOOGLE, _K.STATE): Rule(google.words, form="normalised"),
    (Treatment.GOOGLE, _K.POSTAL_CODE): Rule(google.postal_code, form="normalised"),
    (Treatment.GOOGLE, _K.COUNTRY): Rule(canonical.country, form="normalised"),
    (Treatment.GOOGLE, _K.GENERIC_ID): Rule(canonical.generic_id),
    (Treatment.UID2, _K.EMAIL): Rule(uid2.email, form="base64 digest"),
    (Treatment.UID2, _K.PHONE): Rule(canonical.phone, form="base64 digest", takes_country=True),
    **{(Treatment.MASK, kind): Rule(masks.other, form="masked") for kind in PiiKind},
    (Treatment.MASK, _K.EMAIL): Rule(masks.email, form="masked"),
    (Treatment.MASK, _K.PHONE): Rule(masks.phone, form="masked"),
}
"""Pairs that are missing have no rule: the platforms take device ids in clear only, Meta takes no street, and UID2
nothing but e-mail addresses and phone numbers."""


def function_name(treatment: Treatment, kind: PiiKind, *, previous: bool = False) -> str:
    """``previous`` names the keyed function of the key before the current one."""
    return f"adp_{treatment}_previous_{kind}" if previous else f"adp_{treatment}_{kind}"


def normalised(treatment: Treatment, kind: PiiKind, value: str | None, country: str | None = None) -> str | None:
    """The value as the treatment hashes, shows or masks it; None for nothing, blanks or an invalid value.

    A value that is a SHA-256 already is given back in lower case, except to a mask.
    """
    if value is None:
        return None
    if treatment is not Treatment.MASK and (digest := text.digest_in(value)):
        return digest
    rule = RULES[treatment, kind]
    known_country = canonical.country(text.trimmed(country)) if country and rule.takes_country else ""
    return rule.normalise(text.trimmed(value), known_country) or None


def unkeyed_output(treatment: Treatment, kind: PiiKind, value: str | None, country: str | None = None) -> str | None:
    """What an unkeyed treatment stores: the SHA-256 of the normalised value, or that value when it is not hashed.

    A value that is a SHA-256 already is not hashed again: the partner sent it in the form the platform takes.
    """
    plain = normalised(treatment, kind, value, country)
    form = RULES[treatment, kind].form
    if plain is None or form not in WHOLE_DIGESTS:
        return plain
    digest = text.digest_in(plain) or hashlib.sha256(plain.encode()).hexdigest()
    return in_base64(digest) if form == "base64 digest" else digest


def in_base64(digest: str) -> str:
    """The bytes of a digest that is written in hexadecimal."""
    return base64.b64encode(bytes.fromhex(digest)).decode()
