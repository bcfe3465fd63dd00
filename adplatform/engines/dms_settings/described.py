"""The settings of a task, or of a serverless configuration, as AWS describes them, and its surroundings."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from adplatform.engines.dms import pages
from adplatform.engines.dms_settings.documents import (
    BOTH,
    Bucket,
    Checked,
    Operation,
    OtherTask,
    Reload,
    source_endpoint,
    target_section,
    task_section,
)
from adplatform.engines.dms_settings.mappings import read_mappings
from adplatform.failures import PermanentFailure
from adplatform.platform.aws_errors import aws_failures

_ARN = re.compile(r"arn:[\w-]+:dms:")
_LOADED = ("running", "stopped", "failed", "stopping")


def task_of_aws(dms: Any, s3: Any, name: str) -> Checked:
    """A task by its ARN or name.

    Raises:
        PermanentFailure: there is none, or it does not write to S3.
        TransientFailure: AWS does not answer for now.
    """
    with aws_failures(f"DMS task {name}"):
        kind = "replication-task-arn" if _ARN.match(name) else "replication-task-id"
        tasks = list(pages(dms.describe_replication_tasks, "ReplicationTasks", kind, name))
        if len(tasks) != 1:
            raise PermanentFailure(f"{len(tasks)} DMS tasks are called {name!r}")
        [task] = tasks
        reloads = [*_fresh(task.get("ReplicationTaskStats")), *_reloads(dms, task)]
        return _checked(
            dms,
            s3,
            task["ReplicationTaskArn"],
            task,
            task.get("ReplicationTaskSettings"),
            task.get("MigrationType"),
            Operation(position=task.get("CdcStartPosition") or "", reloads=reloads),
        )


def configuration_of_aws(dms: Any, s3: Any, name: str) -> Checked:
    """A configuration of DMS Serverless by its ARN or name. Raises as ``task_of_aws``."""
    with aws_failures(f"DMS configuration {name}"):
        kind = "replication-config-arn" if _ARN.match(name) else "replication-config-id"
        found = list(pages(dms.describe_replication_configs, "ReplicationConfigs", kind, name))
        if len(found) != 1:
            raise PermanentFailure(f"{len(found)} DMS configurations are called {name!r}")
        [config] = found
        arn = config["ReplicationConfigArn"]
        run: Mapping[str, Any] = {}
        with suppress(dms.exceptions.ResourceNotFoundFault):  # it has never been started
            run = next(pages(dms.describe_replications, "Replications", "replication-config-arn", arn), run)
        return _checked(
            dms,
            s3,
            arn,
            config,
            config.get("ReplicationSettings"),
            config.get("ReplicationType"),
            Operation(position=run.get("CdcStartPosition") or "", reloads=list(_fresh(run.get("ReplicationStats")))),
        )


def _checked(
    dms: Any, s3: Any, arn: str, task: Mapping[str, Any], settings: Any, migration: Any, operation: Operation
) -> Checked:
    target = _endpoint(dms, task["TargetEndpointArn"])
    source = _endpoint(dms, task["SourceEndpointArn"])
    section = target_section(task["TargetEndpointArn"], target)
    bucket = section.text("BucketName")
    return Checked(
        section,
        task_section(f"{arn} (settings)", settings),
        read_mappings(f"{arn} (mappings)", task.get("TableMappings")),
        str(migration or BOTH),
        source_endpoint(task["SourceEndpointArn"], source),
        bucket=bucket_of_aws(s3, bucket, section.text("BucketFolder").strip("/")) if bucket else None,
        others=list(_others(dms, arn, serverless="ReplicationConfigArn" in task)),
        operation=operation,
    )


def _endpoint(dms: Any, arn: str) -> Mapping[str, Any]:
    found = list(pages(dms.describe_endpoints, "Endpoints", "endpoint-arn", arn))
    if not found:
        raise PermanentFailure(f"DMS has no endpoint {arn}")
    return found[0]


def _others(dms: Any, arn: str, *, serverless: bool) -> Iterator[OtherTask]:
    """Every other task that writes to S3; where a configuration is checked, every other configuration, too."""
    targets = {
        each["EndpointArn"]: target_section(each["EndpointArn"], each)
        for each in pages(dms.describe_endpoints, "Endpoints", "endpoint-type", "target")
        if each.get("EngineName") == "s3"
    }
    known = [("ReplicationTask", each) for each in pages(dms.describe_replication_tasks, "ReplicationTasks")]
    if serverless:
        found = pages(dms.describe_replication_configs, "ReplicationConfigs")
        known += [("ReplicationConfig", each) for each in found]
    for kind, task in known:
        section = targets.get(task["TargetEndpointArn"])
        if section is not None and task[f"{kind}Arn"] != arn:
            name = task[f"{kind}Identifier"]
            mappings = read_mappings(name, task.get("TableMappings"))
            yield OtherTask(name, section.text("BucketName"), section.text("BucketFolder"), mappings)


def bucket_of_aws(s3: Any, bucket: str, folder: str) -> Bucket:
    """Whether the bucket keeps versions, and a lifecycle rule deletes those below the folder that are not current."""
    versioned = s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"
    rules = _lifecycle(s3, bucket) if versioned else []
    cleaned = any(
        rule.get("Status") == "Enabled"
        and "NoncurrentVersionExpiration" in rule
        and f"{folder}/".startswith(rule.get("Prefix") or rule.get("Filter", {}).get("Prefix", ""))
        for rule in rules
    )
    return Bucket(bucket, versioned, cleaned)


def _lifecycle(s3: Any, bucket: str) -> list[dict[str, Any]]:
    try:
        found = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    except s3.exceptions.ClientError as e:
        if e.response["Error"]["Code"] == "NoSuchLifecycleConfiguration":
            return []
        raise
    return list(found.get("Rules", []))


def _fresh(stats: Any) -> Iterator[Reload]:
    """When the task was started afresh: for the first time, or with reload-target."""
    at = (stats or {}).get("FreshStartDate")
    if isinstance(at, datetime):
        yield Reload("The task", _utc(at))


def _reloads(dms: Any, task: Mapping[str, Any]) -> Iterator[Reload]:
    """The tables that ReloadTables loaded again."""
    if task.get("Status") not in _LOADED:
        return
    ask = partial(dms.describe_table_statistics, ReplicationTaskArn=task["ReplicationTaskArn"])
    for each in pages(ask, "TableStatistics"):
        at = each.get("FullLoadStartTime")
        if each.get("FullLoadReloaded") and isinstance(at, datetime):
            yield Reload(f"{each.get('SchemaName')}.{each.get('TableName')}", _utc(at))


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
