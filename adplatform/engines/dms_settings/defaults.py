"""The settings that rules ask for, and what DMS takes where one is absent.

From the API's model (S3Settings, PostgreSQLSettings) and the user guide ("Specifying task settings"). Where the guide
says nothing (DDL handling, EventErrorPolicy, control tables), it is what tasks show that were made without it; where
its editions differ (FailOnNoTablesCaptured, ApplyErrorDeletePolicy, TargetTablePrepMode), the value that loses data,
so that leaving it out is never safer than writing it down.
"""

from collections.abc import Mapping

from adplatform.engines.dms_settings.sections import Setting, Settings

_RECORD = ("IGNORE_RECORD", "LOG_ERROR", "SUSPEND_TABLE", "STOP_TASK")
_APPLY = (*_RECORD, "INSERT_RECORD", "UPDATE_RECORD")

S3_SETTINGS: Settings = {
    "BucketName": Setting(""),
    "BucketFolder": Setting(""),
    "DataFormat": Setting("csv", ("csv", "parquet")),
    "CdcInsertsOnly": Setting(False),
    "CdcInsertsAndUpdates": Setting(False),
    "IncludeOpForFullLoad": Setting(False),
    "TimestampColumnName": Setting(""),
    "UseTaskStartTimeForFullLoadTimestamp": Setting(False),
    "ParquetTimestampInMillisecond": Setting(False),
    "PreserveTransactions": Setting(False),
    "CdcPath": Setting(""),
    "AddColumnName": Setting(False),
    "GlueCatalogGeneration": Setting(False),
    "CsvNullValue": Setting("NULL"),
    "Rfc4180": Setting(True),
    "UseCsvNoSupValue": Setting(False),
    "CsvNoSupValue": Setting(""),
    "DatePartitionEnabled": Setting(False),
    "DatePartitionTimezone": Setting(""),
    "MaxFileSize": Setting(1_048_576),  # KB
    "CdcMaxBatchInterval": Setting(60),  # seconds
    "CdcMinFileSize": Setting(32_000),  # KB
}
TASK_SETTINGS: Mapping[str, Settings] = {
    "TargetMetadata": {
        "SupportLobs": Setting(True),
        "FullLobMode": Setting(False),
        "LimitedSizeLobMode": Setting(True),
        "LobMaxSize": Setting(32),  # KB
        "BatchApplyEnabled": Setting(False),
    },
    "FullLoadSettings": {
        "TargetTablePrepMode": Setting("DROP_AND_CREATE", ("DO_NOTHING", "DROP_AND_CREATE", "TRUNCATE_BEFORE_LOAD")),
        "StopTaskCachedChangesApplied": Setting(False),
        "StopTaskCachedChangesNotApplied": Setting(False),
        "TransactionConsistencyTimeout": Setting(600),  # seconds
    },
    "ChangeProcessingDdlHandlingPolicy": {
        "HandleSourceTableDropped": Setting(True),
        "HandleSourceTableTruncated": Setting(True),
        "HandleSourceTableAltered": Setting(True),
    },
    "ErrorBehavior": {
        "DataErrorPolicy": Setting("LOG_ERROR", _RECORD),
        "DataTruncationErrorPolicy": Setting("LOG_ERROR", _RECORD),
        "TableErrorPolicy": Setting("SUSPEND_TABLE", ("SUSPEND_TABLE", "STOP_TASK")),
        "EventErrorPolicy": Setting("IGNORE", ("IGNORE", "STOP_TASK")),
        "ApplyErrorInsertPolicy": Setting("LOG_ERROR", _APPLY),
        "ApplyErrorUpdatePolicy": Setting("LOG_ERROR", _APPLY),
        "ApplyErrorDeletePolicy": Setting("IGNORE_RECORD", _APPLY),
        "FailOnNoTablesCaptured": Setting(False),
        "FailOnTransactionConsistencyBreached": Setting(False),
    },
    "ControlTablesSettings": {
        "StatusTableEnabled": Setting(False),
        "SuspendedTablesTableEnabled": Setting(False),
    },
    "Logging": {"EnableLogging": Setting(False)},
    "ValidationSettings": {"EnableValidation": Setting(False)},
}
SOURCE_SETTINGS: Settings = {
    "HeartbeatEnable": Setting(False),
    "CaptureDdls": Setting(True),
}
SOURCE_OBJECTS = {
    "postgres": "PostgreSQLSettings",
    "aurora-postgresql": "PostgreSQLSettings",
    "mysql": "MySQLSettings",
    "mariadb": "MySQLSettings",
    "aurora": "MySQLSettings",
    "sqlserver": "MicrosoftSQLServerSettings",
    "babelfish": "MicrosoftSQLServerSettings",
    "oracle": "OracleSettings",
}
"""Which member of an endpoint holds the settings of an engine."""
