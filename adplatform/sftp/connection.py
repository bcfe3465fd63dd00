"""Connections to servers: host keys that are pinned, credentials of Secrets Manager that may be in rotation."""

import base64
import binascii
import hashlib
import io
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
from adplatform.sftp.protocol import AHEAD, Sftp

if TYPE_CHECKING:
    import paramiko

    from adplatform.sftp import transport
else:
    paramiko = Late("paramiko")
    transport = Late("adplatform.sftp.transport")

CURRENT = "AWSCURRENT"
_PACKET = 128 * 1024
"""Bytes of data that the server may put into one packet: each costs the same time, whatever its size."""
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
    algorithms = _host_key_algorithms(host)
    refused: list[str] = []
    for tried in credentials:
        with _negotiated(host, algorithms) as link:
            try:
                with sftp_failures(host.place):
                    _log_in(host.place, link, tried)
            except CredentialsRefused as e:
                refused.append(f"{tried.stage}: {e}" if len(credentials) > 1 else str(e))
                continue
            with sftp_failures(host.place):
                session = _session(host, link, tried.stage)
            yield session
            return
    raise CredentialsRefused("; ".join(refused) or f"{host.place}: there are no credentials")


@contextmanager
def _negotiated(host: Host, algorithms: Sequence[str]) -> Iterator["transport.Transport"]:
    """A connection to the host itself, nobody logged in."""
    with sftp_failures(host.place):
        sock = socket.create_connection((host.name, host.port), timeout=host.connect_seconds)
    link = transport.Transport(sock, algorithms, packet=_PACKET, window=AHEAD)
    try:
        link.banner_timeout = link.handshake_timeout = host.connect_seconds
        link.auth_timeout = link.channel_timeout = max(host.connect_seconds, host.silent_seconds)
        with sftp_failures(host.place):
            _negotiate(host, link)
        shown = link.get_remote_server_key()
        if shown.asbytes() not in [base64.b64decode(_key_of(line)[1]) for line in host.host_keys]:
            raise HostKeyRefused(
                f"{host.place} shows the host key {_fingerprint(shown.get_name(), shown.asbytes())}, and pinned are "
                f"{', '.join(_pinned(host))}. If its owner confirms the new one, add it to host_keys; if not, somebody "
                "else may answer there"
            )
        link.set_keepalive(host.keepalive_seconds)
        yield link
    finally:
        link.close()


def _negotiate(host: Host, link: "transport.Transport") -> None:
    try:
        link.start_client(timeout=host.connect_seconds)
    except paramiko.IncompatiblePeer as e:
        said = escaped(link.disagreement() or str(e))
        pin = ", or pin a host key of a type that it has" if "host key" in said else ""
        raise PermanentFailure(f"{host.place}: {said}. Let the server offer one of these{pin}") from e
    if not link.initial_kex_done:
        raise TimeoutError


def _log_in(place: str, link: "transport.Transport", credentials: Credentials) -> None:
    wanted: list[str] = []
    if credentials.private_key:
        key = _private_key(place, credentials)
        try:
            wanted = link.auth_publickey(credentials.username, key)
        except paramiko.AuthenticationException:
            if not credentials.password or not link.is_active():
                raise
    if credentials.password and not link.is_authenticated():
        wanted = link.auth_password(credentials.username, credentials.password)
    if not link.is_authenticated():
        raise CredentialsRefused(
            f"{place}: the server wants {escaped(', '.join(wanted)) or 'more'}, too: add it to the secret"
        )


def _private_key(place: str, credentials: Credentials) -> "paramiko.PKey":
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
    kinds: Sequence[tuple[type, Any]] = (
        (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
        (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
        (rsa.RSAPrivateKey, paramiko.RSAKey),
    )
    for kind, wrapper in kinds:
        if isinstance(key, kind):
            written = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            )
            return wrapper.from_private_key(io.StringIO(written.decode()))
    raise CredentialsRefused(f"{place}: PrivateKey of the secret is to be of Ed25519, ECDSA or RSA")


def _session(host: Host, link: "transport.Transport", stage: str) -> Sftp:
    channel = link.open_session(timeout=host.connect_seconds)
    channel.settimeout(host.silent_seconds)
    try:
        channel.invoke_subsystem("sftp")
    except paramiko.SSHException as e:
        if not link.is_active():
            raise
        raise PermanentFailure(f"{host.place}: the server offers no SFTP to this user") from e
    return Sftp(channel, stage)


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
