"""A column that loses its values is reported, and one that had few to lose is not."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.lake.filled import filled, remembered, vanished
from adplatform.transform.values import Staged, StagedFile


def counts(rows: int, **values: int) -> dict[str, int]:
    return {"_source_file": rows, **values}


def test_values_are_counted_over_all_files(tmp_path: Path) -> None:
    files = []
    for number, phones in enumerate((["1", None, "2"], [None])):
        path = tmp_path / f"{number}.parquet"
        table = pa.table({"phone": pa.array(phones, pa.string()), "_source_file": ["s"] * len(phones)})
        pq.write_table(table, path)
        files.append(StagedFile(path, "", len(phones)))
    assert filled(Staged((), tuple(files), None, (), {})) == counts(4, phone=2)


@pytest.mark.parametrize(
    ("rows", "values", "share_before", "passed"),
    [
        (1, 0, 100, False),
        (5, 0, 50, True),
        (20, 0, 50, False),
        (60, 0, 5, True),
        (600, 0, 5, False),
        (600, 1, 100, True),
        (600, 0, 0, True),
        (0, 0, 100, True),
    ],
)
def test_a_column_without_values_is_reported_where_that_is_no_chance(
    rows: int, values: int, share_before: int, passed: bool
) -> None:
    finding = vanished(counts(rows, phone=values), counts(1000, phone=10 * share_before))
    assert finding.passed is passed
    if not passed:
        assert finding.description.startswith(f"no value in any of {rows} rows: phone ({share_before}% before)")


def test_a_column_that_is_declared_no_more_or_for_the_first_time_is_no_matter() -> None:
    assert vanished(counts(9), counts(9, phone=9)).passed
    assert vanished(counts(9, phone=0), counts(9)).passed
    assert vanished({}, counts(9, phone=9)).passed


def test_of_few_rows_before_all_may_have_had_a_value_by_chance() -> None:
    assert vanished(counts(1, phone=0), counts(1, phone=1)).passed
    assert not vanished(counts(50, phone=0), counts(3, phone=3)).passed


def test_what_is_lost_stays_lost_until_it_has_values_again() -> None:
    before = counts(1000, phone=500)
    lost = remembered(counts(100, phone=0), before)
    assert not vanished(counts(100, phone=0), lost).passed
    assert remembered({}, before) == before
    assert remembered(counts(100, phone=7), lost) == counts(100, phone=7)
