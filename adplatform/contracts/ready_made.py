"""Ready-made feeds of SaaS applications: data files, one a connector of AppFlow, each read when it is first needed."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from pydantic import Field, ValidationError

from adplatform.contracts.column import Column
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.strict import Strict
from adplatform.failures import wrapped
from adplatform.platform.packaged_yaml import packaged_yaml

_FOLDER = "ready_made_feeds"
_ENDING = ".yaml"
_DELETED = "IsDeleted"
_WHEN = ("every", "scheduled")


class ReadyMadeFeeds(Strict):
    """What one file says: ``feeds`` are settings as ``defs.yaml`` takes them, without a name and a start date."""

    title: str
    """What people call the application."""
    api_version: str | None = None
    """The version of the application's API whose names these are; only custom connectors are told it."""
    note: str = ""
    """What to know before the feeds are used."""
    feeds: dict[str, dict[str, Any]] = Field(min_length=1)
    """The settings of each feed."""


@cache
def connectors() -> tuple[str, ...]:
    """The connectors with ready-made feeds, spelled as AppFlow does."""
    files = (resources.files(__package__) / _FOLDER).iterdir()
    return tuple(sorted(file.name.removesuffix(_ENDING) for file in files if file.name.endswith(_ENDING)))


@cache
def ready_made_of(connector: str) -> ReadyMadeFeeds | None:
    """The ready-made feeds of a connector; None without any."""
    if connector not in connectors():
        return None
    return ReadyMadeFeeds.model_validate(
        packaged_yaml(resources.files(__package__) / _FOLDER / f"{connector}{_ENDING}")
    )


def extended(given: Mapping[str, Any], connector: str) -> dict[str, Any]:
    """The settings of a feed that ``extends`` a ready-made one of the connector: what is given goes before what is
    ready, column by column. Who gives ``scheduled`` or ``every`` takes the place of both.

    Raises:
        ValueError: there is none of that name, with those that there are; or a column to take or to remove is not
            there.
    """
    extends, remove = given["extends"], given.get("remove", [])
    ready = _feed(extends, connector)
    columns = _columns(ready, given.get("columns"), [remove] if isinstance(remove, str) else remove)
    if any(given.get(setting) is not None for setting in _WHEN):
        ready = {name: value for name, value in ready.items() if name not in _WHEN}
    own = {name: value for name, value in given.items() if name not in ("extends", "remove")}
    deleted = _DELETED in _fields(ready["columns"]) and _DELETED not in _fields(columns)
    if ready.get("include_deleted") and deleted:
        # Without the column that says so, what is deleted could not be told from what is not.
        ready = {**ready, "include_deleted": False}
    return {"name": extends, **ready, **own, "columns": columns}


def _fields(columns: Any) -> list[Any]:
    """The application's fields that are read into columns."""
    return [_settings(settings).get("field") for settings in columns.values()] if isinstance(columns, dict) else []


def _feed(name: Any, connector: str) -> Mapping[str, Any]:
    known = ready_made_of(connector)
    if known is None:
        raise ValueError(
            f"there are no ready-made feeds for the connector {connector}{did_you_mean(connector, connectors())}; "
            f"there are for {wrapped(connectors())}"
        )
    if not isinstance(name, str) or name not in known.feeds:
        raise ValueError(
            f"there is no ready-made feed {name!r} for {connector}{did_you_mean(str(name), known.feeds)}; there are "
            f"{wrapped(known.feeds)}"
        )
    return known.feeds[name]


def _columns(ready: Mapping[str, Any], given: Any, remove: Any) -> Any:
    if not isinstance(given, dict | list | None):
        return given
    columns: dict[str, Any] = ready["columns"]
    for names in (remove, given):
        if isinstance(names, list) and not all(isinstance(name, str) for name in names):
            raise ValueError("columns to take and columns to remove are named, each by a text")
    if not isinstance(remove, list):
        raise ValueError("remove is a list of columns")
    left, taken = set(remove), set(given) if isinstance(given, list) else set(columns)
    if unknown := sorted((taken | left) - set(columns)):
        raise ValueError(f"the ready-made feed has no column {', '.join(unknown)}; it has {wrapped(columns)}")
    kept = (taken | _needed(ready, taken)) - left
    result = {name: settings for name, settings in columns.items() if name in kept}
    if not isinstance(given, dict):
        return result
    changed = {name: _over(result.get(name), settings) for name, settings in given.items()}
    for name, settings in changed.items():
        _check(name, settings)
    return result | changed


def _check(name: Any, settings: Any) -> None:
    """Tells of a mistake by the column's name, which it has no more once it is one of many.

    Raises:
        ValueError: the settings are not those of a column.
    """
    try:
        Column.model_validate({"name": name, **_settings(settings)})
    except ValidationError as e:
        error = e.errors(include_url=False)[0]
        place = ".".join(("columns", str(name), *(str(part) for part in error["loc"])))
        raise ValueError(f"{place}: {error['msg'].removeprefix('Value error, ')}") from e


def _needed(ready: Mapping[str, Any], taken: set[str]) -> set[str]:
    """Columns without which those that are taken, and the table's key and partition, cannot be."""
    columns = {name: _settings(settings) for name, settings in ready["columns"].items()}
    named = [ready.get(setting) or () for setting in ("key", "latest_by", "partition_by", "incremental_by")]
    found = {name for names in named for name in ([names] if isinstance(names, str) else names) if name in columns}
    for name in sorted(taken | found):
        words = re.findall(r"\w+", columns[name].get("expression", ""))
        pii = columns[name].get("pii")
        country = pii.get("country_column") if isinstance(pii, dict) else None
        found |= {word for word in (*words, country) if word in columns}
    return found


def _settings(settings: Any) -> dict[str, Any]:
    return settings if isinstance(settings, dict) else {"type": settings} if settings else {}


def _over(ready: Any, given: Any) -> Any:
    """The settings of one column with those that are given laid over them."""
    return given if ready is None else {**_settings(ready), **_settings(given)}
