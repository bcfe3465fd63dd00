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
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from adplatform.failures import PermanentFailure
from adplatform.lake import formats
from adplatform.lake.attempt import (
    Attempt,
    Flip,
    Published,
    Result,
    Upload,
    Writer,
    location_key,
    note_shown,
    upload_files,
)
from adplatform.lake.catalog import Partition, Table
from adplatform.lake.entry import (
    DAY,
    DOCTOR,
    FEED,
    MANIFEST,
    PUBLISHED_AT,
    ROWS,
    RUN,
    SLICE_LIST,
    SLICES,
    VERSION,
    Settled,
    is_known,
    list_key,
    made_of,
    read_list,
    unknown,
    write_list,
)
from adplatform.lake.lake import Lake
from adplatform.lake.limited import limited
from adplatform.lake.merge import merge
from adplatform.lake.path_copy import follow_to
from adplatform.lake.store import Stored
from adplatform.lake.table import Named, TableSpec
from adplatform.ledger.keys import RotationState
from adplatform.ledger.leases import Lease
from adplatform.ledger.placements import Slice

_MERGED = "-merged"


@dataclass(frozen=True)
class Made:
    """A partition made of its slices. ``partition`` None: it has no rows. ``shown`` when the catalog has it already,
    ``replaces`` when it has another in its place."""

    value: str
    partition: Partition | None
    rows: int
    shown: bool
    replaces: bool = False

    @property
    def flip(self) -> Flip:
        return Flip(self.value, self.partition.location if self.partition else "", self.rows)


def placed(lake: Lake, attempt: Attempt, *, alone: bool) -> Published | None:
    """The outcome when the day's slices hold this version already, or a newer one; None when there is work to do.

    Raises:
        PermanentFailure: another settlement is placed under the attempt's number.
    """
    feed = attempt.table.feed
    own = lake.ledger.placements.slices_of_day(feed, attempt.day)
    placement = lake.ledger.placements.get(feed, attempt.day)
    complete = placement.version if placement else 0
    newest = max((complete, *(s.version for s in own)))
    if newest > attempt.version:
        note = f"version {newest} of the delivery of {attempt.day} came before this one"
        return attempt.outcome(Result.SUPERSEDED, 0, (), note)
    if placement is None or complete < attempt.version:
        return None
    seen = Settled(feed, attempt.day, placement.version, placement.manifest)
    if not seen.is_same(attempt.version, attempt.manifest):
        raise PermanentFailure(f"{unknown(attempt.table, '', seen)}. Nothing was replaced")
    flips = []
    for value in sorted({s.partition for s in own}):
        partition = formats.partition(lake, attempt.table, value)
        flips.append(_flip(partition) if partition else Flip(value, "", 0))
    rows = sum(s.rows for s in own if s.version == complete)
    note = f"readers see version {complete} of the delivery of {attempt.day}"
    return attempt.outcome(Result.ALREADY, rows, tuple(flips), note)


def place(lake: Lake, lease: Lease, attempt: Attempt, uploads: list[Upload], work: Path) -> Published:
    """Put the delivery's slices in the place of those it had before, and make the partitions concerned anew.

    Raises:
        PermanentFailure: a partition shows what the ledger does not know, or slices of another hashing key.
    """
    feed, day, version = attempt.table.feed, attempt.day, attempt.version
    table = ensure(lake, lease, attempt.table)
    new = slices_of(lake, attempt, uploads)
    before = {s.partition for s in lake.ledger.placements.slices_of_day(feed, day)}
    emptied = [Slice(partition, day, version) for partition in sorted(before - new.keys())]
    versions = placed_versions(lake, feed)
    lease.check(lake.call)
    lake.ledger.placements.put_slices(feed, [*new.values(), *emptied])
    with lease.kept(lake.call):
        made = [
            make(lake, attempt, table, value, {**versions, day: version}, work, seen=versions)
            for value in sorted(before | new.keys())
        ]
    show_all(lake, lease, attempt.table, table, made, {FEED: feed, **_summary(attempt)})
    rows = sum(s.rows for s in new.values())
    lease.check(lake.call)
    note_shown(lake, attempt, "", rows)
    for each in () if table.is_iceberg else made:
        follow_to(lake, lease, feed, table.partitions, each.value, each.partition)
    forget(lake, feed, lake.ledger.placements.slices_of_day(feed, day), {day: version})
    return attempt.outcome(Result.PUBLISHED, rows, tuple(each.flip for each in made), f"version {version}")


def slices_of(lake: Lake, attempt: Attempt, uploads: Iterable[Upload]) -> dict[str, Slice]:
    """What an attempt contributes to each partition."""
    uri, key_id, manifest = lake.store.zones.clean_uri, attempt.key_id, attempt.manifest
    return {
        u.partition: Slice(u.partition, attempt.day, attempt.version, uri(u.prefix), u.rows, key_id, manifest)
        for u in uploads
    }


