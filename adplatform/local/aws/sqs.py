"""SQS queues whose long polls wait on the one lock of the embedded AWS, and in which many messages may wait."""

import re
import threading
from typing import Any

from moto.core.utils import unix_time_millis
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
        for place, message in enumerate(self._messages):
            if message.had_receipt_handle(receipt_handle):
                self.pending_messages.discard(message)
                del self._messages[place]
                return

    @property
    def messages(self) -> list[models.Message]:
        """Those that can be received. moto asks the time anew for each message, here and where it only counts them,
        which it does for each that is sent."""
        now = unix_time_millis()
        return [each for each in self._messages if each.visible_at < now and each.delayed_until <= now]

    @property
    def approximate_number_of_messages_delayed(self) -> int:
        now = unix_time_millis()
        return len([each for each in self._messages if each.delayed_until > now])

    @property
    def approximate_number_of_messages_not_visible(self) -> int:
        now = unix_time_millis()
        return len([each for each in self._messages if each.visible_at >= now])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_messages_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, deleted_messages=set())
        self._messages_lock = threading.Condition(LOCK)


def _is_retained(self: models.SQSBackend, queue_name: str, message: models.Message) -> bool:
    """moto works out all attributes of the queue for each message that it hands out, for which it counts the others
    several times over."""
    retained = int(self.get_queue(queue_name).message_retention_period)
    return bool(retained + (message.sent_timestamp or 0) / 1000 > unix_time_millis() / 1000)


def install() -> None:
    models.Queue = LocalQueue
    models.SQSBackend.is_message_valid_based_on_retention_period = _is_retained
