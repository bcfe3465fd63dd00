"""The work of executors of Spark on a merge: what a task is given, and what it tells.

Changes are read file by file and spread over shards of buckets; each shard is then merged by one task, with the same
functions as on one machine. What goes from one to the other are Parquet files below the prefix of the job, so that
neither their types nor their number concern Spark, and a task that dies is repeated from them. A file counts once the
task that wrote it has ended well, and has a name that no other try of the task takes.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from adplatform.changes.arrived import Change, write_changes
from adplatform.changes.merge_plan import BaseBucket, EndedFile, EndedRows, MergedBucket
from adplatform.changes.merging import Merging, deletions, grow, remaining
from adplatform.lake.keyed import (
    Bucket,
    Merged,
    beyond,
    bucket_sql,
    buckets_of,
    merge,
    merging,
    names,
    revived,
    rows_of,
    write_parquet,
)
from adplatform.platform.late import Late
from adplatform.transform.job_plan import WrittenFile
from adplatform.transform.rules import literal
from adplatform.transform.spark_objects import Objects

if TYPE_CHECKING:
    import duckdb
    import pyarrow.parquet as pq
else:
    pq = Late("pyarrow.parquet")

_SHARE = 0.3
"""Of a worker's memory, for all its tasks: the rest is Spark's own, and of the heap that Python workers do not use."""
_LEAST_MEMORY = 256 << 20
_SHARD = "_shard"


@dataclass(frozen=True)
class Where:
    """Where a task works. ``output`` is the prefix of the job, ``shards`` their number."""

    merging: Merging
    region: str
    output: str
    shards: int

    @property
    def objects(self) -> Objects:
        return Objects(self.region)

    def fetched(self, uris: Sequence[str], folder: Path) -> list[Path]:
        """These objects on this machine."""
        folder.mkdir(parents=True, exist_ok=True)
        return [self.objects.fetch(uri, "", folder / f"{n:05}.parquet") for n, uri in enumerate(uris)]

    def written(self, path: Path, partition: str = "") -> WrittenFile:
        """A file of this machine put below the prefix of the job."""
        uri = f"{self.output}merged/{uuid4().hex}.parquet"
        self.objects.put(path, uri)
        return WrittenFile(uri=uri, size=path.stat().st_size, rows=_count(path), partition=partition)

    @contextmanager
    def connected(self, folder: Path) -> "Iterator[duckdb.DuckDBPyConnection]":
        with merging(folder, f"{_memory() // 2**20}MiB", 1) as con:
            yield con

    def spread(self, con: "duckdb.DuckDBPyConnection", path: Path, folder: Path) -> list[WrittenFile]:
        """The rows of a file, those of each shard in files of their own."""
        shard = f"{bucket_sql(self.merging.table)} % {self.shards} as {_SHARD}"
        con.execute(
            f"copy (select *, {shard} from {rows_of([path])}) to {literal(str(folder))}"
            f" (format parquet, partition_by ({_SHARD}))"
        )
        return [self.written(each, each.parent.name.partition("=")[2]) for each in sorted(folder.glob("*/*.parquet"))]


@dataclass(frozen=True)
class Spread:
    """Files whose rows are to be spread over shards: those of a ``change``, of which only rows with one of the ``keys``
    count where these are given, or without one files of the table's rows or keys alone."""

    files: tuple[str, ...]
    change: Change | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class SpreadOut:
    """The files by shard, and how many changes are in none."""

    files: tuple[WrittenFile, ...] = ()
    unplaced: int = 0


def spread(where: Where, work: Spread, folder: Path) -> SpreadOut:
    there, target, unplaced = where.fetched(work.files, folder / "from"), folder / "rows.parquet", 0
    keys = where.fetched(work.keys, folder / "keys")
    table = where.merging.table
    with where.connected(folder) as con:
        if work.change is None:
            # Those without a column of the key are of none of the rows.
            there = [path for path in there if set(table.key) <= set(pq.read_schema(path).names)]
            if not there:
                return SpreadOut()
            write_parquet(con, f"select * from {rows_of(there)}", target)
        else:
            only = folder / "only.parquet" if keys else None
            if only is not None:
                write_parquet(con, f"select distinct {names(table.key)} from {rows_of(keys)}", only)
            sequence = where.merging.sequence_field
            unplaced = write_changes(con, table, sequence, work.change, there, target, only)
        return SpreadOut(tuple(where.spread(con, target, folder / "to")), unplaced)


