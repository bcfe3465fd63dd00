"""Where files of a server belong."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from adplatform.contracts.sftp import Afterwards, SftpSource
from adplatform.failures import PermanentFailure
from adplatform.sftp.places import moved_to, remote_path, rules_of

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = NOW.date()


def declared(*remotes: str, **settings: Any) -> SftpSource:
    feeds = [
        {"name": f"feed{number}", "start_date": "2026-01-01", "columns": {"id": "bigint"}, "remote": remote}
        for number, remote in enumerate(remotes)
    ]
    told = {"kind": "client", "secret": "acme/sftp"}
    return SftpSource.model_validate({"source": "acme", "from": told, "simulated": True, "feeds": feeds, **settings})


def owners(path: str, *remotes: str) -> list[str]:
    return [rule.feed for rule in rules_of(declared(*remotes)) if rule.place(path, NOW) is not None]


@pytest.mark.parametrize("folder", [".staging", "_tmp", "~old"])
def test_what_is_in_a_hidden_folder_is_none_of_a_feeds_files_as_in_the_landing_zone(folder: str) -> None:
    assert owners("/out/eu/orders_2026-03-02.csv", "/out/*/orders_{date}.csv") == ["feed0"]
    assert owners(f"/out/{folder}/orders_2026-03-02.csv", "/out/*/orders_{date}.csv") == []


def test_a_file_that_fits_two_feeds_is_of_the_one_that_is_declared_first() -> None:
    special, rest = "/out/orders_{date}_eu*.csv", "/out/orders_{date}*.csv"
    assert owners("/out/orders_2026-03-02_eu1.csv", special, rest) == ["feed0"]
    assert owners("/out/orders_2026-03-02_us1.csv", special, rest) == ["feed1"]
    assert owners("/out/orders_2025-03-02_eu1.csv", special, rest) == [], "one that is too old is not the next's"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/out/orders_{date}.csv", "/out/orders_{date}.csv"),
        ("/out/{file}", "/out/orders_{date}.csv"),
        ("/out/orders_{date}*.csv", "/out/orders_{date}_eu*.csv"),
    ],
)
def test_a_feed_all_of_whose_files_another_takes_is_refused(first: str, second: str) -> None:
    with pytest.raises(PermanentFailure, match=r"feed feed1: all files of its remote .* are those of feed0"):
        rules_of(declared(first, second))


def test_a_template_is_refused_by_the_name_that_it_has_in_the_declaration() -> None:
    with pytest.raises(PermanentFailure, match=r"feed feed0: remote '/out/\{name\}\.csv' may hold"):
        rules_of(declared("/out/{name}.csv"))
    with pytest.raises(PermanentFailure, match="feed feed0: remote date '%H' holds %H"):
        rules_of(declared("/out/{date:%H}.csv"))


def test_a_file_without_a_date_in_its_name_is_put_for_today_only() -> None:
    [feed] = declared("/out/orders.csv").fetched
    assert remote_path(feed, TODAY, "orders.csv", TODAY) == "/out/orders.csv"
    with pytest.raises(PermanentFailure, match="is of 2026-03-02"):
        remote_path(feed, date(2026, 3, 1), "orders.csv", TODAY)


@pytest.mark.parametrize(
    ("move_to", "target"),
    [
        (None, None),
        ("done", "/out/done/a.csv"),
        ("done/{date}", "/out/done/2026-03-02/a.csv"),
        ("/gone/{date:%Y%m%d}", "/gone/20260302/a.csv"),
    ],
)
def test_a_file_goes_to_the_folder_of_its_date_where_there_is_one_for_each(
    move_to: str | None, target: str | None
) -> None:
    assert moved_to("/out/a.csv", TODAY, Afterwards(move_to=move_to)) == target
