"""One person by what identifies them, and whether a text holds any of it: in clear, however it is written, or as a
digest in any form that the platform or a partner makes.

Recall goes before precision where they differ: a phone number is found as it is dialled within its country, too.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.failures import PermanentFailure
from adplatform.platform.json_text import parsed
from adplatform.platform.late import Late
from adplatform.privacy import canonical
from adplatform.privacy.keys import HashKey
from adplatform.privacy.outputs import SHORT_DIGITS
from adplatform.privacy.rules import RULES, in_base64, normalised
from adplatform.privacy.text import digest_in, trimmed, without_blanks

if TYPE_CHECKING:
    import phonenumbers
else:
    phonenumbers = Late("phonenumbers")

IDENTIFYING = (PiiKind.EMAIL, PiiKind.PHONE, PiiKind.DEVICE_ID, PiiKind.GENERIC_ID)
"""Kinds that name one person. A name, a place or an address is that of many."""
_KEPT_AS_DIGESTS = (Treatment.AMAZON_ADS, Treatment.META, Treatment.GOOGLE, Treatment.UID2)
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_SHORT = re.compile(rf"(?<![0-9a-fA-F])[0-9a-fA-F]{{{SHORT_DIGITS}}}(?![0-9a-fA-F])")
"""A short id, which is no part of a digest."""
_BASE64 = re.compile(r"(?<![0-9A-Za-z+/])[0-9A-Za-z+/]{43}=")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_GMAIL = ("gmail.com", "googlemail.com")
_SEPARATORS = r"[\s().\-/]*"
_BEFORE_EMAIL, _BEFORE_NAME = r"(?<![\w.%+\-])", r"(?<![A-Za-z0-9])"
_AFTER_EMAIL = r"(?!\w)(?!\.(?!gz|xz|7z)[a-z]{2}(?!\w))"
"""Behind an address may be what files of it are called, but not the country of another domain."""
_PLACEABLE = 8
"""Characters of an id that is looked for in any text, if a letter is among them; a shorter one may be any number."""
_FEWEST_DIGITS = 7


@dataclass(frozen=True)
class Identifier:
    """A value that names a person. ``country`` is where a phone number without ``+`` is dialled, "" when unknown."""

    kind: PiiKind
    value: str = field(repr=False)
    country: str = ""


@dataclass(frozen=True)
class Person:
    """What is looked for. It shows nothing of it in any text, and is never written anywhere."""

    digests: frozenset[str] = field(repr=False)
    ids: frozenset[str] = field(repr=False)
    """Values of columns that are declared as ids, of which another text says nothing."""
    pattern: re.Pattern[str] = field(repr=False)
    in_names: re.Pattern[str] = field(repr=False)
    """The same for names of files, in which values stand beside other words without a blank."""

    @cached_property
    def shorts(self) -> frozenset[str]:
        """The short ids of the digests."""
        return frozenset(digest[:SHORT_DIGITS] for digest in self.digests)

    @cached_property
    def in_base64(self) -> frozenset[str]:
        """The digests in Base64."""
        return frozenset(map(in_base64, self.digests))

    def is_in(self, text: str) -> bool:
        """Whether the text holds the person anywhere."""
        return any(self._is_in(spelling) for spelling in _spellings(text))

    def is_id(self, text: str) -> bool:
        """Whether the whole value of a column of ids is one of the person's."""
        return trimmed(text) in self.ids

    def is_in_name(self, text: str) -> bool:
        """Whether a name of an object, or a text with such names, holds the person."""
        return any(self._is_in(spelling) or self.in_names.search(spelling) for spelling in _spellings(text))

    def without(self, name: str, instead: str) -> str:
        """The name with ``instead`` of what names the person in clear or as a digest; as a whole where only another
        spelling of it does."""
        left = _HEX.sub(lambda found: instead if found[0].lower() in self.digests else found[0], name)
        left = _SHORT.sub(lambda found: instead if found[0].lower() in self.shorts else found[0], left)
        left = _BASE64.sub(lambda found: instead if found[0] in self.in_base64 else found[0], left)
        left = self.in_names.sub(instead, self.pattern.sub(instead, left))
        if not self.is_in_name(left):
            return left
        folders = (instead if self.is_in_name(each) else each for each in left.split("/"))
        whole = "/".join(folders)
        return instead if self.is_in_name(whole) else whole

    def _is_in(self, text: str) -> bool:
        if self.pattern.search(text):
            return True
        if len(text) < SHORT_DIGITS:
            return False
        if any(found.lower() in self.digests for found in _HEX.findall(text)):
            return True
        if any(found.lower() in self.shorts for found in _SHORT.findall(text)):
            return True
        return any(found in self.in_base64 for found in _BASE64.findall(text))


