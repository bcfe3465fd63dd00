"""What a crowded machine would have taken by itself is reckoned from who could run, and what CPU they had."""

import os
import subprocess
import sys

import pytest

from benchmarks.quiet_cores import Look, Watch, reckoned

NEVER = (0.0, 0.0)


def looks(*seen: tuple[float, tuple[int, int], tuple[float, float]]) -> list[Look]:
    return [Look(*each) for each in seen]


@pytest.mark.parametrize(
    ("running", "cpu", "both", "alone"),
    [
        pytest.param((1, 0), (2.0, 0.0), 2.0, 2.0, id="one thread, which others kept waiting"),
        pytest.param((3, 0), (2.0, 0.0), 1.0, 1.0, id="more threads than cores"),
        pytest.param((1, 1), (2.0, 2.0), 2.0, 2.0, id="both at once"),
        pytest.param((0, 1), (0.0, 2.0), 2.0, 0.0, id="the first waits for the second"),
        pytest.param((0, 0), (0.0, 0.0), 10.0, 10.0, id="both wait for somebody else"),
    ],
)
def test_time_by_threads_and_cpu(running: tuple[int, int], cpu: tuple[float, float], both: float, alone: float) -> None:
    seen = looks((0.0, running, (5.0, 5.0)), (10.0, running, (5.0 + cpu[0], 5.0 + cpu[1])))
    assert reckoned(seen, NEVER, 2, 2) == both
    assert reckoned(seen, NEVER, 2, 1) == alone


def test_an_interval_does_not_count() -> None:
    seen = looks((0, (1, 0), (0, 0)), (1, (1, 0), (1, 0)), (2, (1, 0), (2, 0)), (3, (1, 0), (3, 0)))
    assert reckoned(seen, (1.0, 2.0), 2, 2) == 2.0


def test_a_process_is_watched_to_its_end() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    with subprocess.Popen([sys.executable, "-c", busy]) as process, Watch((process.pid, os.getpid())) as watch:
        process.wait()
    first, last = watch.looks[0], watch.looks[-1]
    assert 0.1 < last.cpu[0] - first.cpu[0] <= 0.4
    assert all(len(look.running) == 2 for look in watch.looks)
