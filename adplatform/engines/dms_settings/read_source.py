"""The facts of a source database, by the credentials of a secret."""

from typing import Any

from adplatform.engines.dms_settings.mappings import TableMappings
from adplatform.engines.dms_settings.mysql_source import read_mysql
from adplatform.engines.dms_settings.oracle_source import read_oracle
from adplatform.engines.dms_settings.postgres_source import read_postgres
from adplatform.engines.dms_settings.sources import Source
from adplatform.engines.dms_settings.sql_server_source import read_sql_server
from adplatform.extract.connection import Connecting, database, database_failures, read_credentials
from adplatform.failures import PermanentFailure


def read_source(
    secrets: Any, secret: str, mappings: TableMappings, how: Connecting | None = None, *, longest: bool = False
) -> Source:
    """What rules ask of the database whose credentials a secret has, about the tables that a task selects.

    Raises:
        PermanentFailure: the secret, the database or a grant is missing, or no rule is about such a database.
        TransientFailure: it cannot be reached.
    """
    credentials = read_credentials(secrets, secret)
    with database(credentials, how or Connecting()) as engine, database_failures(credentials.place):
        place = credentials.place
        if credentials.engine == "postgres":
            return read_postgres(engine, place, mappings, longest=longest)
        if credentials.engine in ("mysql", "mariadb"):
            return read_mysql(engine, place, mappings, longest=longest)
        if credentials.engine == "sqlserver":
            return read_sql_server(engine, place, mappings)
        if credentials.engine == "oracle":
            return read_oracle(engine, place, mappings)
    raise PermanentFailure(f"{credentials.place}: rules are about postgres, mysql, mariadb, sqlserver and oracle")