@dataclass(frozen=True)
class Shard:
    """Buckets that are merged by one task: the ``base`` of them, of which without ``whole`` only those are looked at
    that a change falls into, and the files of ``changes``, of keys that are ``present``, and of deleted rows that are
    ``shown``, None where these are of the base. With ``late`` keys their rows are made anew of the changes, which are
    all there are; ``closed`` are then the versions that have ended, and ``first`` the buckets before the merge."""

    number: int
    base: tuple[BaseBucket, ...]
    changes: tuple[str, ...]
    whole: bool = False
    present: tuple[str, ...] = ()
    shown: tuple[str, ...] | None = None
    late: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    first: tuple[BaseBucket, ...] = ()


@dataclass(frozen=True)
class ShardMerged:
    """``late`` are the keys to be made anew."""

    number: int
    buckets: tuple[MergedBucket, ...] = ()
    closed: tuple[WrittenFile, ...] = ()
    revived: tuple[WrittenFile, ...] = ()
    late: tuple[WrittenFile, ...] = ()
    changes: int = 0
    applied: int = 0
    superseded: int = 0
    implied: int = 0
    rebuilt: int = 0


def merge_shard(where: Where, shard: Shard, folder: Path) -> ShardMerged:
    """
    Raises:
        PermanentFailure: two changes contradict each other.
    """
    how = where.merging
    changes = where.fetched(shard.changes, folder / "changes")
    with where.connected(folder) as con:
        base = _Base.of(where, con, shard.base, None if shard.whole else buckets_of(con, how.table, changes), folder)
        gone, implied = list[Path](), 0
        if how.complete is not None:
            present = where.fetched(shard.present, folder / "present")
            gone = [folder / "deletions.parquet"]
            implied = deletions(con, how, how.complete, base.buckets, changes, present, gone[0])
        target = _made(folder / "merged")
        merged = merge(
            con,
            how.table,
            base.buckets,
            [*changes, *gone],
            target,
            history=how.history,
            floors=how.floors,
            swept=how.swept,
        )
        again = _revived(where, con, shard, base, merged, [bucket.rows for bucket in base.buckets], folder)
    return ShardMerged(
        shard.number,
        buckets=base.told(where, merged),
        closed=(where.written(merged.closed),) if merged.closed is not None else (),
        revived=again,
        late=(where.written(merged.late),) if merged.late is not None else (),
        changes=merged.changes,
        applied=merged.applied,
        superseded=merged.superseded,
        implied=implied,
    )


def make_anew(where: Where, shard: Shard, folder: Path) -> ShardMerged:
    """The buckets of a shard, which are merged by now, with the rows of its ``late`` keys made of all their changes."""
    how, several = where.merging, where.fetched(shard.late, folder / "keys")
    changes = where.fetched(shard.changes, folder / "changes")
    with where.connected(folder) as con:
        late = folder / "late.parquet"
        rebuilt = write_parquet(con, f"select distinct {names(how.table.key)} from {rows_of(several)}", late)
        # They have all columns by now.
        base = _Base.of(replace(where, merging=replace(how, grown=False)), con, shard.base, None, folder)
        target = _made(folder / "merged")
        merged = merge(
            con,
            how.table,
            base.buckets,
            changes,
            target,
            history=how.history,
            anew=late,
            floors=how.floors,
            swept=False,
        )
        closed = where.fetched(shard.closed, folder / "closed")
        rest = remaining(con, how.table, closed, late, folder / "rest.parquet") if closed else None
        before = _Base.of(where, con, shard.first, None, folder / "first")
        known = {each.rows for each in shard.first}
        stay = [own.rows for own, uris in zip(base.buckets, shard.base, strict=True) if uris.rows in known]
        again = _revived(where, con, shard, before, merged, stay, folder)
    ended = [path for path in (rest, merged.closed) if path is not None]
    return ShardMerged(
        shard.number,
        buckets=base.told(where, merged),
        closed=tuple(map(where.written, ended)),
        revived=again,
        rebuilt=rebuilt,
    )


