"""Code server, web server and daemon, from their start to the signal that ends them, by the commands of their tasks."""

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adplatform_tests.deploy.conftest import free_port
from adplatform_tests.support.production import Production
from deploy.processes import CODE, DAEMON, WEB, WORKSPACE, Process

pytestmark = pytest.mark.slow  # the environment of the image is made for it

STOP_TIMEOUT = 120
"""Seconds that a task has to end."""
STARTS_WITHIN = 120


@dataclass(frozen=True)
class Service:
    name: str
    process: "subprocess.Popen[bytes]"

    def figures(self) -> str:
        """CPU seconds and resident memory of its processes so far."""
        ticks, pages = 0, 0
        for pid in (self.process.pid, *_children(self.process.pid)):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
            pages += int(fields[21])
        seconds = ticks / os.sysconf("SC_CLK_TCK")
        return f"{self.name}: {seconds:.1f} CPU-s, {pages * os.sysconf('SC_PAGE_SIZE') / 2**20:.0f} MiB"


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [each for child in map(int, text.split()) for each in (child, *_children(child))]


def eventually(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + STARTS_WITHIN
    while not happened():
        assert time.monotonic() < end
        time.sleep(1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_services_start_with_what_the_image_has_and_end_when_they_are_told_to(
    production: Production,
    environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ui = str(free_port())
    here = {
        "4000": environment["CODE_PORT"],
        "3000": ui,
        "0.0.0.0": "127.0.0.1",
        WORKSPACE: environment["WORKSPACE"],
    }
    tools = production.python.parent

    def command(of: Sequence[str]) -> list[str]:
        name, *rest = (here.get(part, part) for part in of)
        return [str(tools / name), *rest]

    def settings(process: Process) -> dict[str, Any]:
        # Dagster reads a .env of the directory that it is started in.
        return {
            "env": {**production.environment(environment), **process.environment},
            "cwd": environment["DAGSTER_HOME"],
        }

    def start(process: Process) -> Service:
        with (tmp_path / f"{process.name}.log").open("wb") as log:
            started = subprocess.Popen(command(process.command), stdout=log, stderr=log, **settings(process))
        return Service(process.name, started)

    def healthy(process: Process) -> bool:
        asked = subprocess.run(command(process.health), capture_output=True, check=False, **settings(process))
        return asked.returncode == 0

    started = [start(CODE)]
    try:
        eventually(lambda: healthy(CODE))
        started += [start(WEB), start(DAEMON)]
        eventually(lambda: answers(f"http://127.0.0.1:{ui}/server_info"))
        eventually(lambda: healthy(DAEMON))
        figures = [each.figures() for each in started]
        for each in started:
            assert each.process.poll() is None, (tmp_path / f"{each.name}.log").read_text("utf-8")[-2000:]
        took = {}
        for each in reversed(started):
            told = time.monotonic()
            each.process.send_signal(signal.SIGTERM)
            each.process.wait(STOP_TIMEOUT)
            took[each.name] = time.monotonic() - told
    finally:
        for each in started:
            each.process.kill()
            each.process.wait()
    with capsys.disabled():
        print("", *figures, {name: f"ended after {seconds:.1f} s" for name, seconds in took.items()}, sep="\n")
    assert max(took.values()) < STOP_TIMEOUT / 2
