"""Tables that were made when partition columns that are dates were dates in the catalog, too."""

from collections.abc import Iterator
from typing import Any

from adplatform.lake.catalog import date_keys
from adplatform.lake.table import TableName


def dated_tables(glue: Any, database_prefix: str) -> Iterator[tuple[TableName, tuple[str, ...]]]:
    """The tables of plain Parquet in clean databases with such columns, and their names."""
    for databases in glue.get_paginator("get_databases").paginate():
        for database in (each["Name"] for each in databases["DatabaseList"]):
            if database.startswith(database_prefix):
                yield from _of(glue, database)


def _of(glue: Any, database: str) -> Iterator[tuple[TableName, tuple[str, ...]]]:
    for tables in glue.get_paginator("get_tables").paginate(DatabaseName=database):
        for table in tables["TableList"]:
            if (keys := date_keys(table)) and "adplatform.feed" in table.get("Parameters", {}):
                yield TableName(database, table["Name"]), keys
