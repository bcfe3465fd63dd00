"""The transform on Spark: the statements of a contract over raw text that is already split into columns.

Runs on any Spark session, Connect or classic (Glue, EMR Serverless, Sail); nothing here needs pyspark to be installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.privacy import spark as privacy
from adplatform.privacy.keys import HashKey
from adplatform.privacy.spark import KeyLoader
from adplatform.transform.compile import Statements, compile_contract, no_text, partition_column
from adplatform.transform.dialect import to_spark
from adplatform.transform.rejects import SWALLOWED, too_many_lines
from adplatform.transform.undeclared import judged
from adplatform.transform.values import FileCount, Withheld

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    # The default, INT96, has no statistics and no time zone.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}


_SWALLOWED_LINES = (
    "select _file, explode(slice(lines, 2, size(lines))) as text from (select _file,"
    r" split(regexp_replace(_corrupt_record, '[\\r\\n]+$', ''), '\\r?\\n') as lines"
    " from received where _corrupt_record is not null)"
)
"""Lines of records that could not be split, but for their first: see ``adplatform.transform.rejects.Reject``."""


@dataclass(frozen=True)
class SparkResult:
    """``clean`` has the output columns and the partition column; ``quarantine`` has ``QUARANTINE_COLUMNS``."""

    clean: "DataFrame"
    quarantine: "DataFrame"
    withheld: tuple[Withheld, ...] = ()
    """The undeclared columns of which values are not stored."""


def transform(
    spark: "SparkSession",
    contract: Contract,
    raw: "DataFrame",
    origins: Mapping[int, str],
    key: HashKey | None,
    load_key: KeyLoader | None = None,
    previous: HashKey | None = None,
    load_previous: KeyLoader | None = None,
    undeclared: Mapping[str, str] = MappingProxyType({}),
) -> SparkResult:
    """The clean and the quarantined rows, to be computed when they are written.

    ``raw`` has each read column as text under its contract name, ``_file`` (a key of ``origins``), ``_row`` (grows
    along each file) and ``_corrupt_record`` (the text of a record that could not be split, its columns then NULL); of
    columns that may be bytes also whether a value is no text.
    ``load_key`` lets Python workers in other processes have the key. With ``previous`` the digests under that key stand
    beside those under ``key``. ``undeclared`` are the columns that ``schema_policy: evolve`` took in, with what each
    may be called.

    Raises:
        PermanentFailure: the contract cannot be computed, or needs a key that is not there.
    """
    if contract.needs_key and key is None:
        raise PermanentFailure("the contract hashes personal data and no hashing key was given; nothing was read")
    for name, value in _SETTINGS.items():
        spark.conf.set(name, value)
    if any(True for _ in contract.pii_columns()):
        privacy.register(spark, key, load_key, previous, load_previous)
    key_id, previous_id = key.id if key else None, previous.id if previous else None
    raw.createOrReplaceTempView("received")
    readable = "(select * from received where _corrupt_record is null)"
    out = judged(contract, undeclared, readable, lambda sql: spark.sql(to_spark(sql)).collect(), typed=False)
    of_bytes = [c.name for c in out.contract.read_columns if no_text(c.name) in raw.columns]
    statements = compile_contract(out.contract, key_id, ("_file", "_row"), previous_id, out.files, of_bytes)
    spark.sql(_SWALLOWED_LINES).createOrReplaceTempView("swallowed")
    spark.createDataFrame(list(origins.items()), "_file int, _origin string").createOrReplaceTempView("files")
    views = {
        "raw": "select * from received where _corrupt_record is null",
        "validated": statements.validate,
        "latest": _latest(statements),
    }
    for name, sql in views.items():
        spark.sql(to_spark(sql)).createOrReplaceTempView(name)
    clean, quarantine = (spark.sql(to_spark(sql)) for sql in (statements.clean, _quarantine(statements)))
    return SparkResult(clean, quarantine, out.withheld)


def _latest(statements: Statements) -> str:
    good = "select * from validated where _reasons = ''"
    if not statements.key:
        return good
    place = f"row_number() over (partition by {', '.join(statements.key)} order by {statements.latest_first})"
    return f"select * from (select *, {place} as _place from ({good})) where _place = 1"


def _quarantine(statements: Statements) -> str:
    structural = (
        "select _file, cast(null as bigint) as line, cast(null as bigint) as byte_position,"
        " string_split('column_count', ';') as reasons, _corrupt_record as raw, cast(null as varchar) as fields"
        " from received where _corrupt_record is not null"
    )
    swallowed = (
        "select _file, cast(null as bigint) as line, cast(null as bigint) as byte_position,"
        f" string_split('{SWALLOWED}', ';') as reasons, text as raw, cast(null as varchar) as fields from swallowed"
    )
    values = (
        "select _file, cast(null as bigint) as line, cast(null as bigint) as byte_position, reasons,"
        f" cast(null as varchar) as raw, fields from ({statements.quarantine})"
    )
    return (
        "select _origin as source_file, line, byte_position, reasons, raw, fields"
        f" from ({structural} union all {swallowed} union all {values}) join files using (_file)"
    )


def stage(spark: "SparkSession", contract: Contract, result: SparkResult, output: str) -> tuple[FileCount, ...]:
    """Write ``clean/`` and ``quarantine/`` as Parquet below ``output``, where nothing may be yet, and count.

    ``superseded`` is what is good and not in the files written; it is checked against the key.

    Raises:
        BadFile: a record has more lines than the format allows.
        PermanentFailure: a row is not accounted for.
    """
    _require_short_records(spark, contract)
    partition = partition_column(contract)
    writer = result.clean.write.option("compression", "snappy").mode("error")
    (writer.partitionBy(partition.name) if partition else writer).parquet(f"{output}/clean")
    result.quarantine.write.option("compression", "snappy").mode("error").parquet(f"{output}/quarantine")
    received = _by_origin(
        spark,
        "select _origin, count(*) from (select _file from received union all select _file from swallowed)"
        " join files using (_file) group by _origin",
    )
    good = _by_origin(
        spark, "select _origin, count(*) from validated join files using (_file) where _reasons = '' group by _origin"
    )
    left_out = (
        _by_origin(
            spark,
            "select _origin, count(*) from validated join files using (_file) where _reasons is null group by _origin",
        )
        if contract.skip_rows_where
        else {}
    )
    clean = _written(spark, f"{output}/clean", "_source_file")
    quarantined = _written(spark, f"{output}/quarantine", "source_file")
    counts = tuple(
        FileCount(
            origin,
            rows,
            clean.get(origin, 0),
            good.get(origin, 0) - clean.get(origin, 0),
            quarantined.get(origin, 0),
            left_out.get(origin, 0),
        )
        for origin, rows in received.items()
    )
    for count in counts:
        if not count.is_whole or count.superseded < 0 or (count.superseded and not contract.key):
            raise PermanentFailure(f"{count.origin}: rows are not accounted for: {count}")
    return counts


def _require_short_records(spark: "SparkSession", contract: Contract) -> None:
    fmt = contract.format
    if fmt.kind != "csv" or not fmt.quote:
        return
    texts = ("_corrupt_record", *(column.name for column in contract.read_columns))
    breaks = " + ".join(f"coalesce(length(`{t}`) - length(replace(`{t}`, '\n', '')), 0)" for t in texts)
    longest = _by_origin(
        spark, f"select _origin, max({breaks}) from received join files using (_file) group by _origin"
    )
    for origin in (origin for origin, most in longest.items() if most >= fmt.max_record_lines):
        raise too_many_lines(origin, None, fmt)


def _by_origin(spark: "SparkSession", sql: str) -> dict[str, int]:
    return {row[0]: row[1] for row in spark.sql(sql).collect()}


def _written(spark: "SparkSession", path: str, column: str) -> dict[str, int]:
    return {row[0]: row[1] for row in spark.read.parquet(path).groupBy(column).count().collect()}


def reasons(spark: "SparkSession", quarantine: str) -> dict[str, int]:
    """How many rows of a staged quarantine have each reason."""
    spark.read.parquet(quarantine).selectExpr("explode(reasons) as reason").createOrReplaceTempView("given_reasons")
    return _by_origin(spark, "select reason, count(*) from given_reasons group by reason")
