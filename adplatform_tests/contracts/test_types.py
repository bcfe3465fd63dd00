import pytest

from adplatform.contracts.types import DataType, parse_type


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("string", DataType("string")),
        ("integer", DataType("int")),
        ("LONG", DataType("bigint")),
        (" bool ", DataType("boolean")),
        ("decimal(38,38)", DataType("decimal", 38, 38)),
        ("Decimal( 12 , 2 )", DataType("decimal", 12, 2)),
        ("decimal(1,0)", DataType("decimal", 1, 0)),
    ],
)
def test_types_and_their_other_spellings(spelled: str, expected: DataType) -> None:
    assert parse_type(spelled) == expected


@pytest.mark.parametrize(
    "spelled", ["", "text", "varchar(10)", "decimal", "decimal(12)", "decimal(12,2) x", "decimal(-1,0)"]
)
def test_an_unknown_type_is_refused_with_the_known_ones(spelled: str) -> None:
    with pytest.raises(ValueError, match=r"unknown type .*: use one of string, int, .* or decimal\(precision,scale\)"):
        parse_type(spelled)


@pytest.mark.parametrize("spelled", ["decimal(0,0)", "decimal(39,2)", "decimal(4,5)"])
def test_a_decimal_that_no_engine_holds_is_refused(spelled: str) -> None:
    with pytest.raises(ValueError, match="precision must be 1 to 38 and scale at most the precision"):
        parse_type(spelled)


def test_the_catalog_spells_decimals_without_blanks() -> None:
    assert parse_type("decimal( 18, 6)").hive == "decimal(18,6)"
    assert parse_type("long").hive == "bigint"
