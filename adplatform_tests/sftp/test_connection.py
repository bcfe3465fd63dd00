"""A server is believed only with a host key that is pinned, which comes before any secret."""

import base64
import io
import json
import logging
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from adplatform.failures import (
    CredentialsRefused,
    EnvironmentFailure,
    PermanentFailure,
    TransientFailure,
)
from adplatform.flow.services import Services
from adplatform.sftp.connection import Credentials, Host, HostKeyRefused, connected, read_credentials
from adplatform.sftp.errors import sftp_failures
from adplatform_tests.sftp.conftest import PASSWORD, faulty_host_of, host_of, user_of
from adplatform_tests.support.sftp_faults import FaultyHost, offering, speaking
from adplatform_tests.support.sftp_host import SftpHost

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Wn4Uu8l3vKp3Hc9C5w8vYQ2n1b1pKqv8yLrQnR7Xk"
KINDS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def written(key: Any, *, openssh: bool = True, passphrase: str = "") -> str:
    form = serialization.PrivateFormat.OpenSSH if openssh else serialization.PrivateFormat.PKCS8
    how = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return str(key.private_bytes(serialization.Encoding.PEM, form, how).decode())


def known(key: Any) -> Any:
    """As the server that misbehaves knows a key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return paramiko.RSAKey(key=key)
    wrapper = paramiko.Ed25519Key if isinstance(key, ed25519.Ed25519PrivateKey) else paramiko.ECDSAKey
    return wrapper.from_private_key(io.StringIO(written(key)))


@pytest.fixture
def partners_key(faulty: FaultyHost) -> Any:
    key = ed25519.Ed25519PrivateKey.generate()
    faulty.faults.keys.append(known(key))
    return key


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("openssh", [True, False])
@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_keys_of_each_kind_let_in(faulty: FaultyHost, kind: str, openssh: bool, passphrase: str) -> None:
    key = KINDS[kind]()
    faulty.faults.keys.append(known(key))
    text = written(key, openssh=openssh, passphrase=passphrase)
    credentials = Credentials("partner", private_key=f"\n{text.strip()}", passphrase=passphrase)
    with connected(faulty_host_of(faulty), [credentials]) as sftp:
        assert list(sftp.entries(str(faulty.folder))) == []


def test_a_key_of_rsa_lets_in_where_the_server_does_not_tell_which_signatures_it_takes(faulty: FaultyHost) -> None:
    faulty.faults.tells_signatures = False
    key = KINDS["rsa"]()
    faulty.faults.keys.append(known(key))
    with connected(faulty_host_of(faulty), [Credentials("partner", written(key))]) as sftp:
        assert sftp.is_usable


def test_a_password_lets_in_and_is_asked_after_a_key_that_is_not_enough(faulty: FaultyHost, partners_key: Any) -> None:
    host, key = faulty_host_of(faulty), written(partners_key)
    other = written(ed25519.Ed25519PrivateKey.generate())
    for credentials, tried in (
        (Credentials("partner", password=PASSWORD), ["password taken"]),
        (Credentials("partner", key, PASSWORD), ["publickey taken"]),
        (Credentials("partner", other, PASSWORD), ["publickey refused", "password taken"]),
    ):
        faulty.faults.log_ins.clear()
        with connected(host, [credentials]):
            assert faulty.faults.log_ins == tried
    faulty.faults.both = True
    with connected(host, [Credentials("partner", key, PASSWORD)]) as sftp:
        assert sftp.is_usable
    with pytest.raises(CredentialsRefused, match="wants password, too"), connected(host, [Credentials("partner", key)]):
        pass


def test_a_server_that_asks_for_the_password_is_answered_once(faulty: FaultyHost) -> None:
    faulty.faults.asks = True
    host = faulty_host_of(faulty)
    with connected(host, [Credentials("partner", password=PASSWORD)]) as sftp:
        assert sftp.is_usable
    with (
        pytest.raises(CredentialsRefused, match="does not take the key or password"),
        connected(host, [Credentials("partner", password="wrong")]),
    ):
        pass
    assert faulty.faults.log_ins == ["keyboard-interactive taken", "keyboard-interactive refused"]


def test_a_server_that_takes_nothing_that_the_secret_has_is_told_apart(faulty: FaultyHost, partners_key: Any) -> None:
    faulty.faults.asks = True
    with (
        pytest.raises(CredentialsRefused, match="takes none of the secret's: it wants keyboard-interactive"),
        connected(faulty_host_of(faulty), [Credentials("partner", written(partners_key))]),
    ):
        pass


def test_nothing_of_the_users_home_or_agent_is_used(
    faulty: FaultyHost, partners_key: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".ssh"
    folder.mkdir(mode=0o700)
    (folder / "id_ed25519").write_text(written(partners_key))
    (folder / "config").write_text("Host *\n  Port nonsense\n")
    other = paramiko.ECDSAKey.generate()
    (folder / "known_hosts").write_text(f"* {faulty.host_key}\n")
    (folder / "crt").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        agent.setblocking(False)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        for credentials in (Credentials("partner", password="wrong"), Credentials("partner", written(known_to_none()))):
            with pytest.raises(CredentialsRefused), connected(faulty_host_of(faulty), [credentials]):
                pass
        elsewhere = Host(faulty.host, (f"{other.get_name()} {other.get_base64()}",), faulty.port)
        with pytest.raises(HostKeyRefused), connected(elsewhere, [Credentials("partner", password=PASSWORD)]):
            pass
        with connected(faulty_host_of(faulty), [Credentials("partner", password=PASSWORD)]) as sftp:
            assert sftp.is_usable
        with pytest.raises(BlockingIOError):
            agent.accept()
    assert faulty.faults.log_ins == ["password refused", "publickey refused", "password taken"]


def known_to_none() -> Any:
    return ed25519.Ed25519PrivateKey.generate()


def test_the_next_version_of_a_secret_is_tried_where_one_is_refused(faulty: FaultyHost) -> None:
    host = faulty_host_of(faulty)
    old = Credentials("partner", password="was-right-once", stage="AWSCURRENT")
    new = Credentials("partner", password=PASSWORD, stage="AWSPENDING")
    with connected(host, [old, new]) as sftp:
        assert sftp.stage == "AWSPENDING"
    assert faulty.faults.log_ins == ["password refused", "password taken"]
    with connected(host, [new, old]) as sftp:
        assert sftp.stage == "AWSPENDING"
    with pytest.raises(CredentialsRefused) as refused, connected(host, [old, old]):
        pass
    assert str(refused.value).count("AWSCURRENT: sftp://127.0.0.1") == 2
    assert "right-once" not in str(refused.value)


def test_what_the_server_wants_instead_is_told(sftp_host: SftpHost) -> None:
    with (
        pytest.raises(CredentialsRefused, match="does not take the key or password of the secret"),
        connected(host_of(sftp_host), [Credentials(sftp_host.user, password="hidden")]),
    ):
        pass
    other = written(ed25519.Ed25519PrivateKey.generate())
    with (
        pytest.raises(CredentialsRefused, match="does not take the key or password of the secret"),
        connected(host_of(sftp_host), [Credentials(sftp_host.user, other)]),
    ):
        pass


@pytest.mark.parametrize("text", ["hidden", "-----BEGIN OPENSSH PRIVATE KEY-----\nhidden\n", "passphrase"])
def test_a_key_that_cannot_be_read_is_refused_and_not_quoted(faulty: FaultyHost, text: str) -> None:
    if text == "passphrase":
        text = written(ed25519.Ed25519PrivateKey.generate(), passphrase="hidden")
    with (
        pytest.raises(CredentialsRefused, match="PrivateKey of the secret cannot be read") as refused,
        connected(faulty_host_of(faulty), [Credentials("partner", text, passphrase="hidden?")]),
    ):
        pass
    assert refused.value.__cause__ is None
    assert "hidden" not in str(refused.value)


def test_a_host_key_that_is_not_pinned_is_refused_before_anybody_logs_in(
    sftp_host: SftpHost, faulty: FaultyHost
) -> None:
    before = host_of(sftp_host)
    sftp_host.restart(new_host_key=True)
    with pytest.raises(HostKeyRefused) as refused, connected(before, [user_of(sftp_host)]):
        pass
    shown, pinned = (
        paramiko.PKey.from_type_string("ssh-ed25519", base64.b64decode(line.split()[1]))
        for line in (sftp_host.host_keys[0], before.host_keys[0])
    )
    assert f"shows the host key ssh-ed25519 {shown.fingerprint}, and pinned are" in str(refused.value)
    assert f"ssh-ed25519 {pinned.fingerprint}" in str(refused.value)
    both = Host(before.name, (*before.host_keys, *sftp_host.host_keys), before.port)
    with connected(both, [user_of(sftp_host)]) as sftp:
        assert sftp.is_usable
    other = paramiko.ECDSAKey.generate()
    elsewhere = Host(faulty.host, (f"{other.get_name()} {other.get_base64()}",), faulty.port)
    with pytest.raises(HostKeyRefused), connected(elsewhere, [Credentials("partner", password=PASSWORD)]):
        pass
    assert faulty.faults.log_ins == []


def test_only_types_of_host_keys_that_are_pinned_are_asked_for(sftp_host: SftpHost) -> None:
    # The server has an Ed25519 key, too, which both would prefer.
    [pinned] = [line for line in sftp_host.host_keys if line.startswith("ecdsa")]
    host = Host(sftp_host.host, (f"{pinned}  sftp@example.com",), sftp_host.port)
    with connected(host, [user_of(sftp_host)]) as sftp:
        assert sftp.is_usable


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M=", ED25519[12:]])
def test_a_pin_that_is_no_public_key_is_refused(line: str) -> None:
    with pytest.raises(PermanentFailure, match='is no public key as "type base64"'):
        connected(Host("sftp.example.com", (ED25519, line)), []).__enter__()


def test_without_a_pin_there_is_no_connection() -> None:
    with pytest.raises(PermanentFailure, match=r"no host key is pinned.*ssh-keyscan -p 2222 sftp.example.com"):
        connected(Host("sftp.example.com", (), 2222), []).__enter__()


@pytest.mark.parametrize(
    ("offers", "said"),
    [
        (
            {"cipher": "chacha20-poly1305@openssh.com"},
            "no cipher in common: the server has chacha20-poly1305@openssh.com",
        ),
        ({"kex": "diffie-hellman-group1-sha1"}, "no key exchange in common: the server has diffie-hellman-group1-sha1"),
        ({"kex": "diffie-hellman-group14-sha1"}, "no key exchange in common: the server has diffie-hellman-group14"),
        ({"mac": "umac-64@openssh.com"}, "no MAC in common: the server has umac-64@openssh.com"),
        ({"key": "ssh-rsa,ssh-dss"}, "no host key in common: the server has ssh-rsa, ssh-dss; here are ssh-ed25519"),
    ],
)
def test_where_algorithms_differ_both_lists_are_shown(offers: dict[str, str], said: str) -> None:
    with offering(**offers) as port, pytest.raises(PermanentFailure) as refused:
        connected(Host("127.0.0.1", (ED25519,), port), [Credentials("u", password="p")]).__enter__()
    assert said in str(refused.value)
    assert "; here are " in str(refused.value)
    assert ("or pin a host key of a type that it has" in str(refused.value)) == ("key" in offers)


def test_a_server_that_cannot_be_reached_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    user = [Credentials("u", password="p")]
    with pytest.raises(TransientFailure, match="refuses the connection: it is down, or the port is another") as refused:
        connected(Host("127.0.0.1", (ED25519,), port), user).__enter__()
    assert not isinstance(refused.value, EnvironmentFailure)
    with pytest.raises(TransientFailure, match=r"host cannot be found|cannot be looked up"):
        connected(Host("sftp.example.invalid", (ED25519,)), user).__enter__()


def holds_on(link: socket.socket) -> None:
    while link.recv(65536):
        pass


def greets(link: socket.socket) -> None:
    link.sendall(b"SSH-2.0-mute\r\n")
    holds_on(link)


def test_a_server_that_greets_with_nonsense_cannot_be_understood() -> None:
    with (
        speaking(lambda link: (link.sendall(b"SSH-2.0-\xff\xfe\r\n"), holds_on(link))) as port,
        pytest.raises(PermanentFailure, match="cannot be understood"),
    ):
        connected(Host("127.0.0.1", (ED25519,), port), [Credentials("u", "", "p")]).__enter__()


@pytest.mark.parametrize(
    "serve",
    [holds_on, greets, lambda link: None, lambda link: link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")],
    ids=["silent", "silent after its greeting", "closes", "http"],
)
def test_a_server_that_does_not_speak_ssh_is_not_waited_for(serve: Callable[[socket.socket], object]) -> None:
    with (
        speaking(serve) as port,
        pytest.raises(TransientFailure, match=r"connection failed|ended the connection|dropped|not answer in time"),
    ):
        connected(Host("127.0.0.1", (ED25519,), port, connect_seconds=0.5), [Credentials("u", "", "p")]).__enter__()


def test_a_server_without_sftp_or_without_a_session_to_spare_says_so(faulty: FaultyHost) -> None:
    host, user = faulty_host_of(faulty), [Credentials("partner", password=PASSWORD)]
    faulty.faults.sessions = 1
    with (
        connected(host, user),
        pytest.raises(TransientFailure, match="opens no session for now"),
        connected(host, user),
    ):
        pass
    faulty.faults.sessions, faulty.faults.subsystem = 10, "other"
    with pytest.raises(PermanentFailure, match="offers no SFTP to this user"), connected(host, user):
        pass


def test_no_log_has_a_secret(faulty: FaultyHost, partners_key: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = written(partners_key, passphrase="not-told")
    host = faulty_host_of(faulty)
    with connected(host, [Credentials("partner", key, PASSWORD, "not-told")]):
        pass
    with pytest.raises(CredentialsRefused), connected(host, [Credentials("partner", key, "wrong-one", "wrong-two")]):
        pass
    faulty.faults.keys.clear()
    with connected(host, [Credentials("partner", key, PASSWORD, "not-told")]):
        pass
    with pytest.raises(CredentialsRefused), connected(host, [Credentials("partner", password="wrong-one")]):
        pass
    lines = [line for line in key.splitlines() if not line.startswith("---")]
    ours = " ".join(record.getMessage() for record in caplog.records)
    assert not [secret for secret in (*lines, PASSWORD, "not-told", "wrong-one", "wrong-two") if secret in ours]


def test_errors_of_asyncssh_are_raised_and_not_logged_as_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with offering(cipher="none") as port, pytest.raises(PermanentFailure):
        connected(Host("127.0.0.1", (ED25519,), port), [Credentials("u", "", "p")]).__enter__()
    assert [record for record in caplog.records if record.name.startswith(("adplatform.sftp", "asyncssh"))] == []


@pytest.fixture
def secret(services: Services) -> str:
    return f"{services.settings.raw_bucket}/sftp"


def put(services: Services, name: str, *values: dict[str, str], stages: tuple[str, ...]) -> None:
    services.secrets.create_secret(Name=name)
    for value, stage in zip(values, stages, strict=True):
        services.secrets.put_secret_value(SecretId=name, SecretString=json.dumps(value), VersionStages=[stage])


def test_credentials_are_of_the_stages_in_their_order(services: Services, secret: str) -> None:
    put(
        services,
        secret,
        {"Username": "partner", "Password": "hidden-1"},
        {"Username": "partner", "PrivateKey": "hidden-2", "Passphrase": "hidden-3"},
        stages=("AWSCURRENT", "AWSPENDING"),
    )
    found = read_credentials(services.secrets, secret, ("AWSPENDING", "AWSCURRENT", "AWSPREVIOUS"))
    assert [(one.stage, one.username, one.private_key, one.passphrase, one.password) for one in found] == [
        ("AWSPENDING", "partner", "hidden-2", "hidden-3", ""),
        ("AWSCURRENT", "partner", "", "", "hidden-1"),
    ]
    assert "hidden" not in f"{found!r} {found}"
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_version_with_two_stages_is_tried_once(services: Services, secret: str) -> None:
    services.secrets.create_secret(Name=secret)
    value = json.dumps({"Username": "partner", "Password": "hidden"})
    services.secrets.put_secret_value(SecretId=secret, SecretString=value, VersionStages=["AWSCURRENT", "AWSPENDING"])
    assert len(read_credentials(services.secrets, secret, ("AWSPENDING", "AWSCURRENT"))) == 1


@pytest.mark.parametrize("text", ["not json", '{"Username": "u"}', '{"Username": " ", "Password": "hidden"}', "[1]"])
def test_a_secret_that_lacks_something_is_refused_and_not_quoted(services: Services, secret: str, text: str) -> None:
    services.secrets.create_secret(Name=secret, SecretString=text)
    with pytest.raises(
        CredentialsRefused, match="is no JSON object with Username, and PrivateKey or Password"
    ) as refused:
        read_credentials(services.secrets, secret)
    assert "hidden" not in str(refused.value)


def test_a_secret_that_is_missing_is_waited_for(services: Services) -> None:
    with pytest.raises(EnvironmentFailure, match="secret nowhere/sftp"):
        read_credentials(services.secrets, "nowhere/sftp", ("AWSPENDING", "AWSCURRENT"))


def test_a_session_works_after_a_restart_of_the_server(sftp_host: SftpHost, tmp_path: Path) -> None:
    (sftp_host.folder / "file").write_text("x")
    with connected(host_of(sftp_host), [user_of(sftp_host)]) as sftp:
        sftp_host.restart()
        with pytest.raises(TransientFailure, match="ended the connection"), sftp_failures("file"):
            sftp.stat(str(sftp_host.folder / "file"))
        assert not sftp.is_usable
    with connected(host_of(sftp_host), [user_of(sftp_host)]) as sftp:
        assert sftp.stat(str(sftp_host.folder / "file")).size == 1
