"""What materializations show of files."""

from datetime import date

from adplatform.components.assembly.metadata import SHOWN_FILES, outcome_table
from adplatform.ledger.publications import FileOutcome, Outcome


def outcomes(count: int) -> list[FileOutcome]:
    common = {"day": date(2026, 1, 1), "version": 1, "outcome": Outcome.LOADED, "bytes": 10}
    return [FileOutcome(**common, origin=f"{n}.csv", rows_in=n, file_id=f"file:{n}") for n in range(count)]


def test_every_file_is_shown_of_some() -> None:
    table = outcome_table(outcomes(2))
    assert [(record.data["file"], record.data["rows_in"]) for record in table.records] == [("file:0", 0), ("file:1", 1)]


def test_of_many_files_the_bad_ones_come_first_and_the_rest_together() -> None:
    refused = FileOutcome(date(2026, 1, 1), 1, "bad.csv", Outcome.REFUSED, "checksum", 7, file_id="file:bad")
    first, *_, last = outcome_table([*outcomes(SHOWN_FILES + 1), refused]).records
    assert (first.data["file"], first.data["reason"]) == ("file:bad", "checksum")
    assert (last.data["file"], last.data["bytes"], last.data["rows_in"]) == ("and 2 more", 20, 2 * SHOWN_FILES - 1)
