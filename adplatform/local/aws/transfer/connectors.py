"""Connectors: what may be configured, and how they are described."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from adplatform.local.aws.transfer.errors import InvalidRequestException
from adplatform.local.aws.transfer.sftp import KEY_TYPES
from adplatform.local.aws.transfer.state import Connector

MEMBERS = ("Url", "AccessRole", "LoggingRole", "SftpConfig", "SecurityPolicyName", "IpAddressType")
_MOST_CONNECTIONS = 5
_DEFAULTS: Mapping[str, Any] = {
    "SecurityPolicyName": "TransferSFTPConnectorSecurityPolicy-2024-03",
    "IpAddressType": "IPV4",
}
_EGRESS = ["192.0.2.10", "192.0.2.11", "192.0.2.12"]
"""Addresses that nobody has (RFC 5737)."""
_WHY = {
    "ERRORED": "The connector could not be created or updated.",
    "PENDING": None,
}


def created(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a new connector is asked to be.

    Raises:
        InvalidRequestException: it cannot be so.
        NotImplementedError: it is of another kind.
    """
    return _valid({**_DEFAULTS, **_asked(request)})


def updated(connector: Connector, request: Mapping[str, Any]) -> dict[str, Any]:
    """What an update asks a connector to be; members of SftpConfig that it does not name stay.

    Raises: as :func:`created`.
    """
    asked = _asked(request)
    config = {**connector.sftp, **asked.get("SftpConfig", {})}
    return _valid({**connector.asked, **asked, "SftpConfig": config})


def trusted(connector: Connector) -> list[str]:
    """The trusted host keys as "type base64"."""
    return [" ".join(line.split()[-2:]) for line in connector.sftp.get("TrustedHostKeys", ())]


def described(connector: Connector, tags: Mapping[str, str]) -> dict[str, Any]:
    return {
        **connector.asked,
        "Arn": connector.arn,
        "ConnectorId": connector.id,
        "SftpConfig": {"MaxConcurrentConnections": connector.connections, **connector.sftp},
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())] or None,
        "ServiceManagedEgressIpAddresses": _EGRESS,
        "EgressType": "SERVICE_MANAGED",
        "Status": connector.status,
        "ErrorMessage": _WHY.get(connector.status),
    }


def _asked(request: Mapping[str, Any]) -> dict[str, Any]:
    for other in ("As2Config", "EgressConfig"):
        if request.get(other):
            raise NotImplementedError(f"connectors with {other}")
    return {name: request[name] for name in MEMBERS if request.get(name) is not None}


def _valid(asked: dict[str, Any]) -> dict[str, Any]:
    config = asked.get("SftpConfig")
    if not config or not config.get("UserSecretId"):
        raise InvalidRequestException("SftpConfig with UserSecretId is required for SFTP connectors.")
    _require_url(asked.get("Url", ""))
    for line in config.get("TrustedHostKeys", ()):
        _require_key(line)
    if config.get("MaxConcurrentConnections", 1) > _MOST_CONNECTIONS:
        raise InvalidRequestException(f"MaxConcurrentConnections is {_MOST_CONNECTIONS} at most.")
    return asked


def _require_url(url: str) -> None:
    found = urlsplit(url)
    plain = found.scheme == "sftp" and found.hostname and url.rstrip("/") == f"sftp://{found.netloc}"
    if not plain or "@" in found.netloc or not _is_port(found.netloc):
        raise InvalidRequestException(f"Url {url!r} is not sftp://host or sftp://host:port.")


def _is_port(netloc: str) -> bool:
    port = netloc.rpartition("]")[2].partition(":")[2]
    return not port or (port.isdecimal() and 0 < int(port) < 1 << 16)


def _require_key(line: str) -> None:
    """``type base64``, or the same after the name of the host, as ssh-keyscan prints it; no comment."""
    parts = line.split()
    if len(parts) > 2 and parts[0] in KEY_TYPES:
        raise InvalidRequestException("A trusted host key is its type and its body; remove the comment after them.")
    if len(parts) not in (2, 3) or parts[-2] not in KEY_TYPES or not _has_type(parts[-1], parts[-2]):
        raise InvalidRequestException(f"A trusted host key is its type, of {', '.join(KEY_TYPES)}, and its body.")


def _has_type(body: str, name: str) -> bool:
    """Whether the body of a key says the same type (RFC 4253, section 6.6)."""
    try:
        decoded = base64.b64decode(body, validate=True)
    except binascii.Error:
        return False
    return decoded.startswith(len(name).to_bytes(4) + name.encode()) and len(decoded) > len(name) + 4
