"""What one column holds: a type and the settings that read all of its texts, most fitting first."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adplatform.drafting.dates import ISO, Days, days
from adplatform.drafting.numbers import BLANKS, Numbers, numbers, type_of

NULLS = frozenset(
    {
        "--",
        "-",
        "—",
        "NULL",
        "null",
        "Null",
        "\\N",
        "N/A",
        "n/a",
        "#N/A",
        "NA",
        "na",
        "NaN",
        "nan",
        "None",
        "none",
        "nil",
    }
    | {"0000-00-00", "0000-00-00 00:00:00", "0000-00-00 00:00:00.000000", "00.00.0000", "00/00/0000"}
    | {".", "?", "(none)", "(null)", "#DIV/0!", "not available", "unknown", "k.A.", "s/o"}
)
"""Texts that mean no value where the others of a column are numbers, dates or booleans."""
NULLS_OF_TEXT = frozenset({"NULL", "null", "\\N", "N/A", "n/a", "#N/A", "NaN"})
"""Texts that mean no value among other texts, too."""
SPECIAL = re.compile(r"[<>] ?[0-9]+([.,][0-9]+)? ?%")
"""What Google Ads writes in the place of a share that it does not tell."""
BOOLEANS = (
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("on", "off"),
    ("ja", "nein"),
    ("oui", "non"),
    ("sí", "no"),
    ("si", "no"),
    ("enabled", "disabled"),
    ("active", "inactive"),
)
_FLAG = re.compile(
    r"(is|has|was|can)_.*|.*_(flag|yn)|(.*_)?(active|enabled|opt(ed)?_?in|opt(ed)?_?out|deleted|consent)"
)
_DAY = re.compile(r"(.*_)?(date|day|dt|datum|tag|jour|fecha|month|week)(_.*)?")
_MOMENT = re.compile(r"(.*_)?(time|timestamp|ts|at|epoch|date|datetime|created|updated|modified)(_.*)?")
_CODE = re.compile(
    r"(.*_)?(zip|postal_?code|postcode|plz|phone|mobile|sku|asin|ean|gtin|isbn|upc|version|account)(_.*)?"
)
WORDS = frozenset(
    {
        "desktop",
        "mobile",
        "tablet",
        "tv",
        "connected_tv",
        "phone",
        "computer",
        "computers",
        "other",
        "unknown",
        "web",
        "app",
    }
    | {
        "enabled",
        "paused",
        "removed",
        "active",
        "inactive",
        "archived",
        "draft",
        "ended",
        "pending",
        "on",
        "off",
        "all",
    }
    | {"search", "display", "video", "shopping", "social", "email", "organic", "direct", "referral", "paid", "audio"}
    | {
        "open",
        "closed",
        "won",
        "lost",
        "new",
        "returning",
        "male",
        "female",
        "broad",
        "phrase",
        "exact",
        "auto",
        "manual",
    }
    | {"click", "impression", "view", "purchase", "conversion", "install", "lead", "android", "ios", "windows", "macos"}
    | {"yes", "no", "true", "false", "shipped", "delivered", "cancelled", "canceled", "refunded", "paid", "unpaid"}
    | {"eur", "usd", "gbp", "chf", "sek", "nok", "dkk", "pln", "jpy", "cad", "aud"}
    | {"de", "fr", "it", "es", "nl", "gb", "uk", "us", "ca", "at", "ch", "be", "pl", "se", "no", "dk", "jp", "au"}
)
"""Values that are certainly of no person, and may be shown."""
MOST_WORDS = 12


def type_in(settings: Mapping[str, Any]) -> str:
    """The type that settings of a column name, or leave out."""
    return str(settings.get("type", "string"))


@dataclass(frozen=True)
class Reading:
    """A type with settings of a column, as YAML writes them, and why. What somebody must decide says ``REVIEW``."""

    settings: Mapping[str, Any]
    why: str = ""

    @property
    def type(self) -> str:
        return type_in(self.settings)


@dataclass(frozen=True)
class Evidence:
    """What other columns of the file say, or whose file it is, of readings that a column leaves open: whether numbers
    have a decimal comma, whether days stand before months."""

    decimal_comma: bool | None = None
    day_first: bool | None = None
    day_first_by: str = "other columns of the file"

    @classmethod
    def of_exporter(cls, title: str, defaults: Mapping[str, Any]) -> "Evidence":
        """By the ``defaults`` of a preset."""
        comma = True if defaults.get("decimal_comma") else False if defaults.get("thousands") == "," else None
        orders = {f.index("%d") < f.index("%m") for f in defaults.get("formats", ()) if "%d" in f and "%m" in f}
        return cls(comma, orders.pop() if len(orders) == 1 else None, title)


Languages = Sequence[str]


def readings(name: str, texts: Sequence[str], evidence: Evidence, languages: Languages = ()) -> Iterator[Reading]:
    """What may read all of ``texts``, the different ones of a column that are not empty; text at the end, which reads
    all. ``name`` is the column's in the table."""
    bare = [text.strip(BLANKS) for text in texts]
    nulls = tuple(sorted({text for text in bare if text in NULLS}))
    special = {text: None for text in bare if SPECIAL.fullmatch(text)}
    values = [text for text in bare if text not in NULLS and text not in special]
    blanks = {"trim": True} if any(bare_text != text for bare_text, text in zip(bare, texts, strict=True)) else {}
    found: list[Reading] = []
    if values:
        for read in (_booleans, _whole, _days, _numbers):
            found += read(name, values, evidence, languages)
    for reading in found:
        more: dict[str, Any] = dict(blanks) if reading.type != "string" else {}
        whys = [reading.why]
        if nulls and reading.type != "string":
            more["null_values"] = list(nulls)
        if special and reading.type != "string":
            more["special"] = special
            whys.append("REVIEW: give what else than no value the special texts stand for")
        yield Reading({**reading.settings, **more}, "; ".join(filter(None, whys)))
    yield _text(name, texts, bare)


