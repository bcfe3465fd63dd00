"""Finds or starts the embedded AWS of a data directory, so that all processes of one machine share one endpoint.
Other servers that are shared so start as another ``Child``.

The child holds ``server.lock`` for as long as it lives; that lock, not a process id or an open port, says whether
there is one. This module is imported by every process of the platform and therefore imports no server code.
"""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import urlsplit

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.local.access_key import access_key, private_folder, read_access_key
from adplatform.platform.access_keys import AccessKey, key_for, remember_key
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import http.client as http_client
else:
    http_client = Late("http.client")

HEALTH_PATH = "/_adplatform/health"
LOCK_NAME = "server.lock"
RECORD_NAME = "endpoint.json"
LOG_NAME = "endpoint.log"
START_SECONDS = 120.0
STOP_SECONDS = 60.0
OWN_AGAIN_SECONDS = 0.5
# Credentials, profiles or endpoints of the real AWS must not reach the child, nor settings of another moto.
_FOREIGN_SETTINGS = ("AWS_", "MOTO_", "BOTO_")

_owned: dict[Path, "Endpoint"] = {}
_owned_guard = threading.Lock()


@dataclass(frozen=True)
class Child:
    """What is started: a module that takes a data directory and ``--owner-pid``, and its name in messages. One that is
    ``keyed`` serves only those who have the access key of its directory."""

    module: str
    name: str
    keyed: bool = False


EMBEDDED_AWS = Child("adplatform.local.aws", "embedded AWS", keyed=True)


