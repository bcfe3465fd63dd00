"""How numbers of a column are spelled: which settings read all of them, and how large they are."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

BLANKS = " \t\u00a0\u202f"
_CURRENCY = re.compile(r"US\$|R\$|[$€£¥₹₽₺₩]|zł|Kč|kr\.?|[A-Z]{3}")
_CODES = frozenset(
    (
        *("AED", "ARS", "AUD", "BGN", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EUR", "GBP"),
        *("HKD", "HUF", "IDR", "ILS", "INR", "JPY", "KRW", "MXN", "MYR", "NOK", "NZD", "PEN", "PHP", "PLN"),
        *("RON", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "VND", "ZAR"),
    )
)
_EXPONENT = re.compile(r"([0-9][.,]?[0-9]*)[eE]([+-]?[0-9]{1,3})")
_PLAIN = re.compile(r"[0-9]*[.,]?[0-9]*")
_MARKS = ".,'’ \u00a0\u202f"
MOST_WHOLE = 18
"""Digits that always fit a bigint."""


@dataclass(frozen=True)
class Numbers:
    """All that texts have in common. ``decided`` is False where each mark may be a decimal comma or stand between
    thousands. ``whole`` and ``scale`` are the most digits before and after the decimal mark."""

    decimal_comma: bool = False
    thousands: str = ""
    percent: bool = False
    currencies: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    minus_sign: bool = False
    blanks: bool = False
    exponents: bool = False
    whole: int = 1
    scale: int = 0
    decided: bool = True
    certain: bool = False
    """Whether the texts show by themselves which mark is the decimal one."""

    @property
    def is_whole(self) -> bool:
        return not self.scale and not self.exponents

    @property
    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.thousands:
            found["thousands"] = self.thousands
        if self.decimal_comma:
            found["decimal_comma"] = True
        if self.percent:
            found["percent"] = "points"
        if self.currencies:
            found["currency"] = self.currencies[0] if len(self.currencies) == 1 else list(self.currencies)
        if self.minus_sign and not found and not self.negative:
            found["negative"] = "trailing_minus"  # any setting of numbers has U+2212 read as a minus
        if self.negative:
            found["negative"] = self.negative[0] if len(self.negative) == 1 else list(self.negative)
        if self.blanks:
            found["trim"] = True
        return found


@dataclass
class _Seen:
    currencies: dict[str, None] = field(default_factory=dict)
    negative: dict[str, None] = field(default_factory=dict)
    percent: bool = False
    minus_sign: bool = False
    blanks: bool = False
    exponents: bool = False


def numbers(texts: Iterable[str], comma: bool | None = None) -> Numbers | None:
    """What the texts have in common if all are numbers, else None. ``comma`` is whether numbers of other columns
    certainly have a decimal comma; it decides what these leave open."""
    seen, bodies, exponents = _Seen(), list[str](), list[int]()
    for text in texts:
        found = _bare(text, seen)
        if found is None:
            return None
        bodies.append(found[0])
        exponents.append(found[1])
    if not bodies:
        return None
    marks = _marks(bodies, comma)
    if marks is None:
        return None
    decimal, thousands, decided, certain = marks
    whole, scale = 1, 0
    for body, exponent in zip(bodies, exponents, strict=True):
        digits = body.replace(thousands, "") if thousands and thousands != " " else body
        digits = re.sub("[\u00a0\u202f ’']", "", digits)
        before, _, after = digits.partition(decimal)
        whole = max(whole, len(before.lstrip("0")) + exponent)
        scale = max(scale, len(after.rstrip("0")) - exponent, min(len(after), 2))
    return Numbers(
        decimal_comma=decimal == ",",
        thousands=thousands,
        percent=seen.percent,
        currencies=tuple(seen.currencies),
        negative=tuple(seen.negative),
        minus_sign=seen.minus_sign,
        blanks=seen.blanks,
        exponents=seen.exponents,
        whole=whole,
        scale=scale,
        decided=decided,
        certain=certain,
    )


def _bare(text: str, seen: _Seen) -> tuple[str, int] | None:
    """The digits and marks of a number without what stands around them, and its exponent; None for other texts."""
    body = text.strip(BLANKS)
    seen.blanks |= body != text
    if not body or not any(each.isdecimal() and each.isascii() for each in body):
        return None
    if body.startswith("(") and body.endswith(")"):
        seen.negative["parentheses"] = None
        body = body[1:-1].strip(BLANKS)
    body = _without_sign(body, seen)
    if body.endswith("%"):
        seen.percent, body = True, body[:-1].rstrip(BLANKS)
    for found in (_CURRENCY.match(body), _at_end(body)):
        if found and (len(found[0]) != 3 or not found[0].isalpha() or found[0] in _CODES):
            seen.currencies[found[0]] = None
            body = (body[: found.start()] + body[found.end() :]).strip(BLANKS)
    body = _without_sign(body, seen)
    if body.endswith("-") and body[:-1]:
        seen.negative["trailing_minus"] = None
        body = body[:-1].rstrip(BLANKS)
    written = _EXPONENT.fullmatch(body)
    if written:
        seen.exponents, body = True, written[1]
    ascii_only = all((each.isascii() and each.isdecimal()) or each in _MARKS for each in body)
    if not ascii_only or not any(each.isdecimal() for each in body):
        return None
    return body, int(written[2]) if written else 0


def _without_sign(body: str, seen: _Seen) -> str:
    if body.startswith("\u2212"):
        seen.minus_sign = True
    return body[1:].lstrip(BLANKS) if body[:1] in ("+", "-", "\u2212") else body


def _at_end(body: str) -> "re.Match[str] | None":
    return re.search(rf"(?:{_CURRENCY.pattern})$", body)


def _marks(bodies: Sequence[str], comma: bool | None) -> tuple[str, str, bool, bool] | None:
    """The decimal mark, what stands between thousands ("" for nothing), whether that is decided, and whether by the
    texts themselves; None where no pair reads all."""
    blank = any(each in body for body in bodies for each in " \u00a0\u202f")
    apostrophe = any(each in body for body in bodies for each in "'’")
    if blank or apostrophe:
        groups = " \u00a0\u202f" if blank else "'’"
        for decimal in (",", ".") if comma else (".", ","):
            if all(_fits(body, decimal, groups) for body in bodies):
                return decimal, " " if blank else "'", True, any(decimal in body for body in bodies)
        return None
    commas, dots = (sum(mark in body for body in bodies) for mark in ",.")
    if not commas and not dots:
        return ".", "", True, False
    readings = [
        (decimal, thousands)
        for decimal, thousands in ((".", ""), (",", ""), (".", ","), (",", "."))
        if all(_fits(body, decimal, thousands) for body in bodies)
    ]
    if not readings:
        return None
    certain = len({decimal for decimal, _ in readings}) == 1
    if certain or comma is not None:
        wanted = "," if comma else "."
        chosen = next((each for each in readings if each[0] == wanted), readings[0])
        return (*chosen, True, certain)
    # 1.234 is a number as programs write it, 1,234 is not.
    return (*readings[0], readings[0] == (".", ""), False)


def _fits(body: str, decimal: str, groups: str) -> bool:
    mark = re.escape(decimal)
    grouped = rf"|[1-9][0-9]{{0,2}}(?:[{re.escape(groups)}][0-9]{{3}})+" if groups else ""
    if groups == "" and not _PLAIN.fullmatch(body):
        return False
    return bool(re.fullmatch(rf"(?:[0-9]+{grouped})(?:{mark}[0-9]*)?|{mark}[0-9]+", body))


def type_of(found: Numbers) -> str:
    """A type with room for more than was seen: a bigint, a decimal with three digits more before its point and at least
    ten, or a double for what no decimal keeps."""
    if found.is_whole:
        if found.whole > MOST_WHOLE:
            return f"decimal({min(38, found.whole + 3)},0)" if found.whole <= 38 else "string"
        return "bigint"
    if found.scale > 12 or found.whole + found.scale > 30:
        return "double"
    scale = next((each for each in (2, 4, 6, 9, 12) if found.scale <= each), found.scale)
    return f"decimal({min(38, max(10, found.whole + 3) + scale)},{scale})"
