"""Access to the ledger's one DynamoDB table, which all its subjects share. It knows rows and keys, and no subject.

All state changes are conditional writes, so that two processes, a retry or a crash can neither lose a wake-up nor start
the same work twice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from adplatform.failures import TransientFailure
from adplatform.ledger.rows import Item, R, Row, from_item, to_item
from adplatform.platform.batches import answered
from adplatform.platform.late import Late

Write = dict[str, Any]
"""One write of a transaction, as ``transact_write_items`` takes it."""

ACTIVE_INDEX = "active"
MOST_READ = 100
"""Keys of one call (DynamoDB API reference, BatchGetItem)."""
MOST_WRITTEN = 25
"""Items of one call (DynamoDB API reference, BatchWriteItem)."""
MOST_ACTIONS = 100
"""Actions of one transaction (DynamoDB API reference, TransactWriteItems)."""
_SAFE_NUMBER = 10**38
"""Below, DynamoDB keeps every digit of a whole number."""
_NOT_HELD = frozenset({"None", "ConditionalCheckFailed", "TransactionConflict"})
NEW = "attribute_not_exists(pk)"
"""The condition that nobody has written the row."""
types: Any = Late("boto3.dynamodb.types")


def last_of_each(writes: Iterable[Write]) -> list[Write]:
    """Of writes of one item the last: a transaction has one of each (DynamoDB API reference, TransactWriteItems)."""
    found = {}
    for each in writes:
        [write] = each.values()
        item = write.get("Key") or write["Item"]
        found[item["pk"]["S"], item["sk"]["S"]] = each
    return list(found.values())


def table_definition(table: str) -> dict[str, Any]:
    """The arguments of ``create_table`` for the ledger."""
    key = [("pk", "HASH"), ("sk", "RANGE")]
    index = [("active_feed", "HASH"), ("sk", "RANGE")]
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk", "active_feed")],
        "KeySchema": [{"AttributeName": n, "KeyType": t} for n, t in key],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": ACTIVE_INDEX,
                "KeySchema": [{"AttributeName": n, "KeyType": t} for n, t in index],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    }


@dataclass(frozen=True)
class Table:
    """The table ``name``. ``client`` is a boto3 DynamoDB client; ``sleep`` takes seconds."""

    client: Any
    name: str
    now: Callable[[], datetime]
    sleep: Callable[[float], None]

    def get(self, kind: type[R], feed: str, sort_key: str) -> R | None:
        found = self.client.get_item(TableName=self.name, Key=key(feed, sort_key), ConsistentRead=True)
        return from_item(kind, unwire(found["Item"])) if "Item" in found else None

    def get_many(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Item]:
        """The items that are there, by feed and sort key."""
        found: dict[tuple[str, str], Item] = {}
        for items in answered(f"table {self.name}", dict.fromkeys(keys), MOST_READ, self._read, self.sleep):
            for item in items:
                found[item["pk"].removeprefix("feed#"), item["sk"]] = item
        return found

    def query(self, kind: type[R], feed: str, prefix: str) -> Iterator[R]:
        """The rows of a feed whose sort keys begin with ``prefix``, in their order."""
        for item in self.items(feed, prefix):
            yield from_item(kind, item)

    def items(
        self,
        feed: str,
        prefix: str,
        only: str = "",
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Iterator[Item]:
        """The items of a feed whose sort keys begin with ``prefix``, ``only`` those that meet an expression, which
        DynamoDB reads all the same and does not send."""
        return self._pages(
            KeyConditionExpression="pk = :p AND begins_with(sk, :s)",
            ExpressionAttributeValues=wire({":p": f"feed#{feed}", ":s": prefix, **(values or {})}),
            ConsistentRead=True,
            **({"FilterExpression": only} if only else {}),
            **({"ExpressionAttributeNames": names} if names else {}),
        )

    def range(
        self, kind: type[R], feed: str, first: str, last: str, *, forward: bool = True, most: int | None = None
    ) -> Iterator[R]:
        """The rows of a feed whose sort keys are between two, both included; with ``most`` no more are read."""
        for item in self.items_between(feed, first, last, forward=forward, most=most):
            yield from_item(kind, item)

    def items_between(
        self, feed: str, first: str, last: str, *, forward: bool = True, most: int | None = None
    ) -> Iterator[Item]:
        """The items of these rows, of whichever kind."""
        limit = {"PaginationConfig": {"MaxItems": most, "PageSize": most}} if most else {}
        return self._pages(
            **limit,
            KeyConditionExpression="pk = :p AND sk BETWEEN :a AND :z",
            ExpressionAttributeValues=wire({":p": f"feed#{feed}", ":a": first, ":z": last}),
            ScanIndexForward=forward,
            ConsistentRead=True,
        )

    def count(self, feed: str, first: str, last: str) -> int:
        """How many rows of a feed have sort keys between two, both included. None of them is read."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="pk = :p AND sk BETWEEN :a AND :z",
            ExpressionAttributeValues=wire({":p": f"feed#{feed}", ":a": first, ":z": last}),
            Select="COUNT",
            ConsistentRead=True,
        )
        return sum(page["Count"] for page in pages)

    def active(self, name: str) -> Iterator[Item]:
        """What the index ``active`` lists under a name. It is eventually consistent."""
        return self._pages(
            IndexName=ACTIVE_INDEX,
            KeyConditionExpression="active_feed = :f",
            ExpressionAttributeValues={":f": {"S": name}},
        )

    def put(self, feed: str, rows: Iterable[Row]) -> None:
        """Write rows as they are; of two with one key the latter stays. Several are not written as one.

        Raises:
            TransientFailure: DynamoDB took none of them too often in a row.
        """
        items = [wire(to_item(feed, row)) for row in rows]
        if len(items) == 1:
            self.client.put_item(TableName=self.name, Item=items[0])
            return
        by_key = {(item["pk"]["S"], item["sk"]["S"]): item for item in items}
        for _ in answered(f"table {self.name}", by_key.values(), MOST_WRITTEN, self._write, self.sleep):
            pass

    def _write(self, items: list[dict[str, Any]]) -> tuple[None, list[dict[str, Any]]]:
        requests = [{"PutRequest": {"Item": item}} for item in items]
        answer = self.client.batch_write_item(RequestItems={self.name: requests})
        return None, [each["PutRequest"]["Item"] for each in answer.get("UnprocessedItems", {}).get(self.name, ())]

    def put_if(self, feed: str, row: Row, condition: str, values: Mapping[str, Any], names: Iterable[str] = ()) -> bool:
        """Write a row that may be written twice; False when the condition does not hold. The condition calls an
        attribute ``#name`` where ``name`` is among ``names``."""
        try:
            self.client.put_item(
                TableName=self.name, Item=wire(to_item(feed, row)), **_condition(condition, values, names)
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def update_if(self, feed: str, sort_key: str, update: str, condition: str, values: Mapping[str, Any]) -> bool:
        """Change attributes of one item; False when the condition does not hold."""
        try:
            self.client.update_item(
                TableName=self.name,
                Key=key(feed, sort_key),
                UpdateExpression=update,
                **_condition(condition, values, ()),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def change_if(
        self,
        kind: type[R],
        feed: str,
        sort_key: str,
        update: str,
        condition: str,
        values: Mapping[str, Any],
        names: Iterable[str] = (),
    ) -> tuple[bool, R | None]:
        """As :meth:`update_if`, and the row as it was written, or as it is where the condition does not hold; None
        where there is none."""
        try:
            answer = self.client.update_item(
                TableName=self.name,
                Key=key(feed, sort_key),
                UpdateExpression=update,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **_condition(condition, values, names),
            )
        except self.client.exceptions.ConditionalCheckFailedException as e:
            found = e.response.get("Item")
            return False, from_item(kind, unwire(found)) if found else None
        return True, from_item(kind, unwire(answer["Attributes"]))

    def delete(self, feed: str, sort_key: str) -> None:
        self.client.delete_item(TableName=self.name, Key=key(feed, sort_key))

    def delete_if(self, feed: str, sort_key: str, condition: str, values: Mapping[str, Any]) -> bool:
        """Delete one item; False when the condition does not hold. A lost answer does not make it false."""
        return self.transact([self.delete_write(feed, sort_key, condition, values)])

    def put_write(
        self,
        feed: str,
        row: Row,
        condition: str = "",
        values: Mapping[str, Any] | None = None,
        names: Iterable[str] = (),
    ) -> Write:
        """A put for :meth:`transact`."""
        write = {"TableName": self.name, "Item": wire(to_item(feed, row))}
        return {"Put": {**write, **_condition(condition, values, names)}}

    def update_write(
        self,
        feed: str,
        sort_key: str,
        update: str,
        values: Mapping[str, Any],
        condition: str = "",
        names: Iterable[str] = (),
    ) -> Write:
        """An update for :meth:`transact`."""
        write = {"TableName": self.name, "Key": key(feed, sort_key), "UpdateExpression": update}
        return {"Update": {**write, **_condition(condition, values, names)}}

    def delete_write(
        self,
        feed: str,
        sort_key: str,
        condition: str = "",
        values: Mapping[str, Any] | None = None,
        names: Iterable[str] = (),
    ) -> Write:
        """A deletion for :meth:`transact`."""
        write = {"TableName": self.name, "Key": key(feed, sort_key)}
        return {"Delete": {**write, **_condition(condition, values, names)}}

    def check_write(
        self,
        feed: str,
        sort_key: str,
        condition: str,
        values: Mapping[str, Any] | None = None,
        names: Iterable[str] = (),
    ) -> Write:
        """For :meth:`transact`: that a row meets a condition, which is not written."""
        check = {"TableName": self.name, "Key": key(feed, sort_key)}
        return {"ConditionCheck": {**check, **_condition(condition, values, names)}}

    def transact(self, writes: list[Write]) -> bool:
        """Whether all conditions held. Anything but a failed condition or a conflict is an error.

        A transaction is sent again as the same one when its answer is lost. A single write that cannot be repeated goes
        this way too: sent again, it would meet itself and be taken for somebody else's.

        Raises:
            TransientFailure: DynamoDB refused for another reason, throttling for example.
        """
        try:
            self.client.transact_write_items(TransactItems=writes)
        except self.client.exceptions.TransactionCanceledException as e:
            codes = {r.get("Code") for r in e.response.get("CancellationReasons", [])}
            if codes <= _NOT_HELD:
                return False
            raise TransientFailure(f"the ledger refused a write: {sorted(map(str, codes))}") from e
        return True

    def transact_new(self, writes: Sequence[Write]) -> dict[tuple[str, str], Item] | None:
        """The same of writes of which each is of a row that is new, as far as one can tell without looking, or says
        that there is none: the rows that are there all the same, by feed and sort key, and nothing is written then;
        None when nobody can say which.

        Raises:
            TransientFailure: as :meth:`transact`.
        """
        asked = [
            {kind: {**write, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}
            for each in writes
            for kind, write in each.items()
        ]
        try:
            self.client.transact_write_items(TransactItems=asked)
        except self.client.exceptions.TransactionCanceledException as e:
            reasons = e.response.get("CancellationReasons", [])
            codes = {r.get("Code") for r in reasons}
            if not codes <= _NOT_HELD:
                raise TransientFailure(f"the ledger refused a write: {sorted(map(str, codes))}") from e
            found = [unwire(r["Item"]) for r in reasons if r.get("Item")]
            failed = [r for r in reasons if r.get("Code") != "None"]
            if len(found) < len(failed):
                return None
            return {(item["pk"].removeprefix("feed#"), item["sk"]): item for item in found}
        return {}

    def _read(self, keys: list[tuple[str, str]]) -> tuple[list[Item], list[tuple[str, str]]]:
        """The items of these keys, and the keys that were left unread."""
        wanted = {"Keys": [key(*each) for each in keys], "ConsistentRead": True}
        answer = self.client.batch_get_item(RequestItems={self.name: wanted})
        unread = map(unwire, answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", []))
        left = [(each["pk"].removeprefix("feed#"), each["sk"]) for each in unread]
        return list(map(unwire, answer["Responses"].get(self.name, []))), left

    def _pages(self, **query: Any) -> Iterator[Item]:
        for page in self.client.get_paginator("query").paginate(TableName=self.name, **query):
            yield from (unwire(item) for item in page["Items"])


def key(feed: str, sort_key: str) -> dict[str, Any]:
    return wire({"pk": f"feed#{feed}", "sk": sort_key})


def wire(item: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as the DynamoDB client takes them."""
    return {name: _wired(value) for name, value in item.items()}


def _wired(value: Any) -> dict[str, Any]:
    # As most are: boto3 takes ten times as long to find out what a text or a number is.
    if isinstance(value, str):
        return {"S": value}
    if type(value) is int and abs(value) < _SAFE_NUMBER:
        return {"N": str(value)}
    return _serializer()(value)  # type: ignore[no-any-return]  # boto3 has no types


def unwire(item: Mapping[str, Any]) -> Item:
    """Attributes as the DynamoDB client gives them, as plain values."""
    return {name: _unwired(value) for name, value in item.items()}


def _unwired(value: Mapping[str, Any]) -> Any:
    if (text := value.get("S")) is not None:
        return text
    if (number := value.get("N")) is not None:
        return Decimal(number)
    return _deserializer()(value)


@cache
def _serializer() -> Callable[[Any], Any]:
    return types.TypeSerializer().serialize  # type: ignore[no-any-return]  # boto3 has no types


@cache
def _deserializer() -> Callable[[Any], Any]:
    return types.TypeDeserializer().deserialize  # type: ignore[no-any-return]  # boto3 has no types


def _condition(condition: str, values: Mapping[str, Any] | None, names: Iterable[str]) -> dict[str, Any]:
    called = {f"#{name}": name for name in names}
    return {
        **({"ConditionExpression": condition} if condition else {}),
        **({"ExpressionAttributeValues": wire(values)} if values else {}),
        **({"ExpressionAttributeNames": called} if called else {}),
    }
