"""A partition of a date that holds the rows of all scopes, in few files.

What a scope brings stays a location of its own, as in a table whose scopes have partitions, and the ledger says of each
which version counts. Readers are not led there, but to a copy: the rows of all scopes, sorted by scope, with the scope
as a column. A partition names an immutable list of what it was made of, and of which of its files has the rows of which
scope, so the next one is made from it: files without a scope that changed are copied as they are, the others are
written again without the rows that are replaced. Whatever becomes of a partition, the slices can make it anew.

It is made and shown under the lease of the table. What a process does that lost it, ``agreement.compare`` finds by the
list.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from heapq import merge
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import MappingProxyType
from typing import TYPE_CHECKING

from adplatform.failures import PermanentFailure
from adplatform.files.budget import require_room
from adplatform.lake.catalog import Partition, Table
from adplatform.lake.entry import DOCTOR, PUBLISHED_AT, ROWS, RUN, SLICE_LIST, Settled, delivery_feed
from adplatform.lake.lake import Lake
from adplatform.lake.store import Store
from adplatform.lake.zones import JOINT, partition_folder
from adplatform.ledger.placements import Placement
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import batches, row_groups
from adplatform.transform.values import CarriedFile, StagedParquet

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pc = Late("pyarrow.compute")
    pq = Late("pyarrow.parquet")

log = logging.getLogger(__name__)

_SMALL = 8
"""The part of a full file below which one is written again although none of its scopes changed."""


class _NotAsListed(PermanentFailure):
    """Somebody changed a file that nobody changes."""


@dataclass(frozen=True)
class Part:
    """What a partition shows of one scope: which version, where its slice is, and under what name ``file`` of the
    partition has its rows, "" where it has none. ``key_id`` and ``manifest`` are as of a slice."""

    scope: str
    version: int
    manifest: str
    location: str
    rows: int
    key_id: str = ""
    file: str = ""

    def settled(self, feed: str, day: date) -> Settled:
        return Settled(delivery_feed(feed, f"{JOINT}{self.scope}"), day, self.version, self.manifest)

    def placement(self, day: date, now: datetime) -> Placement:
        return Placement(day, self.version, self.manifest, self.location, self.rows, self.key_id, now)


def placed_part(scope: str, placement: Placement) -> Part:
    """What a partition is to show of a scope, by all the ledger knows."""
    version, manifest, location = placement.version, placement.manifest, placement.location
    return Part(scope, version, manifest, location, placement.rows, placement.key_id)


@dataclass(frozen=True)
class Plan:
    """How a partition is made: the names of the files that it ``keeps``, of those that are ``opened`` for the rows of
    scopes that did not change, and the scopes of each file that is ``written``, in their order."""

    keeps: tuple[str, ...]
    opened: tuple[str, ...]
    written: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Base:
    """What a partition is made from: the one that there is, with its ``parts`` and the ``sizes`` of its files."""

    partition: Partition | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MadeDate:
    """A partition that readers can be led to, and its files."""

    partition: Partition
    files: tuple[CarriedFile, ...]


def read_parts(store: Store, shown: Partition) -> dict[str, Part] | None:
    """What a partition shows, by scope; None when it names no list, or the list is gone."""
    key = shown.parameters.get(SLICE_LIST, "")
    if not key:
        return None
    try:
        body = store.s3.get_object(Bucket=store.zones.clean_bucket, Key=key)["Body"].read()
    except store.s3.exceptions.NoSuchKey:
        return None
    return {part["scope"]: Part(**part) for part in json.loads(body)["parts"]}


def base_of(lake: Lake, qualified: str, shown: Partition | None) -> Base:
    """What the next partition of the date is made from. What somebody else registered counts for nothing.

    Raises:
        PermanentFailure: its list is gone.
    """
    if shown is None or SLICE_LIST not in shown.parameters:
        return Base(shown)
    parts = read_parts(lake.store, shown)
    if parts is None:
        raise PermanentFailure(
            f"table {qualified}, partition {shown.value!r}: the list of what it shows is gone. Drop the partition: "
            "`adplatform collect` makes it anew of what is in the clean bucket"
        )
    zones = lake.store.zones
    prefix = zones.clean_key(shown.location)
    sizes = {o.key.removeprefix(prefix): o.size for o in lake.store.listing(zones.clean_bucket, prefix)}
    return Base(shown, parts, sizes)


def shown_slice(lake: Lake, shown: Partition | None, scope: str) -> Partition | None:
    """The slice of one scope that readers see in a partition, as a partition of its own."""
    parts = read_parts(lake.store, shown) if shown is not None else None
    part = parts.get(scope) if parts else None
    return Partition(scope, part.location, {ROWS: str(part.rows)}) if part else None


def planned(base: Base, wanted: Mapping[str, Part], slices: Mapping[str, int], full: int) -> Plan:
    """How to make a partition of ``wanted``; ``slices`` are the bytes of each slice that changed and has rows. A file
    of ``full`` bytes gets no further scope; one that is much smaller is written again with what is new."""
    held: dict[str, list[Part]] = {}
    for part in base.parts.values():
        if part.file:
            held.setdefault(part.file, []).append(part)
    same = {scope for scope, part in base.parts.items() if _is_same(wanted.get(scope), part)}
    keeps, opened, bytes_ = [], [], dict(slices)
    for name, parts in sorted(held.items()):
        if base.sizes[name] >= full // _SMALL and all(part.scope in same for part in parts):
            keeps.append(name)
            continue
        left = [part for part in parts if part.scope in same]
        opened += [name] if left else []
        rows = sum(part.rows for part in parts)
        bytes_ |= {part.scope: base.sizes[name] * part.rows // rows for part in left}
    written: list[list[str]] = []
    size = full
    for scope, more in sorted(bytes_.items()):
        if size >= full:
            written.append([])
            size = 0
        written[-1].append(scope)
        size += more
    return Plan(tuple(keeps), tuple(opened), tuple(map(tuple, written)))


def make_date(
    lake: Lake,
    feed: str,
    table: Table,
    day: date,
    base: Base,
    wanted: Mapping[str, Part],
    work: Path,
    *,
    run_id: str,
    staged: Mapping[str, Sequence[StagedParquet]] = MappingProxyType({}),
) -> MadeDate:
    """The partition of these parts as the catalog is to have it; nothing is shown yet. ``staged`` are the files of
    slices that need not be fetched, by location. ``work`` is a directory of this run.

    Raises:
        PermanentFailure: a slice is gone, or does not hold as many rows as were published.
    """
    if {part.file for part in base.parts.values()} - {""} - base.sizes.keys():
        base = Base(base.partition)  # its files are gone: all of it is made of slices
    store, zones = lake.store, lake.store.zones
    token = f"{day}-0000-{lake.token()}"
    prefix = zones.version(feed, token) + partition_folder(table.partitions, day.isoformat())
    before = zones.clean_key(base.partition.location) if base.partition else ""
    with ExitStack() as held, TemporaryDirectory(dir=work) as folder:
        here = _Here(lake, day, staged, Path(folder), held)
        try:
            plan, paths = _written(here, table, base, before, wanted)
        except _NotAsListed as e:
            log.warning("%s %s: %s; all of it is made of what scopes brought", feed, day, e)
            base = Base(base.partition)
            plan, paths = _written(here, table, base, before, wanted)
        names = [f"{token}-{path.name}" for path in paths]
        made = [CarriedFile(f"{prefix}{name}", _bytes([path]), 0) for name, path in zip(names, paths, strict=True)]
        for path, file in zip(paths, made, strict=True):
            store.upload(path, zones.clean_bucket, file.key)
    kept = {f"{prefix}{name}": CarriedFile(f"{before}{name}", base.sizes[name], 0) for name in plan.keeps}
    store.copy_all(zones.clean_bucket, kept)
    holds = {scope: name for name, scopes in zip(names, plan.written, strict=True) for scope in scopes}
    holds |= {scope: part.file for scope, part in base.parts.items() if part.file in plan.keeps}
    parts = {scope: replace(part, file=holds.get(scope, "")) for scope, part in sorted(wanted.items())}
    parameters = {
        SLICE_LIST: _write_list(store, feed, token, parts.values()),
        "adplatform.deliveries": str(len(parts)),
        ROWS: str(sum(part.rows for part in parts.values())),
        RUN: run_id,
        PUBLISHED_AT: lake.ledger.now().isoformat(),
    }
    partition = Partition(day.isoformat(), zones.clean_uri(prefix), parameters)
    return MadeDate(partition, (*made, *(replace(file, key=key) for key, file in kept.items())))


@dataclass(frozen=True)
class _Here:
    """Where a date is made: ``folder`` is this run's, and what is ``held`` is let go when it is made."""

    lake: Lake
    day: date
    staged: Mapping[str, Sequence[StagedParquet]]
    folder: Path
    held: ExitStack


