"""A version of what readers see of a delivery without a person, where its originals are not there any more."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.contracts.types import DataType
from adplatform.files.parted import Judge
from adplatform.files.records import part
from adplatform.flow.begun import Begun
from adplatform.flow.clean import Transformed
from adplatform.lake.audit import audit
from adplatform.lake.parquet import selected
from adplatform.ledger.placements import Placement
from adplatform.ledger.publications import FileOutcome, Publication
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import batches
from adplatform.transform.compile import output_columns
from adplatform.transform.values import FileCount, OutputColumn, Staged, StagedFile

if TYPE_CHECKING:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
else:
    pc = Late("pyarrow.compute")
    pq = Late("pyarrow.parquet")

_FILE = "_source_file"


def rows_left(begun: Begun, shown: Publication, placement: Placement, judge: Judge) -> Transformed:
    """The claimed version as the rows that readers see of ``shown``, without those that are judged to go. They keep the
    hashing key that they are under; what each file of the version came to is noted with as many rows less.

    Raises:
        PermanentFailure, TransientFailure: as reading S3 and the ledger do.
    """
    services, flow = begun.services, begun.flow
    store, work = services.store, begun.work / "left"
    work.mkdir()
    bucket = services.zones.clean_bucket
    staged: list[StagedFile] = []
    gone: Counter[str] = Counter()
    columns: dict[str, OutputColumn] = {}
    partition = flow.feed.contract.partition_by
    for number, (value, location) in enumerate(_locations(begun, placement)):
        for file in list(store.listing(bucket, services.zones.clean_key(location))):
            received, path = work / "received", work / f"{number:05d}-{len(staged):05d}.parquet"
            store.download(bucket, file.key, received, file.size)
            kept = [name for name in pq.read_schema(received).names if name not in (partition, _scope(begun))]
            columns |= {name: column for name, column in _columns(begun, kept).items() if name not in columns}
            before, narrowed = _sources(received), work / "narrowed"
            selected(received, kept, narrowed)
            parted = part(narrowed, path, None, judge, "a file of the table")
            gone.update(before)
            if parted.left:
                gone.subtract(_sources(path))
                staged.append(StagedFile(path, value, parted.left))
    quarantine, aside = _quarantine(begun, shown, work / "quarantine.parquet")
    outcomes = tuple(_less(each, gone, aside, begun) for each in _outcomes(begun, shown))
    services.ledger.publications.put_file_outcomes(flow.name, outcomes)
    whole = Staged(
        tuple(columns.values()) or output_columns(flow.feed.contract),
        tuple(staged),
        quarantine,
        tuple(FileCount(o.called, o.rows_in, o.clean, o.superseded, o.quarantined, o.left_out) for o in outcomes),
        _reasons(quarantine),
    )
    findings = audit(whole, flow.feed.contract)
    return Transformed(whole, outcomes, findings, shown.key_id, shown.previous_key_id, dict(shown.filled), kept=True)


def _locations(begun: Begun, placement: Placement) -> Iterator[tuple[str, str]]:
    """Where the rows of the delivery are, by the value of a partition that it shares with others."""
    if begun.flow.feed.contract.partition_by in (None, DELIVERY_DATE):
        yield "", placement.location
        return
    for each in begun.services.ledger.placements.slices_of_day(begun.flow.table, placement.day):
        if each.version == placement.version and each.location:
            yield each.partition, each.location


def _scope(begun: Begun) -> str:
    return begun.flow.scope.column if begun.flow.scope else ""


def _columns(begun: Begun, names: list[str]) -> dict[str, OutputColumn]:
    """What the columns of a file are; one that the contract does not name was added as text."""
    known = {column.name: column for column in output_columns(begun.flow.feed.contract, previous=True)}
    return {name: known.get(name, OutputColumn(name, DataType("string"))) for name in names}


def _sources(path: Path) -> Mapping[str, int]:
    """Rows by the file that each came from."""
    if _FILE not in pq.read_schema(path).names:
        return {}
    return _by_file(path, _FILE)


def _by_file(path: Path, column: str) -> Counter[str]:
    rows = Counter[str]()
    for batch in batches(path, [column]):
        for each in pc.value_counts(batch.column(column)).to_pylist():
            rows[str(each["values"]).partition("#")[0]] += each["counts"]
    return rows


def _outcomes(begun: Begun, shown: Publication) -> list[FileOutcome]:
    found = begun.services.ledger.publications.file_outcomes(begun.flow.name, shown.day, shown.version)
    return [replace(each, version=begun.delivery.version, prepared_key="") for each in found]


def _less(outcome: FileOutcome, gone: Mapping[str, int], aside: Mapping[str, int] | None, begun: Begun) -> FileOutcome:
    lost = gone.get(outcome.called, 0)
    quarantined = outcome.quarantined if aside is None else aside.get(outcome.called, 0)
    clean = outcome.clean - lost
    rows = clean + outcome.superseded + quarantined + outcome.left_out
    return replace(outcome, clean=clean, quarantined=quarantined, rows_in=rows)


def _quarantine(begun: Begun, shown: Publication, target: Path) -> tuple[Path | None, Mapping[str, int] | None]:
    """The rows that are left in the quarantine of the version that readers see, and how many are of each file."""
    if not shown.quarantine_key:
        return None, None
    store = begun.services.store
    store.download(begun.services.zones.raw_bucket, shown.quarantine_key, target, 0)
    rows = _by_file(target, "source_file")
    return (target if rows else None), rows


def _reasons(quarantine: Path | None) -> Mapping[str, int]:
    if quarantine is None:
        return {}
    read = batches(quarantine, ["reasons"])
    return Counter(reason for batch in read for reasons in batch.column("reasons").to_pylist() for reason in reasons)
