"""A source as the flow sees it: its feeds, their layouts and where they land."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from fnmatch import translate
from functools import cached_property

from adplatform.contracts.cost import CostBudget
from adplatform.contracts.feed import Feed
from adplatform.contracts.source import PLATFORM_TOPICS, RETENTION, FileSource, Retention, Topics
from adplatform.failures import PermanentFailure
from adplatform.files.landing import Layout, Part, Place, layout_of, noise
from adplatform.flow.workloads import Workload, awaiting, workloads_of
from adplatform.lake.zones import Zones
from adplatform.ledger.objects import UNPLACED, ObjectState, RawObject, unversioned
from adplatform.ledger.rows import digest

SCOPE_VALUE = re.compile(r"(?!__HIVE_DEFAULT_PARTITION__$)(?=.{1,64}$)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True)
class ScopeKey:
    """The part of a table that is delivered apart from others: a column that partitions it beside the date, and its
    value, for example an account or a country."""

    column: str
    value: str


@dataclass(frozen=True)
class FeedFlow:
    """One feed, or one scope of it, with its compiled layout. ``table`` is its full name ``source/feed``; ``name`` is
    that of its deliveries, which ends with the scope's value where there is one. With ``every_version`` each object
    version is a file of its own, whatever is written under its key later; otherwise the newest of a key counts.
    ``remedy`` is what can be done about a bad file, and ``sent`` whether somebody sends the files. ``keep_originals``
    is for how long they are kept in the archive, where not for ever, once they are in the merges that the ledger has as
    ``merged_as``, if there are any. Of files that are ``uploaded`` in sessions the ledger may know that one is not
    whole. ``pattern`` is the way in which the source's data comes, as its declaration calls it. ``budget`` is what the
    source may use, where it says so. ``awaited_by`` is what services do with other tables of the source and wait for
    this one with. ``made_of`` are the tables of which this one is made, if it is. Scopes of a ``compacted`` table share
    the partition of a date. Its dates begin ``ahead`` of when they do by UTC, where they are days of a place and come
    before they are over."""

    source: str
    feed: Feed
    layout: Layout
    topics: Topics = PLATFORM_TOPICS
    archive: str = "archive/"
    scope: ScopeKey | None = None
    every_version: bool = False
    remedy: str = "Ask the sender to send them again under the same names"
    sent: bool = True
    keep_originals: timedelta | None = None
    merged_as: str = ""
    uploaded: bool = False
    retention: Retention = RETENTION
    pattern: str = ""
    budget: CostBudget | None = None
    made_of: tuple[str, ...] = ()
    awaited_by: tuple[Workload, ...] = ()
    compacted: bool = False
    ahead: timedelta = timedelta(0)

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """What services do with the table when it was published."""
        return workloads_of(self.table, self.feed.consumers)

    @property
    def table(self) -> str:
        return f"{self.source}/{self.feed.name}"

    @property
    def name(self) -> str:
        return f"{self.table}/{self.scope.value}" if self.scope else self.table

    @property
    def by_runs(self) -> bool:
        """Whether an engine writes the files, so that its ended runs say what counts."""
        return self.feed.arrival.complete_when == "engine"


@dataclass(frozen=True)
class Refusal:
    """Why an object is ignored, and what makes its source take it. Nobody is notified of one without an action: it is
    noise, such as a folder or an unfinished file."""

    reason: str
    action: str = ""


@dataclass(frozen=True)
class Source:
    """A source and its feeds. ``bucket`` and ``prefix`` are where it may write; one that ``takes_files`` from anybody
    has a queue for the events of its objects. ``derived`` are tables that are made of those of its feeds, each as a
    feed that nothing delivers; those of rows are what the ledger has ``merges`` of, by name. Objects below the source's
    prefix whose keys ``aside`` fits belong to nobody. ``documents`` are prefixes with originals beside the archive.
    ``pattern`` and ``budget`` are as of its feeds."""

    name: str
    bucket: str
    prefix: str
    feeds: tuple[FeedFlow, ...]
    takes_files: bool = True
    derived: tuple[FeedFlow, ...] = ()
    merges: tuple[str, ...] = ()
    aside: re.Pattern[str] | None = None
    retention: Retention = RETENTION
    documents: tuple[str, ...] = ()
    pattern: str = ""
    budget: CostBudget | None = None

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """What services do with its tables when they were published."""
        tables = {flow.table: flow for flow in (*self.feeds, *self.derived)}
        return tuple(each for flow in tables.values() for each in flow.workloads)

    def place(self, key: str, last_modified: datetime) -> tuple[FeedFlow, Place] | None:
        return next(_places(self.feeds, key, last_modified), None)

    @cached_property
    def _of_loads(self) -> tuple[FeedFlow, ...]:
        return tuple(flow for flow in self.feeds if flow.layout.load_marker)

    def marked_by(self, key: str, last_modified: datetime) -> list[tuple[FeedFlow, Place]]:
        """The feeds that wait for a load of which the key is the marker, none of any other key."""
        marked = (flow for flow in self._of_loads if flow.layout.marked_load(key))
        return list(_places(marked, key, last_modified))

    @property
    def lanes(self) -> tuple[str, ...]:
        """The prefixes that are listed one beside the other, so that a feed with many objects holds up no other. Where
        one begins with another, the shorter leaves it out; the source's own brings what fits no feed."""
        return tuple(sorted({self.prefix, *(flow.layout.prefix for flow in self.feeds)}))


