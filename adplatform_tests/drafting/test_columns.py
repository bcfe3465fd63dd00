"""Types and settings of columns by their texts."""

from typing import Any

import pytest

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.months import LANGUAGES
from adplatform.drafting.columns import Evidence, comma_certain, day_order, readings, shown_words
from adplatform.drafting.dates import days
from adplatform.drafting.reads import Reader

NOTHING = Evidence()
COMMA = Evidence(decimal_comma=True)


@pytest.fixture(scope="module")
def reader() -> Any:
    with Reader() as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "texts", "evidence", "settings"),
    [
        ("clicks", ["1", "2000"], NOTHING, {"type": "bigint"}),
        ("cost", ["9.90", "1234567.5"], NOTHING, {"type": "decimal(12,2)"}),
        ("cost", ["0.123456", "12345678901.5"], NOTHING, {"type": "decimal(20,6)"}),
        ("cost", ["1,5", "12,75"], NOTHING, {"type": "decimal(12,2)", "decimal_comma": True}),
        ("cost", ["1.234,5", "7"], NOTHING, {"type": "decimal(12,2)", "thousands": ".", "decimal_comma": True}),
        ("cost", ["1,234.50", "7"], NOTHING, {"type": "decimal(12,2)", "thousands": ","}),
        ("cost", ["1 234,50", "7"], COMMA, {"type": "decimal(12,2)", "thousands": " ", "decimal_comma": True}),
        ("cost", ["1'234.50", "7"], NOTHING, {"type": "decimal(12,2)", "thousands": "'"}),
        ("cost", ["€5.10", "(€1.00)"], NOTHING, {"type": "decimal(12,2)", "currency": "€", "negative": "parentheses"}),
        (
            "cost",
            ["5.10 EUR", "1.00- EUR"],
            NOTHING,
            {"type": "decimal(12,2)", "currency": "EUR", "negative": "trailing_minus"},
        ),
        ("ctr", ["12.5%", "3 %"], NOTHING, {"type": "decimal(12,2)", "percent": "points"}),
        ("clicks", ["1,234", "5,678"], COMMA, {"type": "decimal(14,4)", "decimal_comma": True}),
        ("clicks", ["1,234", "5,678"], Evidence(decimal_comma=False), {"type": "bigint", "thousands": ","}),
        ("clicks", ["1,234", "5,678"], NOTHING, {"type": "string"}),
        ("clicks", ["1", "--", "N/A"], NOTHING, {"type": "bigint", "null_values": ["--", "N/A"]}),
        (
            "share",
            ["12.5%", "< 10%"],
            NOTHING,
            {"type": "decimal(12,2)", "percent": "points", "special": {"< 10%": None}},
        ),
        ("score", ["1e-30", "2.5"], NOTHING, {"type": "double"}),
        ("score", ["1E-05", "2.5"], NOTHING, {"type": "decimal(16,6)"}),
        ("id", ["12345678901234567890123"], NOTHING, {"type": "decimal(26,0)"}),
        ("plz", ["01067", "80331"], NOTHING, {"type": "string"}),
        ("number", ["00012", "5"], NOTHING, {"type": "string"}),
        ("day", ["2026-01-31"], NOTHING, {"type": "date"}),
        ("day", ["31.01.2026", "1.2.2026"], NOTHING, {"type": "date", "formats": ["%d.%m.%Y"]}),
        ("day", ["31/01/2026", "01/02/2026"], NOTHING, {"type": "date", "formats": ["%d/%m/%Y"]}),
        ("day", ["01/31/2026", "01/02/2026"], NOTHING, {"type": "date", "formats": ["%m/%d/%Y"]}),
        ("day", ["01/02/2026", "03/04/2026"], NOTHING, {"type": "string"}),
        ("day", ["01/02/2026"], Evidence(day_first=True), {"type": "date", "formats": ["%d/%m/%Y"]}),
        ("day", ["01/02/2026"], Evidence(day_first=False), {"type": "date", "formats": ["%m/%d/%Y"]}),
        ("day", ["20260131", "20260201"], NOTHING, {"type": "date", "formats": ["%Y%m%d"]}),
        ("order_id", ["20260131", "20260201"], NOTHING, {"type": "bigint"}),
        ("day", ["Jan 31, 2026", "Feb 1, 2026"], NOTHING, {"type": "date", "formats": ["%b %d, %Y"]}),
        ("tag", ["3. März 2026", "1. Mai 2026"], NOTHING, {"type": "date", "formats": ["%d. %b %Y"], "months": "de"}),
        ("at", ["2026-01-31T10:00:00Z"], NOTHING, {"type": "timestamp"}),
        ("at", ["2026-01-31 10:00"], NOTHING, {"type": "timestamp", "formats": ["%Y-%m-%d %H:%M"]}),
        ("at", ["01/31/2026 10:00 PM"], NOTHING, {"type": "timestamp", "formats": ["%m/%d/%Y %I:%M %p"]}),
        ("day", ["2026-01-31 00:00:00", "2026-02-01 00:00:00"], NOTHING, {"type": "date"}),
        ("created_at", ["1767225600", "1767225601"], NOTHING, {"type": "timestamp", "formats": ["epoch_seconds"]}),
        ("flag", ["true", "FALSE"], NOTHING, {"type": "boolean"}),
        ("flag", ["Yes", "No"], NOTHING, {"type": "boolean", "true_values": ["Yes"], "false_values": ["No"]}),
        ("is_new", ["0", "1"], NOTHING, {"type": "boolean"}),
        ("new", ["0", "1"], NOTHING, {"type": "bigint"}),
        ("note", ["NULL", "x"], NOTHING, {"type": "string", "null_values": ["NULL"]}),
        ("note", ["--", "x"], NOTHING, {"type": "string"}),
    ],
)
def test_the_first_reading_that_the_transform_agrees_to(
    reader: Reader, name: str, texts: list[str], evidence: Evidence, settings: dict[str, Any]
) -> None:
    agreed = (
        each
        for each in readings(name, texts, evidence, LANGUAGES)
        if reader.read_all(dict(each.settings), FileFormat(), texts)
    )
    assert next(agreed).settings == settings


def test_what_cannot_be_known_is_said_and_not_guessed() -> None:
    assert "formats: ['%d/%m/%Y'] or ['%m/%d/%Y']" in next(readings("day", ["01/02/2026"], NOTHING)).why
    assert "decimal or between thousands" in next(readings("clicks", ["1,234"], NOTHING)).why
    mixed = days(["13/01/2026", "01/13/2026"])
    assert mixed is None


def test_other_columns_are_evidence_only_where_they_leave_nothing_open() -> None:
    assert (comma_certain(["1,5"]), comma_certain(["1.5"]), comma_certain(["1.234"]), comma_certain(["7"])) == (
        True,
        False,
        None,
        None,
    )
    assert (
        day_order(["31/01/2026"]),
        day_order(["01/31/2026"]),
        day_order(["01/02/2026"]),
        day_order(["2026-01-02"]),
    ) == (
        True,
        False,
        None,
        None,
    )


def test_values_are_shown_only_where_they_are_of_nobody() -> None:
    assert shown_words(["desktop", "mobile"], 100) == ["desktop", "mobile"]
    assert shown_words(["Ann", "Bob"], 100) == []
    assert shown_words(["desktop", "mobile"], 5) == []
