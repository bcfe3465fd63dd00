"""Files that break or bend the contract, and what the embedded engine promises about each."""

import hashlib
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile
from adplatform.files.input_file import InputFile
from adplatform.privacy.keys import HashKey
from adplatform.privacy.rules import normalised
from adplatform.transform.compile import compile_contract, output_columns
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.values import QUARANTINE_COLUMNS, Staged
from adplatform_tests.transform import oracle
from adplatform_tests.transform.outcome import counted, quarantine_rows

LIMITS = EngineLimits("512MB")
TWO = {"id": {"type": "bigint", "required": True}, "name": "string"}


def contract(columns: Any = None, **settings: Any) -> Contract:
    return Contract.model_validate({"columns": columns or TWO, **settings})


def run(
    tmp_path: Path, feed: Contract, *contents: bytes, key: HashKey | None = None, limits: EngineLimits = LIMITS
) -> Staged:
    files = []
    for ordinal, content in enumerate(contents):
        path = tmp_path / f"input-{ordinal}"
        path.write_bytes(content)
        files.append(InputFile(path, f"s3://raw/{ordinal}", ordinal))
    return transform(feed, files, date(2026, 3, 14), key, tmp_path / "work", limits)


def rows(staged: Staged, *names: str) -> list[tuple[Any, ...]]:
    found = [row for file in staged.files for row in pq.ParquetFile(file.path).read().to_pylist()]
    return sorted((tuple(row[name] for name in names) for row in found), key=repr)


def rejects(staged: Staged) -> list[tuple[Any, ...]]:
    found = quarantine_rows([staged.quarantine] if staged.quarantine else [])
    return [(r["line"], r["byte_position"], r["reasons"], r["raw"]) for r in found]


def test_unquoted_emptiness_is_null_and_quoted_emptiness_is_text(tmp_path: Path) -> None:
    staged = run(tmp_path, contract(), b'id,name\n1,\n2,""\n')
    assert rows(staged, "id", "name") == [(1, None), (2, "")]


def test_unquoted_emptiness_is_text_where_the_contract_says_so(tmp_path: Path) -> None:
    columns = {**TWO, "late": {"optional": True}}
    feed = contract(columns, format={"empty": "text", "null_values": ["NULL"]})
    staged = run(tmp_path, feed, b'id,name\n1,\n2,""\n3,NULL\n')
    assert rows(staged, "id", "name", "late") == [(1, "", None), (2, "", None), (3, None, None)]


@pytest.mark.parametrize(
    "content",
    [
        b"id,name\n1,a\n2,b\n",
        b"id,name\r\n1,a\r\n2,b\r\n",
        b"\xef\xbb\xbfid,name\n1,a\n2,b",
        b"\n\r\n\nid,name\n\n1,a\n\n\n2,b\n\n".replace(b"\r\n", b"\n"),
        b'"id","name"\n"1","a"\n"2",b\n',
        b"name,id\na,1\nb,2\n",
    ],
    ids=["lf", "crlf", "byte order mark, no final line end", "blank lines", "quoted", "reordered"],
)
def test_ways_to_write_the_same_rows(tmp_path: Path, content: bytes) -> None:
    assert rows(run(tmp_path, contract(), content), "id", "name") == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("content", [b"", b"id,name", b"id,name\r\n", b"\xef\xbb\xbf", b"id,name\n\n\n"])
def test_a_file_without_rows_gives_an_empty_table_with_the_schema(tmp_path: Path, content: bytes) -> None:
    staged = run(tmp_path, contract(), content)
    assert [(file.rows, file.partition) for file in staged.files] == [(0, "2026-03-14")]
    assert pq.read_schema(staged.files[0].path).names == ["id", "name", "_source_file"]
    assert counted(staged.counts) == {"s3://raw/0": (0, 0, 0, 0)}


def test_no_clean_rows_and_a_data_partition_give_no_files(tmp_path: Path) -> None:
    staged = run(tmp_path, contract(partition_by="id"), b"id,name\nx,y\n")
    assert staged.files == ()
    assert staged.quarantined == 1


def test_missing_columns_are_named_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match=r"s3://raw/1: declared columns are missing from the header: 'name'"):
        run(tmp_path, contract(), b"id,name\n1,a\n", b"id\n1\n")


def test_a_file_that_lost_its_header_is_refused_without_telling_its_first_row(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure) as refused:
        run(tmp_path, contract(), b"1,Anna\n2,Ben\n")
    assert "Anna" not in str(refused.value)


def test_columns_may_have_the_names_that_sql_uses(tmp_path: Path) -> None:
    names = ("origin", "value", "v", "s", "c", "raw", "files", "latest", "reasons", "line", "order", "select", "user")
    feed = contract(
        {"id": {"type": "bigint", "required": True}} | dict.fromkeys(names, "string"), key="id", partition_by="id"
    )
    content = ",".join(("id", *names)) + "\n" + ",".join(("7", *names)) + "\n" + ",".join(("7", *names)) + "\n"
    staged = run(tmp_path, feed, content.encode())
    assert rows(staged, *names) == [names]


def test_personal_columns_may_have_the_names_that_sql_uses(tmp_path: Path) -> None:
    settings = {"pii": {"kind": "phone", "treatment": "google", "country_column": "end"}}
    feed = contract({"order": settings, "end": "string"}, key=())
    staged = run(tmp_path, feed, b"order,end\n(202) 555-0123,US\n")
    digest = hashlib.sha256(b"+12025550123").hexdigest()
    assert rows(staged, "order_google", "end") == [(digest, "US")]


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="stand twice: 'id'"):
        run(tmp_path, contract(), b"id,name,id\n1,a,2\n")


def test_strict_order_refuses_swapped_columns(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="declared order"):
        run(tmp_path, contract(format={"header_order": "strict"}), b"name,id\na,1\n")


def test_an_undeclared_column_is_refused_when_the_schema_is_frozen(tmp_path: Path) -> None:
    with pytest.raises(
        PermanentFailure, match=r"s3://raw/0: columns not declared in the contract: 'NewColumn'; declare"
    ):
        run(tmp_path, contract(), b"id,name,NewColumn\n1,a,x\n")


