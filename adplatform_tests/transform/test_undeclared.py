"""Personal data in columns that nobody declared, where the contract lets the schema evolve."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile
from adplatform.files.unpack import unpack
from adplatform.lake.audit import audit
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.undeclared import judged
from adplatform.transform.values import Staged, Withheld
from adplatform_tests.transform.outcome import quarantine_rows

Row = Mapping[str, Any]
MAIL, PHONE = "ann@example.com", "+49 170 1234567"


def written(kind: str, rows: Sequence[Row]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    match kind:
        case "csv":
            lines = [",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in rows)]
            return "\n".join([*lines, ""]).encode()
        case "json":
            return json.dumps(rows).encode()
        case "ndjson":
            return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        case _:
            sink = pa.BufferOutputStream()
            pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), sink)
            return bytes(sink.getvalue())


def run(tmp_path: Path, kind: str, *files: Sequence[Row], **settings: Any) -> Staged:
    contract = Contract.model_validate(
        {"columns": {"id": "int"}, "schema_policy": "evolve", "format": {"kind": kind}, **settings}
    )
    inputs: list[InputFile] = []
    for ordinal, rows in enumerate(files):
        delivered, work = tmp_path / f"delivered-{ordinal}", tmp_path / f"unpacked-{ordinal}"
        delivered.write_bytes(written(kind, rows))
        work.mkdir()
        inputs += unpack(delivered, f"file-{ordinal}", contract.format, work, ordinal)
    return transform(contract, inputs, date(2026, 3, 14), None, tmp_path / "work", EngineLimits("512MB"))


def stored(staged: Staged) -> list[Row]:
    found = [row for file in staged.files for row in pq.ParquetFile(file.path).read().to_pylist()]
    return sorted(({k: v for k, v in row.items() if k != "_source_file"} for row in found), key=lambda row: row["id"])


@pytest.mark.parametrize("kind", ["csv", "json", "ndjson", "parquet"])
def test_an_undeclared_column_with_addresses_or_phone_numbers_is_not_stored(tmp_path: Path, kind: str) -> None:
    rows = [
        {"id": 1, "note": "fine", "mail": "", "phone": PHONE, "campaign": "12345678901", "seen": "2026-03-14"},
        {"id": 2, "note": "fine", "mail": f"ask {MAIL}", "phone": "", "campaign": "12345678902", "seen": "2026-03-15"},
    ]
    staged = run(tmp_path, kind, rows)
    assert [set(row) for row in stored(staged)] == [{"id", "note", "campaign", "seen"}] * 2
    assert set(staged.withheld) == {Withheld("'mail'", 1, 0), Withheld("'phone'", 0, 1)}
    assert staged.clean == 2


@pytest.mark.parametrize("kind", ["json", "ndjson"])
def test_members_within_others_are_looked_at_too(tmp_path: Path, kind: str) -> None:
    columns = {"id": "int", "name": {"field": "who.name"}}
    rows = [{"id": 1, "who": {"name": "a", "mail": MAIL, "age": 3}, "more": {"deep": [{"to": MAIL}]}}]
    staged = run(tmp_path, kind, rows, columns=columns)
    assert stored(staged) == [{"id": 1, "name": "a", "who_age": "3"}]
    assert {each.column for each in staged.withheld} == {"'who.mail'", "'more'"}


def test_each_file_is_judged_by_itself(tmp_path: Path) -> None:
    files = [[{"id": 1, "note": "a"}], [{"id": 2, "note": MAIL}, {"id": 3, "note": "b"}], [{"id": 4, "note": "c"}]]
    staged = run(tmp_path, "csv", *files)
    assert [row["note"] for row in stored(staged)] == ["a", None, None, "c"]
    assert staged.withheld == (Withheld("'note'", 1, 0),)


def test_phone_numbers_count_where_most_values_with_digits_are_written_so(tmp_path: Path) -> None:
    values = {"few": ["0170 1234567", "12", "13"], "most": ["0170 1234567", "unknown", "n/a"]}
    rows = [{"id": n, "few": values["few"][n], "most": values["most"][n]} for n in range(3)]
    staged = run(tmp_path, "csv", rows)
    assert staged.withheld == (Withheld("'most'", 0, 1),)
    assert [row["few"] for row in stored(staged)] == values["few"]


def test_the_conditions_are_planned_once_however_many_columns_there_are() -> None:
    def asked(columns: int) -> list[str]:
        names = [f"extra_{n}" for n in range(columns)]
        contract = Contract.model_validate({"columns": dict.fromkeys(names, "string"), "schema_policy": "evolve"})
        queries: list[str] = []
        with duckdb.connect() as con:
            values = ", ".join(f"'{MAIL}' as {name}" for name in names)
            con.execute(f"create table t as select 0 as _file, {values}")

            def ask(sql: str) -> Sequence[Sequence[Any]]:
                queries.append(sql)
                return con.execute(sql).fetchall()

            out = judged(contract, {name: name for name in names}, "t", ask, typed=True)
        assert [each.emails for each in out.withheld] == [1] * columns
        return queries

    few, many = asked(1), asked(300)
    assert len(many) == len(few) == 2
    assert [sql.count("regexp") for sql in many] == [sql.count("regexp") for sql in few]


def test_only_what_is_worth_a_look_is_counted() -> None:
    contract = Contract.model_validate({"columns": {"note": "string", "seen": "string"}, "schema_policy": "evolve"})
    queries: list[str] = []
    with duckdb.connect() as con:
        con.execute("create table t as select 0 as _file, 'n' || range as note, '2026-03-14' as seen from range(500)")
        con.execute("insert into t values (0, ?, '2026-03-14'), (0, '@nobody', '2026-03-14')", [MAIL])

        def ask(sql: str) -> Sequence[Sequence[Any]]:
            queries.append(sql)
            return con.execute(sql).fetchall()

        judged(contract, {"note": "note", "seen": "seen"}, "t", ask, typed=True)
        [[_, explained]] = con.execute(f"explain (analyze, format json) {queries[0]}").fetchall()
    [root] = json.loads(explained)["operator"]
    assert 2 in [rows for name, rows in operators(root) if name == "FILTER"]
    assert "seen" not in queries[1]


def test_a_column_that_some_rows_tell_in_every_file_is_not_looked_at_in_all() -> None:
    names = ["mail", "rare", "half", "like", "plain"]
    contract = Contract.model_validate({"columns": dict.fromkeys(names, "string"), "schema_policy": "evolve"})
    queries: list[str] = []
    with duckdb.connect() as con:
        con.execute(
            f"create table t as select range % 2 as _file, range as n, '{MAIL}' as mail, 'x' || range as plain,"
            f" case when range = 7 then '{MAIL}' else 'x' end as rare,"
            f" case when range % 2 = 0 then '{MAIL}' end as half, '(030) 123456' || range % 10 as like from range(1000)"
        )

        def ask(sql: str) -> Sequence[Sequence[Any]]:
            queries.append(sql)
            return con.execute(sql).fetchall()

        shown = {name: name for name in names}
        out = judged(contract, shown, "t", ask, typed=True, some="(select * from t where n % 100 < 2)")
        assert not any("mail" in sql for sql in queries if "from t)" in sql)
        whole = judged(contract, shown, "t", ask, typed=True)
    assert out.withheld == (
        Withheld("mail", 20, 0, at_least=True),
        Withheld("rare", 1, 0),
        Withheld("half", 500, 0),
        Withheld("like", 0, 1000),
    )
    assert (out.contract, out.files) == (whole.contract, whole.files)
    assert "mail has an e-mail address in at least 20 rows" in str(out.withheld[0])


def test_of_many_rows_some_tell_what_a_column_holds(tmp_path: Path) -> None:
    rows = [{"id": n, "mail": MAIL, "once": MAIL if n == 77_777 else "x"} for n in range(90_000)]
    staged = run(tmp_path, "csv", rows)
    [mail, once] = staged.withheld
    assert (mail.column, once) == ("'mail'", Withheld("'once'", 1, 0))
    assert mail.at_least
    assert 20_000 <= mail.emails < 90_000
    assert {column.name for column in staged.columns} == {"id", "_source_file"}


def operators(plan: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The operators of an analysed plan, with how many rows they gave."""
    yield plan["type"], plan["intermediate_rows"]
    for child in plan.get("children", ()):
        yield from operators(child)


