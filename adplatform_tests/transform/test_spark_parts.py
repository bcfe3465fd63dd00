"""Large files that several tasks of Spark read, Parquet by its row groups and text by its records: what DuckDB reads,
at the same places."""

import gzip
import hashlib
import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from adplatform.contracts.limits import Limits
from adplatform.contracts.model import Contract
from adplatform.platform.aws import Aws
from adplatform.transform import spark_parts
from adplatform.transform.job_plan import PlannedFile
from adplatform.transform.spark_job import carry_out
from adplatform.transform.spark_objects import Objects
from adplatform.transform.spark_parts import Share, parquet_part
from adplatform_tests.local.aws.appflow_world import new_bucket
from adplatform_tests.transform.both_engines import agree, compared, on_duckdb, on_spark, plan_of
from adplatform_tests.transform.test_spark_job import CASES, COLUMNS

ROWS, GROUP = 3_000, 100
KEYED: dict[str, Any] = {
    "columns": {"id": {"type": "int", "required": True}, "n": "int", "note": "string"},
    "key": ["id"],
    "format": {"kind": "parquet"},
}
PLAIN: dict[str, Any] = {"columns": {"a": "string", "b": "string"}, "format": {"kind": "parquet"}}


def packed(table: dict[str, Any], group: int = GROUP, **settings: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(table), out, row_group_size=group, **settings)
    return out.getvalue()


def numbered() -> bytes:
    """Every key is in several row groups, and the last row of it is the newest; each hundredth has none."""
    draw = random.Random(7)
    ids = [None if n % 100 == 50 else draw.randrange(500) for n in range(ROWS)]
    return packed({"id": ids, "n": list(range(ROWS)), "note": [draw.randbytes(20).hex() for _ in range(ROWS)]})


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_parts, "_PART", 16_000)


def test_row_groups_are_read_by_several_tasks_to_the_same_rows_at_the_same_places(
    aws: Aws, aws_endpoint: str, tmp_path: Path, sail: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    body, bucket = numbered(), new_bucket(aws)
    agree(*compared(sail, tmp_path, KEYED, {"a": body, "b": packed({"id": [1], "n": [0], "note": ["small"]})}))

    aws.client("s3").put_object(Bucket=bucket, Key="a", Body=body)
    file = PlannedFile(uri=f"s3://{bucket}/a", origin="a", ordinal=0, size=len(body))
    plan = plan_of(Contract.model_validate(KEYED), []).model_copy(update={"files": (file,), "region": aws.region})
    result = carry_out(sail, plan, f"{tmp_path}/out/", Objects(aws.region))

    assert result.sha256 == {"a": hashlib.sha256(body).hexdigest()}
    read = [pq.read_table(path) for path in (tmp_path / "out/received").iterdir()]
    assert len(read) > 5
    rows = [(row["_row"], int(row["c1"])) for table in read for row in table.to_pylist()]
    assert sorted(rows) == [(n + 1, n) for n in range(ROWS)]


def test_a_task_fetches_no_more_than_its_row_groups(
    aws: Aws, aws_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    body, bucket = packed({"a": [random.Random(n).randbytes(1 << 16).hex() for n in range(80)]}, 4), new_bucket(aws)
    aws.client("s3").put_object(Bucket=bucket, Key="a", Body=body)
    file = PlannedFile(uri=f"s3://{bucket}/a", origin="a", ordinal=0, size=len(body))
    found = []
    for number in range(8):
        target = tmp_path / str(number)
        part = parquet_part(Objects(aws.region), Share(0, file, number, 8), target)
        assert part is not None and part.groups is not None
        assert target.stat().st_size == len(body)
        assert target.stat().st_blocks * 512 < len(body) // 3
        found += part.groups.places
        assert pq.ParquetFile(target).read_row_groups(part.groups.places)["a"].null_count == 0
    assert found == list(range(20))


def _without_utf8(*places: tuple[str, int]) -> bytes:
    """Texts of two columns, of which those at these places are not UTF-8."""
    texts = {name: [f"{name}{n}".encode() for n in range(ROWS)] for name in ("b", "a")}
    for name, row in places:
        texts[name][row] = b"\xff"
    return packed({name: pa.array(values, pa.binary()).view(pa.string()) for name, values in texts.items()})


def _hurt(body: bytes, group: int, behind: int, content: bytes) -> bytes:
    """With other bytes so far behind where the first column of a row group begins."""
    at = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(group).column(0).data_page_offset + behind
    return body[:at] + content + body[at + len(content) :]


def _damaged() -> dict[str, bytes]:
    body = packed({name: [f"{name}{n}" for n in range(ROWS)] for name in ("a", "b")}, use_dictionary=False)
    return {
        "a page's header": _hurt(body, 17, 0, b"\xff" * 8),
        "a page's content": _hurt(body, 17, 40, b"\xff" * 60),
        "two row groups": _hurt(_hurt(body, 23, 0, b"\xff" * 8), 5, 40, b"\xff" * 60),
        "the footer": body[:-200] + b"\xff" * 100 + body[-100:],
        "the footer's length": body[:-8] + b"\xff\xff\xff\x7fPAR1",
        "the end": body[:-10],
        "no text": _without_utf8(("a", 2_411), ("b", 2_805), ("b", 2_804)),
        "another column": packed({"a": [str(n) for n in range(ROWS)], "c": [str(n) for n in range(ROWS)]}),
    }


ALWAYS = ("two row groups", "no text")


@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in _damaged()]
)
def test_what_is_wrong_with_a_file_is_said_as_of_one_that_is_read_as_a_whole(
    tmp_path: Path, sail: SparkSession, name: str
) -> None:
    embedded, spark = compared(sail, tmp_path, PLAIN, {"a": _damaged()[name]})
    [said] = embedded.bad
    assert said.startswith("file-0: ")
    if "DuckDB cannot read it" in said:
        assert spark.bad == ("file-0: is not a readable Parquet file [layout]",)
    else:
        agree(embedded, spark)


