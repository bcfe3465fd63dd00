"""The services a flow talks to, made from the settings; the same object serves Dagster runs, the CLI and tests."""
# ruff: noqa: PLC0415 - clients and engines take longer to import than many a command to run

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from adplatform.contracts.source import PLATFORM_TOPICS, Topics
from adplatform.failures import PermanentFailure
from adplatform.flow.source import Source
from adplatform.lake.zones import Zones
from adplatform.platform.clock import utc_now
from adplatform.platform.metrics import Metrics
from adplatform.platform.queues import find_url
from adplatform.platform.settings import Settings

if TYPE_CHECKING:
    from adplatform.contracts.alerts import Alerts
    from adplatform.flow.alerts import Alerting
    from adplatform.flow.declared_table import DeclaredTable
    from adplatform.flow.settling import Settler
    from adplatform.lake.lake import Lake
    from adplatform.lake.store import Store
    from adplatform.ledger.ledger import Ledger
    from adplatform.platform.aws import Aws
    from adplatform.platform.event_bus import EventBus
    from adplatform.platform.notifications import Notifier

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """Clients are made when first used, so a process pays only for what it talks to."""

    settings: Settings
    aws: "Aws"
    now: Callable[[], datetime] = utc_now
    declared: "Callable[[str], DeclaredTable] | None" = None
    """Where a table is declared, and what is made of it, for who has something to say of that."""

    @cached_property
    def s3(self) -> Any:
        return self.aws.client("s3")

    @cached_property
    def sqs(self) -> Any:
        return self.aws.client("sqs")

    @cached_property
    def glue(self) -> Any:
        return self.aws.client("glue")

    @cached_property
    def secrets(self) -> Any:
        return self.aws.client("secretsmanager")

    @cached_property
    def ledger(self) -> "Ledger":
        from adplatform.ledger.ledger import Ledger

        return Ledger(self.aws.client("dynamodb"), self.settings.ledger_table, self.now)

    @cached_property
    def zones(self) -> Zones:
        own = self.settings
        return Zones(own.raw_bucket, own.clean_bucket, own.kms_key_id, own.quarantine_kms_key_id)

    @cached_property
    def store(self) -> "Store":
        from adplatform.lake.store import Store

        return Store(self.s3, self.zones)

    @cached_property
    def lake(self) -> "Lake":
        from adplatform.lake.catalog import Catalog
        from adplatform.lake.lake import Lake
        from adplatform.lake.personal_tags import PersonalTags

        key = self.settings.personal_tag
        tags = PersonalTags(self.aws.client("lakeformation"), key) if key else None
        return Lake(
            self.store,
            Catalog(self.glue, tags=tags),
            self.ledger,
            memory_limit=self.settings.memory_limit,
            threads=self.settings.threads,
            path_copies=self.settings.path_copies,
        )

    @cached_property
    def sns(self) -> Any:
        return self.aws.client("sns")

    def notifier(self, topics: Topics = PLATFORM_TOPICS) -> "Notifier | Alerting":
        """Messages to the source's own topics where it has some, else by declared routes, else to the platform's."""
        return self.alerting(topics) or self._notifier(topics)

    def alerting(self, topics: Topics = PLATFORM_TOPICS) -> "Alerting | None":
        """Messages by declared routes, where there are any."""
        if self.alerts is None:
            return None
        from adplatform.flow.alerts import Alerting

        return Alerting(self.alerts, topics, self._notifier(topics), self.ledger, self.topic_arn)

    def _notifier(self, topics: Topics) -> "Notifier":
        from adplatform.platform.notifications import Notifier

        return Notifier(
            self.sns,
            self.topic_arn(topics.success or self.settings.success_topic),
            self.topic_arn(topics.failure or self.settings.failure_topic),
        )

    @cached_property
    def alerts(self) -> "Alerts | None":
        """The declared routes. A file with mistakes routes nothing, for people must hear of failures all the same; that
        the code location does not load is what shows it."""
        if self.settings.alerts is None or not self.settings.alerts.exists():
            return None
        from adplatform.contracts.alerts import faultless_alerts

        try:
            return faultless_alerts(self.settings.alerts)
        except PermanentFailure as e:
            log.error("no message goes by routes: %s", e)
            return None

    def event_bus(self, name: str) -> "EventBus":
        from adplatform.platform.event_bus import EventBus

        return EventBus(self._events, name)

    @cached_property
    def _events(self) -> Any:
        from adplatform.platform.aws import SIDE_BUDGET

        return self.aws.client("events", SIDE_BUDGET)

    @cached_property
    def datazone(self) -> Any:
        from adplatform.platform.aws import SIDE_BUDGET

        return self.aws.client("datazone", SIDE_BUDGET)

    @cached_property
    def metrics(self) -> Metrics:
        return Metrics(self.settings.metrics, self.now)

    @cached_property
    def account(self) -> str:
        return str(self.aws.client("sts").get_caller_identity()["Account"])

    def topic_arn(self, topic: str) -> str:
        return topic if topic.startswith("arn:") else f"arn:aws:sns:{self.aws.region}:{self.account}:{topic}"

    def queue_url(self, source: Source) -> str | None:
        """Where the source's events wait; None when nobody has made its queue."""
        return find_url(self.sqs, self.settings.queue_name(source.name))

    def settler(self, source: Source) -> "Settler":
        """The arrival side of a source.

        Raises:
            PermanentFailure: nobody has made the source's queue.
        """
        found = self.find_settler(source)
        if found is None:
            name = self.settings.queue_name(source.name)
            raise PermanentFailure(f"queue {name} does not exist: run `adplatform provision`")
        return found

    def find_settler(self, source: Source) -> "Settler | None":
        """The arrival side of a source; None when nobody has made its queue."""
        from adplatform.flow.arrivals import Arrivals, Queue
        from adplatform.flow.settling import Settler

        queue = self.queue_url(source)
        if queue is None:
            return None
        here = replace(source, bucket=self.settings.raw_bucket)
        return Settler(Arrivals(here, self.s3, self.ledger, Queue(self.sqs, queue)), self.zones)
