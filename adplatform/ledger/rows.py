"""The rows of the ledger as typed values, and their DynamoDB form.

One table, partition key ``pk``, sort key ``sk``, one sparse index ``active`` (``active_feed``, ``sk``):

============================  ===================================  ==================================================
pk                            sk                                   row
============================  ===================================  ==================================================
``feed#<source>/<feed>``      ``delivery#<day>``                   :class:`Delivery`, in ``active`` while work is due
``feed#<source>/<feed>``      ``object#<day>#<digest>``            :class:`RawObject`, one per object version
``feed#<source>/<feed>``      ``version#<day>#<0001>``             :class:`Publication`, one per settled version
``feed#<source>/<feed>``      ``file#<day>#<0001>#<digest>``       :class:`FileOutcome`, one per file of a version
``feed#<source>/<feed>``      ``slice#<digest>#<day>#<0001>``      :class:`Slice`, what a version gives a partition
``feed#<source>/<feed>``      ``placement#<day>``                  :class:`Placement`, what readers see of a delivery
``feed#<source>/<feed>``      ``retired#<digest>``                 :class:`Retired`, a location nothing refers to
``feed#<src>/<name>/<scope>`` ``report#<asked>#<start>_<end>#<n>`` :class:`Report`, in ``active`` until it has ended
``feed#<src>/<feed>/<scope>`` ``observed#<day>#<as_of>#<report>``  :class:`Observation`, what a report said of a date
``feed#<source>``             ``ignored#<digest>``                 :class:`Ignored`, where an ignored object's row is
``feed#<source>``             ``arrived#<digest>``                 :class:`Arrived`, where an object has arrived
``feed#<source>``             ``refused#<digest>``                 :class:`Refused`, of which nobody was notified yet
``feed#<source>``             ``planned#<name>/<scope>``           :class:`Planned`, the last day that was planned
``feed#<source>``             ``scope#<id>``                       :class:`Scope`, a profile or marketplace of it
``feed#<source>``             ``trouble#<what>``                   :class:`Trouble`, what people were told already
``feed#<source>``             ``untold#<digest>``                  :class:`Untold`, a message that is still to be sent
``feed#<source>/<feed>``      ``told#<what>``                      :class:`Told`, what people are told only once
``feed#<source>/<feed>``      ``stale#<day>/<scope>``              :class:`Stale`, a derived date to be built anew
``feed#_keys``                ``lake``                             :class:`LakeKey`, the hashing key of the lake
``feed#_keys``                ``table#<source>/<feed>``            :class:`TableRotation`, its way to another key
``lease#<name>``              ``lease``                            holder and expiry of a lease
``rate#<name>``               ``rate``                             when the next call of an operation may be made
``worker#<run>``              the work                             who works on a run (``adplatform.ledger.workers``)
``automation``                ``owner``                            which orchestrator starts runs by itself
============================  ===================================  ==================================================

An item may have 400 KB (DynamoDB Developer Guide, "Constraints"), so none grows with the data: texts are cut at
``MAX_TEXT`` characters, and what there may be any number of is in an object that the item names.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, Self, TypeVar, get_args, get_origin, get_type_hints

from adplatform.failures import clipped
from adplatform.ledger.item_size import require_fit

Item = dict[str, Any]
_TEXTS = frozenset({"error", "note", "reason", "settled_because", "waiting"})

UNPLACED = "_unplaced"
"""The feed of a source under which objects are remembered that fit none of its feeds."""

KEYS = "_keys"
"""In the place of a feed: what concerns the hashing key of the lake."""
LAKE_KEY = "lake"


class DeliveryState(StrEnum):
    OPEN = "open"
    SETTLED = "settled"
    RUNNING = "running"
    PUBLISHED = "published"
    FAILED = "failed"


class Outcome(StrEnum):
    """What became of one file. EMPTY is an outcome, not an error."""

    LOADED = "loaded"
    EMPTY = "empty"
    REFUSED = "refused"
    QUARANTINED = "quarantined"


class ObjectState(StrEnum):
    ARRIVED = "arrived"
    IGNORED = "ignored"
    EXCLUDED = "excluded"


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

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def version_id(self) -> str | None:
        """The version id for S3 calls; None in an unversioned bucket."""
        return None if self.version == unversioned(self.etag, self.size) else self.version

    @property
    def identity(self) -> str:
        return digest(self.bucket, self.key, self.version)

    @property
    def sort_key(self) -> str:
        return f"object#{self.day}#{self.identity}"


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
    """Objects of a feed that were refused for one reason since somebody was last notified: how many, the key of the
    first, and what there is to do."""

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
class Delivery:
    """The state of one feed and date.

    Objects whose ``number`` is above ``settled_arrivals`` are pending: they belong to no version yet. ``version`` is
    the latest settled one and ``published`` the latest that readers can see, 0 for none. ``revision`` counts the writes
    of this row, so that a write based on an older reading fails. ``waiting`` says what the delivery lacked when it was
    last judged, ``waiting_until`` when time alone completes it, and ``waiting_as`` what that judgement was about, so
    that it need not be repeated.

    Of the version that has settled, ``attempt`` numbers the attempt at the work that is due or under way, ``launches``
    the runs that were asked for, ``deaths`` those that ended without a word, and ``hindered`` those that could not work
    where they ran. After a failure it rests until ``not_before``.
    """

    day: date
    revision: int = 0
    state: DeliveryState = DeliveryState.OPEN
    arrivals: int = 0
    settled_arrivals: int = 0
    version: int = 0
    published: int = 0
    attempt: int = 0
    launches: int = 0
    deaths: int = 0
    hindered: int = 0
    not_before: datetime | None = None
    run_id: str = ""
    manifest_key: str = ""
    settled_at: datetime | None = None
    settled_because: str = ""
    changed_at: datetime | None = None
    error: str = ""
    permanent: bool = False
    waiting: str = ""
    waiting_until: datetime | None = None
    waiting_as: str = ""

    @property
    def pending(self) -> int:
        return self.arrivals - self.settled_arrivals

    @property
    def launch(self) -> int:
        """The number of the run that is due or under way. Rows that count no launches have one for each attempt."""
        return self.launches or self.attempt

    @property
    def active(self) -> bool:
        return self.pending > 0 or self.state in (DeliveryState.SETTLED, DeliveryState.RUNNING, DeliveryState.FAILED)

    @property
    def sort_key(self) -> str:
        return f"delivery#{self.day}"


@dataclass(frozen=True)
class Publication:
    """One settled version of a delivery and what became of it. Counts are rows.

    ``reasons`` are the most frequent and ``locations`` the first of ``reason_count`` and ``location_count``; where
    there are more, ``details_key`` names the object with all of them. ``adplatform.lake.details`` reads either.
    ``note`` is what a reader of the table should know beside that: it is published, and yet not what they see, for
    example. ``key_id`` names the hashing key of its digests, ``previous_key_id`` that of the digests kept beside them.
    """

    day: date
    version: int
    objects: int
    manifest_key: str
    settled_at: datetime
    settled_because: str
    state: DeliveryState = DeliveryState.SETTLED
    run_id: str = ""
    rows_in: int = 0
    clean: int = 0
    superseded: int = 0
    quarantined: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    table: str = ""
    locations: tuple[str, ...] = ()
    reason_count: int = 0
    location_count: int = 0
    details_key: str = ""
    quarantine_key: str = ""
    seconds: Decimal = Decimal(0)
    finished_at: datetime | None = None
    error: str = ""
    note: str = ""
    key_id: str = ""
    previous_key_id: str = ""

    @property
    def sort_key(self) -> str:
        return f"version#{self.day}#{self.version:04d}"


@dataclass(frozen=True)
class FileOutcome:
    """What one file of one version came to. ``origin`` is ``s3://bucket/key`` with ``#member`` inside archives."""

    day: date
    version: int
    origin: str
    outcome: Outcome
    reason: str = ""
    bytes: int = 0
    sha256: str = ""
    rows_in: int = 0
    clean: int = 0
    superseded: int = 0
    quarantined: int = 0
    prepared_key: str = ""
    signer: str = ""
    decryption_key: str = ""

    @property
    def sort_key(self) -> str:
        return f"file#{self.day}#{self.version:04d}#{digest(self.origin)}"


