"""Messages to people and to other tools, through two SNS topics: success and failure.

A message is JSON for machines and a readable text for e-mail. It names feeds, dates, counts and reasons; never a value
from the data, nor the name of a file (:func:`adplatform.failures.unnamed`).
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.failures import MAX_TEXT, clipped, unnamed

log = logging.getLogger(__name__)

SUBJECT_LIMIT = 100
"""SNS API reference, Publish: subjects are ASCII, without line breaks, and under 100 characters."""


MESSAGE_LIMIT = 256 * 1024
"""Bytes of a message with its attributes (SNS API reference, Publish)."""
_MOST_TOGETHER = 10
"""Messages of one call, which together are no longer than one may be (SNS API reference, PublishBatch)."""
_BOUNDS = ((50, MAX_TEXT), (50, MAX_TEXT // 8), (10, MAX_TEXT // 40))
"""How many of many values a message names and how many characters of each text: the first pair that fits is taken."""


@dataclass(frozen=True)
class Notifier:
    """Publishes to the two topics. ``sns`` is a boto3 SNS client."""

    sns: Any
    success_topic: str
    failure_topic: str

    def successes(self, event: str, messages: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Notify of several things of a kind, each by its subject and facts and as a message of its own. One that
        cannot be sent is logged."""
        for start in range(0, len(messages), _MOST_TOGETHER):
            some = messages[start : start + _MOST_TOGETHER]
            try:
                refused = self._publish_some(self.success_topic, event, some)
            except (BotoCoreError, ClientError) as e:
                refused = {number: str(e) for number in range(len(some))}
            for number, why in refused.items():
                log.error("%s, but nobody could be notified: %s", unnamed(some[number][0]), why)

    def failure(self, event: str, subject: str, facts: dict[str, Any]) -> bool:
        """Notify of what went wrong; whether it was sent. A message that cannot be sent is logged: it must not stop the
        work that goes on."""
        try:
            self._publish(self.failure_topic, event, subject, facts)
        except (BotoCoreError, ClientError) as e:
            log.error("%s, but nobody could be notified: %s", unnamed(subject), e)
            return False
        return True

    def _publish(self, topic: str, event: str, subject: str, facts: dict[str, Any]) -> None:
        self.sns.publish(TopicArn=topic, **_sent(event, subject, facts))

    def _publish_some(self, topic: str, event: str, some: Sequence[tuple[str, dict[str, Any]]]) -> dict[int, str]:
        """Those that were not sent, by their number, and why."""
        entries = [{"Id": str(n), **_sent(event, subject, facts)} for n, (subject, facts) in enumerate(some)]
        if len(entries) == 1 or sum(len(each["Message"].encode()) for each in entries) > MESSAGE_LIMIT // 2:
            for subject, facts in some:
                self._publish(topic, event, subject, facts)
            return {}
        answer = self.sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        return {int(each["Id"]): each.get("Message", each["Code"]) for each in answer.get("Failed", ())}


def _sent(event: str, subject: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "Subject": unnamed(subject).encode("ascii", "replace").decode().replace("\n", " ")[: SUBJECT_LIMIT - 1],
        "MessageStructure": "json",
        "Message": message_of(event, subject, facts),
        "MessageAttributes": {"event": {"DataType": "String", "StringValue": event}},
    }


def message_of(event: str, subject: str, facts: dict[str, Any]) -> str:
    """What is sent: JSON for machines and a text for e-mail, with as much of long texts and lists as a message takes.

    Lists and mappings that are cut are counted beside, as ``<name>_count``.
    """
    message = ""
    for many, long in _BOUNDS:
        bounded = _bounded(facts, many, long)
        machine = json.dumps({"event": event, **bounded}, sort_keys=True, default=str)
        readable = "\n".join([clipped(unnamed(subject), long), "", *(f"{n}: {_shown(v)}" for n, v in bounded.items())])
        message = json.dumps({"default": machine, "email": readable})
        if len(message) < MESSAGE_LIMIT - len(event):
            break
    return message


def _bounded(facts: dict[str, Any], many: int, long: int) -> dict[str, Any]:
    bounded: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            bounded[name] = {clipped(unnamed(str(k)), long): _text(v, long) for k, v in list(value.items())[:many]}
        elif isinstance(value, list | tuple):
            bounded[name] = [_text(v, long) for v in value[:many]]
        else:
            bounded[name] = _text(value, long)
        if isinstance(value, dict | list | tuple) and len(value) > many:
            bounded[f"{name}_count"] = len(value)
    return bounded


def _text(value: Any, long: int) -> Any:
    return clipped(unnamed(value), long) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
