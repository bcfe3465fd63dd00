"""What a deployment is told that the declared sources do not say: ``deploy/config.yaml``."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from adplatform.contracts.strict import Strict
from adplatform.engines.emr_application import RELEASE
from adplatform.failures import PermanentFailure
from adplatform.platform.settings import PREFIX

FILE = Path(__file__).parent / "config.yaml"
VARIABLE = "ADPLATFORM_DEPLOY_CONFIG"
"""The environment variable that names another file."""
Account = Annotated[str, Field(pattern=r"^\d{12}$")]
Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:[^:]+:[^:]*:[^:]*:.+$")]
_DEPLOYED = (
    "ENV",
    "HOME",
    "KMS_KEY_ID",
    "QUARANTINE_KMS_KEY_ID",
    "SUBSCRIBERS",
    "CODE_HOST",
    "SPARK_ROLE",
    "CONSUMERS",
)
"""Settings that the deployment gives itself."""


class Image(Strict):
    """The image of the platform in ECR of the account and region."""

    repository: str = Field(default="adplatform", min_length=2)
    tag: str = Field(min_length=1)


class Network(Strict):
    """A VPC of its own, or one that is there."""

    cidr: str = "10.42.0.0/16"
    """Of a VPC that is made."""
    nat_gateways: int = Field(default=1, ge=0, le=3)
    """Of a VPC that is made; 0 where the subnets have another way out."""
    vpc: str | None = Field(default=None, pattern="^vpc-")
    """The id of one that is there: nothing is made in it but security groups."""
    subnets: list[Annotated[str, Field(pattern="^subnet-")]] = Field(default_factory=list)
    """Private subnets of a VPC that is there, in two zones at least."""
    clients: list[str] = Field(default_factory=lambda: ["10.0.0.0/8"])
    """CIDR blocks whose hosts may open the UI."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.vpc is None) != (not self.subnets) or (self.vpc and len(self.subnets) < 2):
            raise ValueError("vpc and subnets go together: give both, with two subnets at least, or neither")
        return self


class Oidc(Strict):
    """The identity provider before the UI. ``client_secret`` names a secret, a JSON object with ``client_secret``."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    user_info_endpoint: str
    client_id: str
    client_secret: str


class Ui(Strict):
    certificate: Arn
    """Of ACM, for ``host``."""
    host: str
    """The name by which people open the UI; its DNS record is made by whoever has the zone."""
    oidc: Oidc


class Database(Strict):
    """Dagster's database."""

    instance: str = Field(default="db.t4g.medium", pattern=r"^db\.")
    version: str = Field(default="17.9", pattern=r"^\d+\.\d+$")
    """Of PostgreSQL."""
    two_zones: bool = True
    """Whether a second one waits in another zone."""


class Dms(Strict):
    account_roles: bool = True
    """Whether the roles are made that DMS looks for once in an account, ``dms-vpc-role`` and
    ``dms-cloudwatch-logs-role``; false where somebody has made them already."""


class Alarms(Strict):
    email: str | None = None
    """Who hears of alarms and failures."""


class Reach(Strict):
    """Where jobs of Glue reach the network of a database: a subnet of it, which has a way to S3 and Secrets Manager."""

    subnet: Annotated[str, Field(pattern="^subnet-")]
    zone: str
    """The subnet's availability zone."""
    security_groups: list[Annotated[str, Field(pattern="^sg-")]] = Field(min_length=1)
    """One of them lets in all that comes from itself, as Glue wants it."""


class Spark(Strict):
    """The application of EMR Serverless; it costs nothing while no job runs."""

    release: Annotated[str, Field(pattern=r"^emr-\d+\.\d+\.\d+$")] = RELEASE
    cpus: int = Field(default=64, ge=4)
    """The most vCPUs of all jobs at once."""
    memory_gb: int = Field(default=256, ge=16)
    """Their most memory."""
    idle_minutes: int = Field(default=5, ge=1, le=10080)
    """After which it stops."""


class Catalog(Strict):
    encrypted: bool = True
    """Whether the metadata of the catalog, which is one of account and region for everybody in it, is encrypted with a
    key of the deployment's."""
    connections: dict[str, Reach] = Field(default_factory=dict)
    """Glue connections that are made, by the names that sources give in ``glue.connection``."""
    spark: Spark | None = Spark()
    """Null where deliveries never outgrow one machine."""


class Uploads(Strict):
    concurrency: int | None = Field(default=None, ge=1)
    """Calls that are reserved for each function of a workflow, and its most at once; by default it shares what the
    account has."""


class Config(Strict):
    account: Account
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    sources: Path = Path("adplatform/defs")
    """The folder of the declared sources, relative to the project."""
    settings: dict[str, str] = Field(default_factory=dict)
    """``ADPLATFORM_*`` of every process, without the prefix."""
    watchers: dict[Annotated[str, Field(pattern="^(OPENLINEAGE|OTEL)_")], str] = Field(default_factory=dict)
    """Variables of OpenLineage's client and of OpenTelemetry, for every process: who is told of deliveries."""
    image: Image
    network: Network = Network()
    ui: Ui
    database: Database = Database()
    alarms: Alarms = Alarms()
    dms: Dms = Dms()
    catalog: Catalog = Catalog()
    uploads: Uploads = Uploads()
    consumers: Literal["platform", "deployment"] = "platform"
    """Who registers tables with the services that read them: ``adplatform consumers apply``, or a stack of the
    deployment, for which the tables have to be there."""
    operators: list[Arn] = Field(default_factory=list)
    """Who may assume the operator's role; the account's own administrators by default."""
    spot_backfills: bool = False
    """Whether runs of backfills take Fargate Spot: cheaper, and interrupted now and then."""

    @field_validator("settings", mode="before")
    @classmethod
    def _texts(cls, given: Any) -> Any:
        """YAML reads 25 as a number, and off as false; the environment has texts."""
        if not isinstance(given, dict):
            return given
        if taken := sorted(set(given) & set(_DEPLOYED)):
            raise ValueError(f"{taken[0]} is what the deployment sets itself: leave it out")
        words = {True: "on", False: "off"}
        return {key: words[value] if isinstance(value, bool) else str(value) for key, value in given.items()}

    @property
    def environment(self) -> dict[str, str]:
        """The settings as a process finds them."""
        given = {PREFIX + name: value for name, value in self.settings.items()}
        owner = {f"{PREFIX}CONSUMERS": self.consumers} if self.consumers != "platform" else {}
        own = {f"{PREFIX}ENV": "aws", f"{PREFIX}METRICS": "on", "AWS_REGION": self.region}
        return {**own, **self.watchers, **owner, **given}


def read_config(file: Path | None = None) -> Config:
    """The file's settings.

    Raises:
        PermanentFailure: there is none, or a setting is invalid; names the file and the setting.
    """
    place = file or Path(os.environ.get(VARIABLE) or FILE)
    if not place.is_file():
        raise PermanentFailure(f"{place}: there is no such file; {VARIABLE} names the one that is read")
    try:
        return Config.model_validate(yaml.safe_load(place.read_text()))
    except ValidationError as e:
        first = e.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PermanentFailure(f"{place}: {where}: {first['msg']}") from None
    except yaml.YAMLError as e:
        raise PermanentFailure(f"{place}: is no YAML: {e}") from e