@pytest.mark.parametrize(
    ("policy", "header"),
    [
        ("freeze", "ann@example.com"),
        ("evolve", "ann@example.com"),
        ("evolve", "call 4915112345678"),
        # With a blank it becomes a column where people let the schema evolve.
        ("freeze", "Ann Lee"),
    ],
)
def test_what_may_be_a_value_is_called_by_its_place_in_the_header(tmp_path: Path, policy: str, header: str) -> None:
    feed = contract(schema_policy=policy)
    with pytest.raises(PermanentFailure, match=r"number 3 \(not shown, as it may be a value\)") as refused:
        run(tmp_path, feed, f"id,name,{header}\n1,a,x\n".encode())
    assert header not in str(refused.value)


def test_an_undeclared_column_becomes_text_when_the_schema_evolves(tmp_path: Path) -> None:
    staged = run(tmp_path, contract(schema_policy="evolve"), b"id,name,New Column\n1,a,x\n", b"name,id\nb,2\n")
    assert rows(staged, "id", "name", "new_column") == [(1, "a", "x"), (2, "b", None)]
    assert [c.name for c in staged.columns] == ["id", "name", "new_column", "_source_file"]


def test_an_undeclared_column_may_be_in_many_files_when_the_schema_evolves(tmp_path: Path) -> None:
    feed = contract(schema_policy="evolve")
    staged = run(tmp_path, feed, b"id,name,New Column\n1,a,x\n", b"New Column,id,name\ny,2,b\n", b"id,name\n3,c\n")
    assert rows(staged, "id", "new_column") == [(1, "x"), (2, "y"), (3, None)]


