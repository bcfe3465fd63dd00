"""One delivery through DuckDB and through the job of Spark, with what each made of it in one shape."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from adplatform.contracts.model import Contract
from adplatform.contracts.schema_change import SchemaChange
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile
from adplatform.files.input_file import InputFile
from adplatform.files.unpack import unpack
from adplatform.privacy.keys import HashKey
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.job_plan import JobPlan, JobResult, PlannedFile, ReportedFile
from adplatform.transform.spark_job import Keys, carry_out
from adplatform.transform.spark_objects import Objects
from adplatform.transform.values import FileCount, Staged, Withheld
from adplatform_tests.transform import oracle
from adplatform_tests.transform.corpora import Delivered
from adplatform_tests.transform.outcome import comparable

DAY = date(2026, 3, 14)


@dataclass(frozen=True)
class Outcome:
    """What an engine made of a delivery; ``bad`` are the files that it refused, and ``failed`` is the message of what
    refused all of them."""

    clean: Counter[str] = field(default_factory=Counter)
    quarantine: Counter[Any] = field(default_factory=Counter)
    counts: Mapping[str, FileCount] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    refused: tuple[Any, ...] = ()
    withheld: tuple[Any, ...] = ()
    evolved: tuple[str, ...] = ()
    lacking: Mapping[str, int] = field(default_factory=dict)
    changes: tuple[tuple[str, str], ...] = ()
    line_breaks: int = 0
    footers: tuple[Any, ...] = ()
    emptied: Mapping[str, int] = field(default_factory=dict)
    partitions: Counter[str] = field(default_factory=Counter)
    bad: tuple[str, ...] = ()
    failed: str = ""


def plan_of(contract: Contract, paths: Sequence[Path], **settings: Any) -> JobPlan:
    """A plan for files of this machine, called ``file-0`` and so on."""
    files = tuple(
        PlannedFile(uri=str(path), origin=f"file-{n}", ordinal=n, size=path.stat().st_size)
        for n, path in enumerate(paths)
    )
    return JobPlan(contract=contract, day=DAY, files=files, **settings)


def on_spark(spark: SparkSession, plan: JobPlan, work: Path, keys: Keys | None = None) -> Outcome:
    result = carry_out(spark, plan, f"{work}/", Objects(plan.region), lambda _: keys or Keys())
    return outcome_of(JobResult.model_validate_json(result.model_dump_json()))


def outcome_of(result: JobResult) -> Outcome:
    if result.failure:
        return Outcome(failed=result.failure)
    return Outcome(
        bad=_bad(result.bad),
        clean=_clean([(each.uri, each.partition) for each in result.clean]),
        quarantine=_quarantine([each.uri for each in result.quarantine]),
        counts={each.origin: each for each in result.counts},
        reasons=dict(result.reasons),
        refused=result.refused,
        withheld=result.withheld,
        evolved=result.evolved,
        lacking=dict(result.lacking),
        changes=_changes(result.changes),
        line_breaks=result.line_breaks,
        footers=result.footers,
        emptied=dict(result.emptied),
        partitions=_partitions([(each.partition, each.rows) for each in result.clean]),
    )


def on_duckdb(plan: JobPlan, work: Path, key: HashKey | None = None) -> Outcome:
    """As a run of this machine does, which names one bad file after the other."""
    files, bad = dict[str, tuple[InputFile, ...]](), list[BadFile]()
    work.mkdir(parents=True)
    for planned in plan.files:
        ordinal = sum(map(len, files.values()))
        try:
            files[planned.origin] = unpack(
                Path(planned.uri), planned.origin, plan.contract.format, work, ordinal, plan.limits
            )
        except BadFile as e:
            bad.append(e)
    while not bad or plan.bad_file == "quarantine":
        good = [file for each in files.values() for file in each]
        out = work / f"out-{len(bad)}"
        try:
            staged = transform(plan.contract, good, plan.day, key, out, EngineLimits("512MB"), None, plan.reserved)
        except BadFile as e:
            bad.append(e)
            del files[e.origin.partition("#")[0]]
        except PermanentFailure as e:
            return Outcome(failed=str(e))
        else:
            return replace(outcome_of_staged(staged), bad=_bad(bad))
    return Outcome(bad=_bad(bad))


def _bad(files: Iterable[BadFile | ReportedFile]) -> tuple[str, ...]:
    return tuple(sorted(f"{each.origin}: {each.message} [{each.reason}] {_changes(each.changes)}" for each in files))


def _changes(changes: Iterable[SchemaChange]) -> tuple[tuple[str, str], ...]:
    """The engines agree on all but the types that files have, which Spark does not say."""
    return tuple((each.key, each.file) for each in changes)


def outcome_of_staged(staged: Staged) -> Outcome:
    return Outcome(
        clean=_clean([(str(each.path), each.partition) for each in staged.files]),
        quarantine=_quarantine([str(staged.quarantine)] if staged.quarantine else []),
        counts={each.origin: each for each in staged.counts},
        reasons=dict(staged.reasons),
        refused=staged.refused,
        withheld=staged.withheld,
        evolved=staged.evolved,
        lacking=dict(staged.lacking),
        changes=_changes(staged.changes),
        line_breaks=staged.line_breaks,
        footers=staged.footers,
        emptied=dict(staged.emptied),
        partitions=_partitions([(each.partition, each.rows) for each in staged.files]),
    )


def _clean(files: Sequence[tuple[str, str]]) -> Counter[str]:
    rows = [
        {**row, "(partition)": partition} for uri, partition in files for row in pq.ParquetFile(uri).read().to_pylist()
    ]
    return comparable(rows)


def _quarantine(uris: Sequence[str]) -> Counter[Any]:
    """Rows; the fields of one as they are, but for those of no value, which Spark's JSON does not have."""
    return Counter(
        (
            row["source_file"],
            row["line"],
            row["byte_position"],
            tuple(row["reasons"]),
            row["raw"],
            None
            if row["fields"] is None
            else frozenset((k, v) for k, v in json.loads(row["fields"]).items() if v is not None),
        )
        for uri in uris
        for row in pq.ParquetFile(uri).read().to_pylist()
    )


