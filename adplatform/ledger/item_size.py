"""How large an item is for DynamoDB, which refuses one that is too large whenever it comes."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from adplatform.failures import PermanentFailure

MAX_ITEM = 400 * 1024
"""Bytes of an item with its attribute names, and of a sort key (DynamoDB Developer Guide, "Constraints")."""
MAX_SORT_KEY = 1024
_CONTAINER, _ELEMENT, _FLAG = 3, 1, 1


def item_size(item: Mapping[str, Any]) -> int:
    """Bytes of an item of resource-style values (DynamoDB Developer Guide, "DynamoDB item sizes and formats")."""
    return sum(_length(name) + _size(value) for name, value in item.items())


def require_fit(item: Mapping[str, Any]) -> None:
    """Refuse an item that DynamoDB would refuse, and say which attribute it is.

    Raises:
        PermanentFailure: it is too large, or its sort key is too long.
    """
    where = f"ledger row {str(item['pk'])[:200]} {str(item['sk'])[:200]}"
    if _length(str(item["sk"])) > MAX_SORT_KEY:
        raise PermanentFailure(f"{where}: its sort key has more than the {MAX_SORT_KEY:,} bytes that DynamoDB takes")
    size = item_size(item)
    if size > MAX_ITEM:
        name, largest = max(((n, _size(v)) for n, v in item.items()), key=lambda found: found[1])
        raise PermanentFailure(
            f"{where} has {size:,} bytes and DynamoDB takes {MAX_ITEM:,}; its attribute {name} alone has {largest:,}"
        )


def _size(value: Any) -> int:
    if isinstance(value, str):
        return _length(value)
    if value is None or isinstance(value, bool):
        return _FLAG
    if isinstance(value, int | Decimal):
        digits = Decimal(value).as_tuple().digits
        return (len(digits) + 1) // 2 + 2
    if isinstance(value, Mapping):
        return _CONTAINER + sum(_ELEMENT + _length(name) + _size(each) for name, each in value.items())
    return _CONTAINER + sum(_ELEMENT + _size(each) for each in value)


def _length(text: str) -> int:
    return len(text.encode())
