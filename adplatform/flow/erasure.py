"""Erasing a person from all that a source has stored, and publishing what is left.

What is left to do is found by looking, never by a list, so an erasure that was killed goes on where it was. In this
order, so that at any moment the ledger names a place where each object is, and readers see each table whole:

1. Every object version of the raw bucket that holds the person is done with. What is left of a sender's file goes to
   the archive, decrypted, and the ledger names that place before the version is deleted. Quarantined rows and lists of
   names are written anew under their keys; all else that holds the person is deleted.
2. Names of objects in the ledger lose the person.
3. Deliveries of which readers see a version that was made of more than is left are made again, in the normal flow.
4. Once readers have had time to turn to them, files of the clean bucket that hold the person and that nobody is led to
   any more are deleted.

This is repeated until a look finds nothing.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from adplatform.contracts.model import DELIVERY_DATE
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.again import Work, free, settled_again
from adplatform.flow.clean import without_bounds
from adplatform.flow.delivery import publish, working
from adplatform.flow.erasure_names import erase_names
from adplatform.flow.erasure_rows import rows_left
from adplatform.flow.erasure_search import ERASED, Held, Search
from adplatform.flow.hashing_keys import KeysDiffer, hashing_keys
from adplatform.flow.key_rotation import LEASE as KEY_LEASE
from adplatform.flow.key_rotation import usage
from adplatform.flow.lifecycle import release
from adplatform.flow.raw import plain_name
from adplatform.flow.services import Services
from adplatform.flow.shown import shown as is_shown
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.version import identity_of, read_settlement
from adplatform.lake import formats
from adplatform.lake.slices import counting, placed_versions
from adplatform.lake.table import table_name
from adplatform.lake.versions import StoredVersion
from adplatform.lake.zones import file_key
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.erasures import ErasedObject, Erasure, ErasureState
from adplatform.ledger.leases import Lease
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import ObjectState, RawObject, file_id
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import plain
from adplatform.platform.aws_errors import aws_failures
from adplatform.privacy.key_versions import every_key
from adplatform.privacy.keys import HashKey, fetch_key
from adplatform.privacy.person import Identifier, Person, person_of

RUN_PREFIX = "erase-"
ADVICE = "`adplatform erase`"
_LEASE_TTL = timedelta(minutes=1)
_PASSES = 6
_QUARANTINED = re.compile(r"quarantine/(?P<feed>.+)/dt=(?P<day>\d{4}-\d{2}-\d{2})/rows-(?P<version>\d{4,})\.parquet")
_DAY = re.compile(r"/dt=(\d{4}-\d{2}-\d{2})/")

EDITED, REWRITTEN, DELETED, REMADE, RENAMED = "edited", "rewritten", "deleted", "published again", "renamed"
"""What was done: a sender's file has fewer records and lies in the archive, decrypted; a file of the platform's has
fewer rows under its key; a version is gone; a delivery is a new version; a row of the ledger has other names."""

OUT_OF_REACH = (
    "copies that others have made of the tables: in Redshift, in Clean Rooms collaborations, in ad platforms",
    "the sender's own servers, databases and buckets, and landing zones that are not of this platform; what is "
    "delivered again is new data",
    "point-in-time backups of the ledger, and copies of the buckets by AWS Backup or replication",
    "events that wait in the source's queue, which have names of objects",
    "messages that were sent, and logs of AWS (CloudTrail data events, S3 access logs), which have names of objects",
)
"""What no erasure here reaches."""


@dataclass(frozen=True)
class Receipt:
    """What an erasure came to; it names no person. It is complete when there are no ``problems``. ``unreadable`` are
    objects of which nobody knows what they hold, ``lost_keys`` hashing keys that cannot be had any more and under which
    readers see rows."""

    erasure: Erasure
    done: tuple[ErasedObject, ...]
    objects_read: int
    problems: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    lost_keys: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Objects by what was done to them."""
        return dict(sorted(Counter(each.what for each in self.done).items()))

    @property
    def document(self) -> dict[str, Any]:
        """The receipt as people keep it."""
        erasure = {name: plain(value) for name, value in asdict(self.erasure).items() if name != "mark" and value}
        named = sorted(self.done, key=lambda each: (each.place, each.stored, each.what))
        return {
            "erasure": erasure,
            "counts": self.counts,
            "done": [{n: v for n, v in asdict(each).items() if n != "erasure" and v != ""} for each in named],
            "objects_read": self.objects_read,
            "unreadable": list(self.unreadable),
            "lost_keys": list(self.lost_keys),
            "out_of_reach": list(OUT_OF_REACH),
        }


