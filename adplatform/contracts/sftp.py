"""Files on an SFTP server: who carries them, from where, and when each is taken."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, field_validator, model_validator

from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import Arrival, Feed
from adplatform.contracts.model import Strict
from adplatform.contracts.source import FileSource

CONNECTOR = r"^c-[0-9a-f]{17}$"
"""Transfer Family API reference, ConnectorId."""
KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
    "ssh-rsa",
)
HOST_KEY = rf"^({'|'.join(KEY_TYPES)}) [A-Za-z0-9+/]+={{0,2}}( .*)?$"
_MOST_HOST_KEYS = 10
BROUGHT = Arrival(complete_when="engine", accept_early=None)
"""When a delivery is complete whose files are fetched: by what ended runs brought."""


class SftpHost(Strict):
    """A server elsewhere from which files are fetched."""

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=255)]
    """Its name or address."""
    port: int = Field(default=22, ge=1, le=65535)
    """Its port."""
    secret: str = Field(min_length=1, max_length=512)
    """The secret with ``Username`` and ``PrivateKey`` or ``Password``, as a JSON object."""
    host_keys: tuple[Annotated[str, Field(pattern=HOST_KEY, max_length=2048)], ...] = Field(
        min_length=1, max_length=_MOST_HOST_KEYS
    )
    """The keys that the server may show, as ``ssh-keyscan`` prints them without the name: type and base64. Several
    while it moves to a new one."""
    connections: int = Field(default=2, ge=1, le=5)
    """How many connections are open at once."""

    @property
    def url(self) -> str:
        """As Transfer Family writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"sftp://{host}:{self.port}"

    @field_validator("host_keys")
    @classmethod
    def _without_comments(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Transfer Family refuses keys with a comment behind them."""
        return tuple(" ".join(key.split(" ")[:2]) for key in keys)


class SftpClient(SftpHost):
    """A server that workers of this platform read themselves."""

    kind: Literal["client"]
    """Fetched by workers of this platform, for servers that Transfer Family cannot reach."""


class SftpConnector(SftpHost):
    """A server that a connector of AWS Transfer Family reads."""

    kind: Literal["connector"]
    """Fetched by a connector of AWS Transfer Family."""
    connector: Annotated[str, Field(pattern=CONNECTOR)] | None = None
    """The connector, by its id; by default `adplatform provision` makes one."""
    role: str = Field(default="adplatform-transfer", min_length=1, max_length=2048)
    """The IAM role, by name or ARN, with which the connector writes into the raw bucket and reads the secret."""
    logging_role: str | None = Field(default=None, min_length=1, max_length=2048)
    """The IAM role, by name or ARN, with which the connector logs to CloudWatch why something failed; without one it
    does not log."""


From = Annotated[SftpClient | SftpConnector, Discriminator("kind")]


class Ready(Strict):
    """When a file of the server is taken to be whole."""

    stable_for: Duration = timedelta(minutes=1)
    """How long its size and time have to stay as they are, seen by two listings at least; 0s takes a file at once, for
    senders that give it its name when it is whole."""
    marker: Annotated[str, Field(pattern=r"^[^/]+$", max_length=255)] | None = None
    """The name of a file beside it that says that it is whole: ``{file}.done`` for one each, ``_SUCCESS`` for all of a
    folder. By default none is awaited."""


class Afterwards(Strict):
    """What becomes of a file on the server once it is published."""

    move_to: Annotated[str, Field(pattern=r"^/?[^/\x00-\x1f]+(/[^/\x00-\x1f]+)*/?$", max_length=1024)] | None = None
    """The folder to which it is moved; relative to that of the file, or absolute."""
    delete: bool = False
    """Whether it is deleted."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.delete and self.move_to:
            raise ValueError("give move_to or delete, not both")
        return self


class SftpFeed(Feed):
    """One dataset among the files of a server."""

    remote: Annotated[str, Field(pattern=r"^/", min_length=2, max_length=1024)]
    """Where its files are on the server, made of ``{date}`` (or ``{date:%Y%m%d}``), ``{file}`` and ``*``:
    ``/out/orders/orders_{date:%Y%m%d}_*.csv.gz``. Without a date, that (UTC) counts on which the file was changed."""
    ready: Ready = Ready()
    """When a file is taken to be whole."""
    landing: str = "{feed}/dt={date}/{file}"
    """Fixed: where the files are put."""
    arrival: Arrival = BROUGHT
    """When a delivery is complete: by what was fetched. A ``deadline`` may be set."""

    @model_validator(mode="after")
    def _fetched(self) -> Self:
        if "landing" in self.model_fields_set:
            raise ValueError("landing is where fetched files are put, and is fixed; leave it out and give remote")
        if self.arrival.complete_when != "engine":
            raise ValueError("arrival.complete_when is engine for files that are fetched; leave it out")
        if self.schedule is not None:
            raise ValueError("deliveries are processed once files were fetched; leave schedule out, use every")
        if "{feed}" in self.remote or ".." in self.remote.split("/"):
            raise ValueError("remote is made of {date}, {file} and *; it names no feed and no parent folder")
        return self

    @property
    def folder(self) -> str:
        """The fixed beginning of ``remote`` that is a folder, which is listed."""
        fixed = self.remote.partition("{")[0].partition("*")[0]
        return fixed.rpartition("/")[0] or "/"

    @property
    def depth(self) -> int:
        """How many folders below that one files may be."""
        return self.remote.removeprefix(self.folder).strip("/").count("/")


class SftpSource(FileSource):
    """Files of one SFTP server."""

    from_: From = Field(alias="from")
    """The server, and who fetches its files."""
    every: Duration = timedelta(minutes=5)
    """How often the server is looked at."""
    offset: Duration = timedelta(0)
    """How long after midnight (UTC), or after full multiples of ``every``, it is looked at."""
    afterwards: Afterwards = Afterwards()
    """What becomes of a file on the server once it is published; by default it stays as it is."""
    feeds: list[SftpFeed] = Field(min_length=1)  # type: ignore[assignment]  # every one is a feed
    """The datasets among the files, each with where they are."""
    check_every: int = Field(default=60, ge=1)
    """Seconds between two looks at what runs."""
