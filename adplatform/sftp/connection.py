"""Connections to servers: host keys that are pinned, credentials of Secrets Manager that may be in rotation."""

import asyncio
import base64
import binascii
import hashlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adplatform.failures import CredentialsRefused, PermanentFailure, TransientFailure
from adplatform.platform.aws_errors import secret_failures
from adplatform.platform.json_secrets import json_object
from adplatform.platform.late import Late
from adplatform.sftp.errors import escaped, sftp_failures
from adplatform.sftp.loop import running_loop, waited_for
from adplatform.sftp.session import Sftp

if TYPE_CHECKING:
    import asyncssh

    from adplatform.sftp import client
else:
    asyncssh = Late("asyncssh")
    client = Late("adplatform.sftp.client")

CURRENT = "AWSCURRENT"
_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""How a host proves each type of key. Not by SHA-1."""


class HostKeyRefused(PermanentFailure):
    """The host shows a key that is not pinned: it may be another one."""


@dataclass(frozen=True)
class Credentials:
    """A user's, of one version of a secret. With a key and a password, the password is for servers that want both, or
    do not take the key."""

    username: str
    private_key: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    stage: str = CURRENT


@dataclass(frozen=True)
class Host:
    """A server. ``host_keys`` are lines of OpenSSH, "type base64" with or without a comment: all that are believed,
    several while the server changes its own. A server is silent for ``silent_seconds`` at most."""

    name: str
    host_keys: tuple[str, ...]
    port: int = 22
    connect_seconds: float = 15
    silent_seconds: float = 60
    keepalive_seconds: int = 15

    @property
    def place(self) -> str:
        """For people."""
        return f"sftp://{self.name}:{self.port}"


def read_credentials(secrets: Any, name: str, stages: Sequence[str] = (CURRENT,)) -> tuple[Credentials, ...]:
    """What the versions of the secret ``name`` at these stages say, in their order, each version once. The secret is
    JSON as the connectors of AWS Transfer Family take it: Username, and PrivateKey or Password or both; Passphrase is
    that of the key.

    Raises:
        CredentialsRefused: none of the versions has what is needed; says what is missing.
        TransientFailure, EnvironmentFailure, PermanentFailure: none can be read, as
            :func:`adplatform.platform.aws_errors.secret_failures`.
    """
    found: dict[str, Credentials] = {}
    failures: list[PermanentFailure | TransientFailure] = []
    for stage in stages:
        try:
            with secret_failures(f"secret {name} ({stage})"):
                version = secrets.get_secret_value(SecretId=name, VersionStage=stage)
            found.setdefault(version["VersionId"], _credentials(name, stage, version.get("SecretString", "")))
        except (PermanentFailure, TransientFailure) as e:
            failures.append(e)
    if failures and not found:
        raise failures[0]
    return tuple(found.values())


def _credentials(name: str, stage: str, text: str) -> Credentials:
    members = {member.lower(): value for member, value in json_object(text).items() if isinstance(value, str)}
    if not members.get("username", "").strip() or not (members.get("privatekey") or members.get("password")):
        raise CredentialsRefused(
            f"secret {name} ({stage}) is no JSON object with Username, and PrivateKey or Password or both"
        )
    return Credentials(
        members["username"],
        members.get("privatekey", ""),
        members.get("password", ""),
        members.get("passphrase", ""),
        stage,
    )


@contextmanager
def connected(host: Host, credentials: Sequence[Credentials]) -> Iterator[Sftp]:
    """A session as the first of ``credentials`` that the server takes, whose ``stage`` it tells; closed with the block.

    Raises:
        HostKeyRefused: shows the fingerprint that came and those that are pinned.
        CredentialsRefused: it takes none of them, or a key cannot be read.
        PermanentFailure, TransientFailure, EnvironmentFailure: as :func:`sftp_failures`.
    """
    with running_loop() as loop:
        session = waited_for(loop, opened(host, credentials))
        try:
            yield session
        finally:
            session.close()


async def opened(host: Host, credentials: Sequence[Credentials]) -> Sftp:
    """A session as that of :func:`connected`, on the loop that runs this, for the caller to close."""
    algorithms = _host_key_algorithms(host)
    refused: list[str] = []
    for tried in credentials:
        try:
            key = _private_key(host.place, tried) if tried.private_key else None
            with sftp_failures(host.place):
                return await _session(host, tried, key, algorithms)
        except CredentialsRefused as e:
            refused.append(f"{tried.stage}: {e}" if len(credentials) > 1 else str(e))
    raise CredentialsRefused("; ".join(refused) or f"{host.place}: there are no credentials")


async def _session(host: Host, tried: Credentials, key: "asyncssh.SSHKey | None", algorithms: Sequence[str]) -> Sftp:
    pinned = [base64.b64decode(_key_of(line)[1]) for line in host.host_keys]
    loop = asyncio.get_running_loop()
    sock = await asyncio.to_thread(socket.create_connection, (host.name, host.port), host.connect_seconds)
    async with asyncio.timeout(host.connect_seconds) as limit:

        def allow(seconds: float) -> None:
            limit.reschedule(loop.time() + seconds)

        asked = client.Client(
            pinned, key, tried.password, lambda: allow(max(host.connect_seconds, host.silent_seconds))
        )
        try:
            link = await client.connect(sock, host.name, tried.username, algorithms, host.keepalive_seconds, asked)
        except asyncssh.HostKeyNotVerifiable as e:
            raise _other_host(host, asked.shown) from e
        except asyncssh.PermissionDenied as e:
            raise _refused(host, asked) from e
        except (ValueError, LookupError, AssertionError) as e:
            raise PermanentFailure(f"{host.place}: the server cannot be understood: {escaped(str(e))}") from e
        if link is None:
            said = escaped(asked.disagreement())
            pin = ", or pin a host key of a type that it has" if "host key" in said else ""
            raise PermanentFailure(f"{host.place}: {said}. Let the server offer one of these{pin}")
        allow(host.connect_seconds)
        try:
            return Sftp(loop, link, await _started(host, link), host.silent_seconds, tried.stage)
        except BaseException:
            link.abort()
            raise


async def _started(host: Host, link: "asyncssh.SSHClientConnection") -> "asyncssh.SFTPClient":
    try:
        return await link.start_sftp_client()
    except asyncssh.ChannelOpenError as e:
        if e.code != asyncssh.OPEN_REQUEST_SESSION_FAILED or link.is_closed():
            raise
        raise PermanentFailure(f"{host.place}: the server offers no SFTP to this user") from e
    except asyncssh.SFTPBadMessage as e:
        raise PermanentFailure(
            f"{host.place}: the server cannot be understood: it speaks no SFTP of version 3, or its log-in prints a "
            f"greeting ({escaped(e.reason)})"
        ) from e


def _other_host(host: Host, shown: "asyncssh.SSHKey | None") -> HostKeyRefused:
    key = _fingerprint(shown.get_algorithm(), shown.public_data) if shown else "of another kind"
    return HostKeyRefused(
        f"{host.place} shows the host key {key}, and pinned are {', '.join(_pinned(host))}. If its owner confirms the "
        "new one, add it to host_keys; if not, somebody else may answer there"
    )


def _refused(host: Host, asked: "client.Client") -> CredentialsRefused:
    wanted = ", ".join(asked.wanted)
    if not asked.offered:
        return CredentialsRefused(
            f"{host.place}: the server takes none of the secret's: it wants {wanted or 'another kind of log-in'}"
        )
    if asked.offered in asked.wanted or not wanted:
        return CredentialsRefused(f"{host.place}: the server does not take the key or password of the secret")
    return CredentialsRefused(f"{host.place}: the server wants {wanted}, too: add it to the secret")


def _private_key(place: str, credentials: Credentials) -> "asyncssh.SSHKey":
    """
    Raises:
        CredentialsRefused: it is none, or the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - takes long, as do the others
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    text = credentials.private_key.strip().encode() + b"\n"
    load = serialization.load_ssh_private_key if b"OPENSSH" in text[:64] else serialization.load_pem_private_key
    try:
        key = load(text, credentials.passphrase.encode() or None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without "from e": what the parser says may quote the key.
        raise CredentialsRefused(
            f"{place}: PrivateKey of the secret cannot be read: it is to be of OpenSSH or PEM, and Passphrase its "
            "passphrase, if it has one"
        ) from None
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CredentialsRefused(f"{place}: PrivateKey of the secret is to be of Ed25519, ECDSA or RSA")
    written = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return asyncssh.import_private_key(written)


def _host_key_algorithms(host: Host) -> list[str]:
    if not host.host_keys:
        raise PermanentFailure(
            f"{host.place}: no host key is pinned. Take what `ssh-keyscan -p {host.port} {host.name}` prints, confirm "
            'it with the server\'s owner, and add it to host_keys as "type base64"'
        )
    kinds = dict.fromkeys(_key_of(line)[0] for line in host.host_keys)
    return [algorithm for kind in kinds for algorithm in _ALGORITHMS[kind]]


def _key_of(line: str) -> tuple[str, str]:
    """Type and base64 of a pinned key."""
    kind, text = [*line.split(), "", ""][:2]
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        blob = b""
    if kind not in _ALGORITHMS or not blob.startswith(len(kind).to_bytes(4) + kind.encode()):
        raise PermanentFailure(
            f'host_keys: "{escaped(line[:40])}..." is no public key as "type base64", where type is one of '
            f"{', '.join(_ALGORITHMS)}"
        )
    return kind, text


def _pinned(host: Host) -> list[str]:
    keys = [_key_of(line) for line in host.host_keys]
    return [_fingerprint(kind, base64.b64decode(text)) for kind, text in keys]


def _fingerprint(kind: str, blob: bytes) -> str:
    """As ``ssh-keygen -l`` shows it."""
    return f"{kind} SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"