@dataclass(frozen=True)
class Wish:
    """Whom to erase. ``readers`` have so long to turn to what was published again before earlier files are deleted; a
    ``dry_run`` only looks."""

    identifiers: Sequence[Identifier] = field(repr=False)
    readers: timedelta = timedelta(0)
    dry_run: bool = False


@dataclass
class _Erasing:
    """An erasure while it works. ``follow`` makes the tables anew that are made of others, and returns problems."""

    services: Services
    source: Source
    flows: Sequence[FeedFlow]
    tables: Sequence[FeedFlow]
    person: Person
    erasure: Erasure
    search: Search
    work: Work
    wish: Wish
    lease: Lease
    done: list[ErasedObject] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    days: dict[tuple[str, date], list[RawObject]] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        return self.services.ledger

    def note(self, stored: StoredVersion, what: str, rows: int = 0) -> None:
        """Before it is done, in the ledger, with names without the person."""
        place = f"s3://{stored.bucket}/{self.person.without(stored.key, ERASED)}"
        self.note_place(place, stored.version, what, rows)

    def note_place(self, place: str, stored: str, what: str, rows: int = 0) -> None:
        done = ErasedObject(self.erasure.id, place, stored, what, rows)
        self.done.append(done)
        if not self.wish.dry_run:
            self.ledger.erasures.note(self.source.name, [done])

    def delete(self, stored: StoredVersion) -> None:
        self.services.store.delete_versions(stored.bucket, [(stored.key, stored.version)])


def erase(
    services: Services,
    source: Source,
    flows: Sequence[FeedFlow],
    wish: Wish,
    work: Work,
    *,
    erasure_id: str,
    follow: Callable[[], Iterable[str]] = tuple,
) -> Receipt:
    """Erase a person from a source, whose deliveries are those of ``flows``. May be killed at any moment and called
    again with the same identifiers, with another ``erasure_id``, which is random. ``follow`` makes the tables anew that
    are made of those of feeds, and returns what kept it from that.

    Raises:
        PermanentFailure: the identifiers are none, or AWS does not allow something.
        TransientFailure: another erasure of the source, or a rotation of the hashing key, is at work, or AWS does not
            answer.
    """
    ledger, ttl = services.ledger, _LEASE_TTL
    with (
        aws_failures(f"the erasure from {source.name}"),
        ledger.lease(f"erasure/{source.name}", work.run_id, ttl=ttl, wait=ttl * 1.5, sleep=work.sleep) as lease,
        ledger.lease(KEY_LEASE, work.run_id, ttl=ttl, wait=ttl * 1.5, sleep=work.sleep) as keys,
        lease.kept(),
        keys.kept(),
    ):
        secrets, name = services.secrets, services.settings.hash_key_secret
        known = every_key(secrets, name)
        countries = {c.pii.country for f in flows for c in f.feed.contract.columns if c.pii and c.pii.country}
        person = person_of(wish.identifiers, known, countries)
        tables = (*{flow.table: flow for flow in flows}.values(), *source.derived)
        shown = {each.key_id for each in usage(ledger, flows)} - {""}
        lost = tuple(sorted(shown - {key.id for key in known}))
        folder = work.temp / "search"
        folder.mkdir(exist_ok=True)
        erasure = _begun(services, source, wish, known, erasure_id)
        with Search(services, source, flows, person, folder) as search:
            doing = _Erasing(services, source, flows, tables, person, erasure, search, work, wish, lease)
            if wish.dry_run:
                return _looked(doing, lost)
            for _ in range(_PASSES):
                before = len(doing.done)
                _pass(doing, follow)
                if doing.problems or len(doing.done) == before:
                    break
            else:
                doing.problems["passes"] = f"the person comes again and again; {ADVICE} when nothing is delivered"
            return _receipt(doing, lost)


def _begun(services: Services, source: Source, wish: Wish, keys: Sequence[HashKey], erasure_id: str) -> Erasure:
    """The erasure of this person that was begun and is not done, under whichever key that was, or a new one."""
    ledger, current = services.ledger, fetch_key(services.secrets, services.settings.hash_key_secret)
    given = sorted(f"{each.kind}\x00{each.value.strip()}\x00{each.country}" for each in wish.identifiers)

    def mark(key: HashKey, erasure: str) -> str:
        return key.hmac("\x00".join(("erasure", erasure, *given)))

    for earlier in ledger.erasures.of_source(source.name):
        if earlier.state is ErasureState.RUNNING and earlier.mark in {mark(key, earlier.id) for key in keys}:
            return earlier
    new = Erasure(erasure_id, ledger.now(), mark=mark(current, erasure_id))
    if not wish.dry_run:
        ledger.erasures.put(source.name, new)
    return new