def _partitions(files: Sequence[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for partition, rows in files:
        found[partition] += rows
    return found


def _without_line(row: Any) -> Any:
    return (row[0], None, *row[2:])


def agree(embedded: Outcome, spark: Outcome) -> None:
    """Both made the same of a delivery; of one that is refused the job names all bad files. DuckDB looks at some rows
    alone where these tell what a column holds, and does not know the lines of some rows behind a broken quote, the job
    does."""
    if embedded.bad and not embedded.counts:
        embedded = replace(embedded, bad=spark.bad if set(embedded.bad) <= set(spark.bad) else embedded.bad)
    of_some = {each.column for each in embedded.withheld if each.at_least}
    spark = replace(spark, withheld=tuple(map(partial(_at_least, of_some), spark.withheld)))
    embedded = replace(embedded, withheld=tuple(map(partial(_at_least, of_some), embedded.withheld)))
    for row in [row for row in embedded.quarantine if row[1] is None and row not in spark.quarantine]:
        known = [
            found for found in spark.quarantine if _without_line(found) == row and found not in embedded.quarantine
        ]
        for found in known[: embedded.quarantine[row]]:
            spark.quarantine[row] += spark.quarantine.pop(found)
    for each in fields(Outcome):
        here, there = getattr(embedded, each.name), getattr(spark, each.name)
        if isinstance(here, Counter):
            here, there = here - there, there - here
        assert here == there, f"{each.name}: {here} here, {there} on Spark"


def difference_of(spark: SparkSession, work: Path, delivered: Delivered) -> str:
    """In what the engines differ about a delivery, bad files being left out; "" where they agree."""
    keys = Keys(oracle.KEY, load_key) if delivered.contract.needs_key else None
    try:
        agree(*compared(spark, work, delivered.contract, delivered.contents, keys, bad_file="quarantine"))
    except AssertionError as e:
        return str(e)
    return ""


def load_key() -> HashKey:
    return oracle.KEY


def _at_least(columns: Collection[str], withheld: Withheld) -> Withheld:
    return replace(withheld, emails=0, phones=0, at_least=True) if withheld.column in columns else withheld


def compared(
    spark: SparkSession,
    work: Path,
    contract: Mapping[str, Any] | Contract,
    contents: Mapping[str, bytes],
    keys: Keys | None = None,
    **settings: Any,
) -> tuple[Outcome, Outcome]:
    """What DuckDB and Spark make of files with these names and contents; ``settings`` are those of the plan."""
    folder = work / "delivered"
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    declared = contract if isinstance(contract, Contract) else Contract.model_validate(contract)
    plan = plan_of(declared, [folder / name for name in contents], **settings)
    return on_duckdb(plan, work / "duckdb", keys.key if keys else None), on_spark(spark, plan, work / "spark", keys)
