"""What a feed says, as YAML may say it: only what is not so by itself."""

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from enum import Enum
from typing import Any

from pydantic import BaseModel

from adplatform.contracts.column import Column
from adplatform.contracts.durations import write_duration
from adplatform.contracts.feed import Feed

BY_PLATFORM = ("unless", "identifies")
"""Settings of a column that no declaration may have."""


def plain(value: Any) -> Any:
    """A setting in JSON's types, durations as they are written."""
    match value:
        case BaseModel():
            return plain(value.model_dump(exclude_unset=True))
        case Enum():
            return plain(value.value)
        case timedelta():
            return write_duration(value)
        case date():
            return value.isoformat()
        case Mapping():
            return {str(plain(key)): plain(each) for key, each in value.items()}
        case str():
            return str(value)
        case Collection():
            return [plain(each) for each in value]
        case _:
            return value


def feed_settings(feed: Feed) -> dict[str, Any]:
    """The settings of a feed beside its columns."""
    return {name: plain(getattr(feed, name)) for name in type(feed).model_fields if _is_said(feed, name)}


def _is_said(feed: Feed, name: str) -> bool:
    field = type(feed).model_fields[name]
    said = name in feed.model_fields_set or getattr(feed, name) != field.get_default(call_default_factory=True)
    return said and name != "columns"


def column_settings(column: Column, feed: Feed) -> dict[str, Any]:
    """The settings of a column, its type first, without those that the feed's ``defaults`` give it."""
    least = {"name": column.name, "type": column.type, "expression": column.expression}
    base = Column.model_validate(least).with_defaults(feed.defaults)
    said = [name for name in Column.model_fields if getattr(column, name) != getattr(base, name)]
    computed = {"expression": column.expression} if column.expression is not None else {}
    return {"type": column.type, **computed, **{name: plain(getattr(column, name)) for name in said}}


def with_columns(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with columns by name as the model of a feed takes them, also what a declaration may not say."""
    return {**settings, "columns": [{"name": name, **said} for name, said in settings["columns"].items()]}
