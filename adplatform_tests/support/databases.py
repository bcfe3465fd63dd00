"""Database servers for tests: one of each kind for all tests of a worker, a database of its own for each test."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from adplatform.flow.services import Services
from adplatform.local.world.postgres import PostgresServer


@dataclass(frozen=True)
class Database:
    """A database of a server. ``secret`` is the name of its credentials."""

    server: PostgresServer
    name: str
    secret: str

    def execute(self, *statements: str) -> None:
        with self.server.connect(self.name) as connection:
            for statement in statements:
                connection.execute(statement)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.server.connect(self.name) as connection:
            return list(connection.execute(sql).fetchall())


_empty: dict[tuple[int, int], list[str]] = {}
"""Databases of ended tests, by process and port of their server: to empty one takes a third of what a new one takes."""
_POSTGRES_15 = 150_000
_LEFT = """
select (select count(*) from pg_publication) + (select count(*) from pg_event_trigger)
    + (select count(*) from pg_default_acl) + (select count(*) from pg_largeobject_metadata)
    + (select count(*) from pg_foreign_data_wrapper) + (select count(*) from pg_extension where extname <> 'plpgsql')
    + (select count(*) from pg_namespace where nspname !~ '^pg_' and nspname not in ('public', 'information_schema'))
    + (select count(datacl) from pg_database where datname = current_database())
    + (select count(*) from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
       where d.datname = current_database())
    + (select count(*) from pg_replication_slots where database = current_database())
    + (select count(*) from pg_prepared_xacts where database = current_database())
    + (select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid())
"""
"""How much there is in or about a database besides what its public schema has."""
_ANEW = (
    "drop schema public cascade",
    "create schema public authorization pg_database_owner",
    "grant usage on schema public to public",
)


@contextmanager
def database_of(server: PostgresServer, services: Services) -> Iterator[Database]:
    """An empty database, and a secret with its credentials."""
    free = _empty.setdefault((server.pid, server.port), [])
    if not free:
        free.append(f"shop_{uuid.uuid4().hex[:8]}")
        server.create(free[-1])
    name = free.pop()
    secret = f"shop_{uuid.uuid4().hex[:8]}/database"
    services.secrets.create_secret(Name=secret, SecretString=json.dumps(server.secret(name)))
    yield Database(server, name, secret)
    if _emptied(server, name):
        free.append(name)
    else:
        server.drop(name)


def _emptied(server: PostgresServer, name: str) -> bool:
    """Whether the database is as a new one again: nothing has to be left but what its public schema has."""
    with server.connect(name) as connection:
        if connection.info.server_version < _POSTGRES_15 or connection.execute(_LEFT).fetchone()[0]:
            return False
        for statement in _ANEW:
            connection.execute(statement)
        return True
