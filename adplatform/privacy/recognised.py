"""E-mail addresses and phone numbers in columns that nobody declared, known by how values are written.

The functions give DuckDB SQL over a text that is an SQL expression; ``transform.dialect`` translates it. Only regular
expression syntax that RE2, Java and Rust read alike is used.

An address counts wherever it stands in a text, also percent-encoded in an address of the web. A phone number counts
wherever it stands in international form: ``+`` and 10 to 15 digits, unless that is all of a number. What is written
otherwise may be an id, a date or an amount, and counts where most values of the column that have digits are written so:
with the separators that phone numbers have or, in a column that is called as one of phone numbers, as digits alone.
"""

import re
from typing import Literal

_LABEL = r"[\p{L}\p{M}0-9-]"
_DOMAIN = rf"{_LABEL}+(?:[.]{_LABEL}+)*[.]\p{{L}}{{2}}"
"""As far as it takes to know: the longer pattern of a whole domain is too big for RE2 to be fast."""
EMAIL = rf"[\p{{L}}\p{{M}}0-9._%+'-](?:@|%40){_DOMAIN}"
EMAIL_MARKS = ("@", "%40")
"""One of them stands in every text that holds an address."""
PICTURE = "(?i)(?:@|%40)[0-9]x[.](?:png|jpe?g|gif|webp|svg|avif)"
"""The end of the name of a picture for a screen of so many dots, as in logo@2x.png."""

_GAP = "[ ()./-]{0,3}"
_INTERNATIONAL = rf"(?:^|[^0-9A-Za-z+])\+[1-9](?:{_GAP}[0-9]){{9,14}}(?:[^0-9]|$)"
_MEMBER = (
    r'(?i)"[a-z_ -]*(?:phone|telefon|mobile|msisdn|whatsapp)[a-z_ -]*" *: *"?\+?\(?[0-9](?:[ ()./-]{0,3}[0-9]){8,14}"?'
)
"""In a text of JSON: a member that is called as a phone number, with one."""
_NUMBER = "[+-]?[0-9]+(?:[.,][0-9]*)?(?:[eE][+-]?[0-9]+)?"
_NO_PHONE = "[+-]?[0-9]{4,}[.][0-9]*|[0-9]{5}-[0-9]{4}"
"""Amounts, and postal codes of the United States."""

_WRITTEN = "|".join(
    (
        rf"\+[1-9](?:{_GAP}[0-9]){{9,14}}",
        rf"00[1-9](?:{_GAP}[0-9]){{1,3}}[ ()./-](?:{_GAP}[0-9]){{5,12}}",
        r"(?:\+?[0-9]{1,3}[ .-]?)?\(0?[1-9][0-9]{1,4}\)[ -]?[0-9]{2,8}(?:[ -]?[0-9]{2,5}){0,3}",
        r"0[1-9](?:[ .][0-9]{2}){4}",
    )
)
"""What ids, dates and amounts are not written like."""
_WRITTEN_AS_IDS_ARE = "|".join(
    (
        r"(?:\+?1[ .-])?[2-9][0-9]{2}[ .-][2-9][0-9]{2}[ .-][0-9]{4}",
        r"0[1-9][0-9]{1,4}[ /-][0-9]{2,8}(?:[ -]?[0-9]{2,5}){0,3}",
    )
)
"""Only some ids: the customer ids of Google Ads have hyphens as phone numbers of North America do."""
_DIGITS = rf"\+?\(?[0-9](?:{_GAP}[0-9]){{8,14}}"
_MARK = "[ ()/.+-]"
_DIGITS_AND_MARKS = rf"\A(?:[+( ]{_MARK}*)?(?:[0-9]{_MARK}*){{9,15}}\z"
_HAS_MARK = rf"\A[0-9]*{_MARK}"
_CALLED_PHONE = re.compile(
    r"(?:.*_)?(?:(?:tele|cell|mobile_?|handy_?|home_?|work_?)?phone|tel|telefono?|telephone|telefon|msisdn|whatsapp"
    r"|mobile|mobil|handy|cell|celular|fax)(?:_?(?:number|nummer|numbers|no|nr|num|e164|[0-9]))?s?"
)
_CALLED_ID = re.compile(
    r"(?:.*_)?(?:ids?|cid|uuid|key|accounts?|customers?|campaigns?|orders?|invoices?|sku|gtin|ean|upc|isbn|asin|zip"
    r"|zip_?code|postal_?code|postcode|date|day|ref|reference|transactions?|code|number|no|nr)(?:_.*)?"
)


Called = Literal["phone", "id", "other"]
"""What a column's name says that it has."""


def called(column: str) -> Called:
    """``column`` is the name in the table."""
    if _CALLED_PHONE.fullmatch(column):
        return "phone"
    return "id" if _CALLED_ID.fullmatch(column) else "other"


def is_worth_a_look(text: str, kind: Called) -> str:
    """What is cheap to know of whether ``text`` holds an address or a phone number, or is written as one.

    It is for WHERE, which lets go of a text at the first condition that says so.
    """
    return f"({_may_hold_email(text)} or {_may_hold_phone(text)} or {_may_be_phone(text, kind)})"


def holds_email(text: str) -> str:
    """Whether an e-mail address stands anywhere in ``text``."""
    rest = f"regexp_replace({text}, {_literal(PICTURE)}, ' ', 'g')"
    return _where(_may_hold_email(text), _within(rest, EMAIL))


def holds_phone(text: str) -> str:
    """Whether what is certainly a phone number stands anywhere in ``text``."""
    international = _where(_within(text, _INTERNATIONAL), f"not {_all_of(text, _NUMBER)}")
    return f"({_where(_has_plus(text), international)} or {_where(_is_json(text), _within(text, _MEMBER))})"


def is_like_phone(text: str, kind: Called) -> str:
    """Whether all of ``text``, of a column that is called as one of a ``kind``, is written as a phone number."""
    forms = [_WRITTEN]
    if kind != "id":
        forms.append(_WRITTEN_AS_IDS_ARE)
    if kind == "phone":
        forms.append(_DIGITS)
    written = f"not {_all_of(text, _NO_PHONE)} and {_all_of(text, '|'.join(forms))}"
    return _where(_may_be_phone(text, kind), written)


def holds_digits(text: str) -> str:
    """Whether ``text`` could be a phone number at all: "unknown" says nothing about the other values of a column."""
    return _within(text, "[0-9]")


def _may_hold_email(text: str) -> str:
    return f"({' or '.join(f'contains({text}, {_literal(mark)})' for mark in EMAIL_MARKS)})"


def _may_hold_phone(text: str) -> str:
    return f"({_has_plus(text)} or {_is_json(text)})"


def _may_be_phone(text: str, kind: Called) -> str:
    """Whether ``text`` is 9 to 15 digits and what may stand around them, and not digits alone unless these count."""
    digits = _within(text, _DIGITS_AND_MARKS)
    marked = digits if kind == "phone" else _where(_within(text, _HAS_MARK), digits)
    return _where(f"length({text}) between 9 and 40", marked)


def _where(cheap: str, dear: str) -> str:
    """Both. Of AND engines may compute both sides for every row, of CASE only what is asked for."""
    return f"(case when {cheap} then {dear} else false end)"


def _within(text: str, pattern: str) -> str:
    return f"regexp_matches({text}, {_literal(pattern)})"


def _all_of(text: str, pattern: str) -> str:
    return _within(text, rf"\A *(?:{pattern}) *\z")


def _has_plus(text: str) -> str:
    return f"contains({text}, '+')"


def _is_json(text: str) -> str:
    return f"substr({text}, 1, 1) in ('{{', '[')"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
