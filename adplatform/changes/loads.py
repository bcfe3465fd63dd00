"""Loads of tables as DMS does them: each is in the ledger before its rows are merged, and is whole once DMS says so.

When a load began is what DMS says, and no clock of ours: rows of a load get the sequence with which it began, and one
that is too late by our clock would have changes from after the load count as older. A load that is asked for here is
awaited until DMS shows it; its files count as those of the load before until then, and are read again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from adplatform.changes.followed import Followed
from adplatform.changes.generations import next_generation
from adplatform.ledger.folds import Generation
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.table import NEW
from adplatform.ledger.tallies import Tally


@dataclass(frozen=True)
class LoadSeen:
    """A load of a table that DMS shows: when it began, and when it was complete with how many rows; None before."""

    begun: datetime
    complete: datetime | None = None
    rows: int | None = None


def open_load(ledger: Ledger, followed: Followed, at: datetime, reason: str) -> Generation:
    """A load of the table begins, of which nobody but our clock says when. One that is not whole yet has broken off:
    what it brought is older.

    Raises:
        PermanentFailure: a load began later.
    """
    folds, source, target = ledger.folds, followed.source, followed.target
    new = next_generation(folds.all_generations(source, target), at, reason)
    if folds.open(source, target, new):
        return new
    return folds.all_generations(source, target)[-1]


def await_load(ledger: Ledger, followed: Followed, at: datetime, reason: str) -> Generation:
    """A load of the table is about to be asked for; where one is awaited already, it is that one."""
    folds, source, target = ledger.folds, followed.source, followed.target
    known = folds.all_generations(source, target)
    if known and known[-1].awaited:
        return known[-1]
    folds.open(source, target, Generation(len(known) + 1, "", at, reason, awaited=True))
    return folds.all_generations(source, target)[-1]


def want_load(ledger: Ledger, followed: Followed, at: datetime, reason: str, seen: Tally, tally: Tally) -> bool:
    """A load of the table is to be asked for, by what a look has made of the tally that was ``seen``; False where
    another look has wanted it. Where one is awaited already, it is that one."""
    source, target = followed.source, followed.target
    _, noted = ledger.tallies.written(source, target, seen, tally)
    known = ledger.folds.all_generations(source, target)
    if known and known[-1].awaited:
        return ledger.folds.table.transact([noted])
    load = Generation(len(known) + 1, "", at, reason, awaited=True, ask_at=at)
    opened = ledger.folds.table.put_write(f"{source}/{target}", load, NEW)
    return ledger.folds.table.transact([noted, opened])


def observe_load(ledger: Ledger, followed: Followed, seen: LoadSeen, margin: timedelta) -> None:
    """Take down a load that DMS shows, whoever asked for it, and that it is whole. The clock of DMS may be ahead of the
    database's by ``margin``.

    Raises:
        PermanentFailure: by what is known, a load began later.
    """
    folds, source, target = ledger.folds, followed.source, followed.target
    known = folds.all_generations(source, target)
    awaited = known.pop() if known and known[-1].awaited else None
    last = known[-1] if known else None
    if last is None or _is_later(known, seen.begun):
        reason = awaited.reason if awaited else "DMS loaded the table"
        last = replace(next_generation(known, seen.begun, reason, margin), begun=seen.begun)
        if awaited:
            folds.begin(source, target, last)
        elif not folds.open(source, target, last):
            return  # another look has
    elif last.begun is not None and last.begun != seen.begun:
        return  # DMS does not show the last one yet
    if last.loaded_at is None and seen.complete is not None:
        folds.loaded(source, target, last, seen.rows, seen.complete)


def awaited_loads(ledger: Ledger, tables: Iterable[Followed], at: datetime, reason: str) -> None:
    """Loads of several tables are about to be asked for."""
    for each in tables:
        if each.tables:
            await_load(ledger, each, at, reason)


def _is_later(known: Sequence[Generation], begun: datetime) -> bool:
    """Whether a load that DMS shows is none that is known. Of those that were taken down by our clock alone, one that
    is not whole is the one that DMS shows."""
    shown = [each.begun for each in known if each.begun is not None]
    if shown:
        return begun > max(shown)
    last = known[-1]
    return last.loaded_at is not None and begun > last.loaded_at
