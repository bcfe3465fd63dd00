"""Publishing: what was staged and audited becomes what readers see, in one step per partition.

Every attempt writes to a new location, so a crashed one leaves nothing but files that nobody refers to. Then, under
the feed's lease, the catalog is pointed at the new location, the ledger notes that, and the path copy follows. Readers
of the catalog see the old location or the new one, and the old files stay until ``retention`` removes them.

Glue can make a change of a table depend on its version, and the creation of a partition on its absence, but not a
change of a partition. For that the lease alone keeps publishers apart: it is kept before each call for longer than the
call may take. A process that stops between the two and wakes after the lease ran out can still make that one call; who
gave up on a call, or lost the lease, compares catalog and ledger when it has the lease again, and so does
``agreement.compare`` from time to time for those that died.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake import formats
from adplatform.lake.agreement import look_again
from adplatform.lake.attempt import Attempt, Flip, Published, Result, Upload, note_shown, require, upload
from adplatform.lake.catalog import Partition, PartitionChanged
from adplatform.lake.entry import FEED, ROWS, Entry, Settled, is_known, provenance, require_known, settled, unknown
from adplatform.lake.lake import Lake
from adplatform.lake.path_copy import complete, follow_to
from adplatform.lake.shared_dates import Share, publish_shares
from adplatform.lake.slices import forget, place, placed
from adplatform.lake.table import TableSpec
from adplatform.ledger.leases import Beside, Lease
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.values import Staged


def publish(
    lake: Lake,
    table: TableSpec,
    day: date,
    version: int,
    staged: Staged,
    *,
    run_id: str,
    temp: Path,
    scope: str = "",
    key_id: str = "",
    manifest: str = "",
    first: bool = False,
    fresh: bool = False,
    allowed: Callable[[], None] = lambda: None,
    beside: Beside | None = None,
) -> Published:
    """Show ``version`` of the delivery of ``day`` to the readers of ``table``.

    The same delivery may be published any number of times, by any number of processes: readers end up with the highest
    version of it. ``temp`` is an existing directory for work files, ``scope`` the delivery's value of the second
    partition column where the table has one. ``key_id`` names the key that hashed personal columns, "" when there are
    none, and ``manifest`` the settlement. ``first`` when nobody is likely to have shown it before: then table and
    readers are looked at only once, under the lease; and not at all when the delivery is ``fresh``, so that as far as
    the ledger knows readers see nothing of it, unless the catalog has something in its place. Under the lease
    ``allowed`` is called, which raises where nothing may be shown any more. ``beside`` is what the ledger has to know
    before anybody sees the delivery: it is written with the lease of a ``first`` one, otherwise at once.

    Raises:
        PermanentFailure: the table cannot take the columns, a staged file is outside the table's partitions, ``scope``
            lacks or the table has none, readers see what the ledger does not know, slices of two hashing keys would
            meet, or AWS does not allow it.
        TransientFailure: another publisher was in the way, or AWS did not answer; run the step again.
    """
    if bool(scope) != bool(table.scope):
        raise PermanentFailure(f"{table.feed} {day}: scope {scope!r} does not fit the partitions of {table.qualified}")
    if table.compacted:
        one = Share(table, scope, version, staged, key_id, manifest, beside)
        return publish_shares(lake, day, [one], run_id=run_id, temp=temp, allowed=allowed)[0]
    token = f"{day}-{version:04d}-{lake.token()}"
    attempt = Attempt(table, run_id, token, day, version, scope, key_id, manifest)
    look, show = _way(table)
    with aws_failures(f"table {table.qualified}, {lake.store.zones.clean_uri(lake.store.zones.versions(table.feed))}"):
        published = None
        if not first:
            if beside is not None:
                beside.alone()
            formats.check(lake, table)
            published = look(lake, attempt, False).published
        if published is None:
            attempt = replace(attempt, field_ids=formats.field_ids(lake, table))
            with TemporaryDirectory(dir=temp) as work:
                uploads = upload(lake, attempt, staged, Path(work))
                noted = beside if first else None
                published = _alone(lake, attempt, uploads, Path(work), look, show, allowed, noted, fresh=fresh)
        if published.result is not Result.PUBLISHED:
            complete(lake, table, (flip.partition for flip in published.flips), run_id)
        if published.result is Result.ALREADY:
            _note(lake, attempt, published)
        return published


@dataclass(frozen=True)
class _Seen:
    """What one look at the readers of an attempt's delivery came to: the outcome when nothing is left to do, and
    whether the catalog ``has`` the one entry that the delivery fills. ``looked`` is False where nobody did."""

    published: Published | None
    has: bool = False
    looked: bool = True


_Looking = Callable[[Lake, Attempt, bool], _Seen]
"""Looks at the readers; the last argument is whether under the lease."""
_Showing = Callable[[Lake, Lease, Attempt, list[Upload], Path, _Seen], Published]


def _way(table: TableSpec) -> tuple[_Looking, _Showing]:
    if table.by_column:
        return _look_at_slices, _show_slices
    if table.is_iceberg:
        return _look_at_entry, _show_entry
    return (_look_at_table, _show_table) if table.partition is None else (_look_at_entry, _show_day)


def _alone(
    lake: Lake,
    attempt: Attempt,
    uploads: list[Upload],
    work: Path,
    look: "_Looking",
    show: "_Showing",
    allowed: Callable[[], None],
    beside: Beside | None,
    *,
    fresh: bool,
) -> Published:
    doubtful = False
    try:
        with lake.alone(attempt.table.feed, attempt.run_id, beside) as lease:
            require(lake, uploads)
            if fresh and show is _show_day:
                allowed()
                doubtful = True
                with suppress(PartitionChanged):
                    return show(lake, lease, attempt, uploads, work, _Seen(None, looked=False))
            seen = look(lake, attempt, True)
            if seen.published is not None:
                return seen.published
            allowed()
            doubtful = True
            return show(lake, lease, attempt, uploads, work, seen)
    except (PermanentFailure, TransientFailure, BotoCoreError, ClientError):
        if doubtful:
            _look_again(lake, attempt, {each.partition for each in uploads}, work)
        raise


def _look_again(lake: Lake, attempt: Attempt, values: set[str], work: Path) -> None:
    table = attempt.table

    def concerned() -> set[str]:
        slices = lake.ledger.placements.slices_of_day(table.feed, attempt.day) if table.by_column else ()
        return values | {part.partition for part in slices}

    look_again(lake, table, concerned, run_id=attempt.run_id, temp=work)


def _note(lake: Lake, attempt: Attempt, published: Published) -> None:
    """Remember what an attempt showed that died before it could: what is placed, and which slices never count again."""
    if attempt.table.by_column:
        own = lake.ledger.placements.slices_of_day(attempt.table.feed, attempt.day)
        forget(lake, attempt.table.feed, own, {attempt.day: attempt.version})
        return
    placement = lake.ledger.placements.get(attempt.feed, attempt.day)
    if placement is None or placement.version < attempt.version:
        (flip,) = published.flips
        lake.ledger.placements.put(attempt.feed, attempt.placement(flip.location, flip.rows, lake.ledger.now()))


def _look_at_slices(lake: Lake, attempt: Attempt, alone: bool) -> _Seen:
    return _Seen(placed(lake, attempt, alone=alone))


def _show_slices(
    lake: Lake, lease: Lease, attempt: Attempt, uploads: list[Upload], work: Path, seen: _Seen
) -> Published:
    return place(lake, lease, attempt, uploads, work)


def _look_at_entry(lake: Lake, attempt: Attempt, alone: bool) -> _Seen:
    value = attempt.delivery_partition
    partition = formats.partition(lake, attempt.table, value)
    return _Seen(None) if partition is None else _Seen(_judged(lake, attempt, value, partition, alone), has=True)


def _show_day(lake: Lake, lease: Lease, attempt: Attempt, uploads: list[Upload], work: Path, seen: _Seen) -> Published:
    (files,) = uploads
    zones, feed = lake.store.zones, attempt.table.feed
    table = lake.catalog.ensure(attempt.table, zones.clean_uri(zones.clean(feed)), lambda: lease.check(lake.call))
    location, parameters = _entry(lake, attempt, files)
    partition = Partition(files.partition, location, parameters)
    lake.catalog.put_partition(attempt.table, table, partition, lambda: lease.check(lake.call), exists=seen.has)
    published = _shown_now(lake, lease, attempt, files, location)
    is_new = not seen.looked
    follow_to(lake, lease, feed, table.partitions, files.partition, partition, files.files, is_new=is_new)
    return published


def _show_entry(
    lake: Lake, lease: Lease, attempt: Attempt, uploads: list[Upload], work: Path, seen: _Seen
) -> Published:
    """In an Iceberg table, which may have changed since it was looked at."""
    (files,) = uploads
    location, parameters = _entry(lake, attempt, files)
    found: list[Published] = []

    def over(entries: Mapping[str, Partition]) -> bool:
        for value, entry in entries.items():
            if judged := _judged(lake, attempt, value, entry, alone=True):
                found.append(judged)
        return not found

    with lease.kept(lake.call):
        formats.show_in_iceberg(
            lake,
            attempt.table,
            {files.partition: Partition(files.partition, location, parameters)},
            lambda: lease.check(lake.call),
            summary={FEED: attempt.feed, **parameters},
            over=over,
        )
    return found[0] if found else _shown_now(lake, lease, attempt, files, location)


def _look_at_table(lake: Lake, attempt: Attempt, alone: bool) -> _Seen:
    table = lake.catalog.table(attempt.table)
    return _Seen(None if table is None else _judged(lake, attempt, "", table, alone))


def _show_table(
    lake: Lake, lease: Lease, attempt: Attempt, uploads: list[Upload], work: Path, seen: _Seen
) -> Published:
    (files,) = uploads
    location, parameters = _entry(lake, attempt, files)
    table = lake.catalog.show(
        attempt.table,
        location,
        parameters,
        over=lambda seen: _judged(lake, attempt, "", seen, alone=True) is None,
        check=lambda: lease.check(lake.call),
    )
    if table.location != location and (published := _judged(lake, attempt, "", table, alone=True)):
        return published
    return _shown_now(lake, lease, attempt, files, location)


def _entry(lake: Lake, attempt: Attempt, files: Upload) -> tuple[str, dict[str, str]]:
    """Location and parameters of an entry that the attempt fills."""
    location, now = lake.store.zones.clean_uri(files.prefix), lake.ledger.now()
    return location, provenance(attempt.placement(location, files.rows, now), attempt.run_id, now.isoformat())


def _shown_now(lake: Lake, lease: Lease, attempt: Attempt, files: Upload, location: str) -> Published:
    lease.check(lake.call)
    note_shown(lake, attempt, location, files.rows)
    flip = Flip(files.partition, location, files.rows)
    published = attempt.outcome(Result.PUBLISHED, files.rows, (flip,), f"version {attempt.version}")
    return replace(published, files={key.removeprefix(files.prefix): rows for key, rows in files.counts.items()})


def _judged(lake: Lake, attempt: Attempt, value: str, entry: Entry, alone: bool) -> Published | None:
    """The outcome when readers see this delivery, or a newer one, without this attempt; None when the attempt is newer
    than what they see. What somebody else registered is older than everything.

    Whoever is not ``alone`` may meet a publisher that has led readers to files of which the ledger is about to hear.

    Raises:
        PermanentFailure: the ledger does not know what readers see.
    """
    seen = settled(attempt.table.feed, entry)
    if seen is None:
        return None
    if seen.day == attempt.day and seen.version == attempt.version:
        if not seen.is_same(attempt.version, attempt.manifest):
            raise PermanentFailure(f"{unknown(attempt.table, value, seen)}. Nothing was replaced")
        return _seen(attempt, value, entry, seen, Result.ALREADY)
    if alone:
        require_known(lake.ledger, attempt.table, value, [seen])
    elif not is_known(lake.ledger, seen):
        return None
    if (attempt.day, attempt.version) > (seen.day, seen.version):
        return None
    return replace(_seen(attempt, value, entry, seen, Result.SUPERSEDED), newer_day=seen.day > attempt.day)


def _seen(attempt: Attempt, value: str, entry: Entry, shown: Settled, result: Result) -> Published:
    rows = int(entry.parameters[ROWS])
    flip = Flip(value, entry.location, rows)
    return attempt.outcome(result, rows if result is Result.ALREADY else 0, (flip,), f"readers see {shown}")
