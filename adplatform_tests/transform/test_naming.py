"""The fields of names, and which names conform, by DuckDB and by Spark as conventions mean it."""

from collections.abc import Callable, Sequence

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from adplatform.transform.dialect import to_spark
from adplatform_tests.support.examples import examples
from adplatform_tests.transform.names import CASES, Convention, Row, conventions, names, relation, statement

Engine = Callable[[str, pa.Table], list[Row]]


def by_duckdb(sql: str, given_names: pa.Table) -> list[Row]:
    with duckdb.connect() as con:
        con.register("latest", given_names)
        return con.sql(f"{sql} order by n").to_arrow_table().to_pylist()


def by_spark(spark: SparkSession) -> Engine:
    def ask(sql: str, given_names: pa.Table) -> list[Row]:
        spark.createDataFrame(given_names).createOrReplaceTempView("latest")
        rows: list[Row] = spark.sql(to_spark(sql)).toArrow().to_pylist()
        return sorted(rows, key=lambda row: row["n"])

    return ask


def made_by(engine: Engine, convention: Convention, given_names: Sequence[str | None]) -> list[Row]:
    rows = engine(statement(convention, "latest"), relation(given_names))
    assert [(row.pop("n"), row.pop("x")) for row in rows] == list(enumerate(given_names))
    return rows


def cases_are_met(engine: Engine) -> None:
    for convention, meant in CASES:
        found = made_by(engine, convention, list(meant))
        assert {name: tuple(row.values()) for name, row in zip(meant, found, strict=True)} == meant
        assert [convention.of(name) for name in meant] == found


def test_names_are_divided_as_their_conventions_say() -> None:
    cases_are_met(by_duckdb)


def test_names_are_divided_alike_on_spark(sail: SparkSession) -> None:
    cases_are_met(by_spark(sail))


@given(data=st.data(), convention=conventions())
@settings(max_examples=examples(12), deadline=None)
def test_whatever_the_names_duckdb_divides_them_as_is_meant(data: st.DataObject, convention: Convention) -> None:
    drawn = data.draw(names(convention))
    assert made_by(by_duckdb, convention, drawn) == [convention.of(name) for name in drawn]


@pytest.mark.slow
@given(data=st.data(), convention=conventions())
@settings(max_examples=examples(10), deadline=None)
def test_whatever_the_names_spark_divides_them_as_is_meant(
    sail: SparkSession, data: st.DataObject, convention: Convention
) -> None:
    drawn = data.draw(names(convention))
    assert made_by(by_spark(sail), convention, drawn) == [convention.of(name) for name in drawn]
