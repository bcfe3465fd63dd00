"""SQS queues whose long polls wait on the one lock of the embedded AWS."""

import re
import threading
from typing import Any

from moto.sqs import models
from moto.sqs.exceptions import ReceiptHandleIsInvalid

from adplatform.local.aws.state import LOCK

_RECEIPT_HANDLE = re.compile(r"[a-zA-Z0-9]{185}")
"""As moto draws them."""


class LocalQueue(models.Queue):
    """moto guards a queue's messages with a lock of its own, which deletion does not take: a message that arrives
    during a deletion is lost. Here sending, receiving and deleting all happen under ``LOCK``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._messages_lock = threading.Condition(LOCK)

    def delete_message(self, receipt_handle: str) -> None:
        """To delete a message again is no error. moto remembers the receipt handles of all that were deleted to tell,
        and every snapshot would have them."""
        if _RECEIPT_HANDLE.fullmatch(receipt_handle) is None:
            raise ReceiptHandleIsInvalid
        if any(message.had_receipt_handle(receipt_handle) for message in self._messages):
            super().delete_message(receipt_handle)
            self.deleted_messages.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_messages_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, deleted_messages=set())
        self._messages_lock = threading.Condition(LOCK)


def install() -> None:
    models.Queue = LocalQueue
