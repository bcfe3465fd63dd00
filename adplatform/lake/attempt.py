"""One try to publish: its own location, the files it uploads there, and what it came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.lake import Lake
from adplatform.lake.numbered import numbered
from adplatform.lake.parquet import write_empty
from adplatform.lake.parts import taken_over
from adplatform.lake.table import TableSpec
from adplatform.lake.zones import JOINT, partition_folder
from adplatform.ledger.placements import Placement
from adplatform.platform.at_once import Pool
from adplatform.transform.values import CarriedFile, Staged, StagedFile, StagedParquet

_UPLOADS = 4


class Result(StrEnum):
    """``published``: readers see the delivery since now. ``already``: they did before, and nothing was done.
    ``superseded``: they see a newer version or, where a delivery replaces the table, a newer date; nothing was done."""

    PUBLISHED = "published"
    ALREADY = "already"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Flip:
    """What readers of one partition see now. ``location`` is "" when the partition is gone."""

    partition: str
    location: str
    rows: int


@dataclass(frozen=True)
class Published:
    """What publishing came to, and what readers see of the delivery now.

    ``token`` names the attempt, "" when nothing was published. ``rows`` are the delivery's own; a flip counts all rows
    of its partition. ``newer_day`` when they see a newer date, which has replaced this one. ``files`` has the rows of
    each file by name, where the attempt has filled one entry alone.
    """

    result: Result
    table: str
    token: str
    rows: int
    flips: tuple[Flip, ...]
    note: str
    newer_day: bool = False
    files: Mapping[str, int] = field(default_factory=dict)

    @property
    def locations(self) -> tuple[str, ...]:
        return tuple(flip.location for flip in self.flips if flip.location)


@dataclass(frozen=True)
class Upload:
    """The files of one partition that an attempt wrote below ``prefix``. ``sizes`` maps keys to bytes, ``counts`` to
    rows, and ``staged`` those of them that were not copied to where they came from."""

    partition: str
    prefix: str
    sizes: Mapping[str, int]
    counts: Mapping[str, int]
    staged: Mapping[str, StagedParquet] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(self.counts.values())

    @property
    def files(self) -> list[CarriedFile]:
        return [CarriedFile(key, size, self.counts[key]) for key, size in self.sizes.items()]


@dataclass(frozen=True)
class Writer:
    """Who writes files of a table. ``token`` is its own, so it writes where nobody else does. ``field_ids`` are what
    the files of an Iceberg table number its columns by (``adplatform.lake.formats.field_ids``)."""

    table: TableSpec
    run_id: str
    token: str
    field_ids: Mapping[str, int] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class Attempt(Writer):
    """One try to publish one version of a delivery.

    ``key_id`` names the hashing key of its personal columns and ``manifest`` the settlement that it shows.
    """

    day: date
    version: int
    scope: str = ""
    key_id: str = ""
    manifest: str = ""

    @property
    def feed(self) -> str:
        """Under which the ledger keeps the delivery: each scope of a table has deliveries of its own."""
        return f"{self.table.feed}/{self.scope}" if self.scope else self.table.feed

    def placement(self, location: str, rows: int, now: datetime) -> Placement:
        """What the ledger remembers once readers see this attempt."""
        return Placement(self.day, self.version, self.manifest, location, rows, self.key_id, now)

    @property
    def delivery_partition(self) -> str:
        """The catalog's value of the partition that a delivery fills alone; "" where there are no partitions."""
        if self.table.partition is None:
            return ""
        day = self.day.isoformat()
        return f"{day}{JOINT}{self.scope}" if self.table.scope else day

    def outcome(self, result: Result, rows: int, flips: tuple[Flip, ...], note: str) -> Published:
        token = self.token if result is Result.PUBLISHED else ""
        return Published(result, self.table.qualified, token, rows, flips, note)


def upload(lake: Lake, attempt: Attempt, staged: Staged, work: Path) -> list[Upload]:
    """Write the staged files to the attempt's location. A delivery without rows becomes one file without rows, unless
    the table is partitioned by a column and no partition is concerned, or is an Iceberg table, which knows its columns.

    Raises:
        PermanentFailure: a staged file is outside the table's partitions.
        TransientFailure: the bucket does not hold what was sent.
    """
    groups: dict[str, list[StagedParquet]] = {}
    for file in _with_rows_or_schema(attempt, staged, work):
        groups.setdefault(_partition(attempt, file), []).append(file)
    if staged.carried or (attempt.table.is_iceberg and not groups and not attempt.table.by_column):
        value = attempt.delivery_partition
        return [_with_carried(lake, attempt, staged, upload_files(lake, attempt, value, groups.get(value, []), work))]
    return [upload_files(lake, attempt, value, files, work) for value, files in sorted(groups.items())]


