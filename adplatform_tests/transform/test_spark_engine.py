"""The Spark text of a contract on a Spark engine, against the same truth as DuckDB."""

import gzip
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession

from adplatform.contracts.limits import Limits
from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile
from adplatform.files.input_file import InputFile
from adplatform.privacy.keys import HashKey
from adplatform.privacy.recognised import holds_digits, holds_email, holds_phone, is_like_phone
from adplatform.privacy.scan import scan_for_leaks
from adplatform.transform import spark_engine, spark_job
from adplatform.transform.dialect import to_spark
from adplatform.transform.duckdb_engine import EngineLimits
from adplatform.transform.duckdb_engine import transform as duckdb_transform
from adplatform.transform.readers import read_delimited
from adplatform_tests.privacy import test_recognised as recognised
from adplatform_tests.transform import oracle
from adplatform_tests.transform.outcome import bad_values, comparable, counted, given, quarantine_rows
from adplatform_tests.transform.spellings import BAD, TABLES
from adplatform_tests.transform.test_expressions import COLUMNS, MEANINGS, RAW


@pytest.fixture(scope="module")
def sail() -> Iterator[SparkSession]:
    """A Sail server in this process: it speaks Spark's protocol and starts in a second."""
    server = SparkConnectServer(port=0)
    server.start(background=True)
    _, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
    yield session
    session.stop()
    server.stop()


def staged_raw(truth: oracle.Delivery, work: Path) -> Path:
    """What DuckDB's reader makes of the files, as Parquet of text: Sail has no reader that keeps bad records."""
    path = work / "raw.parquet"
    with duckdb.connect() as con:
        read_delimited(con, truth.contract, truth.files, work / "links")
        con.execute("create table split as select * from raw")
        con.execute(
            f"copy (select *, rowid as _row, null::varchar as _corrupt_record from split) to '{path}' (format parquet)"
        )
    return path