def test_two_undeclared_columns_that_would_get_one_name_are_refused_with_what_to_do(tmp_path: Path) -> None:
    feed = contract(schema_policy="evolve")
    with pytest.raises(PermanentFailure, match=r"s3://raw/1: undeclared column 'new-column'.*; declare it with field"):
        run(tmp_path, feed, b"id,name,New Column\n1,a,x\n", b"id,name,new-column\n2,b,y\n")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("DT", "would be dt in the table, which is the name of a column that the platform adds"),
        ("email_lake", "would be email_lake in the table, which is the name of what email is stored as"),
        ("E-Mail Lake previous", "would be e_mail_lake_previous in the table, which is the name of what e_mail is"),
        ("email_amazon_ads", "would be email_amazon_ads in the table, which is the name of what email is stored as"),
        ("rowid", "would be rowid in the table, which is the name of a column that the platform adds"),
        ("Secret!", "would be secret in the table, which is the name of a declared column"),
        ("Profile Id", "would be profile_id in the table, which is the name of a partition column"),
        ("x" * 128, "would have 128 characters in the table, where 127 are allowed"),
        ("\u5e7f\u544a", "has no letters a to z"),
        ("2026 sales", "has no letters a to z that it could be called by, or begins with a digit"),
        ("tab\there", "holds control characters"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
def test_a_header_that_the_table_cannot_have_is_refused_with_file_header_and_setting(
    tmp_path: Path, kind: str, header: str, why: str
) -> None:
    lake = {"pii": {"kind": "email", "treatment": ["lake", "amazon_ads"]}}
    columns = {"id": "bigint", "email": lake, "e_mail": {"pii": "email"}, "secret": {"drop": True}}
    feed = contract(columns, schema_policy="evolve", format={"kind": kind})
    record = {"id": 1, "email": "", "e_mail": "", "secret": "", header: "x"}
    match kind:
        case "csv":
            content = f"{','.join(record)}\n{','.join(map(str, record.values()))}\n".encode()
        case "ndjson":
            content = json.dumps(record).encode()
        case _:
            content = parquet({name: pa.array([value]) for name, value in record.items()})
    (tmp_path / "a").write_bytes(content)
    files = [InputFile(tmp_path / "a", "s3://raw/a", 0)]
    with pytest.raises(BadFile) as refused:
        transform(feed, files, date(2026, 3, 14), oracle.KEY, tmp_path / "work", LIMITS, reserved=("profile_id",))
    assert str(refused.value).startswith("s3://raw/a: undeclared column ")
    a_name = header.isascii() and header.isidentifier()
    assert (f"{header[:20]!r}"[:-1] if a_name else "number 5 (not shown, as it may be a value)") in str(refused.value)
    assert f"cannot be added by schema_policy: evolve: it {why}" in str(refused.value)


def test_the_longest_name_of_an_added_column_is_one_that_the_table_takes(tmp_path: Path) -> None:
    name = "x" * 127
    staged = run(tmp_path, contract(schema_policy="evolve"), f"id,name,{name}\n1,a,b\n".encode())
    assert rows(staged, name) == [("b",)]


def test_more_undeclared_columns_than_a_table_can_grow_by_refuse_the_file(tmp_path: Path) -> None:
    headers = ",".join(f"c{n}" for n in range(1_001))
    with pytest.raises(BadFile, match=r"s3://raw/0: the record in line 1 has more than 1002 columns"):
        run(tmp_path, contract(schema_policy="evolve"), f"id,name,{headers}\n".encode())
    (tmp_path / "json").mkdir()
    documents = b"".join(b'{"id": 1, "c%d": 1}\n' % n for n in range(1_001))
    feed = contract(schema_policy="evolve", format={"kind": "ndjson"})
    with pytest.raises(BadFile, match=r"s3://raw/0: undeclared column .* is one of more than 1000 that nobody"):
        run(tmp_path / "json", feed, documents)


@pytest.mark.parametrize(
    "columns",
    [
        {"email": {"pii": "email"}, "email_lake": "string"},
        {"email": {"pii": "email"}, "email_lake_previous": "string"},
        {"a_b": {"pii": "email"}, "a": "string", "a_b_lake": {"pii": {"kind": "email", "treatment": ["clear"]}}},
    ],
)
def test_two_columns_that_would_be_stored_under_one_name_are_no_contract(columns: dict[str, Any]) -> None:
    with pytest.raises(PermanentFailure, match=r"column .*: it is stored as .*, and so is .*; rename one of them"):
        compile_contract(contract(columns))


@pytest.mark.parametrize("policy", ["freeze", "evolve", "quarantine"])
@pytest.mark.parametrize("optional", [False, True])
def test_a_declared_column_whose_name_is_written_in_another_case_is_refused(
    tmp_path: Path, policy: str, optional: bool
) -> None:
    feed = contract({"id": "bigint", "name": {"field": "Name", "optional": optional}}, schema_policy=policy)
    with pytest.raises(PermanentFailure, match=r"s3://raw/0: has a column 'NAME' and no 'Name': .* \(field\)"):
        run(tmp_path, feed, b"id,NAME\n1,a\n")


def test_a_declared_column_may_be_lacking_where_another_differs_in_case_only(tmp_path: Path) -> None:
    feed = contract({"op": {"field": "Op", "optional": True, "default": "I"}, "own": {"field": "op"}})
    assert rows(run(tmp_path, feed, b"op\nx\n"), "op", "own") == [("I", "x")]


def test_a_file_with_an_undeclared_column_is_put_aside_when_the_policy_says_so(tmp_path: Path) -> None:
    staged = run(tmp_path, contract(schema_policy="quarantine"), b"id,name,extra\n1,a,x\n", b"id,name\n2,b\n")
    assert rows(staged, "id") == [(2,)]
    assert [(r.origin, r.reason) for r in staged.refused] == [
        ("s3://raw/0", "columns not declared in the contract: 'extra'")
    ]
    assert counted(staged.counts) == {"s3://raw/1": (1, 1, 0, 0)}


def test_a_file_without_header_is_read_by_position(tmp_path: Path) -> None:
    feed = contract(format={"header": False})
    assert rows(run(tmp_path, feed, b'1,"a\nb"\r\n2,c\r\n'), "id", "name") == [(1, "a\nb"), (2, "c")]


def test_lines_before_the_header_are_skipped(tmp_path: Path) -> None:
    feed = contract(format={"skip_lines": 2})
    staged = run(tmp_path, feed, b"Report\nmade, today\nid,name\n1,a\n1\n")
    assert rows(staged, "id", "name") == [(1, "a")]
    assert rejects(staged) == [(5, 31, ["column_count"], "1")]


def test_tabs_and_no_quoting(tmp_path: Path) -> None:
    feed = contract(format={"delimiter": "\t", "quote": ""})
    assert rows(run(tmp_path, feed, b'id\tname\n1\t"a\n2\t\n'), "id", "name") == [(1, '"a'), (2, None)]


def test_escape_by_backslash(tmp_path: Path) -> None:
    feed = contract(format={"escape": "\\"})
    assert rows(run(tmp_path, feed, b'id,name\n1,"a\\"b"\n'), "name") == [('a"b',)]


def test_a_line_that_is_too_long_is_one_reject(tmp_path: Path) -> None:
    staged = run(tmp_path, contract(), b"id,name\n1," + b"x" * 3_000_000 + b"\n2,b\n")
    assert rows(staged, "id") == [(2,)]
    assert [(line, position, reasons) for line, position, reasons, _ in rejects(staged)] == [(2, 8, ["line_too_long"])]


def test_carriage_returns_alone_do_not_end_lines(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="s3://raw/0: the first line cannot be read"):
        run(tmp_path, contract(), b"id,name\r1,a\r2,b\r")


def test_ties_go_to_the_later_file_and_then_to_the_later_row(tmp_path: Path) -> None:
    feed = contract(TWO | {"at": "bigint"}, key="id", latest_by="at")
    first = b"id,name,at\n1,a,5\n2,a,\n3,a,9\n4,a,\n4,b,\n"
    second = b"id,name,at\n1,b,5\n1,c,5\n2,b,\n3,b,\n"
    staged = run(tmp_path, feed, first, second)
    assert rows(staged, "id", "name") == [(1, "c"), (2, "b"), (3, "a"), (4, "b")]
    assert counted(staged.counts) == {"s3://raw/0": (5, 2, 3, 0), "s3://raw/1": (4, 2, 2, 0)}


def test_keys_are_compared_by_value(tmp_path: Path) -> None:
    staged = run(tmp_path, contract(key="id"), b"id,name\n7,a\n007,b\n+7,c\n")
    assert rows(staged, "name") == [("c",)]


def test_a_personal_key_is_compared_as_the_lake_stores_it(tmp_path: Path) -> None:
    feed = contract({"who": {"pii": "email", "required": True}, "n": "int"}, key="who")
    staged = run(tmp_path, feed, b"who,n\nA@b.com,1\n a@B.com ,2\nnot one,3\nnone either,4\n", key=oracle.KEY)
    assert rows(staged, "n") == [(2,), (3,), (4,)]


def test_values_that_come_again_have_their_digests_and_those_of_their_country(tmp_path: Path) -> None:
    phone = {"kind": "phone", "country_column": "land", "treatment": ["lake", "short_id", "mask"]}
    feed = contract({"id": "int", "tel": {"pii": phone}, "land": "string", "mail": {"pii": "email"}})
    given = [("030 123456", "DE"), ("030 123456", "IT"), ("030 123456", ""), ("", "DE"), ("none", "DE")] * 4
    content = "".join(f"{n},{tel},{land}, {land}a@b.de \n" for n, (tel, land) in enumerate(given))
    staged = run(tmp_path, feed, b"id,tel,land,mail\n" + content.encode(), key=oracle.KEY)
    plain = [normalised(Treatment.LAKE, PiiKind.PHONE, tel or None, land) for tel, land in given]
    digests = [number and oracle.KEY.hmac(number) for number in plain]
    assert {digest is None for digest in digests} == {True, False}
    found = {n: each for n, *each in rows(staged, "id", "tel_lake", "tel_short_id", "mail_lake")}
    assert found == {
        n: [digest, digest and digest[:32], oracle.KEY.hmac(f"{land.lower()}a@b.de")]
        for n, (digest, (_, land)) in enumerate(zip(digests, given, strict=True))
    }


def test_partition_values_are_given_back_as_they_are(tmp_path: Path) -> None:
    values = ["a/b", "x=y", " blank ", "ümlaut", "🚀", "..", "%2F", "x" * 400, "null"]
    content = (
        "id,name\n"
        + "".join(f'{n},"{value}"\n' for n, value in enumerate(values))
        + '97,""\n98,__HIVE_DEFAULT_PARTITION__\n'
    )
    feed = contract(TWO | {"name": {"required": True}}, partition_by="name")
    staged = run(tmp_path, feed, content.encode())
    assert sorted(file.partition for file in staged.files) == sorted(values)
    assert [c.name for c in staged.columns] == ["id", "_source_file"] == pq.read_schema(staged.files[0].path).names
    assert staged.reasons == {"bad_partition:name": 2}


def test_a_delivery_may_span_many_partitions(tmp_path: Path) -> None:
    feed = contract(TWO | {"name": {"required": True}}, partition_by="name")
    values = [f"{n:03d}{'é' * 254}" for n in range(600)]
    content = "id,name\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values))
    staged = run(tmp_path, feed, content.encode())
    assert sorted(file.partition for file in staged.files) == values
    assert staged.quarantined == 0


def test_a_computed_partition_is_judged_by_what_it_comes_to(tmp_path: Path) -> None:
    half = "x" * 257
    columns = TWO | {"region": {"expression": "concat(name, name)"}}
    staged = run(tmp_path, contract(columns, partition_by="region"), f"id,name\n1,a\n2,{half}\n3,\n".encode())
    assert [file.partition for file in staged.files] == ["aa"]
    assert staged.reasons == {"bad_partition:region": 2}


def test_dates_and_numbers_can_always_be_partitions(tmp_path: Path) -> None:
    for kind, value in (("date", "2026-03-14"), ("bigint", "-9223372036854775808"), ("int", "0")):
        feed = contract({"id": {"type": kind, "required": True}, "name": "string"}, partition_by="id")
        (tmp_path / kind).mkdir()
        staged = run(tmp_path / kind, feed, f"id,name\n{value},a\nx,b\n".encode())
        assert ([file.partition for file in staged.files], staged.reasons) == ([value], {f"bad_{kind}:id": 1})


def test_keys_that_differ_by_less_than_a_microsecond_are_not_made_one(tmp_path: Path) -> None:
    columns = {"at": {"type": "timestamp", "required": True}, "other": "timestamp"}
    texts = ["00.123456", "00.1234561", "00.123456789", "01.123456000", "02", "03.1"]
    content = "at,other\n" + "".join(f"2026-01-01 00:00:{t},2026-01-01T00:00:00.123456789Z\n" for t in texts)
    staged = run(tmp_path, contract(columns, key="at"), content.encode())
    assert staged.reasons == {"bad_timestamp:at": 2}
    assert [at.isoformat()[17:26] for (at,) in rows(staged, "at")] == [
        "00.123456",
        "01.123456",
        "02+00:00",
        "03.100000",
    ]
    assert {other.microsecond for (other,) in rows(staged, "other")} == {123456}


def test_a_key_of_minus_zero_is_that_of_zero(tmp_path: Path) -> None:
    feed = contract({"id": {"type": "double", "required": True}, "n": "double"}, key="id")
    staged = run(tmp_path, feed, b"id,n\n0.0,1\n-0.0,-0.0\n-1e-300,3\n")
    assert [str(row) for row in rows(staged, "id", "n")] == ["(-1e-300, 3.0)", "(0.0, -0.0)"]


def test_nothing_is_read_without_the_key(tmp_path: Path) -> None:
    feed = contract(TWO | {"name": {"pii": "email"}})
    with pytest.raises(PermanentFailure, match="no hashing key"):
        run(tmp_path, feed, b"id,name\n1,a@b.com\n")
    assert not (tmp_path / "work").exists()


def test_no_personal_value_reaches_the_clean_files(tmp_path: Path) -> None:
    feed = contract(TWO | {"name": {"pii": {"kind": "email", "treatment": ["lake", "meta", "mask"]}}})
    staged = run(tmp_path, feed, b"id,name\n1,anna.karenina@example.com\n", key=oracle.KEY)
    assert b"anna.karenina" not in staged.files[0].path.read_bytes()
    assert [c.name for c in staged.columns] == [c.name for c in output_columns(feed)]
    assert not list((tmp_path / "work").glob("spill*"))


def test_quarantine_has_its_columns_and_the_raw_fields(tmp_path: Path) -> None:
    staged = run(tmp_path, contract(), b'id,name\nx,"a ""b"""\n')
    assert staged.quarantine is not None
    [row] = pq.ParquetFile(staged.quarantine).read().to_pylist()
    assert tuple(row) == QUARANTINE_COLUMNS
    assert row["fields"] == '{"id":"x","name":"a \\"b\\""}'


def test_many_rows_in_little_memory_keep_their_order_and_count(tmp_path: Path) -> None:
    feed = contract(TWO | {"at": "bigint"}, key="id", latest_by="at")
    half = b"".join(b'%d,"row number %d\nof many",1\n' % (n, n) for n in range(150_000))
    staged = run(
        tmp_path,
        feed,
        b"id,name,at\n" + half,
        b"id,name,at\n" + half,
        limits=EngineLimits("64MB", temp_directory=tmp_path),
    )
    assert counted(staged.counts) == {"s3://raw/0": (150_000, 0, 150_000, 0), "s3://raw/1": (150_000, 150_000, 0, 0)}


def test_ndjson_keeps_numbers_exactly_and_bad_lines_with_their_place(tmp_path: Path) -> None:
    feed = contract(
        {"id": "bigint", "cost": "decimal(18,6)", "tiny": "double", "city": {"field": "place.city"}, "ok": "boolean"},
        format={"kind": "ndjson"},
    )
    content = (
        b'{"id": 123456789012345678, "cost": 123456789012.123456, "place": {"city": "K\\u00f6ln"}, "ok": true}\r\n'
        b'{"id": 1, "cost": 0.000001, "tiny": 1e-9}\r\n\r\n'
        b'{"id": 2, "cost": \r\n'
        b"[1]\r\n"
        b'{"id": 3, "cost": "1.50", "tiny": 0.000000123456}\r\n'
        b'{"id": \xff}\r\n'
        b"oops"
    )
    staged = run(tmp_path, feed, content)
    found = [tuple(map(str, row)) for row in rows(staged, "id", "cost", "tiny", "city", "ok")]
    assert found == [
        ("1", "0.000001", "1e-09", "None", "None"),
        ("123456789012345678", "123456789012.123456", "None", "Köln", "True"),
        ("3", "1.500000", "1.23456e-07", "None", "None"),
    ]
    lines = content.split(b"\n")
    starts = [sum(len(line) + 1 for line in lines[:n]) for n in range(len(lines))]
    assert rejects(staged) == [
        (4, starts[3], ["bad_json"], '{"id": 2, "cost": '),
        (5, starts[4], ["bad_json"], "[1]"),
        (7, starts[6], ["invalid_encoding"], '{"id": ?}'),
        (8, starts[7], ["bad_json"], "oops"),
    ]
    assert counted(staged.counts) == {"s3://raw/0": (7, 3, 0, 4)}


def test_a_line_of_json_is_read_however_deeply_it_is_nested_and_with_its_numbers_as_written(tmp_path: Path) -> None:
    deep = "[" * 5_000 + "]" * 5_000
    lines = [
        f'{{"id": 1, "name": 1.00000000000000000001, "other": {deep}}}',
        '{"id": 2, "name": {"a": [true, null, NaN, -1.50, "1.00000000000000000001", "\\"5", -Infinity]}}',
        '{"id": 3, "name": "last", "other": 1.00000000000000000001, "name": "again"}',
        f'{{"id": 4, "name": {"[" * 5_000}, 1.00000000000000000001}}',
    ]
    feed = contract({**TWO, "other": "string"}, format={"kind": "ndjson"})
    staged = run(tmp_path, feed, "\n".join(lines).encode())
    assert rows(staged, "id", "name", "other") == [
        (1, "1.00000000000000000001", deep),
        (2, '{"a":[true,null,"NaN","-1.50","1.00000000000000000001","\\"5","-Infinity"]}', None),
        (3, "last", "1.00000000000000000001"),
    ]
    assert [(line, reasons) for line, _, reasons, _ in rejects(staged)] == [(4, ["bad_json"])]


NUMBERS_NOBODY_HAS = b"".join(
    b'{"id": %b, "name": "%d"}\n' % (number, place)
    for place, number in enumerate((b"1e400", b"-1e999999", b"NaN", b"Infinity", b"9" * 5_000))
)


def test_what_json_may_say_and_no_table_can_hold_is_quarantined_line_by_line(tmp_path: Path) -> None:
    content = (
        b'{"id": 1, "name": "\\ud800"}\n{"id": 2, "\\ud800": 1}\n{"id": 3, "name": "\xed\xa0\x80"}\n'
        b'{"id": 4, "name": "a\x00"}\n{"id": 5, "name": "a\\u0000b"}\n' + NUMBERS_NOBODY_HAS
    )
    staged = run(tmp_path, contract({**TWO, "id": "double"}, format={"kind": "ndjson"}), content)
    assert rows(staged, "id", "name") == [(5.0, "a\0b")]
    places = [(line, reasons) for line, _, reasons, _ in rejects(staged)]
    assert places[:4] == [(1, ["bad_json"]), (2, ["bad_json"]), (3, ["invalid_encoding"]), (4, ["bad_json"])]
    assert places[4:] == [(line, ["bad_double:id"]) for line in range(6, 11)]
    assert staged.reasons["bad_double:id"] == 5


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("ndjson", b'{"id": 2, "name": "%b"}' % (b"x" * (17 << 20))),
        ("csv", b"2," + b"x" * (17 << 20)),
        pytest.param("csv", b'2,"' + b'some ""text""\n' * (6 << 18) + b'"', marks=pytest.mark.slow),
    ],
)
def test_a_record_that_no_engine_can_be_given_refuses_its_file_with_the_line(
    tmp_path: Path, kind: str, record: bytes
) -> None:
    good = b'{"id": 1}\n' if kind == "ndjson" else b"id,name\n"
    feed = contract({**TWO, "name": {"optional": True}}, format={"kind": kind})
    after = b"\n" + good * 2
    with pytest.raises(BadFile, match=r"s3://raw/1: the record in line 2 has more than 16 MiB"):
        run(tmp_path, feed, good, good + record + after)


