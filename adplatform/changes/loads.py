"""Loads of tables as DMS does them: each is in the ledger before its rows are merged, and is whole once DMS says so."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from adplatform.changes.followed import Followed
from adplatform.changes.generations import next_generation
from adplatform.ledger.folds import Generation
from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class LoadSeen:
    """A load of a table that DMS shows: when it began, and when it was complete with how many rows; None before."""

    begun: datetime
    complete: datetime | None = None
    rows: int | None = None


def open_load(ledger: Ledger, followed: Followed, at: datetime, reason: str) -> Generation:
    """A load of the table is about to begin. One that is not whole yet has broken off: what it brought is older.

    Raises:
        PermanentFailure: a load began later.
    """
    folds, source, target = ledger.folds, followed.source, followed.target
    known = folds.generations(source, target)
    new = next_generation(known, at, reason)
    if folds.open(source, target, new):
        return new
    return folds.generations(source, target)[-1]


def observe_load(ledger: Ledger, followed: Followed, seen: LoadSeen) -> None:
    """Take down a load that somebody else has begun, and that one is whole."""
    folds, source, target = ledger.folds, followed.source, followed.target
    known = folds.generations(source, target)
    last = known[-1] if known else None
    if last is None or (last.loaded_at is not None and seen.begun > last.loaded_at):
        last = open_load(ledger, followed, seen.begun, "DMS loaded the table")
    if last.loaded_at is None and seen.complete is not None and seen.complete >= last.opened_at:
        folds.loaded(source, target, last, seen.rows)


def opened(ledger: Ledger, tables: Iterable[Followed], at: datetime, reason: str) -> None:
    """Loads of several tables are about to begin."""
    for each in tables:
        if each.tables:
            open_load(ledger, each, at, reason)
