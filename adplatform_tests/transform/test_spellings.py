"""How exporters write values, on DuckDB; ``test_spark_engine`` reads the same tables on Spark."""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.files.input_file import InputFile
from adplatform.transform.compile import compile_contract
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform_tests.support.examples import examples
from adplatform_tests.transform.oracle import KEY, SECRET
from adplatform_tests.transform.outcome import clean_rows
from adplatform_tests.transform.spellings import BAD, TABLES


def read(contract: Contract, texts: Sequence[str | None]) -> list[tuple[Any, str]]:
    """The value of each text in column ``x``, and the reasons against it."""
    rows = pa.table({"x": pa.array(texts, pa.string()), "_file": pa.array(range(len(texts)))})
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("raw", rows)
        found = con.execute(f"select x, _reasons from ({compile_contract(contract).validate}) order by _file")
        return [(value, reasons) for value, reasons in found.fetchall()]


def of(column: Mapping[str, Any], **contract: Any) -> Contract:
    return Contract.model_validate({"columns": {"x": column}, **contract})


@pytest.mark.parametrize("name", TABLES)
def test_texts_have_the_value_that_the_settings_of_their_column_give_them(name: str) -> None:
    given_settings, rows = TABLES[name]
    found = read(of(given_settings), [text for text, _ in rows])
    meant = [(text, "bad" if value is BAD else value) for text, value in rows]
    assert [
        (text, "bad" if reasons else value) for (text, _), (value, reasons) in zip(rows, found, strict=True)
    ] == meant


def test_columns_that_are_written_plainly_are_read_from_the_raw_text_as_it_is() -> None:
    columns = {"i": "int", "f": "double", "b": "boolean", "d": "date", "t": "timestamp", "s": "string"}
    plain = compile_contract(Contract.model_validate({"columns": columns})).validate
    trimmed = compile_contract(Contract.model_validate({"columns": columns, "defaults": {"trim": True}})).validate
    assert [sql.count("(select") for sql in (plain, trimmed)] == [2, 3]
    assert plain.count("regexp_matches") == trimmed.count("regexp_matches")


def test_bounds_and_allowed_texts_are_written_as_files_write_them() -> None:
    money = {
        "type": "decimal(9,2)",
        "thousands": ".",
        "decimal_comma": True,
        "currency": "€",
        "negative": "parentheses",
    }
    found = read(of({**money, "min": "(1.000,50 €)", "max": "1.000"}), ["(1.000,50)", "-1000,51", "1.000,01 €"])
    assert [reasons for _, reasons in found] == ["", "below_min:x", "above_max:x"]
    found = read(of({"type": "decimal(9,4)", "percent": "fraction", "max": "100%"}), ["100 %", "100.1%"])
    assert [reasons for _, reasons in found] == ["", "above_max:x"]
    zoned = {"type": "timestamp", "timezone": "Europe/Berlin", "min": "2026-07-01 12:00:00.5"}
    found = read(of(zoned), ["2026-07-01 12:00:00.5", "2026-07-01 12:00:00", "2026-07-01T10:00:00.5Z"])
    assert [reasons for _, reasons in found] == ["", "below_min:x", ""]
    found = read(of({"type": "int", "thousands": ",", "trim": True, "allowed": ["1,000"]}), [" 1,000 ", "1000"])
    assert [reasons for _, reasons in found] == ["", "not_allowed:x"]


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ({"type": "int", "thousands": ",", "min": "1,00"}, "column x: min '1,00' is not a int as the files write it"),
        ({"type": "int", "special": {"few": "0.5"}}, "column x: special 'few': '0.5' is not a plain int"),
        (
            {"type": "date", "special": {"never": "31.12.9999"}},
            "column x: special 'never': '31.12.9999' is not a plain",
        ),
        ({"type": "boolean", "special": {"?": "maybe"}}, "column x: special '?': 'maybe' is not a plain boolean"),
    ],
)
def test_a_bound_or_special_that_is_no_value_is_refused(column: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(PermanentFailure, match=re.escape(sentence)):
        compile_contract(of(column))


def test_spellings_of_no_value_are_those_of_the_format_and_of_the_column() -> None:
    feed = of({"type": "int", "null_values": ["-"], "required": True}, format={"null_values": ["n/a"]})
    assert read(feed, ["-", "n/a", "", "1", "--"]) == [
        *[(None, "required:x")] * 3,
        (1, ""),
        (None, "bad_int:x"),
    ]


def test_trimmed_emptiness_is_text_where_the_format_says_so() -> None:
    assert read(of({"trim": True}, format={"empty": "text"}), [" ", "", " a"]) == [("", ""), ("", ""), ("a", "")]


def test_personal_text_is_trimmed_before_it_is_hashed(tmp_path: Path) -> None:
    hashed = Contract.model_validate({"columns": {"id": {"pii": "generic_id", "trim": True, "pattern": "A[0-9]"}}})
    file = tmp_path / "a.csv"
    file.write_text("id\n A1\u00a0\nA1\n", encoding="utf-8")
    staged = transform(hashed, [InputFile(file, "a", 0)], date(2026, 1, 1), KEY, tmp_path / "w", EngineLimits())
    digests = {row["id_lake"] for row in clean_rows(staged, "dt")}
    assert (staged.clean, digests) == (2, {hmac.new(SECRET, b"A1", "sha256").hexdigest()})


def test_naive_timestamps_of_parquet_are_of_the_column_s_time_zone(tmp_path: Path) -> None:
    columns = {name: {"type": "timestamp", "timezone": "Europe/Berlin"} for name in ("naive", "zoned")}
    feed = Contract.model_validate(
        {"columns": {**columns, "n": {"type": "double", "decimal_comma": True}}, "format": {"kind": "parquet"}}
    )
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    arrays = {
        "naive": pa.array([noon.replace(tzinfo=None)], pa.timestamp("us")),
        "zoned": pa.array([noon], pa.timestamp("us", "UTC")),
        "n": pa.array(["1,5"]),
    }
    pq.write_table(pa.table(arrays), tmp_path / "a.parquet")
    file = InputFile(tmp_path / "a.parquet", "a", 0)
    staged = transform(feed, [file], date(2026, 1, 1), None, tmp_path / "w", EngineLimits())
    [row] = clean_rows(staged, "dt")
    assert (row["naive"], row["zoned"], row["n"]) == (noon - timedelta(hours=2), noon, 1.5)


_AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=2, allow_nan=False)
_SYMBOL = st.sampled_from(["", "€", "EUR"])
_PLACE = st.sampled_from(["before", "behind", "none"])


