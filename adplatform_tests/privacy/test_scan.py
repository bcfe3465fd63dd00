"""Planted personal data must be found in staged files, whoever put it there."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.privacy.outputs import pii_outputs
from adplatform.privacy.scan import Leak, LeakScan, Suspicion, scan_for_leaks

CONTRACT = Contract.model_validate(
    {
        "columns": {
            "order_id": "bigint",
            "email": {"pii": {"kind": "email", "treatment": ["lake", "short_id", "mask"]}, "field": "E-Mail"},
            "phone": {"pii": {"kind": "phone", "treatment": ["meta", "mask"], "country": "US"}},
            "city": {"pii": {"kind": "city", "treatment": ["google"]}},
            "contact": {"pii": {"kind": "email", "treatment": ["clear"]}},
            "birthday": {"pii": {"kind": "generic_id", "treatment": ["drop"]}},
            "internal": {"drop": True},
            "note": None,
        },
    }
)
GOOD: dict[str, list[Any]] = {
    "order_id": [1, 2, 3],
    "email_lake": ["0a" * 32, None, "9f" * 32],
    "email_short_id": ["0a" * 16, None, "9f" * 16],
    "email_masked": ["***@example.com", None, "***"],
    "phone_meta": ["1b" * 32, None, None],
    "phone_masked": ["***67", None, "***"],
    "city_google": ["berlin", None, "köln"],
    "contact": ["shop@example.com", None, None],
    "note": ["call back", None, "@home"],
}


def scan(tmp_path: Path, *files: dict[str, list[Any]]) -> LeakScan:
    paths = [tmp_path / f"{n}.parquet" for n in range(len(files))]
    for path, columns in zip(paths, files, strict=True):
        pq.write_table(pa.table(columns), path)
    return scan_for_leaks(paths, CONTRACT)


def test_clean_files_pass(tmp_path: Path) -> None:
    assert scan(tmp_path, GOOD, GOOD) == LeakScan((), ())


def test_what_the_rules_make_passes(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    outputs = [output for column, pii in CONTRACT.pii_columns() for output in pii_outputs(column, pii)]
    columns = ", ".join(f"{o.expression} AS {o.name}" for o in outputs)
    path = tmp_path / "out.parquet"
    con.execute(
        f"COPY (SELECT {columns} FROM (VALUES ('A@B.de', '650 555 1212', 'Köln', 'x@y.de'), (' ', NULL, '', NULL)) "
        f"t(email, phone, city, contact)) TO '{path}' (FORMAT parquet)"
    )
    assert scan_for_leaks([path], CONTRACT) == LeakScan((), ())


@pytest.mark.parametrize(
    ("column", "planted", "form"),
    [
        ("email_lake", "john@example.com", "digest"),
        ("email_lake", "0A" * 32, "digest"),
        ("email_lake", "0a" * 32 + "\n", "digest"),
        ("email_lake", "", "digest"),
        ("email_short_id", "0a" * 32, "short digest"),
        ("phone_meta", "16505551212", "digest"),
        ("email_masked", "john@example.com", "masked"),
        ("phone_masked", "***5512", "masked"),
    ],
)
def test_a_planted_value_is_found_in_the_last_file(tmp_path: Path, column: str, planted: str, form: str) -> None:
    found = scan(tmp_path, GOOD, {**GOOD, column: [None, planted, planted]})
    assert found.leaks == (Leak(column, f"is not a {form} value", 2),)
    assert not planted.strip() or planted not in repr(found)


@pytest.mark.parametrize("name", ["email", "E-Mail", "EMAIL", "phone", "city", "birthday", "internal"])
def test_a_personal_or_dropped_column_by_its_own_name_is_found_in_one_file_of_two(tmp_path: Path, name: str) -> None:
    found = scan(tmp_path, GOOD, {**GOOD, name: ["x", None, None]})
    assert [leak.column for leak in found.leaks] == [name]


def test_email_addresses_in_other_columns_are_suspicious(tmp_path: Path) -> None:
    found = scan(tmp_path, {**GOOD, "note": ["wrote to Jo.Hn@example.co.uk", "no", "a@b.de"], "extra": ["x", "y", "z"]})
    assert found == LeakScan((), (Suspicion("note", 2),))


def test_digest_columns_of_another_type_are_found(tmp_path: Path) -> None:
    found = scan(tmp_path, {**GOOD, "phone_meta": [16505551212, None, 1]})
    assert found.leaks == (Leak("phone_meta", "is not a digest value", 2),)


def test_no_files_hold_no_leaks() -> None:
    assert scan_for_leaks([], CONTRACT) == LeakScan((), ())


def test_only_texts_that_may_hold_an_address_are_searched_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(duckdb, "connect")
    monkeypatch.delattr(pc, "match_substring_regex")
    plain = {"email_lake": GOOD["email_lake"], "note": ["call back", None, "40 %"], "day": [date(2026, 3, 14)] * 3}
    assert scan(tmp_path, plain, {"note": [None, None, None]}) == LeakScan((), ())
    with pytest.raises(AttributeError, match="match_substring_regex"):
        scan(tmp_path, plain, {"note": [None, None, "write to a@b.de"]})


@pytest.mark.parametrize("address", ["a@b.de", "https://x.org/?to=a%40b.de"])
@pytest.mark.parametrize(
    "make",
    [
        lambda text: pa.array([text, "no"]),
        lambda text: pa.array(["no", text], pa.large_string()),
        lambda text: pa.array([text, "no"]).dictionary_encode(),
        lambda text: pa.array([["no", text], None]),
        lambda text: pa.array([{"at": {"who": text}}, None]),
        lambda text: pa.array([[("who", text)], None], pa.map_(pa.string(), pa.string())),
        lambda text: pa.array(["no", "more", text, "no"])[2:],
    ],
    ids=["string", "large string", "dictionary", "list", "struct", "map", "part of an array"],
)
def test_an_address_is_found_wherever_texts_are(tmp_path: Path, make: Callable[[str], pa.Array], address: str) -> None:
    paths = [tmp_path / name for name in ("0.parquet", "1.parquet")]
    pq.write_table(pa.table({"day": [date(2026, 3, 14)], "said": make("nothing")[:1]}), paths[0])
    pq.write_table(pa.table({"said": make(address)}), paths[1])
    assert scan_for_leaks(paths, CONTRACT) == LeakScan((), (Suspicion("said", 1),))
