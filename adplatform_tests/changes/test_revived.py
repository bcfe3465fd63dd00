"""A row that was deleted and is inserted again, while a merge shows its versions: readers find every row all the time,
whichever versions were shown when it died."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adplatform.contracts.changes import ChangesSource
from adplatform.flow.services import Services
from adplatform.platform.clock import utc_now
from adplatform_tests.support.changes import ORDERS, Changes, Killed, changes_of, followed_as, followed_source
from adplatform_tests.support.platforms import TODAY

STRICT = {**ORDERS, "columns": {**ORDERS["columns"], "status": {"allowed": ["a", "b"]}}}


def changed(services: Services, **feed: Any) -> Changes:
    """A table that was merged once, in which 2 was deleted, and changes that wait: 2 is inserted again, 3 deleted."""
    shop = followed_source(services, [{**STRICT, "buckets": 2, **feed}])
    shop.load(*({"id": n, "status": "a"} for n in range(1, 5)))
    shop.file(shop.change("D", id=2))
    shop.merge()
    shop.file(shop.change("I", id=2, status="b"), shop.change("D", id=3))
    shop.process()
    return shop


def merge(services: Services, declared: ChangesSource, hours: int) -> None:
    """As of some hours from now: what has died before rests for a while."""
    later = replace(services, now=lambda: utc_now() + timedelta(hours=hours))
    later.__dict__["glue"] = services.glue
    changes_of(later, declared).fold()


@contextmanager
def watched(shop: Changes, ids: set[int], live: list[int] | None, dies_at: int = 0) -> Iterator[list[object]]:
    """Before each call that changes a table readers find every row, and ``live`` those that there are; the run dies
    before the one of number ``dies_at``."""
    events, seen = shop.services.glue.meta.events, []

    def look(**_: Any) -> None:
        found = shop.seen(_="id", _deleted="id", _live="id") if live is not None else shop.seen(_="id", _deleted="id")
        rows, deleted, *of_live = ([id for (id,) in each] for each in found)
        assert {*rows, *deleted} >= ids
        assert (len(set(rows)), len(set(deleted))) == (len(rows), len(deleted))
        assert of_live == ([] if live is None else [live])
        seen.append((rows, deleted))
        if len(seen) == dies_at:
            raise Killed

    events.register("before-call.glue.UpdateTable", look)
    try:
        yield seen
    finally:
        events.unregister("before-call.glue.UpdateTable", look)
        dies_at = 0
    look()


@pytest.mark.slow
@pytest.mark.parametrize("feed", [{}, {"table_format": "iceberg"}, {"outputs": ["current", "history"]}, {"buckets": 3}])
def test_every_row_is_found_at_each_moment_of_a_merge(services: Services, feed: dict[str, Any]) -> None:
    """Also of one by which the table is made anew."""
    shop = changed(services, table_format=feed.get("table_format", "parquet"))
    shop = followed_as(shop, [{**STRICT, "buckets": 2, **feed}])
    with watched(shop, {1, 2, 3, 4}, [1, 2, 4]) as seen:
        merge(services, shop.declared, 0)
    assert ([1, 2, 4], [2, 3]) in seen
    assert seen[-1] == ([1, 2, 4], [3])
    assert shop.fold() is None


@pytest.mark.parametrize(
    ("deaths", "table_format"),
    [
        ([2], "parquet"),
        pytest.param([3, 1], "iceberg", marks=pytest.mark.slow),
        *(pytest.param(deaths, "parquet", marks=pytest.mark.slow) for deaths in ([1], [3], [3, 1])),
    ],
)
def test_a_merge_that_dies_between_two_shows_goes_on_and_every_row_is_found(
    services: Services, deaths: list[int], table_format: str
) -> None:
    shop = changed(services, table_format=table_format)
    merged = services.ledger.folds.get(shop.pattern.source.name, "orders")
    for hours, moment in enumerate(deaths):
        with pytest.raises(Killed), watched(shop, {1, 2, 3, 4}, [1, 2, 4], dies_at=moment):
            merge(services, shop.declared, hours)
    with watched(shop, {1, 2, 3, 4}, [1, 2, 4]):
        for hours in (24, 48):  # one that died twice waits a while
            merge(services, shop.declared, hours)
    after = services.ledger.folds.get(shop.pattern.source.name, "orders")
    assert (after.number, after.deleted) == (merged.number + 1, 1)
    assert shop.rows("_deleted", "id, status") == [(3, "a")]
    shop.file(shop.change("D", id=4), shop.change("D", id=2))
    shop.process()
    merge(services, shop.declared, 72)
    assert shop.rows("_deleted", "id") == [(2,), (3,), (4,)]


@pytest.mark.slow
def test_a_row_that_only_a_killed_try_has_shown_as_deleted_is_found_while_the_next_one_shows_it(
    services: Services,
) -> None:
    shop = changed(services)
    shop.file(shop.change("I", id=9, status="a"), shop.change("D", id=9), shop.change("I", id=9, status="surprise"))
    shop.process()
    with pytest.raises(Killed), watched(shop, {1, 2, 3, 4}, None, dies_at=2):
        merge(services, shop.declared, 0)
    assert (9,) in shop.rows("_deleted", "id")
    after = followed_as(shop, [{**STRICT, "buckets": 2, "columns": ORDERS["columns"]}])
    services.ledger.deliveries.reopen(after.followed.changes.name, TODAY)
    after.process()
    with watched(after, {1, 2, 3, 4, 9}, [1, 2, 4, 9]):
        merge(services, after.declared, 1)
    assert after.rows("_deleted", "id") == [(3,)]