@given(written=st.lists(st.tuples(_AMOUNTS, st.booleans(), _SYMBOL, _PLACE, st.sampled_from("-\u2212(s")), min_size=1))
@settings(max_examples=examples(10), deadline=None)
def test_every_amount_that_is_written_in_an_allowed_form_is_read_as_it_was(
    written: list[tuple[Decimal, bool, str, str, str]],
) -> None:
    texts = [_written(*each) for each in written]
    money = {"type": "decimal(12,2)", "thousands": ".", "decimal_comma": True, "currency": ["€", "EUR"]}
    feed = of({**money, "negative": ["parentheses", "trailing_minus"], "trim": True})
    assert read(feed, texts) == [(amount, "") for amount, *_ in written]


def _written(amount: Decimal, grouped: bool, symbol: str, place: str, sign: str) -> str:
    digits = f"{abs(amount):,.2f}" if grouped else f"{abs(amount):.2f}"
    digits = digits.translate(str.maketrans(",.", ".,"))
    before, behind = (symbol if place == "before" else ""), (f" {symbol}" if symbol and place == "behind" else "")
    if amount >= 0:
        return f" {before}{digits}{behind}"
    match sign:
        case "(":
            return f"({before}{digits}{behind})"
        case "s":
            return f"{before}{digits}-{behind}"
        case _:
            return f"{sign}{before}{digits}{behind}\u00a0"


_SHOWN = datetime.fromisoformat


@given(moments=st.lists(st.datetimes(_SHOWN("1970-01-02"), _SHOWN("2037-12-30")), min_size=1))
@example(moments=[*map(_SHOWN, ("2026-03-29T02:30", "2026-10-25T02:30", "2026-10-25T01:59:59.999999"))])
@settings(max_examples=examples(10), deadline=None)
def test_a_time_of_day_is_the_instant_at_which_clocks_of_its_zone_first_show_it(moments: list[datetime]) -> None:
    zone = ZoneInfo("Europe/Berlin")
    meant = [moment.replace(tzinfo=zone, fold=0).astimezone(UTC) for moment in moments]
    shown = [instant.astimezone(zone).replace(tzinfo=None, fold=0) for instant in meant]
    expected = [
        instant if seen == moment else None for moment, instant, seen in zip(moments, meant, shown, strict=True)
    ]
    found = read(of({"type": "timestamp", "timezone": "Europe/Berlin"}), [_iso(moment) for moment in moments])
    assert [value for value, _ in found] == expected


def _iso(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="microseconds")
