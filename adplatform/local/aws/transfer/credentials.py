"""How a connector logs in: the secret in Secrets Manager, in the version whose stage comes first."""

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from moto.backends import get_backend
from moto.core.exceptions import JsonRESTError

from adplatform.local.aws.transfer.sftp import Failed, Login
from adplatform.local.aws.transfer.state import Connector, ConnectorBackend

if TYPE_CHECKING:
    import paramiko

SECRET_ERROR = "SECRET_ERROR"  # noqa: S105 - a code of failures


def login(backend: ConnectorBackend, connector: Connector) -> Login:
    """From the first of the ordered stages that can be retrieved, whatever the server says to it. Callers hold the
    lock.

    Raises:
        Failed: none can be, or it does not have what a login takes.
    """
    name = connector.sftp["UserSecretId"]
    stages = connector.sftp.get("OrderedUserSecretVersionStages", ["AWSCURRENT"])
    text = next(_retrieved(backend, name, stages), None)
    if text is None:
        raise Failed(SECRET_ERROR, f"The secret {name} cannot be retrieved in the stages {', '.join(stages)}.")
    found = _members(name, text)
    key = found.get("PrivateKey") or ""
    return Login(found["Username"], found.get("Password") or "", _key(name, key) if key else None)


def _retrieved(backend: ConnectorBackend, name: str, stages: list[str]) -> Iterator[str]:
    kept = get_backend("secretsmanager")[backend.account_id][backend.region_name]
    for stage in stages:
        try:
            yield kept.get_secret_value(name, None, stage).get("SecretString", "")
        except JsonRESTError:
            continue


def _members(name: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        # Its cause would hold the secret.
        raise Failed(SECRET_ERROR, f"The secret {name} is not JSON.") from None
    if not isinstance(found, dict) or not found.get("Username"):
        raise Failed(SECRET_ERROR, f"The secret {name} has no Username.")
    if not found.get("Password") and not found.get("PrivateKey"):
        raise Failed(SECRET_ERROR, f"The secret {name} has neither Password nor PrivateKey.")
    return found


def _key(name: str, text: str) -> "paramiko.PKey":
    import paramiko  # noqa: PLC0415 - a connector that never connects needs none

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except (paramiko.SSHException, ValueError):
            continue
    raise Failed(SECRET_ERROR, f"PrivateKey of the secret {name} is not a key without a passphrase.")
