"""Columns of files that are not called, ordered or delimited as their contract says, and what becomes of them."""

import io
import random
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile
from adplatform.files.unpack import unpack
from adplatform.transform.duckdb_engine import transform
from adplatform.transform.values import Staged
from adplatform_tests.transform.outcome import counted, quarantine_rows
from adplatform_tests.transform.test_duckdb_engine import LIMITS, contract, rejects, rows, run

COST: dict[str, Any] = {
    "day": {"type": "date", "required": True, "field": ["Day", "Date"]},
    "cost": {"type": "decimal(9,2)", "field": ["Cost", "Amount spent", "Spend"]},
}
LOOSE = {"header_match": "loose"}
TWO_MORE = {"id": {"type": "bigint", "required": True}, "name": "string", "more": "string"}


def parquet(**columns: list[Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def costs(staged: Staged) -> list[str | None]:
    return [None if cost is None else str(cost) for _, cost in rows(staged, "day", "cost")]


def test_a_column_is_read_under_each_of_its_names(tmp_path: Path) -> None:
    staged = run(
        tmp_path,
        contract(COST),
        b"Day,Cost\n2026-03-01,1\n",
        b"Amount spent,Date\n2,2026-03-02\n",
        b"Date,Spend\n2026-03-03,3\n",
    )
    assert costs(staged) == ["1.00", "2.00", "3.00"]


def test_members_of_json_and_columns_of_parquet_have_several_names_too(tmp_path: Path) -> None:
    nested = {**COST, "cost": COST["cost"] | {"field": ["spend.amount", "costs.0", "cost"]}}
    lines = [
        b'{"Day": "2026-03-01", "spend": {"amount": "1"}}\n{"Day": "2026-03-02"}\n',
        b'{"Date": "2026-03-03", "costs": ["3"]}\n',
        b'{"Date": "2026-03-04", "cost": null}\n{"Date": "2026-03-05", "cost": 5}\n',
    ]
    (tmp_path / "json").mkdir()
    staged = run(tmp_path / "json", contract(nested, format={"kind": "ndjson"}), *lines)
    assert costs(staged) == ["1.00", None, "3.00", None, "5.00"]
    written = parquet(Date=["2026-03-01"], Spend=[1.5]), parquet(Cost=["2"], Day=["2026-03-02"])
    staged = run(tmp_path, contract(COST, format={"kind": "parquet"}), *written)
    assert costs(staged) == ["1.50", "2.00"]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("csv", b"Day,Cost,Spend\n2026-03-01,1,2\n"),
        ("parquet", parquet(Day=["2026-03-01"], Cost=["1"], Spend=["2"])),
        ("ndjson", b'{"Day": "2026-03-01", "Cost": "1"}\n{"Day": "2026-03-01", "Spend": "1"}\n'),
    ],
)
def test_a_file_with_two_names_of_one_column_is_refused(tmp_path: Path, kind: str, content: bytes) -> None:
    with pytest.raises(BadFile, match=r"s3://raw/0: has 'Cost', 'Spend', which are names of one column, cost; have"):
        run(tmp_path, contract(COST, format={"kind": kind}), content)


@pytest.mark.parametrize(
    "header", ["DAY,amount spent", "day , AMOUNT_SPENT ", "\u00a0Day,Amount\u00a0 Spent", "d_a_y,\ufeffamountspent"]
)
def test_names_are_compared_loosely_on_request(tmp_path: Path, header: str) -> None:
    staged = run(tmp_path, contract(COST, format=LOOSE), f"{header}\n2026-03-01,1\n".encode())
    assert costs(staged) == ["1.00"]
    names = dict(zip(header.split(","), (["2026-03-01"], ["1"]), strict=True))
    (tmp_path / "parquet").mkdir()
    staged = run(tmp_path / "parquet", contract(COST, format=LOOSE | {"kind": "parquet"}), parquet(**names))
    assert costs(staged) == ["1.00"]


def test_loose_names_that_meet_are_refused_and_others_stay_undeclared(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="has 'Cost', 'COST', which are names of one column, cost"):
        run(tmp_path, contract(COST, format=LOOSE), b"Day,Cost,COST\n2026-03-01,1,2\n")
    with pytest.raises(BadFile, match="not declared in the contract: 'Cost-all'"):
        run(tmp_path, contract(COST, format=LOOSE), b"Day,Cost,Cost-all\n2026-03-01,1,2\n")


