"""What IAM has to allow for a recorded call: its actions, and the ARNs they are on.

Operations of the API are not always actions of IAM (Service Authorization Reference), and some need more than one. An
operation that is in no table here is an error, never a pass.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from adplatform.amazon.ads.stream import AWS_REGIONS, topics
from adplatform.lake.zones import QUARANTINE, QUERY_RESULTS
from adplatform.platform import names as platform
from adplatform.platform.calls import GLUE_JOB, SPARK_JOB
from adplatform.platform.settings import Settings
from deploy.least_privilege.shapes import Call

_A_VERSION, _IF_MATCH, _TAGGING, _DIRECTIVE = "+VersionId", "+IfMatch", "+Tagging", "+TaggingDirective"


@dataclass(frozen=True, order=True)
class Need:
    """``context`` are condition keys of the request with their values."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Names:
    """What things are called where the call is made. ``prefix`` is where the source's files arrive. ``keys`` are ARNs
    of keys of KMS by what they are for: ``data``, ``quarantine``, ``ledger``, ``secrets``, ``messages``, ``catalog``.
    ``roles`` are ARNs by the parameter that passes one on."""

    account: str
    region: str
    settings: Settings
    source: str
    prefix: str
    secret: str
    keys: Mapping[str, str]
    roles: Mapping[str, str]

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def needs(call: Call, names: Names) -> Iterator[Need]:
    """
    Raises:
        LookupError: nobody has said yet what this operation needs.
    """
    made = _SERVICES.get(call.service)
    if made is None:
        raise LookupError(f"{call}: the service is in no table of deploy/least_privilege/needs.py")
    place, *flags = call.shape.split(" +")
    yield from made(call, place, frozenset(f"+{flag}" for flag in flags if not flag.startswith("passes ")), names)
    for flag in flags:
        if flag.startswith("passes "):
            yield _passed(flag.removeprefix("passes "), call, names)


def _unknown(call: Call) -> LookupError:
    return LookupError(f"{call}: the operation is in no table of deploy/least_privilege/needs.py")


_PASSED_TO = {
    "emr-serverless": "emr-serverless",
    "glue": "glue",
    "dms": "dms",
    "transfer": "transfer",
    "datasync": "datasync",
    "appflow": "appflow",
    "entityresolution": "entityresolution",
    "sagemaker": "sagemaker",
}


def _passed(parameter: str, call: Call, names: Names) -> Need:
    service = f"{_PASSED_TO[call.service]}.amazonaws.com"
    return Need("iam:PassRole", names.roles[f"{call.service} {parameter}"], (("iam:PassedToService", service),))


def _key(concern: str, service: str, names: Names, *actions: str) -> Iterator[Need]:
    via = (("kms:ViaService", f"{service}.{names.region}.amazonaws.com"),)
    for action in actions:
        yield Need(f"kms:{action}", names.keys[concern], via)


_OF_BUCKETS = {
    "ListObjectsV2": "ListBucket",
    "HeadBucket": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "GetBucketVersioning": "GetBucketVersioning",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketLocation": "GetBucketLocation",
}
_WRITES = {
    "PutObject": ("GenerateDataKey",),
    # S3 decrypts the parts that it has before it writes the whole (S3 User Guide, "Multipart upload API and
    # permissions").
    "CreateMultipartUpload": ("GenerateDataKey", "Decrypt"),
    "UploadPart": ("GenerateDataKey", "Decrypt"),
    "CompleteMultipartUpload": ("GenerateDataKey", "Decrypt"),
}
_OF_OBJECTS = {
    "GetObjectTagging": "s3:GetObject{version}Tagging",
    "DeleteObject": "s3:DeleteObject{version}",
    "DeleteObjects": "s3:DeleteObject{version}",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListParts": "s3:ListMultipartUploadParts",
}
_COPIES = {"CopyObject": ("GenerateDataKey",), "UploadPartCopy": ("GenerateDataKey", "Decrypt")}


