"""Servers and users: what may be configured, and how they are described."""

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adplatform.local.aws.transfer.errors import InvalidRequestException
from adplatform.local.aws.transfer.server_state import Server, User

if TYPE_CHECKING:
    import paramiko

SERVER_MEMBERS = (
    "EndpointDetails",
    "EndpointType",
    "LoggingRole",
    "PreAuthenticationLoginBanner",
    "PostAuthenticationLoginBanner",
    "ProtocolDetails",
    "Protocols",
    "SecurityPolicyName",
    "WorkflowDetails",
    "StructuredLogDestinations",
    "S3StorageOptions",
    "IpAddressType",
    "Domain",
    "IdentityProviderType",
)
USER_MEMBERS = ("HomeDirectory", "HomeDirectoryType", "HomeDirectoryMappings", "Policy", "Role")
_DEFAULTS: Mapping[str, Any] = {
    "EndpointType": "PUBLIC",
    "Protocols": ["SFTP"],
    "Domain": "S3",
    "IdentityProviderType": "SERVICE_MANAGED",
    "SecurityPolicyName": "TransferSecurityPolicy-2018-11",
    "IpAddressType": "IPV4",
}


def created(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a new server is asked to be.

    Raises:
        InvalidRequestException: it cannot be so.
        NotImplementedError: it is of another kind.
    """
    return _valid({**_DEFAULTS, **_asked(request)})


def updated(server: Server, request: Mapping[str, Any]) -> dict[str, Any]:
    """What an update asks a server to be; members of ProtocolDetails that it does not name stay.

    Raises: as :func:`created`.
    """
    asked = _asked(request)
    if asked.get("EndpointType", server.asked["EndpointType"]) != server.asked["EndpointType"]:
        raise InvalidRequestException("EndpointType of a server that is in use cannot be changed.")
    if "ProtocolDetails" in asked:
        asked["ProtocolDetails"] = {**server.protocol, **asked["ProtocolDetails"]}
    return _valid({**server.asked, **asked})


def described(server: Server, tags: Mapping[str, str]) -> dict[str, Any]:
    """The port at which the stand-in listens is that of SftpPorts."""
    ports = [{"SftpPort": server.port}] if server.port else None
    return {
        **server.asked,
        "Arn": server.arn,
        "ServerId": server.id,
        "State": server.state,
        "UserCount": len(server.users),
        "ProtocolDetails": {"PassiveIp": "AUTO", "SetStatOption": "DEFAULT", **server.protocol, "SftpPorts": ports},
        "HostKeyFingerprint": fingerprint(host_key(server.host_key).asbytes()),
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())] or None,
    }


def listed(server: Server) -> dict[str, Any]:
    names = ("Domain", "IdentityProviderType", "EndpointType", "LoggingRole")
    found = {name: server.asked.get(name) for name in names}
    return {
        **found,
        "Arn": server.arn,
        "ServerId": server.id,
        "State": server.state,
        "UserCount": len(server.users),
    }


def user_described(user: User, tags: Mapping[str, str]) -> dict[str, Any]:
    keys = [{"DateImported": key.imported, "SshPublicKeyBody": key.body, "SshPublicKeyId": key.id} for key in user.keys]
    return {
        **user.asked,
        "Arn": user.arn,
        "UserName": user.name,
        "SshPublicKeys": keys,
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())] or None,
    }


def user_listed(user: User) -> dict[str, Any]:
    names = ("HomeDirectory", "HomeDirectoryType", "Role")
    found = {name: user.asked.get(name) for name in names}
    return {**found, "Arn": user.arn, "UserName": user.name, "SshPublicKeyCount": len(user.keys)}


def user_asked(request: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        InvalidRequestException: a user cannot be so.
    """
    given = {name: request[name] for name in USER_MEMBERS if request.get(name) is not None}
    asked = {"HomeDirectoryType": "PATH", **before, **given}
    logical = asked["HomeDirectoryType"] == "LOGICAL"
    if logical and (not asked.get("HomeDirectoryMappings") or request.get("HomeDirectory")):
        raise InvalidRequestException("HomeDirectoryMappings is required for LOGICAL, and HomeDirectory is for PATH.")
    if not logical and asked.get("HomeDirectoryMappings"):
        raise InvalidRequestException("HomeDirectoryMappings is for HomeDirectoryType LOGICAL.")
    if asked.get("Policy"):
        _require_policy(asked["Policy"])
    return asked


def public_key(body: str) -> str:
    """The key, if it is one: its body says its type, too.

    Raises:
        InvalidRequestException: it is none.
    """
    kind, encoded = body.split()[:2]
    decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    if not decoded.startswith(len(kind).to_bytes(4) + kind.encode()):
        raise InvalidRequestException("Unsupported or invalid SSH public key format")
    return body.strip()


def new_host_key() -> str:
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def host_key(text: str) -> "paramiko.PKey":
    """
    Raises:
        InvalidRequestException: it is no private key without a passphrase.
    """
    import paramiko  # noqa: PLC0415 - most embedded AWS have no server

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except (paramiko.SSHException, ValueError):
            continue
    raise InvalidRequestException("HostKey is no private key of type RSA, ECDSA or ED25519 without a passphrase.")


def fingerprint(key: bytes) -> str:
    """As OpenSSH writes it."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip('=')}"


def _asked(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: request[name] for name in SERVER_MEMBERS if request.get(name) is not None}


def _valid(asked: dict[str, Any]) -> dict[str, Any]:
    wanted = {"Protocols": ["SFTP"], "Domain": "S3", "IdentityProviderType": "SERVICE_MANAGED"}
    if other := [name for name, value in wanted.items() if asked[name] != value]:
        raise NotImplementedError(f"servers with {', '.join(f'{name} {asked[name]}' for name in other)}")
    if asked["EndpointType"] == "VPC" and not asked.get("EndpointDetails", {}).get("VpcId"):
        raise InvalidRequestException("EndpointDetails with VpcId is required for endpoint type VPC.")
    return asked


def _require_policy(text: str) -> None:
    try:
        json.loads(text)
    except ValueError as e:
        raise InvalidRequestException("Policy is not JSON.") from e
