"""Versions of the tables that are made of changes: which files each has, and how readers are led to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

from adplatform.changes.state import KeptFile
from adplatform.changes.tries import require_claim
from adplatform.failures import ClaimLost
from adplatform.flow.services import Services
from adplatform.lake.attempt import Result
from adplatform.lake.publish import publish
from adplatform.lake.store import Stored
from adplatform.lake.table import TableSpec
from adplatform.ledger.folds import Fold
from adplatform.transform.values import CarriedFile, Staged, StagedParquet


@dataclass
class Version:
    """The files of one version of a table, or of one date of it, to which files are added: new ones, and those that it
    takes over from ``before``, which are there by name."""

    table: str
    before: dict[str, Stored] = field(default_factory=dict)
    new: list[StagedParquet] = field(default_factory=list)
    carried: list[CarriedFile] = field(default_factory=list)

    def add(self, file: StagedParquet | None) -> KeptFile:
        """A new file, where there is one; and what it will be called."""
        if file is None:
            return KeptFile()
        self.new.append(file)
        return KeptFile(f"part-{len(self.new) - 1:05}.parquet", file.rows)

    def carry(self, services: Services, kept: KeptFile) -> KeptFile:
        """A file that the version before has, as it is; and what it will be called."""
        if not kept.name:
            return kept
        there = self.before[kept.name]
        self.carried.append(CarriedFile(there.key, there.size, kept.rows))
        return KeptFile(services.zones.lasting_name(self.table, there.key), kept.rows)


def files_at(services: Services, location: str) -> dict[str, Stored]:
    """The files of a location by name; none where it is ""."""
    prefix = services.zones.clean_key(location)
    found = services.store.listing(services.zones.clean_bucket, prefix) if prefix else ()
    return {file.key.removeprefix(prefix): file for file in found}


def show(
    services: Services,
    version: Version,
    spec: TableSpec,
    *,
    day: date,
    row: Fold,
    manifest: str,
    key_id: str,
    run_id: str,
    temp: Path,
    first: bool = False,
) -> None:
    """Lead readers to a version, which is that of the try that has claimed ``row``; ``first`` is as in
    :func:`adplatform.lake.publish.publish`.

    Raises:
        ClaimLost: another try has the merge.
        PermanentFailure, TransientFailure: as :func:`adplatform.lake.publish.publish`.
    """
    staged = Staged(
        columns=spec.columns,
        files=tuple(version.new),
        quarantine=None,
        counts=(),
        reasons={},
        carried=tuple(version.carried),
    )
    published = publish(
        services.lake,
        spec,
        day,
        row.revision,
        staged,
        run_id=run_id,
        temp=temp,
        key_id=key_id,
        manifest=manifest,
        first=first,
        allowed=partial(require_claim, services, row),
    )
    if published.result is Result.SUPERSEDED:
        raise ClaimLost(f"{spec.feed}: another run has shown what it made of merge {row.next}")


def locations(services: Services, tables: Sequence[tuple[str, date]]) -> dict[str, str]:
    """Where readers see each table, or a date of it."""
    placed = ((table, services.ledger.placements.get(table, day)) for table, day in tables)
    return {table: placement.location for table, placement in placed if placement is not None}
