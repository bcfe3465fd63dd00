"""Files as spreadsheets, libraries, warehouses and ad platforms write them: each is read with its values, or refused
with the setting that reads it."""

import gzip
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.drafting.trial import Trial, try_contract
from adplatform.failures import PermanentFailure
from adplatform_tests.support.avros import avro, record
from adplatform_tests.support.tars import tarred
from adplatform_tests.support.workbooks import packed, workbook

AB = {"a": "int", "b": "string"}
DAY = {"type": "date", "field": "Day"}
MONEY = "decimal(12,2)"
NDJSON = {"kind": "ndjson"}
GERMAN = {"decimal_comma": True, "thousands": "."}
DASH_FREE = {"header": False, "quote": "", "null_values": ["\\N"]}


def reads(
    name: str,
    columns: Mapping[str, Any],
    data: bytes,
    rows: Sequence[Sequence[str | None]],
    *,
    left_out: int = 0,
    quarantined: int = 0,
    **settings: Any,
) -> Any:
    return pytest.param(columns, settings, data, rows, (left_out, quarantined), id=name)


def refuses(name: str, columns: Mapping[str, Any], data: bytes, said: str, **settings: Any) -> Any:
    return pytest.param(columns, settings, data, said, id=name)


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def tried(tmp_path: Path, columns: Mapping[str, Any], settings: Mapping[str, Any], data: bytes) -> Trial:
    file = tmp_path / "file"
    file.write_bytes(data)
    return try_contract(Contract.model_validate({"columns": columns, **settings}), file, tmp_path / "work")


def values(trial: Trial) -> list[tuple[str | None, ...]]:
    tables = (pq.ParquetFile(file.path).read() for file in trial.staged.files)
    return [tuple(_shown(v) for name, v in row.items() if name[0] != "_") for t in tables for row in t.to_pylist()]


def _shown(value: Any) -> str | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    return None if value is None else str(value)