def look_beyond(where: Where, file: EndedFile, folder: Path) -> SpreadOut:
    """The keys of versions that go beyond a load, by shard."""
    there = where.fetched([file.uri], folder / "from")
    with where.connected(folder) as con:
        late = beyond(con, where.merging.table, there, where.merging.floors, None, folder / "late.parquet")
        return SpreadOut(tuple(where.spread(con, late, folder / "to"))) if late is not None else SpreadOut()


@dataclass(frozen=True)
class WithoutLate:
    """A file of versions that ended before, from which those of ``late`` keys are to be taken."""

    file: EndedFile
    late: tuple[str, ...]


def take_late(where: Where, work: WithoutLate, folder: Path) -> EndedRows:
    [there], several = where.fetched([work.file.uri], folder / "from"), where.fetched(work.late, folder / "keys")
    table, rows = where.merging.table, _count(there)
    with where.connected(folder) as con:
        keys = folder / "late.parquet"
        write_parquet(con, f"select distinct {names(table.key)} from {rows_of(several)}", keys)
        rest = remaining(con, table, [there], keys, folder / "rest.parquet")
    stays = rest is not None and _count(rest) == rows
    left = where.written(rest) if rest is not None and not stays else None
    return EndedRows(file=work.file, rows=rows, stays=stays, left=left)


@dataclass(frozen=True)
class _Base:
    """Buckets on this machine; ``same`` are the files that are as they were."""

    buckets: tuple[Bucket, ...]
    same: frozenset[Path] = field(default_factory=frozenset)

    @classmethod
    def of(
        cls,
        where: Where,
        con: "duckdb.DuckDBPyConnection",
        base: Sequence[BaseBucket],
        numbers: Collection[int] | None,
        folder: Path,
    ) -> "_Base":
        wanted = [each for each in base if numbers is None or each.number in numbers]
        uris = [uri for each in wanted for uri in (each.rows, each.deleted) if uri]
        there: Mapping[str, Path] = dict(zip(uris, where.fetched(uris, folder / "base"), strict=True))
        if where.merging.grown:
            for path in there.values():
                grow(con, where.merging, path)
        buckets = tuple(Bucket(each.number, there.get(each.rows), there.get(each.deleted)) for each in wanted)
        return cls(buckets, frozenset() if where.merging.grown else frozenset(there.values()))

    def told(self, where: Where, merged: Merged) -> tuple[MergedBucket, ...]:
        """The buckets that came of it, with what is new put below the prefix of the job."""

        def put(path: Path | None, number: int) -> WrittenFile | None:
            return where.written(path, str(number)) if path is not None and path not in self.same else None

        return tuple(
            MergedBucket(
                number=each.number,
                rows=put(each.rows, each.number),
                deleted=put(each.tombstones, each.number),
                rows_stay=each.rows in self.same,
                deleted_stay=each.tombstones in self.same,
            )
            for each in merged.buckets
        )


def _revived(
    where: Where,
    con: "duckdb.DuckDBPyConnection",
    shard: Shard,
    base: _Base,
    merged: Merged,
    stay: Collection[Path | None],
    folder: Path,
) -> tuple[WrittenFile, ...]:
    """Deleted rows that readers see and that are among the rows again; none is in files that ``stay``."""
    how = where.merging
    rows = [bucket.rows for bucket in merged.buckets if bucket.rows is not None and bucket.rows not in stay]
    if shard.shown is None:
        deleted = [bucket.tombstones for bucket in base.buckets if bucket.tombstones is not None]
    else:
        deleted = where.fetched(shard.shown, folder / "shown")
    target = folder / "revived.parquet"
    found = revived(con, how.table, how.outputs, deleted, rows, target) if rows and deleted else 0
    return (where.written(target),) if found else ()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _count(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _memory() -> int:
    """Bytes for one task, where as many run at once as the machine has cores."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(int(whole * _SHARE) // (os.cpu_count() or 1), _LEAST_MEMORY)