def test_a_row_of_very_many_columns_refuses_its_file_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"s3://raw/0: the record in line 4 has more than 1002 columns, 1000 beyond"):
        run(tmp_path, contract(), b'id,name\n1,"a,\n""b"\n2' + b",x" * 1_000_000 + b"\n3,c\n")


def test_many_delimiters_within_quotes_are_one_field(tmp_path: Path) -> None:
    text = 'x"y",' * 3_000 + "\n" + ",x" * 3_000
    feed = contract(format={"skip_lines": 1})
    content = 'made by "us, and others\nid,name\n1,"' + text.replace('"', '""') + '"\n2,b\n'
    assert rows(run(tmp_path, feed, content.encode()), "id", "name") == [(1, text), (2, "b")]


def test_undeclared_json_members_follow_the_schema_policy(tmp_path: Path) -> None:
    content = b'{"id": 1, "name": "a"}\n{"id": 2, "new": {"a": 1}}\n'
    with pytest.raises(PermanentFailure, match="'new'"):
        run(tmp_path, contract(format={"kind": "ndjson"}), content)
    (tmp_path / "evolve").mkdir()
    staged = run(tmp_path / "evolve", contract(format={"kind": "ndjson"}, schema_policy="evolve"), content)
    assert rows(staged, "id", "name", "new") == [(1, "a", None), (2, None, '{"a":1}')]


