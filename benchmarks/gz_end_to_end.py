"""What a gzip file of a partner costs from its upload to a published table, against the transform of the unpacked file
alone: ``python -m benchmarks.gz_end_to_end [MEGABYTES] [ROUNDS]``, where MEGABYTES is the delivered, compressed size.

In turns, each a process of its own with the same contract and limits: ``deliver`` looks at the landing zone, settles
and runs both steps through Dagster, ``transform`` reads the text that is in the file. CPU is that of the whole process,
imports included; that of the embedded AWS, which stands for S3, Glue and DynamoDB and is another process, is apart.
Wall time is the clock's; ``quiet`` what it would be without others on the cores (``benchmarks.quiet_cores``), ``own``
the same if the embedded AWS, which shares them, did its work in no time. The published table is held against the truth.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from isal import igzip

from benchmarks.quiet_cores import CORES, Watch, reckoned
from benchmarks.transform_data import COLUMNS, KEY, make

BAR = 1.3
TEXT_A_BYTE = 3.4
"""Bytes of text in a byte of the compressed file."""
_CHUNK = 4 << 20
DAY = (datetime.now(UTC) - timedelta(days=1)).date()
FEED: dict[str, Any] = {
    "name": "ads",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": COLUMNS,
    "key": list(KEY),
    "latest_by": "updated_at",
}


def deliver(home: Path, gz: Path) -> dict[str, float]:
    """Publish the file on a platform of its own in the embedded AWS of ``home``, which must run; the upload, which is
    the partner's, does not count."""
    import dagster as dg  # noqa: PLC0415 - imports count

    from adplatform.local.endpoint import ensure  # noqa: PLC0415
    from adplatform.platform.aws import local_aws  # noqa: PLC0415
    from adplatform.transform.rejects import SWALLOWED  # noqa: PLC0415
    from adplatform_tests.support.platforms import make_platform, make_services  # noqa: PLC0415

    services = make_services(local_aws(ensure(home / "aws").url), home / "platform")
    with dg.DagsterInstance.ephemeral() as instance:
        platform = make_platform(services, {"source": "bench", "feeds": [FEED]}, instance)
        before, began = time.process_time(), time.perf_counter()
        key = f"{platform.source.prefix}ads/dt={DAY}/ads.csv.gz"
        services.s3.upload_file(str(gz), services.zones.raw_bucket, key)
        upload, uploaded = time.process_time() - before, time.perf_counter()
        assert all(result.success for result in platform.process())
        measured = {"cpu": time.process_time() - upload, "began": began, "uploaded": uploaded, "rss": _peak_rss()}
        measured["done"] = time.perf_counter()
        [row] = platform.query("select count(*), sum(impressions) from {ads}")
        published = services.ledger.publications.get("bench/ads", DAY, platform.delivery("ads").published)
        assert published
        records = published.quarantined - published.reasons.get(SWALLOWED, 0)
        return measured | {"clean": row[0], "impressions": row[1], "quarantined": records}


def transform(home: Path, text: Path) -> dict[str, float]:
    """What the clean step's transform alone costs."""
    from adplatform.contracts.feed import Feed  # noqa: PLC0415 - imports count
    from adplatform.files.input_file import InputFile  # noqa: PLC0415
    from adplatform.platform.settings import Settings  # noqa: PLC0415
    from adplatform.privacy.keys import HashKey  # noqa: PLC0415
    from adplatform.transform.duckdb_engine import EngineLimits  # noqa: PLC0415
    from adplatform.transform.duckdb_engine import transform as transformed  # noqa: PLC0415
    from adplatform.transform.rejects import SWALLOWED  # noqa: PLC0415

    settings = Settings(env="local", home=home)
    limits = EngineLimits(settings.memory_limit, settings.threads)
    contract, files = Feed.model_validate(FEED).contract, [InputFile(text, "file:0", 0)]
    with tempfile.TemporaryDirectory(dir=home) as work:
        staged = transformed(contract, files, DAY, HashKey("bench", os.urandom(32)), Path(work), limits)
        measured = {"cpu": time.process_time(), "rss": _peak_rss(), "done": time.perf_counter()}
    return measured | {"clean": staged.clean, "quarantined": staged.quarantined - staged.reasons.get(SWALLOWED, 0)}


