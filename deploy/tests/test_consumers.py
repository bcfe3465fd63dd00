"""What the deployment registers with services is what `adplatform consumers apply` does, and one of both does it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aws_cdk as cdk
import pytest

from adplatform.consumers.registration.registered import Clients, declared, planned, registered
from adplatform.consumers.registration.resource import Place
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from deploy.config import read_config
from deploy.consumers import operator_statements, read_by
from deploy.estate import Estate, read_estate
from deploy.resources import ResourceStack
from deploy.stacks.consumers import ConsumersStack, add
from deploy.stacks.keys import KeysStack
from deploy.template import Assembly
from deploy.tests.conftest import CONFIG
from deploy.tests.drift import LOCAL_ACCOUNT, as_deployed
from deploy.tests.engines import statements
from deploy.tests.test_engines_by_setting import Collected

KEY = f"arn:aws:kms:us-east-1:{LOCAL_ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef"
KEYS = cast(KeysStack, SimpleNamespace(**dict.fromkeys(("data", "catalog"), SimpleNamespace(key_arn=KEY))))


@pytest.fixture(scope="module")
def owning() -> Estate:
    """The same estate, of one source, whose deployment registers tables."""
    every = read_estate(read_config(CONFIG).model_copy(update={"consumers": "deployment"}))
    return replace(every, sources=tuple(each for each in every.sources if each.name == "clubcard"))


def collected(estate: Estate) -> Collected:
    made = Collected()
    add(cast(ResourceStack, made), estate, KEYS)
    return made


@pytest.fixture(scope="module")
def applied(estate: Estate, embedded: Services) -> Services:
    """An embedded AWS with the table, of which the services know what consumers declare."""
    [table] = read_by(estate, "clean_rooms")
    embedded.glue.create_database(DatabaseInput={"Name": table.database})
    columns = [{"Name": column.name, "Type": column.type.hive} for column in table.seen.columns]
    descriptor = {"Columns": columns, "Location": f"s3://{embedded.zones.clean_bucket}/a/"}
    embedded.glue.create_table(
        DatabaseName=table.database, TableInput={"Name": table.name, "StorageDescriptor": descriptor}
    )
    known = declared([table], Place(embedded.settings, LOCAL_ACCOUNT, KEY), lambda _: True)
    assert [each.failure for each in registered(Clients(embedded.aws), known.wanted) if each.failure] == []
    return embedded


def test_both_give_the_same_definitions(owning: Estate, assembly: Assembly, applied: Services) -> None:
    made = collected(owning)
    rooms, matching = applied.aws.client("cleanrooms"), applied.aws.client("entityresolution")
    [configured] = made.of("AWS::CleanRooms::ConfiguredTable")
    [listed] = rooms.list_configured_tables()["configuredTableSummaries"]
    table = rooms.get_configured_table(configuredTableIdentifier=listed["id"])["configuredTable"]
    rule = rooms.get_configured_table_analysis_rule(
        configuredTableIdentifier=listed["id"], analysisRuleType="AGGREGATION"
    )["analysisRule"]
    assert members(configured, but=("AnalysisRules", "Tags")) == told(assembly, table, configured)
    [ruled] = configured["AnalysisRules"]
    assert ruled == {name: capitalised(as_deployed(assembly, rule[name.lower()])) for name in ("Type", "Policy")}
    assert tags_of(configured) == rooms.list_tags_for_resource(resourceArn=listed["arn"])["tags"]
    [mapping] = made.of("AWS::EntityResolution::SchemaMapping")
    there = matching.get_schema_mapping(schemaName=mapping["SchemaName"])
    assert members(mapping, but=("Tags",)) == told(assembly, there, mapping)
    [workflow] = made.of("AWS::EntityResolution::MatchingWorkflow")
    [inputs] = workflow["InputSourceConfig"]
    named = {**inputs, "SchemaName": inputs["SchemaArn"].rpartition("/")[2]}
    del named["SchemaArn"]
    there = matching.get_matching_workflow(workflowName=workflow["WorkflowName"])
    wanted = as_deployed(assembly, {**members(workflow, but=("Tags",)), "InputSourceConfig": [named]})
    assert wanted == told(assembly, there, workflow)
    assert tags_of(mapping) == tags_of(workflow) == there["tags"]


def capitalised(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: capitalised(each) for name, each in value.items()}
    return [capitalised(each) for each in value] if isinstance(value, list) else value


def members(properties: Mapping[str, Any], but: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name not in but}


def told(assembly: Assembly, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What a service tells of the members that the template has."""
    every = capitalised(as_deployed(assembly, there))
    return {name: every[name] for name in wanted if name in every and name != "Tags"}