def test_exact_names_advise_to_compare_loosely(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"has a column 'SPEND' and no 'Cost'.*\(field\), or set header_match: loose"):
        run(tmp_path, contract(COST), b"Day,SPEND\n2026-03-01,1\n")


@pytest.mark.parametrize(
    "content",
    [
        b"id,name,\n1,x,\n2,y,\n",
        b"id,name,\n1,x\n2,y\n",
        b"id,name, \n1,x,\n2,y\n",
        b"id,name\n1,x,\n2,y,\n",
        b"id,name,\n1,x,\n2,y\n",
        b"id,name,,,\n1,x,,,\n2,y,,,\n",
        b"id,name,\r\n1,x,\r\n2,y,\r\n",
        b'"id","name",""\n"1","x",""\n"2","y",""\n',
        b'"id","name"\n"1","x","",""\n\n"2","y","",""\n',
        b'id,name,\n1,"x",\n2,"y",\n',
    ],
    ids=[
        "in both",
        "in the header",
        "blanks in the header",
        "in rows",
        "in some rows",
        "several",
        "crlf",
        "quoted",
        "rows quoted",
        "values quoted",
    ],
)
def test_a_column_without_a_name_is_accepted_at_the_end_where_it_is_empty(tmp_path: Path, content: bytes) -> None:
    staged = run(tmp_path, contract(), content)
    assert rows(staged, "id", "name") == [(1, "x"), (2, "y")]
    assert counted(staged.counts) == {"s3://raw/0": (2, 2, 0, 0)}
    assert pq.read_schema(staged.files[0].path).names == ["id", "name", "_source_file"]


def test_a_value_in_a_column_without_a_name_quarantines_its_row(tmp_path: Path) -> None:
    staged = run(tmp_path, contract(), b"id,name,\n1,x,\n2,y,z\n", b'"id","name",""\n"3","x",""\n"4","y","z"\n')
    assert rows(staged, "id", "name") == [(1, "x"), (3, "x")]
    found = quarantine_rows([staged.quarantine] if staged.quarantine else [])
    assert sorted((r["source_file"], r["reasons"], r["raw"], r["fields"]) for r in found) == [
        ("s3://raw/0", ["column_count"], "2,y,z", None),
        ("s3://raw/1", ["not_allowed:_unnamed"], None, '{"id":"4","name":"y","_unnamed":"z"}'),
    ]


def test_a_column_without_a_name_elsewhere_is_one_that_nobody_declared(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="not declared in the contract: number 2"):
        run(tmp_path, contract(), b"id,,name\n1,,x\n")


def test_rows_that_end_early_are_padded_on_request(tmp_path: Path) -> None:
    columns = {**dict.fromkeys("abc", "string"), "a": {"required": True}}
    content = b'x "y\na,b,c\n1\n\n2,x\n3,"p\n,q"\n4,,z\n5,x,y,z\n6,"u""v",w\n7,x,y,\n8'
    feed = contract(columns, format={"ragged_rows": "pad", "skip_lines": 1})
    staged = run(tmp_path, feed, content)
    assert rows(staged, "a", "b", "c") == [
        ("1", None, None),
        ("2", "x", None),
        ("3", "p\n,q", None),
        ("4", None, "z"),
        ("6", 'u"v', "w"),
        ("7", "x", "y"),
        ("8", None, None),
    ]
    assert rejects(staged) == [(9, content.index(b"5,x"), ["column_count"], "5,x,y,z")]


def test_places_of_padded_rows_are_those_of_the_delivered_file(tmp_path: Path) -> None:
    content = b"# a\nid,name,more\n1\n# b\n2,x,y,z\nq,x\n# c\n3,x,y,z\n"
    form = FileFormat(comment="#", ragged_rows="pad")
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "unpacked").mkdir()
    files = unpack(tmp_path / "file", "s3://raw/0", form, tmp_path / "unpacked", 0)
    feed = contract(TWO_MORE, format=form.model_dump())
    staged = transform(feed, files, date(2026, 3, 14), None, tmp_path / "work", LIMITS)
    assert rows(staged, "id", "name", "more") == [(1, None, None)]
    assert sorted(rejects(staged), key=lambda reject: reject[0]) == [
        (5, content.index(b"2,x"), ["column_count"], "2,x,y,z"),
        (6, None, ["bad_bigint:id"], None),
        (8, content.index(b"3,x"), ["column_count"], "3,x,y,z"),
    ]


