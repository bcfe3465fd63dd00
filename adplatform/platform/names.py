"""What the parts of the platform are called in AWS: defaults of settings and contracts, and what a deployment makes.

Names of buckets are those of everybody in AWS: a deployment has its own, by ``ADPLATFORM_RAW_BUCKET`` and the like.
"""

from hashlib import sha256

RAW_BUCKET = "adplatform-raw"
CLEAN_BUCKET = "adplatform-clean"
LEDGER_TABLE = "adplatform-ledger"
DATABASE_PREFIX = "clean_"
META = "adplatform_meta"
"""In the place of a source, where the ledger is kept as tables: one called ``meta`` may well be there."""
QUEUE_PREFIX = "adplatform-arrivals-"
DEAD_LETTERS = "-dead-letters"
"""Follows the name of a queue: the one for what could not be delivered or dealt with."""
SUCCESS_TOPIC = "adplatform-success"
FAILURE_TOPIC = "adplatform-failure"
HASH_KEY_SECRET = "adplatform/hash-key"  # noqa: S105 - a name, not a secret

CRAWLER_ROLE = "adplatform-crawler"
DATASYNC_ROLE = "adplatform-datasync"
"""With which AWS DataSync writes, followed by the source's name."""
TRANSFER_ROLE = "adplatform-transfer"
"""With which users of SFTP servers and connectors work."""
WORKFLOW_ROLE = "adplatform-transfer-workflow"
UPLOAD_CHECK = "adplatform-upload-check"
"""The function of a managed workflow that checks what was uploaded."""
UPLOAD_PARTIAL = "adplatform-upload-partial"
UPLOAD_EXCEPTION = "adplatform-upload-exception"
DMS_ROLE = "adplatform-dms"
"""With which AWS DMS writes, followed by the source's name."""
DMS_SECRET_ROLE = "adplatform-dms-secret"  # noqa: S105 - a name, not a secret
"""With which AWS DMS reads the secret of a source's database."""
DMS_SUBNETS = "adplatform"
"""The replication subnet group from which AWS DMS reaches databases."""
UPLOADS_DEAD_LETTERS = f"adplatform-uploads{DEAD_LETTERS}"
"""The queue of calls of these functions that failed to the last."""
SPARK_ROLE = "adplatform-spark"
"""With which jobs of EMR Serverless or Glue transform deliveries."""
SPARK_JOB = "adplatform-transform"
"""The job of Glue that transforms deliveries."""
SPARK_APPLICATION = "adplatform"
"""The application of EMR Serverless that transforms deliveries, where no setting names one by its id."""

ENTITY_RESOLUTION_ROLE = "adplatform-entity-resolution"
"""With which AWS Entity Resolution reads tables and writes what it matched."""

ATHENA_WORKGROUP = "primary"
"""The workgroup of Athena that each account has."""

LOCAL_QUICKSIGHT_USER = "arn:aws:quicksight:us-east-1:123456789012:user/default/demo"
"""Who owns data sets on the embedded AWS where nobody is named; it knows no users."""

REDSHIFT_DATABASE = "dev"
"""The database that Redshift makes where nobody names one."""

PLATFORM = "adplatform"
"""How names of stacks, roles, clusters and aliases of keys begin that no setting and no YAML gives."""
OWNER_TAG = "adplatform:source"
"""The tag of what is made of a declaration; its value is the source."""
PLATFORM_TAG = "platform"
"""The tag of all that a deployment has made; its value is ``PLATFORM``."""
CODE_SERVER_ROLE = "adplatform-code-server"
DAEMON_ROLE = "adplatform-daemon"
WEBSERVER_ROLE = "adplatform-webserver"
EXECUTION_ROLE = "adplatform-execution"
"""With which ECS starts tasks: it pulls the image, reads the secrets of the environment and writes logs."""
FLOW_LOG_ROLE = "adplatform-flow-logs"
OPERATOR_ROLE = "adplatform-operator"
WORKLOADS_POLICY = "adplatform-workloads"
"""Of the code server and of people, beside what their roles have: what services do with published tables."""
RUN_ROLE = "adplatform-run"
"""Of runs that belong to no source."""
DATABASE_SECRET = "adplatform/dagster-database"  # noqa: S105 - a name, not a secret
RUN_FAMILY = "adplatform-run"
"""The family of task definitions of runs."""
CLUSTER = "adplatform"
CODE_SERVER, DAEMON, WEBSERVER, RUN = "code-server", "daemon", "webserver", "run"
"""Processes: services of the cluster but for the last, each with a log group of its name behind ``LOG_PREFIX``."""
DATABASE = "adplatform-dagster"
"""The instance of RDS with Dagster's own database."""
NAMESPACE = "adplatform.internal"
"""The private DNS zone in which services find each other."""
CODE_HOST = f"code.{NAMESPACE}"
TRAIL = "adplatform-clean-zone"
"""The trail of who reads and writes objects of the clean zone."""
LOG_PREFIX = "/adplatform/"
"""How names of log groups begin, but for those that a service names itself."""
FEED_TAG, SOURCE_TAG = "adplatform/feed", "adplatform/source"
"""Tags of Dagster's runs: the feed, as source and feed or the source alone, and the source that a job works for."""
_ROLE_NAME = 64
"""Characters of the name of a role (IAM API reference, CreateRole)."""


def role_of(prefix: str, source: str) -> str:
    """The name of a role that one source has for itself."""
    return within(_ROLE_NAME, prefix, source)


def run_role(source: str) -> str:
    """Of the runs of a source."""
    return role_of(RUN_ROLE, source)


def partner_role(source: str) -> str:
    """With which a partner writes into its landing zone."""
    return role_of("adplatform-partner", source)


def within(longest: int, prefix: str, source: str) -> str:
    """A name of so many characters: one that is longer ends with a digest of the source's name."""
    name = f"{prefix}-{source}"
    if len(name) <= longest:
        return name
    digest = sha256(source.encode()).hexdigest()[:8]
    return f"{name[: longest - len(digest) - 1]}-{digest}"
