"""Stores elsewhere that a task of AWS DataSync reads: what YAML says of each, without any secret.

Patterns and limits are those of the DataSync API reference (CreateLocation…).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from adplatform.contracts.strict import Strict, kind_tag

AGENT = r"^arn:aws[a-z-]*:datasync:[a-z0-9-]+:[0-9]{12}:agent/agent-[0-9a-z]{17}$"
SERVER = r"^(([a-zA-Z0-9-]*[a-zA-Z0-9])\.)*([A-Za-z0-9-:]*[A-Za-z0-9])$"
_URL = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$"
_FOLDER = r"^[a-zA-Z0-9_+./() -]*$"
_BUCKET = r"^[a-zA-Z0-9_+.()$ -]{3,63}$"
_CONTAINER = r"^https://[A-Za-z0-9]((\.|-+)?[A-Za-z0-9]){0,252}/[a-z0-9](-?[a-z0-9]){2,62}$"
_LAST_PORT = 65535
GOOGLE = "storage.googleapis.com"

Agent = Annotated[str, Field(pattern=AGENT)]


class Store(Strict):
    """What all stores have in common."""

    lists_by_s3: ClassVar[bool] = False
    """Whether it speaks S3, so that it can be listed from here."""
    has_tags: ClassVar[bool] = True
    """Whether its objects have tags that DataSync can read."""
    agents: tuple[Agent, ...] = Field(default=(), max_length=8)
    """ARNs of DataSync agents that reach the store. Without one, DataSync reads it from AWS, in enhanced mode."""

    @property
    def mode(self) -> Literal["BASIC", "ENHANCED"]:
        """The mode of its task: agents are for basic mode (DataSync user guide, "Choosing a task mode")."""
        return "BASIC" if self.agents else "ENHANCED"


class S3Store(Store):
    """A bucket of Amazon S3, of another account or region."""

    lists_by_s3: ClassVar[bool] = True
    kind: Literal["s3"]
    """Amazon S3."""
    bucket: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{3,63}$")]
    """The bucket."""
    prefix: Annotated[str, Field(pattern=_FOLDER, max_length=1024)] = ""
    """Only what lies below it is read; paths are relative to it."""
    role: str | None = None
    """The role, by name or ARN, with which DataSync reads the bucket; by default the ``role`` of the source."""

    @field_validator("agents")
    @classmethod
    def _not_reached(cls, agents: tuple[str, ...]) -> tuple[str, ...]:
        if agents:
            raise ValueError("a bucket of Amazon S3 is reached without an agent: leave agents out")
        return agents


class ObjectStorage(Store):
    """A bucket of any store that speaks S3."""

    lists_by_s3: ClassVar[bool] = True
    kind: Literal["object_storage"]
    """Another store that speaks S3."""
    server: Annotated[str, Field(pattern=_URL, examples=["https://minio.example.com:9000"])]
    """Its URL, without a path."""
    bucket: Annotated[str, Field(pattern=_BUCKET)]
    """The bucket."""
    prefix: Annotated[str, Field(pattern=_FOLDER, max_length=1024)] = ""
    """Only what lies below it is read; paths are relative to it."""
    secret: str | None = Field(default=None, min_length=1)
    """The secret with the members ``access_key`` and ``secret_key``; null for a bucket that anybody may read."""

    @field_validator("server")
    @classmethod
    def _with_a_port(cls, server: str) -> str:
        port = server.rpartition(":")[2]
        if port.isdigit() and not 0 < int(port) <= _LAST_PORT:
            raise ValueError(f"there is no port {port}")
        return server


class GoogleCloudStorage(Store):
    """A bucket of Google Cloud Storage, which is read by its XML API with an HMAC key."""

    lists_by_s3: ClassVar[bool] = True
    has_tags: ClassVar[bool] = False
    kind: Literal["gcs"]
    """Google Cloud Storage."""
    bucket: Annotated[str, Field(pattern=_BUCKET)]
    """The bucket."""
    prefix: Annotated[str, Field(pattern=_FOLDER, max_length=1024)] = ""
    """Only what lies below it is read; paths are relative to it."""
    secret: str = Field(min_length=1)
    """The secret with the members ``access_key`` and ``secret_key``: an HMAC key of a service account."""

    @property
    def server(self) -> str:
        return f"https://{GOOGLE}"


class AzureBlob(Store):
    """A container of Azure Blob Storage."""

    kind: Literal["azure_blob"]
    """Azure Blob Storage."""
    container: Annotated[
        str, Field(pattern=_CONTAINER, max_length=325, examples=["https://acme.blob.core.windows.net/exports"])
    ]
    """The container's URL."""
    prefix: Annotated[str, Field(pattern=r"^[^\\\x00]*$", max_length=1024)] = ""
    """Only what lies below it is read; paths are relative to it."""
    secret: str | None = Field(default=None, min_length=1)
    """The secret with the member ``sas_token``; null for a container that anybody may read."""
    tier: Literal["hot", "cool", "archive"] = "hot"
    """The access tier of its blobs."""


class Share(Store):
    """A file server, which DataSync reaches through agents only."""

    has_tags: ClassVar[bool] = False
    server: Annotated[str, Field(pattern=SERVER, max_length=255)]
    """Its name or address."""
    path: Annotated[str, Field(pattern=r"^/[a-zA-Z0-9_+./()$ -]*$", max_length=4096)]
    """The exported path."""
    agents: tuple[Agent, ...] = Field(default=(), max_length=8, validate_default=True)
    """ARNs of the DataSync agents that reach the server."""
    enhanced_agents: bool = False
    """Whether these are agents of enhanced mode, which know no limit of files."""

    @field_validator("agents")
    @classmethod
    def _reached(cls, agents: tuple[str, ...]) -> tuple[str, ...]:
        if not agents:
            raise ValueError("a file server is reached through an agent: give the ARN of one or more")
        return agents

    @property
    def mode(self) -> Literal["BASIC", "ENHANCED"]:
        return "ENHANCED" if self.enhanced_agents else "BASIC"


class NfsShare(Share):
    """An export of an NFS server."""

    kind: Literal["nfs"]
    """An NFS server."""
    path: Annotated[str, Field(pattern=r"^/[a-zA-Z0-9_+./() -]*$", max_length=4096)]
    """The exported path."""
    version: Literal["automatic", "3", "4.0", "4.1"] = "automatic"
    """The version of NFS."""


class SmbShare(Share):
    """A share of an SMB server."""

    kind: Literal["smb"]
    """An SMB server."""
    secret: str = Field(min_length=1)
    """The secret with the members ``user`` and ``password``, and ``domain`` if there is one."""
    domain: str | None = Field(default=None, min_length=1, max_length=253)
    """The domain of the user, which is no secret; a deployment looks for it here only."""


_KINDS = ("s3", "object_storage", "gcs", "azure_blob", "nfs", "smb")


AnyStore = Annotated[
    Annotated[S3Store, Tag("(s3)")]
    | Annotated[ObjectStorage, Tag("(object_storage)")]
    | Annotated[GoogleCloudStorage, Tag("(gcs)")]
    | Annotated[AzureBlob, Tag("(azure_blob)")]
    | Annotated[NfsShare, Tag("(nfs)")]
    | Annotated[SmbShare, Tag("(smb)")],
    Discriminator(kind_tag, custom_error_type="kind", custom_error_message=f"kind must be one of {', '.join(_KINDS)}"),
]
