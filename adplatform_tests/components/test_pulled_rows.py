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