@dataclass(frozen=True)
class Slice:
    """The rows one delivery version contributes to one partition of a table partitioned by a column.

    It counts once its version is the placed one of its delivery (:class:`Placement`). Without a location it says that
    the version has no rows there any more and the partition must be made without it. ``manifest`` names the settlement
    and ``key_id`` the hashing key of its personal columns, "" where there is none.
    """

    partition: str
    day: date
    version: int
    location: str = ""
    rows: int = 0
    key_id: str = ""
    manifest: str = ""

    @property
    def sort_key(self) -> str:
        return f"{slices_of(self.partition)}{self.day}#{self.version:04d}"


@dataclass(frozen=True)
class Placement:
    """The version of a delivery that readers see, by all the ledger knows.

    ``manifest`` names its settlement; ``location`` and ``rows`` are its files where a delivery has some of its own, in
    a table partitioned by a column its slices have them. ``key_id`` is as in :class:`Slice`.
    """

    day: date
    version: int
    manifest: str = ""
    location: str = ""
    rows: int = 0
    key_id: str = ""
    placed_at: datetime | None = None

    @property
    def sort_key(self) -> str:
        return f"placement#{self.day}"


@dataclass(frozen=True)
class Retired:
    """A location of the clean zone that nothing refers to, and since when that is known."""

    location: str
    since: datetime

    @property
    def sort_key(self) -> str:
        return f"retired#{digest(self.location)}"


