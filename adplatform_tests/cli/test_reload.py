"""A table that is loaded again by a command, where no replication can be asked."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from adplatform.cli.reload import reloaded
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform_tests.support.changes import ORDERS, Changes, followed_source
from adplatform_tests.support.plainly import NoRunIsAlive
from adplatform_tests.support.waiting import next_second


@pytest.fixture
def shop(services: Services) -> Changes:
    """A declared source whose files somebody else's DMS writes."""
    return followed_source(services, [ORDERS, {**ORDERS, "name": "logs", "table": "public.logs", "outputs": []}])


def said(shop: Changes, table: str, *, whole: bool = False) -> str:
    time.sleep(0.01)  # loads are told apart to hundredths of a second; people who ask for them are slower
    name = f"{shop.pattern.source.name}/{table}"
    return reloaded(shop.services, [shop.pattern], name, "a lost slot", whole=whole)


def test_a_load_is_in_the_ledger_before_anybody_asks_for_it_and_whole_once_somebody_says_so(shop: Changes) -> None:
    folds, source = shop.services.ledger.folds, shop.pattern.source.name
    assert "have DMS load the table now" in said(shop, "orders")
    [load] = folds.generations(source, "orders")
    assert (load.reason, load.loaded_at) == ("a lost slot", None)
    # One that is wanted again has broken off.
    assert "load 2 begins" in said(shop, "orders")
    assert "load 2 is whole" in said(shop, "orders", whole=True)
    first, load = folds.generations(source, "orders")
    assert (first.loaded_at, load.loaded_at is not None) == (None, True)
    assert "load 3 begins" in said(shop, "orders")


@pytest.mark.parametrize(
    ("table", "whole", "why"),
    [
        ("nothing", False, "no table"),
        ("logs", False, "keeps changes only"),
        ("orders", True, "no load has begun"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_the_reason(shop: Changes, table: str, whole: bool, why: str) -> None:
    with pytest.raises(PermanentFailure, match=why):
        said(shop, table, whole=whole)


def test_a_load_is_not_whole_before_files_are_processed_of_which_nobody_has_heard(shop: Changes) -> None:
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"})
    shop.merge()
    next_second()
    said(replace(shop, pattern=replace(shop.pattern, margin=timedelta(0))), "orders")
    shop.load({"id": 1, "status": "b"})
    shop.load({"id": 3, "status": "b"}, number=2)
    assert "2 files have come that are to be processed first; load 1 is whole" in said(shop, "orders", whole=True)
    assert shop.fold() is None
    settled, _ = shop.services.settler(shop.pattern.source).due(NoRunIsAlive())
    assert (len(settled), shop.fold()) == (1, None)
    assert shop.rows(columns="id, status") == [(1, "a"), (2, "a")]
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "b"), (3, "b")]
