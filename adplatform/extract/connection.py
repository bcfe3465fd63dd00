"""Connections to relational databases: credentials of Secrets Manager, verified TLS, errors that quote nothing.

A database's own messages may quote rows, and a driver's quote the statement: neither leaves this module.
"""

import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi

from adplatform.failures import AccessRefused, CredentialsRefused, PermanentFailure, TransientFailure
from adplatform.platform.aws_errors import secret_failures
from adplatform.platform.json_secrets import json_object
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import psycopg
    import sqlalchemy as sa
    from sqlalchemy import exc
else:
    psycopg = Late("psycopg")
    sa = Late("sqlalchemy")
    exc = Late("sqlalchemy.exc")

_MEMBERS = ("engine", "host", "username", "password", "dbname")
CONNECT_SECONDS = 15
SNAPSHOTS = "exports snapshots"
"""The execution option of an engine that says whether its database exports snapshots."""


@dataclass(frozen=True)
class Dialect:
    """How a kind of database is reached. ``driver`` is SQLAlchemy's name, ``module`` what has to be installed for it,
    from ``package``. With ``snapshots`` several connections can share one view, exported as PostgreSQL does."""

    driver: str
    module: str
    package: str
    port: int
    snapshots: bool = False


DIALECTS: Mapping[str, Dialect] = {
    "postgres": Dialect("postgresql+psycopg", "psycopg", "psycopg", 5432, snapshots=True),
    "mysql": Dialect("mysql+pymysql", "pymysql", "pymysql", 3306),
    "mariadb": Dialect("mariadb+pymysql", "pymysql", "pymysql", 3306),
    "sqlserver": Dialect("mssql+pymssql", "pymssql", "pymssql", 1433),
    "oracle": Dialect("oracle+oracledb", "oracledb", "oracledb", 1521),
    "redshift": Dialect("postgresql+psycopg", "psycopg", "psycopg", 5439),
    "snowflake": Dialect("snowflake", "snowflake.sqlalchemy", "snowflake-sqlalchemy", 443),
}
"""By the engine as the secrets of Amazon RDS name it; ``postgresql`` is taken for ``postgres``."""


_UNVERIFIED = ("sqlserver", "oracle")
"""Engines whose drivers are not set up here to verify a certificate."""


@dataclass(frozen=True)
class Credentials:
    """How to reach one database. ``engine`` is a key of ``DIALECTS``."""

    engine: str
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    dbname: str = ""

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self.engine]

    @property
    def place(self) -> str:
        """For people."""
        return f"{self.engine} {self.host}:{self.port}/{self.dbname}"


@dataclass(frozen=True)
class Connecting:
    """How to connect: ``verified`` TLS or none, with the certificates of ``authority`` (PEM) in the place of the
    system's, and what a statement may last."""

    verified: bool = True
    authority: str = ""
    statement_timeout: timedelta = timedelta(minutes=30)


def read_credentials(secrets: Any, name: str) -> Credentials:
    """The credentials in the secret ``name``, as Secrets Manager writes those of databases.

    Raises:
        CredentialsRefused: it is no JSON object with what is needed; names what is missing.
        TransientFailure: Secrets Manager does not answer.
        EnvironmentFailure: there is no such secret, or it may not be read.
    """
    with secret_failures(f"secret {name}"):
        text = secrets.get_secret_value(SecretId=name).get("SecretString", "")
    members = json_object(text)
    missing = [m for m in _MEMBERS if not isinstance(members.get(m), str) or not members[m].strip()]
    if missing:
        raise CredentialsRefused(f"secret {name} is no JSON object with {', '.join(missing)}")
    engine = {"postgresql": "postgres"}.get(members["engine"].lower(), members["engine"].lower())
    if engine not in DIALECTS:
        raise CredentialsRefused(f"secret {name}: engine is not one of {', '.join(DIALECTS)}")
    port = str(members.get("port") or DIALECTS[engine].port)
    if not port.isdecimal():
        raise CredentialsRefused(f"secret {name}: port is no number")
    return Credentials(engine, members["host"], int(port), members["username"], members["password"], members["dbname"])


@contextmanager
def database(credentials: Credentials, how: Connecting) -> Iterator["sa.Engine"]:
    """What makes connections, none of which is kept; gone with the block.

    Raises:
        PermanentFailure: its driver is not installed, or a server elsewhere is to be reached without TLS.
    """
    dialect = credentials.dialect
    if find_spec(dialect.module.split(".")[0]) is None:
        raise PermanentFailure(f"{credentials.place}: install {dialect.package}, which speaks to it")
    if how.verified and credentials.engine in _UNVERIFIED:
        raise PermanentFailure(
            f"{credentials.place}: {dialect.package} is not known to verify the server's certificate: lead a tunnel "
            "from this machine to the database, and set tls: off"
        )
    if not how.verified and not _is_here(credentials.host):
        raise PermanentFailure(
            f"{credentials.place}: tls: off is for a database of this machine; leave it out, and name the secret with "
            "the certificates of the server's authority as `authority`"
        )
    with tempfile.TemporaryDirectory(prefix="authority-") as folder:
        authority = Path(folder) / "authority.pem"
        authority.write_text(how.authority, encoding="utf-8")
        engine = sa.create_engine(
            sa.URL.create(
                dialect.driver,
                credentials.username,
                credentials.password,
                credentials.host,
                credentials.port,
                credentials.dbname,
            ),
            poolclass=sa.NullPool,
            connect_args=_arguments(credentials, how, str(authority) if how.authority else ""),
            execution_options={SNAPSHOTS: dialect.snapshots},
            hide_parameters=True,
        )
        try:
            yield engine
        finally:
            engine.dispose()


