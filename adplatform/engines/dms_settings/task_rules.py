"""What the task settings must say so that an error stops something instead of dropping rows."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from adplatform.engines.dms_settings.documents import RESUME, Checked
from adplatform.engines.dms_settings.rule import Rule, Severity, Spot
from adplatform.engines.dms_settings.sections import Section
from adplatform.failures import listed

ERROR, WARNING = Severity.ERROR, Severity.WARNING
QUIET_SECONDS = 600
"""DMS's own TransactionConsistencyTimeout."""
_TABLE, _TASK = "SUSPEND_TABLE", "STOP_TASK"
_KB = 1024


def flag(group: str, name: str, wrong: bool) -> Callable[[Checked], Iterator[Spot]]:
    """Where a flag of a group of task settings is ``wrong``."""

    def applies(checked: Checked) -> Iterator[Spot]:
        inner = checked.task.inner(group)
        if inner.flag(name) is wrong:
            yield Spot(inner.where(name), {}, {group: {name: not wrong}})

    return applies


def _policy(name: str, paste: str, *wrong: str) -> Callable[[Checked], Iterator[Spot]]:
    """Where an error policy is one of ``wrong``."""

    def applies(checked: Checked) -> Iterator[Spot]:
        errors = _errors(checked)
        if errors.text(name) in wrong:
            said = errors.text(name) if errors.has(name) else f"{errors.text(name)}, DMS's default"
            yield Spot(errors.where(name), {"name": name, "value": said}, {"ErrorBehavior": {name: paste}})

    return applies


def _errors(checked: Checked) -> Section:
    return checked.task.inner("ErrorBehavior")


def _files_deleted(checked: Checked) -> Iterator[Spot]:
    policy = checked.task.inner("ChangeProcessingDdlHandlingPolicy")
    for name, does in (("HandleSourceTableTruncated", "emptied"), ("HandleSourceTableDropped", "dropped")):
        if checked.changes and policy.flag(name):
            yield Spot(policy.where(name), {"does": does}, {"ChangeProcessingDdlHandlingPolicy": {name: False}})


def _open_transactions(checked: Checked) -> Iterator[Spot]:
    load = checked.task.inner("FullLoadSettings")
    seconds = load.number("TransactionConsistencyTimeout")
    lets_go = not _errors(checked).flag("FailOnTransactionConsistencyBreached")
    if checked.loads and checked.changes and lets_go and seconds < QUIET_SECONDS:
        yield Spot(load.where("TransactionConsistencyTimeout"), {"seconds": seconds})


def _stops_before_changes(checked: Checked) -> Iterator[Spot]:
    if checked.loads and checked.changes and checked.operation.start != RESUME:
        yield from flag("FullLoadSettings", "StopTaskCachedChangesNotApplied", True)(checked)


def _ignores_objects(checked: Checked) -> bool:
    return not checked.task.inner("TargetMetadata").flag("SupportLobs")


def _cut(checked: Checked) -> Iterator[Spot]:
    metadata = checked.task.inner("TargetMetadata")
    limit = metadata.number("LobMaxSize") * _KB
    if checked.source is None or _ignores_objects(checked):
        return
    for table in checked.source.tables:
        longer = {c.name: c.longest for c in table.columns if c.lob and c.longest is not None and c.longest > limit}
        if longer:
            size = 2 * math.ceil(max(longer.values()) / _KB)
            paste = {
                "TargetMetadata": {"SupportLobs": True, "LimitedSizeLobMode": True, "LobMaxSize": size},
                "ErrorBehavior": {"DataTruncationErrorPolicy": _TASK},
            }
            said = listed(f"{name} ({length:,} bytes)" for name, length in sorted(longer.items()))
            words = {"columns": said, "table": table.shown, "limit": metadata.number("LobMaxSize")}
            yield Spot(metadata.where("LobMaxSize"), words, paste)


def _without_objects(checked: Checked) -> Iterator[Spot]:
    columns: list[str] = []
    if checked.source is not None:
        columns = [f"{t.shown}.{c.name}" for t in checked.source.tables for c in t.columns if c.lob]
        if not columns:
            return
    if _ignores_objects(checked):
        said = listed(columns) or "columns of long text, JSON or bytes"
        yield Spot(checked.task.inner("TargetMetadata").where("SupportLobs"), {"columns": said})


def _unwatched(checked: Checked) -> Iterator[Spot]:
    if not checked.operation.watched:
        yield from _policy("TableErrorPolicy", _TASK, _TABLE)(checked)


def _dropped(checked: Checked) -> Iterator[Spot]:
    yield from _policy("EventErrorPolicy", _TASK, "IGNORE")(checked)
    for name in ("ApplyErrorInsertPolicy", "ApplyErrorUpdatePolicy", "ApplyErrorDeletePolicy"):
        yield from _policy(name, "LOG_ERROR", "IGNORE_RECORD")(checked)


