"""Tries of a merge: what those before have shown, and whether there is anything left to do.

Each try keeps a state of its own before it shows anything, and shows versions that have its own number and name that
state. The rows are shown after the other tables, so a try whose rows are shown is the merge, whatever became of its
run: the next one takes deleted rows from readers that there are again, and notes it. What other tries have shown, which
may be of other content, is replaced.

A try shows rows only while it has the merge, which it looks up under the lease of the table. So once another one has
taken the merge and looked under that lease, too, no rows of a try before can appear any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from adplatform.changes import state
from adplatform.changes.made import MadeTable
from adplatform.changes.state import State
from adplatform.failures import ClaimLost
from adplatform.flow.services import Services
from adplatform.lake import formats
from adplatform.lake.entry import placement_of, settled
from adplatform.ledger.folds import Fold
from adplatform.platform.aws_errors import aws_failures


@dataclass(frozen=True)
class Try:
    """One that came so far that it may have shown something. ``key`` is where its state is."""

    key: str
    state: State


def state_key(services: Services, followed: MadeTable, row: Fold) -> str:
    """Where the state of the try is that has claimed ``row``."""
    return f"{services.zones.merge(followed.name, row.next)}{row.revision:04}.json"


def tries_before(services: Services, followed: MadeTable, row: Fold) -> tuple[Try, ...]:
    """Those of the merge that ``row`` plans."""
    s3, bucket = services.s3, services.zones.raw_bucket
    prefix = services.zones.merge(followed.name, row.next)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    return tuple(Try(key, state.read(s3.get_object(Bucket=bucket, Key=key)["Body"].read())) for key in keys)


def shown_before(
    services: Services, followed: MadeTable, row: Fold, since: date, tries: Sequence[Try], run_id: str
) -> Try | None:
    """The one of ``tries`` whose rows readers see. Whatever of any is shown is noted as placed.

    Raises:
        TransientFailure: one of them is about to show something.
    """
    if not tries:
        return None
    today = row.next_plan.day.isoformat()
    days = sorted({today, *(day for each in tries for day in each.state.replaced)})
    for table in followed.tables:
        for day in (date.fromisoformat(each) for each in days) if table == followed.history else (since,):
            _note(services, followed, row, table, day, tries, run_id)
    placed = services.ledger.placements.get(followed.name, since)
    return next((each for each in tries if placed is not None and placed.manifest == each.key), None)


def require_claim(services: Services, row: Fold) -> None:
    """
    Raises:
        ClaimLost: another try has the merge.
    """
    if services.ledger.folds.get(row.source, row.target).revision != row.revision:
        raise ClaimLost(f"{row.name}: another run has taken merge {row.next}")


def _note(
    services: Services, followed: MadeTable, row: Fold, table: str, day: date, tries: Sequence[Try], run_id: str
) -> None:
    """A try may have died, or not be heard of, between the catalog and the ledger."""
    lake, placements = services.lake, services.ledger.placements
    spec = followed.spec(table, (), "", services.settings.database_prefix)
    # Before each try had its own, all named the merge alone.
    own = {services.zones.merge(followed.name, row.next).removesuffix("-"), *(each.key for each in tries)}
    with aws_failures(f"table {spec.qualified}"), lake.alone(table, run_id):
        if formats.table(lake, spec) is None:
            return
        entry = formats.table(lake, spec) if spec.partition is None else formats.partition(lake, spec, day.isoformat())
        seen = settled(table, entry) if entry is not None else None
        if entry is not None and seen is not None and seen.manifest in own:
            placed = placements.get(table, seen.day)
            if placed is None or placed.version < seen.version:
                placements.put(table, placement_of(seen, entry, services.ledger.now()))
