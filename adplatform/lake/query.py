"""Reading clean tables on this machine through the catalog, as any reader does: Glue locations, then Parquet files."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import and_
from posixpath import commonpath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import FileInfo, FileSelector, FileSystem, S3FileSystem

from adplatform.contracts.types import parse_type
from adplatform.failures import PermanentFailure, TransientFailure, clipped
from adplatform.lake.catalog import is_iceberg
from adplatform.lake.parquet import arrow_type
from adplatform.lake.views import VIEW, statement_of
from adplatform.platform.aws import Aws

_CONNECT, _REQUEST = 5, 15
"""Seconds that S3 may take until it takes a connection, and without a byte of an answer; it is asked three times."""
_OF_S3 = re.compile("AWS Error|curlCode|IOError|HTTP status")
_SHOWN = 500
_FEW = 10
"""Folders that are listed one by one."""
_NEAR = 3
"""The bucket and the first folders that folders share which are listed together."""


@dataclass(frozen=True)
class OpenTable:
    """A table as the catalog has it now. ``locations`` pairs partition values with where their files are; an Iceberg
    table keeps that to itself, and its partition columns are columns."""

    database: str
    name: str
    columns: tuple[tuple[str, str], ...]
    partitions: tuple[tuple[str, str], ...]
    locations: tuple[tuple[tuple[str, ...], str], ...]
    iceberg: bool = False

    @property
    def qualified(self) -> str:
        return f"{self.database}.{self.name}"


def open_tables(glue: Any, database_prefix: str) -> Iterator[OpenTable]:
    """Every table of every clean database; views are none."""
    for database in _databases(glue, database_prefix):
        yield from _tables(glue, database)


def _databases(glue: Any, prefix: str) -> Iterator[str]:
    for page in glue.get_paginator("get_databases").paginate():
        yield from (each["Name"] for each in page["DatabaseList"] if each["Name"].startswith(prefix))


def _tables(glue: Any, database: str) -> Iterator[OpenTable]:
    for table in _entries(glue, database):
        if table.get("TableType") != VIEW:
            yield _open(glue, database, table)


def _entries(glue: Any, database: str) -> Iterator[dict[str, Any]]:
    for page in glue.get_paginator("get_tables").paginate(DatabaseName=database):
        yield from page["TableList"]


def _open(glue: Any, database: str, table: dict[str, Any]) -> OpenTable:
    columns = tuple((c["Name"], c["Type"]) for c in table["StorageDescriptor"]["Columns"])
    if is_iceberg(table.get("Parameters", {})):
        return OpenTable(database, table["Name"], columns, (), (), iceberg=True)
    keys = table.get("PartitionKeys", [])
    partitions = tuple((key["Name"], key["Type"]) for key in keys)
    locations = (
        tuple(_partitions(glue, database, table["Name"]))
        if partitions
        else (((), table["StorageDescriptor"]["Location"]),)
    )
    return OpenTable(database, table["Name"], columns, partitions, locations)


@dataclass(frozen=True)
class _Named:
    """What a query needs of the catalog: tables and, with database, name and statement, views."""

    tables: list[OpenTable]
    views: list[tuple[str, str, str]]


def _named(glue: Any, database_prefix: str, sql: str) -> _Named:
    """The views that a query names, and the tables that it or one of these names: a table that nobody asks for may have
    thousands of partitions. A query that names no table, or none that there is, may ask for all of them."""
    asked = sql.lower()  # as names in the catalog are
    databases = list(_databases(glue, database_prefix))
    named = [database for database in databases if database in asked]
    entries = [(database, entry) for database in named or databases for entry in _entries(glue, database)]
    statements = [(database, entry["Name"], statement_of(entry)) for database, entry in entries]
    # One whose tables are gone spoils no other query.
    views = [(database, name, text) for database, name, text in statements if text is not None and name in asked]
    read = "\n".join([asked, *(text.lower() for _, _, text in views)])
    others = [database for database in databases if named and database not in named and database in read]
    entries += [(database, entry) for database in others for entry in _entries(glue, database)]
    tables = [(database, entry) for database, entry in entries if entry.get("TableType") != VIEW]
    wanted = [(database, entry) for database, entry in tables if entry["Name"] in read]
    return _Named([_open(glue, database, entry) for database, entry in wanted or tables], views)


def _partitions(glue: Any, database: str, table: str) -> Iterator[tuple[tuple[str, ...], str]]:
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table)
    for page in pages:
        for partition in page["Partitions"]:
            yield tuple(partition["Values"]), partition["StorageDescriptor"]["Location"]


def run_query(
    aws: Aws, glue: Any, database_prefix: str, sql: str, limit: int, memory_limit: str = "2GB"
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and at most ``limit`` rows of a DuckDB query over ``<database>.<table>``.

    The query gets these tables and nothing else: no file, address, extension or setting of this machine. It may use
    ``memory_limit``, beyond which it goes to temporary files.

    Raises:
        PermanentFailure: DuckDB does not understand the query or refuses it, or cannot read a view that it names.
        TransientFailure: S3 or a file is not there, or S3 does not answer in time.
    """
    with opened_tables(aws, glue, database_prefix, sql, memory_limit) as con, query_failures():
        result = con.execute(sql)
        names = [column[0] for column in result.description or ()]
        return names, result.fetchmany(limit)


