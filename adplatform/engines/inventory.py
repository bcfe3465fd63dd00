"""What a store or a server elsewhere has, against what of it has landed and been delivered. Nothing is downloaded but
lists."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adplatform.engines.datasync import DataSync
from adplatform.engines.pattern import TASK, EngineFiles
from adplatform.engines.source_files import SourceFile, listed, reported, store_client
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.flow.version import read_settlement
from adplatform.ledger.engine_run import EngineRun
from adplatform.platform.aws_errors import aws_failures

_MOST_REPORTS = 20
"""Executions whose reports are looked at for one that lists files."""


class State(StrEnum):
    """Where a file stands. CHANGED: the store has another content than what has landed. GONE: it has landed, and the
    store has it no longer. WAITING: it may be written still. FETCHED: it is on its way. FAILED: it was fetched in vain.
    REFUSED: it never is."""

    MISSING = "only at source"
    WAITING = "not whole yet"
    FETCHED = "being fetched"
    FAILED = "could not be fetched"
    REFUSED = "refused"
    CHANGED = "changed at source"
    LANDED = "landed, not delivered"
    DELIVERED = "delivered"
    GONE = "gone at source"


@dataclass(frozen=True)
class LandedFile:
    """The newest version of a file in the landing zone; ``size`` is in bytes, ``etag`` without quotes."""

    size: int
    modified: datetime
    etag: str


@dataclass(frozen=True)
class Item:
    """One file; ``size`` (bytes) is that at the source, or where it landed if nothing else is known. ``reason`` says
    why it is in a state that is to be mended."""

    path: str
    size: int
    state: State
    reason: str = ""


@dataclass(frozen=True)
class Inventory:
    """``seen`` says how the source was looked at. ``initial`` is the first execution that brought something, and
    ``later`` how many have since; ``latest`` is the last of them."""

    seen: str
    items: tuple[Item, ...]
    initial: EngineRun | None = None
    latest: EngineRun | None = None
    later: int = 0

    def counts(self) -> dict[State, tuple[int, int]]:
        """Files and bytes of every state that some are in."""
        files, sizes = Counter[State](), Counter[State]()
        for item in self.items:
            files[item.state] += 1
            sizes[item.state] += item.size
        return {state: (files[state], sizes[state]) for state in State if files[state]}


def take_inventory(services: Services, pattern: EngineFiles) -> Inventory:
    """
    Raises:
        PermanentFailure: nothing replicates files for the source, or no report lists any.
        TransientFailure: AWS or the store does not answer at present, or does not allow it.
    """
    engine = next((t.engine for t in pattern.targets(services) if isinstance(t.engine, DataSync)), None)
    if engine is None:
        raise PermanentFailure(f"{pattern.source.name} replicates no files of a store")
    runs = services.ledger.engine_runs.runs(pattern.source.name, TASK)
    brought = [run for run in runs if run.landed_at and run.objects]
    there, seen = _source(services, pattern, engine, runs)
    landed = landed_files(services, pattern.source.prefix)
    items = compare(there, landed, delivered_files(services, pattern))
    first, last = (brought[0], brought[-1]) if brought else (None, None)
    return Inventory(seen, tuple(items), first, last, max(len(brought) - 1, 0))


def compare(
    source: Iterable[SourceFile], landed: Mapping[str, LandedFile], delivered: Mapping[str, str]
) -> Iterator[Item]:
    """The state of every file; ``landed`` is by path, ``delivered`` says the ETag of what readers see, by path."""
    seen = set[str]()
    for file in source:
        seen.add(file.path)
        here = landed.get(file.path)
        size = file.size if file.size is not None else here.size if here else 0
        if here is None:
            yield Item(file.path, size, State.MISSING)
        elif _changed(file, here):
            yield Item(file.path, size, State.CHANGED)
        else:
            yield Item(file.path, size, _delivered(here, delivered.get(file.path)))
    yield from (Item(path, here.size, State.GONE) for path, here in landed.items() if path not in seen)


def landed_files(services: Services, prefix: str) -> dict[str, LandedFile]:
    """What lies in the landing zone below a source's prefix, by path."""
    bucket, found = services.zones.raw_bucket, dict[str, LandedFile]()
    with aws_failures(f"landing zone s3://{bucket}/{prefix}"):
        for page in services.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for each in page.get("Contents", ()):
                if not each["Key"].endswith("/"):
                    landed = LandedFile(each["Size"], each["LastModified"], each["ETag"].strip('"'))
                    found[each["Key"].removeprefix(prefix)] = landed
    return found


def delivered_files(services: Services, pattern: EngineFiles) -> dict[str, str]:
    """The ETag of each file of the versions that readers see, by path."""
    found: dict[str, str] = {}
    for flow in pattern.source.feeds:
        for delivery in services.ledger.deliveries.of_feed(flow.name):
            if not delivery.published:
                continue
            shown = services.ledger.publications.get(flow.name, delivery.day, delivery.published)
            if shown is None:
                continue
            for entry in read_settlement(services.s3, services.zones, shown.manifest_key)["objects"]:
                found[entry["key"].removeprefix(pattern.source.prefix)] = entry["etag"].strip('"')
    return found


def _source(
    services: Services, pattern: EngineFiles, engine: DataSync, runs: list[EngineRun]
) -> tuple[Iterable[SourceFile], str]:
    """The files of the store, and how they were looked at."""
    declared = pattern.task(services)
    if declared is not None and declared.store.lists_by_s3:
        client = store_client(declared, services.secrets, services.s3)
        return listed(client, declared), f"{declared.uri}, listed now"
    ended = [run for run in reversed(runs) if run.final and run.started_at]
    for run in ended[:_MOST_REPORTS]:
        if files := list(reported(engine.report(run.run_id).files("Skipped", "Transferred", "Verified"))):
            return (
                files,
                f"as the report of {run.run_id.rpartition('/')[2]} of {run.started_at:%Y-%m-%d %H:%M} UTC says",
            )
    raise PermanentFailure(
        f"{pattern.source.name}: the store cannot be listed from here, and no report of its last {_MOST_REPORTS} "
        "executions names a file: start one"
    )


def _changed(file: SourceFile, here: LandedFile) -> bool:
    """ETags tell contents only where both are of one part."""
    if file.size is not None and file.size != here.size:
        return True
    if file.etag and "-" not in file.etag + here.etag and file.etag == here.etag:
        return False
    return file.modified is not None and file.modified > here.modified


def _delivered(here: LandedFile, shown: str | None) -> State:
    return State.DELIVERED if shown == here.etag else State.LANDED
