"""A table from a database into the raw zone: chunk by chunk, each kept as soon as it is there, its manifest last.

All chunks are of one view of the database. A chunk that fails is read again while the view lives; without it the
reading begins anew, as another generation, unless its chunks are ranges of a cursor: what lies below ``until`` is the
same in every view, so those that are kept stay.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adplatform.extract.connection import database_failures
from adplatform.extract.reading import (
    Pace,
    Piece,
    Reading,
    View,
    Window,
    next_window,
    pieces_between,
    read_cursor,
    write_cursor,
)
from adplatform.extract.table import Table, opened, view_of
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.services import Services
from adplatform.lake.zones import Zones
from adplatform.ledger.extracts import Chunk, Extract
from adplatform.platform.at_once import Pool
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.late import Late

if TYPE_CHECKING:
    from isal import igzip
else:
    igzip = Late("isal.igzip")

MOST_TRIES = 3
"""How often a chunk is read before its reading rests."""
COMPRESSION = 1
_BUFFER = 1 << 20


class Stopped(PermanentFailure):
    """Somebody wants the reading to end."""


def extract(
    services: Services,
    table: Table,
    row: Extract,
    last: Extract | None,
    folder: Path,
    *,
    view: Callable[[Any, int], AbstractContextManager[View]] = view_of,
    pace: Pace | None = None,
) -> Extract:
    """Read what ``row``, which a run has claimed, wants of the table. ``last`` is the reading of the same table that
    succeeded last, ``folder`` an empty one for the chunks that are being read.

    Raises:
        PermanentFailure: the table cannot be read as declared, or somebody wants the reading to end.
        TransientFailure: the database or AWS does not answer for now; what is kept stays.
    """
    declared = table.declared
    pace = pace or Pace(declared.rows_per_second)
    with aws_failures(table.name):
        before = services.now()
        with (
            opened(services.secrets, declared) as engine,
            database_failures(table.name),
            view(engine, declared.workers) as seen,
        ):
            row, pieces, reading = _begun(services, table, row, last, seen, before)
            kept = {chunk.number for chunk in _kept(services, row)}
            guard = _guard(services, row, services.now() + declared.snapshot_max_age)
            work = _Work(services, row, reading, seen, folder, replace(pace, go_on=guard))
            missing = [piece for piece in pieces if piece.number not in kept]
            _read_all(work, missing, min(declared.workers, seen.workers))
        view_facts = {"generation": row.generation, "snapshot": row.snapshot, "after": row.after, "until": row.until}
        return finished(services, row, _kept(services, row), **view_facts)


def _begun(
    services: Services, table: Table, row: Extract, last: Extract | None, seen: View, before: datetime
) -> tuple[Extract, Sequence[Piece], Reading]:
    """What is to be read, and the row that says so. A window that was chosen before stays. The view was taken after
    ``before``."""
    incremental, column, whole = table.feed.incremental, table.cursor, table.reading()
    if column is None or incremental is None:
        _discard(services, row)
        return _viewed(services, row, seen, before, None, ()), seen.divide(whole), whole
    after, until = read_cursor(row.after), read_cursor(row.until)
    if until is not None:
        pieces = pieces_between(column, after, [read_cursor(each) for each in row.bounds], until, absent=False)
        window = Window(column, after, until)
        return _viewed(services, row, seen, before, window, row.bounds), pieces, table.reading(window)
    stopped = read_cursor(last.until) if last else None
    wanted = next_window(seen, whole, column, stopped, incremental.lag, incremental.lag_count)
    if wanted is None or wanted.after == wanted.until:
        return _viewed(services, row, seen, before, wanted, ()), (), whole
    window, reading = wanted, table.reading(wanted)
    found = seen.divide(reading)
    bounds = tuple(write_cursor(piece.until) for piece in found[:-1])
    return _viewed(services, row, seen, before, window, bounds), found, reading


def _viewed(
    services: Services, row: Extract, seen: View, before: datetime, window: Window | None, bounds: tuple[str, ...]
) -> Extract:
    viewed = services.ledger.extracts.view(
        row,
        snapshot=seen.name,
        day=services.now().date(),
        after=write_cursor(window.after) if window else "",
        until=write_cursor(window.until) if window else "",
        bounds=bounds,
        seen_from=before,
    )
    if viewed is None:
        raise Stopped(f"{row.name}: somebody else has the reading")
    return viewed


def _kept(services: Services, row: Extract) -> list[Chunk]:
    """The chunks that count: of any view where they are ranges of the cursor, else of this one."""
    chunks = services.ledger.extracts.chunks(row)
    return [chunk for chunk in chunks if row.until or chunk.generation == row.generation]


def unless_stopped(services: Services, row: Extract) -> Callable[[], None]:
    """A call that raises ``Stopped`` once somebody wants the reading to end, or another run has it. It may be made as
    often as one likes; the ledger is asked every few seconds."""
    asked = services.now()

    def go_on() -> None:
        nonlocal asked
        now = services.now()
        if now - asked > timedelta(seconds=5):
            asked = now
            latest = services.ledger.extracts.get(row.source, row.target, row.id)
            if latest is None or latest.stopping or latest.run_id != row.run_id:
                raise Stopped(f"{row.name}: somebody stopped it")

    return go_on


def _guard(services: Services, row: Extract, until: datetime) -> Callable[[], None]:
    """What ends a reading between rows: somebody's wish, or the age of its view."""
    unless = unless_stopped(services, row)

    def go_on() -> None:
        if services.now() > until:
            raise PermanentFailure(
                f"{row.name}: its view of the database is older than snapshot_max_age; read less at once (`where`, "
                "`incremental`), from a replica with more workers, or allow more"
            )
        unless()

    return go_on


