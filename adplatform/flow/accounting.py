"""What a file of a delivery came to, in rows."""

from collections.abc import Iterable
from dataclasses import replace

from adplatform.ledger.publications import FileOutcome, Outcome
from adplatform.transform.values import FileCount


def accounted(outcome: FileOutcome, counts: Iterable[FileCount], skipped: int) -> FileOutcome:
    """The outcome with the ``counts`` of the file, or of all members of an archive, of which so many were ``skipped``;
    no rows is EMPTY."""
    counts, outcome = tuple(counts), replace(outcome, skipped=skipped)
    rows, left_out = sum(c.rows_in for c in counts), sum(c.left_out for c in counts)
    if outcome.outcome is Outcome.LOADED and rows == left_out:
        return replace(outcome, outcome=Outcome.EMPTY, reason="no rows", rows_in=rows, left_out=left_out)
    return replace(
        outcome,
        rows_in=rows,
        left_out=left_out,
        clean=sum(c.clean for c in counts),
        superseded=sum(c.superseded for c in counts),
        quarantined=sum(c.quarantined for c in counts),
    )
