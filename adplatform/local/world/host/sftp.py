"""SFTP on loopback over the files of a folder, for one user with a password."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh


class _Door(asyncssh.SSHServer):
    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (self._user, self._password)


@contextmanager
def sftp_server(folder: Path, key: str, user: str, password: str) -> Iterator[int]:
    """Serves the folder on 127.0.0.1 in a thread until the end of the block, which gets the port. Nothing outside of
    the folder can be reached."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Door(user, password),
            server_host_keys=[asyncssh.import_private_key(key)],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder).encode()),
            allow_scp=False,
            session_factory=None,
        )

    async def end(acceptor: asyncssh.SSHAcceptor) -> None:
        acceptor.close()
        await acceptor.wait_closed()

    try:
        acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
        try:
            yield acceptor.get_port()
        finally:
            asyncio.run_coroutine_threadsafe(end(acceptor), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def make_key() -> str:
    """A new host key, in OpenSSH's form."""
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()


def public_line(key: str) -> str:
    """What ``ssh-keyscan`` prints of it, without the name: type and base64."""
    return " ".join(asyncssh.import_private_key(key).export_public_key().decode().split()[:2])
