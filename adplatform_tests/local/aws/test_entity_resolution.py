"""Entity Resolution over the real port with boto3: what it refuses, and jobs that really match."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from adplatform.local.endpoint import ensure
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.local.aws.appflow_world import code
from adplatform_tests.support.matching import (
    FIELDS,
    make_bucket,
    make_table,
    order_fault,
    results,
    run_job,
    unique,
    wait_for_job,
    workflow_request,
)

SERVICE = "entityresolution"
PEOPLE: dict[str, dict[str, list[Any]]] = {
    "2026-01-01": {
        "id": ["a", "b", "c", "d"],
        "email": ["x", None, "y", ""],
        "other_email": [None, "x", None, None],
        "phone": ["1", None, "2", "2"],
    },
    "2026-01-02": {
        "id": ["e", "f", "g"],
        "email": ["z", None, None],
        "other_email": ["z", None, "Z"],
        "phone": [None, None, None],
    },
}


@pytest.fixture
def client(aws: Aws) -> Any:
    return aws.client(SERVICE)


@pytest.fixture
def bucket(aws: Aws) -> str:
    return make_bucket(aws)


def make(client: Any, aws: Aws, bucket: str, people: Any, **more: Any) -> str:
    """A workflow over a table of these people."""
    schema, workflow = unique("schema"), unique("workflow")
    client.create_schema_mapping(schemaName=schema, mappedInputFields=list(FIELDS))
    table = make_table(aws, bucket, people)
    client.create_matching_workflow(workflowName=workflow, **workflow_request(table, bucket, schema, **more))
    return workflow


def entities(rows: list[dict[str, str]]) -> list[str]:
    by_match: dict[str, str] = {}
    for row in rows:
        by_match[row["MatchID"]] = by_match.get(row["MatchID"], "") + row["id"]
    return sorted(by_match.values())


def test_a_job_matches_records_of_all_partitions_by_the_rules(client: Any, aws: Aws, bucket: str) -> None:
    workflow = make(client, aws, bucket, PEOPLE)
    job = run_job(aws, workflow)
    assert job["status"] == "SUCCEEDED"
    rows = results(aws, bucket, workflow, job["jobId"])
    assert entities(rows) == ["ab", "cd", "e", "f", "g"]
    assert {row["id"]: row["MatchRule"] for row in rows if row["MatchRule"]} == {
        "a": "by email",
        "b": "by email",
        "c": "by phone",
        "d": "by phone",
    }
    assert job["metrics"] == {
        "inputRecords": 7,
        "totalRecordsProcessed": 7,
        "recordsNotProcessed": 0,
        "matchIDs": 5,
    }
    assert [each["jobId"] for each in client.list_matching_jobs(workflowName=workflow)["jobs"]] == [job["jobId"]]


def test_only_the_same_attribute_matches_where_the_model_is_one_to_one(client: Any, aws: Aws, bucket: str) -> None:
    workflow = make(client, aws, bucket, PEOPLE, model="ONE_TO_ONE")
    job = run_job(aws, workflow)
    assert entities(results(aws, bucket, workflow, job["jobId"])) == ["a", "b", "cd", "e", "f", "g"]


def test_a_rule_needs_all_of_its_keys_and_matches_reach_further_than_one_step(
    client: Any, aws: Aws, bucket: str
) -> None:
    people = {
        "2026-01-01": {
            "id": ["a", "b", "c", "d", "e"],
            "email": ["x", "x", "y", "y", "y"],
            "other_email": ["y", None, None, None, None],
            "phone": ["1", "1", "1", "2", "1"],
        }
    }
    both = [{"ruleName": "both", "matchingKeys": ["email", "phone"]}]
    workflow = make(client, aws, bucket, people, rules=both)
    job = run_job(aws, workflow)
    assert entities(results(aws, bucket, workflow, job["jobId"])) == ["abce", "d"]


def test_tables_with_columns_of_other_names_are_matched_with_each_other(client: Any, aws: Aws, bucket: str) -> None:
    workflow = make(client, aws, bucket, PEOPLE)
    other = unique("schema")
    fields = [
        {"fieldName": "id", "type": "UNIQUE_ID"},
        {"fieldName": "given", "type": "NAME_FIRST", "groupName": "name"},
        {"fieldName": "mobile", "type": "PHONE_NUMBER", "matchKey": "phone", "hashed": True},
    ]
    client.create_schema_mapping(schemaName=other, mappedInputFields=fields)
    table = make_table(aws, bucket, {"2026-01-01": {"id": ["h", "a"], "given": ["x", "y"], "mobile": ["2", "3"]}})
    asked = client.get_matching_workflow(workflowName=workflow)
    more = workflow_request(table, bucket, other)["inputSourceConfig"]
    given = {name: asked[name] for name in ("outputSourceConfig", "resolutionTechniques", "roleArn")}
    inputs = [*asked["inputSourceConfig"], *more]
    client.update_matching_workflow(workflowName=workflow, inputSourceConfig=inputs, **given)
    job = run_job(aws, workflow)
    rows = results(aws, bucket, workflow, job["jobId"])
    # The id "a" is of both tables, and so of none.
    assert entities(rows) == ["b", "cdh", "e", "f", "g"]
    assert {row["InputSourceARN"] for row in rows if row["id"] == "h"} == {more[0]["inputSourceARN"]}
    assert job["metrics"]["recordsNotProcessed"] == 2


def test_records_without_an_id_of_their_own_are_not_processed(client: Any, aws: Aws, bucket: str) -> None:
    people = {
        "2026-01-01": {
            "id": ["a", "a", None, "b" * 39, "c"],
            "email": ["x"] * 5,
            "other_email": [None] * 5,
            "phone": [None] * 5,
        }
    }
    workflow = make(client, aws, bucket, people)
    job = run_job(aws, workflow)
    assert entities(results(aws, bucket, workflow, job["jobId"])) == ["c"]
    refused = results(aws, bucket, workflow, job["jobId"], "error")
    assert [row["ErrorMessage"] for row in refused] == [
        "The unique ID is not unique",
        "The unique ID is not unique",
        "The unique ID is missing",
        "The unique ID is longer than 38 characters",
    ]
    assert job["metrics"]["recordsNotProcessed"] == 4


def test_a_table_without_a_mapped_column_fails_its_job(client: Any, aws: Aws, bucket: str) -> None:
    people = {"2026-01-01": {"id": ["a"], "email": ["x"], "other_email": ["y"]}}
    job = run_job(aws, make(client, aws, bucket, people))
    assert job["status"] == "FAILED"
    assert "has no column phone" in job["errorDetails"]["errorMessage"]


def test_a_schema_mapping_that_a_workflow_uses_cannot_be_changed(client: Any, aws: Aws, bucket: str) -> None:
    workflow = make(client, aws, bucket, PEOPLE)
    [used] = client.get_matching_workflow(workflowName=workflow)["inputSourceConfig"]
    schema = used["schemaName"]
    assert client.get_schema_mapping(schemaName=schema)["hasWorkflows"]
    for call in (
        lambda: client.update_schema_mapping(schemaName=schema, mappedInputFields=list(FIELDS[:2])),
        lambda: client.delete_schema_mapping(schemaName=schema),
    ):
        with pytest.raises(ClientError) as raised:
            call()
        assert code(raised.value)[0] == "ConflictException"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ([*FIELDS, {"fieldName": "x" * 256, "type": "STRING"}], "length less than or equal to 255"),
        ([*FIELDS, {"fieldName": "größe", "type": "STRING"}], "regular expression pattern"),
        (FIELDS[1:], "exactly one field of the type UNIQUE_ID"),
        ([*FIELDS, FIELDS[1]], "not unique"),
    ],
)
def test_a_schema_mapping_that_the_service_would_not_take_is_refused(client: Any, fields: Any, says: str) -> None:
    with pytest.raises(ClientError, match=says) as raised:
        client.create_schema_mapping(schemaName=unique("schema"), mappedInputFields=list(fields))
    assert code(raised.value)[0] == "ValidationException"


def test_a_workflow_with_unknown_keys_outputs_or_mappings_is_refused(client: Any, aws: Aws, bucket: str) -> None:
    schema = unique("schema")
    client.create_schema_mapping(schemaName=schema, mappedInputFields=list(FIELDS))
    table = ("people", "members")
    unknown = workflow_request(table, bucket, schema, rules=[{"ruleName": "r", "matchingKeys": ["name"]}])
    unknown["outputSourceConfig"][0]["output"].append({"name": "age"})
    with pytest.raises(ClientError, match=r"match key name.*Output field age"):
        client.create_matching_workflow(workflowName=unique("workflow"), **unknown)
    with pytest.raises(ClientError, match="does not exist"):
        client.create_matching_workflow(workflowName=unique("workflow"), **workflow_request(table, bucket, "none"))


def test_names_are_taken_once_and_tags_are_kept(client: Any) -> None:
    schema = unique("schema")
    made = client.create_schema_mapping(schemaName=schema, mappedInputFields=list(FIELDS), tags={"a": "1"})
    with pytest.raises(ClientError) as raised:
        client.create_schema_mapping(schemaName=schema, mappedInputFields=list(FIELDS))
    assert code(raised.value)[0] == "ConflictException"
    client.tag_resource(resourceArn=made["schemaArn"], tags={"b": "2"})
    client.untag_resource(resourceArn=made["schemaArn"], tagKeys=["a"])
    assert client.list_tags_for_resource(resourceArn=made["schemaArn"])["tags"] == {"b": "2"}
    assert client.get_schema_mapping(schemaName=schema)["tags"] == {"b": "2"}
    listed = client.get_paginator("list_schema_mappings").paginate(PaginationConfig={"PageSize": 1})
    assert schema in {each["schemaName"] for page in listed for each in page["schemaList"]}


def test_faults_of_jobs_and_calls(client: Any, aws: Aws, aws_endpoint: str, bucket: str) -> None:
    workflow = make(client, aws, bucket, PEOPLE)
    order_fault(aws_endpoint, SERVICE, "stuck", workflow, seconds=0.5)
    job = client.start_matching_job(workflowName=workflow)["jobId"]
    with pytest.raises(ClientError) as raised:
        client.start_matching_job(workflowName=workflow)
    assert code(raised.value)[0] == "ConflictException"
    wait_for_job(aws, workflow, job)
    order_fault(aws_endpoint, SERVICE, "answer_lost", workflow)
    with pytest.raises(ConnectionClosedError):
        aws.client_once(SERVICE).start_matching_job(workflowName=workflow)
    lost = client.list_matching_jobs(workflowName=workflow)["jobs"][0]["jobId"]
    assert lost != job
    wait_for_job(aws, workflow, lost)
    order_fault(aws_endpoint, SERVICE, "records_refused", workflow, count=2)
    refused = run_job(aws, workflow)
    assert refused["metrics"]["recordsNotProcessed"] == 2
    order_fault(aws_endpoint, SERVICE, "run_fails", workflow)
    assert run_job(aws, workflow)["status"] == "FAILED"
    order_fault(aws_endpoint, SERVICE, "history_expired", workflow)
    assert client.list_matching_jobs(workflowName=workflow)["jobs"] == []
    order_fault(aws_endpoint, SERVICE, "throttled", workflow)
    with pytest.raises(ClientError) as raised:
        aws.client_once(SERVICE).get_matching_workflow(workflowName=workflow)
    assert code(raised.value)[0] == "ThrottlingException"


@pytest.mark.slow
def test_what_is_kept_outlives_the_process_and_a_job_that_went_on_has_failed(tmp_path: Path) -> None:
    with ensure(tmp_path) as endpoint:
        aws = local_aws(endpoint.url)
        client, bucket = aws.client(SERVICE), make_bucket(aws)
        workflow = make(client, aws, bucket, PEOPLE)
        done = run_job(aws, workflow)["jobId"]
        order_fault(endpoint.url, SERVICE, "stuck", workflow)
        stuck = client.start_matching_job(workflowName=workflow)["jobId"]
        kept = client.get_matching_workflow(workflowName=workflow)
    with ensure(tmp_path) as endpoint:
        aws = local_aws(endpoint.url)
        again = aws.client(SERVICE).get_matching_workflow(workflowName=workflow)
        assert {**again, "ResponseMetadata": None} == {**kept, "ResponseMetadata": None}
        assert wait_for_job(aws, workflow, done)["status"] == "SUCCEEDED"
        ended = wait_for_job(aws, workflow, stuck)
        assert (ended["status"], "ended during the job" in ended["errorDetails"]["errorMessage"]) == ("FAILED", True)
        assert run_job(aws, workflow)["status"] == "SUCCEEDED"
