"""A bus of EventBridge that keeps what is put on it in a queue."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adplatform.flow.services import Services


@dataclass(frozen=True)
class Bus:
    """``name`` is that of the bus, which is not there before it is ``made``."""

    services: Services
    name: str

    @classmethod
    def of(cls, services: Services) -> "Bus":
        """A bus, and the services that put their events on it."""
        name = f"bus-{uuid.uuid4().hex[:8]}"
        return cls(replace(services, settings=replace(services.settings, event_bus=name)), name)

    def made(self) -> "Bus":
        events, sqs = self.services.aws.client("events"), self.services.sqs
        queue = sqs.create_queue(QueueName=self.name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.create_event_bus(Name=self.name)
        where = {"EventBusName": self.name}
        events.put_rule(Name=self.name, EventPattern=json.dumps({"source": ["adplatform"]}), **where)
        events.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": arn}], **where)
        return self

    def read(self) -> list[Mapping[str, Any]]:
        """The events that have come since."""
        sqs, found = self.services.sqs, list[Mapping[str, Any]]()
        queue = sqs.get_queue_url(QueueName=self.name)["QueueUrl"]
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found
