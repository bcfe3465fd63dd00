"""Queues: asked for once, and missed once they are gone."""

from uuid import uuid4

import pytest

from adplatform.failures import PermanentFailure
from adplatform.platform.aws import Aws
from adplatform.platform.queues import find_url, receive


def test_a_queue_that_is_deleted_is_missed_and_found_again_once_it_is_made_anew(aws: Aws) -> None:
    sqs, name, asked = aws.client("sqs"), f"q-{uuid4().hex}", list[str]()
    sqs.meta.events.register("before-call.sqs", lambda model, **_: asked.append(model.name))
    assert find_url(sqs, name) is None

    made = sqs.create_queue(QueueName=name)["QueueUrl"]
    assert find_url(sqs, name) == find_url(sqs, name) == made
    assert asked.count("GetQueueUrl") == 2
    assert receive(sqs, made) == []

    sqs.delete_queue(QueueUrl=made)
    with pytest.raises(PermanentFailure, match=f"{name} does not exist any more: run `adplatform provision`"):
        receive(sqs, made)
    assert find_url(sqs, name) is None
