"""What SPICE makes of a table: how many rows it takes, and how many it drops, by the types of a data set's columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.local.aws.catalog_queries import Refused, databases_of
from adplatform.local.aws.managed import CONTROL
from adplatform.platform.aws import Aws
from adplatform.transform.rules import identifier

LONGEST_TEXT = 2_047
"""Characters; a row with a longer one is dropped."""
_CASTS = {"INTEGER": "bigint", "DECIMAL": "double", "BIT": "boolean", "BOOLEAN": "boolean", "DATETIME": "timestamp"}
_DATES = "between timestamp '1400-01-01' and timestamp '9999-12-31 23:59:59.999999'"
_MEMORY = "256MB"


class Unreadable(Exception):
    """An ingestion that fails, with the ``kind`` of its error."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Read:
    rows: int
    dropped: int
    bytes: int


def read(settings: Mapping[str, Any], region: str) -> Read:
    """What an ingestion brings of a data set with these settings. Callers do not hold the lock.

    Raises:
        Unreadable: there is no such table or column, or it cannot be read.
    """
    from adplatform.lake.query import run_query  # noqa: PLC0415 - DuckDB and Arrow, which nothing else here needs

    aws = Aws(region, CONTROL.endpoint_url)
    glue = aws.client("glue")
    [table] = settings["PhysicalTableMap"].values()
    columns, source = _source(table, glue)
    bad = " or ".join(_is_bad(column["Name"], column["Type"]) for column in columns)
    sizes = " + ".join(_size(column["Name"], column["Type"]) for column in columns)
    counts = f"count(*), count(*) filter (where {bad}), coalesce(sum({sizes}) filter (where not ({bad})), 0)"
    sql = f"select {counts} from {source}"
    try:
        _, [(rows, dropped, size)] = run_query(aws, glue, databases_of(sql, glue), sql, 1, _MEMORY)
    except (PermanentFailure, Refused) as e:
        raise Unreadable("SQL_EXCEPTION", str(e)) from e
    except TransientFailure as e:
        raise Unreadable("CONNECTION_FAILURE", str(e)) from e
    return Read(rows - dropped, dropped, int(size))


def _source(table: Mapping[str, Any], glue: Any) -> tuple[list[dict[str, str]], str]:
    """The columns of a data set's table, and what a query reads it from."""
    if "CustomSql" in table:
        return table["CustomSql"]["Columns"], f"({table['CustomSql']['SqlQuery']})"
    named = table["RelationalTable"]
    database, name = named.get("Schema", "default"), named["Name"]
    try:
        glue.get_table(DatabaseName=database, Name=name)
    except glue.exceptions.EntityNotFoundException as e:
        raise Unreadable("SQL_TABLE_NOT_FOUND", f"Table {database}.{name} is not found.") from e
    return named["InputColumns"], f"{identifier(database)}.{identifier(name)}"


def _is_bad(name: str, kind: str) -> str:
    """Whether a row is dropped for its value."""
    column = identifier(name)
    if kind not in _CASTS:
        return f"coalesce(length({column}::varchar) > {LONGEST_TEXT}, false)"
    cast = f"try_cast({column} as {_CASTS[kind]})"
    if kind == "DATETIME":
        return f"({column} is not null and not coalesce({cast} {_DATES}, false))"
    return f"({column} is not null and {cast} is null)"


def _size(name: str, kind: str) -> str:
    """Bytes; numbers and dates have eight (QuickSight User Guide, "Estimating the size of SPICE datasets")."""
    return f"coalesce(strlen({identifier(name)}::varchar), 0)" if kind not in _CASTS else "8"
