"""The same job written by hand for DuckDB, Polars and Spark: CPU, wall time, memory.

    python -m benchmarks.transform_1gb [MB, default 1000] [rounds, default 3] [jobs, default ours,by_hand] [--case CASE]

Jobs are ours, by_hand, polars and spark, of which the last two know the ads report in plain csv alone; the cases are
those of ``transform_cases``. Rounds are interleaved, so that what else the machine does falls on all alike; the ratios
are of medians. Each job's output is held against the generator's truth. The bars are for the CPU of ours against that
by hand: once from 1 GB on, 1.15 times below, and 1.5 times in cases other than the report.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.transform_cases import CASES

LARGE = 1000


def measure(job: str, case: str, source: Path, output: Path, *settings: str) -> dict[str, float]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.transform_jobs", job, case, str(source), str(output), *settings]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{job} failed with {process.returncode}")
    result: dict[str, float] = json.loads(printed.splitlines()[-1])
    return result | {"wall": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("megabytes", type=int, nargs="?", default=LARGE)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("jobs", nargs="?", default="ours,by_hand")
    parser.add_argument("--case", choices=CASES, default="report")
    given = parser.parse_args()
    names, case = given.jobs.split(","), str(given.case)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="transform-") as directory:
        source = Path(directory) / "source"
        truth = CASES[case].make(source, given.megabytes * 1_000_000)
        expected = {k: v for k, v in asdict(truth).items() if k in ("clean", "quarantined", "impressions")}
        print(truth, flush=True)
        for _ in range(given.rounds):
            for name in names:
                output = Path(directory) / name
                run = measure(name, case, source, output)
                shutil.rmtree(output)
                if any(run[k] != v for k, v in expected.items()):
                    raise SystemExit(f"{name} is wrong: {run}")
                print(f"{name:8} " + "  ".join(f"{k} {run[k]:8.1f}" for k in ("cpu", "wall", "rss")), flush=True)
                runs[name].append(run)
    of_report = 1.0 if given.megabytes >= LARGE else 1.15
    report(runs, of_report if case == "report" else 1.5)


def report(runs: dict[str, list[dict[str, float]]], bar: float) -> None:
    medians = {n: {k: statistics.median(r[k] for r in rs) for k in ("cpu", "wall", "rss")} for n, rs in runs.items()}
    base = medians.get("by_hand")
    print("\n| job | CPU s | wall s | peak RSS MB | CPU against by hand |\n|---|---|---|---|---|")
    for name, median in medians.items():
        ratio = f"{median['cpu'] / base['cpu']:.2f}" if base else "-"
        print(f"| {name} | {median['cpu']:.1f} | {median['wall']:.1f} | {median['rss']:.0f} | {ratio} |")
    if base and "ours" in medians:
        met = medians["ours"]["cpu"] <= bar * base["cpu"]
        print(f"\nours <= {bar} x by hand: {'yes' if met else 'NO'}")


if __name__ == "__main__":
    main()
