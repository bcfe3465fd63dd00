"""A merge: the changes that have come are applied to the rows of a table, and readers are led to what came of it.

A merge is planned in the ledger before it begins and is repeated until readers see it, so a crash at any point changes
nothing: it reads immutable objects, and each try shows versions of its own (``tries.py``).

No row is ever missing both among the rows and among those that were deleted: the deleted ones are shown before the
others, and those of them that there are again stay until the rows are shown, and then go by a version without them.
Meanwhile a row may be in both, and that with the greater sequence counts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.changes import state
from adplatform.changes.gathered import Change, all_changes, changes_to_merge, gather, lasting_names
from adplatform.changes.local_files import fetch
from adplatform.changes.made import MadeTable, history_columns
from adplatform.changes.pulled import Pulled, deletions
from adplatform.changes.state import Counts, KeptBucket, KeptFile, State
from adplatform.changes.tries import Try, shown_before, state_key, tries_before
from adplatform.changes.versions import Version, files_at, locations, show
from adplatform.changes.views import views_of
from adplatform.contracts.types import parse_type
from adplatform.failures import ClaimLost, TransientFailure
from adplatform.flow.services import Services
from adplatform.lake.catalog import Table
from adplatform.lake.keyed import Bucket, KeyedTable, Merged, beyond, buckets_of, merge, merging, revived
from adplatform.lake.table import TableSpec, table_name
from adplatform.ledger.folds import Fold, Generation, Plan
from adplatform.platform.late import Late
from adplatform.transform.rules import identifier, literal, sql_type
from adplatform.transform.values import CarriedFile, OutputColumn

if TYPE_CHECKING:
    import duckdb
    import pyarrow.parquet as pq
else:
    pq = Late("pyarrow.parquet")


@dataclass(frozen=True, kw_only=True)
class Folded(Counts):
    """What a merge came to: ``files`` by table, those of the history of its date alone, and of which ``days`` changes
    were merged."""

    row: Fold
    columns: tuple[OutputColumn, ...]
    files: Mapping[str, tuple[KeptFile, ...]]
    days: tuple[date, ...]


@dataclass(frozen=True)
class _Fold:
    """A merge while it is made. ``before`` is what it begins with, ``columns`` are those of the rows by now, and
    ``since`` is the date under which every version of the table is published, so that each replaces the one before."""

    services: Services
    followed: MadeTable
    row: Fold
    plan: Plan
    run_id: str
    work: Path
    before: State
    columns: tuple[OutputColumn, ...]
    generations: Sequence[Generation]
    tries: Sequence[Try]

    @property
    def since(self) -> date:
        return self.row.since or self.plan.day

    @property
    def table(self) -> KeyedTable:
        return self.followed.keyed(self.columns)

    @property
    def limits(self) -> tuple[str, int]:
        return self.services.settings.memory_limit, self.services.settings.threads

    @property
    def grown(self) -> bool:
        """Whether the table has got columns that its rows lack."""
        return bool(self.before.columns) and set(self.before.types()) != {column.name for column in self.columns}

    @property
    def floors(self) -> list[str]:
        """The sequences with which the loads began that are complete."""
        complete = {*self.plan.reached.loads, self.plan.reached.generation}
        return [each.sequence for each in self.generations if each.number in complete]

    @property
    def swept(self) -> bool:
        """Whether rows may be there that are not in that load, because it was not complete before."""
        return self.plan.reached.generation > (0 if self.plan.anew else self.row.merged.generation)

    @property
    def compares(self) -> bool:
        """Whether a complete reading is to be compared with the rows that there are."""
        return self.plan.reached.complete not in ("", "" if self.plan.anew else self.row.merged.complete)

    @property
    def needs_all(self) -> bool:
        """Whether buckets are needed that no change falls into."""
        return self.grown or self.compares or (bool(self.floors) and self.swept)

    def folder(self, name: str) -> Path:
        made = self.work / name
        made.mkdir()
        return made


def fold(services: Services, followed: MadeTable, row: Fold, run_id: str, work: Path) -> Folded:
    """Do what is planned in ``row``, which ``run_id`` has claimed; ``work`` is an empty directory.

    Raises:
        ClaimLost: another try has it.
        PermanentFailure: changes cannot be put in order, or the table cannot take them.
        TransientFailure: a service did not answer, or something is being published.
    """
    tries = tries_before(services, followed, row)
    since = row.since or row.next_plan.day
    if (shown := shown_before(services, followed, row, since, tries, run_id)) is not None:
        return _noted(services, followed, row, shown, run_id, work)
    doing = _begun(services, followed, row, run_id, work, tries)
    begin, generations = row.merged.numbers, doing.generations
    changes = list(changes_to_merge(services, followed, doing.plan, begin, doing.before.merged, generations))
    with merging(work, *doing.limits) as con:
        sequence = followed.sequence_field
        gathered = gather(con, services, doing.table, sequence, changes, doing.folder("changes"))
        base = _base(doing, None if doing.needs_all else buckets_of(con, doing.table, gathered.files))
        gone, ended = _ended(con, doing, base, gathered.files)
        merged = merge(
            con,
            doing.table,
            base,
            [*gathered.files, *gone],
            doing.folder("merged"),
            history=followed.has_history,
            floors=doing.floors,
            swept=doing.swept,
        )
    found, known = merged.changes + gathered.unplaced, sum(each.rows for each in changes) + ended
    if found != known:
        raise TransientFailure(
            f"{followed.name}: {found} changes were read, and the ledger knows of {known}; nothing was published. Run "
            "the step again"
        )
    merged = replace(merged, late=_late(doing, merged))
    late = merged.late
    whole = _made_anew(doing, merged) if late is not None else merged
    counts = Counts(
        changes=merged.changes + gathered.unplaced,
        applied=merged.applied,
        superseded=merged.superseded,
        unplaced=gathered.unplaced,
        rebuilt=_count(merged.late),
        closed=_count(whole.closed),
        read=sum(each.read for each in changes),
        set_aside=sum(each.set_aside for each in changes),
        implied=ended,
    )
    return _shown(doing, base, changes, merged, whole, counts)


def _begun(services: Services, followed: MadeTable, row: Fold, run_id: str, work: Path, tries: Sequence[Try]) -> _Fold:
    plan, before = row.next_plan, State()
    if row.manifest_key and not plan.anew:
        kept = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=row.manifest_key)
        before = state.read(kept["Body"].read())
    catalogued = _table_of_changes(services, followed)
    if catalogued is None:  # the load of an empty table brings no file
        found = [(column.name, column.type) for column in followed.stored.values()]
    else:
        found = [(name, parse_type(kind)) for name, kind in catalogued.columns]
    columns = followed.columns(found)
    # Those that were known to the plan, so that each try comes to the same.
    generations = services.ledger.folds.generations(followed.source, followed.target)[: plan.reached.opened]
    return _Fold(services, followed, row, plan, run_id, work, before, columns, generations, tries)


def _table_of_changes(services: Services, followed: MadeTable) -> Table | None:
    return services.lake.catalog.table(table_name(followed.changes.table, services.settings.database_prefix))


def _ended(
    con: "duckdb.DuckDBPyConnection", doing: _Fold, base: Sequence[Bucket], changes: Sequence[Path]
) -> tuple[list[Path], int]:
    """A file with the deletions that a complete reading of a table stands for, and how many they are."""
    followed, complete = doing.followed, doing.plan.reached.complete
    if not isinstance(followed, Pulled) or not doing.compares:
        return [], 0
    folder = doing.folder("complete")
    path, count = deletions(con, doing.services, followed, doing.table, doing.columns, complete, base, changes, folder)
    return [path], count


def _base(doing: _Fold, numbers: Collection[int] | None) -> list[Bucket]:
    """The buckets of the table with these ``numbers``, or all, on this machine, with all columns that it has by now."""
    folder, zones, where = doing.folder("base"), doing.services.zones, doing.row.locations
    rows, deleted = (zones.clean_key(where.get(table, "")) for table in (doing.followed.name, doing.followed.deleted))
    wanted: dict[str, Path] = {}
    needed = [bucket for bucket in doing.before.buckets if numbers is None or bucket.number in numbers]
    for bucket in needed:
        if bucket.rows.name:
            wanted[f"{rows}{bucket.rows.name}"] = _rows_of(folder, bucket.number)
        if bucket.deleted.name:
            wanted[f"{deleted}{bucket.deleted.name}"] = _deleted_of(folder, bucket.number)
    there = set(fetch(doing.services.store, wanted))
    if doing.grown:
        with merging(doing.work, *doing.limits) as con:
            for path in there:
                _grow(con, doing, path)
    buckets = []
    for number in (bucket.number for bucket in needed):
        own, gone = _rows_of(folder, number), _deleted_of(folder, number)
        buckets.append(Bucket(number, own if own in there else None, gone if gone in there else None))
    return buckets


def _rows_of(folder: Path, number: int) -> Path:
    return folder / f"rows-{number:05}.parquet"


def _deleted_of(folder: Path, number: int) -> Path:
    return folder / f"deleted-{number:05}.parquet"


def _grow(con: "duckdb.DuckDBPyConnection", doing: _Fold, path: Path) -> None:
    """Give the file the columns that the table has got since; in older rows they have what is declared for that."""
    defaults = {column.name: column.default for column in doing.followed.declared.columns}
    present, values = doing.before.types(), []
    for column in doing.columns:
        default = defaults.get(column.name)
        value = "null" if default is None else literal(default)
        added = f"cast({value} as {sql_type(column.type)}) as {identifier(column.name)}"
        values.append(identifier(column.name) if column.name in present else added)
    target = path.with_suffix(".grown")
    con.execute(
        f"copy (select {', '.join(values)} from read_parquet({literal(str(path))}, hive_partitioning = false))"
        f" to {literal(str(target))} (format parquet)"
    )
    target.rename(path)


def _late(doing: _Fold, merged: Merged) -> Path | None:
    """The keys to be made anew: those of changes that came late, and those of versions that go beyond a load that is
    known to be complete only now."""
    services = doing.services
    if not doing.followed.has_history or not doing.swept or doing.plan.anew:
        return merged.late
    folder = doing.folder("closed")
    there = [file for location in _ended_before(doing).values() for file in files_at(services, location).values()]
    closed = fetch(services.store, {file.key: folder / f"{n:05}.parquet" for n, file in enumerate(there)})
    with merging(doing.work, *doing.limits) as con:
        return beyond(con, doing.table, closed, doing.floors, merged.late, doing.work / "late.parquet")


def _made_anew(doing: _Fold, merged: Merged) -> Merged:
    """The table with those rows made from all their changes to which one came late."""
    with merging(doing.work, *doing.limits) as con:
        every = all_changes(doing.services, doing.followed, doing.plan, doing.generations)
        sequence, folder = doing.followed.sequence_field, doing.folder("all")
        gathered = gather(con, doing.services, doing.table, sequence, every, folder, merged.late)
        return merge(
            con,
            doing.table,
            merged.buckets,
            gathered.files,
            doing.folder("anew"),
            history=doing.followed.has_history,
            anew=merged.late,
            floors=doing.floors,
            swept=False,
        )


def _shown(
    doing: _Fold, base: Sequence[Bucket], changes: Sequence[Change], merged: Merged, whole: Merged, counts: Counts
) -> Folded:
    """Readers are led to what was merged, and the ledger remembers it."""
    services, followed, row, plan = doing.services, doing.followed, doing.row, doing.plan
    rows, deleted = (
        Version(table, files_at(services, row.locations.get(table, ""))) for table in (followed.name, followed.deleted)
    )
    buckets = _buckets(doing, base, whole, rows, deleted)
    there_again = deleted.add(_revived(doing, base, whole))
    history = _history(doing, merged, whole) if followed.has_history else {}
    made = State(
        columns=tuple((column.name, column.type.hive) for column in doing.columns),
        buckets=buckets,
        closed=history[plan.day].kept if history else (),
        merged=_merged_files(doing, changes),
        plan=row.plan,
        replaced={day.isoformat(): each.replaces for day, each in history.items() if day != plan.day},
        counts=counts,
        revived=there_again.name,
    )
    own = Try(state_key(services, followed, row), made)
    services.s3.put_object(
        Bucket=services.zones.raw_bucket, Key=own.key, Body=state.written(made), **services.zones.put_arguments
    )
    for day, each in history.items():
        _lead(doing, each.version, day, own.key)
    _lead(doing, deleted, doing.since, own.key)
    _lead(doing, rows, doing.since, own.key)
    return _noted(services, followed, row, own, doing.run_id, doing.work)


def _revived(doing: _Fold, base: Sequence[Bucket], whole: Merged) -> Path | None:
    """Deleted rows that readers see and that are among the rows again; None without any."""
    services, followed, row = doing.services, doing.followed, doing.row
    placed = services.ledger.placements.get(followed.deleted, doing.since)
    before = {bucket.rows for bucket in base}
    rows = [bucket.rows for bucket in whole.buckets if bucket.rows is not None and bucket.rows not in before]
    if placed is None or placed.key_id != doing.plan.reached.key_id or not rows:
        return None
    if placed.location == row.locations.get(followed.deleted) and not doing.plan.anew:
        deleted = [bucket.tombstones for bucket in base if bucket.tombstones is not None]
    else:
        folder = doing.folder("shown")
        there = files_at(services, placed.location)
        deleted = fetch(services.store, {file.key: folder / name for name, file in there.items()})
    target = doing.work / "revived.parquet"
    with merging(doing.work, *doing.limits) as con:
        return target if deleted and revived(con, doing.table, doing.columns, deleted, rows, target) else None


def _without_revived(
    services: Services, followed: MadeTable, row: Fold, shown: Try, run_id: str, work: Path, spec: TableSpec
) -> Fold:
    """Deleted rows that there are again are taken from readers, once these see the rows; the row as it is then."""
    plan = replace(row, plan=shown.state.plan).next_plan
    since = row.since or plan.day
    placed = services.ledger.placements.get(followed.deleted, since)
    there = files_at(services, placed.location) if placed else {}
    if shown.state.revived not in there:
        return row
    # The version has a number of its own, because there is one of this try already.
    claimed = services.ledger.folds.claim(row, run_id)
    if claimed is None:
        raise ClaimLost(f"{followed.name}: another run has taken merge {row.next}")
    kept = [bucket.deleted for bucket in shown.state.buckets if bucket.deleted.name]
    version = Version(followed.deleted, there)
    version.carried += [CarriedFile(there[file.name].key, there[file.name].size, file.rows, file.name) for file in kept]
    show(
        services,
        version,
        spec,
        day=since,
        row=claimed,
        manifest=shown.key,
        key_id=plan.reached.key_id,
        run_id=run_id,
        temp=work,
    )
    return claimed


def _noted(services: Services, followed: MadeTable, row: Fold, shown: Try, run_id: str, work: Path) -> Folded:
    """The ledger remembers a try whose rows are shown, by the plan that it had, after what is left to show."""
    columns = followed.columns(shown.state.types().items())
    if shown.state.revived:
        spec = _described(services, followed, followed.deleted, columns)
        row = _without_revived(services, followed, row, shown, run_id, work, spec)
    done = replace(row, plan=shown.state.plan)
    plan = done.next_plan
    since, days = row.since or plan.day, {followed.history: plan.day}
    if _table_of_changes(services, followed) is not None:
        generations = services.ledger.folds.generations(followed.source, followed.target)
        floor = next((each.sequence for each in generations if each.number == plan.reached.generation), "")
        for view in views_of(followed, columns, services.settings.database_prefix, floor):
            services.lake.catalog.show_view(view)
    counts = shown.state.counts
    noted = services.ledger.folds.succeed(
        row,
        replace(
            done,
            manifest_key=shown.key,
            locations=locations(services, [(table, days.get(table, since)) for table in followed.tables]),
            rows=shown.state.rows,
            deleted=shown.state.deleted,
            changes=counts.changes,
            applied=counts.applied,
            superseded=counts.superseded,
        ),
    )
    if noted is None:
        raise ClaimLost(f"{followed.name}: another run has noted merge {row.next}")
    files = {
        followed.name: tuple(bucket.rows for bucket in shown.state.buckets if bucket.rows.name),
        followed.deleted: tuple(bucket.deleted for bucket in shown.state.buckets if bucket.deleted.name),
        followed.history: shown.state.closed,
    }
    merged = tuple(date.fromisoformat(day) for day in plan.days_after(row.merged))
    return Folded(row=noted, columns=columns, files=files, days=merged, **asdict(counts))


def _buckets(
    doing: _Fold, base: Sequence[Bucket], whole: Merged, rows: Version, deleted: Version
) -> tuple[KeptBucket, ...]:
    """Which file has what of each bucket. Those that nothing changed are taken over, unless all have to be written."""
    known = {bucket.number: bucket for bucket in doing.before.buckets}
    same = set() if doing.grown else {path for each in base for path in (each.rows, each.tombstones) if path}
    merged = {bucket.number: bucket for bucket in whole.buckets}
    kept = []
    for number in sorted(known.keys() | merged.keys()):
        before = known.get(number, KeptBucket(number))
        bucket = merged.get(number)
        if bucket is None:  # no change fell into it
            own, ended = rows.carry(doing.services, before.rows), deleted.carry(doing.services, before.deleted)
            kept.append(KeptBucket(number, own, ended))
            continue
        own = rows.carry(doing.services, before.rows) if bucket.rows in same else rows.add(bucket.rows)
        gone = bucket.tombstones
        ended = deleted.carry(doing.services, before.deleted) if gone in same else deleted.add(gone)
        kept.append(KeptBucket(number, own, ended))
    return tuple(kept)


@dataclass(frozen=True)
class _Ended:
    """Versions that have ended, by the date of the merge that closed them: where they were ``replaces``, and what is
    ``kept`` there for the next merge of the date."""

    version: Version
    replaces: str = ""
    kept: tuple[KeptFile, ...] = ()


def _ended_before(doing: _Fold) -> dict[date, str]:
    """Where the versions are, by date, with which the merge begins, whatever tries before have shown."""
    table, today = doing.followed.history, doing.plan.day
    placed = {each.day: each.location for each in doing.services.ledger.placements.of_feed(table)}
    replaced = {date.fromisoformat(day): where for each in doing.tries for day, where in each.state.replaced.items()}
    same_day = doing.row.day == today and not doing.plan.anew
    return {**placed, **replaced, today: doing.row.locations.get(table, "") if same_day else ""}


def _history(doing: _Fold, merged: Merged, whole: Merged) -> dict[date, _Ended]:
    """The versions that have ended, by date: of this one those of its earlier merges and the new ones, of others those
    that have to be written again, because rows were made anew or a try before has written something else."""
    services, table, today = doing.services, doing.followed.history, doing.plan.day
    made: dict[date, _Ended] = {}
    folder, late = doing.folder("history"), merged.late
    before = _ended_before(doing)
    shown = {date.fromisoformat(day) for each in doing.tries for day in each.state.replaced}
    for day, location in before.items():
        if day != today and (doing.plan.anew or late is not None or day in shown):
            version = _without(doing, day, location, late, folder, always=day in shown)
            if version is not None:
                made[day] = _Ended(version, location)
    location = before[today]
    current = Version(table, files_at(services, location))
    kept: list[KeptFile] = []
    for file in doing.before.closed if location else ():
        path = folder / f"before-{len(kept):05}.parquet"
        if late is None:
            kept.append(current.carry(services, file))
            continue
        fetch(services.store, {current.before[file.name].key: path})
        kept.append(current.add(_remaining(doing, [path], late, path.with_suffix(".kept"))))
    first = merged.closed
    if late is not None and first is not None:
        first = _remaining(doing, [first], late, folder / "first.parquet")
    kept += [current.add(each) for each in dict.fromkeys((first, whole.closed)) if each is not None]
    made[today] = _Ended(current, location, tuple(file for file in kept if file.name))
    return made


def _without(
    doing: _Fold, day: date, location: str, late: Path | None, folder: Path, *, always: bool
) -> Version | None:
    """The versions of a date without those of the ``late`` rows; None when it has none of these, unless it is to be
    written ``always``. Of a table that is made anew nothing is left."""
    found = files_at(doing.services, location)
    version = Version(doing.followed.history, found)
    if doing.plan.anew:
        return version
    paths = fetch(doing.services.store, {file.key: folder / f"{day}-{name}" for name, file in found.items()})
    left = list(paths)
    if late is not None:
        rest = _remaining(doing, paths, late, folder / f"{day}.parquet") if paths else None
        if _count(rest) == sum(_count(path) for path in paths):
            if not always:
                return None
        else:
            left = [rest] if rest is not None else []
    for path in left:
        version.add(path)
    return version


def _remaining(doing: _Fold, files: Sequence[Path], late: Path, target: Path) -> Path | None:
    """The versions in files of rows that are not ``late``; None when none is left."""
    listed = ", ".join(literal(str(path)) for path in files)
    key = ", ".join(map(identifier, doing.table.key))
    with merging(doing.work, *doing.limits) as con:
        con.execute(
            f"copy (select * from (from read_parquet([{listed}], union_by_name = true, hive_partitioning = false)) as v"
            f" anti join (from read_parquet({literal(str(late))})) as l using ({key})) to {literal(str(target))}"
            " (format parquet)"
        )
    return target if _count(target) else None


def _merged_files(doing: _Fold, changes: Iterable[Change]) -> dict[str, tuple[str, ...]]:
    """The files of changes of which nothing is left to merge. Those of a version that was published after the plan may
    hold what the next merge takes."""
    done = dict(doing.before.merged)
    for change in changes:
        if change.version == doing.plan.reached.versions[change.day]:
            names = lasting_names(doing.services.zones, doing.followed, change)
            done[change.day] = tuple(dict.fromkeys((*done.get(change.day, ()), *names)))
    return done


def _described(services: Services, followed: MadeTable, table: str, columns: tuple[OutputColumn, ...]) -> TableSpec:
    """A table that is made, by the ``columns`` of rows."""
    begins = {followed.history: "Versions of rows that have ended. ", followed.deleted: "Rows that were deleted. "}
    description = f"{begins.get(table, '')}{followed.declared.description}".strip()
    own = history_columns(columns) if table == followed.history else columns
    return followed.spec(table, own, description, services.settings.database_prefix)


def _lead(doing: _Fold, version: Version, day: date, manifest: str) -> None:
    show(
        doing.services,
        version,
        _described(doing.services, doing.followed, version.table, doing.columns),
        day=day,
        row=doing.row,
        manifest=manifest,
        key_id=doing.plan.reached.key_id,
        run_id=doing.run_id,
        temp=doing.work,
        first=not doing.tries,
    )


def _count(path: Path | None) -> int:
    return int(pq.read_metadata(path).num_rows) if path is not None else 0
