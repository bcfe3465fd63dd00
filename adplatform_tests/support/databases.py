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


@contextmanager
def database_of(server: PostgresServer, services: Services) -> Iterator[Database]:
    """A new database, and a secret with its credentials."""
    name = f"shop_{uuid.uuid4().hex[:8]}"
    server.create(name)
    text = json.dumps(server.secret(name))
    services.secrets.create_secret(Name=f"{name}/database", SecretString=text)
    yield Database(server, name, f"{name}/database")
    server.drop(name)
