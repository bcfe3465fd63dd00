"""Publishing to a table that is partitioned by a column of the data.

There a delivery contributes to several partitions and a partition holds rows of several deliveries. What a delivery
contributes to a partition is a slice: immutable files that stay, remembered in the ledger. A partition is made from its
slices alone, so the table does not depend on the order in which deliveries were published or on how often. Keys are
compared within a partition.

A crash is repaired by the next attempt: slices are written first, those that the new version has no rows for as slices
without a location; then every partition with a slice of the day is made anew and its path copy with it; only then are
the slices without a location deleted and the version noted as placed.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.failures import PermanentFailure
from adplatform.lake.attempt import Attempt, Flip, Published, Result, Upload, location_key, upload_files
from adplatform.lake.catalog import Partition, Table
from adplatform.lake.lake import Lake
from adplatform.lake.merge import merge
from adplatform.lake.path_copy import follow
from adplatform.lake.store import Stored
from adplatform.ledger.ledger import Lease
from adplatform.ledger.rows import Placement, Slice, digest

_MERGED = "-merged"


def placed(lake: Lake, attempt: Attempt) -> Published | None:
    """The outcome when the day's slices hold this version already, or a newer one; None when there is work to do."""
    feed = attempt.table.feed
    own = lake.ledger.slices_of_day(feed, attempt.day)
    placement = lake.ledger.placement(feed, attempt.day)
    complete = placement.version if placement else 0
    newest = max((complete, *(s.version for s in own)))
    if newest > attempt.version:
        note = f"version {newest} of the delivery of {attempt.day} came before this one"
        return attempt.outcome(Result.SUPERSEDED, 0, (), note)
    if complete < attempt.version:
        return None
    shown = (lake.catalog.partition(attempt.table, s.partition) for s in own)
    flips = tuple(_flip(partition) for partition in shown if partition)
    note = f"readers see version {complete} of the delivery of {attempt.day}"
    return attempt.outcome(Result.ALREADY, sum(s.rows for s in own), flips, note)


def place(lake: Lake, lease: Lease, attempt: Attempt, uploads: list[Upload], work: Path) -> Published:
    """Put the delivery's slices in the place of those it had before, and make the partitions concerned anew."""
    feed, day, version, zones = attempt.table.feed, attempt.day, attempt.version, lake.store.zones
    lease.check()
    table = lake.catalog.ensure(attempt.table, zones.clean_uri(zones.clean(feed)))
    new = {u.partition: Slice(u.partition, day, version, zones.clean_uri(u.prefix), u.rows) for u in uploads}
    before = {s.partition for s in lake.ledger.slices_of_day(feed, day)}
    emptied = [Slice(partition, day, version) for partition in sorted(before - new.keys())]
    lease.check()
    lake.ledger.put_slices(feed, [*new.values(), *emptied])
    flips = []
    for partition in sorted(before | new.keys()):
        flips.append(_show(lake, lease, attempt, table, partition, work))
        follow(lake, lease, attempt.table, partition)
    lease.check()
    for gone in emptied:
        lake.ledger.delete(feed, gone)
    lake.ledger.put_placement(feed, Placement(day, version))
    return attempt.outcome(Result.PUBLISHED, sum(s.rows for s in new.values()), tuple(flips), f"version {version}")


def _show(lake: Lake, lease: Lease, attempt: Attempt, table: Table, value: str, work: Path) -> Flip:
    """Make the partition from its slices, unless it shows exactly them."""
    spec = attempt.table
    slices = [s for s in lake.ledger.slices(spec.feed, value) if s.location]
    if not slices:
        lease.check()
        lake.catalog.delete_partition(spec, value)
        return Flip(value, "", 0)
    made_of = digest(",".join(spec.key), ",".join(spec.latest_by), *(s.location for s in slices))
    shown = lake.catalog.partition(spec, value)
    if shown is not None and shown.parameters.get("adplatform.slices") == made_of:
        return _flip(shown)
    if len(slices) == 1:
        location, rows = slices[0].location, slices[0].rows
    elif spec.key:
        with lease.kept(), TemporaryDirectory(dir=work) as directory:
            location, rows = _latest(lake, attempt, table, value, slices, Path(directory))
    else:
        with lease.kept():
            location, rows = _union(lake, attempt, value, slices)
    parameters = {
        "adplatform.slices": made_of,
        "adplatform.deliveries": str(len(slices)),
        "adplatform.rows": str(rows),
        "adplatform.run": attempt.run_id,
        "adplatform.published_at": lake.ledger.now().isoformat(),
    }
    lease.check()
    lake.catalog.put_partition(spec, table, Partition(value, location, parameters))
    return Flip(value, location, rows)


def _latest(
    lake: Lake, attempt: Attempt, table: Table, value: str, slices: Sequence[Slice], work: Path
) -> tuple[str, int]:
    """Location and rows of the latest row per key."""
    files = merge(
        [_download(lake, part, work / f"{number:05d}") for number, part in enumerate(slices)],
        [name for name, _ in table.columns],
        key=attempt.table.key,
        latest_by=attempt.table.latest_by,
        target=work / "merged",
        memory_limit=lake.memory_limit,
        threads=lake.threads,
    )
    merged = upload_files(lake, attempt, value, files, _MERGED)
    return lake.store.zones.clean_uri(merged.prefix), merged.rows


def _download(lake: Lake, part: Slice, directory: Path) -> list[Path]:
    directory.mkdir()
    paths = []
    for stored in _objects(lake, part):
        paths.append(directory / Path(stored.key).name)
        lake.store.download(lake.store.zones.clean_bucket, stored.key, paths[-1])
    return paths


def _union(lake: Lake, attempt: Attempt, value: str, slices: Sequence[Slice]) -> tuple[str, int]:
    """Location and rows of all rows together. The service copies; no file is read here."""
    prefix = location_key(lake, attempt, value, _MERGED)
    sources = {f"{prefix}{s.day}-{Path(o.key).name}": o.key for s in slices for o in _objects(lake, s)}
    lake.store.copy_all(lake.store.zones.clean_bucket, sources)
    return lake.store.zones.clean_uri(prefix), sum(s.rows for s in slices)


def _objects(lake: Lake, part: Slice) -> list[Stored]:
    zones = lake.store.zones
    found = list(lake.store.listing(zones.clean_bucket, zones.clean_key(part.location)))
    if not found:
        raise PermanentFailure(
            f"{part.location} is gone, where the delivery of {part.day} has {part.rows} rows of partition "
            f"{part.partition}: publish that delivery again first"
        )
    return found


def _flip(partition: Partition) -> Flip:
    return Flip(partition.value, partition.location, int(partition.parameters["adplatform.rows"]))