def _text(name: str, texts: Sequence[str], bare: Sequence[str]) -> Reading:
    settings: dict[str, Any] = {"type": "string"}
    if nulls := sorted({text for text in bare if text in NULLS_OF_TEXT}):
        settings["null_values"] = nulls
    if any(a != b for a, b in zip(texts, bare, strict=True)):
        settings["trim"] = True
    return Reading(settings)


def _booleans(name: str, values: Sequence[str], _: Evidence, __: Languages) -> Iterator[Reading]:
    lower = {value.lower() for value in values}
    if lower <= {"0", "1"} and _FLAG.fullmatch(name):
        yield Reading({"type": "boolean"}, "0 and 1, and a flag by its name")
    for true, false in BOOLEANS:
        if lower <= {true, false} and (len(lower) == 2 or (true, false) == BOOLEANS[0] or _FLAG.fullmatch(name)):
            if true == "true" and all(value in _USUAL for value in values):
                yield Reading({"type": "boolean"})
                return
            trues, falses = (sorted({v for v in values if v.lower() == each} or {each}) for each in (true, false))
            yield Reading({"type": "boolean", "true_values": trues, "false_values": falses})
            return


_USUAL = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})


def _whole(name: str, values: Sequence[str], _: Evidence, __: Languages) -> Iterator[Reading]:
    """Digits that are no plain numbers: dates, moments since 1970, codes with zeros before them."""
    if not all(re.fullmatch("[0-9]+", value) for value in values):
        return
    lengths = {len(value) for value in values}
    compact = days(values) if lengths <= {8, 14} else None
    if compact and compact.patterns and (_DAY.fullmatch(name) or _MOMENT.fullmatch(name)):
        yield _day_reading(compact)
    for length, unit in ((10, "epoch_seconds"), (13, "epoch_millis")):
        if lengths == {length} and _MOMENT.fullmatch(name) and all(value[0] == "1" for value in values):
            yield Reading({"type": "timestamp", "formats": [unit]}, f"{length} digits, and a time by its name")
    if _CODE.fullmatch(name):
        yield Reading({"type": "string"}, "digits, but a code by its name")
    elif any(len(value) > 1 and value.startswith("0") for value in values):
        yield Reading({"type": "string"}, "digits with zeros before them, which a number would lose")