@contextmanager
def opened_tables(
    aws: Aws, glue: Any, database_prefix: str, sql: str, memory_limit: str
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the tables and views that a query names, as ``<database>.<table>``, and nothing else.

    Raises:
        PermanentFailure: a view cannot be read.
        TransientFailure: S3 or a file is not there, or S3 does not answer in time; also within.
    """
    s3 = _filesystem(aws)
    named = _named(glue, database_prefix, sql)
    with _answered(), closed_off(memory_limit) as con:
        for table in named.tables:
            name = f"{table.database}__{table.name}"
            con.register(name, _iceberg(aws, glue, s3, table) if table.iceberg else dataset(s3, table))
            con.execute(f'create schema if not exists "{table.database}"')
            con.execute(f'create view "{table.database}"."{table.name}" as select * from "{name}"')
        for database, name, statement in named.views:
            try:
                con.execute(f'create schema if not exists "{database}"')
                con.execute(f'create view "{database}"."{name}" as {statement}')
            except duckdb.Error as e:
                raise PermanentFailure(
                    f"view {database}.{name} cannot be read: {str(e).splitlines()[0]}; ask its tables instead, or have "
                    "it made again by the next merge"
                ) from e
        yield con


@contextmanager
def query_failures() -> Iterator[None]:
    """What DuckDB says of a query that is run and read within.

    Raises:
        PermanentFailure: it does not understand the query or refuses it.
        TransientFailure: S3 does not give a file.
    """
    try:
        yield
    except duckdb.PermissionException as e:
        raise PermanentFailure(
            f"the query failed: {str(e).splitlines()[0]}; it may read the tables that `adplatform tables` lists, "
            "and neither read nor write anything else. To keep a result, redirect the output"
        ) from e
    except duckdb.Error as e:
        if _OF_S3.search(str(e)):
            raise _unanswered(e) from e
        raise PermanentFailure(f"the query failed: {str(e).splitlines()[0]}") from e


@contextmanager
def _answered() -> Iterator[None]:
    """Files are listed and read by pyarrow, which says of everything that S3 does not give that it is an OSError."""
    try:
        yield
    except OSError as e:
        raise _unanswered(e) from e


def _unanswered(error: Exception) -> TransientFailure:
    said = clipped(str(error).splitlines()[0], _SHOWN)
    return TransientFailure(
        f"the query failed: S3 does not give a file of a table, or not in time: {said}; see that the endpoint "
        "(AWS_ENDPOINT_URL, or AWS itself) is there and ask again"
    )


@contextmanager
def closed_off(memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose statements reach nothing but what is registered with it, and cannot change that.

    The settings are in DuckDB's guide "Securing DuckDB"; without replacements a name in a query cannot mean a variable
    of this program.
    """
    with TemporaryDirectory(prefix="adplatform-query-") as spill:
        settings = {
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "memory_limit": memory_limit,
            "temp_directory": spill,
        }
        with duckdb.connect(config=settings) as con:
            con.execute("set timezone = 'UTC'")
            con.execute("set lock_configuration = true")
            yield con


def dataset(s3: FileSystem, table: OpenTable) -> ds.Dataset:
    """The table's present files as one Arrow dataset; columns that older files lack are NULL.

    It is one dataset of files: of one for each partition Arrow passes those that a query needs nothing of by recursion,
    which 100,000 of them end with the process.
    """
    schema, form = _schema(table), ds.ParquetFileFormat()
    files = _files(s3, table)
    fragments = []
    for values, location in table.locations:
        guarantee = _guarantee(table, schema, values)
        fragments += [
            form.make_fragment(each.path, s3, guarantee, file_size=each.size) for each in files[_at(location)]
        ]
    return ds.FileSystemDataset(fragments, schema, form, s3) if fragments else ds.InMemoryDataset(schema.empty_table())


def _files(s3: FileSystem, table: OpenTable) -> Mapping[str, list[FileInfo]]:
    """The Parquet files in each folder of the table. What is below the folder that holds many of them takes a call for
    each 1,000 objects, and each by itself one."""
    near: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for folder in dict.fromkeys(_at(location) for _, location in table.locations):
        near[tuple(folder.split("/")[:_NEAR])].append(folder)
    found: dict[str, list[FileInfo]] = defaultdict(list)
    for folders in near.values():
        many = len(folders) > _FEW
        for folder in [commonpath(folders)] if many else folders:
            for each in s3.get_file_info(FileSelector(folder, allow_not_found=True, recursive=many)):
                if each.is_file and each.path.endswith(".parquet"):
                    found[each.path.rpartition("/")[0]].append(each)
    return found


def _at(location: str) -> str:
    """The bucket and folder of an address."""
    at = urlsplit(location)
    return f"{at.netloc}{at.path}".rstrip("/")


def _guarantee(table: OpenTable, schema: pa.Schema, values: tuple[str, ...]) -> ds.Expression | None:
    """What is true of all rows of a partition."""
    named = zip(table.partitions, values, strict=True)
    equal = (ds.field(name) == pa.scalar(value).cast(schema.field(name).type) for (name, _), value in named)
    return reduce(and_, equal) if values else None


def _iceberg(aws: Aws, glue: Any, s3: FileSystem, table: OpenTable) -> ds.Dataset:
    from adplatform.lake.iceberg import reading  # noqa: PLC0415 - PyIceberg takes a second to import

    return reading.dataset(aws, glue, s3, table, _schema(table))


def _schema(table: OpenTable) -> pa.Schema:
    fields = [*table.columns, *table.partitions]
    return pa.schema([(name, arrow_type(parse_type(kind))) for name, kind in fields])


def _filesystem(aws: Aws) -> FileSystem:
    """pyarrow ignores AWS_ENDPOINT_URL, so it must be told; otherwise it would go to the real S3."""
    key = aws.key
    if aws.endpoint_url is None or key is None:
        return S3FileSystem(region=aws.region, connect_timeout=_CONNECT, request_timeout=_REQUEST)
    at = urlsplit(aws.endpoint_url)
    return S3FileSystem(
        access_key=key.id,
        secret_key=key.secret,
        region=aws.region,
        scheme=at.scheme,
        endpoint_override=at.netloc,
        connect_timeout=_CONNECT,
        request_timeout=_REQUEST,
    )
