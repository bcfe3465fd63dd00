"""A whole platform of its own for one test: buckets, ledger, topics and queues with names nobody else uses."""

import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from adplatform.components import DatabaseChanges, DatabaseTables, PartnerPush, ReplicatedFiles, SaasFlows, SftpFiles
from adplatform.contracts.durations import parse_duration, write_duration
from adplatform.contracts.source import FileSource
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.ledger.delivery import Delivery
from adplatform.platform.aws import Aws
from adplatform.platform.clock import utc_now
from adplatform.platform.settings import Settings

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)


def make_services(aws: Aws, home: Path) -> Services:
    unique = uuid.uuid4().hex[:8]
    settings = Settings(
        env="local",
        home=home,
        raw_bucket=f"raw-{unique}",
        clean_bucket=f"clean-{unique}",
        ledger_table=f"ledger-{unique}",
        database_prefix=f"clean_{unique}_",
        queue_prefix=f"arrivals-{unique}-",
        success_topic=f"success-{unique}",
        failure_topic=f"failure-{unique}",
        hash_key_secret=f"hash-key-{unique}",
    )
    return Services(settings, aws)


@dataclass(frozen=True)
class Given:
    """In the place of any resource: what one has of these services."""

    services: Services

    @property
    def now(self) -> Callable[[], datetime]:
        return self.services.now

    def settings(self) -> dict[str, Any]:
        return dict(vars(self.services.settings))

    def clients(self) -> dict[str, Callable[[], Any]]:
        services = self.services
        kept = {"s3": "s3", "sqs": "sqs", "sns": "sns", "glue": "glue", "secretsmanager": "secrets"}
        made = (
            *("appflow", "datasync", "dms", "emr-serverless", "transfer", "events", "datazone", "sts"),
            *("athena", "entityresolution", "quicksight", "redshift-data", "sagemaker"),
        )
        return {
            **{name: lambda attribute=attribute: getattr(services, attribute) for name, attribute in kept.items()},
            **{name: lambda name=name: services.aws.client(name) for name in made},
            **{
                f"{name} once": lambda name=name: services.aws.client_once(name)
                for name in ("datasync", "emr-serverless", "entityresolution", "glue", "transfer")
            },
            "dynamodb": lambda: services.ledger.client,
        }


RESOURCES = ("s3", "secrets", "catalog", "ledger", "notifications", "queues", "engines", "machine")


def resources_with(services: Services) -> dict[str, Any]:
    """The resources of a code location, all with what these services have."""
    return dict.fromkeys(RESOURCES, Given(services))


