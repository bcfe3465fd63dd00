"""Table mappings: which tables a task takes, and which columns it adds.

``%`` stands for any characters, ``_`` for one and ``[ab]`` for one of a set (DMS user guide, "Wildcards in table
mapping"). Of the headers of a change those are known that order changes or say where they come from.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

EXPRESSIONS = (
    "$AR_H_CHANGE_SEQ",
    "$AR_H_STREAM_POSITION",
    "$AR_H_TIMESTAMP",
    "$AR_H_COMMIT_TIMESTAMP",
    "$AR_H_OPERATION",
    "$AR_M_SOURCE_SCHEMA",
    "$AR_M_SOURCE_TABLE_NAME",
)
_OPERATIONS = {"I": "INSERT", "U": "UPDATE", "D": "DELETE"}
_WILD = re.compile(r"%|_|\[[^\]]+\]|.", re.DOTALL)


class Unmappable(Exception):
    """The mappings are no mappings, or have what the embedded AWS does not know."""


@dataclass(frozen=True)
class Header:
    """What is known of a row beside its values. ``at`` is the time that it is written with; ``sequence`` and
    ``position`` are empty in a load."""

    operation: str
    schema: str
    table: str
    at: str
    sequence: str = ""
    position: str = ""


@dataclass(frozen=True)
class Added:
    """A column that a rule adds. ``length`` is that of its type, 0 for any."""

    name: str
    expression: str
    length: int

    def value(self, header: Header) -> str:
        at = header.at if header.sequence else ""
        found = {
            "$AR_H_CHANGE_SEQ": header.sequence,
            "$AR_H_STREAM_POSITION": header.position,
            "$AR_H_TIMESTAMP": at,
            "$AR_H_COMMIT_TIMESTAMP": at,
            "$AR_H_OPERATION": _OPERATIONS[header.operation],
            "$AR_M_SOURCE_SCHEMA": header.schema,
            "$AR_M_SOURCE_TABLE_NAME": header.table,
        }[self.expression]
        return found[: self.length] if self.length else found


@dataclass(frozen=True)
class Mappings:
    rules: tuple[Mapping[str, Any], ...]

    def selects(self, schema: str, table: str) -> bool:
        actions = {rule["rule-action"] for rule in self._about("selection", schema, table)}
        return "explicit" in actions or ("include" in actions and "exclude" not in actions)

    def added(self, schema: str, table: str) -> tuple[Added, ...]:
        return tuple(
            Added(rule["value"], rule["expression"], int(rule.get("data-type", {}).get("length") or 0))
            for rule in self._about("transformation", schema, table)
        )

    def _about(self, kind: str, schema: str, table: str) -> Iterator[Mapping[str, Any]]:
        for rule in self.rules:
            named = rule.get("object-locator", {})
            wanted = named.get("schema-name", "%"), named.get("table-name", "%")
            if rule["rule-type"] != kind:
                continue
            exact = rule["rule-action"] == "explicit"
            if wanted == (schema, table) or (not exact and matches(wanted[0], schema) and matches(wanted[1], table)):
                yield rule


def read(text: str) -> Mappings:
    """
    Raises:
        Unmappable: they cannot be read, or ask for more than is known.
    """
    try:
        rules = json.loads(text)["rules"]
        for rule in rules:
            _check(rule)
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise Unmappable(f"the table mappings cannot be read: {type(e).__name__}: {e}") from e
    return Mappings(tuple(rules))


def _check(rule: Mapping[str, Any]) -> None:
    kind, action = rule["rule-type"], rule["rule-action"]
    if kind == "selection" and action in ("include", "exclude", "explicit"):
        if rule.get("filters"):
            raise Unmappable("the embedded AWS knows no filters of selections")
    elif (kind, action, rule.get("rule-target")) != ("transformation", "add-column", "column"):
        raise Unmappable(f"the embedded AWS knows no rule {kind} {action} of {rule.get('rule-target', 'tables')}")
    elif rule["expression"] not in EXPRESSIONS:
        raise Unmappable(f"the embedded AWS knows no expression {rule['expression']}, but {', '.join(EXPRESSIONS)}")


def matches(pattern: str, name: str) -> bool:
    return _compiled(pattern).fullmatch(name) is not None


@cache
def _compiled(pattern: str) -> "re.Pattern[str]":
    wild = {"%": ".*", "_": "."}
    parts = (wild.get(part) or (part if len(part) > 1 else re.escape(part)) for part in _WILD.findall(pattern))
    return re.compile("".join(parts), re.DOTALL)
