"""What table mappings must say: a sequence for each table, whole rows, keys by their names."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any

from adplatform.engines.dms_settings.documents import Checked
from adplatform.engines.dms_settings.mappings import (
    SEQUENCE,
    SEQUENCE_LENGTH,
    MappingRule,
    covers,
    filters,
    is_about,
    matches,
    text_of,
)
from adplatform.engines.dms_settings.rule import Rule, Severity, Spot
from adplatform.engines.dms_settings.sections import as_number, as_text

ERROR, WARNING = Severity.ERROR, Severity.WARNING
SEQUENCE_COLUMN, SEQUENCE_ROOM = "ar_h_change_seq", 50
_RENAMING = {
    *("rename", "remove-column", "convert-lowercase", "convert-uppercase", "add-prefix", "add-suffix"),
    *("remove-prefix", "remove-suffix", "replace-prefix", "replace-suffix"),
}
_WHOLE = {"", "none", "partitions-auto", "subpartitions-auto"}
"""Kinds of parallel load that DMS itself divides."""


def sequence_rule(number: str, schema: str, table: str) -> dict[str, Any]:
    """The rule that adds the sequence of changes to a table."""
    return {
        "rule-type": "transformation",
        "rule-id": number,
        "rule-name": number,
        "rule-target": "column",
        "object-locator": {"schema-name": schema, "table-name": table},
        "rule-action": "add-column",
        "value": SEQUENCE_COLUMN,
        "expression": SEQUENCE,
        "data-type": {"type": "string", "length": SEQUENCE_ROOM},
    }


def _unordered(checked: Checked) -> Iterator[Spot]:
    mappings = checked.mappings
    for selected in mappings.selections if checked.changes else ():
        if not any(covers(r.schema, selected.schema) and covers(r.table, selected.table) for r in mappings.sequences):
            rule = sequence_rule(mappings.free_id(), selected.schema, selected.table)
            yield Spot(selected.where, {"table": selected.name}, {"rules": [rule]})


def _too_short(checked: Checked) -> Iterator[Spot]:
    for rule in checked.mappings.sequences:
        found = rule.content.get("data-type")
        data_type: Mapping[str, Any] = found if isinstance(found, dict) else {}
        kind, length = text_of(data_type, "type").strip().lower(), as_number(data_type.get("length"))
        if kind not in ("string", "wstring") or length is None or length < SEQUENCE_LENGTH:
            said = f"{kind or 'of no type'}{'' if length is None else f' of {length}'}"
            paste = {"data-type": {"type": "string", "length": SEQUENCE_ROOM}}
            yield Spot(f"{rule.where}.data-type", {"said": said, "column": text_of(rule.content, "value")}, paste)


def _filtered(checked: Checked) -> Iterator[Spot]:
    for rule in checked.mappings.selections if checked.changes else ():
        for where, column in filters(rule):
            if not _is_key(checked, rule, column):
                yield Spot(where, {"column": column or "a column", "table": rule.name})


def _is_key(checked: Checked, rule: MappingRule, column: str) -> bool:
    """Whether the column is known to belong to the key of every table that the rule selects."""
    known = [t for t in (checked.source.tables if checked.source else ()) if is_about(rule, t.schema, t.name)]
    return bool(known) and all(column in table.key for table in known)


def _renamed(checked: Checked) -> Iterator[Spot]:
    for rule in checked.mappings.transformations:
        if rule.target == "column" and rule.action in _RENAMING:
            column = rule.column or "%"
            keys = _keys(checked, rule, column)
            if keys is None or keys:
                said = " and ".join(keys) if keys else f"{rule.name}.{column}, which may be of the key,"
                yield Spot(rule.where, {"columns": said, "action": rule.action})


def _keys(checked: Checked, rule: MappingRule, column: str) -> Sequence[str] | None:
    """The columns of keys that the rule is about; None if the source is not known."""
    if checked.source is None:
        return None
    tables = [table for table in checked.source.tables if is_about(rule, table.schema, table.name)]
    return [f"{table.shown}.{name}" for table in tables for name in table.key if matches(column, name)]


def _unproven(checked: Checked) -> Iterator[Spot]:
    for rule in checked.mappings.rules if checked.loads else ():
        found = rule.content.get("parallel-load")
        load: Mapping[str, Any] = found if isinstance(found, dict) else {}
        kind = text_of(load, "type").strip().lower()
        if rule.kind == "table-settings" and kind not in _WHOLE and (why := _gap(kind, load)):
            yield Spot(f"{rule.where}.parallel-load", {"table": rule.name, "why": why})


def _gap(kind: str, load: Mapping[str, Any]) -> str:
    """Why the segments of a load may overlap or leave rows out; empty if they meet at rising bounds."""
    if kind != "ranges":
        return f"{kind} loads only what it lists, and whether that is everything changes with the table"
    columns, bounds = load.get("columns"), load.get("boundaries")
    if not isinstance(columns, list) or not columns or not isinstance(bounds, list) or not bounds:
        return "ranges need columns and boundaries"
    if not all(isinstance(bound, list) and len(bound) == len(columns) for bound in bounds):
        return "each boundary needs a value for each column"
    rows = [tuple(as_text(value) or "" for value in bound) for bound in bounds]
    if any(value == "" for row in rows for value in row):
        return "a boundary has no value"
    for before, after in pairwise(rows):
        if not _rises(before, after):
            return f"boundary {', '.join(after)} does not follow {', '.join(before)}"
    return ""


def _rises(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether one boundary is greater than the one before, its numbers as numbers."""
    for low, high in zip(before, after, strict=True):
        lower, higher = _number(low), _number(high)
        if lower is not None and higher is not None:
            if lower != higher:
                return lower < higher
        elif low != high:
            return low < high
    return False


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


RULES = (
    Rule(
        5,
        ERROR,
        _unordered,
        f"{{table}} has no column with {SEQUENCE}: what one transaction does to a row cannot be put in order. Add this "
        "to the rules:",
    ),
    Rule(
        6,
        ERROR,
        _too_short,
        f"Column {{column}} is {{said}}, and {SEQUENCE} has {SEQUENCE_LENGTH} characters: what is cut, or read as "
        "another type, is in a wrong order.",
    ),
    Rule(
        33,
        ERROR,
        _filtered,
        "{table} is filtered by {column}, which is not known to belong to its key: a row that leaves or enters the "
        "filter is never deleted or never inserted. Filter after the merge. (--source reads the keys.)",
    ),
    Rule(
        34,
        WARNING,
        _renamed,
        "{columns} comes changed by {action}: let the key in the contract of the feed be called as it arrives. "
        "(--source reads the keys.)",
    ),
    Rule(
        35,
        ERROR,
        _unproven,
        "The parallel load of {table} may bring rows twice or never: {why}. Let DMS divide the table, or prove that "
        "the ranges cover it.",
        {"parallel-load": {"type": "partitions-auto"}},
    ),
)