def test_rows_that_end_early_are_quarantined_otherwise(tmp_path: Path) -> None:
    staged = run(tmp_path, contract(), b"id,name\n1,x\n2\n")
    assert rejects(staged) == [(3, 12, ["column_count"], "2")]


def test_a_quote_that_nobody_closes_is_found_where_rows_are_padded(tmp_path: Path) -> None:
    content = b'id,name,more\n1,x\n2,"y,z\n3,u,v\n'
    feed = contract(TWO_MORE, format={"ragged_rows": "pad"})
    staged = run(tmp_path, feed, content)
    assert rows(staged, "id", "name", "more") == [(1, "x", None)]
    assert rejects(staged) == [
        (3, 17, ["unterminated_quote"], '2,"y,z\n3,u,v'),
        (4, 24, ["swallowed_line"], "3,u,v"),
    ]


def test_padded_rows_are_what_full_rows_are(tmp_path: Path) -> None:
    """Random files with short rows, against the same with all delimiters written."""
    rnd = random.Random(7)
    for delimiter, end in [(",", "\n"), ("||", "\n"), (";", "\r\n")]:
        short = full = delimiter.join("abc") + end
        for number in range(400):
            fields = [str(number), *(_field(rnd, delimiter) for _ in range(rnd.randint(0, 2)))]
            short += delimiter.join(fields) + end
            full += delimiter.join([*fields, "", ""][:3]) + end
        found = []
        for name, text, ragged in [("short", short, "pad"), ("full", full, "quarantine")]:
            work = tmp_path / f"{name}-{ord(delimiter[0])}"
            work.mkdir()
            feed = contract(dict.fromkeys("abc", "string"), format={"delimiter": delimiter, "ragged_rows": ragged})
            found.append(rows(run(work, feed, text.encode()), "a", "b", "c"))
        assert found[0] == found[1]
        assert len(found[0]) == 400


def _field(rnd: random.Random, delimiter: str) -> str:
    text = "".join(rnd.choice(("a", " ", delimiter[0], delimiter, '"', "\n")) for _ in range(rnd.randint(0, 4)))
    return '"' + text.replace('"', '""') + '"' if rnd.random() < 0.5 or not text.isalpha() else text


@pytest.mark.parametrize("delimiter", ["||", "~^~", "<=>;", "\t\t", "¦¦", ", "])
def test_fields_may_be_divided_by_several_characters(tmp_path: Path, delimiter: str) -> None:
    lines = [
        ["id", "name", "more"],
        ["1", f'"x{delimiter}y"', "z"],
        ["2", '"q""w\nz"', ""],
        ["3", f"a{delimiter[:-1]}b", f'"{delimiter}"'],
        ["4", "x"],
        ["5", "", "a", "b"],
        ["6", "y", "z", ""],
    ]
    content = "".join(delimiter.join(fields) + "\n" for fields in lines).encode()
    staged = run(tmp_path, contract(TWO_MORE, format={"delimiter": delimiter}), content)
    assert rows(staged, "id", "name", "more") == [
        (1, f"x{delimiter}y", "z"),
        (2, 'q"w\nz', None),
        (3, f"a{delimiter[:-1]}b", delimiter),
        (6, "y", "z"),
    ]
    assert [(line, reasons, raw) for line, _, reasons, raw in rejects(staged)] == [
        (6, ["column_count"], delimiter.join(lines[4])),
        (7, ["column_count"], delimiter.join(lines[5])),
    ]


def test_a_header_in_quotes_holds_delimiters_of_several_characters(tmp_path: Path) -> None:
    feed = contract({"id": "bigint", "name": {"field": "a||b"}}, format={"delimiter": "||"})
    assert rows(run(tmp_path, feed, b'id||"a||b"\n1||x\n'), "id", "name") == [(1, "x")]


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_records_may_be_longer_where_the_format_says_so(tmp_path: Path, kind: str) -> None:
    def record(number: int, size: int) -> bytes:
        text = "x" * size
        return f'{number},"{text}"\n'.encode() if kind == "csv" else f'{{"id":{number},"name":"{text}"}}\n'.encode()

    content = record(1, 3 << 20) + record(2, 5 << 20) + record(3, 1)
    header = b"id,name\n" if kind == "csv" else b""
    feed = contract(format={"kind": kind, "max_record": "4MB"})
    staged = run(tmp_path, feed, header + content)
    assert [number for (number,) in rows(staged, "id")] == [1, 3]
    assert [reasons for _, _, reasons, _ in rejects(staged)] == [["line_too_long"]]


