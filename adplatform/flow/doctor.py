"""Restoring the ledger from what survives it: the catalog, the manifests of settled versions, and the raw zone.

A ledger that was lost, or restored from an older backup, does not know versions that readers see. Nothing is replaced
meanwhile (``adplatform.lake.entry``). What a delivery was is written elsewhere, too: its manifest lists the objects of
each version, the archive holds them, and the catalog says which version readers see. From these its rows are made
again, so that what arrived since becomes the next version, beside the objects that were published before.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from adplatform.aws_errors import aws_failures
from adplatform.contracts.model import DELIVERY_DATE
from adplatform.flow.services import Services
from adplatform.flow.settling import located, manifests_of, read_settlement
from adplatform.flow.source import FeedFlow
from adplatform.lake.catalog import Partition
from adplatform.lake.entry import PUBLISHED_AT, ROWS, SLICES, Settled, is_known, read_list, settled
from adplatform.lake.table import Named, table_name
from adplatform.ledger.rows import (
    DeliveryState,
    ObjectState,
    Placement,
    Publication,
    RawObject,
    Slice,
    digest,
)

RESTORED = "restored from catalog, manifest and archive; superseded rows were not counted again"
_TRIES = 5


Entry = Mapping[str, Any]


@dataclass(frozen=True)
class ExaminedTable:
    """A table to look at. ``scoped`` gives the feed of one scope's deliveries where the table has scopes."""

    flow: FeedFlow
    scoped: Callable[[str], FeedFlow] | None = None

    def delivered(self, name: str) -> FeedFlow:
        """The feed that the ledger calls ``name``."""
        scope = name.removeprefix(f"{self.flow.table}/") if name != self.flow.table else ""
        return self.scoped(scope) if self.scoped and scope else self.flow


@dataclass(frozen=True)
class Difference:
    """Something that ledger, catalog and raw zone do not agree on, and what was or can be done."""

    feed: str
    day: date | None
    problem: str
    remedy: str
    repaired: bool = False


@dataclass
class _Seen:
    """What readers see of one delivery. A delivery of a table that is partitioned by a column may be seen in several
    versions when it was interrupted."""

    versions: list[Settled] = field(default_factory=list)
    location: str = ""
    rows: int = 0
    published_at: datetime | None = None
    key_id: str = ""
    slices: list[Slice] = field(default_factory=list)

    @property
    def newest(self) -> Settled | None:
        return max(self.versions, key=lambda each: each.version, default=None)


@dataclass(frozen=True)
class _Manifest:
    """One settled version as the raw zone remembers it."""

    version: int
    key: str
    settled_at: datetime
    because: str
    entries: Sequence[Entry]


def examine(services: Services, table: ExaminedTable, run_id: str, *, repair: bool) -> list[Difference]:
    """What differs between ledger, catalog and raw zone for one table; with ``repair`` the ledger is restored, under
    the lease of the table's publishers. What agrees is not touched, so it may be repeated after a crash at any point.

    Raises:
        PermanentFailure, TransientFailure: AWS does not allow it or does not answer, or another run holds the table.
    """
    with aws_failures(f"the ledger of {table.flow.table}"):
        if not repair:
            return list(_examined(services, table, repair=False))
        with services.lake.alone(table.flow.table, run_id) as lease, lease.kept():
            return list(_examined(services, table, repair=True))


def _examined(services: Services, table: ExaminedTable, *, repair: bool) -> Iterator[Difference]:
    named = table_name(table.flow.table, services.settings.database_prefix)
    yield from _earlier_slices(services, table.flow, repair=repair)
    seen: dict[tuple[str, date], _Seen] = {}
    yield from _look(services, table.flow, named, seen)
    highest = _highest_manifests(services, table)
    for name, day in sorted(seen.keys() | highest.keys()):
        shown = seen.get((name, day), _Seen())
        if not _agrees(services, table.delivered(name), day, shown, highest.get((name, day), 0)):
            restoring = _Restoring(services, table.delivered(name), day, shown, f"{named.database}.{named.name}")
            yield from restoring.run(repair=repair)


def _earlier_slices(services: Services, flow: FeedFlow, *, repair: bool) -> Iterator[Difference]:
    earlier = services.ledger.earlier_slices(flow.table)
    if not earlier:
        return
    if repair:
        for part in earlier:
            services.ledger.upgrade_slice(flow.table, part)
    problem = f"{len(earlier)} slices have keys of an earlier release"
    yield Difference(flow.table, None, problem, "they get keys of this release", repair)


# -- what readers see


