"""A file of Parquet is read by and by, from a disk and from elsewhere, by all that goes through rows."""

import io
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.files.records import part
from adplatform.lake.parquet import selected
from adplatform.lake.quarantine import stored_rows
from adplatform.platform.parquet_files import opened
from adplatform_tests.support.plainly import PROCESSES

ROWS, GROUPS = 500, 64
MEMORY = 16 * 2**20


class Counted(io.FileIO):
    """A file that is on no disk, as far as Arrow can tell, and how much of it was read."""

    fetched = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.fetched += len(found)
        return found


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows as those of a quarantine, 32 MB in small row groups."""
    path = tmp_path_factory.mktemp("parquet") / "file"
    columns = {"source_file": "s3://raw/f", "line": 1, "byte_position": 1, "reasons": ["bad_int:id"]}
    one = {name: [value] * ROWS for name, value in columns.items()}
    texts = [f"{row:01000d}" for row in range(ROWS)]
    table = pa.table({**one, "fields": pa.nulls(ROWS, pa.string()), "raw": texts})
    with pq.ParquetWriter(path, table.schema, compression="none", use_dictionary=False) as writer:
        for _ in range(GROUPS):
            writer.write_table(table)
    return path


def test_no_more_of_a_file_is_fetched_than_the_rows_that_are_asked_for(path: Path) -> None:
    with Counted(path) as elsewhere, opened(elsewhere) as file:
        next(file.iter_batches(ROWS))
        assert 0 < elsewhere.fetched < MEMORY


def rows(path: Path, _: Path) -> None:
    with opened(path) as file:
        deque(file.iter_batches(ROWS), maxlen=0)


def quarantine(path: Path, _: Path) -> None:
    deque(stored_rows(path, Contract.model_validate({"columns": {"id": "int"}})), maxlen=0)


def columns(path: Path, target: Path) -> None:
    selected(path, ["source_file", "raw"], target)


def is_jane(text: str, _: Mapping[str, str]) -> bool:
    return text == "jane"


def without_a_person(path: Path, target: Path) -> None:
    part(path, target, None, is_jane, "a file")


@pytest.mark.parametrize("read", [rows, quarantine, columns, without_a_person])
def test_what_reads_a_file_holds_few_of_its_rows(path: Path, tmp_path: Path, read: Callable[..., None]) -> None:
    most = PROCESSES.Value("q", 0)
    child = PROCESSES.Process(target=_taken, args=(read, path, tmp_path / "target", most))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    assert 0 < most.value < MEMORY


def _taken(read: Callable[..., None], path: Path, target: Path, most: Any) -> None:
    """In a process of its own, as the memory that files are read into is only counted for a whole one."""
    read(path, target)
    most.value = pa.default_memory_pool().max_memory()