@pytest.mark.parametrize(
    ("columns", "settings", "data", "rows", "aside"),
    [
        reads(
            "excel en, csv utf-8",
            {"day": DAY | {"formats": ["%m/%d/%Y"]}, "spend": {"type": MONEY, "currency": "$", "thousands": ","}},
            '\ufeffDay,spend\r\n3/1/2026,"$1,234.50"\r\n12/31/2026,($5.00)\r\n'.encode(),
            [("2026-03-01", "1234.50"), ("2026-12-31", "-5.00")],
            defaults={"negative": "parentheses"},
        ),
        reads(
            "excel de, cp1252",
            {"day": {"type": "date", "field": "Tag", "formats": ["%d.%m.%Y"]}, "cost": MONEY, "b": {"field": "Straße"}},
            "Tag;cost;Straße\r\n01.03.2026;1.234,50;Größe\r\n2.3.2026;-5;\r\n".encode("cp1252"),
            [("2026-03-01", "1234.50", "Größe"), ("2026-03-02", "-5.00", None)],
            format={"delimiter": ";", "encoding": "cp1252"},
            defaults=GERMAN,
        ),
        reads(
            "excel fr, blanks that do not break",
            {"cost": {"type": MONEY, "field": "Coût"}, "b": {"type": "boolean", "true_values": ["VRAI"]}},
            "Coût;b\r\n1\u202f234,50 €;VRAI\r\n1\u00a0234,50\u00a0€;\r\n".encode("utf-8-sig"),
            [("1234.50", "True"), ("1234.50", None)],
            format={"delimiter": ";"},
            defaults={"decimal_comma": True, "thousands": " ", "currency": "€"},
        ),
        reads(
            "excel unicode text",
            AB,
            'a\tb\r\n1\t"x\ty"\r\n2\tü\r\n'.encode("utf-16"),
            [("1", "x\ty"), ("2", "ü")],
            format={"encoding": "utf-16", "delimiter": "\t"},
        ),
        reads(
            "excel unicode text, sep=",
            AB,
            "sep=,\r\na,b\r\n1,x\r\n".encode("utf-16"),
            [("1", "x")],
            left_out=1,
            format={"encoding": "utf-16"},
        ),
        reads("excel mac", AB, b'a,b\r1,x\r2,"y\rz"\r', [("1", "x"), ("2", "y\nz")]),
        reads("lf in quotes of crlf", AB, b'a,b\r\n1,"x\ny"\r\n2,z\r\n', [("1", "x\ny"), ("2", "z")]),
        reads("crlf in quotes of lf", AB, b'a,b\n1,"x\r\ny"\n2,z\n', [("1", "x\r\ny"), ("2", "z")]),
        reads(
            "excel rows of delimiters alone",
            AB,
            b"a,b\r\n1,x\r\n,\r\n,\r\n",
            [("1", "x")],
            left_out=2,
            skip_rows_where="a is null and b is null",
        ),
        reads(
            "xlsx with title and footer",
            {"day": DAY, "n": "int"},
            workbook(S=[["Report"], [], ["Day", "n"], [date(2026, 3, 1), 1], ["Total", 1]]),
            [("2026-03-01", "1")],
            left_out=2,
            format={"kind": "xlsx", "header": {"starts_with": "Day"}, "skip_footer": {"starts_with": "Total"}},
        ),
        reads(
            "xlsx numbers and texts of them",
            {"c": {"type": "decimal(9,3)", "thousands": ","}},
            workbook(S=[["c"], [1.234], ["1,234.5"], [1234567]]),
            [("1.234",), ("1234.500",)],
            quarantined=1,
            format={"kind": "xlsx"},
        ),
        reads(
            "pandas csv, ids as floats",
            {"id": "bigint", "b": "boolean"},
            b"id,b\n123.0,True\n,False\n",
            [("123", "True"), (None, "False")],
        ),
        reads(
            "pandas csv, index without a name", {"n": {"field": "", "drop": True}, **AB}, b",a,b\n0,1,x\n", [("1", "x")]
        ),
        reads(
            "pandas parquet, categories and nullable",
            {"i": "int", "f": "bigint", "c": "string"},
            parquet(i=pa.array([1, None], pa.int8()), f=[1.0, None], c=pa.array(["x", None]).dictionary_encode()),
            [("1", "1", "x"), (None, None, None)],
            format={"kind": "parquet"},
        ),
        reads(
            "pandas parquet, timestamps of nanoseconds",
            {"t": "timestamp", "d": "date"},
            parquet(
                t=pa.array([1774751400000000000], pa.timestamp("ns", "Europe/Berlin")),
                d=pa.array([1774742400000000000], pa.timestamp("ns")),
            ),
            [("2026-03-29 02:30:00", "2026-03-29")],
            format={"kind": "parquet"},
        ),
        reads(
            "pandas parquet, doubles beside German texts",
            {"c": MONEY, "t": MONEY},
            parquet(c=[1.25], t=["1.234,50"]),
            [("1.25", "1234.50")],
            format={"kind": "parquet"},
            defaults=GERMAN,
        ),
        reads(
            "pandas to_json lines", AB, b'{"a":1,"b":"x"}\n{"a":2,"b":null}', [("1", "x"), ("2", None)], format=NDJSON
        ),
        reads(
            "pandas to_json records, epoch",
            {"t": {"type": "timestamp", "formats": ["epoch_millis"]}},
            b'[{"t":1772323200000}]',
            [("2026-03-01 00:00:00",)],
            format={"kind": "json"},
        ),
        reads(
            "google ads ui",
            {
                "day": DAY,
                "campaign": {"field": "Campaign"},
                "cost": {"type": MONEY, "field": "Cost"},
                "share": {
                    "type": "decimal(9,4)",
                    "field": "Search impr. share",
                    "percent": "fraction",
                    "special": {"< 10%": "0.0999", "--": None},
                },
            },
            b'Campaign report\n"March 1, 2026 - March 2, 2026"\nDay,Campaign,Cost,Search impr. share\n'
            b'2026-03-01,"Brand, EN","1,234.56",< 10%\n2026-03-02,--, --,12.5%\n2026-03-02,x,0,--\n'
            b'Total: Campaigns,,"1,234.56",\nTotal: Account,,"1,234.56",\n',
            [
                ("2026-03-01", "Brand, EN", "1234.56", "0.0999"),
                ("2026-03-02", None, None, "0.1250"),
                ("2026-03-02", "x", "0.00", None),
            ],
            left_out=4,
            format={"header": {"starts_with": "Day"}, "skip_footer": {"starts_with": "Total:"}},
            defaults={"thousands": ",", "trim": True, "special": {"--": None}},
        ),
        reads(
            "google ads api, micros",
            {
                "cost_micros": {"type": "bigint", "field": "metrics.costMicros", "drop": True},
                "cost": {"type": "decimal(18,6)", "expression": "cost_micros / 1000000"},
            },
            b'{"metrics":{"costMicros":"9007199254740993"}}\n',
            [("9007199254.740993",)],
            format=NDJSON,
        ),
        reads(
            "meta, row of totals without a date",
            {
                "day": {"type": "date", "field": "Reporting starts"},
                "spent": {"type": MONEY, "field": ["Spent", "Cost"]},
            },
            b'\xef\xbb\xbf"Reporting starts","Cost"\n"2026-03-01","12.34"\n"","12.34"\n',
            [("2026-03-01", "12.34")],
            left_out=1,
            skip_rows_where="day is null or day = ''",
        ),
        reads(
            "linkedin, utf-16 with tabs",
            {"day": {"type": "date", "field": "Start Date (in UTC)", "formats": ["%m/%d/%Y"]}, "spent": MONEY},
            'Performance (in UTC)\nReport Start: March 1\n\nStart Date (in UTC)\tspent\n03/01/2026\t"1,234.5"\n'.encode(
                "utf-16"
            ),
            [("2026-03-01", "1234.50")],
            left_out=2,
            format={"encoding": "utf-16", "delimiter": "\t", "header": {"starts_with": "Start Date"}},
            defaults={"thousands": ","},
        ),
        reads(
            "bing, preamble and copyright",
            {"day": {"type": "date", "field": "Gregorian date"}, "ctr": {"type": MONEY, "percent": "points"}},
            '\ufeff"Report Name: x"\n"Rows: 1"\n\n"Gregorian date","ctr"\n"2026-03-01","5.00%"\n\n"©2026 x"\n'.encode(),
            [("2026-03-01", "5.00")],
            left_out=3,
            format={"header": {"starts_with": "Gregorian date"}, "skip_footer": {"starts_with": "©"}},
        ),
        reads(
            "criteo, delimiter at the end",
            {"day": DAY | {"formats": ["%d/%m/%Y"]}, "cost": "decimal(12,4)"},
            b"Day;cost;\r\n01/03/2026;12,3456;\r\n",
            [("2026-03-01", "12.3456")],
            format={"delimiter": ";"},
            defaults={"decimal_comma": True},
        ),
        reads(
            "ga4, comments and grand total",
            {"day": {"type": "date", "formats": ["%Y%m%d"]}, "users": "int"},
            b'# ---\n# Start date: 20260301\n\nday,users\n20260301,"1,234"\n,1234\n',
            [("2026-03-01", "1234")],
            left_out=3,
            format={"comment": "#"},
            defaults={"thousands": ","},
            skip_rows_where="day is null",
        ),
        reads(
            "salesforce, offsets and currency",
            {"id": "string", "amt": {"type": MONEY, "currency": ["USD", "EUR"]}, "ts": "timestamp"},
            b'"id","amt","ts"\n"006xx","USD 1.50","2026-03-01T12:00:00.000+0000"\n\n"Report by x"\n"Confidential"\n',
            [("006xx", "1.50", "2026-03-01 12:00:00")],
            left_out=2,
            format={"skip_footer": 2},
        ),
        reads(
            "bigquery, utc behind the time",
            {"a": "int", "t": {"type": "timestamp", "formats": ["%Y-%m-%d %H:%M:%S.%f %z", "%Y-%m-%d %H:%M:%S %z"]}},
            gzip.compress(b"a,t\n1,2026-03-01 12:00:00.5 UTC\n2,2026-03-01 12:00:00 UTC\n"),
            [("1", "2026-03-01 12:00:00.500000"), ("2", "2026-03-01 12:00:00")],
        ),
        reads(
            "snowflake unload, escape by backslash",
            AB,
            gzip.compress(b'1|"x\\"y"\n2|"a\\\\b"\n3|\\N\n'),
            [("1", 'x"y'), ("2", "a\\b"), ("3", None)],
            format={"header": False, "delimiter": "|", "escape": "\\", "null_values": ["\\N"]},
        ),
        reads(
            "redshift unload, header in each part",
            AB,
            gzip.compress(b"a,b\n1,x\n") + gzip.compress(b"a,b\n2,y\n"),
            [("1", "x"), ("2", "y")],
            left_out=1,
            format={"repeated_header": "leave_out"},
        ),
        reads(
            "hive, control characters",
            AB,
            b"1\x01x\n2\x01\\N\n",
            [("1", "x"), ("2", None)],
            format=DASH_FREE | {"delimiter": "\x01"},
        ),
        reads(
            "mysql outfile without quotes",
            AB,
            b'1\t5" x\n2\t\\N\n',
            [("1", '5" x'), ("2", None)],
            format=DASH_FREE | {"delimiter": "\t"},
        ),
        reads(
            "sap, minus behind and date of zeros",
            {"m": "string", "amt": MONEY, "d": {"type": "date", "formats": ["%Y%m%d"]}},
            b"m;amt;d\r\nA ;1.234,56-;20260301\r\nB;  12,00 ;00000000\r\n",
            [("A", "-1234.56", "2026-03-01"), ("B", "12.00", None)],
            format={"delimiter": ";"},
            defaults={**GERMAN, "negative": "trailing_minus", "trim": True, "special": {"00000000": None}},
        ),
        reads("ndjson, duplicate members", AB, b'{"a":1,"a":2,"b":"x","b":null}\n', [("1", "x")], format=NDJSON),
        reads(
            "ndjson, numbers beside German texts",
            {"c": "decimal(9,3)", "i": "bigint"},
            b'{"c":1.234,"i":1.0}\n{"c":"1.234,5","i":"1.234"}\n{"c":1,"i":1.234}\n{"c":0.1000000000000000000,"i":2}\n',
            [("1.234", "1"), ("1234.500", "1234"), ("0.100", "2")],
            quarantined=1,
            format=NDJSON,
            defaults=GERMAN,
        ),
        reads(
            "ndjson, dots in names of members",
            {"x": {"field": "a.b", "type": "int"}, "y": {"field": ["c.d", "c.e"], "type": "int"}},
            b'{"a.b":1,"c.e":3}\n{"a":{"b":2},"c":{"e":4}}\n',
            [("1", "3"), ("2", "4")],
            format=NDJSON,
        ),
        reads(
            "ndjson, large integers",
            {"a": "bigint", "d": "decimal(38,0)"},
            b'{"a":9007199254740993,"d":12345678901234567890123456789012345678}\n{"a":9223372036854775808,"d":1}\n',
            [("9007199254740993", "12345678901234567890123456789012345678")],
            quarantined=1,
            format=NDJSON,
        ),
        reads(
            "ndjson, NaN",
            {"f": "double"},
            b'{"f":NaN}\n{"f":Infinity}\n{"f":1}\n',
            [("1.0",)],
            quarantined=2,
            format=NDJSON,
        ),
        reads(
            "ndjson, separators that are no line ends",
            AB,
            '{"a":1,"b":"x\u2028y\x85z"}\n{"a":2}\n'.encode(),
            [("1", "x\u2028y\x85z"), ("2", None)],
            format=NDJSON,
        ),
        reads(
            "json, pages",
            {"a": "int"},
            b'{"data":[{"a":1},{"a":2}],"paging":{"next":"x"}}',
            [("1",), ("2",)],
            format={"kind": "json", "records": "data"},
        ),
        reads(
            "zip with other members",
            AB,
            packed({"x/1.csv": b"a,b\n1,x\n", "x/2.CSV": b"b,a\ny,2\n", "r.pdf": b"%PDF-", "__MACOSX/._1.csv": b"\0"}),
            [("1", "x"), ("2", "y")],
            format={"members": "*.csv"},
        ),
        reads(
            "tar.gz of json",
            AB,
            gzip.compress(tarred({"1.json": b'{"a":1}\n', "2.json": b'{"a":2}\n'})),
            [("1", None), ("2", None)],
            format=NDJSON,
        ),
        reads(
            "avro",
            AB,
            avro(record(("a", "int"), ("b", ["null", "string"])), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
            [("1", "x"), ("2", None)],
            format={"kind": "avro"},
        ),
        reads("mark twice", AB, "\ufeff\ufeffa,b\n1,x\n".encode(), [("1", "x")]),
        reads(
            "mark of utf-16-le",
            AB,
            b"\xff\xfe" + "a,b\n1,x\n".encode("utf-16-le"),
            [("1", "x")],
            format={"encoding": "utf-16-le"},
        ),
        reads("zeros within a value", AB, b"a,b\n" + b"1,x\n" * 20 + b"2,y\0z\n", [*[("1", "x")] * 20, ("2", "y\0z")]),
        reads(
            "1,000 columns",
            {f"c{n}": "int" for n in range(1000)},
            ",".join(f"c{n}" for n in range(1000)).encode() + b"\n" + ",".join(map(str, range(1000))).encode(),
            [tuple(map(str, range(1000)))],
        ),
        reads(
            "quotes within fields", AB, b'a,b\n1,5" disk\n2,say "hi" now\n', [("1", '5" disk'), ("2", 'say "hi" now')]
        ),
        reads("backslash before a quote", AB, b'a,b\n1,"C:\\"\n2,"y"\n', [("1", "C:\\"), ("2", "y")]),
        reads(
            "rows that end early",
            {**AB, "c": "string"},
            b"a,b,c\n1,x\n2,y,z\n3,x,y,z\n",
            [("1", "x", None), ("2", "y", "z")],
            quarantined=1,
            format={"ragged_rows": "pad"},
        ),
        reads(
            "comment within quotes",
            AB,
            b'a,b\n# note\n1,"#x\n# y"\n2,#z\n',
            [("1", "#x\n# y"), ("2", "#z")],
            left_out=1,
            format={"comment": "#"},
        ),
        reads("digits of other scripts", {"i": "int"}, "i\n١٢\n１２\n3\n".encode(), [("3",)], quarantined=2),
        reads("groups nobody declared", {"c": MONEY}, b'c\n"1,234"\n"1,5"\n', [], quarantined=2),
        reads("a quote that does not end", AB, b'a,b\n1,"x\n2,y\n3,"z"\n4,w\n', [("4", "w")], quarantined=3),
        reads("latin-1 as utf-8", AB, b"a,b\n1,\xfc\n2,x\n", [("2", "x")], quarantined=1),
    ],
)
def test_values_are_read(
    tmp_path: Path,
    columns: Mapping[str, Any],
    settings: Mapping[str, Any],
    data: bytes,
    rows: Sequence[Sequence[str | None]],
    aside: tuple[int, int],
) -> None:
    trial = tried(tmp_path, columns, settings, data)
    assert sorted(values(trial), key=repr) == sorted(map(tuple, rows), key=repr)
    staged = trial.staged
    assert (staged.left_out, staged.quarantined) == aside
    assert staged.rows_in == staged.clean + staged.superseded + staged.quarantined + staged.left_out


@pytest.mark.parametrize(
    ("columns", "settings", "data", "said"),
    [
        refuses("utf-16 as utf-8", AB, "a,b\n1,x\n".encode("utf-16"), "set encoding: utf-16 "),
        refuses(
            "utf-16 as cp1252",
            AB,
            "a,b\n1,x\n".encode("utf-16"),
            "set encoding: utf-16 ",
            format={"encoding": "cp1252"},
        ),
        refuses(
            "bytes the other way round",
            AB,
            "a,b\n1,x\n".encode("utf-16-be"),
            "set encoding: utf-16-be ",
            format={"encoding": "utf-16-le"},
        ),
        refuses(
            "mark of the other way round",
            AB,
            b"\xfe\xff" + "a,b\n1,x\n".encode("utf-16-be"),
            "set encoding: utf-16 ",
            format={"encoding": "utf-16-le"},
        ),
        refuses("utf-16 without mark as utf-8", AB, "a,b\n1,x\n".encode("utf-16-le"), "set encoding: utf-16-le "),
        refuses(
            "utf-16 without mark",
            AB,
            "a,b\n1,x\n".encode("utf-16-be"),
            "set encoding: utf-16-be ",
            format={"encoding": "utf-16"},
        ),
        refuses(
            "utf-8 with mark as cp1252",
            AB,
            "\ufeffa,b\n1,ü\n".encode(),
            "set encoding: utf-8 ",
            format={"encoding": "cp1252"},
        ),
        refuses(
            "utf-32 without mark",
            AB,
            "a,b\n1,x\n".encode("utf-32-le"),
            "is not utf-32: .*; correct encoding",
            format={"encoding": "utf-32"},
        ),
        refuses("sep= of another delimiter", AB, b"sep=;\r\na;b\r\n1;x\r\n", "set format.delimiter: ';'"),
        refuses("another delimiter", AB, b"a;b\n1;x\n", "delimiter: ';'"),
        refuses("blanks around names", AB, b" a , b \n1,x\n", "or header_match: loose"),
        refuses(
            "pandas csv, index without a name",
            AB,
            b",a,b\n0,1,x\n",
            "number 1 without a name, as of an index .*field: ''",
        ),
        refuses(
            "pandas parquet, index",
            AB,
            parquet(a=[1], b=["x"], __index_level_0__=["k"]),
            "'__index_level_0__'; declare",
            format={"kind": "parquet"},
        ),
        refuses("pandas to_json records as ndjson", AB, b'[{"a":1,"b":"x"}]', "set format.kind: json", format=NDJSON),
        refuses(
            "pandas to_json split",
            AB,
            b'{"columns":["a"],"data":[[1]]}',
            "set format.records to one of its arrays",
            format={"kind": "json"},
        ),
        refuses("ndjson as csv", AB, b'{"a":1,"b":"x"}\n{"a":2}\n', "set kind: ndjson"),
        refuses("parquet as csv", AB, parquet(a=[1]), "set kind: parquet"),
        refuses("workbook as csv", AB, workbook(S=[["a", "b"]]), "set kind: xlsx"),
        refuses("pdf", AB, b"%PDF-1.7\n1 0 obj\n", "is PDF, which is not read here"),
        refuses(
            "html for excel", AB, b"<html><table><tr><td>a</td></tr></table></html>", "is an HTML page, with a table"
        ),
        refuses("no data", AB, b"No data available\n", "which says 'No data available'"),
        refuses(
            "shorter than skip_lines",
            AB,
            b"title\na,b\n",
            "has 2 lines, .*skip_lines leaves out 9",
            format={"skip_lines": 9},
        ),
        refuses("as long as skip_lines", AB, b"title\n\n", "correct skip_lines", format={"skip_lines": 2}),
        refuses("shorter than skip_footer", AB, b"a,b\n1,x\n", "correct skip_footer", format={"skip_footer": 5}),
        refuses(
            "error in place of json",
            AB,
            b'{"error":{"message":"x@example.com"}}',
            "'error', as an error is",
            format={"kind": "json"},
        ),
        refuses("truncated gzip", AB, gzip.compress(b"a,b\n" + b"1,x\n" * 5000)[:-12], "gzip data is truncated"),
    ],
)
def test_refusals_name_what_reads_the_file(
    tmp_path: Path, columns: Mapping[str, Any], settings: Mapping[str, Any], data: bytes, said: str
) -> None:
    with pytest.raises(PermanentFailure, match=said) as refused:
        tried(tmp_path, columns, settings, data)
    assert "x@example.com" not in str(refused.value)


@pytest.mark.parametrize(
    ("columns", "settings", "said"),
    [
        (
            {"c": MONEY},
            {"format": {"kind": "xlsx"}, "defaults": {"decimal_comma": True}},
            "c: decimal_comma is for text",
        ),
        ({"i": {"type": "int", "thousands": "."}}, {"format": {"kind": "xlsx"}}, "i: thousands: '.' is for text"),
        (
            AB,
            {"format": {"quote": "", "escape": "\\"}},
            "escape .* stands before a quote within quotes, and quote is empty",
        ),
    ],
    ids=["xlsx with a decimal comma", "xlsx with points in groups", "escape without quotes"],
)
def test_settings_that_would_misread_values_are_refused(
    columns: Mapping[str, Any], settings: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Contract.model_validate({"columns": columns, **settings})
