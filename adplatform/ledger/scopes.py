"""The scopes of a source, and up to which day their reports are planned."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from adplatform.ledger.table import Table

PLANNED = "planned#"


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
    that date it was, where a date has several.

    ``reports`` and ``had`` are what was asked for by then, as :mod:`adplatform.ledger.asked` packs it, of which notes
    are kept since ``noted_since``; None where nobody has said that. ``revision`` counts the plans.
    """

    name: str
    scope: str
    day: date
    definition: str
    at_risk: int = 0
    postponed: int = 0
    turn: int = 0
    reports: tuple[str, ...] = ()
    had: Mapping[str, str] = field(default_factory=dict)
    noted_since: datetime | None = None
    revision: int = 0

    @property
    def sort_key(self) -> str:
        return f"{PLANNED}{self.name}/{self.scope}"


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
        return list(self.table.query(Planned, source, PLANNED))

    def put_planned(self, source: str, planned: Planned) -> None:
        self.table.put(source, [planned])

    def opening(self, source: str) -> Opening | None:
        return self.table.get(Opening, source, _OPENING)

    def put_opening(self, source: str, opening: Opening) -> None:
        self.table.put(source, [opening])

    def of_source(self, source: str) -> list[Scope]:
        return list(self.table.query(Scope, source, "scope#"))

    def put(self, source: str, scopes: Iterable[Scope]) -> None:
        self.table.put(source, scopes)
