"""A computed column is as personal as what it reads."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from adplatform.contracts.model import Contract
from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.files.input_file import InputFile
from adplatform.lake.table import table_spec
from adplatform.privacy.keys import HashKey
from adplatform.transform.compile import output_columns
from adplatform.transform.duckdb_engine import EngineLimits, transform

BOTH = {"kind": "email", "treatment": ["lake", "google"]}


def contract(**columns: Any) -> Contract:
    return Contract.model_validate({"columns": {"id": "bigint", **columns}})


def computed(expression: str, **more: Any) -> dict[str, Any]:
    return {"expression": expression, **more}


def test_kind_and_treatment_are_inherited_also_by_way_of_other_columns() -> None:
    made = contract(again=computed("lower(mail)"), mail=computed("trim(email)"), email={"pii": BOTH}, n=computed("id"))
    assert [(c.name, p.kind, p.treatment) for c, p in made.pii_columns()] == [
        (name, PiiKind.EMAIL, (Treatment.LAKE, Treatment.GOOGLE)) for name in ("again", "mail", "email")
    ]
    assert Contract.model_validate_json(made.model_dump_json()) == made


def test_a_column_that_says_itself_what_it_is_stays_as_it_is() -> None:
    known = {"kind": "generic_id", "treatment": "clear"}
    made = contract(
        email={"pii": "email"},
        born={"type": "date", "drop": True},
        domain=computed("split_part(email, '@', 2)", pii=known),
        year=computed("year(born)", type="int", pii=known),
        judged=computed("length(email)", type="int", drop=True),
    )
    assert [c.name for c in output_columns(made)] == [
        "id",
        "email_lake",
        "domain",
        "year",
        "_source_file",
        "_pii_key_id",
    ]
    assert {c.name: (c.type.hive, dict(c.tags).get("pii")) for c in output_columns(made)}["year"] == (
        "int",
        "generic_id",
    )


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"s": {"drop": True}, "x": computed("s")}, "column x: its expression reads s, which is dropped"),
        ({"s": {"drop": True}, "x": computed("upper(S)")}, "column x: its expression reads s, which is dropped"),
        (
            {"s": {"drop": True}, "y": computed("s", drop=True), "x": computed("y")},
            "column x: its expression reads y, which is dropped",
        ),
        *(
            ({"s": source, "x": computed("s / 10", type=amount)}, "column x: its expression reads s, which is dropped")
            for source, amount in (
                ({"type": "bigint", "drop": True}, "bigint"),
                ({"type": "bigint", "drop": True}, "string"),
                ({"type": "string", "drop": True}, "double"),
                ({"type": "bigint", "field": "phone_number", "drop": True}, "decimal(18,2)"),
            )
        ),
        (
            {"s": {"pii": {"kind": "email", "treatment": "drop"}}, "x": computed("concat('a', s)")},
            "column x: its expression reads s, which is dropped",
        ),
        (
            {"s": {"pii": "email"}, "t": {"pii": "phone"}, "x": computed("coalesce(s, t)")},
            "column x: its expression reads s, t, which are personal in different ways",
        ),
        (
            {"s": {"pii": "email"}, "x": computed("length(s)", type="int")},
            "column x: its expression reads s, which is personal, and personal data is text",
        ),
    ],
)
def test_what_would_bring_back_hidden_values_is_refused(columns: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        contract(**columns)


def test_an_amount_is_computed_from_a_number_that_is_dropped(tmp_path: Path) -> None:
    micros = {"type": "bigint", "drop": True}
    made = contract(cost_micros=micros, cost=computed("cost_micros / 1000000", type="decimal(18,6)"))
    assert [c.name for c in output_columns(made)] == ["id", "cost", "_source_file"]
    (tmp_path / "in").write_bytes(b"id,cost_micros\n1,9007199254740993\n")
    arguments = (date(2026, 3, 14), None, tmp_path / "work", EngineLimits("512MB"))
    staged = transform(made, [InputFile(tmp_path / "in", "file:1", 0)], *arguments)
    [row] = pq.read_table(staged.files[0].path).to_pylist()
    assert row["cost"] == Decimal("9007199254.740993")


def test_a_table_is_not_partitioned_by_what_it_derives_from_a_person() -> None:
    columns = {"email": {"pii": "email"}, "part": computed("substring(email, 1, 1)")}
    with pytest.raises(ValidationError, match="partition_by part: a partition value is readable by all"):
        Contract.model_validate({"columns": columns, "partition_by": "part"})


def test_a_derived_value_is_hashed_as_the_value_itself_and_tagged_in_the_catalog(tmp_path: Path) -> None:
    made = contract(email={"pii": BOTH}, mail=computed("concat(split_part(email, '+', 1), '@b.com')"))
    (tmp_path / "in").write_bytes(b"id,email\n1,Ann@b.com\n2,ann+x@b.com\n")
    staged = transform(
        made,
        [InputFile(tmp_path / "in", "file:1", 0)],
        date(2026, 3, 14),
        HashKey("k", bytes(range(32))),
        tmp_path / "work",
        EngineLimits("512MB"),
    )
    first, second = sorted(pq.read_table(staged.files[0].path).to_pylist(), key=lambda row: row["id"])
    assert second["mail_lake"] is not None
    assert second["mail_lake"] == transform_alone(tmp_path, "ann@b.com")
    assert "ann" not in str([first, second]).lower()
    spec = table_spec("acme/orders", made, staged.columns, description="", database_prefix="clean_")
    tags = {column.name: dict(column.tags) for column in spec.columns}
    assert tags["mail_lake"] == tags["email_lake"] == {"pii": "email", "profile": "lake", "form": "digest"}


def transform_alone(tmp_path: Path, address: str) -> str:
    """The digest of an address that nothing was computed from."""
    path = tmp_path / "alone"
    path.write_text(f"id,email\n1,{address}\n")
    made = contract(email={"pii": "email"})
    arguments = (date(2026, 3, 14), HashKey("k", bytes(range(32))), tmp_path / "work-alone", EngineLimits("512MB"))
    staged = transform(made, [InputFile(path, "file:2", 0)], *arguments)
    [row] = pq.read_table(staged.files[0].path).to_pylist()
    return str(row["email_lake"])
