"""The database that a replication of AWS DMS reads, and the size of what reads it: what YAML says, without any secret.

Facts: AWS DMS user guide, "Using SSL with AWS DMS", "Using secrets to access AWS DMS endpoints"; API reference,
CreateReplicationInstance, ComputeConfig.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adplatform.contracts.secret_names import SecretName
from adplatform.contracts.strict import Strict
from adplatform.platform import names

MADE_NAME = r"^[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*$"
"""What DMS takes for a task, an instance and an endpoint alike."""
LONGEST_MADE_NAME = 50
"""Of 63 characters for an instance, the rest is for what is put behind it."""
Units = Literal[1, 2, 4, 8, 16, 32, 64, 128, 192, 256, 384]


class ReplicatedDatabase(Strict):
    """A database whose log AWS DMS reads."""

    kind: Literal["postgres", "mysql", "mariadb"]
    """What it is: PostgreSQL, MySQL or MariaDB; Aurora and RDS count as what they are compatible with."""
    secret: SecretName
    """The name of the secret with ``host``, ``port``, ``username`` and ``password``, as Secrets Manager keeps one for
    databases. DMS reads it by itself, with a role of its own."""
    database: str | None = Field(default=None, min_length=1, max_length=63)
    """The database of PostgreSQL; one of MySQL or MariaDB is the schema of each table."""
    tls: Literal["verify", "encrypt", "off"] = "verify"
    """``verify`` (default) takes only a server whose certificate is good for its name; ``encrypt`` any (PostgreSQL);
    ``off`` sends everything in clear."""
    authority: SecretName | None = None
    """The name of the secret with the certificates (PEM) of who signs the server's; DMS knows none by itself. Amazon
    RDS publishes its own, a file for each region."""
    subnet_group: Annotated[str, Field(pattern=r"^[a-z0-9 ._-]+$", max_length=255)] = names.DMS_SUBNETS
    """The replication subnet group from which DMS reaches the database; by default that of the deployment."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.kind == "postgres" and self.database is None:
            raise ValueError("from.database is missing: an endpoint of PostgreSQL is of one database")
        if self.kind != "postgres" and self.database is not None:
            raise ValueError(f"from.database is for postgres: a table of {self.kind} is written database.table")
        if self.kind != "postgres" and self.tls == "encrypt":
            raise ValueError(f"from.tls: DMS has no encrypt for {self.kind}; use verify, with authority")
        if self.tls == "verify" and self.authority is None:
            raise ValueError(
                "from.authority is missing: name the secret with the certificates (PEM) of who signs the server's, or "
                "set tls"
            )
        if self.tls != "verify" and self.authority is not None:
            raise ValueError(f"from.authority is for tls: verify, and tls is {self.tls}; leave one of them out")
        return self


class Instance(Strict):
    """The replication instance on which a task runs."""

    size: Annotated[str, Field(pattern=r"^dms\.[a-z0-9]+\.[a-z0-9]+$", examples=["dms.r6i.large"])] = "dms.t3.medium"
    """Its class."""
    storage: int = Field(default=50, ge=5, le=6144)
    """GB for what waits to be written, and for logs."""
    standby: bool = False
    """Whether another one stands by in another availability zone."""


class Capacity(Strict):
    """What DMS Serverless may take, in units of 2 GB of memory."""

    least: Units | None = None
    """The least; by default DMS decides."""
    most: Units = 4
    """The most."""
    standby: bool = False
    """Whether another replication stands by in another availability zone."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least is not None and self.least > self.most:
            raise ValueError(f"capacity.least {self.least} is more than capacity.most {self.most}")
        return self


INSTANCE, CAPACITY = Instance(), Capacity()
"""Where nothing is said."""
