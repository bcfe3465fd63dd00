"""S3, SQS and DynamoDB in memory, as far as the arrival side of the platform uses them.

Their behaviour is checked against the embedded AWS by running the same machine on both (``test_settling_machine``).
"""

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import md5
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

_value = TypeDeserializer().deserialize


def client_error(code: str, status: int, operation: str = "Call", **more: Any) -> ClientError:
    answer = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return ClientError(answer, operation)


@dataclass(frozen=True)
class Version:
    """One object version. S3 dates it by the second."""

    version_id: str
    body: bytes
    modified: datetime

    @property
    def etag(self) -> str:
        return f'"{md5(self.body, usedforsecurity=False).hexdigest()}"'

    @property
    def described(self) -> dict[str, Any]:
        return {"ETag": self.etag, "LastModified": self.modified, "VersionId": self.version_id}


class Pages:
    def __init__(self, call: Callable[..., dict[str, Any]]) -> None:
        self._call = call

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        yield self._call(**arguments)


class FakeS3:
    """A versioned bucket. ``written`` is told of every new object version."""

    def __init__(self, now: Callable[[], datetime], written: Callable[[str, str, str], None]) -> None:
        self.now, self.written = now, written
        self.keys: dict[str, list[Version]] = {}
        self.forbidden: set[str] = set()
        self._ids = itertools.count(1)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:
        version = Version(f"id-{next(self._ids)}", Body, self.now().replace(microsecond=0))
        self.keys.setdefault(Key, []).append(version)
        self.written(Bucket, Key, version.version_id)
        return {"VersionId": version.version_id}

    def head_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        version = self._find(Key, VersionId)
        return {**version.described, "ContentLength": len(version.body)}

    def get_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        return {"Body": io.BytesIO(self._find(Key, VersionId).body)}

    def copy(self, CopySource: dict[str, str], Bucket: str, Key: str, ExtraArgs: dict[str, str]) -> None:
        source = self._find(CopySource["Key"], CopySource.get("VersionId"))
        if source.etag.strip('"') != ExtraArgs.get("CopySourceIfMatch", source.etag).strip('"'):
            raise client_error("PreconditionFailed", 412)
        self.put_object(Bucket=Bucket, Key=Key, Body=source.body)

    def delete_object(self, *, Bucket: str, Key: str, VersionId: str) -> None:
        self.keys[Key] = [v for v in self.keys.get(Key, []) if v.version_id != VersionId]

    def get_paginator(self, operation: str) -> Pages:
        return Pages(self._list_versions if operation == "list_object_versions" else self._list)

    def _list(self, *, Bucket: str, Prefix: str) -> dict[str, Any]:
        return {"Contents": [{"Key": key} for key in sorted(self.keys) if key.startswith(Prefix) and self.keys[key]]}

    def _list_versions(self, *, Bucket: str, Prefix: str) -> dict[str, Any]:
        found = [
            {**v.described, "Key": key, "Size": len(v.body)}
            for key in sorted(self.keys)
            if key.startswith(Prefix)
            for v in reversed(self.keys[key])
        ]
        return {"Versions": found} if found else {}

    def _find(self, key: str, version_id: str | None) -> Version:
        if key in self.forbidden:
            raise client_error("403", 403, "HeadObject")
        versions = [v for v in self.keys.get(key, []) if version_id in (None, v.version_id)]
        if not versions:
            raise client_error("404", 404, "HeadObject")
        return versions[-1]


@dataclass
class FakeSqs:
    """A queue whose messages wait in order; received ones come back when the caller asks for that."""

    waiting: list[str] = field(default_factory=list)
    in_flight: dict[str, str] = field(default_factory=dict)
    _handles: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:
        self.waiting.append(MessageBody)

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int = 1, **_: Any) -> dict[str, Any]:
        taken, self.waiting = self.waiting[:MaxNumberOfMessages], self.waiting[MaxNumberOfMessages:]
        messages = [{"Body": body, "ReceiptHandle": str(next(self._handles))} for body in taken]
        self.in_flight |= {m["ReceiptHandle"]: m["Body"] for m in messages}
        return {"Messages": messages} if messages else {}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:
        self.in_flight.pop(ReceiptHandle, None)

    def time_out(self) -> None:
        """The visibility timeout of everything received has passed."""
        self.waiting += self.in_flight.values()
        self.in_flight.clear()


class TransactionCanceledException(ClientError):
    pass


class ConditionalCheckFailedException(ClientError):
    pass


class FakeDynamo:
    """One table. The index lags behind until :meth:`catch_up`, as a global secondary index may."""

    class exceptions:
        TransactionCanceledException = TransactionCanceledException
        ConditionalCheckFailedException = ConditionalCheckFailedException

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.index: dict[tuple[str, str], dict[str, Any]] = {}
        self.lagging = False

    def catch_up(self) -> None:
        self.index = {key: item for key, item in self.items.items() if "active_feed" in item}

    def get_item(self, *, TableName: str, Key: dict[str, Any], ConsistentRead: bool) -> dict[str, Any]:
        item = self.items.get(_key(Key))
        return {"Item": item} if item else {}

    def put_item(self, *, TableName: str, Item: dict[str, Any], **condition: Any) -> None:
        if not self._holds(Item, condition):
            raise ConditionalCheckFailedException({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")
        self._write(Item)

    def update_item(
        self,
        *,
        TableName: str,
        Key: dict[str, Any],
        UpdateExpression: str,
        ExpressionAttributeNames: dict[str, str],
        ExpressionAttributeValues: dict[str, Any],
        ConditionExpression: str,
    ) -> None:
        assert ConditionExpression == "attribute_exists(pk)"
        assert _key(Key) in self.items
        sets = [part.split(" = ") for part in UpdateExpression.removeprefix("SET ").split(", ")]
        changes = {ExpressionAttributeNames[name]: ExpressionAttributeValues[value] for name, value in sets}
        self._write({**self.items[_key(Key)], **changes})

    def transact_write_items(self, *, TransactItems: list[dict[str, Any]]) -> None:
        puts = [item["Put"] for item in TransactItems]
        held = [self._holds(p["Item"], p) for p in puts]
        if not all(held):
            reasons = [{"Code": "None" if ok else "ConditionalCheckFailed"} for ok in held]
            answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise TransactionCanceledException(answer, "TransactWriteItems")
        for put in puts:
            self._write(put["Item"])

    def get_paginator(self, _: str) -> Pages:
        return Pages(self._query)

    def _query(self, *, ExpressionAttributeValues: dict[str, Any], IndexName: str = "", **_: Any) -> dict[str, Any]:
        values = {name: _value(v) for name, v in ExpressionAttributeValues.items()}
        if IndexName:
            found = [item for _, item in sorted(self.index.items()) if _value(item["active_feed"]) == values[":f"]]
        else:
            found = [i for k, i in sorted(self.items.items()) if k[0] == values[":p"] and k[1].startswith(values[":s"])]
        return {"Items": found}

    def _holds(self, item: dict[str, Any], write: dict[str, Any]) -> bool:
        present = self.items.get(_key(item))
        match write.get("ConditionExpression"):
            case None:
                return True
            case "attribute_not_exists(pk)":
                return present is None
            case "revision = :r":
                return present is not None and present["revision"] == write["ExpressionAttributeValues"][":r"]
            case other:
                raise NotImplementedError(other)

    def _write(self, item: dict[str, Any]) -> None:
        self.items[_key(item)] = item
        if not self.lagging:
            self.catch_up()


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return _value(item["pk"]), _value(item["sk"])
