"""Erasures of persons: which there were, and what each removed, as counts and names of objects. Nothing says whose."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adplatform.ledger.rows import digest
from adplatform.ledger.table import Table


class ErasureState(StrEnum):
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True)
class Erasure:
    """One erasure, by its random id. ``mark`` lets the same command find it again until it is done, and is then gone: a
    keyed digest over the id and who was given, which nothing else is hashed like. ``receipt_key`` names the object that
    says what it came to."""

    id: str
    started_at: datetime
    state: ErasureState = ErasureState.RUNNING
    mark: str = ""
    ended_at: datetime | None = None
    receipt_key: str = ""

    @property
    def sort_key(self) -> str:
        return f"erasure#{self.id}"


@dataclass(frozen=True)
class ErasedObject:
    """What an erasure has done to one object: ``what`` in a word, of so many ``rows``. ``place`` is its URI, without
    what a person is named by, and ``stored`` its version or the like."""

    erasure: str
    place: str
    stored: str
    what: str
    rows: int = 0

    @property
    def sort_key(self) -> str:
        return f"erased#{self.erasure}#{digest(self.place, self.stored, self.what)}"


@dataclass(frozen=True)
class Erasures:
    """The erasures of all sources."""

    table: Table

    def of_source(self, source: str) -> list[Erasure]:
        return list(self.table.query(Erasure, source, "erasure#"))

    def put(self, source: str, erasure: Erasure) -> None:
        self.table.put(source, [erasure])

    def erased(self, source: str, erasure: str) -> list[ErasedObject]:
        """All that an erasure has done, in no particular order."""
        return list(self.table.query(ErasedObject, source, f"erased#{erasure}#"))

    def note(self, source: str, done: Iterable[ErasedObject]) -> None:
        """Remember what is about to be done, so that the receipt names it whatever happens then. Twice is harmless."""
        self.table.put(source, done)
