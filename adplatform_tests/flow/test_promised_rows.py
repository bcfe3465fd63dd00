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


@pytest.mark.parametrize(
    ("promised", "lines", "met"),
    [(2, 2, True), (3, 2, True), (4, 2, False), (0, 2, False), (2, 0, False)],
    ids=["one-record", "a-record-each", "more-than-lines", "fewer-than-may-be-none", "fewer-than-rows"],
)
def test_a_manifest_counts_records_that_cannot_be_split_as_one_row_or_as_their_lines(
    promised: int, lines: int, met: bool
) -> None:
    """Of three rows so many are lines of records that cannot be split."""
    read = FileOutcome(date(2026, 3, 14), 1, ORIGIN, Outcome.LOADED, rows_in=3, clean=3)
    [finding] = _promised_rows({ORIGIN: promised}, [read], lines)
    assert finding.passed is met
