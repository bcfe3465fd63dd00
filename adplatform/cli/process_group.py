"""A command with all its processes, ended as one."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

STOPS = (signal.SIGINT, signal.SIGTERM)
_LOOK_EVERY = 0.1


@dataclass(frozen=True)
class Patience:
    """Seconds that the processes have to end after each signal, 12 altogether; SIGKILL they cannot refuse."""

    interrupt: float = 7
    terminate: float = 4
    kill: float = 1


def run_to_the_end(command: Sequence[str], environment: Mapping[str, str], patience: Patience = Patience()) -> int:
    """Run a command until it ends, and return its status, or until this process gets SIGINT or SIGTERM: then every
    process of the command is interrupted, terminated and killed in turn, and the status is 0.

    The command is the leader of a process group of its own, so a Ctrl-C reaches it through this process alone. To be
    called by the main thread.
    """
    stop = threading.Event()
    # Also where SIGINT was ignored when this process began (nohup, a job in the background of a script): exec gives a
    # child the default for each signal that has a handler here, and would let it go on ignoring one that is ignored.
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in STOPS}
    try:
        process = subprocess.Popen(command, env=dict(environment), start_new_session=True)
        while process.poll() is None and not stop.wait(_LOOK_EVERY):
            continue
        asked = stop.is_set()
        _end(process, patience)
        return 0 if asked else process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(leader: "subprocess.Popen[bytes]", patience: Patience) -> None:
    """End whatever is left of the group. The leader's children may outlive it."""
    for number, seconds in (
        (signal.SIGINT, patience.interrupt),
        (signal.SIGTERM, patience.terminate),
        (signal.SIGKILL, patience.kill),
    ):
        deadline = time.monotonic() + seconds
        with suppress(ProcessLookupError):
            os.killpg(leader.pid, number)
            while time.monotonic() < deadline:
                leader.poll()
                os.killpg(leader.pid, 0)
                time.sleep(_LOOK_EVERY)
            continue
        break
    leader.wait()
