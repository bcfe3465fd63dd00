"""Columns that are known by their bytes to hold nothing but digests; one that holds anything else never is."""

import re
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.privacy import digests
from adplatform.privacy.digests import certain_digests

GOOD = "0a" * 32
BAD = ("", "ann@example.com", GOOD[1:], GOOD + "0", GOOD.upper(), "g" * 64, "\u00e9" * 32, GOOD[:-1] + "\n")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digests") / "a.parquet"


@given(st.lists(st.sampled_from([GOOD, "9f" * 32, None, *BAD]), max_size=6))
def test_a_column_is_certain_when_each_value_is_a_digest_or_none(path: Path, values: list[str | None]) -> None:
    out = BytesIO()
    pq.write_table(pa.table({"v": pa.array(values, pa.string())}), out)
    path.write_bytes(out.getvalue())
    expected = all(value is None or re.fullmatch("[0-9a-f]{64}", value) for value in values)
    assert certain_digests([path], ["v"]) == ({"v"} if expected else set())


@pytest.mark.parametrize("bad", BAD)
def test_one_other_value_at_the_end_of_the_last_file_is_enough(
    tmp_path: Path, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_ROWS", 3)
    rows = [GOOD, None] * 10
    pq.write_table(pa.table({"good": rows, "bad": rows}), tmp_path / "0", row_group_size=7)
    pq.write_table(pa.table({"good": [*rows, None], "bad": [*rows, bad]}), tmp_path / "1", row_group_size=7)
    pq.write_table(pa.table({"good": rows}), tmp_path / "2")
    assert certain_digests([tmp_path / "0", tmp_path / "1", tmp_path / "2"], ["good", "bad"]) == {"good"}


def test_a_column_of_another_type_is_not_certain(tmp_path: Path) -> None:
    columns = {
        "binary": pa.array([GOOD.encode()]),
        "number": pa.array([1]),
        "large": pa.array([GOOD], pa.large_string()),
    }
    pq.write_table(pa.table(columns), tmp_path / "a")
    assert certain_digests([tmp_path / "a"], list(columns)) == set()
