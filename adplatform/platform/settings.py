"""Where the platform runs and what its parts are called; read from the environment by whoever starts something."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from adplatform.failures import PermanentFailure
from adplatform.platform import names
from adplatform.platform.loopback import is_loopback
from adplatform.platform.machine import Machine, this_machine

PREFIX = "ADPLATFORM_"
OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""OpenTelemetry specification, Protocol Exporter."""
_DOMAIN = re.compile("dzd[-_][a-zA-Z0-9_-]{1,36}")  # Amazon DataZone API Reference, PostLineageEvent
_RULE_NAME = 64
"""Characters of a rule's name (EventBridge API reference, PutRule); a queue's may have 80."""


@dataclass(frozen=True)
class Settings:
    """Names and limits. In ``local`` everything lives on the embedded AWS, with its files below ``home``."""

    env: Literal["local", "aws"]
    home: Path
    region: str = "us-east-1"
    raw_bucket: str = names.RAW_BUCKET
    clean_bucket: str = names.CLEAN_BUCKET
    ledger_table: str = names.LEDGER_TABLE
    database_prefix: str = names.DATABASE_PREFIX
    queue_prefix: str = names.QUEUE_PREFIX
    success_topic: str = names.SUCCESS_TOPIC
    failure_topic: str = names.FAILURE_TOPIC
    alerts: Path | None = None
    """The file with the routes of messages, which need not be there."""
    event_bus: str = ""
    """The bus of EventBridge, by name or ARN, that gets an event of each publication; by default none does."""
    hash_key_secret: str = names.HASH_KEY_SECRET
    kms_key_id: str | None = None
    quarantine_kms_key_id: str | None = None
    """The KMS key of the quarantine, which has values in clear; by default that of both zones."""
    memory_limit: str = "2GB"
    """What DuckDB may hold in memory; a process takes more. Read from the environment, it is by default a share of what
    the container, or the machine, has, and so are the threads."""
    threads: int = 2
    keep_days: int = 14
    """How long a replaced version of a table stays readable for those who hold its location."""
    action_days: int = 400
    """How long the ledger knows what people have done by commands."""
    path_copies: bool = True
    """Whether current files are copied below each table's root, for readers that list paths."""
    tick_seconds: int = 25
    """How long one look at a source may take; Dagster ends a sensor's tick after 60 seconds."""
    automation: bool = True
    """Whether sensors and schedules are on when Dagster first sees them."""
    largest_file: int = 1 << 40
    """Bytes of a delivered file; one that has more is refused."""
    malware_scan: Literal["off", "if_scanned", "required"] = "off"
    """Whether GuardDuty's scan of a delivered file counts: never, where there is one, or so that a file without one
    waits for it."""
    crawler_role: str = names.CRAWLER_ROLE
    """The IAM role, by name or ARN, with which Glue crawlers read the clean zone."""
    spark: Literal["", "glue", "emr-serverless"] = ""
    """Which Spark transforms deliveries, and merges changes, that outgrow one machine; none by default."""
    spark_job: str = names.SPARK_JOB
    """The job of AWS Glue, where that is the Spark."""
    spark_application: str = ""
    """The id of the application of EMR Serverless, where that is the Spark; by default the one that is called as the
    deployment calls it."""
    spark_role: str = ""
    """The IAM role, by name or ARN, of its runs. With a role the job of Glue is made and changed by `adplatform
    provision`; EMR Serverless is told a role with each run."""
    spark_from: int = 20 * 10**9
    """Bytes of a delivery, or of a merge, from which on it is Spark that makes it."""
    spark_workers: int = 10
    """Workers of a run: those of Glue, and the most executors of EMR Serverless."""
    spark_worker_type: str = "G.1X"
    """The kind of workers of AWS Glue."""
    consumers: Literal["platform", "deployment"] = "platform"
    """Who registers tables with the services that read them: `adplatform consumers apply`, or whoever deploys."""
    entity_resolution_role: str = names.ENTITY_RESOLUTION_ROLE
    """The IAM role, by name or ARN, with which AWS Entity Resolution reads tables and writes what it matched."""
    quicksight_principal: str = ""
    """The ARN of the user or group of Amazon QuickSight that owns data sets."""
    quicksight_workgroup: str = names.ATHENA_WORKGROUP
    """The workgroup of Athena by which QuickSight imports."""
    redshift_workgroup: str = ""
    """The workgroup of Redshift Serverless whose database reads tables."""
    redshift_cluster: str = ""
    """The cluster of Redshift whose database reads tables, where it is not serverless."""
    redshift_user: str = ""
    """The user of the database, on a cluster; by default the one that the cluster takes for the IAM identity."""
    redshift_database: str = names.REDSHIFT_DATABASE
    redshift_role: str = ""
    """The IAM role, by name or ARN, with which Redshift reads the catalog and the clean zone."""
    sagemaker_role: str = ""
    """The IAM role, by name or ARN, with which Feature Store of Amazon SageMaker writes offline stores."""
    personal_tag: str = ""
    """The tag of Lake Formation that columns of clean tables get, with the kind of personal data that each holds or
    ``none``; by default they get no tag."""
    simulated_amazon: str | None = None
    """Address of a simulated Amazon on this machine, for accounts that are declared as simulated."""
    metrics: bool = False
    """Whether metrics are written to the standard output, where CloudWatch Logs makes them of its lines."""
    budget: str = ""
    """What a source may use that declares no budget of its own, as JSON: ``{"day": {"dpu_hours": 40}}``."""
    lineage: bool = False
    """Whether OpenLineage's client has somebody to tell of deliveries: ``OPENLINEAGE_URL`` names it."""
    lineage_domain: str = ""
    """The id of the domain of SageMaker Catalog that gets lineage, ``dzd-...``; empty where none does."""
    traces: bool = False
    """Whether OpenTelemetry has a collector for traces: ``OTEL_EXPORTER_OTLP_ENDPOINT`` names it."""
    subscribers: tuple[str, ...] = ()
    """Who hears of success and failure: ``success=ops@example.com``, ``failure=https://hooks.example.com/x``."""

    def queue_name(self, source: str) -> str:
        """The name of a source's queue, and of the rule that fills it.

        Raises:
            PermanentFailure: AWS takes no such name.
        """
        name = self.queue_prefix + source
        if len(name) > _RULE_NAME:
            raise PermanentFailure(
                f"source {source!r}: the name is too long: EventBridge takes {_RULE_NAME} characters for a rule, and "
                f"{self.queue_prefix!r} before it leaves {_RULE_NAME - len(self.queue_prefix)}"
            )
        return name

    @property
    def data(self) -> Path:
        """Where the embedded AWS keeps its state."""
        return self.home / "aws"

    @property
    def temp(self) -> Path:
        """Work files; each run makes and removes a private directory below it."""
        return self.home / "tmp"


