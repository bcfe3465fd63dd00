"""What a database's replication says of its tables by numbers, look after look, and what of it was read."""

from dataclasses import dataclass, replace
from datetime import date, datetime

from adplatform.ledger.table import NEW, Table, Write

_TALLY = "tally"


@dataclass(frozen=True)
class Tally:
    """What was counted of a table since its load ``load_begun``. ``changes`` and ``statements`` are the numbers of the
    last look, of rows that were changed and of statements about the table itself; a replication may begin them anew.

    ``counted`` has the changes that were seen to be added, whose files are those from ``files_from`` on; ``due`` of
    them, counted by ``due_at``, are to be read by an hour later, and ``missing`` are those that were not. ``read`` is
    how many rows files of dates before ``first_day`` had. ``altered`` statements came since the load, for
    ``reloaded`` of which another was wanted. ``revision`` counts how often it was written.
    """

    changes: int
    statements: int
    files_from: datetime
    first_day: date
    load_begun: datetime | None = None
    counted: int = 0
    due: int = 0
    due_at: datetime | None = None
    missing: int = 0
    read: int = 0
    altered: int = 0
    reloaded: int = 0
    revision: int = 0

    @property
    def sort_key(self) -> str:
        return _TALLY


@dataclass(frozen=True)
class Tallies:
    """Those of all tables that are followed."""

    table: Table

    def get(self, source: str, target: str) -> Tally | None:
        return self.table.get(Tally, f"{source}/{target}", _TALLY)

    def put(self, source: str, target: str, seen: Tally | None, tally: Tally) -> Tally | None:
        """Write what came of the tally that was ``seen``; None when somebody has written it since."""
        row, write = self.written(source, target, seen, tally)
        return row if self.table.transact([write]) else None

    def written(self, source: str, target: str, seen: Tally | None, tally: Tally) -> tuple[Tally, Write]:
        """The same as a part of a transaction."""
        row = replace(tally, revision=seen.revision + 1 if seen else 1)
        if seen is None:
            return row, self.table.put_write(f"{source}/{target}", row, NEW)
        same = "revision = :r" if seen.revision else "(attribute_not_exists(revision) OR revision = :r)"
        return row, self.table.put_write(f"{source}/{target}", row, same, {":r": seen.revision})