def clean_rows(output: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ds.dataset(output, format="parquet", partitioning="hive").to_table().to_pylist()
    for row in rows:
        if isinstance(row["day"], str):
            row["day"] = date.fromisoformat(row["day"])
    return rows


@pytest.mark.parametrize(("seed", "partition_by"), [(11, "dt"), (12, "day")])
def test_spark_text_on_sail_gives_exactly_the_truth(
    tmp_path: Path, sail: SparkSession, seed: int, partition_by: str | None
) -> None:
    truth = oracle.make(tmp_path / "in", seed, partition_by, structural=False)
    raw = sail.read.parquet(str(staged_raw(truth, tmp_path)))
    origins = {file.ordinal: file.origin for file in truth.files}

    result = spark_engine.transform(sail, truth.contract, raw, origins, oracle.KEY)
    counts = spark_engine.stage(sail, truth.contract, result, str(tmp_path / "out"))

    assert comparable(clean_rows(tmp_path / "out/clean")) == comparable(truth.clean)
    assert counted(counts) == truth.counts
    quarantined = quarantine_rows((tmp_path / "out/quarantine").glob("*.parquet"))
    assert bad_values(quarantined) == Counter((origin, reasons, given(fields)) for origin, reasons, fields in truth.bad)


def test_text_that_names_partitions_is_judged_on_spark_as_on_duckdb(tmp_path: Path, sail: SparkSession) -> None:
    partitions_are_judged(tmp_path, sail)


def partitions_are_judged(tmp_path: Path, spark: SparkSession) -> None:
    """Nothing is written: a folder of this machine has a shorter name than a partition in S3 may have."""
    truth = oracle.make(tmp_path / "in", 13, "ad", structural=False)
    raw = spark.read.parquet(str(staged_raw(truth, tmp_path)))
    origins = {file.ordinal: file.origin for file in truth.files}

    result = spark_engine.transform(spark, truth.contract, raw, origins, oracle.KEY, load_key)

    assert comparable(result.clean.toArrow().to_pylist()) == comparable(truth.clean)
    assert bad_values(result.quarantine.toArrow().to_pylist()) == Counter(
        (origin, reasons, given(fields)) for origin, reasons, fields in truth.bad
    )


def test_texts_that_exporters_write_have_the_same_values_on_spark(sail: SparkSession) -> None:
    """Each table in a column of its own, each text in a row of its own."""
    columns = {f"x{n}": settings for n, (settings, _) in enumerate(TABLES.values())}
    meant = [(f"x{n}", text, value) for n, (_, rows) in enumerate(TABLES.values()) for text, value in rows]
    raw = pa.table(
        {
            "n": [str(n) for n in range(len(meant))],
            **{
                name: pa.array([text if at == name else None for at, text, _ in meant], pa.string()) for name in columns
            },
            "_file": pa.array([0] * len(meant), pa.int32()),
            "_row": pa.array(range(len(meant)), pa.int64()),
            "_corrupt_record": pa.nulls(len(meant), pa.string()),
        }
    )
    feed = Contract.model_validate({"columns": {"n": "int", **columns}})
    result = spark_engine.transform(sail, feed, sail.createDataFrame(raw), {0: "a"}, None)

    found = {row["n"]: row for row in result.clean.toArrow().to_pylist()}
    assert {n for n, (*_, value) in enumerate(meant) if value is BAD} == found.keys() ^ set(range(len(meant)))
    for n, (name, text, value) in enumerate(meant):
        assert value is BAD or (text, found[n][name]) == (text, value)


def test_expressions_mean_on_spark_what_they_mean_on_duckdb(sail: SparkSession) -> None:
    computed = {f"x{n}": {"type": kind, "expression": text} for n, (kind, text, _) in enumerate(MEANINGS)}
    feed = Contract.model_validate({"columns": COLUMNS | computed})
    raw = sail.createDataFrame(
        [{**RAW, "_file": 0, "_row": 0}], ", ".join((*(f"{c} string" for c in RAW), "_file int, _row bigint"))
    )
    raw = raw.selectExpr("*", "cast(null as string) as _corrupt_record")
    result = spark_engine.transform(sail, feed, raw, {0: "s3://raw/a.csv"}, None)
    [row] = result.clean.collect()
    assert [row[name] for name in computed] == [value for _, _, value in MEANINGS]


def test_personal_data_is_recognised_on_spark_as_on_duckdb(sail: SparkSession) -> None:
    texts = [text for of in vars(recognised).values() if isinstance(of, tuple) for text in of if isinstance(text, str)]
    judged = ", ".join(
        (
            holds_email("v"),
            holds_phone("v"),
            is_like_phone("v", "contact"),
            is_like_phone("v", "phone"),
            holds_digits("v"),
        )
    )
    query = f"select v, {judged} from texts"
    sail.createDataFrame([(text,) for text in texts], "v string").createOrReplaceTempView("texts")
    on_spark = {tuple(row) for row in sail.sql(to_spark(query)).collect()}
    with duckdb.connect() as con:
        con.register("texts", pa.table({"v": texts}))
        assert on_spark == set(con.execute(query).fetchall())
    assert len(on_spark) > 50


def test_undeclared_columns_with_personal_data_are_kept_out_on_spark_as_on_duckdb(
    tmp_path: Path, sail: SparkSession
) -> None:
    contract = Contract.model_validate({"columns": {"id": "int"}, "schema_policy": "evolve"})
    files = []
    for ordinal, text in enumerate(("id,note,mail\n1,a,\n", "id,note,mail\nx,b,\n2,a@b.de,ask c@d.de\n3,c,\n")):
        (tmp_path / f"{ordinal}.csv").write_text(text, encoding="utf-8")
        files.append(InputFile(tmp_path / f"{ordinal}.csv", f"file-{ordinal}", ordinal))
    embedded = duckdb_transform(contract, files, date(2026, 3, 14), None, tmp_path / "work", EngineLimits("512MB"))
    with duckdb.connect() as con:
        reading = read_delimited(con, contract, files, tmp_path / "links")
        split = "select *, row_number() over () as _row, null::varchar as _corrupt_record from raw"
        con.execute(f"copy ({split}) to '{tmp_path}/raw.parquet' (format parquet)")
    accepted = reading.accepted
    frame = sail.read.parquet(f"{tmp_path}/raw.parquet")
    origins = {file.ordinal: file.origin for file in files}

    result = spark_engine.transform(sail, accepted.contract, frame, origins, None, undeclared=accepted.undeclared)

    assert result.withheld == embedded.withheld
    assert {each.column for each in result.withheld} == {"'note'", "'mail'"}
    rows = result.clean.toArrow().to_pylist()
    expected = [row for file in embedded.files for row in pq.read_table(file.path).to_pylist()]
    assert comparable(rows) == comparable(expected)
    assert [row["note"] for row in sorted(rows, key=lambda row: row["id"])] == ["a", None, None]
    assert "mail" not in rows[0]


def test_digests_under_the_previous_key_are_the_same_on_both_engines(tmp_path: Path, sail: SparkSession) -> None:
    contract = Contract.model_validate(
        {
            "columns": {
                "email": {"pii": {"kind": "email", "treatment": ["lake", "meta"]}},
                "derived": {"expression": "lower(trim(email))"},
            }
        }
    )
    previous = HashKey("before", bytes(range(90, 122)))
    file = tmp_path / "a.csv"
    file.write_text("email\nAnn@Example.com\nno address\n", encoding="utf-8")
    inputs = [InputFile(file, "s3://raw/a.csv", 0)]
    staged = duckdb_transform(contract, inputs, date(2026, 1, 1), oracle.KEY, tmp_path / "w", EngineLimits(), previous)
    raw = sail.createDataFrame(
        [("Ann@Example.com", 0, 0, None), ("no address", 0, 1, None)],
        "email string, _file int, _row bigint, _corrupt_record string",
    )
    result = spark_engine.transform(sail, contract, raw, {0: "s3://raw/a.csv"}, oracle.KEY, None, previous)
    rows = ds.dataset([str(f.path) for f in staged.files]).to_table().to_pylist()
    assert sorted(rows, key=str) == sorted((row.asDict() for row in result.clean.collect()), key=str)
    assert [c.name for c in staged.columns] == result.clean.columns
    ann = next(row for row in rows if row["email_lake"])
    digests = (oracle.KEY.hmac("ann@example.com"), previous.hmac("ann@example.com"), "before")
    assert (ann["email_lake"], ann["email_lake_previous"], ann["_pii_previous_key_id"]) == digests
    assert (ann["derived_lake"], ann["derived_meta"]) == (ann["email_lake"], ann["email_meta"])
    assert not scan_for_leaks([f.path for f in staged.files], contract).leaks


def test_rows_with_bytes_that_are_no_text_are_quarantined_by_the_column(tmp_path: Path, sail: SparkSession) -> None:
    contract = Contract.model_validate({"columns": {"id": "int", "n": {"type": "int", "required": True}}})
    rows = [("1", "7", False, 0, 1), ("2", "ff", True, 0, 2), ("3", None, None, 0, 3), ("4", "8", None, 0, 4)]
    raw = sail.createDataFrame(
        [(*row, None) for row in rows],
        "id string, n string, `n:no_text` boolean, _file int, _row bigint, _corrupt_record string",
    )
    result = spark_engine.transform(sail, contract, raw, {0: "a"}, None)
    assert [(row["id"], row["n"]) for row in result.clean.collect()] == [(1, 7), (4, 8)]
    found = {json.loads(row["fields"])["id"]: list(row["reasons"]) for row in result.quarantine.collect()}
    assert found == {"2": ["bad_bytes:n"], "3": ["required:n"]}


def test_records_that_could_not_be_split_are_quarantined_as_they_are(tmp_path: Path, sail: SparkSession) -> None:
    contract = Contract.model_validate({"columns": {"a": "int"}})
    raw = sail.createDataFrame(
        [("1", 0, 0, None), (None, 0, 1, "1,2,3"), ("x", 0, 2, None)],
        "a string, _file int, _row bigint, _corrupt_record string",
    )
    result = spark_engine.transform(sail, contract, raw, {0: "s3://raw/a.csv"}, None)
    counts = spark_engine.stage(sail, contract, result, str(tmp_path / "out"))

    assert counted(counts) == {"s3://raw/a.csv": (3, 1, 0, 2)}
    found = quarantine_rows((tmp_path / "out/quarantine").glob("*.parquet"))
    assert sorted((r["reasons"], r["raw"], r["fields"]) for r in found) == [
        (["bad_int:a"], None, '{"a":"x"}'),
        (["column_count"], "1,2,3", None),
    ]


def test_each_line_of_a_record_that_could_not_be_split_counts_as_a_row(tmp_path: Path, sail: SparkSession) -> None:
    contract = Contract.model_validate({"columns": {"a": "int", "b": "string"}})
    raw = sail.createDataFrame(
        [("1", "x", 0, 0, None), (None, None, 0, 1, '2,"never\r\n3,x\n4,y\n')],
        "a string, b string, _file int, _row bigint, _corrupt_record string",
    )
    result = spark_engine.transform(sail, contract, raw, {0: "s3://raw/a.csv"}, None)
    counts = spark_engine.stage(sail, contract, result, str(tmp_path / "out"))

    assert counted(counts) == {"s3://raw/a.csv": (4, 1, 0, 3)}
    found = quarantine_rows((tmp_path / "out/quarantine").glob("*.parquet"))
    assert sorted((r["reasons"], r["raw"]) for r in found) == [
        (["column_count"], '2,"never\r\n3,x\n4,y\n'),
        (["swallowed_line"], "3,x"),
        (["swallowed_line"], "4,y"),
    ]


@pytest.mark.parametrize("broken", [True, False], ids=["a reject", "a value"])
def test_a_record_of_too_many_lines_refuses_its_file_on_spark(tmp_path: Path, sail: SparkSession, broken: bool) -> None:
    contract = Contract.model_validate({"columns": {"b": "string"}, "format": {"max_record_lines": 3}})
    for lines, refused in ((3, False), (4, True)):
        text = "\n".join("x" * lines)
        row = (None, 0, 0, text) if broken else (text, 0, 0, None)
        others = [("good", 0, 1, None), (None, 0, 2, "a,b")]
        raw = sail.createDataFrame([row, *others], "b string, _file int, _row bigint, _corrupt_record string")
        result = spark_engine.transform(sail, contract, raw, {0: "s3://raw/a.csv"}, None)
        if refused:
            with pytest.raises(BadFile, match=r"s3://raw/a.csv: a record has more than 3 lines"):
                spark_engine.stage(sail, contract, result, str(tmp_path / str(lines)))
        else:
            spark_engine.stage(sail, contract, result, str(tmp_path / str(lines)))


def test_a_column_that_is_not_judged_has_no_value_where_it_breaks_the_contract_on_both_engines(
    tmp_path: Path, sail: SparkSession
) -> None:
    unless: dict[str, Any] = {"unless": "op = 'D'"}
    columns = [
        {"name": "op", "allowed": ["U", "D"]},
        {"name": "n", "type": "int", "min": 0, **unless},
        {"name": "t", "pattern": "[a-z]", "required": True, **unless},
        {"name": "x", "type": "int", "expression": "n + 1", "max": 5, **unless},
    ]
    contract = Contract.model_validate({"columns": columns})
    values = [("1", "a"), ("x", "a"), ("-1", "a"), ("1", "A"), ("1", None), ("9", "a")]
    given = [(op, *value) for op in ("U", "D", None) for value in values]
    file = tmp_path / "a.csv"
    file.write_text("op,n,t\n" + "".join(f"{op or ''},{n},{t or ''}\n" for op, n, t in given))
    staged = duckdb_transform(contract, [InputFile(file, "a", 0)], date(2026, 1, 1), None, tmp_path, EngineLimits())
    raw = sail.createDataFrame(
        [(*row, 0, n, None) for n, row in enumerate(given)],
        "op string, n string, t string, _file int, _row bigint, _corrupt_record string",
    )
    result = spark_engine.transform(sail, contract, raw, {0: "a"}, None)
    clean = ds.dataset([str(f.path) for f in staged.files]).to_table().to_pylist()
    assert comparable(clean) == comparable(row.asDict() for row in result.clean.collect())
    assert Counter((row["op"], row["n"], row["t"], row["x"]) for row in clean) == Counter(
        {
            ("U", 1, "a", 2): 1,
            ("D", 1, "a", 2): 1,
            ("D", None, "a", None): 2,
            ("D", 1, None, 2): 2,
            ("D", 9, "a", None): 1,
            (None, 1, "a", 2): 1,
        }
    )
    assert bad_values(quarantine_rows([staged.quarantine])) == bad_values(
        r.asDict() for r in result.quarantine.collect()
    )


@pytest.mark.parametrize(
    "condition",
    ["name = 'Total' or n is null", "name <> 'a'", "cast(n as decimal(9,2)) > 1", "not (lower(trim(name)) like 't%')"],
)
def test_rows_are_left_out_by_their_texts_on_both_engines_alike(
    tmp_path: Path, sail: SparkSession, condition: str
) -> None:
    contract = Contract.model_validate({"columns": {"name": "string", "n": "int"}, "skip_rows_where": condition})
    given = [(name, n) for name in ("a", "Total", " total", "", None) for n in ("1", "2", "1e0", "x", None)]
    file = tmp_path / "a.csv"
    file.write_text("name,n\n" + "".join(f"{'' if a is None else chr(34) + a + chr(34)},{n or ''}\n" for a, n in given))
    staged = duckdb_transform(contract, [InputFile(file, "a", 0)], date(2026, 1, 1), None, tmp_path, EngineLimits())
    raw = sail.createDataFrame(
        [(*row, 0, n, None) for n, row in enumerate(given)],
        "name string, n string, _file int, _row bigint, _corrupt_record string",
    )
    counts = spark_engine.stage(
        sail, contract, spark_engine.transform(sail, contract, raw, {0: "a"}, None), str(tmp_path / "out")
    )
    assert counts == staged.counts
    assert 0 < counts[0].left_out < len(given)
    assert comparable(ds.dataset([str(f.path) for f in staged.files]).to_table().to_pylist()) == comparable(
        ds.dataset(tmp_path / "out/clean", format="parquet").to_table().to_pylist()
    )


@pytest.mark.parametrize(
    ("settings", "first", "says"),
    [
        ({"comment": "#"}, "a", r"the Spark job leaves no lines out \(header.starts_with, comment"),
        ({"delimiter": ";"}, "sep=;", "the Spark job cannot skip the line sep="),
        ({}, "sep=;", "the Spark job cannot skip the line sep="),
        ({"header": False}, "\ufeffSEP=,", "the Spark job cannot skip the line sep="),
    ],
)
def test_lines_that_the_job_cannot_leave_out_refuse_the_delivery(
    tmp_path: Path, sail: SparkSession, settings: dict[str, Any], first: str, says: str
) -> None:
    contract = Contract.model_validate({"columns": {"a": "int"}, "format": settings})
    path = tmp_path / "a.csv"
    path.write_text(f"{first}\na\n1\n", encoding="utf-8")
    with pytest.raises(PermanentFailure, match=says):
        spark_job.run(sail, contract, [InputFile(path, "a", 0)], {0: str(path)}, str(tmp_path / "out"), None)


def test_a_contract_that_needs_a_key_does_not_run_without_one(sail: SparkSession) -> None:
    with pytest.raises(PermanentFailure, match="no hashing key"):
        spark_engine.transform(sail, oracle.contract(), sail.range(1), {}, None)


def bombs_are_refused(work: Path, spark: SparkSession) -> None:
    """What Spark finds on a disk, and what it finds elsewhere, which a second file system stands for."""
    work.mkdir()
    path = work / "bomb.parquet"
    pq.write_table(pa.table({"id": pa.array([7] * 300_000, pa.int64())}), path)
    contract = Contract.model_validate({"columns": {"id": "int"}, "format": {"kind": "parquet"}})
    text = Contract.model_validate({"columns": {"id": "int"}})
    (work / "a.csv").write_text("id\n" + "1\n" * 50, encoding="utf-8")
    for place in (str(path), f"{work}/*.parquet"):
        for limits, said in (
            (Limits(rows=299_999), "has 300,000 rows or more, and 299,999 are allowed"),
            (Limits(ratio_from=1), f"over 250 times the {path.stat().st_size:,} that were delivered"),
            (Limits(unpacked=1 << 20), "and 1MB are allowed"),
        ):
            with pytest.raises(BadFile, match=said):
                spark_job.run(
                    spark, contract, [InputFile(path, "a", 0)], {0: place}, f"{work}/out", None, limits=limits
                )
    files = [InputFile(work / "a.csv", "a", 0)]
    with pytest.raises(BadFile, match="has 51 rows or more, and 9 are allowed"):
        spark_job.run(spark, text, files, {0: f"{work}/a.csv"}, f"{work}/out", None, limits=Limits(rows=9))
    with pytest.raises(BadFile, match=r"comes to 103 bytes or more .* and 102B are allowed"):
        spark_job.run(spark, text, files, {0: f"{work}/a.csv"}, f"{work}/out", None, limits=Limits(unpacked=102))
    packed = work / "a.csv.gz"
    packed.write_bytes(gzip.compress(b"id\n" + b"1\n" * 5_000))
    for limits, said in (
        (Limits(rows=1_000), "has 5,001 rows or more, and 1,000 are allowed"),
        (Limits(unpacked=10_002), "comes to 10,003 bytes or more"),
        (Limits(ratio_from=1, ratio=2), f"over 2 times the {packed.stat().st_size:,} that were delivered"),
    ):
        with pytest.raises(BadFile, match=said):
            spark_job.run(
                spark, text, [InputFile(packed, "a", 0)], {0: str(packed)}, f"{work}/out", None, limits=limits
            )
    assert not (work / "out").exists()


def test_the_job_refuses_bombs_before_it_reads_them(sail: SparkSession, tmp_path: Path) -> None:
    bombs_are_refused(tmp_path / "bombs", sail)


@pytest.mark.slow
def test_the_job_on_real_spark_gives_exactly_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    truth = oracle.make(tmp_path / "in", 21, "day", structural=False)
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", str(tmp_path / "warehouse"))
        .getOrCreate()
    )
    files = {}
    for file in truth.files:
        files[file.ordinal] = str(shutil.copy(file.path, tmp_path / f"part-{file.ordinal}.csv"))
    try:
        output = str(tmp_path / "out")
        spark_job.run(spark, truth.contract, truth.files, files, output, oracle.KEY, load_key)
        partitions_are_judged(tmp_path / "partitions", spark)
        empty_fields_are_text(tmp_path / "empty", spark)
        parquet_is_read_as_it_is_embedded(tmp_path / "bytes", spark)
        bombs_are_refused(tmp_path / "bombs", spark)
        columns_are_found_as_embedded(tmp_path / "columns", spark)
    finally:
        spark.stop()

    assert comparable(clean_rows(tmp_path / "out/clean")) == comparable(map(as_spark_reads, truth.clean))
    quarantined = quarantine_rows((tmp_path / "out/quarantine").glob("*.parquet"))
    assert bad_values(quarantined) == Counter(
        (origin, reasons, given(as_spark_reads({**fields, "_source_file": origin})) - {("_source_file", origin)})
        for origin, reasons, fields in truth.bad
    )


