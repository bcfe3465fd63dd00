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
DOUBTFUL = ""
"""In the place of a sequence: the file may be of either of two loads."""


def sequence_at(instant: datetime) -> str:
    """The least ``$AR_H_CHANGE_SEQ`` of changes that were committed at an instant or later: its UTC time to hundredths
    of a second, and a counter that begins with 0."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y%m%d%H%M%S}{utc.microsecond // 10_000:02}{'0' * 19}"


def sequence_of_load(entry: Mapping[str, Any], generations: Sequence[Generation]) -> str | None:
    """The sequence of rows in an object of a settlement, where it is a file of a load; None for one of changes. A file
    belongs to the last load that began before it was written. S3 says to the second when that was, so one of the second
    in which a load began may be of the load before, unless that had ended before: it is ``DOUBTFUL``."""
    if not is_load(entry["key"]):
        return None
    begun = _begun(entry, generations)
    if doubted(entry, generations) is not None:
        return DOUBTFUL
    return begun[-1].sequence if begun else FIRST


def doubted(entry: Mapping[str, Any], generations: Sequence[Generation]) -> Generation | None:
    """The load of whose first second a file of a load is, where it may be of the load before."""
    begun = _begun(entry, generations) if is_load(entry["key"]) else []
    if len(begun) < 2 or _second(begun[-1].opened_at) != _second(datetime.fromisoformat(entry["last_modified"])):
        return None
    *_, before, last = begun
    ended = before.ended or before.loaded_at
    return last if ended is None or _second(ended) >= _second(last.opened_at) else None


def _begun(entry: Mapping[str, Any], generations: Sequence[Generation]) -> list[Generation]:
    written = datetime.fromisoformat(entry["last_modified"])
    return [each for each in generations if _second(each.opened_at) <= written]


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


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
