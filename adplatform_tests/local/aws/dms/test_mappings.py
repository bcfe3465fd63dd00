"""Table mappings: which tables are taken, and which columns are added."""

import json
import re
from typing import Any

import pytest

from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.dms.source_tables import ORDERS, written
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import dms_task


@pytest.fixture
def orders(shop: Database) -> Database:
    shop.execute(ORDERS, "INSERT INTO orders VALUES (1, 'loaded', 1)")
    return shop


def test_columns_can_be_added_with_what_is_known_of_a_change(aws: Aws, orders: Database) -> None:
    def rule(number: int, name: str, expression: str, length: int = 50) -> dict[str, Any]:
        return {
            "rule-type": "transformation",
            "rule-id": str(number),
            "rule-name": str(number),
            "rule-target": "column",
            "object-locator": {"schema-name": "%", "table-name": "%"},
            "rule-action": "add-column",
            "value": name,
            "expression": expression,
            "data-type": {"type": "string", "length": length},
        }

    locator = {"schema-name": "public", "table-name": "orders"}
    selected = {"rule-type": "selection", "rule-id": "1", "rule-name": "1", "object-locator": locator}
    rules = [
        {**selected, "rule-action": "explicit", "filters": []},
        rule(2, "at", "$AR_H_STREAM_POSITION"),
        rule(3, "short", "$AR_H_CHANGE_SEQ", 20),
        rule(4, "source", "$AR_M_SOURCE_TABLE_NAME"),
    ]
    with dms_task(aws, orders, mappings={"rules": rules}) as task:
        written(task, orders, "UPDATE orders SET name = 'b'")
        [row], [change] = task.loaded("public.orders"), task.changes("public.orders")
    assert (row["at"], row["short"], row["source"]) == ("", "", "orders")
    assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", str(change["at"]))
    assert re.fullmatch(r"\d{20}", str(change["short"]))


@pytest.mark.parametrize(
    ("rules", "taken"),
    [
        ([("include", "public", "%")], ["public.order_lines", "public.orders", "public.returns"]),
        ([("include", "%", "order%")], ["public.order_lines", "public.orders", "sales.orders"]),
        ([("include", "%", "%"), ("exclude", "public", "%")], ["sales.orders"]),
        ([("include", "public", "order_")], ["public.orders"]),
        ([("include", "public", "[or]e%"), ("explicit", "public", "order_lines")], None),
        ([("explicit", "%", "orders")], []),
    ],
)
def test_rules_select_tables(
    aws: Aws, orders: Database, rules: list[tuple[str, str, str]], taken: list[str] | None
) -> None:
    orders.execute(
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.orders (id int PRIMARY KEY)",
        "CREATE TABLE order_lines (id int PRIMARY KEY)",
        "CREATE TABLE returns (id int PRIMARY KEY)",
    )
    mappings = {
        "rules": [
            {
                "rule-type": "selection",
                "rule-id": str(number),
                "rule-name": str(number),
                "object-locator": {"schema-name": schema, "table-name": table},
                "rule-action": action,
            }
            for number, (action, schema, table) in enumerate(rules, start=1)
        ]
    }
    with dms_task(aws, orders, mappings=mappings, kind="full-load") as task:
        if taken == []:
            task.start(until=["failed"])
            assert "No tables were found" in task.described()["LastFailureMessage"]
        else:
            task.start(until=["stopped"])
            assert sorted(task.statistics()) == (taken or ["public.order_lines", "public.returns"])


def test_what_is_not_known_ends_the_task_with_the_reason(aws: Aws, orders: Database) -> None:
    locator = {"schema-name": "public", "table-name": "orders"}
    base = {"rule-id": "1", "rule-name": "1", "object-locator": locator}
    include = {**base, "rule-type": "selection", "rule-action": "include"}
    rename = {**base, "rule-type": "transformation", "rule-action": "rename", "rule-target": "table", "value": "x"}
    with dms_task(aws, orders, mappings={"rules": [include, rename]}) as task:
        task.start(until=["failed"])
        said = task.described()
        assert "transformation rename" in said["LastFailureMessage"]
        assert said["StopReason"] == "Stop Reason FATAL_ERROR"
        assert json.loads(said["TableMappings"])["rules"][1] == rename
