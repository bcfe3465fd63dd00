"""The settings of endpoints and tasks that decide what is written, read as DMS reads them: names in either spelling,
extra connection attributes beside the members of the API, flags also as text. Defaults are those of the API's model and
the user guide ("Endpoint settings when using Amazon S3 as a target", "Specifying task settings").
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TRUE = ("true", "y", "yes", "1")
_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\t": "\t"}
_MOST_BYTES = 64 * 1024 * 1024
"""Of a file: it is made in memory."""
_PARTS = {"YYYY": "%Y", "MM": "%m", "DD": "%d", "HH": "%H"}
_DELIMITERS = {"SLASH": "/", "UNDERSCORE": "_", "DASH": "-", "NONE": ""}


@dataclass(frozen=True)
class Target:
    """S3Settings. ``folder`` is empty or ends in a slash. ``dates`` is the format of the folders by date, empty for
    none; ``transactions`` the folder of files with whole transactions, None for files by table. ``interval`` is in
    seconds."""

    bucket: str
    folder: str
    parquet: bool
    gzip: bool
    header: bool
    op_in_load: bool
    operations: str
    timestamp: str
    one_load_time: bool
    null: str
    quoted: bool
    delimiter: str
    row_delimiter: str
    dates: str
    zone: str
    transactions: str | None
    most_bytes: int
    interval: int
    least_bytes: int
    milliseconds: bool

    @property
    def op_in_changes(self) -> bool:
        """Where operations are left out, the column goes with IncludeOpForFullLoad."""
        return self.operations == "IUD" or self.op_in_load

    @property
    def suffix(self) -> str:
        return ".parquet" if self.parquet else ".csv.gz" if self.gzip else ".csv"


@dataclass(frozen=True)
class Source:
    """PostgreSQLSettings. Two are attributes of the stand-in's own, by which this source is as others are:
    ``simulatedKeyUpdates=split`` (``splits_key_updates``), an update of the key comes as D and I and is not dropped;
    ``simulatedTruncations=count`` (``counts_truncations``), a TRUNCATE is captured, and counted."""

    trims: bool
    maps_booleans: bool
    heartbeat: bool
    fails_on_truncation: bool
    splits_key_updates: bool
    counts_truncations: bool


@dataclass(frozen=True)
class Options:
    """Settings of the task. ``lob_bytes`` is 0 where large objects are not supported."""

    lob_bytes: int
    deletes_before_load: bool
    follows_new_columns: bool
    fails_without_tables: bool
    stops_after_load: bool
    stops_after_cached: bool
    control_tables: frozenset[str]
    control_folder: str


class _Values:
    def __init__(self, found: Mapping[str, Any] | None, attributes: str | None = None) -> None:
        pairs = (part.partition("=") for part in (attributes or "").split(";"))
        written = {name.strip().casefold(): value for name, _, value in pairs}
        self._found = written | {k.casefold(): v for k, v in (found or {}).items() if v is not None}

    def text(self, name: str, default: str = "") -> str:
        return str(self._found.get(name.casefold(), default))

    def number(self, name: str, default: int) -> int:
        return int(self._found.get(name.casefold(), default))

    def flag(self, name: str, default: bool = False) -> bool:
        return str(self._found.get(name.casefold(), default)).strip().lower() in _TRUE

    def inner(self, name: str) -> "_Values":
        found = self._found.get(name.casefold())
        return _Values(found if isinstance(found, Mapping) else {})


def target(settings: Mapping[str, Any] | None, attributes: str | None) -> Target:
    """
    Raises:
        ValueError: a number is none, or there is no bucket.
    """
    of = _Values(settings, attributes)
    if not of.text("BucketName"):
        raise ValueError("the target endpoint names no bucket")
    only = "I" if of.flag("CdcInsertsOnly") else "IU" if of.flag("CdcInsertsAndUpdates") else "IUD"
    whole = of.flag("PreserveTransactions") and of.text("CdcPath")
    return Target(
        of.text("BucketName"),
        _folder(of.text("BucketFolder")),
        of.text("DataFormat").lower() == "parquet",
        of.text("CompressionType").lower() == "gzip",
        of.flag("AddColumnName"),
        of.flag("IncludeOpForFullLoad"),
        only,
        of.text("TimestampColumnName"),
        of.flag("UseTaskStartTimeForFullLoadTimestamp"),
        of.text("CsvNullValue", "NULL"),
        of.flag("Rfc4180", True),
        _unescaped(of.text("CsvDelimiter", ",")),
        _unescaped(of.text("CsvRowDelimiter", "\n")),
        _dates(of) if of.flag("DatePartitionEnabled") else "",
        of.text("DatePartitionTimezone") or "UTC",
        _folder(of.text("CdcPath")) if whole else None,
        min(of.number("MaxFileSize", 1_048_576) * 1024, _MOST_BYTES),
        of.number("CdcMaxBatchInterval", 60),
        of.number("CdcMinFileSize", 32_000) * 1024,
        of.flag("ParquetTimestampInMillisecond"),
    )


def source(settings: Mapping[str, Any] | None, attributes: str | None) -> Source:
    of = _Values(settings, attributes)
    return Source(
        of.flag("TrimSpaceInChar", True),
        of.flag("MapBooleanAsBoolean"),
        of.flag("HeartbeatEnable"),
        of.flag("FailTasksOnLobTruncation"),
        of.text("simulatedKeyUpdates") == "split",
        of.text("simulatedTruncations") == "count",
    )


def options(text: str) -> Options:
    """
    Raises:
        ValueError: they are no JSON object, or a number is none.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("the task settings are no JSON object")
    of = _Values(found)
    loads, metadata, control = (of.inner(n) for n in ("FullLoadSettings", "TargetMetadata", "ControlTablesSettings"))
    tables = {"StatusTableEnabled": "awsdms_status", "SuspendedTablesTableEnabled": "awsdms_suspended_tables"}
    tables["HistoryTableEnabled"] = "awsdms_history"
    return Options(
        metadata.number("LobMaxSize", 32) * 1024 if metadata.flag("SupportLobs", True) else 0,
        loads.text("TargetTablePrepMode", "DROP_AND_CREATE") != "DO_NOTHING",
        of.inner("ChangeProcessingDdlHandlingPolicy").flag("HandleSourceTableAltered", True),
        of.inner("ErrorBehavior").flag("FailOnNoTablesCaptured"),
        loads.flag("StopTaskCachedChangesNotApplied"),
        loads.flag("StopTaskCachedChangesApplied"),
        frozenset(name for setting, name in tables.items() if control.flag(setting)),
        _folder(control.text("ControlSchema")),
    )


def _folder(text: str) -> str:
    inner = text.strip("/")
    return f"{inner}/" if inner else ""


def _unescaped(text: str) -> str:
    for written, meant in _ESCAPES.items():
        text = text.replace(written, meant)
    return text


def _dates(of: _Values) -> str:
    sequence = of.text("DatePartitionSequence", "YYYYMMDD").upper()
    parts = []
    while sequence:
        part = next((each for each in _PARTS if sequence.startswith(each)), "")
        if not part:
            raise ValueError(f"no sequence of dates: {sequence}")
        parts.append(_PARTS[part])
        sequence = sequence[len(part) :]
    return _DELIMITERS[of.text("DatePartitionDelimiter", "SLASH").upper()].join(parts) + "/"
