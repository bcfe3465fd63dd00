"""Numbers as exporters write them, to the plain form that is cast: groups, currencies, signs, percent and exponents.

A text is held against one regular expression for all that the column's settings allow; what it is not is no number.
What must go is then taken out letter by letter, so nothing is read that was not judged.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Context, Decimal

from adplatform.contracts.column import Column
from adplatform.transform.rules import identifier, literal, matches

_BLANKS = " \t\u00a0\u202f"
_BLANK = f"[{_BLANKS}]*"
_MINUS = "\u2212"
_SIGN = f"[+{_MINUS}-]"
_SEPARATORS = {",": ",", ".": ".", " ": " \u00a0\u202f", "'": "'\u2019"}
_ENOUGH = Context(prec=200)
_FARTHEST = 99
"""The greatest exponent, and how many zeros that may take."""


def plainly(column: Column, text: str) -> tuple[dict[str, str], ...]:
    """Levels of SQL over a text, each over the one before, by the names of what they compute. The last, :func:`plain`,
    is the plain form of a number, with a point and ``-``; NULL where the text is no number."""
    mark = column.decimal_mark
    stripped = text
    for spelling in _longest_first(column.currency):
        stripped = f"replace({stripped}, {literal(spelling)}, '')"
    gone = f"{_separators(column)}{_BLANKS}()%+-{_MINUS}"
    from_, to = (f",{gone}", ".") if mark == "," else (gone, "")
    digits = f"translate({stripped}, {literal(from_)}, {literal(to)})"
    is_number = matches(text, number_pattern(column))
    negative = " or ".join(f"strpos({text}, '{sign}') > 0" for sign in ("-", _MINUS, "("))
    sign = f"case when {negative} then '-' else '' end"
    if column.percent == "fraction":
        unsigned = identifier(f"{column.name}:unsigned")
        whole = f"concat('000', split_part({unsigned}, '.', 1))"
        moved = f"substr({whole}, 1, length({whole}) - 2), '.', substr({whole}, -2, 2), split_part({unsigned}, '.', 2)"
        return (
            {unsigned: f"case when {is_number} then {digits} end"},
            {plain(column): f"case when {unsigned} is not null then concat({sign}, {moved}) end"},
        )
    if column.data_type.name == "decimal":
        # Neither side of the point is empty: engines read such text in different ways.
        digits = f"'0', {digits}, case when strpos({stripped}, '{mark}') > 0 then '0' else '' end"
    branches = f"when {is_number} then concat({sign}, {digits})"
    if pattern := _exponent_pattern(column):
        branches += f" when {matches(text, pattern)} then replace({text}, '{mark}', '.')"
    return ({plain(column): f"case {branches} end"},)


def plain(column: Column) -> str:
    return identifier(f"{column.name}:number")


def plain_number(column: Column, text: str) -> str | None:
    """What :func:`plainly` makes of one text, in digits without an exponent."""
    pattern = _exponent_pattern(column)
    if pattern and re.fullmatch(pattern, text):
        return f"{Decimal(text.replace(column.decimal_mark, '.')):f}"
    if not re.fullmatch(number_pattern(column), text):
        return None
    stripped = text
    for spelling in _longest_first(column.currency):
        stripped = stripped.replace(spelling, "")
    digits = stripped.translate(str.maketrans("", "", f"{_BLANKS}()%+-{_MINUS}{_separators(column)}"))
    number = Decimal(digits.replace(",", ".")).scaleb(-2 if column.percent == "fraction" else 0, _ENOUGH)
    return f"{'-' if set(text) & {'-', '(', _MINUS} else ''}{number:f}"


def number_pattern(column: Column) -> str:
    """The regular expression of all forms of a column's numbers without an exponent."""
    mark = f"[{column.decimal_mark}]"
    whole = "[0-9]+"
    if column.thousands:
        whole = f"(?:[1-9][0-9]{{0,2}}(?:[{_separators(column)}][0-9]{{3}})+|[0-9]+)"
    if column.data_type.name in ("int", "bigint"):
        digits = f"{whole}(?:{mark}0*)?"
    else:
        # Rs.5 may have a point that belongs to the word.
        bare = "" if any(spelling[-1].isalpha() for spelling in column.currency) else f"|{mark}[0-9]+"
        digits = f"(?:{whole}(?:{mark}[0-9]*)?{bare})"
    return "|".join(form for before, behind in _units(column) for form in _forms(column, digits, before, behind))