def read_settings(environ: Mapping[str, str] = os.environ, machine: Machine | None = None) -> Settings:
    """The settings that ``ADPLATFORM_*`` variables give, over the defaults, which go by this ``machine``.

    Raises:
        PermanentFailure: a value is not usable; names the variable.
    """

    def text(name: str, default: str) -> str:
        return environ.get(PREFIX + name) or default

    env = text("ENV", "local")
    if env not in ("local", "aws"):
        raise PermanentFailure(f"{PREFIX}ENV is {env!r}: use local or aws")
    defaults = Settings(env="local", home=Path())
    machine = machine or this_machine()
    if machine:
        memory_limit, threads = machine.limits(shared=env == "local")
        defaults = replace(defaults, memory_limit=memory_limit, threads=threads)
    return Settings(
        env=cast(Literal["local", "aws"], env),
        home=Path(text("HOME", ".adplatform")).absolute(),
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or defaults.region,
        raw_bucket=text("RAW_BUCKET", defaults.raw_bucket),
        clean_bucket=text("CLEAN_BUCKET", defaults.clean_bucket),
        ledger_table=text("LEDGER_TABLE", defaults.ledger_table),
        database_prefix=text("DATABASE_PREFIX", defaults.database_prefix),
        queue_prefix=text("QUEUE_PREFIX", defaults.queue_prefix),
        success_topic=text("SUCCESS_TOPIC", defaults.success_topic),
        failure_topic=text("FAILURE_TOPIC", defaults.failure_topic),
        alerts=Path(__file__).parents[1] / "defs" / "alerts.yaml",
        event_bus=text("EVENT_BUS", ""),
        hash_key_secret=text("HASH_KEY_SECRET", defaults.hash_key_secret),
        kms_key_id=environ.get(PREFIX + "KMS_KEY_ID") or None,
        quarantine_kms_key_id=environ.get(PREFIX + "QUARANTINE_KMS_KEY_ID") or None,
        memory_limit=text("MEMORY_LIMIT", defaults.memory_limit),
        threads=_whole(environ, "THREADS", defaults.threads),
        keep_days=_whole(environ, "KEEP_DAYS", defaults.keep_days),
        action_days=_whole(environ, "ACTION_DAYS", defaults.action_days),
        tick_seconds=_whole(environ, "TICK_SECONDS", defaults.tick_seconds),
        path_copies=text("PATH_COPIES", "on") != "off",
        automation=text("AUTOMATION", "on") != "off",
        largest_file=_whole(environ, "LARGEST_FILE", defaults.largest_file),
        malware_scan=_scan(text("MALWARE_SCAN", defaults.malware_scan)),
        crawler_role=text("CRAWLER_ROLE", defaults.crawler_role),
        spark=_spark(text("SPARK", "")),
        spark_job=text("SPARK_JOB", defaults.spark_job),
        spark_application=text("SPARK_APPLICATION", ""),
        spark_role=text("SPARK_ROLE", ""),
        spark_from=_whole(environ, "SPARK_FROM", defaults.spark_from),
        spark_workers=_whole(environ, "SPARK_WORKERS", defaults.spark_workers),
        spark_worker_type=text("SPARK_WORKER_TYPE", defaults.spark_worker_type),
        consumers=_owner(text("CONSUMERS", defaults.consumers)),
        entity_resolution_role=text("ENTITY_RESOLUTION_ROLE", defaults.entity_resolution_role),
        quicksight_principal=text("QUICKSIGHT_PRINCIPAL", names.LOCAL_QUICKSIGHT_USER if env == "local" else ""),
        quicksight_workgroup=text("QUICKSIGHT_WORKGROUP", defaults.quicksight_workgroup),
        redshift_workgroup=text("REDSHIFT_WORKGROUP", ""),
        redshift_cluster=text("REDSHIFT_CLUSTER", ""),
        redshift_user=text("REDSHIFT_USER", ""),
        redshift_database=text("REDSHIFT_DATABASE", defaults.redshift_database),
        redshift_role=text("REDSHIFT_ROLE", ""),
        sagemaker_role=text("SAGEMAKER_ROLE", ""),
        personal_tag=text("PERSONAL_TAG", ""),
        simulated_amazon=_simulated(text("SIMULATED_AMAZON", "")),
        metrics=_on(text("METRICS", "off"), "METRICS"),
        budget=text("BUDGET", ""),
        lineage=bool(environ.get("OPENLINEAGE_URL")) and not _is_true(environ, "OPENLINEAGE_DISABLED"),
        lineage_domain=_domain(text("LINEAGE_DOMAIN", "")) if not _is_true(environ, "OPENLINEAGE_DISABLED") else "",
        traces=any(environ.get(name) for name in OTLP_ENDPOINTS) and not _is_true(environ, "OTEL_SDK_DISABLED"),
        subscribers=tuple(s.strip() for s in text("SUBSCRIBERS", "").split(",") if s.strip()),
    )


