"""A table that is made of changes after its changes were brought to another hashing key: it is made anew from them."""

from typing import Any

import pytest

from adplatform.changes.folds_due import folds_due
from adplatform.flow.key_rotation import retire_keys, usage
from adplatform.flow.services import Services
from adplatform.privacy.keys import HashKey, fetch_key
from adplatform_tests.flow.rotations import Club
from adplatform_tests.support.changes import ORDERS, followed_source
from adplatform_tests.support.plainly import NoRunIsAlive

PEOPLE: dict[str, Any] = {
    **ORDERS,
    "columns": {"id": {"type": "bigint"}, "status": {"pii": "email", "required": True}, "amount": "decimal(10,2)"},
    "key": "status",
    "outputs": ["current", "history"],
}


def key_of(services: Services) -> HashKey:
    return fetch_key(services.secrets, services.settings.hash_key_secret)


def test_a_merge_that_was_planned_before_the_rotation_makes_the_table_anew(services: Services) -> None:
    shop = followed_source(services, [PEOPLE])
    shop.file(*(shop.change("I", id=n, status=f"p{n}@example.com") for n in range(4)))
    shop.merge()
    shop.file(shop.change("U", id=7, status="p1@example.com"))
    shop.process()
    assert folds_due(services, [shop.followed], NoRunIsAlive(), everything=True)
    Club(services, shop.pattern.source).rotate()
    done = shop.fold()
    assert done and done.changes == 5
    assert shop.rows(columns="id, _pii_key_id") == [(n, key_of(services).id) for n in (0, 2, 3, 7)]


def test_a_key_is_in_use_until_the_tables_made_of_changes_have_left_it(services: Services) -> None:
    shop = followed_source(services, [PEOPLE])
    shop.file(shop.change("I", id=1, status="ann@example.com"), shop.change("U", id=2, status="ann@example.com"))
    shop.merge()
    before, source = key_of(services).id, shop.pattern.source
    Club(services, source).rotate()
    tables = [*source.feeds, *source.derived]
    assert {each.table for each in usage(services.ledger, tables) if each.key_id == before} == {
        shop.followed.name,
        shop.followed.deleted,
        shop.followed.history,
    }
    assert retire_keys(services, tables) == ([], [before])
    shop.fold()
    assert retire_keys(services, tables) == ([before], [])


@pytest.mark.parametrize("table_format", ["parquet", pytest.param("iceberg", marks=pytest.mark.slow)])
def test_a_table_is_made_anew_once_its_changes_are_under_another_key(services: Services, table_format: str) -> None:
    shop = followed_source(services, [{**PEOPLE, "table_format": table_format}])
    people = ("ann@example.com", "bob@example.com", "eve@example.com")
    shop.file(*(shop.change("I", id=n, status=person) for n, person in enumerate(people, 1)))
    shop.merge()
    shop.file(shop.change("U", id=7, status=people[0]), shop.change("D", status=people[1]))
    shop.merge()
    before = key_of(services)
    outcome = Club(services, shop.pattern.source).rotate()
    assert (outcome.problems, outcome.left) == ((), ())
    after = key_of(services)
    assert before.id != after.id
    # Until the next merge readers see one key, the earlier one.
    assert set(shop.rows(columns="status_lake")) == {(before.hmac(people[0]),), (before.hmac(people[2]),)}
    done = shop.fold()
    assert done and done.changes == 5
    assert shop.rows(columns="id, status_lake, _pii_key_id") == [
        (3, after.hmac(people[2]), after.id),
        (7, after.hmac(people[0]), after.id),
    ]
    assert shop.rows("_deleted", "status_lake") == [(after.hmac(people[1]),)]
    assert set(shop.rows("_history", "status_lake")) == {(after.hmac(people[0]),), (after.hmac(people[1]),)}
    assert shop.rows("_live", "id") == [(3,), (7,)]
    shop.file(shop.change("U", id=8, status=people[2]))
    shop.merge()
    assert shop.rows(columns="id") == [(7,), (8,)]