def drop_table(aws: Aws, name: str) -> None:
    dynamodb = aws.client("dynamodb")
    with suppress(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.delete_table(TableName=name)


_FORGET_AFTER = 20
_ended: list[Settings] = []


def forget_services(services: Services) -> None:
    """After its test. Every event of S3 is held against every rule and every query lists all databases, so those of
    tests that have ended would slow the others down: they go once there are some."""
    drop_table(services.aws, services.settings.ledger_table)
    _ended.append(services.settings)
    if len(_ended) < _FORGET_AFTER:
        return
    glue, events = services.glue, services.aws.client("events")
    databases, rules = (tuple(getattr(each, name) for each in _ended) for name in ("database_prefix", "queue_prefix"))
    _ended.clear()
    for name in glue.get_paginator("get_databases").paginate().search("DatabaseList[].Name"):
        if name.startswith(databases):
            glue.delete_database(Name=name)
    for rule in events.get_paginator("list_rules").paginate().search("Rules[]"):
        if rule["Name"].startswith(rules) and rule["State"] == "ENABLED":
            events.disable_rule(Name=rule["Name"])


@dataclass(frozen=True)
class Platform:
    """One source on a platform of its own, run through Dagster as in production but in this process."""

    services: Services
    declared: FileSource
    source: Source
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def flow(self, name: str) -> FeedFlow:
        return next(f for f in self.source.feeds if f.feed.name == name)

    def put(self, key: str, body: bytes) -> None:
        """A partner's upload below the source's landing prefix."""
        self.services.s3.put_object(Bucket=self.services.zones.raw_bucket, Key=self.source.prefix + key, Body=body)

    def tick(self) -> list[dg.RunRequest]:
        return list(self.look().run_requests or ())

    def look(self, cursor: str | None = None) -> Any:
        """A tick of the source's sensor, with what it leaves to the next."""
        starts = "arrivals" if self.source.takes_files else "runs"
        sensor = self.definitions.resolve_sensor_def(f"{self.source.name}_{starts}")
        context = dg.build_sensor_context(
            instance=self.instance, definitions=self.definitions, resources=resources_with(self.services), cursor=cursor
        )
        return sensor.evaluate_tick(context)

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        if not request.asset_selection:
            return self.definitions.resolve_job_def(str(request.job_name)).execute_in_process(
                instance=self.instance,
                tags={**request.tags, "dagster/run_key": str(request.run_key)},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
        return dg.materialize(
            [self.definitions.resolve_assets_def(key) for key in request.asset_selection or ()],
            partition_key=request.partition_key,
            instance=self.instance,
            tags={**request.tags, "dagster/run_key": str(request.run_key)},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )

    def process(self) -> list[dg.ExecuteInProcessResult]:
        """Run what is due until nothing is."""
        results = []
        while requests := self.tick():
            results += [self.run(request) for request in requests]
        return results

    def delivery(self, feed: str, day: date = YESTERDAY) -> Delivery:
        return self.services.ledger.deliveries.get(f"{self.source.name}/{feed}", day)

    def table(self, feed: str) -> str:
        return f"{self.services.settings.database_prefix}{self.source.name}.{feed}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query; ``{feed}`` in it stands for that feed's table."""
        from adplatform.lake.query import run_query  # noqa: PLC0415 - pyarrow.dataset brings all of pandas

        named = sql.format(**{f.feed.name: self.table(f.feed.name) for f in self.source.feeds})
        settings = self.services.settings
        return run_query(self.services.aws, self.services.glue, settings.database_prefix, named, 1_000_000)[1]

    @cached_property
    def messages(self) -> "Inbox":
        return Inbox.subscribe(self.services)


@dataclass(frozen=True)
class Inbox:
    """An SQS queue subscribed to both topics, as another tool would be."""

    sqs: Any
    url: str

    @classmethod
    def subscribe(cls, services: Services) -> "Inbox":
        url = services.sqs.create_queue(QueueName=f"inbox-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        arn = services.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns = services.aws.client("sns")
        for topic in (services.settings.success_topic, services.settings.failure_topic):
            sns.subscribe(TopicArn=services.topic_arn(topic), Protocol="sqs", Endpoint=arn)
        return cls(services.sqs, url)

    def read(self) -> list[dict[str, Any]]:
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(json.loads(message["Body"])["Message"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return found


def make_platform(
    services: Services,
    attributes: Mapping[str, Any],
    instance: dg.DagsterInstance,
    kind: type[PartnerPush]
    | type[ReplicatedFiles]
    | type[SaasFlows]
    | type[SftpFiles]
    | type[DatabaseTables]
    | type[DatabaseChanges] = PartnerPush,
) -> Platform:
    """The platform with one component of the given attributes, provisioned.

    What is started ``every`` so often was due five minutes ago, so that a test of the present does not meet a full
    hour; one of another time gets what it declares.
    """
    now = services.now()
    declared = _due_lately(attributes, now) if abs(now - utc_now()) < timedelta(hours=1) else dict(attributes)
    component = kind(kind.get_model_cls().model_validate(declared))
    source = component.pattern(services.settings).source
    provision(services, [source])
    definitions = dg.Definitions.merge(
        dg.component_defs(component=component),
        dg.Definitions(resources=resources_with(services), executor=dg.in_process_executor),
    )
    return Platform(services, component.declared, source, definitions, instance)


def _due_lately(attributes: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    made = dict(attributes)
    if made.get("every") and "offset" not in made:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        made["offset"] = write_duration((now - timedelta(minutes=5) - midnight) % parse_duration(made["every"]))
    return (
        {**made, "feeds": [f if isinstance(f, str) else _due_lately(f, now) for f in made["feeds"]]}
        if "feeds" in made
        else made
    )
