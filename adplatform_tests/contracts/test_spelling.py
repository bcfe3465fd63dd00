"""How values may be said to be written, and the sentence for what cannot be meant."""

from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.date_formats import date_format
from adplatform.contracts.model import Contract
from adplatform.contracts.months import Language, month_names


def refusal(column: Any, **contract: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        Contract.model_validate({"columns": {"a": column}, **contract})
    return "; ".join(error["msg"].removeprefix("Value error, ") for error in refused.value.errors())


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ({"thousands": ","}, "column a: thousands is for numbers"),
        ({"type": "date", "percent": "points"}, "column a: percent is for numbers"),
        ({"type": "boolean", "currency": "€"}, "column a: currency is for numbers"),
        ({"negative": "parentheses"}, "column a: negative is for numbers"),
        ({"type": "double", "thousands": ",", "decimal_comma": True}, "thousands and decimal_comma are both a comma"),
        ({"type": "decimal(9,2)", "thousands": "."}, "thousands is '.', which is also the decimal point; set decimal_"),
        ({"type": "double", "thousands": "."}, "thousands is '.', which is also the decimal point"),
        ({"type": "int", "thousands": "_"}, "Input should be ',', '.', ' ' or"),
        ({"type": "int", "percent": "fraction"}, "percent: fraction makes fractions, which int cannot hold"),
        ({"type": "int", "currency": ["5"]}, "currency '5' must be a symbol or a word, such as € or EUR"),
        ({"type": "int", "currency": ["€ "]}, "currency '€ ' must be a symbol"),
        ({"type": "int", "currency": ["-"]}, "currency '-' must be a symbol"),
        ({"type": "int", "currency": [""]}, "currency '' must be a symbol"),
        ({"type": "int", "months": "de"}, "column a: months is for dates and timestamps"),
        ({"type": "date", "months": "xx"}, "Input should be 'da', 'de', 'en'"),
        ({"type": "date", "timezone": "UTC"}, "column a: timezone is for timestamps"),
        (
            {"type": "timestamp", "timezone": "Europe/Berln"},
            "'Europe/Berln' is not an IANA name (did you mean Europe/B",
        ),
        ({"type": "timestamp", "timezone": "../etc"}, "timezone '../etc' is not an IANA name"),
        ({"null_values": [0]}, "0 is not text in YAML: put it in quotes"),
        ({"expression": "1", "trim": True}, "column a: an expression is computed, so trim does not apply"),
        ({"type": "date", "formats": ["epoch_millis"]}, "column a: format 'epoch_millis' is for timestamps"),
    ],
)
def test_a_spelling_that_cannot_be_meant_is_refused(column: Any, sentence: str) -> None:
    assert sentence in refusal(column)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("%d.%m", "format '%d.%m' needs one of %Y, %y"),
        ("%d.%m.%Y %y", "needs one of %Y, %y"),
        ("%d %Y", "needs one of %m, %b, %B"),
        ("%m/%Y", "needs %d"),
        ("%d.%m.%Y %d", "has %d twice"),
        ("%d.%m.%Y %A", "has %A; known are %Y (year, four digits), %y"),
        ("%d.%m.%Y %", "has %; known are"),
        ("%d.%m.%Y %I:%M", "has one of %I and %p"),
        ("%d.%m.%Y %H:%M %p", "has one of %I and %p"),
        ("%d.%m.%Y %H %I %p", "has both %H and %I"),
        ("%d.%m.%Y %M", "has %M without %H or %I"),
        ("%d.%m.%Y %H:%S", "has %S without %M"),
        ("%d.%m.%Y %H:%M.%f", "has %f without %S"),
        ("%d.%m.%Y %z", "has %z without %H or %I"),
        ("%z %d.%m.%Y %H", "has %z before its end"),
        ("%Y%m%d%H%M%S%f", "needs something between %f and what is beside it"),
        ("%d.%m.20%y", "has a digit that is part of no number"),
    ],
)
def test_a_format_that_says_no_moment_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="format") as refused:
        date_format(text)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "formats", "text"),
    [
        ("date", ["%d/%m/%Y", "%m/%d/%Y"], "03/02/2001"),
        ("date", ["%d.%m.%y", "%y.%m.%d"], "03.02.01"),
        ("date", ["%Y%m%d", "%d%m%Y"], "20010203"),
        ("date", ["%Y-%d-%m"], "2001-02-03"),
        ("date", ["%d/%m/%Y", "%m/%d/%Y %H:%M"], None),
        ("date", ["%b %d, %Y", "%B %d, %Y"], None),
        ("date", ["%d.%m.%y", "%d.%m.%Y", "%d-%m-%Y"], None),
        ("timestamp", ["%Y%m%d", "epoch_seconds"], "20010203"),
        ("timestamp", ["epoch_seconds", "epoch_millis"], "981173106"),
        ("timestamp", ["%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"], "02/03/2001 04:05"),
        ("timestamp", ["%m/%d/%Y %I:%M %p", "%d/%m/%Y %H:%M", "%Y-%m-%d %H:%M:%S"], None),
    ],
)
def test_two_formats_that_read_one_text_differently_are_refused(
    kind: str, formats: list[str], text: str | None
) -> None:
    column = {"type": kind, "formats": formats}
    if text is None:
        Contract.model_validate({"columns": {"a": column}})
    else:
        assert f"read '{text}' as different times; keep the one that the files have" in refusal(column)