def load_key() -> Any:
    return oracle.KEY


def as_spark_reads(row: dict[str, Any]) -> dict[str, Any]:
    """Spark's CSV reader makes a CRLF within quotes an LF when the file's line ends are CRLF; LF files keep it."""
    crlf = row.get("_source_file", "").endswith("part-1.csv")
    return row | {"note": row["note"].replace("\r\n", "\n")} if crlf and row["note"] else row


def empty_fields_are_text(work: Path, spark: SparkSession) -> None:
    contract = Contract.model_validate(
        {"columns": {"id": "int", "a": "string", "b": {"optional": True}}, "format": {"empty": "text"}}
    )
    work.mkdir()
    (work / "a.csv").write_text('id,a\n1,\n2,""\n', encoding="utf-8")
    files = [InputFile(work / "a.csv", "s3://raw/a.csv", 0)]
    spark_job.run(spark, contract, files, {0: str(work / "a.csv")}, str(work / "out"), None, load_key)
    rows = ds.dataset(work / "out/clean", format="parquet").to_table().to_pylist()
    assert sorted((row["id"], row["a"], row["b"]) for row in rows) == [(1, "", None), (2, "", None)]


def parquet_is_read_as_it_is_embedded(work: Path, spark: SparkSession) -> None:
    columns: dict[str, Any] = {"id": "int", "a": {"bytes": "hex"}, "b": {"field": "A"}, "c": {"pattern": "[xyz]|é"}}
    contract = Contract.model_validate({"columns": columns, "format": {"kind": "parquet"}})
    work.mkdir()
    png, e = b"\x89PNG\xff", "é".encode()
    tables = [
        {"id": [1, 2, 3, 4, 5], "a": [png, e, b"", None, b"x"], "A": list("wxyzw"), "c": [e, b"x", b"y", None, png]},
        {"id": [6], "a": ["ff"], "A": ["w"], "c": ["z"]},
    ]
    files = [InputFile(work / f"{n}.parquet", str(n), n) for n, _ in enumerate(tables)]
    for file, table in zip(files, tables, strict=True):
        pq.write_table(pa.table(table), file.path)
    spark_job.run(spark, contract, files, {file.ordinal: str(file.path) for file in files}, str(work / "out"), None)
    rows = ds.dataset(work / "out/clean", format="parquet").to_table().to_pylist()
    assert sorted((row["id"], row["a"], row["b"], row["c"]) for row in rows) == [
        (1, "89504e47ff", "w", "é"),
        (2, "é", "x", "x"),
        (3, "", "y", "y"),
        (4, None, "z", None),
        (6, "ff", "w", "z"),
    ]
    [aside] = quarantine_rows((work / "out/quarantine").glob("*.parquet"))
    assert (aside["source_file"], aside["reasons"]) == ("0", ["bad_bytes:c"])
    assert json.loads(aside["fields"])["c"] == "89504e47ff"