def _s3(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    if call.operation not in (*_OF_BUCKETS, *_OF_OBJECTS, *_WRITES, *_COPIES, "GetObject", "HeadObject"):
        raise _unknown(call)
    target, _, source = place.partition(" from ")
    if target.startswith("store"):
        return  # another cloud's, by its own credentials
    bucket, arn = _placed(target, names)
    version = "Version" if _A_VERSION in flags else ""
    if call.operation in _OF_BUCKETS:
        yield Need(f"s3:{_OF_BUCKETS[call.operation]}", bucket)
    elif call.operation in ("GetObject", "HeadObject"):
        # Jobs read what is there: only then they are started.
        reads = _reads(target, version, names)
        yield from (need for need in reads if call.role not in (GLUE_JOB, SPARK_JOB) or need.resource != bucket)
    elif call.operation in _WRITES:
        yield from _writes(target, _WRITES[call.operation], flags, names)
    elif call.operation in _COPIES:
        yield from _reads(source, version, names)
        yield from _writes(target, _COPIES[call.operation], flags, names)
        if _DIRECTIVE not in flags and source.startswith("raw:landing/"):
            # What somebody else wrote may have tags, such as those of a scan, which are copied with it.
            yield Need(f"s3:GetObject{version}Tagging", _placed(source, names)[1])
            yield Need("s3:PutObjectTagging", arn)
    else:
        yield Need(_OF_OBJECTS[call.operation].format(version=version), arn)
        if _IF_MATCH in flags:
            yield Need("s3:GetObject", arn)


def _writes(place: str, key: tuple[str, ...], flags: frozenset[str], names: Names) -> Iterator[Need]:
    arn = _placed(place, names)[1]
    yield Need("s3:PutObject", arn)
    yield from _key(_concern(place), "s3", names, *key)
    if _TAGGING in flags:
        yield Need("s3:PutObjectTagging", arn)
    if _IF_MATCH in flags:  # S3 User Guide, "How to prevent object overwrites with conditional writes"
        yield Need("s3:GetObject", arn)


def _reads(place: str, version: str, names: Names) -> Iterator[Need]:
    """Without the right to list, what is not there would be refused, not missing, and the code tells these apart (S3
    API reference, HeadObject)."""
    bucket, arn = _placed(place, names)
    yield Need(f"s3:GetObject{version}", arn)
    yield Need("s3:ListBucket", bucket)
    yield from _key(_concern(place), "s3", names, "Decrypt")


def _placed(place: str, names: Names) -> tuple[str, str]:
    """ARNs of the bucket and of an object of that shape."""
    zone, _, key = place.partition(":")
    name = {"raw": names.settings.raw_bucket, "clean": names.settings.clean_bucket}[zone]
    arrived = (key or "any").replace("landing/{source}/", names.prefix)
    named = arrived.replace("{source}", names.source).replace("{destination}", "meta")
    object_key = named.replace("*", "any/object")
    return f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/{object_key}"


def _concern(place: str) -> str:
    return "quarantine" if place.startswith(f"raw:{QUARANTINE}") else "data"


_ITEMS = frozenset(
    {"BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"}
)
_IN_TRANSACTIONS = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}


