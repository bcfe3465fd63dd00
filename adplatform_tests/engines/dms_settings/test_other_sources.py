"""What other sources log is read from MariaDB itself, and from recorded rows of SQL Server and Oracle."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from adplatform.engines.dms_settings import oracle_source, sql_server_source
from adplatform.engines.dms_settings.check import check
from adplatform.engines.dms_settings.mappings import read_mappings
from adplatform.engines.dms_settings.mysql_source import hours_kept, read_mysql
from adplatform.engines.dms_settings.recommended import table_mappings
from adplatform.engines.dms_settings.sources import MySqlSource, Source
from adplatform.extract.connection import Connecting, Credentials, database
from adplatform_tests.support.dms_settings import passing
from adplatform_tests.support.mariadb import MariaDb

MAPPINGS = read_mappings("mappings.json", table_mappings([("%", "%")]))


@pytest.fixture(scope="module")
def server(mariadb: MariaDb) -> MariaDb:
    return mariadb


@pytest.fixture
def name(server: MariaDb) -> Iterator[str]:
    """An empty database; the server's settings are what they were afterwards."""
    name = f"shop_{uuid.uuid4().hex[:8]}"
    with server.connect() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        yield name
        cursor.execute(f"DROP DATABASE {name}")
        cursor.execute("SET GLOBAL binlog_format = 'ROW', binlog_row_image = 'FULL', expire_logs_days = 0")


def read(server: MariaDb, name: str, *, longest: bool = False) -> MySqlSource:
    credentials = Credentials("mariadb", "127.0.0.1", server.port, "reader", server.password, name)
    mappings = read_mappings("mappings.json", table_mappings([(name, "%")]))
    with database(credentials, Connecting(verified=False)) as engine:
        return read_mysql(engine, "shop", mappings, longest=longest)


def texts(source: Source) -> list[str]:
    findings = check(replace(passing(), source=source, endpoint=None))
    assert {finding.number for finding in findings} <= {13, 41, 42, 43}
    return [finding.text for finding in findings]


def test_a_binary_log_of_whole_rows_passes(server: MariaDb, name: str) -> None:
    source = read(server, name)
    assert (source.log_bin, source.binlog_format, source.row_image) == (True, "ROW", "FULL")
    assert (source.retention_hours, source.managed) == (None, False)
    assert texts(source) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("binlog_format = 'STATEMENT'", "binlog_format is STATEMENT"),
        ("binlog_row_image = 'MINIMAL'", "binlog_row_image is MINIMAL"),
        ("binlog_format = 'MIXED', binlog_row_image = 'NOBLOB'", "binlog_format is MIXED; binlog_row_image is NOBLOB"),
        ("expire_logs_days = 0.5", "logs are kept for 12 hours"),
    ],
)
def test_what_the_server_does_not_log_or_keep_is_found(server: MariaDb, name: str, settings: str, said: str) -> None:
    with server.connect() as cursor:
        cursor.execute(f"SET GLOBAL {settings}")
    [text] = texts(read(server, name))
    assert text.startswith(f"{said}: columns are missing")


def test_keys_and_large_columns_are_read(server: MariaDb, name: str) -> None:
    with server.connect(name) as cursor:
        cursor.execute(
            "CREATE TABLE `a%b` (id int, line int, `no``te` mediumtext, raw blob, code varchar(9),"
            " PRIMARY KEY (id, line))"
        )
        cursor.execute("INSERT INTO `a%b` VALUES (1, 1, repeat('ä', 700000), 'xyz', 'c')")
        cursor.execute("CREATE VIEW seen AS SELECT id FROM `a%b`")
    [table] = read(server, name, longest=True).tables
    assert (table.name, table.key) == ("a%b", ("id", "line"))
    assert {c.name: c.longest for c in table.columns if c.lob} == {"no`te": 1_400_000, "raw": 3}
    [text] = texts(read(server, name, longest=True))
    assert "1,400,000 bytes" in text


@pytest.mark.parametrize(
    ("variables", "hours"),
    [
        ({"binlog_expire_logs_seconds": "2592000", "expire_logs_days": "0"}, 720),
        ({"binlog_expire_logs_seconds": "0", "expire_logs_days": "2"}, 48),
        ({"expire_logs_days": "0.000000"}, None),
        ({}, None),
    ],
)
def test_how_long_logs_are_kept_is_said_in_seconds_or_in_days(variables: dict[str, str], hours: float | None) -> None:
    assert hours_kept(variables) == hours


@pytest.mark.parametrize(
    ("database_row", "tables", "said"),
    [
        ((True, False, "FULL"), [("dbo", "orders", False, True, "id"), ("dbo", "orders", False, True, "line")], []),
        ((False, True, "BULK_LOGGED"), [("dbo", "orders", True, False, "id")], []),
        ((True, False, "FULL"), [("dbo", "orders", False, False, None)], ["dbo.orders is neither"]),
        ((False, False, "SIMPLE"), [], ["The recovery model is SIMPLE"]),
    ],
)
def test_tables_of_sql_server_are_published_or_captured(
    database_row: tuple[Any, ...], tables: list[tuple[Any, ...]], said: list[str]
) -> None:
    source = sql_server_source.of_rows("shop", MAPPINGS, database_row, tables)
    found = texts(source)
    assert len(found) == len(said)
    assert all(text.startswith(begin) for text, begin in zip(found, said, strict=True))


def test_the_key_of_a_table_of_sql_server_is_in_its_order() -> None:
    rows = [("dbo", "orders", False, True, "line"), ("dbo", "orders", False, True, "id")]
    [table] = sql_server_source.of_rows("shop", MAPPINGS, (True, False, "FULL"), rows).tables
    assert table.key == ("line", "id")


ORDERS = [("SHOP", "ORDERS", "ID")]


@pytest.mark.parametrize(
    ("database_row", "groups", "said"),
    [
        (("YES", "NO", "YES", "ARCHIVELOG"), [], []),
        (("IMPLICIT", "NO", "NO", "ARCHIVELOG"), [("SHOP", "ORDERS", "ALL COLUMN LOGGING")], []),
        (
            ("YES", "NO", "NO", "ARCHIVELOG"),
            [("SHOP", "ORDERS", "PRIMARY KEY LOGGING")],
            ["Updates of SHOP.ORDERS come without the columns that did not change"],
        ),
        (("YES", "NO", "NO", "ARCHIVELOG"), [], ["Updates of SHOP.ORDERS come without even its key"]),
        (("NO", "NO", "YES", "NOARCHIVELOG"), [], ["Supplemental logging is off", "The database is in NOARCHIVELOG"]),
    ],
)
def test_oracle_logs_whole_rows_only_where_it_is_told_to(
    database_row: tuple[Any, ...], groups: list[tuple[Any, ...]], said: list[str]
) -> None:
    found = texts(oracle_source.of_rows("shop", MAPPINGS, database_row, ORDERS, groups))
    assert len(found) == len(said)
    assert all(text.startswith(begin) for text, begin in zip(found, said, strict=True))
