"""Numbers and instants of flat files as each marketplace spells them, to the one spelling that contracts read.

This is not what ``contracts.spelling`` declares and ``transform`` reads. There a column is written in one way, and any
other value is bad; here a value is read by itself, by its marks and its country, as files mix both, and names of zones
and groups of India are known that no setting has. And it is asked before there is a delivery, as a report is parted by
dates.
"""

import re
from collections.abc import Mapping

from adplatform.contracts.months import Language, month_names

_COMMA = frozenset({"BE", "BR", "DE", "ES", "FR", "IT", "NL", "PL", "SE", "TR"})
"""Countries whose files write 1.234,56."""
_MONTH_FIRST = frozenset({"US"})
_GROUPING = re.compile(r"(?<=\d)[.,'\s](?=(?:\d\d[.,'\s])*\d{3}(?!\d))")
"""Groups of three, and of two before them, as in India."""
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_YEAR_LAST = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4}|\d\d)(?!\d)")
_YEAR_FIRST = re.compile(r"(\d{4})([./])(\d{1,2})\2(\d{1,2})(?!\d)")
_SHORT_YEAR_FIRST = re.compile(r"(\d\d)(/)(\d{1,2})/(\d{1,2})(?!\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NAME = r"(?P<month>[^\W\d_]{3,12})\.?"
_GAP = r"(?:[ ./-]|, | de | de\. ){1,2}"
_NAMED = tuple(
    re.compile(form)
    for form in (
        rf"(?P<day>\d{{1,2}})[.ºª]?{_GAP}{_NAME}{_GAP}(?P<year>\d{{4}}|\d\d)(?!\d)",
        rf"{_NAME}{_GAP}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?{_GAP}(?P<year>\d{{4}})(?!\d)",
        rf"(?P<year>\d{{4}}){_GAP}{_NAME}{_GAP}(?P<day>\d{{1,2}})(?!\d)",
    )
)
"""Dates with the name of a month: ``21-Sep-2026``, ``21. September 2026``, ``21 de set. de 2026``, ``Sep 21, 2026``."""
_JAPANESE = re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})日")
_LANGUAGES: Mapping[str, tuple[Language, ...]] = {
    **{"DE": ("de",), "FR": ("fr",), "IT": ("it",), "NL": ("nl",), "PL": ("pl",), "SE": ("sv",), "TR": ("tr",)},
    **{"ES": ("es",), "MX": ("es",), "US": ("es",), "BR": ("pt",), "CA": ("fr",), "BE": ("fr", "nl", "de")},
}
"""Languages of a country's names of months beside English, which any seller can choose."""
_CLOCK = re.compile(r"^,? (\d{1,2}):(\d\d)(:\d\d)?\s?([AaPp])\.?\s?[Mm]\b\.?")
_HOUR = re.compile(r"(?<=[ T])(\d)(?=:\d\d)")
ZONES = {
    **{"UTC": "+00:00", "GMT": "+00:00", "BST": "+01:00"},
    **{"CET": "+01:00", "CEST": "+02:00", "MET": "+01:00", "MEST": "+02:00", "EET": "+02:00", "EEST": "+03:00"},
    **{"PST": "-08:00", "PDT": "-07:00", "JST": "+09:00", "AEST": "+10:00", "AEDT": "+11:00", "BRT": "-03:00"},
}
"""Names of zones that Amazon's files write, without those that mean several."""
_ZONE = re.compile(rf"(?<=\d) ({'|'.join(ZONES)})$")


def plain_number(text: str, country: str) -> str:
    """``1.234,56`` of Germany and ``1,234.56`` of the United States to ``1234.56``; what is no number stays as it is.

    The mark that comes last separates the decimals, unless exactly three digits follow it: then the country decides.
    """
    stripped = text.strip().replace("\u2212", "-")
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
    write the month first, to ``2026-09-07``; what is no date stays as it is. Of two digits, a year is of this century;
    Japan writes it first. Months may have their names in the country's languages or in English."""
    stripped = text.strip()
    if country == "JP" and (found := _SHORT_YEAR_FIRST.match(stripped)):
        year, _, month, day = found.groups()
    elif found := _YEAR_LAST.match(stripped):
        first, mark, second, year = found.groups()
        day, month = (second, first) if mark == "/" and country in _MONTH_FIRST else (first, second)
    elif found := _YEAR_FIRST.match(stripped):
        year, _, month, day = found.groups()
    elif found := _JAPANESE.match(stripped):
        year, month, day = found.groups()
    elif found := next((match for form in _NAMED if (match := form.match(stripped)) and _month(match, country)), None):
        year, month, day = found["year"], str(_month(found, country)), found["day"]
    else:
        return _time(stripped) if _ZONE.search(stripped) else text
    century = "20" if len(year) == 2 else ""
    return f"{century}{year}-{int(month):02}-{int(day):02}{_time(stripped[found.end() :])}"


def plain_date(text: str, country: str) -> str:
    """As :func:`plain_instant`, without a time of day."""
    plain = plain_instant(text, country)
    found = _DATE.match(plain)
    return found[0] if found and plain[found.end() :][:1] in (" ", "T") else plain


def plain_timestamp(text: str, country: str) -> str:
    """As :func:`plain_instant`; a date alone is its midnight in UTC."""
    plain = plain_instant(text, country)
    return f"{plain} 00:00:00+00:00" if _DATE.fullmatch(plain) else plain


def _month(found: re.Match[str], country: str) -> int:
    """The number of a month that is given by its name, 0 for none of the country's."""
    name = found["month"].replace("İ", "i").lower()
    return next((n for each in (*_LANGUAGES.get(country, ()), "en") if (n := month_names(each).get(name, 0))), 0)


def _time(text: str) -> str:
    """The rest of an instant, by the 24 hours that a day has, with two digits for the hour and an offset for the name
    of a zone."""
    if found := _CLOCK.match(text):
        hour = int(found[1]) % 12 + (12 if found[4] in "Pp" else 0)
        text = f" {hour:02}:{found[2]}{found[3] or ':00'}{text[found.end() :]}"
    return _ZONE.sub(lambda zone: ZONES[zone[1]], _HOUR.sub(r"0\1", text))
