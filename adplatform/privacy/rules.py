"""Which rule applies to a kind of personal value under a profile, and what is then done with the normalised value."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from adplatform.contracts.model import PiiKind, Profile
from adplatform.privacy import amazon_ads, canonical, google, masks, meta, text

Form = Literal["digest", "normalised", "masked", "clear"]
"""What an output holds: 64 hexadecimal digits, a normalised value in clear, a masked value, or the value itself."""
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

RULES: Mapping[tuple[Profile, PiiKind], Rule] = {
    (Profile.LAKE, _K.EMAIL): Rule(canonical.email),
    (Profile.LAKE, _K.PHONE): Rule(canonical.phone, takes_country=True),
    **{(Profile.LAKE, kind): Rule(canonical.words) for kind in _WORDS},
    (Profile.LAKE, _K.POSTAL_CODE): Rule(canonical.postal_code),
    (Profile.LAKE, _K.COUNTRY): Rule(canonical.country),
    (Profile.LAKE, _K.DEVICE_ID): Rule(canonical.device_id),
    (Profile.LAKE, _K.GENERIC_ID): Rule(canonical.generic_id),
    (Profile.AMAZON_ADS, _K.EMAIL): Rule(amazon_ads.email),
    (Profile.AMAZON_ADS, _K.PHONE): Rule(meta.phone, takes_country=True),
    (Profile.AMAZON_ADS, _K.FIRST_NAME): Rule(amazon_ads.name),
    (Profile.AMAZON_ADS, _K.LAST_NAME): Rule(amazon_ads.name),
    (Profile.AMAZON_ADS, _K.STREET_ADDRESS): Rule(amazon_ads.street_address, takes_country=True, needs_country=True),
    (Profile.AMAZON_ADS, _K.CITY): Rule(amazon_ads.city),
    (Profile.AMAZON_ADS, _K.STATE): Rule(amazon_ads.state, takes_country=True, needs_country=True),
    (Profile.AMAZON_ADS, _K.POSTAL_CODE): Rule(amazon_ads.postal_code, takes_country=True, needs_country=True),
    (Profile.AMAZON_ADS, _K.COUNTRY): Rule(canonical.country, form="normalised"),
    (Profile.AMAZON_ADS, _K.GENERIC_ID): Rule(canonical.generic_id),
    (Profile.META, _K.EMAIL): Rule(meta.email),
    (Profile.META, _K.PHONE): Rule(meta.phone, takes_country=True),
    (Profile.META, _K.FIRST_NAME): Rule(meta.name),
    (Profile.META, _K.LAST_NAME): Rule(meta.name),
    (Profile.META, _K.CITY): Rule(meta.city),
    (Profile.META, _K.STATE): Rule(meta.state, takes_country=True),
    (Profile.META, _K.POSTAL_CODE): Rule(meta.postal_code, takes_country=True),
    (Profile.META, _K.COUNTRY): Rule(meta.country),
    (Profile.META, _K.GENERIC_ID): Rule(canonical.generic_id),
    (Profile.GOOGLE, _K.EMAIL): Rule(google.email),
    (Profile.GOOGLE, _K.PHONE): Rule(canonical.phone, takes_country=True),
    (Profile.GOOGLE, _K.FIRST_NAME): Rule(google.words),
    (Profile.GOOGLE, _K.LAST_NAME): Rule(google.words),
    (Profile.GOOGLE, _K.STREET_ADDRESS): Rule(google.words),
    (Profile.GOOGLE, _K.CITY): Rule(google.words, form="normalised"),
    (Profile.GOOGLE, _K.STATE): Rule(google.words, form="normalised"),
    (Profile.GOOGLE, _K.POSTAL_CODE): Rule(google.postal_code, form="normalised"),
    (Profile.GOOGLE, _K.COUNTRY): Rule(canonical.country, form="normalised"),
    (Profile.GOOGLE, _K.GENERIC_ID): Rule(canonical.generic_id),
    **{(Profile.MASK, kind): Rule(masks.other, form="masked") for kind in PiiKind},
    (Profile.MASK, _K.EMAIL): Rule(masks.email, form="masked"),
    (Profile.MASK, _K.PHONE): Rule(masks.phone, form="masked"),
}
"""Pairs that are missing have no rule: the platforms take device ids in clear only, and Meta takes no street."""


def function_name(profile: Profile, kind: PiiKind, *, previous: bool = False) -> str:
    """``previous`` names the keyed function of the key before the current one."""
    return f"adp_{profile}_previous_{kind}" if previous else f"adp_{profile}_{kind}"


def normalised(profile: Profile, kind: PiiKind, value: str | None, country: str | None = None) -> str | None:
    """The value as the profile hashes, shows or masks it; None for nothing, blanks or an invalid value.

    A value that is a SHA-256 already is given back in lower case, except to a mask.
    """
    if value is None:
        return None
    if profile is not Profile.MASK and (digest := text.digest_in(value)):
        return digest
    rule = RULES[profile, kind]
    known_country = canonical.country(text.trimmed(country)) if country and rule.takes_country else ""
    return rule.normalise(text.trimmed(value), known_country) or None


def unkeyed_output(profile: Profile, kind: PiiKind, value: str | None, country: str | None = None) -> str | None:
    """What an unkeyed profile stores: the SHA-256 of the normalised value, or that value when it is not hashed.

    A value that is a SHA-256 already is not hashed again: the partner sent it in the form the platform takes.
    """
    plain = normalised(profile, kind, value, country)
    if plain is None or RULES[profile, kind].form != "digest" or text.digest_in(plain):
        return plain
    return hashlib.sha256(plain.encode()).hexdigest()
