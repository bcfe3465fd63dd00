"""Contracts of others as declarations: what is taken, what is asked for, and what is left out with a reason."""

from typing import Any

import pytest
import yaml

from adplatform.contracts.source import PushedSource
from adplatform.failures import PermanentFailure
from adplatform.odcs.declaration import attributes, declaration
from adplatform.odcs.imported import Imported, imported

WEBSHOP = """
apiVersion: v3.0.2
kind: DataContract
id: 6e1f1a2e-0000-4000-8000-000000000001
name: Webshop orders
domain: e-commerce
version: 2.1.0
status: active
tags: [retail]
description: {purpose: Orders of the webshop., limitations: Not for credit scoring.}
servers:
  - {server: production, type: s3, location: "s3://shop/orders/*.csv", format: csv, delimiter: ";"}
schema:
  - name: Orders
    physicalName: orders_v1
    description: All orders.
    properties:
      - name: orderId
        logicalType: string
        physicalType: VARCHAR(36)
        primaryKey: true
        primaryKeyPosition: 1
        logicalTypeOptions: {maxLength: 36, pattern: "^[A-Z]"}
        examples: [A1]
      - {name: customer_email, logicalType: string, classification: restricted}
      - name: 2nd total
        logicalType: number
        physicalType: numeric(12,2)
        logicalTypeOptions: {minimum: 0, exclusiveMaximum: 100000}
      - {name: ordered_at, logicalType: timestamp, physicalType: timestamp_tz, required: true}
      - name: status
        logicalType: string
        quality:
          - {rule: validValues, validValues: [placed, shipped], mustBe: 0}
          - {metric: nullValues, mustBe: 0}
          - {type: sql, query: SELECT 1, mustBe: 1}
      - {name: address, logicalType: object, properties: [{name: street, logicalType: string}]}
      - {name: labels, logicalType: array, items: {logicalType: string}}
      - {name: weight, logicalType: number, unique: true}
    quality:
      - {metric: rowCount, mustBeBetween: [100, 100000]}
      - {type: text, description: As good as can be.}
slaProperties:
  - {property: latency, value: 4, unit: h, element: Orders.ordered_at}
  - {property: retention, value: 3, unit: y, element: Orders.ordered_at}
team:
  - {username: ann@example.com, role: Owner}
  - {username: ann}
price: {priceAmount: 9.95, priceCurrency: USD}
customProperties: [{property: steward, value: someone}]
"""
PLATFORM = """
apiVersion: v3.1.0
kind: DataContract
id: clicks
version: 1.0.0
status: draft
schema:
  - name: clicks
    properties:
      - {name: click_id, logicalType: string, required: true, unique: true}
      - {name: day, logicalType: date, required: true, partitioned: true, partitionKeyPosition: 1}
      - {name: campaign, logicalType: integer, relationships: [{to: campaigns.id}]}
      - {name: birth_date, logicalType: date}
      - {name: viewer, logicalType: string, classification: PII}
  - {name: events, logicalType: object}
  - name: campaigns
    properties:
      - {name: id, physicalType: bigint, primaryKey: true}
      - name: kind
        logicalType: string
        quality: [{metric: invalidValues, arguments: {pattern: "^[a-z]+$"}, mustBe: 0}]
slaProperties:
  - {property: generalAvailability, value: "2026-02-01T00:00:00Z"}
  - {property: frequency, value: 1, unit: d, schedule: 0 6 * * *, scheduler: cron, element: clicks}
team: {name: web, members: []}
"""


def declared(found: Imported) -> dict[str, Any]:
    """The attributes that the YAML declares, which are those of a source."""
    read: dict[str, Any] = yaml.safe_load(declaration(found.component, attributes(found), found.about, found.asks))
    assert read["type"] == "adplatform.components.PartnerPush"
    PushedSource.model_validate(read["attributes"])
    said: dict[str, Any] = read["attributes"]
    return said


def test_a_contract_of_others_becomes_a_source_with_what_it_says() -> None:
    found = declared(imported(WEBSHOP, "2026-01-01"))
    [feed] = found.pop("feeds")
    assert found == {"source": "e_commerce", "owners": ["ann@example.com"]}
    assert feed == {
        "name": "orders",
        "description": "All orders.",
        "start_date": "2026-01-01",
        "columns": {
            "order_id": {"field": "orderId", "required": True, "pattern": "(?:^[A-Z]).*"},
            "customer_email": {"pii": "email"},
            "c_2nd_total": {"type": "decimal(12,2)", "field": "2nd total", "min": "0"},
            "ordered_at": {"type": "timestamp", "required": True},
            "status": {"required": True, "allowed": ["placed", "shipped"]},
            "weight": "double",
        },
        "key": ["order_id"],
        "bounds": {"min_rows": 100, "max_rows": 100000},
        "arrival": {"deadline": "4h"},
        "format": {"delimiter": ";"},
    }


