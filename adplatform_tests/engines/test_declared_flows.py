"""Flows that are declared: what AppFlow is asked for, what is found out before, and what they bring."""

from collections.abc import Iterator
from typing import Any

import pytest

from adplatform.contracts.saas import OWN_CONNECTORS, SaasSource
from adplatform.engines.declared_flows import drift, flow_request, provide
from adplatform.failures import PermanentFailure
from adplatform.local.world.saas.accounts import DEMO_APP
from adplatform.local.world.saas.server import Server, serving
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.appflow_world import NOW, new_bucket, new_world, unique
from adplatform_tests.support.saas import make_profile, rows, run_flow

ACCOUNTS: dict[str, Any] = {
    "name": "accounts",
    "object": "Account",
    "columns": {"id": {"field": "Id", "required": True}, "type": {"field": "Type"}},
}


@pytest.fixture
def saas() -> Iterator[Server]:
    with serving(new_world()) as server:
        yield server


@pytest.fixture
def profile(aws: Aws, saas: Server) -> str:
    return make_profile(aws, saas.url)


def request(feed: Any, connection: str, bucket: str = "raw", **common: Any) -> dict[str, Any]:
    declared = SaasSource.model_validate(
        {"source": "crm", "connection": connection, "start_date": "2026-01-01", "feeds": [feed], **common}
    )
    return flow_request(
        declared.feeds[0],
        flow=unique("flow"),
        connector=declared.connector,
        connection=connection,
        bucket=bucket,
        prefix="landing/crm/",
        api_version=declared.version,
    )


def test_a_flow_is_made_once(aws: Aws, profile: str) -> None:
    client, wanted = aws.client("appflow"), request("accounts", profile, new_bucket(aws))
    assert [provide(client, wanted) for _ in range(2)] == [True, False]
    described = client.describe_flow(flowName=wanted["flowName"])
    assert described["flowStatus"] == "Active"
    assert list(drift(wanted, described)) == []


def test_a_description_is_written_in_characters_that_appflow_takes(profile: str) -> None:
    wanted = request({"extends": "contacts", "description": "People (EU): Ann's"}, profile)
    assert wanted["description"] == "People  EU   Ann s"


def test_a_field_that_the_application_has_not_is_found_out_before_the_flow_is_made(aws: Aws, profile: str) -> None:
    client = aws.client("appflow")
    wanted = request({"extends": "accounts", "columns": {"kind": {"field": "Typ"}}}, profile)
    with pytest.raises(
        PermanentFailure, match=r"Account has no Typ \(did you mean Type\?\) that the connection may read"
    ):
        provide(client, wanted)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_flow(flowName=wanted["flowName"])


def test_an_object_that_is_not_there_is_named_with_those_that_are(aws: Aws, profile: str) -> None:
    with pytest.raises(
        PermanentFailure, match=r"the object Acount cannot be read \(did you mean Account\?\).* Account, "
    ):
        provide(aws.client("appflow"), request({**ACCOUNTS, "object": "Acount"}, profile))


def test_a_flow_with_a_schedule_is_made_and_runs(aws: Aws, profile: str) -> None:
    client = aws.client("appflow")
    schedule = {"expression": "rate(1days)", "first_from": "2026-01-01T00:00:00Z", "suspend_after": 3}
    wanted = request({"extends": "accounts", "scheduled": schedule}, profile, new_bucket(aws))
    provide(client, wanted)
    described = client.describe_flow(flowName=wanted["flowName"])
    assert described["flowStatus"] == "Active"
    assert described["sourceFlowConfig"]["incrementalPullConfig"] == {"datetimeTypeFieldName": "SystemModstamp"}
    assert described["triggerConfig"]["triggerProperties"]["Scheduled"]["dataPullMode"] == "Incremental"
    assert list(drift(wanted, described)) == []
    on_demand = request("accounts", profile)
    assert list(drift(on_demand, described)) == [
        "the trigger is Scheduled, rate(1days), Incremental in AppFlow, and declared as OnDemand"
    ]
    client.stop_flow(flowName=wanted["flowName"])


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ({"values": "Customer"}, {"Customer"}),
        ({"values": ["Customer", "Partner"]}, {"Customer", "Partner"}),
        ({"operator": "not_equal_to", "values": "Customer"}, {"Partner", "Prospect"}),
    ],
)
def test_filters_leave_records_out(
    aws: Aws, saas: Server, profile: str, condition: dict[str, Any], kept: set[str]
) -> None:
    bucket = new_bucket(aws)
    wanted = request({**ACCOUNTS, "filters": [{"field": "Type", **condition}]}, profile, bucket)
    provide(aws.client("appflow"), wanted)
    run = run_flow(aws, wanted["flowName"])
    truth = [r["Id"] for r in saas.world.records("Account", NOW) if not r["IsDeleted"] and r["Type"] in kept]
    assert sorted(row["Id"] for row in rows(aws, bucket, run["executionId"])) == sorted(truth)
    described = aws.client("appflow").describe_flow(flowName=wanted["flowName"])
    [said] = drift(request(ACCOUNTS, profile, bucket), described)
    assert said.startswith("the condition on records is Type ")
    assert said.endswith(" in AppFlow, and declared as none")


