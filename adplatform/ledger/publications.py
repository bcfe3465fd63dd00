"""The settled versions of deliveries, and what became of each and of its files."""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from adplatform.failures import clipped
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.keys import TableKeys, keys_of, table_keys
from adplatform.ledger.objects import RawObject, object_key
from adplatform.ledger.placements import Placement
from adplatform.ledger.rows import SCHEMA, Item, digest, from_item
from adplatform.ledger.table import MOST_READ, Table, Write
from adplatform.ledger.volumes import NO_VOLUMES, Volumes, volume_keys, volumes_in

if TYPE_CHECKING:
    from adplatform.ledger.schemas import ReceivedSchema

_PACKED = 240 * 1024
"""Characters of outcomes in one row, at most, before they are compressed: an item may have 400 KB."""
MOST_READ_BESIDE = MOST_READ - 6
"""Objects of a delivery that are read with its versions by one call."""
_HIGHEST_PADDED = 1000
"""Versions are padded to four digits, so from here on texts sort as numbers do, also those with more digits."""


class Outcome(StrEnum):
    """What became of one file. EMPTY is an outcome, not an error; REPEATED has the bytes of another file."""

    LOADED = "loaded"
    EMPTY = "empty"
    REFUSED = "refused"
    QUARANTINED = "quarantined"
    REPEATED = "repeated"


@dataclass(frozen=True)
class Publication:
    """One settled version of a delivery and what became of it. Counts are rows.

    ``reasons`` are the most frequent and ``locations`` the first of ``reason_count`` and ``location_count``; where
    there are more, ``details_key`` names the object with all of them. ``adplatform.lake.details`` reads either.
    ``basis`` names what the files were read by: a version with the same one may take over what this one has made.
    ``files`` has the rows of each file at its only location by name, where they are few.
    ``filled`` counts the rows with a value by column, where that is watched. ``evolved`` are the columns that nobody
    declared and that this version or one before it brought; ``lacking`` counts the files by column that lack one, and
    ``emptied`` the values that are none because they were not of their column's type, by reason.
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
    basis: str = ""
    files: Mapping[str, int] = field(default_factory=dict)
    filled: Mapping[str, int] = field(default_factory=dict)
    evolved: tuple[str, ...] = ()
    lacking: Mapping[str, int] = field(default_factory=dict)
    emptied: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0
    bytes: int = 0
    """Of its files as they were received; 0 of a version of an earlier release."""
    contract: str = ""
    """The digest of the contract by which its rows were made; "" of a version of an earlier release."""

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
    decrypted_sha256: str = ""
    rows_in: int = 0
    clean: int = 0
    superseded: int = 0
    quarantined: int = 0
    prepared_key: str = ""
    signer: str = ""
    decryption_key: str = ""
    skipped: int = 0
    """Members of an archive that are not read, because the feed's ``members`` names others."""
    file_id: str = ""
    """What the file is called where its name must not be (:func:`adplatform.ledger.objects.file_id`)."""
    left_out: int = 0

    @property
    def content(self) -> str:
        """The SHA-256 of what is read of the file, "" where it was not fetched."""
        return self.decrypted_sha256 or self.sha256

    @property
    def records(self) -> int:
        """The rows that came in, without those that are left out on purpose."""
        return self.rows_in - self.left_out

    @property
    def called(self) -> str:
        return self.file_id or "a file"

    @property
    def sort_key(self) -> str:
        return f"file#{self.day}#{self.version:04d}#{digest(self.origin)}"


@dataclass(frozen=True)
class TakenOver:
    """Outcomes that a version took over from the one before, in ``rows`` rows together, of which this is one.

    One row for each would be written again with each version: 40,000 for a date that comes in 288 parts. ``packed`` is
    JSON, compressed. A row of its own that a file has (:class:`FileOutcome`) counts instead.
    """

    day: date
    version: int
    number: int
    rows: int
    packed: str

    @property
    def sort_key(self) -> str:
        return f"file#{self.day}#{self.version:04d}#{_PACK}{self.number:03d}"

    @property
    def outcomes(self) -> Iterator[FileOutcome]:
        for values in json.loads(zlib.decompress(b64decode(self.packed))):
            yield FileOutcome(self.day, self.version, **{**values, "outcome": Outcome(values["outcome"])})


_PACK = "+"
"""What the sort keys of packed rows have in the place of a digest."""


