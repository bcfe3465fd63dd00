"""How a table of a database differs from what is declared of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from adplatform.contracts.types import DataType
from adplatform.engines.engine import Finding
from adplatform.extract.connection import database_failures
from adplatform.extract.described import DescribedColumn, described
from adplatform.extract.table import Table
from adplatform.failures import listed


def table_findings(table: Table, connect: Callable[[], AbstractContextManager[Any]]) -> Sequence[Finding]:
    """Whether the table is there and has what is declared; ``connect`` opens the database."""
    name, feed = table.name, table.feed
    reading = table.reading()
    with connect() as engine, database_failures(name):
        there = {column.name: column for column in described(engine, reading.schema, reading.table)}
    missing = [column for column in reading.columns if column not in there]
    if missing:
        return [Finding(f"table {reading.name} has no column {listed(missing)}: correct `field`, or leave it out")]
    found = [
        Finding(f"column {c.name} is {there[c.field_name].said} there and declared as {c.type}", fatal=False)
        for c in feed.read_columns
        if not _fits(there[c.field_name], c.data_type)
    ]
    new = [column for column in there if column not in reading.columns]
    if new:
        text = f"table {reading.name} has {listed(new)}, which nobody declared: declare what you need"
        found.append(Finding(text, fatal=False))
    if table.cursor is not None and there[table.cursor].nullable:
        text = f"rows without {table.cursor} are never brought: make it NOT NULL there"
        found.append(Finding(text, fatal=False))
    return found


_WIDER: Mapping[str, tuple[str, ...]] = {
    "int": ("int",),
    "bigint": ("int", "bigint"),
    "decimal": ("int", "bigint", "decimal"),
    "double": ("int", "bigint", "decimal", "double"),
    "date": ("date",),
    "timestamp": ("timestamp",),
    "boolean": ("boolean", "int"),
}
"""Types of the database whose every value a declared type takes."""


def _fits(there: DescribedColumn, declared: DataType) -> bool:
    if declared.name == "string":
        return True
    if there.type is None or there.type.name not in _WIDER[declared.name]:
        return False
    if declared.name == "decimal" and there.type.name == "decimal":
        whole = there.type.precision - there.type.scale
        return there.type.scale <= declared.scale and whole <= declared.precision - declared.scale
    return True
