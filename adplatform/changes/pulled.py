"""A table that is pulled in batches, made into the rows that there are: readings in place of changes, and what a
complete one lacks in place of deletions.

A row that was read is an upsert, and its sequence is the moment after which the view of its reading can not have been
taken (``seen_at``). A complete reading, of all rows or of their keys alone, says of every key that it lacks that there
was no such row in its view: a deletion, whose sequence is the moment before which the view was not taken
(``seen_from``). A merge applies whatever has the greater sequence, so the order in which readings are published and
merged does not matter. Why no row is deleted that is there:

* A deletion takes a row only if ``seen_at`` of the row's reading is below ``seen_from`` of the complete one: the row's
  view was the older of the two, and what happened between them is in the later. Where the two spans meet nothing is
  deleted, and the next complete reading tells.
* A row that was inserted again is read by a reading whose view is later, so its sequence is greater: it comes back.
* A reading that began anew with another view keeps chunks of the one before. Its rows have the moment of the last view:
  too late for some, so a row that was deleted meanwhile may stay until the next complete reading, never the reverse.

A reading does not begin while another of the same table goes on, so spans meet only where a clock is wrong.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, ClassVar

from adplatform.changes.generations import sequence_at
from adplatform.changes.made import MadeTable
from adplatform.changes.merging import Complete
from adplatform.contracts.activation import NO_ACTIVATIONS
from adplatform.contracts.changes import CHANGED_AT, SEQUENCE
from adplatform.contracts.consumers import NO_CONSUMERS
from adplatform.contracts.database import CURRENT, KEYS, Chunks, DatabaseSource, TableFeed
from adplatform.contracts.feed import Arrival
from adplatform.contracts.model import Bounds
from adplatform.contracts.types import DataType
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.version import read_settlement
from adplatform.lake.store import Stored
from adplatform.ledger.extracts import Extract
from adplatform.transform.values import OutputColumn

_SYSTEM = (
    OutputColumn(SEQUENCE, DataType("string"), "The moment of the reading that brought the row, in order as text."),
    OutputColumn(CHANGED_AT, DataType("timestamp"), "When the database was seen with the row."),
)


@dataclass(frozen=True)
class Pulled(MadeTable):
    """``keys`` is the feed of the readings of keys, where there are any."""

    declared: TableFeed
    keys: FeedFlow | None = None
    has_live: ClassVar[bool] = False
    repeats: ClassVar[bool] = True

    @property
    def target(self) -> str:
        return f"{self.declared.name}{CURRENT}"

    @property
    def table(self) -> str:
        return self.declared.source_table

    @property
    def system(self) -> tuple[OutputColumn, ...]:
        return _SYSTEM

    @property
    def flows_merged(self) -> tuple[FeedFlow, ...]:
        return (self.changes, self.keys) if self.keys else (self.changes,)

    @property
    def complete(self) -> FeedFlow | None:
        """The feed whose readings have every key; None where none has."""
        return self.changes if self.declared.incremental is None else self.keys


def with_keys(declared: DatabaseSource) -> DatabaseSource:
    """The declaration with a feed for the keys of each table that are compared."""
    keys = [keys_feed(feed) for feed in declared.feeds if feed.incremental is not None and feed.incremental.keys]
    return declared.model_copy(update={"feeds": [*declared.feeds, *keys]})


def keys_feed(feed: TableFeed) -> TableFeed:
    """The feed of the keys of a table: all of them, each time."""
    compared = feed.incremental.keys if feed.incremental else None
    own = {name: getattr(feed, name) for name in TableFeed.model_fields}
    derived = {
        "name": f"{feed.name}{KEYS}",
        "description": f"Keys of all rows of {feed.source_table}, by which those are found that are gone.",
        "table": feed.source_table,
        "incremental": None,
        "columns": tuple(column for column in feed.columns if column.name in feed.key),
        "row_checks": (),
        "naming": None,
        "bounds": Bounds(),
        "outputs": (),
        "every": compared.every if compared else None,
        "offset": compared.offset if compared else feed.offset,
        "chunks": Chunks(rows=feed.chunks.rows, column=feed.chunks.column if feed.chunks.column in feed.key else None),
        "arrival": Arrival(complete_when="engine", accept_early=None),
        "crawl": False,
        "usual_volume": None,
        "activations": NO_ACTIVATIONS,
        "consumers": NO_CONSUMERS,
    }
    return TableFeed.model_construct(**{**own, **derived})


def pulled_tables(declared: DatabaseSource, source: Source) -> tuple[Pulled, ...]:
    """The tables that are made, of a declaration with the feeds of keys."""
    flows = {flow.feed.name: flow for flow in source.feeds}
    return tuple(
        Pulled(source.name, feed, flows[feed.name], flows.get(f"{feed.name}{KEYS}"))
        for feed in declared.feeds
        if feed.outputs
    )


def sequence_seen(instant: datetime, *, after: bool) -> str:
    """The sequence of a view that was taken before an instant, or ``after`` it, to microseconds. Of one instant the
    latter is lower, as that of changes since then; both compare with those of changes."""
    utc = instant.astimezone(UTC)
    begin = sequence_at(utc)[:16]
    return f"{begin}{utc.microsecond % 10_000:04}{'0' * 14}{int(not after)}"


def moments(services: Services, pulled: Pulled, entries: Iterable[Mapping[str, Any]]) -> dict[str, datetime]:
    """Of each object of a settlement, by its key, the moment before which it was read."""
    found: dict[str, datetime] = {}
    read: dict[str, datetime] = {}
    for entry in entries:
        id = _reading_of(entry["key"])
        if id not in read:
            read[id] = _seen_at(_reading(services, pulled.changes, id))
        found[entry["key"]] = read[id]
    return found


def complete_reading(services: Services, pulled: Pulled, known: str) -> str:
    """The last complete reading that is published, as ``date/version`` of its delivery; what is ``known`` without a
    later one."""
    flow = pulled.complete
    placed = services.ledger.placements.of_feed(flow.name) if flow else ()
    last = max(placed, key=lambda each: each.day, default=None)
    if flow is None or last is None or known == f"{last.day}/{last.version}":
        return known
    row = services.ledger.publications.get(flow.name, last.day, last.version)
    if row is None:
        return known
    entries = read_settlement(services.s3, services.zones, row.manifest_key)["objects"]
    ids = {_reading_of(entry["key"]) for entry in entries}
    if len(ids) != 1 or row.rows_in != _reading(services, flow, ids.pop()).rows:
        return known
    return f"{last.day}/{last.version}"


@dataclass(frozen=True)
class Compared:
    """A ``complete`` reading, and the ``files`` of the clean bucket with its keys, one of each row."""

    complete: Complete
    files: tuple[Stored, ...]


def compared(services: Services, pulled: Pulled, complete: str) -> Compared:
    """The complete reading of that name.

    Raises:
        PermanentFailure: its files are gone.
    """
    day, _, version = complete.partition("/")
    flow = pulled.complete or pulled.changes
    row = services.ledger.publications.get(flow.name, date.fromisoformat(day), int(version))
    location = next(iter(row.locations), "") if row else ""
    zones = services.zones
    files = tuple(services.store.listing(zones.clean_bucket, zones.clean_key(location))) if location else ()
    if row is None or (row.clean and not files):
        raise PermanentFailure(f"{flow.name} {day}: version {version} is gone; read the table again")
    entry = next(iter(read_settlement(services.s3, zones, row.manifest_key)["objects"]))
    seen = _reading(services, flow, _reading_of(entry["key"]))
    since = seen.seen_from or seen.started_at
    if since is None:
        raise PermanentFailure(f"{seen.name}: the reading {seen.id} has not begun")
    return Compared(Complete(sequence_seen(since, after=True), since), files)


def _reading_of(key: str) -> str:
    """The reading that wrote an object, whose folder it names."""
    return key.rsplit("/", 2)[-2].partition("-")[0]


def _reading(services: Services, flow: FeedFlow, id: str) -> Extract:
    row = services.ledger.extracts.get(flow.source, flow.feed.name, id)
    if row is None:
        raise PermanentFailure(f"{flow.name}: the ledger does not know the reading {id}, so its moment is not known")
    return row


def _seen_at(row: Extract) -> datetime:
    """Readings from before moments were noted have the time of their end."""
    seen = row.seen_at or row.ended_at
    if seen is None:
        raise PermanentFailure(f"{row.name}: the reading {row.id} has not ended")
    return seen
