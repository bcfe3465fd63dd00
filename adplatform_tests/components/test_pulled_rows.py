"""Tables of a database that are pulled, made into the rows that there are: what was read, without what is gone."""

from typing import Any

import dagster as dg

from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform_tests.components.test_database_tables import ROWS, TABLE, failures, later, platform_of
from adplatform_tests.support.databases import Database
from adplatform_tests.support.platforms import Platform

COMPARED = {"incremental": {"cursor": "updated_at", "lag": "0s", "keys": {"every": "1d"}}}
UPDATED = "UPDATE customers SET note = '{}', updated_at = clock_timestamp() WHERE id = {}"


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
    platform = done(platform_of(services, shop, instance, outputs=["current"]))
    assert rows(platform, "customers_current", "count(*), sum(id)") == [(30, 465)]
    shop.execute("DELETE FROM customers WHERE id <= 10", "UPDATE customers SET note = 'x' WHERE id = 11")
    done(later(platform, hours=1))
    assert rows(platform, "customers_current", "count(*), min(id), count_if(note = 'x')") == [(20, 11, 1)]
    assert rows(platform, "customers_deleted", "id") == [(n,) for n in range(1, 11)]


def compared(platform: Platform, hours: int) -> Platform:
    """The platform so many hours on, once the keys have been read, which wait while rows are."""
    done(later(platform, hours=hours))
    return done(later(platform, hours=hours, minutes=30))


def test_rows_that_are_gone_are_found_by_their_keys(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(TABLE, ROWS.format(1, 30))
    platform = platform_of(services, shop, instance, **COMPARED, outputs=["current", "history"])
    compared(platform, 0)
    assert rows(platform, "customers_current", "count(*), sum(id)") == [(30, 465)]
    shop.execute("DELETE FROM customers WHERE id <= 3", UPDATED.format("new", 5))
    done(later(platform, hours=2))
    assert (5, "new") in rows(platform, "customers_current")
    assert rows(platform, "customers_current", "count(*)") == [(30,)]
    compared(platform, 24)
    assert rows(platform, "customers_current", "id, note") == shop.query("select id, note from customers order by id")
    assert rows(platform, "customers_deleted", "id") == [(1,), (2,), (3,)]
    assert rows(platform, "customers_history", "id") == [(1,), (2,), (3,), (5,)]
    # Nothing happened since: no version ends.
    compared(platform, 48)
    assert rows(platform, "customers_history", "id") == [(1,), (2,), (3,), (5,)]
    # A row that was deleted and inserted again comes back once it is read.
    shop.execute(ROWS.format(2, 2), UPDATED.format("again", 2))
    compared(platform, 72)
    assert (2, "again") in rows(platform, "customers_current")
    assert rows(platform, "customers_deleted", "id") == [(1,), (3,)]