class ReportState(StrEnum):
    """Where a report stands. LANDED: its slices are in the raw zone; DONE: the common flow has dealt with all of them.
    EMPTY is an outcome like DONE: Amazon has no rows for these dates."""

    INTENDED = "intended"
    REQUESTED = "requested"
    READY = "ready"
    STORED = "stored"
    LANDED = "landed"
    DONE = "done"
    EMPTY = "empty"
    FAILED = "failed"


ENDED = frozenset({ReportState.DONE, ReportState.EMPTY, ReportState.FAILED})


@dataclass(frozen=True)
class Report:
    """One report asked of an API: from the intention, written before anybody is asked, to its slices.

    ``asked_on`` is the date of asking in the scope's time zone and ``sequence`` counts the orders of one range on that
    date from 1. ``waves`` maps the dates that were due to the age in days for which they were. ``report_id`` is stored
    before the first poll. ``attempt`` counts the tries of the present step, which rests until ``not_before``, and
    ``returned`` the runs that spent none, because they were stopped or hindered.
    ``revision`` counts the writes of the row, so that a write based on an older reading fails.
    """

    source: str
    name: str
    scope: str
    asked_on: date
    start: date
    end: date
    sequence: int
    report_type: str
    definition: str
    state: ReportState = ReportState.INTENDED
    revision: int = 0
    waves: Mapping[str, int] = field(default_factory=dict)
    report_id: str = ""
    adopted: bool = False
    attempt: int = 0
    returned: int = 0
    not_before: datetime | None = None
    intended_at: datetime | None = None
    requested_at: datetime | None = None
    polls: int = 0
    polled_at: datetime | None = None
    overdue: bool = False
    document: str = ""
    ready_at: datetime | None = None
    run_id: str = ""
    bytes: int = 0
    sha256: str = ""
    charset: str = ""
    raw_key: str = ""
    stored_at: datetime | None = None
    rows: int = 0
    outside_rows: int = 0
    outside_key: str = ""
    landed_at: datetime | None = None
    changed_at: datetime | None = None
    error: str = ""
    permanent: bool = False

    @property
    def feed(self) -> str:
        return f"{self.source}/{self.name}/{self.scope}"

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def days(self) -> list[date]:
        """The dates of its range, the oldest first."""
        return [self.start + timedelta(days=n) for n in range((self.end - self.start).days + 1)]

    @property
    def key(self) -> str:
        """Its name among the reports of one definition and scope."""
        return f"{self.asked_on}#{self.start}_{self.end}#{self.sequence:02d}"

    @property
    def sort_key(self) -> str:
        return f"report#{self.key}"


