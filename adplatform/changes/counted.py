"""Changes that a replication has counted, against the rows that were read from its files.

Files are missing where fewer rows were read; more are none: a task that is resumed may write changes again. What a
replication counts may begin anew at any time, so that only what is added between two looks counts.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from adplatform.changes.followed import Followed
from adplatform.changes.generations import is_load
from adplatform.flow.services import Services
from adplatform.flow.version import origin_of, read_settlement
from adplatform.ledger.tallies import Tally

COME_WITHIN = timedelta(hours=1)
"""How long rows may take after DMS has counted them, before they are missing."""
_CLOCKS = timedelta(minutes=1)
"""By how much a time of DMS and one of S3 may differ."""
_KEPT_OPEN = timedelta(days=7)
"""For how long files of a date may still come."""


@dataclass(frozen=True)
class Counts:
    """What DMS says of a table: when its replication and its load began, how many rows of it were changed, and how many
    statements were about the table itself (``Ddls``)."""

    begun: datetime
    load_begun: datetime | None
    changes: int
    statements: int


def counted(before: Tally | None, said: Counts, now: datetime) -> Tally:
    """What is known after a look. Files that a new load replaces are missed no more."""
    if before is None:
        # All files of a replication that has just begun are here; of an older one somebody may have taken some.
        young = now - said.begun < COME_WITHIN
        since = said.begun - _CLOCKS if young else now - COME_WITHIN
        first = Tally(said.changes, said.statements, since, since.date(), said.load_begun, altered=said.statements)
        return _due(replace(first, counted=said.changes if young else 0), now)
    statements = said.statements - before.statements if said.statements >= before.statements else said.statements
    if said.load_begun != before.load_begun:
        since = (said.load_begun or now) - _CLOCKS
        return Tally(said.changes, said.statements, since, since.date(), said.load_begun, altered=statements)
    after = replace(
        before,
        changes=said.changes,
        statements=said.statements,
        counted=before.counted + max(0, said.changes - before.changes),
        altered=before.altered + statements,
    )
    return _due(after, now)


def compared(services: Services, followed: Followed, tally: Tally) -> Tally:
    """The tally after what is due was compared with what was read, where its time has come."""
    now = services.ledger.now()
    if tally.due_at is None or now - tally.due_at < COME_WITHIN:
        return tally
    open_from = max(tally.first_day, (now - _KEPT_OPEN).date())
    closed = opened = 0
    for placed in services.ledger.placements.of_feed(followed.changes.name):
        if placed.day >= tally.first_day:
            rows = _rows_read(services, followed, tally.files_from, placed.day, placed.version)
            opened, closed = (opened + rows, closed) if placed.day >= open_from else (opened, closed + rows)
    missing = max(0, tally.due - tally.read - closed - opened)
    done = replace(tally, missing=missing, read=tally.read + closed, first_day=open_from, due_at=None)
    return replace(done, due_at=now) if missing else _due(done, now)


def _due(tally: Tally, now: datetime) -> Tally:
    if tally.due_at is None and tally.counted > tally.due:
        return replace(tally, due=tally.counted, due_at=now)
    return tally


def _rows_read(services: Services, followed: Followed, since: datetime, day: date, version: int) -> int:
    ledger, name = services.ledger, followed.changes.name
    publication = ledger.publications.get(name, day, version)
    if publication is None:
        return 0
    entries = read_settlement(services.s3, services.zones, publication.manifest_key)["objects"]
    own = {
        origin_of(entry)
        for entry in entries
        if not is_load(entry["key"]) and datetime.fromisoformat(entry["last_modified"]) >= since
    }
    outcomes = ledger.publications.file_outcomes(name, day, version) if own else ()
    return sum(each.rows_in for each in outcomes if each.origin in own)
