"""The SFTP server that other tests use is one that a client can use."""

import io

import paramiko
import pytest

from adplatform_tests.support.sftp_host import SftpHost


def shown(server: SftpHost) -> str:
    with paramiko.Transport((server.host, server.port)) as transport:
        transport.start_client(timeout=10)
        key = transport.get_remote_server_key()
    return f"{key.get_name()} {key.get_base64()}"


def test_a_session_begins_in_the_folder_and_a_restart_shows_other_keys_if_asked(sftp_host: SftpHost) -> None:
    (sftp_host.folder / "a.csv").write_text("1")
    key = paramiko.Ed25519Key.from_private_key(io.StringIO(sftp_host.private_key))
    with paramiko.Transport((sftp_host.host, sftp_host.port)) as transport:
        transport.connect(username=sftp_host.user, pkey=key)
        sftp = paramiko.SFTPClient.from_transport(transport)
        assert sftp is not None
        assert sftp.listdir(".") == sftp.listdir(str(sftp_host.folder)) == ["a.csv"]
        before = sftp_host.host_keys
        sftp_host.restart()
        with pytest.raises((EOFError, OSError)):
            sftp.listdir(".")
    assert shown(sftp_host) in before
    sftp_host.restart(new_host_key=True)
    assert shown(sftp_host) in sftp_host.host_keys
    assert not set(before) & set(sftp_host.host_keys)
