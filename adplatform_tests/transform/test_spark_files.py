"""Files that executors write and read themselves: which rows they have, and which of them count."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from adplatform.platform.aws import Aws
from adplatform.transform import spark_files
from adplatform.transform.spark_files import binned, read, write
from adplatform_tests.local.aws.appflow_world import new_bucket

SCHEMA = "id bigint, name string, amount decimal(18,2), seen timestamp, reasons array<string>, day date"
INSTANT = datetime(2026, 3, 14, 15, 9, 26, 535897, UTC)
ROWS = [
    (n, f"name {n}", Decimal(n) / 4, INSTANT, ["a", "b"] if n % 2 else [], date(2026, 3, 1 + n % 3)) for n in range(300)
]


def test_rows_of_a_partition_are_in_files_of_their_own_and_come_back_as_they_were(
    tmp_path: Path, sail: SparkSession
) -> None:
    frame = sail.createDataFrame(ROWS, SCHEMA)
    files = write(frame, f"{tmp_path}/clean/", "us-east-1", "day")
    assert {file.partition for file in files} == {"2026-03-01", "2026-03-02", "2026-03-03"}
    for file in files:
        table = pq.read_table(file.uri)
        assert (table.num_rows, Path(file.uri).stat().st_size) == (file.rows, file.size)
        assert table.schema.field("seen").type == pa.timestamp("us", "UTC")
        assert {date(2026, 3, 1 + n % 3).isoformat() for n in table["id"].to_pylist()} == {file.partition}
    assert sorted(path.name for path in (tmp_path / "clean").iterdir()) == sorted(Path(f.uri).name for f in files)
    back = read(sail, files, SCHEMA.removesuffix(", day date"), "us-east-1").toArrow().to_pylist()
    names = ("id", "name", "amount", "seen", "reasons")
    assert sorted(tuple(row[name] for name in names) for row in back) == [row[:5] for row in ROWS]


def test_objects_are_written_and_read_without_anything_of_spark_in_between(
    aws: Aws, aws_endpoint: str, sail: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    bucket = new_bucket(aws)
    files = write(sail.createDataFrame(ROWS, SCHEMA), f"s3://{bucket}/x/1/quarantine/", "us-east-1")
    listed = aws.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert {(f"s3://{bucket}/{each['Key']}", each["Size"]) for each in listed} == {(f.uri, f.size) for f in files}
    assert read(sail, files, SCHEMA, "us-east-1").count() == sum(file.rows for file in files) == len(ROWS)


def test_nothing_is_written_of_no_rows(tmp_path: Path, sail: SparkSession) -> None:
    assert write(sail.createDataFrame([], SCHEMA), f"{tmp_path}/clean/", "us-east-1", "day") == ()
    assert read(sail, (), SCHEMA, "us-east-1").count() == 0


def batches(values: list[int]) -> Iterator[pa.RecordBatch]:
    for value in values:
        yield pa.RecordBatch.from_pydict({"id": [value], "day": [f"d{value}"]})


def test_more_values_than_files_may_be_open_lose_and_double_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_files, "_OPEN", 2)
    monkeypatch.setattr(spark_files, "_BUFFERED", 1)
    values = [1, 2, 3, 1, 2, 3, 3, 2, 1]
    told = [
        row
        for batch in spark_files._written(f"{tmp_path}/", "", "day", None, batches(values))
        for row in batch.to_pylist()
    ]
    found = Counter(n for each in told for n in pq.read_table(each["uri"])["id"].to_pylist())
    assert found == Counter(values)
    assert len(told) > 3
    assert all(set(pq.read_table(e["uri"])["id"].to_pylist()) == {int(e["partition"][1:])} for e in told)


def test_a_file_that_is_large_enough_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_files, "_LARGEST", 1)
    monkeypatch.setattr(spark_files, "_GROUP_ROWS", 1)
    made = spark_files._written(f"{tmp_path}/", "", "", None, batches([1, 2, 3]))
    told = [row for batch in made for row in batch.to_pylist()]
    assert [each["rows"] for each in told] == [1, 1, 1]


def test_small_files_are_read_together_and_large_ones_alone() -> None:
    assert binned([5, 5, 1, 20, 1, 1], 10) == [[0, 1], [2], [3], [4, 5]]
    assert binned([1] * 5, 10, 2) == [[0, 1], [2, 3], [4]]
    assert binned([], 10) == []
