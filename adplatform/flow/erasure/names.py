"""Names of objects in the ledger lose a person: a sender may write whose a file is into its name."""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

from adplatform.ledger.objects import RawObject
from adplatform.ledger.rows import from_item
from adplatform.ledger.table import Table, unwire, wire
from adplatform.privacy.person import Person

_KEYS = ("pk", "sk", "active_feed")


def erase_names(table: Table, source: str, person: Person, instead: str) -> Iterator[tuple[str, int]]:
    """Put ``instead`` in the place of the person in every text of the rows of a source; each row that was changed, by
    its keys, and in how many attributes. An object keeps its identity, by which everything else calls it."""
    pages = table.client.get_paginator("scan").paginate(
        TableName=table.name,
        ConsistentRead=True,
        FilterExpression="pk = :own OR begins_with(pk, :below)",
        ExpressionAttributeValues=wire({":own": f"feed#{source}", ":below": f"feed#{source}/"}),
    )
    for page in pages:
        for wired in page["Items"]:
            item = unwire(wired)
            changed = {
                name: left
                for name, value in item.items()
                if name not in _KEYS and (left := _without(name, value, person, instead)) != value
            }
            if changed:
                yield f"ledger {item['pk']} {_called(item['sk'])}", len(changed)
                _write(table, item, changed)


def _called(sort_key: str) -> str:
    return sort_key.split("#", 1)[0]


def _without(name: str, value: Any, person: Person, instead: str) -> Any:
    if name == "packed":
        listed = json.loads(zlib.decompress(b64decode(value)))
        left = _without("", listed, person, instead)
        return value if left == listed else b64encode(zlib.compress(json.dumps(left).encode())).decode()
    if isinstance(value, str):
        return person.without(value, instead) if person.is_in_name(value) else value
    if isinstance(value, list):
        return [_without("", each, person, instead) for each in value]
    if isinstance(value, dict):
        return {_without("", each, person, instead): _without("", v, person, instead) for each, v in value.items()}
    return value


def _write(table: Table, item: dict[str, Any], changed: dict[str, Any]) -> None:
    """Only where the attributes are still what they were; what was changed meanwhile is looked at by the next pass."""
    new = dict(changed)
    if item["sk"].startswith("object#") and "key" in changed:
        new["known_as"] = from_item(RawObject, item).identity
    names = {f"#{n}": name for n, name in enumerate(new)}
    condition = " AND ".join(f"#{n} = :old{n}" for n, name in enumerate(new) if name in changed)
    values = {f":new{n}": new[name] for n, name in enumerate(new)}
    values |= {f":old{n}": item[name] for n, name in enumerate(new) if name in changed}
    try:
        table.client.update_item(
            TableName=table.name,
            Key=wire({"pk": item["pk"], "sk": item["sk"]}),
            UpdateExpression="SET " + ", ".join(f"{number} = :new{number[1:]}" for number in names),
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=wire(values),
        )
    except table.client.exceptions.ConditionalCheckFailedException:
        return
