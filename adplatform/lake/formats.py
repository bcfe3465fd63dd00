"""What readers of a clean table see, whichever format it has, and how that changes.

Of a Parquet table Glue's partitions say it, and of one without partitions the table itself; of an Iceberg table the
entries that it names (``adplatform.lake.iceberg.entries``).
"""
# ruff: noqa: PLC0415 - PyIceberg takes a second to import, which only tables of its format should cost

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from adplatform.lake.catalog import Partition, Table
from adplatform.lake.lake import Lake
from adplatform.lake.table import Named, TableSpec
from adplatform.ledger.leases import Lease

if TYPE_CHECKING:
    from adplatform.lake.iceberg.upkeep import Kept


def check(lake: Lake, spec: TableSpec) -> None:
    """Whether the table can take these columns.

    Raises:
        PermanentFailure: a column changed its type, or the partitioning or the format changed.
    """
    if not spec.is_iceberg:
        lake.catalog.check(spec)
        return
    from adplatform.lake.iceberg.commit import evolve
    from adplatform.lake.iceberg.tables import load

    table = load(lake, spec)
    if table is not None:
        evolve(table.transaction(), spec)


def field_ids(lake: Lake, spec: TableSpec) -> dict[str, int]:
    """The ids that files written now must give the columns, by name; empty where files have none.

    Raises:
        PermanentFailure: as :func:`check`.
    """
    if not spec.is_iceberg:
        return {}
    from adplatform.lake.iceberg.schema import planned
    from adplatform.lake.iceberg.tables import load

    table = load(lake, spec)
    return {field.name: field.field_id for field in planned(table.schema() if table else None, spec).fields}


def table(lake: Lake, named: Named) -> Table | None:
    """The table; one without partitions as the entry that it is."""
    found = lake.catalog.table(named)
    if found is None or not found.is_iceberg or found.partitions:
        return found
    entry = partition_of(lake, named, found, "")
    return (
        replace(found, location=entry.location, parameters={**found.parameters, **entry.parameters}) if entry else found
    )


def partition(lake: Lake, spec: TableSpec, value: str) -> Partition | None:
    """One partition; of an Iceberg table without partitions the one entry that it has, of value ""."""
    if not spec.is_iceberg:
        return lake.catalog.partition(spec, value)
    found = lake.catalog.table(spec)
    return None if found is None else partition_of(lake, spec, found, value)


def partition_of(lake: Lake, named: Named, table: Table, value: str) -> Partition | None:
    return next(some_partitions(lake, named, table, [value]), None)


def partitions(lake: Lake, named: Named, table: Table) -> Iterator[Partition]:
    """All partitions of the table."""
    if not table.is_iceberg:
        yield from lake.catalog.partitions(named)
        return
    from adplatform.lake.iceberg.entries import entries

    yield from entries(lake.store, table.parameters).values()


def some_partitions(lake: Lake, named: Named, table: Table, values: Iterable[str]) -> Iterator[Partition]:
    """Those of the partitions that there are."""
    if not table.is_iceberg:
        yield from lake.catalog.some_partitions(named, values, len(table.partitions))
        return
    from adplatform.lake.iceberg.entries import entries

    yield from entries(lake.store, table.parameters, values).values()


def show_in_iceberg(
    lake: Lake,
    named: Named,
    changes: Mapping[str, Partition | None],
    check: Callable[[], None],
    *,
    summary: Mapping[str, str],
    over: Callable[[Mapping[str, Partition]], bool] = lambda shown: True,
) -> bool:
    """:func:`adplatform.lake.iceberg.commit.show`, and the tags of the table's columns."""
    from adplatform.lake.iceberg.commit import show

    shown = show(lake, named, changes, check=check, summary=summary, over=over)
    lake.catalog.tag(named)
    return shown


def move(lake: Lake, named: Named, table: Table, entry: Partition, check: Callable[[], None]) -> None:
    """Lead readers of one entry elsewhere; of a table without partitions its value is ""."""
    if table.is_iceberg:
        show_in_iceberg(lake, named, {entry.value: entry}, check, summary=entry.parameters)
    elif table.partitions:
        lake.catalog.put_partition(named, table, entry, check)
    else:
        lake.catalog.move(named, entry.location, entry.parameters, check)


def expire_snapshots(lake: Lake, named: Named, before: datetime, check: Callable[[], None], *, dry_run: bool) -> "Kept":
    """:func:`adplatform.lake.iceberg.upkeep.expire`."""
    from adplatform.lake.iceberg.upkeep import expire

    return expire(lake, named, before, check, dry_run=dry_run)


def forget_removed(lake: Lake, named: Named, check: Callable[[], None]) -> None:
    """:func:`adplatform.lake.iceberg.upkeep.forget_removed`."""
    from adplatform.lake.iceberg.upkeep import forget_removed

    forget_removed(lake, named, check)


def compact(
    lake: Lake, lease: Lease, feed: str, named: Named, *, now: datetime, run_id: str, temp: Path | None
) -> tuple[str, ...]:
    """:func:`adplatform.lake.iceberg.upkeep.compact`."""
    from adplatform.lake.iceberg.upkeep import compact

    with TemporaryDirectory(dir=temp) as work:
        return compact(lake, lease, feed, named, now=now, run_id=run_id, work=Path(work))
