from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.lake.audit import AuditFinding, audit
from adplatform.transform.values import FileCount, FooterLikeRows, Staged, StagedFile
from adplatform_tests.lake.support import columns, contract

TYPES = {"id": "bigint", "cost": "decimal(12,2)", "at": "timestamp", "note": "string"}
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("cost", pa.decimal128(12, 2)),
        ("at", pa.timestamp("us", tz="UTC")),
        ("note", pa.string()),
    ]
)
NAMES = ("row_conservation", "schema", "bounds", "no_personal_data_in_clear", "suspected_personal_data")


def delivery(directory: Path, table: pa.Table | None = None, quarantined: int = 0, **options: Any) -> Staged:
    """A delivery of which everything is in order, unless ``table`` or the ``options`` of its Parquet file are not."""
    found = table if table is not None else pa.Table.from_pylist([{"id": 1, "note": "x"}, {"id": 2}], schema=SCHEMA)
    path = directory / "part.parquet"
    pq.write_table(found, path, **{"compression": "snappy", **options})
    aside = None
    if quarantined:
        aside = directory / "quarantine.parquet"
        pq.write_table(pa.table({"source_file": ["f"] * quarantined}), aside)
    rows = found.num_rows
    count = FileCount("s3://raw/f", rows + quarantined, rows, 0, quarantined)
    reasons = {"bad_bigint:id": quarantined} if quarantined else {}
    return Staged(columns(TYPES), (StagedFile(path, "", rows),), aside, (count,), reasons)


def findings(staged: Staged, rules: Contract | None = None) -> Mapping[str, AuditFinding]:
    return {finding.name: finding for finding in audit(staged, rules or contract(TYPES))}


def failed(staged: Staged, rules: Contract | None = None) -> set[str]:
    return {name for name, finding in findings(staged, rules).items() if not finding.passed}


def test_a_good_delivery_passes_every_check_under_its_stable_name(tmp_path: Path) -> None:
    found = findings(delivery(tmp_path, quarantined=0))
    assert tuple(found) == NAMES
    assert all(finding.passed for finding in found.values())
    assert [name for name, finding in found.items() if not finding.blocking] == ["suspected_personal_data"]
    assert found["schema"].metrics["chunks_without_statistics"] == 0


def test_a_delivery_without_rows_passes(tmp_path: Path) -> None:
    assert failed(Staged(columns(TYPES), (), None, (), {})) == set()
    assert failed(delivery(tmp_path, SCHEMA.empty_table())) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda s: replace(s, counts=(replace(s.counts[0], rows_in=s.counts[0].rows_in + 1),)),
        lambda s: replace(s, files=s.files + s.files),
        lambda s: replace(s, files=()),
        lambda s: replace(s, files=(replace(s.files[0], rows=9),)),
        lambda s: replace(s, quarantine=None),
    ],
    ids=["lost on the way", "written twice", "not written", "miscounted", "quarantine lost"],
)
def test_a_row_that_is_lost_or_doubled_is_noticed(tmp_path: Path, change: Any) -> None:
    staged = delivery(tmp_path, quarantined=1)
    loose = contract(TYPES, bounds={"max_quarantined": 1})
    assert failed(staged, loose) == set()
    assert failed(change(staged), loose) == {"row_conservation"}


@pytest.mark.parametrize(
    ("table", "options", "says"),
    [
        (pa.table({"id": [1]}), {}, "lacks"),
        (SCHEMA.append(pa.field("more", pa.string())).empty_table(), {}, "adds"),
        (SCHEMA.empty_table().select(["cost", "id", "at", "note"]), {}, "out of order"),
        (SCHEMA.empty_table().set_column(0, "id", pa.array([], pa.int32())), {}, "column id is int32"),
        (SCHEMA.empty_table().set_column(2, "at", pa.array([], pa.timestamp("us"))), {}, "column at"),
        (None, {"compression": "zstd"}, "ZSTD"),
        (None, {"use_deprecated_int96_timestamps": True}, "column at"),
    ],
)
def test_files_that_differ_from_the_declared_schema_are_refused(
    tmp_path: Path, table: pa.Table | None, options: dict[str, Any], says: str
) -> None:
    staged = delivery(tmp_path, table, **options)
    assert failed(staged) == {"schema"}
    assert says in findings(staged)["schema"].description


