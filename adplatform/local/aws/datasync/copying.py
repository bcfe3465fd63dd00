"""The work of a DataSync task: what differs between two locations, the copying of it, and the comparison afterwards."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from adplatform.local.aws.datasync.stores import MTIME, About, Bucket, Item, Source

Kind = Literal["Transferred", "Skipped", "Verified", "Deleted"]

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_FORCED = ("InputOutputError", "the file could not be read at the source")
_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True)
class Outcome:
    """What became of one item, as a task report says it. ``error`` is a code and what it means; none if it went well.
    ``about`` is what was copied with the bytes; ``found`` is the item at the destination, where it is known."""

    kind: Kind
    item: Item
    overwrite: bool = False
    version: str = ""
    error: tuple[str, str] | None = None
    about: About = field(default_factory=About)
    found: Item | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class Job:
    """One execution. ``count`` adds to a counter, ``note`` keeps an outcome, and ``go_on`` is called between two items
    with the bytes that were just copied: it may wait, and ends a job that is cancelled by raising. ``forced`` says of a
    phase how many of its next items fail."""

    source: Source
    destination: Bucket
    options: Mapping[str, Any]
    includes: str
    excludes: str
    manifest: Sequence[tuple[str, str]] | None
    enhanced: bool
    count: Callable[[str, int], None]
    note: Callable[[Outcome], None]
    go_on: Callable[[int], None]
    forced: dict[str, int] = field(default_factory=dict)

    def counted(self, item: Item) -> str:
        """Enhanced mode counts folders by themselves."""
        return "Folders" if self.enhanced and item.is_folder else "Files"

    def fail(self, phase: str, outcome: Outcome, code: str, detail: str) -> None:
        self.note(replace(outcome, error=(code, detail)))
        self.count(f"{self.counted(outcome.item)}Failed.{phase}", 1)

    def forces(self, phase: str) -> bool:
        left = self.forced.get(phase, 0)
        self.forced[phase] = left - 1
        return left > 0


@dataclass(frozen=True)
class Plan:
    """``transfer`` are the items to copy and what lies in their place."""

    transfer: Sequence[tuple[Item, Item | None]]
    delete: Sequence[Item]
    kept: set[str]
    """Paths that differ and stay as they are, those that failed included: they are not verified."""


def manifest_lines(text: str) -> list[tuple[str, str]]:
    """Paths and version ids, empty where there is none, of a manifest in CSV without a header."""
    return [
        (line[0].lstrip("/"), line[1].strip() if len(line) > 1 else "")
        for line in csv.reader(text.splitlines())
        if line
    ]


def selects(includes: str, excludes: str, path: str) -> bool:
    """Whether filters of patterns joined by ``|``, in which ``*`` stands for anything, select a path without leading
    slash. A pattern that matches a folder matches all that is in it."""
    return (not includes or _matches(includes, path)) and not (excludes and _matches(excludes, path))


def _matches(patterns: str, path: str) -> bool:
    for pattern in re.split(r"(?<!\\)\|", patterns):
        literal = pattern.replace(r"\|", "|").rstrip("/")
        expression = "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", literal))
        if re.fullmatch(f"{expression}(/.*)?", f"/{path}", re.DOTALL):
            return True
    return False


def prepare(job: Job) -> Plan:
    """Compares source and destination.

    Raises: what the stores raise where one of them cannot be listed, and what ``job.go_on`` raises.
    """
    there = {item.path: item for item in job.destination.items()}
    everything = job.options["TransferMode"] == "ALL"
    transfer: list[tuple[Item, Item | None]] = []
    seen, kept = set[str](), set[str]()
    for item in _listed(job):
        job.go_on(0)
        seen.add(item.path)
        job.count(f"{job.counted(item)}Listed.AtSource", 1)
        found = there.get(item.path)
        never = found is not None and job.options["OverwriteMode"] == "NEVER"
        same = found is not None and not everything and unchanged(item, found, job.destination)
        if never or same or item.storage_class in _ARCHIVED:
            if not same:
                kept.add(item.path)
            job.count(f"{job.counted(item)}Skipped", 1)
            job.note(Outcome("Skipped", item, found=found))
            continue
        transfer.append((item, found))
        job.count(f"Estimated{job.counted(item)}ToTransfer", 1)
        job.count("EstimatedBytesToTransfer", item.size)
        if not everything:
            job.count(f"{job.counted(item)}Prepared", 1)
    delete = []
    if job.options["PreserveDeletedFiles"] == "REMOVE":
        for item in there.values():
            job.count(f"{job.counted(item)}Listed.AtDestinationForDelete", 1)
            if item.path not in seen and selects(job.includes, job.excludes, item.path):
                delete.append(item)
                job.count(f"Estimated{job.counted(item)}ToDelete", 1)
                if not job.enhanced:
                    job.count("EstimatedFilesToTransfer", 1)
    return Plan(transfer, delete, kept)


def transfer(job: Job, plan: Plan) -> list[Item]:
    """The items that were copied. What cannot be copied or deleted is noted, not raised."""
    copied = []
    for item, found in plan.transfer:
        outcome = Outcome("Transferred", item, overwrite=found is not None)
        forced = job.forces("Transfer")
        failure = _FORCED if forced else _attempt(partial(_copy, job, item, outcome))
        if failure is None:
            copied.append(item)
        else:
            plan.kept.add(item.path)
            job.fail("Transfer", outcome, *failure)
        job.go_on(0 if failure else item.size)
    for item in plan.delete:
        job.go_on(0)
        failure = _attempt(partial(job.destination.delete, item.path))
        if failure is None:
            job.count(f"{job.counted(item)}Deleted", 1)
            job.note(Outcome("Deleted", item))
        else:
            job.fail("Delete", Outcome("Deleted", item), *failure)
    return copied


def _copy(job: Job, item: Item, outcome: Outcome) -> None:
    body, about = job.source.read(item, tags=job.options["ObjectTags"] == "PRESERVE")
    with body:
        metadata = dict(about.metadata) if job.options["ObjectMetadata"] == "PRESERVE" else {}
        metadata[MTIME] = item.mtime
        version = job.destination.write(item.path, body, replace(about, metadata=metadata))
    job.count(f"{job.counted(item)}Transferred", 1)
    for counter in ("BytesTransferred", "BytesWritten", "BytesCompressed"):
        job.count(counter, item.size)
    job.note(replace(outcome, version=version, about=about))


def verify(job: Job, plan: Plan, copied: Iterable[Item]) -> None:
    """Compares what was copied, or everything, as ``VerifyMode`` says."""
    everything = job.options["VerifyMode"] == "POINT_IN_TIME_CONSISTENT"
    for item in _listed(job, again=True) if everything else copied:
        job.go_on(0)
        if item.path in plan.kept:
            continue
        found = job.destination.find(item.path)
        outcome = Outcome("Verified", item, found=found)
        now = item if everything else job.source.find(item.path, item.version)
        if job.forces("Verify") or now is None or found is None or not unchanged(now, found, job.destination):
            job.fail("Verify", outcome, "VerificationFailed", "source and destination differ")
        else:
            job.count(f"{job.counted(item)}Verified", 1)
            job.note(outcome)


def unchanged(item: Item, found: Item, destination: Bucket) -> bool:
    """Whether the destination has this content: by size, and by ETag or, where ETags are none of the content, by the
    time of change that the copy remembers."""
    if item.size != found.size:
        return False
    if item.etag and "-" not in item.etag + found.etag:
        return item.etag == found.etag
    return destination.metadata(found.path).get(MTIME) == item.mtime


def _listed(job: Job, *, again: bool = False) -> Iterator[Item]:
    if job.manifest is None:
        yield from (item for item in job.source.items() if selects(job.includes, job.excludes, item.path))
        return
    for path, version in job.manifest:
        item = job.source.find(path, version)
        if item is not None:
            yield item
        elif not again:
            missing = Outcome("Transferred", Item(path, 0, _LONG_AGO, version=version))
            job.fail("Prepare", missing, "NotFound", "the manifest names it, but the source does not have it")


def _attempt(work: Callable[[], None]) -> tuple[str, str] | None:
    """Code and text of the failure of one item; None if there was none."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        work()
    except ClientError as e:
        return e.response["Error"]["Code"], e.response["Error"].get("Message", "")
    except (BotoCoreError, OSError) as e:
        return type(e).__name__, str(e)
    return None
