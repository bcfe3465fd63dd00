"""What materializations show of files."""

from dataclasses import replace
from datetime import date

from adplatform.components.assembly.metadata import SHOWN_FILES, outcome_table, received_table
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


def test_of_received_files_people_see_the_verdict_and_the_signer_and_no_counts_of_rows_that_nobody_has_read() -> None:
    refused = FileOutcome(date(2026, 1, 1), 1, "bad.csv", Outcome.REFUSED, "unknown_signer: it is by somebody", 7)
    signed, plain = replace(outcomes(1)[0], signer="0A1B2C3D"), outcomes(1)[0]
    assert [dict(record.data) for record in received_table([signed, replace(refused, file_id="file:bad")]).records] == [
        {"file": "file:0", "verdict": "accepted", "bytes": 10, "signed by": "0A1B2C3D", "reason": ""},
        {
            "file": "file:bad",
            "verdict": "refused",
            "bytes": 7,
            "signed by": "",
            "reason": "unknown_signer: it is by somebody",
        },
    ]
    *_, rest = received_table([*[signed] * SHOWN_FILES, signed, plain]).records
    assert dict(rest.data) == {
        "file": "and 2 more",
        "verdict": "accepted",
        "bytes": 20,
        "signed by": "0A1B2C3D",
        "reason": "",
    }
