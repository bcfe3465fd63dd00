"""Which files of a listing are fetched: those of a feed, whole by its rule, and not fetched before as they are now.

What is remembered of a file is what its last listing said; of one that is not listed any more nothing is, so that there
is never more to remember than the server has.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from adplatform.sftp.listing import Refused, RemoteFile

MOST_ATTEMPTS = 5
"""How often one file is fetched in vain before it waits for somebody."""


@dataclass(frozen=True)
class Known:
    """What is remembered of a file: its size and time, since when it has been listed so, which fetch took it as it is
    now ("" for none), how many fetches failed, and the object that holds it ("" while it is not landed)."""

    size: int | None
    modified: datetime | None
    since: datetime
    fetch: str = ""
    failures: int = 0
    key: str = ""
    version: str = ""

    def same(self, file: RemoteFile) -> bool:
        return (self.size, self.modified) == (file.size, file.modified)


@dataclass(frozen=True)
class Rule:
    """What files of one feed are: ``place`` gives the delivery date of a path, None where it is none of the feed's and
    ``""`` as a reason where it is noise."""

    feed: str
    place: Callable[[str, datetime], date | None]
    stable_for: timedelta
    marker: str | None = None


@dataclass(frozen=True)
class Due:
    """A file to be fetched for a delivery."""

    feed: str
    day: date
    file: RemoteFile


@dataclass(frozen=True)
class Chosen:
    """What a listing came to. ``waiting`` counts files that are not taken to be whole yet, ``given_up`` names those
    that failed too often, and ``refused`` says of others why they are not fetched."""

    due: tuple[Due, ...]
    known: Mapping[str, Known]
    waiting: int = 0
    strangers: int = 0
    given_up: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def choose(
    listed: Collection[RemoteFile | Refused],
    known: Mapping[str, Known],
    rules: Sequence[Rule],
    now: datetime,
    fetch: str,
) -> Chosen:
    """What of a whole listing is to be fetched by ``fetch``, the name of the pass that takes it."""
    paths = {file.path for file in listed}
    due: list[Due] = []
    seen: dict[str, Known] = {}
    refused: dict[str, str] = {}
    given_up: list[str] = []
    waiting = strangers = 0
    for file in listed:
        if isinstance(file, Refused):
            refused[file.path] = file.reason
            continue
        placed = _placed(file, rules, now)
        if placed is None:
            strangers += 1
            continue
        rule, day = placed
        before = known.get(file.path)
        memory = before if before is not None and before.same(file) else Known(file.size, file.modified, now)
        seen[file.path] = memory
        if memory.fetch:
            continue
        if memory.failures >= MOST_ATTEMPTS:
            given_up.append(file.path)
        elif _is_whole(file, memory, before, rule, paths, now):
            seen[file.path] = replace(memory, fetch=fetch)
            due.append(Due(rule.feed, day, file))
        else:
            waiting += 1
    return Chosen(tuple(due), seen, waiting, strangers, tuple(given_up), refused)


def failed(known: Mapping[str, Known], paths: Iterable[str]) -> dict[str, Known]:
    """The memory once the fetches of these files failed: they are due again."""
    changed = {path: known[path] for path in paths if path in known}
    return {**known, **{path: replace(each, fetch="", failures=each.failures + 1) for path, each in changed.items()}}


def _placed(file: RemoteFile, rules: Sequence[Rule], now: datetime) -> tuple[Rule, date] | None:
    for rule in rules:
        day = rule.place(file.path, file.modified or now)
        if day is not None:
            return rule, day
    return None


def _is_whole(
    file: RemoteFile, memory: Known, before: Known | None, rule: Rule, paths: Collection[str], now: datetime
) -> bool:
    if rule.marker is not None:
        folder, _, name = file.path.rpartition("/")
        if f"{folder}/{rule.marker.replace('{file}', name)}" not in paths:
            return False
    if not rule.stable_for:
        return True
    return before is not None and before.same(file) and now - memory.since >= rule.stable_for
