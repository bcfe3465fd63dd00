"""The clean bucket without a person: files that nobody is led to any more."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.flow.erasure.publishing import publish_rows
from adplatform.flow.erasure.search import ERASED, Held
from adplatform.flow.erasure.state import DELETED, Erasing, apart
from adplatform.lake import formats
from adplatform.lake.compacted import read_parts
from adplatform.lake.slices import counting, placed_versions
from adplatform.lake.table import table_name
from adplatform.ledger.leases import Lease


def erase_from_clean(doing: Erasing) -> None:
    """Delete what holds the person and nobody is led to; what readers are led to is a problem."""
    zones, lake = doing.services.zones, doing.services.lake
    found = [replace(held, left=Path()) for held in doing.search.clean()]
    if not found:
        return
    doing.work.sleep(doing.wish.readers.total_seconds())
    seen: list[tuple[str, Held]] = []
    names = {flow.table: table_name(flow.table, doing.services.settings.database_prefix) for flow in doing.tables}
    for table, named in sorted(names.items()):
        own = (zones.versions(table), zones.clean(table), zones.slice_lists(table), zones.entries(table))
        mine = [held for held in found if held.stored.key.startswith(own)]
        if not mine:
            continue
        with lake.alone(table, doing.work.run_id) as lease, lease.kept(lake.call):
            entry = formats.table(lake, named)
            shown = _led_to(doing, table)
            if entry is not None and entry.is_iceberg:
                _expire(doing, table, lease)
            for held in mine:
                if zones.clean_uri(held.stored.key).startswith(shown) and held.stored.latest:
                    seen.append((table, held))
                    continue
                lease.check(lake.call)
                doing.note(held.stored, DELETED, held.rows)
                doing.delete(held.stored)

    _publish_rows_left(doing, seen)


def _publish_rows_left(doing: Erasing, seen: Sequence[tuple[str, Held]]) -> None:
    """Deliveries of which readers see the person, who is not in their originals, or whose originals are not there any
    more, are published again of what readers see. A partition that is made of several follows from that."""
    uris = [doing.services.zones.clean_uri(held.stored.key) for _, held in seen]
    again = 0
    for flow in doing.flows:
        shared = flow.feed.contract.partition_by not in (None, DELIVERY_DATE)
        placements = {each.day: each for each in doing.ledger.placements.of_feed(flow.name)}
        places = {(each.day, each.location) for each in placements.values() if each.location}
        if shared:
            slices = doing.ledger.placements.all_slices(flow.table)
            places = {
                (each.day, each.location) for each in counting(slices, placed_versions(doing.services.lake, flow.table))
            }
        for day in sorted({day for day, at in places if at and any(uri.startswith(at) for uri in uris)}):
            doing.lease.check()
            with apart(f"{flow.name} {day}", doing.problems):
                publish_rows(doing, flow, day)
                again += 1
    if seen and not again and not doing.problems:
        for (_, held), uri in zip(seen, uris, strict=True):
            place = doing.person.without(uri, ERASED)
            doing.problems[place] = f"{place}: readers see it ({held.rows} rows), and nothing says of what it was made"


def _led_to(doing: Erasing, table: str) -> tuple[str, ...]:
    """The locations that the catalog leads readers of a table to, and what partitions are made of."""
    lake = doing.services.lake
    named = table_name(table, doing.services.settings.database_prefix)
    shown = formats.table(lake, named)
    if shown is None:
        return ()
    partitions = list(formats.partitions(lake, named, shown)) if shown.partitions else []
    found = {partition.location for partition in partitions} if shown.partitions else {shown.location}
    if shown.shared_by:
        for partition in partitions:
            found |= {part.location for part in (read_parts(lake.store, partition) or {}).values()}
    slices = lake.ledger.placements.all_slices(table)
    found |= {part.location for part in counting(slices, placed_versions(lake, table))}
    return tuple(sorted(each for each in found if each))


def _expire(doing: Erasing, table: str, lease: Lease) -> None:
    """An Iceberg table keeps no snapshot from before: none of it could be read without the files that go. What
    describes only those goes, too: it has the least and greatest values of their columns."""
    lake, zones = doing.services.lake, doing.services.zones
    named = table_name(table, doing.services.settings.database_prefix)
    check: Callable[[], None] = lambda: lease.check(lake.call)  # noqa: E731
    formats.forget_removed(lake, named, check)
    kept = formats.expire_snapshots(lake, named, doing.ledger.now() + timedelta(days=1), check, dry_run=False)
    for stored in list(lake.store.listing(zones.clean_bucket, kept.root)) if kept.root else ():
        uri = zones.clean_uri(stored.key)
        if uri not in kept.current and uri not in kept.held:
            lease.check(lake.call)
            doing.note_place(uri, "", DELETED)
            lake.store.delete(zones.clean_bucket, [stored.key])
            doing.services.store.delete_versions(zones.clean_bucket, _all_versions(doing, stored.key))


def _all_versions(doing: Erasing, key: str) -> list[tuple[str, str]]:
    answer = doing.services.s3.list_object_versions(Bucket=doing.services.zones.clean_bucket, Prefix=key)
    found = (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ()))
    return [(each["Key"], each["VersionId"]) for each in found if each["Key"] == key]
