"""What of the files of a delivery each task of Spark reads: small files together, and large ones in parts, where they
can be told apart: Parquet by its row groups, plain text where ``spark_ranges`` cuts it.

A task fetches of Parquet the head, the footer and the row groups that begin in its part of the bytes, to a file in
which they stand where they stand in the whole, so that the same code reads it.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.limits import Limits
from adplatform.files.budget import Budget, require_room
from adplatform.files.input_file import LeftOut
from adplatform.files.line_ends import SAMPLE
from adplatform.files.magic import data_kind_of
from adplatform.files.parquet_size import LARGEST_FOOTER, RowGroups, bytes_of_group
from adplatform.files.tar import is_tar
from adplatform.platform.late import Late
from adplatform.transform.job_plan import JobPlan, PlannedFile
from adplatform.transform.spark_files import binned
from adplatform.transform.spark_objects import Objects
from adplatform.transform.spark_ranges import Cut, Looker, may_be_cut

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
    """What of a planned file a task reads: of so many ``parts`` the one of this ``number``, of text the records of
    ``cut``; all where there is one. ``place`` is the file's among those of the plan. The share without a number is the
    SHA-256 of a file in parts."""

    place: int
    file: PlannedFile
    number: int | None = 0
    parts: int = 1
    cut: Cut | None = None


def shares(plan: JobPlan, cuts: Mapping[int, Sequence[Cut]]) -> tuple[tuple[Share, ...], ...]:
    """Those of each task; ``cuts`` are the parts of files of text by their places."""
    fmt, least = plan.contract.format, _least(plan)
    splits = fmt.kind == "parquet" and fmt.compression in ("auto", "none")
    large, small = list[tuple[int, PlannedFile]](), list[tuple[int, PlannedFile]]()
    for place, file in enumerate(planned(plan)):
        (large if place in cuts or (splits and file.size > least) else small).append((place, file))
    bins = binned([file.size for _, file in small], least, max(1, len(small) // _LEAST_TASKS))
    return (
        *((share,) for place, file in large for share in _in_parts(place, file, least, cuts.get(place))),
        *(tuple(Share(*small[number]) for number in each) for each in bins),
    )


def planned(plan: JobPlan) -> list[PlannedFile]:
    """The files of a plan by their places."""
    return sorted(plan.files, key=lambda file: file.ordinal)


def looker(plan: JobPlan) -> Looker:
    """What looks at the large files of text that may be cut."""
    least = _least(plan)
    files = [
        (place, file, -(-file.size // least))
        for place, file in enumerate(planned(plan))
        if may_be_cut(plan.contract) and file.size > least and not come_to_much(file, plan.limits, file.size)
    ]
    return Looker(plan.contract.format, plan.region, tuple(files))


def _least(plan: JobPlan) -> int:
    """Bytes that a part has at least."""
    return max(_PART, sum(file.size for file in plan.files) // _MOST_PARTS)


def _in_parts(place: int, file: PlannedFile, least: int, cuts: Sequence[Cut] | None) -> Iterator[Share]:
    parts = len(cuts) if cuts else -(-file.size // least)
    yield Share(place, file, None, parts)
    for number in range(parts):
        yield Share(place, file, number, parts, cuts[number] if cuts else None)


def come_to_much(file: PlannedFile, limits: Limits, most: int) -> bool:
    """Whether parts of a file that come to ``most`` bytes may be too much together, which only who reads all of it can
    tell."""
    budget = Budget(file.origin, file.size if file.received is None else file.received, limits)
    return most > min(limits.unpacked, budget.most_by_ratio)


@dataclass(frozen=True)
class Fetched:
    """What a task reads of a planned file: of Parquet only these ``groups``, of text without what it ``lacks``."""

    path: Path
    groups: RowGroups | None = None
    lacks: LeftOut | None = None

    @property
    def rows_before(self) -> int:
        """A number that no row of the parts before is above."""
        return self.lacks.lines[0] if self.lacks else 0


def fetched(objects: Objects, share: Share, work: Path) -> Fetched | None:
    """What a share has, below ``work`` or where it lies; None where that is nothing.

    Raises:
        EnvironmentFailure, TransientFailure, PermanentFailure: the object cannot be had, or the disk is full.
    """
    file, target = share.file, work / "received"
    if share.cut:
        return _text_part(objects, share, share.cut, target)
    if share.parts > 1:
        part = parquet_part(objects, share, target)
        if part and part.groups and (part.groups.places or not share.number):
            return part
        if part or share.number:
            return None  # of a file that is packed the first task reads all
    if "://" in file.uri:
        require_room(work, file.size, file.origin)
    return Fetched(objects.fetch(file.uri, file.version, target))


def parquet_part(objects: Objects, share: Share, target: Path) -> Fetched | None:
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
        return Fetched(path, RowGroups((), share.parts))
    fetch([(file.size - footer, max(file.size - footer, file.size - SAMPLE))])
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return Fetched(path, RowGroups((), share.parts))
    groups = [bytes_of_group(metadata.row_group(number)) for number in range(metadata.num_row_groups)]
    own = tuple(number for number, places in enumerate(groups) if _part_of(places, share) == share.number)
    ranges = list(
        _together(place for number in own for place in groups[number] if 0 < place[0] < place[1] <= file.size)
    )
    if path == target:
        require_room(target.parent, sum(behind - first for first, behind in ranges), file.origin)
    fetch((first, min(behind + _PAST_A_CHUNK, file.size)) for first, behind in ranges)
    return Fetched(path, RowGroups(own, share.parts))


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


def _text_part(objects: Objects, share: Share, cut: Cut, target: Path) -> Fetched:
    """The header and the records of a share as a file, and what this lacks of the whole one."""
    file = share.file
    require_room(target.parent, cut.head + cut.behind - cut.first, file.origin)
    objects.fetch_ranges(file.uri, file.version, target, [(0, cut.head), (cut.first, cut.behind)], joined=True)
    lacking = array("q", [cut.lines - cut.head_lines]), array("q", [cut.first - cut.head])
    return Fetched(target, lacks=LeftOut(0, None, array("q", [cut.head_lines]), *lacking))
