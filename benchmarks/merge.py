"""What merging changes into a keyed table costs: 10 M rows and 1 M changes, against the same job written by hand for
DuckDB, which knows no late changes and keeps no tombstones. Then 1,000 changes of as many keys: merged, and written
beside the table. ``python -m benchmarks.merge [ROWS] [CHANGES]``.

Each runs in a process of its own, in turns, and all come to the same rows; CPU is user and system time, memory the peak
of the process. The batch beside the table is measured without the process's start.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import duckdb

from adplatform.lake.delta import current_sql, delta
from adplatform.lake.keyed import Bucket, KeyedTable, merge, merging

COLUMNS = ("id", "customer_id", "amount", "status", "updated_at", "name", "ref")
BUCKETS = 64
TABLE = KeyedTable(("id",), COLUMNS, BUCKETS)
MEMORY = "200MB"
BAR = 1.25
BATCH, BATCH_BAR = 1_000, 0.5
_HASH = f"cast(('0x' || substr(md5(cast(id as varchar)), 1, 8))::bigint % {BUCKETS} as integer)"
_BASE = """
    select i as id, i * 2654435761 % 500000 as customer_id, ((i * 7919) % 1000000000)::decimal(12,2) as amount,
      ['new', 'paid', 'sent', 'done'][i % 4 + 1] as status,
      timestamptz '2026-01-01 00:00:00+00' + to_seconds(i) as updated_at, 'Customer number ' || i as name,
      md5(i::varchar) as ref, printf('20260101000000%02d%019d', 0, i) as _seq,
      timestamptz '2026-01-01 00:00:00+00' as _changed_at
    from range({rows}) t(i)
