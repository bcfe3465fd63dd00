"""A command with all its processes, ended as one. Run as a script, it ends a process group when its stdin ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

STOPS = (signal.SIGINT, signal.SIGTERM)
_LOOK_EVERY = 0.1


@dataclass(frozen=True)
class Patience:
    """Seconds that the processes have to end after each signal, 12 altogether; SIGKILL they cannot refuse."""

    interrupt: float = 7
    terminate: float = 4
    kill: float = 1


@dataclass
class Stop:
    """Whether this process was asked to stop. ``heeded`` once something looks at that; until then the signal itself
    ends what is being done."""

    asked: threading.Event = field(default_factory=threading.Event)
    heeded: bool = False

    def hear(self, *_: object) -> None:
        self.asked.set()
        if not self.heeded:
            raise KeyboardInterrupt


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Hears SIGINT and SIGTERM within the context, which ends quietly if one comes before something heeds it. To be
    entered by the main thread."""
    stop = Stop()
    # Also where SIGINT was ignored when this process began (nohup, a job in the background of a script): exec gives a
    # child the default for each signal that has a handler here, and would let it go on ignoring one that is ignored.
    before = {number: signal.signal(number, stop.hear) for number in STOPS}
    try:
        yield stop
    except KeyboardInterrupt:
        if not stop.asked.is_set():
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_to_the_end(
    command: Sequence[str],
    environment: Mapping[str, str],
    stop: Stop,
    patience: Patience = Patience(),
    directory: Path | None = None,
) -> int:
    """Run a command, in ``directory`` or here, until it ends, and return its status, or until ``stop`` is set: then
    every process of the command is interrupted, terminated and killed in turn, and the status is 0. The same happens to
    them when this process is killed.

    The command is the leader of a process group of its own, so a Ctrl-C reaches it through this process alone. To be
    called within :func:`stop_signals`, for the command would ignore the signals that this process ignores.
    """
    stop.heeded = True
    process = subprocess.Popen(command, cwd=directory, env=dict(environment), start_new_session=True)
    try:
        with _guarded(process.pid, patience):
            while process.poll() is None and not stop.asked.wait(_LOOK_EVERY):
                continue
            asked = stop.asked.is_set()
            end_group(process.pid, patience, process.poll)
            status = process.wait()
    except BaseException:  # also where nobody could be made to guard it
        end_group(process.pid, patience, process.poll)
        raise
    return 0 if asked else status


def end_group(group: int, patience: Patience, reap: Callable[[], object] = lambda: None) -> None:
    """End every process of the group: those of a command may outlive its leader. ``reap`` is called while waiting, so
    that an ended child of this process does not count."""
    for number, seconds in (
        (signal.SIGINT, patience.interrupt),
        (signal.SIGTERM, patience.terminate),
        (signal.SIGKILL, patience.kill),
    ):
        deadline = time.monotonic() + seconds
        with suppress(ProcessLookupError):
            os.killpg(group, number)
            while time.monotonic() < deadline:
                reap()
                os.killpg(group, 0)
                time.sleep(_LOOK_EVERY)
            continue
        return


@contextmanager
def _guarded(group: int, patience: Patience) -> Iterator[None]:
    """Within the context another process ends the group if this one dies, which closes the pipe between them."""
    seconds = map(str, (patience.interrupt, patience.terminate, patience.kill))
    # Isolated: a directory of modules that is first on the path could hide those of Python.
    command = [sys.executable, "-I", __file__, str(group), *seconds]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as guard:
        try:
            yield
        finally:
            guard.kill()


def _end_with_stdin(group: str, *seconds: str) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        continue
    end_group(int(group), Patience(*map(float, seconds)))


if __name__ == "__main__":
    _end_with_stdin(*sys.argv[1:])
