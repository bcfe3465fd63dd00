"""Objects as they arrived, were ignored or were refused, each recorded once under its feed and date."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from adplatform.ledger.delivery import Delivery, delivery_write
from adplatform.ledger.rows import IllegalStep, attribute, digest, from_item, plain
from adplatform.ledger.table import NEW, Table, Write, key, unwire, wire

UNPLACED = "_unplaced"
"""The feed of a source under which objects are remembered that fit none of its feeds."""
MOST_RECORDED = 49
"""Objects of one write, of which each takes two of the hundred actions and their delivery one (DynamoDB API reference,
TransactWriteItems)."""
MOST_RECORDED_APART = 20
"""The same of objects of as many deliveries, of which each takes five of the actions."""
MOST_ARCHIVED = 98
"""Objects of one write that notes where they are in the archive, of which each takes one of those actions, and two are
for their delivery and its version."""


class ObjectState(StrEnum):
    ARRIVED = "arrived"
    IGNORED = "ignored"
    EXCLUDED = "excluded"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class RawObject:
    """One immutable object version. ``version`` is S3's version id, or ``etag+size`` in an unversioned bucket.

    ``number`` counts the arrivals of its delivery from 1. ``place`` counts the versions of its key that S3 dates to the
    same second, oldest first, and is 0 while there is no need to tell. ``archived_key`` is set once the archive holds
    the object, and from then on that is where it is read.
    """

    day: date
    bucket: str
    key: str
    version: str
    size: int
    etag: str
    last_modified: datetime
    place: int = 0
    number: int = 0
    state: ObjectState = ObjectState.ARRIVED
    reason: str = ""
    seen_at: datetime | None = None
    seen_by: str = ""
    archived_key: str = ""
    edited: str = ""
    edited_size: int = 0
    known_as: str = ""

    @property
    def stored_size(self) -> int:
        """Bytes of the object where it is now."""
        return self.edited_size if self.edited else self.size

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def version_id(self) -> str | None:
        """The version id for S3 calls; None in an unversioned bucket."""
        return None if self.version == unversioned(self.etag, self.size) else self.version

    @property
    def identity(self) -> str:
        return self.known_as or digest(self.bucket, self.key, self.version)

    @property
    def file_id(self) -> str:
        """What the object is called wherever its name must not be; see :func:`file_id`."""
        return id_of(self.identity)

    @property
    def sort_key(self) -> str:
        return object_key(self.day, self.identity)


def object_key(day: date, identity: str) -> str:
    """The sort key of an object."""
    return f"object#{day}#{identity}"


_FILE = "file:"


def file_id(bucket: str, key: str, version: str) -> str:
    """What an object version is called outside of the ledger: in tables, logs, messages, metadata and the texts of
    failures. Senders put names and addresses of people into names of files, so only the raw zone and the ledger have
    those; `adplatform ledger <id>` tells them. A version of S3 is random, so nobody can try names against the id.

    ``file:`` and 32 hexadecimal digits; a member of an archive has ``#`` and its place by name, from 1, behind it."""
    return id_of(digest(bucket, key, version))


def id_of(identity: str) -> str:
    """The same, of an object that the ledger knows by this identity."""
    return f"{_FILE}{identity}"


def is_file_id(text: str) -> bool:
    """Whether a text names a file without its name; an earlier release wrote the URI."""
    return text.startswith(_FILE)


@dataclass(frozen=True)
class Ignored:
    """The feed and date under which the row of an ignored object is, found by the object's identity."""

    identity: str
    feed: str
    day: date

    @property
    def sort_key(self) -> str:
        return f"ignored#{self.identity}"


@dataclass(frozen=True)
class Arrived:
    """The feed and date under which an object has arrived, found by its identity: a declaration that reads its key
    differently later does not make it arrive twice."""

    identity: str
    feed: str
    day: date

    @property
    def sort_key(self) -> str:
        return f"arrived#{self.identity}"


@dataclass(frozen=True)
class Refused:
    """Objects of a feed that were refused for one reason since somebody was last notified: how many, what the
    first is called, and what there is to do."""

    feed: str
    reason: str
    objects: int
    first: str
    since: datetime
    action: str = ""

    @property
    def sort_key(self) -> str:
        return f"refused#{digest(self.feed, self.reason)}"