def _looked(doing: _Erasing, lost: tuple[str, ...]) -> Receipt:
    """What would be done, by what is there now."""
    for held in doing.search.raw():
        doing.note(held.stored, _would_be(doing, held), held.rows)
    for held in doing.search.clean():
        doing.note(held.stored, DELETED, held.rows)
    return replace(_result(doing, lost), dry_run=True)


def _would_be(doing: _Erasing, held: Held) -> str:
    if held.stored.marker:
        return DELETED
    if held.stored.latest and (held.notes or _QUARANTINED.fullmatch(held.stored.key)):
        return REWRITTEN
    return EDITED if _owner(doing, held) is not None else DELETED


def _pass(doing: _Erasing, follow: Callable[[], Iterable[str]]) -> None:
    _record_what_has_come(doing)
    for held in doing.search.raw():
        doing.lease.check()
        _erase_from_raw(doing, held)
    doing.lease.check()
    for place, texts in erase_names(doing.ledger.access, doing.source.name, doing.person, ERASED):
        doing.note_place(place, "", RENAMED, texts)
    _publish_what_is_left(doing)
    if doing.problems:
        return
    for problem in follow():
        doing.problems[problem] = problem
    if not doing.problems:
        _erase_from_clean(doing)


def _record_what_has_come(doing: _Erasing) -> None:
    """So that nothing that a sender has just written is taken for what belongs to nobody."""
    listed = set[int]()
    for flow in doing.flows:
        arrivals = doing.work.settler(flow).arrivals
        if not flow.by_runs and id(arrivals) not in listed:
            listed.add(id(arrivals))
            arrivals.reconcile()


# -- raw


def _owner(doing: _Erasing, held: Held) -> tuple[FeedFlow, RawObject] | None:
    """The delivery's object that is this version, in the landing zone or in the archive; None when it is of none."""
    ledger, stored, flow = doing.ledger, held.stored, held.flow
    if stored.key.startswith(doing.source.prefix):
        version = stored.version if stored.version != "null" else f"{stored.etag}+{stored.size}"
        found = ledger.objects.named_by(doing.source.name, file_id(stored.bucket, stored.key, version))
        if found is None or found[1].state is ObjectState.IGNORED:
            return None
        flows = {each.name: each for each in doing.flows}
        return (flows[found[0]], found[1]) if found[0] in flows else None
    day = _DAY.search(stored.key)
    if flow is None or day is None:
        return None
    place = flow.name, date.fromisoformat(day[1])
    if place not in doing.days:
        doing.days[place] = ledger.objects.of_day(*place)
    owner = next((o for o in doing.days[place] if o.archived_key == stored.key), None)
    return (flow, owner) if owner and stored.latest else None


def _may_come(doing: _Erasing, held: Held) -> bool:
    """Whether an object that the ledger does not know yet will be part of a delivery."""
    stored = held.stored
    if held.flow is None or not stored.latest or stored.marker or not stored.key.startswith(doing.source.prefix):
        return False
    version = stored.version if stored.version != "null" else f"{stored.etag}+{stored.size}"
    known = doing.ledger.objects.named_by(doing.source.name, file_id(stored.bucket, stored.key, version))
    return known is None


def _erase_from_raw(doing: _Erasing, held: Held) -> None:
    stored = held.stored
    owned = None if stored.marker else _owner(doing, held)
    if owned is None and _may_come(doing, held):
        place = f"s3://{stored.bucket}/{doing.person.without(stored.key, ERASED)}"
        doing.problems[place] = f"{place} has not arrived yet: `adplatform process`, and then {ADVICE} again"
        return
    if owned is not None:
        flow, obj = owned
        doing.note(stored, EDITED, held.rows)
        if not obj.archived_key or obj.archived_key == stored.key:
            _edit(doing, flow, obj, held)
    elif stored.latest and not stored.marker and not held.named and (held.notes or _QUARANTINED.fullmatch(stored.key)):
        doing.note(stored, REWRITTEN, held.rows)
        _note_quarantined(doing, stored, held.rows)
        doing.services.store.upload(held.left, stored.bucket, stored.key)
    else:
        doing.note(stored, DELETED, held.rows)
    doing.delete(stored)