def _look(
    services: Services, flow: FeedFlow, named: Named, seen: dict[tuple[str, date], _Seen]
) -> Iterator[Difference]:
    """Fill ``seen`` from the catalog; what it shows without saying of which deliveries is a difference."""
    table = services.lake.catalog.table(named)
    if table is None:
        return
    if not table.partitions:
        _add(seen, settled(flow.table, table), table.location, table.parameters)
        return
    for partition in services.lake.catalog.partitions(named):
        if SLICES not in partition.parameters:
            _add(seen, settled(flow.table, partition), partition.location, partition.parameters)
            continue
        slices = read_list(services.store, partition)
        if slices is None:
            slices = _only_slice(services, flow, partition)
        if slices is None:
            if not _is_remembered(services, flow, partition):
                problem = f"partition {partition.value!r} does not say of which deliveries its rows are"
                yield Difference(flow.table, None, problem, "publish its deliveries again: `adplatform retry`")
            continue
        for part in slices:
            _add(
                seen,
                Settled(flow.table, part.day, part.version, part.manifest),
                "",
                partition.parameters,
                replace(part, partition=partition.value),
            )


def _add(
    seen: dict[tuple[str, date], _Seen],
    shown: Settled | None,
    location: str,
    parameters: Mapping[str, str],
    part: Slice | None = None,
) -> None:
    if shown is None:
        return
    delivery = seen.setdefault((shown.feed, shown.day), _Seen())
    delivery.versions.append(shown)
    delivery.location = location
    delivery.rows += part.rows if part else int(parameters.get(ROWS, 0))
    if PUBLISHED_AT in parameters:
        delivery.published_at = datetime.fromisoformat(parameters[PUBLISHED_AT])
    if part:
        delivery.slices.append(part)


def _only_slice(services: Services, flow: FeedFlow, partition: Partition) -> list[Slice] | None:
    """The slice of a partition that shows the files of one delivery, whose location begins with date and version."""
    if partition.parameters.get("adplatform.deliveries") != "1":
        return None
    token = services.zones.clean_key(partition.location).removeprefix(services.zones.versions(flow.table))
    day, version = token[:10], token[11:15]
    rows = int(partition.parameters[ROWS])
    return [Slice(partition.value, date.fromisoformat(day), int(version), partition.location, rows)]


def _is_remembered(services: Services, flow: FeedFlow, partition: Partition) -> bool:
    """Whether the ledger has as many deliveries with rows in the partition as it shows."""
    versions = {placement.day: placement.version for placement in services.ledger.placements(flow.table)}
    known = services.ledger.slices(flow.table, partition.value)
    counted = [part for part in known if part.location and versions.get(part.day) == part.version]
    return str(len(counted)) == partition.parameters.get("adplatform.deliveries")


# -- what the raw zone remembers


def _highest_manifests(services: Services, table: ExaminedTable) -> dict[tuple[str, date], int]:
    """The highest number of a manifest of each feed and date of the table."""
    below = f"manifests/{table.flow.table}/"
    found: dict[tuple[str, date], int] = {}
    for stored in services.store.listing(services.zones.raw_bucket, below):
        *scope, folder, name = stored.key.removeprefix(below).split("/")
        if folder.startswith(f"{DELIVERY_DATE}=") and len(scope) == (1 if table.scoped else 0):
            key = ("/".join([table.flow.table, *scope]), date.fromisoformat(folder.removeprefix(f"{DELIVERY_DATE}=")))
            found[key] = max(found.get(key, 0), int(name[1:].partition("-")[0]))
    return found


def _agrees(services: Services, flow: FeedFlow, day: date, seen: _Seen, highest_manifest: int) -> bool:
    """Whether the ledger knows all that readers see of the delivery or, where they see nothing, every manifest."""
    ledger = services.ledger
    if seen.newest is None:
        return _highest_published(services, flow, day) >= highest_manifest
    if ledger.delivery(flow.name, day).version < seen.newest.version:
        return False
    if not all(is_known(ledger, each) for each in seen.versions):
        return False
    known = {(s.partition, s.location) for s in ledger.slices_of_day(flow.table, day)} if seen.slices else set()
    return all((s.partition, s.location) in known for s in seen.slices)


def _highest_published(services: Services, flow: FeedFlow, day: date) -> int:
    versions = services.ledger.publications(flow.name, day)
    return max((v.version for v in versions if v.state is DeliveryState.PUBLISHED), default=0)


# -- one delivery


