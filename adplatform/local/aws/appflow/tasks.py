"""The tasks of a flow: which fields a run asks for, which records it keeps, and what becomes of them."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]
_MASKS = ("MASK_ALL", "MASK_FIRST_N", "MASK_LAST_N")
_COMPARISONS = {
    "LESS_THAN": "<",
    "LESS_THAN_OR_EQUAL_TO": "<=",
    "GREATER_THAN": ">",
    "GREATER_THAN_OR_EQUAL_TO": ">=",
    "NOT_EQUAL_TO": "!=",
}
_INSTANTS, _NUMBERS = ("datetime",), ("double", "int", "integer", "long", "currency", "percent", "number")


class Terminated(Exception):
    """A record is not valid, and the flow wants no run with such a record."""


@dataclass(frozen=True)
class Task:
    """One task with its operator."""

    type: str
    operator: str
    sources: tuple[str, ...]
    destination: str
    properties: Mapping[str, str]


def read(asked: Sequence[Mapping[str, Any]]) -> tuple[Task, ...]:
    """The tasks of a request."""
    return tuple(
        Task(
            task["taskType"],
            next(iter(task.get("connectorOperator", {}).values()), "NO_OP"),
            tuple(task["sourceFields"]),
            task.get("destinationField", ""),
            task.get("taskProperties", {}),
        )
        for task in asked
    )


def problems(tasks: Iterable[Task]) -> list[str]:
    """What AppFlow refuses about them.

    Raises:
        NotImplementedError: the embedded AWS does not know a task.
    """
    known = tuple(tasks)
    for task in known:
        if task.type in ("Arithmetic", "Partition"):
            raise NotImplementedError(f"tasks of the type {task.type}")
    found = []
    if not any(t.type == "Map_all" or (t.type == "Filter" and t.operator == "PROJECTION") for t in known):
        found.append("You must specify a projection task or a MapAll task")
    projected = {name for t in known if t.type == "Filter" and t.operator == "PROJECTION" for name in t.sources}
    mapped = {name for t in known if t.type not in ("Filter", "Map_all") for name in t.sources}
    if projected and mapped - projected:
        found.append(f"The following fields are not projected: {', '.join(sorted(mapped - projected))}")
    if not any(t.destination for t in known if t.type != "Filter") and not any(t.type == "Map_all" for t in known):
        found.append("You must map at least one field")
    return found


def needs_types(tasks: Iterable[Task]) -> bool:
    """Whether the fields of the object must be asked for to know what to select."""
    return any(task.type == "Map_all" for task in tasks)


def selected(tasks: Sequence[Task], types: Mapping[str, str]) -> list[str]:
    """The fields to ask for; ``types`` has those of the object where :func:`needs_types`."""
    names = [name for task in tasks if task.type not in ("Filter", "Map_all") for name in task.sources]
    for task in tasks:
        if task.type == "Map_all":
            names += [name for name in types if name not in _excluded(task)]
    return list(dict.fromkeys(names))


def _excluded(task: Task) -> list[str]:
    return list(json.loads(task.properties.get("EXCLUDE_SOURCE_FIELDS_LIST", "[]")))


def query(tasks: Sequence[Task], fields: Iterable[str], name: str, window: Iterable[str]) -> str:
    """The query of a run; ``window`` are further conditions."""
    conditions = [*window, *(c for t in tasks if t.type == "Filter" for c in _conditions(t))]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {', '.join(fields)} FROM {name}{where}"


def _conditions(task: Task) -> list[str]:
    properties, kind = task.properties, task.properties.get("DATA_TYPE", "string").lower()
    name = next(iter(task.sources), "")
    if task.operator in ("PROJECTION", "NO_OP"):
        return []
    if task.operator == "BETWEEN":
        lower, upper = (_literal(properties[bound], kind) for bound in ("LOWER_BOUND", "UPPER_BOUND"))
        return [f"{name} >= {lower}", f"{name} <= {upper}"]
    values = [_literal(v, kind) for v in properties.get("VALUES", properties.get("VALUE", "")).split(",")]
    if task.operator == "EQUAL_TO":
        return [f"{name} = {values[0]}" if len(values) == 1 else f"{name} IN ({', '.join(values)})"]
    if task.operator == "CONTAINS":
        part = properties.get("VALUE", "")
        return [f"{name} LIKE {_literal(f'%{part}%', 'string')}"]
    return [f"{name} {_COMPARISONS[task.operator]} {values[0]}"]


def _literal(value: str, kind: str) -> str:
    """A value of a task in SOQL; instants are given in epoch milliseconds or in ISO form."""
    if kind in _INSTANTS:
        milliseconds = re.fullmatch(r"\d{12,}", value)
        return instant(datetime.fromtimestamp(int(value) / 1000, UTC) if milliseconds else _iso(value))
    if kind == "date":
        return value[:10]
    if kind in _NUMBERS or kind == "boolean":
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _iso(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def instant(moment: datetime) -> str:
    """In SOQL, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def applied(tasks: Sequence[Task], record: Mapping[str, Any], names: Iterable[str]) -> Row | None:
    """What is written of a record, None if it is dropped; ``names`` are the fields that were asked for.

    Raises:
        Terminated: the record is not valid, and the task says to end the run.
    """
    row: Row = {}
    for task in tasks:
        if task.type == "Map_all":
            row |= {name: record[name] for name in names if name not in _excluded(task)}
        elif task.type == "Validate":
            if not all(_VALID[task.operator](record[name]) for name in task.sources):
                if task.properties.get("VALIDATION_ACTION") == "TerminateFlow":
                    raise Terminated(f"{task.operator} failed for {', '.join(task.sources)}")
                return None
        elif task.type != "Filter":
            row[task.destination or task.sources[0]] = _value(task, record, row)
    return row


def _value(task: Task, record: Mapping[str, Any], row: Row) -> Any:
    changes = task.type in ("Mask", "Truncate") and task.destination in row
    value = row[task.destination] if changes else record[task.sources[0]]
    if task.type == "Merge":
        pattern = task.properties.get("CONCAT_FORMAT", " ".join(f"${{{name}}}" for name in task.sources))
        return re.sub(r"\$\{(\w+)\}", lambda match: str(record.get(match[1]) or ""), pattern)
    if value is None:
        return None
    if task.type == "Truncate":
        return str(value)[: int(task.properties["TRUNCATE_LENGTH"])]
    if task.type == "Mask" and task.operator in _MASKS:
        return _masked(str(value), task)
    return value


def _masked(text: str, task: Task) -> str:
    mask, length = task.properties.get("MASK_VALUE", "*"), int(task.properties.get("MASK_LENGTH", "0"))
    if task.operator == "MASK_ALL":
        return mask * len(text)
    length = min(length, len(text))
    kept = len(text) - length
    return mask * length + text[length:] if task.operator == "MASK_FIRST_N" else text[:kept] + mask * length


_VALID: Mapping[str, Callable[[Any], bool]] = {
    "VALIDATE_NON_NULL": lambda value: value not in (None, ""),
    "VALIDATE_NON_ZERO": lambda value: value not in (0, "0", None),
    "VALIDATE_NON_NEGATIVE": lambda value: value is None or float(value) >= 0,
    "VALIDATE_NUMERIC": lambda value: value is not None and re.fullmatch(r"-?\d+(\.\d+)?", str(value)) is not None,
}
