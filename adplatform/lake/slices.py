"""Publishing to a table that is partitioned by a column of the data.

There a delivery contributes to several partitions and a partition holds rows of several deliveries. What a version of a
delivery contributes to a partition is a slice: immutable files that stay, remembered in the ledger. A partition is made
from slices alone, of each delivery those of the version that is placed, so the table does not depend on the order in
which deliveries were published or on how often. Keys are compared within a partition.

A crash is repaired by the next attempt: slices are written first, those that the new version has no rows for as slices
without a location; then every partition with a slice of the day is made anew, and only when all are made are readers
led to them. Then the version is noted as placed: until that moment its slices count for nobody else, and from then on
those of older versions do not. Path copies follow, and only then are slices deleted that no longer count.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.attempt import Attempt, Flip, Published, Result, Upload, location_key, upload_files
from adplatform.lake.catalog import Partition, Table
from adplatform.lake.lake import Lake
from adplatform.lake.merge import merge
from adplatform.lake.path_copy import follow
from adplatform.lake.store import Stored
from adplatform.ledger.ledger import Lease
from adplatform.ledger.rows import Slice, digest

_MERGED = "-merged"


@dataclass(frozen=True)
class _Made:
    """A partition made of its slices. ``partition`` None: it has no rows. ``shown`` when the catalog has it already."""

    value: str
    partition: Partition | None
    rows: int
    shown: bool

    @property
    def flip(self) -> Flip:
        return Flip(self.value, self.partition.location if self.partition else "", self.rows)


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
    flips = []
    for value in sorted({s.partition for s in own}):
        shown = lake.catalog.partition(attempt.table, value)
        flips.append(_flip(shown) if shown else Flip(value, "", 0))
    rows = sum(s.rows for s in own if s.version == complete)
    note = f"readers see version {complete} of the delivery of {attempt.day}"
    return attempt.outcome(Result.ALREADY, rows, tuple(flips), note)


def place(lake: Lake, lease: Lease, attempt: Attempt, uploads: list[Upload], work: Path) -> Published:
    """Put the delivery's slices in the place of those it had before, and make the partitions concerned anew."""
    feed, day, version, zones = attempt.table.feed, attempt.day, attempt.version, lake.store.zones
    lease.check()
    table = lake.catalog.ensure(attempt.table, zones.clean_uri(zones.clean(feed)))
    new = _slices(lake, attempt, uploads)
    before = {s.partition for s in lake.ledger.slices_of_day(feed, day)}
    emptied = [Slice(partition, day, version) for partition in sorted(before - new.keys())]
    counted = {**_placed_versions(lake, feed), day: version}
    lease.check()
    lake.ledger.put_slices(feed, [*new.values(), *emptied])
    with lease.kept():
        made = [_make(lake, attempt, table, value, counted, work) for value in sorted(before | new.keys())]
    for each in made:
        _show(lake, lease, attempt, table, each)
    lease.check()
    rows = sum(s.rows for s in new.values())
    lake.ledger.put_placement(feed, attempt.placement("", rows, lake.ledger.now()))
    for each in made:
        follow(lake, lease, attempt.table, each.value)
    forget(lake, attempt)
    return attempt.outcome(Result.PUBLISHED, rows, tuple(each.flip for each in made), f"version {version}")


def stage(lake: Lake, lease: Lease, attempt: Attempt, uploads: list[Upload]) -> None:
    """Remember the slices of a version that :func:`place_together` will show; until then they count for nobody."""
    lease.check()
    feed, new = attempt.table.feed, _slices(lake, attempt, uploads)
    for part in lake.ledger.slices_of_day(feed, attempt.day):
        if part.version == attempt.version and part.partition not in new:
            lake.ledger.delete(feed, part)
    lake.ledger.put_slices(feed, new.values())