def tags_of(properties: Mapping[str, Any]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in properties["Tags"]}


def test_what_the_deployment_made_is_as_declared_for_the_commands(applied: Services, estate: Estate) -> None:
    """Whoever changes the setting changes nothing else."""
    [table] = read_by(estate, "clean_rooms")
    settings = replace(applied.settings, consumers="deployment")
    known = declared([table], Place(settings, LOCAL_ACCOUNT, KEY), lambda _: True)
    assert {each.state for each in planned(Clients(applied.aws), known.wanted)} == {"as declared"}


def test_the_template_is_one_that_cloudformation_takes(owning: Estate, tmp_path: Path) -> None:
    app = cdk.App(analytics_reporting=False, outdir=str(tmp_path))
    env = cdk.Environment(account=owning.account, region=owning.region)
    keys = KeysStack(app, "keys", owning, env=env)
    stack = ConsumersStack(app, "consumers", owning, keys, env=env)
    assert stack.include()
    app.synth()
    made = Assembly(tmp_path)
    [workflow] = made.resources("AWS::EntityResolution::MatchingWorkflow")
    [output] = workflow.properties["OutputSourceConfig"]
    assert output["KMSArn"].startswith("arn:aws:kms:eu-west-1:111111111111:key/")
    assert workflow.properties["RoleArn"] == "arn:aws:iam::111111111111:role/adplatform-entity-resolution"


def test_views_and_schemas_are_left_to_the_commands(owning: Estate) -> None:
    made = collected(owning)
    [group] = made.of("AWS::Athena::WorkGroup")
    assert group["WorkGroupConfiguration"]["BytesScannedCutoffPerQuery"] == 100 * 2**30
    assert {each["WorkGroup"] for each in made.of("AWS::Athena::NamedQuery")} == {group["Name"]}
    [data_set], [refresh] = made.of("AWS::QuickSight::DataSet"), made.of("AWS::QuickSight::RefreshSchedule")
    assert refresh["DataSetId"] == data_set["DataSetId"]
    assert refresh["Schedule"]["ScheduleFrequency"]["TimeZone"] == "UTC"
    [features] = made.of("AWS::SageMaker::FeatureGroup")
    assert {"FeatureName": "at", "FeatureType": "String"} in features["FeatureDefinitions"]
    assert not made.of("AWS::Glue::Table")
    left = {
        a for s in operator_statements(owning, KEYS) for a in s.actions if a.startswith(("glue:", "redshift-data:"))
    }
    assert {"glue:CreateTable", "redshift-data:BatchExecuteStatement"} <= left


def test_one_of_both_registers(assembly: Assembly, owning: Estate, estate: Estate) -> None:
    assert assembly.resources("AWS::CleanRooms::ConfiguredTable") == []
    writes = {a for s in operator_statements(estate, KEYS) for a in s.actions} - {
        a for s in operator_statements(owning, KEYS) for a in s.actions
    }
    assert {"cleanrooms:CreateConfiguredTable", "entityresolution:UpdateMatchingWorkflow", "iam:PassRole"} <= writes
    assert owning.settings.consumers == "deployment"


def test_a_table_that_is_not_fit_fails_the_synthesis(owning: Estate) -> None:
    [source] = [each for each in owning.sources if each.name == "clubcard"]
    flow = next(each for each in source.source.feeds if each.feed.name == "visitors")
    consumers = {"clean_rooms": {"columns": ["email"]}}
    feed = type(flow.feed).model_validate({**flow.feed.model_dump(exclude_unset=True), "consumers": consumers})
    pattern = replace(cast(Any, source.pattern), source=replace(source.source, feeds=(replace(flow, feed=feed),)))
    with pytest.raises(PermanentFailure, match=r"clean_clubcard.visitors for clean_rooms: columns: column email"):
        collected(replace(owning, sources=(replace(source, pattern=pattern),)))


def test_entity_resolution_reads_the_tables_that_are_declared_for_it(assembly: Assembly, estate: Estate) -> None:
    [role] = [
        each
        for each in assembly.resources("AWS::IAM::Role")
        if each.properties["RoleName"] == "adplatform-entity-resolution"
    ]
    tables = {r.partition(":table/")[2] for s in statements(role) for r in s["Resource"] if ":table/" in r}
    assert tables == {"clean_clubcard/visitors"}
    [trusted] = role.properties["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"Service": "entityresolution.amazonaws.com"}
