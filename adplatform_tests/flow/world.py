"""A source with one feed per arrival rule, the services around it, and what a test knows that the platform does not."""

import itertools
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from adplatform.contracts.feed import Feed
from adplatform.flow.arrivals import Arrivals, Queue
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.settling import Ending, Runs, Settler
from adplatform.flow.source import FeedFlow, Source, make_source
from adplatform.lake.store import Store
from adplatform.lake.zones import Zones
from adplatform.ledger.ledger import Ledger
from adplatform.platform.aws import Aws
from adplatform.platform.metrics import Metrics
from adplatform.platform.settings import Settings
from adplatform_tests.flow.fakes import FakeDynamo, FakeS3, FakeSqs

TODAY = date(2026, 3, 14)
ARRIVALS: dict[str, dict[str, Any]] = {
    "quiet": {"complete_when": "quiet", "quiet_period": "5m", "max_wait": "30m"},
    "count": {"complete_when": "count", "expected_files": 2},
    "done": {"complete_when": "done_file"},
    "listed": {"complete_when": "manifest"},
}


class Crash(BaseException):
    """The process was killed. No handler of the platform may see it."""


def crash() -> None:
    raise Crash


@dataclass
class Fuse:
    """Lets something happen once, before the n-th call that the platform makes to a service: a crash, an arrival."""

    left: int = -1
    happens: Callable[[], object] = crash
    burned: int = 0
    _counting: Lock = field(default_factory=Lock)

    def burn(self) -> None:
        with self._counting:
            self.burned += 1
            self.left -= 1
            now = self.left == -1
        if now:
            self.happens()


class Fused:
    """A client whose calls burn the fuse."""

    def __init__(self, client: Any, fuse: Fuse) -> None:
        self._client, self._fuse = client, fuse

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if name == "get_paginator":
            return lambda operation: Fused(attribute(operation), self._fuse)
        if name == "exceptions":
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn()
            return attribute(*arguments, **named)

        return call


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


@dataclass
class Hears:
    """Who is notified; of nothing where ``reported`` returns False."""

    reported: Callable[..., object]

    def successes(self, *_: Any) -> None: ...

    def failure(self, *message: Any) -> bool:
        return self.reported(*message) is not False


@dataclass
class World:
    """The clients are the bare ones; the platform gets them fused. It serves as the ``Services`` of the run's steps."""

    bare_s3: Any
    bare_sqs: Any
    dynamo: Any
    queue_url: str
    table: str
    zones: Zones
    source: Source
    clock: Clock
    fuse: Fuse = field(default_factory=Fuse)
    metrics: Metrics = field(default_factory=Metrics)
    settings: Settings = field(default_factory=lambda: Settings(env="local", home=Path()))
    reported: Callable[..., object] = lambda *_: None

    def notifier(self, _: Any) -> Hears:
        return Hears(self.reported)

    @property
    def s3(self) -> Any:
        return Fused(self.bare_s3, self.fuse)

    @property
    def store(self) -> Store:
        return Store(self.s3, self.zones)

    @property
    def ledger(self) -> Ledger:
        return Ledger(Fused(self.dynamo, self.fuse), self.table, self.clock)

    @property
    def arrivals(self) -> Arrivals:
        return Arrivals(self.source, self.s3, self.ledger, Queue(Fused(self.bare_sqs, self.fuse), self.queue_url))

    @property
    def settler(self) -> Settler:
        """A new one every time: a restart loses nothing because there is nothing in memory."""
        return Settler(self.arrivals, self.zones)

    def flow(self, name: str) -> FeedFlow:
        return next(f for f in self.source.feeds if f.feed.name == name)

    def key(self, feed: str, day: date, file: str) -> str:
        return f"{self.source.prefix}{feed}/dt={day}/{file}"

    def put(self, key: str, body: bytes) -> str:
        answer = self.bare_s3.put_object(Bucket=self.source.bucket, Key=key, Body=body)
        return str(answer["VersionId"])

    def exists(self, key: str) -> bool:
        found = self.bare_s3.list_object_versions(Bucket=self.source.bucket, Prefix=key).get("Versions", [])
        return any(each["Key"] == key for each in found)

    def deliver(self, feed: str, file: str, body: bytes = b"1", day: date = TODAY) -> str:
        return self.put(self.key(feed, day, file), body)

    def messages(self, replace: Callable[[list[str]], list[str]]) -> None:
        """What waits in the queue becomes something else: less, more, or in another order."""
        bodies = []
        while found := self.bare_sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                bodies.append(message["Body"])
                self.bare_sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        for body in replace(bodies):
            self.bare_sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def body(self, bucket: str, key: str, version_id: str | None = None) -> bytes | None:
        """None when there is no such object version."""
        version = {"VersionId": version_id} if version_id else {}
        listed = self.bare_s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
        there = {(v["Key"], v["VersionId"]) for page in listed for v in page.get("Versions", [])}
        if not any(k == key and version_id in (None, v) for k, v in there):
            return None
        found: bytes = self.bare_s3.get_object(Bucket=bucket, Key=key, **version)["Body"].read()
        return found

    def tick(self, runs: Runs) -> list[str]:
        """What the sensor does; the run keys it asks for."""
        self.settler.arrivals.receive()
        due, _ = self.settler.due(runs)
        return [d.run_key for d in due]


class NoRuns:
    """Nothing ever ran."""

    def alive(self, run_id: str) -> bool:
        return False

    def spent(self, run_key: str) -> bool:
        return False

    def ending(self, run: str) -> Ending:
        return Ending.DIED


def feeds(arrivals: dict[str, dict[str, Any]]) -> list[Feed]:
    return [
        Feed.model_validate({"name": name, "start_date": "2026-01-01", "columns": {"id": "string"}, "arrival": arrival})
        for name, arrival in arrivals.items()
    ]


def fake_world(arrivals: dict[str, dict[str, Any]] = ARRIVALS) -> World:
    clock, sqs = Clock(datetime(2026, 3, 14, 9, tzinfo=UTC)), FakeSqs()
    ids = itertools.count(1)

    def announce(bucket: str, key: str, version_id: str) -> None:
        if key.startswith("landing/acme/"):
            thing = {"key": key, "version-id": version_id, "sequencer": f"{next(ids):018x}"}
            event = {"source": "aws.s3", "detail-type": "Object Created"}
            sqs.send_message(
                QueueUrl="q", MessageBody=json.dumps({**event, "detail": {"bucket": {"name": bucket}, "object": thing}})
            )

    source = make_source("acme", "raw", feeds(arrivals))
    return World(FakeS3(clock, announce), sqs, FakeDynamo(), "q", "ledger", Zones("raw", "clean"), source, clock)


def real_world(aws: Aws, settings: Settings, arrivals: dict[str, dict[str, Any]] = ARRIVALS) -> World:
    """The same on the embedded AWS, provisioned as the platform does. S3 has its own clock."""
    services = Services(settings, aws)
    source = make_source(f"s{uuid.uuid4().hex[:10]}", services.settings.raw_bucket, feeds(arrivals))
    provision(services, [source])
    queue = services.sqs.get_queue_url(QueueName=settings.queue_prefix + source.name)["QueueUrl"]
    client = aws.client("dynamodb")
    clock = Clock(datetime.now(UTC))
    return World(services.s3, services.sqs, client, queue, settings.ledger_table, services.zones, source, clock)
