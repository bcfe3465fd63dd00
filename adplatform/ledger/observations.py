"""What each report said of each date, also where it repeated what was known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from adplatform.ledger.table import MOST_ACTIONS, Table


@dataclass(frozen=True)
class Observation:
    """What one report said of one date: totals per metric, and a digest of the rows that ignores their order.

    ``landed`` tells whether it brought the rows that the table shows; one that repeated them did not.
    """

    day: date
    as_of: datetime
    age: int
    wave: int
    report_id: str
    rows: int
    content: str
    landed: bool = True
    totals: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def sort_key(self) -> str:
        return f"observed#{self.day}#{self.as_of.astimezone(UTC).isoformat()}#{self.report_id}"


@dataclass(frozen=True)
class Observations:
    """What reports said, by feed with scope and date."""

    table: Table

    def of_day(self, feed: str, day: date) -> list[Observation]:
        """What reports said of a date, in order of asking."""
        return list(self.table.query(Observation, feed, f"observed#{day}#"))

    def since(self, feed: str, day: date) -> list[Observation]:
        """What reports said of each date from ``day`` on, in order of date and time of asking."""
        return list(self.table.range(Observation, feed, f"observed#{day}", "observed#~"))

    def between(self, feed: str, first: date, last: date) -> dict[date, list[Observation]]:
        """What reports said of each of these dates, in order of asking; by one query."""
        found: dict[date, list[Observation]] = {}
        for each in self.table.range(Observation, feed, f"observed#{first}", f"observed#{last}#~"):
            found.setdefault(each.day, []).append(each)
        return found

    def put(self, feed: str, observation: Observation) -> None:
        self.table.put(feed, [observation])

    def put_all(self, feed: str, observations: Sequence[Observation]) -> None:
        """What one report said of several dates, a hundred by one write."""
        for start in range(0, len(observations), MOST_ACTIONS):
            some = observations[start : start + MOST_ACTIONS]
            if not self.table.transact([self.table.put_write(feed, each) for each in some]):
                self.table.put(feed, some)  # somebody wrote at the same moment
