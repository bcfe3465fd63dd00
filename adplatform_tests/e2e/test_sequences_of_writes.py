"""Sequences of writes that are hard on whoever follows a database: the tables equal it after each of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adplatform.changes.fold import fold
from adplatform.changes.folds_due import folds_due
from adplatform.engines.changes import look_at_tables
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.platform.aws import Aws
from adplatform_tests.support import plainly
from adplatform_tests.support.changes import Changes, followed_source
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import dms_task

PARQUET = {"DataFormat": "parquet", "CompressionType": "gzip", "CdcMaxBatchInterval": 3600}


@dataclass(frozen=True)
class Case:
    """A table, and what happens to it: each of ``rounds`` is one or more statements, after which all is caught up.
    The database has all columns after that many of them."""

    columns: dict[str, Any]
    key: str | list[str]
    made: tuple[str, ...]
    rounds: tuple[tuple[str, ...], ...]
    complete_after: int = 0


def _many(*statements: str) -> str:
    return "; ".join(("BEGIN", *statements, "COMMIT"))


CASES = {
    "composite": Case(
        {"a": {"type": "string", "required": True}, "b": {"type": "bigint", "required": True}, "v": "string"},
        ["b", "a"],
        (
            "CREATE TABLE composite (a text, b int, v text, PRIMARY KEY (b, a))",
            "INSERT INTO composite SELECT chr(97 + n % 3), n / 3, 'v' || n FROM generate_series(0, 8) n",
        ),
        (
            ("DELETE FROM composite WHERE a = 'b' AND b = 1", "UPDATE composite SET v = 'w' WHERE b = 2"),
            (
                "INSERT INTO composite VALUES ('b', 1, 'again'), ('', -1, ''), (' a', 0, NULL)",
                "DELETE FROM composite WHERE a = 'a'",
            ),
        ),
    ),
    "early": Case(
        {"id": {"type": "date", "required": True}, "at": "timestamp", "n": "int"},
        "id",
        (
            "CREATE TABLE early (id date PRIMARY KEY, at timestamptz, n int)",
            "INSERT INTO early VALUES ('0001-01-01', '1582-10-10 00:00:00.000001+00', 1),"
            " ('1582-10-15', '1899-12-31 23:59:59.999999+00', 2), ('1970-01-01', '1970-01-01+00', 3)",
        ),
        (
            (
                "UPDATE early SET n = n + 10, at = at - interval '1 microsecond'",
                "INSERT INTO early VALUES ('9999-12-31', '9999-12-31 23:59:59.999999+00', 4)",
            ),
            ("DELETE FROM early WHERE id < '1582-10-15'",),
        ),
    ),
    "swapped": Case(
        {"id": {"type": "bigint", "required": True}, "v": "string"},
        "id",
        ("CREATE TABLE swapped (id int PRIMARY KEY, v text)", "INSERT INTO swapped VALUES (1, 'one'), (2, 'two')"),
        (
            (_many("DELETE FROM swapped WHERE id IN (1, 2)", "INSERT INTO swapped VALUES (1, 'two'), (2, 'one')"),),
            (
                _many(
                    "INSERT INTO swapped VALUES (3, 'a')",
                    "UPDATE swapped SET v = 'b' WHERE id = 3",
                    "DELETE FROM swapped WHERE id = 3",
                    "INSERT INTO swapped VALUES (3, 'c')",
                ),
            ),
            (_many("INSERT INTO swapped VALUES (4, 'never')", "DELETE FROM swapped WHERE id = 4"),),
        ),
    ),
    "texts": Case(
        {"id": {"type": "string", "required": True}, "v": "string"},
        "id",
        (
            "CREATE TABLE texts (id text PRIMARY KEY, v text)",
            "INSERT INTO texts VALUES ('A', '1'), ('a', '2'), ('a ', '3'), (E'e\\u0301', '4'), (E'\\u00e9', '5'),"
            " ('', 'empty'), ('NULL', 'NULL'), (E'l\\nl', E'\\t\"')",
        ),
        (
            ("UPDATE texts SET v = v || '!' WHERE id IN ('a', '', E'\\u00e9')", "DELETE FROM texts WHERE id = 'A'"),
            ("INSERT INTO texts VALUES ('A', NULL), ('\\N', '\\N')", "UPDATE texts SET v = '' WHERE id = 'NULL'"),
        ),
    ),
    "numbers": Case(
        {"id": {"type": "decimal(10,2)", "required": True}, "f": "double", "big": "decimal(38,10)", "n": "bigint"},
        "id",
        (
            "CREATE TABLE numbers (id numeric(10,2) PRIMARY KEY, f float8, big numeric(38,10), n bigint)",
            "INSERT INTO numbers VALUES (1, 0.1, 1234567890123456789012345678.0123456789, 9223372036854775807),"
            " (1.01, -1e308, -0.0000000001, -9223372036854775808), (0, 5e-324, 0, 0)",
        ),
        (
            ("UPDATE numbers SET f = f * 0.5, n = n / 2 WHERE id = 1.00", "DELETE FROM numbers WHERE id = 0.00"),
            ("INSERT INTO numbers VALUES (0.0, -0.0, NULL, NULL)",),
        ),
    ),
    "whole": Case(
        {"id": {"type": "bigint", "required": True}, "v": "string", "n": "int"},
        "id",
        (
            "CREATE TABLE whole (id int PRIMARY KEY, v text, n int)",
            "ALTER TABLE whole REPLICA IDENTITY FULL",
            "ALTER TABLE whole ALTER v SET STORAGE EXTERNAL",
            "INSERT INTO whole SELECT n, repeat('w', 3000), n FROM generate_series(1, 5) n",
        ),
        (
            ("UPDATE whole SET n = -n", "DELETE FROM whole WHERE id = 5"),
            ("UPDATE whole SET v = NULL WHERE id = 1", "UPDATE whole SET n = 7 WHERE id IN (1, 2)"),
        ),
    ),
    "large": Case(
        {"id": {"type": "bigint", "required": True}, "v": "string"},
        "id",
        ("CREATE TABLE large (id int PRIMARY KEY, v text)",),
        (
            (
                _many(
                    "INSERT INTO large SELECT n, 'v' || n FROM generate_series(1, 3000) n",
                    "UPDATE large SET v = v || 'x' WHERE id % 3 = 0",
                    "DELETE FROM large WHERE id % 5 = 0",
                ),
            ),
            ("DELETE FROM large",),
            ("INSERT INTO large VALUES (1, 'v')",),
        ),
    ),
    "altered": Case(
        {
            "id": {"type": "bigint", "required": True},
            "v": {"type": "string", "optional": True},
            "w": {"type": "int", "optional": True, "default": 3},
        },
        "id",
        ("CREATE TABLE altered (id int PRIMARY KEY, v text)", "INSERT INTO altered VALUES (1, 'a'), (2, 'b')"),
        (
            (
                "ALTER TABLE altered ADD w int DEFAULT 3",
                "INSERT INTO altered VALUES (3, 'c')",
                "UPDATE altered SET v = 'z' WHERE id = 1",
            ),
            ("UPDATE altered SET w = NULL WHERE id = 2",),
        ),
        complete_after=1,
    ),
    "quoted": Case(
        {
            "id": {"type": "bigint", "required": True},
            "order": "string",
            "group_by": {"type": "string", "field": "group by"},
        },
        "id",
        (
            'CREATE TABLE quoted (id int PRIMARY KEY, "order" text, "group by" text)',
            "INSERT INTO quoted VALUES (1, 'a', 'b')",
        ),
        (('UPDATE quoted SET "order" = NULL', "INSERT INTO quoted VALUES (2, '''', '\"')"),),
    ),
}


def _feed(name: str, case: Case) -> dict[str, Any]:
    return {
        "name": name,
        "table": f"public.{name}",
        "start_date": "2026-01-01",
        "buckets": 2,
        "outputs": ["current", "history"],
        "columns": case.columns,
        "key": case.key,
    }


@pytest.mark.slow
def test_tables_equal_the_database_after_every_sequence_of_writes(
    aws: Aws, services: Services, shop: Database, tmp_path: Path
) -> None:
    for case in CASES.values():
        shop.execute(*case.made)
    services.s3.create_bucket(Bucket=services.zones.raw_bucket)
    tables = [f"public.{name}" for name in CASES]
    bucket, folder = services.zones.raw_bucket, "landing/sequences"
    with dms_task(aws, shop, *tables, bucket=bucket, folder=folder, s3=PARQUET) as task:
        feeds = [_feed(name, case) for name, case in CASES.items()]
        source = followed_source(services, feeds, source="sequences", task=task.arn)
        task.start()
        for number in range(1 + max(len(case.rounds) for case in CASES.values())):
            if number:
                shop.execute(
                    *(each for case in CASES.values() for done in case.rounds[number - 1 : number] for each in done)
                )
            task.wait_until_caught_up()
            _merged(source, tmp_path / f"round-{number}")
            for name, case in CASES.items():
                known = _expected(shop, name, case) if number >= case.complete_after else None
                assert known is None or _found(source, name, case) == known, (name, number)


def _merged(source: Changes, work: Path) -> None:
    """All that was written is in the tables."""
    look_at_tables(source.services, source.pattern)
    source.process()
    look_at_tables(source.services, source.pattern)
    for due in folds_due(source.services, source.pattern.followed, plainly.NoRunIsAlive(), everything=True):
        claimed = source.services.ledger.folds.claim(due.fold, "run")
        assert claimed
        folder = work / due.followed.name.replace("/", "-")
        folder.mkdir(parents=True)
        fold(source.services, due.followed, claimed, "run", folder)


def _found(source: Changes, name: str, case: Case) -> list[tuple[Any, ...]]:
    services, columns = source.services, ", ".join(f'"{column}"' for column in case.columns)
    prefix = services.settings.database_prefix
    sql = f"select {columns} from {prefix}sequences.{name}"
    return sorted(run_query(services.aws, services.glue, prefix, sql, 1_000_000)[1], key=repr)


def _expected(shop: Database, name: str, case: Case) -> list[tuple[Any, ...]]:
    fields = [
        declared.get("field", column) if isinstance(declared, dict) else column
        for column, declared in case.columns.items()
    ]
    selected = ", ".join(f'"{each}"' for each in fields)
    return sorted((tuple(row) for row in shop.query(f"SELECT {selected} FROM {name}")), key=repr)
