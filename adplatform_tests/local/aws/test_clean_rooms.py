"""Configured tables and analysis rules over the real port with boto3."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.local.endpoint import ensure
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.local.aws.appflow_world import code
from adplatform_tests.support.matching import make_bucket, make_table, order_fault, unique

SERVICE = "cleanrooms"
LIST = {"v1": {"list": {"joinColumns": ["email"], "listColumns": ["country"]}}}


@pytest.fixture
def client(aws: Aws) -> Any:
    return aws.client(SERVICE)


@pytest.fixture
def glue_table(aws: Aws) -> dict[str, Any]:
    columns = {"email": ["x"], "country": ["y"], "orders": ["1"]}
    database, name = make_table(aws, make_bucket(aws), {"2026-01-01": columns})
    return {"glue": {"databaseName": database, "tableName": name}}


@pytest.fixture
def table(client: Any, glue_table: Any) -> str:
    return make(client, glue_table, unique("table"))


def make(client: Any, reference: Any, name: str, columns: tuple[str, ...] = ("email", "country")) -> str:
    made = client.create_configured_table(
        name=name, tableReference=reference, allowedColumns=list(columns), analysisMethod="DIRECT_QUERY"
    )
    return str(made["configuredTable"]["id"])


def refused(call: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call()
    return code(raised.value)[0]


def test_a_table_and_its_rule_are_changed_in_place(client: Any, table: str) -> None:
    by_id = {"configuredTableIdentifier": table}
    rule = {**by_id, "analysisRuleType": "LIST"}
    client.create_configured_table_analysis_rule(**rule, analysisRulePolicy=LIST)
    client.update_configured_table(**by_id, allowedColumns=["email", "orders", "country"], description="more")
    more = {"v1": {"list": {"joinColumns": ["email"], "listColumns": ["orders"]}}}
    client.update_configured_table_analysis_rule(**rule, analysisRulePolicy=more)
    described = client.get_configured_table(**by_id)["configuredTable"]
    assert described["allowedColumns"] == ["email", "orders", "country"]
    assert (described["description"], described["analysisRuleTypes"]) == ("more", ["LIST"])
    found = client.get_configured_table_analysis_rule(**rule)["analysisRule"]
    assert (found["policy"], found["configuredTableId"]) == (more, table)
    assert table in {each["id"] for each in client.list_configured_tables()["configuredTableSummaries"]}
    client.delete_configured_table_analysis_rule(**rule)
    assert refused(lambda: client.get_configured_table_analysis_rule(**rule)) == "ResourceNotFoundException"
    client.delete_configured_table(**by_id)
    assert refused(lambda: client.get_configured_table(**by_id)) == "ResourceNotFoundException"


def test_a_table_has_one_rule_and_that_names_allowed_columns_only(client: Any, table: str) -> None:
    create = client.create_configured_table_analysis_rule
    by_id = {"configuredTableIdentifier": table}
    other = {"v1": {"list": {"joinColumns": ["email"], "listColumns": ["orders"]}}}
    assert refused(lambda: create(**by_id, analysisRuleType="LIST", analysisRulePolicy=other)) == "ValidationException"
    assert refused(lambda: create(**by_id, analysisRuleType="CUSTOM", analysisRulePolicy=LIST)) == "ValidationException"
    create(**by_id, analysisRuleType="LIST", analysisRulePolicy=LIST)
    assert refused(lambda: create(**by_id, analysisRuleType="LIST", analysisRulePolicy=LIST)) == "ConflictException"
    narrower = {**by_id, "allowedColumns": ["email"]}
    assert refused(lambda: client.update_configured_table(**narrower)) == "ValidationException"


def test_a_table_that_the_catalog_does_not_have_is_refused(client: Any, glue_table: Any) -> None:
    other = {"glue": {**glue_table["glue"], "tableName": "none"}}
    assert refused(lambda: make(client, other, "members")) == "ResourceNotFoundException"
    assert refused(lambda: make(client, glue_table, "members", ("email", "age"))) == "ValidationException"
    assert refused(lambda: make(client, glue_table, " ")) == "ValidationException"


def test_names_are_not_unique_and_tags_tell_tables_apart(client: Any, glue_table: Any, table: str) -> None:
    name = client.get_configured_table(configuredTableIdentifier=table)["configuredTable"]["name"]
    again = make(client, glue_table, name)
    arn = client.get_configured_table(configuredTableIdentifier=again)["configuredTable"]["arn"]
    client.tag_resource(resourceArn=arn, tags={"a": "1"})
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "1"}


def test_a_refused_call_changes_nothing(client: Any, aws_endpoint: str, glue_table: Any) -> None:
    name = unique("table")
    order_fault(aws_endpoint, SERVICE, "refused", name)
    assert refused(lambda: make(client, glue_table, name)) == "AccessDeniedException"
    listed = client.get_paginator("list_configured_tables").paginate()
    assert name not in {each["name"] for page in listed for each in page["configuredTableSummaries"]}


@pytest.mark.slow
def test_tables_and_rules_outlive_the_process(tmp_path: Path) -> None:
    with ensure(tmp_path) as endpoint:
        aws = local_aws(endpoint.url)
        client = aws.client(SERVICE)
        database, name = make_table(aws, make_bucket(aws), {"2026-01-01": {"email": ["x"], "country": ["y"]}})
        table = make(client, {"glue": {"databaseName": database, "tableName": name}}, "members")
        rule = {"configuredTableIdentifier": table, "analysisRuleType": "LIST"}
        made = client.create_configured_table_analysis_rule(**rule, analysisRulePolicy=LIST)["analysisRule"]
    with ensure(tmp_path) as endpoint:
        client = local_aws(endpoint.url).client(SERVICE)
        assert client.get_configured_table_analysis_rule(**rule)["analysisRule"] == made
        [listed] = client.list_configured_tables()["configuredTableSummaries"]
        assert (listed["id"], listed["analysisRuleTypes"]) == (table, ["LIST"])
