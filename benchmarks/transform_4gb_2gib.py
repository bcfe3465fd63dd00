"""4 GB of CSV through the embedded engine in a process that may not use more than 2 GiB, held against the truth.

    python -m benchmarks.transform_4gb_2gib [MB of input, default 4000] [DuckDB memory limit, default 1200MB]

The cap is a memory cgroup where one can be made (its charge includes the page cache, which the kernel reclaims), else
the peak resident set is measured and must stay below 2 GiB.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks import transform_data
from benchmarks.transform_1gb import measure

CAP = 2 << 30
GROUPS = (
    ("/sys/fs/cgroup/adplatform-bench", "memory.max", "memory.peak"),
    ("/sys/fs/cgroup/memory/adplatform-bench", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
)


@contextmanager
def capped() -> Iterator[Path | None]:
    """Cap this process and its children by a memory cgroup; gives the file with its peak, None where that cannot be."""
    for path, limit, peak in GROUPS:
        group = Path(path)
        if group.parent.exists() and os.access(group.parent / "cgroup.procs", os.W_OK):
            group.mkdir(exist_ok=True)
            if (group / limit).exists():
                (group / limit).write_text(str(CAP), encoding="ascii")
                (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
                yield group / peak
                (group.parent / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
                group.rmdir()
                return
            group.rmdir()
    yield None


def main(megabytes: str = "4000", memory_limit: str = "1200MB") -> None:
    with tempfile.TemporaryDirectory(prefix="transform-") as directory:
        source = Path(directory) / "source"
        truth = transform_data.make(source, int(megabytes) * 1_000_000)
        with capped() as peak:
            run = measure("ours", "report", source, Path(directory) / "ours", memory_limit)
            charged = f"{int(peak.read_text(encoding='ascii')) >> 20} MiB" if peak else "not capped, only measured"
        print(f"{truth}\n{run}\npeak charge of the capped group: {charged}", flush=True)
        wrong = {k: v for k, v in asdict(truth).items() if k in run and run[k] != v}
        if wrong or run["rss"] * 1e6 > CAP:
            raise SystemExit(f"NOT met: {wrong or 'peak RSS above the cap'}")
        print("met: exact, within 2 GiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