def test_a_packed_file_is_read_by_one_task(tmp_path: Path, sail: SparkSession) -> None:
    agree(*compared(sail, tmp_path, KEYED, {"a": gzip.compress(numbered())}))


def _words(lengths: Sequence[int]) -> bytes:
    """Row groups of 100 rows with one word, but for one longer one in each."""
    texts = [("x" * length if n == 7 else "y") for length in lengths for n in range(GROUP)]
    return packed({"a": texts, "b": [random.Random(n).randbytes(20).hex() for n in range(len(texts))]})


@pytest.mark.parametrize("limit", [pytest.param(40_000, marks=pytest.mark.slow), 300_000, 900_000])
def test_parts_are_held_to_the_limits_of_their_file(tmp_path: Path, sail: SparkSession, limit: int) -> None:
    limits = Limits(unpacked=limit)
    embedded, spark = compared(sail, tmp_path, PLAIN, {"a": _words([100] * 29 + [5_000])}, limits=limits)
    assert bool(embedded.bad) == (limit < 900_000)
    agree(embedded, spark)


TEXTS = [name for name, (settings, _) in CASES.items() if settings.get("format", {}).get("kind", "csv") != "json"]


@pytest.mark.slow
@pytest.mark.parametrize("part", [9, 23])
@pytest.mark.parametrize("name", TEXTS)
def test_text_is_the_same_wherever_it_may_be_cut(
    tmp_path: Path, sail: SparkSession, monkeypatch: pytest.MonkeyPatch, name: str, part: int
) -> None:
    monkeypatch.setattr(spark_parts, "_PART", part)
    settings, contents = CASES[name]
    agree(*compared(sail, tmp_path, {"columns": COLUMNS} | settings, contents))


def _records(crlf: bool) -> bytes:
    """Of all kinds that are rejected or refused, and such with line ends and doubled quotes within values."""
    kinds = (
        '{n},"a\n{n}"',
        "{n},b",
        '{n},"c ""{n}"""',
        "{n},d,e",
        "x{n},f",
        '{n},"g\n\n,{n}\n"',
        "{n}",
        "",
        '{n % 7},""',
    )
    lines = [kinds[n % len(kinds)].replace("{n % 7}", str(n % 7)).replace("{n}", str(n)) for n in range(900)]
    text = "\n".join(["id,note", *lines, ""])
    return (text.replace("\n", "\r\n") if crlf else text).encode()


@pytest.mark.parametrize("crlf", [False, True])
def test_text_is_read_by_several_tasks_to_the_same_rows_and_rejects_at_the_same_places(
    aws: Aws, aws_endpoint: str, tmp_path: Path, sail: SparkSession, monkeypatch: pytest.MonkeyPatch, crlf: bool
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    monkeypatch.setattr(spark_parts, "_PART", 1_000)
    body, bucket = _records(crlf), new_bucket(aws)
    aws.client("s3").put_object(Bucket=bucket, Key="a", Body=body)
    (tmp_path / "a").write_bytes(body)
    keyed = Contract.model_validate({"columns": COLUMNS, "key": ["id"]})
    here = plan_of(keyed, [tmp_path / "a"])
    file = here.files[0].model_copy(update={"uri": f"s3://{bucket}/a"})
    agree(
        on_duckdb(here, tmp_path / "duckdb"),
        on_spark(sail, here.model_copy(update={"files": (file,), "region": aws.region}), tmp_path / "spark"),
    )
    assert len(list((tmp_path / "spark/received").iterdir())) == -(-len(body) // 1_000)


@pytest.mark.parametrize("odd", [b'5,"a" b\n', b"6,c\r\n"])
def test_text_in_which_only_its_beginning_tells_where_records_begin_is_read_by_one_task(
    tmp_path: Path, sail: SparkSession, monkeypatch: pytest.MonkeyPatch, odd: bytes
) -> None:
    monkeypatch.setattr(spark_parts, "_PART", 1_000)
    body = _records(crlf=False)
    agree(*compared(sail, tmp_path, {"columns": COLUMNS}, {"a": body + odd + body.partition(b"\n")[2]}))
    assert len(list((tmp_path / "spark/received").iterdir())) == 1


def test_lines_of_json_are_read_by_several_tasks_to_the_same_rows_and_rejects(
    tmp_path: Path, sail: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_parts, "_PART", 1_000)
    kinds = ('{{"id":{n},"note":"a\\n{n}"}}', "{{bad {n}", "", '{{"id":"x{n}"}}', '{{"id":{n},"note":[{n}]}}')
    body = "".join(kinds[n % len(kinds)].format(n=n) + "\n" for n in range(900)).encode()
    contract = {"columns": COLUMNS, "format": {"kind": "ndjson"}}
    agree(*compared(sail, tmp_path / "good", contract, {"a": body}))
    assert len(list((tmp_path / "good/spark/received").iterdir())) > 10
    agree(*compared(sail, tmp_path / "more", contract, {"a": body + b'{"id":1,"more":2}\n'}))
