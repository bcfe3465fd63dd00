"""Connections that are declared: what AppFlow is asked for, and that nothing of a secret is told to others."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from pydantic import ValidationError

from adplatform.contracts.saas import OWN_CONNECTORS, SaasSource
from adplatform.engines.declared_connections import (
    DeclaredConnection,
    connection_request,
    declared_connection,
    provide_connection,
)
from adplatform.failures import PermanentFailure
from adplatform.local.world.saas.accounts import DEMO_APP
from adplatform.local.world.saas.server import Server, serving
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.appflow_world import new_world, unique

FEED = {"name": "things", "object": "Thing", "columns": {"id": "string"}, "start_date": "2026-01-01"}
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:crm"


def source(connector: str = "Salesforce", **settings: Any) -> SaasSource:
    custom = {} if connector in OWN_CONNECTORS else {"api_version": "v1"}
    given = {"source": "crm", "connector": connector, "connection": "crm", "feeds": [FEED], **custom, **settings}
    return SaasSource.model_validate(given)


def connection(connector: str = "Salesforce", **made: Any) -> DeclaredConnection:
    connect = {"secret": "crm", "instance_url": "https://acme.example.com", **made}
    found = declared_connection(source(connector, connect=connect))
    assert found is not None
    return found


def asked(declared: DeclaredConnection) -> dict[str, Any]:
    return connection_request(
        declared, {name: f"<{name}>" for name in declared.members}, ARN, "arn:aws:kms:us-east-1:123456789012:key/k"
    )


def config(declared: DeclaredConnection) -> Mapping[str, Any]:
    found: Mapping[str, Any] = asked(declared)["connectorProfileConfig"]
    return found


@pytest.mark.parametrize("connector", sorted({*OWN_CONNECTORS, "HubSpot"}))
def test_every_connector_is_asked_for_as_the_service_model_says(connector: str) -> None:
    model = botocore.session.get_session().get_service_model("appflow")
    request = asked(connection(connector))
    report = ParamValidator().validate(request, model.operation_model("CreateConnectorProfile").input_shape)
    assert report.generate_report() == ""
    assert request["connectorType"] in model.shape_for("ConnectorType").enum


def test_salesforce_gets_its_token_and_reads_the_client_by_itself() -> None:
    found = config(connection(sandbox=True))
    assert found["connectorProfileCredentials"] == {
        "Salesforce": {"refreshToken": "<refreshToken>", "clientCredentialsArn": ARN}
    }
    properties = {"instanceUrl": "https://acme.example.com", "isSandboxEnvironment": True}
    assert found["connectorProfileProperties"] == {"Salesforce": properties}


def test_salesforce_by_a_signed_token_needs_no_client() -> None:
    credentials = config(connection(members=["jwtToken"]))["connectorProfileCredentials"]
    assert credentials == {"Salesforce": {"jwtToken": "<jwtToken>", "oAuth2GrantType": "JWT_BEARER"}}


def test_a_custom_connector_is_told_apart_by_its_label() -> None:
    by_key = connection("HubSpot", authentication="api_key", properties={"region": "eu"})
    assert asked(by_key)["connectorLabel"] == "HubSpot"
    credentials = {"authenticationType": "APIKEY", "apiKey": {"apiKey": "<apiKey>"}}
    assert config(by_key)["connectorProfileCredentials"] == {"CustomConnector": credentials}
    by_token = connection("HubSpot", token_url="https://acme.example.com/token")
    assert config(by_token)["connectorProfileProperties"]["CustomConnector"] == {
        "profileProperties": {"instanceUrl": "https://acme.example.com"},
        "oAuth2Properties": {"tokenUrl": "https://acme.example.com/token", "oAuth2GrantType": "AUTHORIZATION_CODE"},
    }


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"connect": {"secret": "crm"}}, "instance_url is missing"),
        ({"connect": {"secret": "crm", "instance_url": "http://acme.example.com"}}, "instance_url"),
        ({"connect": {"secret": "crm", "instance_url": "https://a", "properties": {"apiKey": "x"}}}, "looks like a se"),
        ({"connect": {"secret": "crm", "instance_url": "https://a", "authentication": "basic"}}, "custom connector"),
        ({"connect": {"secret": "crm", "instance_url": "https://a"}, "simulated": True}, "not simulated"),
        ({"connect": {"secret": "crm", "instance_url": "https://a"}, "connection": None}, "connection"),
    ],
)
def test_what_cannot_be_a_connection_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        source(**settings)


@pytest.fixture
def saas() -> Iterator[Server]:
    with serving(new_world()) as server:
        yield server


def test_a_connection_is_made_once_with_what_its_secret_has(aws: Aws, saas: Server) -> None:
    name = unique("crm")
    secret = {"clientId": DEMO_APP.client_id, "clientSecret": DEMO_APP.client_secret}
    kept = json.dumps({**secret, "refreshToken": DEMO_APP.refresh_token})
    aws.client("secretsmanager").create_secret(Name=name, SecretString=kept)
    connect = {"secret": name, "instance_url": saas.url}
    declared = declared_connection(source(connect=connect, connection=name))
    assert declared is not None
    appflow, secrets = aws.client("appflow"), aws.client("secretsmanager")
    assert [provide_connection(appflow, secrets, declared) for _ in range(2)] == [True, False]
    offered = appflow.list_connector_entities(connectorProfileName=name)["connectorEntityMap"]
    assert offered, "AppFlow has logged in with it"


def test_credentials_that_are_refused_are_in_no_error(aws: Aws, saas: Server) -> None:
    name = unique("crm")
    kept = json.dumps({"clientId": "nobody", "clientSecret": "S3CR3T-client", "refreshToken": "S3CR3T-token"})
    aws.client("secretsmanager").create_secret(Name=name, SecretString=kept)
    declared = declared_connection(source(connect={"secret": name, "instance_url": saas.url}, connection=name))
    assert declared is not None
    with pytest.raises(PermanentFailure, match=f"does not take the credentials of secret {name}") as raised:
        provide_connection(aws.client("appflow"), aws.client("secretsmanager"), declared)
    assert "S3CR3T" not in str(raised.value)
    assert raised.value.__context__ is None
