"""A server elsewhere, and who fetches its files: workers of this platform, or a connector of Transfer Family."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from adplatform.contracts.strict import Strict
from adplatform.platform import names

CONNECTOR = r"^c-[0-9a-f]{17}$"
"""Transfer Family API reference, ConnectorId."""
LATTICE = r"^arn:[a-z0-9-]+:vpc-lattice:[a-zA-Z0-9-]+:\d{12}:resourceconfiguration/rcfg-[0-9a-z]{17}$"
"""Transfer Family API reference, ConnectorVpcLatticeEgressConfig."""
KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
HOST_KEY = rf"^({'|'.join(KEY_TYPES)}) [A-Za-z0-9+/]+={{0,2}}( .*)?$"
_MOST_HOST_KEYS = 10


def _is_host_key(line: str) -> bool:
    """Whether the key itself says that it is of the type that stands before it (RFC 4253, section 6.6)."""
    kind, text = [*line.split(" "), "", ""][:2]
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    begins = len(kind).to_bytes(4) + kind.encode()
    return kind in KEY_TYPES and blob.startswith(begins) and len(blob) > len(begins)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."


class SftpHost(Strict):
    """A server elsewhere from which files are fetched."""

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=255)] | None = None
    """Its name or address; only a simulated one needs none."""
    port: int = Field(default=22, ge=1, le=65535)
    """Its port."""
    secret: str = Field(min_length=1, max_length=512)
    """The secret with ``Username`` and ``PrivateKey`` or ``Password``, as a JSON object."""
    host_keys: tuple[Annotated[str, Field(pattern=HOST_KEY, max_length=2048)], ...] = Field(
        default=(), max_length=_MOST_HOST_KEYS
    )
    """The keys that the server may show, as ``ssh-keyscan`` prints them without the name: type and base64. Several
    while it moves to a new one."""
    connections: int = Field(default=2, ge=1, le=5)
    """How many connections are open at once."""

    @property
    def url(self) -> str:
        """As Transfer Family writes it."""
        host = self.host or ""
        host = f"[{host}]" if ":" in host else host
        return f"sftp://{host}:{self.port}"

    @field_validator("host", mode="before")
    @classmethod
    def _alone(cls, host: Any) -> Any:
        if isinstance(host, str) and {"/", "@"}.intersection(host):
            raise ValueError("host is a name or address alone, without sftp://, user and folder")
        return host

    @field_validator("host_keys", mode="before")
    @classmethod
    def _of_host_keys(cls, keys: Any) -> Any:
        """Each a key, not a line that was pasted with more or less than that."""
        if isinstance(keys, str):
            raise ValueError("host_keys is a list, also of one key")
        for key in keys if isinstance(keys, list | tuple) else ():
            if isinstance(key, str) and not _is_host_key(key):
                raise ValueError(
                    f"{_shortened(key)!r} is no host key: write its type and base64, as `ssh-keyscan` prints them "
                    "behind the name: ssh-ed25519 AAAA..."
                )
        return keys

    @field_validator("host_keys")
    @classmethod
    def _without_comments(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Transfer Family refuses keys with a comment behind them."""
        return tuple(" ".join(key.split(" ")[:2]) for key in keys)


class SftpClient(SftpHost):
    """A server that workers of this platform read themselves."""

    kind: Literal["client"]
    """Fetched by workers of this platform, for servers that Transfer Family cannot reach."""
    connections: int = Field(default=1, ge=1, le=5)
    """How many connections are open at once: more for a server that is far, or that limits each. One carries many files
    at a time."""


class Lattice(Strict):
    """A way to a server in a private network, by VPC Lattice (Transfer Family user guide, "VPC connectivity for SFTP
    connectors")."""

    resource: Annotated[str, Field(pattern=LATTICE)]
    """The ARN of the resource configuration of VPC Lattice that stands for the server."""
    port: int = Field(default=22, ge=1, le=65535)
    """The server's port there."""


class SftpConnector(SftpHost):
    """A server that a connector of AWS Transfer Family reads."""

    kind: Literal["connector"]
    """Fetched by a connector of AWS Transfer Family."""
    connector: Annotated[str, Field(pattern=CONNECTOR)] | None = None
    """The connector, by its id; by default `adplatform provision` makes one."""
    role: str = Field(default=names.TRANSFER_ROLE, min_length=1, max_length=2048)
    """The IAM role, by name or ARN, with which the connector writes into the raw bucket and reads the secret."""
    logging_role: str | None = Field(default=None, min_length=1, max_length=2048)
    """The IAM role, by name or ARN, with which the connector logs to CloudWatch why something failed; without one it
    does not log."""
    security_policy: Annotated[str, Field(pattern=r"^TransferSFTPConnectorSecurityPolicy-[A-Za-z0-9-]+$")] | None = None
    """Which algorithms it offers the server; by default AWS says."""
    lattice: Lattice | None = None
    """How it reaches a server in a private network; by default it goes over the internet, and ``host`` is where.
    Otherwise ``host`` is what the server is called in messages."""

    @field_validator("host_keys")
    @classmethod
    def _that_it_takes(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        """RSA and ECDSA (Transfer Family API reference, SftpConnectorConfig)."""
        if keys and all(key.startswith("ssh-ed25519 ") for key in keys):
            raise ValueError(
                "host_keys has none that a connector takes: add the server's RSA or ECDSA key, which `ssh-keyscan -t "
                "rsa,ecdsa` prints"
            )
        return keys
