"""Which files of a listing are fetched, pass after pass."""

import itertools
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from adplatform.sftp.choice import FIRST_REST, LONGEST_REST, Chosen, Known, Rule, choose, failed
from adplatform.sftp.listing import Refused, RemoteFile
from adplatform.sftp.memory import Memory, read_memory, write_memory

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CHANGED = datetime(2026, 3, 2, 11, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def place(path: str, changed: datetime) -> tuple[date, str] | None:
    fits = path.startswith("/out/orders") and path.endswith(".csv")
    return (changed.date(), path.removeprefix("/out/")) if fits else None


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
    assert [(each.feed, each.day, each.name) for each in second.due] == [("orders", date(2026, 3, 2), "orders-1.csv")]
    assert (due(third), third.waiting) == ([], 0)


@pytest.mark.parametrize("changed", [{"size": 11}, {"modified": CHANGED + MINUTE}])
def test_a_file_that_changes_begins_to_wait_anew_also_after_it_was_fetched(changed: dict[str, object]) -> None:
    other = replace(listed(), **changed)
    found = passes([listed()], [other], [other], [listed()], [listed()])
    assert [due(each) for each in found] == [[], [], [other.path], [], [other.path]]


def test_another_look_is_due_when_a_file_has_stayed_as_it_is_and_ever_later_while_it_changes() -> None:
    grown = [[listed(size=size)] for size in (10, 20, 30, 30)]
    found = passes(*grown, every=MINUTE)
    at = [each.look_at and each.look_at - NOW - number * MINUTE for number, each in enumerate(found)]
    assert at == [MINUTE, 2 * MINUTE, 4 * MINUTE, None]
    again = passes(*grown, [listed(size=40)], every=MINUTE)[-1]
    assert again.look_at == NOW + 5 * MINUTE, "it was fetched in between"


def test_no_look_is_due_for_a_file_that_waits_for_its_marker() -> None:
    (found,) = passes([listed()], rule=replace(RULE, marker="{file}.done"))
    assert (found.waiting, found.look_at) == (1, None)


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


def test_a_fetch_that_failed_is_due_again_after_rests_that_become_longer_and_at_once_when_it_changes() -> None:
    known: Mapping[str, Known] = {}
    tried: list[datetime] = []
    for number in range(5 * 24 * 12):
        now = NOW + number * FIRST_REST
        found = choose([listed()], known, [RULE], now, f"pass-{number}")
        tried += [now] * len(found.due)
        known = failed(found.known, due(found), now)
    rests = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert rests[:4] == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST, 8 * FIRST_REST]
    assert rests[-1] == LONGEST_REST
    assert found.resting == 1
    mended = replace(listed(), size=12)
    first = choose([mended], known, [RULE], now + MINUTE, "later")
    second = choose([mended], first.known, [RULE], now + 3 * MINUTE, "still later")
    assert (due(first), due(second)) == ([], [mended.path])


def test_of_a_listing_that_is_cut_off_what_it_lacks_stays_remembered() -> None:
    first = choose([listed()], {}, [RULE], NOW, "first")
    cut = choose([], first.known, [RULE], NOW + MINUTE, "second", whole=False)
    assert cut.known == first.known


def test_what_is_remembered_is_read_as_it_was_written() -> None:
    known = {
        "/out/a": Known(1, CHANGED, NOW, "pass-1", 2, NOW, "landing/a", "v1", "e1", NOW),
        "/out/é b": Known(None, None, NOW),
    }
    memory = Memory(known, {"/out/x": "its name has a line break"})
    assert read_memory(write_memory(memory)) == memory


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


def test_a_file_that_has_become_another_feeds_is_fetched_for_that_one() -> None:
    rule = replace(RULE, stable_for=timedelta(0))
    first = choose([listed()], {}, [rule], NOW, "first")
    second = choose([listed()], first.known, [replace(rule, feed="sales")], NOW + MINUTE, "second")
    third = choose([listed()], second.known, [replace(rule, feed="sales")], NOW + 2 * MINUTE, "third")
    assert [[each.feed for each in chosen.due] for chosen in (first, second, third)] == [["orders"], ["sales"], []]


@pytest.mark.parametrize("refused", ["/out", "/out/orders-1.csv"])
def test_what_is_in_a_folder_that_cannot_be_read_for_now_stays_remembered(refused: str) -> None:
    rule = replace(RULE, stable_for=timedelta(0))
    other = Known(1, CHANGED, NOW, feed="orders")
    first = choose([listed()], {"/outer/orders.csv": other}, [rule], NOW, "first")
    shut = choose([Refused(refused, "the user may not do that")], first.known, [rule], NOW + MINUTE, "second")
    assert shut.known == first.known
    assert due(choose([listed()], shut.known, [rule], NOW + 2 * MINUTE, "third")) == []


def test_nothing_that_speaks_ssh_is_loaded_to_decide() -> None:
    code = "import sys, adplatform.sftp.choice; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "adplatform.sftp.choice" in done.stdout.split()
    assert {"asyncssh", "paramiko"} & set(done.stdout.split()) == set()
