"""What the code server and people may have services do with tables that were published."""

from collections.abc import Mapping, Sequence

from adplatform.flow.workloads import Workload
from deploy.estate import Estate
from deploy.roles import NO_RESOURCE, Statement, allow
from deploy.stacks.keys import KeysStack

SERVICES: Mapping[str, str] = {
    "athena": "athena",
    "entity_resolution": "entityresolution",
    "quicksight": "quicksight",
    "redshift": "redshift-data",
    "sagemaker": "sagemaker",
}
"""What boto3 calls a service, by its name in a declaration."""
_OF_TABLES = "One for each table that declares it."
_NAMED = "A source may name one that somebody else made."
_RESULTS = "Each result has a prefix of its own."


def workload_statements(estate: Estate, keys: KeysStack) -> list[Statement]:
    """Start, watch and stop what tables declare; of services that none does anything with, nothing."""
    declared = [each for source in estate.sources for each in source.source.workloads]
    made = {
        "athena": lambda own: _queries(estate, keys, own),
        "quicksight": lambda _: _imports(estate),
        "entity_resolution": lambda _: _matching(estate),
        "sagemaker": lambda _: _pipelines(estate),
        "redshift": lambda _: _statements(),
    }
    found: list[Statement] = []
    for service, statements in made.items():
        own = [each for each in declared if each.service == service]
        found += statements(own) if own else []
    return found


def bus_statements(estate: Estate) -> list[Statement]:
    """Events of publications, where a setting names a bus."""
    bus = estate.settings.event_bus
    return [allow(["events:PutEvents"], estate.bus)] if bus else []


def _queries(estate: Estate, keys: KeysStack, workloads: Sequence[Workload]) -> list[Statement]:
    """Athena reads tables and writes results as who asks for the query (Athena User Guide, "Control access to Amazon S3
    from Athena")."""
    prefix = estate.settings.database_prefix
    sources = sorted({each.source for each in workloads})
    tables = [
        estate.arn("glue", each)
        for source in sources
        for each in (f"database/{prefix}{source}", f"table/{prefix}{source}/*")
    ]
    ends = [
        "GetQueryExecution",
        "GetQueryRuntimeStatistics",
        "GetWorkGroup",
        "StartQueryExecution",
        "StopQueryExecution",
    ]
    results = [estate.clean(f"table-unloads/{source}/*") for source in sources]
    written = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    return [
        allow([f"athena:{each}" for each in ends], estate.arn("athena", "workgroup/primary")),
        allow(
            ["glue:GetDatabase", "glue:GetTable", "glue:GetPartition", "glue:GetPartitions"],
            estate.arn("glue", "catalog"),
            *tables,
            why="A query reads tables of its source.",
        ),
        allow(["s3:GetObject"], *(estate.clean(f"{source}/*") for source in sources), why="As above."),
        allow(written, *results, why=_RESULTS),
        allow(["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"], estate.clean()),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], keys.data.key_arn),
        allow(["kms:Decrypt"], keys.catalog.key_arn),
    ]


def _imports(estate: Estate) -> list[Statement]:
    data_sets = f"dataset/adplatform-{estate.settings.database_prefix}*"
    ingestions = ["CreateIngestion", "DescribeIngestion", "CancelIngestion"]
    return [
        allow(["quicksight:DescribeDataSet"], estate.arn("quicksight", data_sets), why=_OF_TABLES),
        allow(
            [f"quicksight:{each}" for each in ingestions],
            estate.arn("quicksight", f"{data_sets}/ingestion/*"),
            why=_OF_TABLES,
        ),
    ]


def _matching(estate: Estate) -> list[Statement]:
    workflow = estate.arn("entityresolution", f"matchingworkflow/adplatform-{estate.settings.database_prefix}*")
    actions = ["GetMatchingWorkflow", "StartMatchingJob", "GetMatchingJob", "ListMatchingJobs"]
    return [allow([f"entityresolution:{each}" for each in actions], workflow, why=_OF_TABLES)]


def _pipelines(estate: Estate) -> list[Statement]:
    return [
        allow(
            ["sagemaker:DescribePipeline", "sagemaker:StartPipelineExecution"],
            estate.arn("sagemaker", "pipeline/*"),
            why=_NAMED,
        ),
        allow(
            ["sagemaker:DescribePipelineExecution", "sagemaker:StopPipelineExecution"],
            estate.arn("sagemaker", "pipeline/*/execution/*"),
            why=_NAMED,
        ),
    ]


def _statements() -> list[Statement]:
    actions = ["ExecuteStatement", "BatchExecuteStatement", "DescribeStatement", "CancelStatement"]
    return [allow([f"redshift-data:{each}" for each in actions], "*", why=NO_RESOURCE)]