def person_of(identifiers: Sequence[Identifier], keys: Iterable[HashKey], countries: Iterable[str]) -> Person:
    """The person whom all identifiers name. ``keys`` are all hashing keys there have been, ``countries`` those in which
    feeds read phone numbers that have no ``+``.

    Raises:
        PermanentFailure: there is no identifier, or one is not of its kind or of a kind that many people share; the
            message says which by its place.
    """
    if not identifiers:
        raise PermanentFailure("nothing says who is to be erased: give a kind and a value, such as `email x@y.example`")
    every, regions = tuple(keys), {"", *countries}
    digests, ids, patterns = set[str](), set[str](), list[str]()
    for place, each in enumerate(identifiers, start=1):
        if each.kind not in IDENTIFYING:
            raise PermanentFailure(
                f"identifier {place} is a {each.kind}, which many people share; give one of {', '.join(IDENTIFYING)}"
            )
        if (given := digest_in(each.value)) is not None:
            digests |= {given, *(key.hmac(given) for key in every)}
            continue
        found = {
            (treatment, plain)
            for treatment in (Treatment.LAKE, *_KEPT_AS_DIGESTS)
            if (treatment, each.kind) in RULES
            for region in ({each.country} if each.country else regions)
            if (plain := normalised(treatment, each.kind, each.value, region))
        }
        own = {text for treatment, text in found if treatment is Treatment.LAKE}
        if not own:
            raise PermanentFailure(f"identifier {place} is no {each.kind}; write a phone number with + and its country")
        hashed = {hashlib.sha256(text.encode()).hexdigest() for _, text in found}
        digests |= hashed
        digests |= {key.hmac(text) for key in every for text in (*own, *hashed)}
        if each.kind is PiiKind.GENERIC_ID:
            ids |= own
        for text in sorted(own):
            patterns += _patterns(each.kind, text)
    loose = [each.replace(_BEFORE_EMAIL, _BEFORE_NAME) for each in patterns]
    found_by, named_by = (re.compile("|".join(each) or r"(?!)", re.IGNORECASE) for each in (patterns, loose))
    return Person(frozenset(digests), frozenset(ids), found_by, named_by)


def read_identifiers(text: str) -> tuple[Identifier, ...]:
    """Identifiers as people write them: a JSON document or one per line of ``{"kind": ..., "value": ...}``, or lines of
    a kind, a blank and a value.

    Raises:
        PermanentFailure: a line is neither; the message names it and never quotes it.
    """
    stripped = text.strip().removeprefix("\ufeff")
    if stripped.startswith("["):
        listed = _json(stripped, "the list")
        return tuple(_from_mapping(each, f"entry {n}") for n, each in enumerate(listed, start=1))
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not (line := line.strip().removeprefix("\ufeff")) or line.startswith("#"):
            continue
        if line.startswith("{"):
            found.append(_from_mapping(_json(line, f"line {number}"), f"line {number}"))
            continue
        kind, _, value = line.partition(" ")
        found.append(_from_mapping({"kind": kind.rstrip(":="), "value": value}, f"line {number}"))
    return tuple(found)


def _json(text: str, where: str) -> Any:
    try:
        return parsed(text)
    except json.JSONDecodeError:
        # Not chained: the decoder's error has the text.
        raise PermanentFailure(f"{where} is no JSON") from None


def _from_mapping(found: Any, where: str) -> Identifier:
    if not isinstance(found, Mapping):
        raise PermanentFailure(f'{where} is no {{"kind": ..., "value": ...}}')
    kind, value, country = (found.get(name, "") for name in ("kind", "value", "country"))
    if kind not in {str(each) for each in IDENTIFYING}:
        raise PermanentFailure(f"{where}: its kind is none of {', '.join(IDENTIFYING)}")
    if not isinstance(value, str) or not value.strip() or not isinstance(country, str):
        raise PermanentFailure(f"{where}: its value is no text")
    return Identifier(PiiKind(kind), value, canonical.country(trimmed(country)) if country else "")


def _patterns(kind: PiiKind, plain: str) -> Iterator[str]:
    match kind:
        case PiiKind.EMAIL:
            local, _, domain = plain.rpartition("@")
            letters = local.replace(".", "") if domain in _GMAIL else [local]
            between = r"\.*".join(map(re.escape, letters))
            yield rf"{_BEFORE_EMAIL}{between}\s*@\s*{re.escape(domain)}{_AFTER_EMAIL}"
        case PiiKind.PHONE:
            yield from _phone_patterns(plain)
        case PiiKind.DEVICE_ID:
            yield _token(plain)
        case _:
            if len(plain) >= _PLACEABLE and any(c.isalpha() for c in plain):
                yield _token(plain)


def _token(plain: str) -> str:
    return rf"(?<![\w\-]){re.escape(plain)}(?![\w\-])"


def _phone_patterns(e164: str) -> Iterator[str]:
    number = phonenumbers.parse(e164)
    code, national = str(number.country_code), phonenumbers.national_significant_number(number)
    dialled = re.sub(r"\D", "", phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL))
    trunk = rf"(?:\(?0\)?{_SEPARATORS})?"
    yield rf"(?<!\w)(?:\+|00|011)?{_SEPARATORS}{_spread(code)}{_SEPARATORS}{trunk}{_spread(national)}(?!\w)"
    for written in sorted({national, dialled}):
        if len(written) >= _FEWEST_DIGITS:
            yield rf"(?<![\w+]){_spread(written)}(?!\w)"


def _spread(digits: str) -> str:
    return _SEPARATORS.join(digits)


def _spellings(text: str) -> Iterator[str]:
    """The text, and what it says where characters of it are escaped or are other forms of usual ones."""
    yield text
    if "\\u" in text:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
        yield text
    if "%" in text:
        text = unquote(text)
        yield text
    if not text.isascii():
        usual = unicodedata.normalize("NFKC", text)
        yield usual
        yield without_blanks(usual)