def _written(
    here: _Here, table: Table, base: Base, before: str, wanted: Mapping[str, Part]
) -> tuple[Plan, Sequence[Path]]:
    """How the partition is made, and the files that are written for that. ``before`` is how keys of the base begin."""
    changed = [part for scope, part in wanted.items() if part.rows and not _is_same(base.parts.get(scope), part)]
    slices = {part.scope: _slice(here, part) for part in changed}
    plan = planned(base, wanted, {scope: _bytes(paths) for scope, paths in slices.items()}, here.lake.file_size)
    opened = {name: _fetched(here, f"{before}{name}", base.sizes[name]) for name in plan.opened}
    alike = [*opened.values(), *chain.from_iterable(slices.values())]
    if not plan.written and not plan.keeps:  # no scope has rows: one file says of which columns
        alike, plan = _slice(here, next(iter(wanted.values()))), replace(plan, written=((),))
    held = {name: [part for part in base.parts.values() if part.file == name] for name in opened}
    kept = [_kept_rows(path, table.shared_by, held[name], wanted) for name, path in opened.items()]
    rows = merge(*kept, _new_rows(slices), key=itemgetter(0))
    paths, counts = _write(table, plan, rows, alike, here.folder)
    if counts != Counter({scope: wanted[scope].rows for scopes in plan.written for scope in scopes}):
        raise PermanentFailure(f"{here.day}: files of a scope do not hold as many rows as were published; {DOCTOR}")
    return plan, paths


