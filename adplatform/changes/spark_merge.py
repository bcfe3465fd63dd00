"""The job of Spark that makes a merge of a table which outgrows one machine: stages of tasks, each told by the reports
of the one before. Publishing what it leaves is the caller's, as it is for a merge of the caller's machine."""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter

from adplatform.changes.arrived import Change
from adplatform.changes.merge_plan import BaseBucket, EndedRows, MergedBucket, MergePlan, MergeResult
from adplatform.changes.spark_tasks import (
    Shard,
    ShardMerged,
    Spread,
    SpreadOut,
    Where,
    WithoutLate,
    look_beyond,
    make_anew,
    merge_shard,
    spread,
    take_late,
)
from adplatform.failures import PermanentFailure
from adplatform.platform.late import Late
from adplatform.transform.job_plan import WrittenFile

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession
else:
    pa = Late("pyarrow")

_BIN = 128 << 20
"""Bytes of files that one task spreads."""
_MOST_FILES = 64
"""Small files that one task spreads."""
Item = TypeVar("Item")
Report = TypeVar("Report")
_Work = Callable[[Where, Item, Path], Report]
_TOLD = "item bigint, report binary, why string"


def carry_out(spark: "SparkSession", plan: MergePlan, output: str) -> MergeResult:
    """Make the merge of a plan below ``output``, an empty prefix that ends with ``/``.

    Raises:
        TransientFailure: a service does not answer.
    """
    where = Where(plan.merging, plan.region, output, plan.shards)
    try:
        return _Job(spark, plan, where).result()
    except PermanentFailure as e:
        return MergeResult(failure=str(e))


@dataclass(frozen=True)
class _Job:
    spark: "SparkSession"
    plan: MergePlan
    where: Where

    def result(self) -> MergeResult:
        plan = self.plan
        changes, unplaced = self._spread(self._of_changes(plan.changes))
        present, _ = self._spread(_binned(plan.present))
        shown, _ = self._spread(_binned(plan.shown or ()))
        base = self._by_shard(plan.base)
        asked = sorted(changes.keys() | (base.keys() if plan.whole else set()))
        shards = [
            Shard(
                number,
                tuple(base[number]),
                tuple(changes[number]),
                whole=plan.whole,
                present=tuple(present[number]),
                shown=None if plan.shown is None else tuple(shown[number]),
            )
            for number in asked
        ]
        merged = {each.number: each for each in self._each(merge_shard, shards, ShardMerged)}
        anew, ended = self._anew(merged, base, shown)
        last = {**merged, **anew}
        return MergeResult(
            buckets=tuple(sorted((b for n in last for b in _buckets(merged[n], anew.get(n))), key=lambda b: b.number)),
            closed=tuple(file for each in last.values() for file in each.closed),
            ended=ended,
            revived=tuple(file for each in last.values() for file in each.revived),
            changes=sum(each.changes for each in merged.values()) + unplaced,
            applied=sum(each.applied for each in merged.values()),
            superseded=sum(each.superseded for each in merged.values()),
            unplaced=unplaced,
            rebuilt=sum(each.rebuilt for each in anew.values()),
            implied=sum(each.implied for each in merged.values()),
        )

    def _anew(
        self,
        merged: Mapping[int, ShardMerged],
        base: Mapping[int, Sequence[BaseBucket]],
        shown: Mapping[int, Sequence[str]],
    ) -> tuple[dict[int, ShardMerged], tuple[EndedRows, ...]]:
        """The shards with rows that were made of all their changes, because one came late; and the versions that ended
        before, without those of these rows."""
        plan, late = self.plan, defaultdict[int, list[str]](list)
        for number, each in merged.items():
            late[number] += [file.uri for file in each.late]
        if plan.beyond:
            for found in self._each(look_beyond, plan.ended, SpreadOut):
                for file in found.files:
                    late[int(file.partition)].append(file.uri)
        late = defaultdict(list, {number: uris for number, uris in late.items() if uris})
        if not late:
            return {}, ()
        keys = tuple(uri for uris in late.values() for uri in uris)
        every, _ = self._spread(self._of_changes(plan.every or plan.changes, keys))
        shards = []
        for number, uris in sorted(late.items()):
            before = {bucket.number: bucket for bucket in base[number]}
            now = merged.get(number, ShardMerged(number))
            there = [_uris(bucket, before.get(bucket.number)) for bucket in now.buckets]
            shard = Shard(
                number,
                tuple(there),
                tuple(every[number]),
                shown=None if plan.shown is None else tuple(shown[number]),
                late=tuple(uris),
                closed=tuple(file.uri for file in now.closed),
                first=tuple(before[bucket.number] for bucket in there if bucket.number in before),
            )
            shards.append(shard)
        anew = {each.number: each for each in self._each(make_anew, shards, ShardMerged)}
        ended = [WithoutLate(file, keys) for file in plan.ended] if plan.merging.history else []
        return anew, tuple(self._each(take_late, ended, EndedRows))

    def _by_shard(self, base: Iterable[BaseBucket]) -> dict[int, list[BaseBucket]]:
        found = defaultdict[int, list[BaseBucket]](list)
        for bucket in base:
            found[bucket.number % self.plan.shards].append(bucket)
        return found

    def _of_changes(self, changes: Iterable[Change], keys: tuple[str, ...] = ()) -> list[Spread]:
        """Files of each date together, small ones several for a task."""
        work: list[Spread] = []
        for change in changes:
            bins: list[list[str]] = []
            size = 0
            for file in change.files:
                if not bins or size + file.size > _BIN or len(bins[-1]) >= _MOST_FILES:
                    bins.append([])
                    size = 0
                bins[-1].append(f"{self.plan.clean}{file.key}")
                size += file.size
            work += [Spread(tuple(files), replace(change, files=()), keys) for files in bins]
        return work

    def _spread(self, work: Sequence[Spread]) -> tuple[Mapping[int, list[str]], int]:
        """The files of each shard, and how many changes are in none."""
        found, unplaced = defaultdict[int, list[str]](list), 0
        for each in self._each(spread, work, SpreadOut):
            unplaced += each.unplaced
            for file in each.files:
                found[int(file.partition)].append(file.uri)
        return found, unplaced

    def _each(self, work: "_Work[Item, Report]", items: Sequence[Item], kind: type[Report]) -> list[Report]:
        """A task for each item, whose reports are in the order of the items.

        Raises:
            PermanentFailure: that of the first that failed.
        """
        if not items:
            return []
        numbers = self.spark.range(0, len(items), 1, len(items))
        rows = numbers.mapInArrow(partial(_run, work, self.where, tuple(items)), _TOLD)
        told = sorted(rows.collect(), key=lambda row: int(row[0]))
        for _, _, why in told:
            if why:
                raise PermanentFailure(why)
        reports: TypeAdapter[Report] = TypeAdapter(kind)
        return [reports.validate_json(bytes(report)) for _, report, _ in told]