def vanished(policy: str, *columns: str, **settings: Any) -> Contract:
    known: dict[str, Any] = {"id": {"type": "bigint", "required": True}, **dict.fromkeys(columns, "string")}
    return contract(known, schema_policy=policy, **settings)


def test_a_column_that_vanished_has_no_value_where_the_schema_evolves(tmp_path: Path) -> None:
    staged = run(tmp_path, vanished("evolve", "a", "b"), b"id,a,b\n1,x,y\n", b"id\n2\n", b"id,b\n3,z\n")
    assert rows(staged, "id", "a", "b") == [(1, "x", "y"), (2, None, None), (3, None, "z")]
    assert staged.lacking == {"a": 2, "b": 1}


def test_a_column_of_parquet_may_vanish_and_one_of_json_is_not_missed(tmp_path: Path) -> None:
    feed = vanished("evolve", "a", format={"kind": "parquet"})
    staged = run(tmp_path, feed, parquet(id=[1], a=["x"]), parquet(id=[2]))
    assert (rows(staged, "id", "a"), staged.lacking) == ([(1, "x"), (2, None)], {"a": 1})
    (tmp_path / "json").mkdir()
    feed = vanished("evolve", "a", format={"kind": "ndjson"})
    staged = run(tmp_path / "json", feed, b'{"id": 1, "a": "x", "b": "y"}\n', b'{"id": 2}\n')
    assert (rows(staged, "id", "a", "b"), staged.lacking) == ([(1, "x", "y"), (2, None, None)], {})


def test_a_column_that_an_earlier_file_added_may_vanish(tmp_path: Path) -> None:
    staged = run(tmp_path, vanished("evolve"), b"id\n1\n", b"id,New\n2,x\n", b"id\n3\n")
    assert rows(staged, "id", "new") == [(1, None), (2, "x"), (3, None)]
    assert (staged.evolved, staged.lacking) == (("new",), {"new": 1})


def test_a_renamed_column_is_one_that_vanished_and_one_that_was_added(tmp_path: Path) -> None:
    staged = run(tmp_path, vanished("evolve", "cost"), b"id,cost\n1,5\n", b"id,spend\n2,6\n")
    assert rows(staged, "id", "cost", "spend") == [(1, "5", None), (2, None, "6")]
    assert staged.lacking == {"cost": 1}


@pytest.mark.parametrize(
    ("settings", "content", "missing"),
    [
        ({}, b"a,b,c\nx,y,z\n", "'id'"),
        ({"key": "id", "latest_by": "a"}, b"id,b,c\n1,y,z\n", "'a'"),
        ({}, b"<html>\n<body>\n", "'id', 'a', 'b', 'c'"),
    ],
    ids=["required", "latest_by", "no declared column"],
)
def test_what_a_table_cannot_be_without_refuses_its_file_where_the_schema_evolves(
    tmp_path: Path, settings: dict[str, Any], content: bytes, missing: str
) -> None:
    with pytest.raises(BadFile, match=f"s3://raw/0: declared columns are missing from the header: {missing}"):
        run(tmp_path, vanished("evolve", "a", "b", "c", **settings), content)


def test_a_file_without_a_declared_column_is_put_aside_or_refused_by_the_schema_policy(tmp_path: Path) -> None:
    staged = run(tmp_path, vanished("quarantine", "a"), b"id,a\n1,x\n", b"id\n2\n", b"a\ny\n")
    assert rows(staged, "id", "a") == [(1, "x")]
    assert [(r.origin, r.reason) for r in staged.refused] == [
        ("s3://raw/1", "declared columns are missing from the header: 'a'"),
        ("s3://raw/2", "declared columns are missing from the header: 'id'"),
    ]
    assert staged.lacking == {}
    with pytest.raises(PermanentFailure, match="s3://raw/1: declared columns are missing from the header: 'a'"):
        run(tmp_path, vanished("freeze", "a"), b"id,a\n1,x\n", b"id\n2\n")


def test_strict_order_is_that_of_the_columns_that_are_there(tmp_path: Path) -> None:
    columns = {"a": "string", "b": {"optional": True, "default": "-"}, "c": "string"}
    feed = contract(columns, format={"header_order": "strict"})
    assert rows(run(tmp_path, feed, b"a,c\n1,2\n"), "a", "b", "c") == [("1", "-", "2")]
    with pytest.raises(PermanentFailure, match="declared order"):
        run(tmp_path, feed, b"c,a\n1,2\n")
