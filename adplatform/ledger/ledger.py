"""The workflow metadata repository: every object, delivery, publication and file outcome, in one DynamoDB table.

All state changes are conditional writes, so that two processes, a retry or a crash can neither lose a wake-up nor start
the same work twice. The ledger knows no rules of arrival; ``adplatform.files.arrivals`` decides, this remembers.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from adplatform.failures import TransientFailure
from adplatform.ledger.rows import (
    KEYS,
    LAKE_KEY,
    UNPLACED,
    Arrived,
    Delivery,
    DeliveryState,
    FileOutcome,
    Ignored,
    LakeKey,
    ObjectState,
    Observation,
    Placement,
    Planned,
    Publication,
    R,
    RawObject,
    Refused,
    Report,
    Retired,
    Row,
    Scope,
    Slice,
    Stale,
    TableRotation,
    Told,
    Trouble,
    Untold,
    active_deliveries,
    active_reports,
    attribute,
    from_item,
    plain,
    slices_of,
    to_item,
)
from adplatform.platform.batches import answered

ACTIVE_INDEX = "active"
REMEMBER_TOLD = timedelta(days=90)
"""For longer than any backfill takes."""
_KEEPS = 3
_MARGIN = 1.2
_EARLIER_KEY_PARTS = 2  # "#" in the key of a slice that names no version; quoting leaves none in the partition
_LONGEST_EARLIER_KEY = 1024 - len("2026-01-01")  # DynamoDB Developer Guide, sort key length: longer ones never existed
MOST_READ = 100
"""Keys of one call (DynamoDB API reference, BatchGetItem)."""
_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def utc_now() -> datetime:
    return datetime.now(UTC)


def table_definition(table: str) -> dict[str, Any]:
    """The arguments of ``create_table`` for the ledger."""
    key = [("pk", "HASH"), ("sk", "RANGE")]
    index = [("active_feed", "HASH"), ("sk", "RANGE")]
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk", "active_feed")],
        "KeySchema": [{"AttributeName": n, "KeyType": t} for n, t in key],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": ACTIVE_INDEX,
                "KeySchema": [{"AttributeName": n, "KeyType": t} for n, t in index],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    }


class LeaseHeld(TransientFailure):
    """Somebody else has the lease."""


@dataclass(frozen=True)
class Ledger:
    """The ledger in ``table``. ``client`` is a boto3 DynamoDB client."""

    client: Any
    table: str
    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep

    # -- objects and deliveries

    def delivery(self, feed: str, day: date) -> Delivery:
        """The delivery of that date; a fresh one when nothing has arrived yet."""
        return self._get(Delivery, feed, f"delivery#{day}") or Delivery(day=day)

    def deliveries(self, feed: str) -> list[Delivery]:
        return list(self._query(Delivery, feed, "delivery#"))

    def newest_published(self, feed: str) -> Delivery | None:
        """The delivery of the newest date that readers can see."""
        newest_first = self._query_range(Delivery, feed, "delivery#", "delivery#~", forward=False)
        return next((delivery for delivery in newest_first if delivery.published), None)

    def active_deliveries(self, source: str) -> list[tuple[str, Delivery]]:
        """Deliveries of a source with something to do, each with the name of its feed, sorted by it and the date.

        One query for all feeds: an account may have thousands. The index is eventually consistent: a later tick sees
        what one misses.
        """
        found = self._active(active_deliveries(source))
        named = [(str(i["pk"]).removeprefix("feed#"), from_item(Delivery, i)) for i in found]
        return sorted(named, key=lambda each: (each[0], each[1].day))

    def objects(self, feed: str, day: date) -> list[RawObject]:
        """Every object version of the delivery, in order of arrival."""
        return sorted(self._query(RawObject, feed, f"object#{day}#"), key=lambda o: o.number)

    def known_objects(self, found: Iterable[tuple[str, RawObject]]) -> dict[tuple[str, str], RawObject]:
        """Those objects, each with the name of its feed, whose rows are there; by feed and sort key."""
        rows = self._get_many((feed, obj.sort_key) for feed, obj in found)
        return {key: from_item(RawObject, item) for key, item in rows.items()}

    def ignored(self, source: str) -> list[Ignored]:
        """Where the ignored objects of a source are."""
        return list(self._query(Ignored, source, "ignored#"))

    def ignored_objects(self, feed: str) -> list[RawObject]:
        """The ignored objects of all dates of a feed, oldest date first. It reads the rows of all its objects."""
        objects = self._query(RawObject, feed, "object#")
        return [obj for obj in objects if obj.state is ObjectState.IGNORED]

    def record_object(self, feed: str, obj: RawObject, action: str = "") -> bool:
        """Remember that an object arrived; False when it was known already. Only an arrived one opens the delivery.

        An object that was ignored so far, under this feed and date or others, moves here; if it counts as arrived by
        now that is an arrival like any other. One that has arrived under others stays there, so that its rows are never
        published twice. With an ``action``, what there is to do about it, an object that is
        ignored for the first time counts among those of which somebody has to be notified (:meth:`refused`).
        """
        source = feed.partition("/")[0]
        here, pointer = (feed, obj.sort_key), (source, f"ignored#{obj.identity}")
        arrived = Arrived(obj.identity, feed, obj.day)
        unplaced = (f"{source}/{UNPLACED}", replace(obj, day=obj.last_modified.astimezone(UTC).date()).sort_key)
        opens = obj.state is ObjectState.ARRIVED
        while True:
            rows = self._get_many([here, pointer, unplaced, (source, arrived.sort_key)])
            first_arrival = rows.get((source, arrived.sort_key))
            if first_arrival is not None and from_item(Arrived, first_arrival) != arrived:
                return False
            known = from_item(RawObject, rows[here]) if here in rows else None
            if known and (known.state is not ObjectState.IGNORED or (not opens and known.reason == obj.reason)):
                return False
            at = from_item(Ignored, rows[pointer]) if pointer in rows else None
            there = (at.feed, replace(obj, day=at.day).sort_key) if at else unplaced if unplaced in rows else here
            first = known is None and there == here
            row = replace(obj, seen_at=obj.seen_at or self.now())
            if opens:
                delivery = self.delivery(feed, obj.day)
                row = replace(row, number=delivery.arrivals + 1)
                writes = [self._delivery_write(feed, delivery, replace(delivery, arrivals=row.number))]
                writes += [{"Delete": {"TableName": self.table, "Key": _key(*pointer)}}] if at else []
                writes += [] if first_arrival else [self._put(source, arrived, "attribute_not_exists(pk)")]
            else:
                writes = [self._put(source, Ignored(obj.identity, feed, obj.day))]
                writes += [self._refused_write(feed, obj.uri, obj.reason, action)] if action and first else []
            writes.append(
                self._put(feed, row, "#state = :state", {":state": str(ObjectState.IGNORED)}, state="state")
                if known
                else self._put(feed, row, "attribute_not_exists(pk)")
            )
            writes += [self._delete_ignored(*there)] if there != here else []
            if self._transact(writes):
                return opens or first

    def refuse_object(self, feed: str, obj: RawObject, reason: str, action: str = "") -> bool:
        """Note why an arrived object is of no use, and with an ``action`` that somebody has to be notified; False when
        that was noted already."""
        update = {
            "TableName": self.table,
            "Key": _key(feed, obj.sort_key),
            "UpdateExpression": "SET #reason = :reason",
            "ConditionExpression": "attribute_exists(pk) AND (attribute_not_exists(#reason) OR #reason <> :reason)",
            "ExpressionAttributeNames": {"#reason": "reason"},
            "ExpressionAttributeValues": _wire({":reason": reason}),
        }
        counted = [self._refused_write(feed, obj.uri, reason, action)] if action else []
        while not self._transact([{"Update": update}, *counted]):
            found = self._get(RawObject, feed, obj.sort_key)
            if found is None or found.reason == reason:
                return False
        return True

    def refused(self, source: str) -> list[Refused]:
        """Objects of which somebody has to be notified."""
        return list(self._query(Refused, source, "refused#"))

    def clear_refused(self, source: str, notified: Refused) -> bool:
        """Somebody was notified of these; False when more have come since, which are left."""
        values = {":n": notified.objects, ":s": plain(notified.since)}
        if self._delete_if(source, notified, "objects = :n AND since = :s", values):
            return True
        try:
            self.client.update_item(
                TableName=self.table,
                Key=_key(source, notified.sort_key),
                UpdateExpression="ADD objects :told",
                ConditionExpression="objects > :n AND since = :s",
                ExpressionAttributeValues=_wire({**values, ":told": -notified.objects}),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return False

    def put_objects(self, feed: str, objects: Iterable[RawObject]) -> None:
        """Write objects as they are, for a ledger that has forgotten them; the caller changes the delivery that counts
        them."""
        self._put_all(feed, objects)

    def reopen(self, feed: str, day: date) -> Delivery:
        """Make a new version due although nothing arrived: the contract, a key or a decision changed."""
        while True:
            delivery = self.delivery(feed, day)
            reopened = replace(delivery, arrivals=delivery.arrivals + 1)
            if (written := self._move(feed, delivery, reopened)) is not None:
                return written

    def settle(
        self,
        feed: str,
        seen: Delivery,
        *,
        objects: int,
        manifest_key: str,
        because: str,
        version: int = 0,
        settled_arrivals: int | None = None,
    ) -> Delivery | None:
        """Close the set of objects as ``version``, by default the next; None when anything arrived or changed since
        ``seen``. Arrivals above ``settled_arrivals``, none by default, stay pending."""
        now = self.now()
        settled = replace(
            seen,
            state=DeliveryState.SETTLED,
            version=version or seen.version + 1,
            settled_arrivals=seen.arrivals if settled_arrivals is None else settled_arrivals,
            attempt=1,
            launches=1,
            deaths=0,
            hindered=0,
            not_before=None,
            run_id="",
            manifest_key=manifest_key,
            settled_at=now,
            settled_because=because,
            error="",
            permanent=False,
        )
        publication = Publication(
            day=seen.day,
            version=settled.version,
            objects=objects,
            manifest_key=manifest_key,
            settled_at=now,
            settled_because=because,
        )
        return self._move(feed, seen, settled, self._put(feed, publication, "attribute_not_exists(pk)"))

    def advance(self, feed: str, day: date, step: Callable[[Delivery], Delivery | None]) -> Delivery | None:
        """Apply ``step`` to the delivery as it is, anew when an object arrives meanwhile; None when ``step`` declines.

        ``step`` says whether the delivery is still in a state to move on; what arrives at any time is no reason not to.
        """
        while True:
            seen = self.delivery(feed, day)
            moved = step(seen)
            if moved is None:
                return None
            if (written := self._move(feed, seen, moved)) is not None:
                return written

    def change(self, feed: str, seen: Delivery, **changes: Any) -> Delivery | None:
        """Move the delivery on; None when somebody else changed it since ``seen``."""
        return self._move(feed, seen, replace(seen, **changes))

    def change_untold(self, feed: str, seen: Delivery, message: Untold, **changes: Any) -> Delivery | None:
        """The same of which somebody has to be told; either both are written or nothing."""
        return self._move(feed, seen, replace(seen, **changes), self._put(feed.partition("/")[0], message))

    def note_waiting(self, feed: str, seen: Delivery, because: str, until: datetime | None, judged: str) -> None:
        """Remember what the delivery lacks, unless somebody else changed it since ``seen``. Nothing about it changes,
        so this is no new revision."""
        values = {":waiting": because, ":as": judged, ":r": seen.revision}
        when = "SET waiting_until = :until," if until else "REMOVE waiting_until SET"
        try:
            self.client.update_item(
                TableName=self.table,
                Key=_key(feed, seen.sort_key),
                UpdateExpression=f"{when} waiting = :waiting, waiting_as = :as",
                ConditionExpression="revision = :r",
                ExpressionAttributeValues=_wire({**values, **({":until": plain(until)} if until else {})}),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return

    def update_object(self, feed: str, obj: RawObject, **changes: Any) -> None:
        """Change some attributes of a recorded object and leave the others as they are by now."""
        names = {f"#{name}": name for name in changes}
        self.client.update_item(
            TableName=self.table,
            Key=_wire({"pk": f"feed#{feed}", "sk": obj.sort_key}),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changes),
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=_wire({f":{n}": attribute(n, value) for n, value in changes.items()}),
        )

    # -- publications, file outcomes, slices

    def publication(self, feed: str, day: date, version: int) -> Publication | None:
        return self._get(Publication, feed, f"version#{day}#{version:04d}")

    def publications(self, feed: str, day: date | None = None) -> list[Publication]:
        return list(self._query(Publication, feed, f"version#{day}#" if day else "version#"))

    def put_publication(self, feed: str, publication: Publication) -> None:
        """Write the row as it is, for whoever closes the version or restores the ledger."""
        self.client.put_item(TableName=self.table, Item=_wire(to_item(feed, publication)))

    def note_publication(self, feed: str, publication: Publication) -> None:
        """Note how far a version has come. One that is published stays as it is: whoever notes that wakes late."""
        over = "attribute_not_exists(pk) OR #state <> :published"
        published = {":published": str(DeliveryState.PUBLISHED)}
        try:
            self.client.put_item(
                TableName=self.table,
                Item=_wire(to_item(feed, publication)),
                **_condition(over, published, {"state": "state"}),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return

    def file_outcomes(self, feed: str, day: date, version: int) -> list[FileOutcome]:
        return list(self._query(FileOutcome, feed, f"file#{day}#{version:04d}#"))

    def put_file_outcomes(self, feed: str, outcomes: Iterable[FileOutcome]) -> None:
        self._put_all(feed, outcomes)

    def slices(self, feed: str, partition: str) -> list[Slice]:
        """What each delivery version contributes to the partition, oldest delivery date first."""
        return list(self._query(Slice, feed, slices_of(partition)))

    def slices_of_day(self, feed: str, day: date) -> list[Slice]:
        """What every version of the delivery contributes to any partition."""
        return [s for s in self.all_slices(feed) if s.day == day]

    def all_slices(self, feed: str) -> list[Slice]:
        """Slices of every delivery, version and partition, those with keys of the earlier form too."""
        return list(self._query(Slice, feed, "slice#"))

    def earlier_slices(self, feed: str, partition: str | None = None) -> list[Slice]:
        """Slices, of one partition or of all, whose keys name no version: ``slice#<partition>#<day>``."""
        prefix = "slice#" if partition is None else f"slice#{quote(partition, safe='')}#"
        if len(prefix) > _LONGEST_EARLIER_KEY:
            return []
        items = self._items(feed, prefix)
        return [from_item(Slice, item) for item in items if item["sk"].count("#") == _EARLIER_KEY_PARTS]

    def upgrade_slice(self, feed: str, earlier: Slice) -> None:
        """Give one of :meth:`earlier_slices` the key of today. May be interrupted and repeated."""
        self._put_all(feed, [earlier])
        key = f"slice#{quote(earlier.partition, safe='')}#{earlier.day}"
        self.client.delete_item(TableName=self.table, Key=_wire({"pk": f"feed#{feed}", "sk": key}))

    def put_slices(self, feed: str, slices: Iterable[Slice]) -> None:
        self._put_all(feed, slices)

    def placement(self, feed: str, day: date) -> Placement | None:
        return self._get(Placement, feed, f"placement#{day}")

    def placements(self, feed: str, since: datetime | None = None) -> list[Placement]:
        """What readers see of each delivery, oldest date first; with ``since`` those that were placed since then."""
        found = list(self._query(Placement, feed, "placement#"))
        return found if since is None else [p for p in found if p.placed_at and p.placed_at >= since]

    def put_placement(self, feed: str, placement: Placement) -> bool:
        """Note what readers see; False, and nothing changes, when a newer version is placed already."""
        try:
            self.client.put_item(
                TableName=self.table,
                Item=_wire(to_item(feed, placement)),
                ConditionExpression="attribute_not_exists(pk) OR #v <= :v",
                ExpressionAttributeNames={"#v": "version"},
                ExpressionAttributeValues=_wire({":v": placement.version}),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def retired(self, feed: str) -> list[Retired]:
        return list(self._query(Retired, feed, "retired#"))

    def put_retired(self, feed: str, rows: Iterable[Retired]) -> None:
        self._put_all(feed, rows)

    def delete(self, feed: str, row: Slice | Retired | Told | Untold) -> None:
        self.client.delete_item(TableName=self.table, Key=_wire({"pk": f"feed#{feed}", "sk": row.sort_key}))

    # -- hashing keys

    def lake_key(self) -> LakeKey | None:
        return self._get(LakeKey, KEYS, LAKE_KEY)

    def begin_lake_key(self, key_id: str) -> LakeKey:
        """The key of the lake; ``key_id`` from now on when there was none."""
        first = LakeKey(key_id, self.now())
        self._transact([self._put(KEYS, first, "attribute_not_exists(pk)", {})])
        return self.lake_key() or first

    def put_lake_key(self, key: LakeKey) -> None:
        self._put_all(KEYS, [key])

    def table_rotation(self, table: str) -> TableRotation | None:
        return self._get(TableRotation, KEYS, f"table#{table}")

    def table_rotations(self) -> list[TableRotation]:
        return list(self._query(TableRotation, KEYS, "table#"))

    def put_table_rotation(self, rotation: TableRotation) -> None:
        self._put_all(KEYS, [rotation])

    # -- reports

    def report(self, feed: str, key: str) -> Report | None:
        return self._get(Report, feed, f"report#{key}")

    def reports(self, feed: str, since: date | None = None) -> list[Report]:
        """The reports of a definition and scope that were asked on or after ``since``, oldest first."""
        return list(self._query_range(Report, feed, f"report#{since or ''}", "report#~"))

    def active_reports(self, source: str) -> list[Report]:
        """Reports that have not ended. The index is eventually consistent: a later look sees what one misses."""
        return [from_item(Report, item) for item in self._active(active_reports(source))]

    def intend_report(self, report: Report) -> bool:
        """Remember that a report will be asked for; False when that was known already."""
        return self._transact([self._intention(report)])

    def change_report(self, seen: Report, successor: Report | None = None, **changes: Any) -> Report | None:
        """Move the report on, and in the same transaction intend its ``successor``, which may be known already; None
        when somebody else changed the report since ``seen``."""
        row = replace(seen, **changes, revision=seen.revision + 1, changed_at=self.now())
        write = self._put(seen.feed, row, "revision = :r", {":r": seen.revision})
        if successor is not None and self.report(successor.feed, successor.key) is None:
            return row if self._transact([write, self._intention(successor)]) else None
        return row if self._transact([write]) else None

    def observations(self, feed: str, day: date) -> list[Observation]:
        """What reports said of a date, in order of asking."""
        return list(self._query(Observation, feed, f"observed#{day}#"))

    def observations_since(self, feed: str, day: date) -> list[Observation]:
        """What reports said of each date from ``day`` on, in order of date and time of asking."""
        return list(self._query_range(Observation, feed, f"observed#{day}", "observed#~"))

    def put_observation(self, feed: str, observation: Observation) -> None:
        self._put_all(feed, [observation])

    def planned(self, source: str) -> list[Planned]:
        return list(self._query(Planned, source, "planned#"))

    def put_planned(self, source: str, planned: Planned) -> None:
        self._put_all(source, [planned])

    def scopes(self, source: str) -> list[Scope]:
        return list(self._query(Scope, source, "scope#"))

    def put_scopes(self, source: str, scopes: Iterable[Scope]) -> None:
        self._put_all(source, scopes)

    def troubles(self, source: str) -> dict[str, Trouble]:
        return {trouble.what: trouble for trouble in self._query(Trouble, source, "trouble#")}

    def note_trouble(self, source: str, what: str, error: str) -> Trouble:
        """Remember what is refused, since now."""
        trouble = Trouble(what, error, self.now())
        self._put_all(source, [trouble])
        return trouble

    def begin_trouble(self, source: str, what: str, error: str) -> bool:
        """The same for one of many who see it begin; False when somebody has noted it already."""
        return self._transact([self._put(source, Trouble(what, error, self.now()), "attribute_not_exists(pk)")])

    def clear_trouble(self, source: str, what: str) -> None:
        self.client.delete_item(TableName=self.table, Key=_wire({"pk": f"feed#{source}", "sk": f"trouble#{what}"}))

    def untold(self, source: str) -> list[Untold]:
        """Messages that are still to be sent."""
        return list(self._query(Untold, source, "untold#"))

    def put_untold(self, source: str, message: Untold) -> None:
        self._put_all(source, [message])

    def note_told(self, feed: str, what: str) -> Told | None:
        """Take it upon the caller to tell people; None when somebody did before. Notes of long ago go."""
        told = Told(what, self.now())
        if not self._transact([self._put(feed, told, "attribute_not_exists(pk)", {})]):
            return None
        self._forget_told(feed, told.at)
        return told

    def told(self, feed: str, what: str) -> Told | None:
        return self._get(Told, feed, f"told#{what}")

    def put_told(self, feed: str, what: str) -> None:
        """People were told, now. Notes of long ago go."""
        told = Told(what, self.now())
        self._put_all(feed, [told])
        self._forget_told(feed, told.at)

    def _forget_told(self, feed: str, now: datetime) -> None:
        for old in self._query(Told, feed, "told#"):
            if now - old.at > REMEMBER_TOLD:
                self.delete(feed, old)

    def stale(self, feed: str) -> list[Stale]:
        """What must be built anew of a derived table, oldest date first."""
        return list(self._query(Stale, feed, "stale#"))

    def stale_date(self, feed: str, day: date, scope: str = "") -> Stale | None:
        return self._get(Stale, feed, f"stale#{day}/{scope}")

    def mark_stale(self, feed: str, day: date, scope: str = "") -> Stale:
        """An input of that date and scope is about to change, or somebody wants it built."""
        answer = self.client.update_item(
            TableName=self.table,
            Key=_wire({"pk": f"feed#{feed}", "sk": f"stale#{day}/{scope}"}),
            UpdateExpression="SET #d = :d, #c = :c, since = if_not_exists(since, :s) ADD marks :one",
            ExpressionAttributeNames={"#d": "day", "#c": "scope"},
            ExpressionAttributeValues=_wire({":d": plain(day), ":c": scope, ":s": plain(self.now()), ":one": 1}),
            ReturnValues="ALL_NEW",
        )
        return from_item(Stale, _unwire(answer["Attributes"]))

    def clear_stale(self, feed: str, built: Stale) -> bool:
        """It was built from what there was when ``built`` was read; False when it was marked or built by others since.

        A row that is marked again after it was cleared begins at one mark, so the instant of the first mark counts too.
        """
        return self._delete_if(feed, built, "marks = :m AND since = :s", {":m": built.marks, ":s": plain(built.since)})

    # -- leases

    @contextmanager
    def lease(
        self, name: str, owner: str, *, ttl: timedelta, wait: timedelta, sleep: Callable[[float], None]
    ) -> Iterator["Lease"]:
        """Hold ``name`` alone. A holder that died is displaced after ``ttl``.

        Raises:
            LeaseHeld: another holder kept it for longer than ``wait``.
        """
        held = Lease(self, name, owner, ttl)
        give_up = self.now() + wait
        while not held.take():
            if self.now() >= give_up:
                raise LeaseHeld(f"lease {name} is held by another run; try again when that run has ended")
            sleep(0.2)
        try:
            yield held
        finally:
            held.release()

    # -- DynamoDB

    def _get(self, kind: type[R], feed: str, sort_key: str) -> R | None:
        found = self.client.get_item(
            TableName=self.table, Key=_wire({"pk": f"feed#{feed}", "sk": sort_key}), ConsistentRead=True
        )
        return from_item(kind, _unwire(found["Item"])) if "Item" in found else None

    def _get_many(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
        """The items that are there, by feed and sort key."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for items in answered(f"table {self.table}", dict.fromkeys(keys), MOST_READ, self._read, self.sleep):
            for item in items:
                found[item["pk"].removeprefix("feed#"), item["sk"]] = item
        return found

    def _read(self, keys: list[tuple[str, str]]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
        """The items of these keys, and the keys that were left unread."""
        wanted = {"Keys": [_key(*key) for key in keys], "ConsistentRead": True}
        answer = self.client.batch_get_item(RequestItems={self.table: wanted})
        unread = map(_unwire, answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", []))
        left = [(key["pk"].removeprefix("feed#"), key["sk"]) for key in unread]
        return list(map(_unwire, answer["Responses"].get(self.table, []))), left

    def _query(self, kind: type[R], feed: str, prefix: str) -> Iterator[R]:
        for item in self._items(feed, prefix):
            yield from_item(kind, item)

    def _items(self, feed: str, prefix: str) -> Iterator[dict[str, Any]]:
        return self._pages(
            KeyConditionExpression="pk = :p AND begins_with(sk, :s)",
            ExpressionAttributeValues={":p": {"S": f"feed#{feed}"}, ":s": {"S": prefix}},
            ConsistentRead=True,
        )

    def _query_range(self, kind: type[R], feed: str, first: str, last: str, *, forward: bool = True) -> Iterator[R]:
        for item in self._pages(
            KeyConditionExpression="pk = :p AND sk BETWEEN :a AND :z",
            ExpressionAttributeValues=_wire({":p": f"feed#{feed}", ":a": first, ":z": last}),
            ScanIndexForward=forward,
            ConsistentRead=True,
        ):
            yield from_item(kind, item)

    def _active(self, name: str) -> Iterator[dict[str, Any]]:
        return self._pages(
            IndexName=ACTIVE_INDEX,
            KeyConditionExpression="active_feed = :f",
            ExpressionAttributeValues={":f": {"S": name}},
        )

    def _pages(self, **query: Any) -> Iterator[dict[str, Any]]:
        for page in self.client.get_paginator("query").paginate(TableName=self.table, **query):
            yield from (_unwire(item) for item in page["Items"])

    def _put_all(self, feed: str, rows: Iterable[Row]) -> None:
        for row in rows:
            self.client.put_item(TableName=self.table, Item=_wire(to_item(feed, row)))

    def _put(
        self, feed: str, row: Row, condition: str = "", values: dict[str, Any] | None = None, **names: str
    ) -> dict[str, Any]:
        write = {"TableName": self.table, "Item": _wire(to_item(feed, row))}
        return {"Put": {**write, **_condition(condition, values, names)}}

    def _delete_ignored(self, feed: str, sort_key: str) -> dict[str, Any]:
        ignored = {":state": str(ObjectState.IGNORED)}
        condition = _condition("attribute_not_exists(pk) OR #state = :state", ignored, {"state": "state"})
        return {"Delete": {"TableName": self.table, "Key": _key(feed, sort_key), **condition}}

    def _refused_write(self, feed: str, first: str, reason: str, action: str) -> dict[str, Any]:
        row = Refused(feed, reason, 1, first, self.now(), action)
        values = {
            ":feed": feed,
            ":reason": reason,
            ":first": first,
            ":since": plain(row.since),
            ":action": action,
            ":one": 1,
        }
        return {
            "Update": {
                "TableName": self.table,
                "Key": _key(feed.partition("/")[0], row.sort_key),
                "UpdateExpression": "SET #feed = :feed, #reason = :reason, #action = :action, "
                "#first = if_not_exists(#first, :first), #since = if_not_exists(#since, :since) ADD #objects :one",
                "ExpressionAttributeNames": {
                    f"#{name}": name for name in ("feed", "reason", "action", "first", "since", "objects")
                },
                "ExpressionAttributeValues": _wire(values),
            }
        }

    def _delete_if(self, feed: str, row: Row | Stale, condition: str, values: dict[str, Any]) -> bool:
        key = {"TableName": self.table, "Key": _key(feed, row.sort_key)}
        return self._transact([{"Delete": {**key, **_condition(condition, values, {})}}])

    def _intention(self, report: Report) -> dict[str, Any]:
        now = self.now()
        row = replace(report, revision=1, intended_at=report.intended_at or now, changed_at=now)
        return self._put(report.feed, row, "attribute_not_exists(pk)")

    def _move(self, feed: str, seen: Delivery, new: Delivery, *others: dict[str, Any]) -> Delivery | None:
        """The delivery as it was written, together with ``others``; None when a condition of them did not hold."""
        write = self._delivery_write(feed, seen, new)
        return from_item(Delivery, _unwire(write["Put"]["Item"])) if self._transact([write, *others]) else None

    def _delivery_write(self, feed: str, seen: Delivery, new: Delivery) -> dict[str, Any]:
        """Replace the delivery if nobody wrote it since it was ``seen``."""
        row = replace(new, revision=seen.revision + 1, changed_at=self.now())
        if seen.revision == 0:
            return self._put(feed, row, "attribute_not_exists(pk)")
        return self._put(feed, row, "revision = :r", {":r": seen.revision})

    def _transact(self, writes: list[dict[str, Any]]) -> bool:
        """Whether all conditions held. Anything but a failed condition or a conflict is an error.

        A transaction is sent again as the same one when its answer is lost. A single write that cannot be repeated goes
        this way too: sent again, it would meet itself and be taken for somebody else's.
        """
        try:
            self.client.transact_write_items(TransactItems=writes)
        except self.client.exceptions.TransactionCanceledException as e:
            codes = {r.get("Code") for r in e.response.get("CancellationReasons", [])}
            if codes <= {"None", "ConditionalCheckFailed", "TransactionConflict"}:
                return False
            raise TransientFailure(f"the ledger refused a write: {sorted(map(str, codes))}") from e
        return True


@dataclass(frozen=True)
class Lease:
    """A lease that this process tries to hold or holds."""

    ledger: Ledger
    name: str
    owner: str
    ttl: timedelta

    def take(self) -> bool:
        """Take the lease, or keep it for another ``ttl``; False while another holder's has not run out."""
        return self._put(
            "attribute_not_exists(pk) OR #o = :o OR #u < :n",
            {":o": self.owner, ":n": self.ledger.now().isoformat()},
            {"#o": "owner", "#u": "until"},
        )

    def check(self, needs: timedelta = timedelta(0)) -> None:
        """Keep the lease before a step that must not overlap. At the return it lasts for ``needs`` at least, which is
        what the step may take.

        Raises:
            TransientFailure: it ran out and another holder took it, even one that has released it since, or the ledger
                answers too slowly to keep it.
        """
        for _ in range(_KEEPS):
            asked = self.ledger.now()
            if not self._put("#o = :o", {":o": self.owner}, {"#o": "owner"}, needs):
                raise TransientFailure(
                    f"lease {self.name} was lost to another run: this one stops before it overwrites newer work"
                )
            if self.ledger.now() + needs <= asked + self._length(needs):
                return
        raise TransientFailure(f"the ledger answers too slowly to keep lease {self.name}; run the step again")

    @contextmanager
    def kept(self, needs: timedelta = timedelta(0)) -> Iterator[None]:
        """Keep the lease during one long step, whose single calls may take ``needs``. A loss shows at the next
        :meth:`check`."""
        done = threading.Event()
        pause = self.ttl / 3

        def keep() -> None:
            while not done.wait(pause.total_seconds()):
                self.check(needs + pause if needs else needs)

        with ThreadPoolExecutor(max_workers=1) as keeper:
            keeper.submit(keep)
            try:
                yield
            finally:
                done.set()

    def release(self) -> None:
        self._conditional(
            lambda condition: self.ledger.client.delete_item(
                TableName=self.ledger.table, Key=_wire(self._key()), **condition
            ),
            "#o = :o",
            {":o": self.owner},
            {"#o": "owner"},
        )

    def _key(self) -> dict[str, Any]:
        return {"pk": f"lease#{self.name}", "sk": "lease"}

    def _length(self, needs: timedelta) -> timedelta:
        """For how long the lease is kept at once; the margin is for the call that keeps it."""
        return max(self.ttl, needs * _MARGIN)

    def _put(
        self, expression: str, values: dict[str, Any], names: dict[str, str], needs: timedelta = timedelta(0)
    ) -> bool:
        until = (self.ledger.now() + self._length(needs)).isoformat()
        item = _wire({**self._key(), "owner": self.owner, "until": until})
        return self._conditional(
            lambda condition: self.ledger.client.put_item(TableName=self.ledger.table, Item=item, **condition),
            expression,
            values,
            names,
        )

    def _conditional(
        self, call: Callable[[dict[str, Any]], Any], expression: str, values: dict[str, Any], names: dict[str, str]
    ) -> bool:
        try:
            call(
                {
                    "ConditionExpression": expression,
                    "ExpressionAttributeValues": _wire(values),
                    "ExpressionAttributeNames": names,
                }
            )
        except self.ledger.client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _key(feed: str, sort_key: str) -> dict[str, Any]:
    return _wire({"pk": f"feed#{feed}", "sk": sort_key})


def _condition(condition: str, values: Mapping[str, Any] | None, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        **({"ConditionExpression": condition} if condition else {}),
        **({"ExpressionAttributeValues": _wire(dict(values))} if values else {}),
        **({"ExpressionAttributeNames": {f"#{name}": attribute for name, attribute in names.items()}} if names else {}),
    }


def _wire(item: dict[str, Any]) -> dict[str, Any]:
    return {name: _serialize(value) for name, value in item.items()}


def _unwire(item: dict[str, Any]) -> dict[str, Any]:
    return {name: _deserialize(value) for name, value in item.items()}