def declared_source(declared: FileSource, bucket: str) -> Source:
    """The source that YAML declares.

    Raises:
        PermanentFailure: a landing template is not one, or two feeds have the same.
    """
    source = make_source(declared.source, bucket, declared.feeds)
    consumed = [(flow.table, flow.feed.consumers) for flow in source.feeds]
    feeds = tuple(
        replace(
            flow,
            topics=declared.topics,
            archive=declared.archive,
            retention=declared.retention,
            pattern=declared.pattern,
            awaited_by=awaiting(flow.table, consumed),
            budget=declared.budget,
        )
        for flow in source.feeds
    )
    return replace(source, feeds=feeds, retention=declared.retention, pattern=declared.pattern, budget=declared.budget)


def make_source(name: str, bucket: str, feeds: Iterable[Feed], prefix: str | None = None) -> Source:
    """The source that writes below ``landing/<name>/`` of ``bucket``, or below ``prefix``.

    Raises:
        PermanentFailure: a landing template is not one, or two feeds have the same.
    """
    below = prefix or Zones.landing(name)
    flows = tuple(FeedFlow(name, feed, layout_of(below, feed)) for feed in feeds)
    owners: dict[str, str] = {}
    for flow in flows:
        owner = owners.setdefault(flow.layout.template, flow.feed.name)
        if owner != flow.feed.name:
            raise PermanentFailure(f"feeds {owner} and {flow.feed.name} have the same landing {flow.feed.landing!r}")
    return Source(name, bucket, below, flows, aside=_aside(flows))


def _aside(flows: Iterable[FeedFlow]) -> re.Pattern[str] | None:
    patterns = sorted({pattern for flow in flows for pattern in flow.feed.arrival.aside})
    return re.compile("|".join(rf"\A{translate(pattern)}" for pattern in patterns)) if patterns else None


def scoped(flow: FeedFlow, prefix: str, key: ScopeKey) -> FeedFlow:
    """The part of a feed that belongs to one scope, whose ``{scope}`` stands in the landing template.

    Raises:
        PermanentFailure: the value cannot be part of a key.
    """
    if not SCOPE_VALUE.fullmatch(key.value):
        raise PermanentFailure(
            f"{flow.table}: {key.column} {key.value!r} may hold only letters, digits, _, - and single dots"
        )
    if "{scope}" not in flow.feed.landing:
        raise PermanentFailure(
            f"{flow.table}: landing {flow.feed.landing!r} does not tell scopes apart; it lacks {{scope}}"
        )
    feed = flow.feed.model_copy(update={"landing": flow.feed.landing.replace("{scope}", key.value)})
    return replace(flow, feed=feed, layout=layout_of(prefix, feed), scope=key)


