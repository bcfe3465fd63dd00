"""Tables of a database that are pulled, made into the rows that there are: what was read, without what is gone."""

import json
import random
import uuid
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.components import DatabaseTables
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform_tests.components.test_database_tables import CUSTOMERS, ROWS, TABLE, failures, platform_of
from adplatform_tests.support.clocks import Clock
from adplatform_tests.support.databases import Database
from adplatform_tests.support.mariadb import MariaDb
from adplatform_tests.support.platforms import TODAY, Platform, make_platform

COMPARED = {"incremental": {"cursor": "updated_at", "lag": "0s", "keys": {"every": "1d"}}}
MIDNIGHT = datetime.combine(TODAY - timedelta(days=7), time(0, 5), UTC)
UPDATED = "UPDATE customers SET note = '{}', updated_at = clock_timestamp() WHERE id = {}"


def at_midnight(services: Services) -> Services:
    """Shortly after a midnight of last week, so that nothing becomes due within half an hour."""
    return replace(services, now=Clock.at(MIDNIGHT))


def later(platform: Platform, **by: float) -> Platform:
    """The platform, whose clock is set so long after that midnight."""
    clock = platform.services.now
    assert isinstance(clock, Clock)
    clock.ahead = Clock.at(MIDNIGHT + timedelta(**by)).ahead
    return platform


def rows(platform: Platform, table: str, columns: str = "id, note") -> list[tuple[Any, ...]]:
    settings = platform.services.settings
    sql = f"select {columns} from {settings.database_prefix}shop.{table} order by all"
    return run_query(platform.services.aws, platform.services.glue, settings.database_prefix, sql, 100_000)[1]


def done(platform: Platform) -> Platform:
    """The platform once nothing is due."""
    results = platform.process()
    assert not failures(results)
    return platform


