"""What materializations show of files."""

from datetime import date

from adplatform.components.assembly.metadata import SHOWN_FILES, outcome_table
from adplatform.ledger.publications import FileOutcome, Outcome


def outcomes(count: int) -> list[FileOutcome]:
    return [FileOutcome(date(2026, 1, 1), 1, f"{n}.csv", Outcome.LOADED, bytes=10, rows_in=n) for n in range(count)]


def test_every_file_is_shown_of_some() -> None:
    table = outcome_table(outcomes(2))
    assert [(record.data["file"], record.data["rows_in"]) for record in table.records] == [("0.csv", 0), ("1.csv", 1)]


def test_of_many_files_the_bad_ones_come_first_and_the_rest_together() -> None:
    refused = FileOutcome(date(2026, 1, 1), 1, "bad.csv", Outcome.REFUSED, "checksum", 7)
    first, *_, last = outcome_table([*outcomes(SHOWN_FILES + 1), refused]).records
    assert (first.data["file"], first.data["reason"]) == ("bad.csv", "checksum")
    assert (last.data["file"], last.data["bytes"], last.data["rows_in"]) == ("and 2 more", 20, 2 * SHOWN_FILES - 1)
