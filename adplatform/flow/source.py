"""A source as the flow sees it: its feeds, their layouts and where they land."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from adplatform.contracts.feed import Feed
from adplatform.contracts.source import PLATFORM_TOPICS, FileSource, Topics
from adplatform.failures import PermanentFailure
from adplatform.files.landing import Layout, Part, Place, layout_of
from adplatform.lake.zones import Zones
from adplatform.ledger.rows import ObjectState, RawObject, unversioned

SCOPE_VALUE = re.compile(r"(?!__HIVE_DEFAULT_PARTITION__$)[A-Za-z0-9_-]{1,64}")
UNPLACED = "_unplaced"
"""The feed of the ledger under which objects are remembered that fit no feed of their source."""


@dataclass(frozen=True)
class ScopeKey:
    """The part of a table that is delivered apart from others: a column that partitions it beside the date, and its
    value, for example an advertising profile."""

    column: str
    value: str


@dataclass(frozen=True)
class FeedFlow:
    """One feed, or one scope of it, with its compiled layout. ``table`` is its full name ``source/feed``; ``name`` is
    that of its deliveries, which ends with the scope's value where there is one."""

    source: str
    feed: Feed
    layout: Layout
    topics: Topics = PLATFORM_TOPICS
    archive: str = "archive/"
    scope: ScopeKey | None = None

    @property
    def table(self) -> str:
        return f"{self.source}/{self.feed.name}"

    @property
    def name(self) -> str:
        return f"{self.table}/{self.scope.value}" if self.scope else self.table


@dataclass(frozen=True)
class Source:
    """A source and its feeds. ``bucket`` and ``prefix`` are where it may write."""

    name: str
    bucket: str
    prefix: str
    feeds: tuple[FeedFlow, ...]

    def place(self, key: str, last_modified: datetime) -> tuple[FeedFlow, Place] | None:
        return next(_places(self.feeds, key, last_modified), None)


def declared_source(declared: FileSource, bucket: str) -> Source:
    """The source that YAML declares.

    Raises:
        PermanentFailure: a landing template is not one, or two feeds have the same.
    """
    source = make_source(declared.source, bucket, declared.feeds)
    feeds = tuple(replace(flow, topics=declared.topics, archive=declared.archive) for flow in source.feeds)
    return replace(source, feeds=feeds)


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
    return Source(name, bucket, below, flows)


def scoped(flow: FeedFlow, prefix: str, key: ScopeKey) -> FeedFlow:
    """The part of a feed that belongs to one scope, whose ``{scope}`` stands in the landing template.

    Raises:
        PermanentFailure: the value cannot be part of a key.
    """
    if not SCOPE_VALUE.fullmatch(key.value):
        raise PermanentFailure(f"{flow.table}: {key.column} {key.value!r} may hold only letters, digits, _ and -")
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
    today: date,
    seen_by: str,
) -> tuple[str, RawObject]:
    """The ledger row of an object and the full name of the feed it belongs to; ignored objects say why."""
    version = version_id if version_id not in (None, "", "null") else unversioned(etag, size)
    placed = source.place(key, modified.astimezone(UTC))
    obj = RawObject(
        day=placed[1].day if placed else modified.astimezone(UTC).date(),
        bucket=source.bucket,
        key=key,
        version=str(version),
        size=size,
        etag=etag.strip('"'),
        last_modified=modified.replace(microsecond=0),
        seen_by=seen_by,
    )
    if placed is None:
        return f"{source.name}/{UNPLACED}", _ignored(
            obj, "it fits no feed's landing layout, or the date in its key is none"
        )
    flow, place = placed
    return flow.name, _ignored(obj, reason) if (reason := _refusal(flow.feed, place, today)) else obj


def _refusal(feed: Feed, place: Place, today: date) -> str:
    if place.part is Part.NOISE:
        return place.reason
    if place.day < feed.start_date:
        return f"its date is before the feed's start_date {feed.start_date}"
    late = feed.arrival.accept_late
    if late is not None and today - place.day > late:
        return f"its date is older than accept_late {late} allows"
    return ""


def _ignored(obj: RawObject, reason: str) -> RawObject:
    return replace(obj, state=ObjectState.IGNORED, reason=reason)


def _places(feeds: Iterable[FeedFlow], key: str, modified: datetime) -> Iterator[tuple[FeedFlow, Place]]:
    for flow in feeds:
        if place := flow.layout.place(key, modified):
            yield flow, place
