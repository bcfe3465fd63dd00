"""Work whose process is killed at one of its writes, within this process."""

from collections.abc import Callable
from typing import Any

from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services


class Killed(BaseException):
    """What no handler of the platform catches, as nothing catches a kill."""


def dying(services: Services, writes: int, action: Callable[[], object]) -> bool:
    """Run ``action`` with a ledger, S3 and catalog that are dead from their ``writes``-th write on; whether they
    died. One that comes to its end has made fewer writes."""
    left = [writes]

    def count(**_: Any) -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise Killed

    operations = {
        "dynamodb": (
            services.ledger.client,
            ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"),
        ),
        "s3": (services.s3, ("PutObject", "CopyObject", "DeleteObjects")),
        "glue": (services.glue, ("CreateTable", "CreatePartition", "UpdatePartition", "UpdateTable")),
    }
    hooks = [(c, f"before-call.{name}.{op}") for name, (c, ops) in operations.items() for op in ops]
    for client, event in hooks:
        client.meta.events.register(event, count)
    try:
        action()
    except (Killed, PermanentFailure):  # the transfer threads of boto3 keep what kills them to themselves
        return True
    finally:
        for client, event in hooks:
            client.meta.events.unregister(event, count)
    assert left[0] > 0, "it came to its end without all of its writes"
    return False
