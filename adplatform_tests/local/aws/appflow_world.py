"""What the tests of AppFlow share: names, a CRM whose clock stands still, and the events of one flow."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from adplatform.local.world.saas.world import Settings, World
from adplatform.platform.aws import Aws
from adplatform_tests.support.waiting import turns

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
FIELDS = ("Id", "Email", "SystemModstamp")


def new_world(**settings: Any) -> World:
    """Of twenty days."""
    world = World(Settings(began=datetime(2026, 11, 1, tzinfo=UTC).date(), **settings), sleep=lambda _: None)
    world.clock.set(NOW, frozen=True)
    return world


def unique(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def new_bucket(aws: Aws) -> str:
    name = unique("raw")
    aws.client("s3").create_bucket(Bucket=name)
    return name


def truth(world: World, name: str, fields: tuple[str, ...] = FIELDS) -> list[dict[str, Any]]:
    """What a run without a window writes, as JSON has it."""
    return [
        {field: _written(record[field]) for field in fields}
        for record in world.records(name, world.now())
        if not record["IsDeleted"]
    ]


def _written(value: Any) -> Any:
    return f"{value[:-5]}Z" if isinstance(value, str) and value.endswith("+0000") else value


def code(error: ClientError) -> tuple[str, int]:
    return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]


class Events:
    """The events about one flow, from its making on."""

    def __init__(self, aws: Aws, flow: str) -> None:
        self._sqs = aws.client("sqs")
        self._queue = self._sqs.create_queue(QueueName=unique("events"))["QueueUrl"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        pattern = json.dumps({"source": ["aws.appflow"], "detail": {"flow-name": [flow]}})
        events = aws.client("events")
        events.put_rule(Name=flow, EventPattern=pattern)
        events.put_targets(Rule=flow, Targets=[{"Id": "q", "Arn": answer["Attributes"]["QueueArn"]}])

    def there(self) -> list[dict[str, Any]]:
        """Those that have come since the last look."""
        answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    def wait(self, count: int = 1, kind: str = "AppFlow End Flow Run Report") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for _ in turns(30):
            found += [event for event in self.there() if event["detail-type"] == kind]
            if len(found) >= count:
                return found
        raise AssertionError(found)
