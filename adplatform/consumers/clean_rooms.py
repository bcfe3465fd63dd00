"""What AWS Clean Rooms takes: names and counts by its API, and rules that let nobody look at single rows."""

import re
from collections.abc import Iterator

from adplatform.consumers.finding import Finding
from adplatform.consumers.table import Column, Table, misnamed
from adplatform.contracts.clean_rooms import AggregationRule, CleanRooms, CustomRule, ListRule, rule_columns
from adplatform.failures import listed

NAME = re.compile(r"[a-z0-9_](([a-z0-9_ ]+-)*([a-z0-9_ ]+))?")
MOST_CHARACTERS = 128
MOST_CHARACTERS_IN_RULES = 127
MOST_COLUMNS = 100
"""Clean Rooms User Guide, quotas: columns of a configured table."""
_TEMPLATE = re.compile(r"arn:aws[a-z-]*:cleanrooms:[a-z0-9-]+:\d{12}:membership/[0-9a-f-]+/analysistemplate/[0-9a-f-]+")
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


def _joined(table: Table, names: tuple[str, ...]) -> Iterator[Finding]:
    for column in table.named(names):
        if column.treatment in ("lake", "short_id"):
            text = (
                "it is a digest under a key of your own, which no other company's table has: join by an unkeyed one, "
                f"such as {column.sources[0]} by the treatment amazon_ads, that they make alike"
            )
            yield Finding("warning", text, column.name, "rule.join")


def _aggregation(table: Table, allowed: list[Column], rule: AggregationRule) -> Iterator[Finding]:
    for column in table.named(rule.dimensions):
        if telling := _tells_rows_apart(table, column):
            text = f"{telling}, and as a dimension would let single rows out; leave it out, or join or count by it"
            yield Finding("error", text, column.name, "rule.dimensions")
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
    for column in table.named(rule.outputs):
        if telling := _tells_rows_apart(table, column):
            text = f"{telling}, and a list puts it out row by row; leave it out, or take an aggregation"
            yield Finding("error", text, column.name, "rule.outputs")


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


def _tells_rows_apart(table: Table, column: Column) -> str:
    if column.is_hashed:
        return f"it is personal ({column.kind}), if hashed"
    return "it is the key, with another value in each row" if column.name in table.unique else ""
