"""What roles call, without the names of one run of tests: ``recorded.json``, and how noted lines become its entries."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adplatform.lake.zones import ENGINE_WORK

RECORDED = Path(__file__).parent / "recorded.json"
_OF_OBJECTS = frozenset({"IfMatch", "Tagging", "TaggingDirective", "VersionId"})
_OF_ANY = frozenset({"Tags", "tags"})
"""Parameters with which a call needs other rights than without."""
_ZONES = re.compile(r"(?:adplatform-)?(raw|clean)(?:-|$)")
_QUARANTINED = re.compile(r"(?:adplatform[-/])?hash-key")


@dataclass(frozen=True, order=True)
class Call:
    """``shape`` has of the resource what policies can tell apart: ``raw:landing/{source}/* +VersionId`` for example."""

    role: str
    service: str
    operation: str
    shape: str

    def __str__(self) -> str:
        return f"{self.role}: {self.service} {self.operation} {self.shape}".rstrip()


def read_lines(lines: Iterable[str]) -> set[Call]:
    """What was recorded, a JSON object a line; a last line that its process did not end is left out."""
    return {each for line in lines if line.endswith("}\n") for each in calls_of(json.loads(line))}


def calls_of(noted: Mapping[str, Any]) -> Iterator[Call]:
    """One for each resource of a call, as ``adplatform.platform.calls`` notes it."""
    telling = _OF_OBJECTS | _OF_ANY if noted["service"] == "s3" else _OF_ANY
    flags = [*sorted(telling & set(noted["given"])), *(f"passes {name}" for name in noted["roles"])]
    for place, of_its_own in _places(noted["service"], noted["resources"]):
        shape = " ".join([place, *of_its_own, *(f"+{flag}" for flag in flags)])
        yield Call(noted["role"], noted["service"], noted["operation"], shape)


def _places(service: str, named: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    if service == "s3":
        yield from _objects(named)
    elif "TransactItems" in named:
        yield from ((f"{each.partition(' ')[0]} ledger", []) for each in named["TransactItems"])
    elif service == "dynamodb":
        index = f"/index/{named['IndexName']}" if "IndexName" in named else ""
        yield f"ledger{index}", []
    elif service == "secretsmanager":
        secret = str(named.get("SecretId") or named.get("Name"))
        kinds = {
            "hash_key": _QUARANTINED,
            "user_of_server": re.compile("aws/transfer/"),
            "appflow": re.compile("appflow/"),
        }
        yield next((kind for kind, pattern in kinds.items() if pattern.match(secret)), "of_source"), []
    elif service == "sns":
        topic = named.get("TopicArn", "")
        kinds_of_topic = ("success", "marketing-stream")
        yield next((kind for kind in kinds_of_topic if kind in topic), "failure"), []
    elif service == "glue" and named.keys() & {"DatabaseName", "DatabaseInput"}:
        what = "table" if named.keys() & {"TableName", "TableInput", "Name"} else "database"
        database = str(named.get("DatabaseName") or named.get("DatabaseInput"))
        yield f"{what} of crawlers" if database.startswith("crawled_") else what, []
    else:
        yield ",".join(sorted(named)), []


def _objects(named: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    bucket = named.get("Bucket", "")
    if "Delete" in named:
        for each in named["Delete"]:
            key, _, version = each.partition(" of a version")
            yield _place(bucket, key), ["+VersionId"] if each != key or version else []
        return
    key = named.get("Key", named.get("Prefix"))
    source = named.get("CopySource")
    copied = []
    if source is not None:
        version = " +VersionId" if "VersionId" in source else ""
        copied = [f"from {_place(source['Bucket'], source['Key'])}{version}"]
    yield _place(bucket, key), copied


def _place(bucket: str, key: str | None) -> str:
    found = _ZONES.match(bucket)
    zone = found[1] if found else "store"
    if key is None:
        return zone
    parts = key.split("/")
    if zone == "store" or len(parts) == 1:
        return f"{zone}:*"
    if zone == "clean" and not parts[0].startswith("table-"):
        return "clean:{source}/*"
    if zone == "raw" and key.startswith(ENGINE_WORK):
        return f"{zone}:{ENGINE_WORK}{{source}}/*"
    if zone == "raw" and parts[0] == "exports":
        return "raw:exports/{destination}/{source}/*"
    return f"{zone}:{parts[0]}/*" if len(parts) == 2 else f"{zone}:{parts[0]}/{{source}}/*"


def read_recorded(file: Path = RECORDED) -> set[Call]:
    """The committed list."""
    known = json.loads(file.read_text(encoding="utf-8"))
    return {
        Call(role, service, operation, shape)
        for role, services in known.items()
        for service, operations in services.items()
        for operation, shapes in operations.items()
        for shape in shapes
    }


def write_recorded(calls: Iterable[Call], file: Path = RECORDED) -> None:
    """In an order of its own, a line for each operation and shape, so that a difference reads well."""
    tree: dict[str, dict[str, dict[str, list[str]]]] = {}
    for each in sorted(set(calls)):
        tree.setdefault(each.role, {}).setdefault(each.service, {}).setdefault(each.operation, []).append(each.shape)
    file.write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