def parquet(table: dict[str, pa.Array]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(table), sink)
    return bytes(sink.getvalue())


def test_parquet_values_pass_through_text_without_loss(tmp_path: Path) -> None:
    day, instant = date(2026, 3, 14), oracle.UPDATES[3][1]
    feed = contract(
        {
            "big": "bigint",
            "money": "decimal(18,6)",
            "noisy": "decimal(10,2)",
            "ratio": "double",
            "flag": {"type": "boolean", "true_values": ["Y"], "false_values": ["N"]},
            "day": "date",
            "at": "timestamp",
            "naive": "timestamp",
            "whole": "int",
            "text": "string",
            "euro": {"type": "decimal(10,2)", "decimal_comma": True},
        },
        format={"kind": "parquet"},
    )
    values = {
        "big": (pa.int64(), 2**63 - 1),
        "money": (pa.decimal128(18, 6), Decimal("999999999999.999999")),
        "noisy": (pa.float64(), 0.1 + 0.2),
        "ratio": (pa.float64(), 1.7976931348623157e308),
        "flag": (pa.bool_(), False),
        "day": (pa.date32(), day),
        "at": (pa.timestamp("us", "Europe/Berlin"), instant),
        "naive": (pa.timestamp("ns"), instant.replace(tzinfo=None)),
        "whole": (pa.float64(), 5.0),
        "text": (pa.string(), ""),
        "euro": (pa.decimal128(10, 2), Decimal("12.50")),
    }
    content = parquet({name: pa.array([value, None], kind) for name, (kind, value) in values.items()})
    staged = run(tmp_path, feed, content)
    assert staged.quarantined == 0
    first, second = (
        dict(zip(values, row, strict=True)) for row in sorted(rows(staged, *values), key=lambda r: r[0] is None)
    )
    expected = {name: value for name, (_, value) in values.items()}
    assert first == expected | {"noisy": Decimal("0.30"), "naive": instant, "whole": 5}
    assert set(second.values()) == {None}


