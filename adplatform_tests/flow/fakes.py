"""S3, SQS and DynamoDB in memory, as far as the arrival side of the platform uses them.

Their behaviour is checked against the embedded AWS by running the same machine on both (``test_settling_machine``).
"""

import io
import itertools
import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import md5
from itertools import takewhile
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
    """A versioned bucket. ``written`` is reported of every new object version; a listing comes in pages of ``page``."""

    def __init__(self, now: Callable[[], datetime], written: Callable[[str, str, str], None]) -> None:
        self.now, self.written, self.page = now, written, 1000
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

    def copy_object(
        self, *, CopySource: dict[str, str], Bucket: str, Key: str, CopySourceIfMatch: str = "", **_: Any
    ) -> dict[str, Any]:
        source = self._find(CopySource["Key"], CopySource.get("VersionId"))
        if CopySourceIfMatch not in ("", source.etag):
            raise client_error("PreconditionFailed", 412)
        self.put_object(Bucket=Bucket, Key=Key, Body=self.copied(source.body))
        return {"CopyObjectResult": {"ETag": self.keys[Key][-1].etag}}

    def copied(self, body: bytes) -> bytes:
        """What a copy of these bytes has."""
        return body

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        for each in Delete["Objects"]:
            self.delete_object(Bucket=Bucket, Key=each["Key"], VersionId=each["VersionId"])
        return {}

    def delete_object(self, *, Bucket: str, Key: str, VersionId: str) -> None:
        self.keys[Key] = [v for v in self.keys.get(Key, []) if v.version_id != VersionId]

    def get_paginator(self, operation: str) -> Pages:
        return Pages(self.list_object_versions if operation == "list_object_versions" else self._list)

    def _list(self, *, Bucket: str, Prefix: str, StartAfter: str = "") -> dict[str, Any]:
        found = (key for key in sorted(self.keys) if key.startswith(Prefix) and key > StartAfter and self.keys[key])
        return {"Contents": [{"Key": key} for key in found]}

    def list_object_versions(
        self, *, Bucket: str, Prefix: str, KeyMarker: str = "", VersionIdMarker: str = ""
    ) -> dict[str, Any]:
        found = [
            {**v.described, "Key": key, "Size": len(v.body), "IsLatest": v is self.keys[key][-1]}
            for key in sorted(self.keys)
            if key.startswith(Prefix) and (key > KeyMarker or (VersionIdMarker and key == KeyMarker))
            for v in reversed(self.keys[key])
        ]
        if VersionIdMarker:
            places = [n for n, v in enumerate(found) if (v["Key"], v["VersionId"]) == (KeyMarker, VersionIdMarker)]
            if not places:
                raise client_error("InvalidArgument", 400, "ListObjectVersions")
            found = found[places[0] + 1 :]
        page, more = found[: self.page], found[self.page :]
        last = {"NextKeyMarker": page[-1]["Key"], "NextVersionIdMarker": page[-1]["VersionId"]} if more else {}
        return {"IsTruncated": bool(more), **last, **({"Versions": page} if page else {})}

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

    class exceptions:
        class QueueDoesNotExist(Exception): ...

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:
        self.waiting.append(MessageBody)

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int = 1, **_: Any) -> dict[str, Any]:
        taken, self.waiting = self.waiting[:MaxNumberOfMessages], self.waiting[MaxNumberOfMessages:]
        messages = [{"Body": body, "ReceiptHandle": str(next(self._handles))} for body in taken]
        self.in_flight |= {m["ReceiptHandle"]: m["Body"] for m in messages}
        return {"Messages": messages} if messages else {}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:
        self.in_flight.pop(ReceiptHandle, None)

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> None:
        assert len({each["Id"] for each in Entries}) == len(Entries) <= 10
        for each in Entries:
            self.delete_message(QueueUrl=QueueUrl, ReceiptHandle=each["ReceiptHandle"])

    def time_out(self) -> None:
        """The visibility timeout of everything received has passed."""
        self.waiting += self.in_flight.values()
        self.in_flight.clear()


class TransactionCanceledException(ClientError):
    pass


class ConditionalCheckFailedException(ClientError):
    pass


