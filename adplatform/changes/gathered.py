"""Changes as they are merged: found in the table of changes, each with its sequence, on this machine."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adplatform.changes.arrived import Change, Origin, write_changes
from adplatform.changes.generations import doubted, sequences
from adplatform.changes.local_files import fetch
from adplatform.changes.made import MadeTable
from adplatform.changes.pulled import Pulled, moments, sequence_seen
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.services import Services
from adplatform.flow.version import file_id_of, origin_of, read_settlement
from adplatform.lake.keyed import KeyedTable
from adplatform.lake.zones import Zones
from adplatform.ledger.folds import Generation, Plan

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Gathered:
    """A file of changes for each date, and how many changes are in none: they have no key that can be stored, or no
    sequence and are older than a load."""

    files: tuple[Path, ...]
    unplaced: int


def changes_to_merge(
    services: Services,
    followed: MadeTable,
    plan: Plan,
    begin: Mapping[str, int],
    merged: Mapping[str, Sequence[str]],
    generations: Sequence[Generation],
) -> Iterator[Change]:
    """What a plan takes of each date: objects that arrived after ``begin``. ``merged`` names files of which nothing is
    left to merge.

    Raises:
        TransientFailure: a date is being published, or has got another hashing key.
        PermanentFailure: a file may be of either of two loads.
    """
    for day, last in sorted(plan.reached.numbers.items()):
        whole = plan.anew or day in plan.whole
        first = 0 if whole else begin.get(day, 0)
        found = _change(services, followed, plan, day, first, generations) if first < last else None
        if found is not None:
            known = () if whole else merged.get(day, ())
            names = lasting_names(services.zones, followed, found)
            files = tuple(file for file, name in zip(found.files, names, strict=True) if name not in known)
            yield replace(found, files=files)


def all_changes(
    services: Services, followed: MadeTable, plan: Plan, generations: Sequence[Generation]
) -> Iterator[Change]:
    """Everything up to where a plan goes.

    Raises: as :func:`changes_to_merge`.
    """
    for day in sorted(plan.reached.numbers):
        if (found := _change(services, followed, plan, day, 0, generations)) is not None:
            yield found


def lasting_names(zones: Zones, followed: MadeTable, change: Change) -> list[str]:
    """What the files are called in every version of their date that takes them over."""
    return [zones.lasting_name(followed.changes.table, file.key) for file in change.files]


def gather(
    con: "duckdb.DuckDBPyConnection",
    services: Services,
    table: KeyedTable,
    sequence_field: str,
    changes: Iterable[Change],
    folder: Path,
    keys: Path | None = None,
) -> Gathered:
    """The changes in files below ``folder``, an empty directory; only those of some ``keys``, where they are given.

    Raises:
        PermanentFailure: a change has no sequence.
    """
    files, unplaced = [], 0
    for each in changes:
        there = fetch(services.store, {file.key: folder / f"{each.day}-{n:05}" for n, file in enumerate(each.files)})
        if there:
            target = folder / f"{each.day}.parquet"
            unplaced += write_changes(con, table, sequence_field, each, there, target, keys)
            files.append(target)
        for path in there:
            path.unlink()
    return Gathered(tuple(files), unplaced)


def _change(
    services: Services, followed: MadeTable, plan: Plan, day: str, first: int, generations: Sequence[Generation]
) -> Change | None:
    """What a plan takes of a date after ``first``. A later version has all changes of the one that was planned, but not
    of readings, which may replace what came before."""
    publications, name = services.ledger.publications, followed.changes.name
    placement = services.ledger.placements.get(name, date.fromisoformat(day))
    version = placement.version if placement else 0
    version = plan.reached.versions[day] if isinstance(followed, Pulled) else version
    row = publications.get(name, placement.day, version) if placement else None
    if placement is None or row is None:
        raise TransientFailure(f"{name} {day}: it is being published; run the step again")
    if placement.rows and placement.key_id != plan.reached.key_id:
        raise TransientFailure(f"{name} {day}: it has got another hashing key since this merge was planned")
    entries = read_settlement(services.s3, services.zones, row.manifest_key)["objects"]
    last = plan.reached.numbers[day]
    own = [entry for entry in entries if first < entry["number"] <= last]
    own = own if isinstance(followed, Pulled) else _of_known_loads(services, followed, own, generations)
    complete = next((each for each in generations if each.number == plan.reached.generation), None)
    origins = tuple(_origins(services, followed, own, sequences(entries, generations), complete))
    if not origins:
        return None
    zones, wanted = services.zones, {origin.uri for origin in origins}
    location = placement.location if version == placement.version else next(iter(row.locations), "")
    files = tuple(services.store.listing(zones.clean_bucket, zones.clean_key(location))) if location else ()
    outcomes = [each for each in publications.file_outcomes(name, placement.day, version) if each.origin in wanted]
    return Change(
        day,
        version,
        origins,
        files,
        rows=sum(each.clean for each in outcomes),
        read=sum(each.rows_in for each in outcomes),
        set_aside=sum(each.quarantined + each.superseded + each.left_out for each in outcomes),
    )


def _of_known_loads(
    services: Services, followed: MadeTable, entries: Sequence[Mapping[str, Any]], generations: Sequence[Generation]
) -> list[Mapping[str, Any]]:
    """The entries without files that may be of either of two loads, which count no more once a later load is whole.

    Raises:
        PermanentFailure: no later one is.
    """
    doubts = {file_id_of(entry): load for entry in entries if (load := doubted(entry, generations)) is not None}
    known = services.ledger.folds.generations(followed.source, followed.target) if doubts else []
    whole = max((each.number for each in known if each.loaded_at is not None), default=0)
    for called, load in doubts.items():
        if whole <= load.number:
            raise PermanentFailure(
                f"{called}: it was written in the second in which load {load.number} began "
                f"({load.opened_at:%Y-%m-%d %H:%M:%S} UTC), and the load before it had not ended by then, so it may be "
                f"of either; `adplatform reload {followed.name}`, and once that load is whole `adplatform retry "
                f"{followed.name}`"
            )
    return [entry for entry in entries if file_id_of(entry) not in doubts]


def _origins(
    services: Services,
    followed: MadeTable,
    entries: Sequence[Mapping[str, Any]],
    loaded: Mapping[str, str],
    complete: Generation | None,
) -> Iterator[Origin]:
    """The objects of these entries; ``loaded`` has the sequences of files of loads."""
    seen = moments(services, followed, entries) if isinstance(followed, Pulled) else {}
    for entry in entries:
        uri, at = origin_of(entry), seen.get(entry["key"])
        sequence = loaded.get(uri) if at is None else sequence_seen(at, after=False)
        written = datetime.fromisoformat(entry["last_modified"])
        replaced = complete is not None and written < complete.opened_at.replace(microsecond=0)
        yield Origin(uri, file_id_of(entry), sequence, at, replaced)
