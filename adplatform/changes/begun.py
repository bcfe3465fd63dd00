"""A merge that a run has claimed: what it begins with, and what it is to make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from adplatform.changes import state
from adplatform.changes.arrived import Change
from adplatform.changes.gathered import changes_to_merge
from adplatform.changes.made import MadeTable
from adplatform.changes.merging import Merging
from adplatform.changes.pulled import Compared, Pulled, compared
from adplatform.changes.state import Counts, State
from adplatform.changes.tries import Try
from adplatform.changes.versions import files_at
from adplatform.contracts.types import parse_type
from adplatform.flow.services import Services
from adplatform.lake.catalog import Table
from adplatform.lake.store import Stored
from adplatform.lake.table import table_name
from adplatform.ledger.folds import Fold, Generation, Plan
from adplatform.transform.values import OutputColumn, StagedParquet


@dataclass(frozen=True)
class Begun:
    """``before`` is what the merge begins with, ``columns`` are those of the rows by now, and ``since`` is the date
    under which every version of the table is published, so that each replaces the one before. ``work`` is an empty
    directory."""

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

    @property
    def looks_beyond(self) -> bool:
        """Whether versions that have ended may go beyond a load that is known to be complete only now."""
        return self.followed.has_history and self.swept and not self.plan.anew

    @cached_property
    def changes(self) -> list[Change]:
        """What the plan takes of each date.

        Raises: as :func:`adplatform.changes.gathered.changes_to_merge`.
        """
        begin, known = self.row.merged.numbers, self.before.merged
        return list(changes_to_merge(self.services, self.followed, self.plan, begin, known, self.generations))

    @cached_property
    def compared(self) -> Compared | None:
        """The complete reading that is to be compared.

        Raises:
            PermanentFailure: its files are gone.
        """
        if not isinstance(self.followed, Pulled) or not self.compares:
            return None
        return compared(self.services, self.followed, self.plan.reached.complete)

    @cached_property
    def merging(self) -> Merging:
        present = self.before.types()
        defaults = {column.name: column.default for column in self.followed.declared.columns}
        lacking = [each.name for each in self.columns if each.name not in present] if self.before.columns else []
        return Merging(
            table=self.followed.keyed(self.columns),
            columns=tuple((column.name, column.type.hive) for column in self.columns),
            grown=self.grown,
            added=tuple((name, defaults.get(name)) for name in lacking),
            sequence_field=self.followed.sequence_field,
            history=self.followed.has_history,
            floors=tuple(self.floors),
            swept=self.swept,
            complete=self.compared.complete if self.compared else None,
        )

    @cached_property
    def ended_before(self) -> dict[date, str]:
        """Where the versions are, by date, with which the merge begins, whatever tries before have shown."""
        table, today = self.followed.history, self.plan.day
        placed = {each.day: each.location for each in self.services.ledger.placements.of_feed(table)}
        replaced = {date.fromisoformat(day): where for each in self.tries for day, where in each.state.replaced.items()}
        same_day = self.row.day == today and not self.plan.anew
        return {**placed, **replaced, today: self.row.locations.get(table, "") if same_day else ""}

    @property
    def shown_days(self) -> set[date]:
        """The dates of which tries before may have shown other versions that have ended."""
        return {date.fromisoformat(day) for each in self.tries for day in each.state.replaced}

    @property
    def base(self) -> dict[int, tuple[str, str]]:
        """The keys of the files of each bucket: its rows, and those that were deleted; "" where there are none."""
        zones, where = self.services.zones, self.row.locations
        rows, deleted = (zones.clean_key(where.get(table, "")) for table in (self.followed.name, self.followed.deleted))
        return {
            each.number: (
                f"{rows}{each.rows.name}" if each.rows.name else "",
                f"{deleted}{each.deleted.name}" if each.deleted.name else "",
            )
            for each in self.before.buckets
        }

    @cached_property
    def shown_deleted(self) -> tuple[Stored, ...] | None:
        """The deleted rows that readers see, where these are others than those of the buckets; none where no row can be
        compared with them, because they are under another hashing key."""
        placed = self.services.ledger.placements.get(self.followed.deleted, self.since)
        if placed is None or placed.key_id != self.plan.reached.key_id:
            return ()
        if placed.location == self.row.locations.get(self.followed.deleted) and not self.plan.anew:
            return None
        return tuple(files_at(self.services, placed.location).values())

    def folder(self, name: str) -> Path:
        made = self.work / name
        made.mkdir()
        return made


def begun(services: Services, followed: MadeTable, row: Fold, run_id: str, work: Path, tries: Sequence[Try]) -> Begun:
    plan, before = row.next_plan, State()
    if row.manifest_key and not plan.anew:
        kept = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=row.manifest_key)
        before = state.read(kept["Body"].read())
    catalogued = table_of_changes(services, followed)
    if catalogued is None:  # the load of an empty table brings no file
        found = [(column.name, column.type) for column in followed.stored.values()]
    else:
        found = [(name, parse_type(kind)) for name, kind in catalogued.columns]
    columns = followed.columns(found)
    # Those that were known to the plan, so that each try comes to the same.
    generations = services.ledger.folds.generations(followed.source, followed.target)[: plan.reached.opened]
    return Begun(services, followed, row, plan, run_id, work, before, columns, generations, tries)


def table_of_changes(services: Services, followed: MadeTable) -> Table | None:
    return services.lake.catalog.table(table_name(followed.changes.table, services.settings.database_prefix))


@dataclass(frozen=True)
class MadeBucket:
    """The files of a bucket that was looked at; one that ``stays`` is that of the merge before, if there was any."""

    number: int
    rows: StagedParquet | None = None
    deleted: StagedParquet | None = None
    rows_stay: bool = False
    deleted_stay: bool = False


@dataclass(frozen=True)
class Ended:
    """Of a date, the versions of rows that have ended without those of rows that were made anew: files that ``stay``,
    by name with their rows, and ``new`` ones."""

    stay: Mapping[str, int]
    new: tuple[StagedParquet, ...]


@dataclass(frozen=True)
class Made:
    """What a merge has made, and nobody sees yet. Buckets that are not among ``buckets`` stay as they are. ``closed``
    are versions that have ended now, and ``ended`` has those that ended before, of dates that are to be written again.
    ``revived`` are deleted rows that readers see and that are among the rows again. ``merged`` names files of changes,
    by date, of which nothing is left to merge. ``job`` is why an engine has made it, "" where this machine has."""

    buckets: tuple[MadeBucket, ...]
    closed: tuple[StagedParquet, ...]
    ended: Mapping[date, Ended]
    revived: tuple[StagedParquet, ...]
    merged: Mapping[str, tuple[str, ...]]
    counts: Counts
    job: str = ""
