"""Files on an SFTP server: who carries them, from where, and when each is taken."""

import base64
import binascii
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import BROUGHT, Brought, Feed
from adplatform.contracts.model import Strict
from adplatform.contracts.source import FileSource

CONNECTOR = r"^c-[0-9a-f]{17}$"
"""Transfer Family API reference, ConnectorId."""
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


SERVER = r"^(s-[0-9a-f]{17}|[a-z][a-z0-9-]{0,62})$"
"""The id of a server (Transfer Family API reference, ServerId), or the name of one that the platform makes."""
USER_KEY = r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}( .*)?$"
"""What Transfer Family takes (user guide, "Managing SSH and PGP keys")."""
_MOST_KEYS = 10
_MOST_TAGS = 10


class SftpUser(Strict):
    """Somebody at the partner who logs in."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_@.-]{2,99}$")]
    """The name to log in with; of one source on one server."""
    keys: tuple[Annotated[str, Field(pattern=USER_KEY, max_length=2048)], ...] = Field(
        min_length=1, max_length=_MOST_KEYS
    )
    """Public keys as ``ssh-keygen`` writes them, with or without a comment. Several while the partner moves to a new
    one: one that is left out here is taken away once the others are there."""
    folder: Annotated[str, Field(pattern=r"^([A-Za-z0-9._=-]+/)*[A-Za-z0-9._=-]+/?$", max_length=512)] | None = None
    """The folder below the source's landing prefix that the user sees as ``/``; by default that prefix itself."""
    can: Literal["put", "put_get_list"] = "put_get_list"
    """What the user may do there: only upload under final names, or also list, read, rename and delete."""

    @field_validator("keys")
    @classmethod
    def _without_comments(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        bare = tuple(" ".join(key.split()[:2]) for key in keys)
        if len(set(bare)) < len(bare):
            raise ValueError("a key is there twice")
        return bare

    @field_validator("folder")
    @classmethod
    def _below(cls, folder: str | None) -> str | None:
        if folder is not None and {".", ".."}.intersection(folder.split("/")):
            raise ValueError("folder names a folder below the landing prefix; it has no . and no ..")
        return folder


class Decrypt(Strict):
    """How the workflow decrypts."""

    secret: str = Field(min_length=1, max_length=512)
    """The secret with our private key, as in ``pgp.private_keys`` of a feed."""


class Workflow(Strict):
    """What a managed workflow of Transfer Family does with each file that was uploaded. Files are landed without it."""

    decrypt: Decrypt | Literal[False] = False
    """Whether files are decrypted, with which key. The copies go to ``prepared/sftp-uploads/<user>/<date>/``, where
    nothing lands: what was delivered the flow decrypts itself."""
    check: bool = True
    """Whether a Lambda function checks size and malware scan, and notes what it found."""
    tag: dict[Annotated[str, Field(min_length=1, max_length=128)], Annotated[str, Field(max_length=256)]] = Field(
        default_factory=dict, max_length=_MOST_TAGS
    )
    """Tags of the uploaded object."""
    timeout: Duration = timedelta(minutes=5)
    """How long the function may take until the step has failed."""
    function: str = Field(default="adplatform-upload-check", min_length=1, max_length=170)
    """The Lambda function that checks, by name or ARN."""
    exception_function: str = Field(default="adplatform-upload-exception", min_length=1, max_length=170)
    """The Lambda function that is called when a step has failed, by name or ARN."""
    partial_function: str = Field(default="adplatform-upload-partial", min_length=1, max_length=170)
    """The Lambda function that is called when a session ended in the middle of a file, by name or ARN."""
    role: str = Field(default="adplatform-transfer-workflow", min_length=1, max_length=2048)
    """The IAM role, by name or ARN, with which the workflow runs."""

    @field_validator("timeout")
    @classmethod
    def _allowed(cls, timeout: timedelta) -> timedelta:
        if not timedelta(seconds=10) <= timeout <= timedelta(minutes=30):
            raise ValueError("Transfer Family lets a function take up to 30m, and it needs 10s at least")
        return timeout

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        if not (self.decrypt or self.check or self.tag):
            raise ValueError("a workflow decrypts, checks or tags; leave it out where it does none of these")
        return self


class SftpServer(Strict):
    """A server of AWS Transfer Family that is ours, to which partners upload."""

    kind: Literal["server"]
    """Uploaded by the partner to a server of AWS Transfer Family."""
    users: tuple[SftpUser, ...] = Field(min_length=1)
    """Who logs in."""
    server: Annotated[str, Field(pattern=SERVER)] = "adplatform"
    """The id of a server that exists, of which only users and workflow are changed; or the name of one that
    `adplatform provision` makes. Sources that name the same share it."""
    endpoint: Literal["public", "vpc"] = "public"
    """Where a server that is made can be reached from."""
    vpc: str | None = Field(default=None, pattern=r"^vpc-[0-9a-f]{8,17}$")
    """For ``vpc``: the VPC."""
    subnets: tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")], ...] = ()
    """For ``vpc``: its subnets."""
    security_groups: tuple[Annotated[str, Field(pattern=r"^sg-[0-9a-f]{8,17}$")], ...] = ()
    """For ``vpc``: the security groups, which say who reaches it."""
    security_policy: Annotated[str, Field(pattern=r"^Transfer[A-Za-z0-9]*SecurityPolicy-[A-Za-z0-9-]+$")] = (
        "TransferSecurityPolicy-2024-01"
    )
    """Which algorithms a server that is made offers."""
    set_stat: bool = True
    """Whether clients may ask to set times and permissions, which S3 does not have: nothing happens then. Otherwise
    their uploads fail at the end, as those of WinSCP do."""
    role: str = Field(default="adplatform-transfer", min_length=1, max_length=2048)
    """The IAM role, by name or ARN, with which users read and write the raw bucket."""
    logging_role: str | None = Field(default=None, min_length=1, max_length=2048)
    """The IAM role, by name or ARN, with which a server that is made writes logs; by default it writes none."""
    host_key_secret: str | None = Field(default=None, min_length=1, max_length=512)
    """The secret with a private host key that a server is made with, for partners that know it already; by default it
    makes its own."""
    workflow: Workflow | None = None
    """A managed workflow for each upload; by default none runs."""

    @field_validator("users")
    @classmethod
    def _named_once(cls, users: tuple[SftpUser, ...]) -> tuple[SftpUser, ...]:
        names = [user.name for user in users]
        for name in {n for n in names if names.count(n) > 1}:
            raise ValueError(f"user {name} is declared twice")
        return users

    @model_validator(mode="after")
    def _placed(self) -> Self:
        in_vpc = {name: getattr(self, name) for name in ("vpc", "subnets", "security_groups")}
        if self.endpoint == "vpc" and not (self.vpc and self.subnets):
            raise ValueError("endpoint: vpc needs vpc and subnets")
        if self.endpoint == "public" and (given := [name for name, value in in_vpc.items() if value]):
            raise ValueError(f"{', '.join(given)} is for endpoint: vpc")
        return self

    @property
    def exists(self) -> bool:
        """Whether ``server`` is one that somebody else makes."""
        return self.server.startswith("s-") and len(self.server) == len("s-") + 17


From = Annotated[SftpClient | SftpConnector | SftpServer, Discriminator("kind")]


class Ready(Strict):
    """When a file of the server is taken to be whole."""

    stable_for: Duration = timedelta(minutes=1)
    """How long its size and time have to stay as they are, seen by two listings at least; 0s takes a file at once, for
    senders that give it its name when it is whole."""
    marker: Annotated[str, Field(pattern=r"^[^/]+$", max_length=255)] | None = None
    """The name of a file beside it that says that it is whole: ``{file}.done`` for one each, ``_SUCCESS`` for all of a
    folder. By default none is awaited."""

    @field_validator("marker", mode="before")
    @classmethod
    def _name(cls, marker: Any) -> Any:
        if isinstance(marker, str):
            around = marker.replace("{file}", "", 1)
            if "/" in marker:
                raise ValueError("marker is the name of a file in the same folder, without /")
            if not around or "{" in around or "}" in around:
                raise ValueError(
                    "marker is a name of its own, such as _SUCCESS or {file}.done, with {file} once at most"
                )
        return marker


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
        if {".", ".."}.intersection((self.move_to or "").split("/")) or "{" in (self.move_to or ""):
            raise ValueError("move_to names a folder in that of the file, or an absolute one; it has no ., .. and {}")
        return self

    def has(self, path: str) -> bool:
        """Whether a file is where files are moved to."""
        if self.move_to is None:
            return False
        folder, away = PurePosixPath(path).parent, PurePosixPath(self.move_to)
        return folder == away if away.is_absolute() else folder.parts[-len(away.parts) :] == away.parts


class SftpFeed(Feed):
    """One dataset among the files of a server."""

    remote: Annotated[str, Field(pattern=r"^/", min_length=2, max_length=1024)]
    """Where its files are on the server, made of ``{date}`` (or ``{date:%Y%m%d}``), ``{file}`` and ``*``:
    ``/out/orders/orders_{date:%Y%m%d}_*.csv.gz``. Without a date, that (UTC) counts on which the file was changed."""
    ready: Ready = Ready()
    """When a file is taken to be whole."""
    landing: str = "{feed}/dt={date}/{file}"
    """Fixed: where the files are put."""
    arrival: Brought = BROUGHT
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
        if self.remote.endswith("/"):
            raise ValueError(f"remote names files, not a folder: {self.remote}{{file}} is all that are in this one")
        if {"", "."}.intersection(self.remote.split("/")[1:]):
            raise ValueError("remote has // or /./, which is in no path of a file: leave it out")
        return self

    @field_validator("remote", mode="before")
    @classmethod
    def _absolute(cls, remote: Any) -> Any:
        if isinstance(remote, str) and not remote.startswith("/"):
            raise ValueError(f"remote begins with /: /{remote} where that is in the root folder of the user")
        return remote

    @property
    def folder(self) -> str:
        """The fixed beginning of ``remote`` that is a folder, which is listed."""
        fixed = self.remote.partition("{")[0].partition("*")[0]
        return fixed.rpartition("/")[0] or "/"

    @property
    def depth(self) -> int:
        """How many folders below that one files may be."""
        return self.remote.removeprefix(self.folder).strip("/").count("/")


def _feed_kind(value: Any) -> str:
    """A feed says where its files are on the server; one that is uploaded to ours has no need to."""
    fetched = {"remote", "ready"}.intersection(value) if isinstance(value, dict) else isinstance(value, SftpFeed)
    return "(fetched)" if fetched else "(uploaded)"


AnyFeed = Annotated[
    Annotated[SftpFeed, Tag("(fetched)")] | Annotated[Feed, Tag("(uploaded)")], Discriminator(_feed_kind)
]


class SftpSource(FileSource):
    """Files of one SFTP server."""

    from_: From = Field(alias="from")
    """The server, and who fetches its files."""
    every: Duration = timedelta(minutes=15)
    """How often the server is looked at; not for ``kind: server``."""
    offset: Duration = timedelta(0)
    """How long after midnight (UTC), or after full multiples of ``every``, it is looked at."""
    afterwards: Afterwards = Afterwards()
    """What becomes of a file on the server once it is published; by default it stays as it is. Not for ``kind:
    server``, whose files are archived as all that is pushed."""
    feeds: list[AnyFeed] = Field(min_length=1)
    """The datasets among the files, each with where they are on the server; for ``kind: server`` they are feeds as
    those of a partner that pushes to S3."""
    simulated: bool = False
    """Whether the server is simulated: one of this machine stands for it, and the secret says where that is."""
    check_every: int = Field(default=60, ge=1)
    """Seconds between two looks at what runs, or at what has arrived."""

    @model_validator(mode="before")
    @classmethod
    def _uploaded(cls, given: Any) -> Any:
        source = given if isinstance(given, dict) else {}
        server, feeds = source.get("from"), source.get("feeds")
        if not isinstance(server, dict) or server.get("kind") != "server":
            return given
        for name in ("every", "offset", "afterwards", "simulated"):
            if name in source:
                raise ValueError(f"{name} is for servers that files are fetched from; leave it out with kind: server")
        for feed in feeds if isinstance(feeds, list) else ():
            for name in ("remote", "ready"):
                if isinstance(feed, dict) and name in feed:
                    raise ValueError(
                        f"feed {feed.get('name')}: {name} is for servers that files are fetched from; with kind: "
                        "server files land as `landing` says and are complete as `arrival` says"
                    )
        return given

    @model_validator(mode="after")
    def _fetched_or_uploaded(self) -> Self:
        if self.simulated and not isinstance(self.from_, SftpClient):
            raise ValueError("simulated is for kind: client; a connector reaches what this machine reaches")
        if not isinstance(self.from_, SftpServer):
            if not self.simulated and not (self.from_.host and self.from_.host_keys):
                raise ValueError(
                    "from needs host and host_keys: what `ssh-keyscan <host>` prints, without the name, confirmed by "
                    "the server's owner"
                )
            if lacking := [feed.name for feed in self.feeds if not isinstance(feed, SftpFeed)]:
                raise ValueError(f"feed {lacking[0]}: remote is missing: say where its files are on the server")
            if away := [feed.name for feed in self.fetched if self.afterwards.has(feed.remote)]:
                raise ValueError(
                    f"afterwards.move_to is where the files of {away[0]} are: none there is taken, as all there have "
                    "been published; name another folder"
                )
        elif any(feed.arrival.complete_when == "engine" for feed in self.feeds):
            raise ValueError("arrival.complete_when: engine is for files that are fetched; partners upload these")
        return self

    @property
    def host(self) -> SftpHost:
        """The server that files are fetched from.

        Raises:
            TypeError: partners upload to one of ours.
        """
        if isinstance(self.from_, SftpServer):
            raise TypeError("nothing is fetched from a server that partners upload to")
        return self.from_

    @property
    def server(self) -> SftpServer:
        """The server of ours that partners upload to.

        Raises:
            TypeError: files are fetched from one of theirs.
        """
        if not isinstance(self.from_, SftpServer):
            raise TypeError("nobody uploads to a server that files are fetched from")
        return self.from_

    @property
    def fetched(self) -> list[SftpFeed]:
        """The feeds whose files are fetched: all, or none with ``kind: server``."""
        return [feed for feed in self.feeds if isinstance(feed, SftpFeed)]