def test_several_objects_are_feeds_of_one_source() -> None:
    found = declared(imported(PLATFORM, "2020-01-01"))
    clicks, campaigns = found["feeds"]
    assert (found["source"], found["owners"]) == ("clicks", ["team:web"])
    assert clicks["columns"] == {
        "click_id": {"required": True},
        "day": {"type": "date", "required": True},
        "campaign": "bigint",
        "birth_date": "date",
        "viewer": {"pii": "generic_id"},
    }
    assert (clicks["key"], clicks["schedule"], clicks["start_date"]) == (["click_id"], "0 6 * * *", "2026-02-01")
    assert campaigns["columns"] == {"id": {"type": "bigint", "required": True}, "kind": {"pattern": "^[a-z]+$"}}
    assert "schedule" not in campaigns


def test_what_is_not_carried_is_named_with_its_place_and_what_to_do() -> None:
    left = imported(WEBSHOP, "2026-01-01").left
    assert {each.place for each in left} == {
        *("tags", "price", "custom property.steward", "description.limitations", "servers.production", "team.members"),
        *("Orders.physicalName", "Orders.orderId.examples", "Orders.orderId: maxLength", "Orders.address"),
        *("Orders.2nd total: exclusiveMaximum", "Orders.status: quality sql", "Orders.labels", "Orders.weight.unique"),
        *("Orders: quality text", "slaProperties: retention"),
    }
    assert all(each.reason and each.remedy for each in left)
    assert {each.place for each in imported(PLATFORM, "2026-01-01").left} == {
        *("clicks.campaign.relationships", "clicks: partitions day", "events"),
    }


def test_what_a_feed_needs_and_a_contract_lacks_is_asked_for() -> None:
    about = [each.partition(": ")[0] for each in imported(WEBSHOP, "2026-01-01").asks]
    assert about == ["Orders.customer_email", "Orders.weight", "Orders", "orders", "arrival"]
    about = [each.partition(": ")[0] for each in imported(PLATFORM, "2026-01-01").asks]
    assert about == ["clicks.birth_date", "clicks.viewer", "format", "arrival"], (
        "it says itself since when there is data"
    )


def test_texts_of_others_are_neither_templates_nor_lines_of_the_declaration() -> None:
    text = WEBSHOP.replace("All orders.", '"{{ env.SECRET }} {% x %}"').replace(
        "id: 6e1f", 'id: "x\\nsource: evil\\e"\nwas: 6e1f'
    )
    text = text.replace("name: weight", 'name: "w\\nfeeds: []"')
    found = imported(text.replace("name: ordered_at", 'name: "On"'), "2026-01-01")
    said = declared(found)
    assert "on" in said["feeds"][0]["columns"]
    assert said["source"] == "e_commerce"
    assert said["feeds"][0]["description"] == "{ { env.SECRET }} { % x %}"
    assert all(each.isprintable() for each in (found.about, *found.asks, *map(str, found.left)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "it is no YAML"),
        ("kind: Other", "has kind: DataContract"),
        ("---\nkind: DataContract\n---\nkind: DataContract\n", "not one contract"),
        ("{kind: DataContract, apiVersion: v2.2.2}", "apiVersion is v2.2.2"),
        ("{kind: DataContract, apiVersion: v3.1.0}", "schema has no objects"),
        ("{kind: DataContract, apiVersion: v3.1.0, schema: {a: 1}}", "schema is no list of mappings"),
        ("{kind: DataContract, apiVersion: v3.1.0, schema: [{id: a}]}", r"schema\[0\] lacks name"),
        ("{kind: DataContract, apiVersion: v3.1.0, schema: [], slaProperties: [{value: 1}]}", r"lacks property"),
        (WEBSHOP.replace("logicalTypeOptions: {minimum", "logicalTypeOptions: [1]\n        x: {minimum"), "no mapping"),
    ],
)
def test_what_is_no_contract_is_refused(text: str, said: str) -> None:
    with pytest.raises(PermanentFailure, match=said):
        imported(text, "2026-01-01")