@dataclass(frozen=True)
class Recorded:
    """The outcomes of a version by origin: those that have a row of their own, and those that it has taken over."""

    own: Mapping[str, FileOutcome]
    taken_over: Mapping[str, FileOutcome]

    @property
    def all(self) -> dict[str, FileOutcome]:
        return {**self.taken_over, **self.own}


@dataclass(frozen=True)
class Versions:
    """What is known of a delivery at one time: what readers see, the rows of two of its versions, what concerns the
    hashing key of its table, those of its objects that were asked for by their identities, by these, how its feed's
    files differ from what is declared, and what its rows are compared with."""

    placement: Placement | None
    latest: Publication | None
    published: Publication | None
    keys: TableKeys
    objects: Mapping[str, RawObject]
    schema: "ReceivedSchema | None" = None
    volumes: Volumes = NO_VOLUMES


Comparable = Callable[[date], Iterable[date]]
"""The dates with whose rows those of a date are compared."""


@dataclass(frozen=True)
class Publications:
    """The settled versions of all deliveries."""

    table: Table

    def get(self, feed: str, day: date, version: int) -> Publication | None:
        return self.table.get(Publication, feed, _version_key(day, version))

    def of_delivery(
        self,
        feed: str,
        table: str,
        delivery: Delivery,
        identities: Iterable[str] = (),
        comparable: Comparable = lambda _: (),
    ) -> Versions:
        """What readers see of the delivery, its latest version and the latest that readers could see, the hashing key
        of its table, and these of its objects, by one call if they are up to ``MOST_READ_BESIDE``. What there is of
        the ``comparable`` dates is read along, by one call more where that is too much for one."""
        day = delivery.day
        keys = [f"placement#{day}", _version_key(day, delivery.version), _version_key(day, delivery.published)]
        objects = {identity: object_key(day, identity) for identity in identities}
        own = [(feed, key) for key in (*keys, SCHEMA, *objects.values())]
        items = self.table.get_many([*own, *keys_of(table), *volume_keys(feed, comparable(day))])
        found = {each: from_item(RawObject, items[feed, key]) for each, key in objects.items() if (feed, key) in items}
        return replace(_versions(items, feed, delivery, table_keys(items, table), comparable), objects=found)

    def of_deliveries(
        self, table: str, wanted: Sequence[tuple[str, Delivery]], comparable: Comparable = lambda _: ()
    ) -> list[Versions]:
        """The same of several deliveries of a table, each with its feed, by few calls and without their objects."""
        rows = [
            (feed, key)
            for feed, each in wanted
            for key in (f"placement#{each.day}", *(_version_key(each.day, n) for n in (each.version, each.published)))
        ]
        schemas = [(feed, SCHEMA) for feed, _ in wanted]
        compared = [key for feed, each in wanted for key in volume_keys(feed, comparable(each.day))]
        items = self.table.get_many([*rows, *schemas, *keys_of(table), *compared])
        keys = table_keys(items, table)
        return [_versions(items, feed, each, keys, comparable) for feed, each in wanted]

    def known(self, wanted: Iterable[tuple[str, date, int]]) -> dict[tuple[str, date, int], Publication]:
        """Those of these versions, by feed, date and number, of which there are rows, by few calls."""
        keys = {(feed, _version_key(day, version)): (feed, day, version) for feed, day, version in wanted}
        found = self.table.get_many(keys)
        return {each: from_item(Publication, found[key]) for key, each in keys.items() if key in found}

    def since(self, feed: str, day: date, version: int) -> list[Publication]:
        """The versions of a delivery from ``version`` on, perhaps with some before."""
        first = _version_key(day, min(version, _HIGHEST_PADDED))
        return list(self.table.range(Publication, feed, first, f"version#{day}#~"))

    def are_without_gap(self, feed: str, day: date, version: int) -> bool:
        """Whether all versions up to ``version`` are there; may be False from version 1000 on although they are."""
        return self.table.count(feed, _version_key(day, 1), _version_key(day, version)) == version

    def of_feed(self, feed: str, day: date | None = None) -> list[Publication]:
        return list(self.table.query(Publication, feed, f"version#{day}#" if day else "version#"))

    def put(self, feed: str, publication: Publication) -> None:
        """Write the row as it is, for whoever closes the version or restores the ledger."""
        self.table.put(feed, [publication])

    def put_write(self, feed: str, publication: Publication) -> Write:
        """The same for a transaction."""
        return self.table.put_write(feed, publication)

    def note(self, feed: str, publication: Publication) -> bool:
        """Note how far a version has come; False for one that is published, which stays as it is: whoever notes that
        wakes late."""
        return self.table.put_if(feed, publication, *_UNPUBLISHED)

    def note_write(self, feed: str, publication: Publication) -> Write:
        """The same for a transaction, which is not written where the version is published."""
        return self.table.put_write(feed, publication, *_UNPUBLISHED)

    def file_outcomes(self, feed: str, day: date, version: int) -> list[FileOutcome]:
        """What became of each file of the version, whether it was read for it or taken over."""
        return list(self.recorded(feed, day, version).all.values())

    def put_file_outcomes(self, feed: str, outcomes: Iterable[FileOutcome | TakenOver]) -> None:
        self.table.put(feed, outcomes)

    def outcome_writes(self, feed: str, rows: Iterable[FileOutcome | TakenOver]) -> list[Write]:
        """Those of :meth:`put_file_outcomes` for a transaction."""
        return [self.table.put_write(feed, row) for row in rows]

    def recorded(self, feed: str, day: date, version: int) -> Recorded:
        """The same as :meth:`file_outcomes`, by origin."""
        own: dict[str, FileOutcome] = {}
        packed: list[TakenOver] = []
        for item in self.table.items(feed, f"file#{day}#{version:04d}#"):
            if item["sk"].rpartition("#")[2].startswith(_PACK):
                packed.append(from_item(TakenOver, item))
            else:
                outcome = from_item(FileOutcome, item)
                own[outcome.origin] = outcome
        # An attempt before may have had more of them.
        taken = (outcome for row in packed if row.number < packed[0].rows for outcome in row.outcomes)
        return Recorded(own, {outcome.origin: outcome for outcome in taken})