def _run(
    work: "_Work[Any, Any]", where: Where, items: Sequence[Any], numbers: Iterable["pa.RecordBatch"]
) -> Iterator["pa.RecordBatch"]:
    """Runs in an executor. What forbids the merge is told, because Spark would only try it again."""
    for batch in numbers:
        for number in batch.column(0).to_pylist():
            with tempfile.TemporaryDirectory(prefix="spark-") as folder:
                try:
                    done, why = work(where, items[number], Path(folder)), ""
                    report = TypeAdapter(type(done)).dump_json(done)
                except PermanentFailure as e:
                    report, why = b"", str(e)
            yield pa.RecordBatch.from_pydict(
                {
                    "item": pa.array([number], pa.int64()),
                    "report": pa.array([report], pa.binary()),
                    "why": pa.array([why]),
                }
            )


def _binned(uris: Sequence[str]) -> list[Spread]:
    return [Spread((uri,)) for uri in uris]


def _uris(bucket: MergedBucket, before: BaseBucket | None) -> BaseBucket:
    """Where the files of a bucket are by now."""

    def uri(file: WrittenFile | None, stays: bool, was: str) -> str:
        return was if stays else (file.uri if file else "")

    was = before or BaseBucket(number=bucket.number)
    rows = uri(bucket.rows, bucket.rows_stay, was.rows)
    return BaseBucket(number=bucket.number, rows=rows, deleted=uri(bucket.deleted, bucket.deleted_stay, was.deleted))


def _buckets(merged: ShardMerged, anew: ShardMerged | None) -> Iterator[MergedBucket]:
    """The buckets of a shard as they are in the end."""
    first = {each.number: each for each in merged.buckets}
    last = {each.number: each for each in anew.buckets} if anew else {}
    for number in first.keys() | last.keys():
        now = last.get(number)
        before = first.get(number, MergedBucket(number=number))
        if now is None:
            yield before
        else:
            yield now.model_copy(
                update={
                    **({"rows": before.rows, "rows_stay": before.rows_stay} if now.rows_stay else {}),
                    **({"deleted": before.deleted, "deleted_stay": before.deleted_stay} if now.deleted_stay else {}),
                }
            )
