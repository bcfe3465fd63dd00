"""Servers that listen: a port of loopback, SSH with the users' keys, and a session of SFTP for each connection."""

import socket
import threading
from typing import TYPE_CHECKING
from uuid import uuid4

from adplatform.local.aws import managed
from adplatform.local.aws.state import LOCK
from adplatform.local.aws.transfer.server_state import ONLINE, Server

if TYPE_CHECKING:
    import paramiko

    from adplatform.local.aws.transfer.state import ConnectorBackend

_HOST = "127.0.0.1"
_BACKLOG = 128
_HANDSHAKE_SECONDS = 30.0
_LISTENING: dict[str, socket.socket] = {}


def begin(backend: "ConnectorBackend", server: Server) -> None:
    """At the port that it had, or that SftpPorts names, or at a free one. Callers hold the lock."""
    if server.id in _LISTENING or server.state != ONLINE:
        return
    asked = next((each["SftpPort"] for each in server.protocol.get("SftpPorts", ())), 0)
    listener = _bound(server.port or asked)
    server.port = listener.getsockname()[1]
    _LISTENING[server.id] = listener
    threading.Thread(target=_accept, args=(backend, server.id, listener), daemon=True).start()


def end(server: Server) -> None:
    """Sessions go on. Callers hold the lock."""
    listener = _LISTENING.pop(server.id, None)
    if listener is not None:
        # A thread that waits in accept keeps the port open.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _bound(port: int) -> socket.socket:
    """At the port, or at a free one where somebody else has it."""
    for each in dict.fromkeys((port, 0)):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, each))
        except OSError:
            listener.close()
            if not each:
                raise
            continue
        break
    listener.listen(_BACKLOG)
    return listener


def _accept(backend: "ConnectorBackend", server: str, listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(backend, server, connection), daemon=True).start()


def _serve(backend: "ConnectorBackend", name: str, connection: socket.socket) -> None:
    import paramiko  # noqa: PLC0415 - most embedded AWS have no server

    from adplatform.local.aws.transfer.servers import host_key  # noqa: PLC0415
    from adplatform.local.aws.transfer.uploads import Folders, Sessions  # noqa: PLC0415

    with LOCK:
        server = backend.sftp_servers.get(name)
    if server is None:
        connection.close()
        return
    transport = paramiko.Transport(connection)
    transport.banner_timeout = transport.auth_timeout = _HANDSHAKE_SECONDS
    transport.add_server_key(host_key(server.host_key))
    session = uuid4().hex[:17]
    transport.set_subsystem_handler("sftp", Sessions, Folders, backend, name, session)
    try:
        transport.start_server(server=_login(backend, name))
    except (paramiko.SSHException, EOFError, OSError):
        transport.close()


def _login(backend: "ConnectorBackend", name: str) -> "paramiko.ServerInterface":
    import paramiko  # noqa: PLC0415 - as above

    class Login(paramiko.ServerInterface):
        def get_allowed_auths(self, username: str) -> str:
            return "publickey"

        def check_auth_publickey(self, username: str, key: "paramiko.PKey") -> int:
            shown = f"{key.get_name()} {key.get_base64()}"
            with LOCK:
                server = backend.sftp_servers.get(name)
                user = server.users.get(username) if server and server.state == ONLINE else None
                known = {each.bare.rstrip("=") for each in user.keys} if user else set()
            return int(paramiko.AUTH_SUCCESSFUL if shown.rstrip("=") in known else paramiko.AUTH_FAILED)

        def check_channel_request(self, kind: str, chanid: int) -> int:
            session = kind == "session"
            return int(paramiko.OPEN_SUCCEEDED if session else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED)

    return Login()


def resume(backend: "ConnectorBackend") -> None:
    """Callers hold the lock."""
    for server in backend.sftp_servers.values():
        begin(backend, server)
        managed.changed("transfer")
