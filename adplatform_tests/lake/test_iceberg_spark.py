"""Another implementation of Iceberg, in the Spark dialect, reads what is published from the table's location alone."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession

from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.platform.aws import Aws
from adplatform_tests.lake.iceberg_reader import open_with_pyiceberg
from adplatform_tests.lake.support import contract, source_name, spec_of, staged

DAY, NEXT = date(2026, 3, 1), date(2026, 3, 2)


@pytest.fixture
def spark(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkSession]:
    where = {"AWS_ENDPOINT": str(aws.endpoint_url), "AWS_ALLOW_HTTP": "true", "AWS_REGION": aws.region}
    for name, value in where.items():
        monkeypatch.setenv(name, value)
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    _, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").create()
    yield session
    session.stop()
    server.stop()


def test_rows_of_before_and_after_a_restatement_and_a_wider_column_are_read(
    lake: Lake, aws: Aws, temp: Path, spark: SparkSession
) -> None:
    source = source_name()
    narrow, wide = (
        spec_of(contract({"id": kind, "place": "string"}, table_format="iceberg"), source=source)
        for kind in ("int", "bigint")
    )
    for version, number in ((1, 1), (2, 2)):
        delivery = staged(narrow, temp, {"": [{"id": number, "place": "de"}]})
        publish(lake, narrow, DAY, version, delivery, run_id="r", temp=temp)
    publish(lake, wide, NEXT, 1, staged(wide, temp, {"": [{"id": 2**40, "place": None}]}), run_id="r", temp=temp)
    location = open_with_pyiceberg(str(aws.endpoint_url), wide).location()
    rows = spark.read.format("iceberg").load(location).orderBy("id").collect()
    assert [(row["id"], row["place"], row["dt"]) for row in rows] == [(2, "de", DAY), (2**40, None, NEXT)]
