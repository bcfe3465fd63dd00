"""Removing files of the clean zone that no reader can reach any more: replaced versions and crashed attempts.

How old an object is does not say when it was replaced: yesterday's readers may hold a location that was written a year
ago. So a location is removed only after it has been seen unreferenced for the whole of ``keep``, by two collections at
least that far apart.
"""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.lake import formats
from adplatform.lake.agreement import Compared, compare
from adplatform.lake.entry import SLICE_LIST
from adplatform.lake.lake import Lake
from adplatform.lake.path_copy import repair
from adplatform.lake.slices import forget, placed_versions
from adplatform.lake.store import Stored
from adplatform.lake.table import Named
from adplatform.ledger.leases import Lease
from adplatform.ledger.placements import Retired
from adplatform.platform.aws_errors import aws_failures

_SCOPE = re.compile(rf"/{DELIVERY_DATE}=[^/]+/[^/=]+=([^/]+)/$")


@dataclass(frozen=True)
class Collected:
    """``removed`` locations; ``waiting`` are unreferenced ones that stay for now. ``objects`` and ``bytes`` count all
    that was removed, lists of slices too.

    ``repaired`` folders below the table's root were not what the catalog shows. ``compared`` is what the comparison of
    catalog and ledger came to; while it leaves something unclear, nothing is removed or repaired. ``compacted`` are
    partitions of an Iceberg table whose small files became one, ``originals`` how many were removed from the archive.
    """

    removed: tuple[str, ...] = ()
    objects: int = 0
    bytes: int = 0
    waiting: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    compared: Compared = field(default_factory=Compared)
    compacted: tuple[str, ...] = ()
    originals: int = 0


def collect(
    lake: Lake,
    feed: str,
    table: Named,
    *,
    keep: timedelta,
    now: datetime,
    run_id: str,
    temp: Path | None = None,
    dry_run: bool = False,
    compacting: bool = True,
    needed: Set[str] = frozenset(),
) -> Collected:
    """Compare the table with the ledger, remove what neither catalog nor ledger has referred to for ``keep``, which
    must be longer than any query or publication takes, and repair the path copies. ``needed`` locations stay, too.
    ``dry_run`` says what would be done and remembers nothing. Where somebody knows the files of a table by their names,
    it is done without ``compacting``.

    Safe beside publishers: it works under their lease, and an attempt whose files are gone refuses to show them.
    Without a table nothing is removed, because then everything looks unreferenced. A table partitioned by a column is
    repaired only where ``table`` is a :class:`TableSpec`; its slices are merged below ``temp``.

    Raises:
        PermanentFailure: AWS does not allow it.
        TransientFailure: another run holds the feed, S3 refused to delete, or AWS did not answer.
    """
    with aws_failures(f"the clean zone of {feed}"), lake.alone(feed, run_id) as lease, lease.kept(lake.call):
        if formats.table(lake, table) is None:
            scopes = _scopes(_locations(lake, feed))
            return Collected(compared=compare(lake, None, feed, table, run_id=run_id, scopes=scopes))
        locations = _locations(lake, feed)
        compared = compare(
            lake, None if dry_run else lease, feed, table, run_id=run_id, temp=temp, scopes=_scopes(locations)
        )
        shown = formats.table(lake, table)
        if compared.unclear or shown is None:
            return Collected(compared=compared)
        compacted: tuple[str, ...] = ()
        if shown.is_iceberg and compacting and not dry_run:
            compacted = formats.compact(lake, lease, feed, table, now=now, run_id=run_id, temp=temp)
            shown = formats.table(lake, table) or shown
        partitions = list(formats.partitions(lake, table, shown))
        referenced = {*needed, shown.location, *(partition.location for partition in partitions)}
        slices = lake.ledger.placements.all_slices(feed)
        referenced |= {part.location for part in slices}
        for scope in {""} | _scopes(locations):
            own = f"{feed}/{scope}" if scope else feed
            referenced |= {placement.location for placement in lake.ledger.placements.of_feed(own)}
        referenced |= {lake.store.zones.clean_uri(p.parameters.get(SLICE_LIST, "")) for p in partitions}
        held: Set[str] = frozenset()
        if shown.is_iceberg:
            check = partial(lease.check, lake.call)
            kept = formats.expire_snapshots(lake, table, now - keep, check, dry_run=dry_run)
            locations |= _each(lake, kept.root)
            referenced |= kept.current
            held = kept.held
        collected = _sweep(lake, lease, feed, locations, referenced, held, now, keep, dry_run)
        collected = replace(collected, compared=compared, compacted=compacted)
        if not shown.partitions:
            return collected
        if shown.is_iceberg:
            if not dry_run:
                forget(lake, feed, slices, placed_versions(lake, feed))
            return collected
        where = {partition.value: partition.location for partition in partitions}
        repaired = repair(lake, lease, feed, shown.partitions, where, locations, dry_run=dry_run)
        if not dry_run:
            forget(lake, feed, slices, placed_versions(lake, feed))
        return replace(collected, repaired=repaired)


def _sweep(
    lake: Lake,
    lease: Lease,
    feed: str,
    locations: Mapping[str, list[Stored]],
    referenced: Set[str],
    held: Set[str],
    now: datetime,
    keep: timedelta,
    dry_run: bool,
) -> Collected:
    marks = {mark.location: mark for mark in lake.ledger.placements.retired(feed)}
    idle = {location: objects for location, objects in locations.items() if location not in referenced}
    due = {
        location: objects
        for location, objects in idle.items()
        if location in marks
        and location not in held
        and marks[location].since <= now - keep
        and max(o.last_modified for o in objects) <= now - keep
    }
    if not dry_run:
        for objects in due.values():
            lake.store.delete(lake.store.zones.clean_bucket, [o.key for o in objects], lambda: lease.check(lake.call))
        lake.ledger.placements.put_retired(feed, (Retired(location, now) for location in idle.keys() - marks.keys()))
        for location in marks.keys() - (idle.keys() - due.keys()):
            lake.ledger.placements.delete(feed, marks[location])
    return Collected(
        removed=tuple(sorted(location for location in due if location.endswith("/"))),
        objects=sum(len(objects) for objects in due.values()),
        bytes=sum(o.size for objects in due.values() for o in objects),
        waiting=tuple(sorted(location for location in idle.keys() - due.keys() if location.endswith("/"))),
    )


def _locations(lake: Lake, feed: str) -> dict[str, list[Stored]]:
    """The objects of all versions by the folder they lie in, and each list of slices or entries by its own address."""
    zones = lake.store.zones
    found: dict[str, list[Stored]] = {}
    for stored in lake.store.listing(zones.clean_bucket, zones.versions(feed)):
        found.setdefault(zones.clean_uri(stored.key.rpartition("/")[0] + "/"), []).append(stored)
    return {**found, **_each(lake, zones.slice_lists(feed)), **_each(lake, zones.entries(feed))}


def _each(lake: Lake, prefix: str) -> dict[str, list[Stored]]:
    zones = lake.store.zones
    return {zones.clean_uri(stored.key): [stored] for stored in lake.store.listing(zones.clean_bucket, prefix)}


def _scopes(locations: Iterable[str]) -> set[str]:
    """The scopes of which there are files."""
    return {match[1] for location in locations if (match := _SCOPE.search(location))}
