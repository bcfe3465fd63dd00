"""Loads of a table again: whatever comes late, and whenever the platform hears of them, rows are those of the last."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from adplatform.changes.generations import next_generation, sequence_at
from adplatform.changes.loads import LoadSeen, await_load, observe_load, open_load
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.ledger.folds import Generation
from adplatform_tests.support.changes import ORDERS, Changes, followed_as, followed_source
from adplatform_tests.support.platforms import TODAY
from adplatform_tests.support.waiting import next_second

EXACT = {**ORDERS, "outputs": ["current", "history"]}
FEEDS = [pytest.param(ORDERS, marks=pytest.mark.slow), EXACT]
"""A feed with history has all that one without it has."""


def began(shop: Changes, before: timedelta = timedelta(seconds=5)) -> Generation:
    """A load that began a while ``before``."""
    folds, source = shop.services.ledger.folds, shop.pattern.source.name
    opened = next_generation(folds.generations(source, "orders"), shop.services.now() - before, "a test")
    assert folds.open(source, "orders", opened)
    return opened


def whole(shop: Changes, load: Generation, rows: int) -> None:
    shop.services.ledger.folds.loaded(shop.pattern.source.name, "orders", load, rows)


@pytest.mark.parametrize("feed", FEEDS)
def test_changes_from_before_a_load_bring_no_row_back_that_is_not_in_it(
    services: Services, feed: dict[str, Any]
) -> None:
    shop = followed_source(services, [feed])
    shop.file(shop.change("I", id=1, status="a"), shop.change("I", id=2, status="a"))
    shop.merge()
    late, unknown, meanwhile = (
        shop.change("U", id=2, status="late"),
        shop.change("I", id=7, status="late"),
        shop.change("I", id=8, status="late"),
    )
    load = began(shop)
    shop.load({"id": 1, "status": "loaded"})
    shop.file(meanwhile)
    whole(shop, load, 1)
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "loaded")]
    shop.file(late, unknown, shop.change("U", id=8, status="later"))
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "loaded")]


@pytest.mark.slow
def test_a_version_that_a_load_has_ended_is_in_the_history(services: Services) -> None:
    shop = followed_source(services, [EXACT])
    shop.file(shop.change("I", id=1, status="a"), shop.change("I", id=2, status="a"))
    shop.merge()
    load = began(shop)
    shop.load({"id": 1, "status": "b"})
    whole(shop, load, 1)
    shop.merge()
    assert shop.seen(_history="id, status, _closed_by", _versions="id, status, _valid_to is null") == [
        [(1, "a", load.sequence), (2, "a", load.sequence)],
        [(1, "a", False), (1, "b", True), (2, "a", False)],
    ]
    assert shop.rows("_history", "id, cast(_valid_to as date)")[-1] == (2, load.opened_at.date())


def ended(shop: Changes) -> list[tuple[Any, ...]]:
    return shop.rows("_history", "id, status, _closed_by")


@pytest.mark.slow
def test_a_row_that_one_load_lacks_and_the_next_one_has_ended_in_between_also_in_a_table_that_is_made_anew(
    services: Services,
) -> None:
    shop = followed_source(services, [EXACT])
    shop.file(*(shop.change("I", id=n, status="a") for n in (1, 2, 3)))
    shop.merge()
    first = began(shop)
    shop.load({"id": 1, "status": "b"})
    whole(shop, first, 1)
    next_second()
    second = began(shop, timedelta(0))
    shop.load({"id": 1, "status": "c"}, {"id": 2, "status": "c"}, number=2)
    whole(shop, second, 2)
    shop.merge()
    versions = [
        (1, "a", first.sequence),
        (1, "b", second.sequence),
        (2, "a", first.sequence),
        (3, "a", first.sequence),
    ]
    assert (shop.rows(columns="id, status"), ended(shop)) == ([(1, "c"), (2, "c")], versions)
    anew = followed_as(shop, [{**EXACT, "buckets": 7}])
    assert anew.fold()
    assert (anew.rows(columns="id, status"), ended(anew)) == ([(1, "c"), (2, "c")], versions)
    assert anew.rows("_deleted", "id, _seq") == [(3, f"{int(first.sequence) - 1}")]


@pytest.mark.slow
def test_a_version_that_was_closed_before_its_load_was_known_to_be_whole_ends_with_that(services: Services) -> None:
    shop = followed_source(services, [EXACT])
    shop.file(shop.change("I", id=1, status="a"), shop.change("I", id=2, status="a"))
    shop.merge()
    load = began(shop)
    shop.load({"id": 1, "status": "b"})
    shop.file({**shop.change("I", id=2, status="again"), "ar_h_change_seq": "9" * 35})
    shop.merge()
    assert ended(shop)[-1] == (2, "a", "9" * 35)
    whole(shop, load, 1)
    shop.merge()
    assert shop.seen(_history="id, status, _closed_by", _="id, status") == [
        [(1, "a", load.sequence), (2, "a", load.sequence)],
        [(1, "b"), (2, "again")],
    ]


def test_a_load_of_an_empty_table_ends_all_rows(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"})
    shop.merge()
    # S3 says to the second when a file was written, so it has to be an earlier one.
    whole(shop, began(shop, timedelta(seconds=-2)), 0)
    shop.merge()
    assert shop.rows() == []


def test_rows_of_a_load_stay_that_were_merged_before_anybody_knew_that_it_had_begun(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"})
    shop.merge()
    whole(shop, began(shop), 2)
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "a"), (2, "a")]
    assert shop.fold() is None


def test_a_load_that_is_begun_again_replaces_the_rows_of_the_one_that_broke_off(services: Services) -> None:
    shop = followed_source(services)
    broken = began(shop)
    again = open_load(services.ledger, shop.followed, services.now(), "the first broke off")
    assert (again.number, again.sequence > broken.sequence) == (2, True)


MARGIN = timedelta(seconds=2)


def shown(shop: Changes, *loads: LoadSeen) -> list[Generation]:
    """The loads that are known after looks at which DMS showed these."""
    for each in loads:
        observe_load(shop.services.ledger, shop.followed, each, MARGIN)
    return shop.services.ledger.folds.generations(shop.pattern.source.name, "orders")


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), -timedelta(minutes=5)])
def test_a_load_that_was_asked_for_began_when_dms_says_so_whatever_our_clock_says(
    services: Services, ahead: timedelta
) -> None:
    shop = followed_source(services)
    at = services.now()
    first = await_load(services.ledger, shop.followed, at + ahead, "the replication was started")
    assert await_load(services.ledger, shop.followed, at + ahead, "it was tried again") == first
    assert shown(shop) == []
    [load] = shown(shop, LoadSeen(at, at, 2), LoadSeen(at, at, 2))
    assert (load.number, load.reason, load.opened_at) == (1, "the replication was started", at)
    assert (load.sequence, load.rows) == (sequence_at(at - MARGIN), 2)
    again = at + timedelta(seconds=30)
    await_load(services.ledger, shop.followed, at + ahead, "somebody asked for it")
    # Until DMS shows the new load, it shows the one before.
    assert len(shown(shop, LoadSeen(at, at, 2))) == 1
    _, second = shown(shop, LoadSeen(again))
    assert (second.number, second.opened_at, second.loaded_at) == (2, again, None)


def test_a_load_that_somebody_else_begins_before_the_one_before_is_seen_whole_is_another(services: Services) -> None:
    shop = followed_source(services)
    at = services.now()
    first, second = shown(shop, LoadSeen(at), LoadSeen(at + timedelta(seconds=30)), LoadSeen(at, at, 7))
    assert (first.loaded_at, second.loaded_at) == (None, None)
    whole = LoadSeen(second.opened_at, second.opened_at, 3)
    assert [each.rows for each in shown(shop, whole)] == [None, 3]


@pytest.mark.slow
def test_rows_of_a_load_that_were_merged_while_it_was_awaited_are_read_again_as_its_own(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"})
    shop.merge()
    # S3 says to the second when a file was written.
    at = services.now().replace(microsecond=0) + timedelta(seconds=1)
    time.sleep(max(0, (at - services.now()).total_seconds()))
    await_load(services.ledger, shop.followed, at + timedelta(minutes=5), "a test")
    shop.load({"id": 1, "status": "b"})
    shop.merge()
    shown(shop, LoadSeen(at, at, 1))
    shop.fold()
    assert shop.rows(columns="id, status") == [(1, "b")]


@pytest.mark.slow
def test_a_load_of_the_same_bytes_as_the_one_before_is_a_load_all_the_same(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "a"})
    shop.merge()
    shop.file(shop.change("U", id=1, status="b"))
    shop.merge()
    at = services.now().replace(microsecond=0) + timedelta(seconds=1)
    time.sleep(max(0, (at - services.now()).total_seconds()))
    shop.load({"id": 1, "status": "a"})
    shown(shop, LoadSeen(at, at, 1))
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "a")]
    assert services.ledger.folds.get(shop.pattern.source.name, "orders").merged.generation == 1


@pytest.mark.slow
@pytest.mark.parametrize("rows", [pytest.param(1, marks=pytest.mark.slow), None])
def test_a_file_of_the_second_in_which_a_load_began_is_refused_where_it_may_be_of_the_load_before(
    services: Services, rows: int | None
) -> None:
    shop = followed_source(services, [EXACT])
    folds, source = services.ledger.folds, shop.pattern.source.name
    shop.file(shop.change("I", id=1, status="a"), shop.change("I", id=2, status="a"))
    shop.merge()
    began(shop)
    key = shop.load({"id": 1, "status": "of either"})
    written = services.s3.head_object(Bucket=services.zones.raw_bucket, Key=key)["LastModified"]
    second = next_generation(folds.generations(source, "orders"), written + timedelta(milliseconds=500), "a test")
    assert folds.open(source, "orders", second)
    folds.loaded(source, "orders", second, rows)
    with pytest.raises(PermanentFailure, match=r"load 2 began .*`adplatform reload .*/orders`, and once that load"):
        shop.merge()
    assert shop.rows(columns="id, status") == [(1, "a"), (2, "a")]
    next_second()
    third = began(shop, timedelta(0))
    shop.load({"id": 1, "status": "b"}, number=2)
    whole(shop, third, 1)
    shop.process()
    shop.fold()
    shop.merge()
    assert shop.seen(_="id, status", _history="id, status, _closed_by") == [
        [(1, "b")],
        [(1, "a", third.sequence), (2, "a", third.sequence)],
    ]


@pytest.mark.slow
def test_a_file_of_the_second_in_which_a_load_began_is_its_own_where_the_load_before_had_ended(
    services: Services,
) -> None:
    shop = followed_source(services)
    folds, source = services.ledger.folds, shop.pattern.source.name
    shop.file(shop.change("I", id=1, status="a"))
    shop.merge()
    key = shop.load({"id": 1, "status": "b"})
    written = services.s3.head_object(Bucket=services.zones.raw_bucket, Key=key)["LastModified"]
    first, second = (LoadSeen(at, at, 1) for at in (written - timedelta(seconds=9), written + timedelta(seconds=0.5)))
    observe_load(services.ledger, shop.followed, first, MARGIN)
    observe_load(services.ledger, shop.followed, second, MARGIN)
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "b")]
    assert folds.get(source, "orders").merged.loads == [2]


@pytest.mark.slow
@pytest.mark.parametrize("both_at_once", [True, False])
def test_a_date_that_was_read_by_another_contract_is_merged_once_more_whichever_version_brought_that(
    services: Services, both_at_once: bool
) -> None:
    strict = {**ORDERS, "columns": {**ORDERS["columns"], "status": {"allowed": ["a"]}}}
    shop = followed_source(services, [strict])
    shop.file(shop.change("I", id=1, status="a"), shop.change("U", id=1, status="surprise"))
    shop.merge()
    mended = followed_as(shop, [ORDERS])
    services.ledger.deliveries.reopen(mended.followed.changes.name, TODAY)
    mended.process()
    if not both_at_once:
        mended.fold()
    mended.file(mended.change("I", id=2, status="a"))
    mended.merge()
    assert mended.rows(columns="id, status") == [(1, "surprise"), (2, "a")]


@pytest.mark.slow
@pytest.mark.parametrize("feed", FEEDS)
def test_a_row_of_a_load_that_is_mended_after_the_load_has_ended_others_is_there(
    services: Services, feed: dict[str, Any]
) -> None:
    strict = {**feed, "columns": {**ORDERS["columns"], "status": {"allowed": ["a", "b"]}}}
    shop = followed_source(services, [strict])
    shop.file(shop.change("I", id=1, status="a"), shop.change("I", id=2, status="a"))
    shop.merge()
    load = began(shop)
    shop.load({"id": 1, "status": "b"}, {"id": 2, "status": "mended"})
    whole(shop, load, 2)
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "b")]
    mended = followed_as(shop, [feed])
    services.ledger.deliveries.reopen(mended.followed.changes.name, TODAY)
    mended.merge()
    assert mended.seen(_="id, status", _deleted="id") == [[(1, "b"), (2, "mended")], []]
    if feed is EXACT:
        assert ended(mended) == [(1, "a", load.sequence), (2, "a", load.sequence)]


@pytest.mark.slow
def test_rows_of_a_load_that_was_said_to_be_whole_too_early_are_there_once_they_come(services: Services) -> None:
    shop = followed_source(services)
    shop.file(shop.change("I", id=1, status="a"), shop.change("I", id=2, status="a"))
    shop.merge()
    load = began(shop)
    services.ledger.folds.loaded(shop.pattern.source.name, "orders", load, None)
    shop.fold()
    assert shop.rows() == []
    shop.load({"id": 1, "status": "b"}, {"id": 2, "status": "b"})
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "b"), (2, "b")]


def contradicting(shop: Changes) -> None:
    """A file with two changes of one sequence."""
    change = shop.change("I", id=2, status="a")
    shop.file(change, {**change, "status": "b"})


def without_sequence(shop: Changes) -> None:
    shop.file({**shop.change("I", id=2, status="a"), "ar_h_change_seq": ""})


@pytest.mark.parametrize(
    ("feed", "break_off"),
    [
        (ORDERS, contradicting),
        pytest.param(EXACT, without_sequence, marks=pytest.mark.slow),
        pytest.param(ORDERS, without_sequence, marks=pytest.mark.slow),
        pytest.param(EXACT, contradicting, marks=pytest.mark.slow),
    ],
)
def test_a_load_frees_a_merge_that_failed_because_changes_have_no_order(
    services: Services, feed: dict[str, Any], break_off: Callable[[Changes], None]
) -> None:
    shop = followed_source(services, [feed])
    shop.file(shop.change("I", id=1, status="a"))
    shop.merge()
    break_off(shop)
    with pytest.raises(PermanentFailure, match="reload") as raised:
        shop.merge()
    folds, source = services.ledger.folds, shop.pattern.source.name
    assert folds.fail(folds.get(source, "orders"), str(raised.value))
    assert shop.fold() is None
    next_second()
    load = began(shop, timedelta(0))
    shop.load({"id": 1, "status": "loaded"}, {"id": 3, "status": "loaded"})
    shop.process()
    assert shop.fold() is None  # nobody knows yet that it is whole
    whole(shop, load, 2)
    shop.fold()
    assert shop.rows(columns="id, status") == [(1, "loaded"), (3, "loaded")]
    shop.file({**shop.change("U", id=1, status="later"), "ar_h_change_seq": "9" * 35})
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "later"), (3, "loaded")]


@pytest.mark.slow
def test_a_change_that_is_late_and_older_than_the_load_is_not_in_the_view_of_live_rows(services: Services) -> None:
    shop = followed_source(services)
    late = shop.change("I", id=2, status="late")
    load = began(shop)
    shop.load({"id": 1, "status": "loaded"})
    whole(shop, load, 1)
    shop.merge()
    shop.file(late)
    shop.process()
    assert shop.rows("_live", "id, status") == [(1, "loaded")]


@pytest.mark.parametrize("feed", FEEDS)
def test_rows_of_a_load_that_writes_a_file_again_are_those_that_it_wrote_last(
    services: Services, feed: dict[str, Any]
) -> None:
    shop = followed_source(services, [feed])
    shop.file(shop.change("I", id=9, status="before"))
    shop.merge()
    load = began(shop)
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"})
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "a"), (2, "a"), (9, "before")]
    shop.load({"id": 1, "status": "b"})
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "b"), (2, "a"), (9, "before")]
    whole(shop, load, 1)
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "b")]
    if feed is EXACT:
        assert ended(shop) == [(1, "a", load.sequence), (2, "a", load.sequence), (9, "before", load.sequence)]