def forget(lake: Lake, feed: str, slices: Iterable[Slice], versions: Mapping[date, int]) -> None:
    """Delete the slices that can never count again, once partitions and path copies are without them. ``versions`` are
    placed."""
    for part in slices:
        placed = versions.get(part.day, 0)
        if part.version < placed or (part.version == placed and not part.location):
            lake.ledger.placements.delete(feed, part)


def placed_versions(lake: Lake, feed: str) -> dict[date, int]:
    return {placement.day: placement.version for placement in lake.ledger.placements.of_feed(feed)}


def counting(slices: Iterable[Slice], versions: Mapping[date, int]) -> list[Slice]:
    """Those with rows, of the version that counts of their delivery."""
    return [s for s in slices if s.location and versions.get(s.day) == s.version]


def make(
    lake: Lake,
    writer: Writer,
    table: Table,
    value: str,
    versions: Mapping[date, int],
    work: Path,
    *,
    seen: Mapping[date, int],
) -> Made:
    """The partition from the slices of these ``versions``, as the catalog is to have it; nothing is shown yet.

    ``seen`` are the versions that readers see by all the ledger knows.

    Raises:
        PermanentFailure: it shows what the ledger does not know, slices have gone, or two hashing keys would meet.
    """
    spec = writer.table
    if lake.ledger.placements.earlier_slices(spec.feed, value):
        raise PermanentFailure(
            f"table {spec.qualified}, partition {value!r}: the ledger keeps its slices in an earlier form; "
            "`adplatform doctor --repair` changes that"
        )
    known = lake.ledger.placements.slices(spec.feed, value)
    slices = counting(known, versions)
    entry = formats.partition(lake, spec, value)
    if entry is not None:
        if slices and is_made_of(spec, entry, slices) and _lists(lake, spec.feed, entry, slices):
            return Made(value, entry, int(entry.parameters[ROWS]), True)
        if problem := unknown_in(lake, spec, entry, known, counting(known, seen)):
            raise PermanentFailure(f"{problem}. Nothing was replaced")
    if not slices:
        return Made(value, None, 0, entry is None)
    _require_one_key(lake, spec, value, slices)
    if entry is not None and is_made_of(spec, entry, slices):
        location, rows = entry.location, int(entry.parameters[ROWS])
    elif len(slices) == 1:
        location, rows = slices[0].location, slices[0].rows
    elif spec.key:
        with TemporaryDirectory(dir=work) as directory:
            location, rows = _latest(lake, writer, table, value, slices, Path(directory))
    else:
        location, rows = _union(lake, writer, value, slices)
    parameters = {
        SLICES: made_of(spec.key, spec.latest_by, slices),
        SLICE_LIST: write_list(lake.store, spec.feed, slices),
        "adplatform.deliveries": str(len(slices)),
        ROWS: str(rows),
        RUN: writer.run_id,
        PUBLISHED_AT: lake.ledger.now().isoformat(),
    }
    return Made(value, Partition(value, location, parameters), rows, False, replaces=entry is not None)


def require_makeable(lake: Lake, spec: TableSpec, value: str, slices: Sequence[Slice]) -> None:
    """Say before it is tried that a partition cannot be made of these slices.

    Raises:
        PermanentFailure: slices have gone, or two hashing keys would meet.
    """
    _require_one_key(lake, spec, value, slices)
    for part in slices:
        _objects(lake, part)


def is_made_of(spec: TableSpec, shown: Partition, slices: Sequence[Slice]) -> bool:
    return shown.parameters.get(SLICES) == made_of(spec.key, spec.latest_by, slices)


def unknown_in(lake: Lake, spec: TableSpec, shown: Partition, known: Iterable[Slice], seen: Sequence[Slice]) -> str:
    """What the partition shows that the ledger does not know; "" when it knows everything.

    ``known`` are all slices of the partition in the ledger, ``seen`` those that readers see by all it knows.
    """
    if SLICES not in shown.parameters or _lists(lake, spec.feed, shown, seen):
        return ""
    listed = read_list(lake.store, shown)
    if listed is None:
        if is_made_of(spec, shown, seen):
            return ""
        return (
            f"table {spec.qualified}, partition {shown.value!r}: it does not say which deliveries it shows, and they "
            f"are not those of the ledger; {DOCTOR}"
        )
    remembered = {(s.day, s.version, s.location) for s in known}
    for part in listed:
        if (part.day, part.version, part.location) not in remembered:
            each = Settled(spec.feed, part.day, part.version, part.manifest)
            if not is_known(lake.ledger, each):
                return unknown(spec, shown.value, each)
    return ""