RENAMED: dict[str, Any] = {
    "id": {"type": "int", "required": True, "field": ["Id", "Number"]},
    "cost": {"type": "decimal(9,2)", "field": ["Cost", "Amount spent"]},
    "note": "string",
    "late": {"optional": True, "default": "-"},
}


def columns_are_found_as_embedded(work: Path, spark: SparkSession) -> None:
    contents = ['Number||AMOUNT_SPENT||note||New\n1||2.5||"x||y"||n\n', "cost||id\n3||4\n5\n6||7||8\n"]
    files = []
    for ordinal, content in enumerate(contents):
        (work / str(ordinal)).mkdir(parents=True)
        path = work / str(ordinal) / "a.csv"
        path.write_text(content, encoding="utf-8")
        files.append(InputFile(path, f"s3://raw/{ordinal}", ordinal))
    form = {"delimiter": "||", "header_match": "loose"}
    contract = Contract.model_validate({"columns": RENAMED, "format": form, "schema_policy": "evolve"})
    spark_job.run(spark, contract, files, {f.ordinal: str(f.path) for f in files}, str(work / "out"), None)
    staged = duckdb_transform(contract, files, date(2026, 1, 1), None, work / "embedded", EngineLimits())
    clean = ds.dataset([str(f.path) for f in staged.files]).to_table().to_pylist()
    assert comparable(ds.dataset(work / "out/clean", format="parquet").to_table().to_pylist()) == comparable(clean)
    assert sorted((row["id"], str(row["cost"]), row["note"], row["late"], row["new"]) for row in clean) == [
        (1, "2.50", "x||y", "-", "n"),
        (4, "3.00", None, "-", None),
    ]
    aside = [quarantine_rows((work / "out/quarantine").glob("*.parquet")), quarantine_rows([staged.quarantine])]
    assert [sorted((row["reasons"], row["raw"]) for row in found) for found in aside] == [
        [(["column_count"], "5"), (["column_count"], "6||7||8")]
    ] * 2


