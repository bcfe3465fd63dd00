"""Partners who upload to a server of ours: keys, servers and users of the embedded AWS, and OpenSSH's own client."""

import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from adplatform.platform.aws import Aws
from adplatform_tests.support.replication import administer

ROLE = "arn:aws:iam::123456789012:role/transfer"


@dataclass(frozen=True)
class KeyPair:
    """``file`` has the private key, for ssh."""

    file: Path
    public: str


def make_key(folder: Path) -> KeyPair:
    key = ed25519.Ed25519PrivateKey.generate()
    file = folder / f"key-{uuid.uuid4().hex[:8]}"
    file.touch(mode=0o600)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return KeyPair(file, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


@dataclass(frozen=True)
class Partner:
    """Somebody with a key and OpenSSH's ``sftp``."""

    port: int
    user: str
    key: KeyPair
    folder: Path

    def sftp(self, *commands: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Runs commands in one session, each to its end; a line that begins with ``-`` may fail."""
        done = subprocess.run(
            [*self.command, "-b", "-", f"{self.user}@127.0.0.1"],
            input="".join(f"{each}\n" for each in commands),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"sftp {commands}: {done.stdout} {done.stderr}")
        return done

    def put(self, files: Mapping[str, bytes]) -> None:
        """Uploads files, by their paths on the server, in one session."""
        commands = []
        for number, (path, content) in enumerate(files.items()):
            local = self.folder / f"{uuid.uuid4().hex[:8]}-{number}"
            local.write_bytes(content)
            commands.append(f'put "{local}" "{path}"')
        self.sftp(*commands)

    def session(self) -> paramiko.SFTPClient:
        """One in this process, whose connection can be cut."""
        transport = paramiko.Transport(("127.0.0.1", self.port))
        transport.connect(username=self.user, pkey=paramiko.Ed25519Key.from_private_key_file(str(self.key.file)))
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        return client

    @property
    def command(self) -> list[str]:
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "LogLevel": "ERROR",
        }
        settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return ["sftp", "-F", "none", "-P", str(self.port), "-i", str(self.key.file), *settings]


def needs_sftp() -> None:
    """Skips the test where OpenSSH's client is missing."""
    if shutil.which("sftp") is None:
        pytest.skip("needs sftp (package openssh-client)")


def port_of(aws: Aws, server: str) -> int:
    described = aws.client("transfer").describe_server(ServerId=server)["Server"]
    return int(described["ProtocolDetails"]["SftpPorts"][0]["SftpPort"])


def make_server(aws: Aws, **settings: Any) -> str:
    """The id of a server."""
    return str(aws.client("transfer").create_server(**settings)["ServerId"])


def make_partner(
    aws: Aws, server: str, bucket: str, folder: Path, prefix: str = "landing/acme", **user: Any
) -> Partner:
    """A user of a server whose ``/`` is below a bucket, who logs in with a new key."""
    key, name = make_key(folder), f"user-{uuid.uuid4().hex[:6]}"
    aws.client("transfer").create_user(
        ServerId=server,
        UserName=name,
        Role=ROLE,
        SshPublicKeyBody=key.public,
        HomeDirectoryType="LOGICAL",
        HomeDirectoryMappings=[{"Entry": "/", "Target": f"/{bucket}/{prefix}"}],
        **user,
    )
    return Partner(port_of(aws, server), name, key, folder)


def order_server_fault(aws: Aws, name: str, server: str, **settings: Any) -> None:
    """The next time that it can, ``name`` of ``adplatform.local.aws.transfer.faults`` happens to the server."""
    administer(aws, fault={"service": "transfer", "name": name, "target": server, **settings})


def dropped(aws: Aws) -> int:
    """How many executions of workflows did not begin because too many had."""
    return int(administer(aws, ask={"service": "transfer", "what": "dropped"})["answer"]["dropped"])
