"""Publishing: what was staged and audited becomes what readers see, in one step per partition.

Every attempt writes to a new location, so a crashed one leaves nothing but files that nobody refers to. Then, under
the feed's lease, the catalog is pointed at the new location, and the path copy follows it. Readers of the catalog see
the old location or the new one, and the old files stay until ``retention`` removes them.

Glue can make a change of a table depend on its version, but not a change of a partition. For partitions the lease alone
keeps publishers apart: a process that stops between its last check of the lease and the call that follows, and wakes
after the lease ran out, can still make that one call.
"""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.aws_errors import aws_failures
from adplatform.contracts.model import DELIVERY_DATE
from adplatform.failures import PermanentFailure
from adplatform.lake.attempt import Attempt, Flip, Published, Result, Upload, require, upload
from adplatform.lake.catalog import Partition, Table
from adplatform.lake.lake import Lake
from adplatform.lake.path_copy import complete, follow
from adplatform.lake.slices import forget, place, placed
from adplatform.lake.table import TableSpec
from adplatform.ledger.ledger import Lease
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
) -> Published:
    """Show ``version`` of the delivery of ``day`` to the readers of ``table``.

    The same delivery may be published any number of times, by any number of processes: readers end up with the highest
    version of it. ``temp`` is an existing directory for work files, ``scope`` the delivery's value of the second
    partition column where the table has one. ``key_id`` names the key that hashed personal columns, "" when there are
    none, and ``manifest`` the settlement.

    Raises:
        PermanentFailure: the table cannot take the columns, a staged file is outside the table's partitions, ``scope``
            lacks or the table has none, or AWS does not allow it.
        TransientFailure: another publisher was in the way, or AWS did not answer; run the step again.
    """
    if bool(scope) != bool(table.scope):
        raise PermanentFailure(f"{table.feed} {day}: scope {scope!r} does not fit the partitions of {table.qualified}")
    attempt = Attempt(table, day, version, run_id, f"{day}-{version:04d}-{lake.token()}", scope, key_id, manifest)
    if table.partition is None:
        seen, show = _shown_table, _show_table
    elif table.partition.name == DELIVERY_DATE:
        seen, show = _shown_day, _show_day
    else:
        seen, show = placed, place
    with aws_failures(f"table {table.qualified}, {lake.store.zones.clean_uri(lake.store.zones.versions(table.feed))}"):
        lake.catalog.check(table)
        published = seen(lake, attempt)
        if published is None:
            with TemporaryDirectory(dir=temp) as work:
                uploads = upload(lake, attempt, staged, Path(work))
                with lake.alone(table.feed, run_id) as lease:
                    require(lake, uploads)
                    published = seen(lake, attempt) or show(lake, lease, attempt, uploads, Path(work))
        if published.result is not Result.PUBLISHED:
            complete(lake, table, (flip.partition for flip in published.flips), run_id)
        if published.result is Result.ALREADY:
            _note(lake, attempt, published)
        return published


def _note(lake: Lake, attempt: Attempt, published: Published) -> None:
    """Remember what an attempt showed that died before it could: what is placed, and which slices never count again."""
    if attempt.table.partition is not None and attempt.table.partition.name != DELIVERY_DATE:
        forget(lake, attempt)
        return
    placement = lake.ledger.placement(attempt.feed, attempt.day)
    if placement is None or placement.version < attempt.version:
        (flip,) = published.flips
        with lake.alone(attempt.table.feed, attempt.run_id):
            placement = lake.ledger.placement(attempt.feed, attempt.day)
            if placement is None or placement.version < attempt.version:
                noted = attempt.placement(flip.location, flip.rows, lake.ledger.now())
                lake.ledger.put_placement(attempt.feed, noted)


def _shown_day(lake: Lake, attempt: Attempt) -> Published | None:
    value = attempt.delivery_partition
    partition = lake.catalog.partition(attempt.table, value)
    return None if partition is None or _over(attempt, partition) else _seen(attempt, value, partition)


def _show_day(lake: Lake, lease: Lease, attempt: Attempt, uploads: list[Upload], work: Path) -> Published:
    (files,) = uploads
    zones = lake.store.zones
    lease.check()
    table = lake.catalog.ensure(attempt.table, zones.clean_uri(zones.clean(attempt.table.feed)))
    location = zones.clean_uri(files.prefix)
    lease.check()
    lake.catalog.put_partition(
        attempt.table, table, Partition(files.partition, location, _provenance(lake, attempt, files.rows))
    )
    lease.check()
    lake.ledger.put_placement(attempt.feed, attempt.placement(location, files.rows, lake.ledger.now()))
    follow(lake, lease, attempt.table, files.partition)
    return attempt.outcome(
        Result.PUBLISHED, files.rows, (Flip(files.partition, location, files.rows),), f"version {attempt.version}"
    )


def _shown_table(lake: Lake, attempt: Attempt) -> Published | None:
    table = lake.catalog.table(attempt.table)
    return None if table is None or _over(attempt, table) else _seen(attempt, "", table)


def _show_table(lake: Lake, lease: Lease, attempt: Attempt, uploads: list[Upload], work: Path) -> Published:
    (files,) = uploads
    location = lake.store.zones.clean_uri(files.prefix)
    lease.check()
    table = lake.catalog.show(
        attempt.table, location, _provenance(lake, attempt, files.rows), over=lambda shown: _over(attempt, shown)
    )
    if table.location != location:
        return _seen(attempt, "", table)
    lease.check()
    lake.ledger.put_placement(attempt.feed, attempt.placement(location, files.rows, lake.ledger.now()))
    return attempt.outcome(
        Result.PUBLISHED, files.rows, (Flip("", location, files.rows),), f"version {attempt.version}"
    )


def _over(attempt: Attempt, shown: Partition | Table) -> bool:
    """Whether the attempt is newer than what readers see. What somebody else registered is older than everything."""
    return (attempt.day.isoformat(), attempt.version) > _identity(shown)


def _identity(shown: Partition | Table) -> tuple[str, int]:
    return shown.parameters.get("adplatform.day", ""), int(shown.parameters.get("adplatform.version", 0))


def _seen(attempt: Attempt, value: str, shown: Partition | Table) -> Published:
    """The outcome when readers see this delivery, or a newer one, without this attempt."""
    day, version = _identity(shown)
    rows = int(shown.parameters["adplatform.rows"])
    same = (day, version) == (attempt.day.isoformat(), attempt.version)
    return attempt.outcome(
        Result.ALREADY if same else Result.SUPERSEDED,
        rows if same else 0,
        (Flip(value, shown.location, rows),),
        f"readers see version {version} of the delivery of {day}",
    )


def _provenance(lake: Lake, attempt: Attempt, rows: int) -> dict[str, str]:
    return {
        "adplatform.day": attempt.day.isoformat(),
        "adplatform.version": str(attempt.version),
        "adplatform.manifest": attempt.manifest,
        "adplatform.rows": str(rows),
        "adplatform.run": attempt.run_id,
        "adplatform.published_at": lake.ledger.now().isoformat(),
    }