@dataclass(frozen=True)
class Observation:
    """What one report said of one date: totals per metric, and a digest of the rows that ignores their order.

    ``landed`` tells whether it brought the rows that the table shows; one that repeated them did not.
    """

    day: date
    as_of: datetime
    age: int
    wave: int
    report_id: str
    rows: int
    content: str
    landed: bool = True
    totals: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def sort_key(self) -> str:
        return f"observed#{self.day}#{self.as_of.astimezone(UTC).isoformat()}#{self.report_id}"


@dataclass(frozen=True)
class Stale:
    """A date, and scope where there are any, of a derived table that was marked ``marks`` times since it was built."""

    day: date
    marks: int
    since: datetime
    scope: str = ""

    @property
    def sort_key(self) -> str:
        return f"stale#{self.day}/{self.scope}"


@dataclass(frozen=True)
class Scope:
    """A profile or a marketplace that the source's credentials can read, as the API described it at ``seen_at``."""

    id: str
    timezone: str
    country: str = ""
    currency: str = ""
    name: str = ""
    kind: str = ""
    seen_at: datetime | None = None

    @property
    def sort_key(self) -> str:
        return f"scope#{self.id}"


@dataclass(frozen=True)
class Planned:
    """Up to which local date the reports of one definition and scope have been planned."""

    name: str
    scope: str
    day: date
    definition: str
    at_risk: int = 0
    postponed: int = 0

    @property
    def sort_key(self) -> str:
        return f"planned#{self.name}/{self.scope}"


@dataclass(frozen=True)
class Trouble:
    """What Amazon refuses a source at present, a scope for example; people were told when it began."""

    what: str
    error: str
    since: datetime

    @property
    def sort_key(self) -> str:
        return f"trouble#{self.what}"


@dataclass(frozen=True)
class Told:
    """A message that many runs may have reason to send and one sends: of a backfill, or of a date's deadline."""

    what: str
    at: datetime

    @property
    def sort_key(self) -> str:
        return f"told#{self.what}"


@dataclass(frozen=True)
class Untold:
    """A message of a failure that nobody has got yet; ``facts`` is JSON, and an empty ``topic`` the platform's."""

    event: str
    subject: str
    facts: str
    topic: str = ""

    @classmethod
    def of(cls, topic: str | None, event: str, subject: str, facts: Mapping[str, Any]) -> Self:
        return cls(event, subject, json.dumps(facts, default=str, sort_keys=True), topic or "")

    @property
    def sort_key(self) -> str:
        return f"untold#{digest(self.event, self.subject, self.facts, self.topic)}"


@dataclass(frozen=True)
class LakeKey:
    """The hashing key that all tables of the lake are to share, by its id.

    ``previous_id`` is the key before it. ``next_version`` is the secret's version of a key that is about to be made,
    ``next_dual_until`` its ``dual_until``: when digests under the previous key are no longer stored beside the current
    ones. ``rotating`` until every delivery that can be made again is under this key.
    """

    key_id: str
    since: datetime
    previous_id: str = ""
    next_version: str = ""
    next_dual_until: datetime | None = None
    dual_until: datetime | None = None
    rotating: bool = False

    @property
    def sort_key(self) -> str:
        return LAKE_KEY

    def is_of_unrecorded(self, key_id: str) -> bool:
        """Whether rows whose key was not recorded count as made with this one, the lake's: no rotation
        is bringing them to it."""
        return key_id == self.key_id and not self.rotating

    def dual(self, now: datetime) -> bool:
        """Whether digests under the previous key are to be stored, too."""
        return bool(self.previous_id) and self.dual_until is not None and now < self.dual_until


class RotationState(StrEnum):
    """KEPT: the table stays under its key, because originals that it is made of are gone."""

    RUNNING = "running"
    DONE = "done"
    KEPT = "kept"


