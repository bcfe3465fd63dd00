"""What a source of MySQL, MariaDB, SQL Server or Oracle must keep and log."""

from collections.abc import Iterator

from adplatform.engines.dms_settings.documents import Checked
from adplatform.engines.dms_settings.rule import Rule, Severity, Spot
from adplatform.engines.dms_settings.sources import MySqlSource, OracleSource, SqlServerSource

ERROR = Severity.ERROR
KEPT_HOURS = 24
_MYSQL = "binlog_format=ROW, binlog_row_image=FULL, and logs kept for at least 24 hours"


def _binary_log(checked: Checked) -> Iterator[Spot]:
    source = checked.source
    if not isinstance(source, MySqlSource) or not checked.changes:
        return
    wrong = []
    if not source.log_bin:
        wrong.append("log_bin is off")
    if source.binlog_format.upper() != "ROW":
        wrong.append(f"binlog_format is {source.binlog_format}")
    if source.row_image.upper() != "FULL":
        wrong.append(f"binlog_row_image is {source.row_image}")
    if source.retention_hours is not None and source.retention_hours < KEPT_HOURS:
        wrong.append(f"logs are kept for {source.retention_hours:g} hours")
    if wrong:
        kept = (
            "CALL mysql.rds_set_configuration('binlog retention hours', 72);"
            if source.managed
            else "SET GLOBAL binlog_expire_logs_seconds = 259200;"
        )
        yield Spot(source.place, {"wrong": "; ".join(wrong), "kept": kept})


def _not_captured(checked: Checked) -> Iterator[Spot]:
    source = checked.source
    if not isinstance(source, SqlServerSource) or not checked.changes:
        return
    if source.recovery_model.upper() == "SIMPLE":
        why = "The recovery model is SIMPLE: the log is truncated before DMS has read it. Take FULL."
        yield Spot(source.place, {"why": why})
    for table in source.tables:
        if not (source.captures and table.captured):
            why = f"{table.shown} is neither published by MS-REPLICATION nor captured by MS-CDC."
            yield Spot(f"{source.place}: {table.shown}", {"why": why})


def _no_supplement(checked: Checked) -> Iterator[Spot]:
    source = checked.source
    if not isinstance(source, OracleSource) or not checked.changes:
        return
    if not source.logs_minimal:
        why = "Supplemental logging is off: ALTER DATABASE ADD SUPPLEMENTAL LOG DATA."
        yield Spot(source.place, {"why": why})
    if not source.archives:
        yield Spot(source.place, {"why": "The database is in NOARCHIVELOG mode: changes are overwritten unread."})
    if source.archive_hours is not None and source.archive_hours < KEPT_HOURS:
        why = f"Archived logs are kept for {source.archive_hours:g} hours: after a longer rest changes are gone."
        yield Spot(source.place, {"why": f"{why} Keep them for at least {KEPT_HOURS}."})
    for table in source.tables:
        if not table.logs_all:
            lacks = "the columns that did not change" if table.logs_key else "even its key"
            why = f"Updates of {table.shown} come without {lacks}"
            yield Spot(
                f"{source.place}: {table.shown}",
                {"why": f"{why}: ALTER TABLE {table.sql} ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS."},
            )


RULES = (
    Rule(
        41,
        ERROR,
        _binary_log,
        f"{{wrong}}: columns are missing from changes, or changes are gone before they are read. Wanted: {_MYSQL} "
        "(SET GLOBAL binlog_format = 'ROW'; SET GLOBAL binlog_row_image = 'FULL'; {kept}).",
    ),
    Rule(
        42,
        ERROR,
        _not_captured,
        "{why} Changes are lost that way: enable capture for every table, and let the endpoint's SafeguardPolicy keep "
        "the log until it is read.",
    ),
    Rule(43, ERROR, _no_supplement, "{why}"),
)
