"""Sessions with SFTP servers: connecting, host keys, logging in, and what goes wrong."""

import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import paramiko

CONNECTION_ERROR, TRANSFER_ERROR, ALGORITHM_ERROR = "CONNECTION_ERROR", "TRANSFER_ERROR", "ALGORITHM_ERROR"
KEY_TYPES: Mapping[str, Sequence[str]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Types of host keys, and the signatures to ask the server for."""
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 60.0


class Failed(Exception):
    """An operation failed for a reason that is told. ``host_key`` is the key that the server showed, if it did."""

    def __init__(self, code: str, message: str, host_key: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.host_key = code, message, host_key


@dataclass(frozen=True)
class Login:
    user: str
    password: str = field(default="", repr=False)
    private_key: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Server:
    """``trusted`` are lines "type base64"."""

    host: str
    port: int
    trusted: Sequence[str]


def silence() -> None:
    """paramiko logs every failure of a server as an error of this process; here they are told to the client."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@contextmanager
def connected(server: Server, login: Login) -> Iterator["paramiko.SFTPClient"]:
    """A session.

    Raises:
        Failed: it does not come about.
    """
    import paramiko  # noqa: PLC0415 - a connector that never connects needs none

    if not server.trusted:
        raise Failed("HOST_KEY_ERROR", "The connector has no trusted host keys.", probe(server))
    with _negotiated(server, _signatures(server.trusted)) as transport:
        shown = _shown(transport)
        if shown not in server.trusted:
            raise Failed("HOST_KEY_ERROR", "The host key of the server is not one of the trusted host keys.", shown)
        try:
            _authenticate(transport, login)
            client = paramiko.SFTPClient.from_transport(transport)
        except paramiko.AuthenticationException as e:
            raise Failed("AUTHENTICATION_ERROR", "The server refuses the credentials of the secret.", shown) from e
        except (paramiko.SSHException, EOFError, OSError) as e:
            raise Failed(CONNECTION_ERROR, f"The server opens no SFTP session: {_why(e)}", shown) from e
        client.get_channel().settimeout(_ANSWER_SECONDS)
        yield client


def probe(server: Server) -> str:
    """The host key that the server shows to those who know none.

    Raises:
        Failed: it shows none.
    """
    with _negotiated(server, ()) as transport:
        return _shown(transport)


def test(server: Server, login: Login) -> str:
    """Opens and ends a session; the host key.

    Raises:
        Failed: it does not come about.
    """
    try:
        with connected(server, login) as client:
            return _shown(client.get_channel().get_transport())
    except Failed as e:
        if e.code != ALGORITHM_ERROR:
            raise
        # The server has none of the types that are trusted, but one that may be.
        raise Failed(e.code, e.message, probe(server)) from e


@contextmanager
def told(kind: str, path: str) -> Iterator[None]:
    """Says what went wrong with a path on the server.

    Raises:
        Failed: something did.
    """
    import paramiko  # noqa: PLC0415 - as above

    try:
        yield
    except FileNotFoundError as e:
        raise Failed(f"{kind}_FILE_NOT_FOUND", f"{path} does not exist on the remote server.") from e
    except PermissionError as e:
        raise Failed("PERMISSION_DENIED", f"The remote server refuses access to {path}.") from e
    except (EOFError, ConnectionError, TimeoutError, paramiko.SSHException) as e:
        raise Failed(CONNECTION_ERROR, f"The connection to the remote server was lost at {path}: {_why(e)}") from e
    except (OSError, ValueError, paramiko.SFTPError) as e:
        raise Failed(TRANSFER_ERROR, f"The remote server fails at {path}: {_why(e)}") from e


@contextmanager
def _negotiated(server: Server, signatures: Sequence[str]) -> Iterator["paramiko.Transport"]:
    import paramiko  # noqa: PLC0415 - as above

    where = f"{server.host}:{server.port}"
    try:
        connection = socket.create_connection((server.host, server.port), timeout=_CONNECT_SECONDS)
    except OSError as e:
        raise Failed(CONNECTION_ERROR, f"{where} cannot be reached: {_why(e)}") from e
    with connection, paramiko.Transport(connection) as transport:
        if signatures:
            transport.get_security_options().key_types = tuple(signatures)
        try:
            transport.start_client(timeout=_CONNECT_SECONDS)
            transport.get_remote_server_key()
        except paramiko.ssh_exception.IncompatiblePeer as e:
            raise Failed(ALGORITHM_ERROR, f"{where} and the connector have no algorithm in common: {_why(e)}") from e
        except (paramiko.SSHException, EOFError, OSError) as e:
            raise Failed(CONNECTION_ERROR, f"{where} does not speak SSH with the connector: {_why(e)}") from e
        yield transport


def _authenticate(transport: "paramiko.Transport", login: Login) -> None:
    """With the key, and with the password where that is not enough or there is none."""
    import paramiko  # noqa: PLC0415 - as above

    if login.private_key is not None:
        try:
            transport.auth_publickey(login.user, login.private_key)
        except paramiko.AuthenticationException:
            if not login.password:
                raise
    if not transport.is_authenticated():
        transport.auth_password(login.user, login.password)


def _signatures(trusted: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for line in trusted for name in KEY_TYPES[line.split()[0]]))


def _shown(transport: "paramiko.Transport") -> str:
    key = transport.get_remote_server_key()
    return f"{key.get_name()} {key.get_base64()}"


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__
