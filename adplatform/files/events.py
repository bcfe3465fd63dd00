"""Object-created events, as S3 sends them through EventBridge or straight to SQS (S3 User Guide, event messages)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

LONGEST_KEY = 1024
"""Bytes of a key in UTF-8 (S3 User Guide, object key names)."""


@dataclass(frozen=True)
class ObjectCreated:
    """An object that an event says was written. Only what identifies it; the object itself is asked for the rest."""

    bucket: str
    key: str
    version_id: str | None
    sequencer: str


def parse_events(body: str) -> Iterator[ObjectCreated]:
    """The objects of one SQS message; none for test events, deletions and messages that are no S3 events.

    Nothing that a message may hold is an error: a queue takes what it is sent, and one that raises would come back.
    """
    message = _json_object(body)
    if "TopicArn" in message:
        message = _json_object(message.get("Message"))
    if message.get("source") == "aws.s3" and message.get("detail-type") == "Object Created":
        # EventBridge sends the key as it is; only the direct notification below encodes it.
        yield from _created(message.get("detail"), "version-id", lambda key: key)
    records = message.get("Records")
    for record in records if isinstance(records, list) else ():
        if _text(record, "eventSource") == "aws:s3" and _text(record, "eventName").startswith("ObjectCreated:"):
            yield from _created(record.get("s3"), "versionId", unquote_plus)


def _created(detail: Any, version: str, decode: Callable[[str], str]) -> Iterator[ObjectCreated]:
    bucket, thing = (detail.get("bucket"), detail.get("object")) if isinstance(detail, dict) else (None, None)
    name, key = _text(bucket, "name"), _text(thing, "key")
    if name and key and len(decoded := decode(key).encode()) <= LONGEST_KEY:
        yield ObjectCreated(name, decoded.decode(), _text(thing, version) or None, _text(thing, "sequencer"))


def _text(members: Any, name: str) -> str:
    """A member that is a text; JSON can also spell halves of characters, which are none."""
    value = members.get(name) if isinstance(members, dict) else None
    return value if isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value else ""


def _json_object(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
