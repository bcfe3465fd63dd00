"""Readings of database tables: the row of each, its chunks, and what may happen to one.

A step is given the row as it was ``seen``, writes only if nobody has written it since, and returns None otherwise. A
step that the row is not in a state for raises ``IllegalStep``.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime

from adplatform.ledger.engine_run import RunState, owner_of
from adplatform.ledger.rows import IllegalStep, from_item
from adplatform.ledger.table import NEW, Table, Write

ENDED = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})


@dataclass(frozen=True)
class Extract:
    """One reading of a table, from the wish to its manifest.

    ``generation`` counts the views of the database from which it was read, from 1: chunks of an earlier one count only
    where they are ranges of the cursor. ``snapshot`` is the database's name of the view. The window is of the cursor,
    ``after`` excluded and ``until`` included, as text; both are empty for a whole table. The view was taken after
    ``seen_from`` and before ``seen_at``. ``attempt`` counts the tries of which something failed, ``returned`` those
    that were stopped or hindered.
    """

    source: str
    target: str
    id: str
    state: RunState = RunState.WAITING
    day: date | None = None
    generation: int = 0
    snapshot: str = ""
    seen_from: datetime | None = None
    seen_at: datetime | None = None
    after: str = ""
    until: str = ""
    bounds: tuple[str, ...] = ()
    run_id: str = ""
    attempt: int = 0
    returned: int = 0
    not_before: datetime | None = None
    requested_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    rows: int = 0
    files: int = 0
    bytes: int = 0
    manifest_key: str = ""
    stopping: bool = False
    error: str = ""
    revision: int = 0
    changed_at: datetime | None = None

    @property
    def owner(self) -> str:
        return owner_of(self.source, self.target)

    @property
    def name(self) -> str:
        return f"{self.source}/{self.target}"

    @property
    def run_key(self) -> str:
        """The same however often a run is asked for, and another for each try."""
        return f"{self.name} {self.id} {self.attempt}.{self.returned}"

    @property
    def sort_key(self) -> str:
        return extract_key(self.id)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def index_name(self, feed: str) -> str:
        return "" if self.ended else active_extracts(self.source)


@dataclass(frozen=True)
class Chunk:
    """One piece of a reading that lies in the raw zone. Where it is a file as it came, ``of`` names that, and
    how many ``rows`` it has is not known."""

    extract: str
    generation: int
    number: int
    key: str
    version: str
    bytes: int
    written_at: datetime
    rows: int | None = None
    of: str = ""
    etag: str = ""

    @property
    def sort_key(self) -> str:
        return f"{chunks_of(self.extract)}{self.generation:04}#{self.number:06}"


@dataclass(frozen=True)
class LastExtract:
    """Which reading of a target has succeeded last."""

    id: str

    @property
    def sort_key(self) -> str:
        return _LAST


_LAST = "last-extract"


def extract_key(id: str) -> str:
    return f"extract#{id}"


def active_extracts(source: str) -> str:
    """Under which name the index lists the readings of a source that have not ended."""
    return f"extracts#{source}"


def chunks_of(id: str) -> str:
    return f"chunk#{id}#"


@dataclass(frozen=True)
class Extracts:
    """The readings of all sources."""

    table: Table

    def get(self, source: str, target: str, id: str) -> Extract | None:
        return self.table.get(Extract, owner_of(source, target), extract_key(id))

    def last(self, source: str, target: str) -> Extract | None:
        """The one that has succeeded last."""
        last = self.table.get(LastExtract, owner_of(source, target), _LAST)
        if last is not None:
            return self.get(source, target, last.id)
        return next((each for each in self.known(source, target) if each.state is RunState.SUCCEEDED), None)

    def known(self, source: str, target: str) -> list[Extract]:
        """All of a table, the one that was wanted last first."""
        found = list(self.table.query(Extract, owner_of(source, target), "extract#"))
        return sorted(found, key=lambda e: (e.requested_at or self.table.now(), e.id), reverse=True)

    def active(self, source: str) -> list[Extract]:
        """Those that have not ended. The index is eventually consistent: a later look sees what one misses."""
        return [from_item(Extract, item) for item in self.table.active(active_extracts(source))]

    def chunks(self, extract: Extract) -> list[Chunk]:
        """What is kept of a reading, of every generation, in order."""
        return list(self.table.query(Chunk, extract.owner, chunks_of(extract.id)))

    def want(self, source: str, target: str, id: str) -> Extract | None:
        """Want a reading; None when it is known."""
        row = Extract(source, target, id, requested_at=self.table.now(), revision=1, changed_at=self.table.now())
        return row if self.table.transact([self.table.put_write(row.owner, row, NEW)]) else None

    def note(self, row: Extract) -> Extract:
        """Note a reading that no worker of ours did, and that has ended; the row as it was noted first."""
        noted = replace(row, revision=1, changed_at=self.table.now())
        last = self.last(row.source, row.target) if row.state is RunState.SUCCEEDED else None
        writes = [self.table.put_write(row.owner, noted, NEW)]
        if row.state is RunState.SUCCEEDED and _wanted_at(row) >= (_wanted_at(last) if last else ""):
            writes.append(self.table.put_write(row.owner, LastExtract(row.id)))
        if self.table.transact(writes):
            return noted
        return self.get(row.source, row.target, row.id) or noted

    def claim(self, seen: Extract, run_id: str) -> Extract | None:
        """A run reads it from now on.

        Raises:
            IllegalStep: it has ended, or another run has it.
        """
        _require(not seen.ended and seen.run_id in ("", run_id), seen, "claimed")
        started = seen.started_at or self.table.now()
        return self._move(seen, replace(seen, state=RunState.RUNNING, run_id=run_id, started_at=started))

    def view(
        self,
        seen: Extract,
        *,
        snapshot: str,
        day: date,
        after: str,
        until: str,
        bounds: tuple[str, ...],
        seen_from: datetime,
    ) -> Extract | None:
        """It is read from a view of the database, with which a generation begins; it was taken after ``seen_from``.

        Raises:
            IllegalStep: no run has it.
        """
        _require(seen.state is RunState.RUNNING, seen, "given a view")
        viewed = replace(seen, generation=seen.generation + 1, snapshot=snapshot, day=seen.day or day)
        viewed = replace(viewed, seen_from=seen_from, seen_at=self.table.now())
        return self._move(seen, replace(viewed, after=after, until=until, bounds=bounds))

    def keep(self, extract: Extract, *chunks: Chunk) -> None:
        """These chunks lie in the raw zone. Repeating it changes nothing."""
        self.table.put(extract.owner, chunks)

    def succeed(self, seen: Extract, *, rows: int, files: int, size: int, manifest_key: str) -> Extract | None:
        """All of it is in the raw zone, as its manifest says.

        Raises:
            IllegalStep: no run has it.
        """
        _require(seen.state is RunState.RUNNING, seen, "finished")
        done = replace(seen, state=RunState.SUCCEEDED, rows=rows, files=files, bytes=size, manifest_key=manifest_key)
        done = replace(done, ended_at=self.table.now(), error="", not_before=None)
        return self._move(seen, done, self.table.put_write(seen.owner, LastExtract(seen.id)))

    def fail(self, seen: Extract, why: str) -> Extract | None:
        """Nothing more is done about it.

        Raises:
            IllegalStep: it has ended.
        """
        _require(not seen.ended, seen, "failed")
        state = RunState.CANCELLED if seen.stopping else RunState.FAILED
        return self._move(seen, replace(seen, state=state, ended_at=self.table.now(), error=why, not_before=None))

    def give_back(self, seen: Extract, why: str, until: datetime | None, *, failed: bool) -> Extract | None:
        """Another run may go on with it; ``failed`` when something of this one did.

        Raises:
            IllegalStep: it has ended.
        """
        _require(not seen.ended, seen, "given back")
        counted = replace(seen, attempt=seen.attempt + failed, returned=seen.returned + (not failed))
        return self._move(seen, replace(counted, state=RunState.WAITING, run_id="", error=why, not_before=until))

    def stop(self, seen: Extract) -> Extract | None:
        """Somebody wants it to end; at once where no run has it.

        Raises:
            IllegalStep: it has ended.
        """
        _require(not seen.ended, seen, "stopped")
        stopped = replace(seen, stopping=True)
        if seen.state is RunState.WAITING:
            stopped = replace(stopped, state=RunState.CANCELLED, ended_at=self.table.now())
        return self._move(seen, stopped)

    def _move(self, seen: Extract, new: Extract, *more: Write) -> Extract | None:
        row = replace(new, revision=seen.revision + 1, changed_at=self.table.now())
        write = self.table.put_write(seen.owner, row, "revision = :r", {":r": seen.revision})
        return row if self.table.transact([write, *more]) else None


def _wanted_at(row: Extract) -> str:
    return row.requested_at.isoformat() if row.requested_at else ""


def _require(allowed: bool, seen: Extract, done: str) -> None:
    if not allowed:
        raise IllegalStep(f"{seen.owner} {seen.sort_key} is {seen.state} and cannot be {done}")