def to_object(
    source: Source,
    *,
    key: str,
    version_id: str | None,
    size: int,
    etag: str,
    modified: datetime,
    seen_by: str,
) -> tuple[str, RawObject]:
    """The ledger row of an object and the full name of the feed it belongs to; ignored objects say why.

    The object's own time decides, so that nothing depends on when the platform comes to look. Of a marker of loads the
    first feed that waits for it; :func:`shared_by` has all.
    """
    version = version_id if version_id not in (None, "", "null") else unversioned(etag, size)
    modified = modified.astimezone(UTC).replace(microsecond=0)
    placed = source.place(key, modified)
    obj = RawObject(
        day=modified.date(),
        bucket=source.bucket,
        key=key,
        version=str(version),
        size=size,
        etag=etag.strip('"'),
        last_modified=modified,
        seen_by=seen_by,
    )
    return _placed(source, placed, obj)


def shared_by(source: Source, feed: str, obj: RawObject) -> list[tuple[str, RawObject]]:
    """The rows of an object in all feeds that it is one of: of a marker of loads one in each that waits for it, known
    there by an identity of its own, as no object arrives twice; of any other that which it has in this ``feed``."""
    return [
        _placed(source, each, replace(obj, known_as=digest(obj.bucket, obj.key, obj.version, each[0].name)))
        for each in source.marked_by(obj.key, obj.last_modified)
    ] or [(feed, obj)]


def _placed(source: Source, placed: tuple[FeedFlow, Place] | None, obj: RawObject) -> tuple[str, RawObject]:
    refused = _refusal(source, placed, obj.key, obj.last_modified)
    return placed[0].name if placed else f"{source.name}/{UNPLACED}", replace(
        obj,
        day=placed[1].day if placed else obj.last_modified.date(),
        state=ObjectState.IGNORED if refused else ObjectState.ARRIVED,
        reason=refused.reason if refused else "",
    )


def refusal(source: Source, obj: RawObject, feed: str = "") -> Refusal | None:
    """Why the present declaration ignores an object, as one of the ``feed`` where it is that of several; None when it
    takes it."""
    marked = source.marked_by(obj.key, obj.last_modified) if feed else ()
    placed = next((each for each in marked if each[0].name == feed), None)
    return _refusal(source, placed or source.place(obj.key, obj.last_modified), obj.key, obj.last_modified)


def _refusal(source: Source, placed: tuple[FeedFlow, Place] | None, key: str, modified: datetime) -> Refusal | None:
    if placed is None:
        below = key.removeprefix(source.prefix)
        if source.aside is not None and source.aside.search(below):
            return Refusal("it is what its writer notes for itself")
        no_file = noise(below)
        return Refusal(
            "it fits no feed's landing layout, or the date in its key is none",
            "" if no_file else "correct the feed's `landing`, or ask the sender to put it where `landing` says",
        )
    flow, place = placed
    feed, arrival = flow.feed, flow.feed.arrival
    if place.part is Part.NOISE:
        return Refusal(place.reason)
    if place.day < feed.start_date:
        # The files that a marker is of say what to do, if there are any.
        lower = "" if flow.layout.marked_load(key) else "lower start_date to take it"
        return Refusal(f"its date is before the feed's start_date {feed.start_date}", lower)
    begin = datetime.combine(place.day, time(), UTC)
    if arrival.accept_late is not None and modified - begin >= arrival.accept_late + timedelta(days=1):
        return Refusal(
            f"its date is older than accept_late {arrival.accept_late} allows", "lengthen accept_late to take it"
        )
    if arrival.accept_early is not None and begin - modified > arrival.accept_early:
        return Refusal(
            f"its date is further ahead than accept_early {arrival.accept_early} allows",
            "lengthen accept_early to take it, or ask the sender to send it again when its date is nearer",
        )
    return None


def _places(feeds: Iterable[FeedFlow], key: str, modified: datetime) -> Iterator[tuple[FeedFlow, Place]]:
    for flow in feeds:
        if place := flow.layout.place(key, modified):
            yield flow, place
