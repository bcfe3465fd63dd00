"""Tables of a PostgreSQL server, read in batches through Dagster: from the database to a clean table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from adplatform.components import DatabaseTables
from adplatform.flow.services import Services
from adplatform_tests.support.databases import Database
from adplatform_tests.support.platforms import Platform, make_platform

TODAY = datetime.now(UTC).date()
CUSTOMERS: dict[str, Any] = {
    "name": "customers",
    "table": "public.customers",
    "start_date": "2026-01-01",
    "every": "1h",
    "columns": {
        "id": {"type": "bigint", "required": True},
        "email": {"pii": "email"},
        "amount": "decimal(12,2)",
        "active": "boolean",
        "note": "string",
        "updated_at": "timestamp",
    },
    "key": "id",
}
TABLE = (
    "CREATE TABLE customers (id bigint PRIMARY KEY, email text, amount numeric(12,2), active boolean, note text,"
    " updated_at timestamptz NOT NULL)"
)
ROWS = (
    "INSERT INTO customers SELECT n, 'c' || n || '@example.com', n / 100.0, n % 2 = 0,"
    " CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE E'a \"quoted\"\nnote, ' || n END,"
    " '2026-11-01 00:00:00+00'::timestamptz + n * interval '1 second' FROM generate_series({}, {}) n"
)


def platform_of(services: Services, shop: Database, instance: dg.DagsterInstance, **feed: Any) -> Platform:
    declared = {
        "source": "shop",
        "connection": shop.secret,
        "tls": "off",
        "feeds": [{**CUSTOMERS, **feed}],
    }
    return make_platform(services, declared, instance, DatabaseTables)


def later(platform: Platform, **by: float) -> Platform:
    """The platform as of some time from now."""
    now = platform.services.now() + timedelta(**by)
    return replace(platform, services=replace(platform.services, now=lambda: now))


def failures(results: list[dg.ExecuteInProcessResult]) -> list[str]:
    """What failed steps say."""
    found = (r.failure_data_for_node(step) for r in results for step in r.get_failed_step_keys())
    return [each.error.to_string() for each in found if each and each.error]


def test_a_whole_table_becomes_a_clean_table(services: Services, shop: Database, instance: dg.DagsterInstance) -> None:
    shop.execute(TABLE, ROWS.format(1, 1000))
    platform = platform_of(services, shop, instance)
    results = platform.process()
    assert [r.success for r in results] == [True, True], failures(results)
    assert platform.query(
        "select count(*), sum(id), sum(amount), count(note), count_if(note = '') from {customers}"
    ) == [
        shop.query(
            "select count(*), sum(id), sum(amount), count(note), count(*) filter (where note = '') from customers"
        )[0]
    ]
    assert platform.query("select active, updated_at from {customers} where id = 7") == [
        (False, datetime(2026, 11, 1, 0, 0, 7, tzinfo=UTC))
    ]
