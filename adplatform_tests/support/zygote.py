"""Children of ``endpoint.ensure`` that are forked from a process which has imported what they run, on Linux.

A child is what it would be if it were started by itself: a child of the process that asked, in its own session, with
the standard input, log, report, environment and arguments that are meant for it. Only its imports are there already,
which is most of what a server costs that answers a few calls.
"""

import ctypes
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

import pytest

from adplatform.local import endpoint
from adplatform_tests.support.garbage import collect_rarely, keep_what_is_there

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_MESSAGE_BYTES = 1 << 17
_SECONDS = 60.0
_IMPORTS = (
    "adplatform.local.aws.server",
    "adplatform.local.world.amazon.server",
    "adplatform.local.world.host.server",
    "adplatform.local.world.running",
    "adplatform.local.world.saas.server",
    "adplatform.local.world.shop.server",
)
_SERVICES = ("dynamodb", "events", "glue", "s3", "secretsmanager", "sns", "sqs", "sts")

_spawned = endpoint._spawned


@contextmanager
def forked_children() -> Iterator[None]:
    """Within, this process's children of ``endpoint.ensure`` are forked."""
    if sys.platform != "linux":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoint, "_spawned", _forked)
        yield
        if _zygote.cache_info().currsize:
            _zygote(os.getpid()).end()
            _zygote.cache_clear()


def _forked(command: Sequence[str], environ: Mapping[str, str], output: IO[bytes], report_fd: int) -> Any:
    # What is imported reads some of it: a child with settings of its own has its own imports.
    if any(environ.get(name) != value for name, value in os.environ.items() if name.startswith("PYTHON")):
        return _spawned(command, environ, output, report_fd)
    return _zygote(os.getpid()).fork(command[2], command[3:-1], environ, output.fileno(), report_fd)


class Forked:
    """As ``subprocess.Popen`` with a pipe to the standard input."""

    def __init__(self, pid: int, stdin: IO[bytes]) -> None:
        self.pid = pid
        self.stdin = stdin
        self.returncode: int | None = None
        self._guard = threading.Lock()

    def poll(self) -> int | None:
        with self._guard:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.poll() is None:
            ending = os.pidfd_open(self.pid)
            try:
                ended, _, _ = select.select([ending], [], [], timeout)
            finally:
                os.close(ending)
            if not ended:
                raise subprocess.TimeoutExpired(f"child {self.pid}", timeout or 0.0)
        while (status := self.poll()) is None:
            time.sleep(0.001)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class _Zygote:
    def __init__(self) -> None:
        self._asking, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._guard = threading.Lock()
        environ = {k: v for k, v in os.environ.items() if not k.startswith(endpoint._FOREIGN_SETTINGS)}
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(other.fileno()), str(os.getpid())],
                pass_fds=[other.fileno()],
                env=environ,
                start_new_session=True,
            )

    def fork(self, module: str, arguments: Sequence[str], environ: Mapping[str, str], log: int, report: int) -> Forked:
        asked = json.dumps([module, list(arguments), dict(environ), str(Path.cwd())]).encode()
        reading, writing = os.pipe()
        with self._guard, _adopting():
            try:
                socket.send_fds(self._asking, [asked], [reading, log, report])
                self._asking.settimeout(_SECONDS)
                answer = self._asking.recv(32)
            finally:
                os.close(reading)
        if not answer:
            raise RuntimeError("the process that children are forked from has ended")
        return Forked(int(answer), os.fdopen(writing, "wb", buffering=0))

    def end(self) -> None:
        self._asking.close()
        self._process.wait(_SECONDS)


@cache
def _zygote(_: int) -> _Zygote:
    """That of this process; one that it was forked from has its own."""
    return _Zygote()


@contextmanager
def _adopting() -> Iterator[None]:
    """Within, this process becomes the parent of what its children leave behind: a child that is to see its owner's end
    has it as parent, and not the process that it was forked from."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _import_all() -> None:
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"  # as adplatform.local.aws does before it imports moto
    import importlib  # noqa: PLC0415

    for name in _IMPORTS:
        importlib.import_module(name)
    from moto.core.utils import get_service_model  # noqa: PLC0415

    for service in _SERVICES:
        get_service_model(service)
    del os.environ["MOTO_DISABLE_GLOBAL_CORS"]
    collect_rarely()
    keep_what_is_there()


def _serve(asked: socket.socket, owner: int) -> None:
    """Forks whenever it is asked to, until its owner has ended."""
    while os.getppid() == owner:
        if not select.select([asked], [], [], 1.0)[0]:
            continue
        message, descriptors, _, _ = socket.recv_fds(asked, _MESSAGE_BYTES, 3)
        if not message:
            return
        if between := os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
            os.waitpid(between, 0)
            continue
        if os.fork():
            os._exit(0)
        _become(asked, owner, descriptors, *json.loads(message))


def _become(
    asked: socket.socket, owner: int, descriptors: Sequence[int], module: str, arguments: list[str], *rest: Any
) -> None:
    environ, folder = rest
    stdin, log, report = descriptors
    os.setsid()
    os.dup2(stdin, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for descriptor in (stdin, log):
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    from moto.moto_api._internal import mock_random  # noqa: PLC0415

    mock_random.seed()
    while os.getppid() != owner:
        time.sleep(0.001)
    asked.send(str(os.getpid()).encode())
    asked.close()
    sys.argv = [module, *arguments, str(report)]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    _import_all()
    _serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