_UNPUBLISHED = (
    "attribute_not_exists(pk) OR #state <> :published",
    {":published": str(DeliveryState.PUBLISHED)},
    ("state",),
)


def _versions(
    items: Mapping[tuple[str, str], Item], feed: str, delivery: Delivery, keys: TableKeys, comparable: Comparable
) -> Versions:
    placement, schema = items.get((feed, f"placement#{delivery.day}")), items.get((feed, SCHEMA))
    latest, published = (
        items.get((feed, _version_key(delivery.day, number))) for number in (delivery.version, delivery.published)
    )
    return Versions(
        from_item(Placement, placement) if placement else None,
        from_item(Publication, latest) if latest else None,
        from_item(Publication, published) if published else None,
        keys,
        {},
        _schema(schema) if schema else None,
        volumes_in(items, feed, comparable(delivery.day)),
    )


def _schema(item: Item) -> "ReceivedSchema":
    from adplatform.ledger.schemas import ReceivedSchema  # noqa: PLC0415 - few feeds have one

    return from_item(ReceivedSchema, item)


def _version_key(day: date, version: int) -> str:
    return f"version#{day}#{version:04d}"


def part_rows(
    outcomes: Sequence[FileOutcome], taken_over: Collection[str], recorded: Recorded
) -> list[FileOutcome | TakenOver]:
    """The rows of the outcomes of one version, those of the origins ``taken_over`` in as few as there may be. One that
    is ``recorded`` in a row of its own, by an attempt that read its file, keeps one."""
    packed = [each for each in outcomes if each.origin in taken_over and each.origin not in recorded.own]
    own = [each for each in outcomes if each.origin not in taken_over or each.origin in recorded.own]
    packs, first = list(_packs(packed)), outcomes[0]
    return [*own, *(TakenOver(first.day, first.version, n, len(packs), pack) for n, pack in enumerate(packs))]


def _packs(outcomes: Iterable[FileOutcome]) -> Iterator[str]:
    """The outcomes in texts of which each fits an item."""
    texts: list[str] = []
    size = 0
    for outcome in outcomes:
        values = asdict(outcome)
        values["reason"] = clipped(outcome.reason)
        kept = {n: v for n, v in values.items() if n not in ("day", "version") and v not in ("", 0)}
        text = json.dumps(kept)
        if texts and size + len(text) > _PACKED:
            yield _pack(texts)
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    if texts:
        yield _pack(texts)


def _pack(texts: Iterable[str]) -> str:
    return b64encode(zlib.compress(f"[{','.join(texts)}]".encode())).decode()