def _dynamodb(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    """Whoever reads or writes has DynamoDB decrypt the table's key for him (DynamoDB Developer Guide, "DynamoDB
    encryption at rest usage notes")."""
    table = names.arn("dynamodb", f"table/{names.settings.ledger_table}")
    kind, _, _ = place.partition(" ")
    if call.operation == "TransactWriteItems":
        yield Need(f"dynamodb:{_IN_TRANSACTIONS[kind]}", table)
    elif call.operation in _ITEMS:
        yield Need(f"dynamodb:{call.operation}", table + place.removeprefix("ledger"))
    elif call.operation == "DescribeTable":
        yield Need("dynamodb:DescribeTable", table)
        return
    else:
        raise _unknown(call)
    yield from _key("ledger", "dynamodb", names, "Decrypt")


_SECRETS: Mapping[str, tuple[str, ...]] = {
    "GetSecretValue": ("Decrypt",),
    "PutSecretValue": ("Decrypt", "GenerateDataKey"),
    "CreateSecret": ("Decrypt", "GenerateDataKey"),
    "DescribeSecret": (),
    "ListSecretVersionIds": (),
    "UpdateSecretVersionStage": (),
}


def _secretsmanager(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    if call.operation not in _SECRETS:
        raise _unknown(call)
    secret = names.settings.hash_key_secret if place == "hash_key" else names.secret
    yield Need(f"secretsmanager:{call.operation}", names.arn("secretsmanager", f"secret:{secret}-AbCdEf"))
    yield from _key("secrets", "secretsmanager", names, *_SECRETS[call.operation])


_TABLE_READS = frozenset({"BatchGetPartition", "GetDatabase", "GetDatabases", "GetPartition", "GetPartitions"}) | {
    "GetTable",
    "GetTables",
}
_TABLE_WRITES = frozenset({"BatchCreatePartition", "BatchDeletePartition", "BatchDeleteTable", "CreateDatabase"}) | {
    "BatchUpdatePartition",
    "CreatePartition",
    "CreateTable",
    "DeletePartition",
    "DeleteTable",
    "UpdatePartition",
    "UpdateTable",
}
_NO_TABLE = frozenset({"CreateDatabase", "GetDatabase", "GetDatabases"})
_CRAWLERS = frozenset({"GetCrawler", "ListCrawls", "StartCrawler", "StopCrawler", "UpdateCrawler", "DeleteCrawler"})
_JOBS = frozenset({"BatchStopJobRun", "GetJob", "GetJobRun", "GetJobRuns", "StartJobRun"})


def _glue(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    """Names in the catalogue have their catalog and database as parents, on which the action is, too (Glue Developer
    Guide, "Specifying Glue resource ARNs"); its metadata are encrypted with a key of their own."""
    operation = call.operation
    if operation in _TABLE_READS | _TABLE_WRITES:
        prefix = names.settings.database_prefix
        database = f"crawled_{prefix.rstrip('_')}" if place.endswith(" of crawlers") else f"{prefix}{names.source}"
        own = [] if operation in _NO_TABLE else [f"table/{database}/any"]
        for resource in ("catalog", f"database/{database}", *own):
            yield Need(f"glue:{operation}", names.arn("glue", resource))
        writes = ("Decrypt", "Encrypt", "GenerateDataKey")
        yield from _key("catalog", "glue", names, *(writes if operation in _TABLE_WRITES else ("Decrypt",)))
    elif operation in _CRAWLERS:
        name = f"adplatform-crawl-{names.settings.database_prefix}{names.source}-any"
        yield Need(f"glue:{operation}", names.arn("glue", f"crawler/{name}"))
    elif operation in _JOBS:
        yield Need(f"glue:{operation}", names.arn("glue", f"job/adplatform-{names.source}"))
    else:
        raise _unknown(call)


def _sns(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    """To a topic that is encrypted with a key of ours (SNS Developer Guide, "Key management"); topics of Amazon's
    stream are only asked to send. Several messages at once take the same action (SNS Developer Guide, "Publishing
    messages in batches")."""
    if call.operation == "ConfirmSubscription":
        region = next(name for name, place in AWS_REGIONS.items() if place == names.region)
        yield Need("sns:ConfirmSubscription", topics("sp-traffic", region).replace("*", "any"))
        return
    if call.operation not in ("Publish", "PublishBatch"):
        raise _unknown(call)
    own = {"success": names.settings.success_topic, "failure": names.settings.failure_topic}
    yield Need("sns:Publish", names.arn("sns", own[place]))
    yield from _key("messages", "sns", names, "Decrypt", "GenerateDataKey")


def _events(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    if call.operation != "PutEvents":
        raise _unknown(call)
    bus = names.settings.event_bus
    yield Need("events:PutEvents", bus if bus.startswith("arn:") else names.arn("events", f"event-bus/{bus}"))


def _datazone(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    if call.operation != "PostLineageEvent":
        raise _unknown(call)
    yield Need("datazone:PostLineageEvent", _ANY)


_QUEUES = {
    "ChangeMessageVisibility": "ChangeMessageVisibility",
    "DeleteMessage": "DeleteMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "GetQueueUrl": "GetQueueUrl",
    "GetQueueAttributes": "GetQueueAttributes",
    "ReceiveMessage": "ReceiveMessage",
}


def _sqs(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    if call.operation not in _QUEUES:
        raise _unknown(call)
    yield Need(f"sqs:{_QUEUES[call.operation]}", names.arn("sqs", names.settings.queue_name(names.source)))
    if call.operation == "ReceiveMessage":
        yield from _key("messages", "sqs", names, "Decrypt")


def _sts(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    """Everybody may ask who he is (STS API reference, GetCallerIdentity)."""
    if call.operation != "GetCallerIdentity":
        raise _unknown(call)
    yield from ()


_ANY = "*"
"""For actions that know no resource (Service Authorization Reference)."""
_ENGINES: Mapping[str, Mapping[str, str]] = {
    "appflow": {
        "CancelFlowExecutions": "flow/{source}-any",
        "DeleteFlow": "flow/{source}-any",
        "DescribeConnectorEntity": "connectorprofile/{source}",
        "DescribeConnectorProfiles": _ANY,
        "DescribeFlow": "flow/{source}-any",
        "DescribeFlowExecutionRecords": "flow/{source}-any",
        "ListConnectorEntities": "connectorprofile/{source}",
        "ListTagsForResource": "flow/{source}-any",
        "StartFlow": "flow/{source}-any",
    },
    "datasync": {
        "CancelTaskExecution": "task/task-0123456789abcdef0/execution/exec-0123456789abcdef0",
        "DescribeAgent": "agent/agent-0123456789abcdef0",
        **dict.fromkeys(
            [f"DescribeLocation{kind}" for kind in ("AzureBlob", "Nfs", "ObjectStorage", "S3", "Smb")],
            "location/loc-0123456789abcdef0",
        ),
        "DescribeTask": "task/task-0123456789abcdef0",
        "DescribeTaskExecution": "task/task-0123456789abcdef0/execution/exec-0123456789abcdef0",
        "ListLocations": _ANY,
        "ListTagsForResource": "task/task-0123456789abcdef0",
        "ListTaskExecutions": _ANY,
        "ListTasks": _ANY,
        "StartTaskExecution": "task/task-0123456789abcdef0",
    },
    "dms": {
        "DescribeEndpoints": _ANY,
        "DescribeReplicationConfigs": _ANY,
        "DescribeReplicationInstances": _ANY,
        "DescribeReplicationTableStatistics": "replication-config:*",
        "DescribeReplicationTasks": _ANY,
        "DescribeReplications": _ANY,
        "DescribeTableStatistics": "task:*",
        "ReloadReplicationTables": "replication-config:*",
        "ReloadTables": "task:*",
        "StartReplication": "replication-config:*",
        "StartReplicationTask": "task:*",
        "StopReplication": "replication-config:*",
        "StopReplicationTask": "task:*",
    },
    "emr-serverless": {
        "CancelJobRun": "/applications/00f0123456789abc/jobruns/00f0123456789abc",
        "GetApplication": "/applications/00f0123456789abc",
        "GetJobRun": "/applications/00f0123456789abc/jobruns/00f0123456789abc",
        "ListApplications": _ANY,
        "ListJobRuns": "/applications/00f0123456789abc",
        "StartJobRun": "/applications/00f0123456789abc",
    },
    "transfer": {
        "DescribeConnector": "connector/c-0123456789abcdef0",
        "DescribeServer": "server/s-0123456789abcdef0",
        "DescribeUser": "user/s-0123456789abcdef0/{source}",
        "ListConnectors": _ANY,
        "ListFileTransferResults": "connector/c-0123456789abcdef0",
        "ListServers": _ANY,
        "ListTagsForResource": "connector/c-0123456789abcdef0",
        "ListUsers": "server/s-0123456789abcdef0",
        "SendWorkflowStepState": "workflow/w-0123456789abcdef0",
        "StartDirectoryListing": "connector/c-0123456789abcdef0",
        "StartFileTransfer": "connector/c-0123456789abcdef0",
        "StartRemoteDelete": "connector/c-0123456789abcdef0",
        "StartRemoteMove": "connector/c-0123456789abcdef0",
        "TestConnection": "connector/c-0123456789abcdef0",
    },
}
"""By operation, the resource that it is on. Who asks for a list of what is there cannot say what."""


def _engine(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    if call.service == "appflow" and call.operation == "CreateFlow":
        # With a connection, which whoever makes a flow has to be allowed to use (AppFlow User Guide, "Actions").
        yield Need("appflow:CreateFlow", _ANY)
        yield Need("appflow:UseConnectorProfile", names.arn("appflow", f"connectorprofile/{names.source}"))
        if "+tags" in flags:
            yield Need("appflow:TagResource", names.arn("appflow", f"flow/{names.source}-any"))
        return
    if call.operation == "StartTaskExecution" and "+Tags" in flags:
        execution = names.arn("datasync", _ENGINES["datasync"]["DescribeTaskExecution"])
        yield Need("datasync:TagResource", execution)
    resource = _ENGINES[call.service].get(call.operation)
    if resource is None:
        raise _unknown(call)
    own = names.arn(call.service, resource.format(source=names.source))
    yield Need(f"{call.service}:{call.operation}", _ANY if resource == _ANY else own)


_CONFIGURED_TABLE = "configuredtable/01234567-89ab-cdef-0123-456789abcdef"
_MATCHED = "adplatform-{prefix}{source}-any"
_WORKGROUP, _FEATURES = f"workgroup/{_MATCHED}", f"feature-group/{_MATCHED}"
_SOURCE_OF_SETS, _SET = f"datasource/{_MATCHED}", f"dataset/{_MATCHED}"
_REFRESHES = f"{_SET}/refresh-schedule/adplatform"
_WAREHOUSE = "redshift-serverless:workgroup/01234567-89ab-cdef-0123-456789abcdef"
_PIPELINE = "pipeline/any"
_EXECUTION = f"{_PIPELINE}/execution/0123456789ab"
_INGESTION = f"{_SET}/ingestion/any"
_CONSUMERS: Mapping[str, Mapping[str, str]] = {
    "athena": {
        "BatchGetNamedQuery": _WORKGROUP,
        "CreateNamedQuery": _WORKGROUP,
        "CreateWorkGroup": _WORKGROUP,
        "GetQueryExecution": _WORKGROUP,
        "GetQueryResults": _WORKGROUP,
        "GetQueryRuntimeStatistics": _WORKGROUP,
        "GetWorkGroup": _WORKGROUP,
        "ListNamedQueries": _WORKGROUP,
        "ListTagsForResource": _WORKGROUP,
        "ListWorkGroups": _ANY,
        "StartQueryExecution": _WORKGROUP,
        "StopQueryExecution": _WORKGROUP,
        "UpdateNamedQuery": _WORKGROUP,
        "UpdateWorkGroup": _WORKGROUP,
    },
    "quicksight": {
        "CancelIngestion": _INGESTION,
        "CreateDataSet": _SOURCE_OF_SETS,
        "CreateDataSource": _ANY,
        "CreateIngestion": _INGESTION,
        "CreateRefreshSchedule": _REFRESHES,
        "DescribeDataSet": _SET,
        "DescribeDataSetPermissions": _SET,
        "DescribeDataSource": _SOURCE_OF_SETS,
        "DescribeDataSourcePermissions": _SOURCE_OF_SETS,
        "DescribeIngestion": _INGESTION,
        "ListDataSets": _ANY,
        "ListDataSources": _ANY,
        "ListRefreshSchedules": _ANY,
        "ListTagsForResource": _SET,
        "UpdateDataSet": _SET,
        "UpdateDataSetPermissions": _SET,
        "UpdateDataSource": _SOURCE_OF_SETS,
        "UpdateDataSourcePermissions": _SOURCE_OF_SETS,
        "UpdateRefreshSchedule": _REFRESHES,
    },
    "redshift-data": {
        "BatchExecuteStatement": _WAREHOUSE,
        "CancelStatement": _ANY,
        "DescribeStatement": _ANY,
        "ExecuteStatement": _WAREHOUSE,
        "GetStatementResult": _ANY,
    },
    "sagemaker": {
        "CreateFeatureGroup": _FEATURES,
        "DescribeFeatureGroup": _FEATURES,
        "DescribePipeline": _PIPELINE,
        "DescribePipelineExecution": _EXECUTION,
        "ListFeatureGroups": _ANY,
        "ListTags": _FEATURES,
        "StartPipelineExecution": _PIPELINE,
        "StopPipelineExecution": _EXECUTION,
        "UpdateFeatureGroup": _FEATURES,
    },
    "cleanrooms": {
        "CreateConfiguredTable": _CONFIGURED_TABLE,
        "CreateConfiguredTableAnalysisRule": _CONFIGURED_TABLE,
        "GetConfiguredTable": _CONFIGURED_TABLE,
        "GetConfiguredTableAnalysisRule": _CONFIGURED_TABLE,
        "ListConfiguredTables": _ANY,
        "ListTagsForResource": _CONFIGURED_TABLE,
        "UpdateConfiguredTable": _CONFIGURED_TABLE,
        "UpdateConfiguredTableAnalysisRule": _CONFIGURED_TABLE,
    },
    "entityresolution": {
        "CreateMatchingWorkflow": _ANY,
        "CreateSchemaMapping": _ANY,
        "GetMatchingJob": f"matchingworkflow/{_MATCHED}",
        "GetMatchingWorkflow": f"matchingworkflow/{_MATCHED}",
        "GetSchemaMapping": f"schemamapping/{_MATCHED}",
        "ListMatchingJobs": f"matchingworkflow/{_MATCHED}",
        "ListMatchingWorkflows": _ANY,
        "ListSchemaMappings": _ANY,
        "ListTagsForResource": _ANY,
        "StartMatchingJob": f"matchingworkflow/{_MATCHED}",
        "UpdateMatchingWorkflow": f"matchingworkflow/{_MATCHED}",
        "UpdateSchemaMapping": f"schemamapping/{_MATCHED}",
    },
}
"""By operation, the resource that it is on; of another service's where one is named before it."""
_TAGGED = {
    "CreateDataSet": _SET,
    "CreateDataSource": _SOURCE_OF_SETS,
    "CreateFeatureGroup": _FEATURES,
    "CreateWorkGroup": _WORKGROUP,
    "CreateConfiguredTable": _CONFIGURED_TABLE,
    "CreateMatchingWorkflow": f"matchingworkflow/{_MATCHED}",
    "CreateSchemaMapping": f"schemamapping/{_MATCHED}",
}


def _consumer(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    """Columns and reference of a configured table have actions of their own (Service Authorization Reference). Who has
    Athena answer a query reads and writes as himself (Athena User Guide, "Access to Amazon S3"), and who has Redshift
    carry out a statement is let into the database."""
    resource = _CONSUMERS[call.service].get(call.operation)
    if resource is None:
        raise _unknown(call)

    def named(of: str) -> str:
        service, _, own = of.rpartition(":")
        prefix = names.settings.database_prefix
        told = own.format(prefix=prefix, source=names.source)
        return _ANY if of == _ANY else names.arn(service or call.service, told)

    yield Need(f"{call.service}:{call.operation}", named(resource))
    if call.operation == "UpdateConfiguredTable":
        for action in ("UpdateConfiguredTableAllowedColumns", "UpdateConfiguredTableReference"):
            yield Need(f"cleanrooms:{action}", named(resource))
    if call.operation in ("CreateDataSet", "UpdateDataSet"):
        yield Need("quicksight:PassDataSource", named(_SOURCE_OF_SETS))
    if call.operation == "StartQueryExecution":
        results = f"raw:{QUERY_RESULTS}{{source}}/*"
        yield Need("s3:GetBucketLocation", _placed(results, names)[0])
        yield from _writes(results, ("GenerateDataKey",), frozenset(), names)
        yield from _reads("clean:{source}/*", "", names)
    if resource == _WAREHOUSE:
        yield Need("redshift-serverless:GetCredentials", named(resource))
    if flags & {"+tags", "+Tags"}:
        action = "AddTags" if call.service == "sagemaker" else "TagResource"
        yield Need(f"{call.service}:{action}", named(_TAGGED[call.operation]))


_TASK = f"task/{platform.CLUSTER}/0123456789abcdef0123456789abcdef"


def _ecs(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    """Whoever starts a task passes on the roles of its definition, and needs a right of its own for its tags (ECS
    Developer Guide, "Task IAM role", "Grant permission to tag resources on creation")."""
    if call.operation == "RunTask":
        cluster = (("ecs:cluster", names.arn("ecs", f"cluster/{platform.CLUSTER}")),)
        yield Need("ecs:RunTask", names.arn("ecs", f"task-definition/{platform.RUN_FAMILY}:1"), cluster)
        for role in (platform.run_role(names.source), platform.EXECUTION_ROLE):
            passed = (("iam:PassedToService", "ecs-tasks.amazonaws.com"),)
            yield Need("iam:PassRole", f"arn:aws:iam::{names.account}:role/{role}", passed)
        if "+tags" in flags:
            yield Need("ecs:TagResource", names.arn("ecs", _TASK), (("ecs:CreateAction", "RunTask"),))
    elif call.operation in ("DescribeTasks", "StopTask"):
        yield Need(f"ecs:{call.operation}", names.arn("ecs", _TASK))
    elif call.operation == "DescribeTaskDefinition":
        yield Need("ecs:DescribeTaskDefinition", _ANY)
    else:
        raise _unknown(call)


def _ec2(call: Call, place: str, flags: frozenset[str], names: Names) -> Iterator[Need]:
    if call.operation != "DescribeNetworkInterfaces":
        raise _unknown(call)
    yield Need("ec2:DescribeNetworkInterfaces", _ANY)


_SERVICES: Mapping[str, Callable[[Call, str, frozenset[str], Names], Iterator[Need]]] = {
    "s3": _s3,
    "dynamodb": _dynamodb,
    "secretsmanager": _secretsmanager,
    "glue": _glue,
    "sns": _sns,
    "events": _events,
    "datazone": _datazone,
    "sqs": _sqs,
    "sts": _sts,
    "ecs": _ecs,
    "ec2": _ec2,
    **dict.fromkeys(_ENGINES, _engine),
    **dict.fromkeys(_CONSUMERS, _consumer),
}
