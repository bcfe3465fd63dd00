"""SQS queues whose long polls wait on the one lock of the embedded AWS."""

import threading
from typing import Any

from moto.sqs import models

from adplatform.local.aws.state import LOCK

_REMEMBERED_DELETIONS = 10_000


class LocalQueue(models.Queue):
    """moto guards a queue's messages with a lock of its own, which deletion does not take: a message that arrives
    during a deletion is lost. Here sending, receiving and deleting all happen under ``LOCK``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._messages_lock = threading.Condition(LOCK)

    def delete_message(self, receipt_handle: str) -> None:
        """moto remembers the receipt handles of deleted messages for ever."""
        super().delete_message(receipt_handle)
        if len(self.deleted_messages) > _REMEMBERED_DELETIONS:
            self.deleted_messages.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_messages_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._messages_lock = threading.Condition(LOCK)


def install() -> None:
    models.Queue = LocalQueue
