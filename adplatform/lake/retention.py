"""Removing files of the clean zone that no reader can reach any more: replaced versions and crashed attempts.

How old an object is does not say when it was replaced: yesterday's readers may hold a location that was written a year
ago. So a location is removed only after it has been seen unreferenced for the whole of ``keep``, by two collections at
least that far apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from adplatform.aws_errors import aws_failures
from adplatform.lake.lake import Lake
from adplatform.lake.path_copy import repair
from adplatform.lake.store import Stored
from adplatform.lake.table import Named
from adplatform.ledger.ledger import Lease
from adplatform.ledger.rows import Retired


@dataclass(frozen=True)
class Collected:
    """``removed`` locations with their objects and bytes; ``waiting`` are unreferenced ones that stay for now.

    ``repaired`` folders below the table's root were not what the catalog shows.
    """

    removed: tuple[str, ...] = ()
    objects: int = 0
    bytes: int = 0
    waiting: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()


def collect(
    lake: Lake, feed: str, table: Named, *, keep: timedelta, now: datetime, run_id: str, dry_run: bool = False
) -> Collected:
    """Remove what neither the catalog nor a slice has referred to for ``keep``, which must be longer than any query or
    publication takes; then repair the path copies. ``dry_run`` says what would be done and remembers nothing.

    Safe beside publishers: it works under their lease, and an attempt whose files are gone refuses to show them.
    Without a table nothing is removed, because then everything looks unreferenced.

    Raises:
        PermanentFailure: AWS does not allow it.
        TransientFailure: another run holds the feed, S3 refused to delete, or AWS did not answer.
    """
    with aws_failures(f"the clean zone of {feed}"), lake.alone(feed, run_id) as lease:
        shown = lake.catalog.table(table)
        if shown is None:
            return Collected()
        partitions = {partition.value: partition.location for partition in lake.catalog.partitions(table)}
        slices = [part.location for part in lake.ledger.all_slices(feed)]
        referenced = {location for location in (shown.location, *partitions.values(), *slices) if location}
        locations = _locations(lake, feed)
        collected = _sweep(lake, lease, feed, locations, referenced, now, keep, dry_run)
        if not shown.partitions:
            return collected
        repaired = repair(lake, lease, feed, shown.partitions, partitions, locations, dry_run=dry_run)
        return replace(collected, repaired=repaired)


def _sweep(
    lake: Lake,
    lease: Lease,
    feed: str,
    locations: Mapping[str, list[Stored]],
    referenced: set[str],
    now: datetime,
    keep: timedelta,
    dry_run: bool,
) -> Collected:
    marks = {mark.location: mark for mark in lake.ledger.retired(feed)}
    idle = {location: objects for location, objects in locations.items() if location not in referenced}
    due = {
        location: objects
        for location, objects in idle.items()
        if location in marks
        and marks[location].since <= now - keep
        and max(o.last_modified for o in objects) <= now - keep
    }
    if not dry_run:
        for objects in due.values():
            lease.check()
            lake.store.delete(lake.store.zones.clean_bucket, [o.key for o in objects])
        lake.ledger.put_retired(feed, (Retired(location, now) for location in idle.keys() - marks.keys()))
        for location in marks.keys() - (idle.keys() - due.keys()):
            lake.ledger.delete(feed, marks[location])
    return Collected(
        removed=tuple(sorted(due)),
        objects=sum(len(objects) for objects in due.values()),
        bytes=sum(o.size for objects in due.values() for o in objects),
        waiting=tuple(sorted(idle.keys() - due.keys())),
    )


def _locations(lake: Lake, feed: str) -> dict[str, list[Stored]]:
    """The objects of all versions by the folder they lie in."""
    zones = lake.store.zones
    found: dict[str, list[Stored]] = {}
    for stored in lake.store.listing(zones.clean_bucket, zones.versions(feed)):
        found.setdefault(zones.clean_uri(stored.key.rpartition("/")[0] + "/"), []).append(stored)
    return found
