"""What Amazon Athena takes: all types of a contract; names and views by its limits."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from adplatform.consumers.finding import Finding
from adplatform.consumers.table import Table
from adplatform.contracts.consumers import Athena
from adplatform.contracts.workloads import DATE, TABLE
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import sqlglot
    from sqlglot import exp
else:
    sqlglot = Late("sqlglot")
    exp = Late("sqlglot.expressions")

MOST_CHARACTERS = 255
"""Athena User Guide, "Name databases, tables, and columns"."""
LONGEST_QUERY = 262_144
"""Bytes, API_StartQueryExecution."""
_MILLISECOND = 1_000


def findings(table: Table, settings: Athena) -> Iterator[Finding]:
    for column in table.columns:
        if len(column.name) > MOST_CHARACTERS:
            yield Finding("error", f"its name is longer than {MOST_CHARACTERS} characters; rename it", column.name)
        values = table.values.get(column.name)
        bounds = (values.low, values.high) if values else ()
        if any(isinstance(each, datetime) and each.microsecond % _MILLISECOND for each in bounds):
            text = "it has times to the microsecond, of which Athena reads the milliseconds; compare them elsewhere"
            yield Finding("warning", text, column.name)
        if column.name.startswith("_") and not column.added:
            text = "its name begins with _, so that queries have to put it in backticks or quotes"
            yield Finding("warning", text, column.name)
    for name, query in settings.views.items():
        if problem := _problem(query):
            yield Finding("error", f"view {name} {problem}", setting=f"views.{name}")
    for name, query in settings.unloads.items():
        filled = query.replace(TABLE, "t").replace(DATE, "2026-01-01")
        if problem := _problem(filled) or _unhashed(table, filled):
            yield Finding("error", f"query {name} {problem}", setting=f"unloads.{name}")


def _problem(query: str) -> str:
    if len(query.encode()) > LONGEST_QUERY:
        return f"has more than {LONGEST_QUERY:,} bytes, which no query may have"
    try:
        parsed = sqlglot.parse(query, read="athena")
    except sqlglot.errors.SqlglotError:
        return "is no SQL of Athena"
    is_query = len(parsed) == 1 and isinstance(parsed[0], exp.Query)
    return "" if is_query else "is not one SELECT; write what the view shows"


def _unhashed(table: Table, query: str) -> str:
    """What a query that is SQL would store in clear outside of the table; "" where it names no such column."""
    bare = {column.name.lower() for column in table.columns if column.is_bare}
    parsed = sqlglot.parse_one(query, read="athena")
    if bare and any(not isinstance(star.parent, exp.Count) for star in parsed.find_all(exp.Star)):
        return f"has *, and {', '.join(sorted(bare))} of the table are personal and not hashed; list the columns"
    named = sorted(bare & {column.name.lower() for column in parsed.find_all(exp.Column)})
    return f"reads {', '.join(named)}, which is personal and not hashed; leave it out" if named else ""
