"""What a PostgreSQL source must keep and log."""

from collections.abc import Iterator

from adplatform.engines.dms_settings.documents import Checked
from adplatform.engines.dms_settings.rule import Rule, Severity, Spot
from adplatform.engines.dms_settings.sources import PostgresSource, Slot, SourceTable
from adplatform.failures import listed

ERROR, WARNING = Severity.ERROR, Severity.WARNING
KEPT_LOG_MB = 1_024
"""Less than this is too small for max_slot_wal_keep_size: a load or a night without DMS exceeds it."""
LAG_SHARE = 0.5
"""How much of the kept log a slot may be behind."""
_NO_LIMIT_LAG_MB = 10_240
_MB = 1024**2
_KEPT = "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'"


def _logged(checked: Checked) -> PostgresSource | None:
    """The source, where its log is read."""
    return checked.source if isinstance(checked.source, PostgresSource) and checked.changes else None


def _tables(source: PostgresSource | None) -> Iterator[tuple[str, SourceTable]]:
    """Its tables, and where each is."""
    if source is not None:
        yield from ((f"{source.place}: {table.shown}", table) for table in source.tables)


def _no_logical_log(checked: Checked) -> Iterator[Spot]:
    source = _logged(checked)
    if source is not None and source.wal_level != "logical":
        yield Spot(source.place, {"level": source.wal_level})


def _without_identity(checked: Checked) -> Iterator[Spot]:
    for where, table in _tables(_logged(checked)):
        if table.identity == "nothing" or (table.identity == "default" and not table.key):
            why = "has REPLICA IDENTITY NOTHING" if table.identity == "nothing" else "has no primary key"
            yield Spot(where, {"table": table.shown, "sql": table.sql, "why": why})


def _toasted(checked: Checked) -> Iterator[Spot]:
    for where, table in _tables(_logged(checked)):
        wide = [column.name for column in table.columns if column.wide]
        if wide and table.identity in ("default", "index"):
            words = {"table": table.shown, "sql": table.sql, "columns": listed(wide)}
            yield Spot(where, words)


def _rounded(checked: Checked) -> Iterator[Spot]:
    for where, table in _tables(checked.source if isinstance(checked.source, PostgresSource) else None):
        unbounded = [column.name for column in table.columns if column.unbounded]
        if unbounded:
            words = {"table": table.shown, "columns": listed(unbounded)}
            yield Spot(where, words)


def _slot_at_risk(checked: Checked) -> Iterator[Spot]:
    endpoint = checked.endpoint
    if (
        checked.changes
        and endpoint is not None
        and endpoint.is_postgres
        and not endpoint.settings.flag("HeartbeatEnable")
    ):
        why = "Without a heartbeat an idle database's slot keeps ever more log."
        paste = {"PostgreSQLSettings": {"HeartbeatEnable": True, "HeartbeatFrequency": 5}}
        yield Spot(endpoint.settings.where("HeartbeatEnable"), {"why": why}, paste)
    source = _logged(checked)
    if source is None:
        return
    keeps = source.keeps_mb
    if keeps == -1:
        why = f"max_slot_wal_keep_size has no limit: a slot that nobody reads fills the disk. Limit it, {_KEPT};"
        yield Spot(source.place, {"why": f"{why} and watch the lag."})
    elif keeps is not None and keeps < KEPT_LOG_MB:
        why = f"max_slot_wal_keep_size is {keeps:,} MB: the slot is lost while DMS loads or rests. {_KEPT};"
        yield Spot(source.place, {"why": f"{why} and watch the lag."})
    for slot in source.slots:
        if why := _slot(slot, keeps):
            yield Spot(f"{source.place}: slot {slot.name}", {"why": why})


def _slot(slot: Slot, keeps_mb: int | None) -> str:
    """What is wrong with a slot; empty if nothing."""
    if slot.status in ("lost", "unreserved") or slot.behind is None:
        return f"Slot {slot.name} is {slot.status or 'lost'}: the log that it needs is gone. Load the tables anew."
    limit = _NO_LIMIT_LAG_MB if keeps_mb in (None, -1) else keeps_mb
    if slot.behind > LAG_SHARE * (limit or 0) * _MB:
        reader = "" if slot.active else ", and nobody reads it"
        return f"Slot {slot.name} is {slot.behind / _MB:,.0f} MB behind{reader}: it will be lost, or fill the disk."
    return ""


def _blind_to_ddl(checked: Checked) -> Iterator[Spot]:
    endpoint = checked.endpoint
    if checked.changes and endpoint is not None and endpoint.is_postgres and not endpoint.settings.flag("CaptureDdls"):
        yield Spot(endpoint.settings.where("CaptureDdls"))


RULES = (
    Rule(
        36,
        ERROR,
        _without_identity,
        "{table} {why}: its updates and deletes are ignored. Add a primary key, or "
        "ALTER TABLE {sql} REPLICA IDENTITY FULL.",
    ),
    Rule(
        37,
        WARNING,
        _toasted,
        "{table} logs only its key of the row before: where an update leaves {columns} alone, a long value comes as "
        "NULL. ALTER TABLE {sql} REPLICA IDENTITY FULL.",
    ),
    Rule(
        38,
        WARNING,
        _rounded,
        "{table} has numeric without precision ({columns}), which DMS takes for numeric(28,6): more digits are "
        "rounded, or do not fit. Declare a precision.",
    ),
    Rule(39, ERROR, _slot_at_risk, "{why}"),
    Rule(
        40,
        WARNING,
        _blind_to_ddl,
        "DMS does not see that columns change. It needs the right to make its trigger for that.",
        {"PostgreSQLSettings": {"CaptureDdls": True}},
    ),
    Rule(
        49,
        ERROR,
        _no_logical_log,
        "wal_level is {level}: no changes can be read. ALTER SYSTEM SET wal_level = 'logical', and start the server "
        "anew; for Amazon RDS set rds.logical_replication to 1.",
    ),
)
