"""Which files of a listing are fetched: those of a feed, whole by its rule, and not fetched before as they are now.

What is remembered of a file is what its last listing said; of one that is not listed any more nothing is, so that there
is never more to remember than the server has.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from adplatform.sftp.listing import Refused, RemoteFile

FIRST_REST = timedelta(minutes=5)
"""How long a file rests after its first fetch in vain; twice as long after each other."""
LONGEST_REST = timedelta(days=1)


@dataclass(frozen=True)
class Known:
    """What is remembered of a file: its size and time, since when it has been listed so, which fetch took it as it is
    now ("" for none), how many fetches failed and when the last did, the object that holds it ("" while it is not
    landed), when it was last asked for to be moved or deleted there, how often, of which feed it was, and how often it
    was listed otherwise while it waited."""

    size: int | None
    modified: datetime | None
    since: datetime
    fetch: str = ""
    failures: int = 0
    failed_at: datetime | None = None
    key: str = ""
    version: str = ""
    etag: str = ""
    cleared_at: datetime | None = None
    clearings: int = 0
    feed: str = ""
    changes: int = 0

    def same(self, file: RemoteFile) -> bool:
        return (self.size, self.modified) == (file.size, file.modified)

    def rests(self, now: datetime) -> bool:
        """Whether it failed so lately that it is not fetched yet."""
        if self.failed_at is None:
            return False
        return now < self.failed_at + min(FIRST_REST * _doubled(self.failures - 1), LONGEST_REST)


@dataclass(frozen=True)
class Landed:
    """The object that holds a file."""

    key: str
    version: str
    etag: str


@dataclass(frozen=True)
class Rule:
    """What files of one feed are: ``place`` gives the delivery date of a path and what the file is called in the
    landing zone, None where it is none of the feed's."""

    feed: str
    place: Callable[[str, datetime], tuple[date, str] | None]
    stable_for: timedelta
    marker: str | None = None


@dataclass(frozen=True)
class Due:
    """A file to be fetched for a delivery, to be called ``name`` there."""

    feed: str
    day: date
    name: str
    file: RemoteFile


@dataclass(frozen=True)
class Chosen:
    """What a listing came to. ``waiting`` counts files that are not taken to be whole yet, ``strangers`` those of no
    feed, ``resting`` those that failed lately; ``refused`` says of others why they are not fetched. ``look_at`` is when
    the first of those may be taken that need only stay as they are, if any: the later, the more often it has
    changed."""

    due: tuple[Due, ...]
    known: Mapping[str, Known]
    waiting: int = 0
    strangers: int = 0
    resting: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    look_at: datetime | None = None


def choose(
    listed: Collection[RemoteFile | Refused],
    known: Mapping[str, Known],
    rules: Sequence[Rule],
    now: datetime,
    fetch: str,
    *,
    whole: bool = True,
) -> Chosen:
    """What of a listing is to be fetched by ``fetch``, the name of the pass that takes it. Where the listing is not
    ``whole``, what it lacks stays remembered; so does what is at or below a path that is refused, which may be listed
    again. A file that has become another feed's begins anew."""
    paths = {file.path for file in listed}
    due: list[Due] = []
    seen: dict[str, Known] = {} if whole else {path: each for path, each in known.items() if path not in paths}
    refused: dict[str, str] = {}
    waiting = strangers = resting = 0
    looks: list[datetime] = []
    for file in listed:
        if isinstance(file, Refused):
            refused[file.path] = file.reason
            continue
        placed = _placed(file, rules, now)
        if placed is None:
            strangers += 1
            continue
        rule, day, name = placed
        before = known.get(file.path)
        if before is not None and before.feed != rule.feed:
            before = None
        changes = before.changes + 1 if before is not None and not before.fetch else 0
        fresh = Known(file.size, file.modified, now, feed=rule.feed, changes=changes)
        memory = before if before is not None and before.same(file) else fresh
        seen[file.path] = memory
        if memory.fetch:
            continue
        if memory.rests(now):
            resting += 1
        elif not _is_marked(file, rule, paths):
            waiting += 1
        elif _is_stable(file, memory, before, rule, now):
            seen[file.path] = replace(memory, fetch=fetch)
            due.append(Due(rule.feed, day, name, file))
        else:
            waiting += 1
            looks.append(memory.since + rule.stable_for * _doubled(memory.changes))
    if refused:
        unseen = {path: each for path, each in known.items() if path not in paths or path in refused}
        seen |= {path: each for path, each in unseen.items() if _is_within(path, refused)}
    return Chosen(tuple(due), seen, waiting, strangers, resting, refused, min(looks, default=None))


def failed(known: Mapping[str, Known], paths: Iterable[str], at: datetime) -> dict[str, Known]:
    """The memory once the fetches of these files failed: they are due again after a rest."""
    again = {path: known[path] for path in paths if path in known}
    return {
        **known,
        **{path: replace(k, fetch="", failures=k.failures + 1, failed_at=at) for path, k in again.items()},
    }


def landed(known: Mapping[str, Known], objects: Mapping[str, Landed]) -> dict[str, Known]:
    """The memory once these files are in the landing zone."""
    brought = {path: known[path] for path in objects if path in known}
    return {**known, **{path: replace(each, **vars(objects[path])) for path, each in brought.items()}}


def _is_within(path: str, paths: Collection[str]) -> bool:
    """Whether it is one of the paths or below one."""
    while path:
        if path in paths:
            return True
        path = path.rpartition("/")[0]
    return False


def _placed(file: RemoteFile, rules: Sequence[Rule], now: datetime) -> tuple[Rule, date, str] | None:
    for rule in rules:
        placed = rule.place(file.path, file.modified or now)
        if placed is not None:
            return rule, *placed
    return None


def _doubled(times: int) -> int:
    doubled: int = 2 ** min(times, 10)
    return doubled


def _is_marked(file: RemoteFile, rule: Rule, paths: Collection[str]) -> bool:
    if rule.marker is None:
        return True
    folder, _, name = file.path.rpartition("/")
    return f"{folder}/{rule.marker.replace('{file}', name)}" in paths


def _is_stable(file: RemoteFile, memory: Known, before: Known | None, rule: Rule, now: datetime) -> bool:
    if not rule.stable_for:
        return True
    return before is not None and before.same(file) and now - memory.since >= rule.stable_for