def test_parquet_columns_are_checked_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    feed = contract(format={"kind": "parquet"})
    with pytest.raises(PermanentFailure, match=r"s3://raw/0: declared columns are missing from the header: 'name'"):
        run(tmp_path, feed, parquet({"id": pa.array([1])}))
    with pytest.raises(PermanentFailure, match=r"s3://raw/0: is not a readable Parquet file"):
        run(tmp_path, feed, parquet({"id": pa.array([1]), "name": pa.array(["a"])})[:-7])


def test_decimals_of_parquet_that_are_wider_than_38_digits_are_exact_or_in_quarantine(tmp_path: Path) -> None:
    columns = {"id": "int", "text": "string", "fits": "decimal(38,4)", "small": "decimal(10,2)", "tiny": "string"}
    values = [Decimal("12345678901234567890.1234"), Decimal("-0.5"), Decimal("0.001"), None]
    wide, ids = pa.array(values, pa.decimal256(60, 4)), pa.array([1, 2, 3, 4])
    small = pa.array([None, Decimal("1.50"), Decimal("0.001"), None], pa.decimal256(60, 4))
    tiny = pa.array([None, Decimal("1E-30"), None, None], pa.decimal256(60, 30))
    content = parquet({"id": ids, "text": wide, "fits": wide, "small": small, "tiny": tiny})
    staged = run(tmp_path, contract(columns, format={"kind": "parquet"}), content)
    assert rows(staged, "id", "text", "fits", "small", "tiny") == [
        (1, "12345678901234567890.1234", values[0], None, None),
        (2, "-0.5000", values[1], Decimal("1.50"), f"0.{'0' * 29}1"),
        (4, None, None, None, None),
    ]
    assert staged.reasons == {"bad_decimal:small": 1}


def test_decimals_of_parquet_that_are_too_wide_within_lists_are_refused(tmp_path: Path) -> None:
    lists = pa.array([[Decimal("1.5")]], pa.list_(pa.decimal256(60, 4)))
    with pytest.raises(PermanentFailure, match=r"s3://raw/0: column 'name' has decimals of more than 38 digits within"):
        run(tmp_path, contract(format={"kind": "parquet"}), parquet({"id": pa.array([1]), "name": lists}))


def test_columns_of_parquet_are_known_by_the_names_that_the_file_has(tmp_path: Path) -> None:
    feed = contract(
        {"a": {"field": "Op"}, "b": {"field": "op"}, "c": {"field": "op_1"}, "d": {"field": "OP"}, "nested": "string"},
        format={"kind": "parquet"},
    )
    names = ["Op", "nested", "op", "op_1", "OP"]
    columns = [pa.array(["1"]), pa.array([[{"Op": "x", "op": [1]}]]), *(pa.array([n]) for n in ("2", "3", "4"))]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, names), sink)
    assert rows(run(tmp_path, feed, bytes(sink.getvalue())), "a", "b", "c", "d") == [("1", "2", "3", "4")]


def test_a_parquet_file_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays([pa.array([1]), pa.array(["a"]), pa.array(["b"])], ["id", "name", "name"]), sink
    )
    with pytest.raises(PermanentFailure, match=r"s3://raw/0: columns stand twice: 'name'"):
        run(tmp_path, contract(format={"kind": "parquet"}, schema_policy="evolve"), bytes(sink.getvalue()))


