"""A merge that is killed before any of its writes is done by the next one, and readers never see half of it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest

from adplatform.contracts.changes import ChangesSource
from adplatform.flow.services import Services
from adplatform.platform.clock import utc_now
from adplatform_tests.support import plainly
from adplatform_tests.support.changes import ORDERS, Changes, changes_of, followed_source

MOMENTS = 60
"""More than a merge has writes."""


def merge(services: Services, declared: ChangesSource, later: timedelta) -> None:
    """As of some time from now: what has died before rests for a while."""
    changes_of(replace(services, now=lambda: utc_now() + later), declared).fold()


def changed(services: Services) -> Changes:
    """A table that was merged once, and changes that wait: one of them late, so that rows are made anew."""
    shop = followed_source(services, [{**ORDERS, "outputs": ["current", "history"], "unchanged": "status"}])
    shop.load(*({"id": n, "status": "long"} for n in range(1, 9)))
    late, newer = shop.change("U", id=1, status="real"), shop.change("U", id=1, amount=Decimal(1))
    shop.file(newer)
    shop.process()
    code, writes = plainly.killed_at(services, partial(merge, declared=shop.declared, later=timedelta(0)), 0)
    assert (code, 5 < writes < MOMENTS) == (0, True)
    shop.file(late, shop.change("D", id=2), shop.change("I", id=9, status="new"))
    shop.process()
    return shop


def seen(shop: Changes) -> list[list[tuple[object, ...]]]:
    values = "id, status, amount"
    return shop.seen(_=values, _deleted=values, _history=f"{values}, _seq, _closed_by")


@pytest.mark.parametrize(
    "moments", [range(1, MOMENTS, 12), *(pytest.param([n], marks=pytest.mark.slow) for n in range(1, MOMENTS))]
)
def test_a_merge_that_is_killed_is_done_by_the_next_one(services: Services, moments: range | list[int]) -> None:
    shop = changed(services)
    before = seen(shop)
    for hours, moment in enumerate(moments):
        later = timedelta(hours=hours)
        code, writes = plainly.killed_at(services, partial(merge, declared=shop.declared, later=later), moment)
        rows = seen(shop)[0]
        assert rows in (
            before[0],
            [(1, "real", Decimal(1)), *((n, "long", None) for n in range(3, 9)), (9, "new", None)],
        )
        assert code in (0, -9), writes
    merge(services, shop.declared, timedelta(hours=MOMENTS))
    rows, deleted, history = seen(shop)
    assert rows == [(1, "real", Decimal(1)), *((n, "long", None) for n in range(3, 9)), (9, "new", None)]
    assert deleted == [(2, "long", None)]
    assert [row[:3] for row in history] == [(1, "long", None), (1, "real", None), (2, "long", None)]
    assert services.ledger.folds.get(shop.pattern.source.name, "orders").number == 2