@dataclass(frozen=True)
class Endpoint:
    """A running child. As a context manager it stops at the end if this process started it. ``report`` is where the
    child says why it ended before it should, or what it could not save."""

    url: str
    data: Path
    child: Child
    process: subprocess.Popen[bytes] | None = None
    report: IO[str] | None = None

    @property
    def key(self) -> AccessKey:
        """What a keyed child is asked with."""
        return key_for(self.url)

    @property
    def owned(self) -> bool:
        """Whether this process started the child, so that the child ends with this process."""
        return self.process is not None

    def stop(self) -> None:
        """Ends the child after it saved its state; does nothing unless this process started it.

        Raises:
            PermanentFailure: not everything was saved; says what and why.
            TransientFailure: the child has not ended after ``STOP_SECONDS``.
        """
        if self.process is None or self.report is None:
            return
        with _owned_guard:
            if _owned.get(self.data) is self:
                del _owned[self.data]
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            status = self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired as e:
            raise TransientFailure(
                f"the {self.child.name} (process {self.process.pid}) is still not done with saving after "
                f"{STOP_SECONDS:.0f} s; its log is {self.data / LOG_NAME}"
            ) from e
        if status:
            raise PermanentFailure(f"the {self.child.name} ended badly: {_ending(status, self.report)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def stopped_at_the_end() -> Iterator[None]:
    """Stops whatever children this process starts within the context, and says so if they could not save everything.

    Raises: as :meth:`Endpoint.stop`, of the first that fails; the others are stopped all the same.
    """
    with _owned_guard:
        before = set(_owned.values())
    try:
        yield
    finally:
        with _owned_guard:
            started = set(_owned.values()) - before
        with ExitStack() as stack:
            for endpoint in started:
                stack.callback(endpoint.stop)


def ensure(data: Path, *, environ: Mapping[str, str] | None = None, child: Child = EMBEDDED_AWS) -> Endpoint:
    """The embedded AWS that keeps its state in ``data``, started if no process runs it yet.

    The child lives until its owner, the process whose call started it, calls ``stop()`` or ends in whatever way.
    ``environ`` is the child's environment (default: this process's), without settings for the real AWS.

    Raises:
        PermanentFailure: the child refused to start, for example because a snapshot in ``data`` is damaged.
        TransientFailure: a child holds the lock but does not answer.
    """
    data = data.resolve()
    # For its owner only: the state contains the secrets and keys of the embedded AWS.
    private_folder(data)
    with _exclusive(data / "ensure.lock"):
        endpoint = _ensured(data, os.environ if environ is None else environ, child)
        if child.keyed:
            remember_key(endpoint.url, access_key(data))
        return endpoint


def _ensured(data: Path, environ: Mapping[str, str], child: Child) -> Endpoint:
    url = _running_url(data, child)
    with _owned_guard:
        mine = _owned.get(data)
    if url is not None:
        return mine if mine is not None and mine.url == url else Endpoint(url, data, child)
    endpoint = _start(data, environ, child)
    with _owned_guard:
        _owned[data] = endpoint
    return endpoint


def adopt(data: Path, url: str) -> None:
    """Have this process sign with the key of the data directory what it asks of the URL, where that is its endpoint.

    Raises:
        PermanentFailure: the file of the key is damaged, or somebody else's.
    """
    if _recorded_url(data) == url and (key := read_access_key(data)) is not None:
        remember_key(url, key)


def own(data: Path, waits: Callable[[], None], *, sleep: Callable[[float], None] = time.sleep) -> Endpoint:
    """As :func:`ensure`, but this process's own child, which ends with no other: one that another process started is
    waited for to end. ``waits`` is called once where there is one.

    Raises: as :func:`ensure`.
    """
    endpoint = ensure(data)
    if not endpoint.owned:
        waits()
    while not endpoint.owned:
        sleep(OWN_AGAIN_SECONDS)
        endpoint = ensure(data)
    return endpoint


def is_locked(path: Path) -> bool:
    """Whether another open file holds the lock on ``path``."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _start(data: Path, environ: Mapping[str, str], child: Child) -> Endpoint:
    (data / RECORD_NAME).unlink(missing_ok=True)
    log = data / LOG_NAME
    reading, writing = os.pipe()
    report = os.fdopen(reading, encoding="utf-8", errors="replace")
    command = [sys.executable, "-m", child.module, str(data), "--owner-pid", str(os.getpid())]
    with log.open("wb") as output, os.fdopen(writing, "wb"):
        own = {k: v for k, v in environ.items() if not k.startswith(_FOREIGN_SETTINGS)}
        process = _spawned([*command, "--report-fd", str(writing)], own, output, writing)
    deadline = time.monotonic() + START_SECONDS
    while (url := _recorded_url(data)) is None:
        if (status := process.poll()) is not None:
            raise PermanentFailure(f"the {child.name} did not start: {_ending(status, report)} {_tail(log)}".strip())
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise TransientFailure(f"the {child.name} was not ready after {START_SECONDS:.0f} s; its log is {log}")
        time.sleep(0.02)
    return Endpoint(url, data, child, process, report)


def _spawned(
    command: Sequence[str], environ: Mapping[str, str], output: IO[bytes], report_fd: int
) -> subprocess.Popen[bytes]:
    """A child whose last argument is the descriptor of its report, in a session of its own."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=[report_fd],
        env=environ,
        start_new_session=True,
    )


def _running_url(data: Path, child: Child) -> str | None:
    """The URL of the child that holds the lock, or None if there is none or it just ended."""
    deadline = time.monotonic() + START_SECONDS
    while is_locked(data / LOCK_NAME):
        url = _recorded_url(data)
        if url is not None and _answers(url):
            return url
        if time.monotonic() > deadline:
            raise TransientFailure(
                f"the {child.name} holds {data / LOCK_NAME} but does not answer; its log is {data / LOG_NAME}. "
                "Stop the process that holds the lock and try again."
            )
        time.sleep(0.05)
    return None


def _recorded_url(data: Path) -> str | None:
    try:
        return str(json.loads((data / RECORD_NAME).read_text(encoding="utf-8"))["url"])
    except FileNotFoundError:
        return None


def _answers(url: str) -> bool:
    connection = http_client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", HEALTH_PATH)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http_client.HTTPException):
        return False
    finally:
        connection.close()


def _ending(status: int, report: IO[str]) -> str:
    """Why a child ended with ``status``."""
    if status < 0:
        return f"signal {-status} killed it, and what it had not saved yet is lost"
    return report.read().strip() or f"its status is {status}"


def _tail(log: Path, characters: int = 2000) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-characters:].strip()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
