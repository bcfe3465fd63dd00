"""Credentials of Login with Amazon, from Secrets Manager and nowhere else."""

from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from adplatform.failures import CredentialsRefused, EnvironmentFailure, PermanentFailure
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.json_secrets import json_object

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
_MEMBERS = ("client_id", "client_secret", "refresh_token")


@dataclass(frozen=True)
class Credentials:
    """What a client needs to get tokens for one account."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


def read_credentials(secrets: Any, name: str, stage: str = CURRENT) -> Credentials | None:
    """The credentials in the secret ``name``; None when it has no version of that stage.

    Raises:
        CredentialsRefused: there is no such secret, it may not be read, or it lacks a member.
        TransientFailure: Secrets Manager does not answer.
    """
    try:
        with aws_failures(f"secret {name}"):
            found = secrets.get_secret_value(SecretId=name, VersionStage=stage)
    except (PermanentFailure, EnvironmentFailure) as e:
        if not _is_missing(e.__cause__):
            raise CredentialsRefused(str(e)) from e
        if stage != CURRENT:
            return None
        raise CredentialsRefused(
            f"secret {name} does not exist: make it, a JSON object with {', '.join(_MEMBERS)}"
        ) from e
    return _parsed(found.get("SecretString", ""), name)


def _is_missing(error: BaseException | None) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == "ResourceNotFoundException"


def _parsed(text: str, name: str) -> Credentials:
    members = json_object(text)
    missing = [m for m in _MEMBERS if not isinstance(members.get(m), str) or not members[m].strip()]
    if missing:
        raise CredentialsRefused(f"secret {name} is no JSON object with {', '.join(missing)}")
    return Credentials(*(members[m].strip() for m in _MEMBERS))
