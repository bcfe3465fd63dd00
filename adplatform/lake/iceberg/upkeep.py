"""The upkeep of an Iceberg table: snapshots that were replaced long ago expire, small files and manifests become one.

A snapshot expires once another has stood in its place for the whole time, however old it is itself: its readers have
had that time. What only expired snapshots refer to is then removed by ``adplatform.lake.retention``.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from adplatform.lake.catalog import Partition
from adplatform.lake.entry import PUBLISHED_AT, VERSION, placement_of, settled
from adplatform.lake.iceberg.commit import filter_of, show
from adplatform.lake.iceberg.entries import entries, pointers
from adplatform.lake.iceberg.tables import Tables
from adplatform.lake.lake import Lake
from adplatform.lake.numbered import write_numbered
from adplatform.lake.store import Stored
from adplatform.lake.table import Named
from adplatform.lake.zones import partition_folder
from adplatform.ledger.leases import Lease

_SMALL = 16 * 2**20
_MANY = 8
"""As many small files of a partition as become one."""
_SETTLED = timedelta(days=1)
"""For how long a partition must not have changed before its files do: one that comes in parts still grows."""
_MANIFESTS = 100
_FILE_SIZE = 512 * 2**20


@dataclass(frozen=True)
class Kept:
    """What a table refers to, as URIs of objects or of folders that end with ``/``: ``current`` is what its readers
    need now, ``held`` what those need who read it as of an earlier time. ``root`` is the prefix of its metadata."""

    root: str
    current: frozenset[str]
    held: frozenset[str]


def expire(lake: Lake, named: Named, before: datetime, check: Callable[[], None], *, dry_run: bool) -> Kept:
    """Expire the snapshots that were replaced ``before`` that time, or only say what would stay.

    Raises:
        TransientFailure: AWS did not answer.
    """
    catalog = Tables(lake.store, lake.catalog.glue, check=check)
    table = catalog.find(named)
    if table is None:
        return Kept("", frozenset(), frozenset())
    gone = set(_replaced(table.metadata, before))
    if gone and not dry_run:
        table.maintenance.expire_snapshots().by_ids(sorted(gone)).commit()
        table = table.refresh()
    zones, now = lake.store.zones, table.current_snapshot()
    kept = [each for each in table.snapshots() if each.snapshot_id not in gone]
    read: dict[str, frozenset[str]] = {}
    current = {table.metadata_location, *(map(zones.clean_uri, pointers(table.properties).values()))}
    return Kept(
        root=f"{zones.clean_key(table.location())}/metadata/",
        current=frozenset(current | _files(table, [now] if now else [], read)),
        held=frozenset({log.metadata_file for log in table.metadata.metadata_log} | _files(table, kept, read)),
    )


def forget_removed(lake: Lake, named: Named, check: Callable[[], None]) -> None:
    """Have the current snapshot say nothing of files that were removed: manifests keep the least and greatest values of
    their columns until the commit after. Readers see the same rows before and after.

    Raises:
        TransientFailure: AWS did not answer.
    """
    table = Tables(lake.store, lake.catalog.glue, check=check).find(named)
    snapshot = table.current_snapshot() if table else None
    if table is None or snapshot is None:
        return
    if any(manifest.deleted_files_count for manifest in snapshot.manifests(table.io)):
        transaction = table.transaction()
        transaction.update_snapshot(snapshot_properties={"adplatform.compacted": "manifests"}).merge_append().commit()
        transaction.commit_transaction()


def compact(
    lake: Lake, lease: Lease, feed: str, named: Named, *, now: datetime, run_id: str, work: Path
) -> tuple[str, ...]:
    """Write the small files of partitions anew where there are many, and the manifests of the table; the partitions.
    Readers see the same rows before and after. ``work`` is an empty directory.

    Raises:
        TransientFailure: the lease was lost, or others kept changing the table.
    """
    table = Tables(lake.store, lake.catalog.glue).find(named)
    if table is None:
        return ()
    names = [field.name for field in table.spec().fields]
    done: list[str] = []
    for value, entry in sorted(entries(lake.store, table.properties).items()):
        published = datetime.fromisoformat(entry.parameters.get(PUBLISHED_AT, now.isoformat()))
        files = _small(lake, entry)
        if published > now - _SETTLED or len(files) < _MANY or not _is_as_published(lake, table, names, entry):
            continue
        folder = work / f"{len(done):05d}"
        folder.mkdir()
        with lease.kept(lake.call):
            moved = _rewritten(lake, feed, table.schema(), names, entry, folder)
            show(
                lake,
                named,
                {value: moved},
                check=lambda: lease.check(lake.call),
                summary={"adplatform.compacted": value, "adplatform.run": run_id},
            )
        if VERSION in moved.parameters and (seen := settled(feed, moved)):
            lease.check(lake.call)
            lake.ledger.placements.put(seen.feed, placement_of(seen, moved, lake.ledger.now()))
        done.append(value)
    _merge_manifests(lake, lease, named)
    return tuple(done)


def _replaced(metadata: TableMetadata, before: datetime) -> Iterator[int]:
    """The snapshots in whose place others were set before that time."""
    log = sorted(metadata.snapshots, key=lambda snapshot: snapshot.timestamp_ms)
    heads = {ref.snapshot_id for ref in metadata.refs.values()}
    for snapshot, following in pairwise(log):
        if following.timestamp_ms <= before.timestamp() * 1000 and snapshot.snapshot_id not in heads:
            yield snapshot.snapshot_id


def _files(table: Table, snapshots: Iterable[Snapshot], read: dict[str, frozenset[str]]) -> set[str]:
    """Manifests of the snapshots, and the folders of their files; ``read`` remembers those of each manifest."""
    found = set()
    for snapshot in snapshots:
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            path = manifest.manifest_path
            if path not in read:
                paths = (each.data_file.file_path for each in manifest.fetch_manifest_entry(table.io))
                read[path] = frozenset(each.rpartition("/")[0] + "/" for each in paths)
            found |= {path, *read[path]}
    return found


def _small(lake: Lake, entry: Partition) -> list[Stored]:
    zones = lake.store.zones
    listed = lake.store.listing(zones.clean_bucket, zones.clean_key(entry.location))
    return [file for file in listed if file.size < _SMALL]


def _is_as_published(lake: Lake, table: Table, names: list[str], entry: Partition) -> bool:
    """Whether readers see the files of the entry and nothing else, such as rows that another engine has added."""
    zones = lake.store.zones
    listed = lake.store.listing(zones.clean_bucket, zones.clean_key(entry.location))
    tasks = list(table.scan(filter_of(table.schema(), names, [entry.value])).plan_files())
    seen = {task.file.file_path for task in tasks}
    return seen == {zones.clean_uri(file.key) for file in listed} and not any(task.delete_files for task in tasks)


def _rewritten(lake: Lake, feed: str, schema: Schema, names: list[str], entry: Partition, folder: Path) -> Partition:
    """The entry with its rows in few files at another location, where its token says what it was before."""
    zones = lake.store.zones
    groups: list[list[Path]] = []
    size = _FILE_SIZE
    for number, file in enumerate(lake.store.listing(zones.clean_bucket, zones.clean_key(entry.location))):
        path = folder / f"{number:05d}.parquet"
        lake.store.download(zones.clean_bucket, file.key, path, file.size)
        if size + file.size > _FILE_SIZE:
            groups.append([])
            size = 0
        groups[-1].append(path)
        size += file.size
    token = zones.clean_key(entry.location).removeprefix(zones.versions(feed)).split("/")[0]
    prefix = zones.version(feed, f"{token}-{lake.token()}") + (partition_folder(names, entry.value) if names else "")
    for number, paths in enumerate(groups):
        written = folder / f"part-{number:05d}.parquet"
        write_numbered(paths, schema_to_pyarrow(schema), written)
        lake.store.upload(written, zones.clean_bucket, f"{prefix}{written.name}")
    return Partition(entry.value, zones.clean_uri(prefix), entry.parameters)


def _merge_manifests(lake: Lake, lease: Lease, named: Named) -> None:
    """Those of one commit each become few; those that only say what was removed go."""
    table = Tables(lake.store, lake.catalog.glue, check=lambda: lease.check(lake.call)).find(named)
    snapshot = table.current_snapshot() if table else None
    if table is None or snapshot is None:
        return
    many = int(table.properties.get(TableProperties.MANIFEST_MIN_MERGE_COUNT, _MANIFESTS))
    if len(snapshot.manifests(table.io)) < many:
        return
    transaction = table.transaction()
    transaction.update_snapshot(snapshot_properties={"adplatform.compacted": "manifests"}).merge_append().commit()
    with lease.kept(lake.call):
        transaction.commit_transaction()
