"""What all readers of SQS queues do."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from adplatform.platform.at_once import at_once

MOST_RECEIVED = 10
"""Messages of one call, also of one that deletes (SQS API reference, ReceiveMessage and DeleteMessageBatch)."""


def delete_messages(sqs: Any, url: str, messages: Sequence[dict[str, Any]]) -> None:
    """Delete received messages. One that SQS does not delete comes again, as any may."""
    batches = [messages[start : start + MOST_RECEIVED] for start in range(0, len(messages), MOST_RECEIVED)]
    at_once(partial(_delete, sqs, url), batches)


def _delete(sqs: Any, url: str, messages: Sequence[dict[str, Any]]) -> None:
    entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
    sqs.delete_message_batch(QueueUrl=url, Entries=entries)
