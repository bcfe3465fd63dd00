"""DataSync: the locations and tasks of declared stores, their roles, and where failures are logged.

Facts: DataSync User Guide, "Accessing S3 buckets", "Securing storage location credentials with Secrets Manager",
"Monitoring with Amazon CloudWatch Logs".
"""

import json
from typing import Any, cast

from adplatform.contracts.replication import ReplicatedSource
from adplatform.contracts.stores import S3Store
from adplatform.engines.declared_locations import Place, destination_location, needed, place_of, source_location
from adplatform.engines.declared_tasks import DeclaredTask, declared_task, task_request
from adplatform.platform import names
from deploy.engines.secrets import references
from deploy.estate import DeployedSource, Estate
from deploy.properties import properties
from deploy.resources import ResourceStack
from deploy.roles import Statement, add_role, allow, service
from deploy.stacks.keys import KeysStack

KIND = "ReplicatedFiles"
_TYPES: dict[Place, str] = {
    "s3": "AWS::DataSync::LocationS3",
    "object_storage": "AWS::DataSync::LocationObjectStorage",
    "azure_blob": "AWS::DataSync::LocationAzureBlob",
    "nfs": "AWS::DataSync::LocationNFS",
    "smb": "AWS::DataSync::LocationSMB",
}
_AZURE = {
    "ContainerUrl": "AzureBlobContainerUrl",
    "AccessTier": "AzureAccessTier",
    "BlobType": "AzureBlobType",
    "AuthenticationType": "AzureBlobAuthenticationType",
}
"""Members of CreateLocationAzureBlob that are called otherwise in CloudFormation."""


def add(stack: ResourceStack, estate: Estate, keys: KeysStack) -> None:
    made = [(each, task) for each in estate.of_kind(KIND) if (task := task_of(each, estate)) is not None]
    if not made:
        return
    policy = _log_policy(stack, estate)
    for each, task in made:
        _task(stack, estate, keys, each, task, policy)


def task_of(each: DeployedSource, estate: Estate) -> DeclaredTask | None:
    """The task of a source; None where it must be there."""
    declared, bucket = cast(ReplicatedSource, each.model), estate.settings.raw_bucket
    return declared_task(declared, bucket, each.source.prefix, estate.zones.task_reports(each.name))


def _task(
    stack: ResourceStack, estate: Estate, keys: KeysStack, each: DeployedSource, task: DeclaredTask, policy: str
) -> None:
    declared, role = cast(ReplicatedSource, each.model), []
    if declared.role is None:
        role = [
            add_role(
                stack,
                each.name,
                "DataSync",
                name=task.role,
                description=f"DataSync writes what it copies into the landing zone of {each.name}, and reports on it.",
                trusted=[service("datasync", estate, ArnLike={"aws:SourceArn": estate.arn("datasync", "*")})],
                statements=role_statements(estate, keys, each, task),
            )
        ]
    store = location_properties(place_of(task.store), _source(task, estate, keys))
    kind = _TYPES[place_of(task.store)]
    source = stack.add(each.name, "Store", type=kind, properties=store, after=role)
    landing = destination_location(task, estate.account)
    destination = stack.add(each.name, "Landing", type=_TYPES["s3"], properties=landing, after=role)
    group = log_group(each.name)
    log = stack.log_group(group, keys.logs.key_arn)
    request = task_request(
        task, "source", "destination", estate.role(task.role), estate.arn("logs", f"log-group:{group}")
    )
    told = {**request, "SourceLocationArn": {"Ref": source}, "DestinationLocationArn": {"Ref": destination}}
    stack.add(each.name, "Task", type="AWS::DataSync::Task", properties=told, after=[log, policy])


def log_group(source: str) -> str:
    return f"{names.LOG_PREFIX}datasync/{source}"


def _source(task: DeclaredTask, estate: Estate, keys: KeysStack) -> dict[str, Any]:
    """With what its secret has, by reference; DataSync keeps that in a secret of its own, under the key of secrets."""
    wanted = needed(task.store)
    kept = references(wanted.secret, wanted.members) if wanted else {}
    return source_location(task, estate.account, kept, keys.secrets.key_arn)


def location_properties(place: Place, request: dict[str, Any]) -> dict[str, Any]:
    """A location as CreateLocation… is asked for it, as its type of CloudFormation."""
    told: dict[str, Any] = properties(request)
    if place != "azure_blob":
        return told
    told = {_AZURE.get(name, name): value for name, value in told.items()}
    if "SasConfiguration" in told:
        told["AzureBlobSasConfiguration"] = {"AzureBlobSasToken": told.pop("SasConfiguration")["Token"]}
    return told


def role_statements(estate: Estate, keys: KeysStack, each: DeployedSource, task: DeclaredTask) -> list[Statement]:
    """DataSync reads what it has written, to compare; it deletes nothing. Of the bucket's other parts it can be told
    names of objects, which its access check needs."""
    own = "DataSync names objects as the store does, below the source's own prefixes."
    objects = [estate.raw(f"{prefix}*") for prefix in (task.prefix, task.reports)]
    found = [
        allow(["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], estate.raw()),
        allow(
            [
                *("s3:PutObject", "s3:GetObject", "s3:GetObjectTagging", "s3:PutObjectTagging"),
                *("s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"),
            ],
            *objects,
            why=own,
        ),
        allow(["kms:GenerateDataKey", "kms:Decrypt"], keys.data.key_arn),
    ]
    if isinstance(task.store, S3Store) and task.store.role is None:
        bucket, keys_there = task.store.bucket, f"{task.store_prefix}*"
        why = "Everything that is to be copied from the store."
        found += [
            allow(["s3:GetBucketLocation", "s3:ListBucket"], estate.bucket(bucket)),
            allow(["s3:GetObject", "s3:GetObjectTagging"], estate.bucket(bucket, keys_there), why=why),
        ]
    return found


def _log_policy(stack: ResourceStack, estate: Estate) -> str:
    allowed = {
        "Sid": "DataSyncLogs",
        "Effect": "Allow",
        "Principal": {"Service": "datasync.amazonaws.com"},
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": estate.arn("logs", f"log-group:{log_group('*')}"),
        "Condition": {
            "StringEquals": {"aws:SourceAccount": estate.account},
            "ArnLike": {"aws:SourceArn": estate.arn("datasync", "task/*")},
        },
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    wanted = {"PolicyName": f"{names.PLATFORM}-datasync", "PolicyDocument": document}
    return stack.add("DataSyncLogs", type="AWS::Logs::ResourcePolicy", properties=wanted)
