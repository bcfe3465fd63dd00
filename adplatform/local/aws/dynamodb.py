"""DynamoDB tables whose queries and transactions cost what they touch, not what the table holds, transactions that may
be sent twice, and answers that are written as they are."""

import base64
import copy
import hashlib
import json
import time
from typing import Any

from moto.core.responses import ActionResult, get_service_model
from moto.dynamodb import models, urls
from moto.dynamodb.comparisons import get_comparison_func
from moto.dynamodb.exceptions import ERROR_TYPE_PREFIX, DynamodbException
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.responses import DynamoHandler

_TOKEN_SECONDS = 600
"""For how long a ClientRequestToken is remembered (DynamoDB API reference, TransactWriteItems)."""

_OF_ITEMS = frozenset({"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem"})
_OF_ITEMS |= {"BatchWriteItem", "TransactGetItems", "TransactWriteItems"}

_moto_transaction = models.DynamoDBBackend.transact_write_items


class LocalTable(models.Table):
    """moto sorts all items of a table for each query, and copies all of them for each transaction."""

    in_transaction = False

    def query(
        self, hash_key: DynamoType | None, comparison: str | None, bounds: list[DynamoType], *args: Any, **kwargs: Any
    ) -> Any:
        """moto's query, on a table that holds nothing but what can be found; the fifth of ``args`` is the index."""
        narrow = self
        if self.range_key_attr is not None and hash_key is not None:
            narrow = copy.copy(self)
            narrow.items = (
                {hash_key: self._between(hash_key, comparison, bounds)} if args[4] is None else self._of(args[4])
            )
        return super(LocalTable, narrow).query(hash_key, comparison, bounds, *args, **kwargs)

    def _between(
        self, hash_key: DynamoType, comparison: str | None, bounds: list[DynamoType]
    ) -> dict[DynamoType, Item]:
        items: dict[DynamoType, Item] = self.items.get(hash_key, {})
        if comparison is None:
            return items
        holds, values = get_comparison_func(comparison), [bound.cast_value for bound in bounds]
        return {key: item for key, item in items.items() if holds(key.cast_value, *values)}

    def _of(self, index: str) -> dict[DynamoType, dict[DynamoType, Item]]:
        names = [key["AttributeName"] for key in self.get_index(index, error_if_not=True).schema]
        return {
            hash_key: {key: item for key, item in items.items() if all(name in item.attrs for name in names)}
            for hash_key, items in self.items.items()
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> "LocalTable":
        """In a transaction the table itself: what is cancelled is undone item by item."""
        if self.in_transaction:
            return self
        twin: LocalTable = object.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def put_back(self, key: tuple[DynamoType, DynamoType], item: Item | None) -> None:
        if item is None:
            self.items[key[0]].pop(key[1], None)
        else:
            self.items[key[0]][key[1]] = item


def _transact_write_items(self: models.DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    before = [_touched(self, operation) for item in transact_items for operation in item.values()]
    kept = [(table, key, copy.deepcopy(table.get_item(*key))) for table, key in filter(None, before)]
    for table, _, _ in kept:
        table.in_transaction = True
    try:
        _moto_transaction(self, transact_items)
    except Exception:
        for table, key, item in kept:
            table.put_back(key, item)
        raise
    finally:
        for table, _, _ in kept:
            table.in_transaction = False


def _touched(
    backend: models.DynamoDBBackend, operation: dict[str, Any]
) -> tuple[LocalTable, tuple[DynamoType, DynamoType]] | None:
    """The table and key that one operation of a transaction names; None leaves them to moto."""
    table, key = backend.tables.get(operation.get("TableName")), operation.get("Item") or operation.get("Key") or {}
    if not isinstance(table, LocalTable) or not {table.hash_key_attr, table.range_key_attr} <= key.keys():
        return None
    return table, (DynamoType(key[table.hash_key_attr]), DynamoType(key[table.range_key_attr]))


class IdempotentParameterMismatchException(DynamodbException):
    def __init__(self) -> None:
        super().__init__(
            ERROR_TYPE_PREFIX + "IdempotentParameterMismatchException",
            "The request uses the same client token as a previous, but non-identical request.",
        )


class LocalDynamoHandler(DynamoHandler):
    def serialized(self, action_result: ActionResult) -> Any:
        """moto looks for each attribute of each item under several names, by the model of the service, which takes a
        third of the time of a request; but items are held as they are sent, except for bytes."""
        result, operation = action_result.result, self._get_action()
        if operation not in _OF_ITEMS or not isinstance(result, dict):
            return super().serialized(action_result)
        members = get_service_model("dynamodb").operation_model(operation).output_shape.members
        sent = {name: value for name, value in result.items() if value is not None and name in members}
        headers = {"Content-Type": "application/x-amz-json-1.0", **self.response_headers}
        return 200, headers, json.dumps(sent, default=_in_base64)

    def transact_write_items(self) -> Any:
        """moto does not know the token: a client whose answer was lost would find its own write in the way."""
        token, now = self.body.get("ClientRequestToken"), time.time()
        if token is None:
            return super().transact_write_items()
        seen: dict[str, tuple[str, float]] = self.dynamodb_backend.__dict__.setdefault("transaction_tokens", {})
        for old in [each for each, (_, at) in seen.items() if now - at > _TOKEN_SECONDS]:
            del seen[old]
        content = hashlib.sha256(json.dumps(self.body["TransactItems"], sort_keys=True).encode()).hexdigest()
        if token in seen:
            if seen[token][0] != content:
                raise IdempotentParameterMismatchException
            return ActionResult({"ConsumedCapacity": [], "ItemCollectionMetrics": {}})
        answer = super().transact_write_items()
        seen[token] = (content, now)
        return answer


def _in_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def install() -> None:
    urls.url_paths["{0}/"] = LocalDynamoHandler.dispatch
    models.Table = LocalTable
    models.DynamoDBBackend.transact_write_items = _transact_write_items
