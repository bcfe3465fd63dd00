"""The comparison of catalog and ledger: what readers see is what the ledger says they see.

A process that was taken for dead can still make the catalog show an older version, at any later time, and nobody
publishes a delivery again that the ledger calls published. What is certain is repaired: the ledger knows what the
catalog shows, and that something else is placed. A partition that is gone, or that somebody led elsewhere, is brought
back while its files are there; one that deliveries share is made anew. What is not certain is reported and left alone:
settlements that the ledger does not know, partitions that somebody else registered, and what is gone with its table or
its files, or from an Iceberg table, of which removal is a commit of somebody's.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake import formats
from adplatform.lake.attempt import Writer
from adplatform.lake.catalog import Partition, Table
from adplatform.lake.compacted import Part, base_of, make_date, placed_part, read_parts
from adplatform.lake.entry import (
    DOCTOR,
    SLICE_LIST,
    SLICES,
    Entry,
    delivery_feed,
    is_known,
    placement_of,
    provenance,
    settled,
    unknown,
)
from adplatform.lake.lake import Lake
from adplatform.lake.path_copy import follow
from adplatform.lake.slices import counting, make, placed_versions, require_makeable, shows, unknown_in
from adplatform.lake.slices import show_all as show_slices
from adplatform.lake.table import Named, TableSpec
from adplatform.lake.zones import JOINT
from adplatform.ledger.leases import Lease
from adplatform.ledger.placements import Placement, Slice

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compared:
    """Sentences. ``repaired``: readers saw something else than what is placed. ``unclear``: nobody may replace or
    remove anything before somebody has looked. ``missing``: the catalog does not show what is placed. ``noted``: the
    ledger had not noted yet what readers see. ``foreign``: what somebody else registered, which stays as it is."""

    repaired: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(astuple(self))

    @property
    def to_report(self) -> tuple[str, ...]:
        """What does not mend itself."""
        return (*self.unclear, *self.missing, *self.foreign)

    def still(self, later: "Compared") -> "Compared":
        """What a later comparison says too, for one that is made while publishers go on."""
        return Compared(
            *(
                tuple(sentence for sentence in before if sentence in after)
                for before, after in zip(astuple(self), astuple(later), strict=True)
            )
        )


@dataclass
class _Found:
    repaired: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Scene:
    """One table; nothing is written without a ``lease``."""

    lake: Lake
    lease: Lease | None
    feed: str
    table: Named
    shown: Table
    run_id: str
    found: _Found

    def where(self, value: str) -> str:
        named = f", partition {value.replace(JOINT, '/')!r}" if value else ""
        return f"table {self.table.database}.{self.table.name}{named}"


def compare(
    lake: Lake,
    lease: Lease | None,
    feed: str,
    table: Named,
    *,
    run_id: str,
    temp: Path | None = None,
    values: Iterable[str] | None = None,
    scopes: Iterable[str] = (),
) -> Compared:
    """Compare some partitions, or the whole table, and repair what is certain; without a ``lease`` only say what would
    be repaired.

    ``values`` are partitions, None for all: then ``scopes`` names those of which the catalog may show nothing. Slices
    are merged below ``temp``, for which ``table`` must be a :class:`TableSpec`. Without a table all agrees, unless
    something is placed.

    Raises:
        TransientFailure: the lease was lost.
    """
    seen = formats.table(lake, table)
    if seen is None:
        return _without_table(lake, feed, table, scopes)
    scene = _Scene(lake, lease, feed, table, seen, run_id, _Found())
    if not seen.partitions:
        _compare_whole(scene)
    elif seen.shared_by:
        with TemporaryDirectory(dir=temp) as work:
            _compare_together(scene, None if values is None else sorted(values), scopes, Path(work))
    elif seen.partitions[0] == DELIVERY_DATE:
        _compare_days(scene, None if values is None else sorted(values), scopes)
    else:
        with TemporaryDirectory(dir=temp) as work:
            _compare_shared(scene, None if values is None else sorted(values), Path(work))
    found = scene.found
    return Compared(*(tuple(sentences) for sentences in astuple(found)))


def look_again(lake: Lake, table: TableSpec, values: Callable[[], Iterable[str]], *, run_id: str, temp: Path) -> None:
    """After a failure of an attempt, which may have written what it knows nothing of, while others published: compare
    what these partitions show. A failure of that is logged."""
    try:
        concerned = values()
        with lake.alone(table.feed, run_id) as lease:
            compared = compare(lake, lease, table.feed, table, values=concerned, run_id=run_id, temp=temp)
    except (PermanentFailure, TransientFailure, BotoCoreError, ClientError) as e:
        log.warning("%s: catalog and ledger could not be compared after a failure: %s", table.qualified, e)
        return
    for repaired in compared.repaired:
        log.warning("%s", repaired)


def _without_table(lake: Lake, feed: str, table: Named, scopes: Iterable[str]) -> Compared:
    names = [feed, *(delivery_feed(feed, f"{JOINT}{scope}") for scope in scopes)]
    placed = [each for name in names for each in lake.ledger.placements.of_feed(name) if each.rows]
    if not placed:
        return Compared()
    sentence = (
        f"table {table.database}.{table.name}: the ledger says that readers see {len(placed)} deliveries, the catalog "
        f"does not have the table; `adplatform doctor --repair` has them published anew"
    )
    return Compared(missing=(sentence,))


def _entries(scene: _Scene, values: Iterable[str] | None) -> dict[str, Partition]:
    where = scene.lake, scene.table, scene.shown
    found = formats.partitions(*where) if values is None else formats.some_partitions(*where, values)
    return {partition.value: partition for partition in found}


def _compare_whole(scene: _Scene) -> None:
    """A table that each delivery replaces: readers see the newest."""
    placement = max(scene.lake.ledger.placements.of_feed(scene.feed), key=lambda p: p.day, default=None)

    def move(location: str, parameters: Mapping[str, str], check: Callable[[], None]) -> None:
        formats.move(scene.lake, scene.table, scene.shown, Partition("", location, parameters), check)

    _compare_entry(scene, "", scene.shown, placement, move)


def _compare_days(scene: _Scene, values: Iterable[str] | None, scopes: Iterable[str]) -> None:
    ledger = scene.lake.ledger
    entries = _entries(scene, values)
    placements: dict[str, Placement] = {}
    if values is None:
        suffixes = {value.partition(JOINT)[2] for value in entries} | set(scopes)
        for scope in suffixes or {""}:
            joined = f"{JOINT}{scope}" if scope else ""
            for each in ledger.placements.of_feed(delivery_feed(scene.feed, joined)):
                placements[f"{each.day}{joined}"] = each
    else:
        for value in values:
            day = date.fromisoformat(value.partition(JOINT)[0])
            if (placement := ledger.placements.get(delivery_feed(scene.feed, value), day)) is not None:
                placements[value] = placement
    for value in sorted(entries.keys() | placements.keys()):
        _compare_day(scene, value, entries.get(value), placements.get(value))


def _compare_day(scene: _Scene, value: str, partition: Partition | None, placement: Placement | None) -> None:
    def move(location: str, parameters: Mapping[str, str], check: Callable[[], None]) -> None:
        formats.move(scene.lake, scene.table, scene.shown, Partition(value, location, parameters), check)
        _follow(scene, value)

    if partition is not None:
        _compare_entry(scene, value, partition, placement, move)
    elif placement is not None and not scene.shown.is_iceberg and _has_files(scene, placement):
        scene.found.repaired.append(
            f"{scene.where(value)}: the catalog did not have it; readers see version {placement.version} again"
        )
        _lead(scene, placement, move)
    elif placement is not None:
        scene.found.missing.append(
            f"{scene.where(value)}: the ledger says that readers see version {placement.version}, the catalog does not "
            f"have it; {DOCTOR}"
        )


def _compare_entry(
    scene: _Scene,
    value: str,
    entry: Entry,
    placement: Placement | None,
    move: Callable[[str, Mapping[str, str], Callable[[], None]], None],
) -> None:
    lake, found = scene.lake, scene.found
    seen = settled(scene.feed, entry)
    if seen is None:
        _compare_foreign(scene, value, entry, placement, move)
        return
    same = placement is not None and seen.day == placement.day and seen.is_same(placement.version, placement.manifest)
    if placement is not None and same and placement.location in ("", entry.location):
        return
    if not same and not is_known(lake.ledger, seen):
        found.unclear.append(unknown(scene.table, value, seen))
        return
    if placement is None or (not same and (placement.day, placement.version) < (seen.day, seen.version)):
        found.noted.append(f"{scene.where(value)}: readers see {seen}")
        if scene.lease is not None:
            lake.ledger.placements.put(seen.feed, placement_of(seen, entry, lake.ledger.now()))
        return
    wanted = f"version {placement.version} of the delivery of {placement.day}"
    # Of a version without rows an Iceberg table has no file.
    empty = scene.shown.is_iceberg and placement.location and not placement.rows
    if not empty and not _has_files(scene, placement):
        found.unclear.append(
            f"{scene.where(value)}: readers see {seen}; {placement.location}, where {wanted} was, is empty; {DOCTOR}"
        )
        return
    found.repaired.append(f"{scene.where(value)}: readers saw {seen} at {entry.location} instead of {wanted}")
    _lead(scene, placement, move)


def _compare_foreign(
    scene: _Scene,
    value: str,
    entry: Entry,
    placement: Placement | None,
    move: Callable[[str, Mapping[str, str], Callable[[], None]], None],
) -> None:
    """An entry that says nothing of a delivery: somebody made it, or made it anew."""
    if placement is not None and _has_files(scene, placement):
        scene.found.repaired.append(
            f"{scene.where(value)}: readers saw what somebody registered at {entry.location} instead of version "
            f"{placement.version} of the delivery of {placement.day}"
        )
        _lead(scene, placement, move)
    elif value:
        scene.found.foreign.append(_foreign(scene, value, entry))


def _foreign(scene: _Scene, value: str, entry: Entry) -> str:
    return (
        f"{scene.where(value)}: somebody registered {entry.location}, which the ledger does not know; it stays as it "
        "is. Remove it from the catalog if it is not meant to be read"
    )


def _has_files(scene: _Scene, placement: Placement | Part) -> bool:
    zones, store = scene.lake.store.zones, scene.lake.store
    files = store.listing(zones.clean_bucket, zones.clean_key(placement.location)) if placement.location else ()
    return any(True for _ in files)


def _lead(
    scene: _Scene, placement: Placement, move: Callable[[str, Mapping[str, str], Callable[[], None]], None]
) -> None:
    if scene.lease is not None:
        parameters = provenance(placement, scene.run_id, scene.lake.ledger.now().isoformat())
        move(placement.location, parameters, _check(scene, scene.lease))


def _compare_together(scene: _Scene, values: Iterable[str] | None, scopes: Iterable[str], work: Path) -> None:
    """A table whose scopes share a date. ``values`` are of deliveries, with their scopes."""
    ledger, store = scene.lake.ledger, scene.lake.store
    asked: dict[str, dict[str, Placement | None]] = {}
    if values is None:
        entries = _entries(scene, None)
        shown = {value: read_parts(store, entry) or {} for value, entry in entries.items()}
        asked = {value: dict.fromkeys(parts) for value, parts in shown.items()}
        for scope in {*scopes, *(scope for parts in shown.values() for scope in parts)}:
            for each in ledger.placements.of_feed(delivery_feed(scene.feed, f"{JOINT}{scope}")):
                asked.setdefault(each.day.isoformat(), {})[scope] = each
    else:
        for value, _, scope in (each.partition(JOINT) for each in values):
            name = delivery_feed(scene.feed, f"{JOINT}{scope}")
            asked.setdefault(value, {})[scope] = ledger.placements.get(name, date.fromisoformat(value))
        entries = _entries(scene, sorted(asked))
    for value, placed in sorted(asked.items()):
        _compare_date(scene, date.fromisoformat(value), entries.get(value), placed, work)


def _compare_date(
    scene: _Scene, day: date, entry: Partition | None, placed: Mapping[str, Placement | None], work: Path
) -> None:
    """The partition of a date with what is ``placed`` of the scopes that are asked for."""
    lake, found, value = scene.lake, scene.found, day.isoformat()
    if entry is not None and SLICE_LIST not in entry.parameters and not any(placed.values()):
        found.foreign.append(_foreign(scene, value, entry))
        return
    try:
        base = base_of(lake, f"{scene.table.database}.{scene.table.name}", entry)
    except PermanentFailure as e:
        found.unclear.append(str(e))
        return
    behind: dict[str, Part] = {}
    for scope, placement in sorted(placed.items()):
        part, where = base.parts.get(scope), f"{value}{JOINT}{scope}"
        seen = part.settled(scene.feed, day) if part else None
        same = seen is not None and placement is not None and seen.is_same(placement.version, placement.manifest)
        if seen is not None and not same and not is_known(lake.ledger, seen):
            found.unclear.append(unknown(scene.table, where, seen))
        elif part and seen and (placement is None or placement.version < seen.version):
            found.noted.append(f"{scene.where(where)}: readers see {seen}")
            if scene.lease is not None:
                lake.ledger.placements.put(seen.feed, part.placement(day, lake.ledger.now()))
        elif placement and not (part and same and part.location == placement.location):
            behind[scope] = placed_part(scope, placement)
    if not behind:
        return
    lost = [scope for scope, part in behind.items() if part.rows and not _has_files(scene, part)]
    if lost:
        sentences = found.missing if entry is None else found.unclear
        sentences.append(
            f"{scene.where(value)}: files of {', '.join(lost)}, which readers are to see, are gone; {DOCTOR}"
        )
        return
    sentence = f"{scene.where(value)}: readers saw other versions of {', '.join(behind)} than are placed"
    if scene.lease is not None:
        wanted = {**base.parts, **behind}
        try:
            with scene.lease.kept(lake.call):
                made = make_date(lake, scene.feed, scene.shown, day, base, wanted, work, run_id=scene.run_id)
        except PermanentFailure as e:
            found.unclear.append(str(e))
            return
        formats.move(lake, scene.table, scene.shown, made.partition, _check(scene, scene.lease))
        _follow(scene, value)
    found.repaired.append(sentence)


def _compare_shared(scene: _Scene, values: Iterable[str] | None, work: Path) -> None:
    ledger = scene.lake.ledger
    versions = placed_versions(scene.lake, scene.feed)
    entries = _entries(scene, values)
    known: dict[str, list[Slice]] = {}
    if values is None:
        for part in ledger.placements.all_slices(scene.feed):
            known.setdefault(part.partition, []).append(part)
        earlier = {part.partition for part in ledger.placements.earlier_slices(scene.feed)}
    else:
        known = {value: ledger.placements.slices(scene.feed, value) for value in values}
        earlier = {value for value in known if ledger.placements.earlier_slices(scene.feed, value)}
    for value in sorted(entries.keys() | known.keys() | earlier):
        if value in earlier:
            scene.found.unclear.append(f"{scene.where(value)}: the ledger keeps slices in an earlier form; {DOCTOR}")
        else:
            _compare_partition(scene, value, entries.get(value), known.get(value, []), versions, work)


def _compare_partition(
    scene: _Scene,
    value: str,
    partition: Partition | None,
    known: list[Slice],
    versions: Mapping[date, int],
    work: Path,
) -> None:
    lake, lease, spec, found = scene.lake, scene.lease, scene.table, scene.found
    slices = counting(known, versions)
    if partition is None and not slices:
        return
    if partition is not None and SLICES not in partition.parameters:
        found.foreign.append(_foreign(scene, value, partition))
        return
    if partition is not None and shows(lake, scene.feed, spec, partition, slices):
        return
    if not isinstance(spec, TableSpec):
        found.unclear.append(f"{scene.where(value)}: readers see other slices than those that are placed; {DOCTOR}")
        return
    if partition is not None and (problem := unknown_in(lake, spec, partition, known, slices)):
        found.unclear.append(problem)
        return
    last = f", the last of {slices[-1].day}" if slices else ""
    sentence = f"{scene.where(value)}: readers saw other slices than the {len(slices)} that are placed{last}"
    try:
        require_makeable(lake, spec, value, slices)
    except PermanentFailure as e:
        found.unclear.append(str(e))
        return
    if lease is None:
        found.repaired.append(sentence)
        return
    try:
        writer = Writer(spec, scene.run_id, f"repair-{lake.token()}", field_ids=formats.field_ids(lake, spec))
        with lease.kept(lake.call):
            made = make(lake, writer, scene.shown, value, versions, work, seen=versions)
    except PermanentFailure as e:
        found.unclear.append(str(e))
        return
    show_slices(lake, lease, spec, scene.shown, [made])
    _follow(scene, value)
    found.repaired.append(sentence)


def _follow(scene: _Scene, value: str) -> None:
    if scene.lease is not None and not scene.shown.is_iceberg:
        follow(scene.lake, scene.lease, scene.feed, scene.table, scene.shown.partitions, value)


def _check(scene: _Scene, lease: Lease) -> Callable[[], None]:
    return lambda: lease.check(scene.lake.call)
