"""Which resources a table declares, and which tables declare none."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from moto.core.utils import get_service_model

from adplatform.consumers.registration.registered import Declared, declared
from adplatform.consumers.registration.resource import SOURCE, TABLE, Wanted, place_of
from adplatform.local.aws import shapes
from adplatform.platform.settings import Settings
from adplatform_tests.consumers.tables import MEMBERS, consumed_of, feed

PLACE = place_of(Settings(env="local", home=Path(), kms_key_id="alias/lake"), "123456789012")
AGGREGATION: dict[str, Any] = {
    "kind": "aggregation",
    "join": "email_amazon_ads",
    "dimensions": "country",
    "aggregates": {"sum": "orders", "count_distinct": ["email_amazon_ads"]},
    "minimum": {"email_amazon_ads": 100},
}
CONSUMERS: dict[str, Any] = {
    "clean_rooms": {"columns": ["orders", "email_amazon_ads", "country"], "rule": AGGREGATION},
    "entity_resolution": {
        "unique_id": "member_id_short_id",
        "columns": {"email_lake": "EMAIL_ADDRESS", "country": {"type": "ADDRESS_COUNTRY", "group": "place"}},
        "rules": [{"name": "by email", "match": "email_lake"}, {"name": "by place", "match": ["place"]}],
    },
}


def of(consumers: Any, columns: dict[str, Any] = MEMBERS, *, in_catalog: bool = True) -> Declared:
    return declared([consumed_of(feed(consumers, columns))], PLACE, lambda _: in_catalog)


def by_kind(consumers: Any) -> dict[str, Wanted]:
    return {each.kind: each for each in of(consumers).wanted}


@pytest.mark.parametrize(
    "rule",
    [
        AGGREGATION,
        {"kind": "list", "join": "email_amazon_ads", "outputs": "country"},
        {
            "kind": "custom",
            "analyses": "arn:aws:cleanrooms:us-east-1:123456789012:membership/1a/analysistemplate/2b",
            "hidden": "email_amazon_ads",
        },
    ],
)
def test_requests_are_what_the_services_take(rule: dict[str, Any]) -> None:
    wanted = by_kind({**CONSUMERS, "clean_rooms": {"columns": ["orders", "email_amazon_ads", "country"], "rule": rule}})
    table = {**wanted["configured table"].definition}
    made = table.pop("analysisRule")
    given = {
        "configuredTableIdentifier": str(UUID(int=0)),
        "analysisRuleType": made["type"],
        "analysisRulePolicy": made["policy"],
    }
    mapping, workflow = wanted["schema mapping"], wanted["matching workflow"]
    requests = [
        ("cleanrooms", "CreateConfiguredTable", {"name": wanted["configured table"].name, **table}),
        ("cleanrooms", "CreateConfiguredTableAnalysisRule", given),
        ("entityresolution", "CreateSchemaMapping", {"schemaName": mapping.name, **mapping.definition}),
        ("entityresolution", "CreateMatchingWorkflow", {"workflowName": workflow.name, **workflow.definition}),
    ]
    for service, operation, request in requests:
        shape = get_service_model(service).operation_model(operation).input_shape
        assert list(shapes.faults(shape, request)) == [], operation
        unknown = request.keys() - shape.members.keys()
        assert not unknown, operation


def test_a_workflow_requires_a_mapping_whose_name_changes_with_its_columns() -> None:
    wanted = by_kind(CONSUMERS)
    mapping, workflow = wanted["schema mapping"], wanted["matching workflow"]
    assert workflow.requires == (mapping.key,)
    assert workflow.definition["inputSourceConfig"][0]["schemaName"] == mapping.name
    fewer = {**CONSUMERS["entity_resolution"], "columns": {"email_lake": "EMAIL_ADDRESS"}}
    fewer["rules"] = fewer["rules"][:1]
    other = by_kind({"entity_resolution": fewer})
    assert other["schema mapping"].name != mapping.name
    assert other["matching workflow"].name == workflow.name


def test_hashed_columns_are_told_to_be_hashed_and_results_have_the_id_alone() -> None:
    wanted = by_kind(CONSUMERS)
    fields = wanted["schema mapping"].definition["mappedInputFields"]
    assert {each["fieldName"]: each.get("hashed") for each in fields} == {
        "member_id_short_id": None,
        "country": False,
        "email_lake": True,
    }
    [output] = wanted["matching workflow"].definition["outputSourceConfig"]
    assert output["output"] == [{"name": "member_id_short_id", "hashed": False}]
    assert output["outputS3Path"] == "s3://adplatform-raw/matches/acme/members/"
    assert output["KMSArn"] == "arn:aws:kms:us-east-1:123456789012:alias/lake"


def test_what_is_made_has_tags_of_its_source_and_table() -> None:
    for each in of(CONSUMERS).wanted:
        assert each.tags == {SOURCE: "acme", TABLE: "clean_acme.members"}
        assert PLACE.is_own(each.tags)
    assert not PLACE.is_own({SOURCE: "acme", TABLE: "clean_dev_acme.members"})


@pytest.mark.parametrize(
    ("consumers", "says"),
    [
        ({"clean_rooms": {"columns": ["phone", "country"]}}, "it is personal (phone) and stored in clear"),
        (
            {"clean_rooms": {"rule": {**AGGREGATION, "minimum": {}}}},
            "rule.minimum: without a minimum single rows can be put out",
        ),
        (
            {"entity_resolution": {**CONSUMERS["entity_resolution"], "unique_id": "member_id_lake"}},
            "a digest has 64 characters",
        ),
    ],
)
def test_a_table_that_is_not_fit_is_not_registered(consumers: dict[str, Any], says: str) -> None:
    """Whatever else of it another service takes."""
    found = of({**CONSUMERS, **consumers})
    [refused] = found.refused
    assert [refused.consumer] == list(consumers)
    assert says in "; ".join(refused.reasons)
    assert {each.consumer for each in found.wanted} == CONSUMERS.keys() - consumers.keys()


def test_a_table_that_is_not_in_the_catalog_yet_is_not_registered() -> None:
    found = of(CONSUMERS, in_catalog=False)
    assert not found.wanted
    assert {reason for each in found.refused for reason in each.reasons} == {
        "it is not in the catalog yet: the first publication of the feed makes it"
    }
