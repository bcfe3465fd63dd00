"""What MariaDB holds is what is read, value for value and row for row, at one moment."""

import csv
import io
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime

import pytest

from adplatform.extract.connection import Connecting, Credentials, database, database_failures
from adplatform.extract.portable import PortableView, portable_view
from adplatform.extract.reading import Cursor, Pace, Reading, Window
from adplatform.failures import AccessRefused, CredentialsRefused, PermanentFailure
from adplatform_tests.support.mariadb import MariaDb

VALUES = [
    ("decimal(12,2)", "1234567890.12", "1234567890.12"),
    ("decimal(38,12)", "12345678901234567890123456.789012345678", "12345678901234567890123456.789012345678"),
    ("double", "0.1", "0.1"),
    ("bigint unsigned", "18446744073709551615", "18446744073709551615"),
    ("tinyint(1)", "2", "2"),
    ("bit(4)", "b'1010'", "10"),
    ("datetime(6)", "'2024-02-29 23:59:59.999999'", "2024-02-29 23:59:59.999999"),
    ("datetime", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    ("date", "'2024-00-00'", "2024-00-00"),
    ("timestamp(3) null", "'2024-02-29 23:59:59.999'", "2024-02-29 23:59:59.999"),
    ("time", "'-838:59:59'", "-838:59:59"),
    ("year", "2024", "2024"),
    ("varchar(20)", "''", ""),
    ("varchar(20)", "'NULL'", "NULL"),
    ("text", "'a\\nb\\r\\nc\\td \"q\", 東京😀 \\\\N'", 'a\nb\r\nc\td "q", 東京😀 \\N'),
    ("varbinary(8)", "x'00ff0a'", r"\x00ff0a"),
    ("json", """'{"b":1, "a": 1.10}'""", '{"b":1, "a": 1.10}'),
    ("enum('ok','bad')", "'bad'", "bad"),
    ("set('a','b')", "'a,b'", "a,b"),
    ("uuid", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
]


@pytest.fixture(scope="module")
def server(mariadb: MariaDb) -> MariaDb:
    return mariadb


@pytest.fixture
def name(server: MariaDb) -> Iterator[str]:
    """An empty database."""
    name = f"shop_{uuid.uuid4().hex[:8]}"
    with server.connect() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        yield name
        cursor.execute(f"DROP DATABASE {name}")


def execute(server: MariaDb, name: str, *statements: str) -> None:
    with server.connect(name) as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def viewed(server: MariaDb, name: str, password: str = "") -> Iterator[PortableView]:
    credentials = Credentials("mariadb", "127.0.0.1", server.port, "reader", password or server.password, name)
    with database(credentials, Connecting(verified=False)) as engine, portable_view(engine) as view:
        yield view


def rows_of(view: PortableView, reading: Reading) -> list[list[str]]:
    found: list[list[str]] = []
    for piece in view.divide(reading):
        out = io.BytesIO()
        counted = view.read(reading, piece, out, Pace())
        header, *rows = list(csv.reader(io.StringIO(out.getvalue().decode(), newline="")))
        assert header == list(reading.columns)
        assert counted == len(rows)
        found += rows
    return found


def test_every_value_is_written_as_the_database_writes_it(server: MariaDb, name: str) -> None:
    for n, (kind, literal, _) in enumerate(VALUES):
        execute(
            server,
            name,
            f"CREATE TABLE t{n} (id int, v {kind})",
            "SET time_zone = '+00:00'",
            f"INSERT INTO t{n} VALUES (1, {literal}), (2, NULL)",
        )
    found = []
    with viewed(server, name) as view:
        for n, _ in enumerate(VALUES):
            reading, out = Reading(None, f"t{n}", ("id", "v")), io.BytesIO()
            view.read(reading, view.divide(reading)[0], out, Pace())
            lines = out.getvalue().decode()
            (_, first), (_, second) = list(csv.reader(io.StringIO(lines, newline="")))[1:]
            assert second == "" and lines.endswith('"2",\n'), "no value is unquoted and empty"
            found.append(first)
    assert found == [written for _, _, written in VALUES]


def test_rows_that_change_while_the_table_is_read_are_read_as_they_were(server: MariaDb, name: str) -> None:
    execute(
        server,
        name,
        "CREATE TABLE t (id int PRIMARY KEY, n int)",
        "INSERT INTO t SELECT seq, 0 FROM seq_1_to_3000",
    )
    reading = Reading(None, "t", ("id", "n"), chunk_rows=1000, chunk_column="id")
    found: list[str] = []
    with viewed(server, name) as view:
        pieces = view.divide(reading)
        assert len(pieces) >= 3
        for piece in pieces:
            out = io.BytesIO()
            view.read(reading, piece, out, Pace())
            found += out.getvalue().decode().splitlines()[1:]
            execute(server, name, "UPDATE t SET n = n + 1, id = id + 100000 WHERE id % 2 = 0", "DELETE FROM t LIMIT 10")
    assert sorted(found, key=lambda line: int(line.split(",")[0].strip('"'))) == [f'"{n}","0"' for n in range(1, 3001)]


@pytest.mark.parametrize(
    ("kind", "values", "newest", "count"),
    [
        ("datetime(6)", "'2026-01-01 10:00:00.000001', '2026-01-01'", datetime(2026, 1, 1, 10, 0, 0, 1), 2),  # noqa: DTZ001
        ("date", "'2026-01-02', '2026-01-02', NULL", date(2026, 1, 2), 2),
        ("bigint", "5, 9223372036854775807", 2**63 - 1, 2),
    ],
)
def test_a_window_of_a_cursor_brings_what_is_in_it(
    server: MariaDb, name: str, kind: str, values: str, newest: Cursor, count: int
) -> None:
    inserts = (f"INSERT INTO t (c) VALUES ({value})" for value in values.split(", "))
    execute(server, name, f"CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, c {kind} NULL)", *inserts)
    with viewed(server, name) as view:
        assert view.newest(Reading(None, "t", ("id", "c")), "c") == newest
        assert len(rows_of(view, Reading(None, "t", ("id",), window=Window("c", None, newest)))) == count
        assert rows_of(view, Reading(None, "t", ("id",), window=Window("c", newest, newest))) == []


def test_rows_without_a_value_are_read_once_where_one_range_has_all_others(server: MariaDb, name: str) -> None:
    execute(server, name, "CREATE TABLE t (id int, c date NULL)", "INSERT INTO t VALUES (1, '2026-01-01'), (2, NULL)")
    with viewed(server, name) as view:
        found = rows_of(view, Reading(None, "t", ("id",), chunk_rows=1000, chunk_column="c"))
    assert sorted(found) == [["1"], ["2"]]


def test_a_row_filter_is_the_databases_own_sql(server: MariaDb, name: str) -> None:
    execute(server, name, "CREATE TABLE t (id int, v text)", "INSERT INTO t VALUES (1, 'a%b'), (2, '{x}'), (3, 'c:d')")
    with viewed(server, name) as view:
        filtered = Reading(None, "t", ("id",), where="v LIKE '%|%%' ESCAPE '|' OR v = '{x}' OR v LIKE '%:d'")
        assert len(rows_of(view, filtered)) == 3


def test_what_is_refused_is_said_in_a_sentence_that_quotes_nothing(server: MariaDb, name: str) -> None:
    execute(server, name, "CREATE TABLE t (id int, v text)", "INSERT INTO t VALUES (1, 'jane@example.com')")
    with (
        pytest.raises(CredentialsRefused, match="user and password"),
        database_failures("shop/t"),
        viewed(server, name, "wrong"),
    ):
        pass
    with pytest.raises(PermanentFailure) as refused, database_failures("shop/t"), viewed(server, name) as view:
        rows_of(view, Reading(None, "t", ("id",), where="no_such = 'jane@example.com'"))
    assert str(refused.value) == "shop/t: there is no such column"
    with server.connect() as cursor:
        cursor.execute("CREATE OR REPLACE USER narrow@'127.0.0.1' IDENTIFIED BY 'narrow'")
        cursor.execute(f"CREATE TABLE {name}.other (id int)")
        cursor.execute(f"GRANT SELECT ON {name}.t TO narrow@'127.0.0.1'")
    narrow = Credentials("mariadb", "127.0.0.1", server.port, "narrow", "narrow", name)
    with (
        pytest.raises(AccessRefused, match="may not read"),
        database_failures("shop/other"),
        database(narrow, Connecting(verified=False)) as engine,
        portable_view(engine) as view,
    ):
        rows_of(view, Reading(None, "other", ("id",)))
