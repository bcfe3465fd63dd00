"""What the platform's own processes may do: as ``deploy/least_privilege`` records and proves it.

The code server and people work for all sources, so what they reach is named by its zone; a policy has 10,240 characters
(IAM User Guide, "IAM and AWS STS quotas"). A run reaches what is its source's own.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel

from adplatform.amazon.ads.stream import topics
from adplatform.contracts.marketing import MarketingSource
from adplatform.lake.zones import ENGINE_WORK
from adplatform.ledger.table import ACTIVE_INDEX
from adplatform.platform import names as platform_names
from deploy.estate import DeployedSource, Estate
from deploy.roles import NO_RESOURCE, Statement, allow, compute_logs
from deploy.stacks.keys import KeysStack
from deploy.workloads import event_statements

_WRITES = ["s3:PutObject", "s3:AbortMultipartUpload"]
_ROWS = [
    "GetItem",
    "BatchGetItem",
    "BatchWriteItem",
    "Query",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "ConditionCheckItem",
]
_LISTS = ["s3:ListBucket", "s3:ListBucketVersions"]
_LOOKED_AT = ["GetItem", "BatchGetItem", "Query"]
_USES = ["kms:Decrypt", "kms:GenerateDataKey"]
_TAKES = ["sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage"]
_METADATA = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
_TAGS = ["lakeformation:AddLFTagsToResource", "lakeformation:GetResourceLFTags"]
_ALL_SOURCES = "What is in this zone, of whatever source."
_OWN = "All objects below a prefix of the source's own."
_IDS = "Engines give what they make ids that nobody knows before."
_WHICH_KEY = "What version of the hashing key is the present one, not the key; of its name the suffix is AWS's."
_SUFFIX = "Secrets Manager appends six characters to the name."
_SECRETS = frozenset(
    {"authority", "connection", "credentials", "host_key_secret", "private_keys", "secret", "signer_keys"}
)
"""Attributes of a declaration that name secrets."""
_OF_PARTNERS = frozenset({"private_keys", "signer_keys"})
"""Those of files, which runs alone open."""


def code_statements(estate: Estate, keys: KeysStack) -> list[Statement]:
    """Sensors look at what has arrived and at what engines do, and ask for runs."""
    patterns = {each.source.pattern for each in estate.sources}
    return [
        *_ledger(estate, keys),
        *compute_logs(estate, keys, written=True),
        *_messages(estate, keys),
        *event_statements(estate),
        *_queues(estate),
        *_raw_of_looks(estate, keys),
        *_secrets(estate, keys, estate.sources, but=_OF_PARTNERS),
        allow(["secretsmanager:DescribeSecret"], estate.secret(estate.settings.hash_key_secret), why=_WHICH_KEY),
        *_crawls(estate, keys),
        _launcher(),
        *(statement for pattern, made in _ENGINES.items() if pattern in patterns for statement in made(estate)),
        *_transforms(estate),
    ]


def run_statements(estate: Estate, keys: KeysStack, each: DeployedSource | None) -> list[Statement]:
    """A run of a source works on what is the source's own; one of no source looks at all of them in the ledger, for the
    operations board and for the tables of the ledger."""
    if each is None:
        return [
            *compute_logs(estate, keys, written=True),
            *_ledger(estate, keys, _LOOKED_AT),
            *_ledger_tables(estate, keys),
        ]
    return [
        *_ledger(estate, keys),
        *compute_logs(estate, keys, written=True),
        *_messages(estate, keys),
        *event_statements(estate),
        *_raw_of_runs(estate, keys, each),
        *_stream(estate, each),
        _launcher(),
        *_clean_of_runs(estate, keys, each),
        *_clean_of_others(estate, keys, each),
        *_secrets(estate, keys, [each]),
        *([allow(_TAGS, "*", why=NO_RESOURCE)] if estate.settings.personal_tag else []),
        allow(["secretsmanager:GetSecretValue"], estate.secret(estate.settings.hash_key_secret), why=_SUFFIX),
        allow(["kms:Decrypt"], keys.secrets.key_arn),
    ]


def operator_statements(estate: Estate, keys: KeysStack) -> list[Statement]:
    """People who use the commands: they look at everything, take files out and persons, and begin work again. Who is
    not to see quarantined rows is denied their key."""
    rotates = ["GetSecretValue", "DescribeSecret", "ListSecretVersionIds", "PutSecretValue", "UpdateSecretVersionStage"]
    objects = ["s3:GetObject", "s3:GetObjectVersion", *_WRITES, "s3:DeleteObject", "s3:DeleteObjectVersion"]
    patterns = {each.source.pattern for each in estate.sources}
    return [
        *_ledger(estate, keys),
        allow(["dynamodb:Scan"], estate.ledger),
        _launcher(),
        *_messages(estate, keys),
        *event_statements(estate),
        allow(["s3:ListBucket", "s3:ListBucketVersions"], estate.raw(), estate.clean()),
        allow(objects, estate.raw("*"), estate.clean("*"), why="Commands find, show and erase what any source has."),
        allow(_USES, keys.data.key_arn, keys.quarantine.key_arn),
        *_catalogue(estate, keys, f"{estate.settings.database_prefix}*", "Commands query all sources."),
        allow(
            [f"secretsmanager:{action}" for action in rotates],
            estate.secret(estate.settings.hash_key_secret),
            why=_SUFFIX,
        ),
        allow(_USES, keys.secrets.key_arn),
        *_secrets(estate, keys, estate.sources, but=_OF_PARTNERS),
        *(statement for pattern, made in _ENGINES.items() if pattern in patterns for statement in made(estate)),
        *_transforms(estate),
        *_streams(estate, why="`adplatform stream` says what a queue lacks, and how many messages wait."),
    ]


def _launcher() -> Statement:
    """Whoever asks whether a run is dead loads the launcher, which looks up the definition of runs (dagster-aws 0.29:
    ``ecs/launcher.py``)."""
    return allow(["ecs:DescribeTaskDefinition"], "*", why=NO_RESOURCE)


def _ledger(estate: Estate, keys: KeysStack, rows: Sequence[str] = _ROWS) -> list[Statement]:
    return [
        allow([f"dynamodb:{each}" for each in rows], estate.ledger),
        allow(["dynamodb:Query"], f"{estate.ledger}/index/{ACTIVE_INDEX}"),
        allow(["kms:Decrypt"], keys.ledger.key_arn),
    ]


def _messages(estate: Estate, keys: KeysStack) -> list[Statement]:
    return [
        allow(["sns:Publish"], *(estate.topic(topic) for topic in estate.told)),
        allow(_USES, keys.messages.key_arn),
    ]


def _queues(estate: Estate) -> list[Statement]:
    return [
        allow(_TAKES, _every_queue(estate), why="Each source has a queue, and the code server reads all of them."),
        *_streams(estate, why="As above."),
    ]


def _every_queue(estate: Estate) -> str:
    return estate.arn("sqs", f"{estate.settings.queue_prefix}*")


def _streams(estate: Estate, why: str) -> list[Statement]:
    """To look at queues where there are Marketing Streams, whose queues may have names of their own."""
    streams = [stream.queue(estate.settings) for each in estate.sources if (stream := each.stream)]
    others = [estate.arn("sqs", name) for name in streams if not name.startswith(estate.settings.queue_prefix)]
    looks = ["sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
    return [allow(looks, _every_queue(estate), *others, why=why)] if streams else []


def _stream(estate: Estate, each: DeployedSource) -> list[Statement]:
    """Runs of an account take the messages of its Marketing Stream, and confirm that they are wanted."""
    stream = each.stream
    if stream is None:
        return []
    sending = [topics(name, stream.account.region) for name in stream.declared.datasets]
    return [
        allow(_TAKES, estate.arn("sqs", stream.queue(estate.settings))),
        allow(["sns:ConfirmSubscription"], *sending, why="Amazon gives each subscription a topic."),
    ]


def _raw_of_looks(estate: Estate, keys: KeysStack) -> list[Statement]:
    def zones(*names: str) -> list[str]:
        return [estate.raw(f"{name}/*") for name in names]

    noted = ("claims", "fetch-plans", "fetched", "manifests")
    read = zones(*noted, "extracts", "jobs", "landing", "listings", "matches", "task-reports", "transfers")
    return [
        allow(["s3:GetObject"], *read, why=_ALL_SOURCES),
        allow(["s3:GetObjectVersion"], *zones("landing", "transfers"), why=_ALL_SOURCES),
        allow(["s3:PutObject"], *zones(*noted, "extract-plans", "landing"), why=_ALL_SOURCES),
        allow(["s3:DeleteObjectVersion"], *zones("transfers"), why=_ALL_SOURCES),
        allow(["s3:GetObject", "s3:DeleteObject"], estate.raw(f"{ENGINE_WORK}*"), why=_ALL_SOURCES),
        allow([*_LISTS, "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"], estate.raw()),
        allow(_USES, keys.data.key_arn),
    ]


def _raw_of_runs(estate: Estate, keys: KeysStack, each: DeployedSource) -> list[Statement]:
    name, pattern = each.name, each.source.pattern
    arrived = estate.raw(f"{each.source.prefix}*")
    archive = [estate.raw(f"{below}{name}/*") for below in sorted({flow.archive for flow in each.source.feeds} - {""})]

    def own(*zones: str) -> list[str]:
        return [estate.raw(f"{zone}/{name}/*") for zone in zones]

    exports = [estate.raw(f"{estate.zones.exports(destination, name)}*") for destination in exported_of(each)]
    fetches, merges = pattern in ("sftp", "tables"), pattern in ("changes", "tables")
    kept = own("prepared", "quarantine", *(["folds"] if merges else []))
    read = [*kept, *archive, *own("manifests", *(["claims"] if fetches else [])), *own(*_READ_BY.get(pattern, ()))]
    written = [*kept, *archive, *own("manifests", "publications", *_WRITTEN_BY.get(pattern, ()))]
    staged = estate.raw(f"{ENGINE_WORK}{name}/*")
    taken = ["s3:GetObjectVersion", "s3:GetObjectVersionTagging", "s3:DeleteObjectVersion"]
    return [
        allow(taken, arrived, why=_OWN),
        allow(["s3:GetObject"], *read, why=_OWN),
        allow(["s3:GetObject", *_WRITES, "s3:DeleteObject"], staged, why=_OWN),
        allow(_WRITES, *written, *([arrived] if fetches or pattern in ("reports", "facts") else []), why=_OWN),
        *([allow(["s3:PutObjectTagging"], *archive, why=_OWN)] if archive else []),
        *([allow(_WRITES, *exports, why=_OWN)] if exports else []),
        *([allow(["s3:DeleteObject"], *own("extracts"), why=_OWN)] if pattern == "sftp" else []),
        allow(["s3:ListBucket", "s3:ListBucketVersions"], estate.raw()),
        allow(_USES, keys.data.key_arn, keys.quarantine.key_arn),
    ]


def exported_of(each: DeployedSource) -> list[str]:
    """The ad platforms for which files are made of tables of the source."""
    return sorted({name for flow in each.source.feeds for name in flow.feed.activations.declared})


_READ_BY = {"sftp": ("extracts",)}
_WRITTEN_BY = {
    "sftp": ("extracts",),
    "tables": ("extracts",),
    "reports": ("reports",),
}
"""By pattern, the zones of the raw bucket that its runs read or write beside those of every delivery."""


def _clean_of_runs(estate: Estate, keys: KeysStack, each: DeployedSource) -> list[Statement]:
    copies = estate.clean(f"{each.name}/*")
    versions = [estate.clean(f"{zone}/{each.name}/*") for zone in ("table-versions", "table-slices", "table-entries")]
    return [
        allow([*_WRITES, "s3:DeleteObject"], copies, *versions, why=_OWN),
        allow(["s3:GetObject"], *versions, why=_OWN),
        allow(["s3:ListBucket"], estate.clean()),
        *_catalogue(
            estate,
            keys,
            f"{estate.settings.database_prefix}{each.name}",
            "All tables of its own database.",
            *("CreateDatabase", "CreateTable", "UpdateTable", "CreatePartition", "UpdatePartition", "DeletePartition"),
            *(("BatchCreatePartition", "BatchUpdatePartition") if each.source.pattern == "reports" else ()),
        ),
    ]


def _ledger_tables(estate: Estate, keys: KeysStack) -> list[Statement]:
    """Those of the ledger, which are written anew as a whole and read by no run."""
    name, database = platform_names.META, f"{estate.settings.database_prefix}{platform_names.META}"
    tables = [estate.arn("glue", each) for each in ("catalog", f"database/{database}", f"table/{database}/*")]
    actions = ["glue:CreateDatabase", "glue:CreateTable", "glue:GetTable", "glue:UpdateTable"]
    why = "All versions of the tables of the ledger, which nothing else is below."
    return [
        allow(["s3:GetObject", *_WRITES, "s3:DeleteObject"], estate.clean(f"table-versions/{name}/*"), why=why),
        allow(["s3:ListBucket"], estate.clean()),
        allow(_USES, keys.data.key_arn),
        allow(actions, *tables, why="All tables of the ledger."),
        allow(_METADATA, keys.catalog.key_arn),
    ]


def _clean_of_others(estate: Estate, keys: KeysStack, each: DeployedSource) -> list[Statement]:
    """The tables that a fact is made of."""
    if not isinstance(each.model, MarketingSource):
        return []
    read = each.model.tables
    files = [estate.clean(f"{zone}/{table}/*") for table in read for zone in ("table-versions", "table-entries")]
    databases = {table.partition("/")[0] for table in read}
    tables = [
        estate.arn("glue", f"{kind}{estate.settings.database_prefix}{name}{below}")
        for name in sorted(databases)
        for kind, below in (("database/", ""), ("table/", "/*"))
    ]
    why = "All that the versions of a table are made of."
    return [
        allow(["s3:GetObject"], *files, why=why),
        allow(["glue:GetTable", "glue:GetPartitions"], estate.arn("glue", "catalog"), *tables, why=why),
        allow(["kms:Decrypt"], keys.catalog.key_arn),
    ]


def _catalogue(estate: Estate, keys: KeysStack, database: str, why: str, *writes: str) -> list[Statement]:
    reads = ["GetDatabase", "GetDatabases", "GetTable", "GetTables", "GetPartition", "GetPartitions"]
    if writes:
        reads = ["GetDatabase", "GetTable", "GetPartition", "GetPartitions", "BatchGetPartition"]
    tables = [estate.arn("glue", each) for each in ("catalog", f"database/{database}", f"table/{database}/*")]
    return [
        allow([f"glue:{action}" for action in (*reads, *writes)], *tables, why=why),
        allow(_METADATA if writes else ["kms:Decrypt"], keys.catalog.key_arn),
    ]


def _crawls(estate: Estate, keys: KeysStack) -> list[Statement]:
    """What crawlers find is compared with what is registered, and then dropped."""
    prefix = estate.settings.database_prefix
    found = f"crawled_{prefix.rstrip('_')}"
    crawler = estate.arn("glue", f"crawler/adplatform-crawl-{prefix}*")

    def tables(database: str) -> list[str]:
        return [estate.arn("glue", each) for each in ("catalog", f"database/{database}", f"table/{database}/*")]

    registered = ["glue:GetDatabase", "glue:GetTable", "glue:GetPartitions"]
    every = "Crawls are of any table that declares them."
    return [
        allow(["glue:GetCrawler", "glue:ListCrawls", "glue:StartCrawler"], crawler, why=every),
        allow(registered, *tables(f"{prefix}*"), why=every),
        allow(["glue:GetTables", "glue:GetPartitions", "glue:BatchDeleteTable"], *tables(found), why=every),
        allow(_METADATA, keys.catalog.key_arn),
    ]


def _secrets(
    estate: Estate, keys: KeysStack, sources: Iterable[DeployedSource], but: frozenset[str] = frozenset()
) -> list[Statement]:
    """Those that sources declare, to log in where their data comes from."""
    found = dict.fromkeys(name for each in sources for name in secrets_of(each.model, but))
    if not found:
        return []
    return [
        allow(["secretsmanager:GetSecretValue"], *map(estate.secret, found), why=_SUFFIX),
        allow(["kms:Decrypt"], keys.secrets.key_arn),
    ]


def secrets_of(declared: BaseModel, but: frozenset[str] = frozenset()) -> list[str]:
    """The names of secrets in a declaration, at any depth, without those of such attributes."""
    found: list[str] = []

    def look(value: Any, attribute: str = "") -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                look(each, str(name))
        elif isinstance(value, list | tuple):
            for each in value:
                look(each, attribute)
        elif isinstance(value, str) and attribute in _SECRETS - but:
            found.append(value)

    look(declared.model_dump())
    return list(dict.fromkeys(found))


def _flows(estate: Estate) -> list[Statement]:
    flows, profiles = estate.arn("appflow", "flow/*"), estate.arn("appflow", "connectorprofile/*")
    other = "Flows may be those that somebody else made, and windows of the past are copies of them."
    actions = ["DescribeFlow", "DescribeFlowExecutionRecords", "StartFlow", "CancelFlowExecutions", "DeleteFlow"]
    return [
        allow([f"appflow:{action}" for action in (*actions, "TagResource")], flows, why=other),
        allow(["appflow:CreateFlow"], "*", why=NO_RESOURCE),
        allow(["appflow:UseConnectorProfile"], profiles, why=other),
    ]


def _tasks(estate: Estate) -> list[Statement]:
    task, execution = estate.arn("datasync", "task/*"), estate.arn("datasync", "task/*/execution/*")
    location, agent = estate.arn("datasync", "location/*"), estate.arn("datasync", "agent/*")
    lists = ["datasync:ListTasks", "datasync:ListTaskExecutions", "datasync:ListLocations"]
    return [
        allow(lists, "*", why=NO_RESOURCE),
        allow(["datasync:DescribeTask", "datasync:StartTaskExecution", "datasync:ListTagsForResource"], task, why=_IDS),
        allow(
            ["datasync:DescribeTaskExecution", "datasync:CancelTaskExecution", "datasync:TagResource"],
            execution,
            why=_IDS,
        ),
        allow([f"datasync:DescribeLocation{kind}" for kind in _LOCATIONS], location, why=_IDS),
        allow(["datasync:DescribeAgent"], agent, why=_IDS),
    ]


_LOCATIONS = ("AzureBlob", "Nfs", "ObjectStorage", "S3", "Smb")


def _replications(estate: Estate) -> list[Statement]:
    looks = ("Endpoints", "ReplicationConfigs", "ReplicationInstances", "Replications", "ReplicationTasks")
    task, config = estate.arn("dms", "task:*"), estate.arn("dms", "replication-config:*")
    tasks = ["StartReplicationTask", "StopReplicationTask", "ReloadTables", "DescribeTableStatistics"]
    configs = ["StartReplication", "StopReplication", "ReloadReplicationTables", "DescribeReplicationTableStatistics"]
    return [
        allow([f"dms:Describe{each}" for each in looks], "*", why=NO_RESOURCE),
        allow([f"dms:{each}" for each in tasks], task, why=_IDS),
        allow([f"dms:{each}" for each in configs], config, why=_IDS),
    ]


def _connectors(estate: Estate) -> list[Statement]:
    connector = estate.arn("transfer", "connector/*")
    starts: Sequence[str] = ["StartDirectoryListing", "StartFileTransfer", "StartRemoteDelete", "StartRemoteMove"]
    looks = ["DescribeConnector", "ListFileTransferResults", "ListTagsForResource", "TestConnection"]
    return [
        allow(["transfer:ListConnectors"], "*", why=NO_RESOURCE),
        allow([f"transfer:{each}" for each in (*starts, *looks)], connector, why=_IDS),
    ]


def _jobs(estate: Estate) -> list[Statement]:
    actions = ["GetJob", "GetJobRun", "GetJobRuns", "StartJobRun", "BatchStopJobRun"]
    job = estate.arn("glue", "job/*")
    return [allow([f"glue:{each}" for each in actions], job, why="A source may name a job that somebody else made.")]


def _transforms(estate: Estate) -> list[Statement]:
    """What is asked of the Spark that transforms deliveries."""
    settings = estate.settings
    if settings.spark == "glue":
        actions = ["GetJob", "GetJobRun", "GetJobRuns", "StartJobRun", "BatchStopJobRun"]
        return [allow([f"glue:{each}" for each in actions], estate.arn("glue", f"job/{settings.spark_job}"))]
    if settings.spark == "emr-serverless":
        application = estate.arn("emr-serverless", "/applications/*")
        run = estate.arn("emr-serverless", "/applications/*/jobruns/*")
        asked = [f"emr-serverless:{each}" for each in ("GetApplication", "ListJobRuns", "StartJobRun")]
        return [
            allow(["emr-serverless:ListApplications"], "*", why=NO_RESOURCE),
            allow(asked, application, why=_IDS),
            allow(["emr-serverless:GetJobRun", "emr-serverless:CancelJobRun"], run, why=_IDS),
            allow(
                ["iam:PassRole"],
                estate.role(platform_names.SPARK_ROLE),
                StringEquals={"iam:PassedToService": "emr-serverless.amazonaws.com"},
            ),
        ]
    return []


def _made_of_tables(estate: Estate) -> list[Statement]:
    """Sensors look at what the tables of a fact show; of Iceberg tables lists say that."""
    lists = estate.clean("table-entries/*")
    prefix = estate.settings.database_prefix
    tables = [estate.arn("glue", each) for each in ("catalog", f"database/{prefix}*", f"table/{prefix}*/*")]
    why = "A fact may be made of tables of any source."
    return [allow(["s3:GetObject"], lists, why=why), allow(["glue:GetTable", "glue:GetPartitions"], *tables, why=why)]


_ENGINES = {
    "facts": _made_of_tables,
    "flows": _flows,
    "replicated": _tasks,
    "changes": _replications,
    "sftp": _connectors,
    "tables": _jobs,
}
"""By pattern, what its looks and commands ask the engine that brings the data, or the tables that it is made of."""
