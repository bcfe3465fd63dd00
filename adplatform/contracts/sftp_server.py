"""A server of AWS Transfer Family that is ours: who uploads to it, and what its workflow does with an upload."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from adplatform.contracts.durations import Duration
from adplatform.contracts.strict import Strict
from adplatform.platform import names

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
    function: str = Field(default=names.UPLOAD_CHECK, min_length=1, max_length=170)
    """The Lambda function that checks, by name or ARN."""
    exception_function: str = Field(default=names.UPLOAD_EXCEPTION, min_length=1, max_length=170)
    """The Lambda function that is called when a step has failed, by name or ARN."""
    partial_function: str = Field(default=names.UPLOAD_PARTIAL, min_length=1, max_length=170)
    """The Lambda function that is called when a session ended in the middle of a file, by name or ARN."""
    role: str = Field(default=names.WORKFLOW_ROLE, min_length=1, max_length=2048)
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
    role: str = Field(default=names.TRANSFER_ROLE, min_length=1, max_length=2048)
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
