"""How the columns of a feed's files differ from those that the feed declares, and when that changed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from adplatform.contracts.schema_change import ChangeKind, SchemaChange
from adplatform.ledger.messages import Messages, Unsent
from adplatform.ledger.rows import SCHEMA, digest
from adplatform.ledger.table import MOST_ACTIONS, NEW, Table

_MOST_TOGETHER = MOST_ACTIONS - 2


@dataclass(frozen=True)
class ReceivedSchema:
    """The columns of the newest files of a feed, by how they differ from the declared ones: each of ``different`` has
    the attributes of a :class:`SchemaChange`. A feed without one has what is declared."""

    different: tuple[Mapping[str, Any], ...] = ()
    revision: int = 0

    @property
    def sort_key(self) -> str:
        return SCHEMA

    @property
    def changes(self) -> tuple[SchemaChange, ...]:
        return tuple(map(_change, self.different))


@dataclass(frozen=True)
class NotedChange:
    """One column that is another than it was in the delivery before, or is as declared again. ``change`` is what the
    table ``schema_changes`` calls it; ``setting`` is the line of YAML that accepts it, and ``touched`` what uses the
    column."""

    at: datetime
    day: date
    version: int
    change: str
    column: str = ""
    became: str = ""
    file: str = ""
    contract: str = ""
    setting: str = ""
    touched: tuple[str, ...] = ()

    @property
    def sort_key(self) -> str:
        return f"change#{self.day}#{self.version:04d}#{digest(self.change, self.column, self.became)}"


@dataclass(frozen=True)
class Schemas:
    """Those of all feeds."""

    table: Table

    def get(self, feed: str) -> ReceivedSchema | None:
        return self.table.get(ReceivedSchema, feed, SCHEMA)

    def noted(self, feed: str) -> list[NotedChange]:
        """What has changed, in the order in which it was noted."""
        return sorted(self.table.query(NotedChange, feed, "change#"), key=lambda each: each.at)

    def note(
        self,
        feed: str,
        seen: ReceivedSchema | None,
        new: Sequence[SchemaChange],
        rows: Sequence[NotedChange],
        source: str,
        told: Unsent | None = None,
    ) -> bool:
        """Note how columns differ now, with what changed and the message of the source that is still to be sent; False
        when somebody noted something since it was ``seen``. All is written or nothing."""
        different = tuple({name: value for name, value in asdict(each).items() if value} for each in new)
        row = ReceivedSchema(different, seen.revision + 1 if seen else 1)
        condition, values = ("revision = :r", {":r": seen.revision}) if seen else (NEW, None)
        writes = [self.table.put_write(feed, row, condition, values)]
        writes += [self.table.put_write(feed, each) for each in rows[:_MOST_TOGETHER]]
        writes += [Messages(self.table).unsent_write(source, told)] if told else []
        if rows[_MOST_TOGETHER:]:
            self.table.put(feed, rows[_MOST_TOGETHER:])
        return self.table.transact(writes)


def _change(values: Mapping[str, Any]) -> SchemaChange:
    place = int(values.get("place", 0))
    return SchemaChange(**{**values, "kind": ChangeKind(values["kind"]), "place": place})
