"""Messages to people and to other tools, through two SNS topics: success and failure.

A message is JSON for machines and a readable text for e-mail. It names feeds, dates, counts and reasons; never a value
from the data.
"""

import json
import logging
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

log = logging.getLogger(__name__)

SUBJECT_LIMIT = 100
"""SNS API reference, Publish: subjects are ASCII, without line breaks, and under 100 characters."""


@dataclass(frozen=True)
class Notifier:
    """Publishes to the two topics. ``sns`` is a boto3 SNS client."""

    sns: Any
    success_topic: str
    failure_topic: str

    def success(self, event: str, subject: str, facts: dict[str, Any]) -> None:
        self._publish(self.success_topic, event, subject, facts)

    def failure(self, event: str, subject: str, facts: dict[str, Any]) -> None:
        """Tell what went wrong. A message that cannot be sent is logged: it must not stop the work that goes on."""
        try:
            self._publish(self.failure_topic, event, subject, facts)
        except (BotoCoreError, ClientError) as e:
            log.error("%s, but nobody could be told: %s", subject, e)

    def _publish(self, topic: str, event: str, subject: str, facts: dict[str, Any]) -> None:
        machine = json.dumps({"event": event, **facts}, sort_keys=True, default=str)
        readable = "\n".join([subject, "", *(f"{name}: {_shown(value)}" for name, value in facts.items())])
        self.sns.publish(
            TopicArn=topic,
            Subject=subject.encode("ascii", "replace").decode().replace("\n", " ")[: SUBJECT_LIMIT - 1],
            MessageStructure="json",
            Message=json.dumps({"default": machine, "email": readable}),
            MessageAttributes={"event": {"DataType": "String", "StringValue": event}},
        )


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
