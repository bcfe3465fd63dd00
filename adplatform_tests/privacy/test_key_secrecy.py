"""Neither engine's statements, plans, logs or catalogs hold the key or what gives it away."""

import base64
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from pyspark.cloudpickle import dumps

from adplatform.failures import PermanentFailure
from adplatform.privacy.duckdb import register
from adplatform.privacy.keys import HashKey
from adplatform.privacy.spark import register as register_spark
from adplatform_tests.privacy.conftest import SECRET

QUERY = "SELECT adp_lake_email(v), adp_lake_phone(v, 'US') FROM (VALUES ('a@b.de'), ('ä@b.de')) t(v)"
PREVIOUS_QUERY = QUERY.replace("adp_lake_", "adp_lake_previous_")


def spellings(key: HashKey) -> list[bytes]:
    """Parts of the key and of its pads (XOR with 0x36 or 0x5c gives the key), as bytes, hex, base64 and SQL text."""
    parts = [part[i : i + 8] for part in (SECRET, *key.pads()) for i in (0, 8, 16, 24)]
    escaped = ["".join(f"\\x{b:02X}" for b in part) for part in parts]
    texts = [
        *(part.hex() for part in parts),
        *(part.hex().upper() for part in parts),
        *escaped,
        *(base64.b64encode(part)[:10].decode() for part in parts),
        *(str(duckdb.execute("SELECT ?::BLOB::VARCHAR", [part]).fetchall()[0][0]) for part in parts),
    ]
    return [*parts, *(text.encode() for text in texts)]


def assert_hidden(key: HashKey, text: str | bytes) -> None:
    shown = text.encode() if isinstance(text, str) else text
    assert [spelling for spelling in spellings(key) if spelling in shown] == []


def everything(con: duckdb.DuckDBPyConnection, query: str) -> str:
    return str(con.execute(query).fetchall())


CATALOGS = ("functions", "tables", "columns", "views", "variables", "settings", "prepared_statements", "databases")


@pytest.mark.parametrize("query", [QUERY, PREVIOUS_QUERY])
def test_duckdb_shows_the_key_nowhere(key: HashKey, tmp_path: Path, query: str) -> None:
    other = HashKey("other-key", bytes(range(90, 122)))
    database = tmp_path / "work.duckdb"
    with duckdb.connect(database) as con:
        con.execute("CALL enable_logging(level = 'trace')")
        register(con, *((other, key) if query == PREVIOUS_QUERY else (key,)))
        con.execute(f"CREATE TABLE t AS {query}")
        shown = [everything(con, f"{way} {query}") for way in ("EXPLAIN", "EXPLAIN ANALYZE", "EXPLAIN (FORMAT json)")]
        con.execute("PRAGMA explain_output = 'all'")
        shown += [everything(con, f"EXPLAIN {query}")]
        shown += [everything(con, f"SELECT * FROM duckdb_{catalog}()") for catalog in CATALOGS]
        logs = everything(con, "SELECT * FROM duckdb_logs")
        with pytest.raises(duckdb.Error) as failure:
            con.execute(f"SELECT CAST(d AS INTEGER) FROM ({query}) q(d, e)").fetchall()
    assert "adp_hmac_pads" in logs
    for text in (*shown, logs, str(failure.value)):
        assert_hidden(key, text)
    assert_hidden(key, database.read_bytes())


def test_the_search_for_the_key_finds_it_where_it_is_shown(key: HashKey) -> None:
    """The bad way, so that the test above can fail."""
    inner, _ = key.pads()
    with duckdb.connect() as con:
        con.execute("SET VARIABLE pad = ?::BLOB", [inner])
        plan = everything(con, "EXPLAIN SELECT sha256(getvariable('pad') || encode(v)) FROM (VALUES ('x'), ('y')) t(v)")
    with pytest.raises(AssertionError):
        assert_hidden(key, plan)


class RecordedSession:
    """Keeps what a Spark session would be given to ship to its workers."""

    def __init__(self) -> None:
        self.udf = self
        self.shipped: dict[str, bytes] = {}

    def register(self, name: str, function: Any) -> None:
        self.shipped[name] = dumps(function.func)


def test_spark_is_given_the_name_of_the_key_only(key: HashKey) -> None:
    session = RecordedSession()
    register_spark(session, HashKey("other-key", bytes(range(90, 122))), previous=key)
    assert key.id.encode() in session.shipped["adp_lake_previous_email"]
    for command in session.shipped.values():
        assert_hidden(key, command)
    register_spark(session, key)
    assert key.id.encode() in session.shipped["adp_lake_email"]
    for command in session.shipped.values():
        assert_hidden(key, command)


def test_spark_plans_do_not_show_the_key(spark: Any, key: HashKey, capsys: pytest.CaptureFixture[str]) -> None:
    spark.sql(QUERY).explain(extended=True)
    plan = capsys.readouterr().out
    assert "adp_lake_email" in plan
    assert_hidden(key, plan)


def load_key() -> HashKey:
    return HashKey("test-key", SECRET)


def load_next_key() -> HashKey:
    return HashKey("next-key", SECRET)


def work(command: bytes) -> list[str]:
    """What a Python worker of a cluster does: it has the shipped function and nothing else of the driver."""
    return list(pickle.loads(command)(pd.Series(["a@b.de"], dtype=object)))


def test_a_worker_in_another_process_fetches_the_key_or_fails(key: HashKey) -> None:
    shipped = []
    for load in (None, load_next_key, load_key):
        session = RecordedSession()
        register_spark(session, key, load)
        shipped.append(session.shipped["adp_lake_email"])
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as worker:
        without, replaced, fetched = [worker.submit(work, command) for command in shipped]
    with pytest.raises(PermanentFailure, match="'test-key' is not in this worker"):
        without.result()
    with pytest.raises(PermanentFailure, match="'test-key' was replaced by 'next-key'"):
        replaced.result()
    assert fetched.result() == [key.hmac("a@b.de")]
