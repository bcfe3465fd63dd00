"""Loads of a table: with which sequence each began, and to which a file belongs.

Rows of a load carry no sequence. They get that with which their load began, so that a change from before never replaces
them, whenever it arrives, and every change since then does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from adplatform.changes.followed import LOAD
from adplatform.failures import PermanentFailure
from adplatform.flow.version import origin_of
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


def sequences(entries: Iterable[Mapping[str, Any]], generations: Sequence[Generation]) -> dict[str, str]:
    """The sequences of rows in the files of loads of one date, by origin: that of their load, behind which those of
    later dates come. A load writes a file once, so one that others of its load were written over is of one before it.
    Where nobody has recorded any, files that are written again come behind those from before."""
    found = {}
    for load, files in _by_load(entries, generations):
        first = load.opened_at.astimezone(UTC).date() if load else date.min
        begin = load.sequence if load else FIRST
        last = {entry["key"]: _content(entry) for entry in files}
        for n, (entry, again) in enumerate(zip(files, _rounds(files), strict=True)):
            days = (datetime.fromisoformat(entry["last_modified"]).date() - first).days
            if load and _content(entry) != last[entry["key"]]:
                # Nothing else is directly before the deletions that a load stands for.
                sequence = f"{int(begin) - 2:0{len(begin)}}.{n:06}"
            elif load:
                sequence = f"{begin}.{days:07}" if days > 0 else begin
            else:
                sequence = f"{begin}.{days:07}{again:06}"
            found[origin_of(entry)] = sequence
    return found


def put_in_another_order(entries: Sequence[Mapping[str, Any]], last: int, generations: Sequence[Generation]) -> bool:
    """Whether files of loads up to number ``last`` are in another order now that later ones have come."""
    now = sequences(entries, generations)
    before = sequences([entry for entry in entries if entry["number"] <= last], generations)
    return any(now[origin] != sequence for origin, sequence in before.items())


def newest_of_load(
    entries: Iterable[Mapping[str, Any]], generations: Sequence[Generation], load: Generation
) -> list[str]:
    """The origins of a load's files, of those that were written again the last."""
    files = [file for each, files in _by_load(entries, generations) if each == load for file in files]
    return [origin_of(entry) for entry in {entry["key"]: entry for entry in files}.values()]


def _by_load(
    entries: Iterable[Mapping[str, Any]], generations: Sequence[Generation]
) -> list[tuple[Generation | None, list[Mapping[str, Any]]]]:
    """The files of loads, each load's in the order in which they were written; None for one that nobody has recorded,
    and without those that are doubtful."""
    files = [entry for entry in entries if is_load(entry["key"]) and doubted(entry, generations) is None]
    files.sort(key=lambda entry: (entry["last_modified"], entry.get("place", 0), entry["number"]))

    def number(entry: Mapping[str, Any]) -> int:
        return len(_begun(entry, generations))

    grouped = groupby(sorted(files, key=number), key=number)
    return [(_begun(own[0], generations)[-1] if n else None, own) for n, own in ((n, list(g)) for n, g in grouped)]


def _rounds(files: Iterable[Mapping[str, Any]]) -> Iterator[int]:
    """For each file, how often files had begun to be written again by then. The same bytes again are none."""
    number, seen = 0, dict[str, tuple[str, int]]()
    for entry in files:
        content = _content(entry)
        if seen.get(entry["key"], content) != content:
            number, seen = number + 1, {}
        seen[entry["key"]] = content
        yield number


def _content(entry: Mapping[str, Any]) -> tuple[str, int]:
    return entry["etag"], entry["size"]


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
