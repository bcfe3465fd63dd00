"""Derived tables: their dates whose inputs changed and which must be built anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from adplatform.ledger.rows import from_item, plain
from adplatform.ledger.table import MOST_ACTIONS, Table, Write, key, unwire, wire


@dataclass(frozen=True)
class Stale:
    """A date, and scope where there are any, of a derived table that was marked ``marks`` times since it was built."""

    day: date
    marks: int
    since: datetime
    scope: str = ""

    @property
    def sort_key(self) -> str:
        return f"stale#{self.day}/{self.scope}"


@dataclass(frozen=True)
class Basis:
    """What a date of a derived table was made of when it was built last: ``inputs`` names that. With an ``error`` it
    could not be made of that. ``retake`` says when and why somebody asked that it keep nothing of its version, which
    it was not built for yet, ``retaken`` when and why that was done last. It was built ``early`` if the date was not
    over (UTC)."""

    day: date
    inputs: str
    error: str = ""
    retake: str = ""
    retaken: str = ""
    early: bool = False

    @property
    def sort_key(self) -> str:
        return f"basis#{self.day}"


@dataclass(frozen=True)
class Derived:
    """The dates of derived tables that are stale, and what others are made of."""

    table: Table

    def stale(self, feed: str) -> list[Stale]:
        """What must be built anew of a derived table, oldest date first."""
        return list(self.table.query(Stale, feed, "stale#"))

    def stale_date(self, feed: str, day: date, scope: str = "") -> Stale | None:
        return self.table.get(Stale, feed, f"stale#{day}/{scope}")

    def mark(self, feed: str, day: date, scope: str = "") -> Stale:
        """An input of that date and scope is about to change, or somebody wants it built."""
        answer = self.table.client.update_item(
            TableName=self.table.name,
            Key=key(feed, f"stale#{day}/{scope}"),
            UpdateExpression="SET #d = :d, #c = :c, since = if_not_exists(since, :s) ADD marks :one",
            ExpressionAttributeNames={"#d": "day", "#c": "scope"},
            ExpressionAttributeValues=wire({":d": plain(day), ":c": scope, ":s": plain(self.table.now()), ":one": 1}),
            ReturnValues="ALL_NEW",
        )
        return from_item(Stale, unwire(answer["Attributes"]))

    def mark_all(self, feed: str, dates: Sequence[tuple[date, str]]) -> None:
        """:meth:`mark` for several dates and scopes, many by one write."""
        for start in range(0, len(dates), MOST_ACTIONS):
            writes = [self._marked(feed, day, scope) for day, scope in dates[start : start + MOST_ACTIONS]]
            while not self.table.transact(writes):
                continue

    def _marked(self, feed: str, day: date, scope: str) -> Write:
        values = {":day": plain(day), ":scope": scope, ":since": plain(self.table.now()), ":one": 1}
        update = "SET #day = :day, #scope = :scope, #since = if_not_exists(#since, :since) ADD #marks :one"
        names = ("day", "scope", "since", "marks")
        return self.table.update_write(feed, f"stale#{day}/{scope}", update, values, names=names)

    def clear(self, feed: str, built: Stale) -> bool:
        """It was built from what there was when ``built`` was read; False when it was marked or built by others since.

        A row that is marked again after it was cleared begins at one mark, so the instant of the first mark counts too.
        """
        return self.table.delete_if(
            feed, built.sort_key, "marks = :m AND since = :s", {":m": built.marks, ":s": plain(built.since)}
        )

    def bases(self, feed: str) -> dict[date, Basis]:
        """What each date of a derived table was made of, oldest date first."""
        return {row.day: row for row in self.table.query(Basis, feed, "basis#")}

    def basis(self, feed: str, day: date) -> Basis | None:
        return self.table.get(Basis, feed, f"basis#{day}")

    def note_basis(self, feed: str, basis: Basis) -> None:
        self.table.put(feed, [basis])

    def note_built(self, feed: str, basis: Basis, retake: str) -> bool:
        """:meth:`note_basis` of what was built when ``retake`` was asked for; False when more was asked for since."""
        return self.table.put_if(feed, basis, "attribute_not_exists(retake) OR retake = :asked", {":asked": retake})
