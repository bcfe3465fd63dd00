"""The resources of the code location, each of which anybody may replace in ``defs/resources.py``.

Their fields are names, addresses and limits, which the Resources page of the UI shows; secrets are in none of them.
"""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource
from pydantic import Field

from adplatform.flow.services import Services
from adplatform.platform.aws import CALL_BUDGET, SIDE_BUDGET, Aws, local_region
from adplatform.platform.clock import utc_now
from adplatform.platform.settings import Settings, read_settings
from adplatform.resources.connection import client_of, client_once_of, declared_in

EMBEDDED = Field(
    default=None,
    description="Data directory of an embedded AWS, started when first needed; no other AWS is used then.",
)
Clients = Mapping[str, Callable[[], Any]]
"""What makes the boto3 client of each service; after a name with ``ONCE``, one that never repeats a call by itself."""
ONCE = " once"


class Part(Protocol):
    """What a resource brings to a step: settings by name, and clients."""

    def settings(self) -> Mapping[str, Any]: ...

    def clients(self) -> Clients: ...


class _Connected(dg.ConfigurableResource[Any]):
    region_name: str = Field(description="Region of the service.")
    endpoint_url: str | None = Field(default=None, description="Address of the service in place of AWS's own.")
    embedded_aws: str | None = EMBEDDED

    def _clients(self, *services: str, budget: timedelta = CALL_BUDGET) -> Clients:
        where = (self.region_name, self.endpoint_url, self.embedded_aws)
        return {
            **{service: functools.partial(client_of, *where, service, budget) for service in services},
            **{f"{service}{ONCE}": functools.partial(client_once_of, *where, service, budget) for service in services},
        }


class ZonesResource(S3Resource):  # type: ignore[misc]  # dagster-aws is not followed
    """S3 with the buckets of the raw and the clean zone. A plain ``S3Resource`` in its place uses the buckets that
    ``ADPLATFORM_*`` variables name."""

    raw_bucket: str = Field(description="Bucket of the raw zone: landing, archive, quarantine.")
    clean_bucket: str = Field(description="Bucket of the clean zone: Parquet tables.")
    kms_key_id: str | None = Field(default=None, description="KMS key of both zones; by default that of S3.")
    quarantine_kms_key_id: str | None = Field(
        default=None, description="KMS key of the quarantine, which has values in clear; by default that of both zones."
    )
    embedded_aws: str | None = EMBEDDED

    def get_client(self) -> Any:
        if self.profile_name or self.aws_access_key_id or self.use_unsigned_session:
            return super().get_client()
        return client_of(str(self.region_name), self.endpoint_url, self.embedded_aws, "s3")

    def settings(self) -> Mapping[str, Any]:
        return {
            "raw_bucket": self.raw_bucket,
            "clean_bucket": self.clean_bucket,
            "kms_key_id": self.kms_key_id,
            "quarantine_kms_key_id": self.quarantine_kms_key_id,
        }


class SecretsResource(SecretsManagerResource):  # type: ignore[misc]  # dagster-aws is not followed
    """Secrets Manager, with the name of the hashing key's secret."""

    hash_key_secret: str = Field(description="Name of the secret that holds the key for hashing personal data.")
    embedded_aws: str | None = EMBEDDED

    def get_client(self) -> Any:
        if self.profile_name or self.aws_access_key_id:
            return super().get_client()
        return client_of(str(self.region_name), self.endpoint_url, self.embedded_aws, "secretsmanager")

    def settings(self) -> Mapping[str, Any]:
        return {"hash_key_secret": self.hash_key_secret}


class CatalogResource(_Connected):
    """The Glue Data Catalog, in which the clean tables are."""

    database_prefix: str = Field(description="What the names of databases begin with; the source's name follows.")
    path_copies: bool = Field(default=True, description="Keep current files below each table's root, too.")
    keep_days: int = Field(default=14, description="Days for which a replaced version of a table stays readable.")

    def settings(self) -> Mapping[str, Any]:
        return {
            "database_prefix": self.database_prefix,
            "path_copies": self.path_copies,
            "keep_days": self.keep_days,
        }

    def clients(self) -> Clients:
        return self._clients("glue")


class LedgerResource(_Connected):
    """The workflow metadata repository in DynamoDB."""

    table: str = Field(description="Name of the DynamoDB table.")

    def settings(self) -> Mapping[str, Any]:
        return {"ledger_table": self.table}

    def clients(self) -> Clients:
        return self._clients("dynamodb")


class NotificationsResource(_Connected):
    """The SNS topics of the platform; a source may have topics of its own. Beside them the bus of EventBridge that gets
    events of publications, and the domain of SageMaker Catalog that gets lineage."""

    success_topic: str = Field(description="Name or ARN of the topic for publications.")
    failure_topic: str = Field(description="Name or ARN of the topic for failures.")
    event_bus: str = Field(default="", description="Name or ARN of the bus for publications; by default none.")
    lineage_domain: str = Field(default="", description="Id of the domain that gets lineage; by default none.")

    def settings(self) -> Mapping[str, Any]:
        return {
            "success_topic": self.success_topic,
            "failure_topic": self.failure_topic,
            "event_bus": self.event_bus,
            "lineage_domain": self.lineage_domain,
            "region": self.region_name,
        }

    def clients(self) -> Clients:
        return {**self._clients("sns", "sts"), **self._clients("events", "datazone", budget=SIDE_BUDGET)}


