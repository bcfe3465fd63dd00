"""Tries of a merge that come to different content: the next one goes on, and readers lack no row at any time."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adplatform.changes.fold import fold
from adplatform.changes.folds_due import folds_due
from adplatform.changes.generations import next_generation
from adplatform.contracts.changes import ChangesSource
from adplatform.failures import ClaimLost
from adplatform.flow.services import Services
from adplatform.platform.clock import utc_now
from adplatform_tests.support import plainly
from adplatform_tests.support.changes import ORDERS, Changes, changes_of, followed_as, followed_source, sequence
from adplatform_tests.support.platforms import TODAY

BOTH: dict[str, Any] = {**ORDERS, "buckets": 2, "outputs": ["current", "history"]}
STRICT = {**BOTH, "columns": {**ORDERS["columns"], "status": {"allowed": ["a", "b"]}}}


def merge(services: Services, declared: ChangesSource, later: timedelta = timedelta(0)) -> None:
    """As of some time from now: what has died before rests for a while."""
    changes_of(replace(services, now=lambda: utc_now() + later), declared).fold()


def changed(services: Services, table_format: str) -> Changes:
    """A table that was merged once, and changes that wait, two of them in quarantine."""
    shop = followed_source(services, [{**STRICT, "table_format": table_format}])
    shop.load(*({"id": n, "status": "a"} for n in range(1, 6)))
    shop.merge()
    shop.file(
        shop.change("U", id=1, status="surprise"), shop.change("D", id=2), shop.change("D", id=3),
        shop.change("I", id=9, status="b"), shop.change("I", id=3, status="surprise"),
    )  # fmt: skip
    shop.process()
    return shop


def mended(shop: Changes, table_format: str) -> Changes:
    """What was in quarantine is not any more, so that a further try reads more changes than the one before."""
    after = followed_as(shop, [{**BOTH, "table_format": table_format}])
    shop.services.ledger.deliveries.reopen(after.followed.changes.name, TODAY)
    after.process()
    return after


def killed(shop: Changes, moment: int) -> tuple[int, int]:
    return plainly.killed_at(shop.services, partial(merge, declared=shop.declared), moment)


BEHIND = 59
"""Of the moments the one that no write of a merge comes to."""


@pytest.mark.parametrize(
    ("moment", "table_format"),
    [
        (9, "parquet"),
        *(pytest.param(n, f, marks=pytest.mark.slow) for f in ("parquet", "iceberg") for n in range(1, BEHIND + 1, 2)),
    ],
)
def test_a_try_goes_on_where_a_killed_one_has_shown_what_it_does_not_come_to(
    services: Services, moment: int, table_format: str
) -> None:
    shop = changed(services, table_format)
    code, _ = killed(shop, moment)
    assert code == 0 or (code == -9 and moment < BEHIND)
    ids = {1, 2, 3, 4, 5}
    assert ids <= {id for (id,) in (*shop.rows(columns="id"), *shop.rows("_deleted", "id"))}
    after = mended(shop, table_format)
    merge(services, after.declared, timedelta(hours=1))
    merge(services, after.declared, timedelta(hours=2))
    assert after.rows(columns="id, status") == [
        (1, "surprise"), (3, "surprise"), (4, "a"), (5, "a"), (9, "b")
    ]  # fmt: skip
    assert after.seen(_deleted="id, status", _history="id, status") == [[(2, "a")], [(1, "a"), (2, "a"), (3, "a")]]
    row = services.ledger.folds.get(after.pattern.source.name, "orders")
    placed = services.ledger.placements
    for table, day in ((after.followed.name, row.since), (after.followed.deleted, row.since)):
        assert day
        placement = placed.get(table, day)
        assert placement and row.locations[table] == placement.location


def test_a_merge_of_which_readers_see_the_rows_is_noted_as_it_is(services: Services) -> None:
    """Whatever a further try would come to: a merge has one outcome."""
    shop = changed(services, "parquet")
    name, source = shop.followed.name, shop.pattern.source.name
    _, writes = killed(changed(services, "parquet"), 0)
    seen: list[list[tuple[Any, ...]]] = []
    for moment in (writes, writes - 1):
        killed(shop, moment)
        seen.append(shop.rows())
        if len(seen[-1]) == 4:
            break
    assert seen[-1] == [(1, "a", None), (4, "a", None), (5, "a", None), (9, "b", None)]
    assert services.ledger.folds.get(source, "orders").number == 1
    shown = services.lake.catalog.table(shop.followed.spec(name, (), "", services.settings.database_prefix))
    after = mended(shop, "parquet")
    merge(services, after.declared, timedelta(hours=1))
    row = services.ledger.folds.get(source, "orders")
    assert shown and (row.number, row.locations[name]) == (2, shown.location)
    assert (row.changes, row.rows, row.deleted) == (3, 4, 2)


def test_a_run_that_was_overtaken_shows_nothing_any_more(services: Services, tmp_path: Path) -> None:
    shop = changed(services, "parquet")
    folds = services.ledger.folds
    due = folds_due(services, [shop.followed], plainly.NoRunIsAlive(), everything=True)
    slow = folds.claim(due[0].fold, "slow")
    assert slow
    again = folds.give_back(slow, "it was taken for dead", None, failed=False)
    assert again and folds.claim(again, "quick")
    with pytest.raises(ClaimLost):
        fold(services, shop.followed, slow, "slow", tmp_path)
    assert shop.seen(_="id", _deleted="id") == [[(n,) for n in range(1, 6)], []]


@pytest.mark.slow
def test_versions_that_go_beyond_a_load_end_with_it_also_after_a_killed_try_has_shown_that(services: Services) -> None:
    shop = followed_source(services, [BOTH])
    folds, source = services.ledger.folds, shop.pattern.source.name
    shop.file(shop.change("I", id=1, status="a"), shop.change("I", id=2, status="a"))
    shop.merge()
    load = next_generation((), services.now() - timedelta(seconds=5), "a test")
    assert folds.open(source, "orders", load)
    shop.load({"id": 1, "status": "b"})
    shop.file({**shop.change("I", id=2, status="again"), "ar_h_change_seq": "9" * 35})
    shop.merge()
    assert shop.rows("_history", "id, _closed_by")[-1] == (2, "9" * 35)
    folds.loaded(source, "orders", load, 1)
    ended = [(1, load.sequence), (2, load.sequence)]
    dying = partial(merge, declared=shop.declared, later=timedelta(days=1))
    assert plainly.killed_at(services, dying, 18)[0] == -9
    assert shop.rows("_history", "id, _closed_by") == ended
    assert not folds.get(source, "orders").merged.loads
    for days in (9, 10):  # a try that died twice waits a while
        merge(services, shop.declared, timedelta(days=days))
    assert folds.get(source, "orders").merged.loads
    assert shop.seen(_history="id, _closed_by", _="id, status") == [ended, [(1, "b"), (2, "again")]]


@pytest.mark.slow
def test_versions_that_a_killed_try_took_from_earlier_dates_are_there_again(services: Services) -> None:
    """A late change makes rows anew, so their versions of earlier dates are written again."""
    feed = {**BOTH, "unchanged": "status"}
    shop = followed_source(services, [feed])
    late = shop.change("U", id=1, status="real")
    shop.file(shop.change("I", id=1, status="a"), shop.change("U", id=1, amount=Decimal(1)), shop.change("I", id=2))
    shop.file(shop.change("D", id=2))
    shop.merge()
    before = shop.rows("_history", "id, status, _seq, _closed_by")
    assert len(before) == 2
    shop.file(late)
    shop.process()
    for moment in (8, 12):
        tomorrow = partial(merge, declared=shop.declared, later=timedelta(days=1, hours=moment))
        plainly.killed_at(services, tomorrow, moment)
    for days in (2, 3):  # a try that died twice waits a while
        merge(services, shop.declared, timedelta(days=days))
    assert services.ledger.folds.get(shop.pattern.source.name, "orders").number == 2
    assert shop.rows("_history", "id, status, _seq, _closed_by") == [
        (1, "a", *before[0][2:]),
        (1, "real", sequence(1), sequence(2)),
        before[1],
    ]