def _arguments(credentials: Credentials, how: Connecting, authority: str) -> dict[str, Any]:
    milliseconds = int(how.statement_timeout.total_seconds() * 1000)
    if credentials.engine in ("postgres", "redshift"):
        verified = {"sslmode": "verify-full", "sslrootcert": authority or _trusted_here()}
        return {
            **(verified if how.verified else {"sslmode": "disable"}),
            "connect_timeout": CONNECT_SECONDS,
            "options": f"-c statement_timeout={milliseconds}",
            "application_name": "adplatform",
            "keepalives_idle": 30,
        }
    if credentials.engine in ("mysql", "mariadb"):
        context = ssl.create_default_context(cafile=authority or None) if how.verified else None
        return {
            "ssl": context,
            "ssl_disabled": not how.verified,
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": max(1, milliseconds // 1000),
            "charset": "utf8mb4",
        }
    return {}


def _trusted_here() -> str:
    """A file with the authorities that this machine trusts. libpq's own ``system`` looks where its OpenSSL was built,
    which with the wheel's is nowhere."""
    found = ssl.get_default_verify_paths().cafile
    return found if found is not None and Path(found).exists() else certifi.where()


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def database_failures(what: str) -> Iterator[None]:
    """Run work on a database. ``what`` names it and begins the message.

    Raises:
        CredentialsRefused: it does not take the credentials.
        AccessRefused: the user may not read that.
        TransientFailure: it cannot be reached, is starting or stopping, or ended the statement or the connection.
        PermanentFailure: refused for another reason.
    """
    try:
        yield
    except (exc.SQLAlchemyError, psycopg.Error) as e:
        # Without "from e": its text quotes the statement and may quote rows.
        raise _failure(what, e) from None


_LOST = ("08", "53", "57", "58", "40", "XX")
"""Classes of SQLSTATE that may pass: connection, resources, operator, system, rolled back, internal."""
_VIEW_GONE = ("22023", "25006", "55000")
"""A snapshot whose exporter has ended has an invalid name (PostgreSQL manual, SET TRANSACTION)."""
_MYSQL_LOST = frozenset({1040, 1053, 1205, 1213, 1317, 2002, 2003, 2006, 2013, 2055, 3024, 1969})
_MYSQL_STATES: Mapping[int, str] = {
    **dict.fromkeys((1044, 1045, 1698), "28000"),
    **dict.fromkeys((1142, 1143, 1227, 1370), "42501"),
    **dict.fromkeys((1049,), "3D000"),
    **dict.fromkeys((1146,), "42P01"),
    **dict.fromkeys((1054,), "42703"),
}
"""Errors of MySQL and MariaDB by the SQLSTATE that says the same elsewhere."""
_SAID: Mapping[str, str] = {
    "42P01": "there is no such table: correct `table`, or let the user see its schema",
    "42703": "there is no such column",
    "3D000": "there is no such database: correct dbname in the secret",
    "42601": "the statement is not SQL there: correct `where`",
    "22P02": "a value cannot be compared: correct `where`",
}


def _failure(what: str, error: Exception) -> PermanentFailure | TransientFailure:
    cause = getattr(error, "orig", None) or error
    state = _state(cause)
    if state.startswith("28"):
        return CredentialsRefused(f"{what}: the database does not take the user and password of the secret")
    if state == "42501":
        return AccessRefused(f"{what}: the user of the secret may not read that: grant it SELECT")
    if state == "57014":
        return TransientFailure(f"{what}: the statement took too long or was cancelled; see statement_timeout")
    if state in _VIEW_GONE or state.startswith(_LOST):
        return TransientFailure(f"{what}: the database could not do it for now (SQLSTATE {state})")
    if not state:
        return _without_state(what, cause)
    return PermanentFailure(f"{what}: {_SAID.get(state, f'the database refuses it (SQLSTATE {state})')}")


def _state(cause: BaseException) -> str:
    number = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
    if number in _MYSQL_LOST:
        return "08006"
    return _MYSQL_STATES.get(number) or str(getattr(cause, "sqlstate", None) or ("HY000" if number else ""))


def _without_state(what: str, cause: BaseException) -> PermanentFailure | TransientFailure:
    """libpq says why it could not connect in words only."""
    text, kind = str(cause), type(cause).__name__
    if "password authentication failed" in text or "no password supplied" in text:
        return CredentialsRefused(f"{what}: the database does not take the user and password of the secret")
    if "does not support SSL" in text:
        return PermanentFailure(f"{what}: the server speaks no TLS: let it, or name one that does")
    if "certificate" in text or "SSL" in text:
        return PermanentFailure(
            f"{what}: the server's certificate is not trusted, or not for its name: give `authority`, or correct host"
        )
    if "does not exist" in text and "database" in text:
        return PermanentFailure(f"{what}: {_SAID['3D000']}")
    if isinstance(cause, exc.NoSuchTableError):
        return PermanentFailure(f"{what}: {_SAID['42P01']}")
    if kind in ("OperationalError", "InterfaceError", "ConnectionTimeout", "InternalError"):
        return TransientFailure(f"{what}: the database cannot be reached")
    return PermanentFailure(f"{what}: the database cannot be read ({kind})")
