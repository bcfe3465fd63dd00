"""What moto works out anew for each request though it stays the same: the same answers in less time."""

import copy
import re
import string
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any

from moto.core import common_models, responses, serialize
from moto.core import request as requests
from moto.core.base_backend import BackendDict
from moto.core.utils import MISSING, get_value
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.utilities import bytesize
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser, Node, UpdateExpression
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.moto_api._internal.moto_random import MotoRandom
from moto.s3.responses import S3Response

_ITEM_BYTES = 405_000
"""``LimitedSizeDict`` refuses an item from this size on."""

_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)

_found_value = serialize.ResponseSerializer.get_value
_lexed = ConditionExpressionParser._lex_condition_expression
_parsed = UpdateExpressionParser.make
_any_cast = DynamoType.cast_value.fget
_any_size = DynamoType.size
_of_account = BackendDict.__getitem__
_any_time = serialize.parse_to_aware_datetime
_in_host = S3Response.subdomain_based_buckets


def install() -> None:
    # moto keeps every model instance it ever made, for a dashboard.
    common_models.BaseModel.__new__ = lambda cls, *_, **__: object.__new__(cls)
    # It inspects the class of its answers for each request, and spells names otherwise letter by letter.
    responses.method_names_from_class = cache(responses.method_names_from_class)
    responses.camelcase_to_underscores = lru_cache(1000)(responses.camelcase_to_underscores)
    requests.environ_key_for_header = lru_cache(1000)(requests.environ_key_for_header)
    MotoRandom.get_random_string = _random_string
    serialize.ResponseSerializer.get_value = _value
    serialize.parse_to_aware_datetime = _time
    S3Response.subdomain_based_buckets = staticmethod(lambda request: _names_bucket(request.headers.get("host", "")))
    ConditionExpressionParser._lex_condition_expression = _nodes
    UpdateExpressionParser.make = _update_of
    DynamoType.cast_value = property(_cast_value)
    DynamoType.size = _size
    Item.__init__ = _init_item
    Item.__deepcopy__ = _copied_item
    DepthFirstTraverser.traverse_node_recursively = _traversed
    BackendDict.__getitem__ = _account


class Headers(requests.EnvironHeaders):
    """Headers whose names are made once and not with each look at them."""

    def __iter__(self) -> Iterator[tuple[str, str]]:
        kept = self.environ.get(requests.PRESERVED_HEADER_NAMES_ENVIRON_KEY) or {}
        for key, value in self.environ.items():
            if (name := _header_name(key)) and (value or key.startswith("HTTP_")):
                yield kept.get(key, name), value


@lru_cache(maxsize=1000)
def _header_name(key: str) -> str:
    """Of a key of a WSGI environment; none if it is no header's."""
    if key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
        return ""
    if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return key.replace("_", "-").title()
    return key[5:].replace("_", "-").title() if key.startswith("HTTP_") else ""


@lru_cache(maxsize=1000)
def _names_bucket(host: str) -> bool:
    """Whether a host's name has that of a bucket in it."""
    return bool(_in_host(SimpleNamespace(headers={"host": host}, url="")))


def _time(value: Any) -> datetime:
    """moto reads the times that it has written by guessing their form."""
    if isinstance(value, str) and _UTC_TIME.fullmatch(value):
        return datetime.fromisoformat(value)
    read: datetime = _any_time(value)
    return read


def _random_string(self: MotoRandom, length: int = 20, include_digits: bool = True, lower_case: bool = False) -> str:
    """moto draws each character by itself."""
    drawn: str = self.randbytes(length).translate(_letters(include_digits)).decode()
    return drawn.lower() if lower_case else drawn


@cache
def _letters(with_digits: bool) -> bytes:
    pool = string.ascii_letters + (string.digits if with_digits else "")
    return bytes(ord(pool[byte % len(pool)]) for byte in range(256))


