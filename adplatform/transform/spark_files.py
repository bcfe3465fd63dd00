"""Parquet files that executors write and read themselves, by boto3 or on a disk that all of them share.

Spark neither writes nor reads them, so that a job needs nothing of Hadoop and is the same on every Spark. A file counts
once the task that wrote it has ended well, and has a name that no other try of the task takes: what a task leaves that
died, or that ran twice, is in no list.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from adplatform.platform.late import Late
from adplatform.platform.parquet_files import opened
from adplatform.privacy.addresses import rows_with_address
from adplatform.privacy.column_bytes import may_have_text
from adplatform.transform.job_plan import WrittenFile
from adplatform.transform.spark_objects import Objects

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType
else:
    pa = Late("pyarrow")
    pc = Late("pyarrow.compute")
    pq = Late("pyarrow.parquet")

_WRITTEN = "uri string, size bigint, rows bigint, partition string, addresses string"
_GROUP_ROWS, _GROUP_BYTES = 122_880, 64 << 20
"""A row group has at most so many rows, or as many as take so many bytes in memory."""
_BUFFERED = 128 << 20
"""Bytes in memory of all row groups that one task has begun."""
_OPEN = 512
"""Files that one task has begun; the one that was not written to for the longest time is ended first."""
_LARGEST = 256 << 20
"""Bytes after which a file is ended and another is begun."""
_TOGETHER = 64 << 20
"""Bytes of files that one task reads, if it reads several."""


def write(
    frame: "DataFrame", prefix: str, region: str, partition: str = "", personal: Collection[str] | None = None
) -> tuple[WrittenFile, ...]:
    """Write the rows below a prefix that ends with ``/``, those of one value of the column ``partition`` into files of
    their own, which lack that column. Rows need not be sorted: engines drop a sort that nothing asks for. With
    ``personal`` columns all others are searched for e-mail addresses."""
    if partition:
        frame = frame.repartition(partition)
    personal = None if personal is None else frozenset(personal)
    rows = frame.mapInArrow(partial(_written, prefix, region, partition, personal), _WRITTEN).collect()
    files = (
        WrittenFile(
            uri=r["uri"],
            size=r["size"],
            rows=r["rows"],
            partition=r["partition"],
            addresses=json.loads(r["addresses"]),
        )
        for r in rows
    )
    return tuple(sorted(files, key=lambda file: (file.partition, file.uri)))


def read(
    spark: "SparkSession",
    files: Sequence[WrittenFile],
    columns: "StructType | str",
    region: str,
    only: Sequence[str] = (),
) -> "DataFrame":
    """The rows of files, a task for each but small ones, which are read together; ``columns`` says their names and
    types. With ``only`` no others are read."""
    bins = binned([file.size for file in files], _TOGETHER)
    uris = tuple(tuple(files[number].uri for number in each) for each in bins)
    numbers = spark.range(0, len(uris), 1, max(1, len(uris)))
    return numbers.mapInArrow(partial(_read, uris, region, only or None), columns)


def binned(sizes: Sequence[int], together: int, most: int | None = None) -> list[list[int]]:
    """The numbers of files of these ``sizes`` in bins, in their order: with others up to so many bytes ``together`` and
    at ``most`` so many of them."""
    bins: list[list[int]] = []
    held = 0
    for number, size in enumerate(sizes):
        if not bins or held + size > together or (most is not None and len(bins[-1]) >= most):
            bins.append([])
            held = 0
        bins[-1].append(number)
        held += size
    return bins


@dataclass
class _File:
    """One that is being written; ``pending`` are rows of the row group that is begun. The columns ``searched`` are
    looked at for ``addresses``."""

    path: Path
    partition: str
    writer: Any
    searched: Sequence[str] | None = None
    addresses: Counter[str] = field(default_factory=Counter)
    pending: list["pa.RecordBatch"] = field(default_factory=list)
    pending_rows: int = 0
    pending_bytes: int = 0
    rows: int = 0

    def add(self, batch: "pa.RecordBatch") -> None:
        for name in self.searched or ():
            if count := rows_with_address(batch.column(name)):
                self.addresses[name] += count
        self.pending.append(batch)
        self.pending_rows += batch.num_rows
        self.pending_bytes += batch.nbytes
        if self.pending_rows >= _GROUP_ROWS or self.pending_bytes >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self.pending:
            self.writer.write_table(pa.Table.from_batches(self.pending), _GROUP_ROWS)
            self.rows += self.pending_rows
            self.pending, self.pending_rows, self.pending_bytes = [], 0, 0

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def _written(
    prefix: str,
    region: str,
    partition: str,
    personal: frozenset[str] | None,
    batches: Iterable["pa.RecordBatch"],
) -> Iterator["pa.RecordBatch"]:
    """Runs in an executor, for one partition of the frame."""
    with tempfile.TemporaryDirectory(prefix="spark-") as folder:
        task = Task(Path(folder), prefix, Objects(region), personal)
        for batch in batches:
            for value, rows in _by_value(_plain(batch), partition):
                yield from map(_told, task.add(value, rows))
        yield from map(_told, task.end())


@dataclass
class Task:
    """Writes the rows of one task of Spark, from within it. ``files`` are those that were begun, by the value of the
    partition, the one last written to at the end."""

    folder: Path
    prefix: str
    objects: Objects
    personal: frozenset[str] | None = None
    files: dict[str, _File] = field(default_factory=dict)

    def add(self, value: str, rows: "pa.RecordBatch") -> Iterator[WrittenFile]:
        """The files that this ends."""
        file = self.files.pop(value, None) or self._begun(value, rows.schema)
        self.files[value] = file
        file.add(rows)
        if file.size >= _LARGEST:
            yield self._ended(value)
        if len(self.files) > _OPEN:
            yield self._ended(next(iter(self.files)))
        if sum(each.pending_bytes for each in self.files.values()) > _BUFFERED:
            max(self.files.values(), key=lambda each: each.pending_bytes).flush()

    def end(self) -> Iterator[WrittenFile]:
        for value in list(self.files):
            yield self._ended(value)

    def _begun(self, value: str, schema: "pa.Schema") -> _File:
        path = self.folder / f"{uuid4().hex}.parquet"
        writer = pq.ParquetWriter(path, schema, compression="snappy", store_schema=False)
        if self.personal is None:
            return _File(path, value, writer)
        texts = (each.name for each in schema if may_have_text(each.type))
        return _File(path, value, writer, tuple(name for name in texts if name not in self.personal))

    def _ended(self, value: str) -> WrittenFile:
        file = self.files.pop(value)
        file.flush()
        file.writer.close()
        uri = f"{self.prefix}{file.path.name}"
        addresses = None if file.searched is None else dict(file.addresses)
        told = WrittenFile(uri=uri, size=file.size, rows=file.rows, partition=value, addresses=addresses)
        self.objects.put(file.path, uri)
        file.path.unlink()
        return told


def _plain(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """With text as Parquet's readers know it: engines hand it over in several layouts."""
    texts = (pa.large_string(), pa.string_view())
    fields = [each.with_type(pa.string()) if each.type in texts else each for each in batch.schema]
    return batch.cast(pa.schema(fields))


