"""A table partitioned by a column, on its way to another hashing key: its deliveries are staged one by one, each a new
version of which nobody sees anything, and then shown together.

Partitions are all made before readers are led to the first, and each is made under the new key alone: readers see a
partition under the old key or under the new one. Only then are the versions noted as placed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.failures import TransientFailure
from adplatform.lake import formats
from adplatform.lake.attempt import Attempt, Flip, note_shown, require, upload
from adplatform.lake.entry import FEED
from adplatform.lake.lake import Lake
from adplatform.lake.path_copy import follow_to
from adplatform.lake.slices import ensure, forget, make, placed_versions, show_all, slices_of
from adplatform.lake.table import TableSpec
from adplatform.ledger.leases import Lease
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.values import Staged


def stage_version(
    lake: Lake,
    table: TableSpec,
    day: date,
    version: int,
    staged: Staged,
    *,
    run_id: str,
    temp: Path,
    key_id: str,
    manifest: str,
) -> None:
    """Upload a version and remember its slices. May be repeated; the last one counts.

    Raises:
        PermanentFailure: the table cannot take the columns, or AWS does not allow it.
        TransientFailure: another publisher was in the way, or AWS did not answer.
    """
    token = f"{day}-{version:04d}-{lake.token()}"
    attempt = Attempt(table, run_id, token, day, version, "", key_id, manifest)
    with aws_failures(f"table {table.qualified}"), TemporaryDirectory(dir=temp) as work:
        formats.check(lake, table)
        attempt = replace(attempt, field_ids=formats.field_ids(lake, table))
        uploads = upload(lake, attempt, staged, Path(work))
        new = slices_of(lake, attempt, uploads)
        with lake.alone(table.feed, run_id) as lease:
            require(lake, uploads)
            lease.check(lake.call)
            for part in lake.ledger.placements.slices_of_day(table.feed, day):
                if part.version == version and part.partition not in new:
                    lake.ledger.placements.delete(table.feed, part)
            lake.ledger.placements.put_slices(table.feed, new.values())


def show_together(
    lake: Lake, table: TableSpec, versions: Mapping[date, tuple[int, str]], *, run_id: str, temp: Path, key_id: str
) -> tuple[Flip, ...]:
    """Lead the readers of ``table`` to staged versions; ``versions`` maps days to a version and its settlement. May be
    repeated after a crash at any point.

    Raises:
        PermanentFailure: files of a slice are gone, readers see what the ledger does not know, or AWS does not allow
            it.
        TransientFailure: a delivery was published under another key meanwhile, another publisher was in the way, or AWS
            did not answer.
    """
    token = f"rotation-{key_id}-{lake.token()}"
    attempts = [
        Attempt(table, run_id, token, day, version, "", key_id, manifest)
        for day, (version, manifest) in sorted(versions.items())
    ]
    with (
        aws_failures(f"table {table.qualified}"),
        TemporaryDirectory(dir=temp) as work,
        lake.alone(table.feed, run_id) as lease,
    ):
        return _place_together(lake, lease, table, attempts, key_id, Path(work))


def _place_together(
    lake: Lake, lease: Lease, spec: TableSpec, attempts: Sequence[Attempt], key_id: str, work: Path
) -> tuple[Flip, ...]:
    feed = spec.feed
    placements, staged = lake.ledger.placements.of_feed(feed), {attempt.day: attempt.version for attempt in attempts}
    others = [str(p.day) for p in placements if p.day not in staged and p.key_id != key_id]
    if others:
        raise TransientFailure(f"{feed}: {', '.join(others)} was published under another hashing key meanwhile")
    seen = {p.day: p.version for p in placements}
    table = ensure(lake, lease, spec)
    writer = replace(attempts[0], field_ids=formats.field_ids(lake, spec))
    slices = lake.ledger.placements.all_slices(feed)
    values = sorted({s.partition for s in slices})
    with lease.kept(lake.call):
        made = [make(lake, writer, table, value, seen | staged, work, seen=seen) for value in values]
    show_all(lake, lease, spec, table, made, {FEED: feed})
    for attempt in attempts:
        rows = sum(s.rows for s in slices if (s.day, s.version) == (attempt.day, attempt.version))
        lease.check(lake.call)
        note_shown(lake, attempt, "", rows)
    for each in () if table.is_iceberg else made:
        follow_to(lake, lease, feed, table.partitions, each.value, each.partition)
    forget(lake, feed, lake.ledger.placements.all_slices(feed), placed_versions(lake, feed))
    return tuple(each.flip for each in made)
