"""What all readers of SQS queues do."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from adplatform.failures import PermanentFailure
from adplatform.platform.at_once import at_once

MOST_RECEIVED = 10
"""Messages of one call, also of one that deletes (SQS API reference, ReceiveMessage and DeleteMessageBatch)."""

_urls = WeakKeyDictionary[Any, dict[str, str]]()


def find_url(sqs: Any, name: str) -> str | None:
    """The URL of a queue, which is asked for once a client; None while nobody has made the queue."""
    known = _urls.setdefault(sqs, {})
    if name not in known:
        try:
            known[name] = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        except sqs.exceptions.QueueDoesNotExist:
            return None
    return known[name]


def receive(sqs: Any, url: str, most: int = MOST_RECEIVED, **settings: Any) -> list[dict[str, Any]]:
    """Up to ``most`` messages, :data:`MOST_RECEIVED` at most, of those that wait.

    Raises:
        PermanentFailure: somebody has deleted the queue.
    """
    try:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=most, **settings)
    except sqs.exceptions.QueueDoesNotExist as e:
        name = url.rpartition("/")[2]
        _urls.get(sqs, {}).pop(name, None)
        raise PermanentFailure(f"queue {name} does not exist any more: run `adplatform provision`") from e
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


def delete_messages(sqs: Any, url: str, messages: Sequence[dict[str, Any]]) -> None:
    """Delete received messages. One that SQS does not delete comes again, as any may."""
    batches = [messages[start : start + MOST_RECEIVED] for start in range(0, len(messages), MOST_RECEIVED)]
    at_once(partial(_delete, sqs, url), batches)


def _delete(sqs: Any, url: str, messages: Sequence[dict[str, Any]]) -> None:
    entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
    sqs.delete_message_batch(QueueUrl=url, Entries=entries)