def test_values_are_stored_where_the_contract_says_so(tmp_path: Path) -> None:
    staged = run(tmp_path, "csv", [{"id": 1, "mail": MAIL}], undeclared_personal="clear")
    assert stored(staged) == [{"id": 1, "mail": MAIL}]
    assert staged.withheld == ()


def test_what_else_is_in_the_rows_of_such_a_column_is_judged_and_kept_as_ever(tmp_path: Path) -> None:
    rows = [{"id": 1, "mail": MAIL}, {"id": "x", "mail": "bob@example.com"}, {"id": 1, "mail": "later"}]
    staged = run(tmp_path, "csv", rows, columns={"id": {"type": "int", "required": True}}, key="id")
    assert stored(staged) == [{"id": 1}]
    assert (staged.rows_in, staged.clean, staged.superseded, staged.quarantined) == (3, 1, 1, 1)
    assert staged.withheld == (Withheld("'mail'", 2, 0),)
    [aside] = quarantine_rows([staged.quarantine] if staged.quarantine else [])
    assert json.loads(aside["fields"]) == {"id": "x", "mail": "bob@example.com"}


def test_the_audit_warns_with_column_count_and_what_to_declare(tmp_path: Path) -> None:
    staged = run(tmp_path, "csv", [{"id": 1, "mail": MAIL, "Of whom": PHONE}])
    contract = Contract.model_validate({"columns": {"id": "int"}, "schema_policy": "evolve"})
    found = {finding.name: finding for finding in audit(staged, contract)}
    warning = found.pop("suspected_personal_data")
    assert all(finding.passed for finding in found.values())
    assert (warning.passed, warning.blocking) == (False, False)
    assert "undeclared column 'mail' has an e-mail address in 1 row and is not stored" in warning.description
    assert "pii: email" in warning.description
    assert "undeclared column number 3 (not shown, as it may be a value) has a phone number" in warning.description
    assert "undeclared_personal: clear" in warning.description
    assert MAIL not in warning.description
    assert (warning.metrics["columns_withheld"], warning.metrics["rows_withheld"]) == (2, 2)
