"""A table that is made by merges: the feed of what is merged, and the tables and columns that are made of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from adplatform.contracts.changes import CHANGED_AT, DELETED, HISTORY, OP, SEQUENCE
from adplatform.contracts.column import DELIVERY_DATE, PREVIOUS_KEY_ID, Column
from adplatform.contracts.consumers import NO_CONSUMERS, Consumers
from adplatform.contracts.merged import MergedFeed
from adplatform.contracts.types import DataType
from adplatform.flow.source import FeedFlow
from adplatform.lake.keyed import CLOSED_BY, VALID_TO, KeyedTable
from adplatform.lake.table import TableSpec, contract_hash, table_name
from adplatform.ledger.rows import digest
from adplatform.privacy.outputs import pii_outputs
from adplatform.privacy.rules import WHOLE_DIGESTS
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn

NOT_KEPT = frozenset({OP, "_source_file", PREVIOUS_KEY_ID})
"""Columns of what is merged that rows do not have."""


@dataclass(frozen=True)
class MadeTable(ABC):
    """``declared`` as YAML says it; ``changes`` is the feed of what is merged. With ``has_live`` a view shows rows with
    what is not merged yet; where a row ``repeats``, it comes again also as it was."""

    source: str
    declared: MergedFeed
    changes: FeedFlow
    has_live: ClassVar[bool] = True
    repeats: ClassVar[bool] = False

    @property
    def target(self) -> str:
        """Under which name the ledger knows the merges; that of the table of rows."""
        return self.declared.name

    @property
    def name(self) -> str:
        return f"{self.source}/{self.target}"

    @property
    def base(self) -> str:
        """What the names of the other tables and views begin with."""
        return f"{self.source}/{self.declared.name}"

    @property
    def deleted(self) -> str:
        return f"{self.base}{DELETED}"

    @property
    def history(self) -> str:
        return f"{self.base}{HISTORY}"

    @property
    @abstractmethod
    def table(self) -> str:
        """The table as the database calls it."""

    @property
    def sequence_field(self) -> str:
        """The column of the files by which changes are in order, "" where the files have none."""
        return ""

    @property
    def unchanged(self) -> tuple[str, ...]:
        """Columns without a value where it did not change."""
        return ()

    @property
    @abstractmethod
    def system(self) -> tuple[OutputColumn, ...]:
        """The columns of rows with the sequence and time of what made them."""

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
    def consumers(self) -> Consumers:
        """The services that read the table of rows."""
        return NO_CONSUMERS

    @property
    def flows_merged(self) -> tuple[FeedFlow, ...]:
        """The feeds of which the tables are made."""
        return (self.changes,)

    @property
    def flows(self) -> tuple[FeedFlow, ...]:
        """The tables that are made, as feeds that nothing delivers."""
        feed = self.changes.feed
        names = {self.name: None, self.deleted: None, self.history: DELIVERY_DATE}
        return tuple(
            replace(
                self.changes,
                keep_originals=None,
                feed=feed.model_copy(
                    update={
                        "name": table.partition("/")[2],
                        "partition_by": names[table],
                        "key": (),
                        "latest_by": (),
                        "consumers": self.consumers if table == self.name else NO_CONSUMERS,
                    }
                ),
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
        return (*plain, *self.system)

    @property
    def shape(self) -> str:
        """Names what decides over the rows of the tables and where they are: once it changes, all are made anew."""
        declared = self.declared
        return digest(*declared.key, str(declared.buckets), *sorted(self.unchanged), *sorted(declared.outputs))

    def keyed(self, columns: Iterable[OutputColumn]) -> KeyedTable:
        """How rows with these columns are merged."""
        own = tuple(column.name for column in columns if column.name not in (SEQUENCE, CHANGED_AT))
        unchanged = {
            name for name, each in self.stored.items() if set(each.sources) & set(self.unchanged) and each.sources
        }
        return KeyedTable(
            key=tuple(stored_key(self.declared.column(name)) for name in self.declared.key),
            columns=own,
            buckets=self.declared.buckets,
            unchanged=frozenset(unchanged),
            repeats=self.repeats,
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


def names_of_merges(tables: Iterable[MadeTable]) -> tuple[str, ...]:
    """Under which names the ledger has the merges of these tables, as far as anything is made of them."""
    return tuple(each.target for each in tables if each.tables)


def history_columns(columns: Iterable[OutputColumn]) -> tuple[OutputColumn, ...]:
    """The columns of closed versions of rows with these columns."""
    return (
        *columns,
        OutputColumn(VALID_TO, DataType("timestamp"), "When the change that ended the version was committed."),
        OutputColumn(CLOSED_BY, DataType("string"), "The sequence of that change."),
    )


def stored_key(column: Column) -> str:
    if column.pii is None:
        return column.name
    return next(o.name for o in pii_outputs(column, column.pii) if o.form in (*WHOLE_DIGESTS, "clear"))
