"""The facts of a PostgreSQL source, read from its catalogue (PostgreSQL manual, "System Catalogs")."""

from collections import defaultdict
from typing import Any

from adplatform.engines.dms_settings.mappings import TableMappings
from adplatform.engines.dms_settings.sources import PostgresSource, Slot, SourceColumn, SourceTable

_IDENTITIES = {"d": "default", "n": "nothing", "f": "full", "i": "index"}
_LOBS = frozenset({"text", "json", "jsonb", "bytea", "xml"})
_LONG = frozenset({*_LOBS, "varchar", "bpchar", "hstore", "tsvector"})
_WIDE_CHARACTERS = 500
"""From this length on a text of four bytes a character exceeds 2 kB, where PostgreSQL stores it apart (TOAST)."""
_TABLES = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relreplident::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY n.nspname, c.relname
"""
_COLUMNS = """
SELECT a.attrelid::bigint, a.attname, format_type(a.atttypid, a.atttypmod), COALESCE(b.typname, t.typname),
  CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, t.typelem <> 0 AND t.typlen = -1,
  COALESCE(a.attnum = ANY (k.indkey), false)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype
LEFT JOIN pg_index k ON k.indrelid = a.attrelid AND k.indisprimary
WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum
"""
_SLOTS = """
SELECT slot_name, active, to_jsonb(s) ->> 'wal_status',
  pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
    restart_lsn)::bigint
FROM pg_replication_slots s WHERE slot_type = 'logical' AND database = current_database() ORDER BY 1
"""
_KEPT = "SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'"


def read_postgres(engine: Any, place: str, mappings: TableMappings, *, longest: bool) -> PostgresSource:
    """The facts of the tables that a task selects, and of the server's log; with ``longest`` values are measured, which
    reads every table with large objects whole.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, psycopg.Error: the database refuses or cannot be reached.
    """
    with engine.connect() as connection:
        ask = connection.exec_driver_sql
        level = ask("SELECT setting FROM pg_settings WHERE name = 'wal_level'").scalar_one()
        columns: dict[int, list[tuple[SourceColumn, bool]]] = defaultdict(list)
        for relation, name, said, base, bound, is_array, in_key in ask(_COLUMNS.replace("%", "%%")).all():
            columns[relation].append((_column(name, said, base, bound, is_array=is_array), in_key))
        tables = [
            SourceTable(
                schema,
                name,
                tuple(column.name for column, in_key in columns[relation] if in_key),
                tuple(column for column, _ in columns[relation]),
                _IDENTITIES[identity],
            )
            for relation, schema, name, identity in ask(_TABLES.replace("%", "%%")).all()
            if mappings.selects(schema, name)
        ]
        if longest:
            tables = [_measured(connection, table) for table in tables]
        keeps = ask(_KEPT).scalar_one_or_none()
        slots = [Slot(name, active, status or "", behind) for name, active, status, behind in ask(_SLOTS).all()]
    return PostgresSource(place, tables, level, keeps, slots)


def _column(name: str, said: str, base: str, bound: int, *, is_array: bool) -> SourceColumn:
    """``bound`` is the type's modifier, which counts four more than a length, and -1 where there is none."""
    unbounded = bound < 0
    long = is_array or (base in _LONG and (unbounded or bound - 4 > _WIDE_CHARACTERS))
    lob = base in _LOBS or (base == "varchar" and unbounded)
    return SourceColumn(name, said, lob, long, base == "numeric" and unbounded)


def _measured(connection: Any, table: SourceTable) -> SourceTable:
    from psycopg import sql  # noqa: PLC0415 - few measure

    large = [column for column in table.columns if column.lob]
    if not large:
        return table
    lengths = [
        sql.SQL("max(octet_length({}{}))").format(
            sql.Identifier(column.name), sql.SQL("" if column.said == "bytea" else "::text")
        )
        for column in large
    ]
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(lengths), sql.Identifier(table.schema, table.name))
    text = query.as_string(connection.connection.driver_connection)
    found = connection.exec_driver_sql(text.replace("%", "%%")).one()
    longest = dict(zip((column.name for column in large), found, strict=True))
    return table.measured({name: length or 0 for name, length in longest.items()})
