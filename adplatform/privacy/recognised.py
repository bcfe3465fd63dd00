"""E-mail addresses and phone numbers in columns that nobody declared, known by how values are written.

The functions give DuckDB SQL over a text that is an SQL expression; ``transform.dialect`` translates it. Only regular
expression syntax that RE2, Java and Rust read alike is used.

An address counts wherever it stands in a text, also percent-encoded in an address of the web. A phone number counts
wherever it stands in international form: ``+`` and 10 to 15 digits, unless that is all of a number. What is written
otherwise may be an id, a date or an amount, and counts where most values of the column that have digits are written so:
with the separators that phone numbers have or, in a column that is called as one of phone numbers, as digits alone.
"""

import re

_LABEL = r"[\p{L}\p{M}0-9-]"
_DOMAIN = rf"{_LABEL}+(?:[.]{_LABEL}+)*[.](?:\p{{L}}{{2,24}}|xn--[0-9a-z-]+)"
_EMAIL = rf"[\p{{L}}\p{{M}}0-9._%+'-](?:@|%40){_DOMAIN}"
_PICTURE = "(?i)(?:@|%40)[0-9]x[.](?:png|jpe?g|gif|webp|svg|avif)"
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
_CALLED_PHONE = re.compile(
    r"(?:.*_)?(?:(?:tele|cell|mobile_?|handy_?|home_?|work_?)?phone|tel|telefono?|telephone|telefon|msisdn|whatsapp"
    r"|mobile|mobil|handy|cell|celular|fax)(?:_?(?:number|nummer|numbers|no|nr|num|e164|[0-9]))?s?"
)
_CALLED_ID = re.compile(
    r"(?:.*_)?(?:ids?|cid|uuid|key|accounts?|customers?|campaigns?|orders?|invoices?|sku|gtin|ean|upc|isbn|asin|zip"
    r"|zip_?code|postal_?code|postcode|date|day|ref|reference|transactions?|code|number|no|nr)(?:_.*)?"
)


def may_hold_email(text: str) -> str:
    """What is cheap to know of :func:`holds_email`: whether it is worth asking."""
    return f"(contains({text}, '@') or contains({text}, '%40'))"


def holds_email(text: str) -> str:
    """Whether an e-mail address stands anywhere in ``text``."""
    rest = f"regexp_replace({text}, {_literal(_PICTURE)}, ' ', 'g')"
    return f"case when {may_hold_email(text)} then {_within(rest, _EMAIL)} else false end"


def may_hold_phone(text: str) -> str:
    """The same of :func:`holds_phone`."""
    return f"(contains({text}, '+') or {_is_json(text)})"


def holds_phone(text: str) -> str:
    """Whether what is certainly a phone number stands anywhere in ``text``."""
    international = f"not {_all_of(text, _NUMBER)} and {_within(text, _INTERNATIONAL)}"
    return (
        f"(case when contains({text}, '+') then {international} else false end"
        f" or case when {_is_json(text)} then {_within(text, _MEMBER)} else false end)"
    )


def may_be_phone(text: str, column: str) -> str:
    """The same of :func:`is_like_phone`."""
    digits = f"length(translate({text}, ' ()/.+-', ''))"
    other = f"length(translate({text}, '0123456789 ()/.+-', ''))"
    marks = "" if _CALLED_PHONE.fullmatch(column) else f" and {digits} < length({text})"
    written = f"{other} = 0 and {digits} between 9 and 15{marks}"
    begins = f"substr({text}, 1, 1) in ('+', '(', ' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9')"
    return f"case when {begins} then length({text}) between 9 and 40 and {written} else false end"


def is_like_phone(text: str, column: str) -> str:
    """Whether all of ``text``, of the column that is called ``column`` in the table, is written as a phone number."""
    forms = [_WRITTEN]
    if _CALLED_PHONE.fullmatch(column):
        forms += [_WRITTEN_AS_IDS_ARE, _DIGITS]
    elif not _CALLED_ID.fullmatch(column):
        forms += [_WRITTEN_AS_IDS_ARE]
    written = f"not {_all_of(text, _NO_PHONE)} and {_all_of(text, '|'.join(forms))}"
    return f"case when {may_be_phone(text, column)} then {written} else false end"


def holds_digits(text: str) -> str:
    """Whether ``text`` could be a phone number at all: "unknown" says nothing about the other values of a column."""
    return _within(text, "[0-9]")


def _within(text: str, pattern: str) -> str:
    return f"regexp_matches({text}, {_literal(pattern)})"


def _all_of(text: str, pattern: str) -> str:
    return _within(text, rf"\A *(?:{pattern}) *\z")


def _is_json(text: str) -> str:
    return f"substr({text}, 1, 1) in ('{{', '[')"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
