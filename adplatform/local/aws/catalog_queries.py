"""Queries of services that read the Data Catalog, by DuckDB over the same files, and what they leave in S3."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.local.aws.managed import CONTROL, own_s3
from adplatform.platform.aws import Aws

_EVERY, _NO_DATABASE = "", "/"
"""What the names of all databases begin with, and of none."""
_NONE: Mapping[str, str] = {}
_MEMORY = "256MB"
_MOST_ROWS = 1_000_000
_HIVE = {
    "VARCHAR": "string",
    "INTEGER": "int",
    "BIGINT": "bigint",
    "HUGEINT": "bigint",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}


class Refused(Exception):
    """A statement that fails, with what the service says of it."""


@dataclass(frozen=True)
class Answer:
    names: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()


def answer(sql: str, region: str) -> Answer:
    """Of a query of DuckDB over ``database.table``. Callers do not hold the lock.

    Raises:
        Refused: it is no query, or names what there is not.
    """
    from adplatform.lake.query import run_query  # noqa: PLC0415 - DuckDB and Arrow, which nothing else here needs

    aws = Aws(region, CONTROL.endpoint_url)
    glue = aws.client("glue")
    try:
        names, rows = run_query(aws, glue, databases_of(sql, glue), sql, _MOST_ROWS, _MEMORY)
    except (PermanentFailure, TransientFailure, ClientError) as e:
        raise Refused(str(e)) from e
    return Answer(tuple(names), tuple(rows))


def databases_of(sql: str, glue: Any) -> str:
    """How the databases begin that a reader of the catalog looks at for a query of DuckDB: all of them, because a view
    may be of any, or none for a query that names no table of the catalog.

    Raises:
        Refused: it cannot be read as SQL, or names a database that there is not, for which all tables would be opened.
    """
    import sqlglot  # noqa: PLC0415 - takes a quarter of a second
    from sqlglot import exp  # noqa: PLC0415

    try:
        parsed = sqlglot.parse_one(sql, read="duckdb")
    except sqlglot.errors.SqlglotError as e:
        raise Refused(f"syntax error: {str(e).splitlines()[0]}") from e
    named = {table.db for table in parsed.find_all(exp.Table) if table.db}
    for database in sorted(named):
        try:
            glue.get_database(Name=database)
        except glue.exceptions.EntityNotFoundException as e:
            raise Refused(f"SCHEMA_NOT_FOUND: Schema '{database}' does not exist") from e
    return _EVERY if named else _NO_DATABASE


def types(sql: str, region: str) -> dict[str, str]:
    """The columns of a query of DuckDB, and their types as Hive calls them. Callers do not hold the lock.

    Raises:
        Refused: as :func:`answer`, or there are no such types.
    """
    described = answer(f"describe ({sql})", region)
    return {str(row[0]): _hive(str(row[1])) for row in described.rows}


def _hive(kind: str) -> str:
    if kind.startswith("DECIMAL"):
        return kind.lower().replace(" ", "")
    if kind not in _HIVE:
        raise Refused(f"NOT_SUPPORTED: the type {kind} is not one that is known here")
    return _HIVE[kind]


def translated(
    sql: str, dialect: str, schemas: Mapping[str, str] = _NONE, queries: Mapping[str, str] = _NONE, database: str = ""
) -> str:
    """A query of another dialect as DuckDB reads it. ``schemas`` says which databases of the catalog stand for which
    of its schemas, ``queries`` what names without a schema stand for, in DuckDB's SQL; other names without one are of
    the ``database``.

    Raises:
        Refused: it is not one query.
    """
    import sqlglot  # noqa: PLC0415 - takes a quarter of a second
    from sqlglot import exp  # noqa: PLC0415

    try:
        [parsed] = sqlglot.parse(sql, read=dialect)
    except (sqlglot.errors.SqlglotError, ValueError) as e:
        raise Refused(f"syntax error: {str(e).splitlines()[0]}") from e
    if not isinstance(parsed, exp.Query):
        raise Refused("syntax error: it is not a query")
    own = {each.alias for each in parsed.find_all(exp.CTE)}
    for table in [each for each in parsed.find_all(exp.Table) if each.db or each.name not in own]:
        table.set("catalog", None)
        if table.db in schemas:
            table.set("db", exp.to_identifier(schemas[table.db], quoted=True))
        elif not table.db and table.name.lower() in queries:
            stands_for = sqlglot.parse_one(queries[table.name.lower()], read="duckdb")
            table.replace(
                exp.Subquery(this=stands_for, alias=exp.TableAlias(this=exp.to_identifier(table.alias_or_name)))
            )
        elif not table.db and database:
            table.set("db", exp.to_identifier(database, quoted=True))
    return str(parsed.sql(dialect="duckdb"))


def put_csv(found: Answer, place: str) -> None:
    """Every value in quotes, as Athena writes results."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([found.names, *found.rows])
    _put(text.getvalue().encode(), place)


def put_parquet(found: Answer, place: str) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = zip(*found.rows, strict=True) if found.rows else ((),) * len(found.names)
    body = io.BytesIO()
    pq.write_table(pa.table(dict(zip(found.names, map(pa.array, columns), strict=True))), body)
    _put(body.getvalue(), place)


def _put(body: bytes, place: str) -> None:
    at = urlsplit(place)
    own_s3().put_object(Bucket=at.netloc, Key=at.path.lstrip("/"), Body=body)
