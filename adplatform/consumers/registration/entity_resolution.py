"""Schema mappings and matching workflows of AWS Entity Resolution.

Facts: API reference of Entity Resolution. A schema mapping that a workflow uses cannot be changed: its name has a
digest of its columns, so that other columns make another one, which the workflow is then led to.
"""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from adplatform.consumers.registration.resource import (
    NAME_PREFIX,
    Kind,
    Place,
    Registration,
    Tagged,
    There,
    Wanted,
    description_of,
)
from adplatform.consumers.table import Column, ConsumedTable
from adplatform.contracts.entity_resolution import EntityResolution, MappedColumn, match_key
from adplatform.lake.table import TableName
from adplatform.lake.zones import Zones
from adplatform.platform.arns import role_arn, table_arn
from adplatform.platform.names import within

SCHEMA_MAPPING, MATCHING_WORKFLOW = "schema mapping", "matching workflow"
_LONGEST_NAME = 255
"""Characters (API_CreateSchemaMapping)."""
_OF_WORKFLOW = ("description", "inputSourceConfig", "outputSourceConfig", "resolutionTechniques", "roleArn")


def wanted(table: ConsumedTable, settings: EntityResolution, place: Place) -> Iterator[Wanted]:
    mapping = schema_mapping(table, settings)
    yield mapping
    name = workflow_name(table)
    definition = workflow_definition(table, settings, place, mapping.name)
    of = (table.source, table.qualified)
    yield Wanted("entity_resolution", MATCHING_WORKFLOW, name, *of, definition, requires=(mapping.key,))


def workflow_name(table: ConsumedTable | TableName) -> str:
    return within(_LONGEST_NAME, NAME_PREFIX, f"{table.database}-{table.name}")


def schema_mapping(table: ConsumedTable, settings: EntityResolution) -> Wanted:
    """That the values of a column are hashed is known from the contract."""
    fields = [{"fieldName": settings.unique_id, "type": "UNIQUE_ID"}]
    fields += [_mapped(column, settings.columns[column.name]) for column in table.seen.named(sorted(settings.columns))]
    digest = sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]
    definition = {"description": description_of(table), "mappedInputFields": fields}
    name = within(_LONGEST_NAME, NAME_PREFIX, f"{table.database}-{table.name}-{digest}")
    return Wanted("entity_resolution", SCHEMA_MAPPING, name, table.source, table.qualified, definition)


def _mapped(column: Column, declared: MappedColumn) -> dict[str, Any]:
    return {
        "fieldName": column.name,
        "type": declared.type,
        **({"groupName": declared.group} if declared.group else {}),
        "matchKey": match_key(column.name, declared),
        "hashed": column.is_hashed,
    }


def workflow_definition(
    table: ConsumedTable, settings: EntityResolution, place: Place, schema_name: str
) -> dict[str, Any]:
    """Its results name the rows by their unique id and hold nothing else of them."""
    own = place.settings
    key = {"KMSArn": place.key} if place.key else {}
    rules = [{"ruleName": rule.name, "matchingKeys": list(rule.match)} for rule in settings.rules]
    return {
        "description": description_of(table),
        "inputSourceConfig": [
            {
                "inputSourceARN": table_arn(table.database, table.name, place.region, place.account),
                "schemaName": schema_name,
                "applyNormalization": False,
            }
        ],
        "outputSourceConfig": [
            {
                "outputS3Path": f"s3://{own.raw_bucket}/{Zones.matches(table.feed)}",
                "output": [{"name": settings.unique_id, "hashed": False}],
                "applyNormalization": False,
                **key,
            }
        ],
        "resolutionTechniques": {
            "resolutionType": "RULE_MATCHING",
            "ruleBasedProperties": {
                "rules": rules,
                "attributeMatchingModel": "MANY_TO_MANY",
                "matchPurpose": "IDENTIFIER_GENERATION",
            },
        },
        "roleArn": role_arn(own.entity_resolution_role, place.account),
    }


def _read_mapping(client: Any, wanted: Wanted) -> There | None:
    found = _found(client, client.get_schema_mapping, schemaName=wanted.name)
    if found is None:
        return None
    own = found["mappedInputFields"]
    first = [field for field in own if field["type"] == "UNIQUE_ID"]
    rest = sorted((field for field in own if field["type"] != "UNIQUE_ID"), key=lambda field: str(field["fieldName"]))
    definition = {"description": found.get("description"), "mappedInputFields": [*first, *rest]}
    do = "a workflow uses it, and Entity Resolution changes no such mapping: lead that to another one, and apply again"
    fixed = dict.fromkeys(definition, do) if found["hasWorkflows"] else {}
    return There(definition, found.get("tags", {}), fixed=fixed)


def _read_workflow(client: Any, wanted: Wanted) -> There | None:
    found = _found(client, client.get_matching_workflow, workflowName=wanted.name)
    if found is None:
        return None
    incremental = found.get("incrementalRunConfig")
    definition = {name: found.get(name) for name in _OF_WORKFLOW} | {"incrementalRunConfig": incremental}
    return There(definition, found.get("tags", {}))


def _found(client: Any, get: Callable[..., Any], **name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = get(**name)
    except client.exceptions.ResourceNotFoundException:
        return None
    return found


def _create_mapping(client: Any, wanted: Wanted) -> None:
    client.create_schema_mapping(schemaName=wanted.name, tags=wanted.tags, **wanted.definition)


def _update_mapping(client: Any, wanted: Wanted, there: There) -> None:
    client.update_schema_mapping(schemaName=wanted.name, **wanted.definition)


def _create_workflow(client: Any, wanted: Wanted) -> None:
    client.create_matching_workflow(workflowName=wanted.name, tags=wanted.tags, **wanted.definition)


def _update_workflow(client: Any, wanted: Wanted, there: There) -> None:
    client.update_matching_workflow(workflowName=wanted.name, **wanted.definition)


def _tagged_mappings(client: Any, place: Place) -> Iterator[Tagged]:
    for page in client.get_paginator("list_schema_mappings").paginate():
        for each in page["schemaList"]:
            yield from _tagged(client, SCHEMA_MAPPING, each["schemaName"], each["schemaArn"])


def _tagged_workflows(client: Any, place: Place) -> Iterator[Tagged]:
    for page in client.get_paginator("list_matching_workflows").paginate():
        for each in page["workflowSummaries"]:
            yield from _tagged(client, MATCHING_WORKFLOW, each["workflowName"], each["workflowArn"])


def _tagged(client: Any, kind: str, name: str, arn: str) -> Iterator[Tagged]:
    if name.startswith(f"{NAME_PREFIX}-"):
        yield Tagged(kind, name, client.list_tags_for_resource(resourceArn=arn)["tags"])


REGISTRATION = Registration(
    wanted,
    {
        SCHEMA_MAPPING: Kind("entityresolution", _read_mapping, _create_mapping, _update_mapping, _tagged_mappings),
        MATCHING_WORKFLOW: Kind(
            "entityresolution", _read_workflow, _create_workflow, _update_workflow, _tagged_workflows
        ),
    },
)