def test_bytes_of_parquet_that_are_no_text_are_hexadecimal_digits_where_that_is_asked_for(tmp_path: Path) -> None:
    feed = contract(
        {"name": "string", "id": "string", "n": "int", "many": "string", "gone": {"drop": True}},
        format={"kind": "parquet"},
        defaults={"bytes": "hex"},
        schema_policy="evolve",
    )
    png = b"\x89PNG\xff"
    table = {
        "name": pa.array(["Bjørk".encode(), png, b"", None]),
        "id": pa.array([b"ab", b"\xc3\xa9", b"\x00\xff", None], pa.binary(2)),
        "n": pa.array([b"7", b"8", png, None]),
        "many": pa.array([[png, "é".encode()], [None], [], None]),
        "gone": pa.array([png] * 4),
        "Extra": pa.array([png] * 4),
    }
    staged = run(tmp_path, feed, parquet(table))
    assert rows(staged, "name", "id", "n", "many", "extra") == [
        ("89504e47ff", "é", 8, "[null]", "89504e47ff"),
        ("Bjørk", "ab", 7, '["89504e47ff","é"]', "89504e47ff"),
        (None, None, None, None, "89504e47ff"),
    ]
    assert staged.reasons == {"bad_int:n": 1}


LATIN = "Bjørk".encode("latin-1")


def test_rows_with_bytes_of_parquet_that_are_no_text_are_quarantined_by_the_column(tmp_path: Path) -> None:
    feed = contract(
        {
            "id": "int",
            "name": {"required": True, "pattern": "[a-z]+", "drop": True},
            "n": {"type": "int", "allowed": ["7"]},
            "many": "string",
            "picture": {"bytes": "hex"},
        },
        format={"kind": "parquet"},
        schema_policy="evolve",
        skip_rows_where="name is null and id = '5'",
    )
    table = {
        "id": pa.array([1, 2, 3, 4, 5]),
        "name": pa.array([b"a", LATIN, b"c", b"d", None]),
        "n": pa.array([b"7", b"7", LATIN, b"7", None]),
        "many": pa.array([[b"x"], None, [], [b"x", None, LATIN], [LATIN]]),
        "picture": pa.array([b"\xff"] * 5),
        "New": pa.array([b"x", b"x", b"x", LATIN, LATIN]),
    }
    staged = run(tmp_path, feed, parquet(table))
    assert rows(staged, "id", "n", "many", "picture", "new") == [(1, 7, '["x"]', "ff", "x")]
    assert staged.reasons == dict.fromkeys(("bad_bytes:name", "bad_bytes:n", "bad_bytes:many", "bad_bytes:new"), 1)
    assert (staged.left_out, staged.rows_in) == (1, 5)


def test_files_in_which_a_column_is_text_or_bytes_or_missing_are_read_together(tmp_path: Path) -> None:
    feed = contract({"id": "int", "name": {"optional": True}}, format={"kind": "parquet"})
    contents = [
        parquet({"id": pa.array([1]), "name": pa.array(["ff"])}),
        parquet({"id": pa.array([2, 3]), "name": pa.array([b"\xff", b"ff"])}),
        parquet({"id": pa.array([4])}),
    ]
    staged = run(tmp_path, feed, *contents)
    assert rows(staged, "id", "name") == [(1, "ff"), (3, "ff"), (4, None)]
    assert staged.reasons == {"bad_bytes:name": 1}


def test_bytes_within_lists_structures_and_maps_of_parquet_are_text_too(tmp_path: Path) -> None:
    feed = contract({"id": "int", "v": "string", "m": "string"}, format={"kind": "parquet"})
    table = {
        "id": pa.array([1, 2, 3, 4]),
        "v": pa.array([{"a": [{"b": "é".encode()}, None]}, {"a": [{"b": LATIN}]}, None, {"a": None}]),
        "m": pa.array([[("é".encode(), b"x")], None, [("k", LATIN)], []], pa.map_(pa.binary(), pa.binary())),
    }
    staged = run(tmp_path, feed, parquet(table))
    assert rows(staged, "id", "v", "m") == [(1, '{"a":[{"b":"é"},null]}', '{"é":"x"}'), (4, '{"a":null}', "{}")]
    assert staged.reasons == {"bad_bytes:v": 1, "bad_bytes:m": 1}
    hexadecimal = contract({"m": {"bytes": "hex"}}, format={"kind": "parquet"})
    pairs = pa.array([[(b"\xff", LATIN), (b"ff", b"2")]], pa.map_(pa.binary(), pa.binary()))
    (tmp_path / "hex").mkdir()
    assert rows(run(tmp_path / "hex", hexadecimal, parquet({"m": pairs})), "m") == [
        ('{"\\\\xFF":"426af8726b","ff":"2"}',)
    ]


def test_text_of_parquet_that_is_not_utf_8_is_refused_with_the_file_and_what_to_do(tmp_path: Path) -> None:
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
    broken = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"\xffa")])
    content = parquet({"id": pa.array([1, 2]), "name": broken})
    with pytest.raises(PermanentFailure, match=r"^s3://raw/0: column 'name', row 1, has bytes that are not UTF-8 and"):
        run(tmp_path, contract(format={"kind": "parquet"}), content)


def numbered(*, first: int = 1, last: int, **instead: str) -> bytes:
    """Records ``<n>,item <n>``, some of them written otherwise."""
    return b"id,name\n" + "".join(f"{n},{instead.get(f'r{n}', f'item {n}')}\n" for n in range(first, last + 1)).encode()


LONG = {"format": {"max_record_lines": 20}}


def test_a_quote_that_is_never_closed_refuses_the_file_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"s3://raw/0: the record in line 51 has more than 1000 lines"):
        run(tmp_path, contract(), numbered(last=1100, r50='"never closed'))


def test_two_stray_quotes_that_make_one_value_of_many_records_refuse_the_file_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"s3://raw/0: the record in line 11 has more than 20 lines"):
        run(tmp_path, contract(**LONG), numbered(last=60, r10='"27 inch', r40='the last of it"'))


def test_a_value_may_have_as_many_lines_as_the_format_allows(tmp_path: Path) -> None:
    text = "\n".join("x" * 20)
    staged = run(tmp_path, contract(**LONG), f'id,name\n1,"{text}"\n2,"a\nb"\nx,"c\nd"\n'.encode())
    assert rows(staged, "id", "name") == [(1, text), (2, "a\nb")]
    assert (staged.rows_in, staged.quarantined, staged.line_breaks) == (3, 1, 21)


