"""The job of Spark beside DuckDB on one delivery: ``python -m benchmarks.spark_job ENGINE FILES ROWS``.

ENGINE is ``duckdb``, ``sail`` or ``local`` (Spark, ``local[2]``). The delivery has so many files of so many rows, 500
partitions, and a key of which one value is in a tenth of all rows. Prints CPU seconds of the process with its children
by steps, wall seconds, the most memory of this process, and what came of the rows.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from adplatform.contracts.model import Contract
from adplatform.transform.job_plan import JobPlan, PlannedFile
from benchmarks.transform_jobs import cpu_of_tree, peak_rss

DAY = date(2026, 3, 14)
PARTITIONS = 500
CONTRACT: dict[str, Any] = {
    "columns": {
        "id": {"type": "bigint", "required": True},
        "part": {"type": "int", "required": True},
        "spend": "decimal(12,2)",
        "day": "date",
        "note": "string",
    },
    "key": ["id", "part"],
    "latest_by": ["spend"],
    "partition_by": "part",
}


def delivery(folder: Path, files: int, rows: int) -> JobPlan:
    """One in ten rows has the same key, and one in 200 a spend that is no number."""
    planned = []
    for number in range(files):
        path = folder / f"{number}.csv"
        with path.open("w", encoding="utf-8") as out:
            out.write("id,part,spend,day,note\n")
            for n in range(number * rows, (number + 1) * rows):
                key, part = (0, 0) if n % 10 == 0 else (n, n % PARTITIONS)
                spend = "none" if n % 200 == 1 else f"{n % 1000}.5"
                out.write(f'{key},{part},{spend},2026-03-{1 + n % 28:02},"note, {n}"\n')
        planned.append(PlannedFile(uri=str(path), origin=str(number), ordinal=number, size=path.stat().st_size))
    return JobPlan(contract=Contract.model_validate(CONTRACT), day=DAY, files=tuple(planned))


def on_duckdb(plan: JobPlan, work: Path) -> dict[str, int]:
    from adplatform.files.unpack import unpack  # noqa: PLC0415
    from adplatform.transform.duckdb_engine import EngineLimits, transform  # noqa: PLC0415

    files = [
        file
        for planned in plan.files
        for file in unpack(Path(planned.uri), planned.origin, plan.contract.format, work, planned.ordinal)
    ]
    staged = transform(plan.contract, files, plan.day, None, work / "out", EngineLimits("4GB"))
    return {"clean": staged.clean, "superseded": staged.superseded, "quarantined": staged.quarantined}


def on_spark(plan: JobPlan, work: Path, engine: str) -> dict[str, int]:
    from adplatform.transform.spark_job import carry_out  # noqa: PLC0415
    from adplatform.transform.spark_objects import Objects  # noqa: PLC0415

    with session(engine) as spark:
        print(json.dumps({"started": cpu_of_tree(os.getpid())}), flush=True)
        result = carry_out(spark, plan, f"{work}/out/", Objects(plan.region))
        if result.failure or result.bad:
            raise RuntimeError(f"{result.failure} {result.bad}")
        counts = result.counts
        return {
            "clean": sum(each.clean for each in counts),
            "superseded": sum(each.superseded for each in counts),
            "quarantined": sum(each.quarantined for each in counts),
            "clean_files": len(result.clean),
        }


@contextmanager
def session(engine: str) -> Iterator[Any]:
    from pyspark.sql import SparkSession  # noqa: PLC0415

    if engine == "sail":
        from pysail.spark import SparkConnectServer  # noqa: PLC0415

        server = SparkConnectServer(port=0)
        server.start(background=True)
        _, port = server.listening_address
        yield SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
        server.stop()
        return
    os.environ["PYSPARK_PYTHON"] = sys.executable
    built = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = built.config("spark.driver.memory", "4g").config("spark.sql.shuffle.partitions", "8").getOrCreate()
    yield spark
    spark.stop()


def main(engine: str, files: str, rows: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, work = Path(folder) / "in", Path(folder) / "work"
        source.mkdir()
        work.mkdir()
        plan = delivery(source, int(files), int(rows))
        cpu, began = cpu_of_tree(os.getpid()), time.monotonic()
        found = on_duckdb(plan, work) if engine == "duckdb" else on_spark(plan, work, engine)
        used = {"cpu": cpu_of_tree(os.getpid()) - cpu, "wall": time.monotonic() - began, "rss": peak_rss()}
        print(json.dumps({"engine": engine, "bytes": sum(f.size for f in plan.files), **found, **used}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