def test_deleted_records_come_where_that_is_declared(aws: Aws, saas: Server, profile: str) -> None:
    bucket = new_bucket(aws)
    wanted = request("campaign_members", profile, bucket)
    provide(aws.client("appflow"), wanted)
    run = run_flow(aws, wanted["flowName"])
    found = {row["Id"]: row["IsDeleted"] for row in rows(aws, bucket, run["executionId"])}
    assert found == {record["Id"]: record["IsDeleted"] for record in saas.world.records("CampaignMember", NOW)}
    assert any(found.values())


def test_of_a_member_within_a_member_the_whole_is_brought_once() -> None:
    wanted = request("ad_analytics", "linkedin", connector="LinkedInAds")
    fields = wanted["tasks"][0]["sourceFields"]
    assert [field for field in fields if "dateRange" in field] == ["dateRange"]


def test_a_connector_of_its_own_type_is_told_no_entity_and_maps_as_it_can() -> None:
    analytics = request(ACCOUNTS, "ga", connector="Googleanalytics")
    source, maps = analytics["sourceFlowConfig"], [t for t in analytics["tasks"] if t["taskType"] == "Map"]
    assert source["connectorType"] == "Googleanalytics"
    assert source["sourceConnectorProperties"] == {"GoogleAnalytics": {"object": "Account"}}
    assert all("connectorOperator" not in task for task in maps)


def test_a_custom_connector_is_told_an_entity_and_a_version() -> None:
    source = request("contacts", "hubspot", connector="HubSpot")["sourceFlowConfig"]
    assert (source["connectorType"], source["apiVersion"]) == ("CustomConnector", "v3")
    assert source["sourceConnectorProperties"] == {"CustomConnector": {"entityName": "contact"}}


def test_a_flow_of_a_custom_connector_brings_what_is_declared(aws: Aws, saas: Server) -> None:
    bucket, connection = new_bucket(aws), unique("custom")
    app = {"oAuth2GrantType": "AUTHORIZATION_CODE", "tokenUrl": f"{saas.url}/services/oauth2/token"}
    secrets = {"clientId": DEMO_APP.client_id, "clientSecret": DEMO_APP.client_secret}
    aws.client("appflow").create_connector_profile(
        connectorProfileName=connection,
        connectorType="CustomConnector",
        connectorLabel="Ours",
        connectionMode="Public",
        connectorProfileConfig={
            "connectorProfileProperties": {
                "CustomConnector": {"profileProperties": {"instanceUrl": saas.url}, "oAuth2Properties": app}
            },
            "connectorProfileCredentials": {
                "CustomConnector": {
                    "authenticationType": "OAUTH2",
                    "oauth2": {**secrets, "refreshToken": DEMO_APP.refresh_token},
                }
            },
        },
    )
    wanted = request(ACCOUNTS, connection, bucket, connector="Ours", api_version="v1")
    assert provide(aws.client("appflow"), wanted)
    run = run_flow(aws, wanted["flowName"])
    truth = [r["Id"] for r in saas.world.records("Account", NOW) if not r["IsDeleted"]]
    assert sorted(row["Id"] for row in rows(aws, bucket, run["executionId"])) == sorted(truth)


def test_what_a_connector_cannot_do_is_said_before_a_flow_is_made(aws: Aws) -> None:
    client = aws.client("appflow")
    own = {"name": "leads", "object": "Lead", "every": "1d", "columns": {"id": "string"}}
    filtered = {**own, "filters": [{"field": "id", "values": "1"}]}
    with pytest.raises(PermanentFailure, match=r"the connector Marketo cannot do EQUAL_TO; it can do PROJECTION, "):
        provide(client, request(filtered, "marketo", connector="Marketo"))
    with pytest.raises(PermanentFailure, match=r"the connector Amplitude cannot do PROJECTION; it can do BETWEEN\."):
        provide(client, request(own, "amplitude", connector="Amplitude"))


def test_connectors_are_spelled_as_appflow_does(aws: Aws) -> None:
    model = aws.client("appflow").meta.service_model
    assert set(OWN_CONNECTORS) <= set(model.shape_for("ConnectorType").enum)
    properties = model.shape_for("SourceConnectorProperties").members
    operators = model.shape_for("ConnectorOperator").members
    for name in OWN_CONNECTORS.values():
        assert "object" in properties[name].members
        assert ("NO_OP" in operators[name].enum) == (name not in ("Amplitude", "GoogleAnalytics"))
