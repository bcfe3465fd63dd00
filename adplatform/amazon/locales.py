"""Numbers and instants of flat files as each marketplace spells them, to the one spelling that contracts read."""

import re

_COMMA = frozenset({"BE", "BR", "DE", "ES", "FR", "IT", "NL", "PL", "SE", "TR"})
"""Countries whose files write 1.234,56."""
_MONTH_FIRST = frozenset({"US"})
_GROUPING = re.compile(r"(?<=\d)[.,'\s](?=\d{3}(?!\d))")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_YEAR_LAST = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})\b")
_YEAR_FIRST = re.compile(r"(\d{4})([./])(\d{1,2})\2(\d{1,2})\b")


def plain_number(text: str, country: str) -> str:
    """``1.234,56`` of Germany and ``1,234.56`` of the United States to ``1234.56``; what is no number stays as it is.

    The mark that comes last separates the decimals, unless exactly three digits follow it: then the country decides.
    """
    stripped = text.strip()
    marks = [c for c in stripped if c in ".,"]
    if not marks:
        number = _GROUPING.sub("", stripped)
    else:
        last = marks[-1]
        whole, _, rest = stripped.rpartition(last)
        groups = marks.count(last) > 1 or (len(rest) == 3 and last != ("," if country in _COMMA else "."))
        number = _GROUPING.sub("", stripped) if groups else f"{_GROUPING.sub('', whole)}.{rest}"
    return number if _NUMBER.fullmatch(number) else text


def plain_instant(text: str, country: str) -> str:
    """``07.09.2026 09:46:25 UTC`` to ``2026-09-07 09:46:25+00:00`` and ``09/07/2026`` of the United States, which alone
    write the month first, to ``2026-09-07``; what is no date stays as it is."""
    stripped = text.strip()
    if found := _YEAR_LAST.match(stripped):
        first, mark, second, year = found.groups()
        day, month = (second, first) if mark == "/" and country in _MONTH_FIRST else (first, second)
    elif found := _YEAR_FIRST.match(stripped):
        year, _, month, day = found.groups()
    else:
        return re.sub(r"(?<=\d) UTC$", "+00:00", stripped) if stripped.endswith(" UTC") else text
    rest = re.sub(r" UTC$", "+00:00", stripped[found.end() :])
    return f"{year}-{int(month):02}-{int(day):02}{rest}"
