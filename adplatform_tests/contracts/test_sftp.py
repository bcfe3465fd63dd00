"""What may be declared of files on an SFTP server."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.sftp import Afterwards, SftpSource
from adplatform.contracts.sftp_server import SftpServer
from adplatform.contracts.yaml_files import read_declarations

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
        ({"remote": "out/*.csv"}, {}, "remote begins with /: /out/"),
        ({"remote": "/out/"}, {}, "/out/.file. is all that are in this one"),
        ({"remote": "/out//a.csv"}, {}, "no path of a file"),
        ({"remote": "/out/./a.csv"}, {}, "no path of a file"),
        ({"remote": "/out/../*.csv"}, {}, "no parent folder"),
        ({"landing": "x/{file}"}, {}, "landing is where fetched files are put"),
        ({"arrival": {"complete_when": "quiet"}}, {}, "complete_when is engine"),
        ({"schedule": "0 6 * * *"}, {}, "use every"),
        ({"ready": {"marker": "a/b"}}, {}, "in the same folder"),
        ({"ready": {"marker": "{file}"}}, {}, "a name of its own"),
        ({"ready": {"marker": "{name}.done"}}, {}, "a name of its own"),
        ({}, {"from": {**HOST, "host_keys": []}}, "needs host and host_keys"),
        ({}, {"from": {**HOST, "host_keys": ["AAAA"]}}, "'AAAA' is no host key: write its type and base64"),
        ({}, {"from": {**HOST, "host_keys": [f"sftp.example.com {KEY}"]}}, "is no host key"),
        ({}, {"from": {**HOST, "host_keys": ["ssh-ed25519 AAAA"]}}, "is no host key"),
        ({}, {"from": {**HOST, "host_keys": KEY}}, "is a list"),
        ({}, {"from": {**HOST, "host": "sftp://acme@sftp.example.com/out"}}, "a name or address alone"),
        ({}, {"afterwards": {"move_to": "."}}, "names a folder in that of the file"),
        ({}, {"afterwards": {"move_to": "../done"}}, "names a folder in that of the file"),
        ({}, {"afterwards": {"move_to": "done/{file}"}}, "of {} only {date} or {date:%Y%m%d}"),
        ({}, {"afterwards": {"move_to": "done/{date"}}, "of {} only {date} or {date:%Y%m%d}"),
        ({}, {"afterwards": {"move_to": "done/{date:%H}"}}, "the date of move_to holds %H; it may hold %Y"),
        (
            {"remote": "/out/done/{date:%Y%m%d}/*.csv"},
            {"afterwards": {"move_to": "done/{date}"}},
            "where the files of orders are",
        ),
        ({"remote": "/out/done/*.csv"}, {"afterwards": {"move_to": "done"}}, "where the files of orders are"),
        ({"remote": "/out/*.csv"}, {"afterwards": {"move_to": "/out"}}, "where the files of orders are"),
        ({}, {"from": {**HOST, "kind": "ftp"}}, "'client'"),
        ({}, {"from": {**HOST, "kind": "connector"}}, "none that a connector takes: add the server's RSA or ECDSA key"),
        ({}, {"afterwards": {"delete": True, "move_to": "archive"}}, "not both"),
    ],
)
def test_what_cannot_be_fetched_is_refused(feed: dict[str, Any], settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        declared(feed, **settings)


@pytest.mark.parametrize(
    ("move_to", "away", "here"),
    [
        ("done", "/out/done/a.csv", "/out/undone/a.csv"),
        ("done/{date}", "/out/done/2026-03-02/a.csv", "/out/done/20260302/a.csv"),
        ("done-{date:%Y%m%d}/", "/out/done-20260302/a.csv", "/out/done-2026030/a.csv"),
        ("/done/{date:%Y/%m}", "/done/2026/03/a.csv", "/out/done/2026/03/a.csv"),
    ],
)
def test_what_was_moved_away_is_told_from_what_is_there(move_to: str, away: str, here: str) -> None:
    afterwards = Afterwards(move_to=move_to)
    assert (afterwards.has(away), afterwards.has(here)) == (True, False)


USERS = [{"name": "acme", "keys": [f"{KEY} acme@laptop"]}]
UPLOADED = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": "bigint"}}


def uploaded(feed: dict[str, Any] | None = None, server: dict[str, Any] | None = None, **settings: Any) -> SftpSource:
    wanted = {"kind": "server", "users": USERS, **(server or {})}
    return SftpSource.model_validate(
        {"source": "acme", "from": wanted, **settings, "feeds": [{**UPLOADED, **(feed or {})}]}
    )


def test_what_is_uploaded_to_a_server_of_ours_are_feeds_like_those_of_any_partner() -> None:
    declared = uploaded({"landing": "{feed}/{date:%Y%m%d}/{file}", "arrival": {"complete_when": "done_file"}})
    assert declared.fetched == []
    assert declared.feeds[0].arrival.complete_when == "done_file"
    server = declared.from_
    assert isinstance(server, SftpServer)
    assert server.users[0].keys == (KEY,)
    assert (server.server, server.exists, server.workflow) == ("adplatform", False, None)
    named = uploaded(server={"server": "s-0123456789abcdef0"}).from_
    assert isinstance(named, SftpServer)
    assert named.exists


@pytest.mark.parametrize(
    ("feed", "server", "settings", "said"),
    [
        ({"remote": "/out/*.csv"}, {}, {}, "feed orders: remote is for servers that files are fetched from"),
        ({"ready": {"stable_for": "1m"}}, {}, {}, "feed orders: ready is for servers that files are fetched from"),
        ({}, {}, {"every": "5m"}, "every is for servers that files are fetched from"),
        ({}, {}, {"offset": "5m"}, "offset is for servers"),
        ({}, {}, {"afterwards": {"delete": True}}, "afterwards is for servers"),
        ({"arrival": {"complete_when": "engine"}}, {}, {}, "engine is for files that are fetched"),
        ({}, {"users": []}, {}, "at least 1 item"),
        ({}, {"users": [*USERS, *USERS]}, {}, "user acme is declared twice"),
        ({}, {"users": [{"name": "acme", "keys": [KEY, f"{KEY} again"]}]}, {}, "a key is there twice"),
        ({}, {"users": [{"name": "acme", "keys": ["ssh-dss AAAA"]}]}, {}, "pattern"),
        ({}, {"users": [{"name": "ab", "keys": [KEY]}]}, {}, "pattern"),
        ({}, {"users": [{**USERS[0], "folder": "../globex"}]}, {}, "no . and no .."),
        ({}, {"users": [{**USERS[0], "can": "everything"}]}, {}, "put_get_list"),
        ({}, {"host_keys": [KEY]}, {}, "Extra inputs"),
        ({}, {"server": "S-1"}, {}, "pattern"),
        ({}, {"endpoint": "vpc"}, {}, "needs vpc and subnets"),
        ({}, {"subnets": ["subnet-01234567"]}, {}, "subnets is for endpoint: vpc"),
        ({}, {"workflow": {"check": False}}, {}, "leave it out where it does none"),
        ({}, {"workflow": {"timeout": "1h"}}, {}, "up to 30m"),
        ({}, {"workflow": {"decrypt": True}}, {}, "decrypt"),
        ({}, {"workflow": {"tag": {f"k{n}": "v" for n in range(11)}}}, {}, "at most 10"),
    ],
)
def test_what_does_not_fit_a_server_of_ours_is_refused_by_name(
    feed: dict[str, Any], server: dict[str, Any], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        uploaded(feed, server, **settings)


def test_a_feed_that_is_fetched_says_where_from() -> None:
    with pytest.raises(ValidationError, match="feed orders: remote is missing"):
        SftpSource.model_validate({"source": "acme", "from": HOST, "feeds": [UPLOADED]})


def test_mistakes_of_both_kinds_of_feeds_have_their_line(tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text(
        "type: adplatform.components.SftpFiles\n"
        "attributes:\n"
        "  source: acme\n"
        f"  from: {{kind: server, users: [{{name: acme, keys: ['{KEY}']}}]}}\n"
        "  feeds:\n"
        "    - name: orders\n"
        "      start_date: 2026-01-01\n"
        "      columns: {id: bigint}\n"
        "      colour: red\n"
    )
    _, [mistake] = read_declarations(tmp_path, {"SftpFiles": SftpSource})
    assert (mistake.line, mistake.where, mistake.reason) == (9, "feeds.orders.colour", "unknown setting")


def test_a_deadline_is_given_without_the_rest_of_the_arrival_rule() -> None:
    [feed] = declared({"arrival": {"deadline": "9h"}}).feeds
    assert (feed.arrival.complete_when, feed.arrival.accept_early, feed.arrival.deadline) == (
        "engine",
        None,
        timedelta(hours=9),
    )
