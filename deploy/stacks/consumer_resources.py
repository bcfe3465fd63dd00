"""What services are to have for tables, as CloudFormation is asked for it: a resource, and what belongs to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adplatform.consumers.registration import athena, clean_rooms, entity_resolution, quicksight, sagemaker
from adplatform.consumers.registration.resource import Wanted
from deploy.estate import Estate
from deploy.properties import properties, tags


@dataclass(frozen=True)
class Resource:
    """``part`` says which of a declared resource it is, "" for the resource itself."""

    type: str
    properties: Mapping[str, Any]
    part: str = ""


def resources_of(wanted: Wanted, estate: Estate) -> Iterator[Resource]:
    """The resource, and then its parts.

    Raises:
        LookupError: CloudFormation has no such resource.
    """
    match wanted.kind:
        case clean_rooms.CONFIGURED_TABLE:
            yield _configured_table(wanted)
        case entity_resolution.SCHEMA_MAPPING:
            told = {**_told(wanted), "SchemaName": wanted.name}
            yield Resource("AWS::EntityResolution::SchemaMapping", told)
        case entity_resolution.MATCHING_WORKFLOW:
            yield _workflow(wanted, estate)
        case athena.WORKGROUP:
            yield from _workgroup(wanted)
        case quicksight.DATA_SOURCE:
            told = _told(wanted, but=("Failure",))
            named = {"AwsAccountId": estate.account, "DataSourceId": wanted.name}
            yield Resource("AWS::QuickSight::DataSource", {**told, **named})
        case quicksight.DATA_SET:
            yield from _data_set(wanted, estate)
        case sagemaker.FEATURE_GROUP:
            features = [{"FeatureName": n, "FeatureType": t} for n, t in wanted.definition["Features"].items()]
            told = {**_told(wanted, but=("Features",)), "FeatureDefinitions": features}
            yield Resource("AWS::SageMaker::FeatureGroup", {**told, "FeatureGroupName": wanted.name})
        case _:
            raise LookupError(wanted.kind)


def _configured_table(wanted: Wanted) -> Resource:
    told = {**_told(wanted), "Name": wanted.name}
    if rule := told.pop("AnalysisRule", None):
        told["AnalysisRules"] = [rule]
    return Resource("AWS::CleanRooms::ConfiguredTable", told)


def _workflow(wanted: Wanted, estate: Estate) -> Resource:
    """CloudFormation names a schema mapping by its ARN."""
    told = {**_told(wanted), "WorkflowName": wanted.name}
    for source in told["InputSourceConfig"]:
        source["SchemaArn"] = estate.arn("entityresolution", f"schemamapping/{source.pop('SchemaName')}")
    return Resource("AWS::EntityResolution::MatchingWorkflow", told)


def _workgroup(wanted: Wanted) -> Iterator[Resource]:
    told = _told(wanted, but=("Queries", "Database"))
    own = {name: told.pop(name) for name in ("Description", "State", "Tags")}
    yield Resource("AWS::Athena::WorkGroup", {**own, "Name": wanted.name, "WorkGroupConfiguration": told})
    for name, query in wanted.definition["Queries"].items():
        of = {"Database": wanted.definition["Database"], "WorkGroup": wanted.name}
        yield Resource("AWS::Athena::NamedQuery", {"Name": name, "QueryString": query, **of}, name)


def _data_set(wanted: Wanted, estate: Estate) -> Iterator[Resource]:
    """A time zone is a word for the API, and two for CloudFormation."""
    named = {"AwsAccountId": estate.account, "DataSetId": wanted.name}
    yield Resource(
        "AWS::QuickSight::DataSet", {**_told(wanted, but=("Schedule",), kept=("PhysicalTableMap",)), **named}
    )
    if declared := wanted.definition["Schedule"]:
        frequency = {**declared["ScheduleFrequency"]}
        frequency["TimeZone"] = frequency.pop("Timezone")
        schedule = {**declared, "ScheduleFrequency": frequency}
        yield Resource("AWS::QuickSight::RefreshSchedule", {**named, "Schedule": schedule}, "refresh")


def _told(wanted: Wanted, but: tuple[str, ...] = (), kept: tuple[str, ...] = ()) -> dict[str, Any]:
    """A definition, without what is left out."""
    filled = {name: value for name, value in wanted.definition.items() if value is not None and name not in but}
    told: dict[str, Any] = properties(filled, kept=kept)
    return {**told, "Tags": tags(wanted.tags)}