def test_whole_readings_become_the_rows_that_there_are(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(TABLE, ROWS.format(1, 30))
    platform = done(platform_of(at_midnight(services), shop, instance, outputs=["current"]))
    assert rows(platform, "customers_current", "count(*), sum(id)") == [(30, 465)]
    shop.execute("DELETE FROM customers WHERE id <= 10", "UPDATE customers SET note = 'x' WHERE id = 11")
    done(later(platform, hours=1))
    assert rows(platform, "customers_current", "count(*), min(id), count_if(note = 'x')") == [(20, 11, 1)]
    assert rows(platform, "customers_deleted", "id") == [(n,) for n in range(1, 11)]


def compared(platform: Platform, hours: int) -> Platform:
    """The platform so many hours on, once rows and then keys have been read, which wait while rows are."""
    done(later(platform, hours=hours))
    return done(later(platform, hours=hours, minutes=30))


def with_rows_gone(services: Services, shop: Database, instance: dg.DagsterInstance) -> Platform:
    """A platform with 30 rows, of which three were deleted and one was changed; rows were read since, keys were not."""
    shop.execute(TABLE, ROWS.format(1, 30))
    platform = platform_of(at_midnight(services), shop, instance, **COMPARED, outputs=["current", "history"])
    compared(platform, 0)
    assert rows(platform, "customers_current", "count(*), sum(id)") == [(30, 465)]
    shop.execute("DELETE FROM customers WHERE id <= 3", UPDATED.format("new", 5))
    return done(later(platform, hours=24))


@pytest.mark.slow
def test_rows_that_are_gone_are_found_by_their_keys(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    platform = with_rows_gone(services, shop, instance)
    assert (5, "new") in rows(platform, "customers_current")
    assert rows(platform, "customers_current", "count(*)") == [(30,)]
    done(later(platform, hours=24, minutes=30))
    assert rows(platform, "customers_current", "id, note") == shop.query("select id, note from customers order by id")
    assert rows(platform, "customers_deleted", "id") == [(1,), (2,), (3,)]
    assert rows(platform, "customers_history", "id") == [(1,), (2,), (3,), (5,)]


@pytest.mark.slow
def test_a_row_that_was_deleted_and_inserted_again_comes_back_once_it_is_read(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    platform = with_rows_gone(services, shop, instance)
    done(later(platform, hours=24, minutes=30))
    # To others nothing happened: no version ends.
    shop.execute(ROWS.format(2, 2), UPDATED.format("again", 2))
    compared(platform, 48)
    assert (2, "again") in rows(platform, "customers_current")
    assert rows(platform, "customers_deleted", "id") == [(1,), (3,)]
    assert rows(platform, "customers_history", "id") == [(1,), (2,), (3,), (5,)]


@pytest.mark.slow
def test_a_reading_of_keys_that_is_published_late_deletes_no_row_that_was_read_after_it(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(TABLE, ROWS.format(1, 5))
    platform = platform_of(at_midnight(services), shop, instance, **COMPARED, outputs=["current"])
    compared(platform, 0)
    shop.execute("DELETE FROM customers WHERE id IN (1, 2)")
    done(later(platform, hours=24))
    reading = [each for each in later(platform, hours=24, minutes=30).tick() if each.job_name == "shop_extract"]
    assert not failures([platform.run(each) for each in reading])
    # Since that view: one comes back, one changes, one is new. They are published and merged first.
    shop.execute(ROWS.format(2, 2), ROWS.format(6, 6), *(UPDATED.format("since", n) for n in (2, 3, 6)))
    ahead = later(platform, hours=26)
    keys = dg.AssetKey(["raw", "shop", "customers_keys"])
    while wanted := [each for each in ahead.tick() if keys not in (each.asset_selection or ())]:
        assert not failures([ahead.run(each) for each in wanted])
    since = [(2, "since"), (3, "since"), (6, "since")]
    assert [row for row in rows(platform, "customers_current") if row[1] == "since"] == since
    assert (1,) in rows(platform, "customers_current", "id")
    done(ahead)
    assert rows(platform, "customers_current", "id, note") == shop.query("select id, note from customers order by id")
    assert rows(platform, "customers_deleted", "id") == [(1,)]


def test_a_transaction_that_ends_between_two_readings_is_neither_lost_nor_deleted(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(TABLE, ROWS.format(1, 5))
    incremental = {**COMPARED["incremental"], "lag": "10m"}
    platform = platform_of(at_midnight(services), shop, instance, incremental=incremental, outputs=["current"])
    compared(platform, 0)
    with shop.server.connect(shop.name) as open_one:
        open_one.autocommit = False
        open_one.execute(ROWS.format(6, 6))
        open_one.execute("DELETE FROM customers WHERE id = 1")
        shop.execute(ROWS.format(7, 7))
        done(later(platform, hours=24))
        assert rows(platform, "customers_current", "id") == [(n,) for n in (1, 2, 3, 4, 5, 7)]
        open_one.commit()
    # Its keys are compared before its rows are read.
    done(later(platform, hours=24, minutes=30))
    assert rows(platform, "customers_current", "id") == [(n,) for n in (2, 3, 4, 5, 7)]
    done(later(platform, hours=26))
    assert rows(platform, "customers_current", "id") == [(n,) for n in (2, 3, 4, 5, 6, 7)]


def test_a_reading_of_personal_keys_that_is_killed_changes_nothing_and_the_next_compares_them_by_their_digests(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(TABLE, ROWS.format(1, 5))
    columns = {**CUSTOMERS["columns"], "email": {"pii": "email", "required": True}}
    platform = platform_of(
        at_midnight(services), shop, instance, **COMPARED, outputs=["current"], columns=columns, key="email"
    )
    compared(platform, 0)
    shop.execute("DELETE FROM customers WHERE id = 2")
    done(later(platform, hours=24))
    evening = later(platform, hours=24, minutes=30)
    evening.tick()
    [row] = services.ledger.extracts.active("shop")
    assert row.target == "customers_keys"
    services.ledger.extracts.claim(row, "00000000-0000-0000-0000-000000000000")
    seen = "id, length(email_lake)"
    assert rows(platform, "customers_current", seen) == [(n, 64) for n in (1, 2, 3, 4, 5)]
    done(evening)
    assert rows(platform, "customers_current", seen) == [(n, 64) for n in (1, 3, 4, 5)]
    assert rows(platform, "customers_deleted", "id") == [(2,)]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "days"), [(0, 1), *((n, 3) for n in range(6))])
def test_after_any_writes_rows_and_keys_that_are_read_come_to_what_the_database_has(
    services: Services, shop: Database, instance: dg.DagsterInstance, seed: int, days: int
) -> None:
    draw = random.Random(seed)
    shop.execute(TABLE)
    hourly = {"incremental": {**COMPARED["incremental"], "keys": {"every": "1h"}}}
    platform = platform_of(at_midnight(services), shop, instance, **hourly, outputs=["current", "history"])
    for day in range(days):
        for hour in (0, 2):
            for _ in range(draw.randint(1, 8)):
                n = draw.randint(1, 8)
                there = shop.query(f"select 1 from customers where id = {n}")
                write = "DELETE FROM customers WHERE id = {}".format if there and draw.random() < 0.5 else None
                shop.execute(write(n) if write else ROWS.format(n, n) + " ON CONFLICT DO NOTHING")
                shop.execute(UPDATED.format(draw.choice("abc"), n))
            if hour == 0:
                done(later(platform, days=day))
        compared(platform, 24 * day + 3)
        wanted = shop.query("select id, note, amount from customers order by id")
        there = rows(platform, "customers_current", "id, note, amount")
        assert there == wanted


@pytest.mark.slow
def test_rows_of_another_database_that_are_gone_are_found_as_well(
    services: Services, instance: dg.DagsterInstance, mariadb: MariaDb
) -> None:
    name = f"shop_{uuid.uuid4().hex[:8]}"
    with mariadb.connect() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"CREATE TABLE {name}.orders (id bigint PRIMARY KEY, note text, at datetime(6) NOT NULL)")
        cursor.execute(f"INSERT INTO {name}.orders VALUES (1, 'a', now(6)), (2, 'b', now(6)), (3, 'c', now(6))")
    services.secrets.create_secret(Name="shop/database", SecretString=json.dumps(mariadb.secret(name)))
    feed = {
        "name": "orders",
        "start_date": "2026-01-01",
        "every": "1h",
        "columns": {"id": {"type": "bigint", "required": True}, "note": "string", "at": "timestamp"},
        "key": "id",
        "incremental": {"cursor": "at", "lag": "0s", "keys": {"every": "1d"}},
        "outputs": ["current"],
    }
    declared = {"source": "shop", "connection": "shop/database", "tls": "off", "feeds": [feed]}
    platform = make_platform(at_midnight(services), declared, instance, DatabaseTables)
    compared(platform, 0)
    with mariadb.connect(name) as cursor:
        cursor.execute("DELETE FROM orders WHERE id = 2")
        cursor.execute("UPDATE orders SET note = 'new', at = now(6) + interval 1 second WHERE id = 3")
    compared(platform, 24)
    assert rows(platform, "orders_current") == [(1, "a"), (3, "new")]
