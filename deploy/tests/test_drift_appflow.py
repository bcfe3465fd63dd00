"""What `adplatform provision` makes of AppFlow on the embedded AWS is what the template says: of a CRM like Salesforce,
which is the application that there is."""

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from adplatform.contracts.saas import SaasSource
from adplatform.engines.pattern import saas_flows
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.local.world.saas.accounts import DEMO_APP
from adplatform.local.world.saas.endpoint import SIMULATED_URL
from deploy.engines.appflow import connection_properties, flow_properties
from deploy.estate import Estate
from deploy.template import Assembly
from deploy.tests.drift import as_deployed, differences
from deploy.tests.test_appflow import flow
from deploy.tests.test_transfer import one

FLOW: Mapping[str, str] = {
    "KMSArn": "provision knows no key of the account's own but that of the zones, which the embedded AWS has not",
    "Tags": "provision gives none",
}
FLOW_TOLD = (
    *("FlowArn", "FlowStatus", "CreatedAt", "CreatedBy", "LastUpdatedAt", "LastUpdatedBy", "SchemaVersion"),
    *("FlowStatusMessage", "LastRunExecutionDetails", "MetadataCatalogConfig", "ResponseMetadata"),
)
CONNECTION: Mapping[str, str] = {
    "KMSArn": FLOW["KMSArn"],
    "ConnectorProfileConfig": "told without credentials; the properties are compared",
}
CONNECTION_TOLD = (
    *("ConnectorProfileArn", "CredentialsArn", "CreatedAt", "LastUpdatedAt", "ConnectorProfileProperties"),
    "ConnectorLabel",
)


@pytest.fixture(scope="module")
def appflow(estate: Estate, embedded: Services) -> Any:
    """A client of AppFlow after `adplatform provision`, for the CRM of this machine in the place of Salesforce's."""
    provision(embedded, [])
    app = {"clientId": DEMO_APP.client_id, "clientSecret": DEMO_APP.client_secret}
    text = json.dumps({**app, "refreshToken": DEMO_APP.refresh_token})
    embedded.secrets.create_secret(Name="crm/salesforce", SecretString=text)
    [crm] = [each for each in estate.of_kind("SaasFlows") if each.name == "crm"]
    declared = cast(SaasSource, crm.model)
    assert declared.connect is not None
    here = declared.model_copy(update={"connect": declared.connect.model_copy(update={"instance_url": SIMULATED_URL})})
    saas_flows(here, embedded.settings).provision(embedded)
    return embedded.aws.client("appflow")


@pytest.mark.parametrize("name", ["crm-contacts", "crm-won_deals"])
def test_a_flow_is_the_same(appflow: Any, assembly: Assembly, name: str) -> None:
    told = flow_properties(appflow.describe_flow(flowName=name), "", "crm")
    wanted = flow(assembly, name)
    purpose = {**FLOW, "FlowStatus": "a flow on demand is active from the start; one with a schedule is compared"}
    assert differences(as_deployed(assembly, told), wanted, purpose, FLOW_TOLD) == {}
    if "FlowStatus" in wanted.properties:
        assert told["FlowStatus"] == wanted.properties["FlowStatus"]


def test_a_connection_is_the_same_but_for_its_address(appflow: Any, assembly: Assembly) -> None:
    [profile] = appflow.describe_connector_profiles()["connectorProfileDetails"]
    config = {"connectorProfileProperties": profile["connectorProfileProperties"]}
    told = as_deployed(assembly, connection_properties({**profile, "connectorProfileConfig": config}))
    wanted = one(assembly, "AWS::AppFlow::ConnectorProfile", ConnectorProfileName="acme-salesforce")
    assert differences(told, wanted, CONNECTION, CONNECTION_TOLD) == {}
    properties = wanted.properties["ConnectorProfileConfig"]["ConnectorProfileProperties"]
    at = told["ConnectorProfileConfig"]["ConnectorProfileProperties"]["Salesforce"]
    assert {**at, "InstanceUrl": "https://acme.my.salesforce.com"} == properties["Salesforce"]