def _by_value(batch: "pa.RecordBatch", column: str) -> Iterator[tuple[str, "pa.RecordBatch"]]:
    """The rows of each value of the column, without it."""
    if not batch.num_rows:
        return
    if not column:
        yield "", batch
        return
    order = pc.sort_indices(batch, sort_keys=[(column, "ascending")])
    batch = batch.take(order)
    runs = pc.run_end_encode(batch.column(column).cast(pa.string()))
    rows, start = batch.drop_columns([column]), 0
    for value, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield value or "", rows.slice(start, end - start)
        start = end


def _told(file: WrittenFile) -> "pa.RecordBatch":
    return pa.RecordBatch.from_pydict(
        {
            "uri": pa.array([file.uri]),
            "size": pa.array([file.size], pa.int64()),
            "rows": pa.array([file.rows], pa.int64()),
            "partition": pa.array([file.partition]),
            "addresses": pa.array([json.dumps(file.addresses)]),
        }
    )


def _read(
    uris: Sequence[Sequence[str]], region: str, only: Sequence[str] | None, numbers: Iterable["pa.RecordBatch"]
) -> Iterator["pa.RecordBatch"]:
    """Runs in an executor."""
    objects = Objects(region)
    for batch in numbers:
        for uri in (uri for number in batch.column("id").to_pylist() for uri in uris[number]):
            with (
                tempfile.TemporaryDirectory(prefix="spark-") as folder,
                opened(objects.fetch(uri, "", Path(folder) / "file")) as file,
            ):
                yield from file.iter_batches(columns=only and list(only))
