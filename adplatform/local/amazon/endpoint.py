"""Finds or starts the test server of a data directory, so that all processes of one machine share it.

As with the embedded AWS, the child holds a lock for as long as it lives, and it ends with the process that started it.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.local.endpoint import (
    LOCK_NAME,
    LOG_NAME,
    RECORD_NAME,
    START_SECONDS,
    Endpoint,
    _answers,
    _exclusive,
    _recorded_url,
    _tail,
    is_locked,
)

_owned: dict[Path, Endpoint] = {}
_owned_guard = threading.Lock()


def ensure(data: Path) -> Endpoint:
    """The test server that keeps its state in ``data``, a directory of its own, started if no process runs it yet.

    The child lives until its owner, the process whose call started it, calls ``stop()`` or ends in whatever way.

    Raises:
        PermanentFailure: the child refused to start.
        TransientFailure: a child holds the lock but does not answer.
    """
    data = data.resolve()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(data / "ensure.lock"):
        url = _running_url(data)
        with _owned_guard:
            mine = _owned.get(data)
        if url is not None:
            return mine if mine is not None and mine.url == url else Endpoint(url, data)
        endpoint = _start(data)
        with _owned_guard:
            _owned[data] = endpoint
        return endpoint


def _running_url(data: Path) -> str | None:
    """The URL of the child that holds the lock, or None if there is none or it just ended."""
    deadline = time.monotonic() + START_SECONDS
    while is_locked(data / LOCK_NAME):
        url = _recorded_url(data)
        if url is not None and _answers(url):
            return url
        if time.monotonic() > deadline:
            raise TransientFailure(
                f"a test server of Amazon's APIs holds {data / LOCK_NAME} but does not answer; its log is "
                f"{data / LOG_NAME}. Stop the process that holds the lock and try again."
            )
        time.sleep(0.05)
    return None


def _start(data: Path) -> Endpoint:
    (data / RECORD_NAME).unlink(missing_ok=True)
    log = data / LOG_NAME
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "adplatform.local.amazon", str(data), "--owner-pid", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while (url := _recorded_url(data)) is None:
        if process.poll() is not None:
            raise PermanentFailure(f"the test server of Amazon's APIs did not start: {_tail(log)}")
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise TransientFailure(f"the test server of Amazon's APIs was not ready in time; its log is {log}")
        time.sleep(0.02)
    return Endpoint(url, data, process)