def _days(_: str, values: Sequence[str], evidence: Evidence, languages: Languages) -> Iterator[Reading]:
    if all(re.fullmatch("[0-9]+", value) for value in values):
        return
    found = days(values)
    if found is None:
        return
    if found.either:
        day_first, month_first = sorted(found.either, key=lambda pattern: pattern.index("%d") > pattern.index("%m"))
        if evidence.day_first is None:
            kind = "date" if found.is_date else "timestamp"
            yield Reading(
                {"type": "string"},
                f"REVIEW: a {kind}, but each value may have day or month first: type: {kind} with formats: "
                f"['{day_first}'] or ['{month_first}']",
            )
            return
        chosen = day_first if evidence.day_first else month_first
        patterns = tuple(chosen if each in found.either else each for each in found.patterns)
        found = Days(found.is_date, patterns, None, found.zoned, found.names)
        yield _day_reading(found, f"day and month in the order of {evidence.day_first_by}")
        return
    for patterns in dict.fromkeys(
        (found.patterns, _other_names(found.patterns, "%b", "%B"), _other_names(found.patterns, "%B", "%b"))
    ):
        other = Days(found.is_date, patterns, None, found.zoned, found.names)
        if not found.names:
            yield _day_reading(other)
        for language in sorted(languages, key=lambda each: each != "en") if found.names else ():
            reading = _day_reading(other)
            yield reading if language == "en" else Reading({**reading.settings, "months": language}, reading.why)


def _other_names(patterns: tuple[str, ...], of: str, to: str) -> tuple[str, ...]:
    return tuple(pattern.replace(of, to) for pattern in patterns)


def _day_reading(found: Days, why: str = "") -> Reading:
    settings: dict[str, Any] = {"type": "date" if found.is_date else "timestamp"}
    if found.patterns:
        settings["formats"] = list(found.patterns)
    if not found.is_date and not found.zoned:
        why = "; ".join(
            filter(
                None, (why, "REVIEW: times without an offset are taken for UTC, or for those of a timezone that is set")
            )
        )
    return Reading(settings, why)


def day_order(values: Sequence[str]) -> bool | None:
    """Whether days certainly stand before months (True) or behind them (False)."""
    found = days([value.strip(BLANKS) for value in values]) if values else None
    if found is None or found.either or not found.patterns:
        return None
    patterns = [
        each for each in found.patterns if "%d/%m" in each or "%m/%d" in each or "%d-%m" in each or "%m-%d-" in each
    ]
    return (
        patterns[0].index("%d") < patterns[0].index("%m") if patterns and not patterns[0].startswith(ISO[:2]) else None
    )


def comma_certain(values: Sequence[str]) -> bool | None:
    """Whether numbers certainly have a decimal comma, or certainly a point."""
    found = numbers(
        [each for each in (v.strip(BLANKS) for v in values) if each not in NULLS and not SPECIAL.fullmatch(each)]
    )
    return found.decimal_comma if found and found.certain else None


def _numbers(_: str, values: Sequence[str], evidence: Evidence, __: Languages) -> Iterator[Reading]:
    found = numbers(values, evidence.decimal_comma)
    if found is None:
        return
    if not found.decided:
        yield Reading(
            {"type": "string"},
            "REVIEW: a number, but its comma may be decimal or between thousands: "
            "type: 'decimal(12,2)' with decimal_comma: true, or type: bigint with thousands: ','",
        )
        return
    if any(re.fullmatch("[-+]?0[0-9]+", value) for value in values):
        return
    yield from _of_type(found)


def _of_type(found: Numbers) -> Iterator[Reading]:
    kind = "decimal(12,2)" if found.percent and found.is_whole else type_of(found)
    if kind == "string":
        yield Reading({"type": "string"}, "more digits than any number here has")
        return
    settings: dict[str, Any] = {"type": kind, **found.settings}
    if found.is_whole and kind == "bigint":
        settings.pop("decimal_comma", None)
    why = "percent: fraction would make 0.125 of 12.5 %" if found.percent else ""
    yield Reading(settings, why)
    if kind != "double":
        yield Reading({**settings, "type": "double"}, why)


def shown_words(texts: Collection[str], rows: int) -> list[str]:
    """The different values of a column that is likely to have no others, where all may be shown."""
    words = sorted(texts)
    few = 1 < len(words) <= MOST_WORDS and rows >= 10 * len(words)
    return words if few and all(word.lower() in WORDS for word in words) else []
