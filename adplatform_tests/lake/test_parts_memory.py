"""A part works within the memory that the settings allow, however much there is of what it is compared with."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.failures import TransientFailure
from adplatform.lake.lake import Lake
from adplatform.lake.parquet import append
from adplatform.lake.parts import Added, add
from adplatform.transform.values import StagedFile
from adplatform_tests.lake.support import arrow_pool

ROWS = 400_000
PREFIX = "table-versions/s/f/1/dt=2026-03-01/"


def rows(first: int, count: int = ROWS) -> pa.Table:
    keys = [f"{number:040d}" for number in range(first, first + count)]
    return pa.table({"_source_file": ["s3://raw/f"] * count, "key": keys})


@pytest.fixture
def location(lake: Lake, temp: Path) -> str:
    """What readers see: two files, 32 MB of keys."""
    for number in range(2):
        pq.write_table(rows(number * ROWS), temp / "there", row_group_size=50_000)
        lake.store.upload(temp / "there", lake.store.zones.clean_bucket, f"{PREFIX}{number}.parquet")
    return lake.store.zones.clean_uri(PREFIX)


def added(lake: Lake, location: str, temp: Path, new: pa.Table) -> Added:
    pq.write_table(new, temp / "new")
    staged, work = StagedFile(temp / "new", "2026-03-01", new.num_rows), temp / "work"
    work.mkdir()
    return add(lake, location, 2 * ROWS, {}, [staged], new.column_names, key=["key"], latest_by=[], work=work)


def test_files_that_a_new_key_is_not_in_are_taken_over(lake: Lake, location: str, temp: Path) -> None:
    found = added(replace(lake, memory_limit="64MB", threads=1), location, temp, rows(2 * ROWS, 1000))
    assert [file.rows for file in found.carried] == [ROWS, ROWS]


def test_only_the_file_that_a_new_key_is_in_is_made_anew(lake: Lake, location: str, temp: Path) -> None:
    found = added(lake, location, temp, rows(2 * ROWS - 1, 1000))
    assert [file.key for file in found.carried] == [f"{PREFIX}0.parquet"]
    assert sum(file.rows for file in found.files) == ROWS + 999
    assert found.superseded == {"s3://raw/f": 1}


def test_keys_are_compared_within_the_memory_of_the_settings(lake: Lake, location: str, temp: Path) -> None:
    with pytest.raises(TransientFailure, match="limit of 1MB"):
        added(replace(lake, memory_limit="1MB"), location, temp, rows(2 * ROWS))


def test_the_keys_of_a_file_are_read_by_and_by(lake: Lake, location: str, temp: Path) -> None:
    new = rows(2 * ROWS, 10)
    with arrow_pool() as pool:
        added(replace(lake, threads=1), location, temp, new)
    assert pool.max_memory() < 12 * 2**20


def test_what_is_put_behind_a_file_is_not_held_in_memory(temp: Path) -> None:
    for number, name in enumerate(("one", "two")):
        pq.write_table(rows(number * ROWS), temp / name, row_group_size=20_000)
    with arrow_pool() as pool:
        append(temp / "one", temp / "two", temp / "both")
    assert pool.max_memory() < 12 * 2**20
    keys = pq.read_table(temp / "both", columns=["key"])["key"].to_pylist()
    assert (len(keys), keys[0], keys[-1]) == (2 * ROWS, f"{0:040d}", f"{2 * ROWS - 1:040d}")
