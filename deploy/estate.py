"""What is deployed, and what all of it is called: plain names and ARNs, so that stacks need nothing of each other.

Only keys of KMS have ARNs that nobody knows before; these are references to the stack of the keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from adplatform.contracts.alerts import FILE, Alerts, faultless_alerts
from adplatform.engines.pattern import EngineFiles
from adplatform.flow.pattern import Pattern
from adplatform.flow.provision import arrival_pattern
from adplatform.flow.source import Source
from adplatform.lake.zones import Zones
from adplatform.patterns import faultless_defs, pattern_of
from adplatform.platform.arns import role_arn
from adplatform.platform.settings import Settings, read_settings
from adplatform.pull.pattern import PulledReports
from adplatform.pull.stream.tables import StreamTables
from deploy.config import Config

PROJECT = Path(__file__).parent.parent


@dataclass(frozen=True)
class DeployedSource:
    """A source as YAML declares it, of the component ``kind``."""

    kind: str
    model: BaseModel
    pattern: Pattern

    @property
    def source(self) -> Source:
        return self.pattern.source

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def stream(self) -> StreamTables | None:
        """The Marketing Stream that is taken of it, if any is."""
        return self.pattern.stream if isinstance(self.pattern, PulledReports) else None

    @property
    def queues(self) -> list[tuple[Source, Mapping[str, Any]]]:
        """The sources whose queues take its events, and what EventBridge matches for each."""
        found: list[tuple[Source, Mapping[str, Any]]] = []
        if self.source.takes_files:
            found.append((self.source, arrival_pattern(self.source)))
        if isinstance(self.pattern, EngineFiles) and self.pattern.events:
            found.append((self.pattern.reported_to, self.pattern.events))
        return found


@dataclass(frozen=True)
class Estate:
    """``left_out`` are sources that are simulated, which only the local mode can be."""

    config: Config
    settings: Settings
    sources: tuple[DeployedSource, ...]
    left_out: tuple[str, ...] = ()
    alerts: Alerts | None = None

    @property
    def account(self) -> str:
        return self.config.account

    @property
    def region(self) -> str:
        return self.config.region

    @cached_property
    def zones(self) -> Zones:
        return Zones(self.settings.raw_bucket, self.settings.clean_bucket)

    @property
    def queues(self) -> list[tuple[Source, Mapping[str, Any]]]:
        return [queue for each in self.sources for queue in each.queues]

    def of_kind(self, kind: str) -> list[DeployedSource]:
        return [each for each in self.sources if each.kind == kind]

    def arn(self, service: str, resource: str) -> str:
        """Of what belongs to the account and the region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def role(self, name: str) -> str:
        """The ARN of a role, by its name or ARN."""
        return role_arn(name, self.account)

    def bucket(self, name: str, keys: str = "") -> str:
        """The ARN of a bucket, or of its objects with such keys, for example ``landing/acme/*``."""
        return f"arn:aws:s3:::{name}/{keys}" if keys else f"arn:aws:s3:::{name}"

    def raw(self, keys: str = "") -> str:
        return self.bucket(self.settings.raw_bucket, keys)

    def clean(self, keys: str = "") -> str:
        return self.bucket(self.settings.clean_bucket, keys)

    def queue(self, source: Source) -> str:
        return self.arn("sqs", self.settings.queue_name(source.name))

    def rule(self, source: Source) -> str:
        return self.arn("events", f"rule/{self.settings.queue_name(source.name)}")

    def topic(self, topic: str) -> str:
        """The ARN of a topic, by its name or ARN."""
        return topic if topic.startswith("arn:") else self.arn("sns", topic)

    @property
    def bus(self) -> str:
        """The ARN of the bus of publications."""
        name = self.settings.event_bus
        return name if name.startswith("arn:") else self.arn("events", f"event-bus/{name}")

    def secret(self, name: str) -> str:
        """What ARNs of a secret look like: Secrets Manager appends six characters to the name."""
        return name if name.startswith("arn:") else self.arn("secretsmanager", f"secret:{name}-??????")

    @property
    def access_logs(self) -> str:
        """The bucket of what S3 and the load balancer log."""
        return f"{self.settings.raw_bucket}-access"

    @property
    def compute_logs(self) -> str:
        """The bucket of what steps print."""
        return f"{self.settings.raw_bucket}-compute-logs"

    @property
    def image(self) -> str:
        """The image of the platform, with its tag."""
        where, given = f"{self.account}.dkr.ecr.{self.region}.amazonaws.com", self.config.image
        return f"{where}/{given.repository}:{given.tag}"

    @property
    def ledger(self) -> str:
        return self.arn("dynamodb", f"table/{self.settings.ledger_table}")

    @property
    def topics(self) -> list[str]:
        """Names of the topics of this account, those of sources and routes of messages among them."""
        return [topic for topic in self.told if not topic.startswith("arn:")]

    @property
    def told(self) -> list[str]:
        """All topics that get messages, by name or ARN."""
        flows = [flow for each in self.sources for flow in each.source.feeds]
        own = [topic for flow in flows for topic in (flow.topics.success, flow.topics.failure) if topic]
        routed = [to.topic for to in self.alerts.destinations()] if self.alerts else []
        return list(dict.fromkeys((self.settings.success_topic, self.settings.failure_topic, *own, *routed)))


def read_estate(config: Config) -> Estate:
    """
    Raises:
        PermanentFailure: a declared source or a setting has a mistake; names it.
    """
    settings = replace(read_settings(config.environment), alerts=PROJECT / config.sources / FILE)
    declared = faultless_defs(PROJECT / config.sources)
    simulated = [each for each in declared if getattr(each.model, "simulated", False)]
    sources = [DeployedSource(d.kind, d.model, pattern_of(d, settings)) for d in declared if d not in simulated]
    left_out = [str(getattr(each.model, "source", each.file)) for each in simulated]
    alerts = faultless_alerts(PROJECT / config.sources / FILE)
    return Estate(config, settings, tuple(sources), tuple(left_out), alerts)