def test_columns_of_parquet_are_found_on_spark_as_on_duckdb(tmp_path: Path, sail: SparkSession) -> None:
    files = []
    for ordinal, columns in enumerate(
        [{"ID": [1], "Cost": ["2.5"], "note": ["x"]}, {"number": [4, 5], "amountSpent": ["3", "x"]}]
    ):
        path = tmp_path / f"{ordinal}.parquet"
        pq.write_table(pa.table(columns), path)
        files.append(InputFile(path, f"s3://raw/{ordinal}", ordinal))
    form = {"kind": "parquet", "header_match": "loose"}
    contract = Contract.model_validate({"columns": RENAMED, "format": form, "schema_policy": "evolve"})
    spark_job.run(sail, contract, files, {f.ordinal: str(f.path) for f in files}, str(tmp_path / "out"), None)
    staged = duckdb_transform(contract, files, date(2026, 1, 1), None, tmp_path / "embedded", EngineLimits())
    clean = ds.dataset([str(f.path) for f in staged.files]).to_table().to_pylist()
    assert comparable(ds.dataset(tmp_path / "out/clean", format="parquet").to_table().to_pylist()) == comparable(clean)
    assert sorted((row["id"], str(row["cost"]), row["note"], row["late"]) for row in clean) == [
        (1, "2.50", "x", "-"),
        (4, "3.00", None, "-"),
    ]


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        ({"ragged_rows": "pad"}, "id,note\n1\n", "the Spark job cannot read ragged_rows: pad; use the embedded engine"),
        ({}, "id,note,\n1,x,\n", "s3://raw/a.csv: the header ends with a column without a name, which the Spark job"),
    ],
)
def test_what_the_job_does_not_read_as_duckdb_does_is_refused(
    tmp_path: Path, sail: SparkSession, form: dict[str, Any], content: str, said: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8")
    contract = Contract.model_validate({"columns": {"id": "int", "note": "string"}, "format": form})
    with pytest.raises(PermanentFailure, match=said):
        spark_job.run(sail, contract, [InputFile(path, "s3://raw/a.csv", 0)], {0: str(path)}, f"{tmp_path}/out", None)
