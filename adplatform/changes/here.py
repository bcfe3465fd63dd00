"""A merge that is made on the machine of its run, bucket by bucket."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.changes.arrived import Change
from adplatform.changes.begun import Begun, Ended, Made, MadeBucket
from adplatform.changes.gathered import all_changes, gather, lasting_names
from adplatform.changes.local_files import fetch
from adplatform.changes.merging import deletions, grow, remaining
from adplatform.changes.state import Counts
from adplatform.changes.versions import files_at
from adplatform.failures import TransientFailure
from adplatform.lake.keyed import Bucket, Merged, beyond, buckets_of, merge, merging, revived
from adplatform.platform.late import Late
from adplatform.transform.values import StagedFile

if TYPE_CHECKING:
    import duckdb
    import pyarrow.parquet as pq
else:
    pq = Late("pyarrow.parquet")


def made_here(doing: Begun) -> Made:
    """What the changes make of the table.

    Raises:
        PermanentFailure: changes cannot be put in order, or do not fit the table.
        TransientFailure: a service did not answer, or something is being published.
    """
    services, followed, how = doing.services, doing.followed, doing.merging
    changes = doing.changes
    with merging(doing.work, *doing.limits) as con:
        gathered = gather(con, services, how.table, how.sequence_field, changes, doing.folder("changes"))
        base = _base(doing, None if doing.needs_all else buckets_of(con, how.table, gathered.files))
        gone, implied = _implied(con, doing, base, gathered.files)
        merged = merge(
            con,
            how.table,
            base,
            [*gathered.files, *gone],
            doing.folder("merged"),
            history=how.history,
            floors=how.floors,
            swept=how.swept,
        )
    require_all(followed.name, merged.changes + gathered.unplaced, changes, implied)
    merged = replace(merged, late=_late(doing, merged))
    whole = _made_anew(doing, merged) if merged.late is not None else merged
    same = set() if doing.grown else {path for each in base for path in (each.rows, each.tombstones) if path}
    closed = _closed(doing, merged, whole)
    return Made(
        buckets=tuple(_made(bucket, same) for bucket in whole.buckets),
        closed=closed,
        ended=_ended(doing, merged.late) if merged.late is not None and how.history else {},
        revived=_revived(doing, base, whole),
        merged=merged_files(doing, changes),
        counts=Counts(
            changes=merged.changes + gathered.unplaced,
            applied=merged.applied,
            superseded=merged.superseded,
            unplaced=gathered.unplaced,
            rebuilt=_count(merged.late),
            closed=sum(file.rows for file in closed),
            read=sum(each.read for each in changes),
            set_aside=sum(each.set_aside for each in changes),
            implied=implied,
        ),
    )


def require_all(name: str, found: int, changes: Iterable[Change], implied: int) -> None:
    """
    Raises:
        TransientFailure: so many changes are not those that the ledger knows of.
    """
    known = sum(each.rows for each in changes) + implied
    if found != known:
        raise TransientFailure(
            f"{name}: {found} changes were read, and the ledger knows of {known}; nothing was published. Run the step "
            "again"
        )


def merged_files(doing: Begun, changes: Iterable[Change]) -> dict[str, tuple[str, ...]]:
    """The files of changes of which nothing is left to merge. Those of a version that was published after the plan may
    hold what the next merge takes."""
    done = dict(doing.before.merged)
    for change in changes:
        if change.version == doing.plan.reached.versions[change.day]:
            names = lasting_names(doing.services.zones, doing.followed, change)
            done[change.day] = tuple(dict.fromkeys((*done.get(change.day, ()), *names)))
    return done


def _base(doing: Begun, numbers: Collection[int] | None) -> list[Bucket]:
    """The buckets of the table with these ``numbers``, or all, on this machine, with all columns that it has by now."""
    folder = doing.folder("base")
    wanted: dict[str, Path] = {}
    buckets = []
    for number, (rows, deleted) in doing.base.items():
        if numbers is None or number in numbers:
            own, gone = folder / f"rows-{number:05}.parquet", folder / f"deleted-{number:05}.parquet"
            wanted |= {key: path for key, path in ((rows, own), (deleted, gone)) if key}
            buckets.append(Bucket(number, own if rows else None, gone if deleted else None))
    there = fetch(doing.services.store, wanted)
    if doing.grown:
        with merging(doing.work, *doing.limits) as con:
            for path in there:
                grow(con, doing.merging, path)
    return buckets


def _implied(
    con: "duckdb.DuckDBPyConnection", doing: Begun, base: Sequence[Bucket], changes: Sequence[Path]
) -> tuple[list[Path], int]:
    """A file with the deletions that a complete reading of a table stands for, and how many they are."""
    if doing.compared is None:
        return [], 0
    folder = doing.folder("complete")
    present = {file.key: folder / f"present-{n:05}" for n, file in enumerate(doing.compared.files)}
    there, target = fetch(doing.services.store, present), folder / "deletions.parquet"
    count = deletions(con, doing.merging, doing.compared.complete, base, changes, there, target)
    for path in there:
        path.unlink()
    return [target], count


def _late(doing: Begun, merged: Merged) -> Path | None:
    """The keys to be made anew: those of changes that came late, and those of versions that go beyond a load that is
    known to be complete only now."""
    if not doing.looks_beyond:
        return merged.late
    services, how, folder = doing.services, doing.merging, doing.folder("closed")
    there = [file for location in doing.ended_before.values() for file in files_at(services, location).values()]
    closed = fetch(services.store, {file.key: folder / f"{n:05}.parquet" for n, file in enumerate(there)})
    with merging(doing.work, *doing.limits) as con:
        return beyond(con, how.table, closed, how.floors, merged.late, doing.work / "late.parquet")


def _made_anew(doing: Begun, merged: Merged) -> Merged:
    """The table with those rows made from all their changes to which one came late."""
    how = doing.merging
    with merging(doing.work, *doing.limits) as con:
        every = all_changes(doing.services, doing.followed, doing.plan, doing.generations)
        folder = doing.folder("all")
        gathered = gather(con, doing.services, how.table, how.sequence_field, every, folder, merged.late)
        return merge(
            con,
            how.table,
            merged.buckets,
            gathered.files,
            doing.folder("anew"),
            history=how.history,
            anew=merged.late,
            floors=how.floors,
            swept=False,
        )


def _made(bucket: Bucket, same: Collection[Path]) -> MadeBucket:
    rows, deleted = bucket.rows, bucket.tombstones
    rows_stay, deleted_stay = rows in same, deleted in same
    return MadeBucket(
        bucket.number,
        rows=None if rows is None or rows_stay else _staged(rows),
        deleted=None if deleted is None or deleted_stay else _staged(deleted),
        rows_stay=rows_stay,
        deleted_stay=deleted_stay,
    )


def _revived(doing: Begun, base: Sequence[Bucket], whole: Merged) -> tuple[StagedFile, ...]:
    """Deleted rows that readers see and that are among the rows again."""
    before, shown = {bucket.rows for bucket in base}, doing.shown_deleted
    rows = [bucket.rows for bucket in whole.buckets if bucket.rows is not None and bucket.rows not in before]
    if not rows:
        return ()
    if shown is None:
        deleted = [bucket.tombstones for bucket in base if bucket.tombstones is not None]
    else:
        folder = doing.folder("shown")
        deleted = fetch(doing.services.store, {file.key: folder / f"{n:05}.parquet" for n, file in enumerate(shown)})
    target = doing.work / "revived.parquet"
    with merging(doing.work, *doing.limits) as con:
        found = revived(con, doing.merging.table, doing.columns, deleted, rows, target) if deleted else 0
    return (StagedFile(target, "", found),) if found else ()


def _closed(doing: Begun, merged: Merged, whole: Merged) -> tuple[StagedFile, ...]:
    """The versions that have ended now, without those of rows that were made anew."""
    first = merged.closed
    if merged.late is not None and first is not None:
        with merging(doing.work, *doing.limits) as con:
            first = remaining(con, doing.merging.table, [first], merged.late, doing.work / "first.parquet")
    return tuple(_staged(path) for path in dict.fromkeys((first, whole.closed)) if path is not None)


def _ended(doing: Begun, late: Path) -> Mapping[date, Ended]:
    """The versions that ended before, without those of the ``late`` rows, of dates that have any of these; and of the
    merge's own, of which only files count that the merges before have left."""
    services, folder, found = doing.services, doing.folder("history"), dict[date, Ended]()
    for day, location in doing.ended_before.items():
        if doing.plan.anew:
            continue
        own = {file.name for file in doing.before.closed} if day == doing.plan.day else None
        there = {name: file for name, file in files_at(services, location).items() if own is None or name in own}
        stay, new = dict[str, int](), list[StagedFile]()
        for name, file in there.items():
            [path] = fetch(services.store, {file.key: folder / f"{day}-{name}"})
            rows = _count(path)
            with merging(doing.work, *doing.limits) as con:
                rest = remaining(con, doing.merging.table, [path], late, path.with_suffix(".kept"))
            if _count(rest) == rows:
                stay[name] = rows
            elif rest is not None:
                new.append(_staged(rest))
            path.unlink()
        if len(stay) < len(there):
            found[day] = Ended(stay, tuple(new))
    return found


def _staged(path: Path) -> StagedFile:
    return StagedFile(path, "", _count(path))


def _count(path: Path | None) -> int:
    return int(pq.read_metadata(path).num_rows) if path is not None else 0
