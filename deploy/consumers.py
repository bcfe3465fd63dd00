"""What services that read tables may do, and who may register tables with them."""

from collections.abc import Iterator

from adplatform.consumers.registration.resource import NAME_PREFIX
from adplatform.consumers.table import ConsumedTable
from adplatform.contracts.consumers import ConsumerName
from adplatform.engines.consumed import consumed_tables
from adplatform.platform import names as platform_names
from deploy.estate import Estate
from deploy.resources import ResourceStack
from deploy.roles import NO_RESOURCE, Statement, add_role, allow, merged, service
from deploy.stacks.keys import KeysStack

POLICY = f"{platform_names.PLATFORM}-consumers"
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


def add_policy(stack: ResourceStack, estate: Estate, keys: KeysStack, role: str, after: str) -> None:
    """What the operator's role may do with services, as a policy apart: those within a role have a size that other
    rights need."""
    statements = merged([*operator_statements(estate, keys)])
    if statements:
        document = {"Version": "2012-10-17", "Statement": [each.document for each in statements]}
        wanted = {"ManagedPolicyName": POLICY, "Roles": [role], "PolicyDocument": document}
        answers = {rule: why for each in statements for rule, why in each.answers.items()}
        stack.add(role, "consumers", type="AWS::IAM::ManagedPolicy", properties=wanted, after=[after], answers=answers)


def operator_statements(estate: Estate, keys: KeysStack) -> Iterator[Statement]:
    """Who uses the commands compares what services have with what is declared, and makes it where the deployment does
    not."""
    writes = estate.settings.consumers == "platform"
    if read_by(estate, "clean_rooms"):
        yield from _configured_tables(estate, writes=writes)
    if read_by(estate, "entity_resolution"):
        yield from _matching(estate, writes=writes)
    if read_by(estate, "athena"):
        yield from _workgroups(estate, keys, writes=writes)
    if read_by(estate, "quicksight"):
        yield from _data_sets(estate, writes=writes)
    if read_by(estate, "redshift"):
        yield from _warehouse(estate)
    if read_by(estate, "sagemaker"):
        yield from _features(estate, writes=writes)


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


def _workgroups(estate: Estate, keys: KeysStack, *, writes: bool) -> Iterator[Statement]:
    """Views are made here, whoever makes the workgroups: their types are what Athena finds."""
    prefix = estate.settings.database_prefix
    tables = [estate.arn("glue", part) for part in ("catalog", f"database/{prefix}*", f"table/{prefix}*/*")]
    actions = ["BatchGetNamedQuery", "GetWorkGroup", "ListNamedQueries", "ListTagsForResource"]
    actions += [f"{verb}QueryExecution" for verb in ("Get", "Start", "Stop")] + ["GetQueryResults"]
    if writes:
        actions += ["CreateNamedQuery", "CreateWorkGroup", "TagResource", "UpdateNamedQuery", "UpdateWorkGroup"]
    yield _named("athena", actions, _of_tables(estate, "athena", "workgroup"))
    yield allow(["athena:ListWorkGroups"], "*", why=NO_RESOURCE)
    yield allow(["glue:CreateTable", "glue:UpdateTable"], *tables, why="Views are beside the tables of any source.")
    yield allow(["kms:Encrypt", *_USES], keys.catalog.key_arn)
    yield allow(["s3:GetBucketLocation"], estate.raw(), estate.clean())


def _data_sets(estate: Estate, *, writes: bool) -> Iterator[Statement]:
    """Schedules of a data set are below it."""
    sources, sets = (_of_tables(estate, "quicksight", kind) for kind in ("datasource", "dataset"))
    of_sources = ["DescribeDataSource", "DescribeDataSourcePermissions", "ListTagsForResource"]
    of_sets = ["DescribeDataSet", "DescribeDataSetPermissions", "ListTagsForResource"]
    listed = ["ListDataSets", "ListDataSources", "ListRefreshSchedules"]
    if writes:
        of_sources += ["CreateDataSet", "PassDataSource", "TagResource", "UpdateDataSource"]
        of_sources += ["UpdateDataSourcePermissions"]
        of_sets += ["CreateRefreshSchedule", "TagResource", "UpdateDataSet", "UpdateDataSetPermissions"]
        of_sets += ["UpdateRefreshSchedule"]
        listed += ["CreateDataSource"]
    yield _named("quicksight", of_sources, sources)
    yield _named("quicksight", of_sets, sets)
    yield allow([f"quicksight:{action}" for action in listed], "*", why=NO_RESOURCE)


def _warehouse(estate: Estate) -> Iterator[Statement]:
    """What the database has is asked by statements, too, and no deployment makes it."""
    settings = estate.settings
    yield allow(["redshift-data:DescribeStatement", "redshift-data:GetStatementResult"], "*", why=NO_RESOURCE)
    statements = ["redshift-data:BatchExecuteStatement", "redshift-data:ExecuteStatement"]
    if settings.redshift_workgroup:
        workgroups = estate.arn("redshift-serverless", "workgroup/*")
        yield allow([*statements, "redshift-serverless:GetCredentials"], workgroups, why="Their ARNs have random ids.")
        return
    cluster, database = settings.redshift_cluster, settings.redshift_database
    yield allow(statements, estate.arn("redshift", f"cluster:{cluster}"))
    entered = [estate.arn("redshift", f"dbname:{cluster}/{database}")]
    if settings.redshift_user:
        entered.append(estate.arn("redshift", f"dbuser:{cluster}/{settings.redshift_user}"))
    action = "GetClusterCredentials" if settings.redshift_user else "GetClusterCredentialsWithIAM"
    yield allow([f"redshift:{action}"], *entered)


def _features(estate: Estate, *, writes: bool) -> Iterator[Statement]:
    actions = ["DescribeFeatureGroup", "ListTags", *(["AddTags", "CreateFeatureGroup"] if writes else [])]
    actions += ["UpdateFeatureGroup"] if writes else []
    yield _named("sagemaker", actions, _of_tables(estate, "sagemaker", "feature-group"))
    yield allow(["sagemaker:ListFeatureGroups"], "*", why=NO_RESOURCE)
    if writes and estate.settings.sagemaker_role:
        yield allow(
            ["iam:PassRole"],
            estate.role(estate.settings.sagemaker_role),
            StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"},
        )


def _of_tables(estate: Estate, service: str, kind: str) -> str:
    return estate.arn(service, f"{kind}/{NAME_PREFIX}-{estate.settings.database_prefix}*")


def _named(service: str, actions: list[str], resource: str) -> Statement:
    return allow([f"{service}:{action}" for action in actions], resource, why="Tables of all sources are registered.")
