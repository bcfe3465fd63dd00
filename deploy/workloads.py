"""What the code server and people may have services do with tables that were published."""

from collections.abc import Mapping, Sequence

from adplatform.flow.workloads import Workload
from adplatform.lake.zones import QUERY_RESULTS
from deploy.estate import Estate
from deploy.roles import NO_RESOURCE, Statement, allow

SERVICES: Mapping[str, str] = {
    "athena": "athena",
    "entity_resolution": "entityresolution",
    "quicksight": "quicksight",
    "redshift": "redshift-data",
    "sagemaker": "sagemaker",
}
"""What boto3 calls a service, by its name in a declaration."""
_OF_QUERIES = (
    *("GetWorkGroup", "StartQueryExecution", "GetQueryExecution", "GetQueryRuntimeStatistics", "StopQueryExecution"),
)
_ACTIONS: Mapping[str, Sequence[str]] = {
    "athena": _OF_QUERIES,
    "entity_resolution": ("GetMatchingWorkflow", "StartMatchingJob", "GetMatchingJob", "ListMatchingJobs"),
    "quicksight": ("DescribeDataSet", "CreateIngestion", "DescribeIngestion", "CancelIngestion"),
    "sagemaker": (
        *("DescribePipeline", "StartPipelineExecution", "DescribePipelineExecution", "StopPipelineExecution"),
    ),
}
_RESOURCES: Mapping[str, Sequence[str]] = {
    "athena": ("workgroup/adplatform-{prefix}*",),
    "entity_resolution": ("matchingworkflow/adplatform-{prefix}*",),
    "quicksight": ("dataset/adplatform-{prefix}*", "dataset/adplatform-{prefix}*/ingestion/*"),
    "sagemaker": ("pipeline/*", "pipeline/*/execution/*"),
}
_PREFIXES = "Each result has a prefix of its own."
_OF_TABLES = "One for each table that declares it, and pipelines that somebody else made."


def workload_statements(estate: Estate) -> list[Statement]:
    """Start, watch and stop what tables declare; of services that none does anything with, nothing."""
    declared = [each for source in estate.sources for each in source.source.workloads]
    services = sorted({each.service for each in declared})
    known = [service for service in services if service in _ACTIONS]
    actions = [f"{SERVICES[each]}:{action}" for each in known for action in _ACTIONS[each]]
    resources = [
        estate.arn(SERVICES[each], resource.format(prefix=estate.settings.database_prefix))
        for each in known
        for resource in _RESOURCES[each]
    ]
    return [
        *([allow(actions, *resources, why=_OF_TABLES)] if known else []),
        *(_files(estate, declared) if "athena" in services else []),
        *(_submitted(estate) if "redshift" in services else []),
    ]


def event_statements(estate: Estate) -> list[Statement]:
    """Events of publications and of lineage, where settings name a bus and a domain of SageMaker Catalog."""
    bus, domain = estate.settings.event_bus, estate.settings.lineage_domain
    return [
        *([allow(["events:PutEvents"], estate.bus)] if bus else []),
        *([allow(["datazone:PostLineageEvent"], "*", why=NO_RESOURCE)] if domain else []),
    ]


def _files(estate: Estate, workloads: Sequence[Workload]) -> list[Statement]:
    """Athena reads tables and writes results as who asks for the query (Athena User Guide, "Control access to Amazon S3
    from Athena"). The catalog may be read, and keys used, for other work."""
    sources = sorted({each.source for each in workloads if each.service == "athena"})
    unloads = [estate.clean(f"table-unloads/{source}/*") for source in sources]
    results = [estate.raw(f"{QUERY_RESULTS}{source}/*") for source in sources]
    written = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    listed = ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
    return [
        allow(["s3:GetObject"], *(estate.clean(f"{source}/*") for source in sources), why="A query reads tables."),
        allow(written, *unloads, *results, why=_PREFIXES),
        allow(["s3:DeleteObject"], *unloads, why=_PREFIXES),
        allow(listed, estate.clean(), estate.raw()),
    ]


def _submitted(estate: Estate) -> list[Statement]:
    """What is submitted is on a workgroup or a cluster, which lets the identity in; a statement is its submitter's."""
    settings = estate.settings
    found = [allow(["redshift-data:DescribeStatement", "redshift-data:CancelStatement"], "*", why=NO_RESOURCE)]
    submits = ["redshift-data:ExecuteStatement", "redshift-data:BatchExecuteStatement"]
    if settings.redshift_workgroup:
        workgroup = estate.arn("redshift-serverless", "workgroup/*")
        found.append(allow([*submits, "redshift-serverless:GetCredentials"], workgroup, why="ARNs have ids."))
    elif settings.redshift_cluster:
        cluster = settings.redshift_cluster
        user = estate.arn("redshift", f"dbuser:{cluster}/{settings.redshift_user or '*'}")
        database = estate.arn("redshift", f"dbname:{cluster}/{settings.redshift_database}")
        signs = ["redshift:GetClusterCredentials", "redshift:GetClusterCredentialsWithIAM"]
        found.append(allow(submits, estate.arn("redshift", f"cluster:{cluster}")))
        found.append(allow(signs, user, database, why="Of the identity, where no user is named."))
    return found
