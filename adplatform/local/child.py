"""What the child processes of ``endpoint.ensure`` have in common: one per data directory, ending with its owner."""

import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adplatform.failures import PermanentFailure
from adplatform.local.access_key import private_folder
from adplatform.local.endpoint import LOCK_NAME, RECORD_NAME

LOCK_SECONDS = 60.0
FAILED = 2
"""Exit status of a child that did not do all it should."""


@contextmanager
def alone_in(data: Path) -> Iterator[None]:
    """Holds the lock of ``data``, made if it is not there, after waiting for a predecessor that is still saving.

    Raises:
        PermanentFailure: another process serves ``data``.
    """
    private_folder(data)
    deadline = time.monotonic() + LOCK_SECONDS
    with (data / LOCK_NAME).open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as e:
                if time.monotonic() > deadline:
                    raise PermanentFailure(f"another process already serves {data}") from e
                time.sleep(0.05)
        yield


@contextmanager
def recorded(data: Path, url: str) -> Iterator[None]:
    """Says in ``data`` at which URL it is served."""
    path = data / RECORD_NAME
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")
    temporary.replace(path)
    yield
    path.unlink(missing_ok=True)


def report(fd: int, text: str) -> int:
    """Say why this process ends, to its owner or on stderr, and what its status is. The owner listens on a pipe,
    because a full disk takes no log."""
    with suppress(OSError):
        os.write(fd, f"{text}\n".encode())
    return FAILED


def stop_requested(*, with_input: bool = True) -> threading.Event:
    """Set by SIGTERM and SIGINT and, ``with_input``, by the end of stdin."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())

    def wait_for_end_of_input() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop.set()

    if with_input:
        threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    return stop