@dataclass(frozen=True)
class Objects:
    """The objects of all feeds."""

    table: Table

    def of_day(self, feed: str, day: date) -> list[RawObject]:
        """Every object version of the delivery, in order of arrival."""
        return sorted(self.table.query(RawObject, feed, f"object#{day}#"), key=lambda o: o.number)

    def named(self, feed: str, day: date, identities: Iterable[str]) -> list[RawObject]:
        """Those of these objects of the delivery that are there."""
        keys = [(feed, object_key(day, identity)) for identity in identities]
        return [from_item(RawObject, item) for item in self.table.get_many(keys).values()]

    def named_by(self, source: str, wanted: str) -> tuple[str, RawObject] | None:
        """The feed and the row of the object of a source with this :func:`file_id`, also that of a member; None where
        the source has none."""
        identity = wanted.removeprefix(_FILE).partition("#")[0]
        found: Arrived | Ignored | None = self.table.get(Arrived, source, f"arrived#{identity}")
        found = found or self.table.get(Ignored, source, f"ignored#{identity}")
        if found is None:
            return None
        obj = self.table.get(RawObject, found.feed, object_key(found.day, identity))
        return (found.feed, obj) if obj else None

    def not_archived(self, feed: str, day: date, above: int) -> list[RawObject]:
        """Object versions of the delivery that are not in the archive, and all that are numbered ``above``, in order of
        arrival."""
        items = self.table.items(
            feed, f"object#{day}#", "attribute_not_exists(archived_key) OR #n > :n", {":n": above}, {"#n": "number"}
        )
        return sorted((from_item(RawObject, item) for item in items), key=lambda o: o.number)

    def known(self, found: Iterable[tuple[str, RawObject]]) -> dict[tuple[str, str], RawObject]:
        """Those objects, each with the name of its feed, whose rows are there; by feed and sort key."""
        rows = self.table.get_many((feed, obj.sort_key) for feed, obj in found)
        return {key: from_item(RawObject, item) for key, item in rows.items()}

    def arrived(self, source: str, identities: Iterable[str]) -> set[str]:
        """Those of these objects of a source that have arrived, under whichever feed and date."""
        rows = self.table.get_many((source, f"arrived#{identity}") for identity in identities)
        return {sort_key.removeprefix("arrived#") for _, sort_key in rows}

    def elsewhere(self, source: str, found: Iterable[tuple[str, RawObject]]) -> dict[str, str]:
        """Those objects that have arrived under another feed or date than the given: by their identity, where."""
        here = {obj.identity: Arrived(obj.identity, feed, obj.day) for feed, obj in found}
        rows = self.table.get_many((source, each.sort_key) for each in here.values())
        arrived = [from_item(Arrived, item) for item in rows.values()]
        return {each.identity: f"{each.feed} {each.day}" for each in arrived if each != here[each.identity]}

    def ignored(self, source: str) -> list[Ignored]:
        """Where the ignored objects of a source are."""
        return list(self.table.query(Ignored, source, "ignored#"))

    def ignored_of_feed(self, feed: str) -> list[RawObject]:
        """The ignored objects of all dates of a feed, oldest date first. It reads the rows of all its objects."""
        objects = self.table.query(RawObject, feed, "object#")
        return [obj for obj in objects if obj.state is ObjectState.IGNORED]

    def record(self, feed: str, obj: RawObject, action: str = "", *, current: bool = False) -> bool:
        """Remember that an object arrived; False when it was known already. Only an arrived one opens the delivery.

        An object that was ignored so far, under this feed and date or others, moves here; if it counts as arrived by
        now that is an arrival like any other. One that has arrived under others stays there, so that its rows are never
        published twice. With an ``action``, what there is to do about it, an object that is ignored for the first time
        counts among those of which somebody has to be notified (:meth:`refused`). One that was withdrawn has come back
        where it is what its key stands for now (``current``).
        """
        source = feed.partition("/")[0]
        here, pointer = (feed, obj.sort_key), (source, f"ignored#{obj.identity}")
        arrived = Arrived(obj.identity, feed, obj.day)
        unplaced = (f"{source}/{UNPLACED}", replace(obj, day=obj.last_modified.astimezone(UTC).date()).sort_key)
        opens = obj.state is ObjectState.ARRIVED
        known_delivery = (feed, Delivery(obj.day).sort_key)
        rows = None
        if opens:  # as the first of its date, which needs no look; what is there instead is said
            numbered = replace(obj, number=1, seen_at=obj.seen_at or self.table.now())
            rows = self.table.transact_new(
                [
                    delivery_write(self.table, feed, Delivery(obj.day), Delivery(obj.day, arrivals=1)),
                    self.table.put_write(source, arrived, NEW),
                    self.table.put_write(feed, numbered, NEW),
                    *(self.table.check_write(*each, NEW) for each in (pointer, unplaced)),
                ]
            )
            if rows == {}:
                return True
        while True:
            if rows is None:
                rows = self.table.get_many([here, pointer, unplaced, (source, arrived.sort_key), known_delivery])
            first_arrival = rows.get((source, arrived.sort_key))
            if first_arrival is not None and from_item(Arrived, first_arrival) != arrived:
                return False
            known = from_item(RawObject, rows[here]) if here in rows else None
            is_back = known is not None and known.state is ObjectState.WITHDRAWN and current and opens
            unchanged = known is not None and not opens and known.reason == obj.reason
            if known and not is_back and (known.state is not ObjectState.IGNORED or unchanged):
                return False
            at = from_item(Ignored, rows[pointer]) if pointer in rows else None
            there = (at.feed, replace(obj, day=at.day).sort_key) if at else unplaced if unplaced in rows else here
            first = known is None and there == here
            row = replace(obj, seen_at=obj.seen_at or self.table.now())
            if opens:
                found = rows.get(known_delivery)
                delivery = from_item(Delivery, found) if found else Delivery(obj.day)
                # One that is back keeps the number that is still to settle, for each is of one object.
                is_pending = known is not None and known.number > delivery.settled_arrivals
                row = replace(row, number=known.number if known and is_pending else delivery.arrivals + 1)
                opened = replace(delivery, arrivals=max(delivery.arrivals, row.number))
                opened = replace(opened, waiting="", waiting_until=None, waiting_as="") if is_back else opened
                writes = [delivery_write(self.table, feed, delivery, opened)]
                writes += [self.table.delete_write(*pointer)] if at else []
                writes += [] if first_arrival else [self.table.put_write(source, arrived, NEW)]
            else:
                writes = [self.table.put_write(source, Ignored(obj.identity, feed, obj.day))]
                writes += [self._refused_write(feed, obj.file_id, obj.reason, action)] if action and first else []
            writes.append(
                self.table.put_write(feed, row, "#state = :state", {":state": str(known.state)}, ["state"])
                if known
                else self.table.put_write(feed, row, NEW)
            )
            writes += [self._delete_ignored(*there)] if there != here else []
            if self.table.transact(writes):
                return opens or first
            rows = None

    def record_new(self, feed: str, objects: Sequence[RawObject]) -> bool:
        """Remember several objects of one date that have arrived, up to ``MOST_RECORDED``, in this order: all of them
        by one write. False, and none is, where the ledger knows one of them or somebody changes the delivery meanwhile:
        then each is for :meth:`record`."""
        source, day = feed.partition("/")[0], objects[0].day
        arrived = [Arrived(obj.identity, feed, day) for obj in objects]
        ignored = [Ignored(obj.identity, feed, day) for obj in objects]
        unplaced = [replace(obj, day=obj.last_modified.astimezone(UTC).date()) for obj in objects]
        # The write itself finds those that have arrived.
        known = [
            *((source, row.sort_key) for row in ignored),
            *((f"{source}/{UNPLACED}", obj.sort_key) for obj in unplaced),
        ]
        there = (feed, Delivery(day).sort_key)
        rows = self.table.get_many([*known, there])
        found = rows.pop(there, None)
        if rows:
            return False
        delivery, now = from_item(Delivery, found) if found else Delivery(day), self.table.now()
        counted = replace(delivery, arrivals=delivery.arrivals + len(objects))
        writes = [delivery_write(self.table, feed, delivery, counted)]
        for number, (obj, row) in enumerate(zip(objects, arrived, strict=True), start=delivery.arrivals + 1):
            numbered = replace(obj, number=number, seen_at=obj.seen_at or now)
            writes += [self.table.put_write(feed, numbered, NEW), self.table.put_write(source, row, NEW)]
        return self.table.transact(writes)

    def record_next(self, found: Sequence[tuple[str, Delivery, RawObject]]) -> list[tuple[Delivery, RawObject]] | None:
        """Remember the next object of each of up to ``MOST_RECORDED_APART`` deliveries, which were seen by the names of
        their feeds, by one write: the deliveries and objects as they are then. None, and nothing is written, where the
        ledger knows one of the objects or somebody has changed a delivery: then each is for :meth:`record`."""
        writes: list[Write] = []
        done = []
        for feed, seen, obj in found:
            source = feed.partition("/")[0]
            numbered = replace(obj, number=seen.arrivals + 1, seen_at=obj.seen_at or self.table.now())
            unplaced = replace(obj, day=obj.last_modified.astimezone(UTC).date())
            counted = delivery_write(self.table, feed, seen, replace(seen, arrivals=numbered.number))
            writes += [
                counted,
                self.table.put_write(feed, numbered, NEW),
                self.table.put_write(source, Arrived(obj.identity, feed, obj.day), NEW),
                self.table.check_write(source, f"ignored#{obj.identity}", NEW),
                self.table.check_write(f"{source}/{UNPLACED}", unplaced.sort_key, NEW),
            ]
            done.append((from_item(Delivery, unwire(counted["Put"]["Item"])), numbered))
        return done if self.table.transact(writes) else None

    def refuse(self, feed: str, obj: RawObject, reason: str, action: str = "") -> bool:
        """Note why an arrived object is of no use, and with an ``action`` that somebody has to be notified; False when
        that was noted already."""
        update = self.table.update_write(
            feed,
            obj.sort_key,
            "SET #reason = :reason",
            {":reason": reason},
            "attribute_exists(pk) AND (attribute_not_exists(#reason) OR #reason <> :reason)",
            ["reason"],
        )
        counted = [self._refused_write(feed, obj.file_id, reason, action)] if action else []
        while not self.table.transact([update, *counted]):
            found = self.table.get(RawObject, feed, obj.sort_key)
            if found is None or found.reason == reason:
                return False
        return True

    def refused(self, source: str) -> list[Refused]:
        """Objects of which somebody has to be notified."""
        return list(self.table.query(Refused, source, "refused#"))

    def clear_refused(self, source: str, notified: Refused) -> bool:
        """Somebody was notified of these; False when more have come since, which are left."""
        values = {":n": notified.objects, ":s": plain(notified.since)}
        if self.table.delete_if(source, notified.sort_key, "objects = :n AND since = :s", values):
            return True
        taken = {**values, ":notified": -notified.objects}
        self.table.update_if(source, notified.sort_key, "ADD objects :notified", "objects > :n AND since = :s", taken)
        return False

    def put(self, feed: str, objects: Iterable[RawObject]) -> None:
        """Write objects as they are, for a ledger that has forgotten them; the caller changes the delivery that counts
        them."""
        every = list(objects)
        self.table.put(feed, every)
        arrived = (each for each in every if each.state is not ObjectState.IGNORED)
        self.table.put(feed.partition("/")[0], (Arrived(each.identity, feed, each.day) for each in arrived))

    def archived(self, feed: str, objects: Mapping[str, RawObject], *others: Write) -> bool:
        """The archive holds these objects, each under its key, and they are read there from now on; up to
        ``MOST_ARCHIVED``, by one write together with ``others``. False, and nothing is written, where somebody else has
        changed one of them, or a condition of the others does not hold.

        Raises:
            IllegalStep: one was ignored or withdrawn, so it is of no delivery, or the key is empty.
        """
        return self.table.transact([*others, *(self.archived_write(feed, key, obj) for key, obj in objects.items())])

    def archived_write(self, feed: str, archive_key: str, obj: RawObject) -> Write:
        """The same of one object for a transaction.

        Raises:
            IllegalStep: as :meth:`archived`.
        """
        of_delivery = obj.state in (ObjectState.ARRIVED, ObjectState.EXCLUDED)
        _require(of_delivery and archive_key != "", feed, obj, "archived")
        not_yet = "attribute_exists(pk) AND attribute_not_exists(archived_key)"
        return {"Update": self._update(feed, obj, {"archived_key": archive_key}, not_yet)}

    def archived_each(self, feed: str, day: date, objects: Mapping[str, RawObject]) -> None:
        """The same of each for itself, of those that the archive does not hold by now."""
        known = {obj.identity: obj for obj in self.named(feed, day, (obj.identity for obj in objects.values()))}
        for archive_key, obj in objects.items():
            if obj.identity not in known or not known[obj.identity].archived_key:
                self._set(feed, obj, {"archived_key": archive_key})

    def edit(self, feed: str, obj: RawObject, archive_key: str, size: int, erasure: str) -> None:
        """What an erasure has left of the object is there, and is read there from now on. An ignored one is of no
        delivery, and is remembered there all the same."""
        self._set(feed, obj, {"archived_key": archive_key, "edited": erasure, "edited_size": size})

    def edited(self, feed: str) -> dict[date, list[RawObject]]:
        """The objects of a feed of which an erasure has left less, by date."""
        found: dict[date, list[RawObject]] = {}
        for item in self.table.items(feed, "object#", "attribute_exists(edited)"):
            obj = from_item(RawObject, item)
            found.setdefault(obj.day, []).append(obj)
        return found

    def exclude(self, feed: str, obj: RawObject, reason: str) -> None:
        """Leave the object out of all versions that settle from now on. What is excluded stays so.

        Raises:
            IllegalStep: it was ignored, so it is of no delivery.
        """
        _require(obj.state is not ObjectState.IGNORED, feed, obj, "excluded")
        self._set(feed, obj, {"state": ObjectState.EXCLUDED, "reason": reason})

    def withdraw(self, feed: str, obj: RawObject, reason: str) -> bool:
        """Leave the object, which its sender has deleted, out of what settles until it comes back. False, and nothing
        changes, where the archive holds it by now, which is why it is not in the landing zone, or where it is of no
        delivery."""
        values = {":w": str(ObjectState.WITHDRAWN), ":a": str(ObjectState.ARRIVED), ":reason": reason}
        update, condition = "SET #state = :w, #reason = :reason", "#state = :a AND attribute_not_exists(archived_key)"
        names = ["state", "reason"]
        return self.table.transact([self.table.update_write(feed, obj.sort_key, update, values, condition, names)])

    def place(self, feed: str, obj: RawObject, place: int) -> None:
        """Put the object in order among the versions of its key that S3 dates to the same second.

        Raises:
            IllegalStep: it has its place already, or is to have none.
        """
        _require(obj.place == 0 and place > 0, feed, obj, "placed")
        self._set(feed, obj, {"place": place})

    def accept(self, feed: str, obj: RawObject) -> None:
        """An arrived object that was of no use is used after all.

        Raises:
            IllegalStep: it was ignored or excluded, which an object is for a reason.
        """
        _require(obj.state is ObjectState.ARRIVED, feed, obj, "used")
        self._set(feed, obj, {"reason": ""})

    def _set(self, feed: str, obj: RawObject, changes: Mapping[str, object]) -> None:
        """Change some attributes of a recorded object and leave the others as they are by now."""
        self.table.client.update_item(**self._update(feed, obj, changes))

    def _update(
        self, feed: str, obj: RawObject, changes: Mapping[str, object], condition: str = "attribute_exists(pk)"
    ) -> dict[str, Any]:
        return {
            "TableName": self.table.name,
            "Key": key(feed, obj.sort_key),
            "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in changes),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in changes},
            "ExpressionAttributeValues": wire({f":{n}": attribute(n, value) for n, value in changes.items()}),
        }

    def _delete_ignored(self, feed: str, sort_key: str) -> Write:
        ignored = {":state": str(ObjectState.IGNORED)}
        return self.table.delete_write(
            feed, sort_key, "attribute_not_exists(pk) OR #state = :state", ignored, ["state"]
        )

    def _refused_write(self, feed: str, first: str, reason: str, action: str) -> Write:
        row = Refused(feed, reason, 1, first, self.table.now(), action)
        values = {
            ":feed": feed,
            ":reason": reason,
            ":first": first,
            ":since": plain(row.since),
            ":action": action,
            ":one": 1,
        }
        return self.table.update_write(
            feed.partition("/")[0],
            row.sort_key,
            "SET #feed = :feed, #reason = :reason, #action = :action, "
            "#first = if_not_exists(#first, :first), #since = if_not_exists(#since, :since) ADD #objects :one",
            values,
            names=["feed", "reason", "action", "first", "since", "objects"],
        )


def _require(allowed: bool, feed: str, obj: RawObject, done: str) -> None:
    if not allowed:
        raise IllegalStep(f"{feed} {obj.day} {obj.key}: the object is {obj.state} and cannot be {done}")


def unversioned(etag: str, size: int) -> str:
    """The identity of an object in a bucket without versioning."""
    return f"{etag.strip(chr(34))}+{size}"
