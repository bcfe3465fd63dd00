"""What Amazon QuickSight takes into SPICE: texts that are not too long, numbers that are not too fine."""

from collections.abc import Iterator, Mapping
from typing import Literal

from adplatform.consumers.finding import Finding
from adplatform.consumers.table import Column, Table, misnamed
from adplatform.consumers.values import Asked
from adplatform.contracts.consumers import QuickSight
from adplatform.contracts.types import TypeName

ColumnType = Literal["STRING", "INTEGER", "DECIMAL", "DATETIME"]
MOST_CHARACTERS = 127
"""Of a name; the API takes 128, CloudFormation and the User Guide 127."""
MOST_COLUMNS = 2_048
LONGEST_TEXT = 2_047
"""Characters; QuickSight User Guide, "Data source quotas"."""
COLUMN_TYPES: Mapping[TypeName, ColumnType] = {
    "string": "STRING",
    "int": "INTEGER",
    "bigint": "INTEGER",
    "decimal": "DECIMAL",
    "double": "DECIMAL",
    "boolean": "INTEGER",
    "date": "DATETIME",
    "timestamp": "DATETIME",
}
"""What a column becomes: booleans 0 and 1, instants UTC."""
_PLACES = 4
_EXACT_TO = 2**53 - 1
"""Greater integers are shown inexactly; User Guide, "Supported data types and values"."""


def asked(table: Table, settings: QuickSight) -> Asked:
    texts = [column for column in _data_set(table, settings) if column.type.name == "string" and not column.is_hashed]
    return Asked({column.name: LONGEST_TEXT for column in texts})


def findings(table: Table, settings: QuickSight) -> Iterator[Finding]:
    yield from misnamed(table, {"columns": settings.columns})
    columns = _data_set(table, settings)
    if len(columns) > MOST_COLUMNS:
        text = f"a data set has {MOST_COLUMNS:,} columns at most, and these are {len(columns):,}: list fewer"
        yield Finding("error", text, setting="columns")
    for column in columns:
        if len(column.name) > MOST_CHARACTERS:
            text = f"its name is longer than {MOST_CHARACTERS} characters; rename it, or list the columns without it"
            yield Finding("error", text, column.name, "columns")
        yield from _values(table, column)


def _data_set(table: Table, settings: QuickSight) -> list[Column]:
    return table.named(settings.columns) if settings.columns else table.presentable


def _values(table: Table, column: Column) -> Iterator[Finding]:
    if column.type.name == "decimal" and column.type.scale > _PLACES:
        text = f"SPICE keeps about {_PLACES} places of {column.type.hive}; where more matter, query without SPICE"
        yield Finding("warning", text, column.name, "columns")
    values = table.values.get(column.name)
    if values is None:
        return
    if values.characters is not None and values.characters > LONGEST_TEXT:
        text = (
            f"its longest text has {values.characters:,} characters, and SPICE drops rows with more than "
            f"{LONGEST_TEXT:,}; shorten it by an expression, as substring(text, 1, 2000), or leave it out of columns"
        )
        yield Finding("error", text, column.name, "columns")
    if COLUMN_TYPES[column.type.name] == "INTEGER" and any(
        isinstance(bound, int) and abs(bound) > _EXACT_TO for bound in (values.low, values.high)
    ):
        text = "it has integers beyond 2^53, which are shown inexactly; for ids, take a text by expression"
        yield Finding("warning", text, column.name, "columns")