@dataclass(frozen=True)
class _Restoring:
    """One delivery that the ledger does not know as it is."""

    services: Services
    flow: FeedFlow
    day: date
    seen: _Seen
    table: str

    def run(self, *, repair: bool) -> Iterator[Difference]:
        manifests, archived = self._manifests(), self._archived()
        chosen = self._chosen(manifests, archived)
        if chosen is None:
            if (newest := self.seen.newest) is not None:
                problem = f"readers see version {newest.version}, which the ledger does not know; its manifest is gone"
                yield self._difference(problem, "have its files sent again; until then readers see what they see")
            return
        how = "readers see it" if self.seen.versions else "it was archived"
        problem = f"the ledger does not know version {chosen.version} as {how}"
        if self.services.ledger.delivery(self.flow.name, self.day).state is DeliveryState.RUNNING:
            yield self._difference(problem, "a run works on the date: look again when it has ended")
            return
        lost = [entry["key"] for entry in chosen.entries if not self._is_there(entry, archived)]
        if lost:
            text = (
                f"{len(lost)} of the {len(chosen.entries)} files of version {chosen.version} are gone, first {lost[0]}"
            )
            yield self._difference(text, "have them sent again before anything else changes that date")
        restored = repair and any(self._restored(chosen, manifests, archived) for _ in range(_TRIES))
        remedy = f"version {chosen.version} is restored" if restored else "`adplatform doctor --repair` restores it"
        yield self._difference(problem, remedy, restored)

    def _difference(self, problem: str, remedy: str, repaired: bool = False) -> Difference:
        return Difference(self.flow.name, self.day, problem, remedy, repaired)

    def _manifests(self) -> list[_Manifest]:
        s3, zones = self.services.s3, self.services.zones
        found = []
        for number, key in manifests_of(s3, zones, self.flow.name, self.day):
            document = read_settlement(s3, zones, key)
            at = document.get("settled_at")
            settled_at = datetime.fromisoformat(at) if at else self._written_at(key)
            found.append(_Manifest(number, key, settled_at, document["because"], document["objects"]))
        return found

    def _written_at(self, key: str) -> datetime:
        head = self.services.s3.head_object(Bucket=self.services.zones.raw_bucket, Key=key)
        return head["LastModified"]  # type: ignore[no-any-return]

    def _archived(self) -> set[str]:
        prefix = self.services.zones.archive(self.flow.name, self.day, self.flow.archive)
        return {stored.key for stored in self.services.store.listing(self.services.zones.raw_bucket, prefix)}

    def _archive_key(self, key: str, version: str) -> str:
        folder = self.services.zones.archive(self.flow.name, self.day, self.flow.archive)
        return f"{folder}{digest(key, version)}/{PurePosixPath(key).name}"

    def _chosen(self, manifests: Sequence[_Manifest], archived: Collection[str]) -> _Manifest | None:
        """The version that readers see or, where they see nothing of the delivery, the newest whose objects were
        archived and that the ledger does not know; None when there is none."""
        shown = self.seen.newest
        if shown is not None:
            named = [m for m in manifests if m.version == shown.version and shown.manifest in ("", m.key)]
            return max(named, key=lambda m: m.settled_at, default=None)
        highest = _highest_published(self.services, self.flow, self.day)
        unknown = [m for m in manifests if m.version > highest and m.entries]
        closed = [m for m in unknown if all(self._archive_key(e["key"], e["version"]) in archived for e in m.entries)]
        return max(closed, key=lambda m: (m.version, m.settled_at), default=None)

    def _is_there(self, entry: Entry, archived: Collection[str]) -> bool:
        if self._archive_key(entry["key"], entry["version"]) in archived:
            return True
        try:
            self.services.s3.head_object(**located(self._object(entry, 0, archived, self.day_end)))
        except ClientError as e:
            if e.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 405):
                return False
            raise
        return True

    @property
    def day_end(self) -> datetime:
        return datetime.combine(self.day, datetime.max.time(), UTC)

    def _restored(self, chosen: _Manifest, manifests: Sequence[_Manifest], archived: Collection[str]) -> bool:
        """Make the rows of the delivery again; False when it changed meanwhile. The delivery and the version that is
        seen come last, in one write, so a crash before leaves them as unknown as they were."""
        ledger, name = self.services.ledger, self.flow.name
        before = ledger.delivery(name, self.day)
        settled_objects, pending = self._objects(chosen, manifests, archived)
        # What readers see counts as placed under one version, whatever was interrupted; the next one replaces it all.
        interrupted = len({each.version for each in self.seen.versions}) > 1
        highest = max(chosen.version, before.version, *(m.version for m in manifests))
        delivery = replace(
            before,
            state=DeliveryState.PUBLISHED,
            arrivals=len(settled_objects) + len(pending) + interrupted,
            settled_arrivals=len(settled_objects),
            version=highest,
            published=chosen.version,
            run_id="",
            manifest_key=chosen.key,
            settled_at=chosen.settled_at,
            settled_because=chosen.because,
            error="",
            permanent=False,
        )
        known = {row.version for row in ledger.publications(name, self.day)}
        others = {m.version: m for m in sorted(manifests, key=lambda m: m.settled_at) if m.version != chosen.version}
        history = [
            self._history(number, others.get(number), chosen)
            for number in range(1, highest + 1)
            if number != chosen.version and number not in known
        ]
        slices = [replace(part, version=chosen.version) for part in self.seen.slices]
        rows: list[RawObject | Publication | Slice] = [*settled_objects, *pending, *history, *slices]
        ledger.put_rows(name, rows)
        if self.seen.versions:
            ledger.put_placement(name, self._placement(chosen))
        return ledger.restore_delivery(name, before, delivery, self._publication(chosen))

    def _objects(
        self, chosen: _Manifest, manifests: Sequence[_Manifest], archived: Collection[str]
    ) -> tuple[list[RawObject], list[RawObject]]:
        """The objects that belong to versions, numbered from 1, and behind them those that wait for the next one."""
        present = {(o.key, o.version): o for o in self.services.ledger.objects(self.flow.name, self.day)}
        own = {(e["key"], e["version"]): e for e in chosen.entries}
        settled_objects = [
            self._object(entry, number, archived, chosen.settled_at) for number, entry in enumerate(own.values(), 1)
        ]
        names = {key for key, _ in own}
        elsewhere = {(e["key"], e["version"]): e for m in manifests for e in m.entries if e["key"] not in names}
        for key, version in elsewhere.keys() - own.keys() - present.keys():
            if self._archive_key(key, version) in archived:
                left_out = self._object(elsewhere[key, version], len(settled_objects) + 1, archived, chosen.settled_at)
                reason = f"not among the files of version {chosen.version}"
                settled_objects.append(replace(left_out, state=ObjectState.EXCLUDED, reason=reason))
        arrived = [o for place, o in present.items() if place not in own and o.state is ObjectState.ARRIVED]
        for each in arrived:
            if each.archived_key:
                settled_objects.append(replace(each, number=len(settled_objects) + 1))
        waiting = sorted((o for o in arrived if not o.archived_key), key=lambda o: o.number)
        return settled_objects, [replace(o, number=len(settled_objects) + n) for n, o in enumerate(waiting, 1)]

    def _object(self, entry: Entry, number: int, archived: Collection[str], settled_at: datetime) -> RawObject:
        place = self._archive_key(entry["key"], entry["version"])
        modified = entry.get("last_modified")
        return RawObject(
            day=self.day,
            bucket=entry["bucket"],
            key=entry["key"],
            version=entry["version"],
            size=entry["size"],
            etag=entry["etag"],
            last_modified=datetime.fromisoformat(modified) if modified else settled_at.replace(microsecond=0),
            number=number,
            seen_at=settled_at,
            seen_by="doctor",
            archived_key=place if place in archived else "",
        )

    def _placement(self, chosen: _Manifest) -> Placement:
        seen = self.seen
        at = seen.published_at or chosen.settled_at
        return Placement(self.day, chosen.version, chosen.key, seen.location, seen.rows, seen.key_id, at)

    def _publication(self, chosen: _Manifest) -> Publication:
        quarantine_key, quarantined = self._quarantined(chosen.version)
        return Publication(
            day=self.day,
            version=chosen.version,
            objects=len(chosen.entries),
            manifest_key=chosen.key,
            settled_at=chosen.settled_at,
            settled_because=chosen.because,
            state=DeliveryState.PUBLISHED,
            rows_in=self.seen.rows + quarantined,
            clean=self.seen.rows,
            quarantined=quarantined,
            table=self.table if self.seen.versions else "",
            locations=(self.seen.location,) if self.seen.location else (),
            quarantine_key=quarantine_key,
            finished_at=self.seen.published_at,
            note=RESTORED,
        )

    def _quarantined(self, version: int) -> tuple[str, int]:
        """Key and number of the version's quarantined rows."""
        bucket = self.services.zones.raw_bucket
        key = f"{self.services.zones.quarantine(self.flow.name, self.day)}rows-{version:04d}.parquet"
        if not any(stored.key == key for stored in self.services.store.listing(bucket, key)):
            return "", 0
        with TemporaryDirectory() as directory:
            path = Path(directory) / "rows.parquet"
            self.services.store.download(bucket, key, path)
            return key, pq.read_metadata(path).num_rows

    def _history(self, number: int, manifest: _Manifest | None, chosen: _Manifest) -> Publication:
        """A version that readers do not see. Versions are numbered without a gap, so each has a row."""
        return Publication(
            day=self.day,
            version=number,
            objects=len(manifest.entries) if manifest else 0,
            manifest_key=manifest.key if manifest else "",
            settled_at=manifest.settled_at if manifest else chosen.settled_at,
            settled_because=manifest.because if manifest else "",
            state=DeliveryState.SETTLED,
            note=f"{RESTORED}; what became of it is not known",
        )
