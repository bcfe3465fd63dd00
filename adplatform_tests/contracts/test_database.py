"""What may be declared of tables that are pulled, and what is said of what may not."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from adplatform.changes.pulled import with_keys
from adplatform.contracts.database import DatabaseSource, Kind
from adplatform.extract.connection import DIALECTS

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "every": "1h",
    "columns": {"id": {"type": "bigint", "required": True}, "note": "string", "at": "timestamp"},
    "key": "id",
}
KEYS = {"cursor": "at", "keys": {"every": "1d"}}


def source(*feeds: dict[str, Any]) -> DatabaseSource:
    made = {"source": "shop", "connection": "shop/database", "feeds": list(feeds)}
    return DatabaseSource.model_validate(made)


def test_the_keys_of_a_table_are_a_feed_of_their_own() -> None:
    declared = with_keys(source({**ORDERS, "incremental": KEYS, "outputs": ["current"]}))
    assert [feed.name for feed in declared.feeds] == ["orders", "orders_keys"]
    keys = declared.feeds[1]
    assert keys.source_table == "orders"
    assert [column.name for column in keys.columns] == ["id"]
    assert keys.incremental is None
    assert keys.every is not None and keys.every.days == 1


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ({"outputs": ["current"], "key": []}, "outputs needs a key"),
        (
            {"columns": {**ORDERS["columns"], "at": {"type": "timestamp", "field": ["at", "changed"]}}},
            "column at: a database is asked for fields by name: give one field, not a list",
        ),
        ({"incremental": KEYS, "key": []}, "incremental.keys compares keys, and key is missing"),
        ({"incremental": KEYS}, r"set outputs: \[current\]"),
        ({"outputs": ["history"]}, "history needs current"),
        ({"outputs": ["current"], "latest_by": "at"}, "leave partition_by and latest_by out"),
        ({"outputs": ["current"], "partition_by": None}, "leave partition_by and latest_by out"),
        ({"outputs": ["current"], "incremental": {**KEYS, "keys": {"every": "1s"}}}, "at least 1m"),
        (
            {"outputs": ["current"], "incremental": KEYS, "skip_rows_where": "id = '0'"},
            "skip_rows_where does not go with incremental: a row that comes to meet it would stay as it was before",
        ),
    ],
)
def test_what_cannot_be_made_is_said_with_what_to_do(feed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        source({**ORDERS, **feed})


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"dialect": "mysql"}, "engine: glue reads PostgreSQL, and dialect is mysql: leave engine out"),
        ({"snapshot_max_age": "8d"}, "snapshot_max_age is the time-out of a run with engine: glue, .* 7d: lower it"),
    ],
)
def test_what_glue_cannot_read_is_refused_where_it_is_declared(setting: dict[str, Any], said: str) -> None:
    made = {"source": "shop", "connection": "shop/database", "feeds": [ORDERS], **setting}
    with pytest.raises(ValidationError, match=said):
        DatabaseSource.model_validate({**made, "engine": "glue"})
    assert DatabaseSource.model_validate(made).engine == "embedded"


def test_a_postgresql_whose_kind_is_declared_may_be_read_by_glue() -> None:
    made = {"source": "shop", "connection": "shop/database", "feeds": [ORDERS], "engine": "glue"}
    assert DatabaseSource.model_validate({**made, "dialect": "postgres"}).dialect == "postgres"


def test_every_kind_of_database_can_be_declared() -> None:
    assert set(get_args(Kind)) == set(DIALECTS)


def test_no_feed_has_the_name_of_a_table_that_is_made_of_another() -> None:
    with pytest.raises(ValidationError, match="feed orders_deleted has the name of a table of orders"):
        source({**ORDERS, "outputs": ["current"]}, {**ORDERS, "name": "orders_deleted", "table": "deleted"})
