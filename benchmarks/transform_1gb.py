"""The contract's transform beside the same job written by hand for DuckDB, Polars and Spark: CPU, wall time, memory.

    python -m benchmarks.transform_1gb [MB, default 1000] [rounds, default 3] [jobs, default ours,by_hand,polars,spark]

Rounds are interleaved, so that what else the machine does falls on all alike; the ratios are of medians. Each job's
output is held against the generator's truth. The bar is ours <= 1.25 times the CPU of the job by hand.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks import transform_data

BAR = 1.25


def measure(job: str, source: Path, output: Path, *settings: str) -> dict[str, float]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.transform_jobs", job, str(source), str(output), *settings]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{job} failed with {process.returncode}")
    result: dict[str, float] = json.loads(printed.splitlines()[-1])
    return result | {"wall": time.perf_counter() - start}


def main(megabytes: str = "1000", rounds: str = "3", jobs: str = "ours,by_hand,polars,spark") -> None:
    names = jobs.split(",")
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="transform-") as directory:
        source = Path(directory) / "source"
        truth = transform_data.make(source, int(megabytes) * 1_000_000)
        expected = {k: v for k, v in asdict(truth).items() if k in ("clean", "quarantined", "impressions")}
        print(truth, flush=True)
        for _ in range(int(rounds)):
            for name in names:
                run = measure(name, source, Path(directory) / name)
                if any(run[k] != v for k, v in expected.items()):
                    raise SystemExit(f"{name} is wrong: {run}")
                print(f"{name:8} " + "  ".join(f"{k} {run[k]:8.1f}" for k in ("cpu", "wall", "rss")), flush=True)
                runs[name].append(run)
    report(runs)


def report(runs: dict[str, list[dict[str, float]]]) -> None:
    medians = {n: {k: statistics.median(r[k] for r in rs) for k in ("cpu", "wall", "rss")} for n, rs in runs.items()}
    base = medians.get("by_hand")
    print("\n| job | CPU s | wall s | peak RSS MB | CPU against by hand |\n|---|---|---|---|---|")
    for name, median in medians.items():
        ratio = f"{median['cpu'] / base['cpu']:.2f}" if base else "-"
        print(f"| {name} | {median['cpu']:.1f} | {median['wall']:.1f} | {median['rss']:.0f} | {ratio} |")
    if base and "ours" in medians:
        met = medians["ours"]["cpu"] <= BAR * base["cpu"]
        print(f"\nours <= {BAR} x by hand: {'yes' if met else 'NO'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
