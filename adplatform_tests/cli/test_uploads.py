"""What `adplatform uploads` shows."""

from datetime import UTC, datetime, timedelta

from adplatform.cli.uploads import upload_table
from adplatform.ledger.uploads import Finding, Upload

NINE = datetime(2026, 3, 14, 9, tzinfo=UTC)


def upload(minutes: int, finding: Finding) -> Upload:
    at = NINE + timedelta(minutes=minutes)
    return Upload(str(minutes), "w-1", "raw", f"landing/acme/{minutes}.csv", "etag", "acme", finding, at)


def files(*uploads: Upload, last: int = 20, bad: bool = False) -> list[str]:
    return [str(cell) for cell in upload_table(uploads, last, bad).columns[2].cells]


def test_the_newest_are_shown_in_their_order() -> None:
    found = [upload(minutes, Finding.CHECKED) for minutes in (3, 1, 2)]
    assert files(*found, last=2) == ["landing/acme/2.csv", "landing/acme/3.csv"]


def test_only_the_bad_ones_are_shown_where_they_are_asked_for() -> None:
    found = [upload(number, finding) for number, finding in enumerate(Finding)]
    bad = {Finding.REFUSED, Finding.PARTIAL, Finding.FAILED}
    assert files(*found, bad=True) == [f"landing/acme/{n}.csv" for n, finding in enumerate(Finding) if finding in bad]
