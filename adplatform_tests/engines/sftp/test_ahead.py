"""Servers whose clock is ahead of ours."""

from datetime import UTC, datetime, timedelta

from adplatform.contracts.sftp import SftpSource
from adplatform.engines.sftp.ahead import ahead_of, date_to_come
from adplatform.sftp.choice import Known

NOW = datetime(2026, 3, 2, 20, tzinfo=UTC)


def known(feed: str, **ahead: float) -> Known:
    return Known(1, NOW + timedelta(**ahead), NOW, feed=feed)


def test_files_that_were_changed_in_the_future_are_those_of_feeds_without_dates_in_their_names() -> None:
    told = {"kind": "client", "secret": "acme/sftp"}
    feeds = [
        {"name": name, "start_date": "2026-01-01", "columns": {"id": "bigint"}, "remote": remote}
        for name, remote in (("plain", "/out/{file}"), ("dated", "/in/{date}.csv"))
    ]
    declared = SftpSource.model_validate({"source": "acme", "from": told, "simulated": True, "feeds": feeds})
    files = {
        "/out/past": known("plain", hours=-1),
        "/out/near": known("plain", minutes=5),
        "/out/far": known("plain", hours=9),
        "/in/2026-03-02.csv": known("dated", hours=9),
        "/out/no time": Known(1, None, NOW, feed="plain"),
    }
    assert ahead_of(declared, files, NOW) == {"/out/far": timedelta(hours=9)}


def test_the_date_that_a_file_waits_for_is_said_until_it_begins() -> None:
    assert date_to_come(known("plain", hours=3), NOW) == ""
    assert date_to_come(known("plain", hours=9), NOW).startswith("it was changed on 2026-03-03, which has not begun")
