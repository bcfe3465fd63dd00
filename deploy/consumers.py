"""What services that read tables may do, and who may register tables with them."""

from collections.abc import Iterator

from adplatform.consumers.registration.resource import NAME_PREFIX
from adplatform.consumers.table import ConsumedTable
from adplatform.contracts.consumers import ConsumerName
from adplatform.engines.consumed import consumed_tables
from deploy.estate import Estate
from deploy.resources import ResourceStack
from deploy.roles import NO_RESOURCE, Statement, add_role, allow, merged, service
from deploy.stacks.keys import KeysStack

_USES = ["kms:Decrypt", "kms:GenerateDataKey"]


def read_by(estate: Estate, consumer: ConsumerName) -> list[ConsumedTable]:
    """The tables of deployed sources that a service is to read."""
    prefix = estate.settings.database_prefix
    every = [table for each in estate.sources for table in consumed_tables(each.pattern, prefix)]
    return [table for table in every if consumer in table.consumers.declared]


def add_roles(stack: ResourceStack, estate: Estate, keys: KeysStack) -> None:
    """The role with which Entity Resolution works, where it is named and not given by an ARN."""
    role, tables = estate.settings.entity_resolution_role, read_by(estate, "entity_resolution")
    if tables and not role.startswith("arn:"):
        add_role(
            stack,
            *("consumers", "role", role),
            name=role,
            description="Reads tables for AWS Entity Resolution, and writes which rows match.",
            trusted=[service("entityresolution", estate)],
            statements=merged([s for table in tables for s in matching_statements(estate, keys, table)]),
        )


def matching_statements(estate: Estate, keys: KeysStack, table: ConsumedTable) -> list[Statement]:
    """What Entity Resolution does for one table (its user guide, "Create a workflow job role")."""
    files = [estate.clean(f"{table.feed}/*"), estate.clean(f"{estate.zones.versions(table.feed)}*")]
    database, name = table.database, table.name
    catalog = [estate.arn("glue", part) for part in ("catalog", f"database/{database}", f"table/{database}/{name}")]
    reads = ["GetDatabase", "GetTable", "GetPartition", "GetPartitions", "BatchGetPartition"]
    matches = estate.raw(f"{estate.zones.matches(table.feed)}*")
    return [
        allow([f"glue:{action}" for action in reads], *catalog),
        allow(["kms:Decrypt"], keys.catalog.key_arn),
        allow(["s3:GetObject"], *files, why="Each publication has files of its own below the table's prefix."),
        allow(["s3:ListBucket", "s3:GetBucketLocation"], estate.clean(), estate.raw()),
        allow(["s3:PutObject"], matches, why="Each job has a folder of its own."),
        allow(_USES, keys.data.key_arn),
    ]


def operator_statements(estate: Estate) -> Iterator[Statement]:
    """Who uses the commands compares what services have with what is declared, and makes it where the deployment does
    not."""
    writes = estate.settings.consumers == "platform"
    if read_by(estate, "clean_rooms"):
        yield from _configured_tables(estate, writes=writes)
    if read_by(estate, "entity_resolution"):
        yield from _matching(estate, writes=writes)


def _configured_tables(estate: Estate, *, writes: bool) -> Iterator[Statement]:
    tables = estate.arn("cleanrooms", "configuredtable/*")
    actions = ["GetConfiguredTable", "GetConfiguredTableAnalysisRule", "ListTagsForResource"]
    if writes:
        updates = ("", "AllowedColumns", "Reference", "AnalysisRule")
        actions += ["CreateConfiguredTable", "CreateConfiguredTableAnalysisRule", "TagResource"]
        actions += [f"UpdateConfiguredTable{what}" for what in updates]
    yield allow([f"cleanrooms:{action}" for action in actions], tables, why="Configured tables have random ids.")
    yield allow(["cleanrooms:ListConfiguredTables"], "*", why=NO_RESOURCE)


def _matching(estate: Estate, *, writes: bool) -> Iterator[Statement]:
    begins = f"{NAME_PREFIX}-{estate.settings.database_prefix}*"
    every = "Tables of all sources are registered."
    listed = ["ListMatchingWorkflows", "ListSchemaMappings", "ListTagsForResource"]
    created = ["CreateMatchingWorkflow", "CreateSchemaMapping"] if writes else []
    yield allow([f"entityresolution:{action}" for action in (*listed, *created)], "*", why=NO_RESOURCE)
    for kind in ("MatchingWorkflow", "SchemaMapping"):
        actions = [f"Get{kind}", *([f"Update{kind}", "TagResource"] if writes else [])]
        named = estate.arn("entityresolution", f"{kind.lower()}/{begins}")
        yield allow([f"entityresolution:{action}" for action in actions], named, why=every)
    if writes:
        yield allow(
            ["iam:PassRole"],
            estate.role(estate.settings.entity_resolution_role),
            StringEquals={"iam:PassedToService": "entityresolution.amazonaws.com"},
        )