class Items(dict[tuple[str, str], dict[str, Any]]):
    """Items by partition and sort key; those of a partition are found by the beginning of their sort keys."""

    def __init__(self) -> None:
        super().__init__()
        self._sorted: dict[str, list[str]] = {}

    def __setitem__(self, key: tuple[str, str], item: dict[str, Any]) -> None:
        if key not in self:
            insort(self._sorted.setdefault(key[0], []), key[1])
        super().__setitem__(key, item)

    def __delitem__(self, key: tuple[str, str]) -> None:
        super().__delitem__(key)
        self._sorted[key[0]].remove(key[1])

    def between(self, pk: str, first: str, last: str) -> list[dict[str, Any]]:
        keys = self._sorted.get(pk, [])
        return [self[pk, key] for key in keys[bisect_left(keys, first) : bisect_right(keys, last)]]

    def beginning(self, pk: str, prefix: str) -> list[dict[str, Any]]:
        keys = self._sorted.get(pk, [])
        found = takewhile(lambda key: key.startswith(prefix), keys[bisect_left(keys, prefix) :])
        return [self[pk, key] for key in found]


class FakeDynamo:
    """One table. The index lags behind until :meth:`catch_up`, as a global secondary index may."""

    class exceptions:
        TransactionCanceledException = TransactionCanceledException
        ConditionalCheckFailedException = ConditionalCheckFailedException

    def __init__(self) -> None:
        self.items = Items()
        self.index: dict[tuple[str, str], dict[str, Any]] = {}
        self.lagging = False
        self._behind = False

    def catch_up(self) -> None:
        self.index = {key: item for key, item in self.items.items() if "active_feed" in item}
        self._behind = False

    def _enter(self, key: tuple[str, str]) -> None:
        """Bring the index up to date after one item has changed."""
        self._behind = self._behind or self.lagging
        if self.lagging:
            return
        if self._behind:
            self.catch_up()
        self.index.pop(key, None)
        if "active_feed" in self.items.get(key, {}):
            self.index[key] = self.items[key]

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:
        [(table, wanted)] = RequestItems.items()
        keys = [_key(key) for key in wanted["Keys"]]
        assert len(set(keys)) == len(keys) <= 100
        return {"Responses": {table: [self.items[key] for key in keys if key in self.items]}, "UnprocessedKeys": {}}

    def get_item(self, *, TableName: str, Key: dict[str, Any], ConsistentRead: bool) -> dict[str, Any]:
        item = self.items.get(_key(Key))
        return {"Item": item} if item else {}

    def batch_write_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:
        [(_, requests)] = RequestItems.items()
        items = [request["PutRequest"]["Item"] for request in requests]
        assert len({_key(item) for item in items}) == len(items) <= 25
        for item in items:
            self._write(item)
        return {"UnprocessedItems": {}}

    def put_item(self, *, TableName: str, Item: dict[str, Any], **condition: Any) -> None:
        if not self._holds(Item, condition):
            raise ConditionalCheckFailedException({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")
        self._write(Item)

    def update_item(self, *, Key: dict[str, Any], **update: Any) -> dict[str, Any]:
        if not self._holds(Key, update):
            there = {"Item": self.items[_key(Key)]} if _key(Key) in self.items else {}
            answer: Any = {"Error": {"Code": "ConditionalCheckFailedException"}, **there}
            raise ConditionalCheckFailedException(answer, "UpdateItem")
        self._update({"Key": Key, **update})
        return {"Attributes": self.items[_key(Key)]}

    def delete_item(self, *, Key: dict[str, Any], **condition: Any) -> None:
        if not self._holds(Key, condition):
            raise ConditionalCheckFailedException({"Error": {"Code": "ConditionalCheckFailedException"}}, "DeleteItem")
        self._delete(Key)

    def transact_write_items(self, *, TransactItems: list[dict[str, Any]]) -> None:
        writes = [write for item in TransactItems for write in item.items()]
        places = [_key(write.get("Item") or write["Key"]) for _, write in writes]
        assert len(set(places)) == len(places), "DynamoDB refuses two writes of one item in one transaction"
        assert len(places) <= 100, "DynamoDB takes no more in one transaction"
        held = [self._holds(write.get("Item") or write["Key"], write) for _, write in writes]
        if not all(held):
            seen = [
                {"Item": self.items[place]}
                if place in self.items and "ReturnValuesOnConditionCheckFailure" in write
                else {}
                for (_, write), place in zip(writes, places, strict=True)
            ]
            reasons = [
                {"Code": "None"} if ok else {"Code": "ConditionalCheckFailed", **item}
                for ok, item in zip(held, seen, strict=True)
            ]
            answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise TransactionCanceledException(answer, "TransactWriteItems")
        for kind, write in writes:
            if kind == "Put":
                self._write(write["Item"])
            elif kind == "Update":
                self._update(write)
            elif kind == "Delete":
                self._delete(write["Key"])

    def _update(self, update: dict[str, Any]) -> None:
        item = dict(self.items.get(_key(update["Key"]), update["Key"]))
        values = update["ExpressionAttributeValues"]
        names = update.get("ExpressionAttributeNames", {})
        clauses = re.findall(r"(SET|ADD|REMOVE) (.*?)(?= (?:SET|ADD|REMOVE) |$)", update["UpdateExpression"])
        for kind, clause in clauses:
            for part in re.split(r", (?![^(]*\))", clause):
                name, _, value = part.partition(" = " if kind == "SET" else " ")
                name = names.get(name, name)
                if kind == "REMOVE":
                    item.pop(name, None)
                elif kind == "ADD":
                    item[name] = {"N": str(_value(item.get(name, {"N": "0"})) + _value(values[value]))}
                elif value.startswith("if_not_exists"):
                    item.setdefault(name, values[value[:-1].split(", ")[1]])
                else:
                    item[name] = values[value]
        self._write(item)

    def _delete(self, key: dict[str, Any]) -> None:
        if _key(key) in self.items:
            del self.items[_key(key)]
        self._enter(_key(key))

    def get_paginator(self, _: str) -> Pages:
        return Pages(self._query)

    def _query(
        self,
        *,
        ExpressionAttributeValues: dict[str, Any],
        IndexName: str = "",
        FilterExpression: str = "",
        Select: str = "",
        **_: Any,
    ) -> dict[str, Any]:
        values = {name: _value(v) for name, v in ExpressionAttributeValues.items()}
        if IndexName:
            found = [item for _, item in sorted(self.index.items()) if _value(item["active_feed"]) == values[":f"]]
        elif ":a" in values:
            found = self.items.between(values[":p"], values[":a"], values[":z"])
        else:
            found = self.items.beginning(values[":p"], values[":s"])
        if FilterExpression:
            found = [item for item in found if _CONDITIONS[FilterExpression](_Plain(item), values)]
        return {"Count": len(found), **({} if Select == "COUNT" else {"Items": found})}

    def _holds(self, item: dict[str, Any], write: dict[str, Any]) -> bool:
        condition = write.get("ConditionExpression")
        if condition is None:
            return True
        values = {name: _value(value) for name, value in write.get("ExpressionAttributeValues", {}).items()}
        present = self.items.get(_key(item))
        return _CONDITIONS[condition](None if present is None else _Plain(present), values)

    def _write(self, item: dict[str, Any]) -> None:
        self.items[_key(item)] = item
        self._enter(_key(item))


class _Plain:
    """The attributes of an item, None where it has none."""

    def __init__(self, item: dict[str, Any]) -> None:
        self._item = item

    def __getitem__(self, name: str) -> Any:
        return _value(self._item[name]) if name in self._item else None


_CONDITIONS: dict[str, Callable[[_Plain | None, dict[str, Any]], bool]] = {
    "attribute_not_exists(pk)": lambda row, _: row is None,
    "attribute_exists(pk)": lambda row, _: row is not None,
    "attribute_exists(pk) AND attribute_not_exists(archived_key)": (
        lambda row, _: row is not None and row["archived_key"] is None
    ),
    "revision = :r": lambda row, values: row is not None and row["revision"] == values[":r"],
    "attribute_not_exists(revision) OR revision = :r": (
        lambda row, values: row is None or row["revision"] in (None, values[":r"])
    ),
    "attribute_not_exists(pk) OR #state <> :published": (
        lambda row, values: row is None or row["state"] != values[":published"]
    ),
    "#version > :none AND #state <> :running": (
        lambda row, values: row is not None and int(row["version"]) > 0 and row["state"] != values[":running"]
    ),
    "#state = :running AND #run_id = :run": (
        lambda row, values: row is not None and (row["state"], row["run_id"]) == (values[":running"], values[":run"])
    ),
    "#state = :state": lambda row, values: row is not None and row["state"] == values[":state"],
    "attribute_not_exists(pk) OR #state = :state": lambda row, values: row is None or row["state"] == values[":state"],
    "attribute_not_exists(pk) OR #version <= :version": (
        lambda row, values: row is None or int(row["version"]) <= int(values[":version"])
    ),
    "attribute_exists(pk) AND (attribute_not_exists(#reason) OR #reason <> :reason)": (
        lambda row, values: row is not None and row["reason"] != values[":reason"]
    ),
    "attribute_not_exists(archived_key) OR #n > :n": (
        lambda row, values: row is not None and (row["archived_key"] is None or int(row["number"] or 0) > values[":n"])
    ),
    "objects = :n AND since = :s": (
        lambda row, values: row is not None and (row["objects"], row["since"]) == (values[":n"], values[":s"])
    ),
    "objects > :n AND since = :s": (
        lambda row, values: row is not None and row["since"] == values[":s"] and int(row["objects"]) > int(values[":n"])
    ),
}


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]
