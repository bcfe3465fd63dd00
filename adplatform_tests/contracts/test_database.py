"""What may be declared of tables that are pulled, and what is said of what may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.changes.pulled import with_keys
from adplatform.contracts.database import DatabaseSource

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
        ({"incremental": KEYS, "key": []}, "incremental.keys compares keys, and key is missing"),
        ({"incremental": KEYS}, r"set outputs: \[current\]"),
        ({"outputs": ["history"]}, "history needs current"),
        ({"outputs": ["current"], "latest_by": "at"}, "leave partition_by and latest_by out"),
        ({"outputs": ["current"], "partition_by": None}, "leave partition_by and latest_by out"),
        ({"outputs": ["current"], "incremental": {**KEYS, "keys": {"every": "1s"}}}, "at least 1m"),
    ],
)
def test_what_cannot_be_made_is_said_with_what_to_do(feed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        source({**ORDERS, **feed})


def test_no_feed_has_the_name_of_a_table_that_is_made_of_another() -> None:
    with pytest.raises(ValidationError, match="feed orders_deleted has the name of a table of orders"):
        source({**ORDERS, "outputs": ["current"]}, {**ORDERS, "name": "orders_deleted", "table": "deleted"})
