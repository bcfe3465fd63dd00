"""How a connection (connector profile) of AppFlow to a SaaS application is made: what YAML says, without any secret."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from adplatform.contracts.secret_names import SecretName
from adplatform.contracts.strict import Strict

_URL = r"^(https://[A-Za-z0-9.-]+|http://127\.0\.0\.1)(:[0-9]{1,5})?(/[^\s]*)?$"
"""Without TLS nothing but a simulated application of this machine."""
_SECRETIVE = ("key", "password", "secret", "token")


class MadeConnection(Strict):
    """The connection that is made."""

    secret: SecretName
    """The name of the secret with the credentials, a JSON object whose members are called as AppFlow's API calls them:
    ``clientId``, ``clientSecret`` and ``refreshToken`` of Salesforce, for example."""
    members: tuple[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")], ...] = ()
    """The members of the secret that AppFlow is given; by default those that the connector needs."""
    instance_url: Annotated[str, Field(pattern=_URL, max_length=256)] | None = None
    """Where the application is, ``https://acme.my.salesforce.com`` for example."""
    sandbox: bool = False
    """Whether it is a sandbox of Salesforce or Pardot."""
    properties: Mapping[str, str] = Field(default_factory=dict)
    """What else the connector wants to know, as AppFlow's API calls it: ``businessUnitId`` of Pardot, or properties of
    a custom connector. None of these is a secret."""
    authentication: Literal["oauth2", "api_key", "basic"] = "oauth2"
    """How a custom connector proves who it is."""
    token_url: Annotated[str, Field(pattern=_URL, max_length=256)] | None = None
    """Where a custom connector with ``oauth2`` gets its tokens."""
    private: bool = False
    """Whether the application is reached by AWS PrivateLink."""

    @field_validator("properties")
    @classmethod
    def _no_secrets(cls, properties: Mapping[str, str]) -> Mapping[str, str]:
        for name in properties:
            if any(word in name.lower() for word in _SECRETIVE):
                raise ValueError(
                    f"properties.{name} looks like a secret, which all who read this file would know: put it into the "
                    "secret, and name it in members"
                )
        return properties
