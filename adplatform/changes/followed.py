"""A table whose changes are followed, and the feed of its changes."""

import re
from dataclasses import dataclass

from adplatform.changes.made import MadeTable
from adplatform.contracts.changes import CHANGED_AT, CHANGES, OP, SEQUENCE, ChangedTable
from adplatform.contracts.column import Column
from adplatform.contracts.consumers import NO_CONSUMERS, Consumers
from adplatform.contracts.feed import Feed
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import RowCheck
from adplatform.transform.values import OutputColumn

LOAD = re.compile(r"LOAD[0-9A-Fa-f]{8}\.")
"""Names of files of a full load, by themselves or behind that of a segment (AWS DMS user guide, S3 as a target)."""
_SEQUENCE = "[0-9]{35}"
"""``$AR_H_CHANGE_SEQ``: sixteen digits of a UTC time to hundredths of a second, and a counter of nineteen."""


@dataclass(frozen=True)
class Followed(MadeTable):
    """One that is made of changes."""

    declared: ChangedTable

    @property
    def table(self) -> str:
        """The table as the database calls it."""
        return self.declared.table

    @property
    def consumers(self) -> Consumers:
        """Those of the declaration, whose name the table of rows has."""
        return self.declared.consumers

    @property
    def sequence_field(self) -> str:
        """The column of the files by which changes are in order."""
        return self.declared.sequence_field

    @property
    def unchanged(self) -> tuple[str, ...]:
        """Columns without a value where it did not change."""
        return self.declared.unchanged

    @property
    def system(self) -> tuple[OutputColumn, ...]:
        """The columns of rows with the sequence and time of what made them."""
        return self.stored[SEQUENCE], self.stored[CHANGED_AT]


def changes_feed(table: ChangedTable) -> Feed:
    """The feed of a table's changes: each file of a delivery has changes as DMS writes them, and every one is kept.

    Of a deletion only the key counts: it may have no more, and what else it has is not judged. DMS leaves ``Op`` out
    where there are only insertions: of loads (``IncludeOpForFullLoad``), and of changes that are ``CdcInsertsOnly``.
    """
    every = [
        Column(
            name=OP,
            field="Op",
            allowed=("I", "U", "D"),
            optional=True,
            default="I",
            comment="I, U or D, as DMS says it.",
        ),
        Column(
            name=SEQUENCE,
            field=table.sequence_field,
            pattern=f"({_SEQUENCE})?",
            comment="The order of changes; rows of a load have none.",
        ),
        Column(
            name=CHANGED_AT, field=table.time_field, type="timestamp", required=True, comment="When it was committed."
        ),
        *(_column(table, column) for column in table.columns),
    ]
    checks = [
        # Only rows of loads, which are insertions whatever they say, have neither.
        RowCheck(name="required_op", expression=f"{OP} is not null or coalesce({SEQUENCE}, '') = ''"),
        RowCheck(name="sequence", expression=f"{OP} = 'I' or coalesce({SEQUENCE}, '') <> ''"),
        *(_required(table, column) for column in table.columns if column.required and column.name not in table.key),
        *(RowCheck(name=check.name, expression=f"{OP} = 'D' or ({check.expression})") for check in table.row_checks),
    ]
    own = {name: getattr(table, name) for name in Feed.model_fields}
    schema, _, name = table.table.partition(".")
    derived = {
        "name": f"{table.name}{CHANGES}",
        "description": table.description and f"Changes: {table.description}"[:2048],
        "landing": f"{schema}/{name}/{{file}}",
        "columns": tuple(every),
        "key": (),
        "row_checks": tuple(checks),
        "format": _format(table.format),
        "consumers": NO_CONSUMERS,
    }
    return Feed.model_construct(**{**own, **derived})


def _format(declared: FileFormat) -> FileFormat:
    """DMS spells NULL, and writes empty text as an empty field without quotes."""
    if not declared.null_values or "empty" in declared.model_fields_set:
        return declared
    return declared.model_copy(update={"empty": "text"})


def _column(table: ChangedTable, column: Column) -> Column:
    if column.name in table.key:
        return column.model_copy(update={"identifies": True})
    return column.model_copy(update={"required": False, "unless": f"{OP} = 'D'"})


def _required(table: ChangedTable, column: Column) -> RowCheck:
    but = f"{OP} in ('D', 'U')" if column.name in table.unchanged else f"{OP} = 'D'"
    return RowCheck(name=f"required_{column.name}"[:127], expression=f"{but} or {column.name} is not null")
