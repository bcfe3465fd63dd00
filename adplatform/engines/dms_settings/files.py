"""The settings of a task from JSON files: as they are pasted into AWS, or as AWS described them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adplatform.engines.dms_settings.documents import (
    BOTH,
    Checked,
    Operation,
    SourceEndpoint,
    source_endpoint,
    target_section,
    task_section,
)
from adplatform.engines.dms_settings.mappings import read_mappings
from adplatform.engines.dms_settings.sections import as_object
from adplatform.failures import PermanentFailure
from adplatform.platform.json_text import parsed

_TASKS = ("ReplicationTasks", "ReplicationTask", "ReplicationConfigs", "ReplicationConfig")


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        PermanentFailure: it cannot be read, or is no JSON; names the line and column.
    """
    try:
        return parsed(file.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as e:
        raise PermanentFailure(f"{file}:{e.lineno}:{e.colno}: no JSON: {e.msg}") from e
    except UnicodeDecodeError as e:
        raise PermanentFailure(f"{file}: is not text in UTF-8 (byte {e.start})") from e
    except OSError as e:
        raise PermanentFailure(f"{file}: {e.strerror}") from e


def of_files(endpoint: Path, settings: Path, mappings: Path, migration: str = BOTH) -> Checked:
    """The settings in three files. The first may also describe the source endpoint, the second may be a description
    of the task, whose kind of migration then counts.

    Raises:
        PermanentFailure: a file is no JSON, or the endpoint is not one of S3.
    """
    read = [(str(file), read_json(file)) for file in (endpoint, settings, mappings)]
    return of_documents(read[0], read[1], read[2], migration)


def of_documents(
    endpoint: tuple[str, Any], settings: tuple[str, Any], mappings: tuple[str, Any], migration: str = BOTH
) -> Checked:
    """The same of what the files hold, each with its name."""
    target, source = _endpoints(*endpoint)
    described = _described(settings[1])
    task = _member(described, "ReplicationTaskSettings", "ReplicationSettings")
    return Checked(
        target_section(endpoint[0], target),
        task_section(settings[0], settings[1] if task is None else task),
        read_mappings(mappings[0], _rules(mappings[1])),
        str(_member(described, "MigrationType", "ReplicationType") or migration),
        source,
        operation=Operation(position=str(_member(described, "CdcStartPosition") or "")),
    )


def _endpoints(document: str, found: Any) -> tuple[Any, SourceEndpoint | None]:
    """The target among the endpoints that a file describes, and the source."""
    content = as_object(found) or {}
    listed = _member(content, "Endpoints")
    described = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    one = _member(content, "Endpoint")
    if isinstance(one, dict):
        described.append(one)
    if not described:
        return found, None
    targets = [each for each in described if _type(each) != "source"]
    sources = [source_endpoint(document, each) for each in described if _type(each) == "source"]
    return targets[0] if targets else {}, sources[0] if sources else None


def _type(endpoint: Mapping[str, Any]) -> str:
    return str(_member(endpoint, "EndpointType") or "").lower()


def _described(found: Any) -> Mapping[str, Any]:
    """The description of a task, or of a configuration, that a document is or holds."""
    content = as_object(found) or {}
    held = next((value for name in _TASKS if (value := _member(content, name)) is not None), content)
    first = held[0] if isinstance(held, list) and held else held
    return first if isinstance(first, dict) else {}


def _rules(found: Any) -> Any:
    described = _described(found)
    return next(_members(described, "TableMappings"), found)


def _members(content: Mapping[str, Any], *names: str) -> Iterator[Any]:
    folded = [name.casefold() for name in names]
    yield from (value for name, value in content.items() if name.casefold() in folded and value is not None)


def _member(content: Mapping[str, Any], *names: str) -> Any:
    return next(_members(content, *names), None)
