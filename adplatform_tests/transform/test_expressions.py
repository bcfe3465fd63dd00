"""What computed columns and row checks may say, and that DuckDB and Spark compute it alike."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.transform.compile import compile_contract, output_columns

COLUMNS = {
    "clicks": "int",
    "shown": "bigint",
    "cost": "decimal(12,2)",
    "ratio": "double",
    "name": "string",
    "day": "date",
    "at": "timestamp",
    "email": {"pii": {"kind": "email", "treatment": ["meta"]}},
}
RAW = {
    "clicks": "2147483647",
    "shown": "0",
    "cost": "10.01",
    "ratio": "0.5",
    "name": " İstanbul ABC ",
    "day": "2026-03-14",
    "at": "2026-03-14T23:30:00-01:00",
    "email": "a@b.com",
}


MEANINGS: list[tuple[str, str, object]] = [
    ("double", "clicks / shown", None),
    ("double", "cost / 4", 2.5025),
    ("bigint", "clicks + 1", 2147483648),
    ("bigint", "shown - 9223372036854775807 - 1", -(2**63)),
    ("bigint", "clicks * 2 + shown", 4294967294),
    ("string", "lower(trim(name))", "İstanbul abc"),
    ("string", "upper(name)", " İSTANBUL ABC "),
    ("string", "if(ratio > 0.4, concat(name, '!'), 'low')", " İstanbul ABC !"),
    ("string", "case when name like '%ABC%' then split_part(name, ' ', 3) else '' end", "ABC"),
    ("int", "year(at)", 2026),
    ("int", "day(at)", 15),
    ("boolean", "day between date'2026-03-01' and date'2026-03-31' and name is not null", True),
    ("boolean", "coalesce(nullif(clicks, 2147483647), 5) in (4, 5)", True),
    ("string", "cast(cost as string)", "10.01"),
    ("decimal(18,6)", "(shown + 9007199254740993) / 1000000", Decimal("9007199254.740993")),
    ("decimal(18,6)", "clicks / 1000000", Decimal("2147.483647")),
    ("decimal(20,10)", "cost / 4 / 100", Decimal("0.0250250000")),
    ("decimal(10,4)", "cost / 0.5", Decimal("20.0200")),
    ("decimal(14,4)", "clicks / 3", Decimal("715827882.3333")),
    ("decimal(10,4)", "clicks / 0", None),
    (
        "decimal(10,2)",
        "cast(replace(replace('1,234.50 EUR', ',', ''), ' EUR', '') as decimal(10,2))",
        Decimal("1234.50"),
    ),
    ("decimal(10,2)", "cast(substring(name, 1, 0) as decimal(10,2))", None),
    ("decimal(10,2)", "cast(concat('', shown) as decimal(10,2)) + cost", Decimal("10.01")),
]


def computed(kind: str, expression: str, **more: Any) -> Contract:
    return Contract.model_validate({"columns": COLUMNS | {"x": {"type": kind, "expression": expression}}, **more})


def evaluate(contract: Contract) -> tuple[Any, str]:
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("set TimeZone = 'UTC'")
        values = ", ".join(f"'{value}' as {name}" for name, value in RAW.items())
        con.execute(f"create view raw as select {values}, 0 as _file")
        row = con.execute(f"select x, _reasons from ({compile_contract(contract).validate})").fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.mark.parametrize(("kind", "expression", "value"), MEANINGS)
def test_expressions_mean_this(kind: str, expression: str, value: object) -> None:
    assert evaluate(computed(kind, expression)) == (value, "")


@pytest.mark.parametrize(
    ("kind", "expression", "complaint"),
    [
        ("string", "regexp_replace(name, 'a', 'b')", "regexpreplace"),
        ("string", "name rlike 'a'", "regexplike"),
        ("double", "rand()", "rand"),
        ("date", "current_date()", "currentdate"),
        ("int", "dayofweek(day)", "dayofweek"),
        ("string", "java_method('java.lang.System', 'exit')", "java_method"),
        ("int", "(select 1)", "subquery"),
        ("bigint", "sum(clicks)", "sum"),
        ("int", "cast(name as int)", "casts to int"),
        ("double", "cast(name as double)", "casts text"),
        ("decimal(10,2)", "cast(name as decimal)", "without digits"),
        ("date", "cast(name as date)", "casts text to date; cast it to decimal"),
        ("string", "cast(ratio as string)", "casts a double"),
        ("int", "cost + 1", "may have a fraction"),
        ("int", "clicks / 2", "may have a fraction"),
        ("string", "unknown", "names unknown"),
        ("int", "x + 1", "names x"),
        ("int", "clicks +", "not a Spark SQL expression"),
        ("int", "clicks; drop table raw", "not allowed"),
        ("string", "read_text('/etc/hostname')", "read_text, which is not allowed"),
        ("string", "(select content from read_text('/etc/hostname'))", "subquery"),
        ("boolean", "name in (select content from read_text('/etc/hostname'))", "subquery"),
        ("string", "getenv('HOME')", "getenv, which is not allowed"),
        ("string", "current_setting('home_directory')", "current_setting, which is not allowed"),
        ("string", "reflect('java.lang.System', 'getenv', 'HOME')", "reflect, which is not allowed"),
        ("string", "concat(name, getenv('HOME'))", "getenv, which is not allowed"),
        ("string", "main.getenv('HOME')", "not allowed"),
        ("string", "name.getenv('HOME')", "not allowed"),
        ("string", "${env:HOME}", "parameter, which is not allowed"),
        ("string", "coalesce(" * 150 + "name" + ", 'a')" * 150, "nested more than 100 deep"),
        ("string", "(" * 20_000 + "name" + ")" * 20_000, "nested more than 100 deep"),
        ("int", "clicks" + " + clicks" * 5_000, "nested more than 100 deep"),
    ],
)
def test_what_engines_compute_differently_is_refused_by_name(kind: str, expression: str, complaint: str) -> None:
    with pytest.raises(PermanentFailure, match=rf"column x: .*{complaint}"):
        compile_contract(computed(kind, expression))


def test_a_computed_column_may_read_another() -> None:
    feed = Contract.model_validate(
        {
            "columns": COLUMNS
            | {"x": {"type": "double", "expression": "y / 2"}, "y": {"type": "bigint", "expression": "clicks + 1"}}
        }
    )
    assert evaluate(feed) == (1073741824.0, "")
    assert next(c.sources for c in output_columns(feed) if c.name == "x") == ("y",)


def test_computed_columns_that_read_each_other_are_refused() -> None:
    with pytest.raises(PermanentFailure, match="names x"):
        compile_contract(computed("int", "y").model_copy(update={"columns": two_that_read_each_other()}))


def two_that_read_each_other() -> Any:
    both = {"x": {"type": "int", "expression": "y"}, "y": {"type": "int", "expression": "x"}}
    return Contract.model_validate({"columns": both}).columns


@pytest.mark.parametrize("text", ["name", "replace(name, ' ', '')", "'1e3'", "'1,5'", "'12345678901'"])
def test_text_that_is_no_number_where_it_is_cast_is_a_bad_value(text: str) -> None:
    assert evaluate(computed("decimal(10,2)", f"cast({text} as decimal(10,2))")) == (None, "bad_decimal:x")


def test_a_computed_value_that_does_not_fit_is_a_reason() -> None:
    assert evaluate(computed("int", "clicks + 1")) == (None, "bad_int:x")
    assert evaluate(computed("bigint", "shown - 9223372036854775807 - 2")) == (None, "bad_bigint:x")
    assert evaluate(computed("decimal(3,2)", "cost * 2"))[1] == "bad_decimal:x"


@pytest.mark.parametrize(
    ("check", "reasons"),
    [
        ("clicks > shown", ""),
        ("clicks < shown", "check:it"),
        ("x > 0 and email like '%@b.com'", ""),
        ("nullif(clicks, clicks) > 0", ""),
        ("clicks * 9223372036854775807 > 0", ""),
    ],
)
def test_row_checks_fail_only_what_is_false(check: str, reasons: str) -> None:
    feed = computed("bigint", "shown + 1", row_checks=[{"name": "it", "expression": check}])
    assert evaluate(feed)[1] == reasons


def test_a_row_check_off_the_list_is_refused_by_its_name() -> None:
    feed = computed("bigint", "shown", row_checks=[{"name": "it", "expression": "rand() > 0"}])
    with pytest.raises(PermanentFailure, match=r"check it: .*rand"):
        compile_contract(feed)


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@pytest.mark.parametrize(
    "pattern",
    [
        r"\d+",
        r"\w",
        r"a\b",
        "(?i)a",
        "(?=a)",
        "(?P<n>a)",
        "a*+",
        "a{2}+",
        "[[:alpha:]]",
        "[a&&b]",
        "a^b",
        "a$b",
        r"\p{L}",
    ],
)
def test_patterns_that_engines_read_differently_are_refused(pattern: str) -> None:
    columns = COLUMNS | {"name": {"pattern": pattern}}
    try:
        feed = Contract.model_validate({"columns": columns})
    except ValueError:
        return  # the contract has refused it already
    with pytest.raises(PermanentFailure, match="column name: pattern"):
        compile_contract(feed)


@pytest.mark.parametrize(
    "pattern",
    ["[A-Z]{2}[0-9]{3}", "^abc$", r"a\.b", "(?:a|b)+?", "[^,;]*", r"\$[0-9]+", "x.y", "[$^]", r"[\]\[]", "", r"a\$"],
)
def test_plain_patterns_are_taken(pattern: str) -> None:
    compile_contract(Contract.model_validate({"columns": COLUMNS | {"name": {"pattern": pattern}}}))


@pytest.mark.parametrize(
    ("kind", "setting", "bound"),
    [("int", "min", "1.5"), ("decimal(4,2)", "max", "123"), ("date", "min", "soon"), ("date", "max", "2026-02-30")],
)
def test_a_bound_that_is_no_value_of_the_column_is_refused(kind: str, setting: str, bound: str) -> None:
    feed = Contract.model_validate({"columns": {"a": {"type": kind, setting: bound}}})
    with pytest.raises(PermanentFailure, match=f"column a: {setting}"):
        compile_contract(feed)


@pytest.mark.parametrize("name", ["_row", "rowid", "file_index"])
def test_names_the_transform_uses_itself_are_refused(name: str) -> None:
    with pytest.raises(PermanentFailure, match=f"column {name}"):
        compile_contract(Contract.model_validate({"columns": {name: "string"}}))


def test_output_columns_leave_out_what_the_path_or_nobody_carries(tmp_path: Path) -> None:
    feed = Contract.model_validate(
        {
            "columns": COLUMNS
            | {
                "day": {"type": "date", "required": True},
                "name": {"drop": True},
                "phone": {"pii": "phone"},
                "zip": {"pii": {"kind": "postal_code", "treatment": "drop"}},
            },
            "partition_by": "day",
        }
    )
    assert [(c.name, c.type.hive) for c in output_columns(feed)] == [
        ("clicks", "int"),
        ("shown", "bigint"),
        ("cost", "decimal(12,2)"),
        ("ratio", "double"),
        ("at", "timestamp"),
        ("email_meta", "string"),
        ("phone_lake", "string"),
        ("_source_file", "string"),
        ("_pii_key_id", "string"),
    ]
