"""Whether every change that was merged is where it should be, by the files that readers are led to."""

from collections.abc import Iterator, Mapping

from adplatform.changes.fold import Folded
from adplatform.changes.made import MadeTable
from adplatform.flow.services import Services
from adplatform.lake.footers import rows_by_name
from adplatform.platform import metrics
from adplatform.platform.metrics import Metrics


def unaccounted(services: Services, followed: MadeTable, done: Folded) -> list[str]:
    """What does not add up in a merge, a sentence each: between the rows of the source's files and those that were
    merged, and between what was written and the footers of all files that were published, of the tables that were made
    and of the changes of each date that was merged.

    Raises:
        PermanentFailure: a file is no Parquet file.
    """
    return [*_read(done), *_made(services, followed, done), *_changes(services, followed, done)]


def count_merged(to: Metrics, followed: MadeTable, done: Folded, run_id: str) -> None:
    """Count the changes of a merge that its run has just shown."""
    to.put(
        {
            metrics.ROWS_IN: done.changes,
            metrics.ROWS_CLEAN: done.applied,
            metrics.ROWS_SUPERSEDED: done.superseded,
            metrics.ROWS_UNPLACED: done.unplaced,
        },
        {metrics.SOURCE: followed.source, metrics.FEED: followed.target},
        run_id=run_id,
        merge=done.row.number,
    )


def _read(done: Folded) -> Iterator[str]:
    known = done.read - done.set_aside + done.implied
    if known != done.changes:
        yield (
            f"{done.read} rows were read from files of the source, {done.set_aside} of them were set aside and "
            f"{done.implied} deletions implied, and {done.changes} changes were merged"
        )
    if done.applied + done.superseded + done.unplaced != done.changes:
        yield (
            f"of {done.changes} changes {done.applied} were applied, {done.superseded} superseded and "
            f"{done.unplaced} have no key, or no sequence and are older than a load"
        )


def _made(services: Services, followed: MadeTable, done: Folded) -> Iterator[str]:
    for table in followed.tables:
        location = done.row.locations.get(table, "")
        found = rows_by_name(services.store, location) if location else {}
        wanted = {file.name: file.rows for file in done.files[table]}
        yield from (f"{table}: {what} at {location}" for what in _differences(wanted, found))


def _changes(services: Services, followed: MadeTable, done: Folded) -> Iterator[str]:
    name = followed.changes.name
    for day in done.days:
        placement = services.ledger.placements.get(name, day)
        if placement is None:
            yield f"{name} {day}: the ledger does not know any more what readers see"
            continue
        found = sum(rows_by_name(services.store, placement.location).values()) if placement.location else 0
        if found != placement.rows:
            yield f"{name} {day}: {found} rows are at {placement.location}, and {placement.rows} were published"


def _differences(wanted: Mapping[str, int], found: Mapping[str, int]) -> Iterator[str]:
    """A table without rows has a file without any, which says what its columns are."""
    for name in sorted(wanted.keys() | found.keys()):
        rows, there = wanted.get(name, 0), found.get(name)
        if there is None:
            yield f"{name} with {rows} rows is missing"
        elif name not in wanted and there:
            yield f"{name} with {there} rows was not written by this merge"
        elif there != rows:
            yield f"{name} has {there} rows, and {rows} were written"