"""
_CHANGES = """
    select (hash(i // {each}) % {keys})::bigint as id, i % 500000 as customer_id, (i % 100000)::decimal(12,2) as amount,
      ['new', 'paid', 'sent', 'done'][i % 4 + 1] as status,
      timestamptz '2026-02-01 00:00:00+00' + to_seconds(i) as updated_at, 'Changed ' || i as name,
      md5(i::varchar) as ref, case when i % 100 < 5 then 'D' when i % 100 < 7 then 'I' else 'U' end as _op,
      printf('20260201000000%02d%019d', 0, i) as _seq,
      timestamptz '2026-02-01 00:00:00+00' + to_seconds(i) as _changed_at
    from range({changes}) t(i)
"""


def make(folder: Path, rows: int, changes: int) -> None:
    with duckdb.connect(config={"memory_limit": "4GB", "threads": 2, "preserve_insertion_order": False}) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"create table base as select *, {_HASH} as bucket from ({_BASE.format(rows=rows)})")
        for n in range(BUCKETS):
            path = folder / "base" / f"rows-{n:05}.parquet"
            path.parent.mkdir(exist_ok=True)
            con.execute(
                f"copy (select * exclude (bucket) from base where bucket = {n} order by id) to '{path}'"
                " (format parquet, compression snappy)"
            )
        for name, count, each in (("changes", changes, 8), ("batch", BATCH, 1)):
            query = _CHANGES.format(changes=count, keys=round(rows * 1.02), each=each)
            con.execute(f"copy ({query}) to '{folder / name}.parquet' (format parquet, compression snappy)")


def ours(folder: Path, target: Path, changes: str = "changes") -> None:
    base = [Bucket(n, folder / "base" / f"rows-{n:05}.parquet") for n in range(BUCKETS)]
    with merging(target.parent, MEMORY, 2) as con:
        merge(con, TABLE, base, [folder / f"{changes}.parquet"], target)


def batch_merged(folder: Path, target: Path) -> None:
    ours(folder, target, "batch")


def batch_beside(folder: Path, target: Path) -> None:
    with merging(target.parent, MEMORY, 2) as con:
        delta(con, TABLE, [folder / "batch.parquet"], target / "batch.parquet")


def by_hand(folder: Path, target: Path) -> None:
    """The latest change of each key takes the place of its row."""
    own = ", ".join(COLUMNS)
    with duckdb.connect(config={"memory_limit": MEMORY, "threads": 2, "preserve_insertion_order": False}) as con:
        con.execute(f"set temp_directory = '{target.parent}'")
        con.execute(
            f"create temp table latest as select *, {_HASH} as bucket from '{folder / 'changes.parquet'}'"
            " qualify row_number() over (partition by id order by _seq desc) = 1"
        )
        for n in range(BUCKETS):
            con.execute(
                f"copy (select {own}, _seq, _changed_at from '{folder / 'base'}/rows-{n:05}.parquet' anti join"
                f" (select id from latest where bucket = {n}) using (id) union all by name select {own}, _seq,"
                f" _changed_at from latest where bucket = {n} and _op <> 'D') to '{target}/rows-{n:05}.parquet'"
                " (format parquet, compression snappy)"
            )


JOBS = {"ours": ours, "by hand": by_hand}
BATCH_JOBS = {"batch merged": batch_merged, "batch beside": batch_beside}


def contender(name: str, folder: Path) -> None:
    """One job in this process; its figures go to stdout."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        target = Path(work) / "out"
        target.mkdir()
        began, start = time.monotonic(), cpu_seconds()
        (JOBS | BATCH_JOBS)[name](folder, target)
        seconds, cpu = time.monotonic() - began, cpu_seconds()
        # ru_maxrss begins with the peak of the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024
        rows = f"'{target}/rows-*.parquet'"
        if name == "batch beside":
            base = f"read_parquet('{folder}/base/*')"
            rows = "(" + current_sql(TABLE, base, None, f"'{target}/batch.parquet'") + ")"
        with duckdb.connect() as con:
            check = con.execute(f"select count(*), sum(hash(id, amount, name, _seq)) from {rows}").fetchone()
        written = sum(path.stat().st_size for path in target.iterdir())
    figures = {
        "cpu": round(cpu - start if name in BATCH_JOBS else cpu, 2),
        "wall": round(seconds, 1),
        "peak_mb": peak,
        "written_mb": round(written / (1 << 20), 2),
        "check": [str(each) for each in check or ()],
    }
    print(json.dumps(figures))


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def in_turns(jobs: Iterable[str], folder: Path) -> dict[str, float]:
    """The least CPU seconds of each job, which all come to the same rows."""
    found: dict[str, list[float]] = {name: [] for name in jobs}
    checks = set()
    for _ in range(3):
        for name, seconds in found.items():
            command = [sys.executable, "-m", "benchmarks.merge", "--job", name, str(folder)]
            figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            checks.add(tuple(figures.pop("check")))
            seconds.append(figures["cpu"])
            print(f"{name:12} {figures}", flush=True)
    if len(checks) != 1:
        raise SystemExit(f"the jobs differ: {checks}")
    return {name: min(each) for name, each in found.items()}


def main(rows: int, changes: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="merge-"))
    try:
        make(folder, rows, changes)
        print(f"{rows:,} rows, {changes:,} changes, {BUCKETS} buckets, DuckDB limit {MEMORY}")
        cpu = in_turns(JOBS, folder)
        print(f"CPU against by hand: {cpu['ours'] / cpu['by hand']:.2f} (bar {BAR})")
        print(f"{BATCH:,} changes")
        cpu = in_turns(BATCH_JOBS, folder)
        print(f"CPU of a batch beside the table: {cpu['batch beside']:.2f} s (bar {BATCH_BAR} s)")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        contender(sys.argv[2], Path(sys.argv[3]))
    else:
        main(
            *(int(each) for each in (*sys.argv[1:], "10000000", "1000000")[:2])
            if len(sys.argv) != 2
            else (int(sys.argv[1]), int(sys.argv[1]) // 10)
        )