@dataclass(frozen=True)
class TableRotation:
    """The way of one table from the key ``from_id`` ("" when unknown) to ``key_id``. ``staged`` of ``deliveries`` are
    made and not shown yet; ``left`` deliveries stay under an earlier key because their originals are gone."""

    table: str
    from_id: str
    key_id: str
    state: RotationState
    started_at: datetime
    deliveries: int = 0
    staged: int = 0
    left: int = 0

    @property
    def sort_key(self) -> str:
        return f"table#{self.table}"


Row = (
    RawObject
    | Arrived
    | Ignored
    | Refused
    | Delivery
    | Publication
    | FileOutcome
    | Slice
    | Placement
    | Retired
    | Report
    | Observation
    | Planned
    | Scope
    | Trouble
    | Told
    | Untold
    | LakeKey
    | TableRotation
)
R = TypeVar(
    "R",
    RawObject,
    Arrived,
    Ignored,
    Refused,
    Delivery,
    Publication,
    FileOutcome,
    Slice,
    Placement,
    Retired,
    Report,
    Observation,
    Planned,
    Scope,
    Stale,
    Trouble,
    Told,
    Untold,
    LakeKey,
    TableRotation,
)


def digest(*parts: str) -> str:
    """A short, stable name for values too long for a sort key (DynamoDB Developer Guide: 1,024 bytes)."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]


def slices_of(partition: str) -> str:
    """What the sort keys of a partition's slices begin with."""
    return f"slice#{digest(partition)}#"


def unversioned(etag: str, size: int) -> str:
    """The identity of an object in a bucket without versioning."""
    return f"{etag.strip(chr(34))}+{size}"


def to_item(feed: str, row: Row) -> Item:
    """The row as a DynamoDB item (resource-style values); optional attributes that are empty are left out.

    Raises:
        PermanentFailure: DynamoDB takes no item of that size, or no such sort key.
    """
    item: Item = {"pk": f"feed#{feed}", "sk": row.sort_key}
    required = {f.name for f in fields(row) if f.default is MISSING and f.default_factory is MISSING}
    for name, value in asdict(row).items():
        if name in required or value not in ("", None, (), {}):
            item[name] = attribute(name, value)
    if isinstance(row, Delivery) and row.active:
        item["active_feed"] = active_deliveries(feed.partition("/")[0])
    if isinstance(row, Report) and not row.ended:
        item["active_feed"] = active_reports(row.source)
    require_fit(item)
    return item


def active_deliveries(source: str) -> str:
    """Under which name the index lists the deliveries of a source with something to do."""
    return f"deliveries#{source}"


def active_reports(source: str) -> str:
    """Under which name the index lists the reports of a source that have not ended."""
    return f"reports#{source}"


def from_item(kind: type[R], item: Mapping[str, Any]) -> R:
    hints = _hints(kind)  # type: ignore[arg-type]  # mypy takes the class for one of its unhashable values
    return kind(**{f.name: _typed(hints[f.name], item[f.name]) for f in fields(kind) if f.name in item})


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    """Resolving them takes longer than all the rest of reading a row."""
    return get_type_hints(kind)


def attribute(name: str, value: Any) -> Any:
    """A named attribute as DynamoDB keeps it, a text for people cut to its limit."""
    return clipped(value) if name in _TEXTS else plain(value)


def plain(value: Any) -> Any:
    """An attribute as DynamoDB keeps it: dates and instants as ISO 8601 text, instants in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, StrEnum) else value


def _typed(hint: Any, value: Any) -> Any:
    if isinstance(hint, UnionType):
        hint = next(a for a in get_args(hint) if a is not type(None))
    origin = get_origin(hint) or hint
    if origin is tuple:
        return tuple(value)
    if origin in (datetime, date):
        return origin.fromisoformat(value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        number = get_args(hint)[1]
        return {k: number(v) for k, v in value.items()}
    return hint(value) if hint in (int, Decimal) or issubclass(hint, StrEnum) else value