def _files_before_load(checked: Checked) -> Iterator[Spot]:
    load = checked.task.inner("FullLoadSettings")
    mode = load.text("TargetTablePrepMode")
    if checked.loads and mode != "DO_NOTHING":
        said = mode if load.has("TargetTablePrepMode") else f"{mode}, which is taken where it is left out"
        yield Spot(load.where("TargetTablePrepMode"), {"mode": said})


def _no_evidence(checked: Checked) -> Iterator[Spot]:
    for name in ("StatusTableEnabled", "SuspendedTablesTableEnabled"):
        yield from flag("ControlTablesSettings", name, False)(checked)


def task(group: str, **settings: Any) -> dict[str, Any]:
    return {group: settings}


RULES = (
    Rule(
        7,
        ERROR,
        _files_deleted,
        "Once a table is {does} at the source, DMS deletes all its files in the bucket, those too that nobody has "
        "read yet.",
    ),
    Rule(
        8,
        WARNING,
        flag("ChangeProcessingDdlHandlingPolicy", "HandleSourceTableAltered", False),
        "Columns that are added at the source never arrive, and nothing says so. What becomes of new columns is for "
        "the contract of the feed to decide.",
    ),
    Rule(
        9,
        ERROR,
        _open_transactions,
        "The load starts after {seconds} seconds although transactions may still be open, whose changes can be lost. "
        "Let it fail instead, or start it when nothing is written.",
        {
            "FullLoadSettings": {"TransactionConsistencyTimeout": QUIET_SECONDS},
            "ErrorBehavior": {"FailOnTransactionConsistencyBreached": True},
        },
    ),
    Rule(
        10,
        ERROR,
        _stops_before_changes,
        "The task stops after the load, and what changed meanwhile arrives only if it is resumed: let it stop later, "
        "or resume it (--start resume-processing says that this is planned).",
        task("FullLoadSettings", StopTaskCachedChangesNotApplied=False, StopTaskCachedChangesApplied=True),
    ),
    Rule(
        11,
        ERROR,
        flag("TargetMetadata", "BatchApplyEnabled", True),
        "Changes are gathered to net changes: their order is lost, and so are updates and deletes of tables without "
        "a key.",
    ),
    Rule(
        12,
        ERROR,
        flag("TargetMetadata", "FullLobMode", True),
        "S3 takes no large objects in full LOB mode: limit their size.",
        task("TargetMetadata", FullLobMode=False, LimitedSizeLobMode=True),
    ),
    Rule(
        13,
        ERROR,
        _cut,
        "{table} has values that are longer than LobMaxSize ({limit} KB): {columns}. They are cut, and their rows "
        "arrive as if they were whole.",
    ),
    Rule(
        14,
        ERROR,
        _without_objects,
        "Without SupportLobs {columns} arrive empty, or their table ends in error.",
        task("TargetMetadata", SupportLobs=True, LimitedSizeLobMode=True),
    ),
    Rule(
        15,
        ERROR,
        _policy("DataErrorPolicy", _TABLE, "LOG_ERROR", "IGNORE_RECORD"),
        "{name} is {value}: a row that cannot be written is left out, and the task stays green. Suspend the table and "
        "watch TablesErrored.",
    ),
    Rule(
        16,
        ERROR,
        _policy("DataTruncationErrorPolicy", _TASK, "LOG_ERROR", "IGNORE_RECORD"),
        "{name} is {value}: values are cut, or their rows left out, and the task stays green.",
    ),
    Rule(
        17,
        WARNING,
        _unwatched,
        "{name} is {value}: a table stops while the task runs on, and nobody is told. Stop the task, or poll the "
        "statistics of its tables (--watched says that somebody does).",
    ),
    Rule(18, WARNING, _dropped, "{name} is {value}: changes are dropped. Log them at least, and count."),
    Rule(
        19,
        ERROR,
        flag("ErrorBehavior", "FailOnNoTablesCaptured", False),
        "A task whose mappings match no table runs, green, and brings nothing.",
    ),
    Rule(
        32,
        ERROR,
        _files_before_load,
        "TargetTablePrepMode is {mode}: when a table is loaded again, files of the load before are deleted, whether "
        "they were read or not. Do nothing, and load into a new folder each time.",
        task("FullLoadSettings", TargetTablePrepMode="DO_NOTHING"),
    ),
    Rule(
        46,
        WARNING,
        _no_evidence,
        "Nothing shows later which tables were suspended, and when: let DMS write its control tables, they come as "
        "awsdms_* beside the data.",
    ),
    Rule(
        47,
        WARNING,
        flag("Logging", "EnableLogging", False),
        "Records that are ignored leave no trace.",
    ),
    Rule(
        48,
        WARNING,
        flag("ValidationSettings", "EnableValidation", True),
        "DMS's own validation of an S3 target is not supported everywhere, and says nothing where keys are "
        "transformed. Counts are compared with the source here.",
    ),
)
