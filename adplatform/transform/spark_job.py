"""The job of Spark for a delivery that outgrows one machine.

It stages ``clean/`` and ``quarantine/`` below ``--output``, an empty prefix, and says in ``result.json`` what they are;
publishing is the caller's, as it is for the embedded engine.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from adplatform.contracts.column import DELIVERY_DATE, Column
from adplatform.contracts.model import Contract
from adplatform.contracts.schema_change import SchemaChange
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.input_file import InputFile
from adplatform.privacy.key_versions import fetch_earlier_key
from adplatform.privacy.keys import HashKey, fetch_key
from adplatform.privacy.spark import KeyLoader
from adplatform.transform import spark_engine, spark_files, spark_parts, spark_ranges
from adplatform.transform.compile import no_text
from adplatform.transform.job_plan import (
    JobPlan,
    JobResult,
    ReportedFile,
    WrittenFile,
)
from adplatform.transform.layouts import UNNAMED, Accepted, Lines, accept_headers
from adplatform.transform.schema_differences import unmissed
from adplatform.transform.spark_objects import Objects, aws_of
from adplatform.transform.spark_received import (
    COLUMNS,
    Reader,
    ReadFile,
    Received,
    Report,
    columns,
    loaded,
    merged,
    row_columns,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.pandas._typing import ArrowMapIterFunction


class Keys(NamedTuple):
    """The hashing key and the one before, each with what fetches it in a worker."""

    key: HashKey | None = None
    load: KeyLoader | None = None
    previous: HashKey | None = None
    load_previous: KeyLoader | None = None


def fetched(plan: JobPlan) -> Keys:
    """The keys of a plan.

    Raises:
        PermanentFailure: the secret has another key than the plan was made for.
        EnvironmentFailure, TransientFailure: it cannot be had.
    """
    if plan.key_secret is None:
        return Keys()
    load = partial(_load_key, plan.region, plan.key_secret)
    key = load()
    if key.id != plan.key_id:
        raise PermanentFailure(
            f"hashing key {plan.key_id!r} of the plan was replaced by {key.id!r}; have the delivery transformed again"
        )
    if plan.previous_key_id is None:
        return Keys(key, load)
    load_previous = partial(_load_previous, plan.region, plan.key_secret, plan.previous_key_id)
    return Keys(key, load, load_previous(), load_previous)


def carry_out(
    spark: "SparkSession",
    plan: JobPlan,
    output: str,
    objects: Objects,
    keys: Callable[[JobPlan], Keys] = fetched,
) -> JobResult:
    """Stage the files of a plan below ``output``, which ends with ``/``.

    Raises:
        TransientFailure: a service does not answer.
    """
    try:
        return _carried_out(spark, plan, output, objects, keys(plan))
    except BadFile as e:
        return JobResult(contract=plan.contract, bad=(_reported(e.origin, e.reason, e.message),))
    except PermanentFailure as e:
        return JobResult(contract=plan.contract, failure=str(e))


def _carried_out(spark: "SparkSession", plan: JobPlan, output: str, objects: Objects, keys: Keys) -> JobResult:
    # Otherwise columns whose names differ in case alone are the same.
    spark.conf.set("spark.sql.caseSensitive", "true")
    received = _received(spark, plan, output)
    reports = merged(report for each in received for report in each.reports)
    bad = {report.place: _reported(*report.bad) for report in reports if report.bad}
    good, accepted = _accepted(plan, reports, bad)
    if bad and plan.bad_file == "refuse":
        return JobResult(contract=plan.contract, bad=tuple(bad.values()))
    refused = {file.origin for file in accepted.refused}
    read = {file.file: file for file in good if file.origin not in refused}
    origins = {file: each.origin for file, each in read.items()}
    all_read = len(read) == sum(len(report.files) for report in reports) and not bad

    def stored(parts: Iterable[Sequence[WrittenFile]], names: str) -> "DataFrame":
        frame = spark_files.read(spark, [file for part in parts for file in part], names, plan.region)
        return frame if all_read else frame.where(f"_file in ({', '.join(map(str, origins)) or 'null'})")

    def keep(frame: "DataFrame") -> "DataFrame":
        files = spark_files.write(frame, f"{output}validated/", plan.region)
        return spark_files.read(spark, files, frame.schema, plan.region)

    rows = stored((each.rows for each in received), row_columns(plan.contract))
    rejects = stored((each.rejects for each in received), spark_engine.REJECT_COLUMNS)
    raw = _raw(plan.contract, accepted, read, rows)
    result = spark_engine.transform(
        spark, accepted.contract, raw, origins, *keys, undeclared=accepted.undeclared, rejects=rejects, keep=keep
    )
    left_out = {file: each.left_out for file, each in read.items()}
    aside = {file: each.rejects for file, each in read.items()}
    stages = spark_engine.stage(spark, result, output, plan.region, origins, left_out, aside)
    names = [file.origin for file in spark_parts.planned(plan)]
    day = plan.day.isoformat() if plan.contract.partition_by == DELIVERY_DATE else ""
    return JobResult(
        contract=accepted.contract,
        clean=tuple(file.model_copy(update={"partition": file.partition or day}) for file in stages.clean),
        quarantine=stages.quarantine,
        counts=stages.counts,
        reasons=stages.reasons,
        emptied=stages.emptied,
        refused=accepted.refused,
        bad=tuple(bad.values()),
        line_breaks=sum(file.breaks for file in read.values()),
        withheld=result.withheld,
        evolved=tuple(accepted.undeclared),
        lacking={name: n for name, n in accepted.lacking.items() if not result.contract.column(name).drop},
        changes=accepted.changes,
        footers=tuple(file.footer for file in read.values() if file.footer),
        sha256={names[report.place]: report.sha256 for report in reports if report.sha256},
        skipped={
            names[report.place]: report.files[0].skipped
            for report in reports
            if report.files and report.files[0].skipped
        },
    )


def _received(spark: "SparkSession", plan: JobPlan, output: str) -> list[Received]:
    def read(reader: Reader) -> list[Received]:
        return [loaded(content) for content in _results(spark, reader, COLUMNS, len(reader.tasks))]

    looker = spark_parts.looker(plan)
    ranges = _results(spark, looker, spark_ranges.COLUMNS, len(looker.tasks)) if looker.files else []
    cuts = spark_ranges.cuts(looker, map(spark_ranges.loaded_range, ranges), plan.limits.rows)
    reader = Reader.of(plan, output, cuts)
    received = read(reader)
    again = reader.again(received)
    if not again:
        return received
    # Such a file is alone in the tasks of its parts.
    kept = [each for each in received if not again & {report.place for report in each.reports}]
    return kept + read(reader.wholly(again))


def _results(spark: "SparkSession", task: "ArrowMapIterFunction", columns: str, tasks: int) -> list[bytes]:
    """What each of so many tasks gives that are told their numbers."""
    return [row[0] for row in spark.range(0, tasks, 1, max(tasks, 1)).mapInArrow(task, columns).collect()]


def _reported(origin: str, reason: Reason, message: str, changes: tuple[SchemaChange, ...] = ()) -> ReportedFile:
    return ReportedFile(origin=origin, reason=reason, message=message, changes=changes)


def _accepted(
    plan: JobPlan, reports: Sequence[Report], bad: dict[int, ReportedFile]
) -> tuple[list[ReadFile], Accepted]:
    """The files that may be read, judged together by their headers; ``bad`` learns of those that may not."""
    while True:
        good = [file for report in reports if report.place not in bad for file in report.files]
        headers = [
            (InputFile(Path(), file.origin, file.file), file.header, Lines(unnamed=file.unnamed))
            for file in good
            if file.header is not None
        ]
        try:
            accepted = accept_headers(plan.contract, headers, plan.reserved)
        except BadFile as e:
            owner = next(r.place for r in reports if e.origin in {file.origin for file in r.files})
            bad[owner] = _reported(e.origin, e.reason, e.message, e.changes)
            continue
        if plan.contract.format.prepared == "ndjson":
            # Any document may be without any member, so none is missed.
            accepted = replace(accepted, lacking={}, changes=unmissed(accepted.changes))
        return good, accepted


def _raw(contract: Contract, accepted: Accepted, read: Mapping[int, ReadFile], rows: "DataFrame") -> "DataFrame":
    """The rows with their columns under the names of the contract."""
    declared = {each.name: place for each, place in zip(contract.read_columns, columns(contract), strict=True)}
    layouts = {file.ordinal: layout for layout in accepted.layouts for file in layout.files}
    found: dict[str, dict[int, list[int]]] = {}
    of_bytes: dict[str, set[str]] = {}
    for file, each in read.items():
        called = dict(zip(each.header or (), layouts[file].columns if file in layouts else (), strict=False))
        for place, name in enumerate(each.more):
            if name in called:
                found.setdefault(called[name], {}).setdefault(place, []).append(file)
        for name in each.of_bytes:
            of_bytes.setdefault(called[name], set()).add(name)
    selected = ["_file", "_row", f"line as `{spark_engine.LINE}`"]
    for column in accepted.contract.read_columns:
        if column.name in declared:
            value = declared[column.name]
        elif column.name == UNNAMED:
            value = "unnamed"
        else:
            value = _undeclared(column, found.get(column.name, {}), len(read))
        selected.append(f"{value} as `{column.name}`")
    for name, headers in of_bytes.items():
        holds = " or ".join(f"array_contains(no_text, {_literal(header)})" for header in sorted(headers))
        selected.append(f"coalesce({holds}, false) as `{no_text(name)}`")
    return rows.selectExpr(*selected)


def _undeclared(column: Column, places: Mapping[int, Sequence[int]], files: int) -> str:
    """The value of a column that nobody declared, which files have in one of ``places``."""
    absent = "cast(null as string)" if column.default is None else _literal(column.default)
    if len(places) == 1 and sum(map(len, places.values())) == files:
        [place] = places
        return f"get(more, {place})"
    cases = " ".join(
        f"when _file in ({', '.join(map(str, having))}) then get(more, {place})" for place, having in places.items()
    )
    return f"case {cases} else {absent} end" if cases else absent


def _literal(text: str) -> str:
    """A text in Spark SQL, whatever its characters mean there."""
    return f"decode(unhex('{text.encode().hex()}'), 'UTF-8')"


def _load_key(region: str, secret: str) -> HashKey:
    return fetch_key(aws_of(region).client("secretsmanager"), secret)


def _load_previous(region: str, secret: str, key_id: str) -> HashKey:
    return fetch_earlier_key(aws_of(region).client("secretsmanager"), secret, key_id)
