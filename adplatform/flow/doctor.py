"""The ledger examined against what the catalog, the manifests and the raw zone know, and given back what it lacks.

The ledger may have been lost, or restored from a backup that knows less than readers see. What readers see is what
counts: the settlement that an entry of the catalog names was published, its objects are those of its manifest. Objects
that came later wait for the next version, which holds them and the others together; a delivery that readers see only
a part of is made due again. A delivery on which all agree is never touched.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from adplatform.flow.arrivals import Arrivals
from adplatform.flow.close import archive_key, is_there
from adplatform.flow.collection import named_table, tables_of
from adplatform.flow.services import Services
from adplatform.flow.settling import Settler
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.transforming import transforming
from adplatform.flow.version import manifests_of, read_settlement
from adplatform.lake import formats
from adplatform.lake.agreement import Compared, compare
from adplatform.lake.compacted import read_parts
from adplatform.lake.entry import placement_of, settled
from adplatform.lake.evidence import has_rows, shown_slices
from adplatform.lake.table import Named, TableSpec
from adplatform.ledger.delivery import BUSY, Delivery, DeliveryState
from adplatform.ledger.leases import Lease
from adplatform.ledger.objects import ObjectState, RawObject
from adplatform.ledger.placements import Placement, Slice
from adplatform.ledger.publications import Publication
from adplatform.platform.aws_errors import aws_failures

SEEN_BY = "doctor"
_TRIES = 5
_WORKING = (*BUSY, DeliveryState.FAILED)


@dataclass(frozen=True)
class Finding:
    """What is wrong with a table or one of its deliveries. ``done`` is what was repaired, or would be; "" when nothing
    can be done here."""

    feed: str
    day: date | None
    problem: str
    done: str


@dataclass(frozen=True)
class _Shown:
    """What readers see of a delivery. ``whole``: all of it, and no other version beside it."""

    placement: Placement
    table: str
    slices: tuple[Slice, ...] = ()
    whole: bool = True


@dataclass(frozen=True)
class _Manifest:
    """One settled version as its manifest describes it. ``entries`` maps key and version of objects to what it says."""

    number: int
    key: str
    settled_at: datetime
    because: str
    entries: Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass
class _Objects:
    """The objects of a delivery as they are to be: ``settled`` ones, those that wait for the next version, and those
    whose bytes are nowhere."""

    settled: list[RawObject] = field(default_factory=list)
    waiting: list[RawObject] = field(default_factory=list)
    aside: list[RawObject] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    landed: bool = False


def examine(
    services: Services,
    source: Source,
    run_id: str,
    *,
    repair: bool,
    part: Callable[[FeedFlow, str], FeedFlow] | None = None,
) -> Iterator[Finding]:
    """Examine every table of a source. ``part`` gives the flow of one scope, where scopes are delivered apart.

    Safe beside running publishers: the table is theirs while they hold it, and a delivery that moves on meanwhile is
    looked at again.

    Raises:
        PermanentFailure: AWS does not allow it.
        TransientFailure: a publisher held the table for too long, or AWS did not answer.
    """
    temp = services.settings.temp
    temp.mkdir(parents=True, exist_ok=True)
    if repair and part is None:
        _settler(services, source).arrivals.reconcile()
    for table in tables_of(source):
        with aws_failures(f"the table of {table.table}"), ExitStack() as stack:
            lease = stack.enter_context(services.lake.alone(table.table, run_id)) if repair else None
            if lease is not None:
                stack.enter_context(lease.kept(services.lake.call))
            yield from _Table(services, source, table, part, lease, run_id).examine()


def _settler(services: Services, source: Source) -> Settler:
    here = replace(source, bucket=services.zones.raw_bucket)
    return Settler(Arrivals(here, services.s3, services.ledger), services.zones)


@dataclass(frozen=True)
class _Table:
    services: Services
    source: Source
    flow: FeedFlow
    part: Callable[[FeedFlow, str], FeedFlow] | None
    lease: Lease | None
    run_id: str

    def examine(self) -> Iterator[Finding]:
        named = named_table(self.services.settings, self.flow)
        if isinstance(named, TableSpec) and (
            earlier := self.services.ledger.placements.earlier_slices(self.flow.table)
        ):
            for each in earlier if self.lease else ():
                self.services.ledger.placements.upgrade_slice(self.flow.table, each)
            yield self._finding(f"{len(earlier)} slices have keys of an earlier form", "gave them keys of today")
        shown, problems = self._shown(named)
        for problem in problems:
            yield Finding(self.flow.table, None, problem, "")
        scopes = self._scopes(shown)
        found = self._deliveries(scopes, shown, named)
        if self.lease is None:
            # Publishers go on: what is wrong now has to be so beside a catalog that is read after it.
            doubtful = {(each.feed, each.day) for each in found}
            shown = self._shown(named)[0] if doubtful else {}
            found = self._deliveries(scopes, shown, named, doubtful)
        dates = set()
        for finding in found:
            yield finding
            dates.add(str(finding.day))
        yield from self._compare(named, scopes, dates)

    def _finding(self, problem: str, done: str, day: date | None = None, feed: str = "") -> Finding:
        return Finding(feed or self.flow.table, day, problem, done)

    def _scopes(self, shown: Iterable[tuple[str, date]]) -> list[str]:
        """All that anybody knows; one empty one for a table that is delivered whole."""
        if self.part is None or self.part(self.flow, "any") is self.flow:
            return [""]
        ledger, zones = self.services.ledger, self.services.zones
        known = {scope.id for scope in ledger.scopes.of_source(self.flow.source)}
        known |= {feed.removeprefix(f"{self.flow.table}/") for feed, _ in shown}
        prefix = zones.manifests_of(self.flow.table)
        pages = self.services.s3.get_paginator("list_objects_v2").paginate(
            Bucket=zones.raw_bucket, Prefix=prefix, Delimiter="/"
        )
        known |= {
            found["Prefix"].removeprefix(prefix).rstrip("/")
            for page in pages
            for found in page.get("CommonPrefixes", ())
        }
        return sorted(known)

    # -- what readers see

    def _shown(self, named: Named) -> tuple[dict[tuple[str, date], _Shown], list[str]]:
        lake, feed, now = self.services.lake, self.flow.table, self.services.ledger.now()
        qualified = f"{named.database}.{named.name}"
        if isinstance(named, TableSpec):
            days, problems = shown_slices(lake, named, self.lease, self.services.settings.temp)
            found = {}
            for day, each in days.items():
                rows, key_id = sum(s.rows for s in each.slices), each.slices[0].key_id
                placement = Placement(day, each.version, each.manifest, "", rows, key_id, now)
                found[feed, day] = _Shown(placement, qualified, (*each.slices, *each.others), each.whole)
            return found, problems
        table = formats.table(lake, named)
        if table is None:
            return {}, []
        entries: list[Any] = list(formats.partitions(lake, named, table)) if table.partitions else [table]
        if table.shared_by:
            return {
                (part.settled(feed, day).feed, day): _Shown(part.placement(day, now), qualified)
                for entry in entries
                for day in [date.fromisoformat(entry.value)]
                for part in (read_parts(lake.store, entry) or {}).values()
            }, []
        seen = {settled(feed, entry): entry for entry in entries}
        return {
            (each.feed, each.day): _Shown(placement_of(each, entry, now), qualified)
            for each, entry in seen.items()
            if each is not None
        }, []

    # -- deliveries

    def _deliveries(
        self,
        scopes: Iterable[str],
        shown: Mapping[tuple[str, date], _Shown],
        named: Named,
        only: Set[tuple[str, date | None]] | None = None,
    ) -> Iterator[Finding]:
        for scope in scopes:
            flow = self.part(self.flow, scope) if self.part else self.flow
            if only is None or any(feed == flow.name for feed, _ in only):
                mine = {day: each for (feed, day), each in shown.items() if feed == flow.name}
                yield from self._deliveries_of(flow, mine, named, only)

    def _deliveries_of(
        self,
        flow: FeedFlow,
        shown: Mapping[date, _Shown],
        named: Named,
        only: Set[tuple[str, date | None]] | None,
    ) -> Iterator[Finding]:
        services = self.services
        manifests = manifests_of(services.s3, services.zones, flow.name)
        days = {d.day for d in services.ledger.deliveries.of_feed(flow.name)} | manifests.keys() | shown.keys()
        for day in sorted(day for day in days if only is None or (flow.name, day) in only):
            if self.part and self.lease:
                _settler(services, Source(flow.source, "", self.source.prefix, (flow,))).arrivals.reconcile(
                    flow.layout.day_prefix(day)
                )
            for _ in range(_TRIES):
                found = _Examined(self, flow, day, shown.get(day), named, manifests.get(day, []))
                finding, settled_now = found.result()
                if settled_now:
                    break
            else:
                finding = self._finding("it keeps changing; run this again", "", day, flow.name)
            if finding:
                yield finding

    def _compared(self, named: Named, scopes: Iterable[str]) -> Compared:
        return compare(
            self.services.lake,
            self.lease,
            self.flow.table,
            named,
            run_id=self.run_id,
            temp=self.services.settings.temp,
            scopes=[scope for scope in scopes if scope],
        )

    def _compare(self, named: Named, scopes: Iterable[str], found: Set[str]) -> Iterator[Finding]:
        """What the comparison says. Before a repair the ledger lacks what was ``found`` of these dates, so that goes
        without saying."""
        compared = self._compared(named, scopes)
        if self.lease is None and compared:
            compared = compared.still(self._compared(named, scopes))
        for sentence in compared.repaired:
            yield self._finding(sentence, "made the catalog show what is placed")
        for sentence in compared.to_report:
            if self.lease is not None or not any(each in sentence for each in found):
                yield self._finding(sentence, "")


@dataclass(frozen=True)
class _Examined:
    """One delivery. ``numbered`` are numbers and keys of its manifests."""

    table: _Table
    flow: FeedFlow
    day: date
    shown: _Shown | None
    named: Named
    numbered: list[tuple[int, str]]

    def result(self) -> tuple[Finding | None, bool]:
        """What was found, if anything, and whether that is settled: False when somebody moved the delivery on."""
        ledger = self.table.services.ledger
        delivery = ledger.deliveries.get(self.flow.name, self.day)
        publications = {p.version: p for p in ledger.publications.of_feed(self.flow.name, self.day)}
        problem = self._problem(delivery, publications)
        if not problem:
            return None, True
        if delivery.state is DeliveryState.RUNNING:
            return self._found(f"{problem}; run {delivery.run_id} is at it, look again when it has ended", ""), True
        if delivery.state is DeliveryState.TRANSFORMING:
            work = transforming(self.table.services, self.flow.name, delivery)
            return self._found(f"{problem}; {work}; look again when it has ended", ""), True
        manifests = self._manifests()
        published = self._published(manifests)
        if published is None:
            return self._found(f"{problem}; no manifest tells what it was made of", ""), True
        return self._restore(problem, delivery, publications, manifests, published)

    def _found(self, problem: str, done: str) -> Finding:
        return Finding(self.flow.name, self.day, problem, done)

    # -- judging

    def _problem(self, delivery: Delivery, publications: Mapping[int, Publication]) -> str:
        """What is wrong; "" when all agree, or the platform is about to settle it by itself."""
        if lost := [n for n in range(1, delivery.version + 1) if n not in publications]:
            return f"the ledger lacks version {', '.join(map(str, lost))}"
        if self.shown is None:
            return self._not_shown(delivery, publications)
        seen, ledger = self.shown.placement, self.table.services.ledger
        placed = ledger.placements.get(self.flow.name, self.day)
        if placed is not None and placed.version > seen.version and placed.version in publications:
            return ""  # a late write, which the comparison mends
        known = publications.get(seen.version)
        if known is None or (seen.manifest and known.manifest_key != seen.manifest):
            return f"readers see version {seen.version}, which the ledger does not know"
        moving = delivery.pending or delivery.state in _WORKING
        if delivery.version < seen.version or (delivery.published != seen.version and not moving):
            return f"readers see version {seen.version}, the ledger says {delivery.published or 'none'}"
        if self.shown.slices:
            remembered = set(map(_place, ledger.placements.slices_of_day(self.flow.table, self.day)))
            if not remembered.issuperset(map(_place, self.shown.slices)):
                return "the ledger lacks slices that readers see"
            if placed is None and not moving:
                return "the ledger does not say that it is placed"
        return ""

    def _not_shown(self, delivery: Delivery, publications: Mapping[int, Publication]) -> str:
        if delivery.published:
            row = publications.get(delivery.published)
            hidden = row is not None and row.clean > 0 if isinstance(self.named, TableSpec) else self._by_date
            waits = delivery.pending or delivery.state in _WORKING
            return "the ledger says it is published, readers do not see it" if hidden and not waits else ""
        if delivery.version or delivery.state in _WORKING or not self.numbered:
            return ""
        closed = self._closed(self._manifests())
        return f"version {closed.number} was published, and the ledger does not know it" if closed else ""

    @property
    def _by_date(self) -> bool:
        """Whether every delivery has an entry of its own. Only the newest of a table without partitions is shown."""
        return self.flow.feed.contract.partition_by is not None

    # -- what the raw zone says

    def _manifests(self) -> list[_Manifest]:
        return [_manifest(self.table.services, number, key) for number, key in self.numbered]

    def _published(self, manifests: list[_Manifest]) -> _Manifest | None:
        if self.shown is None:
            return self._closed(manifests)
        seen = self.shown.placement
        fitting = [m for m in manifests if m.key == seen.manifest or (not seen.manifest and m.number == seen.version)]
        return fitting[-1] if fitting else None

    def _closed(self, manifests: list[_Manifest]) -> _Manifest | None:
        """The last version whose objects are all in the archive, where only a published version brings them."""
        archived = self._archived()
        for manifest in sorted(manifests, key=lambda m: m.settled_at, reverse=True):
            if manifest.entries and all(self._archive_key(each) in archived for each in manifest.entries.values()):
                return manifest
        return None

    def _archived(self) -> set[str]:
        zones, store = self.table.services.zones, self.table.services.store
        folder = zones.archive(self.flow.name, self.day, self.flow.archive)
        return {stored.key for stored in store.listing(zones.raw_bucket, folder)}

    def _archive_key(self, entry: Mapping[str, Any]) -> str:
        edited: str = entry.get("edited_key", "")
        own = entry["key"], entry["version"]
        return edited or archive_key(self.table.services.zones, self.flow, self.day, *own)

    # -- restoring

    def _restore(
        self,
        problem: str,
        delivery: Delivery,
        publications: Mapping[int, Publication],
        manifests: list[_Manifest],
        published: _Manifest,
    ) -> tuple[Finding, bool]:
        ledger, feed = self.table.services.ledger, self.flow.name
        version = self.shown.placement.version if self.shown else published.number
        placed = ledger.placements.get(feed, self.day)
        if placed is not None and placed.version > version:
            return self._found(
                f"{problem}; it says that version {placed.version} is placed, and knows no more", ""
            ), True
        objects = self._objects(delivery, manifests, published, version)
        empty = self.shown is None and not self._hidden(version)
        again = (
            objects.landed or (self.shown is None and not empty) or (self.shown is not None and not self.shown.whole)
        )
        lost = f"; the bytes of {', '.join(objects.lost)} are nowhere" if objects.lost else ""
        waiting = f", {len(objects.waiting)} objects wait for the next" if objects.waiting else ""
        due = ", it is due again" if again and not objects.waiting else ""
        done = f"restored version {version} of {len(objects.settled)} objects{waiting}{due}"
        if self.table.lease is None:
            return self._found(problem + lost, done), True
        self.table.lease.check(self.table.services.lake.call)
        ledger.objects.put(feed, [*objects.settled, *objects.waiting, *objects.aside])
        self._put_publications(publications, manifests, published, version, delivery)
        if self.shown is not None:
            ledger.placements.put_slices(self.flow.table, self.shown.slices)
            ledger.placements.put(feed, self.shown.placement)
        elif empty and self._by_date:
            ledger.placements.put(feed, Placement(self.day, version, published.key, placed_at=ledger.now()))
        highest = max(delivery.version, version, *(m.number for m in manifests))
        moved = ledger.deliveries.restore(
            feed,
            delivery,
            version=highest,
            published=version,
            settled_arrivals=len(objects.settled),
            arrivals=len(objects.settled) + len(objects.waiting) + again,
            manifest_key=published.key,
            settled_at=published.settled_at,
            settled_because=published.because,
        )
        return self._found(problem + lost, done), moved is not None

    def _hidden(self, version: int) -> bool:
        """Whether a version that readers do not see has rows that they should see."""
        if isinstance(self.named, TableSpec):
            return has_rows(self.table.services.lake, self.flow.table, self.day, version)
        return self._by_date

    def _objects(self, delivery: Delivery, manifests: list[_Manifest], published: _Manifest, version: int) -> _Objects:
        services = self.table.services
        known = {(o.key, o.version): o for o in services.ledger.objects.of_day(self.flow.name, self.day)}
        archived = self._archived()
        named: dict[tuple[str, str], RawObject] = {}
        for manifest in manifests:
            for (key, version_id), entry in manifest.entries.items():
                there = self._archive_key(entry)
                obj = known.get((key, version_id)) or _object(self.day, entry, manifest)
                named[key, version_id] = replace(obj, archived_key=there if there in archived else obj.archived_key)
        # A number may have been given twice: by the ledger that was lost, and by the one that followed.
        earlier = {each for m in manifests if m.settled_at <= published.settled_at for each in m.entries}
        found = _Objects()
        for each, obj in named.items():
            if each in published.entries:
                self._settle(found, obj)
            elif each in known:
                (found.settled if each in earlier else found.waiting).append(obj)
            elif not obj.archived_key:
                continue  # a listing brings it if it is there
            elif each in earlier:
                reason = f"not part of version {version}, which readers saw when the ledger was restored"
                found.aside.append(replace(obj, state=ObjectState.EXCLUDED, reason=reason))
            else:
                found.waiting.append(obj)
        for each, obj in known.items():
            if each in named or obj.state is ObjectState.IGNORED:
                continue
            past = obj.state is ObjectState.EXCLUDED or (obj.archived_key and obj.number <= delivery.settled_arrivals)
            (found.settled if past else found.waiting).append(obj)
        order = sorted(found.settled, key=lambda o: (o.last_modified, o.number))
        found.settled = [replace(obj, number=n) for n, obj in enumerate(order, start=1)]
        late = sorted(found.waiting, key=lambda o: (o.number or len(known) + 1, o.last_modified))
        found.waiting = [replace(obj, number=n) for n, obj in enumerate(late, start=len(order) + 1)]
        return found

    def _settle(self, found: _Objects, obj: RawObject) -> None:
        """An object of what readers see: it stays part of the delivery even if its bytes are gone, so that no later
        version quietly does without it."""
        if not obj.archived_key:
            if is_there(self.table.services.s3, obj):
                found.landed = True
            else:
                found.lost.append(obj.uri)
        arrived = obj if obj.state is ObjectState.EXCLUDED else replace(obj, state=ObjectState.ARRIVED, reason="")
        found.settled.append(arrived)

    def _put_publications(
        self,
        publications: Mapping[int, Publication],
        manifests: list[_Manifest],
        published: _Manifest,
        version: int,
        delivery: Delivery,
    ) -> None:
        """The rows of all versions that there have been; what is there and right stays."""
        ledger = self.table.services.ledger
        by_number = {m.number: m for m in sorted(manifests, key=lambda m: m.settled_at)}
        for number in range(1, max(delivery.version, version, *by_number) + 1):
            row = publications.get(number)
            if number == version:
                if row is None or row.manifest_key != published.key or row.state is not DeliveryState.PUBLISHED:
                    ledger.publications.put(self.flow.name, self._publication(published, version))
            elif row is None:
                ledger.publications.put(self.flow.name, _lost(self.day, number, by_number.get(number), ledger.now()))

    def _publication(self, manifest: _Manifest, version: int) -> Publication:
        placement = self.shown.placement if self.shown else None
        return Publication(
            day=self.day,
            version=version,
            objects=len(manifest.entries),
            manifest_key=manifest.key,
            settled_at=manifest.settled_at,
            settled_because=manifest.because,
            state=DeliveryState.PUBLISHED,
            rows_in=placement.rows if placement else 0,
            clean=placement.rows if placement else 0,
            table=self.shown.table if self.shown else "",
            locations=(placement.location,) if placement and placement.location else (),
            finished_at=self.table.services.ledger.now(),
            note="restored by adplatform doctor; rows_in counts clean rows only",
        )


def _manifest(services: Services, number: int, key: str) -> _Manifest:
    body, written = read_settlement(services.s3, services.zones, key), None
    if "settled_at" not in body:  # of an older release; S3 has the instant
        written = services.s3.head_object(Bucket=services.zones.raw_bucket, Key=key)["LastModified"]
    at = written or datetime.fromisoformat(body["settled_at"])
    entries = {(entry["key"], entry["version"]): entry for entry in body["objects"]}
    return _Manifest(number, key, at, body["because"], entries)


def _object(day: date, entry: Mapping[str, Any], manifest: _Manifest) -> RawObject:
    # What settled arrived before that; whatever arrives later is newer.
    said = entry.get("last_modified")
    modified = datetime.fromisoformat(said) if said else manifest.settled_at - timedelta(seconds=1)
    return RawObject(
        day=day,
        bucket=entry["bucket"],
        key=entry["key"],
        version=entry["version"],
        size=entry["size"],
        etag=entry["etag"],
        edited=entry.get("edited", ""),
        edited_size=entry.get("edited_size", 0),
        known_as=entry.get("known_as", ""),
        last_modified=modified.replace(microsecond=0),
        seen_at=manifest.settled_at,
        seen_by=SEEN_BY,
    )


def _lost(day: date, number: int, manifest: _Manifest | None, now: datetime) -> Publication:
    error = "the ledger was lost; readers see another version"
    if manifest is None:
        return Publication(day, number, 0, "", now, "", DeliveryState.FAILED, error=error)
    return Publication(
        day,
        number,
        len(manifest.entries),
        manifest.key,
        manifest.settled_at,
        manifest.because,
        DeliveryState.FAILED,
        error=error,
    )


def _place(part: Slice) -> tuple[str, int, str]:
    return part.partition, part.version, part.location
