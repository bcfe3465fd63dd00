"""The facts of a source of SQL Server, from its catalogue views (sys.databases, sys.tables)."""

from collections.abc import Iterable
from typing import Any

from adplatform.engines.dms_settings.mappings import TableMappings
from adplatform.engines.dms_settings.sources import SourceTable, SqlServerSource

DATABASE = """
SELECT is_cdc_enabled, is_published, recovery_model_desc FROM sys.databases WHERE name = DB_NAME()
"""
TABLES = """
SELECT s.name, t.name, t.is_replicated, t.is_tracked_by_cdc, k.column_name
FROM sys.tables t JOIN sys.schemas s ON s.schema_id = t.schema_id
LEFT JOIN (
  SELECT i.object_id, c.name AS column_name, x.key_ordinal FROM sys.indexes i
  JOIN sys.index_columns x ON x.object_id = i.object_id AND x.index_id = i.index_id
  JOIN sys.columns c ON c.object_id = x.object_id AND c.column_id = x.column_id
  WHERE i.is_primary_key = 1
) k ON k.object_id = t.object_id
WHERE t.is_ms_shipped = 0 ORDER BY s.name, t.name, k.key_ordinal
"""


def read_sql_server(engine: Any, place: str, mappings: TableMappings) -> SqlServerSource:
    """
    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database refuses or cannot be reached.
    """
    with engine.connect() as connection:
        ask = connection.exec_driver_sql
        return of_rows(place, mappings, ask(DATABASE).one(), ask(TABLES).all())


def of_rows(
    place: str, mappings: TableMappings, database: Iterable[Any], tables: Iterable[Iterable[Any]]
) -> SqlServerSource:
    """The facts in what ``DATABASE`` and ``TABLES`` answer: a row a column of a key, one for a table without."""
    captures, published, model = database
    found: dict[tuple[str, str], tuple[bool, list[str]]] = {}
    for schema, name, replicated, tracked, key in tables:
        _, keys = found.setdefault((schema, name), (bool(replicated or tracked), []))
        keys += [key] if key is not None else []
    selected = [
        SourceTable(schema, name, tuple(keys), captured=captured)
        for (schema, name), (captured, keys) in found.items()
        if mappings.selects(schema, name)
    ]
    return SqlServerSource(place, selected, bool(captures or published), str(model))
