"""A merge: the changes that have come are applied to the rows of a table, and readers are led to what came of it.

A merge is planned in the ledger before it begins and is repeated until readers see it, so a crash at any point changes
nothing: it reads immutable objects, and each try shows versions of its own (``tries.py``).

No row is ever missing both among the rows and among those that were deleted: the deleted ones are shown before the
others, and those of them that there are again stay until the rows are shown, and then go by a version without them.
Meanwhile a row may be in both, and that with the greater sequence counts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from adplatform.changes import state
from adplatform.changes.begun import Begun, Ended, Made, MadeBucket, begun, table_of_changes
from adplatform.changes.given import by_engine
from adplatform.changes.here import made_here
from adplatform.changes.made import MadeTable, history_columns
from adplatform.changes.state import Counts, KeptBucket, KeptFile, State
from adplatform.changes.targets import last_intention
from adplatform.changes.tries import Try, shown_before, state_key, tries_before
from adplatform.changes.versions import Version, files_at, locations, show
from adplatform.changes.views import views_of
from adplatform.failures import ClaimLost
from adplatform.flow.engine_work import Given, run_of, tidy
from adplatform.flow.publication_events import announce
from adplatform.flow.services import Services
from adplatform.flow.workloads import wanted, workloads_of
from adplatform.lake.footers import rows_by_name
from adplatform.lake.table import TableSpec
from adplatform.ledger.engine_run import EngineRun
from adplatform.ledger.folds import Fold
from adplatform.transform.values import CarriedFile, OutputColumn


@dataclass(frozen=True, kw_only=True)
class Folded(Counts):
    """What a merge came to: ``files`` by table, those of the history of its date alone, of which ``days`` changes were
    merged, and the run of an engine that made it, None where this machine did."""

    row: Fold
    columns: tuple[OutputColumn, ...]
    files: Mapping[str, tuple[KeptFile, ...]]
    days: tuple[date, ...]
    engine_run: EngineRun | None = None


def fold(services: Services, followed: MadeTable, row: Fold, run_id: str, work: Path) -> Folded | Given:
    """Do what is planned in ``row``, which ``run_id`` has claimed, or give it to an engine; ``work`` is an empty
    directory.

    Raises:
        ClaimLost: another try has it.
        PermanentFailure: changes cannot be put in order, or the table cannot take them.
        TransientFailure: a service did not answer, or something is being published.
    """
    tries = tries_before(services, followed, row)
    since = row.since or row.next_plan.day
    if (shown := shown_before(services, followed, row, since, tries, run_id)) is not None:
        return _noted(services, followed, row, shown, run_id, work)
    doing = begun(services, followed, row, run_id, work, tries)
    made = by_engine(doing)
    return made if isinstance(made, Given) else _shown(doing, made or made_here(doing))


def _shown(doing: Begun, made: Made) -> Folded:
    """Readers are led to what was merged, and the ledger remembers it."""
    services, followed, row, plan = doing.services, doing.followed, doing.row, doing.plan
    rows, deleted = (
        Version(table, files_at(services, row.locations.get(table, ""))) for table in (followed.name, followed.deleted)
    )
    buckets = _buckets(doing, made, rows, deleted)
    there_again = [deleted.add(file) for file in made.revived]
    history = _history(doing, made) if followed.has_history else {}
    now = State(
        columns=doing.merging.columns,
        buckets=buckets,
        closed=history[plan.day].kept if history else (),
        merged=made.merged,
        plan=row.plan,
        replaced={day.isoformat(): each.replaces for day, each in history.items() if day != plan.day},
        counts=made.counts,
        revived=tuple(file.name for file in there_again),
        job=made.job,
    )
    own = Try(state_key(services, followed, row), now)
    services.s3.put_object(
        Bucket=services.zones.raw_bucket, Key=own.key, Body=state.written(now), **services.zones.put_arguments
    )
    for day, each in history.items():
        _lead(doing, each.version, day, own.key)
    _lead(doing, deleted, doing.since, own.key)
    _lead(doing, rows, doing.since, own.key)
    return _noted(services, followed, row, own, doing.run_id, doing.work)


def _without_revived(
    services: Services, followed: MadeTable, row: Fold, shown: Try, run_id: str, work: Path, spec: TableSpec
) -> Fold:
    """Deleted rows that there are again are taken from readers, once these see the rows; the row as it is then."""
    plan = replace(row, plan=shown.state.plan).next_plan
    since = row.since or plan.day
    placed = services.ledger.placements.get(followed.deleted, since)
    there = files_at(services, placed.location) if placed else {}
    if not any(name in there for name in shown.state.revived):
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
    if table_of_changes(services, followed) is not None:
        generations = services.ledger.folds.generations(followed.source, followed.target)
        floor = next((each.sequence for each in generations if each.number == plan.reached.generation), "")
        for view in views_of(followed, columns, services.settings.database_prefix, floor):
            services.lake.catalog.show_view(view)
    counts = shown.state.counts
    others = announce(services, followed.name, plan.day, row.next, shown.state.rows, run_id)
    workloads = workloads_of(followed.name, followed.consumers)
    others += wanted(services.ledger, workloads, followed.name, plan.day, row.next)
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
        *others,
    )
    if noted is None:
        raise ClaimLost(f"{followed.name}: another run has noted merge {row.next}")
    files = {
        followed.name: tuple(bucket.rows for bucket in shown.state.buckets if bucket.rows.name),
        followed.deleted: tuple(bucket.deleted for bucket in shown.state.buckets if bucket.deleted.name),
        followed.history: shown.state.closed,
    }
    merged = tuple(date.fromisoformat(day) for day in plan.days_after(row.merged))
    intention = last_intention(services, row)
    if intention is not None:
        tidy(services, intention)
    run = run_of(services, intention) if intention is not None and shown.state.job == intention.key else None
    return Folded(row=noted, columns=columns, files=files, days=merged, engine_run=run, **asdict(counts))


def _buckets(doing: Begun, made: Made, rows: Version, deleted: Version) -> tuple[KeptBucket, ...]:
    """Which file has what of each bucket. Those that nothing changed are taken over, unless all have to be written."""
    known, services = {bucket.number: bucket for bucket in doing.before.buckets}, doing.services
    merged = {bucket.number: bucket for bucket in made.buckets}
    kept = []
    for number in sorted(known.keys() | merged.keys()):
        before = known.get(number, KeptBucket(number))
        bucket = merged.get(number, MadeBucket(number, rows_stay=True, deleted_stay=True))
        own = rows.carry(services, before.rows) if bucket.rows_stay else rows.add(bucket.rows)
        gone = deleted.carry(services, before.deleted) if bucket.deleted_stay else deleted.add(bucket.deleted)
        kept.append(KeptBucket(number, own, gone))
    return tuple(kept)


@dataclass(frozen=True)
class _Ended:
    """Versions that have ended, by the date of the merge that closed them: where they were ``replaces``, and what is
    ``kept`` there for the next merge of the date."""

    version: Version
    replaces: str = ""
    kept: tuple[KeptFile, ...] = ()


def _history(doing: Begun, made: Made) -> dict[date, _Ended]:
    """The versions that have ended, by date: of this one those of its earlier merges and the new ones, of others those
    that have to be written again, because rows were made anew or a try before has written something else."""
    services, table, today = doing.services, doing.followed.history, doing.plan.day
    before, found = doing.ended_before, dict[date, _Ended]()
    for day, location in before.items():
        if day == today or not (doing.plan.anew or day in made.ended or day in doing.shown_days):
            continue
        version = Version(table, files_at(services, location))
        if not doing.plan.anew:  # of a table that is made anew nothing is left
            as_it_was = Ended(rows_by_name(services.store, location) if location else {}, ())
            _take_over(doing, version, made.ended.get(day, as_it_was))
        found[day] = _Ended(version, location)
    current = Version(table, files_at(services, before[today]))
    there = {file.name: file.rows for file in doing.before.closed} if before[today] else {}
    kept = _take_over(doing, current, made.ended.get(today) or Ended(there, ()))
    kept += [current.add(file) for file in made.closed]
    found[today] = _Ended(current, before[today], tuple(kept))
    return found


def _take_over(doing: Begun, version: Version, left: Ended) -> list[KeptFile]:
    kept = [version.carry(doing.services, KeptFile(name, rows)) for name, rows in left.stay.items()]
    return kept + [version.add(file) for file in left.new]


def _described(services: Services, followed: MadeTable, table: str, columns: tuple[OutputColumn, ...]) -> TableSpec:
    """A table that is made, by the ``columns`` of rows."""
    begins = {followed.history: "Versions of rows that have ended. ", followed.deleted: "Rows that were deleted. "}
    description = f"{begins.get(table, '')}{followed.declared.description}".strip()
    own = history_columns(columns) if table == followed.history else columns
    return followed.spec(table, own, description, services.settings.database_prefix)


def _lead(doing: Begun, version: Version, day: date, manifest: str) -> None:
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
