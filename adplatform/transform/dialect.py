"""DuckDB's SQL to Spark's, for the SQL that ``compile`` writes (Spark 3.5 and later, ANSI mode off)."""

import sqlglot
from sqlglot import exp

_RENAMED = {"MAKE_TIMESTAMPTZ": "TIMESTAMP_MICROS", "STRLEN": "OCTET_LENGTH", "EPOCH_US": "UNIX_MICROS"}


def to_spark(sql: str) -> str:
    """The same statement in Spark SQL. ``try`` goes: outside ANSI mode Spark does not stop at an overflow.

    Separators given to ``string_split`` must mean themselves as regular expressions; Sail does not know ``\\Q..\\E``.
    """
    tree = sqlglot.parse_one(sql, read="duckdb")
    for node in reversed(list(tree.walk())):
        translated = _spark(node)
        if translated is not node:
            node.replace(translated)
    return str(tree.sql(dialect="spark", normalize_functions=False))


def _spark(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.Try):
        return node.this
    if isinstance(node, exp.Split):
        return exp.Anonymous(this="split", expressions=[node.this, node.expression])
    if isinstance(node, exp.Anonymous) and node.name.upper() == "TIMEZONE":
        zone, instant = node.expressions
        return exp.Anonymous(this="FROM_UTC_TIMESTAMP", expressions=[instant, zone])
    if isinstance(node, exp.Anonymous) and node.name.upper() in _RENAMED:
        return exp.Anonymous(this=_RENAMED[node.name.upper()], expressions=node.expressions)
    return node
