"""What a PostgreSQL source keeps and logs is read from the server itself."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from adplatform.engines.dms_settings.check import check, not_looked_at
from adplatform.engines.dms_settings.documents import Checked
from adplatform.engines.dms_settings.mappings import TableMappings, read_mappings
from adplatform.engines.dms_settings.postgres_source import read_postgres
from adplatform.engines.dms_settings.read_source import read_source
from adplatform.engines.dms_settings.rule import Finding
from adplatform.engines.dms_settings.sources import PostgresSource
from adplatform.extract.connection import Connecting, Credentials, database
from adplatform.failures import CredentialsRefused, PermanentFailure
from adplatform.flow.services import Services
from adplatform.local.world.postgres import PostgresServer, postgres_server
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms_settings import passing

EVERYTHING = [
    {
        "rule-type": "selection",
        "rule-id": "1",
        "rule-name": "1",
        "object-locator": {"schema-name": "%", "table-name": "%"},
        "rule-action": "include",
    },
    {
        "rule-type": "transformation",
        "rule-id": "2",
        "rule-name": "2",
        "rule-target": "column",
        "object-locator": {"schema-name": "%", "table-name": "%"},
        "rule-action": "add-column",
        "value": "seq",
        "expression": "$AR_H_CHANGE_SEQ",
        "data-type": {"type": "string", "length": 50},
    },
]


def mappings(*more: dict[str, Any]) -> TableMappings:
    return read_mappings("mappings.json", {"rules": [*EVERYTHING, *more]})


def read(server: PostgresServer, name: str, *, longest: bool = False, **more: Any) -> PostgresSource:
    credentials = Credentials("postgres", "127.0.0.1", server.port, "postgres", server.password, name)
    with database(credentials, Connecting(verified=False)) as engine:
        return read_postgres(engine, "shop", more.get("mappings", mappings()), longest=longest)


def checked(source: PostgresSource) -> Checked:
    return replace(passing(), mappings=mappings(), source=source)


def found(source: PostgresSource) -> list[tuple[int, str]]:
    """The rules that the tables break: the server of tests keeps logs without a limit."""
    findings: list[Finding] = check(checked(replace(source, keeps_mb=10_240, slots=())))
    return [(finding.number, finding.where.partition(": ")[2]) for finding in findings]


def test_tables_without_key_or_identity_and_wide_or_unbounded_columns_are_found(shop: Database) -> None:
    shop.execute(
        "CREATE TABLE fit (id bigint PRIMARY KEY, amount numeric(12,2), state varchar(20), at timestamptz)",
        "CREATE TABLE keyless (id bigint)",
        "CREATE TABLE keyless_full (id bigint)",
        "ALTER TABLE keyless_full REPLICA IDENTITY FULL",
        "CREATE TABLE silent (id bigint PRIMARY KEY)",
        "ALTER TABLE silent REPLICA IDENTITY NOTHING",
        "CREATE TABLE wide (id bigint PRIMARY KEY, notes text, detail jsonb, tags text[], title varchar(4000))",
        "CREATE TABLE wide_full (id bigint PRIMARY KEY, notes text)",
        "ALTER TABLE wide_full REPLICA IDENTITY FULL",
        "CREATE DOMAIN money_of_ours AS numeric",
        "CREATE TABLE unbounded (id bigint PRIMARY KEY, amount numeric, share money_of_ours)",
        "CREATE TEMP TABLE passing (id bigint)",
    )
    assert found(read(shop.server, shop.name)) == [
        (36, "public.keyless"),
        (36, "public.silent"),
        (37, "public.wide"),
        (38, "public.unbounded"),
    ]


def test_identity_by_an_index_names_rows_without_a_primary_key(shop: Database) -> None:
    shop.execute(
        "CREATE TABLE indexed (id bigint NOT NULL)",
        "CREATE UNIQUE INDEX by_id ON indexed (id)",
        "ALTER TABLE indexed REPLICA IDENTITY USING INDEX by_id",
    )
    assert found(read(shop.server, shop.name)) == []


def test_partitions_are_tables_with_the_identity_of_their_own(shop: Database) -> None:
    shop.execute(
        "CREATE TABLE days (id bigint, dt date, PRIMARY KEY (id, dt)) PARTITION BY RANGE (dt)",
        "CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "ALTER TABLE days_1 REPLICA IDENTITY NOTHING",
    )
    assert found(read(shop.server, shop.name)) == [(36, "public.days_1")]


def test_only_selected_tables_are_looked_at(shop: Database) -> None:
    shop.execute("CREATE TABLE a (id bigint)", "CREATE SCHEMA other", "CREATE TABLE other.b (id bigint)")
    leave_out = {
        "rule-type": "selection",
        "rule-action": "exclude",
        "object-locator": {"schema-name": "other", "table-name": "%"},
    }
    source = read(shop.server, shop.name, mappings=mappings(leave_out))
    assert [table.shown for table in source.tables] == ["public.a"]


def test_keys_keep_their_names_and_filters_by_them_are_allowed(shop: Database) -> None:
    shop.execute('CREATE TABLE "Order Items" ("Order" bigint, line int, note char(3), PRIMARY KEY ("Order", line))')
    [table] = read(shop.server, shop.name).tables
    assert (table.name, table.key) == ("Order Items", ("Order", "line"))
    assert table.sql == 'public."Order Items"'
    assert [column.said for column in table.columns] == ["bigint", "integer", "character(3)"]


def test_values_longer_than_what_the_task_lets_through_are_measured_when_asked_for(shop: Database) -> None:
    shop.execute(
        'CREATE TABLE "n%1" (id bigint PRIMARY KEY, "no%te" text, raw bytea, doc json)',
        'ALTER TABLE "n%1" REPLICA IDENTITY FULL',
        """INSERT INTO "n%1" VALUES (1, repeat('ä', 700000), repeat('x', 10)::bytea, NULL)""",
        "CREATE TABLE empty (id bigint PRIMARY KEY, raw bytea)",
        "ALTER TABLE empty REPLICA IDENTITY FULL",
    )
    measured = read(shop.server, shop.name, longest=True)
    lengths: dict[str, dict[str, int | None]] = {
        table.name: {c.name: c.longest for c in table.columns if c.lob} for table in measured.tables
    }
    assert lengths == {"empty": {"raw": 0}, "n%1": {"no%te": 1_400_000, "raw": 10, "doc": 0}}
    [finding] = check(checked(replace(measured, keeps_mb=10_240)))
    assert (finding.number, "no%te (1,400,000 bytes)" in finding.text) == (13, True)
    assert finding.paste is not None
    assert finding.paste["TargetMetadata"]["LobMaxSize"] == 2_736
    assert found(read(shop.server, shop.name)) == []
    assert any("--longest" in each for each in not_looked_at(checked(read(shop.server, shop.name))))


def test_a_log_without_limit_is_found_and_a_slot_that_is_behind_is_named(shop: Database) -> None:
    assert [f.number for f in check(checked(read(shop.server, shop.name)))] == [39]
    shop.execute("SELECT pg_create_logical_replication_slot('dms_of_ours', 'pgoutput')")
    try:
        shop.execute("CREATE TABLE t AS SELECT n, repeat('x', 100) AS v FROM generate_series(1, 1000) n")
        [slot] = read(shop.server, shop.name).slots
        assert (slot.name, slot.active) == ("dms_of_ours", False)
        assert slot.behind is not None
        assert slot.behind > 100_000
    finally:
        shop.execute("SELECT pg_drop_replication_slot('dms_of_ours')")


def test_a_source_is_read_by_the_credentials_of_a_secret(shop: Database, services: Services) -> None:
    source = read_source(services.secrets, shop.secret, mappings(), Connecting(verified=False))
    assert isinstance(source, PostgresSource)
    assert (source.wal_level, source.place) == ("logical", f"postgres 127.0.0.1:{shop.server.port}/{shop.name}")


def test_a_secret_with_a_wrong_password_is_refused(shop: Database, services: Services) -> None:
    wrong = shop.server.secret(shop.name, password="wrong")
    services.secrets.put_secret_value(SecretId=shop.secret, SecretString=json.dumps(wrong))
    with pytest.raises(CredentialsRefused):
        read_source(services.secrets, shop.secret, mappings(), Connecting(verified=False))


def test_a_database_that_no_rule_is_about_is_refused(services: Services) -> None:
    secret = {"engine": "redshift", "host": "127.0.0.1", "username": "u", "password": "p", "dbname": "d"}
    name = f"{services.settings.raw_bucket}/redshift"
    services.secrets.create_secret(Name=name, SecretString=json.dumps(secret))
    with pytest.raises(PermanentFailure, match="rules are about postgres"):
        read_source(services.secrets, name, mappings(), Connecting(verified=False))


@pytest.fixture(scope="module")
def small() -> Iterator[PostgresServer]:
    """A server that logs too little, and keeps too little of it."""
    with postgres_server(wal_level="replica", max_slot_wal_keep_size="64MB") as server:
        yield server


def test_a_server_that_logs_for_replicas_only_is_refused(small: PostgresServer) -> None:
    source = read(small, "postgres")
    findings = check(checked(source))
    assert [finding.number for finding in findings] == [39, 49]
    assert "max_slot_wal_keep_size is 64 MB" in findings[0].text
    assert "wal_level is replica" in findings[1].text


def test_a_slot_whose_log_is_gone_is_lost() -> None:
    with postgres_server(max_slot_wal_keep_size="1MB", max_wal_size="32MB", min_wal_size="32MB") as server:
        with server.connect() as connection:
            connection.execute("SELECT pg_create_logical_replication_slot('dms', 'pgoutput')")
            for n in range(4):
                connection.execute(f"CREATE TABLE t{n} AS SELECT n FROM generate_series(1, 1000) n")
                connection.execute("SELECT pg_switch_wal()")
            connection.execute("CHECKPOINT")
        [slot] = read(server, "postgres").slots
        assert slot.status == "lost"
        texts = [finding.text for finding in check(checked(read(server, "postgres"))) if "Slot" in finding.text]
        assert len(texts) == 1
        assert "Load the tables anew" in texts[0]
