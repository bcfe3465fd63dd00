"""When is a delivery complete? One table per arrival rule."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure
from adplatform.files.arrivals import (
    ListedFile,
    PartnerManifest,
    Settle,
    Wait,
    checked_files,
    counting,
    decide,
    listed_files,
    newest_versions,
    parse_manifest,
    reopened,
    unordered,
)
from adplatform.files.landing import Layout, layout_of
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.objects import ObjectState, RawObject

DAY = date(2026, 3, 14)
NINE = datetime(2026, 3, 14, 9, tzinfo=UTC)
FOLDER = f"landing/acme/orders/dt={DAY}"


def layout(**arrival: Any) -> Layout:
    feed = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": None}, "arrival": arrival}
    return layout_of("landing/acme/", Feed.model_validate(feed))


def at(minutes: float) -> datetime:
    return NINE + timedelta(minutes=minutes)


def obj(file: str, number: int, minutes: float = 0, *, version: str = "", size: int = 10, **more: Any) -> RawObject:
    """An object that was written and seen ``minutes`` after nine."""
    return RawObject(
        day=DAY,
        bucket="raw",
        key=f"{FOLDER}/{file}",
        version=version or f"v{number}",
        size=size,
        etag=f"e{number}",
        last_modified=at(minutes),
        seen_at=at(minutes),
        number=number,
        **more,
    )


def outcome(
    rule: dict[str, Any],
    objects: list[RawObject],
    now: datetime,
    *,
    settled: int = 0,
    listed: Any = None,
    extra: int = 0,
) -> list[str] | str:
    """The files of the settled delivery, or why it waits. ``extra`` arrivals are requests for a new version."""
    arrivals = max((o.number for o in objects), default=0) + extra
    delivery = Delivery(day=DAY, arrivals=arrivals, settled_arrivals=settled, version=1 if settled else 0)
    match decide(layout(**rule), delivery, objects, now, listed):
        case Settle(_, chosen):
            return [f"{o.key.removeprefix(FOLDER + '/')}@{o.number}" for o in chosen]
        case Wait(because, _):
            return because


QUIET = {"complete_when": "quiet", "quiet_period": "5m", "max_wait": "30m"}
COUNT = {"complete_when": "count", "expected_files": 2}
DONE = {"complete_when": "done_file", "quiet_period": "5m"}
LISTED = {"complete_when": "manifest"}


@pytest.mark.parametrize(
    ("objects", "minutes", "settled", "expected"),
    [
        ([obj("a", 1, 0)], 4.9, 0, "objects may still come"),
        ([obj("a", 1, 0)], 5, 0, ["a@1"]),
        ([obj("a", 1, 0), obj("b", 2, 4)], 8, 0, "objects may still come"),
        ([obj("a", 1, 0), obj("b", 2, 4)], 9, 0, ["a@1", "b@2"]),
        ([obj("f", n, n * 4) for n in range(1, 9)], 33, 0, "objects may still come"),
        ([obj("f", n, n * 4) for n in range(1, 9)], 34, 0, ["f@8"]),
        ([obj("a", 1, 0), obj("b", 2, 60)], 62, 1, "objects may still come"),
        ([obj("a", 1, 0), obj("b", 2, 60)], 65, 1, ["a@1", "b@2"]),
        ([obj("a", 1, 0), obj("a", 2, 60)], 65, 1, ["a@2"]),
        ([obj("a", 1, 0, state=ObjectState.EXCLUDED)], 60, 0, "nothing is left of what arrived"),
    ],
)
def test_quiet(objects: list[RawObject], minutes: float, settled: int, expected: list[str] | str) -> None:
    assert outcome(QUIET, objects, at(minutes), settled=settled) == expected


@pytest.mark.parametrize(
    ("objects", "settled", "expected"),
    [
        ([obj("a", 1)], 0, "1 of 2 files"),
        ([obj("a", 1), obj("a", 2)], 0, "1 of 2 files"),
        ([obj("a", 1), obj("b", 2)], 0, ["a@1", "b@2"]),
        ([obj("a", 1), obj("b", 2), obj("c", 3)], 2, ["a@1", "b@2", "c@3"]),
        ([obj("a", 1), obj("b", 2), obj("a", 3, 1)], 2, ["b@2", "a@3"]),
        ([obj("a", 1), obj("b", 2, state=ObjectState.EXCLUDED)], 0, "1 of 2 files"),
    ],
)
def test_count(objects: list[RawObject], settled: int, expected: list[str] | str) -> None:
    assert outcome(COUNT, objects, at(0), settled=settled) == expected


@pytest.mark.parametrize(
    ("objects", "minutes", "settled", "expected"),
    [
        ([obj("a", 1)], 600, 0, "no _SUCCESS yet"),
        ([obj("a", 1), obj("_SUCCESS", 2)], 0, 0, ["a@1"]),
        ([obj("_SUCCESS", 1), obj("a", 2)], 0, 0, ["a@2"]),
        ([obj("_SUCCESS", 1)], 0, 0, []),
        ([obj("a", 1), obj("_SUCCESS", 2), obj("b", 3, 60)], 62, 2, "objects may still come"),
        ([obj("a", 1), obj("_SUCCESS", 2), obj("b", 3, 60)], 65, 2, ["a@1", "b@3"]),
        ([obj("a", 1), obj("_SUCCESS", 2), obj("b", 3, 60), obj("_SUCCESS", 4, 60)], 60, 2, ["a@1", "b@3"]),
    ],
)
def test_done_file(objects: list[RawObject], minutes: float, settled: int, expected: list[str] | str) -> None:
    assert outcome(DONE, objects, at(minutes), settled=settled) == expected


def listing(*names: str, **sizes: int) -> dict[str, ListedFile]:
    return {f"{FOLDER}/{n}": ListedFile(name=n, bytes=sizes.get(n)) for n in (*names, *sizes)}


@pytest.mark.parametrize(
    ("objects", "listed", "settled", "expected"),
    [
        ([obj("a", 1)], None, 0, "no manifest.json yet"),
        ([obj("manifest.json", 1)], listing("a", "b"), 0, "2 of 2 listed files are missing, the first is number 1"),
        (
            [obj("manifest.json", 1), obj("b", 2)],
            listing("a", "b"),
            0,
            "1 of 2 listed files are missing, the first is number 1",
        ),
        ([obj("a", 1), obj("manifest.json", 2)], listing(a=10), 0, ["a@1"]),
        (
            [obj("a", 1), obj("manifest.json", 2)],
            listing(a=11),
            0,
            "1 of 1 listed files are missing, the first is number 1",
        ),
        ([obj("a", 1), obj("manifest.json", 2), obj("a", 3, 1, size=11)], listing(a=11), 0, ["a@3"]),
        ([obj("a", 1), obj("x", 2), obj("manifest.json", 3)], listing("a"), 0, ["a@1"]),
        ([obj("manifest.json", 1)], {}, 0, []),
        ([obj("a", 1), obj("manifest.json", 2), obj("x", 3)], listing("a"), 2, "the new objects are in no manifest"),
        ([obj("a", 1), obj("manifest.json", 2), obj("a", 3, 1)], listing("a"), 2, ["a@3"]),
        ([obj("a", 1), obj("manifest.json", 2), obj("manifest.json", 3, 1)], listing("a"), 2, ["a@1"]),
    ],
)
def test_manifest(objects: list[RawObject], listed: Any, settled: int, expected: list[str] | str) -> None:
    assert outcome(LISTED, objects, at(0), settled=settled, listed=listed) == expected


@pytest.mark.parametrize("rule", [QUIET, COUNT, DONE, LISTED])
def test_nothing_settles_before_its_date_has_begun(rule: dict[str, Any]) -> None:
    objects = [obj("a", 1), obj("b", 2), obj("_SUCCESS", 3), obj("manifest.json", 4)]
    early = datetime(2026, 3, 13, 23, 59, tzinfo=UTC)
    assert outcome(rule, objects, early, listed=listing("a")) == "its date has not begun"
    delivery = Delivery(day=DAY, arrivals=4)
    assert decide(layout(**rule), delivery, objects, early, listing("a")) == Wait(
        "its date has not begun", datetime(2026, 3, 14, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("rule", "listed", "expected"),
    [(QUIET, None, ["a@1"]), (COUNT, None, ["a@1"]), (DONE, None, ["a@1"]), (LISTED, listing("a", "b"), ["a@1"])],
)
def test_a_reopened_delivery_settles_at_once_with_what_it_had(rule: dict[str, Any], listed: Any, expected: Any) -> None:
    assert outcome(rule, [obj("a", 1)], at(0), settled=1, listed=listed, extra=1) == expected


def test_a_reopened_delivery_does_not_wait_for_a_file_that_no_manifest_lists() -> None:
    objects = [obj("a", 1), obj("manifest.json", 2), obj("stray", 3)]
    assert outcome(LISTED, objects, at(0), settled=2, listed=listing("a"), extra=1) == ["a@1"]


def test_a_reopened_delivery_takes_no_half_of_a_newer_manifest() -> None:
    objects = [obj("a", 1), obj("manifest.json", 2), obj("manifest.json", 3, 1)]
    expected = "1 of 2 listed files are missing, the first is number 2"
    assert outcome(LISTED, objects, at(1), settled=2, listed=listing("a", "b"), extra=1) == expected


def test_an_object_left_out_after_it_arrived_counts_as_a_request_for_a_version_without_it() -> None:
    objects = [obj("a", 1), obj("b", 2, state=ObjectState.EXCLUDED)]
    delivery = Delivery(day=DAY, arrivals=3, settled_arrivals=1, version=1)
    assert reopened(delivery, objects)
    assert not reopened(replace(delivery, arrivals=1), objects)
    assert not reopened(replace(delivery, version=0, settled_arrivals=0), objects)


def test_waiting_says_until_when() -> None:
    delivery = Delivery(day=DAY, arrivals=2)
    decision = decide(layout(**QUIET), delivery, [obj("a", 1, 0), obj("b", 2, 28)], at(29))
    assert decision == Wait("objects may still come", at(30))


def test_the_newest_version_of_a_key_counts_whatever_order_they_were_seen_in() -> None:
    late = obj("a", 3, 0)
    objects = [obj("a", 1, 5), obj("b", 2, 0), late, replace(obj("a", 4, 9), state=ObjectState.EXCLUDED)]
    assert [o.number for o in newest_versions(objects)] == [1, 2]


def test_every_version_counts_where_each_is_a_file_of_its_own_as_far_as_s3_still_has_it() -> None:
    def gone(number: int, **more: Any) -> RawObject:
        """One of a bucket without versions, where the next of its key takes its place."""
        return obj("c", number, number, version=f"e{number}+10", **more)

    older, newer, out = obj("a", 2, 0), obj("a", 1, 5), replace(obj("a", 4, 9), state=ObjectState.EXCLUDED)
    lost, kept, last = gone(5), gone(6, archived_key="archive/c"), gone(7)
    objects = [older, newer, obj("b", 3), out, lost, kept, last]
    assert [o.number for o in counting(objects, every_version=True)] == [1, 2, 3, 6, 7]
    assert counting(objects, every_version=False) == newest_versions(objects)
    decision = decide(layout(), Delivery(DAY, arrivals=7), objects, at(99), every_version=True)
    assert isinstance(decision, Settle)
    assert [o.number for o in decision.objects] == [1, 2, 3, 6, 7]


def test_versions_of_one_second_are_told_apart_by_their_place() -> None:
    older, newer, other = obj("a", 1, place=2), obj("a", 2, place=3), obj("b", 3)
    assert newest_versions([newer, older, other]) == (newer, other)
    assert unordered([newer, older, other]) == []
    assert unordered([older, replace(newer, place=0), other]) == [[older, replace(newer, place=0)]]
    assert unordered([older, replace(newer, place=0, state=ObjectState.EXCLUDED)]) == []


def test_names_of_a_manifest_are_relative_to_it() -> None:
    manifest = parse_manifest(b'{"files": [{"name": "a.csv"}, {"name": "sub/a.csv"}, {"name": "./b"}]}', "origin")
    assert list(listed_files(manifest, "x/y/manifest.json")) == ["x/y/a.csv", "x/y/sub/a.csv", "x/y/b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_manifest_is_read_in_any_encoding_of_json_with_its_byte_order_mark(encoding: str) -> None:
    body = '{"files": [{"name": "für.csv", "bytes": 7}]}'.encode(encoding)
    assert list(listed_files(parse_manifest(body, "origin"), "x/manifest.json")) == ["x/für.csv"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"files": [{"name": "\xe9.csv"}]}', "not a manifest: not text in UTF-8 (byte 21)"),
        (b"", "not a manifest: document: Invalid JSON"),
        (b"\xff\xfe", "not a manifest: document: Invalid JSON"),
        (b"[]", "not a manifest: document: Input should be an object"),
        (b"{}", "not a manifest: files: Field required"),
        (b'{"files": [{}]}', "not a manifest: files.0.name: Field required"),
        (b'{"files": [{"name": "a", "bytes": -1}]}', "files.0.bytes: Input should be greater than or equal to 0"),
        (b'{"files": [{"name": "a", "sha256": "abc"}]}', "files.0.sha256: String should match pattern"),
        (b"[" * 100_000, "not a manifest: document: Invalid JSON"),
    ],
)
def test_a_broken_manifest_is_refused_with_its_first_mistake(body: bytes, sentence: str) -> None:
    with pytest.raises(PermanentFailure) as refused:
        parse_manifest(body, "s3://raw/manifest.json")
    assert str(refused.value).startswith("s3://raw/manifest.json: ")
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([""], "lists number 2, which is empty"),
        (["  "], "which is empty"),
        (["../other/a.csv"], "lists number 2, which leads out of the manifest's folder"),
        (["sub/../../a.csv"], "which leads out of the manifest's folder"),
        ([".."], "which leads out of the manifest's folder"),
        (["/landing/acme/a.csv"], "which is an address, not a name relative to the manifest"),
        (["s3://raw/a.csv"], "which is an address, not a name relative to the manifest"),
        (["sub/"], "which is a folder, not a file"),
        (["."], "which is a folder, not a file"),
        (["a.csv", "a.csv"], "lists number 3, which is listed twice"),
        (["a.csv", "./a.csv"], "lists number 3, which is the same file as number 2"),
        (["taken.csv"], "lists number 2, which is somebody else's"),
        (["x" * 1100], "which makes a key of more than 1024 bytes"),
    ],
)
def test_a_manifest_that_can_never_be_met_is_refused_with_the_first_such_file(names: list[str], sentence: str) -> None:
    manifest = PartnerManifest(files=tuple(ListedFile(name=name) for name in ["good.csv", *names]))
    why_not = {f"{FOLDER}/taken.csv": "is somebody else's"}
    with pytest.raises(PermanentFailure) as refused:
        checked_files(manifest, f"{FOLDER}/manifest.json", "s3://raw/manifest.json", lambda key: why_not.get(key, ""))
    assert str(refused.value).startswith("s3://raw/manifest.json: it lists ")
    assert sentence in str(refused.value)
    assert str(refused.value).endswith("ask the sender to correct the manifest and send it again")
    assert all(name not in str(refused.value) for name in names if name.strip(" ./"))


@given(st.lists(st.text(max_size=12), max_size=4))
def test_whatever_a_manifest_lists_is_refused_or_can_be_met(names: list[str]) -> None:
    manifest = PartnerManifest(files=tuple(ListedFile(name=name) for name in names))
    try:
        files = checked_files(manifest, f"{FOLDER}/manifest.json", "origin", lambda _: "")
    except PermanentFailure as e:
        assert str(e).startswith("origin: it lists ")
    else:
        assert len(files) == len(names)
        assert all(key.startswith(f"{FOLDER}/") and not key.endswith("/") for key in files)


FIRST, SECOND = "1773482400.1", "1773486000.25"


def loads(**arrival: Any) -> Layout:
    settings = {"complete_when": "load_marker", "load_marker": "loads/*__{load}.jsonl", **arrival}
    feed = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": None}, "arrival": settings}
    return layout_of("landing/acme/", Feed.model_validate({**feed, "landing": "{feed}/{load}.{file}"}))


def loaded(load: str, file: str, number: int) -> RawObject:
    return replace(obj(file, number), key=f"landing/acme/orders/{load}.{file}")


def marker(load: str, number: int) -> RawObject:
    return replace(obj("marker", number), key=f"landing/acme/loads/crm__{load}.jsonl")


def settled(*objects: RawObject, before: int = 0, **arrival: Any) -> list[int] | str:
    """The numbers of the files with which the delivery settles, or what it waits for, of which so many objects had
    settled."""
    delivery = Delivery(DAY, arrivals=len(objects), settled_arrivals=before, version=int(before > 0))
    decision = decide(loads(**arrival), delivery, objects, at(60))
    return decision.because if isinstance(decision, Wait) else [each.number for each in decision.objects]


A, A_MARKED = loaded(FIRST, "a", 1), marker(FIRST, 2)
B, B_MARKED = loaded(SECOND, "b", 3), marker(SECOND, 4)


def test_a_load_counts_when_its_marker_has_come_in_whatever_order() -> None:
    assert settled(A) == "no marker of its load yet"
    assert settled(A, A_MARKED) == [1]
    assert settled(replace(A_MARKED, number=1), replace(A, number=2)) == [2]
    assert settled(A, A_MARKED, B) == [1]
    assert settled(A, A_MARKED, B, before=2) == "the new objects are of loads whose markers have not come"
    assert settled(A, A_MARKED, B, before=3) == "the new objects are of loads whose markers have not come"
    assert settled(A, A_MARKED, B, B_MARKED, before=3) == [1, 3]


def test_of_loads_that_are_whole_the_newest_counts_that_brought_files() -> None:
    assert settled(A, A_MARKED, B, B_MARKED, before=2, loads="newest") == [3]
    assert settled(A, A_MARKED, B, loads="newest") == [1]
    assert settled(A, A_MARKED, marker(SECOND, 3), before=2, loads="newest") == [1]
    assert settled(marker(FIRST, 1), loads="newest") == "the loads that have their markers brought no file of it"


def test_a_load_without_files_of_a_feed_had_no_rows_for_it() -> None:
    assert settled(marker(FIRST, 1)) == []


def test_a_load_that_is_repeated_has_the_newest_of_each_file() -> None:
    again = replace(A, number=3, version="v3", last_modified=at(5))
    assert settled(A, A_MARKED, again, before=2) == [3]