@pytest.mark.parametrize("language", ["da", "de", "en", "es", "fr", "it", "nb", "nl", "pl", "pt", "sv", "tr"])
def test_names_of_months_are_twelve_and_each_is_of_one(language: Language) -> None:
    names = month_names(language)
    assert set(names.values()) == set(range(1, 13))
    assert all(name == name.lower() and name.isalpha() for name in names)


def test_defaults_are_taken_by_columns_of_the_types_that_they_fit() -> None:
    defaults = {
        **{"decimal_comma": True, "thousands": ".", "currency": "€", "percent": "points", "negative": "parentheses"},
        **{"trim": True, "null_values": ["-"], "special": {"--": None, "low": "0.05", "never": "9999-12-31"}},
        **{"formats": ["%d.%m.%Y", "%d.%m.%Y %H:%M"], "months": "de", "timezone": "Europe/Berlin"},
    }
    columns = {
        "n": {"type": "decimal(9,2)", "currency": [], "trim": False},
        "d": "date",
        "t": {"type": "timestamp", "timezone": "UTC"},
        "s": "string",
        "x": {"type": "int", "expression": "1"},
        "o": {"type": "double", "special": {"low": "0.07", "max": "1"}},
    }
    contract = Contract.model_validate({"defaults": defaults, "columns": columns})
    n, d, t, s, x, o = contract.columns
    assert (n.decimal_comma, n.thousands, n.currency, n.percent, n.trim) == (True, ".", (), "points", False)
    assert (n.special, n.null_values, n.formats) == ({"--": None, "low": "0.05"}, ("-",), ())
    assert (d.formats, d.months, d.timezone, d.trim) == (("%d.%m.%Y",), "de", None, True)
    assert d.special == {"--": None, "never": "9999-12-31"}
    assert (t.formats, t.timezone, t.thousands) == (("%d.%m.%Y %H:%M",), "UTC", None)
    assert (s.trim, s.special, s.decimal_comma) == (True, {"--": None}, False)
    assert not x.written()
    assert o.special == {"--": None, "low": "0.07", "max": "1"}
    again = Contract.model_validate_json(contract.model_dump_json())
    assert again == contract
    assert Contract.model_validate_json(again.model_dump_json(exclude_unset=True)) == contract


def test_a_column_that_does_not_go_with_the_defaults_is_refused_by_name() -> None:
    assert refusal("decimal(9,2)", defaults={"thousands": "."}).startswith(
        "column a: with the defaults, thousands is '.', which is also the decimal point"
    )
    assert "set it at the columns that have it" in refusal("double", defaults={"percent": "fraction"})
    both = {"type": "date", "formats": ["%d/%m/%Y", "%m/%d/%Y"]}
    assert "as different times" in refusal("date", defaults={"formats": both["formats"]})
