"""What PostgreSQL holds is what is read, value for value and row for row, whatever happens to the table meanwhile."""

import csv
import io
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest

from adplatform.extract.connection import Connecting, Credentials, database, database_failures
from adplatform.extract.postgres import PostgresView, postgres_view
from adplatform.extract.reading import Pace, Reading, Window
from adplatform.failures import TransientFailure
from adplatform.local.world.postgres import PostgresServer
from adplatform_tests.support.databases import Database

VALUES = [
    ("numeric(12,2)", "1234567890.12", "1234567890.12"),
    ("numeric(12,2)", "'NaN'", "NaN"),
    ("numeric", "12345678901234567890123456789.123456789012", "12345678901234567890123456789.123456789012"),
    ("numeric", "0.000000000000000000000000000001", "0.000000000000000000000000000001"),
    ("numeric", "'-Infinity'", "-Infinity"),
    ("double precision", "0.1", "0.1"),
    ("double precision", "1e-320", "1e-320"),
    ("double precision", "'NaN'", "NaN"),
    ("real", "3.4e38", "3.4e+38"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("timestamptz", "'2024-02-29 23:59:59.999999+05:30'", "2024-02-29 18:29:59.999999+00"),
    ("timestamptz", "'infinity'", "infinity"),
    ("timestamptz", "'294276-12-31 23:59:59.999999+00'", "294276-12-31 23:59:59.999999+00"),
    ("timestamp", "'2024-02-29 23:59:59.999999'", "2024-02-29 23:59:59.999999"),
    ("timestamp", "'4713-01-01 BC'", "4713-01-01 00:00:00 BC"),
    ("date", "'-infinity'", "-infinity"),
    ("date", "'0001-01-01'", "0001-01-01"),
    ("time", "'24:00'", "24:00:00"),
    ("interval", "'1 mon 2 days 03:04:05'", "P1M2DT3H4M5S"),
    ("boolean", "true", "true"),
    ("boolean", "false", "false"),
    ("text", "''", ""),
    ("text", r"'\N'", r"\N"),
    ("text", r"'\.'", r"\."),
    ("text", "'NULL'", "NULL"),
    ("text", "E'a\\nb\\r\\nc\\td \"q\", 東京😀'", 'a\nb\r\nc\td "q", 東京😀'),
    ("char(5)", "'ab'", "ab   "),
    ("uuid", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ("json", """'{"b":1, "a": 1.10}'""", '{"b":1, "a": 1.10}'),
    ("jsonb", """'{"b":1, "a": 1.10}'""", '{"a": 1.10, "b": 1}'),
    ("bytea", r"'\x00ff0a'", r"\x00ff0a"),
    ("text[]", "ARRAY['a', NULL, 'b,c']", '{a,NULL,"b,c"}'),
    ("inet", "'::1'", "::1"),
]


@pytest.fixture(scope="module")
def one_database(postgres: PostgresServer) -> Iterator[Database]:
    """One for all tests: to make one takes longer than to read it."""
    name = f"shop_{uuid.uuid4().hex[:8]}"
    postgres.create(name)
    yield Database(postgres, name, "")
    postgres.drop(name)


@pytest.fixture
def shop(one_database: Database) -> Database:
    """That database, as if it were new."""
    one_database.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return one_database


@contextmanager
def viewed(shop: Database, workers: int = 1) -> Iterator[PostgresView]:
    server = shop.server
    credentials = Credentials("postgres", "127.0.0.1", server.port, "postgres", server.password, shop.name)
    with database(credentials, Connecting(verified=False)) as engine, postgres_view(engine, workers) as view:
        yield view


def rows_of(view: PostgresView, reading: Reading) -> list[list[str]]:
    """Every row of every piece, without headers."""
    found: list[list[str]] = []
    for piece in view.divide(reading):
        out = io.BytesIO()
        counted = view.read(reading, piece, out, Pace())
        header, *rows = list(csv.reader(io.StringIO(out.getvalue().decode(), newline="")))
        assert header == list(reading.columns)
        assert counted == len(rows)
        found += rows
    return found


def test_every_value_is_written_as_the_database_writes_it(shop: Database) -> None:
    for n, (kind, literal, _) in enumerate(VALUES):
        shop.execute(f"CREATE TABLE t{n} (id int, v {kind})", f"INSERT INTO t{n} VALUES (1, {literal}), (2, NULL)")
    with viewed(shop) as view:
        found = []
        for n, _ in enumerate(VALUES):
            reading = Reading(None, f"t{n}", ("id", "v"))
            out = io.BytesIO()
            view.read(reading, view.divide(reading)[0], out, Pace())
            lines = out.getvalue().decode()
            (_, first), (_, second) = list(csv.reader(io.StringIO(lines, newline="")))[1:]
            assert second == "" and lines.endswith("2,\n"), "no value is unquoted and empty"
            assert (first != "") or '1,""' in lines, "an empty text is quoted"
            found.append(first)
    assert found == [written for _, _, written in VALUES]


@pytest.mark.parametrize("rows", [1, 99, 10_000])
def test_rows_that_move_while_the_table_is_read_are_read_once(shop: Database, rows: int) -> None:
    shop.execute(
        "CREATE TABLE t (id int, n int, filler text)",
        f"INSERT INTO t SELECT n, 0, repeat('x', 200) FROM generate_series(1, {rows}) n",
        "ANALYZE t",
    )
    reading = Reading("public", "t", ("id", "n"), chunk_rows=1000)
    with viewed(shop) as view:
        pieces = view.divide(reading)
        assert len(pieces) == pytest.approx(rows / 1000, abs=1.5)
        found: list[str] = []
        for piece in pieces:
            out = io.BytesIO()
            view.read(reading, piece, out, Pace())
            found += out.getvalue().decode().splitlines()[1:]
            shop.execute("UPDATE t SET n = n + 1 WHERE id % 2 = 0", f"DELETE FROM t WHERE id = {rows}", "VACUUM t")
    assert sorted(found, key=lambda line: int(line.split(",")[0])) == [f"{n},0" for n in range(1, rows + 1)]


def test_partitions_views_and_what_inherits_are_read_whole(shop: Database) -> None:
    shop.execute(
        "CREATE TABLE p (id int, region text) PARTITION BY LIST (region)",
        "CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu') PARTITION BY RANGE (id)",
        "CREATE TABLE p_eu_low PARTITION OF p_eu FOR VALUES FROM (0) TO (50)",
        "CREATE TABLE p_eu_high PARTITION OF p_eu FOR VALUES FROM (50) TO (1000)",
        "CREATE TABLE p_rest PARTITION OF p DEFAULT",
        "INSERT INTO p SELECT n, CASE n % 2 WHEN 0 THEN 'eu' END FROM generate_series(1, 100) n",
        "CREATE VIEW v AS SELECT id, region FROM p WHERE id <= 10",
        "CREATE MATERIALIZED VIEW m AS SELECT id, region FROM p WHERE id <= 20",
        "CREATE TABLE base (id int, region text)",
        "CREATE TABLE derived (extra int) INHERITS (base)",
        "INSERT INTO base VALUES (1, 'a')",
        "INSERT INTO derived VALUES (2, 'b', 3)",
        'CREATE TABLE "Odd ""Name%s" (id int, region text)',
        'INSERT INTO "Odd ""Name%s" VALUES (7, NULL)',
        "CREATE TABLE nothing (id int, region text)",
    )
    with viewed(shop) as view:
        counted = {
            name: len(rows_of(view, Reading(None, name, ("id", "region"))))
            for name in ("p", "v", "m", "base", 'Odd "Name%s', "nothing")
        }
        leaves = view.divide(Reading("public", "p", ("id", "region")))
    assert counted == {"p": 100, "v": 10, "m": 20, "base": 2, 'Odd "Name%s': 1, "nothing": 0}
    assert {piece.relation for piece in leaves} == {("public", n) for n in ("p_eu_low", "p_eu_high", "p_rest")}


def test_ranges_of_a_column_meet_and_leave_nothing_out(shop: Database) -> None:
    shop.execute(
        "CREATE TABLE t (id int, at timestamptz)",
        # Many rows of one instant, and some without.
        "INSERT INTO t SELECT n, CASE WHEN n % 10 > 0 THEN '2026-01-01'::timestamptz + (n / 700) * interval '1 us' END"
        " FROM generate_series(1, 5000) n",
    )
    reading = Reading("public", "t", ("id",), chunk_rows=1000, chunk_column="at")
    with viewed(shop) as view:
        assert len(view.divide(reading)) >= 5
        assert sorted(int(row[0]) for row in rows_of(view, reading)) == list(range(1, 5001))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "infinity"),
        ("date", "-infinity"),
        ("date", "12026-01-01"),
        ("timestamptz", "12026-01-01"),
        ("timestamptz", "0044-03-15 BC"),
        ("timestamp", "infinity"),
        ("numeric", "NaN"),
        ("numeric", "Infinity"),
    ],
)
def test_rows_whose_value_cannot_be_a_bound_are_in_one_of_the_ranges(shop: Database, kind: str, value: str) -> None:
    at = "2026" if kind == "numeric" else "2026-01-01"
    shop.execute(
        f"CREATE TABLE t (id serial, c {kind})",
        f"INSERT INTO t (c) SELECT '{value}'::{kind} FROM generate_series(1, 2500)",
        f"INSERT INTO t (c) SELECT '{at}'::{kind} FROM generate_series(1, 1500)",
        "INSERT INTO t (c) VALUES (NULL)",
    )
    with viewed(shop) as view:
        found = rows_of(view, Reading("public", "t", ("id",), chunk_rows=1000, chunk_column="c"))
    assert sorted(int(row[0]) for row in found) == list(range(1, 4002))


