"""Code server, webserver and daemon as the README has them started, from their start to the signal that ends them."""

import os
import re
import shlex
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from adplatform_tests.deploy.conftest import free_port
from adplatform_tests.support.production import Production
from adplatform_tests.support.projects import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STOP_TIMEOUT = 120
"""Seconds that ECS gives a container to end before it kills it, at most (Fargate)."""
STARTS_WITHIN = 300
COMMANDS = dict(
    re.findall(
        r"^\| ([a-z ]+) \| `(dagster[^`]+)` \|", (ROOT / "deploy" / "README.md").read_text("utf-8"), re.MULTILINE
    )
)


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


def test_the_services_start_with_what_the_image_has_and_end_when_they_are_told_to(
    production: Production, environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert COMMANDS.keys() == {"code server", "daemon", "webserver"}
    given = {**production.environment(environment), "DAGSTER_DAEMON_HEARTBEAT_TOLERANCE": "120"}
    ports = {"4000": environment["CODE_PORT"], "3000": str(free_port())}
    tools = production.python.parent

    def command(text: str) -> list[str]:
        name, *rest = (ports.get(part, part) for part in shlex.split(text))
        return [str(tools / name), *rest]

    def start(name: str) -> Service:
        with (tmp_path / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command(COMMANDS[name]), env=given, cwd=environment["DAGSTER_HOME"], stdout=log, stderr=log
            )
        return Service(name, process)

    def healthy(text: str) -> bool:
        return subprocess.run(command(text), env=given, capture_output=True, check=False).returncode == 0

    started = [start("code server")]
    try:
        eventually(lambda: healthy("dagster api grpc-health-check -p 4000"))
        started += [start("webserver"), start("daemon")]
        eventually(lambda: answers(f"http://127.0.0.1:{ports['3000']}/server_info"))
        eventually(lambda: healthy("dagster-daemon liveness-check"))
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
