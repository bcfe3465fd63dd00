"""What goes wrong with AppFlow when it is ordered to, its events, and its connector profiles."""

import json
import time
import urllib.error
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from adplatform.local.signed import order
from adplatform.local.world.saas.accounts import DEMO_APP
from adplatform.local.world.saas.server import Server, serving
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.appflow_world import FIELDS, Events, code, new_world, truth, unique
from adplatform_tests.support.saas import (
    flow_request,
    make_flow,
    make_profile,
    order_fault,
    records,
    rows,
    run_flow,
    wait_for_run,
    written,
)


@pytest.fixture
def made(aws: Aws, saas: Server, bucket: str, flow: str) -> str:
    """A flow that copies the campaigns."""
    return make_flow(aws, saas.url, flow, "Campaign", ["Id", "Name"], bucket)


@pytest.fixture
def hasty(aws: Aws) -> Any:
    """A client that asks once."""
    return aws.client_once("appflow")


def test_report_has_the_form_of_the_real_one(aws: Aws, saas: Server, bucket: str, made: str) -> None:
    events = Events(aws, made)
    record = run_flow(aws, made)
    (event,) = events.wait()
    detail = event["detail"]
    assert event["source"] == "aws.appflow"
    assert len(bytes.fromhex(event["resources"][0])) == 16
    assert all(isinstance(value, str) for value in detail.values())
    assert detail["start-time"].endswith("Z[UTC]")
    assert detail["end-time"].endswith("Z[UTC]")
    assert {
        "execution-id": record["executionId"],
        "status": "Execution Successful",
        "trigger-type": "ONDEMAND",
        "source-object": "Campaign",
        "destination": "S3",
        "destination-object": f"s3://{bucket}",
        "num-of-records-processed": str(len(truth(saas.world, "Campaign", ("Id",)))),
        "num-of-record-failures": "0",
    }.items() <= detail.items()
    assert detail["source"].startswith("SALESFORCE/crm-")


def test_event_is_lost(aws: Aws, aws_endpoint: str, made: str) -> None:
    events = Events(aws, made)
    order_fault(aws_endpoint, "event_lost", made)
    lost, told = run_flow(aws, made)["executionId"], run_flow(aws, made)["executionId"]
    assert lost != told
    assert [event["detail"]["execution-id"] for event in events.wait()] == [told]


def test_event_comes_twice(aws: Aws, aws_endpoint: str, made: str) -> None:
    events = Events(aws, made)
    order_fault(aws_endpoint, "event_twice", made)
    run = run_flow(aws, made)["executionId"]
    assert [event["detail"]["execution-id"] for event in events.wait(2)] == [run, run]


def test_event_comes_late(aws: Aws, aws_endpoint: str, made: str) -> None:
    events = Events(aws, made)
    order_fault(aws_endpoint, "event_late", made, seconds=0.5)
    ended = run_flow(aws, made)
    assert all(event["detail-type"] != "AppFlow End Flow Run Report" for event in events.there())
    events.wait()
    assert time.time() - ended["lastUpdatedAt"].timestamp() >= 0.5


def test_event_comes_before_the_answer(aws: Aws, aws_endpoint: str, appflow: Any, made: str) -> None:
    events = Events(aws, made)
    order_fault(aws_endpoint, "event_early", made)
    order_fault(aws_endpoint, "no_records", made)
    run = appflow.start_flow(flowName=made)["executionId"]
    assert [event["detail"].get("execution-id") for event in events.there()] == [run, run]
    assert records(aws, made) == {}
    assert records(aws, made)[run]["executionStatus"] == "Successful"


def test_answer_is_lost_after_the_start(aws: Aws, aws_endpoint: str, hasty: Any, made: str) -> None:
    order_fault(aws_endpoint, "answer_lost", made)
    with pytest.raises(BotoCoreError):
        hasty.start_flow(flowName=made, clientToken="kept")
    run = hasty.start_flow(flowName=made, clientToken="kept")["executionId"]
    assert wait_for_run(aws, made, run)["executionStatus"] == "Successful"
    assert set(records(aws, made)) == {run}


