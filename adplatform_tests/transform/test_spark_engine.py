"""The Spark text of a contract on a Spark engine, against the same truth as DuckDB."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.files.input_file import InputFile
from adplatform.privacy.keys import HashKey
from adplatform.privacy.recognised import holds_digits, holds_email, holds_phone, is_like_phone
from adplatform.privacy.scan import scan_for_leaks
from adplatform.transform import spark_engine, spark_files
from adplatform.transform.dialect import to_spark
from adplatform.transform.duckdb_engine import EngineLimits
from adplatform.transform.duckdb_engine import transform as duckdb_transform
from adplatform.transform.job_plan import WrittenFile
from adplatform.transform.readers import read_delimited
from adplatform_tests.privacy import test_recognised as recognised
from adplatform_tests.transform import oracle
from adplatform_tests.transform.outcome import bad_values, comparable, counted, given, quarantine_rows
from adplatform_tests.transform.spellings import BAD, TABLES
from adplatform_tests.transform.test_expressions import COLUMNS, MEANINGS, RAW


def staged_raw(truth: oracle.Delivery, work: Path) -> Path:
    """What DuckDB's reader makes of the files, as Parquet of text: Sail has no reader that keeps bad records."""
    path = work / "raw.parquet"
    with duckdb.connect() as con:
        read_delimited(con, truth.contract, truth.files, work / "links")
        con.execute("create table split as select * from raw")
        con.execute(
            f"copy (select *, rowid as _row, null::bigint as \"line:\" from split) to '{path}' (format parquet)"
        )
    return path


def clean_rows(files: Sequence[WrittenFile], partition_by: str | None) -> list[dict[str, Any]]:
    rows = []
    for file in files:
        own = {"day": date.fromisoformat(file.partition)} if partition_by == "day" else {}
        rows += [row | own for row in pq.ParquetFile(file.uri).read().to_pylist()]
    return rows


def kept(spark: SparkSession, work: Path) -> Callable[[DataFrame], DataFrame]:
    """As the job does it: otherwise engines plan the validation anew for each use."""

    def keep(frame: DataFrame) -> DataFrame:
        files = spark_files.write(frame, f"{work}/validated/", "us-east-1")
        return spark_files.read(spark, files, frame.schema.toDDL(), "us-east-1")

    return keep


@pytest.mark.parametrize(("seed", "partition_by"), [pytest.param(11, "dt", marks=pytest.mark.slow), (12, "day")])
def test_spark_text_on_sail_gives_exactly_the_truth(
    tmp_path: Path, sail: SparkSession, seed: int, partition_by: str | None
) -> None:
    truth = oracle.make(tmp_path / "in", seed, partition_by, structural=False)
    raw = sail.read.parquet(str(staged_raw(truth, tmp_path)))
    origins = {file.ordinal: file.origin for file in truth.files}

    result = spark_engine.transform(sail, truth.contract, raw, origins, oracle.KEY, keep=kept(sail, tmp_path))
    stages = spark_engine.stage(sail, result, f"{tmp_path}/out/", "us-east-1", origins)

    assert comparable(clean_rows(stages.clean, partition_by)) == comparable(truth.clean)
    assert counted(stages.counts) == truth.counts
    quarantined = quarantine_rows(Path(file.uri) for file in stages.quarantine)
    assert bad_values(quarantined) == Counter((origin, reasons, given(fields)) for origin, reasons, fields in truth.bad)


def test_text_that_names_partitions_is_judged_on_spark_as_on_duckdb(tmp_path: Path, sail: SparkSession) -> None:
    partitions_are_judged(tmp_path, sail)


def partitions_are_judged(tmp_path: Path, spark: SparkSession) -> None:
    """Nothing is written: a folder of this machine has a shorter name than a partition in S3 may have."""
    truth = oracle.make(tmp_path / "in", 13, "ad", structural=False)
    raw = spark.read.parquet(str(staged_raw(truth, tmp_path)))
    origins = {file.ordinal: file.origin for file in truth.files}

    keep = kept(spark, tmp_path)
    result = spark_engine.transform(spark, truth.contract, raw, origins, oracle.KEY, load_key, keep=keep)

    assert comparable(result.clean.toArrow().to_pylist()) == comparable(truth.clean)
    assert bad_values(result.quarantine.toArrow().to_pylist()) == Counter(
        (origin, reasons, given(fields)) for origin, reasons, fields in truth.bad
    )


