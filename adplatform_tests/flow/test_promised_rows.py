"""What a manifest says of the rows of a file is held against those that were read of it."""

from datetime import date

import pytest

from adplatform.flow.clean import _promised_rows
from adplatform.ledger.publications import FileOutcome, Outcome

ORIGIN = "s3://raw/orders.csv"


@pytest.mark.parametrize(
    ("outcome", "promised", "met"),
    [(Outcome.LOADED, 3, True), (Outcome.LOADED, 5, False), (Outcome.LOADED, 2, False), (Outcome.EMPTY, 3, True)],
)
def test_a_manifest_counts_no_row_that_the_feed_leaves_out(outcome: Outcome, promised: int, met: bool) -> None:
    read = FileOutcome(date(2026, 3, 14), 1, ORIGIN, outcome, rows_in=5, clean=3, left_out=2)
    [finding] = _promised_rows({ORIGIN: promised}, [read], 0)
    assert (finding.name, finding.passed) == ("manifest_rows", met)
