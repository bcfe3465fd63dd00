"""The job of Spark beside DuckDB on one delivery: ``python -m benchmarks.spark_job ENGINES SHAPE SIZE``.

ENGINES are some of ``duckdb``, ``sail``, ``local`` (Spark, ``local[2]``) and ``cluster`` (a master and two workers of a
core each, all processes of their own), with commas between. SHAPE and SIZE are one of

* ``files``, ``2000x500``: so many files of so many rows, 500 partitions, and a key of which one value is in a tenth of
  all rows;
* ``gzip``, ``4000``: the ads report, so many MB of text in one gzip file;
* ``csv`` or ``parquet``, ``4000``: the same in one plain file.

What comes of the rows is held against the truth. Prints for each engine CPU seconds of its process with its children,
beginning with the session of Spark that is there, wall seconds, and the most memory, in MB, of its process and of any
Python worker of Spark.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from adplatform.contracts.model import Contract
from adplatform.local.spark_cluster import descendants, spark_cluster
from adplatform.transform.job_plan import JobPlan, PlannedFile
from benchmarks import transform_data
from benchmarks.transform_jobs import cpu_of_tree, load_key, peak_rss

DAY = date(2026, 3, 14)
PARTITIONS = 500
SKEWED: dict[str, Any] = {
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
_BETWEEN_LOOKS = 5.0

Truth = Mapping[str, int]
"""Rows by what became of them."""


def many_files(folder: Path, size: str) -> tuple[JobPlan, Truth]:
    """One in ten rows has the same key, and one in 200 a spend that is no number."""
    files, rows = map(int, size.split("x"))
    for number in range(files):
        with (folder / f"{number:06}").open("w", encoding="utf-8") as out:
            out.write("id,part,spend,day,note\n")
            for n in range(number * rows, (number + 1) * rows):
                key, part = (0, 0) if n % 10 == 0 else (n, n % PARTITIONS)
                spend = "none" if n % 200 == 1 else f"{n % 1000}.5"
                out.write(f'{key},{part},{spend},2026-03-{1 + n % 28:02},"note, {n}"\n')
    every = files * rows
    bad, skewed = len(range(1, every, 200)), len(range(0, every, 10))
    truth = {"clean": every - bad - skewed + 1, "superseded": skewed - 1, "quarantined": bad}
    return _plan(SKEWED, folder), truth


def one_gzip(folder: Path, size: str) -> tuple[JobPlan, Truth]:
    found = transform_data.make_gzip(folder / "report.csv.gz", int(size) * 1_000_000)
    return _plan(transform_data.CONTRACT, folder), _counts(found)


def one_csv(folder: Path, size: str) -> tuple[JobPlan, Truth]:
    found = transform_data.make(folder, int(size) * 1_000_000)
    (folder / "truth.json").unlink()
    return _plan(transform_data.CONTRACT, folder), _counts(found)


def one_parquet(folder: Path, size: str) -> tuple[JobPlan, Truth]:
    """All columns as text; rows that are malformed by the number of their columns are left out."""
    import duckdb  # noqa: PLC0415

    text, target = folder / "report.csv", folder / "report.parquet"
    found = transform_data.make(folder, int(size) * 1_000_000)
    (folder / "truth.json").unlink()
    (folder / "part-0000.csv").rename(text)
    with duckdb.connect() as con:
        con.execute("set preserve_insertion_order = true")
        con.execute(
            f"copy (from read_csv('{text}', all_varchar = true, header = true, quote = '\"', escape = '\"',"
            f" max_line_size = 1000000, ignore_errors = true)) to '{target}' (row_group_size 122880)"
        )
    text.unlink()
    counts = {**_counts(found), "quarantined": found.quarantined - found.structural}
    return _plan({**transform_data.CONTRACT, "format": {"kind": "parquet"}}, folder), counts


def _counts(found: transform_data.Truth) -> Truth:
    return {"clean": found.clean, "superseded": found.superseded, "quarantined": found.quarantined}


def _plan(contract: Mapping[str, Any], folder: Path) -> JobPlan:
    files = tuple(
        PlannedFile(uri=str(path), origin=path.name, ordinal=number, size=path.stat().st_size)
        for number, path in enumerate(sorted(folder.iterdir()))
    )
    return JobPlan(contract=Contract.model_validate(contract), day=DAY, files=files)


SHAPES: dict[str, Callable[[Path, str], tuple[JobPlan, Truth]]] = {
    "files": many_files,
    "gzip": one_gzip,
    "csv": one_csv,
    "parquet": one_parquet,
}


def on_duckdb(plan: JobPlan, work: Path) -> dict[str, float]:
    from adplatform.files.unpack import unpack  # noqa: PLC0415
    from adplatform.transform.duckdb_engine import EngineLimits, transform  # noqa: PLC0415

    with measured() as used:
        files = [
            file
            for planned in plan.files
            for file in unpack(Path(planned.uri), planned.origin, plan.contract.format, work, planned.ordinal)
        ]
        limits = EngineLimits("1200MB", threads=2, temp_directory=work / "spill")
        staged = transform(plan.contract, files, plan.day, load_key(), work / "out", limits)
        quarantined = staged.quarantined - _swallowed(staged.reasons)
        found = {"clean": staged.clean, "superseded": staged.superseded, "quarantined": quarantined}
    return {**found, **used.figures}


def on_spark(plan: JobPlan, work: Path, engine: str) -> dict[str, float]:
    from adplatform.transform.spark_job import Keys, carry_out  # noqa: PLC0415
    from adplatform.transform.spark_objects import Objects  # noqa: PLC0415

    with session(engine) as spark, measured() as used:
        result = carry_out(spark, plan, f"{work}/out/", Objects(plan.region), lambda _: Keys(load_key(), load_key))
        if result.failure or result.bad:
            raise RuntimeError(f"{result.failure} {result.bad}")
        counts = result.counts
        found = {
            "clean": sum(each.clean for each in counts),
            "superseded": sum(each.superseded for each in counts),
            "quarantined": sum(each.quarantined for each in counts) - _swallowed(result.reasons),
            "clean_files": len(result.clean),
        }
    return {**found, **used.figures}


def _swallowed(reasons: Mapping[str, int]) -> int:
    from adplatform.transform.rejects import SWALLOWED  # noqa: PLC0415

    return reasons.get(SWALLOWED, 0)


@contextmanager
def session(engine: str) -> Iterator[Any]:
    from pyspark.sql import SparkSession  # noqa: PLC0415

    with ExitStack() as stack:
        if engine == "sail":
            from pysail.spark import SparkConnectServer  # noqa: PLC0415

            server = SparkConnectServer(port=0)
            server.start(background=True)
            stack.callback(server.stop)
            _, port = server.listening_address
            yield SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
            return
        os.environ["PYSPARK_PYTHON"] = sys.executable
        master = stack.enter_context(spark_cluster()).url if engine == "cluster" else "local[2]"
        built = SparkSession.builder.master(master).config("spark.ui.enabled", "false")
        memory = "1g" if engine == "cluster" else "4g"
        spark = built.config("spark.driver.memory", memory).config("spark.sql.shuffle.partitions", "8").getOrCreate()
        stack.callback(spark.stop)
        yield spark


@dataclass
class Used:
    """``worker`` is the most memory, in MB, that any Python worker of Spark was seen to have taken."""

    figures: dict[str, float] = field(default_factory=dict)
    worker: float = 0


@contextmanager
def measured() -> Iterator[Used]:
    own, used, ended = os.getpid(), Used(), threading.Event()

    def look() -> None:
        while not ended.wait(_BETWEEN_LOOKS):
            used.worker = max([used.worker, *map(_worker_rss, descendants(own))])

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    cpu, began = cpu_of_tree(own), time.monotonic()
    yield used
    used.figures |= {"cpu": cpu_of_tree(own) - cpu, "wall": time.monotonic() - began, "rss": peak_rss()}
    ended.set()
    looking.join()
    used.figures["worker_rss"] = max([used.worker, *map(_worker_rss, descendants(own))])


def _worker_rss(pid: int) -> float:
    try:
        is_worker = b"pyspark" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0-cp\0")[0]
        return peak_rss(pid) if is_worker else 0
    except (OSError, StopIteration):
        return 0  # it has ended meanwhile


def _run(engine: str, plan: JobPlan, truth: Truth) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        found = on_duckdb(plan, work) if engine == "duckdb" else on_spark(plan, work, engine)
    size = sum(file.size for file in plan.files)
    print(json.dumps({"engine": engine, "bytes": size, **found}), flush=True)
    if wrong := {name: count for name, count in truth.items() if found[name] != count}:
        raise SystemExit(f"{engine} is wrong: the truth is {wrong}")


def main(engines: str, shape: str, size: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plan, truth = SHAPES[shape](Path(folder), size)
        for engine in engines.split(","):
            process = multiprocessing.get_context("spawn").Process(target=_run, args=(engine, plan, truth))
            process.start()
            process.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
