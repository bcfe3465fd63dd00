"""A real SFTP server, and one that misbehaves."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adplatform.sftp.connection import Credentials, Host
from adplatform.sftp.connection import connected as connect
from adplatform.sftp.listing import RemoteFile
from adplatform.sftp.session import Sftp
from adplatform_tests.support.sftp_faults import Faults, FaultyHost, faulty_host
from adplatform_tests.support.sftp_host import SftpHost, sftp_host  # noqa: F401 - a fixture

PASSWORD = "not-so-secret"
WHEN = datetime(2026, 11, 1, 12, 30, 15, tzinfo=UTC)


@pytest.fixture
def sftp(sftp_host: SftpHost) -> Iterator[Sftp]:  # noqa: F811
    """A session with OpenSSH's server."""
    with connect(host_of(sftp_host), [user_of(sftp_host)]) as session:
        yield session


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[FaultyHost]:
    folder = tmp_path / "remote"
    folder.mkdir()
    with faulty_host(folder, Faults(password=PASSWORD)) as server:
        yield server


@pytest.fixture
def faulty_sftp(faulty: FaultyHost) -> Iterator[Sftp]:
    """A session with the server that misbehaves."""
    with connect(faulty_host_of(faulty), [Credentials("partner", password=PASSWORD)]) as session:
        yield session


def host_of(server: SftpHost) -> Host:
    return Host(server.host, server.host_keys, server.port)


def user_of(server: SftpHost) -> Credentials:
    return Credentials(server.user, server.private_key)


def faulty_host_of(server: FaultyHost, **more: float) -> Host:
    return Host(server.host, (server.host_key,), server.port, **more)  # type: ignore[arg-type]


def put(path: Path, content: bytes = b"content") -> RemoteFile:
    """A file of ``WHEN`` on a server of this machine, as it is listed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (0, WHEN.timestamp()))
    return RemoteFile(str(path), len(content), WHEN)
