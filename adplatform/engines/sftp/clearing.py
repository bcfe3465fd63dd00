"""Files on the server that a connector moves or deletes once readers see them.

No call says how that ends: a later listing does, and what it still shows is asked for again. One call moves one file,
from an absolute path to another of 1,024 characters at most; none makes a folder (Transfer Family API reference,
StartRemoteMove, which renames by SFTP).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from adplatform.contracts.sftp import SftpSource
from adplatform.engines.sftp.plans import Clearing
from adplatform.engines.sftp.shown import shown_files
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.sftp.choice import Known
from adplatform.sftp.listing import Refused, RemoteFile
from adplatform.sftp.places import moved_to

MOST_CLEARED = 50
"""Files that are moved or deleted after one listing."""
ASKED_AGAIN = timedelta(hours=1)
_IN_VAIN = 2
"""How often something is asked for in vain before people are notified."""


def clearings_of(
    services: Services,
    source: Source,
    declared: SftpSource,
    files: Collection[RemoteFile | Refused],
    known: Mapping[str, Known],
    at: datetime,
) -> list[Clearing]:
    """What of a listing, made ``at``, is to be moved or deleted by now, the longest known first. A file without size
    and time stays: nobody can tell whether it is what was published.

    Raises:
        PermanentFailure, TransientFailure: the ledger or a manifest cannot be read.
    """
    if not declared.afterwards.delete and declared.afterwards.move_to is None:
        return []
    there = {file.path for file in files}
    due = {path: each for path, each in known.items() if path in there and _is_due(each, at)}
    shown = sorted(shown_files(services, source, due, at), key=lambda path: (due[path].since, path))
    markers = {feed.name: feed.ready.marker or "" for feed in declared.fetched}
    found: list[Clearing] = []
    for path in shown[:MOST_CLEARED]:
        placed = source.place(due[path].key, due[path].modified or at)
        marker = markers[placed[0].feed.name] if placed else ""
        own = (each for each in _with_marker(path, marker) if each in there)
        day = placed[1].day if placed else at.date()
        found += [Clearing(each, _target(declared, each, day, due[path], at)) for each in own]
    return found


def stuck(clearings: Sequence[Clearing], known: Mapping[str, Known]) -> list[Clearing]:
    """Those that were asked for in vain so often that people are to know, each once."""
    return [each for each in clearings if each.path in known and known[each.path].clearings == _IN_VAIN]


def _is_due(known: Known, at: datetime) -> bool:
    if not known.key or known.size is None or known.modified is None:
        return False
    return known.cleared_at is None or at - known.cleared_at >= ASKED_AGAIN


def _with_marker(path: str, marker: str) -> Iterator[str]:
    yield path
    if "{file}" in marker:
        folder, _, name = path.rpartition("/")
        yield f"{folder}/{marker.replace('{file}', name)}"


def _target(declared: SftpSource, path: str, day: date, known: Known, at: datetime) -> str:
    """Most servers do not rename to a name that is taken, so that what failed once gets one that nobody has."""
    target = moved_to(path, day, declared.afterwards) or ""
    return f"{target}.{at:%Y%m%dT%H%M%SZ}" if target and known.clearings else target
