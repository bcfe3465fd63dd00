"""A copy of each partition's current files below the table's root, for readers that list paths.

The catalog is the truth: its locations are immutable and change at once. The copy follows within seconds, and meanwhile
a reader of the path can see files of two versions. Every name carries the token of its attempt, so no file is
overwritten. What a crash left undone, or a process did after it lost its lease, shows as a difference from the catalog;
publishing again or ``retention.collect`` mends it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adplatform.lake.catalog import Partition
from adplatform.lake.lake import Lake
from adplatform.lake.store import Sized, Stored
from adplatform.lake.table import Named, TableSpec
from adplatform.lake.zones import partition_folder, partition_values
from adplatform.ledger.leases import Lease


@dataclass(frozen=True)
class _Difference:
    """What is between a partition's folder and the catalog. ``missing`` maps keys to what they are copied from."""

    missing: Mapping[str, Sized]
    extra: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra)


def follow(lake: Lake, lease: Lease, feed: str, table: Named, columns: Sequence[str], value: str) -> None:
    """Make the partition's folder hold exactly the files that the catalog shows, or nothing when copies are off.

    Raises:
        TransientFailure: the lease was lost.
    """
    _apply(lake, lease, _difference_of(lake, feed, table, columns, value))


def follow_to(
    lake: Lake,
    lease: Lease,
    feed: str,
    columns: Sequence[str],
    value: str,
    shown: Partition | None,
    files: Iterable[Sized] | None = None,
    *,
    is_new: bool = False,
) -> None:
    """:func:`follow` by who has just made the catalog show ``shown``, None for nothing, and perhaps has just listed its
    ``files``. One that ``is_new`` is the first of its partition, so that its folder is not there yet.

    Raises: as :func:`follow`.
    """
    _apply(lake, lease, _difference_to(lake, feed, columns, value, shown, files, () if is_new else None))


def follow_all(
    lake: Lake,
    lease: Lease,
    feed: str,
    columns: Sequence[str],
    shown: Iterable[tuple[Partition, Iterable[Sized], bool]],
) -> None:
    """:func:`follow_to` for several partitions, each with its files and whether it is the first of them.

    Raises: as :func:`follow`.
    """
    missing: dict[str, Sized] = {}
    extra: list[str] = []
    for partition, files, is_new in shown:
        present = () if is_new else None
        difference = _difference_to(lake, feed, columns, partition.value, partition, files, present)
        missing |= difference.missing
        extra += difference.extra
    _apply(lake, lease, _Difference(missing, tuple(extra)))


def complete(lake: Lake, table: TableSpec, values: Iterable[str], run_id: str) -> None:
    """:func:`follow` for partitions that an earlier run flipped. The lease is taken only if there is something to do.

    Raises:
        TransientFailure: another run held the feed, or the lease was lost.
    """
    columns = table.partition_names
    if table.is_iceberg:
        return
    behind = [value for value in values if _difference_of(lake, table.feed, table, columns, value)]
    if behind:
        with lake.alone(table.feed, run_id) as lease:
            for value in behind:
                follow(lake, lease, table.feed, table, columns, value)


def repair(
    lake: Lake,
    lease: Lease,
    feed: str,
    columns: Sequence[str],
    shown: Mapping[str, str],
    versions: Mapping[str, Iterable[Stored]],
    *,
    dry_run: bool,
) -> tuple[str, ...]:
    """Make all folders of the table what the catalog shows; the folders that were not.

    ``shown`` maps partition values to locations, ``versions`` maps the locations of the feed to what they hold; one
    that it lacks was written since, and is listed.
    """
    zones = lake.store.zones
    root = zones.clean(feed)
    locations = {root + partition_folder(columns, value): location for value, location in shown.items()}
    present: dict[str, list[Stored]] = {}
    for stored in lake.store.listing(zones.clean_bucket, f"{root}{columns[0]}="):
        parts = stored.key.removeprefix(root).split("/", len(columns))
        if len(parts) > 1:
            present.setdefault(f"{root}{'/'.join(parts[:-1])}/", []).append(stored)
    repaired = []
    for folder in sorted(locations.keys() | present.keys()):
        location = locations.get(folder, "")
        if location and not _is_version(lake, feed, location):
            continue
        files = versions[location] if location in versions else _files(lake, location)
        difference = _difference(lake, feed, folder, files, present.get(folder, ()))
        if difference:
            repaired.append(zones.clean_uri(folder))
            if not dry_run:
                _apply(lake, lease, difference)
    return tuple(repaired)


def _difference_of(lake: Lake, feed: str, table: Named, columns: Sequence[str], value: str) -> _Difference:
    if not columns:
        return _Difference({}, ())
    shown = lake.catalog.partition_of(table, partition_values(value, len(columns)))
    return _difference_to(lake, feed, columns, value, shown)


def _difference_to(
    lake: Lake,
    feed: str,
    columns: Sequence[str],
    value: str,
    shown: Partition | None,
    files: Iterable[Sized] | None = None,
    present: Iterable[Stored] | None = None,
) -> _Difference:
    if shown is not None and not _is_version(lake, feed, shown.location):
        return _Difference({}, ())
    zones = lake.store.zones
    if files is None:
        files = _files(lake, shown.location if shown else "")
    folder = zones.clean(feed) + partition_folder(columns, value)
    present = lake.store.listing(zones.clean_bucket, folder) if present is None else present
    return _difference(lake, feed, folder, files, present)


def _files(lake: Lake, location: str) -> Iterable[Sized]:
    zones = lake.store.zones
    return lake.store.listing(zones.clean_bucket, zones.clean_key(location)) if location else ()


def _is_version(lake: Lake, feed: str, location: str) -> bool:
    """What somebody else registered may be anywhere, even in the partition's folder, and is left alone."""
    return location.startswith(lake.store.zones.clean_uri(lake.store.zones.versions(feed)))


def _difference(lake: Lake, feed: str, folder: str, files: Iterable[Sized], present: Iterable[Stored]) -> _Difference:
    name = lake.store.zones.lasting_name
    wanted = {folder + name(feed, file.key): file for file in files} if lake.path_copies else {}
    sizes = {stored.key: stored.size for stored in present}
    missing = {key: file for key, file in wanted.items() if sizes.get(key) != file.size}
    return _Difference(missing, tuple(sorted(sizes.keys() - wanted.keys())))


def _apply(lake: Lake, lease: Lease, difference: _Difference) -> None:
    bucket = lake.store.zones.clean_bucket
    if difference.missing:
        lease.check(lake.call)
        with lease.kept(lake.call):
            lake.store.copy_all(bucket, difference.missing)
    if difference.extra:
        lake.store.delete(bucket, difference.extra, lambda: lease.check(lake.call))
