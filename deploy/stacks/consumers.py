"""What services that read tables are to have for them, where the deployment and not the platform registers them.

The tables have to be in the catalog, which their first publication brings: a stack of its own fails without them, and
nothing else does.
"""

from collections.abc import Mapping
from typing import Any

from constructs import Construct

from adplatform.consumers.registration import clean_rooms, entity_resolution
from adplatform.consumers.registration.kinds import REGISTRATIONS
from adplatform.consumers.registration.registered import declared
from adplatform.consumers.registration.resource import Place, Wanted
from adplatform.engines.consumed import consumed_tables
from adplatform.failures import PermanentFailure
from deploy.estate import Estate
from deploy.properties import properties, tags
from deploy.resources import ResourceStack
from deploy.stacks.keys import KeysStack

_TYPES = {
    clean_rooms.CONFIGURED_TABLE: "AWS::CleanRooms::ConfiguredTable",
    entity_resolution.SCHEMA_MAPPING: "AWS::EntityResolution::SchemaMapping",
    entity_resolution.MATCHING_WORKFLOW: "AWS::EntityResolution::MatchingWorkflow",
}


class ConsumersStack(ResourceStack):
    def __init__(self, scope: Construct, name: str, estate: Estate, keys: KeysStack, **settings: Any) -> None:
        super().__init__(scope, name, estate, **settings)
        if estate.settings.consumers == "deployment":
            add(self, estate, keys)


def add(stack: ResourceStack, estate: Estate, keys: KeysStack) -> None:
    """
    Raises:
        PermanentFailure: a table is not fit for a service.
    """
    prefix = estate.settings.database_prefix
    tables = [table for each in estate.sources for table in consumed_tables(each.pattern, prefix)]
    place = Place(estate.settings, estate.account, keys.data.key_arn)
    known = declared(tables, place, lambda _: True)
    for refused in (each for each in known.refused if REGISTRATIONS[each.consumer].deployable):
        raise PermanentFailure(f"{refused.table} for {refused.consumer}: {'; '.join(refused.reasons)}")
    made: dict[str, str] = {}
    for each in (each for each in known.wanted if REGISTRATIONS[each.consumer].deployable):
        after = [made[key] for key in each.requires]
        told = resource_properties(each, estate)
        kind = _TYPES[each.kind]
        made[each.key] = stack.add(each.kind, each.name, type=kind, properties=told, after=after, retain=True)


def resource_properties(wanted: Wanted, estate: Estate) -> dict[str, Any]:
    """A resource as its service is asked for it, as CloudFormation is, which has rules of a configured table as a list
    and names a schema mapping by its ARN."""
    told: dict[str, Any] = properties(_filled(wanted.definition))
    name = {clean_rooms.CONFIGURED_TABLE: "Name", entity_resolution.SCHEMA_MAPPING: "SchemaName"}
    told[name.get(wanted.kind, "WorkflowName")] = wanted.name
    if rule := told.pop("AnalysisRule", None):
        told["AnalysisRules"] = [rule]
    for source in told.get("InputSourceConfig", ()):
        source["SchemaArn"] = estate.arn("entityresolution", f"schemamapping/{source.pop('SchemaName')}")
    return {**told, "Tags": tags(wanted.tags)}


def _filled(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in definition.items() if value is not None}
