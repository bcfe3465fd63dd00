"""Connections of AppFlow that YAML declares: what each is asked for, in provision and in a deployment alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adplatform.contracts.saas import OWN_CONNECTORS, SaasSource
from adplatform.contracts.saas_connection import MadeConnection
from adplatform.engines.handed_secrets import hidden, read_secret
from adplatform.failures import PermanentFailure
from adplatform.platform.aws_errors import aws_failures

CLIENT = "clientCredentialsArn"
_CUSTOM = "CustomConnector"
_MEMBERS: Mapping[str, Sequence[str]] = {
    "Amplitude": ("apiKey", "secretKey"),
    "Datadog": ("apiKey", "applicationKey"),
    "Dynatrace": ("apiToken",),
    "GoogleAnalytics": ("clientId", "clientSecret", "refreshToken"),
    "InforNexus": ("accessKeyId", "userId", "secretAccessKey", "datakey"),
    "Marketo": ("clientId", "clientSecret"),
    "Pardot": ("refreshToken",),
    "Salesforce": ("refreshToken",),
    "ServiceNow": ("username", "password"),
    "Singular": ("apiKey",),
    "Slack": ("clientId", "clientSecret", "accessToken"),
    "Trendmicro": ("apiSecretKey",),
    "Veeva": ("username", "password"),
    "Zendesk": ("clientId", "clientSecret", "accessToken"),
}
"""What of its secret a connector is given (AppFlow API reference, ConnectorProfileCredentials)."""
_CUSTOM_MEMBERS: Mapping[str, Sequence[str]] = {
    "oauth2": ("clientId", "clientSecret", "refreshToken"),
    "api_key": ("apiKey",),
    "basic": ("username", "password"),
}
_AUTHENTICATION = {"oauth2": ("OAUTH2", "oauth2"), "api_key": ("APIKEY", "apiKey"), "basic": ("BASIC", "basic")}
_BY_CLIENT = ("Salesforce", "Pardot")
"""Connectors that read the client's id and secret in Secrets Manager by themselves."""
_AT_A_URL = ("Datadog", "Dynatrace", "InforNexus", "Marketo", "ServiceNow", "Slack", "Veeva", "Zendesk", *_BY_CLIENT)


@dataclass(frozen=True)
class DeclaredConnection:
    """``connector`` is a type of AppFlow or, for one of the type CustomConnector, its label."""

    name: str
    connector: str
    made: MadeConnection

    @property
    def kind(self) -> str:
        """How properties and credentials of a profile call the connector."""
        return OWN_CONNECTORS.get(self.connector, _CUSTOM)

    @property
    def members(self) -> tuple[str, ...]:
        """The members of the secret that are handed to AppFlow."""
        usual = _CUSTOM_MEMBERS[self.made.authentication] if self.kind == _CUSTOM else _MEMBERS[self.kind]
        return self.made.members or tuple(usual)

    @property
    def reads_client(self) -> bool:
        """Whether AppFlow itself reads the secret, for the id and the secret of the client."""
        return self.kind in _BY_CLIENT and "jwtToken" not in self.members


def declared_connection(declared: SaasSource) -> DeclaredConnection | None:
    """The connection that is to be made of a source; None where it must be there."""
    if declared.connect is None or declared.connection is None:
        return None
    return DeclaredConnection(declared.connection, declared.connector, declared.connect)


def connection_request(
    declared: DeclaredConnection, kept: Mapping[str, str], secret: str, key: str | None = None
) -> dict[str, Any]:
    """What CreateConnectorProfile is asked for, with what is ``kept`` in the secret of this ARN; AppFlow keeps that in
    a secret of its own, under the KMS ``key`` of this ARN or else one of AppFlow's."""
    custom = declared.kind == _CUSTOM
    credentials: dict[str, Any] = dict(kept)
    if custom:
        named, member = _AUTHENTICATION[declared.made.authentication]
        credentials = {"authenticationType": named, member: credentials}
    elif declared.reads_client:
        credentials[CLIENT] = secret
    elif declared.kind == "Salesforce":
        credentials["oAuth2GrantType"] = "JWT_BEARER"
    elif declared.kind == "ServiceNow" and "clientId" in kept:
        credentials = {"oAuth2Credentials": credentials}
    request = {
        "connectorProfileName": declared.name,
        "connectorType": _CUSTOM if custom else declared.connector,
        "connectionMode": "Private" if declared.made.private else "Public",
        "connectorProfileConfig": {
            "connectorProfileProperties": {declared.kind: _properties(declared)},
            "connectorProfileCredentials": {declared.kind: credentials},
        },
    }
    return {
        **request,
        **({"connectorLabel": declared.connector} if custom else {}),
        **({"kmsArn": key} if key else {}),
    }


def _properties(declared: DeclaredConnection) -> dict[str, Any]:
    made, properties = declared.made, dict(declared.made.properties)
    if declared.kind == _CUSTOM:
        where = {"instanceUrl": made.instance_url} if made.instance_url else {}
        told: dict[str, Any] = {"profileProperties": {**where, **properties}}
        if made.authentication == "oauth2" and made.token_url:
            told["oAuth2Properties"] = {"tokenUrl": made.token_url, "oAuth2GrantType": "AUTHORIZATION_CODE"}
        return told
    if made.instance_url and declared.kind in _AT_A_URL:
        properties["instanceUrl"] = made.instance_url
    sandbox = {"isSandboxEnvironment": made.sandbox} if declared.kind in _BY_CLIENT else {}
    return {**properties, **sandbox}


def provide_connection(client: Any, secrets: Any, declared: DeclaredConnection) -> bool:
    """Make the connection; False when there is one of its name already.

    Raises:
        PermanentFailure: the secret is missing or lacks a member, or AppFlow refuses it.
        TransientFailure: AWS does not answer at present, or does not allow it.
    """
    name = declared.name
    with aws_failures(f"connection {name}"):
        if client.describe_connector_profiles(connectorProfileNames=[name])["connectorProfileDetails"]:
            return False
    kept = read_secret(secrets, declared.made.secret, declared.members)
    with aws_failures(f"secret {declared.made.secret}"):
        arn = str(secrets.describe_secret(SecretId=declared.made.secret)["ARN"])
    with hidden(kept.values()), aws_failures(f"connection {name}"):
        try:
            client.create_connector_profile(**connection_request(declared, kept, arn))
        except client.exceptions.ConnectorAuthenticationException as e:
            said = e.response["Error"].get("Message", "")
            raise PermanentFailure(
                f"connection {name}: the application does not take the credentials of secret {declared.made.secret}: "
                f"{said}"
            ) from e
    return True