def shows(lake: Lake, feed: str, table: Named, shown: Partition, slices: Sequence[Slice]) -> bool:
    """Whether readers of the partition see exactly these slices, merged by any rules."""
    if shown.parameters.get(SLICE_LIST):
        return _lists(lake, feed, shown, slices)
    return isinstance(table, TableSpec) and bool(slices) and is_made_of(table, shown, slices)


def _lists(lake: Lake, feed: str, shown: Partition, slices: Sequence[Slice]) -> bool:
    return bool(slices) and list_key(lake.store, feed, slices) == shown.parameters.get(SLICE_LIST)


def _require_one_key(lake: Lake, spec: TableSpec, value: str, slices: Iterable[Slice]) -> None:
    """Digests of two keys never meet: one person would be two rows, and joins would find half of them."""
    found = {s.key_id for s in slices}
    ids = sorted(found - {""})
    if "" in found and len(ids) == 1 and not _is_of_unrecorded(lake, spec, ids[0]):
        ids.append("an unknown one")
    if len(ids) > 1:
        raise PermanentFailure(
            f"table {spec.qualified}, partition {value!r}: its deliveries were hashed with different keys, "
            f"{' and '.join(ids)}; publish them all under one key with `adplatform keys rotate`"
        )


def _is_of_unrecorded(lake: Lake, spec: TableSpec, key_id: str) -> bool:
    """Whether rows whose key was not recorded count as made with this one. Those of a table that stays under its key
    do: which it is was decided when it was left there."""
    key, rotation = lake.ledger.keys.lake_key(), lake.ledger.keys.rotation(spec.feed)
    kept = rotation is not None and rotation.state is RotationState.KEPT and rotation.from_id == key_id
    return kept or key is None or key.is_of_unrecorded(key_id)


def ensure(lake: Lake, lease: Lease, spec: TableSpec) -> Table:
    """The table with the columns that are wanted. An Iceberg table is made, or gets them, by the commit that needs
    them."""
    if spec.is_iceberg:
        found = formats.table(lake, spec) or Table("", (), {"table_type": "ICEBERG"}, spec.partition_names)
        columns = {**dict(found.columns), **{column.name: column.type.hive for column in spec.columns}}
        return replace(found, columns=tuple(columns.items()))
    zones = lake.store.zones
    return lake.catalog.ensure(spec, zones.clean_uri(zones.clean(spec.feed)), lambda: lease.check(lake.call))


def show_all(
    lake: Lake,
    lease: Lease,
    spec: TableSpec,
    table: Table,
    made: Iterable[Made],
    summary: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Lead readers to what was made: one partition after the other, and all at once in an Iceberg table, where
    ``summary`` becomes part of the snapshot's."""
    check = partial(lease.check, lake.call)
    changes = {each.value: each for each in made if not each.shown}
    if spec.is_iceberg:
        entries = {value: each.partition for value, each in changes.items()}
        with lease.kept(lake.call):
            formats.show_in_iceberg(lake, spec, entries, check, summary=summary)
        return
    for each in changes.values():
        if each.partition is None:
            check()
            lake.catalog.delete_partition(spec, each.value)
        else:
            lake.catalog.put_partition(spec, table, each.partition, check, exists=each.replaces)


def _summary(attempt: Attempt) -> dict[str, str]:
    return {DAY: attempt.day.isoformat(), VERSION: str(attempt.version), MANIFEST: attempt.manifest}


def _latest(
    lake: Lake, writer: Writer, table: Table, value: str, slices: Sequence[Slice], work: Path
) -> tuple[str, int]:
    """Location and rows of the latest row per key."""
    with limited(lake.memory_limit, lake.threads, work) as connection:
        files = merge(
            [_download(lake, part, work / f"{number:05d}") for number, part in enumerate(slices)],
            [name for name, _ in table.columns],
            key=writer.table.key,
            latest_by=writer.table.latest_by,
            target=work / "merged",
            connection=connection,
        )
    merged = upload_files(lake, writer, value, files, work, _MERGED)
    return lake.store.zones.clean_uri(merged.prefix), merged.rows


def _download(lake: Lake, part: Slice, directory: Path) -> list[Path]:
    directory.mkdir()
    paths = []
    for stored in _objects(lake, part):
        paths.append(directory / Path(stored.key).name)
        lake.store.download(lake.store.zones.clean_bucket, stored.key, paths[-1])
    return paths


def _union(lake: Lake, writer: Writer, value: str, slices: Sequence[Slice]) -> tuple[str, int]:
    """Location and rows of all rows together. The service copies; no file is read here."""
    prefix = location_key(lake, writer, value, _MERGED)
    sources = {f"{prefix}{s.day}-{Path(o.key).name}": o for s in slices for o in _objects(lake, s)}
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
    return Flip(partition.value, partition.location, int(partition.parameters[ROWS]))