def _value(self: serialize.ResponseSerializer, value: Any, key: str, shape: Any) -> Any:
    """moto makes the names under which a member may be found for each value; they follow from its shape and the class
    that holds it, unless the holder has names of its own."""
    picker = self._value_picker
    if type(picker) is not serialize.XFormedAttributePicker or hasattr(value, "Meta"):
        return _found_value(self, value, key, shape)
    names: dict[tuple[str, type], tuple[str, ...]] = shape.__dict__.setdefault("_names", {})
    if (possible := names.get((key, type(value)))) is None:
        context = serialize.AttributePickerContext(value, key, shape)
        possible = names[key, type(value)] = tuple(dict.fromkeys(picker.get_possible_keys(context)))
    found = _first_of(value, possible)
    if picker.response_transformers:
        path = f"{'.'.join(self.path)}.{key}"
        for end, transform in picker.response_transformers.items():
            if path.endswith(end):
                return transform(found)
    return found


def _first_of(value: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        if (found := get_value(value, name, MISSING)) is not MISSING:
            return found
    return None


def _nodes(self: ConditionExpressionParser) -> deque[Any]:
    """An expression is written with placeholders, so that few are many."""
    return deque(_nodes_of(self.condition_expression))


@lru_cache(maxsize=1000)
def _nodes_of(expression: str) -> tuple[Any, ...]:
    return tuple(_lexed(ConditionExpressionParser(expression, None, None)))


@lru_cache(maxsize=1000)
def _update_of(expression: str) -> UpdateExpression:
    """moto parses it twice for each update; what changes the tree works on copies."""
    return _parsed(expression)


def _cast_value(self: DynamoType) -> Any:
    """Most values are texts, and moto asks last whether one is: at each comparison, and each look for a key."""
    return self.value if self.type == "S" else _any_cast(self)


def _size(self: DynamoType) -> int:
    """A query adds up the sizes of what it has found, twice."""
    if self.type != "S":
        return int(_any_size(self))
    return len(self.value) if self.value.isascii() else bytesize(self.value)


def _copied_item(self: Item, memo: dict[int, Any]) -> Item:
    """A query copies what it answers. moto has ``copy.deepcopy`` remember every attribute, though none is shared."""
    made: Item = object.__new__(type(self))
    made.hash_key, made.range_key = _copied(self.hash_key, memo), _copied(self.range_key, memo)
    made.attrs = LimitedSizeDict.__new__(LimitedSizeDict)
    dict.update(made.attrs, {name: _copied(value, memo) for name, value in self.attrs.items()})
    return made


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    if type(value) is not DynamoType or type(value.value) is not str:
        return copy.deepcopy(value, memo)
    twin = object.__new__(DynamoType)
    twin.type, twin.value = value.type, value.value
    return twin


def _init_item(
    self: Item, hash_key: DynamoType, range_key: DynamoType | None, attrs: dict[str, dict[str, Any]]
) -> None:
    """moto adds up the size of the whole item again with each attribute.

    Raises:
        ItemSizeTooLarge: it has more bytes than DynamoDB takes.
    """
    self.hash_key, self.range_key = hash_key, range_key
    held = {name: DynamoType(value) for name, value in attrs.items()}
    if sum(bytesize(name) + value.size() for name, value in held.items()) > _ITEM_BYTES:
        raise ItemSizeTooLarge
    self.attrs = LimitedSizeDict()
    dict.update(self.attrs, held)


def _traversed(self: DepthFirstTraverser, node: Any, child_id: int = -1) -> Any:
    """moto holds each node of an update expression against abstract classes, ten times and of each class anew."""
    of: type = type(node)
    if not _is_node(of):
        return node
    parent = node.parent
    for number, child in enumerate(node.children or ()):
        self.pre_processing_of_child(node, number)
        self.traverse_node_recursively(child, number)
    processors = self._processing_map()
    if (kind := _processed_as(of, tuple(processors))) is not None:
        node = processors[kind](node)
        node.parent = parent
        if parent:
            parent.children[child_id] = node
    return node


@cache
def _is_node(kind: type) -> bool:
    return issubclass(kind, Node)


@cache
def _processed_as(kind: type, processed: tuple[type, ...]) -> type | None:
    return next((each for each in processed if issubclass(kind, each)), None)


def _account(self: BackendDict[Any], account: str) -> Any:
    """moto looks under a lock whether there is one."""
    return dict.__getitem__(self, account) if dict.__contains__(self, account) else _of_account(self, account)
