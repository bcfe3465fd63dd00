"""What somebody else's query may be: one SELECT over tables that it names with their database.

DuckDB's own parser says what a text means, and the same text is run: to another parser it may mean something else. The
tree is that of ``json_serialize_sql`` (DuckDB documentation, "SQL to/from JSON"), in which what reads rows has
``alias`` and ``sample``, a query ``cte_map``, and an expression ``class``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

from adplatform.failures import PermanentFailure

LONGEST = 20_000
"""Characters of a query."""
_QUERIES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_READS = frozenset({"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT"})
_ROW_MAKERS = frozenset({"generate_series", "range", "unnest"})
"""The functions that may stand in the place of a table; others read files, settings, secrets or SQL."""
_REFUSED = frozenset(
    {
        *("current_setting", "getenv", "getvariable", "write_log"),
        *("nextval", "currval", "setval", "pg_sleep", "sleep_ms"),
    }
)
"""Functions of the process rather than of values."""


@dataclass(frozen=True)
class Select:
    """The ``tables`` that it reads, as (database, name), and the last part of the name of each of its ``columns``; all
    in lower case, in which names are in the catalog."""

    sql: str
    tables: frozenset[tuple[str, str]]
    columns: frozenset[str]


def select_of(sql: str) -> Select:
    """The query, once it is known to be no more than that.

    Raises:
        PermanentFailure: it is something else, or none that DuckDB understands; says what may be asked.
    """
    nodes = list(_nodes(_tree(sql)))
    for node in nodes:
        _require_harmless(node)
    named = {str(each["key"]).lower() for node in nodes for each in node.get("cte_map", {}).get("map", ())}
    found = {_named(node, named) for node in nodes if _is_read(node) and node["type"] == "BASE_TABLE"}
    tables = frozenset(each for each in found if each is not None)
    if not tables:
        raise _refused("it reads no table")
    columns = (node["column_names"] for node in nodes if node.get("class") == "COLUMN_REF")
    return Select(sql, tables, frozenset(str(names[-1]).lower() for names in columns))


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """It never runs what it parses."""
    return duckdb.connect(config={"enable_external_access": False, "memory_limit": "256MB", "threads": 1})


def _tree(sql: str) -> Any:
    if len(sql) > LONGEST:
        raise _refused(f"it has {len(sql):,} characters, and may have {LONGEST:,}")
    with _parser().cursor() as con:
        try:
            statements = con.extract_statements(sql)
        except duckdb.Error as e:
            raise PermanentFailure(f"the query is no SQL of DuckDB: {str(e).splitlines()[0]}") from e
        kinds = [each.type.name for each in statements]
        if kinds != ["SELECT"]:
            raise _refused(f"it is {' and '.join(kinds) or 'empty'}")
        [[text]] = con.execute("select json_serialize_sql(?::varchar)", [sql]).fetchall()
    try:
        tree = json.loads(text)
    except RecursionError as e:
        raise _refused("it is nested too deeply") from e
    if tree["error"]:
        raise _refused(str(tree["error_message"]))
    return tree["statements"]


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield node
            left += node.values()
        elif isinstance(node, list):
            left += node


def _is_read(node: Mapping[str, Any]) -> bool:
    return "alias" in node and "sample" in node


def _require_harmless(node: Mapping[str, Any]) -> None:
    kind = node.get("type")
    if "cte_map" in node and kind not in _QUERIES:
        raise _refused(f"it has {_spoken(kind)} in it")
    if _is_read(node):
        if kind not in _READS:
            raise _refused(f"it reads from {_spoken(kind)}")
        function = str(node["function"].get("function_name")).lower() if kind == "TABLE_FUNCTION" else "range"
        if function not in _ROW_MAKERS:
            raise _refused(f"{function}() stands in the place of a table")
    if str(node.get("function_name")).lower() in _REFUSED:
        raise _refused(f"it calls {node['function_name']}()")


def _named(node: Mapping[str, Any], queries: set[str]) -> tuple[str, str] | None:
    """The table that is read; None of a query of its own that has a name."""
    catalog, database, name = (str(node[f"{part}_name"]).lower() for part in ("catalog", "schema", "table"))
    if not catalog and not database and name in queries:
        return None
    if catalog or not database:
        raise _refused(f"{'.'.join(filter(None, (catalog, database, name)))} is no table with its database")
    return database, name


def _spoken(kind: Any) -> str:
    return str(kind).removesuffix("_NODE").removesuffix("_REF").replace("_", " ")


def _refused(why: str) -> PermanentFailure:
    return PermanentFailure(
        f"the query is refused: {why}. It may be one SELECT over tables that are named as database.table, which "
        "`tables` lists"
    )