def _with_carried(lake: Lake, attempt: Attempt, staged: Staged, upload: Upload) -> Upload:
    """The service copies what is taken over, unless it has a name under one that says where it was written."""
    if not staged.carried:
        return upload
    zones, feed = lake.store.zones, attempt.table.feed
    sources = {f"{upload.prefix}{file.name or zones.lasting_name(feed, file.key)}": file for file in staged.carried}
    with taken_over(zones.clean_uri(staged.carried[0].key)):
        lake.store.copy_all(zones.clean_bucket, sources)
    sizes = {**upload.sizes, **{key: file.size for key, file in sources.items()}}
    return replace(upload, sizes=sizes, counts={**upload.counts, **{key: file.rows for key, file in sources.items()}})


def upload_files(
    lake: Lake, writer: Writer, partition: str, files: Sequence[StagedParquet], work: Path, suffix: str = ""
) -> Upload:
    """Write the files of one partition; ``suffix`` makes it another location of the same writer. ``work`` is a
    directory of this run."""
    prefix = location_key(lake, writer, partition, suffix)
    keys = {f"{prefix}part-{number:05d}.parquet": file for number, file in enumerate(files)}
    bucket, turn = lake.store.zones.clean_bucket, Lock()

    def put(key: str) -> int:
        file = keys[key]
        if not writer.table.is_iceberg:
            file.put(lake.store, bucket, key)
            return file.size
        with TemporaryDirectory(dir=work) as folder:
            made = StagedFile(Path(folder) / "numbered.parquet", file.partition, file.rows)
            # One at a time: memory is for one, and a file of an engine is fetched.
            with turn, file.on_disk(Path(folder)) as path:
                numbered(writer.table, partition, writer.field_ids, path, made.path)
            made.put(lake.store, bucket, key)
            return made.size

    with Pool(max_workers=_UPLOADS) as pool:
        sizes = dict(zip(keys, pool.map(put, keys), strict=True))
    return Upload(partition, prefix, sizes, {key: file.rows for key, file in keys.items()}, keys)


def location_key(lake: Lake, writer: Writer, partition: str, suffix: str = "") -> str:
    prefix = lake.store.zones.version(writer.table.feed, writer.token + suffix)
    columns = writer.table.folder_names
    return prefix + (partition_folder(columns, partition) if columns else "")


def require(lake: Lake, uploads: list[Upload]) -> None:
    """Refuse to show files that were cleaned up because the attempt stood still for too long.

    Raises:
        TransientFailure: a file is missing.
    """
    for wanted in uploads:
        found = {o.key: o.size for o in lake.store.listing(lake.store.zones.clean_bucket, wanted.prefix)}
        if found != wanted.sizes:
            raise TransientFailure(f"{wanted.prefix} is not complete any more; run the step again")


def note_shown(lake: Lake, attempt: Attempt, location: str, rows: int) -> None:
    """Note that readers were led to the attempt.

    Raises:
        TransientFailure: a newer version is placed, so they were led back.
    """
    if not lake.ledger.placements.put(attempt.feed, attempt.placement(location, rows, lake.ledger.now())):
        raise TransientFailure(
            f"{attempt.feed} {attempt.day}: a newer version than {attempt.version} was placed meanwhile; run the step "
            "again"
        )


def _with_rows_or_schema(attempt: Attempt, staged: Staged, work: Path) -> tuple[StagedParquet, ...]:
    if staged.files or staged.carried or attempt.table.by_column or attempt.table.is_iceberg:
        return staged.files
    empty = work / "empty.parquet"
    write_empty(attempt.table.columns, empty)
    return (StagedFile(empty, "", 0),)


def _partition(attempt: Attempt, file: StagedParquet) -> str:
    """The catalog's value of the partition that the file belongs to."""
    key, day = attempt.table.partition, attempt.day.isoformat()
    if key is None:
        allowed, value = file.partition == "", ""
    elif key.name == DELIVERY_DATE:
        allowed, value = file.partition in ("", day), attempt.delivery_partition
    else:
        allowed, value = file.partition != "", file.partition
    if not allowed:
        raise PermanentFailure(
            f"{attempt.table.feed}: staged file {file.name} is for partition {file.partition!r}, "
            f"which delivery {day} of table {attempt.table.qualified} cannot have"
        )
    return value
