"""What may be declared of files on an SFTP server."""

from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.sftp import SftpSource

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBNbIXTcKGDwsFIGCGc7ZbBgzqDuBgbTj0RmGtKYvW2p"
HOST = {"kind": "client", "host": "sftp.example.com", "secret": "acme/sftp", "host_keys": [KEY]}
FEED = {
    "name": "orders",
    "start_date": "2026-01-01",
    "remote": "/out/orders/{date:%Y%m%d}/*.csv",
    "columns": {"id": "bigint"},
}


def declared(feed: dict[str, Any] | None = None, **settings: Any) -> SftpSource:
    wanted = {"source": "acme", "from": HOST, **settings, "feeds": [{**FEED, **(feed or {})}]}
    return SftpSource.model_validate(wanted)


def test_the_folder_that_is_listed_is_the_fixed_beginning_of_the_path() -> None:
    found = [
        (feed.folder, feed.depth)
        for remote in ("/out/orders/{date:%Y%m%d}/*.csv", "/orders_*.csv", "/out/{date}.csv", "/a/b_*/c/{file}")
        for feed in declared({"remote": remote}).feeds
    ]
    assert found == [("/out/orders", 1), ("/", 0), ("/out", 0), ("/a", 2)]


def test_a_comment_behind_a_host_key_is_left_out() -> None:
    assert declared(**{"from": {**HOST, "host_keys": [f"{KEY} root@host"]}}).from_.host_keys == (KEY,)


@pytest.mark.parametrize(
    ("feed", "settings", "said"),
    [
        ({"remote": "out/*.csv"}, {}, "pattern"),
        ({"remote": "/out/../*.csv"}, {}, "no parent folder"),
        ({"landing": "x/{file}"}, {}, "landing is where fetched files are put"),
        ({"arrival": {"complete_when": "quiet"}}, {}, "complete_when is engine"),
        ({"schedule": "0 6 * * *"}, {}, "use every"),
        ({"ready": {"marker": "a/b"}}, {}, "pattern"),
        ({}, {"from": {**HOST, "host_keys": []}}, "needs host and host_keys"),
        ({}, {"from": {**HOST, "host_keys": ["AAAA"]}}, "pattern"),
        ({}, {"from": {**HOST, "kind": "ftp"}}, "'client'"),
        ({}, {"afterwards": {"delete": True, "move_to": "archive"}}, "not both"),
    ],
)
def test_what_cannot_be_fetched_is_refused(feed: dict[str, Any], settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        declared(feed, **settings)
