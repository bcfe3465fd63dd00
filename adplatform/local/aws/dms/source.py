"""A PostgreSQL source: how it is reached, its tables, and the slot that keeps changes until they are written.

Only databases of this machine are read. A slot is looked into by SQL functions, and is advanced once what was found
there is written, so that nothing is lost when the work ends in between.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.backends import get_backend

from adplatform.local.aws import managed
from adplatform.local.aws.dms.pgoutput import Column
from adplatform.local.aws.dms.state import DmsBackend
from adplatform.local.aws.state import LOCK
from adplatform.local.world.shop.endpoint import SIMULATED_HOST, superuser
from adplatform.platform.loopback import is_loopback

MOST_CHANGES = 100_000
"""In one batch."""
_SESSION = "-c TimeZone=UTC -c DateStyle=ISO -c bytea_output=hex -c IntervalStyle=postgres -c statement_timeout=0"
_TABLES = """
SELECT n.nspname, c.relname, c.relreplident = 'f' OR c.relreplident = 'i' OR (c.relreplident = 'd' AND EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1, 2
"""
_COLUMNS = """
SELECT a.attname, a.atttypid::int8, a.atttypmod, COALESCE(a.attnum = ANY (i.indkey::int2[]), false)
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attgenerated = '' ORDER BY a.attnum
"""


class Unreachable(Exception):
    """The source endpoint does not say how a database of this machine is reached."""


@dataclass(frozen=True)
class Address:
    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Found:
    """A table of the source; of one without ``identity`` only inserts are sent."""

    schema: str
    name: str
    identity: bool


def address(backend: DmsBackend, endpoint: Any) -> Address:
    """Where the database of an endpoint is. The host of the simulated shop stands for that, with a user who may do
    anything there. Callers do not hold the lock.

    Raises:
        Unreachable: it is not known, or not of this machine.
    """
    settings: Mapping[str, Any] = endpoint.postgre_sql_settings or {}
    name = settings.get("SecretsManagerSecretId")
    found: Mapping[str, Any] = {
        "host": endpoint.server_name or settings.get("ServerName", ""),
        "port": endpoint.port or settings.get("Port", 5432),
        "dbname": endpoint.database_name or settings.get("DatabaseName", ""),
        "username": endpoint.username or settings.get("Username", ""),
        "password": endpoint.password or settings.get("Password", ""),
    }
    if name:
        found = {**found, **_secret(backend, name)}
    if "administration" in found or found["host"] == SIMULATED_HOST:
        found = superuser(managed.CONTROL.data / "shop")
    if not is_loopback(found["host"]):
        raise Unreachable(f"the embedded AWS reads databases of this machine only, not of {found['host']!r}")
    return Address(found["host"], int(found["port"]), found["dbname"], found["username"], found["password"])


def _secret(backend: DmsBackend, name: str) -> dict[str, Any]:
    with LOCK:
        secrets = get_backend("secretsmanager")[backend.account_id][backend.region_name]
        members: dict[str, Any] = json.loads(secrets.get_secret_value(name, None, None)["SecretString"])
    return members


@contextmanager
def opened(to: Address) -> Iterator[Any]:
    """A connection that commits each statement."""
    import psycopg  # noqa: PLC0415 - takes longer than much that needs none

    with psycopg.connect(
        host=to.host,
        port=to.port,
        dbname=to.database,
        user=to.user,
        password=to.password,
        autocommit=True,
        connect_timeout=10,
        options=_SESSION,
        application_name="dms",
    ) as made:
        yield made


def tables(database: Any) -> list[Found]:
    return [Found(*row) for row in database.execute(_TABLES).fetchall()]


def columns(database: Any, schema: str, table: str) -> tuple[Column, ...]:
    """Those of a table in their order; ``is_key`` says which are of the primary key."""
    return tuple(Column(*row) for row in database.execute(_COLUMNS, (schema, table)).fetchall())


def keep_columns(database: Any, schema: str, table: str) -> None:
    """Has changes of a table's columns wait for the end of the connection's transaction. To be called before the
    transaction's snapshot is taken: in an older one the catalogue is as it was before changes that were waited for."""
    database.execute(f"LOCK TABLE ONLY {_quoted(schema, table)} IN ACCESS SHARE MODE")


def make_slot(database: Any, slot: str, found: Sequence[Found], *, truncations: bool = False) -> int:
    """Publications for the tables and a slot, in the place of those that may be there; the LSN where it begins.

    An update of a table without an identity would be refused to everybody if it were published, so these have a
    publication of their own, of inserts. Truncations are published only where somebody wants them: DMS does not
    capture those of PostgreSQL.
    """
    drop_slot(database, slot)
    more = ", truncate" if truncations else ""
    published = ((slot, True, f"insert, update, delete{more}"), (f"{slot}_inserts", False, f"insert{more}"))
    for name, identity, operations in published:
        wanted = ", ".join(_quoted(each.schema, each.name) for each in found if each.identity == identity)
        of_tables = f"FOR TABLE {wanted} " if wanted else ""
        database.execute(f"CREATE PUBLICATION {name} {of_tables}WITH (publish = '{operations}')")
    made = "SELECT lsn - '0/0'::pg_lsn FROM pg_create_logical_replication_slot(%s, 'pgoutput')"
    return int(database.execute(made, (slot,)).fetchone()[0])


def drop_slot(database: Any, slot: str) -> None:
    lose_slot(database, slot)
    database.execute(f"DROP PUBLICATION IF EXISTS {slot}")
    database.execute(f"DROP PUBLICATION IF EXISTS {slot}_inserts")


def lose_slot(database: Any, slot: str) -> None:
    dropped = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"
    database.execute(dropped, (slot,))


def extend(database: Any, slot: str, found: Sequence[Found]) -> None:
    """Publishes more tables."""
    for each in found:
        name = slot if each.identity else f"{slot}_inserts"
        database.execute(f"ALTER PUBLICATION {name} ADD TABLE {_quoted(each.schema, each.name)}")


def pending(database: Any, slot: str, written: int) -> int:
    """The bytes of log since the slot was last advanced, or since the LSN up to which more is written."""
    asked = """SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), greatest(confirmed_flush_lsn, %s::pg_lsn))
        FROM pg_replication_slots WHERE slot_name = %s"""
    row = database.execute(asked, (text_of(written), slot)).fetchone()
    return int(row[0]) if row else 0


def peek(database: Any, slot: str, most: int = MOST_CHANGES) -> list[tuple[str, bytes]]:
    """What committed transactions the slot has, each message with its LSN; they stay in it. It ends with the
    transaction in which ``most`` messages are reached."""
    asked = """SELECT lsn::text, data FROM pg_logical_slot_peek_binary_changes(
        %s, NULL, %s, 'proto_version', '1', 'publication_names', %s)"""
    found: list[tuple[str, bytes]] = database.execute(asked, (slot, most, f"{slot},{slot}_inserts")).fetchall()
    return found


def position(database: Any) -> int:
    """The LSN up to which the log is written."""
    return int(database.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()[0])


def advance(database: Any, slot: str, lsn: int) -> None:
    """The slot keeps nothing any more of what ended before the LSN."""
    database.execute("SELECT pg_replication_slot_advance(%s, %s::pg_lsn)", (slot, text_of(lsn)))


def text_of(lsn: int) -> str:
    """As PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


@contextmanager
def rows(database: Any, schema: str, table: str, found: Sequence[Column]) -> Iterator[Iterator[tuple[str | None, ...]]]:
    """The rows of a table under the transaction of the connection, each value as its type writes it."""
    names = ", ".join(_quoted(column.name) for column in found)
    asked = f"COPY (SELECT {names} FROM {_quoted(schema, table)}) TO STDOUT"
    with database.cursor().copy(asked) as copied:
        yield copied.rows()


def _quoted(*names: str) -> str:
    doubled = (name.replace('"', '""') for name in names)
    return ".".join(f'"{name}"' for name in doubled)
