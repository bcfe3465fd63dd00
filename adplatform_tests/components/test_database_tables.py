"""Tables of a PostgreSQL server, read in batches through Dagster: from the database to a clean table."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.components import DatabaseTables
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import RunState
from adplatform.resources.provisioning import provision_patterns
from adplatform_tests.support.databases import Database
from adplatform_tests.support.platforms import Platform, make_platform

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


@pytest.mark.slow
def test_the_next_reading_replaces_what_the_last_one_brought(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(TABLE, ROWS.format(1, 300))
    platform = platform_of(services, shop, instance)
    assert not failures(platform.process())
    shop.execute("DELETE FROM customers WHERE id <= 100", ROWS.format(301, 310))
    following = later(platform, hours=1)
    assert not failures(following.process())
    assert [run.objects for run in services.ledger.engine_runs.runs("shop", "customers")] == [1, 1]
    newest = "where dt = (select max(dt) from {customers})"
    assert platform.query(f"select count(*), min(id), max(id) from {{customers}} {newest}") == [(210, 101, 310)]


def test_an_incremental_reading_brings_only_what_changed(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(TABLE, ROWS.format(1, 300))
    incremental = {"incremental": {"cursor": "updated_at", "lag": "0s"}, "latest_by": "updated_at"}
    platform = platform_of(services, shop, instance, **incremental)
    assert not failures(platform.process())
    shop.execute("UPDATE customers SET note = 'changed', updated_at = '2026-11-20' WHERE id IN (5, 6)")
    following = later(platform, hours=1)
    assert not failures(following.process())
    rows = [run.records for run in services.ledger.engine_runs.runs("shop", "customers")]
    assert rows == [300, 2]
    # Midnight may lie between the two, which then are two partitions.
    days = {each.day for each in services.ledger.extracts.known("shop", "customers")}
    found = platform.query("select count(*), count_if(note = 'changed') from {customers}")
    assert found == [(298 + 2 * len(days), 2)]
    # Nothing changed: a run, no delivery.
    assert [r.job_def.name for r in later(platform, hours=2).process()] == ["shop_extract"]


def test_what_does_not_fit_is_quarantined_with_its_reason_and_never_changed(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(
        TABLE.replace("numeric(12,2)", "numeric"),
        ROWS.format(1, 40),
        "UPDATE customers SET amount = 'NaN' WHERE id = 1",
        "UPDATE customers SET amount = 1.005 WHERE id = 2",
        "UPDATE customers SET amount = 12345678901234567890 WHERE id = 3",
        "UPDATE customers SET updated_at = 'infinity' WHERE id = 4",
        "UPDATE customers SET updated_at = '12026-01-01' WHERE id = 5",
    )
    platform = platform_of(services, shop, instance)
    assert not failures(platform.process())
    [delivered] = services.ledger.publications.of_feed("shop/customers")
    assert (delivered.clean, delivered.quarantined) == (35, 5)
    assert delivered.reasons == {"bad_decimal:amount": 3, "bad_timestamp:updated_at": 2}


def test_a_table_that_is_not_as_declared_is_not_read_and_said_so(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute("CREATE TABLE customers (id bigint, email text)")
    platform = platform_of(services, shop, instance)
    assert platform.process() == []
    assert [t.error for t in services.ledger.messages.troubles("shop").values()] == [
        "table public.customers has no column amount, active, note, updated_at: correct `field`, or leave it out"
    ]
    shop.execute("DROP TABLE customers", TABLE, ROWS.format(1, 3))
    assert not failures(later(platform, hours=1).process())


def test_a_run_that_is_killed_is_followed_by_one_that_reads_it(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(TABLE, ROWS.format(1, 100))
    platform = platform_of(services, shop, instance)
    [request] = platform.tick()
    row = services.ledger.extracts.active("shop")[0]
    # A run that nobody knows any more has claimed it.
    services.ledger.extracts.claim(row, "00000000-0000-0000-0000-000000000000")
    [again] = platform.tick()
    assert again.run_key != request.run_key
    assert not failures([platform.run(again), *platform.process()])
    assert platform.query("select count(*) from {customers}") == [(100,)]


def test_a_reading_that_is_stopped_ends_as_cancelled_and_delivers_nothing(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(TABLE, ROWS.format(1, 100))
    platform = platform_of(services, shop, instance)
    platform.tick()
    watch = DatabaseTables(platform.declared).pattern(services.settings).watch(services)  # type: ignore[arg-type]
    [run] = services.ledger.engine_runs.runs("shop", "customers")
    watch.cancel(watch.targets[0], run)
    assert platform.process() == []
    assert [r.state for r in services.ledger.engine_runs.runs("shop", "customers")] == [RunState.CANCELLED]
    assert services.ledger.deliveries.of_feed("shop/customers") == []


@pytest.mark.slow
def test_nothing_waits_for_events_of_a_database_and_ended_readings_are_not_looked_through(
    services: Services, shop: Database, instance: dg.DagsterInstance
) -> None:
    shop.execute(TABLE, ROWS.format(1, 10))
    platform = platform_of(services, shop, instance)
    pattern = DatabaseTables(platform.declared).pattern(services.settings)  # type: ignore[arg-type]
    provision_patterns(services, [pattern])
    assert services.queue_url(pattern.source) is None
    [target] = pattern.targets(services)
    platform.tick()
    assert len(list(target.engine.recent(services.now()))) == 1
    assert not failures(platform.process())
    assert list(target.engine.recent(services.now())) == []


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ({"password": "wrong-password"}, "does not take the user and password"),
        ({"port": 1}, "cannot be reached"),
        ({"dbname": "nowhere"}, "there is no such database"),
        ({"engine": "db2"}, "engine is not one of postgres"),
        ({"host": "db.example.com"}, "tls: off is for a database of this machine"),
    ],
)
def test_a_connection_that_does_not_work_is_said_in_a_sentence_without_the_password(
    services: Services, shop: Database, instance: dg.DagsterInstance, secret: dict[str, Any], said: str
) -> None:
    text = json.dumps({**shop.server.secret(shop.name), **secret})
    services.secrets.put_secret_value(SecretId=shop.secret, SecretString=text)
    platform = platform_of(services, shop, instance)
    later(platform, minutes=20).process()
    later(platform, minutes=40).process()
    troubles = [t.error for t in services.ledger.messages.troubles("shop").values()]
    assert troubles
    assert all(said in text for text in troubles)
    assert "password" not in troubles[0].replace("user and password of the secret", "")
