"""A Sail server in this process: it speaks Spark's protocol and starts in a second."""

from collections.abc import Iterator

import pytest
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession


@pytest.fixture(scope="package")
def sail_url() -> Iterator[str]:
    server = SparkConnectServer(port=0)
    server.start(background=True)
    _, port = server.listening_address
    yield f"sc://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="package")
def sail(sail_url: str) -> Iterator[SparkSession]:
    session = SparkSession.builder.remote(sail_url).getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    yield session
    session.stop()
