"""Topics of chat and PagerDuty, each with a queue that is subscribed as the service would be."""

import json
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adplatform.flow.services import Services
from adplatform_tests.support.chat_schema import require_chat

ROUTED = """\
type: adplatform.Alerts
attributes:
  quiet_for: 6h
  routes:
    - severities: [{severities}]
      to: [{{topic: {chat}, form: chat}}, {{topic: {pagerduty}, form: pagerduty}}]
"""


@dataclass(frozen=True)
class Channels:
    """``services`` route to both."""

    services: Services
    urls: dict[str, str]

    @classmethod
    def of(cls, services: Services, folder: Path, severities: str = "info, error, critical") -> "Channels":
        topics = {form: f"{form}-{uuid.uuid4().hex[:8]}" for form in ("chat", "pagerduty")}
        file = folder / "alerts.yaml"
        file.write_text(ROUTED.format(severities=severities, **topics), encoding="utf-8")
        urls = {}
        for form, topic in topics.items():
            urls[form] = services.sqs.create_queue(QueueName=topic)["QueueUrl"]
            found = services.sqs.get_queue_attributes(QueueUrl=urls[form], AttributeNames=["QueueArn"])
            made = services.sns.create_topic(Name=topic)["TopicArn"]
            services.sns.subscribe(TopicArn=made, Protocol="sqs", Endpoint=found["Attributes"]["QueueArn"])
        return cls(replace(services, settings=replace(services.settings, alerts=file)), urls)

    def chat(self) -> list[dict[str, Any]]:
        """What a channel has got since, each held against the schema that it demands."""
        found = self._read("chat")
        for body in found:
            require_chat(body)
        return found

    def incidents(self) -> list[tuple[str, str]]:
        """What PagerDuty has got since: action and key."""
        return [(body["event_action"], body["dedup_key"]) for body in self._read("pagerduty")]

    def _read(self, form: str) -> list[dict[str, Any]]:
        found, sqs, url = [], self.services.sqs, self.urls[form]
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(json.loads(message["Body"])["Message"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found
