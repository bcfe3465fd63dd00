"""An SFTP server for tests, where OpenSSH's sshd is installed: one that runs as the current user and leaves nothing."""

import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from adplatform.platform.aws import Aws

SSHD = Path("/usr/sbin/sshd")
_HOST = "127.0.0.1"
_PRIVILEGE_SEPARATION = Path("/run/sshd")
_Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass
class SftpHost:
    """A server at ``host`` and ``port`` into which ``user`` logs in with ``private_key`` (OpenSSH's PEM). ``host_keys``
    are the lines "type base64" of the keys that it shows, the preferred one first. ``folder`` is where sessions begin;
    absolute paths are those of this machine."""

    host: str
    port: int
    user: str
    private_key: str = field(repr=False)
    host_keys: tuple[str, ...]
    folder: Path
    _home: Path = field(repr=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def restart(self, new_host_key: bool = False) -> None:
        """Ends every session and begins again at the same port, with other host keys if asked to."""
        self.stop()
        if new_host_key:
            self.host_keys = _make_host_keys(self._home)
        self.start()

    def start(self) -> None:
        """
        Raises:
            RuntimeError: it does not start; has its log.
        """
        log = self._home / "log"
        with log.open("wb") as errors:
            command = [str(SSHD), "-D", "-e", "-f", str(self._home / "config")]
            self._process = subprocess.Popen(command, stdout=errors, stderr=errors)
        deadline = time.monotonic() + 30
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(encoding="utf-8", errors="replace")[-2000:])
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends the server and every session."""
        if self._process is None:
            return
        # Each session has a process group of its own and would outlive the server.
        sessions = list(_descendants(self._process.pid))
        self._process.kill()
        self._process.wait()
        self._process = None
        for session in sessions:
            try:
                os.kill(session, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=5) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False


@contextmanager
def running_sftp_host(home: Path) -> Iterator[SftpHost]:
    """A server on a free port for as long as the block lasts, with what it needs below the empty folder ``home``."""
    if os.geteuid() == 0:
        _PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
    folder = home / "files"
    folder.mkdir()
    key = ed25519.Ed25519PrivateKey.generate()
    (home / "authorized_keys").write_text(_public(key) + "\n", encoding="ascii")
    with socket.socket() as found:
        found.bind((_HOST, 0))
        port = found.getsockname()[1]
    (home / "config").write_text(_config(home, folder, port), encoding="utf-8")
    server = SftpHost(_HOST, port, getpass.getuser(), _private(key), _make_host_keys(home), folder, home)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def sftp_host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpHost]:
    if not SSHD.exists():
        pytest.skip(f"needs {SSHD} (package openssh-server)")
    with running_sftp_host(tmp_path_factory.mktemp("sftp")) as server:
        yield server
    if "aws" in request.fixturenames:
        forget_connectors(request.getfixturevalue("aws"), server)


def forget_connectors(aws: Aws, host: SftpHost) -> None:
    """After its test: whoever looks for its connector reads the tags of each that there is."""
    client, url = aws.client("transfer"), f"sftp://{host.host}:{host.port}"
    for page in client.get_paginator("list_connectors").paginate():
        for each in page["Connectors"]:
            if each["Url"] == url:
                client.delete_connector(ConnectorId=each["ConnectorId"])


def _config(home: Path, folder: Path, port: int) -> str:
    return f"""\
ListenAddress {_HOST}
Port {port}
HostKey {home}/host_ed25519
HostKey {home}/host_ecdsa
PidFile none
AuthorizedKeysFile {home}/authorized_keys
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
UseDNS no
ChrootDirectory none
MaxStartups 100
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d {folder}
"""


def _make_host_keys(home: Path) -> tuple[str, ...]:
    keys: dict[str, _Key] = {
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "ecdsa": ec.generate_private_key(ec.SECP256R1()),
    }
    for name, key in keys.items():
        path = home / f"host_{name}"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(_private(key), encoding="ascii")
    return tuple(map(_public, keys.values()))


def _private(key: _Key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def _public(key: _Key) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _descendants(process: int) -> Iterator[int]:
    """Where the system tells them, which is on Linux."""
    children = Path(f"/proc/{process}/task/{process}/children")
    for child in map(int, children.read_text().split() if children.exists() else ()):
        yield child
        yield from _descendants(child)
