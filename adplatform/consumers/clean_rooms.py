"""What AWS Clean Rooms takes: names and counts by its API, and rules that let nobody look at single rows."""

import re
from collections.abc import Iterator

from adplatform.consumers.finding import Finding
from adplatform.consumers.table import Column, Table, misnamed
from adplatform.consumers.values import Asked
from adplatform.contracts.clean_rooms import AggregationRule, CleanRooms, CustomRule, ListRule, rule_columns
from adplatform.failures import listed

NAME = re.compile(r"[a-z0-9_](([a-z0-9_ ]+-)*([a-z0-9_ ]+))?")
MOST_CHARACTERS = 128
MOST_CHARACTERS_IN_RULES = 127
MOST_COLUMNS = 100
"""Clean Rooms User Guide, quotas: columns of a configured table."""
_TEMPLATE = re.compile(r"arn:aws[a-z-]*:cleanrooms:[a-z0-9-]+:\d{12}:membership/[0-9a-f-]+/analysistemplate/[0-9a-f-]+")
_MANY_ROWS = 100
"""Of which it is no chance that each has another value."""
_COUNTS = ("count", "count_distinct")


def findings(table: Table, settings: CleanRooms) -> Iterator[Finding]:
    yield from misnamed(table, {"columns": settings.columns})
    allowed = table.named(settings.columns) if settings.columns else table.presentable
    if len(allowed) > MOST_COLUMNS:
        text = f"a configured table has {MOST_COLUMNS} columns at most, and these are {len(allowed)}: list fewer"
        yield Finding("error", text, setting="columns")
    for column in allowed:
        if len(column.name) > MOST_CHARACTERS or not NAME.fullmatch(column.name):
            text = f"its name is not one of Clean Rooms, which takes a to z, 0 to 9 and _, {MOST_CHARACTERS} at most"
            yield Finding("error", f"{text}; rename it, and give the files' spelling as field", column.name, "columns")
    if settings.rule is None:
        text = "there is no rule, so nobody can query the table: give aggregation, list or custom"
        yield Finding("warning", text, setting="rule")
        return
    named = rule_columns(settings.rule)
    names = {column.name for column in allowed}
    yield from misnamed(table, named)
    for setting, columns in named.items():
        for column in table.named(columns):
            if column.name not in names and not column.is_bare:
                yield Finding("error", "it is not among the allowed columns: list it there", column.name, setting)
            if len(column.name) > MOST_CHARACTERS_IN_RULES:
                text = f"its name is too long for a rule, which takes {MOST_CHARACTERS_IN_RULES} characters"
                yield Finding("error", text, column.name, setting)
    yield from _joined(table, named.get("rule.join", ()))
    match settings.rule:
        case AggregationRule():
            yield from _aggregation(table, allowed, settings.rule)
        case ListRule():
            yield from _list(table, settings.rule)
        case CustomRule():
            yield from _custom(allowed, settings.rule)


def asked(table: Table, settings: CleanRooms) -> Asked:
    return Asked(repeated=frozenset(column.name for column in table.named(_shown(settings.rule)) if not column.kind))


def _shown(rule: AggregationRule | ListRule | CustomRule | None) -> tuple[str, ...]:
    """The columns of which queries see values."""
    match rule:
        case AggregationRule():
            return rule.dimensions
        case ListRule():
            return rule.outputs
        case _:
            return ()


def _joined(table: Table, names: tuple[str, ...]) -> Iterator[Finding]:
    for column in table.named(names):
        if column.treatment in ("lake", "short_id"):
            text = (
                "it is a digest under a key of your own, which no other company's table has: join by an unkeyed one, "
                f"such as {column.declared} by the treatment amazon_ads, that they make alike"
            )
            yield Finding("warning", text, column.name, "rule.join")


def _aggregation(table: Table, allowed: list[Column], rule: AggregationRule) -> Iterator[Finding]:
    way = "and as a dimension would let single rows out; leave it out, or join or count by it"
    yield from _telling(table, rule.dimensions, "rule.dimensions", way)
    people = [column.name for column in allowed if column.is_hashed]
    if not rule.minimum:
        of = [*people, *rule.join, "a column"][0]
        text = f"without a minimum single rows can be put out: say how many a group must have, as {{{of}: 100}}"
        yield Finding("error", text, setting="rule.minimum")
    counted = table.named(rule.minimum)
    if counted and people and not any(column.kind or column.name in table.unique for column in counted):
        text = f"no minimum counts persons, so that a group may be one of them: count {listed(people)}"
        yield Finding("warning", text, setting="rule.minimum")
    for function, names in rule.aggregates.items():
        for column in table.named(names):
            if function not in _COUNTS and not column.type.is_number:
                text = f"{function} is of numbers, and it is {column.type.hive}; take count or count_distinct"
                yield Finding("error", text, column.name, f"rule.aggregates.{function}")


def _list(table: Table, rule: ListRule) -> Iterator[Finding]:
    way = "and a list puts it out row by row; leave it out, or take an aggregation"
    yield from _telling(table, rule.outputs, "rule.outputs", way)
    text = "a list puts out single rows, of those that the other side has, too; where counts do, take an aggregation"
    yield Finding("warning", text, setting="rule.outputs")


def _custom(allowed: list[Column], rule: CustomRule) -> Iterator[Finding]:
    for analysis in rule.analyses:
        if not _TEMPLATE.fullmatch(analysis):
            text = (
                f"{analysis} is no analysis template: a query that others write as they like can put out single rows; "
                "give the ARNs of templates that you have looked at"
            )
            yield Finding("error", text, setting="rule.analyses")
    if shown := [column.name for column in allowed if column.is_hashed and column.name not in rule.hidden]:
        text = f"templates may put out {listed(shown)}, which is personal: list it here if none has to"
        yield Finding("warning", text, setting="rule.hidden")


def _telling(table: Table, names: tuple[str, ...], setting: str, way: str) -> Iterator[Finding]:
    """What queries see that tells rows apart: a person, the key, or a column with another value in each row."""
    for column in table.named(names):
        values = table.values.get(column.name)
        distinct = values is not None and values.repeated == 0 and values.filled >= _MANY_ROWS
        if column.is_hashed:
            yield Finding("error", f"it is personal ({column.kind}), if hashed, {way}", column.name, setting)
        elif column.name in table.unique or distinct:
            yield Finding("error", f"it has another value in each row, {way}", column.name, setting)
    if len(table.key) > 1 and table.has_key_in(names):
        text = "these have the whole key, which tells rows apart; leave out a part of it"
        yield Finding("error", text, setting=setting)
