"""Publishing several deliveries of one table together: as :mod:`adplatform.lake.publish` does one after the other,
under one lease and by few calls of the catalog and the ledger.

Only what is as it is on ordinary days is published so: each delivery fills a partition of a Parquet table alone, and
readers see nothing there, or what the ledger says that is placed. Whatever differs is left to :func:`publish`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from adplatform.failures import TransientFailure
from adplatform.lake.attempt import Attempt, Flip, Published, Result, Upload, require, upload
from adplatform.lake.catalog import Partition
from adplatform.lake.entry import provenance, settled
from adplatform.lake.lake import Lake
from adplatform.lake.path_copy import follow_all
from adplatform.lake.table import TableSpec
from adplatform.ledger.leases import Beside, Lease
from adplatform.ledger.placements import Placement
from adplatform.platform.at_once import at_once
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.values import Staged

_LATELY = timedelta(minutes=10)
"""How long files that were uploaded are certainly still there: a collection removes none of the last hours."""


@dataclass(frozen=True)
class Delivered:
    """A version of a delivery that is to be shown; ``manifest`` and ``key_id`` are as of :func:`publish`. A ``fresh``
    one is of a date of which readers see nothing, as far as the ledger knows."""

    day: date
    version: int
    scope: str
    staged: Staged
    manifest: str
    key_id: str
    fresh: bool


@dataclass(frozen=True)
class _Showing:
    attempt: Attempt
    files: Upload
    fresh: bool
    placement: Placement
    partition: Partition


def may_be_together(table: TableSpec) -> bool:
    """Whether each delivery of the table fills a partition of its own of Glue."""
    return table.partition is not None and not table.by_column and not table.is_iceberg


def publish_together(
    lake: Lake, table: TableSpec, wanted: Sequence[Delivered], *, run_id: str, temp: Path, beside: Beside
) -> list[Published | None]:
    """Show versions of deliveries to the readers of ``table``; None in the place of one that readers do not see,
    because something about it is not as it is on ordinary days. ``temp`` is an existing directory. ``beside`` is
    written with the lease.

    Raises:
        PermanentFailure, TransientFailure: as :func:`adplatform.lake.publish.publish`; readers may see some of them.
    """
    with aws_failures(f"table {table.qualified}, {lake.store.zones.clean_uri(lake.store.zones.versions(table.feed))}"):
        began = lake.ledger.now()
        attempts = [
            Attempt(
                table,
                run_id,
                f"{each.day}-{each.version:04d}-{lake.token()}",
                each.day,
                each.version,
                each.scope,
                each.key_id,
                each.manifest,
            )
            for each in wanted
        ]
        pairs = list(zip(attempts, wanted, strict=True))
        uploads = at_once(lambda pair: _uploaded(lake, pair[0], pair[1].staged, temp), pairs)
        with lake.alone(table.feed, run_id, beside) as lease:
            if lake.ledger.now() - began > _LATELY:
                require(lake, uploads)
            showing = [
                _showing(lake, attempt, files, fresh=each.fresh)
                for (attempt, each), files in zip(pairs, uploads, strict=True)
            ]
            shown = {id(each) for each in _show(lake, lease, table, showing)}
        return [_published(each) if id(each) in shown else None for each in showing]


def _uploaded(lake: Lake, attempt: Attempt, staged: Staged, temp: Path) -> Upload:
    work = temp / attempt.token / attempt.scope
    work.mkdir(parents=True)
    (files,) = upload(lake, attempt, staged, work)
    return files


def _showing(lake: Lake, attempt: Attempt, files: Upload, *, fresh: bool) -> _Showing:
    location, now = lake.store.zones.clean_uri(files.prefix), lake.ledger.now()
    placement = attempt.placement(location, files.rows, now)
    parameters = provenance(placement, attempt.run_id, now.isoformat())
    return _Showing(attempt, files, fresh, placement, Partition(files.partition, location, parameters))


def _show(lake: Lake, lease: Lease, table: TableSpec, wanted: Sequence[_Showing]) -> list[_Showing]:
    """Lead readers to those that may be shown; which those are."""

    def check() -> None:
        lease.check(lake.call)

    zones, catalog = lake.store.zones, lake.catalog
    found = catalog.ensure(table, zones.clean_uri(zones.clean(table.feed)), check)
    new = [each for each in wanted if each.fresh]
    over = _that_are_known(lake, table, [each for each in wanted if not each.fresh])
    shown = []
    for some, exist in ((new, False), (over, True)):
        if some:
            refused = catalog.put_partitions(table, found, (each.partition for each in some), check, exist=exist)
            shown += [each for each in some if each.partition.value not in refused]
    if not shown:
        return []
    check()
    if not lake.ledger.placements.put_together([(each.attempt.feed, each.placement) for each in shown]):
        raise TransientFailure(f"{table.feed}: a newer version of a date was placed meanwhile; run the step again")
    follow_all(
        lake,
        lease,
        table.feed,
        table.partition_names,
        ((each.partition, each.files.files, each.fresh) for each in shown),
    )
    return shown


def _that_are_known(lake: Lake, table: TableSpec, wanted: Sequence[_Showing]) -> list[_Showing]:
    """Those in whose place readers see the older version that the ledger says is placed."""
    if not wanted:
        return []
    values = (each.partition.value for each in wanted)
    entries = {each.value: each for each in lake.catalog.some_partitions(table, values, len(table.partitions))}
    placed = lake.ledger.placements.known((each.attempt.feed, each.attempt.day) for each in wanted)
    known = []
    for each in wanted:
        entry, placement = entries.get(each.partition.value), placed.get((each.attempt.feed, each.attempt.day))
        seen = settled(table.feed, entry) if entry else None
        if seen is None or placement is None or not seen.is_same(placement.version, placement.manifest):
            continue
        if seen.version < each.attempt.version:
            known.append(each)
    return known


def _published(each: _Showing) -> Published:
    files, attempt = each.files, each.attempt
    flip = Flip(files.partition, each.partition.location, files.rows)
    rows = {key.removeprefix(files.prefix): count for key, count in files.counts.items()}
    outcome = attempt.outcome(Result.PUBLISHED, files.rows, (flip,), f"version {attempt.version}")
    return Published(**{**vars(outcome), "files": rows})