class QueuesResource(_Connected):
    """The SQS queues of object events, one for each source that takes files, and the rules that fill them."""

    prefix: str = Field(description="What the names of queues begin with; the source's name follows.")

    def settings(self) -> Mapping[str, Any]:
        return {"queue_prefix": self.prefix}

    def clients(self) -> Clients:
        return {**self._clients("sqs"), **self._clients("events", budget=SIDE_BUDGET)}


class EnginesResource(_Connected):
    """The engines that AWS runs: those that bring data by themselves (AppFlow, DataSync, DMS, Transfer Family), EMR
    Serverless, which may transform it, and those that do something with tables when they were published."""

    def settings(self) -> Mapping[str, Any]:
        return {}

    def clients(self) -> Clients:
        consumers = ("athena", "entityresolution", "quicksight", "redshift-data", "sagemaker")
        return {
            **self._clients("appflow", "datasync", "dms", "emr-serverless", "sts", "transfer"),
            **self._clients(*consumers, budget=SIDE_BUDGET),
        }


class MachineResource(dg.ConfigurableResource[Any]):
    """The machine on which steps and sensors run, and what they may use of it."""

    env: str = Field(description="``local``: everything on this machine; ``aws``: the account.")
    home: str = Field(description="Directory for work files and caches.")
    memory_limit: str = Field(
        default="2GB",
        description="Memory that DuckDB may use in this process, by the limits of its container. A run in a container "
        "of its own has that one's.",
    )
    threads: int = Field(default=2, description="Threads of DuckDB, by the same limits.")
    tick_seconds: int = Field(default=25, description="Seconds that one look at a source may take.")
    metrics: bool = Field(default=False, description="Write metrics to the standard output, for CloudWatch Logs.")
    spark: str = Field(
        default="", description="The Spark that transforms deliveries which outgrow this machine; by default none."
    )
    spark_from: int = Field(default=20 * 10**9, description="Bytes of a delivery from which on that is so.")

    def settings(self) -> Mapping[str, Any]:
        return {
            "env": self.env,
            "home": Path(self.home),
            "memory_limit": self.memory_limit,
            "threads": self.threads,
            "tick_seconds": self.tick_seconds,
            "metrics": self.metrics,
            "spark": self.spark,
            "spark_from": self.spark_from,
        }

    def clients(self) -> Clients:
        return {}


@dataclass(frozen=True)
class _Given(Aws):
    """The clients of the resources that a step asked for."""

    clients: Clients = field(default_factory=dict)

    def client(self, service: str, *_: Any) -> Any:
        if service not in self.clients:
            raise LookupError(f"no resource that this step asks for has a client of {service}")
        return self.clients[service]()

    def client_once(self, service: str, *_: Any) -> Any:
        return self.client(f"{service}{ONCE}" if f"{service}{ONCE}" in self.clients else service)


def services_of(*parts: Any) -> Services:
    """What flows talk to, made of the resources that a step asks for, and of nothing else."""
    settings: dict[str, Any] = {}
    clients: dict[str, Callable[[], Any]] = {}
    now: Callable[[], datetime] = utc_now
    for part in parts:
        if isinstance(part, S3Resource):
            clients["s3"] = part.get_client
        elif isinstance(part, SecretsManagerResource):
            clients["secretsmanager"] = part.get_client
        else:
            clients |= part.clients()
            now = getattr(part, "now", now)
        settings |= part.settings() if hasattr(part, "settings") else {}
    whole = replace(read_settings(), **settings)
    return Services(whole, _Given(whole.region, None, clients), now, declared_in(whole))


def resources_of(settings: Settings) -> dict[str, Any]:
    """The resources that settings describe."""
    local = settings.env == "local"
    where: dict[str, Any] = {
        "region_name": local_region() if local else settings.region,
        "endpoint_url": os.environ.get("AWS_ENDPOINT_URL") if local else None,
        "embedded_aws": str(settings.data) if local else None,
    }
    return {
        "s3": ZonesResource(
            raw_bucket=settings.raw_bucket,
            clean_bucket=settings.clean_bucket,
            kms_key_id=settings.kms_key_id,
            quarantine_kms_key_id=settings.quarantine_kms_key_id,
            **where,
        ),
        "secrets": SecretsResource(hash_key_secret=settings.hash_key_secret, **where),
        "catalog": CatalogResource(
            database_prefix=settings.database_prefix,
            path_copies=settings.path_copies,
            keep_days=settings.keep_days,
            **where,
        ),
        "ledger": LedgerResource(table=settings.ledger_table, **where),
        "notifications": NotificationsResource(
            success_topic=settings.success_topic,
            failure_topic=settings.failure_topic,
            event_bus=settings.event_bus,
            lineage_domain=settings.lineage_domain,
            **where,
        ),
        "queues": QueuesResource(prefix=settings.queue_prefix, **where),
        "engines": EnginesResource(**where),
        "machine": MachineResource(
            env=settings.env,
            home=str(settings.home),
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            tick_seconds=settings.tick_seconds,
            metrics=settings.metrics,
            spark=settings.spark,
            spark_from=settings.spark_from,
        ),
    }