def _edit(doing: _Erasing, flow: FeedFlow, obj: RawObject, held: Held) -> None:
    """What is left of a sender's file lies in the archive, and the ledger names it there. Its key says what is in it:
    another try writes the same."""
    zones = doing.services.zones
    name = PurePosixPath(doing.person.without(plain_name(obj.key) if flow.feed.pgp else obj.key, ERASED)).name
    folder = f"{zones.archive(flow.name, obj.day, flow.archive or 'archive/')}{obj.identity}-{held.content}/"
    key = file_key(folder, name)
    doing.services.store.upload(held.left, zones.raw_bucket, key)
    doing.ledger.objects.edit(flow.name, obj, key, held.left.stat().st_size, doing.erasure.id)
    doing.days.pop((flow.name, obj.day), None)


def _note_quarantined(doing: _Erasing, stored: StoredVersion, rows: int) -> None:
    """The version that these rows were quarantined of counts them still: it says where they are."""
    found = _QUARANTINED.fullmatch(stored.key)
    if found is None or not found["feed"].startswith(f"{doing.source.name}/"):
        return
    publications, day = doing.ledger.publications, date.fromisoformat(found["day"])
    row = publications.get(found["feed"], day, int(found["version"]))
    said = f"{rows} quarantined rows went with erasure {doing.erasure.id}"
    if row is not None and said not in row.note:
        publications.put(found["feed"], replace(row, note="; ".join(filter(None, (row.note, said)))))


# -- what is left


def _publish_what_is_left(doing: _Erasing) -> None:
    for flow in doing.flows:
        for day, objects in sorted(doing.ledger.objects.edited(flow.name).items()):
            doing.lease.check()
            with _apart(f"{flow.name} {day}", doing.problems):
                _make_again(doing, flow, day, objects)


def _make_again(doing: _Erasing, flow: FeedFlow, day: date, objects: Sequence[RawObject]) -> None:
    """Make the delivery again until readers see a version of what is left."""
    problem = ""
    for _ in range(3):
        seen = free(doing.ledger, flow, day, doing.work)
        if seen.state is DeliveryState.RUNNING:
            raise TransientFailure(f"run {seen.run_id} is at it; {ADVICE} again when it has ended")
        if is_shown(doing.ledger, flow, seen) and seen.published != seen.version:
            doing.work.make(flow, day)  # only to close it, after a run that was killed
        shown = _shown(doing, flow, day)
        if shown is None or not _is_of_more(doing.services, shown, objects):
            return
        if _waits_for_key(doing.services, flow):
            _publish_rows(doing, flow, day)
            return
        because = f"made again without what erasure {doing.erasure.id} removed"
        settled, problem = settled_again(
            doing.ledger, flow, day, shown.version, because, doing.work, ADVICE, doing.erasure.id
        )
        if settled is None:
            raise TransientFailure(problem)
        doing.note_place(f"{flow.name} {day}", str(settled.version), REMADE, shown.clean)
        problem = doing.work.make(flow, day)
    raise TransientFailure(problem or f"it is not published without the person; {ADVICE} again")


def _waits_for_key(services: Services, flow: FeedFlow) -> bool:
    """Whether the table takes nothing that is made now, because it has yet to be brought to the current hashing key. An
    erasure does not wait for that: what readers see is published again under the key that it is under."""
    try:
        hashing_keys(services, flow)
    except KeysDiffer:
        return True
    return False


def _shown(doing: _Erasing, flow: FeedFlow, day: date) -> Publication | None:
    """The version of the delivery that readers see."""
    placements = doing.ledger.placements
    placement = placements.get(flow.name, day)
    if placement is None:
        return None
    if flow.feed.contract.partition_by is None and any(p.day > day for p in placements.of_feed(flow.name)):
        return None
    return doing.ledger.publications.get(flow.name, day, placement.version)


def _is_of_more(services: Services, shown: Publication, objects: Sequence[RawObject]) -> bool:
    """Whether a version was settled before one of its objects was edited, so that its rows may be of the person."""
    entries = read_settlement(services.s3, services.zones, shown.manifest_key)["objects"]
    settled = {identity_of(entry): entry for entry in entries}
    return any(
        obj.identity in settled and settled[obj.identity].get("edited_key", "") != obj.archived_key for obj in objects
    )


@contextmanager
def _apart(name: str, problems: dict[str, str]) -> Any:
    """A failure of one delivery is noted among the problems, so that the others go on."""
    try:
        with aws_failures(name):
            yield
    except (PermanentFailure, TransientFailure) as e:
        text = str(e)
        problems[name] = text if name in text else f"{name}: {text}"


