"""Credentials of Login with Amazon, from Secrets Manager and nowhere else."""

import json
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from adplatform.aws_errors import aws_failures
from adplatform.failures import PermanentFailure

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
        PermanentFailure: there is no such secret, it may not be read, or it lacks a member.
        TransientFailure: Secrets Manager does not answer.
    """
    with aws_failures(f"secret {name}"):
        try:
            found = secrets.get_secret_value(SecretId=name, VersionStage=stage)
        except ClientError as e:
            if e.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            if stage != CURRENT:
                return None
            raise PermanentFailure(
                f"secret {name} does not exist: make it, a JSON object with {', '.join(_MEMBERS)}"
            ) from e
    return _parsed(found.get("SecretString", ""), name)


def _parsed(text: str, name: str) -> Credentials:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    members = document if isinstance(document, dict) else {}
    missing = [m for m in _MEMBERS if not isinstance(members.get(m), str) or not members[m].strip()]
    if missing:
        # Not chained: the parser's error quotes the secret.
        raise PermanentFailure(f"secret {name} is no JSON object with {', '.join(missing)}") from None
    return Credentials(*(members[m].strip() for m in _MEMBERS))
