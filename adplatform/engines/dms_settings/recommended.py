"""Settings that pass every rule, to paste into AWS."""

from collections.abc import Sequence
from typing import Any

from adplatform.engines.dms_settings.mapping_rules import sequence_rule


def target_endpoint(bucket: str, folder: str) -> dict[str, Any]:
    """What of an S3 target endpoint decides over what is lost; the role is to be added."""
    settings: dict[str, Any] = {
        "BucketName": bucket,
        "BucketFolder": folder,
        "DataFormat": "parquet",
        "ParquetVersion": "parquet-2-0",
        "ParquetTimestampInMillisecond": False,
        "CompressionType": "gzip",
        "IncludeOpForFullLoad": True,
        "CdcInsertsOnly": False,
        "CdcInsertsAndUpdates": False,
        "TimestampColumnName": "dms_ts",
        "UseTaskStartTimeForFullLoadTimestamp": True,
        "PreserveTransactions": False,
        "DatePartitionEnabled": False,
        "MaxFileSize": 1_048_576,
        "CdcMaxBatchInterval": 60,
        "CdcMinFileSize": 32_000,
    }
    return {"EndpointType": "target", "EngineName": "s3", "S3Settings": settings}


def postgres_endpoint() -> dict[str, Any]:
    """What of a PostgreSQL source endpoint decides over what is lost."""
    settings = {
        "CaptureDdls": True,
        "HeartbeatEnable": True,
        "HeartbeatFrequency": 5,
        "FailTasksOnLobTruncation": True,
        "PluginName": "pglogical",
    }
    return {"EndpointType": "source", "EngineName": "postgres", "PostgreSQLSettings": settings}


def mysql_endpoint(kind: str) -> dict[str, Any]:
    """The same of one of MySQL or MariaDB, as ``kind`` says: DMS reads the binary log every few seconds."""
    return {"EndpointType": "source", "EngineName": kind, "MySQLSettings": {"EventsPollInterval": 5}}


def task_settings() -> dict[str, Any]:
    return {
        "TargetMetadata": {
            "SupportLobs": True,
            "FullLobMode": False,
            "LimitedSizeLobMode": True,
            "LobMaxSize": 1_024,
            "BatchApplyEnabled": False,
        },
        "FullLoadSettings": {
            "TargetTablePrepMode": "DO_NOTHING",
            "StopTaskCachedChangesApplied": False,
            "StopTaskCachedChangesNotApplied": False,
            "TransactionConsistencyTimeout": 600,
        },
        "ChangeProcessingDdlHandlingPolicy": {
            "HandleSourceTableDropped": False,
            "HandleSourceTableTruncated": False,
            "HandleSourceTableAltered": True,
        },
        "ErrorBehavior": {
            "DataErrorPolicy": "SUSPEND_TABLE",
            "DataTruncationErrorPolicy": "STOP_TASK",
            "TableErrorPolicy": "STOP_TASK",
            "EventErrorPolicy": "STOP_TASK",
            "ApplyErrorInsertPolicy": "LOG_ERROR",
            "ApplyErrorUpdatePolicy": "LOG_ERROR",
            "ApplyErrorDeletePolicy": "LOG_ERROR",
            "FailOnNoTablesCaptured": True,
            "FailOnTransactionConsistencyBreached": True,
        },
        "ControlTablesSettings": {"StatusTableEnabled": True, "SuspendedTablesTableEnabled": True},
        "Logging": {"EnableLogging": True},
        "ValidationSettings": {"EnableValidation": False},
    }


def table_mappings(tables: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Selections of the tables, each (schema, name), and the sequence of changes for each."""
    rules: list[dict[str, Any]] = []
    for number, (schema, name) in enumerate(tables, start=1):
        rules.append(
            {
                "rule-type": "selection",
                "rule-id": str(number),
                "rule-name": str(number),
                "object-locator": {"schema-name": schema, "table-name": name},
                "rule-action": "include",
                "filters": [],
            }
        )
    for number, (schema, name) in enumerate(tables, start=len(tables) + 1):
        rules.append(sequence_rule(str(number), schema, name))
    return {"rules": rules}