@pytest.mark.parametrize(
    ("kind", "values", "newest", "count"),
    [
        (
            "timestamptz",
            "'2026-01-01 10:00:00.000001+02', '2026-01-01', 'infinity'",
            datetime(2026, 1, 1, 8, 0, 0, 1, UTC),
            2,
        ),
        ("timestamp", "'2026-01-01 10:00:00.000001', '-infinity'", datetime(2026, 1, 1, 10, 0, 0, 1), 2),  # noqa: DTZ001
        ("date", "'2026-01-02', 'infinity', NULL", date(2026, 1, 2), 1),
        ("bigint", "5, 9223372036854775807", 2**63 - 1, 2),
        ("timestamptz", "'2026-01-01', '12026-01-01', '0044-03-15 BC'", datetime(2026, 1, 1, tzinfo=UTC), 2),
        (
            "timestamptz",
            "'9999-12-31 23:59:59.999999', '10000-01-01'",
            datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
            1,
        ),
        ("date", "'9999-12-31', '10000-01-01'", date(9999, 12, 31), 1),
        ("date", "'infinity'", None, 0),
        ("numeric", "5, 7", 7, 2),
        ("numeric", "5, 'NaN', 'Infinity', '-Infinity'", 5, 2),
        ("int", "NULL", None, 0),
    ],
)
def test_a_window_of_a_cursor_brings_what_is_in_it(
    shop: Database, kind: str, values: str, newest: Any, count: int
) -> None:
    shop.execute(f"CREATE TABLE t (id serial, c {kind})")
    shop.execute(*(f"INSERT INTO t (c) VALUES ({value})" for value in values.split(", ")))
    with viewed(shop) as view:
        whole = Reading("public", "t", ("id", "c"))
        assert view.newest(whole, "c") == newest
        if newest is None:
            return
        window = Reading("public", "t", ("id", "c"), window=Window("c", None, newest))
        assert len(rows_of(view, window)) == count
        after = Reading("public", "t", ("id", "c"), window=Window("c", newest, newest))
        assert rows_of(view, after) == []


