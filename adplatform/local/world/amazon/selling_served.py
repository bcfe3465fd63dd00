"""What a report type of the Selling Partner API is to the server: how it ends, and the text of its document."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from adplatform.local.world.amazon.accounts import Marketplace
from adplatform.local.world.amazon.selling import CLIENT_ERROR, TOO_LONG, Ending, local_date, orders

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """One order: for which marketplaces and from when to when, both included, with which options, and when it came."""

    seed: int
    marketplaces: Sequence[Marketplace]
    start: datetime
    end: datetime
    options: Mapping[str, str]
    as_of: datetime

    @property
    def marketplace(self) -> Marketplace:
        return self.marketplaces[0]

    @property
    def days(self) -> list[date]:
        """The marketplace's dates in the range, none of them in the future."""
        first = local_date(self.marketplace, self.start)
        last = local_date(self.marketplace, min(self.end, self.as_of))
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]

    def has(self, instant: datetime) -> bool:
        return self.start <= instant <= min(self.end, self.as_of)

    def midnight(self, day: date) -> datetime:
        """When the date begins in the marketplace."""
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.marketplace.timezone)).astimezone(UTC)

    def age(self, day: date) -> int:
        """In days, when the order came."""
        return (local_date(self.marketplace, self.as_of) - day).days


@dataclass(frozen=True)
class Served:
    """A report type. ``rows`` are what its document is ``written`` from. A flat file of more than ``longest`` days is
    refused in the place of a file, and an option with another value than one of ``options`` makes a report FATAL; the
    first of them is meant where none is given."""

    rows: Callable[[Asked], list[Row]]
    written: Callable[[Asked, list[Row]], bytes]
    media: Literal["tsv", "json", "xml"]
    longest: int = 30
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ends: Callable[[Asked], Ending | None] = lambda _: None

    def ending(self, asked: Asked) -> Ending:
        if asked.start > asked.end:
            return Ending("FATAL", CLIENT_ERROR)
        if any(asked.options.get(name, values[0]) not in values for name, values in self.options.items()):
            return Ending("FATAL", CLIENT_ERROR)
        if (own := self.ends(asked)) is not None:
            return own
        if self.media == "tsv" and asked.end - asked.start > timedelta(days=self.longest, seconds=1):
            return Ending("DONE", TOO_LONG)
        return Ending("CANCELLED") if asked.start > asked.as_of else Ending("DONE")

    def document(self, asked: Asked, *, empty: bool) -> bytes:
        return self.written(asked, [] if empty else self.rows(asked))


def shipped(asked: Asked, day: date) -> list[Any]:
    """The orders placed on a date that were shipped by the time of asking."""
    placed = orders(asked.seed, asked.marketplace, day)
    return [order for order in placed if order.state(asked.as_of)[0] == "Shipped"]
