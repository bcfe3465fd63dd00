"""What a process may use, by made-up trees of control groups."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from adplatform.platform.machine import Machine, this_machine
from adplatform.platform.settings import read_settings

GIB = 1 << 30
NO_LIMIT = "9223372036854771712"
MACHINE = {
    "proc/meminfo": f"MemTotal:       {16 * GIB // 1024} kB\nMemFree: 1 kB\n",
    "proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-3,8-11\n",
}


def tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in (MACHINE | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, Machine(16 * GIB, 8)),
        (
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
                "sys/fs/cgroup/cpu.max": "150000 100000\n",
            },
            Machine(4 * GIB, 2),
        ),
        (
            {
                "proc/self/cgroup": "0::/user.slice/run.scope\n",
                "sys/fs/cgroup/user.slice/run.scope/memory.max": "max\n",
                "sys/fs/cgroup/user.slice/memory.max": f"{8 * GIB}\n",
                "sys/fs/cgroup/user.slice/run.scope/cpu.max": "max 100000\n",
                "sys/fs/cgroup/user.slice/cpu.max": "50000 100000\n",
            },
            Machine(8 * GIB, 1),
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            Machine(2 * GIB, 3),
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n2:cpu:/\n0::/../other\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{NO_LIMIT}\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            Machine(16 * GIB, 8),
        ),
    ],
    ids=["no groups", "version 2", "version 2, limits above", "version 1 in a container", "version 1, no limits"],
)
def test_the_least_that_any_group_allows_counts(files: Mapping[str, str], found: Machine, tmp_path: Path) -> None:
    assert this_machine(tree(tmp_path, files)) == found


def test_where_linux_says_nothing_nothing_is_known(tmp_path: Path) -> None:
    assert this_machine(tmp_path) is None


@pytest.mark.parametrize(
    ("machine", "shared", "limits"),
    [
        (Machine(8 * GIB, 2), False, ("5153MB", 2)),
        (Machine(2 * GIB, 2), False, ("1288MB", 2)),
        (Machine(GIB, 2), False, ("573MB", 1)),
        (Machine(GIB // 2, 2), False, ("134MB", 1)),
        (Machine(16 * GIB, 8), True, ("2576MB", 5)),
    ],
)
def test_duckdb_gets_what_leaves_room_for_the_rest_of_the_process(
    machine: Machine, shared: bool, limits: tuple[str, int]
) -> None:
    assert machine.limits(shared=shared) == limits


@pytest.mark.parametrize(
    ("environment", "limits"),
    [
        ({}, ("2576MB", 5)),
        ({"ADPLATFORM_ENV": "aws"}, ("10307MB", 8)),
        ({"ADPLATFORM_MEMORY_LIMIT": "1200MB", "ADPLATFORM_THREADS": "3"}, ("1200MB", 3)),
    ],
)
def test_limits_are_those_of_the_machine_unless_they_are_set(
    environment: Mapping[str, str], limits: tuple[str, int]
) -> None:
    settings = read_settings(environment, Machine(16 * GIB, 8))
    assert (settings.memory_limit, settings.threads) == limits
