"""What the clean zone and its catalog know of deliveries without the ledger: which settlements readers see, and of
tables whose deliveries meet in partitions, the slices that they are made of.

An entry names what it shows. One that was made before entries did so is resolved from the files: the token of an
attempt names date and version, and the entry has a digest of the locations that it was made of.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from adplatform.lake import formats
from adplatform.lake.catalog import Partition
from adplatform.lake.entry import SLICE_LIST, SLICES, read_list, write_list
from adplatform.lake.lake import Lake
from adplatform.lake.slices import is_made_of
from adplatform.lake.table import TableSpec
from adplatform.lake.zones import partition_value
from adplatform.ledger.leases import Lease
from adplatform.ledger.placements import Slice
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import pyarrow.parquet as pq
else:
    pq = Late("pyarrow.parquet")

_TOKEN = re.compile(r"(?P<day>\d{4}-\d{2}-\d{2})-(?P<version>\d{4,})-[^/]+(?<!-merged)/[^/]+/")
_MOST_COMBINATIONS = 4096


@dataclass(frozen=True)
class PlacedSlices:
    """What the clean zone shows of one delivery in shared partitions: the slices of ``version`` that count, those of
    ``others``, which readers see in some partitions, and whether readers see all of ``version`` and nothing else."""

    version: int
    manifest: str
    slices: tuple[Slice, ...]
    others: tuple[Slice, ...]
    whole: bool


def shown_slices(
    lake: Lake, spec: TableSpec, lease: Lease | None, temp: Path | None
) -> tuple[dict[date, PlacedSlices], list[str]]:
    """What readers see of each delivery, and sentences about partitions of which that cannot be known. With a ``lease``
    partitions that do not name their slices get a list of them."""
    folders = _folders(lake, spec.feed)
    listed: list[Slice] = []
    problems = []
    table = formats.table(lake, spec)
    with TemporaryDirectory(dir=temp) as work:
        for partition in formats.partitions(lake, spec, table) if table else ():
            if SLICES not in partition.parameters:
                continue
            found = read_list(lake.store, partition)
            if found is None:
                found = _resolved(lake, spec, partition, folders, Path(work))
                if found is None:
                    problems.append(
                        f"table {spec.qualified}, partition {partition.value!r}: which deliveries it shows cannot be "
                        "found out. Drop the partition: it is made anew of what the ledger places; publish deliveries "
                        "that it lacks then again with `adplatform retry`"
                    )
                    continue
                if lease is not None and table is not None:
                    parameters = {**partition.parameters, SLICE_LIST: write_list(lake.store, spec.feed, found)}
                    named = replace(partition, parameters=parameters)
                    lake.catalog.put_partition(spec, table, named, lambda: lease.check(lake.call))
            listed += found
        days: dict[date, list[Slice]] = {}
        for part in listed:
            days.setdefault(part.day, []).append(part)
        return {day: _placed(lake, parts, folders, Path(work)) for day, parts in days.items()}, problems


def has_rows(lake: Lake, feed: str, day: date, version: int) -> bool:
    """Whether any attempt to publish the version wrote files."""
    zones = lake.store.zones
    found = lake.store.listing(zones.clean_bucket, f"{zones.versions(feed)}{day}-{version:04d}-")
    return any(True for _ in found)


def _folders(lake: Lake, feed: str) -> dict[str, dict[str, list[str]]]:
    """The keys of each attempt's files by token and partition value."""
    zones = lake.store.zones
    prefix = zones.versions(feed)
    found: dict[str, dict[str, list[str]]] = {}
    for stored in lake.store.listing(zones.clean_bucket, prefix):
        below = stored.key.removeprefix(prefix)
        if _TOKEN.match(below):
            token, folder, _ = below.split("/", 2)
            found.setdefault(token, {}).setdefault(partition_value(folder), []).append(stored.key)
    return found


def _token(lake: Lake, location: str) -> str:
    return location.rstrip("/").rsplit("/", 2)[-2]


def _placed(lake: Lake, parts: list[Slice], folders: Mapping[str, Mapping[str, list[str]]], work: Path) -> PlacedSlices:
    shown: dict[tuple[int, str], list[Slice]] = {}
    for part in parts:
        shown.setdefault((part.version, _token(lake, part.location)), []).append(part)

    def complete(key: tuple[int, str]) -> bool:
        return {part.partition for part in shown[key]} == set(folders.get(key[1], ()))

    # A version begins only after the one before it was placed, so of several the lowest was.
    version, token = next(filter(complete, sorted(shown, reverse=True)), min(shown))
    own = {part.partition: part for part in shown[version, token]}
    pattern = next(iter(own.values()))
    for value, keys in folders.get(token, {}).items():
        if value not in own:
            location = lake.store.zones.clean_uri(keys[0].rpartition("/")[0] + "/")
            own[value] = replace(pattern, partition=value, location=location, rows=_rows(lake, keys, work))
    others = tuple(part for key, each in shown.items() if key != (version, token) for part in each)
    whole = len(shown) == 1 and complete((version, token))
    return PlacedSlices(version, pattern.manifest, tuple(own.values()), others, whole)


def _resolved(
    lake: Lake, spec: TableSpec, partition: Partition, folders: Mapping[str, Mapping[str, list[str]]], work: Path
) -> list[Slice] | None:
    """The slices of a partition that does not name them: the only choice of attempts that its digest is of."""
    days: dict[date, list[Slice]] = {}
    for token, values in folders.items():
        found = re.match(_TOKEN, f"{token}/x/")
        if partition.value in values and found:
            location = lake.store.zones.clean_uri(values[partition.value][0].rpartition("/")[0] + "/")
            part = Slice(partition.value, date.fromisoformat(found["day"]), int(found["version"]), location)
            days.setdefault(part.day, []).append(part)
    choices = [[*sorted(parts, key=lambda p: -p.version), None] for _, parts in sorted(days.items())]
    if prod(map(len, choices)) > _MOST_COMBINATIONS:
        choices = [choice[:1] for choice in choices]
    for combination in itertools.product(*choices):
        slices = [part for part in combination if part is not None]
        if is_made_of(spec, partition, slices):
            counted = []
            for part in slices:
                token = _token(lake, part.location)
                counted.append(replace(part, rows=_rows(lake, folders[token][part.partition], work)))
            return counted
    return None


def _rows(lake: Lake, keys: Iterable[str], work: Path) -> int:
    return sum(_counts(lake, keys, work))


def _counts(lake: Lake, keys: Iterable[str], work: Path) -> Iterator[int]:
    for key in keys:
        local = work / "counted.parquet"
        lake.store.download(lake.store.zones.clean_bucket, key, local)
        yield pq.read_metadata(local).num_rows
