"""A version that has all files of the one that readers see, and more: only those are read, the rest is taken over.

Every version is still a whole of its own, with its own settlement, location and counts; what it takes over it copies.
Where anything else differs (the declaration, a hashing key, columns, a file that came again), all files are read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.contracts.model import Contract
from adplatform.flow.hashing_keys import HashingKeys
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.flow.version import file_id_of, origin_of, read_settlement
from adplatform.lake.parquet import append
from adplatform.lake.parts import add, taken_over
from adplatform.lake.store import is_missing
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.publications import FileOutcome, Publication, Versions
from adplatform.ledger.rows import digest
from adplatform.platform.late import Late
from adplatform.transform.values import FileCount, OutputColumn, Staged

if TYPE_CHECKING:
    import pyarrow.parquet as pq
else:
    pq = Late("pyarrow.parquet")

_READING = "5"
"""Changes when the same files would be read differently by the same declaration."""


@dataclass(frozen=True)
class Base:
    """What readers see of a delivery, to which a new version only adds files. ``outcomes`` are those of its files."""

    row: Publication
    location: str
    outcomes: Mapping[str, FileOutcome]
    origins: Mapping[str, str]
    """What the ledger calls each file of the new version, by what its rows say."""
    settled: int
    """How many objects had arrived of what it was made of, or of the delivery."""

    def outcomes_of(self, version: int) -> list[FileOutcome]:
        """The same outcomes as those of the new version."""
        return [replace(each, version=version) for each in self.outcomes.values()]


def basis(flow: FeedFlow, columns: Iterable[OutputColumn] = ()) -> str:
    """Names what files are read by, the declaration, and behind it what ``columns`` came of it."""
    declared = digest(
        _READING, flow.feed.model_dump_json(exclude={"limits", "engine", "usual_volume"}), str(flow.scope)
    )
    return f"{declared}/{digest(*(f'{column.name}:{column.type}' for column in columns))}"


def base_of(
    services: Services, flow: FeedFlow, version: int, known: Versions, settlement: Mapping[str, Any]
) -> Base | None:
    """What a version with this settlement can take over; None when all of its files have to be read."""
    ledger, placement, row = services.ledger, known.placement, known.published
    if placement is None or not placement.location or not _allows(flow.feed.contract):
        return None
    if row is None or row.version != placement.version:
        row = ledger.publications.get(flow.name, placement.day, placement.version)
    if row is None or row.state is not DeliveryState.PUBLISHED or not row.clean or placement.version >= version:
        return None
    if row.basis.partition("/")[0] != basis(flow).partition("/")[0] or settlement.get("again"):
        return None
    # A settlement of an earlier release does not say in what order its objects came.
    numbers = {(entry["key"], entry["version"]): entry.get("number", 0) for entry in settlement["objects"]}
    if not all(numbers.values()):
        return None
    entries = read_settlement(services.s3, services.zones, row.manifest_key)["objects"]
    before = {(entry["key"], entry["version"]) for entry in entries}
    added = [number for each, number in numbers.items() if each not in before]
    # Of rows that say nothing of their order the one that came last stays, so nothing may come before the base.
    if not before <= numbers.keys() or not added or min(added) < (last := max(numbers[each] for each in before)):
        return None
    outcomes = {each.origin: each for each in ledger.publications.file_outcomes(flow.name, row.day, row.version)}
    origins = set(map(origin_of, entries))
    # A run that woke late may have written outcomes of its own, and long lists of reasons are kept elsewhere.
    if outcomes.keys() != origins or _sums(outcomes.values()) != _sums([row]) or row.details_key:
        return None
    named = {file_id_of(entry): origin_of(entry) for entry in settlement["objects"]}
    return Base(row, placement.location, outcomes, named, last)


def _sums(counted: Iterable[FileOutcome | Publication]) -> list[int]:
    rows = [(each.rows_in, each.clean, each.superseded, each.quarantined, each.left_out) for each in counted]
    return [sum(column) for column in zip(*rows, strict=True)]


def _allows(contract: Contract) -> bool:
    """Whether rows of a part can be compared with those that are stored: a personal value without a digest cannot."""
    compared = [contract.column(name) for name in (*contract.key, *contract.latest_by)]
    return contract.partition_by == DELIVERY_DATE and not any(column.pii or column.drop for column in compared)


def fits(base: Base, flow: FeedFlow, staged: Staged, keys: HashingKeys | None) -> bool:
    """Whether the new files have the columns and the hashing keys of those that are taken over."""
    ids = (keys.current.id, keys.previous_id) if keys else ("", "")
    return base.row.basis == basis(flow, staged.columns) and ids == (base.row.key_id, base.row.previous_key_id)


def extended(
    services: Services,
    base: Base,
    flow: FeedFlow,
    staged: Staged,
    outcomes: Iterable[FileOutcome],
    work: Path,
) -> tuple[Staged, tuple[FileOutcome, ...]]:
    """The whole version of which ``staged`` and ``outcomes`` are what it adds. ``work`` is an empty directory.

    Raises:
        Gone: what readers see has been cleaned up.
    """
    contract = flow.feed.contract
    with taken_over(base.location):
        added = add(
            services.lake,
            base.location,
            base.row.clean,
            base.row.files,
            staged.files,
            [column.name for column in staged.columns],
            key=contract.key,
            latest_by=contract.latest_by,
            work=work,
        )
        before_it = _quarantine(services, base, work / "quarantine.parquet")
    every = _superseded({o.origin: o for o in (*base.outcomes.values(), *outcomes)}, base.origins, added.superseded)
    before = [every[origin] for origin in base.outcomes]
    lost = added.superseded
    reasons = Counter(base.row.reasons) + Counter(staged.reasons)
    whole = replace(
        staged,
        files=added.files,
        counts=(
            *(FileCount(o.called, o.rows_in, o.clean, o.superseded, o.quarantined, o.left_out) for o in before),
            *(
                replace(c, clean=c.clean - lost.get(c.origin, 0), superseded=c.superseded + lost.get(c.origin, 0))
                for c in staged.counts
            ),
        ),
        quarantine=_together(before_it, staged.quarantine),
        reasons=dict(reasons),
        lacking=dict(Counter(base.row.lacking) + Counter(staged.lacking)),
        emptied=dict(Counter(base.row.emptied) + Counter(staged.emptied)),
        carried=added.carried,
        forgotten=base.row.quarantined - (pq.read_metadata(before_it).num_rows if before_it else 0),
    )
    return whole, tuple(every.values())


def _superseded(
    outcomes: Mapping[str, FileOutcome], origins: Mapping[str, str], lost: Mapping[str, int]
) -> dict[str, FileOutcome]:
    """The outcomes without the rows that are left out, which ``lost`` counts by the source that they name: an object,
    or a member of one."""
    left = dict(outcomes)
    for source, rows in lost.items():
        origin = origins[source.partition("#")[0]]
        each = left[origin]
        left[origin] = replace(each, clean=each.clean - rows, superseded=each.superseded + rows)
    return left


def _quarantine(services: Services, base: Base, target: Path) -> Path | None:
    """The quarantined rows of the base; None where it has none, or where they were kept for long enough."""
    if not base.row.quarantine_key:
        return None
    try:
        services.store.download(services.zones.raw_bucket, base.row.quarantine_key, target, size=0)
    except ClientError as e:
        if not is_missing(e):
            raise
        return None
    return target


def _together(before: Path | None, new: Path | None) -> Path | None:
    if before is None or new is None:
        return before or new
    both = before.with_name("both.parquet")
    append(before, new, both)
    return both