@pytest.mark.parametrize("closing", ["", 'and"on'], ids=["at the end of the file", "by another stray quote"])
def test_records_that_a_stray_quote_swallows_are_counted_each_with_its_line(tmp_path: Path, closing: str) -> None:
    content = numbered(last=8, r6='"27 inch', **({"r8": closing} if closing else {}))
    staged = run(tmp_path, contract(bounds={"max_quarantined": 1}), content)
    assert [row[0] for row in rows(staged, "id")] == [1, 2, 3, 4, 5]
    assert counted(staged.counts) == {"s3://raw/0": (8, 5, 0, 3)}
    at = content.index(b"7,item 7")
    assert [(line, place, reasons) for line, place, reasons, _ in rejects(staged)] == [
        (7, at - len('6,"27 inch\n'), ["unterminated_quote"]),
        (8, at, ["swallowed_line"]),
        (9, at + 9, ["swallowed_line"]),
    ]


def test_lines_that_duckdb_loses_near_broken_quotes_are_counted(tmp_path: Path) -> None:
    content = b'id,name\n1,"a"b\n2,"q""q"\n3,"open,y\n4,"x","open\n5,"two\nlines"\n6,x\n'
    staged = run(tmp_path, contract(), content)
    assert staged.rows_in + staged.line_breaks == content.count(b"\n") - 1


def test_a_record_that_is_open_at_the_end_is_counted_where_a_value_before_it_has_an_empty_line(tmp_path: Path) -> None:
    feed = contract(bounds={"max_quarantined": 1})
    staged = run(tmp_path, feed, *[b"id,name\n1,x\n"] * 9, b'id,name\n2,"a\n\nb"\n3,"open')
    assert (staged.rows_in, staged.quarantined, staged.line_breaks) == (11, 1, 2)


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1"])
def test_a_boolean_is_spelled_as_exporters_do(tmp_path: Path, text: str) -> None:
    no = {"true": "false", "True": "False", "TRUE": "FALSE", "1": "0"}[text]
    staged = run(tmp_path, contract({"a": "boolean"}), f"a\n{text}\n{no}\ntRUE\n".encode())
    assert sorted(value for (value,) in rows(staged, "a")) == [False, True]
    assert staged.reasons == {"bad_boolean:a": 1}


def test_a_boolean_that_names_its_spellings_takes_no_others(tmp_path: Path) -> None:
    feed = contract({"a": {"type": "boolean", "true_values": ["Y"], "false_values": ["N"]}})
    assert run(tmp_path, feed, b"a\nY\nN\nTrue\n1\n").reasons == {"bad_boolean:a": 2}


def test_what_pandas_writes_of_instants_and_dates_is_read_from_parquet(tmp_path: Path) -> None:
    nanoseconds = 1_795_615_200_123_456_789
    table = pa.table(
        {
            "at": pa.array([nanoseconds, 0], pa.timestamp("ns", "Europe/Berlin")),
            "day": pa.array([1_795_564_800_000_000_000, 0], pa.timestamp("ns")),
            "id": pa.array([7.0, 8.0]),
        }
    )
    pq.write_table(table, tmp_path / "written")
    feed = contract({"at": "timestamp", "day": "date", "id": "bigint"}, format={"kind": "parquet"})
    staged = run(tmp_path, feed, (tmp_path / "written").read_bytes())
    assert rows(staged, "id", "at", "day") == [
        (7, datetime(2026, 11, 25, 14, 0, 0, 123456, UTC), date(2026, 11, 25)),
        (8, datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)),
    ]


NESTED = {"id": {"field": "campaign.id", "type": "bigint"}}


def test_undeclared_members_of_objects_that_columns_are_read_of_follow_the_schema_policy(tmp_path: Path) -> None:
    content = b'{"campaign":{"id":"1","name":"n","more":{"a":1}}}\n{"campaign":null}\n'
    with pytest.raises(PermanentFailure, match=r"'campaign\.more', 'campaign\.name'|number 2, 3"):
        run(tmp_path, contract(NESTED, format={"kind": "ndjson"}), content)
    (tmp_path / "evolve").mkdir()
    staged = run(tmp_path / "evolve", contract(NESTED, format={"kind": "ndjson"}, schema_policy="evolve"), content)
    assert rows(staged, "id", "campaign_name", "campaign_more") == [(1, "n", '{"a":1}'), (None, None, None)]


def test_an_object_that_a_column_has_as_a_whole_may_have_any_members(tmp_path: Path) -> None:
    columns = {**NESTED, "campaign": "string"}
    staged = run(tmp_path, contract(columns, format={"kind": "ndjson"}), b'{"campaign":{"id":"1","name":"n"}}\n')
    assert rows(staged, "id", "campaign") == [(1, '{"id":"1","name":"n"}')]


def test_a_number_in_a_path_is_a_place_in_an_array_or_the_name_of_a_member(tmp_path: Path) -> None:
    columns = {"first": {"field": "actions.0.value"}, "second": {"field": "actions.1.value"}}
    content = b'{"actions":[{"value":"3"},{"value":4}]}\n{"actions":{"0":{"value":"5"}}}\n{"actions":[]}\n'
    staged = run(tmp_path, contract(columns, format={"kind": "ndjson"}), content)
    assert rows(staged, "first", "second") == [("3", "4"), ("5", None), (None, None)]


def test_of_a_member_that_stands_twice_the_first_counts_whatever_else_the_line_holds(tmp_path: Path) -> None:
    columns = {"v": "int", "w": {"type": "decimal(38,20)"}, "x": {"field": "in.x", "type": "int"}}
    lines = ['"w":1.5', '"w":1.23456789012345678', '"in":{"x":1,"x":2},"in":{"x":3}']
    content = "".join(f'{{"v":1,"v":2,{line}}}\n' for line in lines).encode()
    staged = run(tmp_path, contract(columns, format={"kind": "ndjson"}), content)
    assert rows(staged, "v", "x") == [(1, 1), (1, None), (1, None)]