def _is_same(one: Part | None, other: Part | None) -> bool:
    return one is not None and other is not None and one.location == other.location


def _bytes(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _slice(here: _Here, part: Part) -> list[Path]:
    """The files of a slice."""
    if part.location in here.staged:
        return [here.held.enter_context(file.on_disk(_place(here))) for file in here.staged[part.location]]
    zones = here.lake.store.zones
    found = list(here.lake.store.listing(zones.clean_bucket, zones.clean_key(part.location)))
    if not found:
        raise PermanentFailure(
            f"{part.location} is gone, where the delivery of {here.day} of {part.scope} has {part.rows} rows: publish "
            "that delivery again first"
        )
    return [_fetched(here, file.key, file.size) for file in found]


def _fetched(here: _Here, key: str, size: int) -> Path:
    require_room(here.folder, size, "a file of a table")
    path = _place(here) / "fetched.parquet"
    here.lake.store.download(here.lake.store.zones.clean_bucket, key, path, size)
    return path


def _place(here: _Here) -> Path:
    """A directory for one file: those of slices may be called alike."""
    return Path(mkdtemp(dir=here.folder))


def _kept_rows(
    path: Path, column: str, held: Iterable[Part], wanted: Mapping[str, Part]
) -> "Iterator[tuple[str, pa.RecordBatch]]":
    """The rows of scopes that do not change, of a file of a partition that ``held`` these."""
    parts = sorted(held, key=lambda part: part.scope)
    same = {part.scope for part in parts if _is_same(wanted.get(part.scope), part)}
    return (each for each in _by_scope(path, column, parts) if each[0] in same)


def _by_scope(path: Path, column: str, held: Sequence[Part]) -> "Iterator[tuple[str, pa.RecordBatch]]":
    """The rows of a file, of one scope at a time. Its parts follow each other as the list has them.

    Raises:
        _NotAsListed: they do not.
    """
    left = [(part.scope, part.rows) for part in reversed(held)]
    for batch in batches(path):
        at = 0
        while at < batch.num_rows:
            scope, rest = left.pop() if left else ("", 0)
            count = min(rest, batch.num_rows - at)
            rows = batch.slice(at, count)
            if not count or not pc.all(pc.equal(rows.column(column), scope)).as_py():
                raise _NotAsListed("a file does not hold what its partition's list says")
            yield scope, rows
            at += count
            if rest > count:
                left.append((scope, rest - count))


def _new_rows(slices: Mapping[str, Sequence[Path]]) -> "Iterator[tuple[str, pa.RecordBatch]]":
    for scope, paths in sorted(slices.items()):
        for path in paths:
            for batch in batches(path):
                yield scope, batch


def _write(
    table: Table,
    plan: Plan,
    rows: "Iterable[tuple[str, pa.RecordBatch]]",
    alike: Iterable[Path],
    folder: Path,
) -> tuple[list[Path], Counter[str]]:
    """The files that are planned, of rows in the order of scopes, and how many rows of each scope they have. ``alike``
    are files with the columns that they get."""
    schema = _schema(table, alike) if plan.written else None
    number = {scope: n for n, scopes in enumerate(plan.written) for scope in scopes}
    counts = Counter[str]()

    def typed(rows: "Iterable[tuple[str, pa.RecordBatch]]") -> "Iterator[pa.RecordBatch]":
        for scope, batch in rows:
            counts[scope] += batch.num_rows
            yield _typed(batch, schema, {table.shared_by: scope})

    paths = [folder / f"part-{n:05d}.parquet" for n in range(len(plan.written))]
    grouped = groupby(rows, key=lambda each: number[each[0]]) if number else [(0, ())] if paths else []
    for n, group in grouped:
        with pq.ParquetWriter(paths[n], schema, compression="snappy") as writer:
            for rows_of_group in row_groups(typed(group)):
                writer.write_table(rows_of_group)
    return paths, counts


def _schema(table: Table, alike: Iterable[Path]) -> "pa.Schema":
    """The columns that any of the files has, in the order of the table's."""
    found: dict[str, pa.DataType] = {}
    for path in alike:
        found = {field.name: field.type for field in pq.read_schema(path)} | found
    found |= {table.shared_by: pa.string()}
    known = [name for name, _ in table.columns if name in found]
    return pa.schema([(name, found[name]) for name in (*known, *(n for n in found if n not in known))])


def _typed(batch: "pa.RecordBatch", schema: "pa.Schema", fixed: Mapping[str, str]) -> "pa.RecordBatch":
    def column(field: "pa.Field") -> "pa.Array":
        if field.name in fixed:
            return pa.repeat(pa.scalar(fixed[field.name], field.type), batch.num_rows)
        if field.name not in batch.schema.names:
            return pa.nulls(batch.num_rows, field.type)
        return batch.column(field.name).cast(field.type)

    return pa.RecordBatch.from_arrays([column(field) for field in schema], schema=schema)


def _write_list(store: Store, feed: str, token: str, parts: Iterable[Part]) -> str:
    """Keep the list of what a partition shows before anybody is led to it; returns its key."""
    key = f"{store.zones.slice_lists(feed)}{token}.json"
    body = json.dumps({"parts": [asdict(part) for part in parts]}, indent=1, ensure_ascii=False).encode()
    store.s3.put_object(Bucket=store.zones.clean_bucket, Key=key, Body=body, **store.zones.put_arguments)
    return key
