"""Small files, which the raw step reads whole, in memory until the clean step of the same run has them, if that is in
the same process: a file of some rows costs a call less of three."""

from collections.abc import Iterable, Mapping
from threading import Lock

from adplatform.ledger.objects import RawObject

SMALL = 256 * 1024
"""Bytes of a file that is kept, at most."""
MOST_KEPT = 32 * 1024 * 1024
"""Bytes of all files together."""

Contents = Mapping[str, bytes]
"""What files have, by :func:`named`."""

_changing = Lock()
_kept: dict[str, Contents] = {}


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


def keep(run_id: str, contents: Contents) -> None:
    """Keep what this run has read, in the place of what another has left."""
    with _changing:
        _kept.clear()
        if contents:
            _kept[run_id] = contents


def take(run_id: str) -> Contents:
    """What the run has kept, which is kept no longer."""
    with _changing:
        return _kept.pop(run_id, {})
