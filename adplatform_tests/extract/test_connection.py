"""A server is believed only with a certificate that is good for its name; credentials stay where they belong."""

import json
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adplatform.extract import connection
from adplatform.extract.connection import Connecting, Credentials, database, database_failures, read_credentials
from adplatform.failures import CredentialsRefused, EnvironmentFailure, PermanentFailure
from adplatform.flow.services import Services
from adplatform.local.world.postgres import PostgresServer, postgres_server


@dataclass(frozen=True)
class Secured:
    """A server that speaks TLS, and the certificate (PEM) of its authority, which is its own."""

    server: PostgresServer
    authority: str


def certificate(folder: Path, address: str) -> str:
    """A certificate for one address and its key, below ``folder``; the certificate as PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for file, body in (("server.crt", pem), ("server.key", private)):
        (folder / file).write_bytes(body)
        (folder / file).chmod(0o600)
        if os.geteuid() == 0:
            os.chown(folder / file, 65534, 65534)
    return pem.decode()


@pytest.fixture(scope="module", params=["127.0.0.1", "192.0.2.1"])
def secured(request: pytest.FixtureRequest) -> Iterator[Secured]:
    import tempfile  # noqa: PLC0415 - pytest's own folders may not be entered by the server's user

    with tempfile.TemporaryDirectory(prefix="tls-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        authority = certificate(folder, request.param)
        try:
            with postgres_server(
                ssl="on", ssl_cert_file=str(folder / "server.crt"), ssl_key_file=str(folder / "server.key")
            ) as server:
                yield Secured(server, authority)
        except PermanentFailure as e:
            pytest.skip(f"this server has no TLS: {e}")


def asked(server: PostgresServer, how: Connecting) -> list[Any]:
    credentials = Credentials("postgres", "127.0.0.1", server.port, "postgres", server.password, "postgres")
    with database_failures("shop"), database(credentials, how) as engine, engine.connect() as opened:
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        return [row[0] for row in opened.exec_driver_sql(query)]


def test_a_certificate_must_be_of_the_authority_and_for_the_host(
    secured: Secured, request: pytest.FixtureRequest
) -> None:
    good = request.node.callspec.params["secured"] == "127.0.0.1"
    with pytest.raises(PermanentFailure, match="certificate is not trusted, or not for its name"):
        asked(secured.server, Connecting())
    if good:
        assert asked(secured.server, Connecting(authority=secured.authority)) == [True]
    else:
        with pytest.raises(PermanentFailure, match="certificate is not trusted, or not for its name"):
            asked(secured.server, Connecting(authority=secured.authority))


def test_a_server_without_tls_is_not_believed(postgres: PostgresServer) -> None:
    with pytest.raises(PermanentFailure, match="the server speaks no TLS"):
        asked(postgres, Connecting())
    assert asked(postgres, Connecting(verified=False)) == [False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "is no JSON object with engine, host, username, password, dbname"),
        ('{"engine": "postgres", "host": "h", "username": "u", "password": ""}', "with password, dbname"),
        ('{"engine": "postgres", "host": "h", "username": "u", "password": "p", "dbname": "d", "port": "x"}', "port"),
    ],
)
def test_a_secret_that_lacks_something_is_refused_and_not_quoted(services: Services, text: str, said: str) -> None:
    services.secrets.create_secret(Name=f"{services.settings.raw_bucket}/db", SecretString=text)
    with pytest.raises(CredentialsRefused, match=said) as refused:
        read_credentials(services.secrets, f"{services.settings.raw_bucket}/db")
    assert text not in f"{refused.value} {refused.value.__context__ if refused.value.__cause__ else ''}"


def test_a_secret_that_is_missing_is_waited_for(services: Services) -> None:
    with pytest.raises(EnvironmentFailure, match="secret nowhere/db"):
        read_credentials(services.secrets, "nowhere/db")


def test_credentials_show_no_password(services: Services) -> None:
    secret = {"engine": "PostgreSQL", "host": "h", "username": "u", "password": "hidden", "dbname": "d"}
    services.secrets.create_secret(Name=f"{services.settings.raw_bucket}/db", SecretString=json.dumps(secret))
    found = read_credentials(services.secrets, f"{services.settings.raw_bucket}/db")
    assert (found.engine, found.port, found.password) == ("postgres", 5432, "hidden")
    assert "hidden" not in f"{found!r} {found} {found.place}"
    assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize("engine", ["sqlserver", "oracle"])
def test_a_database_whose_certificate_is_not_verified_is_not_reached(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    credentials = Credentials(engine, "db.example.com", 1, "u", "p", "d")
    with pytest.raises(PermanentFailure, match="lead a tunnel"), database(credentials, Connecting()):
        pass
    with (
        pytest.raises(PermanentFailure, match="for a database of this machine"),
        database(credentials, Connecting(verified=False)),
    ):
        pass
