"""Settings that are suggested read the values that they are suggested for."""

from collections.abc import Iterator
from typing import Any

import pytest

from adplatform.contracts.column import Column
from adplatform.contracts.file_format import FileFormat
from adplatform.drafting.reads import Reader
from adplatform.drafting.suggestions import changed, suggestions

FORMAT = FileFormat()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as opened:
        yield opened


@pytest.mark.parametrize(
    ("column", "kind", "texts", "said"),
    [
        ({"type": "decimal(12,2)"}, "bad_decimal", ["1,5", "2,75"], ["decimal_comma: true"]),
        ({"type": "decimal(12,2)"}, "bad_decimal", ["1.234,50"], ["thousands: '.', decimal_comma: true"]),
        ({"type": "decimal(12,2)"}, "bad_decimal", ["7 EUR", "N/A"], ["null_values: [N/A]", "currency: [EUR]"]),
        ({"type": "decimal(12,2)"}, "bad_decimal", ["123456789012345.10"], ["type: 'decimal(20,2)'"]),
        ({"type": "decimal(12,2)"}, "bad_decimal", [" 5 "], ["trim: true"]),
        ({"type": "int"}, "bad_int", ["3000000000"], ["type: bigint"]),
        ({"type": "bigint"}, "bad_bigint", ["1.5"], ["type: 'decimal(12,2)'"]),
        ({"type": "double"}, "bad_double", ["12 %"], ["percent: points"]),
        ({"type": "bigint"}, "bad_bigint", ["< 10%"], ["special: {'< 10%': null}"]),
        ({"type": "date"}, "bad_date", ["31.01.2026"], ["formats: ['%d.%m.%Y']"]),
        ({"type": "date", "formats": ["%Y%m%d"]}, "bad_date", ["31.01.2026"], ["formats: ['%Y%m%d', '%d.%m.%Y']"]),
        ({"type": "date"}, "bad_date", ["03/04/2026"], ["formats: ['%d/%m/%Y']", "formats: ['%m/%d/%Y']"]),
        ({"type": "date"}, "bad_date", ["3. März 2026"], ["formats: ['%d. %b %Y'], months: de"]),
        ({"type": "timestamp"}, "bad_timestamp", ["2026-01-31 10:00"], ["formats: ['%Y-%m-%d %H:%M']"]),
        (
            {"type": "boolean"},
            "bad_boolean",
            ["yes", "no"],
            ["true_values: ['true', 'True', 'TRUE', '1', 'yes'], false_values: ['false', 'False', 'FALSE', '0', 'no']"],
        ),
        ({"type": "bigint"}, "bad_bigint", ["seven"], ["type: string"]),
        ({"required": True}, "required", [""], ["required: false"]),
        ({"allowed": ["a"]}, "not_allowed", [" a"], ["trim: true"]),
        ({"allowed": ["a"]}, "not_allowed", ["b"], ["add the values to allowed, or leave it out"]),
        ({"type": "date"}, "bad_date", ["0000-00-00"], ["null_values: ['0000-00-00']"]),
        ({"type": "timestamp"}, "bad_timestamp", ["0000-00-00 00:00:00"], ["null_values: ['0000-00-00 00:00:00']"]),
        ({}, "bad_bytes", ["ff00"], ["bytes: hex"]),
        ({"type": "int", "min": 5}, "below_min", ["4"], ["leave out min"]),
    ],
)
def test_a_setting_is_suggested_that_reads_the_values(
    reader: Reader, column: dict[str, Any], kind: str, texts: list[str], said: list[str]
) -> None:
    declared = Column.model_validate({"name": "value", **column})
    found = suggestions(declared, FORMAT, kind, texts, reader)
    assert [each.text for each in found] == said
    for each in found:
        other = changed(declared, each.settings)
        assert other
        assert sum(not reason for reason in reader.reasons(other, FORMAT, texts)) == each.reads > 0
