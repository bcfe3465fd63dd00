"""The job of Spark on Spark itself, in one session: what Sail, which stands for it elsewhere, may do otherwise."""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from adplatform.contracts.model import Contract
from adplatform.transform import spark_engine
from adplatform.transform.spark_job import Keys, carry_out
from adplatform.transform.spark_objects import Objects
from adplatform_tests.transform import oracle
from adplatform_tests.transform.both_engines import (
    agree,
    compared,
    difference_of,
    load_key,
    on_duckdb,
    on_spark,
    plan_of,
)
from adplatform_tests.transform.corpora import CORPORA
from adplatform_tests.transform.names import Convention, conventions, names
from adplatform_tests.transform.spellings import BAD, TABLES
from adplatform_tests.transform.test_naming import by_spark, cases_are_met, made_by
from adplatform_tests.transform.test_spark_job import CASES, COLUMNS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events")


@pytest.fixture(scope="module")
def spark(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    settings = logs.parent / "log4j2.properties"
    settings.write_text(
        "rootLogger.level = info\nrootLogger.appenderRef.file.ref = file\nappender.file.type = File\n"
        f"appender.file.name = file\nappender.file.fileName = {logs}/driver.log\n"
        "appender.file.layout.type = PatternLayout\nappender.file.layout.pattern = %m%n%ex\n",
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYSPARK_PYTHON", sys.executable)
        patched.setenv("PYTHONPATH", str(REPOSITORY))
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={settings.as_uri()}")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
            .config("spark.eventLog.enabled", "true")
            .config("spark.eventLog.compress", "false")
            .config("spark.eventLog.dir", logs.as_uri())
            .getOrCreate()
        )
        yield session
        session.stop()


@pytest.mark.parametrize("name", ["csv", "backslash", "ndjson members", "evolve apart", "key", "partitions", "no text"])
def test_a_delivery_becomes_the_same_on_spark(tmp_path: Path, spark: SparkSession, name: str) -> None:
    declared, contents = CASES[name]
    agree(*compared(spark, tmp_path, {"columns": COLUMNS} | declared, contents))


def test_names_are_divided_alike_on_spark(spark: SparkSession) -> None:
    cases_are_met(by_spark(spark))


@given(data=st.data(), convention=conventions())
@settings(max_examples=30, deadline=None)
def test_whatever_the_names_spark_divides_them_as_is_meant(
    spark: SparkSession, data: st.DataObject, convention: Convention
) -> None:
    drawn = data.draw(names(convention))
    assert made_by(by_spark(spark), convention, drawn) == [convention.of(name) for name in drawn]


@pytest.mark.parametrize("name", CORPORA)
def test_the_deliveries_of_a_corpus_become_the_same_on_spark(tmp_path: Path, spark: SparkSession, name: str) -> None:
    wrong = {
        each: difference
        for number, (each, delivered) in enumerate(CORPORA[name]().items())
        if (difference := difference_of(spark, tmp_path / str(number), delivered))
    }
    assert wrong == {}


def test_texts_that_exporters_write_have_the_same_values_on_spark(spark: SparkSession) -> None:
    columns = {f"x{n}": settings for n, (settings, _) in enumerate(TABLES.values())}
    meant = [(f"x{n}", text, value) for n, (_, rows) in enumerate(TABLES.values()) for text, value in rows]
    texts = {name: pa.array([t if at == name else None for at, t, _ in meant], pa.string()) for name in columns}
    own = {"_file": pa.array([0] * len(meant), pa.int32()), "_row": pa.array(range(len(meant)), pa.int64())}
    numbers = {"n": [str(n) for n in range(len(meant))], "line:": pa.nulls(len(meant), pa.int64())}
    feed = Contract.model_validate({"columns": {"n": "int", **columns}})
    raw = spark.createDataFrame(pa.table(numbers | texts | own))
    result = spark_engine.transform(spark, feed, raw, {0: "a"}, None)
    found = {row["n"]: row for row in result.clean.toArrow().to_pylist()}
    assert {n for n, (*_, value) in enumerate(meant) if value is BAD} == found.keys() ^ set(range(len(meant)))
    for n, (name, text, value) in enumerate(meant):
        assert value is BAD or (text, found[n][name]) == (text, value)


def test_the_key_of_digests_is_in_no_log_of_spark(tmp_path: Path, spark: SparkSession, logs: Path) -> None:
    spark.sparkContext.setLogLevel("INFO")
    truth = oracle.make(tmp_path / "in", 21, "day")
    plan = plan_of(truth.contract, [file.path for file in truth.files])
    agree(
        on_duckdb(plan, tmp_path / "embedded", oracle.KEY),
        on_spark(spark, plan, tmp_path / "spark", Keys(oracle.KEY, load_key)),
    )
    spark.sparkContext.setLogLevel("WARN")
    written = [path.read_bytes() for path in logs.rglob("*") if path.is_file()]
    assert any(b"SparkListenerTaskEnd" in each for each in written)
    assert any(b"Finished task" in each for each in written)
    inner, outer = oracle.KEY.pads()
    key = bytes(byte ^ 0x36 for byte in inner).rstrip(b"\0")
    for secret in (key, inner, outer):
        for form in (secret, secret.hex().encode(), base64.b64encode(secret)[:40]):
            assert not any(form in each for each in written)


def test_a_task_that_fails_ends_the_job_without_a_result(tmp_path: Path, spark: SparkSession) -> None:
    plan = plan_of(Contract.model_validate({"columns": COLUMNS}), [Path(__file__)])
    gone = plan.model_copy(update={"files": (plan.files[0].model_copy(update={"uri": str(tmp_path / "gone")}),)})
    with pytest.raises(Exception, match="No such file"):
        carry_out(spark, gone, f"{tmp_path}/out/", Objects(plan.region))