def _peak_rss() -> float:
    from benchmarks.transform_jobs import peak_rss  # noqa: PLC0415 - it imports DuckDB

    return peak_rss()


JOBS = {"deliver": deliver, "transform": transform}


def measure(job: str, home: Path, source: Path, aws: int) -> dict[str, float]:
    """What a job took until it was done, without the upload and without looking at what it came to. ``aws`` is the
    process of the embedded AWS."""
    command = [sys.executable, "-m", "benchmarks.gz_end_to_end", job, str(home), str(source)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        with Watch((process.pid, aws)) as watch:
            said, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{job} ended with {process.returncode}")
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    upload = found.get("began", 0.0), found.get("uploaded", 0.0)
    looks = [look for look in watch.looks if look.at <= found["done"]]
    quiet, own = (reckoned(looks, upload, CORES, processes) for processes in (2, 1))
    return found | {"wall": found["done"] - began - (upload[1] - upload[0]), "quiet": quiet, "own": own}


def main(megabytes: str = "200", rounds: str = "3") -> None:
    from adplatform.local.endpoint import ensure  # noqa: PLC0415 - not in the jobs
    from benchmarks.transform_jobs import cpu_of_tree  # noqa: PLC0415

    runs: dict[str, list[dict[str, float]]] = {name: [] for name in JOBS}
    with tempfile.TemporaryDirectory(prefix="gz-") as folder, ensure(Path(folder) / "aws") as endpoint:
        assert endpoint.process, "the embedded AWS is another process's"
        home = Path(folder)
        truth = make(home / "source", int(float(megabytes) * 1e6 * TEXT_A_BYTE))
        [text] = (home / "source").glob("*.csv")
        gz = home / "ads.csv.gz"
        with text.open("rb") as plain, igzip.open(gz, "wb", compresslevel=3) as out:
            while chunk := plain.read(_CHUNK):
                out.write(chunk)
        sizes = f"{gz.stat().st_size / 1e6:,.0f} MB of gzip, {text.stat().st_size / 1e6:,.0f} MB of text"
        print(f"{sizes}, {truth.rows:,} rows", flush=True)
        for _ in range(int(rounds)):
            for name, source in (("deliver", gz), ("transform", text)):
                served = cpu_of_tree(endpoint.process.pid)
                run = measure(name, home, source, endpoint.process.pid)
                run["served"] = cpu_of_tree(endpoint.process.pid) - served
                for fact in ("clean", "quarantined", "impressions"):
                    if fact in run and run[fact] != getattr(truth, fact):
                        raise SystemExit(f"{name} is wrong: {fact} {run[fact]} instead of {getattr(truth, fact)}")
                told = "  ".join(f"{k} {run[k]:8.1f}" for k in ("cpu", "wall", "quiet", "own", "rss", "served"))
                print(f"{name:10} {told}  load {os.getloadavg()[0]:.1f}", flush=True)
                runs[name].append(run)
    report(runs)


def report(runs: dict[str, list[dict[str, float]]]) -> None:
    ratios = {
        key: [d[key] / t[key] for d, t in zip(runs["deliver"], runs["transform"], strict=True)]
        for key in ("cpu", "wall", "quiet", "own")
    }
    for key, each in ratios.items():
        shown = ", ".join(f"{ratio:.2f}" for ratio in each)
        print(f"deliver against transform, {key}: {shown}; median {statistics.median(each):.2f}")
    for key, named in (("cpu", "CPU"), ("quiet", "time on quiet cores"), ("own", "time without that of the AWS")):
        met = statistics.median(ratios[key]) <= BAR
        print(f"at most {BAR} times the {named} of the transform alone: {'yes' if met else 'NO'}")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in JOBS:
        print(json.dumps(JOBS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3])), default=float), flush=True)
    else:
        main(*sys.argv[1:])
