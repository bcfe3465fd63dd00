"""The transform on Spark: the statements of a contract over raw text that is already split into columns.

Runs on any Spark session, Connect or classic (Glue, EMR Serverless, Sail); nothing here needs pyspark to be installed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.privacy import spark as privacy
from adplatform.privacy.keys import HashKey
from adplatform.privacy.outputs import personal_outputs
from adplatform.privacy.spark import KeyLoader
from adplatform.transform import spark_files
from adplatform.transform.compile import Statements, compile_contract, emptied_counts, no_text, partition_column
from adplatform.transform.dialect import to_spark
from adplatform.transform.job_plan import WrittenFile
from adplatform.transform.rules import identifier
from adplatform.transform.undeclared import judged
from adplatform.transform.values import FileCount, Withheld

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    # The default, INT96, has no statistics and no time zone.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Spark takes what Python makes of a range for as small as the range, and would hold all rows of a delivery in the
    # memory of one process; so it looks at what has come before it sends a table to all others.
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.adaptive.autoBroadcastJoinThreshold": "10MB",
}


LINE = "line:"
"""The column with the line in which a row begins, which no column of a contract can be called."""
REJECT_COLUMNS = "_file bigint, line bigint, byte_position bigint, reasons string, raw string"
"""``reasons`` are divided by ``;``."""


@dataclass(frozen=True)
class SparkResult:
    """``clean`` has the output columns and the partition column, ``quarantine`` has ``QUARANTINE_COLUMNS``, and
    ``contract`` stores what may be stored."""

    contract: Contract
    clean: "DataFrame"
    quarantine: "DataFrame"
    withheld: tuple[Withheld, ...] = ()
    """The undeclared columns of which values are not stored."""
    emptied: str = ""
    """As of ``Statements``."""


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
    rejects: "DataFrame | None" = None,
    keep: Callable[["DataFrame"], "DataFrame"] | None = None,
) -> SparkResult:
    """The clean and the quarantined rows, to be computed when they are written.

    ``raw`` has each read column as text under its contract name, ``_file`` (a key of ``origins``), ``_row`` (grows
    along each file) and ``LINE``, and of columns that may be bytes whether a value is no text. ``rejects`` are the
    records that could not be split, with the columns of ``REJECT_COLUMNS``; none without. ``load_key`` lets Python
    workers in other processes have the key. With ``previous`` the digests under that key stand beside those under
    ``key``. ``undeclared`` are the columns that ``schema_policy: evolve`` took in, with what each may be called.
    ``keep`` puts rows where they are not computed anew for each use; without it they are.

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
    raw.createOrReplaceTempView("raw")
    (spark.createDataFrame([], REJECT_COLUMNS) if rejects is None else rejects).createOrReplaceTempView("rejects")
    out = judged(contract, undeclared, "raw", lambda sql: spark.sql(to_spark(sql)).collect(), typed=False)
    of_bytes = [c.name for c in out.contract.read_columns if no_text(c.name) in raw.columns]
    carried = ("_file", "_row", identifier(LINE))
    statements = compile_contract(out.contract, key_id, carried, previous_id, out.files, of_bytes)
    files = spark.createDataFrame(list(origins.items()), "_file bigint, _origin string")
    files.hint("broadcast").createOrReplaceTempView("files")
    _view(spark, "validated", statements.validate)
    if keep:
        keep(spark.table("validated")).createOrReplaceTempView("validated")
    _view(spark, "superseded", _superseded(statements))
    _view(spark, "latest", _latest(statements))
    clean, quarantine = (spark.sql(to_spark(sql)) for sql in (statements.clean, _quarantine(statements)))
    return SparkResult(out.contract, clean, quarantine, out.withheld, statements.emptied)


def _view(spark: "SparkSession", name: str, sql: str) -> None:
    spark.sql(to_spark(sql)).createOrReplaceTempView(name)


def _superseded(statements: Statements) -> str:
    """The rows that a later one of their key replaces.

    Few are, so the window runs only over keys whose hash occurs twice, and these are counted in parts: what has a key
    that half of all rows have does not come together in one task.
    """
    if not statements.key:
        return "select _file, _row from validated where false"
    key = ", ".join(statements.key)
    repeated = (
        f"select _hash from (select xxhash64({key}) as _hash from validated where _reasons = '') group by _hash"
        " having count(*) > 1"
    )
    place = f"row_number() over (partition by {key} order by {statements.latest_first}) as _place"
    return (
        f"select _file, _row from (select _file, _row, {place} from validated"
        f" where _reasons = '' and xxhash64({key}) in ({repeated})) where _place > 1"
    )


