"""Plans of what is fetched, and which folders are listed."""

from base64 import b64encode
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

from adplatform.contracts.sftp import SftpSource
from adplatform.engines.sftp.folders import folders_to_list
from adplatform.engines.sftp.plans import MOST_PATHS, Wanted, batches_of, part_of
from adplatform.sftp.choice import Due
from adplatform.sftp.listing import RemoteFile

NOW = datetime(2026, 3, 14, 9, tzinfo=UTC)


def due(path: str) -> tuple[Due, str]:
    return Due("orders", date(2026, 3, 14), path, RemoteFile(path, 1, NOW)), f"landing/x/{path}"


def test_every_file_is_in_one_batch_and_no_batch_has_a_name_twice() -> None:
    paths = [f"/{folder}/{name}.csv" for folder in "abcde" for name in range(13)] + [f"/z/{n}" for n in range(40)]
    batches = batches_of([due(path) for path in paths])
    assert Counter(wanted.path for batch in batches for wanted in batch) == Counter(paths)
    assert all(len({wanted.name for wanted in batch}) == len(batch) <= MOST_PATHS for batch in batches)
    assert len(batches) == -(-len(paths) // MOST_PATHS)


def test_files_of_one_name_have_a_batch_each() -> None:
    assert [len(batch) for batch in batches_of([due(f"/{n}/a.csv") for n in range(3)])] == [1, 1, 1]


def test_a_file_is_another_one_where_anything_of_it_differs() -> None:
    one = Wanted("/a/b", 1, NOW, "k")
    others = [Wanted("/a/c", 1, NOW, "k"), Wanted("/a/b", 2, NOW, "k"), Wanted("/a/b", 1, None, "k")]
    assert len({each.identity for each in (one, *others, Wanted("/a/b", 1, NOW, "l"))}) == 5
    assert (one.folder, Wanted("/b", 1, NOW, "k").folder) == ("/a", "/")


def test_the_key_of_an_intention_names_a_part_also_when_it_is_wanted_again() -> None:
    assert part_of("20260314T090000Z-0f/3") == ("20260314T090000Z-0f", 3)
    assert part_of("20260314T090000Z-0f/3 asked/2026-03-14T10:00:00Z") == ("20260314T090000Z-0f", 3)
    assert part_of("asked/2026-03-14T10:00:00Z") is None
    assert part_of("slot/2026-03-14T10:00:00Z") is None


def source(remote: str, **feed: Any) -> SftpSource:
    blob = b"\0\0\0\x07ssh-rsa" + bytes(64)
    key = f"ssh-rsa {b64encode(blob).decode()}"
    at = {"kind": "connector", "host": "h", "secret": "s", "host_keys": [key]}
    orders = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": "string"}, "remote": remote, **feed}
    return SftpSource.model_validate({"source": "acme", "from": at, "feeds": [orders]})


def test_folders_are_listed_that_may_have_files_of_a_feed_the_newest_first() -> None:
    declared = source("/out/{date:%Y%m%d}/orders/*.csv")
    names = ["/out/20260313", "/out/20260314", "/out/20251231", "/out/archive", "/out/2026"]
    assert folders_to_list(declared, "/out", 2, names, NOW) == ["/out/20260314", "/out/20260313"]
    below = ["/out/20260314/orders", "/out/20260314/other"]
    assert folders_to_list(declared, "/out", 2, below, NOW) == ["/out/20260314/orders"]
    assert folders_to_list(declared, "/out", 2, ["/out/20260314/orders/x"], NOW) == []
    assert folders_to_list(declared, "/out", 0, names, NOW) == []


def test_folders_of_dates_that_come_too_late_are_not_listed_any_more() -> None:
    late = {"complete_when": "engine", "accept_early": None, "accept_late": "2d"}
    declared = source("/out/{date:%Y%m%d}/*.csv", arrival=late)
    names = [f"/out/202603{day}" for day in range(10, 15)]
    assert folders_to_list(declared, "/out", 1, names, NOW) == ["/out/20260314", "/out/20260313", "/out/20260312"]


def test_folders_that_any_name_fits_are_all_listed() -> None:
    declared = source("/out/*/orders_{date}.csv")
    assert folders_to_list(declared, "/out", 1, ["/out/east", "/out/west"], NOW) == ["/out/west", "/out/east"]