def _units(column: Column) -> Iterator[tuple[str, str]]:
    """What stands before or behind a number beside its sign, as regular expressions with the blanks between; before it
    nothing must."""
    if column.percent:
        yield "", f"{_BLANK}%"
    if column.percent != "fraction":
        yield "", ""
    if column.percent != "fraction" and column.currency:
        word = f"(?:{'|'.join(map(_literally, _longest_first(column.currency)))})"
        yield f"{word}{_BLANK}", ""
        yield "", f"{_BLANK}{word}"
        yield f"{word}{_BLANK}", f"{_BLANK}{word}"


def _forms(column: Column, digits: str, before: str, behind: str) -> Iterator[str]:
    """The places of the sign: before or behind what stands before the number, and as the column's settings say."""
    yield f"(?:(?:{_SIGN}{_BLANK})?{before}|{before}{_SIGN}){digits}{behind}" if before else f"{_SIGN}?{digits}{behind}"
    if "trailing_minus" in column.negative:
        minus = f"[{_MINUS}-]"
        yield f"{before}{digits}(?:{minus}{behind}|{behind}{_BLANK}{minus})" if behind else f"{before}{digits}{minus}"
    if "parentheses" in column.negative:
        inside = f"{before}{digits}{behind}"
        yield f"[(]{_BLANK}{inside}{_BLANK}[)]"
        if before or behind:
            yield f"{before}[(]{_BLANK}{digits}{_BLANK}[)]{behind}"


def _exponent_pattern(column: Column) -> str:
    """Of numbers that are read with an exponent as they stand; those of decimals are :func:`respelled`."""
    if column.data_type.name != "double" or column.percent == "fraction":
        return ""
    mark = f"[{column.decimal_mark}]"
    return f"[+-]?(?:[0-9]+(?:{mark}[0-9]*)?|{mark}[0-9]+)[eE][+-]?[0-9]{{1,3}}"


def _longest_first(spellings: Iterable[str]) -> list[str]:
    return sorted(spellings, key=len, reverse=True)


def _separators(column: Column) -> str:
    return _SEPARATORS[column.thousands] if column.thousands else ""


def _literally(spelling: str) -> str:
    return "".join(f"[{character}]" if character in "$." else character for character in spelling)


def respelled(column: Column, text: str) -> tuple[dict[str, str], ...]:
    """Levels of SQL over the ``text`` of a decimal, by the names of what they compute, each over the one before: one
    without digits on one side of its point, or with an exponent, in plain digits, since engines read such text in
    different ways. The last, :func:`plain_digits`, is NULL where the text is no such. No level says a long expression
    twice, which an engine would have to plan again and again. Texts that have an :func:`exact` value are no such."""
    mark = "[,]" if column.decimal_comma else "[.]"
    pattern = f"[+-]?([0-9]+{mark}?[0-9]*|{mark}[0-9]+)[eE][+-]?[0-9]{{1,2}}|[+-]?([0-9]+{mark}|{mark}[0-9]+)"
    odd, digits, moved, plain = (_step(column, n) for n in range(4))
    is_odd = f"{exact(column)} is null and {matches(text, pattern)}"
    zeros = literal("0" * _FARTHEST)
    # Each function of each column is planned, which takes longer than all else in a small file of many columns.
    lower = f"translate({text}, 'E,', 'e.')"
    exponent = f"coalesce(try_cast(split_part({lower}, 'e', 2) as int), 0)"
    point = f"strpos(concat({odd}, '.'), '.')"
    return (
        {odd: f"case when {is_odd} then translate(split_part({lower}, 'e', 1), '+-', '') end"},
        # A point within so many zeros is where the exponent moves it to.
        {
            digits: f"{zeros} || replace({odd}, '.', '') || {zeros}",
            moved: f"case when {odd} is not null then {_FARTHEST - 1} + {point} + {exponent} end",
        },
        {
            plain: f"case when {odd} is not null then concat(case when substr({text}, 1, 1) = '-' then '-' else '' end,"
            f" '0', ltrim(substr({digits}, 1, {moved}), '0'), '.', rtrim(substr({digits}, {moved} + 1), '0'), '0') end"
        },
    )


def exact(column: Column) -> str:
    """The value of a decimal of which the text has no exponent, and digits on both sides of a point."""
    return identifier(f"{column.name}:exact")


def plain_digits(column: Column) -> str:
    return _step(column, 3)


def _step(column: Column, number: int) -> str:
    return identifier(f"{column.name}:{('odd', 'digits', 'moved', 'plain')[number]}")
