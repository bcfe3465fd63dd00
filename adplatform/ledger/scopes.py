"""The scopes of a source, and up to which day their reports are planned."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from adplatform.ledger.table import Table


@dataclass(frozen=True)
class Scope:
    """A part of a source that its credentials can read and that is asked for by itself, as the API described it at
    ``seen_at``: an account may have one for each country, for example. ``owner`` and ``place`` are what its messages
    call it together, where they do not name it."""

    id: str
    timezone: str
    country: str = ""
    currency: str = ""
    name: str = ""
    kind: str = ""
    seen_at: datetime | None = None
    owner: str = ""
    place: str = ""

    @property
    def sort_key(self) -> str:
        return f"scope#{self.id}"


@dataclass(frozen=True)
class Planned:
    """Up to which local date the reports of one definition and scope have been planned, and the how manieth ``turn`` of
    that date it was, where a date has several."""

    name: str
    scope: str
    day: date
    definition: str
    at_risk: int = 0
    postponed: int = 0
    turn: int = 0

    @property
    def sort_key(self) -> str:
        return f"planned#{self.name}/{self.scope}"


@dataclass(frozen=True)
class Opening:
    """That nothing of a source is to be planned before ``until``, by what is ``declared``."""

    until: datetime
    declared: str

    @property
    def sort_key(self) -> str:
        return _OPENING


_OPENING = "opening"


@dataclass(frozen=True)
class Scopes:
    """The scopes of all sources."""

    table: Table

    def planned(self, source: str) -> list[Planned]:
        return list(self.table.query(Planned, source, "planned#"))

    def put_planned(self, source: str, planned: Planned) -> None:
        self.table.put(source, [planned])

    def put_all_planned(self, source: str, planned: Iterable[Planned]) -> None:
        self.table.put(source, planned)

    def opening(self, source: str) -> Opening | None:
        return self.table.get(Opening, source, _OPENING)

    def put_opening(self, source: str, opening: Opening) -> None:
        self.table.put(source, [opening])

    def of_source(self, source: str) -> list[Scope]:
        return list(self.table.query(Scope, source, "scope#"))

    def put(self, source: str, scopes: Iterable[Scope]) -> None:
        self.table.put(source, scopes)
