"""The facts of a source of MySQL or MariaDB, from its variables and information_schema."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from adplatform.engines.dms_settings.mappings import TableMappings
from adplatform.engines.dms_settings.sources import MySqlSource, SourceColumn, SourceTable

_OWN = "('mysql', 'information_schema', 'performance_schema', 'sys', 'awsdms_control')"
_LOBS = frozenset(f"{size}{kind}" for size in ("", "tiny", "medium", "long") for kind in ("text", "blob")) | {"json"}
_COLUMNS = f"""
SELECT c.table_schema, c.table_name, c.column_name, c.column_type, c.data_type, c.column_key = 'PRI'
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE t.table_type = 'BASE TABLE' AND c.table_schema NOT IN {_OWN}
ORDER BY c.table_schema, c.table_name, c.ordinal_position
"""
_VARIABLES = (
    "log_bin",
    "binlog_format",
    "binlog_row_image",
    "binlog_expire_logs_seconds",
    "expire_logs_days",
)
_RDS = (
    "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'mysql' AND table_name = 'rds_configuration'"
)
_RDS_HOURS = "SELECT value FROM mysql.rds_configuration WHERE name = 'binlog retention hours'"


def read_mysql(engine: Any, place: str, mappings: TableMappings, *, longest: bool) -> MySqlSource:
    """The facts of the tables that a task selects, and of the binary log; as ``read_postgres``.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database refuses or cannot be reached.
    """
    with engine.connect() as connection:
        ask = connection.exec_driver_sql
        names = ", ".join(f"'{name}'" for name in _VARIABLES)
        variables = {
            name.lower(): str(value)
            for name, value in ask(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})").all()
        }
        columns: dict[tuple[str, str], list[tuple[SourceColumn, bool]]] = defaultdict(list)
        for schema, table, name, said, kind, in_key in ask(_COLUMNS).all():
            column = SourceColumn(name, said, lob=kind.lower() in _LOBS)
            columns[schema, table].append((column, bool(in_key)))
        tables = [
            SourceTable(schema, name, tuple(c.name for c, in_key in found if in_key), tuple(c for c, _ in found))
            for (schema, name), found in columns.items()
            if mappings.selects(schema, name)
        ]
        if longest:
            tables = [_measured(connection, table) for table in tables]
        managed = bool(ask(_RDS).scalar_one())
        kept = _managed_hours(ask(_RDS_HOURS).scalar_one_or_none()) if managed else hours_kept(variables)
    return MySqlSource(
        place,
        tables,
        variables.get("log_bin", "OFF").upper() in ("ON", "1"),
        variables.get("binlog_format", "ROW"),
        # MariaDB 5.5 and MySQL 5.5 know no images: they log whole rows.
        variables.get("binlog_row_image", "FULL"),
        kept,
        managed,
    )


def hours_kept(variables: Mapping[str, str]) -> float | None:
    """How long a server keeps its binary logs; None for ever. Seconds count before days (MySQL 8.0 manual)."""
    seconds = float(variables.get("binlog_expire_logs_seconds") or 0)
    days = float(variables.get("expire_logs_days") or 0)
    return seconds / 3600 if seconds else days * 24 if days else None


def _managed_hours(value: object) -> float:
    """Amazon RDS deletes logs as soon as it can where it is told nothing (RDS user guide)."""
    return float(str(value)) if value is not None else 0.0


def _measured(connection: Any, table: SourceTable) -> SourceTable:
    large = [column.name for column in table.columns if column.lob]
    if not large:
        return table
    lengths = ", ".join(f"max(octet_length({_quoted(name)}))" for name in large)
    text = f"SELECT {lengths} FROM {_quoted(table.schema)}.{_quoted(table.name)}"
    found = connection.exec_driver_sql(text.replace("%", "%%")).one()
    return table.measured({name: length or 0 for name, length in zip(large, found, strict=True)})


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