def test_rows_without_a_value_are_read_once_where_one_range_has_all_others(shop: Database) -> None:
    shop.execute("CREATE TABLE t (id int, c date NULL)", "INSERT INTO t VALUES (1, '2026-01-01'), (2, NULL)")
    with viewed(shop) as view:
        found = rows_of(view, Reading("public", "t", ("id",), chunk_rows=1000, chunk_column="c"))
    assert sorted(found) == [["1"], ["2"]]


def test_a_row_filter_is_the_databases_own_sql(shop: Database) -> None:
    shop.execute("CREATE TABLE t (id int, name text)", "INSERT INTO t VALUES (1, 'a%b'), (2, '{x}'), (3, 'c:d')")
    with viewed(shop) as view:
        filtered = Reading("public", "t", ("id",), where="name LIKE '%\\%%' OR name = '{x}' OR name ~ ':'")
        assert len(rows_of(view, filtered)) == 3


def test_a_view_that_is_gone_is_said_so_and_may_be_had_again(shop: Database) -> None:
    shop.execute("CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)")
    reading = Reading("public", "t", ("id",))
    with viewed(shop) as view:
        piece = view.divide(reading)[0]
        view.exporter.execute("ROLLBACK")
        with pytest.raises(TransientFailure, match="shop/t: "), database_failures("shop/t"):
            view.read(reading, piece, io.BytesIO(), Pace())