def place_together(lake: Lake, lease: Lease, attempts: Sequence[Attempt], work: Path) -> tuple[Flip, ...]:
    """Show staged versions, all of one table and under one hashing key, in the place of all that have another key.

    Every partition is made before readers are led to the first, and each is made under the new key alone: readers see a
    partition under the old key or under the new one. May be repeated after a crash at any point.

    Raises:
        TransientFailure: another delivery was published under another key meanwhile; it must be staged, too.
        PermanentFailure: files of a slice are gone.
    """
    first, zones = attempts[0], lake.store.zones
    feed, counted = first.table.feed, {attempt.day: attempt.version for attempt in attempts}
    placements = lake.ledger.placements(feed)
    others = [str(p.day) for p in placements if p.day not in counted and p.key_id != first.key_id]
    if others:
        raise TransientFailure(f"{feed}: {', '.join(others)} was published under another hashing key meanwhile")
    counted = {p.day: p.version for p in placements} | counted
    lease.check()
    table = lake.catalog.ensure(first.table, zones.clean_uri(zones.clean(feed)))
    values = sorted({s.partition for s in lake.ledger.all_slices(feed)})
    with lease.kept():
        made = [_make(lake, first, table, value, counted, work) for value in values]
    for each in made:
        _show(lake, lease, first, table, each)
    for attempt in attempts:
        lease.check()
        own = [s for s in lake.ledger.slices_of_day(feed, attempt.day) if s.version == attempt.version]
        lake.ledger.put_placement(feed, attempt.placement("", sum(s.rows for s in own), lake.ledger.now()))
    for each in made:
        follow(lake, lease, first.table, each.value)
    now_placed = _placed_versions(lake, feed)
    for part in lake.ledger.all_slices(feed):
        if part.version < now_placed.get(part.day, 0):
            lake.ledger.delete(feed, part)
    return tuple(each.flip for each in made)


def _slices(lake: Lake, attempt: Attempt, uploads: Iterable[Upload]) -> dict[str, Slice]:
    zones = lake.store.zones
    return {
        u.partition: Slice(
            u.partition,
            attempt.day,
            attempt.version,
            zones.clean_uri(u.prefix),
            u.rows,
            attempt.key_id,
            attempt.manifest,
        )
        for u in uploads
    }


def forget(lake: Lake, attempt: Attempt) -> None:
    """Delete the day's slices that can never count again, once partitions and path copies are without them."""
    feed = attempt.table.feed
    for part in lake.ledger.slices_of_day(feed, attempt.day):
        if part.version < attempt.version or (part.version == attempt.version and not part.location):
            lake.ledger.delete(feed, part)


def _placed_versions(lake: Lake, feed: str) -> dict[date, int]:
    return {placement.day: placement.version for placement in lake.ledger.placements(feed)}


def _make(lake: Lake, attempt: Attempt, table: Table, value: str, counted: Mapping[date, int], work: Path) -> _Made:
    """The partition from the slices that count, as the catalog is to have it; nothing is shown yet."""
    spec = attempt.table
    if lake.ledger.earlier_slices(spec.feed, value):
        raise PermanentFailure(
            f"table {spec.qualified}, partition {value!r}: the ledger keeps its slices in an earlier form; "
            "run `adplatform doctor --repair`"
        )
    known = lake.ledger.slices(spec.feed, value)
    slices = [s for s in known if s.location and counted.get(s.day) == s.version]
    _require_one_key(spec.qualified, value, slices)
    shown = lake.catalog.partition(spec, value)
    if not slices:
        return _Made(value, None, 0, shown is None)
    made_of = digest(",".join(spec.key), ",".join(spec.latest_by), *(s.location for s in slices))
    if shown is not None and shown.parameters.get("adplatform.slices") == made_of:
        return _Made(value, shown, int(shown.parameters["adplatform.rows"]), True)
    if len(slices) == 1:
        location, rows = slices[0].location, slices[0].rows
    elif spec.key:
        with TemporaryDirectory(dir=work) as directory:
            location, rows = _latest(lake, attempt, table, value, slices, Path(directory))
    else:
        location, rows = _union(lake, attempt, value, slices)
    parameters = {
        "adplatform.slices": made_of,
        "adplatform.deliveries": str(len(slices)),
        "adplatform.rows": str(rows),
        "adplatform.run": attempt.run_id,
        "adplatform.published_at": lake.ledger.now().isoformat(),
    }
    return _Made(value, Partition(value, location, parameters), rows, False)


def _require_one_key(table: str, value: str, slices: Iterable[Slice]) -> None:
    """Digests of two keys never meet: one person would be two rows, and joins would find half of them."""
    ids = sorted({s.key_id for s in slices if s.key_id})
    if len(ids) > 1:
        raise PermanentFailure(
            f"table {table}, partition {value!r}: its deliveries were hashed with different keys, "
            f"{' and '.join(ids)}; publish them all under one key with `adplatform keys rotate`"
        )


def _show(lake: Lake, lease: Lease, attempt: Attempt, table: Table, made: _Made) -> None:
    if made.shown:
        return
    lease.check()
    if made.partition is None:
        lake.catalog.delete_partition(attempt.table, made.value)
    else:
        lake.catalog.put_partition(attempt.table, table, made.partition)


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
