"""From objects in the landing zone to settled deliveries.

Events are written to the ledger before they are acknowledged, and a listing finds what events missed; both are
idempotent. Before a delivery settles, its own prefix is listed once more, so that a lost or late event cannot leave an
object out of a version that looks complete.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property, partial
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from adplatform.failures import EnvironmentFailure, PermanentFailure, SenderFailure, TransientFailure, kind_of
from adplatform.files.arrivals import (
    ListedFile,
    Settle,
    Wait,
    checked_files,
    counting,
    decide,
    newest_versions,
    not_begun,
    parse_manifest,
    reopened,
    versions_by_key,
)
from adplatform.files.landing import Part
from adplatform.flow.arrivals import Arrivals
from adplatform.flow.budget import UNLIMITED, Budget, in_turns
from adplatform.flow.claims import claimed_files
from adplatform.flow.listing import Round
from adplatform.flow.patience import MAX_DEATHS, after_death, after_failure, after_hindrance, is_given_up
from adplatform.flow.shown import shown
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.version import identity_of, manifests_of, read_object, read_settlement
from adplatform.flow.withdrawn import is_left, leaves_out, mark_withdrawn
from adplatform.lake.zones import Zones
from adplatform.ledger.delivery import BUSY, Delivery, DeliveryState
from adplatform.ledger.keys import RotationState, TableRotation
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Unsent
from adplatform.ledger.objects import ObjectState, RawObject
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import digest
from adplatform.platform.aws_errors import aws_failures

log = logging.getLogger(__name__)

MAX_MANIFEST = 16 * 2**20
MOST_STARTED = 200
"""Runs that one look asks for; each is asked for again until it has begun."""
_READ_TOGETHER = 25
"""Deliveries that a look reads by one call. What changes until it comes to the last is looked at by the next."""
FRESH = timedelta(minutes=1)
"""How old a listing may be that stands for one before a delivery settles."""
MEND_MANIFEST = "ask the sender to send a correct manifest; the date goes on without this one"

Entry = dict[str, Any]
T = TypeVar("T")


class Unreadable(PermanentFailure):
    """A manifest that S3 does not hand out; it may another time."""


class Ending(StrEnum):
    """How a run ended that said nothing of its delivery to the ledger."""

    DIED = "died"
    STOPPED = "stopped"
    HINDERED = "hindered"


class Runs(Protocol):
    """What the orchestrator knows of runs."""

    def alive(self, run_id: str) -> bool:
        """Whether the run may still do something."""

    def spent(self, run_key: str) -> bool:
        """Whether a run was launched under this key and has ended."""

    def ending(self, run: str) -> Ending:
        """How the run of that id or key ended, which is not alive, or spent."""


@dataclass(frozen=True)
class Due:
    """A settled delivery version that needs a run. ``run_key`` is the same however often it is asked for, and another
    for each launch, because a key launches one run, ever."""

    flow: FeedFlow
    day: date
    version: int
    launch: int

    @property
    def run_key(self) -> str:
        return f"{self.flow.name}:{self.day}:v{self.version}:a{self.launch}"


@dataclass(frozen=True)
class Problem:
    """A delivery that stays as it is until somebody acts."""

    flow: FeedFlow
    day: date
    error: str
    what: str = "cannot settle"
    kind: str = "permanent"
    """Who has to act (:func:`adplatform.failures.kind_of`)."""

    @property
    def subject(self) -> str:
        return f"{self.flow.name} {self.day}: {self.what}"

    @property
    def facts(self) -> dict[str, str]:
        return {"feed": self.flow.name, "date": self.day.isoformat(), "error": self.error}

    @property
    def message(self) -> Unsent:
        """The message that people get of it, which is written together with it."""
        return Unsent.of(self.flow.topics.failure, "delivery_stuck", self.subject, self.facts)


@dataclass(frozen=True)
class Waiting:
    """A delivery that is not complete, and what it waits for."""

    flow: FeedFlow
    day: date
    wait: Wait


@dataclass(frozen=True)
class Mark:
    """Where a look that was cut short goes on: with the feed behind ``feed``, and of each feed behind its date."""

    feed: str = ""
    days: Mapping[str, date] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """What a look at the deliveries of a source found. ``mark`` is None when it came to its end; ``hindrances`` are
    what kept it from judging some of them."""

    due: tuple[Due, ...]
    problems: tuple[Problem, ...]
    waiting: tuple[Waiting, ...]
    mark: Mark | None
    hindrances: tuple[EnvironmentFailure, ...] = ()


@dataclass(frozen=True)
class _Listings:
    """Which prefixes were listed lately, so that deliveries that share one need not list it each."""

    budget: Budget = UNLIMITED
    round: Round | None = None
    begun: dict[str, datetime] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)

    def cover(self, prefix: str, since: datetime, after: datetime | None = None) -> bool:
        """Whether a listing that began after both instants has all of the prefix."""
        since = max(since, after or since)
        begun = self.begun.get(prefix)
        return (begun is not None and begun > since) or (self.round is not None and self.round.covers(prefix, since))


@dataclass(frozen=True)
class _Manifests:
    """What the ``used`` manifests of a delivery list together, None when there are none, and the refused ones with
    their reasons. ``final`` is whether reading them again changes nothing."""

    listed: Mapping[str, ListedFile] | None = None
    used: tuple[RawObject, ...] = ()
    refused: tuple[tuple[RawObject, str], ...] = ()
    final: bool = True


class UnusableManifests(SenderFailure):
    """None of the manifests of a delivery can be met; the message is about the first."""

    def __init__(self, manifests: _Manifests) -> None:
        super().__init__(manifests.refused[0][1])
        self.manifests = manifests


@dataclass(frozen=True)
class _Judged:
    decision: Settle | Wait
    objects: Sequence[RawObject]
    manifests: _Manifests = _Manifests()


@dataclass(frozen=True)
class Settler:
    """Decides which deliveries of one source are complete, from what has arrived."""

    arrivals: Arrivals
    zones: Zones

    @property
    def source(self) -> Source:
        return self.arrivals.source

    @property
    def s3(self) -> Any:
        return self.arrivals.s3

    @property
    def ledger(self) -> Ledger:
        return self.arrivals.ledger

    def due(self, runs: Runs) -> tuple[list[Due], list[Problem]]:
        """Settle what is complete; name the settled versions whose run has not started and what newly cannot settle."""
        found = self.look(runs)
        return list(found.due), list(found.problems)

    def look(
        self,
        runs: Runs,
        budget: Budget = UNLIMITED,
        mark: Mark | None = None,
        *,
        listing: Round | None = None,
        most: int | None = None,
        only: str | None = None,
    ) -> Look:
        """The same within a budget and for ``most`` runs, the feeds in turns, or ``only`` for one; goes on at the mark
        where an earlier look stopped.

        What the index of active deliveries shows to be waiting costs no call. ``listing`` is the last round of listing.
        """
        flows = {flow.name: flow for flow in self.source.feeds if only in (None, flow.name)}
        rules = {name: self._rule(flow) for name, flow in flows.items()}
        now = self.ledger.now()
        waiting: list[Waiting] = []
        groups: dict[str, list[Delivery]] = {name: [] for name in flows}
        for name, row in self.ledger.deliveries.active(self.source.name):
            if name not in flows or _at_rest(row, now):
                continue
            if wait := self._known_wait(flows[name], row, rules[name]):
                waiting.append(Waiting(flows[name], row.day, wait))
            else:
                groups[name].append(row)
        at, place = mark or Mark(), {name: n for n, name in enumerate(flows)}
        names = _from_mark(list(flows), place.__getitem__, place.get(at.feed))
        turns = list(
            in_turns(
                [(name, row) for row in _from_mark(groups[name], lambda row: row.day, at.days.get(name))]
                for name in names
            )
        )
        listings = _Listings(budget, listing)
        due: list[Due] = []
        problems: list[Problem] = []
        hindrances: list[EnvironmentFailure] = []
        stopped: Mark | None = None
        looked, days = "", dict(at.days)
        rows = self._as_they_are(flows, turns)
        for name, row in turns:
            if looked and (budget.spent or (most is not None and len(due) >= most)):
                stopped = Mark(looked, days)
                break
            looked, days[name] = name, row.day
            delivery, rotation = next(rows)
            if rotation:
                waiting.append(Waiting(flows[name], row.day, _rotation_wait(rotation)))
                continue
            found = self._look_at(flows[name], delivery, runs, rules[name], listings)
            due += found.due
            problems += found.problems
            waiting += found.waiting
            hindrances += found.hindrances
        due.sort(key=lambda each: (place[each.flow.name], each.day))
        return Look(tuple(due), tuple(problems), tuple(waiting), stopped, tuple(hindrances))

    def waits(self, flow: FeedFlow, delivery: Delivery) -> Wait | None:
        """What a delivery with something pending waits for; None when nothing is. Changes nothing."""
        if not delivery.pending or delivery.state in BUSY:
            return None
        if known := self._known_wait(flow, delivery, self._rule(flow)):
            return known
        try:
            decision = self._judge(flow, delivery, self.ledger.objects.of_day(flow.name, delivery.day)).decision
        except (PermanentFailure, TransientFailure) as e:
            return Wait(str(e))
        return decision if isinstance(decision, Wait) else Wait(f"complete, {decision.because}: the next look takes it")

    def _as_they_are(
        self, flows: Mapping[str, FeedFlow], listed: Sequence[tuple[str, Delivery]]
    ) -> Iterator[tuple[Delivery, TableRotation | None]]:
        """These deliveries, which the index has listed, one after the other as they are, some at a time by one call;
        and those of which the table is being made under another hashing key, to be shown as a whole, with that."""
        keys = {name: flow.table for name, flow in flows.items() if flow.feed.contract.needs_key}
        for start in range(0, len(listed), _READ_TOGETHER):
            some = listed[start : start + _READ_TOGETHER]
            rows, rotations = self.ledger.deliveries.with_rotations(
                (name, row.day, keys.get(name)) for name, row in some
            )
            for name, row in some:
                rotation = rotations.get(keys.get(name, ""))
                running = rotation if rotation and rotation.state is RotationState.RUNNING else None
                yield rows.get((name, row.day), Delivery(row.day)), running

    def settle(self, flow: FeedFlow, delivery: Delivery, *, anyway: bool = False) -> Delivery | None:
        """Settle the delivery if it is complete (or ``anyway``); None when it is not, has a run, or changed meanwhile.

        The same bytes under the same names as in the version that is published are no new version. (S3 gives every
        object under KMS an ETag of its own, so such a repeat is published again: harmless, only not free.)

        Raises:
            PermanentFailure: no manifest of the sender can be used, and it is not to settle ``anyway``; or it is, and
                no run can have its date.
        """
        if anyway:
            self._require_date(flow, delivery.day)
        done = self._settle(flow, delivery, _Listings(), anyway=anyway)
        return None if isinstance(done, Wait) else done

    def _require_date(self, flow: FeedFlow, day: date) -> None:
        if day < flow.feed.start_date:
            raise PermanentFailure(
                f"{flow.name} {day}: the date is before the feed's start_date {flow.feed.start_date}; lower that, or "
                "leave the files where they are"
            )
        if not_begun(day, self.ledger.now(), flow.ahead):
            raise PermanentFailure(
                f"{flow.name} {day}: the date has not begun (UTC), and is no partition before; settle it then, or have "
                "the files moved to the date that they are of"
            )

    def _look_at(self, flow: FeedFlow, row: Delivery, runs: Runs, rule: str, listings: _Listings) -> Look:
        if row.day < flow.feed.start_date:
            early = f"its date is before the feed's start_date {flow.feed.start_date}: lower that to process it"
            return _look(problems=self._stuck(flow, row.day, early) if row.error != early else [])
        ahead = not_begun(row.day, self.ledger.now(), flow.ahead)
        if ahead and row.state not in (DeliveryState.RUNNING, DeliveryState.TRANSFORMING):
            return _look(waiting=[Waiting(flow, row.day, ahead)])
        problems: list[Problem] = []
        waiting: list[Waiting] = []
        hindrances: list[EnvironmentFailure] = []
        delivery = self._without_dead_run(flow, row, runs, problems)
        if delivery.pending and delivery.state not in BUSY:
            settled: Delivery | None = None
            known = self._known_wait(flow, delivery, rule)
            try:
                with aws_failures(f"{flow.name} {row.day}"):
                    wait = known or self._settle(flow, delivery, listings, rule)
            except PermanentFailure as e:
                problems += self._stuck(flow, row.day, str(e), kind_of(e))
            except TransientFailure as e:
                log.warning("%s", e)
                waiting.append(Waiting(flow, row.day, Wait(str(e))))
                hindrances += [e] if isinstance(e, EnvironmentFailure) else []
            else:
                if isinstance(wait, Wait):
                    waiting.append(Waiting(flow, row.day, wait))
                    if delivery.state is not DeliveryState.FAILED:
                        return _look(waiting=waiting)
                    if not known:
                        self._no_longer_stuck(flow, row.day)
                else:
                    settled = wait
            delivery = settled or self.ledger.deliveries.get(flow.name, row.day)
        delivery = self._retried(flow, delivery)
        due = [_due(flow, delivery)] if delivery.state is DeliveryState.SETTLED else []
        return Look(tuple(due), tuple(problems), tuple(waiting), None, tuple(hindrances))

    def _settle(
        self, flow: FeedFlow, delivery: Delivery, listings: _Listings, rule: str = "", *, anyway: bool = False
    ) -> Delivery | Wait | None:
        """As :meth:`settle`, or what it waits for, which is remembered under a ``rule``."""
        judged = self._decide(flow, delivery, rule, anyway=anyway)
        if isinstance(judged.decision, Wait) and not anyway:
            return judged.decision
        until = judged.decision.until if isinstance(judged.decision, Settle) else None
        # What runs wrote is recorded with what they claim, so a listing brings nothing that counts.
        brought = 0 if flow.by_runs else self._listed_again(flow, delivery.day, judged.objects, listings, until)
        if brought is None:
            return Wait("its landing zone is being listed, which takes more than one look")
        if brought or flow.by_runs:
            delivery = self.ledger.deliveries.get(flow.name, delivery.day)
            if delivery.state not in BUSY:
                judged = self._decide(flow, delivery, rule, anyway=anyway)
        if delivery.state in BUSY:
            return None
        if leaves_out(flow) and mark_withdrawn(self.s3, self.zones, self.ledger, flow, delivery, judged.objects):
            judged = self._decide(flow, delivery, rule, anyway=anyway)
            closed = delivery.state is DeliveryState.PUBLISHED and delivery.published == delivery.version
            if closed and not (anyway or is_left(delivery, judged.objects)):
                return self.ledger.deliveries.same_again(flow.name, delivery)
        # What was judged is not read again where the listing brought nothing: whatever anybody else has changed of the
        # delivery meanwhile is a new revision of it, and a settlement of an earlier one is not written.
        decision, objects, listed = judged.decision, judged.objects, judged.manifests.listed or {}
        if isinstance(decision, Wait):
            if not anyway:
                return decision
            counted = counting(objects, every_version=flow.every_version)
            data = tuple(o for o in counted if not flow.layout.is_marker(o.key))
            decision = Settle(f"an operator did not wait ({decision.because})", data)
        entries = [manifest_entry(o, listed.get(o.key)) for o in decision.objects]
        if flow.every_version:
            entries = _told_apart(decision.objects, entries)
        since, again = self.ledger.publications.since, anyway or reopened(delivery, objects)
        # A delivery without versions has rows of some only where a doctor was stopped.
        versions = since(flow.name, delivery.day, delivery.version) if delivery.version else []
        if not again and self._is_published(flow, delivery, versions, entries):
            log.info("%s %s: the same files came again", flow.name, delivery.day)
            return self.ledger.deliveries.same_again(flow.name, delivery)
        settled = self._settle_as(flow, delivery, objects, versions, decision.because, entries, again=again)
        if settled is None and not delivery.version and (versions := since(flow.name, delivery.day, 0)):
            settled = self._settle_as(flow, delivery, objects, versions, decision.because, entries, again=again)
        return settled

    def _settle_as(
        self,
        flow: FeedFlow,
        delivery: Delivery,
        objects: Sequence[RawObject],
        versions: Iterable[Publication],
        because: str,
        entries: Sequence[Entry],
        *,
        again: bool,
    ) -> Delivery | None:
        """Settle the delivery as the version behind these."""
        version = self._next_version(flow, delivery, objects, versions)
        return self.ledger.deliveries.settle(
            flow.name,
            delivery,
            objects=len(entries),
            manifest_key=self.write_manifest(flow, delivery.day, version, because, entries, again=again),
            because=because,
            version=version,
        )

    def settle_again(
        self, flow: FeedFlow, seen: Delivery, shown: Publication, because: str, erasure: str = ""
    ) -> Delivery | None:
        """Close the objects of a version that readers see as a new one; None when the delivery changed since ``seen``.

        What came since then stays pending, or becomes it again. ``erasure`` names the one that has left less of them.
        """
        entries = read_settlement(self.s3, self.zones, shown.manifest_key)["objects"]
        objects, arrivals = self.ledger.objects.of_day(flow.name, seen.day), seen.settled_arrivals
        edited = {o.identity: o for o in objects if o.edited}
        entries = [_as_edited(entry, edited.get(identity_of(entry))) for entry in entries]
        if seen.version != shown.version:
            own = {(entry["key"], entry["version"]) for entry in entries}
            arrivals = min(arrivals, max((o.number for o in objects if (o.key, o.version) in own), default=0))
        rows = self.ledger.publications.since(flow.name, seen.day, seen.version)
        version = self._next_version(flow, seen, objects, rows)
        return self.ledger.deliveries.settle(
            flow.name,
            seen,
            objects=len(entries),
            manifest_key=self.write_manifest(flow, seen.day, version, because, entries, erasure=erasure),
            because=because,
            version=version,
            settled_arrivals=arrivals,
        )

    def _listed_again(
        self, flow: FeedFlow, day: date, objects: Sequence[RawObject], listings: _Listings, until: datetime | None
    ) -> int | None:
        """Record all that was written before the last of ``objects`` was seen, of those up to ``until``: by a listing
        that began later, a moment ago or now. Where that takes more than one look, an older one has to do. How many new
        objects it brought, None when there is more to list."""
        prefix = flow.layout.day_prefix(day)
        times = (o.seen_at for o in objects if o.seen_at and (until is None or o.seen_at <= until))
        seen = max(times, default=datetime.max.replace(tzinfo=UTC))
        begun = self.ledger.now()
        if listings.cover(prefix, seen, begun - FRESH):
            return 0
        if prefix in listings.cut:
            return 0 if listings.cover(prefix, seen) else None
        may_come = (ObjectState.IGNORED, ObjectState.WITHDRAWN)
        arrived = {(flow.name, o.sort_key) for o in objects if o.state not in may_come}
        new, whole = self.arrivals.record_listing(prefix, listings.budget.share(0.5), arrived)
        if whole:
            listings.begun[prefix] = begun
        else:
            listings.cut.add(prefix)
        return new if whole or listings.cover(prefix, seen) else None

    def _known_wait(self, flow: FeedFlow, row: Delivery, rule: str) -> Wait | None:
        """What the row alone says it waits for; None when that takes a judgement."""
        if not row.pending or not (row.permanent or row.state in (DeliveryState.OPEN, DeliveryState.PUBLISHED)):
            return None
        now = self.ledger.now()
        if row.day < flow.feed.start_date:
            return None
        if early := not_begun(row.day, now, flow.ahead):
            return early
        if row.waiting_as != _judged_as(row, rule) or (row.waiting_until and now >= row.waiting_until):
            return None
        return Wait(row.waiting, row.waiting_until)

    def _rule(self, flow: FeedFlow) -> str:
        """What a judgement depends on beside the delivery and its objects: the declaration."""
        return digest(flow.feed.arrival.model_dump_json(), self._layouts)

    @cached_property
    def _layouts(self) -> str:
        return digest(*(flow.layout.template for flow in self.source.feeds))

    def _decide(self, flow: FeedFlow, delivery: Delivery, rule: str, *, anyway: bool = False) -> _Judged:
        """Judge the delivery, remember what it waits for, and have people notified of manifests that are of no use."""
        objects = self.arrivals.objects(flow, delivery.day)
        try:
            judged = self._judge(flow, delivery, objects)
        except UnusableManifests as e:
            for number, (manifest, reason) in enumerate(e.manifests.refused):
                self.ledger.objects.refuse(flow.name, manifest, reason, MEND_MANIFEST if number else "")
            if not anyway:
                self._remember(flow, delivery, Wait(str(e)), rule, e.manifests)
                raise
            return _Judged(Wait(str(e)), objects, e.manifests)
        except EnvironmentFailure as e:
            if not anyway:
                raise
            return _Judged(Wait(str(e)), objects)
        for manifest, reason in judged.manifests.refused:
            self.ledger.objects.refuse(flow.name, manifest, reason, MEND_MANIFEST)
        for manifest in judged.manifests.used:
            if manifest.reason:
                self.ledger.objects.accept(flow.name, manifest)
        if isinstance(judged.decision, Wait):
            self._remember(flow, delivery, judged.decision, rule, judged.manifests)
        return judged

    def _remember(self, flow: FeedFlow, delivery: Delivery, wait: Wait, rule: str, manifests: _Manifests) -> None:
        if rule and manifests.final and delivery.revision:
            self.ledger.deliveries.note_waiting(
                flow.name, delivery, wait.because, wait.until, _judged_as(delivery, rule)
            )

    def _judge(self, flow: FeedFlow, delivery: Delivery, objects: Sequence[RawObject]) -> _Judged:
        """The decision and what it is about. Changes nothing.

        Raises:
            UnusableManifests: there are manifests, but none that can be met.
            TransientFailure: S3 does not hand one out at present, or not to us.
        """
        manifests = self._manifests(flow, delivery.day, objects)
        now, every = self.ledger.now(), flow.every_version
        listed = manifests.listed
        decision = decide(flow.layout, delivery, objects, now, listed, every_version=every, ahead=flow.ahead)
        return _Judged(decision, objects, manifests)

    def _manifests(self, flow: FeedFlow, day: date, objects: Iterable[RawObject]) -> _Manifests:
        """What all manifests of the delivery list together, of each the newest version that can be met."""
        if flow.by_runs:
            # Another run may end at any moment and change nothing else of the delivery, so no wait is remembered.
            return _Manifests(claimed_files(self.s3, self.zones, self.ledger, flow.name, day), final=False)
        if flow.feed.arrival.complete_when != "manifest":
            return _Manifests()
        listed: dict[str, ListedFile] = {}
        refused: list[tuple[RawObject, str]] = []
        used: list[RawObject] = []
        final = True
        for versions in versions_by_key(o for o in objects if flow.layout.is_marker(o.key)):
            for version in versions:
                try:
                    body = _read_manifest(self.s3, version)
                    manifest = parse_manifest(body, version.file_id)
                    listed |= checked_files(
                        manifest, version.key, version.file_id, lambda key: self._why_not(flow, day, key)
                    )
                except PermanentFailure as e:
                    refused.append((version, str(e)))
                    final = final and not isinstance(e, Unreadable)
                else:
                    used.append(version)
                    break
        manifests = _Manifests(listed if used else None, tuple(used), tuple(refused), final)
        if refused and not used:
            raise UnusableManifests(manifests)
        return manifests

    def _why_not(self, flow: FeedFlow, day: date, key: str) -> str:
        """Why no data file of the delivery can have this key; empty when one can."""
        placed = self.source.place(key, datetime.combine(day, time(), UTC))
        if placed is None:
            return "fits no feed's landing layout"
        owner, place = placed
        if owner.name != flow.name:
            return f"belongs to {owner.name}"
        if place.day != day:
            return f"belongs to {place.day}"
        if place.part is Part.MARKER:
            return "is a manifest itself"
        return f"never counts as a file: {place.reason}" if place.part is Part.NOISE else ""

    def _is_published(
        self, flow: FeedFlow, delivery: Delivery, versions: Iterable[Publication], entries: Sequence[Entry]
    ) -> bool:
        if delivery.state is not DeliveryState.PUBLISHED or delivery.published != delivery.version:
            return False
        # No two objects of a settlement are the same, so other numbers of them are other objects.
        if any(row.version == delivery.version and row.objects != len(entries) for row in versions):
            return False
        published = read_settlement(self.s3, self.zones, delivery.manifest_key)["objects"]
        content = partial(_content, ("version",) if flow.every_version else ())
        return set(map(content, published)) == set(map(content, entries))

    def _next_version(
        self, flow: FeedFlow, delivery: Delivery, objects: Iterable[RawObject], rows: Iterable[Publication]
    ) -> int:
        """Above what the ledger knows, and above every settlement that it must have forgotten: one of objects that it
        does not know. (A manifest of known objects alone may be what a lost race left.) A doctor that was stopped may
        have left versions of which the delivery does not know yet: ``rows`` are those from its latest on."""
        known = {(o.key, o.version) for o in objects}
        highest = max((delivery.version, *(row.version for row in rows)))
        manifests = manifests_of(self.s3, self.zones, flow.name, delivery.day, after=highest)
        for number, key in manifests.get(delivery.day, ()):
            if number > highest:
                entries = read_settlement(self.s3, self.zones, key)["objects"]
                if not {(e["key"], e["version"]) for e in entries} <= known:
                    highest = number
        return highest + 1

    def write_manifest(
        self,
        flow: FeedFlow,
        day: date,
        version: int,
        because: str,
        entries: Sequence[Entry],
        *,
        again: bool = False,
        erasure: str = "",
    ) -> str:
        """What the version consists of, as an immutable object. Its name is that of the settlement: no two have one.
        ``again`` when somebody wants all of it read again."""
        document = {
            **({"erasure": erasure} if erasure else {}),
            "feed": flow.name,
            "date": day.isoformat(),
            "version": version,
            "because": because,
            "again": again,
            "settled_at": self.ledger.now().isoformat(),
            "objects": entries,
        }
        # Without indents, which the JSON encoder of C knows nothing of: a date in many parts has long lists.
        body = json.dumps(document, sort_keys=True).encode()
        name = f"v{version:04d}-{sha256(body).hexdigest()[:16]}.json"
        key = f"{self.zones.manifests(flow.name, day)}{name}"
        self.s3.put_object(Bucket=self.zones.raw_bucket, Key=key, Body=body, **self.zones.put_arguments)
        return key

    def _without_dead_run(self, flow: FeedFlow, delivery: Delivery, runs: Runs, problems: list[Problem]) -> Delivery:
        """The delivery; free again if its run ended without a word: stopped from outside, killed, or never started.

        ``problems`` learns of one whose runs died too often.
        """
        day = delivery.day
        if delivery.state is DeliveryState.RUNNING and not runs.alive(delivery.run_id):
            ended, error = delivery.run_id, f"run {delivery.run_id} ended without a result"
        # The run ended before it could claim the delivery, and a run key launches only one run, ever.
        elif delivery.state is DeliveryState.SETTLED and runs.spent(key := _due(flow, delivery).run_key):
            ended, error = key, "the run ended before it began its work"
        else:
            return delivery
        deliveries, visible = self.ledger.deliveries, shown(self.ledger, flow, delivery)
        how, deaths = runs.ending(ended), delivery.deaths + 1
        if how is Ending.STOPPED:
            error = f"{error}: it was stopped from outside"
            changed = deliveries.stopped(flow.name, delivery, error, visible=visible)
        elif how is Ending.HINDERED:
            changed = deliveries.hindered(flow.name, delivery, error, after_hindrance, visible=visible)
        elif deaths > MAX_DEATHS and not visible:
            error = f"{error}; its runs died {deaths} times. `adplatform retry {flow.name} {day}` tries again"
            problem = Problem(flow, day, error, "is given up")
            changed = deliveries.give_up(flow.name, delivery, error, problem.message)
            problems += [problem] if changed else []
        else:
            changed = deliveries.died(flow.name, delivery, error, after_death, visible=visible)
        return changed or deliveries.get(flow.name, day)

    def _retried(self, flow: FeedFlow, delivery: Delivery) -> Delivery:
        """The delivery; settled again when its rest is over. A permanent failure waits for new objects or an operator,
        and so does one that was tried often enough, unless readers see it: then it is closed, however long it takes."""
        if delivery.state is not DeliveryState.FAILED or is_given_up(delivery):
            return delivery
        changed_at = delivery.changed_at or self.ledger.now()
        if self.ledger.now() < (delivery.not_before or changed_at + after_failure(delivery.attempt)):
            return delivery
        again = self.ledger.deliveries.launch_again(flow.name, delivery)
        return again or self.ledger.deliveries.get(flow.name, delivery.day)

    def _stuck(self, flow: FeedFlow, day: date, error: str, kind: str = "permanent") -> list[Problem]:
        """Remember the error, so that people hear of it once."""
        delivery = self.ledger.deliveries.get(flow.name, day)
        if delivery.error == error or delivery.state in BUSY:
            return []
        problem = Problem(flow, day, error, kind=kind)
        return [problem] if self.ledger.deliveries.stuck(flow.name, delivery, error, problem.message) else []

    def _no_longer_stuck(self, flow: FeedFlow, day: date) -> None:
        """What kept a delivery from settling is mended and it waits like any other, unless a run of it has failed."""
        delivery = self.ledger.deliveries.get(flow.name, day)
        row = self.ledger.publications.get(flow.name, day, delivery.version)
        closed = row is not None and row.state is DeliveryState.PUBLISHED and delivery.published == delivery.version
        if delivery.state is DeliveryState.FAILED and delivery.permanent and (closed or not delivery.version):
            self.ledger.deliveries.no_longer_stuck(flow.name, delivery, closed=closed)


def _look(
    due: Iterable[Due] = (), problems: Iterable[Problem] = (), waiting: Iterable[Waiting] = (), mark: Mark | None = None
) -> Look:
    return Look(tuple(due), tuple(problems), tuple(waiting), mark)


def _at_rest(row: Delivery, now: datetime) -> bool:
    """Whether nothing but time, an object or an operator can move it on."""
    if row.state is not DeliveryState.FAILED or row.pending:
        return False
    return is_given_up(row) or (row.not_before is not None and now < row.not_before)


def _rotation_wait(rotation: TableRotation) -> Wait:
    return Wait(
        f"its table is on its way to hashing key {rotation.key_id}, {rotation.staged} of {rotation.deliveries} "
        "deliveries are made"
    )


def _judged_as(delivery: Delivery, rule: str) -> str:
    return f"{delivery.arrivals}/{delivery.settled_arrivals}/{rule}"


def _from_mark(items: Sequence[T], order: Callable[[T], Any], mark: Any) -> list[T]:
    """The items behind the mark, then those up to it."""
    if mark is None:
        return list(items)
    return sorted(items, key=lambda item: (order(item) <= mark, order(item)))


def _due(flow: FeedFlow, delivery: Delivery) -> Due:
    return Due(flow, delivery.day, delivery.version, delivery.launch)


def manifest_entry(obj: RawObject, listed: ListedFile | None = None) -> Entry:
    """What a manifest says of an object, and of what a manifest of the sender has ``listed`` of it."""
    return _as_edited(_as_sent(obj, listed), obj if obj.edited else None)


def _as_edited(entry: Entry, obj: RawObject | None) -> Entry:
    """The entry of an object of which an erasure has left less: what its sender promised is not so any more."""
    if obj is None:
        return entry
    left = {"edited": obj.edited, "edited_key": obj.archived_key, "edited_size": obj.edited_size}
    return {**entry, **left, "sha256": None, "rows": None}


def _as_sent(obj: RawObject, listed: ListedFile | None) -> Entry:
    return {
        "bucket": obj.bucket,
        "key": obj.key,
        "version": obj.version,
        "number": obj.number,
        "size": obj.size,
        "etag": obj.etag,
        "last_modified": obj.last_modified.isoformat(),
        "sha256": listed.sha256 if listed else None,
        "rows": listed.rows if listed else None,
        **({"known_as": obj.known_as} if obj.known_as else {}),
    }


def _told_apart(objects: Sequence[RawObject], entries: Sequence[Entry]) -> list[Entry]:
    """The entries of a manifest with several versions of a key: the first that came is named by the key alone, as it is
    without others, and so keeps its name. Those that others were written over say so, and those of one second say which
    was first."""
    named: set[str] = set()
    if len({o.key for o in objects}) == len(objects):
        return list(entries)
    newest = {o.identity for o in newest_versions(objects)}
    told = []
    for obj, entry in zip(objects, entries, strict=True):
        more: Entry = {"origin": f"{obj.uri}?versionId={obj.version}"} if obj.key in named else {}
        more |= {"overwritten": True} if obj.identity not in newest else {}
        more |= {"place": obj.place} if obj.place else {}
        named.add(obj.key)
        told.append(entry | more)
    return told


def _content(more: Sequence[str], entry: Entry) -> tuple[Any, ...]:
    return tuple(entry[name] for name in ("key", "size", "etag", "sha256", "rows", *more))


def _read_manifest(s3: Any, obj: RawObject) -> bytes:
    if obj.size > MAX_MANIFEST:
        raise PermanentFailure(
            f"{obj.file_id}: {obj.size} bytes are too many for a manifest; the limit is {MAX_MANIFEST}"
        )
    try:
        with aws_failures(obj.file_id):
            return read_object(s3, obj)
    except PermanentFailure as e:
        raise Unreadable(
            f"{obj.file_id}: the manifest cannot be read, ask the sender to send it again: {e.__cause__}"
        ) from e
