"""Loads of a table: with which sequence each began, and to which a file belongs.

Rows of a load carry no sequence. They get that with which their load began, so that a change from before never replaces
them, whenever it arrives, and every change since then does.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from adplatform.changes.followed import LOAD
from adplatform.failures import PermanentFailure
from adplatform.ledger.folds import Generation

FIRST = "0" * 35
"""The sequence of a load that nobody has recorded: lower than that of any change."""


def sequence_at(instant: datetime) -> str:
    """The least ``$AR_H_CHANGE_SEQ`` of changes that were committed at an instant or later: its UTC time to hundredths
    of a second, and a counter that begins with 0."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y%m%d%H%M%S}{utc.microsecond // 10_000:02}{'0' * 19}"


def sequence_of_load(entry: Mapping[str, Any], generations: Sequence[Generation]) -> str | None:
    """The sequence of rows in an object of a settlement, where it is a file of a load; None for one of changes. A file
    belongs to the last load that began before it was written."""
    if not is_load(entry["key"]):
        return None
    written = datetime.fromisoformat(entry["last_modified"])
    begun = [each for each in generations if each.opened_at.replace(microsecond=0) <= written]
    return begun[-1].sequence if begun else FIRST


def is_load(key: str) -> bool:
    return LOAD.search(key.rpartition("/")[2]) is not None


def next_generation(
    known: Sequence[Generation], at: datetime, reason: str, margin: timedelta = timedelta(0)
) -> Generation:
    """The load that begins ``at`` an instant of a clock that may be ahead of the database's by ``margin``.

    Raises:
        PermanentFailure: one began later.
    """
    sequence = sequence_at(at - margin)
    if known and known[-1].sequence >= sequence:
        raise PermanentFailure(f"a load of the table began at {known[-1].opened_at:%Y-%m-%d %H:%M:%S} UTC, after that")
    return Generation(len(known) + 1, sequence, at, reason)
