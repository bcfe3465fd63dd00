"""What arrives in the landing zone, from events and listings into the ledger, once each and in S3's own order."""

import logging
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from adplatform.files.arrivals import unordered
from adplatform.files.events import ObjectCreated, parse_events
from adplatform.flow.announced import WORTH_A_PAGE, describe, is_versioned
from adplatform.flow.budget import UNLIMITED, Budget, in_turns
from adplatform.flow.listing import Round, Version, list_page, list_versions
from adplatform.flow.source import FeedFlow, Source, refusal, shared_by, to_object
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import MOST_RECORDED, ObjectState, RawObject, file_id
from adplatform.ledger.rows import digest
from adplatform.platform.queues import MOST_RECEIVED, delete_messages, receive

log = logging.getLogger(__name__)

TAKEN_TOGETHER = 100
"""Event messages whose objects are looked at and recorded together."""


@dataclass(frozen=True)
class Queue:
    """Where the events of a source's objects wait. ``sqs`` is a boto3 client."""

    sqs: Any
    url: str


@dataclass(frozen=True)
class Arrivals:
    """The objects of one source. ``s3`` is a boto3 client. Where there is no ``queue``, only listings bring objects."""

    source: Source
    s3: Any
    ledger: Ledger
    queue: Queue | None = None

    def receive(self, limit: int = 100, budget: Budget = UNLIMITED) -> int:
        """As :meth:`receive_messages`; how many."""
        return self.receive_messages(limit, budget)[0]

    def receive_messages(self, limit: int = 100, budget: Budget = UNLIMITED) -> tuple[int, bool]:
        """Move up to ``limit`` event messages into the ledger; how many new objects they brought, and whether those
        were all messages that wait.

        A message leaves the queue when the ledger has its objects. One whose object S3 refuses to describe (no
        permission for its key, for example) stays, to be tried again after its visibility timeout and to show in the
        age of the queue, until a listing has brought its object; it holds up nothing. So do those that the budget
        leaves no time for, which is enough for one at least.
        """
        new, handled, more = 0, 0, self.queue is not None
        while self.queue is not None and more and handled < limit and not (handled and budget.spent):
            messages, more = self._received(self.queue, min(limit - handled, TAKEN_TOGETHER), budget.share(0.5))
            handled += len(messages)
            new += self._take(self.queue, messages, budget) if messages else 0
        return new, not more

    def reconcile(self, prefix: str | None = None, budget: Budget = UNLIMITED) -> int:
        """As :meth:`record_listing`; how many."""
        return self.record_listing(prefix, budget)[0]

    def record_listing(
        self, prefix: str | None = None, budget: Budget = UNLIMITED, arrived: Collection[tuple[str, str]] = frozenset()
    ) -> tuple[int, bool]:
        """Record every object version below ``prefix`` that the ledger lacks, or ignores and would take by now; how
        many, and whether the budget was enough for all. Those that have ``arrived``, which nothing undoes, are not
        looked up, each named by feed and sort key."""
        new = 0
        for page in list_versions(self.s3, self.source.bucket, prefix or self.source.prefix):
            count, whole = self._record_page(page.versions, budget, arrived)
            new += count
            if not whole or (budget.spent and page.next):
                return new, False
        return new, True

    def record(self, versions: Iterable[Version]) -> int:
        """Record these object versions, as S3 lists them, where :meth:`record_listing` would; how many."""
        return self._record_page(versions, UNLIMITED)[0]

    def go_on(self, listing: Round, budget: Budget) -> tuple[int, Round]:
        """Go on with a round of listing, the lanes in turns, by one page at least; how many new objects it brought, and
        where it stands."""
        new, left = 0, dict(listing.left)
        waiting, lanes = deque(left), self.source.lanes
        while waiting and (left == listing.left or not budget.spent):
            lane = waiting.popleft()
            at = left.pop(lane)
            nested = [each for each in lanes if each != lane and each.startswith(lane)]
            page = list_page(self.s3, self.source.bucket, lane, at, nested)
            count, whole = self._record_page(page.versions, budget.share(1 / (len(waiting) + 1)))
            new += count
            if not whole:
                left[lane] = at
            elif page.next:
                left[lane] = page.next
                waiting.append(lane)
        return new, Round(listing.started, left)

    def objects(self, flow: FeedFlow, day: date) -> list[RawObject]:
        """The objects of the delivery, those of one key and second in S3's own order."""
        objects = self.ledger.objects.of_day(flow.name, day)
        keys = {group[0].key for group in unordered(objects)}
        for key in keys:
            self._put_in_order(flow, day, key)
        return self.ledger.objects.of_day(flow.name, day) if keys else objects

    def _received(self, queue: Queue, most: int, budget: Budget) -> tuple[list[dict[str, Any]], bool]:
        """Messages, and whether there may be more."""
        messages: list[dict[str, Any]] = []
        while len(messages) < most and not (messages and budget.spent):
            wanted = min(most - len(messages), MOST_RECEIVED)
            came = receive(queue.sqs, queue.url, wanted, VisibilityTimeout=300)
            if not came:
                return messages, False
            messages += came
        return messages, True

    def _take(self, queue: Queue, messages: Sequence[dict[str, Any]], budget: Budget) -> int:
        """Record the objects of messages, and delete those messages of which the ledger has everything."""
        events = [[each for each in parse_events(message["Body"]) if self._is_ours(each)] for message in messages]
        unknown = self._unknown(list(dict.fromkeys(event for its in events for event in its)))
        announced = describe(self.s3, self.source.prefix, unknown, budget)
        found = {(each["Key"], each.get("VersionId")): each for each in announced.found.values() if each is not None}
        new, _ = self._record_page(reversed(found.values()), UNLIMITED, seen_by="event")
        undone = set(unknown) - announced.found.keys()
        for event, error in announced.refused.items():
            if self._all_known(event):
                undone.remove(event)
            else:
                called = file_id(event.bucket, event.key, event.version_id or "")
                log.warning("%s: S3 does not describe it: %s", called, error)
        delete_messages(
            queue.sqs, queue.url, [each for each, its in zip(messages, events, strict=True) if undone.isdisjoint(its)]
        )
        if announced.beside and not budget.spent:
            new += self._record_page(announced.beside, budget)[0]
        return new

    def _is_ours(self, event: ObjectCreated) -> bool:
        return event.bucket == self.source.bucket and event.key.startswith(self.source.prefix)

    def _unknown(self, events: Sequence[ObjectCreated]) -> list[ObjectCreated]:
        """Those whose objects have not arrived, as far as that is worth a call; nothing undoes an arrival."""
        named = [each for each in events if is_versioned(each)]
        if len(named) < WORTH_A_PAGE:
            return list(events)
        identity = {each: digest(each.bucket, each.key, str(each.version_id)) for each in named}
        arrived = self.ledger.objects.arrived(self.source.name, identity.values())
        return [each for each in events if identity.get(each) not in arrived]

    def _all_known(self, event: ObjectCreated) -> bool:
        """Whether the ledger has whatever S3 lists of the event's object, which it does not describe."""
        listed = [
            each
            for v in self._versions_of(event.key)
            if not is_versioned(event) or event.version_id == v.get("VersionId")
            for each in self._objects_of(v)
        ]
        return len(self.ledger.objects.known(listed)) == len(listed)

    def _record_page(
        self,
        versions: Iterable[Version],
        budget: Budget,
        arrived: Collection[tuple[str, str]] = frozenset(),
        seen_by: str = "listing",
    ) -> tuple[int, bool]:
        """Record what the ledger lacks, at least one and the feeds in turns; how many, and whether all."""
        listed = [
            (feed, obj, bool(version.get("IsLatest")))
            for version in versions
            for feed, obj in self._objects_of(version, seen_by)
        ]
        found = [(feed, obj) for feed, obj, _ in listed if (feed, obj.sort_key) not in arrived]
        current = {obj.identity for _, obj, is_current in listed if is_current}
        # One alone is looked up where it is recorded.
        known = self.ledger.objects.known(found) if len(found) > 1 else {}
        # S3 lists the versions of a key newest first, and dates them by the second.
        news = [
            (feed, obj)
            for feed, obj in reversed(found)
            if _is_news(known.get((feed, obj.sort_key)), obj, current=obj.identity in current)
        ]
        news.sort(key=lambda each: each[1].last_modified)
        feeds: Mapping[str, list[RawObject]] = {feed: [] for feed, _ in news}
        for feed, obj in news:
            feeds[feed].append(obj)
        new = done = 0
        for feed, objects in in_turns([(feed, each) for each in _together(own)] for feed, own in feeds.items()):
            if len(objects) > 1 and self.ledger.objects.record_new(feed, objects):
                new += len(objects)
            else:
                new += sum([self._record(feed, obj, current=obj.identity in current) for obj in objects])
            done += len(objects)
            if budget.spent:
                break
        return new, done == len(news)

    def _record(self, feed: str, obj: RawObject, *, current: bool) -> bool:
        refused = refusal(self.source, obj, feed)
        new = self.ledger.objects.record(feed, obj, refused.action if refused else "", current=current)
        if new and obj.reason:
            level = logging.WARNING if refused and refused.action else logging.INFO
            log.log(level, "ignored %s of %s: %s", obj.file_id, feed, obj.reason)
        return new

    def object_of(self, found: Version, seen_by: str = "listing") -> tuple[str, RawObject]:
        """The ledger row of an object version as S3 describes it, and the full name of the feed it belongs to."""
        return to_object(
            self.source,
            key=found["Key"],
            version_id=found.get("VersionId"),
            size=found["Size"],
            etag=found["ETag"],
            modified=found["LastModified"],
            seen_by=seen_by,
        )

    def _objects_of(self, found: Version, seen_by: str = "listing") -> list[tuple[str, RawObject]]:
        """The same in all feeds that the object is one of."""
        return shared_by(self.source, *self.object_of(found, seen_by))

    def _versions_of(self, key: str) -> list[Version]:
        """All versions of a key, newest first. Keys that begin with it come behind it."""
        found: list[Version] = []
        for page in list_versions(self.s3, self.source.bucket, key):
            its = [v for v in page.versions if v["Key"] == key]
            found += its
            if len(its) < len(page.versions):
                break
        return found

    def _put_in_order(self, flow: FeedFlow, day: date, key: str) -> None:
        """All versions that S3 lists are recorded first, so one that is recorded later is newer and comes behind."""
        listed = self._versions_of(key)
        self._record_page(listed, UNLIMITED)
        age = {self.object_of(v)[1].version: -n for n, v in enumerate(listed)}
        for group in unordered(o for o in self.ledger.objects.of_day(flow.name, day) if o.key == key):
            # What the archive holds was settled before the others came.
            new = [o for o in group if o.place == 0 and (o.archived_key or o.version in age)]
            new.sort(key=lambda o: age.get(o.version, -len(age)))
            for place, obj in enumerate(new, start=1 + max(o.place for o in group)):
                self.ledger.objects.place(flow.name, obj, place)


def _together(objects: Iterable[RawObject]) -> Iterator[list[RawObject]]:
    """Those that follow each other and may be recorded by one write: of one date, and arrived."""
    for _, group in groupby(objects, lambda obj: (obj.day, obj.state)):
        same = list(group)
        most = MOST_RECORDED if same[0].state is ObjectState.ARRIVED else 1
        yield from (same[start : start + most] for start in range(0, len(same), most))


def _is_news(known: RawObject | None, obj: RawObject, *, current: bool) -> bool:
    if known is not None and known.state is ObjectState.WITHDRAWN:
        return current and obj.state is ObjectState.ARRIVED
    return known is None or (
        known.state is ObjectState.IGNORED and (obj.state is ObjectState.ARRIVED or obj.reason != known.reason)
    )