def test_client_that_asks_again_by_itself_does_not_notice_the_lost_answer(
    aws: Aws, aws_endpoint: str, appflow: Any, made: str
) -> None:
    order_fault(aws_endpoint, "answer_lost", made)
    run = appflow.start_flow(flowName=made)["executionId"]
    wait_for_run(aws, made, run)
    assert set(records(aws, made)) == {run}


def test_records_are_not_there_yet(aws: Aws, aws_endpoint: str, made: str) -> None:
    run = run_flow(aws, made)["executionId"]
    order_fault(aws_endpoint, "no_records", made, times=2)
    assert [set(records(aws, made)) for _ in range(3)] == [set(), set(), {run}]


def test_newest_record_is_on_the_second_page_only(aws: Aws, aws_endpoint: str, appflow: Any, made: str) -> None:
    order_fault(aws_endpoint, "on_page_2", made, times=4)
    runs: set[str] = set()
    for _ in range(4):
        run = run_flow(aws, made)["executionId"]  # whose looks take some of the fault, too
        order_fault(aws_endpoint, "on_page_2", made)
        first = appflow.describe_flow_execution_records(flowName=made)
        assert run not in {record["executionId"] for record in first["flowExecutions"]}
        second = appflow.describe_flow_execution_records(flowName=made, nextToken=first["nextToken"])
        assert second["flowExecutions"][0]["executionId"] == run
        runs.add(run)
        assert set(records(aws, made)) == runs


def test_history_is_gone(aws: Aws, aws_endpoint: str, made: str) -> None:
    run_flow(aws, made)
    order_fault(aws_endpoint, "history_expired", made)
    assert records(aws, made) == {}
    assert set(records(aws, made)) == set()
    run = run_flow(aws, made)["executionId"]
    assert set(records(aws, made)) == {run}


def test_run_takes_a_while(aws: Aws, aws_endpoint: str, appflow: Any, made: str) -> None:
    order_fault(aws_endpoint, "stuck", made, seconds=0.3)
    run = appflow.start_flow(flowName=made)["executionId"]
    assert records(aws, made)[run]["executionStatus"] == "InProgress"
    record = wait_for_run(aws, made, run)
    assert (record["lastUpdatedAt"] - record["startedAt"]).total_seconds() >= 0.3
    assert record["executionStatus"] == "Successful"


def test_run_is_successful_with_files_missing(aws: Aws, aws_endpoint: str, bucket: str, flow: str) -> None:
    with serving(new_world(page_size=50)) as saas:
        make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket)
        order_fault(aws_endpoint, "put_failures", flow, count=2)
        record = run_flow(aws, flow)
        assert record["executionStatus"] == "Successful"
        assert record["executionResult"]["errorInfo"] == {"putFailuresCount": 2}
        there = truth(saas.world, "Contact")
        assert record["executionResult"]["recordsProcessed"] == len(there)
        assert rows(aws, bucket, record["executionId"]) == there[100:]


