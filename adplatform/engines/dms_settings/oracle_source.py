"""The facts of a source of Oracle, from its catalogue (V$DATABASE, ALL_LOG_GROUPS, ALL_CONSTRAINTS)."""

from collections.abc import Iterable
from typing import Any

from adplatform.engines.dms_settings.mappings import TableMappings
from adplatform.engines.dms_settings.sources import OracleSource, SourceTable

DATABASE = """
SELECT supplemental_log_data_min, supplemental_log_data_pk, supplemental_log_data_all, log_mode FROM v$database
"""
TABLES = """
SELECT t.owner, t.table_name, k.column_name FROM all_tables t
LEFT JOIN all_constraints c ON c.owner = t.owner AND c.table_name = t.table_name AND c.constraint_type = 'P'
LEFT JOIN all_cons_columns k ON k.owner = c.owner AND k.constraint_name = c.constraint_name
WHERE t.owner IN (SELECT username FROM all_users WHERE oracle_maintained = 'N') AND t.temporary = 'N'
ORDER BY t.owner, t.table_name, k.position
"""
GROUPS = "SELECT owner, table_name, log_group_type FROM all_log_groups"
_ALL, _KEY = "ALL COLUMN LOGGING", "PRIMARY KEY LOGGING"


def read_oracle(engine: Any, place: str, mappings: TableMappings) -> OracleSource:
    """How long archived logs are kept is not read: Oracle does not say, it is the business of backups.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database refuses or cannot be reached.
    """
    with engine.connect() as connection:
        ask = connection.exec_driver_sql
        return of_rows(place, mappings, ask(DATABASE).one(), ask(TABLES).all(), ask(GROUPS).all())


def of_rows(
    place: str,
    mappings: TableMappings,
    database: Iterable[Any],
    tables: Iterable[Iterable[Any]],
    groups: Iterable[Iterable[Any]],
) -> OracleSource:
    """The facts in what ``DATABASE``, ``TABLES`` and ``GROUPS`` answer."""
    minimal, keys_logged, all_logged, mode = database
    logged = {(owner, name, str(kind)) for owner, name, kind in groups}
    found: dict[tuple[str, str], list[str]] = {}
    for owner, name, key in tables:
        keys = found.setdefault((owner, name), [])
        keys += [key] if key is not None else []
    selected = [
        SourceTable(
            owner,
            name,
            tuple(keys),
            logs_key=keys_logged == "YES" or (owner, name, _KEY) in logged,
            logs_all=all_logged == "YES" or (owner, name, _ALL) in logged,
        )
        for (owner, name), keys in found.items()
        if mappings.selects(owner, name)
    ]
    return OracleSource(place, selected, minimal != "NO", mode == "ARCHIVELOG")
