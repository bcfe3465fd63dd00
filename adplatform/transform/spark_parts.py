"""What of the files of a delivery each task of Spark reads: small files together, and a large one of Parquet, whose row
groups stand by themselves, in parts.

A task fetches of such a file its head, its footer and the row groups that begin in its part of the bytes, to a file in
which they stand where they stand in the whole, so that the same code reads it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.limits import Limits
from adplatform.files.budget import Budget, require_room
from adplatform.files.line_ends import SAMPLE
from adplatform.files.magic import data_kind_of
from adplatform.files.parquet_size import LARGEST_FOOTER, RowGroups, bytes_of_group
from adplatform.files.tar import is_tar
from adplatform.platform.late import Late
from adplatform.transform.job_plan import JobPlan, PlannedFile
from adplatform.transform.spark_files import binned
from adplatform.transform.spark_objects import Objects

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_PART = 64 << 20
_MOST_PARTS = 10_000
_LEAST_TASKS = 64
_TAIL = 8
_PAST_A_CHUNK = 128
"""Bytes that Arrow reads beyond what a footer says of a column: some writers leave out the header of its dictionary."""


@dataclass(frozen=True)
class Share:
    """What of a planned file a task reads: of so many ``parts`` the one of this ``number``, all where there is one.
    ``place`` is the file's among those of the plan. The share without a number is the SHA-256 of a file in parts."""

    place: int
    file: PlannedFile
    number: int | None = 0
    parts: int = 1


def shares(plan: JobPlan, again: Collection[int] = ()) -> tuple[tuple[Share, ...], ...]:
    """Those of each task; with ``again`` no files but these, by their places, and each of them as a whole."""
    ordered = list(enumerate(sorted(plan.files, key=lambda file: file.ordinal)))
    if again:
        return tuple((Share(place, file),) for place, file in ordered if place in again)
    least = max(_PART, sum(file.size for file in plan.files) // _MOST_PARTS)
    fmt = plan.contract.format
    splits = fmt.kind == "parquet" and fmt.compression in ("auto", "none")
    large = [(place, file) for place, file in ordered if splits and file.size > least]
    small = [(place, file) for place, file in ordered if not splits or file.size <= least]
    bins = binned([file.size for _, file in small], least, max(1, len(small) // _LEAST_TASKS))
    return (
        *((share,) for place, file in large for share in _in_parts(place, file, -(-file.size // least))),
        *(tuple(Share(*small[number]) for number in each) for each in bins),
    )


def _in_parts(place: int, file: PlannedFile, parts: int) -> Iterator[Share]:
    yield Share(place, file, None, parts)
    yield from (Share(place, file, number, parts) for number in range(parts))


def come_to_much(file: PlannedFile, limits: Limits, most: int) -> bool:
    """Whether parts of a file that come to ``most`` bytes may be too much together, which only who reads all of it can
    tell."""
    budget = Budget(file.origin, file.size if file.received is None else file.received, limits)
    return most > min(limits.unpacked, budget.most_by_ratio)


def parquet_part(objects: Objects, share: Share, target: Path) -> tuple[Path, RowGroups] | None:
    """The row groups of a share, in a file that has them where the whole one has them; None of a file that is packed,
    or is no Parquet. What is damaged is told by who reads it.

    Raises:
        EnvironmentFailure, TransientFailure, PermanentFailure: the object cannot be had, or the disk is full.
    """
    file = share.file
    path = objects.begun(file.uri, target, file.size)

    def fetch(ranges: Iterable[tuple[int, int]]) -> None:
        if path == target:
            objects.fetch_ranges(file.uri, file.version, target, ranges)

    fetch([(0, min(SAMPLE, file.size)), (max(0, file.size - SAMPLE), file.size)])
    with path.open("rb") as content:
        head = content.read(SAMPLE)
        content.seek(-_TAIL, 2)
        footer = int.from_bytes(content.read(4), "little") + _TAIL
    if data_kind_of(head) != "Parquet" or is_tar(head):
        return None
    if not footer <= min(file.size, LARGEST_FOOTER + _TAIL):
        return path, RowGroups((), share.parts)
    fetch([(file.size - footer, max(file.size - footer, file.size - SAMPLE))])
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return path, RowGroups((), share.parts)
    groups = [bytes_of_group(metadata.row_group(number)) for number in range(metadata.num_row_groups)]
    own = tuple(number for number, places in enumerate(groups) if _part_of(places, share) == share.number)
    ranges = list(
        _together(place for number in own for place in groups[number] if 0 < place[0] < place[1] <= file.size)
    )
    if path == target:
        require_room(target.parent, sum(behind - first for first, behind in ranges), file.origin)
    fetch((first, min(behind + _PAST_A_CHUNK, file.size)) for first, behind in ranges)
    return path, RowGroups(own, share.parts)


def _part_of(places: Sequence[tuple[int, int]], share: Share) -> int:
    """The part in which a row group begins."""
    begins = min((first for first, _ in places), default=0)
    return min(begins * share.parts // share.file.size, share.parts - 1)


def _together(places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Those that touch each other as one."""
    first, behind = 0, 0
    for begin, end in sorted(places):
        if begin > behind + SAMPLE:
            if behind:
                yield first, behind
            first = begin
        behind = max(behind, end)
    if behind:
        yield first, behind
