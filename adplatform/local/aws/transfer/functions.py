"""Lambda functions that custom steps call: handlers of this machine, each in processes of its own, called as Lambda
calls them asynchronously. A failed or killed call is tried twice more, after one and two minutes of the engines' clock.

``POST /_adplatform/engines`` with ``{"ask": {"service": "transfer", "what": "function", "target": "<ARN>", "handler":
"<module>:<name>", "environment": {...}, "timeout": 60}}`` makes one, or puts it in the place of that before.
"""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK
from adplatform.local.aws.transfer.function import FAILED, OK
from adplatform.local.aws.transfer.server_state import Function
from adplatform.platform.calls import RECORD

_TIMEOUT = 60.0
_PAUSES = (60.0, 120.0)
"""Seconds before a call is tried again (Lambda developer guide, asynchronous invocation)."""
_AT_ONCE = 2
_ACCOUNT, _REGION = "123456789012", "us-east-1"
"""Where functions are, whoever calls them."""
_ENVIRONMENTS: dict[Function, "_Environments"] = {}


@dataclass(frozen=True)
class _Environments:
    """The processes of a function: those that wait for a call, and how many may be at once."""

    idle: deque["subprocess.Popen[bytes]"] = field(default_factory=deque)
    turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))


def asked(ask: Mapping[str, Any]) -> dict[str, Any]:
    """Answers a question of ``POST /_adplatform/engines``: makes a function, or says how many executions were
    ``dropped`` of all accounts. Callers hold the lock.

    Raises:
        ValueError: another question.
    """
    from moto.backends import get_backend  # noqa: PLC0415

    backends = [backend for _, _, backend in get_backend("transfer").iter_backends()]
    if ask["what"] == "dropped":
        return {"dropped": sum(backend.dropped for backend in backends)}
    if ask["what"] != "function":
        raise ValueError(f"transfer answers no {ask['what']!r}; it makes a function, and says how many were dropped")
    environment = tuple(sorted(ask.get("environment", {}).items()))
    function = Function(ask["target"], ask["handler"], environment, float(ask.get("timeout", _TIMEOUT)))
    backend = get_backend("transfer")[_ACCOUNT][_REGION]
    before = backend.functions.get(function.arn)
    backend.functions[function.arn] = function
    managed.changed("transfer")
    if before is not None and before in _ENVIRONMENTS:
        for process in _ENVIRONMENTS.pop(before).idle:
            process.kill()
    return {"function": function.arn}


def invoke(arn: str, event: Mapping[str, Any]) -> None:
    """Calls the function and does not wait. Where nobody has made it, nothing happens. Callers do not hold the lock."""
    from moto.backends import get_backend  # noqa: PLC0415

    with LOCK:
        function = get_backend("transfer")[_ACCOUNT][_REGION].functions.get(arn)
    if function is None:
        managed.log.warning("no function %s was made", arn)
        return
    threading.Thread(target=_call, args=(function, event), daemon=True).start()


def _call(function: Function, event: Mapping[str, Any]) -> None:
    for pause in (*_PAUSES, None):
        began = CONTROL.now()
        if _succeeds(function, event) or pause is None:
            return
        managed.wait_until(began + timedelta(seconds=pause))


def _succeeds(function: Function, event: Mapping[str, Any]) -> bool:
    with LOCK:
        environments = _ENVIRONMENTS.setdefault(function, _Environments())
    with environments.turns:
        process = _process(function, environments)
        deadline = time.time() + function.timeout
        said = _said(process, {"event": event, "deadline": deadline, "arn": function.arn}, deadline)
        if said in (OK, FAILED):
            environments.idle.append(process)
        else:
            process.kill()
            process.wait()
        return said == OK


def _said(process: "subprocess.Popen[bytes]", request: Mapping[str, Any], deadline: float) -> bytes:
    """What a process answers by then; nothing when it has ended, or does not answer."""
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return b""
    ready, _, _ = select.select([process.stdout], [], [], max(deadline - time.time(), 0))
    return process.stdout.readline() if ready else b""


def _process(function: Function, environments: _Environments) -> "subprocess.Popen[bytes]":
    while environments.idle:
        found = environments.idle.popleft()
        if found.poll() is None:
            return found
    inherited = ("PATH", "PYTHONPATH", "TMPDIR", "LANG", RECORD)
    environment = {
        **{name: os.environ[name] for name in inherited if name in os.environ},
        **managed.own_environment(_REGION),
        **dict(function.environment),
    }
    command = [sys.executable, "-m", "adplatform.local.aws.transfer.function", function.handler]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
