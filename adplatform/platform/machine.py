"""What this process may use: what its control groups allow, as a container's limits do, or else the whole machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path, PurePosixPath

_BESIDE = 500 * 10**6
"""Bytes that Python, Arrow and what DuckDB does not count take beside its limit (``benchmarks/README.md``)."""
_A_THREAD = 500 * 10**6
"""Bytes of DuckDB's limit for each of its threads, which have buffers of their own."""
_SHARED = 4
"""The part on which one run counts where everything is on the same machine is one of so many."""


@dataclass(frozen=True)
class Machine:
    """Bytes of memory, and CPUs."""

    memory: int
    cpus: int

    def limits(self, *, shared: bool) -> tuple[str, int]:
        """The limit of memory to give DuckDB, such as ``2400MB``, with which the process stays below what it may use,
        and the number of its threads. On a ``shared`` machine are other runs, Dagster and the embedded AWS, too."""
        memory = self.memory // _SHARED if shared else self.memory
        limit = max(min(memory * 6 // 10, memory - _BESIDE), memory // 4)
        return f"{limit // 10**6}MB", max(min(self.cpus, limit // _A_THREAD), 1)


@cache
def this_machine(root: Path = Path("/")) -> Machine | None:
    """That of the process that asks, by the files of Linux below ``root``; None where there are none.

    Sources: proc(5); the kernel's "Control Group v2" (``memory.max``, ``cpu.max``) and, of version 1, its "Memory
    Resource Controller" (``memory.limit_in_bytes``) and "CFS Bandwidth Control". A group's limits hold below it, too.
    """
    meminfo, status = root / "proc/meminfo", root / "proc/self/status"
    if not meminfo.is_file() or not status.is_file():
        return None
    memory = int(_field(meminfo, "MemTotal").split()[0]) * 1024
    cpus = sum(_size(each) for each in _field(status, "Cpus_allowed_list").split(","))
    return Machine(min([memory, *_memory_limits(root)]), min([cpus, *(max(ceil(each), 1) for each in _quotas(root))]))


def _field(path: Path, name: str) -> str:
    lines = (line.partition(":") for line in path.read_text(encoding="utf-8").splitlines())
    return next(value.strip() for key, _, value in lines if key == name)


def _size(cpus: str) -> int:
    """Of a range such as ``0-3``, or of one."""
    first, _, last = cpus.partition("-")
    return int(last or first) - int(first) + 1


def _memory_limits(root: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        for text in _said(root, "memory", name):
            if text != "max":
                yield int(text)


def _quotas(root: Path) -> Iterator[float]:
    """CPUs' time in a period, in CPUs."""
    for text in _said(root, "cpu", "cpu.max"):
        quota, period = text.split()
        if quota != "max":
            yield int(quota) / int(period)
    for text, period in zip(
        _said(root, "cpu", "cpu.cfs_quota_us"), _said(root, "cpu", "cpu.cfs_period_us"), strict=True
    ):
        if int(text) > 0:
            yield int(text) / int(period)


def _said(root: Path, controller: str, name: str) -> Iterator[str]:
    """What the file of that name says of the process's group and of those above it. In a container the path of a group
    may be that of the host, so that only the uppermost, which is the container's, is there."""
    groups = root / "proc/self/cgroup"
    for line in groups.read_text(encoding="utf-8").splitlines() if groups.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mounted = root / "sys/fs/cgroup" / controllers
        group = PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in ("/", "..")))
        for folder in (group, *group.parents):
            if (mounted / folder / name).is_file():
                yield (mounted / folder / name).read_text(encoding="utf-8").strip()
