"""Messages to people and to other tools, through two SNS topics: success and failure.

A message is JSON for machines and a readable text for e-mail. It names feeds, dates, counts and reasons; never a value
from the data, nor the name of a file (:func:`adplatform.failures.unnamed`).
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.failures import MAX_TEXT, clipped, unnamed
from adplatform.platform.alert import Alert
from adplatform.platform.facts import bounded, shown
from adplatform.platform.late import Late

chat = Late("adplatform.platform.chat")
pagerduty = Late("adplatform.platform.pagerduty")
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
        entries = [_entry(event, subject, message_of(event, subject, facts)) for subject, facts in messages]
        for number, why in publish_together(self.sns, self.success_topic, entries).items():
            log.error("%s, but nobody could be notified: %s", unnamed(messages[number][0]), why)

    def failure(self, event: str, subject: str, facts: dict[str, Any]) -> bool:
        """Notify of what went wrong; whether it was sent. A message that cannot be sent is logged: it must not stop the
        work that goes on."""
        try:
            entry = _entry(event, subject, message_of(event, subject, facts))
            self.sns.publish(TopicArn=self.failure_topic, **entry)
        except (BotoCoreError, ClientError) as e:
            log.error("%s, but nobody could be notified: %s", unnamed(subject), e)
            return False
        return True


def publish_together(sns: Any, topic: str, entries: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Publish several messages by few calls. Those that were not sent, by their number, and why."""
    refused: dict[int, str] = {}
    for start in range(0, len(entries), _MOST_TOGETHER):
        some = entries[start : start + _MOST_TOGETHER]
        try:
            found = _publish_some(sns, topic, some)
        except (BotoCoreError, ClientError) as e:
            found = {number: str(e) for number in range(len(some))}
        refused |= {start + number: why for number, why in found.items()}
    return refused


def _publish_some(sns: Any, topic: str, some: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    if len(some) == 1 or sum(len(each["Message"].encode()) for each in some) > MESSAGE_LIMIT // 2:
        for each in some:
            sns.publish(TopicArn=topic, **each)
        return {}
    entries = [{"Id": str(n), **each} for n, each in enumerate(some)]
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    return {int(each["Id"]): each.get("Message", each["Code"]) for each in answer.get("Failed", ())}


def sent_as(form: str, alert: Alert) -> dict[str, Any]:
    """What SNS is given of an alert, for subscribers who read that form."""
    if form == "json":
        more = {"severity": str(alert.severity), "thread": alert.thread, "phase": str(alert.phase)}
        facts = {**alert.facts, **more, **({"note": alert.note} if alert.note else {})}
        return _entry(alert.event, alert.subject, message_of(alert.event, alert.subject, facts))
    key = sha256("\x00".join((alert.thread, alert.event, alert.phase, alert.at)).encode()).hexdigest()[:32]
    body = chat.chat_body(alert, key) if form == "chat" else pagerduty.pagerduty_body(alert)
    readable = json.loads(message_of(alert.event, alert.subject, dict(alert.facts)))["email"]
    return _entry(alert.event, alert.subject, _json({"default": _json(body), "email": readable}))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _entry(event: str, subject: str, message: str) -> dict[str, Any]:
    return {
        "Subject": unnamed(subject).encode("ascii", "replace").decode().replace("\n", " ")[: SUBJECT_LIMIT - 1],
        "MessageStructure": "json",
        "Message": message,
        "MessageAttributes": {"event": {"DataType": "String", "StringValue": event}},
    }


def message_of(event: str, subject: str, facts: dict[str, Any]) -> str:
    """What is sent: JSON for machines and a text for e-mail, with as much of long texts and lists as a message takes
    (:func:`adplatform.platform.facts.bounded`)."""
    message = ""
    for many, long in _BOUNDS:
        cut = bounded(facts, many, long)
        machine = json.dumps({"event": event, **cut}, sort_keys=True, default=str)
        readable = "\n".join([clipped(unnamed(subject), long), "", *(f"{n}: {shown(v)}" for n, v in cut.items())])
        message = json.dumps({"default": machine, "email": readable})
        if len(message) < MESSAGE_LIMIT - len(event):
            break
    return message
