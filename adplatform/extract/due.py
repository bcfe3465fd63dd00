"""Which readings need a run."""

from collections.abc import Collection

from adplatform.flow.settling import Runs
from adplatform.flow.tried import free
from adplatform.ledger.extracts import Extract
from adplatform.ledger.ledger import Ledger


def extracts_due(ledger: Ledger, source: str, targets: Collection[str], runs: Runs) -> list[Extract]:
    """Readings that nobody works on, the one that was wanted first first. One of what is not declared any more has
    failed."""
    now, found = ledger.now(), []
    for row in sorted(ledger.extracts.active(source), key=lambda e: e.requested_at or now):
        if row.target not in targets:
            ledger.extracts.fail(row, "it is not declared any more")
            continue
        if row.stopping and not (row.run_id and runs.alive(row.run_id)):
            ledger.extracts.fail(row, "somebody stopped it")
            continue
        freed = free(ledger.extracts, row, runs, now)
        if freed is not None:
            found.append(freed)
    return found
