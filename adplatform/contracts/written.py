"""Settings as YAML that people go on editing: one line for a column, and no quotes where none are needed."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that some reader of YAML 1.1 takes for something else than text."""
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]")
Value = str | bool | int | float | date | None | Sequence[Any] | Mapping[str, Any]


def text(value: str) -> str:
    """A text, in quotes unless YAML reads it as the same text without."""
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    if _UNPRINTABLE.search(value):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + _UNPRINTABLE.sub(_escaped, escaped) + '"'
    if "'" in value and not set(value) & {'"', "\\"}:
        return f'"{value}"'
    return "'" + value.replace("'", "''") + "'"


def _escaped(found: "re.Match[str]") -> str:
    return r"\t" if found[0] == "\t" else f"\\U{ord(found[0]):08x}"


def flow(value: Value) -> str:
    """Any value on one line."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return text(value)
        case Mapping():
            return "{" + ", ".join(f"{text(str(key))}: {flow(each)}" for key, each in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(flow(each) for each in value) + "]"
        case _:
            return str(value)


def column(settings: Mapping[str, Any]) -> str:
    """What stands behind a column's name: a bare type where nothing else is said, which needs no quotes there."""
    return str(settings["type"]) if list(settings) == ["type"] else flow(settings) if settings else "string"
