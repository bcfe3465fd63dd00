"""The same job by four means, each a process of its own.

    python -m benchmarks.transform_jobs JOB CASE SOURCE OUTPUT

Prints the counts of what it wrote, ``cpu``, the seconds of the whole process with its children, and ``rss`` in MB.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile
from adplatform.files.unpack import unpack
from adplatform.privacy.keys import HashKey
from benchmarks import transform_by_hand
from benchmarks.transform_cases import CASES, Case

SECRET = transform_by_hand.SECRET[:32]


def ours(case: Case, source: Path, output: Path, memory_limit: str = "8GB") -> dict[str, int]:
    from adplatform.transform.duckdb_engine import EngineLimits, transform  # noqa: PLC0415
    from adplatform.transform.rejects import SWALLOWED  # noqa: PLC0415

    limits = EngineLimits(memory_limit, threads=2, temp_directory=output / "spill")
    contract = Contract.model_validate(case.contract)
    staged = transform(
        contract,
        input_files(source) or unpacked(contract, source, output),
        date(2026, 1, 31),
        HashKey("bench", SECRET),
        output,
        limits,
    )
    swallowed = staged.reasons.get(SWALLOWED, 0)
    return found(output, staged.rows_in - swallowed, staged.quarantined - swallowed)


def unpacked(contract: Contract, source: Path, output: Path) -> list[InputFile]:
    output.mkdir()
    packed = enumerate(sorted(source.glob("*.csv.gz")))
    return [file for n, path in packed for file in unpack(path, f"s3://raw/{path.name}", contract.format, output, n)]


def by_hand(case: Case, source: Path, output: Path, memory_limit: str = "8GB") -> dict[str, int]:
    transform_by_hand.main(case, str(source), str(output), memory_limit)
    return found(output)


def polars(case: Case, source: Path, output: Path) -> dict[str, int]:
    from benchmarks import transform_polars  # noqa: PLC0415

    transform_polars.main(source, output)
    return found(output)


def spark(case: Case, source: Path, output: Path) -> dict[str, int]:
    """The job that Glue runs, on Spark in local mode; the keyed digests are computed in Python workers."""
    from pyspark.sql import SparkSession  # noqa: PLC0415

    from adplatform.transform.job_plan import JobPlan, PlannedFile  # noqa: PLC0415
    from adplatform.transform.spark_job import Keys, carry_out  # noqa: PLC0415
    from adplatform.transform.spark_objects import Objects  # noqa: PLC0415

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "6g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "8")
        .getOrCreate()
    )
    files = tuple(
        PlannedFile(uri=str(f.path), origin=f.origin, ordinal=f.ordinal, size=f.path.stat().st_size)
        for f in input_files(source)
    )
    plan = JobPlan(contract=Contract.model_validate(case.contract), day=date(2026, 1, 31), files=files)
    result = carry_out(session, plan, f"{output}/", Objects(plan.region), lambda _: Keys(load_key(), load_key))
    if result.failure or result.bad:
        raise RuntimeError(f"{result.failure} {result.bad}")
    return found(output)


def load_key() -> HashKey:
    return HashKey("bench", SECRET)


def input_files(source: Path) -> list[InputFile]:
    return [InputFile(path, f"s3://raw/{path.name}", n) for n, path in enumerate(sorted(source.glob("*.csv")))]


def found(output: Path, rows: int | None = None, quarantined: int | None = None) -> dict[str, int]:
    """What stands in the files written, by their statistics and one column."""
    with duckdb.connect() as con:
        clean, impressions = con.execute(
            f"select count(*), sum(impressions)::bigint from read_parquet('{output}/clean/**/*.parquet')"
        ).fetchall()[0]
        if quarantined is None:
            files = (
                f"{output}/quarantine/*.parquet" if (output / "quarantine").is_dir() else f"{output}/quarantine.parquet"
            )
            quarantined = con.execute(f"select count(*) from read_parquet('{files}')").fetchall()[0][0]
    return {"clean": clean, "impressions": impressions, "quarantined": quarantined} | ({"rows": rows} if rows else {})


def cpu_of_tree(pid: int) -> float:
    """User and system seconds of a process and all below it, those that ended and were waited for included."""
    known = {int(stat.parent.name): _stat(stat) for stat in Path("/proc").glob("[0-9]*/stat")}
    ticks = sum(sum(map(int, stat[11:15])) for each, stat in known.items() if stat and _is_below(each, pid, known))
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(path: Path) -> list[str]:
    """The fields behind the name of a process; none of one that has just ended."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _is_below(pid: int, root: int, known: dict[int, list[str]]) -> bool:
    while pid not in (0, root):
        stat = known.get(pid)
        pid = int(stat[1]) if stat else 0
    return pid == root


def peak_rss(pid: int | str = "self") -> float:
    """Of this process or another, in MB. ``ru_maxrss`` would begin with the parent's."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6


JOBS: dict[str, Callable[..., dict[str, int]]] = {"ours": ours, "by_hand": by_hand, "polars": polars, "spark": spark}


def main(job: str, case: str, source: str, output: str, *settings: Any) -> None:
    shutil.rmtree(output, ignore_errors=True)
    result: dict[str, float] = dict(JOBS[job](CASES[case], Path(source), Path(output), *settings))
    print(json.dumps(result | {"cpu": cpu_of_tree(os.getpid()), "rss": peak_rss()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
