"""``python -m adplatform.local.amazon DATA``: the child process that ``endpoint.ensure`` starts."""

import argparse
import fcntl
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO

from adplatform.failures import PermanentFailure
from adplatform.local.amazon.server import serving
from adplatform.local.amazon.world import World
from adplatform.local.endpoint import LOCK_NAME, RECORD_NAME

STATE_NAME = "world.json"
LOCK_SECONDS = 60.0
SAVE_EVERY_SECONDS = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m adplatform.local.amazon")
    parser.add_argument("data", type=Path, help="directory that keeps the state of the test server")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--owner-pid", type=int, default=os.getppid(), help="stop when this parent process ends")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    try:
        serve(arguments.data.resolve(), arguments.port, arguments.owner_pid)
    except PermanentFailure as failure:
        print(failure, file=sys.stderr)
        return 2
    return 0


def serve(data: Path, port: int, owner_pid: int) -> None:
    """Serves the default world until SIGTERM, the end of stdin or the end of the process ``owner_pid``.

    Raises:
        PermanentFailure: the state is damaged, or another process serves ``data``.
    """
    data.mkdir(parents=True, exist_ok=True)
    with (data / LOCK_NAME).open("a") as lock:
        _lock(lock, data)
        store = data / STATE_NAME
        try:
            world = World(store=store)
        except (KeyError, TypeError, ValueError) as e:
            raise PermanentFailure(f"{store} is damaged ({e}); remove it to start anew") from e
        stop = _stop_requested()
        with serving(world, port) as server:
            _write_record(data / RECORD_NAME, server.url)
            # A process forked from the owner may keep stdin open; the parent's id tells the owner's end all the same.
            seen = 0
            while not stop.wait(SAVE_EVERY_SECONDS) and os.getppid() == owner_pid:
                served = world.requests.counts.total()
                if served != seen:
                    world.save()
                seen = served
        (data / RECORD_NAME).unlink(missing_ok=True)


def _lock(lock: IO[str], data: Path) -> None:
    """Waits for a predecessor that is still saving its state."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            if time.monotonic() > deadline:
                raise PermanentFailure(f"another process already serves {data}") from e
            time.sleep(0.05)
        else:
            return


def _stop_requested() -> threading.Event:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())

    def wait_for_end_of_input() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop.set()

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    return stop


def _write_record(path: Path, url: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
