"""A version that adds rows to those that readers see: which files it takes over as they are, and which it makes anew.

A part costs what it brings. Files that hold a row which a new one supersedes are made anew; all others are copied by
the service. So that they stay few, files of one size are put together once there are as many as ``FAN``: a row is then
written again once for each size that its file grows through, not once for each part.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from adplatform.failures import TransientFailure
from adplatform.lake.lake import Lake
from adplatform.lake.limited import limited
from adplatform.lake.merge import merge
from adplatform.lake.remote_file import RemoteFile
from adplatform.lake.store import Stored
from adplatform.platform.at_once import Pool, at_once
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import opened
from adplatform.transform.values import CarriedFile, StagedFile, StagedParquet

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

FAN = 8
_SMALLEST = 64 * 2**10
_LARGEST = 128 * 2**20
"""Bytes from which on a file is large enough to stay as it is."""
_BATCH = 65_536
"""Rows whose keys are in memory at once, of each file that is read."""
_NOT_FOUND = 404


class Gone(TransientFailure):
    """Files that were to be taken over are not there any more, or not as they were published."""


@dataclass(frozen=True)
class Added:
    """The files of a partition once rows were added, those that are new and those that are ``carried``. ``superseded``
    counts rows that are left out, by the raw object that they came from."""

    files: tuple[StagedParquet, ...]
    carried: tuple[CarriedFile, ...]
    superseded: Mapping[str, int]


@contextmanager
def taken_over(location: str) -> Iterator[None]:
    """Work on files of a location that may be cleaned up meanwhile.

    Raises:
        Gone: it has been.
    """
    try:
        yield
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] != _NOT_FOUND:
            raise
        raise Gone(f"{location} is gone; run the step again") from e


def add(
    lake: Lake,
    location: str,
    rows: int,
    known: Mapping[str, int],
    new: Sequence[StagedParquet],
    columns: Iterable[str],
    *,
    key: Sequence[str],
    latest_by: Sequence[str],
    work: Path,
) -> Added:
    """Add the rows of ``new``, files of one partition, to the ``rows`` of a ``location``. Of the rows of one key
    the latest stays; without a key, all of them. ``known`` are the rows of each file there by name, as they were
    published: a location never changes, so where these are its files, no file has to say that itself. ``work`` is an
    empty directory.

    Raises:
        Gone: the location does not hold these rows. What is cleaned up meanwhile is for :func:`taken_over`.
    """
    zones = lake.store.zones
    prefix = zones.clean_key(location)
    there = list(lake.store.listing(zones.clean_bucket, prefix))
    if not there:
        raise Gone(f"{location} is gone; run the step again")
    as_published = {file.key.removeprefix(prefix) for file in there} == known.keys()
    remote: dict[Stored, RemoteFile] = {}
    if key or not as_published:
        remote = dict(zip(there, at_once(partial(_remote, lake), there), strict=True))
    if as_published:
        counts = {f"{prefix}{name}": count for name, count in known.items()}
    else:
        counts = {file.key: pq.read_metadata(each).num_rows for file, each in remote.items()}
    if sum(counts.values()) != rows:
        raise Gone(f"{location} holds {sum(counts.values())} rows where {rows} were published; run the step again")
    again = {file.key for file in to_fold(there, sum(file.size for file in new))} if new else set()
    if not again and not (key and new):
        return Added(tuple(new), tuple(CarriedFile(file.key, file.size, counts[file.key]) for file in there), {})
    with ExitStack() as here, limited(lake.memory_limit, lake.threads, work) as connection:
        local = [StagedFile(here.enter_context(file.on_disk(work)), file.partition, file.rows) for file in new]
        if key:
            again |= {file.key for file in _met(connection, remote, local, key, lake.threads)}
        before = [_fetched(lake, file, work / "before") for file in there if file.key in again]
        kept = tuple(CarriedFile(file.key, file.size, counts[file.key]) for file in there if file.key not in again)
        if not before:
            return Added(tuple(new), kept, {})
        after = merge(
            [[path] for path in before] + [[file.path] for file in _in_order(local, work)],
            columns,
            key=key,
            latest_by=latest_by,
            target=work / "merged",
            connection=connection,
        )
        files = tuple(StagedFile(file.path, new[0].partition, file.rows) for file in after)
        sources = _by_source(connection, [*before, *(file.path for file in local)])
        left = _by_source(connection, [file.path for file in files])
    superseded = {source: count - left.get(source, 0) for source, count in sources.items()}
    return Added(files, kept, {source: count for source, count in superseded.items() if count})


def _remote(lake: Lake, file: Stored) -> RemoteFile:
    return RemoteFile(lake.store.s3, lake.store.zones.clean_bucket, file.key, file.size)


def to_fold(files: Sequence[Stored], added: int) -> list[Stored]:
    """Those of the files that are to become one with ``added`` new bytes: of each size as many as there are, once the
    new file is the one too many."""
    folded: list[Stored] = []
    size = added
    small = [file for file in files if file.size < _LARGEST]
    for level in range(_level(_LARGEST) + 1):
        same = [file for file in small if _level(file.size) == level]
        if _level(size) == level and len(same) + 1 >= FAN:
            folded += same
            size += sum(file.size for file in same)
    return folded


def _level(size: int) -> int:
    return int(math.log(max(size, _SMALLEST) / _SMALLEST, FAN))


def _met(
    connection: "duckdb.DuckDBPyConnection",
    there: Mapping[Stored, RemoteFile],
    new: Sequence[StagedFile],
    key: Sequence[str],
    threads: int,
) -> list[Stored]:
    """The files with a row whose key a new row has, too. Only the columns of the key are read of them, by and by, and
    not to the end once there is such a row."""
    names = ", ".join(f'"{name}"' for name in key)
    paths = [str(file.path) for file in new]
    connection.execute(f"create table added as select distinct {names} from read_parquet($files)", {"files": paths})

    def meets(remote: RemoteFile) -> bool:
        with opened(remote) as file, connection.cursor() as cursor:
            schema = pa.schema([file.schema_arrow.field(name) for name in key])
            batches = file.iter_batches(_BATCH, columns=list(key))
            cursor.register(
                "present", pa.RecordBatchReader.from_batches(schema, (_only(each, key) for each in batches))
            )
            return bool(cursor.execute(f"select 1 from present semi join added using ({names}) limit 1").fetchall())

    with Pool(max_workers=threads) as pool:
        return [file for file, met in zip(there, pool.map(meets, there.values()), strict=True) if met]


def _only(batch: "pa.RecordBatch", key: Sequence[str]) -> "pa.RecordBatch":
    """The columns of the key in its order; a file has them in its own."""
    return batch.select(list(key))


def _fetched(lake: Lake, file: Stored, directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / f"{len(list(directory.iterdir())):05d}.parquet"
    lake.store.download(lake.store.zones.clean_bucket, file.key, path, file.size)
    return path


def _in_order(new: Sequence[StagedFile], work: Path) -> list[StagedFile]:
    """The new files under paths that sort behind those of the files before."""
    directory = work / "new"
    directory.mkdir()
    linked = []
    for number, file in enumerate(new):
        path = directory / f"{number:05d}.parquet"
        path.hardlink_to(file.path)
        linked.append(StagedFile(path, file.partition, file.rows))
    return linked


def _by_source(connection: "duckdb.DuckDBPyConnection", paths: Sequence[Path]) -> dict[str, int]:
    found = connection.execute(
        "select _source_file, count(*) from read_parquet($files, hive_partitioning = false) group by 1",
        {"files": [str(path) for path in paths]},
    )
    return dict(found.fetchall())
