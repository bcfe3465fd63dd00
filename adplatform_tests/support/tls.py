"""PostgreSQL servers that speak TLS, with certificates of their own."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adplatform.local.world.postgres import PostgresServer, postgres_server


@dataclass(frozen=True)
class Secured:
    """A server that speaks TLS, and the certificate (PEM) of its authority, which is its own."""

    server: PostgresServer
    authority: str


@contextmanager
def secured_server(address: str) -> Iterator[Secured]:
    """A server whose certificate is for one address; it listens on 127.0.0.1 whatever that says.

    Raises:
        PermanentFailure: the server that is installed has no TLS.
    """
    # pytest's own folders may not be entered by the server's user.
    with tempfile.TemporaryDirectory(prefix="tls-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        authority = _certificate(folder, address)
        certificate, key = (str(folder / name) for name in ("server.crt", "server.key"))
        with postgres_server(ssl="on", ssl_cert_file=certificate, ssl_key_file=key) as server:
            yield Secured(server, authority)


def _certificate(folder: Path, address: str) -> str:
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
