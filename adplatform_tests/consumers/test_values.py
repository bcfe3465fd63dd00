"""What services cannot take of the values of a delivery, as the Parquet that is published has them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.consumers.fitness import fit_for
from adplatform.consumers.values import Asked, values_of
from adplatform.contracts.consumers import ConsumerName
from adplatform.lake.audit import AuditFinding
from adplatform_tests.consumers.tables import consumed_of, feed

COLUMNS: dict[str, Any] = {
    "id": {"required": True},
    "text": "string",
    "number": "bigint",
    "at": "timestamp",
}
NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
SCHEMA = pa.schema([("id", "string"), ("text", "string"), ("number", "int64"), ("at", pa.timestamp("us", tz="UTC"))])
GOOD: dict[str, list[Any]] = {
    "id": ["a", "b"],
    "text": ["é" * 2_047, None],
    "number": [2**53 - 1, None],
    "at": [NOON, None],
}


def staged(folder: Path, *files: dict[str, list[Any]], **options: Any) -> list[Path]:
    found = []
    for number, values in enumerate(files):
        path = folder / f"{number}.parquet"
        pq.write_table(pa.table({**GOOD, **values}, schema=SCHEMA), path, **options)
        found.append(path)
    return found


def judged(files: list[Path], folder: Path, name: ConsumerName, settings: Any = None) -> AuditFinding:
    declared = feed({name: settings}, COLUMNS)
    [finding] = fit_for(consumed_of(declared), files, folder, "512MB", 1)
    return finding


MATCHING = {"unique_id": "id", "columns": {"text": "STRING"}, "rules": [{"name": "r", "match": "text"}]}
GROUP = {"record_id": "id", "event_time": "at", "features": "number"}


@pytest.mark.parametrize("name", ["athena", "redshift", "quicksight"])
def test_values_up_to_the_limits_pass(tmp_path: Path, name: ConsumerName) -> None:
    found = judged(staged(tmp_path, {}, {"text": ["x" * 2_047, ""]}), tmp_path, name)
    assert (found.passed, found.details) == (True, ())
    assert (found.name, found.description) == (f"fit_for_{name}", "nothing keeps it from reading the table")


@pytest.mark.parametrize(
    ("name", "settings", "values", "passes", "said"),
    [
        (
            "quicksight",
            None,
            {"text": ["é" * 2_048, None]},
            False,
            "column text: its longest text has 2,048 characters",
        ),
        ("quicksight", None, {"number": [1, 2**53]}, True, "column number: it has integers beyond 2^53"),
        ("redshift", None, {"text": ["é" * 32_768, ""]}, False, "column text: its longest text has 65,536 bytes"),
        (
            "athena",
            None,
            {"at": [NOON.replace(microsecond=1), NOON]},
            True,
            "column at: it has times to the microsecond",
        ),
        (
            "entity_resolution",
            MATCHING,
            {"id": ["a", "x" * 39]},
            False,
            "column id: its longest value has 39 characters",
        ),
        (
            "entity_resolution",
            MATCHING,
            {"id": ["a", None]},
            False,
            "column id: rows without one: 1, which are not matched",
        ),
        ("entity_resolution", MATCHING, {"id": ["b", "c"]}, False, "column id: values of more than one row: 2"),
        ("sagemaker", GROUP, {"id": ["a", None]}, False, "column id: rows without one: 1, which cannot be records"),
        ("sagemaker", GROUP, {}, False, "column at: rows without one: 2, which cannot be records"),
    ],
)
def test_a_value_that_a_service_cannot_take_is_found_in_any_file_and_not_shown(
    tmp_path: Path, name: ConsumerName, settings: Any, values: dict[str, Any], passes: bool, said: str
) -> None:
    found = judged(staged(tmp_path, {"id": ["c", "b"]}, values), tmp_path, name, settings)
    assert (found.passed, found.blocking) == (passes, False)
    assert said in found.description
    assert any(said.endswith(each["text"][: len(said.partition(": ")[2])]) for each in found.details)
    assert not any(str(value) in repr(found) for each in values.values() for value in each if len(str(value)) > 9)


@pytest.mark.parametrize(("values", "passes"), [(range(200), False), ([*range(199), 0], True), (range(9), True)])
def test_a_dimension_with_another_value_in_each_of_many_rows_would_let_rows_out(
    tmp_path: Path, values: list[int], passes: bool
) -> None:
    rule = {"kind": "aggregation", "aggregates": {"count": "id"}, "dimensions": "number", "minimum": {"id": 2}}
    rows = {
        "number": list(values),
        **{name: ["a"] * len(values) for name in ("id", "text")},
        "at": [NOON] * len(values),
    }
    found = judged(staged(tmp_path, rows), tmp_path, "clean_rooms", {"rule": rule})
    assert (found.passed, "column number: it has another value in each row" in found.description) == (
        passes,
        not passes,
    )


def test_what_the_footers_say_is_not_read_from_the_values(tmp_path: Path) -> None:
    """A part of a column that is smaller than the limit holds no longer text, whatever it holds."""
    files = staged(tmp_path, {}, {"text": ["x" * 3_000, None]})
    known = values_of(files, Asked({"text": 65_535}), tmp_path, "512MB", 1)
    assert (known["text"].bytes, known["text"].nulls, known["number"].high) == (None, 2, 2**53 - 1)
    assert values_of(files, Asked({"text": 4_000}), tmp_path, "512MB", 1)["text"].bytes == 4_094


def test_files_without_statistics_and_deliveries_without_files_leave_bounds_unknown(tmp_path: Path) -> None:
    found = judged(staged(tmp_path, {"number": [1, 2**60]}, write_statistics=False), tmp_path, "quicksight")
    assert found.details == ()
    assert judged([], tmp_path, "quicksight").passed