@dataclass(frozen=True)
class _Work:
    """What reading a chunk needs."""

    services: Services
    row: Extract
    reading: Reading
    view: View
    folder: Path
    pace: Pace

    def key(self, number: int) -> str:
        row = self.row
        folder = f"{row.id}-{row.generation}" if not row.until else row.id
        return f"{Zones.landing(row.source)}{row.target}/dt={row.day}/{folder}/part-{number:05}.csv.gz"

    def chunk(self, piece: Piece) -> None:
        """Read one piece, put it into the raw zone, and remember it."""
        path = self.folder / f"{piece.number}.csv.gz"
        with (
            database_failures(f"{self.row.name}, chunk {piece.number}"),
            path.open("wb") as raw,
            igzip.IGzipFile(fileobj=raw, mode="wb", compresslevel=COMPRESSION, mtime=0) as out,
        ):
            buffered = Buffered(out)
            rows = self.view.read(self.reading, piece, buffered, self.pace)
            buffered.flush()
        key, services = self.key(piece.number), self.services
        with aws_failures(key), path.open("rb") as body:
            answer = services.s3.put_object(
                Bucket=services.zones.raw_bucket, Key=key, Body=body, **services.zones.put_arguments
            )
            size = path.stat().st_size
            version = answer.get("VersionId", "")
            row, now = self.row, services.now()
            chunk = Chunk(row.id, row.generation, piece.number, key, version, size, now, rows)
            services.ledger.extracts.keep(row, chunk)
        path.unlink()


class Buffered:
    """Hands rows on in large pieces: each call of the compressor costs as much as a hundred rows."""

    def __init__(self, out: Any) -> None:
        self.out, self.held = out, bytearray()

    def write(self, data: bytes, /) -> None:
        self.held += data
        if len(self.held) >= _BUFFER:
            self.flush()

    def flush(self) -> None:
        self.out.write(self.held)
        self.held = bytearray()


def _read_all(work: _Work, pieces: Sequence[Piece], workers: int) -> None:
    """Every piece, several at once; one that fails is read again while the view lives."""
    tries: dict[int, int] = {}
    with Pool(max(workers, 1), thread_name_prefix="chunk") as pool:
        going: dict[Future[None], Piece] = {}
        waiting = list(reversed(pieces))
        failure: TransientFailure | PermanentFailure | None = None
        while going or (waiting and failure is None):
            while waiting and failure is None and len(going) < max(workers, 1):
                piece = waiting.pop()
                going[pool.submit(work.chunk, piece)] = piece
            done, _ = wait(going, return_when=FIRST_COMPLETED)
            for each in done:
                piece = going.pop(each)
                error = each.exception()
                if isinstance(error, TransientFailure):
                    tries[piece.number] = tries.get(piece.number, 0) + 1
                    if tries[piece.number] < MOST_TRIES:
                        waiting.append(piece)
                        continue
                if isinstance(error, (TransientFailure, PermanentFailure)):
                    failure = failure or error
                elif error is not None:
                    raise error
        if failure is not None:
            raise failure


def _discard(services: Services, row: Extract) -> None:
    """What an earlier generation left in the raw zone is of a view that is gone, and counts for nothing."""
    if not row.generation or row.day is None:
        return
    bucket = services.zones.raw_bucket
    prefix = f"{Zones.landing(row.source)}{row.target}/dt={row.day}/{row.id}-"
    services.store.delete(bucket, [each.key for each in services.store.listing(bucket, prefix)])


def finished(services: Services, row: Extract, chunks: Sequence[Chunk], **facts: Any) -> Extract:
    """The manifest of a whole reading, with these ``facts``, then its row.

    Raises:
        Stopped: somebody else has the reading.
    """
    key = f"{services.zones.extract_manifests(row.source, row.target)}{row.id}.json"
    body = {"extract": row.id, **facts, "files": [_file(chunk) for chunk in chunks]}
    services.s3.put_object(
        Bucket=services.zones.raw_bucket,
        Key=key,
        Body=json.dumps(body, indent=1).encode(),
        **services.zones.put_arguments,
    )
    totals = {"rows": sum(c.rows or 0 for c in chunks), "files": len(chunks), "size": sum(c.bytes for c in chunks)}
    done = services.ledger.extracts.succeed(row, manifest_key=key, **totals)
    if done is None:
        latest = services.ledger.extracts.get(row.source, row.target, row.id)
        stopped = latest is not None and latest.stopping
        raise Stopped(f"{row.name}: somebody {'stopped it' if stopped else 'else has the reading'}")
    return done


def _file(chunk: Chunk) -> dict[str, Any]:
    return {"key": chunk.key, "version": chunk.version, "bytes": chunk.bytes, "rows": chunk.rows}
