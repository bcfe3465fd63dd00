"""A table of a declared database, and the database opened as it is declared."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from adplatform.contracts.database import DatabaseSource, TableFeed
from adplatform.extract.connection import SNAPSHOTS, Connecting, Credentials, database, read_credentials
from adplatform.extract.portable import portable_view
from adplatform.extract.postgres import postgres_view
from adplatform.extract.reading import Reading, View, Window, split_name
from adplatform.failures import PermanentFailure
from adplatform.platform.aws_errors import secret_failures

if TYPE_CHECKING:
    import sqlalchemy as sa


@dataclass(frozen=True)
class Table:
    """One table of a declared database."""

    declared: DatabaseSource
    feed: TableFeed

    @property
    def name(self) -> str:
        return f"{self.declared.source}/{self.feed.name}"

    def reading(self, window: Window | None = None) -> Reading:
        schema, table = split_name(self.feed.source_table)
        chunks = self.feed.chunks
        return Reading(
            schema,
            table,
            tuple(column.field_name for column in self.feed.read_columns),
            self.feed.where,
            window,
            chunks.rows,
            self.feed.column(chunks.column).field_name if chunks.column else None,
        )

    @property
    def cursor(self) -> str | None:
        """The database's name of its cursor."""
        wanted = self.feed.incremental
        return self.feed.column(wanted.cursor).field_name if wanted else None


@contextmanager
def opened(secrets: Any, declared: DatabaseSource) -> "Iterator[sa.Engine]":
    """The engine of a declared database; as ``adplatform.extract.connection.database``."""
    how = connecting(secrets, declared.verified, declared.authority, declared.statement_timeout)
    with database(credentials_of(secrets, declared), how) as engine:
        yield engine


def credentials_of(secrets: Any, declared: DatabaseSource) -> Credentials:
    """Those of a declared database.

    Raises:
        PermanentFailure: they are of another kind of database than is declared; else as ``read_credentials``.
    """
    found = read_credentials(secrets, declared.connection)
    if declared.dialect not in (None, found.engine):
        raise PermanentFailure(
            f"{declared.source}: the secret {declared.connection} is of {found.engine}, and dialect is "
            f"{declared.dialect}: correct `engine` there, or dialect"
        )
    return found


def connecting(secrets: Any, verified: bool, authority: str | None, statement_timeout: timedelta) -> Connecting:
    """How to connect, with the certificates in the secret ``authority``.

    Raises: as ``adplatform.extract.connection.read_credentials``.
    """
    if authority is None:
        return Connecting(verified, "", statement_timeout)
    with secret_failures(f"secret {authority}"):
        text = secrets.get_secret_value(SecretId=authority).get("SecretString", "")
    return Connecting(verified, text, statement_timeout)


@contextmanager
def view_of(engine: "sa.Engine", workers: int) -> Iterator[View]:
    """The database as it is now."""
    if engine.get_execution_options()[SNAPSHOTS]:
        with postgres_view(engine, workers) as view:
            yield view
    else:
        with portable_view(engine) as portable:
            yield portable
