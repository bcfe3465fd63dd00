"""Publishing to a table whose scopes share the partition of a date: what several of them bring is shown by one change.

First each delivery is uploaded as a slice; then, under the table's lease, the partition is made of what it shows and of
the slices that are newer (``adplatform.lake.compacted``), readers are led to it, and the ledger notes each delivery. A
crash leaves files that nobody refers to, or a partition that shows what the ledger has not noted yet: who publishes
such a delivery again finds it there, and so does ``agreement.compare``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.agreement import look_again
from adplatform.lake.attempt import Attempt, Flip, Published, Result, Upload, note_shown, require, upload
from adplatform.lake.compacted import Base, Part, base_of, make_date
from adplatform.lake.entry import ROWS, require_known, unknown
from adplatform.lake.lake import Lake
from adplatform.lake.path_copy import complete, follow_to
from adplatform.lake.table import TableSpec
from adplatform.ledger.leases import Beside, Lease
from adplatform.platform.at_once import at_once
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.values import Staged

_LATELY = timedelta(minutes=10)
"""For how long uploaded files are certainly there: what a collection removes was unreferenced for days."""


@dataclass(frozen=True)
class Share:
    """What one scope brings to a date, as :func:`adplatform.lake.publish.publish` takes it."""

    table: TableSpec
    scope: str
    version: int
    staged: Staged
    key_id: str = ""
    manifest: str = ""
    beside: Beside | None = None


def publish_shares(
    lake: Lake,
    day: date,
    shares: Sequence[Share],
    *,
    run_id: str,
    temp: Path,
    allowed: Callable[[], None] = lambda: None,
) -> list[Published]:
    """Show what scopes of one table bring to a date, each of them once. What came of each, in their order.

    Raises:
        PermanentFailure, TransientFailure: as :func:`adplatform.lake.publish.publish`; then nobody can tell of which of
            them that is true, and each has to be published again.
    """
    table = shares[0].table
    with aws_failures(f"table {table.qualified}, {lake.store.zones.clean_uri(lake.store.zones.versions(table.feed))}"):
        for spec in _distinct(each.table for each in shares):
            lake.catalog.check(spec)
        for each in shares:
            if each.beside is not None:
                each.beside.alone()
        with TemporaryDirectory(dir=temp) as work:
            began, folder = lake.ledger.now(), Path(work)
            attempts = [_attempt(lake, day, each, run_id) for each in shares]
            staged = [(attempt, each.staged) for attempt, each in zip(attempts, shares, strict=True)]
            slices = at_once(partial(_uploaded, lake, folder), staged)
            published = _alone(lake, attempts, slices, run_id, folder, began, allowed)
        if any(each.result is not Result.PUBLISHED for each in published):
            complete(lake, table, [day.isoformat()], run_id)
        return published


def _attempt(lake: Lake, day: date, each: Share, run_id: str) -> Attempt:
    token = f"{day}-{each.version:04d}-{lake.token()}"
    return Attempt(each.table, run_id, token, day, each.version, each.scope, each.key_id, each.manifest)


def _uploaded(lake: Lake, work: Path, each: tuple[Attempt, Staged]) -> Upload:
    attempt, staged = each
    folder = work / attempt.token
    folder.mkdir()
    (slice_,) = upload(lake, attempt, staged, folder)
    return slice_


def _alone(
    lake: Lake,
    attempts: Sequence[Attempt],
    slices: Sequence[Upload],
    run_id: str,
    work: Path,
    began: datetime,
    allowed: Callable[[], None],
) -> list[Published]:
    table, doubtful = attempts[0].table, False
    try:
        with lake.alone(table.feed, run_id) as lease:
            if lake.ledger.now() - began > _LATELY:
                require(lake, list(slices))
            shown = lake.catalog.partition(table, attempts[0].day.isoformat())
            base = base_of(lake, table.qualified, shown)
            seen = [_judged(lake, attempt, base) for attempt in attempts]
            if all(seen):
                return [each for each in seen if each]
            allowed()
            doubtful = True
            new = [each for each, known in zip(zip(attempts, slices, strict=True), seen, strict=True) if not known]
            published = iter(_show(lake, lease, base, new, run_id, work))
            return [each or next(published) for each in seen]
    except (PermanentFailure, TransientFailure, BotoCoreError, ClientError):
        if doubtful:
            look_again(lake, table, lambda: {a.delivery_partition for a in attempts}, run_id=run_id, temp=work)
        raise


def _judged(lake: Lake, attempt: Attempt, base: Base) -> Published | None:
    """What came of an attempt that has nothing to show, because readers see its version or a newer one; what the ledger
    has not noted of it is noted.

    Raises:
        PermanentFailure: the ledger does not know what readers see.
    """
    part, value = base.parts.get(attempt.scope), attempt.day.isoformat()
    if part is None or base.partition is None:
        return None
    seen = part.settled(attempt.table.feed, attempt.day)
    flip = Flip(value, base.partition.location, int(base.partition.parameters[ROWS]))
    if part.version == attempt.version:
        if not seen.is_same(attempt.version, attempt.manifest):
            raise PermanentFailure(f"{unknown(attempt.table, attempt.delivery_partition, seen)}. Nothing was replaced")
        lake.ledger.placements.put(attempt.feed, part.placement(attempt.day, lake.ledger.now()))
        return attempt.outcome(Result.ALREADY, part.rows, (flip,), f"readers see {seen}")
    require_known(lake.ledger, attempt.table, attempt.delivery_partition, [seen])
    if attempt.version > part.version:
        return None
    return attempt.outcome(Result.SUPERSEDED, 0, (flip,), f"readers see {seen}")


def _show(
    lake: Lake, lease: Lease, base: Base, new: Sequence[tuple[Attempt, Upload]], run_id: str, work: Path
) -> list[Published]:
    attempts = [attempt for attempt, _ in new]
    feed, day, zones = attempts[0].table.feed, attempts[0].day, lake.store.zones

    def check() -> None:
        lease.check(lake.call)

    for spec in _distinct(attempt.table for attempt in attempts):
        table = lake.catalog.ensure(spec, zones.clean_uri(zones.clean(feed)), check)
    parts = {attempt.scope: _part(lake, attempt, files) for attempt, files in new}
    staged = {
        zones.clean_uri(files.prefix): list(files.staged.values())
        for _, files in new
        if files.staged.keys() == files.sizes.keys()
    }
    with lease.kept(lake.call):
        wanted = {**base.parts, **parts}
        made = make_date(lake, feed, table, day, base, wanted, work, run_id=run_id, staged=staged)
    lake.catalog.put_partition(attempts[0].table, table, made.partition, check, exists=base.partition is not None)
    for attempt in attempts:
        check()
        note_shown(lake, attempt, parts[attempt.scope].location, parts[attempt.scope].rows)
    # A date that is new to the catalog may have copies of the other layout.
    follow_to(lake, lease, feed, table.partitions, day.isoformat(), made.partition, made.files)
    flip = Flip(day.isoformat(), made.partition.location, int(made.partition.parameters[ROWS]))
    return [
        replace(
            attempt.outcome(Result.PUBLISHED, files.rows, (flip,), f"version {attempt.version}"),
            files={key.removeprefix(files.prefix): rows for key, rows in files.counts.items()},
        )
        for attempt, files in new
    ]


def _distinct(specs: Iterable[TableSpec]) -> list[TableSpec]:
    """Columns that nobody declared make tables differ."""
    found: list[TableSpec] = []
    for spec in specs:
        if spec not in found:
            found.append(spec)
    return found


def _part(lake: Lake, attempt: Attempt, files: Upload) -> Part:
    location = lake.store.zones.clean_uri(files.prefix)
    return Part(attempt.scope, attempt.version, attempt.manifest, location, files.rows, attempt.key_id)