def _is_true(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() == "true"


def _domain(value: str) -> str:
    if value and not _DOMAIN.fullmatch(value):
        raise PermanentFailure(
            f"{PREFIX}LINEAGE_DOMAIN is {value!r}: use the id of a domain of SageMaker Catalog, such as dzd-1a2b3c"
        )
    return value


def _on(value: str, name: str) -> bool:
    if value not in ("on", "off"):
        raise PermanentFailure(f"{PREFIX}{name} is {value!r}: use on or off")
    return value == "on"


def _scan(policy: str) -> Literal["off", "if_scanned", "required"]:
    if policy not in ("off", "if_scanned", "required"):
        raise PermanentFailure(f"{PREFIX}MALWARE_SCAN is {policy!r}: use off, if_scanned or required")
    return cast(Literal["off", "if_scanned", "required"], policy)


def _spark(engine: str) -> Literal["", "glue", "emr-serverless"]:
    if engine not in ("", "glue", "emr-serverless"):
        raise PermanentFailure(f"{PREFIX}SPARK is {engine!r}: use glue or emr-serverless, or leave it out")
    return cast(Literal["", "glue", "emr-serverless"], engine)


def _owner(owner: str) -> Literal["platform", "deployment"]:
    if owner not in ("platform", "deployment"):
        raise PermanentFailure(f"{PREFIX}CONSUMERS is {owner!r}: use platform or deployment")
    return cast(Literal["platform", "deployment"], owner)


def _simulated(address: str) -> str | None:
    if address and not is_loopback(urlsplit(address).hostname or ""):
        raise PermanentFailure(f"{PREFIX}SIMULATED_AMAZON is {address!r}: a simulator runs on this machine only")
    return address.rstrip("/") or None


def _whole(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(PREFIX + name) or str(default)
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise PermanentFailure(f"{PREFIX}{name} is {value!r}: use a whole number from 1")
    return int(value)
