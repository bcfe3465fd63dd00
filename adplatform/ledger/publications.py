"""The settled versions of deliveries, and what became of each and of its files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.rows import digest
from adplatform.ledger.table import Table


class Outcome(StrEnum):
    """What became of one file. EMPTY is an outcome, not an error."""

    LOADED = "loaded"
    EMPTY = "empty"
    REFUSED = "refused"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Publication:
    """One settled version of a delivery and what became of it. Counts are rows.

    ``reasons`` are the most frequent and ``locations`` the first of ``reason_count`` and ``location_count``; where
    there are more, ``details_key`` names the object with all of them. ``adplatform.lake.details`` reads either.
    ``basis`` names what the files were read by: a version with the same one may take over what this one has made.
    ``filled`` counts the rows with a value by column, where that is watched.
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
    filled: Mapping[str, int] = field(default_factory=dict)

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
class Publications:
    """The settled versions of all deliveries."""

    table: Table

    def get(self, feed: str, day: date, version: int) -> Publication | None:
        return self.table.get(Publication, feed, f"version#{day}#{version:04d}")

    def of_feed(self, feed: str, day: date | None = None) -> list[Publication]:
        return list(self.table.query(Publication, feed, f"version#{day}#" if day else "version#"))

    def put(self, feed: str, publication: Publication) -> None:
        """Write the row as it is, for whoever closes the version or restores the ledger."""
        self.table.put(feed, [publication])

    def note(self, feed: str, publication: Publication) -> None:
        """Note how far a version has come. One that is published stays as it is: whoever notes that wakes late."""
        published = {":published": str(DeliveryState.PUBLISHED)}
        self.table.put_if(feed, publication, "attribute_not_exists(pk) OR #state <> :published", published, ["state"])

    def file_outcomes(self, feed: str, day: date, version: int) -> list[FileOutcome]:
        return list(self.table.query(FileOutcome, feed, f"file#{day}#{version:04d}#"))

    def put_file_outcomes(self, feed: str, outcomes: Iterable[FileOutcome]) -> None:
        self.table.put(feed, outcomes)
