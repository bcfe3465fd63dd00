"""How replications and their tables are described, in the shapes of the service model."""

from collections import Counter
from typing import Any

from adplatform.local.aws.dms.state import BEFORE, COMPLETED, ERRED, FULL_LOAD, LOADING, RELOADING, Replication, Table
from adplatform.local.aws.managed import CONTROL

_COUNTS = ("Inserts", "Updates", "Deletes", "Ddls")


def task(replication: Replication, *, with_settings: bool = True) -> dict[str, Any]:
    """As DescribeReplicationTasks shows it."""
    asked = {name: value for name, value in replication.asked.items() if name not in ("Tags", "ResourceIdentifier")}
    shown = {
        **asked,
        "ReplicationTaskArn": replication.arn,
        "ReplicationTaskSettings": replication.settings,
        "Status": replication.status,
        "ReplicationTaskCreationDate": replication.created,
        "ReplicationTaskStartDate": replication.started,
        "CdcStartPosition": _position(replication, "CdcStartPosition"),
        "CdcStopPosition": _position(replication, "CdcStopPosition"),
        **_ending(replication),
        "LastFailureMessage": replication.failure or None,
        "ReplicationTaskStats": statistics(replication),
    }
    if not with_settings:
        del shown["ReplicationTaskSettings"]
    return shown


def config(replication: Replication) -> dict[str, Any]:
    """As DescribeReplicationConfigs shows it."""
    asked = {name: value for name, value in replication.asked.items() if name not in ("Tags", "ResourceIdentifier")}
    return {
        **asked,
        "ReplicationConfigArn": replication.arn,
        "ReplicationSettings": replication.settings,
        "ReplicationConfigCreateTime": replication.created,
        "ReplicationConfigUpdateTime": replication.changed,
    }


def serverless(replication: Replication) -> dict[str, Any]:
    """As DescribeReplications shows it."""
    names = ("ReplicationConfigIdentifier", "SourceEndpointArn", "TargetEndpointArn", "ReplicationType")
    provisioned = {
        "ProvisionState": "provisioned",
        "ProvisionedCapacityUnits": replication.asked["ComputeConfig"].get("MaxCapacityUnits", 1),
        "DateProvisioned": replication.started,
    }
    return {
        **{name: replication.asked[name] for name in names},
        "ReplicationConfigArn": replication.arn,
        "Status": replication.status,
        "ProvisionData": provisioned if replication.is_running else None,
        **_ending(replication),
        "FailureMessages": [replication.failure] if replication.failure else [],
        "ReplicationStats": statistics(replication),
        "StartReplicationType": replication.started_with.get("StartReplicationType"),
        "CdcStartTime": replication.started_with.get("CdcStartTime"),
        "CdcStartPosition": replication.started_with.get("CdcStartPosition"),
        "CdcStopPosition": replication.started_with.get("CdcStopPosition"),
        "ReplicationCreateTime": replication.created,
        "ReplicationUpdateTime": replication.changed,
        "ReplicationLastStopTime": replication.ended,
    }


def statistics(replication: Replication) -> dict[str, Any]:
    states = Counter(table.state for table in replication.tables.values())
    whole = len(replication.tables)
    ended = replication.ended or CONTROL.now()
    lasted = ended - replication.started if replication.started else None
    return {
        "FullLoadProgressPercent": 100 * states[COMPLETED] // whole if whole else 0,
        "ElapsedTimeMillis": int(lasted.total_seconds() * 1000) if lasted else 0,
        "TablesLoaded": states[COMPLETED],
        "TablesLoading": states[LOADING] + states[RELOADING],
        "TablesQueued": states[BEFORE],
        "TablesErrored": states[ERRED],
        "FreshStartDate": replication.freshly_started,
        "StartDate": replication.started,
        "StopDate": replication.ended,
        "FullLoadStartDate": replication.load_started,
        "FullLoadFinishDate": replication.load_ended,
    }


def table_statistics(table: Table) -> dict[str, Any]:
    counts = {name: table.counts[name] for name in _COUNTS}
    return {
        "SchemaName": table.schema,
        "TableName": table.name,
        **counts,
        **{f"Applied{name}": count for name, count in counts.items()},
        "FullLoadRows": table.counts["FullLoadRows"],
        "FullLoadCondtnlChkFailedRows": 0,
        "FullLoadErrorRows": 0,
        "FullLoadStartTime": table.load_started,
        "FullLoadEndTime": table.load_ended,
        "FullLoadReloaded": table.reloaded,
        "LastUpdateTime": table.updated or table.load_ended or table.load_started,
        "TableState": table.state,
        "ValidationPendingRecords": 0,
        "ValidationFailedRecords": 0,
        "ValidationSuspendedRecords": 0,
        "ValidationState": "Not enabled",
    }


def _ending(replication: Replication) -> dict[str, Any]:
    checkpoint = replication.checkpoint if replication.kind != FULL_LOAD else ""
    return {"StopReason": replication.stop_reason or None, "RecoveryCheckpoint": checkpoint or None}


def _position(replication: Replication, name: str) -> str | None:
    return replication.started_with.get(name) or replication.asked.get(name) or None
