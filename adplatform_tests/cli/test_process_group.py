"""A command is stopped with one signal, whatever its processes make of it and whatever this process has inherited."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STUBBORN = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; time.sleep(600)"
POLITE = "import time; time.sleep(600)"
LEADER = """
import subprocess, sys, time
for code in sys.argv[2:]:
    child = subprocess.Popen([sys.executable, "-c", code])
    open(sys.argv[1], "a").write(f"{child.pid}\\n")
time.sleep({seconds})
"""
RUNNER = """
import os, sys
from adplatform.cli.process_group import Patience, run_to_the_end, stop_signals
with stop_signals() as stop:
    sys.exit(run_to_the_end(sys.argv[1:], os.environ, stop, Patience(1, 0.5, 0.5)))
"""


def start(
    folder: Path, *children: str, seconds: float = 600, ignored: bool = False
) -> tuple["subprocess.Popen[bytes]", Path]:
    """The runner, with SIGINT ignored if wanted as by nohup, and the file where the leader lists its children."""
    listed = folder / "children"
    leader = [sys.executable, "-c", LEADER.replace("{seconds}", str(seconds)), str(listed), *children]
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if ignored else []
    runner = subprocess.Popen([*shell, sys.executable, "-c", RUNNER, *leader])
    deadline = time.monotonic() + 60
    while not listed.exists() or len(listed.read_text().split()) < len(children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return runner, listed


def living(listed: Path) -> list[int]:
    pids = map(int, listed.read_text().split())
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and _state(pid) != "Z"]


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")


@pytest.mark.parametrize(
    ("number", "ignored"),
    [
        pytest.param(signal.SIGINT, False, marks=pytest.mark.slow, id="interrupt"),
        pytest.param(signal.SIGINT, True, id="interrupt that the parent ignores"),
        pytest.param(signal.SIGTERM, False, id="termination"),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow, id="termination, the parent ignores interrupts"),
    ],
)
def test_one_signal_ends_every_process(tmp_path: Path, number: signal.Signals, ignored: bool) -> None:
    runner, listed = start(tmp_path, POLITE, STUBBORN, ignored=ignored)
    assert len(living(listed)) == 2
    os.kill(runner.pid, number)
    assert runner.wait(timeout=30) == 0
    assert living(listed) == []


def test_children_are_interrupted_although_the_parent_ignores_that(tmp_path: Path) -> None:
    done = tmp_path / "interrupted"
    reported = f"import time\ntry: time.sleep(600)\nexcept KeyboardInterrupt: open({str(done)!r}, 'w')"
    runner, _ = start(tmp_path, reported, ignored=True)
    time.sleep(0.5)
    os.kill(runner.pid, signal.SIGTERM)
    assert runner.wait(timeout=30) == 0
    assert done.exists()


def test_a_command_that_ends_by_itself_takes_its_children_along(tmp_path: Path) -> None:
    runner, listed = start(tmp_path, STUBBORN, seconds=0.1)
    assert runner.wait(timeout=30) == 0
    assert living(listed) == []


def test_a_killed_runner_leaves_no_process_behind(tmp_path: Path) -> None:
    runner, listed = start(tmp_path, POLITE, STUBBORN)
    runner.kill()
    runner.wait()
    deadline = time.monotonic() + 20
    while living(listed):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_signal_before_the_command_starts_is_not_lost() -> None:
    code = RUNNER.replace("    sys.exit", "    os.kill(os.getpid(), 2)\n    sys.exit")
    assert "os.kill" in code
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", code, "sleep", "600"]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_what_is_done_before_the_command_starts(number: signal.Signals) -> None:
    code = RUNNER.replace(
        "    sys.exit", "    print('at work', flush=True)\n    __import__('time').sleep(60)\n    sys.exit"
    )
    runner = subprocess.Popen([sys.executable, "-c", code, "sleep", "600"], stdout=subprocess.PIPE)
    assert runner.stdout is not None
    assert runner.stdout.readline() == b"at work\n"
    began = time.monotonic()
    runner.send_signal(number)
    assert runner.wait(timeout=30) == 0
    assert time.monotonic() - began < 30


def test_a_command_that_nobody_can_guard_is_ended(tmp_path: Path) -> None:
    listed = tmp_path / "children"
    code = RUNNER.replace("with stop", "sys.executable = '/none'\nwith stop")
    leader = [sys.executable, "-c", LEADER.replace("{seconds}", "600"), str(listed), POLITE]
    ended = subprocess.run([sys.executable, "-c", code, *leader], check=False, capture_output=True, timeout=30)
    assert b"FileNotFoundError" in ended.stderr
    assert not listed.exists() or living(listed) == []
