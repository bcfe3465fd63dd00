"""What a job elsewhere has to read of a table, as an object of the raw zone. It names secrets and holds none."""

from datetime import timedelta

from adplatform.contracts.strict import Strict
from adplatform.extract.reading import Reading
from adplatform.extract.table import Table
from adplatform.lake.zones import Zones

RUN = ".run"
"""What the key of a plan ends with where the run that has it says so."""


class Plan(Strict):
    """One reading of one table. ``landing`` and ``manifests`` are prefixes in ``bucket``. Of a table with a ``cursor``
    what lies above ``stopped`` is read, less the lag; ``stopped`` is text as ``write_cursor`` makes it."""

    name: str
    bucket: str
    kms_key_id: str | None
    landing: str
    manifests: str
    connection: str
    authority: str | None
    verified: bool
    statement_timeout: timedelta
    workers: int
    rows_per_second: int | None
    reading: Reading
    cursor: str | None
    lag: timedelta
    lag_count: int
    stopped: str = ""


def plan_of(table: Table, zones: Zones, stopped: str) -> Plan:
    """The plan for the next reading of a table, of which the last one ``stopped`` there."""
    declared, feed, incremental = table.declared, table.feed, table.feed.incremental
    return Plan(
        name=table.name,
        bucket=zones.raw_bucket,
        kms_key_id=zones.kms_key_id,
        landing=f"{zones.landing(declared.source)}{feed.name}/",
        manifests=zones.extract_manifests(declared.source, feed.name),
        connection=declared.connection,
        authority=declared.authority,
        verified=declared.verified,
        statement_timeout=declared.statement_timeout,
        workers=declared.workers,
        rows_per_second=declared.rows_per_second,
        reading=table.reading(),
        cursor=table.cursor,
        lag=incremental.lag if incremental else timedelta(0),
        lag_count=incremental.lag_count if incremental else 0,
        stopped=stopped,
    )
