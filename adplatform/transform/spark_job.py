"""The script that Glue or EMR Serverless runs for a delivery that outgrows one machine.

It stages ``clean/`` and ``quarantine/`` below ``--output``, an empty prefix, and says in ``result.json`` what they are;
publishing is the caller's, as it is for the embedded engine. pyspark comes with the service, so it is imported when
the script runs.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from adplatform.contracts.column import DELIVERY_DATE, Column
from adplatform.contracts.limits import Limits
from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile
from adplatform.files.budget import DEFAULT, Budget
from adplatform.files.input_file import InputFile
from adplatform.files.lines import separator
from adplatform.files.parquet_size import VALUE, check_parquet
from adplatform.platform.aws import Aws
from adplatform.platform.calls import GLUE_JOB, acting
from adplatform.platform.extras import SPARK, extra
from adplatform.privacy.key_versions import fetch_earlier_key
from adplatform.privacy.keys import HashKey, fetch_key
from adplatform.privacy.spark import KeyLoader
from adplatform.transform import spark_engine
from adplatform.transform.compile import no_text
from adplatform.transform.job_plan import OUTPUT, PLAN, RESULT, JobPlan, JobResult, ReportedFile, WrittenFile
from adplatform.transform.layouts import Accepted, Lines, accept, empty_texts
from adplatform.transform.spark_objects import Objects
from adplatform.transform.values import FileCount

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame, SparkSession

_NOT_IN_TEXT = "\x01"
"""Spark takes its nullValue for NULL even in quotes; with one that no file holds, quoted emptiness stays text."""

_COMPRESSED = (".gz", ".bz2", ".deflate", ".snappy", ".lz4", ".zst")
"""Endings of names by which Spark decompresses text that it reads (Hadoop's codecs)."""


@acting(GLUE_JOB)
def main(arguments: Sequence[str] | None = None) -> None:
    """Run one delivery.

    ``--plan`` is the URI of a :class:`~adplatform.transform.job_plan.JobPlan`, ``--output`` a prefix that ends with
    ``/`` and below which nothing is, ``--region`` that of AWS. What else the service passes is not looked at. The last
    that is written is the :class:`~adplatform.transform.job_plan.JobResult`.

    Raises:
        PermanentFailure: the plan cannot be had, or there is no pyspark; what forbids the transform is in the result.
        TransientFailure: a service does not answer.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument(PLAN, required=True)
    parser.add_argument(OUTPUT, required=True)
    parser.add_argument("--region", default="us-east-1")
    given, _ = parser.parse_known_args(arguments)

    with extra(SPARK):
        from pyspark.sql import SparkSession  # noqa: PLC0415
    objects = Objects(given.region)
    plan = JobPlan.model_validate_json(objects.read(given.plan))
    output = f"{given.output.removesuffix('/')}/"
    result = carry_out(SparkSession.builder.getOrCreate(), plan, output, objects)
    objects.write(f"{output}{RESULT}", result.model_dump_json().encode())


def carry_out(spark: "SparkSession", plan: JobPlan, output: str, objects: Objects) -> JobResult:
    """Stage the files of a plan below ``output``.

    Raises:
        TransientFailure: a service does not answer.
    """
    try:
        return _carried_out(spark, plan, output, objects)
    except BadFile as e:
        bad = ReportedFile(origin=e.origin, reason=e.reason, message=e.message)
        return JobResult(contract=plan.contract, bad=(bad,))
    except PermanentFailure as e:
        return JobResult(contract=plan.contract, failure=str(e))


def _carried_out(spark: "SparkSession", plan: JobPlan, output: str, objects: Objects) -> JobResult:
    planned = {file.ordinal: file for file in plan.files}
    files = [InputFile(Path(file.uri), file.origin, file.ordinal) for file in plan.files]
    paths = {ordinal: file.uri for ordinal, file in planned.items()}
    accepted, result, counts = run(
        spark, plan.contract, files, paths, output.removesuffix("/"), *_keys(plan), limits=plan.limits
    )
    day = plan.day.isoformat() if plan.contract.partition_by == DELIVERY_DATE else ""
    return JobResult(
        contract=accepted.contract,
        clean=_written(objects, f"{output}clean/", day),
        quarantine=tuple(each for each in _written(objects, f"{output}quarantine/", "") if each.rows),
        counts=counts,
        reasons=spark_engine.reasons(spark, f"{output}quarantine"),
        refused=accepted.refused,
        withheld=result.withheld,
        evolved=tuple(accepted.undeclared),
        lacking=accepted.lacking,
    )


def _written(objects: Objects, prefix: str, partition: str) -> tuple[WrittenFile, ...]:
    """The Parquet files below a prefix; those in folders of partitions with the value of theirs."""
    found = [each for each in objects.below(prefix) if each.uri.endswith(".parquet")]
    return tuple(
        WrittenFile(uri=each.uri, size=each.size, rows=rows, partition=_partition(each.uri[len(prefix) :]) or partition)
        for each, rows in zip(found, objects.rows(found), strict=True)
    )


def _partition(path: str) -> str:
    """The value of the partition in whose folder a file is, as Hive writes it."""
    folder, separator, _ = path.rpartition("/")
    return unquote(folder.partition("=")[2]) if separator else ""


def _keys(plan: JobPlan) -> tuple[HashKey | None, KeyLoader | None, HashKey | None, KeyLoader | None]:
    """The current key and the one before, each with what fetches it in a worker.

    Raises:
        PermanentFailure: the secret has another key than the plan was made for.
        EnvironmentFailure, TransientFailure: it cannot be had.
    """
    if plan.key_secret is None:
        return None, None, None, None
    load = partial(_load_key, plan.region, plan.key_secret)
    key = load()
    if key.id != plan.key_id:
        raise PermanentFailure(
            f"hashing key {plan.key_id!r} of the plan was replaced by {key.id!r}; have the delivery transformed again"
        )
    if plan.previous_key_id is None:
        return key, load, None, None
    load_previous = partial(_load_previous, plan.region, plan.key_secret, plan.previous_key_id)
    return key, load, load_previous(), load_previous


def run(
    spark: "SparkSession",
    contract: Contract,
    files: Sequence[InputFile],
    paths: Mapping[int, str],
    output: str,
    key: HashKey | None,
    load_key: KeyLoader | None = None,
    previous: HashKey | None = None,
    load_previous: KeyLoader | None = None,
    limits: Limits = DEFAULT,
) -> tuple[Accepted, spark_engine.SparkResult, tuple[FileCount, ...]]:
    """Stage one delivery of CSV or Parquet files. ``paths`` are where Spark finds the files, by ordinal.

    The text is split once, into ``received/``, because Spark would read the files again for each result.

    Raises:
        BadFile: a file is above the limits.
        PermanentFailure: see :func:`main`.
    """
    # Otherwise Spark refuses files with columns whose names differ in case alone.
    spark.conf.set("spark.sql.caseSensitive", "true")
    require_readable(contract)
    for file in files:
        _require_within(spark, contract, paths[file.ordinal], Budget(file.origin, 0, limits))
    accepted = _accept(spark, contract, files, paths)
    received = [
        _received(spark, accepted.contract, layout.columns, file, paths)
        for layout in accepted.layouts
        for file in layout.files
    ]
    if not received:
        raise PermanentFailure("the delivery has no file that may be read")
    reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), received).write.parquet(
        f"{output}/received"
    )
    origins = {file.ordinal: file.origin for file in files}
    raw = spark.read.parquet(f"{output}/received")
    keys = (key, load_key, previous, load_previous)
    result = spark_engine.transform(spark, accepted.contract, raw, origins, *keys, undeclared=accepted.undeclared)
    counts = spark_engine.stage(spark, accepted.contract, result, output)
    return accepted, result, counts


def require_readable(contract: Contract) -> None:
    """
    Raises:
        PermanentFailure: the files are written in a way that the job does not read.
    """
    if contract.format.kind not in ("csv", "parquet"):
        raise PermanentFailure(
            f"the Spark job reads csv and parquet, not {contract.format.kind}; use the embedded engine"
        )
    if contract.format.members:
        raise PermanentFailure("the Spark job reads no archives (members); use the embedded engine")
    if contract.format.skip_lines:
        raise PermanentFailure("the Spark job cannot skip lines before the header; use the embedded engine")
    if contract.format.leaves_out_lines:
        raise PermanentFailure(
            "the Spark job leaves no lines out (header.starts_with, comment, skip_footer, repeated_header); use the "
            "embedded engine"
        )
    if contract.format.kind == "csv" and contract.format.ragged_rows == "pad":
        raise PermanentFailure("the Spark job cannot read ragged_rows: pad; use the embedded engine")


def _require_within(spark: "SparkSession", contract: Contract, path: str, budget: Budget) -> None:
    """Hold a file against the limits before it is read. Parquet on a disk is judged by its pages; elsewhere by its
    footer, which says how many rows Spark reads, each of whose values counts. Text by its size; what Spark unpacks of
    itself is read once before, a line at a time.

    Raises:
        BadFile: it is above one.
    """
    local = Path(path.removeprefix("file://"))
    if contract.format.kind == "parquet" and local.exists():
        check_parquet(local, budget.origin, replace(budget, received=local.stat().st_size))
        return
    size = int(spark.read.format("binaryFile").load(path).select("length").first()[0])
    if contract.format.kind == "parquet":
        frame = spark.read.parquet(path)
        budget.add_rows(frame.count())
        replace(budget, received=size).check(budget.rows * len(frame.columns) * VALUE)
        return
    budget = replace(budget, received=size)
    budget.check(size)
    if size > budget.limits.rows or path.endswith(_COMPRESSED):
        counted = spark.read.text(path).selectExpr("count(*)", "coalesce(sum(octet_length(value) + 1), 0)").first()
        budget.add_rows(int(counted[0]))
        budget.check(int(counted[1]))


def _accept(
    spark: "SparkSession", contract: Contract, files: Sequence[InputFile], paths: Mapping[int, str]
) -> Accepted:
    headers = [(file, _header(spark, contract, file, paths[file.ordinal])) for file in files]
    return accept(contract, [(file, header, Lines()) for file, header in headers if header])


def _header(spark: "SparkSession", contract: Contract, file: InputFile, path: str) -> tuple[str, ...]:
    if contract.format.kind == "parquet":
        return tuple(spark.read.parquet(path).columns)
    line = spark.read.text(path).first()
    if line and separator(line[0].encode()) is not None:
        raise PermanentFailure(
            "the Spark job cannot skip the line sep= with which a file for Excel begins; use the embedded engine"
        )
    if not contract.format.has_header:
        return tuple(column.field_name for column in contract.read_columns)
    first = spark.read.options(**_csv_options(contract)).option("header", False).csv(path).first()
    names = tuple((name or "").removeprefix("\ufeff") for name in first) if first else ()
    if names and not names[-1]:
        raise PermanentFailure(
            f"{file.origin}: the header ends with a column without a name, which the Spark job does not read; use the "
            "embedded engine, or have it left out"
        )
    return names


def _received(
    spark: "SparkSession", contract: Contract, columns: Sequence[str], file: InputFile, paths: Mapping[int, str]
) -> "DataFrame":
    from pyspark.sql import functions as F  # noqa: PLC0415

    path = paths[file.ordinal]
    if contract.format.kind == "parquet":
        frame = spark.read.parquet(path)
        frame = frame.toDF(*columns)
        texts = [_text_of(contract.column(name), kind).alias(name) for name, kind in frame.dtypes]
        bytes_ = [name for name, kind in frame.dtypes if kind == "binary" and contract.column(name).bytes == "text"]
        flags = [(F.col(name).isNotNull() & ~_is_text(name)).alias(no_text(name)) for name in bytes_]
        frame = frame.select(*texts, *flags)
        frame = frame.withColumn("_corrupt_record", F.lit(None).cast("string"))
    else:
        schema = ", ".join(f"`{name}` string" for name in (*columns, "_corrupt_record"))
        frame = spark.read.schema(schema).options(**_csv_options(contract)).csv(path)
        if texts := empty_texts(contract, columns):
            frame = frame.fillna("", subset=texts)
    for column in contract.read_columns:
        if column.name not in columns:
            frame = frame.withColumn(column.name, F.lit(column.default).cast("string"))
    return frame.withColumn("_file", F.lit(file.ordinal)).withColumn("_row", F.monotonically_increasing_id())


def _text_of(column: Column, kind: str) -> "SparkColumn":
    """The text of a column as the contract has it; bytes that are not UTF-8 as hexadecimal digits."""
    from pyspark.sql import functions as F  # noqa: PLC0415

    value = F.col(column.name)
    text = value.cast("string")
    if kind == "binary":
        return F.when(_is_text(column.name), text).otherwise(F.lower(F.hex(value)))
    if kind == "timestamp" and column.timezone:
        return F.concat(text, F.lit("Z"))
    return F.translate(text, ".", ",") if kind != "string" and column.decimal_mark == "," else text


def _is_text(name: str) -> "SparkColumn":
    """Whether bytes are UTF-8: what is not comes back from encode as other bytes."""
    from pyspark.sql import functions as F  # noqa: PLC0415

    return F.encode(F.col(name).cast("string"), "UTF-8") == F.col(name)


def _csv_options(contract: Contract) -> dict[str, Any]:
    file_format = contract.format
    return {
        "header": file_format.has_header,
        "enforceSchema": True,
        "sep": file_format.delimiter,
        "quote": file_format.quote,
        "escape": file_format.escape,
        "multiLine": True,
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "_corrupt_record",
        "nullValue": _NOT_IN_TEXT,
        "emptyValue": "",
        "maxCharsPerColumn": -1,
    }


def _load_key(region: str, secret: str) -> HashKey:
    return fetch_key(Aws(region).client("secretsmanager"), secret)


def _load_previous(region: str, secret: str, key_id: str) -> HashKey:
    return fetch_earlier_key(Aws(region).client("secretsmanager"), secret, key_id)


if __name__ == "__main__":
    main()
