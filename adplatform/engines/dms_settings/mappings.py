"""Table mappings: which tables a task takes, and what it does to them.

Names in them may hold wildcards: ``%`` for any characters, ``_`` for one, and sets as ``[ab]`` (DMS user guide,
"Wildcards in table mapping").
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from adplatform.engines.dms_settings.sections import Unreadable, as_number, as_object, as_text

SEQUENCE = "$AR_H_CHANGE_SEQ"
"""The header of a change that puts changes in order (DMS user guide, "Using transformation rule expressions")."""
SEQUENCE_LENGTH = 35
"""Characters of its value: the time of the commit in 16 digits, and a counter of 19 that never starts again."""
_PARTS = re.compile(r"%|_|\[[^\]]+\]|.", re.DOTALL)
_MANY, _ONE = "\x01", "\x02"


@dataclass(frozen=True)
class MappingRule:
    """One rule, its names in lower case but for those of objects, which databases tell apart by case."""

    where: str
    content: Mapping[str, Any] = field(repr=False)
    kind: str = ""
    action: str = ""
    target: str = ""
    schema: str = "%"
    table: str = "%"
    column: str = ""

    @property
    def name(self) -> str:
        """The tables it is about, for people."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class TableMappings:
    """The rules in their order."""

    document: str
    rules: tuple[MappingRule, ...] = ()
    mistakes: tuple[Unreadable, ...] = ()

    @property
    def selections(self) -> tuple[MappingRule, ...]:
        return tuple(r for r in self.rules if r.kind == "selection" and r.action in ("include", "explicit"))

    @property
    def transformations(self) -> tuple[MappingRule, ...]:
        return tuple(r for r in self.rules if r.kind == "transformation")

    @property
    def sequences(self) -> tuple[MappingRule, ...]:
        """The rules that add a column with the sequence of changes."""
        return tuple(
            r for r in self.transformations if r.action == "add-column" and SEQUENCE in text_of(r.content, "expression")
        )

    def selects(self, schema: str, table: str) -> bool:
        left_out = any(
            rule.kind == "selection" and rule.action == "exclude" and is_about(rule, schema, table)
            for rule in self.rules
        )
        return not left_out and any(is_about(rule, schema, table) for rule in self.selections)

    def free_id(self) -> str:
        """A ``rule-id`` that no rule has."""
        return str(max([0, *(as_number(r.content.get("rule-id")) or 0 for r in self.rules)]) + 1)


def read_mappings(document: str, found: object) -> TableMappings:
    """The mappings in an object or a text; what is no rule is among the mistakes."""
    content = as_object(found)
    rules = content.get("rules") if content is not None else None
    if not isinstance(rules, list):
        return TableMappings(document, (), (Unreadable(f"{document}: $.rules", "is no list of rules"),))
    read, mistakes = [], []
    for number, each in enumerate(rules):
        where = f"{document}: $.rules[{number}]"
        if isinstance(each, dict):
            read.append(_rule(where, each))
        else:
            mistakes.append(Unreadable(where, "is no JSON object"))
    mappings = TableMappings(document, tuple(read), tuple(mistakes))
    if mappings.selections:
        return mappings
    nothing = Unreadable(f"{document}: $.rules", "includes no table: a task without selection rules moves nothing")
    return TableMappings(document, mappings.rules, (*mistakes, nothing))


def _rule(where: str, content: Mapping[str, Any]) -> MappingRule:
    locator = content.get("object-locator")
    located = locator if isinstance(locator, dict) else {}
    return MappingRule(
        where,
        content,
        text_of(content, "rule-type").strip().lower(),
        text_of(content, "rule-action").strip().lower(),
        text_of(content, "rule-target").strip().lower(),
        text_of(located, "schema-name") or "%",
        text_of(located, "table-name") or "%",
        text_of(located, "column-name"),
    )


def text_of(content: Mapping[str, Any], name: str) -> str:
    return as_text(content.get(name)) or ""


def filters(rule: MappingRule) -> Iterator[tuple[str, str]]:
    """The filters of a selection: the place of each and its column."""
    found = rule.content.get("filters")
    for number, each in enumerate(found if isinstance(found, list) else ()):
        if isinstance(each, dict):
            yield f"{rule.where}.filters[{number}]", text_of(each, "column-name")


def is_about(rule: MappingRule, schema: str, table: str) -> bool:
    return matches(rule.schema, schema) and matches(rule.table, table)


def overlap(rule: MappingRule, other: MappingRule) -> bool:
    """Whether some table may be meant by both."""
    return may_meet(rule.schema, other.schema) and may_meet(rule.table, other.table)


def matches(pattern: str, name: str) -> bool:
    return _compiled(pattern).fullmatch(name) is not None


def covers(pattern: str, other: str) -> bool:
    """Whether whatever the other pattern matches is matched by this one. Where that is not plain, the answer is no."""
    return pattern == other or _compiled(pattern).fullmatch(_marked(other)) is not None


def may_meet(pattern: str, other: str) -> bool:
    """Whether some name may match both. Where that is not plain, the answer is yes."""
    wild = [any(mark in _marked(each) for mark in (_MANY, _ONE)) for each in (pattern, other)]
    if all(wild):
        beginnings = [re.split(f"[{_MANY}{_ONE}]", _marked(each))[0] for each in (pattern, other)]
        return beginnings[0].startswith(beginnings[1]) or beginnings[1].startswith(beginnings[0])
    return matches(pattern, other) if wild[0] else matches(other, pattern)


@cache
def _compiled(pattern: str) -> "re.Pattern[str]":
    parts = []
    for part in _PARTS.findall(pattern):
        if part == "%":
            parts.append(".*")
        elif part == "_":
            parts.append(f"[^{_MANY}]")
        elif len(part) > 1:
            inner = re.sub(r"([\\\[\]^&~|])", r"\\\1", part[1:-1])
            parts.append(f"[{inner}]" if _is_set(inner) else re.escape(part))
        else:
            parts.append(re.escape(part))
    return re.compile("".join(parts), re.DOTALL)


def _is_set(inner: str) -> bool:
    """Whether it is a set of characters; ``[b-a]`` is none."""
    try:
        re.compile(f"[{inner}]")
    except re.error:
        return False
    return True


def _marked(pattern: str) -> str:
    """The pattern with a mark in the place of what stands for others; a set of one character is that character."""
    parts = []
    for part in _PARTS.findall(pattern):
        mark = {"%": _MANY, "_": _ONE}.get(part, part)
        parts.append(part[1:-1] if len(part) == 3 else _ONE if len(part) > 1 else mark)
    return "".join(parts)
