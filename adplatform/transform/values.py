"""What goes into a transform and what comes out of it, whichever engine runs it."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from adplatform.contracts.types import DataType

if TYPE_CHECKING:
    from adplatform.contracts.schema_change import SchemaChange


@dataclass(frozen=True)
class RefusedFile:
    """A file put aside as a whole because the feed's schema policy says so; nothing of it was read."""

    origin: str
    reason: str


@dataclass(frozen=True)
class FileCount:
    """Where the rows of one file went: ``rows_in == clean + superseded + quarantined + left_out``, where the last are
    those that the feed leaves out on purpose."""

    origin: str
    rows_in: int
    clean: int
    superseded: int
    quarantined: int
    left_out: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows_in == self.clean + self.superseded + self.quarantined + self.left_out


@dataclass(frozen=True)
class Withheld:
    """A column that nobody declared and of which values are not stored, because so many of them hold e-mail addresses
    and phone numbers: counts of rows, or where not all were looked at ``at_least`` so many. ``column`` is what it may
    be called before anybody."""

    column: str
    emails: int
    phones: int
    at_least: bool = False

    def __str__(self) -> str:
        held = ((self.emails, "an e-mail address"), (self.phones, "a phone number"))
        few = "at least " if self.at_least else ""
        counts = " and ".join(
            f"{what} in {few}{count:,} {'row' if count == 1 else 'rows'}" for count, what in held if count
        )
        kind = "email" if self.emails else "phone"
        return (
            f"undeclared column {self.column} has {counts} and is not stored; declare it with pii: {kind} or with "
            "drop, or set undeclared_personal: clear"
        )


@dataclass(frozen=True)
class FooterLikeRows:
    """A footer behind whose first ``line`` rows of the table seem to follow; the lines ``behind`` it are left out."""

    origin: str
    line: int
    behind: int

    def __str__(self) -> str:
        count = "1 line" if self.behind == 1 else f"{self.behind:,} lines"
        return (
            f"{self.origin}: line {self.line} begins as the footer does (skip_footer.starts_with), and of the {count} "
            "behind it, which are left out too, some have the fields of a row"
        )


@dataclass(frozen=True)
class OutputColumn:
    """One column of the clean table. ``sources`` are the contract columns it is made of; ``tags`` go to the catalog."""

    name: str
    type: DataType
    comment: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


class Shelf(Protocol):
    """Where staged files are put: ``adplatform.lake.store.Store``."""

    def upload(self, path: Path, bucket: str, key: str) -> object: ...

    def copy_from(self, source: Mapping[str, str], size: int, bucket: str, target: str) -> object: ...


class StagedParquet(Protocol):
    """One Parquet file, not yet visible to anybody: on this disk (:class:`StagedFile`), or an object that an engine
    wrote (``adplatform.lake.staged_object``). ``partition`` is the partition's value, "" when there is none; ``size``
    is in bytes, and ``name`` what messages call it. ``addresses`` is how many rows hold an e-mail address, by column
    that is not personal, None where nobody has searched it."""

    @property
    def partition(self) -> str: ...

    @property
    def rows(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def addresses(self) -> Mapping[str, int] | None: ...

    def opened(self) -> Path | RawIOBase:
        """What Arrow reads it from."""

    def on_disk(self, directory: Path) -> AbstractContextManager[Path]:
        """A path of it for a while, below ``directory`` if it is not on this disk.

        Raises:
            EnvironmentFailure: the disk has no room for it.
        """

    def put(self, shelf: Shelf, bucket: str, key: str) -> None:
        """Have it under a key that nobody else writes meanwhile."""


@dataclass(frozen=True)
class StagedFile:
    """A staged file on this disk."""

    path: Path
    partition: str
    rows: int

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def addresses(self) -> None:
        return None

    def opened(self) -> Path:
        return self.path

    @contextmanager
    def on_disk(self, directory: Path) -> Iterator[Path]:
        yield self.path

    def put(self, shelf: Shelf, bucket: str, key: str) -> None:
        shelf.upload(self.path, bucket, key)


@dataclass(frozen=True)
class CarriedFile:
    """One Parquet file that readers see already and that a new version takes over as it is. ``key`` is its key in the
    clean bucket, ``size`` in bytes, and ``name`` what it is called there; "" for one that says where it was written."""

    key: str
    size: int
    rows: int
    name: str = ""


@dataclass(frozen=True)
class Staged:
    """A transformed delivery, staged beside the ``carried`` files that it takes over of the version before, of
    which there are none where every file of the delivery was read.

    ``columns`` leaves out the partition column, which only the path carries. ``quarantine`` is a Parquet file with the
    columns of ``QUARANTINE_COLUMNS``, None when every row was good; of the quarantined rows it lacks those that are
    ``forgotten``, because they were kept for long enough. ``reasons`` counts rows by reason; a row with two reasons
    counts in both. ``refused`` files have no counts: they belong in the quarantine as they are. ``line_breaks`` are the
    line ends within values of the rows that were read from csv. ``withheld`` are the undeclared columns of which values
    are not stored, in the files that were read. ``evolved`` are all undeclared columns, of this delivery and those
    before, and ``lacking`` counts by column the files that lack one. ``footers`` are those of the files that were read
    that may be none. ``emptied`` counts the values of lenient columns that became none in good rows, by reason.
    ``changes`` are how columns of the files that were read differ from the declared ones, and ``types`` those that the
    first file has for columns, where it knows types.
    """

    columns: tuple[OutputColumn, ...]
    files: tuple[StagedParquet, ...]
    quarantine: Path | None
    counts: tuple[FileCount, ...]
    reasons: Mapping[str, int]
    refused: tuple[RefusedFile, ...] = ()
    carried: tuple[CarriedFile, ...] = ()
    forgotten: int = 0
    line_breaks: int = 0
    withheld: tuple[Withheld, ...] = ()
    evolved: tuple[str, ...] = ()
    lacking: Mapping[str, int] = field(default_factory=dict)
    footers: tuple[FooterLikeRows, ...] = ()
    emptied: Mapping[str, int] = field(default_factory=dict)
    changes: "tuple[SchemaChange, ...]" = ()
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def carried_rows(self) -> int:
        return sum(file.rows for file in self.carried)

    @property
    def rows_in(self) -> int:
        return sum(c.rows_in for c in self.counts)

    @property
    def clean(self) -> int:
        return sum(c.clean for c in self.counts)

    @property
    def superseded(self) -> int:
        return sum(c.superseded for c in self.counts)

    @property
    def quarantined(self) -> int:
        return sum(c.quarantined for c in self.counts)

    @property
    def left_out(self) -> int:
        return sum(c.left_out for c in self.counts)

    @property
    def records(self) -> int:
        """The rows that came in, without those that are left out on purpose."""
        return self.rows_in - self.left_out


QUARANTINE_COLUMNS = ("source_file", "line", "byte_position", "reasons", "raw", "fields")
"""``source_file``, ``raw`` and ``fields`` are strings, ``line`` and ``byte_position`` bigint, ``reasons`` strings.

A structural reject has its line (from 1), byte position (from 0) and raw text, and no fields. A row with bad values has
``fields``, the JSON of its raw fields, and of csv and NDJSON the line in which it begins, where that is certain.
"""
