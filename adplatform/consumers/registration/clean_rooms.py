"""Configured tables of AWS Clean Rooms, each with its analysis rule.

Facts: API reference of Clean Rooms. Names are not unique there; a table has one rule, whose type cannot be changed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from adplatform.consumers.registration.resource import (
    NAME_PREFIX,
    Definition,
    Kind,
    Place,
    Registration,
    Tagged,
    There,
    Wanted,
    description_of,
)
from adplatform.consumers.table import ConsumedTable
from adplatform.contracts.clean_rooms import AggregationRule, CleanRooms, CustomRule, ListRule
from adplatform.failures import PermanentFailure
from adplatform.platform.names import within

CONFIGURED_TABLE = "configured table"
_LONGEST_NAME = 100
"""Characters (API_CreateConfiguredTable)."""
_DIRECT = "DIRECT_QUERY"
_MORE, _NOT_ALLOWED = "additionalAnalyses", "NOT_ALLOWED"
"""Analyses of the results of queries; a rule of aggregations has none (API_AnalysisRuleAggregation)."""
_AND = ("AND",)
"""How conditions of a join may be combined; what Clean Rooms takes where nothing is said."""


def wanted(table: ConsumedTable, settings: CleanRooms, place: Place) -> Iterator[Wanted]:
    columns = settings.columns or tuple(column.name for column in table.seen.presentable)
    definition = {
        "description": description_of(table),
        "tableReference": {"glue": {"databaseName": table.database, "tableName": table.name}},
        "allowedColumns": sorted(columns),
        "analysisMethod": _DIRECT,
        "analysisRule": rule_of(settings.rule) if settings.rule else None,
    }
    name = within(_LONGEST_NAME, NAME_PREFIX, f"{table.database}-{table.name}")
    yield Wanted("clean_rooms", CONFIGURED_TABLE, name, table.source, table.qualified, definition)


def rule_of(rule: AggregationRule | ListRule | CustomRule) -> dict[str, Any]:
    """The type and the policy of an analysis rule. What is not declared is not allowed."""
    match rule:
        case AggregationRule():
            kind, policy = "aggregation", _aggregation(rule)
        case ListRule():
            kind = "list"
            policy = {
                "joinColumns": sorted(rule.join),
                "allowedJoinOperators": list(_AND),
                "listColumns": sorted(rule.outputs),
                _MORE: _NOT_ALLOWED,
            }
        case CustomRule():
            kind = "custom"
            policy = {
                "allowedAnalyses": sorted(rule.analyses),
                "disallowedOutputColumns": sorted(rule.hidden),
                _MORE: _NOT_ALLOWED,
            }
    return {"type": kind.upper(), "policy": {"v1": {kind: policy}}}


def _aggregation(rule: AggregationRule) -> dict[str, Any]:
    counted = [
        {"columnNames": sorted(columns), "function": function.upper()} for function, columns in rule.aggregates.items()
    ]
    constraints = [
        {"columnName": column, "minimum": least, "type": "COUNT_DISTINCT"} for column, least in rule.minimum.items()
    ]
    return {
        "aggregateColumns": sorted(counted, key=lambda each: str(each["function"])),
        "joinColumns": sorted(rule.join),
        "allowedJoinOperators": list(_AND),
        "dimensionColumns": sorted(rule.dimensions),
        "scalarFunctions": [],
        "outputConstraints": sorted(constraints, key=lambda each: str(each["columnName"])),
    }


def read(client: Any, wanted: Wanted) -> There | None:
    """
    Raises:
        PermanentFailure: several configured tables have the name and the tags.
    """
    pages = client.get_paginator("list_configured_tables").paginate()
    named = [each for page in pages for each in page["configuredTableSummaries"] if each["name"] == wanted.name]
    tagged = [(each, _tags(client, each["arn"])) for each in named]
    own = [(each, tags) for each, tags in tagged if wanted.tags.items() <= tags.items()]
    if len(own) > 1:
        ids = ", ".join(sorted(each["id"] for each, _ in own))
        raise PermanentFailure(f"the configured tables {ids} are all called {wanted.name}: delete what is not used")
    for each, tags in [*own, *tagged][:1]:
        return _described(client, each["id"], tags)
    return None


def create(client: Any, wanted: Wanted) -> None:
    made = client.create_configured_table(name=wanted.name, tags=wanted.tags, **_of_table(wanted.definition))
    if rule := wanted.definition["analysisRule"]:
        _create_rule(client, made["configuredTable"]["id"], rule)


def update(client: Any, wanted: Wanted, there: There) -> None:
    """Columns that a rule names are allowed before it does, and forbidden once it does not."""
    now, before = wanted.definition, there.definition
    rule, rule_before = now["analysisRule"], before["analysisRule"]
    columns = sorted({*now["allowedColumns"], *before["allowedColumns"]})
    if columns != before["allowedColumns"]:
        client.update_configured_table(configuredTableIdentifier=there.id, allowedColumns=columns)
    if rule and not rule_before:
        _create_rule(client, there.id, rule)
    elif rule and rule != rule_before:
        client.update_configured_table_analysis_rule(
            configuredTableIdentifier=there.id, analysisRuleType=rule["type"], analysisRulePolicy=rule["policy"]
        )
    table = _of_table(now)
    if table != {**_of_table(before), "allowedColumns": columns}:
        client.update_configured_table(configuredTableIdentifier=there.id, **table)


def tagged(client: Any, place: Place) -> Iterator[Tagged]:
    for page in client.get_paginator("list_configured_tables").paginate():
        for each in page["configuredTableSummaries"]:
            if each["name"].startswith(f"{NAME_PREFIX}-"):
                yield Tagged(CONFIGURED_TABLE, each["name"], _tags(client, each["arn"]))


def _described(client: Any, id: str, tags: dict[str, str]) -> There:
    table = client.get_configured_table(configuredTableIdentifier=id)["configuredTable"]
    types: Sequence[str] = table["analysisRuleTypes"]
    rule = None
    if types:
        found = client.get_configured_table_analysis_rule(configuredTableIdentifier=id, analysisRuleType=types[0])
        rule = _sorted({name: found["analysisRule"][name] for name in ("type", "policy")})
        aggregation = rule["policy"]["v1"].get("aggregation", {})
        if aggregation.get(_MORE) == _NOT_ALLOWED:
            del aggregation[_MORE]
    glue = table["tableReference"].get("glue") or {}
    definition = {
        "description": table.get("description"),
        "tableReference": {"glue": {name: glue.get(name) for name in ("databaseName", "tableName")}},
        "allowedColumns": sorted(table["allowedColumns"]),
        "analysisMethod": table["analysisMethod"],
        "analysisRule": rule,
    }
    do = f"a rule is never deleted here: delete the {types[0] if types else ''} rule in Clean Rooms, and apply again"
    return There(definition, tags, id, {"analysisRule.type": do} if rule else {})


def _of_table(definition: Definition) -> dict[str, Any]:
    return {name: value for name, value in definition.items() if name != "analysisRule"}


def _create_rule(client: Any, id: str, rule: Definition) -> None:
    client.create_configured_table_analysis_rule(
        configuredTableIdentifier=id, analysisRuleType=rule["type"], analysisRulePolicy=rule["policy"]
    )


def _sorted(value: Any) -> Any:
    """With lists in an order of their own: none of a rule means anything by it."""
    if isinstance(value, dict):
        return {name: _sorted(each) for name, each in value.items()}
    return sorted(map(_sorted, value), key=str) if isinstance(value, list) else value


def _tags(client: Any, arn: str) -> dict[str, str]:
    found: dict[str, str] = client.list_tags_for_resource(resourceArn=arn)["tags"]
    return found


REGISTRATION = Registration(wanted, {CONFIGURED_TABLE: Kind("cleanrooms", read, create, update, tagged, unique=False)})
