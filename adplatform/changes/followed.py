"""A table whose changes are followed: the feed of its changes, and the tables and columns that are made of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from adplatform.contracts.changes import (
    CHANGED_AT,
    CHANGES,
    DELETED,
    HISTORY,
    OP,
    SEQUENCE,
    ChangedTable,
)
from adplatform.contracts.feed import Feed
from adplatform.contracts.model import DELIVERY_DATE, PREVIOUS_KEY_ID, Column, RowCheck
from adplatform.contracts.types import DataType
from adplatform.flow.source import FeedFlow
from adplatform.lake.keyed import CLOSED_BY, VALID_TO, KeyedTable
from adplatform.lake.table import TableSpec, contract_hash, table_name
from adplatform.ledger.rows import digest
from adplatform.privacy.outputs import pii_outputs
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn

LOAD = re.compile(r"LOAD[0-9A-Fa-f]{8}\.")
"""Names of files of a full load, by themselves or behind that of a segment (AWS DMS user guide, S3 as a target)."""
_SEQUENCE = "[0-9]{35}"
"""``$AR_H_CHANGE_SEQ``: sixteen digits of a UTC time to hundredths of a second, and a counter of nineteen."""
NOT_KEPT = frozenset({OP, "_source_file", PREVIOUS_KEY_ID})
"""Columns of changes that rows do not have."""


@dataclass(frozen=True)
class Followed:
    """``declared`` as YAML says it; ``changes`` is the feed of its changes."""

    source: str
    declared: ChangedTable
    changes: FeedFlow

    @property
    def name(self) -> str:
        return f"{self.source}/{self.declared.name}"

    @property
    def deleted(self) -> str:
        return f"{self.name}{DELETED}"

    @property
    def history(self) -> str:
        return f"{self.name}{HISTORY}"

    @property
    def has_history(self) -> bool:
        return "history" in self.declared.outputs

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables that are made."""
        if not self.declared.outputs:
            return ()
        return (self.name, self.deleted, *((self.history,) if self.has_history else ()))

    @property
    def flows(self) -> tuple[FeedFlow, ...]:
        """The tables that are made, as feeds that nothing delivers."""
        feed = self.changes.feed
        names = {self.name: None, self.deleted: None, self.history: DELIVERY_DATE}
        return tuple(
            replace(
                self.changes,
                feed=feed.model_copy(update={"name": table.partition("/")[2], "partition_by": names[table]}),
            )
            for table in self.tables
        )

    @cached_property
    def stored(self) -> dict[str, OutputColumn]:
        """The declared columns of changes as they are stored, by name."""
        return {column.name: column for column in output_columns(self.changes.feed.contract)}

    def columns(self, found: Iterable[tuple[str, DataType]]) -> tuple[OutputColumn, ...]:
        """The columns of rows, of those that the table of changes was ``found`` to have: its own, and behind them the
        sequence and time of what made the row."""
        plain = [
            self.stored.get(name, OutputColumn(name, kind))
            for name, kind in found
            if name not in NOT_KEPT and name not in (SEQUENCE, CHANGED_AT)
        ]
        return (*plain, self.stored[SEQUENCE], self.stored[CHANGED_AT])

    @property
    def shape(self) -> str:
        """Names what decides over the rows of the tables and where they are: once it changes, all are made anew."""
        declared = self.declared
        return digest(*declared.key, str(declared.buckets), *sorted(declared.unchanged), *sorted(declared.outputs))

    def keyed(self, columns: Iterable[OutputColumn]) -> KeyedTable:
        """How rows with these columns are merged."""
        own = tuple(column.name for column in columns if column.name not in (SEQUENCE, CHANGED_AT))
        unchanged = {
            name
            for name, each in self.stored.items()
            if set(each.sources) & set(self.declared.unchanged) and each.sources
        }
        return KeyedTable(
            key=tuple(_stored_key(self.declared.column(name)) for name in self.declared.key),
            columns=own,
            buckets=self.declared.buckets,
            unchanged=frozenset(unchanged),
        )

    def spec(self, table: str, columns: tuple[OutputColumn, ...], description: str, prefix: str) -> TableSpec:
        """A table that is made of changes; the history by the date on which a version was closed here."""
        named = table_name(table, prefix)
        dated = table == self.history
        return TableSpec(
            feed=table,
            database=named.database,
            name=named.name,
            description=description,
            columns=columns,
            partition=OutputColumn(DELIVERY_DATE, DataType("date"), "When the version was closed here.")
            if dated
            else None,
            scope=None,
            key=(),
            latest_by=(),
            contract_hash=contract_hash(self.changes.feed.contract),
            table_format=self.declared.table_format,
        )


def history_columns(columns: Iterable[OutputColumn]) -> tuple[OutputColumn, ...]:
    """The columns of closed versions of rows with these columns."""
    return (
        *columns,
        OutputColumn(VALID_TO, DataType("timestamp"), "When the change that ended the version was committed."),
        OutputColumn(CLOSED_BY, DataType("string"), "The sequence of that change."),
    )


def changes_feed(table: ChangedTable) -> Feed:
    """The feed of a table's changes: each file of a delivery has changes as DMS writes them, and every one is kept.

    A deletion may have no more than its key, so what is required is so of all others.
    """
    every = [
        Column(name=OP, field="Op", required=True, allowed=("I", "U", "D"), comment="I, U or D, as DMS says it."),
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
    }
    return Feed.model_construct(**{**own, **derived})


def _column(table: ChangedTable, column: Column) -> Column:
    if column.required and column.name not in table.key:
        return column.model_copy(update={"required": False})
    return column


def _required(table: ChangedTable, column: Column) -> RowCheck:
    but = f"{OP} in ('D', 'U')" if column.name in table.unchanged else f"{OP} = 'D'"
    return RowCheck(name=f"required_{column.name}"[:127], expression=f"{but} or {column.name} is not null")


def _stored_key(column: Column) -> str:
    if column.pii is None:
        return column.name
    return next(o.name for o in pii_outputs(column, column.pii) if o.form in ("digest", "clear"))