def test_texts_that_exporters_write_have_the_same_values_on_spark(tmp_path: Path, sail: SparkSession) -> None:
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
            "line:": pa.nulls(len(meant), pa.int64()),
        }
    )
    feed = Contract.model_validate({"columns": {"n": "int", **columns}})
    result = spark_engine.transform(sail, feed, sail.createDataFrame(raw), {0: "a"}, None, keep=kept(sail, tmp_path))

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
    raw = raw.selectExpr("*", "cast(null as bigint) as `line:`")
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
        split = 'select *, row_number() over () as _row, null::bigint as "line:" from raw'
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
                "email": {"pii": {"kind": "email", "treatment": ["lake", "meta", "short_id"]}},
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
        "email string, _file int, _row bigint, `line:` bigint",
    )
    result = spark_engine.transform(sail, contract, raw, {0: "s3://raw/a.csv"}, oracle.KEY, None, previous)
    rows = ds.dataset([str(f.path) for f in staged.files]).to_table().to_pylist()
    assert sorted(rows, key=str) == sorted((row.asDict() for row in result.clean.collect()), key=str)
    assert [c.name for c in staged.columns] == result.clean.columns
    ann = next(row for row in rows if row["email_lake"])
    digests = (oracle.KEY.hmac("ann@example.com"), previous.hmac("ann@example.com"), "before")
    assert (ann["email_lake"], ann["email_lake_previous"], ann["_pii_previous_key_id"]) == digests
    assert (ann["derived_lake"], ann["derived_meta"]) == (ann["email_lake"], ann["email_meta"])
    assert ann["email_short_id"] == ann["derived_short_id"] == ann["email_lake"][:32]
    assert not scan_for_leaks([f.path for f in staged.files], contract).leaks


def test_rows_with_bytes_that_are_no_text_are_quarantined_by_the_column(tmp_path: Path, sail: SparkSession) -> None:
    contract = Contract.model_validate({"columns": {"id": "int", "n": {"type": "int", "required": True}}})
    rows = [("1", "7", False, 0, 1), ("2", "ff", True, 0, 2), ("3", None, None, 0, 3), ("4", "8", None, 0, 4)]
    raw = sail.createDataFrame(
        [(*row, None) for row in rows],
        "id string, n string, `n:no_text` boolean, _file int, _row bigint, `line:` bigint",
    )
    result = spark_engine.transform(sail, contract, raw, {0: "a"}, None)
    assert [(row["id"], row["n"]) for row in result.clean.collect()] == [(1, 7), (4, 8)]
    found = {json.loads(row["fields"])["id"]: list(row["reasons"]) for row in result.quarantine.collect()}
    assert found == {"2": ["bad_bytes:n"], "3": ["required:n"]}


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
        "op string, n string, t string, _file int, _row bigint, `line:` bigint",
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
        "name string, n string, _file int, _row bigint, `line:` bigint",
    )
    result = spark_engine.transform(sail, contract, raw, {0: "a"}, None)
    stages = spark_engine.stage(sail, result, f"{tmp_path}/out/", "us-east-1", {0: "a"})
    counts = stages.counts
    assert counts == staged.counts
    assert 0 < counts[0].left_out < len(given)
    assert comparable(ds.dataset([str(f.path) for f in staged.files]).to_table().to_pylist()) == comparable(
        clean_rows(stages.clean, None)
    )


def test_a_contract_that_needs_a_key_does_not_run_without_one(sail: SparkSession) -> None:
    with pytest.raises(PermanentFailure, match="no hashing key"):
        spark_engine.transform(sail, oracle.contract(), sail.range(1), {}, None)


def load_key() -> Any:
    return oracle.KEY
