"""A key, a DuckDB connection and a Sail session with the privacy functions."""

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession

from adplatform.privacy.duckdb import register
from adplatform.privacy.keys import HashKey
from adplatform.privacy.spark import register as register_spark

SECRET = bytes(range(7, 39))


@pytest.fixture(scope="session")
def key() -> HashKey:
    return HashKey("test-key", SECRET)


@pytest.fixture
def con(key: HashKey) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        register(connection, key)
        yield connection


@pytest.fixture(scope="session")
def spark(key: HashKey) -> Iterator[Any]:
    """The server stops when its object is collected, so the fixture holds it as long as the session."""
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    host, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://{host}:{port}").create()
    register_spark(session, key)
    yield session
    session.stop()
    server.stop()