def test_a_column_that_files_lack_is_a_warning_that_names_it(tmp_path: Path) -> None:
    found = findings(replace(delivery(tmp_path), lacking={"note": 1}))["schema"]
    assert (found.passed, found.blocking, found.metrics["columns_lacking"]) == (False, False, 1)
    assert (
        "files lack columns, whose rows have no value there: note (1 of 1 files); have them sent" in found.description
    )
    misfit = replace(delivery(tmp_path), columns=columns({**TYPES, "more": "string"}), lacking={"note": 1})
    assert findings(misfit)["schema"].blocking


def test_a_footer_behind_which_rows_seem_to_follow_is_a_warning_with_its_line(tmp_path: Path) -> None:
    staged = replace(delivery(tmp_path), footers=(FooterLikeRows("file/1", 7, 1200),))
    found = findings(staged)["row_conservation"]
    assert (found.passed, found.blocking, found.metrics["lines_behind_footers"]) == (False, False, 1200)
    assert "file/1: line 7 begins as the footer does" in found.description
    assert "of the 1,200 lines behind it, which are left out too, some have the fields of a row" in found.description
    assert findings(replace(staged, files=()))["row_conservation"].blocking


def test_row_counts_outside_the_bounds_are_refused(tmp_path: Path) -> None:
    staged = delivery(tmp_path)
    assert failed(staged, contract(TYPES, bounds={"min_rows": 3})) == {"bounds"}
    assert failed(staged, contract(TYPES, bounds={"max_rows": 1})) == {"bounds"}
    assert failed(staged, contract(TYPES, bounds={"min_rows": 2, "max_rows": 2})) == set()


def test_rows_that_are_left_out_on_purpose_are_conserved_and_count_in_no_bound(tmp_path: Path) -> None:
    whole = delivery(tmp_path, quarantined=2)
    [count] = whole.counts
    staged = replace(whole, counts=(replace(count, rows_in=count.rows_in + 96, left_out=96),))
    half = {"max_quarantined": 0.5}
    assert failed(staged, contract(TYPES, bounds={"min_rows": 4, "max_rows": 4, **half})) == set()
    assert failed(staged, contract(TYPES, bounds={"min_rows": 5, **half})) == {"bounds"}
    assert failed(staged, contract(TYPES, bounds={"max_rows": 3, **half})) == {"bounds"}
    assert failed(staged, contract(TYPES, bounds={"max_quarantined": 0.49})) == {"bounds"}
    found = findings(staged, contract(TYPES, bounds=half))
    assert (found["row_conservation"].metrics["left_out"], found["bounds"].metrics["quarantined_share"]) == (96, 0.5)
    lost = replace(staged, counts=(replace(staged.counts[0], left_out=95),))
    assert failed(lost, contract(TYPES, bounds=half)) == {"row_conservation"}


def test_too_large_a_share_of_quarantined_rows_is_refused_with_the_reason(tmp_path: Path) -> None:
    staged = delivery(tmp_path, quarantined=2)
    assert failed(staged, contract(TYPES, bounds={"max_quarantined": 0.5})) == set()
    assert failed(staged, contract(TYPES, bounds={"max_quarantined": 0.49})) == {"bounds"}
    assert "bad_bigint:id (2)" in findings(staged)["bounds"].description


def test_a_personal_value_that_was_not_hashed_is_refused_and_not_repeated(tmp_path: Path) -> None:
    rules = Contract(columns={"email": {"pii": {"kind": "email", "treatment": ["lake"]}}})
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"email_lake": ["ada@example.com", "a" * 64]}), path, compression="snappy")
    staged = Staged(
        columns({"email_lake": "string"}),
        (StagedFile(path, "", 2),),
        None,
        (FileCount("s3://raw/f", 2, 2, 0, 0),),
        {},
    )
    assert failed(staged, rules) == {"no_personal_data_in_clear"}
    finding = findings(staged, rules)["no_personal_data_in_clear"]
    assert "email_lake" in finding.description
    assert "ada" not in finding.description
    assert finding.metrics["rows"] == 1


def test_an_address_in_an_undeclared_column_is_a_suspicion_that_blocks_nothing(tmp_path: Path) -> None:
    staged = delivery(tmp_path, pa.Table.from_pylist([{"id": 1, "note": "call ada@example.com"}], schema=SCHEMA))
    suspicion = findings(staged)["suspected_personal_data"]
    assert not suspicion.passed
    assert not suspicion.blocking
    assert failed(staged) == {"suspected_personal_data"}
