"""What a merge came to, as an object that the next one begins with."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from adplatform.contracts.types import DataType, parse_type


@dataclass(frozen=True)
class KeptFile:
    """A file at the location of its table; ``name`` is "" where a bucket has none."""

    name: str = ""
    rows: int = 0


@dataclass(frozen=True)
class KeptBucket:
    """One bucket of a table: the rows that there are, and those that were deleted."""

    number: int
    rows: KeptFile = KeptFile()
    deleted: KeptFile = KeptFile()


@dataclass(frozen=True)
class Counts:
    """Rows. ``changes == applied + superseded + unplaced``, where the last have no key that could be stored. They are
    those that were ``read`` from the files of the source, without those that were ``set_aside`` by their delivery, in
    quarantine for example, and the deletions that a complete reading of a table stands for, which are ``implied``.
    ``rebuilt`` rows were made from all their changes, because one had come late; ``closed`` versions have ended."""

    changes: int = 0
    applied: int = 0
    superseded: int = 0
    unplaced: int = 0
    rebuilt: int = 0
    closed: int = 0
    read: int = 0
    set_aside: int = 0
    implied: int = 0


@dataclass(frozen=True)
class State:
    """``columns`` are (name, type) of the rows, ``closed`` the files of versions that were closed on the date of the
    merge, and ``merged`` those files of changes, by date, of which nothing is left to merge. ``plan`` is what the merge
    took, as the ledger has it, and ``replaced`` says by date where versions were that ended before and are written
    again. ``revived`` are the files of deleted rows that there are again, which readers see until the rows are shown.
    ``job`` is why an engine made it, "" where none did."""

    columns: tuple[tuple[str, str], ...] = ()
    buckets: tuple[KeptBucket, ...] = ()
    closed: tuple[KeptFile, ...] = ()
    merged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plan: str = ""
    replaced: Mapping[str, str] = field(default_factory=dict)
    counts: Counts = Counts()
    revived: tuple[str, ...] = ()
    job: str = ""

    @property
    def rows(self) -> int:
        return sum(bucket.rows.rows for bucket in self.buckets)

    @property
    def deleted(self) -> int:
        return sum(bucket.deleted.rows for bucket in self.buckets)

    def types(self) -> dict[str, DataType]:
        return {name: parse_type(kind) for name, kind in self.columns}


def written(state: State) -> bytes:
    return json.dumps(asdict(state), indent=1).encode()


def read(body: bytes) -> State:
    found: dict[str, Any] = json.loads(body)
    return State(
        tuple((name, kind) for name, kind in found["columns"]),
        tuple(KeptBucket(b["number"], KeptFile(**b["rows"]), KeptFile(**b["deleted"])) for b in found["buckets"]),
        tuple(KeptFile(**each) for each in found["closed"]),
        {day: tuple(names) for day, names in found["merged"].items()},
        found.get("plan", ""),
        found.get("replaced", {}),
        Counts(**found.get("counts", {})),
        _revived(found.get("revived", ())),
        found.get("job", ""),
    )


def _revived(found: str | list[str]) -> tuple[str, ...]:
    """An earlier release had one file at most."""
    return (found,) if isinstance(found, str) and found else tuple(found)