@pytest.mark.parametrize("count", [0, 2, 100])
def test_run_fails_after_some_files(aws: Aws, aws_endpoint: str, bucket: str, flow: str, count: int) -> None:
    with serving(new_world(page_size=40)) as saas:
        make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket)
        events = Events(aws, flow)
        order_fault(aws_endpoint, "run_fails", flow, count=count)
        record = run_flow(aws, flow)
        assert record["executionStatus"] == "Error"
        assert "SERVER_UNAVAILABLE" in record["executionResult"]["errorInfo"]["executionMessage"]
        files = -(-len(truth(saas.world, "Contact")) // 40)
        assert len(written(aws, bucket, record["executionId"])) == min(count, files)
        (event,) = events.wait()
        assert event["detail"]["status"] == "Execution Failed"
        assert "SERVER_UNAVAILABLE" in event["detail"]["error"]
        assert run_flow(aws, flow)["executionStatus"] == "Successful"


def test_connection_has_expired(aws: Aws, aws_endpoint: str, appflow: Any, made: str) -> None:
    order_fault(aws_endpoint, "connection_expired", made)
    message = run_flow(aws, made)["executionResult"]["errorInfo"]["executionMessage"]
    assert message.startswith("ConnectorAuthenticationException")
    assert appflow.describe_flow(flowName=made)["flowStatus"] == "Errored"


def test_calls_are_throttled(aws_endpoint: str, hasty: Any, made: str) -> None:
    order_fault(aws_endpoint, "throttled", made)
    with pytest.raises(ClientError) as refused:
        hasty.start_flow(flowName=made)
    assert code(refused.value) == ("ThrottlingException", 429)
    assert hasty.describe_flow(flowName=made)["flowName"] == made


def test_unknown_fault_is_refused_with_those_there_are(aws_endpoint: str) -> None:
    fault = {"service": "appflow", "name": "nothing"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        order(aws_endpoint, {"fault": fault})
    assert refused.value.code == 400
    error = json.load(refused.value)["error"]
    assert "no fault appflow nothing" in error
    assert "put_failures" in error


# Connector profiles


def profile_request(url: str, **credentials: Any) -> dict[str, Any]:
    return {
        "connectorProfileName": unique("profile"),
        "connectorType": "Salesforce",
        "connectionMode": "Public",
        "connectorProfileConfig": {
            "connectorProfileProperties": {"Salesforce": {"instanceUrl": url}},
            "connectorProfileCredentials": {"Salesforce": credentials},
        },
    }


def test_profile_with_credentials_that_are_refused(appflow: Any, saas: Server) -> None:
    with pytest.raises(ClientError, match="invalid_grant") as refused:
        appflow.create_connector_profile(**profile_request(saas.url, refreshToken="wrong"))
    assert code(refused.value) == ("ConnectorAuthenticationException", 401)


def test_only_applications_of_this_machine_are_read(appflow: Any) -> None:
    asked = profile_request("https://example.my.salesforce.com", refreshToken="r")
    with pytest.raises(ClientError, match="applications of this machine only") as refused:
        appflow.create_connector_profile(**asked)
    assert code(refused.value) == ("ValidationException", 400)


def test_only_tokens_of_this_machine_are_asked_for(appflow: Any, saas: Server) -> None:
    oauth = {"tokenUrl": "https://login.example.com/token", "oAuth2GrantType": "CLIENT_CREDENTIALS"}
    properties = {"profileProperties": {"instanceUrl": saas.url}, "oAuth2Properties": oauth}
    with pytest.raises(ClientError, match=r"this machine only, .* not 'https://login\.example\.com/token'"):
        appflow.create_connector_profile(
            connectorProfileName=unique("profile"),
            connectorType="CustomConnector",
            connectionMode="Public",
            connectorProfileConfig={"connectorProfileProperties": {"CustomConnector": properties}},
        )


def test_profile_of_an_application_that_is_not_there(appflow: Any) -> None:
    with pytest.raises(ClientError, match="cannot be reached"):
        appflow.create_connector_profile(**profile_request("http://127.0.0.1:1", refreshToken="r"))


@pytest.mark.parametrize("grant", ["refresh token of AppFlow's own app", "client credentials"])
def test_ways_to_log_in(aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str, grant: str) -> None:
    if grant == "client credentials":
        app = json.dumps({"clientId": DEMO_APP.client_id, "clientSecret": DEMO_APP.client_secret})
        arn = aws.client("secretsmanager").create_secret(Name=unique("app"), SecretString=app)["ARN"]
        asked = profile_request(saas.url, clientCredentialsArn=arn, oAuth2GrantType="CLIENT_CREDENTIALS")
    else:
        asked = profile_request(saas.url, refreshToken=DEMO_APP.refresh_token)
    appflow.create_connector_profile(**asked)
    make_flow(aws, saas.url, flow, "Account", ["Id"], bucket, profile=asked["connectorProfileName"])
    assert run_flow(aws, flow)["executionStatus"] == "Successful"


def test_custom_connector_is_read_the_same_way(aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str) -> None:
    profile = unique("profile")
    appflow.create_connector_profile(
        connectorProfileName=profile,
        connectorType="CustomConnector",
        connectorLabel="OurCrm",
        connectionMode="Public",
        connectorProfileConfig={
            "connectorProfileProperties": {
                "CustomConnector": {
                    "profileProperties": {"instanceUrl": saas.url},
                    "oAuth2Properties": {
                        "tokenUrl": f"{saas.url}/services/oauth2/token",
                        "oAuth2GrantType": "CLIENT_CREDENTIALS",
                    },
                }
            },
            "connectorProfileCredentials": {
                "CustomConnector": {
                    "authenticationType": "OAUTH2",
                    "oauth2": {"clientId": DEMO_APP.client_id, "clientSecret": DEMO_APP.client_secret},
                }
            },
        },
    )
    asked = flow_request(profile, flow, "Account", ["Id", "Name"], bucket)
    asked["sourceFlowConfig"] |= {
        "connectorType": "CustomConnector",
        "sourceConnectorProperties": {"CustomConnector": {"entityName": "Account"}},
    }
    for task in asked["tasks"]:
        task["connectorOperator"] = {"CustomConnector": task["connectorOperator"]["Salesforce"]}
    appflow.create_flow(**asked)
    events = Events(aws, flow)
    run = run_flow(aws, flow)["executionId"]
    assert rows(aws, bucket, run) == truth(saas.world, "Account", ("Id", "Name"))
    assert events.wait()[0]["detail"]["source"] == f"CUSTOMCONNECTOR/{profile}"


def test_profiles_are_described_updated_and_deleted(
    aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str
) -> None:
    profile = make_profile(aws, saas.url)
    (described,) = appflow.describe_connector_profiles(connectorProfileNames=[profile])["connectorProfileDetails"]
    assert described["connectorProfileProperties"]["Salesforce"]["instanceUrl"] == saas.url
    assert "connectorProfileCredentials" not in described
    make_flow(aws, saas.url, flow, "Account", ["Id"], bucket, profile=profile)
    with pytest.raises(ClientError) as refused:
        appflow.delete_connector_profile(connectorProfileName=profile)
    assert code(refused.value) == ("ConflictException", 409)
    changed = profile_request(saas.url, refreshToken="wrong") | {"connectorProfileName": profile}
    del changed["connectorType"]
    with pytest.raises(ClientError, match="invalid_grant"):
        appflow.update_connector_profile(**changed)
    changed["connectorProfileConfig"]["connectorProfileCredentials"]["Salesforce"] = {
        "refreshToken": DEMO_APP.refresh_token
    }
    appflow.update_connector_profile(**changed)
    assert run_flow(aws, flow)["executionStatus"] == "Successful"
    appflow.delete_connector_profile(connectorProfileName=profile, forceDelete=True)
    message = run_flow(aws, flow)["executionResult"]["errorInfo"]["executionMessage"]
    assert "the connector profile does not exist any more" in message


def test_objects_and_fields_of_the_application(aws: Aws, appflow: Any, saas: Server) -> None:
    profile = make_profile(aws, saas.url)
    entities = appflow.list_connector_entities(connectorProfileName=profile)["connectorEntityMap"]["Objects"]
    assert {"Contact", "Opportunity"} < {entity["name"] for entity in entities}
    answer = appflow.describe_connector_entity(connectorProfileName=profile, connectorEntityName="Contact")
    fields = {field["identifier"]: field for field in answer["connectorEntityFields"]}
    assert fields["Id"]["isPrimaryKey"]
    assert fields["Email"]["supportedFieldTypeDetails"]["v1"]["fieldType"] == "email"
    assert fields["SystemModstamp"]["sourceProperties"]["isTimestampFieldForIncrementalQueries"]
    with pytest.raises(ClientError, match="NOT_FOUND") as refused:
        appflow.describe_connector_entity(connectorProfileName=profile, connectorEntityName="Nothing")
    assert code(refused.value) == ("ConnectorServerException", 400)