def _latest(statements: Statements) -> str:
    good = "select * from validated where _reasons = ''"
    if not statements.key:
        return good
    return f"select * from ({good}) anti join superseded using (_file, _row)"


def _quarantine(statements: Statements) -> str:
    structural = (
        "select _file, line, byte_position, string_split(reasons, ';') as reasons, raw, cast(null as varchar) as fields"
        " from rejects"
    )
    values = (
        f"select _file, {identifier(LINE)} as line, cast(null as bigint) as byte_position, reasons,"
        f" cast(null as varchar) as raw, fields from ({statements.quarantine})"
    )
    return (
        "select _origin as source_file, line, byte_position, reasons, raw, fields"
        f" from ({structural} union all {values}) join files using (_file)"
    )


@dataclass(frozen=True)
class Stages:
    """What was written; ``reasons`` counts the quarantined rows by them, ``emptied`` is as of ``Staged``."""

    clean: tuple[WrittenFile, ...]
    quarantine: tuple[WrittenFile, ...]
    counts: tuple[FileCount, ...]
    reasons: Mapping[str, int]
    emptied: Mapping[str, int]


def stage(
    spark: "SparkSession",
    result: SparkResult,
    output: str,
    region: str,
    origins: Mapping[int, str],
    left_out: Mapping[int, int] = MappingProxyType({}),
    rejects: Mapping[int, int] = MappingProxyType({}),
) -> Stages:
    """Write ``clean/`` and ``quarantine/`` as Parquet below ``output``, which ends with ``/``, and count.

    ``left_out`` are lines of a file that are in none of its rows on purpose, ``rejects`` those that could not be split.

    Raises:
        PermanentFailure: a row is not accounted for.
    """
    partition = partition_column(result.contract)
    personal = personal_outputs(result.contract)
    clean = spark_files.write(result.clean, f"{output}clean/", region, partition.name if partition else "", personal)
    quarantine = spark_files.write(result.quarantine, f"{output}quarantine/", region)
    rows = {
        int(file): (int(every), int(bad), int(out))
        for file, every, bad, out in spark.sql(
            "select _file, count(*), count(case when _reasons <> '' then 1 end),"
            " count(case when _reasons is null then 1 end) from validated group by _file"
        ).collect()
    }
    superseded = _counted(spark, "select _file, count(*) from superseded group by _file") if result.contract.key else {}
    found = _by_value(spark_files.read(spark, clean, "_source_file string", region, ["_source_file"])) if clean else {}
    bad = sum(bad for _, bad, _ in rows.values()) + sum(rejects.get(file, 0) for file in origins)
    if (stored := sum(file.rows for file in quarantine)) != bad:
        raise PermanentFailure(f"{bad} rows are to be quarantined and {stored} were written")
    counts = []
    for file, origin in origins.items():
        every, bad, skipped = rows.get(file, (0, 0, 0))
        lines, out = rejects.get(file, 0), left_out.get(file, 0)
        good = (found.get(origin, 0), superseded.get(file, 0))
        count = FileCount(origin, every + lines + out, *good, bad + lines, skipped + out)
        if not count.is_whole:
            raise PermanentFailure(f"{origin}: rows are not accounted for: {count}")
        counts.append(count)
    emptied = emptied_counts(spark.sql(result.emptied).collect()) if result.emptied else {}
    if not quarantine:
        return Stages(clean, (), tuple(counts), {}, emptied)
    aside = spark_files.read(spark, quarantine, "reasons array<string>", region, ["reasons"])
    return Stages(clean, quarantine, tuple(counts), _by_value(aside.selectExpr("explode(reasons)")), emptied)


def _by_value(frame: "DataFrame") -> dict[str, int]:
    """How many rows have each value of the only column."""
    return {row[0]: int(row[1]) for row in frame.groupBy(frame.columns[0]).count().collect()}


def _counted(spark: "SparkSession", sql: str) -> dict[int, int]:
    return {int(row[0]): int(row[1]) for row in spark.sql(sql).collect()}
