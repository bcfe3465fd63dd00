"""Which files of a listing are fetched, pass after pass."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from adplatform.sftp.choice import MOST_ATTEMPTS, Chosen, Known, Rule, choose, failed
from adplatform.sftp.listing import Refused, RemoteFile

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CHANGED = datetime(2026, 3, 2, 11, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def place(path: str, changed: datetime) -> date | None:
    return changed.date() if path.startswith("/out/orders") and path.endswith(".csv") else None


RULE = Rule("orders", place, MINUTE)


def listed(path: str = "/out/orders-1.csv", size: int | None = 10, changed: datetime | None = CHANGED) -> RemoteFile:
    return RemoteFile(path, size, changed)


def passes(*listings: list[RemoteFile | Refused], rule: Rule = RULE, every: timedelta = 2 * MINUTE) -> list[Chosen]:
    """What each listing comes to, one after the other."""
    known: Mapping[str, Known] = {}
    found = []
    for number, files in enumerate(listings):
        found.append(choose(files, known, [rule], NOW + number * every, f"pass-{number}"))
        known = found[-1].known
    return found


def due(chosen: Chosen) -> list[str]:
    return [each.file.path for each in chosen.due]


def test_a_file_is_fetched_once_its_size_and_time_have_stayed_as_they_are() -> None:
    first, second, third = passes([listed()], [listed()], [listed()])
    assert (due(first), first.waiting) == ([], 1)
    assert [(each.feed, each.day) for each in second.due] == [("orders", date(2026, 3, 2))]
    assert (due(third), third.waiting) == ([], 0)


@pytest.mark.parametrize("changed", [{"size": 11}, {"modified": CHANGED + MINUTE}])
def test_a_file_that_changes_begins_to_wait_anew_also_after_it_was_fetched(changed: dict[str, object]) -> None:
    other = replace(listed(), **changed)
    found = passes([listed()], [other], [other], [listed()], [listed()])
    assert [due(each) for each in found] == [[], [], [other.path], [], [other.path]]


def test_two_looks_within_a_moment_do_not_prove_that_a_file_is_whole() -> None:
    found = passes(*[[listed()]] * 4, every=timedelta(seconds=25))
    assert [due(each) for each in found] == [[], [], [], ["/out/orders-1.csv"]]


def test_a_file_is_fetched_at_once_where_its_name_says_that_it_is_whole() -> None:
    (found,) = passes([listed()], rule=replace(RULE, stable_for=timedelta(0)))
    assert due(found) == ["/out/orders-1.csv"]


@pytest.mark.parametrize("marker", ["{file}.done", "_SUCCESS"])
def test_a_file_waits_for_its_marker_in_the_same_folder(marker: str) -> None:
    rule = replace(RULE, stable_for=timedelta(0), marker=marker)
    beside = listed(f"/out/{marker.replace('{file}', 'orders-1.csv')}")
    elsewhere = listed(f"/{marker.replace('{file}', 'orders-1.csv')}")
    before, after = passes([listed(), elsewhere], [listed(), beside], rule=rule)
    assert (due(before), before.waiting, before.strangers) == ([], 1, 1)
    assert due(after) == ["/out/orders-1.csv"]


def test_a_file_without_time_and_size_is_fetched_once_it_was_listed_for_long() -> None:
    bare = listed(size=None, changed=None)
    assert [due(each) for each in passes([bare], [bare], [bare])] == [[], [bare.path], []]


def test_what_is_not_listed_any_more_is_forgotten() -> None:
    gone, *_ = passes([listed()], [])[1:]
    assert gone.known == {}


def test_a_fetch_that_failed_is_due_again_until_it_has_failed_too_often() -> None:
    known: Mapping[str, Known] = {}
    tries = 0
    for number in range(2 * MOST_ATTEMPTS):
        found = choose([listed()], known, [RULE], NOW + number * 2 * MINUTE, f"pass-{number}")
        tries += len(found.due)
        known = failed(found.known, due(found))
    assert tries == MOST_ATTEMPTS
    assert found.given_up == ("/out/orders-1.csv",)
    mended = replace(listed(), size=12)
    first = choose([mended], known, [RULE], NOW + timedelta(days=1), "later")
    second = choose([mended], first.known, [RULE], NOW + timedelta(days=2), "still later")
    assert (due(first), due(second)) == ([], [mended.path])


def test_refused_names_are_said_and_strangers_counted() -> None:
    (found,) = passes([Refused("/out/orders\\n.csv", "its name has a line break"), listed("/out/x.txt")])
    assert (found.refused, found.strangers, due(found)) == (
        {"/out/orders\\n.csv": "its name has a line break"},
        1,
        [],
    )


def test_fifty_thousand_files_are_decided_each_once() -> None:
    files = [listed(f"/out/orders-{number}.csv") for number in range(50_000)]
    first, second, third = passes(files, files, files)
    assert (len(first.due), len(second.due), len(third.due), len(third.known)) == (0, 50_000, 0, 50_000)


def test_nothing_that_speaks_ssh_is_loaded_to_decide() -> None:
    code = "import sys, adplatform.sftp.choice; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "adplatform.sftp.choice" in done.stdout.split()
    assert {"asyncssh", "paramiko"} & set(done.stdout.split()) == set()