# -- clean


def _erase_from_clean(doing: _Erasing) -> None:
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


def _publish_rows_left(doing: _Erasing, seen: Sequence[tuple[str, Held]]) -> None:
    """Deliveries of which readers see the person although nothing of her is in their originals, or these are not there
    any more, are published again of what readers see. A partition that is made of several follows from that."""
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
            with _apart(f"{flow.name} {day}", doing.problems):
                _publish_rows(doing, flow, day)
                again += 1
    if seen and not again and not doing.problems:
        for (_, held), uri in zip(seen, uris, strict=True):
            place = doing.person.without(uri, ERASED)
            doing.problems[place] = f"{place}: readers see it ({held.rows} rows), and nothing says of what it was made"


def _publish_rows(doing: _Erasing, flow: FeedFlow, day: date) -> None:
    work, placement = doing.work, doing.ledger.placements.get(flow.name, day)
    shown = doing.ledger.publications.get(flow.name, day, placement.version) if placement else None
    if placement is None or shown is None:
        raise TransientFailure("the ledger does not know what readers see; `adplatform doctor` restores it")
    because = f"made again without what erasure {doing.erasure.id} removed"
    settled, problem = settled_again(
        doing.ledger, flow, day, placement.version, because, work, ADVICE, doing.erasure.id
    )
    if settled is None:
        raise TransientFailure(problem)
    doing.note_place(f"{flow.name} {day}", str(settled.version), REMADE, shown.clean)
    with working(doing.services, flow, day, work.run_id, TemporaryDirectory(dir=work.temp)) as begun:
        if begun.delivery.settled_because != because:
            release(doing.ledger, flow, day, work.run_id)
            raise TransientFailure(f"something has come meanwhile: `adplatform process`, and then {ADVICE} again")
        left = rows_left(begun, shown, placement, doing.search.judge(flow))
        done, _ = publish(begun, without_bounds(left))
    work.closed(flow, done)


def _led_to(doing: _Erasing, table: str) -> tuple[str, ...]:
    """The locations that the catalog leads readers of a table to, and what partitions are made of."""
    lake = doing.services.lake
    named = table_name(table, doing.services.settings.database_prefix)
    shown = formats.table(lake, named)
    if shown is None:
        return ()
    found = {partition.location for partition in formats.partitions(lake, named, shown)} if shown.partitions else set()
    if not shown.partitions:
        found.add(shown.location)
    slices = lake.ledger.placements.all_slices(table)
    found |= {part.location for part in counting(slices, placed_versions(lake, table))}
    return tuple(sorted(each for each in found if each))


def _expire(doing: _Erasing, table: str, lease: Lease) -> None:
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


def _all_versions(doing: _Erasing, key: str) -> list[tuple[str, str]]:
    answer = doing.services.s3.list_object_versions(Bucket=doing.services.zones.clean_bucket, Prefix=key)
    found = (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ()))
    return [(each["Key"], each["VersionId"]) for each in found if each["Key"] == key]


# -- the receipt


def _result(doing: _Erasing, lost: tuple[str, ...]) -> Receipt:
    unreadable = tuple(
        f"s3://{stored.bucket}/{doing.person.without(stored.key, ERASED)}: {why}"
        for stored, why in sorted(doing.search.unreadable.items(), key=lambda each: each[0].identity)
    )
    done = tuple(doing.done)
    return Receipt(doing.erasure, done, doing.search.read, tuple(doing.problems.values()), unreadable, lost)


def _receipt(doing: _Erasing, lost: tuple[str, ...]) -> Receipt:
    """Of all that was done under the erasure's id, by this run or by one before that was killed; kept in the raw bucket
    and in the ledger once nothing is left to do."""
    ledger, name, zones = doing.ledger, doing.source.name, doing.services.zones
    result = replace(_result(doing, lost), done=tuple(ledger.erasures.erased(name, doing.erasure.id)))
    if doing.problems:
        return result
    key = zones.erasure(name, doing.erasure.id)
    over = replace(doing.erasure, state=ErasureState.DONE, mark="", ended_at=ledger.now(), receipt_key=key)
    result = replace(result, erasure=over)
    body = json.dumps(result.document, indent=1, sort_keys=True).encode()
    doing.services.s3.put_object(Bucket=zones.raw_bucket, Key=key, Body=body, **zones.put_arguments)
    ledger.erasures.put(name, over)
    return result
