"""What the raw step leaves to the clean step of the same run, in memory, if that is in the same process: small files,
which it reads whole, what became of all files, and what it has read of the delivery."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Self

from adplatform.ledger.objects import RawObject
from adplatform.ledger.publications import FileOutcome

if TYPE_CHECKING:
    from adplatform.flow.begun import Begun

SMALL = 256 * 1024
"""Bytes of a file that is kept, at most."""
MOST_KEPT = 32 * 1024 * 1024
"""Bytes of all files together."""

Contents = Mapping[str, bytes]
"""What files have, by :func:`named`."""

MOST_OUTCOMES = 1000


@dataclass(frozen=True)
class Kept:
    """``outcomes`` are those of files that have landed, by origin, small or not; none where they are too many.
    ``begun`` is the delivery as the raw step had begun it."""

    contents: Contents = field(default_factory=dict)
    outcomes: Mapping[str, FileOutcome] = field(default_factory=dict)
    begun: "Begun | None" = None

    @classmethod
    def of(cls, contents: Contents, landed: Sequence[FileOutcome], begun: "Begun") -> Self:
        few = landed if len(landed) <= MOST_OUTCOMES else ()
        return cls(contents, {each.origin: each for each in few}, begun)


_changing = Lock()
_kept: dict[str, Kept] = {}


def named(obj: RawObject) -> str:
    """The object as it is now: an erasure that leaves less of it makes it another."""
    return f"{obj.identity} {obj.archived_key} {obj.edited}"


def worth_keeping(objects: Iterable[RawObject]) -> set[str]:
    """Those of the objects that are small, as long as there is room."""
    found, left = set[str](), MOST_KEPT
    for obj in objects:
        if 0 < obj.stored_size <= min(SMALL, left):
            found.add(named(obj))
            left -= obj.stored_size
    return found


def keep(run_id: str, kept: Kept) -> None:
    """Keep what this run has read, in the place of what another has left."""
    with _changing:
        _kept.clear()
        _kept[run_id] = kept


def peek(run_id: str) -> Kept:
    """What the run has kept, and goes on to keep."""
    with _changing:
        return _kept.get(run_id, Kept())


def take(run_id: str) -> Kept:
    """What the run has kept, which is kept no longer."""
    with _changing:
        return _kept.pop(run_id, Kept())
